/* SPDX-License-Identifier: MIT
 *
 * Filters: what they become, and what they refuse by name. */
#include "api/memory_filter_priv.h"
#include "base/limits.h"
#include "filter_text.h"
#include "support/test.h"

#include <stdio.h>

static struct arena arena;
static struct memory_filters filters;
static struct err error;

static int up(void **state)
{
    (void)state;
    arena_init(&arena, 0);
    memory_filters_init(&filters, &arena);
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
    return memory_filters_add(&filters, "filters", bytes_cstr(json), &error);
}

static void becomes(const char *json, const char *text)
{
    memory_filters_init(&filters, &arena);
    if (add(json) != QMN_OK)
        fail_msg("%s: %s: %s", json, error.field, error.text);
    assert_string_equal(filter_text(&filters.all), text);
}

static void refused(const char *json, const char *field)
{
    struct memory_filters before = filters;
    if (add(json) != QMN_E_INVALID)
        fail_msg("not refused: %s", json);
    assert_string_equal(error.field, field);
    assert_memory_equal(&before, &filters, sizeof before);
}

static void says(const char *json, const char *text)
{
    assert_int_equal(add(json), QMN_E_INVALID);
    if (!strstr(error.text, text))
        fail_msg("\"%s\" does not say \"%s\"", error.text, text);
}

static void plain_values_are_equality(void **state)
{
    (void)state;
    becomes("{\"kind\":\"in\\u0073ight\",\"agent_id\":\"a\",\"quality\":0.5}",
            "(kind in[insight] agent in[a] quality in[0.5])");
    becomes("{\"metadata.a.b\":true,\"metadata.n\":-2.5,\"metadata.t\":\"\"}",
            "(metadata.a.b in[true] metadata.n in[-2.5] metadata.t in[])");
}

static void every_operator_is_understood(void **state)
{
    (void)state;
    becomes("{\"quality\":{\"$gt\":0.25,\"$lte\":0.75}}", "(quality > 0.25 quality <= 0.75)");
    becomes("{\"quality\":{\"$gte\":0.5,\"$lt\":1}}", "(quality >= 0.5 quality < 1)");
    becomes("{\"kind\":{\"$eq\":\"a\"}}", "kind in[a]");
    becomes("{\"kind\":{\"$ne\":\"a\"}}", "not(kind in[a])");
    becomes("{\"kind\":{\"$in\":[\"a\",\"b\"]}}", "kind in[a b]");
    becomes("{\"kind\":{\"$nin\":[\"a\"]}}", "not(kind in[a])");
    becomes("{\"task_id\":{\"$exists\":true}}", "task exists");
    becomes("{\"trace_id\":{\"$exists\":false}}", "not(trace exists)");
    becomes("{\"metadata.n\":{\"$not\":{\"$gt\":1,\"$lt\":5}}}",
            "not((metadata.n > 1 metadata.n < 5))");
    becomes("{\"$or\":[{\"kind\":\"a\"},{\"$and\":[{\"quality\":1},{\"kind\":\"b\"}]}]}",
            "or(kind in[a] (quality in[1] kind in[b]))");
    becomes("{\"$not\":{\"kind\":\"a\",\"quality\":1}}", "not((kind in[a] quality in[1]))");
}

static void times_and_labels_are_read(void **state)
{
    (void)state;
    becomes("{\"created_at\":{\"$gte\":\"1970-01-01T00:00:01Z\"}}", "created >= 1000");
    becomes("{\"updated_at\":{\"$lt\":\"1970-01-01T00:00:00.005\"}}", "updated < 5");
    becomes("{\"expires_at\":{\"$in\":[null,\"1970-01-01T00:00:02+00:00\"]}}",
            "expires in[null 2000]");
    becomes("{\"sensitivity\":{\"$lte\":\"internal\"}}", "sensitivity <= 2");
}

static void a_second_condition_only_narrows(void **state)
{
    (void)state;
    assert_int_equal(add("{\"kind\":\"a\"}"), QMN_OK);
    assert_int_equal(add("{\"kind\":\"b\"}"), QMN_OK);
    assert_int_equal(memory_filters_text(&filters, FILTER_AGENT, BYTES_LIT("x"), &error), QMN_OK);
    assert_int_equal(memory_filters_quality(&filters, 0.5, &error), QMN_OK);
    assert_string_equal(filter_text(&filters.all),
                        "(quality >= 0.5 agent in[x] kind in[b] kind in[a])");
}

static void null_is_no_condition_where_nothing_lacks_the_field(void **state)
{
    (void)state;
    becomes("{}", "()");
    becomes("", "()");
    becomes("{\"kind\":null,\"created_at\":null}", "()");
    becomes("{\"quality\":{\"$gt\":null},\"kind\":{\"$eq\":null}}", "(() ())");
    becomes("{\"kind\":{\"$in\":[null]}}", "kind in[]");
    becomes("{\"task_id\":null}", "task in[null]");
    becomes("{\"metadata.x\":{\"$ne\":null}}", "not(metadata.x in[null])");
}

