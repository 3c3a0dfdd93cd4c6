/* SPDX-License-Identifier: MIT
 *
 * AVX-512 F, BW, VL, VNNI and VPOPCNTDQ. */
#include "code_kernels_priv.h"

#include <immintrin.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

/* ---- Hadamard ---- */

/* One stage inside a register: `other` is v with each pair's elements exchanged, `upper` marks the
 * second of each pair. */
INLINE __m512 stage(__m512 v, __m512 other, __mmask16 upper)
{
    return _mm512_mask_sub_ps(_mm512_add_ps(other, v), upper, other, v);
}

INLINE __m512 stages16(__m512 v)
{
    v = stage(v, _mm512_permute_ps(v, 0xb1), 0xaaaa);
    v = stage(v, _mm512_permute_ps(v, 0x4e), 0xcccc);
    v = stage(v, _mm512_shuffle_f32x4(v, v, 0xb1), 0xf0f0);
    return stage(v, _mm512_shuffle_f32x4(v, v, 0x4e), 0xff00);
}

INLINE void butterfly(__m512 *a, __m512 *b)
{
    __m512 sum = _mm512_add_ps(*a, *b);
    *b = _mm512_sub_ps(*a, *b);
    *a = sum;
}

/* The first stages, up to a distance of 8 * regs: all inside `regs` registers. */
INLINE void block(float *v, const float *factors, const size_t regs)
{
    __m512 x[16];
    for (size_t i = 0; i < regs; i++)
        x[i] =
            stages16(_mm512_mul_ps(_mm512_loadu_ps(v + 16 * i), _mm512_loadu_ps(factors + 16 * i)));
    for (size_t h = 1; h < regs; h *= 2)
        for (size_t i = 0; i < regs; i++)
            if (!(i & h))
                butterfly(&x[i], &x[i + h]);
    for (size_t i = 0; i < regs; i++)
        _mm512_storeu_ps(v + 16 * i, x[i]);
}

/* Two stages, of distance h and 2 h, in one pass. */
INLINE void two_stages(float *v, size_t n, size_t h)
{
    for (size_t at = 0; at < n; at += 4 * h)
        for (float *p = v + at; p < v + at + h; p += 16) {
            __m512 x[4];
            for (size_t j = 0; j < 4; j++)
                x[j] = _mm512_loadu_ps(p + j * h);
            butterfly(&x[0], &x[1]);
            butterfly(&x[2], &x[3]);
            butterfly(&x[0], &x[2]);
            butterfly(&x[1], &x[3]);
            for (size_t j = 0; j < 4; j++)
                _mm512_storeu_ps(p + j * h, x[j]);
        }
}

static void hadamard(float *v, size_t n, const float *factors)
{
    if (n == 64) {
        block(v, factors, 4);
        return;
    }
    if (n == 128) {
        block(v, factors, 8);
        return;
    }
    for (size_t at = 0; at < n; at += 256)
        block(v + at, factors + at, 16);
    size_t h = 256;
    for (; 2 * h < n; h *= 4)
        two_stages(v, n, h);
    if (h < n)
        for (size_t i = 0; i < h; i += 16) {
            __m512 a = _mm512_loadu_ps(v + i), b = _mm512_loadu_ps(v + i + h);
            butterfly(&a, &b);
            _mm512_storeu_ps(v + i, a);
            _mm512_storeu_ps(v + i + h, b);
        }
}

/* ---- bits of floats ---- */

static void sign_bits(const float *v, size_t n, uint64_t *ret_bits)
{
    for (size_t i = 0; i < n; i += 64) {
        uint64_t word = 0;
        for (size_t j = 0; j < 4; j++)
            word |= (uint64_t)_mm512_cmp_ps_mask(_mm512_loadu_ps(v + i + 16 * j),
                                                 _mm512_setzero_ps(), _CMP_GE_OQ)
                    << 16 * j;
        ret_bits[i / 64] = word;
    }
}

