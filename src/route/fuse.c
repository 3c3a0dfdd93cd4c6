/* SPDX-License-Identifier: MIT
 *
 * Reciprocal rank fusion. */
#include "fuse.h"

#include <stdlib.h>

static int compare_places(const void *a, const void *b)
{
    const struct fuse_place *x = a, *y = b;
    if (x->id != y->id)
        return x->id < y->id ? -1 : 1;
    return (x->list > y->list) - (x->list < y->list);
}

static double share(const struct fuse_list *l, size_t i, double damping)
{
    double adds = l->weight / (damping + 1 + (double)i);
    return l->by_score ? adds * (double)l->items[i].score / (double)l->items[0].score : adds;
}

size_t fuse_ranks(const struct fuse_list *lists, uint32_t count, double damping, size_t k,
                  struct fuse_place *room, struct topk_item *ret_items)
{
    size_t len = 0;
    for (uint32_t l = 0; l < count; l++)
        for (size_t i = 0; i < lists[l].len; i++)
            room[len++] =
                (struct fuse_place){lists[l].items[i].id, l, share(&lists[l], i, damping)};
    /* by id, then by list: what is summed for an id is so in one order */
    if (len)
        qsort(room, len, sizeof *room, compare_places);
    struct topk best;
    topk_init(&best, ret_items, k);
    for (size_t i = 0; i < len;) {
        uint32_t id = room[i].id;
        double sum = 0;
        for (; i < len && room[i].id == id; i++)
            sum += room[i].adds;
        topk_offer(&best, (float)sum, id);
    }
    return topk_sort(&best);
}
