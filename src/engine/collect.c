/* SPDX-License-Identifier: MIT
 *
 * Collect: fresh responses and memories near a demand, merged, ranked, diverse.
 *
 * It waits at most the window, and only while somebody who was asked is still outstanding:
 * deliveries of the acting agent's own live nutrients (of the same task, or near the demand) to
 * agents that hold a lease or pulled within the last minute.  Each response, acknowledgement,
 * refusal or expiry of a watched nutrient wakes it to look again. */
#include "engine/decide_priv.h"
#include "engine/memory_index_priv.h"
#include "engine/nutrients.h"
#include "engine/writer_priv.h"
#include "route/select.h"

enum {
    COLLECT_WATCH_MAX = 64,      /* newest own nutrients in somebody's inbox looked at */
    COLLECT_SEEN_MS = 60 * 1000, /* an agent that pulled within that time may still answer */
    COLLECT_POOL_PER_RESULT = 4, /* candidates of each source per wanted result, for diversity */
    COLLECT_BYTES = 8 << 20,     /* of contents in an answer, and the item that goes beyond */
};
#define COLLECT_NEAR 0.5f /* cosine of an own nutrient to the demand */

struct collect_op {
    struct command cmd;
    struct waiter waiter;
    struct timer timer;
    struct engine *engine;
    const struct collect_in *in;
    struct collect_out *out;
    struct agent *agent;
    int64_t tenant_no, agent_no;
    const float *unit;
    int8_t *codes; /* of unit */
    float scale;
    uint32_t dim;
    struct bytes space;
    int64_t started_ms, deadline_ms; /* monotonic */
    int64_t watched[COLLECT_WATCH_MAX];
    struct found {
        struct id id;
        int64_t no, agent_no, created_ms;
        uint32_t agent, slot, sensitivity;
        struct bytes kind, agent_id;
        bool from_memory;
        float similarity, quality, score;
        const float *unit; /* copy, for diversity */
    } * found;
    uint32_t found_count;
    struct id id;
    struct record_trace trace;
};

/* ---- whom to wait for ---- */

static bool near_demand(const struct collect_op *op, const struct nutrient *x)
{
    int32_t dot;
    if (op->in->task_id.len && bytes_equal(op->in->task_id, x->task_id))
        return true;
    if (x->code_count != op->dim)
        return false;
    math_kernels()->dot_i8_rows(x->codes, kernels_i8_stride(op->dim), 1, op->codes, op->dim, &dot);
    return x->scale * op->scale * (float)dot >= COLLECT_NEAR;
}

/* Read lock held: the acting agent's newest own nutrients that matter to the demand. */
static bool watch_own(struct collect_op *op)
{
    const struct nutrient *x = op->agent->own;
    op->codes = arena_alloc(op->cmd.call->arena, op->dim);
    if (!op->codes)
        return false;
    op->scale = math_kernels()->quantise_i8(op->unit, op->dim, op->codes);
    for (uint32_t seen = 0; x && seen < COLLECT_WATCH_MAX; x = x->own_older, seen++)
        if (near_demand(op, x))
            op->watched[op->waiter.watched_count++] = x->no;
    op->waiter.watched = op->watched;
    return true;
}

/* Read lock and inbox_lock held. */
static uint32_t outstanding(const struct collect_op *op, int64_t mono)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < op->waiter.watched_count; i++) {
        uint64_t *at = u64map_get(&op->engine->net.live_by_no, (uint64_t)op->watched[i]);
        const struct nutrient *x = at ? (const struct nutrient *)(uintptr_t)*at : NULL;
        for (uint32_t k = 0; x && k < x->delivery_count; k++) {
            const struct delivery *d = &x->deliveries[k];
            bool leased = d->leased && d->ready_ms > mono;
            bool around = d->agent->around_ms && mono - d->agent->around_ms < COLLECT_SEEN_MS;
            n += d->queued && !d->responses && (leased || around);
        }
    }
    return n;
}

