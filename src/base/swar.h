/* SPDX-License-Identifier: MIT
 *
 * Eight bytes at a time in a 64-bit word, the first byte in the low bits. */
#ifndef QMN_BASE_SWAR_H
#define QMN_BASE_SWAR_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

#define SWAR_LOW  UINT64_C(0x0101010101010101)
#define SWAR_HIGH UINT64_C(0x8080808080808080)

static inline uint64_t swar_load(const char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return le64toh(v);
}

/* The high bit of each byte that is zero.  Exact up to and including the first hit, which is all
 * that a search for the first hit needs. */
static inline uint64_t swar_zero(uint64_t v)
{
    return (v - SWAR_LOW) & ~v & SWAR_HIGH;
}

static inline uint64_t swar_equal(uint64_t v, unsigned char c)
{
    return swar_zero(v ^ (SWAR_LOW * c));
}

/* Bytes below `c` (c <= 128), among bytes below 128; exact up to the first hit. */
static inline uint64_t swar_below(uint64_t v, unsigned char c)
{
    return (v - SWAR_LOW * c) & ~v & SWAR_HIGH;
}

/* The high bit of each byte that is not '0'..'9'; exact for every byte.  Clearing the top bits
 * first keeps the sums from carrying into the next byte. */
static inline uint64_t swar_not_digit(uint64_t v)
{
    uint64_t low = v & ~SWAR_HIGH;
    uint64_t at_least_0 = low + SWAR_LOW * (0x80 - '0');
    uint64_t above_9 = low + SWAR_LOW * (0x80 - '9' - 1);
    return (~at_least_0 | above_9 | v) & SWAR_HIGH;
}

/* The value of eight digits (each byte 0..9), the first one the most significant: pairs, fours and
 * eights are joined by one multiplication each. */
static inline uint64_t swar_digits(uint64_t v)
{
    v = v * 10 + (v >> 8);
    const uint64_t mask = UINT64_C(0x000000FF000000FF);
    const uint64_t fours_high = UINT64_C(100) + (UINT64_C(1000000) << 32);
    const uint64_t fours_low = UINT64_C(1) + (UINT64_C(10000) << 32);
    return ((v & mask) * fours_high + ((v >> 16) & mask) * fours_low) >> 32;
}

#endif
