/* SPDX-License-Identifier: MIT
 *
 * An engine with an index large enough for snapshots, for the crash tests.
 *
 *     snapshot_driver run DIR       takes snapshots, changing memories in between; "S n" after each
 *     snapshot_driver verify DIR    starts from what is there, and compares the index with the
 *                                   store: "loaded L refused R"; status 1 if anything is wrong */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "engine/memory_index_priv.h"
#include "engine/memory_snapshot_priv.h"
#include "unit/engine/scene.h"

enum { FLAT_MAX = 40, ROWS = 90, ROUNDS = 3, CHANGES = 12, PATIENCE_S = 60 };

static int failed(const char *what)
{
    printf("failed: %s\n", what);
    return 1;
}

/* ---- run ---- */

static void remember(struct scene *s, struct rng *rng, struct memory_out *ret)
{
    struct vec v;
    for (int i = 0; i < SCENE_DIM; i++)
        v.v[i] = (float)rng_normal(rng);
    if (scene_remember(s, "a", v, ret) != QMN_OK)
        exit(failed("a memory was refused"));
}

static bool is_linked(struct scene *s, const struct tenant *t)
{
    struct vectors_stats stats;
    pthread_rwlock_rdlock(&s->te->engine->net.lock);
    vectors_stats(t->memory_index, &stats);
    pthread_rwlock_unlock(&s->te->engine->net.lock);
    return stats.levels && !stats.fresh;
}

static void take(struct scene *s, struct tenant *t, int round)
{
    struct err err = {0};
    uint64_t bytes;
    int64_t end = clock_mono_us() + PATIENCE_S * INT64_C(1000000);
    while (!is_linked(s, t) && clock_mono_us() < end)
        usleep(500);
    if (memory_snapshot_take(s->te->engine, t, &bytes, &err) != QMN_OK)
        exit(failed(err.text));
    printf("S %d\n", round);
    (void)fflush(stdout);
}

static void change(struct scene *s, struct rng *rng, struct memory_out *stored, int round)
{
    for (int i = round * CHANGES; i < (round + 1) * CHANGES; i++) {
        if (TEST_CALL(s->te, &s->caller, engine_delete_memory, stored[i].id) != QMN_OK)
            exit(failed("a memory cannot be deleted"));
        remember(s, rng, &stored[i]);
    }
}

static int run(const char *dir)
{
    static struct memory_out stored[ROWS];
    struct scene s;
    struct rng rng;
    rng_seed(&rng, 11);
    scene_begin(&s,
                (struct test_engine_options){
                    .sqlite = true, .snapshots = true, .dir = dir, .memory_flat_max = FLAT_MAX});
    scene_agent(&s, "a", AXIS(0), NULL);
    for (int i = 0; i < ROWS; i++)
        remember(&s, &rng, &stored[i]);
    struct tenant *t = network_tenant(&s.te->engine->net, BYTES_LIT("acme"));
    for (int round = 0; round < ROUNDS; round++) {
        take(&s, t, round);
        change(&s, &rng, stored, round);
    }
    _exit(0); /* as if killed: what is there stays as it is */
}

/* ---- verify ---- */

struct comparison {
    const struct tenant *tenant;
    uint32_t rows, wrong;
};

/* The index has the vector of this memory, as precisely as int8 does. */
static enum qmn_code compare_row(void *ctx, const void *record, struct err *err)
{
    struct comparison *c = ctx;
    const struct record_memory_vector *row = record;
    const struct tenant *t = c->tenant;
    float want[SCENE_DIM], got[VECTORS_DIM_MAX];
    double off = 1;
    (void)err;
    memcpy(want, row->vector.ptr, sizeof want);
    for (uint32_t slot = 0; slot < t->memory_slots; slot++) {
        if (!t->memories[slot].used || t->memories[slot].no != row->no)
            continue;
        vectors_copy(t->memory_index, slot, got);
        off = 0;
        for (int i = 0; i < SCENE_DIM; i++)
            off += fabs((double)(want[i] - got[i]));
    }
    c->rows++;
    c->wrong += off > 0.1;
    return QMN_OK;
}

static int compare(struct engine *e)
{
    char text[VALIDATE_TEXT];
    struct err err = {0};
    struct comparison c = {.tenant = network_tenant(&e->net, BYTES_LIT("acme"))};
    if (!network_validate(&e->net, text))
        return failed(text);
    if (!c.tenant)
        return 0; /* it died before it began */
    if (e->store->ops->scan(e->store, RECORD_MEMORY_VECTOR, NULL, compare_row, &c, &err) != QMN_OK)
        return failed(err.text);
    if (c.wrong || c.rows != c.tenant->memory_count)
        return failed("the index and the store disagree");
    printf("loaded %llu refused %llu\n", (unsigned long long)counter_value(e->m.snapshots_loaded),
           (unsigned long long)counter_value(e->m.snapshots_refused));
    return 0;
}

static int verify(const char *dir)
{
    char file[300], pepper[300], snapshots[300];
    struct err err = {0};
    snprintf(file, sizeof file, "%s/qmn.db", dir);
    snprintf(pepper, sizeof pepper, "%s/pepper", dir);
    snprintf(snapshots, sizeof snapshots, "%s/index", dir);
    struct store_config config = {
        .path = file, .sealer = sealer_identity, .sync = STORE_SYNC_NORMAL};
    struct engine_config engine = {.metrics = metrics_new(),
                                   .pepper_path = pepper,
                                   .snapshot_dir = snapshots,
                                   .key_env = "test",
                                   .memory_flat_max = FLAT_MAX};
    struct engine *e = NULL;
    if (store_sqlite_open(&config, &engine.store, &err) != QMN_OK ||
        engine_new(&engine, &e, &err) != QMN_OK)
        return failed(err.text);
    int status = compare(e);
    _exit((fflush(stdout), status)); /* no snapshot at the end: the next run begins from this one */
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "run") == 0)
        return run(argv[2]);
    if (argc == 3 && strcmp(argv[1], "verify") == 0)
        return verify(argv[2]);
    return failed("run DIR or verify DIR");
}
