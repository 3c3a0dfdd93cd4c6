/* SPDX-License-Identifier: MIT
 *
 * Broadcasts of a large tenant: whoever its index, an edge or a shared tag brings forward is chosen
 * as by a look at all, while it is being made, when it is there, and after. */
#include "stage.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/rng.h"
#include "engine/agent_index_priv.h"
#include "engine/engine_priv.h"
#include "route/score.h"
#include "support/patience.h"

enum { FLAT_MAX = 64, CROWD = 300, TOPICS = 30, QUERIES = 60 };

static struct rng rng;

static struct network *net(void)
{
    return &s.te->engine->net;
}

static struct tenant *acme(void)
{
    return network_tenant(net(), BYTES_LIT("acme"));
}

static struct vec unit(struct vec v)
{
    double norm = 0;
    for (int i = 0; i < SCENE_DIM; i++)
        norm += (double)v.v[i] * (double)v.v[i];
    for (int i = 0; i < SCENE_DIM; i++)
        v.v[i] = (float)((double)v.v[i] / sqrt(norm));
    return v;
}

static struct vec near_to(struct vec v, double distance)
{
    for (int i = 0; i < SCENE_DIM; i++)
        v.v[i] += (float)(distance / sqrt(SCENE_DIM) * rng_normal(&rng));
    return unit(v);
}

/* With this cosine to AXIS(0), and otherwise anywhere. */
static struct vec at_cosine(double cosine)
{
    struct vec v = near_to(VEC(0), 1);
    v.v[0] = 0;
    v = unit(v);
    for (int i = 1; i < SCENE_DIM; i++)
        v.v[i] *= (float)sqrt(1 - cosine * cosine);
    v.v[0] = (float)cosine;
    return v;
}

/* Agents "PREFIX0" .. around a cosine to AXIS(0). */
static void crowd(const char *prefix, int count, double cosine, uint32_t clearance)
{
    char id[24];
    for (int i = 0; i < count; i++) {
        snprintf(id, sizeof id, "%s%d", prefix, i);
        struct vec v = at_cosine(cosine + 0.1 * (rng_unit(&rng) - 0.5));
        scene_agent_cleared(&s, id, v, clearance);
    }
}

/* What stands there now: whether decisions ask the index, and what is in it. */
static bool look(struct vectors_stats *ret)
{
    *ret = (struct vectors_stats){0};
    pthread_rwlock_rdlock(&net()->lock);
    bool ready = acme()->index.ready;
    if (acme()->index.vectors)
        vectors_stats(acme()->index.vectors, ret);
    pthread_rwlock_unlock(&net()->lock);
    return ready;
}

static void await(bool ready)
{
    int64_t end = clock_mono_us() + patience_ms() * INT64_C(1000);
    struct vectors_stats stats;
    while ((look(&stats) != ready || (ready && stats.fresh)) && clock_mono_us() < end)
        usleep(1000);
    assert_int_equal(look(&stats), ready);
    if (ready)
        assert_int_equal(stats.fresh, 0);
    scene_validate(&s);
}

/* Makes decisions look at everybody, or not any more.  The writer leaves it so until an agent
 * changes. */
static void ask_index(bool ask)
{
    pthread_rwlock_wrlock(&net()->lock);
    acme()->index.ready = ask;
    pthread_rwlock_unlock(&net()->lock);
}

static int begin_with(double epsilon)
{
    scene_begin(&s, (struct test_engine_options){.agent_flat_max = FLAT_MAX, .epsilon = epsilon});
    rng_seed(&rng, 3);
    scene_agent(&s, "source", AXIS(7), NULL);
    return 0;
}

static int begin(void **state)
{
    (void)state;
    return begin_with(0);
}

static int begin_exploring(void **state)
{
    (void)state;
    return begin_with(1);
}

static int end(void **state)
{
    (void)state;
    scene_end(&s);
    return 0;
}

