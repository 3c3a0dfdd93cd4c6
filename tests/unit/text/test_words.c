/* SPDX-License-Identifier: MIT */
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "base/buf.h"
#include "text/words.h"

static bool add_word(void *ctx, struct bytes word)
{
    struct buf *b = ctx;
    if (b->len)
        buf_addc(b, ' ');
    buf_addb(b, word);
    return true;
}

/* The words of a text, with a space between. */
static void check(const char *text, const char *want)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    assert_true(text_words(bytes_cstr(text), add_word, &b));
    assert_bytes_equal(buf_bytes(&b), want);
    buf_release(&b);
}

/* Whether two texts have the same words. */
static void check_same(const char *a, const char *b)
{
    struct buf words;
    buf_init(&words, 1 << 20);
    assert_true(text_words(bytes_cstr(b), add_word, &words));
    buf_addc(&words, '\0');
    check(a, words.ptr);
    buf_release(&words);
}

static void plain_words_are_lower_case(void **state)
{
    (void)state;
    check("The quick, brown fox; (jumps)!", "the quick brown fox jump");
    check("", "");
    check(" \t\n... -- // ", "");
    check("x", "x");
}

static void identifiers_are_found_whole_and_by_their_parts(void **state)
{
    (void)state;
    check("E_CONN_RESET", "e conn reset econnreset");
    check("ECONNRESET", "econnreset");
    check("getUserById", "get user by id getuserbyid");
    check("HTTPServer", "http server httpserver");
    check("foo.bar_baz()", "foo bar baz barbaz foobarbaz");
    check("std::vector<int>", "std vector int");
    check("src/text/chars.c", "src text char c srctext textchar charsc srctextcharsc");
    check("C:\\Temp\\a", "c temp a tempa"); /* two connectors are a gap */
    check("me@example.org", "me example org meexample exampleorg meexampleorg");
    check("__init__", "init");
    check_same("snake_case", "snakeCase");
    check_same("snake_case", "snake-case");
}

static void numbers_keep_what_joins_them(void **state)
{
    (void)state;
    check("0x80070057", "0 x 80070057 0x80070057");
    check("v1.2.3", "v 1 v1 2 3 v1.2 2.3 v1.2.3 1.2.3");
    check("1.2.3", "1 2 3 1.2 2.3 1.2.3");
    check("12.3", "12 3 12.3");
    check("CVE-2024-1234", "cve 2024 1234 cve2024-1234 2024-1234");
    check("E1234", "e 1234 e1234");
    check("2024-01-15", "2024 01 15 2024-01-15");
    check("foo/1.2", "foo 1 2 foo1 1.2 foo1.2");
    check("2.5x", "2 5 x 5x 2.5x 2.5");
}

