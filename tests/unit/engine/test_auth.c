/* SPDX-License-Identifier: MIT
 *
 * From a key text to a caller: what is let in, and what a stranger learns. */
#include "support/test.h"

#include "engine/control_priv.h"
#include "support/test_engine.h"

static struct test_engine *te;
static struct err err;

static int setup(void **state)
{
    (void)state;
    te = test_engine_new();
    test_tenant(te, "acme");
    test_tenant(te, "other");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    test_engine_free(te);
    return 0;
}

static struct key_out make_key(struct key_in in)
{
    struct key_out out;
    assert_int_equal(TEST_CALL(te, &te->admin, engine_create_key, &in, &out), QMN_OK);
    return out;
}

static enum qmn_code enter(struct bytes key, const char *tenant)
{
    struct caller c = {0};
    return test_authenticate(te, key, tenant, &c, &err);
}

static void a_key_says_who_calls(void **state)
{
    (void)state;
    struct key_out k = make_key((struct key_in){.tenant_id = BYTES_LIT("acme"),
                                                .scopes = test_list(te, "inbox agents:read"),
                                                .agent_ids = test_list(te, "ann bob"),
                                                .clearance = LABEL_CONFIDENTIAL,
                                                .rate_per_minute = 600});
    struct caller c = {0};
    assert_int_equal(test_authenticate(te, k.secret, "", &c, &err), QMN_OK);
    assert_bytes_equal(c.tenant_id, "acme");
    assert_true(bytes_equal(c.key_id, k.id));
    assert_int_equal(c.tenant_no, c.home_tenant_no);
    assert_int_equal(c.scopes, SCOPE_BIT(SCOPE_INBOX) | SCOPE_BIT(SCOPE_AGENTS_READ));
    assert_int_equal(c.clearance, LABEL_CONFIDENTIAL);
    assert_int_equal(textlist_count(c.agent_ids), 2);
    assert_int_equal(c.limit_per_minute, 600);
    assert_int_equal(c.limit_remaining, 99);
}

static void administrators_hold_what_their_scope_implies(void **state)
{
    (void)state;
    uint32_t all = SCOPE_BIT(SCOPE_COUNT) - 1;
    assert_int_equal(te->admin.scopes, all);
    struct caller c = test_member(te, "acme", "tenant:admin");
    assert_int_equal(c.scopes, all & ~SCOPE_BIT(SCOPE_ADMIN));
}

static void a_wrong_secret_and_an_unknown_id_read_the_same(void **state)
{
    (void)state;
    struct apikey_text stranger;
    struct apikey known;
    struct err unknown_err, wrong_err;
    struct caller c = {.tenant_no = 7};
    apikey_make("test", &stranger);
    assert_int_equal(test_authenticate(te, bytes_cstr(stranger.text), "", &c, &unknown_err),
                     QMN_E_UNAUTHENTICATED);
    /* a wrong secret for a known id: the same, from the other side */
    assert_true(apikey_parse(bytes_cstr(te->admin_key), &known));
    struct key *k = network_key(&te->engine->net, known.id);
    struct bytes mac = k->record->mac;
    k->record->mac = BYTES_LIT("0123456789abcdef0123456789abcdef");
    enum qmn_code code = test_authenticate(te, bytes_cstr(te->admin_key), "", &c, &wrong_err);
    k->record->mac = mac;
    assert_int_equal(code, QMN_E_UNAUTHENTICATED);
    assert_string_equal(unknown_err.text, wrong_err.text);
    assert_int_equal(c.tenant_no, 7); /* untouched */
    assert_int_equal(enter(bytes_cstr(te->admin_key), ""), QMN_OK);
}

/* Without a pepper no MAC can be computed: whoever gets that failure was about to pay for one. */
static void an_unknown_id_costs_a_mac_like_a_known_one(void **state)
{
    (void)state;
    struct apikey_text stranger;
    apikey_make("test", &stranger);
    te->engine->pepper.ready = false;
    assert_int_equal(enter(bytes_cstr(stranger.text), ""), QMN_E_INTERNAL);
    assert_int_equal(enter(bytes_cstr(te->admin_key), ""), QMN_E_INTERNAL);
    te->engine->pepper.ready = true;
    assert_int_equal(enter(bytes_cstr(stranger.text), ""), QMN_E_UNAUTHENTICATED);
}

