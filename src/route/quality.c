/* SPDX-License-Identifier: MIT
 *
 * Quality of memories: learning from outcomes. */
#include "quality.h"

#include "clamp_priv.h"

/* Scales votes down to `most` together; their mean stays. */
static void fade(double *weight, double *sum, double most)
{
    if (*weight <= most)
        return;
    *sum *= most / *weight;
    *weight = most;
}

/* Somebody else rates: the run joins what was learned before. */
static void end_run(struct quality_evidence *e)
{
    e->weight += e->run_weight;
    e->sum += e->run_sum;
    e->run_weight = e->run_sum = 0;
    fade(&e->weight, &e->sum, QUALITY_EVIDENCE_MAX);
}

void quality_learn(struct quality_evidence *e, int64_t rater, double score, double share)
{
    double w = clamp(share, 0, 1);
    if (!(w > 0))
        return;
    if (e->rater != rater)
        end_run(e);
    e->rater = rater;
    e->run_weight += w;
    e->run_sum += w * clamp(score, 0, 1);
    fade(&e->run_weight, &e->run_sum, QUALITY_RUN_MAX);
}

double quality_now(double given, const struct quality_evidence *e)
{
    double votes = QUALITY_PRIOR + e->weight + e->run_weight;
    return clamp((QUALITY_PRIOR * given + e->sum + e->run_sum) / votes, 0, 1);
}

double quality_useful(const struct quality_evidence *e)
{
    return quality_now(0.5, e);
}

double quality_share(double similarity, double nearest)
{
    return similarity > 0 && nearest > 0 ? clamp(similarity / nearest, 0, 1) : 0;
}
