/* SPDX-License-Identifier: MIT
 *
 * Policies through the engine: stored, listed, asked together. */
#include "acme.h"

#include "engine/control_priv.h"

static enum qmn_code create(uint32_t type, const char *rules, bool enabled, struct policy_out *out)
{
    struct policy_in in = {.type = type,
                           .name = BYTES_LIT("p"),
                           .description = BYTES_LIT("d"),
                           .rules = bytes_cstr(rules),
                           .enabled = enabled};
    return TEST_CALL(te, &boss, engine_create_policy, &in, out);
}

static struct evaluate_out ask(struct evaluate_in in)
{
    struct evaluate_out out;
    assert_int_equal(TEST_CALL(te, &boss, engine_evaluate_policy, &in, &out), QMN_OK);
    assert_string_equal(out.action, out.allowed ? "allow" : "deny");
    return out;
}

static void a_policy_is_kept_as_made(void **state)
{
    (void)state;
    struct policy_out out;
    struct policies_out all;
    assert_int_equal(create(POLICY_DLP, "{\"max_sensitivity\": \"internal\"}", true, &out), QMN_OK);
    assert_true(bytes_starts(out.id, BYTES_LIT("po_")));
    assert_bytes_equal(out.tenant_id, "acme");
    assert_int_equal(TEST_CALL(te, &boss, engine_list_policies, BYTES_LIT("me"), 0, 1000, 0, &all),
                     QMN_OK);
    assert_int_equal(all.count, 1);
    assert_true(bytes_equal(all.policies[0].id, out.id));
    assert_bytes_equal(all.policies[0].name, "p");
    assert_bytes_equal(all.policies[0].description, "d");
    assert_bytes_equal(all.policies[0].rules, "{\"max_sensitivity\": \"internal\"}");
    assert_int_equal(all.policies[0].type, POLICY_DLP);
    assert_true(all.policies[0].enabled);
}

static void a_listing_may_ask_for_one_type(void **state)
{
    (void)state;
    struct policy_out dlp, rbac;
    struct policies_out all;
    assert_int_equal(create(POLICY_DLP, "{\"max_sensitivity\":\"public\"}", true, &dlp), QMN_OK);
    assert_int_equal(create(POLICY_RBAC, "{\"roles\":{}}", true, &rbac), QMN_OK);
    assert_int_equal(
        TEST_CALL(te, &boss, engine_list_policies, BYTES_LIT(""), POLICY_RBAC, 1000, 0, &all),
        QMN_OK);
    assert_int_equal(all.count, 1);
    assert_true(bytes_equal(all.policies[0].id, rbac.id));
    assert_int_equal(
        TEST_CALL(te, &boss, engine_list_policies, BYTES_LIT(""), POLICY_ABAC, 1000, 0, &all),
        QMN_OK);
    assert_int_equal(all.count, 0);
    assert_int_equal(TEST_CALL(te, &boss, engine_list_policies, BYTES_LIT(""), 0, 1000, 0, &all),
                     QMN_OK);
    assert_int_equal(all.count, 2);
}

static void a_listing_comes_in_pages_in_order_of_making(void **state)
{
    (void)state;
    enum { N = 11 };
    struct policy_out made[N];
    struct policies_out page;
    te = (test_engine_free(te), test_engine_new_sqlite());
    test_tenant(te, "acme");
    boss = test_member(te, "acme", "tenant:admin");
    for (int i = 0; i < N; i++)
        assert_int_equal(create(i % 2 ? POLICY_RBAC : POLICY_DLP,
                                i % 2 ? "{\"roles\":{}}" : "{\"max_sensitivity\":\"public\"}", true,
                                &made[i]),
                         QMN_OK);
    for (int round = 0; round < 2; round++) {
        for (uint32_t from = 0; from < N + 4; from += 4) {
            assert_int_equal(
                TEST_CALL(te, &boss, engine_list_policies, BYTES_LIT(""), 0, 4, from, &page),
                QMN_OK);
            assert_int_equal(page.total, N);
            assert_int_equal(page.count, from > N ? 0 : N - from < 4 ? N - from : 4);
            for (size_t i = 0; i < page.count; i++)
                assert_true(bytes_equal(page.policies[i].id, made[from + i].id));
        }
        assert_int_equal(
            TEST_CALL(te, &boss, engine_list_policies, BYTES_LIT(""), POLICY_RBAC, 2, 1, &page),
            QMN_OK);
        assert_int_equal(page.total, N / 2);
        assert_true(bytes_equal(page.policies[0].id, made[3].id));
        test_engine_restart(te);
    }
}

