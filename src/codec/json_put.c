/* SPDX-License-Identifier: MIT
 *
 * Single JSON values as text.
 *
 * Floats: the digits are tried from one up; the first count that reads back as the same float wins.
 * Reading back is the scanner's own last step, so a trial costs a few nanoseconds and the result is
 * right by construction.  Doubles: most that are sent have few decimals, m / 10^k with both exact,
 * whose quotient is correctly rounded; of the others the digits are worked out in long double and
 * compared with the value in integers, and only what those cannot hold is read back by strtod or
 * goes through printf. */
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "json_encode.h"
#include "json_floats.h"
#include "json_floats_priv.h"
#include "utf8.h"

enum {
    NUMBER_CHARS = 40,
    POSITIONAL_MIN = -5, /* decimal exponents written without 'e', as Python does */
    POSITIONAL_MAX = 15,
};

static size_t put_digits(char *p, uint64_t value)
{
    char reversed[20];
    size_t n = 0;
    do {
        reversed[n++] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    for (size_t i = 0; i < n; i++)
        p[i] = reversed[n - 1 - i];
    return n;
}

/* value * 10^exponent, value > 0 without trailing zeros. */
static void put_decimal(struct buf *out, bool negative, uint64_t value, int exponent)
{
    char digits[20], text[NUMBER_CHARS];
    int n = (int)put_digits(digits, value), first = n - 1 + exponent, len = 0;
    if (negative)
        text[len++] = '-';
    if (first < POSITIONAL_MIN || first > POSITIONAL_MAX) {
        text[len++] = digits[0];
        if (n > 1)
            text[len++] = '.';
        for (int i = 1; i < n; i++)
            text[len++] = digits[i];
        len += snprintf(text + len, sizeof text - (size_t)len, "e%d", first);
    } else if (first < 0) {
        text[len++] = '0';
        text[len++] = '.';
        for (int i = first + 1; i < 0; i++)
            text[len++] = '0';
        for (int i = 0; i < n; i++)
            text[len++] = digits[i];
    } else {
        for (int i = 0; i < n || i <= first; i++) {
            if (i == first + 1)
                text[len++] = '.';
            text[len++] = i < n ? digits[i] : '0';
        }
        if (n <= first + 1) { /* a float stays one for typed readers: 3.0 */
            text[len++] = '.';
            text[len++] = '0';
        }
    }
    buf_add(out, text, (size_t)len);
}

static bool reads_back(uint64_t digits, int exponent, float value)
{
    float got;
    if (!decimal_to_float(digits, exponent, false, &got)) {
        char text[NUMBER_CHARS];
        int n = snprintf(text, sizeof text, "%llue%d", (unsigned long long)digits, exponent);
        if (!float_parse(bytes_of(text, (size_t)n), &got))
            return false;
    }
    return got == value;
}

void json_put_float(struct buf *out, float value)
{
    enum { DIGITS = 9 }; /* always enough */
    double a = fabs((double)value);
    if (!isfinite(value)) {
        buf_adds(out, "null");
        return;
    }
    if (a == 0) {
        buf_adds(out, signbit(value) ? "-0.0" : "0.0");
        return;
    }
    int first = (int)floor(log10(a));
    for (int n = 1; n <= DIGITS + 1; n++) { /* + 1: log10 may be one off at a power of ten */
        int exponent = first - n + 1;
        double scaled = a * float_pow10[-exponent - POW10_MIN];
        uint64_t digits = (uint64_t)llround(scaled);
        if (!reads_back(digits, exponent, (float)a))
            continue;
        for (; digits % 10 == 0; digits /= 10)
            exponent++;
        put_decimal(out, signbit(value), digits, exponent);
        return;
    }
    json_put_double(out, (double)value);
}

/* To the nearest integer, x >= 0: at 2^52 a double has no more bits behind the point.  The
 * library's is a call, and there are up to eighteen. */
static double rounded(double x)
{
    return x < 0x1p52 ? (x + 0x1p52) - 0x1p52 : x;
}

/* value = m / 10^k with m < 2^53 and 10^k exact in a double. */
static bool put_short_double(struct buf *out, double value)
{
    const double exact = 9007199254740992.0;
    const int most = 17;
    double a = fabs(value);
    for (int k = 0; k <= most; k++) {
        double ten_k = float_pow10[k - POW10_MIN], scaled = a * ten_k, m = rounded(scaled);
        if (m >= exact)
            return false;
        /* Product and quotient are off by 2^-53 each: further apart, they cannot meet, and a
         * division is spared. */
        if (m > 0 && fabs(scaled - m) <= scaled * 0x1p-51 && m / ten_k == a) {
            uint64_t digits = (uint64_t)m;
            int exponent = -k;
            for (; digits % 10 == 0; digits /= 10)
                exponent++;
            put_decimal(out, signbit(value), digits, exponent);
            return true;
        }
    }
    return false;
}

/* value = m 2^-shift.  digits / 10^k is nearest to it if the two are less than half of 2^-shift
 * apart; times 10^k 2^shift, if |digits 2^shift - m 10^k| is less than half of 10^k, all of which
 * are integers.  False: these are too large, or it is no such case, and *ret says nothing. */
static bool compare_exactly(uint64_t digits, int k, double value, bool *ret)
{
    enum { MANTISSA = 52, BIAS = 1023, MOST_K = 19, MOST_SHIFT = 64 };
    const uint64_t one = UINT64_C(1) << MANTISSA, most_digits = UINT64_C(1) << 62;
    uint64_t bits, ten_k = 1;
    memcpy(&bits, &value, sizeof bits);
    uint64_t m = (bits & (one - 1)) | one;
    int shift = BIAS + MANTISSA - (int)(bits >> MANTISSA);
    if (k > MOST_K || shift < 0 || shift > MOST_SHIFT || digits >= most_digits ||
        m == one) /* a power of two: the double below it is nearer */
        return false;
    for (int i = 0; i < k; i++)
        ten_k *= 10;
    __extension__ typedef unsigned __int128 wide;
    wide said = (wide)digits << shift, is = (wide)m * ten_k;
    wide apart = 2 * (said > is ? said - is : is - said);
    *ret = apart < ten_k;
    return apart != ten_k;
}

/* Whether digits / 10^k is read as `value`. */
static bool double_reads_back(uint64_t digits, int k, double value)
{
    bool same;
    if (compare_exactly(digits, k, value, &same))
        return same;
    char text[NUMBER_CHARS];
    size_t n = put_digits(text, digits);
    text[n++] = 'e';
    text[n++] = '-';
    n += put_digits(text + n, (uint64_t)k);
    text[n] = 0;
    return strtod_l(text, NULL, json_c_locale()) == value;
}

/* The fewest of 15 to 17 digits that read back as the same. */
static bool put_long_double(struct buf *out, double value)
{
    enum { LEAST = 15, MOST = 17, EXACT = 27 }; /* 10^27 = 2^27 5^27, and 5^27 < 2^64 */
    double a = fabs(value);
    int first = (int)floor(log10(a));
    for (int n = LEAST; n <= MOST; n++) {
        int k = n - 1 - first;
        if (k < 0 || k > EXACT)
            return false;
        long double ten_k = 1;
        for (int i = 0; i < k; i++)
            ten_k *= 10;
        uint64_t digits = (uint64_t)llrintl((long double)a * ten_k);
        int exponent = -k;
        if (!double_reads_back(digits, k, a))
            continue;
        for (; digits % 10 == 0; digits /= 10)
            exponent++;
        put_decimal(out, signbit(value), digits, exponent);
        return true;
    }
    return false;
}

void json_put_double(struct buf *out, double value)
{
    if (!isfinite(value)) {
        buf_adds(out, "null");
        return;
    }
    if (value == 0) {
        buf_adds(out, signbit(value) ? "-0.0" : "0.0");
        return;
    }
    if (put_short_double(out, value) || put_long_double(out, value))
        return;
    char text[NUMBER_CHARS];
    locale_t before = uselocale(json_c_locale());
    /* Subnormals have fewer digits than the 15 that every other double keeps. */
    for (int digits = fpclassify(value) == FP_SUBNORMAL ? 1 : 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    uselocale(before);
    buf_adds(out, text);
    if (!strpbrk(text, ".e"))
        buf_adds(out, ".0");
}

void json_put_int(struct buf *out, int64_t value)
{
    char text[21];
    size_t n = 0;
    uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    if (value < 0)
        text[n++] = '-';
    n += put_digits(text + n, magnitude);
    buf_add(out, text, n);
}

void json_put_time(struct buf *out, int64_t unix_ms)
{
    char text[CLOCK_TEXT_SIZE];
    clock_format(unix_ms, text);
    buf_addc(out, '"');
    buf_adds(out, text);
    buf_addc(out, '"');
}

static void put_escape(struct buf *out, unsigned c)
{
    static const char named[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    const char *hit = c ? strchr(named, (int)c) : NULL;
    if (c < 0x80 && hit) {
        char pair[2] = {'\\', letters[hit - named]};
        buf_add(out, pair, sizeof pair);
        return;
    }
    buf_printf(out, "\\u%04x", c);
}

/* U+2028 and U+2029 are line ends to JavaScript, and some parsers still read JSON as it. */
static unsigned line_separator(const char *p, size_t n)
{
    if (n != 3 || memcmp(p, "\xe2\x80", 2) != 0)
        return 0;
    unsigned char last = (unsigned char)p[2];
    return last == 0xa8 ? 0x2028 : last == 0xa9 ? 0x2029 : 0;
}

void json_put_string(struct buf *out, struct bytes text)
{
    const char *p = text.ptr, *end = p + text.len, *plain = p;
    buf_addc(out, '"');
    while (p < end) {
        unsigned char c = (unsigned char)*p;
        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
            p++;
            continue;
        }
        size_t n = utf8_char(p, end);
        unsigned escape = c < 0x80 ? c : line_separator(p, n);
        if (n && !escape && c >= 0x80) {
            p += n;
            continue;
        }
        buf_add(out, plain, (size_t)(p - plain));
        if (n)
            put_escape(out, escape);
        else
            buf_adds(out, "\xef\xbf\xbd"); /* U+FFFD */
        p += n ? n : 1;
        plain = p;
    }
    buf_add(out, plain, (size_t)(p - plain));
    buf_addc(out, '"');
}
