/* SPDX-License-Identifier: MIT
 *
 * The audit: every change leaves an entry, denials leave a few. */
#include "acme.h"

#include <stdio.h>
#include <unistd.h>

#include "base/buf.h"
#include "engine/control_priv.h"

static struct audit_out audit(const struct caller *who, int64_t after, uint32_t limit)
{
    struct audit_out out;
    assert_int_equal(TEST_CALL(te, who, engine_audit, after, limit, &out), QMN_OK);
    return out;
}

static struct record_audit last(const struct caller *who)
{
    struct audit_out all = audit(who, 0, 1000);
    assert_true(all.count > 0);
    return all.entries[all.count - 1];
}

/* Denials are written behind the answer: a change commits after what was queued before it. */
static void flush(void)
{
    struct tenant_in in = {.id = BYTES_LIT("system"), .name = BYTES_LIT("x")};
    struct tenant_out out;
    for (int i = 0; i < 3; i++)
        assert_int_equal(TEST_CALL(te, &te->admin, engine_update_tenant, &in, &out), QMN_OK);
}

static size_t count_action(const struct caller *who, const char *action)
{
    struct audit_out all = audit(who, 0, 1000);
    size_t n = 0;
    for (size_t i = 0; i < all.count; i++)
        n += bytes_is(all.entries[i].action, action);
    return n;
}

static void every_change_of_the_control_plane_is_recorded(void **state)
{
    (void)state;
    struct key_in key_in = {0};
    struct key_out key, next;
    struct policy_in policy_in = {.type = POLICY_RBAC, .rules = BYTES_LIT("{}"), .enabled = true};
    struct policy_out policy;
    struct tenant_in tenant_in = {.id = BYTES_LIT("me"), .name = BYTES_LIT("y")};
    struct tenant_out tenant;
    assert_int_equal(TEST_CALL(te, &boss, engine_create_key, &key_in, &key), QMN_OK);
    assert_int_equal(TEST_CALL(te, &boss, engine_rotate_key, key.id, 60, &next), QMN_OK);
    assert_int_equal(TEST_CALL(te, &boss, engine_revoke_key, key.id, &key), QMN_OK);
    assert_int_equal(TEST_CALL(te, &boss, engine_create_policy, &policy_in, &policy), QMN_OK);
    assert_int_equal(TEST_CALL(te, &boss, engine_update_tenant, &tenant_in, &tenant), QMN_OK);
    assert_int_equal(TEST_CALL(te, &te->admin, engine_delete_tenant, BYTES_LIT("acme"), false),
                     QMN_OK);
    static const char *const actions[] = {"tenant.create", "key.create",   "key.create",
                                          "key.rotate",    "key.revoke",   "policy.create",
                                          "tenant.update", "tenant.delete"};
    struct audit_out all = audit(&boss, 0, 100);
    assert_int_equal(all.count, ARRAY_LEN(actions));
    for (size_t i = 0; i < all.count; i++) {
        assert_bytes_equal(all.entries[i].action, actions[i]);
        assert_int_equal(all.entries[i].seq, i + 1);
        assert_int_equal(all.entries[i].tenant_no, boss.tenant_no);
        assert_int_equal(all.entries[i].at_ms, TEST_ENGINE_START_MS);
    }
    assert_true(bytes_equal(all.entries[3].actor, boss.key_id));
    assert_true(bytes_equal(all.entries[3].target, key.id));
    assert_true(bytes_equal(all.entries[7].actor, te->admin.key_id));
    assert_bytes_equal(audit(&te->admin, 0, 1).entries[0].actor, "node"); /* the bootstrap */
}

/* Nobody would write it any more, and the end of the engine waits for it. */
static void a_denial_behind_the_stopped_writer_keeps_nobody_waiting(void **state)
{
    (void)state;
    writer_stop(te->engine);
    engine_audit_denied(te->engine, &boss, BYTES_LIT("late"), "too late");
    alarm(10);
    test_engine_free(te);
    alarm(0);
    te = test_engine_new();
}

