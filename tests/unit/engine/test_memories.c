/* SPDX-License-Identifier: MIT
 *
 * Hyphal memory: exact order, filters, labels, time. */
#include "stage.h"

#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "engine/engine_priv.h"

static struct vec random_unit(struct rng *rng)
{
    struct vec v;
    double norm = 0;
    for (int i = 0; i < SCENE_DIM; i++) {
        v.v[i] = (float)rng_normal(rng);
        norm += (double)v.v[i] * (double)v.v[i];
    }
    for (int i = 0; i < SCENE_DIM; i++)
        v.v[i] = (float)((double)v.v[i] / sqrt(norm));
    return v;
}

static double dot(const struct vec *a, const struct vec *b)
{
    double sum = 0;
    for (int i = 0; i < SCENE_DIM; i++)
        sum += (double)a->v[i] * (double)b->v[i];
    return sum;
}

static int descending(const void *pa, const void *pb)
{
    double a = *(const double *)pa, b = *(const double *)pb;
    return (a < b) - (a > b);
}

static struct memory_out remember(struct memory_in in)
{
    struct memory_out out;
    if (TEST_CALL(s.te, &s.caller, engine_store_memory, &in, &out) != QMN_OK)
        fail_msg("memory refused: %s", s.te->last->err.text);
    return out;
}

static struct memories_out search_as(const struct caller *who, struct vec v,
                                     const struct memory_filter *f, uint32_t k)
{
    struct memory_search query = {.vector = scene_vector(&s, v), .top_k = k};
    struct memories_out out;
    assert_int_equal(TEST_CALL(s.te, who, engine_search_memory, &query, f, &out), QMN_OK);
    return out;
}

static void the_order_equals_brute_force(void **state)
{
    (void)state;
    enum { N = 2000, QUERIES = 40, K = 100 };
    static struct vec all[N];
    static double scores[N];
    struct call *calls[N / 10];
    struct memory_out out[N / 10];
    struct memory_in in[N / 10];
    struct rng rng;
    rng_seed(&rng, 11);
    for (int i = 0; i < N;) { /* ten times two hundred at once: groups, not one by one */
        for (int k = 0; k < N / 10; k++, i++) {
            all[i] = random_unit(&rng);
            in[k] = scene_memory(&s, i % 2 ? "a" : "b", all[i]);
            calls[k] = test_call_new(s.te, &s.caller);
            engine_store_memory(s.te->engine, calls[k], &in[k], &out[k]);
        }
        for (int k = 0; k < N / 10; k++)
            assert_int_equal(test_call_wait(s.te, calls[k]), QMN_OK);
    }
    for (int round = 0; round < 2; round++) {
        for (int q = 0; q < QUERIES; q++) {
            struct vec query = random_unit(&rng);
            for (int i = 0; i < N; i++)
                scores[i] = dot(&query, &all[i]);
            qsort(scores, N, sizeof *scores, descending);
            struct memories_out got = scene_search(&s, query, K);
            assert_int_equal(got.count, K);
            assert_int_equal(got.candidates, N);
            for (int k = 0; k < K; k++)
                assert_true(fabs((double)got.items[k].similarity - scores[k]) < 1e-5);
        }
        scene_restart(&s);
    }
}

