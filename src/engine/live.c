/* SPDX-License-Identifier: MIT
 *
 * Live nutrients, inboxes and waiters.  Changes happen in publishes of the writer; loops only lease
 * (inbox.c). */
#include "engine/group_priv.h"
#include "engine/live_priv.h"

#include "base/mem.h"

/* ---- waiting ---- */

void waiter_park(struct waiter **list, struct waiter *w)
{
    w->next = *list;
    w->link = list;
    if (w->next)
        w->next->link = &w->next;
    *list = w;
}

bool waiter_unpark(struct waiter *w)
{
    if (!w->link)
        return false;
    *w->link = w->next;
    if (w->next)
        w->next->link = w->link;
    w->link = NULL;
    w->next = NULL;
    return true;
}

static void waiter_wake(struct waiter *w)
{
    if (waiter_unpark(w))
        w->exec->post(w->exec, &w->task);
}

void waiters_wake(struct waiter **list)
{
    while (*list)
        waiter_wake(*list);
}

void waiters_wake_resuming(struct waiter **list)
{
    for (struct waiter *w = *list, *next; w; w = next) {
        next = w->next;
        if (w->resumes)
            waiter_wake(w);
    }
}

void tenant_wake(struct tenant *t)
{
    waiters_wake(&t->collects);
    for (uint32_t i = 0; i < t->agent_count; i++)
        waiters_wake(&t->agents[i]->waiters);
}

void collects_wake(struct tenant *t, int64_t nutrient_no)
{
    struct waiter *next;
    for (struct waiter *w = t->collects; w; w = next) {
        next = w->next;
        for (uint32_t i = 0; i < w->watched_count; i++)
            if (w->watched[i] == nutrient_no) {
                waiter_wake(w);
                break;
            }
    }
}

/* ---- nutrients ---- */

static struct bytes put_behind(char **at, struct bytes text)
{
    char *p = *at;
    if (text.len)
        memcpy(p, text.ptr, text.len);
    *at += text.len;
    return bytes_of(p, text.len);
}

static uint32_t body_bytes(const struct live_in *in)
{
    const struct record_nutrient *r = in->nutrient;
    return (uint32_t)(r->summary.len + r->snippets.len + in->hints.len + r->embedding.len + 64);
}

/* False: out of memory. */
static bool keep_codes(struct nutrient *x, const struct live_in *in)
{
    if (!in->codes.len || !in->route_count)
        return true;
    x->codes = mem_calloc(1, kernels_i8_stride(in->codes.len));
    if (!x->codes)
        return false;
    memcpy(x->codes, in->codes.ptr, in->codes.len);
    x->code_count = (uint32_t)in->codes.len;
    x->scale = in->scale;
    return true;
}

void nutrient_free(struct nutrient *x)
{
    if (x)
        mem_free(x->codes);
    mem_free(x);
}

struct nutrient *live_new(struct tenant *t, const struct live_in *in)
{
    struct network *n = &t->engine->net;
    const struct record_trace *trace = in->trace;
    struct bytes client_id = engine_client_id(trace);
    size_t front = sizeof(struct nutrient) + in->route_count * sizeof(struct delivery);
    struct nutrient *x =
        mem_calloc(1, front + trace->task_id.len + client_id.len + in->hints.len + 1);
    if (!x)
        return NULL;
    char *behind = (char *)x + front;
    *x = (struct nutrient){.no = trace->no,
                           .tenant = t,
                           .source = in->source,
                           .sensitivity = (uint32_t)in->nutrient->sensitivity,
                           .bytes = body_bytes(in),
                           .stored = body_bytes(in),
                           .created_ms = trace->created_ms,
                           .expires_ms = trace->expires_ms,
                           .task_id = put_behind(&behind, trace->task_id),
                           .client_id = put_behind(&behind, client_id),
                           .hints = put_behind(&behind, in->hints)};
    memcpy(&x->id, trace->id.ptr, sizeof x->id);
    if (!keep_codes(x, in)) {
        nutrient_free(x);
        return NULL;
    }
    const struct agent *from = NULL;
    for (uint32_t i = 0; i < in->route_count; i++) {
        const struct route_view *r = &in->routes[i];
        struct agent *a = network_agent_no(n, r->agent_no);
        if (!i || r->from_no != in->routes[i - 1].from_no) /* most come from one */
            from = network_agent_no(n, r->from_no);
        if (!a || a->tenant != t)
            continue; /* loading: the agent was purged since */
        x->deliveries[x->delivery_count++] =
            (struct delivery){.nutrient = x,
                              .agent = a,
                              .from = from ? from->slot : in->source,
                              .hop = r->hop,
                              .state = DELIVERY_PENDING,
                              .score = r->score};
    }
    return x;
}

