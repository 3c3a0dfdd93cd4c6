/* SPDX-License-Identifier: MIT
 *
 * What outcomes do to edges, and who may say what. */
#include "scene.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "route/plasticity.h"

#define DAY_MS INT64_C(86400000)

static struct scene s;

static int begin(void **state)
{
    (void)state;
    scene_begin(&s, (struct test_engine_options){0});
    scene_agent(&s, "a", VEC(1, 0.1f), NULL);
    scene_agent(&s, "b", VEC(1, 0, 0.3f), NULL);
    return 0;
}

static int end(void **state)
{
    (void)state;
    scene_end(&s);
    return 0;
}

static struct outcome_out rate(const char *rater, struct bytes trace, double score)
{
    struct outcome_out out;
    if (scene_outcome(&s, rater, trace, score, &out) != QMN_OK)
        fail_msg("outcome refused: %s", s.te->last->err.text);
    return out;
}

/* The default agent sends to "a" alone. */
static struct broadcast_out send_one(void)
{
    struct broadcast_in in = scene_nutrient(&s, "", VEC(1, 0.5f, -1)); /* b is against it */
    struct broadcast_out out;
    in.top_k = 1;
    assert_int_equal(scene_broadcast(&s, &in, &out), QMN_OK);
    assert_string_equal(scene_reached(&s, &out), "a");
    return out;
}

#define assert_near(x, y) assert_true(fabs((x) - (y)) < 1e-12)

static void the_step_is_the_formula(void **state)
{
    (void)state;
    const double scores[] = {1, 0, 0.35, 0.5, 0.123};
    double w = EDGE_PRIOR, success = 0;
    for (size_t i = 0; i < ARRAY_LEN(scores); i++) {
        double o = scores[i];
        struct outcome_out out = rate("", send_one().trace_id, o);
        assert_int_equal(out.change_count, 1);
        assert_bytes_equal(out.changes[0].src, "default-agent");
        assert_bytes_equal(out.changes[0].dst, "a");
        assert_int_equal(out.changes[0].hop, 1);
        assert_true(out.changes[0].hop_score == o);
        assert_true(out.changes[0].old_weight == w);
        assert_near(out.changes[0].new_weight, w + 0.08 * o - 0.04 * (1 - o) - 0.002);
        w = out.changes[0].new_weight;
        success += o;
        assert_true(scene_weight(&s, "default-agent", "a") == w);
    }
    struct edges_out edges;
    assert_int_equal(
        TEST_CALL(s.te, &s.caller, engine_edges, BYTES_LIT("default-agent"), 10, &edges), QMN_OK);
    assert_int_equal(edges.count, 1);
    assert_int_equal(edges.edges[0].outcomes, 5);
    assert_near(edges.edges[0].success, success);
    assert_near(edges.edges[0].decay, 5 - success);
}

static void weights_are_clamped(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++)
        rate("", send_one().trace_id, 1);
    assert_true(scene_weight(&s, "default-agent", "a") == EDGE_W_MAX);
    for (int i = 0; i < 40; i++) {
        struct broadcast_out out = scene_send(&s, "", AXIS(0));
        rate("", out.trace_id, 0);
    }
    assert_true(scene_weight(&s, "default-agent", "a") == EDGE_W_MIN);
    assert_true(scene_weight(&s, "default-agent", "b") == EDGE_W_MIN);
}

static void a_learned_edge_changes_the_next_routing(void **state)
{
    (void)state;
    struct broadcast_out out = scene_send(&s, "", AXIS(0));
    assert_string_equal(scene_reached(&s, &out), "a b");
    struct hop_score hops[] = {{BYTES_LIT("a"), 0}, {BYTES_LIT("b"), 1}};
    struct outcome_in in = {.trace_id = out.trace_id, .score = 0.5, .hops = hops, .hop_count = 2};
    struct outcome_out outcome;
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_record_outcome, &in, &outcome), QMN_OK);
    out = scene_send(&s, "", AXIS(0));
    assert_string_equal(scene_reached(&s, &out), "b a");
    assert_float_equal(out.hops[0].weight, 0.578f, 1e-6f);
}

