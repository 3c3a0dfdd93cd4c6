/* SPDX-License-Identifier: MIT
 *
 * How likely an agent is to help with a nutrient.
 *
 *   score = relevance * (w / EDGE_PRIOR) * (1 + demand) / 2 + 0.05 * min(matching capabilities, 4)
 *
 * relevance = max(0, cosine(nutrient, profile)): the raw cosine.  Mapping it to (x + 1) / 2 makes
 * unrelated agents look half right and alone loses to plain similarity.  An edge that does not
 * exist counts as its prior, so a fresh tenant routes by relevance from its first nutrient.
 *
 * Pure: no I/O, no clock, no locks. */
#ifndef QMN_ROUTE_SCORE_H
#define QMN_ROUTE_SCORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"
#include "math/topk.h"

/* Edge weights: the best edge counts three times a new one, and the floor keeps a bad one
 * recoverable. */
#define EDGE_PRIOR 0.5
#define EDGE_W_MIN 0.01
#define EDGE_W_MAX 1.5

#define SCORE_CAPABILITY     0.05 /* per matching capability; a guess, small beside a cosine */
#define SCORE_CAPABILITY_MAX 4u   /* further matches add nothing: lists can be padded */

struct score_parts {
    float relevance;       /* [0, 1] */
    float weight;          /* the edge, [EDGE_W_MIN, EDGE_W_MAX] */
    float demand;          /* [0, 1] */
    uint32_t capabilities; /* matching ones, uncapped */
    float score;           /* [0, 3.2] */
};

/* cosine: raw, [-1, 1] (NaN counts as 0); weight: EDGE_PRIOR where there is no edge.  Weight and
 * demand are clamped to their ranges. */
struct score_parts route_score(float cosine, double weight, float demand, uint32_t capabilities);

/* An agent with no relevance and no matching capability is never chosen. */
static inline bool route_eligible(const struct score_parts *p)
{
    return p->relevance > 0 || p->capabilities > 0;
}

/* Candidates kept per decision: LIMIT_CANDIDATES, or twice top_k where that is more, so that
 * diversity always has something to choose from. */
enum { ROUTE_POOL_MAX = 2 * LIMIT_TOP_K };

static inline uint32_t route_pool_size(uint32_t top_k)
{
    return 2 * top_k > LIMIT_CANDIDATES ? 2 * top_k : LIMIT_CANDIDATES;
}

/* Gathers the pool from all of a tenant's agents: offer each one once, in any order. */
struct route_pool {
    struct topk best;        /* ids are the caller's agent numbers */
    uint32_t eligible_total; /* offered agents that may be chosen at all, kept or not */
    float min_score;         /* agents below are not eligible; 0: no threshold */
};

/* items: room for route_pool_size(top_k), borrowed.  min_score: 0 for none. */
void route_pool_init(struct route_pool *p, struct topk_item *items, uint32_t top_k,
                     float min_score);
/* Returns whether the agent is eligible. */
bool route_pool_offer(struct route_pool *p, uint32_t agent, const struct score_parts *parts);
/* Orders best.items[0 .. n) by score, then id; returns n. */
uint32_t route_pool_finish(struct route_pool *p);

#endif
