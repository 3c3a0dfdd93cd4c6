/* SPDX-License-Identifier: MIT
 *
 * UTF-8 checks; ASCII goes eight bytes at a time, because nearly all text is. */
#include "utf8.h"

#include "base/swar.h"

static bool is_tail(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

size_t utf8_char(const char *p, const char *end)
{
    unsigned char a = (unsigned char)p[0];
    size_t left = (size_t)(end - p);
    if (a < 0x80)
        return 1;
    if (a < 0xc2 || a > 0xf4)
        return 0;
    if (a < 0xe0)
        return left >= 2 && is_tail(p[1]) ? 2 : 0;
    unsigned char b = left >= 2 ? (unsigned char)p[1] : 0;
    if (a < 0xf0) {
        unsigned char low = a == 0xe0 ? 0xa0 : 0x80;
        unsigned char high = a == 0xed ? 0x9f : 0xbf; /* above lie the surrogates */
        return left >= 3 && b >= low && b <= high && is_tail(p[2]) ? 3 : 0;
    }
    unsigned char low = a == 0xf0 ? 0x90 : 0x80;
    unsigned char high = a == 0xf4 ? 0x8f : 0xbf; /* above U+10FFFF */
    return left >= 4 && b >= low && b <= high && is_tail(p[2]) && is_tail(p[3]) ? 4 : 0;
}

bool utf8_valid(struct bytes text)
{
    const char *p = text.ptr, *end = p + text.len;
    while (p < end) {
        if (end - p >= 8 && !(swar_load(p) & SWAR_HIGH)) {
            p += 8;
            continue;
        }
        size_t n = utf8_char(p, end);
        if (!n)
            return false;
        p += n;
    }
    return true;
}

size_t utf8_count(struct bytes text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++)
        n += !is_tail(text.ptr[i]);
    return n;
}

size_t utf8_put(uint32_t c, char *ret)
{
    if (c < 0x80) {
        ret[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        ret[0] = (char)(0xc0 | c >> 6);
        ret[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        ret[0] = (char)(0xe0 | c >> 12);
        ret[1] = (char)(0x80 | (c >> 6 & 0x3f));
        ret[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    ret[0] = (char)(0xf0 | c >> 18);
    ret[1] = (char)(0x80 | (c >> 12 & 0x3f));
    ret[2] = (char)(0x80 | (c >> 6 & 0x3f));
    ret[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}
