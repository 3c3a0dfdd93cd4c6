/* SPDX-License-Identifier: MIT
 *
 * Clients that are slow, too many, or never let go; and what an idle one costs. */
#include "fixture.h"

#include <fcntl.h>
#include <malloc.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"

enum {
    RATE_FROM_MS = LIMIT_BODY_MS / 6, /* http1_codec.c: RATE_STEPS */
    ACCEPT_PAUSE_MS = 100,            /* listener.c: PAUSE_MS */
};

static void three_connections(struct server_config *c)
{
    c->max_connections = 3;
}

static double timeouts(struct fixture *f, const char *phase)
{
    char series[80];
    snprintf(series, sizeof series, "qmn_net_timeouts_total{phase=\"%s\"}", phase);
    return scraped(f, series);
}

static void feed_filler(struct fixture *f, struct http_client *c, size_t len)
{
    char *part = mem_calloc(1, len);
    fixture_feed(f, c, part, len);
    mem_free(part);
}

/* One millisecond before its time nothing has happened. */
static void check_cut_after(struct fixture *f, struct http_client *c, const char *phase,
                            int64_t ms_left)
{
    fixture_advance(f, ms_left - 1);
    assert_int_equal(f->refused, 0);
    assert_true(timeouts(f, phase) == 0);
    fixture_advance(f, 1);
    assert_true(timeouts(f, phase) == 1);
    assert_int_equal(f->refused, 1);
    assert_int_equal(f->requests, 0);
    check_reply(c, 408, "{\"code\":\"request_timeout\"}");
}

static void a_head_that_drips_in_is_cut_with_408(void **state)
{
    struct fixture *f = *state;
    struct http_client c;
    enum { EACH_MS = LIMIT_HEADER_MS / 10 - 1 };
    int64_t left_ms = LIMIT_HEADER_MS;
    http_connect(&c, f->port);
    fixture_advance(f, 5000);                     /* not counted: the head has not begun */
    for (const char *p = "GET / HTTP"; *p; p++) { /* each byte is in time; the head is not */
        fixture_feed(f, &c, p, 1);
        fixture_advance(f, EACH_MS);
        left_ms -= EACH_MS;
    }
    check_cut_after(f, &c, "header", left_ms);
    http_close(&c);
}

static void a_body_that_stops_is_cut_with_408(void **state)
{
    struct fixture *f = *state;
    struct http_client c;
    http_connect(&c, f->port);
    fixture_feeds(f, &c, POST("/echo") "Content-Length: 100000\r\n\r\n");
    feed_filler(f, &c, (size_t)LIMIT_BODY_MIN_RATE * LIMIT_BODY_MS / 1000); /* fast, on average */
    check_cut_after(f, &c, "body", LIMIT_BODY_MS);
    http_close(&c);
}

static void a_body_below_the_minimum_rate_is_cut_before_its_time(void **state)
{
    struct fixture *f = *state;
    struct http_client c;
    int64_t left_ms = RATE_FROM_MS;
    http_connect(&c, f->port);
    fixture_feeds(f, &c, POST("/echo") "Content-Length: 100000\r\n\r\n");
    for (; left_ms > 100; left_ms -= 100) { /* a little too slow, and never silent */
        feed_filler(f, &c, (LIMIT_BODY_MIN_RATE - 1) / 10);
        fixture_advance(f, 100);
    }
    check_cut_after(f, &c, "body", left_ms);
    http_close(&c);
}

static void a_body_that_grows_slow_is_cut_at_the_next_look(void **state)
{
    struct fixture *f = *state;
    struct http_client c;
    http_connect(&c, f->port);
    fixture_feeds(f, &c, POST("/echo") "Content-Length: 100000\r\n\r\n");
    feed_filler(f, &c, (size_t)LIMIT_BODY_MIN_RATE * RATE_FROM_MS / 1000);
    fixture_advance(f, RATE_FROM_MS);
    check_cut_after(f, &c, "body", RATE_FROM_MS);
    http_close(&c);
}

static void a_body_that_is_fast_enough_but_endless_is_cut(void **state)
{
    struct fixture *f = *state;
    struct http_client c;
    int64_t left_ms = LIMIT_BODY_MS;
    http_connect(&c, f->port);
    fixture_feeds(f, &c, POST("/echo") "Content-Length: 1000000\r\n\r\n");
    for (; left_ms > 1000; left_ms -= 1000) {
        feed_filler(f, &c, 10000);
        fixture_advance(f, 1000);
    }
    check_cut_after(f, &c, "body", left_ms);
    http_close(&c);
}

