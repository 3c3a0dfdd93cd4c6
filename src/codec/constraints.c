/* SPDX-License-Identifier: MIT
 *
 * The table: every message of proto/qmn/v1 and what its fields may hold.  Defaults stand in the
 * schema, limits in base/limits.h, vocabularies in model/labels.h; here they meet.
 *
 * Requests bound what comes in.  Responses only say how absence looks: clients of older SDKs read
 * some keys unconditionally, so those go out as null, [] or {} (CON_NULLABLE, CON_ALWAYS).
 *
 * Ids of agents, tasks and traces are what clients call their things: any printable text. */
#include "constraint.h"

#include <math.h>

#include "base/attr.h"
#include "base/limits.h"
#include "model/labels.h"
#include "qmn/v1/identity.pb-c.h"
#include "qmn/v1/memory.pb-c.h"
#include "qmn/v1/node.pb-c.h"
#include "qmn/v1/reinforcement.pb-c.h"
#include "qmn/v1/router.pb-c.h"

enum {
    KIND_CHARS = 64,
    SCOPES = 64,
    URL_CHARS = 2048,       /* what clients and proxies agree to carry */
    RATE_MAX = 1000000,     /* per minute: beyond it a limit is none */
    KEY_DAYS_MAX = 3650,    /* ten years */
    GRACE_SEC_MAX = 604800, /* a week to roll a key out */
    TTL_HOURS_MAX = 87600,  /* ten years */
    WAIT_MS_MAX = 25000,    /* clients and proxies that give up at 30 s hear from us before */
    LEASE_MS_MAX = 3600000, /* the longest TTL */
    WINDOW_MS_MIN = 100,
    WINDOW_MS_MAX = 5000,
    QUOTA_COST_MAX = 100,
    OFFSET_MAX = 1000000,
};
#define HALF_LIFE_HOURS_MIN 0.01 /* half a minute: less is an order by time alone */

#define ID(name, more)                                                                             \
    {                                                                                              \
        .field = (name), .flags = (more), .range = {1, LIMIT_ID_CHARS},                            \
        .pattern = PATTERN_PRINTABLE                                                               \
    }
#define NAME(name_, more)                                                                          \
    {                                                                                              \
        .field = (name_), .flags = (more), .range = {1, LIMIT_NAME_CHARS},                         \
        .pattern = PATTERN_PRINTABLE                                                               \
    }
#define TEXT(name, more, chars)                                                                    \
    {                                                                                              \
        .field = (name), .flags = (more), .range = { 1, (chars) }                                  \
    }
#define TAGS(name)                                                                                 \
    {                                                                                              \
        .field = (name), .range = {0, LIMIT_TAGS}, .each = {1, LIMIT_TAG_CHARS},                   \
        .pattern = PATTERN_PRINTABLE                                                               \
    }
#define VECTOR(name)                                                                               \
    {                                                                                              \
        .field = (name), .flags = CON_VECTOR, .range = { LIMIT_DIM_MIN, LIMIT_DIM_MAX }            \
    }
/* Needed, unless the message's text stands in its place. */
#define VECTOR_OR_TEXT(name)                                                                       \
    {                                                                                              \
        .field = (name), .flags = CON_VECTOR | CON_OR_TEXT, .range = {                             \
            LIMIT_DIM_MIN,                                                                         \
            LIMIT_DIM_MAX                                                                          \
        }                                                                                          \
    }
#define OBJECT(name, more, bytes)                                                                  \
    {                                                                                              \
        .field = (name), .flags = CON_RAW_JSON | (more), .range = { 2, (bytes) }                   \
    }
#define METADATA OBJECT("metadata", 0, LIMIT_METADATA_BYTES)
#define LABEL(name)                                                                                \
    {                                                                                              \
        .field = (name), .one_of = sensitivity_names + 1                                           \
    }
#define WORD(name, more, names)                                                                    \
    {                                                                                              \
        .field = (name), .flags = (more), .one_of = (names) + 1                                    \
    }