/* ---- what was found ---- */

struct permit {
    struct collect_op *op;
    uint32_t clearance;
    int64_t now;
    struct memory_permit memories;
};

static bool permit_response(void *ctx, uint32_t slot)
{
    const struct permit *p = ctx;
    const struct response *r = &p->op->cmd.tenant->responses[slot];
    return r->used && r->sensitivity <= p->clearance && r->expires_ms > p->now;
}

static bool add_found(struct collect_op *op, struct found f, int64_t now)
{
    const struct tenant *t = op->cmd.tenant;
    struct arena *arena = op->cmd.call->arena;
    if (f.similarity < op->in->min_similarity || f.similarity <= 0 || f.quality <= 0)
        return true; /* worth nothing whatever the edge, which is never 0 */
    /* an agent's own memories count as from an edge at the prior */
    double weight =
        f.agent == op->agent->slot ? EDGE_PRIOR : edge_weight_now(op->agent, f.agent, now);
    f.agent_no = t->agents[f.agent]->record->no;
    f.score = f.similarity * f.quality * (float)(weight / EDGE_PRIOR);
    float *unit = arena_raw(arena, float, op->dim);
    f.kind = arena_bytes(arena, f.kind);
    if (!unit || !f.kind.ptr)
        return false;
    if (f.from_memory)
        vectors_copy(t->memory_index, f.slot, unit);
    else
        flat_copy(&t->response_index, f.slot, unit);
    f.unit = unit;
    op->found[op->found_count++] = f;
    return true;
}

/* Of each source. */
static size_t pool_size(const struct collect_op *op)
{
    return (size_t)op->in->top_k * COLLECT_POOL_PER_RESULT;
}

static bool gather_responses(struct collect_op *op, struct permit *p, size_t k)
{
    struct tenant *t = op->cmd.tenant;
    struct arena *arena = op->cmd.call->arena;
    struct topk_item *items = arena_array(arena, struct topk_item, k);
    struct flat_filter filter = {permit_response, p};
    uint64_t permitted = 0;
    size_t n = items && t->response_index.dim
                   ? flat_search(&t->response_index, op->unit, k, &filter, arena, items, &permitted)
                   : 0;
    op->out->responses_considered = (uint32_t)permitted;
    for (size_t i = 0; i < n; i++) {
        const struct response *r = &t->responses[items[i].id];
        struct found f = {.id = r->id,
                          .no = r->no,
                          .created_ms = r->created_ms,
                          .agent = r->agent,
                          .sensitivity = r->sensitivity,
                          .kind = BYTES_LIT("response"),
                          .slot = items[i].id,
                          .similarity = items[i].score,
                          .quality = r->quality};
        if (!add_found(op, f, p->now))
            return false;
    }
    return items != NULL;
}

static bool gather_memories(struct collect_op *op, struct permit *p,
                            const struct memory_finds *finds)
{
    const struct tenant *t = op->cmd.tenant;
    if (!memory_permit_again(t, p->clearance, NULL, op->cmd.call->arena, &p->memories))
        return false;
    op->out->memories_considered = (uint32_t)finds->permitted;
    for (size_t i = 0; i < finds->count; i++) {
        const struct memory *m = memory_index_found(t, finds, &p->memories, i);
        if (!m)
            continue;
        struct found f = {.id = m->id,
                          .no = m->no,
                          .created_ms = m->created_ms,
                          .agent = m->agent,
                          .sensitivity = m->sensitivity,
                          .kind = t->memory_kinds[m->kind],
                          .from_memory = true,
                          .slot = finds->items[i].id,
                          .similarity = finds->items[i].score,
                          .quality = (float)m->quality};
        if (!add_found(op, f, p->now))
            return false;
    }
    return true;
}

/* What is not near the demand would be returned for want of better, and its author credited when
 * the rest helped.  The best is among what the caller may see, so that nothing hidden shows. */
