/* SPDX-License-Identifier: MIT
 *
 * The control plane: tenants, keys, usage, policies, tasks, audit. */
#ifndef QMN_ENGINE_TENANCY_H
#define QMN_ENGINE_TENANCY_H

#include "engine/engine.h"

struct tenant_in {
    struct bytes id, name, kms_key_id, region, metadata; /* ptr NULL: unchanged in an update */
    uint32_t plan, status;                               /* 0: unchanged */
    uint32_t dim;                                        /* 0: at first use */
};
struct tenant_out {
    struct bytes id, name, kms_key_id, region, metadata, space;
    uint32_t plan, status, dim;
    int64_t created_ms, updated_ms;
};
struct tenants_out {
    const struct tenant_out *tenants;
    size_t count;
};
void engine_create_tenant(struct engine *e, struct call *c, const struct tenant_in *in,
                          struct tenant_out *out);
/* `id` "me" or "None": the caller's own.  Another tenant's id needs ADMIN, and is 404 otherwise. */
void engine_get_tenant(struct engine *e, struct call *c, struct bytes id, struct tenant_out *out);
/* In order of making.  Without ADMIN only the caller's own. */
void engine_list_tenants(struct engine *e, struct call *c, uint32_t status, uint32_t plan,
                         uint32_t limit, uint32_t offset, struct tenants_out *out);
/* Changes what is given. */
void engine_update_tenant(struct engine *e, struct call *c, const struct tenant_in *in,
                          struct tenant_out *out);
/* Blocks access at once; purge: its data goes too. */
void engine_delete_tenant(struct engine *e, struct call *c, struct bytes id, bool purge);

struct usage_counts {
    uint64_t nutrients, collects, searches, outcomes, stores, agents,
        bytes; /* UINT64_MAX as quota: unlimited */
};
struct usage_out {
    struct bytes tenant_id;
    uint32_t plan;
    struct usage_counts current, quota, remaining;
    uint64_t nutrients_total, collects_total;
    int64_t resets_ms;
};
void engine_usage(struct engine *e, struct call *c, struct bytes id, struct usage_out *out);

struct key_in {
    struct bytes tenant_id, name;
    struct bytes scopes, agent_ids;                       /* text lists */
    uint32_t rate_per_minute, expires_in_days, clearance; /* expires 0: never */
};
struct key_out {
    struct bytes id, tenant_id, name, scopes, agent_ids;
    uint32_t rate_per_minute, clearance;
    const char *status; /* active, expired, revoked */
    int64_t created_ms, expires_ms, last_used_ms;
    struct bytes secret; /* the whole key text; only when just made (never in a replay) */
    struct bytes old_key_id;
    int64_t old_expires_ms;
};
struct keys_out {
    const struct key_out *keys;
    size_t count;
};
/* A key can grant only what the caller itself holds: scopes, clearance, agents. */
void engine_create_key(struct engine *e, struct call *c, const struct key_in *in,
                       struct key_out *out);
/* In order of making: time, then id. */
void engine_list_keys(struct engine *e, struct call *c, struct bytes tenant_id, uint32_t limit,
                      uint32_t offset, struct keys_out *out);
/* key_id empty: the calling key. */
void engine_rotate_key(struct engine *e, struct call *c, struct bytes key_id, uint32_t grace_sec,
                       struct key_out *out);
void engine_revoke_key(struct engine *e, struct call *c, struct bytes key_id, struct key_out *out);
struct key_validity {
    bool valid;
    struct key_out key; /* set when valid */
};
/* Only keys of the caller's tenant (ADMIN: of any) are valid to it. */
void engine_validate_key(struct engine *e, struct call *c, struct bytes key_text,
                         struct key_validity *out);

struct policy_in {
    uint32_t type;
    struct bytes name, description, rules; /* rules: a JSON object */
    bool enabled;
};
struct policy_out {
    struct bytes id, tenant_id, name, description, rules;
    uint32_t type;
    bool enabled;
    int64_t created_ms, updated_ms;
};
struct policies_out {
    const struct policy_out *policies;
    size_t count, total; /* total: on all pages */
};
void engine_create_policy(struct engine *e, struct call *c, const struct policy_in *in,
                          struct policy_out *out);
/* In order of making.  type 0: any. */
void engine_list_policies(struct engine *e, struct call *c, struct bytes tenant_id, uint32_t type,
                          uint32_t limit, uint32_t offset, struct policies_out *out);
struct evaluate_in {
    uint32_t type; /* enum policy_type */
    struct bytes action;
    /* JSON objects; empty: taken from the members of that name in `context`, as is the action */
    struct bytes subject, resource, context;
};
struct evaluate_out {
    bool allowed;
    const char *action;     /* "allow" or "deny" */
    struct bytes policy_id; /* the one that decided; empty when there is none of that type */
    struct bytes reason;
    const struct bytes *passed, *failed; /* names of checks */
    size_t passed_count, failed_count;
};
/* Asks every enabled policy of that type of the caller's tenant: all must allow.  With none it is
 * allowed, and the reason says so; whatever cannot be decided denies. */
void engine_evaluate_policy(struct engine *e, struct call *c, const struct evaluate_in *in,
                            struct evaluate_out *out);

struct task_in {
    struct bytes id, title,
        metadata;    /* ptr NULL: unchanged in an update; id empty in a creation: made */
    uint32_t status; /* 0: unchanged / open */
    double outcome;  /* negative: unchanged / none */
};
struct task_out {
    struct bytes id, title, metadata;
    uint32_t status;
    double outcome;
    int64_t created_ms, updated_ms;
};
struct tasks_out {
    const struct task_out *tasks;
    size_t count;
};
void engine_create_task(struct engine *e, struct call *c, const struct task_in *in,
                        struct task_out *out);
void engine_get_task(struct engine *e, struct call *c, struct bytes id, struct task_out *out);
/* Newest first; status 0: any. */
void engine_list_tasks(struct engine *e, struct call *c, uint32_t status, uint32_t limit,
                       struct tasks_out *out);
void engine_update_task(struct engine *e, struct call *c, const struct task_in *in,
                        struct task_out *out);

struct audit_out {
    const struct record_audit *entries;
    size_t count;
};
/* Oldest first, sequence above `after`. */
void engine_audit(struct engine *e, struct call *c, int64_t after, uint32_t limit,
                  struct audit_out *out);

#endif
