/* SPDX-License-Identifier: MIT */
#include "support/test.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "route/quality.h"

static void assert_close(double got, double want)
{
    if (!(fabs(got - want) < 1e-12))
        fail_msg("got %.15g, want %.15g", got, want);
}

static void without_outcomes_it_is_what_the_author_said_to_the_bit(void **state)
{
    (void)state;
    struct quality_evidence none = {0};
    struct rng r;
    rng_seed(&r, 1);
    for (int i = 0; i < 1000; i++) {
        double given = rng_unit(&r);
        assert_true(quality_now(given, &none) == given);
    }
    assert_true(quality_useful(&none) == 0.5);
}

static void a_vote_counts_as_one_beside_the_four_of_the_author(void **state)
{
    (void)state;
    struct quality_evidence e = {0};
    quality_learn(&e, 7, 1, 1);
    assert_close(quality_now(0.5, &e), (4 * 0.5 + 1) / 5);
    quality_learn(&e, 8, 0.25, 0.5);
    assert_close(quality_now(0.5, &e), (4 * 0.5 + 1 + 0.125) / 5.5);
    assert_close(quality_useful(&e), (4 * 0.5 + 1 + 0.125) / 5.5);
}

static void one_rater_alone_moves_it_half_way_at_most(void **state)
{
    (void)state;
    struct quality_evidence e = {0};
    for (int i = 0; i < 10000; i++)
        quality_learn(&e, 7, 0, 1);
    assert_close(quality_now(0.9, &e), 0.45);
    for (int i = 0; i < 200; i++)
        quality_learn(&e, 7, 1, 1); /* may change its mind */
    assert_close(quality_now(0.9, &e), 0.95);
}

static void a_crowd_leaves_the_author_a_sixth(void **state)
{
    (void)state;
    struct quality_evidence low = {0}, high = {0};
    for (int i = 0; i < 10000; i++) {
        quality_learn(&low, 1 + i % 9, 0, 1);
        quality_learn(&high, 1 + i / 3 % 9, 1, 1);
    }
    assert_true(quality_now(0.6, &low) >= 0.1 && quality_now(0.6, &low) < 0.13);
    assert_true(quality_now(0.6, &high) <= 1 - 0.4 / 6 && quality_now(0.6, &high) > 0.9);
}

static void whatever_comes_it_stays_in_its_bounds(void **state)
{
    (void)state;
    struct quality_evidence e = {0};
    struct rng r;
    rng_seed(&r, 2);
    double given = 0.3;
    for (int i = 0; i < 20000; i++) {
        quality_learn(&e, 1 + (int64_t)(rng_unit(&r) * 3), rng_unit(&r) * 3 - 1,
                      rng_unit(&r) * 3 - 1);
        double q = quality_now(given, &e);
        assert_true(q >= given / 6 - 1e-12 && q <= 1 - (1 - given) / 6 + 1e-12);
        assert_true(e.weight >= 0 && e.weight <= QUALITY_EVIDENCE_MAX);
        assert_true(e.run_weight >= 0 && e.run_weight <= QUALITY_RUN_MAX);
    }
}

static void what_is_no_number_or_no_share_moves_nothing_up(void **state)
{
    (void)state;
    struct quality_evidence e = {0}, none = {0};
    quality_learn(&e, 7, 1, 0);
    quality_learn(&e, 7, 1, (double)NAN);
    quality_learn(&e, 7, 1, -1);
    assert_true(e.rater == none.rater);
    assert_close(quality_now(0.5, &e), 0.5);
    quality_learn(&e, 7, (double)NAN, 1);
    assert_close(quality_now(0.5, &e), 0.4); /* counts as 0 */
}

static void the_nearest_has_the_full_share(void **state)
{
    (void)state;
    assert_close(quality_share(0.8, 0.8), 1);
    assert_close(quality_share(0.2, 0.8), 0.25);
    assert_close(quality_share(-0.2, 0.8), 0);
    assert_close(quality_share(0, 0), 0);
    assert_close(quality_share(0.9, 0.8), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_outcomes_it_is_what_the_author_said_to_the_bit),
        cmocka_unit_test(a_vote_counts_as_one_beside_the_four_of_the_author),
        cmocka_unit_test(one_rater_alone_moves_it_half_way_at_most),
        cmocka_unit_test(a_crowd_leaves_the_author_a_sixth),
        cmocka_unit_test(whatever_comes_it_stays_in_its_bounds),
        cmocka_unit_test(what_is_no_number_or_no_share_moves_nothing_up),
        cmocka_unit_test(the_nearest_has_the_full_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
