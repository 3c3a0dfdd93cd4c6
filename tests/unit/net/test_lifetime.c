/* SPDX-License-Identifier: MIT
 *
 * Who outlives whom: requests and their connections, streams and their readers, the server and
 * all of them.  What these tests look for most shows under ASan. */
#include "fixture.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "net/loop_priv.h"

enum { GONE_MS = 2000 }; /* http1_codec.c: a peer that has shut its side is then told as gone */

static void two_loops(struct server_config *c)
{
    c->loops = 2;
}

/* ---- the peer goes first ---- */

static void a_reset_peer_is_told_once_and_may_still_be_answered(void **state)
{
    struct fixture *f = *state;
    enum { N = 20 };
    struct http_client c[N];
    for (int i = 0; i < N; i++) {
        fixture_open(f, &c[i], POST("/park") "Content-Length: 5\r\n\r\nhello");
    }
    assert_true(wait_for(&f->parked, N));
    for (int i = 0; i < N; i++)
        http_reset(&c[i]);
    assert_true(wait_for(&f->gone, N));
    assert_true(wait_scraped(f, "qmn_net_connections", 0));
    fixture_release(f); /* into the void */
    assert_int_equal(f->gone, N);
    assert_true(wait_scraped(f, "qmn_net_held_bytes", 0));
}

static void a_half_closed_peer_gets_its_answer(void **state)
{
    struct fixture *f = *state;
    struct http_client c;
    fixture_open(f, &c, GET("/park") GET("/peer"));
    http_shut(&c);
    assert_true(wait_for(&f->parked, 1) && http_delivered(&c));
    fixture_advance(f, GONE_MS - 1);
    fixture_release(f);
    check_reply(&c, 200, "released");
    check_reply(&c, 200, "127.0.0.1"); /* what it had sent before counts too */
    assert_true(http_closed(&c));
    assert_int_equal(f->gone, 0);
    http_close(&c);
}

static void a_peer_that_closed_long_ago_is_told_as_gone_but_answered(void **state)
{
    struct fixture *f = *state;
    struct http_client c;
    fixture_open(f, &c, GET("/park"));
    http_shut(&c);
    assert_true(wait_for(&f->parked, 1) && http_delivered(&c));
    fixture_settle(f);
    fixture_advance(f, GONE_MS - 1);
    assert_int_equal(f->gone, 0);
    fixture_advance(f, 1);
    assert_int_equal(f->gone, 1);
    fixture_release(f);
    check_reply(&c, 200, "released");
    assert_int_equal(f->gone, 1);
    http_close(&c);
}

static void a_peer_that_shuts_and_then_resets_is_told_once(void **state)
{
    struct fixture *f = *state;
    struct http_client c;
    fixture_open(f, &c, GET("/park"));
    http_shut(&c);
    assert_true(wait_for(&f->parked, 1) && http_delivered(&c));
    fixture_settle(f);
    fixture_advance(f, GONE_MS);
    assert_int_equal(f->gone, 1);
    http_reset(&c);
    assert_true(wait_scraped(f, "qmn_net_connections", 0));
    fixture_release(f);
    assert_int_equal(f->gone, 1);
}

static void a_request_and_its_end_may_come_together(void **state)
{
    struct fixture *f = *state;
    struct http_client c;
    http_connect(&c, f->port);
    assert_true(wait_scraped(f, "qmn_net_connections", 1));
    fixture_hold_loop(f, 0); /* so that one event tells of both */
    assert_true(http_sends(&c, GET("/peer")));
    http_shut(&c);
    assert_true(http_delivered(&c));
    fixture_let_go(f);
    check_reply(&c, 200, "127.0.0.1");
    assert_true(http_closed(&c));
    http_close(&c);
}

