/* SPDX-License-Identifier: MIT
 *
 * The bytes of a snapshot:
 *
 *   head   = struct snapshot_head, the centre: float[padded]
 *   codes  = bits[slots][bits_stride], int8[slots][i8_stride], scales[slots]; zeros of slots that
 *            are in no use
 *   links  = live[64], linked[64]: uint64_t; slots: uint16_t; levels[slots]: uint8_t; then of each
 *            linked slot, of each level from 0: count: uint16_t, links[count]: uint32_t
 *
 * Slots of a chunk are those of it below head.slots that it had when it was saved. */
#ifndef QMN_INDEX_SNAPSHOT_PRIV_H
#define QMN_INDEX_SNAPSHOT_PRIV_H

#include "graph_priv.h"
#include "snapshot.h"
#include "vectors_priv.h"

enum { SNAPSHOT_FORMAT = 1 };
#define SNAPSHOT_ORDER 0x01020304u /* reads so only where bytes stand in the same order */

struct snapshot_head {
    uint32_t order, format;
    uint32_t dim, padded, bits_stride, walk, links, slots;
    uint64_t seed;
};

static inline struct snapshot_head snapshot_head_of(const struct vectors *v)
{
    return (struct snapshot_head){.order = SNAPSHOT_ORDER,
                                  .format = SNAPSHOT_FORMAT,
                                  .dim = v->options.dim,
                                  .padded = v->rows.codes.padded,
                                  .bits_stride = v->rows.codes.bits_stride,
                                  .walk = (uint32_t)v->options.walk,
                                  .links = v->options.links,
                                  .slots = v->rows.slots,
                                  .seed = v->options.seed};
}

/* Of a chunk's slots, those below `slots` of the index. */
static inline uint32_t snapshot_slots_below(uint32_t chunk, uint32_t slots)
{
    uint32_t first = chunk * ROWS_CHUNK;
    uint32_t left = slots > first ? slots - first : 0;
    return left < ROWS_CHUNK ? left : ROWS_CHUNK;
}

/* Makes the graph of what was loaded one that vectors_validate() accepts, and counts its rows. */
QMN_NODISCARD bool snapshot_mend(struct vectors *v, struct snapshot_report *ret);

#endif
