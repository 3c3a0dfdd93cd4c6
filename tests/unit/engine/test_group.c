/* SPDX-License-Identifier: MIT
 *
 * Groups of commands: what a failing commit leaves, what is visible when, who pays for whom. */
#include "scene.h"

#include <math.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/engine_priv.h"
#include "engine/group_priv.h"
#include "route/score.h"

static struct scene s;

static int begin(void **state)
{
    (void)state;
    scene_begin(&s, (struct test_engine_options){0});
    scene_agent(&s, "a", AXIS(0), "x");
    scene_agent(&s, "b", AXIS(1), NULL);
    return 0;
}

static int begin_empty(void **state)
{
    (void)state;
    scene_begin(&s, (struct test_engine_options){0});
    return 0;
}

static int end(void **state)
{
    (void)state;
    scene_end(&s);
    return 0;
}

static struct tenant *acme(void)
{
    return network_tenant(&s.te->engine->net, BYTES_LIT("acme"));
}

#define assert_unchanged(before)                                                                   \
    do {                                                                                           \
        struct scene_state now_ = scene_look(&s);                                                  \
        assert_memory_equal(&now_, &(before), sizeof now_);                                        \
    } while (0)

/* ---- every mutation of a nutrient's way ---- */

struct stage {
    struct broadcast_out sent;
    struct memory_out memory;
};

static struct stage stage(void)
{
    struct stage g;
    g.sent = scene_send(&s, "", AXIS(0));
    assert_int_equal(scene_remember(&s, "b", AXIS(1), &g.memory), QMN_OK);
    return g;
}

static enum qmn_code mutate(int which, const struct stage *g)
{
    struct broadcast_in nutrient = scene_nutrient(&s, "", AXIS(0));
    struct collect_in demand = scene_demand(&s, "", AXIS(1));
    struct agent_in agent = {.id = BYTES_LIT("new"),
                             .profile = scene_vector(&s, AXIS(2)),
                             .capabilities = test_list(s.te, "p q"),
                             .clearance = LABEL_INTERNAL};
    struct agent_in again = agent;
    struct broadcast_out sent;
    struct collect_out collected;
    struct outcome_out outcome;
    struct respond_out response;
    struct memory_out memory;
    struct agent_out registered;
    struct ack_out ack;
    struct edge_upkeep_out pruned;
    again.id = BYTES_LIT("a");
    nutrient.hints = test_list(s.te, "x fresh");
    switch (which) {
    case 0:
        return scene_broadcast(&s, &nutrient, &sent);
    case 1:
        return scene_ack(&s, "a", g->sent.nutrient_id, &ack);
    case 2:
        return scene_respond(&s, "a", g->sent.nutrient_id, "{}", &response);
    case 3:
        return TEST_CALL(s.te, &s.caller, engine_collect, &demand, &collected);
    case 4:
        return scene_outcome(&s, "", g->sent.trace_id, 1, &outcome);
    case 5:
        return scene_remember(&s, "a", AXIS(3), &memory);
    case 6:
        return TEST_CALL(s.te, &s.caller, engine_delete_memory, g->memory.id);
    case 7:
        return TEST_CALL(s.te, &s.caller, engine_register_agent, &agent, &registered);
    case 8:
        return TEST_CALL(s.te, &s.caller, engine_register_agent, &again, &registered);
    case 9:
        return scene_suspend(&s, "a");
    case 10:
        return TEST_CALL(s.te, &s.caller, engine_prune_edges, 2, &pruned);
    default:
        return QMN_E_NOT_FOUND;
    }
}

enum { MUTATIONS = 11 };

static void a_failed_commit_changes_nothing_and_the_next_one_works(void **state)
{
    (void)state;
    static const enum qmn_code codes[] = {QMN_E_DISK_FULL, QMN_E_UNAVAILABLE, QMN_E_CONFLICT,
                                          QMN_E_NOMEM};
    struct outcome_out outcome;
    for (int which = 0; which < MUTATIONS; which++) {
        struct broadcast_out lesson = scene_send(&s, "", AXIS(0));
        assert_int_equal(scene_outcome(&s, "", lesson.trace_id, 1, &outcome), QMN_OK);
        struct stage g = stage();
        for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
            struct scene_state before = scene_look(&s);
            faulty_store_fail(s.te->store, codes[i], -1);
            assert_int_equal(mutate(which, &g), codes[i]);
            faulty_store_fail(s.te->store, QMN_OK, 0);
            assert_unchanged(before);
        }
        if (mutate(which, &g) != QMN_OK)
            fail_msg("mutation %d does not work after failures: %s", which, s.te->last->err.text);
        scene_restart(&s);
        if (which == 9)
            scene_agent(&s, "a", AXIS(0), "x");
    }
}

