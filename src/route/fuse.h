/* SPDX-License-Identifier: MIT
 *
 * One ranking of several, of which nothing is known but the order: reciprocal rank fusion (Cormack,
 * Clarke and Buettcher, "Reciprocal rank fusion outperforms Condorcet and individual rank learning
 * methods", SIGIR 2009).
 *
 *   score(d) = sum over the lists that have d of  weight / (damping + rank of d, from 1)
 *
 * Scores of different kinds (a cosine, a sum of BM25) are never compared, so none needs a scale;
 * those of one list may be compared with its best (by_score).
 *
 * Pure. */
#ifndef QMN_ROUTE_FUSE_H
#define QMN_ROUTE_FUSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "math/topk.h"

/* The damping says how little the first places stand out; 60 is the paper's, for rankings that know
 * nothing of each other and are about as good. */
#define FUSE_DAMPING 60

/* For a search by words beside one in the built-in space, which is lexical itself and finds less:
 * words count thrice, a small damping leaves the order to them where they are sure, and what adds a
 * fraction of the best score by words adds that fraction (by_score).  Without the latter a memory
 * that has the code which was asked for lost to those that have a common part of it and are near by
 * chance.  Tuned on one half of the queries of bench_retrieval; on the other, the mean of its four
 * kinds:
 *
 *                                       recall at 10     MRR
 *   words                               .888             .741
 *   vectors                             .844             .662
 *   both, damping 60, weights alike     .873             .714
 *   both, damping 5, weight 3           .898             .741
 *   both, these                         .898             .745
 *
 * Dampings from 5 to 20 with weights from 2 to 5 differ by less than .004 in recall, on the half
 * they were tuned on. */
#define FUSE_WORDS_DAMPING 5
#define FUSE_WORDS_WEIGHT  3
/* Beside vectors of which nothing is known: enough that a memory with all of a code comes before
 * the nearest one with half of it.  A guess. */
#define FUSE_ANY_WORDS_WEIGHT 2

struct fuse_list {
    const struct topk_item *items; /* best first, no id twice */
    size_t len;
    double weight; /* >= 0; 1: all count alike */
    bool by_score; /* what an item adds shrinks with its score, as a part of the first one's, too;
                    * then all are above 0.  False: scores are not looked at */
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
