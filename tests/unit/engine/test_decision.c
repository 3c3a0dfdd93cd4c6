/* SPDX-License-Identifier: MIT
 *
 * Packing of decisions: what goes in comes out to the last bit, and what is damaged is refused. */
#include "support/test.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "engine/decision_priv.h"

enum { MANY = 64 };

/* A decision with room for its parts. */
struct sample {
    struct decision d;
    struct route_view routes[MANY];
    struct candidate_view candidates[MANY];
    struct contribution_view contributions[MANY];
};

static int setup(void **state)
{
    static struct arena arena;
    arena_init(&arena, 0);
    *state = &arena;
    return 0;
}

static int teardown(void **state)
{
    arena_release(*state);
    return 0;
}

static void assert_same_bits(const void *a, const void *b, size_t len)
{
    assert_memory_equal(a, b, len);
}

static void assert_same_routes(const struct decision *a, const struct decision *b)
{
    for (uint32_t i = 0; i < a->head.route_count; i++) {
        const struct route_view *x = &a->routes[i], *y = &b->routes[i];
        assert_true(x->agent_no == y->agent_no && x->from_no == y->from_no);
        assert_same_bits(&x->similarity, &y->similarity, 5 * sizeof(float));
        assert_int_equal(x->hop, y->hop);
        assert_int_equal(x->capabilities, y->capabilities);
        assert_int_equal(x->explored != 0, y->explored);
    }
}

static void assert_same_decision(const struct decision *a, const struct decision *b)
{
    assert_same_bits(&a->head, &b->head, sizeof a->head);
    assert_same_routes(a, b);
    for (uint32_t i = 0; i < a->head.candidate_count; i++) {
        const struct candidate_view *x = &a->candidates[i], *y = &b->candidates[i];
        assert_true(x->agent_no == y->agent_no);
        assert_same_bits(&x->similarity, &y->similarity, 5 * sizeof(float));
        assert_int_equal(x->capabilities, y->capabilities);
        assert_int_equal(x->chosen != 0, y->chosen);
    }
    assert_same_bits(a->contributions, b->contributions,
                     a->head.contribution_count * sizeof *a->contributions);
    assert_true(bytes_equal(a->hints, b->hints));
}

static struct bytes pack(const struct decision *d, struct arena *arena)
{
    struct bytes packed = decision_pack(d, arena);
    assert_non_null(packed.ptr);
    return packed;
}

static struct bytes round_trip(const struct decision *d, struct arena *arena)
{
    struct bytes packed = pack(d, arena);
    struct decision back;
    struct err err;
    assert_int_equal(decision_unpack(packed, arena, &back, &err), QMN_OK);
    assert_same_decision(d, &back);
    return packed;
}

static float any_float(struct rng *rng)
{
    static const float special[] = {0,        -0.0f, 0.5f,     1,          1e-45f,
                                    INFINITY, NAN,   -3.4e38f, 1.1754e-38f};
    uint64_t kind = rng_below(rng, 3);
    return kind == 0   ? special[rng_below(rng, ARRAY_LEN(special))]
           : kind == 1 ? (float)EDGE_PRIOR
                       : (float)rng_unit(rng);
}

static int64_t any_number(struct rng *rng)
{
    static const int64_t special[] = {0, 1, -1, INT64_MIN, INT64_MAX, INT64_C(1795000000000000)};
    return rng_below(rng, 2) ? special[rng_below(rng, ARRAY_LEN(special))]
                             : (int64_t)rng_next(rng) >> rng_below(rng, 64);
}

static void fill_route(struct rng *rng, struct route_view *r)
{
    *r = (struct route_view){.agent_no = any_number(rng),
                             .from_no = any_number(rng),
                             .similarity = any_float(rng),
                             .weight = any_float(rng),
                             .demand = any_float(rng),
                             .score = any_float(rng),
                             .propensity = any_float(rng),
                             .hop = (uint8_t)rng_below(rng, 256),
                             .capabilities = (uint8_t)rng_below(rng, 256),
                             .explored = (uint8_t)rng_below(rng, 2)};
}

static void fill_candidate(struct rng *rng, struct candidate_view *c)
{
    struct route_view r;
    fill_route(rng, &r);
    *c = (struct candidate_view){.agent_no = r.agent_no,
                                 .similarity = r.similarity,
                                 .weight = r.weight,
                                 .demand = r.demand,
                                 .score = r.score,
                                 .propensity = r.propensity,
                                 .capabilities = r.capabilities,
                                 .chosen = r.explored};
}

