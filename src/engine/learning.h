/* SPDX-License-Identifier: MIT
 *
 * Outcomes and the edges they move. */
#ifndef QMN_ENGINE_LEARNING_H
#define QMN_ENGINE_LEARNING_H

#include "engine/nutrients.h"

struct hop_score {
    struct bytes agent_id;
    double score; /* [0, 1] */
};
struct outcome_in {
    struct bytes trace_id,
        agent_id; /* agent_id: the rater; empty: who asked, if the key may act as it */
    double score; /* [0, 1] */
    const struct hop_score *hops; /* override the overall score for these agents */
    size_t hop_count;
    struct bytes metadata;
};
struct outcome_out {
    struct bytes trace_id;
    const struct weight_change *changes;
    size_t change_count;
};
void engine_record_outcome(struct engine *e, struct call *c, const struct outcome_in *in,
                           struct outcome_out *out);

struct edge_stats {
    uint64_t total;
    double avg_weight, min_weight, max_weight, stddev_weight, avg_success, avg_decay;
};
struct edge_out {
    struct bytes src, dst;
    double weight, success, decay, similarity; /* weight: relaxed to now */
    int64_t outcomes, updated_ms;
};
struct edges_out {
    const struct edge_out *edges;
    size_t count;
};
void engine_edge_stats(struct engine *e, struct call *c, struct edge_stats *out);
/* Strongest first; src empty: of the whole tenant. */
void engine_edges(struct engine *e, struct call *c, struct bytes src, uint32_t limit,
                  struct edges_out *out);

struct edge_upkeep_out {
    uint64_t changed, deleted;
};
/* Removes edges whose relaxed weight is below the threshold. */
void engine_prune_edges(struct engine *e, struct call *c, double threshold,
                        struct edge_upkeep_out *out);
/* Counts idle edges that have relaxed; removes those back at the prior. */
void engine_decay_edges(struct engine *e, struct call *c, struct edge_upkeep_out *out);

#endif
