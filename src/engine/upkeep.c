/* SPDX-License-Identifier: MIT
 *
 * Background work of the writer: what expires, what has been kept long enough, counters that loops
 * have moved.  It rides in the groups that commit anyway, a bounded piece at a time, in front of
 * what the commands add: the pages that old rows leave take the new ones in the same transaction.
 * The other way round they were written twice, once as zeros and once with something in them; that
 * was a quarter of what a broadcast wrote.  No command writes a row that may be among those which
 * go: what expires is inserted once, under a number of its own, and an outcome or the end of a
 * delivery that comes at the very end of its trace's retention is below the bound of the next
 * second too.
 *
 * One heap holds every expiry.  Entries are never taken out early: when one comes due it is checked
 * against what its slot or number holds by then, and ignored if that has gone. */
#include "engine/group_priv.h"
#include "engine/idempotency_priv.h"
#include "engine/live_priv.h"

#include "base/mem.h"

enum {
    UPKEEP_DUE_MAX = 256, /* expiries of one group: twice what one can create */
    UPKEEP_RETENTION_ROWS =
        500, /* rows of each kind deleted at once, when at most so many are written a second */
    UPKEEP_SECOND_MS = 1000,
    HOUR_MS = 3600000,
};

struct expiry {
    int64_t at_ms, no;
    struct tenant *tenant;
    uint32_t slot;
    enum expiry_kind kind;
};

struct upkeep {
    struct expiry *heap; /* binary min-heap by at_ms */
    size_t len, cap;
    struct expiry *due; /* taken off in this group */
    size_t due_len, due_cap;
    int64_t next_second_ms;
    int64_t hour;
    size_t own;     /* mutations of the running group that are upkeep's */
    size_t written; /* by commands, since the last retention */
};

bool upkeep_new(struct engine *e)
{
    e->writer->upkeep = mem_calloc(1, sizeof(struct upkeep));
    return e->writer->upkeep != NULL;
}

void upkeep_free(struct engine *e)
{
    if (!e->writer || !e->writer->upkeep)
        return;
    mem_free(e->writer->upkeep->heap);
    mem_free(e->writer->upkeep->due);
    mem_free(TAKE(e->writer->upkeep));
}

bool upkeep_reserve(struct engine *e, uint32_t more)
{
    struct upkeep *u = e->writer->upkeep;
    size_t need = u->len + u->due_len + more;
    if (need <= u->cap)
        return true;
    size_t cap = u->cap ? u->cap * 2 : 1024;
    while (cap < need)
        cap *= 2;
    struct expiry *p = mem_resize(u->heap, cap, sizeof *p);
    if (!p)
        return false;
    u->heap = p;
    u->cap = cap;
    return true;
}

static void push(struct upkeep *u, struct expiry x)
{
    size_t i = u->len++;
    for (; i && u->heap[(i - 1) / 2].at_ms > x.at_ms; i = (i - 1) / 2)
        u->heap[i] = u->heap[(i - 1) / 2];
    u->heap[i] = x;
}

static struct expiry pop(struct upkeep *u)
{
    struct expiry top = u->heap[0], last = u->heap[--u->len];
    size_t i = 0, child;
    while ((child = 2 * i + 1) < u->len) {
        if (child + 1 < u->len && u->heap[child + 1].at_ms < u->heap[child].at_ms)
            child++;
        if (last.at_ms <= u->heap[child].at_ms)
            break;
        u->heap[i] = u->heap[child];
        i = child;
    }
    u->heap[i] = last;
    return top;
}

void upkeep_schedule(struct engine *e, enum expiry_kind kind, int64_t at_ms, struct tenant *t,
                     int64_t no, uint32_t slot)
{
    push(e->writer->upkeep,
         (struct expiry){.at_ms = at_ms, .no = no, .tenant = t, .slot = slot, .kind = kind});
}

/* ---- expiry ---- */

static struct nutrient *live_no(struct engine *e, int64_t no)
{
    uint64_t *at = u64map_get(&e->net.live_by_no, (uint64_t)no);
    return at ? (struct nutrient *)(uintptr_t)*at : NULL;
}

static bool still_there(struct engine *e, const struct expiry *x)
{
    switch (x->kind) {
    case EXPIRE_NUTRIENT:
        return live_no(e, x->no) != NULL;
    case EXPIRE_RESPONSE:
        return x->slot < x->tenant->response_index.slots &&
               x->tenant->responses[x->slot].no == x->no;
    case EXPIRE_MEMORY:
        return x->slot < x->tenant->memory_slots && x->tenant->memories[x->slot].no == x->no &&
               x->tenant->memories[x->slot].expires_ms == x->at_ms;
    }
    return false;
}

static void add_delete(struct engine *e, enum record_kind kind, int64_t no)
{
    const struct record_type *t = record_type(kind);
    char *row = arena_calloc(writer_arena(e), 1, t->size);
    if (!row) {
        e->writer->failed = true;
        return;
    }
    memcpy(row + t->fields[0].offset, &no, sizeof no); /* `no` is the key of all that expires */
    writer_add(e, MUT_DELETE, kind, row);
}

