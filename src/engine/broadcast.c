/* SPDX-License-Identifier: MIT
 *
 * Broadcast: decide on the loop, commit with the group, appear in the inboxes, answer. */
#include "engine/decide_priv.h"
#include "engine/nutrients.h"

struct broadcast_op {
    struct command cmd;
    struct broadcast_op *next; /* gathered */
    const struct broadcast_in *in;
    struct broadcast_out *out;
    struct agent *source;
    int64_t source_no, tenant_no; /* the records may change hands once the lock is given back */
    const float *unit;
    struct bytes space, embedding; /* float16 */
    struct bytes codes;            /* int8 */
    float scale;
    uint32_t dim;
    struct decision decision;
    struct id id;
    struct record_nutrient nutrient;
    struct record_trace trace;
    struct nutrient *live; /* made by check, owned by the network after publish */
    uint64_t body_hash[2];
    struct broadcast_kept {
        int64_t no;
        struct id id;
    } kept; /* what a repeat is answered from: the trace, or its id once retention has taken it */
};

static const char *const nobody_reached =
    "no active agent with this clearance is similar to the nutrient or has one of its tool hints";

static struct bytes agent_name(struct engine *e, int64_t no, struct arena *arena)
{
    const struct agent *a = network_agent_no(&e->net, no);
    return a ? arena_bytes(arena, a->record->id) : BYTES_LIT("(purged)");
}

const struct hop_out *engine_hops(struct engine *e, const struct decision *d, struct arena *arena,
                                  size_t *ret_count)
{
    struct hop_out *hops = arena_array(arena, struct hop_out, d->head.route_count + 1);
    *ret_count = hops ? d->head.route_count : 0;
    struct bytes from = {0};
    for (size_t i = 0; i < *ret_count; i++) {
        const struct route_view *r = &d->routes[i];
        if (!i || r->from_no != r[-1].from_no) /* most come from one: the source */
            from = agent_name(e, r->from_no, arena);
        hops[i] = (struct hop_out){.agent_id = agent_name(e, r->agent_no, arena),
                                   .from_agent_id = from,
                                   .hop = r->hop,
                                   .capabilities = r->capabilities,
                                   .score = r->score,
                                   .similarity = r->similarity,
                                   .weight = r->weight,
                                   .demand = r->demand,
                                   .propensity = r->propensity,
                                   .explored = r->explored};
    }
    return hops;
}

static enum qmn_code fill_out(struct engine *e, struct broadcast_out *out,
                              const struct record_trace *trace, const struct decision *d,
                              struct arena *arena, struct err *err)
{
    struct id id;
    memcpy(&id, trace->id.ptr, sizeof id);
    pthread_rwlock_rdlock(&e->net.lock);
    *out = (struct broadcast_out){
        .nutrient_id = engine_nutrient_name(arena, &id, engine_client_id(trace)),
        .trace_id = engine_id_text(arena, &id, PREFIX_TRACE),
        .created_ms = trace->created_ms,
        .expires_ms = trace->expires_ms,
        .reason = d->head.route_count ? NULL : nobody_reached,
    };
    out->hops = engine_hops(e, d, arena, &out->hop_count);
    pthread_rwlock_unlock(&e->net.lock);
    return !out->hops || !out->trace_id.len || !out->nutrient_id.len ? err_nomem(err) : QMN_OK;
}

/* A repeat: the trace row has the whole answer.  A nutrient that its client's own id named again
 * may be so old that the row goes before the key does. */
