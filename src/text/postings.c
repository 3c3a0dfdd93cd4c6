/* SPDX-License-Identifier: MIT
 *
 * Blocks of postings, and those that wait to be in one. */
#include "postings_priv.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

enum {
    MERGE_MAX = 64, /* waiting ones of one merge; more wait only while memory is out */
    /* A merge of one block with waiting ones, or the blocks it makes. */
    MERGED_MAX = POSTINGS_BLOCK + MERGE_MAX,
    BLOCK_SPARSE = POSTINGS_BLOCK / 4,
};

void postings_decode(const struct postings_block *b, struct posting *ret)
{
    const uint8_t *in = b->data;
    uint32_t slot = b->first;
    for (uint32_t i = 0; i < b->count; i++) {
        uint64_t v, tf = 1;
        in = get_varint(in, &v);
        if (!(v & 1))
            in = get_varint(in, &tf);
        slot += (uint32_t)(v >> 1);
        ret[i] = (struct posting){slot, (uint32_t)tf};
    }
}

static uint8_t *encode(const struct posting *p, size_t count, uint8_t *out)
{
    uint32_t before = p[0].slot;
    for (size_t i = 0; i < count; i++) {
        uint64_t step = p[i].slot - before;
        out = put_varint(out, step << 1 | (p[i].tf == 1));
        if (p[i].tf > 1)
            out = put_varint(out, p[i].tf);
        before = p[i].slot;
    }
    return out;
}

struct posting_bound postings_bound(const struct lexical *x, const struct posting *p, size_t count)
{
    struct posting_bound bound = {1, UINT16_MAX, UINT16_MAX};
    for (size_t i = 0; i < count; i++) {
        uint32_t words = x->slots[p[i].slot].words;
        uint16_t len = words < UINT16_MAX ? (uint16_t)words : UINT16_MAX;
        uint16_t *len_min = p[i].tf == 1 ? &bound.once_len_min : &bound.more_len_min;
        if (len < *len_min)
            *len_min = len;
        if (p[i].tf > bound.tf_max)
            bound.tf_max = (uint16_t)p[i].tf;
    }
    return bound;
}

static void describe(const struct lexical *x, struct postings_block *b, const struct posting *p,
                     size_t count)
{
    b->first = p[0].slot;
    b->last = p[count - 1].slot;
    b->count = (uint8_t)count;
    b->bound = postings_bound(x, p, count);
}

static bool block_make(struct lexical *x, const struct posting *p, size_t count,
                       struct postings_block *ret)
{
    uint8_t bytes[POSTINGS_BLOCK * POSTING_BYTES] QMN_UNINIT;
    size_t len = (size_t)(encode(p, count, bytes) - bytes);
    uint8_t *data = mem_alloc(len);
    if (!data)
        return false;
    memcpy(data, bytes, len);
    *ret = (struct postings_block){.data = data, .bytes = (uint16_t)len};
    describe(x, ret, p, count);
    x->block_bytes += len;
    return true;
}

static void block_free(struct lexical *x, struct postings_block *b)
{
    x->block_bytes -= b->bytes;
    mem_free(b->data);
}

void postings_merge(const struct posting *a, size_t a_len, const struct posting *b, size_t b_len,
                    struct posting *ret)
{
    for (size_t i = 0, j = 0; i < a_len || j < b_len;)
        *ret++ = j == b_len || (i < a_len && a[i].slot < b[j].slot) ? a[i++] : b[j++];
}

/* ---- those that wait ---- */

/* A merge-free sort for a few dozen: new ones mostly come in order. */
static void sort_postings(struct posting *p, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct posting moved = p[i];
        size_t at = i;
        for (; at > 0 && p[at - 1].slot > moved.slot; at--)
            p[at] = p[at - 1];
        p[at] = moved;
    }
}

/* Up to `most` of them, in the order they are met, which is the newest first: turned round. */
static size_t collect(const struct lexical *x, const struct lexical_term *t, size_t most,
                      struct posting *ret)
{
    size_t count = t->pending_count < most ? t->pending_count : most, at = count;
    for (uint32_t i = t->pending; at > 0; i = x->pool[i].next)
        ret[--at] = x->pool[i].posting;
    sort_postings(ret, count);
    return count;
}