static void hop_outcomes_override_for_the_agents_named(void **state)
{
    (void)state;
    struct broadcast_out out = scene_send(&s, "", AXIS(0));
    struct hop_score hop = {BYTES_LIT("b"), 0};
    struct outcome_in in = {.trace_id = out.trace_id, .score = 1, .hops = &hop, .hop_count = 1};
    struct outcome_out outcome;
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_record_outcome, &in, &outcome), QMN_OK);
    assert_near(scene_weight(&s, "default-agent", "a"), 0.578);
    assert_near(scene_weight(&s, "default-agent", "b"), 0.458);
}

static void an_agent_that_is_no_hop_cannot_be_rated(void **state)
{
    (void)state;
    scene_agent(&s, "c", AXIS(5), NULL);
    struct broadcast_out out = scene_send(&s, "", AXIS(0));
    struct hop_score hops[] = {{BYTES_LIT("a"), 1}, {BYTES_LIT("c"), 1}};
    struct outcome_in in = {.trace_id = out.trace_id, .score = 1, .hops = hops, .hop_count = 2};
    struct outcome_out outcome;
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_record_outcome, &in, &outcome),
                     QMN_E_INVALID);
    assert_string_equal(s.te->last->err.field, "hop_outcomes");
    assert_true(scene_weight(&s, "default-agent", "a") == -1); /* nothing is half done */
}

/* ---- who, and how often ---- */

static void a_repeat_answers_the_same_and_changes_nothing(void **state)
{
    (void)state;
    struct broadcast_out sent = scene_send(&s, "", AXIS(0));
    struct outcome_out first = rate("", sent.trace_id, 0.75);
    rate("", scene_send(&s, "", AXIS(0)).trace_id, 1);
    test_engine_advance(s.te, 5000);
    for (int round = 0; round < 2; round++) {
        struct outcome_out again = rate("", sent.trace_id, 0.75);
        assert_int_equal(again.change_count, first.change_count);
        for (size_t i = 0; i < first.change_count; i++) {
            assert_true(bytes_equal(again.changes[i].dst, first.changes[i].dst));
            assert_true(again.changes[i].old_weight == first.changes[i].old_weight);
            assert_true(again.changes[i].new_weight == first.changes[i].new_weight);
        }
        assert_int_equal(scene_trace(&s, sent.trace_id).outcome_count, 1);
        scene_restart(&s);
    }
    struct edge_stats stats;
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_edge_stats, &stats), QMN_OK);
    assert_near(stats.avg_success, 1.75);
}

static void another_score_is_a_conflict(void **state)
{
    (void)state;
    struct broadcast_out sent = scene_send(&s, "", AXIS(0));
    struct outcome_out out;
    rate("", sent.trace_id, 0.75);
    double w = scene_weight(&s, "default-agent", "a");
    assert_int_equal(scene_outcome(&s, "", sent.trace_id, 0.8, &out), QMN_E_CONFLICT);
    scene_restart(&s);
    assert_int_equal(scene_outcome(&s, "", sent.trace_id, 0.8, &out), QMN_E_CONFLICT);
    assert_true(scene_weight(&s, "default-agent", "a") == w);
}

static void a_trace_that_reached_nobody_is_rated_once_as_well(void **state)
{
    (void)state;
    struct broadcast_out sent = scene_send(&s, "", VEC(-1));
    struct outcome_out out;
    assert_int_equal(rate("", sent.trace_id, 0.5).change_count, 0);
    assert_int_equal(rate("", sent.trace_id, 0.5).change_count, 0);
    assert_int_equal(scene_outcome(&s, "", sent.trace_id, 0.6, &out), QMN_E_CONFLICT);
}

