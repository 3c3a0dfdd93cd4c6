/* SPDX-License-Identifier: MIT
 *
 * AVX2 + FMA + F16C.
 *
 * int8: VPMADDUBSW multiplies unsigned by signed bytes and adds neighbours in int16, saturating.
 * Moving the row's sign to the query (|row| * (query * sign(row))) makes the first factor unsigned,
 * and with codes in [-127, 127] a pair is at most 2 * 127^2 = 32258 < 32767: it never saturates. */
#include "kernels_priv.h"

#include <immintrin.h>
#include <math.h>
#include <math.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

/* The first `left` of 8 lanes, left < 8. */
INLINE __m256i lanes_mask(size_t left)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)left),
                              _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

INLINE float sum_f32(__m256 v)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

INLINE int32_t sum_i32(__m256i v)
{
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1)));
}

INLINE __m256 load_half8(const uint16_t *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
}

/* The first `left` halves, then zeros. */
INLINE __m256 load_half_tail(const uint16_t *p, size_t left)
{
    uint16_t tail[8] = {0};
    memcpy(tail, p, left * sizeof *p);
    return load_half8(tail);
}

static float dot_f32(const float *a, const float *b, size_t dim)
{
    __m256 s[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(),
                   _mm256_setzero_ps()};
    size_t i = 0;
    for (; i + 32 <= dim; i += 32)
        for (size_t j = 0; j < 4; j++)
            s[j] = _mm256_fmadd_ps(_mm256_loadu_ps(a + i + 8 * j), _mm256_loadu_ps(b + i + 8 * j),
                                   s[j]);
    for (; i + 8 <= dim; i += 8)
        s[0] = _mm256_fmadd_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i), s[0]);
    if (i < dim) {
        __m256i mask = lanes_mask(dim - i);
        s[1] =
            _mm256_fmadd_ps(_mm256_maskload_ps(a + i, mask), _mm256_maskload_ps(b + i, mask), s[1]);
    }
    return sum_f32(_mm256_add_ps(_mm256_add_ps(s[0], s[1]), _mm256_add_ps(s[2], s[3])));
}

static float dot_f32_f16(const float *a, const uint16_t *b, size_t dim)
{
    __m256 s[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(),
                   _mm256_setzero_ps()};
    size_t i = 0;
    for (; i + 32 <= dim; i += 32)
        for (size_t j = 0; j < 4; j++)
            s[j] = _mm256_fmadd_ps(_mm256_loadu_ps(a + i + 8 * j), load_half8(b + i + 8 * j), s[j]);
    for (; i + 8 <= dim; i += 8)
        s[0] = _mm256_fmadd_ps(_mm256_loadu_ps(a + i), load_half8(b + i), s[0]);
    if (i < dim)
        s[1] = _mm256_fmadd_ps(_mm256_maskload_ps(a + i, lanes_mask(dim - i)),
                               load_half_tail(b + i, dim - i), s[1]);
    return sum_f32(_mm256_add_ps(_mm256_add_ps(s[0], s[1]), _mm256_add_ps(s[2], s[3])));
}

