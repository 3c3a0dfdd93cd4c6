/* SPDX-License-Identifier: MIT
 *
 * The learning log: rows may be behind, the network never is, whatever ends a run. */
#include "scene.h"

#include <stdio.h>

#include "engine/learning_log_priv.h"
#include "engine/engine_priv.h"
#include "engine/recent_priv.h"

enum {
    SOURCES = 6,
    TARGETS = 5,
    EDGE_BYTES = 64,
    TASK_BYTES = 40 + 12, /* with its hints */
    OUTCOME_BYTES = EDGE_BYTES + TASK_BYTES,
    BOUND = 20 * OUTCOME_BYTES
};

static struct scene s;

static int begin(void **state)
{
    char id[8];
    (void)state;
    scene_begin(&s, (struct test_engine_options){.sqlite = true, .learning_log_bytes = BOUND});
    for (int i = 0; i < SOURCES; i++) {
        snprintf(id, sizeof id, "s%d", i);
        scene_agent(&s, id, AXIS(7), NULL);
    }
    for (int i = 0; i < TARGETS; i++) {
        snprintf(id, sizeof id, "t%d", i);
        scene_agent(&s, id, AXIS(i), NULL);
    }
    return 0;
}

static int end(void **state)
{
    (void)state;
    scene_end(&s);
    return 0;
}

/* Source `n` asks about topic `n`, with hints that nobody else uses. */
static struct broadcast_out ask(int n)
{
    static int serial;
    char source[8], hints[TASK_BYTES];
    snprintf(source, sizeof source, "s%d", n % SOURCES);
    snprintf(hints, sizeof hints, "t%d x%07d", n % TARGETS, ++serial);
    struct broadcast_in in = scene_nutrient(&s, source, AXIS(n % TARGETS));
    struct broadcast_out out;
    in.hints = test_list(s.te, hints);
    assert_int_equal(in.hints.len, TASK_BYTES - 40);
    assert_int_equal(scene_broadcast(&s, &in, &out), QMN_OK);
    return out;
}

/* The same, and rates who was reached. */
static void rate(int n, double score)
{
    char source[8];
    struct outcome_out out;
    struct broadcast_out sent = ask(n);
    snprintf(source, sizeof source, "s%d", n % SOURCES);
    assert_int_equal(scene_outcome(&s, source, sent.trace_id, score, &out), QMN_OK);
    assert_int_equal(out.change_count, 1);
}

/* What all rings hold, in their order. */
static uint64_t rings(void)
{
    struct network *n = &s.te->engine->net;
    uint64_t sum = 0;
    pthread_rwlock_rdlock(&n->lock);
    const struct tenant *t = network_tenant(n, BYTES_LIT("acme"));
    for (uint32_t i = 0; i < t->agent_count; i++) {
        const struct agent *a = t->agents[i];
        sum = bytes_hash(bytes_of(&a->recent_count, sizeof a->recent_count), sum);
        for (uint32_t at = 0; at < LIMIT_RECENT_TASKS; at++) {
            const struct recent_task *r = &a->recent[at];
            int64_t of[] = {at, r->nutrient_no, r->at_ms};
            sum = bytes_hash(bytes_of(of, sizeof of), sum);
            for (uint32_t k = 0; k < r->count; k++)
                sum = bytes_hash(t->tags.items[r->tags[k]]->text, sum);
        }
    }
    pthread_rwlock_unlock(&n->lock);
    return sum;
}

struct tally {
    uint64_t rows, bytes;
};

static enum qmn_code add(void *ctx, const void *record, struct err *err)
{
    struct tally *t = ctx;
    const struct record_learning_log *row = record;
    (void)err;
    t->rows++;
    t->bytes += row->edges.len + row->tasks.len;
    return QMN_OK;
}

static enum qmn_code add_plain(void *ctx, const void *record, struct err *err)
{
    (void)record;
    (void)err;
    ((struct tally *)ctx)->rows++;
    return QMN_OK;
}

