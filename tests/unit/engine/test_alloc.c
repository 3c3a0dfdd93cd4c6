/* SPDX-License-Identifier: MIT
 *
 * The n-th allocation of a call fails, for every n: the call says so or succeeds, and the network
 * is as before or as after, never in between; nothing leaks (the sanitizer looks).  The writer's
 * background work allocates too, so which call is hit may vary. */
#include "scene.h"

#include <stdio.h>
#include <string.h>

#include "engine/engine_priv.h"
#include "support/fault.h"

static struct scene s;

/* What the calls need, made anew for each. */
static struct stage {
    struct broadcast_out sent, second;
    struct memory_out memory;
    struct broadcast_in nutrient;
    struct ack_in ack;
    struct respond_in respond;
    struct collect_in demand;
    struct outcome_in outcome;
    struct memory_in remember, batch[2];
    struct memory_patch patch;
    struct memory_query all;
    struct duplicates_query near;
    struct memory_line line[2];
    struct bytes fresh_id;
    struct memory_out stored[2];
    struct agent_in agent;
    struct pull_in pull;
    struct vector_in query;
    struct memory_search search;
    struct task_in task;
    struct policy_in policy;
    struct key_in key;
} g;

static union {
    struct broadcast_out broadcast;
    struct ack_out ack;
    struct respond_out respond;
    struct collect_out collect;
    struct outcome_out outcome;
    struct memory_out memory;
    struct memories_out memories;
    struct duplicates_out duplicates;
    struct memory_lines lines;
    struct agent_out agent;
    struct agents_out agents;
    struct pull_out pull;
    struct trace_out trace;
    struct edge_upkeep_out upkeep;
    struct edge_stats stats;
    struct edges_out edges;
    struct task_out task;
    struct tasks_out tasks;
    struct policy_out policy;
    struct policies_out policies;
    struct key_out key;
    struct keys_out keys;
    struct usage_out usage;
    struct audit_out audit;
    struct tenant_out tenant;
    uint64_t deleted;
} out;

static void prepare(unsigned round)
{
    struct outcome_out rated;
    const char *id = arena_printf(&s.te->arena, "agent-%06u", round);
    scene_agent(&s, "a", AXIS(0), "x");
    g.nutrient = scene_nutrient(&s, "", AXIS(0));
    g.nutrient.hints = test_list(s.te, "x y");
    assert_int_equal(scene_broadcast(&s, &g.nutrient, &g.sent), QMN_OK);
    assert_int_equal(scene_broadcast(&s, &g.nutrient, &g.second), QMN_OK);
    assert_int_equal(scene_outcome(&s, "", g.second.trace_id, 1, &rated), QMN_OK);
    g.remember = scene_memory(&s, "b", AXIS(1));
    g.remember.ttl_hours = 0.01;
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_store_memory, &g.remember, &g.memory),
                     QMN_OK);
    g.nutrient.max_hops = 3;
    g.nutrient.diversify = true;
    g.nutrient.hints = bytes_cstr(arena_printf(&s.te->arena, "hint-%06u", round));
    g.nutrient.hints.len++;
    g.nutrient.client_id = bytes_cstr(arena_printf(&s.te->arena, "nutrient-%06u", round));
    g.ack = (struct ack_in){
        .agent_id = BYTES_LIT("a"), .nutrient_ids = &g.sent.nutrient_id, .count = 1};
    g.respond = (struct respond_in){
        .nutrient_id = g.sent.nutrient_id, .agent_id = BYTES_LIT("a"), .content = BYTES_LIT("{}")};
    g.demand = scene_demand(&s, "", AXIS(1));
    g.demand.diversify = true;
    g.outcome = (struct outcome_in){.trace_id = g.sent.trace_id, .score = 1};
    g.remember.kind = bytes_cstr(arena_printf(&s.te->arena, "kind-%06u", round));
    g.agent = (struct agent_in){
        .id = bytes_cstr(id),
        .profile = scene_vector(&s, AXIS(3)),
        .capabilities = test_list(s.te, arena_printf(&s.te->arena, "cap-%06u x", round)),
        .clearance = LABEL_INTERNAL};
    g.pull =
        (struct pull_in){.agent_id = BYTES_LIT("a"), .limit = 5, .lease_ms = 1, .embedding = true};
    g.query = scene_vector(&s, AXIS(1));
    g.search = (struct memory_search){
        .vector = g.query, .query = BYTES_LIT("n note"), .top_k = 5, .explain = true};
    struct id fresh = id_make(engine_now(s.te->engine));
    g.fresh_id = engine_id_text(&s.te->arena, &fresh, PREFIX_MEMORY);
    g.task = (struct task_in){.id = bytes_cstr(id), .title = BYTES_LIT("t"), .outcome = -1};
    g.policy = (struct policy_in){.type = POLICY_RBAC,
                                  .name = BYTES_LIT("p"),
                                  .rules = BYTES_LIT("{\"rbac_roles\":{}}"),
                                  .enabled = true};
    g.key = (struct key_in){.scopes = test_list(s.te, "inbox"), .clearance = LABEL_INTERNAL};
}