static void a_body_above_the_minimum_rate_may_take_its_time(void **state)
{
    struct fixture *f = *state;
    struct http_client c;
    enum { SECONDS = LIMIT_BODY_MS / 1000 - 1 };
    char head[128];
    http_connect(&c, f->port);
    snprintf(head, sizeof head, POST("/echo") "Content-Length: %d\r\n\r\n",
             LIMIT_BODY_MIN_RATE * SECONDS);
    fixture_feeds(f, &c, head);
    for (int i = 0; i < SECONDS; i++) {
        feed_filler(f, &c, LIMIT_BODY_MIN_RATE);
        fixture_advance(f, i + 1 < SECONDS ? 1000 : 999);
    }
    check_reply(&c, 200, NULL);
    http_close(&c);
}

static void an_idle_connection_is_closed_without_a_word(void **state)
{
    struct fixture *f = *state;
    struct http_client c, fresh;
    http_connect(&c, f->port);
    http_connect(&fresh, f->port);
    assert_true(wait_scraped(f, "qmn_net_connections", 2));
    assert_true(http_sends(&c, GET("/peer")));
    check_reply(&c, 200, NULL);
    fixture_settle(f);
    fixture_advance(f, LIMIT_IDLE_MS - 1);
    assert_true(scraped(f, "qmn_net_connections") == 2);
    fixture_advance(f, 1);
    assert_true(scraped(f, "qmn_net_connections") == 0);
    assert_true(http_closed(&c));
    assert_true(http_closed(&fresh));
    assert_true(timeouts(f, "idle") == 2);
    assert_int_equal(f->refused, 0);
    http_close(&c);
    http_close(&fresh);
}

static void a_busy_connection_outlives_the_idle_time(void **state)
{
    struct fixture *f = *state;
    struct http_client c;
    http_connect(&c, f->port);
    for (int i = 0; i < 6; i++) {
        fixture_feeds(f, &c, GET("/peer"));
        check_reply(&c, 200, NULL);
        fixture_advance(f, LIMIT_IDLE_MS - 1);
    }
    fixture_feeds(f, &c, GET("/wait/200000"));
    assert_int_equal(f->parked, 1);
    fixture_advance(f, 2 * LIMIT_IDLE_MS); /* nor does it run while the handler works */
    fixture_release(f);
    check_reply(&c, 200, "released");
    assert_true(timeouts(f, "idle") == 0);
    http_close(&c);
}

/* How much two sockets hold, and when they tell, is the kernel's affair: no exact times here. */
static void a_reader_that_takes_nothing_is_cut(void **state)
{
    struct fixture *f = *state;
    struct http_client c;
    int64_t waited_ms = 0;
    fixture_open(f, &c, GET("/big/60000000"));
    assert_true(wait_scraped_above(f, "qmn_net_held_bytes", 0));
    for (; timeouts(f, "write") == 0 && waited_ms < 10 * LIMIT_WRITE_MS; waited_ms += 1000)
        fixture_advance(f, 1000);
    assert_true(timeouts(f, "write") == 1);
    assert_true(waited_ms >= LIMIT_WRITE_MS);
    assert_true(wait_scraped(f, "qmn_net_connections", 0));
    assert_true(wait_scraped(f, "qmn_net_held_bytes", 0));
    http_close(&c);
}

static void a_slow_but_steady_reader_gets_everything(void **state)
{
    enum { BIG = 60000000, BITE = 100000 };
    static const char sent[] = "qmn_net_sent_bytes_total", held[] = "qmn_net_held_bytes";
    struct fixture *f = *state;
    struct http_client c;
    size_t want = 0;
    int pauses = 0;
    fixture_open(f, &c, GET("/big/60000000"));
    assert_true(wait_scraped_above(f, held, 0));
    for (; scraped(f, held) > 0; pauses++) {
        double before = scraped(f, sent);
        while (scraped(f, sent) == before && scraped(f, held) > 0) { /* until it can go on */
            want = want + BITE < BIG ? want + BITE : BIG;
            assert_true(http_wait_bytes(&c, want));
        }
        fixture_settle(f);
        fixture_advance(f, LIMIT_WRITE_MS - 1);
    }
    assert_true(pauses > 1);
    assert_true(timeouts(f, "write") == 0);
    struct http_reply r;
    http_get_reply(&c, &r);
    assert_int_equal(r.body.len, BIG);
    http_reply_release(&r);
    http_close(&c);
}