static void labels_hide_without_a_trace(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 5);
    struct caller weak = s.caller;
    weak.clearance = LABEL_INTERNAL;
    scene_agent_cleared(&s, "a", AXIS(0), LABEL_SECRET);
    for (int i = 0; i < 50; i++)
        remember(scene_memory(&s, "a", random_unit(&rng)));
    struct memories_out before = search_as(&weak, AXIS(0), &scene_no_filter, 20);
    struct memory_out secret = {0};
    for (int i = 0; i < 300; i++) { /* far more, and far better */
        struct memory_in in = scene_memory(&s, "a", AXIS(0));
        in.sensitivity = i % 2 ? LABEL_SECRET : LABEL_CONFIDENTIAL;
        secret = remember(in);
    }
    struct memories_out after = search_as(&weak, AXIS(0), &scene_no_filter, 20);
    assert_int_equal(after.count, before.count);
    assert_int_equal(after.candidates, before.candidates);
    for (size_t i = 0; i < after.count; i++) {
        assert_true(bytes_equal(after.items[i].id, before.items[i].id));
        assert_float_equal(after.items[i].similarity, before.items[i].similarity, 0);
    }
    struct memory_out out;
    struct memories_out list;
    assert_int_equal(TEST_CALL(s.te, &weak, engine_get_memory, secret.id, 0, &out),
                     QMN_E_NOT_FOUND);
    assert_int_equal(TEST_CALL(s.te, &weak, engine_delete_memory, secret.id), QMN_E_NOT_FOUND);
    assert_int_equal(TEST_CALL(s.te, &weak, engine_agent_memories, BYTES_LIT("a"), BYTES_LIT(""),
                               1000, 0, &list),
                     QMN_OK);
    assert_int_equal(list.count, 50);
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_get_memory, secret.id, 0, &out), QMN_OK);
    struct memory_in high = scene_memory(&s, "a", AXIS(0));
    high.sensitivity = LABEL_SECRET;
    assert_int_equal(TEST_CALL(s.te, &weak, engine_store_memory, &high, &out), QMN_E_FORBIDDEN);
}

static void a_memory_is_kept_as_stored(void **state)
{
    (void)state;
    struct memory_in in = scene_memory(&s, "a", AXIS(2));
    in.content = BYTES_LIT("{\"text\":\"mycelium\"}");
    in.metadata = BYTES_LIT("{\"k\":1}");
    in.task_id = BYTES_LIT("task-1");
    in.trace_id = BYTES_LIT("tr_x");
    in.quality = 0.25;
    in.ttl_hours = 1.5;
    struct memory_out stored = remember(in), got;
    scene_restart(&s);
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_get_memory, stored.id, 0, &got), QMN_OK);
    assert_bytes_equal(got.agent_id, "a");
    assert_bytes_equal(got.kind, "note");
    assert_bytes_equal(got.content, "{\"text\":\"mycelium\"}");
    assert_bytes_equal(got.metadata, "{\"k\":1}");
    assert_bytes_equal(got.task_id, "task-1");
    assert_bytes_equal(got.trace_id, "tr_x");
    assert_true(got.quality == 0.25);
    assert_int_equal(got.created_ms, TEST_ENGINE_START_MS);
    assert_int_equal(got.expires_ms, TEST_ENGINE_START_MS + 5400000);
    assert_int_equal(stored.expires_ms, got.expires_ms);
    assert_int_equal(scene_search(&s, AXIS(2), 10).count, 1);
}

static void a_memory_expires_to_the_millisecond(void **state)
{
    (void)state;
    struct memory_in in = scene_memory(&s, "a", AXIS(0));
    in.ttl_hours = 1;
    struct memory_out stored = remember(in), out;
    remember(scene_memory(&s, "a", AXIS(0)));
    test_engine_advance(s.te, 3599999);
    assert_int_equal(scene_search(&s, AXIS(0), 10).count, 2);
    test_engine_advance(s.te, 1);
    assert_int_equal(scene_search(&s, AXIS(0), 10).count, 1);
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_get_memory, stored.id, 0, &out),
                     QMN_E_NOT_FOUND);
    scene_settle(&s);
    scene_restart(&s);
    assert_int_equal(scene_search(&s, AXIS(0), 10).count, 1);
}

static void cleaning_up_deletes_what_has_expired(void **state)
{
    (void)state;
    uint64_t deleted;
    for (int i = 0; i < 10; i++) {
        struct memory_in in = scene_memory(&s, "a", AXIS(i % 8));
        in.ttl_hours = i < 7 ? 1 : 0;
        remember(in);
    }
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_cleanup_memory, &deleted), QMN_OK);
    assert_int_equal(deleted, 0);
    /* hold the writer, so that its own background work is not there first */
    struct scene_hold hold;
    struct call *clean = test_call_new(s.te, &s.caller);
    scene_hold(&s, &hold);
    test_engine_advance(s.te, 3600000);
    engine_cleanup_memory(s.te->engine, clean, &deleted);
    scene_let_go(&s, &hold);
    assert_int_equal(test_call_wait(s.te, clean), QMN_OK);
    assert_int_equal(deleted, 7);
    assert_int_equal(s.te->engine->net.tenants[1]->memory_count, 4);
}

