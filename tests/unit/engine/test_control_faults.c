/* SPDX-License-Identifier: MIT
 *
 * Every call of the control plane with its n-th allocation failing, for all n: on the loop, on the
 * writer, in the store.  It says so or succeeds, leaves nothing half done, and the next call works.
 * (That nothing leaks is the sanitizer's part.) */
#include "acme.h"

#include <stdio.h>

#include "base/log.h"
#include "engine/control_priv.h"
#include "support/fault.h"

static struct key_out spare; /* a key to rotate or revoke */
static char name[24];        /* fresh for each attempt */

/* ---- what is tried; inputs must outlive the call ---- */

static union {
    struct tenant_in tenant;
    struct key_in key;
    struct policy_in policy;
    struct task_in task;
    struct evaluate_in evaluate;
} in;

static union {
    struct tenant_out tenant;
    struct tenants_out tenants;
    struct key_out key;
    struct keys_out keys;
    struct key_validity validity;
    struct policy_out policy;
    struct policies_out policies;
    struct evaluate_out evaluate;
    struct task_out task;
    struct tasks_out tasks;
    struct usage_out usage;
    struct audit_out audit;
} out;

static void create_tenant(struct call *c)
{
    in.tenant = (struct tenant_in){.id = bytes_cstr(name), .plan = PLAN_FREE};
    engine_create_tenant(te->engine, c, &in.tenant, &out.tenant);
}

static void update_tenant(struct call *c)
{
    in.tenant = (struct tenant_in){.id = BYTES_LIT("acme"), .name = bytes_cstr(name)};
    engine_update_tenant(te->engine, c, &in.tenant, &out.tenant);
}

static void get_tenant(struct call *c)
{
    engine_get_tenant(te->engine, c, BYTES_LIT("acme"), &out.tenant);
}

static void list_tenants(struct call *c)
{
    engine_list_tenants(te->engine, c, 0, 0, 10, 0, &out.tenants);
}

static void usage(struct call *c)
{
    engine_usage(te->engine, c, BYTES_LIT("acme"), &out.usage);
}

static void create_key(struct call *c)
{
    in.key = (struct key_in){.tenant_id = BYTES_LIT("acme"), .name = bytes_cstr(name)};
    engine_create_key(te->engine, c, &in.key, &out.key);
}

static void rotate_key(struct call *c)
{
    engine_rotate_key(te->engine, c, spare.id, 60, &out.key);
}

static void revoke_key(struct call *c)
{
    engine_revoke_key(te->engine, c, spare.id, &out.key);
}

static void list_keys(struct call *c)
{
    engine_list_keys(te->engine, c, BYTES_LIT("acme"), 1000, 0, &out.keys);
}

static void validate_key(struct call *c)
{
    engine_validate_key(te->engine, c, spare.secret, &out.validity);
}

static void create_policy(struct call *c)
{
    in.policy = (struct policy_in){.type = POLICY_DLP,
                                   .rules = BYTES_LIT("{\"max_sensitivity\":\"public\"}"),
                                   .enabled = true};
    engine_create_policy(te->engine, c, &in.policy, &out.policy);
}

static void list_policies(struct call *c)
{
    engine_list_policies(te->engine, c, BYTES_LIT(""), 0, 1000, 0, &out.policies);
}

static void evaluate(struct call *c)
{
    in.evaluate = (struct evaluate_in){.type = POLICY_DLP,
                                       .resource = BYTES_LIT("{\"sensitivity\":\"secret\"}")};
    engine_evaluate_policy(te->engine, c, &in.evaluate, &out.evaluate);
}

static void create_task(struct call *c)
{
    in.task = (struct task_in){.id = bytes_cstr(name), .title = BYTES_LIT("x"), .outcome = -1};
    engine_create_task(te->engine, c, &in.task, &out.task);
}

static void update_task(struct call *c)
{
    in.task = (struct task_in){.id = BYTES_LIT("there"), .title = bytes_cstr(name), .outcome = 1};
    engine_update_task(te->engine, c, &in.task, &out.task);
}

static void list_tasks(struct call *c)
{
    engine_list_tasks(te->engine, c, 0, 10, &out.tasks);
}

static void list_audit(struct call *c)
{
    engine_audit(te->engine, c, 0, 10, &out.audit);
}

