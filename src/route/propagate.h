/* SPDX-License-Identifier: MIT
 *
 * A nutrient travels on: each agent chosen at hop h - 1 passes it to its own best neighbours.
 *
 * At hop h >= 2 a forwarder f considers only agents it has a stored edge to, whose idle-relaxed
 * weight is at least the prior (it has not proved bad) and whose relevance is above 0 (a capability
 * alone carries one hop, not two).  Their score is
 *
 *   PROPAGATE_ATTENUATION^(h - 1) * route_score(relevance, w_fa, demand, capabilities)
 *
 * Never an agent already reached, nor the source; at most top_k per forwarder; best score first
 * within a hop, ties by lower agent, then by the earlier forwarder; so an agent several forwarders
 * want comes from the one it scores best with.
 *
 * Budget: all hops together, the first included, deliver to at most min(LIMIT_FANOUT, 4 top_k)
 * agents. Four: the first hop takes one top_k, and three hops (the default) may each add as many
 * once more; without a budget top_k 3 and ten hops could reach 88,572 agents.
 *
 * Pure: no I/O, no clock, no locks. */
#ifndef QMN_ROUTE_PROPAGATE_H
#define QMN_ROUTE_PROPAGATE_H

#include <stdint.h>

#include "base/limits.h"
#include "route/score.h"

/* Per hop after the first; a guess: each step doubts the last. */
#define PROPAGATE_ATTENUATION 0.5f

enum { PROPAGATE_BUDGET_FACTOR = 4 };

struct route_hop {
    uint32_t agent, from;     /* the caller's agent numbers */
    uint32_t hop;             /* 1: from the source itself */
    struct score_parts parts; /* parts.score is attenuated, the other parts are raw */
};

struct route_neighbour {
    uint32_t agent;
    struct score_parts parts; /* from route_score(), not attenuated */
};

struct propagate_options {
    uint32_t source;
    uint32_t top_k;    /* 1 .. LIMIT_TOP_K, per forwarder */
    uint32_t max_hops; /* 1: nothing to do */
    float min_score;   /* attenuated scores below are not delivered; 0: no threshold */
};

/* The stored edges out of `forwarder`, to agents that may receive (active, permitted),
 * idle-relaxed, in any order.  *ret_neighbours stays valid until route_propagate() returns. Returns
 * their number. Called at most once per forwarder. */
typedef uint32_t route_neighbours_fn(void *ctx, uint32_t forwarder,
                                     const struct route_neighbour **ret_neighbours);

uint32_t propagate_budget(uint32_t top_k);

/* hops[0 .. first): the first hop, as chosen, first <= top_k.  Appends hop by hop and returns the
 * new number of entries. */
uint32_t route_propagate(struct route_hop hops[LIMIT_FANOUT], uint32_t first,
                         const struct propagate_options *options, route_neighbours_fn *neighbours,
                         void *ctx);

#endif