/* source -> b -> c: an edge b -> c was learned before. */
static struct broadcast_out send_over_two_hops(void)
{
    struct broadcast_out out;
    scene_agent(&s, "source", AXIS(7), NULL);
    scene_agent(&s, "fwd", VEC(0, 0, 0, 1, 0.2f), NULL);
    scene_agent(&s, "end", VEC(0, 0, 0, 0.5f, 0, 1), NULL);
    struct broadcast_out lesson = scene_send(&s, "fwd", AXIS(5));
    rate("fwd", lesson.trace_id, 1);
    struct broadcast_in in = scene_nutrient(&s, "source", AXIS(3));
    in.max_hops = 2;
    in.top_k = 1;
    assert_int_equal(scene_broadcast(&s, &in, &out), QMN_OK);
    assert_string_equal(scene_reached(&s, &out), "fwd end");
    return out;
}

static void the_requester_rates_all_hops(void **state)
{
    (void)state;
    struct broadcast_out sent = send_over_two_hops();
    struct outcome_out out = rate("source", sent.trace_id, 1);
    assert_int_equal(out.change_count, 2);
    assert_bytes_equal(out.changes[0].src, "source");
    assert_bytes_equal(out.changes[0].dst, "fwd");
    assert_bytes_equal(out.changes[1].src, "fwd");
    assert_bytes_equal(out.changes[1].dst, "end");
    assert_int_equal(out.changes[1].hop, 2);
}

static void a_forwarder_rates_only_the_hops_it_caused(void **state)
{
    (void)state;
    struct broadcast_out sent = send_over_two_hops();
    struct outcome_out out = rate("fwd", sent.trace_id, 0);
    assert_int_equal(out.change_count, 1);
    assert_bytes_equal(out.changes[0].dst, "end");
    struct hop_score self = {BYTES_LIT("fwd"), 1};
    struct outcome_in in = {.trace_id = sent.trace_id,
                            .agent_id = BYTES_LIT("fwd"),
                            .score = 0,
                            .hops = &self,
                            .hop_count = 1};
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_record_outcome, &in, &out), QMN_E_INVALID);
    /* the requester's own vote is another one */
    assert_int_equal(rate("source", sent.trace_id, 1).change_count, 2);
    assert_int_equal(scene_trace(&s, sent.trace_id).outcome_count, 2);
}

/* Registered in another order than that of their names, all with the same weight. */
static void equal_edges_are_listed_by_source_and_target(void **state)
{
    (void)state;
    static const char *const names[] = {"zoe", "ann", "max", "bob"};
    static const char *const order[] = {"ann bob", "ann max", "ann zoe", "bob ann",
                                        "bob max", "bob zoe", "max ann", "max bob",
                                        "max zoe", "zoe ann", "zoe bob", "zoe max"};
    struct outcome_out rated;
    struct edges_out edges;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        scene_agent(&s, names[i], AXIS(7), NULL);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct broadcast_out sent = scene_send(&s, names[i], AXIS(7));
        assert_int_equal(sent.hop_count, 3);
        assert_int_equal(scene_outcome(&s, names[i], sent.trace_id, 1, &rated), QMN_OK);
    }
    for (uint32_t limit = 1; limit <= ARRAY_LEN(order); limit++) {
        assert_int_equal(TEST_CALL(s.te, &s.caller, engine_edges, BYTES_LIT(""), limit, &edges),
                         QMN_OK);
        assert_int_equal(edges.count, limit);
        for (size_t i = 0; i < limit; i++) {
            const struct edge_out *x = &edges.edges[i];
            assert_string_equal(
                arena_printf(&s.te->arena, "%.*s %.*s", BYTES_FMT(x->src), BYTES_FMT(x->dst)),
                order[i]);
        }
    }
}

static void nobody_rates_itself_and_a_stranger_rates_nobody(void **state)
{
    (void)state;
    struct broadcast_out sent = send_over_two_hops();
    struct outcome_out out;
    assert_int_equal(scene_outcome(&s, "end", sent.trace_id, 1, &out), QMN_E_FORBIDDEN);
    assert_int_equal(scene_outcome(&s, "a", sent.trace_id, 1, &out), QMN_E_FORBIDDEN);
    assert_int_equal(scene_outcome(&s, "nobody", sent.trace_id, 1, &out), QMN_E_NOT_FOUND);
}

