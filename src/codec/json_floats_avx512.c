/* SPDX-License-Identifier: MIT
 *
 * The scanner for AVX-512 with VBMI2 (Ice Lake, Zen 4 and later).
 *
 * What embeddings consist of, [-]d.ddd... , goes in batches.  Masks over whole blocks of text give
 * the places of the separators, so that no number waits for the one before it; then each number
 * moves its first sixteen digits to a row of a table; then the rows become floats, eight at a time.
 * The digits cut off leave an interval; where both its ends round to the same float, that is the
 * float.  Finding the separators first is the first stage of [LL19] Langdale, Lemire, "Parsing
 * gigabytes of JSON per second".
 *
 * Anything else is one 32-byte load a number: masks of digits and of the point give its length, a
 * byte compress drops the point, a byte expand moves the digits to the right edge, and three
 * multiply-adds join them to groups of eight. */
#include "json_floats.h"
#include "json_floats_priv.h"

#include "base/attr.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define TARGET                                                                                     \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi2,bmi,bmi2,popcnt")))

enum {
    LANES = 32,
    BLOCK = 64,  /* bytes of a vector */
    BLOCKS = 16, /* looked through for separators at a time */
    BATCH = 64,  /* numbers joined at a time: the bits of a mask */
    DIGITS = 16, /* of a number in a batch, the one before the point included */
};

bool floats_have_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("bmi") &&
           __builtin_cpu_supports("bmi2");
}

/* The digits selected by `mask` as one integer; negative when they do not fit. */
TARGET static inline int64_t join_digits(__m256i values, uint32_t mask)
{
    const __m256i tens =
        _mm256_set1_epi16(0x010a); /* bytes 10, 1: the first digit of a pair is the higher */
    const __m256i hundreds = _mm256_set1_epi32(0x00010064);
    const __m256i myriads = _mm256_set1_epi32(0x00012710);
    unsigned count = (unsigned)_mm_popcnt_u32(mask);
    __m256i packed = _mm256_maskz_compress_epi8(mask, values);
    __m256i digits = _mm256_maskz_expand_epi8(UINT32_MAX << (LANES - count), packed);
    __m256i pairs = _mm256_maddubs_epi16(digits, tens);
    __m256i fours = _mm256_madd_epi16(pairs, hundreds);
    __m256i eights = _mm256_madd_epi16(_mm256_packus_epi32(fours, fours), myriads);
    uint64_t high = (uint64_t)_mm_cvtsi128_si64(_mm256_castsi256_si128(eights));
    uint64_t low = (uint64_t)_mm_cvtsi128_si64(_mm256_extracti128_si256(eights, 1));
    /* high: groups 0 and 1 (most significant first), low: groups 2 and 3. */
    uint64_t top = high >> 32;
    if ((uint32_t)high || top >= 922) /* 922 * 10^16 is just under 2^63 */
        return -1;
    return (int64_t)(top * 10000000000000000 + (low & UINT32_MAX) * 100000000 + (low >> 32));
}

/* As scan_number() in json_floats.c. */
TARGET static inline const char *scan_number_wide(const char *p, float *ret)
{
    __m256i text = _mm256_loadu_si256((const __m256i *)(const void *)p);
    __m256i values = _mm256_sub_epi8(text, _mm256_set1_epi8('0'));
    uint32_t digit_mask = _mm256_cmplt_epu8_mask(values, _mm256_set1_epi8(10));
    uint32_t point_mask = _mm256_cmpeq_epi8_mask(text, _mm256_set1_epi8('.'));
    uint32_t negative = *p == '-';
    uint32_t other = ~(digit_mask | point_mask | negative);
    if (!other)
        return NULL;
    unsigned len = (unsigned)_tzcnt_u32(other);
    uint32_t inside = (1u << len) - 1;
    digit_mask &= inside;
    point_mask &= inside;
    unsigned point = point_mask ? (unsigned)_tzcnt_u32(point_mask) : len;
    unsigned whole = point - negative; /* digits before the point */
    unsigned fraction = len - point - (point_mask != 0);
    bool leading_zero = (p[negative] == '0') & (whole > 1);
    bool many_points = (point_mask & (point_mask - 1)) != 0;
    bool bare_point = (point_mask != 0) & (fraction == 0);
    /* point < len or == len, so `whole` is 0 for "", "-" and ".5". */
    if ((whole == 0) | leading_zero | many_points | bare_point)
        return NULL;
    int64_t w = join_digits(values, digit_mask);
    if (w < 0)
        return NULL;
    int e = -(int)fraction;
    p += len;
    if (__builtin_expect((*p | 0x20) == 'e', 0)) {
        p = scan_exponent(p, &e);
        if (!p)
            return NULL;
    }
    return decimal_to_float((uint64_t)w, e, negative, ret) ? p : NULL;
}

/* ---- in batches ---- */