INLINE __m128i to_half8(__m256 v)
{
    return _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

static void f32_to_f16(const float *in, size_t count, uint16_t *ret)
{
    size_t i = 0;
    for (; i + 8 <= count; i += 8)
        _mm_storeu_si128((__m128i *)(void *)(ret + i), to_half8(_mm256_loadu_ps(in + i)));
    if (i < count) {
        uint16_t tail[8];
        _mm_storeu_si128((__m128i *)(void *)tail,
                         to_half8(_mm256_maskload_ps(in + i, lanes_mask(count - i))));
        memcpy(ret + i, tail, (count - i) * sizeof *ret);
    }
}

static void f16_to_f32(const uint16_t *in, size_t count, float *ret)
{
    size_t i = 0;
    for (; i + 8 <= count; i += 8)
        _mm256_storeu_ps(ret + i, load_half8(in + i));
    if (i < count)
        _mm256_maskstore_ps(ret + i, lanes_mask(count - i), load_half_tail(in + i, count - i));
}

static bool all_finite_f32(const float *v, size_t dim)
{
    const __m256i exponent = _mm256_set1_epi32(0x7f800000);
    __m256i bad = _mm256_setzero_si256();
    size_t i = 0;
    for (; i + 8 <= dim; i += 8) {
        __m256i bits = _mm256_castps_si256(_mm256_loadu_ps(v + i));
        bad = _mm256_or_si256(bad, _mm256_cmpeq_epi32(_mm256_and_si256(bits, exponent), exponent));
    }
    if (i < dim) {
        __m256i bits = _mm256_castps_si256(_mm256_maskload_ps(v + i, lanes_mask(dim - i)));
        bad = _mm256_or_si256(bad, _mm256_cmpeq_epi32(_mm256_and_si256(bits, exponent), exponent));
    }
    return _mm256_testz_si256(bad, bad);
}

static size_t places_at_least(const float *v, size_t count, float bar, uint32_t *ret_places)
{
    size_t n = 0, i = 0;
    for (; i + 8 <= count; i += 8) {
        __m256 reach = _mm256_cmp_ps(_mm256_loadu_ps(v + i), _mm256_set1_ps(bar), _CMP_GE_OQ);
        for (unsigned mask = (unsigned)_mm256_movemask_ps(reach); mask; mask &= mask - 1)
            ret_places[n++] = (uint32_t)(i + (size_t)__builtin_ctz(mask));
    }
    for (; i < count; i++) {
        ret_places[n] = (uint32_t)i;
        n += v[i] >= bar;
    }
    return n;
}

/* The first `left` of four words, none if that is negative. */
INLINE __m256i first_words(int64_t left)
{
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(left), _mm256_set_epi64x(3, 2, 1, 0));
}

INLINE __m256i load_words(const uint64_t *p, int64_t left)
{
    return _mm256_maskload_epi64((const long long *)(const void *)p, first_words(left));
}

/* Sixteen words at a time stay in registers while the sets pass by. */
static void join_sets(uint64_t *v, size_t words, const struct kernels_set *sets, size_t count)
{
    enum { JOINED = 4 };
    for (size_t w = 0; w < words; w += 4 * JOINED) {
        __m256i sum[JOINED];
        for (size_t j = 0; j < JOINED; j++)
            sum[j] = load_words(v + w + 4 * j, (int64_t)words - (int64_t)(w + 4 * j));
        for (size_t s = 0; s < count; s++) {
            const uint64_t *from = sets[s].bits + w;
            int64_t left = (int64_t)sets[s].words - (int64_t)w;
            for (size_t j = 0; j < JOINED; j++)
                sum[j] = _mm256_or_si256(sum[j], load_words(from + 4 * j, left - (int64_t)(4 * j)));
        }
        for (size_t j = 0; j < JOINED; j++)
            _mm256_maskstore_epi64((long long *)(void *)(v + w + 4 * j),
                                   first_words((int64_t)words - (int64_t)(w + 4 * j)), sum[j]);
    }
}

static void add_where(float *v, size_t words, const struct kernels_term *terms, size_t count)
{
    const __m256i lane = _mm256_set_epi32(128, 64, 32, 16, 8, 4, 2, 1);
    for (size_t i = 0; i < 64 * words; i += 8) {
        __m256 sum = _mm256_loadu_ps(v + i);
        for (size_t t = 0; t < count; t++) {
            int bits = (int)(terms[t].bits[i / 64] >> (i % 64) & 255);
            __m256i set = _mm256_and_si256(lane, _mm256_set1_epi32(bits));
            __m256 chosen = _mm256_castsi256_ps(_mm256_cmpeq_epi32(set, lane));
            __m256 more = _mm256_add_ps(sum, _mm256_set1_ps(terms[t].add));
            sum = _mm256_blendv_ps(sum, more, chosen);
        }
        _mm256_storeu_ps(v + i, sum);
    }
}

