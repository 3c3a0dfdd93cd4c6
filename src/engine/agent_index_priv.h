/* SPDX-License-Identifier: MIT
 *
 * The profiles of a large tenant once more, in the index that finds the nearest without a look at
 * all of them; and who may be sent what, as sets.  Beside the flat index and not instead of it:
 * that one scores exactly, and answers while this one is being made.
 *
 * It is made behind everybody's back: the writer copies the profiles over, some at a time, then
 * links them.  Agents below `filled` are in it, each change of them at once.  It is `ready`, and
 * decisions ask it, from when nearly all are linked until the tenant has shrunk to half of what
 * made it large.
 *
 * Thread rule: the writer changes it, under the network's lock for writing; whoever searches holds
 * that for reading. */
#ifndef QMN_ENGINE_AGENT_INDEX_PRIV_H
#define QMN_ENGINE_AGENT_INDEX_PRIV_H

#include "base/arena.h"
#include "base/rng.h"
#include "engine/network_priv.h"
#include "math/topk.h"

/* Above so many active agents a tenant gets an index, below half of them it loses it.  Measured
 * (bench_decide): among 30,000 a look at all still takes nine tenths of what the index does. */
enum { AGENT_FLAT_MAX = 32768 };

/* Whether decisions may ask it.  Read lock. */
static inline bool agent_index_ready(const struct tenant *t)
{
    return t->index.ready;
}

/* Before agents are published: room for `more` of them, new or changed.  Takes the lock for writing
 * when something moves.  False: out of memory. */
QMN_NODISCARD bool agent_index_reserve(struct network *n, struct tenant *t, uint32_t more);
/* After that: the agent is new, or has another profile (NULL: none), or may be sent something else.
 */
void agent_index_put(struct tenant *t, uint32_t slot, const float *profile);
void agent_index_reach(struct tenant *t, uint32_t slot);
/* Without an index from now on; it comes again when there is cause. */
void agent_index_release(struct tenant *t);

/* A piece of the work that is left.  The writer's, between groups.  False: nothing is left. */
bool agent_index_work(struct engine *e);

/* Of an index that is ready, the read lock held: */

/* The k agents nearest to a unit vector (or all there are) among those that may be sent `label`;
 * ret: agent slots, with cosines within some 1e-3.  `among`: a set of places (agent_index_place),
 * `count` of them, in place of all.  False: out of memory. */
struct agent_index_query {
    const float *unit;
    uint32_t k, ef; /* see vectors_query */
    uint32_t label;
    const uint64_t *among; /* uint64_t[agent_index_words()]; NULL: all */
    uint32_t count;
};
QMN_NODISCARD bool agent_index_nearest(struct engine *e, const struct tenant *t,
                                       const struct agent_index_query *q, struct topk_item *ret,
                                       size_t *ret_count);
size_t agent_index_words(const struct tenant *t);
/* Where an agent's profile is; AGENT_NO_PLACE: it has none. */
#define AGENT_NO_PLACE UINT32_MAX
static inline uint32_t agent_index_place(const struct tenant *t, uint32_t slot)
{
    return t->index.place_of[slot];
}

/* A uniform sample without replacement of the agents that may be sent `label`: ret_slots[m], in
 * order; returns how many, m or all there are.  *ret_total: of how many. */
enum { AGENT_SAMPLE_MAX = 64 };
uint32_t agent_index_sample(const struct tenant *t, uint32_t label, uint32_t m, struct rng *rng,
                            uint32_t *ret_slots, uint32_t *ret_total);

/* Whether it says of every agent what the network does; for network_validate. */
bool agent_index_holds(const struct tenant *t);

#endif
