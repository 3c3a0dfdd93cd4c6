/* SPDX-License-Identifier: MIT
 *
 * Tenants: making, looking, changing, deleting. */
#include "acme.h"

#include <stdio.h>

#include "engine/agents.h"
#include "engine/control_priv.h"

static enum qmn_code create(const struct caller *who, struct tenant_in in, struct tenant_out *out)
{
    return TEST_CALL(te, who, engine_create_tenant, &in, out);
}

static enum qmn_code get(const struct caller *who, const char *id, struct tenant_out *out)
{
    return TEST_CALL(te, who, engine_get_tenant, bytes_cstr(id), out);
}

static enum qmn_code update(const struct caller *who, struct tenant_in in, struct tenant_out *out)
{
    return TEST_CALL(te, who, engine_update_tenant, &in, out);
}

static enum qmn_code drop(const struct caller *who, const char *id)
{
    return TEST_CALL(te, who, engine_delete_tenant, bytes_cstr(id), false);
}

static void a_new_tenant_is_described_as_made(void **state)
{
    (void)state;
    struct tenant_out out, got;
    struct tenant_in in = {.id = BYTES_LIT("new-1"),
                           .name = BYTES_LIT("New One"),
                           .kms_key_id = BYTES_LIT("kms"),
                           .region = BYTES_LIT("eu"),
                           .metadata = BYTES_LIT("{\"a\":1}"),
                           .plan = PLAN_PRO,
                           .dim = 8};
    assert_int_equal(create(&te->admin, in, &out), QMN_OK);
    assert_int_equal(get(&te->admin, "new-1", &got), QMN_OK);
    struct tenant_out *both[] = {&out, &got};
    for (int i = 0; i < 2; i++) {
        assert_bytes_equal(both[i]->id, "new-1");
        assert_bytes_equal(both[i]->name, "New One");
        assert_bytes_equal(both[i]->kms_key_id, "kms");
        assert_bytes_equal(both[i]->region, "eu");
        assert_bytes_equal(both[i]->metadata, "{\"a\":1}");
        assert_int_equal(both[i]->plan, PLAN_PRO);
        assert_int_equal(both[i]->status, TENANT_ACTIVE);
        assert_int_equal(both[i]->dim, 8);
        assert_int_equal(both[i]->created_ms, TEST_ENGINE_START_MS);
    }
}

static void what_is_not_said_gets_its_default(void **state)
{
    (void)state;
    struct tenant_out out;
    assert_int_equal(create(&te->admin, (struct tenant_in){.id = BYTES_LIT("bare")}, &out), QMN_OK);
    assert_bytes_equal(out.name, "bare");
    assert_bytes_equal(out.metadata, "{}");
    assert_int_equal(out.plan, PLAN_FREE);
    assert_int_equal(out.dim, 0);
}

static void every_tenant_has_its_default_agent(void **state)
{
    (void)state;
    const struct tenant *t = network_tenant(&te->engine->net, BYTES_LIT("acme"));
    assert_non_null(t->default_agent);
    assert_bytes_equal(t->default_agent->record->id, DEFAULT_AGENT_ID);
    assert_int_equal(t->active_agents, 0); /* it counts against no quota */
    assert_non_null(network_tenant(&te->engine->net, BYTES_LIT("system"))->default_agent);
}

static void ids_are_lower_case_words(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "ab", "Acme", "a_b", "a.b", "me", "a b c d", "None", "\xc3\xa9\xc3\xa9"};
    struct tenant_out out;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(create(&te->admin, (struct tenant_in){.id = bytes_cstr(bad[i])}, &out),
                         QMN_E_INVALID);
    char id[66];
    memset(id, 'a', sizeof id);
    assert_int_equal(create(&te->admin, (struct tenant_in){.id = bytes_of(id, 65)}, &out),
                     QMN_E_INVALID);
    assert_int_equal(create(&te->admin, (struct tenant_in){.id = bytes_of(id, 64)}, &out), QMN_OK);
    assert_int_equal(create(&te->admin, (struct tenant_in){.id = BYTES_LIT("---")}, &out), QMN_OK);
}

