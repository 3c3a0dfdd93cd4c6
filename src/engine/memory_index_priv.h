/* SPDX-License-Identifier: MIT
 *
 * A tenant's memories by their vectors: the index, whose slots are the memories' slots.
 *
 * Thread rule: the writer changes it, under the network's lock for writing; whoever searches holds
 * that for reading. */
#ifndef QMN_ENGINE_MEMORY_INDEX_PRIV_H
#define QMN_ENGINE_MEMORY_INDEX_PRIV_H

#include "engine/live_priv.h"
#include "index/vectors.h"
#include "math/topk.h"

/* What the index of the tenant, whose dimension is known, is made with. */
struct vectors_options memory_index_options(const struct tenant *t);
/* The start has made it from a snapshot of so many slots; owned from here on. */
void memory_index_take(struct tenant *t, struct vectors *index, uint32_t slots);
/* A slot of it turns out to be nobody's. */
void memory_index_drop(struct tenant *t, uint32_t slot);

/* Before memories are published: room for what the group brings so far, to a tenant whose dimension
 * is known.  Takes the lock for writing when something moves.  False: out of memory. */
QMN_NODISCARD bool memory_index_reserve(struct engine *e, struct tenant *t);
/* After that.  unit: float[dim] of length 1. */
uint32_t memory_index_add(struct tenant *t, const float *unit);
void memory_index_remove(struct tenant *t, uint32_t slot);
void memory_index_release(struct tenant *t);

/* Which memories a search may see; only used ones are asked about. */
struct memory_sight {
    bool (*permit)(void *ctx, const struct memory *m);
    void *ctx;
};

/* Cosines are those of int8: the index of a large tenant keeps no copies of its vectors. */
static inline bool memory_index_is_rough(const struct tenant *t)
{
    return t->memory_index && vectors_exact(t->memory_index) == VECTORS_EXACT_NONE;
}

struct memory_finds {
    struct topk_item *items; /* slots and cosines, best first, ties by lower slot */
    size_t count;            /* min(k, permitted) */
    uint64_t permitted;
    bool exact; /* every permitted one was looked at */
};

/* The k memories nearest to a unit vector among those permitted; items from the arena.  False: out
 * of memory. */
QMN_NODISCARD bool memory_index_find(struct engine *e, const struct tenant *t, const float *unit,
                                     uint32_t k, const struct memory_sight *sight,
                                     struct arena *arena, struct memory_finds *ret);

/* A piece of the work that is left over: links a memory into the graph of a large tenant, or mends
 * what deletions tore.  The writer's, between groups.  False: nothing is left. */
bool memory_index_work(struct engine *e);

#endif