static void leave_out_the_distant(struct collect_op *op)
{
    float best = 0;
    uint32_t kept = 0;
    if (op->in->min_similarity >= -1)
        return;
    for (uint32_t i = 0; i < op->found_count; i++)
        best = op->found[i].similarity > best ? op->found[i].similarity : best;
    float share = best * COLLECT_FLOOR_SHARE;
    float floor = share > COLLECT_FLOOR ? share : COLLECT_FLOOR;
    for (uint32_t i = 0; i < op->found_count; i++)
        if (op->found[i].similarity >= floor)
            op->found[kept++] = op->found[i];
    op->found_count = kept;
}

/* Read lock held. */
static bool gather(struct collect_op *op, struct permit *p, const struct memory_finds *memories)
{
    size_t k = pool_size(op);
    op->found = arena_array(op->cmd.call->arena, struct found, 2 * k + 1);
    if (!op->found || !gather_responses(op, p, k) || !gather_memories(op, p, memories))
        return false;
    leave_out_the_distant(op);
    return true;
}

/* Best first; equal ones by age and number, so that an answer is stable. */
static bool before(const struct found *a, const struct found *b)
{
    return a->score > b->score || (a->score == b->score && a->no < b->no);
}

static void sort_found(struct found *f, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++) /* a few dozen */
        for (uint32_t k = i; k > 0 && before(&f[k], &f[k - 1]); k--) {
            struct found swap = f[k];
            f[k] = f[k - 1];
            f[k - 1] = swap;
        }
}

static float likeness(void *ctx, uint32_t a, uint32_t b)
{
    const struct collect_op *op = ctx;
    return math_kernels()->dot_f32(op->found[a].unit, op->found[b].unit, op->dim);
}

/* Leaves the chosen in front: plain order, or MMR over the best. */
static void choose(struct collect_op *op)
{
    float scores[ROUTE_POOL_MAX];
    struct selection sel;
    struct found *picked = arena_array(op->cmd.call->arena, struct found, LIMIT_TOP_K + 1);
    sort_found(op->found, op->found_count);
    if (op->found_count > ROUTE_POOL_MAX)
        op->found_count = ROUTE_POOL_MAX;
    if (!op->in->diversify || !picked || !op->found_count) {
        if (op->found_count > op->in->top_k)
            op->found_count = op->in->top_k;
        return;
    }
    for (uint32_t i = 0; i < op->found_count; i++)
        scores[i] = op->found[i].score;
    struct select_options options = {.top_k = op->in->top_k,
                                     .eligible_total = op->found_count,
                                     .diversify = true,
                                     .epsilon = 0,
                                     .similarity = likeness,
                                     .ctx = op};
    struct rng rng;
    rng_seed(&rng, 1); /* epsilon 0: not drawn from */
    route_select(scores, op->found_count, &options, &rng, &sel);
    for (uint32_t i = 0; i < sel.count; i++)
        picked[i] = op->found[sel.chosen[i]];
    memcpy(op->found, picked, sel.count * sizeof *picked);
    op->found_count = sel.count;
}

/* ---- the answer ---- */

static enum qmn_code read_content(struct collect_op *op, const struct found *f, struct bytes *ret,
                                  struct err *err)
{
    struct store *store = op->engine->store;
    struct arena *arena = op->cmd.call->arena;
    if (f->from_memory) {
        struct record_memory key = {.no = f->no}, row;
        TRY(store->ops->get(store, RECORD_MEMORY, &key, arena, &row, err));
        if (row.sensitivity > f->sensitivity)
            return QMN_E_NOT_FOUND; /* raised since it was found */
        *ret = row.content;
    } else {
        struct record_response key = {.no = f->no}, row;
        TRY(store->ops->get(store, RECORD_RESPONSE, &key, arena, &row, err));
        *ret = row.content;
    }
    return QMN_OK;
}