static bool due_add(struct engine *e, const struct expiry *x)
{
    struct upkeep *u = e->writer->upkeep;
    if (u->due_len == u->due_cap) {
        size_t cap = u->due_cap ? u->due_cap * 2 : UPKEEP_DUE_MAX;
        struct expiry *p = mem_resize(u->due, cap, sizeof *p);
        if (!p)
            return false;
        u->due = p;
        u->due_cap = cap;
    }
    u->due[u->due_len++] = *x;
    if (x->kind == EXPIRE_MEMORY) {
        memory_delete_rows(e, &x->tenant->memories[x->slot]);
    } else {
        add_delete(e, x->kind == EXPIRE_NUTRIENT ? RECORD_NUTRIENT : RECORD_RESPONSE, x->no);
    }
    return true;
}

static void expire_due(struct engine *e)
{
    struct upkeep *u = e->writer->upkeep;
    while (u->len && u->heap[0].at_ms <= e->writer->now_ms && u->due_len < UPKEEP_DUE_MAX) {
        struct expiry x = pop(u);
        if (still_there(e, &x) && !due_add(e, &x)) {
            push(u, x); /* out of memory: later */
            return;
        }
    }
}

uint64_t upkeep_expire_memories(struct engine *e, struct tenant *t)
{
    uint64_t n = 0;
    int64_t now = e->writer->now_ms;
    for (uint32_t i = 0; (i = memory_expired_next(t, now, i)) != UINT32_MAX; i++) {
        const struct memory *m = &t->memories[i];
        struct expiry x = {
            .at_ms = m->expires_ms, .no = m->no, .tenant = t, .slot = i, .kind = EXPIRE_MEMORY};
        if (upkeep_reserve(e, 1) && due_add(e, &x))
            n++;
    }
    return n;
}

static void expire_one(struct engine *e, const struct expiry *x)
{
    if (!still_there(e, x))
        return; /* deleted by a command of the same group */
    if (x->kind == EXPIRE_NUTRIENT)
        live_remove(e, live_no(e, x->no));
    else if (x->kind == EXPIRE_RESPONSE)
        response_remove(x->tenant, x->slot);
    else
        memory_remove(x->tenant, x->slot);
    counter_add(e->m.expired, 1);
}

/* ---- once a second ---- */

static void delete_below(struct engine *e, enum record_kind kind, int64_t below_no, uint32_t limit)
{
    const struct record_type *t = record_type(kind);
    char *row = arena_calloc(writer_arena(e), 1, t->size);
    if (!row)
        return; /* the next second will do */
    memcpy(row + t->fields[0].offset, &below_no, sizeof below_no);
    writer_add_below(e, kind, row, limit);
}

/* Of each kind at most as many rows as have been written in all since the last time: what is old
 * cannot outgrow that. */
static void retain(struct engine *e, uint32_t limit)
{
    int64_t now = e->writer->now_ms;
    int64_t traces = (now - e->retention_ms) * 1000, keys = (now - IDEMPOTENCY_KEEP_MS) * 1000;
    delete_below(e, RECORD_TRACE, traces, limit);
    delete_below(e, RECORD_OUTCOME, traces, limit);
    delete_below(e, RECORD_DELIVERY, traces, limit);
    delete_below(e, RECORD_IDEMPOTENCY, keys, limit);
    (void)idempotency_trim(e->idempotency, keys);
}

static void begin_hour(struct engine *e)
{
    struct upkeep *u = e->writer->upkeep;
    int64_t hour = e->writer->now_ms / HOUR_MS;
    if (u->hour == hour)
        return;
    pthread_rwlock_wrlock(&e->net.lock);
    for (uint32_t i = 0; i < e->net.tenant_count; i++) {
        struct usage *x = &e->net.tenants[i]->usage;
        if (x->hour == hour)
            continue;
        x->hour = hour;
        x->nutrients = x->collects = x->searches = x->outcomes = x->stores = x->bytes = 0;
    }
    pthread_rwlock_unlock(&e->net.lock);
    u->hour = hour;
}

static void save_usage(struct engine *e)
{
    static const uint64_t nothing[USAGE_BYTES + 1];
    for (uint32_t i = 0; i < e->net.tenant_count; i++)
        if (atomic_exchange(&e->net.tenants[i]->usage_dirty, false))
            group_put_usage(e, e->net.tenants[i], nothing);
}

static void add_due(struct engine *e)
{
    struct writer *w = e->writer;
    struct upkeep *u = w->upkeep;
    expire_due(e);
    bool second = w->now_ms >= u->next_second_ms;
    if (!second && u->written < UPKEEP_RETENTION_ROWS)
        return;
    retain(e, (uint32_t)(u->written > UPKEEP_RETENTION_ROWS ? u->written : UPKEEP_RETENTION_ROWS));
    u->written = 0;
    if (!second)
        return;
    u->next_second_ms = w->now_ms + UPKEEP_SECOND_MS;
    save_usage(e); /* before a command's use of the same counters, which is put once more */
}

void upkeep_begin(struct engine *e)
{
    begin_hour(e);
    add_due(e);
    e->writer->upkeep->own = e->writer->batch_len;
}

void upkeep_publish(struct engine *e)
{
    struct upkeep *u = e->writer->upkeep;
    for (size_t i = 0; i < u->due_len; i++)
        expire_one(e, &u->due[i]);
    u->due_len = 0;
    u->written += e->writer->batch_len - u->own;
}

void upkeep_discard(struct engine *e)
{
    struct upkeep *u = e->writer->upkeep;
    while (u->due_len)
        push(u, u->due[--u->due_len]); /* the heap kept room for them */
    u->next_second_ms = 0;
    for (uint32_t i = 0; i < e->net.tenant_count; i++)
        e->net.tenants[i]->usage_dirty = true; /* what was to be saved was not */
}
