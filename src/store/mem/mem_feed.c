/* SPDX-License-Identifier: MIT
 *
 * The change feed of the in-memory store: a ring of packed batches, each held alive by whoever is
 * reading it. */
#include "base/mem.h"
#include "mem_priv.h"
#include "store/feed.h"

enum { FEED_FIRST_CAP = 64 };

struct feed_batch *feed_batch_new(struct bytes packed)
{
    struct feed_batch *b = mem_alloc(sizeof *b + packed.len);
    if (!b)
        return NULL;
    b->refs = 1;
    memcpy(b + 1, packed.ptr, packed.len);
    b->packed = bytes_of(b + 1, packed.len);
    return b;
}

void feed_batch_unref(struct feed_batch *b)
{
    if (b && atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) == 1)
        mem_free(b);
}

bool mem_feed_reserve(struct mem_feed *f)
{
    size_t len = (size_t)(f->next - f->first);
    if (len < f->cap)
        return true;
    size_t cap = f->cap ? f->cap * 2 : FEED_FIRST_CAP;
    struct feed_batch **slots = mem_calloc(cap, sizeof(struct feed_batch *));
    if (!slots)
        return false;
    for (int64_t c = f->first; f->cap && c < f->next; c++)
        slots[(size_t)c % cap] = f->slots[(size_t)c % f->cap];
    mem_free(f->slots);
    f->slots = slots;
    f->cap = cap;
    return true;
}

void mem_feed_add(struct mem_feed *f, struct feed_batch *batch)
{
    f->slots[(size_t)f->next % f->cap] = batch;
    f->next++;
}

void mem_feed_trim(struct mem_feed *f)
{
    if (f->next - f->first <= FEED_KEEP + FEED_SLACK)
        return;
    for (; f->next - f->first > FEED_KEEP; f->first++)
        feed_batch_unref(f->slots[(size_t)f->first % f->cap]);
}

void mem_feed_release(struct mem_feed *f)
{
    for (; f->first < f->next; f->first++)
        feed_batch_unref(f->slots[(size_t)f->first % f->cap]);
    mem_free(f->slots);
    f->slots = NULL;
}

/* The batch after *cursor, with a reference, and *cursor moved to it; NULL at the end. */
static enum qmn_code feed_next(struct store_mem *s, int64_t *cursor, struct feed_batch **ret,
                               struct err *err)
{
    enum qmn_code code = QMN_OK;
    *ret = NULL;
    pthread_mutex_lock(&s->lock);
    struct mem_feed *f = &s->feed;
    int64_t want = *cursor == 0 ? f->first : *cursor + 1;
    if (want < f->first || want > f->next) {
        code =
            err_set(err, QMN_E_GONE, "changes after %lld are no longer kept", (long long)*cursor);
    } else if (want < f->next) {
        *ret = f->slots[(size_t)want % f->cap];
        atomic_fetch_add_explicit(&(*ret)->refs, 1, memory_order_relaxed);
        *cursor = want;
    }
    pthread_mutex_unlock(&s->lock);
    return code;
}

enum qmn_code mem_changes_since(struct store *base, int64_t cursor, uint32_t limit,
                                store_change_fn *fn, void *ctx, int64_t *ret_cursor,
                                struct err *err)
{
    struct store_mem *s = (struct store_mem *)base;
    if (!s->feed_on)
        return err_set(err, QMN_E_INVALID, "this store keeps no change feed");
    int64_t at = cursor;
    for (uint32_t i = 0; i < limit; i++) {
        struct feed_batch *batch;
        enum qmn_code code = feed_next(s, &at, &batch, err);
        if (code == QMN_E_GONE && i > 0)
            break; /* trimmed under our feet: the next call will say so */
        TRY(code);
        if (!batch)
            break;
        code = feed_unpack(batch->packed, at, fn, ctx, err);
        feed_batch_unref(batch);
        TRY(code);
    }
    *ret_cursor = at;
    return QMN_OK;
}
