/* SPDX-License-Identifier: MIT
 *
 * Broadcast, inboxes, responses, collect, traces: the way of a nutrient and back. */
#ifndef QMN_ENGINE_NUTRIENTS_H
#define QMN_ENGINE_NUTRIENTS_H

#include "engine/engine.h"

/* ---- broadcast ---- */

struct broadcast_in {
    struct bytes client_id, source_agent_id, task_id, summary;
    struct vector_in embedding;
    struct bytes snippets, hints; /* text lists */
    uint32_t sensitivity, ttl_sec, max_hops, quota_cost, top_k;
    bool diversify;
    float min_score; /* negative: none */
};

/* One delivery of a decision, in words. */
struct hop_out {
    struct bytes agent_id, from_agent_id;
    uint32_t hop, capabilities;
    float score, similarity, weight, demand, propensity;
    bool explored;
};

struct broadcast_out {
    struct bytes nutrient_id, trace_id;
    int64_t created_ms, expires_ms;
    const struct hop_out *hops;
    size_t hop_count;
    const char *reason; /* when nobody was reached */
};
void engine_broadcast(struct engine *e, struct call *c, const struct broadcast_in *in,
                      struct broadcast_out *out);

/* ---- inbox ---- */

struct pull_in {
    struct bytes agent_id;
    uint32_t limit, wait_ms, lease_ms;
    bool embedding;
    int64_t after;   /* only sequences above; 0: all.  Streams resume with it */
    uint32_t stream; /* of which this is a pull; 0: none */
    bool resume;     /* what is leased to a stream that has ended is ready, too */
};
/* A stream is a row of pulls.  Its number says whose the leases are; 0 (none to be had): nobody's,
 * and they run their time. */
uint32_t engine_stream_open(struct engine *e);
/* `unsent`: sequences it was leased that never left the node: offered again at once, to anybody. */
void engine_stream_close(struct engine *e, uint32_t stream, const int64_t *unsent,
                         size_t unsent_count);

struct inbox_item {
    int64_t sequence, created_ms, expires_ms, lease_until_ms;
    struct bytes nutrient_id, trace_id, source_agent_id, from_agent_id, task_id, summary;
    struct bytes snippets, hints; /* text lists */
    uint32_t hop, sensitivity, attempt;
    float score;
    const float *embedding; /* NULL unless asked for */
    size_t dim;
};

struct pull_out {
    const struct inbox_item *items;
    size_t count;
    uint32_t pending;
    uint64_t dropped;
};
/* Leases up to `limit` items in inbox order; waits at most wait_ms while there is none. */
void engine_pull(struct engine *e, struct call *c, const struct pull_in *in, struct pull_out *out);
/* Ends a waiting call early (its client has gone): a pull with no items, a collect with what is
 * there.  Harmless for any other call.  Same thread. */
void engine_cancel(struct engine *e, struct call *c);

struct ack_in {
    struct bytes agent_id;
    const struct bytes *nutrient_ids;
    size_t count;
    bool nack, reject; /* nack: offer again after delay_ms; nack and reject: never again */
    uint32_t delay_ms;
};
struct ack_out {
    uint32_t changed;
    const struct bytes *unknown;
    size_t unknown_count;
};
void engine_ack(struct engine *e, struct call *c, const struct ack_in *in, struct ack_out *out);

struct respond_in {
    struct bytes nutrient_id, agent_id, content; /* content: a JSON object */
    struct vector_in embedding;                  /* none: the nutrient's own */
    float quality;
    uint32_t sensitivity; /* 0: the nutrient's */
};
struct respond_out {
    struct bytes response_id, nutrient_id, trace_id, agent_id;
    int64_t created_ms;
};
void engine_respond(struct engine *e, struct call *c, const struct respond_in *in,
                    struct respond_out *out);

/* ---- collect ---- */

struct collect_in {
    struct vector_in demand;
    struct bytes agent_id, task_id;
    uint32_t window_ms, top_k;
    bool diversify;
    float min_similarity; /* below -1: as is usual, see COLLECT_FLOOR */
};
/* What is near a demand, unless the caller says so: at least this cosine, and at least this share
 * of the best found.  Measured on the demo's texts with the built-in embedder: unrelated ones reach
 * 0.09 in nine of ten pairs and 0.19 in nineteen of twenty, related ones lie at 0.29 and above;
 * next to a hit of 0.7 what has 0.18 is noise.  In the spaces of models unrelated texts lie higher
 * and the share bites less: who knows the space sets min_similarity. */
#define COLLECT_FLOOR       0.1f
#define COLLECT_FLOOR_SHARE 0.3f
struct context_item {
    struct bytes id, agent_id, kind, data;
    bool from_memory;
    float similarity, quality, score;
    uint32_t sensitivity;
    int64_t created_ms;
};
struct collect_out {
    struct bytes trace_id;
    const struct context_item *items;
    size_t count;
    uint32_t responses_considered, memories_considered, outstanding, waited_ms;
};
void engine_collect(struct engine *e, struct call *c, const struct collect_in *in,
                    struct collect_out *out);

/* ---- traces ---- */

struct weight_change {
    struct bytes src, dst;
    double old_weight, new_weight, hop_score;
    uint32_t hop;
};
struct trace_candidate {
    struct bytes agent_id;
    float score, similarity, weight, demand, propensity;
    uint32_t capabilities;
    bool chosen;
};
struct trace_contribution {
    struct bytes id, agent_id;
    bool from_memory;
    float similarity, score;
};
struct trace_outcome {
    struct bytes rater;
    double score;
    int64_t at_ms;
    const struct weight_change *changes;
    size_t change_count;
};
struct trace_delivery {
    struct bytes agent_id;
    const char *state; /* pending, leased, acked, rejected, expired */
};
struct trace_out {
    struct bytes trace_id, nutrient_id, agent_id, task_id;
    uint32_t kind; /* enum trace_kind */
    int64_t created_ms, expires_ms;
    float epsilon;
    uint32_t eligible_total;
    const struct hop_out *hops;
    size_t hop_count;
    const struct trace_candidate *candidates;
    size_t candidate_count;
    const struct trace_delivery *deliveries;
    size_t delivery_count;
    const struct trace_contribution *contributions;
    size_t contribution_count;
    const struct trace_outcome *outcomes;
    size_t outcome_count;
};
void engine_trace(struct engine *e, struct call *c, struct bytes trace_id, struct trace_out *out);

#endif