static void a_trace_of_another_tenant_cannot_be_rated(void **state)
{
    (void)state;
    struct broadcast_out sent = send_one();
    struct outcome_in in = {.trace_id = sent.trace_id, .score = 1};
    struct outcome_out out;
    test_tenant(s.te, "rival");
    struct caller rival = test_member(s.te, "rival", NULL);
    assert_int_equal(TEST_CALL(s.te, &rival, engine_record_outcome, &in, &out), QMN_E_NOT_FOUND);
}

static void after_retention_outcome_and_trace_are_gone(void **state)
{
    (void)state;
    struct outcome_out out;
    struct broadcast_out sent = send_one();
    test_engine_advance(s.te, 30 * DAY_MS);
    rate("", sent.trace_id, 1); /* the last millisecond counts */
    struct broadcast_out second = send_one();
    test_engine_advance(s.te, 30 * DAY_MS + 1);
    assert_int_equal(scene_outcome(&s, "", second.trace_id, 1, &out), QMN_E_GONE);
    for (int i = 0; i < 3; i++) { /* whether or not the rows have been deleted */
        test_engine_advance(s.te, 1000);
        scene_settle(&s);
        assert_int_equal(scene_outcome(&s, "", second.trace_id, 1, &out), QMN_E_GONE);
        assert_int_equal(scene_outcome(&s, "", sent.trace_id, 1, &out), QMN_E_GONE);
        struct trace_out trace;
        assert_int_equal(TEST_CALL(s.te, &s.caller, engine_trace, second.trace_id, &trace),
                         QMN_E_GONE);
        assert_string_equal(s.te->last->err.field, "id");
    }
}

static void weights_survive_a_restart(void **state)
{
    (void)state;
    rate("", scene_send(&s, "", AXIS(0)).trace_id, 0.9);
    double a = scene_weight(&s, "default-agent", "a"), b = scene_weight(&s, "default-agent", "b");
    scene_restart(&s);
    assert_true(scene_weight(&s, "default-agent", "a") == a);
    assert_true(scene_weight(&s, "default-agent", "b") == b);
}

/* ---- collects ---- */

static void a_collect_credits_its_contributors(void **state)
{
    (void)state;
    struct memory_out memory;
    struct broadcast_out sent = send_one(); /* its answer is at cosine 2/3 to the demand */
    struct respond_out response;
    assert_int_equal(scene_respond(&s, "a", sent.nutrient_id, "{}", &response), QMN_OK);
    assert_int_equal(scene_remember(&s, "a", AXIS(0), &memory), QMN_OK);
    assert_int_equal(scene_remember(&s, "b", AXIS(0), &memory), QMN_OK);
    assert_int_equal(scene_remember(&s, "", AXIS(0), &memory), QMN_OK); /* one's own */
    struct collect_out collected = scene_collect(&s, "", AXIS(0));
    assert_int_equal(collected.count, 4);
    struct outcome_out out = rate("", collected.trace_id, 1);
    assert_int_equal(out.change_count, 2); /* a once, b; nobody rates itself */
    assert_near(scene_weight(&s, "default-agent", "a"), 0.578);
    assert_near(scene_weight(&s, "default-agent", "b"), 0.578);
    struct outcome_out no;
    assert_int_equal(scene_outcome(&s, "a", collected.trace_id, 1, &no), QMN_E_FORBIDDEN);
}

static void a_collect_that_found_nothing_is_a_valid_trace(void **state)
{
    (void)state;
    struct collect_out collected = scene_collect(&s, "", AXIS(0));
    assert_int_equal(collected.count, 0);
    struct trace_out t = scene_trace(&s, collected.trace_id);
    assert_int_equal(t.kind, TRACE_COLLECT);
    assert_int_equal(t.contribution_count, 0);
    struct outcome_out out = rate("", collected.trace_id, 0.4);
    assert_int_equal(out.change_count, 0);
    struct edge_stats stats;
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_edge_stats, &stats), QMN_OK);
    assert_int_equal(stats.total, 0);
}