static void a_deleted_memory_is_gone(void **state)
{
    (void)state;
    struct memory_out first = remember(scene_memory(&s, "a", AXIS(0))), out;
    remember(scene_memory(&s, "a", AXIS(1)));
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_delete_memory, first.id), QMN_OK);
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_delete_memory, first.id), QMN_E_NOT_FOUND);
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_get_memory, first.id, 0, &out),
                     QMN_E_NOT_FOUND);
    assert_int_equal(scene_search(&s, AXIS(0), 10).count, 1);
    struct memory_out next = remember(scene_memory(&s, "b", AXIS(0))); /* takes its slot */
    struct memories_out found = scene_search(&s, AXIS(0), 1);
    assert_true(bytes_equal(found.items[0].id, next.id));
    scene_restart(&s);
    assert_int_equal(scene_search(&s, AXIS(0), 10).count, 2);
}

static void a_listing_is_newest_first(void **state)
{
    (void)state;
    struct memories_out list;
    for (int i = 0; i < 5; i++) {
        struct memory_in in = scene_memory(&s, "a", AXIS(i));
        in.kind = i % 2 ? BYTES_LIT("odd") : BYTES_LIT("even");
        remember(in);
        remember(scene_memory(&s, "b", AXIS(i)));
    }
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_agent_memories, BYTES_LIT("a"),
                               BYTES_LIT(""), 3, 0, &list),
                     QMN_OK);
    assert_int_equal(list.count, 3);
    assert_bytes_equal(list.items[0].kind, "even");
    assert_bytes_equal(list.items[1].kind, "odd");
    struct bytes second = list.items[1].id;
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_agent_memories, BYTES_LIT("a"),
                               BYTES_LIT(""), 10, 1, &list),
                     QMN_OK);
    assert_int_equal(list.count, 4);
    assert_true(bytes_equal(list.items[0].id, second));
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_agent_memories, BYTES_LIT("a"),
                               BYTES_LIT(""), 10, 9, &list),
                     QMN_OK);
    assert_int_equal(list.count, 0);
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_agent_memories, BYTES_LIT("a"),
                               BYTES_LIT("odd"), 10, 0, &list),
                     QMN_OK);
    assert_int_equal(list.count, 2);
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_agent_memories, BYTES_LIT("a"),
                               BYTES_LIT("never seen"), 10, 0, &list),
                     QMN_OK);
    assert_int_equal(list.count, 0);
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_agent_memories, BYTES_LIT("nobody"),
                               BYTES_LIT(""), 10, 0, &list),
                     QMN_E_NOT_FOUND);
}

static void another_tenant_sees_nothing(void **state)
{
    (void)state;
    struct memory_out mine = remember(scene_memory(&s, "a", AXIS(0))), out;
    test_tenant(s.te, "rival");
    struct caller rival = test_member(s.te, "rival", NULL);
    rival.clearance = LABEL_SECRET;
    assert_int_equal(search_as(&rival, AXIS(0), &scene_no_filter, 10).count, 0);
    assert_int_equal(TEST_CALL(s.te, &rival, engine_get_memory, mine.id, 0, &out), QMN_E_NOT_FOUND);
    assert_int_equal(TEST_CALL(s.te, &rival, engine_delete_memory, mine.id), QMN_E_NOT_FOUND);
}

/* ---- batches ---- */

static enum qmn_code remember_all(const struct memory_in *in, uint32_t count,
                                  struct memory_out *out)
{
    return TEST_CALL(s.te, &s.caller, engine_store_memories, in, count, out);
}

