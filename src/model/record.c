/* SPDX-License-Identifier: MIT
 *
 * The field tables of all records. */
#include "record.h"

#include "base/attr.h"

#define KEY  FIELD_KEY
#define SEAL FIELD_SEALED
#define F(kind, field, type_, flags_)                                                              \
    {                                                                                              \
        .name = #field, .type = FIELD_##type_, .flags = (flags_),                                  \
        .offset = offsetof(struct record_##kind, field)                                            \
    }

static const struct field meta_fields[] = {F(meta, name, TEXT, KEY), F(meta, value, BLOB, 0)};

static const struct field tenant_fields[] = {
    F(tenant, no, INT, KEY),        F(tenant, id, TEXT, FIELD_UNIQUE),
    F(tenant, plan, INT, 0),        F(tenant, status, INT, 0),
    F(tenant, space, TEXT, 0),      F(tenant, dim, INT, 0),
    F(tenant, kms_key_id, TEXT, 0), F(tenant, region, TEXT, 0),
    F(tenant, created_ms, INT, 0),  F(tenant, updated_ms, INT, 0),
    F(tenant, deleted_ms, INT, 0),  F(tenant, name, TEXT, SEAL),
    F(tenant, metadata, BLOB, SEAL)};

static const struct field key_fields[] = {
    F(key, id, TEXT, KEY),           F(key, tenant_no, INT, 0),   F(key, mac, BLOB, 0),
    F(key, scopes, BLOB, 0),         F(key, agent_ids, BLOB, 0),  F(key, clearance, INT, 0),
    F(key, rate_per_minute, INT, 0), F(key, created_ms, INT, 0),  F(key, expires_ms, INT, 0),
    F(key, revoked_ms, INT, 0),      F(key, rotated_to, TEXT, 0), F(key, name, TEXT, SEAL)};

static const struct field agent_fields[] = {F(agent, no, INT, KEY),
                                            F(agent, tenant_no, INT, 0),
                                            F(agent, id, TEXT, FIELD_UNIQUE_IN_TENANT),
                                            F(agent, status, INT, 0),
                                            F(agent, clearance, INT, 0),
                                            F(agent, region, TEXT, 0),
                                            F(agent, created_ms, INT, 0),
                                            F(agent, updated_ms, INT, 0),
                                            F(agent, inbox_from, INT, 0),
                                            F(agent, name, TEXT, SEAL),
                                            F(agent, description, TEXT, SEAL),
                                            F(agent, metadata, BLOB, SEAL),
                                            F(agent, capabilities, BLOB, SEAL),
                                            F(agent, tools, BLOB, SEAL),
                                            F(agent, skills, BLOB, SEAL),
                                            F(agent, profile, BLOB, SEAL)};

static const struct field agent_tasks_fields[] = {
    F(agent_tasks, agent_no, INT, KEY), F(agent_tasks, part, INT, KEY),
    F(agent_tasks, tenant_no, INT, 0), F(agent_tasks, tasks, BLOB, SEAL)};

static const struct field edge_fields[] = {
    F(edge, src_no, INT, KEY), F(edge, dst_no, INT, KEY),   F(edge, tenant_no, INT, 0),
    F(edge, weight, REAL, 0),  F(edge, success, REAL, 0),   F(edge, decay, REAL, 0),
    F(edge, outcomes, INT, 0), F(edge, created_ms, INT, 0), F(edge, updated_ms, INT, 0)};

static const struct field learning_log_fields[] = {
    F(learning_log, no, INT, KEY), F(learning_log, tenant_no, INT, 0),
    F(learning_log, edges, BLOB, SEAL), F(learning_log, tasks, BLOB, SEAL),
    F(learning_log, memories, BLOB, SEAL)};

static const struct field nutrient_fields[] = {
    F(nutrient, no, INT, KEY),         F(nutrient, tenant_no, INT, 0),
    F(nutrient, source_no, INT, 0),    F(nutrient, sensitivity, INT, 0),
    F(nutrient, created_ms, INT, 0),   F(nutrient, expires_ms, INT, 0),
    F(nutrient, summary, TEXT, SEAL),  F(nutrient, snippets, BLOB, SEAL),
    F(nutrient, embedding, BLOB, SEAL)};

static const struct field trace_fields[] = {
    F(trace, no, INT, KEY),           F(trace, tenant_no, INT, 0),
    F(trace, id, BLOB, FIELD_UNIQUE), F(trace, client_key, TEXT, FIELD_UNIQUE_IN_TENANT),
    F(trace, body_hash, BLOB, 0),     F(trace, kind, INT, 0),
    F(trace, agent_no, INT, 0),       F(trace, sensitivity, INT, 0),
    F(trace, created_ms, INT, 0),     F(trace, expires_ms, INT, 0),
    F(trace, task_id, TEXT, 0),       F(trace, decision, BLOB, SEAL)};

static const struct field delivery_fields[] = {
    F(delivery, nutrient_no, INT, KEY), F(delivery, agent_no, INT, KEY),
    F(delivery, tenant_no, INT, 0), F(delivery, state, INT, 0), F(delivery, at_ms, INT, 0)};

static const struct field response_fields[] = {
    F(response, no, INT, KEY),           F(response, tenant_no, INT, 0),
    F(response, id, BLOB, FIELD_UNIQUE), F(response, nutrient_no, INT, 0),
    F(response, agent_no, INT, 0),       F(response, sensitivity, INT, 0),
    F(response, created_ms, INT, 0),     F(response, expires_ms, INT, 0),
    F(response, quality, REAL, 0),       F(response, content, BLOB, SEAL),
    F(response, embedding, BLOB, SEAL)};

static const struct field outcome_fields[] = {
    F(outcome, trace_no, INT, KEY),  F(outcome, rater_no, INT, KEY), F(outcome, tenant_no, INT, 0),
    F(outcome, score, REAL, 0),      F(outcome, at_ms, INT, 0),      F(outcome, hops, BLOB, 0),
    F(outcome, metadata, BLOB, SEAL)};

static const struct field memory_fields[] = {F(memory, no, INT, KEY),
                                             F(memory, tenant_no, INT, 0),
                                             F(memory, id, BLOB, FIELD_UNIQUE_IN_TENANT),
                                             F(memory, agent_no, INT, 0),
                                             F(memory, kind, TEXT, 0),
                                             F(memory, quality, REAL, 0),
                                             F(memory, sensitivity, INT, 0),
                                             F(memory, created_ms, INT, 0),
                                             F(memory, updated_ms, INT, 0),
                                             F(memory, expires_ms, INT, 0),
                                             F(memory, task_id, TEXT, 0),
                                             F(memory, trace_id, TEXT, 0),
                                             F(memory, version, INT, 0),
                                             F(memory, begun_ms, INT, 0),
                                             F(memory, content, BLOB, SEAL),
                                             F(memory, metadata, BLOB, SEAL)};

static const struct field memory_vector_fields[] = {F(memory_vector, no, INT, KEY),
                                                    F(memory_vector, tenant_no, INT, 0),
                                                    F(memory_vector, vector, BLOB, SEAL)};

static const struct field memory_version_fields[] = {
    F(memory_version, memory_no, INT, KEY),
    F(memory_version, version, INT, KEY),
    F(memory_version, tenant_no, INT, 0),
    F(memory_version, id, BLOB, 0),
    F(memory_version, alias, BLOB, FIELD_UNIQUE_IN_TENANT),
    F(memory_version, agent_no, INT, 0),
    F(memory_version, kind, TEXT, 0),
    F(memory_version, quality, REAL, 0),
    F(memory_version, created_ms, INT, 0),
    F(memory_version, from_ms, INT, 0),
    F(memory_version, until_ms, INT, 0),
    F(memory_version, task_id, TEXT, 0),
    F(memory_version, trace_id, TEXT, 0),
    F(memory_version, content, BLOB, SEAL),
    F(memory_version, metadata, BLOB, SEAL),
    F(memory_version, vector, BLOB, SEAL)};

static const struct field memory_credit_fields[] = {
    F(memory_credit, memory_no, INT, KEY), F(memory_credit, tenant_no, INT, 0),
    F(memory_credit, id, BLOB, 0),         F(memory_credit, uses, INT, 0),
    F(memory_credit, weight, REAL, 0),     F(memory_credit, sum, REAL, 0),
    F(memory_credit, run_weight, REAL, 0), F(memory_credit, run_sum, REAL, 0),
    F(memory_credit, rater, INT, 0)};

static const struct field policy_fields[] = {
    F(policy, no, INT, KEY),       F(policy, tenant_no, INT, 0), F(policy, id, BLOB, FIELD_UNIQUE),
    F(policy, type, INT, 0),       F(policy, enabled, INT, 0),   F(policy, created_ms, INT, 0),
    F(policy, updated_ms, INT, 0), F(policy, name, TEXT, SEAL),  F(policy, description, TEXT, SEAL),
    F(policy, rules, BLOB, SEAL)};

static const struct field task_fields[] = {F(task, no, INT, KEY),
                                           F(task, tenant_no, INT, 0),
                                           F(task, id, TEXT, FIELD_UNIQUE_IN_TENANT),
                                           F(task, status, INT, 0),
                                           F(task, outcome, REAL, 0),
                                           F(task, created_ms, INT, 0),
                                           F(task, updated_ms, INT, 0),
                                           F(task, title, TEXT, SEAL),
                                           F(task, metadata, BLOB, SEAL)};

static const struct field usage_fields[] = {
    F(usage, tenant_no, INT, KEY), F(usage, hour, INT, KEY),   F(usage, nutrients, INT, 0),
    F(usage, collects, INT, 0),    F(usage, searches, INT, 0), F(usage, outcomes, INT, 0),
    F(usage, stores, INT, 0),      F(usage, bytes, INT, 0)};

static const struct field idempotency_fields[] = {
    F(idempotency, no, INT, KEY),      F(idempotency, tenant_no, INT, 0),
    F(idempotency, key_hash, BLOB, 0), F(idempotency, body_hash, BLOB, 0),
    F(idempotency, status, INT, 0),    F(idempotency, created_ms, INT, 0),
    F(idempotency, result, BLOB, SEAL)};

static const struct field audit_fields[] = {
    F(audit, tenant_no, INT, KEY), F(audit, seq, INT, KEY),   F(audit, at_ms, INT, 0),
    F(audit, actor, TEXT, 0),      F(audit, action, TEXT, 0), F(audit, target, TEXT, 0),
    F(audit, detail, BLOB, SEAL)};

#define TYPE(kind, keys)                                                                           \
    {                                                                                              \
        .name = #kind, .size = sizeof(struct record_##kind), .fields = kind##_fields,              \
        .field_count = ARRAY_LEN(kind##_fields), .key_count = (keys)                               \
    }

static const struct record_type types[RECORD_KIND_COUNT] = {
    [RECORD_META] = TYPE(meta, 1),
    [RECORD_TENANT] = TYPE(tenant, 1),
    [RECORD_KEY] = TYPE(key, 1),
    [RECORD_AGENT] = TYPE(agent, 1),
    [RECORD_AGENT_TASKS] = TYPE(agent_tasks, 2),
    [RECORD_EDGE] = TYPE(edge, 2),
    [RECORD_LEARNING_LOG] = TYPE(learning_log, 1),
    [RECORD_NUTRIENT] = TYPE(nutrient, 1),
    [RECORD_TRACE] = TYPE(trace, 1),
    [RECORD_DELIVERY] = TYPE(delivery, 2),
    [RECORD_RESPONSE] = TYPE(response, 1),
    [RECORD_OUTCOME] = TYPE(outcome, 2),
    [RECORD_MEMORY] = TYPE(memory, 1),
    [RECORD_MEMORY_VECTOR] = TYPE(memory_vector, 1),
    [RECORD_POLICY] = TYPE(policy, 1),
    [RECORD_TASK] = TYPE(task, 1),
    [RECORD_USAGE] = TYPE(usage, 2),
    [RECORD_IDEMPOTENCY] = TYPE(idempotency, 1),
    [RECORD_AUDIT] = TYPE(audit, 2),
    [RECORD_MEMORY_VERSION] = TYPE(memory_version, 2),
    [RECORD_MEMORY_CREDIT] = TYPE(memory_credit, 1),
};

const struct record_type *record_type(enum record_kind kind)
{
    return &types[kind];
}

static int64_t field_int(const void *record, const struct field *f)
{
    int64_t v;
    memcpy(&v, (const char *)record + f->offset, sizeof v);
    return v;
}

static struct bytes field_bytes(const void *record, const struct field *f)
{
    struct bytes v;
    memcpy(&v, (const char *)record + f->offset, sizeof v);
    return v;
}

int record_key_compare(enum record_kind kind, const void *a, const void *b)
{
    const struct record_type *t = record_type(kind);
    for (size_t i = 0; i < t->key_count; i++) {
        const struct field *f = &t->fields[i];
        int c;
        if (f->type == FIELD_INT) {
            int64_t x = field_int(a, f), y = field_int(b, f);
            c = (x > y) - (x < y);
        } else {
            c = bytes_compare(field_bytes(a, f), field_bytes(b, f));
        }
        if (c)
            return c;
    }
    return 0;
}
