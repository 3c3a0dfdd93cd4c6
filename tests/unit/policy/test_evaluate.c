/* SPDX-License-Identifier: MIT
 *
 * Each kind of rule: what it allows, what it denies, and that it denies what it cannot decide. */
#include "support/test.h"

#include <stdio.h>

#include "engine/policy_json_priv.h"
#include "policy/evaluate.h"

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
    if (json)
        assert_int_equal(policy_json(bytes_cstr(json), &arena, &v, NULL), QMN_OK);
    return v;
}

static const char *subject, *resource, *context, *action;

static struct policy_verdict judge(enum policy_type type, const char *rules)
{
    struct policy_verdict v;
    struct policy_request r = {.subject = parse(subject),
                               .resource = parse(resource),
                               .context = parse(context),
                               .action = bytes_cstr(action)};
    policy_evaluate(type, parse(rules), &r, &arena, &v);
    assert_int_equal(v.allowed, v.failed_count == 0);
    assert_int_not_equal(v.reason.len, 0);
    return v;
}

static bool allows(enum policy_type type, const char *rules)
{
    return judge(type, rules).allowed;
}

static void request(const char *s, const char *r, const char *c, const char *a)
{
    subject = s;
    resource = r;
    context = c;
    action = a;
}

/* ---- dlp ---- */

static void the_label_may_not_be_above_the_highest(void **state)
{
    (void)state;
    static const char *const labels[] = {"public", "internal", "confidential", "secret"};
    for (int most = 0; most < 4; most++)
        for (int has = 0; has < 4; has++) {
            char rules[64], res[64];
            snprintf(rules, sizeof rules, "{\"max_sensitivity\":\"%s\"}", labels[most]);
            snprintf(res, sizeof res, "{\"sensitivity\":\"%s\"}", labels[has]);
            request(NULL, res, NULL, NULL);
            assert_int_equal(allows(POLICY_DLP, rules), has <= most);
        }
}

static void a_label_that_is_missing_or_unknown_denies(void **state)
{
    (void)state;
    static const char *const bad[] = {"{}", "{\"sensitivity\":3}", "{\"sensitivity\":\"Public\"}",
                                      "{\"sensitivity\":null}", NULL};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        request(NULL, bad[i], NULL, NULL);
        assert_false(allows(POLICY_DLP, "{\"max_sensitivity\":\"secret\"}"));
        assert_false(allows(POLICY_DLP, "{\"sensitivity_rules\":{}}"));
    }
}

static void roles_are_one_or_many(void **state)
{
    (void)state;
    const char *rules = "{\"allowed_roles\":[\"analyst\",\"auditor\"]}";
    request("{\"role\":\"analyst\"}", NULL, NULL, NULL);
    assert_true(allows(POLICY_DLP, rules));
    request("{\"roles\":[\"guest\",\"auditor\"]}", NULL, NULL, NULL);
    assert_true(allows(POLICY_DLP, rules));
    request("{\"role\":\"guest\",\"roles\":[\"auditor\"]}", NULL, NULL, NULL);
    assert_true(allows(POLICY_DLP, rules));
    static const char *const denied[] = {
        "{\"role\":\"guest\"}",    "{\"roles\":[]}",  "{}", "{\"role\":[\"analyst\"]}",
        "{\"roles\":\"analyst\"}", "{\"roles\":[1]}", NULL};
    for (size_t i = 0; i < ARRAY_LEN(denied); i++) {
        request(denied[i], NULL, NULL, NULL);
        assert_false(allows(POLICY_DLP, rules));
    }
}

static void agents_match_by_pattern(void **state)
{
    (void)state;
    const char *rules = "{\"allowed_agents\":[\"finance-*\",\"ann\"]}";
    request("{\"id\":\"finance-7\"}", NULL, NULL, NULL);
    assert_true(allows(POLICY_DLP, rules));
    request("{\"id\":\"ann\"}", NULL, NULL, NULL);
    assert_true(allows(POLICY_DLP, rules));
    request("{\"id\":\"anna\"}", NULL, NULL, NULL);
    assert_false(allows(POLICY_DLP, rules));
    request("{}", NULL, NULL, NULL);
    assert_false(allows(POLICY_DLP, rules));
    assert_false(allows(POLICY_DLP, "{\"allowed_agents\":[]}"));
}

