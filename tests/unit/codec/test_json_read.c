/* SPDX-License-Identifier: MIT */
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "codec/json_read.h"

static bool valid(const char *json)
{
    struct arena a;
    arena_init(&a, 0);
    struct bytes text = arena_bytes(&a, bytes_cstr(json));
    bool ok = json_valid(text, &a, NULL);
    arena_release(&a);
    return ok;
}

/* Reads to the end or the first failure. */
static enum qmn_code read_all(struct bytes text, struct err *err)
{
    struct arena a;
    struct json_reader r;
    struct json_token t = {.kind = JSON_NULL};
    enum qmn_code code = QMN_OK;
    arena_init(&a, 0);
    struct bytes copy = arena_bytes(&a, text);
    json_reader_init(&r, copy, &a);
    while (code == QMN_OK && t.kind != JSON_END)
        code = json_next(&r, &t, err);
    arena_release(&a);
    return code;
}

static void assert_malformed(const char *json, const char *part)
{
    struct err err = {0};
    if (read_all(bytes_cstr(json), &err) == QMN_E_MALFORMED && strstr(err.text, part))
        return;
    print_error("%s: \"%s\"\n", json, err.text);
    fail();
}

static void every_kind_of_value_is_one_token(void **state)
{
    (void)state;
    const char *json = " { \"a\" : [ 1 , -2.5e3 , \"x\" , true , false , null , { } , [ ] ] } ";
    static const enum json_kind want[] = {
        JSON_OBJECT,    JSON_KEY,       JSON_ARRAY,      JSON_NUMBER, JSON_NUMBER,     JSON_STRING,
        JSON_TRUE,      JSON_FALSE,     JSON_NULL,       JSON_OBJECT, JSON_OBJECT_END, JSON_ARRAY,
        JSON_ARRAY_END, JSON_ARRAY_END, JSON_OBJECT_END, JSON_END,    JSON_END};
    struct arena a;
    struct json_reader r;
    arena_init(&a, 0);
    json_reader_init(&r, bytes_cstr(json), &a);
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        struct json_token t;
        assert_int_equal(json_next(&r, &t, NULL), QMN_OK);
        assert_int_equal(t.kind, want[i]);
        if (i == 3)
            assert_true(t.integer && bytes_is(t.text, "1"));
        if (i == 4)
            assert_true(!t.integer && bytes_is(t.text, "-2.5e3"));
    }
    arena_release(&a);
}

static void a_document_of_any_kind_is_accepted(void **state)
{
    (void)state;
    static const char *const good[] = {"1",    "\"x\"",           "null", "[]",         "{}", "-0",
                                       "1E+2", "[[[]],{\"\":0}]", "0.10", "\t\r\n 7 \n"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_true(valid(good[i]));
}

static void wrong_structure_names_the_byte_and_what_was_expected(void **state)
{
    (void)state;
    assert_malformed("", "byte 0: expected a value, but the text ends");
    assert_malformed("  ", "byte 2: expected a value, but the text ends");
    assert_malformed("[1,]", "byte 3: expected a value, got ']'");
    assert_malformed("[,1]", "byte 1: expected a value, got ','");
    assert_malformed("[1 2]", "byte 3: expected ',' or ']', got '2'");
    assert_malformed("{\"a\":1,}", "byte 7: expected a key in double quotes, got '}'");
    assert_malformed("{\"a\" 1}", "byte 5: expected ':', got '1'");
    assert_malformed("{a:1}", "byte 1: expected a key in double quotes, got 'a'");
    assert_malformed("{1:1}", "expected a key");
    assert_malformed("{\"a\":1]", "expected ',' or '}', got ']'");
    assert_malformed("[1}", "expected ',' or ']', got '}'");
    assert_malformed("[", "byte 1: expected a value, but the text ends");
    assert_malformed("{\"a\":", "expected a value, but the text ends");
    assert_malformed("{}{}", "byte 2: expected nothing after the document, got '{'");
    assert_malformed("1 x", "expected nothing after the document");
    assert_malformed("nul", "expected a value");
    assert_malformed("True", "expected a value, got 'T'");
    assert_malformed("[tru]", "true, false and null are lower case");
    assert_malformed("NaN", "expected a value, got 'N'");
    assert_malformed("Infinity", "expected a value");
    assert_malformed("-Infinity", "expected a digit, got 'I'");
    assert_malformed("// x\n1", "expected a value, got '/'");
    assert_malformed("'x'", "expected a value");
    assert_malformed("\xef\xbb\xbf{}", "expected a value, got byte 0xef");
    assert_malformed("\f1", "expected a value, got byte 0x0c");
}

static void wrong_numbers_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"01",  "-",     "1.",   ".5",  "1e",   "1e+", "0x10", "+1",
                                      "--1", "0.1.2", "1,,2", "-01", "1.e5", "1_0", "00",   "-.5"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        char list[64];
        assert_malformed(bad[i], "byte ");
        snprintf(list, sizeof list, "[%s]", bad[i]);
        assert_malformed(list, "byte ");
    }
    assert_malformed("01", "byte 1: expected no digit after a leading 0");
    assert_malformed("1.", "expected a digit after the point");
    assert_malformed("1e+", "expected a digit in the exponent");
}

