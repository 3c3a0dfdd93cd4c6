/* SPDX-License-Identifier: MIT
 *
 * The command table. */
#include "cli_priv.h"

static const char *const labels[] = {"public", "internal", "confidential", "secret", NULL};
static const char *const search_modes[] = {"vector", "words", "hybrid", NULL};
static const char *const plans[] = {"free", "pro", "enterprise", NULL};
static const char *const tenant_states[] = {"active", "suspended", "deleted", NULL};
static const char *const agent_states[] = {"active", "suspended", NULL};
static const char *const policy_types[] = {"dlp",        "rbac",           "abac",
                                           "rate_limit", "content_filter", NULL};
static const char *const shells[] = {"bash", "zsh", "fish", NULL};
static const char *const scopes[] = {"admin",
                                     "tenant:admin",
                                     "nutrients:write",
                                     "inbox",
                                     "contexts:read",
                                     "agents:read",
                                     "agents:write",
                                     "outcomes:write",
                                     "edges:read",
                                     "memory:read",
                                     "memory:write",
                                     "traces:read",
                                     "tasks:read",
                                     "tasks:write",
                                     "policies:read",
                                     "tenants:read",
                                     NULL};
static const char *const bench_words[] = {"broadcast", "broadcast-b64", "collect", "collect-window",
                                          "outcomes",  "overload",      "idle",    NULL};

