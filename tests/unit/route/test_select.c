/* SPDX-License-Identifier: MIT */
#include "support/test.h"

#include <math.h>
#include <string.h>

#include "base/attr.h"
#include "math/kernels.h"
#include "math/vector.h"
#include "route/select.h"

static struct select_options options(uint32_t top_k, uint32_t eligible, bool diversify,
                                     double epsilon)
{
    return (struct select_options){
        .top_k = top_k, .eligible_total = eligible, .diversify = diversify, .epsilon = epsilon};
}

struct candidate {
    float score;
    const float *unit; /* NULL: no profile, which resembles nobody */
};

static float likeness(void *ctx, uint32_t a, uint32_t b)
{
    const struct candidate *c = ctx;
    return c[a].unit && c[b].unit ? math_kernels()->dot_f32(c[a].unit, c[b].unit, 2) : 0;
}

static struct selection selected(const struct candidate *c, uint32_t n, struct select_options o,
                                 struct rng *rng)
{
    struct selection s;
    float scores[ROUTE_POOL_MAX];
    memset(&s, 0xee, sizeof s); /* nothing may be left unset */
    for (uint32_t i = 0; i < n; i++)
        scores[i] = c[i].score;
    o.similarity = likeness;
    o.ctx = (void *)(uintptr_t)c;
    route_select(scores, n, &o, rng, &s);
    return s;
}

static const float east[2] = {1, 0}, north[2] = {0, 1}, north_east[2] = {0.70710678f, 0.70710678f},
                   west[2] = {-1, 0};

static void without_diversity_the_best_scores_are_chosen_in_order(void **state)
{
    (void)state;
    const struct candidate c[] = {{0.9f, east}, {0.8f, east}, {0.7f, east}, {0.1f, north}};
    struct rng r;
    rng_seed(&r, 1);
    struct selection s = selected(c, 4, options(3, 4, false, 0), &r);
    assert_int_equal(s.count, 3);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(s.chosen[i], i);
    assert_false(s.explored);
}

static void diversity_prefers_a_different_agent_to_a_second_of_the_same(void **state)
{
    (void)state;
    const struct candidate c[] = {{0.9f, east}, {0.85f, east}, {0.6f, north}, {0.1f, north}};
    struct rng r;
    rng_seed(&r, 1);
    struct selection s = selected(c, 4, options(2, 4, true, 0), &r);
    assert_int_equal(s.chosen[0], 0);
    assert_int_equal(s.chosen[1], 2);
}

/* Nearly east, and somewhere else though not at right angles: all three are about the same need. */
static const float east_too[2] = {0.99619470f, 0.08715574f},
                   elsewhere[2] = {0.42261826f, 0.90630779f};

/* The worst of a few good ones is good. */
static void of_three_good_ones_the_double_comes_last(void **state)
{
    (void)state;
    const struct candidate c[] = {{0.70f, east}, {0.69f, east_too}, {0.60f, elsewhere}};
    struct rng r;
    rng_seed(&r, 1);
    struct selection s = selected(c, 3, options(2, 3, true, 0), &r);
    assert_int_equal(s.chosen[0], 0);
    assert_int_equal(s.chosen[1], 2);
}

static void among_many_the_worst_of_the_pool_is_irrelevant(void **state)
{
    (void)state;
    const struct candidate c[] = {{0.70f, east}, {0.69f, east_too}, {0.60f, elsewhere}};
    struct rng r;
    rng_seed(&r, 1);
    assert_int_equal(selected(c, 3, options(2, 1000, true, 0), &r).chosen[1], 1);
}

static void a_hair_of_score_weighs_as_little_as_none(void **state)
{
    (void)state;
    static const float hairs[] = {0, 1e-6f, 1e-3f};
    for (size_t i = 0; i < ARRAY_LEN(hairs); i++) {
        const struct candidate c[] = {{0.7f, east}, {0.7f, east_too}, {0.7f - hairs[i], elsewhere}};
        struct rng r;
        rng_seed(&r, 1);
        struct selection s = selected(c, 3, options(2, 3, true, 0), &r);
        assert_int_equal(s.chosen[0], 0);
        assert_int_equal(s.chosen[1], 2);
    }
}

