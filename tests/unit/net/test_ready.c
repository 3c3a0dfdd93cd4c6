/* SPDX-License-Identifier: MIT
 *
 * The ready queue: work waits for its turn there, and what waits too long or is too much is
 * refused.  A held loop finds all at once what was delivered meanwhile, in that order; the work
 * itself moves the clock. */
#include "fixture.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"

#define WAITING    "qmn_net_ready_requests"
#define OVERLOADED "qmn_net_refused_total{reason=\"overloaded\"}"
#define BODY       "Content-Length: 1\r\n\r\nx"

/* Asks, on a connection of its own, a loop that is held or blocked. */
static void deliver(struct fixture *f, struct http_client *c, const char *text)
{
    fixture_open(f, c, text);
    assert_true(http_delivered(c));
}

static void deliver_work(struct fixture *f, struct http_client *c, int ms)
{
    char text[128];
    snprintf(text, sizeof text, POST("/work/%d") BODY, ms);
    deliver(f, c, text);
}

/* The request came as the n-th, from 0. */
static void check_turn(struct http_client *c, int n)
{
    char text[16];
    snprintf(text, sizeof text, "%d", n);
    check_reply(c, 200, text);
    http_close(c);
}

static void check_turned_away(struct http_client *c, bool seen)
{
    struct http_reply r;
    char value[64];
    http_get_reply(c, &r);
    assert_int_equal(r.status, 503);
    assert_false(r.close);
    assert_string_equal(r.body.ptr, "{\"code\":\"overloaded\"}");
    assert_string_equal(http_reply_header(&r, "Retry-After", value, sizeof value), "1");
    assert_string_equal(http_reply_header(&r, "X-Seen", value, sizeof value), seen ? "yes" : "");
    http_reply_release(&r);
}

/* Its connection serves on. */
static void check_usable(struct fixture *f, struct http_client *c)
{
    fixture_feeds(f, c, POST("/echo") BODY);
    check_reply(c, 200, "x");
    http_close(c);
}

/* One request has shown what they cost. */
static void teach(struct fixture *f, int ms)
{
    struct http_client c;
    deliver_work(f, &c, ms);
    check_turn(&c, 0);
    fixture_settle(f);
}

/* One request is at work, `count` wait behind it: the loop goes on after fixture_let_go. */
static void fill(struct fixture *f, struct http_client *at_work, int ms,
                 struct http_client *waiting, int count)
{
    char text[128];
    snprintf(text, sizeof text, POST("/block/%d") BODY, ms);
    fixture_hold_loop(f, 0);
    deliver(f, at_work, text);
    for (int i = 0; i < count; i++)
        deliver_work(f, &waiting[i], 20);
    fixture_let_go(f);
    assert_true(wait_for(&f->requests, 1));
    assert_true(wait_for(&f->holding, 1));
    assert_true(scraped(f, WAITING) == count);
}

/* ---- turns ---- */

static void work_is_handed_over_in_the_round_that_read_it(void **state)
{
    struct fixture *f = *state;
    struct http_client c;
    fixture_hold_loop(f, 0);
    deliver(f, &c, POST("/block/0") BODY);
    int before = f->rounds;
    fixture_let_go(f);
    assert_true(wait_for(&f->requests, 1));
    assert_int_equal(f->rounds, before + 1); /* the one that was held */
    assert_true(scraped(f, "qmn_net_ready_wait_seconds_count") == 1);
    assert_true(wait_for(&f->holding, 1));
    fixture_let_go(f);
    check_turn(&c, 0);
}

static void requests_of_one_connection_keep_their_order(void **state)
{
    struct fixture *f = *state;
    struct http_client c;
    fixture_hold_loop(f, 0);
    deliver(f, &c, POST("/work/20") BODY POST("/work/20") BODY GET("/work/0") POST("/work/0") BODY);
    fixture_let_go(f);
    for (int i = 0; i < 4; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d", i);
        check_reply(&c, 200, text);
    }
    http_close(&c);
}

static void what_has_no_body_does_not_wait_behind_work(void **state)
{
    enum { N = 10 };
    struct fixture *f = *state;
    struct http_client work[N], health;
    fixture_hold_loop(f, 0);
    for (int i = 0; i < N; i++)
        deliver_work(f, &work[i], 1);
    deliver(f, &health, GET("/work/0"));
    fixture_let_go(f);
    check_turn(&health, 0);
    for (int i = 0; i < N; i++)
        check_turn(&work[i], i + 1);
}

