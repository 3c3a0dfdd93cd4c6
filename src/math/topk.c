/* SPDX-License-Identifier: MIT
 *
 * A binary heap whose parent ranks after its children: items[0] is the worst kept. */
#include "topk.h"

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

size_t topk_sort(struct topk *t)
{
    for (size_t n = t->len; n > 1; n--) { /* the worst of the rest goes last */
        struct topk_item worst = t->items[0], last = t->items[n - 1];
        sift_down(t->items, n - 1, 0, last);
        t->items[n - 1] = worst;
    }
    return t->len;
}