static void no_entry_holds_a_secret(void **state)
{
    (void)state;
    struct key_out key, next;
    struct key_in in = {0};
    assert_int_equal(TEST_CALL(te, &boss, engine_create_key, &in, &key), QMN_OK);
    assert_int_equal(TEST_CALL(te, &boss, engine_rotate_key, key.id, 60, &next), QMN_OK);
    struct bytes secrets[] = {key.secret, next.secret};
    struct audit_out all = audit(&boss, 0, 100);
    for (size_t i = 0; i < all.count; i++)
        for (size_t s = 0; s < 2; s++) {
            struct apikey parts;
            struct bytes detail = all.entries[i].detail;
            assert_true(apikey_parse(secrets[s], &parts));
            assert_null(memmem(detail.ptr, detail.len, parts.secret.ptr, 8));
        }
}

static void what_was_refused_is_no_change(void **state)
{
    (void)state;
    size_t before = audit(&boss, 0, 1000).count;
    struct key_in in = {.clearance = LABEL_SECRET};
    struct key_out key;
    struct tenant_in tenant_in = {.id = BYTES_LIT("acme")};
    struct tenant_out tenant;
    assert_int_equal(TEST_CALL(te, &boss, engine_create_key, &in, &key), QMN_E_FORBIDDEN);
    assert_int_equal(TEST_CALL(te, &te->admin, engine_create_tenant, &tenant_in, &tenant),
                     QMN_E_CONFLICT);
    assert_int_equal(audit(&boss, 0, 1000).count, before);
}

static void lists_page_by_number(void **state)
{
    (void)state;
    struct key_in in = {0};
    struct key_out key;
    for (int i = 0; i < 10; i++)
        assert_int_equal(TEST_CALL(te, &boss, engine_create_key, &in, &key), QMN_OK);
    struct audit_out page = audit(&boss, 0, 5);
    assert_int_equal(page.count, 5);
    page = audit(&boss, page.entries[4].seq, 5);
    assert_int_equal(page.count, 5);
    assert_int_equal(page.entries[0].seq, 6);
    page = audit(&boss, 12, 5);
    assert_int_equal(page.count, 0);
}

static void tenants_see_their_own_audit(void **state)
{
    (void)state;
    test_tenant(te, "other");
    struct caller stranger = test_member(te, "other", NULL);
    const struct caller *both[] = {&boss, &stranger}; /* rows of others behind, and before */
    for (int k = 0; k < 2; k++) {
        struct audit_out all = audit(both[k], 0, 100);
        assert_int_equal(all.count, 2);
        for (size_t i = 0; i < all.count; i++)
            assert_int_equal(all.entries[i].tenant_no, both[k]->tenant_no);
    }
}

static void a_denial_is_recorded_with_its_reason(void **state)
{
    (void)state;
    engine_audit_denied(te->engine, &boss, BYTES_LIT("keys.create"), "lacks \"x\"\n");
    flush();
    struct record_audit x = last(&boss);
    assert_bytes_equal(x.action, "denied keys.create");
    assert_true(bytes_equal(x.actor, boss.key_id));
    assert_bytes_equal(x.detail, "{\"why\":\"lacks \\\"x\\\"\\n\"}");
}

static void a_wrong_tenant_header_is_a_denial(void **state)
{
    (void)state;
    struct key_in in = {.tenant_id = BYTES_LIT("acme")};
    struct key_out key;
    struct caller c = {0};
    assert_int_equal(TEST_CALL(te, &te->admin, engine_create_key, &in, &key), QMN_OK);
    assert_int_equal(test_authenticate(te, key.secret, "system", &c, NULL), QMN_E_FORBIDDEN);
    flush();
    struct record_audit x = last(&boss);
    assert_bytes_equal(x.action, "denied authenticate");
    assert_true(bytes_equal(x.actor, key.id));
}