static void a_hash_stays_whole(void **state)
{
    (void)state;
    check("da39a3ee5e6b4b0d3255bfef95601890afd80709", "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    check("a1b2c3", "a 1 b 2 c 3 a1b2c3");
}

static void letters_lose_case_and_accents(void **state)
{
    (void)state;
    check("\u00c9COLE \u00e9cole ecole", "ecole ecole ecole");
    check("Stra\u00dfe \u1e9e \u00c6on \u0141\u00f3d\u017a \u00d8re", "strasse ss aeon lodz ore");
    check("e\u0301cole", "ecole"); /* decomposed */
    check("\u1ec6", "e");
    check("\u0386\u03bb\u03c6\u03b1 \u03c3\u03bf\u03c6\u03cc\u03c2 \u1f08",
          "\u03b1\u03bb\u03c6\u03b1 \u03c3\u03bf\u03c6\u03bf\u03c3 \u03b1");
    check("\u0401\u043b\u043a\u0430 \u041c\u041e\u0419", "\u0435\u043b\u043a\u0430 "
                                                         "\u043c\u043e\u0438");
}

static void plurals_are_found_by_the_singular(void **state)
{
    (void)state;
    check("files queries ties DNS class status analysis v5s \u03bas",
          "file query tie dns class status analysis v 5 s v5s \u03bas");
    check("E_NO_SYS ENOSYS", "e no sys enosy enosy"); /* the same letters, the same word */
}

static void contractions_and_elisions_are_found_either_way(void **state)
{
    (void)state;
    check("don't", "don t dont");
    check("don\u2019t", "don t dont");
    check("l'avion", "l avion lavion");
}

static void scripts_without_spaces_give_characters_and_neighbours(void **state)
{
    (void)state;
    check("\u4e2d\u56fd\u4eba", "\u4e2d \u56fd \u4e2d\u56fd \u4eba \u56fd\u4eba");
    check("\u732b", "\u732b");
    check("Python3\u3067\u66f8", "python 3 python3 \u3067 \u66f8 \u3067\u66f8");
    check("\ud55c\uad6d", "\ud55c \uad6d \ud55c\uad6d");
    check("\u4e2d, \u56fd", "\u4e2d \u56fd"); /* punctuation between */
}

static void c_is_told_from_its_children(void **state)
{
    (void)state;
    check("C C++ C# g++", "c c c++ c c# g g++");
    check("a++b c#5", "a b c 5");
    check("issue #12", "issue 12");
}

static void bytes_that_are_not_utf8_separate_words(void **state)
{
    (void)state;
    check("ab\xff"
          "cd\xc3",
          "ab cd");
    check("a\xe4\xb8"
          "b",
          "a b");
}

struct bounds {
    size_t words, longest;
};

static bool measure(void *ctx, struct bytes word)
{
    struct bounds *b = ctx;
    assert_true(word.len > 0 && word.len <= WORDS_BYTES_MAX);
    b->words++;
    if (word.len > b->longest)
        b->longest = word.len;
    return true;
}

static void megabytes_give_a_bounded_number_of_bounded_words(void **state)
{
    (void)state;
    static const char *const units[] = {
        "a",     "aB", "a.", "1.", "a_", "a1", "C#", "\xff", "\u0301", "\u4e2d", "\U0001d4d0\u00df",
        "\u00df"};
    const size_t len = 1 << 20;
    char *text = malloc(len);
    assert_non_null(text);
    for (size_t u = 0; u < ARRAY_LEN(units); u++) {
        size_t unit = strlen(units[u]);
        for (size_t i = 0; i < len; i++)
            text[i] = units[u][i % unit];
        struct bounds b = {0};
        assert_true(text_words(bytes_of(text, len), measure, &b));
        assert_true(b.words <= 2 * len);
    }
    free(text);
}

static bool stop_at_third(void *ctx, struct bytes word)
{
    (void)word;
    return ++*(int *)ctx < 3;
}

static void the_callback_can_end_the_walk(void **state)
{
    (void)state;
    static const char *const texts[] = {"a b c d", "a.b.c.d",  "aBcDe", "\u4e2d\u56fd\u4eba",
                                        "v1.2",    "x a C++ d"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        int seen = 0;
        assert_false(text_words(bytes_cstr(texts[i]), stop_at_third, &seen));
        assert_int_equal(seen, 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_words_are_lower_case),
        cmocka_unit_test(identifiers_are_found_whole_and_by_their_parts),
        cmocka_unit_test(numbers_keep_what_joins_them),
        cmocka_unit_test(a_hash_stays_whole),
        cmocka_unit_test(letters_lose_case_and_accents),
        cmocka_unit_test(plurals_are_found_by_the_singular),
        cmocka_unit_test(contractions_and_elisions_are_found_either_way),
        cmocka_unit_test(scripts_without_spaces_give_characters_and_neighbours),
        cmocka_unit_test(c_is_told_from_its_children),
        cmocka_unit_test(bytes_that_are_not_utf8_separate_words),
        cmocka_unit_test(megabytes_give_a_bounded_number_of_bounded_words),
        cmocka_unit_test(the_callback_can_end_the_walk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