/* ---- many at once ---- */

enum { RATERS = 4, EACH = 16 };

struct rater {
    pthread_t thread;
    struct test_engine *lane;
    struct caller caller;
    struct outcome_in in[EACH];
    struct outcome_out out[EACH];
    enum qmn_code codes[EACH];
};

static void *rate_many(void *arg)
{
    struct rater *r = arg;
    struct call *calls[EACH];
    for (int i = 0; i < EACH; i++) {
        calls[i] = test_call_new(r->lane, &r->caller);
        engine_record_outcome(r->lane->engine, calls[i], &r->in[i], &r->out[i]);
    }
    for (int i = 0; i < EACH; i++)
        r->codes[i] = test_call_wait(r->lane, calls[i]);
    return NULL;
}

static int by_outcomes(const void *pa, const void *pb)
{
    const struct weight_change *const *a = pa, *const *b = pb;
    return ((*a)->old_weight > (*b)->old_weight) - ((*a)->old_weight < (*b)->old_weight);
}

/* Each answer's new weight is the next one's old weight, and the end is that of the serial run. */
static void concurrent_outcomes_on_one_edge_form_one_chain(void **state)
{
    (void)state;
    static struct rater raters[RATERS];
    const struct weight_change *chain[RATERS * EACH];
    for (int r = 0; r < RATERS; r++) {
        raters[r].lane = test_engine_lane(s.te);
        raters[r].caller = s.caller;
        for (int i = 0; i < EACH; i++) /* every score lifts the weight, so that it orders them */
            raters[r].in[i] = (struct outcome_in){.trace_id = send_one().trace_id,
                                                  .score = 0.4 + 0.002 * (r * EACH + i)};
    }
    for (int r = 0; r < RATERS; r++)
        assert_int_equal(pthread_create(&raters[r].thread, NULL, rate_many, &raters[r]), 0);
    for (int r = 0; r < RATERS; r++)
        pthread_join(raters[r].thread, NULL);
    for (int k = 0; k < RATERS * EACH; k++) {
        struct rater *r = &raters[k / EACH];
        assert_int_equal(r->codes[k % EACH], QMN_OK);
        assert_int_equal(r->out[k % EACH].change_count, 1);
        chain[k] = &r->out[k % EACH].changes[0];
    }
    qsort(chain, RATERS * EACH, sizeof(const struct weight_change *), by_outcomes);
    double w = EDGE_PRIOR;
    for (int k = 0; k < RATERS * EACH; k++) {
        assert_true(chain[k]->old_weight == w);
        w = edge_reinforce(w, chain[k]->hop_score);
        assert_true(chain[k]->new_weight == w);
    }
    assert_true(scene_weight(&s, "default-agent", "a") == w);
    for (int r = 0; r < RATERS; r++)
        test_engine_free(raters[r].lane);
}

static void votes_of_one_rater_on_one_trace_in_one_group_count_once(void **state)
{
    (void)state;
    enum { N = 12 };
    struct broadcast_out sent = send_one();
    struct outcome_in in = {.trace_id = sent.trace_id, .score = 1};
    struct outcome_out out[N];
    struct call *calls[N];
    for (int i = 0; i < N; i++) {
        calls[i] = test_call_new(s.te, &s.caller);
        engine_record_outcome(s.te->engine, calls[i], &in, &out[i]);
    }
    for (int i = 0; i < N; i++) {
        assert_int_equal(test_call_wait(s.te, calls[i]), QMN_OK);
        assert_near(out[i].changes[0].new_weight, 0.578);
    }
    assert_near(scene_weight(&s, "default-agent", "a"), 0.578);
}

/* ---- idle edges ---- */