static void an_id_is_given_once(void **state)
{
    (void)state;
    struct tenant_out out;
    assert_int_equal(create(&te->admin, (struct tenant_in){.id = BYTES_LIT("acme")}, &out),
                     QMN_E_CONFLICT);
    assert_int_equal(drop(&te->admin, "acme"), QMN_OK);
    assert_int_equal(create(&te->admin, (struct tenant_in){.id = BYTES_LIT("acme")}, &out),
                     QMN_E_CONFLICT);
}

static void of_two_creations_at_once_one_wins(void **state)
{
    (void)state;
    struct tenant_in in = {.id = BYTES_LIT("twice")};
    struct tenant_out out[2];
    struct call *a = test_call_new(te, &te->admin), *b = test_call_new(te, &te->admin);
    test_engine_hold(te);
    engine_create_tenant(te->engine, a, &in, &out[0]);
    engine_create_tenant(te->engine, b, &in, &out[1]);
    test_engine_release(te);
    assert_int_equal(test_call_wait(te, a), QMN_OK);
    assert_int_equal(test_call_wait(te, b), QMN_E_CONFLICT);
}

static void only_an_admin_makes_tenants(void **state)
{
    (void)state;
    struct tenant_out out;
    assert_int_equal(create(&boss, (struct tenant_in){.id = BYTES_LIT("mine")}, &out),
                     QMN_E_FORBIDDEN);
}

static void a_repeated_creation_answers_the_first(void **state)
{
    (void)state;
    struct tenant_in in = {.id = BYTES_LIT("again")};
    for (int i = 0; i < 2; i++) {
        struct tenant_out out;
        struct call *c = test_call_new(te, &te->admin);
        c->idempotency = (struct idempotency_in){
            .value = BYTES_LIT("t"), .route = BYTES_LIT("tenants.create"), .body_hash = {1}};
        engine_create_tenant(te->engine, c, &in, &out);
        assert_int_equal(test_call_wait(te, c), QMN_OK);
        assert_int_equal(c->replayed, i);
        assert_bytes_equal(out.id, "again");
    }
}

static void me_and_none_are_the_callers_own(void **state)
{
    (void)state;
    static const char *const own[] = {"me", "None", "", "acme"};
    struct tenant_out out;
    for (size_t i = 0; i < ARRAY_LEN(own); i++) {
        assert_int_equal(get(&boss, own[i], &out), QMN_OK);
        assert_bytes_equal(out.id, "acme");
    }
    struct caller acting = {0};
    assert_int_equal(test_authenticate(te, bytes_cstr(te->admin_key), "acme", &acting, NULL),
                     QMN_OK);
    assert_int_equal(get(&acting, "me", &out), QMN_OK);
    assert_bytes_equal(out.id, "acme");
}

static void another_tenant_and_an_absent_one_are_the_same(void **state)
{
    (void)state;
    struct tenant_out out;
    struct usage_out usage;
    char text[320];
    test_tenant(te, "other");
    assert_int_equal(get(&boss, "other", &out), QMN_E_NOT_FOUND);
    memcpy(text, te->last->err.text, sizeof text);
    assert_int_equal(get(&boss, "nowhr", &out), QMN_E_NOT_FOUND);
    memcpy(strstr(text, "other"), "nowhr", 5);
    assert_string_equal(text, te->last->err.text);
    assert_int_equal(update(&boss, (struct tenant_in){.id = BYTES_LIT("other")}, &out),
                     QMN_E_NOT_FOUND);
    assert_int_equal(drop(&boss, "other"), QMN_E_NOT_FOUND);
    assert_int_equal(TEST_CALL(te, &boss, engine_usage, BYTES_LIT("other"), &usage),
                     QMN_E_NOT_FOUND);
    assert_int_equal(get(&te->admin, "other", &out), QMN_OK);
    assert_int_equal(out.status, TENANT_ACTIVE);
}

