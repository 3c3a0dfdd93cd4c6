/* SPDX-License-Identifier: MIT */
#include "support/test.h"

#include "base/err.h"

static void setting_returns_the_code_and_keeps_the_detail(void **state)
{
    (void)state;
    struct err e;
    assert_int_equal(err_set(&e, QMN_E_DIMENSION, "got %d, expected %d", 3, 1536), QMN_E_DIMENSION);
    assert_int_equal(e.code, QMN_E_DIMENSION);
    assert_string_equal(e.text, "got 3, expected 1536");
    assert_string_equal(e.field, "");
    assert_int_equal(err_field(&e, QMN_E_INVALID, "ttl_sec", "got %d", 0), QMN_E_INVALID);
    assert_string_equal(e.field, "ttl_sec");
    assert_int_equal(err_retry(&e, QMN_E_QUOTA, 30, "later"), QMN_E_QUOTA);
    assert_int_equal(e.retry_after_s, 30);
    assert_string_equal(e.field, ""); /* nothing of the previous failure is left */
    assert_int_equal(err_nomem(&e), QMN_E_NOMEM);
    assert_int_equal(e.retry_after_s, 0);
}

static void nobody_has_to_want_the_detail(void **state)
{
    (void)state;
    assert_int_equal(err_set(NULL, QMN_E_GONE, "%s", "x"), QMN_E_GONE);
    assert_int_equal(err_field(NULL, QMN_E_INVALID, "f", "x"), QMN_E_INVALID);
    assert_int_equal(err_retry(NULL, QMN_E_QUOTA, 1, "x"), QMN_E_QUOTA);
    assert_int_equal(err_nomem(NULL), QMN_E_NOMEM);
}

static void long_text_is_cut_inside_its_room(void **state)
{
    (void)state;
    char wide[2000];
    memset(wide, 'w', sizeof wide - 1);
    wide[sizeof wide - 1] = 0;
    struct err e;
    err_field(&e, QMN_E_INVALID, wide, "%s", wide);
    assert_int_equal(strlen(e.field), sizeof e.field - 1);
    assert_int_equal(strlen(e.text), sizeof e.text - 1);
}

static void every_code_is_complete_and_its_wire_name_unique(void **state)
{
    (void)state;
    for (int i = 0; i < QMN_CODE_COUNT; i++) {
        const struct code_info *c = code_info((enum qmn_code)i);
        assert_in_range(c->http_status, 200, 507);
        assert_in_range(c->grpc_status, 0, 16);
        assert_int_equal(c->grpc_status == 0, i == QMN_OK);
        assert_true(c->title[0] != 0);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(c->wire, code_info((enum qmn_code)j)->wire);
    }
}

static void an_unknown_code_reads_as_internal(void **state)
{
    (void)state;
    assert_int_equal(code_info(QMN_CODE_COUNT)->http_status, 500);
    assert_int_equal(code_info((enum qmn_code)999)->http_status, 500);
    assert_int_equal(code_info((enum qmn_code)(unsigned)-1)->http_status, 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(setting_returns_the_code_and_keeps_the_detail),
        cmocka_unit_test(nobody_has_to_want_the_detail),
        cmocka_unit_test(long_text_is_cut_inside_its_room),
        cmocka_unit_test(every_code_is_complete_and_its_wire_name_unique),
        cmocka_unit_test(an_unknown_code_reads_as_internal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
