/* SPDX-License-Identifier: MIT
 *
 * Recent tasks: what counts as work of an agent, and the demand it makes. */
#include "scene.h"

#include <stdio.h>

#include "base/limits.h"

static struct scene s;

static int begin(void **state)
{
    (void)state;
    scene_begin(&s, (struct test_engine_options){0});
    return 0;
}

static int end(void **state)
{
    (void)state;
    scene_end(&s);
    return 0;
}

static struct broadcast_out send_with_hints(const char *source, struct vec v, const char *hints)
{
    struct broadcast_in in = scene_nutrient(&s, source, v);
    struct broadcast_out out;
    in.hints = test_list(s.te, hints);
    assert_int_equal(scene_broadcast(&s, &in, &out), QMN_OK);
    return out;
}

static const struct hop_out *hop_to(const struct broadcast_out *out, const char *agent)
{
    for (size_t i = 0; i < out->hop_count; i++)
        if (bytes_is(out->hops[i].agent_id, agent))
            return &out->hops[i];
    fail_msg("agent %s was not reached", agent);
    return NULL;
}

/* `agent` works on `hints`: is sent a nutrient with them by way of its capability, and acks it. */
static void work_on(const char *agent, const char *hints)
{
    struct broadcast_out out = send_with_hints("", AXIS(6), hints);
    assert_true(scene_reaches(&out, agent));
    struct ack_out ack;
    assert_int_equal(scene_ack(&s, agent, out.nutrient_id, &ack), QMN_OK);
    assert_int_equal(ack.changed, 1);
}

static void demand_raises_the_score_after_an_ack(void **state)
{
    (void)state;
    scene_agent(&s, "a", VEC(1, 0, 0, 0, 0, 0, 1), NULL);
    scene_agent(&s, "b", VEC(1, 0, 0, 0, 0, 0, 0, 1), NULL);
    struct broadcast_out before = send_with_hints("", AXIS(0), "postgres-tuning");
    assert_float_equal(hop_to(&before, "a")->demand, 0, 0);
    work_on("a", "postgres-tuning");
    struct broadcast_out after = send_with_hints("", AXIS(0), "postgres-tuning");
    assert_float_equal(hop_to(&after, "a")->demand, 1, 1e-6f);
    assert_float_equal(hop_to(&after, "b")->demand, 0, 0);
    assert_float_equal(hop_to(&after, "a")->score, 2 * hop_to(&before, "a")->score, 1e-6f);
}

static void demand_is_the_mean_over_the_hints_and_fuzzy(void **state)
{
    (void)state;
    scene_agent(&s, "a", VEC(1, 0, 0, 0, 0, 0, 1), NULL);
    work_on("a", "deployment");
    struct broadcast_out out = send_with_hints("", AXIS(0), "deployments unrelated");
    /* 2 * 10 / (10 + 11) of one hint in two */
    assert_float_equal(hop_to(&out, "a")->demand, 20.0 / 21 / 2, 1e-6f);
    out = send_with_hints("", AXIS(0), "deploy"); /* 12 / 16 */
    assert_float_equal(hop_to(&out, "a")->demand, 0.75, 1e-6f);
    out = send_with_hints("", AXIS(0), "dep"); /* 6 / 13: below the threshold */
    assert_float_equal(hop_to(&out, "a")->demand, 0, 0);
}

static void demand_lasts_for_a_day(void **state)
{
    (void)state;
    scene_agent(&s, "a", VEC(1, 0, 0, 0, 0, 0, 1), NULL);
    work_on("a", "tuning");
    test_engine_advance(s.te, INT64_C(24) * 3600 * 1000);
    struct broadcast_out out = send_with_hints("", AXIS(0), "tuning");
    assert_float_equal(hop_to(&out, "a")->demand, 1, 1e-6f);
    test_engine_advance(s.te, 1);
    out = send_with_hints("", AXIS(0), "tuning");
    assert_float_equal(hop_to(&out, "a")->demand, 0, 0);
}

static void demand_remembers_the_last_tasks_over_a_restart(void **state)
{
    (void)state;
    char hint[32];
    scene_agent(&s, "a", VEC(1, 0, 0, 0, 0, 0, 1), NULL);
    for (int i = 0; i < LIMIT_RECENT_TASKS + 3; i++) {
        snprintf(hint, sizeof hint, "%c%c%c%c", 'a' + i % 26, 'a' + i % 26, 'A' + i / 26,
                 'A' + i / 26);
        work_on("a", hint);
        test_engine_advance(s.te, 10);
    }
    for (int round = 0; round < 2; round++) {
        struct broadcast_out old = send_with_hints("", AXIS(0), "aaAA ccAA");
        assert_float_equal(hop_to(&old, "a")->demand, 0, 0); /* the first three are forgotten */
        struct broadcast_out kept = send_with_hints("", AXIS(0), "ddAA iiBB");
        assert_float_equal(hop_to(&kept, "a")->demand, 1, 1e-6f);
        scene_restart(&s);
    }
    work_on("a", "yyyy"); /* takes the place of the oldest one */
    struct broadcast_out out = send_with_hints("", AXIS(0), "ddAA");
    assert_float_equal(hop_to(&out, "a")->demand, 0, 0);
    out = send_with_hints("", AXIS(0), "eeAA yyyy");
    assert_float_equal(hop_to(&out, "a")->demand, 1, 1e-6f);
}

