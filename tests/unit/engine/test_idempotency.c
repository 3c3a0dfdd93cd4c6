/* SPDX-License-Identifier: MIT
 *
 * Idempotency-Key: a repeat answers what the first call did, whatever it was, and does nothing. */
#include "stage.h"

#include <stdio.h>

#include "engine/idempotency_priv.h"

static int begin_sqlite(void **state)
{
    (void)state;
    scene_begin(&s, (struct test_engine_options){.sqlite = true});
    scene_agent(&s, "a", AXIS(0), NULL);
    return 0;
}

/* A call under the key `value`, with a body of this hash. */
static struct call *keyed(const char *route, const char *value, uint64_t body)
{
    struct call *c = test_call_new(s.te, &s.caller);
    c->idempotency = (struct idempotency_in){
        .value = bytes_cstr(value), .route = bytes_cstr(route), .body_hash = {body, ~body}};
    return c;
}

#define KEYED(route, value, body, function, ...)                                                   \
    __extension__({                                                                                \
        struct call *keyed_ = keyed((route), (value), (body));                                     \
        (function)(s.te->engine, keyed_, __VA_ARGS__);                                             \
        test_call_wait(s.te, keyed_);                                                              \
    })

/* ---- every kind of mutation ---- */

/* What a client sees of an answer, as text. */
typedef const char *perform_fn(struct call *c, enum qmn_code *ret_code);

static struct bytes nutrient, trace, doomed;

#define FINISH(call, fmt, ...)                                                                     \
    (*ret_code = test_call_wait(s.te, (call)),                                                     \
     *ret_code == QMN_OK ? arena_printf(&s.te->arena, fmt, __VA_ARGS__) : "")

static const char *do_broadcast(struct call *c, enum qmn_code *ret_code)
{
    struct broadcast_in in = scene_nutrient(&s, "", AXIS(0));
    struct broadcast_out out;
    engine_broadcast(s.te->engine, c, &in, &out);
    return FINISH(c, "%.*s %.*s %lld %zu %g", BYTES_FMT(out.nutrient_id), BYTES_FMT(out.trace_id),
                  (long long)out.created_ms, out.hop_count, (double)out.hops[0].score);
}

static const char *do_ack(struct call *c, enum qmn_code *ret_code)
{
    struct ack_in in = {.agent_id = BYTES_LIT("a"), .nutrient_ids = &nutrient, .count = 1};
    struct ack_out out;
    engine_ack(s.te->engine, c, &in, &out);
    return FINISH(c, "%u", out.changed);
}

static const char *do_respond(struct call *c, enum qmn_code *ret_code)
{
    struct respond_in in = {
        .nutrient_id = nutrient, .agent_id = BYTES_LIT("a"), .content = BYTES_LIT("{}")};
    struct respond_out out;
    engine_respond(s.te->engine, c, &in, &out);
    return FINISH(c, "%.*s %.*s %.*s %.*s %lld", BYTES_FMT(out.response_id),
                  BYTES_FMT(out.nutrient_id), BYTES_FMT(out.trace_id), BYTES_FMT(out.agent_id),
                  (long long)out.created_ms);
}

static const char *do_outcome(struct call *c, enum qmn_code *ret_code)
{
    struct outcome_in in = {.trace_id = trace, .score = 0.75};
    struct outcome_out out;
    engine_record_outcome(s.te->engine, c, &in, &out);
    return FINISH(c, "%.*s %zu %.17g %.17g", BYTES_FMT(out.trace_id), out.change_count,
                  out.changes[0].old_weight, out.changes[0].new_weight);
}

static const char *do_store(struct call *c, enum qmn_code *ret_code)
{
    struct memory_in in = scene_memory(&s, "a", AXIS(0));
    struct memory_out out;
    engine_store_memory(s.te->engine, c, &in, &out);
    return FINISH(c, "%.*s %lld", BYTES_FMT(out.id), (long long)out.created_ms);
}

static const char *do_delete(struct call *c, enum qmn_code *ret_code)
{
    engine_delete_memory(s.te->engine, c, doomed);
    return FINISH(c, "%s", "deleted");
}

