/* SPDX-License-Identifier: MIT
 *
 * 64-bit ARM.  The table exists so that choice, tests and QMN_KERNELS know the name; every entry is
 * the scalar one until kernels of its own are measured on such a machine.  The compiler vectorises
 * the integer loops there already, NEON being part of the base instruction set. */
#include "kernels_priv.h"

static float dot_f32(const float *a, const float *b, size_t dim)
{
    return kernels_scalar.dot_f32(a, b, dim);
}

static float dot_f32_f16(const float *a, const uint16_t *b, size_t dim)
{
    return kernels_scalar.dot_f32_f16(a, b, dim);
}

static void f32_to_f16(const float *in, size_t count, uint16_t *ret)
{
    kernels_scalar.f32_to_f16(in, count, ret);
}

static void f16_to_f32(const uint16_t *in, size_t count, float *ret)
{
    kernels_scalar.f16_to_f32(in, count, ret);
}

static bool all_finite_f32(const float *v, size_t dim)
{
    return kernels_scalar.all_finite_f32(v, dim);
}

static size_t places_at_least(const float *v, size_t count, float bar, uint32_t *ret_places)
{
    return kernels_scalar.places_at_least(v, count, bar, ret_places);
}

static void join_sets(uint64_t *v, size_t words, const struct kernels_set *sets, size_t count)
{
    kernels_scalar.join_sets(v, words, sets, count);
}

static void add_where(float *v, size_t words, const struct kernels_term *terms, size_t count)
{
    kernels_scalar.add_where(v, words, terms, count);
}

static void score_where(const float *a, const float *b, const uint8_t *rank, uint8_t least,
                        size_t count, float *ret)
{
    kernels_scalar.score_where(a, b, rank, least, count, ret);
}

static float quantise_i8(const float *v, size_t dim, int8_t *ret_codes)
{
    return kernels_scalar.quantise_i8(v, dim, ret_codes);
}

static float quantise_rest_i8(const float *v, size_t dim, int8_t *ret_codes, float *ret_rest,
                              float *ret_error)
{
    return kernels_scalar.quantise_rest_i8(v, dim, ret_codes, ret_rest, ret_error);
}

static void dot_i8_rows(const int8_t *rows, size_t stride, size_t count, const int8_t *query,
                        size_t dim, int32_t *ret)
{
    kernels_scalar.dot_i8_rows(rows, stride, count, query, dim, ret);
}

static void dot_i8_tile(const int8_t *rows, size_t stride, size_t count,
                        const int8_t *const *queries, size_t n_queries, size_t dim, int32_t *ret)
{
    kernels_scalar.dot_i8_tile(rows, stride, count, queries, n_queries, dim, ret);
}

static void dot_i8_planes(const int8_t *const a[2], const int8_t *const b[2], size_t dim,
                          int32_t ret[4])
{
    kernels_scalar.dot_i8_planes(a, b, dim, ret);
}

const struct kernels kernels_neon = {
    .name = "neon",
    .dot_f32 = dot_f32,
    .dot_f32_f16 = dot_f32_f16,
    .f32_to_f16 = f32_to_f16,
    .f16_to_f32 = f16_to_f32,
    .all_finite_f32 = all_finite_f32,
    .places_at_least = places_at_least,
    .join_sets = join_sets,
    .add_where = add_where,
    .score_where = score_where,
    .quantise_i8 = quantise_i8,
    .quantise_rest_i8 = quantise_rest_i8,
    .dot_i8_rows = dot_i8_rows,
    .dot_i8_tile = dot_i8_tile,
    .dot_i8_planes = dot_i8_planes,
};