static void idle_edges_relax_on_reading(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++)
        rate("", send_one().trace_id, 1);
    double w = scene_weight(&s, "default-agent", "a");
    test_engine_advance(s.te, 50 * DAY_MS);
    double relaxed = EDGE_PRIOR + (w - EDGE_PRIOR) * exp(-0.01 * 50);
    assert_near(scene_weight(&s, "default-agent", "a"), relaxed);
    assert_float_equal(send_one().hops[0].weight, (float)relaxed, 1e-6f);
    struct outcome_out out = rate("", send_one().trace_id, 1);
    assert_near(out.changes[0].old_weight, relaxed);
    assert_near(out.changes[0].new_weight, relaxed + 0.078);
}

static struct edge_upkeep_out decay_now(void)
{
    struct edge_upkeep_out out;
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_decay_edges, &out), QMN_OK);
    return out;
}

static void the_decay_job_removes_only_what_changes_no_decision(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++)
        rate("", send_one().trace_id, 1); /* a: .89 */
    struct broadcast_out sent = scene_send(&s, "b", AXIS(0));
    rate("b", sent.trace_id, 0.4); /* b -> a: .506, near the prior, but fresh */
    struct edge_upkeep_out out = decay_now();
    assert_int_equal(out.deleted, 0);
    test_engine_advance(s.te, DAY_MS);
    double before = scene_weight(&s, "default-agent", "a");
    out = decay_now();
    assert_int_equal(out.deleted, 1);
    assert_true(scene_weight(&s, "b", "a") == -1);
    assert_true(scene_weight(&s, "default-agent", "a") == before);
    scene_restart(&s);
    assert_true(scene_weight(&s, "b", "a") == -1);
    assert_true(scene_weight(&s, "default-agent", "a") == before);
    test_engine_advance(s.te, 400 * DAY_MS); /* .39 exp(-4) < .01 */
    out = decay_now();
    assert_int_equal(out.changed, 1);
    assert_int_equal(out.deleted, 1);
}

static void decaying_often_gives_the_same_as_never(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++)
        rate("", send_one().trace_id, 1);
    double w = scene_weight(&s, "default-agent", "a");
    for (int i = 0; i < 30; i++) {
        test_engine_advance(s.te, DAY_MS);
        decay_now();
    }
    assert_near(scene_weight(&s, "default-agent", "a"), EDGE_PRIOR + (w - EDGE_PRIOR) * exp(-0.3));
}

/* ---- the look on the loop ---- */

static void count_outcome(void *ctx, enum record_kind kind)
{
    atomic_fetch_add((_Atomic int *)ctx, kind == RECORD_OUTCOME);
}

/* A nutrient that nobody rated, and that lives no more. */
static struct broadcast_out send_expired(void)
{
    struct broadcast_out sent = send_one();
    test_engine_advance(s.te, 61 * 1000);
    scene_settle(&s);
    return sent;
}

static void the_writer_need_not_read_what_a_loop_has_read(void **state)
{
    (void)state;
    _Atomic int reads = 0;
    struct broadcast_out sent = send_expired(), live = send_one();
    rate("", sent.trace_id, 1);
    rate("", live.trace_id, 1);
    struct bytes traces[] = {sent.trace_id, live.trace_id, send_expired().trace_id};
    faulty_store_on_read(s.te->store, count_outcome, &reads);
    for (int i = 0; i < 3; i++) {
        struct scene_hold hold;
        struct outcome_in in = {.trace_id = traces[i], .score = 1};
        struct outcome_out out;
        struct call *c = test_call_new(s.te, &s.caller);
        scene_hold(&s, &hold);
        engine_record_outcome(s.te->engine, c, &in, &out);
        assert_int_equal(reads, i + 1);
        scene_let_go(&s, &hold);
        assert_int_equal(test_call_wait(s.te, c), QMN_OK);
        assert_int_equal(out.change_count, 1);
        assert_int_equal(reads, i + 1);
    }
    rate("", send_one().trace_id, 1); /* nobody rated it, and it lives */
    assert_int_equal(reads, 3);
    faulty_store_on_read(s.te->store, NULL, NULL);
}

