/* SPDX-License-Identifier: MIT
 *
 * Background work keeps up with the foreground, and one crowded key leaves room for others. */
#include "scene.h"

#include "engine/engine_priv.h"

#define MONTH_MS (31 * INT64_C(86400000))

static enum qmn_code count_row(void *ctx, const void *record, struct err *err)
{
    (void)record;
    (void)err;
    ++*(uint32_t *)ctx;
    return QMN_OK;
}

static uint32_t rows(struct scene *s, enum record_kind kind)
{
    struct store *store = s->te->engine->store;
    uint32_t n = 0;
    assert_int_equal(store->ops->scan(store, kind, NULL, count_row, &n, &(struct err){0}), QMN_OK);
    return n;
}

static void broadcasts(struct scene *s, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        (void)scene_send(s, "a", AXIS(0));
}

/* Old rows go in step with new ones, however many a second there are. */
static void retention_keeps_up_with_whatever_is_written(void **state)
{
    enum { OLD = 4000, NEW = 1500 };
    struct scene s;
    (void)state;
    scene_begin(&s, (struct test_engine_options){0});
    scene_agent(&s, "a", AXIS(0), NULL);
    scene_agent(&s, "b", AXIS(0), NULL);
    broadcasts(&s, OLD);
    assert_int_equal(rows(&s, RECORD_TRACE), OLD);
    test_engine_advance(s.te, MONTH_MS);
    broadcasts(&s, NEW); /* all within one second of the engine's clock */
    assert_true(rows(&s, RECORD_TRACE) < OLD);
    scene_end(&s);
}

/* The pages that old rows leave take the new ones, if the old ones go first. */
static void what_goes_leaves_its_place_to_what_comes(void **state)
{
    enum { KEPT_MS = 3600 * 1000 };
    struct scene s;
    struct scene_hold hold;
    struct broadcast_out sent;
    (void)state;
    scene_begin(&s, (struct test_engine_options){.retention_ms = KEPT_MS});
    scene_agent(&s, "a", AXIS(0), NULL);
    scene_agent(&s, "b", AXIS(0), NULL);
    broadcasts(&s, 10);
    scene_hold(&s, &hold);
    test_engine_advance(s.te, 2 * KEPT_MS);
    struct broadcast_in in = scene_nutrient(&s, "a", AXIS(0));
    struct call *c = test_call_new(s.te, &s.caller);
    engine_broadcast(s.te->engine, c, &in, &sent);
    scene_let_go(&s, &hold);
    assert_int_equal(test_call_wait(s.te, c), QMN_OK);
    static const enum record_kind kinds[] = {RECORD_NUTRIENT, RECORD_TRACE};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct faulty_order order = faulty_store_order(s.te->store, kinds[i]);
        assert_true(order.early > 0);
        assert_int_equal(order.late, 0);
        assert_int_equal(rows(&s, kinds[i]), 1);
    }
    scene_end(&s);
}

/* Thirty outcomes of one trace must go one after the other; somebody else's broadcast does not wait
 * for them. */
static void commands_that_wait_for_each_other_do_not_hold_up_the_rest(void **state)
{
    enum { CROWD = 3000 };
    struct scene s;
    struct agent_in in;
    struct agent_out outs[CROWD], other;
    struct call *calls[CROWD];
    (void)state;
    scene_begin(&s, (struct test_engine_options){0});
    in = (struct agent_in){.id = BYTES_LIT("crowded"), .clearance = LABEL_INTERNAL};
    test_engine_hold(s.te);
    for (int i = 0; i < CROWD; i++) {
        calls[i] = test_call_new(s.te, &s.caller);
        engine_register_agent(s.te->engine, calls[i], &in, &outs[i]);
    }
    struct agent_in alone = {.id = BYTES_LIT("alone"), .clearance = LABEL_INTERNAL};
    struct call *c = test_call_new(s.te, &s.caller);
    engine_register_agent(s.te->engine, c, &alone, &other);
    test_engine_release(s.te);
    assert_int_equal(test_call_wait(s.te, c), QMN_OK);
    uint32_t done = 0;
    for (int i = 0; i < CROWD; i++)
        done += test_call_done(s.te, calls[i]);
    assert_true(done < CROWD / 2); /* it came after some two dozen groups, not after the crowd */
    for (int i = 0; i < CROWD; i++)
        assert_int_equal(test_call_wait(s.te, calls[i]), QMN_OK);
    scene_end(&s);
}

/* Bytes count while they are stored: what has expired makes room again. */
static void stored_bytes_come_back_when_nutrients_expire(void **state)
{
    struct scene s;
    struct usage_out before, sent, after;
    (void)state;
    scene_begin(&s, (struct test_engine_options){0});
    scene_agent(&s, "a", AXIS(0), NULL);
    scene_agent(&s, "b", AXIS(0), NULL);
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_usage, BYTES_LIT("me"), &before), QMN_OK);
    broadcasts(&s, 10);
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_usage, BYTES_LIT("me"), &sent), QMN_OK);
    assert_true(sent.current.bytes > before.current.bytes);
    scene_restart(&s);
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_usage, BYTES_LIT("me"), &after), QMN_OK);
    assert_int_equal(after.current.bytes, sent.current.bytes);
    test_engine_advance(s.te, 3600 * 1000);
    broadcasts(&s, 1); /* a group, in which the old ones expire */
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_usage, BYTES_LIT("me"), &after), QMN_OK);
    assert_true(after.current.bytes < sent.current.bytes);
    scene_end(&s);
}

/* One delivery cannot fill the memory with answers. */
static void an_agent_answers_a_nutrient_only_so_often(void **state)
{
    struct scene s;
    struct respond_out out;
    (void)state;
    scene_begin(&s, (struct test_engine_options){0});
    scene_agent(&s, "a", AXIS(0), NULL);
    scene_agent(&s, "b", AXIS(0), NULL);
    struct broadcast_out sent = scene_send(&s, "a", AXIS(0));
    for (int i = 0; i < LIMIT_RESPONSES; i++)
        assert_int_equal(scene_respond(&s, "b", sent.nutrient_id, "{}", &out), QMN_OK);
    assert_int_equal(scene_respond(&s, "b", sent.nutrient_id, "{}", &out), QMN_E_CONFLICT);
    scene_restart(&s);
    assert_int_equal(scene_respond(&s, "b", sent.nutrient_id, "{}", &out), QMN_E_CONFLICT);
    scene_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(retention_keeps_up_with_whatever_is_written),
        cmocka_unit_test(what_goes_leaves_its_place_to_what_comes),
        cmocka_unit_test(stored_bytes_come_back_when_nutrients_expire),
        cmocka_unit_test(an_agent_answers_a_nutrient_only_so_often),
        cmocka_unit_test(commands_that_wait_for_each_other_do_not_hold_up_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