static void scores_of_nothing_and_less_are_irrelevant(void **state)
{
    (void)state;
    const struct candidate some[] = {{0.5f, east}, {0.0f, north_east}, {-0.5f, north}};
    const struct candidate none[] = {{0.0f, east}, {-0.1f, east}, {-0.2f, north}};
    struct rng r;
    rng_seed(&r, 1);
    assert_int_equal(selected(some, 3, options(2, 3, true, 0), &r).chosen[1], 2);
    assert_int_equal(selected(none, 3, options(2, 3, true, 0), &r).chosen[1], 2);
}

static void a_much_better_score_still_beats_diversity(void **state)
{
    (void)state;
    /* scaled: 1, .94, .11; .5 * .94 - .5 * .707 > .5 * .11 - 0 */
    const struct candidate c[] = {{0.9f, east}, {0.85f, north_east}, {0.1f, north}};
    struct rng r;
    rng_seed(&r, 1);
    struct selection s = selected(c, 3, options(2, 3, true, 0), &r);
    assert_int_equal(s.chosen[1], 1);
}

static void similarity_is_the_maximum_to_those_chosen_not_the_mean(void **state)
{
    (void)state;
    /* After east and west, another east has mean similarity 0 to the chosen but maximum 1; north
     * has maximum 0.  By the mean, the third slot would go to the other east, whose score is
     * higher. */
    const struct candidate c[] = {
        {1.0f, east}, {0.99f, west}, {0.6f, east}, {0.5f, north}, {0.0f, north}};
    struct rng r;
    rng_seed(&r, 1);
    struct selection s = selected(c, 5, options(3, 5, true, 0), &r);
    assert_int_equal(s.chosen[0], 0);
    assert_int_equal(s.chosen[1], 1);
    assert_int_equal(s.chosen[2], 3);
}

static void scores_are_scaled_over_the_candidates_so_their_unit_does_not_matter(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 2);
    for (int round = 0; round < 200; round++) {
        enum { N = 20 };
        float units[N][2];
        struct candidate c[N], smaller[N], shifted[N];
        for (int i = 0; i < N; i++) {
            float v[2] = {(float)rng_normal(&r), (float)rng_normal(&r)};
            assert_true(vector_normalise(v, 2, units[i]));
            c[i] = (struct candidate){1 - (float)i / 32, units[i]};
            smaller[i] = (struct candidate){0.25f * c[i].score, units[i]};
            shifted[i] = (struct candidate){0.25f * c[i].score + 0.5f, units[i]};
        }
        struct selection a = selected(c, N, options(6, N, true, 0), &r),
                         b = selected(smaller, N, options(6, N, true, 0), &r);
        assert_memory_equal(a.chosen, b.chosen, 6 * sizeof a.chosen[0]);
        a = selected(c, N, options(6, N + 1, true, 0), &r); /* one more, outside the pool */
        b = selected(shifted, N, options(6, N + 1, true, 0), &r);
        assert_memory_equal(a.chosen, b.chosen, 6 * sizeof a.chosen[0]);
    }
}

/* The definition: every value computed anew for every slot. */
static void select_by_definition(const struct candidate *c, uint32_t n, uint32_t outside,
                                 uint32_t count, uint32_t *ret_chosen)
{
    double low = outside ? (double)c[n - 1].score : 0, range = (double)c[0].score - low;
    for (uint32_t slot = 0; slot < count; slot++) {
        double best_value = 0;
        ret_chosen[slot] = n;
        for (uint32_t i = 0; i < n; i++) {
            bool taken = false;
            float most = -1;
            for (uint32_t j = 0; j < slot; j++) {
                const float *a = c[i].unit, *b = c[ret_chosen[j]].unit;
                float similarity = a && b ? math_kernels()->dot_f32(a, b, 2) : 0;
                taken |= ret_chosen[j] == i;
                most = similarity > most ? similarity : most;
            }
            double scaled = range > 0 ? ((double)c[i].score - low) / range : 1;
            double value = 0.5 * scaled - 0.5 * (double)most;
            if (!taken && (ret_chosen[slot] == n || value > best_value)) {
                best_value = value;
                ret_chosen[slot] = i;
            }
        }
    }
}