static struct code_levels bit_planes(const float *v, size_t n, uint64_t *ret_planes)
{
    __m512 lows = _mm512_loadu_ps(v), highs = lows;
    for (size_t i = 16; i < n; i += 16) {
        lows = _mm512_min_ps(lows, _mm512_loadu_ps(v + i));
        highs = _mm512_max_ps(highs, _mm512_loadu_ps(v + i));
    }
    struct code_levels r = {.low = _mm512_reduce_min_ps(lows)};
    float range = _mm512_reduce_max_ps(highs) - r.low, inverse = 15.0f / range;
    memset(ret_planes, 0, CODE_PLANES * n / 8);
    if (!(range > 0) || !__builtin_isfinite(inverse))
        return r;
    r.step = range / 15.0f;
    const __m512 low = _mm512_set1_ps(r.low), by = _mm512_set1_ps(inverse);
    __m512i sum = _mm512_setzero_si512();
    for (size_t i = 0; i < n; i += 16) {
        __m512i level =
            _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_sub_ps(_mm512_loadu_ps(v + i), low), by));
        sum = _mm512_add_epi32(sum, level);
        for (size_t b = 0; b < CODE_PLANES; b++)
            ret_planes[(b * n + i) / 64] |=
                (uint64_t)_mm512_test_epi32_mask(level, _mm512_set1_epi32(1 << b)) << i % 64;
    }
    r.sum = (uint32_t)_mm512_reduce_add_epi32(sum);
    return r;
}

/* ---- products ---- */

