/* SPDX-License-Identifier: MIT
 *
 * Tasks. */
#include "acme.h"

#include <math.h>
#include <stdio.h>

#include "engine/control_priv.h"

static struct caller ann;

static int setup(void **state)
{
    acme_setup(state);
    ann = test_member(te, "acme", "tasks:read tasks:write");
    return 0;
}

static enum qmn_code create(const char *id, const char *title, struct task_out *out)
{
    struct task_in in = {.id = bytes_cstr(id), .title = bytes_cstr(title), .outcome = -1};
    return TEST_CALL(te, &ann, engine_create_task, &in, out);
}

static enum qmn_code update(struct task_in in, struct task_out *out)
{
    return TEST_CALL(te, &ann, engine_update_task, &in, out);
}

static void a_task_is_kept_as_made(void **state)
{
    (void)state;
    struct task_out out, got;
    assert_int_equal(create("release-7", "Ship it", &out), QMN_OK);
    assert_int_equal(TEST_CALL(te, &ann, engine_get_task, BYTES_LIT("release-7"), &got), QMN_OK);
    assert_bytes_equal(got.id, "release-7");
    assert_bytes_equal(got.title, "Ship it");
    assert_bytes_equal(got.metadata, "{}");
    assert_int_equal(got.status, TASK_OPEN);
    assert_true(got.outcome < 0);
    assert_int_equal(got.created_ms, TEST_ENGINE_START_MS);
}

static void without_an_id_it_gets_one(void **state)
{
    (void)state;
    struct task_out a, b;
    assert_int_equal(create(NULL, "x", &a), QMN_OK);
    assert_int_equal(create("", "x", &b), QMN_OK);
    assert_true(bytes_starts(a.id, BYTES_LIT("ta_")));
    assert_false(bytes_equal(a.id, b.id));
}

static void an_id_names_one_task(void **state)
{
    (void)state;
    struct task_out out;
    struct task_in in = {.id = BYTES_LIT("t"), .outcome = -1};
    assert_int_equal(create("t", "x", &out), QMN_OK);
    assert_int_equal(create("t", "x", &out), QMN_E_CONFLICT);
    struct call *a = test_call_new(te, &ann), *b = test_call_new(te, &ann);
    in.id = BYTES_LIT("u");
    test_engine_hold(te);
    engine_create_task(te->engine, a, &in, &out);
    engine_create_task(te->engine, b, &in, &out);
    test_engine_release(te);
    assert_int_equal(test_call_wait(te, a), QMN_OK);
    assert_int_equal(test_call_wait(te, b), QMN_E_CONFLICT);
}

static void tenants_do_not_share_tasks(void **state)
{
    (void)state;
    struct task_out out;
    test_tenant(te, "other");
    struct caller bob = test_member(te, "other", "tasks:read tasks:write");
    assert_int_equal(create("t", "x", &out), QMN_OK);
    assert_int_equal(TEST_CALL(te, &bob, engine_get_task, BYTES_LIT("t"), &out), QMN_E_NOT_FOUND);
    struct task_in in = {.id = BYTES_LIT("t"), .status = TASK_DONE, .outcome = -1};
    assert_int_equal(TEST_CALL(te, &bob, engine_update_task, &in, &out), QMN_E_NOT_FOUND);
    assert_int_equal(TEST_CALL(te, &bob, engine_create_task, &in, &out), QMN_OK);
    struct tasks_out all;
    assert_int_equal(TEST_CALL(te, &bob, engine_list_tasks, 0, 10, &all), QMN_OK);
    assert_int_equal(all.count, 1);
    assert_int_equal(all.tasks[0].status, TASK_DONE);
}

static void an_update_changes_what_it_names(void **state)
{
    (void)state;
    struct task_out out;
    assert_int_equal(create("t", "x", &out), QMN_OK);
    test_engine_advance(te, 9);
    assert_int_equal(
        update((struct task_in){.id = BYTES_LIT("t"), .status = TASK_DONE, .outcome = 0.75}, &out),
        QMN_OK);
    assert_bytes_equal(out.title, "x");
    assert_int_equal(out.status, TASK_DONE);
    assert_true(out.outcome == 0.75);
    assert_int_equal(out.updated_ms, TEST_ENGINE_START_MS + 9);
    assert_int_equal(out.created_ms, TEST_ENGINE_START_MS);
    assert_int_equal(update((struct task_in){.id = BYTES_LIT("t"),
                                             .metadata = BYTES_LIT("{\"a\":1}"),
                                             .title = BYTES_LIT(""),
                                             .outcome = -1},
                            &out),
                     QMN_OK);
    assert_bytes_equal(out.title, "");
    assert_true(out.outcome == 0.75);
    assert_int_equal(update((struct task_in){.id = BYTES_LIT("absent"), .outcome = -1}, &out),
                     QMN_E_NOT_FOUND);
}