static void bad_rules_are_refused_by_name(void **state)
{
    (void)state;
    struct policy_out out;
    assert_int_equal(create(POLICY_DLP, "{\"max_sensitivity\":\"x\"}", true, &out), QMN_E_INVALID);
    assert_string_equal(te->last->err.field, "rules.max_sensitivity");
    assert_int_equal(create(POLICY_DLP, "nonsense", true, &out), QMN_E_INVALID);
    assert_string_equal(te->last->err.field, "rules");
    assert_int_equal(create(POLICY_DLP, "[1]", true, &out), QMN_E_INVALID);
    assert_int_equal(create(0, "{}", true, &out), QMN_E_INVALID);
    assert_string_equal(te->last->err.field, "policy_type");
}

static void without_a_policy_it_is_allowed_and_says_so(void **state)
{
    (void)state;
    struct policy_out made;
    assert_int_equal(create(POLICY_DLP, "{\"max_sensitivity\":\"public\"}", false, &made), QMN_OK);
    assert_int_equal(create(POLICY_RBAC, "{\"roles\":{}}", true, &made), QMN_OK);
    struct evaluate_out out = ask((struct evaluate_in){.type = POLICY_DLP});
    assert_true(out.allowed);
    assert_int_equal(out.policy_id.len, 0);
    assert_bytes_equal(out.reason, "there is no enabled policy of type dlp");
}

static void all_policies_of_a_type_must_allow(void **state)
{
    (void)state;
    struct policy_out first, second;
    struct evaluate_in in = {.type = POLICY_DLP,
                             .resource = BYTES_LIT("{\"sensitivity\":\"internal\"}")};
    assert_int_equal(create(POLICY_DLP, "{\"max_sensitivity\":\"internal\"}", true, &first),
                     QMN_OK);
    struct evaluate_out out = ask(in);
    assert_true(out.allowed);
    assert_true(bytes_equal(out.policy_id, first.id));
    assert_int_equal(create(POLICY_DLP, "{\"max_sensitivity\":\"public\"}", true, &second), QMN_OK);
    out = ask(in);
    assert_false(out.allowed);
    assert_true(bytes_equal(out.policy_id, second.id));
    assert_int_equal(out.passed_count, 1);
    assert_int_equal(out.failed_count, 1);
    assert_bytes_equal(out.reason, "resource.sensitivity is internal, at most public is allowed");
}

static void parts_may_stand_in_the_context(void **state)
{
    (void)state;
    struct policy_out made;
    struct evaluate_in in = {.type = POLICY_RBAC,
                             .context =
                                 BYTES_LIT("{\"subject\":{\"role\":\"a\"},\"action\":\"x\"}")};
    assert_int_equal(create(POLICY_RBAC, "{\"roles\":{\"a\":[\"x\"]}}", true, &made), QMN_OK);
    assert_true(ask(in).allowed);
    in.action = BYTES_LIT("y"); /* said outright it counts */
    assert_false(ask(in).allowed);
    in.action = BYTES_LIT("");
    in.subject = BYTES_LIT("{\"role\":\"b\"}");
    assert_false(ask(in).allowed);
    in = (struct evaluate_in){.type = POLICY_RBAC,
                              .context = BYTES_LIT("{\"role\":\"a\",\"action\":\"x\"}")};
    assert_true(ask(in).allowed); /* flat, as older clients send it */
}

static void a_bad_request_is_refused_by_field(void **state)
{
    (void)state;
    struct evaluate_out out;
    struct evaluate_in in = {.type = POLICY_DLP, .subject = BYTES_LIT("[]")};
    assert_int_equal(TEST_CALL(te, &boss, engine_evaluate_policy, &in, &out), QMN_E_INVALID);
    assert_string_equal(te->last->err.field, "subject");
    in = (struct evaluate_in){.type = 77};
    assert_int_equal(TEST_CALL(te, &boss, engine_evaluate_policy, &in, &out), QMN_E_INVALID);
    assert_string_equal(te->last->err.field, "policy_type");
    in = (struct evaluate_in){.type = POLICY_DLP, .context = BYTES_LIT("{")};
    assert_int_equal(TEST_CALL(te, &boss, engine_evaluate_policy, &in, &out), QMN_E_INVALID);
    assert_string_equal(te->last->err.field, "context");
}