static void a_number_has_a_longest_form(void **state)
{
    (void)state;
    char text[LIMIT_JSON_NUMBER_CHARS + 2];
    struct err err;
    memset(text, '1', sizeof text);
    assert_int_equal(read_all(bytes_of(text, LIMIT_JSON_NUMBER_CHARS), &err), QMN_OK);
    assert_int_equal(read_all(bytes_of(text, LIMIT_JSON_NUMBER_CHARS + 1), &err), QMN_E_MALFORMED);
    assert_non_null(strstr(err.text, "512 characters"));
}

static void duplicate_keys_are_refused_however_they_are_spelt(void **state)
{
    (void)state;
    assert_malformed("{\"a\":1,\"b\":2,\"a\":3}", "byte 13: the key \"a\" stands twice");
    assert_malformed("{\"a\":1,\"\\u0061\":3}", "stands twice");
    assert_malformed("[{\"x\":{\"k\":1,\"k\":2}}]", "stands twice");
    assert_malformed("{\"\":1,\"\":2}", "stands twice");
    assert_true(valid("{\"a\":{\"a\":{\"a\":1}},\"b\":{\"a\":2}}"));
    assert_true(valid("[{\"a\":1},{\"a\":1}]"));
}

static void duplicates_are_found_among_thousands_of_keys(void **state)
{
    (void)state;
    struct buf b;
    struct err err;
    buf_init(&b, 1u << 20);
    buf_addc(&b, '{');
    for (int i = 0; i < 5000; i++)
        buf_printf(&b, "\"k%d\":0,", i);
    size_t len = b.len;
    buf_adds(&b, "\"last\":0}");
    assert_int_equal(read_all(buf_bytes(&b), &err), QMN_OK);
    b.len = len;
    buf_adds(&b, "\"k17\":0}");
    assert_int_equal(read_all(buf_bytes(&b), &err), QMN_E_MALFORMED);
    assert_non_null(strstr(err.text, "\"k17\" stands twice"));
    buf_release(&b);
}

static void keys_of_one_document_are_counted(void **state)
{
    (void)state;
    struct err err;
    for (int extra = 0; extra < 2; extra++) {
        struct buf b;
        buf_init(&b, 1u << 20);
        buf_addc(&b, '[');
        for (int i = 0; i < LIMIT_JSON_KEYS; i++)
            buf_printf(&b, "{\"k\":0},");
        buf_adds(&b, extra ? "{\"k\":0}]" : "{}]");
        assert_int_equal(read_all(buf_bytes(&b), &err), extra ? QMN_E_MALFORMED : QMN_OK);
        buf_release(&b);
    }
    assert_non_null(strstr(err.text, "more than 10000 keys"));
}

