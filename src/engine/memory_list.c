/* SPDX-License-Identifier: MIT
 *
 * Memories in order of their ids, a page at a time.  Ids begin with their time, so that is the
 * order of making; where a page ended is said by the last id of it, which needs nothing to be kept
 * and stays true whatever is stored or deleted meanwhile.  A page looks at every memory that the
 * sets let through and keeps the best few in a heap.  Any loop. */
#include "engine/memories_priv.h"

#include <stdlib.h>

struct page {
    const struct tenant *t;
    const struct memory_query *q;
    struct wanted *heap; /* the last of the page on top */
    size_t count, room;
};

/* Below zero: a comes before b on the page. */
static int order(const struct memory_query *q, const struct id *a, const struct id *b)
{
    int c = memcmp(a, b, sizeof *a);
    return q->oldest_first ? c : -c;
}

/* What has changed since as_of is matched by what it said then, which is looked at later. */
static bool page_permit(const struct page *p, uint32_t clearance, int64_t now, struct arena *arena,
                        struct memory_permit *ret)
{
    const struct memory_query *q = p->q;
    const struct filter_value at = {FILTER_WHOLE, .whole = q->as_of_ms};
    struct memory_narrow narrow;
    memory_narrow(&narrow, q->agent_id, q->kind, q->from_ms, q->to_ms);
    if (!q->as_of_ms)
        return memory_permit(p->t, clearance, now, &narrow.all, arena, ret);
    struct memory_filter changed = {
        .op = FILTER_ABOVE, .field = FILTER_UPDATED, .values = &at, .count = 1};
    struct memory_filter either = {.op = FILTER_OR, .parts = &changed};
    changed.next = &narrow.all;
    return memory_permit(p->t, clearance, now, &either, arena, ret);
}

static bool belongs(const struct memory_query *q, const struct memory *m)
{
    return !(q->has_after && order(q, &m->id, &q->after) <= 0) &&
           !(q->as_of_ms && m->begun_ms > q->as_of_ms);
}

static void sift_up(struct page *p, size_t i)
{
    for (; i && order(p->q, &p->heap[(i - 1) / 2].id, &p->heap[i].id) < 0; i = (i - 1) / 2) {
        struct wanted x = p->heap[i];
        p->heap[i] = p->heap[(i - 1) / 2];
        p->heap[(i - 1) / 2] = x;
    }
}

static void sift_down(struct page *p)
{
    size_t i = 0, child;
    while ((child = 2 * i + 1) < p->count) {
        if (child + 1 < p->count && order(p->q, &p->heap[child].id, &p->heap[child + 1].id) < 0)
            child++;
        if (order(p->q, &p->heap[i].id, &p->heap[child].id) >= 0)
            return;
        struct wanted x = p->heap[i];
        p->heap[i] = p->heap[child];
        p->heap[child] = x;
        i = child;
    }
}

static void offer(struct page *p, const struct memory *m)
{
    struct wanted x = {.no = m->no, .created_ms = m->created_ms, .id = m->id};
    if (p->count < p->room) {
        p->heap[p->count] = x;
        sift_up(p, p->count++);
    } else if (order(p->q, &x.id, &p->heap[0].id) < 0) {
        p->heap[0] = x;
        sift_down(p);
    }
}

static int by_id(const void *a, const void *b)
{
    return memcmp(&((const struct wanted *)a)->id, &((const struct wanted *)b)->id,
                  sizeof(struct id));
}

/* Read lock held. */
static enum qmn_code page_find(struct engine *e, struct call *c, struct page *p)
{
    struct tenant *t;
    struct memory_permit permit;
    TRY(engine_tenant(e, c->caller, &t, &c->err));
    p->t = t;
    if (!page_permit(p, network_clearance(t, c->caller), engine_now(e), c->arena, &permit))
        return err_nomem(&c->err);
    for (uint32_t i = 0; (i = memory_permit_next(&permit, i)) != UINT32_MAX; i++)
        if (belongs(p->q, &t->memories[i]))
            offer(p, &t->memories[i]);
    return QMN_OK;
}

