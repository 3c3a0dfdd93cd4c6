/* SPDX-License-Identifier: MIT
 *
 * A binary heap whose parent ranks after its children: items[0] is the worst kept. */
#include "topk.h"

#include <assert.h>
#include <float.h>
#include <string.h>

#include "base/attr.h"
#include "math/kernels.h"

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

/* ---- ranks as numbers ---- */

enum { SORT_FEW = 64 }; /* items that insertion sorts faster than the heap, by a guess */

/* A number that is larger for what ranks earlier, so that ranking is one comparison: the score's
 * bits, put in order, above the complement of the id. */
static uint64_t rank_key(float score, uint32_t id)
{
    uint32_t bits;
    score += 0.0f; /* one zero only */
    memcpy(&bits, &score, sizeof bits);
    bits ^= (uint32_t)((int32_t)bits >> 31) | 0x80000000u;
    return (uint64_t)bits << 32 | (uint32_t)~id;
}

static float rank_score(uint64_t key)
{
    uint32_t bits = (uint32_t)(key >> 32);
    float score;
    bits ^= (uint32_t)((int32_t)~bits >> 31) | 0x80000000u;
    memcpy(&score, &bits, sizeof score);
    return score;
}

/* ---- selecting from a whole array ---- */

enum { COLUMNS_PER_K = 3, COLUMNS_MAX = 512, ROWS_LEAST = 4, STRIDE = 256 };

/* Puts what ranks before the key in the middle of [low, high) in front of it; returns its place.
 * Without a branch on the comparison, which nobody could predict. */
static size_t partition(uint64_t *keys, size_t low, size_t high)
{
    size_t middle = low + (high - low) / 2, store = low;
    uint64_t pivot = keys[middle];
    keys[middle] = keys[high - 1];
    for (size_t i = low; i + 1 < high; i++) {
        uint64_t key = keys[i];
        keys[i] = keys[store];
        keys[store] = key;
        store += key > pivot;
    }
    keys[high - 1] = keys[store];
    keys[store] = pivot;
    return store;
}

/* Brings the k largest of n different keys to the front, in no order [Hoa61: Hoare, "Algorithm 65:
 * Find"]; returns how many that are. */
static size_t bring_best(uint64_t *keys, size_t n, size_t k)
{
    size_t low = 0, high = n;
    while (low < k && k < high) {
        size_t at = partition(keys, low, high);
        if (k <= at)
            high = at;
        else
            low = at + 1;
    }
    return n < k ? n : k;
}

static float least_score(const uint64_t *keys, size_t n)
{
    uint64_t least = keys[0];
    for (size_t i = 1; i < n; i++)
        /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): all n are set */
        least = keys[i] < least ? keys[i] : least;
    return rank_score(least);
}

/* A bar that at least k scores reach, and few more than k (a fifth, if they come in no order). They
 * stand in columns, read row by row; the k-th best of the columns' maxima is reached by one score
 * in each of k columns.  -FLT_MAX when n or k is too small or too large for it to pay. */
static float good_bar(const float *scores, size_t n, size_t k)
{
    float best[COLUMNS_MAX] QMN_UNINIT;
    uint64_t keys[COLUMNS_MAX] QMN_UNINIT;
    size_t columns = COLUMNS_PER_K * k, i = columns;
    if (!k || k > COLUMNS_MAX / COLUMNS_PER_K || n < ROWS_LEAST * columns)
        return -FLT_MAX;
    assert(columns > 0);
    memcpy(best, scores, columns * sizeof *best);
    for (; i + columns <= n; i += columns)
        for (size_t c = 0; c < columns; c++)
            best[c] = scores[i + c] > best[c] ? scores[i + c] : best[c];
    for (size_t c = 0; c < columns; c++)
        keys[c] = rank_key(best[c], (uint32_t)c);
    return least_score(keys, bring_best(keys, columns, k));
}

size_t topk_select(const float *scores, size_t n, float floor, size_t k, uint64_t *room,
                   uint32_t *ret_ids)
{
    size_t len = 0;
    float bar = good_bar(scores, n, k);
    bar = floor > bar ? floor : bar;
    for (size_t at = 0; at < n && k; at += STRIDE) {
        uint32_t reach[STRIDE + KERNELS_PLACES_EXTRA] QMN_UNINIT;
        size_t count = n - at < STRIDE ? n - at : STRIDE;
        count = math_kernels()->places_at_least(scores + at, count, bar, reach);
        for (size_t i = 0; i < count; i++) {
            if (len == TOPK_SELECT_ROOM * k) {
                len = bring_best(room, len, k);
                bar = least_score(room, len);
            }
            uint32_t id = (uint32_t)at + reach[i];
            if (scores[id] >= bar)
                room[len++] = rank_key(scores[id], id);
        }
    }
    len = bring_best(room, len, k);
    for (size_t i = 0; i < len; i++)
        ret_ids[i] = ~(uint32_t)room[i];
    return len;
}

/* ---- putting in order ---- */

/* Puts the keys in order, the largest first.  A heap read backwards is half in order already. */
static void sort_keys(uint64_t *keys, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        uint64_t key = keys[i];
        size_t at = i;
        for (; at && keys[at - 1] < key; at--)
            keys[at] = keys[at - 1];
        keys[at] = key;
    }
}

static void sort_few(struct topk_item *items, size_t n)
{
    uint64_t keys[SORT_FEW] QMN_UNINIT;
    for (size_t i = 0; i < n; i++)
        keys[i] = rank_key(items[n - 1 - i].score, items[n - 1 - i].id);
    sort_keys(keys, n);
    for (size_t i = 0; i < n; i++)
        items[i] = (struct topk_item){rank_score(keys[i]), ~(uint32_t)keys[i]};
}

size_t topk_sort(struct topk *t)
{
    if (t->len <= SORT_FEW) {
        sort_few(t->items, t->len);
        return t->len;
    }
    for (size_t n = t->len; n > 1; n--) { /* the worst of the rest goes last */
        struct topk_item worst = t->items[0], last = t->items[n - 1];
        sift_down(t->items, n - 1, 0, last);
        t->items[n - 1] = worst;
    }
    return t->len;
}
