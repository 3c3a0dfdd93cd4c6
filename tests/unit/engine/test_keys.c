/* SPDX-License-Identifier: MIT
 *
 * Making, listing and validating keys. */
#include "acme.h"

#include "engine/control_priv.h"

static int setup(void **state)
{
    acme_setup(state);
    test_tenant(te, "other");
    return 0;
}

static enum qmn_code create(const struct caller *who, struct key_in in, struct key_out *out)
{
    return TEST_CALL(te, who, engine_create_key, &in, out);
}

static const char *why(void)
{
    return te->last->err.text;
}

static void a_new_key_is_described_and_shown_once(void **state)
{
    (void)state;
    struct key_in in = {.name = BYTES_LIT("ci"),
                        .scopes = test_list(te, "inbox memory:read"),
                        .agent_ids = test_list(te, "ann"),
                        .rate_per_minute = 77,
                        .expires_in_days = 2,
                        .clearance = LABEL_PUBLIC};
    struct key_out out, listed;
    struct keys_out all;
    struct caller c = {0};
    assert_int_equal(create(&boss, in, &out), QMN_OK);
    assert_bytes_equal(out.tenant_id, "acme");
    assert_bytes_equal(out.name, "ci");
    assert_string_equal(out.status, "active");
    assert_int_equal(out.created_ms, TEST_ENGINE_START_MS);
    assert_int_equal(out.expires_ms, TEST_ENGINE_START_MS + 2 * 86400000);
    assert_true(bytes_starts(out.secret, BYTES_LIT("qmn_test_")));
    assert_int_equal(test_authenticate(te, out.secret, "", &c, NULL), QMN_OK);

    assert_int_equal(TEST_CALL(te, &boss, engine_list_keys, BYTES_LIT(""), 1000, 0, &all), QMN_OK);
    assert_int_equal(all.count, 2); /* boss's own, and this one */
    listed = all.keys[bytes_equal(all.keys[1].id, out.id)];
    assert_true(bytes_equal(listed.id, out.id));
    assert_int_equal(listed.secret.len, 0);
    assert_int_equal(listed.rate_per_minute, 77);
    assert_int_equal(listed.clearance, LABEL_PUBLIC);
    assert_true(textlist_has(listed.scopes, BYTES_LIT("memory:read")));
    assert_true(textlist_has(listed.agent_ids, BYTES_LIT("ann")));
    assert_int_equal(listed.last_used_ms, TEST_ENGINE_START_MS);
}

static void the_secret_is_not_stored(void **state)
{
    (void)state;
    struct key_out out;
    struct apikey parts;
    assert_int_equal(create(&boss, (struct key_in){0}, &out), QMN_OK);
    assert_true(apikey_parse(out.secret, &parts));
    const struct record_key *row = network_key(&te->engine->net, out.id)->record;
    struct bytes fields[] = {row->mac, row->name, row->scopes, row->agent_ids, row->rotated_to};
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        assert_null(fields[i].len ? memmem(fields[i].ptr, fields[i].len, parts.secret.ptr, 8)
                                  : NULL);
    assert_int_equal(row->mac.len, APIKEY_MAC_BYTES);
}

static void without_scopes_a_key_gets_a_members(void **state)
{
    (void)state;
    struct key_out out;
    struct caller c = {0};
    uint32_t members =
        (SCOPE_BIT(SCOPE_COUNT) - 1) & ~SCOPE_BIT(SCOPE_ADMIN) & ~SCOPE_BIT(SCOPE_TENANT_ADMIN);
    assert_int_equal(create(&boss, (struct key_in){0}, &out), QMN_OK);
    assert_int_equal(test_authenticate(te, out.secret, "", &c, NULL), QMN_OK);
    assert_int_equal(c.scopes, members);
    assert_int_equal(out.clearance, LABEL_INTERNAL);
    assert_int_equal(out.rate_per_minute, 1000);
    assert_int_equal(out.expires_ms, 0);
    assert_int_equal(create(&boss, (struct key_in){.scopes = test_list(te, "*")}, &out), QMN_OK);
    assert_int_equal(test_authenticate(te, out.secret, "", &c, NULL), QMN_OK);
    assert_int_equal(c.scopes, members);
}

