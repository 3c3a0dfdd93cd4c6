/* SPDX-License-Identifier: MIT
 *
 * A vector index of two tiers.  Few vectors are scanned: one bit a dimension first, int8 for those
 * whose error bounds reach the best, and the exact copy, where one is kept, for the last.  Many are
 * linked into a graph (HNSW) walked by the same codes; slots not linked yet are scanned beside it.
 * vectors_work() moves slots from the first tier into the second and repairs the graph after
 * deletions, a bounded piece per call.
 *
 * A score is the inner product of the query and the row, so the cosine where both have length 1.
 * Slots are numbered from 0 and reused after vectors_remove(), in the graph only once nothing links
 * to them any more.  Equal scores rank by lower slot.  The same options and the same calls in the
 * same order give the same index and the same answers.
 *
 * Threads: one writer at a time (reserve, has_room, add, remove, work, validate) and, without any
 * lock, beside it any number of readers (search, has, copy, pin, permit_words, stats), each search
 * with a searcher of its own.  A search sees each vector that is live all the while; one that is
 * added or removed meanwhile it may see or not, and none that was not live at some moment of it. */
#ifndef QMN_INDEX_VECTORS_H
#define QMN_INDEX_VECTORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/epoch.h"
#include "math/topk.h"

enum {
    VECTORS_DIM_MIN = 2,
    VECTORS_DIM_MAX = 4096,
    VECTORS_SLOTS_MAX = 1 << 28, /* two bits of an id are the walk's own */
    VECTORS_EF_MAX = 1 << 15,
    VECTORS_K_MAX = 1 << 14,
};

/* The copy of each vector that the best are scored with at last. */
enum vectors_exact {
    VECTORS_EXACT_NONE = 1, /* scores are of float query by int8 row */
    VECTORS_EXACT_F16,      /* 2 bytes a dimension; cosines within 5e-4 at worst */
    VECTORS_EXACT_F32,      /* 4 bytes a dimension */
};

/* What a walk through the graph looks at. */
enum vectors_walk {
    VECTORS_WALK_BITS = 1, /* 1 bit a dimension, query of 4: fast where many are near */
    VECTORS_WALK_I8,       /* 8 bits, query of 8: six times the bytes, hardly an error */
};

struct vectors_options {
    uint32_t dim;             /* VECTORS_DIM_MIN .. VECTORS_DIM_MAX */
    enum vectors_exact exact; /* 0: VECTORS_EXACT_NONE */
    enum vectors_walk walk;   /* 0: VECTORS_WALK_I8 up to 128 dimensions, else _BITS */
    uint32_t links; /* a node's, per level, 4 .. 32; 0: 32.  Twice that less 1 at level 0 */
    uint32_t ef_construction; /* width of the walk that finds a new node's neighbours; 0: 200 */
    uint32_t flat_max;        /* so many vectors are only scanned; 0: 20,000 */
    uint64_t seed;            /* of the rotation and of the nodes' levels */
};

struct vectors;
struct vectors_searcher;

/* NULL: out of memory, or an option out of its range. */
struct vectors *vectors_new(const struct vectors_options *o);
/* Readers that are still pinned may go on; it goes with the last of them. */
void vectors_free(struct vectors *v);

/* Room for `more` calls of vectors_add, which then cannot fail.  False: out of memory, or beyond
 * VECTORS_SLOTS_MAX; what is in the index is as it was. */
QMN_NODISCARD bool vectors_reserve(struct vectors *v, uint32_t more);
/* True: vectors_reserve(v, more) would change nothing. */
bool vectors_has_room(const struct vectors *v, uint32_t more);
/* x: float[dim], finite.  Found by the next search.  Returns its slot. */
uint32_t vectors_add(struct vectors *v, const float *x);
/* The slot of a live vector.  It is given to another only after those have gone who are reading or
 * pinned now. */
void vectors_remove(struct vectors *v, uint32_t slot);
bool vectors_has(const struct vectors *v, uint32_t slot);
/* The vector as precisely as it is kept (with VECTORS_EXACT_NONE what int8 holds); float[dim].
 * False: there is none any more, nothing is written. */