static void the_health_says_that_commits_fail_until_one_does_not(void **state)
{
    (void)state;
    struct err err;
    struct memory_out memory;
    assert_int_equal(engine_ready(s.te->engine, &err), QMN_OK);
    faulty_store_fail(s.te->store, QMN_E_DISK_FULL, -1);
    assert_int_equal(scene_remember(&s, "a", AXIS(0), &memory), QMN_E_DISK_FULL);
    assert_int_equal(engine_ready(s.te->engine, &err), QMN_E_UNAVAILABLE);
    assert_int_equal(scene_search(&s, AXIS(0), 1).count, 0); /* reads go on */
    faulty_store_fail(s.te->store, QMN_OK, 0);
    assert_int_equal(scene_remember(&s, "a", AXIS(0), &memory), QMN_OK);
    assert_int_equal(engine_ready(s.te->engine, &err), QMN_OK);
}

/* The commit of the space is made for commands that were put off and are not in it themselves. */
static void a_failed_first_use_of_the_space_is_answered(void **state)
{
    (void)state;
    struct memory_out memory;
    struct memory_in in = scene_memory(&s, "", AXIS(0));
    faulty_store_fail(s.te->store, QMN_E_DISK_FULL, -1);
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_store_memory, &in, &memory),
                     QMN_E_DISK_FULL);
    assert_int_equal(acme()->record->dim, 0);
    faulty_store_fail(s.te->store, QMN_OK, 0);
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_store_memory, &in, &memory), QMN_OK);
    assert_int_equal(acme()->record->dim, SCENE_DIM);
}

/* ---- one group, several commands ---- */

static void a_refused_command_does_not_hurt_its_group(void **state)
{
    (void)state;
    struct scene_hold hold;
    struct ack_out ack;
    struct broadcast_out sent = scene_send(&s, "", AXIS(0)), out[2];
    struct memory_out memory;
    struct broadcast_in in = scene_nutrient(&s, "", AXIS(1));
    struct respond_out response;
    struct respond_in respond = {.nutrient_id = sent.nutrient_id,
                                 .agent_id = BYTES_LIT("a"),
                                 .content = BYTES_LIT("{}"),
                                 .sensitivity = LABEL_PUBLIC}; /* below the nutrient's */
    struct call *c[4];
    for (int i = 0; i < 4; i++)
        c[i] = test_call_new(s.te, &s.caller);
    scene_hold(&s, &hold);
    struct scene_state before = scene_look(&s);
    engine_broadcast(s.te->engine, c[0], &in, &out[0]);
    engine_delete_memory(s.te->engine, c[1], BYTES_LIT("me_000000000000000000000000000000000000"));
    engine_respond(s.te->engine, c[2], &respond, &response);
    engine_broadcast(s.te->engine, c[3], &in, &out[1]);
    int commits = faulty_store_commits(s.te->store);
    scene_let_go(&s, &hold);
    assert_int_equal(test_call_wait(s.te, c[0]), QMN_OK);
    assert_int_equal(test_call_wait(s.te, c[1]), QMN_E_NOT_FOUND);
    assert_int_equal(test_call_wait(s.te, c[2]), QMN_E_FORBIDDEN);
    assert_int_equal(test_call_wait(s.te, c[3]), QMN_OK);
    assert_in_range(faulty_store_commits(s.te->store) - commits, 1, 2); /* it was one group */
    struct scene_state after = scene_look(&s);
    assert_int_equal(after.nutrients - before.nutrients, 2);
    assert_int_equal(after.responses, before.responses);
    assert_int_equal(scene_pull(&s, "b", 10).count, 2);
    assert_int_equal(scene_ack(&s, "a", sent.nutrient_id, &ack), QMN_OK);
    assert_int_equal(scene_remember(&s, "a", AXIS(0), &memory), QMN_OK);
}

