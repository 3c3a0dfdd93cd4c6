/* SPDX-License-Identifier: MIT
 *
 * Single JSON values as text.
 *
 * Floats: the digits are tried from one up; the first count that reads back as the same float wins.
 * What is clearly nearer to the float than to its neighbours' midpoints reads back; in doubt, as
 * there are 29 bits of a double to spare, the scanner's own last step decides.  Doubles: most that
 * are sent have few decimals, m / 10^k with both exact, whose quotient is correctly rounded; of the
 * others the digits are worked out in long double and compared with the value in integers, and only
 * what those cannot hold is read back by strtod or goes through printf. */
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/swar.h"
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
    char digits[20] QMN_UNINIT;
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    memcpy(p, digits + at, sizeof digits - at);
    return sizeof digits - at;
}

/* "0.00ddd" or "dd0.0" or "d.dd": the point stands behind digit `first` (of a power of ten). */
static char *put_positional(char *p, const char *digits, int n, int first)
{
    int whole = first + 1; /* digits in front of the point */
    if (whole <= 0) {
        *p++ = '0';
        *p++ = '.';
        for (int i = whole; i < 0; i++)
            *p++ = '0';
        memcpy(p, digits, (size_t)n);
        return p + n;
    }
    for (int i = 0; i < whole; i++)
        *p++ = i < n ? digits[i] : '0';
    *p++ = '.';
    if (n <= whole) /* a float stays one for typed readers: 3.0 */
        *p++ = '0';
    for (int i = whole; i < n; i++)
        *p++ = digits[i];
    return p;
}

/* value * 10^exponent, value > 0 without trailing zeros. */
static void put_decimal(struct buf *out, bool negative, uint64_t value, int exponent)
{
    char digits[20] QMN_UNINIT;
    int n = (int)put_digits(digits, value), first = n - 1 + exponent;
    char *start = buf_reserve(out, NUMBER_CHARS), *p = start;
    if (!start)
        return;
    if (negative)
        *p++ = '-';
    if (first < POSITIONAL_MIN || first > POSITIONAL_MAX) {
        *p++ = digits[0];
        if (n > 1)
            *p++ = '.';
        for (int i = 1; i < n; i++)
            *p++ = digits[i];
        *p++ = 'e';
        if (first < 0)
            *p++ = '-';
        p += put_digits(p, (uint64_t)(first < 0 ? -first : first));
    } else {
        p = put_positional(p, digits, n, first);
    }
    out->len += (size_t)(p - start);
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

/* To the nearest integer, x >= 0: at 2^52 a double has no more bits behind the point.  The
 * library's is a call, and there are up to eighteen. */
static double rounded(double x)
{
    return x < 0x1p52 ? (x + 0x1p52) - 0x1p52 : x;
}

/* The decimal exponent of the first digit of a > 0, a float: 2^e <= a < 2^(e+1) leaves two. */
static int first_digit(double a)
{
    enum { MANTISSA = 52, BIAS = 1023 };
    uint64_t bits;
    memcpy(&bits, &a, sizeof bits);
    int e = (int)(bits >> MANTISSA) - BIAS;
    int first = e * 315653 >> 20; /* log10 2 in 2^-20; right for |e| <= 2620 */
    return a >= float_pow10[first + 1 - POW10_MIN] ? first + 1 : first;
}

/* Half the distance from a to the floats beside it; 0 where the two differ or are subnormal. */
static double half_gap(float a)
{
    enum { MANTISSA = 23, HALF = 24 }; /* a gap is 2^-23 of the power of two below */
    uint32_t bits, fraction = (UINT32_C(1) << MANTISSA) - 1;
    memcpy(&bits, &a, sizeof bits);
    uint32_t exponent = bits >> MANTISSA;
    uint64_t gap = (uint64_t)(exponent + 1023 - 127 - HALF) << 52;
    double d;
    memcpy(&d, &gap, sizeof d);
    return exponent && (bits & fraction) ? d : 0;
}

void json_put_float(struct buf *out, float value)
{
    enum { DIGITS = 9 }; /* always enough */
    /* Of half a gap, which is at least 2^-25 of the value: the products err by 2^-51 of it. */
    const double clear = 0x1p-20;
    float magnitude = fabsf(value);
    double a = (double)magnitude;
    if (!isfinite(value)) {
        buf_adds(out, "null");
        return;
    }
    if (a == 0) {
        buf_adds(out, signbit(value) ? "-0.0" : "0.0");
        return;
    }
    int first = first_digit(a);
    double gap = half_gap(magnitude);
    for (int n = 1; n <= DIGITS + 1; n++) { /* + 1: the table is not exact, so `first` is one off */
        int exponent = first - n + 1;
        double ten = float_pow10[-exponent - POW10_MIN], scaled = a * ten, m = rounded(scaled);
        if (scaled - m == 0.5) /* as one expects of 0.25 in one digit: up, not to even */
            m += 1;
        double apart = fabs(scaled - m), room = gap * ten;
        uint64_t digits = (uint64_t)m;
        if (gap > 0 && apart > room * (1 + clear))
            continue;
        if (apart >= room * (1 - clear) && !reads_back(digits, exponent, magnitude))
            continue;
        for (; digits % 10 == 0; digits /= 10)
            exponent++;
        put_decimal(out, signbit(value), digits, exponent);
        return;
    }
    json_put_double(out, (double)value);
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
    char text[CLOCK_TEXT_SIZE] QMN_UNINIT;
    clock_format(unix_ms, text);
    buf_addc(out, '"');
    buf_add(out, text, sizeof text - 1);
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

/* The first byte from p on that does not go out as it is, or has to be looked at. */
static const char *skip_plain(const char *p, const char *end)
{
    for (; end - p >= 8; p += 8) {
        uint64_t v = swar_load(p);
        uint64_t stop = (v & SWAR_HIGH) | swar_below(v, 0x20) | swar_equal(v, '"') |
                        swar_equal(v, '\\') | swar_equal(v, 0x7f);
        if (stop)
            return p + (__builtin_ctzll(stop) >> 3);
    }
    while (p < end && (unsigned char)*p >= 0x20 && (unsigned char)*p < 0x7f && *p != '"' &&
           *p != '\\')
        p++;
    return p;
}

void json_put_string(struct buf *out, struct bytes text)
{
    const char *p = text.ptr, *end = p + text.len, *plain = p;
    buf_addc(out, '"');
    while ((p = skip_plain(p, end)) < end) {
        unsigned char c = (unsigned char)*p;
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
