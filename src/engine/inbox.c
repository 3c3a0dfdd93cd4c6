/* SPDX-License-Identifier: MIT
 *
 * Pulling from an inbox: lease what is ready, or wait for it.  Leases live in memory only: after a
 * restart everything not acknowledged is offered again, which at-least-once allows. */
#include "engine/live_priv.h"
#include "engine/nutrients.h"

enum {
    PULL_RETRY_MS = 50,   /* least pause before looking again for a lease that runs out */
    PULL_BYTES = 8 << 20, /* of bodies in one answer, so that it fits into the memory of a request;
                           * one item always does */
};

struct pull_op {
    struct waiter waiter;
    struct timer timer;
    struct engine *engine;
    struct call *call;
    const struct pull_in *in;
    struct pull_out *out;
    struct agent *agent;
    int64_t deadline_ms; /* monotonic */
    bool cancelled;
    enum qmn_code welcome; /* of the caller, when last looked */
    struct leased {
        int64_t no, expires_ms, created_ms, source_no;
        struct id id;
        struct bytes source_id, from_id, task_id, client_id, hints;
        uint32_t hop, sensitivity, attempt;
        float score;
    } * leased;
    uint32_t leased_count;
};

/* TTLs go by the wall clock, leases by the monotonic one: a step of the former ends no lease. */
struct moment {
    int64_t wall, mono;
};

/* Sent to a client whose connection broke, perhaps before it came through. */
static bool orphaned(const struct pull_op *op, const struct delivery *d)
{
    return op->in->resume && d->leased && d->leased_to &&
           !u64map_get(&op->engine->net.streams, d->leased_to);
}

static bool ready(const struct pull_op *op, const struct delivery *d, struct moment now,
                  uint32_t clearance)
{
    return (d->ready_ms <= now.mono || orphaned(op, d)) && d->nutrient->expires_ms > now.wall &&
           d->nutrient->no > op->in->after && d->nutrient->sensitivity <= clearance;
}

static void note_lease(struct pull_op *op, const struct delivery *d)
{
    const struct nutrient *x = d->nutrient;
    struct tenant *t = x->tenant;
    struct arena *arena = op->call->arena;
    op->leased[op->leased_count++] = (struct leased){
        .no = x->no,
        .expires_ms = x->expires_ms,
        .created_ms = x->created_ms,
        .id = x->id,
        .source_id = arena_bytes(arena, t->agents[x->source]->record->id),
        .from_id = arena_bytes(arena, t->agents[d->from]->record->id),
        .task_id = arena_bytes(arena, x->task_id),
        .client_id = arena_bytes(arena, x->client_id),
        .hints = arena_bytes(arena, x->hints),
        .hop = d->hop,
        .sensitivity = x->sensitivity,
        .attempt = d->attempts,
        .score = d->score,
    };
}

/* Where to look from: past what is leased, unless a lease has run out or may be taken over. */
static struct delivery *scan_from(const struct pull_op *op, int64_t mono)
{
    struct agent *a = op->agent;
    if (op->in->resume)
        return a->inbox_head;
    if (mono >= a->inbox_scan_ms) {
        a->inbox_scan = a->inbox_head;
        a->inbox_scan_ms = INT64_MAX;
    }
    return a->inbox_scan;
}

/* Read lock and inbox_lock held.  Leases what it can and may carry; *ret_next is when to look again
 * (monotonic; INT64_MAX: on a wake). */
static void lease(struct pull_op *op, struct moment now, int64_t *ret_next)
{
    struct agent *a = op->agent;
    uint32_t clearance = agent_clearance(a, op->call->caller);
    size_t total = 0;
    struct delivery *d = scan_from(op, now.mono);
    *ret_next = a->inbox_scan_ms;
    for (; d && op->leased_count < op->in->limit; d = d->next) {
        if (ready(op, d, now, clearance)) {
            if (total && total + d->nutrient->bytes > PULL_BYTES)
                break;
            total += d->nutrient->bytes;
            d->ready_ms = now.mono + op->in->lease_ms;
            d->leased = true;
            d->leased_to = op->in->stream;
            if (d->attempts < UINT16_MAX)
                d->attempts++;
            note_lease(op, d);
        }
        if (d->ready_ms <= now.mono)
            continue;
        if (d->ready_ms < *ret_next)
            *ret_next = d->ready_ms;
        if (d == a->inbox_scan) {
            a->inbox_scan = d->next;
            if (d->ready_ms < a->inbox_scan_ms)
                a->inbox_scan_ms = d->ready_ms;
        }
    }
    op->out->pending = agent_pending(a, clearance);
    op->out->dropped = a->dropped;
}

