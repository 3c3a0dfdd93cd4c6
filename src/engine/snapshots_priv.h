/* SPDX-License-Identifier: MIT
 *
 * What taking a snapshot needs of those who take them: a way to the writer, a bounded rate. */
#ifndef QMN_ENGINE_SNAPSHOTS_PRIV_H
#define QMN_ENGINE_SNAPSHOTS_PRIV_H

#include "engine/memory_snapshot_priv.h"

struct engine *snapshots_engine(const struct snapshots *s);
/* Hands a command to the writer and waits until it says that it has ended. */
void snapshots_step(struct snapshots *s, struct command *cmd);
void snapshots_step_ends(struct snapshots *s);
/* So many bytes were written: rests for as long as they may take.  False: the node stops, and has
 * no time left for this. */
bool snapshots_go_on(struct snapshots *s, uint64_t bytes);

/* One snapshot, all of it; by one thread at a time. */
QMN_NODISCARD enum qmn_code memory_snapshot_write(struct snapshots *s, struct tenant *t,
                                                  uint64_t *ret_bytes, struct err *err);

#endif
