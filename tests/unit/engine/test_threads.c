/* SPDX-License-Identifier: MIT
 *
 * Several loops at once: mixed calls for two seconds, while the clock runs and things expire.  The
 * thread sanitizer watches; at the end the network is whole, and a restart finds the same. */
#include "scene.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/rng.h"
#include "engine/engine_priv.h"

enum { LOOPS = 4, AGENTS = 12, BATCH = 8, RUN_US = 2000000 };

static struct scene s;
static _Atomic bool stop;
static _Atomic uint64_t done, unexpected;

static const char *const agents[AGENTS] = {"a0", "a1", "a2", "a3", "a4",  "a5",
                                           "a6", "a7", "a8", "a9", "a10", "a11"};
static const char *const hints[] = {"x", "xy", "deploy", "deployment", "tuning", "graft"};

struct loop {
    pthread_t thread;
    struct scene scene; /* over a lane */
    struct rng rng;
    struct broadcast_out sent[BATCH];
    struct bytes trace, nutrient, memory;
};

static const char *any_agent(struct loop *l)
{
    return agents[rng_below(&l->rng, AGENTS)];
}

static struct vec any_vector(struct loop *l)
{
    struct vec v;
    for (int i = 0; i < SCENE_DIM; i++)
        v.v[i] = (float)rng_normal(&l->rng);
    return v;
}

/* What may come of a call when others suspend, acknowledge and expire meanwhile. */
static bool expected(enum qmn_code code)
{
    return code == QMN_OK || code == QMN_E_NOT_FOUND || code == QMN_E_CONFLICT ||
           code == QMN_E_FORBIDDEN || code == QMN_E_INVALID || code == QMN_E_OVERLOADED;
}

static void count(enum qmn_code code)
{
    atomic_fetch_add(&done, 1);
    if (!expected(code)) {
        fprintf(stderr, "a call ended with %s\n", code_info(code)->wire);
        atomic_fetch_add(&unexpected, 1);
    }
}

/* A batch of broadcasts and an abandoned pull, all under way at once. */
static void several(struct loop *l)
{
    struct test_engine *te = l->scene.te;
    struct broadcast_in in[BATCH];
    struct call *calls[BATCH];
    struct pull_in pull = {
        .agent_id = bytes_cstr(any_agent(l)), .limit = 3, .wait_ms = 1000, .lease_ms = 50};
    struct pull_out pulled;
    struct call *waiting = test_call_new(te, &l->scene.caller);
    engine_pull(te->engine, waiting, &pull, &pulled);
    for (int i = 0; i < BATCH; i++) {
        in[i] = scene_nutrient(&l->scene, any_agent(l), any_vector(l));
        in[i].hints = test_list(te, hints[rng_below(&l->rng, ARRAY_LEN(hints))]);
        in[i].max_hops = 1 + rng_below(&l->rng, 4);
        in[i].ttl_sec = 1 + rng_below(&l->rng, 3);
        in[i].diversify = true;
        calls[i] = test_call_new(te, &l->scene.caller);
        engine_broadcast(te->engine, calls[i], &in[i], &l->sent[i]);
    }
    engine_round(te->engine, waiting->exec);
    for (int i = 0; i < BATCH; i++) {
        count(test_call_wait(te, calls[i]));
        if (calls[i]->code == QMN_OK) {
            l->trace = arena_bytes(&te->arena, l->sent[i].trace_id);
            l->nutrient = arena_bytes(&te->arena, l->sent[i].nutrient_id);
        }
    }
    engine_cancel(te->engine, waiting);
    count(test_call_wait(te, waiting));
}

static void answer(struct loop *l, const char *agent)
{
    struct test_engine *te = l->scene.te;
    struct pull_in in = {.agent_id = bytes_cstr(agent), .limit = 4, .lease_ms = 20};
    struct pull_out pulled;
    struct respond_out response;
    struct ack_out ack;
    count(scene_pull_as(&l->scene, &l->scene.caller, &in, &pulled));
    if (te->last->code != QMN_OK)
        return;
    for (size_t i = 0; i < pulled.count; i++) {
        struct bytes id = pulled.items[i].nutrient_id;
        if (i % 3 == 0)
            count(scene_respond(&l->scene, agent, id, "{}", &response));
        if (i % 3 == 1)
            count(scene_nack(&l->scene, agent, id, i % 2, 10));
        else
            count(scene_ack(&l->scene, agent, id, &ack));
    }
}

