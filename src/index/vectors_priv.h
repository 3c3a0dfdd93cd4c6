/* SPDX-License-Identifier: MIT
 *
 * The parts of an index of two tiers, and the scratch memory of one search. */
#ifndef QMN_INDEX_VECTORS_PRIV_H
#define QMN_INDEX_VECTORS_PRIV_H

#include <float.h>

#include "index/graph.h"
#include "index/rows.h"
#include "index/vectors.h"
#include "math/kernels.h"

struct vectors {
    struct vectors_options options; /* immutable, defaults filled in */
    struct rows rows;
    struct graph *graph; /* NULL: all rows are fresh */
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
    struct walker walker;
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

/* The score that a row must be able to reach to be in the answer. */
static inline float search_bar(const struct search *f)
{
    return f->best.len < f->best.k ? -FLT_MAX : f->best.items[0].score;
}
/* Scores one row as precisely as it takes to know that it is out, or offers it. */
void search_consider(struct search *f, uint32_t slot);
/* Considers those of one chunk (or only its unlinked) that are permitted and may reach the bar. */
void search_chunk(struct search *f, uint32_t chunk, bool fresh_only);

/* Offers the k best among the permitted, by their error bounds. */
void search_flat(struct search *f);
/* Offers what a walk finds, and the fresh.  *ret_enough is false when there may be more: fewer than
 * k were found, or the walk gave up.  False: out of memory. */
QMN_NODISCARD bool search_graph(struct search *f, bool *ret_enough);

#endif
