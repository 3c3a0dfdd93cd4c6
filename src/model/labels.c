/* SPDX-License-Identifier: MIT
 *
 * Vocabularies by name. */
#include "labels.h"

#include <stddef.h>

const char *const sensitivity_names[] = {"", "public", "internal", "confidential", "secret", NULL};
const char *const agent_status_names[] = {"", "active", "idle", "suspended", NULL};
const char *const tenant_status_names[] = {"", "active", "suspended", "deleted", NULL};
const char *const plan_tier_names[] = {"", "free", "pro", "enterprise", NULL};
const char *const policy_type_names[] = {"",  "dlp", "rbac", "abac", "rate_limit", "content_filter",
                                         NULL};
const char *const task_status_names[] = {"",       "open",      "running", "done",
                                         "failed", "cancelled", NULL};
const char *const trace_kind_names[] = {"", "broadcast", "collect", NULL};
const char *const search_mode_names[] = {"", "vector", "words", "hybrid", NULL};

uint32_t label_parse(const char *const *names, struct bytes text)
{
    for (uint32_t i = 1; names[i]; i++)
        if (bytes_is(text, names[i]))
            return i;
    return 0;
}

const char *label_name(const char *const *names, uint32_t value)
{
    for (uint32_t i = 0; names[i]; i++)
        if (i == value)
            return names[i];
    return "";
}
