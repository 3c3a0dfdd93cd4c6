/* SPDX-License-Identifier: MIT
 *
 * The score of one agent, and the pool of the best of many. */
#include "score.h"

#include <assert.h>

#include "clamp_priv.h"

struct score_parts route_score(float cosine, double weight, float demand, uint32_t capabilities)
{
    double relevance = clamp((double)cosine, 0, 1);
    double w = clamp(weight, EDGE_W_MIN, EDGE_W_MAX);
    double d = clamp((double)demand, 0, 1);
    uint32_t counted = capabilities < SCORE_CAPABILITY_MAX ? capabilities : SCORE_CAPABILITY_MAX;
    return (struct score_parts){
        .relevance = (float)relevance,
        .weight = (float)w,
        .demand = (float)d,
        .capabilities = capabilities,
        .score = (float)(relevance * (w / EDGE_PRIOR) * (1 + d) / 2 + SCORE_CAPABILITY * counted),
    };
}

void route_pool_init(struct route_pool *p, struct topk_item *items, uint32_t top_k, float min_score)
{
    assert(top_k >= 1 && top_k <= LIMIT_TOP_K);
    *p = (struct route_pool){.min_score = min_score};
    topk_init(&p->best, items, route_pool_size(top_k));
}

bool route_pool_offer(struct route_pool *p, uint32_t agent, const struct score_parts *parts)
{
    if (!route_eligible(parts) || parts->score < p->min_score)
        return false;
    p->eligible_total++;
    topk_offer(&p->best, parts->score, agent);
    return true;
}

uint32_t route_pool_finish(struct route_pool *p)
{
    return (uint32_t)topk_sort(&p->best);
}
