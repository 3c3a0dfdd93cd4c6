/* SPDX-License-Identifier: MIT
 *
 * The JSON filters of a memory search. */
#ifndef QMN_API_MEMORY_FILTER_PRIV_H
#define QMN_API_MEMORY_FILTER_PRIV_H

#include "base/arena.h"
#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "engine/memories.h"

/* A filter that lets everything pass. */
struct memory_filter memory_filter_any(void);

/* Narrows `f` by {"kind": .., "agent_id": .., "quality": ..}.  A value is a plain one (equality) or
 * {"$eq": ..}; quality also takes $gt, $gte, $lt, $lte.  null is no condition.  QMN_E_INVALID
 * names an unknown field or operator as "<name>.quality.$regex"; so it does for a second, different
 * kind or agent.  Texts borrow from `json` or lie in the arena.  Untouched on failure. */
QMN_NODISCARD enum qmn_code memory_filter_add(struct memory_filter *f, const char *name,
                                              struct bytes json, struct arena *arena,
                                              struct err *err);
/* The same for one plain text condition. */
QMN_NODISCARD enum qmn_code memory_filter_text(struct bytes *slot, const char *name,
                                               const char *field, struct bytes value,
                                               struct err *err);

#endif
