/* SPDX-License-Identifier: MIT */
#include "support/test.h"

#include <math.h>
#include <string.h>

#include "base/attr.h"
#include "base/rng.h"
#include "route/propagate.h"

enum { AGENTS = 300, EDGES_MAX = 100 };

struct graph {
    struct route_neighbour edges[AGENTS][EDGES_MAX];
    uint32_t count[AGENTS];
    uint32_t asked[AGENTS];
};

static struct graph graph;

static int clear_graph(void **state)
{
    (void)state;
    memset(&graph, 0, sizeof graph);
    return 0;
}

static void edge(uint32_t from, uint32_t to, float cosine, double weight)
{
    graph.edges[from][graph.count[from]++] =
        (struct route_neighbour){to, route_score(cosine, weight, 0, 0)};
}

static uint32_t neighbours_of(void *ctx, uint32_t forwarder, const struct route_neighbour **ret)
{
    struct graph *g = ctx;
    g->asked[forwarder]++;
    *ret = g->edges[forwarder];
    return g->count[forwarder];
}

/* The first hop goes from agent 0 to agents 1 .. first. */
static uint32_t travel(struct route_hop *hops, uint32_t first, uint32_t top_k, uint32_t max_hops,
                       float min_score)
{
    for (uint32_t i = 0; i < first; i++)
        hops[i] = (struct route_hop){i + 1, 0, 1, route_score(0.9f, EDGE_PRIOR, 0, 0)};
    const struct propagate_options o = {
        .source = 0, .top_k = top_k, .max_hops = max_hops, .min_score = min_score};
    return route_propagate(hops, first, &o, neighbours_of, &graph);
}

static void assert_hop(const struct route_hop *h, uint32_t agent, uint32_t from, uint32_t hop,
                       double score)
{
    assert_int_equal(h->agent, agent);
    assert_int_equal(h->from, from);
    assert_int_equal(h->hop, hop);
    assert_true(fabs((double)h->parts.score - score) < 1e-6);
}

static void each_hop_halves_the_score_and_remembers_who_forwarded(void **state)
{
    (void)state;
    edge(1, 2, 0.8f, 0.5);
    edge(2, 3, 0.8f, 1.0);
    edge(3, 4, 0.8f, 0.5);
    struct route_hop hops[LIMIT_FANOUT];
    assert_int_equal(travel(hops, 1, 2, 3, 0), 3);
    assert_hop(&hops[1], 2, 1, 2, 0.5 * 0.4);
    assert_hop(&hops[2], 3, 2, 3, 0.25 * 0.8);
    assert_true(hops[2].parts.relevance == 0.8f && hops[2].parts.weight == 1.0f);
}

static void one_hop_asks_nobody(void **state)
{
    (void)state;
    edge(1, 2, 0.8f, 0.5);
    struct route_hop hops[LIMIT_FANOUT];
    assert_int_equal(travel(hops, 1, 3, 1, 0), 1);
    assert_int_equal(graph.asked[1], 0);
}

static void nothing_chosen_first_travels_nowhere(void **state)
{
    (void)state;
    struct route_hop hops[LIMIT_FANOUT];
    assert_int_equal(travel(hops, 0, 3, 10, 0), 0);
}

static void only_edges_at_least_as_good_as_the_prior_forward(void **state)
{
    (void)state;
    edge(1, 10, 0.9f, 0.49);
    edge(1, 11, 0.5f, 0.50);
    struct route_hop hops[LIMIT_FANOUT];
    assert_int_equal(travel(hops, 1, 3, 2, 0), 2);
    assert_hop(&hops[1], 11, 1, 2, 0.125);
}

static void an_irrelevant_agent_is_not_reached_by_capability_alone(void **state)
{
    (void)state;
    graph.edges[1][0] = (struct route_neighbour){10, route_score(0, 1.5, 1, 4)};
    graph.edges[1][1] = (struct route_neighbour){11, route_score(-0.5f, 1.5, 1, 4)};
    graph.count[1] = 2;
    struct route_hop hops[LIMIT_FANOUT];
    assert_int_equal(travel(hops, 1, 3, 5, 0), 1);
}