/* Reads the contents without the lock, which somebody may be waiting for; what went in between is
 * left out, of the trace too, and so is what goes beyond the bytes of an answer. */
static enum qmn_code fill_items(struct collect_op *op, struct err *err)
{
    struct arena *arena = op->cmd.call->arena;
    struct context_item *items = arena_array(arena, struct context_item, op->found_count + 1);
    uint32_t n = 0;
    size_t total = 0;
    if (!items)
        return err_nomem(err);
    for (uint32_t i = 0; i < op->found_count && total < COLLECT_BYTES; i++) {
        const struct found f = op->found[i];
        struct bytes data = {0};
        enum qmn_code code = read_content(op, &f, &data, err);
        if (code == QMN_E_NOT_FOUND)
            continue;
        TRY(code);
        total += data.len;
        items[n] = (struct context_item){
            .id = engine_id_text(arena, &f.id, f.from_memory ? PREFIX_MEMORY : PREFIX_RESPONSE),
            .agent_id = f.agent_id,
            .kind = f.kind,
            .data = data,
            .from_memory = f.from_memory,
            .similarity = f.similarity,
            .quality = f.quality,
            .score = f.score,
            .sensitivity = f.sensitivity,
            .created_ms = f.created_ms};
        op->found[n++] = f;
    }
    op->found_count = n;
    op->out->items = items;
    op->out->count = n;
    return QMN_OK;
}

/* What the trace tells of a contribution is as secret as the contribution. */
static uint32_t highest_label(const struct collect_op *op)
{
    uint32_t highest = LABEL_PUBLIC;
    for (uint32_t i = 0; i < op->found_count; i++)
        if (op->found[i].sensitivity > highest)
            highest = op->found[i].sensitivity;
    return highest;
}

static enum qmn_code pack_trace(struct collect_op *op, struct err *err)
{
    struct arena *arena = op->cmd.call->arena;
    struct contribution_view *c = arena_array(arena, struct contribution_view, op->found_count + 1);
    struct decision d = {.head = {.contribution_count = op->found_count, .top_k = op->in->top_k},
                         .contributions = c};
    if (!c)
        return err_nomem(err);
    for (uint32_t i = 0; i < op->found_count; i++)
        c[i] = (struct contribution_view){.agent_no = op->found[i].agent_no,
                                          .item_no = op->found[i].no,
                                          .id = op->found[i].id,
                                          .from_memory = op->found[i].from_memory,
                                          .similarity = op->found[i].similarity,
                                          .score = op->found[i].score};
    op->trace = (struct record_trace){.tenant_no = op->tenant_no,
                                      .id = id_bytes(&op->id),
                                      .kind = TRACE_COLLECT,
                                      .agent_no = op->agent_no,
                                      .sensitivity = highest_label(op),
                                      .task_id = op->in->task_id,
                                      .decision = decision_pack(&d, arena)};
    op->out->trace_id = engine_id_text(arena, &op->id, PREFIX_TRACE);
    return op->trace.decision.ptr && op->out->trace_id.len ? QMN_OK : err_nomem(err);
}

static enum qmn_code collect_check(struct engine *e, struct command *cmd, struct err *err)
{
    struct collect_op *op = CONTAINER_OF(cmd, struct collect_op, cmd);
    TRY(writer_use(e, cmd->tenant, USAGE_COLLECTS, 1, err));
    op->trace.no = writer_next_no(e);
    op->trace.created_ms = writer_now_ms(e);
    writer_add(e, MUT_INSERT, RECORD_TRACE, &op->trace);
    return QMN_OK;
}

static void collect_publish(struct engine *e, struct command *cmd)
{
    (void)cmd;
    counter_add(e->m.collects, 1);
}

static const struct command_ops collect_ops = {
    .name = "collect", .check = collect_check, .publish = collect_publish};

