/* SPDX-License-Identifier: MIT
 *
 * The table.  Adding a call to the system is one row here and one operation; dispatch, the OpenAPI
 * document, metrics labels and the tenant-isolation matrix follow from it. */
#include "base/limits.h"
#include "operations_priv.h"

#define EVENT_STREAM "text/event-stream"
#define EXPOSITION   "text/plain; version=0.0.4; charset=utf-8"
#define JSON         "application/json"
#define JSON_LINES   "application/x-ndjson"

/* Columns that most rows share. */
#define SCOPED(s) .access = ACCESS_SCOPE, .scope = SCOPE_##s
#define ADMIN     .access = ACCESS_ADMIN
#define OWN       .tenant = WHOSE_CALLER
#define READ      .status = 200, .input = INPUT_QUERY
#define WRITE     .status = 200, .input = INPUT_BODY, .mutation = true
#define CREATE    .status = 201, .input = INPUT_BODY, .mutation = true
/* POST only because the question is long; collect's trace is no change that a repeat could spare.
 */
#define ASK       .status = 200, .input = INPUT_BODY
#define DELETE_IT .status = 204, .input = INPUT_QUERY, .mutation = true
#define BY(field) .path_field = (field)

const struct route routes[] = {
    /* ---- router ---- */
    {"broadcast", HTTP_POST, "/v1/nutrients:broadcast", .service = "router",
     SCOPED(NUTRIENTS_WRITE), OWN, WRITE, .agent = "source_agent_id", .label = "write",
     .quota = "nutrients", .about = "Sends a nutrient to the agents most likely to help.",
     .op = &op_broadcast},
    {"respond", HTTP_POST, "/v1/nutrients/{id}:respond", BY("nutrient_id"), .service = "router",
     SCOPED(INBOX), OWN, CREATE, .agent = "agent_id", .label = "write",
     .about = "Answers a nutrient that was delivered to the acting agent.", .op = &op_respond},
    {"collect", HTTP_POST, "/v1/contexts:collect", .service = "router", SCOPED(CONTEXTS_READ), OWN,
     ASK, .agent = "agent_id", .label = "read", .quota = "collects",
     .about = "Gathers fresh responses and memory near a demand; opens a trace to be rated.",
     .op = &op_collect},
    {"trace.get", HTTP_GET, "/v1/traces/{id}", BY("id"), .service = "router", SCOPED(TRACES_READ),
     OWN, READ, .label = "read", .about = "Why each agent was chosen, and what became of it.",
     .op = &op_trace},
    {"agent.register", HTTP_POST, "/v1/agents:register", .service = "router", SCOPED(AGENTS_WRITE),
     OWN, WRITE, .agent = "agent_id", .quota = "agents",
     .about = "Registers an agent, or updates and re-activates it.", .op = &op_agent_register},
    {"agent.list", HTTP_GET, "/v1/agents", .service = "router", SCOPED(AGENTS_READ), OWN, READ,
     .about = "Agents in order of id; `after` continues.", .op = &op_agent_list},
    {"agent.get", HTTP_GET, "/v1/agents/{id}", BY("agent_id"), .service = "router",
     SCOPED(AGENTS_READ), OWN, READ, .about = "One agent.", .op = &op_agent_get},
    {"agent.suspend", HTTP_DELETE, "/v1/agents/{id}", BY("agent_id"), .service = "router",
     SCOPED(AGENTS_WRITE), OWN, DELETE_IT, .agent = "agent_id",
     .about = "Suspends an agent: no candidate any more, its inbox is emptied.",
     .ignores = "embedding", .op = &op_agent_suspend},
    {"inbox.pull", HTTP_GET, "/v1/agents/{id}/nutrients", BY("agent_id"), .service = "router",
     SCOPED(INBOX), OWN, READ, .agent = "agent_id", .label = "read", .no_head = true,
     .about = "Leases nutrients from an inbox, waiting for some if asked to.", .op = &op_pull},
    {"inbox.stream", HTTP_GET, "/v1/agents/{id}/nutrients:stream", BY("agent_id"),
     .service = "router", SCOPED(INBOX), OWN, READ, .agent = "agent_id", .label = "read",
     .media = EVENT_STREAM,
     .about = "An inbox as server-sent events named `nutrient`; Last-Event-ID resumes.",
     .ignores = "wait_ms", .op = &op_stream},
    {"inbox.ack", HTTP_POST, "/v1/agents/{id}/nutrients:ack", BY("agent_id"), .service = "router",
     SCOPED(INBOX), OWN, WRITE, .agent = "agent_id",
     .about = "Takes nutrients off an inbox for good.", .op = &op_ack},
    {"inbox.nack", HTTP_POST, "/v1/agents/{id}/nutrients:nack", BY("agent_id"), .service = "router",
     SCOPED(INBOX), OWN, WRITE, .agent = "agent_id",
     .about = "Gives nutrients back, to be offered again or (reject) never.", .op = &op_nack},
    {"task.create", HTTP_POST, "/v1/tasks", .service = "router", SCOPED(TASKS_WRITE), OWN, CREATE,
     .about =
         "A named piece of work that traces join by trace_task_id.  Of 10,000 the finished one "
         "that has rested longest makes room.",
     .op = &op_task_create},
    {"task.list", HTTP_GET, "/v1/tasks", .service = "router", SCOPED(TASKS_READ), OWN, READ,
     .about = "Tasks, newest first.", .op = &op_task_list},
    {"task.get", HTTP_GET, "/v1/tasks/{id}", BY("id"), .service = "router", SCOPED(TASKS_READ), OWN,
     READ, .about = "One task.", .op = &op_task_get},
    {"task.update", HTTP_PATCH, "/v1/tasks/{id}", BY("id"), .service = "router",
     SCOPED(TASKS_WRITE), OWN, WRITE, .about = "Changes the fields that are named.",
     .op = &op_task_update},

    /* ---- reinforcement ---- */
    {"outcome.record", HTTP_POST, "/v1/outcomes:record", .service = "reinforcement",
     SCOPED(OUTCOMES_WRITE), OWN, WRITE, .agent = "agent_id",
     .about = "Rates a trace; the credit moves the edges of every hop.", .op = &op_outcome_record},
    {"edge.stats", HTTP_GET, "/v1/edges/stats", .service = "reinforcement", SCOPED(EDGES_READ), OWN,
     READ, .about = "Edges of the tenant in numbers.", .op = &op_edge_stats},
    {"edge.top", HTTP_GET, "/v1/edges/top", .service = "reinforcement", SCOPED(EDGES_READ), OWN,
     READ, .about = "The strongest edges of the tenant; equal ones in order of source and target.",
     .op = &op_edge_top},
    {"edge.list", HTTP_GET, "/v1/edges/{id}", BY("agent_id"), .service = "reinforcement",
     SCOPED(EDGES_READ), OWN, READ,
     .about = "Edges that leave an agent, strongest first; equal ones in order of target.",
     .op = &op_edge_list},
    {"edge.prune", HTTP_POST, "/v1/edges:prune", .service = "reinforcement", SCOPED(TENANT_ADMIN),
     OWN, .status = 200, .input = INPUT_BODY | INPUT_QUERY, .mutation = true,
     .about = "Removes edges whose weight is below the threshold.", .op = &op_edge_prune},
    {"edge.decay", HTTP_POST, "/v1/edges:decay", .service = "reinforcement", SCOPED(TENANT_ADMIN),
     OWN, WRITE, .about = "Removes idle edges that are back at the prior; changes no decision.",
     .op = &op_edge_decay},

    /* ---- memory ---- */
    {"memory.store", HTTP_POST, "/v1/hyphal:store", .service = "memory", SCOPED(MEMORY_WRITE), OWN,
     CREATE, .agent = "agent_id", .label = "write", .quota = "stores",
     .about =
         "Keeps what an agent learned.  An agent nobody registered comes to be with it, without "
         "profile and capabilities: nothing is sent to it until it is registered.",
     .op = &op_memory_store},
    {"memory.batch", HTTP_POST, "/v1/hyphal:batchStore", .service = "memory", SCOPED(MEMORY_WRITE),
     OWN, CREATE, .body_limit = LIMIT_IMPORT_BODY_BYTES, .label = "write", .quota = "stores",
     .about =
         "Keeps up to 256 memories in one transaction: all of them, or none if one is refused, "
         "and then `field` says which.",
     .op = &op_memory_batch},
    {"memory.search", HTTP_POST, "/v1/hyphal:search", .service = "memory", SCOPED(MEMORY_READ), OWN,
     ASK, .label = "read", .quota = "searches",
     .about = "The permitted memories nearest to a vector or a text, or with the words of a query.",
     .op = &op_memory_search},
    {"memory.cleanup", HTTP_POST, "/v1/hyphal:cleanup", .service = "memory", SCOPED(MEMORY_WRITE),
     OWN, WRITE, .about = "Deletes expired memories now rather than in the background.",
     .op = &op_memory_cleanup},
    {"memory.export", HTTP_GET, "/v1/hyphal:export", .service = "memory", SCOPED(MEMORY_READ), OWN,
     READ, .label = "read", .media = JSON_LINES,
     .about = "Memories as lines of JSON (MemoryLine), whole, oldest first; `after` the id of the "
              "last one continues, and no line is the end.",
     .op = &op_memory_export},
    {"memory.import", HTTP_POST, "/v1/hyphal:import", .service = "memory", SCOPED(MEMORY_WRITE),
     OWN, .status = 200, .input = INPUT_BODY, .body_limit = LIMIT_IMPORT_BODY_BYTES,
     .takes = JSON_LINES, .quota = "stores",
     .about = "Takes lines of an export, up to 1,024 in 8 MB; what is there already is left as it "
              "is, so that a repeat adds nothing.",
     .op = &op_memory_import},
    {"memory.page", HTTP_GET, "/v1/hyphal", .service = "memory", SCOPED(MEMORY_READ), OWN, READ,
     .label = "read",
     .about = "Memories newest first, by agent, kind and time; `cursor` continues, whatever is "
              "stored or deleted meanwhile.",
     .op = &op_memory_page},
    {"memory.duplicates", HTTP_GET, "/v1/hyphal:duplicates", .service = "memory",
     SCOPED(MEMORY_READ), OWN, READ, .label = "read",
     .about = "Memories with older ones that are nearly the same, newest first.  A page examines "
              "some dozens and may be empty though `next_cursor` goes on.",
     .op = &op_memory_duplicates},
    {"memory.get", HTTP_GET, "/v1/hyphal/{id}", BY("id"), .service = "memory", SCOPED(MEMORY_READ),
     OWN, READ, .label = "read", .about = "One memory, now or `as_of` a time.",
     .op = &op_memory_get},
    {"memory.update", HTTP_PATCH, "/v1/hyphal/{id}", BY("id"), .service = "memory",
     SCOPED(MEMORY_WRITE), OWN, WRITE, .quota = "stores", .audit = "memory.label",
     .about = "Changes the fields that are named.  Another kind, content, metadata or vector is a "
              "new version; quality, sensitivity and expiry hold for the whole history.",
     .op = &op_memory_update},
    {"memory.history", HTTP_GET, "/v1/hyphal/{id}/history", BY("id"), .service = "memory",
     SCOPED(MEMORY_READ), OWN, READ, .label = "read",
     .about = "All that a memory has said, newest first, under whatever id: 64 versions are kept "
              "beside the one there is.",
     .op = &op_memory_history},
    {"memory.delete", HTTP_DELETE, "/v1/hyphal/{id}", BY("id"), .service = "memory",
     SCOPED(MEMORY_WRITE), OWN, DELETE_IT, .label = "read", .about = "Deletes one memory.",
     .op = &op_memory_delete},
    {"memory.list", HTTP_GET, "/v1/hyphal/agent/{id}", BY("agent_id"), .service = "memory",
     SCOPED(MEMORY_READ), OWN, READ, .label = "read",
     .about = "An agent's memories, newest first; `offset` continues.", .op = &op_memory_list},

    /* ---- identity ---- */
    {"tenant.create", HTTP_POST, "/v1/tenants", .service = "identity", ADMIN, .tenant = WHOSE_BODY,
     CREATE, .audit = "tenant.create", .about = "Makes a tenant.", .op = &op_tenant_create},
    {"tenant.list", HTTP_GET, "/v1/tenants", .service = "identity", ADMIN, .tenant = WHOSE_NONE,
     READ, .about = "All tenants in order of making; `offset` continues.", .op = &op_tenant_list},
    {"tenant.get", HTTP_GET, "/v1/tenants/{id}", BY("id"), .service = "identity",
     SCOPED(TENANTS_READ), .tenant = WHOSE_PATH, READ,
     .about = "One tenant; `me` is the caller's own.", .ignores = "purge", .op = &op_tenant_get},
    {"tenant.replace", HTTP_PUT, "/v1/tenants/{id}", BY("id"), .service = "identity",
     SCOPED(TENANT_ADMIN), .tenant = WHOSE_PATH, WRITE, .audit = "tenant.update",
     .about = "Changes the fields that are named, like PATCH; plan and status take an admin key.",
     .op = &op_tenant_update},
    {"tenant.update", HTTP_PATCH, "/v1/tenants/{id}", BY("id"), .service = "identity",
     SCOPED(TENANT_ADMIN), .tenant = WHOSE_PATH, WRITE, .audit = "tenant.update",
     .about = "Changes the fields that are named; plan and status take an admin key.",
     .op = &op_tenant_update},
    {"tenant.delete", HTTP_DELETE, "/v1/tenants/{id}", BY("id"), .service = "identity", ADMIN,
     .tenant = WHOSE_PATH, DELETE_IT, .audit = "tenant.delete",
     .about = "Blocks a tenant's access at once; `purge` removes its data too.",
     .op = &op_tenant_delete},
    {"tenant.usage", HTTP_GET, "/v1/tenants/{id}/usage", BY("id"), .service = "identity",
     SCOPED(TENANTS_READ), .tenant = WHOSE_PATH, READ,
     .about = "Usage of this hour, quotas and what is left; an absent quota is unlimited.",
     .ignores = "purge", .op = &op_usage},
    {"audit.list", HTTP_GET, "/v1/audit", .service = "identity", SCOPED(TENANT_ADMIN), OWN, READ,
     .about = "The tenant's audit record, oldest first; `after` continues.", .op = &op_audit},

    /* ---- keys ---- */
    {"key.create", HTTP_POST, "/v1/keys", .service = "keys", SCOPED(TENANT_ADMIN),
     .tenant = WHOSE_BODY, CREATE, .audit = "key.create", .absent = "tenant_id",
     .about = "Makes a key; api_key is shown this once.", .op = &op_key_create},
    {"key.list", HTTP_GET, "/v1/keys", .service = "keys", SCOPED(TENANT_ADMIN), OWN, READ,
     .about = "Keys of the caller's tenant, without secrets, in order of making (time, then id); "
              "`offset` continues.",
     .ignores = "tenant_id", .op = &op_key_list},
    {"key.list_of", HTTP_GET, "/v1/keys/{id}", BY("tenant_id"), .service = "keys",
     SCOPED(TENANT_ADMIN), .tenant = WHOSE_PATH, READ,
     .about = "Keys of the tenant named, without secrets, in order of making (time, then id); "
              "`offset` continues.",
     .op = &op_key_list},
    {"key.delete", HTTP_DELETE, "/v1/keys/{id}", BY("id"), .service = "keys", SCOPED(TENANT_ADMIN),
     OWN, DELETE_IT, .audit = "key.revoke", .about = "Revokes a key at once.",
     .op = &op_key_delete},
    {"key.revoke", HTTP_POST, "/v1/keys/{id}:revoke", BY("id"), .service = "keys",
     SCOPED(TENANT_ADMIN), OWN, WRITE, .audit = "key.revoke", .about = "Revokes a key at once.",
     .op = &op_key_revoke},
    {"key.rotate", HTTP_POST, "/v1/keys:rotate", .service = "keys", .access = ACCESS_KEY, OWN,
     WRITE, .audit = "key.rotate", .absent = "key_id",
     .about = "A new secret for the calling key, or another one; the old holds on for a while.",
     .op = &op_key_rotate},
    {"key.validate", HTTP_POST, "/v1/keys:validate", .service = "keys", .access = ACCESS_KEY, OWN,
     ASK, .about = "Whether a key of the caller's tenant holds.", .op = &op_key_validate},

    /* ---- policies ---- */
    {"policy.create", HTTP_POST, "/v1/policies", .service = "policies", SCOPED(TENANT_ADMIN), OWN,
     CREATE, .audit = "policy.create", .about = "Stores a policy.", .op = &op_policy_create},
    {"policy.list", HTTP_GET, "/v1/policies", .service = "policies", SCOPED(POLICIES_READ), OWN,
     READ, .about = "Policies of the caller's tenant in order of making; `offset` continues.",
     .ignores = "tenant_id", .op = &op_policy_array},
    {"policy.list_of", HTTP_GET, "/v1/policies/{id}", BY("tenant_id"), .service = "policies",
     SCOPED(POLICIES_READ), .tenant = WHOSE_PATH, READ,
     .about = "Policies of the tenant named in order of making; `offset` continues.",
     .op = &op_policy_list},
    {"policy.evaluate", HTTP_POST, "/v1/policies:evaluate", .service = "policies",
     SCOPED(POLICIES_READ), OWN, ASK,
     .about = "Asks the enabled policies of a type; what cannot be decided is denied.",
     .op = &op_policy_evaluate},

    /* ---- the node ---- */
    {"health", HTTP_GET, "/health", .service = "*", .access = ACCESS_OPEN, .tenant = WHOSE_NONE,
     READ, .about = "Checks behind the service of the prefix; 503 when one fails.",
     .op = &op_health},
    {"live", HTTP_GET, "/livez", .access = ACCESS_OPEN, .tenant = WHOSE_NONE, READ, .media = JSON,
     .about = "200 while the process answers.", .op = &op_live},
    {"ready", HTTP_GET, "/readyz", .access = ACCESS_OPEN, .tenant = WHOSE_NONE, READ, .media = JSON,
     .about = "200 while calls are served.", .op = &op_ready},
    {"metrics", HTTP_GET, "/metrics", .access = ACCESS_LOCAL, .tenant = WHOSE_NONE, READ,
     .media = EXPOSITION, .about = "The node's numbers in the Prometheus text format.",
     .op = &op_metrics},
    {"openapi", HTTP_GET, "/openapi.json", .access = ACCESS_OPEN, .tenant = WHOSE_NONE, READ,
     .media = JSON, .about = "This document.", .op = &op_openapi},
    {"node.backup", HTTP_POST, "/v1/node:backup", ADMIN, .tenant = WHOSE_NONE, .status = 201,
     .input = INPUT_BODY, .about = "Writes a verified backup into the node's backup directory.",
     .op = &op_backup},
};

const size_t route_count = ARRAY_LEN(routes);
_Static_assert(ARRAY_LEN(routes) <= ROUTES_MAX, "raise ROUTES_MAX");
