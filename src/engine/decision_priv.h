/* SPDX-License-Identifier: MIT
 *
 * What a trace remembers of a decision, packed into one run of bytes (record_trace.decision): its
 * routes, candidates and contributions, and the nutrient's tool hints, which outlive its body
 * because a late rating counts as work on them.  And what an outcome remembers of each hop
 * (record_outcome.hops).  Agents go by number, since names may change hands after a purge. */
#ifndef QMN_ENGINE_DECISION_PRIV_H
#define QMN_ENGINE_DECISION_PRIV_H

#include "base/arena.h"
#include "base/err.h"
#include "base/id.h"
#include "route/score.h"

/* Raise it as well when route_score changes: scores that it gives are not stored. */
enum { DECISION_VERSION = 2 };

struct decision_header {
    uint32_t route_count, candidate_count, contribution_count;
    uint32_t eligible_total;
    float epsilon;
    float outside_propensity; /* of each eligible agent that is not among the candidates */
    uint32_t top_k;
};

struct route_view {
    int64_t agent_no, from_no;
    float similarity, weight, demand, score, propensity;
    uint8_t hop, capabilities, explored;
};

struct candidate_view {
    int64_t agent_no;
    float similarity, weight, demand, score, propensity;
    uint8_t capabilities, chosen;
};

/* A response or memory that a collect returned. */
struct contribution_view {
    int64_t agent_no, item_no;
    struct id id;
    uint8_t from_memory, zero;
    float similarity, score;
};

struct decision {
    struct decision_header head;
    const struct route_view *routes;
    const struct candidate_view *candidates;
    const struct contribution_view *contributions;
    struct bytes hints; /* text list */
};

/* Keeps every number to the last bit; `chosen` and `explored` as 0 or 1.  ptr NULL when out of
 * memory. */
struct bytes decision_pack(const struct decision *d, struct arena *arena);
/* Everything in the arena.  CORRUPT: another version, or lengths that do not add up; the text says
 * which. */
QMN_NODISCARD enum qmn_code decision_unpack(struct bytes packed, struct arena *arena,
                                            struct decision *ret, struct err *err);

/* One credited hop of an outcome. */
struct credit_view {
    int64_t src_no, dst_no;
    double score, old_weight, new_weight;
    uint32_t hop, zero;
};
QMN_NODISCARD enum qmn_code credits_unpack(struct bytes packed, struct arena *arena,
                                           const struct credit_view **ret, uint32_t *ret_count,
                                           struct err *err);

#endif
