/* SPDX-License-Identifier: MIT
 *
 * Time-ordered ids in Crockford base32: 176 bits and 4 leading zero bits make 36 digits. */
#include "id.h"

#include "rng.h"

static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";

struct id id_make(int64_t now_ms)
{
    struct id id;
    uint64_t t = (uint64_t)(now_ms < 0 ? 0 : now_ms);
    for (int i = 0; i < 6; i++)
        id.b[i] = (uint8_t)(t >> (8 * (5 - i)));
    rng_secure(id.b + 6, ID_BYTES - 6);
    return id;
}

void id_format(struct id id, const char *prefix, char *ret_text)
{
    size_t n = strlen(prefix);
    memcpy(ret_text, prefix, n);
    char *out = ret_text + n;
    uint32_t acc = 0, bits = 4; /* 180 bits: four zeros in front */
    for (size_t i = 0; i < ID_BYTES; i++) {
        acc = (acc << 8) | id.b[i];
        bits += 8;
        while (bits >= 5) {
            bits -= 5;
            *out++ = digits[(acc >> bits) & 31];
        }
    }
    *out = 0;
}

static int digit_value(char c)
{
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

bool id_parse(struct bytes text, const char *prefix, struct id *ret_id)
{
    struct bytes p = bytes_cstr(prefix);
    if (text.len != p.len + ID_TEXT_CHARS || !bytes_starts(text, p))
        return false;
    struct id id;
    uint32_t acc = 0, bits = 0;
    size_t n = 0;
    for (size_t i = 0; i < ID_TEXT_CHARS; i++) {
        int v = digit_value(text.ptr[p.len + i]);
        if (v < 0 || (i == 0 && v > 1))
            return false; /* the first digit carries the four zero bits */
        acc = (acc << 5) | (uint32_t)v;
        bits += 5;
        if (i == 0)
            bits -= 4;
        while (bits >= 8) {
            bits -= 8;
            id.b[n++] = (uint8_t)(acc >> bits);
        }
    }
    *ret_id = id;
    return n == ID_BYTES;
}

int64_t id_time_ms(const struct id *id)
{
    int64_t t = 0;
    for (int i = 0; i < 6; i++)
        t = (t << 8) | id->b[i];
    return t;
}
