/* SPDX-License-Identifier: MIT
 *
 * Rotation and revocation. */
#include "acme.h"

#include "engine/control_priv.h"

static struct err err;

enum { DAY_MS = 86400000 };

static struct key_out create(struct key_in in)
{
    struct key_out out;
    assert_int_equal(TEST_CALL(te, &boss, engine_create_key, &in, &out), QMN_OK);
    return out;
}

static enum qmn_code enter(struct bytes key)
{
    struct caller c = {0};
    return test_authenticate(te, key, "", &c, &err);
}

static struct caller who(struct bytes key)
{
    struct caller c = {0};
    assert_int_equal(test_authenticate(te, key, "", &c, &err), QMN_OK);
    return c;
}

static enum qmn_code rotate(const struct caller *by, struct bytes id, uint32_t grace_sec,
                            struct key_out *out)
{
    return TEST_CALL(te, by, engine_rotate_key, id, grace_sec, out);
}

static enum qmn_code revoke(const struct caller *by, struct bytes id)
{
    struct key_out out;
    return TEST_CALL(te, by, engine_revoke_key, id, &out);
}

static void both_keys_work_during_the_grace_and_one_after(void **state)
{
    (void)state;
    struct key_out old = create((struct key_in){.name = BYTES_LIT("n")}), next;
    assert_int_equal(rotate(&boss, old.id, 60, &next), QMN_OK);
    assert_bytes_equal(next.name, "n");
    assert_true(bytes_equal(next.old_key_id, old.id));
    assert_int_equal(next.old_expires_ms, TEST_ENGINE_START_MS + 60000);
    assert_true(bytes_equal(next.scopes, old.scopes));
    assert_int_equal(enter(old.secret), QMN_OK);
    assert_int_equal(enter(next.secret), QMN_OK);
    test_engine_advance(te, 59999);
    assert_int_equal(enter(old.secret), QMN_OK);
    test_engine_advance(te, 1);
    assert_int_equal(enter(old.secret), QMN_E_UNAUTHENTICATED);
    assert_int_equal(enter(next.secret), QMN_OK);
}

static void without_grace_the_old_key_ends_at_once(void **state)
{
    (void)state;
    struct key_out old = create((struct key_in){0}), next;
    assert_int_equal(rotate(&boss, old.id, 0, &next), QMN_OK);
    assert_int_equal(enter(old.secret), QMN_E_UNAUTHENTICATED);
    assert_int_equal(enter(next.secret), QMN_OK);
}

static void grace_never_extends_the_old_key(void **state)
{
    (void)state;
    struct key_out old = create((struct key_in){.expires_in_days = 1}), next;
    assert_int_equal(rotate(&boss, old.id, 7 * 86400, &next), QMN_OK);
    assert_int_equal(next.old_expires_ms, old.expires_ms);
    test_engine_advance(te, DAY_MS);
    assert_int_equal(enter(old.secret), QMN_E_UNAUTHENTICATED);
}

static void a_key_rotates_itself_when_none_is_named(void **state)
{
    (void)state;
    struct key_out old = create((struct key_in){.scopes = test_list(te, "inbox")}), next;
    struct caller self = who(old.secret);
    assert_int_equal(rotate(&self, BYTES_LIT(""), 60, &next), QMN_OK);
    assert_true(bytes_equal(next.old_key_id, old.id));
    assert_int_equal(who(next.secret).scopes, SCOPE_BIT(SCOPE_INBOX));
}

static void rotating_oneself_does_not_outlive_the_term(void **state)
{
    (void)state;
    struct key_out old =
        create((struct key_in){.scopes = test_list(te, "inbox"), .expires_in_days = 10});
    struct caller self = who(old.secret);
    struct key_out next;
    test_engine_advance(te, 4 * DAY_MS);
    assert_int_equal(rotate(&self, BYTES_LIT(""), 0, &next), QMN_OK);
    assert_int_equal(next.expires_ms, old.expires_ms);
    struct key_out renewed;
    assert_int_equal(rotate(&boss, next.id, 0, &renewed), QMN_OK); /* the administrator may */
    assert_int_equal(renewed.expires_ms, TEST_ENGINE_START_MS + 4 * DAY_MS + 6 * DAY_MS);
}