static void lists_filter_and_page(void **state)
{
    (void)state;
    struct tenants_out out;
    for (int i = 0; i < 10; i++) {
        char id[16];
        snprintf(id, sizeof id, "tenant-%d", i);
        struct tenant_in in = {.id = bytes_cstr(id), .plan = i % 2 ? PLAN_PRO : PLAN_FREE};
        struct tenant_out one;
        assert_int_equal(create(&te->admin, in, &one), QMN_OK);
    }
    assert_int_equal(drop(&te->admin, "tenant-3"), QMN_OK);
    assert_int_equal(TEST_CALL(te, &te->admin, engine_list_tenants, 0, 0, 100, 0, &out), QMN_OK);
    assert_int_equal(out.count, 12); /* system and acme too, the deleted one as well */
    assert_bytes_equal(out.tenants[0].id, "system");
    assert_int_equal(
        TEST_CALL(te, &te->admin, engine_list_tenants, TENANT_ACTIVE, PLAN_PRO, 100, 0, &out),
        QMN_OK);
    assert_int_equal(out.count, 4);
    assert_int_equal(TEST_CALL(te, &te->admin, engine_list_tenants, 0, 0, 3, 4, &out), QMN_OK);
    assert_int_equal(out.count, 3);
    assert_bytes_equal(out.tenants[0].id, "tenant-2");
    assert_bytes_equal(out.tenants[1].id, "tenant-3");
    assert_int_equal(TEST_CALL(te, &te->admin, engine_list_tenants, 0, 0, 3, 99, &out), QMN_OK);
    assert_int_equal(out.count, 0);
    assert_int_equal(TEST_CALL(te, &boss, engine_list_tenants, 0, 0, 100, 0, &out), QMN_OK);
    assert_int_equal(out.count, 1);
    assert_bytes_equal(out.tenants[0].id, "acme");
}

static void an_update_changes_what_it_names(void **state)
{
    (void)state;
    struct tenant_out out;
    struct tenant_in in = {.id = BYTES_LIT("me"), .name = BYTES_LIT("Acme Inc")};
    test_engine_advance(te, 5);
    assert_int_equal(update(&boss, in, &out), QMN_OK);
    assert_bytes_equal(out.name, "Acme Inc");
    assert_int_equal(out.plan, PLAN_ENTERPRISE);
    assert_int_equal(out.updated_ms, TEST_ENGINE_START_MS + 5);
    in = (struct tenant_in){.id = BYTES_LIT("me"), .metadata = BYTES_LIT("{\"k\":[]}")};
    assert_int_equal(update(&boss, in, &out), QMN_OK);
    assert_bytes_equal(out.name, "Acme Inc");
    assert_bytes_equal(out.metadata, "{\"k\":[]}");
}

/* Each starts from the row as the other leaves it. */
static void two_updates_at_once_both_stay(void **state)
{
    (void)state;
    struct tenant_in in[2] = {{.id = BYTES_LIT("me"), .name = BYTES_LIT("renamed")},
                              {.id = BYTES_LIT("me"), .region = BYTES_LIT("eu")}};
    struct tenant_out out[2], now;
    struct call *c[2];
    test_engine_hold(te);
    for (int i = 0; i < 2; i++) {
        c[i] = test_call_new(te, &boss);
        engine_update_tenant(te->engine, c[i], &in[i], &out[i]);
    }
    test_engine_release(te);
    for (int i = 0; i < 2; i++)
        assert_int_equal(test_call_wait(te, c[i]), QMN_OK);
    assert_int_equal(get(&boss, "me", &now), QMN_OK);
    assert_bytes_equal(now.name, "renamed");
    assert_bytes_equal(now.region, "eu");
}