static const char *do_cleanup(struct call *c, enum qmn_code *ret_code)
{
    uint64_t deleted = 99;
    engine_cleanup_memory(s.te->engine, c, &deleted);
    return FINISH(c, "%d", (int)deleted);
}

static const char *do_register(struct call *c, enum qmn_code *ret_code)
{
    struct agent_in in = {
        .id = BYTES_LIT("new"), .name = BYTES_LIT("New"), .clearance = LABEL_INTERNAL};
    struct agent_out out;
    engine_register_agent(s.te->engine, c, &in, &out);
    return FINISH(c, "%.*s %.*s %lld", BYTES_FMT(out.id), BYTES_FMT(out.name),
                  (long long)out.updated_ms);
}

static const char *do_suspend(struct call *c, enum qmn_code *ret_code)
{
    engine_suspend_agent(s.te->engine, c, BYTES_LIT("new"));
    return FINISH(c, "%s", "suspended");
}

static const char *do_prune(struct call *c, enum qmn_code *ret_code)
{
    struct edge_upkeep_out out = {0};
    engine_prune_edges(s.te->engine, c, 2, &out);
    return FINISH(c, "%d", (int)out.deleted);
}

static const char *do_decay(struct call *c, enum qmn_code *ret_code)
{
    struct edge_upkeep_out out = {0};
    engine_decay_edges(s.te->engine, c, &out);
    return FINISH(c, "%d %d", (int)out.changed, (int)out.deleted);
}

static const char *do_policy(struct call *c, enum qmn_code *ret_code)
{
    struct policy_in in = {.type = POLICY_RBAC,
                           .name = BYTES_LIT("p"),
                           .rules = BYTES_LIT("{\"rbac_roles\":{}}"),
                           .enabled = true};
    struct policy_out out;
    engine_create_policy(s.te->engine, c, &in, &out);
    return FINISH(c, "%.*s %lld", BYTES_FMT(out.id), (long long)out.created_ms);
}

static const char *do_task(struct call *c, enum qmn_code *ret_code)
{
    struct task_in in = {.title = BYTES_LIT("t"), .outcome = -1};
    struct task_out out;
    engine_create_task(s.te->engine, c, &in, &out);
    return FINISH(c, "%.*s %lld", BYTES_FMT(out.id), (long long)out.created_ms);
}

static const char *do_key(struct call *c, enum qmn_code *ret_code)
{
    struct key_in in = {.scopes = test_list(s.te, "inbox"), .clearance = LABEL_INTERNAL};
    struct key_out out;
    engine_create_key(s.te->engine, c, &in, &out);
    *ret_code = test_call_wait(s.te, c);
    if (*ret_code == QMN_OK) /* the secret is shown once */
        assert_int_equal(out.secret.len > 0, !c->replayed);
    return *ret_code == QMN_OK ? arena_printf(&s.te->arena, "%.*s %lld", BYTES_FMT(out.id),
                                              (long long)out.created_ms)
                               : "";
}

static const struct {
    const char *route;
    perform_fn *perform;
} kinds[] = {
    {"broadcast", do_broadcast}, {"ack", do_ack},           {"respond", do_respond},
    {"outcome", do_outcome},     {"store", do_store},       {"delete", do_delete},
    {"cleanup", do_cleanup},     {"register", do_register}, {"suspend", do_suspend},
    {"prune", do_prune},         {"decay", do_decay},       {"policy", do_policy},
    {"task", do_task},           {"key", do_key},
};

/* Rows of the kinds a mutation adds to; replays must not. */
static uint64_t rows(void)
{
    struct store *store = faulty_store_front(s.te->store);
    struct store_stats stats;
    store->ops->stats(store, &stats);
    return (uint64_t)stats.rows;
}

static void prepare_stage(void)
{
    struct broadcast_out sent = scene_send(&s, "", AXIS(0));
    struct memory_out memory;
    assert_int_equal(scene_remember(&s, "a", AXIS(0), &memory), QMN_OK);
    nutrient = sent.nutrient_id;
    trace = sent.trace_id;
    doomed = memory.id;
}

