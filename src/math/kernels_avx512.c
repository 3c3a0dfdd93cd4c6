/* SPDX-License-Identifier: MIT
 *
 * AVX-512 F, BW, VL, VNNI (with FMA and F16C).
 *
 * int8: VPDPBUSD multiplies unsigned by signed bytes and adds four neighbours in int32, without
 * saturation.  Flipping the top bit of a row makes it row + 128, unsigned, so a sum comes out as
 * row.query + 128 sum(query); the second term starts the accumulator, negated.  One XOR per row
 * chunk serves all queries. */
#include "kernels_priv.h"

#include <immintrin.h>
#include <math.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

enum { ROWS_MAX = 8 }; /* rows at once */

INLINE __mmask16 mask16(size_t left)
{
    return (__mmask16)((1u << left) - 1);
}

INLINE __mmask64 mask64(size_t left)
{
    return ((__mmask64)1 << left) - 1;
}

INLINE __m512 load_half16(const uint16_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}

INLINE __m512 load_half_tail(const uint16_t *p, size_t left)
{
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask16(left), p));
}

static float dot_f32(const float *a, const float *b, size_t dim)
{
    __m512 s[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(),
                   _mm512_setzero_ps()};
    size_t i = 0;
    for (; i + 64 <= dim; i += 64)
        for (size_t j = 0; j < 4; j++)
            s[j] = _mm512_fmadd_ps(_mm512_loadu_ps(a + i + 16 * j), _mm512_loadu_ps(b + i + 16 * j),
                                   s[j]);
    for (; i + 16 <= dim; i += 16)
        s[0] = _mm512_fmadd_ps(_mm512_loadu_ps(a + i), _mm512_loadu_ps(b + i), s[0]);
    if (i < dim) {
        __mmask16 mask = mask16(dim - i);
        s[1] = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(mask, a + i),
                               _mm512_maskz_loadu_ps(mask, b + i), s[1]);
    }
    return _mm512_reduce_add_ps(
        _mm512_add_ps(_mm512_add_ps(s[0], s[1]), _mm512_add_ps(s[2], s[3])));
}

static float dot_f32_f16(const float *a, const uint16_t *b, size_t dim)
{
    __m512 s[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(),
                   _mm512_setzero_ps()};
    size_t i = 0;
    for (; i + 64 <= dim; i += 64)
        for (size_t j = 0; j < 4; j++)
            s[j] =
                _mm512_fmadd_ps(_mm512_loadu_ps(a + i + 16 * j), load_half16(b + i + 16 * j), s[j]);
    for (; i + 16 <= dim; i += 16)
        s[0] = _mm512_fmadd_ps(_mm512_loadu_ps(a + i), load_half16(b + i), s[0]);
    if (i < dim)
        s[1] = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(mask16(dim - i), a + i),
                               load_half_tail(b + i, dim - i), s[1]);
    return _mm512_reduce_add_ps(
        _mm512_add_ps(_mm512_add_ps(s[0], s[1]), _mm512_add_ps(s[2], s[3])));
}

