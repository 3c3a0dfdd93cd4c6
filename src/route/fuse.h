/* SPDX-License-Identifier: MIT
 *
 * One ranking of several, of which nothing is known but the order: reciprocal rank fusion (Cormack,
 * Clarke and Buettcher, "Reciprocal rank fusion outperforms Condorcet and individual rank learning
 * methods", SIGIR 2009).
 *
 *   score(d) = sum over the lists that have d of  weight / (FUSE_RANK + rank of d, from 1)
 *
 * Scores of different kinds (a cosine, a sum of BM25) are never compared, so none needs a scale.
 *
 * Pure. */
#ifndef QMN_ROUTE_FUSE_H
#define QMN_ROUTE_FUSE_H

#include <stddef.h>
#include <stdint.h>

#include "math/topk.h"

/* The paper's: how little the first places stand out. */
#define FUSE_RANK 60

struct fuse_list {
    const struct topk_item *items; /* best first, no id twice; the scores are not looked at */
    size_t len;
    double weight; /* >= 0; 1: all count alike */
};

/* A place of an item in a list. */
struct fuse_place {
    uint32_t id;
    uint32_t list;
    double adds;
};

/* The k best, best first, ties by lower id; returns how many: ret_items[k].  room: for all items of
 * all lists. */
size_t fuse_ranks(const struct fuse_list *lists, uint32_t count, size_t k, struct fuse_place *room,
                  struct topk_item *ret_items);

#endif