static void a_peer_that_leaves_inside_its_request_is_forgotten(void **state)
{
    static const char *const parts[] = {"GET / HT",
                                        POST("/echo") "Content-Length: 50000\r\n\r\nabc",
                                        POST("/echo") "Transfer-Encoding: chunked\r\n\r\n5\r\nab",
                                        POST("/early") "Content-Length: 50000\r\n\r\nabc"};
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LEN(parts) * 2; i++) {
        struct http_client c;
        http_connect(&c, f->port);
        fixture_feeds(f, &c, parts[i / 2]);
        assert_true(wait_scraped(f, "qmn_net_connections", 1));
        if (i % 2)
            http_reset(&c);
        else
            http_close(&c);
        assert_true(wait_scraped(f, "qmn_net_connections", 0));
    }
    assert_int_equal(f->requests, 0);
    assert_true(wait_scraped(f, "qmn_net_held_bytes", 0));
}

/* ---- streams ---- */

static void a_stream_arrives_piece_by_piece(void **state)
{
    struct fixture *f = *state;
    struct http_client c;
    struct http_reply r;
    char value[32];
    fixture_open(f, &c, GET("/stream") GET("/peer"));
    http_read_head(&c, &r);
    assert_int_equal(r.status, 200);
    assert_string_equal(http_reply_header(&r, "Transfer-Encoding", value, sizeof value), "chunked");
    http_reply_release(&r);
    fixture_stream_send(f, "data: one\n\n");
    assert_true(http_wait_bytes(&c, 16));
    assert_bytes_equal(bytes_of(c.in.ptr, 16), "b\r\ndata: one\n\n\r\n");
    buf_consume(&c.in, 16);
    fixture_stream_send(f, "");
    fixture_stream_send(f, "x");
    fixture_stream_end(f);
    assert_true(http_wait_bytes(&c, 11));
    assert_bytes_equal(bytes_of(c.in.ptr, 11), "1\r\nx\r\n0\r\n\r\n");
    buf_consume(&c.in, 11);
    check_reply(&c, 200, "127.0.0.1"); /* the connection goes on */
    http_close(&c);
}

