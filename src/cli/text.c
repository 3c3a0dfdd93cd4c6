/* SPDX-License-Identifier: MIT
 *
 * Width of characters: East Asian wide ones and emoji take two columns, combining marks none.  The
 * C library could tell too, but only in a UTF-8 locale, which a container rarely sets. */
#include "text.h"

#include "base/attr.h"
#include "codec/utf8.h"

struct range {
    uint32_t first, last;
};

static const struct range zero_width[] = {
    {0x300, 0x36f},   {0x483, 0x489},   {0x591, 0x5bd},   {0x610, 0x61a},   {0x64b, 0x65f},
    {0x900, 0x902},   {0x93c, 0x93c},   {0x1ab0, 0x1aff}, {0x1dc0, 0x1dff}, {0x200b, 0x200d},
    {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}, {0xfeff, 0xfeff}, {0xe0100, 0xe01ef},
};

static const struct range double_width[] = {
    {0x1100, 0x115f},   {0x231a, 0x231b},   {0x23e9, 0x23ec},   {0x2614, 0x2615},
    {0x26a1, 0x26a1},   {0x2705, 0x2705},   {0x274c, 0x274c},   {0x2753, 0x2755},
    {0x2e80, 0x303e},   {0x3041, 0x33ff},   {0x3400, 0x4dbf},   {0x4e00, 0x9fff},
    {0xa000, 0xa4cf},   {0xa960, 0xa97f},   {0xac00, 0xd7a3},   {0xf900, 0xfaff},
    {0xfe30, 0xfe6f},   {0xff00, 0xff60},   {0xffe0, 0xffe6},   {0x1f300, 0x1f64f},
    {0x1f680, 0x1f6ff}, {0x1f900, 0x1f9ff}, {0x1fa70, 0x1faff}, {0x20000, 0x3fffd},
};

/* What a terminal may act upon, or what lets a text pretend to be another. */
static const struct range unsafe[] = {
    {0x00, 0x1f}, {0x7f, 0x9f}, {0x202a, 0x202e}, {0x2066, 0x2069}, {0x2028, 0x2029},
};

static const struct {
    char mark;
    const char *escape;
} styles[] = {
    {1, "\033[0m"},  {2, "\033[1m"},  {3, "\033[2m"},     {4, "\033[32m"},
    {5, "\033[31m"}, {6, "\033[33m"}, {0x0e, "\033[36m"},
};

static bool in_ranges(uint32_t c, const struct range *r, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (c >= r[i].first && c <= r[i].last)
            return true;
    return false;
}

static const char *style_of(char c)
{
    for (size_t i = 0; i < ARRAY_LEN(styles); i++)
        if (styles[i].mark == c)
            return styles[i].escape;
    return NULL;
}

/* The next character: its code point and length; bad bytes read as U+FFFD. */
static uint32_t next_char(const char *p, const char *end, size_t *ret_len)
{
    size_t len = utf8_char(p, end);
    const unsigned char *u = (const unsigned char *)p;
    *ret_len = len ? len : 1;
    switch (len) {
    case 1:
        return u[0];
    case 2:
        return (u[0] & 0x1fu) << 6 | (u[1] & 0x3fu);
    case 3:
        return (u[0] & 0x0fu) << 12 | (u[1] & 0x3fu) << 6 | (u[2] & 0x3fu);
    case 4:
        return (u[0] & 0x07u) << 18 | (u[1] & 0x3fu) << 12 | (u[2] & 0x3fu) << 6 | (u[3] & 0x3fu);
    default:
        return 0xfffd;
    }
}

static size_t char_width(uint32_t c)
{
    if (c < 0x80 && style_of((char)c))
        return 0;
    if (in_ranges(c, zero_width, ARRAY_LEN(zero_width)))
        return 0;
    return in_ranges(c, double_width, ARRAY_LEN(double_width)) ? 2 : 1;
}

size_t text_width(struct bytes text)
{
    size_t width = 0, len;
    for (const char *p = text.ptr, *end = p + text.len; p < end; p += len)
        width += char_width(next_char(p, end, &len));
    return width;
}

struct bytes text_prefix(struct bytes text, size_t columns)
{
    size_t width = 0, len;
    const char *p = text.ptr, *end = p + text.len;
    for (; p < end; p += len) {
        width += char_width(next_char(p, end, &len));
        if (width > columns)
            break;
    }
    return bytes_of(text.ptr, (size_t)(p - text.ptr));
}

void text_render(struct buf *out, struct bytes text, bool colours, bool lines)
{
    size_t len;
    for (const char *p = text.ptr, *end = p + text.len; p < end; p += len) {
        uint32_t c = next_char(p, end, &len);
        const char *style = c < 0x80 ? style_of((char)c) : NULL;
        if (style) {
            if (colours)
                buf_adds(out, style);
        } else if (c == '\n' && lines) {
            buf_addc(out, '\n');
        } else if (c == '\n' || c == '\t' || c == '\r') {
            buf_addc(out, ' ');
        } else if (c == 0xfffd || in_ranges(c, unsafe, ARRAY_LEN(unsafe))) {
            buf_addc(out, '?');
        } else {
            buf_add(out, p, len);
        }
    }
}