bool live_reserve(struct engine *e)
{
    return network_grow_live(&e->net, LIMIT_GROUP) && upkeep_reserve(e, LIMIT_GROUP);
}

static void inbox_append(struct delivery *d)
{
    struct agent *a = d->agent;
    d->prev = a->inbox_tail;
    d->next = NULL;
    *(a->inbox_tail ? &a->inbox_tail->next : &a->inbox_head) = d;
    a->inbox_tail = d;
    if (!a->inbox_scan)
        a->inbox_scan = d;
    a->inbox_pending++;
    a->pending_of[d->nutrient->sensitivity]++;
    d->queued = true;
    d->nutrient->pending++;
    waiters_wake(&a->waiters);
}

/* It begins to count against the bound, with the memory its codes take, and to be waited for. */
static void unsettle(struct nutrient *x)
{
    struct agent *source = x->tenant->agents[x->source];
    x->bytes += x->code_count;
    x->tenant->live_bytes += x->bytes;
    x->own_older = source->own;
    if (source->own)
        source->own->own_newer = x;
    source->own = x;
}

/* Nobody has it in an inbox any more. */
static void settle(struct nutrient *x)
{
    struct agent *source = x->tenant->agents[x->source];
    x->tenant->live_bytes -= x->bytes;
    x->bytes = 0;
    *(x->own_newer ? &x->own_newer->own_older : &source->own) = x->own_older;
    if (x->own_older)
        x->own_older->own_newer = x->own_newer;
    x->own_older = x->own_newer = NULL;
    mem_free(TAKE(x->codes));
    x->code_count = 0;
}

void delivery_offer(struct delivery *d, int64_t ready_ms)
{
    struct agent *a = d->agent;
    d->ready_ms = ready_ms;
    d->leased = false;
    if (ready_ms < a->inbox_scan_ms)
        a->inbox_scan_ms = ready_ms;
    waiters_wake(&a->waiters);
}

void delivery_end(struct delivery *d, enum delivery_state state)
{
    struct agent *a = d->agent;
    d->state = (uint8_t)state;
    if (!d->queued)
        return;
    *(d->prev ? &d->prev->next : &a->inbox_head) = d->next;
    *(d->next ? &d->next->prev : &a->inbox_tail) = d->prev;
    d->queued = false;
    if (a->inbox_scan == d)
        a->inbox_scan = d->next;
    a->inbox_pending--;
    a->pending_of[d->nutrient->sensitivity]--;
    if (--d->nutrient->pending == 0)
        settle(d->nutrient);
}

/* Not what ended with a suspension: since the decision, or, at a start, before the agent came back.
 */
static bool agent_takes(const struct agent *a, int64_t no)
{
    return a->record->status != AGENT_SUSPENDED && no > a->record->inbox_from;
}

void live_publish(struct engine *e, struct nutrient *x)
{
    struct tenant *t = x->tenant;
    t->stored_bytes += x->stored;
    u64map_put(&e->net.live_by_id, id_hash(&x->id), (uintptr_t)x);
    u64map_put(&e->net.live_by_no, (uint64_t)x->no, (uintptr_t)x);
    if (x->client_id.len)
        u64map_put(&e->net.live_by_client, client_id_hash(t, x->sensitivity, x->client_id),
                   (uintptr_t)x);
    x->older = t->newest;
    *(t->newest ? &t->newest->newer : &t->oldest) = x;
    t->newest = x;
    if (!t->bounded)
        t->bounded = x;
    t->live_count++;
    unsettle(x);
    for (uint32_t i = 0; i < x->delivery_count; i++)
        if (agent_takes(x->deliveries[i].agent, x->no))
            inbox_append(&x->deliveries[i]);
        else
            x->deliveries[i].state = DELIVERY_REJECTED;
    if (!x->pending)
        settle(x);
    upkeep_schedule(e, EXPIRE_NUTRIENT, x->expires_ms, t, x->no, 0);
}

