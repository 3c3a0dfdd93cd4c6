/* SPDX-License-Identifier: MIT
 *
 * Base64, four characters a step; base64_avx512.c goes before where it can. */
#include "base64.h"

#include "base64_priv.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#define X16                                                                                        \
    0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80
/* clang-format off */
const uint8_t base64_values[256] = {
    X16, X16,
    0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 62, 0x80, 0x80, 0x80, 63,
    52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
    0x80, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
    15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 0x80, 0x80, 0x80, 0x80, 0x80,
    0x80, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
    41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 0x80, 0x80, 0x80, 0x80, 0x80,
    X16, X16, X16, X16, X16, X16, X16, X16,
};
/* clang-format on */

static bool decode_quad(const uint8_t *in, unsigned chars, uint8_t *out)
{
    uint8_t a = base64_values[in[0]], b = base64_values[in[1]];
    uint8_t c = chars > 2 ? base64_values[in[2]] : 0, d = chars > 3 ? base64_values[in[3]] : 0;
    if ((a | b | c | d) & 0x80)
        return false;
    uint32_t v = (uint32_t)a << 18 | (uint32_t)b << 12 | (uint32_t)c << 6 | d;
    out[0] = (uint8_t)(v >> 16);
    if (chars > 2)
        out[1] = (uint8_t)(v >> 8);
    if (chars > 3)
        out[2] = (uint8_t)v;
    return chars > 3 || !(v & (chars == 3 ? 0xffu : 0xffffu));
}

bool base64_decode(struct bytes text, uint8_t *ret, size_t *ret_len)
{
    const uint8_t *in = (const uint8_t *)text.ptr;
    size_t len = text.len;
    if (len % 4)
        return false;
    size_t at = base64_decode_blocks(in, len, ret), n = at / 4 * 3;
    in += at;
    len -= at;
    while (len > 4) {
        if (!decode_quad(in, 4, ret + n))
            return false;
        in += 4;
        len -= 4;
        n += 3;
    }
    if (len) {
        unsigned chars = in[3] != '=' ? 4 : in[2] != '=' ? 3 : 2;
        if (!decode_quad(in, chars, ret + n))
            return false;
        n += chars - 1;
    }
    *ret_len = n;
    return true;
}

void base64_encode(struct bytes data, struct buf *out)
{
    const uint8_t *in = (const uint8_t *)data.ptr;
    size_t left = data.len;
    char *p = buf_reserve(out, (data.len + 2) / 3 * 4);
    if (!p)
        return;
    for (; left; p += 4) {
        size_t n = left < 3 ? left : 3;
        uint32_t v = (uint32_t)in[0] << 16;
        v |= n > 1 ? (uint32_t)in[1] << 8 : 0;
        v |= n > 2 ? in[2] : 0;
        p[0] = alphabet[v >> 18];
        p[1] = alphabet[v >> 12 & 63];
        p[2] = n > 1 ? alphabet[v >> 6 & 63] : '=';
        p[3] = n > 2 ? alphabet[v & 63] : '=';
        in += n;
        left -= n;
    }
    out->len += (data.len + 2) / 3 * 4;
}
