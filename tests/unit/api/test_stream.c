/* SPDX-License-Identifier: MIT
 *
 * The event stream: framing, resumption, heartbeat, back-pressure, and each way to end. */
#include "fixture.h"

#define STREAM "GET /v1/agents/a1/nutrients:stream"

static void open_stream(const char *headers)
{
    fake_http(&handler, STREAM, headers, NULL);
    assert_true(got.streamed);
    assert_int_equal(got.status, 200);
}

static void leave(void)
{
    fake_http_leave();
    assert_true(got.ended);
    assert_int_equal(got.answers, 1);
    assert_int_equal(fake.streams, 0);
}

static size_t count_of(const char *text)
{
    size_t n = 0;
    for (const char *at = got.body; (at = strstr(at, text)); at++)
        n++;
    return n;
}

static void items_become_events(void **state)
{
    (void)state;
    fake.pull_count = 2;
    fake.pull_first = 41;
    open_stream(KEY);
    assert_string_equal(got_header("Content-Type"), "text/event-stream");
    assert_string_equal(got_header("X-RateLimit-Limit"), "600");
    assert_body_has("event: nutrient\nid: 41\ndata: {\"sequence\":41,");
    assert_body_has("event: nutrient\nid: 42\ndata: {\"sequence\":42,");
    assert_body_has("line one\\nline two");
    assert_int_equal(count_of("\n\n"), 3);
    leave();
}

static void the_stream_opens_before_there_is_anything(void **state)
{
    (void)state;
    open_stream(KEY);
    assert_non_null(fake.held);
    assert_true(fake.number[1] == 15000);
    assert_body_has(": nutrients\n\n");
    leave();
    assert_int_equal(fake.cancels, 1);
}

static void silence_is_broken_by_a_heartbeat(void **state)
{
    (void)state;
    open_stream(KEY);
    fake_engine_release();
    assert_int_equal(count_of(": heartbeat\n\n"), 1);
    fake_engine_release();
    assert_int_equal(count_of(": heartbeat\n\n"), 2);
    assert_non_null(fake.held);
    leave();
}

static void a_later_item_is_sent_when_it_comes(void **state)
{
    (void)state;
    open_stream(KEY);
    fake.pull_first = 7;
    fake_engine_release(); /* nothing: a heartbeat, and the next pull */
    assert_int_equal(count_of("event:"), 0);
    fake.pull_count = 1;
    fake_engine_release();
    assert_int_equal(count_of("event: nutrient\nid: 7\n"), 1);
    leave();
}

static void last_event_id_resumes_behind_it(void **state)
{
    (void)state;
    open_stream(KEY "Last-Event-ID: 40\n");
    assert_true(fake.number[4] == 40 && fake.number[5] == 1);
    fake.pull_count = 1;
    fake.pull_first = 41;
    fake_engine_release();
    assert_true(fake.number[4] == 40); /* what its old stream was sent may still come */
    leave();
    open_stream(KEY);
    assert_true(fake.number[4] == 0 && fake.number[5] == 0);
    leave();
}

static void a_redelivery_carries_no_id(void **state)
{
    (void)state;
    fake.pull_count = 1;
    fake.pull_first = 41;
    open_stream(KEY "Last-Event-ID: 41\n");
    assert_body_has("event: nutrient\ndata: {\"sequence\":41,");
    assert_body_lacks("\nid:");
    leave();
}

static void a_head_leases_nothing(void **state)
{
    (void)state;
    fake.pull_count = 1;
    fake_http(&handler, "HEAD /v1/agents/a1/nutrients:stream", KEY, NULL);
    assert_int_equal(got.status, 200);
    assert_true(got.ended);
    assert_true(fake.number[4] == (double)INT64_MAX);
    assert_int_equal(fake.streams, 0);
    assert_int_equal(fake.calls, 1);
}

static void a_bad_last_event_id_is_named(void **state)
{
    (void)state;
    expect_with(422, KEY "Last-Event-ID: abc\n", STREAM, NULL);
    assert_body_has("\"field\":\"Last-Event-ID\"");
    expect_with(422, KEY "Last-Event-ID: 99999999999999999999\n", STREAM, NULL);
    assert_int_equal(fake.calls, 0);
}

static void an_error_before_the_first_event_is_a_problem(void **state)
{
    (void)state;
    fake.fail = (struct err){.code = QMN_E_NOT_FOUND, .text = "no such agent"};
    expect(404, STREAM, NULL);
    assert_false(got.streamed);
    assert_body_has("no such agent");
}

