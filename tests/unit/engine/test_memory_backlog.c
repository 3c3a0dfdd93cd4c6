/* SPDX-License-Identifier: MIT
 *
 * Memories that wait for their links are bounded, and shown. */
#include "stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/rng.h"
#include "engine/engine_priv.h"
#include "support/patience.h"

enum { FLAT_MAX = 64, BACKLOG = 200, BATCH = 8 };

static struct rng rng;

static int begin(void **state)
{
    (void)state;
    scene_begin(&s, (struct test_engine_options){.memory_flat_max = FLAT_MAX,
                                                 .memory_backlog_max = BACKLOG});
    rng_seed(&rng, 5);
    return 0;
}

static struct memory_in any(void)
{
    struct vec v;
    for (int i = 0; i < SCENE_DIM; i++)
        v.v[i] = (float)rng_normal(&rng);
    return scene_memory(&s, "", v);
}

struct crowd {
    struct memory_in in[LIMIT_GROUP][BATCH];
    struct memory_out out[LIMIT_GROUP][BATCH];
    struct call *calls[LIMIT_GROUP];
};

/* A full group, and behind it in the queue one more call: nothing is linked between the two. */
static enum qmn_code store_behind_a_crowd(struct err *ret_err)
{
    struct crowd *c = calloc(1, sizeof *c);
    struct scene_hold hold;
    struct memory_in last = any();
    struct memory_out out;
    assert_non_null(c);
    scene_hold(&s, &hold);
    for (int i = 0; i < LIMIT_GROUP; i++) {
        for (int k = 0; k < BATCH; k++)
            c->in[i][k] = any();
        c->calls[i] = test_call_new(s.te, &s.caller);
        engine_store_memories(s.te->engine, c->calls[i], c->in[i], BATCH, c->out[i]);
    }
    struct call *behind = test_call_new(s.te, &s.caller);
    engine_store_memory(s.te->engine, behind, &last, &out);
    scene_let_go(&s, &hold);
    for (int i = 0; i < LIMIT_GROUP; i++)
        assert_int_equal(test_call_wait(s.te, c->calls[i]), QMN_OK);
    enum qmn_code code = test_call_wait(s.te, behind);
    *ret_err = behind->err;
    free(c);
    return code;
}

static double shown(const char *series)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    metrics_expose(s.te->metrics, &b);
    buf_addc(&b, 0);
    assert_true(buf_ok(&b));
    const char *at = strstr(b.ptr, series);
    assert_non_null(at);
    double v = strtod(at + strlen(series), NULL);
    buf_release(&b);
    return v;
}

static void await_linked(void)
{
    int64_t end = clock_mono_us() + patience_ms() * INT64_C(1000);
    while (shown("\nqmn_memory_vectors_unlinked ") > 0 && clock_mono_us() < end)
        usleep(2000);
    assert_true(shown("\nqmn_memory_vectors_unlinked ") < 1);
}

static void beyond_the_bound_stores_wait_for_links(void **state)
{
    (void)state;
    struct err err;
    assert_int_equal(store_behind_a_crowd(&err), QMN_E_RATE_LIMITED);
    assert_true(err.retry_after_s >= 1 && err.retry_after_s <= 60);
    assert_true(shown("\nqmn_memory_stores_refused_total ") > 0);
    await_linked();
    struct memory_in in = any();
    struct memory_out out;
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_store_memory, &in, &out), QMN_OK);
}

static void a_small_tenant_is_never_refused(void **state)
{
    (void)state;
    scene_end(&s);
    scene_begin(&s, (struct test_engine_options){.memory_flat_max = 100, .memory_backlog_max = 10});
    for (int i = 0; i < 100; i++) {
        struct memory_in in = any();
        struct memory_out out;
        assert_int_equal(TEST_CALL(s.te, &s.caller, engine_store_memory, &in, &out), QMN_OK);
    }
}

static void the_indexes_are_shown(void **state)
{
    (void)state;
    struct err err;
    (void)store_behind_a_crowd(&err);
    await_linked();
    double vectors = shown("\nqmn_memory_vectors ");
    assert_true(vectors >= LIMIT_GROUP * BATCH);
    assert_true(shown("\nqmn_memory_vectors_linked ") >= vectors - 1);
    assert_true(shown("\nqmn_memory_vectors_dead ") < 1);
    assert_true(shown("\nqmn_memory_index_bytes{part=\"float32\"} ") < 1); /* given up */
    static const char *const parts[] = {"bits", "int8", "links", "other"};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        char series[64];
        snprintf(series, sizeof series, "\nqmn_memory_index_bytes{part=\"%s\"} ", parts[i]);
        assert_true(shown(series) > 0);
    }
    assert_true(shown("\nqmn_memory_link_rate ") >= 0);
}

/* What is measured, with a clock of our own. */
static void retry_after_is_what_links_have_taken(void **state)
{
    (void)state;
    struct err err;
    struct engine *e = s.te->engine;
    atomic_store(&e->link_meter.rate, 10.0);
    assert_int_equal(store_behind_a_crowd(&err), QMN_E_RATE_LIMITED);
    /* some 800 rows beyond the bound; fewer by what was linked meanwhile */
    assert_true(err.retry_after_s > 40);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, begin, stage_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(beyond_the_bound_stores_wait_for_links),
        WITH(a_small_tenant_is_never_refused),
        WITH(the_indexes_are_shown),
        WITH(retry_after_is_what_links_have_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
