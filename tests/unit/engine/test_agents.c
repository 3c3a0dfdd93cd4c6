/* SPDX-License-Identifier: MIT
 *
 * Agents that come, go and come back, and what that does to their inbox and quota. */
#include "stage.h"

#include "model/labels.h"

/* A nutrient and the suspension that ends it are committed together. */
static void a_suspension_takes_what_comes_with_it(void **state)
{
    (void)state;
    struct broadcast_in in = scene_nutrient(&s, "", AXIS(0));
    struct broadcast_out sent;
    struct scene_hold hold;
    scene_hold(&s, &hold);
    struct call *first = test_call_new(s.te, &s.caller), *then = test_call_new(s.te, &s.caller);
    engine_broadcast(s.te->engine, first, &in, &sent);
    assert_false(test_call_done(s.te, first)); /* it has been decided */
    engine_suspend_agent(s.te->engine, then, BYTES_LIT("a"));
    scene_let_go(&s, &hold);
    assert_int_equal(test_call_wait(s.te, first), QMN_OK);
    assert_int_equal(test_call_wait(s.te, then), QMN_OK);
    assert_true(scene_reaches(&sent, "a"));
    scene_agent(&s, "a", AXIS(0), NULL);
    assert_int_equal(scene_pull(&s, "a", 10).count, 0);
    scene_restart(&s);
    assert_int_equal(scene_pull(&s, "a", 10).count, 0);
}

static void registering_again_keeps_the_inbox_unless_suspended(void **state)
{
    (void)state;
    scene_send(&s, "", AXIS(0));
    scene_agent(&s, "a", AXIS(0), NULL);
    scene_restart(&s);
    assert_int_equal(scene_pull(&s, "a", 10).count, 1);
    assert_int_equal(scene_suspend(&s, "a"), QMN_OK);
    scene_agent(&s, "a", AXIS(0), NULL);
    scene_agent(&s, "a", AXIS(1), NULL); /* what ended stays so through any number of changes */
    scene_restart(&s);
    assert_int_equal(scene_pull(&s, "a", 10).count, 0);
}

static void the_agent_quota_says_when_to_come_again(void **state)
{
    (void)state;
    struct tenant_in in = {.id = BYTES_LIT("small"), .plan = PLAN_FREE};
    struct tenant_out tenant;
    struct agent_out out;
    enum qmn_code code = QMN_OK;
    assert_int_equal(TEST_CALL(s.te, &s.te->admin, engine_create_tenant, &in, &tenant), QMN_OK);
    struct caller who = test_member(s.te, "small", NULL);
    for (int i = 0; i < 1000 && code == QMN_OK; i++) {
        struct agent_in agent = {.id = bytes_cstr(arena_printf(&s.te->arena, "agent-%d", i))};
        code = TEST_CALL(s.te, &who, engine_register_agent, &agent, &out);
    }
    assert_int_equal(code, QMN_E_QUOTA);
    assert_in_range(s.te->last->err.retry_after_s, 1, 3600);
}

#define AGENTS(test) cmocka_unit_test_setup_teardown(test, stage_a, stage_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        AGENTS(a_suspension_takes_what_comes_with_it),
        AGENTS(registering_again_keeps_the_inbox_unless_suspended),
        AGENTS(the_agent_quota_says_when_to_come_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