static void a_conflict_is_one_commands_fault(void **state)
{
    (void)state;
    struct scene_hold hold;
    struct broadcast_out sent = scene_send(&s, "", AXIS(0)), out;
    struct broadcast_in in = scene_nutrient(&s, "", AXIS(1));
    struct outcome_in outcome = {.trace_id = sent.trace_id, .score = 1};
    struct outcome_out rated;
    struct respond_in respond = {.nutrient_id = sent.nutrient_id,
                                 .agent_id = BYTES_LIT("a"),
                                 .content = BYTES_LIT("{}"),
                                 .quality = 0.5f};
    struct respond_out response;
    struct ack_in ack = {.agent_id = BYTES_LIT("a"), .nutrient_ids = &sent.nutrient_id, .count = 1};
    struct ack_out acked;
    struct collect_in demand = scene_demand(&s, "", AXIS(1));
    struct collect_out collected;
    struct agent_in agent = {.id = BYTES_LIT("new"),
                             .capabilities = test_list(s.te, "p q"),
                             .clearance = LABEL_INTERNAL};
    struct agent_out registered;
    struct memory_in memory = scene_memory(&s, "b", AXIS(2));
    struct memory_out stored;
    struct call *c[7];
    for (int i = 0; i < 7; i++)
        c[i] = test_call_new(s.te, &s.caller);
    scene_hold(&s, &hold);
    engine_broadcast(s.te->engine, c[0], &in, &out);
    engine_respond(s.te->engine, c[1], &respond, &response);
    engine_record_outcome(s.te->engine, c[2], &outcome, &rated);
    engine_register_agent(s.te->engine, c[3], &agent, &registered);
    engine_store_memory(s.te->engine, c[4], &memory, &stored);
    engine_collect(s.te->engine, c[5], &demand, &collected);
    engine_ack(s.te->engine, c[6], &ack, &acked);
    /* the group, and then the agent's command alone */
    faulty_store_fail_kind(s.te->store, RECORD_AGENT, QMN_E_CONFLICT, 2);
    scene_let_go(&s, &hold);
    for (int i = 0; i < 7; i++) {
        enum qmn_code code = test_call_wait(s.te, c[i]);
        if (code != (i == 3 ? QMN_E_CONFLICT : QMN_OK))
            fail_msg("command %d: %s", i, c[i]->err.text);
    }
    assert_null(tenant_agent(acme(), BYTES_LIT("new")));
    assert_int_equal(rated.change_count, 1);
    assert_int_equal(acked.changed, 1);
    struct collect_out found = scene_collect(&s, "", AXIS(0));
    assert_true(found.count >= 1);
    scene_restart(&s);
    assert_true(scene_weight(&s, "default-agent", "a") > EDGE_PRIOR);
}

static void nothing_is_visible_before_its_commit(void **state)
{
    (void)state;
    struct broadcast_out sent = scene_send(&s, "", AXIS(0));
    for (int which = 0; which < 4; which++) {
        static const enum record_kind kinds[] = {RECORD_TRACE, RECORD_RESPONSE, RECORD_OUTCOME,
                                                 RECORD_AGENT};
        struct broadcast_in in = scene_nutrient(&s, "", AXIS(0));
        struct broadcast_out out;
        struct respond_in respond = {.nutrient_id = sent.nutrient_id,
                                     .agent_id = BYTES_LIT("a"),
                                     .content = BYTES_LIT("{}")};
        struct respond_out response;
        struct outcome_in outcome = {.trace_id = sent.trace_id, .score = 1};
        struct outcome_out rated;
        struct agent_in agent = {.id = BYTES_LIT("new"),
                                 .profile = scene_vector(&s, AXIS(0)),
                                 .clearance = LABEL_INTERNAL};
        struct agent_out got;
        struct call *c = test_call_new(s.te, &s.caller);
        struct scene_state before = scene_look(&s);
        faulty_store_hold(s.te->store, kinds[which]);
        if (which == 0)
            engine_broadcast(s.te->engine, c, &in, &out);
        else if (which == 1)
            engine_respond(s.te->engine, c, &respond, &response);
        else if (which == 2)
            engine_record_outcome(s.te->engine, c, &outcome, &rated);
        else
            engine_register_agent(s.te->engine, c, &agent, &got);
        faulty_store_await_held(s.te->store);
        assert_false(test_call_done(s.te, c));
        assert_unchanged(before);
        assert_int_equal(
            TEST_CALL(s.te, &s.caller, engine_get_agent, BYTES_LIT("new"), false, &got),
            QMN_E_NOT_FOUND);
        assert_true(scene_weight(&s, "default-agent", "a") == (which == 3 ? 0.5 + 0.078 : -1));
        assert_int_equal(scene_trace(&s, sent.trace_id).outcome_count, which == 3);
        faulty_store_let_go(s.te->store);
        assert_int_equal(test_call_wait(s.te, c), QMN_OK);
    }
    assert_int_equal(scene_pull(&s, "a", 10).count, 2);
}