static void the_default_is_never_more_than_the_caller_holds(void **state)
{
    (void)state;
    struct caller small = test_member(te, "acme", "inbox agents:read"), c = {0};
    struct key_out out;
    assert_int_equal(create(&small, (struct key_in){0}, &out), QMN_OK);
    assert_int_equal(test_authenticate(te, out.secret, "", &c, NULL), QMN_OK);
    assert_int_equal(c.scopes, small.scopes);
    assert_int_equal(create(&small, (struct key_in){.scopes = test_list(te, "*")}, &out), QMN_OK);
    assert_int_equal(test_authenticate(te, out.secret, "", &c, NULL), QMN_OK);
    assert_int_equal(c.scopes, small.scopes);
}

static void an_unknown_scope_is_answered_with_the_known_ones(void **state)
{
    (void)state;
    struct key_out out;
    struct key_in in = {.scopes = test_list(te, "inbox fly")};
    assert_int_equal(create(&boss, in, &out), QMN_E_INVALID);
    assert_string_equal(te->last->err.field, "scopes");
    assert_non_null(strstr(why(), "\"fly\""));
    for (unsigned s = 0; s < SCOPE_COUNT; s++)
        assert_non_null(strstr(why(), scope_name((enum scope)s)));
}

static void nobody_grants_a_scope_he_lacks(void **state)
{
    (void)state;
    struct caller small = test_member(te, "acme", "inbox");
    struct key_out out;
    for (unsigned s = 0; s < SCOPE_COUNT; s++) {
        struct key_in in = {.scopes = test_list(te, scope_name((enum scope)s))};
        enum qmn_code expected = s == SCOPE_INBOX ? QMN_OK : QMN_E_FORBIDDEN;
        assert_int_equal(create(&small, in, &out), expected);
        expected = s == SCOPE_ADMIN ? QMN_E_FORBIDDEN : QMN_OK;
        assert_int_equal(create(&boss, in, &out), expected);
    }
}

static void admin_keys_belong_to_the_system_alone(void **state)
{
    (void)state;
    struct key_out out;
    struct key_in in = {.tenant_id = BYTES_LIT("acme"), .scopes = test_list(te, "admin")};
    assert_int_equal(create(&te->admin, in, &out), QMN_E_FORBIDDEN);
    in.tenant_id = BYTES_LIT("system");
    assert_int_equal(create(&te->admin, in, &out), QMN_OK);
    struct caller acting = {0};
    assert_int_equal(test_authenticate(te, bytes_cstr(te->admin_key), "acme", &acting, NULL),
                     QMN_OK);
    in.tenant_id = BYTES_LIT("");
    assert_int_equal(create(&acting, in, &out), QMN_E_FORBIDDEN);
}

static void nobody_grants_a_clearance_he_lacks(void **state)
{
    (void)state;
    struct key_out out;
    assert_int_equal(create(&boss, (struct key_in){.clearance = LABEL_INTERNAL}, &out), QMN_OK);
    assert_int_equal(create(&boss, (struct key_in){.clearance = LABEL_CONFIDENTIAL}, &out),
                     QMN_E_FORBIDDEN);
    assert_string_equal(te->last->err.field, "clearance");
    assert_int_equal(create(&boss, (struct key_in){.clearance = LABEL_SECRET + 1}, &out),
                     QMN_E_INVALID);
}

static void a_low_clearance_is_not_raised_by_silence(void **state)
{
    (void)state;
    struct caller low = boss;
    struct key_out out;
    low.clearance = LABEL_PUBLIC;
    assert_int_equal(create(&low, (struct key_in){0}, &out), QMN_E_FORBIDDEN);
    assert_int_equal(create(&low, (struct key_in){.clearance = LABEL_PUBLIC}, &out), QMN_OK);
}

static void a_bound_key_grants_only_some_of_its_agents(void **state)
{
    (void)state;
    struct caller bound = boss;
    struct key_out out;
    bound.agent_ids = test_list(te, "ann bob");
    assert_int_equal(create(&bound, (struct key_in){0}, &out), QMN_E_FORBIDDEN);
    assert_int_equal(create(&bound, (struct key_in){.agent_ids = test_list(te, "bob")}, &out),
                     QMN_OK);
    assert_int_equal(create(&bound, (struct key_in){.agent_ids = test_list(te, "bob eve")}, &out),
                     QMN_E_FORBIDDEN);
}

static uint32_t keys_of_acme(void)
{
    struct keys_out all;
    assert_int_equal(TEST_CALL(te, &boss, engine_list_keys, BYTES_LIT(""), 5000, 0, &all), QMN_OK);
    return (uint32_t)all.count;
}

