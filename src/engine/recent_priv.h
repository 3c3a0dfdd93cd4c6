/* SPDX-License-Identifier: MIT
 *
 * The recent tasks of an agent: the hints of the last LIMIT_RECENT_TASKS nutrients it acknowledged
 * or was rated at least .5 on.  A ring; each slot is one stored row.  They make its demand. */
#ifndef QMN_ENGINE_RECENT_PRIV_H
#define QMN_ENGINE_RECENT_PRIV_H

#include "engine/live_priv.h"

enum { DEMAND_WINDOW_MS = 24 * 3600 * 1000 }; /* a recent task counts that long */

/* One task on its way into the ring. */
struct recent_next {
    uint32_t slot, *tags, count; /* tags NULL: nothing to add */
    int64_t nutrient_no, at_ms;
};

/* Writer, in a check: interns the hints of a nutrient and adds the row.  Several tasks of one agent
 * may come in one group.  No hints add nothing, nor does a nutrient that the ring has already:
 * acknowledged and rated, it is still one task.  False: out of memory. */
bool recent_check(struct engine *e, struct agent *a, int64_t nutrient_no, struct bytes hints,
                  struct recent_next *ret);
/* Write lock held. */
void recent_publish(struct agent *a, struct recent_next *next);
void recent_discard(struct engine *e, struct agent *a, struct recent_next *next);
/* Loading: one stored row.  False: out of memory. */
bool recent_load(struct agent *a, const struct record_agent_task *row);

/* The agent's delivery of the live nutrient that `text` names: our id, its trace's, or the client's
 * own, which means the one of the highest label in sight.  NULL, also above the clearance.  Read
 * lock or the writer. */
struct delivery *engine_find_delivery(struct engine *e, const struct agent *a, uint32_t clearance,
                                      struct bytes text);

#endif
