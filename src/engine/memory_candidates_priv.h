/* SPDX-License-Identifier: MIT
 *
 * The candidates of a search: the best by vector, the best by words, or both as one ranking.
 *
 * Thread rule: any loop.  Vectors are searched without the network's lock, words and rows under
 * it. */
#ifndef QMN_ENGINE_MEMORY_CANDIDATES_PRIV_H
#define QMN_ENGINE_MEMORY_CANDIDATES_PRIV_H

#include "engine/memory_index_priv.h"
#include "text/lexical.h"

struct memory_aim {
    const float *unit;                  /* float[dim] of length 1; NULL: not by vector */
    const struct lexical_query *words;  /* with the same permit; NULL: not by words */
    const struct memory_permit *permit; /* as it is now */
    uint32_t pool;                      /* of each kind; more come only where both are asked for */
    bool exact;                         /* look at every vector */
    bool alike; /* the vectors are those of words, too (FUSE_WORDS_WEIGHT) */
};

struct memory_candidate {
    int64_t no;
    uint32_t slot;
    uint32_t vector_rank, words_rank; /* from 1; 0: not among the best of that kind */
    float cosine, words_score;        /* of those that are */
    float relevance;                  /* the one that was asked for, or both ranks fused */
};

struct memory_candidates {
    struct memory_candidate *items; /* the most relevant first, equal ones by number */
    size_t count;
    bool exact; /* every permitted vector was looked at */
};

/* The nearest, of an aim with a vector; `finds` has begun.  Without the lock.  If finds->rough
 * then, the scores of the items are int8's and there are some more of them:
 * memory_candidates_take() goes by better ones, if they are put in their place.  False: out of
 * memory. */
QMN_NODISCARD bool memory_candidates_search(struct engine *e, const struct memory_aim *aim,
                                            struct memory_finds *finds, struct arena *arena);
/* Read lock held: all candidates.  Which slots memories have leaves no trace in the answer.
 * finds: of memory_candidates_search, those that are not permitted any more fall out.  False: out
 * of memory. */
QMN_NODISCARD bool memory_candidates_take(const struct tenant *t, const struct memory_aim *aim,
                                          const struct memory_finds *finds, struct arena *arena,
                                          struct memory_candidates *ret);

#endif