static enum qmn_code fill_from_trace(struct engine *e, struct broadcast_op *op,
                                     const struct broadcast_kept *kept, struct err *err)
{
    struct arena *arena = op->cmd.call->arena;
    struct record_trace key = {.no = kept->no}, trace;
    struct decision d = {0};
    enum qmn_code code = e->store->ops->get(e->store, RECORD_TRACE, &key, arena, &trace, err);
    if (code == QMN_E_NOT_FOUND)
        trace = (struct record_trace){.id = id_bytes(&kept->id),
                                      .client_key = op->trace.client_key,
                                      .created_ms = id_time_ms(&kept->id)};
    else
        TRY(code);
    if (code == QMN_OK)
        TRY(decision_unpack(trace.decision, arena, &d, err));
    return fill_out(e, op->out, &trace, &d, arena, err);
}

/* ---- writer ---- */

/* A client's own id is unique in the tenant and label: the same body is the same nutrient, another
 * one a conflict.  Under a label that the client may not see the name is free, as if nobody had it:
 * a conflict would tell. */
static enum qmn_code check_client_id(struct engine *e, struct broadcast_op *op, struct err *err)
{
    struct arena *arena = writer_arena(e);
    const struct record_type *type = record_type(RECORD_TRACE);
    struct record_trace probe = {.tenant_no = op->trace.tenant_no,
                                 .client_key = op->trace.client_key},
                        found;
    size_t field = 0;
    if (!writer_claim(e, &op->cmd, RECORD_TRACE,
                      bytes_hash(op->trace.client_key, (uint64_t)op->trace.tenant_no)))
        return QMN_OK;
    while (strcmp(type->fields[field].name, "client_key") != 0)
        field++;
    enum qmn_code code =
        e->store->ops->find(e->store, RECORD_TRACE, field, &probe, arena, &found, err);
    if (code == QMN_E_NOT_FOUND)
        return QMN_OK;
    if (code != QMN_OK)
        return code;
    if (!bytes_equal(found.body_hash, op->trace.body_hash))
        return err_field(err, QMN_E_CONFLICT, "id",
                         "nutrient \"%.*s\" exists with a different body",
                         BYTES_FMT(op->in->client_id));
    op->trace.no = op->kept.no = found.no; /* finish answers from there */
    memcpy(&op->kept.id, found.id.ptr, sizeof op->kept.id);
    return QMN_OK;
}

static enum qmn_code broadcast_check(struct engine *e, struct command *cmd, struct err *err)
{
    struct broadcast_op *op = CONTAINER_OF(cmd, struct broadcast_op, cmd);
    struct tenant *t = cmd->tenant;
    TRY(writer_fix_space(e, cmd, op->space, op->dim, err));
    op->trace.no = 0;
    if (!cmd->defer && op->trace.client_key.len)
        TRY(check_client_id(e, op, err));
    if (cmd->defer)
        return QMN_OK;
    cmd->idem_result = bytes_of(&op->kept, sizeof op->kept);
    if (op->trace.no) /* known already */
        return QMN_OK;
    if (e->net.live_by_no.len >= LIMIT_LIVE_NUTRIENTS)
        return err_retry(err, QMN_E_OVERLOADED, 5,
                         "%d nutrients are alive on this node; expected fewer, or shorter TTLs",
                         LIMIT_LIVE_NUTRIENTS);
    int64_t now = writer_now_ms(e), no = writer_next_no(e);
    op->kept = (struct broadcast_kept){.no = no, .id = op->id};
    op->trace.no = op->nutrient.no = no;
    op->trace.created_ms = op->nutrient.created_ms = now;
    op->trace.expires_ms = op->nutrient.expires_ms = now + (int64_t)op->in->ttl_sec * 1000;
    struct live_in live = {.trace = &op->trace,
                           .nutrient = &op->nutrient,
                           .hints = op->in->hints,
                           .source = op->source->slot,
                           .routes = op->decision.routes,
                           .route_count = op->decision.head.route_count,
                           .codes = op->codes,
                           .scale = op->scale};
    op->live = live_new(t, &live);
    if (!op->live || !live_reserve(e)) {
        nutrient_free(op->live);
        op->live = NULL;
        return err_nomem(err);
    }
    enum qmn_code code = writer_use(e, t, USAGE_NUTRIENTS, op->in->quota_cost, err);
    if (code == QMN_OK)
        code = writer_use(e, t, USAGE_BYTES, op->live->stored, err);
    if (code != QMN_OK) {
        nutrient_free(op->live);
        op->live = NULL;
        return code;
    }
    writer_add(e, MUT_INSERT, RECORD_NUTRIENT, &op->nutrient);
    writer_add(e, MUT_INSERT, RECORD_TRACE, &op->trace);
    return QMN_OK;
}