static void random_pools_are_chosen_from_as_the_definition_says(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 8);
    for (int round = 0; round < 3000; round++) {
        float units[ROUTE_POOL_MAX][2];
        struct candidate c[ROUTE_POOL_MAX];
        uint32_t n = 1 + rng_below(&r, round % 10 ? 20 : ROUTE_POOL_MAX),
                 count = 1 + rng_below(&r, n);
        count = count < LIMIT_TOP_K ? count : LIMIT_TOP_K;
        float score = 3;
        for (uint32_t i = 0; i < n; i++) { /* few directions and equal scores: many ties */
            double angle = rng_below(&r, 12) * 0.5;
            units[i][0] = (float)cos(angle);
            units[i][1] = (float)sin(angle);
            score -= (float)rng_below(&r, 3) / 64;
            c[i] = (struct candidate){score, rng_below(&r, 8) ? units[i] : NULL};
        }
        uint32_t want[LIMIT_TOP_K];
        uint32_t outside = rng_below(&r, 2);
        select_by_definition(c, n, outside, count, want);
        struct selection s = selected(c, n, options(count, n + outside, true, 0), &r);
        for (uint32_t i = 0; i < count; i++)
            assert_int_equal(s.chosen[i], want[i]);
    }
}

static void equal_candidates_are_chosen_in_their_order(void **state)
{
    (void)state;
    const struct candidate c[] = {{0.5f, east}, {0.5f, east}, {0.5f, NULL}, {0.5f, NULL}};
    struct rng r;
    rng_seed(&r, 1);
    struct selection s = selected(c, 4, options(3, 4, true, 0), &r);
    assert_int_equal(s.chosen[0], 0);
    assert_int_equal(s.chosen[1], 2); /* without a profile it resembles nobody */
    assert_int_equal(s.chosen[2], 3);
}

static void reaching_nobody_is_an_answer(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 1);
    struct selection s = selected(NULL, 0, options(3, 0, true, 1), &r);
    assert_int_equal(s.count, 0);
    assert_false(s.explored);
}

static void with_no_more_agents_than_slots_all_are_chosen_for_certain(void **state)
{
    (void)state;
    const struct candidate c[] = {{0.9f, east}, {0.8f, north}, {0.7f, west}};
    struct rng r;
    rng_seed(&r, 3);
    for (uint32_t top_k = 3; top_k < 6; top_k++)
        for (int i = 0; i < 50; i++) {
            struct selection s = selected(c, 3, options(top_k, 3, true, 1), &r);
            assert_int_equal(s.count, 3);
            assert_false(s.explored);
            for (int j = 0; j < 3; j++)
                assert_true(s.propensity[j] == 1);
        }
}

static void propensities_are_exact_and_sum_to_the_number_of_slots(void **state)
{
    (void)state;
    struct candidate c[32];
    for (int i = 0; i < 32; i++)
        c[i] = (struct candidate){1 - (float)i / 64, NULL};
    struct rng r;
    rng_seed(&r, 4);
    struct selection s = selected(c, 32, options(3, 1000, false, 0.1), &r);
    assert_true(s.propensity[0] == 1 && s.propensity[1] == 1);
    assert_true(s.propensity[2] == 0.9);
    assert_true(s.propensity[3] == 0.1 / 997 && s.outside_propensity == 0.1 / 997);
    double sum = (1000 - 32) * s.outside_propensity;
    for (int i = 0; i < 32; i++)
        sum += s.propensity[i];
    assert_true(fabs(sum - 3) < 1e-12);

    s = selected(c, 32, options(1, 33, false, 0.25), &r);
    assert_true(s.propensity[0] == 0.75 && s.propensity[1] == 0.25 / 32);
    s = selected(c, 32, options(3, 1000, false, 0), &r);
    assert_true(s.propensity[2] == 1 && s.propensity[3] == 0 && s.outside_propensity == 0);
}

/* Four standard deviations: with the seed fixed it either holds or the draw is wrong. */
static void assert_binomial(uint32_t hits, uint32_t trials, double p)
{
    double deviation = sqrt(trials * p * (1 - p));
    if (fabs(hits - trials * p) > 4 * deviation + 1e-9)
        fail_msg("%u of %u at probability %g", hits, trials, p);
}