static void anothers_key_takes_the_administrators_scope(void **state)
{
    (void)state;
    struct key_out mine = create((struct key_in){.scopes = test_list(te, "inbox")});
    struct key_out theirs = create((struct key_in){.scopes = test_list(te, "inbox")}), next;
    struct caller self = who(mine.secret);
    assert_int_equal(rotate(&self, theirs.id, 0, &next), QMN_E_FORBIDDEN);
    assert_int_equal(revoke(&self, theirs.id), QMN_E_FORBIDDEN);
    assert_int_equal(enter(theirs.secret), QMN_OK);
}

static void rotating_a_stronger_key_is_no_way_up(void **state)
{
    (void)state;
    struct key_in in = {.tenant_id = BYTES_LIT("acme"), .clearance = LABEL_SECRET};
    struct key_out strong, next;
    assert_int_equal(TEST_CALL(te, &te->admin, engine_create_key, &in, &strong), QMN_OK);
    assert_int_equal(rotate(&boss, strong.id, 60, &next), QMN_E_FORBIDDEN);
    assert_string_equal(te->last->err.field, "clearance");
    struct caller bound = boss;
    bound.agent_ids = test_list(te, "ann");
    struct key_out free_key = create((struct key_in){0});
    assert_int_equal(rotate(&bound, free_key.id, 60, &next), QMN_E_FORBIDDEN);
    assert_int_equal(revoke(&boss, strong.id), QMN_OK); /* closing is not opening */
}

/* Whoever may close a tenant's keys in need may not close the operators' for them. */
static void an_admin_key_takes_an_admin_to_revoke(void **state)
{
    (void)state;
    struct key_in in = {.scopes = test_list(te, "admin"), .clearance = LABEL_INTERNAL};
    struct key_out other, again;
    assert_int_equal(TEST_CALL(te, &te->admin, engine_create_key, &in, &other), QMN_OK);
    struct caller deputy = test_member(te, "system", "tenant:admin");
    assert_int_equal(revoke(&deputy, other.id), QMN_E_FORBIDDEN);
    assert_int_equal(enter(other.secret), QMN_OK);
    in.scopes = test_list(te, "inbox");
    assert_int_equal(TEST_CALL(te, &te->admin, engine_create_key, &in, &again), QMN_OK);
    assert_int_equal(revoke(&deputy, again.id), QMN_OK);
    assert_int_equal(revoke(&te->admin, other.id), QMN_OK);
}

static void other_tenants_keys_do_not_exist(void **state)
{
    (void)state;
    struct key_out k = create((struct key_in){0}), next;
    test_tenant(te, "other");
    struct caller stranger = test_member(te, "other", NULL);
    assert_int_equal(rotate(&stranger, k.id, 0, &next), QMN_E_NOT_FOUND);
    assert_int_equal(revoke(&stranger, k.id), QMN_E_NOT_FOUND);
    assert_int_equal(revoke(&boss, BYTES_LIT("0123456789abcdef")), QMN_E_NOT_FOUND);
    assert_int_equal(revoke(&boss, te->admin.key_id), QMN_E_NOT_FOUND);
    assert_int_equal(revoke(&te->admin, k.id), QMN_OK);
}

static void a_key_rotates_once(void **state)
{
    (void)state;
    struct key_out old = create((struct key_in){0}), next;
    assert_int_equal(rotate(&boss, old.id, 60, &next), QMN_OK);
    assert_int_equal(rotate(&boss, old.id, 60, &next), QMN_E_CONFLICT);
    struct key_out gone = create((struct key_in){0});
    assert_int_equal(revoke(&boss, gone.id), QMN_OK);
    assert_int_equal(rotate(&boss, gone.id, 60, &next), QMN_E_CONFLICT);
    struct key_out late = create((struct key_in){.expires_in_days = 1});
    test_engine_advance(te, DAY_MS);
    assert_int_equal(rotate(&boss, late.id, 60, &next), QMN_E_CONFLICT);
}

/* A rotation within the grace of the last would add a bucket to the two that count already. */
static void the_new_key_waits_for_the_end_of_the_old(void **state)
{
    (void)state;
    struct key_out old = create((struct key_in){0}), next, third;
    assert_int_equal(rotate(&boss, old.id, 60, &next), QMN_OK);
    assert_int_equal(rotate(&boss, next.id, 60, &third), QMN_E_CONFLICT);
    assert_non_null(strstr(te->last->err.text, "grace"));
    test_engine_advance(te, 60000);
    assert_int_equal(rotate(&boss, next.id, 60, &third), QMN_OK);
    assert_int_equal(revoke(&boss, next.id), QMN_OK); /* which ends the grace as well */
    assert_int_equal(rotate(&boss, third.id, 60, &next), QMN_OK);
}

