/* SPDX-License-Identifier: MIT */
#include "support/test.h"

#include <string.h>

#include "base/attr.h"
#include "text/chars_priv.h"

static struct text_char only(const char *utf8)
{
    size_t pos = 0;
    struct text_char c = text_char_next(bytes_cstr(utf8), &pos);
    assert_int_equal(pos, strlen(utf8));
    return c;
}

static void assert_lower(const char *capital, const char *small)
{
    struct text_char a = only(capital), b = only(small);
    assert_int_equal(a.code, b.code);
    assert_int_equal(a.class, CHAR_UPPER);
    assert_int_equal(b.class, CHAR_LETTER);
}

static void latin_greek_and_cyrillic_capitals_become_small(void **state)
{
    (void)state;
    const char *pairs[][2] = {
        {"A", "a"}, {"Z", "z"}, {"Ä", "ä"}, {"É", "é"}, {"Ø", "ø"}, {"Þ", "þ"}, {"Ā", "ā"},
        {"Ķ", "ķ"}, {"Ĺ", "ĺ"}, {"Ł", "ł"}, {"Ň", "ň"}, {"Ŋ", "ŋ"}, {"Œ", "œ"}, {"Š", "š"},
        {"Ŷ", "ŷ"}, {"Ÿ", "ÿ"}, {"Ź", "ź"}, {"Ž", "ž"}, {"Ǎ", "ǎ"}, {"Ș", "ș"}, {"Ḁ", "ḁ"},
        {"Ế", "ế"}, {"Ỹ", "ỹ"}, {"ẞ", "ß"}, {"Α", "α"}, {"Ω", "ω"}, {"Ά", "ά"}, {"Έ", "έ"},
        {"Ό", "ό"}, {"Ύ", "ύ"}, {"Ώ", "ώ"}, {"Ϋ", "ϋ"}, {"А", "а"}, {"Я", "я"}, {"Ё", "ё"},
        {"Ї", "ї"}, {"Ґ", "ґ"}, {"Ѣ", "ѣ"}, {"Ӂ", "ӂ"}, {"Ә", "ә"}, {"Ա", "ա"}, {"Ｑ", "ｑ"},
    };
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
        assert_lower(pairs[i][0], pairs[i][1]);
    assert_int_equal(only("ς").code, only("σ").code);
    assert_int_equal(only("İ").code, 'i');
    assert_int_equal(only("ı").code, 'i');
    assert_int_equal(only("ſ").code, 's');
    assert_int_equal(only("Ｑ").code, 'q');
}

static void small_letters_stay_what_they_are(void **state)
{
    (void)state;
    const char *same[] = {"ß", "ÿ", "ĸ", "ı", "ſ", "ά", "ё", "ӏ", "ა", "ا", "ह", "한", "ก", "カ"};
    for (size_t i = 0; i < ARRAY_LEN(same); i++)
        assert_int_equal(only(same[i]).class, CHAR_LETTER);
}

static void characters_have_their_class(void **state)
{
    (void)state;
    const char *breaks[] = {" ", "\n", ",",  "!",  "(",  "+", "«", "¿", "×", "—",
                            "…", "“",  "。", "「", "・", "€", "→", "😀", "🇩", "\xee\x80\x80",
                            "؟", "।"};
    for (size_t i = 0; i < ARRAY_LEN(breaks); i++)
        assert_int_equal(only(breaks[i]).class, CHAR_BREAK);
    const char *connectors[] = {"_", "-", ".", "/", ":", "@", "'", "\\", "’", "‐"};
    for (size_t i = 0; i < ARRAY_LEN(connectors); i++)
        assert_int_equal(only(connectors[i]).class, CHAR_CONNECTOR);
    const char *ideographs[] = {"漢", "あ", "々", "𠀀"};
    for (size_t i = 0; i < ARRAY_LEN(ideographs); i++)
        assert_int_equal(only(ideographs[i]).class, CHAR_IDEOGRAPH);
    const char *ignored[] = {"\xcc\x81", "\xc2\xad", "\xe2\x80\x8d", "\xef\xb8\x8f",
                             "\xef\xbb\xbf"};
    for (size_t i = 0; i < ARRAY_LEN(ignored); i++)
        assert_int_equal(only(ignored[i]).class, CHAR_IGNORED);
    assert_int_equal(only("7").class, CHAR_DIGIT);
    assert_int_equal(only("７").class, CHAR_DIGIT);
}

static void each_invalid_byte_is_one_break(void **state)
{
    (void)state;
    const char *invalid[] = {"\x80",
                             "\xc0\xaf",
                             "\xc3",
                             "\xe2\x82",
                             "\xed\xa0\x80",
                             "\xf0\x80\x80\x80",
                             "\xf4\x90\x80\x80",
                             "\xff",
                             "\xf0\x9f\x98",
                             "\xc3(",
                             "\xe0\x80\xaf"};
    for (size_t i = 0; i < ARRAY_LEN(invalid); i++) {
        size_t pos = 0;
        struct text_char c = text_char_next(bytes_cstr(invalid[i]), &pos);
        assert_int_equal(c.class, CHAR_BREAK);
        assert_int_equal(pos, 1);
    }
}

static void every_byte_string_of_three_is_read_to_its_end_and_not_past(void **state)
{
    (void)state;
    char text[3];
    for (unsigned n = 0; n < 1u << 24;
         n += 7) { /* 7 is prime to 256: all first bytes, most pairs */
        text[0] = (char)(n & 255);
        text[1] = (char)(n >> 8 & 255);
        text[2] = (char)(n >> 16);
        size_t pos = 0;
        while (pos < sizeof text) {
            size_t before = pos;
            struct text_char c = text_char_next(bytes_of(text, sizeof text), &pos);
            assert_true(pos > before && pos <= sizeof text);
            assert_true(c.class >= CHAR_BREAK && c.class <= CHAR_IGNORED);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(latin_greek_and_cyrillic_capitals_become_small),
        cmocka_unit_test(small_letters_stay_what_they_are),
        cmocka_unit_test(characters_have_their_class),
        cmocka_unit_test(each_invalid_byte_is_one_break),
        cmocka_unit_test(every_byte_string_of_three_is_read_to_its_end_and_not_past),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
