/* SPDX-License-Identifier: MIT
 *
 * The histogram of the load generator against sorting, and its account of a run against a server
 * that answers slowly or not as wished. */
#include "support/test.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/rng.h"
#include "client/load.h"

enum { N = 20000 };

static int compare(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void percentiles_are_within_a_64th(void **state)
{
    (void)state;
    static uint64_t values[N];
    static struct load_histogram h;
    static const double parts[] = {0.01, 0.5, 0.9, 0.95, 0.99, 0.999};
    struct rng rng;
    rng_seed(&rng, 1);
    for (size_t i = 0; i < N; i++) {
        /* From microseconds to an hour. */
        values[i] = rng_next(&rng) >> (32 + rng_below(&rng, 31));
        load_histogram_add(&h, values[i]);
    }
    qsort(values, N, sizeof values[0], compare);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        double exact = (double)values[(size_t)(parts[i] * N + 0.5) - 1];
        double got = (double)load_histogram_at(&h, parts[i]);
        assert_true(got >= exact && got <= exact * (1 + 1.0 / 64) + 1);
    }
    assert_int_equal(load_histogram_at(&h, 1), values[N - 1]);
}

static void small_values_are_exact(void **state)
{
    (void)state;
    static struct load_histogram h;
    for (uint64_t v = 0; v < 128; v++)
        load_histogram_add(&h, v);
    assert_int_equal(load_histogram_at(&h, 0.5), 63);
    assert_int_equal(h.max, 127);
}

static void an_empty_histogram_says_zero(void **state)
{
    (void)state;
    static struct load_histogram h;
    assert_int_equal(load_histogram_at(&h, 0.95), 0);
}

static void a_huge_value_stays_in_the_table(void **state)
{
    (void)state;
    static struct load_histogram h;
    load_histogram_add(&h, UINT64_MAX);
    assert_int_equal(h.total, 1);
    assert_true(load_histogram_at(&h, 0.5) > 0);
}

/* ---- runs ---- */

#define OK_ANSWER   "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define BUSY_ANSWER "HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
#define BAD_ANSWER  "HTTP/1.1 503 Bad\r\nContent-Length: 0\r\n\r\n"

/* One connection; the answers in turn, each after `each_us`. */
struct server {
    int listener;
    uint16_t port;
    const char *answers[3];
    int answer_count, answered;
    int64_t each_us;
    pthread_t thread;
};

static void *serve(void *arg)
{
    struct server *s = arg;
    int fd = accept(s->listener, NULL, NULL);
    char request[256];
    while (read(fd, request, sizeof request) > 0) { /* one at a time, and small */
        for (int64_t until = clock_mono_us() + s->each_us; clock_mono_us() < until;) {
        }
        const char *answer = s->answers[s->answered++ % s->answer_count];
        if (write(fd, answer, strlen(answer)) < 0)
            break;
    }
    close(fd);
    return NULL;
}

static void server_start(struct server *s)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->listener, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(s->listener, 1), 0);
    assert_int_equal(getsockname(s->listener, (struct sockaddr *)&at, &len), 0);
    s->port = ntohs(at.sin_port);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void make(void *ctx, uint64_t n, struct load_request *r)
{
    static const char head[] = "GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n";
    (void)ctx;
    (void)n;
    memcpy(r->head, head, sizeof head - 1);
    r->head_len = sizeof head - 1;
    r->body = BYTES_LIT("");
}

static void run(struct server *s, struct load_config k, struct load_result *ret)
{
    struct err err = {0};
    server_start(s);
    k.host = "127.0.0.1";
    k.port = s->port;
    k.connections = 1;
    k.make = make;
    assert_int_equal(load_run(&k, ret, &err), QMN_OK);
    pthread_join(s->thread, NULL);
    close(s->listener);
}

static void each_answer_counts_as_what_it_is(void **state)
{
    (void)state;
    static struct load_result r;
    struct server s = {.answers = {OK_ANSWER, BUSY_ANSWER, BAD_ANSWER}, .answer_count = 3};
    run(&s, (struct load_config){.requests = 30}, &r);
    assert_int_equal(r.done, 30);
    assert_int_equal(r.failed, 20);
    assert_int_equal(r.refused, 10); /* without Retry-After it is a failure */
    assert_int_equal(r.latency.total, 10);
    assert_int_equal(r.refusals.total, 10);
    assert_int_equal(r.worst_status, 503);
    assert_int_equal(r.unsent, 0);
}

static void what_is_too_late_is_never_sent_and_counted(void **state)
{
    (void)state;
    static struct load_result r;
    struct server s = {.answers = {OK_ANSWER}, .answer_count = 1, .each_us = 5000};
    run(&s, (struct load_config){.seconds = 0.5, .rate = 2000, .patience = 0.02}, &r);
    assert_int_equal(r.done + r.unsent, 1000);
    assert_int_equal(r.done, s.answered);
    assert_true(r.done > 0 && r.done <= 101); /* one in 5 ms at most */
}

static void without_patience_set_late_ones_are_sent_all_the_same(void **state)
{
    (void)state;
    static struct load_result r;
    struct server s = {.answers = {OK_ANSWER}, .answer_count = 1, .each_us = 2000};
    run(&s, (struct load_config){.requests = 100, .rate = 2000}, &r);
    assert_int_equal(r.done, 100);
    assert_int_equal(r.unsent, 0);
    assert_true(r.latency.max >= 100 * 2000 - 50000); /* from when it was due */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentiles_are_within_a_64th),
        cmocka_unit_test(small_values_are_exact),
        cmocka_unit_test(an_empty_histogram_says_zero),
        cmocka_unit_test(a_huge_value_stays_in_the_table),
        cmocka_unit_test(each_answer_counts_as_what_it_is),
        cmocka_unit_test(what_is_too_late_is_never_sent_and_counted),
        cmocka_unit_test(without_patience_set_late_ones_are_sent_all_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