static void nobody_is_reached_twice_and_the_source_never(void **state)
{
    (void)state;
    for (uint32_t a = 0; a < 4; a++)
        for (uint32_t b = 0; b < 4; b++)
            edge(a, b, 0.9f, 1);
    struct route_hop hops[LIMIT_FANOUT];
    assert_int_equal(travel(hops, 2, 2, 10, 0), 3);
    assert_hop(&hops[2], 3, 1, 2, 0.5 * 0.9);
    for (uint32_t a = 0; a < 4; a++)
        assert_true(graph.asked[a] <= 1);
}

static void an_agent_wanted_by_two_comes_from_the_one_it_scores_best_with(void **state)
{
    (void)state;
    edge(1, 10, 0.6f, 0.5);
    edge(2, 10, 0.6f, 1.0);
    edge(1, 11, 0.5f, 0.5);
    struct route_hop hops[LIMIT_FANOUT];
    assert_int_equal(travel(hops, 2, 2, 2, 0), 4);
    assert_hop(&hops[2], 10, 2, 2, 0.5 * 0.6);
    assert_hop(&hops[3], 11, 1, 2, 0.5 * 0.25);
}

static void ties_go_to_the_lower_agent_then_to_the_earlier_forwarder(void **state)
{
    (void)state;
    edge(2, 20, 0.6f, 0.5);
    edge(1, 20, 0.6f, 0.5);
    edge(1, 30, 0.6f, 0.5);
    edge(2, 10, 0.6f, 0.5);
    struct route_hop hops[LIMIT_FANOUT];
    assert_int_equal(travel(hops, 2, 2, 2, 0), 5);
    assert_hop(&hops[2], 10, 2, 2, 0.15);
    assert_hop(&hops[3], 20, 1, 2, 0.15);
    assert_hop(&hops[4], 30, 1, 2, 0.15);
}

static void a_forwarder_delivers_to_at_most_top_k(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 20; i++)
        edge(1, 10 + i, 0.9f - (float)i / 100, 0.5);
    struct route_hop hops[LIMIT_FANOUT];
    assert_int_equal(travel(hops, 1, 3, 2, 0), 4);
    for (uint32_t i = 1; i < 4; i++)
        assert_int_equal(hops[i].agent, 9 + i);
}

static void all_hops_together_stay_within_the_budget(void **state)
{
    (void)state;
    for (uint32_t a = 1; a < AGENTS; a++)
        for (uint32_t e = 0; e < EDGES_MAX; e++)
            edge(a, 1 + (a * 31 + e * 7) % (AGENTS - 1), 0.9f, 1);
    struct route_hop hops[LIMIT_FANOUT];
    for (uint32_t top_k = 1; top_k <= LIMIT_TOP_K; top_k++)
        assert_int_equal(travel(hops, top_k, top_k, LIMIT_HOPS, 0), propagate_budget(top_k));
    assert_int_equal(propagate_budget(3), 12);
    assert_int_equal(propagate_budget(16), 64);
    assert_int_equal(propagate_budget(50), LIMIT_FANOUT);
}

static void an_attenuated_score_below_the_minimum_is_not_delivered(void **state)
{
    (void)state;
    edge(1, 10, 0.8f, 0.5);  /* 0.2 after attenuation */
    edge(10, 11, 0.9f, 0.5); /* 0.1125 */
    struct route_hop hops[LIMIT_FANOUT];
    assert_int_equal(travel(hops, 1, 3, 3, 0.15f), 2);
    assert_int_equal(travel(hops, 1, 3, 3, 0.25f), 1);
    assert_int_equal(travel(hops, 1, 3, 3, 0.1f), 3);
}