/* The offsets of each ',' in the blocks from p on, up to and with the first ']'.  The room is for
 * every byte, and for what the last store writes too much. */
TARGET static size_t find_separators(const char *p, size_t blocks, uint16_t *ret)
{
    const __m512i comma = _mm512_set1_epi8(','), bracket = _mm512_set1_epi8(']');
    const __m512i place = _mm512_set_epi8(
        63, 62, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44, 43, 42, 41,
        40, 39, 38, 37, 36, 35, 34, 33, 32, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18,
        17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    size_t n = 0;
    bool closed = false;
    for (size_t b = 0; b < blocks && !closed; b++) {
        __m512i text = _mm512_loadu_si512(p + BLOCK * b);
        __m512i base = _mm512_set1_epi16((short)(BLOCK * b));
        uint64_t last = _mm512_cmpeq_epi8_mask(text, bracket);
        uint64_t all = _mm512_cmpeq_epi8_mask(text, comma) | last;
        all &= last ^ (last - 1); /* nothing behind the first bracket */
        __m512i places = _mm512_maskz_compress_epi8(all, place);
        __m256i low = _mm512_castsi512_si256(places), high = _mm512_extracti64x4_epi64(places, 1);
        _mm512_storeu_si512(ret + n, _mm512_add_epi16(_mm512_cvtepu8_epi16(low), base));
        _mm512_storeu_si512(ret + n + 32, _mm512_add_epi16(_mm512_cvtepu8_epi16(high), base));
        n += (size_t)__builtin_popcountll(all);
        closed = last != 0;
    }
    return n;
}

struct batch {
    uint8_t digits[BATCH][DIGITS]; /* values, most significant first, zeros behind the last */
    uint8_t more[BATCH];           /* 1: there are more digits than these */
    uint8_t sign[BATCH];           /* 0x80: negative */
};

/* Puts the number in [p, end) at place i of the batch.  1: it is none of the plain kind; what
 * stands there then means nothing. */
TARGET static inline uint64_t put_number(const char *p, const char *end, struct batch *b, size_t i)
{
    while (scan_is_space(*p)) /* a separator ends it */
        p++;
    bool negative = *p == '-';
    p += negative;
    size_t len = (size_t)(end - p);
    __m256i values = _mm256_sub_epi8(_mm256_loadu_si256((const __m256i *)(const void *)p),
                                     _mm256_set1_epi8('0'));
    uint32_t digits = _mm256_cmplt_epu8_mask(values, _mm256_set1_epi8(10));
    uint32_t inside = _bzhi_u32(UINT32_MAX, (uint32_t)len);
    bool plain = (len >= 3) & (len <= LANES) & (p[1] == '.') & (((digits | 2) & inside) == inside);
    /* the digit before the point takes the place of the point */
    __m128i text = _mm_insert_epi8(_mm_loadu_si128((const __m128i *)(const void *)(p + 1)), *p, 0);
    __mmask16 used = (__mmask16)_bzhi_u32(UINT16_MAX, (uint32_t)len - 1);
    _mm_store_si128((__m128i *)(void *)b->digits[i],
                    _mm_maskz_sub_epi8(used, text, _mm_set1_epi8('0')));
    b->more[i] = len - 1 > DIGITS;
    b->sign[i] = (uint8_t)(negative << 7);
    return !plain;
}

/* Eight rows of digits as integers, in order. */
TARGET static inline __m512i join_eight(const uint8_t (*digits)[DIGITS])
{
    const __m512i tens = _mm512_set1_epi16(0x010a), hundreds = _mm512_set1_epi32(0x00010064);
    const __m512i myriads = _mm512_set1_epi32(0x00012710), half = _mm512_set1_epi64(100000000);
    const __m512i in_order = _mm512_set_epi64(7, 5, 3, 1, 6, 4, 2, 0);
    __m512i a = _mm512_maddubs_epi16(_mm512_load_si512(digits), tens);
    __m512i b = _mm512_maddubs_epi16(_mm512_load_si512(digits + 4), tens);
    a = _mm512_madd_epi16(a, hundreds);
    b = _mm512_madd_epi16(b, hundreds);
    /* in each quarter the upper and lower eight digits of one of a's and one of b's */
    __m512i halves = _mm512_madd_epi16(_mm512_packus_epi32(a, b), myriads);
    halves = _mm512_permutexvar_epi64(in_order, halves);
    return _mm512_add_epi64(_mm512_mul_epu32(halves, half), _mm512_srli_epi64(halves, 32));
}

TARGET static inline __m512i bytes_to_longs(const uint8_t *p)
{
    return _mm512_cvtepu8_epi64(_mm_loadl_epi64((const __m128i *)(const void *)p));
}

/* w units of the last digit as a float, a little less or a little more: the conversion, the factor
 * and the two products err by half an ulp of a double each, so 4 ulp are more than enough. */
TARGET static inline __m256 round_at(__m512i w, double margin)
{
    __m512d value = _mm512_mul_pd(_mm512_cvtepi64_pd(w), _mm512_set1_pd(1e-15));
    return _mm512_cvtpd_ps(_mm512_mul_pd(value, _mm512_set1_pd(margin)));
}

/* The floats of the first `count` rows.  Returns a mask of those that need a closer look. */
TARGET static uint64_t join_batch(const struct batch *b, size_t count, float *out)
{
    uint64_t doubtful = 0;
    for (size_t i = 0; i < count; i += 8) {
        __m512i w = join_eight(b->digits + i);
        __m256 least = round_at(w, 1 - 4 * DBL_EPSILON);
        __m256 most =
            round_at(_mm512_add_epi64(w, bytes_to_longs(b->more + i)), 1 + 4 * DBL_EPSILON);
        __m256i sign = _mm256_slli_epi32(
            _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)(b->sign + i))),
            24);
        __mmask8 lanes = (__mmask8)_bzhi_u32(UINT8_MAX, (uint32_t)(count - i));
        __m256 value = _mm256_or_ps(least, _mm256_castsi256_ps(sign));
        _mm256_mask_storeu_ps(out + i, lanes, value);
        uint64_t differ = _mm256_mask_cmp_ps_mask(lanes, least, most, _CMP_NEQ_UQ);
        doubtful |= differ << i;
    }
    return doubtful;
}