static struct broadcast_out send_with_hints(struct vec v, const char *hints)
{
    struct broadcast_in in = scene_nutrient(&s, "source", v);
    struct broadcast_out out;
    in.hints = test_list(s.te, hints);
    assert_int_equal(scene_broadcast(&s, &in, &out), QMN_OK);
    return out;
}

/* An edge as outcomes would make it. */
static void put_edge(const char *src, const char *dst, double weight)
{
    struct agent *from = tenant_agent(acme(), bytes_cstr(src));
    const struct agent *to = tenant_agent(acme(), bytes_cstr(dst));
    scene_settle(&s);
    assert_true(network_grow_edges(net(), from, 1));
    pthread_rwlock_wrlock(&net()->lock);
    struct edge *x = agent_put_edge(from, to->slot);
    x->weight = weight;
    x->updated_ms = x->created_ms = s.te->now_ms;
    pthread_rwlock_unlock(&net()->lock);
}

/* ---- who is found ---- */

static struct vec topics[TOPICS];

/* Agents as texts make them: topics, tags that some of a topic have in common, edges. */
static void settle_topics(void)
{
    static const char *const tags[] = {"sql", "deploy", "deploy build", "python", ""};
    char id[24];
    for (int i = 0; i < TOPICS; i++)
        topics[i] = near_to(VEC(0.2f), 1);
    for (int i = 0; i < CROWD; i++) {
        snprintf(id, sizeof id, "a%d", i);
        scene_agent(&s, id, near_to(topics[i % TOPICS], 0.5),
                    tags[rng_below(&rng, 15) % ARRAY_LEN(tags)]);
    }
    for (int i = 0; i < 40; i++) {
        snprintf(id, sizeof id, "a%u", rng_below(&rng, CROWD));
        put_edge("source", id, 0.2 + 1.2 * rng_unit(&rng));
    }
}

static uint32_t common(const struct broadcast_out *a, const struct broadcast_out *b)
{
    uint32_t n = 0;
    for (size_t i = 0; i < a->hop_count; i++)
        for (size_t k = 0; k < b->hop_count; k++)
            if (bytes_equal(a->hops[i].agent_id, b->hops[k].agent_id)) {
                assert_float_equal(a->hops[i].score, b->hops[k].score, 0);
                assert_float_equal(a->hops[i].similarity, b->hops[k].similarity, 0);
                n++;
            }
    return n;
}

static void both_ways_choose_the_same(void **state)
{
    (void)state;
    settle_topics();
    await(true);
    uint32_t same = 0, all = 0;
    for (int i = 0; i < QUERIES; i++) {
        struct broadcast_in in = scene_nutrient(&s, "source", near_to(topics[i % TOPICS], 0.5));
        struct broadcast_out indexed, exact;
        in.diversify = true;
        in.hints = test_list(s.te, i % 3 ? "sql build" : "");
        assert_int_equal(scene_broadcast(&s, &in, &indexed), QMN_OK);
        ask_index(false);
        assert_int_equal(scene_broadcast(&s, &in, &exact), QMN_OK);
        ask_index(true);
        same += common(&indexed, &exact);
        all += (uint32_t)exact.hop_count;
    }
    assert_int_equal(all, 3 * QUERIES);
    assert_in_range(same, all * 98 / 100, all);
}

static void an_edge_brings_forward_who_is_dissimilar(void **state)
{
    (void)state;
    crowd("near", CROWD, 0.6, LABEL_INTERNAL);
    scene_agent(&s, "learned", at_cosine(0.4), NULL);
    put_edge("source", "learned", 1.5);
    await(true);
    struct broadcast_out out = scene_send(&s, "source", AXIS(0));
    assert_bytes_equal(out.hops[0].agent_id, "learned");
    assert_float_equal(out.hops[0].score, 0.6f, 1e-5f);
}

