/* SPDX-License-Identifier: MIT
 *
 * A purge leaves nothing of a tenant but its tombstone, its default agent and its audit, and
 * touches nobody else. */
#include "support/test.h"

#include <stdio.h>
#include <time.h>

#include "engine/agents.h"
#include "engine/control_priv.h"
#include "engine/learning.h"
#include "engine/memories.h"
#include "engine/nutrients.h"
#include "store/layout.h"
#include "support/test_engine.h"

static struct test_engine *te;

enum { DIM = 8, OUTCOME_BYTES = 3 * (64 + 40 + 4) }; /* in the learning log */

static int setup(void **state)
{
    (void)state;
    /* Two sources of two tenants rate three agents each: of the tenant filled first, what the first
     * source did is in rows by then, what the second did in the log alone. */
    te = test_engine_new_with((struct test_engine_options){
        .sqlite = true, .learning_log_bytes = UINT64_C(7) * OUTCOME_BYTES / 2});
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    test_engine_free(te);
    return 0;
}

static const float *vector(int seed)
{
    static float v[DIM];
    for (int i = 0; i < DIM; i++)
        v[i] = (float)((seed * 7 + i * 13) % 11 + 1);
    return v;
}

static void rate_trace(const struct caller *c, struct bytes trace_id)
{
    struct outcome_in o = {.trace_id = trace_id, .score = 1, .metadata = BYTES_LIT("{}")};
    struct outcome_out rated;
    assert_int_equal(TEST_CALL(te, c, engine_record_outcome, &o, &rated), QMN_OK);
}

static struct broadcast_in hinted(void)
{
    return (struct broadcast_in){.summary = BYTES_LIT("s"),
                                 .embedding = {.values = vector(9), .dim = DIM},
                                 .hints = test_list(te, "sql"),
                                 .sensitivity = LABEL_INTERNAL,
                                 .ttl_sec = 600,
                                 .max_hops = 1,
                                 .quota_cost = 1,
                                 .top_k = 3,
                                 .min_score = -1};
}

/* A memory of which outcomes have said something. */
static void import_rated(const struct caller *c)
{
    struct memory_line line = {.m = {.id = BYTES_LIT("me_000000000000000000000000000000000007"),
                                     .agent_id = BYTES_LIT("agent-1"),
                                     .kind = BYTES_LIT("fact"),
                                     .content = BYTES_LIT("{}"),
                                     .metadata = BYTES_LIT("{}"),
                                     .quality = .5,
                                     .uses = 1,
                                     .sensitivity = LABEL_INTERNAL,
                                     .created_ms = 1,
                                     .updated_ms = 1,
                                     .version = 1},
                               .credit = {.given = .5, .evidence = {.run_weight = 1}},
                               .vector = bytes_of(vector(1), DIM * sizeof(float)),
                               .space = BYTES_LIT("client"),
                               .begun_ms = 1};
    struct call *call = test_call_new(te, c);
    engine_import_memories(te->engine, call, &line, 1);
    assert_int_equal(test_call_wait(te, call), QMN_OK);
    assert_int_equal(line.state, LINE_STORED);
}

