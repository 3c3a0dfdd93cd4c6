/* SPDX-License-Identifier: MIT
 *
 * Maximal marginal relevance [CG98: Carbonell and Goldstein, "The Use of MMR", SIGIR 1998], then
 * one draw for the last slot.  Departs from the paper in scaling the scores to [0, 1], where the
 * cosines it weighs them against already are. */
#include "select.h"

#include <assert.h>
#include <float.h>
#include <math.h>

#include "math/kernels.h"

struct mmr {
    const struct select_candidate *candidates;
    uint32_t n, dim;
    double low, range;
    float max_similarity[ROUTE_POOL_MAX]; /* to those chosen so far */
    bool taken[ROUTE_POOL_MAX];
};

static void mmr_init(struct mmr *m, const struct select_candidate *candidates, uint32_t n,
                     uint32_t dim)
{
    *m = (struct mmr){.candidates = candidates, .n = n, .dim = dim};
    double low = DBL_MAX, high = -DBL_MAX;
    for (uint32_t i = 0; i < n; i++) {
        low = fmin(low, (double)candidates[i].score);
        high = fmax(high, (double)candidates[i].score);
        m->max_similarity[i] = -1;
    }
    m->low = low;
    m->range = high - low;
}

static double marginal_relevance(const struct mmr *m, uint32_t i)
{
    double scaled = m->range > 0 ? ((double)m->candidates[i].score - m->low) / m->range : 1;
    return SELECT_LAMBDA * scaled - (1 - SELECT_LAMBDA) * (double)m->max_similarity[i];
}

static void mmr_take(struct mmr *m, uint32_t chosen)
{
    const struct kernels *k = math_kernels();
    const float *unit = m->candidates[chosen].unit;
    m->taken[chosen] = true;
    for (uint32_t i = 0; i < m->n; i++) {
        if (m->taken[i])
            continue;
        const float *other = m->candidates[i].unit;
        float similarity = unit && other ? k->dot_f32(unit, other, m->dim) : 0;
        m->max_similarity[i] = fmaxf(m->max_similarity[i], similarity);
    }
}

static uint32_t mmr_best(const struct mmr *m)
{
    uint32_t best = m->n;
    double best_value = 0;
    for (uint32_t i = 0; i < m->n; i++) {
        double value = marginal_relevance(m, i);
        if (!m->taken[i] && (best == m->n || value > best_value)) {
            best = i;
            best_value = value;
        }
    }
    return best;
}

/* Writes `count` candidate numbers in the order chosen; the best score always goes first. */
static void choose_greedily(const struct select_candidate *candidates, uint32_t n,
                            const struct select_options *o, uint32_t count, uint32_t *ret_chosen)
{
    if (!o->diversify || count < 2) {
        for (uint32_t i = 0; i < count; i++)
            ret_chosen[i] = i;
        return;
    }
    struct mmr m;
    mmr_init(&m, candidates, n, o->dim);
    for (uint32_t slot = 0; slot < count; slot++) {
        uint32_t best = mmr_best(&m);
        ret_chosen[slot] = best;
        if (slot + 1 < count)
            mmr_take(&m, best);
    }
}

static bool was_chosen(const struct selection *s, uint32_t candidate)
{
    for (uint32_t i = 0; i < s->count; i++)
        if (s->chosen[i] == candidate)
            return true;
    return false;
}

/* Gives the last slot to the j-th of the rest: first the candidates not chosen, then the outsiders.
 */
static void explore(struct selection *s, uint32_t n, uint32_t j)
{
    uint32_t drawn = SELECT_OUTSIDE;
    for (uint32_t i = 0; i < n; i++) {
        if (was_chosen(s, i))
            continue;
        if (j == 0) {
            drawn = i;
            break;
        }
        j--;
    }
    s->explored = true;
    s->chosen[s->count - 1] = drawn;
    s->outside_rank = drawn == SELECT_OUTSIDE ? j : 0;
}

void route_select(const struct select_candidate *candidates, uint32_t n,
                  const struct select_options *o, struct rng *rng, struct selection *ret_selection)
{
    assert(o->top_k >= 1 && o->top_k <= LIMIT_TOP_K && n <= ROUTE_POOL_MAX);
    assert(o->epsilon >= 0 && o->epsilon <= 1);
    uint32_t count = o->top_k < o->eligible_total ? o->top_k : o->eligible_total;
    assert(n >= count && n <= o->eligible_total);

    struct selection *s = ret_selection;
    *s = (struct selection){.count = count};
    choose_greedily(candidates, n, o, count, s->chosen);
    uint32_t rest = o->eligible_total - count;
    bool may_explore = count > 0 && rest > 0;

    double share = may_explore ? o->epsilon / rest : 0;
    s->outside_propensity = share;
    for (uint32_t i = 0; i < n; i++)
        s->propensity[i] = share;
    for (uint32_t slot = 0; slot < count; slot++)
        s->propensity[s->chosen[slot]] = 1;
    if (!may_explore)
        return;
    s->propensity[s->chosen[count - 1]] = 1 - o->epsilon;
    if (rng_unit(rng) < o->epsilon)
        explore(s, n, rng_below(rng, rest));
}
