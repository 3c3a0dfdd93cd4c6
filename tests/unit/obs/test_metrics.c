/* SPDX-License-Identifier: MIT
 *
 * The registry: its text, and counting from many threads. */
#include "support/test.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "obs/metrics.h"
#include "support/fault.h"

enum { THREADS = 12, ROUNDS = 20000 };

static double answer(void *ctx)
{
    return *(double *)ctx;
}

static struct buf expose(struct metrics *m)
{
    struct buf out;
    buf_init(&out, 1 << 20);
    metrics_expose(m, &out);
    assert_true(buf_ok(&out));
    return out;
}

static void the_text_is_the_prometheus_format(void **state)
{
    (void)state;
    struct metrics *m = metrics_new();
    double computed = 0.1;
    const double bounds[] = {0.001, 0.25, 10};
    counter_add(metrics_counter(m, "a_total", "Line one\nand a \\", "code=\"200\""), 3);
    struct histogram *h = metrics_histogram(m, "h_seconds", "Times", "route=\"x\"", bounds, 3);
    gauge_set(metrics_gauge(m, "g", "Level", ""), -2.5);
    metrics_gauge_fn(m, "f", "Computed", "", answer, &computed);
    counter_add(metrics_counter(m, "a_total", "Line one\nand a \\", "code=\"404\""),
                18446744073709551615u);
    histogram_observe(h, 0.001);
    histogram_observe(h, 0.2);
    histogram_observe(h, 0.25);
    histogram_observe(h, 11);
    struct buf out = expose(m);
    assert_bytes_equal(buf_bytes(&out), "# HELP a_total Line one\\nand a \\\\\n"
                                        "# TYPE a_total counter\n"
                                        "a_total{code=\"200\"} 3\n"
                                        "a_total{code=\"404\"} 18446744073709551615\n"
                                        "# HELP h_seconds Times\n"
                                        "# TYPE h_seconds histogram\n"
                                        "h_seconds_bucket{route=\"x\",le=\"0.001\"} 1\n"
                                        "h_seconds_bucket{route=\"x\",le=\"0.25\"} 3\n"
                                        "h_seconds_bucket{route=\"x\",le=\"10\"} 3\n"
                                        "h_seconds_bucket{route=\"x\",le=\"+Inf\"} 4\n"
                                        "h_seconds_sum{route=\"x\"} 11.451\n"
                                        "h_seconds_count{route=\"x\"} 4\n"
                                        "# HELP g Level\n"
                                        "# TYPE g gauge\n"
                                        "g -2.5\n"
                                        "# HELP f Computed\n"
                                        "# TYPE f gauge\n"
                                        "f 0.1\n");
    buf_release(&out);
    metrics_free(m);
}

static void numbers_without_digits_have_their_names(void **state)
{
    (void)state;
    struct metrics *m = metrics_new();
    gauge_set(metrics_gauge(m, "a", "A", ""), NAN);
    gauge_set(metrics_gauge(m, "b", "B", ""), INFINITY);
    gauge_set(metrics_gauge(m, "c", "C", ""), -INFINITY);
    gauge_set(metrics_gauge(m, "d", "D", ""), 1e300);
    struct buf out = expose(m);
    buf_addc(&out, 0);
    assert_non_null(strstr(out.ptr, "\na NaN\n"));
    assert_non_null(strstr(out.ptr, "\nb +Inf\n"));
    assert_non_null(strstr(out.ptr, "\nc -Inf\n"));
    assert_non_null(strstr(out.ptr, "\nd 1e+300\n"));
    buf_release(&out);
    metrics_free(m);
}

static void the_same_name_and_labels_are_one_series(void **state)
{
    (void)state;
    struct metrics *m = metrics_new();
    struct counter *a = metrics_counter(m, "a_total", "A", "x=\"1\"");
    assert_non_null(a);
    assert_ptr_equal(metrics_counter(m, "a_total", "A", "x=\"1\""), a);
    assert_ptr_not_equal(metrics_counter(m, "a_total", "A", "x=\"2\""), a);
    assert_null(metrics_gauge(m, "a_total", "A", "x=\"1\"")); /* another type */
    metrics_free(m);
}