INLINE __m256i to_half16(__m512 v)
{
    return _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

static void f32_to_f16(const float *in, size_t count, uint16_t *ret)
{
    size_t i = 0;
    for (; i + 16 <= count; i += 16)
        _mm256_storeu_si256((__m256i *)(void *)(ret + i), to_half16(_mm512_loadu_ps(in + i)));
    if (i < count) {
        __mmask16 mask = mask16(count - i);
        _mm256_mask_storeu_epi16(ret + i, mask, to_half16(_mm512_maskz_loadu_ps(mask, in + i)));
    }
}

static void f16_to_f32(const uint16_t *in, size_t count, float *ret)
{
    size_t i = 0;
    for (; i + 16 <= count; i += 16)
        _mm512_storeu_ps(ret + i, load_half16(in + i));
    if (i < count)
        _mm512_mask_storeu_ps(ret + i, mask16(count - i), load_half_tail(in + i, count - i));
}

INLINE __mmask16 not_finite(__m512 v)
{
    const __m512i exponent = _mm512_set1_epi32(0x7f800000);
    return _mm512_cmpeq_epi32_mask(_mm512_and_si512(_mm512_castps_si512(v), exponent), exponent);
}

static bool all_finite_f32(const float *v, size_t dim)
{
    unsigned bad = 0;
    size_t i = 0;
    for (; i + 16 <= dim; i += 16)
        bad |= not_finite(_mm512_loadu_ps(v + i));
    if (i < dim)
        bad |= not_finite(_mm512_maskz_loadu_ps(mask16(dim - i), v + i));
    return !bad;
}

static size_t places_at_least(const float *v, size_t count, float bar, uint32_t *ret_places)
{
    const __m512 bars = _mm512_set1_ps(bar);
    __m512i places = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    size_t n = 0;
    for (size_t i = 0; i < count; i += 16) {
        __mmask16 mask = count - i < 16 ? mask16(count - i) : 0xffff;
        mask = _mm512_mask_cmp_ps_mask(mask, _mm512_maskz_loadu_ps(mask, v + i), bars, _CMP_GE_OQ);
        _mm512_storeu_si512(ret_places + n, _mm512_maskz_compress_epi32(mask, places));
        n += (size_t)__builtin_popcount(mask);
        places = _mm512_add_epi32(places, _mm512_set1_epi32(16));
    }
    return n;
}

/* The first `left` of eight words, none if that is negative. */
INLINE __mmask8 first_words(int64_t left)
{
    return (__mmask8)(left >= 8 ? 0xff : left > 0 ? (1u << left) - 1 : 0);
}

/* n vectors of eight words, a constant where it is inlined, stay in registers while the sets pass
 * by. */
INLINE void join_chunk(uint64_t *v, size_t words, const size_t n, size_t from,
                       const struct kernels_set *sets, size_t count)
{
    __m512i sum[4];
    for (size_t j = 0; j < n; j++)
        sum[j] = _mm512_maskz_loadu_epi64(first_words((int64_t)words - (int64_t)(from + 8 * j)),
                                          v + from + 8 * j);
    for (size_t s = 0; s < count; s++) {
        const uint64_t *bits = sets[s].bits + from;
        int64_t left = (int64_t)sets[s].words - (int64_t)from;
        if (left >= (int64_t)(8 * n))
            for (size_t j = 0; j < n; j++)
                sum[j] = _mm512_or_si512(sum[j], _mm512_loadu_si512(bits + 8 * j));
        else
            for (size_t j = 0; j < n; j++)
                sum[j] = _mm512_or_si512(
                    sum[j],
                    _mm512_maskz_loadu_epi64(first_words(left - (int64_t)(8 * j)), bits + 8 * j));
    }
    for (size_t j = 0; j < n; j++)
        _mm512_mask_storeu_epi64(v + from + 8 * j,
                                 first_words((int64_t)words - (int64_t)(from + 8 * j)), sum[j]);
}

static void join_sets(uint64_t *v, size_t words, const struct kernels_set *sets, size_t count)
{
    size_t w = 0;
    for (; w + 16 < words; w += 32)
        join_chunk(v, words, 4, w, sets, count);
    if (w < words)
        join_chunk(v, words, 2, w, sets, count);
}

static void add_where(float *v, size_t words, const struct kernels_term *terms, size_t count)
{
    for (size_t w = 0; w < words; w++) {
        float *at = v + 64 * w;
        __m512 sum[4];
        for (size_t j = 0; j < 4; j++)
            sum[j] = _mm512_loadu_ps(at + 16 * j);
        for (size_t t = 0; t < count; t++) {
            uint64_t bits = terms[t].bits[w];
            const __m512 add = _mm512_set1_ps(terms[t].add);
            for (size_t j = 0; j < 4; j++)
                sum[j] = _mm512_mask_add_ps(sum[j], (__mmask16)(bits >> 16 * j), sum[j], add);
        }
        for (size_t j = 0; j < 4; j++)
            _mm512_storeu_ps(at + 16 * j, sum[j]);
    }
}

static void score_where(const float *a, const float *b, const uint8_t *rank, uint8_t least,
                        size_t count, float *ret)
{
    const __m512 one = _mm512_set1_ps(1), half = _mm512_set1_ps(0.5f), none = _mm512_set1_ps(-1);
    for (size_t i = 0; i < count; i += 16) {
        __mmask16 mask = count - i < 16 ? mask16(count - i) : 0xffff;
        __m512 positive = _mm512_max_ps(_mm512_maskz_loadu_ps(mask, a + i), _mm512_setzero_ps());
        __m512 more = _mm512_add_ps(one, _mm512_maskz_loadu_ps(mask, b + i));
        __mmask16 reached =
            _mm_cmpge_epu8_mask(_mm_maskz_loadu_epi8(mask, rank + i), _mm_set1_epi8((char)least));
        __m512 score = _mm512_mul_ps(_mm512_mul_ps(positive, more), half);
        _mm512_mask_storeu_ps(ret + i, mask, _mm512_mask_blend_ps(reached, none, score));
    }
}

static float max_abs(const float *v, size_t dim)
{
    __m512 max[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(),
                     _mm512_setzero_ps()};
    size_t i = 0;
    for (; i + 64 <= dim; i += 64) /* one maximum would wait four cycles for each */
        for (size_t j = 0; j < 4; j++)
            max[j] = _mm512_max_ps(max[j], _mm512_abs_ps(_mm512_loadu_ps(v + i + 16 * j)));
    for (; i < dim; i += 16) {
        __mmask16 mask = dim - i < 16 ? mask16(dim - i) : 0xffff;
        max[0] = _mm512_max_ps(max[0], _mm512_abs_ps(_mm512_maskz_loadu_ps(mask, v + i)));
    }
    return _mm512_reduce_max_ps(
        _mm512_max_ps(_mm512_max_ps(max[0], max[1]), _mm512_max_ps(max[2], max[3])));
}

static float quantise_i8(const float *v, size_t dim, int8_t *ret_codes)
{
    float max = max_abs(v, dim);
    if (!(max > QUANTISE_ZERO)) {
        memset(ret_codes, 0, dim);
        return 0;
    }
    const __m512 by = _mm512_set1_ps(127.0f / max);
    size_t i = 0;
    for (; i + 16 <= dim; i += 16) {
        __m512i codes = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(v + i), by));
        _mm_storeu_si128((__m128i *)(void *)(ret_codes + i), _mm512_cvtepi32_epi8(codes));
    }
    if (i < dim) {
        __mmask16 mask = mask16(dim - i);
        __m512i codes = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_maskz_loadu_ps(mask, v + i), by));
        _mm_mask_storeu_epi8(ret_codes + i, mask, _mm512_cvtepi32_epi8(codes));
    }
    return max / 127.0f;
}