static void a_damaged_row_denies(void **state)
{
    (void)state;
    struct policy_out made;
    assert_int_equal(create(POLICY_DLP, "{\"max_sensitivity\":\"secret\"}", true, &made), QMN_OK);
    struct tenant *t = network_tenant(&te->engine->net, BYTES_LIT("acme"));
    t->policies[0]->rules = BYTES_LIT("{\"max_sens");
    struct evaluate_out out = ask((struct evaluate_in){
        .type = POLICY_DLP, .resource = BYTES_LIT("{\"sensitivity\":\"public\"}")});
    assert_false(out.allowed);
    assert_true(bytes_equal(out.policy_id, made.id));
}

static void tenants_do_not_share_policies(void **state)
{
    (void)state;
    struct policy_out made;
    struct policies_out all;
    test_tenant(te, "other");
    struct caller stranger = test_member(te, "other", NULL);
    assert_int_equal(create(POLICY_DLP, "{\"max_sensitivity\":\"public\"}", true, &made), QMN_OK);
    assert_int_equal(
        TEST_CALL(te, &stranger, engine_list_policies, BYTES_LIT("acme"), 0, 1000, 0, &all),
        QMN_E_NOT_FOUND);
    assert_int_equal(
        TEST_CALL(te, &stranger, engine_list_policies, BYTES_LIT(""), 0, 1000, 0, &all), QMN_OK);
    assert_int_equal(all.count, 0);
    assert_int_equal(
        TEST_CALL(te, &te->admin, engine_list_policies, BYTES_LIT("acme"), 0, 1000, 0, &all),
        QMN_OK);
    assert_int_equal(all.count, 1);
    struct evaluate_in in = {.type = POLICY_DLP};
    struct evaluate_out out;
    assert_int_equal(TEST_CALL(te, &stranger, engine_evaluate_policy, &in, &out), QMN_OK);
    assert_true(out.allowed);
}

static void a_repeat_answers_the_first(void **state)
{
    (void)state;
    struct policy_out out[2];
    struct policy_in in = {.type = POLICY_DLP, .rules = BYTES_LIT("{}"), .enabled = true};
    for (int i = 0; i < 2; i++) {
        struct call *c = test_call_new(te, &boss);
        c->idempotency = (struct idempotency_in){
            .value = BYTES_LIT("p"), .route = BYTES_LIT("policies.create"), .body_hash = {1}};
        engine_create_policy(te->engine, c, &in, &out[i]);
        assert_int_equal(test_call_wait(te, c), QMN_OK);
        assert_int_equal(c->replayed, i);
    }
    assert_true(bytes_equal(out[0].id, out[1].id));
}

static void policies_survive_a_restart(void **state)
{
    (void)state;
    test_engine_free(te);
    te = test_engine_new_sqlite();
    test_tenant(te, "acme");
    boss = test_member(te, "acme", "tenant:admin");
    struct policy_out made;
    assert_int_equal(create(POLICY_DLP, "{\"max_sensitivity\":\"public\"}", true, &made), QMN_OK);
    test_engine_restart(te);
    struct evaluate_out out = ask((struct evaluate_in){
        .type = POLICY_DLP, .resource = BYTES_LIT("{\"sensitivity\":\"secret\"}")});
    assert_false(out.allowed);
    assert_true(bytes_equal(out.policy_id, made.id));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ACME_TEST(a_policy_is_kept_as_made),
        ACME_TEST(a_listing_may_ask_for_one_type),
        ACME_TEST(a_listing_comes_in_pages_in_order_of_making),
        ACME_TEST(bad_rules_are_refused_by_name),
        ACME_TEST(without_a_policy_it_is_allowed_and_says_so),
        ACME_TEST(all_policies_of_a_type_must_allow),
        ACME_TEST(parts_may_stand_in_the_context),
        ACME_TEST(a_bad_request_is_refused_by_field),
        ACME_TEST(a_damaged_row_denies),
        ACME_TEST(tenants_do_not_share_policies),
        ACME_TEST(a_repeat_answers_the_first),
        ACME_TEST(policies_survive_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