#define RANGE(name, lo, hi)                                                                        \
    {                                                                                              \
        .field = (name), .range = {(lo), (hi) }                                                    \
    }
/* Of a listing, whose order and default stand in the schema. */
#define ROWS                                                                                       \
    {                                                                                              \
        .field = "limit", .range = {1, LIMIT_LIST}, .about = "So many rows at most."               \
    }
#define SKIP                                                                                       \
    {                                                                                              \
        .field = "offset", .range = {0, OFFSET_MAX},                                               \
        .about = "Leaves out so many rows, in the order of the listing."                           \
    }
#define CURSOR                                                                                     \
    {                                                                                              \
        .field = "cursor", .range = {1, LIMIT_ID_CHARS}, .pattern = PATTERN_TOKEN,                 \
        .about = "The next_cursor of the page before."                                             \
    }
#define TIME(name)                                                                                 \
    {                                                                                              \
        .field = (name), .flags = CON_TIME                                                         \
    }
#define TIME_OR_NULL(name)                                                                         \
    {                                                                                              \
        .field = (name), .flags = CON_TIME | CON_NULLABLE                                          \
    }
#define OR_NULL(name)                                                                              \
    {                                                                                              \
        .field = (name), .flags = CON_NULLABLE                                                     \
    }
#define ALWAYS(name)                                                                               \
    {                                                                                              \
        .field = (name), .flags = CON_ALWAYS                                                       \
    }
#define BARE(name)                                                                                 \
    {                                                                                              \
        .field = (name), .flags = CON_BARE_ARRAY                                                   \
    }
#define OBJECT_OUT(name)                                                                           \
    {                                                                                              \
        .field = (name), .flags = CON_RAW_JSON | CON_ALWAYS                                        \
    }

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

/* memory.proto */

static const struct constraint store_memory_request[] = {
    ID("agent_id", 0),
    {.field = "kind",
     .flags = CON_REQUIRED,
     .range = {1, KIND_CHARS},
     .pattern = PATTERN_PRINTABLE},
    OBJECT("content", CON_REQUIRED, LIMIT_CONTENT_BYTES),
    VECTOR_OR_TEXT("embedding"),
    TEXT("text", 0, LIMIT_TEXT_CHARS),
    RANGE("quality", 0, 1),
    LABEL("sensitivity"),
    ID("task_id", 0),
    ID("trace_id", 0),
    RANGE("ttl_hours", 0.001, TTL_HOURS_MAX),
    METADATA,
    ID("supersedes", 0),
};

static const struct constraint store_memories_request[] = {
    {.field = "memories", .flags = CON_REQUIRED, .range = {1, LIMIT_BATCH}},
};

static const struct constraint stored_memory[] = {
    TIME("created_at"),
    TIME_OR_NULL("expires_at"),
};

static const struct constraint store_memories_response[] = {
    ALWAYS("results"),
    ALWAYS("total"),
};

static const struct constraint memory[] = {
    OBJECT_OUT("content"),
    TIME("created_at"),
    TIME_OR_NULL("expires_at"),
    OBJECT_OUT("metadata"),
    TIME("updated_at"),
    TIME("replaced_at"),
    {.field = "quality", .about = "As outcomes have moved it; of an old version, as given."},
    {.field = "uses", .about = "Outcomes of contexts that it was part of."},
};

static const struct constraint get_memory_request[] = {
    ID("id", CON_REQUIRED),
    {.field = "as_of", .flags = CON_TIME, .about = "As it was then, under the id it had then."},
};

static const struct constraint memory_history[] = {ALWAYS("versions")};

static const char *const clearable_fields[] = {"metadata", "ttl_hours", NULL};

