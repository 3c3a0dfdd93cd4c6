/* SPDX-License-Identifier: MIT
 *
 * The timer heap against a plain array. */
#include "support/test.h"

#include "base/rng.h"
#include "net/timers_priv.h"
#include "support/fault.h"

enum { TIMERS = 500 };

static void due_timers_come_out_in_order(void **state)
{
    (void)state;
    struct timers h = {0};
    struct timer t[5] = {{0}};
    const int64_t due[5] = {50, 10, 40, 20, 30};
    for (int i = 0; i < 5; i++)
        assert_true(timers_set(&h, &t[i], due[i]));
    assert_int_equal(timers_next_ms(&h), 10);
    assert_null(timers_pop_due(&h, 9));
    for (int64_t now = 10; now <= 30; now += 10)
        assert_int_equal(timers_pop_due(&h, 30)->due_ms, now);
    assert_null(timers_pop_due(&h, 30));
    assert_int_equal(timers_next_ms(&h), 40);
    timers_release(&h);
}

static void a_cancelled_timer_never_comes(void **state)
{
    (void)state;
    struct timers h = {0};
    struct timer a = {0}, b = {0};
    assert_true(timers_set(&h, &a, 1));
    assert_true(timers_set(&h, &b, 2));
    timers_cancel(&h, &a);
    timers_cancel(&h, &a); /* twice does nothing */
    assert_int_equal(a.heap_index, 0);
    assert_ptr_equal(timers_pop_due(&h, 100), &b);
    assert_null(timers_pop_due(&h, 100));
    assert_int_equal(timers_next_ms(&h), INT64_MAX);
    timers_release(&h);
}

static void setting_again_moves_both_ways(void **state)
{
    (void)state;
    struct timers h = {0};
    struct timer a = {0}, b = {0};
    assert_true(timers_set(&h, &a, 10));
    assert_true(timers_set(&h, &b, 20));
    assert_true(timers_set(&h, &a, 30));
    assert_int_equal(timers_next_ms(&h), 20);
    assert_true(timers_set(&h, &a, 5));
    assert_int_equal(timers_next_ms(&h), 5);
    assert_int_equal(h.len, 2);
    timers_release(&h);
}

static int64_t earliest(const struct timer *t)
{
    int64_t best = INT64_MAX;
    for (int i = 0; i < TIMERS; i++) {
        if (t[i].heap_index && t[i].due_ms < best)
            best = t[i].due_ms;
    }
    return best;
}

static void random_operations_agree_with_an_array(void **state)
{
    (void)state;
    static struct timer t[TIMERS];
    struct timers h = {0};
    struct rng rng;
    rng_seed(&rng, 7);
    for (int round = 0; round < 20000; round++) {
        struct timer *one = &t[rng_below(&rng, TIMERS)];
        switch (rng_below(&rng, 4)) {
        case 0:
        case 1:
            assert_true(timers_set(&h, one, rng_below(&rng, 1000)));
            break;
        case 2:
            timers_cancel(&h, one);
            break;
        default: {
            int64_t now = rng_below(&rng, 200), want = earliest(t);
            struct timer *due = timers_pop_due(&h, now);
            assert_true(due ? due->due_ms == want && want <= now : want > now);
        }
        }
        assert_int_equal(timers_next_ms(&h), earliest(t));
        for (uint32_t i = 1; i <= h.len; i++)
            assert_true(h.at[i]->heap_index == i &&
                        h.at[i / 2 ? i / 2 : 1]->due_ms <= h.at[i]->due_ms);
    }
    timers_release(&h);
}

static void without_memory_nothing_is_armed(void **state)
{
    (void)state;
    struct timers h = {0};
    struct timer t = {0};
    fault_arm(1);
    assert_false(timers_set(&h, &t, 1));
    assert_true(fault_disarm());
    assert_int_equal(t.heap_index, 0);
    assert_int_equal(timers_next_ms(&h), INT64_MAX);
    timers_release(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(due_timers_come_out_in_order),
        cmocka_unit_test(a_cancelled_timer_never_comes),
        cmocka_unit_test(setting_again_moves_both_ways),
        cmocka_unit_test(random_operations_agree_with_an_array),
        cmocka_unit_test(without_memory_nothing_is_armed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