static void a_batch_is_one_commit_and_survives(void **state)
{
    (void)state;
    enum { N = LIMIT_BATCH };
    static struct memory_in in[N];
    static struct memory_out out[N];
    struct store_stats before, after;
    struct scene_state was = scene_look(&s);
    remember(scene_memory(&s, "a", AXIS(0)));
    for (int i = 0; i < N; i++) {
        in[i] = scene_memory(&s, i % 2 ? "a" : "script", AXIS(i % SCENE_DIM));
        in[i].kind = bytes_cstr(arena_printf(&s.te->arena, "kind %d", i));
        in[i].ttl_hours = i % 3;
    }
    struct store *store = s.te->engine->store;
    store->ops->stats(store, &before);
    assert_int_equal(remember_all(in, N, out), QMN_OK);
    store->ops->stats(store, &after);
    assert_true(after.commits - before.commits <= 1);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(scene_look(&s).memories, was.memories + N + 1);
        assert_int_equal(scene_look(&s).agents, was.agents + 1);
        for (int i = 0; i < N; i++) {
            struct memory_out got;
            assert_int_equal(TEST_CALL(s.te, &s.caller, engine_get_memory, out[i].id, 0, &got),
                             QMN_OK);
            assert_true(bytes_equal(got.kind, in[i].kind));
            assert_true(bytes_equal(got.agent_id, in[i].agent_id));
        }
        scene_restart(&s);
    }
}

static void a_batch_is_stored_whole_or_not_at_all(void **state)
{
    (void)state;
    struct memory_in in[3];
    struct memory_out out[3];
    for (int i = 0; i < 3; i++)
        in[i] = scene_memory(&s, i ? "a" : "script", AXIS(i));
    remember(scene_memory(&s, "a", AXIS(0)));
    struct scene_state before = scene_look(&s);
    in[2].sensitivity = LABEL_SECRET;
    assert_int_equal(remember_all(in, 3, out), QMN_E_FORBIDDEN);
    assert_string_equal(s.te->last->err.field, "memories[2].sensitivity");
    in[2].sensitivity = LABEL_INTERNAL;
    in[1].embedding.dim = SCENE_DIM - 1;
    assert_int_not_equal(remember_all(in, 3, out), QMN_OK);
    assert_non_null(strstr(s.te->last->err.field, "memories[1]"));
    struct scene_state after = scene_look(&s);
    assert_memory_equal(&before, &after, sizeof before);
}

/* What only the writer sees: with an earlier one the plan's last place is taken. */
static void a_batch_that_is_refused_half_way_leaves_nothing(void **state)
{
    (void)state;
    enum { N = 120 };
    static struct memory_in in[N];
    static struct memory_out out[N];
    struct tenant_in small = {.id = BYTES_LIT("small"), .plan = PLAN_FREE};
    struct tenant_out tenant;
    assert_int_equal(TEST_CALL(s.te, &s.te->admin, engine_create_tenant, &small, &tenant), QMN_OK);
    struct caller who = test_member(s.te, "small", NULL);
    for (int i = 0; i < N; i++) {
        in[i] = scene_memory(&s, "", AXIS(0));
        in[i].agent_id = bytes_cstr(arena_printf(&s.te->arena, "author %d", i));
    }
    assert_int_equal(TEST_CALL(s.te, &who, engine_store_memories, in, 1, out), QMN_OK);
    struct scene_state before = scene_look(&s);
    assert_int_equal(TEST_CALL(s.te, &who, engine_store_memories, in, N, out), QMN_E_QUOTA);
    assert_string_equal(s.te->last->err.field, "memories[100]");
    struct scene_state after = scene_look(&s);
    assert_memory_equal(&before, &after, sizeof before);
    assert_int_equal(TEST_CALL(s.te, &who, engine_store_memories, in, 100, out), QMN_OK);
}