static void nesting_ends_at_the_limit(void **state)
{
    (void)state;
    struct err err;
    char text[2 * LIMIT_JSON_DEPTH + 4];
    for (int depth = LIMIT_JSON_DEPTH; depth <= LIMIT_JSON_DEPTH + 1; depth++) {
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        enum qmn_code want = depth > LIMIT_JSON_DEPTH ? QMN_E_MALFORMED : QMN_OK;
        assert_int_equal(read_all(bytes_of(text, (size_t)depth * 2), &err), want);
    }
    assert_non_null(strstr(err.text, "nested deeper than 32 levels"));
}

static void a_million_brackets_cost_nothing(void **state)
{
    (void)state;
    char *text = malloc(1000000);
    assert_non_null(text);
    memset(text, '[', 1000000);
    assert_int_equal(read_all(bytes_of(text, 1000000), NULL), QMN_E_MALFORMED);
    free(text);
}

static void strings_are_unescaped(void **state)
{
    (void)state;
    const char *json = "\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\u20AC\\ud83d\\ude00 z\"";
    struct arena a;
    struct json_reader r;
    struct json_token t;
    struct bytes text;
    arena_init(&a, 0);
    json_reader_init(&r, bytes_cstr(json), &a);
    assert_int_equal(json_next(&r, &t, NULL), QMN_OK);
    assert_true(t.escaped);
    assert_int_equal(json_text(&r, &t, &text, NULL), QMN_OK);
    assert_bytes_equal(text, "a\"\\/\b\f\n\r\t\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80 z");
    arena_release(&a);
}

static void a_string_without_escapes_is_not_copied(void **state)
{
    (void)state;
    const char *json = "\"h\xc3\xa9llo world, plain text\"";
    struct arena a;
    struct json_reader r;
    struct json_token t;
    struct bytes text;
    arena_init(&a, 0);
    json_reader_init(&r, bytes_cstr(json), &a);
    assert_int_equal(json_next(&r, &t, NULL), QMN_OK);
    assert_int_equal(json_text(&r, &t, &text, NULL), QMN_OK);
    assert_ptr_equal(text.ptr, json + 1);
    assert_int_equal(a.used, 0);
    arena_release(&a);
}

static void wrong_strings_are_refused(void **state)
{
    (void)state;
    assert_malformed("\"abc", "byte 4: expected '\"' at the end of the string");
    assert_malformed("\"abcdefghijklmnop\\", "after a backslash");
    assert_malformed("\"\\x41\"", "byte 2: expected one of");
    assert_malformed("\"\\u12g4\"", "four hex digits");
    assert_malformed("\"\\u12", "four hex digits");
    assert_malformed("\"a\nb\"",
                     "byte 2: expected control characters to be escaped, got byte 0x0a");
    assert_malformed("\"12345678\t\"", "byte 9");
    assert_malformed("{\"a\x01\":1}", "control characters");
}

static void lone_surrogates_are_refused(void **state)
{
    (void)state;
    assert_malformed("\"\\ud800\"",
                     "byte 1: expected a surrogate pair, got a lone surrogate \\ud800");
    assert_malformed("\"\\udc00\"", "lone surrogate \\udc00");
    assert_malformed("\"\\ud800\\u0041\"", "lone surrogate");
    assert_malformed("\"\\ud800\\ud800\"", "lone surrogate");
    assert_malformed("\"\\ud800x\"", "lone surrogate");
    assert_malformed("\"\\udc00\\ud800\"", "lone surrogate");
    assert_true(valid("\"\\udbff\\udfff\""));
}

static void nul_is_refused_raw_and_escaped(void **state)
{
    (void)state;
    struct err err;
    assert_malformed("\"ab\\u0000\"", "byte 3: NUL is not allowed");
    assert_malformed("{\"\\u0000\":1}", "NUL is not allowed");
    assert_int_equal(read_all(bytes_of("\"a\0b\"", 5), &err), QMN_E_MALFORMED);
    assert_non_null(strstr(err.text, "NUL is not allowed"));
    assert_int_equal(read_all(bytes_of("1\0", 2), &err), QMN_E_MALFORMED);
}

