/* SPDX-License-Identifier: MIT
 *
 * Filters: what they narrow, and what they refuse by name. */
#include "api/memory_filter_priv.h"
#include "support/test.h"

static struct arena arena;
static struct memory_filter filter;
static struct err error;

static int up(void **state)
{
    (void)state;
    arena_init(&arena, 0);
    filter = memory_filter_any();
    return 0;
}

static int down(void **state)
{
    (void)state;
    arena_release(&arena);
    return 0;
}

static enum qmn_code add(const char *json)
{
    error = (struct err){.code = QMN_OK};
    return memory_filter_add(&filter, "filters", bytes_cstr(json), &arena, &error);
}

static void refused(const char *json, const char *field)
{
    struct memory_filter before = filter;
    assert_int_equal(add(json), QMN_E_INVALID);
    assert_string_equal(error.field, field);
    assert_memory_equal(&before, &filter, sizeof before);
}

static void plain_values_are_equality(void **state)
{
    (void)state;
    assert_int_equal(add("{\"kind\":\"in\\u0073ight\",\"agent_id\":\"a\",\"quality\":0.5}"),
                     QMN_OK);
    assert_bytes_equal(filter.kind, "insight");
    assert_bytes_equal(filter.agent_id, "a");
    assert_true(filter.quality_min == 0.5 && filter.quality_max == 0.5);
    assert_true(filter.quality_above < 0 && filter.quality_below > 1);
}

static void operators_bound_the_quality(void **state)
{
    (void)state;
    assert_int_equal(add("{\"quality\":{\"$gt\":0.25,\"$lte\":0.75}}"), QMN_OK);
    assert_true(filter.quality_above == 0.25 && filter.quality_max == 0.75);
    assert_true(filter.quality_min < 0 && filter.quality_below > 1);
    assert_int_equal(add("{\"quality\":{\"$gte\":0.5,\"$lt\":0.625}}"), QMN_OK);
    assert_true(filter.quality_min == 0.5 && filter.quality_below == 0.625);
}

static void a_second_condition_only_narrows(void **state)
{
    (void)state;
    assert_int_equal(add("{\"quality\":{\"$gte\":0.5}}"), QMN_OK);
    assert_int_equal(add("{\"quality\":{\"$gte\":0.25,\"$eq\":0.75}}"), QMN_OK);
    assert_true(filter.quality_min == 0.75 && filter.quality_max == 0.75);
    assert_int_equal(add("{\"kind\":{\"$eq\":\"k\"}}"), QMN_OK);
    assert_int_equal(add("{\"kind\":\"k\"}"), QMN_OK);
    refused("{\"kind\":\"other\"}", "filters.kind");
}

static void null_and_nothing_are_no_condition(void **state)
{
    (void)state;
    struct memory_filter any = memory_filter_any();
    assert_int_equal(add("{}"), QMN_OK);
    assert_int_equal(add(""), QMN_OK);
    assert_int_equal(add("{\"kind\":null,\"quality\":{\"$gt\":null}}"), QMN_OK);
    assert_memory_equal(&any, &filter, sizeof any);
}

static void what_is_not_understood_is_named(void **state)
{
    (void)state;
    refused("{\"colour\":\"red\"}", "filters.colour");
    refused("{\"quality\":{\"$regex\":\"x\"}}", "filters.quality.$regex");
    refused("{\"quality\":{\"$regex\":0.5}}", "filters.quality.$regex");
    refused("{\"kind\":{\"$gt\":\"x\"}}", "filters.kind.$gt");
    refused("{\"kind\":5}", "filters.kind");
    refused("{\"kind\":\"\"}", "filters.kind");
    refused("{\"kind\":[\"a\"]}", "filters.kind");
    refused("{\"agent_id\":{\"$eq\":{}}}", "filters.agent_id.$eq");
    refused("{\"quality\":\"high\"}", "filters.quality");
    refused("{\"quality\":1.5}", "filters.quality");
    refused("{\"quality\":{\"$gt\":-0.1}}", "filters.quality.$gt");
    refused("{\"quality\":1e999}", "filters.quality");
    refused("{\"$and\":[]}", "filters.$and");
    refused("[]", "filters");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, up, down)
    const struct CMUnitTest tests[] = {
        TEST(plain_values_are_equality),       TEST(operators_bound_the_quality),
        TEST(a_second_condition_only_narrows), TEST(null_and_nothing_are_no_condition),
        TEST(what_is_not_understood_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