/* What each command reserves has to add up, whatever stands between them. */
static void batches_and_others_share_a_group(void **state)
{
    (void)state;
    enum { N = 60, EACH = 40 };
    static struct memory_in in[N][EACH], one[N];
    static struct memory_out out[N][EACH], single[N];
    struct call *calls[N], *others[N];
    struct scene_hold hold;
    struct scene_state before = scene_look(&s);
    scene_hold(&s, &hold);
    for (int i = 0; i < N; i++) {
        for (int k = 0; k < EACH; k++) {
            in[i][k] = scene_memory(&s, "a", AXIS(k % SCENE_DIM));
            if (k < 2)
                in[i][k].agent_id = bytes_cstr(arena_printf(&s.te->arena, "author %d", i));
            in[i][k].ttl_hours = 1;
        }
        one[i] = scene_memory(&s, "b", AXIS(1));
        calls[i] = test_call_new(s.te, &s.caller);
        others[i] = test_call_new(s.te, &s.caller);
        engine_store_memories(s.te->engine, calls[i], in[i], EACH, out[i]);
        engine_store_memory(s.te->engine, others[i], &one[i], &single[i]);
    }
    scene_let_go(&s, &hold);
    for (int i = 0; i < N; i++) {
        assert_int_equal(test_call_wait(s.te, calls[i]), QMN_OK);
        assert_int_equal(test_call_wait(s.te, others[i]), QMN_OK);
    }
    struct scene_state after = scene_look(&s);
    assert_int_equal(after.memories, before.memories + N * EACH + N + 1); /* and the hold's */
    assert_int_equal(after.agents, before.agents + N);
}

/* ---- authors nobody registered ---- */

static enum qmn_code store_as(const struct caller *who, const char *author, uint32_t label)
{
    struct memory_in in = scene_memory(&s, author, AXIS(0));
    struct memory_out out;
    in.sensitivity = label;
    return TEST_CALL(s.te, who, engine_store_memory, &in, &out);
}

static struct agent_out look_at(const char *id)
{
    struct agent_out out;
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_get_agent, bytes_cstr(id), true, &out),
                     QMN_OK);
    return out;
}

static void an_author_nobody_registered_comes_to_be_with_its_memory(void **state)
{
    (void)state;
    struct scene_state before = scene_look(&s);
    struct memory_out stored = remember(scene_memory(&s, "script", AXIS(3)));
    assert_bytes_equal(stored.agent_id, "script");
    for (int round = 0; round < 2; round++) {
        struct agent_out out = look_at("script");
        assert_int_equal(out.status, AGENT_ACTIVE);
        assert_int_equal(out.clearance, LABEL_INTERNAL);
        assert_int_equal(out.capabilities.len, 0);
        assert_null(out.profile);
        struct memories_out found = scene_search(&s, AXIS(3), 1);
        assert_int_equal(found.count, 1);
        assert_bytes_equal(found.items[0].agent_id, "script");
        scene_restart(&s);
    }
    struct scene_state after = scene_look(&s);
    assert_int_equal(after.agents, before.agents + 1);
    assert_int_equal(after.active, before.active + 1);
    remember(scene_memory(&s, "script", AXIS(4)));
    assert_int_equal(scene_look(&s).agents, after.agents);
}

static void a_registration_fills_in_an_author(void **state)
{
    (void)state;
    struct audit_out audit;
    struct memories_out list;
    remember(scene_memory(&s, "script", AXIS(3)));
    struct agent_out before = look_at("script");
    int64_t no = tenant_agent(s.te->engine->net.tenants[1], BYTES_LIT("script"))->record->no;
    test_engine_advance(s.te, 5);
    scene_capable(&s, "script", "git");
    struct agent_out after = look_at("script");
    assert_int_equal(after.created_ms, before.created_ms);
    assert_int_equal(after.updated_ms, before.updated_ms + 5);
    assert_int_equal(after.clearance, LABEL_INTERNAL);
    assert_int_equal(tenant_agent(s.te->engine->net.tenants[1], BYTES_LIT("script"))->record->no,
                     no);
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_agent_memories, BYTES_LIT("script"),
                               BYTES_LIT(""), 10, 0, &list),
                     QMN_OK);
    assert_int_equal(list.count, 1);
    struct broadcast_in in = scene_nutrient(&s, "a", AXIS(7));
    in.hints = test_list(s.te, "git");
    struct broadcast_out sent;
    assert_int_equal(scene_broadcast(&s, &in, &sent), QMN_OK);
    assert_string_equal(scene_reached(&s, &sent), "script");
    /* a first registration is no change of its clearance */
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_audit, 0, 100, &audit), QMN_OK);
    for (size_t i = 0; i < audit.count; i++)
        assert_false(bytes_is(audit.entries[i].action, "agent.clearance"));
}

