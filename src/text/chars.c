/* SPDX-License-Identifier: MIT
 *
 * UTF-8, lower case and character classes.
 *
 * Lower case is simple, one code point to one: Latin (with its extensions), Greek (a final sigma
 * becomes an ordinary one), Cyrillic, Armenian, and full-width Latin to ASCII.  Texts should be
 * NFC: a decomposed accent is ignored, so it makes another word than the composed letter.
 * Superscripts and letter-like symbols count as punctuation; what the tables do not name counts as
 * a letter, which is right for most of the code points that future versions of Unicode assign. */
#include "chars_priv.h"

#include <stdbool.h>

#include "base/attr.h"

struct range {
    uint32_t first, last;
};

/* Both sorted. */
static const struct range breaks[] = {
    {0x0080, 0x00a9},   {0x00ab, 0x00b4},   {0x00b6, 0x00b9},    {0x00bb, 0x00bf},
    {0x00d7, 0x00d7},   {0x00f7, 0x00f7},   {0x02c2, 0x02c5},    {0x02d2, 0x02df},
    {0x02e5, 0x02eb},   {0x02ed, 0x02ed},   {0x02ef, 0x02ff},    {0x037e, 0x037e},
    {0x0384, 0x0385},   {0x0387, 0x0387},   {0x03f6, 0x03f6},    {0x0482, 0x0482},
    {0x055a, 0x055f},   {0x0589, 0x058f},   {0x05be, 0x05be},    {0x05c0, 0x05c0},
    {0x05c3, 0x05c3},   {0x05c6, 0x05c6},   {0x05f3, 0x060f},    {0x061b, 0x061f},
    {0x066a, 0x066d},   {0x06d4, 0x06d4},   {0x06dd, 0x06de},    {0x06e9, 0x06e9},
    {0x06fd, 0x06fe},   {0x0700, 0x070f},   {0x0964, 0x0965},    {0x0970, 0x0970},
    {0x0e3f, 0x0e3f},   {0x0e4f, 0x0e4f},   {0x0e5a, 0x0e5b},    {0x0f01, 0x0f17},
    {0x0f3a, 0x0f3d},   {0x104a, 0x104f},   {0x10fb, 0x10fb},    {0x1360, 0x1368},
    {0x1400, 0x1400},   {0x166d, 0x166e},   {0x1680, 0x1680},    {0x169b, 0x169c},
    {0x16eb, 0x16ed},   {0x17d4, 0x17db},   {0x1800, 0x180e},    {0x1fbd, 0x1fbd},
    {0x1fbf, 0x1fc1},   {0x1fcd, 0x1fcf},   {0x1fdd, 0x1fdf},    {0x1fed, 0x1fef},
    {0x1ffd, 0x1ffe},   {0x2000, 0x2bff},   {0x2e00, 0x2e7f},    {0x2ff0, 0x3004},
    {0x3008, 0x3020},   {0x302a, 0x3030},   {0x3036, 0x3037},    {0x303d, 0x3040},
    {0x3097, 0x309c},   {0x30a0, 0x30a0},   {0x30fb, 0x30fb},    {0x3190, 0x319f},
    {0x31c0, 0x31ef},   {0x3200, 0x33ff},   {0x4dc0, 0x4dff},    {0xa490, 0xa4cf},
    {0xd800, 0xf8ff},   {0xfd3e, 0xfd4f},   {0xfdfc, 0xfe6f},    {0xfeff, 0xff20},
    {0xff3b, 0xff40},   {0xff5b, 0xff65},   {0xffe0, 0xffff},    {0x1d000, 0x1d3ff},
    {0x1d800, 0x1dfff}, {0x1f000, 0x1ffff}, {0xe0000, 0x10ffff},
};

static const struct range ignored[] = {
    {0x00ad, 0x00ad}, {0x0300, 0x036f}, {0x0483, 0x0489}, {0x0591, 0x05bd}, {0x05bf, 0x05bf},
    {0x05c1, 0x05c2}, {0x05c4, 0x05c5}, {0x05c7, 0x05c7}, {0x0610, 0x061a}, {0x0640, 0x0640},
    {0x064b, 0x065f}, {0x0670, 0x0670}, {0x06d6, 0x06dc}, {0x06df, 0x06e4}, {0x06e7, 0x06e8},
    {0x06ea, 0x06ed}, {0x1ab0, 0x1aff}, {0x1dc0, 0x1dff}, {0x200c, 0x200d}, {0x2060, 0x2060},
    {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}, {0xfeff, 0xfeff},
};

static const struct range ideographs[] = {
    {0x3005, 0x3007}, {0x3041, 0x309f}, {0x3400, 0x4dbf},
    {0x4e00, 0x9fff}, {0xf900, 0xfaff}, {0x20000, 0x3ffff},
};

static bool in_ranges(uint32_t c, const struct range *ranges, size_t count)
{
    size_t low = 0, high = count; /* the first range that ends at or after c */
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (ranges[middle].last < c)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && ranges[low].first <= c;
}

static bool is_between(uint32_t c, uint32_t first, uint32_t last)
{
    return c >= first && c <= last;
}

