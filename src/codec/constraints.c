/* SPDX-License-Identifier: MIT
 *
 * The table: every message of proto/qmn/v1 and what its fields may hold; those of memory.proto
 * stand in constraints_memory.c.  Defaults stand in the schema, limits in base/limits.h,
 * vocabularies in model/labels.h; here they meet.
 *
 * Requests bound what comes in.  Responses only say how absence looks: clients of older SDKs read
 * some keys unconditionally, so those go out as null, [] or {} (CON_NULLABLE, CON_ALWAYS).
 *
 * Ids of agents, tasks and traces are what clients call their things: any printable text. */
#include "constraints_priv.h"

#include "qmn/v1/identity.pb-c.h"
#include "qmn/v1/node.pb-c.h"
#include "qmn/v1/reinforcement.pb-c.h"
#include "qmn/v1/router.pb-c.h"

/* router.proto */

static const struct constraint broadcast_request[] = {
    ID("id", 0),
    ID("trace_id", 0),
    TEXT("summary", CON_REQUIRED, LIMIT_SUMMARY_CHARS),
    VECTOR_OR_TEXT("embedding"),
    TEXT("text", 0, LIMIT_TEXT_CHARS),
    {.field = "snippets", .range = {0, LIMIT_SNIPPETS}, .each = {0, LIMIT_SNIPPET_CHARS}},
    TAGS("tool_hints"),
    LABEL("sensitivity"),
    RANGE("ttl_sec", 1, LIMIT_TTL_SEC),
    RANGE("max_hops", 1, LIMIT_HOPS),
    RANGE("quota_cost", 1, QUOTA_COST_MAX),
    ID("trace_task_id", 0),
    ID("source_agent_id", 0),
    TIME("created_at"),
    RANGE("top_k", 1, LIMIT_TOP_K),
};

static const struct constraint broadcast_response[] = {
    ALWAYS("routed_to"), ALWAYS("routing_scores"), TIME("created_at"),
    TIME("expires_at"),  ALWAYS("hops"),
};

static const struct constraint pull_request[] = {
    ID("agent_id", CON_REQUIRED),
    RANGE("limit", 1, LIMIT_LIST),
    RANGE("wait_ms", 0, WAIT_MS_MAX),
    RANGE("lease_ms", 1000, LEASE_MS_MAX),
};

static const struct constraint inbox_item[] = {
    ALWAYS("snippets"), ALWAYS("tool_hints"), TIME("created_at"),
    TIME("expires_at"), TIME("lease_until"),
};

static const struct constraint pull_response[] = {
    ALWAYS("nutrients"),
    ALWAYS("pending"),
    ALWAYS("dropped"),
};

static const struct constraint ack_request[] = {
    ID("agent_id", CON_REQUIRED),
    {.field = "nutrient_ids",
     .flags = CON_REQUIRED,
     .range = {1, LIMIT_LIST},
     .each = {1, LIMIT_ID_CHARS},
     .pattern = PATTERN_PRINTABLE},
};

static const struct constraint nack_request[] = {
    ID("agent_id", CON_REQUIRED),
    {.field = "nutrient_ids",
     .flags = CON_REQUIRED,
     .range = {1, LIMIT_LIST},
     .each = {1, LIMIT_ID_CHARS},
     .pattern = PATTERN_PRINTABLE},
    RANGE("delay_ms", 0, LEASE_MS_MAX),
};

static const struct constraint ack_response[] = {
    ALWAYS("changed"),
    ALWAYS("unknown"),
};

static const struct constraint respond_request[] = {
    ID("nutrient_id", CON_REQUIRED),
    ID("agent_id", 0),
    OBJECT("content", CON_REQUIRED, LIMIT_CONTENT_BYTES),
    VECTOR("embedding"),
    TEXT("text", 0, LIMIT_TEXT_CHARS),
    RANGE("quality", 0, 1),
    LABEL("sensitivity"),
};

static const struct constraint respond_response[] = {TIME("created_at")};

static const struct constraint collect_request[] = {
    VECTOR_OR_TEXT("demand_embedding"),
    TEXT("text", 0, LIMIT_TEXT_CHARS),
    RANGE("window_ms", WINDOW_MS_MIN, WINDOW_MS_MAX),
    RANGE("top_k", 1, LIMIT_TOP_K),
    ID("trace_task_id", 0),
    ID("agent_id", 0),
    RANGE("min_similarity", -1, 1),
};

static const struct constraint context_item[] = {
    OBJECT_OUT("data"),
    TIME("created_at"),
};