static void a_repeat_of_every_mutation_answers_as_the_first(void **state)
{
    (void)state;
    prepare_stage();
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        enum qmn_code code;
        struct call *first = keyed(kinds[i].route, "key-1", 7);
        const char *answer = kinds[i].perform(first, &code);
        if (code != QMN_OK)
            fail_msg("%s: %s", kinds[i].route, first->err.text);
        assert_false(first->replayed);
        scene_settle(&s);
        uint64_t before = rows();
        struct call *again = keyed(kinds[i].route, "key-1", 7);
        const char *repeat = kinds[i].perform(again, &code);
        if (code != QMN_OK)
            fail_msg("%s again: %s", kinds[i].route, again->err.text);
        assert_true(again->replayed);
        assert_string_equal(repeat, answer);
        assert_int_equal(rows(), before);
        struct call *other = keyed(kinds[i].route, "key-1", 8);
        (void)kinds[i].perform(other, &code);
        assert_int_equal(code, QMN_E_IDEMPOTENCY);
    }
}

static void repeats_survive_a_restart(void **state)
{
    (void)state;
    const char *answers[ARRAY_LEN(kinds)];
    enum qmn_code code;
    prepare_stage();
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        answers[i] = kinds[i].perform(keyed(kinds[i].route, "key-1", 7), &code);
        assert_int_equal(code, QMN_OK);
    }
    scene_restart(&s);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct call *again = keyed(kinds[i].route, "key-1", 7);
        const char *repeat = kinds[i].perform(again, &code);
        if (code != QMN_OK)
            fail_msg("%s again: %s", kinds[i].route, again->err.text);
        assert_true(again->replayed);
        assert_string_equal(repeat, answers[i]);
    }
}

/* ---- after what it made has gone ---- */

enum { HOUR_MS = 3600 * 1000 };

/* Performs it, lets `gone` happen, performs it again. */
static void assert_outlived(perform_fn *perform, void (*gone)(void))
{
    enum qmn_code code;
    struct call *first = keyed("outlived", "key-1", 7);
    const char *answer = perform(first, &code);
    if (code != QMN_OK)
        fail_msg("%s", first->err.text);
    gone();
    scene_settle(&s);
    struct call *again = keyed("outlived", "key-1", 7);
    const char *repeat = perform(again, &code);
    if (code != QMN_OK)
        fail_msg("again: %s", again->err.text);
    assert_true(again->replayed);
    assert_string_equal(repeat, answer);
}

static void pass_a_minute(void)
{
    test_engine_advance(s.te, 61 * 1000);
}

static void pass_two_hours(void)
{
    test_engine_advance(s.te, 2 * HOUR_MS);
}

static void an_answer_outlived_by_its_key_is_repeated(void **state)
{
    (void)state;
    prepare_stage();
    assert_outlived(do_respond, pass_a_minute);
}

static void an_answer_to_a_nutrient_with_a_name_is_repeated_with_it(void **state)
{
    (void)state;
    struct broadcast_in in = scene_nutrient(&s, "", AXIS(0));
    struct broadcast_out out;
    in.client_id = BYTES_LIT("mine");
    assert_int_equal(scene_broadcast(&s, &in, &out), QMN_OK);
    nutrient = out.nutrient_id;
    assert_outlived(do_respond, pass_a_minute);
}

static void delete_what_was_stored(void)
{
    struct memories_out found = scene_search(&s, AXIS(0), 1);
    assert_int_equal(found.count, 1);
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_delete_memory, found.items[0].id), QMN_OK);
}

static void a_memory_outlived_by_its_key_is_repeated(void **state)
{
    (void)state;
    assert_outlived(do_store, delete_what_was_stored);
}

static const char *do_ack_one_unknown(struct call *c, enum qmn_code *ret_code)
{
    struct bytes ids[] = {BYTES_LIT("nowhere"), nutrient};
    struct ack_in in = {.agent_id = BYTES_LIT("a"), .nutrient_ids = ids, .count = 2};
    struct ack_out out;
    engine_ack(s.te->engine, c, &in, &out);
    return FINISH(c, "%u %zu %.*s", out.changed, out.unknown_count, BYTES_FMT(out.unknown[0]));
}

