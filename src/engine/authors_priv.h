/* SPDX-License-Identifier: MIT
 *
 * Agents that nobody registered and that exist because a memory names them as its author.  Such an
 * agent has neither profile nor capabilities, and its clearance is 0: nobody granted it anything,
 * so nothing is ever sent to it (agent_reach).  It counts in the quota of agents.  A registration
 * fills it in and keeps its number. */
#ifndef QMN_ENGINE_AUTHORS_PRIV_H
#define QMN_ENGINE_AUTHORS_PRIV_H

#include "engine/engine_priv.h"

/* Whether the plan has a place for an agent (known NULL: a new one); counts it in the group at
 * hand.  Writer, in check. */
QMN_NODISCARD enum qmn_code agent_quota(struct engine *e, struct tenant *t,
                                        const struct agent *known, struct err *err);

/* An author on its way into the network, part of the transaction of what names it. */
struct author {
    struct record_agent row;
    struct agent *fresh;
};
/* Writer, last in a check: adds its row to the batch and allocates.  May set cmd->defer.  `id` is
 * borrowed until the commit. */
QMN_NODISCARD enum qmn_code author_conceive(struct engine *e, struct command *cmd, struct bytes id,
                                            struct author *a, struct err *err);
struct agent *author_born(struct engine *e, struct author *a); /* in publish */
void author_unborn(struct author *a);                          /* in discard */

#endif