static const struct constraint collect_response[] = {
    ALWAYS("contents"),
    ALWAYS("source_agents"),
    ALWAYS("quality_scores"),
    ALWAYS("metadata"),
};

static const struct constraint get_trace_request[] = {ID("id", CON_REQUIRED)};

static const struct constraint trace_outcome[] = {
    TIME("recorded_at"),
    ALWAYS("weight_changes"),
};

static const struct constraint trace[] = {
    TIME("created_at"),   TIME("expires_at"),      ALWAYS("hops"),     ALWAYS("candidates"),
    ALWAYS("deliveries"), ALWAYS("contributions"), ALWAYS("outcomes"),
};

static const struct constraint agent_profile[] = {
    VECTOR("embedding"),
    TEXT("text", 0, LIMIT_TEXT_CHARS),
    TAGS("skills"),
    {.field = "description", .range = {0, LIMIT_SUMMARY_CHARS}},
};

static const struct constraint register_agent_request[] = {
    ID("agent_id", CON_REQUIRED),
    NAME("name", 0),
    TAGS("capabilities"),
    TAGS("tools"),
    NAME("region", 0),
    METADATA,
    LABEL("clearance"),
};

static const struct constraint agent[] = {
    OR_NULL("name"),    ALWAYS("capabilities"), ALWAYS("tools"),
    ALWAYS("skills"),   OR_NULL("region"),      OBJECT_OUT("metadata"),
    TIME("created_at"), TIME("updated_at"),     TIME("last_seen_at"),
};

static const struct constraint list_agents_request[] = {
    WORD("status_filter", 0, agent_status_names),
    TEXT("capability", 0, LIMIT_TAG_CHARS),
    ROWS,
    ID("after", 0),
};

static const struct constraint agent_list[] = {BARE("agents")};
static const struct constraint agent_ref[] = {ID("agent_id", CON_REQUIRED)};

/* reinforcement.proto */

static const struct constraint outcome_detail[] = {
    RANGE("score", 0, 1),
    METADATA,
    RANGE("hop_outcomes", 0, LIMIT_FANOUT),
};

static const struct constraint record_outcome_request[] = {
    ID("trace_id", CON_REQUIRED),
    RANGE("outcome_score", 0, 1),
    RANGE("hop_outcomes", 0, LIMIT_FANOUT),
    ID("agent_id", 0),
};

/* One agent's score; both maps have the same entries. */
static const struct constraint hop_outcomes_entry[] = {
    ID("key", CON_REQUIRED),
    RANGE("value", 0, 1),
};

static const struct constraint record_outcome_response[] = {
    ALWAYS("edges_updated"),
    ALWAYS("weight_changes"),
};

static const struct constraint edge[] = {TIME_OR_NULL("last_update")};
static const struct constraint top_edges_request[] = {ROWS};

static const struct constraint agent_edges_request[] = {
    ID("agent_id", CON_REQUIRED),
    ROWS,
};

static const struct constraint edge_list[] = {ALWAYS("edges")};
static const struct constraint top_edges[] = {BARE("edges")};
static const struct constraint prune_edges_request[] = {RANGE("threshold", 0, 2)};

static const struct constraint edge_stats[] = {
    ALWAYS("total_edges"),   ALWAYS("avg_weight"),  ALWAYS("min_weight"), ALWAYS("max_weight"),
    ALWAYS("stddev_weight"), ALWAYS("avg_success"), ALWAYS("avg_decay"),
};

/* identity.proto */

static const struct constraint create_tenant_request[] = {
    {.field = "id", .flags = CON_REQUIRED, .range = {3, 64}, .pattern = PATTERN_TENANT_ID},
    NAME("name", CON_REQUIRED),
    WORD("plan_tier", 0, plan_tier_names),
    NAME("kms_key_id", 0),
    NAME("region_preference", 0),
    METADATA,
    RANGE("embedding_dim", LIMIT_DIM_MIN, LIMIT_DIM_MAX),
};

static const struct constraint update_tenant_request[] = {
    ID("id", CON_REQUIRED),
    NAME("name", 0),
    WORD("plan_tier", 0, plan_tier_names),
    WORD("status", 0, tenant_status_names),
    NAME("kms_key_id", 0),
    NAME("region_preference", 0),
    METADATA,
};

static const struct constraint tenant[] = {
    OR_NULL("kms_key_id"), OR_NULL("region_preference"), OBJECT_OUT("metadata"),
    TIME("created_at"),    TIME("updated_at"),
};

static const struct constraint tenant_ref[] = {ID("id", CON_REQUIRED)};

static const struct constraint list_tenants_request[] = {
    WORD("status_filter", 0, tenant_status_names),
    WORD("plan_tier", 0, plan_tier_names),
    ROWS,
    SKIP,
};

