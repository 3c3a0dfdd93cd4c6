/* SPDX-License-Identifier: MIT */
#include "support/test.h"

#include <time.h>

#include "base/clock.h"

static void known_instants_format_exactly(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *text;
    } golden[] = {
        {0, "1970-01-01T00:00:00.000000+00:00"},
        {1, "1970-01-01T00:00:00.001000+00:00"},
        {951782399999, "2000-02-28T23:59:59.999000+00:00"},
        {951782400000, "2000-02-29T00:00:00.000000+00:00"},
        {1709164800123, "2024-02-29T00:00:00.123000+00:00"},
        {2147483647000, "2038-01-19T03:14:07.000000+00:00"},
        {2147483648000, "2038-01-19T03:14:08.000000+00:00"},
        {4107542400000, "2100-03-01T00:00:00.000000+00:00"},
        {253402300799999, "9999-12-31T23:59:59.999000+00:00"},
    };
    for (size_t i = 0; i < sizeof golden / sizeof golden[0]; i++) {
        char text[CLOCK_TEXT_SIZE];
        clock_format(golden[i].ms, text);
        assert_string_equal(text, golden[i].text);
    }
}

/* The C library's calendar is the oracle: every day of four centuries, which is one whole cycle of
 * leap years, and some of each later month. */
static void every_day_is_the_one_that_the_library_says(void **state)
{
    (void)state;
    enum { DAY_S = 86400, CYCLE_DAYS = 146097, LAST_DAY = 2932896, STEP_DAYS = 29 };
    for (int64_t day = 0; day <= LAST_DAY; day += day < CYCLE_DAYS ? 1 : STEP_DAYS) {
        char want[CLOCK_TEXT_SIZE], got[CLOCK_TEXT_SIZE];
        time_t second = (time_t)(day * DAY_S + day * 7919 % DAY_S);
        struct tm tm;
        gmtime_r(&second, &tm);
        strftime(want, sizeof want, "%Y-%m-%dT%H:%M:%S.000000+00:00", &tm);
        clock_format((int64_t)second * 1000, got);
        assert_string_equal(got, want);
    }
}

static void times_out_of_range_stay_in_the_format(void **state)
{
    (void)state;
    char text[CLOCK_TEXT_SIZE];
    clock_format(INT64_MIN, text);
    assert_string_equal(text, "1970-01-01T00:00:00.000000+00:00");
    clock_format(INT64_MAX, text);
    assert_string_equal(text, "9999-12-31T23:59:59.999000+00:00");
}

static void wall_time_is_true_and_never_decreases(void **state)
{
    (void)state;
    int64_t before = (int64_t)time(NULL) * 1000, last = 0;
    for (int i = 0; i < 100000; i++) {
        int64_t now = clock_now_ms(&clock_system);
        assert_true(now >= last);
        last = now;
    }
    assert_true(last >= before - 1);
    assert_true(last <= (int64_t)time(NULL) * 1000 + 2000);
}

static int64_t fixed_now(void *ctx)
{
    return *(const int64_t *)ctx;
}

static void a_test_brings_its_own_clock(void **state)
{
    (void)state;
    int64_t now = 77;
    struct clock c = {.now_ms = fixed_now, .ctx = &now};
    assert_int_equal(clock_now_ms(&c), 77);
    now = 78;
    assert_int_equal(clock_now_ms(&c), 78);
    c.mono_us = fixed_now;
    assert_int_equal(clock_us(&c), 78);
}

static void a_clock_without_durations_has_those_of_the_system(void **state)
{
    (void)state;
    int64_t now = 77;
    struct clock c = {.now_ms = fixed_now, .ctx = &now};
    int64_t before = clock_mono_us(), between = clock_us(&c), after = clock_us(&clock_system);
    assert_true(before <= between && between <= after);
}

static void monotonic_time_moves_forward(void **state)
{
    (void)state;
    int64_t start = clock_mono_us(), now;
    do {
        now = clock_mono_us();
        assert_true(now >= start);
    } while (now < start + 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_instants_format_exactly),
        cmocka_unit_test(every_day_is_the_one_that_the_library_says),
        cmocka_unit_test(times_out_of_range_stay_in_the_format),
        cmocka_unit_test(wall_time_is_true_and_never_decreases),
        cmocka_unit_test(a_test_brings_its_own_clock),
        cmocka_unit_test(a_clock_without_durations_has_those_of_the_system),
        cmocka_unit_test(monotonic_time_moves_forward),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
