/* SPDX-License-Identifier: MIT
 *
 * A set of slots, as small as what is in it: two inside the struct, then a sorted list, and bits
 * once a list would take more than they do.  So a member costs 8 bytes at most, and 16 after
 * removals, whether there are ten thousand sets of a hundred slots each or one of a million.  A
 * struct of zeros is an empty set.
 *
 * Sets are joined in plain bitmaps, slot s at bit s % 64 of word s / 64, which a search makes and
 * throws away.
 *
 * Threads: one writer under the owner's lock; readers under it shared. */
#ifndef QMN_INDEX_SLOTSET_H
#define QMN_INDEX_SLOTSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

enum { SLOTSET_FEW = 2, SLOTSET_WORD = 64 };

struct slotset {
    union {
        uint32_t few[SLOTSET_FEW]; /* ascending; room is 0 */
        uint32_t *list;            /* owned, ascending */
        uint64_t *bits;            /* owned */
    } at;
    uint32_t count;
    uint32_t room; /* items of the list, or words */
    bool dense;    /* bits */
};

void slotset_release(struct slotset *s);
/* Room for `more` calls of slotset_add with slots below `slots`, above all that are in it.  False:
 * out of memory, the set is as it was. */
QMN_NODISCARD bool slotset_reserve(struct slotset *s, uint32_t more, uint32_t slots);
/* True when slotset_reserve would change nothing. */
bool slotset_has_room(const struct slotset *s, uint32_t more, uint32_t slots);
/* After slotset_reserve.  One that is there already stays; one that is not need not be removed. */
void slotset_add(struct slotset *s, uint32_t slot);
void slotset_remove(struct slotset *s, uint32_t slot);
/* Gives memory back after removals, if there is much; leaves room for `spare` more. */
void slotset_trim(struct slotset *s, uint32_t spare);
bool slotset_has(const struct slotset *s, uint32_t slot);
/* Adds to `bits` all that are in the set and in `scope`; both are uint64_t[words]. */
void slotset_join(const struct slotset *s, const uint64_t *scope, uint64_t *bits, size_t words);

/* ---- bitmaps ---- */

static inline bool bits_has(const uint64_t *bits, uint32_t slot)
{
    return bits[slot / SLOTSET_WORD] >> slot % SLOTSET_WORD & 1;
}

static inline uint32_t bits_in_word(uint64_t w)
{
    w -= w >> 1 & UINT64_C(0x5555555555555555);
    w = (w & UINT64_C(0x3333333333333333)) + (w >> 2 & UINT64_C(0x3333333333333333));
    w = (w + (w >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    return (uint32_t)(w * UINT64_C(0x0101010101010101) >> 56);
}

uint32_t bits_count(const uint64_t *bits, size_t words);
/* The first slot at `from` or above; UINT32_MAX: there is none. */
uint32_t bits_next(const uint64_t *bits, size_t words, uint32_t from);

#endif
