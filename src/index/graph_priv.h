/* SPDX-License-Identifier: MIT
 *
 * The graph's memory: blocks of links by slot and level. */
#ifndef QMN_INDEX_GRAPH_PRIV_H
#define QMN_INDEX_GRAPH_PRIV_H

#include "index/graph.h"

#define GRAPH_NONE UINT32_MAX

enum {
    GRAPH_LINKS_MAX = 63,       /* of a block */
    GRAPH_POOL_CHUNK = 1024,    /* blocks */
    GRAPH_CANDIDATES_MAX = 4096 /* 63 links of each of 63 neighbours, and them */
};

struct graph_block {
    _Atomic uint16_t count;
    _Atomic uint16_t version; /* of the links; odd while they are being written */
    _Atomic uint32_t links[];
};

struct graph_chunk {
    uint8_t level[ROWS_CHUNK];
    uint32_t upper[ROWS_CHUNK]; /* the first of `level` blocks in the pool */
    char *blocks;               /* [ROWS_CHUNK], of level 0 */
};

/* Chunks by number.  A walk may still hold the table that a larger one replaced: those stay until
 * the graph goes, and are smaller than the last one, all of them together. */
struct graph_table {
    struct graph_table *older;
    uint32_t cap;
    void *chunks[]; /* each is there before anything links to what is in it; else NULL */
};

/* Blocks of upper levels, those of one slot side by side. */
struct graph_pool {
    _Atomic(struct graph_table *) table; /* NULL: no blocks yet */
    uint32_t chunk_count;
    uint32_t used;                        /* blocks, of all chunks */
    uint32_t freed[GRAPH_LEVELS_MAX + 1]; /* lists by length, chained through links[0] */
};

/* What the writer needs to link or repair one node. */
struct graph_builder {
    struct walker walker;
    struct codes_query query; /* the node, where the graph is walked by bits */
    struct topk_item candidates[GRAPH_CANDIDATES_MAX];
    uint32_t slots[GRAPH_CANDIDATES_MAX]; /* not scored yet */
    uint32_t chosen[GRAPH_LEVELS_MAX][GRAPH_LINKS_MAX];
    uint32_t chosen_count[GRAPH_LEVELS_MAX];
};

struct graph {
    struct rows *rows;
    /* immutable */
    uint32_t links, links0;  /* room in a block of an upper level, and of level 0 */
    uint32_t block, block0;  /* bytes of them */
    uint32_t wanted, rarity; /* links of a new node; one slot in `rarity` reaches a level up */
    uint32_t ef_construction;
    bool by_bits; /* walks estimate distances; what they find is ranked by int8 */
    /* the writer's */
    _Atomic(struct graph_table *) table; /* of graph_chunk; NULL where nothing was linked yet */
    struct graph_pool pool;
    _Atomic uint64_t top; /* levels << 32 | entry */
    _Atomic size_t bytes_links, bytes_other;
    struct rng rng;
    uint32_t cursor; /* of the sweep */
    bool sweeping;
    struct graph_builder builder;
};

static inline struct graph_chunk *graph_chunk_of(const struct graph *g, uint32_t slot)
{
    const struct graph_table *t = atomic_load_explicit(&g->table, memory_order_acquire);
    return t->chunks[slot / ROWS_CHUNK];
}

static inline struct graph_block *graph_pool_block(const struct graph *g, uint32_t at)
{
    const struct graph_table *t = atomic_load_explicit(&g->pool.table, memory_order_acquire);
    return (void *)((char *)t->chunks[at / GRAPH_POOL_CHUNK] +
                    (size_t)(at % GRAPH_POOL_CHUNK) * g->block);
}

/* Of a linked slot that reaches the level. */
static inline struct graph_block *graph_block_of(const struct graph *g, uint32_t slot,
                                                 uint32_t level)
{
    const struct graph_chunk *c = graph_chunk_of(g, slot);
    if (!level)
        return (void *)(c->blocks + (size_t)(slot % ROWS_CHUNK) * g->block0);
    return graph_pool_block(g, c->upper[slot % ROWS_CHUNK] + level - 1);
}

