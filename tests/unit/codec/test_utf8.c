/* SPDX-License-Identifier: MIT */
#include "support/test.h"

#include <string.h>

#include "codec/utf8.h"

static void every_code_point_is_valid_but_the_surrogates(void **state)
{
    (void)state;
    for (uint32_t c = 0; c <= 0x10ffff; c++) {
        char text[4];
        size_t n = utf8_put(c, text);
        bool surrogate = c >= 0xd800 && c <= 0xdfff;
        if (utf8_char(text, text + n) != (surrogate ? 0 : n))
            fail_msg("U+%04X", c);
        if (n > 1 && utf8_char(text, text + n - 1) != 0)
            fail_msg("U+%04X cut", c);
    }
}

/* Counted from the definition: what is valid is what some code point encodes to. */
static void no_other_three_bytes_are_valid(void **state)
{
    (void)state;
    size_t valid = 0;
    for (uint32_t v = 0x800000; v < 0x1000000; v++) {
        char text[3] = {(char)(v >> 16), (char)(v >> 8), (char)v};
        valid += utf8_char(text, text + 3) == 3;
    }
    assert_int_equal(valid, 0x10000 - 0x800 - 0x800);
}

static void no_overlong_or_too_high_four_bytes_are_valid(void **state)
{
    (void)state;
    size_t valid = 0;
    for (unsigned a = 0xf0; a <= 0xff; a++)
        for (unsigned b = 0; b <= 0xff; b++)
            for (unsigned c = 0; c <= 0xff; c++) {
                char text[4] = {(char)a, (char)b, (char)c, (char)0x80};
                valid += utf8_char(text, text + 4) == 4;
            }
    assert_int_equal(valid, 0x100000 / 64);
}

static void a_fault_is_found_at_every_place(void **state)
{
    (void)state;
    char text[40];
    for (size_t i = 0; i < sizeof text; i++) {
        memset(text, 'a', sizeof text);
        assert_true(utf8_valid(bytes_of(text, sizeof text)));
        text[i] = (char)0x80;
        assert_false(utf8_valid(bytes_of(text, sizeof text)));
    }
}

static void characters_are_counted(void **state)
{
    (void)state;
    assert_int_equal(utf8_count(bytes_cstr("")), 0);
    assert_int_equal(utf8_count(bytes_cstr("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80")), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_point_is_valid_but_the_surrogates),
        cmocka_unit_test(no_other_three_bytes_are_valid),
        cmocka_unit_test(no_overlong_or_too_high_four_bytes_are_valid),
        cmocka_unit_test(a_fault_is_found_at_every_place),
        cmocka_unit_test(characters_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