static void score_where(const float *a, const float *b, const uint8_t *rank, uint8_t least,
                        size_t count, float *ret)
{
    const __m256 one = _mm256_set1_ps(1), half = _mm256_set1_ps(0.5f);
    size_t i = 0;
    for (; i + 8 <= count; i += 8) {
        __m256 positive = _mm256_max_ps(_mm256_loadu_ps(a + i), _mm256_setzero_ps());
        __m256 score = _mm256_mul_ps(
            _mm256_mul_ps(positive, _mm256_add_ps(one, _mm256_loadu_ps(b + i))), half);
        __m256i ranks =
            _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)(rank + i)));
        __m256i below = _mm256_cmpgt_epi32(_mm256_set1_epi32(least), ranks);
        _mm256_storeu_ps(ret + i,
                         _mm256_blendv_ps(score, _mm256_set1_ps(-1), _mm256_castsi256_ps(below)));
    }
    for (; i < count; i++) {
        float score = (a[i] > 0 ? a[i] : 0) * (1 + b[i]) * 0.5f;
        ret[i] = rank[i] >= least ? score : -1;
    }
}

static float max_abs(const float *v, size_t dim)
{
    const __m256 magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
    __m256 max = _mm256_setzero_ps();
    size_t i = 0;
    for (; i + 8 <= dim; i += 8)
        max = _mm256_max_ps(max, _mm256_and_ps(magnitude, _mm256_loadu_ps(v + i)));
    if (i < dim)
        max = _mm256_max_ps(
            max, _mm256_and_ps(magnitude, _mm256_maskload_ps(v + i, lanes_mask(dim - i))));
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(max), _mm256_extractf128_ps(max, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}

static float quantise_i8(const float *v, size_t dim, int8_t *ret_codes)
{
    float max = max_abs(v, dim);
    if (!(max > QUANTISE_ZERO)) {
        memset(ret_codes, 0, dim);
        return 0;
    }
    const float inverse = 127.0f / max;
    const __m256 by = _mm256_set1_ps(inverse);
    /* The packs work within 128-bit halves; this puts the groups of four back in order. */
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    size_t i = 0;
    for (; i + 32 <= dim; i += 32) {
        __m256i c[4];
        for (size_t j = 0; j < 4; j++)
            c[j] = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(v + i + 8 * j), by));
        __m256i packed =
            _mm256_packs_epi16(_mm256_packs_epi32(c[0], c[1]), _mm256_packs_epi32(c[2], c[3]));
        _mm256_storeu_si256((__m256i *)(void *)(ret_codes + i),
                            _mm256_permutevar8x32_epi32(packed, order));
    }
    for (; i < dim; i++)
        ret_codes[i] = (int8_t)lrintf(v[i] * inverse);
    return max / 127.0f;
}

static float quantise_rest_i8(const float *v, size_t dim, int8_t *ret_codes, float *ret_rest,
                              float *ret_error)
{
    const float scale = quantise_i8(v, dim, ret_codes);
    __m256 sum = _mm256_setzero_ps();
    size_t i = 0;
    for (; i + 8 <= dim; i += 8) {
        __m256i wide =
            _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)(ret_codes + i)));
        __m256 held = _mm256_mul_ps(_mm256_set1_ps(scale), _mm256_cvtepi32_ps(wide));
        __m256 rest = _mm256_sub_ps(_mm256_loadu_ps(v + i), held);
        _mm256_storeu_ps(ret_rest + i, rest);
        sum = _mm256_fmadd_ps(rest, rest, sum);
    }
    float total = sum_f32(sum);
    for (; i < dim; i++) {
        ret_rest[i] = v[i] - scale * (float)ret_codes[i];
        total += ret_rest[i] * ret_rest[i];
    }
    *ret_error = sqrtf(total);
    return scale;
}