void live_bound(struct engine *e, struct tenant *t)
{
    struct nutrient *x = t->bounded;
    for (; x && t->live_bytes > e->inbox_bytes && x != t->newest; x = x->newer) {
        if (!x->pending)
            continue;
        for (uint32_t i = 0; i < x->delivery_count; i++)
            if (x->deliveries[i].queued) {
                delivery_end(&x->deliveries[i], DELIVERY_REJECTED);
                x->deliveries[i].agent->dropped++;
                counter_add(e->m.dropped, 1);
            }
        collects_wake(t, x->no);
    }
    t->bounded = x;
}

void live_remove(struct engine *e, struct nutrient *x)
{
    struct tenant *t = x->tenant;
    t->stored_bytes -= x->stored;
    for (uint32_t i = 0; i < x->delivery_count; i++)
        delivery_end(&x->deliveries[i], DELIVERY_REJECTED);
    collects_wake(t, x->no);
    *(x->older ? &x->older->newer : &t->oldest) = x->newer;
    *(x->newer ? &x->newer->older : &t->newest) = x->older;
    if (t->bounded == x)
        t->bounded = x->newer;
    t->live_count--;
    u64map_remove(&e->net.live_by_id, id_hash(&x->id));
    u64map_remove(&e->net.live_by_no, (uint64_t)x->no);
    if (x->client_id.len)
        u64map_remove(&e->net.live_by_client, client_id_hash(t, x->sensitivity, x->client_id));
    nutrient_free(x);
}

/* ---- responses ---- */

/* Room for what the group brings so far in an index and the array beside it; under the write lock
 * when something moves. */
static bool reserve_slots(struct engine *e, struct flat *index, void **items, uint32_t *cap,
                          size_t size)
{
    uint32_t places = writer_places(e, 0);
    if (!network_grow_array(&e->net, items, cap, index->slots + places, size))
        return false;
    if (flat_has_room(index, places))
        return true;
    pthread_rwlock_wrlock(&e->net.lock);
    bool ok = flat_reserve(index, places);
    pthread_rwlock_unlock(&e->net.lock);
    return ok;
}

bool response_reserve(struct engine *e, struct tenant *t)
{
    return reserve_slots(e, &t->response_index, (void **)&t->responses, &t->response_cap,
                         sizeof *t->responses) &&
           upkeep_reserve(e, writer_places(e, 0));
}

uint32_t response_bytes(const struct record_response *r)
{
    return (uint32_t)(r->content.len + r->embedding.len);
}

void response_publish(struct engine *e, struct tenant *t, const struct record_response *r,
                      uint32_t agent, const float *unit)
{
    uint32_t slot = flat_add(&t->response_index, unit);
    struct response *x = &t->responses[slot];
    *x = (struct response){.no = r->no,
                           .nutrient_no = r->nutrient_no,
                           .expires_ms = r->expires_ms,
                           .created_ms = r->created_ms,
                           .agent = agent,
                           .sensitivity = (uint32_t)r->sensitivity,
                           .quality = (float)r->quality,
                           .stored = response_bytes(r),
                           .used = true};
    t->stored_bytes += x->stored;
    memcpy(&x->id, r->id.ptr, sizeof x->id);
    upkeep_schedule(e, EXPIRE_RESPONSE, r->expires_ms, t, r->no, slot);
}

void response_remove(struct tenant *t, uint32_t slot)
{
    t->stored_bytes -= t->responses[slot].stored;
    t->responses[slot] = (struct response){0};
    flat_remove(&t->response_index, slot);
}
