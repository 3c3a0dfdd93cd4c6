/* SPDX-License-Identifier: MIT
 *
 * The scanner for AVX-512 with VBMI2 (Ice Lake, Zen 4 and later): a number is one 32-byte load.
 * Masks of digits and of the point give its length, a byte compress drops the point, a byte expand
 * moves the digits to the right edge, and three multiply-adds join them to groups of eight.  The
 * next number's place depends on the masks only, so the arithmetic of one number overlaps with the
 * scan of the next. */
#include "json_floats.h"
#include "json_floats_priv.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512vbmi2,bmi,bmi2,popcnt")))

enum { LANES = 32 };

bool floats_have_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vbmi2") &&
           __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
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

TARGET size_t floats_scan_avx512(const char *p, const char *end, float *out, size_t max,
                                 const char **ret_p, bool *ret_closed)
{
    size_t n = 0;
    const char *element = p;
    *ret_closed = false;
    while (n < max) {
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