static void sockets_are_looked_at_after_every_slice(void **state)
{
    enum { N = 3 };
    struct fixture *f = *state;
    struct http_client at_work, waiting[N], health;
    fill(f, &at_work, 10, waiting, N);
    deliver(f, &health, GET("/work/0"));
    fixture_let_go(f);
    check_turn(&at_work, 0);
    check_turn(&health, 1);
    for (int i = 0; i < N; i++)
        check_turn(&waiting[i], i + 2);
}

/* What one processor sends arrives in that order.  To wait for each before the next is sent takes
 * the 40 ms after which a connection that has been answered before acknowledges anything. */
static void send_in_order(struct http_client *c, int count, struct http_client *last)
{
    cpu_set_t before, here;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    CPU_ZERO(&here);
    CPU_SET((size_t)sched_getcpu(), &here);
    assert_int_equal(sched_setaffinity(0, sizeof here, &here), 0);
    for (int i = 0; i < count; i++)
        assert_true(http_sends(&c[i], POST("/work/0") BODY));
    assert_true(http_sends(last, GET("/work/0")));
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
    for (int i = 0; i < count; i++)
        assert_true(http_delivered(&c[i]));
    assert_true(http_delivered(last));
}

static void a_health_check_overtakes_a_crowd_that_brings_work(void **state)
{
    enum { CROWD = 300 }; /* more than one look at the sockets finds */
    struct fixture *f = *state;
    struct http_client c[CROWD], health;
    http_connect(&health, f->port);
    for (int i = 0; i < CROWD; i++) { /* what they bring shows at the first request */
        http_connect(&c[i], f->port);
        fixture_feeds(f, &c[i], POST("/work/0") BODY);
        check_reply(&c[i], 200, NULL);
    }
    fixture_hold_loop(f, 0);
    send_in_order(c, CROWD, &health);
    fixture_let_go(f);
    check_turn(&health, CROWD);
    for (int i = 0; i < CROWD; i++)
        check_turn(&c[i], CROWD + 1 + i);
}

static void a_slice_allows_for_what_the_end_of_the_round_costs(void **state)
{
    enum { N = 50, LEAST = 16 };
    struct fixture *f = *state;
    struct http_client c[N];
    for (int ms = 0; ms <= 5; ms += 5) {
        f->round_ms = ms;
        fixture_open(f, &c[0], POST("/round") BODY); /* so that it is known */
        check_reply(&c[0], 200, "round");
        http_close(&c[0]);
        f->round_batch = 0;
        f->round_ms = 0;
        fixture_hold_loop(f, 0);
        for (int i = 0; i < N; i++)
            deliver(f, &c[i], POST("/round") BODY);
        fixture_let_go(f);
        for (int i = 0; i < N; i++) {
            check_reply(&c[i], 200, "round");
            http_close(&c[i]);
        }
        assert_int_equal(f->round_batch, ms ? LEAST : N);
    }
}

/* ---- too late, too much ---- */

static void who_has_waited_too_long_is_turned_away(void **state)
{
    struct fixture *f = *state;
    struct http_client first, second, third;
    fixture_hold_loop(f, 0);
    deliver_work(f, &first, LIMIT_READY_WAIT_MS);
    deliver_work(f, &second, 1); /* not a moment too long */
    fixture_let_go(f);
    check_turn(&first, 0);
    check_turn(&second, 1);
    fixture_hold_loop(f, 0);
    deliver_work(f, &first, LIMIT_READY_WAIT_MS + 1);
    deliver_work(f, &second, 1);
    deliver_work(f, &third, 1);
    fixture_let_go(f);
    check_turn(&first, 2);
    check_turned_away(&second, true);
    check_turned_away(&third, true);
    assert_int_equal(f->requests, 3);
    assert_int_equal(f->refused, 2);
    assert_true(scraped(f, OVERLOADED) == 2);
    check_usable(f, &second);
    check_usable(f, &third);
    assert_true(wait_scraped(f, "qmn_net_held_bytes", 0));
}