bool vectors_copy(const struct vectors *v, uint32_t slot, float *ret_x);

/* Whether there is a graph, of all vectors or some: the writer's to ask. */
bool vectors_has_graph(const struct vectors *v);
/* Gives the exact copies up, now and for what comes: the index is one of VECTORS_EXACT_NONE then.
 * Searches under way keep them.  False: out of memory, nothing changed. */
bool vectors_drop_exact(struct vectors *v);
/* Which copies a search that begins now goes by. */
enum vectors_exact vectors_exact(const struct vectors *v);

/* While it is pinned the index stays, and a slot that was live at some moment since is not given to
 * another vector.  What is removed meanwhile takes its room until then: for as long as a search
 * takes, not for a wait. */
struct vectors_pin {
    struct vectors *index; /* NULL: nothing is pinned */
    struct epoch_pin epoch;
};
/* The index is not being freed. */
void vectors_pin(struct vectors *v, struct vectors_pin *ret);
void vectors_unpin(struct vectors_pin *pin);

enum vectors_left {
    VECTORS_DONE = 1, /* nothing to do until the next add or remove */
    VECTORS_MORE,     /* call again */
    VECTORS_NOMEM,    /* nothing was changed by the step that failed; call again some time */
};
/* Links, or repairs, up to about `budget` nodes (a few hundred microseconds each at 1536
 * dimensions); makes the graph when there is cause, which takes some 1.5 us a vector more, once,
 * and drops it when few vectors are left. */
enum vectors_left vectors_work(struct vectors *v, uint32_t budget);

/* A searcher holds the scratch memory of one search at a time, whatever the index.  NULL: out of
 * memory. */
struct vectors_searcher *vectors_searcher_new(void);
void vectors_searcher_free(struct vectors_searcher *s);

struct vectors_query {
    const float *x; /* float[dim], finite; of length 1 for cosines */
    uint32_t k;     /* 1 .. VECTORS_K_MAX */
    uint32_t ef;    /* width of the walk, up to VECTORS_EF_MAX; 0: max(128, 6 k) */
    /* Bit slot % 64 of permit[slot / 64] is set: the search may return it.  NULL: all.
     * permit_words: so many there are, and slots beyond may not be returned; 0: as many as
     * vectors_permit_words() says, which then must not change.  permitted: how many bits are set
     * (of live slots, as near as the caller knows: it only chooses the way). */
    const uint64_t *permit;
    size_t permit_words;
    uint32_t permitted;
    bool force_exact; /* scan, whatever it costs */
};

struct vectors_result_info {
    /* Every permitted vector was looked at, and left out only when its error bounds kept it below
     * the k-th; without an exact copy the scores are still those of int8. */
    bool exact;
    uint32_t visited;  /* scored by the first codes */
    uint32_t rescored; /* scored by int8 */
};

/* uint64_t words of a permit bitmap: it covers every slot in use. */
size_t vectors_permit_words(const struct vectors *v);

/* The min(k, live and permitted) best, best first; ret: topk_item[k] of slots; *ret_count of them.
 * ret_info may be NULL.  False: out of memory, nothing returned. */
QMN_NODISCARD bool vectors_search(const struct vectors *v, const struct vectors_query *q,
                                  struct vectors_searcher *s, struct topk_item *ret,
                                  size_t *ret_count, struct vectors_result_info *ret_info);

struct vectors_stats {
    uint32_t slots;  /* highest ever used + 1 */
    uint32_t live;   /* vectors that searches find: linked + fresh */
    uint32_t linked; /* of the live, those in the graph */
    uint32_t fresh;  /* of the live, those that are scanned */
    uint32_t dead;   /* removed, still links of others in the graph */
    uint32_t levels; /* of the graph; 0: there is none */
    /* bytes allocated, searchers apart */
    size_t bytes_bits, bytes_i8, bytes_exact, bytes_links, bytes_other;
};
void vectors_stats(const struct vectors *v, struct vectors_stats *ret);

/* Asserts that all invariants hold: for tests, and slow. */
void vectors_validate(const struct vectors *v);

#endif
