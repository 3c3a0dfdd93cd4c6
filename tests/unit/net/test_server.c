/* SPDX-License-Identifier: MIT
 *
 * What a well-meaning client sees, over real sockets. */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"

static void a_connection_serves_many_requests(void **state)
{
    struct fixture *f = *state;
    struct http_client c;
    http_connect(&c, f->port);
    for (int i = 0; i < 100; i++) {
        assert_true(http_sends(&c, POST("/echo") "Content-Length: 5\r\n\r\nhello"));
        check_reply(&c, 200, "hello");
    }
    assert_true(scraped(f, "qmn_net_accepted_total") == 1);
    assert_true(scraped(f, "qmn_net_connections") == 1);
    http_close(&c);
    assert_true(wait_scraped(f, "qmn_net_connections", 0));
    assert_true(wait_scraped(f, "qmn_net_held_bytes", 0));
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    struct fixture *f = *state;
    struct http_client c;
    http_connect(&c, f->port);
    enum { N = 200 };
    struct buf all;
    buf_init(&all, 1 << 20);
    for (int i = 0; i < N; i++)
        buf_printf(&all, POST("/echo") "Content-Length: 4\r\n\r\n%04d", i);
    assert_true(http_send(&c, all.ptr, all.len));
    for (int i = 0; i < N; i++) {
        char want[8];
        snprintf(want, sizeof want, "%04d", i);
        check_reply(&c, 200, want);
    }
    buf_release(&all);
    http_close(&c);
}

static void a_request_behind_a_parked_one_waits_for_its_answer(void **state)
{
    struct fixture *f = *state;
    struct http_client c;
    http_connect(&c, f->port);
    fixture_feeds(f, &c, GET("/park") GET("/park") GET("/peer"));
    assert_int_equal(f->parked, 1);
    assert_int_equal(f->requests, 1); /* the second is not even parsed */
    fixture_release(f);
    check_reply(&c, 200, "released");
    assert_true(wait_for(&f->parked, 2));
    fixture_release(f);
    check_reply(&c, 200, "released");
    check_reply(&c, 200, "127.0.0.1");
    http_close(&c);
}

static void read_ahead_behind_a_parked_request_is_bounded(void **state)
{
    struct fixture *f = *state;
    struct http_client c;
    http_connect(&c, f->port);
    enum { N = 2000, BODY = 1000 };
    char request[256];
    size_t head =
        (size_t)snprintf(request, sizeof request, POST("/echo") "Content-Length: %d\r\n\r\n", BODY);
    struct buf all;
    buf_init(&all, 1 << 24);
    buf_adds(&all, GET("/park"));
    for (int i = 0; i < N; i++) {
        buf_add(&all, request, head);
        memset(buf_reserve(&all, BODY), 'x', BODY);
        all.len += BODY;
    }
    /* More than 2 MB: it fits the kernel's buffers or the client blocks; send from a non-reader. */
    size_t some = 300000;
    assert_true(http_send(&c, all.ptr, some));
    assert_true(wait_for(&f->parked, 1));
    fixture_settle(f);
    assert_true(scraped(f, "qmn_net_received_bytes_total") <= LIMIT_PIPELINE_BYTES + 16384);
    fixture_release(f);
    check_reply(&c, 200, "released");
    assert_true(http_send(&c, all.ptr + some, all.len - some));
    for (int i = 0; i < N; i++)
        check_reply(&c, 200, NULL);
    buf_release(&all);
    http_close(&c);
}