static inline uint32_t graph_level_of(const struct graph *g, uint32_t slot)
{
    return graph_chunk_of(g, slot)->level[slot % ROWS_CHUNK];
}

static inline uint32_t graph_room(const struct graph *g, uint32_t level)
{
    return level ? g->links : g->links0;
}

/* ---- reading and writing links ----
 *
 * A sequence lock [Boehm, "Can seqlocks get along with programming language memory models?", 2012]
 * without fences: links are stored with release and loaded with acquire, so that who sees a new one
 * sees the odd version too when it looks again.  On x86 all of them are plain moves. */

/* What the writer reads, or a walk before it has looked at the version again. */
static inline uint32_t graph_link(const struct graph_block *b, uint32_t at)
{
    return atomic_load_explicit(&b->links[at], memory_order_acquire);
}

static inline uint32_t graph_count(const struct graph_block *b)
{
    return atomic_load_explicit(&b->count, memory_order_acquire);
}

/* Waits while they are being written, which takes nanoseconds, and hands out the version. */
uint16_t graph_version_await(const struct graph_block *b);
static inline uint16_t graph_version(const struct graph_block *b)
{
    uint16_t version = atomic_load_explicit(&b->version, memory_order_acquire);
    return version & 1 ? graph_version_await(b) : version;
}

/* What was read since graph_version() stood there at one moment. */
static inline bool graph_is_still(const struct graph_block *b, uint16_t version)
{
    return atomic_load_explicit(&b->version, memory_order_relaxed) == version;
}

/* Links [from, count) become those; the ones before stay. */
void graph_set_links(struct graph_block *b, uint32_t from, const uint32_t *links, uint32_t count);

void graph_set_top(struct graph *g, struct graph_top top);

/* Empty blocks for a slot that reaches `level`.  False: out of memory, nothing changed. */
QMN_NODISCARD bool graph_place(struct graph *g, uint32_t slot, uint32_t level);
/* Gives its upper blocks back: nothing ever linked to it, or nobody remembers. */
void graph_displace(struct graph *g, uint32_t slot);

void graph_write(const struct graph *g, uint32_t slot, uint32_t level, const uint32_t *links,
                 uint32_t count);

/* One level, from `start`: the beam holds what was found.  Nothing is hidden above level 0. */
QMN_NODISCARD bool graph_walk_level(const struct walk *k, uint32_t level, uint32_t start);

/* Scores builder.slots[count] by their distance from `slot` and ranks them in builder.candidates.
 */
void graph_rank(struct graph *g, uint32_t slot, uint32_t count);
/* Of builder.candidates[count], best first: up to `equal` that have the node's own codes, those
 * that no chosen one is nearer to than the node is [MY18, algorithm 4], up to `most` in all; then
 * the best others until there are `least`.  Returns how many. */
struct graph_choice {
    uint32_t equal, most, least;
};
uint32_t graph_choose(struct graph *g, uint32_t count, struct graph_choice c, uint32_t *ret);
/* Of a node that is there already. */
static inline struct graph_choice graph_choice_again(uint32_t room, uint32_t least)
{
    return (struct graph_choice){.equal = room / 2, .most = room, .least = least};
}
/* Walks start from the highest that is linked and not doomed, of several the lowest slot. */
void graph_choose_entry(struct graph *g);
/* Room for the walks of the next node. */
QMN_NODISCARD bool graph_builder_reserve(struct graph *g);
/* How walks score their way to a slot; before graph_find(). */
struct scorer graph_towards(struct graph *g, uint32_t slot);
/* Finds new neighbours of the scorer's slot at a level by a walk, into builder.chosen; `start`
 * moves to the nearest found. */
QMN_NODISCARD bool graph_find(struct graph *g, const struct scorer *towards, uint32_t level,
                              uint32_t *start);
/* Links builder.chosen[level] to the slot, and back. */
void graph_tie(struct graph *g, uint32_t slot, uint32_t level);

#endif
