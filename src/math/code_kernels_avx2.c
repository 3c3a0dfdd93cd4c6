/* SPDX-License-Identifier: MIT
 *
 * AVX2 and FMA. */
#include "code_kernels_priv.h"

#include <immintrin.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

enum { REGS = 8 }; /* of eight floats: the smallest n */

/* ---- Hadamard: as in the AVX-512 file, in registers of half the size ---- */

INLINE __m256 stages8(__m256 v)
{
    __m256 other = _mm256_permute_ps(v, 0xb1);
    v = _mm256_blend_ps(_mm256_add_ps(other, v), _mm256_sub_ps(other, v), 0xaa);
    other = _mm256_permute_ps(v, 0x4e);
    v = _mm256_blend_ps(_mm256_add_ps(other, v), _mm256_sub_ps(other, v), 0xcc);
    other = _mm256_permute2f128_ps(v, v, 1);
    return _mm256_blend_ps(_mm256_add_ps(other, v), _mm256_sub_ps(other, v), 0xf0);
}

INLINE void butterfly(__m256 *a, __m256 *b)
{
    __m256 sum = _mm256_add_ps(*a, *b);
    *b = _mm256_sub_ps(*a, *b);
    *a = sum;
}

INLINE void block(float *v, const float *factors)
{
    __m256 x[REGS];
    for (size_t i = 0; i < REGS; i++)
        x[i] = stages8(_mm256_mul_ps(_mm256_loadu_ps(v + 8 * i), _mm256_loadu_ps(factors + 8 * i)));
    for (size_t h = 1; h < REGS; h *= 2)
        for (size_t i = 0; i < REGS; i++)
            if (!(i & h))
                butterfly(&x[i], &x[i + h]);
    for (size_t i = 0; i < REGS; i++)
        _mm256_storeu_ps(v + 8 * i, x[i]);
}

INLINE void two_stages(float *v, size_t n, size_t h)
{
    for (size_t at = 0; at < n; at += 4 * h)
        for (float *p = v + at; p < v + at + h; p += 8) {
            __m256 x[4];
            for (size_t j = 0; j < 4; j++)
                x[j] = _mm256_loadu_ps(p + j * h);
            butterfly(&x[0], &x[1]);
            butterfly(&x[2], &x[3]);
            butterfly(&x[0], &x[2]);
            butterfly(&x[1], &x[3]);
            for (size_t j = 0; j < 4; j++)
                _mm256_storeu_ps(p + j * h, x[j]);
        }
}

static void hadamard(float *v, size_t n, const float *factors)
{
    for (size_t at = 0; at < n; at += (size_t)8 * REGS)
        block(v + at, factors + at);
    size_t h = (size_t)8 * REGS;
    for (; 2 * h < n; h *= 4)
        two_stages(v, n, h);
    if (h < n)
        for (size_t i = 0; i < h; i += 8) {
            __m256 a = _mm256_loadu_ps(v + i), b = _mm256_loadu_ps(v + i + h);
            butterfly(&a, &b);
            _mm256_storeu_ps(v + i, a);
            _mm256_storeu_ps(v + i + h, b);
        }
}

/* ---- bits of floats ---- */

static void sign_bits(const float *v, size_t n, uint64_t *ret_bits)
{
    for (size_t i = 0; i < n; i += 64) {
        uint64_t word = 0;
        for (size_t j = 0; j < 8; j++) {
            __m256 at_least =
                _mm256_cmp_ps(_mm256_loadu_ps(v + i + 8 * j), _mm256_setzero_ps(), _CMP_GE_OQ);
            word |= (uint64_t)(uint32_t)_mm256_movemask_ps(at_least) << 8 * j;
        }
        ret_bits[i / 64] = word;
    }
}

INLINE uint32_t sum_i32(__m256i v)
{
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1));
    return (uint32_t)_mm_cvtsi128_si32(s);
}

INLINE float sum_f32(__m256 v)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

static struct code_levels bit_planes(const float *v, size_t n, uint64_t *ret_planes)
{
    __m256 lows = _mm256_loadu_ps(v), highs = lows;
    for (size_t i = 8; i < n; i += 8) {
        lows = _mm256_min_ps(lows, _mm256_loadu_ps(v + i));
        highs = _mm256_max_ps(highs, _mm256_loadu_ps(v + i));
    }
    float low8[8], high8[8];
    _mm256_storeu_ps(low8, lows);
    _mm256_storeu_ps(high8, highs);
    struct code_levels r = {.low = low8[0]};
    float high = high8[0];
    for (size_t i = 1; i < 8; i++) {
        r.low = low8[i] < r.low ? low8[i] : r.low;
        high = high8[i] > high ? high8[i] : high;
    }
    float range = high - r.low, inverse = 15.0f / range;
    memset(ret_planes, 0, CODE_PLANES * n / 8);
    if (!(range > 0) || !__builtin_isfinite(inverse))
        return r;
    r.step = range / 15.0f;
    const __m256 low = _mm256_set1_ps(r.low), by = _mm256_set1_ps(inverse);
    __m256i sum = _mm256_setzero_si256();
    for (size_t i = 0; i < n; i += 8) {
        __m256i level =
            _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_sub_ps(_mm256_loadu_ps(v + i), low), by));
        sum = _mm256_add_epi32(sum, level);
        for (int b = 0; b < CODE_PLANES; b++) { /* a mask takes each element's highest bit */
            __m256 high_bit = _mm256_castsi256_ps(_mm256_slli_epi32(level, 31 - b));
            ret_planes[((size_t)b * n + i) / 64] |= (uint64_t)(uint32_t)_mm256_movemask_ps(high_bit)
                                                    << i % 64;
        }
    }
    r.sum = sum_i32(sum);
    return r;
}