/* The update must not bring back what the deletion before it ended. */
static void an_update_behind_a_deletion_is_refused(void **state)
{
    (void)state;
    struct tenant_in in = {.id = BYTES_LIT("acme"), .name = BYTES_LIT("renamed")};
    struct tenant_out out;
    struct call *a = test_call_new(te, &te->admin), *b = test_call_new(te, &te->admin);
    test_engine_hold(te);
    engine_delete_tenant(te->engine, a, BYTES_LIT("acme"), false);
    engine_update_tenant(te->engine, b, &in, &out);
    test_engine_release(te);
    assert_int_equal(test_call_wait(te, a), QMN_OK);
    assert_int_equal(test_call_wait(te, b), QMN_E_CONFLICT);
    assert_int_equal(get(&te->admin, "acme", &out), QMN_OK);
    assert_int_equal(out.status, TENANT_DELETED);
}

static void plan_and_status_are_the_operators_say(void **state)
{
    (void)state;
    struct tenant_out out;
    struct tenant_in in = {.id = BYTES_LIT("me"), .plan = PLAN_PRO};
    assert_int_equal(update(&boss, in, &out), QMN_E_FORBIDDEN);
    in = (struct tenant_in){.id = BYTES_LIT("me"), .status = TENANT_SUSPENDED};
    assert_int_equal(update(&boss, in, &out), QMN_E_FORBIDDEN);
    in = (struct tenant_in){.id = BYTES_LIT("me"), .plan = PLAN_ENTERPRISE}; /* as it is */
    assert_int_equal(update(&boss, in, &out), QMN_OK);
}

static void the_system_tenant_stays(void **state)
{
    (void)state;
    struct tenant_out out;
    struct tenant_in in = {.id = BYTES_LIT("system"), .status = TENANT_SUSPENDED};
    assert_int_equal(drop(&te->admin, "system"), QMN_E_CONFLICT);
    assert_int_equal(drop(&te->admin, "me"), QMN_E_CONFLICT);
    assert_int_equal(update(&te->admin, in, &out), QMN_E_CONFLICT);
    in = (struct tenant_in){.id = BYTES_LIT("system"), .name = BYTES_LIT("Ops")};
    assert_int_equal(update(&te->admin, in, &out), QMN_OK);
}

static void a_deleted_tenant_can_be_brought_back_by_an_admin(void **state)
{
    (void)state;
    struct tenant_out out;
    assert_int_equal(drop(&te->admin, "acme"), QMN_OK);
    assert_int_equal(drop(&te->admin, "acme"), QMN_OK); /* it is deleted, as asked */
    assert_int_equal(get(&te->admin, "acme", &out), QMN_OK);
    assert_int_equal(out.status, TENANT_DELETED);
    struct tenant_in in = {.id = BYTES_LIT("acme"), .name = BYTES_LIT("x")};
    assert_int_equal(update(&te->admin, in, &out), QMN_E_CONFLICT);
    in.status = TENANT_DELETED;
    assert_int_equal(update(&te->admin, in, &out), QMN_E_CONFLICT);
    in.status = TENANT_ACTIVE;
    assert_int_equal(update(&te->admin, in, &out), QMN_OK);
    assert_int_equal(out.status, TENANT_ACTIVE);
    in.status = TENANT_DELETED;
    assert_int_equal(update(&te->admin, in, &out), QMN_E_INVALID);
}

static void a_deleted_tenant_refuses_what_is_under_way(void **state)
{
    (void)state;
    assert_int_equal(drop(&te->admin, "acme"), QMN_OK);
    struct task_in task = {.title = BYTES_LIT("t"), .outcome = -1};
    struct task_out task_out;
    struct policy_in policy = {.type = POLICY_DLP, .rules = BYTES_LIT("{}"), .enabled = true};
    struct policy_out policy_out;
    struct key_in key = {0};
    struct key_out key_out;
    /* `boss` was authenticated before */
    assert_int_equal(TEST_CALL(te, &boss, engine_create_task, &task, &task_out), QMN_E_FORBIDDEN);
    assert_int_equal(TEST_CALL(te, &boss, engine_create_policy, &policy, &policy_out),
                     QMN_E_FORBIDDEN);
    assert_int_equal(TEST_CALL(te, &boss, engine_create_key, &key, &key_out), QMN_E_FORBIDDEN);
}

