/* SPDX-License-Identifier: MIT
 *
 * Decides by one policy whether a request is allowed.  docs/policies.md has the formats of the
 * rules.
 *
 * It fails closed: a rule that nobody knows, a rule of the wrong shape, an attribute that a rule
 * asks for and the request lacks, a policy without any rule, memory that runs out: each denies, and
 * says why.  Pure: no clock, no I/O, no locks. */
#ifndef QMN_POLICY_EVALUATE_H
#define QMN_POLICY_EVALUATE_H

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "model/labels.h"
#include "policy/value.h"

/* Any of them may be NULL.  An attribute that subject or resource lacks is looked for in the
 * context.
 */
struct policy_request {
    const struct policy_value *subject, *resource, *context;
    struct bytes action;
};

struct policy_verdict {
    bool allowed;
    struct bytes reason;                 /* a sentence */
    const struct bytes *passed, *failed; /* names of checks; in the arena */
    size_t passed_count, failed_count;
};

void policy_evaluate(enum policy_type type, const struct policy_value *rules,
                     const struct policy_request *request, struct arena *arena,
                     struct policy_verdict *ret);

/* Name and shape of every rule: QMN_E_INVALID names the first that is wrong.  In a stored policy,
 * which may be of another version, both deny when it is evaluated. */
QMN_NODISCARD enum qmn_code policy_rules_check(enum policy_type type,
                                               const struct policy_value *rules, struct err *err);

#endif
