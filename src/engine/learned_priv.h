/* SPDX-License-Identifier: MIT
 *
 * What the store keeps of what was learned, as runs of bytes: the edges of a record of the learning
 * log are fixed little-endian structs; its tasks, and those of a ring, fixed heads with their hints
 * behind.  Any thread. */
#ifndef QMN_ENGINE_LEARNED_PRIV_H
#define QMN_ENGINE_LEARNED_PRIV_H

#include "base/arena.h"
#include "base/err.h"

enum { LEARNED_REMOVED = -1 }; /* outcomes of an edge that has gone */

/* One edge, as it was after the group. */
struct learned_edge {
    int64_t src_no, dst_no;
    double weight, success, decay;
    int64_t outcomes, created_ms, updated_ms;
};

/* One recent task of an agent. */
struct learned_task {
    int64_t agent_no, nutrient_no, at_ms;
    uint64_t nth;       /* of the agent's, ever: its place in the ring */
    struct bytes hints; /* text list, never empty */
};

/* Both take the first off *rest, which must not be empty; what is taken borrows from it.  CORRUPT:
 * what is left is none. */
QMN_NODISCARD enum qmn_code learned_next_edge(struct bytes *rest, struct learned_edge *ret,
                                              struct err *err);
QMN_NODISCARD enum qmn_code learned_next_task(struct bytes *rest, struct learned_task *ret,
                                              struct err *err);

/* ptr NULL: out of memory. */
struct bytes learned_pack_tasks(const struct learned_task *tasks, size_t count,
                                struct arena *arena);

#endif
