/* SPDX-License-Identifier: MIT
 *
 * Handlers that do not answer: the server does, once, at the deadline of the request. */
#include "fixture.h"

#include "base/limits.h"

#define TOO_LATE "{\"code\":\"deadline_exceeded\"}"
#define TIMEOUTS "qmn_net_timeouts_total{phase=\"handler\"}"
#define REFUSED  "qmn_net_refused_total{reason=\"deadline_exceeded\"}"

static void without_deadline(struct server_config *c)
{
    c->request_timeout_ms = UINT32_MAX;
}

/* Sends, and is parked. */
static void park(struct fixture *f, struct http_client *c, const char *text)
{
    http_connect(c, f->port);
    fixture_feeds(f, c, text);
    assert_int_equal(f->parked, 1);
}

/* Nothing one millisecond before its time, all of it then. */
static void check_late_after(struct fixture *f, struct http_client *c, int64_t ms_left)
{
    struct http_reply r;
    char value[64];
    fixture_advance(f, ms_left - 1);
    assert_int_equal(f->refused, 0);
    fixture_advance(f, 1);
    assert_int_equal(f->refused, 1);
    http_get_reply(c, &r);
    assert_int_equal(r.status, 503);
    assert_true(r.close);
    assert_string_equal(r.body.ptr, TOO_LATE);
    assert_string_equal(http_reply_header(&r, "Retry-After", value, sizeof value), "1");
    assert_string_equal(http_reply_header(&r, "X-Seen", value, sizeof value), "yes");
    http_reply_release(&r);
    assert_true(scraped(f, TIMEOUTS) == 1);
    assert_true(scraped(f, REFUSED) == 1);
}

static void a_handler_that_never_answers_is_answered_for(void **state)
{
    struct fixture *f = *state;
    struct http_client c;
    park(f, &c, GET("/park"));
    check_late_after(f, &c, LIMIT_REQUEST_MS);
    assert_int_equal(f->gone, 1); /* so that it may stop */
    assert_true(http_closed(&c));
    http_close(&c);
    assert_true(wait_scraped(f, "qmn_net_connections", 0));
}

static void what_it_says_later_goes_nowhere(void **state)
{
    struct fixture *f = *state;
    struct http_client c, other;
    park(f, &c, GET("/park"));
    check_late_after(f, &c, LIMIT_REQUEST_MS);
    double sent = scraped(f, "qmn_net_sent_bytes_total");
    fixture_release(f);
    fixture_settle(f);
    assert_true(scraped(f, "qmn_net_sent_bytes_total") == sent);
    assert_true(http_closed(&c)); /* and nothing came before */
    http_connect(&other, f->port);
    fixture_feeds(f, &other, GET("/peer"));
    check_reply(&other, 200, "127.0.0.1");
    assert_int_equal(f->gone, 1);
    http_close(&other);
    http_close(&c);
    assert_true(wait_scraped(f, "qmn_net_held_bytes", 0));
}

static void it_may_answer_while_it_is_told(void **state)
{
    struct fixture *f = *state;
    struct http_client c;
    park(f, &c, GET("/leave"));
    check_late_after(f, &c, LIMIT_REQUEST_MS);
    assert_true(http_closed(&c));
    http_close(&c);
}

static void without_a_deadline_the_client_would_wait_for_ever(void **state)
{
    struct fixture f;
    struct http_client c;
    (void)state;
    fixture_start(&f, without_deadline);
    park(&f, &c, GET("/park"));
    fixture_advance(&f, 100 * (int64_t)LIMIT_REQUEST_MS);
    assert_int_equal(f.refused, 0);
    assert_int_equal(f.gone, 0);
    fixture_release(&f);
    check_reply(&c, 200, "released");
    http_close(&c);
    fixture_stop(&f);
}

