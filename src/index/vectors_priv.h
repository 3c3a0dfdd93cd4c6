/* SPDX-License-Identifier: MIT
 *
 * The parts of an index of two tiers, and the scratch memory of one search. */
#ifndef QMN_INDEX_VECTORS_PRIV_H
#define QMN_INDEX_VECTORS_PRIV_H

#include "index/rows.h"
#include "index/vectors.h"
#include "math/kernels.h"

struct vectors {
    struct vectors_options options; /* immutable, defaults filled in */
    struct rows rows;
};

/* One chunk's worth of a scan. */
struct scan_room {
    uint32_t slots[ROWS_CHUNK];
    const void *bits[ROWS_CHUNK];
    float estimates[ROWS_CHUNK];
    float highest[ROWS_CHUNK]; /* that a row's score could be */
    uint32_t places[ROWS_CHUNK + KERNELS_PLACES_EXTRA];
    uint64_t keys[TOPK_SELECT_ROOM * ROWS_CHUNK];
};

struct vectors_searcher {
    struct codes_query query;
    struct scan_room *room;
};

/* One search on its way. */
struct search {
    const struct vectors *v;
    const struct vectors_query *q;
    struct vectors_searcher *s;
    struct topk best; /* the answer so far */
    float deviations; /* that an estimate is trusted within */
    struct vectors_result_info info;
};

/* Offers the k best among the permitted, by their error bounds. */
void search_flat(struct search *f);

#endif
