/* SPDX-License-Identifier: MIT
 *
 * Byte hashing: 8 bytes at a time, 128-bit multiply folded (the "mum" mix of wyhash). */
#include "bytes.h"

static uint64_t mum(uint64_t a, uint64_t b)
{
    __extension__ unsigned __int128 r = (unsigned __int128)a * b;
    return (uint64_t)r ^ (uint64_t)(r >> 64);
}

uint64_t bytes_hash(struct bytes b, uint64_t seed)
{
    const char *p = b.ptr;
    size_t n = b.len;
    uint64_t h = seed ^ 0xa0761d6478bd642fu, w;
    for (; n >= 8; p += 8, n -= 8) {
        memcpy(&w, p, 8);
        h = mum(h ^ w, 0xe7037ed1a0b428dbu);
    }
    w = 0;
    if (n)
        memcpy(&w, p, n);
    return mum(h ^ w, 0x8ebc6af09c88c6e3u ^ b.len);
}