static void texts_that_are_no_keys_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "x", "qmn_", "qmn_test_", "Bearer", "qmn_test_a_b"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        assert_int_equal(enter(bytes_cstr(texts[i]), ""), QMN_E_UNAUTHENTICATED);
    char mistyped[ENGINE_KEY_TEXT_MAX];
    memcpy(mistyped, te->admin_key, sizeof mistyped);
    mistyped[30] = mistyped[30] == 'a' ? 'b' : 'a';
    assert_int_equal(enter(bytes_cstr(mistyped), ""), QMN_E_UNAUTHENTICATED);
    assert_non_null(strstr(err.text, "not a key"));
}

static void a_key_ends_on_its_day(void **state)
{
    (void)state;
    struct key_out k =
        make_key((struct key_in){.tenant_id = BYTES_LIT("acme"), .expires_in_days = 1});
    test_engine_advance(te, 24 * 3600 * 1000 - 1);
    assert_int_equal(enter(k.secret, ""), QMN_OK);
    test_engine_advance(te, 1);
    assert_int_equal(enter(k.secret, ""), QMN_E_UNAUTHENTICATED);
    assert_non_null(strstr(err.text, "expired at 2023-"));
}

static void a_tenant_header_may_name_only_the_own_tenant(void **state)
{
    (void)state;
    struct key_out k = make_key(
        (struct key_in){.tenant_id = BYTES_LIT("acme"), .scopes = test_list(te, "tenant:admin")});
    assert_int_equal(enter(k.secret, "acme"), QMN_OK);
    assert_int_equal(enter(k.secret, "None"), QMN_OK);
    assert_int_equal(enter(k.secret, "other"), QMN_E_FORBIDDEN);
    assert_int_equal(enter(k.secret, "absent"), QMN_E_FORBIDDEN); /* and nothing is learnt */
    assert_int_equal(enter(k.secret, "ACME"), QMN_E_FORBIDDEN);
}

static void an_admin_key_acts_for_any_tenant_that_is_there(void **state)
{
    (void)state;
    struct caller c = {0};
    struct bytes key = bytes_cstr(te->admin_key);
    assert_int_equal(test_authenticate(te, key, "acme", &c, &err), QMN_OK);
    assert_bytes_equal(c.tenant_id, "acme");
    assert_int_equal(c.home_tenant_no, te->admin.tenant_no);
    assert_int_not_equal(c.tenant_no, c.home_tenant_no);
    assert_int_equal(enter(key, "absent"), QMN_E_NOT_FOUND);
}

static void suspension_and_deletion_close_the_door_at_once(void **state)
{
    (void)state;
    struct key_out k = make_key((struct key_in){.tenant_id = BYTES_LIT("acme")});
    struct tenant_in in = {.id = BYTES_LIT("acme"), .status = TENANT_SUSPENDED};
    struct tenant_out out;
    assert_int_equal(enter(k.secret, ""), QMN_OK);
    assert_int_equal(TEST_CALL(te, &te->admin, engine_update_tenant, &in, &out), QMN_OK);
    assert_int_equal(enter(k.secret, ""), QMN_E_FORBIDDEN);
    assert_int_equal(enter(bytes_cstr(te->admin_key), "acme"), QMN_E_FORBIDDEN);
    in.status = TENANT_ACTIVE;
    assert_int_equal(TEST_CALL(te, &te->admin, engine_update_tenant, &in, &out), QMN_OK);
    assert_int_equal(enter(k.secret, ""), QMN_OK);
    assert_int_equal(TEST_CALL(te, &te->admin, engine_delete_tenant, in.id, false), QMN_OK);
    assert_int_equal(enter(k.secret, ""), QMN_E_FORBIDDEN);
}