static void bodies_of_all_sizes_come_whole_however_they_are_cut(void **state)
{
    static const size_t sizes[] = {0,     1,     4095,  8191,  8192,   8193,   37000,
                                   65300, 65400, 65536, 70000, 200000, 1048576};
    struct fixture *f = *state;
    struct http_client c;
    http_connect(&c, f->port);
    char *body = mem_alloc(LIMIT_BODY_BYTES);
    for (size_t i = 0; i < LIMIT_BODY_BYTES; i++)
        body[i] = (char)('a' + i % 23 + i % 3);
    for (size_t i = 0; i < ARRAY_LEN(sizes) * 4; i++) {
        size_t n = sizes[i / 4], first = i % 4 == 0   ? n
                                         : i % 4 == 1 ? 0
                                         : i % 4 == 2 ? n / 2
                                                      : (n > 100 ? 100 : n);
        char head[256];
        size_t head_len =
            (size_t)snprintf(head, sizeof head, POST("/echo") "Content-Length: %zu\r\n\r\n", n);
        struct buf out;
        buf_init(&out, 1 << 21);
        buf_add(&out, head, head_len);
        buf_add(&out, body, first);
        if (first < n) {
            fixture_feed(f, &c, out.ptr, out.len);
            assert_true(http_send(&c, body + first, n - first));
        } else {
            assert_true(http_send(&c, out.ptr, out.len));
        }
        struct http_reply r;
        http_get_reply(&c, &r);
        assert_int_equal(r.status, 200);
        assert_int_equal(r.body.len, n);
        assert_true(n == 0 || memcmp(r.body.ptr, body, n) == 0);
        http_reply_release(&r);
        buf_release(&out);
    }
    mem_free(body);
    http_close(&c);
    assert_true(wait_scraped(f, "qmn_net_held_bytes", 0));
}

static void a_request_sent_byte_by_byte_is_understood(void **state)
{
    struct fixture *f = *state;
    static const char *const texts[] = {
        POST("/echo") "Content-Length: 5\r\n\r\nhello",
        POST("/echo") "Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"};
    struct http_client c;
    http_connect(&c, f->port);
    for (size_t t = 0; t < ARRAY_LEN(texts); t++) {
        for (const char *p = texts[t]; *p; p++)
            fixture_feed(f, &c, p, 1);
        check_reply(&c, 200, "hello");
    }
    http_close(&c);
}

