/* SPDX-License-Identifier: MIT
 *
 * Four independent multiply-and-fold lanes of 16 bytes each (the "mum" step of wyhash), so that a
 * 37 KB body costs 3 us: base's bytes_hash has one lane of 8 bytes, and its chain of dependent
 * multiplications costs 15, and twice that for two words. */
#include "api_priv.h"

#include <endian.h>

enum { LANES = 4, LANE_BYTES = 16, BLOCK_BYTES = LANES * LANE_BYTES };

/* Odd numbers without structure, from the digits of pi. */
static const uint64_t secrets[2 * LANES] = {
    0x243f6a8885a308d3u, 0x13198a2e03707345u, 0xa4093822299f31d1u, 0x082efa98ec4e6c89u,
    0x452821e638d01377u, 0xbe5466cf34e90c6du, 0xc0ac29b7c97c50ddu, 0x3f84d5b5b5470917u};

static uint64_t mum(uint64_t a, uint64_t b)
{
    __extension__ unsigned __int128 r = (unsigned __int128)a * b;
    return (uint64_t)r ^ (uint64_t)(r >> 64);
}

static uint64_t load(const char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return le64toh(v);
}

/* lane' = mum(lane ^ word0 ^ secret, word1 ^ secret') ^ (word0 + word1): the sum keeps both words
 * in when a factor happens to be 0. */
static uint64_t mix(uint64_t lane, const char *p, const uint64_t secret[2])
{
    uint64_t a = load(p), b = load(p + 8);
    return mum(lane ^ a ^ secret[0], b ^ secret[1]) ^ (a + b);
}

/* Written out: a loop over the lanes would keep them in memory. */
struct lanes {
    uint64_t a, b, c, d;
};

static inline struct lanes mix_block(struct lanes l, const char *p)
{
    return (struct lanes){mix(l.a, p, secrets), mix(l.b, p + LANE_BYTES, secrets + 2),
                          mix(l.c, p + 2 * LANE_BYTES, secrets + 4),
                          mix(l.d, p + 3 * LANE_BYTES, secrets + 6)};
}

void body_hash(struct bytes b, uint64_t seed, uint64_t ret[2])
{
    struct lanes l = {seed, seed ^ secrets[0], seed ^ secrets[1], seed ^ secrets[2]};
    const char *p = b.ptr;
    size_t left = b.len;
    for (; left >= BLOCK_BYTES; p += BLOCK_BYTES, left -= BLOCK_BYTES)
        l = mix_block(l, p);
    char tail[BLOCK_BYTES] = {0};
    if (left)
        memcpy(tail, p, left);
    l = mix_block(l, tail);
    uint64_t x = mum(l.a ^ b.len, l.b ^ secrets[4]);
    uint64_t y = mum(l.c ^ b.len, l.d ^ secrets[5]);
    ret[0] = mum(x ^ secrets[6], y ^ secrets[7]);
    ret[1] = mum(x ^ secrets[2] ^ l.c, y ^ secrets[3] ^ l.a);
}