/* Not by exploration, nor along an edge that outcomes taught. */
static void an_author_nobody_registered_is_never_sent_anything(void **state)
{
    (void)state;
    struct outcome_out rated;
    scene_end(&s);
    scene_begin(&s, (struct test_engine_options){.epsilon = 1});
    scene_agent(&s, "a", AXIS(0), NULL);
    remember(scene_memory(&s, "script", AXIS(0)));
    struct collect_out found = scene_collect(&s, "a", AXIS(0));
    assert_int_equal(scene_outcome(&s, "a", found.trace_id, 1, &rated), QMN_OK);
    assert_true(scene_weight(&s, "a", "script") > 0.5);
    const struct tenant *t = s.te->engine->net.tenants[1];
    assert_int_equal(t->reach[tenant_agent(t, BYTES_LIT("script"))->slot], 0);
    for (int i = 0; i < 50; i++) {
        struct broadcast_in in = scene_nutrient(&s, "", AXIS(i % SCENE_DIM));
        in.hints = test_list(s.te, "script");
        in.max_hops = 3;
        struct broadcast_out sent;
        assert_int_equal(scene_broadcast(&s, &in, &sent), QMN_OK);
        assert_false(scene_reaches(&sent, "script"));
    }
}

static void authors_count_as_agents_of_the_plan(void **state)
{
    (void)state;
    struct tenant_in in = {.id = BYTES_LIT("small"), .plan = PLAN_FREE};
    struct tenant_out tenant;
    assert_int_equal(TEST_CALL(s.te, &s.te->admin, engine_create_tenant, &in, &tenant), QMN_OK);
    struct caller who = test_member(s.te, "small", NULL);
    for (unsigned i = 0; i < plan_agent_quota(PLAN_FREE); i++)
        assert_int_equal(store_as(&who, arena_printf(&s.te->arena, "script-%u", i), LABEL_INTERNAL),
                         QMN_OK);
    struct scene_state before = scene_look(&s);
    assert_int_equal(store_as(&who, "one more", LABEL_INTERNAL), QMN_E_QUOTA);
    assert_in_range(s.te->last->err.retry_after_s, 1, 3600);
    struct scene_state after = scene_look(&s);
    assert_memory_equal(&before, &after, sizeof before);
    assert_int_equal(store_as(&who, "script-7", LABEL_INTERNAL), QMN_OK);
}

/* In one group: the first makes the author, the others wait for it; a registration among them. */
static void memories_that_come_together_share_their_author(void **state)
{
    (void)state;
    enum { N = 6 };
    struct call *calls[N], *registered = test_call_new(s.te, &s.caller);
    struct memory_out out[N];
    struct memory_in in[N];
    struct agent_in agent = {.id = BYTES_LIT("script"), .name = BYTES_LIT("Script")};
    struct agent_out agent_out;
    struct scene_hold hold;
    struct scene_state before = scene_look(&s);
    scene_hold(&s, &hold);
    for (int i = 0; i < N; i++) {
        calls[i] = test_call_new(s.te, &s.caller);
        in[i] = scene_memory(&s, "script", AXIS(2));
        engine_store_memory(s.te->engine, calls[i], &in[i], &out[i]);
        if (i == N / 2)
            engine_register_agent(s.te->engine, registered, &agent, &agent_out);
    }
    scene_let_go(&s, &hold);
    for (int i = 0; i < N; i++)
        assert_int_equal(test_call_wait(s.te, calls[i]), QMN_OK);
    assert_int_equal(test_call_wait(s.te, registered), QMN_OK);
    assert_int_equal(scene_look(&s).agents, before.agents + 1);
    assert_bytes_equal(look_at("script").name, "Script");
    struct memories_out list;
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_agent_memories, BYTES_LIT("script"),
                               BYTES_LIT(""), 10, 0, &list),
                     QMN_OK);
    assert_int_equal(list.count, N);
}

