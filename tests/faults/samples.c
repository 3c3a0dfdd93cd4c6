/* SPDX-License-Identifier: MIT
 *
 * The table.  A route without a row here fails the test. */
#include "samples.h"

#include "base/attr.h"

#define BROADCAST(more)                                                                            \
    "{\"summary\":\"a need\",\"embedding\":$V,\"source_agent_id\":\"asker\",\"ttl_sec\":3600" more \
    "}"

const struct sample samples[] = {
    /* ---- router ---- */
    {.route = "broadcast",
     .body = BROADCAST(",\"top_k\":1,\"max_hops\":1"),
     .made = "trace_id",
     .found_at = "/v1/traces/%s"},
    {.route = "broadcast",
     .variant = "that travels on",
     .body = BROADCAST(",\"top_k\":1,\"max_hops\":3,\"tool_hints\":[\"sql.explain\"],"
                       "\"snippets\":[\"a\",\"b\"]"),
     .made = "trace_id",
     .found_at = "/v1/traces/%s",
     .holds = "\"hop\":2"},
    {.route = "broadcast",
     .variant = "with an id of its own",
     .body = BROADCAST(",\"id\":\"mine-$N\",\"top_k\":3"),
     .made = "trace_id",
     .found_at = "/v1/traces/%s",
     .holds = "mine-"},
    {.route = "respond",
     .param = "$I",
     .body = "{\"agent_id\":\"helper\",\"content\":{\"answer\":42},\"embedding\":$V}"},
    {.route = "respond",
     .variant = "without a vector",
     .param = "$I",
     .body = "{\"agent_id\":\"helper\",\"content\":{\"answer\":42}}"},
    {.route = "collect",
     .body = "{\"demand_embedding\":$V,\"window_ms\":100,\"agent_id\":\"idler\"}",
     .made = "trace_id",
     .found_at = "/v1/traces/%s",
     .holds = "\"source\":\"response\""},
    {.route = "trace.get", .param = "$R", .needs = "$O", .holds = "\"weight_changes\":[{"},
    {.route = "agent.register",
     .body = "{\"agent_id\":\"agent-$N\",\"capabilities\":[\"a\",\"b\"],\"tools\":[\"c\"],"
             "\"metadata\":{\"k\":[1,2]},\"profile\":{\"embedding\":[0,0,0,0,0,0,1,0],"
             "\"skills\":[\"x\"],\"description\":\"d\"}}",
     .probe = "/v1/agents/agent-$N",
     .probe_text = "\"description\":\"d\""},
    {.route = "agent.register",
     .variant = "again",
     .body = "{\"agent_id\":\"$A\",\"name\":\"named-$N\",\"capabilities\":[\"new\"]}",
     .probe = "/v1/agents/agent-$N",
     .probe_text = "\"name\":\"named-$N\",\"capabilities\":[\"new\"]"},
    {.route = "agent.list", .holds = "\"agent_id\":\"relay\""},
    {.route = "agent.get", .param = "helper", .query = "?embedding=true", .holds = "\"psql\""},
    {.route = "agent.suspend", .param = "$A"},
    {.route = "inbox.pull",
     .param = "helper",
     .needs = "$I",
     .query = "?lease_ms=1000&limit=3&embedding=true",
     .holds = "\"summary\":\"a need\"",
     .leases = true},
    {.route = "inbox.ack", .param = "helper", .body = "{\"nutrient_ids\":[\"$I\"]}"},
    {.route = "inbox.nack", .param = "helper", .body = "{\"nutrient_ids\":[\"$I\"]}", .idle = true},
    {.route = "inbox.nack",
     .variant = "for good",
     .param = "helper",
     .body = "{\"nutrient_ids\":[\"$I\"],\"reject\":true}"},
    {.route = "task.create",
     .body = "{\"title\":\"work\",\"metadata\":{\"k\":1}}",
     .made = "id",
     .found_at = "/v1/tasks/%s"},
    {.route = "task.create",
     .variant = "with an id of its own",
     .body = "{\"id\":\"task-$N\",\"title\":\"work\",\"metadata\":{\"k\":1}}",
     .probe = "/v1/tasks/task-$N",
     .probe_text = "\"metadata\":{\"k\":1}"},
    {.route = "task.list", .holds = "\"title\""},
    {.route = "task.get", .param = "$J"},
    {.route = "task.update",
     .param = "$J",
     .body = "{\"status\":\"running\",\"title\":\"named-$N\"}",
     .probe = "/v1/tasks/$J",
     .probe_text = "\"title\":\"named-$N\",\"status\":\"running\""},

    /* ---- reinforcement ---- */
    {.route = "outcome.record",
     .body = "{\"trace_id\":\"$R\",\"outcome\":{\"score\":0.75,\"metadata\":{\"k\":1}},"
             "\"agent_id\":\"asker\"}",
     .probe = "/v1/traces/$R",
     .probe_text = "\"weight_changes\":[{"},
    {.route = "outcome.record",
     .variant = "that makes an edge",
     .body = "{\"trace_id\":\"$P\",\"outcome_score\":0.75,\"agent_id\":\"$A\"}",
     .probe = "/v1/edges/agent-$N",
     .probe_text = "\"dst\":\"helper\""},
    {.route = "edge.stats"},
    {.route = "edge.top", .holds = "\"src\":\"helper\""},
    {.route = "edge.list", .param = "helper", .holds = "\"dst\":\"relay\""},
    {.route = "edge.prune", .query = "?threshold=2", .needs = "$O"},
    {.route = "edge.decay", .idle = true},

    /* ---- memory ---- */
    {.route = "memory.store",
     .body = "{\"agent_id\":\"helper\",\"kind\":\"insight\",\"content\":{\"n\":\"$N\"},"
             "\"embedding\":$V,\"metadata\":{\"k\":1},\"task_id\":\"t\"}",
     .made = "id",
     .found_at = "/v1/hyphal/%s"},
    {.route = "memory.batch",
     .body =
         "{\"memories\":[{\"agent_id\":\"helper\",\"kind\":\"insight\",\"content\":{\"n\":\"$N\"},"
         "\"embedding\":$V},{\"agent_id\":\"author-$N\",\"kind\":\"kind-$N\",\"content\":{},"
         "\"embedding\":$V},{\"agent_id\":\"author-$N\",\"kind\":\"insight\",\"content\":{},"
         "\"embedding\":$V}]}",
     .made = "id",
     .found_at = "/v1/hyphal/%s"},
    {.route = "memory.search",
     .body = "{\"embedding\":$V,\"top_k\":3,\"kind_filter\":\"insight\",\"filters\":{\"quality\":"
             "{\"$$gt\":0.1}}}",
     .holds = "\"kind\":\"insight\""},
    {.route = "memory.search",
     .variant = "by words, too",
     .body = "{\"embedding\":$V,\"query\":\"insight\",\"explain\":true,"
             "\"ranking\":{\"quality\":0.5,\"recency\":{}}}",
     .holds = "\"terms\":[{\"word\":\"insight\""},
    {.route = "memory.cleanup", .idle = true},
    {.route = "memory.export", .query = "?history=true", .holds = "\"insight\""},
    {.route = "memory.import",
     .body =
         "{\"id\":\"me_00d243p1sasvyy09saghkhpp8v4f3bqj8ehp\",\"agent_id\":\"author-$N\",\"kind\":"
         "\"kind-$N\",\"content\":{},\"quality\":1,\"created_at\":\"2026-01-01T00:00:00Z\","
         "\"embedding_b64\":\"AAAA\"}",
     .idle = true},
    {.route = "memory.page", .query = "?limit=5&kind=insight", .holds = "\"insight\""},
    {.route = "memory.page", .variant = "as it was", .query = "?as_of=2100-01-01T00:00:00Z"},
    {.route = "memory.duplicates", .query = "?threshold=0.5"},
    {.route = "memory.get", .param = "$M"},
    {.route = "memory.get",
     .variant = "as it was",
     .param = "$M",
     .query = "?as_of=2100-01-01T00:00:00Z"},
    {.route = "memory.update",
     .param = "$M",
     .body = "{\"content\":{\"n\":\"$N\"},\"kind\":\"kind-$N\",\"embedding\":$V,\"sensitivity\":"
             "\"public\",\"ttl_hours\":null}",
     .probe = "/v1/hyphal/$M/history",
     .probe_text = "\"version\":2"},
    {.route = "memory.history", .param = "$M", .holds = "\"version\":1"},
    {.route = "memory.delete", .param = "$M"},
    {.route = "memory.list", .param = "helper", .query = "?limit=5", .holds = "\"insight\""},

    /* ---- identity ---- */
    {.route = "tenant.create",
     .body = "{\"id\":\"made-$N\",\"name\":\"made\",\"metadata\":{\"k\":1}}",
     .admin = true,
     .probe = "/v1/tenants/made-$N",
     .probe_text = "\"metadata\":{\"k\":1}"},
    {.route = "tenant.list", .admin = true},
    {.route = "tenant.get", .param = "$T"},
    {.route = "tenant.replace",
     .param = "$T",
     .body = "{\"name\":\"named-$N\"}",
     .probe = "/v1/tenants/$T",
     .probe_text = "\"name\":\"named-$N\""},
    {.route = "tenant.update",
     .param = "$T",
     .body = "{\"name\":\"named-$N\",\"metadata\":{\"n\":\"$N\"}}",
     .probe = "/v1/tenants/$T",
     .probe_text = "\"metadata\":{\"n\":\"$N\"}"},
    {.route = "tenant.delete", .param = "$D", .admin = true},
    {.route = "tenant.usage", .param = "$T"},
    {.route = "audit.list", .holds = "\"seq\":1"},

    /* ---- keys ---- */
    {.route = "key.create",
     .body = "{\"scopes\":[\"inbox\"],\"name\":\"n\",\"agent_ids\":[\"a\"]}"},
    {.route = "key.list", .holds = "\"tenant:admin\""},
    {.route = "key.list_of", .param = "$T"},
    {.route = "key.delete", .param = "$K"},
    {.route = "key.revoke", .param = "$K"},
    {.route = "key.rotate", .body = "{\"key_id\":\"$K\"}"},
    {.route = "key.validate", .body = "{\"api_key\":\"$S\"}", .holds = "\"valid\":true"},

    /* ---- policies ---- */
    {.route = "policy.create",
     .body = "{\"name\":\"p\",\"policy_type\":\"dlp\",\"rules\":{\"max_sensitivity\":"
             "\"internal\"},\"enabled\":false}"},
    {.route = "policy.list", .holds = "\"dlp\""},
    {.route = "policy.list_of", .param = "$T"},
    {.route = "policy.evaluate",
     .body = "{\"policy_type\":\"dlp\",\"context\":{\"content\":\"x\"},\"resource\":"
             "{\"sensitivity\":\"public\"}}"},

    /* ---- the node ---- */
    {.route = "health"},
    {.route = "live"},
    {.route = "ready"},
    {.route = "metrics", .varies = true},
    {.route = "openapi"},
    {.route = "node.backup",
     .body = "{\"path\":\"b-$N.db\"}",
     .admin = true,
     .idle = true,
     .on_disk = true},
};

const size_t sample_count = ARRAY_LEN(samples);
