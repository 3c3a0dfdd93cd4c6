/* SPDX-License-Identifier: MIT
 *
 * An index of two tiers beside an array that says what is in it, and exact answers in double. */
#ifndef QMN_TESTS_VECTORS_ORACLE_H
#define QMN_TESTS_VECTORS_ORACLE_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "index/vectors.h"
#include "support/test.h"

enum { CLUSTERS = 40 };

struct oracle {
    struct vectors *v;
    struct vectors_searcher *s;
    struct rng rng;
    uint32_t dim, room;
    float *rows; /* [room][dim], by slot */
    bool *live;  /* [room] */
    float *centres;
    uint64_t *permit; /* [room / 64] */
    uint32_t permitted;
    struct topk_item *want, *got; /* [room] */
};

static inline double oracle_dot(const float *a, const float *b, uint32_t dim)
{
    double sum = 0;
    for (uint32_t i = 0; i < dim; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

/* A unit vector near one of the clusters' centres, which lean the same way a little. */
static inline void oracle_draw(struct oracle *o, float *ret)
{
    const float *centre = o->centres + (size_t)rng_below(&o->rng, CLUSTERS) * o->dim;
    for (uint32_t i = 0; i < o->dim; i++)
        ret[i] = centre[i] + 0.8f * (float)rng_normal(&o->rng);
    float norm = (float)sqrt(oracle_dot(ret, ret, o->dim));
    for (uint32_t i = 0; i < o->dim; i++)
        ret[i] /= norm;
}

static inline void oracle_begin(struct oracle *o, const struct vectors_options *options,
                                uint32_t room, uint64_t seed)
{
    *o = (struct oracle){.dim = options->dim, .room = (room + 63) / 64 * 64};
    rng_seed(&o->rng, seed);
    o->v = vectors_new(options);
    o->s = vectors_searcher_new();
    o->rows = calloc((size_t)o->room * o->dim, sizeof(float));
    o->live = calloc(o->room, 1);
    o->permit = calloc(o->room / 64, sizeof(uint64_t));
    o->centres = calloc((size_t)CLUSTERS * o->dim, sizeof(float));
    o->want = calloc(o->room, sizeof *o->want);
    o->got = calloc(o->room, sizeof *o->got);
    assert_true(o->v && o->s && o->rows && o->live && o->permit && o->centres && o->want && o->got);
    for (uint32_t i = 0; i < CLUSTERS * o->dim; i++)
        o->centres[i] = 0.3f + (float)rng_normal(&o->rng);
}

static inline void oracle_end(struct oracle *o)
{
    vectors_validate(o->v);
    vectors_free(o->v);
    vectors_searcher_free(o->s);
    free(o->rows);
    free(o->live);
    free(o->permit);
    free(o->centres);
    free(o->want);
    free(o->got);
}

static inline uint32_t oracle_put(struct oracle *o, const float *x)
{
    assert_true(vectors_reserve(o->v, 1));
    uint32_t slot = vectors_add(o->v, x);
    assert_true(slot < o->room && !o->live[slot] && vectors_has(o->v, slot));
    memcpy(o->rows + (size_t)slot * o->dim, x, o->dim * sizeof *x);
    o->live[slot] = true;
    return slot;
}

static inline uint32_t oracle_add(struct oracle *o)
{
    float x[VECTORS_DIM_MAX];
    oracle_draw(o, x);
    return oracle_put(o, x);
}

static inline void oracle_remove(struct oracle *o, uint32_t slot)
{
    vectors_remove(o->v, slot);
    o->live[slot] = false;
    assert_false(vectors_has(o->v, slot));
}

/* Any live slot. */
static inline uint32_t oracle_any(struct oracle *o)
{
    for (;;) {
        uint32_t slot = rng_below(&o->rng, o->room);
        if (o->live[slot])
            return slot;
    }
}

static inline void oracle_work(struct oracle *o)
{
    enum vectors_left left;
    while ((left = vectors_work(o->v, 100)) == VECTORS_MORE)
        ;
    assert_int_equal(left, VECTORS_DONE);
}

/* Permits about this share of all slots. */
static inline void oracle_permit(struct oracle *o, double share)
{
    o->permitted = 0;
    memset(o->permit, 0, o->room / 8);
    for (uint32_t i = 0; i < o->room; i++)
        if (rng_unit(&o->rng) < share) {
            o->permit[i / 64] |= (uint64_t)1 << i % 64;
            o->permitted += o->live[i];
        }
}

static inline bool oracle_may(const struct oracle *o, uint32_t slot, bool filtered)
{
    return o->live[slot] && (!filtered || (o->permit[slot / 64] >> slot % 64 & 1));
}

/* The exact answer in o->want, scores rounded to float; returns how many. */
static inline size_t oracle_want(struct oracle *o, const float *x, uint32_t k, bool filtered)
{
    struct topk best;
    topk_init(&best, o->want, k);
    for (uint32_t i = 0; i < o->room; i++)
        if (oracle_may(o, i, filtered))
            topk_offer(&best, (float)oracle_dot(x, o->rows + (size_t)i * o->dim, o->dim), i);
    return topk_sort(&best);
}

/* The index's answer in o->got, checked for what always holds: the number, the order, nothing
 * twice, nothing that may not be seen, and scores within `precision` of the true ones. */
static inline struct vectors_result_info oracle_got(struct oracle *o, const struct vectors_query *q,
                                                    double precision)
{
    struct vectors_result_info info;
    size_t count, n = 0;
    for (uint32_t i = 0; i < o->room; i++)
        n += oracle_may(o, i, q->permit != NULL);
    assert_true(vectors_search(o->v, q, o->s, o->got, &count, &info));
    assert_int_equal(count, q->k < n ? q->k : n);
    for (size_t i = 0; i < count; i++) {
        uint32_t slot = o->got[i].id;
        assert_true(slot < o->room && oracle_may(o, slot, q->permit != NULL));
        assert_true(!i || topk_before(o->got[i - 1], o->got[i]));
        double exact = oracle_dot(q->x, o->rows + (size_t)slot * o->dim, o->dim);
        assert_true(fabs(exact - (double)o->got[i].score) <= precision);
    }
    return info;
}

/* The share of the true k best that was found; a score as good as the k-th counts. */
static inline double oracle_recall(struct oracle *o, const struct vectors_query *q,
                                   double precision)
{
    size_t n = oracle_want(o, q->x, q->k, q->permit != NULL), found = 0;
    double least = n ? (double)o->want[n - 1].score : 0;
    least -= 1e-6 * (1 + fabs(least));
    oracle_got(o, q, precision);
    for (size_t i = 0; i < n; i++)
        found += oracle_dot(q->x, o->rows + (size_t)o->got[i].id * o->dim, o->dim) >= least;
    return n ? (double)found / (double)n : 1;
}

/* The mean over this many queries. */
static inline double oracle_mean_recall(struct oracle *o, struct vectors_query q, int queries,
                                        double precision)
{
    double sum = 0;
    float x[VECTORS_DIM_MAX];
    q.x = x;
    for (int i = 0; i < queries; i++) {
        oracle_draw(o, x);
        sum += oracle_recall(o, &q, precision);
    }
    return sum / queries;
}

#endif
