/* SPDX-License-Identifier: MIT
 *
 * A binary heap whose parent ranks after its children: items[0] is the worst kept. */
#include "topk.h"

#include <assert.h>
#include <float.h>
#include <string.h>

void topk_init(struct topk *t, struct topk_item *items, size_t k)
{
    *t = (struct topk){.items = items, .k = k};
}

/* Puts `item` at or below position i of a heap of len items, the hole being at i. */
static void sift_down(struct topk_item *items, size_t len, size_t i, struct topk_item item)
{
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= len)
            break;
        if (child + 1 < len && topk_before(items[child], items[child + 1]))
            child++;
        if (!topk_before(item, items[child]))
            break;
        items[i] = items[child];
        i = child;
    }
    items[i] = item;
}

void topk_insert(struct topk *t, struct topk_item item)
{
    if (item.score != item.score) /* NaN */
        return;
    if (t->len == t->k) {
        if (t->k && topk_before(item, t->items[0]))
            sift_down(t->items, t->len, 0, item);
        return;
    }
    size_t i = t->len++;
    while (i && topk_before(t->items[(i - 1) / 2], item)) {
        t->items[i] = t->items[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    t->items[i] = item;
}

enum { BLOCKS_PER_K = 3, BLOCKS_MAX = 512, ROWS_LEAST = 4 };

/* The scores stand in `blocks` columns, read row by row.  The k-th best of the columns' maxima is
 * reached by one score in each of k columns. */
float topk_bar(const float *scores, size_t n, size_t k)
{
    float best[BLOCKS_MAX];
    struct topk_item items[BLOCKS_MAX / BLOCKS_PER_K] = {{0}};
    struct topk t;
    size_t blocks = BLOCKS_PER_K * k, i = blocks;
    if (!k || k > BLOCKS_MAX / BLOCKS_PER_K || n < ROWS_LEAST * blocks)
        return -FLT_MAX;
    assert(blocks > 0);
    memcpy(best, scores, blocks * sizeof *best);
    for (; i + blocks <= n; i += blocks)
        for (size_t b = 0; b < blocks; b++)
            best[b] = scores[i + b] > best[b] ? scores[i + b] : best[b];
    for (; i < n; i++)
        best[i % blocks] = scores[i] > best[i % blocks] ? scores[i] : best[i % blocks];
    topk_init(&t, items, k);
    for (size_t b = 0; b < blocks; b++)
        topk_offer(&t, best[b], (uint32_t)b);
    return t.items[0].score;
}

size_t topk_sort(struct topk *t)
{
    for (size_t n = t->len; n > 1; n--) { /* the worst of the rest goes last */
        struct topk_item worst = t->items[0], last = t->items[n - 1];
        sift_down(t->items, n - 1, 0, last);
        t->items[n - 1] = worst;
    }
    return t->len;
}