static void large_chunked_bodies_are_joined(void **state)
{
    struct fixture *f = *state;
    struct http_client c;
    struct buf out;
    http_connect(&c, f->port);
    buf_init(&out, 1 << 21);
    buf_adds(&out, POST("/echo") "Transfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 1000; i++)
        buf_printf(&out, "3e8\r\n%0999d.\r\n", i);
    buf_adds(&out, "0\r\n\r\n");
    assert_true(buf_ok(&out) && http_send(&c, out.ptr, out.len));
    struct http_reply r;
    http_get_reply(&c, &r);
    assert_int_equal(r.status, 200);
    assert_int_equal(r.body.len, 1000000);
    assert_int_equal(r.body.ptr[999999], '.');
    assert_int_equal(strtol(r.body.ptr + 999000, NULL, 10), 999);
    http_reply_release(&r);
    buf_release(&out);
    http_close(&c);
}

static void expect_100_is_met_before_the_body(void **state)
{
    struct fixture *f = *state;
    struct http_client c;
    struct http_reply r;
    http_connect(&c, f->port);
    for (int i = 0; i < 2; i++) {
        assert_true(
            http_sends(&c, POST("/echo") "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"));
        http_get_reply(&c, &r);
        assert_int_equal(r.status, 100);
        http_reply_release(&r);
        assert_true(http_sends(&c, "ok"));
        check_reply(&c, 200, "ok");
    }
    http_close(&c);
}

static void a_body_too_large_is_refused_before_it_is_sent(void **state)
{
    struct fixture *f = *state;
    struct http_client c;
    fixture_open(f, &c, POST("/echo") "Expect: 100-continue\r\nContent-Length: 1048577\r\n\r\n");
    check_reply(&c, 413, "{\"code\":\"too_large\"}");
    assert_true(http_closed(&c));
    assert_int_equal(f->requests, 0);
    http_close(&c);
}

static void a_route_may_move_the_body_limit(void **state)
{
    struct fixture *f = *state;
    struct http_client c;
    struct http_reply r;
    fixture_ask(f, POST("/limit/3") "Content-Length: 4\r\n\r\nabcd", &r);
    assert_int_equal(r.status, 413);
    assert_true(r.close);
    http_reply_release(&r);
    char *body = mem_calloc(1, 2000000);
    fixture_open(f, &c, POST("/limit/2000000") "Content-Length: 2000000\r\n\r\n");
    assert_true(http_send(&c, body, 2000000));
    http_get_reply(&c, &r);
    assert_int_equal(r.status, 200);
    assert_int_equal(r.body.len, 2000000);
    http_reply_release(&r);
    mem_free(body);
    http_close(&c);
}

static void the_answer_to_413_survives_a_client_that_sends_on(void **state)
{
    struct fixture *f = *state;
    char *body = mem_calloc(1, 1500000);
    for (int i = 0; i < 10; i++) {
        struct http_client c;
        fixture_open(f, &c, POST("/echo") "Content-Length: 1500000\r\n\r\n");
        assert_true(http_send(&c, body, 1500000)); /* reads nothing meanwhile */
        check_reply(&c, 413, "{\"code\":\"too_large\"}");
        http_close(&c);
    }
    mem_free(body);
}

static void an_answer_before_the_body_keeps_the_connection(void **state)
{
    struct fixture *f = *state;
    struct http_client c;
    http_connect(&c, f->port);
    char *body = mem_calloc(1, 500000);
    assert_true(http_sends(&c, POST("/early") "Content-Length: 500000\r\n\r\n"));
    check_reply(&c, 401, "early"); /* the body has not been sent yet */
    assert_true(http_send(&c, body, 500000));
    assert_true(http_sends(&c, POST("/early") "Transfer-Encoding: chunked\r\n\r\n"
                                              "5\r\nhello\r\n0\r\n\r\n" GET("/early")));
    check_reply(&c, 401, "early");
    check_reply(&c, 401, "early");
    assert_true(http_sends(&c, GET("/peer")));
    check_reply(&c, 200, "127.0.0.1");
    mem_free(body);
    http_close(&c);
}

static void an_early_answer_to_an_expectation_closes(void **state)
{
    struct fixture *f = *state;
    struct http_client c;
    struct http_reply r;
    fixture_open(f, &c, POST("/early") "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    http_get_reply(&c, &r);
    assert_int_equal(r.status, 401);
    assert_true(r.close); /* the body may or may not follow: nobody can tell */
    http_reply_release(&r);
    http_close(&c);
}

static void head_gets_the_head_only(void **state)
{
    struct fixture *f = *state;
    struct http_client c;
    struct http_reply r;
    char value[32];
    fixture_open(f, &c,
                 "HEAD /big/1234 HTTP/1.1\r\nHost: t\r\n\r\n"
                 "HEAD /stream HTTP/1.1\r\nHost: t\r\n\r\n");
    http_read(&c, true, &r);
    assert_int_equal(r.status, 200);
    assert_string_equal(http_reply_header(&r, "Content-Length", value, sizeof value), "1234");
    http_reply_release(&r);
    http_read(&c, true, &r);
    assert_int_equal(r.status, 200);
    http_reply_release(&r);
    assert_true(wait_for(&f->streams, 1));
    fixture_stream_send(f, "not for HEAD");
    fixture_stream_end(f);
    assert_true(http_sends(&c, GET("/empty") GET("/peer")));
    http_get_reply(&c, &r);
    assert_int_equal(r.status, 204);
    assert_string_equal(http_reply_header(&r, "Content-Length", value, sizeof value), "");
    http_reply_release(&r);
    check_reply(&c, 200, "127.0.0.1"); /* nothing stood between the answers */
    http_close(&c);
}

static void options_and_odd_methods_reach_the_handler(void **state)
{
    struct fixture *f = *state;
    struct http_client c;
    fixture_open(f, &c,
                 "OPTIONS * HTTP/1.1\r\nHost: t\r\n\r\n"
                 "DELETE /x HTTP/1.1\r\nHost: t\r\n\r\n"
                 "PROPFIND /x HTTP/1.1\r\nHost: t\r\n\r\n");
    for (int i = 0; i < 3; i++)
        check_reply(&c, 200, "");
    assert_int_equal(f->requests, 3);
    http_close(&c);
}

static void old_and_closing_clients_are_closed_after_the_answer(void **state)
{
    static const struct {
        const char *text;
        bool closes;
    } rows[] = {
        {"GET /peer HTTP/1.0\r\n\r\n", true},
        {"GET /peer HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", false},
        {"GET /peer HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n", true},
        {GET("/peer"), false},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct http_client c;
        struct http_reply r;
        fixture_open(f, &c, rows[i].text);
        http_get_reply(&c, &r);
        assert_int_equal(r.status, 200);
        assert_int_equal(r.close, rows[i].closes);
        http_reply_release(&r);
        if (rows[i].closes) {
            assert_true(http_closed(&c));
        } else {
            assert_true(http_sends(&c, GET("/peer")));
            check_reply(&c, 200, NULL);
        }
        http_close(&c);
    }
}

static void a_refused_request_ends_its_connection(void **state)
{
    struct fixture *f = *state;
    struct http_client c;
    struct http_reply r;
    char type[64];
    fixture_open(f, &c, GET("/peer") "GET / HTTP/1.1\nHost: t\n\n" GET("/peer"));
    check_reply(&c, 200, "127.0.0.1");
    http_get_reply(&c, &r);
    assert_int_equal(r.status, 400);
    assert_true(r.close);
    assert_string_equal(r.body.ptr, "{\"code\":\"malformed\"}");
    assert_string_equal(http_reply_header(&r, "Content-Type", type, sizeof type),
                        "application/problem+json");
    http_reply_release(&r);
    assert_true(http_closed(&c));
    assert_int_equal(f->requests, 1);
    assert_true(scraped(f, "qmn_net_refused_total{reason=\"malformed\"}") == 1);
    http_close(&c);
}

static void each_refusal_has_its_status(void **state)
{
    static const struct {
        const char *text;
        int status;
    } rows[] = {
        {POST("/") "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", 400},
        {POST("/") "Expect: tea\r\n\r\n", 417},
        {"BREW / HTTP/1.1\r\nHost: t\r\n\r\n", 501},
        {POST("/") "Transfer-Encoding: gzip\r\n\r\n", 501},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct http_reply r;
        fixture_ask(f, rows[i].text, &r);
        assert_int_equal(r.status, rows[i].status);
        http_reply_release(&r);
    }
    struct http_client c;
    char *big = mem_alloc(20000);
    memset(big, 'a', 20000);
    memcpy(big, "GET /", 5);
    http_connect(&c, f->port);
    assert_true(http_send(&c, big, 20000));
    check_reply(&c, 414, NULL);
    http_close(&c);
    memcpy(big, "GET / HTTP/1.1\r\nHost:", 21);
    http_connect(&c, f->port);
    assert_true(http_send(&c, big, 20000));
    check_reply(&c, 431, NULL);
    http_close(&c);
    mem_free(big);
}

static void a_refusal_is_the_handlers_to_word(void **state)
{
    static const struct {
        const char *text, *seen; /* whether on_head had its turn */
        int status;
    } rows[] = {
        {"GET / HTTP/1.1\r\n\r\n", "", 400},
        {POST("/limit/3") "Content-Length: 4\r\n\r\nabcd", "yes", 413},
        {POST("/echo") "Transfer-Encoding: chunked\r\n\r\nZ\r\n", "yes", 400},
    };
    struct fixture *f = *state;
    char value[64];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct http_reply r;
        fixture_ask(f, rows[i].text, &r);
        assert_int_equal(r.status, rows[i].status);
        assert_string_equal(http_reply_header(&r, "X-Seen", value, sizeof value), rows[i].seen);
        http_reply_header(&r, "Content-Type", value, sizeof value);
        assert_string_equal(value, "application/problem+json");
        http_reply_release(&r);
    }
}

static void an_answer_cannot_forge_headers(void **state)
{
    struct fixture *f = *state;
    struct http_reply r;
    fixture_ask(f, GET("/forge"), &r);
    assert_int_equal(r.status, 200);
    assert_null(strstr(r.head.ptr, "Forged"));
    http_reply_release(&r);
}

static void every_answer_is_dated(void **state)
{
    struct fixture *f = *state;
    struct http_reply r;
    char date[64];
    fixture_ask(f, GET("/peer"), &r);
    http_reply_header(&r, "Date", date, sizeof date);
    assert_int_equal(strlen(date), 29);
    assert_string_equal(date + 25, " GMT");
    assert_memory_equal(date + 3, ", ", 2);
    http_reply_release(&r);
}

static void who_does_not_read_answers_is_not_served_more(void **state)
{
    struct fixture *f = *state;
    struct http_client c;
    http_connect(&c, f->port);
    for (int i = 0; i < 5; i++)
        assert_true(http_sends(&c, GET("/big/30000000")));
    assert_true(http_delivered(&c));
    assert_true(wait_scraped_above(f, "qmn_net_held_bytes", 0)); /* the socket is full */
    fixture_settle(f);
    assert_int_equal(f->requests, 1);
    for (int i = 0; i < 5; i++)
        check_reply(&c, 200, NULL);
    http_close(&c);
}

static void large_answers_arrive_whole(void **state)
{
    struct fixture *f = *state;
    struct http_client c;
    struct http_reply r;
    fixture_open(f, &c, GET("/big/30000000") GET("/peer"));
    assert_true(wait_scraped_above(f, "qmn_net_held_bytes", 0)); /* the socket is full */
    http_get_reply(&c, &r);
    assert_int_equal(r.status, 200);
    assert_int_equal(r.body.len, 30000000);
    http_reply_release(&r);
    check_reply(&c, 200, "127.0.0.1");
    http_close(&c);
    assert_true(wait_scraped(f, "qmn_net_held_bytes", 0));
}

static void requests_of_one_round_are_gathered(void **state)
{
    struct fixture *f = *state;
    enum { N = 16 };
    struct http_client c[N];
    for (int i = 0; i < N; i++)
        http_connect(&c[i], f->port);
    assert_true(wait_scraped(f, "qmn_net_connections", N));
    fixture_hold_loop(f, 0);
    for (int i = 0; i < N; i++)
        assert_true(http_sends(&c[i], GET("/round")) && http_delivered(&c[i]));
    fixture_let_go(f);
    for (int i = 0; i < N; i++) {
        check_reply(&c[i], 200, "round");
        http_close(&c[i]);
    }
    assert_int_equal(f->round_batch, N);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_connection_serves_many_requests),
        FIXTURE_TEST(pipelined_requests_are_answered_in_order),
        FIXTURE_TEST(a_request_behind_a_parked_one_waits_for_its_answer),
        FIXTURE_TEST(read_ahead_behind_a_parked_request_is_bounded),
        FIXTURE_TEST(bodies_of_all_sizes_come_whole_however_they_are_cut),
        FIXTURE_TEST(a_request_sent_byte_by_byte_is_understood),
        FIXTURE_TEST(large_chunked_bodies_are_joined),
        FIXTURE_TEST(expect_100_is_met_before_the_body),
        FIXTURE_TEST(a_body_too_large_is_refused_before_it_is_sent),
        FIXTURE_TEST(a_route_may_move_the_body_limit),
        FIXTURE_TEST(the_answer_to_413_survives_a_client_that_sends_on),
        FIXTURE_TEST(an_answer_before_the_body_keeps_the_connection),
        FIXTURE_TEST(an_early_answer_to_an_expectation_closes),
        FIXTURE_TEST(head_gets_the_head_only),
        FIXTURE_TEST(options_and_odd_methods_reach_the_handler),
        FIXTURE_TEST(old_and_closing_clients_are_closed_after_the_answer),
        FIXTURE_TEST(a_refused_request_ends_its_connection),
        FIXTURE_TEST(each_refusal_has_its_status),
        FIXTURE_TEST(a_refusal_is_the_handlers_to_word),
        FIXTURE_TEST(an_answer_cannot_forge_headers),
        FIXTURE_TEST(every_answer_is_dated),
        FIXTURE_TEST(who_does_not_read_answers_is_not_served_more),
        FIXTURE_TEST(large_answers_arrive_whole),
        FIXTURE_TEST(requests_of_one_round_are_gathered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