void posting_list_waiting(const struct lexical *x, const struct lexical_term *t,
                          struct posting *ret)
{
    collect(x, t, t->pending_count, ret);
}

static void free_node(struct lexical *x, uint32_t node)
{
    x->pool[node].next = x->pool_free;
    x->pool_free = node;
    x->pool_live--;
}

static void drop_waiting(struct lexical *x, struct lexical_term *t, size_t count)
{
    for (; count > 0; count--) {
        uint32_t node = t->pending;
        t->pending = x->pool[node].next;
        t->pending_count--;
        free_node(x, node);
    }
}

/* ---- merging ---- */

struct merge {
    struct lexical *x;
    struct postings_block *next; /* the blocks to be */
    uint32_t len;
    uint32_t fresh[2 * MERGE_MAX]; /* of `next`: made here */
    uint32_t fresh_len;
    uint32_t replaced[MERGE_MAX]; /* of the blocks that were */
    uint32_t replaced_len;
};

/* Cuts sorted postings into blocks: full ones where more will follow at the end, else equal ones.
 */
static bool merge_cut(struct merge *m, const struct posting *p, size_t count, bool at_end)
{
    size_t blocks = (count + POSTINGS_BLOCK - 1) / POSTINGS_BLOCK;
    for (size_t i = 0, done = 0; i < blocks; i++) {
        size_t size = at_end ? POSTINGS_BLOCK : (count - done) / (blocks - i);
        if (size > count - done)
            size = count - done;
        if (!block_make(m->x, p + done, size, &m->next[m->len]))
            return false;
        m->fresh[m->fresh_len++] = m->len++;
        done += size;
    }
    return true;
}

/* Puts the waiting ones among the blocks; a block without any is kept as it is. */
static bool merge_run(struct merge *m, const struct lexical_term *t, const struct posting *waiting,
                      size_t count)
{
    struct posting old[POSTINGS_BLOCK] QMN_UNINIT, merged[MERGED_MAX] QMN_UNINIT;
    size_t done = 0;
    for (uint32_t i = 0; i < t->block_count; i++) {
        const struct postings_block *b = &t->blocks[i];
        bool last = i + 1 == t->block_count;
        size_t take = 0;
        while (done + take < count && (last || waiting[done + take].slot < b[1].first))
            take++;
        if (!take) {
            m->next[m->len++] = *b;
            continue;
        }
        postings_decode(b, old);
        postings_merge(old, b->count, waiting + done, take, merged);
        m->replaced[m->replaced_len++] = i;
        if (!merge_cut(m, merged, b->count + take, last && waiting[done].slot > b->last))
            return false;
        done += take;
    }
    return done == count || merge_cut(m, waiting + done, count - done, true);
}

/* Merges what waits into blocks.  Without memory nothing changes. */
static void merge(struct lexical *x, struct lexical_term *t)
{
    struct posting waiting[MERGE_MAX] QMN_UNINIT;
    size_t count = collect(x, t, MERGE_MAX, waiting);
    /* each block that gets some may become two, with MERGE_MAX <= POSTINGS_BLOCK */
    struct merge m = {.x = x};
    m.next = mem_resize(NULL, t->block_count + count + 1, sizeof *m.next);
    if (!m.next)
        return;
    if (!merge_run(&m, t, waiting, count)) {
        for (uint32_t i = 0; i < m.fresh_len; i++)
            block_free(x, &m.next[m.fresh[i]]);
        mem_free(m.next);
        return;
    }
    for (uint32_t i = 0; i < m.replaced_len; i++)
        block_free(x, &t->blocks[m.replaced[i]]);
    struct postings_block *smaller = mem_resize(m.next, m.len, sizeof *m.next);
    mem_free(t->blocks);
    x->block_bytes += (m.len - t->block_count) * sizeof *m.next;
    t->blocks = smaller ? smaller : m.next;
    t->block_count = m.len;
    drop_waiting(x, t, count);
}