/* ---- quotas ---- */

static void agents_of_one_group_stay_within_the_quota_together(void **state)
{
    (void)state;
    enum { N = 110, QUOTA = 100 };
    struct tenant_in in = {.id = BYTES_LIT("small"), .plan = PLAN_FREE};
    struct tenant_out tenant;
    struct agent_in agents[N];
    struct agent_out out[N];
    struct call *c[N];
    struct scene_hold hold;
    int made = 0;
    assert_int_equal(TEST_CALL(s.te, &s.te->admin, engine_create_tenant, &in, &tenant), QMN_OK);
    struct caller who = test_member(s.te, "small", NULL);
    scene_hold(&s, &hold);
    for (int i = 0; i < N; i++) {
        agents[i] = (struct agent_in){.id = bytes_cstr(arena_printf(&s.te->arena, "agent-%d", i)),
                                      .clearance = LABEL_INTERNAL};
        c[i] = test_call_new(s.te, &who);
        engine_register_agent(s.te->engine, c[i], &agents[i], &out[i]);
    }
    scene_let_go(&s, &hold);
    for (int i = 0; i < N; i++) {
        enum qmn_code code = test_call_wait(s.te, c[i]);
        assert_true(code == QMN_OK || code == QMN_E_QUOTA);
        made += code == QMN_OK;
    }
    assert_int_equal(made, QUOTA);
    /* one leaves, one may come */
    assert_int_equal(TEST_CALL(s.te, &who, engine_suspend_agent, BYTES_LIT("agent-0")), QMN_OK);
    assert_int_equal(TEST_CALL(s.te, &who, engine_register_agent, &agents[0], &out[0]), QMN_OK);
    assert_int_equal(TEST_CALL(s.te, &who, engine_register_agent, &agents[0], &out[0]), QMN_OK);
    assert_int_equal(TEST_CALL(s.te, &who, engine_register_agent, &agents[N - 1], &out[0]),
                     QMN_E_QUOTA);
}

static void a_nutrient_costs_what_it_says_and_no_more_than_there_is(void **state)
{
    (void)state;
    struct tenant_in in = {.id = BYTES_LIT("small"), .plan = PLAN_FREE};
    struct tenant_out tenant;
    struct broadcast_in nutrient = scene_nutrient(&s, "", AXIS(0));
    struct broadcast_out out;
    assert_int_equal(TEST_CALL(s.te, &s.te->admin, engine_create_tenant, &in, &tenant), QMN_OK);
    struct caller who = test_member(s.te, "small", NULL);
    nutrient.quota_cost = 100;
    for (int i = 0; i < 99; i++)
        assert_int_equal(TEST_CALL(s.te, &who, engine_broadcast, &nutrient, &out), QMN_OK);
    nutrient.quota_cost = 60;
    assert_int_equal(TEST_CALL(s.te, &who, engine_broadcast, &nutrient, &out), QMN_OK);
    assert_int_equal(TEST_CALL(s.te, &who, engine_broadcast, &nutrient, &out), QMN_E_QUOTA);
    assert_in_range(s.te->last->err.retry_after_s, 1, 3600);
    nutrient.quota_cost = 40; /* what was refused has not been charged */
    assert_int_equal(TEST_CALL(s.te, &who, engine_broadcast, &nutrient, &out), QMN_OK);
    nutrient.quota_cost = 1;
    assert_int_equal(TEST_CALL(s.te, &who, engine_broadcast, &nutrient, &out), QMN_E_QUOTA);
    uint32_t wait_s = s.te->last->err.retry_after_s;
    test_engine_advance(s.te, (int64_t)wait_s * 1000);
    assert_int_equal(TEST_CALL(s.te, &who, engine_broadcast, &nutrient, &out), QMN_OK);
}

