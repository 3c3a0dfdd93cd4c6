/* SPDX-License-Identifier: MIT
 *
 * An inverted index in memory: which documents, numbered slots of the owner, hold a word and how
 * often; the k best for a query by BM25, exactly.
 *
 *   score = sum over the words w of the query of  q idf (k1 + 1) tf / (tf + k1 (1 - b + b len /
 * avg)) idf   = ln(1 + (N - n + 1/2) / (n + 1/2))
 *
 * tf: how often w is in the document, q: in the query, len: words of the document, avg: of the mean
 * document, N: documents, n: those with w.  Robertson and Zaragoza, "The Probabilistic Relevance
 * Framework: BM25 and Beyond", 2009; the 1 in the logarithm is Lucene's and keeps a word that is in
 * more than half of the documents from counting against them.
 *
 * Who may not see a document must not learn of it from the scores of others.  Each document has a
 * class (its label), and N, n and avg are counted by class and summed over those the query may see:
 * what it answers is the same, bit for bit, whether documents of other classes exist or not.  Only
 * the time it takes depends on them, by how many have the words of the query.  To make it so, sums
 * are taken in integers (2^-32), which no order of summation changes.
 *
 * Equal scores are ordered by slot.  An owner that gives a slot anew which a hidden document left
 * lets that order depend on it, and has to break ties itself.
 *
 * Words are known by 64-bit hashes with the index's secret seed: two that collide would count as
 * one (in a vocabulary of a million, three chances in a hundred million), and nobody can look for
 * two that do.
 *
 * One writer; readers need the owner's lock.  Reserve first, then lexical_add cannot fail, and
 * removal never does. */
#ifndef QMN_TEXT_LEXICAL_H
#define QMN_TEXT_LEXICAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/map.h"
#include "math/topk.h"

/* The usual ones.  On bench_retrieval k1 from .9 to 1.6 and b from .5 to .9 differ by less than
 * .002 in recall at ten and .004 in MRR. */
#define LEXICAL_K1 1.2 /* how soon repetition stops to count */
/* What a common word (common_priv.h) weighs in a query, as in the embedder's space.  From .6 to .2
 * the recall at ten of bench_retrieval is .892 to .893 against .890 with 1. */
#define LEXICAL_COMMON 0.5
#define LEXICAL_B      0.75 /* how much long documents are held back */

enum {
    LEXICAL_CLASSES = 4, /* 0 .. 3: the sensitivity labels */
    /* Words of one document; the rest of it is not indexed.  More than LIMIT_TEXT_CHARS of prose.
     * 44,000 different ones took 30 ms to read and up to 15 to add: too long for a loop and for
     * those who wait for the lock. */
    LEXICAL_DOC_WORDS = 16384,
    /* Different words of one query, the rarest that occur; what more of them would add is little,
     * and they cost most: with 64, such queries took 14 ms in 100,000 documents instead of 1
     * (bench_lexical). */
    LEXICAL_QUERY_WORDS = 32,
};

struct lexical_term;
struct lexical_pending;
struct lexical_slot;

struct lexical {
    uint64_t seed;
    struct u64map by_hash; /* word -> its term */
    struct lexical_term *terms;
    uint32_t term_count, term_cap, terms_live, term_free;
    struct lexical_pending *pool; /* postings not yet in a block */
    uint32_t pool_count, pool_cap, pool_live, pool_free;
    struct lexical_slot *slots;
    uint32_t slot_cap;
    struct lexical_class {
        uint64_t docs, words;
    } classes[LEXICAL_CLASSES];
    uint64_t postings;
    uint64_t block_bytes, forward_bytes; /* on the heap, of postings and of what documents hold */
};

void lexical_init(struct lexical *x);
void lexical_release(struct lexical *x);
/* Heap bytes in use. */
uint64_t lexical_bytes(const struct lexical *x);
/* True if everything that is kept twice agrees: for tests. */
bool lexical_validate(const struct lexical *x);

/* A document or query cut into words: its different ones, by hash. */
struct lexical_count {
    uint64_t hash;
    uint32_t count;
    uint32_t first : 31; /* the place of its first occurrence */
    uint32_t common : 1; /* one of the commonest English words */
};
struct lexical_doc {
    struct lexical_count *counts; /* [len], sorted by hash */
    uint32_t len;
    uint32_t words;
};
/* ret_doc: release it, or give it to lexical_add.  Needs of the index only its seed, so no lock. */
QMN_NODISCARD enum qmn_code lexical_doc_read(uint64_t seed, const struct bytes *texts, size_t count,
                                             struct lexical_doc *ret_doc, struct err *err);
void lexical_doc_release(struct lexical_doc *d);
/* One of its own memory, for lexical_add.  False: out of memory. */
QMN_NODISCARD bool lexical_doc_copy(const struct lexical_doc *d, struct lexical_doc *ret_copy);

/* Room for documents with `words` different words in all, in slots below `slots`. */
bool lexical_reserve(struct lexical *x, uint32_t slots, size_t words);
/* True when that would move nothing. */
bool lexical_has_room(const struct lexical *x, uint32_t slots, size_t words);
/* Takes the document's memory.  The slot is free; class < LEXICAL_CLASSES.  A document without
 * words is one all the same. */
void lexical_add(struct lexical *x, uint32_t slot, uint32_t class, struct lexical_doc *doc);
bool lexical_has(const struct lexical *x, uint32_t slot);
void lexical_remove(struct lexical *x, uint32_t slot);

/* Which documents a query may see: by class, which also decides what is counted, and among those by
 * a bitmap.  Those absent are as if they had been removed: not counted; `permit` leaves them out.
 * Each costs a look-up for each word of the query, so they are to be few. */
struct lexical_filter {
    uint32_t classes; /* bit c: class c */
    /* Bit slot % 64 of permit[slot / 64]: the answer may have it.  Covers every slot in use; NULL:
     * all. */
    const uint64_t *permit;
    const uint32_t *absent; /* [absent_count] slots in use, each once, of any class */
    uint32_t absent_count;
};

/* A query made ready for one state of the index. */
struct lexical_query {
    const struct lexical *index;
    struct lexical_filter filter;
    double norm_base, norm_len; /* k1 (1 - b), k1 b / avg */
    uint32_t len;               /* of its words, those that a permitted document has */
    struct lexical_word {
        uint32_t term;
        uint32_t first; /* of lexical_count */
        double weight;  /* q idf (k1 + 1), and half of it for a common word */
    } words[LEXICAL_QUERY_WORDS];
};
void lexical_query_init(struct lexical_query *q, const struct lexical *x,
                        const struct lexical_doc *doc, const struct lexical_filter *filter);

/* The k best of the permitted documents that have a word of the query, best first, ties by lower
 * slot.  False when the arena is out of memory. */
bool lexical_best(const struct lexical_query *q, size_t k, struct arena *arena,
                  struct topk_item *ret_items, size_t *ret_count);
/* The score of one document, 0 if it is not permitted by its class; ret_parts[q->len]: what each
 * word adds (may be NULL). */
float lexical_score(const struct lexical_query *q, uint32_t slot, float *ret_parts);

#endif