/* One chunk of up to 16: codes, rest, and its squares into the sum. */
INLINE __m512 put_rest(__m512 sum, const float *v, __m512 by, __m512 scale, __mmask16 mask,
                       int8_t *ret_codes, float *ret_rest)
{
    __m512 value = _mm512_maskz_loadu_ps(mask, v);
    __m512i codes = _mm512_cvtps_epi32(_mm512_mul_ps(value, by));
    __m512 rest = _mm512_sub_ps(value, _mm512_mul_ps(scale, _mm512_cvtepi32_ps(codes)));
    _mm_mask_storeu_epi8(ret_codes, mask, _mm512_cvtepi32_epi8(codes));
    _mm512_mask_storeu_ps(ret_rest, mask, rest);
    return _mm512_fmadd_ps(rest, rest, sum);
}

static float quantise_rest_i8(const float *v, size_t dim, int8_t *ret_codes, float *ret_rest,
                              float *ret_error)
{
    const float max = max_abs(v, dim), scale = max > QUANTISE_ZERO ? max / 127.0f : 0;
    const __m512 by = _mm512_set1_ps(scale > 0 ? 127.0f / max : 0), scales = _mm512_set1_ps(scale);
    __m512 even = _mm512_setzero_ps(), odd = _mm512_setzero_ps();
    size_t i = 0;
    for (; i + 32 <= dim; i += 32) {
        even = put_rest(even, v + i, by, scales, 0xffff, ret_codes + i, ret_rest + i);
        odd = put_rest(odd, v + i + 16, by, scales, 0xffff, ret_codes + i + 16, ret_rest + i + 16);
    }
    for (; i < dim; i += 16)
        even = put_rest(even, v + i, by, scales, dim - i < 16 ? mask16(dim - i) : 0xffff,
                        ret_codes + i, ret_rest + i);
    *ret_error = sqrtf(_mm512_reduce_add_ps(_mm512_add_ps(even, odd)));
    return scale;
}

INLINE __m512i load_flipped(const int8_t *row, __mmask64 mask)
{
    return _mm512_xor_si512(_mm512_maskz_loadu_epi8(mask, row), _mm512_set1_epi8(-128));
}

/* 128 sum(query) over its whole and its last, masked, chunk. */
static int32_t flip_excess(const int8_t *query, size_t whole, __mmask64 tail, size_t dim)
{
    const __m512i by = _mm512_set1_epi8(-128); /* 128 as an unsigned byte */
    __m512i sum = _mm512_setzero_si512();
    for (size_t i = 0; i < whole; i += 64)
        sum = _mm512_dpbusd_epi32(sum, by, _mm512_loadu_si512(query + i));
    if (whole < dim)
        sum = _mm512_dpbusd_epi32(sum, by, _mm512_maskz_loadu_epi8(tail, query + whole));
    return _mm512_reduce_add_epi32(sum);
}