#define START(name, ...)                                                                           \
    static void name(struct engine *e, struct call *c)                                             \
    {                                                                                              \
        __VA_ARGS__;                                                                               \
    }

START(broadcast, engine_broadcast(e, c, &g.nutrient, &out.broadcast))
START(acknowledge, engine_ack(e, c, &g.ack, &out.ack))
START(respond, engine_respond(e, c, &g.respond, &out.respond))
START(collect, engine_collect(e, c, &g.demand, &out.collect))
START(outcome, engine_record_outcome(e, c, &g.outcome, &out.outcome))
START(remember, engine_store_memory(e, c, &g.remember, &out.memory))
START(remember_for_new, g.remember.agent_id = g.agent.id;
      engine_store_memory(e, c, &g.remember, &out.memory))
START(remember_instead, g.remember.supersedes = g.memory.id;
      engine_store_memory(e, c, &g.remember, &out.memory))
START(remember_twice, g.batch[0] = g.batch[1] = g.remember; g.batch[0].agent_id = g.agent.id;
      engine_store_memories(e, c, g.batch, 2, g.stored))
START(change_memory, g.patch = ((struct memory_patch){.id = g.memory.id,
                                                      .kind = g.remember.kind,
                                                      .embedding = g.query,
                                                      .sensitivity = LABEL_PUBLIC,
                                                      .quality = -1});
      engine_update_memory(e, c, &g.patch, &out.memory))
START(memory_before, engine_get_memory(e, c, g.memory.id, INT64_MAX, &out.memory))
START(memory_history, engine_memory_history(e, c, g.memory.id, &out.memories))
START(export_memories, g.all = ((struct memory_query){.oldest_first = true});
      engine_export_memories(e, c, &g.all, 10, true, &out.lines))
START(import_memories, g.line[0] = ((struct memory_line){
                           .m = {.id = g.fresh_id,
                                 .agent_id = g.agent.id,
                                 .kind = g.remember.kind,
                                 .content = BYTES_LIT("{}"),
                                 .sensitivity = LABEL_INTERNAL,
                                 .created_ms = 1000,
                                 .updated_ms = 2000,
                                 .expires_ms = g.memory.created_ms + 36000,
                                 .version = 2},
                           .begun_ms = 1000,
                           .vector = bytes_of(g.query.values, SCENE_DIM * sizeof(float)),
                           .space = BYTES_LIT("client")});
      g.line[1] = g.line[0]; g.line[1].m.version = 1; g.line[1].m.updated_ms = 1000;
      g.line[1].m.until_ms = 2000; g.line[1].version_of = g.fresh_id;
      engine_import_memories(e, c, g.line, 2))
START(list_all, g.all = ((struct memory_query){.as_of_ms = INT64_MAX});
      engine_list_memories(e, c, &g.all, 10, &out.memories))
START(duplicates, g.near = ((struct duplicates_query){.threshold = -1});
      engine_memory_duplicates(e, c, &g.near, 10, &out.duplicates))
START(forget, engine_delete_memory(e, c, g.memory.id))
START(clean_up, engine_cleanup_memory(e, c, &out.deleted))
START(new_agent, engine_register_agent(e, c, &g.agent, &out.agent))
START(old_agent, g.agent.id = BYTES_LIT("a"); engine_register_agent(e, c, &g.agent, &out.agent))
START(suspend, engine_suspend_agent(e, c, BYTES_LIT("a")))
START(prune, engine_prune_edges(e, c, 2, &out.upkeep))
START(decay, engine_decay_edges(e, c, &out.upkeep))
START(new_task, engine_create_task(e, c, &g.task, &out.task))
START(new_policy, engine_create_policy(e, c, &g.policy, &out.policy))
START(new_key, engine_create_key(e, c, &g.key, &out.key))
START(pull, engine_pull(e, c, &g.pull, &out.pull))
START(search, engine_search_memory(e, c, &g.search, &scene_no_filter, &out.memories))
START(get_memory, engine_get_memory(e, c, g.memory.id, 0, &out.memory))
START(list_memories,
      engine_agent_memories(e, c, BYTES_LIT("b"), BYTES_LIT(""), 10, 0, &out.memories))
