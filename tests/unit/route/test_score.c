/* SPDX-License-Identifier: MIT */
#include "support/test.h"

#include <math.h>

#include "base/attr.h"
#include "base/rng.h"
#include "route/score.h"

static void assert_close(double got, double want)
{
    if (!(fabs(got - want) < 1e-6))
        fail_msg("got %.9g, want %.9g", got, want);
}

static void the_score_is_the_documented_formula(void **state)
{
    (void)state;
    assert_close((double)route_score(0.8f, 0.5, 0, 0).score, 0.4);
    assert_close((double)route_score(0.8f, 1.0, 0, 0).score, 0.8);
    assert_close((double)route_score(0.8f, 0.5, 1, 0).score, 0.8);
    assert_close((double)route_score(0.6f, 0.75, 0.5f, 2).score, 0.6 * 1.5 * 1.5 / 2 + 0.1);
    assert_close((double)route_score(1, 1.5, 1, 4).score, 3.2);
    struct score_parts p = route_score(0.6f, 0.75, 0.5f, 2);
    assert_close((double)p.relevance, (double)0.6f);
    assert_close((double)p.weight, 0.75);
    assert_close((double)p.demand, 0.5);
    assert_int_equal(p.capabilities, 2);
}

static void relevance_is_the_raw_cosine_so_an_unrelated_agent_scores_nothing(void **state)
{
    (void)state;
    struct score_parts unrelated = route_score(0, 1.5, 1, 0),
                       opposite = route_score(-0.9f, 1.5, 1, 0);
    assert_true(unrelated.score == 0 && opposite.score == 0);
    assert_true(opposite.relevance == 0);
    /* Mapped to (x + 1) / 2 the strong edge of an unrelated agent would beat a good match. */
    assert_true(route_score(0.5f, EDGE_PRIOR, 0, 0).score > unrelated.score);
}

static void a_missing_edge_counts_as_the_prior_so_a_cold_start_ranks_by_relevance(void **state)
{
    (void)state;
    float last = -1;
    for (int i = 0; i <= 10; i++) {
        struct score_parts p = route_score((float)i / 10, EDGE_PRIOR, 0, 0);
        assert_close((double)p.score, i / 20.0);
        assert_true(p.score > last);
        last = p.score;
    }
}

static void capabilities_count_up_to_four(void **state)
{
    (void)state;
    for (uint32_t c = 0; c <= 10; c++) {
        struct score_parts p = route_score(0, EDGE_PRIOR, 0, c);
        assert_close((double)p.score, 0.05 * (c < 4 ? c : 4));
        assert_int_equal(p.capabilities, c);
    }
}

static void inputs_out_of_range_are_clamped(void **state)
{
    (void)state;
    assert_close((double)route_score(1.0001f, 9, 7, 0).score, 3);
    assert_close((double)route_score(1, -3, -1, 0).score, 0.01);
    assert_true(route_score(NAN, 0.5, 0, 1).score == route_score(0, 0.5, 0, 1).score);
    assert_close((double)route_score(1, (double)NAN, NAN, 0).score, 0.01);
}

static void nobody_is_eligible_without_relevance_or_a_capability(void **state)
{
    (void)state;
    struct score_parts neither = route_score(-0.1f, 1.5, 1, 0),
                       relevant = route_score(0.01f, 0.01, 0, 0),
                       capable = route_score(-1, 0.01, 0, 1);
    assert_false(route_eligible(&neither));
    assert_true(route_eligible(&relevant));
    assert_true(route_eligible(&capable));
}

static void the_pool_counts_everybody_eligible_and_keeps_the_best(void **state)
{
    (void)state;
    struct topk_item items[ROUTE_POOL_MAX];
    struct route_pool pool;
    route_pool_init(&pool, items, 3, 0);
    uint32_t offered = 0;
    for (uint32_t agent = 0; agent < 1000; agent++) {
        float cosine = (float)((int)(agent * 7919 % 1000) - 500) / 500;
        struct score_parts p = route_score(cosine, EDGE_PRIOR, 0, 0);
        assert_int_equal(route_pool_offer(&pool, agent, &p), cosine > 0);
        offered += cosine > 0;
    }
    assert_int_equal(pool.eligible_total, offered);
    assert_int_equal(route_pool_finish(&pool), LIMIT_CANDIDATES);
    for (uint32_t i = 0; i < LIMIT_CANDIDATES; i++)
        assert_close((double)items[i].score, (499 - (int)i) / 1000.0);
}

static void the_pool_grows_with_top_k(void **state)
{
    (void)state;
    assert_int_equal(route_pool_size(1), LIMIT_CANDIDATES);
    assert_int_equal(route_pool_size(16), 32);
    assert_int_equal(route_pool_size(17), 34);
    assert_int_equal(route_pool_size(LIMIT_TOP_K), ROUTE_POOL_MAX);
}

static void a_minimum_score_makes_agents_below_it_ineligible(void **state)
{
    (void)state;
    struct topk_item items[ROUTE_POOL_MAX];
    struct route_pool pool;
    route_pool_init(&pool, items, 1, 0.25f);
    struct score_parts weak = route_score(0.49f, EDGE_PRIOR, 0, 0),
                       strong = route_score(0.5f, EDGE_PRIOR, 0, 0);
    assert_false(route_pool_offer(&pool, 1, &weak));
    assert_true(route_pool_offer(&pool, 2, &strong));
    assert_int_equal(pool.eligible_total, 1);
    assert_int_equal(route_pool_finish(&pool), 1);
    assert_int_equal(items[0].id, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_score_is_the_documented_formula),
        cmocka_unit_test(relevance_is_the_raw_cosine_so_an_unrelated_agent_scores_nothing),
        cmocka_unit_test(a_missing_edge_counts_as_the_prior_so_a_cold_start_ranks_by_relevance),
        cmocka_unit_test(capabilities_count_up_to_four),
        cmocka_unit_test(inputs_out_of_range_are_clamped),
        cmocka_unit_test(nobody_is_eligible_without_relevance_or_a_capability),
        cmocka_unit_test(the_pool_counts_everybody_eligible_and_keeps_the_best),
        cmocka_unit_test(the_pool_grows_with_top_k),
        cmocka_unit_test(a_minimum_score_makes_agents_below_it_ineligible),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
