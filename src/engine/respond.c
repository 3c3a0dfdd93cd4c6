/* SPDX-License-Identifier: MIT
 *
 * An agent's answer to a nutrient it was given. */
#include "engine/nutrients.h"
#include "engine/recent_priv.h"

struct respond_op {
    struct command cmd;
    const struct respond_in *in;
    struct respond_out *out;
    struct agent *agent;
    const float *given; /* NULL: the nutrient's vector serves */
    const float *unit;  /* of this attempt */
    uint32_t dim;
    struct bytes space;
    struct id id, nutrient_id;
    struct bytes client_id;
    struct record_response row;
};

/* What a repeat is answered from: the rows of answer and nutrient may be gone by then.  The
 * nutrient's own name, if its sender gave one, stands behind. */
struct respond_kept {
    int64_t created_ms;
    struct id id, nutrient_id;
};

/* The nutrient must be alive, must have been delivered to the agent, and be within the clearance of
 * both agent and key. */
static enum qmn_code find_delivery(struct engine *e, const struct respond_op *op,
                                   const struct caller *caller, int64_t now, struct delivery **ret,
                                   struct err *err)
{
    struct delivery *d =
        engine_find_delivery(e, op->agent, agent_clearance(op->agent, caller), op->in->nutrient_id);
    if (!d || d->nutrient->expires_ms <= now)
        return err_field(err, QMN_E_NOT_FOUND, "nutrient_id",
                         "no live nutrient \"%.*s\" was delivered to agent \"%.*s\"",
                         BYTES_FMT(op->in->nutrient_id), BYTES_FMT(op->agent->record->id));
    *ret = d;
    return QMN_OK;
}

static enum qmn_code nutrient_vector(struct engine *e, int64_t no, struct respond_op *op,
                                     struct err *err)
{
    struct arena *arena = writer_arena(e);
    struct record_nutrient key = {.no = no}, row;
    TRY(e->store->ops->get(e->store, RECORD_NUTRIENT, &key, arena, &row, err));
    op->unit = engine_unpack_f16(row.embedding, arena);
    op->dim = (uint32_t)(row.embedding.len / 2);
    return op->unit ? QMN_OK : err_nomem(err);
}

static enum qmn_code keep_answer(struct engine *e, struct respond_op *op, struct err *err)
{
    struct respond_kept kept = {
        .created_ms = op->row.created_ms, .id = op->id, .nutrient_id = op->nutrient_id};
    char *p = arena_alloc(writer_arena(e), sizeof kept + op->client_id.len);
    if (!p)
        return err_nomem(err);
    memcpy(p, &kept, sizeof kept);
    if (op->client_id.len)
        memcpy(p + sizeof kept, op->client_id.ptr, op->client_id.len);
    op->cmd.idem_result = bytes_of(p, sizeof kept + op->client_id.len);
    return QMN_OK;
}

static enum qmn_code respond_check(struct engine *e, struct command *cmd, struct err *err)
{
    struct respond_op *op = CONTAINER_OF(cmd, struct respond_op, cmd);
    const struct respond_in *in = op->in;
    struct delivery *d = NULL;
    op->unit = op->given; /* a second attempt must not use the arena of the first */
    if (op->unit)
        TRY(writer_fix_space(e, cmd, op->space, op->dim, err));
    if (cmd->defer)
        return QMN_OK;
    TRY(find_delivery(e, op, cmd->call->caller, writer_now_ms(e), &d, err));
    const struct nutrient *x = d->nutrient;
    int64_t pair[2] = {x->no, op->agent->record->no};
    if (!writer_claim(e, cmd, RECORD_RESPONSE, bytes_hash(bytes_of(pair, sizeof pair), 0)))
        return QMN_OK;
    if (d->responses >= LIMIT_RESPONSES)
        return err_field(
            err, QMN_E_CONFLICT, "nutrient_id",
            "agent \"%.*s\" has answered this nutrient %d times, which is the most it may",
            BYTES_FMT(op->agent->record->id), LIMIT_RESPONSES);
    if (in->sensitivity && in->sensitivity < x->sensitivity)
        return err_field(err, QMN_E_FORBIDDEN, "sensitivity",
                         "\"%s\" is below the nutrient's \"%s\"; an answer inherits the label",
                         label_name(sensitivity_names, in->sensitivity),
                         label_name(sensitivity_names, x->sensitivity));
    if (!op->unit)
        TRY(nutrient_vector(e, x->no, op, err));
    if (!response_reserve(e, cmd->tenant))
        return err_nomem(err);
    op->nutrient_id = x->id;
    op->client_id = arena_bytes(op->cmd.call->arena, x->client_id);
    op->row =
        (struct record_response){.no = writer_next_no(e),
                                 .tenant_no = cmd->tenant->record->no,
                                 .id = id_bytes(&op->id),
                                 .nutrient_no = x->no,
                                 .agent_no = op->agent->record->no,
                                 .sensitivity = in->sensitivity ? in->sensitivity : x->sensitivity,
                                 .created_ms = writer_now_ms(e),
                                 .expires_ms = x->expires_ms,
                                 .quality = (double)in->quality,
                                 .content = in->content,
                                 .embedding = engine_pack_f16(op->unit, op->dim, writer_arena(e))};
    if (!op->row.embedding.ptr)
        return err_nomem(err);
    TRY(writer_use(e, cmd->tenant, USAGE_BYTES, in->content.len + op->row.embedding.len, err));
    TRY(keep_answer(e, op, err));
    writer_add(e, MUT_INSERT, RECORD_RESPONSE, &op->row);
    return QMN_OK;
}