START(get_agent, engine_get_agent(e, c, BYTES_LIT("a"), true, &out.agent))
START(list_agents, engine_list_agents(e, c, 0, BYTES_LIT(""), BYTES_LIT(""), 9, &out.agents))
START(trace, engine_trace(e, c, g.second.trace_id, &out.trace))
START(stats, engine_edge_stats(e, c, &out.stats))
START(edges, engine_edges(e, c, BYTES_LIT(""), 10, &out.edges))
START(list_tasks, engine_list_tasks(e, c, 0, 10, &out.tasks))
START(list_policies, engine_list_policies(e, c, BYTES_LIT("me"), 0, 1000, 0, &out.policies))
START(list_keys, engine_list_keys(e, c, BYTES_LIT("me"), 1000, 0, &out.keys))
START(usage, engine_usage(e, c, BYTES_LIT("me"), &out.usage))
START(audit, engine_audit(e, c, 0, 10, &out.audit))
START(get_tenant, engine_get_tenant(e, c, BYTES_LIT("me"), &out.tenant))

static const struct kind {
    const char *name;
    void (*start)(struct engine *e, struct call *c);
    bool keyed; /* under an Idempotency-Key as well */
} kinds[] = {
    {"broadcast", broadcast, true},
    {"acknowledge", acknowledge, true},
    {"respond", respond, true},
    {"collect", collect, false},
    {"outcome", outcome, true},
    {"remember", remember, true},
    {"remember for a new author", remember_for_new, true},
    {"remember instead", remember_instead, false},
    {"remember twice", remember_twice, true},
    {"change a memory", change_memory, false},
    {"a memory before", memory_before, false},
    {"history", memory_history, false},
    {"list all", list_all, false},
    {"duplicates", duplicates, false},
    {"export", export_memories, false},
    {"import", import_memories, true},
    {"forget", forget, false},
    {"clean up", clean_up, false},
    {"new agent", new_agent, true},
    {"old agent", old_agent, false},
    {"suspend", suspend, false},
    {"prune", prune, false},
    {"decay", decay, false},
    {"new task", new_task, false},
    {"new policy", new_policy, false},
    {"new key", new_key, false},
    {"pull", pull, false},
    {"search", search, false},
    {"get memory", get_memory, false},
    {"list memories", list_memories, false},
    {"get agent", get_agent, false},
    {"list agents", list_agents, false},
    {"trace", trace, false},
    {"stats", stats, false},
    {"edges", edges, false},
    {"list tasks", list_tasks, false},
    {"list policies", list_policies, false},
    {"list keys", list_keys, false},
    {"usage", usage, false},
    {"audit", audit, false},
    {"get tenant", get_tenant, false},
};

