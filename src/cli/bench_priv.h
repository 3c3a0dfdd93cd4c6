/* SPDX-License-Identifier: MIT
 *
 * The measuring side of qmn: a tenant of its own, filled through the public API, and load on it. */
#ifndef QMN_CLI_BENCH_PRIV_H
#define QMN_CLI_BENCH_PRIV_H

#include "base/rng.h"
#include "client/load.h"
#include "cli_priv.h"

enum {
    BENCH_KEYS = 4,     /* one key may make 1,000,000 requests a minute; outcomes need more */
    BENCH_BODIES = 256, /* rotating, so that neither side can live from one cached body */
    BENCH_TAGS = 200,
    BENCH_SOURCES = 160,
    BENCH_DIM_MAX = 4096,
};

struct bench {
    struct cli *c;
    char host[64], tenant[48];
    uint16_t port;
    char keys[BENCH_KEYS][256];
    uint32_t dim, agents, connections;
    double seconds, rate;
    long pid; /* 0: unknown */
    struct rng rng;
    float *vectors;        /* agents x dim, unit length */
    struct buf *slots;     /* a body being made, per connection */
    uint32_t made_recents; /* the network of agents stands, with their recent tasks */
    uint32_t memories;
    uint64_t run; /* makes idempotency keys of different runs differ */
    struct progress progress;
    double progress_from;
};

/* Fills a request's head. */
void bench_head(const struct bench *b, struct load_request *r, const char *method, const char *path,
                uint64_t number, bool mutation);
/* One run; `what` is shown while it lasts. */
QMN_NODISCARD enum qmn_code bench_load(struct bench *b, const char *what, struct load_config *k,
                                       struct load_result *r, struct err *err);
/* A run that must not fail: setting up. */
QMN_NODISCARD enum qmn_code bench_prepare(struct bench *b, const char *what, uint64_t requests,
                                          void (*make)(void *ctx, uint64_t n,
                                                       struct load_request *r),
                                          void *ctx, struct err *err);

/* A tenant of `dim`, its keys, `agents` agents with random profiles and 8 capabilities. */
QMN_NODISCARD enum qmn_code bench_tenant(struct bench *b, struct err *err);
QMN_NODISCARD enum qmn_code bench_agents(struct bench *b, struct err *err);
/* 16 acknowledged nutrients for every agent, 100 edges for each of BENCH_SOURCES sources. */
QMN_NODISCARD enum qmn_code bench_recents(struct bench *b, struct err *err);
QMN_NODISCARD enum qmn_code bench_memories(struct bench *b, uint32_t count, struct err *err);
QMN_NODISCARD enum qmn_code bench_tenant_drop(struct bench *b, struct err *err);

/* A random unit vector; as text "[0.01, ...]" (about 24 characters a number) or base64. */
void bench_vector(struct bench *b, float *ret);
void bench_put_vector(struct buf *out, const char *name, const float *v, uint32_t dim, bool base64);
void bench_put_tags(struct buf *out, const char *name, struct rng *rng, uint32_t count);

/* ---- ready-made bodies, sent in turn ---- */

struct bench_rotating;
typedef void bench_body_fn(struct bench *b, struct buf *s, uint32_t i);
QMN_NODISCARD enum qmn_code bench_rotating_new(struct bench *b, const char *path, bool mutation,
                                               bench_body_fn *body, struct bench_rotating **ret,
                                               struct err *err);
void bench_rotating_free(struct bench_rotating *k);
/* load_config's make; ctx: struct bench_rotating. */
void bench_rotate(void *ctx, uint64_t n, struct load_request *r);
/* A broadcast with its embedding in JSON. */
void bench_broadcast_body(struct bench *b, struct buf *s, uint32_t i);

/* ---- scenarios elsewhere ---- */

QMN_NODISCARD enum qmn_code bench_overload(struct bench *b, struct err *err);
QMN_NODISCARD enum qmn_code bench_store(struct bench *b, struct err *err);
QMN_NODISCARD enum qmn_code bench_store_batch(struct bench *b, struct err *err);
QMN_NODISCARD enum qmn_code bench_search(struct bench *b, struct err *err);

/* ---- figures ---- */

/* A run whose figures are printed; rows: stored by each request, 1 unless it is a batch. */
QMN_NODISCARD enum qmn_code bench_measure(struct bench *b, const char *scenario, uint32_t rows,
                                          struct load_config *k, struct err *err);

struct bench_cpu {
    double seconds; /* of processor time */
    int64_t at_us;
};
struct bench_cpu bench_cpu_now(long pid);
double bench_resident_kb(long pid);

#endif