/* ---- products ---- */

INLINE __m256i load(const void *p)
{
    return _mm256_loadu_si256((const __m256i *)p);
}

/* Of each byte [MKL18: Mula, Kurz, Lemire, "Faster Population Counts Using AVX2 Instructions"]. */
INLINE __m256i popcount8(__m256i v)
{
    const __m256i counts = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1,
                                            2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
    const __m256i nibble = _mm256_set1_epi8(15);
    return _mm256_add_epi8(
        _mm256_shuffle_epi8(counts, _mm256_and_si256(v, nibble)),
        _mm256_shuffle_epi8(counts, _mm256_and_si256(_mm256_srli_epi16(v, 4), nibble)));
}

/* Sums of bytes stay below 256: at most 16 vectors of 8 bits a byte. */
static uint32_t bits_of(const uint64_t *row, const uint64_t *planes, size_t words)
{
    __m256i sums[CODE_PLANES];
    for (size_t b = 0; b < CODE_PLANES; b++)
        sums[b] = _mm256_setzero_si256();
    size_t w = 0;
    for (; w + 4 <= words; w += 4)
        for (size_t b = 0; b < CODE_PLANES; b++)
            sums[b] = _mm256_add_epi8(
                sums[b], popcount8(_mm256_and_si256(load(row + w), load(planes + b * words + w))));
    uint32_t total = 0;
    __m256i all = _mm256_setzero_si256();
    for (int b = 0; b < CODE_PLANES; b++)
        all = _mm256_add_epi32(
            all, _mm256_slli_epi32(_mm256_sad_epu8(sums[b], _mm256_setzero_si256()), b));
    for (; w < words; w++)
        for (size_t b = 0; b < CODE_PLANES; b++)
            total += (uint32_t)__builtin_popcountll(row[w] & planes[b * words + w]) << b;
    return total + sum_i32(all);
}

static void dot_bits(const void *const *rows, size_t count, const uint64_t *planes, size_t n,
                     uint32_t *ret)
{
    for (size_t r = 0; r < count; r++)
        ret[r] = bits_of(rows[r], planes, n / 64);
}

/* maddubs needs one unsigned factor: |row| and the query with the row's sign. */
static void dot_i8_at(const int8_t *const *rows, size_t count, const int8_t *query, size_t n,
                      int32_t *ret)
{
    for (size_t r = 0; r < count; r++) {
        __m256i sums[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
        for (size_t i = 0; i < n; i += 64)
            for (size_t j = 0; j < 2; j++) {
                __m256i row = load(rows[r] + i + 32 * j);
                __m256i pairs = _mm256_maddubs_epi16(
                    _mm256_abs_epi8(row), _mm256_sign_epi8(load(query + i + 32 * j), row));
                sums[j] = _mm256_add_epi32(sums[j], _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
            }
        ret[r] = (int32_t)sum_i32(_mm256_add_epi32(sums[0], sums[1]));
    }
}

static float dot_f32_i8(const float *a, const int8_t *b, size_t n)
{
    __m256 s[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(),
                   _mm256_setzero_ps()};
    for (size_t i = 0; i < n; i += 32)
        for (size_t j = 0; j < 4; j++) {
            __m128i codes = _mm_loadl_epi64((const __m128i *)(const void *)(b + i + 8 * j));
            s[j] = _mm256_fmadd_ps(_mm256_loadu_ps(a + i + 8 * j),
                                   _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(codes)), s[j]);
        }
    return sum_f32(_mm256_add_ps(_mm256_add_ps(s[0], s[1]), _mm256_add_ps(s[2], s[3])));
}

const struct code_kernels code_kernels_avx2 = {
    .name = "avx2",
    .hadamard = hadamard,
    .sign_bits = sign_bits,
    .bit_planes = bit_planes,
    .dot_bits = dot_bits,
    .dot_i8_at = dot_i8_at,
    .dot_f32_i8 = dot_f32_i8,
};
