/* SPDX-License-Identifier: MIT
 *
 * The rows of an index: codes, scales and, where one is kept, an exact copy of each vector, in
 * chunks of slots that never move; and which slots are in use.  One array for each kind, so that a
 * walk reads nothing but what it asks for.
 *
 * A slot is free; fresh (live, not in the graph); linked (live, in the graph); dead (removed, still
 * linked to); doomed (dead, and a sweep is taking the links to it away). */
#ifndef QMN_INDEX_ROWS_H
#define QMN_INDEX_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "index/codes.h"
#include "index/vectors.h"

enum { ROWS_CHUNK = 4096, ROWS_WORDS = ROWS_CHUNK / 64, ROWS_LINE_BYTES = 64 };

struct rows_scale {
    float scale;  /* the vector, rotated, is about scale times its int8 */
    float square; /* of the length of that, so that equal codes are at a distance of exactly 0 */
};

struct rows_chunk {
    uint64_t live[ROWS_WORDS], linked[ROWS_WORDS], doomed[ROWS_WORDS];
    uint32_t fresh; /* live and not linked */
    uint32_t used;  /* live or linked */
    /* They move with every change: of codes; of which slots are in use and linked to what. */
    uint64_t codes_mark, links_mark;
    char *bits; /* [ROWS_CHUNK][bits_stride] */
    int8_t *i8; /* [ROWS_CHUNK][i8_stride] */
    struct rows_scale *scales;
    char *exact; /* [ROWS_CHUNK][exact_stride], or NULL */
};

struct rows {
    /* immutable */
    struct codes codes;
    enum vectors_exact exact;
    uint32_t exact_stride;
    /* the writer's */
    struct rows_chunk **chunks;
    uint32_t chunk_count, chunk_cap;
    uint32_t slots;               /* highest ever used + 1 */
    uint32_t live, linked, fresh; /* linked: in the graph and live; live = linked + fresh */
    uint32_t dead;                /* in the graph and not live, doomed or not */
    float *centre;                /* [padded], that the bits are relative to; NULL: the origin */
    uint64_t centred;             /* how often there was a new one */
    float *scratch[2];            /* [padded] */
};

QMN_NODISCARD bool rows_init(struct rows *r, const struct vectors_options *o);
void rows_release(struct rows *r);

/* As vectors_reserve(), vectors_add(). */
QMN_NODISCARD bool rows_reserve(struct rows *r, uint32_t more);
bool rows_has_room(const struct rows *r, uint32_t more);
uint32_t rows_add(struct rows *r, const float *x);
/* A fresh slot is free then, a linked one dead. */
void rows_remove(struct rows *r, uint32_t slot);

/* Makes the mean of the live rows the centre, and all bits anew relative to it: about 1.5 us a row
 * at 1536 dimensions.  False: out of memory, nothing changed. */
QMN_NODISCARD bool rows_centre(struct rows *r);

/* Gives the exact copies up: exact is VECTORS_EXACT_NONE then. */
void rows_drop_exact(struct rows *r);

/* Fresh to linked. */
void rows_link(struct rows *r, uint32_t slot);
/* Linked to fresh, dead to free. */
void rows_unlink(struct rows *r, uint32_t slot);
/* Dooms all that are dead. */
void rows_doom(struct rows *r);

/* The lowest fresh slot; there is one. */
uint32_t rows_first_fresh(const struct rows *r);

static inline const struct rows_chunk *rows_chunk_of(const struct rows *r, uint32_t slot)
{
    return r->chunks[slot / ROWS_CHUNK];
}

/* The links of a slot are about to change. */
static inline void rows_touch_links(const struct rows *r, uint32_t slot)
{
    r->chunks[slot / ROWS_CHUNK]->links_mark++;
}

static inline bool rows_bit(const uint64_t *bits, uint32_t slot)
{
    return bits[slot % ROWS_CHUNK / 64] >> slot % 64 & 1;
}

static inline bool rows_is_live(const struct rows *r, uint32_t slot)
{
    return rows_bit(rows_chunk_of(r, slot)->live, slot);
}

static inline bool rows_is_linked(const struct rows *r, uint32_t slot)
{
    return rows_bit(rows_chunk_of(r, slot)->linked, slot);
}

static inline bool rows_is_doomed(const struct rows *r, uint32_t slot)
{
    return rows_bit(rows_chunk_of(r, slot)->doomed, slot);
}

static inline const void *rows_bits(const struct rows *r, uint32_t slot)
{
    return rows_chunk_of(r, slot)->bits + (size_t)(slot % ROWS_CHUNK) * r->codes.bits_stride;
}

static inline const int8_t *rows_i8(const struct rows *r, uint32_t slot)
{
    return rows_chunk_of(r, slot)->i8 + (size_t)(slot % ROWS_CHUNK) * r->codes.i8_stride;
}

static inline struct rows_scale rows_scale_of(const struct rows *r, uint32_t slot)
{
    return rows_chunk_of(r, slot)->scales[slot % ROWS_CHUNK];
}

static inline const void *rows_exact(const struct rows *r, uint32_t slot)
{
    return rows_chunk_of(r, slot)->exact + (size_t)(slot % ROWS_CHUNK) * r->exact_stride;
}

/* The score of a row by its exact copy, which is kept. */
float rows_score_exact(const struct rows *r, uint32_t slot, const float *x);
/* ... by its int8. */
float rows_score_i8(const struct rows *r, uint32_t slot, const struct codes_query *q);
void rows_copy(const struct rows *r, uint32_t slot, float *ret_x);

/* A large array, of whole cache lines; huge pages are asked for beyond the first chunk, which a
 * small index would only waste them on.  Freed with mem_free(). */
void *rows_slab_new(size_t bytes, bool huge);

/* Asks for a run of bytes that will soon be looked at. */
static inline void rows_prefetch(const void *p, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += ROWS_LINE_BYTES)
        __builtin_prefetch((const char *)p + i, 0, 3);
}

void rows_validate(const struct rows *r);

#endif
