/* SPDX-License-Identifier: MIT
 *
 * Memories of a large tenant: linked into a graph behind everybody's back, found before, while and
 * after, and given back to the scan when few are left. */
#include "stage.h"

#include <math.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/rng.h"
#include "engine/engine_priv.h"
#include "support/patience.h"

enum { FLAT_MAX = 64, COUNT = 500, K = 5, QUERIES = 40 };

static struct vec vectors[COUNT];
static struct memory_out stored[COUNT];
static bool gone[COUNT];
static struct rng rng;

static struct vec random_unit(void)
{
    struct vec v;
    double norm = 0;
    for (int i = 0; i < SCENE_DIM; i++) {
        v.v[i] = (float)rng_normal(&rng);
        norm += (double)v.v[i] * (double)v.v[i];
    }
    for (int i = 0; i < SCENE_DIM; i++)
        v.v[i] = (float)((double)v.v[i] / sqrt(norm));
    return v;
}

static int begin(void **state)
{
    (void)state;
    scene_begin(&s, (struct test_engine_options){.memory_flat_max = FLAT_MAX});
    scene_agent(&s, "a", AXIS(0), NULL);
    rng_seed(&rng, 31);
    memset(gone, 0, sizeof gone);
    for (int i = 0; i < COUNT; i++) {
        vectors[i] = random_unit();
        struct memory_in in = scene_memory(&s, "a", vectors[i]);
        in.sensitivity = i % 3 ? LABEL_PUBLIC : LABEL_INTERNAL; /* hidden from whoever searches */
        assert_int_equal(TEST_CALL(s.te, &s.caller, engine_store_memory, &in, &stored[i]), QMN_OK);
    }
    return 0;
}

static struct vectors_stats look(void)
{
    struct network *n = &s.te->engine->net;
    struct vectors_stats stats;
    pthread_rwlock_rdlock(&n->lock);
    vectors_stats(network_tenant(n, BYTES_LIT("acme"))->memory_index, &stats);
    pthread_rwlock_unlock(&n->lock);
    return stats;
}

static void await_linked(void)
{
    int64_t end = clock_mono_us() + patience_ms() * INT64_C(1000);
    struct vectors_stats stats = look();
    while ((stats.fresh || stats.dead > stats.live / 2) && clock_mono_us() < end) {
        usleep(1000);
        stats = look();
    }
    assert_int_equal(stats.fresh, 0);
    assert_int_not_equal(stats.linked, 0);
}

static bool may_be_found(int i)
{
    return !gone[i] && i % 3;
}

static double cosine(int i, const struct vec *q)
{
    double sum = 0;
    for (int k = 0; k < SCENE_DIM; k++)
        sum += (double)vectors[i].v[k] * (double)q->v[k];
    return sum;
}

/* How many better ones there are. */
static uint32_t rank_of(double score, const struct vec *q)
{
    uint32_t better = 0;
    for (int i = 0; i < COUNT; i++)
        better += may_be_found(i) && cosine(i, q) > score + 1e-6;
    return better;
}

static uint32_t count_visible(void)
{
    uint32_t n = 0;
    for (int i = 0; i < COUNT; i++)
        n += may_be_found(i);
    return n;
}

/* Of K results each, how many belong to the K best; and each is one that may be found. */
static double recall(void)
{
    uint32_t good = 0, visible = count_visible(), clearance = s.caller.clearance;
    s.caller.clearance = LABEL_PUBLIC;
    for (int i = 0; i < QUERIES; i++) {
        struct vec q = random_unit();
        struct memories_out out = scene_search(&s, q, K);
        assert_int_equal(out.count, K);
        assert_int_equal(out.candidates, visible);
        for (size_t k = 0; k < out.count; k++) {
            assert_int_not_equal(out.items[k].sensitivity, LABEL_INTERNAL);
            good += rank_of((double)out.items[k].similarity, &q) < K;
        }
    }
    s.caller.clearance = clearance;
    return (double)good / (QUERIES * K);
}

static void they_are_found_in_the_graph(void **state)
{
    (void)state;
    assert_true(recall() > 0.98); /* perhaps not linked yet */
    await_linked();
    assert_int_equal(look().linked, COUNT);
    assert_true(recall() > 0.98);
}

static void forget(int from, int step)
{
    for (int i = from; i < COUNT; i += step) {
        if (!gone[i])
            assert_int_equal(TEST_CALL(s.te, &s.caller, engine_delete_memory, stored[i].id),
                             QMN_OK);
        gone[i] = true;
    }
}

static void those_that_stay_are_found_and_few_are_scanned_again(void **state)
{
    (void)state;
    await_linked();
    forget(0, 3);
    forget(1, 4);
    assert_true(recall() > 0.98);
    await_linked();
    assert_true(recall() > 0.98);
    forget(0, 2);
    forget(1, 3);
    for (int i = 0; i < COUNT && count_visible() >= FLAT_MAX / 2; i++)
        if (may_be_found(i))
            forget(i, COUNT);
    int64_t end = clock_mono_us() + patience_ms() * INT64_C(1000);
    while (look().levels && clock_mono_us() < end)
        usleep(1000);
    assert_int_equal(look().levels, 0);
    assert_true(recall() > 0.999);
}

static void a_restart_links_them_anew(void **state)
{
    (void)state;
    await_linked();
    scene_restart(&s);
    assert_int_equal(look().live, COUNT);
    assert_true(recall() > 0.98);
    await_linked();
    assert_true(recall() > 0.98);
}

#define MANY(test) cmocka_unit_test_setup_teardown(test, begin, stage_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MANY(they_are_found_in_the_graph),
        MANY(those_that_stay_are_found_and_few_are_scanned_again),
        MANY(a_restart_links_them_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