static void broadcast_publish(struct engine *e, struct command *cmd)
{
    struct broadcast_op *op = CONTAINER_OF(cmd, struct broadcast_op, cmd);
    if (!op->live)
        return; /* a repeat */
    counter_add(e->m.nutrients, 1);
    counter_add(e->m.deliveries, op->live->delivery_count);
    if (!op->live->delivery_count)
        counter_add(e->m.unrouted, 1);
    live_publish(e, TAKE(op->live));
    live_bound(e, cmd->tenant);
}

static void broadcast_discard(struct engine *e, struct command *cmd)
{
    struct broadcast_op *op = CONTAINER_OF(cmd, struct broadcast_op, cmd);
    (void)e;
    nutrient_free(TAKE(op->live));
}

/* ---- loop ---- */

static enum qmn_code broadcast_finish(struct engine *e, struct command *cmd, struct err *err)
{
    struct broadcast_op *op = CONTAINER_OF(cmd, struct broadcast_op, cmd);
    if (op->trace.no != op->nutrient.no)
        return fill_from_trace(e, op, &op->kept, err);
    return fill_out(e, op->out, &op->trace, &op->decision, cmd->call->arena, err);
}

static enum qmn_code broadcast_replay(struct engine *e, struct command *cmd, struct bytes result,
                                      struct err *err)
{
    struct broadcast_op *op = CONTAINER_OF(cmd, struct broadcast_op, cmd);
    if (result.len != sizeof op->kept)
        return err_set(err, QMN_E_CORRUPT, "a stored idempotent answer has the wrong length");
    memcpy(&op->kept, result.ptr, sizeof op->kept);
    return fill_from_trace(e, op, &op->kept, err);
}

static const struct command_ops broadcast_ops = {
    .name = "broadcast",
    .check = broadcast_check,
    .publish = broadcast_publish,
    .finish = broadcast_finish,
    .replay = broadcast_replay,
    .discard = broadcast_discard,
};

/* Read lock held: everything that can be refused before the decision. */
static enum qmn_code broadcast_prepare(struct engine *e, struct call *c, struct broadcast_op *op,
                                       struct err *err)
{
    const struct broadcast_in *in = op->in;
    struct tenant *t;
    struct id id;
    if (engine_nutrient_id(in->client_id, &id))
        return err_field(
            err, QMN_E_INVALID, "id",
            "\"%.*s\" is an id as the node makes them; expected none, or one of your own",
            BYTES_FMT(in->client_id));
    TRY(engine_tenant(e, c->caller, &t, err));
    op->cmd.tenant = t;
    TRY(network_acting_agent(t, c->caller, in->source_agent_id, "source_agent_id", &op->source,
                             err));
    op->source_no = op->source->record->no;
    op->tenant_no = t->record->no;
    if (in->sensitivity > agent_clearance(op->source, c->caller))
        return err_field(err, QMN_E_FORBIDDEN, "sensitivity",
                         "\"%s\" is above the clearance of this key or agent",
                         label_name(sensitivity_names, in->sensitivity));
    TRY(engine_vector(t, &in->embedding, "embedding", c->arena, &op->unit, &op->dim, &op->space,
                      err));
    op->embedding = engine_pack_f16(op->unit, op->dim, c->arena);
    return op->embedding.ptr ? QMN_OK : err_nomem(err);
}