static void an_answer_at_the_last_moment_counts(void **state)
{
    struct fixture *f = *state;
    struct http_client c;
    park(f, &c, GET("/park"));
    for (int i = 1; i <= 3; i++) { /* each request has its own */
        fixture_advance(f, LIMIT_REQUEST_MS - 1);
        fixture_release(f);
        check_reply(&c, 200, "released");
        fixture_feeds(f, &c, GET("/park"));
        assert_int_equal(f->parked, i + 1);
    }
    check_late_after(f, &c, LIMIT_REQUEST_MS);
    http_close(&c);
}

static void a_wait_that_was_asked_for_moves_the_deadline(void **state)
{
    struct fixture *f = *state;
    struct http_client c;
    park(f, &c, GET("/wait/25000"));
    check_late_after(f, &c, LIMIT_REQUEST_MS + 25000);
    http_close(&c);
}

static void a_stream_that_has_begun_has_no_deadline(void **state)
{
    struct fixture *f = *state;
    struct http_client c;
    http_connect(&c, f->port);
    fixture_feeds(f, &c, GET("/stream"));
    assert_int_equal(f->streams, 1);
    fixture_advance(f, 100 * (int64_t)LIMIT_REQUEST_MS);
    fixture_stream_send(f, "still here");
    fixture_stream_end(f);
    check_reply(&c, 200, "still here");
    assert_int_equal(f->gone, 0);
    http_close(&c);
}

static void requests_behind_a_late_one_are_not_served(void **state)
{
    struct fixture *f = *state;
    struct http_client c;
    park(f, &c, GET("/park") GET("/peer"));
    check_late_after(f, &c, LIMIT_REQUEST_MS);
    fixture_release(f);
    assert_true(http_closed(&c));
    assert_int_equal(f->requests, 1);
    http_close(&c);
}

static void a_half_closed_peer_gets_the_503(void **state)
{
    struct fixture *f = *state;
    struct http_client c;
    park(f, &c, GET("/park"));
    http_shut(&c);
    assert_true(http_delivered(&c));
    fixture_settle(f);
    fixture_advance(f, 2000);
    assert_int_equal(f->gone, 1);
    check_late_after(f, &c, LIMIT_REQUEST_MS - 2000);
    assert_int_equal(f->gone, 1);
    http_close(&c);
}

static void head_gets_the_503_without_its_body(void **state)
{
    struct fixture *f = *state;
    struct http_client c;
    struct http_reply r;
    park(f, &c, "HEAD /park HTTP/1.1\r\nHost: t\r\n\r\n");
    fixture_advance(f, LIMIT_REQUEST_MS);
    http_read(&c, true, &r);
    assert_int_equal(r.status, 503);
    http_reply_release(&r);
    assert_true(http_closed(&c));
    http_close(&c);
}

static void a_server_is_freed_with_late_requests_unanswered(void **state)
{
    struct fixture f;
    struct http_client c;
    (void)state;
    fixture_start(&f, NULL);
    park(&f, &c, GET("/park"));
    check_late_after(&f, &c, LIMIT_REQUEST_MS);
    server_free(f.server);
    assert_int_equal(f.gone, 1);
    http_close(&c);
    metrics_free(f.metrics);
    pthread_mutex_destroy(&f.lock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_handler_that_never_answers_is_answered_for),
        FIXTURE_TEST(what_it_says_later_goes_nowhere),
        FIXTURE_TEST(it_may_answer_while_it_is_told),
        cmocka_unit_test(without_a_deadline_the_client_would_wait_for_ever),
        FIXTURE_TEST(an_answer_at_the_last_moment_counts),
        FIXTURE_TEST(a_wait_that_was_asked_for_moves_the_deadline),
        FIXTURE_TEST(a_stream_that_has_begun_has_no_deadline),
        FIXTURE_TEST(requests_behind_a_late_one_are_not_served),
        FIXTURE_TEST(a_half_closed_peer_gets_the_503),
        FIXTURE_TEST(head_gets_the_503_without_its_body),
        cmocka_unit_test(a_server_is_freed_with_late_requests_unanswered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
