/* SPDX-License-Identifier: MIT */
#include "support/test.h"

#include <string.h>

#include "base/attr.h"
#include "base/clock.h"
#include "base/rng.h"
#include "codec/time_text.h"

static void every_form_of_a_time_is_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t want;
    } cases[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1970-01-01T00:00:00.001", 1},
        {"2024-02-29T23:59:59.999999+00:00", 1709251199999},
        {"2024-05-01T12:00:00+02:00", 1714557600000},
        {"2024-05-01T10:00:00", 1714557600000},
        {"2024-05-01 10:00:00z", 1714557600000},
        {"2024-05-01t04:30:00-05:30", 1714557600000},
        {"2024-05-01T10:00:00.1234567890123Z", 1714557600123},
        {"2016-12-31T23:59:60Z", 1483228799000},
        {"2000-02-29T00:00:00Z", 951782400000},
        {"9999-12-31T23:59:59.999Z", 253402300799999},
        {"1970-01-01T01:00:00+01:00", 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t got = -1;
        if (!time_parse(bytes_cstr(cases[i].text), &got) || got != cases[i].want)
            fail_msg("%s: %lld", cases[i].text, (long long)got);
    }
}

static void anything_else_is_no_time(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "now",
                                      "2024-05-01",
                                      "2024-05-01T10:00",
                                      "2024-05-01T10:00:00+0200",
                                      "2024-05-01T10:00:00+2:00",
                                      "2024-13-01T00:00:00Z",
                                      "2024-00-01T00:00:00Z",
                                      "2023-02-29T00:00:00Z",
                                      "1900-02-29T00:00:00Z",
                                      "2100-02-29T00:00:00Z",
                                      "2024-04-31T00:00:00Z",
                                      "2024-05-00T00:00:00Z",
                                      "2024-05-01T24:00:00Z",
                                      "2024-05-01T10:60:00Z",
                                      "2024-05-01T10:00:61Z",
                                      "2024-05-01T10:00:00.Z",
                                      "2024-05-01T10:00:00ZZ",
                                      "2024-05-01T10:00:00+24:00",
                                      "2024-05-01T10:00:00+01:60",
                                      "1969-12-31T23:59:59Z",
                                      "1970-01-01T00:00:00+00:01",
                                      "9999-12-31T23:59:59-00:01",
                                      "10000-01-01T00:00:00Z",
                                      "-024-05-01T10:00:00Z",
                                      " 2024-05-01T10:00:00Z",
                                      "2024-05-01T10:00:00 ",
                                      "2024/05/01T10:00:00Z",
                                      "1714557600000"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        int64_t got = -7;
        if (time_parse(bytes_cstr(bad[i]), &got))
            fail_msg("accepted %s", bad[i]);
        assert_int_equal(got, -7);
    }
    int64_t got;
    assert_false(time_parse(bytes_of("2024-05-01\0"
                                     "10:00:00",
                                     19),
                            &got));
}

static void what_the_clock_writes_is_read_back(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 1);
    for (int i = 0; i < 20000; i++) {
        int64_t ms = (int64_t)(rng_next(&r) % 253402300800000ull), got;
        char text[CLOCK_TEXT_SIZE];
        clock_format(ms, text);
        assert_true(time_parse(bytes_cstr(text), &got));
        assert_true(got == ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_of_a_time_is_read),
        cmocka_unit_test(anything_else_is_no_time),
        cmocka_unit_test(what_the_clock_writes_is_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