static enum qmn_code wrong_dimension(const struct tenant *t, uint32_t dim, struct err *err)
{
    return err_field(err, QMN_E_DIMENSION, "embedding",
                     "%u numbers came; this tenant's vectors have %u dimensions", dim,
                     t->profiles.dim);
}

/* Read lock held, another hold than that of the first pass: what that said of other profiles is
 * computed again. */
static enum qmn_code broadcast_decide(struct engine *e, struct broadcast_op *op,
                                      struct rough *rough, struct err *err)
{
    const struct broadcast_in *in = op->in;
    const struct tenant *t = op->cmd.tenant;
    struct arena *arena = op->cmd.call->arena;
    if (t->profiles.dim && t->profiles.dim != op->dim)
        return wrong_dimension(t, op->dim, err);
    if (engine_rough_is_old(t, rough) && !engine_cosines(t, &op->unit, &arena, 1, rough))
        return err_nomem(err);
    op->codes = bytes_of(rough->query.planes.codes[0], rough->query.unit ? op->dim : 0);
    op->scale = rough->query.planes.scale[0];
    struct decide_in decide = {.source = op->source,
                               .rough = *rough,
                               .hints = in->hints,
                               .sensitivity = in->sensitivity,
                               .top_k = in->top_k,
                               .max_hops = in->max_hops,
                               .diversify = in->diversify,
                               .min_score = in->min_score,
                               .now_ms = engine_now(e)};
    return engine_decide(e, op->cmd.tenant, &decide, arena, &op->decision, err);
}

/* 128 bits over all that the client said of the nutrient. */
static void hash_input(const struct broadcast_in *in, uint64_t ret[2])
{
    const uint32_t numbers[] = {in->sensitivity, in->ttl_sec, in->max_hops,
                                in->quota_cost,  in->top_k,   in->diversify};
    const struct bytes parts[] = {in->source_agent_id,
                                  in->task_id,
                                  in->summary,
                                  in->snippets,
                                  in->hints,
                                  in->embedding.text,
                                  bytes_of(in->embedding.values, in->embedding.dim * sizeof(float)),
                                  bytes_of(&in->min_score, sizeof in->min_score),
                                  bytes_of(numbers, sizeof numbers)};
    for (uint64_t i = 0; i < 2; i++) {
        ret[i] = i + 1;
        for (size_t k = 0; k < ARRAY_LEN(parts); k++)
            ret[i] = bytes_hash(parts[k].ptr ? parts[k] : bytes_of("", 0), ret[i]);
    }
}

static void fill_records(struct broadcast_op *op, struct bytes decision)
{
    const struct broadcast_in *in = op->in;
    if (in->client_id.len)
        hash_input(in, op->body_hash);
    op->nutrient = (struct record_nutrient){.tenant_no = op->tenant_no,
                                            .source_no = op->source_no,
                                            .sensitivity = in->sensitivity,
                                            .summary = in->summary,
                                            .snippets = in->snippets,
                                            .embedding = op->embedding};
    op->trace = (struct record_trace){
        .tenant_no = op->tenant_no,
        .id = id_bytes(&op->id),
        .client_key = engine_client_key(op->cmd.call->arena, in->sensitivity, in->client_id),
        .body_hash =
            in->client_id.len ? bytes_of(op->body_hash, sizeof op->body_hash) : bytes_of("", 0),
        .kind = TRACE_BROADCAST,
        .agent_no = op->source_no,
        .sensitivity = in->sensitivity,
        .task_id = in->task_id,
        .decision = decision};
}

/* What collects of the source will compare their demand with; the decision may have it already. */
static bool fill_codes(struct broadcast_op *op)
{
    if (op->codes.len)
        return true;
    int8_t *codes = arena_alloc(op->cmd.call->arena, op->dim);
    if (codes)
        op->scale = math_kernels()->quantise_i8(op->unit, op->dim, codes);
    op->codes = bytes_of(codes, codes ? op->dim : 0);
    return codes != NULL;
}