/* A number of any kind that ends at a separator, perhaps with space around it. */
TARGET static bool scan_between(const char *p, const char *separator, float *ret)
{
    while (scan_is_space(*p))
        p++;
    p = scan_number_wide(p, ret);
    while (p && p < separator && scan_is_space(*p))
        p++;
    return p == separator;
}

/* The elements whose separators stand at `places` behind p.  Moves *element on to the first one not
 * taken. */
TARGET static size_t scan_batch(const char *p, const uint16_t *places, size_t count,
                                const char **element, float *out)
{
    struct batch b __attribute__((aligned(BLOCK))) QMN_UNINIT;
    const char *starts[BATCH] QMN_UNINIT;
    uint64_t closer = 0;
    const char *at = *element;
    for (size_t i = 0; i < count; i++) {
        starts[i] = at;
        closer |= put_number(at, p + places[i], &b, i) << i;
        at = p + places[i] + 1;
    }
    for (closer |= join_batch(&b, count, out); closer; closer &= closer - 1) {
        size_t i = (size_t)__builtin_ctzll(closer);
        if (!scan_between(starts[i], p + places[i], &out[i])) {
            *element = starts[i];
            return i;
        }
    }
    *element = at;
    return count;
}

/* What there is of whole blocks.  No element is begun so near the end that a load could pass it. */
TARGET static size_t scan_blocks(const char *p, const char *end, float *out, size_t max,
                                 const char **ret_p, bool *ret_closed)
{
    uint16_t places[BLOCKS * BLOCK + BLOCK] QMN_UNINIT;
    size_t n = 0;
    while (n < max && end - p >= BLOCK + SCAN_SLACK) {
        size_t blocks = (size_t)(end - p - SCAN_SLACK) / BLOCK;
        size_t found = find_separators(p, blocks < BLOCKS ? blocks : BLOCKS, places);
        found = found < max - n ? found : max - n;
        const char *element = p;
        size_t done = 0;
        for (size_t take = 1, got = 1; done < found && got == take; done += got) {
            take = found - done < BATCH ? found - done : BATCH;
            got = scan_batch(p, places + done, take, &element, out + n + done);
        }
        n += done;
        *ret_closed = done && p[places[done - 1]] == ']';
        p = element;
        if (done < found || !found || *ret_closed)
            break;
    }
    *ret_p = p;
    return n;
}

TARGET size_t floats_scan_avx512(const char *p, const char *end, float *out, size_t max,
                                 const char **ret_p, bool *ret_closed)
{
    *ret_closed = false;
    size_t n = scan_blocks(p, end, out, max, &p, ret_closed);
    const char *element = p;
    while (n < max && !*ret_closed) {
        while (p < end && scan_is_space(*p))
            p++;
        if (end - p < SCAN_SLACK)
            break;
        p = scan_number_wide(p, &out[n]);
        if (!p)
            break;
        while (p < end && scan_is_space(*p))
            p++;
        if (p >= end || (*p != ',' && *p != ']'))
            break;
        n++;
        element = p + 1;
        if (*p++ == ']') {
            *ret_closed = true;
            break;
        }
    }
    *ret_p = element;
    return n;
}

#else

bool floats_have_avx512(void)
{
    return false;
}

size_t floats_scan_avx512(const char *p, const char *end, float *out, size_t max,
                          const char **ret_p, bool *ret_closed)
{
    return floats_scan_portable(p, end, out, max, ret_p, ret_closed);
}

#endif
