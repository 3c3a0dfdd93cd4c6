/* SPDX-License-Identifier: MIT
 *
 * The edge log: rows may be behind, the network never is, whatever ends a run. */
#include "scene.h"

#include <stdio.h>

#include "engine/edge_log_priv.h"
#include "engine/engine_priv.h"

enum { SOURCES = 6, TARGETS = 5, ENTRY_BYTES = 64, BOUND = 20 * ENTRY_BYTES };

static struct scene s;

static int begin(void **state)
{
    char id[8];
    (void)state;
    scene_begin(&s, (struct test_engine_options){.sqlite = true, .edge_log_bytes = BOUND});
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

/* Source `n` asks about topic `n` and rates who was reached. */
static void rate(int n, double score)
{
    char source[8];
    struct outcome_out out;
    snprintf(source, sizeof source, "s%d", n % SOURCES);
    struct broadcast_out sent = scene_send(&s, source, AXIS(n % TARGETS));
    assert_int_equal(scene_outcome(&s, source, sent.trace_id, score, &out), QMN_OK);
    assert_int_equal(out.change_count, 1);
}

struct tally {
    uint64_t rows, bytes;
};

static enum qmn_code add(void *ctx, const void *record, struct err *err)
{
    struct tally *t = ctx;
    const struct record_edge_log *row = record;
    (void)err;
    t->rows++;
    t->bytes += row->edges.len;
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
    assert_int_equal(store->ops->scan(store, RECORD_EDGE_LOG, NULL, add, &t, &err), QMN_OK);
    return t;
}

static uint64_t rows(void)
{
    struct store *store = s.te->engine->store;
    struct tally t = {0};
    struct err err;
    assert_int_equal(store->ops->scan(store, RECORD_EDGE, NULL, add_plain, &t, &err), QMN_OK);
    return t.rows;
}

#define assert_kept_by(action)                                                                     \
    do {                                                                                           \
        struct scene_state before_ = scene_look(&s);                                               \
        action;                                                                                    \
        struct scene_state after_ = scene_look(&s);                                                \
        assert_int_equal(after_.edges, before_.edges);                                             \
        assert_float_equal(after_.weights, before_.weights, 1e-9); /* summed in another order */   \
        scene_validate(&s);                                                                        \
    } while (0)

static void a_restart_finds_edges_that_have_no_row_yet(void **state)
{
    (void)state;
    for (int i = 0; i < 7; i++)
        rate(i, 0.9);
    assert_int_equal(rows(), 0);
    assert_int_equal(in_log().rows, 7);
    assert_int_equal(scene_look(&s).edges, 7);
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
        assert_true(in_log().bytes <= BOUND + 2 * ENTRY_BYTES);
        if (i % 40 == 39)
            assert_kept_by(scene_restart(&s));
    }
    assert_true(rows() > 20); /* of 30 */
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
        struct broadcast_out sent = scene_send(&s, "s1", AXIS(1));
        struct outcome_out out;
        faulty_store_fail_kind(s.te->store, RECORD_EDGE_LOG, QMN_E_DISK_FULL, 1);
        assert_kept_by(
            assert_int_equal(scene_outcome(&s, "s1", sent.trace_id, 1, &out), QMN_E_DISK_FULL));
        assert_int_equal(scene_outcome(&s, "s1", sent.trace_id, 1, &out), QMN_OK);
        if (i % 20 == 19)
            assert_kept_by(scene_restart(&s));
    }
}

static void a_record_that_holds_no_edges_is_damage(void **state)
{
    (void)state;
    struct err err;
    char bytes[ENTRY_BYTES + 1] = {0};
    struct record_edge_log row = {.no = 1, .edges = bytes_of(bytes, sizeof bytes)};
    assert_int_equal(edge_log_load(s.te->engine, &row, &err), QMN_E_CORRUPT);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        T(a_restart_finds_edges_that_have_no_row_yet),
        T(the_log_stays_within_its_bound_and_rows_catch_up),
        T(an_edge_that_was_pruned_does_not_come_back),
        T(a_failed_commit_leaves_rows_as_far_behind_as_they_were),
        T(a_record_that_holds_no_edges_is_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