/* Something in every table. */
static struct caller fill(const char *id)
{
    test_tenant(te, id);
    struct caller c = test_member(te, id, "tenant:admin");
    for (int i = 0; i < 4; i++) {
        char name[16];
        snprintf(name, sizeof name, "agent-%d", i);
        struct agent_in in = {.id = bytes_cstr(name),
                              .capabilities = test_list(te, "sql charts"),
                              .profile = {.values = vector(i), .dim = DIM},
                              .clearance = LABEL_INTERNAL};
        struct agent_out out;
        assert_int_equal(TEST_CALL(te, &c, engine_register_agent, &in, &out), QMN_OK);
    }
    struct broadcast_in b = hinted();
    struct broadcast_out sent;
    struct call *call = test_call_new(te, &c);
    call->idempotency = (struct idempotency_in){
        .value = BYTES_LIT("b"), .route = BYTES_LIT("broadcast"), .body_hash = {1}};
    engine_broadcast(te->engine, call, &b, &sent);
    assert_int_equal(test_call_wait(te, call), QMN_OK);
    assert_int_equal(sent.hop_count, 3);
    struct respond_in r = {.nutrient_id = sent.nutrient_id,
                           .agent_id = sent.hops[0].agent_id,
                           .content = BYTES_LIT("{}"),
                           .quality = 1};
    struct respond_out answered;
    assert_int_equal(TEST_CALL(te, &c, engine_respond, &r, &answered), QMN_OK);
    struct ack_in ack = {
        .agent_id = sent.hops[0].agent_id, .nutrient_ids = &sent.nutrient_id, .count = 1};
    struct ack_out acked;
    assert_int_equal(TEST_CALL(te, &c, engine_ack, &ack, &acked), QMN_OK);
    assert_int_equal(acked.changed, 1);
    rate_trace(&c, sent.trace_id);
    b.source_agent_id = BYTES_LIT("agent-3");
    assert_int_equal(TEST_CALL(te, &c, engine_broadcast, &b, &sent), QMN_OK);
    assert_int_equal(sent.hop_count, 3);
    rate_trace(&c, sent.trace_id);
    for (int i = 1; i < 600; i++) { /* more than two batches, with the imported one */
        char content[32];
        snprintf(content, sizeof content, "{\"n\":%d}", i);
        struct memory_in m = {.agent_id = BYTES_LIT("agent-1"),
                              .kind = BYTES_LIT("fact"),
                              .content = bytes_cstr(content),
                              .metadata = BYTES_LIT("{}"),
                              .embedding = {.values = vector(i), .dim = DIM},
                              .quality = .5,
                              .sensitivity = LABEL_INTERNAL};
        struct memory_out stored;
        assert_int_equal(TEST_CALL(te, &c, engine_store_memory, &m, &stored), QMN_OK);
        struct memory_patch p = {.id = stored.id, .kind = BYTES_LIT("rule"), .quality = -1};
        if (i % 100 == 0)
            assert_int_equal(TEST_CALL(te, &c, engine_update_memory, &p, &stored), QMN_OK);
    }
    import_rated(&c);
    struct task_in task = {.id = BYTES_LIT("t"), .outcome = -1};
    struct task_out task_out;
    assert_int_equal(TEST_CALL(te, &c, engine_create_task, &task, &task_out), QMN_OK);
    struct policy_in policy = {.type = POLICY_DLP, .rules = BYTES_LIT("{}"), .enabled = true};
    struct policy_out policy_out;
    assert_int_equal(TEST_CALL(te, &c, engine_create_policy, &policy, &policy_out), QMN_OK);
    return c;
}

struct tally {
    enum record_kind kind;
    int64_t tenant_no;
    size_t count;
};

static enum qmn_code tally_row(void *ctx, const void *record, struct err *err)
{
    (void)err;
    struct tally *t = ctx;
    t->count += layout_tenant_no(store_layout(t->kind), record) == t->tenant_no;
    return QMN_OK;
}

static size_t rows_of(int64_t tenant_no, enum record_kind kind)
{
    struct tally t = {.kind = kind, .tenant_no = tenant_no};
    struct store *s = te->engine->store;
    assert_int_equal(s->ops->scan(s, kind, NULL, tally_row, &t, NULL), QMN_OK);
    return t.count;
}

static void rows_by_kind(int64_t tenant_no, size_t ret[RECORD_KIND_COUNT])
{
    for (int k = RECORD_TENANT; k < RECORD_KIND_COUNT; k++)
        ret[k] = rows_of(tenant_no, (enum record_kind)k);
}

static bool purged(const char *id)
{
    struct tenant_out out;
    assert_int_equal(TEST_CALL(te, &te->admin, engine_get_tenant, bytes_cstr(id), &out), QMN_OK);
    return out.status == TENANT_DELETED && out.name.len == 0;
}

static void wait_purged(const char *id)
{
    for (int i = 0; i < 5000 && !purged(id); i++)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    assert_true(purged(id));
}

