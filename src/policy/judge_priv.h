/* SPDX-License-Identifier: MIT
 *
 * One evaluation in progress, and the table of rules each type of policy has. */
#ifndef QMN_POLICY_JUDGE_PRIV_H
#define QMN_POLICY_JUDGE_PRIV_H

#include "policy/evaluate.h"

struct checks {
    struct bytes *items;
    size_t count, cap;
};

struct judge {
    const struct policy_request *request;
    const struct policy_value *rules;
    struct arena *arena;
    struct checks passed, failed;
    struct bytes reason; /* of the first failure */
    bool decided;        /* some rule had its say */
    bool broken;         /* out of memory */
};

/* Records a check by name. */
void judge_pass(struct judge *j, struct bytes check);
void judge_fail(struct judge *j, struct bytes check, const char *fmt, ...) QMN_PRINTF(3, 4);

/* "subject.x", "resource.x", "action", "context.x"; anything else is of the context.  NULL:
 * missing. `scratch` holds what has no node of its own. */
const struct policy_value *judge_attribute(const struct judge *j, struct bytes name,
                                           struct policy_value *scratch);

struct rule {
    const char *name;
    const char *expected; /* completes "expected ..." */
    bool (*shape)(const struct policy_value *v);
    /* NULL: the rule only qualifies others. */
    void (*judge)(struct judge *j, const struct policy_value *v);
};

/* NULL when the table has no rule of that name. */
const struct rule *rule_find(const struct rule *table, struct bytes name);

/* Tables end with a row without a name. */
extern const struct rule dlp_rules[], rbac_rules[], abac_rules[], rate_rules[], content_rules[];

/* ---- shapes shared by the tables ---- */
bool shape_texts(const struct policy_value *v); /* a list of texts, none empty */
bool shape_map(const struct policy_value *v);
bool shape_bool(const struct policy_value *v);
bool shape_count(const struct policy_value *v); /* a whole number above 0 */

/* ---- content.c ---- */
void judge_blocked_patterns(struct judge *j, const struct policy_value *v);

#endif
