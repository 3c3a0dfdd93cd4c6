/* SPDX-License-Identifier: MIT
 *
 * The learning log: what a group did to edges, recent tasks and memories, as one appended record
 * instead of a row here and a row there.
 *
 * An outcome moves a few edges and adds a task to each agent it rewards, and the rows of what a
 * group moves lie on as many pages: writing those was most of an outcome.  So a group writes the
 * new state of all of it into one record of the log, and the row of an edge or of a part of a ring
 * of tasks may be behind.  The truth is the rows, then the log in its order.  When the log has
 * grown beyond its bound, groups bring up to date the rows of the agents that have waited longest,
 * all of one at a time since those lie together, and the log loses its oldest records.  An edge
 * that goes leaves its row at once and a mark in the log, against older records in it.
 *
 * Thread rule: the writer's; at load, the loading thread's. */
#ifndef QMN_ENGINE_LEARNING_LOG_PRIV_H
#define QMN_ENGINE_LEARNING_LOG_PRIV_H

#include "base/err.h"
#include "engine/network_priv.h"

struct engine;
struct credit_behind;

struct learning_log {
    uint64_t bound;             /* bytes */
    uint64_t written;           /* bytes, ever */
    struct agent *head, **tail; /* agents with rows behind, the longest behind first */
    struct credit_behind *memories, **memories_tail; /* likewise (memory_credit_priv.h) */
    /* of the group at hand */
    uint32_t catching_up, catching_up_memories; /* so many at the heads have their rows written */
    int64_t first_no;                           /* of its records; 0: none */
    uint64_t added;                             /* bytes */
};

enum {
    LEARNING_LOG_BYTES = 4 << 20
}; /* 12,000 outcomes, read at the start in some 20 ms; a guess
    */

void learning_log_init(struct learning_log *g, uint64_t bound);
void learning_log_release(struct learning_log *g);

/* As a group begins: rows that are long behind; while it is finished: what the group learned, which
 * takes the pages of the records that go.  Out of memory fails the group. */
void learning_log_catch_up(struct engine *e);
void learning_log_add(struct engine *e);
/* After the commit, before the group's edges and tasks are published ... */
void learning_log_publish(struct engine *e);
/* ... and for each of those: rows of this agent are behind from now on. */
void learning_log_behind(struct engine *e, struct agent *a);

/* Applies one record of the log to the network. */
QMN_NODISCARD enum qmn_code
learning_log_load(struct engine *e, const struct record_learning_log *row, struct err *err);

#endif
