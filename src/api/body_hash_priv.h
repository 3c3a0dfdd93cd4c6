/* SPDX-License-Identifier: MIT
 *
 * The part of body_hash.c that goes over the whole body, per instruction set.  All give the same
 * words: they are stored, and may be compared on another machine.  Pure; any thread. */
#ifndef QMN_API_BODY_HASH_PRIV_H
#define QMN_API_BODY_HASH_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HASH_LANES = 8,
    HASH_BLOCK_BYTES = HASH_LANES * 8,
    HASH_RUN_BLOCKS = 16, /* each has keys of its own, then the lanes are stirred */
    HASH_KEYS =
        HASH_LANES + HASH_RUN_BLOCKS, /* block j of a run: keys j .. j + 7; stir: 16 .. 23 */
};

/* A prime of 32 bits: the lanes are multiplied with it between runs. */
#define HASH_PRIME UINT64_C(0x9e3779b1)

extern const uint64_t hash_keys[HASH_KEYS];

/* Takes `blocks` blocks of HASH_BLOCK_BYTES from p into the lanes, the first as the first of a run.
 */
typedef void hash_absorb_fn(uint64_t lanes[HASH_LANES], const char *p, size_t blocks);
hash_absorb_fn hash_absorb_portable;
hash_absorb_fn hash_absorb_avx2; /* only where hash_have_avx2() */
bool hash_have_avx2(void);

#endif