static void an_error_later_ends_the_stream(void **state)
{
    (void)state;
    open_stream(KEY);
    fake.fail = (struct err){.code = QMN_E_UNAVAILABLE};
    fake_engine_release();
    assert_true(got.ended);
    assert_int_equal(got.answers, 1);
}

static void a_slow_reader_pauses_the_pulls(void **state)
{
    (void)state;
    fake.pull_count = 1;
    fake.pull_again = true;
    fake_pending = 0;
    fake_http_reset();
    fake.pull_count = 1;
    /* An endless inbox: the stream yields after some rounds rather than starve the loop. */
    open_stream(KEY);
    assert_non_null(fake_timer);
    unsigned calls = fake.calls;
    fake_pending = 1 << 20;
    fake_http_fire_timer();
    fake_http_fire_timer();
    assert_int_equal(fake.calls, calls);
    fake_pending = 0;
    fake_http_fire_timer();
    assert_true(fake.calls > calls);
    assert_non_null(fake_timer);
    leave();
    assert_null(fake_timer);
}

static void a_reader_that_takes_nothing_is_given_up(void **state)
{
    (void)state;
    open_stream(KEY);
    fake_reader_gone = true;
    fake_engine_release();
    assert_true(got.ended);
}

/* All of the stream from here on stays behind when its reader leaves. */
static void strand_from(const char *text, size_t earlier)
{
    const char *at = strstr(got.body, text);
    assert_non_null(at);
    fake_pending = got.body_len - (size_t)(at - got.body) + earlier;
    leave();
}

static void what_never_left_is_given_back(void **state)
{
    (void)state;
    fake.pull_count = 3;
    fake.pull_first = 41;
    open_stream(KEY);
    strand_from("event: nutrient\nid: 42\n", 0);
    assert_int_equal(fake.unsent_count, 2);
    assert_true(fake.unsent[0] == 42 && fake.unsent[1] == 43);
}

static void half_an_event_never_left(void **state)
{
    (void)state;
    fake.pull_count = 2;
    fake.pull_first = 41;
    open_stream(KEY);
    strand_from("event: nutrient\nid: 42\n", 1);
    assert_int_equal(fake.unsent_count, 2);
}

static void what_has_left_is_not_given_back(void **state)
{
    (void)state;
    fake.pull_count = 2;
    open_stream(KEY);
    leave();
    assert_int_equal(fake.unsent_count, 0);
}

static void what_was_leased_for_a_reader_who_had_left_is_given_back(void **state)
{
    (void)state;
    fake.pull_count = 2;
    fake.pull_again = true;
    open_stream(KEY);
    fake.pull_first = 41;
    fake_reader_gone = true;
    fake_http_fire_timer();
    assert_true(got.ended);
    assert_int_equal(fake.unsent_count, 2);
    assert_true(fake.unsent[0] == 41 && fake.unsent[1] == 42);
}

static void head_ends_at_once(void **state)
{
    (void)state;
    fake_http(&handler, "HEAD /v1/agents/a1/nutrients:stream", KEY, NULL);
    assert_true(got.streamed);
    assert_true(got.ended);
}

static void a_stream_leaves_nothing_in_flight(void **state)
{
    (void)state;
    open_stream(KEY);
    assert_true(metric_sum("qmn_http_requests_in_flight", "") == 1);
    leave();
    assert_true(metric_sum("qmn_http_requests_in_flight", "") == 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, api_reset)
    const struct CMUnitTest tests[] = {
        TEST(items_become_events),
        TEST(the_stream_opens_before_there_is_anything),
        TEST(silence_is_broken_by_a_heartbeat),
        TEST(a_later_item_is_sent_when_it_comes),
        TEST(last_event_id_resumes_behind_it),
        TEST(a_redelivery_carries_no_id),
        TEST(a_head_leases_nothing),
        TEST(a_bad_last_event_id_is_named),
        TEST(an_error_before_the_first_event_is_a_problem),
        TEST(an_error_later_ends_the_stream),
        TEST(a_slow_reader_pauses_the_pulls),
        TEST(a_reader_that_takes_nothing_is_given_up),
        TEST(what_never_left_is_given_back),
        TEST(half_an_event_never_left),
        TEST(what_has_left_is_not_given_back),
        TEST(what_was_leased_for_a_reader_who_had_left_is_given_back),
        TEST(head_ends_at_once),
        TEST(a_stream_leaves_nothing_in_flight),
    };
    return cmocka_run_group_tests(tests, api_up, api_down);
}
