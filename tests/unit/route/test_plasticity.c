/* SPDX-License-Identifier: MIT */
#include "support/test.h"

#include <math.h>

#include "base/rng.h"
#include "route/plasticity.h"

static void assert_close(double got, double want)
{
    if (!(fabs(got - want) < 1e-12))
        fail_msg("got %.15g, want %.15g", got, want);
}

static void an_outcome_moves_the_weight_by_the_documented_step(void **state)
{
    (void)state;
    assert_close(edge_reinforce(0.5, 1), 0.578);
    assert_close(edge_reinforce(0.5, 0), 0.458);
    assert_close(edge_reinforce(0.5, 0.5), 0.5 + 0.04 - 0.02 - 0.002);
    assert_close(edge_reinforce(0.5, 0.35), 0.5); /* the break-even outcome */
}

static void weights_stay_within_their_bounds(void **state)
{
    (void)state;
    double w = 0.5;
    for (int i = 0; i < 50; i++)
        w = edge_reinforce(w, 1);
    assert_close(w, EDGE_W_MAX);
    for (int i = 0; i < 50; i++)
        w = edge_reinforce(w, 0);
    assert_close(w, EDGE_W_MIN);
    assert_true(edge_reinforce(w, 1) > w); /* the floor is no grave */
}

static void outcomes_out_of_range_count_as_the_nearest_valid_one(void **state)
{
    (void)state;
    assert_true(edge_reinforce(0.5, 3) == edge_reinforce(0.5, 1));
    assert_true(edge_reinforce(0.5, -3) == edge_reinforce(0.5, 0));
    assert_true(edge_reinforce(0.5, (double)NAN) == edge_reinforce(0.5, 0));
}

static void idle_edges_relax_to_the_prior_from_both_sides(void **state)
{
    (void)state;
    assert_close(edge_idle(1.5, 0), 1.5);
    assert_close(edge_idle(1.5, 100), 0.5 + exp(-1));
    assert_close(edge_idle(0.01, 100), 0.5 - 0.49 * exp(-1));
    assert_close(edge_idle(0.5, 12345), 0.5);
    assert_close(edge_idle(1.5, 1e9), 0.5);
    assert_close(edge_idle(1.2, 69.31471805599453), 0.85); /* half way */
}

static void relaxing_in_many_steps_or_in_one_gives_the_same_weight(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 1);
    for (int i = 0; i < 10000; i++) {
        double w = EDGE_W_MIN + rng_unit(&r) * (EDGE_W_MAX - EDGE_W_MIN), days = rng_unit(&r) * 500;
        double whole = edge_idle(w, days), steps = w, first = days * rng_unit(&r);
        assert_close(edge_idle(edge_idle(w, first), days - first), whole);
        for (int s = 0; s < 24; s++) /* a job run hourly */
            steps = edge_idle(steps, days / 24);
        assert_close(steps, whole);
    }
}

static void a_clock_set_back_forgets_nothing(void **state)
{
    (void)state;
    assert_true(edge_idle(1.3, -5) == 1.3);
    assert_true(edge_idle(1.3, (double)NAN) == 1.3);
    assert_false(edge_forgettable(0.5, -5));
}

static void only_idle_edges_near_the_prior_are_forgettable(void **state)
{
    (void)state;
    assert_true(edge_forgettable(0.5, 1));
    assert_false(edge_forgettable(0.5, 0.99));
    assert_true(edge_forgettable(0.509, 1) && edge_forgettable(0.491, 1));
    assert_false(edge_forgettable(0.52, 1) || edge_forgettable(0.48, 1));
    assert_false(edge_forgettable(1.5, 460)); /* exp(-4.6) is just above .01 */
    assert_true(edge_forgettable(1.5, 461));
    assert_false(edge_forgettable(0.01, 380));
    assert_true(edge_forgettable(0.01, 400));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_outcome_moves_the_weight_by_the_documented_step),
        cmocka_unit_test(weights_stay_within_their_bounds),
        cmocka_unit_test(outcomes_out_of_range_count_as_the_nearest_valid_one),
        cmocka_unit_test(idle_edges_relax_to_the_prior_from_both_sides),
        cmocka_unit_test(relaxing_in_many_steps_or_in_one_gives_the_same_weight),
        cmocka_unit_test(a_clock_set_back_forgets_nothing),
        cmocka_unit_test(only_idle_edges_near_the_prior_are_forgettable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