/* A change of the row and the fixing of its vector space by a first use, in one group. */
static void an_update_does_not_lose_the_vector_space(void **state)
{
    (void)state;
    static const float profile[4] = {1, 2, 3, 4};
    for (int round = 0; round < 20; round++) {
        char id[16];
        snprintf(id, sizeof id, "space-%d", round);
        test_tenant(te, id);
        struct caller member = test_member(te, id, "tenant:admin");
        struct agent_in agent = {.id = BYTES_LIT("ann"),
                                 .profile = {.values = profile, .dim = 4},
                                 .clearance = LABEL_INTERNAL};
        struct agent_out agent_out;
        struct tenant_in in = {.id = BYTES_LIT("me"), .name = BYTES_LIT("renamed")};
        struct tenant_out out;
        struct call *a = test_call_new(te, &member), *b = test_call_new(te, &member);
        test_engine_hold(te);
        if (round % 2)
            engine_update_tenant(te->engine, a, &in, &out);
        engine_register_agent(te->engine, b, &agent, &agent_out);
        if (round % 2 == 0)
            engine_update_tenant(te->engine, a, &in, &out);
        test_engine_release(te);
        assert_int_equal(test_call_wait(te, a), QMN_OK);
        assert_int_equal(test_call_wait(te, b), QMN_OK);
        assert_int_equal(get(&member, "me", &out), QMN_OK);
        assert_bytes_equal(out.name, "renamed");
        assert_int_equal(out.dim, 4);
        assert_bytes_equal(out.space, "client");
    }
}

static void tenants_survive_a_restart(void **state)
{
    (void)state;
    test_engine_free(te);
    te = test_engine_new_sqlite();
    struct tenant_out out;
    struct tenant_in in = {
        .id = BYTES_LIT("kept"), .name = BYTES_LIT("K"), .plan = PLAN_PRO, .dim = 16};
    assert_int_equal(create(&te->admin, in, &out), QMN_OK);
    test_tenant(te, "gone");
    assert_int_equal(drop(&te->admin, "gone"), QMN_OK);
    test_engine_restart(te);
    assert_int_equal(get(&te->admin, "kept", &out), QMN_OK);
    assert_bytes_equal(out.name, "K");
    assert_int_equal(out.dim, 16);
    assert_non_null(network_tenant(&te->engine->net, BYTES_LIT("kept"))->default_agent);
    assert_int_equal(get(&te->admin, "gone", &out), QMN_OK);
    assert_int_equal(out.status, TENANT_DELETED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ACME_TEST(a_new_tenant_is_described_as_made),
        ACME_TEST(what_is_not_said_gets_its_default),
        ACME_TEST(every_tenant_has_its_default_agent),
        ACME_TEST(ids_are_lower_case_words),
        ACME_TEST(an_id_is_given_once),
        ACME_TEST(of_two_creations_at_once_one_wins),
        ACME_TEST(only_an_admin_makes_tenants),
        ACME_TEST(a_repeated_creation_answers_the_first),
        ACME_TEST(me_and_none_are_the_callers_own),
        ACME_TEST(another_tenant_and_an_absent_one_are_the_same),
        ACME_TEST(lists_filter_and_page),
        ACME_TEST(an_update_changes_what_it_names),
        ACME_TEST(two_updates_at_once_both_stay),
        ACME_TEST(an_update_behind_a_deletion_is_refused),
        ACME_TEST(plan_and_status_are_the_operators_say),
        ACME_TEST(the_system_tenant_stays),
        ACME_TEST(a_deleted_tenant_can_be_brought_back_by_an_admin),
        ACME_TEST(a_deleted_tenant_refuses_what_is_under_way),
        ACME_TEST(an_update_does_not_lose_the_vector_space),
        ACME_TEST(tenants_survive_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