/* The same rule, written as the definition: look at every pair again before each delivery. */
static uint32_t travel_by_definition(struct route_hop *hops, uint32_t first, uint32_t top_k,
                                     uint32_t max_hops)
{
    uint32_t len = first, begin = 0;
    float attenuation = 1;
    for (uint32_t hop = 2; hop <= max_hops; hop++) {
        uint32_t end = len, sent[LIMIT_FANOUT] = {0};
        attenuation *= 0.5f;
        for (;;) {
            const struct route_neighbour *best = NULL;
            uint32_t from = 0;
            for (uint32_t f = begin; f < end && len < propagate_budget(top_k); f++)
                for (uint32_t e = 0; e < graph.count[hops[f].agent] && sent[f] < top_k; e++) {
                    const struct route_neighbour *n = &graph.edges[hops[f].agent][e];
                    bool reached = n->agent == 0;
                    for (uint32_t i = 0; i < len; i++)
                        reached |= hops[i].agent == n->agent;
                    if (reached || n->parts.relevance <= 0 || n->parts.weight < 0.5f)
                        continue;
                    if (!best || n->parts.score > best->parts.score ||
                        (n->parts.score == best->parts.score && n->agent < best->agent)) {
                        best = n;
                        from = f;
                    }
                }
            if (!best)
                break;
            hops[len] = (struct route_hop){best->agent, hops[from].agent, hop, best->parts};
            hops[len++].parts.score *= attenuation;
            sent[from]++;
        }
        begin = end;
    }
    return len;
}

static void random_networks_travel_as_the_definition_says(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 1);
    for (int round = 0; round < 300; round++) {
        memset(&graph, 0, sizeof graph);
        uint32_t agents = 5 + rng_below(&r, 60);
        for (uint32_t a = 0; a < agents; a++)
            for (uint32_t e = rng_below(&r, 20); e > 0; e--)
                edge(a, rng_below(&r, agents), (float)rng_below(&r, 6) / 5 - 0.2f,
                     0.3 + 0.1 * rng_below(&r, 8));
        uint32_t top_k = 1 + rng_below(&r, 4), first = rng_below(&r, top_k + 1),
                 max_hops = 1 + rng_below(&r, 5);
        struct route_hop got[LIMIT_FANOUT], want[LIMIT_FANOUT];
        uint32_t n = travel(got, first, top_k, max_hops, 0);
        memcpy(want, got, first * sizeof *want);
        assert_int_equal(n, travel_by_definition(want, first, top_k, max_hops));
        for (uint32_t i = 0; i < n; i++)
            assert_hop(&got[i], want[i].agent, want[i].from, want[i].hop,
                       (double)want[i].parts.score);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(each_hop_halves_the_score_and_remembers_who_forwarded, clear_graph),
        cmocka_unit_test_setup(one_hop_asks_nobody, clear_graph),
        cmocka_unit_test_setup(nothing_chosen_first_travels_nowhere, clear_graph),
        cmocka_unit_test_setup(only_edges_at_least_as_good_as_the_prior_forward, clear_graph),
        cmocka_unit_test_setup(an_irrelevant_agent_is_not_reached_by_capability_alone, clear_graph),
        cmocka_unit_test_setup(nobody_is_reached_twice_and_the_source_never, clear_graph),
        cmocka_unit_test_setup(an_agent_wanted_by_two_comes_from_the_one_it_scores_best_with,
                               clear_graph),
        cmocka_unit_test_setup(ties_go_to_the_lower_agent_then_to_the_earlier_forwarder,
                               clear_graph),
        cmocka_unit_test_setup(a_forwarder_delivers_to_at_most_top_k, clear_graph),
        cmocka_unit_test_setup(all_hops_together_stay_within_the_budget, clear_graph),
        cmocka_unit_test_setup(an_attenuated_score_below_the_minimum_is_not_delivered, clear_graph),
        cmocka_unit_test_setup(random_networks_travel_as_the_definition_says, clear_graph),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
