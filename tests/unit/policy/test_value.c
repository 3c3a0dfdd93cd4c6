/* SPDX-License-Identifier: MIT
 *
 * Values: paths, comparison, patterns, words; and the JSON they are built from. */
#include "support/test.h"

#include <stdio.h>

#include "base/limits.h"
#include "base/rng.h"
#include "engine/policy_json_priv.h"

static struct arena arena;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_release(&arena);
    return 0;
}

static const struct policy_value *parse(const char *json)
{
    const struct policy_value *v = NULL;
    assert_int_equal(policy_json(bytes_cstr(json), &arena, &v, NULL), QMN_OK);
    return v;
}

static void json_becomes_the_same_tree(void **state)
{
    (void)state;
    const struct policy_value *v =
        parse("{\"a\":[1,-2.5,\"x\\u00e9\\n\",true,false,null,[],{}],\"b\":{\"c\":{\"d\":7}}}");
    const struct policy_value *a = policy_member(v, BYTES_LIT("a"));
    static const enum policy_value_type types[] = {POLICY_NUMBER, POLICY_NUMBER, POLICY_TEXT,
                                                   POLICY_BOOL,   POLICY_BOOL,   POLICY_NULL,
                                                   POLICY_LIST,   POLICY_MAP};
    const struct policy_value *x = a->first;
    for (size_t i = 0; i < ARRAY_LEN(types); i++, x = x->next)
        assert_int_equal(x->type, types[i]);
    assert_null(x);
    assert_true(a->first->next->number == -2.5);
    assert_bytes_equal(a->first->next->next->text, "x\xc3\xa9\n");
    assert_true(policy_path(v, BYTES_LIT("b.c.d"))->number == 7);
    assert_int_equal(parse("7")->type, POLICY_NUMBER);
}

static void deep_json_is_built_to_the_readers_limit(void **state)
{
    (void)state;
    char text[2 * LIMIT_JSON_DEPTH + 3];
    const struct policy_value *v;
    memset(text, '[', LIMIT_JSON_DEPTH);
    memset(text + LIMIT_JSON_DEPTH, ']', LIMIT_JSON_DEPTH);
    text[2 * LIMIT_JSON_DEPTH] = 0;
    v = parse(text);
    for (int i = 1; i < LIMIT_JSON_DEPTH; i++)
        v = v->first;
    assert_null(v->first);
    memset(text, '[', LIMIT_JSON_DEPTH + 1);
    memset(text + LIMIT_JSON_DEPTH + 1, ']', LIMIT_JSON_DEPTH + 1);
    text[2 * LIMIT_JSON_DEPTH + 2] = 0;
    assert_int_equal(policy_json(bytes_cstr(text), &arena, &v, NULL), QMN_E_MALFORMED);
}

static void json_that_is_none_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",    "{",   "[1,]",       "{\"a\":1,\"a\":2}",
                                      "1 2", "nul", "\"\\ud800\""};
    const struct policy_value *v = NULL;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(policy_json(bytes_cstr(bad[i]), &arena, &v, NULL), QMN_E_MALFORMED);
    assert_int_equal(policy_json(BYTES_LIT("1e999"), &arena, &v, NULL), QMN_E_INVALID);
    assert_null(v);
}

static void paths_prefer_the_whole_name(void **state)
{
    (void)state;
    const struct policy_value *v = parse("{\"a.b\":1,\"a\":{\"b\":2,\"c\":3}}");
    assert_true(policy_path(v, BYTES_LIT("a.b"))->number == 1);
    assert_true(policy_path(v, BYTES_LIT("a.c"))->number == 3);
    assert_null(policy_path(v, BYTES_LIT("a.d")));
    assert_null(policy_path(v, BYTES_LIT("a.b.c")));
    assert_null(policy_path(v, BYTES_LIT("")));
    assert_null(policy_path(v, BYTES_LIT(".")));
    assert_null(policy_path(NULL, BYTES_LIT("a")));
}

static bool same(const char *a, const char *b)
{
    return policy_equal(parse(a), parse(b));
}

static void equality_is_deep_and_of_one_type(void **state)
{
    (void)state;
    assert_true(
        same("{\"a\":[1,{\"b\":null}],\"c\":\"x\"}", "{\"c\":\"x\",\"a\":[1,{\"b\":null}]}"));
    assert_true(same("1", "1.0"));
    assert_false(same("1", "\"1\""));
    assert_false(same("true", "1"));
    assert_false(same("true", "false"));
    assert_false(same("null", "false"));
    assert_false(same("[1,2]", "[2,1]"));
    assert_false(same("[1]", "[1,1]"));
    assert_false(same("{\"a\":1}", "{\"a\":1,\"b\":2}"));
    assert_false(same("{\"a\":1}", "{\"b\":1}"));
    assert_false(same("\"a\"", "\"A\""));
}

