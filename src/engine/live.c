/* SPDX-License-Identifier: MIT
 *
 * Live nutrients, inboxes and waiters.  Changes happen in publishes of the writer; loops only lease
 * (inbox.c). */
#include "engine/group_priv.h"
#include "engine/live_priv.h"
#include "engine/memory_index_priv.h"

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

/* ---- memories ---- */

bool memory_reserve(struct engine *e, struct tenant *t, struct bytes kind)
{
    struct network *n = &e->net;
    if (!memory_index_reserve(e, t) || !upkeep_reserve(e, writer_places(e, 0)) ||
        !network_grow_array(n, (void **)&t->memory_kinds, &t->memory_kind_cap,
                            t->memory_kind_count + 1, sizeof *t->memory_kinds))
        return false;
    bool known = textmap_get(&t->memory_kind_ids, kind) != NULL;
    char *text = known ? NULL : mem_alloc(kind.len + 1);
    if (!known && !text)
        return false;
    pthread_rwlock_wrlock(&n->lock);
    uint32_t places = writer_places(e, 0);
    bool ok = u64map_reserve(&t->memory_by_id, places) &&
              u64map_reserve(&t->memory_by_no, places) &&
              u64map_reserve(&t->memory_by_print, places) &&
              (known || textmap_reserve(&t->memory_kind_ids, 1));
    if (ok && !known) {
        /* a kind stays even if this memory does not: harmless, and publishing needs no memory */
        memcpy(text, kind.ptr, kind.len);
        t->memory_kinds[t->memory_kind_count] = bytes_of(text, kind.len);
        textmap_put(&t->memory_kind_ids, bytes_of(text, kind.len),
                    (void *)(uintptr_t)(++t->memory_kind_count));
        text = NULL;
    }
    pthread_rwlock_unlock(&n->lock);
    mem_free(text);
    return ok;
}

uint32_t memory_bytes(const struct record_memory *m, uint32_t dim)
{
    return (uint32_t)(m->content.len + m->metadata.len + dim * sizeof(float));
}

uint32_t memory_version_bytes(const struct record_memory_version *v)
{
    return (uint32_t)(v->content.len + v->metadata.len + v->vector.len);
}

uint64_t memory_print(const struct record_memory *m, struct bytes vector)
{
    uint64_t h = bytes_hash(m->content,
                            (uint64_t)m->agent_no * (LABEL_SECRET + 1) + (uint64_t)m->sensitivity);
    return bytes_hash(vector, bytes_hash(m->kind, h));
}

/* Links what stands at the slot. */
static void memory_link(struct engine *e, struct tenant *t, uint32_t slot)
{
    const struct memory *x = &t->memories[slot];
    u64map_put(&t->memory_by_id, id_hash(&x->id), slot);
    if (x->version > 1)
        u64map_put(&t->memory_by_no, (uint64_t)x->no, slot);
    if (!u64map_get(&t->memory_by_print, x->print))
        u64map_put(&t->memory_by_print, x->print, slot);
    if (x->expires_ms)
        upkeep_schedule(e, EXPIRE_MEMORY, x->expires_ms, t, x->no, slot);
}

static void memory_unlink(struct tenant *t, uint32_t slot)
{
    const struct memory *x = &t->memories[slot];
    uint64_t *twin = u64map_get(&t->memory_by_print, x->print);
    u64map_remove(&t->memory_by_id, id_hash(&x->id));
    u64map_remove(&t->memory_by_no, (uint64_t)x->no);
    if (twin && *twin == slot)
        u64map_remove(&t->memory_by_print, x->print);
}

static void memory_fill(struct tenant *t, uint32_t slot, const struct record_memory *m,
                        uint32_t agent, uint64_t print, uint32_t stored)
{
    struct memory *x = &t->memories[slot];
    uintptr_t kind = (uintptr_t)textmap_get(&t->memory_kind_ids, m->kind);
    *x = (struct memory){.no = m->no,
                         .expires_ms = m->expires_ms,
                         .created_ms = m->created_ms,
                         .version = m->version,
                         .updated_ms = m->updated_ms,
                         .begun_ms = m->begun_ms,
                         .agent = agent,
                         .kind = (uint32_t)(kind - 1),
                         .sensitivity = (uint32_t)m->sensitivity,
                         .quality = m->quality,
                         .print = print,
                         .said = (uint32_t)(m->content.len + m->metadata.len),
                         .stored = stored,
                         .used = true};
    memcpy(&x->id, m->id.ptr, sizeof x->id);
}

void memory_publish(struct engine *e, struct tenant *t, const struct record_memory *m,
                    uint32_t agent, const float *unit, uint64_t print)
{
    uint32_t slot = memory_index_add(t, unit);
    memory_fill(t, slot, m, agent, print, memory_bytes(m, t->profiles.dim));
    t->stored_bytes += t->memories[slot].stored;
    memory_link(e, t, slot);
}

void memory_change(struct tenant *t, uint32_t slot, const struct record_memory *m, uint32_t agent,
                   const float *unit, uint64_t print, int64_t history)
{
    const struct memory *x = &t->memories[slot];
    int64_t grows = history + (int64_t)m->content.len + (int64_t)m->metadata.len - x->said;
    uint32_t stored = (uint32_t)((int64_t)x->stored + grows);
    memory_unlink(t, slot);
    if (unit) { /* a vector never changes where it is: the graph knows the place by the old one */
        uint32_t was = slot;
        slot = memory_index_add(t, unit);
        memory_index_remove(t, was);
        t->memories[was] = (struct memory){0};
    }
    memory_fill(t, slot, m, agent, print, stored);
    t->stored_bytes += (uint64_t)grows;
    memory_link(t->engine, t, slot);
}

void memory_add_history(struct tenant *t, const struct record_memory_version *v)
{
    uint64_t *slot = u64map_get(&t->memory_by_no, (uint64_t)v->memory_no);
    if (!slot)
        return;
    uint32_t bytes = memory_version_bytes(v);
    t->memories[*slot].stored += bytes;
    t->stored_bytes += bytes;
}

void memory_delete_rows(struct engine *e, const struct memory *m)
{
    int64_t oldest = memory_oldest(m->version);
    size_t count = (size_t)(m->version - oldest);
    struct record_memory *row = arena_new(writer_arena(e), struct record_memory);
    struct record_memory_vector *vector = arena_new(writer_arena(e), struct record_memory_vector);
    struct record_memory_version *versions =
        arena_array(writer_arena(e), struct record_memory_version, count + 1);
    if (!row || !vector || !versions) {
        e->writer->failed = true;
        return;
    }
    row->no = vector->no = m->no;
    writer_add(e, MUT_DELETE, RECORD_MEMORY, row);
    writer_add(e, MUT_DELETE, RECORD_MEMORY_VECTOR, vector);
    for (size_t i = 0; i < count; i++) {
        versions[i] =
            (struct record_memory_version){.memory_no = m->no, .version = oldest + (int64_t)i};
        writer_add(e, MUT_DELETE, RECORD_MEMORY_VERSION, &versions[i]);
    }
}

uint32_t memory_slot(const struct tenant *t, const struct id *id)
{
    uint64_t *at = u64map_get(&t->memory_by_id, id_hash(id));
    return at && memcmp(&t->memories[*at].id, id, sizeof *id) == 0 ? (uint32_t)*at : UINT32_MAX;
}

void memory_remove(struct tenant *t, uint32_t slot)
{
    memory_unlink(t, slot);
    t->stored_bytes -= t->memories[slot].stored;
    t->memories[slot] = (struct memory){0};
    memory_index_remove(t, slot);
}