static void bad_input_is_refused(void **state)
{
    (void)state;
    struct task_out out;
    char id[LIMIT_ID_CHARS + 2] = "";
    memset(id, 'a', sizeof id - 1);
    assert_int_equal(create(id, "x", &out), QMN_E_INVALID);
    id[LIMIT_ID_CHARS] = 0;
    assert_int_equal(create(id, "x", &out), QMN_OK);
    assert_int_equal(create("a\tb", "x", &out), QMN_E_INVALID);
    static const double bad[] = {1.0001, INFINITY, NAN};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(update((struct task_in){.id = BYTES_LIT("t"), .outcome = bad[i]}, &out),
                         QMN_E_INVALID);
}

static void lists_are_newest_first_and_filtered(void **state)
{
    (void)state;
    struct tasks_out all;
    struct task_out out;
    enum { MANY = 200 };
    for (int i = 0; i < MANY; i++) {
        char id[16];
        snprintf(id, sizeof id, "t%d", i);
        assert_int_equal(create(id, "x", &out), QMN_OK);
        if (i % 10 == 0)
            assert_int_equal(
                update((struct task_in){.id = bytes_cstr(id), .status = TASK_FAILED, .outcome = 0},
                       &out),
                QMN_OK);
    }
    assert_int_equal(TEST_CALL(te, &ann, engine_list_tasks, 0, 7, &all), QMN_OK);
    assert_int_equal(all.count, 7);
    for (int i = 0; i < 7; i++) {
        char id[16];
        snprintf(id, sizeof id, "t%d", MANY - 1 - i);
        assert_bytes_equal(all.tasks[i].id, id);
    }
    assert_int_equal(TEST_CALL(te, &ann, engine_list_tasks, TASK_FAILED, 1000, &all), QMN_OK);
    assert_int_equal(all.count, MANY / 10);
    assert_bytes_equal(all.tasks[0].id, "t190");
    assert_bytes_equal(all.tasks[MANY / 10 - 1].id, "t0");
    assert_int_equal(TEST_CALL(te, &ann, engine_list_tasks, TASK_FAILED, 3, &all), QMN_OK);
    assert_bytes_equal(all.tasks[2].id, "t170");
    assert_int_equal(TEST_CALL(te, &ann, engine_list_tasks, 0, 0, &all), QMN_OK);
    assert_int_equal(all.count, 0);
}

enum { TASKS_MAX = 10000 };

static void fill_up(int from, int count)
{
    struct task_out out;
    for (int i = from; i < from + count; i++) {
        char id[16];
        snprintf(id, sizeof id, "t%d", i);
        assert_int_equal(create(id, "x", &out), QMN_OK);
        test_engine_forget_calls(te);
    }
}

static void beyond_the_most_the_oldest_finished_one_makes_room(void **state)
{
    (void)state;
    struct task_out out;
    struct tasks_out all;
    char text[VALIDATE_TEXT];
    fill_up(0, TASKS_MAX - 1);
    struct task_in in = {.title = BYTES_LIT("x"), .outcome = -1};
    struct call *c[3];
    struct task_out outs[3];
    test_engine_hold(te);
    for (int i = 0; i < 3; i++) {
        c[i] = test_call_new(te, &ann);
        engine_create_task(te->engine, c[i], &in, &outs[i]);
    }
    test_engine_release(te);
    for (int i = 0; i < 3; i++)
        assert_int_equal(test_call_wait(te, c[i]), i ? QMN_E_CONFLICT : QMN_OK);
    assert_non_null(strstr(c[2]->err.text, "10000"));
    for (int i = 0; i < 2; i++) {
        test_engine_advance(te, 1);
        in = (struct task_in){
            .id = i ? BYTES_LIT("t3") : BYTES_LIT("t7"), .status = TASK_DONE, .outcome = -1};
        assert_int_equal(update(in, &out), QMN_OK);
    }
    assert_int_equal(create("new", "x", &out), QMN_OK);
    assert_int_equal(TEST_CALL(te, &ann, engine_get_task, BYTES_LIT("t7"), &out), QMN_E_NOT_FOUND);
    assert_int_equal(TEST_CALL(te, &ann, engine_get_task, BYTES_LIT("t3"), &out), QMN_OK);
    test_engine_restart(te);
    assert_int_equal(TEST_CALL(te, &ann, engine_get_task, BYTES_LIT("t7"), &out), QMN_E_NOT_FOUND);
    assert_int_equal(TEST_CALL(te, &ann, engine_list_tasks, 0, 1, &all), QMN_OK);
    assert_bytes_equal(all.tasks[0].id, "new");
    assert_true(network_validate(&te->engine->net, text));
}

