/* SPDX-License-Identifier: MIT
 *
 * The rate limit, against a token bucket counted the plain way. */
#include "support/test.h"

#include <pthread.h>

#include "base/rng.h"
#include "engine/control_priv.h"

enum { MINUTE_US = 60 * 1000 * 1000 };

static void a_slow_key_may_burst_ten_requests(void **state)
{
    (void)state;
    _Atomic int64_t tat = 0;
    int64_t now = 1000 * (int64_t)MINUTE_US;
    for (uint32_t i = 0; i < 10; i++) {
        struct rate_verdict v = rate_take(&tat, 6, now);
        assert_true(v.allowed);
        assert_int_equal(v.remaining, 9 - i);
    }
    struct rate_verdict v = rate_take(&tat, 6, now);
    assert_false(v.allowed);
    assert_int_equal(v.remaining, 0);
    assert_int_equal(v.retry_s, 10); /* six a minute */
    assert_int_equal(v.reset_s, 100);
}

static void a_fast_key_may_burst_ten_seconds_of_its_rate(void **state)
{
    (void)state;
    _Atomic int64_t tat = 0;
    int64_t now = 77;
    int allowed = 0;
    while (rate_take(&tat, 6000, now).allowed)
        allowed++;
    assert_int_equal(allowed, 1000);
}

static void what_was_refused_costs_nothing(void **state)
{
    (void)state;
    _Atomic int64_t tat = 0;
    int64_t now = 0;
    while (rate_take(&tat, 60, now).allowed) {
    }
    for (int i = 0; i < 1000; i++)
        assert_false(rate_take(&tat, 60, now).allowed);
    assert_false(rate_take(&tat, 60, now + 999999).allowed);
    assert_true(rate_take(&tat, 60, now + 1000000).allowed);
    assert_false(rate_take(&tat, 60, now + 1000000).allowed);
}

static void the_retry_advice_is_enough(void **state)
{
    (void)state;
    static const uint32_t rates[] = {1, 7, 60, 1000, 12345};
    for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
        _Atomic int64_t tat = 0;
        int64_t now = 12345678;
        struct rate_verdict v;
        while ((v = rate_take(&tat, rates[i], now)).allowed) {
        }
        assert_true(v.retry_s >= 1);
        assert_true(rate_take(&tat, rates[i], now + v.retry_s * INT64_C(1000000)).allowed);
    }
}

/* A bucket of `burst` tokens refilled at the rate, in exact integers: 1 token = 60,000,000 units.
 */
static void it_allows_what_a_token_bucket_allows(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 7);
    static const uint32_t rates[] = {60, 600, 6000, 30000}; /* intervals without remainder */
    for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
        int64_t rate = rates[i], burst = rate / 6 > 10 ? rate / 6 : 10;
        int64_t tokens = burst * MINUTE_US, now = 1;
        _Atomic int64_t tat = 0;
        for (int step = 0; step < 20000; step++) {
            int64_t waited = rng_below(&rng, 4) ? rng_below(&rng, 2 * MINUTE_US / rates[i]) : 0;
            now += waited;
            tokens += waited * rate;
            if (tokens > burst * MINUTE_US)
                tokens = burst * MINUTE_US;
            bool expected = tokens >= MINUTE_US;
            if (expected)
                tokens -= MINUTE_US;
            assert_int_equal(rate_take(&tat, rates[i], now).allowed, expected);
        }
    }
}

static void no_rate_means_the_default(void **state)
{
    (void)state;
    _Atomic int64_t tat = 0;
    int allowed = 0;
    while (rate_take(&tat, 0, 5).allowed)
        allowed++;
    assert_int_equal(allowed, 166);
}

/* A burst that takes a while, and threads that begin together: else the first has it all before
 * there is a second. */
enum { HAMMERS = 4, BURST = 200000, RATE = 6 * BURST };

static _Atomic int64_t shared;
static _Atomic int granted;
static pthread_barrier_t together;

static void *hammer(void *arg)
{
    int got = 0;
    (void)arg;
    pthread_barrier_wait(&together);
    for (int i = 0; i < BURST / 2; i++)
        got += rate_take(&shared, RATE, 42).allowed;
    granted += got;
    return NULL;
}

static void threads_together_get_one_burst(void **state)
{
    (void)state;
    pthread_t threads[HAMMERS];
    pthread_barrier_init(&together, NULL, HAMMERS);
    for (int i = 0; i < HAMMERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, NULL), 0);
    for (int i = 0; i < HAMMERS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&together);
    assert_int_equal(granted, BURST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slow_key_may_burst_ten_requests),
        cmocka_unit_test(a_fast_key_may_burst_ten_seconds_of_its_rate),
        cmocka_unit_test(what_was_refused_costs_nothing),
        cmocka_unit_test(the_retry_advice_is_enough),
        cmocka_unit_test(it_allows_what_a_token_bucket_allows),
        cmocka_unit_test(no_rate_means_the_default),
        cmocka_unit_test(threads_together_get_one_burst),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