static void every_required_capability_must_be_there(void **state)
{
    (void)state;
    const char *rules = "{\"required_capabilities\":[\"pii\",\"audit\"]}";
    request("{\"capabilities\":[\"audit\",\"x\",\"pii\"]}", NULL, NULL, NULL);
    assert_true(allows(POLICY_DLP, rules));
    request("{\"capabilities\":[\"pii\"]}", NULL, NULL, NULL);
    assert_false(allows(POLICY_DLP, rules));
    request("{}", NULL, NULL, NULL);
    assert_false(allows(POLICY_DLP, rules));
}

static void encryption_is_required_only_when_true(void **state)
{
    (void)state;
    request(NULL, "{\"encrypted\":true}", NULL, NULL);
    assert_true(allows(POLICY_DLP, "{\"require_encryption\":true}"));
    request(NULL, "{\"encrypted\":\"true\"}", NULL, NULL);
    assert_false(allows(POLICY_DLP, "{\"require_encryption\":true}"));
    assert_true(allows(POLICY_DLP, "{\"require_encryption\":false}"));
}

static void blocked_patterns_are_sought_in_every_text(void **state)
{
    (void)state;
    const char *rules = "{\"blocked_patterns\":[\"iban *\",\"password\"]}";
    request(NULL, "{\"a\":[{\"b\":\"my PassWord: x\"}]}", NULL, NULL);
    struct policy_verdict v = judge(POLICY_DLP, rules);
    assert_false(v.allowed);
    assert_bytes_equal(v.failed[0], "blocked_patterns");
    assert_non_null(memmem(v.reason.ptr, v.reason.len, "\"password\"", 10));
    request(NULL, "{\"a\":\"pass word\",\"password\":1}", NULL, NULL); /* names are not content */
    assert_true(allows(POLICY_DLP, rules));
    request(NULL, NULL, "{\"text\":\"IBAN DE\"}", NULL);
    assert_false(allows(POLICY_DLP, rules));
    request(NULL, NULL, NULL, NULL);
    assert_false(allows(POLICY_DLP, rules)); /* nothing to look at */
    request("{\"role\":\"a\"}", NULL, NULL, NULL);
    assert_false(allows(POLICY_DLP, "{\"allowed_roles\":[\"a\"],\"blocked_patterns\":[\"x\"]}"));
}

static void rules_by_label_apply_to_their_label(void **state)
{
    (void)state;
    const char *rules = "{\"sensitivity_rules\":{\"confidential\":{\"allowed_agents\":[\"fin-*\"],"
                        "\"required_capabilities\":[\"pii\"]},\"internal\":{}}}";
    request("{\"id\":\"x\"}", "{\"sensitivity\":\"public\"}", NULL, NULL);
    assert_true(allows(POLICY_DLP, rules));
    request("{\"id\":\"x\"}", "{\"sensitivity\":\"internal\"}", NULL, NULL);
    assert_true(allows(POLICY_DLP, rules));
    request("{\"id\":\"x\",\"capabilities\":[\"pii\"]}", "{\"sensitivity\":\"confidential\"}", NULL,
            NULL);
    assert_false(allows(POLICY_DLP, rules));
    request("{\"id\":\"fin-1\",\"capabilities\":[\"pii\"]}", "{\"sensitivity\":\"confidential\"}",
            NULL, NULL);
    assert_true(allows(POLICY_DLP, rules));
    request("{\"id\":\"fin-1\",\"capabilities\":[]}", "{\"sensitivity\":\"confidential\"}", NULL,
            NULL);
    assert_false(allows(POLICY_DLP, rules));
}

/* ---- rbac ---- */