static void connections_beyond_the_limit_are_turned_away(void **state)
{
    struct fixture f;
    struct http_client c[3], more;
    struct http_reply r;
    char value[16];
    (void)state;
    fixture_start(&f, three_connections);
    for (int i = 0; i < 3; i++)
        http_connect(&c[i], f.port);
    assert_true(wait_scraped(&f, "qmn_net_connections", 3));
    http_connect(&more, f.port);
    http_get_reply(&more, &r);
    assert_int_equal(r.status, 503);
    assert_true(r.close);
    assert_string_equal(http_reply_header(&r, "Retry-After", value, sizeof value), "1");
    assert_string_equal(r.body.ptr, "{\"code\":\"overloaded\"}");
    http_reply_release(&r);
    assert_true(http_closed(&more));
    http_close(&more);
    assert_true(scraped(&f, "qmn_net_refused_total{reason=\"overloaded\"}") == 1);
    http_close(&c[0]);
    assert_true(wait_scraped(&f, "qmn_net_connections", 2));
    fixture_open(&f, &more, GET("/peer"));
    check_reply(&more, 200, NULL);
    http_close(&more);
    http_close(&c[1]);
    http_close(&c[2]);
    fixture_stop(&f);
}

static void three_each(struct server_config *c)
{
    c->max_per_peer = 3;
    c->loops = 2; /* whichever accepts, and whoever gets it */
}

static void connect_from(struct http_client *c, uint16_t port, uint32_t address)
{
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(address)};
    http_prepare(c);
    assert_int_equal(bind(c->fd, (struct sockaddr *)&from, sizeof from), 0);
    assert_true(http_connect_prepared(c, port));
}

static void a_peer_has_no_more_than_its_share_of_connections(void **state)
{
    static const char refused[] = "qmn_net_refused_total{reason=\"peer_connections\"}";
    struct fixture f;
    struct http_client c[3], more, other;
    struct http_reply r;
    char value[16];
    (void)state;
    fixture_start(&f, three_each);
    for (int i = 0; i < 3; i++)
        http_connect(&c[i], f.port);
    assert_true(wait_scraped(&f, "qmn_net_connections", 3));
    for (int i = 1; i <= 5; i++) {
        http_connect(&more, f.port);
        http_get_reply(&more, &r);
        assert_int_equal(r.status, 503);
        assert_true(r.close);
        assert_string_equal(http_reply_header(&r, "Retry-After", value, sizeof value), "1");
        assert_string_equal(r.body.ptr, "{\"code\":\"overloaded\"}");
        http_reply_release(&r);
        assert_true(http_closed(&more));
        http_close(&more);
        assert_true(scraped(&f, refused) == i);
    }
    assert_true(scraped(&f, "qmn_net_connections") == 3);
    connect_from(&other, f.port, INADDR_LOOPBACK + 1); /* has a share of its own */
    assert_true(http_sends(&other, GET("/peer")));
    check_reply(&other, 200, "127.0.0.2");
    http_close(&c[0]); /* makes room */
    assert_true(wait_scraped(&f, "qmn_net_connections", 3));
    fixture_open(&f, &more, GET("/peer"));
    check_reply(&more, 200, "127.0.0.1");
    assert_true(scraped(&f, refused) == 5);
    http_close(&more);
    http_close(&other);
    http_close(&c[1]);
    http_close(&c[2]);
    fixture_stop(&f);
}

/* ---- descriptors ---- */

static struct rlimit old_limit;

/* No new descriptor may be had, but for `spare` numbers. */
static void limit_descriptors(int spare)
{
    int lowest = fcntl(0, F_DUPFD_CLOEXEC, 0);
    assert_true(lowest >= 0);
    close(lowest);
    getrlimit(RLIMIT_NOFILE, &old_limit);
    struct rlimit l = {.rlim_cur = (rlim_t)(spare < 0 ? 0 : lowest + spare),
                       .rlim_max = old_limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &l), 0);
}

static void unlimit_descriptors(void)
{
    setrlimit(RLIMIT_NOFILE, &old_limit);
}

static void out_of_descriptors_clients_are_shed_not_left_hanging(void **state)
{
    enum { N = 20 };
    struct fixture f;
    struct http_client c[N];
    (void)state;
    fixture_start(&f, NULL);
    fixture_settle(&f);
    for (int i = 0; i < N; i++)
        http_prepare(&c[i]);
    limit_descriptors(0);
    int before = f.rounds;
    for (int i = 0; i < N; i++) {
        assert_true(http_connect_prepared(&c[i], f.port));
        check_reply(&c[i], 503, "{\"code\":\"overloaded\"}");
    }
    int rounds = f.rounds - before;
    unlimit_descriptors();
    assert_true(rounds <= 3 * N); /* it does not spin */
    assert_true(scraped(&f, "qmn_net_refused_total{reason=\"overloaded\"}") == N);
    for (int i = 0; i < N; i++)
        http_close(&c[i]);
    fixture_open(&f, &c[0], GET("/peer"));
    check_reply(&c[0], 200, NULL);
    http_close(&c[0]);
    fixture_stop(&f);
}

