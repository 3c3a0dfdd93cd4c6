/* SPDX-License-Identifier: MIT
 *
 * What the store keeps of what was learned, as runs of bytes: the edges and memories of a record of
 * the learning log are fixed little-endian structs; its tasks, and those of a ring, fixed heads
 * with their hints behind.  Any thread. */
#ifndef QMN_ENGINE_LEARNED_PRIV_H
#define QMN_ENGINE_LEARNED_PRIV_H

#include "base/arena.h"
#include "base/err.h"
#include "base/id.h"

enum { LEARNED_REMOVED = -1 }; /* outcomes of an edge that has gone */

/* One edge, as it was after the group. */
struct learned_edge {
    int64_t src_no, dst_no;
    double weight, success, decay;
    int64_t outcomes, created_ms, updated_ms;
};

/* What outcomes said of a memory, as it was after the group.  By id: whoever supersedes a memory
 * takes its number, but not what was learned of it. */
struct learned_memory {
    int64_t memory_no, rater;
    double weight, sum, run_weight, run_sum; /* see route/quality.h */
    int64_t uses;
    struct id id;
    uint8_t zero[2];
};

/* One recent task of an agent. */
struct learned_task {
    int64_t agent_no, nutrient_no, at_ms;
    uint64_t nth;       /* of the agent's, ever: its place in the ring */
    struct bytes hints; /* text list, never empty */
};

/* Each takes the first off *rest, which must not be empty; what is taken borrows from it.  CORRUPT:
 * what is left is none. */
QMN_NODISCARD enum qmn_code learned_next_edge(struct bytes *rest, struct learned_edge *ret,
                                              struct err *err);
QMN_NODISCARD enum qmn_code learned_next_memory(struct bytes *rest, struct learned_memory *ret,
                                                struct err *err);
QMN_NODISCARD enum qmn_code learned_next_task(struct bytes *rest, struct learned_task *ret,
                                              struct err *err);

/* ptr NULL: out of memory. */
struct bytes learned_pack_tasks(const struct learned_task *tasks, size_t count,
                                struct arena *arena);

#endif
