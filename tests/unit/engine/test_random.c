/* SPDX-License-Identifier: MIT
 *
 * Random operations in groups of random size, with commits that fail now and then, time that
 * passes, and restarts: after each group the network is whole, and each restart finds what was
 * there. */
#include "scene.h"

#include <stdio.h>

#include "base/rng.h"
#include "engine/engine_priv.h"

enum { AGENTS = 9, KNOWN = 24, GROUP_MAX = 24, STEPS = 600 };

static struct scene s;
static struct rng rng;
static struct sent {
    struct bytes trace, nutrient, source, reached; /* somebody it reached */
} sent[KNOWN];                                     /* the latest */
static struct bytes memories[KNOWN];
static uint32_t known;

static const char *const agents[AGENTS] = {"a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", ""};
static const char *const hints[] = {"x", "xy", "deploy", "deployment", "deploy x", ""};

/* One call of a group, with all it needs until it is done. */
struct pending {
    struct call *call;
    int kind;
    union {
        struct broadcast_in broadcast;
        struct ack_in ack;
        struct respond_in respond;
        struct outcome_in outcome;
        struct memory_in memory;
        struct agent_in agent;
        struct pull_in pull;
    } in;
    union {
        struct broadcast_out broadcast;
        struct ack_out ack;
        struct respond_out respond;
        struct outcome_out outcome;
        struct memory_out memory;
        struct agent_out agent;
        struct pull_out pull;
        struct edge_upkeep_out upkeep;
        uint64_t deleted;
    } out;
    struct bytes ids[3];
};

static struct bytes any_agent(void)
{
    return bytes_cstr(agents[rng_below(&rng, AGENTS)]);
}

static struct vec any_vector(void)
{
    struct vec v;
    for (int i = 0; i < SCENE_DIM; i++)
        v.v[i] = (float)rng_normal(&rng);
    return v;
}

static const struct sent *any_sent(void)
{
    return &sent[rng_below(&rng, KNOWN)];
}

/* Mostly the one who has something to say. */
static struct bytes mostly(struct bytes agent)
{
    return rng_below(&rng, 4) ? agent : any_agent();
}

static void start_broadcast(struct pending *p)
{
    struct broadcast_in *in = &p->in.broadcast;
    *in = scene_nutrient(&s, "", any_vector());
    in->source_agent_id = any_agent();
    in->hints = test_list(s.te, hints[rng_below(&rng, ARRAY_LEN(hints))]);
    in->max_hops = 1 + rng_below(&rng, 4);
    in->ttl_sec = 1 + rng_below(&rng, 20);
    in->diversify = rng_below(&rng, 2);
    if (rng_below(&rng, 4) == 0) /* sometimes one of few names, so that they collide */
        in->client_id = bytes_cstr(arena_printf(&s.te->arena, "mine-%u", rng_below(&rng, 30)));
    engine_broadcast(s.te->engine, p->call, in, &p->out.broadcast);
}

static void start_ack(struct pending *p)
{
    const struct sent *x = any_sent();
    p->ids[0] = x->nutrient;
    for (int i = 1; i < 3; i++)
        p->ids[i] = any_sent()->nutrient;
    p->in.ack = (struct ack_in){.agent_id = mostly(x->reached),
                                .nutrient_ids = p->ids,
                                .count = 3,
                                .nack = rng_below(&rng, 3) == 0,
                                .reject = rng_below(&rng, 2)};
    engine_ack(s.te->engine, p->call, &p->in.ack, &p->out.ack);
}

static void start_respond(struct pending *p)
{
    const struct sent *x = any_sent();
    p->in.respond = (struct respond_in){.nutrient_id = x->nutrient,
                                        .agent_id = mostly(x->reached),
                                        .content = BYTES_LIT("{}"),
                                        .quality = 0.5f};
    if (rng_below(&rng, 2))
        p->in.respond.embedding = scene_vector(&s, any_vector());
    engine_respond(s.te->engine, p->call, &p->in.respond, &p->out.respond);
}

static void start_outcome(struct pending *p)
{
    const struct sent *x = any_sent();
    p->in.outcome = (struct outcome_in){
        .trace_id = x->trace, .agent_id = mostly(x->source), .score = rng_below(&rng, 5) / 4.0};
    engine_record_outcome(s.te->engine, p->call, &p->in.outcome, &p->out.outcome);
}

static void start_memory(struct pending *p)
{
    p->in.memory = scene_memory(&s, "", any_vector());
    p->in.memory.agent_id = any_agent();
    p->in.memory.kind = rng_below(&rng, 2) ? BYTES_LIT("note") : BYTES_LIT("plan");
    p->in.memory.ttl_hours = rng_below(&rng, 2) ? 0.002 : 0;
    engine_store_memory(s.te->engine, p->call, &p->in.memory, &p->out.memory);
}

static void start_agent(struct pending *p)
{
    p->in.agent = (struct agent_in){.id = bytes_cstr(agents[rng_below(&rng, AGENTS - 1)]),
                                    .profile = scene_vector(&s, any_vector()),
                                    .capabilities = test_list(s.te, hints[rng_below(&rng, 6)]),
                                    .clearance = LABEL_INTERNAL};
    if (rng_below(&rng, 8) == 0)
        p->in.agent.profile = (struct vector_in){0};
    engine_register_agent(s.te->engine, p->call, &p->in.agent, &p->out.agent);
}

