/* SPDX-License-Identifier: MIT
 *
 * Clients that are slow, too many, or never let go; and what an idle one costs. */
#include "fixture.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/mem.h"

#define GET(path)  "GET " path " HTTP/1.1\r\nHost: t\r\n\r\n"
#define POST(path) "POST " path " HTTP/1.1\r\nHost: t\r\n"

enum { SHORT_MS = 300, SLACK_MS = 2000 };

static void shorten(struct server_config *c)
{
    c->header_timeout_ms = c->body_timeout_ms = SHORT_MS;
    c->idle_timeout_ms = c->write_timeout_ms = SHORT_MS;
}

static void long_body(struct server_config *c)
{
    c->body_timeout_ms = 6000; /* so the rate counts from 1 s on */
}

static void three_connections(struct server_config *c)
{
    c->max_connections = 3;
}

static void a_head_that_drips_in_is_cut_with_408(void **state)
{
    struct fixture f;
    struct http_client c;
    (void)state;
    fixture_start(&f, shorten);
    http_connect(&c, f.port);
    int64_t start = now_ms();
    for (const char *p = "GET / HTTP"; *p; p++) { /* each byte is in time; the head is not */
        assert_true(http_send(&c, p, 1));
        sleep_ms(20);
    }
    check_reply(&c, 408, "{\"code\":\"request_timeout\"}");
    int64_t took = now_ms() - start;
    assert_true(took >= SHORT_MS - 10 && took < SHORT_MS + SLACK_MS);
    assert_true(scraped(&f, "qmn_net_timeouts_total{phase=\"header\"}") == 1);
    assert_int_equal(f.requests, 0);
    http_close(&c);
    fixture_stop(&f);
}

static void a_body_that_stops_is_cut_with_408(void **state)
{
    struct fixture f;
    struct http_client c;
    (void)state;
    fixture_start(&f, shorten);
    http_connect(&c, f.port);
    int64_t start = now_ms();
    assert_true(http_sends(&c, POST("/echo") "Content-Length: 100000\r\n\r\nabc"));
    check_reply(&c, 408, NULL);
    assert_true(now_ms() - start < SHORT_MS + SLACK_MS);
    assert_true(scraped(&f, "qmn_net_timeouts_total{phase=\"body\"}") == 1);
    http_close(&c);
    fixture_stop(&f);
}

static void a_body_below_the_minimum_rate_is_cut_before_its_time(void **state)
{
    struct fixture f;
    struct http_client c;
    (void)state;
    fixture_start(&f, long_body);
    http_connect(&c, f.port);
    int64_t start = now_ms();
    assert_true(http_sends(&c, POST("/echo") "Content-Length: 1000\r\n\r\n"));
    while (now_ms() - start < 5000) { /* 100 bytes a second, and never silent */
        if (!http_sends(&c, "xx"))
            break;
        sleep_ms(20);
        if (scraped(&f, "qmn_net_timeouts_total{phase=\"body\"}") > 0)
            break;
    }
    assert_true(now_ms() - start < 4000);
    check_reply(&c, 408, NULL);
    http_close(&c);
    fixture_stop(&f);
}

static void a_body_that_is_fast_enough_but_endless_is_cut(void **state)
{
    struct fixture f;
    struct http_client c;
    char part[100];
    (void)state;
    fixture_start(&f, shorten);
    http_connect(&c, f.port);
    memset(part, 'x', sizeof part);
    int64_t start = now_ms();
    assert_true(http_sends(&c, POST("/echo") "Content-Length: 1000000\r\n\r\n"));
    while (now_ms() - start < 3000 && http_send(&c, part, sizeof part)) {
        sleep_ms(10); /* 10,000 bytes a second */
        if (scraped(&f, "qmn_net_timeouts_total{phase=\"body\"}") > 0)
            break;
    }
    assert_in_range(now_ms() - start, SHORT_MS - 10, 2000);
    check_reply(&c, 408, NULL);
    http_close(&c);
    fixture_stop(&f);
}

static void a_body_above_the_minimum_rate_may_take_its_time(void **state)
{
    struct fixture f;
    struct http_client c;
    (void)state;
    fixture_start(&f, long_body);
    http_connect(&c, f.port);
    assert_true(http_sends(&c, POST("/echo") "Content-Length: 2000\r\n\r\n"));
    char part[100];
    memset(part, 'x', sizeof part);
    for (int i = 0; i < 20; i++) { /* 1,000 bytes a second for 2 s */
        assert_true(http_send(&c, part, sizeof part));
        sleep_ms(100);
    }
    check_reply(&c, 200, NULL);
    http_close(&c);
    fixture_stop(&f);
}

static void an_idle_connection_is_closed_without_a_word(void **state)
{
    struct fixture f;
    struct http_client c, fresh;
    (void)state;
    fixture_start(&f, shorten);
    http_connect(&c, f.port);
    http_connect(&fresh, f.port);
    assert_true(http_sends(&c, GET("/peer")));
    check_reply(&c, 200, NULL);
    assert_true(http_closed_within(&c, SHORT_MS + SLACK_MS));
    assert_true(http_closed_within(&fresh, SHORT_MS + SLACK_MS));
    assert_true(scraped(&f, "qmn_net_timeouts_total{phase=\"idle\"}") == 2);
    assert_int_equal(f.refused, 0);
    http_close(&c);
    http_close(&fresh);
    fixture_stop(&f);
}