static enum qmn_code fill_item(struct pull_op *op, const struct leased *l, struct inbox_item *ret,
                               struct err *err)
{
    struct arena *arena = op->call->arena;
    struct record_nutrient key = {.no = l->no}, row;
    TRY(op->engine->store->ops->get(op->engine->store, RECORD_NUTRIENT, &key, arena, &row, err));
    *ret = (struct inbox_item){.sequence = l->no,
                               .created_ms = l->created_ms,
                               .expires_ms = l->expires_ms,
                               .lease_until_ms = engine_now(op->engine) + op->in->lease_ms,
                               .nutrient_id = engine_nutrient_name(arena, &l->id, l->client_id),
                               .trace_id = engine_id_text(arena, &l->id, PREFIX_TRACE),
                               .source_agent_id = l->source_id,
                               .from_agent_id = l->from_id,
                               .task_id = l->task_id,
                               .summary = row.summary,
                               .snippets = row.snippets,
                               .hints = l->hints,
                               .hop = l->hop,
                               .sensitivity = l->sensitivity,
                               .attempt = l->attempt,
                               .score = l->score};
    if (op->in->embedding) {
        ret->embedding = engine_unpack_f16(row.embedding, arena);
        ret->dim = row.embedding.len / 2;
        if (!ret->embedding)
            return err_nomem(err);
    }
    return QMN_OK;
}

/* Reads the bodies; what expired in between is left out. */
static enum qmn_code pull_fill(struct pull_op *op, struct err *err)
{
    struct inbox_item *items =
        arena_array(op->call->arena, struct inbox_item, op->leased_count + 1);
    size_t n = 0;
    if (!items)
        return err_nomem(err);
    for (uint32_t i = 0; i < op->leased_count; i++) {
        enum qmn_code code = fill_item(op, &op->leased[i], &items[n], err);
        if (code == QMN_OK)
            n++;
        else if (code != QMN_E_NOT_FOUND)
            return code;
    }
    op->out->items = items;
    op->out->count = n;
    return QMN_OK;
}

static void pull_end(struct pull_op *op)
{
    op->call->cancel = NULL;
    op->call->exec->timer_cancel(op->call->exec, &op->timer);
    atomic_fetch_sub(&op->engine->waiting, 1);
    enum qmn_code code = op->welcome;
    call_finish(op->call, code == QMN_OK ? pull_fill(op, &op->call->err) : code);
}

/* Read lock held.  Much may have happened while this pull waited, or since its stream began. */
static enum qmn_code still_welcome(const struct pull_op *op)
{
    const struct call *c = op->call;
    struct err *err = &op->call->err;
    TRY(engine_still_welcome(op->engine, c->caller, err));
    if (op->agent->record->status == AGENT_SUSPENDED)
        return err_field(err, QMN_E_CONFLICT, "agent_id", "agent \"%.*s\" was suspended",
                         BYTES_FMT(op->agent->record->id));
    return QMN_OK;
}

/* inbox_lock held: where to wake who waits for the stream's end. */
static void stream_note(const struct pull_op *op)
{
    uint64_t *agent = u64map_get(&op->engine->net.streams, op->in->stream);
    if (op->in->stream && agent)
        *agent = (uint64_t)op->agent->record->no;
}

/* Leases or parks.  True: parked. */
static bool pull_try(struct pull_op *op)
{
    struct engine *e = op->engine;
    const struct moment now = {engine_now(e), engine_mono_ms(e)};
    int64_t next = INT64_MAX, ends; /* a key's time goes by the wall clock */
    pthread_rwlock_rdlock(&e->net.lock);
    pthread_mutex_lock(&e->net.inbox_lock);
    atomic_store_explicit(&op->agent->last_seen_ms, now.wall, memory_order_relaxed);
    atomic_store_explicit(&op->agent->around_ms, now.mono, memory_order_relaxed);
    op->welcome = still_welcome(op);
    stream_note(op);
    if (op->welcome == QMN_OK && !op->cancelled)
        lease(op, now, &next);
    bool park = op->welcome == QMN_OK && !op->leased_count && !op->cancelled &&
                now.mono < op->deadline_ms && !atomic_load(&e->draining);
    if (park)
        waiter_park(&op->agent->waiters, &op->waiter);
    ends = engine_welcome_until(e, op->call->caller);
    pthread_mutex_unlock(&e->net.inbox_lock);
    pthread_rwlock_unlock(&e->net.lock);
    if (!park)
        return false;
    int64_t wait = op->deadline_ms - now.mono;
    if (ends - now.wall < wait)
        wait = ends > now.wall ? ends - now.wall : 0;
    if (next != INT64_MAX && next - now.mono < wait)
        wait = next - now.mono < PULL_RETRY_MS ? PULL_RETRY_MS : next - now.mono;
    if (op->call->exec->timer_set(op->call->exec, &op->timer, (uint32_t)wait))
        return true;
    pthread_mutex_lock(&e->net.inbox_lock);
    bool still = waiter_unpark(&op->waiter);
    pthread_mutex_unlock(&e->net.inbox_lock);
    return !still; /* without a timer it ends now, unless a wake is on its way */
}