static void a_tenant_has_a_thousand_keys_at_most(void **state)
{
    (void)state;
    struct key_in in = {0};
    struct key_out out[5];
    struct call *c[5];
    for (int i = 0; i < 997; i++) {
        assert_int_equal(create(&boss, in, &out[0]), QMN_OK);
        test_engine_forget_calls(te);
    }
    test_engine_hold(te); /* with boss's own it has 998 */
    for (int i = 0; i < 5; i++) {
        c[i] = test_call_new(te, &boss);
        engine_create_key(te->engine, c[i], &in, &out[i]);
    }
    test_engine_release(te);
    for (int i = 0; i < 5; i++)
        assert_int_equal(test_call_wait(te, c[i]), i < 2 ? QMN_OK : QMN_E_CONFLICT);
    assert_non_null(strstr(c[4]->err.text, "1000"));
    assert_int_equal(keys_of_acme(), 1000);
    struct key_out revoked, next;
    assert_int_equal(TEST_CALL(te, &boss, engine_rotate_key, out[0].id, 0, &next), QMN_OK);
    assert_int_equal(create(&boss, in, &out[2]), QMN_E_CONFLICT);
    assert_int_equal(TEST_CALL(te, &boss, engine_revoke_key, out[1].id, &revoked), QMN_OK);
    assert_int_equal(create(&boss, in, &out[2]), QMN_OK);
}

static struct call *keyed(const struct caller *who, const char *value)
{
    struct call *c = test_call_new(te, who);
    c->idempotency =
        (struct idempotency_in){.value = bytes_cstr(value), .route = BYTES_LIT("keys")};
    return c;
}

/* Creates a key and rotates it, each under a value of its own; the same again is a repeat. */
static void make_and_rotate(char ids[2][APIKEY_ID_CHARS])
{
    struct key_in in = {.name = BYTES_LIT("repeated"), .expires_in_days = 90};
    struct key_out out;
    struct call *c = keyed(&boss, "create");
    engine_create_key(te->engine, c, &in, &out);
    assert_int_equal(test_call_wait(te, c), QMN_OK);
    assert_int_equal(out.expires_ms - out.created_ms, INT64_C(90) * 86400000);
    assert_string_equal(arena_printf(&te->arena, "%.*s", BYTES_FMT(out.name)), "repeated");
    memcpy(ids[0], out.id.ptr, APIKEY_ID_CHARS);
    c = keyed(&boss, "rotate");
    engine_rotate_key(te->engine, c, bytes_of(ids[0], APIKEY_ID_CHARS), 0, &out);
    assert_int_equal(test_call_wait(te, c), QMN_OK);
    memcpy(ids[1], out.id.ptr, APIKEY_ID_CHARS);
    c = keyed(&boss, "revoke");
    engine_revoke_key(te->engine, c, bytes_of(ids[1], APIKEY_ID_CHARS), &out);
    assert_int_equal(test_call_wait(te, c), QMN_OK);
    assert_string_equal(out.status, "revoked");
}

static void the_keys_that_ended_first_are_forgotten(void **state)
{
    (void)state;
    char text[VALIDATE_TEXT], ids[2][APIKEY_ID_CHARS];
    struct key_out out;
    struct caller who = boss;
    char made[2][APIKEY_ID_CHARS], repeated[2][APIKEY_ID_CHARS];
    make_and_rotate(made);
    assert_int_equal(create(&boss, (struct key_in){0}, &out), QMN_OK);
    for (int i = 0; i < 4010; i++) {
        if (i < 2)
            memcpy(ids[i], out.id.ptr, sizeof ids[i]);
        who.key_id = out.id;
        test_engine_advance(te, 1);
        struct call *c = test_call_new(te, &who);
        engine_rotate_key(te->engine, c, BYTES_LIT(""), 0, &out);
        assert_int_equal(test_call_wait(te, c), QMN_OK);
        char id[APIKEY_ID_CHARS];
        memcpy(id, out.id.ptr, sizeof id);
        test_engine_forget_calls(te);
        out.id = arena_bytes(&te->arena, bytes_of(id, sizeof id));
        if (i == 3000)
            assert_non_null(network_key(&te->engine->net, bytes_of(ids[0], sizeof ids[0])));
    }
    assert_int_equal(keys_of_acme(), 4000);
    for (int i = 0; i < 2; i++)
        assert_null(network_key(&te->engine->net, bytes_of(ids[i], sizeof ids[i])));
    assert_null(network_key(&te->engine->net, bytes_of(made[1], sizeof made[1])));
    make_and_rotate(repeated); /* the answers outlive the keys */
    assert_memory_equal(made, repeated, sizeof made);
    assert_true(network_validate(&te->engine->net, text));
    test_engine_restart(te);
    assert_int_equal(keys_of_acme(), 4000);
}

