/* SPDX-License-Identifier: MIT
 *
 * Which of the scored agents receive the nutrient: diversity by maximal marginal relevance, one
 * slot of exploration, and the probability of every choice, so that another policy can be judged
 * from the log.
 *
 * The pool and the rest.  Scores exist for all agents of a tenant, perhaps ten thousand; diversity
 * looks at the pool only (route_pool).  Exploration draws from everybody eligible.  So the draw has
 * two outcomes: a candidate of the pool, or "number outside_rank of the eligible agents outside the
 * pool", which the caller resolves by walking its agents in a fixed order.
 *
 * Exploring among a sample.  Of very many agents nobody counts who is eligible: from the N that may
 * be sent the nutrient and were not chosen, a uniform sample S of m is drawn, E_S of it are found
 * eligible, and the draw is uniform among those.  All eligible agents are alike to it, so each of
 * the E is drawn with the same probability, P(E_S > 0) / E, of which the decision knows m / N and
 * E_S only.  It logs
 *
 *   p = (m / N) / E_S,  1 / p = E_S N / m.
 *
 * E_S is hypergeometric with mean m E / N, hence E[1 / p] = E: what weighs by inverse propensity
 * weighs an explored agent by an unbiased count of those it stands for.  (p itself is no unbiased
 * estimate of 1 / E; it is above by about (N / E - 1) / m of it in the mean.)  If nobody of the
 * sample is eligible the decision does not explore, and says 0 of everybody not chosen; at m = 64
 * that has a probability of 1% where 7% are eligible.
 *
 * Pure: no I/O, no clock, no locks; randomness is injected. */
#ifndef QMN_ROUTE_SELECT_H
#define QMN_ROUTE_SELECT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rng.h"
#include "route/score.h"

#define SELECT_LAMBDA  0.5 /* relevance against diversity; Carbonell and Goldstein 1998 */
#define SELECT_EPSILON 0.1 /* share of decisions that explore */

#define SELECT_OUTSIDE UINT32_MAX

struct select_options {
    uint32_t top_k;          /* 1 .. LIMIT_TOP_K */
    uint32_t eligible_total; /* of the tenant, those in the pool included; may be off a little */
    bool diversify;
    double epsilon; /* [0, 1] */
    /* Cosine of a candidate's profile with that of one chosen before it; 0 where one has none.
     * Asked with diversify only, and only for those that matter. */
    float (*similarity)(void *ctx, uint32_t candidate, uint32_t chosen);
    /* The exact number of eligible agents, asked for when the decision explores: only then does
     * the probability of what is chosen depend on it.  NULL: eligible_total is exact. */
    uint32_t (*recount)(void *ctx);
    /* NULL: the draw is among all that eligible_total counts.  Else it is among a sample, which
     * this draws from the agents not among chosen[count]: returns how many of it are eligible, and
     * what each has as p.  eligible_total need then only be above n if others may be eligible. */
    uint32_t (*sample)(void *ctx, const uint32_t *chosen, uint32_t count, struct rng *rng,
                       double *ret_p);
    void *ctx;
};

struct selection {
    uint32_t count;               /* min(top_k, eligible_total); 0: there is nobody */
    uint32_t chosen[LIMIT_TOP_K]; /* candidate numbers, in the order chosen; SELECT_OUTSIDE can
                                     stand last only */
    uint32_t eligible_total;      /* as recounted or estimated, if it was */
    bool explored;                /* the last one was drawn, not picked */
    uint32_t outside_rank; /* if SELECT_OUTSIDE: 0-based rank among the eligible outsiders; of
                            * a sample: among its eligible, who may be of the pool */
    /* Probability of being chosen, over the draw, of each candidate and of each outsider. They sum
     * to `count` over all eligible agents (with a sample: as near as it knows how many). */
    double propensity[ROUTE_POOL_MAX];
    double outside_propensity;
};

/* scores[n]: of the pool in the order of route_pool_finish(), all eligible; n = min(pool size,
 * eligible_total).
 *
 * Greedy choice: the best score first; with diversify, each next one maximises
 *   SELECT_LAMBDA s' - (1 - SELECT_LAMBDA) max over chosen c of similarity(candidate, c),
 * s' = score scaled to [0, 1] from the lowest of the pool, or from 0 if nobody is outside it, to
 * the highest (all 1 if that is no range); ties go to the earlier candidate. The last slot is then,
 * with probability epsilon, given to one drawn uniformly from all eligible agents outside the
 * greedy choice, if there are any. */
void route_select(const float *scores, uint32_t n, const struct select_options *options,
                  struct rng *rng, struct selection *ret_selection);

#endif
