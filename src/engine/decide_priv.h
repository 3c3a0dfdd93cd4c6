/* SPDX-License-Identifier: MIT
 *
 * The routing decision of one nutrient: from a vector and hints to deliveries, with the reasons. */
#ifndef QMN_ENGINE_DECIDE_PRIV_H
#define QMN_ENGINE_DECIDE_PRIV_H

#include "engine/live_priv.h"

/* The approximate cosine of a nutrient with every agent, and what a precise one is computed from.
 */
struct rough {
    float *cosine;           /* NULL: the tenant's index has to say who is near */
    struct flat_query query; /* all 0: there are no agents to compare */
    uint64_t version;        /* of the profiles; 0: nothing has been computed */
};

struct decide_in {
    struct agent *source;
    struct rough rough; /* from engine_cosines; made exact where it matters */
    struct bytes hints; /* text list */
    uint32_t sensitivity, top_k, max_hops;
    bool diversify;
    float min_score; /* negative: none */
    int64_t now_ms;
};

/* First pass: the approximate cosine of each vector with every agent, in arenas[i]; of a tenant so
 * large that it has an index, only what precise ones are computed from.
 * count: 1 .. FLAT_TILE.  The units have the tenant's dimension, or it has none yet.  Read lock
 * held; good for an engine_decide until the profiles have another version.  False: out of memory.
 */
bool engine_cosines(const struct tenant *t, const float *const *units, struct arena *const *arenas,
                    uint32_t count, struct rough *ret);

/* Whether it has to be computed anew. */
bool engine_rough_is_old(const struct tenant *t, const struct rough *r);

/* Read lock held.  Everything into the arena; NOMEM is the only failure. */
QMN_NODISCARD enum qmn_code engine_decide(struct engine *e, struct tenant *t,
                                          const struct decide_in *in, struct arena *arena,
                                          struct decision *ret, struct err *err);

/* The routes of a decision in words.  Read lock held.  NULL: out of memory. */
struct hop_out;
const struct hop_out *engine_hops(struct engine *e, const struct decision *d, struct arena *arena,
                                  size_t *ret_count);

/* The weight of an edge now; the prior where there is none. */
double edge_weight_now(const struct agent *src, uint32_t dst, int64_t now_ms);

#endif