static void no_more_may_wait_than_can_be_served_in_time(void **state)
{
    enum { FITS = 20, MORE = 4 };
    struct fixture *f = *state;
    struct http_client c[FITS + MORE], health;
    teach(f, LIMIT_READY_WAIT_MS / FITS);
    fixture_hold_loop(f, 0);
    for (int i = 0; i < FITS; i++)
        deliver_work(f, &c[i], 0);
    deliver(f, &c[FITS], POST("/work/0") BODY);
    deliver(f, &c[FITS + 1],
            POST("/work/0") "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n");
    deliver(f, &c[FITS + 2], POST("/work/0") "Content-Length: 5\r\n\r\nab");
    deliver(f, &c[FITS + 3], POST("/work/0") "Content-Length: 70000\r\n\r\n");
    deliver(f, &health, GET("/work/0"));
    fixture_let_go(f);
    check_turn(&health, 1);
    for (int i = 0; i < FITS; i++)
        check_turn(&c[i], i + 2);
    for (int i = FITS; i < FITS + MORE; i++)
        check_turned_away(&c[i], false);
    assert_true(scraped(f, OVERLOADED) == MORE);
    char rest[70000];
    memset(rest, 'x', sizeof rest);
    fixture_feeds(f, &c[FITS + 2], "cde"); /* their bodies do not count as requests */
    fixture_feed(f, &c[FITS + 3], rest, sizeof rest);
    for (int i = FITS; i < FITS + MORE; i++)
        check_usable(f, &c[i]);
    assert_true(wait_scraped(f, "qmn_net_held_bytes", 0));
}

static void a_queue_that_is_never_empty_takes_less(void **state)
{
    enum { N = 200, AFTER = 120 }; /* of a millisecond each: a burst would be let in to 500 */
    struct fixture *f = *state;
    struct http_client c[N], late;
    teach(f, 1);
    fixture_hold_loop(f, 0);
    for (int i = 0; i < N; i++) {
        if (i == AFTER)
            deliver(f, &c[i], POST("/block/10") BODY);
        else
            deliver_work(f, &c[i], 1);
    }
    fixture_let_go(f);
    assert_true(wait_for(&f->requests, AFTER + 2));
    assert_true(wait_for(&f->holding, 1));
    deliver(f, &late, POST("/work/1") BODY);
    fixture_let_go(f);
    check_turned_away(&late, false);
    for (int i = 0; i < N; i++) {
        check_reply(&c[i], 200, NULL);
        http_close(&c[i]);
    }
    check_usable(f, &late);
}

static void small_ready_bytes(struct server_config *c)
{
    c->ready_bytes = 50000;
}

static void the_memory_of_waiting_bodies_is_bounded(void **state)
{
    enum { SIZE = 40000 };
    struct fixture f;
    struct http_client c[3];
    static char text[SIZE + 100];
    (void)state;
    fixture_start(&f, small_ready_bytes);
    int head = snprintf(text, sizeof text, POST("/work/0") "Content-Length: %d\r\n\r\n", SIZE);
    memset(text + head, 'x', SIZE);
    text[head + SIZE] = '\0';
    fixture_hold_loop(&f, 0);
    for (int i = 0; i < 3; i++)
        deliver(&f, &c[i], text);
    fixture_let_go(&f);
    int served = 0;
    for (int i = 0; i < 3; i++) {
        struct http_reply r;
        http_get_reply(&c[i], &r);
        assert_true(r.status == 200 || r.status == 503);
        served += r.status == 200;
        http_reply_release(&r);
        http_close(&c[i]);
    }
    assert_in_range(served, 1, 2); /* a block may be accounted for, or the body's size */
    fixture_stop(&f);
}

/* ---- the end of those who wait ---- */

static void a_client_that_leaves_gives_its_place_up(void **state)
{
    enum { N = 3 };
    struct fixture *f = *state;
    struct http_client at_work, waiting[N];
    fill(f, &at_work, 10, waiting, N);
    for (int i = 0; i < N; i++)
        http_reset(&waiting[i]);
    fixture_let_go(f);
    check_turn(&at_work, 0);
    assert_true(wait_scraped(f, "qmn_net_connections", 0));
    assert_int_equal(f->requests, 1);
    assert_true(scraped(f, WAITING) == 0);
    assert_true(scraped(f, "qmn_net_held_bytes") == 0);
}