static void what_is_not_understood_is_named(void **state)
{
    (void)state;
    refused("{\"colour\":\"red\"}", "filters.colour");
    refused("{\"quality\":{\"$regex\":\"x\"}}", "filters.quality.$regex");
    refused("{\"kind\":{\"$gt\":\"x\"}}", "filters.kind.$gt");
    refused("{\"kind\":5}", "filters.kind");
    refused("{\"kind\":\"\"}", "filters.kind");
    refused("{\"kind\":[\"a\"]}", "filters.kind");
    refused("{\"agent_id\":{\"$eq\":{}}}", "filters.agent_id.$eq");
    refused("{\"quality\":\"high\"}", "filters.quality");
    refused("{\"quality\":1.5}", "filters.quality");
    refused("{\"quality\":{\"$gt\":-0.1}}", "filters.quality.$gt");
    refused("{\"quality\":1e999}", "filters.quality");
    refused("{\"quality\":{}}", "filters.quality");
    refused("{\"sensitivity\":\"top\"}", "filters.sensitivity");
    refused("{\"created_at\":5}", "filters.created_at");
    refused("{\"created_at\":{\"$gt\":\"yesterday\"}}", "filters.created_at.$gt");
    refused("{\"expires_at\":{\"$gt\":null}}", "filters.expires_at.$gt");
    refused("{\"kind\":{\"$in\":\"a\"}}", "filters.kind.$in");
    refused("{\"kind\":{\"$in\":[\"a\",5]}}", "filters.kind.$in[1]");
    refused("{\"task_id\":{\"$exists\":1}}", "filters.task_id.$exists");
    refused("{\"metadata\":{\"a\":1}}", "filters.metadata");
    refused("{\"metadata.\":1}", "filters.metadata.");
    refused("{\"metadata.a..b\":1}", "filters.metadata.a..b");
    refused("{\"metadata.a\":{\"b\":1}}", "filters.metadata.a.b");
    refused("{\"metadata.a\":[1]}", "filters.metadata.a");
    refused("{\"metadata.a\":1e999}", "filters.metadata.a");
    refused("{\"metadata.a\":{\"$gt\":true}}", "filters.metadata.a.$gt");
    refused("{\"metadata.a\":{\"$not\":5}}", "filters.metadata.a.$not");
    refused("{\"$and\":[]}", "filters.$and");
    refused("{\"$or\":{}}", "filters.$or");
    refused("{\"$or\":[{},5]}", "filters.$or[1]");
    refused("{\"$or\":[{},{\"$and\":[{\"quality\":{\"$lt\":7}}]}]}",
            "filters.$or[1].$and[0].quality.$lt");
    refused("{\"$not\":[]}", "filters.$not");
    refused("{\"$where\":\"1\"}", "filters.$where");
    refused("[]", "filters");
}

static void an_error_says_what_came_and_what_was_meant(void **state)
{
    (void)state;
    says("{\"quality\":\"high\"}", "expected a number from 0 to 1; \"high\" came");
    says("{\"kind\":{\"$in\":7}}", "expected an array of values; 7 came");
    says("{\"kinds\":\"a\"}", "did you mean kind?");
    says("{\"metadat.x\":\"a\"}", "metadata.PATH");
    says("{\"quality\":{\"$gte \":0.5}}", "did you mean $gte?");
    says("{\"$nand\":[]}", "did you mean $and?");
    says("{\"metadata.a\":{\"b\":1}}", "\"metadata.a.b\"");
}

/* `head`, so many times `one`, `tail`. */
static const char *repeat(const char *head, const char *one, int times, const char *tail)
{
    size_t room = strlen(head) + strlen(one) * (size_t)times + strlen(tail) + 1, n;
    char *text = arena_alloc(&arena, room);
    n = (size_t)snprintf(text, room, "%s", head);
    for (int i = 0; i < times; i++)
        n += (size_t)snprintf(text + n, room - n, "%s", one);
    snprintf(text + n, room - n, "%s", tail);
    return text;
}

static void depth_number_and_length_are_bounded(void **state)
{
    (void)state;
    const char *inner = repeat("{\"kind\":\"a\"", "}", LIMIT_FILTER_DEPTH, "}");
    assert_int_equal(add(repeat("", "{\"$not\":", LIMIT_FILTER_DEPTH, inner)), QMN_OK);
    inner = repeat("{\"kind\":\"a\"", "}", LIMIT_FILTER_DEPTH + 1, "}");
    says(repeat("", "{\"$not\":", LIMIT_FILTER_DEPTH + 1, inner), "at most 8 of $and, $or");
    const char *one = "{\"kind\":\"a\"},";
    assert_int_equal(
        add(repeat("{\"$or\":[", one, LIMIT_FILTER_CONDITIONS - 1, "{\"kind\":\"a\"}]}")), QMN_OK);
    says(repeat("{\"$or\":[", one, LIMIT_FILTER_CONDITIONS, "{\"kind\":\"a\"}]}"),
         "at most 32 conditions");
    assert_string_equal(error.field, "filters.$or[32].kind");
    assert_int_equal(
        add(repeat("{\"metadata.a\":{\"$in\":[", "1,", LIMIT_FILTER_VALUES - 1, "1]}}")), QMN_OK);
    says(repeat("{\"metadata.a\":{\"$in\":[", "1,", LIMIT_FILTER_VALUES, "1]}}"),
         "at most 256 values");
    says(repeat("{\"metadata.a\":\"", "x", LIMIT_METADATA_VALUE_BYTES + 1, "\"}"),
         "at most 255 bytes; 256 came");
    says(repeat("{\"metadata.", "x", LIMIT_METADATA_PATH_BYTES, "\":1}"), "path of at most 255");
    assert_memory_equal(error.field, "...xxxx", 7); /* too long to be told: the end of it */
    says(repeat("{\"task_id\":\"", "x", 4 * LIMIT_ID_CHARS + 1, "\"}"), "at most 1020 bytes");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, up, down)
    const struct CMUnitTest tests[] = {
        TEST(plain_values_are_equality),
        TEST(every_operator_is_understood),
        TEST(times_and_labels_are_read),
        TEST(a_second_condition_only_narrows),
        TEST(null_is_no_condition_where_nothing_lacks_the_field),
        TEST(what_is_not_understood_is_named),
        TEST(an_error_says_what_came_and_what_was_meant),
        TEST(depth_number_and_length_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