static void fill_sample(struct rng *rng, struct sample *s)
{
    memset(s, 0, sizeof *s);
    s->d.routes = s->routes;
    s->d.candidates = s->candidates;
    s->d.contributions = s->contributions;
    s->d.head = (struct decision_header){.route_count = (uint32_t)rng_below(rng, 9),
                                         .candidate_count = (uint32_t)rng_below(rng, MANY + 1),
                                         .contribution_count = (uint32_t)rng_below(rng, 4),
                                         .eligible_total = (uint32_t)rng_next(rng),
                                         .epsilon = any_float(rng),
                                         .outside_propensity = any_float(rng),
                                         .top_k = (uint32_t)rng_next(rng)};
    for (uint32_t i = 0; i < s->d.head.route_count; i++)
        fill_route(rng, &s->routes[i]);
    for (uint32_t i = 0; i < s->d.head.candidate_count; i++)
        fill_candidate(rng, &s->candidates[i]);
    for (uint32_t i = 0; i < s->d.head.contribution_count; i++)
        s->contributions[i].item_no = any_number(rng);
    static const char hints[] = "sql\0grep";
    s->d.hints = rng_below(rng, 2) ? bytes_of(hints, sizeof hints) : bytes_of("", 0);
}

static void every_number_comes_back_to_the_last_bit(void **state)
{
    static struct sample s;
    struct rng rng;
    rng_seed(&rng, 7);
    for (int i = 0; i < 2000; i++) {
        arena_reset(*state);
        fill_sample(&rng, &s);
        (void)round_trip(&s.d, *state);
    }
}

static void nothing_at_all_comes_back_too(void **state)
{
    struct decision none = {.hints = bytes_of("", 0)};
    (void)round_trip(&none, *state);
}

static void the_extremes_of_numbers_and_counts_fit(void **state)
{
    static struct sample s;
    s.d = (struct decision){.head = {.route_count = 2,
                                     .candidate_count = 1,
                                     .eligible_total = UINT32_MAX,
                                     .top_k = UINT32_MAX},
                            .routes = s.routes,
                            .candidates = s.candidates,
                            .hints = bytes_of("", 0)};
    s.routes[0] = (struct route_view){.agent_no = INT64_MIN, .from_no = INT64_MAX, .hop = 255};
    s.routes[1] = (struct route_view){.agent_no = -1, .from_no = 0, .capabilities = 255};
    s.candidates[0] = (struct candidate_view){.agent_no = INT64_MAX, .score = -INFINITY};
    (void)round_trip(&s.d, *state);
}

/* As the engine decides in a network that has learned little: agents of one hour. */
static void fill_usual(struct sample *s)
{
    struct rng rng;
    rng_seed(&rng, 3);
    memset(s, 0, sizeof *s);
    s->d = (struct decision){.head = {.route_count = 5,
                                      .candidate_count = 32,
                                      .eligible_total = 900,
                                      .epsilon = 0.05f,
                                      .outside_propensity = 0.05f / 895,
                                      .top_k = 5},
                             .routes = s->routes,
                             .candidates = s->candidates,
                             .hints = bytes_of("", 0)};
    for (int i = 0; i < 32; i++) {
        float demand = i < 20 ? 1 : 0.5f;
        struct score_parts p = route_score((float)rng_unit(&rng), EDGE_PRIOR, demand, 2);
        s->candidates[i] = (struct candidate_view){
            .agent_no = INT64_C(1795000000000000) + (int64_t)rng_below(&rng, 3600u * 1000 * 1000),
            .similarity = p.relevance,
            .weight = p.weight,
            .demand = p.demand,
            .capabilities = 2,
            .score = p.score,
            .propensity = i < 5 ? 1 : s->d.head.outside_propensity,
            .chosen = i < 5};
    }
    for (int i = 0; i < 5; i++)
        s->routes[i] = (struct route_view){.agent_no = s->candidates[i].agent_no,
                                           .from_no = INT64_C(1795000000000001),
                                           .similarity = s->candidates[i].similarity,
                                           .weight = s->candidates[i].weight,
                                           .demand = s->candidates[i].demand,
                                           .capabilities = 2,
                                           .score = s->candidates[i].score,
                                           .propensity = 1,
                                           .hop = 1};
}

static void a_usual_decision_takes_a_third_of_its_structs(void **state)
{
    static struct sample s;
    fill_usual(&s);
    struct bytes packed = round_trip(&s.d, *state);
    size_t structs = sizeof s.d.head + 5 * sizeof *s.routes + 32 * sizeof *s.candidates;
    assert_true(packed.len * 3 <= structs);
}

/* Scores are not stored where route_score gives them: whoever changes that must raise the version.
 */
