/* SPDX-License-Identifier: MIT
 *
 * Near-duplicates beside a comparison of everything with everything, in double. */
#include "stage.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/rng.h"
#include "engine/memory_index_priv.h"
#include "support/patience.h"

enum { COUNT = 300, PAIRS_MAX = COUNT * COUNT };
#define THRESHOLD 0.9

static struct rng rng;
static struct vec vectors[COUNT];
static struct memory_out stored[COUNT];

static void begin_with(uint32_t flat_max)
{
    scene_begin(&s, (struct test_engine_options){.memory_flat_max = flat_max});
    scene_agent_cleared(&s, "odd", AXIS(7), LABEL_SECRET);
    scene_agent_cleared(&s, "even", AXIS(7), LABEL_SECRET);
    rng_seed(&rng, 8);
}

static int begin(void **state)
{
    (void)state;
    begin_with(0);
    return 0;
}

enum { FLAT_MAX = 64 };

static int begin_large(void **state)
{
    (void)state;
    begin_with(FLAT_MAX);
    return 0;
}

/* Crowds around a few points, some of them hidden from who has no clearance. */
static struct vec near_something(int i)
{
    struct vec v = {{0}};
    for (int k = 0; k < SCENE_DIM; k++)
        v.v[k] = (float)(i % SCENE_DIM == k ? 2 : 0) + 0.3F * (float)rng_normal(&rng);
    return v;
}

static void keep(int i, struct vec v, uint32_t label)
{
    struct memory_in in = scene_memory(&s, i % 2 ? "odd" : "even", v);
    char content[32];
    snprintf(content, sizeof content, "{\"n\":%d}", i);
    in.content = bytes_cstr(content);
    in.kind = i % 4 < 2 ? BYTES_LIT("low") : BYTES_LIT("high");
    in.sensitivity = label;
    vectors[i] = v;
    test_engine_advance(s.te, 1); /* ids in the order of making */
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_store_memory, &in, &stored[i]), QMN_OK);
}

static void fill(void)
{
    for (int i = 0; i < COUNT; i++)
        keep(i, near_something(i), i % 5 == 4 ? LABEL_CONFIDENTIAL : LABEL_PUBLIC);
}

static double cosine(const struct vec *a, const struct vec *b)
{
    double ab = 0, aa = 0, bb = 0;
    for (int k = 0; k < SCENE_DIM; k++) {
        ab += (double)a->v[k] * (double)b->v[k];
        aa += (double)a->v[k] * (double)a->v[k];
        bb += (double)b->v[k] * (double)b->v[k];
    }
    return ab / sqrt(aa * bb);
}

static int number_of(struct bytes id)
{
    for (int i = 0; i < COUNT; i++)
        if (bytes_equal(stored[i].id, id))
            return i;
    fail_msg("an id of nothing");
    return -1;
}

/* All pages; pairs[newer][older]. */
static struct walk {
    bool pair[COUNT][COUNT];
    size_t pairs, pages, groups, examined, more;
} walked;

static const struct walk *walk(const struct duplicates_query *from, uint32_t limit)
{
    struct duplicates_query q = *from;
    struct duplicates_out out;
    int before = COUNT;
    memset(&walked, 0, sizeof walked);
    do {
        assert_int_equal(TEST_CALL(s.te, &s.caller, engine_memory_duplicates, &q, limit, &out),
                         QMN_OK);
        assert_true(out.count <= limit);
        for (size_t i = 0; i < out.count; i++) {
            const struct duplicate_group *g = &out.groups[i];
            int newer = number_of(g->memory.id);
            assert_true(newer < before); /* newest first */
            before = newer;
            walked.more += g->more;
            for (size_t k = 0; k < g->count; k++) {
                int older = number_of(g->older[k].id);
                assert_true(
                    fabs(g->older[k].similarity - cosine(&vectors[newer], &vectors[older])) < 1e-6);
                assert_true(!k || g->older[k].similarity <= g->older[k - 1].similarity);
                walked.pair[newer][older] = true;
                walked.pairs++;
            }
        }
        walked.pages++;
        walked.groups += out.count;
        walked.examined += out.examined;
        q.has_after = true;
        q.after = out.last;
    } while (out.more);
    return &walked;
}

/* What must be listed of one: its LIMIT_DUPLICATES nearest older ones that may be seen. */
static void assert_all(const struct walk *w, uint32_t clearance, double threshold)
{
    for (int i = 0; i < COUNT; i++) {
        size_t near = 0, listed = 0;
        for (int k = 0; k < i; k++) {
            bool seen = stored[i].sensitivity <= clearance && stored[k].sensitivity <= clearance;
            double c = cosine(&vectors[i], &vectors[k]);
            near += seen && c >= threshold + 1e-6;
            listed += w->pair[i][k];
            assert_true(!w->pair[i][k] || (seen && c >= threshold - 1e-6));
        }
        assert_true(listed >= (near < LIMIT_DUPLICATES ? near : LIMIT_DUPLICATES));
        assert_true(listed <= LIMIT_DUPLICATES);
        for (int k = i; k < COUNT; k++)
            assert_false(w->pair[i][k]);
    }
}

