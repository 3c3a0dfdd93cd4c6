/* SPDX-License-Identifier: MIT
 *
 * Short codes of rotated vectors: one bit a dimension, and int8.
 *
 * The bits are those of [RaBitQ: Gao and Long, "RaBitQ: Quantizing High-Dimensional Vectors with a
 * Theoretical Error Bound for Approximate Nearest Neighbor Search", SIGMOD 2024].  Let r be a row
 * and q a query, both rotated, d the padded dimension and s the signs of r.  Then
 *
 *     <q, r>  is about  factor <q, s>,   factor = |r|^2 / |r|_1
 *
 * which is unbiased over the rotations: s / sqrt(d) leans by a = |r|_1 / (|r| sqrt(d)), about .8,
 * towards r, and what is left of it points anywhere.  The standard deviation is
 * |q| |r| sqrt((1 - a^2) / a^2 / (d - 1)), about .75 |q| |r| / sqrt(d), and the tails are
 * Gaussian's. The query has 4 bits a dimension, which adds a fiftieth to that.
 *
 * A row may be told of relative to a centre c, which makes it shorter where all point the same way:
 * <q, r> = <q, c> + <q - c, r - c> + <c, r - c>, and only the middle is estimated. */
#ifndef QMN_INDEX_CODES_H
#define QMN_INDEX_CODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "index/rotation.h"

/* Stands behind the bits of each row. */
struct codes_tail {
    float factor;
    float add;     /* <c, r - c> */
    float error;   /* standard deviation of an estimate for a query of length 1 */
    uint32_t ones; /* bits set */
};

struct codes {
    struct rotation rotation;
    uint32_t dim, padded; /* the rotation's */
    uint32_t tail_at;     /* bytes of bits in a row */
    uint32_t bits_stride; /* bytes of bits and tail, in whole cache lines */
    uint32_t i8_stride;   /* padded */
};

QMN_NODISCARD bool codes_init(struct codes *c, uint32_t dim, uint64_t seed);
void codes_release(struct codes *c);

/* Writes the bits and the tail of one row.  rotated: float[padded]; centre the same, or NULL for
 * the origin; scratch: float[padded].  ret_row: bits_stride bytes, 8-byte aligned. */
void codes_encode(const struct codes *c, const float *rotated, const float *centre, float *scratch,
                  void *ret_row);

static inline const struct codes_tail *codes_tail_of(const struct codes *c, const void *row)
{
    return (const void *)((const char *)row + c->tail_at);
}

/* A query in both codes.  The arrays are the query's own. */
struct codes_query {
    float *rotated;   /* [padded] */
    float *residual;  /* [padded], rotated - centre */
    uint64_t *planes; /* [4 padded / 64] of the residual */
    int8_t *i8;       /* [padded] */
    uint32_t padded;  /* that there is room for */
    float i8_scale;   /* rotated is about i8_scale i8 */
    float norm;       /* |rotated| */
    float error;      /* an estimate's standard deviation is error times the row's */
    float per_one, per_level, offset, base; /* the estimate is base + add + factor (per_one ones +
                                               per_level levels + offset) */
};

/* Room for queries of these codes; False: out of memory. */
QMN_NODISCARD bool codes_query_reserve(struct codes_query *q, const struct codes *c);
void codes_query_release(struct codes_query *q);
/* After reserve.  x: float[dim]; centre: the rows'. */
void codes_query_set(struct codes_query *q, const struct codes *c, const float *x,
                     const float *centre);

/* The same of a row that is held as scale times its int8. */
void codes_query_set_row(struct codes_query *q, const struct codes *c, const int8_t *row,
                         float scale, const float *centre);

/* ret[i]: the estimate of <q, rows[i]>. */
void codes_estimate(const struct codes *c, const struct codes_query *q, const void *const *rows,
                    size_t count, float *ret);
/* And ret_highest[i], that many standard deviations above it. */
void codes_estimate_highest(const struct codes *c, const struct codes_query *q,
                            const void *const *rows, size_t count, float deviations, float *ret,
                            float *ret_highest);

/* How far <query, scale codes> may be from <query, row>, one standard deviation: each element was
 * rounded by up to scale / 2, either way, whatever the query. */
static inline float codes_i8_error(float query_norm, float scale)
{
    return query_norm * scale * 0.28867513f; /* 1 / sqrt(12) */
}

#endif