static void malformed_utf8_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "\x80",
        "\xff",
        "\xc3",
        "\xc3(",
        "\xc0\xaf",
        "\xe0\x80\xaf",
        "\xed\xa0\x80",
        "\xe2\x82",
        "\xf0\x80\x80\xaf",
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "\xf0\x9f\x98",
    };
    static const char *const pads[] = {"", "x", "1234567", "12345678"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        for (size_t k = 0; k < ARRAY_LEN(pads); k++) {
            char json[64];
            snprintf(json, sizeof json, "\"%s%s\"", pads[k], bad[i]);
            assert_malformed(json, "valid UTF-8");
            snprintf(json, sizeof json, "{\"%s%s%s\":1}", pads[k], bad[i], pads[k]);
            assert_malformed(json, "valid UTF-8");
        }
}

static void skipping_returns_the_value_as_it_stood(void **state)
{
    (void)state;
    struct arena a;
    struct json_reader r;
    struct json_token t;
    struct bytes raw;
    arena_init(&a, 0);
    json_reader_init(&r, BYTES_LIT("[ {\"a\" : [1, 2 ]} , \"x\\n\", 7]"), &a);
    assert_int_equal(json_next(&r, &t, NULL), QMN_OK);
    static const char *const want[] = {"{\"a\" : [1, 2 ]}", "\"x\\n\"", "7"};
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        assert_int_equal(json_next(&r, &t, NULL), QMN_OK);
        assert_int_equal(json_skip(&r, &t, &raw, NULL), QMN_OK);
        assert_bytes_equal(raw, want[i]);
    }
    assert_int_equal(json_next(&r, &t, NULL), QMN_OK);
    assert_int_equal(t.kind, JSON_ARRAY_END);
    arena_release(&a);
}

static void skipping_still_validates(void **state)
{
    (void)state;
    struct arena a;
    struct json_reader r;
    struct json_token t;
    arena_init(&a, 0);
    json_reader_init(&r, BYTES_LIT("{\"a\":{\"b\":[1,{\"c\":0,\"c\":0}]}}"), &a);
    assert_int_equal(json_next(&r, &t, NULL), QMN_OK);
    assert_int_equal(json_skip(&r, &t, NULL, NULL), QMN_E_MALFORMED);
    arena_release(&a);
}

static void every_prefix_of_a_document_is_refused(void **state)
{
    (void)state;
    const char *json =
        "{\"k\\u00e9y\":[1.5e-3,\"\xe2\x82\xac\\ud83d\\ude00\",true,null,{\"b\":[]}]}";
    for (size_t n = 0; n < strlen(json); n++)
        assert_int_equal(read_all(bytes_of(json, n), NULL), QMN_E_MALFORMED);
    assert_int_equal(read_all(bytes_cstr(json), NULL), QMN_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_value_is_one_token),
        cmocka_unit_test(a_document_of_any_kind_is_accepted),
        cmocka_unit_test(wrong_structure_names_the_byte_and_what_was_expected),
        cmocka_unit_test(wrong_numbers_are_refused),
        cmocka_unit_test(a_number_has_a_longest_form),
        cmocka_unit_test(duplicate_keys_are_refused_however_they_are_spelt),
        cmocka_unit_test(duplicates_are_found_among_thousands_of_keys),
        cmocka_unit_test(keys_of_one_document_are_counted),
        cmocka_unit_test(nesting_ends_at_the_limit),
        cmocka_unit_test(a_million_brackets_cost_nothing),
        cmocka_unit_test(strings_are_unescaped),
        cmocka_unit_test(a_string_without_escapes_is_not_copied),
        cmocka_unit_test(wrong_strings_are_refused),
        cmocka_unit_test(lone_surrogates_are_refused),
        cmocka_unit_test(nul_is_refused_raw_and_escaped),
        cmocka_unit_test(malformed_utf8_is_refused),
        cmocka_unit_test(skipping_returns_the_value_as_it_stood),
        cmocka_unit_test(skipping_still_validates),
        cmocka_unit_test(every_prefix_of_a_document_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