static void a_role_permits_actions_by_pattern(void **state)
{
    (void)state;
    const char *rules = "{\"roles\":{\"analyst\":[\"memory:read\",\"contexts:*\"],"
                        "\"admin\":{\"permissions\":[\"*\"]},\"guest\":[]}}";
    static const struct {
        const char *subject, *action;
        bool allowed;
    } rows[] = {
        {"{\"role\":\"analyst\"}", "memory:read", true},
        {"{\"role\":\"analyst\"}", "contexts:collect", true},
        {"{\"role\":\"analyst\"}", "memory:write", false},
        {"{\"role\":\"admin\"}", "anything", true},
        {"{\"role\":\"guest\"}", "memory:read", false},
        {"{\"role\":\"stranger\"}", "memory:read", false},
        {"{\"roles\":[\"guest\",\"analyst\"]}", "memory:read", true},
        {"{}", "memory:read", false},
        {"{\"role\":\"admin\"}", NULL, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        request(rows[i].subject, NULL, NULL, rows[i].action);
        assert_int_equal(allows(POLICY_RBAC, rules), rows[i].allowed);
    }
}

static void the_older_name_of_roles_works_too(void **state)
{
    (void)state;
    request("{\"role\":\"a\"}", NULL, NULL, "x");
    assert_true(allows(POLICY_RBAC, "{\"rbac_roles\":{\"a\":{\"permissions\":[\"x\"]}}}"));
    assert_false(allows(POLICY_RBAC, "{\"rbac_roles\":{\"a\":{\"permissions\":[\"y\"]}}}"));
}

/* ---- abac ---- */

#define ONE(attribute, op, value)                                                                  \
    "{\"conditions\":[{\"attribute\":\"" attribute "\",\"op\":\"" op "\",\"value\":" value "}]}"

static void operators_compare(void **state)
{
    (void)state;
    static const struct {
        const char *rules;
        bool allowed;
    } rows[] = {
        {ONE("subject.n", "$eq", "5"), true},
        {ONE("subject.n", "$eq", "6"), false},
        {ONE("subject.n", "$ne", "6"), true},
        {ONE("subject.n", "$ne", "5"), false},
        {ONE("subject.n", "$gt", "4.9"), true},
        {ONE("subject.n", "$gt", "5"), false},
        {ONE("subject.n", "$gte", "5"), true},
        {ONE("subject.n", "$lt", "5"), false},
        {ONE("subject.n", "$lt", "5.1"), true},
        {ONE("subject.n", "$lte", "5"), true},
        {ONE("subject.t", "$gt", "\"abc\""), true},
        {ONE("subject.t", "$in", "[\"x\",\"abd\"]"), true},
        {ONE("subject.t", "$in", "[]"), false},
        {ONE("subject.t", "$nin", "[\"x\"]"), true},
        {ONE("subject.t", "$nin", "[\"abd\"]"), false},
        {ONE("subject.l", "$in", "[3,2]"), true},
        {ONE("subject.l", "$nin", "[3,2]"), false},
        {ONE("subject.l", "$contains", "2"), true},
        {ONE("subject.l", "$contains", "3"), false},
        {ONE("subject.t", "$contains", "\"b\""), true},
        {ONE("subject.t", "$contains", "\"x\""), false},
        {ONE("subject.t", "$matches", "\"a*\""), true},
        {ONE("subject.t", "$matches", "\"b*\""), false},
        {ONE("subject.t", "$exists", "true"), true},
        {ONE("subject.z", "$exists", "true"), false},
        {ONE("subject.z", "$exists", "false"), true},
        {ONE("subject.t", "$exists", "false"), false},
        {ONE("subject.t", "equals", "\"abd\""), true},
        {ONE("subject.n", "greater_than", "4"), true},
        {"{\"conditions\":[{\"attribute\":\"subject.n\",\"operator\":\"less_than\",\"value\":6}]}",
         true},
        {ONE("action", "$eq", "\"collect\""), true},
        {ONE("resource.deep.er", "$eq", "true"), true},
        {ONE("context.hour", "$lt", "18"), true},
        {ONE("hour", "$lt", "18"), true},
        /* what cannot be decided */
        {ONE("subject.z", "$eq", "1"), false},
        {ONE("subject.z", "$ne", "1"), false},
        {ONE("subject.z", "$nin", "[1]"), false},
        {ONE("subject.n", "$gt", "\"4\""), false},
        {ONE("subject.l", "$lt", "9"), false},
        {ONE("subject.n", "$matches", "\"*\""), false},
        {ONE("subject.n", "$contains", "5"), false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        request("{\"n\":5,\"t\":\"abd\",\"l\":[1,2]}", "{\"deep\":{\"er\":true}}", "{\"hour\":9}",
                "collect");
        if (allows(POLICY_ABAC, rows[i].rules) != rows[i].allowed)
            fail_msg("%s", rows[i].rules);
    }
}

/* x holds, y does not, z cannot be decided. */
static void effects_and_matches_follow_their_table(void **state)
{
    (void)state;
    static const struct {
        const char *conditions;
        bool allow_all, allow_any, deny_all, deny_any;
    } rows[] = {
        {"x", true, true, false, false},   {"y", false, false, true, true},
        {"z", false, false, false, false}, {"xx", true, true, false, false},
        {"xy", false, true, true, false},  {"yy", false, false, true, true},
        {"xz", false, true, false, false}, {"yz", false, false, false, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (int k = 0; k < 4; k++) {
            char rules[512];
            size_t n = (size_t)snprintf(rules, sizeof rules,
                                        "{\"effect\":\"%s\",\"match\":\"%s\",\"conditions\":[",
                                        k < 2 ? "allow" : "deny", k % 2 ? "any" : "all");
            for (const char *c = rows[i].conditions; *c; c++)
                n += (size_t)snprintf(rules + n, sizeof rules - n,
                                      "%s{\"attribute\":\"%c\",\"op\":\"$eq\",\"value\":1}",
                                      c == rows[i].conditions ? "" : ",", *c);
            snprintf(rules + n, sizeof rules - n, "]}");
            bool expected[] = {rows[i].allow_all, rows[i].allow_any, rows[i].deny_all,
                               rows[i].deny_any};
            request(NULL, NULL, "{\"x\":1,\"y\":2}", NULL);
            if (allows(POLICY_ABAC, rules) != expected[k])
                fail_msg("%s", rules);
        }
}

static void checks_are_named_by_attribute_and_operator(void **state)
{
    (void)state;
    request("{\"team\":\"a\"}", NULL, NULL, NULL);
    struct policy_verdict v = judge(
        POLICY_ABAC, "{\"conditions\":[{\"attribute\":\"subject.team\",\"op\":\"equals\",\"value\":"
                     "\"a\"},{\"attribute\":\"subject.age\",\"op\":\"$gt\",\"value\":1}]}");
    assert_int_equal(v.passed_count, 1);
    assert_bytes_equal(v.passed[0], "subject.team $eq");
    assert_int_equal(v.failed_count, 1);
    assert_bytes_equal(v.failed[0], "subject.age $gt");
}

/* ---- rate, content ---- */

static void the_rate_counts_what_the_caller_counted(void **state)
{
    (void)state;
    const char *rules = "{\"limit_per_minute\":10}";
    request(NULL, NULL, "{\"requests_last_minute\":9}", NULL);
    assert_true(allows(POLICY_RATE_LIMIT, rules));
    request(NULL, NULL, "{\"requests_last_minute\":10}", NULL);
    assert_false(allows(POLICY_RATE_LIMIT, rules));
    request(NULL, NULL, "{}", NULL);
    assert_false(allows(POLICY_RATE_LIMIT, rules));
}

static void blocked_terms_are_whole_words(void **state)
{
    (void)state;
    const char *rules = "{\"blocked_terms\":[\"ass\"]}";
    request(NULL, "{\"text\":\"a class act\"}", NULL, NULL);
    assert_true(allows(POLICY_CONTENT_FILTER, rules));
    request(NULL, "{\"text\":\"what an ASS.\"}", NULL, NULL);
    assert_false(allows(POLICY_CONTENT_FILTER, rules));
}

static void length_is_counted_in_characters(void **state)
{
    (void)state;
    request(NULL, "{\"a\":\"\xc3\xa9\xc3\xa9\",\"b\":[\"x\"]}", NULL, NULL);
    assert_true(allows(POLICY_CONTENT_FILTER, "{\"max_length\":3}"));
    assert_false(allows(POLICY_CONTENT_FILTER, "{\"max_length\":2}"));
}

/* ---- failing closed ---- */

static const enum policy_type all_types[] = {POLICY_DLP, POLICY_RBAC, POLICY_ABAC,
                                             POLICY_RATE_LIMIT, POLICY_CONTENT_FILTER};

static void rules_that_cannot_be_read_deny(void **state)
{
    (void)state;
    static const char *const rules[] = {
        NULL, "[]", "null", "{}", "{\"actions\":{}}", "{\"no_such_rule\":true}"};
    request("{\"role\":\"a\"}", "{\"sensitivity\":\"public\"}", "{}", "x");
    for (size_t t = 0; t < ARRAY_LEN(all_types); t++)
        for (size_t i = 0; i < ARRAY_LEN(rules); i++)
            assert_false(allows(all_types[t], rules[i]));
    assert_false(allows((enum policy_type)0, "{}"));
    assert_false(allows((enum policy_type)99, "{}"));
}

static void a_rule_nobody_knows_denies_beside_one_that_passes(void **state)
{
    (void)state;
    request(NULL, "{\"sensitivity\":\"public\"}", NULL, NULL);
    assert_true(allows(POLICY_DLP, "{\"max_sensitivity\":\"internal\"}"));
    struct policy_verdict v =
        judge(POLICY_DLP, "{\"max_sensitivity\":\"internal\",\"max_sensitivty\":\"public\"}");
    assert_false(v.allowed);
    assert_bytes_equal(v.failed[0], "max_sensitivty");
}

static const struct {
    enum policy_type type;
    const char *rules, *field;
} misshapen[] = {
    {POLICY_DLP, "{\"max_sensitivity\":\"top\"}", "rules.max_sensitivity"},
    {POLICY_DLP, "{\"max_sensitivity\":2}", "rules.max_sensitivity"},
    {POLICY_DLP, "{\"allowed_roles\":\"a\"}", "rules.allowed_roles"},
    {POLICY_DLP, "{\"allowed_agents\":[1]}", "rules.allowed_agents"},
    {POLICY_DLP, "{\"blocked_patterns\":[\"\"]}", "rules.blocked_patterns"},
    {POLICY_DLP, "{\"require_encryption\":1}", "rules.require_encryption"},
    {POLICY_DLP, "{\"sensitivity_rules\":{\"odd\":{}}}", "rules.sensitivity_rules"},
    {POLICY_DLP, "{\"sensitivity_rules\":{\"public\":{\"odd\":1}}}", "rules.sensitivity_rules"},
    {POLICY_DLP, "{\"sensitivity_rules\":{\"public\":[]}}", "rules.sensitivity_rules"},
    {POLICY_RBAC, "{\"roles\":[]}", "rules.roles"},
    {POLICY_RBAC, "{\"roles\":{\"a\":\"x\"}}", "rules.roles"},
    {POLICY_RBAC, "{\"roles\":{\"a\":{}}}", "rules.roles"},
    {POLICY_ABAC, "{\"conditions\":[]}", "rules.conditions"},
    {POLICY_ABAC, "{\"conditions\":{}}", "rules.conditions"},
    {POLICY_ABAC, ONE("a", "$like", "1"), "rules.conditions"},
    {POLICY_ABAC, ONE("", "$eq", "1"), "rules.conditions"},
    {POLICY_ABAC, ONE("a", "$in", "1"), "rules.conditions"},
    {POLICY_ABAC, ONE("a", "$exists", "1"), "rules.conditions"},
    {POLICY_ABAC, "{\"conditions\":[{\"attribute\":\"a\",\"op\":\"$eq\"}]}", "rules.conditions"},
    {POLICY_ABAC, "{\"effect\":\"maybe\"}", "rules.effect"},
    {POLICY_ABAC, "{\"match\":\"some\"}", "rules.match"},
    {POLICY_RATE_LIMIT, "{\"limit_per_minute\":0}", "rules.limit_per_minute"},
    {POLICY_RATE_LIMIT, "{\"limit_per_minute\":1.5}", "rules.limit_per_minute"},
    {POLICY_RATE_LIMIT, "{\"limit_per_minute\":1e300}", "rules.limit_per_minute"},
    {POLICY_CONTENT_FILTER, "{\"blocked_terms\":{}}", "rules.blocked_terms"},
    {POLICY_CONTENT_FILTER, "{\"actions\":1}", "rules.actions"},
};

static void a_misshapen_rule_is_refused_when_made_and_denies_when_asked(void **state)
{
    (void)state;
    request("{\"role\":\"a\",\"a\":1}", "{\"sensitivity\":\"public\"}", "{\"a\":1}", "x");
    for (size_t i = 0; i < ARRAY_LEN(misshapen); i++) {
        struct err err = {0};
        assert_int_equal(policy_rules_check(misshapen[i].type, parse(misshapen[i].rules), &err),
                         QMN_E_INVALID);
        assert_string_equal(err.field, misshapen[i].field);
        if (allows(misshapen[i].type, misshapen[i].rules))
            fail_msg("%s", misshapen[i].rules);
    }
    assert_int_equal(policy_rules_check(POLICY_DLP, parse("[]"), NULL), QMN_E_INVALID);
    assert_int_equal(policy_rules_check((enum policy_type)9, parse("{}"), NULL), QMN_E_INVALID);
    struct err err = {0};
    assert_int_equal(policy_rules_check(POLICY_DLP, parse("{\"max_sensitvity\":\"public\"}"), &err),
                     QMN_E_INVALID);
    assert_string_equal(err.field, "rules");
    assert_non_null(strstr(err.text, "\"max_sensitvity\" is no rule of this type; expected"));
    assert_non_null(strstr(err.text, "max_sensitivity, allowed_roles"));
    assert_int_equal(
        policy_rules_check(POLICY_RBAC, parse("{\"max_sensitivity\":\"public\"}"), NULL),
        QMN_E_INVALID); /* another type's */
}

static void without_memory_the_answer_is_no(void **state)
{
    (void)state;
    static const char rules[] =
        "{\"conditions\":[{\"attribute\":\"a\",\"op\":\"$eq\",\"value\":1}]}";
    request(NULL, NULL, "{\"a\":1}", NULL);
    assert_true(allows(POLICY_ABAC, rules));
    const struct policy_value *r = parse(rules);
    struct policy_request q = {.context = parse(context)};
    struct arena small;
    for (size_t max = 1; max < 64; max += 16) { /* names and lists need more */
        struct policy_verdict v;
        arena_init(&small, max);
        policy_evaluate(POLICY_ABAC, r, &q, &small, &v);
        assert_false(v.allowed);
        assert_non_null(memmem(v.reason.ptr, v.reason.len, "memory", 6));
        arena_release(&small);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_label_may_not_be_above_the_highest),
        cmocka_unit_test(a_label_that_is_missing_or_unknown_denies),
        cmocka_unit_test(roles_are_one_or_many),
        cmocka_unit_test(agents_match_by_pattern),
        cmocka_unit_test(every_required_capability_must_be_there),
        cmocka_unit_test(encryption_is_required_only_when_true),
        cmocka_unit_test(blocked_patterns_are_sought_in_every_text),
        cmocka_unit_test(rules_by_label_apply_to_their_label),
        cmocka_unit_test(a_role_permits_actions_by_pattern),
        cmocka_unit_test(the_older_name_of_roles_works_too),
        cmocka_unit_test(operators_compare),
        cmocka_unit_test(effects_and_matches_follow_their_table),
        cmocka_unit_test(checks_are_named_by_attribute_and_operator),
        cmocka_unit_test(the_rate_counts_what_the_caller_counted),
        cmocka_unit_test(blocked_terms_are_whole_words),
        cmocka_unit_test(length_is_counted_in_characters),
        cmocka_unit_test(rules_that_cannot_be_read_deny),
        cmocka_unit_test(a_rule_nobody_knows_denies_beside_one_that_passes),
        cmocka_unit_test(a_misshapen_rule_is_refused_when_made_and_denies_when_asked),
        cmocka_unit_test(without_memory_the_answer_is_no),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