static void pull_step(struct pull_op *op)
{
    if (!pull_try(op))
        pull_end(op);
}

static void pull_woken(struct task *t)
{
    pull_step(CONTAINER_OF(CONTAINER_OF(t, struct waiter, task), struct pull_op, waiter));
}

/* True if it was parked and now is not; false: a wake-up is on its way and will end it. */
static bool pull_unpark(struct pull_op *op)
{
    pthread_mutex_lock(&op->engine->net.inbox_lock);
    bool was = waiter_unpark(&op->waiter);
    pthread_mutex_unlock(&op->engine->net.inbox_lock);
    return was;
}

static void pull_timer(struct timer *t)
{
    struct pull_op *op = CONTAINER_OF(t, struct pull_op, timer);
    if (pull_unpark(op))
        pull_step(op);
}

static void pull_cancel(struct call *c)
{
    struct pull_op *op = c->op;
    op->cancelled = true; /* a wake-up on its way must not lease to a client that has gone */
    if (pull_unpark(op))
        pull_end(op);
}

void engine_cancel(struct engine *e, struct call *c)
{
    (void)e;
    if (c->cancel)
        c->cancel(c);
}

void engine_pull(struct engine *e, struct call *c, const struct pull_in *in, struct pull_out *out)
{
    struct pull_op *op = arena_new(c->arena, struct pull_op);
    struct tenant *t;
    if (op)
        op->leased = arena_array(c->arena, struct leased, in->limit + 1);
    if (!op || !op->leased) {
        call_finish(c, err_nomem(&c->err));
        return;
    }
    op->engine = e;
    op->call = c;
    op->in = in;
    op->out = out;
    *out = (struct pull_out){0};
    op->waiter.exec = c->exec;
    op->waiter.task.run = pull_woken;
    op->waiter.resumes = in->resume;
    op->timer.fire = pull_timer;
    op->deadline_ms = engine_mono_ms(e) + in->wait_ms;
    pthread_rwlock_rdlock(&e->net.lock);
    enum qmn_code code = engine_tenant(e, c->caller, &t, &c->err);
    if (code == QMN_OK)
        code = network_acting_agent(t, c->caller, in->agent_id, "agent_id", &op->agent, &c->err);
    pthread_rwlock_unlock(&e->net.lock);
    if (code == QMN_OK)
        code = engine_open_for(e, &c->err);
    if (code != QMN_OK) {
        call_finish(c, code);
        return;
    }
    c->op = op;
    c->cancel = pull_cancel;
    atomic_fetch_add(&e->waiting, 1);
    pull_step(op);
}

/* ---- streams ---- */

uint32_t engine_stream_open(struct engine *e)
{
    struct network *n = &e->net;
    pthread_mutex_lock(&n->inbox_lock);
    uint32_t number = ++n->last_stream ? n->last_stream : ++n->last_stream;
    if (!u64map_put(&n->streams, number, 0))
        number = 0;
    pthread_mutex_unlock(&n->inbox_lock);
    return number;
}

/* As if it had not been leased, unless somebody else has it by now. */
static void give_back(struct engine *e, struct agent *a, uint32_t stream, int64_t no)
{
    uint64_t *at = u64map_get(&e->net.live_by_no, (uint64_t)no);
    struct nutrient *x = at ? (struct nutrient *)(uintptr_t)*at : NULL;
    struct delivery *d = x ? nutrient_delivery(x, a) : NULL;
    if (!d || !d->queued || !d->leased || d->leased_to != stream)
        return;
    if (d->attempts)
        d->attempts--;
    delivery_offer(d, engine_mono_ms(e));
}

void engine_stream_close(struct engine *e, uint32_t stream, const int64_t *unsent,
                         size_t unsent_count)
{
    struct network *n = &e->net;
    if (!stream)
        return;
    pthread_rwlock_rdlock(&n->lock);
    pthread_mutex_lock(&n->inbox_lock);
    uint64_t *at = u64map_get(&n->streams, stream);
    struct agent *a = at ? network_agent_no(n, (int64_t)*at) : NULL;
    u64map_remove(&n->streams, stream);
    for (size_t i = 0; a && i < unsent_count; i++)
        give_back(e, a, stream, unsent[i]);
    if (a)
        waiters_wake_resuming(&a->waiters); /* back before the end of the old connection */
    pthread_mutex_unlock(&n->inbox_lock);
    pthread_rwlock_unlock(&n->lock);
}