static void start(struct pending *p)
{
    struct engine *e = s.te->engine;
    p->call = test_call_new(s.te, &s.caller);
    p->kind = (int)rng_below(&rng, 16);
    switch (p->kind) {
    case 0:
    case 1:
    case 2:
        start_broadcast(p);
        break;
    case 3:
    case 4:
        start_ack(p);
        break;
    case 5:
    case 6:
        start_respond(p);
        break;
    case 7:
    case 8:
        start_outcome(p);
        break;
    case 9:
        start_memory(p);
        break;
    case 10:
        engine_delete_memory(e, p->call, memories[rng_below(&rng, KNOWN)]);
        break;
    case 11:
        start_agent(p);
        break;
    case 12:
        if (rng_below(&rng, 4))
            start_agent(p);
        else
            engine_suspend_agent(e, p->call, bytes_cstr(agents[rng_below(&rng, AGENTS - 1)]));
        break;
    case 13:
        engine_prune_edges(e, p->call, 0.2 + 0.4 * rng_unit(&rng), &p->out.upkeep);
        break;
    case 14:
        engine_cleanup_memory(e, p->call, &p->out.deleted);
        break;
    default:
        p->in.pull = (struct pull_in){
            .agent_id = any_agent(), .limit = 1 + rng_below(&rng, 4), .lease_ms = 2000};
        engine_pull(e, p->call, &p->in.pull, &p->out.pull);
    }
}

static bool expected(enum qmn_code code)
{
    return code == QMN_OK || code == QMN_E_NOT_FOUND || code == QMN_E_CONFLICT ||
           code == QMN_E_FORBIDDEN || code == QMN_E_DISK_FULL || code == QMN_E_QUOTA;
}

static struct bytes keep(struct bytes b)
{
    return bytes_cstr(arena_cstr(&s.te->arena, b));
}

static void finish(struct pending *p)
{
    enum qmn_code code = test_call_wait(s.te, p->call);
    if (!expected(code))
        fail_msg("kind %d: %s: %s", p->kind, code_info(code)->wire, p->call->err.text);
    uint32_t at = known % KNOWN;
    if (code == QMN_OK && p->kind <= 2) {
        const struct broadcast_out *out = &p->out.broadcast;
        sent[at] =
            (struct sent){.trace = keep(out->trace_id),
                          .nutrient = keep(out->nutrient_id),
                          .source = keep(p->in.broadcast.source_agent_id),
                          .reached = keep(out->hop_count ? out->hops[out->hop_count - 1].agent_id
                                                         : BYTES_LIT("a0"))};
        known++;
    } else if (code == QMN_OK && p->kind == 9) {
        memories[rng_below(&rng, KNOWN)] = keep(p->out.memory.id);
    }
}

static void group(void)
{
    static struct pending calls[GROUP_MAX];
    uint32_t n = 1 + rng_below(&rng, GROUP_MAX);
    uint32_t mishap = rng_below(&rng, 12);
    if (mishap == 0)
        faulty_store_fail(s.te->store, QMN_E_DISK_FULL, 1);
    else if (mishap <= 2) /* a group that falls apart, and some of its commands as well */
        faulty_store_fail(s.te->store, QMN_E_CONFLICT, 1 + (int)rng_below(&rng, 4));
    for (uint32_t i = 0; i < n; i++)
        start(&calls[i]);
    for (uint32_t i = 0; i < n; i++)
        finish(&calls[i]);
    faulty_store_fail(s.te->store, QMN_OK, 0);
}

static void compare_over_a_restart(void)
{
    scene_settle(&s);
    struct scene_state before = scene_look(&s);
    scene_restart(&s);
    struct scene_state after = scene_look(&s);
    uint64_t *a = (uint64_t *)&before, *b = (uint64_t *)&after;
    for (size_t i = 0; i < offsetof(struct scene_state, weights) / sizeof *a; i++)
        if (a[i] != b[i])
            fail_msg("number %zu of the state was %llu and is %llu after a restart", i,
                     (unsigned long long)a[i], (unsigned long long)b[i]);
    assert_true(before.weights - after.weights < 1e-9 && after.weights - before.weights < 1e-9);
}

static void run(uint64_t seed, bool sqlite)
{
    rng_seed(&rng, seed);
    known = 0;
    scene_begin(&s, (struct test_engine_options){.epsilon = 0.2,
                                                 .sqlite = sqlite,
                                                 .learning_log_bytes = 2000,
                                                 .memory_flat_max = 8,
                                                 .agent_flat_max = 4});
    for (int i = 0; i < KNOWN; i++)
        sent[i] = (struct sent){{"none", 4}, {"none", 4}, {"a0", 2}, {"a1", 2}};
    for (int i = 0; i < KNOWN; i++)
        memories[i] = BYTES_LIT("none");
    for (int i = 0; i < AGENTS - 1; i++)
        scene_agent(&s, agents[i], any_vector(), hints[i % 6]);
    for (int i = 1; i <= STEPS; i++) {
        group();
        test_engine_forget_calls(s.te);
        test_engine_advance(s.te, (int64_t)rng_below(&rng, 1500));
        scene_validate(&s);
        if (i % 150 == 0)
            compare_over_a_restart();
    }
    scene_end(&s);
}

static void random_groups_keep_the_network_whole(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++)
        run(seed, false);
}

static void random_groups_over_sqlite_keep_the_network_whole(void **state)
{
    (void)state;
    run(9, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_groups_keep_the_network_whole),
        cmocka_unit_test(random_groups_over_sqlite_keep_the_network_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