static void a_busy_connection_outlives_the_idle_time(void **state)
{
    struct fixture f;
    struct http_client c;
    (void)state;
    fixture_start(&f, shorten);
    http_connect(&c, f.port);
    for (int i = 0; i < 6; i++) {
        assert_true(http_sends(&c, GET("/peer")));
        check_reply(&c, 200, NULL);
        sleep_ms(SHORT_MS / 2);
    }
    assert_true(http_sends(&c, GET("/park")));
    assert_true(wait_for(&f.parked, 1));
    sleep_ms(2 * SHORT_MS); /* nor does a deadline of ours run while the handler works */
    fixture_release(&f);
    check_reply(&c, 200, "released");
    http_close(&c);
    fixture_stop(&f);
}

static void a_reader_that_takes_nothing_is_cut(void **state)
{
    struct fixture f;
    struct http_client c;
    (void)state;
    fixture_start(&f, shorten);
    http_connect(&c, f.port);
    assert_true(http_sends(&c, GET("/big/60000000")));
    assert_true(wait_scraped(&f, "qmn_net_timeouts_total{phase=\"write\"}", 1));
    assert_true(wait_scraped(&f, "qmn_net_connections", 0));
    assert_true(wait_scraped(&f, "qmn_net_held_bytes", 0));
    http_close(&c);
    fixture_stop(&f);
}

static void a_slow_but_steady_reader_gets_everything(void **state)
{
    enum { BIG = 20000000 };
    struct fixture f;
    struct http_client c;
    (void)state;
    fixture_start(&f, shorten);
    http_connect(&c, f.port);
    assert_true(http_sends(&c, GET("/big/20000000")));
    for (size_t want = 500000; want < BIG; want += 500000) { /* 1.5 s: five write time-outs */
        assert_true(http_wait_bytes(&c, want));
        sleep_ms(40);
    }
    struct http_reply r;
    http_get_reply(&c, &r);
    assert_int_equal(r.body.len, BIG);
    http_reply_release(&r);
    http_close(&c);
    fixture_stop(&f);
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
    http_reply_release(&r);
    assert_true(http_closed_within(&more, 3000));
    http_close(&more);
    assert_true(scraped(&f, "qmn_net_refused_total{reason=\"overloaded\"}") == 1);
    http_close(&c[0]);
    assert_true(wait_scraped(&f, "qmn_net_connections", 2));
    http_connect(&more, f.port);
    assert_true(http_sends(&more, GET("/peer")));
    check_reply(&more, 200, NULL);
    http_close(&more);
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
    sleep_ms(20);
    for (int i = 0; i < N; i++)
        http_prepare(&c[i]);
    limit_descriptors(0);
    int before = f.rounds;
    for (int i = 0; i < N; i++) {
        assert_true(http_connect_prepared(&c[i], f.port));
        check_reply(&c[i], 503, "");
    }
    int rounds = f.rounds - before;
    unlimit_descriptors();
    assert_true(rounds <= 3 * N); /* it does not spin */
    assert_true(scraped(&f, "qmn_net_refused_total{reason=\"overloaded\"}") == N);
    for (int i = 0; i < N; i++)
        http_close(&c[i]);
    http_connect(&c[0], f.port);
    assert_true(http_sends(&c[0], GET("/peer")));
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
    http_prepare(&c);
    limit_descriptors(-1);
    int before = f.rounds;
    assert_true(http_connect_prepared(&c, f.port));
    sleep_ms(500);
    int rounds = f.rounds - before;
    unlimit_descriptors();
    assert_true(rounds >= 1 && rounds <= 20); /* every 100 ms, not as fast as it can */
    assert_true(http_sends(&c, GET("/peer")));
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
        cmocka_unit_test(a_head_that_drips_in_is_cut_with_408),
        cmocka_unit_test(a_body_that_stops_is_cut_with_408),
        cmocka_unit_test(a_body_below_the_minimum_rate_is_cut_before_its_time),
        cmocka_unit_test(a_body_that_is_fast_enough_but_endless_is_cut),
        cmocka_unit_test(a_body_above_the_minimum_rate_may_take_its_time),
        cmocka_unit_test(an_idle_connection_is_closed_without_a_word),
        cmocka_unit_test(a_busy_connection_outlives_the_idle_time),
        cmocka_unit_test(a_reader_that_takes_nothing_is_cut),
        cmocka_unit_test(a_slow_but_steady_reader_gets_everything),
        cmocka_unit_test(connections_beyond_the_limit_are_turned_away),
        cmocka_unit_test(out_of_descriptors_clients_are_shed_not_left_hanging),
        cmocka_unit_test(without_even_a_spare_descriptor_accepting_pauses),
        cmocka_unit_test(an_idle_connection_costs_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
