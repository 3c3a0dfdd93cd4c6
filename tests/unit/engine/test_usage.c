/* SPDX-License-Identifier: MIT
 *
 * Plans, quotas and the usage report. */
#include "support/test.h"

#include "engine/control_priv.h"
#include "support/test_engine.h"

static struct test_engine *te;

enum { HOUR_MS = 3600000 };

static int setup(void **state)
{
    (void)state;
    te = test_engine_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    test_engine_free(te);
    return 0;
}

static struct tenant *make(const char *id, uint32_t plan)
{
    struct tenant_in in = {.id = bytes_cstr(id), .plan = plan};
    struct tenant_out out;
    assert_int_equal(TEST_CALL(te, &te->admin, engine_create_tenant, &in, &out), QMN_OK);
    return network_tenant(&te->engine->net, bytes_cstr(id));
}

static struct usage_out usage(const char *id)
{
    struct usage_out out;
    assert_int_equal(TEST_CALL(te, &te->admin, engine_usage, bytes_cstr(id), &out), QMN_OK);
    return out;
}

static enum qmn_code count(struct tenant *t, enum usage_kind kind, struct err *err)
{
    pthread_rwlock_rdlock(&te->engine->net.lock);
    enum qmn_code code = usage_count_read(te->engine, t, kind, err);
    pthread_rwlock_unlock(&te->engine->net.lock);
    return code;
}

static void plans_have_the_documented_quotas(void **state)
{
    (void)state;
    assert_int_equal(plan_quota(PLAN_FREE, USAGE_NUTRIENTS), 10000);
    assert_int_equal(plan_quota(PLAN_FREE, USAGE_COLLECTS), 5000);
    assert_int_equal(plan_quota(PLAN_FREE, USAGE_SEARCHES), 20000);
    assert_int_equal(plan_quota(PLAN_FREE, USAGE_BYTES), 10000000000);
    assert_int_equal(plan_agent_quota(PLAN_FREE), 100);
    assert_int_equal(plan_quota(PLAN_PRO, USAGE_NUTRIENTS), 100000);
    assert_int_equal(plan_agent_quota(PLAN_PRO), 1000);
    for (int kind = USAGE_NUTRIENTS; kind <= USAGE_BYTES; kind++)
        assert_true(plan_quota(PLAN_ENTERPRISE, (enum usage_kind)kind) == UINT64_MAX);
    assert_true(plan_quota(PLAN_FREE, USAGE_OUTCOMES) == UINT64_MAX);
    assert_true(plan_quota(PLAN_FREE, USAGE_STORES) == UINT64_MAX);
}

static void a_report_says_what_is_used_and_left(void **state)
{
    (void)state;
    struct tenant *t = make("acme", PLAN_FREE);
    for (int i = 0; i < 3; i++)
        assert_int_equal(count(t, USAGE_SEARCHES, NULL), QMN_OK);
    struct usage_out u = usage("acme");
    assert_bytes_equal(u.tenant_id, "acme");
    assert_int_equal(u.plan, PLAN_FREE);
    assert_int_equal(u.current.searches, 3);
    assert_int_equal(u.quota.searches, 20000);
    assert_int_equal(u.remaining.searches, 19997);
    assert_int_equal(u.current.nutrients, 0);
    assert_int_equal(u.remaining.nutrients, 10000);
    assert_int_equal(u.remaining.agents, 100);
    assert_true(u.quota.outcomes == UINT64_MAX && u.remaining.outcomes == UINT64_MAX);
    assert_int_equal(u.resets_ms % HOUR_MS, 0);
    assert_in_range(u.resets_ms, TEST_ENGINE_START_MS + 1, TEST_ENGINE_START_MS + HOUR_MS);
}

static void past_the_quota_reads_are_refused_until_the_hour(void **state)
{
    (void)state;
    struct tenant *t = make("acme", PLAN_FREE);
    struct err err = {0};
    t->usage.searches = 19999;
    assert_int_equal(count(t, USAGE_SEARCHES, &err), QMN_OK);
    for (int i = 0; i < 5; i++)
        assert_int_equal(count(t, USAGE_SEARCHES, &err), QMN_E_QUOTA);
    assert_int_equal(t->usage.searches, 20000); /* refusals are not counted */
    int64_t now = te->now_ms;
    assert_int_equal(err.retry_after_s, (HOUR_MS - now % HOUR_MS + 999) / 1000);
    assert_int_equal(usage("acme").remaining.searches, 0);
    test_engine_advance(te, err.retry_after_s * 1000);
    assert_int_equal(usage("acme").current.searches, 0);
    assert_int_equal(usage("acme").remaining.searches, 20000);
    assert_int_equal(count(t, USAGE_SEARCHES, &err), QMN_OK);
}

static void enterprise_is_unlimited(void **state)
{
    (void)state;
    struct tenant *t = make("big", PLAN_ENTERPRISE);
    t->usage.searches = UINT64_C(1) << 60;
    assert_int_equal(count(t, USAGE_SEARCHES, NULL), QMN_OK);
    assert_true(usage("big").remaining.searches == UINT64_MAX);
}

static void usage_survives_a_restart(void **state)
{
    (void)state;
    test_engine_free(te);
    te = test_engine_new_sqlite();
    struct tenant *t = make("acme", PLAN_FREE);
    for (int i = 0; i < 9; i++)
        assert_int_equal(count(t, USAGE_SEARCHES, NULL), QMN_OK);
    test_engine_advance(te, 1000); /* what only reads is written once a second, with some group */
    make("other", PLAN_FREE);
    test_engine_restart(te);
    assert_int_equal(usage("acme").current.searches, 9);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(plans_have_the_documented_quotas),
        TEST(a_report_says_what_is_used_and_left),
        TEST(past_the_quota_reads_are_refused_until_the_hour),
        TEST(enterprise_is_unlimited),
        TEST(usage_survives_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