static void a_bad_edge_holds_back_who_is_near(void **state)
{
    (void)state;
    crowd("near", CROWD, 0.5, LABEL_INTERNAL);
    scene_agent(&s, "bad", at_cosine(0.9), NULL);
    put_edge("source", "bad", 0.1);
    await(true);
    struct broadcast_out out = scene_send(&s, "source", AXIS(0));
    assert_int_equal(out.hop_count, 3);
    assert_false(scene_reaches(&out, "bad"));
}

static void capabilities_bring_forward_who_is_dissimilar(void **state)
{
    (void)state;
    crowd("near", CROWD, 0.3, LABEL_INTERNAL);
    scene_agent(&s, "across", at_cosine(-0.5), "a1 b2 c3 d4");
    scene_agent(&s, "aside", at_cosine(0.1), "a1 b2 c3 d4");
    scene_capable(&s, "faceless", "a1 b2 c3 d4");
    await(true);
    struct broadcast_out out = send_with_hints(AXIS(0), "a1 b2 c3 d4");
    assert_string_equal(scene_reached(&s, &out), "aside across faceless");
    assert_float_equal(out.hops[0].score, 0.25f, 1e-5f);
    assert_float_equal(out.hops[2].score, 0.2f, 1e-6f);
}

static void demand_brings_forward_who_is_dissimilar(void **state)
{
    (void)state;
    struct vec own = at_cosine(0.4);
    struct ack_out ack;
    scene_agent(&s, "busy", own, NULL);
    struct broadcast_out task = send_with_hints(own, "sql");
    assert_int_equal(scene_ack(&s, "busy", task.nutrient_id, &ack), QMN_OK);
    crowd("near", CROWD, 0.6, LABEL_INTERNAL);
    await(true);
    struct broadcast_out out = send_with_hints(AXIS(0), "sql");
    assert_bytes_equal(out.hops[0].agent_id, "busy");
    assert_float_equal(out.hops[0].demand, 1, 0);
}

/* More than a search brings, all alike but for their nearness. */
static void of_a_crowd_with_one_tag_the_nearest_are_chosen(void **state)
{
    (void)state;
    char id[24];
    for (int i = 0; i < CROWD; i++) {
        snprintf(id, sizeof id, "c%03d", i);
        scene_agent(&s, id, at_cosine(0.2 + 0.001 * i), "sql");
    }
    crowd("near", 100, 0.55, LABEL_INTERNAL);
    await(true);
    struct broadcast_out out = send_with_hints(AXIS(0), "sql");
    char last[24];
    snprintf(last, sizeof last, "c%03d", CROWD - 1);
    assert_int_equal(out.hop_count, 3);
    assert_true(scene_reaches(&out, last));
}

static void vectors_with_a_spike_are_found(void **state)
{
    (void)state;
    /* every element but the first rounds to code 0 of the query */
    struct vec query = VEC(1, 0.0035f, 0.0035f, 0.0035f, 0.0035f, 0.0035f, 0.0035f, 0.0035f);
    crowd("against", CROWD, -0.8, LABEL_INTERNAL);
    scene_agent(&s, "seen", VEC(0, 1, 1, 1, 1, 1, 1, 1), NULL);
    await(true);
    struct broadcast_out out = scene_send(&s, "", query);
    assert_true(scene_reaches(&out, "seen"));
    assert_float_equal(out.hops[0].similarity, 0.00926f, 1e-5f);
}

/* ---- who is not ---- */

static void whoever_may_not_have_it_neither_gets_it_nor_hides_others(void **state)
{
    (void)state;
    char id[24];
    crowd("public", 200, 0.9, LABEL_PUBLIC);
    crowd("gone", 100, 0.8, LABEL_SECRET);
    crowd("cleared", 100, 0.3, LABEL_CONFIDENTIAL);
    scene_agent_cleared(&s, "source", AXIS(7), LABEL_SECRET);
    for (int i = 0; i < 100; i++) {
        snprintf(id, sizeof id, "gone%d", i);
        assert_int_equal(scene_suspend(&s, id), QMN_OK);
    }
    await(true);
    struct broadcast_in in = scene_nutrient(&s, "source", AXIS(0));
    struct broadcast_out out;
    in.sensitivity = LABEL_CONFIDENTIAL;
    in.top_k = 10;
    assert_int_equal(scene_broadcast(&s, &in, &out), QMN_OK);
    assert_int_equal(out.hop_count, 10);
    for (size_t i = 0; i < out.hop_count; i++)
        assert_memory_equal(out.hops[i].agent_id.ptr, "cleared", 7);
}

