/* SPDX-License-Identifier: MIT
 *
 * A tenant's memories by their vectors: the index, whose slots are the memories' slots.
 *
 * Thread rule: the writer alone changes it: what is in it under the network's lock for writing, so
 * that slots agree with the memories for whoever holds that for reading; room and links without,
 * beside any search.  A search runs without the lock, between two holds of it. */
#ifndef QMN_ENGINE_MEMORY_INDEX_PRIV_H
#define QMN_ENGINE_MEMORY_INDEX_PRIV_H

#include "engine/live_priv.h"
#include "engine/memory_sets_priv.h"
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

/* A search from memory_index_begin() to memory_index_end(), on one thread.  All 0: none. */
struct memory_finds {
    struct topk_item *items; /* slots and cosines, best first, ties by lower slot */
    size_t count;            /* min(k, permitted) */
    uint64_t permitted;
    bool exact; /* every permitted one was looked at */
    bool rough; /* cosines may be those of int8: the index of a large tenant keeps no copies */
    /* its own */
    struct memory_permit permit; /* as it was at the beginning */
    struct vectors_pin pin;      /* no slot is given to another memory meanwhile */
};

/* Among those permitted, whose bits are borrowed until the end.  Read lock held, and since the
 * permit was made. */
void memory_index_begin(struct tenant *t, const struct memory_permit *permit,
                        struct memory_finds *ret);
/* The k memories nearest to a unit vector; exact: scan, whatever it costs.  Without the lock,
 * however long it takes, and as often as it takes; items come from the arena.  False: out of
 * memory. */
QMN_NODISCARD bool memory_index_search(struct engine *e, struct memory_finds *f, const float *unit,
                                       uint32_t k, bool exact, struct arena *arena);
/* Read lock held: the i-th found; NULL when it went since, or is not among those permitted now,
 * which memory_permit_again() says. */
const struct memory *memory_index_found(const struct tenant *t, const struct memory_finds *f,
                                        const struct memory_permit *now, size_t i);
/* Read lock held: by what the store knows the vectors of those found. */
struct memory_whose {
    int64_t no;      /* 0: it went since */
    uint64_t vector; /* print: equal vectors have the same */
};
/* ret: [f->count] */
void memory_index_whose(const struct tenant *t, const struct memory_finds *f,
                        struct memory_whose *ret);
void memory_index_end(struct memory_finds *f);

/* Between begin and end: the index has no copies of the vectors, or none any more. */
static inline bool memory_index_is_rough(const struct memory_finds *f)
{
    return f->pin.index && vectors_exact(f->pin.index) == VECTORS_EXACT_NONE;
}

/* A piece of the work that is left over: links a memory into the graph of a large tenant, or mends
 * what deletions tore.  The writer's, between groups.  False: nothing is left. */
bool memory_index_work(struct engine *e);

#endif
