/* SPDX-License-Identifier: MIT
 *
 * The last step that both scanners share: w * 10^e to float32. */
#ifndef QMN_CODEC_JSON_FLOATS_PRIV_H
#define QMN_CODEC_JSON_FLOATS_PRIV_H

#include <float.h>
#include <locale.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
    POW10_MIN = -64, /* the least float, 1.4e-45, written with 19 digits */
    POW10_MAX = 64,
    /* No scanner reads further than this from the start of an element: 32 characters of digits and
     * point, an exponent, and 8 bytes at a time over the end of them. */
    SCAN_SLACK = 64,
};

extern const double float_pow10[POW10_MAX - POW10_MIN + 1];

/* The C locale, whatever the process has set: elsewhere a comma stands for the point. */
locale_t json_c_locale(void);

/* False: the caller must take the slow way.
 *
 * The double d = w * 10^e errs by at most 1.5 ulp (w, table and product half an ulp each; computed
 * from rounded factors, so allow 2).  The float boundary nearest to d is a midpoint of two floats:
 * in the double's significand the 29 bits below float precision read 1000...0.  Outside 8 units
 * around it both the true value and d round to the same float.  8 instead of 2 costs nothing. */
static inline bool decimal_to_float(uint64_t w, int e, bool negative, float *ret)
{
    const uint32_t dropped_mask = (1u << 29) - 1, midpoint = 1u << 28, margin = 8;
    if ((int64_t)w < 0 || e < POW10_MIN || e > POW10_MAX)
        return false;
    double d = (double)(int64_t)w * float_pow10[e - POW10_MIN];
    uint64_t bits;
    memcpy(&bits, &d, sizeof bits);
    uint32_t dropped = (uint32_t)bits & dropped_mask;
    if (dropped - (midpoint - margin) <= 2 * margin)
        return false;
    if (!(d >= (double)FLT_MIN && d <= (double)FLT_MAX) && w != 0)
        return false;
    float f = (float)d;
    uint32_t out;
    memcpy(&out, &f, sizeof out);
    out |= (uint32_t)negative << 31;
    memcpy(ret, &out, sizeof out);
    return true;
}

static inline bool scan_is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline bool scan_is_digit(char c)
{
    return (unsigned char)(c - '0') < 10;
}

/* At 'e' or 'E': adds the exponent.  NULL: malformed, or more than three digits. */
static inline const char *scan_exponent(const char *p, int *e)
{
    bool negative = p[1] == '-';
    p += 1 + (p[1] == '-' || p[1] == '+');
    if (!scan_is_digit(*p))
        return NULL;
    int v = 0;
    for (int i = 0; i < 3 && scan_is_digit(*p); i++)
        v = v * 10 + (*p++ - '0');
    if (scan_is_digit(*p))
        return NULL;
    *e += negative ? -v : v;
    return p;
}

#endif
