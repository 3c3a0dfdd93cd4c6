/* SPDX-License-Identifier: MIT
 *
 * The filters of a memory search: their JSON, in the style of MongoDB, and the tree that the engine
 * evaluates. */
#ifndef QMN_API_MEMORY_FILTER_PRIV_H
#define QMN_API_MEMORY_FILTER_PRIV_H

#include "base/arena.h"
#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "engine/memories.h"

/* Conditions that must all hold, put together one by one. */
struct memory_filters {
    struct memory_filter all; /* the tree: FILTER_AND */
    struct arena *arena;
};

void memory_filters_init(struct memory_filters *f, struct arena *arena);
/* Narrows by a filter such as {"kind": {"$in": ["a", "b"]}, "metadata.lang": "de"}; docs/memory.md
 * has all of it.  `name` is that of the request's field.  QMN_E_INVALID names the place, as in
 * "filters.$or[1].quality.$gt".  Texts are borrowed from `json` or lie in the arena.  Untouched on
 * failure. */
QMN_NODISCARD enum qmn_code memory_filters_add(struct memory_filters *f, const char *name,
                                               struct bytes json, struct err *err);
/* By one condition. */
QMN_NODISCARD enum qmn_code memory_filters_text(struct memory_filters *f, enum filter_field field,
                                                struct bytes text, struct err *err);
QMN_NODISCARD enum qmn_code memory_filters_quality(struct memory_filters *f, double from,
                                                   struct err *err);

#endif