static const struct constraint tenant_list[] = {BARE("tenants")};

static const struct constraint usage[] = {
    ALWAYS("current_usage"),      ALWAYS("quota"),           ALWAYS("nutrients_sent"),
    ALWAYS("contexts_collected"), ALWAYS("quota_remaining"), TIME("resets_at"),
};

static const struct constraint create_key_request[] = {
    ID("tenant_id", 0),
    NAME("name", 0),
    {.field = "scopes",
     .range = {0, SCOPES},
     .each = {1, LIMIT_TAG_CHARS},
     .pattern = PATTERN_PRINTABLE},
    RANGE("rate_limit_per_minute", 1, RATE_MAX),
    RANGE("expires_in_days", 1, KEY_DAYS_MAX),
    {.field = "agent_ids",
     .range = {0, LIMIT_KEY_AGENTS},
     .each = {1, LIMIT_ID_CHARS},
     .pattern = PATTERN_PRINTABLE},
    LABEL("clearance"),
};

static const struct constraint key[] = {
    OR_NULL("name"),
    ALWAYS("scopes"),
    ALWAYS("agent_ids"),
    TIME("created_at"),
    TIME_OR_NULL("expires_at"),
    TIME_OR_NULL("last_used_at"),
    TIME("old_key_expires_at"),
};

static const struct constraint key_list[] = {BARE("keys")};
static const struct constraint list_keys_request[] = {ID("tenant_id", 0), ROWS, SKIP};
static const struct constraint key_ref[] = {ID("id", CON_REQUIRED)};
static const struct constraint validate_key_request[] = {NAME("api_key", CON_REQUIRED)};

static const struct constraint validate_key_response[] = {
    ALWAYS("valid"),
    ALWAYS("scopes"),
    TIME_OR_NULL("expires_at"),
};

static const struct constraint rotate_key_request[] = {
    ID("key_id", 0),
    RANGE("grace_period_sec", 0, GRACE_SEC_MAX),
};

static const struct constraint create_policy_request[] = {
    NAME("name", CON_REQUIRED),
    WORD("policy_type", CON_REQUIRED, policy_type_names),
    OBJECT("rules", 0, LIMIT_METADATA_BYTES),
    /* Lists in some clients, objects in others. */
    {.field = "sensitivity_rules", .flags = CON_RAW_VALUE, .range = {1, LIMIT_METADATA_BYTES}},
    {.field = "rbac_roles", .flags = CON_RAW_VALUE, .range = {1, LIMIT_METADATA_BYTES}},
    {.field = "conditions", .flags = CON_RAW_VALUE, .range = {1, LIMIT_METADATA_BYTES}},
    {.field = "actions", .flags = CON_RAW_VALUE, .range = {1, LIMIT_METADATA_BYTES}},
    {.field = "description", .range = {0, LIMIT_SUMMARY_CHARS}},
};

static const struct constraint policy[] = {
    OBJECT_OUT("rules"),
    OR_NULL("description"),
    TIME("created_at"),
    TIME("updated_at"),
};

static const struct constraint policy_array[] = {BARE("policies")};

static const struct constraint policy_list[] = {
    ALWAYS("policies"),
    ALWAYS("total"),
};

static const struct constraint list_policies_request[] = {
    ID("tenant_id", 0),
    WORD("policy_type", 0, policy_type_names),
    ROWS,
    SKIP,
};

static const struct constraint evaluate_policy_request[] = {
    WORD("policy_type", CON_REQUIRED, policy_type_names),
    OBJECT("context", 0, LIMIT_METADATA_BYTES),
    {.field = "subject", .flags = CON_RAW_VALUE, .range = {1, LIMIT_METADATA_BYTES}},
    {.field = "resource", .flags = CON_RAW_VALUE, .range = {1, LIMIT_METADATA_BYTES}},
    NAME("action", 0),
};

static const struct constraint evaluate_policy_response[] = {
    OR_NULL("policy_id"),
    OR_NULL("reason"),
    ALWAYS("checks_passed"),
    ALWAYS("checks_failed"),
};

static const struct constraint create_task_request[] = {
    ID("id", 0),
    NAME("title", CON_REQUIRED),
    METADATA,
};

static const struct constraint update_task_request[] = {
    ID("id", CON_REQUIRED), NAME("title", 0), WORD("status", 0, task_status_names),
    RANGE("outcome", 0, 1), METADATA,
};

static const struct constraint task[] = {
    OR_NULL("outcome"),
    OBJECT_OUT("metadata"),
    TIME("created_at"),
    TIME("updated_at"),
};

