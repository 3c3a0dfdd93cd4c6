/* SPDX-License-Identifier: MIT
 *
 * What short codes of vectors need beside kernels.h: the fast Hadamard transform of a random
 * rotation, inner products of bits, and of int8 rows that lie anywhere.  One table per instruction
 * set, as there.
 *
 * n is a multiple of CODE_ALIGN from CODE_ALIGN to 4096 everywhere; no alignment is needed (64
 * bytes is fastest).  Pointers never overlap; inputs are finite.  All but dot_f32_i8 is the same
 * bit for bit over all tables.  Pure: any thread. */
#ifndef QMN_MATH_CODE_KERNELS_H
#define QMN_MATH_CODE_KERNELS_H

#include <stddef.h>
#include <stdint.h>

enum { CODE_ALIGN = 64, CODE_PLANES = 4 };

/* How bit_planes() rounded: v[i] is about low + step * level[i]. */
struct code_levels {
    float low, step;
    uint32_t sum; /* of all levels */
};

struct code_kernels {
    const char *name;

    /* v[i] *= factors[i], then the Walsh-Hadamard transform of v in natural order, not normalised:
     * stages of distance 1, 2, 4 ... n / 2, each one addition and one subtraction a pair.  n is a
     * power of two; v, factors: float[n]. */
    void (*hadamard)(float *v, size_t n, const float *factors);

    /* Bit i % 64 of ret_bits[i / 64] is v[i] >= 0. */
    void (*sign_bits)(const float *v, size_t n, uint64_t *ret_bits);

    /* level[i] = round((v[i] - min) 15 / (max - min)), ties to even; bit b of it goes to bit i % 64
     * of ret_planes[b n / 64 + i / 64].  All equal: levels and step are 0. */
    struct code_levels (*bit_planes)(const float *v, size_t n, uint64_t *ret_planes);

    /* ret[r] = sum over the set bits i of rows[r] of level[i].  rows: count pointers to n bits
     * each; planes as above. */
    void (*dot_bits)(const void *const *rows, size_t count, const uint64_t *planes, size_t n,
                     uint32_t *ret);

    /* ret[r] = sum rows[r][i] query[i]; codes in [-127, 127]. */
    void (*dot_i8_at)(const int8_t *const *rows, size_t count, const int8_t *query, size_t n,
                      int32_t *ret);

    /* sum a[i] b[i].  |error| <= (n / 32 + 6) 2^-24 sum |a[i] b[i]|. */
    float (*dot_f32_i8)(const float *a, const int8_t *b, size_t n);
};

/* The one that goes with math_kernels(). */
const struct code_kernels *math_code_kernels(void);
/* NULL if unknown here or not supported by this processor. */
const struct code_kernels *math_code_kernels_named(const char *name);

#endif