/* Blocks in which capitals are even and small letters follow them. */
static bool is_even_pair(uint32_t c)
{
    return is_between(c, 0x0100, 0x0137) || is_between(c, 0x014a, 0x0177) ||
           is_between(c, 0x01de, 0x01ef) || is_between(c, 0x01f8, 0x021f) ||
           is_between(c, 0x0222, 0x0233) || is_between(c, 0x0370, 0x0373) ||
           is_between(c, 0x03d8, 0x03ef) || is_between(c, 0x0460, 0x0481) ||
           is_between(c, 0x048a, 0x04bf) || is_between(c, 0x04d0, 0x052f) ||
           is_between(c, 0x1e00, 0x1e95) || is_between(c, 0x1ea0, 0x1eff);
}

/* The same with odd capitals. */
static bool is_odd_pair(uint32_t c)
{
    return is_between(c, 0x0139, 0x0148) || is_between(c, 0x0179, 0x017e) ||
           is_between(c, 0x01cd, 0x01dc) || is_between(c, 0x04c1, 0x04ce);
}

/* Small letters that are another's variant: dotless i, long s, final sigma. */
static uint32_t unify_small(uint32_t c)
{
    return c == 0x0131 ? 'i' : c == 0x017f ? 's' : c == 0x03c2 ? 0x03c3 : c;
}

static uint32_t lower_greek(uint32_t c)
{
    switch (c) {
    case 0x0386:
        return 0x03ac;
    case 0x038c:
        return 0x03cc;
    default:
        break;
    }
    if (is_between(c, 0x0388, 0x038a))
        return c + 37;
    if (is_between(c, 0x038e, 0x038f))
        return c + 63;
    return is_between(c, 0x0391, 0x03ab) ? c + 32 : c;
}

static uint32_t lower(uint32_t c)
{
    switch (c) {
    case 0x0130: /* capital I with a dot: the dot is not kept */
        return 'i';
    case 0x0178:
        return 0x00ff;
    case 0x04c0:
        return 0x04cf;
    case 0x1e9e:
        return 0x00df;
    default:
        break;
    }
    if (is_between(c, 0x00c0, 0x00de) || is_between(c, 0x0410, 0x042f))
        return c + 32;
    if (is_even_pair(c))
        return c | 1;
    if (is_odd_pair(c))
        return c + (c & 1);
    if (is_between(c, 0x0386, 0x03ab))
        return lower_greek(c);
    if (is_between(c, 0x0400, 0x040f))
        return c + 80;
    return is_between(c, 0x0531, 0x0556) ? c + 48 : c;
}

static struct text_char ascii(uint32_t c)
{
    if (is_between(c, 'a', 'z'))
        return (struct text_char){c, CHAR_LETTER};
    if (is_between(c, 'A', 'Z'))
        return (struct text_char){c + ('a' - 'A'), CHAR_UPPER};
    if (is_between(c, '0', '9'))
        return (struct text_char){c, CHAR_DIGIT};
    bool connects = c == '_' || c == '-' || c == '.' || c == '/' || c == ':' || c == '@' ||
                    c == '\'' || c == '\\';
    return (struct text_char){c, connects ? CHAR_CONNECTOR : CHAR_BREAK};
}

static struct text_char classify(uint32_t c)
{
    if (c < 0x80)
        return ascii(c);
    if (is_between(c, 0xff10, 0xff19) || is_between(c, 0xff21, 0xff3a) ||
        is_between(c, 0xff41, 0xff5a))
        return ascii(c - 0xfee0); /* full width */
    if (in_ranges(c, ignored, ARRAY_LEN(ignored)))
        return (struct text_char){c, CHAR_IGNORED};
    if (c == 0x2010 || c == 0x2011 || c == 0x2019) /* hyphens and the apostrophe */
        return (struct text_char){c, CHAR_CONNECTOR};
    if (in_ranges(c, breaks, ARRAY_LEN(breaks)))
        return (struct text_char){c, CHAR_BREAK};
    if (in_ranges(c, ideographs, ARRAY_LEN(ideographs)))
        return (struct text_char){c, CHAR_IDEOGRAPH};
    uint32_t variant = unify_small(c), small = lower(variant);
    return (struct text_char){small, small != variant ? CHAR_UPPER : CHAR_LETTER};
}

/* The bytes of the sequence a first byte announces; 0 if it can start none. */
static size_t sequence_length(unsigned char first)
{
    if (first < 0x80)
        return 1;
    if (first < 0xc2 || first > 0xf4)
        return 0;
    return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

struct text_char text_char_next(struct bytes text, size_t *pos)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *p = (const unsigned char *)text.ptr + *pos;
    size_t len = sequence_length(*p), left = text.len - *pos;
    const struct text_char invalid = {0xfffd, CHAR_BREAK};
    (*pos)++;
    if (len == 1)
        return ascii(*p);
    if (len == 0 || len > left)
        return invalid;
    uint32_t c = *p & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return invalid;
        c = c << 6 | (p[i] & 0x3f);
    }
    if (c < smallest[len] || c > 0x10ffff || is_between(c, 0xd800, 0xdfff))
        return invalid;
    *pos += len - 1;
    return classify(c);
}