static const struct constraint update_memory_request[] = {
    ID("id", CON_REQUIRED),
    {.field = "kind", .range = {1, KIND_CHARS}, .pattern = PATTERN_PRINTABLE},
    OBJECT("content", 0, LIMIT_CONTENT_BYTES),
    VECTOR("embedding"),
    TEXT("text", 0, LIMIT_TEXT_CHARS),
    {.field = "quality", .range = {0, 1}, .about = "Outcomes until now no longer count."},
    LABEL("sensitivity"),
    {.field = "ttl_hours",
     .flags = CON_CLEARABLE,
     .range = {0.001, TTL_HOURS_MAX},
     .about = "From now on; null: for ever."},
    OBJECT("metadata", CON_CLEARABLE, LIMIT_METADATA_BYTES),
    {.field = "cleared",
     .flags = CON_CLEARS,
     .range = {0, 4},
     .each = {1, KIND_CHARS},
     .one_of = clearable_fields,
     .about = "The same as these fields with null, for clients that cannot send it."},
};

static const struct constraint recency_ranking[] = {
    RANGE("half_life_hours", HALF_LIFE_HOURS_MIN, TTL_HOURS_MAX),
    RANGE("weight", 0, 1),
};

static const struct constraint search_ranking[] = {RANGE("quality", 0, 1)};

static const struct constraint search_memory_request[] = {
    VECTOR_OR_TEXT("embedding"), /* or query */
    TEXT("query", 0, LIMIT_TEXT_CHARS),
    {.field = "mode",
     .one_of = search_mode_names + 1,
     .about = "By default hybrid with both words and a vector (text is both), else what there is."},
    TEXT("text", 0, LIMIT_TEXT_CHARS),
    RANGE("top_k", 1, LIMIT_SEARCH_TOP_K),
    RANGE("min_quality", 0, 1),
    TEXT("kind_filter", 0, KIND_CHARS),
    ID("agent_filter", 0),
    {.field = "filters",
     .flags = CON_RAW_JSON,
     .range = {2, LIMIT_METADATA_BYTES},
     .about = "Conditions in the style of MongoDB over kind, agent_id, quality, sensitivity, "
              "created_at, updated_at, expires_at, task_id, trace_id and metadata.PATH: plain "
              "values, $eq $ne $gt $gte $lt $lte $in $nin $exists $not, $and $or."},
    {.field = "user_filter",
     .flags = CON_RAW_JSON,
     .range = {2, LIMIT_METADATA_BYTES},
     .about = "Like filters; both must hold."},
};

static const struct constraint search_hit[] = {
    OBJECT_OUT("content"),
    TIME("created_at"),
    OR_NULL("similarity"),
};

static const struct constraint search_memory_response[] = {
    ALWAYS("results"),
    ALWAYS("total"),
    ALWAYS("metadata"),
};

static const struct constraint memory_ref[] = {ID("id", CON_REQUIRED)};

static const struct constraint agent_memories_request[] = {
    ID("agent_id", CON_REQUIRED),
    TEXT("kind", 0, KIND_CHARS),
    ROWS,
    SKIP,
};

static const struct constraint list_memories_request[] = {
    ID("agent_id", 0),
    TEXT("kind", 0, KIND_CHARS),
    {.field = "created_from", .flags = CON_TIME, .about = "Not before this."},
    {.field = "created_to", .flags = CON_TIME, .about = "Before this."},
    {.field = "as_of",
     .flags = CON_TIME,
     .about = "What they said then, of those there still are."},
    ROWS,
    CURSOR,
};

static const struct constraint memory_duplicates_request[] = {
    {.field = "threshold", .range = {0.5, 1}, .about = "Cosine; 1: equal vectors."},
    TEXT("kind", 0, KIND_CHARS),
    ID("agent_id", 0),
    ROWS,
    CURSOR,
};

static const struct constraint memory_duplicate[] = {TIME("created_at")};
static const struct constraint memory_duplicates[] = {TIME("created_at"), ALWAYS("duplicates")};
static const struct constraint memory_duplicates_page[] = {ALWAYS("groups"), ALWAYS("examined"),
                                                           OR_NULL("next_cursor")};