static void too_many_requests_are_told_when_to_come_back(void **state)
{
    (void)state;
    struct key_out k =
        make_key((struct key_in){.tenant_id = BYTES_LIT("acme"), .rate_per_minute = 6});
    for (int i = 0; i < 10; i++)
        assert_int_equal(enter(k.secret, ""), QMN_OK);
    struct caller c = {0};
    assert_int_equal(test_authenticate(te, k.secret, "", &c, &err), QMN_E_RATE_LIMITED);
    assert_int_equal(err.retry_after_s, 10);
    assert_int_equal(c.limit_per_minute, 6);
    assert_int_equal(c.limit_remaining, 0);
    assert_int_equal(enter(bytes_cstr(te->admin_key), ""), QMN_OK); /* others are not touched */
}

static void wrong_tenant_headers_are_not_free(void **state)
{
    (void)state;
    struct key_out k =
        make_key((struct key_in){.tenant_id = BYTES_LIT("acme"), .rate_per_minute = 6});
    for (int i = 0; i < 10; i++)
        assert_int_equal(enter(k.secret, "other"), QMN_E_FORBIDDEN);
    assert_int_equal(enter(k.secret, "other"), QMN_E_RATE_LIMITED);
}

static void no_failure_says_a_secret(void **state)
{
    (void)state;
    struct apikey parts;
    struct key_out k =
        make_key((struct key_in){.tenant_id = BYTES_LIT("acme"), .rate_per_minute = 1});
    assert_true(apikey_parse(k.secret, &parts));
    char secret[APIKEY_SECRET_CHARS + 1] = "";
    memcpy(secret, parts.secret.ptr, APIKEY_SECRET_CHARS);
    for (int i = 0; i < 12; i++)
        if (enter(k.secret, i % 2 ? "other" : "") != QMN_OK)
            assert_null(strstr(err.text, secret));
}

static void only_a_node_without_keys_makes_an_admin_key(void **state)
{
    (void)state;
    char key[ENGINE_KEY_TEXT_MAX];
    assert_true(engine_has_keys(te->engine));
    engine_admin_key_text(te->engine, key);
    assert_int_equal(enter(bytes_cstr(key), ""), QMN_E_UNAUTHENTICATED); /* not born yet */
    assert_int_equal(engine_bootstrap(te->engine, key, BOOTSTRAP_FIRST, &err), QMN_E_CONFLICT);
    assert_int_equal(enter(bytes_cstr(key), ""), QMN_E_UNAUTHENTICATED);
}

static void another_admin_key_leaves_the_others_alone(void **state)
{
    (void)state;
    char key[ENGINE_KEY_TEXT_MAX];
    struct caller c = {0};
    engine_admin_key_text(te->engine, key);
    assert_int_equal(engine_bootstrap(te->engine, key, BOOTSTRAP_ANOTHER, &err), QMN_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(test_authenticate(te, bytes_cstr(key), "", &c, &err), QMN_OK);
        assert_true(c.scopes & SCOPE_BIT(SCOPE_ADMIN));
        assert_int_equal(enter(bytes_cstr(te->admin_key), ""), QMN_OK);
        test_engine_restart(te);
    }
}

static void every_scope_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (unsigned s = 0; s < SCOPE_COUNT; s++)
        assert_int_equal(scope_parse(bytes_cstr(scope_name((enum scope)s))), s);
    assert_int_equal(scope_parse(BYTES_LIT("nothing")), SCOPE_COUNT);
    assert_int_equal(scope_parse(BYTES_LIT("")), SCOPE_COUNT);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_key_says_who_calls),
        TEST(administrators_hold_what_their_scope_implies),
        TEST(a_wrong_secret_and_an_unknown_id_read_the_same),
        TEST(an_unknown_id_costs_a_mac_like_a_known_one),
        TEST(texts_that_are_no_keys_are_refused),
        TEST(a_key_ends_on_its_day),
        TEST(a_tenant_header_may_name_only_the_own_tenant),
        TEST(an_admin_key_acts_for_any_tenant_that_is_there),
        TEST(suspension_and_deletion_close_the_door_at_once),
        TEST(too_many_requests_are_told_when_to_come_back),
        TEST(wrong_tenant_headers_are_not_free),
        TEST(no_failure_says_a_secret),
        TEST(only_a_node_without_keys_makes_an_admin_key),
        TEST(another_admin_key_leaves_the_others_alone),
        TEST(every_scope_has_a_name_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