static void broadcast_submit(struct engine *e, struct broadcast_op *op, enum qmn_code code)
{
    struct call *c = op->cmd.call;
    op->decision.hints = op->in->hints;
    struct bytes decision =
        code == QMN_OK ? decision_pack(&op->decision, c->arena) : bytes_of(NULL, 0);
    if (code == QMN_OK && (!decision.ptr || !fill_codes(op)))
        code = err_nomem(&c->err);
    if (code != QMN_OK) {
        call_finish(c, code);
        return;
    }
    fill_records(op, decision);
    writer_submit(e, c, &op->cmd);
}

/* Decides up to FLAT_TILE broadcasts of one tenant, with one pass over its agents.  Each decision
 * holds the lock for itself: all of them in one hold kept the writer from publishing for a
 * millisecond, and with it whoever wanted to read. */
static void broadcast_tile(struct engine *e, struct broadcast_op *const *ops, uint32_t count)
{
    const struct tenant *t = ops[0]->cmd.tenant;
    const float *units[FLAT_TILE];
    struct arena *arenas[FLAT_TILE];
    struct rough rough[FLAT_TILE] = {0};
    for (uint32_t i = 0; i < count; i++) {
        units[i] = ops[i]->unit;
        arenas[i] = ops[i]->cmd.call->arena;
    }
    pthread_rwlock_rdlock(&e->net.lock);
    /* the space may have been fixed since these vectors were checked */
    if (!t->profiles.dim || t->profiles.dim == ops[0]->dim)
        (void)engine_cosines(t, units, arenas, count, rough); /* without memory, each tries alone */
    pthread_rwlock_unlock(&e->net.lock);
    for (uint32_t i = 0; i < count; i++) {
        struct err *err = &ops[i]->cmd.call->err;
        pthread_rwlock_rdlock(&e->net.lock);
        enum qmn_code code = broadcast_decide(e, ops[i], &rough[i], err);
        pthread_rwlock_unlock(&e->net.lock);
        broadcast_submit(e, ops[i], code);
    }
}

/* Takes the first broadcast and those of the same tenant and dimension with it, at most a tile. */
static uint32_t take_tile(struct gather *g, struct broadcast_op **ret)
{
    uint32_t count = 0;
    struct broadcast_op **at = &g->broadcasts, *op;
    while ((op = *at) && count < FLAT_TILE) {
        if (count && (op->cmd.tenant != ret[0]->cmd.tenant || op->dim != ret[0]->dim)) {
            at = &op->next;
            continue;
        }
        ret[count++] = op;
        *at = op->next;
    }
    return count;
}

void broadcast_decide_all(struct engine *e, struct gather *g)
{
    struct broadcast_op *ops[FLAT_TILE];
    while (g->broadcasts)
        broadcast_tile(e, ops, take_tile(g, ops));
}

void engine_broadcast(struct engine *e, struct call *c, const struct broadcast_in *in,
                      struct broadcast_out *out)
{
    struct broadcast_op *op = arena_new(c->arena, struct broadcast_op);
    struct gather *g = gather_of(e, c->exec);
    if (!op) {
        call_finish(c, err_nomem(&c->err));
        return;
    }
    op->cmd.ops = &broadcast_ops;
    op->cmd.call = c;
    op->in = in;
    op->out = out;
    op->id = id_make(engine_now(e));
    pthread_rwlock_rdlock(&e->net.lock);
    enum qmn_code code = broadcast_prepare(e, c, op, &c->err);
    pthread_rwlock_unlock(&e->net.lock);
    if (code != QMN_OK) {
        call_finish(c, code);
        return;
    }
    if (!g) {
        broadcast_tile(e, &op, 1);
        return;
    }
    gather_begin(e, g);
    struct broadcast_op **end = &g->broadcasts;
    while (*end)
        end = &(*end)->next;
    *end = op;
}
