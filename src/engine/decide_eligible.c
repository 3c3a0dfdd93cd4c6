/* SPDX-License-Identifier: MIT
 *
 * Who is eligible at all.  The first pass knows it of nearly everybody. */
#include <float.h>
#include <math.h>

#include "engine/decider_priv.h"
#include "route/plasticity.h"

/* An approximate cosine of exactly 0 is taken at its word where rounding is at most this.  A guess,
 * above the .002 of embeddings. */
#define NOTHING_SHARED 0.005f

float decider_floor(const struct decider *d)
{
    return d->min_score > 0 ? d->min_score : FLT_MIN;
}

static bool roughly_eligible(const struct decider *d, uint32_t slot)
{
    return d->s.score[slot] >= decider_floor(d);
}

/* Of the slots [first, end). */
static uint32_t count_between(const struct decider *d, uint32_t first, uint32_t end)
{
    const float *score = d->s.score;
    float floor = decider_floor(d);
    uint32_t eligible = 0;
    for (uint32_t i = first; i < end; i++)
        eligible += score[i] >= floor;
    return eligible;
}

uint32_t decider_count(const struct decider *d)
{
    return count_between(d, 0, d->s.n);
}

/* No agent in doubt is farther than this from the threshold. */
static float doubt_most(const struct decider *d)
{
    float off = flat_uncertainty_most(&d->t->profiles, d->in->rough.query.error);
    return d->min_score > 0 ? off * (float)(EDGE_W_MAX / EDGE_PRIOR) : off;
}

/* Whether the exact look may see an agent on the other side of the threshold. */
static bool in_doubt(const struct decider *d, uint32_t slot)
{
    const struct scratch *s = &d->s;
    float cosine = s->cosine[slot];
    if (s->score[slot] == NOT_ELIGIBLE || s->exact[slot] || !d->t->profiles.dim)
        return false;
    float off = flat_uncertainty(&d->t->profiles, slot, d->in->rough.query.error);
    if (cosine == 0 && off < NOTHING_SHARED)
        return false; /* sparse vectors without a common element: most of a tenant, and no doubt */
    if (d->min_score <= 0)
        return fabsf(cosine) <= off && !s->capable[slot];
    return cosine > -off &&
           fabsf(s->score[slot] - d->min_score) <= off * (float)(EDGE_W_MAX / EDGE_PRIOR);
}

/* slot: the number of slots for nobody. */
static void settle(struct decider *d, uint32_t slot)
{
    if (slot < d->s.n) {
        struct score_parts parts = decider_exact(d, slot, d->in->source);
        d->s.score[slot] = parts.score;
    }
}

/* One comparison rules most agents out. */
uint32_t decider_settle(struct decider *d)
{
    struct scratch *s = &d->s;
    const float *value = d->min_score > 0 ? s->score : s->cosine;
    float most = d->t->profiles.dim ? doubt_most(d) : -1;
    uint32_t found = s->n; /* one to settle once the next is on its way */
    for (uint32_t i = 0; i < s->n; i++) {
        if (!(fabsf(value[i] - d->min_score) <= most) && !s->exact[i])
            continue;
        if (s->score[i] == NOT_ELIGIBLE || !(s->exact[i] || in_doubt(d, i)))
            continue;
        if (!s->exact[i])
            flat_prefetch(&d->t->profiles, i);
        settle(d, found);
        found = i;
    }
    settle(d, found);
    return decider_count(d);
}

/* Looks at them one by one only in the word where it is. */
uint32_t decider_outsider(const struct decider *d, const struct topk_item *pool, uint32_t pool_len,
                          uint32_t rank)
{
    uint64_t *inside = d->s.covered; /* no hint needs it any more */
    memset(inside, 0, d->s.words * sizeof *inside);
    for (uint32_t k = 0; k < pool_len; k++)
        if (roughly_eligible(d, pool[k].id))
            inside[pool[k].id / 64] |= UINT64_C(1) << (pool[k].id % 64);
    for (uint32_t first = 0; first < d->s.n; first += 64) {
        uint64_t taken = inside[first / 64];
        uint32_t end = first + 64 < d->s.n ? first + 64 : d->s.n;
        uint32_t count = count_between(d, first, end) - (uint32_t)__builtin_popcountll(taken);
        if (rank >= count) {
            rank -= count;
            continue;
        }
        for (uint32_t i = first; i < end; i++)
            if (roughly_eligible(d, i) && !(taken >> (i % 64) & 1) && rank-- == 0)
                return i;
    }
    return UINT32_MAX;
}

static bool listed(const uint32_t *slots, uint32_t count, uint32_t slot)
{
    for (uint32_t i = 0; i < count; i++)
        if (slots[i] == slot)
            return true;
    return false;
}

/* Whether the codes alone leave no doubt that an agent is eligible: of most. */
static bool surely_eligible(const struct decider *d, uint32_t slot, float cosine)
{
    return d->min_score <= 0 &&
           (d->s.capable[slot] ||
            cosine > flat_uncertainty(&d->t->profiles, slot, d->in->rough.query.error));
}

/* What a uniform sample of all has beside the chosen and the source is one of the others. */
uint32_t decider_sample(struct decider *d, const uint32_t *chosen, uint32_t count, struct rng *rng,
                        double *ret_p)
{
    const struct agent *source = d->in->source;
    uint32_t drawn[AGENT_SAMPLE_MAX], total, m = 0, found = 0;
    float cosines[AGENT_SAMPLE_MAX];
    uint32_t n = agent_index_sample(d->t, d->in->sensitivity, AGENT_SAMPLE_MAX, rng, drawn, &total);
    for (uint32_t i = 0; i < n; i++)
        if (drawn[i] != source->slot && !listed(chosen, count, drawn[i]))
            drawn[m++] = drawn[i];
    flat_scores_of(&d->t->profiles, &d->in->rough.query, drawn, m, cosines);
    for (uint32_t i = 0; i < m; i++)
        if (surely_eligible(d, drawn[i], cosines[i]) || decider_eligible(d, drawn[i]))
            d->sample[found++] = drawn[i];
    uint32_t others = total - count - (d->t->reach[source->slot] >= d->in->sensitivity);
    if (found)
        *ret_p = (double)m / others / found;
    return found;
}

bool decider_eligible(struct decider *d, uint32_t slot)
{
    struct score_parts parts = decider_exact(d, slot, d->in->source);
    return route_eligible(&parts) && parts.score >= d->min_score;
}
