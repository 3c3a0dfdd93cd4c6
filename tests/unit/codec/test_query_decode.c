/* SPDX-License-Identifier: MIT */
#include "schema.h"

#include <string.h>

static Test__V1__All *query(const char *text, struct err *err)
{
    ProtobufCMessage *msg = NULL;
    *err = (struct err){0};
    struct bytes copy = arena_bytes(schema_arena(), bytes_cstr(text));
    if (query_decode(copy, &test__v1__all__descriptor, schema_arena(), &msg, err) != QMN_OK)
        assert_null(msg);
    return (Test__V1__All *)msg;
}

static void assert_bad(const char *text, enum qmn_code code, const char *field, const char *part)
{
    struct err err;
    if (!query(text, &err) && err.code == code && strcmp(err.field, field) == 0 &&
        strstr(err.text, part))
        return;
    print_error("%s: code %d, field \"%s\", \"%s\"\n", text, (int)err.code, err.field, err.text);
    fail();
}

static void scalars_are_read_from_a_query(void **state)
{
    (void)state;
    struct err err;
    Test__V1__All *m = query("i32=-5&u32=12&u64=7&d=0.5&f=1e-2&b=true&s=a%20b+c&color=dark_blue&"
                             "at=2024-05-01T10:00:00Z&blob=AAEC",
                             &err);
    assert_non_null(m);
    assert_true(m->has_i32 && m->i32 == -5);
    assert_true(m->has_u32 && m->u32 == 12);
    assert_true(m->has_d && m->d == 0.5);
    assert_true(m->f == 0.01f);
    assert_true(m->has_b && m->b);
    assert_string_equal(m->s, "a b c");
    assert_true(m->color == TEST__V1__COLOR__COLOR_DARK_BLUE);
    assert_true(m->at == INT64_C(1714557600000));
    assert_int_equal(m->blob.len, 3);
}

static void an_empty_query_gives_the_defaults(void **state)
{
    (void)state;
    struct err err;
    static const char *const empty[] = {"", "&", "&&", "other=1&&more"};
    for (size_t i = 0; i < ARRAY_LEN(empty); i++) {
        Test__V1__All *m = query(empty[i], &err);
        assert_non_null(m);
        assert_true(!m->has_u32 && m->u32 == 7);
    }
}

static void names_are_unescaped_too(void **state)
{
    (void)state;
    struct err err;
    Test__V1__All *m = query("%75%332=9", &err);
    assert_non_null(m);
    assert_int_equal(m->u32, 9);
}

static void booleans_have_the_spellings_of_clients(void **state)
{
    (void)state;
    struct err err;
    assert_true(query("b=1", &err)->b);
    assert_true(query("b=True", &err)->b);
    Test__V1__All *m = query("b=False", &err);
    assert_true(m->has_b && !m->b);
    assert_bad("b=yes", QMN_E_INVALID, "b", "true or false, got \"yes\"");
    assert_bad("b", QMN_E_INVALID, "b", "true or false");
}

static void duplicates_are_refused(void **state)
{
    (void)state;
    assert_bad("u32=5&u32=5", QMN_E_MALFORMED, "u32", "got two");
    assert_bad("u32=5&%7532=6", QMN_E_MALFORMED, "u32", "got two");
}

static void bad_percent_signs_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"s=%", "s=%4", "s=%g1", "s=%1g", "%zz=1", "other=%"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_bad(bad[i], QMN_E_MALFORMED, "", "two hex digits");
}

static void bad_utf8_and_nul_are_refused(void **state)
{
    (void)state;
    assert_bad("s=%ff%fe", QMN_E_MALFORMED, "", "UTF-8");
    assert_bad("s=%c3", QMN_E_MALFORMED, "", "UTF-8");
    assert_bad("s=ab%00", QMN_E_MALFORMED, "", "NUL");
    assert_bad("unknown=%ed%a0%80", QMN_E_MALFORMED, "", "UTF-8");
}

static void numbers_are_strict(void **state)
{
    (void)state;
    static const char *const bad[] = {"u32=",           "u32=x",   "u32=1x",    "u32=0x10",
                                      "u32=1.5",        "u32=-1",  "u32=1%201", "u32=%2B5",
                                      "u32=4294967296", "u32=true"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_bad(bad[i], QMN_E_INVALID, "u32", "expected an integer");
    assert_bad("d=NaN", QMN_E_INVALID, "d", "expected a number");
    assert_bad("at=now", QMN_E_INVALID, "at", "RFC 3339");
}

static void constraints_hold(void **state)
{
    (void)state;
    assert_bad("u32=101", QMN_E_INVALID, "u32", "expected 1 to 100, got 101");
    assert_bad("word=three", QMN_E_INVALID, "word", "one of");
}

static void lists_and_messages_belong_in_the_body(void **state)
{
    (void)state;
    assert_bad("strings=a", QMN_E_INVALID, "strings", "in the body");
    assert_bad("inner=a", QMN_E_INVALID, "inner", "in the body");
}

static void a_path_parameter_is_one_text(void **state)
{
    (void)state;
    struct arena *a = schema_arena();
    struct err err = {0};
    Test__V1__All *m = (Test__V1__All *)message_new(&test__v1__all__descriptor, a);
    assert_int_equal(message_set_text(&m->base, "s", BYTES_LIT("a+%"), a, &err), QMN_OK);
    assert_string_equal(m->s, "a+%");
    assert_int_equal(message_set_text(&m->base, "u32", BYTES_LIT("5"), a, &err), QMN_OK);
    assert_true(m->has_u32 && m->u32 == 5);
    assert_int_equal(message_set_text(&m->base, "s", BYTES_LIT("\xff"), a, &err), QMN_E_MALFORMED);
    assert_string_equal(err.field, "s");
    assert_int_equal(message_set_text(&m->base, "s", BYTES_LIT("a\0b"), a, &err), QMN_E_MALFORMED);
    assert_int_equal(message_set_text(&m->base, "nope", BYTES_LIT("a"), a, &err), QMN_E_INTERNAL);
    assert_int_equal(message_set_text(&m->base, "strings", BYTES_LIT("a"), a, &err),
                     QMN_E_INTERNAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars_are_read_from_a_query),
        cmocka_unit_test(an_empty_query_gives_the_defaults),
        cmocka_unit_test(names_are_unescaped_too),
        cmocka_unit_test(booleans_have_the_spellings_of_clients),
        cmocka_unit_test(duplicates_are_refused),
        cmocka_unit_test(bad_percent_signs_are_refused),
        cmocka_unit_test(bad_utf8_and_nul_are_refused),
        cmocka_unit_test(numbers_are_strict),
        cmocka_unit_test(constraints_hold),
        cmocka_unit_test(lists_and_messages_belong_in_the_body),
        cmocka_unit_test(a_path_parameter_is_one_text),
    };
    return cmocka_run_group_tests(tests, schema_setup, schema_teardown);
}