static void a_peer_that_seems_gone_by_then_is_told_of(void **state)
{
    struct fixture *f = *state;
    struct http_client at_work, waiting;
    http_connect(&at_work, f->port);
    http_connect(&waiting, f->port);
    fixture_hold_loop(f, 0);
    assert_true(http_sends(&at_work, POST("/block/10") BODY) && http_delivered(&at_work));
    assert_true(http_sends(&waiting, POST("/park") BODY));
    http_shut(&waiting); /* seen with the request, so nothing else wakes the connection */
    assert_true(http_delivered(&waiting));
    fixture_let_go(f);
    assert_true(wait_for(&f->requests, 1));
    assert_true(wait_for(&f->holding, 1));
    fixture_let_go(f);
    check_turn(&at_work, 0);
    assert_true(wait_for(&f->parked, 1));
    fixture_advance(f, 1989);
    assert_int_equal(f->gone, 0);
    fixture_advance(f, 1);
    assert_int_equal(f->gone, 1);
    fixture_release(f);
    check_reply(&waiting, 200, "released");
    http_close(&waiting);
}

static void short_deadline(struct server_config *c)
{
    c->request_timeout_ms = 100;
}

static void the_deadline_of_a_request_holds_while_it_waits(void **state)
{
    struct fixture f;
    struct http_client at_work, waiting;
    struct http_reply r;
    (void)state;
    fixture_start(&f, short_deadline);
    fill(&f, &at_work, 100, &waiting, 1);
    fixture_let_go(&f);
    check_turn(&at_work, 0);
    http_get_reply(&waiting, &r);
    assert_int_equal(r.status, 503);
    assert_string_equal(r.body.ptr, "{\"code\":\"deadline_exceeded\"}");
    http_reply_release(&r);
    assert_true(http_closed(&waiting));
    assert_int_equal(f.requests, 1);
    assert_true(scraped(&f, WAITING) == 0);
    http_close(&waiting);
    assert_true(wait_scraped(&f, "qmn_net_held_bytes", 0));
    fixture_stop(&f);
}

static void *drain_run(void *arg)
{
    struct fixture *f = arg;
    assert_int_equal(server_drain(f->server, 5000), 0);
    return NULL;
}

static void a_drain_serves_those_who_wait(void **state)
{
    enum { N = 3 };
    struct fixture *f = *state;
    struct http_client at_work, waiting[N], idle;
    pthread_t drain;
    http_connect(&idle, f->port);
    fixture_settle(f);
    fill(f, &at_work, 10, waiting, N);
    assert_int_equal(pthread_create(&drain, NULL, drain_run, f), 0);
    fixture_let_go(f);
    check_turn(&at_work, 0);
    for (int i = 0; i < N; i++)
        check_turn(&waiting[i], i + 1);
    pthread_join(drain, NULL);
    assert_true(http_closed(&idle));
    http_close(&idle);
}

static void *stop_run(void *arg)
{
    server_free(((struct fixture *)arg)->server);
    return NULL;
}

static void a_server_is_freed_with_requests_that_wait(void **state)
{
    enum { N = 8 };
    struct fixture f;
    struct http_client at_work, waiting[N];
    pthread_t stop;
    (void)state;
    fixture_start(&f, NULL);
    fill(&f, &at_work, 10, waiting, N);
    assert_int_equal(pthread_create(&stop, NULL, stop_run, &f), 0);
    fixture_let_go(&f);
    pthread_join(stop, NULL);
    assert_in_range(f.requests, 1, N + 1);
    http_close(&at_work);
    for (int i = 0; i < N; i++)
        http_close(&waiting[i]);
    metrics_free(f.metrics);
    pthread_mutex_destroy(&f.lock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(work_is_handed_over_in_the_round_that_read_it),
        FIXTURE_TEST(requests_of_one_connection_keep_their_order),
        FIXTURE_TEST(what_has_no_body_does_not_wait_behind_work),
        FIXTURE_TEST(sockets_are_looked_at_after_every_slice),
        FIXTURE_TEST(a_health_check_overtakes_a_crowd_that_brings_work),
        FIXTURE_TEST(a_slice_allows_for_what_the_end_of_the_round_costs),
        FIXTURE_TEST(who_has_waited_too_long_is_turned_away),
        FIXTURE_TEST(no_more_may_wait_than_can_be_served_in_time),
        FIXTURE_TEST(a_queue_that_is_never_empty_takes_less),
        cmocka_unit_test(the_memory_of_waiting_bodies_is_bounded),
        FIXTURE_TEST(a_client_that_leaves_gives_its_place_up),
        FIXTURE_TEST(a_peer_that_seems_gone_by_then_is_told_of),
        cmocka_unit_test(the_deadline_of_a_request_holds_while_it_waits),
        FIXTURE_TEST(a_drain_serves_those_who_wait),
        cmocka_unit_test(a_server_is_freed_with_requests_that_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