static void an_author_may_know_what_is_internal_at_most(void **state)
{
    (void)state;
    struct caller weak = s.caller;
    weak.clearance = LABEL_PUBLIC;
    assert_int_equal(store_as(&s.caller, "script", LABEL_CONFIDENTIAL), QMN_E_FORBIDDEN);
    assert_int_equal(store_as(&weak, "script", LABEL_INTERNAL), QMN_E_FORBIDDEN);
    assert_int_equal(store_as(&weak, "script", LABEL_PUBLIC), QMN_OK);
    assert_int_equal(store_as(&s.caller, "script", LABEL_CONFIDENTIAL), QMN_E_FORBIDDEN);
    assert_int_equal(store_as(&s.caller, "script", LABEL_INTERNAL), QMN_OK);
    /* whoever named it first does not bind the one who registers it */
    struct agent_in in = {.id = BYTES_LIT("script")};
    struct agent_out out;
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_register_agent, &in, &out), QMN_OK);
    assert_int_equal(out.clearance, LABEL_INTERNAL);
}

static void only_a_memory_brings_an_author_into_being(void **state)
{
    (void)state;
    struct caller bound = s.caller;
    struct pull_in pull = {.agent_id = BYTES_LIT("typo"), .limit = 1, .lease_ms = 1000};
    struct pull_out pulled;
    struct broadcast_in in = scene_nutrient(&s, "typo", AXIS(0));
    struct broadcast_out sent;
    struct edges_out edges;
    struct agent_out agent;
    bound.agent_ids = test_list(s.te, "a");
    assert_int_equal(scene_pull_as(&s, &s.caller, &pull, &pulled), QMN_E_NOT_FOUND);
    assert_int_equal(scene_broadcast(&s, &in, &sent), QMN_E_NOT_FOUND);
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_edges, BYTES_LIT("typo"), 10, &edges),
                     QMN_E_NOT_FOUND);
    assert_int_equal(store_as(&bound, "typo", LABEL_INTERNAL), QMN_E_FORBIDDEN);
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_get_agent, BYTES_LIT("typo"), false, &agent),
                     QMN_E_NOT_FOUND);
}

#define MEMORY(test) cmocka_unit_test_setup_teardown(test, stage_a_b, stage_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MEMORY(the_order_equals_brute_force),
        MEMORY(labels_hide_without_a_trace),
        MEMORY(a_memory_is_kept_as_stored),
        MEMORY(a_memory_expires_to_the_millisecond),
        MEMORY(cleaning_up_deletes_what_has_expired),
        MEMORY(a_deleted_memory_is_gone),
        MEMORY(a_listing_is_newest_first),
        MEMORY(another_tenant_sees_nothing),
        MEMORY(a_batch_is_one_commit_and_survives),
        MEMORY(a_batch_is_stored_whole_or_not_at_all),
        MEMORY(a_batch_that_is_refused_half_way_leaves_nothing),
        MEMORY(batches_and_others_share_a_group),
        MEMORY(an_author_nobody_registered_comes_to_be_with_its_memory),
        MEMORY(a_registration_fills_in_an_author),
        MEMORY(an_author_nobody_registered_is_never_sent_anything),
        MEMORY(authors_count_as_agents_of_the_plan),
        MEMORY(memories_that_come_together_share_their_author),
        MEMORY(an_author_may_know_what_is_internal_at_most),
        MEMORY(only_a_memory_brings_an_author_into_being),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