static struct tally in_log(void)
{
    struct store *store = s.te->engine->store;
    struct tally t = {0};
    struct err err;
    assert_int_equal(store->ops->scan(store, RECORD_LEARNING_LOG, NULL, add, &t, &err), QMN_OK);
    return t;
}

static uint64_t rows(enum record_kind kind)
{
    struct store *store = s.te->engine->store;
    struct tally t = {0};
    struct err err;
    assert_int_equal(store->ops->scan(store, kind, NULL, add_plain, &t, &err), QMN_OK);
    return t.rows;
}

#define assert_kept_by(action)                                                                     \
    do {                                                                                           \
        struct scene_state before_ = scene_look(&s);                                               \
        uint64_t rings_ = rings();                                                                 \
        action;                                                                                    \
        struct scene_state after_ = scene_look(&s);                                                \
        assert_true(rings() == rings_);                                                            \
        assert_int_equal(after_.edges, before_.edges);                                             \
        assert_float_equal(after_.weights, before_.weights, 1e-9); /* summed in another order */   \
        scene_validate(&s);                                                                        \
    } while (0)

static void a_restart_finds_what_has_no_row_yet(void **state)
{
    (void)state;
    for (int i = 0; i < 7; i++)
        rate(i, 0.9);
    assert_int_equal(rows(RECORD_EDGE), 0);
    assert_int_equal(rows(RECORD_AGENT_TASKS), 0);
    assert_int_equal(in_log().rows, 7);
    assert_int_equal(in_log().bytes, 7 * OUTCOME_BYTES);
    assert_int_equal(scene_look(&s).edges, 7);
    assert_int_equal(scene_look(&s).recents, 7);
    assert_kept_by(scene_restart(&s));
    rate(0, 0.1); /* the log goes on behind what was loaded */
    assert_int_equal(in_log().rows, 8);
    assert_kept_by(scene_restart(&s));
}

static void the_log_stays_within_its_bound_and_rows_catch_up(void **state)
{
    (void)state;
    for (int i = 0; i < 400; i++) {
        rate(i * 7 + i / 30, (i % 10) / 10.0);
        /* one agent's record may be the last straw, and one more is being written */
        assert_true(in_log().bytes <= BOUND + 2 * OUTCOME_BYTES);
        if (i % 40 == 39)
            assert_kept_by(scene_restart(&s));
    }
    assert_true(rows(RECORD_EDGE) > 20);                                /* of 30 */
    assert_int_equal(rows(RECORD_AGENT_TASKS), TARGETS * RECENT_PARTS); /* all have gone round */
}

static void an_edge_that_was_pruned_does_not_come_back(void **state)
{
    (void)state;
    struct edge_upkeep_out out;
    for (int i = 0; i < 60; i++)
        rate(i, 0);
    rate(1, 1);
    rate(1, 1);
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_prune_edges, 0.45, &out), QMN_OK);
    assert_true(out.deleted > 20);
    assert_kept_by(scene_restart(&s));
    for (int i = 0; i < 60; i++) { /* until the marks have left the log, too */
        rate(i % 4 ? 1 : i, 1);
        if (i % 10 == 9)
            assert_kept_by(scene_restart(&s));
    }
}

static void a_failed_commit_leaves_rows_as_far_behind_as_they_were(void **state)
{
    (void)state;
    for (int i = 0; i < 60; i++) {
        rate(i, 0.7);
        struct broadcast_out sent = ask(1);
        struct outcome_out out;
        faulty_store_fail_kind(s.te->store, RECORD_LEARNING_LOG, QMN_E_DISK_FULL, 1);
        assert_kept_by(
            assert_int_equal(scene_outcome(&s, "s1", sent.trace_id, 1, &out), QMN_E_DISK_FULL));
        assert_int_equal(scene_outcome(&s, "s1", sent.trace_id, 1, &out), QMN_OK);
        if (i % 20 == 19)
            assert_kept_by(scene_restart(&s));
    }
}

