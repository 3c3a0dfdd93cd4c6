/* SPDX-License-Identifier: MIT
 *
 * The recent tasks of an agent: the hints of the last LIMIT_RECENT_TASKS nutrients it acknowledged
 * or was rated at least .5 on.  They make its demand.  A ring: the n-th task of an agent lies at n
 * modulo its length.  It is stored in parts, which the learning log may have newer. */
#ifndef QMN_ENGINE_RECENT_PRIV_H
#define QMN_ENGINE_RECENT_PRIV_H

#include "engine/live_priv.h"

struct learned_task;

enum {
    DEMAND_WINDOW_MS = 24 * 3600 * 1000, /* a recent task counts that long */
    RECENT_PART = 8, /* tasks of one row: a ring of short hints takes few rows, and one that is full
                      * of the longest is not written whole for each that is new */
    RECENT_PARTS = LIMIT_RECENT_TASKS / RECENT_PART,
};

/* Writer, in a check: the agent worked on what has these hints.  They are borrowed until the
 * commit; what a command added goes with it when it is refused.  No hints add nothing, nor does a
 * nutrient that the ring has already: acknowledged and rated, it is still one task.  False: out of
 * memory. */
bool recent_add(struct engine *e, struct agent *a, int64_t nutrient_no, struct bytes hints);
/* Writer, after the checks: numbers the group's tasks and interns their hints.  Out of memory fails
 * the group. */
void recent_prepare(struct engine *e);
/* Write lock held. */
void recent_publish(struct engine *e);
void recent_discard(struct engine *e);

/* The part of the ring with this task is newer than its row. */
void recent_mark(struct agent *a, uint64_t nth);
/* Adds the rows of those parts of the agent's ring that are behind; returns their bytes.  Out of
 * memory fails the group. */
size_t recent_put_rows(struct engine *e, const struct agent *a);
/* Loading: one task, and all of a stored row. */
QMN_NODISCARD enum qmn_code recent_load(struct agent *a, const struct learned_task *task,
                                        struct err *err);
QMN_NODISCARD enum qmn_code recent_load_row(struct agent *a, const struct record_agent_tasks *row,
                                            struct err *err);

/* The agent's delivery of the live nutrient that `text` names: our id, its trace's, or the client's
 * own, which means the one of the highest label in sight.  NULL, also above the clearance.  Read
 * lock or the writer. */
struct delivery *engine_find_delivery(struct engine *e, const struct agent *a, uint32_t clearance,
                                      struct bytes text);

#endif
