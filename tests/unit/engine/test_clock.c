/* SPDX-License-Identifier: MIT
 *
 * The system's wall clock is set: forwards while the node runs, backwards while it is stopped (the
 * process's own clock never steps back).  Leases and waits do not notice; TTLs go by what the clock
 * says. */
#include "stage.h"

#include <string.h>

#include "engine/engine_priv.h"

enum { HOUR = 3600000, MINUTE = 60000 };

static int begin(void **state)
{
    (void)state;
    scene_begin(&s, (struct test_engine_options){.sqlite = true});
    scene_agent(&s, "a", AXIS(0), NULL);
    scene_agent(&s, "b", AXIS(1), NULL);
    return 0;
}

/* Lives for an hour. */
static struct broadcast_out send_long(const char *source, struct vec v)
{
    struct broadcast_in in = scene_nutrient(&s, source, v);
    struct broadcast_out sent;
    in.ttl_sec = 3600;
    assert_int_equal(scene_broadcast(&s, &in, &sent), QMN_OK);
    assert_int_equal(sent.hop_count, 1);
    return sent;
}

static void a_lease_lasts_as_long_as_it_was_given(void **state)
{
    (void)state;
    struct broadcast_out sent = send_long("b", AXIS(0));
    assert_int_equal(scene_pull(&s, "a", 1).count, 1); /* for 30 s */
    test_engine_step_wall(s.te, HOUR / 2);
    assert_int_equal(scene_pull(&s, "a", 1).count, 0);
    assert_string_equal(scene_trace(&s, sent.trace_id).deliveries[0].state, "leased");
    test_engine_advance(s.te, 29999);
    assert_int_equal(scene_pull(&s, "a", 1).count, 0);
    test_engine_advance(s.te, 1);
    assert_int_equal(scene_pull(&s, "a", 1).count, 1);
}

static void what_was_put_off_comes_when_it_was_to(void **state)
{
    (void)state;
    struct broadcast_out sent = send_long("b", AXIS(0));
    assert_int_equal(scene_pull(&s, "a", 1).count, 1);
    assert_int_equal(scene_nack(&s, "a", sent.nutrient_id, false, 10000), QMN_OK);
    test_engine_step_wall(s.te, HOUR / 2);
    assert_int_equal(scene_pull(&s, "a", 1).count, 0);
    test_engine_advance(s.te, 10000);
    assert_int_equal(scene_pull(&s, "a", 1).count, 1);
}

/* Woken in between by a nutrient it may not see, so that it looks at the time. */
static void a_long_poll_waits_as_long_as_it_was_asked_to(void **state)
{
    (void)state;
    struct caller weak = s.caller;
    weak.clearance = LABEL_PUBLIC;
    struct pull_in in = {
        .agent_id = BYTES_LIT("a"), .limit = 1, .lease_ms = 1000, .wait_ms = 20000};
    struct pull_out out;
    struct call *c = test_call_new(s.te, &weak);
    engine_pull(s.te->engine, c, &in, &out);
    test_engine_step_wall(s.te, HOUR);
    send_long("b", AXIS(0));
    scene_settle(&s);
    test_engine_advance(s.te, 19999);
    assert_false(test_call_done(s.te, c));
    test_engine_advance(s.te, 1);
    assert_int_equal(test_call_wait(s.te, c), QMN_OK);
    assert_int_equal(out.count, 0);
}

/* a polled a moment ago, whatever the clock says, so it may answer yet. */
static void a_collect_waits_for_who_was_there_a_moment_ago(void **state)
{
    (void)state;
    struct collect_out out;
    struct respond_out responded;
    scene_pull(&s, "a", 1);
    struct broadcast_out sent = send_long("b", AXIS(0));
    test_engine_step_wall(s.te, HOUR / 2);
    struct collect_in in = scene_demand(&s, "b", AXIS(0));
    struct call *c = test_call_new(s.te, &s.caller);
    engine_collect(s.te->engine, c, &in, &out);
    test_engine_step_wall(s.te, MINUTE);
    test_engine_advance(s.te, 299);
    assert_false(test_call_done(s.te, c));
    assert_int_equal(scene_respond(&s, "a", sent.nutrient_id, "{}", &responded), QMN_OK);
    assert_int_equal(test_call_wait(s.te, c), QMN_OK);
    assert_int_equal(out.count, 1);
    assert_int_equal(out.waited_ms, 299);
}

