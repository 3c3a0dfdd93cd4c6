/* SPDX-License-Identifier: MIT
 *
 * A navigable graph over the linked rows of an index [MY18: Malkov and Yashunin, "Efficient and
 * robust approximate nearest neighbor search using Hierarchical Navigable Small World graphs"],
 * built on distances of int8 to int8.
 *
 * Blocks of links are numbered as slots are, hold no pointers and never move.  At level 0 each slot
 * has one, of 256 bytes with 32 links a level: four cache lines; those of the upper levels, which
 * one slot in 32 has, lie in a pool.
 *
 * Where this departs from [MY18]: a removed row stays as a tombstone that walks pass through and
 * results leave out, until a sweep has given each node that links to it other neighbours, found
 * among its own and the tombstone's [FreshDiskANN: Singh et al., 2021, "delete consolidation"]; and
 * a neighbour just as far from one chosen as from the node itself is taken, so that equal vectors
 * link to each other.
 *
 * Threads: one writer; walks by others beside it, each with a walker of its own, in an epoch of the
 * rows: a slot that a link led to is not given to another vector before they have gone.  A block of
 * links is read as one (its version says whether it was written meanwhile).  A slot says that it is
 * linked only when a walk from the top can reach it. */
#ifndef QMN_INDEX_GRAPH_H
#define QMN_INDEX_GRAPH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/rng.h"
#include "index/rows.h"
#include "math/topk.h"

enum { GRAPH_LEVELS_MAX = 12 }; /* of 4 links a level, a slot beyond it comes once in 10^7 */

struct graph;

/* Where walks begin. */
struct graph_top {
    uint32_t entry, levels; /* levels 0: nothing is linked */
};
struct graph_top graph_top(const struct graph *g);

/* How rows are scored: higher is better. */
struct scorer {
    enum {
        SCORE_BITS = 1, /* inner product with the query, estimated */
        SCORE_I8,       /* ... of int8 by int8 */
        SCORE_NEAR,     /* - squared distance from a row, of int8 by int8 */
        SCORE_NEAR_BITS /* ... estimated, and without the row's own square */
    } kind;
    const struct rows *rows;
    const struct codes_query *query; /* of all but SCORE_NEAR */
    uint32_t slot;                   /* of SCORE_NEAR: the row */
};
enum { SCORER_BATCH = 64 };
/* ret[i]: the score of slots[i]; count up to SCORER_BATCH. */
void scorer_run(const struct scorer *s, const uint32_t *slots, size_t count, float *ret);

/* Scratch memory of one walk at a time, and what it found. */
struct walker {
    uint16_t *visited; /* [visited_cap]: the epoch in which it was seen last */
    uint32_t visited_cap;
    uint32_t limit; /* slots of the rows walked over: there may be links to others by now.  Stands
                       for them in visited, and was always seen */
    uint16_t epoch;
    struct topk_item *beam; /* best first; WALKER_HIDDEN and WALKER_EXPANDED stand in the ids */
    uint32_t beam_cap, len;
    uint32_t passing;  /* of them not hidden */
    uint32_t scored;   /* since walker_reserve() */
    uint32_t expanded; /* in the last walk */
    bool capped;       /* the last walk ended at expand_max */
};
#define WALKER_HIDDEN   0x40000000u
#define WALKER_EXPANDED 0x80000000u
#define WALKER_SLOT     0x3fffffffu

/* Room for walks over all rows there are; starts the count of what is scored. */
QMN_NODISCARD bool walker_reserve(struct walker *w, const struct rows *r);
void walker_release(struct walker *w);
/* A new set of visited slots. */
void walker_forget(struct walker *w);
/* A slot below the limit that the last walk along a level came across. */
static inline bool walker_has_met(const struct walker *w, uint32_t slot)
{
    return w->visited[slot] == w->epoch;
}
/* True the first time. */
static inline bool walker_visit(struct walker *w, uint32_t slot)
{
    bool first = w->visited[slot] != w->epoch;
    w->visited[slot] = w->epoch;
    return first;
}

struct walk {
    const struct graph *graph;
    struct walker *walker; /* reserved */
    const struct scorer *scorer;
    struct graph_top top;
    uint32_t ef; /* rows to keep that are not hidden */
    /* Rows that are not live, or not in this bitmap (NULL: all are), are hidden: walked through. */
    const uint64_t *permit;
    size_t permit_words;
    uint32_t expand_max; /* nodes; 0: no limit */
};
/* From the top, whose entry is below the walker's limit, to level 0.  False: out of memory. */
QMN_NODISCARD bool graph_walk(const struct walk *k);

/* NULL: out of memory.  rows and options are borrowed for the graph's life. */
struct graph *graph_new(struct rows *rows, const struct vectors_options *o);
/* The rows' links go with it; their slots stay as they were. */
void graph_free(struct graph *g);
/* For any thread in an epoch. */
void graph_bytes(const struct graph *g, size_t *ret_links, size_t *ret_other);

/* Links a fresh row.  False: out of memory, nothing changed. */
QMN_NODISCARD bool graph_insert(struct graph *g, uint32_t slot);

/* Dooms the dead rows; graph_sweep() then repairs nodes that link to them, about `budget` a call,
 * and frees their slots at the end. */
void graph_sweep_begin(struct graph *g);
bool graph_sweeping(const struct graph *g);
/* False: out of memory, and the graph is whole. */
QMN_NODISCARD bool graph_sweep(struct graph *g, uint32_t *budget);

void graph_validate(const struct graph *g);

#endif