static void a_score_that_is_not_stored_stays_what_it_was(void **state)
{
    static const char stored[] = "\2\0\1\0\1\1" /* version, counts, eligible, top_k */
                                 "\0\0\0\0\0\0\0\0"
                                 "\x07\0\0\0\0\0\0\0\0" /* base, width */
                                 "\x0b"                 /* weight, demand, capabilities */
                                 "\0\0\x40\x3f"         /* similarity 0.75 */
                                 "\0\0\x80\x3f"         /* weight 1 */
                                 "\0\0\0\x3f"           /* demand 0.5 */
                                 "\2";
    struct decision d;
    struct err err;
    assert_int_equal(decision_unpack(bytes_of(stored, sizeof stored - 1), *state, &d, &err),
                     QMN_OK);
    assert_int_equal(d.candidates[0].agent_no, 7);
    assert_true(d.candidates[0].score == 1.225f); /* .75 * 2 * 1.5 / 2 + .1 */
    assert_int_equal(pack(&d, *state).len, sizeof stored - 1);
}

static void cut_short_at_any_byte_it_is_refused(void **state)
{
    static struct sample s;
    struct err err;
    fill_usual(&s);
    s.d.head.contribution_count = 1;
    s.d.contributions = s.contributions;
    s.d.hints = bytes_of("sql", 4);
    struct bytes packed = pack(&s.d, *state);
    for (size_t len = 0; len < packed.len; len++) {
        struct decision d = {.head = {.top_k = 77}};
        enum qmn_code code = decision_unpack(bytes_of(packed.ptr, len), *state, &d, &err);
        if (len == packed.len - 4) {
            assert_int_equal(code, QMN_OK); /* the same without its hints */
            continue;
        }
        assert_int_equal(code, QMN_E_CORRUPT);
        assert_bytes_equal(bytes_cstr(err.text),
                           "a stored decision is cut short, or its lengths do not add up");
        assert_int_equal(d.head.top_k, 77);
    }
}

static void refused(struct bytes packed, const char *text, struct arena *arena)
{
    struct decision d;
    struct err err;
    assert_int_equal(decision_unpack(packed, arena, &d, &err), QMN_E_CORRUPT);
    assert_bytes_equal(bytes_cstr(err.text), text);
}

#define REFUSED(text, arena, ...)                                                                  \
    refused(bytes_of(((const uint8_t[]){__VA_ARGS__}), sizeof((const uint8_t[]){__VA_ARGS__})),    \
            (text), (arena))
#define ZEROS_16 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0

static void lying_counts_are_refused_before_memory_is_asked_for(void **state)
{
    static const char text[] = "a stored decision is cut short, or its lengths do not add up";
    struct arena small;
    arena_init(&small, 4096);
    REFUSED(text, &small, 2, 0xff, 0xff, 0xff, 0xff, 15, 0, 0, 0, 0, ZEROS_16, 0); /* routes */
    REFUSED(text, &small, 2, 0, 0xff, 0xff, 0xff, 0xff, 15, 0, 0, 0, ZEROS_16, 0); /* candidates */
    REFUSED(text, &small, 2, 0, 0, 0xff, 0xff, 0xff, 0xff, 15, 0, 0, ZEROS_16, 0); /* found */
    REFUSED(text, &small, 2, 0xff, 0xff, 0xff, 0xff, 0x1f, 0, 0, 0, 0, ZEROS_16, 0); /* 2^33 */
    REFUSED(text, &small, 2, 0x80, 0x80, 0x80, 0x80, 0x80, 0, 0, 0, 0, ZEROS_16, 0); /* no end */
    arena_release(&small);
    (void)state;
}

static void what_is_never_packed_is_refused(void **state)
{
    static const char text[] = "a stored decision is cut short, or its lengths do not add up";
    REFUSED(text, *state, 2, 0, 0, 0, 0, 0, ZEROS_16, 9);                  /* width */
    REFUSED(text, *state, 2, 0, 1, 0, 0, 0, ZEROS_16, 0, 128, 0, 0, 0, 0); /* a route's flag */
    REFUSED(text, *state, 2, 0, 0, 0, 0, 0, ZEROS_16, 0, 'x');             /* no end of a list */
}

static void another_version_is_named(void **state)
{
    REFUSED("a stored decision has format 1; this program reads 2", *state, 1, 0, 0, 0, 0, 0, 0, 0,
            ZEROS_16, 5, 0, 0, 0);
    REFUSED("a stored decision has format 255; this program reads 2", *state, 255);
}

int main(void)
{
#define DECISION(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        DECISION(every_number_comes_back_to_the_last_bit),
        DECISION(nothing_at_all_comes_back_too),
        DECISION(the_extremes_of_numbers_and_counts_fit),
        DECISION(a_usual_decision_takes_a_third_of_its_structs),
        DECISION(a_score_that_is_not_stored_stays_what_it_was),
        DECISION(cut_short_at_any_byte_it_is_refused),
        DECISION(lying_counts_are_refused_before_memory_is_asked_for),
        DECISION(what_is_never_packed_is_refused),
        DECISION(another_version_is_named),
    };
    return cmocka_run_group_tests_name("engine/decision", tests, NULL, NULL);
}