static void rotating_does_not_refill_the_bucket(void **state)
{
    (void)state;
    struct key_in in = {.scopes = test_list(te, "inbox"), .rate_per_minute = 1};
    struct key_out k = create(in), next;
    struct caller self = who(k.secret);
    unsigned let_in = 1;
    for (int i = 0; i < 20; i++) {
        self.key_id = k.id;
        assert_int_equal(rotate(&self, BYTES_LIT(""), 0, &next), QMN_OK);
        for (int n = 0; n < 5; n++)
            let_in += enter(next.secret) == QMN_OK;
        k = next;
    }
    assert_int_equal(let_in, 10); /* one burst, as if it had been one key all along */
}

static void two_rotations_at_once_make_one_key(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        struct key_out old = create((struct key_in){0}), out[2];
        struct call *c[2];
        test_engine_hold(te);
        for (int i = 0; i < 2; i++) {
            c[i] = test_call_new(te, &boss);
            engine_rotate_key(te->engine, c[i], old.id, 60, &out[i]);
        }
        test_engine_release(te);
        enum qmn_code a = test_call_wait(te, c[0]), b = test_call_wait(te, c[1]);
        assert_int_equal(a, QMN_OK);
        assert_int_equal(b, QMN_E_CONFLICT);
    }
}

static void a_repeated_rotation_gives_its_metadata_without_the_secret(void **state)
{
    (void)state;
    struct key_out old = create((struct key_in){0}), first, again;
    struct key_out *outs[2] = {&first, &again};
    for (int i = 0; i < 2; i++) {
        struct call *c = test_call_new(te, &boss);
        c->idempotency = (struct idempotency_in){
            .value = BYTES_LIT("r"), .route = BYTES_LIT("keys.rotate"), .body_hash = {3, 4}};
        engine_rotate_key(te->engine, c, old.id, 60, outs[i]);
        assert_int_equal(test_call_wait(te, c), QMN_OK);
        assert_int_equal(c->replayed, i);
    }
    assert_true(bytes_equal(first.id, again.id));
    assert_true(bytes_equal(again.old_key_id, old.id));
    assert_int_equal(again.old_expires_ms, first.old_expires_ms);
    assert_int_not_equal(first.secret.len, 0);
    assert_int_equal(again.secret.len, 0);
}

static void revocation_is_immediate_and_may_be_repeated(void **state)
{
    (void)state;
    struct key_out k = create((struct key_in){0}), out;
    assert_int_equal(enter(k.secret), QMN_OK);
    assert_int_equal(TEST_CALL(te, &boss, engine_revoke_key, k.id, &out), QMN_OK);
    assert_string_equal(out.status, "revoked");
    assert_int_equal(enter(k.secret), QMN_E_UNAUTHENTICATED);
    assert_non_null(strstr(err.text, "revoked"));
    assert_int_equal(TEST_CALL(te, &boss, engine_revoke_key, k.id, &out), QMN_OK);
    assert_string_equal(out.status, "revoked");
}

static void a_key_may_revoke_itself(void **state)
{
    (void)state;
    struct key_out k = create((struct key_in){.scopes = test_list(te, "inbox")});
    struct caller self = who(k.secret);
    assert_int_equal(revoke(&self, k.id), QMN_OK);
    assert_int_equal(enter(k.secret), QMN_E_UNAUTHENTICATED);
}

static struct key_out second_admin(uint32_t days)
{
    struct key_in in = {.scopes = test_list(te, "admin"), .expires_in_days = days};
    struct key_out out;
    assert_int_equal(TEST_CALL(te, &te->admin, engine_create_key, &in, &out), QMN_OK);
    return out;
}

static void the_last_admin_key_stays(void **state)
{
    (void)state;
    assert_int_equal(revoke(&te->admin, te->admin.key_id), QMN_E_CONFLICT);
    struct key_out other = second_admin(0);
    assert_int_equal(revoke(&te->admin, te->admin.key_id), QMN_OK);
    struct caller next = who(other.secret);
    assert_int_equal(revoke(&next, other.id), QMN_E_CONFLICT);
}