/* Read lock held.  Much may have happened while it waited, or since the vector was checked. */
static enum qmn_code still_possible(const struct collect_op *op, struct err *err)
{
    const struct tenant *t = op->cmd.tenant;
    TRY(engine_still_welcome(op->engine, op->cmd.call->caller, err));
    if (op->agent->record->status == AGENT_SUSPENDED)
        return err_field(err, QMN_E_CONFLICT, "agent_id", "agent \"%.*s\" was suspended",
                         BYTES_FMT(op->agent->record->id));
    if (t->record->dim && (uint32_t)t->record->dim != op->dim)
        return err_field(err, QMN_E_DIMENSION, "demand_embedding",
                         "%u numbers came; this tenant's vectors have %lld dimensions", op->dim,
                         (long long)t->record->dim);
    if (t->record->space.len && !bytes_equal(t->record->space, op->space))
        return err_field(err, QMN_E_SPACE_MISMATCH, "demand_embedding",
                         "this tenant's vectors are in space \"%.*s\", this one is in \"%.*s\"",
                         BYTES_FMT(t->record->space), BYTES_FMT(op->space));
    return QMN_OK;
}

/* Searches the memories; whose the slots are is looked up under the lock.  The caller ends `ret`,
 * on failure too. */
static enum qmn_code search_memories(struct collect_op *op, struct permit *p,
                                     struct memory_finds *ret, struct err *err)
{
    struct engine *e = op->engine;
    struct tenant *t = op->cmd.tenant;
    struct arena *arena = op->cmd.call->arena;
    pthread_rwlock_rdlock(&e->net.lock);
    enum qmn_code code = still_possible(op, err);
    p->clearance = agent_clearance(op->agent, op->cmd.call->caller);
    if (code == QMN_OK && !memory_permit(t, p->clearance, p->now, NULL, arena, &p->memories))
        code = err_nomem(err);
    if (code == QMN_OK)
        memory_index_begin(t, &p->memories, ret);
    pthread_rwlock_unlock(&e->net.lock);
    if (code == QMN_OK &&
        !memory_index_search(e, ret, op->unit, (uint32_t)pool_size(op), false, arena))
        code = err_nomem(err);
    return code;
}

/* Read lock held: all of the answer but the contents. */
static enum qmn_code choose_found(struct collect_op *op, struct permit *p,
                                  const struct memory_finds *memories, struct err *err)
{
    struct arena *arena = op->cmd.call->arena;
    TRY(still_possible(op, err));
    p->clearance = agent_clearance(op->agent, op->cmd.call->caller);
    if (!gather(op, p, memories))
        return err_nomem(err);
    choose(op);
    for (uint32_t i = 0; i < op->found_count; i++) {
        struct found *f = &op->found[i];
        f->agent_id = arena_bytes(arena, op->cmd.tenant->agents[f->agent]->record->id);
        if (!f->agent_id.ptr)
            return err_nomem(err);
    }
    op->tenant_no = op->cmd.tenant->record->no;
    op->agent_no = op->agent->record->no;
    return QMN_OK;
}

static enum qmn_code find(struct collect_op *op, struct err *err)
{
    struct permit p = {.op = op, .now = engine_now(op->engine)};
    struct memory_finds memories = {0};
    enum qmn_code code = search_memories(op, &p, &memories, err);
    if (code == QMN_OK) {
        pthread_rwlock_rdlock(&op->engine->net.lock);
        code = choose_found(op, &p, &memories, err);
        pthread_rwlock_unlock(&op->engine->net.lock);
    }
    memory_index_end(&memories);
    return code;
}

static void collect_end(struct collect_op *op)
{
    struct engine *e = op->engine;
    struct call *call = op->cmd.call;
    call->cancel = NULL;
    call->exec->timer_cancel(call->exec, &op->timer);
    atomic_fetch_sub(&e->waiting, 1);
    op->out->waited_ms = (uint32_t)(engine_mono_ms(e) - op->started_ms);
    enum qmn_code code = find(op, &call->err);
    if (code == QMN_OK)
        code = fill_items(op, &call->err);
    if (code == QMN_OK)
        code = pack_trace(op, &call->err);
    if (code != QMN_OK)
        call_finish(call, code);
    else
        writer_submit(e, call, &op->cmd);
}

