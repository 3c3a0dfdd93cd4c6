/* SPDX-License-Identifier: MIT
 *
 * Fills a new database with a network, straight through the store: what a node with a long life has
 * to load when it starts.  The public API makes the same rows, only slower.
 *
 *     build/bench/seed FILE [AGENTS [EDGES_EACH [DIM]]]      (100000 10 1536) */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/attr.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "model/labels.h"
#include "store/store.h"

enum { BATCH = 1000 };

static void check(enum qmn_code code, const struct err *err)
{
    if (code == QMN_OK)
        return;
    fprintf(stderr, "seed: %s\n", err->text);
    exit(1);
}

static void commit(struct store *s, const struct mutation *batch, size_t count)
{
    struct err err = {0};
    size_t failed;
    check(s->ops->commit(s, batch, count, &failed, &err), &err);
    check(s->ops->maintain(s, &err), &err);
}

static void seed_tenant(struct store *s, int64_t no, uint32_t dim)
{
    int64_t now = clock_now_ms(&clock_system);
    const struct record_tenant t = {
        .no = no,
        .id = BYTES_LIT("seeded"),
        .name = BYTES_LIT("seeded"),
        .metadata = BYTES_LIT("{}"),
        .plan = PLAN_ENTERPRISE,
        .status = TENANT_ACTIVE,
        .dim = dim,
        .created_ms = now,
        .updated_ms = now,
    };
    commit(s, &(struct mutation){MUT_PUT, RECORD_TENANT, &t, 0}, 1);
}

static void random_profile(struct rng *rng, float *v, uint32_t dim)
{
    double norm = 0;
    for (uint32_t i = 0; i < dim; i++) {
        v[i] = (float)rng_normal(rng);
        norm += (double)v[i] * (double)v[i];
    }
    for (uint32_t i = 0; i < dim; i++)
        v[i] = (float)((double)v[i] / sqrt(norm));
}

static void seed_agents(struct store *s, int64_t tenant, uint32_t agents, uint32_t dim)
{
    struct record_agent *rows = mem_calloc(BATCH, sizeof *rows);
    struct mutation *batch = mem_calloc(BATCH, sizeof *batch);
    float *profiles = mem_calloc((size_t)BATCH * dim, sizeof *profiles);
    char(*ids)[24] = mem_calloc(BATCH, sizeof *ids);
    struct rng rng;
    if (!rows || !batch || !profiles || !ids)
        exit(1);
    rng_seed(&rng, 7);
    int64_t now = clock_now_ms(&clock_system);
    for (uint32_t first = 0; first < agents; first += BATCH) {
        uint32_t n = agents - first < BATCH ? agents - first : BATCH;
        for (uint32_t i = 0; i < n; i++) {
            float *v = profiles + (size_t)i * dim;
            random_profile(&rng, v, dim);
            int len = snprintf(ids[i], sizeof ids[i], "agent-%06u", first + i);
            rows[i] = (struct record_agent){
                .no = tenant + 1 + first + i,
                .tenant_no = tenant,
                .id = bytes_of(ids[i], (size_t)len),
                .metadata = BYTES_LIT("{}"),
                .status = AGENT_ACTIVE,
                .clearance = LABEL_INTERNAL,
                .profile = bytes_of(v, dim * sizeof *v),
                .created_ms = now,
                .updated_ms = now,
            };
            batch[i] = (struct mutation){MUT_PUT, RECORD_AGENT, &rows[i], 0};
        }
        commit(s, batch, n);
    }
    mem_free(rows);
    mem_free(batch);
    mem_free(profiles);
    mem_free(ids);
}

static void seed_edges(struct store *s, int64_t tenant, uint32_t agents, uint32_t each)
{
    struct record_edge *rows = mem_calloc(BATCH, sizeof *rows);
    struct mutation *batch = mem_calloc(BATCH, sizeof *batch);
    if (!rows || !batch)
        exit(1);
    int64_t now = clock_now_ms(&clock_system);
    uint64_t total = (uint64_t)agents * each;
    for (uint64_t first = 0; first < total; first += BATCH) {
        uint64_t n = total - first < BATCH ? total - first : BATCH;
        for (uint64_t i = 0; i < n; i++) {
            uint32_t src = (uint32_t)((first + i) / each);
            uint32_t dst = (uint32_t)((src + 1 + (first + i) % each * 7919) % agents);
            rows[i] = (struct record_edge){
                .src_no = tenant + 1 + src,
                .dst_no = tenant + 1 + dst,
                .tenant_no = tenant,
                .weight = 0.3 + 0.001 * (double)((first + i) % 700),
                .success = 1,
                .decay = 1,
                .outcomes = 2,
                .created_ms = now,
                .updated_ms = now,
            };
            batch[i] = (struct mutation){MUT_PUT, RECORD_EDGE, &rows[i], 0};
        }
        commit(s, batch, (size_t)n);
    }
    mem_free(rows);
    mem_free(batch);
}

int main(int argc, char **argv)
{
    uint32_t agents = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 100000;
    uint32_t each = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 10;
    uint32_t dim = argc > 4 ? (uint32_t)strtoul(argv[4], NULL, 10) : 1536;
    struct err err = {0};
    struct store *s = NULL;
    if (argc < 2 || agents < 2 || each >= agents || dim < 2) {
        fprintf(stderr, "usage: seed FILE [AGENTS [EDGES_EACH [DIM]]]\n");
        return 2;
    }
    /* Durability is not what is wanted here. */
    const struct store_config config = {
        .path = argv[1], .sealer = sealer_identity, .sync = STORE_SYNC_NORMAL};
    check(store_sqlite_open(&config, &s, &err), &err);
    int64_t tenant = clock_now_ms(&clock_system) * 1000;
    seed_tenant(s, tenant, dim);
    seed_agents(s, tenant, agents, dim);
    seed_edges(s, tenant, agents, each);
    store_close(s);
    return 0;
}