static void nothing_stays_but_the_tombstone(void **state)
{
    (void)state;
    struct caller gone = fill("gone"), kept = fill("kept");
    size_t before[RECORD_KIND_COUNT], after[RECORD_KIND_COUNT], rows[RECORD_KIND_COUNT];
    rows_by_kind(gone.tenant_no, rows);
    for (int k = RECORD_TENANT; k < RECORD_KIND_COUNT; k++)
        assert_true(rows[k] > 0); /* else the test proves nothing about that table */
    rows_by_kind(kept.tenant_no, before);
    assert_int_equal(TEST_CALL(te, &te->admin, engine_delete_tenant, BYTES_LIT("gone"), true),
                     QMN_OK);
    wait_purged("gone");
    rows_by_kind(gone.tenant_no, rows);
    for (int k = RECORD_TENANT; k < RECORD_KIND_COUNT; k++) {
        bool one = k == RECORD_TENANT || k == RECORD_AGENT;
        if (k != RECORD_AUDIT)
            assert_int_equal(rows[k], one);
    }
    rows_by_kind(kept.tenant_no, after);
    for (int k = RECORD_TENANT; k < RECORD_KIND_COUNT; k++)
        assert_int_equal(after[k], before[k]);
    struct audit_out audit;
    assert_int_equal(TEST_CALL(te, &gone, engine_audit, 0, 100, &audit), QMN_OK);
    assert_bytes_equal(audit.entries[audit.count - 1].action, "tenant.purge");
    assert_bytes_equal(audit.entries[audit.count - 1].actor, "node");
}

/* Rows of some of its agents were behind when it went. */
static void nothing_of_it_catches_up(void **state)
{
    (void)state;
    struct caller gone = fill("gone"), kept = fill("kept");
    assert_int_equal(TEST_CALL(te, &te->admin, engine_delete_tenant, BYTES_LIT("gone"), true),
                     QMN_OK);
    wait_purged("gone");
    size_t before = rows_of(kept.tenant_no, RECORD_AGENT_TASKS);
    for (int i = 0; i < 10; i++) {
        struct broadcast_in b = hinted();
        struct broadcast_out sent;
        assert_int_equal(TEST_CALL(te, &kept, engine_broadcast, &b, &sent), QMN_OK);
        rate_trace(&kept, sent.trace_id);
    }
    assert_true(rows_of(kept.tenant_no, RECORD_AGENT_TASKS) > before);
    assert_int_equal(rows_of(gone.tenant_no, RECORD_AGENT_TASKS), 0);
    assert_int_equal(rows_of(gone.tenant_no, RECORD_EDGE), 0);
}

static void the_memory_is_given_back_too(void **state)
{
    (void)state;
    struct caller gone = fill("gone");
    const struct tenant *t = network_tenant(&te->engine->net, BYTES_LIT("gone"));
    assert_int_equal(t->memory_count, 600);
    assert_non_null(t->newest);
    assert_int_equal(TEST_CALL(te, &te->admin, engine_delete_tenant, BYTES_LIT("gone"), true),
                     QMN_OK);
    wait_purged("gone");
    assert_null(t->memory_index);
    assert_int_equal(t->memory_count, 0);
    assert_int_equal(t->response_index.slots, 0);
    assert_int_equal(t->profiles.slots, 0);
    assert_null(t->memories);
    assert_null(t->newest);
    assert_int_equal(t->live_count, 0);
    assert_int_equal(t->edge_count, 0);
    assert_int_equal(t->policy_count, 0);
    assert_int_equal(t->tasks_by_id.len, 0);
    assert_null(network_key(&te->engine->net, gone.key_id));
    assert_non_null(network_key(&te->engine->net, te->admin.key_id));
}

