/* SPDX-License-Identifier: MIT
 *
 * Four independent multiply-and-fold lanes of 16 bytes each (the "mum" step of wyhash), so that a
 * 37 KB body costs one microsecond: base's bytes_hash has one lane, and its chain of dependent
 * multiplications would cost seven. */
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
static void mix_block(uint64_t lane[LANES], const char *p)
{
    for (int i = 0; i < LANES; i++) {
        uint64_t a = load(p + i * LANE_BYTES), b = load(p + i * LANE_BYTES + 8);
        lane[i] = mum(lane[i] ^ a ^ secrets[2 * i], b ^ secrets[2 * i + 1]) ^ (a + b);
    }
}

void body_hash(struct bytes b, uint64_t seed, uint64_t ret[2])
{
    uint64_t lane[LANES] = {seed, seed ^ secrets[0], seed ^ secrets[1], seed ^ secrets[2]};
    const char *p = b.ptr;
    size_t left = b.len;
    for (; left >= BLOCK_BYTES; p += BLOCK_BYTES, left -= BLOCK_BYTES)
        mix_block(lane, p);
    char tail[BLOCK_BYTES] = {0};
    if (left)
        memcpy(tail, p, left);
    mix_block(lane, tail);
    uint64_t x = mum(lane[0] ^ b.len, lane[1] ^ secrets[4]);
    uint64_t y = mum(lane[2] ^ b.len, lane[3] ^ secrets[5]);
    ret[0] = mum(x ^ secrets[6], y ^ secrets[7]);
    ret[1] = mum(x ^ secrets[2] ^ lane[2], y ^ secrets[3] ^ lane[0]);
}