static bool same(const struct scene_state *a, const struct scene_state *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

/* By how much each number moved. */
static struct scene_state change(const struct scene_state *a, const struct scene_state *b)
{
    struct scene_state d;
    const uint64_t *x = (const uint64_t *)a, *y = (const uint64_t *)b;
    uint64_t *z = (uint64_t *)&d;
    for (size_t i = 0; i < offsetof(struct scene_state, weights) / sizeof *z; i++)
        z[i] = y[i] - x[i];
    d.weights = 0; /* checked by the count of edges and outcomes */
    return d;
}

/* What lives for a minute goes, so that the network stays small and every round is alike. */
static void let_expire(void)
{
    test_engine_forget_calls(s.te);
    test_engine_advance(s.te, 61000);
    scene_settle(&s);
}

/* One call in which the n-th allocation fails (from it on, all).  False: none did. */
static bool attempt(const struct kind *k, unsigned n, bool from, bool keyed,
                    const struct scene_state *full)
{
    prepare(n);
    struct call *c = test_call_new(s.te, &s.caller);
    struct scene_state before = scene_look(&s);
    if (keyed)
        c->idempotency = (struct idempotency_in){
            .value = bytes_cstr(arena_printf(&s.te->arena, "%s-%u-%d", k->name, n, from)),
            .route = bytes_cstr(k->name)};
    if (from)
        fault_arm_from(n);
    else
        fault_arm(n);
    k->start(s.te->engine, c);
    enum qmn_code code = test_call_wait(s.te, c);
    bool failed = fault_disarm();
    struct scene_state after = scene_look(&s), moved = change(&before, &after);
    if (code != QMN_OK && code != QMN_E_NOMEM)
        fail_msg("%s, allocation %u: %s", k->name, n, c->err.text);
    if (code == QMN_OK && full && !same(&moved, full))
        fail_msg("%s, allocation %u: succeeded with another change", k->name, n);
    if (code != QMN_OK && !same(&before, &after) && full && !same(&moved, full))
        fail_msg("%s, allocation %u: failed half way", k->name, n);
    if (code != QMN_OK && keyed && same(&before, &after)) { /* and may be tried again */
        struct call *again = test_call_new(s.te, &s.caller);
        again->idempotency = c->idempotency;
        k->start(s.te->engine, again);
        if (test_call_wait(s.te, again) != QMN_OK)
            fail_msg("%s, allocation %u, again: %s", k->name, n, again->err.text);
    }
    let_expire();
    return failed;
}

static struct scene_state full_change(const struct kind *k, unsigned round)
{
    prepare(round);
    struct scene_state before = scene_look(&s);
    struct call *c = test_call_new(s.te, &s.caller);
    k->start(s.te->engine, c);
    if (test_call_wait(s.te, c) != QMN_OK)
        fail_msg("%s: %s", k->name, c->err.text);
    struct scene_state after = scene_look(&s);
    let_expire();
    return change(&before, &after);
}

static void hammer(const struct kind *k, bool from, bool keyed)
{
    scene_begin(&s, (struct test_engine_options){0});
    scene_agent(&s, "b", AXIS(1), "x");
    for (unsigned i = 0; i < 40; i++) /* the rings of recent tasks are full: steady numbers */
        (void)full_change(&kinds[1], 100000 + i);
    struct scene_state full = full_change(k, 200000);
    unsigned calm = 0;
    for (unsigned n = 1; calm < 3; n++) /* the writer's own allocations end no search */
        calm = attempt(k, n, from, keyed, &full) ? 0 : calm + 1;
    struct scene_state before = scene_look(&s);
    scene_restart(&s);
    struct scene_state after = scene_look(&s);
    if (!same(&before, &after))
        fail_msg("%s: the store holds something else than the memory", k->name);
    scene_end(&s);
}

static void every_failed_allocation_leaves_the_network_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        hammer(&kinds[i], false, false);
        if (kinds[i].keyed)
            hammer(&kinds[i], false, true);
    }
}

static void running_out_of_memory_leaves_the_network_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        hammer(&kinds[i], true, kinds[i].keyed);
}

static void a_start_that_runs_out_of_memory_is_refused_and_leaks_nothing(void **state)
{
    (void)state;
    struct respond_out response;
    struct ack_out ack;
    struct err err;
    scene_begin(&s, (struct test_engine_options){0});
    scene_agent(&s, "b", AXIS(1), "x");
    for (unsigned i = 0; i < 3; i++) {
        prepare(i);
        assert_int_equal(scene_respond(&s, "a", g.sent.nutrient_id, "{}", &response), QMN_OK);
        assert_int_equal(scene_ack(&s, "a", g.second.nutrient_id, &ack), QMN_OK);
    }
    struct scene_state before = scene_look(&s);
    test_engine_stop(s.te);
    unsigned n = 1, tried = 0;
    for (;; n += 1 + n / 64, tried++) {
        metrics_free(s.te->metrics);
        s.te->metrics = metrics_new();
        fault_arm(n);
        enum qmn_code code = test_engine_start(s.te, &err);
        bool failed = fault_disarm();
        if (code == QMN_OK && !failed)
            break;
        if (code == QMN_OK) /* what failed could be done without */
            test_engine_stop(s.te);
        else
            assert_int_equal(code, QMN_E_NOMEM);
    }
    assert_in_range(tried, 100, 10000);
    struct scene_state after = scene_look(&s);
    assert_true(same(&before, &after));
    scene_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failed_allocation_leaves_the_network_whole),
        cmocka_unit_test(running_out_of_memory_leaves_the_network_whole),
        cmocka_unit_test(a_start_that_runs_out_of_memory_is_refused_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