static void a_purged_tenant_does_not_come_back(void **state)
{
    (void)state;
    fill("gone");
    struct tenant_in in = {.id = BYTES_LIT("gone"), .status = TENANT_ACTIVE};
    struct tenant_out out;
    assert_int_equal(TEST_CALL(te, &te->admin, engine_delete_tenant, in.id, true), QMN_OK);
    assert_int_equal(TEST_CALL(te, &te->admin, engine_update_tenant, &in, &out), QMN_E_GONE);
    wait_purged("gone");
    assert_int_equal(TEST_CALL(te, &te->admin, engine_create_tenant, &in, &out), QMN_E_CONFLICT);
    test_engine_restart(te);
    assert_int_equal(TEST_CALL(te, &te->admin, engine_update_tenant, &in, &out), QMN_E_GONE);
    assert_int_equal(TEST_CALL(te, &te->admin, engine_create_tenant, &in, &out), QMN_E_CONFLICT);
    assert_int_equal(TEST_CALL(te, &te->admin, engine_delete_tenant, in.id, true), QMN_OK);
}

static void a_deleted_tenant_may_be_purged_later(void **state)
{
    (void)state;
    struct caller gone = fill("gone");
    assert_int_equal(TEST_CALL(te, &te->admin, engine_delete_tenant, BYTES_LIT("gone"), false),
                     QMN_OK);
    assert_int_equal(rows_of(gone.tenant_no, RECORD_MEMORY), 600);
    test_engine_restart(te);
    assert_int_equal(rows_of(gone.tenant_no, RECORD_MEMORY), 600);
    assert_int_equal(TEST_CALL(te, &te->admin, engine_delete_tenant, BYTES_LIT("gone"), true),
                     QMN_OK);
    wait_purged("gone");
    assert_int_equal(rows_of(gone.tenant_no, RECORD_MEMORY), 0);
}

/* Stopped wherever it happens to be, many times over. */
static void a_stop_in_between_only_puts_it_off(void **state)
{
    (void)state;
    struct caller gone = fill("gone");
    assert_int_equal(TEST_CALL(te, &te->admin, engine_delete_tenant, BYTES_LIT("gone"), true),
                     QMN_OK);
    for (int i = 0; i < 5; i++) {
        nanosleep(&(struct timespec){.tv_nsec = i * 300000}, NULL);
        test_engine_restart(te);
    }
    wait_purged("gone");
    assert_int_equal(rows_of(gone.tenant_no, RECORD_MEMORY), 0);
    assert_int_equal(rows_of(gone.tenant_no, RECORD_TRACE), 0);
}

static void several_at_once_all_go(void **state)
{
    (void)state;
    static const char *const ids[] = {"one", "two", "three", "four"};
    struct caller c[4];
    for (int i = 0; i < 4; i++)
        c[i] = fill(ids[i]);
    for (int i = 0; i < 3; i++)
        assert_int_equal(TEST_CALL(te, &te->admin, engine_delete_tenant, bytes_cstr(ids[i]), true),
                         QMN_OK);
    for (int i = 0; i < 3; i++) {
        wait_purged(ids[i]);
        assert_int_equal(rows_of(c[i].tenant_no, RECORD_MEMORY), 0);
    }
    assert_int_equal(rows_of(c[3].tenant_no, RECORD_MEMORY), 600);
}

/* The clock runs past every expiry of what was removed. */
static void nothing_of_it_expires_twice(void **state)
{
    (void)state;
    fill("gone");
    assert_int_equal(TEST_CALL(te, &te->admin, engine_delete_tenant, BYTES_LIT("gone"), true),
                     QMN_OK);
    wait_purged("gone");
    for (int i = 0; i < 40; i++) {
        struct tenant_in in = {.id = BYTES_LIT("system"), .name = BYTES_LIT("x")};
        struct tenant_out out;
        test_engine_advance(te, 86400000);
        assert_int_equal(TEST_CALL(te, &te->admin, engine_update_tenant, &in, &out), QMN_OK);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_stays_but_the_tombstone),    TEST(the_memory_is_given_back_too),
        TEST(a_purged_tenant_does_not_come_back), TEST(a_deleted_tenant_may_be_purged_later),
        TEST(a_stop_in_between_only_puts_it_off), TEST(several_at_once_all_go),
        TEST(nothing_of_it_expires_twice),        TEST(nothing_of_it_catches_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
