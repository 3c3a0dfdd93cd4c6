/* SPDX-License-Identifier: MIT
 *
 * Acknowledging and refusing deliveries, and what an agent has been working on of late. */
#include "engine/recent_priv.h"

#include "engine/nutrients.h"

struct ack_op {
    struct command cmd;
    const struct ack_in *in;
    struct ack_out *out;
    struct agent *agent;
    int64_t *acked; /* numbers of the nutrients */
    uint32_t acked_count;
    struct bytes *unknown;
    uint16_t *unknown_at; /* places in the request */
};

struct delivery *engine_find_delivery(struct engine *e, const struct agent *a, uint32_t clearance,
                                      struct bytes text)
{
    struct id id;
    if (engine_nutrient_id(text, &id)) {
        struct nutrient *x = network_live(&e->net, a->tenant, &id);
        return x && x->sensitivity <= clearance ? nutrient_delivery(x, a) : NULL;
    }
    for (uint32_t label = clearance; label >= LABEL_PUBLIC; label--) {
        struct nutrient *x = network_live_client(&e->net, a->tenant, label, text);
        struct delivery *d = x ? nutrient_delivery(x, a) : NULL;
        if (d)
            return d;
    }
    return NULL;
}

static bool add_delivery_row(struct engine *e, struct delivery *d, enum delivery_state state)
{
    struct record_delivery *row = arena_new(writer_arena(e), struct record_delivery);
    if (!row)
        return false;
    *row = (struct record_delivery){.nutrient_no = d->nutrient->no,
                                    .agent_no = d->agent->record->no,
                                    .tenant_no = d->agent->tenant->record->no,
                                    .state = state,
                                    .at_ms = writer_now_ms(e)};
    writer_add(e, MUT_PUT, RECORD_DELIVERY, row);
    return true;
}

static bool listed(const struct ack_op *op, int64_t no)
{
    for (uint32_t i = 0; i < op->acked_count; i++)
        if (op->acked[i] == no)
            return true;
    return false;
}

/* A delivery above the clearance is as unknown as one that never was. */
static struct delivery *find_delivery(struct engine *e, const struct ack_op *op, struct bytes id)
{
    uint32_t clearance = agent_clearance(op->agent, op->cmd.call->caller);
    struct delivery *d = engine_find_delivery(e, op->agent, clearance, id);
    return d && d->queued ? d : NULL;
}

/* For a repeat: how many, and which places of the request were unknown. */
static struct bytes keep_answer(struct engine *e, const struct ack_op *op)
{
    size_t unknown = op->out->unknown_count * sizeof *op->unknown_at;
    char *p = arena_alloc(writer_arena(e), sizeof op->out->changed + unknown);
    if (!p)
        return bytes_of(NULL, 0);
    memcpy(p, &op->out->changed, sizeof op->out->changed);
    memcpy(p + sizeof op->out->changed, op->unknown_at, unknown);
    return bytes_of(p, sizeof op->out->changed + unknown);
}

static enum qmn_code ack_check(struct engine *e, struct command *cmd, struct err *err)
{
    struct ack_op *op = CONTAINER_OF(cmd, struct ack_op, cmd);
    op->acked_count = 0;
    op->out->unknown_count = 0;
    for (size_t i = 0; i < op->in->count; i++) {
        struct delivery *d = find_delivery(e, op, op->in->nutrient_ids[i]);
        struct nutrient *x = d ? d->nutrient : NULL;
        if (!d) {
            op->unknown_at[op->out->unknown_count] = (uint16_t)i;
            op->unknown[op->out->unknown_count++] = op->in->nutrient_ids[i];
            continue;
        }
        if (listed(op, x->no))
            continue;
        int64_t pair[2] = {x->no, op->agent->record->no};
        if (!writer_claim(e, cmd, RECORD_DELIVERY, bytes_hash(bytes_of(pair, sizeof pair), 0)))
            return QMN_OK; /* another ack of it is in this group: look again after */
        op->acked[op->acked_count++] = x->no;
        bool ends = !op->in->nack || op->in->reject;
        if ((ends && !add_delivery_row(e, d, op->in->nack ? DELIVERY_REJECTED : DELIVERY_ACKED)) ||
            (!op->in->nack && !recent_add(e, op->agent, x->no, x->hints)))
            return err_nomem(err);
    }
    op->out->changed = op->acked_count;
    cmd->idem_result = keep_answer(e, op);
    return cmd->idem_result.ptr ? QMN_OK : err_nomem(err);
}