static void an_ack_is_repeated_with_what_was_unknown(void **state)
{
    (void)state;
    prepare_stage();
    assert_outlived(do_ack_one_unknown, pass_a_minute);
}

/* The task is finished, and so many after it that it is forgotten. */
static void crowd_out_the_task(void)
{
    enum { MORE = 10001 };
    struct task_in in = {.title = BYTES_LIT("other"), .outcome = -1, .status = TASK_DONE};
    for (int i = 0; i < MORE; i++) {
        struct task_out out;
        assert_int_equal(TEST_CALL(s.te, &s.caller, engine_create_task, &in, &out), QMN_OK);
        if (i % 1000 == 0)
            s.te->now_ms++; /* the first is the oldest */
    }
}

static const char *do_done_task(struct call *c, enum qmn_code *ret_code)
{
    struct task_in in = {.title = BYTES_LIT("t"), .outcome = 0.5, .status = TASK_DONE};
    struct task_out out;
    engine_create_task(s.te->engine, c, &in, &out);
    return FINISH(c, "%.*s %.*s %.*s %u %g %lld", BYTES_FMT(out.id), BYTES_FMT(out.title),
                  BYTES_FMT(out.metadata), out.status, out.outcome, (long long)out.created_ms);
}

static void a_forgotten_task_is_repeated_as_it_was_made(void **state)
{
    (void)state;
    assert_outlived(do_done_task, crowd_out_the_task);
}

/* ---- after retention ---- */

static int begin_one_day(void **state)
{
    (void)state;
    scene_begin(&s, (struct test_engine_options){.retention_ms = 24 * HOUR_MS});
    scene_agent(&s, "a", AXIS(0), NULL);
    return 0;
}

static void an_outcome_whose_trace_retention_took_is_repeated(void **state)
{
    (void)state;
    prepare_stage();
    test_engine_advance(s.te, 23 * HOUR_MS);
    assert_outlived(do_outcome, pass_two_hours);
    struct outcome_out out;
    assert_int_equal(scene_outcome(&s, "", trace, 0.75, &out), QMN_E_GONE);
}

static const char *do_broadcast_mine(struct call *c, enum qmn_code *ret_code)
{
    struct broadcast_in in = scene_nutrient(&s, "", AXIS(0));
    struct broadcast_out out;
    in.client_id = BYTES_LIT("mine");
    engine_broadcast(s.te->engine, c, &in, &out);
    return FINISH(c, "%.*s %.*s %lld", BYTES_FMT(out.nutrient_id), BYTES_FMT(out.trace_id),
                  (long long)out.created_ms);
}

static void an_old_nutrient_named_again_is_repeated_when_its_trace_is_gone(void **state)
{
    (void)state;
    enum qmn_code code;
    (void)do_broadcast_mine(test_call_new(s.te, &s.caller), &code);
    test_engine_advance(s.te, 23 * HOUR_MS);
    assert_outlived(do_broadcast_mine, pass_two_hours);
}

/* ---- the key ---- */

static void without_a_key_every_call_is_a_new_one(void **state)
{
    (void)state;
    enum qmn_code code;
    const char *first = do_store(keyed("store", "", 7), &code);
    const char *second = do_store(keyed("store", "", 7), &code);
    assert_string_not_equal(first, second);
}

static void another_key_route_or_tenant_is_another_call(void **state)
{
    (void)state;
    enum qmn_code code;
    const char *first = do_store(keyed("store", "key-1", 7), &code);
    struct call *c = keyed("store", "key-2", 7);
    assert_string_not_equal(do_store(c, &code), first);
    c = keyed("import", "key-1", 7);
    assert_string_not_equal(do_store(c, &code), first);
    assert_false(c->replayed);
    struct caller other = test_member(s.te, "acme", NULL);
    c = keyed("store", "key-1", 7);
    struct caller mine = s.caller;
    c->caller = &other;
    assert_string_not_equal(do_store(c, &code), first);
    assert_false(c->replayed);
    s.caller = mine;
}

