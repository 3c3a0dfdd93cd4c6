/* SPDX-License-Identifier: MIT
 *
 * The k best of a stream of (score, id), in memory the caller provides: a binary heap with the
 * worst kept item on top, so that most offers cost one comparison.
 *
 * Order: higher score first, ties by lower id; the outcome does not depend on the order of offers.
 * NaN scores are never kept.  One thread at a time. */
#ifndef QMN_MATH_TOPK_H
#define QMN_MATH_TOPK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct topk_item {
    float score;
    uint32_t id;
};

struct topk {
    struct topk_item *items; /* borrowed, room for k; a heap until topk_sort() */
    size_t k, len;
};

void topk_init(struct topk *t, struct topk_item *items, size_t k);
void topk_insert(struct topk *t, struct topk_item item);

/* The k best of scores[n] that are at least `floor`, in no order; returns how many: ret_ids[k],
 * their places.  No NaN among the scores.  For whole arrays: several times as fast as a heap.
 * room[TOPK_SELECT_ROOM k]: scratch. */
enum { TOPK_SELECT_ROOM = 4 };
size_t topk_select(const float *scores, size_t n, float floor, size_t k, uint64_t *room,
                   uint32_t *ret_ids);

/* True if a ranks before b. */
static inline bool topk_before(struct topk_item a, struct topk_item b)
{
    return a.score > b.score || (a.score == b.score && a.id < b.id);
}

static inline void topk_offer(struct topk *t, float score, uint32_t id)
{
    struct topk_item item = {score, id};
    if (t->len < t->k || (t->len && topk_before(item, t->items[0])))
        topk_insert(t, item);
}

/* Puts items[0 .. len) in order, best first, and returns len.  Offer nothing afterwards. */
size_t topk_sort(struct topk *t);

#endif