/* The sums of the lanes of four vectors, in one: a third of the work of one after the other, and
 * summing up costs as much as a few hundred dimensions do. */
INLINE __m128i reduce4(__m512i a, __m512i b, __m512i c, __m512i d)
{
    __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    __m512i four = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    __m256i half =
        _mm256_add_epi32(_mm512_castsi512_si256(four), _mm512_extracti64x4_epi64(four, 1));
    return _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

/* Of one query: n_rows is 1 or a multiple of four. */
INLINE void put_sums(const __m512i *sums, const size_t n_rows, int32_t excess, int32_t *ret)
{
    if (n_rows == 1) {
        ret[0] = _mm512_reduce_add_epi32(sums[0]) - excess;
        return;
    }
    for (size_t r = 0; r < n_rows; r += 4)
        _mm_storeu_si128((__m128i *)(void *)(ret + r),
                         _mm_sub_epi32(reduce4(sums[r], sums[r + 1], sums[r + 2], sums[r + 3]),
                                       _mm_set1_epi32(excess)));
}

/* sum + row.query, where it stands: the intrinsic makes gcc 12 copy each sum before it adds. */
INLINE __m512i add_products(__m512i sum, __m512i row, __m512i query)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(row), "v"(query));
    return sum;
}

struct tile_rows {
    const int8_t *codes;
    size_t stride;
    /* So many bytes further on are what will be wanted next, unless 0: the processor follows a row
     * by itself, but only to the end of a page. */
    size_t ahead;
};

/* n_rows x n_queries sums at a time, constants where it is inlined. */
INLINE void tile(struct tile_rows of, const size_t n_rows, const int8_t *const *queries,
                 const int32_t *excess, const size_t n_queries, size_t dim, int32_t *ret,
                 size_t ret_stride)
{
    const int8_t *rows = of.codes;
    const size_t stride = of.stride;
    const size_t whole = dim & ~(size_t)63;
    __m512i sums[KERNELS_TILE_MAX][ROWS_MAX];
    for (size_t q = 0; q < n_queries; q++)
        for (size_t r = 0; r < n_rows; r++)
            sums[q][r] = _mm512_setzero_si512();
    for (size_t i = 0; i < whole; i += 64) {
        __m512i row[ROWS_MAX];
        if (of.ahead)
            for (size_t r = 0; r < n_rows; r++)
                _mm_prefetch((const char *)rows + of.ahead + r * stride + i, _MM_HINT_T0);
        for (size_t r = 0; r < n_rows; r++)
            row[r] =
                _mm512_xor_si512(_mm512_loadu_si512(rows + r * stride + i), _mm512_set1_epi8(-128));
        for (size_t q = 0; q < n_queries; q++) {
            __m512i query = _mm512_loadu_si512(queries[q] + i);
            for (size_t r = 0; r < n_rows; r++)
                sums[q][r] = add_products(sums[q][r], row[r], query);
        }
    }
    if (whole < dim) {
        __mmask64 tail = mask64(dim - whole);
        for (size_t q = 0; q < n_queries; q++) {
            __m512i query = _mm512_maskz_loadu_epi8(tail, queries[q] + whole);
            for (size_t r = 0; r < n_rows; r++)
                sums[q][r] = _mm512_dpbusd_epi32(
                    sums[q][r], load_flipped(rows + r * stride + whole, tail), query);
        }
    }
    for (size_t q = 0; q < n_queries; q++)
        put_sums(sums[q], n_rows, excess[q], ret + q * ret_stride);
}

/* A sum takes a new product every five cycles, and two can start in each: below ten sums at once
 * the processor waits for itself.  Above twenty the registers run out, so six queries and more
 * go by halves while the rows are still in the first cache. */
