/* SPDX-License-Identifier: MIT
 *
 * The histogram of the load generator against sorting. */
#include "support/test.h"

#include <stdlib.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentiles_are_within_a_64th),
        cmocka_unit_test(small_values_are_exact),
        cmocka_unit_test(an_empty_histogram_says_zero),
        cmocka_unit_test(a_huge_value_stays_in_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
