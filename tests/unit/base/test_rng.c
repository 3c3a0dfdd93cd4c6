/* SPDX-License-Identifier: MIT */
#include "support/test.h"

#include <math.h>
#include <pthread.h>

#include "base/rng.h"

static void a_seed_gives_the_published_sequence(void **state)
{
    (void)state;
    /* xoshiro256** from state {1, 2, 3, 4}: first outputs of the authors' reference code */
    static const uint64_t want[] = {11520, 0, 1509978240, 1215971899390074240};
    struct rng r = {{1, 2, 3, 4}};
    for (int i = 0; i < 4; i++)
        assert_true(rng_next(&r) == want[i]);
}

static void equal_seeds_agree_and_different_seeds_do_not(void **state)
{
    (void)state;
    struct rng a, b, c;
    rng_seed(&a, 42);
    rng_seed(&b, 42);
    rng_seed(&c, 43);
    int same = 0;
    for (int i = 0; i < 100; i++) {
        uint64_t x = rng_next(&a);
        assert_true(x == rng_next(&b));
        same += x == rng_next(&c);
    }
    assert_int_equal(same, 0);
}

static void a_zero_seed_is_not_stuck(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 0);
    assert_true(rng_next(&r) != rng_next(&r));
}

static void below_stays_in_bounds_and_is_even(void **state)
{
    (void)state;
    enum { DRAWS = 70000, SIDES = 7 };
    unsigned count[SIDES] = {0};
    struct rng r;
    rng_seed(&r, 3);
    for (int i = 0; i < DRAWS; i++) {
        uint32_t x = rng_below(&r, SIDES);
        assert_true(x < SIDES);
        count[x]++;
        assert_int_equal(rng_below(&r, 1), 0);
        assert_true(rng_below(&r, UINT32_MAX) < UINT32_MAX);
    }
    for (int i = 0; i < SIDES; i++) /* 10000 expected, standard deviation 93 */
        assert_in_range(count[i], 9500, 10500);
}

static void unit_covers_zero_to_one(void **state)
{
    (void)state;
    enum { DRAWS = 100000 };
    struct rng r;
    rng_seed(&r, 4);
    double sum = 0, low = 1, high = 0;
    for (int i = 0; i < DRAWS; i++) {
        double x = rng_unit(&r);
        assert_true(x >= 0 && x < 1);
        sum += x;
        low = fmin(low, x);
        high = fmax(high, x);
    }
    assert_true(fabs(sum / DRAWS - 0.5) < 0.005); /* standard error 0.0009 */
    assert_true(low < 0.001 && high > 0.999);
}

static void normal_has_mean_zero_and_variance_one(void **state)
{
    (void)state;
    enum { DRAWS = 100000 };
    struct rng r;
    rng_seed(&r, 5);
    double sum = 0, squares = 0;
    int beyond_two = 0;
    for (int i = 0; i < DRAWS; i++) {
        double x = rng_normal(&r);
        assert_true(isfinite(x));
        sum += x;
        squares += x * x;
        beyond_two += fabs(x) > 2;
    }
    assert_true(fabs(sum / DRAWS) < 0.02);               /* standard error 0.0032 */
    assert_true(fabs(squares / DRAWS - 1) < 0.03);       /* standard error 0.0045 */
    assert_in_range(beyond_two, 4550 - 350, 4550 + 350); /* 4.55%, standard deviation 66 */
}

static void secure_bytes_fill_exactly_what_was_asked(void **state)
{
    (void)state;
    unsigned char room[1024 + 2];
    static const size_t sizes[] = {0, 1, 16, 511, 512, 513, 1024};
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        size_t len = sizes[k];
        unsigned char seen[1024] = {0};
        for (int round = 0; round < 20; round++) { /* each byte differs from 0xaa sooner or later */
            memset(room, 0xaa, sizeof room);
            rng_secure(room + 1, len);
            assert_int_equal(room[0], 0xaa);
            assert_int_equal(room[len + 1], 0xaa);
            for (size_t i = 0; i < len; i++)
                seen[i] |= room[1 + i] != 0xaa;
        }
        for (size_t i = 0; i < len; i++)
            assert_int_equal(seen[i], 1);
    }
}

static void *draw(void *out)
{
    for (int i = 0; i < 100; i++)
        rng_secure((unsigned char *)out + i * 16, 16);
    return NULL;
}

static void threads_never_share_secure_bytes(void **state)
{
    (void)state;
    static unsigned char drawn[2][1600];
    pthread_t t[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&t[i], NULL, draw, drawn[i]), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
    for (int i = 0; i < 100; i++)
        for (int j = 0; j < 100; j++)
            assert_memory_not_equal(drawn[0] + i * 16, drawn[1] + j * 16, 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seed_gives_the_published_sequence),
        cmocka_unit_test(equal_seeds_agree_and_different_seeds_do_not),
        cmocka_unit_test(a_zero_seed_is_not_stuck),
        cmocka_unit_test(below_stays_in_bounds_and_is_even),
        cmocka_unit_test(unit_covers_zero_to_one),
        cmocka_unit_test(normal_has_mean_zero_and_variance_one),
        cmocka_unit_test(secure_bytes_fill_exactly_what_was_asked),
        cmocka_unit_test(threads_never_share_secure_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