void posting_list_add(struct lexical *x, struct lexical_term *t, struct posting p)
{
    uint32_t node = x->pool_free;
    if (node != NO_PENDING)
        x->pool_free = x->pool[node].next;
    else
        node = x->pool_count++;
    assert(node < x->pool_cap);
    x->pool_live++;
    x->pool[node] = (struct lexical_pending){t->pending, p};
    t->pending = node;
    if (++t->pending_count >= POSTINGS_PENDING)
        merge(x, t);
}

/* ---- removal ---- */

static bool remove_waiting(struct lexical *x, struct lexical_term *t, uint32_t slot)
{
    for (uint32_t *link = &t->pending; *link != NO_PENDING; link = &x->pool[*link].next) {
        uint32_t node = *link;
        if (x->pool[node].posting.slot != slot)
            continue;
        *link = x->pool[node].next;
        t->pending_count--;
        free_node(x, node);
        return true;
    }
    return false;
}

/* The first block that ends at or after the slot; block_count if none does. */
static uint32_t find_block(const struct lexical_term *t, uint32_t slot)
{
    uint32_t low = 0, high = t->block_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (t->blocks[middle].last < slot)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void drop_block(struct lexical *x, struct lexical_term *t, uint32_t at)
{
    block_free(x, &t->blocks[at]);
    t->block_count--;
    memmove(t->blocks + at, t->blocks + at + 1, (t->block_count - at) * sizeof *t->blocks);
    x->block_bytes -= sizeof *t->blocks;
    if (!t->block_count) {
        mem_free(t->blocks);
        t->blocks = NULL;
    }
}

/* Joins a sparse block with the next if both are small.  Without memory they stay two. */
static void join_next(struct lexical *x, struct lexical_term *t, uint32_t at)
{
    if (at + 1 >= t->block_count)
        return;
    struct postings_block *b = &t->blocks[at], joined;
    if (b[0].count + b[1].count > POSTINGS_BLOCK - BLOCK_SPARSE)
        return;
    struct posting p[POSTINGS_BLOCK] QMN_UNINIT;
    postings_decode(&b[0], p);
    postings_decode(&b[1], p + b[0].count);
    if (!block_make(x, p, (size_t)b[0].count + b[1].count, &joined))
        return;
    block_free(x, &b[0]);
    b[0] = joined;
    drop_block(x, t, at + 1);
}

/* Writes the block anew in its place.  What becomes free in it stays its own until the next merge.
 */
static void rewrite(struct lexical *x, struct postings_block *b, const struct posting *p,
                    size_t count)
{
    uint8_t *end = encode(p, count, b->data);
    assert(end <= b->data + b->bytes);
    describe(x, b, p, count);
}

void posting_list_remove(struct lexical *x, struct lexical_term *t, uint32_t slot)
{
    if (remove_waiting(x, t, slot))
        return;
    uint32_t at = find_block(t, slot);
    assert(at < t->block_count);
    struct postings_block *b = &t->blocks[at];
    struct posting p[POSTINGS_BLOCK] QMN_UNINIT;
    postings_decode(b, p);
    size_t i = 0;
    while (p[i].slot != slot)
        assert(++i < b->count);
    size_t count = b->count - 1u;
    if (!count) {
        drop_block(x, t, at);
        return;
    }
    memmove(p + i, p + i + 1, (count - i) * sizeof *p);
    rewrite(x, b, p, count);
    if (count < BLOCK_SPARSE) {
        join_next(x, t, at);
        if (at > 0)
            join_next(x, t, at - 1);
    }
}

uint32_t posting_list_tf(const struct lexical *x, const struct lexical_term *t, uint32_t slot)
{
    for (uint32_t i = t->pending; i != NO_PENDING; i = x->pool[i].next)
        if (x->pool[i].posting.slot == slot)
            return x->pool[i].posting.tf;
    uint32_t at = find_block(t, slot);
    if (at == t->block_count || t->blocks[at].first > slot)
        return 0;
    struct posting p[POSTINGS_BLOCK] QMN_UNINIT;
    postings_decode(&t->blocks[at], p);
    for (uint32_t i = 0; i < t->blocks[at].count; i++)
        if (p[i].slot == slot)
            return p[i].tf;
    return 0;
}

void posting_list_release(struct lexical *x, struct lexical_term *t)
{
    while (t->block_count)
        drop_block(x, t, t->block_count - 1);
    drop_waiting(x, t, t->pending_count);
}