/* Two calls look at once, and find that nobody has rated; they are committed in one group or, with
 * the first of them held in its commit already, in two. */
static void rate_twice(struct bytes trace, bool one_group, double second, enum qmn_code expected)
{
    struct scene_hold hold;
    struct outcome_in in[2] = {{.trace_id = trace, .score = 0.5},
                               {.trace_id = trace, .score = second}};
    struct outcome_out out[2];
    struct call *c[2] = {test_call_new(s.te, &s.caller), test_call_new(s.te, &s.caller)};
    double before = scene_weight(&s, "default-agent", "a");
    if (one_group)
        scene_hold(&s, &hold);
    else
        faulty_store_hold(s.te->store, RECORD_OUTCOME);
    engine_record_outcome(s.te->engine, c[0], &in[0], &out[0]);
    if (!one_group)
        faulty_store_await_held(s.te->store);
    engine_record_outcome(s.te->engine, c[1], &in[1], &out[1]);
    if (one_group)
        scene_let_go(&s, &hold);
    else
        faulty_store_let_go(s.te->store);
    assert_int_equal(test_call_wait(s.te, c[0]), QMN_OK);
    assert_int_equal(test_call_wait(s.te, c[1]), expected);
    if (expected == QMN_OK)
        assert_true(out[1].changes[0].new_weight == out[0].changes[0].new_weight);
    assert_near(scene_weight(&s, "default-agent", "a"),
                (before < 0 ? EDGE_PRIOR : before) + 0.04 - 0.02 - 0.002);
}

static void a_rating_committed_behind_the_look_is_seen(void **state)
{
    (void)state;
    for (int i = 0; i < 8; i++) {
        struct bytes trace = i & 1 ? send_expired().trace_id : send_one().trace_id;
        rate_twice(trace, i & 2, i & 4 ? 0.5 : 0.7, i & 4 ? QMN_OK : QMN_E_CONFLICT);
    }
}

static void pruning_removes_what_is_below_the_threshold(void **state)
{
    (void)state;
    struct broadcast_out sent = scene_send(&s, "", AXIS(0));
    struct hop_score hop = {BYTES_LIT("b"), 0};
    struct outcome_in in = {.trace_id = sent.trace_id, .score = 1, .hops = &hop, .hop_count = 1};
    struct outcome_out outcome;
    struct edge_upkeep_out out;
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_record_outcome, &in, &outcome), QMN_OK);
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_prune_edges, 0.1, &out), QMN_OK);
    assert_int_equal(out.deleted, 0);
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_prune_edges, 0.5, &out), QMN_OK);
    assert_int_equal(out.deleted, 1);
    assert_true(scene_weight(&s, "default-agent", "b") == -1);
    assert_near(scene_weight(&s, "default-agent", "a"), 0.578);
    scene_restart(&s);
    assert_true(scene_weight(&s, "default-agent", "b") == -1);
}

/* A hold on the commit gathers commands in one group: it must end as if each came alone. */
static void pruning_and_rating_in_one_group_equal_the_serial_run(void **state)
{
    (void)state;
    for (int order = 0; order < 2; order++) {
        rate("", send_one().trace_id, 0);
        struct outcome_in rating = {.trace_id = send_one().trace_id, .score = 1};
        struct outcome_out outcome;
        struct edge_upkeep_out pruned[2];
        struct call *prune[2], *vote;
        struct scene_hold hold;
        scene_hold(&s, &hold);
        vote = test_call_new(s.te, &s.caller);
        if (order == 0)
            engine_record_outcome(s.te->engine, vote, &rating, &outcome);
        for (int i = 0; i < 2; i++) {
            prune[i] = test_call_new(s.te, &s.caller);
            engine_prune_edges(s.te->engine, prune[i], 0.5, &pruned[i]);
        }
        if (order == 1)
            engine_record_outcome(s.te->engine, vote, &rating, &outcome);
        scene_let_go(&s, &hold);
        assert_int_equal(test_call_wait(s.te, vote), QMN_OK);
        assert_int_equal(test_call_wait(s.te, prune[0]), QMN_OK);
        assert_int_equal(test_call_wait(s.te, prune[1]), QMN_OK);
        if (order == 0) { /* rated first: .458 + .078 is above the threshold */
            assert_near(outcome.changes[0].old_weight, 0.458);
            assert_int_equal(pruned[0].deleted + pruned[1].deleted, 0);
            assert_near(scene_weight(&s, "default-agent", "a"), 0.536);
            struct edge_upkeep_out out;
            assert_int_equal(TEST_CALL(s.te, &s.caller, engine_prune_edges, 2, &out), QMN_OK);
        } else { /* pruned first, once, and remade from the prior */
            assert_int_equal(pruned[0].deleted + pruned[1].deleted, 1);
            assert_near(outcome.changes[0].old_weight, 0.5);
            assert_near(scene_weight(&s, "default-agent", "a"), 0.578);
            scene_restart(&s);
            assert_near(scene_weight(&s, "default-agent", "a"), 0.578);
        }
    }
}