static void descending_or_too_many_bounds_are_refused(void **state)
{
    (void)state;
    struct metrics *m = metrics_new();
    const double down[] = {2, 1};
    double many[25];
    for (int i = 0; i < 25; i++)
        many[i] = i;
    assert_null(metrics_histogram(m, "a", "A", "", down, 2));
    assert_null(metrics_histogram(m, "b", "B", "", many, 25));
    assert_non_null(metrics_histogram(m, "c", "C", "", many, 24));
    assert_non_null(
        metrics_histogram(m, "d", "D", "", metrics_latency_bounds, metrics_latency_bound_count));
    metrics_free(m);
}

static void everything_accepts_nothing(void **state)
{
    (void)state;
    counter_add(NULL, 1);
    gauge_set(NULL, 1);
    gauge_add(NULL, 1);
    histogram_observe(NULL, 1);
    assert_int_equal(counter_value(NULL), 0);
    assert_null(metrics_counter(NULL, "a", "A", ""));
    metrics_gauge_fn(NULL, "a", "A", "", answer, NULL);
    metrics_expose(NULL, NULL);
    metrics_free(NULL);
}

struct shared {
    struct metrics *m;
    struct counter *c;
    struct gauge *g;
    struct histogram *h;
};

static void *count(void *arg)
{
    struct shared *s = arg;
    for (int i = 0; i < ROUNDS; i++) {
        counter_add(s->c, 1);
        gauge_add(s->g, i % 2 ? -1 : 1);
        histogram_observe(s->h, i % 3);
        if (i % 1000 == 0) {
            counter_add(metrics_counter(s->m, "late_total", "Made by all", ""), 1);
            struct buf out;
            buf_init(&out, 1 << 16);
            metrics_expose(s->m, &out);
            buf_release(&out);
        }
    }
    return NULL;
}

static void no_count_of_any_thread_is_lost(void **state)
{
    (void)state;
    const double bounds[] = {0, 1};
    pthread_t threads[THREADS];
    struct shared s = {.m = metrics_new()};
    s.c = metrics_counter(s.m, "c_total", "C", "");
    s.g = metrics_gauge(s.m, "g", "G", "");
    s.h = metrics_histogram(s.m, "h", "H", "", bounds, 2);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count, &s), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(counter_value(s.c), THREADS * ROUNDS);
    assert_true(gauge_value(s.g) == 0);
    assert_int_equal(counter_value(metrics_counter(s.m, "late_total", "", "")),
                     THREADS * ROUNDS / 1000);
    struct buf out = expose(s.m);
    char want[64];
    buf_addc(&out, 0);
    snprintf(want, sizeof want, "\nh_count %d\n", THREADS * ROUNDS);
    assert_non_null(strstr(out.ptr, want));
    buf_release(&out);
    metrics_free(s.m);
}

static void a_failed_allocation_leaves_the_registry_whole(void **state)
{
    (void)state;
    struct metrics *m = metrics_new();
    for (unsigned n = 1;; n++) {
        char name[32];
        snprintf(name, sizeof name, "h%u", n);
        fault_arm(n);
        struct histogram *h = metrics_histogram(m, name, "H", "a=\"b\"", metrics_latency_bounds, 5);
        if (!fault_disarm()) {
            assert_non_null(h);
            break;
        }
        assert_null(h);
        assert_non_null(metrics_histogram(m, name, "H", "a=\"b\"", metrics_latency_bounds, 5));
        struct buf out = expose(m);
        buf_release(&out);
    }
    metrics_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_text_is_the_prometheus_format),
        cmocka_unit_test(numbers_without_digits_have_their_names),
        cmocka_unit_test(the_same_name_and_labels_are_one_series),
        cmocka_unit_test(descending_or_too_many_bounds_are_refused),
        cmocka_unit_test(everything_accepts_nothing),
        cmocka_unit_test(no_count_of_any_thread_is_lost),
        cmocka_unit_test(a_failed_allocation_leaves_the_registry_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