/* Both work today; in an hour there would be none. */
static void a_key_in_grace_is_no_second_admin(void **state)
{
    (void)state;
    struct key_out next;
    assert_int_equal(rotate(&te->admin, BYTES_LIT(""), 3600, &next), QMN_OK);
    assert_int_equal(revoke(&te->admin, next.id), QMN_E_CONFLICT);
    assert_int_equal(revoke(&te->admin, te->admin.key_id), QMN_OK);
}

static void a_key_that_ends_sooner_is_no_second_admin(void **state)
{
    (void)state;
    struct key_out month = second_admin(30), day = second_admin(1);
    assert_int_equal(revoke(&te->admin, te->admin.key_id), QMN_E_CONFLICT);
    assert_int_equal(revoke(&te->admin, month.id), QMN_OK); /* te->admin never ends */
    assert_int_equal(revoke(&te->admin, day.id), QMN_OK);
}

static void an_expired_admin_key_does_not_count(void **state)
{
    (void)state;
    second_admin(1);
    test_engine_advance(te, DAY_MS);
    assert_int_equal(revoke(&te->admin, te->admin.key_id), QMN_E_CONFLICT);
    struct key_out next;
    assert_int_equal(rotate(&te->admin, BYTES_LIT(""), 0, &next), QMN_OK);
    assert_int_equal(enter(bytes_cstr(te->admin_key)), QMN_E_UNAUTHENTICATED);
    assert_int_equal(enter(next.secret), QMN_OK);
}

/* Each alone is not the last; together they would be. */
static void two_admins_cannot_revoke_each_other_at_once(void **state)
{
    (void)state;
    struct key_out other = second_admin(0), out[2];
    struct call *a = test_call_new(te, &te->admin), *b = test_call_new(te, &te->admin);
    test_engine_hold(te);
    engine_revoke_key(te->engine, a, te->admin.key_id, &out[0]);
    engine_revoke_key(te->engine, b, other.id, &out[1]);
    test_engine_release(te);
    assert_int_equal(test_call_wait(te, a), QMN_OK);
    assert_int_equal(test_call_wait(te, b), QMN_E_CONFLICT);
    assert_int_equal(enter(other.secret), QMN_OK);
}

static void changes_survive_a_restart(void **state)
{
    (void)state;
    test_engine_free(te);
    te = test_engine_new_sqlite();
    test_tenant(te, "acme");
    boss = test_member(te, "acme", "tenant:admin");
    struct key_out old = create((struct key_in){0}), gone = create((struct key_in){0}), next;
    assert_int_equal(rotate(&boss, old.id, 60, &next), QMN_OK);
    assert_int_equal(revoke(&boss, gone.id), QMN_OK);
    test_engine_restart(te);
    assert_int_equal(enter(next.secret), QMN_OK);
    assert_int_equal(enter(old.secret), QMN_OK);
    assert_int_equal(enter(gone.secret), QMN_E_UNAUTHENTICATED);
    test_engine_advance(te, 60000);
    assert_int_equal(enter(old.secret), QMN_E_UNAUTHENTICATED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ACME_TEST(both_keys_work_during_the_grace_and_one_after),
        ACME_TEST(without_grace_the_old_key_ends_at_once),
        ACME_TEST(grace_never_extends_the_old_key),
        ACME_TEST(a_key_rotates_itself_when_none_is_named),
        ACME_TEST(rotating_oneself_does_not_outlive_the_term),
        ACME_TEST(anothers_key_takes_the_administrators_scope),
        ACME_TEST(rotating_a_stronger_key_is_no_way_up),
        ACME_TEST(other_tenants_keys_do_not_exist),
        ACME_TEST(a_key_rotates_once),
        ACME_TEST(the_new_key_waits_for_the_end_of_the_old),
        ACME_TEST(rotating_does_not_refill_the_bucket),
        ACME_TEST(two_rotations_at_once_make_one_key),
        ACME_TEST(a_repeated_rotation_gives_its_metadata_without_the_secret),
        ACME_TEST(revocation_is_immediate_and_may_be_repeated),
        ACME_TEST(an_admin_key_takes_an_admin_to_revoke),
        ACME_TEST(a_key_may_revoke_itself),
        ACME_TEST(the_last_admin_key_stays),
        ACME_TEST(a_key_in_grace_is_no_second_admin),
        ACME_TEST(a_key_that_ends_sooner_is_no_second_admin),
        ACME_TEST(an_expired_admin_key_does_not_count),
        ACME_TEST(two_admins_cannot_revoke_each_other_at_once),
        ACME_TEST(changes_survive_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
