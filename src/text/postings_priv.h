/* SPDX-License-Identifier: MIT
 *
 * The postings of one word.  Most are in blocks of up to POSTINGS_BLOCK, sorted by slot and
 * compressed, each with what bounds the scores in it, so that a search passes over blocks that
 * cannot matter.  New ones wait in a short list, taken from a pool that was reserved: that cannot
 * fail.  When enough wait they are merged into blocks; if there is no memory for that, they wait
 * on.
 *
 * A posting in a block: the distance from the slot before, times 2, plus 1 if the word occurs once;
 * else the number of times follows.  Both as varints (7 bits a byte, the lowest first).  A removal
 * writes the block anew into its own bytes, since a longer distance never takes more than the two
 * it replaces. */
#ifndef QMN_TEXT_POSTINGS_PRIV_H
#define QMN_TEXT_POSTINGS_PRIV_H

#include "lexical.h"

enum {
    POSTINGS_BLOCK = 128,  /* as in Lucene; its count fits a byte */
    POSTINGS_PENDING = 16, /* with 8, 16 and 32 bench_lexical needs 9.2, 9.7 and 10.9 bytes a
                              posting and adds 34, 41 and 42 thousand documents a second */
    POSTINGS_TF_MAX = UINT16_MAX,
    POSTING_BYTES = 5 + 3,
};
#define NO_PENDING UINT32_MAX
#define NO_TERM    UINT32_MAX

struct posting {
    uint32_t slot;
    uint32_t tf; /* 1 .. POSTINGS_TF_MAX */
};

/* What bounds a score from above: it grows with tf and falls with the length of the document.  Two
 * kinds are told apart, since most postings have tf 1 and the shortest documents are among them. */
struct posting_bound {
    uint16_t tf_max;
    uint16_t once_len_min; /* shortest document with tf 1, UINT16_MAX: that or more, or none */
    uint16_t more_len_min; /* with tf above 1 */
};

struct postings_block {
    uint8_t *data;
    uint32_t first, last; /* slots */
    uint16_t bytes;
    uint8_t count; /* 1 .. POSTINGS_BLOCK */
    struct posting_bound bound;
};

struct lexical_term {
    uint64_t hash;
    uint32_t docs[LEXICAL_CLASSES]; /* how many have it; the first is the free list's if unused */
    struct postings_block *blocks;  /* sorted, not overlapping */
    uint32_t block_count;
    uint32_t pending, pending_count;
    bool used;
};

struct lexical_pending {
    uint32_t next;
    struct posting posting;
};

struct lexical_slot {
    uint8_t *terms; /* its terms, sorted, as varints of their distances; NULL: none */
    uint32_t term_bytes, term_count;
    uint32_t words;
    uint8_t class_plus; /* class + 1; 0: free */
};

/* Appends a varint; returns one past it. */
static inline uint8_t *put_varint(uint8_t *out, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        *out++ = (uint8_t)(v | 0x80);
    *out++ = (uint8_t)v;
    return out;
}

static inline const uint8_t *get_varint(const uint8_t *in, uint64_t *ret)
{
    uint64_t v = *in & 0x7f;
    for (unsigned shift = 7; *in++ & 0x80; shift += 7)
        v |= (uint64_t)(*in & 0x7f) << shift;
    *ret = v;
    return in;
}

/* ret: [POSTINGS_BLOCK] */
void postings_decode(const struct postings_block *b, struct posting *ret);
struct posting_bound postings_bound(const struct lexical *x, const struct posting *p, size_t count);

/* A node of the pool is there. */
void posting_list_add(struct lexical *x, struct lexical_term *t, struct posting p);
/* It has that posting. */
void posting_list_remove(struct lexical *x, struct lexical_term *t, uint32_t slot);
/* The waiting ones, sorted by slot; ret: [pending_count]. */
void posting_list_waiting(const struct lexical *x, const struct lexical_term *t,
                          struct posting *ret);
/* 0: it has not. */
uint32_t posting_list_tf(const struct lexical *x, const struct lexical_term *t, uint32_t slot);
/* Frees all of a term. */
void posting_list_release(struct lexical *x, struct lexical_term *t);
/* Merges `a` and `b`, both sorted, without a slot in common. */
void postings_merge(const struct posting *a, size_t a_len, const struct posting *b, size_t b_len,
                    struct posting *ret);

#endif
