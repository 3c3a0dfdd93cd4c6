/* SPDX-License-Identifier: MIT
 *
 * A flat vector index: unit vectors in numbered slots, an int8 copy beside each for the first pass
 * over all of them, and a precise one for rescoring.  Slots stand in chunks that never move, so
 * growing copies nothing and untouched memory stays the kernel's.
 *
 * The precise copy is float32, or fixed point where the rescoring of a few dozen vectors from a
 * cold cache is what a decision costs: a second int8 plane holds what the first one leaves, with a
 * scale of its own, and only that has to come from afar, a quarter of the bytes.
 *
 * Two planes hold an element within m / 64516 of it, m being the largest, and a vector (Euclidean)
 * within sqrt(dim) times that: embeddings within 4e-5, but those with a spike near 1 up to 1e-3
 * off. Beyond FLAT_FINE a vector gets a third plane, which leaves 1/254 of it.  Queries are split
 * in the same way, so whatever conspires a cosine is within 2.1e-4 of the true one (Cauchy-Schwarz:
 * 2 FLAT_FINE, and what float arithmetic adds).  The errors cancel: at 1536 dimensions 2,000
 * cosines from 0 to 1 were off by 4e-6 at most, 1.2e-6 in the mean square (bench_flat).  Sums are
 * of integers: the same over all instruction sets, but for a vector that is FLAT_FINE off to a
 * hair.
 *
 * One writer; readers need the owner's lock.  Reserve first, then flat_add cannot fail. */
#ifndef QMN_INDEX_FLAT_H
#define QMN_INDEX_FLAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "math/kernels.h"
#include "math/topk.h"

enum { FLAT_CHUNK = 256 }; /* slots: 2 MB at 1536 dimensions in float32 */

struct flat_chunk;

enum flat_precision { FLAT_F32 = 1, FLAT_FIXED };

struct flat {
    enum flat_precision precision;
    uint32_t dim;   /* 0: not yet known */
    uint32_t slots; /* highest slot ever used + 1 */
    uint32_t live;  /* slots in use */
    /* another one after each change of a vector, and no two indexes ever have the same; never 0 */
    uint64_t version;
    struct flat_chunk **chunks;
    uint32_t chunk_count, chunk_cap;
    uint32_t *freed; /* stack of reusable slots */
    uint32_t freed_count, freed_cap;
};

/* dim: at most LIMIT_DIM_MAX. */
void flat_init(struct flat *f, uint32_t dim, enum flat_precision precision);
void flat_release(struct flat *f);

/* Room for `more` flat_add calls. */
bool flat_reserve(struct flat *f, uint32_t more);
/* True when flat_reserve(f, more) would change nothing. */
bool flat_has_room(const struct flat *f, uint32_t more);
/* unit: float[dim] of length 1, or NULL for a slot without a vector, whose every score is 0. */
uint32_t flat_add(struct flat *f, const float *unit);
void flat_set(struct flat *f, uint32_t slot, const float *unit);
void flat_remove(struct flat *f, uint32_t slot);
bool flat_has(const struct flat *f, uint32_t slot);
/* Copies the vector of a slot that has one, as precise as it is kept. */
void flat_copy(const struct flat *f, uint32_t slot, float *ret_unit);

/* How far the int8 copy may lie from its vector (Euclidean) for the first pass to be trusted.
 * Embeddings lie within .01: only vectors with a few elements far above all others are beyond, and
 * those are scored precisely wherever they are met.  The figure is a guess between the two. */
#define FLAT_COARSE 0.02f

/* How far two planes may lie from their vector (Euclidean) before a third one helps.  A guess:
 * three times what embeddings need. */
#define FLAT_FINE 1e-4f

enum { FLAT_PLANES = 3 };

/* A vector as a sum of scale[p] codes[p], each plane the rounded rest that those before it leave.
 */
struct flat_planes {
    const int8_t *codes[FLAT_PLANES];
    float scale[FLAT_PLANES];
    uint32_t count; /* 1: for the first pass only */
};

/* A query prepared for both looks. */
struct flat_query {
    const float *unit; /* borrowed */
    struct flat_planes planes;
    float error; /* |unit - scale[0] codes[0]| */
};
/* False when the arena is out of memory. */
bool flat_query_init(struct flat_query *q, const struct flat *f, const float *unit,
                     struct arena *arena);

/* Approximate cosine of each query with every slot: ret[q][slots]; 0 for empty ones; precise where
 * the query or the row is coarse.  count: 1 .. FLAT_TILE; several at once read the rows once: while
 * a chunk is in the second cache, further rounds of the kernel cost less than another walk through
 * memory (97 against 129 us a query of 10,000 rows, with two). */
enum { FLAT_TILE = 4 * KERNELS_TILE_MAX };
void flat_scores(const struct flat *f, const struct flat_query *queries, uint32_t count,
                 float *const *ret);
/* The same of some slots: ret[i] of slots[i]. */
void flat_scores_of(const struct flat *f, const struct flat_query *query, const uint32_t *slots,
                    uint32_t count, float *ret);
/* How far a score of flat_scores may be from flat_exact: six standard deviations if the rounding
 * errors e of the query and r of the row point anywhere (variance (e^2 + r^2) / dim), but no more
 * than they can do when they conspire (Cauchy-Schwarz).  About .002 at 1536 dimensions. */
float flat_uncertainty(const struct flat *f, uint32_t slot, float query_error);
/* The most that it says of any slot. */
float flat_uncertainty_most(const struct flat *f, float query_error);
/* The cosine from the precise copy; 0 for a slot without a vector. */
float flat_exact(const struct flat *f, uint32_t slot, const struct flat_query *q);
/* The same between two slots; 0 where either has no vector. */
float flat_cosine(const struct flat *f, uint32_t a, uint32_t b);

/* Cosines between the vectors of one slot and of others, to rounding as flat_scores has it: ret[i]
 * of slots[i]; 0 where either has none. */
void flat_between(const struct flat *f, uint32_t slot, const uint32_t *slots, uint32_t count,
                  float *ret);

/* Asks for what flat_exact will read of a slot beyond the codes of the first pass. */
void flat_prefetch(const struct flat *f, uint32_t slot);

/* Which slots a search may see. */
struct flat_filter {
    bool (*permit)(void *ctx, uint32_t slot);
    void *ctx;
};

/* The k best slots among those the filter lets pass (NULL: all with a vector), best first by
 * flat_exact, ties by lower slot.  Exact: every slot whose approximate cosine could reach the k-th
 * best by the most that rounding can do is looked at precisely.  Returns how many; *ret_permitted
 * counts all that passed. */
size_t flat_search(const struct flat *f, const float *unit, size_t k,
                   const struct flat_filter *filter, struct arena *arena,
                   struct topk_item *ret_items, uint64_t *ret_permitted);

#endif