static void respond_publish(struct engine *e, struct command *cmd)
{
    struct respond_op *op = CONTAINER_OF(cmd, struct respond_op, cmd);
    uint64_t *at = u64map_get(&e->net.live_by_no, (uint64_t)op->row.nutrient_no);
    struct nutrient *x = at ? (struct nutrient *)(uintptr_t)*at : NULL;
    struct delivery *d = x ? nutrient_delivery(x, op->agent) : NULL;
    if (!d)
        return; /* it expired in this very group; the row goes with its own expiry at the next start
                 */
    d->responses++;
    response_publish(e, cmd->tenant, &op->row, op->agent->slot, op->unit);
    collects_wake(cmd->tenant, x->no);
}

static enum qmn_code fill_out(struct engine *e, struct respond_op *op, int64_t created_ms,
                              struct err *err)
{
    struct arena *arena = op->cmd.call->arena;
    const struct id *nutrient = &op->nutrient_id;
    pthread_rwlock_rdlock(&e->net.lock);
    struct bytes agent_id = arena_bytes(arena, op->agent->record->id);
    pthread_rwlock_unlock(&e->net.lock);
    *op->out =
        (struct respond_out){.response_id = engine_id_text(arena, &op->id, PREFIX_RESPONSE),
                             .nutrient_id = engine_nutrient_name(arena, nutrient, op->client_id),
                             .trace_id = engine_id_text(arena, nutrient, PREFIX_TRACE),
                             .agent_id = agent_id,
                             .created_ms = created_ms};
    return op->out->response_id.len && op->out->nutrient_id.len && op->out->trace_id.len &&
                   agent_id.ptr
               ? QMN_OK
               : err_nomem(err);
}

static enum qmn_code respond_finish(struct engine *e, struct command *cmd, struct err *err)
{
    struct respond_op *op = CONTAINER_OF(cmd, struct respond_op, cmd);
    return fill_out(e, op, op->row.created_ms, err);
}

static enum qmn_code respond_replay(struct engine *e, struct command *cmd, struct bytes result,
                                    struct err *err)
{
    struct respond_op *op = CONTAINER_OF(cmd, struct respond_op, cmd);
    struct respond_kept kept;
    if (result.len < sizeof kept)
        return err_set(err, QMN_E_CORRUPT, "a stored idempotent answer has the wrong length");
    memcpy(&kept, result.ptr, sizeof kept);
    op->id = kept.id;
    op->nutrient_id = kept.nutrient_id;
    op->client_id = bytes_of(result.ptr + sizeof kept, result.len - sizeof kept);
    return fill_out(e, op, kept.created_ms, err);
}

static const struct command_ops respond_ops = {
    .name = "respond",
    .check = respond_check,
    .publish = respond_publish,
    .finish = respond_finish,
    .replay = respond_replay,
};

/* Read lock held. */
static enum qmn_code respond_prepare(struct engine *e, struct call *c, struct respond_op *op,
                                     struct err *err)
{
    const struct respond_in *in = op->in;
    struct delivery *d;
    TRY(engine_tenant(e, c->caller, &op->cmd.tenant, err));
    TRY(network_acting_agent(op->cmd.tenant, c->caller, in->agent_id, "agent_id", &op->agent, err));
    if (in->sensitivity > agent_clearance(op->agent, c->caller))
        return err_field(err, QMN_E_FORBIDDEN, "sensitivity",
                         "\"%s\" is above the clearance of this key or agent",
                         label_name(sensitivity_names, in->sensitivity));
    if (!c->idempotency.value.len) /* a repeat may come after the nutrient has gone */
        TRY(find_delivery(e, op, c->caller, engine_now(e), &d, err));
    if (!in->embedding.values && !in->embedding.text.ptr)
        return QMN_OK;
    return engine_vector(op->cmd.tenant, &in->embedding, "embedding", c->arena, &op->given,
                         &op->dim, &op->space, err);
}

void engine_respond(struct engine *e, struct call *c, const struct respond_in *in,
                    struct respond_out *out)
{
    struct respond_op *op = arena_new(c->arena, struct respond_op);
    if (!op) {
        call_finish(c, err_nomem(&c->err));
        return;
    }
    op->cmd.ops = &respond_ops;
    op->in = in;
    op->out = out;
    op->id = id_make(engine_now(e));
    pthread_rwlock_rdlock(&e->net.lock);
    enum qmn_code code = respond_prepare(e, c, op, &c->err);
    pthread_rwlock_unlock(&e->net.lock);
    if (code != QMN_OK)
        call_finish(c, code);
    else
        writer_submit(e, c, &op->cmd);
}