static void what_a_suspended_agent_asked_may_still_be_rated(void **state)
{
    (void)state;
    scene_agent(&s, "asker", AXIS(6), NULL);
    struct broadcast_out sent = scene_send(&s, "asker", AXIS(0));
    struct outcome_out out;
    assert_int_equal(scene_suspend(&s, "asker"), QMN_OK);
    assert_int_equal(scene_outcome(&s, "asker", sent.trace_id, 1, &out), QMN_E_CONFLICT);
    struct caller bound = s.caller;
    struct outcome_in in = {.trace_id = sent.trace_id, .score = 1};
    bound.agent_ids = test_list(s.te, "asker");
    assert_int_equal(TEST_CALL(s.te, &bound, engine_record_outcome, &in, &out), QMN_E_CONFLICT);
    assert_int_equal(scene_outcome(&s, "", sent.trace_id, 1, &out), QMN_OK);
    assert_true(out.change_count > 0);
    assert_bytes_equal(out.changes[0].src, "asker");
}

#define OUTCOME(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OUTCOME(the_step_is_the_formula),
        OUTCOME(weights_are_clamped),
        OUTCOME(a_learned_edge_changes_the_next_routing),
        OUTCOME(hop_outcomes_override_for_the_agents_named),
        OUTCOME(an_agent_that_is_no_hop_cannot_be_rated),
        OUTCOME(what_a_suspended_agent_asked_may_still_be_rated),
        OUTCOME(a_repeat_answers_the_same_and_changes_nothing),
        OUTCOME(another_score_is_a_conflict),
        OUTCOME(a_trace_that_reached_nobody_is_rated_once_as_well),
        OUTCOME(equal_edges_are_listed_by_source_and_target),
        OUTCOME(the_requester_rates_all_hops),
        OUTCOME(a_forwarder_rates_only_the_hops_it_caused),
        OUTCOME(nobody_rates_itself_and_a_stranger_rates_nobody),
        OUTCOME(a_trace_of_another_tenant_cannot_be_rated),
        OUTCOME(after_retention_outcome_and_trace_are_gone),
        OUTCOME(weights_survive_a_restart),
        OUTCOME(a_collect_credits_its_contributors),
        OUTCOME(a_collect_that_found_nothing_is_a_valid_trace),
        OUTCOME(concurrent_outcomes_on_one_edge_form_one_chain),
        OUTCOME(votes_of_one_rater_on_one_trace_in_one_group_count_once),
        OUTCOME(idle_edges_relax_on_reading),
        OUTCOME(the_decay_job_removes_only_what_changes_no_decision),
        OUTCOME(decaying_often_gives_the_same_as_never),
        OUTCOME(the_writer_need_not_read_what_a_loop_has_read),
        OUTCOME(a_rating_committed_behind_the_look_is_seen),
        OUTCOME(pruning_removes_what_is_below_the_threshold),
        OUTCOME(pruning_and_rating_in_one_group_equal_the_serial_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