static const struct constraint task_ref[] = {ID("id", CON_REQUIRED)};

static const struct constraint list_tasks_request[] = {
    WORD("status", 0, task_status_names),
    ROWS,
};

static const struct constraint task_list[] = {ALWAYS("tasks")};

/* node.proto */

static const struct constraint health[] = {
    OR_NULL("region"),
    TIME("timestamp"),
    ALWAYS("checks"),
};

static const struct constraint backup_request[] = {TEXT("path", 0, URL_CHARS)};
static const struct constraint backup_response[] = {TIME("created_at")};

static const struct constraint audit_request[] = {
    ROWS,
};

static const struct constraint audit_entry[] = {
    TIME("at"),
    OBJECT_OUT("detail"),
};

static const struct constraint audit_list[] = {ALWAYS("entries")};

const struct message_rules constraint_table[] = {
    RULES(broadcast_request, broadcast_request),
    PLAIN(hop),
    RULES(broadcast_response, broadcast_response),
    RULES(pull_request, pull_request),
    RULES(inbox_item, inbox_item),
    RULES(pull_response, pull_response),
    RULES(ack_request, ack_request),
    RULES(nack_request, nack_request),
    RULES(ack_response, ack_response),
    RULES(respond_request, respond_request),
    RULES(respond_response, respond_response),
    RULES(collect_request, collect_request),
    RULES(context_item, context_item),
    PLAIN(collect_metadata),
    RULES(collect_response, collect_response),
    RULES(get_trace_request, get_trace_request),
    PLAIN(trace_candidate),
    RULES(trace_outcome, trace_outcome),
    PLAIN(weight_change),
    PLAIN(trace_delivery),
    PLAIN(trace_contribution),
    RULES(trace, trace),
    RULES(agent_profile, agent_profile),
    RULES(register_agent_request, register_agent_request),
    RULES(agent, agent),
    RULES(list_agents_request, list_agents_request),
    RULES(agent_list, agent_list),
    RULES(agent_ref, agent_ref),
    PLAIN(empty),

    RULES(outcome_detail, outcome_detail),
    RULES(outcome_detail__hop_outcomes_entry, hop_outcomes_entry),
    RULES(record_outcome_request, record_outcome_request),
    RULES(record_outcome_request__hop_outcomes_entry, hop_outcomes_entry),
    RULES(record_outcome_response, record_outcome_response),
    RULES(edge_stats, edge_stats),
    RULES(edge, edge),
    RULES(top_edges_request, top_edges_request),
    RULES(agent_edges_request, agent_edges_request),
    RULES(edge_list, edge_list),
    RULES(top_edges, top_edges),
    RULES(prune_edges_request, prune_edges_request),
    PLAIN(prune_edges_response),
    PLAIN(decay_edges_response),

    RULES(create_tenant_request, create_tenant_request),
    RULES(update_tenant_request, update_tenant_request),
    RULES(tenant, tenant),
    RULES(tenant_ref, tenant_ref),
    RULES(list_tenants_request, list_tenants_request),
    RULES(tenant_list, tenant_list),
    PLAIN(usage_counts),
    RULES(usage, usage),
    RULES(create_key_request, create_key_request),
    RULES(key, key),
    RULES(key_list, key_list),
    RULES(list_keys_request, list_keys_request),
    RULES(key_ref, key_ref),
    RULES(validate_key_request, validate_key_request),
    RULES(validate_key_response, validate_key_response),
    RULES(rotate_key_request, rotate_key_request),
    RULES(create_policy_request, create_policy_request),
    RULES(policy, policy),
    RULES(policy_array, policy_array),
    RULES(policy_list, policy_list),
    RULES(list_policies_request, list_policies_request),
    RULES(evaluate_policy_request, evaluate_policy_request),
    RULES(evaluate_policy_response, evaluate_policy_response),
    RULES(create_task_request, create_task_request),
    RULES(update_task_request, update_task_request),
    RULES(task, task),
    RULES(task_ref, task_ref),
    RULES(list_tasks_request, list_tasks_request),
    RULES(task_list, task_list),

    RULES(health, health),
    RULES(backup_request, backup_request),
    RULES(backup_response, backup_response),
    RULES(audit_request, audit_request),
    RULES(audit_entry, audit_entry),
    RULES(audit_list, audit_list),
};

const size_t constraint_table_len = ARRAY_LEN(constraint_table);

const struct message_rules *constraint_table_at(size_t i)
{
    if (i < constraint_table_len)
        return &constraint_table[i];
    i -= constraint_table_len;
    return i < constraint_table_memory_len ? &constraint_table_memory[i] : NULL;
}
