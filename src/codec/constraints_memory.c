/* SPDX-License-Identifier: MIT
 *
 * The table's part for memory.proto. */
#include "constraints_priv.h"

#include "qmn/v1/memory.pb-c.h"

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

static const struct constraint search_ranking[] = {RANGE("quality", 0, 1),
                                                   RANGE("usefulness", 0, 1)};

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

const struct message_rules constraint_table_memory[] = {
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
    PLAIN(import_error),
};

const size_t constraint_table_memory_len = ARRAY_LEN(constraint_table_memory);