/* ---- the frame ---- */

static size_t keys_there(void)
{
    struct keys_out all;
    assert_int_equal(TEST_CALL(te, &te->admin, engine_list_keys, BYTES_LIT("acme"), 1000, 0, &all),
                     QMN_OK);
    return all.count;
}

static void make_spare(void)
{
    struct key_in spare_in = {.tenant_id = BYTES_LIT("acme")};
    assert_int_equal(TEST_CALL(te, &te->admin, engine_create_key, &spare_in, &spare), QMN_OK);
}

/* Returns how many allocations the call makes when nothing fails. */
static unsigned try_all(const struct caller *who, void (*start)(struct call *c))
{
    for (unsigned n = 1;; n++) {
        if (start == rotate_key || start == revoke_key)
            make_spare(); /* each needs one that is still as it was */
        snprintf(name, sizeof name, "name-%u", n);
        struct call *c = test_call_new(te, who);
        fault_arm(n);
        start(c);
        enum qmn_code code = test_call_wait(te, c);
        if (!fault_disarm()) {
            assert_int_equal(code, QMN_OK);
            return n - 1;
        }
        if (code != QMN_OK && code != QMN_E_NOMEM)
            fail_msg("allocation %u: %s", n, c->err.text);
        assert_true(n < 1000);
    }
}

static void every_call_survives_every_failing_allocation(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        void (*start)(struct call *c);
        bool own; /* by a member of the tenant; else by the admin */
    } calls[] = {
        {"create_tenant", create_tenant, false},
        {"update_tenant", update_tenant, false},
        {"get_tenant", get_tenant, false},
        {"list_tenants", list_tenants, false},
        {"usage", usage, false},
        {"create_key", create_key, true},
        {"validate_key", validate_key, true},
        {"list_keys", list_keys, true},
        {"rotate_key", rotate_key, true},
        {"revoke_key", revoke_key, true},
        {"create_policy", create_policy, true},
        {"list_policies", list_policies, true},
        {"evaluate", evaluate, true},
        {"create_task", create_task, true},
        {"update_task", update_task, true},
        {"list_tasks", list_tasks, true},
        {"audit", list_audit, true},
    };
    struct task_in there = {.id = BYTES_LIT("there"), .outcome = -1};
    assert_int_equal(TEST_CALL(te, &boss, engine_create_task, &there, &out.task), QMN_OK);
    make_spare();
    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        unsigned n = try_all(calls[i].own ? &boss : &te->admin, calls[i].start);
        print_message("# %s: %u allocations\n", calls[i].name, n);
        assert_true(n > 0);
    }
}

/* A failed creation leaves no key, a failed rotation neither half of it. */
static void a_failed_change_of_keys_is_no_change(void **state)
{
    (void)state;
    for (unsigned n = 1;; n++) {
        make_spare();
        size_t before = keys_there();
        struct call *c = test_call_new(te, &boss);
        fault_arm(n);
        rotate_key(c);
        enum qmn_code code = test_call_wait(te, c);
        bool hit = fault_disarm();
        bool rotated = network_key(&te->engine->net, spare.id)->record->rotated_to.len != 0;
        assert_int_equal(keys_there(), before + rotated);
        assert_true(rotated || code != QMN_OK);
        if (!hit)
            break;
    }
}

static void authentication_survives_every_failing_allocation(void **state)
{
    (void)state;
    make_spare();
    for (unsigned n = 1;; n++) {
        struct arena arena;
        struct caller c = {0};
        struct err err;
        arena_init(&arena, 0);
        fault_arm(n);
        enum qmn_code code =
            engine_authenticate(te->engine, spare.secret, BYTES_LIT(""), &arena, &c, &err);
        bool hit = fault_disarm();
        arena_release(&arena);
        assert_int_equal(code, hit ? QMN_E_NOMEM : QMN_OK);
        if (!hit)
            break;
    }
}

int main(void)
{
    log_configure(LOG_ERROR, LOG_LOGFMT); /* each failed commit would say so */
    const struct CMUnitTest tests[] = {
        ACME_TEST(every_call_survives_every_failing_allocation),
        ACME_TEST(a_failed_change_of_keys_is_no_change),
        ACME_TEST(authentication_survives_every_failing_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
