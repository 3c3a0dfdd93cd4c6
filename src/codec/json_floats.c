/* SPDX-License-Identifier: MIT
 *
 * The portable scanner, and the exact parse of a single number.  See json_floats.h for the method;
 * the split of a number into w and e goes back to [Cli90] Clinger, "How to read floating point
 * numbers accurately", the eight digits at a time to [Lem21] Lemire, "Number parsing at a gigabyte
 * per second"; the fall-back at midpoints replaces their 128-bit arithmetic, because a double has
 * 29 bits to spare over a float. */
#include "json_floats.h"

#include <locale.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/limits.h"
#include "json_floats_priv.h"
#include "base/swar.h"

const double float_pow10[POW10_MAX - POW10_MIN + 1] = {
    1e-64, 1e-63, 1e-62, 1e-61, 1e-60, 1e-59, 1e-58, 1e-57, 1e-56, 1e-55, 1e-54, 1e-53, 1e-52,
    1e-51, 1e-50, 1e-49, 1e-48, 1e-47, 1e-46, 1e-45, 1e-44, 1e-43, 1e-42, 1e-41, 1e-40, 1e-39,
    1e-38, 1e-37, 1e-36, 1e-35, 1e-34, 1e-33, 1e-32, 1e-31, 1e-30, 1e-29, 1e-28, 1e-27, 1e-26,
    1e-25, 1e-24, 1e-23, 1e-22, 1e-21, 1e-20, 1e-19, 1e-18, 1e-17, 1e-16, 1e-15, 1e-14, 1e-13,
    1e-12, 1e-11, 1e-10, 1e-9,  1e-8,  1e-7,  1e-6,  1e-5,  1e-4,  1e-3,  1e-2,  1e-1,  1e0,
    1e1,   1e2,   1e3,   1e4,   1e5,   1e6,   1e7,   1e8,   1e9,   1e10,  1e11,  1e12,  1e13,
    1e14,  1e15,  1e16,  1e17,  1e18,  1e19,  1e20,  1e21,  1e22,  1e23,  1e24,  1e25,  1e26,
    1e27,  1e28,  1e29,  1e30,  1e31,  1e32,  1e33,  1e34,  1e35,  1e36,  1e37,  1e38,  1e39,
    1e40,  1e41,  1e42,  1e43,  1e44,  1e45,  1e46,  1e47,  1e48,  1e49,  1e50,  1e51,  1e52,
    1e53,  1e54,  1e55,  1e56,  1e57,  1e58,  1e59,  1e60,  1e61,  1e62,  1e63,  1e64,
};

enum { MAX_DIGITS = 19 }; /* fit 64 bits whatever they are */

static const uint64_t int_pow10[9] = {1,      10,      100,      1000,     10000,
                                      100000, 1000000, 10000000, 100000000};

locale_t json_c_locale(void)
{
    static _Atomic(locale_t) made;
    locale_t l = atomic_load(&made);
    if (l)
        return l;
    l = newlocale(LC_ALL_MASK, "C", (locale_t)0); /* static data in glibc: nothing to free */
    atomic_store(&made, l);
    return l;
}

bool double_parse(struct bytes number, double *ret)
{
    char copy[LIMIT_JSON_NUMBER_CHARS + 1];
    if (number.len >= sizeof copy)
        return false;
    memcpy(copy, number.ptr, number.len);
    copy[number.len] = 0;
    double d = strtod_l(copy, NULL, json_c_locale());
    if (!isfinite(d))
        return false;
    *ret = d;
    return true;
}

static bool float_parse_slow(struct bytes number, float *ret)
{
    char copy[LIMIT_JSON_NUMBER_CHARS + 1];
    if (number.len >= sizeof copy)
        return false;
    memcpy(copy, number.ptr, number.len);
    copy[number.len] = 0;
    float f = strtof_l(copy, NULL, json_c_locale());
    if (!isfinite(f))
        return false;
    *ret = f;
    return true;
}

/* Appends a run of digits to *w, eight at a time; returns its end.  *w is garbage when more than 19
 * digits have come together; the caller counts. */
static inline const char *scan_digits(const char *p, uint64_t *w)
{
    for (;;) {
        uint64_t v = swar_load(p);
        uint64_t stop = swar_not_digit(v);
        v -= SWAR_LOW * '0';
        if (!stop) {
            *w = *w * 100000000 + swar_digits(v);
            p += 8;
            continue;
        }
        unsigned n = (unsigned)__builtin_ctzll(stop) >> 3;
        if (n) /* the digits move to the high bytes, zeros before them */
            *w = *w * int_pow10[n] + swar_digits(v << (64 - 8 * n));
        return p + n;
    }
}

/* One number at p, with SCAN_SLACK bytes behind it to read.  NULL: let the slow way decide. */
static inline const char *scan_number(const char *p, float *ret)
{
    bool negative = *p == '-';
    p += negative;
    const char *first = p;
    uint64_t w = 0;
    int e = 0;
    if (*p == '0') {
        if (scan_is_digit(*++p))
            return NULL;
        first = p;
    } else {
        while (scan_is_digit(*p) && p - first <= MAX_DIGITS)
            w = w * 10 + (uint64_t)(*p++ - '0');
        if (p == first)
            return NULL;
    }
    long digits = p - first;
    if (digits > MAX_DIGITS)
        return NULL;
    if (*p == '.') {
        const char *point = p++;
        if (!w) /* zeros behind the point are no digits of w */
            while (p - point <= 8 && *p == '0')
                p++;
        const char *rest = p, *stop = p + MAX_DIGITS + 1;
        while (p < stop && !swar_not_digit(swar_load(p))) {
            w = w * 100000000 + swar_digits(swar_load(p) - SWAR_LOW * '0');
            p += 8;
        }
        if (p < stop)
            p = scan_digits(p, &w);
        digits += p - rest;
        e = -(int)(p - point - 1);
        if (!e)
            return NULL;
    }
    if (digits > MAX_DIGITS)
        return NULL;
    if ((*p | 0x20) == 'e') {
        p = scan_exponent(p, &e);
        if (!p)
            return NULL;
    }
    return decimal_to_float(w, e, negative, ret) ? p : NULL;
}

size_t floats_scan_portable(const char *p, const char *end, float *out, size_t max,
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
        p = scan_number(p, &out[n]);
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

bool float_parse(struct bytes number, float *ret)
{
    /* A padded copy makes the scanner's over-reads harmless. */
    char padded[MAX_DIGITS * 2 + SCAN_SLACK] = {0};
    if (number.len < MAX_DIGITS * 2) {
        memcpy(padded, number.ptr, number.len);
        const char *p = scan_number(padded, ret);
        if (p)
            return true;
    }
    return float_parse_slow(number, ret);
}

size_t floats_scan(const char *p, const char *end, float *out, size_t max, const char **ret_p,
                   bool *ret_closed)
{
    if (floats_have_avx512())
        return floats_scan_avx512(p, end, out, max, ret_p, ret_closed);
    return floats_scan_portable(p, end, out, max, ret_p, ret_closed);
}