static void order_is_of_numbers_and_of_texts(void **state)
{
    (void)state;
    int order = 9;
    assert_true(policy_order(parse("2"), parse("10"), &order));
    assert_true(order < 0);
    assert_true(policy_order(parse("\"2\""), parse("\"10\""), &order));
    assert_true(order > 0);
    assert_false(policy_order(parse("2"), parse("\"10\""), &order));
    assert_false(policy_order(parse("true"), parse("true"), &order));
    assert_false(policy_order(parse("[1]"), parse("[1]"), &order));
}

static bool glob(const char *pattern, const char *text)
{
    return policy_glob(bytes_cstr(pattern), bytes_cstr(text), false);
}

static void patterns_match_whole_texts(void **state)
{
    (void)state;
    assert_true(glob("agent-*", "agent-7"));
    assert_true(glob("AGENT-*", "agent-"));
    assert_true(glob("*", ""));
    assert_true(glob("", ""));
    assert_true(glob("a?c", "abc"));
    assert_true(glob("a?c", "a\xc3\xa9"
                            "c")); /* one character */
    assert_true(glob("*a*b*c", "xxaxxbxxcxc"));
    assert_true(glob("memory:*", "memory:read"));
    assert_false(glob("memory:*", "xmemory:read"));
    assert_false(glob("a?c", "ac"));
    assert_false(glob("abc", "abcd"));
    assert_false(glob("abc", "ab"));
    assert_false(glob("", "a"));
}

static void patterns_find_parts_when_asked(void **state)
{
    (void)state;
    assert_true(policy_glob(BYTES_LIT("ssn"), BYTES_LIT("my SSN is"), true));
    assert_true(policy_glob(BYTES_LIT("a*z"), BYTES_LIT("--a--z--"), true));
    assert_true(policy_glob(BYTES_LIT("end"), BYTES_LIT("the end"), true));
    assert_true(policy_glob(BYTES_LIT("aab"), BYTES_LIT("aaab"), true));
    assert_false(policy_glob(BYTES_LIT("z*a"), BYTES_LIT("--a--z--"), true));
    assert_false(policy_glob(BYTES_LIT("ends"), BYTES_LIT("the end"), true));
    assert_false(policy_glob(BYTES_LIT("x"), BYTES_LIT(""), true));
}

/* The textbook recursion. */
static bool oracle(const char *p, const char *t, const char *end)
{
    if (!*p)
        return t == end;
    if (*p == '*')
        return oracle(p + 1, t, end) || (t < end && oracle(p, t + 1, end));
    return t < end && (*p == '?' || *p == *t) && oracle(p + 1, t + 1, end);
}

static void patterns_agree_with_the_textbook(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 3);
    for (int i = 0; i < 200000; i++) {
        char pattern[9] = "", text[11] = "", around[11];
        uint32_t p = rng_below(&rng, 9), t = rng_below(&rng, 11);
        for (uint32_t k = 0; k < p; k++)
            pattern[k] = "ab*?"[rng_below(&rng, 4)];
        for (uint32_t k = 0; k < t; k++)
            text[k] = "ab"[rng_below(&rng, 2)];
        snprintf(around, sizeof around, "*%s*", pattern);
        assert_int_equal(glob(pattern, text), oracle(pattern, text, text + t));
        assert_int_equal(policy_glob(bytes_cstr(pattern), bytes_cstr(text), true),
                         oracle(around, text, text + t));
    }
}

/* Exponential matchers need ages for this. */
static void many_stars_take_no_ages(void **state)
{
    (void)state;
    char text[4097], pattern[101];
    memset(text, 'a', 4096);
    text[4096] = 0;
    for (int i = 0; i < 98; i += 2)
        memcpy(pattern + i, "a*", 2);
    memcpy(pattern + 98, "b", 2);
    assert_false(policy_glob(bytes_cstr(pattern), bytes_cstr(text), true));
}

static bool word(const char *term, const char *text)
{
    return policy_has_word(bytes_cstr(term), bytes_cstr(text));
}

static void words_stand_alone(void **state)
{
    (void)state;
    assert_true(word("secret", "A Secret!"));
    assert_true(word("secret", "secret"));
    assert_true(word("top secret", "this is top secret."));
    assert_true(word("c++", "I like c++ a lot"));
    assert_true(word("a", "b a b"));
    assert_true(word("an", "banana an"));
    assert_false(word("secret", "secretary"));
    assert_false(word("secret", "topsecret"));
    assert_false(word("secret", "secret_x"));
    assert_false(word("caf", "caf\xc3\xa9"));
    assert_false(word("secret", "secre"));
    assert_false(word("", "anything"));
    assert_false(word("x", ""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_becomes_the_same_tree),
        cmocka_unit_test(deep_json_is_built_to_the_readers_limit),
        cmocka_unit_test(json_that_is_none_is_refused),
        cmocka_unit_test(paths_prefer_the_whole_name),
        cmocka_unit_test(equality_is_deep_and_of_one_type),
        cmocka_unit_test(order_is_of_numbers_and_of_texts),
        cmocka_unit_test(patterns_match_whole_texts),
        cmocka_unit_test(patterns_find_parts_when_asked),
        cmocka_unit_test(patterns_agree_with_the_textbook),
        cmocka_unit_test(many_stars_take_no_ages),
        cmocka_unit_test(words_stand_alone),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
