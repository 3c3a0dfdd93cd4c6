/* SPDX-License-Identifier: MIT
 *
 * Relevance weighed with quality and age. */
#include "rerank.h"

#include <math.h>

static double blend(double weight, double value)
{
    return 1 - weight + weight * value;
}

struct rerank_factors rerank_factors(const struct rerank *r, double quality, int64_t age_ms)
{
    struct rerank_factors f = {blend(r->quality_weight, quality), 1};
    double age = age_ms > 0 ? (double)age_ms : 0;
    if (r->recency_weight > 0)
        f.recency = blend(r->recency_weight, exp2(-age / r->half_life_ms));
    return f;
}

double rerank_score(double relevance, struct rerank_factors f)
{
    return relevance > 0 ? relevance * f.quality * f.recency : 0;
}
