/* SPDX-License-Identifier: MIT
 *
 * The closed vocabularies of the domain and their wire names. */
#ifndef QMN_MODEL_LABELS_H
#define QMN_MODEL_LABELS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

/* Ordered: a reader sees items whose label is at most its clearance. */
enum sensitivity { LABEL_PUBLIC = 1, LABEL_INTERNAL, LABEL_CONFIDENTIAL, LABEL_SECRET };

enum agent_status { AGENT_ACTIVE = 1, AGENT_IDLE, AGENT_SUSPENDED };
enum tenant_status { TENANT_ACTIVE = 1, TENANT_SUSPENDED, TENANT_DELETED };
enum plan_tier { PLAN_FREE = 1, PLAN_PRO, PLAN_ENTERPRISE };
enum delivery_state { DELIVERY_PENDING = 1, DELIVERY_ACKED, DELIVERY_REJECTED };
enum trace_kind { TRACE_BROADCAST = 1, TRACE_COLLECT };
enum policy_type {
    POLICY_DLP = 1,
    POLICY_RBAC,
    POLICY_ABAC,
    POLICY_RATE_LIMIT,
    POLICY_CONTENT_FILTER
};
enum search_mode { SEARCH_VECTOR = 1, SEARCH_WORDS, SEARCH_HYBRID };
enum task_status { TASK_OPEN = 1, TASK_RUNNING, TASK_DONE, TASK_FAILED, TASK_CANCELLED };

/* A vocabulary: value -> name, NULL-terminated from 1. */
extern const char *const sensitivity_names[];
extern const char *const agent_status_names[];
extern const char *const tenant_status_names[];
extern const char *const plan_tier_names[];
extern const char *const policy_type_names[];
extern const char *const task_status_names[];
extern const char *const trace_kind_names[];
extern const char *const search_mode_names[];

/* 0 when the text is none of the names. */
uint32_t label_parse(const char *const *names, struct bytes text);
/* "" for a value outside the vocabulary. */
const char *label_name(const char *const *names, uint32_t value);

#endif
