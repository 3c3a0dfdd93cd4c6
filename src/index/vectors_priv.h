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

/* What a search goes by, from its beginning to its end.  Another one is published when a chunk of
 * rows is added, when the graph is made or dropped, and when the exact copies are. */
struct vectors_view {
    struct rows rows;
    struct graph *graph; /* NULL: all rows are fresh */
    struct epoch_garbage garbage;
    /* what the view after it does not have any more */
    bool last_table, last_bits, last_exact, last_graph;
};

struct vectors {
    struct vectors_options options; /* immutable, defaults filled in */
    struct epoch *epoch;            /* of the searches; a cache line's neighbour to nobody */
    _Atomic(struct vectors_view *) view;
    _Atomic uint32_t holders; /* the owner, and who has it pinned */
    /* the writer's, but for the counts in rows */
    struct rows rows;
    struct graph *graph;
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

/* The fresh slots of a chunk when a search began. */
struct fresh_words {
    uint32_t chunk;
    uint64_t words[ROWS_WORDS];
};

struct vectors_searcher {
    struct codes_query query;
    struct scan_room *room;
    struct walker walker;
    struct fresh_words *fresh;
    uint32_t fresh_cap;
};

/* One search on its way. */
struct search {
    const struct vectors_options *options;
    const struct rows *rows;
    const struct graph *graph;
    struct graph_top top;
    size_t permit_words; /* of q->permit */
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
/* Considers those of one chunk whose bits are set, that are permitted and may reach the bar. */
void search_chunk(struct search *f, uint32_t chunk, const uint64_t words[ROWS_WORDS],
                  bool bar_is_set);

/* Offers the k best among the permitted, by their error bounds. */
void search_flat(struct search *f);
/* Offers what a walk finds, and the fresh.  *ret_enough is false when there may be more: fewer than
 * k were found, or the walk gave up.  False: out of memory. */
QMN_NODISCARD bool search_graph(struct search *f, bool *ret_enough);

#endif