static void a_call_that_failed_may_be_tried_again(void **state)
{
    (void)state;
    struct memory_out out;
    struct memory_in in = scene_memory(&s, "a", AXIS(0));
    faulty_store_fail(s.te->store, QMN_E_DISK_FULL, -1);
    assert_int_equal(KEYED("store", "key-1", 7, engine_store_memory, &in, &out), QMN_E_DISK_FULL);
    faulty_store_fail(s.te->store, QMN_OK, 0);
    assert_int_equal(KEYED("store", "key-1", 7, engine_store_memory, &in, &out), QMN_OK);
    assert_false(s.te->last->replayed);
    assert_int_equal(KEYED("delete", "key-1", 7, engine_delete_memory, BYTES_LIT("me_none")),
                     QMN_E_NOT_FOUND);
    assert_int_equal(KEYED("delete", "key-1", 7, engine_delete_memory, out.id), QMN_OK);
    assert_false(s.te->last->replayed);
}

static void while_it_runs_a_repeat_is_told_so(void **state)
{
    (void)state;
    struct memory_in in = scene_memory(&s, "a", AXIS(0));
    struct memory_out first, again;
    struct call *c = keyed("store", "key-1", 7);
    faulty_store_hold(s.te->store, RECORD_MEMORY);
    engine_store_memory(s.te->engine, c, &in, &first);
    faulty_store_await_held(s.te->store);
    assert_int_equal(KEYED("store", "key-1", 7, engine_store_memory, &in, &again),
                     QMN_E_IN_PROGRESS);
    assert_int_equal(s.te->last->err.retry_after_s, 1);
    faulty_store_let_go(s.te->store);
    assert_int_equal(test_call_wait(s.te, c), QMN_OK);
    assert_int_equal(KEYED("store", "key-1", 7, engine_store_memory, &in, &again), QMN_OK);
    assert_true(bytes_equal(first.id, again.id));
}

static void after_a_day_the_key_is_forgotten(void **state)
{
    (void)state;
    enum qmn_code code;
    const char *first = do_store(keyed("store", "key-1", 7), &code);
    test_engine_advance(s.te, INT64_C(24) * 3600 * 1000 - 1000);
    scene_settle(&s);
    assert_string_equal(do_store(keyed("store", "key-1", 8), &code), "");
    assert_int_equal(code, QMN_E_IDEMPOTENCY);
    assert_string_equal(do_store(keyed("store", "key-1", 7), &code), first);
    test_engine_advance(s.te, 2000);
    scene_settle(&s);
    struct call *c = keyed("store", "key-1", 8);
    assert_string_not_equal(do_store(c, &code), first);
    assert_int_equal(code, QMN_OK);
    assert_false(c->replayed);
    c = keyed("store", "key-1", 8); /* and the new use is remembered */
    (void)do_store(c, &code);
    assert_true(c->replayed);
}

static void a_call_put_off_keeps_its_key(void **state)
{
    (void)state;
    enum { N = 6 };
    struct ack_in in = {.agent_id = BYTES_LIT("a"), .nutrient_ids = &nutrient, .count = 1};
    struct ack_out out[N];
    struct call *calls[N];
    struct scene_hold hold;
    char value[16];
    uint32_t changed = 0;
    prepare_stage();
    in.nutrient_ids = &nutrient;
    scene_hold(&s, &hold);
    for (int i = 0; i < N; i++) { /* all want the one delivery: five are put off */
        snprintf(value, sizeof value, "key-%d", i);
        calls[i] = keyed("ack", arena_cstr(&s.te->arena, bytes_cstr(value)), 7);
        engine_ack(s.te->engine, calls[i], &in, &out[i]);
    }
    scene_let_go(&s, &hold);
    for (int i = 0; i < N; i++) {
        assert_int_equal(test_call_wait(s.te, calls[i]), QMN_OK);
        changed += out[i].changed;
    }
    assert_int_equal(changed, 1);
    for (int i = 0; i < N; i++) {
        struct ack_out again;
        snprintf(value, sizeof value, "key-%d", i);
        assert_int_equal(KEYED("ack", value, 7, engine_ack, &in, &again), QMN_OK);
        assert_true(s.te->last->replayed);
        assert_int_equal(again.changed, out[i].changed);
    }
}