/* ---- waiting ---- */

static bool unpark(struct collect_op *op)
{
    pthread_mutex_lock(&op->engine->net.inbox_lock);
    bool was = waiter_unpark(&op->waiter);
    pthread_mutex_unlock(&op->engine->net.inbox_lock);
    return was;
}

static void collect_step(struct collect_op *op)
{
    struct engine *e = op->engine;
    struct executor *exec = op->cmd.call->exec;
    int64_t mono = engine_mono_ms(e);
    pthread_rwlock_rdlock(&e->net.lock);
    pthread_mutex_lock(&e->net.inbox_lock);
    op->out->outstanding = outstanding(op, mono);
    bool park = op->out->outstanding && mono < op->deadline_ms && !atomic_load(&e->draining);
    if (park)
        waiter_park(&op->cmd.tenant->collects, &op->waiter);
    pthread_mutex_unlock(&e->net.inbox_lock);
    pthread_rwlock_unlock(&e->net.lock);
    if (park && exec->timer_set(exec, &op->timer, (uint32_t)(op->deadline_ms - mono)))
        return;
    if (park && !unpark(op))
        return; /* without a timer it ends now, unless a wake is on its way */
    collect_end(op);
}

static void collect_woken(struct task *t)
{
    struct waiter *w = CONTAINER_OF(t, struct waiter, task);
    struct collect_op *op = CONTAINER_OF(w, struct collect_op, waiter);
    collect_step(op);
}

static void collect_timer(struct timer *t)
{
    struct collect_op *op = CONTAINER_OF(t, struct collect_op, timer);
    op->deadline_ms = 0;
    if (unpark(op))
        collect_step(op);
}

static void collect_cancel(struct call *c)
{
    struct collect_op *op = c->op;
    op->deadline_ms = 0;
    if (unpark(op))
        collect_step(op);
}

static enum qmn_code collect_prepare(struct engine *e, struct call *c, struct collect_op *op,
                                     struct err *err)
{
    TRY(engine_open_for(e, err));
    TRY(engine_tenant(e, c->caller, &op->cmd.tenant, err));
    TRY(network_acting_agent(op->cmd.tenant, c->caller, op->in->agent_id, "agent_id", &op->agent,
                             err));
    TRY(engine_vector(op->cmd.tenant, &op->in->demand, "demand_embedding", c->arena, &op->unit,
                      &op->dim, &op->space, err));
    return watch_own(op) ? QMN_OK : err_nomem(err);
}

void engine_collect(struct engine *e, struct call *c, const struct collect_in *in,
                    struct collect_out *out)
{
    struct collect_op *op = arena_new(c->arena, struct collect_op);
    if (!op) {
        call_finish(c, err_nomem(&c->err));
        return;
    }
    *out = (struct collect_out){0};
    op->engine = e;
    op->in = in;
    op->out = out;
    op->cmd.ops = &collect_ops;
    op->cmd.call = c;
    op->waiter.exec = c->exec;
    op->waiter.task.run = collect_woken;
    op->timer.fire = collect_timer;
    op->started_ms = engine_mono_ms(e);
    op->deadline_ms = op->started_ms + in->window_ms;
    op->id = id_make(engine_now(e));
    pthread_rwlock_rdlock(&e->net.lock);
    enum qmn_code code = collect_prepare(e, c, op, &c->err);
    pthread_rwlock_unlock(&e->net.lock);
    if (code != QMN_OK) {
        call_finish(c, code);
        return;
    }
    c->op = op;
    c->cancel = collect_cancel;
    op->cmd.admitted = true; /* it may end while the node drains */
    atomic_fetch_add(&e->waiting, 1);
    collect_step(op);
}
