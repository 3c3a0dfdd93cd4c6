/* SPDX-License-Identifier: MIT
 *
 * Inner products, conversions and quantisation over float32, float16 and int8 vectors, one
 * implementation per instruction set behind one const table.  scalar is the reference and the test
 * oracle.
 *
 * Any dim from 1 up; no alignment is needed (64 bytes is fastest).  Pointers never overlap.  Inputs
 * are finite unless a comment says otherwise.  Everything here is pure: any thread. */
#ifndef QMN_MATH_KERNELS_H
#define QMN_MATH_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    KERNELS_TILE_MAX = 8,      /* queries per dot_i8_tile call; more would gain little */
    KERNELS_ROW_ALIGN = 64,    /* an int8 row's stride is a multiple of this */
    KERNELS_PLACES_EXTRA = 15, /* room behind the places that places_at_least may overwrite */
};

/* Bytes of one int8 row of `dim` codes. */
static inline size_t kernels_i8_stride(size_t dim)
{
    return (dim + KERNELS_ROW_ALIGN - 1) / KERNELS_ROW_ALIGN * KERNELS_ROW_ALIGN;
}

/* Bit i is bit i % 64 of bits[i / 64]; those behind `words` are 0. */
struct kernels_set {
    const uint64_t *bits;
    size_t words;
};

/* What to add where a bit is set. */
struct kernels_term {
    const uint64_t *bits;
    float add;
};

struct kernels {
    const char *name;

    /* sum a[i] b[i]; a, b: float[dim].  Accumulator: scalar float64, avx2 32 lanes and avx512 64
     * lanes of float32 with fused multiply-add.  |error| <= (dim / lanes + 6) 2^-24 sum |a[i] b[i]|
     * (scalar: 2^-24 |result|), so < 4e-6 for unit vectors of 4096 dimensions.  The tables differ
     * from each other within that bound. */
    float (*dot_f32)(const float *a, const float *b, size_t dim);
    /* The same with b in IEEE float16, converted exactly.  Same bound. */
    float (*dot_f32_f16)(const float *a, const uint16_t *b, size_t dim);

    /* IEEE float16, round to nearest even; beyond 65504 (65520 rounds up) infinity; NaN stays NaN
     * (quiet, upper payload bits).  Bit-identical over all tables. */
    void (*f32_to_f16)(const float *in, size_t count, uint16_t *ret);
    /* Exact. */
    void (*f16_to_f32)(const uint16_t *in, size_t count, float *ret);

    /* No infinity and no NaN among v: float[dim] (any input). */
    bool (*all_finite_f32)(const float *v, size_t dim);

    /* The places i with v[i] >= bar, in order; returns how many.  v: float[count], NaN never
     * reaches a bar; ret_places: uint32_t[count + KERNELS_PLACES_EXTRA].  The same over all tables.
     */
    size_t (*places_at_least)(const float *v, size_t count, float bar, uint32_t *ret_places);

    /* v[w] |= sets[s].bits[w] for each s < count and each w below `words` and the set's own; many
     * at once, because each word of v is then read and written once.  The same over all tables. */
    void (*join_sets)(uint64_t *v, size_t words, const struct kernels_set *sets, size_t count);

    /* v[i] += terms[t].add for each t < count, in order, whose bit i is set; v: float[64 words],
     * terms[t].bits: uint64_t[words].  Several at once, because v is then read and written once.
     * The same over all tables. */
    void (*add_where)(float *v, size_t words, const struct kernels_term *terms, size_t count);

    /* ret[i] = max(a[i], 0) (1 + b[i]) / 2 where rank[i] >= least, -1 elsewhere; all of `count`. A
     * NaN in a counts as 0.  The same over all tables. */
    void (*score_where)(const float *a, const float *b, const uint8_t *rank, uint8_t least,
                        size_t count, float *ret);

    /* codes[i] = round(v[i] 127 / max |v|), ties to even, in [-127, 127]; returns scale = max |v| /
     * 127, so v[i] is about scale * codes[i] within scale / 2.  A vector without an element above
     * 1e-30 gives scale 0 and zero codes.  Writes exactly dim codes; bit-identical over all tables.
     *
     * For unit vectors a, b: |a.b - scale_a scale_b (codes_a.codes_b)| <= sqrt(dim) (scale_a +
     * scale_b) / 2 at worst; rounding errors are independent in practice, and then the standard
     * deviation is about sqrt(scale_a^2 + scale_b^2) / sqrt(12): .0008 for random 1536-d. */
    float (*quantise_i8)(const float *v, size_t dim, int8_t *ret_codes);
    /* The same, and what the codes leave, to be quantised in turn: rest[i] = v[i] - scale codes[i],
     * product and difference rounded to float32 each, at most scale / 2.  ret_rest may be v itself.
     * Bit-identical over all tables, but for *ret_error = |rest|, within 1e-5 of it for unit
     * vectors. */
    float (*quantise_rest_i8)(const float *v, size_t dim, int8_t *ret_codes, float *ret_rest,
                              float *ret_error);

    /* ret[r] = sum rows[r * stride + i] query[i], r < count.  query: int8[dim]; rows: count rows,
     * each readable for stride bytes (a multiple of 64, >= dim); what follows a row's dim codes is
     * ignored.  Codes are in [-127, 127].  Exact (int32: |result| <= 4096 * 127^2 < 2^27), the same
     * over all tables. */
    void (*dot_i8_rows)(const int8_t *rows, size_t stride, size_t count, const int8_t *query,
                        size_t dim, int32_t *ret);
    /* The same for n_queries in [1, KERNELS_TILE_MAX] at once, reading each row once:
     * ret[q * count + r]. */
    void (*dot_i8_tile)(const int8_t *rows, size_t stride, size_t count,
                        const int8_t *const *queries, size_t n_queries, size_t dim, int32_t *ret);
    /* The products of two planes with two, reading each once: ret[2 i + j] = sum a[i][k] b[j][k].
     * a[], b[]: int8[dim] each, codes in [-127, 127].  Exact, the same over all tables. */
    void (*dot_i8_planes)(const int8_t *const a[2], const int8_t *const b[2], size_t dim,
                          int32_t ret[4]);
};

/* The best table this processor runs, chosen at the first call. QMN_KERNELS=scalar|avx2|avx512|neon
 * in the environment forces one (for debugging; a name that cannot run is logged and ignored). */
const struct kernels *math_kernels(void);
/* NULL if unknown here or not supported by this processor. */
const struct kernels *math_kernels_named(const char *name);

#endif