enum qmn_code memory_page(struct engine *e, struct call *c, const struct memory_query *q,
                          size_t room, struct wanted **ret, size_t *ret_count)
{
    struct page p = {.q = q, .room = room};
    p.heap = arena_array(c->arena, struct wanted, room);
    if (!p.heap)
        return err_nomem(&c->err);
    pthread_rwlock_rdlock(&e->net.lock);
    enum qmn_code code = page_find(e, c, &p);
    pthread_rwlock_unlock(&e->net.lock);
    TRY(code);
    qsort(p.heap, p.count, sizeof *p.heap, by_id);
    for (size_t i = 0; !q->oldest_first && i < p.count / 2; i++) {
        struct wanted x = p.heap[i];
        p.heap[i] = p.heap[p.count - 1 - i];
        p.heap[p.count - 1 - i] = x;
    }
    *ret = p.heap;
    *ret_count = p.count;
    return QMN_OK;
}

/* ---- listing ---- */

/* What was said in the past is matched as it was then. */
static bool fits(const struct memory_query *q, const struct memory_out *m)
{
    return (!q->agent_id.len || bytes_equal(m->agent_id, q->agent_id)) &&
           (!q->kind.len || bytes_equal(m->kind, q->kind)) && m->created_ms >= q->from_ms &&
           (!q->to_ms || m->created_ms < q->to_ms);
}

enum {
    PAGE_BLOCK = 32,      /* rows read between two looks at how much it is */
    PAGE_BYTES = 8 << 20, /* of content and metadata; what goes beyond is on the next page */
};

/* What was said then, of those that match; writes to items. */
static enum qmn_code read_past(struct engine *e, struct call *c, const struct memory_query *q,
                               const struct wanted *wanted, size_t count, struct memory_out *items,
                               size_t *ret_count)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        enum qmn_code code = memory_said(e, c, wanted[i].no, q->as_of_ms, &items[n]);
        if (code == QMN_E_NOT_FOUND)
            continue;
        TRY(code);
        n += fits(q, &items[n]);
    }
    *ret_count = n;
    return QMN_OK;
}

static enum qmn_code read_now(struct engine *e, struct call *c, const struct wanted *wanted,
                              size_t count, struct memory_out *items, size_t *ret_count)
{
    struct memories_out out;
    TRY(memory_read_rows(e, c, wanted, count, &out));
    if (out.count)
        memcpy(items, out.items, out.count * sizeof *items);
    *ret_count = out.count;
    return QMN_OK;
}

static size_t bytes_in(const struct memory_out *items, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += items[i].content.len + items[i].metadata.len;
    return bytes;
}

/* Reads until the page is full; *ret_read: how many were looked at. */
static enum qmn_code read_page(struct engine *e, struct call *c, const struct memory_query *q,
                               const struct wanted *wanted, size_t count, struct memories_out *out,
                               size_t *ret_read)
{
    struct memory_out *items = arena_array(c->arena, struct memory_out, count + 1);
    size_t at = 0, n = 0, bytes = 0;
    if (!items)
        return err_nomem(&c->err);
    while (at < count && bytes < PAGE_BYTES) {
        size_t block = count - at < PAGE_BLOCK ? count - at : PAGE_BLOCK, got = 0;
        if (q->as_of_ms)
            TRY(read_past(e, c, q, wanted + at, block, items + n, &got));
        else
            TRY(read_now(e, c, wanted + at, block, items + n, &got));
        bytes += bytes_in(items + n, got);
        n += got;
        at += block;
    }
    *out = (struct memories_out){.items = items, .count = n};
    *ret_read = at;
    return QMN_OK;
}

void engine_list_memories(struct engine *e, struct call *c, const struct memory_query *q,
                          uint32_t limit, struct memories_out *out)
{
    struct wanted *found = NULL;
    size_t count = 0, read = 0;
    enum qmn_code code = memory_page(e, c, q, (size_t)limit + 1, &found, &count);
    if (code == QMN_OK)
        code = read_page(e, c, q, found, count < limit ? count : limit, out, &read);
    if (code == QMN_OK && read < count) {
        out->more = true;
        out->last = found[read - 1].id;
    }
    call_finish(c, code);
}
