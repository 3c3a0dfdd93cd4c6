/* SPDX-License-Identifier: MIT
 *
 * A random orthogonal rotation that costs n log n: rounds of random signs and a Hadamard transform,
 * of the first and of the last elements in turn, as many as the largest power of two that fits.
 * They overlap in at least half of it, so that every element reaches every other whatever the
 * dimension.  After it a vector's elements look like Gaussian noise, spikes and all, which is what
 * codes of one bit and one scale a vector need.
 *
 * Read only once it is made: any thread. */
#ifndef QMN_INDEX_ROTATION_H
#define QMN_INDEX_ROTATION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

enum { ROTATION_ROUNDS = 4 }; /* the fewest after which one element is spread over all of 1536 */

struct rotation {
    uint32_t dim;    /* of what goes in: 2 .. 4096 */
    uint32_t padded; /* of what comes out: the next multiple of 64 */
    uint32_t part;   /* of one transform: a power of two, 64 .. padded */
    float *factors;  /* [ROTATION_ROUNDS][part]: +-1 / sqrt(part); then 1, part times */
};

/* False: out of memory, and nothing to release. */
QMN_NODISCARD bool rotation_init(struct rotation *r, uint32_t dim, uint64_t seed);
void rotation_release(struct rotation *r);

/* x: float[dim], ret: float[padded], not overlapping.  Inner products stay what they were but for
 * rounding: |x| within 1e-6 of it.  The same bit for bit on every machine. */
void rotation_apply(const struct rotation *r, const float *x, float *ret);
/* The reverse, to rounding.  rotated: float[padded], used up; ret: float[dim]. */
void rotation_undo(const struct rotation *r, float *rotated, float *ret);

#endif