static const struct constraint export_memories_request[] = {
    ID("after", 0),
    ROWS,
    {.field = "history", .about = "What each of them said before, too."},
    ID("agent_id", 0),
    TEXT("kind", 0, KIND_CHARS),
};

static const struct constraint memory_credit[] = {
    RANGE("weight", 0, INFINITY),
    RANGE("sum", 0, INFINITY),
    RANGE("run_weight", 0, INFINITY),
    RANGE("run_sum", 0, INFINITY),
    {.field = "rater", .range = {1, 16}, .pattern = PATTERN_TOKEN}};

/* of vectors; see engine_vector */
static const char *const space_names[] = {"client", "qmn-lexical/1", NULL};

static const struct constraint memory_line[] = {
    ID("id", CON_REQUIRED),
    ID("version_of", 0),
    ID("agent_id", CON_REQUIRED),
    {.field = "kind",
     .flags = CON_REQUIRED,
     .range = {1, KIND_CHARS},
     .pattern = PATTERN_PRINTABLE},
    OBJECT("content", CON_REQUIRED, LIMIT_CONTENT_BYTES),
    METADATA,
    {.field = "quality", .flags = CON_REQUIRED, .range = {0, 1}},
    LABEL("sensitivity"),
    TIME("begun_at"),
    {.field = "created_at", .flags = CON_TIME | CON_REQUIRED},
    TIME("updated_at"),
    TIME("replaced_at"),
    TIME("expires_at"),
    ID("task_id", 0),
    ID("trace_id", 0),
    {.field = "space", .one_of = space_names},
    {.field = "embedding_b64", .range = {1, LIMIT_DIM_MAX * 6}},
    {.field = "credit", .about = "What outcomes said of it; absent: none has concerned it."},
};

static const struct constraint import_memories_response[] = {
    ALWAYS("lines"),   ALWAYS("stored"), ALWAYS("known"),
    ALWAYS("expired"), ALWAYS("failed"), ALWAYS("errors"),
};

static const struct constraint memory_page[] = {ALWAYS("memories"), OR_NULL("next_cursor")};
static const struct constraint memory_list[] = {BARE("memories")};

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

#define RULES(message_, rows_)                                                                     \
    {                                                                                              \
        .message = &qmn__v1__##message_##__descriptor, .rows = (rows_), .count = ARRAY_LEN(rows_)  \
    }
#define PLAIN(message_)                                                                            \
    {                                                                                              \
        .message = &qmn__v1__##message_##__descriptor                                              \
    }

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

    RULES(store_memory_request, store_memory_request),
    RULES(store_memories_request, store_memories_request),
    RULES(get_memory_request, get_memory_request),
    RULES(memory_history, memory_history),
    RULES(list_memories_request, list_memories_request),
    RULES(memory_page, memory_page),
    RULES(memory_duplicates_request, memory_duplicates_request),
    RULES(memory_duplicate, memory_duplicate),
    RULES(memory_duplicates, memory_duplicates),
    RULES(memory_duplicates_page, memory_duplicates_page),
    RULES(export_memories_request, export_memories_request),
    RULES(memory_credit, memory_credit),
    RULES(memory_line, memory_line),
    {.message = &qmn__v1__import_error__descriptor},
    RULES(import_memories_response, import_memories_response),
    RULES(update_memory_request, update_memory_request),
    RULES(stored_memory, stored_memory),
    RULES(store_memories_response, store_memories_response),
    RULES(memory, memory),
    RULES(recency_ranking, recency_ranking),
    RULES(search_ranking, search_ranking),
    RULES(search_memory_request, search_memory_request),
    PLAIN(search_term),
    PLAIN(search_explanation),
    RULES(search_hit, search_hit),
    PLAIN(search_metadata),
    RULES(search_memory_response, search_memory_response),
    RULES(memory_ref, memory_ref),
    RULES(agent_memories_request, agent_memories_request),
    RULES(memory_list, memory_list),
    PLAIN(cleanup_response),

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