static void a_good_rating_counts_as_work_and_a_bad_one_does_not(void **state)
{
    (void)state;
    struct outcome_out outcome;
    scene_agent(&s, "a", VEC(1, 0, 0, 0, 0, 0, 1), NULL);
    struct broadcast_out bad = send_with_hints("", AXIS(6), "grafting");
    assert_int_equal(scene_outcome(&s, "", bad.trace_id, 0.49, &outcome), QMN_OK);
    struct broadcast_out out = send_with_hints("", AXIS(0), "grafting");
    assert_float_equal(hop_to(&out, "a")->demand, 0, 0);
    struct broadcast_out good = send_with_hints("", AXIS(6), "grafting");
    assert_int_equal(scene_outcome(&s, "", good.trace_id, 0.5, &outcome), QMN_OK);
    out = send_with_hints("", AXIS(0), "grafting");
    assert_float_equal(hop_to(&out, "a")->demand, 1, 1e-6f);
}

static void a_nutrient_acknowledged_and_rated_is_one_task(void **state)
{
    (void)state;
    struct outcome_out outcome;
    struct ack_out ack;
    scene_agent(&s, "a", VEC(1, 0, 0, 0, 0, 0, 1), NULL);
    struct broadcast_out one = send_with_hints("", AXIS(6), "grafting");
    assert_int_equal(scene_ack(&s, "a", one.nutrient_id, &ack), QMN_OK);
    assert_int_equal(scene_outcome(&s, "", one.trace_id, 1, &outcome), QMN_OK);
    assert_int_equal(scene_look(&s).recents, 1);
    struct broadcast_out two = send_with_hints("", AXIS(6), "grafting");
    assert_int_equal(scene_outcome(&s, "", two.trace_id, 1, &outcome), QMN_OK);
    scene_restart(&s);
    assert_int_equal(scene_ack(&s, "a", two.nutrient_id, &ack), QMN_OK);
    assert_int_equal(scene_look(&s).recents, 2);
}

static void acknowledged_and_rated_in_one_group_it_is_one_task(void **state)
{
    (void)state;
    struct scene_hold hold;
    struct outcome_out outcome;
    struct ack_out acked;
    scene_agent(&s, "a", VEC(1, 0, 0, 0, 0, 0, 1), NULL);
    struct broadcast_out sent = send_with_hints("", AXIS(6), "grafting");
    struct ack_in ack = {.agent_id = BYTES_LIT("a"), .nutrient_ids = &sent.nutrient_id, .count = 1};
    struct outcome_in rate = {.trace_id = sent.trace_id, .score = 1};
    struct call *c[2] = {test_call_new(s.te, &s.caller), test_call_new(s.te, &s.caller)};
    scene_hold(&s, &hold);
    engine_ack(s.te->engine, c[0], &ack, &acked);
    engine_record_outcome(s.te->engine, c[1], &rate, &outcome);
    scene_let_go(&s, &hold);
    assert_int_equal(test_call_wait(s.te, c[0]), QMN_OK);
    assert_int_equal(test_call_wait(s.te, c[1]), QMN_OK);
    assert_int_equal(scene_look(&s).recents, 1);
}

static void a_rating_counts_as_work_when_the_nutrient_is_gone(void **state)
{
    (void)state;
    struct outcome_out outcome;
    scene_agent(&s, "a", VEC(1, 0, 0, 0, 0, 0, 1), NULL);
    struct broadcast_out early = send_with_hints("", AXIS(6), "grafting pruning");
    struct broadcast_out late = send_with_hints("", AXIS(6), "weeding");
    test_engine_advance(s.te, 61 * 1000);
    scene_settle(&s);
    assert_int_equal(scene_outcome(&s, "", early.trace_id, 1, &outcome), QMN_OK);
    scene_restart(&s);
    assert_int_equal(scene_outcome(&s, "", late.trace_id, 1, &outcome), QMN_OK);
    for (int round = 0; round < 2; round++) {
        struct broadcast_out out = send_with_hints("", AXIS(0), "grafting weeding pruning");
        assert_float_equal(hop_to(&out, "a")->demand, 1, 1e-6f);
        scene_restart(&s);
    }
}

static void work_of_yesterday_taken_up_again_counts_anew(void **state)
{
    (void)state;
    struct outcome_out outcome;
    struct broadcast_in in = scene_nutrient(&s, "", AXIS(6));
    struct broadcast_out sent;
    struct ack_out ack;
    scene_agent(&s, "a", VEC(1, 0, 0, 0, 0, 0, 1), NULL);
    in.hints = test_list(s.te, "grafting");
    in.ttl_sec = 48 * 3600;
    assert_int_equal(scene_broadcast(&s, &in, &sent), QMN_OK);
    assert_int_equal(scene_ack(&s, "a", sent.nutrient_id, &ack), QMN_OK);
    test_engine_advance(s.te, INT64_C(25) * 3600 * 1000);
    assert_int_equal(scene_outcome(&s, "", sent.trace_id, 1, &outcome), QMN_OK);
    struct broadcast_out out = send_with_hints("", AXIS(0), "grafting");
    assert_float_equal(hop_to(&out, "a")->demand, 1, 1e-6f);
}

#define RECENT(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RECENT(demand_raises_the_score_after_an_ack),
        RECENT(demand_is_the_mean_over_the_hints_and_fuzzy),
        RECENT(demand_lasts_for_a_day),
        RECENT(demand_remembers_the_last_tasks_over_a_restart),
        RECENT(a_good_rating_counts_as_work_and_a_bad_one_does_not),
        RECENT(a_nutrient_acknowledged_and_rated_is_one_task),
        RECENT(acknowledged_and_rated_in_one_group_it_is_one_task),
        RECENT(a_rating_counts_as_work_when_the_nutrient_is_gone),
        RECENT(work_of_yesterday_taken_up_again_counts_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
