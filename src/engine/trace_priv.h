/* SPDX-License-Identifier: MIT
 *
 * Reading traces back. */
#ifndef QMN_ENGINE_TRACE_PRIV_H
#define QMN_ENGINE_TRACE_PRIV_H

#include "engine/decision_priv.h"
#include "engine/engine_priv.h"
#include "engine/learning.h"

/* The trace of a tenant by its id; NOT_FOUND alike for absent and for another tenant's.  Reads the
 * store: not under the network's lock. */
QMN_NODISCARD enum qmn_code engine_find_trace(struct engine *e, int64_t tenant_no,
                                              const struct id *id, struct arena *arena,
                                              struct record_trace *ret, struct err *err);
/* GONE, naming the field, for an id whose time is up, whether or not its row has been deleted. Says
 * nothing of whose it was: the time stands in the id. */
QMN_NODISCARD enum qmn_code engine_trace_kept(const struct engine *e, const struct id *id,
                                              const char *field, struct err *err);
/* Credits in words.  Read lock held.  NULL: out of memory. */
const struct weight_change *engine_changes(struct engine *e, const struct credit_view *credits,
                                           uint32_t count, struct arena *arena);
/* Index of a field in a record type's table. */
size_t record_field(enum record_kind kind, const char *name);

#endif
