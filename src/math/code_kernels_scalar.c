/* SPDX-License-Identifier: MIT
 *
 * The reference: plain C, the oracle of the tests. */
#include "code_kernels_priv.h"

#include <math.h>
#include <string.h>

static void hadamard(float *v, size_t n, const float *factors)
{
    for (size_t i = 0; i < n; i++)
        v[i] *= factors[i];
    for (size_t h = 1; h < n; h *= 2)
        for (size_t at = 0; at < n; at += 2 * h)
            for (size_t i = at; i < at + h; i++) {
                float a = v[i], b = v[i + h];
                v[i] = a + b;
                v[i + h] = a - b;
            }
}

static void sign_bits(const float *v, size_t n, uint64_t *ret_bits)
{
    memset(ret_bits, 0, n / 8);
    for (size_t i = 0; i < n; i++)
        ret_bits[i / 64] |= (uint64_t)(v[i] >= 0) << i % 64;
}

static struct code_levels bit_planes(const float *v, size_t n, uint64_t *ret_planes)
{
    float low = v[0], high = v[0];
    for (size_t i = 1; i < n; i++) {
        low = v[i] < low ? v[i] : low;
        high = v[i] > high ? v[i] : high;
    }
    struct code_levels r = {.low = low};
    memset(ret_planes, 0, CODE_PLANES * n / 8);
    float inverse = 15.0f / (high - low);
    if (!(high > low) || !isfinite(inverse))
        return r;
    r.step = (high - low) / 15.0f;
    for (size_t i = 0; i < n; i++) {
        uint32_t level = (uint32_t)lrintf((v[i] - low) * inverse);
        r.sum += level;
        for (size_t b = 0; b < CODE_PLANES; b++)
            ret_planes[(b * n + i) / 64] |= (uint64_t)(level >> b & 1) << i % 64;
    }
    return r;
}

static void dot_bits(const void *const *rows, size_t count, const uint64_t *planes, size_t n,
                     uint32_t *ret)
{
    for (size_t r = 0; r < count; r++) {
        const uint64_t *row = rows[r];
        uint32_t sum = 0;
        for (size_t w = 0; w < n / 64; w++)
            for (size_t b = 0; b < CODE_PLANES; b++)
                sum += (uint32_t)__builtin_popcountll(row[w] & planes[b * n / 64 + w]) << b;
        ret[r] = sum;
    }
}

static void dot_i8_at(const int8_t *const *rows, size_t count, const int8_t *query, size_t n,
                      int32_t *ret)
{
    for (size_t r = 0; r < count; r++) {
        int32_t sum = 0;
        for (size_t i = 0; i < n; i++)
            sum += rows[r][i] * query[i];
        ret[r] = sum;
    }
}

static float dot_f32_i8(const float *a, const int8_t *b, size_t n)
{
    double lane[8] = {0};
    for (size_t i = 0; i < n; i += 8)
        for (size_t j = 0; j < 8; j++)
            lane[j] += (double)a[i + j] * b[i + j];
    return (float)(((lane[0] + lane[1]) + (lane[2] + lane[3])) +
                   ((lane[4] + lane[5]) + (lane[6] + lane[7])));
}

const struct code_kernels code_kernels_scalar = {
    .name = "scalar",
    .hadamard = hadamard,
    .sign_bits = sign_bits,
    .bit_planes = bit_planes,
    .dot_bits = dot_bits,
    .dot_i8_at = dot_i8_at,
    .dot_f32_i8 = dot_f32_i8,
};