static void without_even_a_spare_descriptor_accepting_pauses(void **state)
{
    struct fixture f;
    struct http_client c;
    (void)state;
    fixture_start(&f, NULL);
    fixture_settle(&f);
    http_prepare(&c);
    limit_descriptors(-1);
    int before = f.rounds;
    assert_true(http_connect_prepared(&c, f.port));
    assert_true(wait_for(&f.rounds, before + 1));
    fixture_settle(&f);
    before = f.rounds;
    for (int i = 0; i < 100; i++) /* nothing to wait for: it would spin */
        a_moment();
    int rounds = f.rounds - before;
    unlimit_descriptors();
    assert_int_equal(rounds, 0);
    assert_true(http_sends(&c, GET("/peer")));
    fixture_advance(&f, ACCEPT_PAUSE_MS - 1);
    assert_true(scraped(&f, "qmn_net_accepted_total") == 0);
    fixture_advance(&f, 1);
    check_reply(&c, 200, NULL); /* the one that waited in the backlog */
    http_close(&c);
    fixture_stop(&f);
}

/* ---- memory ---- */

static size_t resident_bytes(void)
{
    char text[128] = "";
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    assert_true(n > 0);
    char *second = strchr(text, ' ');
    return strtoul(second, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

static void ask_large(struct http_client *c, const char *body, size_t len)
{
    assert_true(http_sends(c, POST("/echo") "Content-Length: 37000\r\n\r\n"));
    assert_true(http_send(c, body, len));
    check_reply(c, 200, NULL);
    buf_release(&c->in);
}

static void an_idle_connection_costs_little(void **state)
{
    enum { N = 1000, BODY = 37000 };
    struct fixture f;
    struct rlimit l;
    (void)state;
    mallopt(M_ARENA_MAX, 1); /* one heap, so that mallinfo2 sees the loop's share */
    getrlimit(RLIMIT_NOFILE, &l);
    l.rlim_cur = l.rlim_max;
    setrlimit(RLIMIT_NOFILE, &l);
    fixture_start(&f, NULL);
    struct http_client *c = mem_calloc(N, sizeof *c);
    char *body = mem_calloc(1, BODY);
    http_connect(&c[0], f.port);
    ask_large(&c[0], body, BODY);
    size_t heap = mallinfo2().uordblks, resident = resident_bytes();
    for (int i = 1; i < N; i++) {
        http_connect(&c[i], f.port);
        ask_large(&c[i], body, BODY);
    }
    assert_true(wait_scraped(&f, "qmn_net_connections", N));
    assert_true(wait_scraped(&f, "qmn_net_held_bytes", 0));
    size_t each = (mallinfo2().uordblks - heap) / N;
    size_t each_resident = (resident_bytes() - resident) / N;
    print_message("# an idle connection: %zu bytes of heap, %zu resident\n", each, each_resident);
    assert_true(each < 4096);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    assert_true(each_resident < 20000);
#endif
    for (int i = 0; i < N; i++)
        http_close(&c[i]);
    mem_free(c);
    mem_free(body);
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_head_that_drips_in_is_cut_with_408),
        FIXTURE_TEST(a_body_that_stops_is_cut_with_408),
        FIXTURE_TEST(a_body_below_the_minimum_rate_is_cut_before_its_time),
        FIXTURE_TEST(a_body_that_grows_slow_is_cut_at_the_next_look),
        FIXTURE_TEST(a_body_that_is_fast_enough_but_endless_is_cut),
        FIXTURE_TEST(a_body_above_the_minimum_rate_may_take_its_time),
        FIXTURE_TEST(an_idle_connection_is_closed_without_a_word),
        FIXTURE_TEST(a_busy_connection_outlives_the_idle_time),
        FIXTURE_TEST(a_reader_that_takes_nothing_is_cut),
        FIXTURE_TEST(a_slow_but_steady_reader_gets_everything),
        cmocka_unit_test(connections_beyond_the_limit_are_turned_away),
        cmocka_unit_test(a_peer_has_no_more_than_its_share_of_connections),
        cmocka_unit_test(out_of_descriptors_clients_are_shed_not_left_hanging),
        cmocka_unit_test(without_even_a_spare_descriptor_accepting_pauses),
        cmocka_unit_test(an_idle_connection_costs_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
