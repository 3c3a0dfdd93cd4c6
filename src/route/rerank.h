/* SPDX-License-Identifier: MIT
 *
 * What a memory's relevance is worth once its quality, its age and its use count too:
 *
 *   score = max(0, relevance) * blend(quality_weight, quality)
 *           * blend(recency_weight, 2^(-age / half_life)) * blend(useful_weight, useful)
 *   blend(weight, value) = 1 - weight + weight * value
 *
 * A weight of 0 leaves the relevance as it is, 1 makes it proportional to the value; in between a
 * memory whose value is 0 keeps the share 1 - weight.  Factors and not a sum, because a cosine, a
 * BM25 score and a fused one have no scale in common.
 *
 * Pure. */
#ifndef QMN_ROUTE_RERANK_H
#define QMN_ROUTE_RERANK_H

#include <stdbool.h>
#include <stdint.h>

struct rerank {
    double quality_weight; /* [0, 1] */
    double useful_weight;  /* [0, 1] */
    double recency_weight; /* [0, 1] */
    double half_life_ms;   /* > 0 where recency_weight is: after so long it counts half */
};

/* What is known of a memory. */
struct rerank_facts {
    double quality; /* [0, 1] */
    double useful;  /* [0, 1]: what outcomes said of it; .5: nothing (route/quality.h) */
    int64_t age_ms; /* below 0 counts as 0 */
};

struct rerank_factors {
    double quality, recency, useful; /* [0, 1]; 1: it changes nothing */
};

/* False: no weight, so relevance alone decides, whatever its sign. */
static inline bool rerank_asked(const struct rerank *r)
{
    return r->quality_weight > 0 || r->recency_weight > 0 || r->useful_weight > 0;
}

struct rerank_factors rerank_factors(const struct rerank *r, const struct rerank_facts *m);
/* [0, max(0, relevance)] */
double rerank_score(double relevance, struct rerank_factors f);

#endif