static void a_flood_of_denials_is_bounded_and_counted(void **state)
{
    (void)state;
    for (int i = 0; i < 10000; i++)
        engine_audit_denied(te->engine, &boss, BYTES_LIT("flood"), "no");
    flush();
    size_t written = count_action(&boss, "denied flood");
    assert_in_range(written, 1, 60); /* 5 a second, and it took a few at most */
    struct buf text;
    buf_init(&text, 1 << 20);
    metrics_expose(te->metrics, &text);
    buf_addc(&text, 0);
    char expected[96];
    snprintf(expected, sizeof expected, "qmn_audit_denied_unwritten_total %zu",
             (size_t)10000 - written);
    assert_non_null(strstr(text.ptr, expected));
    buf_release(&text);
}

/* Keys share 256 places, so one of the others may be unlucky; not most of them. */
static void one_keys_flood_leaves_room_for_others(void **state)
{
    (void)state;
    enum { OTHERS = 5 };
    for (int i = 0; i < 1000; i++)
        engine_audit_denied(te->engine, &boss, BYTES_LIT("flood"), "no");
    for (int i = 0; i < OTHERS; i++) {
        struct caller other = test_member(te, "acme", NULL);
        engine_audit_denied(te->engine, &other, BYTES_LIT("single"), "no");
    }
    flush();
    assert_in_range(count_action(&boss, "denied single"), 3, OTHERS);
}

static void long_and_odd_texts_are_cut_whole(void **state)
{
    (void)state;
    char why[1000];
    for (size_t i = 0; i + 1 < sizeof why; i++)
        why[i] = i % 2 ? '\xa9' : '\xc3'; /* e with an accent, many times */
    why[sizeof why - 2] = 0;
    engine_audit_denied(te->engine, &boss, BYTES_LIT("x"), why);
    flush();
    struct bytes detail = last(&boss).detail;
    assert_null(memmem(detail.ptr, detail.len, "\xef\xbf\xbd", 3)); /* no replacement character */
    assert_true(detail.len > 150 && detail.len < 200);
}

/* More entries of one tenant than the loader walks one by one, between two others. */
static void numbers_go_on_after_a_restart(void **state)
{
    (void)state;
    enum { MANY = 700 };
    test_engine_free(te);
    te = test_engine_new_sqlite();
    static const char *const ids[] = {"first", "second", "third"};
    struct caller who[3];
    int64_t seq[3];
    for (int t = 0; t < 3; t++) {
        test_tenant(te, ids[t]);
        who[t] = test_member(te, ids[t], NULL);
    }
    struct call *calls[MANY];
    struct key_in in = {0};
    struct key_out out[MANY];
    for (int i = 0; i < MANY; i++) {
        calls[i] = test_call_new(te, &who[1]);
        engine_create_key(te->engine, calls[i], &in, &out[i]);
    }
    for (int i = 0; i < MANY; i++)
        assert_int_equal(test_call_wait(te, calls[i]), QMN_OK);
    for (int t = 0; t < 3; t++)
        seq[t] = network_tenant(&te->engine->net, bytes_cstr(ids[t]))->audit_seq;
    assert_int_equal(seq[1], MANY + 2);
    test_engine_restart(te);
    for (int t = 0; t < 3; t++) {
        assert_int_equal(network_tenant(&te->engine->net, bytes_cstr(ids[t]))->audit_seq, seq[t]);
        assert_int_equal(TEST_CALL(te, &who[t], engine_create_key, &in, &out[0]), QMN_OK);
        assert_int_equal(audit(&who[t], seq[t], 10).count, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ACME_TEST(every_change_of_the_control_plane_is_recorded),
        ACME_TEST(a_denial_behind_the_stopped_writer_keeps_nobody_waiting),
        ACME_TEST(no_entry_holds_a_secret),
        ACME_TEST(what_was_refused_is_no_change),
        ACME_TEST(lists_page_by_number),
        ACME_TEST(tenants_see_their_own_audit),
        ACME_TEST(a_denial_is_recorded_with_its_reason),
        ACME_TEST(a_wrong_tenant_header_is_a_denial),
        ACME_TEST(a_flood_of_denials_is_bounded_and_counted),
        ACME_TEST(one_keys_flood_leaves_room_for_others),
        ACME_TEST(long_and_odd_texts_are_cut_whole),
        ACME_TEST(numbers_go_on_after_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