static void what_has_a_term_ends_when_the_clock_says_so(void **state)
{
    (void)state;
    struct key_in in = {.tenant_id = BYTES_LIT("acme"),
                        .scopes = test_list(s.te, "inbox"),
                        .clearance = LABEL_INTERNAL,
                        .expires_in_days = 1};
    struct key_out key;
    struct caller who = {0};
    struct err err;
    assert_int_equal(TEST_CALL(s.te, &s.te->admin, engine_create_key, &in, &key), QMN_OK);
    scene_send(&s, "b", AXIS(0)); /* for a minute */
    send_long("b", AXIS(0));
    test_engine_step_wall(s.te, HOUR / 2);
    scene_settle(&s);
    assert_int_equal(scene_pull(&s, "a", 10).count, 1);
    assert_int_equal(test_authenticate(s.te, key.secret, "", &who, &err), QMN_OK);
    test_engine_step_wall(s.te, 24 * HOUR);
    assert_int_equal(test_authenticate(s.te, key.secret, "", &who, &err), QMN_E_UNAUTHENTICATED);
}

/* The next start finds rows of the future: they are kept, and what comes is after them. */
static void a_clock_set_back_before_a_start_loses_nothing(void **state)
{
    (void)state;
    struct memory_out memory;
    struct outcome_out rated;
    struct caller who = {0};
    struct err err;
    struct ack_out acked;
    test_engine_advance(s.te, 2 * HOUR);
    struct broadcast_out before = send_long("b", AXIS(0));
    assert_int_equal(scene_remember(&s, "a", AXIS(2), &memory), QMN_OK);
    test_engine_stop(s.te);
    faulty_store_free(TAKE(s.te->store));
    metrics_free(s.te->metrics);
    s.te->metrics = metrics_new();
    test_engine_step_wall(s.te, -HOUR);
    assert_int_equal(test_engine_start(s.te, &err), QMN_OK);
    assert_int_equal(test_authenticate(s.te, bytes_cstr(s.te->admin_key), "", &who, &err), QMN_OK);
    struct broadcast_out after = send_long("b", AXIS(0));
    struct pull_out pulled = scene_pull(&s, "a", 10);
    assert_int_equal(pulled.count, 2);
    assert_true(bytes_equal(pulled.items[0].nutrient_id, before.nutrient_id));
    assert_true(bytes_equal(pulled.items[1].nutrient_id, after.nutrient_id));
    assert_true(pulled.items[0].sequence < pulled.items[1].sequence);
    assert_int_equal(scene_search(&s, AXIS(2), 10).count, 1);
    assert_int_equal(scene_outcome(&s, "b", before.trace_id, 1, &rated), QMN_OK);
    assert_int_equal(scene_outcome(&s, "b", after.trace_id, 1, &rated), QMN_OK);
    assert_int_equal(scene_ack(&s, "a", after.nutrient_id, &acked), QMN_OK);
    test_engine_advance(s.te, HOUR); /* as long as the later one was to live */
    scene_settle(&s);
    assert_int_equal(scene_pull(&s, "a", 10).count, 1); /* the other lives by the old clock */
    test_engine_advance(s.te, HOUR);
    scene_settle(&s);
    assert_int_equal(scene_pull(&s, "a", 10).count, 0);
}

#define CLOCK(test) cmocka_unit_test_setup_teardown(test, begin, stage_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLOCK(a_lease_lasts_as_long_as_it_was_given),
        CLOCK(what_was_put_off_comes_when_it_was_to),
        CLOCK(a_long_poll_waits_as_long_as_it_was_asked_to),
        CLOCK(a_collect_waits_for_who_was_there_a_moment_ago),
        CLOCK(what_has_a_term_ends_when_the_clock_says_so),
        CLOCK(a_clock_set_back_before_a_start_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
