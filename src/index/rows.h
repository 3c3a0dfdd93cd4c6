/* SPDX-License-Identifier: MIT
 *
 * The rows of an index: codes, scales and, where one is kept, an exact copy of each vector, in
 * chunks of slots that never move; and which slots are in use.  One array for each kind, so that a
 * walk reads nothing but what it asks for.
 *
 * A slot is free; fresh (live, not in the graph); linked (live, in the graph); dead (removed, still
 * linked to); doomed (dead, and a sweep is taking the links to it away); waiting (nothing leads to
 * it, but a search that began before may still look at it).
 *
 * Threads: one writer; searches read a copy of `struct rows` that was published, whose table,
 * centre and codes of live slots stay as they are while the search is in its epoch.  What changes
 * under them are the words that say which slots are live and linked.  A slot's codes are written
 * before its bit is set, and not again before it has waited. */
#ifndef QMN_INDEX_ROWS_H
#define QMN_INDEX_ROWS_H

#include <stdatomic.h>
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
    _Atomic uint64_t live[ROWS_WORDS], linked[ROWS_WORDS];
    uint64_t doomed[ROWS_WORDS];
    uint64_t waiting[2][ROWS_WORDS]; /* since this epoch or the last: which is which, rows.young */
    uint32_t waiting_count[2];
    _Atomic uint32_t fresh; /* live and not linked */
    _Atomic uint32_t used;  /* not free */
    /* The writer's; they move with every change: of codes; of which slots are in use and linked to
     * what. */
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
    /* the writer's; in a published copy: as they were then, and up to chunk_count immutable */
    struct rows_chunk **chunks;
    uint32_t chunk_count, chunk_cap;
    float *centre; /* [padded], that the bits are relative to; NULL: the origin */
    /* the writer's, and for anybody to read; in a published copy of no use */
    _Atomic uint32_t slots;               /* highest ever used + 1 */
    _Atomic uint32_t live, linked, fresh; /* linked: in the graph and live; live = linked + fresh */
    _Atomic uint32_t dead;                /* in the graph and not live, doomed or not */
    /* the writer's */
    uint64_t centred;  /* how often there was a new centre */
    uint32_t waiting;  /* in both epochs */
    uint32_t young;    /* 0 or 1 */
    float *scratch[2]; /* [padded] */
};

QMN_NODISCARD bool rows_init(struct rows *r, const struct vectors_options *o);
void rows_release(struct rows *r);

/* As vectors_reserve(), vectors_add().  A table that is replaced stays the caller's to free: that
 * is so when r->chunks has changed, also on failure. */
QMN_NODISCARD bool rows_reserve(struct rows *r, uint32_t more);
bool rows_has_room(const struct rows *r, uint32_t more);
uint32_t rows_add(struct rows *r, const float *x);
/* A fresh slot is waiting then, a linked one dead. */
void rows_remove(struct rows *r, uint32_t slot);
/* An epoch has passed: who waited since the one before is free. */
void rows_age(struct rows *r);

/* Makes the mean of the live rows the centre, and all bits anew relative to it, in new chunks that
 * share all else with the old: about 1.5 us a row at 1536 dimensions.  Nothing may be linked.  What
 * *r had before stays the caller's, for rows_release_bits().  False: out of memory, nothing
 * changed. */
QMN_NODISCARD bool rows_centre(struct rows *r);
/* Frees the bits, centre and table that rows_centre() replaced in a copy of before. */
void rows_release_bits(struct rows *before);

/* Gives the exact copies up, in new chunks that share all else with the old: exact is
 * VECTORS_EXACT_NONE then.  What *r had before stays the caller's, for rows_release_exact().
 * False: out of memory, nothing changed. */
QMN_NODISCARD bool rows_drop_exact(struct rows *r);
/* Frees the copies and the table that rows_drop_exact() replaced in a copy of before. */
void rows_release_exact(struct rows *before);

/* Fresh to linked. */
void rows_link(struct rows *r, uint32_t slot);
/* Linked to fresh, dead to waiting. */
void rows_unlink(struct rows *r, uint32_t slot);
/* Dooms all that are dead. */
void rows_doom(struct rows *r);

/* The lowest fresh slot; there is one. */
uint32_t rows_first_fresh(const struct rows *r);

/* Of the chunks there are. */
static inline uint32_t rows_room(const struct rows *r)
{
    return r->chunk_count * ROWS_CHUNK;
}

/* A word of live or linked.  Who sees a bit sees what was written before it was set; x86 does that
 * for nothing. */
static inline uint64_t rows_word(const _Atomic uint64_t *words, uint32_t at)
{
    return atomic_load_explicit(&words[at], memory_order_acquire);
}

static inline uint32_t rows_count(const _Atomic uint32_t *count)
{
    return atomic_load_explicit(count, memory_order_acquire);
}

static inline const struct rows_chunk *rows_chunk_of(const struct rows *r, uint32_t slot)
{
    return r->chunks[slot / ROWS_CHUNK];
}

/* The links of a slot are about to change. */
static inline void rows_touch_links(const struct rows *r, uint32_t slot)
{
    r->chunks[slot / ROWS_CHUNK]->links_mark++;
}

static inline bool rows_bit(const _Atomic uint64_t *bits, uint32_t slot)
{
    return rows_word(bits, slot % ROWS_CHUNK / 64) >> slot % 64 & 1;
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
    return rows_chunk_of(r, slot)->doomed[slot % ROWS_CHUNK / 64] >> slot % 64 & 1;
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