/* `agent` acknowledges what `ask` sent it. */
static void ack_all(const char *agent, const struct bytes *ids, size_t count)
{
    struct ack_in in = {
        .agent_id = bytes_cstr(agent), .nutrient_ids = ids, .count = (uint32_t)count};
    struct ack_out out;
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_ack, &in, &out), QMN_OK);
    assert_int_equal(out.changed, count);
}

static void a_ring_that_goes_round_before_it_has_rows_is_kept(void **state)
{
    (void)state;
    enum { TASKS = LIMIT_RECENT_TASKS + 7 };
    struct bytes ids[TASKS];
    for (int i = 0; i < TASKS; i++) { /* a group each ... */
        ids[0] = ask(0).nutrient_id;
        ack_all("t0", ids, 1);
    }
    for (int i = 0; i < TASKS; i++) /* ... and all in one */
        ids[i] = ask(1).nutrient_id;
    ack_all("t1", ids, TASKS);
    assert_int_equal(scene_look(&s).recents, 2 * LIMIT_RECENT_TASKS);
    assert_kept_by(scene_restart(&s));
    for (int i = 0; i < 60; i++) { /* until all of that has left the log */
        rate(2, 1);
        if (i % 15 == 14)
            assert_kept_by(scene_restart(&s));
    }
}

/* The second of two acknowledgements meets the first in its group and waits for the next one. */
static void what_a_command_added_that_was_put_off_is_not_logged(void **state)
{
    (void)state;
    struct scene_hold hold;
    struct bytes ids[2] = {ask(0).nutrient_id, ask(0).nutrient_id};
    struct ack_in in[2] = {{.agent_id = BYTES_LIT("t0"), .nutrient_ids = ids + 1, .count = 1},
                           {.agent_id = BYTES_LIT("t0"), .nutrient_ids = ids, .count = 2}};
    struct ack_out out[2];
    struct call *c[2] = {test_call_new(s.te, &s.caller), test_call_new(s.te, &s.caller)};
    scene_hold(&s, &hold);
    for (int i = 0; i < 2; i++)
        engine_ack(s.te->engine, c[i], &in[i], &out[i]);
    scene_let_go(&s, &hold);
    for (int i = 0; i < 2; i++)
        assert_int_equal(test_call_wait(s.te, c[i]), QMN_OK);
    assert_int_equal(in_log().rows, 2);
    assert_int_equal(in_log().bytes, 2 * TASK_BYTES);
    assert_int_equal(scene_look(&s).recents, 2);
}

static void a_record_that_holds_something_else_is_damage(void **state)
{
    (void)state;
    struct err err;
    char bytes[EDGE_BYTES + 1] = {0};
    struct record_learning_log row = {.no = 1, .edges = bytes_of(bytes, sizeof bytes)};
    assert_int_equal(learning_log_load(s.te->engine, &row, &err), QMN_E_CORRUPT);
    row = (struct record_learning_log){.no = 1, .tasks = bytes_of(bytes, sizeof bytes)};
    assert_int_equal(learning_log_load(s.te->engine, &row, &err), QMN_E_CORRUPT);
    struct record_agent_tasks ring = {.agent_no = 1, .tasks = bytes_of(bytes, 39)};
    struct agent *a = s.te->engine->net.tenants[0]->agents[0];
    assert_int_equal(recent_load_row(a, &ring, &err), QMN_E_CORRUPT);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        T(a_restart_finds_what_has_no_row_yet),
        T(the_log_stays_within_its_bound_and_rows_catch_up),
        T(an_edge_that_was_pruned_does_not_come_back),
        T(a_failed_commit_leaves_rows_as_far_behind_as_they_were),
        T(a_ring_that_goes_round_before_it_has_rows_is_kept),
        T(what_a_command_added_that_was_put_off_is_not_logged),
        T(a_record_that_holds_something_else_is_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