/* ---- the vector space ---- */

static void the_first_use_fixes_the_space(void **state)
{
    (void)state;
    struct memory_out memory;
    assert_int_equal(scene_remember(&s, "", AXIS(0), &memory), QMN_OK);
    struct tenant_out tenant;
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_get_tenant, BYTES_LIT("me"), &tenant),
                     QMN_OK);
    assert_bytes_equal(tenant.space, "client");
    assert_int_equal(tenant.dim, SCENE_DIM);
    for (int round = 0; round < 2; round++) {
        struct memory_in in = scene_memory(&s, "", AXIS(0));
        in.embedding.dim = SCENE_DIM - 1;
        assert_int_equal(TEST_CALL(s.te, &s.caller, engine_store_memory, &in, &memory),
                         QMN_E_DIMENSION);
        assert_non_null(strstr(s.te->last->err.text, "7"));
        assert_non_null(strstr(s.te->last->err.text, "8"));
        in.embedding = (struct vector_in){.text = BYTES_LIT("some words")};
        assert_int_equal(TEST_CALL(s.te, &s.caller, engine_store_memory, &in, &memory),
                         QMN_E_SPACE_MISMATCH);
        scene_restart(&s);
    }
}

static void a_space_of_text_refuses_client_vectors(void **state)
{
    (void)state;
    struct memory_in in = scene_memory(&s, "", AXIS(0));
    struct memory_out memory;
    float values[1536] = {1};
    in.embedding = (struct vector_in){.text = BYTES_LIT("spores in the wind")};
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_store_memory, &in, &memory), QMN_OK);
    in.embedding = (struct vector_in){.values = values, .dim = 1536};
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_store_memory, &in, &memory),
                     QMN_E_SPACE_MISMATCH);
    assert_non_null(strstr(s.te->last->err.text, "qmn-lexical/1"));
    assert_non_null(strstr(s.te->last->err.text, "client"));
}

static void a_vector_without_direction_is_refused(void **state)
{
    (void)state;
    struct memory_in in = scene_memory(&s, "", AXIS(0));
    struct memory_out memory;
    float bad[3][SCENE_DIM] = {{0}, {1, NAN}, {1, INFINITY}};
    for (int i = 0; i < 3; i++) {
        in.embedding = (struct vector_in){.values = bad[i], .dim = SCENE_DIM};
        assert_int_equal(TEST_CALL(s.te, &s.caller, engine_store_memory, &in, &memory),
                         QMN_E_INVALID);
        assert_string_equal(s.te->last->err.field, "embedding");
    }
    in.embedding = (struct vector_in){0};
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_store_memory, &in, &memory), QMN_E_INVALID);
    assert_int_equal(acme()->record->dim, 0); /* none of them fixed anything */
}

/* Many first uses in one group: one fixes the space, the rest come again; those of another space
 * are refused. */
static void commands_put_off_by_the_first_use_land(void **state)
{
    (void)state;
    enum { N = 40 };
    static float odd[5] = {1, 2, 3, 4, 5};
    struct memory_in memory[N];
    struct memory_out stored[N];
    struct agent_in agent[N];
    struct agent_out registered[N];
    struct call *c[2 * N];
    int refused = 0;
    for (int i = 0; i < 2 * N; i++) {
        int k = i / 2;
        c[i] = test_call_new(s.te, &s.caller);
        if (i % 2) {
            memory[k] = scene_memory(&s, "", AXIS(k % SCENE_DIM));
            if (k % 10 == 9)
                memory[k].embedding = (struct vector_in){.values = odd, .dim = 5};
            engine_store_memory(s.te->engine, c[i], &memory[k], &stored[k]);
        } else { /* half of them without a profile: not put off, in the group of the fix */
            agent[k] = (struct agent_in){
                .id = bytes_cstr(arena_printf(&s.te->arena, "agent-%d", k)),
                .profile = k % 2 ? scene_vector(&s, AXIS(k % SCENE_DIM)) : (struct vector_in){0},
                .clearance = LABEL_INTERNAL};
            engine_register_agent(s.te->engine, c[i], &agent[k], &registered[k]);
        }
    }
    for (int i = 0; i < 2 * N; i++) {
        enum qmn_code code = test_call_wait(s.te, c[i]);
        refused += code == QMN_E_SPACE_MISMATCH || code == QMN_E_DIMENSION;
        assert_true(code == QMN_OK || code == QMN_E_SPACE_MISMATCH || code == QMN_E_DIMENSION);
    }
    assert_int_equal(refused, N / 10);
    assert_int_equal(acme()->memory_count, N - N / 10);
    struct broadcast_out sent = scene_send(&s, "", AXIS(1));
    assert_int_equal(sent.hop_count, 3);
    scene_restart(&s);
    sent = scene_send(&s, "", AXIS(1));
    assert_int_equal(sent.hop_count, 3);
}