INLINE __m256i load_i8(const int8_t *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

INLINE __m256i add_products(__m256i sum, __m256i row, __m256i row_magnitude, __m256i query)
{
    __m256i pairs = _mm256_maddubs_epi16(row_magnitude, _mm256_sign_epi8(query, row));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

/* n_rows x n_queries sums at a time; both are constants where it is inlined, and 2 x 4 leaves the
 * sums in registers.  Rows are padded past dim, queries are not: the last chunk of a query is
 * copied and zero-filled, which also cancels the rows' padding. */
INLINE void tile(const int8_t *rows, size_t stride, const size_t n_rows,
                 const int8_t *const *queries, const size_t n_queries, size_t dim, int32_t *ret,
                 size_t ret_stride)
{
    __m256i sums[2][4];
    for (size_t r = 0; r < n_rows; r++)
        for (size_t q = 0; q < n_queries; q++)
            sums[r][q] = _mm256_setzero_si256();
    size_t i = 0;
    for (; i + 32 <= dim; i += 32)
        for (size_t r = 0; r < n_rows; r++) {
            __m256i row = load_i8(rows + r * stride + i), magnitude = _mm256_abs_epi8(row);
            for (size_t q = 0; q < n_queries; q++)
                sums[r][q] = add_products(sums[r][q], row, magnitude, load_i8(queries[q] + i));
        }
    if (i < dim) {
        int8_t tails[4][32] = {{0}};
        for (size_t q = 0; q < n_queries; q++)
            memcpy(tails[q], queries[q] + i, dim - i);
        for (size_t r = 0; r < n_rows; r++) {
            __m256i row = load_i8(rows + r * stride + i), magnitude = _mm256_abs_epi8(row);
            for (size_t q = 0; q < n_queries; q++)
                sums[r][q] = add_products(sums[r][q], row, magnitude, load_i8(tails[q]));
        }
    }
    for (size_t r = 0; r < n_rows; r++)
        for (size_t q = 0; q < n_queries; q++)
            ret[q * ret_stride + r] = sum_i32(sums[r][q]);
}

INLINE void tile_all_rows(const int8_t *rows, size_t stride, size_t count,
                          const int8_t *const *queries, const size_t n_queries, size_t dim,
                          int32_t *ret)
{
    size_t r = 0;
    for (; r + 2 <= count; r += 2)
        tile(rows + r * stride, stride, 2, queries, n_queries, dim, ret + r, count);
    if (r < count)
        tile(rows + r * stride, stride, 1, queries, n_queries, dim, ret + r, count);
}

static void dot_i8_rows(const int8_t *rows, size_t stride, size_t count, const int8_t *query,
                        size_t dim, int32_t *ret)
{
    tile_all_rows(rows, stride, count, &query, 1, dim, ret);
}

static void dot_i8_tile(const int8_t *rows, size_t stride, size_t count,
                        const int8_t *const *queries, size_t n_queries, size_t dim, int32_t *ret)
{
    size_t q = 0;
    for (; q + 4 <= n_queries; q += 4)
        tile_all_rows(rows, stride, count, queries + q, 4, dim, ret + q * count);
    if (n_queries - q == 3)
        tile_all_rows(rows, stride, count, queries + q, 3, dim, ret + q * count);
    else if (n_queries - q == 2)
        tile_all_rows(rows, stride, count, queries + q, 2, dim, ret + q * count);
    else if (n_queries - q == 1)
        tile_all_rows(rows, stride, count, queries + q, 1, dim, ret + q * count);
}

INLINE void add_planes(__m256i sums[4], const int8_t *const a[2], const int8_t *const b[2])
{
    __m256i first = load_i8(a[0]), second = load_i8(a[1]);
    for (size_t j = 0; j < 2; j++) {
        __m256i row = load_i8(b[j]), magnitude = _mm256_abs_epi8(row);
        sums[j] = add_products(sums[j], row, magnitude, first);
        sums[2 + j] = add_products(sums[2 + j], row, magnitude, second);
    }
}

static void dot_i8_planes(const int8_t *const a[2], const int8_t *const b[2], size_t dim,
                          int32_t ret[4])
{
    __m256i sums[4] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(),
                       _mm256_setzero_si256()};
    size_t i = 0;
    for (; i + 32 <= dim; i += 32)
        add_planes(sums, (const int8_t *const[]){a[0] + i, a[1] + i},
                   (const int8_t *const[]){b[0] + i, b[1] + i});
    if (i < dim) {
        int8_t tails[4][32] = {{0}};
        for (size_t p = 0; p < 4; p++)
            memcpy(tails[p], (p < 2 ? a[p] : b[p - 2]) + i, dim - i);
        add_planes(sums, (const int8_t *const[]){tails[0], tails[1]},
                   (const int8_t *const[]){tails[2], tails[3]});
    }
    for (size_t p = 0; p < 4; p++)
        ret[p] = sum_i32(sums[p]);
}

const struct kernels kernels_avx2 = {
    .name = "avx2",
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