static void a_repeated_nutrient_id_under_a_new_key_replays_as_well(void **state)
{
    (void)state;
    struct broadcast_in in = scene_nutrient(&s, "", AXIS(0));
    struct broadcast_out first, second, third;
    in.client_id = BYTES_LIT("mine");
    assert_int_equal(KEYED("broadcast", "key-1", 7, engine_broadcast, &in, &first), QMN_OK);
    assert_int_equal(KEYED("broadcast", "key-2", 7, engine_broadcast, &in, &second), QMN_OK);
    assert_int_equal(KEYED("broadcast", "key-2", 7, engine_broadcast, &in, &third), QMN_OK);
    assert_true(s.te->last->replayed);
    assert_true(bytes_equal(first.trace_id, second.trace_id));
    assert_true(bytes_equal(first.trace_id, third.trace_id));
}

/* ---- the index by itself ---- */

static void the_oldest_key_leaves_first_and_is_counted(void **state)
{
    (void)state;
    enum { MAX = 1000, N = 2500 };
    struct idempotency *d = idempotency_new(MAX);
    int64_t no;
    assert_non_null(d);
    for (uint64_t i = 1; i <= N; i++) {
        uint64_t hash[2] = {i * 0x9E3779B97F4A7C15u, i};
        assert_int_equal(idempotency_begin(d, hash, &no), IDEM_NEW);
        assert_int_equal(idempotency_begin(d, hash, &no), IDEM_RUNNING);
        assert_true(idempotency_reserve(d, 1));
        idempotency_done(d, hash, (int64_t)i);
        assert_int_equal(idempotency_begin(d, hash, &no), IDEM_KNOWN);
        assert_int_equal(no, i);
    }
    assert_int_equal(idempotency_evicted(d), N - MAX);
    assert_int_equal(idempotency_trim(d, 0), N - MAX + 1);
    assert_int_equal(idempotency_trim(d, N), N);
    assert_int_equal(idempotency_trim(d, N + 1), INT64_MAX);
    uint64_t hash[2] = {N * 0x9E3779B97F4A7C15u, N};
    assert_int_equal(idempotency_begin(d, hash, &no), IDEM_NEW);
    idempotency_abort(d, hash);
    assert_int_equal(idempotency_begin(d, hash, &no), IDEM_NEW);
    idempotency_free(d);
}

#define KEY(test) cmocka_unit_test_setup_teardown(test, stage_a, stage_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        KEY(a_repeat_of_every_mutation_answers_as_the_first),
        KEY(repeats_survive_a_restart),
        cmocka_unit_test_setup_teardown(repeats_survive_a_restart, begin_sqlite, stage_end),
        KEY(an_answer_outlived_by_its_key_is_repeated),
        KEY(an_answer_to_a_nutrient_with_a_name_is_repeated_with_it),
        KEY(a_memory_outlived_by_its_key_is_repeated),
        KEY(an_ack_is_repeated_with_what_was_unknown),
        KEY(a_forgotten_task_is_repeated_as_it_was_made),
        cmocka_unit_test_setup_teardown(an_outcome_whose_trace_retention_took_is_repeated,
                                        begin_one_day, stage_end),
        cmocka_unit_test_setup_teardown(
            an_old_nutrient_named_again_is_repeated_when_its_trace_is_gone, begin_one_day,
            stage_end),
        KEY(without_a_key_every_call_is_a_new_one),
        KEY(another_key_route_or_tenant_is_another_call),
        KEY(a_call_that_failed_may_be_tried_again),
        KEY(while_it_runs_a_repeat_is_told_so),
        KEY(after_a_day_the_key_is_forgotten),
        KEY(a_call_put_off_keeps_its_key),
        KEY(a_repeated_nutrient_id_under_a_new_key_replays_as_well),
        cmocka_unit_test(the_oldest_key_leaves_first_and_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