static void agents_are_chosen_as_often_as_their_propensity_says(void **state)
{
    (void)state;
    enum { N = 32, ELIGIBLE = 60, TRIALS = 200000 };
    struct candidate c[N];
    float units[N][2];
    for (int i = 0; i < N; i++) {
        units[i][0] = cosf((float)i);
        units[i][1] = sinf((float)i);
        c[i] = (struct candidate){1 - (float)i / 64, units[i]};
    }
    struct rng r;
    rng_seed(&r, 5);
    uint32_t hits[ELIGIBLE] = {0}, explored = 0;
    struct selection s = {0};
    for (int t = 0; t < TRIALS; t++) {
        s = selected(c, N, options(4, ELIGIBLE, true, 0.1), &r);
        assert_int_equal(s.count, 4);
        explored += s.explored;
        for (uint32_t i = 0; i < s.count; i++) {
            bool outside = s.chosen[i] == SELECT_OUTSIDE;
            assert_true(!outside || (s.explored && i == 3));
            uint32_t agent = outside ? N + s.outside_rank : s.chosen[i];
            assert_true(agent < ELIGIBLE);
            hits[agent]++;
        }
    }
    assert_binomial(explored, TRIALS, 0.1);
    for (uint32_t a = 0; a < ELIGIBLE; a++)
        assert_binomial(hits[a], TRIALS, a < N ? s.propensity[a] : s.outside_propensity);
}

static void exploration_never_repeats_an_agent_and_spares_the_first_slots(void **state)
{
    (void)state;
    struct candidate c[6];
    for (int i = 0; i < 6; i++)
        c[i] = (struct candidate){1 - (float)i / 8, NULL};
    struct rng r;
    rng_seed(&r, 6);
    for (int t = 0; t < 1000; t++) {
        struct selection s = selected(c, 6, options(3, 6, false, 1), &r);
        assert_true(s.explored);
        assert_int_equal(s.chosen[0], 0);
        assert_int_equal(s.chosen[1], 1);
        assert_true(s.chosen[2] >= 3 || s.chosen[2] == 2);
        assert_int_not_equal(s.chosen[2], 2); /* epsilon 1: always someone of the rest */
    }
}

static void the_same_seed_gives_the_same_choice(void **state)
{
    (void)state;
    struct candidate c[32];
    for (int i = 0; i < 32; i++)
        c[i] = (struct candidate){1 - (float)i / 64, NULL};
    struct rng a, b;
    rng_seed(&a, 7);
    rng_seed(&b, 7);
    for (int t = 0; t < 500; t++) {
        struct selection x = selected(c, 32, options(2, 500, true, 0.5), &a),
                         y = selected(c, 32, options(2, 500, true, 0.5), &b);
        assert_memory_equal(x.chosen, y.chosen, sizeof x.chosen);
        assert_int_equal(x.outside_rank, y.outside_rank);
    }
}

/* ---- a sample ---- */

/* Of POPULATION agents those below ELIGIBLE are eligible, and the pool is the first few of them. */
enum { POPULATION = 400, ELIGIBLE_OF = 90, SAMPLE = 64, POOL = 8, SLOTS = 3 };

static uint32_t drawn[SAMPLE]; /* the eligible of the last sample */

static uint32_t take_sample(void *ctx, const uint32_t *chosen, uint32_t count, struct rng *rng,
                            double *ret_p)
{
    const uint32_t *eligible = ctx;
    uint32_t others[POPULATION], n = 0, found = 0;
    for (uint32_t a = 0; a < POPULATION; a++) {
        bool taken = false;
        for (uint32_t i = 0; i < count; i++)
            taken |= chosen[i] == a;
        if (!taken)
            others[n++] = a;
    }
    for (uint32_t i = 0; i < SAMPLE; i++) {
        uint32_t at = i + rng_below(rng, n - i), agent = others[at];
        others[at] = others[i];
        if (agent < *eligible)
            drawn[found++] = agent;
    }
    if (found)
        *ret_p = (double)SAMPLE / n / found;
    return found;
}