/* The sums of the lanes of four vectors. */
INLINE __m256i reduce4_epi64(__m512i a, __m512i b, __m512i c, __m512i d)
{
    __m512i ab = _mm512_add_epi64(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
    __m512i cd = _mm512_add_epi64(_mm512_unpacklo_epi64(c, d), _mm512_unpackhi_epi64(c, d));
    __m256i ab2 = _mm256_add_epi64(_mm512_castsi512_si256(ab), _mm512_extracti64x4_epi64(ab, 1));
    __m256i cd2 = _mm256_add_epi64(_mm512_castsi512_si256(cd), _mm512_extracti64x4_epi64(cd, 1));
    return _mm256_add_epi64(_mm256_permute2x128_si256(ab2, cd2, 0x20),
                            _mm256_permute2x128_si256(ab2, cd2, 0x31));
}

INLINE __m512i weigh(const __m512i sums[CODE_PLANES])
{
    __m512i low = _mm512_add_epi64(sums[0], _mm512_slli_epi64(sums[1], 1));
    __m512i high = _mm512_add_epi64(sums[2], _mm512_slli_epi64(sums[3], 1));
    return _mm512_add_epi64(low, _mm512_slli_epi64(high, 2));
}

INLINE __mmask8 mask8(size_t left)
{
    return (__mmask8)(left < 8 ? (1u << left) - 1 : 255u);
}

/* n_rows and, where it counts, n are constants where it is inlined. */
INLINE void bits_of(const void *const *rows, const size_t n_rows, const uint64_t *planes,
                    const size_t n, uint32_t *ret)
{
    __m512i sums[4][CODE_PLANES];
    for (size_t r = 0; r < 4; r++)
        for (size_t b = 0; b < CODE_PLANES; b++)
            sums[r][b] = _mm512_setzero_si512();
    for (size_t w = 0; w < n / 64; w += 8) {
        __mmask8 mask = mask8(n / 64 - w);
        __m512i plane[CODE_PLANES];
        for (size_t b = 0; b < CODE_PLANES; b++)
            plane[b] = _mm512_maskz_loadu_epi64(mask, planes + b * n / 64 + w);
        for (size_t r = 0; r < n_rows; r++) {
            __m512i row = _mm512_maskz_loadu_epi64(mask, (const uint64_t *)rows[r] + w);
            for (size_t b = 0; b < CODE_PLANES; b++)
                sums[r][b] = _mm512_add_epi64(sums[r][b],
                                              _mm512_popcnt_epi64(_mm512_and_si512(row, plane[b])));
        }
    }
    if (n_rows == 4) {
        __m256i four =
            reduce4_epi64(weigh(sums[0]), weigh(sums[1]), weigh(sums[2]), weigh(sums[3]));
        _mm_storeu_si128((__m128i *)(void *)ret, _mm256_cvtepi64_epi32(four));
    } else {
        for (size_t r = 0; r < n_rows; r++)
            ret[r] = (uint32_t)_mm512_reduce_add_epi64(weigh(sums[r]));
    }
}

INLINE void bits_of_all(const void *const *rows, size_t count, const uint64_t *planes,
                        const size_t n, uint32_t *ret)
{
    size_t r = 0;
    for (; r + 4 <= count; r += 4)
        bits_of(rows + r, 4, planes, n, ret + r);
    for (; r < count; r++)
        bits_of(rows + r, 1, planes, n, ret + r);
}

static void dot_bits(const void *const *rows, size_t count, const uint64_t *planes, size_t n,
                     uint32_t *ret)
{
    if (n == 1536) /* a common dimension: the planes stay in registers */
        bits_of_all(rows, count, planes, 1536, ret);
    else
        bits_of_all(rows, count, planes, n, ret);
}

/* As in kernels_avx512.c: a row's flipped bytes are row + 128, unsigned; 128 sum(query) goes off.
 */
INLINE __m512i flipped(const int8_t *row)
{
    return _mm512_xor_si512(_mm512_loadu_si512(row), _mm512_set1_epi8(-128));
}

static int32_t flip_excess(const int8_t *query, size_t n)
{
    __m512i sum = _mm512_setzero_si512();
    for (size_t i = 0; i < n; i += 64)
        sum = _mm512_dpbusd_epi32(sum, _mm512_set1_epi8(-128), _mm512_loadu_si512(query + i));
    return _mm512_reduce_add_epi32(sum);
}

INLINE __m128i reduce4_epi32(__m512i a, __m512i b, __m512i c, __m512i d)
{
    __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    __m512i four = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    __m256i half =
        _mm256_add_epi32(_mm512_castsi512_si256(four), _mm512_extracti64x4_epi64(four, 1));
    return _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

static void dot_i8_at(const int8_t *const *rows, size_t count, const int8_t *query, size_t n,
                      int32_t *ret)
{
    const int32_t excess = flip_excess(query, n);
    size_t r = 0;
    for (; r + 4 <= count; r += 4) {
        __m512i sums[4] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(),
                           _mm512_setzero_si512()};
        for (size_t i = 0; i < n; i += 64) {
            __m512i q = _mm512_loadu_si512(query + i);
            for (size_t j = 0; j < 4; j++)
                sums[j] = _mm512_dpbusd_epi32(sums[j], flipped(rows[r + j] + i), q);
        }
        __m128i four = reduce4_epi32(sums[0], sums[1], sums[2], sums[3]);
        _mm_storeu_si128((__m128i *)(void *)(ret + r), _mm_sub_epi32(four, _mm_set1_epi32(excess)));
    }
    for (; r < count; r++) {
        __m512i sums[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
        for (size_t i = 0; i < n; i += 64)
            sums[i / 64 % 2] = _mm512_dpbusd_epi32(sums[i / 64 % 2], flipped(rows[r] + i),
                                                   _mm512_loadu_si512(query + i));
        ret[r] = _mm512_reduce_add_epi32(_mm512_add_epi32(sums[0], sums[1])) - excess;
    }
}

static float dot_f32_i8(const float *a, const int8_t *b, size_t n)
{
    __m512 s[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(),
                   _mm512_setzero_ps()};
    for (size_t i = 0; i < n; i += 64)
        for (size_t j = 0; j < 4; j++) {
            __m128i codes = _mm_loadu_si128((const __m128i *)(const void *)(b + i + 16 * j));
            s[j] = _mm512_fmadd_ps(_mm512_loadu_ps(a + i + 16 * j),
                                   _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(codes)), s[j]);
        }
    return _mm512_reduce_add_ps(
        _mm512_add_ps(_mm512_add_ps(s[0], s[1]), _mm512_add_ps(s[2], s[3])));
}

const struct code_kernels code_kernels_avx512 = {
    .name = "avx512",
    .hadamard = hadamard,
    .sign_bits = sign_bits,
    .bit_planes = bit_planes,
    .dot_bits = dot_bits,
    .dot_i8_at = dot_i8_at,
    .dot_f32_i8 = dot_f32_i8,
};
