/* SPDX-License-Identifier: MIT
 *
 * One ranking of several, of which nothing is known but the order: reciprocal rank fusion (Cormack,
 * Clarke and Buettcher, "Reciprocal rank fusion outperforms Condorcet and individual rank learning
 * methods", SIGIR 2009).
 *
 *   score(d) = sum over the lists that have d of  weight / (damping + rank of d, from 1)
 *
 * Scores of different kinds (a cosine, a sum of BM25) are never compared, so none needs a scale.
 *
 * Pure. */
#ifndef QMN_ROUTE_FUSE_H
#define QMN_ROUTE_FUSE_H

#include <stddef.h>
#include <stdint.h>

#include "math/topk.h"

/* The damping says how little the first places stand out; 60 is the paper's, for rankings that know
 * nothing of each other and are about as good. */
#define FUSE_DAMPING 60

/* For a search by words beside one in the built-in space, which is lexical itself and finds less:
 * words count thrice, and a small damping leaves the order to them where they are sure.  Tuned on
 * one half of the queries of bench_retrieval; on the other, the mean of its four kinds:
 *
 *                                       recall at 10     MRR
 *   words                               .885             .733
 *   vectors                             .833             .654
 *   both, damping 60, weights alike     .870             .706
 *   both, these                         .892             .735
 *
 * Dampings from 1 to 10 with weights from 2 to 4 differ by less than .005 in recall, on the half
 * they were tuned on. */
#define FUSE_WORDS_DAMPING 5
#define FUSE_WORDS_WEIGHT  3

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

/* The k best, best first, ties by lower id; returns how many: ret_items[k].  damping >= 0; room:
 * for all items of all lists. */
size_t fuse_ranks(const struct fuse_list *lists, uint32_t count, double damping, size_t k,
                  struct fuse_place *room, struct topk_item *ret_items);

#endif
