/* SPDX-License-Identifier: MIT
 *
 * JSON as the values that policies judge. */
#ifndef QMN_ENGINE_POLICY_JSON_PRIV_H
#define QMN_ENGINE_POLICY_JSON_PRIV_H

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "policy/value.h"

/* The tree of a document, in the arena; its texts borrow from `json` where they can.
 * QMN_E_MALFORMED, QMN_E_INVALID (a number that is none), QMN_E_NOMEM. */
QMN_NODISCARD enum qmn_code policy_json(struct bytes json, struct arena *arena,
                                        const struct policy_value **ret, struct err *err);

#endif