static void gather(struct loop *l)
{
    struct test_engine *te = l->scene.te;
    struct collect_in in = scene_demand(&l->scene, any_agent(l), any_vector(l));
    struct collect_out out;
    struct outcome_out outcome;
    struct call *c = test_call_new(te, &l->scene.caller);
    in.diversify = true;
    engine_collect(te->engine, c, &in, &out);
    test_engine_advance(te, 300);
    count(test_call_wait(te, c));
    if (c->code == QMN_OK) {
        struct bytes trace = out.trace_id;
        count(scene_outcome(&l->scene, "a0", trace, rng_unit(&l->rng), &outcome));
    }
}

static void reads(struct loop *l)
{
    struct scene *x = &l->scene;
    struct edge_stats stats;
    struct edges_out edges;
    struct agents_out list;
    struct trace_out trace;
    struct memories_out found;
    struct memory_search search = {.vector = scene_vector(x, any_vector(l)), .top_k = 10};
    if (rng_below(&l->rng, 2))
        search.query = BYTES_LIT("note 00000001");
    count(TEST_CALL(x->te, &x->caller, engine_edge_stats, &stats));
    count(TEST_CALL(x->te, &x->caller, engine_edges, BYTES_LIT(""), 20, &edges));
    count(TEST_CALL(x->te, &x->caller, engine_list_agents, 0, BYTES_LIT(""), BYTES_LIT(""), 50,
                    &list));
    count(TEST_CALL(x->te, &x->caller, engine_search_memory, &search, &scene_no_filter, &found));
    if (l->trace.len)
        count(TEST_CALL(x->te, &x->caller, engine_trace, l->trace, &trace));
    if (l->memory.len && rng_below(&l->rng, 3) == 0)
        count(TEST_CALL(x->te, &x->caller, engine_delete_memory, l->memory));
}

static void change_agents(struct loop *l)
{
    struct scene *x = &l->scene;
    struct agent_in in = {.id = bytes_cstr(any_agent(l)),
                          .profile = scene_vector(x, any_vector(l)),
                          .capabilities = test_list(x->te, hints[rng_below(&l->rng, 6)]),
                          .clearance = LABEL_INTERNAL};
    struct agent_out out;
    struct edge_upkeep_out upkeep;
    uint64_t deleted;
    if (rng_below(&l->rng, 4) == 0)
        count(scene_suspend(x, any_agent(l)));
    count(TEST_CALL(x->te, &x->caller, engine_register_agent, &in, &out));
    if (rng_below(&l->rng, 10) == 0)
        count(TEST_CALL(x->te, &x->caller, engine_prune_edges, 0.3, &upkeep));
    count(TEST_CALL(x->te, &x->caller, engine_decay_edges, &upkeep));
    count(TEST_CALL(x->te, &x->caller, engine_cleanup_memory, &deleted));
}

/* Rates under an Idempotency-Key, twice. */
static void rate_twice(struct loop *l)
{
    struct test_engine *te = l->scene.te;
    struct outcome_in in = {
        .trace_id = l->trace, .agent_id = bytes_cstr(any_agent(l)), .score = rng_unit(&l->rng)};
    struct outcome_out out;
    uint64_t value = rng_next(&l->rng);
    for (int i = 0; i < 2; i++) {
        struct call *c = test_call_new(te, &l->scene.caller);
        c->idempotency = (struct idempotency_in){.value = bytes_of(&value, sizeof value),
                                                 .route = BYTES_LIT("outcome")};
        engine_record_outcome(te->engine, c, &in, &out);
        count(test_call_wait(te, c));
    }
}