static struct selection sampled(uint32_t eligible, double epsilon, struct rng *r)
{
    float scores[POOL];
    struct selection s;
    struct select_options o = options(SLOTS, POOL + 1, false, epsilon);
    memset(&s, 0xee, sizeof s);
    for (uint32_t i = 0; i < POOL; i++)
        scores[i] = 1 - (float)i / 64;
    o.sample = take_sample;
    o.ctx = &eligible;
    route_select(scores, POOL, &o, r, &s);
    return s;
}

static void a_sample_counts_the_eligible_without_bias_and_explores_them_alike(void **state)
{
    (void)state;
    enum { TRIALS = 30000, LEFT = ELIGIBLE_OF - SLOTS };
    struct rng r;
    rng_seed(&r, 12);
    uint32_t hits[ELIGIBLE_OF] = {0}, explored = 0;
    double sum = 0, squares = 0;
    for (int t = 0; t < TRIALS; t++) {
        struct selection s = sampled(ELIGIBLE_OF, 0.5, &r);
        double stands_for = 0.5 / s.outside_propensity;
        assert_int_equal(s.count, SLOTS);
        assert_true(s.propensity[0] == 1 && s.propensity[SLOTS - 1] == 0.5);
        assert_true(s.propensity[SLOTS] == s.outside_propensity);
        assert_true(fabs(s.eligible_total - (SLOTS + stands_for)) < 0.51);
        sum += stands_for;
        squares += stands_for * stands_for;
        if (!s.explored)
            continue;
        explored++;
        assert_int_equal(s.chosen[SLOTS - 1], SELECT_OUTSIDE);
        hits[drawn[s.outside_rank]]++;
    }
    double mean = sum / TRIALS, deviation = sqrt((squares / TRIALS - mean * mean) / TRIALS);
    assert_true(fabs(mean - LEFT) < 4 * deviation);
    assert_true(4 * deviation < 0.5); /* the test can tell */
    assert_binomial(explored, TRIALS, 0.5);
    for (uint32_t a = 0; a < ELIGIBLE_OF; a++)
        assert_binomial(hits[a], explored, a < SLOTS ? 0 : 1.0 / LEFT);
}

static void a_sample_without_anybody_eligible_explores_nobody(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 13);
    struct selection s = sampled(0, 1, &r);
    assert_false(s.explored);
    assert_true(s.outside_propensity == 0 && s.propensity[SLOTS] == 0);
    assert_true(s.propensity[SLOTS - 1] == 1);
    assert_int_equal(s.chosen[SLOTS - 1], SLOTS - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_diversity_the_best_scores_are_chosen_in_order),
        cmocka_unit_test(diversity_prefers_a_different_agent_to_a_second_of_the_same),
        cmocka_unit_test(of_three_good_ones_the_double_comes_last),
        cmocka_unit_test(among_many_the_worst_of_the_pool_is_irrelevant),
        cmocka_unit_test(a_hair_of_score_weighs_as_little_as_none),
        cmocka_unit_test(scores_of_nothing_and_less_are_irrelevant),
        cmocka_unit_test(a_much_better_score_still_beats_diversity),
        cmocka_unit_test(similarity_is_the_maximum_to_those_chosen_not_the_mean),
        cmocka_unit_test(scores_are_scaled_over_the_candidates_so_their_unit_does_not_matter),
        cmocka_unit_test(random_pools_are_chosen_from_as_the_definition_says),
        cmocka_unit_test(equal_candidates_are_chosen_in_their_order),
        cmocka_unit_test(reaching_nobody_is_an_answer),
        cmocka_unit_test(with_no_more_agents_than_slots_all_are_chosen_for_certain),
        cmocka_unit_test(propensities_are_exact_and_sum_to_the_number_of_slots),
        cmocka_unit_test(agents_are_chosen_as_often_as_their_propensity_says),
        cmocka_unit_test(exploration_never_repeats_an_agent_and_spares_the_first_slots),
        cmocka_unit_test(the_same_seed_gives_the_same_choice),
        cmocka_unit_test(a_sample_counts_the_eligible_without_bias_and_explores_them_alike),
        cmocka_unit_test(a_sample_without_anybody_eligible_explores_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
