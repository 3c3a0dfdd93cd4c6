/* SPDX-License-Identifier: MIT
 *
 * Relevance weighed with quality, age and use. */
#include "rerank.h"

#include <math.h>

static double blend(double weight, double value)
{
    return 1 - weight + weight * value;
}

struct rerank_factors rerank_factors(const struct rerank *r, const struct rerank_facts *m)
{
    struct rerank_factors f = {.quality = blend(r->quality_weight, m->quality),
                               .recency = 1,
                               .useful = blend(r->useful_weight, m->useful)};
    double age = m->age_ms > 0 ? (double)m->age_ms : 0;
    if (r->recency_weight > 0)
        f.recency = blend(r->recency_weight, exp2(-age / r->half_life_ms));
    return f;
}

double rerank_score(double relevance, struct rerank_factors f)
{
    return relevance > 0 ? relevance * f.quality * f.recency * f.useful : 0;
}