/* ---- rounds ---- */

/* A loop that was announced, and the memories it has begun to store in this round. */
struct round {
    struct test_engine *lane;
    struct call *calls[GROUP_ENOUGH];
    struct memory_in in[GROUP_ENOUGH];
    struct memory_out out[GROUP_ENOUGH];
    int count;
};

static struct round rounds[2];

static int begin_rounds_with(uint32_t wait_us)
{
    scene_begin(&s, (struct test_engine_options){.group_wait_us = wait_us});
    scene_agent(&s, "a", AXIS(0), NULL);
    for (size_t i = 0; i < ARRAY_LEN(rounds); i++) {
        rounds[i] = (struct round){.lane = test_engine_lane(s.te)};
        rounds[i].calls[0] = test_call_new(rounds[i].lane, &s.caller);
        assert_true(engine_gather(s.te->engine, rounds[i].calls[0]->exec));
    }
    return 0;
}

static int begin_patient(void **state)
{
    (void)state;
    return begin_rounds_with(60000000);
}

static int begin_rounds(void **state)
{
    (void)state;
    return begin_rounds_with(0);
}

static int end_rounds(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(rounds); i++)
        test_engine_free(rounds[i].lane);
    return end(state);
}

static void store_some(struct round *r, int count)
{
    for (int i = 0; i < count; i++, r->count++) {
        r->in[r->count] = scene_memory(&s, "a", AXIS(0));
        if (r->count)
            r->calls[r->count] = test_call_new(r->lane, &s.caller);
        engine_store_memory(s.te->engine, r->calls[r->count], &r->in[r->count], &r->out[r->count]);
    }
}

static void end_round(struct round *r)
{
    engine_round(s.te->engine, r->calls[0]->exec);
}

static void assert_stored(struct round *r)
{
    for (int i = 0; i < r->count; i++)
        assert_int_equal(test_call_wait(r->lane, r->calls[i]), QMN_OK);
}

/* Long enough for the writer to do what it should not. */
static void nap(void)
{
    usleep(20000);
}

static void a_round_is_one_commit(void **state)
{
    (void)state;
    int before = faulty_store_commits(s.te->store);
    store_some(&rounds[0], 7);
    nap();
    assert_int_equal(faulty_store_commits(s.te->store), before);
    end_round(&rounds[0]);
    assert_stored(&rounds[0]);
    assert_int_equal(faulty_store_commits(s.te->store), before + 1);
    store_some(&rounds[1], 1);
    end_round(&rounds[1]);
    assert_stored(&rounds[1]);
    assert_int_equal(faulty_store_commits(s.te->store), before + 2);
}

static void the_writer_waits_for_a_round_under_way(void **state)
{
    (void)state;
    int before = faulty_store_commits(s.te->store);
    store_some(&rounds[0], 1);
    store_some(&rounds[1], 1);
    end_round(&rounds[1]);
    nap();
    assert_int_equal(faulty_store_commits(s.te->store), before);
    end_round(&rounds[0]);
    assert_stored(&rounds[0]);
    assert_stored(&rounds[1]);
    assert_int_equal(faulty_store_commits(s.te->store), before + 1);
}