static void ack_publish(struct engine *e, struct command *cmd)
{
    struct ack_op *op = CONTAINER_OF(cmd, struct ack_op, cmd);
    for (uint32_t i = 0; i < op->acked_count; i++) {
        uint64_t *at = u64map_get(&e->net.live_by_no, (uint64_t)op->acked[i]);
        struct nutrient *x = at ? (struct nutrient *)(uintptr_t)*at : NULL;
        struct delivery *d = x ? nutrient_delivery(x, op->agent) : NULL;
        if (!d)
            continue;
        if (op->in->nack && !op->in->reject) {
            delivery_offer(d, engine_mono_ms(e) + op->in->delay_ms);
            continue;
        }
        delivery_end(d, op->in->nack ? DELIVERY_REJECTED : DELIVERY_ACKED);
        collects_wake(x->tenant, x->no);
    }
    counter_add(e->m.acks, op->acked_count);
}

static enum qmn_code ack_finish(struct engine *e, struct command *cmd, struct err *err)
{
    struct ack_op *op = CONTAINER_OF(cmd, struct ack_op, cmd);
    (void)e;
    (void)err;
    op->out->unknown = op->unknown;
    return QMN_OK;
}

static enum qmn_code ack_replay(struct engine *e, struct command *cmd, struct bytes result,
                                struct err *err)
{
    struct ack_op *op = CONTAINER_OF(cmd, struct ack_op, cmd);
    size_t head = sizeof op->out->changed, count = (result.len - head) / sizeof *op->unknown_at;
    if (result.len < head || (result.len - head) % sizeof *op->unknown_at || count > op->in->count)
        return err_set(err, QMN_E_CORRUPT, "a stored idempotent answer has the wrong length");
    memcpy(&op->out->changed, result.ptr, head);
    for (size_t i = 0; i < count; i++) {
        uint16_t at;
        memcpy(&at, result.ptr + head + i * sizeof at, sizeof at);
        if (at < op->in->count)
            op->unknown[op->out->unknown_count++] = op->in->nutrient_ids[at];
    }
    return ack_finish(e, cmd, err);
}

static const struct command_ops ack_ops = {
    .name = "ack",
    .check = ack_check,
    .publish = ack_publish,
    .finish = ack_finish,
    .replay = ack_replay,
};

void engine_ack(struct engine *e, struct call *c, const struct ack_in *in, struct ack_out *out)
{
    struct ack_op *op = arena_new(c->arena, struct ack_op);
    if (op) {
        op->acked = arena_array(c->arena, int64_t, in->count + 1);
        op->unknown = arena_array(c->arena, struct bytes, in->count + 1);
        op->unknown_at = arena_array(c->arena, uint16_t, in->count + 1);
    }
    if (!op || !op->acked || !op->unknown || !op->unknown_at) {
        call_finish(c, err_nomem(&c->err));
        return;
    }
    *out = (struct ack_out){0};
    op->cmd.ops = &ack_ops;
    op->in = in;
    op->out = out;
    pthread_rwlock_rdlock(&e->net.lock);
    enum qmn_code code = engine_tenant(e, c->caller, &op->cmd.tenant, &c->err);
    if (code == QMN_OK)
        code = network_acting_agent(op->cmd.tenant, c->caller, in->agent_id, "agent_id", &op->agent,
                                    &c->err);
    pthread_rwlock_unlock(&e->net.lock);
    if (code != QMN_OK)
        call_finish(c, code);
    else
        writer_submit(e, c, &op->cmd);
}