static void every_near_pair_is_listed_once_at_its_newer_memory(void **state)
{
    (void)state;
    fill();
    struct duplicates_query q = {.threshold = THRESHOLD};
    const struct walk *w = walk(&q, LIMIT_LIST);
    assert_true(w->pairs > 100);
    assert_true(w->pages >= 3);
    assert_int_equal(w->examined, COUNT);
    assert_all(w, LABEL_SECRET, THRESHOLD);
    size_t groups = w->groups;
    w = walk(&q, 3); /* small pages are the same */
    assert_int_equal(w->groups, groups);
    assert_all(w, LABEL_SECRET, THRESHOLD);
}

static enum vectors_exact copies_kept(void)
{
    struct network *n = &s.te->engine->net;
    pthread_rwlock_rdlock(&n->lock);
    enum vectors_exact kept = vectors_exact(network_tenant(n, BYTES_LIT("acme"))->memory_index);
    pthread_rwlock_unlock(&n->lock);
    return kept;
}

/* Its index has int8 only, whose cosines are off by more than what is compared here. */
static void of_a_large_tenant_the_stored_vectors_decide(void **state)
{
    (void)state;
    fill();
    int64_t end = clock_mono_us() + patience_ms() * INT64_C(1000);
    while (copies_kept() != VECTORS_EXACT_NONE && clock_mono_us() < end)
        usleep(1000);
    assert_int_equal(copies_kept(), VECTORS_EXACT_NONE);
    struct duplicates_query q = {.threshold = THRESHOLD};
    const struct walk *w = walk(&q, LIMIT_LIST);
    assert_int_equal(w->examined, COUNT);
    assert_all(w, LABEL_SECRET, THRESHOLD);
}

static void hidden_ones_leave_no_trace(void **state)
{
    (void)state;
    fill();
    s.caller.clearance = LABEL_INTERNAL;
    struct duplicates_query q = {.threshold = THRESHOLD};
    struct walk with = *walk(&q, 7);
    assert_all(&with, LABEL_INTERNAL, THRESHOLD);
    s.caller.clearance = LABEL_SECRET;
    for (int i = 4; i < COUNT; i += 5)
        assert_int_equal(TEST_CALL(s.te, &s.caller, engine_delete_memory, stored[i].id), QMN_OK);
    s.caller.clearance = LABEL_INTERNAL;
    const struct walk *without = walk(&q, 7);
    assert_int_equal(without->examined, with.examined);
    assert_int_equal(without->pages, with.pages);
    assert_int_equal(without->pairs, with.pairs);
    assert_int_equal(without->more, with.more);
    assert_int_equal(without->examined, COUNT - COUNT / 5);
}

static void author_and_kind_are_those_of_both(void **state)
{
    (void)state;
    fill();
    struct duplicates_query q = {
        .threshold = THRESHOLD, .agent_id = BYTES_LIT("odd"), .kind = BYTES_LIT("high")};
    const struct walk *w = walk(&q, LIMIT_LIST);
    assert_true(w->pairs > 0);
    for (int i = 0; i < COUNT; i++)
        for (int k = 0; k < COUNT; k++)
            assert_true(!w->pair[i][k] || (i % 4 == 3 && k % 4 == 3));
    q.agent_id = BYTES_LIT("nobody");
    assert_int_equal(walk(&q, LIMIT_LIST)->examined, 0);
}

static void equal_vectors_are_at_one_and_a_crowd_says_there_are_more(void **state)
{
    (void)state;
    struct vec same = VEC(0.3f, 0.7f, 0.1f, 0.9f);
    for (int i = 0; i < 40; i++)
        keep(i, same, LABEL_PUBLIC);
    keep(40, AXIS(6), LABEL_PUBLIC);
    struct duplicates_query q = {.threshold = 1};
    const struct walk *w = walk(&q, LIMIT_LIST);
    assert_int_equal(w->groups, 39); /* the oldest has none before it */
    assert_int_equal(w->more, 40 - 1 - LIMIT_DUPLICATES);
    for (int i = 1; i < 40; i++) {
        size_t listed = 0;
        for (int k = 0; k < i; k++)
            listed += w->pair[i][k];
        assert_int_equal(listed, i < LIMIT_DUPLICATES ? i : LIMIT_DUPLICATES);
    }
}

static void of_nothing_there_is_an_empty_page(void **state)
{
    (void)state;
    struct duplicates_query q = {.threshold = 0.5};
    assert_int_equal(walk(&q, 10)->pages, 1);
    assert_int_equal(walked.groups + walked.examined, 0);
    keep(0, AXIS(0), LABEL_PUBLIC);
    assert_int_equal(walk(&q, 10)->groups, 0);
    assert_int_equal(walked.examined, 1);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, begin, stage_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(every_near_pair_is_listed_once_at_its_newer_memory),
        cmocka_unit_test_setup_teardown(of_a_large_tenant_the_stored_vectors_decide, begin_large,
                                        stage_end),
        WITH(hidden_ones_leave_no_trace),
        WITH(author_and_kind_are_those_of_both),
        WITH(equal_vectors_are_at_one_and_a_crowd_says_there_are_more),
        WITH(of_nothing_there_is_an_empty_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