static void step(struct loop *l)
{
    struct memory_out memory;
    struct memory_in in;
    switch (rng_below(&l->rng, 6)) {
    case 0:
        several(l);
        break;
    case 1:
        answer(l, any_agent(l));
        break;
    case 2:
        gather(l);
        break;
    case 3:
        reads(l);
        break;
    case 4:
        if (l->trace.len)
            rate_twice(l);
        in = scene_memory(&l->scene, any_agent(l), any_vector(l));
        in.ttl_hours = rng_below(&l->rng, 2) ? 0.0003 : 0;
        count(TEST_CALL(l->scene.te, &l->scene.caller, engine_store_memory, &in, &memory));
        if (l->scene.te->last->code == QMN_OK)
            l->memory = arena_bytes(&l->scene.te->arena, memory.id);
        break;
    default:
        change_agents(l);
    }
}

static void *loop_main(void *arg)
{
    struct loop *l = arg;
    for (unsigned i = 0; !atomic_load(&stop); i++) {
        step(l);
        if (i % 16 == 15) {
            test_engine_forget_calls(l->scene.te);
            arena_reset(&l->scene.te->arena);
            l->trace = l->memory = l->nutrient = (struct bytes){0};
        }
    }
    return NULL;
}

static void run_loops(struct loop *loops)
{
    atomic_store(&stop, false);
    for (uint64_t i = 0; i < LOOPS; i++) {
        loops[i] = (struct loop){.scene = {.te = test_engine_lane(s.te), .caller = s.caller}};
        rng_seed(&loops[i].rng, i + 1);
        struct call *probe = test_call_new(loops[i].scene.te, &s.caller);
        if (i % 2) /* before the threads start, as loops do */
            assert_true(engine_gather(s.te->engine, probe->exec));
        struct edge_stats stats;
        engine_edge_stats(s.te->engine, probe, &stats);
    }
    for (int i = 0; i < LOOPS; i++)
        assert_int_equal(pthread_create(&loops[i].thread, NULL, loop_main, &loops[i]), 0);
    int64_t end = clock_mono_us() + RUN_US;
    while (clock_mono_us() < end) { /* ten times as fast as it is, so that much expires */
        s.te->now_ms += 10;
        char text[VALIDATE_TEXT];
        if (!network_validate_busy(&s.te->engine->net, text))
            fail_msg("the network is not whole: %s", text);
        test_engine_forget_calls(s.te);
        scene_settle(&s);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < LOOPS; i++)
        pthread_join(loops[i].thread, NULL);
}

static void loops_at_work_leave_the_network_whole(void **state)
{
    (void)state;
    static struct loop loops[LOOPS];
    scene_begin(&s, (struct test_engine_options){.epsilon = 0.1});
    for (int i = 0; i < AGENTS; i++) {
        struct vec v = AXIS(i % SCENE_DIM);
        v.v[(i + 3) % SCENE_DIM] = 0.5f;
        scene_agent(&s, agents[i], v, hints[i % 6]);
    }
    run_loops(loops);
    for (int i = 0; i < LOOPS; i++)
        test_engine_free(loops[i].scene.te);
    assert_int_equal(unexpected, 0);
    assert_true(done > 500);
    test_engine_advance(s.te, 5000); /* nothing is left that a restart would offer again */
    uint64_t left;
    do { /* a group lets only so many expire */
        left = scene_look(&s).live;
        scene_settle(&s);
    } while (scene_look(&s).live < left);
    struct scene_state before = scene_look(&s);
    scene_restart(&s);
    struct scene_state after = scene_look(&s);
    assert_int_equal(before.agents, after.agents);
    assert_int_equal(before.active, after.active);
    assert_int_equal(before.edges, after.edges);
    assert_int_equal(before.live, after.live);
    assert_int_equal(before.pending, after.pending);
    assert_int_equal(before.responses, after.responses);
    assert_int_equal(before.memories, after.memories);
    assert_int_equal(before.recents, after.recents);
    assert_int_equal(before.tags, after.tags);
    assert_int_equal(before.nutrients, after.nutrients);
    assert_int_equal(before.bytes, after.bytes);
    assert_true(before.weights - after.weights < 1e-9 && after.weights - before.weights < 1e-9);
    scene_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loops_at_work_leave_the_network_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
