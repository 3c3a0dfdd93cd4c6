/* SPDX-License-Identifier: MIT
 *
 * The reference: plain C, one obvious loop each.  Runs where nothing better does, and is the oracle
 * of the tests.  Float sums run in float64, so its error is the rounding of the result. */
#include "kernels_priv.h"

#include <math.h>
#include <string.h>

static uint32_t float_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static float bits_float(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

/* float16: 1 sign, 5 exponent (bias 15), 10 mantissa bits; float32: 1, 8 (bias 127), 23. */
static uint16_t half_of(float f)
{
    uint32_t u = float_bits(f), sign = (u >> 16) & 0x8000, mag = u & 0x7fffffff;
    if (mag > 0x7f800000)
        return (uint16_t)(sign | 0x7e00 | ((mag >> 13) & 0x1ff)); /* NaN, made quiet */
    if (mag >= 0x477ff000) /* 65520: rounds up out of range */
        return (uint16_t)(sign | 0x7c00);
    uint32_t shift = 13, value, base = 0;
    if (mag >= 0x38800000) { /* 2^-14: normal */
        value = mag & 0x7fffff;
        base = ((mag >> 23) - 112) << 10;
    } else {
        uint32_t exponent = mag >> 23;
        if (exponent < 102) /* below 2^-25: less than half the smallest */
            return (uint16_t)sign;
        value = (mag & 0x7fffff) | 0x800000;
        shift = 126 - exponent; /* 14 .. 24 */
    }
    uint32_t kept = value >> shift, lost = value & ((1u << shift) - 1), half = 1u << (shift - 1);
    kept +=
        lost > half || (lost == half && (kept & 1)); /* a carry moves into the exponent: right */
    return (uint16_t)(sign | (base + kept));
}

static float half_value(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = (h >> 10) & 31, mantissa = h & 0x3ff;
    if (exponent == 31) {
        uint32_t quiet = mantissa ? 0x400000 : 0;
        return bits_float(sign | 0x7f800000 | quiet | mantissa << 13);
    }
    if (exponent == 0) {
        float magnitude = (float)mantissa * 0x1p-24f;
        return sign ? -magnitude : magnitude;
    }
    return bits_float(sign | (exponent + 112) << 23 | mantissa << 13);
}

/* Eight sums in turn: one alone would wait for each addition to finish before the next. */
enum { LANES = 8 };

static float add_lanes(const double lane[LANES])
{
    return (float)(((lane[0] + lane[1]) + (lane[2] + lane[3])) +
                   ((lane[4] + lane[5]) + (lane[6] + lane[7])));
}

static float dot_f32(const float *a, const float *b, size_t dim)
{
    double lane[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= dim; i += LANES)
        for (size_t j = 0; j < LANES; j++)
            lane[j] += (double)a[i + j] * (double)b[i + j];
    for (; i < dim; i++)
        lane[i % LANES] += (double)a[i] * (double)b[i];
    return add_lanes(lane);
}

static float dot_f32_f16(const float *a, const uint16_t *b, size_t dim)
{
    double lane[LANES] = {0};
    for (size_t i = 0; i < dim; i++)
        lane[i % LANES] += (double)a[i] * (double)half_value(b[i]);
    return add_lanes(lane);
}

static void f32_to_f16(const float *in, size_t count, uint16_t *ret)
{
    for (size_t i = 0; i < count; i++)
        ret[i] = half_of(in[i]);
}

static void f16_to_f32(const uint16_t *in, size_t count, float *ret)
{
    for (size_t i = 0; i < count; i++)
        ret[i] = half_value(in[i]);
}

static bool all_finite_f32(const float *v, size_t dim)
{
    uint32_t bad = 0; /* no early exit: almost always all are finite */
    for (size_t i = 0; i < dim; i++)
        bad |= (float_bits(v[i]) & 0x7f800000) == 0x7f800000;
    return !bad;
}

static size_t places_at_least(const float *v, size_t count, float bar, uint32_t *ret_places)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        ret_places[n] = (uint32_t)i;
        n += v[i] >= bar;
    }
    return n;
}

static void join_sets(uint64_t *v, size_t words, const struct kernels_set *sets, size_t count)
{
    for (size_t s = 0; s < count; s++)
        for (size_t w = 0; w < words && w < sets[s].words; w++)
            v[w] |= sets[s].bits[w];
}

static void add_where(float *v, size_t words, const struct kernels_term *terms, size_t count)
{
    for (size_t t = 0; t < count; t++)
        for (size_t w = 0; w < words; w++)
            for (uint64_t rest = terms[t].bits[w]; rest; rest &= rest - 1)
                v[w * 64 + (size_t)__builtin_ctzll(rest)] += terms[t].add;
}

static void score_where(const float *a, const float *b, const uint8_t *rank, uint8_t least,
                        size_t count, float *ret)
{
    for (size_t i = 0; i < count; i++) {
        float score = (a[i] > 0 ? a[i] : 0) * (1 + b[i]) * 0.5f;
        ret[i] = rank[i] >= least ? score : -1;
    }
}

static float quantise_i8(const float *v, size_t dim, int8_t *ret_codes)
{
    float max = 0;
    for (size_t i = 0; i < dim; i++)
        max = fabsf(v[i]) > max ? fabsf(v[i]) : max;
    if (!(max > QUANTISE_ZERO)) {
        memset(ret_codes, 0, dim);
        return 0;
    }
    float inverse = 127.0f / max;
    for (size_t i = 0; i < dim; i++)
        ret_codes[i] = (int8_t)lrintf(v[i] * inverse);
    return max / 127.0f;
}

static float quantise_rest_i8(const float *v, size_t dim, int8_t *ret_codes, float *ret_rest,
                              float *ret_error)
{
    double sum = 0;
    float scale = quantise_i8(v, dim, ret_codes);
    for (size_t i = 0; i < dim; i++) {
        ret_rest[i] = v[i] - scale * (float)ret_codes[i];
        sum += (double)ret_rest[i] * (double)ret_rest[i];
    }
    *ret_error = (float)sqrt(sum);
    return scale;
}

static int32_t dot_i8(const int8_t *a, const int8_t *b, size_t dim)
{
    int32_t sum = 0;
    for (size_t i = 0; i < dim; i++)
        sum += a[i] * b[i];
    return sum;
}

static void dot_i8_rows(const int8_t *rows, size_t stride, size_t count, const int8_t *query,
                        size_t dim, int32_t *ret)
{
    for (size_t r = 0; r < count; r++)
        ret[r] = dot_i8(rows + r * stride, query, dim);
}

static void dot_i8_tile(const int8_t *rows, size_t stride, size_t count,
                        const int8_t *const *queries, size_t n_queries, size_t dim, int32_t *ret)
{
    for (size_t r = 0; r < count; r++)
        for (size_t q = 0; q < n_queries; q++)
            ret[q * count + r] = dot_i8(rows + r * stride, queries[q], dim);
}

static void dot_i8_planes(const int8_t *const a[2], const int8_t *const b[2], size_t dim,
                          int32_t ret[4])
{
    for (size_t i = 0; i < 4; i++)
        ret[i] = dot_i8(a[i / 2], b[i % 2], dim);
}

const struct kernels kernels_scalar = {
    .name = "scalar",
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