static void where_nobody_is_relevant_nobody_is_chosen(void **state)
{
    (void)state;
    crowd("against", 2 * FLAT_MAX, -0.5, LABEL_INTERNAL);
    scene_agent(&s, "source", VEC(-1), NULL);
    await(true);
    struct broadcast_out out = scene_send(&s, "source", AXIS(0));
    assert_int_equal(out.hop_count, 0);
    assert_non_null(out.reason);
}

/* ---- exploration ---- */

/* The number behind a prefix. */
static int number_of(struct bytes id, size_t prefix)
{
    int n = 0;
    for (size_t i = prefix; i < id.len; i++)
        n = n * 10 + id.ptr[i] - '0';
    return n;
}

/* Whoever is eligible and was not chosen is explored alike; the propensities count them. */
static void exploration_is_even_and_counts_the_eligible_without_bias(void **state)
{
    (void)state;
    enum { BROADCASTS = 500, BELOW = 120, ABOVE = 80 };
    uint32_t seen[BELOW] = {0}, explored = 0;
    double sum = 0;
    crowd("against", ABOVE, -0.5, LABEL_INTERNAL);
    crowd("with", BELOW, 0.3, LABEL_INTERNAL);
    scene_agent(&s, "source", VEC(-1), NULL);
    await(true);
    for (int i = 0; i < BROADCASTS; i++) {
        struct broadcast_out out = scene_send(&s, "source", AXIS(0));
        const struct hop_out *last = &out.hops[2];
        assert_int_equal(out.hop_count, 3);
        assert_true(last->explored);
        assert_memory_equal(last->agent_id.ptr, "with", 4);
        seen[number_of(last->agent_id, 4)]++;
        sum += 1 / (double)last->propensity;
        explored++;
        test_engine_forget_calls(s.te);
    }
    /* one deviation of the mean of 1 / p is .4: of 64 some 38 are eligible, give or take 3 */
    sum /= explored;
    assert_float_equal(sum, BELOW - 3, 2);
    double chi = 0, expected = (double)explored / (BELOW - 3);
    uint32_t never = 0;
    for (int i = 0; i < BELOW; i++) {
        never += !seen[i];
        chi += seen[i] ? ((double)seen[i] - expected) * ((double)seen[i] - expected) / expected : 0;
    }
    assert_in_range(never, 3, 3 + 8); /* the chosen, and of the others one in 70 */
    assert_true(chi < 175);           /* of 117: beyond four deviations */
}

static void a_candidate_may_be_the_one_that_is_explored(void **state)
{
    (void)state;
    uint32_t inside = 0;
    crowd("near", 2 * FLAT_MAX, 0.5, LABEL_INTERNAL);
    await(true);
    for (int i = 0; i < 60; i++) {
        struct broadcast_out out = scene_send(&s, "source", AXIS(0));
        struct trace_out trace = scene_trace(&s, out.trace_id);
        uint32_t chosen = 0;
        assert_int_equal(trace.candidate_count, LIMIT_CANDIDATES);
        for (size_t k = 0; k < trace.candidate_count; k++)
            if (bytes_equal(trace.candidates[k].agent_id, out.hops[2].agent_id)) {
                assert_float_equal(trace.candidates[k].propensity, out.hops[2].propensity, 0);
                assert_true(trace.candidates[k].chosen);
                inside++;
            } else {
                chosen += trace.candidates[k].chosen;
            }
        assert_int_equal(chosen, 2);
        assert_in_range(trace.eligible_total, 100, 160);
    }
    assert_in_range(inside, 1, 40);
}

/* ---- from one way to the other ---- */

