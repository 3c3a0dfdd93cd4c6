/* SPDX-License-Identifier: MIT
 *
 * A flat vector index: unit vectors in numbered slots, an int8 copy beside each for the first pass
 * over all of them, and a precise one for rescoring.  Slots stand in chunks that never move, so
 * growing copies nothing and untouched memory stays the kernel's.
 *
 * The precise copy is float32, or float16 where the rescoring of a few dozen vectors from a cold
 * cache is what a decision costs: half the bytes, and cosines within 5e-4 of the true ones (2^-11
 * of each product) at worst.  The errors cancel: at 1536 dimensions 2,000 cosines from 0 to 1 were
 * off by 3e-5 at most, 7e-6 in the mean square.
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

enum flat_precision { FLAT_F32 = 1, FLAT_F16 };

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

/* A query prepared for the first pass. */
struct flat_query {
    const float *unit; /* borrowed */
    const int8_t *codes;
    float scale;
    float error; /* |unit - scale codes| */
};
/* False when the arena is out of memory. */
bool flat_query_init(struct flat_query *q, const struct flat *f, const float *unit,
                     struct arena *arena);

/* Approximate cosine of each query with every slot: ret[q][slots]; 0 for empty ones; precise where
 * the query or the row is coarse.  count: 1 .. FLAT_TILE; several at once read the rows once: with
 * a first cache full of them, two rounds of the kernel cost less than a second walk through memory
 * (97 against 129 us a query of 10,000 rows). */
enum { FLAT_TILE = 2 * KERNELS_TILE_MAX };
void flat_scores(const struct flat *f, const struct flat_query *queries, uint32_t count,
                 float *const *ret);
/* How far a score of flat_scores may be from flat_exact: six standard deviations if the rounding
 * errors e of the query and r of the row point anywhere (variance (e^2 + r^2) / dim), but no more
 * than they can do when they conspire (Cauchy-Schwarz).  About .002 at 1536 dimensions. */
float flat_uncertainty(const struct flat *f, uint32_t slot, float query_error);
/* The cosine from the precise copy; 0 for a slot without a vector. */
float flat_exact(const struct flat *f, uint32_t slot, const float *unit);

/* Cosines between the vectors of one slot and of others, to rounding as flat_scores has it: ret[i]
 * of slots[i]; 0 where either has none.  scratch: float[dim]. */
void flat_between(const struct flat *f, uint32_t slot, const uint32_t *slots, uint32_t count,
                  float *scratch, float *ret);

/* Asks for the precise copy of a slot that will soon be looked at. */
void flat_prefetch(const struct flat *f, uint32_t slot);

/* Which slots a search may see. */
struct flat_filter {
    bool (*permit)(void *ctx, uint32_t slot);
    void *ctx;
};

/* The first pass of one search, made at once or together with those of others, and brought up to
 * date where the index has changed since. */
struct flat_pass {
    struct flat_query query;
    float *scores; /* [room], of each slot */
    uint32_t dim, room;
    uint64_t version; /* of the index that the scores tell of */
};
/* unit is borrowed.  False when the arena is out of memory. */
bool flat_pass_init(struct flat_pass *p, const struct flat *f, const float *unit,
                    struct arena *arena);
/* count: 1 .. FLAT_TILE; several read the index once. */
void flat_pass_run(const struct flat *f, struct flat_pass *passes, uint32_t count);
/* Scores the chunks that changed since the pass was run.  False: the index has outgrown the pass,
 * or is another one; make a new pass. */
bool flat_pass_renew(const struct flat *f, struct flat_pass *p);

/* The k best slots among those the filter lets pass (NULL: all with a vector), best first by
 * flat_exact, ties by lower slot.  Exact: every slot whose approximate cosine could reach the k-th
 * best by the most that rounding can do is looked at precisely.  Returns how many; *ret_permitted
 * counts all that passed.  The pass must be up to date, and is spent. */
size_t flat_best(const struct flat *f, struct flat_pass *p, size_t k,
                 const struct flat_filter *filter, struct arena *arena, struct topk_item *ret_items,
                 uint64_t *ret_permitted);
/* A pass of its own, and the best of it. */
size_t flat_search(const struct flat *f, const float *unit, size_t k,
                   const struct flat_filter *filter, struct arena *arena,
                   struct topk_item *ret_items, uint64_t *ret_permitted);

#endif