/* clang-format off */
const struct cli_option cli_common_options[] = {
    {"url", "URL", NULL, "the node (QMN_URL; default http://127.0.0.1:8022)", NULL},
    {"key-file", "FILE", NULL, "file with the API key (QMN_API_KEY_FILE; default var/data/admin-key, then ~/.config/qmn/key)", NULL},
    {"key", "KEY", NULL, "the API key itself (better: QMN_API_KEY or a file)", NULL},
    {"tenant", "ID", NULL, "act for this tenant (QMN_TENANT_ID; needs an admin key)", NULL},
    {"json", NULL, NULL, "print the node's answer as it came", NULL},
    {"timeout", "SECONDS", NULL, "give up after so long (30)", NULL},
    {"no-color", NULL, NULL, "no colours (NO_COLOR does the same)", NULL},
    {"version", NULL, NULL, "print the version", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

#define END {NULL, NULL, NULL, NULL, NULL}

static const struct cli_option broadcast_options[] = {
    {"agent", "AGENT", "source_agent_id", "who broadcasts (default: the key's agent)", NULL},
    {"hint", "WORD", "tool_hints", "a tool or capability it is about; may be repeated", NULL},
    {"snippet", "TEXT", "snippets", "a piece of content to carry along; may be repeated", NULL},
    {"sensitivity", "LABEL", "sensitivity", "public, internal, confidential or secret", labels},
    {"ttl-sec", "N", "ttl_sec", "how long it lives, 1 to 3600 (180)", NULL},
    {"top-k", "N", "top_k", "how many agents to ask, 1 to 50 (3)", NULL},
    {"max-hops", "N", "max_hops", "how far it may travel, 1 to 10 (3)", NULL},
    {"min-score", "X", "min_score", "ask nobody below this score", NULL},
    {"task", "ID", "trace_task_id", "the piece of work it belongs to", NULL},
    {"id", "ID", "id", "your own id; the same id and content is sent once", NULL}, END};
static const struct cli_option inbox_options[] = {
    {"follow", NULL, NULL, "keep listening and print what arrives", NULL},
    {"limit", "N", NULL, "at most so many (10)", NULL},
    {"wait", "SECONDS", NULL, "wait so long for the first one, up to 25 (0)", NULL},
    {"lease", "SECONDS", NULL, "keep what was read from others so long (30)", NULL},
    {"ack", NULL, NULL, "acknowledge what was printed", NULL}, END};
static const struct cli_option nack_options[] = {
    {"reject", NULL, "reject", "never offer it again", NULL},
    {"delay-ms", "N", "delay_ms", "offer it again after so long (0)", NULL}, END};
static const struct cli_option respond_options[] = {
    {"agent", "AGENT", "agent_id", "who responds (default: the key's agent)", NULL},
    {"content", "JSON", "content", "a JSON object in place of words", NULL},
    {"quality", "X", "quality", "how sure you are, 0 to 1 (0.5)", NULL},
    {"sensitivity", "LABEL", "sensitivity", "at least the nutrient's", labels},
    {"match-words", NULL, NULL, "find it by its own words, not by the nutrient's", NULL}, END};
static const struct cli_option collect_options[] = {
    {"agent", "AGENT", "agent_id", "who asks (default: the key's agent)", NULL},
    {"window-ms", "N", "window_ms", "wait at most so long for those still busy, 100 to 5000 (300)", NULL},
    {"top-k", "N", "top_k", "how many pieces, 1 to 50 (5)", NULL},
    {"min-similarity", "X", "min_similarity", "leave out what is less similar (0.1, or 0.3 of the best)", NULL},
    {"task", "ID", "trace_task_id", "the piece of work it belongs to", NULL}, END};
static const struct cli_option outcome_options[] = {
    {"agent", "AGENT", "agent_id", "who rates (default: the key's agent)", NULL},
    {"hop", "AGENT=SCORE", NULL, "a score of its own for one agent; may be repeated", NULL}, END};
static const struct cli_option register_options[] = {
    {"about", "TEXT", NULL, "what the agent is good at; routing compares nutrients with it", NULL},
    {"name", "TEXT", "name", "a name for people", NULL},
    {"capability", "WORD", "capabilities", "what it can do; may be repeated", NULL},
    {"tool", "WORD", "tools", "what it works with; may be repeated", NULL},
    {"skill", "WORD", NULL, "what it knows; may be repeated", NULL},
    {"region", "NAME", "region", "where it runs", NULL},
    {"clearance", "LABEL", "clearance", "the highest label it may see (internal)", labels},
    {"metadata", "JSON", "metadata", "anything else, a JSON object", NULL}, END};
static const struct cli_option agent_list_options[] = {
    {"status", "STATUS", "status_filter", "active or suspended", agent_states},
    {"capability", "WORD", "capability", "only those that can do this", NULL},
    {"limit", "N", "limit", "at most so many (100)", NULL},
    {"after", "AGENT", "after", "go on behind this one", NULL}, END};
static const struct cli_option limit_options[] = {
    {"limit", "N", "limit", "at most so many", NULL}, END};
static const struct cli_option prune_options[] = {
    {"threshold", "X", "threshold", "remove edges below this weight (0.05)", NULL}, END};
static const struct cli_option store_options[] = {
    {"agent", "AGENT", "agent_id", "whose memory it is (default: the key's agent)", NULL},
    {"kind", "WORD", "kind", "insight, preference, plan, ... (note)", NULL},
    {"content", "JSON", "content", "a JSON object in place of words", NULL},
    {"quality", "X", "quality", "0 to 1 (0.5)", NULL},
    {"sensitivity", "LABEL", "sensitivity", "who may find it (internal)", labels},
    {"ttl-hours", "N", "ttl_hours", "forget it after so long", NULL},
    {"task", "ID", "task_id", "the piece of work it belongs to", NULL},
    {"supersedes", "MEMORY", "supersedes", "takes its place and its history", NULL},
    {"metadata", "JSON", "metadata", "anything else, a JSON object", NULL}, END};
static const char *const clearable[] = {"metadata", "ttl_hours", NULL};
static const struct cli_option memory_update_options[] = {
    {"kind", "WORD", "kind", "insight, preference, plan, ...", NULL},
    {"content", "JSON", "content", "a JSON object in place of words", NULL},
    {"quality", "X", "quality", "0 to 1", NULL},
    {"sensitivity", "LABEL", "sensitivity", "who may find it, and all it ever said", labels},
    {"ttl-hours", "N", "ttl_hours", "forget it so long from now", NULL},
    {"metadata", "JSON", "metadata", "anything else, a JSON object", NULL},
    {"clear", "FIELD", "cleared", "take away metadata, or ttl_hours: keep it for ever", clearable}, END};
static const struct cli_option memory_browse_options[] = {
    {"agent", "AGENT", "agent_id", "only this agent's", NULL},
    {"kind", "WORD", "kind", "only this kind", NULL},
    {"from", "TIME", "created_from", "not made before this", NULL},
    {"to", "TIME", "created_to", "made before this", NULL},
    {"as-of", "TIME", "as_of", "what they said then", NULL},
    {"limit", "N", "limit", "at most so many (100)", NULL},
    {"cursor", "CURSOR", "cursor", "go on where a page ended", NULL}, END};
static const struct cli_option memory_duplicates_options[] = {
    {"threshold", "X", "threshold", "from which cosine on, .5 to 1 (0.95)", NULL},
    {"agent", "AGENT", "agent_id", "only this agent's", NULL},
    {"kind", "WORD", "kind", "only this kind", NULL},
    {"limit", "N", "limit", "at most so many groups (100)", NULL},
    {"cursor", "CURSOR", "cursor", "go on where a page ended", NULL}, END};
static const struct cli_option memory_export_options[] = {
    {"history", NULL, "history", "what they said before, too", NULL},
    {"agent", "AGENT", "agent_id", "only this agent's", NULL},
    {"kind", "WORD", "kind", "only this kind", NULL}, END};
static const struct cli_option memory_show_options[] = {
    {"as-of", "TIME", "as_of", "as it was then, such as 2026-11-23T00:51:39Z", NULL}, END};
static const struct cli_option search_options[] = {
    {"mode", "MODE", "mode", "words, vector or hybrid (default: by what the tenant's vectors allow)", search_modes},
    {"explain", NULL, NULL, "say why each was found", NULL},
    {"exact", NULL, NULL, "look at every vector, whatever it takes", NULL},
    {"top-k", "N", "top_k", "how many, 1 to 100 (10)", NULL},
    {"min-quality", "X", "min_quality", "leave out what is worse", NULL},
    {"kind", "WORD", "kind_filter", "only this kind", NULL},
    {"agent", "AGENT", "agent_filter", "only this agent's", NULL},
    {"filter", "JSON", "filters", "such as '{\"quality\": {\"$gt\": 0.7}}'", NULL}, END};
static const struct cli_option memory_list_options[] = {
    {"kind", "WORD", "kind", "only this kind", NULL},
    {"limit", "N", "limit", "at most so many (100)", NULL},
    {"offset", "N", "offset", "leave out the newest so many", NULL}, END};
static const struct cli_option tenant_create_options[] = {
    {"name", "TEXT", "name", "a name for people (default: the id)", NULL},
    {"plan", "PLAN", "plan_tier", "free, pro or enterprise", plans},
    {"dim", "N", "embedding_dim", "dimension of its vectors (default: at first use)", NULL},
    {"metadata", "JSON", "metadata", "anything else, a JSON object", NULL}, END};
static const struct cli_option tenant_list_options[] = {
    {"all", NULL, NULL, "deleted ones too", NULL},
    {"status", "STATUS", "status_filter", "active, suspended or deleted", tenant_states},
    {"plan", "PLAN", "plan_tier", "free, pro or enterprise", plans},
    {"limit", "N", "limit", "at most so many (100)", NULL},
    {"offset", "N", "offset", "leave out the first so many", NULL}, END};
static const struct cli_option tenant_update_options[] = {
    {"name", "TEXT", "name", "a name for people", NULL},
    {"plan", "PLAN", "plan_tier", "free, pro or enterprise", plans},
    {"status", "STATUS", "status", "active or suspended", tenant_states},
    {"metadata", "JSON", "metadata", "anything else, a JSON object", NULL}, END};
static const struct cli_option tenant_delete_options[] = {
    {"purge", NULL, "purge", "its data goes at once, for good", NULL},
    {"yes", NULL, NULL, "do not ask", NULL}, END};
static const struct cli_option key_create_options[] = {
    {"for", "TENANT", "tenant_id", "whose key it is (default: the caller's tenant)", NULL},
    {"name", "TEXT", "name", "a name for people", NULL},
    {"scope", "SCOPE", "scopes", "what it may do; may be repeated (default: what agents need)", scopes},
    {"agent", "AGENT", "agent_ids", "only as this agent; may be repeated", NULL},
    {"clearance", "LABEL", "clearance", "the highest label it may see (internal)", labels},
    {"rate", "N", "rate_limit_per_minute", "requests a minute (1000)", NULL},
    {"days", "N", "expires_in_days", "expires after so many days", NULL}, END};
static const struct cli_option key_list_options[] = {
    {"limit", "N", "limit", "at most so many (1000)", NULL},
    {"offset", "N", "offset", "leave out the first so many", NULL}, END};
static const struct cli_option rotate_options[] = {
    {"grace-sec", "N", "grace_period_sec", "the old key works so much longer (3600)", NULL}, END};
static const struct cli_option task_create_options[] = {
    {"id", "ID", "id", "your own id for it", NULL},
    {"metadata", "JSON", "metadata", "anything else, a JSON object", NULL}, END};
static const struct cli_option task_list_options[] = {
    {"status", "STATUS", "status", "only these", NULL},
    {"limit", "N", "limit", "at most so many (100)", NULL}, END};
static const struct cli_option task_update_options[] = {
    {"title", "TEXT", "title", "a new title", NULL},
    {"status", "STATUS", "status", "a new status", NULL},
    {"outcome", "X", "outcome", "how it went, 0 to 1", NULL},
    {"metadata", "JSON", "metadata", "anything else, a JSON object", NULL}, END};
static const struct cli_option policy_create_options[] = {
    {"type", "TYPE", "policy_type", "dlp, rbac, abac, rate_limit or content_filter", policy_types},
    {"rules", "JSON", "rules", "a JSON object", NULL},
    {"description", "TEXT", "description", "what it is for", NULL}, END};
static const struct cli_option policy_list_options[] = {
    {"type", "TYPE", "policy_type", "only these", policy_types},
    {"limit", "N", "limit", "at most so many (1000)", NULL},
    {"offset", "N", "offset", "leave out the first so many", NULL}, END};
static const struct cli_option policy_evaluate_options[] = {
    {"type", "TYPE", "policy_type", "dlp, rbac, abac, rate_limit or content_filter", policy_types},
    {"context", "JSON", "context", "what to judge, a JSON object", NULL},
    {"subject", "JSON", "subject", "who", NULL},
    {"resource", "JSON", "resource", "on what", NULL},
    {"action", "WORD", "action", "does what", NULL}, END};
static const struct cli_option audit_options[] = {
    {"after", "N", "after", "entries behind this number", NULL},
    {"limit", "N", "limit", "at most so many (100)", NULL}, END};
static const struct cli_option restore_options[] = {
    {"data-dir", "DIR", NULL, "data directory of the stopped node", NULL},
    {"daemon", "FILE", NULL, "the qmnd to use (default: beside qmn, then PATH)", NULL}, END};
static const struct cli_option bootstrap_options[] = {
    {"data-dir", "DIR", NULL, "data directory of the node, which must not be running", NULL},
    {"new-admin-key", NULL, NULL, "make another admin key, if all are lost; the other keys stay valid", NULL},
    {"new-pepper", NULL, NULL, "if the pepper file is lost: end all keys and make an admin key", NULL},
    {"daemon", "FILE", NULL, "the qmnd to use (default: beside qmn, then PATH)", NULL}, END};
static const struct cli_option bench_options[] = {
    {"seconds", "N", NULL, "length of a run (10)", NULL},
    {"connections", "N", NULL, "open connections (64; collect and collect-window 16, store-batch 8, search 4, overload 6000)", NULL},
    {"rate", "N", NULL, "so many requests a second, 0: as fast as it goes (0; collect 50); overload: what counts as capacity, 0: measured", NULL},
    {"agents", "N", NULL, "agents in the network (1000)", NULL},
    {"dim", "N", NULL, "dimension of the vectors (1536)", NULL},
    {"pid", "PID", NULL, "process of the node, to read its processor time and memory", NULL},
    {"memories", "N", NULL, "stored before: store and store-batch 0, search 100000", NULL},
    {"keep", NULL, NULL, "keep the tenant it made", NULL}, END};

static const struct cli_option demo_options[] = {
    {"once", NULL, NULL, "not if this node has had one", NULL}, END};

#define EXAMPLES(...) (const char *const[]){__VA_ARGS__, NULL}
#define NO_EXAMPLES NULL

const struct cli_command cli_commands[] = {
    {NULL, "broadcast", "TEXT...", 1, -1, "offer context to the agents most likely to help", cmd_broadcast, broadcast_options,
     EXAMPLES("qmn broadcast \"checkout times out after the cache upgrade\" --agent oncall --hint redis",
              "git log -1 | qmn broadcast - --agent ci --sensitivity internal")},
    {NULL, "inbox", "AGENT", 1, 1, "read what arrived for an agent", cmd_inbox, inbox_options,
     EXAMPLES("qmn inbox planner --wait 20", "qmn inbox planner --follow --ack --json | jq .summary")},
    {NULL, "ack", "AGENT NUTRIENT...", 2, -1, "acknowledge nutrients: done with them", cmd_ack, NULL,
     EXAMPLES("qmn ack planner nu_06e4...")},
    {NULL, "nack", "AGENT NUTRIENT...", 2, -1, "give nutrients back", cmd_nack, nack_options,
     EXAMPLES("qmn nack planner nu_06e4... --delay-ms 5000", "qmn nack planner nu_06e4... --reject")},
    {NULL, "respond", "NUTRIENT [TEXT...]", 1, -1, "answer a nutrient", cmd_respond, respond_options,
     EXAMPLES("qmn respond nu_06e4... \"raise the pool size to 200\" --agent dba --quality 0.9",
              "qmn respond nu_06e4... --agent dba --content '{\"text\": \"see\", \"runbook\": \"db/42\"}'")},
    {NULL, "collect", "TEXT...", 1, -1, "gather answers and memories for a need", cmd_collect, collect_options,
     EXAMPLES("qmn collect \"why does checkout time out\" --agent oncall --window-ms 2000")},
    {NULL, "outcome", "TRACE SCORE", 2, 2, "say how useful it was, 0 to 1: the network learns", cmd_outcome, outcome_options,
     EXAMPLES("qmn outcome tr_06e4... 0.9 --agent oncall", "qmn outcome tr_06e4... 0.2 --agent oncall --hop dba=1")},
    {NULL, "trace", "TRACE", 1, 1, "show a decision: who was asked and why", cmd_trace, NULL,
     EXAMPLES("qmn trace tr_06e4...")},

    {"agent", "register", "AGENT", 1, 1, "register an agent, or change what is named of it", cmd_agent_register, register_options,
     EXAMPLES("qmn agent register dba --about \"tunes postgres, reads query plans\" --capability sql")},
    {"agent", "list", "", 0, 0, "list agents", cmd_agent_list, agent_list_options,
     EXAMPLES("qmn agent list --capability sql")},
    {"agent", "show", "AGENT", 1, 1, "show one agent", cmd_agent_show, NULL, NO_EXAMPLES},
    {"agent", "suspend", "AGENT", 1, 1, "suspend an agent; its inbox is emptied", cmd_agent_suspend, NULL, NO_EXAMPLES},

    {"edges", "top", "", 0, 0, "the strongest edges", cmd_edges_top, limit_options, EXAMPLES("qmn edges top --limit 20")},
    {"edges", "of", "AGENT", 1, 1, "the edges that leave an agent", cmd_edges_of, limit_options, NO_EXAMPLES},
    {"edges", "stats", "", 0, 0, "count and spread of weights", cmd_edges_stats, NULL, NO_EXAMPLES},
    {"edges", "prune", "", 0, 0, "remove weak edges", cmd_edges_prune, prune_options, EXAMPLES("qmn edges prune --threshold 0.1")},
    {"edges", "decay", "", 0, 0, "remove idle edges that are back at the prior", cmd_edges_decay, NULL, NO_EXAMPLES},

    {"memory", "store", "[TEXT...]", 0, -1, "remember something", cmd_memory_store, store_options,
     EXAMPLES("qmn memory store \"deploys on Friday need two reviewers\" --agent ops --kind rule --quality 0.8")},
    {"memory", "search", "TEXT...", 1, -1, "find memories by words and by nearness to a text", cmd_memory_search, search_options,
     EXAMPLES("qmn memory search \"friday deploys\" --filter '{\"quality\": {\"$gt\": 0.5}}'",
              "qmn memory search ECONNRESET --mode words --explain")},
    {"memory", "list", "AGENT", 1, 1, "an agent's memories, newest first", cmd_memory_list, memory_list_options, NO_EXAMPLES},
    {"memory", "browse", NULL, 0, 0, "memories of all agents, newest first, a page at a time", cmd_memory_browse, memory_browse_options,
     EXAMPLES("qmn memory browse --kind rule --from 2026-11-01T00:00:00Z")},
    {"memory", "duplicates", NULL, 0, 0, "memories with older ones that are nearly the same, a page at a time", cmd_memory_duplicates, memory_duplicates_options,
     EXAMPLES("qmn memory duplicates --threshold 0.9 --kind rule")},
    {"memory", "show", "MEMORY", 1, 1, "show one memory", cmd_memory_show, memory_show_options, NO_EXAMPLES},
    {"memory", "update", "MEMORY [TEXT...]", 1, -1, "change what it says or how it is treated", cmd_memory_update, memory_update_options,
     EXAMPLES("qmn memory update me_00... \"deploys on Friday need three reviewers\"")},
    {"memory", "history", "MEMORY", 1, 1, "all that a memory has said, newest first", cmd_memory_history, NULL, NO_EXAMPLES},
    {"memory", "export", "[FILE]", 0, 1, "write memories as lines of JSON, vectors and all", cmd_memory_export, memory_export_options,
     EXAMPLES("qmn memory export --history memories.jsonl")},
    {"memory", "import", "[FILE]", 0, 1, "read what export wrote; what is there already stays", cmd_memory_import, NULL, NO_EXAMPLES},
    {"memory", "delete", "MEMORY", 1, 1, "delete one memory", cmd_memory_delete, NULL, NO_EXAMPLES},
    {"memory", "cleanup", "", 0, 0, "delete what has expired now", cmd_memory_cleanup, NULL, NO_EXAMPLES},

    {"task", "create", "[TITLE...]", 0, -1, "begin a piece of work", cmd_task_create, task_create_options, NO_EXAMPLES},
    {"task", "list", "", 0, 0, "list tasks, newest first", cmd_task_list, task_list_options, NO_EXAMPLES},
    {"task", "show", "TASK", 1, 1, "show one task", cmd_task_show, NULL, NO_EXAMPLES},
    {"task", "update", "TASK", 1, 1, "change a task", cmd_task_update, task_update_options,
     EXAMPLES("qmn task update release-7 --outcome 0.8")},

    {"node", "status", "", 0, 0, "is it there, and what does it do", cmd_node_status, NULL, NO_EXAMPLES},
    {"node", "health", "[SERVICE]", 0, 1, "the checks behind its health", cmd_node_health, NULL, EXAMPLES("qmn node health memory")},
    {"node", "metrics", "", 0, 0, "all its numbers (Prometheus text)", cmd_node_metrics, NULL, NO_EXAMPLES},

    {"tenant", "create", "TENANT", 1, 1, "create a tenant", cmd_tenant_create, tenant_create_options,
     EXAMPLES("qmn tenant create acme --name \"Acme Corp\" --plan pro --dim 1024")},
    {"tenant", "list", "", 0, 0, "list tenants, the oldest first", cmd_tenant_list, tenant_list_options, NO_EXAMPLES},
    {"tenant", "show", "[TENANT]", 0, 1, "show a tenant (default: the key's own)", cmd_tenant_show, NULL, NO_EXAMPLES},
    {"tenant", "update", "TENANT", 1, 1, "change a tenant", cmd_tenant_update, tenant_update_options, NO_EXAMPLES},
    {"tenant", "delete", "TENANT", 1, 1, "close a tenant", cmd_tenant_delete, tenant_delete_options, NO_EXAMPLES},
    {"tenant", "usage", "[TENANT]", 0, 1, "what it used this hour, and its quota", cmd_tenant_usage, NULL, NO_EXAMPLES},

    {"key", "create", "", 0, 0, "make an API key; it is shown once", cmd_key_create, key_create_options,
     EXAMPLES("qmn key create --for acme --scope nutrients:write --scope inbox --agent planner --days 90")},
    {"key", "list", "[TENANT]", 0, 1, "list keys, the oldest first", cmd_key_list, key_list_options, NO_EXAMPLES},
    {"key", "rotate", "[KEY]", 0, 1, "replace a key (default: the one in use)", cmd_key_rotate, rotate_options, NO_EXAMPLES},
    {"key", "revoke", "KEY", 1, 1, "end a key at once", cmd_key_revoke, NULL, NO_EXAMPLES},
    {"key", "check", "", 0, 0, "check a key read from standard input", cmd_key_check, NULL, EXAMPLES("qmn key check < key.txt")},

    {"policy", "create", "NAME", 1, 1, "store a policy", cmd_policy_create, policy_create_options,
     EXAMPLES("qmn policy create labels --type dlp --rules '{\"max_sensitivity\": \"internal\"}'")},
    {"policy", "list", "", 0, 0, "list policies, the oldest first", cmd_policy_list, policy_list_options, NO_EXAMPLES},
    {"policy", "evaluate", "", 0, 0, "what would the policies say", cmd_policy_evaluate, policy_evaluate_options,
     EXAMPLES("qmn policy evaluate --type dlp --resource '{\"sensitivity\": \"secret\"}'")},
    {NULL, "audit", "", 0, 0, "who changed what", cmd_audit, audit_options, NO_EXAMPLES},
    {NULL, "backup", "[NAME]", 0, 1, "a consistent copy while the node runs", cmd_backup, NULL, EXAMPLES("qmn backup before-upgrade.db")},
    {NULL, "restore", "FILE", 1, 1, "put a backup in place (the node must be stopped)", cmd_restore, restore_options,
     EXAMPLES("qmn restore var/data/backups/before-upgrade.db --data-dir var/data")},
    {NULL, "bootstrap", "", 0, 0, "make the first admin key on the node, before its first start", cmd_bootstrap, bootstrap_options,
     EXAMPLES("qmn bootstrap --data-dir /var/lib/qmn", "qmn bootstrap --new-admin-key --data-dir /var/lib/qmn")},

    {NULL, "demo", "", 0, 0, "a first exchange between a dozen agents, in a tenant of its own", cmd_demo, demo_options,
     EXAMPLES("qmn demo", "qmn demo --tenant try-it")},
    {NULL, "bench", "[SCENARIO...]", 0, -1, "measure the node: broadcast, broadcast-b64, collect, collect-window, outcomes, overload, store, store-batch, search, idle", cmd_bench, bench_options,
     EXAMPLES("qmn bench broadcast --seconds 30 --pid $(cat var/qmnd.pid)")},
    {NULL, "completion", "SHELL", 1, 1, "print completions for bash, zsh or fish", cmd_completion, NULL,
     EXAMPLES("qmn completion bash > /etc/bash_completion.d/qmn")},
    {NULL, "help", "[COMMAND...]", 0, 2, "explain a command", cmd_help, NULL, NO_EXAMPLES},
};
/* clang-format on */
const size_t cli_command_count = ARRAY_LEN(cli_commands);

const char *const *cli_argument_words(const struct cli_command *k)
{
    if (k->run == cmd_completion)
        return shells;
    return k->run == cmd_bench ? bench_words : NULL;
}