static void bad_input_names_its_field(void **state)
{
    (void)state;
    char many[LIMIT_KEY_AGENTS * 2 + 3] = "a";
    struct key_out out;
    for (int i = 0; i < LIMIT_KEY_AGENTS; i++)
        memcpy(many + 2 * i, "a ", 3);
    many[2 * LIMIT_KEY_AGENTS] = 'a';
    assert_int_equal(create(&boss, (struct key_in){.agent_ids = test_list(te, many)}, &out),
                     QMN_E_INVALID);
    assert_string_equal(te->last->err.field, "agent_ids");
    assert_int_equal(create(&boss, (struct key_in){.agent_ids = test_list(te, "a\nb")}, &out),
                     QMN_E_INVALID);
    assert_int_equal(create(&boss, (struct key_in){.expires_in_days = 36501}, &out), QMN_E_INVALID);
    assert_string_equal(te->last->err.field, "expires_in_days");
}

static void another_tenant_does_not_exist_but_for_admins(void **state)
{
    (void)state;
    struct key_out out;
    struct keys_out all;
    struct key_in in = {.tenant_id = BYTES_LIT("other")};
    assert_int_equal(create(&boss, in, &out), QMN_E_NOT_FOUND);
    char there[sizeof te->last->err.text];
    memcpy(there, why(), sizeof there);
    in.tenant_id = BYTES_LIT("nowhr");
    assert_int_equal(create(&boss, in, &out), QMN_E_NOT_FOUND);
    memcpy(strstr(there, "other"), "nowhr", 5);
    assert_string_equal(there, why());
    assert_int_equal(TEST_CALL(te, &boss, engine_list_keys, BYTES_LIT("other"), 1000, 0, &all),
                     QMN_E_NOT_FOUND);
    assert_int_equal(TEST_CALL(te, &te->admin, engine_list_keys, BYTES_LIT("other"), 1000, 0, &all),
                     QMN_OK);
    assert_int_equal(all.count, 0);
}

static void lists_are_in_order_of_making(void **state)
{
    (void)state;
    struct key_out out;
    struct keys_out all;
    for (int i = 0; i < 50; i++) {
        test_engine_advance(te, i % 3);
        assert_int_equal(create(&boss, (struct key_in){0}, &out), QMN_OK);
    }
    assert_int_equal(TEST_CALL(te, &boss, engine_list_keys, BYTES_LIT("me"), 1000, 0, &all),
                     QMN_OK);
    assert_int_equal(all.count, 51);
    for (size_t i = 1; i < all.count; i++) {
        const struct key_out *a = &all.keys[i - 1], *b = &all.keys[i];
        assert_true(a->created_ms <= b->created_ms);
        assert_true(a->created_ms < b->created_ms || bytes_compare(a->id, b->id) < 0);
    }
    for (uint32_t from = 0; from < 60; from += 7) { /* page by page: each once, in this order */
        struct keys_out page;
        assert_int_equal(TEST_CALL(te, &boss, engine_list_keys, BYTES_LIT("me"), 7, from, &page),
                         QMN_OK);
        assert_int_equal(page.count, from > 51 ? 0 : 51 - from < 7 ? 51 - from : 7);
        for (size_t i = 0; i < page.count; i++)
            assert_true(bytes_equal(page.keys[i].id, all.keys[from + i].id));
    }
}

static void a_repeat_gets_everything_but_the_secret(void **state)
{
    (void)state;
    struct key_in in = {.name = BYTES_LIT("once")};
    struct key_out first, again;
    struct call *c = test_call_new(te, &boss);
    c->idempotency = (struct idempotency_in){
        .value = BYTES_LIT("k1"), .route = BYTES_LIT("keys.create"), .body_hash = {1, 2}};
    engine_create_key(te->engine, c, &in, &first);
    assert_int_equal(test_call_wait(te, c), QMN_OK);
    c = test_call_new(te, &boss);
    c->idempotency = (struct idempotency_in){
        .value = BYTES_LIT("k1"), .route = BYTES_LIT("keys.create"), .body_hash = {1, 2}};
    engine_create_key(te->engine, c, &in, &again);
    assert_int_equal(test_call_wait(te, c), QMN_OK);
    assert_true(c->replayed);
    assert_true(bytes_equal(first.id, again.id));
    assert_bytes_equal(again.name, "once");
    assert_int_equal(again.secret.len, 0);
    struct keys_out all;
    assert_int_equal(TEST_CALL(te, &boss, engine_list_keys, BYTES_LIT(""), 1000, 0, &all), QMN_OK);
    assert_int_equal(all.count, 2);
}