static void a_new_agent_and_a_new_profile_are_found_at_once(void **state)
{
    (void)state;
    struct vectors_stats stats;
    crowd("near", CROWD, 0.5, LABEL_INTERNAL);
    await(true);
    for (int i = 0; i < 18; i++) {
        char id[24];
        snprintf(id, sizeof id, "new%d", i);
        scene_agent(&s, id, near_to(AXIS(0), 0.05), NULL);
        assert_true(look(&stats)); /* linked or not */
        struct broadcast_out out = scene_send(&s, "source", AXIS(0));
        assert_true(scene_reaches(&out, id));
        scene_agent(&s, id, AXIS(1 + i % 6), NULL);
        out = scene_send(&s, "source", AXIS(0));
        assert_false(scene_reaches(&out, id));
        out = scene_send(&s, "source", AXIS(1 + i % 6));
        assert_true(scene_reaches(&out, id));
    }
    await(true);
}

static void a_tenant_gets_an_index_when_it_grows_and_loses_it_when_it_shrinks(void **state)
{
    (void)state;
    struct vectors_stats stats;
    char id[24];
    scene_agent(&s, "best", AXIS(0), NULL);
    for (int i = 0; i < 2 * FLAT_MAX; i++) {
        snprintf(id, sizeof id, "a%d", i);
        scene_agent(&s, id, at_cosine(0.5), NULL);
        struct broadcast_out out = scene_send(&s, "source", AXIS(0));
        assert_bytes_equal(out.hops[0].agent_id, "best");
        if (i < FLAT_MAX - 3)
            assert_false(look(&stats));
    }
    await(true);
    scene_restart(&s);
    await(true);
    for (int i = 0; i < 2 * FLAT_MAX; i++) {
        snprintf(id, sizeof id, "a%d", i);
        assert_int_equal(scene_suspend(&s, id), QMN_OK);
        struct broadcast_out out = scene_send(&s, "source", AXIS(0));
        assert_bytes_equal(out.hops[0].agent_id, "best");
        if (i < 3 * FLAT_MAX / 2 - 2)
            assert_true(look(&stats)); /* not as soon as it has no more than it took */
    }
    await(false);
    look(&stats);
    assert_int_equal(stats.live, 0);
}

static void a_tenant_without_profiles_needs_no_index(void **state)
{
    (void)state;
    struct vectors_stats stats;
    char id[24];
    for (int i = 0; i < 2 * FLAT_MAX; i++) {
        snprintf(id, sizeof id, "faceless%d", i);
        scene_capable(&s, id, "sql");
    }
    scene_settle(&s);
    assert_false(look(&stats));
    struct broadcast_out out = send_with_hints(AXIS(0), "sql");
    assert_int_equal(out.hop_count, 3);
}

#define INDEXED(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        INDEXED(both_ways_choose_the_same),
        INDEXED(an_edge_brings_forward_who_is_dissimilar),
        INDEXED(a_bad_edge_holds_back_who_is_near),
        INDEXED(capabilities_bring_forward_who_is_dissimilar),
        INDEXED(demand_brings_forward_who_is_dissimilar),
        INDEXED(of_a_crowd_with_one_tag_the_nearest_are_chosen),
        INDEXED(vectors_with_a_spike_are_found),
        INDEXED(whoever_may_not_have_it_neither_gets_it_nor_hides_others),
        INDEXED(where_nobody_is_relevant_nobody_is_chosen),
        cmocka_unit_test_setup_teardown(exploration_is_even_and_counts_the_eligible_without_bias,
                                        begin_exploring, end),
        cmocka_unit_test_setup_teardown(a_candidate_may_be_the_one_that_is_explored,
                                        begin_exploring, end),
        INDEXED(a_new_agent_and_a_new_profile_are_found_at_once),
        INDEXED(a_tenant_gets_an_index_when_it_grows_and_loses_it_when_it_shrinks),
        INDEXED(a_tenant_without_profiles_needs_no_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