static void enough_commands_wait_for_nobody(void **state)
{
    (void)state;
    store_some(&rounds[0], 1);
    store_some(&rounds[1], GROUP_ENOUGH);
    end_round(&rounds[1]);
    assert_stored(&rounds[1]); /* within seconds, not the minute */
    end_round(&rounds[0]);
    assert_stored(&rounds[0]);
}

static void a_round_that_does_not_end_holds_nobody_up(void **state)
{
    (void)state;
    store_some(&rounds[0], 1);
    store_some(&rounds[1], 1);
    end_round(&rounds[1]);
    assert_stored(&rounds[1]);
    end_round(&rounds[0]);
    assert_stored(&rounds[0]);
}

static void stopping_waits_for_no_round(void **state)
{
    (void)state;
    store_some(&rounds[0], 1);
    store_some(&rounds[1], 1);
    end_round(&rounds[1]);
    engine_drain(s.te->engine);
    int64_t start = clock_mono_us();
    engine_stop(s.te->engine);
    assert_true(clock_mono_us() - start < 30000000);
    assert_stored(&rounds[1]);
    end_round(&rounds[0]); /* too late */
    assert_int_equal(test_call_wait(rounds[0].lane, rounds[0].calls[0]), QMN_E_OVERLOADED);
}

/* ---- draining ---- */

static void draining_ends_what_waits_and_refuses_what_comes(void **state)
{
    (void)state;
    struct pull_in in = {
        .agent_id = BYTES_LIT("a"), .limit = 1, .wait_ms = 10000, .lease_ms = 1000};
    struct pull_out pulled;
    struct call *c = test_call_new(s.te, &s.caller);
    engine_pull(s.te->engine, c, &in, &pulled);
    assert_false(test_call_done(s.te, c));
    struct stage g = stage();
    struct pull_out none;
    struct pull_in second = in;
    assert_int_equal(test_call_wait(s.te, c), QMN_OK); /* woken by the stage's nutrient */
    c = test_call_new(s.te, &s.caller);
    engine_pull(s.te->engine, c, &second, &none);
    assert_false(test_call_done(s.te, c));
    engine_drain(s.te->engine);
    assert_true(test_call_done(s.te, c));
    assert_int_equal(c->code, QMN_OK);
    assert_int_equal(none.count, 0);
    for (int which = 0; which < MUTATIONS; which++) {
        assert_int_equal(mutate(which, &g), QMN_E_UNAVAILABLE);
        assert_in_range(s.te->last->err.retry_after_s, 1, 60);
    }
    assert_int_equal(scene_pull_as(&s, &s.caller, &in, &none), QMN_E_UNAVAILABLE);
    struct err err;
    assert_int_equal(engine_ready(s.te->engine, &err), QMN_E_UNAVAILABLE);
}

#define GROUP(test)   cmocka_unit_test_setup_teardown(test, begin, end)
#define PATIENT(test) cmocka_unit_test_setup_teardown(test, begin_patient, end_rounds)
#define EMPTY(test)   cmocka_unit_test_setup_teardown(test, begin_empty, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        GROUP(a_failed_commit_changes_nothing_and_the_next_one_works),
        GROUP(the_health_says_that_commits_fail_until_one_does_not),
        EMPTY(a_failed_first_use_of_the_space_is_answered),
        GROUP(a_refused_command_does_not_hurt_its_group),
        GROUP(a_conflict_is_one_commands_fault),
        GROUP(nothing_is_visible_before_its_commit),
        GROUP(agents_of_one_group_stay_within_the_quota_together),
        GROUP(a_nutrient_costs_what_it_says_and_no_more_than_there_is),
        EMPTY(the_first_use_fixes_the_space),
        EMPTY(a_space_of_text_refuses_client_vectors),
        EMPTY(a_vector_without_direction_is_refused),
        EMPTY(commands_put_off_by_the_first_use_land),
        PATIENT(a_round_is_one_commit),
        PATIENT(the_writer_waits_for_a_round_under_way),
        PATIENT(enough_commands_wait_for_nobody),
        PATIENT(stopping_waits_for_no_round),
        cmocka_unit_test_setup_teardown(a_round_that_does_not_end_holds_nobody_up, begin_rounds,
                                        end_rounds),
        GROUP(draining_ends_what_waits_and_refuses_what_comes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