INLINE void tile_all_rows(const int8_t *rows, size_t stride, size_t count,
                          const int8_t *const *queries, const size_t n_queries, size_t dim,
                          int32_t *ret)
{
    const size_t whole = dim & ~(size_t)63;
    enum { ROUNDS_AHEAD = 2 };
    const size_t together = n_queries <= 2 ? ROWS_MAX : 4;
    const size_t first = n_queries <= 5 ? n_queries : (n_queries + 1) / 2, rest = n_queries - first;
    int32_t excess[KERNELS_TILE_MAX];
    for (size_t q = 0; q < n_queries; q++)
        excess[q] = flip_excess(queries[q], whole, mask64(dim - whole), dim);
    size_t r = 0;
    for (; r + together <= count; r += together) {
        struct tile_rows at = {rows + r * stride, stride, ROUNDS_AHEAD * together * stride};
        tile(at, together, queries, excess, first, dim, ret + r, count);
        at.ahead = 0;
        if (rest)
            tile(at, together, queries + first, excess + first, rest, dim, ret + first * count + r,
                 count);
    }
    for (; r < count; r++)
        tile((struct tile_rows){rows + r * stride, stride, 0}, 1, queries, excess, n_queries, dim,
             ret + r, count);
}

static void dot_i8_rows(const int8_t *rows, size_t stride, size_t count, const int8_t *query,
                        size_t dim, int32_t *ret)
{
    tile_all_rows(rows, stride, count, &query, 1, dim, ret);
}

static void dot_i8_tile(const int8_t *rows, size_t stride, size_t count,
                        const int8_t *const *queries, size_t n_queries, size_t dim, int32_t *ret)
{
    switch (n_queries) {
    case 1:
        tile_all_rows(rows, stride, count, queries, 1, dim, ret);
        break;
    case 2:
        tile_all_rows(rows, stride, count, queries, 2, dim, ret);
        break;
    case 3:
        tile_all_rows(rows, stride, count, queries, 3, dim, ret);
        break;
    case 4:
        tile_all_rows(rows, stride, count, queries, 4, dim, ret);
        break;
    case 5:
        tile_all_rows(rows, stride, count, queries, 5, dim, ret);
        break;
    case 6:
        tile_all_rows(rows, stride, count, queries, 6, dim, ret);
        break;
    case 7:
        tile_all_rows(rows, stride, count, queries, 7, dim, ret);
        break;
    case 8:
        tile_all_rows(rows, stride, count, queries, 8, dim, ret);
        break;
    default:
        __builtin_unreachable();
    }
}

struct plane_sums {
    __m512i s00, s01, s10, s11;
    __m512i x0, x1; /* 128 times the sum of each plane of a: what flipping those of b puts in */
};

/* Single variables: of arrays gcc 12 keeps a copy on the stack. */
INLINE struct plane_sums add_planes(struct plane_sums s, const int8_t *const a[2],
                                    const int8_t *const b[2], size_t i, __mmask64 mask)
{
    __m512i a0 = _mm512_maskz_loadu_epi8(mask, a[0] + i), b0 = load_flipped(b[0] + i, mask);
    __m512i a1 = _mm512_maskz_loadu_epi8(mask, a[1] + i), b1 = load_flipped(b[1] + i, mask);
    return (struct plane_sums){.s00 = add_products(s.s00, b0, a0),
                               .s01 = add_products(s.s01, b1, a0),
                               .s10 = add_products(s.s10, b0, a1),
                               .s11 = add_products(s.s11, b1, a1),
                               .x0 = add_products(s.x0, _mm512_set1_epi8(-128), a0),
                               .x1 = add_products(s.x1, _mm512_set1_epi8(-128), a1)};
}

static void dot_i8_planes(const int8_t *const a[2], const int8_t *const b[2], size_t dim,
                          int32_t ret[4])
{
    const __m512i zero = _mm512_setzero_si512();
    struct plane_sums even = {zero, zero, zero, zero, zero, zero}, odd = even;
    size_t i = 0;
    for (; i + 128 <= dim; i += 128) { /* two sets of sums: one would wait for each addition */
        even = add_planes(even, a, b, i, ~(__mmask64)0);
        odd = add_planes(odd, a, b, i + 64, ~(__mmask64)0);
    }
    for (; i < dim; i += 64)
        even = add_planes(even, a, b, i, dim - i < 64 ? mask64(dim - i) : ~(__mmask64)0);
    __m512i x0 = _mm512_add_epi32(even.x0, odd.x0), x1 = _mm512_add_epi32(even.x1, odd.x1);
    __m128i four = reduce4(_mm512_sub_epi32(_mm512_add_epi32(even.s00, odd.s00), x0),
                           _mm512_sub_epi32(_mm512_add_epi32(even.s01, odd.s01), x0),
                           _mm512_sub_epi32(_mm512_add_epi32(even.s10, odd.s10), x1),
                           _mm512_sub_epi32(_mm512_add_epi32(even.s11, odd.s11), x1));
    _mm_storeu_si128((__m128i *)(void *)ret, four);
}

const struct kernels kernels_avx512 = {
    .name = "avx512",
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