static void an_old_client_reads_a_stream_to_the_end_of_its_connection(void **state)
{
    struct fixture *f = *state;
    struct http_client c;
    fixture_open(f, &c, "GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_true(wait_for(&f->streams, 1));
    fixture_stream_send(f, "one ");
    fixture_stream_send(f, "two");
    fixture_stream_end(f);
    check_reply(&c, 200, "one two");
    http_close(&c);
}

static void a_stream_whose_reader_left_is_told_and_ended(void **state)
{
    struct fixture *f = *state;
    struct http_client c;
    fixture_open(f, &c, GET("/stream"));
    assert_true(wait_for(&f->streams, 1));
    fixture_stream_send(f, "one");
    http_reset(&c);
    assert_true(wait_for(&f->gone, 1));
    assert_true(wait_scraped(f, "qmn_net_connections", 0));
    fixture_stream_send(f, "two");
}

/* Sends until the sockets take no more; the reader takes nothing. */
static void fill_stream(struct fixture *f)
{
    static char text[65536];
    memset(text, 's', sizeof text - 1);
    for (int i = 0; i < 1000 && scraped(f, "qmn_net_held_bytes") < sizeof text; i++) {
        fixture_stream_send(f, text);
        fixture_settle(f);
    }
    assert_true(scraped(f, "qmn_net_held_bytes") >= sizeof text);
}

static void a_stream_is_told_what_never_left(void **state)
{
    static const char sent[] = "qmn_net_sent_bytes_total";
    struct fixture *f = *state;
    struct http_client c;
    http_connect(&c, f->port);
    fixture_feeds(f, &c, GET("/stream"));
    double head = scraped(f, sent);
    fill_stream(f);
    http_reset(&c);
    assert_true(wait_for(&f->gone, 1));
    assert_true(f->stream_lost > 0);
    assert_true((double)(f->stream_sent - f->stream_lost) == scraped(f, sent) - head);
}

static void a_reader_that_is_too_slow_sees_its_stream_broken_not_ended(void **state)
{
    struct fixture *f = *state;
    struct http_client c;
    struct http_reply r;
    fixture_open(f, &c, GET("/flood"));
    assert_true(wait_for(&f->floods, 1)); /* one that reads meanwhile may be fast enough */
    http_get_reply(&c, &r);
    assert_int_equal(r.status, 200);
    assert_true(r.truncated); /* no last chunk */
    /* It was stopped, not buffered: the rest is what the two sockets hold. */
    assert_in_range(f->flooded, 1, (LIMIT_STREAM_BYTES + (24 << 20)) / 4096);
    http_reply_release(&r);
    http_close(&c);
    assert_true(wait_scraped(f, "qmn_net_held_bytes", 0));
}

/* ---- draining ---- */

struct drain {
    struct fixture *f;
    uint32_t grace_ms, cut;
    _Atomic int done;
    pthread_t thread;
};

static void *drain_run(void *arg)
{
    struct drain *d = arg;
    d->cut = server_drain(d->f->server, d->grace_ms);
    d->done = 1;
    return NULL;
}

/* Returns when the drain has begun: it has closed `idle`. */
static void drain_begin(struct drain *d, struct http_client *idle)
{
    http_connect(idle, d->f->port);
    assert_true(http_sends(idle, GET("/peer")));
    check_reply(idle, 200, NULL);
    assert_int_equal(pthread_create(&d->thread, NULL, drain_run, d), 0);
    assert_true(http_closed(idle));
    http_close(idle);
    fixture_settle(d->f);
}

/* Moves the clock to just before the end of its grace, and sees to it that the drain looks. */
static void drain_almost_over(struct drain *d)
{
    struct fixture *f = d->f;
    fixture_advance(f, d->grace_ms - 1);
    assert_true(wait_for(&f->clock.looks, f->clock.looks + 2)); /* the loops are asleep */
    fixture_settle(f);
    assert_int_equal(d->done, 0);
    assert_int_equal(f->gone, 0);
}

/* The clock stands still: who comes back has not waited for a deadline. */
static void drain_join(struct drain *d)
{
    assert_true(wait_for(&d->done, 1));
    pthread_join(d->thread, NULL);
}

static void a_drain_lets_requests_finish_and_ends_the_idle(void **state)
{
    struct fixture *f = *state;
    struct http_client idle, busy, late;
    struct http_reply r;
    fixture_open(f, &busy, GET("/park"));
    assert_true(wait_for(&f->parked, 1));
    struct drain d = {.f = f, .grace_ms = 5000};
    drain_begin(&d, &idle);
    drain_almost_over(&d);
    fixture_release(f);
    http_get_reply(&busy, &r);
    assert_int_equal(r.status, 200);
    assert_true(r.close);
    http_reply_release(&r);
    assert_true(http_closed(&busy));
    drain_join(&d);
    assert_int_equal(d.cut, 0);
    assert_int_equal(f->gone, 0);
    http_connect(&late, f->port);
    assert_int_equal(late.fd, -1); /* refused, not left in a backlog */
    http_close(&busy);
}

static void a_drain_ends_hard_at_its_deadline(void **state)
{
    struct fixture *f = *state;
    struct http_client idle, busy, half;
    http_connect(&busy, f->port);
    http_connect(&half, f->port);
    fixture_feeds(f, &busy, GET("/park"));
    fixture_feeds(f, &half, POST("/echo") "Content-Length: 5\r\n\r\nhel");
    assert_int_equal(f->parked, 1);
    struct drain d = {.f = f, .grace_ms = 200};
    drain_begin(&d, &idle);
    drain_almost_over(&d);
    fixture_advance(f, 1);
    drain_join(&d);
    assert_int_equal(d.cut, 2);
    assert_int_equal(f->gone, 1);
    assert_true(http_closed(&busy));
    assert_true(http_closed(&half));
    fixture_release(f); /* the handler still owes an answer, and may give it */
    http_close(&busy);
    http_close(&half);
}

static void a_handler_that_holds_its_loop_does_not_hold_a_drain(void **state)
{
    struct fixture *f = *state;
    struct drain d = {.f = f, .grace_ms = 1000};
    fixture_hold_loop(f, 0);
    assert_int_equal(pthread_create(&d.thread, NULL, drain_run, &d), 0);
    while (!d.done) { /* would never end */
        manual_clock_add_ms(&f->clock, 1000);
        a_moment();
    }
    fixture_let_go(f);
    drain_join(&d);
}

static void a_drain_ends_streams_at_once_and_properly(void **state)
{
    struct fixture *f = *state;
    struct http_client c;
    struct http_reply r;
    fixture_open(f, &c, GET("/stream"));
    assert_true(wait_for(&f->streams, 1));
    fixture_stream_send(f, "one");
    struct drain d = {.f = f, .grace_ms = 5000};
    drain_run(&d); /* the clock stands still */
    assert_int_equal(d.cut, 0);
    assert_int_equal(f->gone, 1);
    http_get_reply(&c, &r);
    assert_false(r.truncated);
    assert_string_equal(r.body.ptr, "one");
    http_reply_release(&r);
    http_close(&c);
}

static void requests_already_sent_are_served_by_a_draining_server(void **state)
{
    enum { N = 30 };
    struct fixture f;
    struct http_client c[N];
    (void)state;
    fixture_start(&f, two_loops);
    for (int i = 0; i < N; i++) {
        fixture_open(&f, &c[i], POST("/echo") "Content-Length: 2\r\n\r\nok");
    }
    assert_int_equal(server_drain(f.server, 5000), 0);
    for (int i = 0; i < N; i++) { /* in the backlog, accepted or read: all of them */
        check_reply(&c[i], 200, "ok");
        http_close(&c[i]);
    }
    fixture_stop(&f);
}

static void a_server_may_be_freed_with_requests_unanswered(void **state)
{
    struct fixture f;
    struct http_client c;
    struct err err;
    (void)state;
    fixture_start(&f, two_loops);
    fixture_open(&f, &c, POST("/park") "Content-Length: 9000\r\n\r\n");
    char body[9000] = {0};
    assert_true(http_send(&c, body, sizeof body));
    assert_true(wait_for(&f.parked, 1));
    server_free(f.server); /* without a drain */
    assert_int_equal(f.gone, 1);
    assert_true(http_closed(&c));
    http_close(&c);
    /* One that never started. */
    assert_int_equal(server_new(&f.config, &f.server, &err), QMN_OK);
    assert_int_equal(server_drain(f.server, 1000), 0);
    server_free(f.server);
    metrics_free(f.metrics);
    pthread_mutex_destroy(&f.lock);
}

static void *free_run(void *arg)
{
    struct fixture *f = arg;
    server_free(f->server);
    return NULL;
}

static bool loop_thread_runs(uint32_t index)
{
    char path[300], name[32], want[32];
    bool found = false;
    DIR *d = opendir("/proc/self/task");
    assert_non_null(d);
    snprintf(want, sizeof want, "qmn-loop-%u\n", index);
    for (struct dirent *e; (e = readdir(d));) {
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", e->d_name);
        FILE *file = e->d_name[0] == '.' ? NULL : fopen(path, "re");
        if (!file)
            continue;
        found |= fgets(name, sizeof name, file) && strcmp(name, want) == 0;
        fclose(file);
    }
    closedir(d);
    return found;
}

static void a_connection_on_its_way_between_loops_is_closed_by_free(void **state)
{
    struct fixture f;
    struct http_client c[2], late;
    pthread_t thread;
    (void)state;
    fixture_start(&f, two_loops);
    for (int i = 0; i < 2; i++) {
        fixture_open(&f, &c[i], GET("/park"));
        assert_true(wait_for(&f.parked, i + 1));
    }
    /* One on each loop; the first loop loses its own, so that the second gives it the next. */
    int first = f.kept[0]->exec == server_loop(f.server, 0) ? 0 : 1;
    http_reset(&c[first]);
    assert_true(wait_for(&f.gone, 1));
    fixture_hold_loop(&f, 1);
    pthread_create(&thread, NULL, free_run, &f);
    while (loop_thread_runs(0)) /* then the second is waited for */
        a_moment();
    http_connect(&late, f.port);
    fixture_let_go(&f);
    pthread_join(thread, NULL);
    assert_true(http_closed(&late));
    http_close(&late);
    http_close(&c[!first]);
    metrics_free(f.metrics);
    pthread_mutex_destroy(&f.lock);
}

/* ---- memory runs out ---- */

static _Atomic unsigned allocations, fail_at, failures;

static bool fail_on_loops(void)
{
    if (!loop_current() || atomic_fetch_add(&allocations, 1) + 1 != fail_at)
        return false;
    failures++;
    return true;
}

static void each_failed_allocation_costs_one_request_at_most(void **state)
{
    struct fixture *f = *state;
    char *body = mem_calloc(1, 30000);
    for (unsigned n = 1; n < 200; n++) {
        struct http_client c;
        struct http_reply r;
        allocations = failures = 0;
        fail_at = n;
        mem_set_fault(fail_on_loops);
        http_connect(&c, f->port);
        (void)(http_sends(&c, POST("/echo") "Content-Length: 5\r\n\r\nhello") &&
               http_sends(&c, POST("/echo") "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n") &&
               http_sends(&c, "0\r\n\r\n" POST("/echo") "Content-Length: 30000\r\n\r\n") &&
               http_send(&c, body, 30000));
        for (int i = 0; i < 3; i++) {
            http_get_reply(&c, &r);
            assert_true(r.status == 200 || r.status == 503 || r.status == 0);
            assert_false(r.status && r.truncated);
            http_reply_release(&r);
        }
        assert_false(c.in_vain); /* answered or closed, not left hanging */
        http_close(&c);
        mem_set_fault(NULL);
        assert_true(wait_scraped(f, "qmn_net_connections", 0));
        if (!failures)
            break;
    }
    assert_int_equal(failures, 0); /* all points were tried */
    mem_free(body);
    assert_true(wait_scraped(f, "qmn_net_held_bytes", 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_reset_peer_is_told_once_and_may_still_be_answered),
        FIXTURE_TEST(a_half_closed_peer_gets_its_answer),
        FIXTURE_TEST(a_peer_that_closed_long_ago_is_told_as_gone_but_answered),
        FIXTURE_TEST(a_peer_that_shuts_and_then_resets_is_told_once),
        FIXTURE_TEST(a_request_and_its_end_may_come_together),
        FIXTURE_TEST(a_peer_that_leaves_inside_its_request_is_forgotten),
        FIXTURE_TEST(a_stream_arrives_piece_by_piece),
        FIXTURE_TEST(an_old_client_reads_a_stream_to_the_end_of_its_connection),
        FIXTURE_TEST(a_stream_whose_reader_left_is_told_and_ended),
        FIXTURE_TEST(a_stream_is_told_what_never_left),
        FIXTURE_TEST(a_reader_that_is_too_slow_sees_its_stream_broken_not_ended),
        FIXTURE_TEST(a_drain_lets_requests_finish_and_ends_the_idle),
        FIXTURE_TEST(a_drain_ends_hard_at_its_deadline),
        FIXTURE_TEST(a_handler_that_holds_its_loop_does_not_hold_a_drain),
        FIXTURE_TEST(a_drain_ends_streams_at_once_and_properly),
        cmocka_unit_test(requests_already_sent_are_served_by_a_draining_server),
        cmocka_unit_test(a_server_may_be_freed_with_requests_unanswered),
        cmocka_unit_test(a_connection_on_its_way_between_loops_is_closed_by_free),
        FIXTURE_TEST(each_failed_allocation_costs_one_request_at_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