/* The one that is to make room is reopened in the same group. */
static void a_task_that_is_changed_is_not_forgotten(void **state)
{
    (void)state;
    struct task_out out, outs[2];
    fill_up(0, TASKS_MAX);
    struct task_in done = {.id = BYTES_LIT("t5"), .status = TASK_DONE, .outcome = -1};
    assert_int_equal(update(done, &out), QMN_OK);
    struct task_in reopen = {.id = BYTES_LIT("t5"), .status = TASK_RUNNING, .outcome = -1};
    struct task_in in = {.title = BYTES_LIT("x"), .outcome = -1};
    struct call *a = test_call_new(te, &ann), *b = test_call_new(te, &ann);
    test_engine_hold(te);
    engine_update_task(te->engine, a, &reopen, &outs[0]);
    engine_create_task(te->engine, b, &in, &outs[1]);
    test_engine_release(te);
    assert_int_equal(test_call_wait(te, a), QMN_OK);
    assert_int_equal(test_call_wait(te, b), QMN_E_CONFLICT);
    assert_int_equal(TEST_CALL(te, &ann, engine_get_task, BYTES_LIT("t5"), &out), QMN_OK);
}

static void what_a_task_holds_counts_as_bytes(void **state)
{
    (void)state;
    struct usage_out before, after;
    struct task_out out;
    assert_int_equal(TEST_CALL(te, &ann, engine_usage, BYTES_LIT("me"), &before), QMN_OK);
    assert_int_equal(create("four", "123456", &out), QMN_OK);
    struct task_in in = {
        .id = BYTES_LIT("four"), .metadata = BYTES_LIT("{\"a\":1}"), .outcome = -1};
    assert_int_equal(update(in, &out), QMN_OK);
    assert_int_equal(TEST_CALL(te, &ann, engine_usage, BYTES_LIT("me"), &after), QMN_OK);
    assert_int_equal(after.current.bytes - before.current.bytes, 4 + 6 + 7);
}

static void a_repeat_answers_the_first(void **state)
{
    (void)state;
    struct task_in in = {.title = BYTES_LIT("x"), .outcome = -1};
    struct task_out out[2];
    for (int i = 0; i < 2; i++) {
        struct call *c = test_call_new(te, &ann);
        c->idempotency = (struct idempotency_in){
            .value = BYTES_LIT("t"), .route = BYTES_LIT("tasks.create"), .body_hash = {1}};
        engine_create_task(te->engine, c, &in, &out[i]);
        assert_int_equal(test_call_wait(te, c), QMN_OK);
        assert_int_equal(c->replayed, i);
    }
    assert_true(bytes_equal(out[0].id, out[1].id));
}

static void tasks_survive_a_restart(void **state)
{
    (void)state;
    test_engine_free(te);
    te = test_engine_new_sqlite();
    test_tenant(te, "acme");
    ann = test_member(te, "acme", NULL);
    struct task_out out;
    assert_int_equal(create("t", "x", &out), QMN_OK);
    assert_int_equal(
        update((struct task_in){.id = BYTES_LIT("t"), .status = TASK_DONE, .outcome = 1}, &out),
        QMN_OK);
    test_engine_restart(te);
    assert_int_equal(TEST_CALL(te, &ann, engine_get_task, BYTES_LIT("t"), &out), QMN_OK);
    assert_int_equal(out.status, TASK_DONE);
    assert_true(out.outcome == 1);
    assert_int_equal(create("t", "x", &out), QMN_E_CONFLICT);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, acme_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_task_is_kept_as_made),
        TEST(without_an_id_it_gets_one),
        TEST(an_id_names_one_task),
        TEST(tenants_do_not_share_tasks),
        TEST(an_update_changes_what_it_names),
        TEST(bad_input_is_refused),
        TEST(lists_are_newest_first_and_filtered),
        TEST(beyond_the_most_the_oldest_finished_one_makes_room),
        TEST(a_task_that_is_changed_is_not_forgotten),
        TEST(what_a_task_holds_counts_as_bytes),
        TEST(a_repeat_answers_the_first),
        TEST(tasks_survive_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