static bool valid(const struct caller *who, struct bytes text, struct key_validity *v)
{
    assert_int_equal(TEST_CALL(te, who, engine_validate_key, text, v), QMN_OK);
    return v->valid;
}

static void validation_says_what_a_key_is_to_its_own_tenant(void **state)
{
    (void)state;
    struct caller stranger = test_member(te, "other", NULL);
    struct key_out out;
    struct key_validity v;
    assert_int_equal(create(&boss, (struct key_in){.expires_in_days = 1}, &out), QMN_OK);
    assert_true(valid(&boss, out.secret, &v));
    assert_true(bytes_equal(v.key.id, out.id));
    assert_bytes_equal(v.key.tenant_id, "acme");
    assert_true(valid(&te->admin, out.secret, &v));
    assert_false(valid(&stranger, out.secret, &v));
    assert_false(valid(&boss, BYTES_LIT("nonsense"), &v));
    assert_false(valid(&boss, bytes_cstr(te->admin_key), &v));
    test_engine_advance(te, 86400000);
    assert_false(valid(&boss, out.secret, &v));
}

static void many_at_once_all_work(void **state)
{
    (void)state;
    enum { MANY = 300 };
    struct key_in in = {0};
    struct key_out out[MANY];
    struct call *calls[MANY];
    for (int i = 0; i < MANY; i++) {
        calls[i] = test_call_new(te, &boss);
        engine_create_key(te->engine, calls[i], &in, &out[i]);
    }
    for (int i = 0; i < MANY; i++) {
        struct caller c = {0};
        assert_int_equal(test_call_wait(te, calls[i]), QMN_OK);
        assert_int_equal(test_authenticate(te, out[i].secret, "", &c, NULL), QMN_OK);
    }
}

static void keys_survive_a_restart(void **state)
{
    (void)state;
    test_engine_free(te);
    te = test_engine_new_sqlite();
    test_tenant(te, "acme");
    boss = test_member(te, "acme", "tenant:admin");
    struct key_out out;
    struct caller c = {0};
    struct key_in in = {.scopes = test_list(te, "inbox"), .agent_ids = test_list(te, "ann")};
    assert_int_equal(create(&boss, in, &out), QMN_OK);
    test_engine_restart(te);
    assert_int_equal(test_authenticate(te, out.secret, "", &c, NULL), QMN_OK);
    assert_int_equal(c.scopes, SCOPE_BIT(SCOPE_INBOX));
    assert_true(textlist_has(c.agent_ids, BYTES_LIT("ann")));
    char key[ENGINE_KEY_TEXT_MAX];
    engine_admin_key_text(te->engine, key);
    assert_int_equal(engine_bootstrap(te->engine, key, BOOTSTRAP_FIRST, NULL), QMN_E_CONFLICT);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, acme_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_new_key_is_described_and_shown_once),
        TEST(the_secret_is_not_stored),
        TEST(without_scopes_a_key_gets_a_members),
        TEST(the_default_is_never_more_than_the_caller_holds),
        TEST(an_unknown_scope_is_answered_with_the_known_ones),
        TEST(nobody_grants_a_scope_he_lacks),
        TEST(admin_keys_belong_to_the_system_alone),
        TEST(nobody_grants_a_clearance_he_lacks),
        TEST(a_low_clearance_is_not_raised_by_silence),
        TEST(a_bound_key_grants_only_some_of_its_agents),
        TEST(a_tenant_has_a_thousand_keys_at_most),
        TEST(the_keys_that_ended_first_are_forgotten),
        TEST(bad_input_names_its_field),
        TEST(another_tenant_does_not_exist_but_for_admins),
        TEST(lists_are_in_order_of_making),
        TEST(a_repeat_gets_everything_but_the_secret),
        TEST(validation_says_what_a_key_is_to_its_own_tenant),
        TEST(many_at_once_all_work),
        TEST(keys_survive_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
