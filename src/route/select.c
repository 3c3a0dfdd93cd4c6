/* SPDX-License-Identifier: MIT
 *
 * Maximal marginal relevance [CG98: Carbonell and Goldstein, "The Use of MMR", SIGIR 1998], then
 * one draw for the last slot.  Departs from the paper in scaling the scores to [0, 1], where the
 * cosines it weighs them against already are, from what is irrelevant to the best.  Irrelevant is,
 * where others had to stay outside, whoever only just came in.  Where all are here it is a score of
 * 0: the worst of three good ones is good, and taken for irrelevant it would lose to a double of
 * the best. */
#include "select.h"

#include <assert.h>
#include <float.h>

#include "base/attr.h"

/* The maximum similarity only grows as more are chosen, so a value that lacks the latest choices is
 * an upper bound: only a candidate that leads by such a bound has to be brought up to date.  The
 * result is that of recomputing everything. */
struct mmr {
    const struct select_options *options;
    const uint32_t *chosen;
    uint32_t n, chosen_count;
    double relevance[ROUTE_POOL_MAX]; /* SELECT_LAMBDA s' */
    double value[ROUTE_POOL_MAX];     /* marginal relevance to the first seen[i] of the chosen */
    float max_similarity[ROUTE_POOL_MAX];
    uint32_t seen[ROUTE_POOL_MAX];
};

static void mmr_init(struct mmr *m, const float *scores, uint32_t n,
                     const struct select_options *options, const uint32_t *chosen)
{
    m->options = options;
    m->chosen = chosen;
    m->n = n;
    m->chosen_count = 0;
    bool all = n == options->eligible_total;
    double low = all ? 0 : DBL_MAX, high = all ? 0 : -DBL_MAX;
    for (uint32_t i = 0; i < n; i++) {
        double score = (double)scores[i];
        low = !all && score < low ? score : low;
        high = score > high ? score : high;
    }
    for (uint32_t i = 0; i < n; i++) {
        double above = (double)scores[i] > low ? (double)scores[i] - low : 0;
        double scaled = high > low ? above / (high - low) : 1;
        m->relevance[i] = SELECT_LAMBDA * scaled;
        m->max_similarity[i] = -1;
        m->value[i] = m->relevance[i] + (1 - SELECT_LAMBDA);
        m->seen[i] = 0;
    }
}

static void mmr_refresh(struct mmr *m, uint32_t i)
{
    const struct select_options *o = m->options;
    /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): i < n, all set */
    for (; m->seen[i] < m->chosen_count; m->seen[i]++) {
        float similarity = o->similarity(o->ctx, i, m->chosen[m->seen[i]]);
        if (similarity > m->max_similarity[i])
            m->max_similarity[i] = similarity;
    }
    m->value[i] = m->relevance[i] - (1 - SELECT_LAMBDA) * (double)m->max_similarity[i];
}

static bool mmr_leads(const struct mmr *m, uint32_t a, uint32_t b)
{
    return m->value[a] > m->value[b] || (m->value[a] == m->value[b] && a < b);
}

/* The first candidate with the largest value, up to date.  It starts from the one that leads by its
 * bound, so that few of the others have to be brought up to date in the one walk past them. */
static uint32_t mmr_best(struct mmr *m)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < m->n; i++)
        /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): n > 0, all set */
        best = m->value[i] > m->value[best] ? i : best;
    mmr_refresh(m, best);
    for (uint32_t i = 0; i < m->n; i++) {
        if (!mmr_leads(m, i, best))
            continue;
        mmr_refresh(m, i);
        if (mmr_leads(m, i, best))
            best = i;
    }
    return best;
}

/* Writes `count` candidate numbers in the order chosen; the best score always goes first. */
static void choose_greedily(const float *scores, uint32_t n, const struct select_options *o,
                            uint32_t count, uint32_t *ret_chosen)
{
    if (!o->diversify || count < 2) {
        for (uint32_t i = 0; i < count; i++)
            ret_chosen[i] = i;
        return;
    }
    struct mmr m QMN_UNINIT;
    mmr_init(&m, scores, n, o, ret_chosen);
    for (uint32_t slot = 0; slot < count; slot++) {
        uint32_t best = mmr_best(&m);
        ret_chosen[slot] = best;
        m.value[best] = -DBL_MAX; /* taken */
        m.chosen_count++;
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

/* The probabilities of all n candidates where the last of the chosen gives way to each other agent
 * with probability `share`; 0: to nobody. */
static void put_propensities(struct selection *s, uint32_t n, double epsilon, double share)
{
    s->outside_propensity = share;
    for (uint32_t i = 0; i < n; i++)
        s->propensity[i] = share;
    for (uint32_t slot = 0; slot < s->count; slot++)
        s->propensity[s->chosen[slot]] = 1;
    if (share > 0)
        s->propensity[s->chosen[s->count - 1]] = 1 - epsilon;
}

/* As select.h has it.  The probability that a sample has nobody eligible is left out of what the
 * last of the chosen has. */
static void explore_sample(struct selection *s, uint32_t n, const struct select_options *o,
                           struct rng *rng)
{
    double p = 0;
    uint32_t found = 0;
    if (s->count && o->epsilon > 0)
        found = o->sample(o->ctx, s->chosen, s->count, rng, &p);
    put_propensities(s, n, o->epsilon, found ? o->epsilon * p : 0);
    if (!found)
        return;
    s->eligible_total = s->count + (uint32_t)(1 / p + 0.5);
    if (s->eligible_total < n)
        s->eligible_total = n;
    if (rng_unit(rng) >= o->epsilon)
        return;
    s->explored = true;
    s->outside_rank = rng_below(rng, found);
    s->chosen[s->count - 1] = SELECT_OUTSIDE;
}

void route_select(const float *scores, uint32_t n, const struct select_options *o, struct rng *rng,
                  struct selection *ret_selection)
{
    assert(o->top_k >= 1 && o->top_k <= LIMIT_TOP_K && n <= ROUTE_POOL_MAX);
    assert(o->epsilon >= 0 && o->epsilon <= 1);
    uint32_t count = o->top_k < o->eligible_total ? o->top_k : o->eligible_total;
    assert(n >= count && n <= o->eligible_total);

    struct selection *s = ret_selection;
    *s = (struct selection){.count = count, .eligible_total = o->eligible_total};
    choose_greedily(scores, n, o, count, s->chosen);
    if (o->sample) {
        explore_sample(s, n, o, rng);
        return;
    }
    bool explores = count > 0 && o->eligible_total > count && rng_unit(rng) < o->epsilon;
    if (explores && o->recount) {
        s->eligible_total = o->recount(o->ctx);
        assert(n <= s->eligible_total);
    }
    uint32_t rest = s->eligible_total - count;
    bool may_explore = count > 0 && rest > 0;

    put_propensities(s, n, o->epsilon, may_explore ? o->epsilon / rest : 0);
    if (explores && may_explore)
        explore(s, n, rng_below(rng, rest));
}
