/* SPDX-License-Identifier: MIT */
#include "support/test.h"

#include "codec/json_read.h"
#include "codec/problem.h"

static void a_problem_names_code_status_and_field(void **state)
{
    (void)state;
    struct err err;
    struct buf b;
    buf_init(&b, 2000);
    (void)err_field(&err, QMN_E_INVALID, "profile.embedding", "expected \"2\", got 1");
    problem_encode(&err, &b);
    assert_bytes_equal(
        buf_bytes(&b),
        "{\"type\":\"urn:qmn:problem:invalid\",\"title\":\"Constraint broken\","
        "\"status\":422,\"detail\":\"expected \\\"2\\\", got 1\",\"code\":\"invalid\","
        "\"field\":\"profile.embedding\"}");
    buf_release(&b);
}

static void a_problem_without_field_or_text_has_a_detail(void **state)
{
    (void)state;
    struct err err = {.code = QMN_E_NOT_FOUND};
    struct buf b;
    buf_init(&b, 2000);
    problem_encode(&err, &b);
    assert_bytes_equal(buf_bytes(&b),
                       "{\"type\":\"urn:qmn:problem:not_found\",\"title\":\"Not found\","
                       "\"status\":404,\"detail\":\"Not found\",\"code\":\"not_found\"}");
    buf_release(&b);
}

static void every_code_makes_valid_json_even_of_broken_text(void **state)
{
    (void)state;
    for (int code = QMN_E_MALFORMED; code < QMN_CODE_COUNT; code++) {
        struct err err;
        struct buf b;
        struct arena a;
        enum json_kind kind;
        buf_init(&b, 4000);
        arena_init(&a, 0);
        (void)err_field(&err, (enum qmn_code)code, "x\n", "cut in the middle: \xe2\x82 \x01");
        problem_encode(&err, &b);
        assert_true(json_valid(buf_bytes(&b), &a, &kind));
        assert_int_equal(kind, JSON_OBJECT);
        arena_release(&a);
        buf_release(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_problem_names_code_status_and_field),
        cmocka_unit_test(a_problem_without_field_or_text_has_a_detail),
        cmocka_unit_test(every_code_makes_valid_json_even_of_broken_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
