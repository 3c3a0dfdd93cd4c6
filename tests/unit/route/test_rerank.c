/* SPDX-License-Identifier: MIT */
#include "support/test.h"

#include <math.h>

#include "route/rerank.h"

#define HOUR_MS 3600000

static double score(const struct rerank *r, double relevance, double quality, int64_t age_ms)
{
    struct rerank_facts m = {.quality = quality, .useful = 0.5, .age_ms = age_ms};
    return rerank_score(relevance, rerank_factors(r, &m));
}

static bool near(double a, double b)
{
    return fabs(a - b) < 1e-12;
}

static void without_weights_nothing_changes(void **state)
{
    (void)state;
    struct rerank r = {.half_life_ms = HOUR_MS};
    assert_false(rerank_asked(&r));
    assert_true(near(score(&r, 0.7, 0.1, 9 * HOUR_MS), 0.7));
}

static void quality_counts_as_much_as_its_weight(void **state)
{
    (void)state;
    struct rerank half = {.quality_weight = 0.5}, all = {.quality_weight = 1};
    assert_true(rerank_asked(&half));
    assert_true(near(score(&half, 0.8, 0, 0), 0.4));
    assert_true(near(score(&half, 0.8, 1, 0), 0.8));
    assert_true(near(score(&all, 0.8, 0.25, 0), 0.2));
}

static void age_halves_what_recency_weighs(void **state)
{
    (void)state;
    struct rerank r = {.recency_weight = 0.4, .half_life_ms = HOUR_MS};
    assert_true(rerank_asked(&r));
    assert_true(near(score(&r, 1, 0, 0), 1));
    assert_true(near(score(&r, 1, 0, HOUR_MS), 0.6 + 0.4 / 2));
    assert_true(near(score(&r, 1, 0, 3 * HOUR_MS), 0.6 + 0.4 / 8));
    assert_true(near(score(&r, 1, 0, -HOUR_MS), 1)); /* of the future */
    assert_true(near(score(&r, 1, 0, INT64_MAX), 0.6));
}

static void use_counts_as_much_as_its_weight(void **state)
{
    (void)state;
    struct rerank r = {.useful_weight = 0.5};
    struct rerank_facts never = {.useful = 0}, always = {.useful = 1};
    assert_true(rerank_asked(&r));
    assert_true(near(rerank_score(0.8, rerank_factors(&r, &never)), 0.4));
    assert_true(near(rerank_score(0.8, rerank_factors(&r, &always)), 0.8));
    assert_true(near(score(&r, 0.8, 0, 0), 0.6)); /* nothing was said of it */
}

static void factors_multiply_and_what_is_averse_counts_nothing(void **state)
{
    (void)state;
    struct rerank r = {0.5, 0.5, 0.5, HOUR_MS};
    assert_true(near(score(&r, 1, 0.5, HOUR_MS), 0.75 * 0.75 * 0.75));
    assert_true(near(score(&r, -0.3, 1, 0), 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_weights_nothing_changes),
        cmocka_unit_test(quality_counts_as_much_as_its_weight),
        cmocka_unit_test(age_halves_what_recency_weighs),
        cmocka_unit_test(use_counts_as_much_as_its_weight),
        cmocka_unit_test(factors_multiply_and_what_is_averse_counts_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
