/* SPDX-License-Identifier: MIT
 *
 * See fake_engine.h.  Each function copies its inputs (they die with the request) and fills its
 * output from samples that name themselves. */
#include "fake_engine.h"

#include <stdio.h>

#include "model/textlist.h"

struct fake_engine fake;

static struct call *held_call;

void fake_engine_reset(void)
{
    fake = (struct fake_engine){.scopes = ~SCOPE_BIT(SCOPE_ADMIN)};
    held_call = NULL;
}

/* ---- noting ---- */

static size_t texts, numbers;

static void note(const char *call, struct call *c)
{
    fake.call = call;
    fake.calls++;
    fake.idempotency = c->idempotency;
    snprintf(fake.idempotency_value, sizeof fake.idempotency_value, "%.*s",
             BYTES_FMT(c->idempotency.value));
    memset(fake.text, 0, sizeof fake.text);
    memset(fake.number, 0, sizeof fake.number);
    texts = numbers = 0;
}

static void note_text(struct bytes b)
{
    snprintf(fake.text[texts++ % 16], sizeof fake.text[0], "%s%.*s", b.ptr ? "" : "(none)",
             BYTES_FMT(b));
}

/* "a|b|" */
static void note_list(struct bytes list)
{
    char *to = fake.text[texts++ % 16];
    struct bytes one;
    size_t used = 0;
    while (textlist_next(&list, &one) && used < sizeof fake.text[0])
        used += (size_t)snprintf(to + used, sizeof fake.text[0] - used, "%.*s|", BYTES_FMT(one));
}

static void note_number(double v)
{
    fake.number[numbers++ % 16] = v;
}

static void note_vector(const struct vector_in *v)
{
    note_number((double)v->dim);
    note_number(v->values ? (double)v->values[0] : -1);
    note_text(v->text);
}

static void finish_now(struct call *c)
{
    c->code = fake.fail.code;
    c->err = fake.fail;
    c->replayed = fake.replay;
    c->done(c);
}

static void finish(struct call *c)
{
    if (!fake.hold) {
        finish_now(c);
        return;
    }
    held_call = c;
    fake.held = c;
}

void fake_engine_release(void)
{
    struct call *c = held_call;
    held_call = fake.held = NULL;
    if (c)
        finish_now(c);
}

/* ---- who calls ---- */

const char *scope_name(enum scope s)
{
    static const char *const names[] = {
#define NAME(name, text) text,
        ENGINE_SCOPES(NAME)
#undef NAME
    };
    return (unsigned)s < SCOPE_COUNT ? names[s] : "";
}

enum qmn_code engine_authenticate(struct engine *e, struct bytes key_text, struct bytes tenant,
                                  struct arena *arena, struct caller *ret, struct err *err)
{
    (void)e;
    (void)arena;
    fake.authentications++;
    snprintf(fake.tenant_header, sizeof fake.tenant_header, "%.*s", BYTES_FMT(tenant));
    if (fake.auth.code != QMN_OK) {
        *err = fake.auth;
        return fake.auth.code;
    }
    bool admin = bytes_is(key_text, FAKE_ADMIN_KEY);
    if (!admin && !bytes_is(key_text, FAKE_KEY))
        return err_set(err, QMN_E_UNAUTHENTICATED, "unknown key");
    *ret = (struct caller){.tenant_no = 1,
                           .tenant_id = BYTES_LIT(FAKE_TENANT),
                           .home_tenant_no = 1,
                           .key_id = BYTES_LIT("k1"),
                           .scopes = admin ? ~0u : fake.scopes,
                           .limit_per_minute = 600,
                           .limit_remaining = 99,
                           .limit_reset_s = 7};
    return QMN_OK;
}

void engine_audit_denied(struct engine *e, const struct caller *caller, struct bytes action,
                         const char *why)
{
    (void)e;
    (void)caller;
    (void)why;
    fake.denials++;
    snprintf(fake.denied_action, sizeof fake.denied_action, "%.*s", BYTES_FMT(action));
}

enum qmn_code engine_ready(struct engine *e, struct err *err)
{
    (void)e;
    *err = fake.ready;
    return fake.ready.code;
}

uint32_t engine_health(struct engine *e, const char *service, struct health_check ret[8])
{
    (void)e;
    snprintf(fake.text[0], sizeof fake.text[0], "%s", service);
    ret[0] = (struct health_check){.name = "store", .ok = true};
    ret[1] = (struct health_check){.name = "disk", .ok = !fake.sick, .text = "12 bytes left"};
    return 2;
}

void engine_backup(struct engine *e, struct call *c, struct bytes name, struct backup_out *out)
{
    (void)e;
    note("engine_backup", c);
    note_text(name);
    *out = (struct backup_out){
        .path = "backups/one", .bytes = 4096, .rows = 12, .created_ms = 1700000000000};
    finish(c);
}

/* ---- nutrients ---- */

static const struct hop_out hops[] = {
    {.agent_id = {"a1", 2},
     .from_agent_id = {"src", 3},
     .hop = 1,
     .capabilities = 2,
     .score = 0.5f,
     .similarity = 0.25f,
     .weight = 0.75f,
     .demand = 0.125f,
     .propensity = 0.5f},
    {.agent_id = {"a2", 2}, .from_agent_id = {"a1", 2}, .hop = 2, .score = 0.25f, .explored = true},
};

void engine_broadcast(struct engine *e, struct call *c, const struct broadcast_in *in,
                      struct broadcast_out *out)
{
    (void)e;
    note("engine_broadcast", c);
    note_text(in->client_id);
    note_text(in->source_agent_id);
    note_text(in->task_id);
    note_text(in->summary);
    note_list(in->snippets);
    note_list(in->hints);
    note_number(in->sensitivity);
    note_number(in->ttl_sec);
    note_number(in->max_hops);
    note_number(in->quota_cost);
    note_number(in->top_k);
    note_number(in->diversify);
    note_number((double)in->min_score);
    note_vector(&in->embedding);
    *out = (struct broadcast_out){.nutrient_id = BYTES_LIT("nu_1"),
                                  .trace_id = BYTES_LIT("tr_1"),
                                  .created_ms = 1700000000123,
                                  .expires_ms = 1700000180123,
                                  .hops = hops,
                                  .hop_count = 2};
    finish(c);
}

static const struct inbox_item item_sample = {
    .created_ms = 1700000000000,
    .expires_ms = 1700000180000,
    .lease_until_ms = 1700000030000,
    .nutrient_id = {"nu_1", 4},
    .trace_id = {"tr_1", 4},
    .source_agent_id = {"src", 3},
    .from_agent_id = {"src", 3},
    .summary = {"line one\nline two", 17},
    .snippets = {"s1\0s2\0", 6},
    .hints = {"h1\0", 3},
    .hop = 1,
    .sensitivity = LABEL_INTERNAL,
    .attempt = 1,
    .score = 0.5f,
};

void engine_pull(struct engine *e, struct call *c, const struct pull_in *in, struct pull_out *out)
{
    (void)e;
    note("engine_pull", c);
    note_text(in->agent_id);
    note_number(in->limit);
    note_number(in->wait_ms);
    note_number(in->lease_ms);
    note_number(in->embedding);
    note_number((double)in->after);
    static const float vector[2] = {1, 0.5f};
    struct inbox_item *items = arena_array(c->arena, struct inbox_item, fake.pull_count + 1);
    if (!items) {
        c->code = err_nomem(&c->err);
        c->done(c);
        return;
    }
    for (size_t i = 0; i < fake.pull_count; i++) {
        items[i] = item_sample;
        items[i].sequence = fake.pull_first + (int64_t)i;
        if (in->embedding) {
            items[i].embedding = vector;
            items[i].dim = 2;
        }
    }
    *out = (struct pull_out){.items = items, .count = fake.pull_count, .pending = 5, .dropped = 1};
    if (!fake.pull_again)
        fake.pull_count = 0;
    if (out->count == 0 && in->wait_ms) {
        held_call = fake.held = c; /* waits */
        return;
    }
    finish(c);
}

void engine_cancel(struct engine *e, struct call *c)
{
    (void)e;
    fake.cancels++;
    if (held_call == c)
        fake_engine_release();
}

void engine_ack(struct engine *e, struct call *c, const struct ack_in *in, struct ack_out *out)
{
    (void)e;
    note("engine_ack", c);
    note_text(in->agent_id);
    for (size_t i = 0; i < in->count; i++)
        note_text(in->nutrient_ids[i]);
    note_number((double)in->count);
    note_number(in->nack);
    note_number(in->reject);
    note_number(in->delay_ms);
    static const struct bytes unknown[] = {{"nu_9", 4}};
    *out = (struct ack_out){.changed = 1, .unknown = unknown, .unknown_count = 1};
    finish(c);
}

void engine_respond(struct engine *e, struct call *c, const struct respond_in *in,
                    struct respond_out *out)
{
    (void)e;
    note("engine_respond", c);
    note_text(in->nutrient_id);
    note_text(in->agent_id);
    note_text(in->content);
    note_number((double)in->quality);
    note_number(in->sensitivity);
    note_vector(&in->embedding);
    *out = (struct respond_out){.response_id = BYTES_LIT("re_1"),
                                .nutrient_id = BYTES_LIT("nu_1"),
                                .trace_id = BYTES_LIT("tr_1"),
                                .agent_id = BYTES_LIT("a1"),
                                .created_ms = 1700000000000};
    finish(c);
}

void engine_collect(struct engine *e, struct call *c, const struct collect_in *in,
                    struct collect_out *out)
{
    (void)e;
    note("engine_collect", c);
    note_text(in->agent_id);
    note_text(in->task_id);
    note_number(in->window_ms);
    note_number(in->top_k);
    note_number(in->diversify);
    note_number((double)in->min_similarity);
    note_vector(&in->demand);
    static const struct context_item items[] = {
        {.id = {"re_1", 4},
         .agent_id = {"a1", 2},
         .data = {"{\"x\":1}", 7},
         .similarity = 0.5f,
         .quality = 0.25f,
         .score = 0.125f,
         .sensitivity = LABEL_SECRET,
         .created_ms = 1700000000000},
        {.id = {"me_1", 4},
         .agent_id = {"a1", 2},
         .kind = {"insight", 7},
         .from_memory = true,
         .quality = 0.5f,
         .sensitivity = LABEL_PUBLIC},
    };
    *out = (struct collect_out){.trace_id = BYTES_LIT("tr_2"),
                                .items = items,
                                .count = 2,
                                .responses_considered = 3,
                                .memories_considered = 4,
                                .outstanding = 1,
                                .waited_ms = 300};
    finish(c);
}

static const struct weight_change changes[] = {{.src = {"src", 3},
                                                .dst = {"a1", 2},
                                                .old_weight = 0.5,
                                                .new_weight = 0.625,
                                                .hop_score = 1,
                                                .hop = 1}};

void engine_trace(struct engine *e, struct call *c, struct bytes trace_id, struct trace_out *out)
{
    (void)e;
    note("engine_trace", c);
    note_text(trace_id);
    static const struct trace_candidate candidates[] = {
        {.agent_id = {"a1", 2}, .score = 0.5f, .chosen = true}};
    static const struct trace_delivery deliveries[] = {{{"a1", 2}, "leased"}};
    static const struct trace_contribution contributions[] = {
        {.id = {"me_1", 4}, .agent_id = {"a1", 2}, .from_memory = true}};
    static const struct trace_outcome outcomes[] = {{.rater = {"src", 3},
                                                     .score = 1,
                                                     .at_ms = 1700000000000,
                                                     .changes = changes,
                                                     .change_count = 1}};
    *out = (struct trace_out){.trace_id = BYTES_LIT("tr_1"),
                              .nutrient_id = BYTES_LIT("nu_1"),
                              .agent_id = BYTES_LIT("src"),
                              .kind = TRACE_BROADCAST,
                              .created_ms = 1700000000000,
                              .epsilon = 0.5f,
                              .eligible_total = 12,
                              .hops = hops,
                              .hop_count = 2,
                              .candidates = candidates,
                              .candidate_count = 1,
                              .deliveries = deliveries,
                              .delivery_count = 1,
                              .contributions = contributions,
                              .contribution_count = 1,
                              .outcomes = outcomes,
                              .outcome_count = 1};
    finish(c);
}

/* ---- agents ---- */

static const float profile_sample[2] = {0.5f, 0.25f};
static const struct agent_out agent_sample = {.id = {"a1", 2},
                                              .name = {"One", 3},
                                              .metadata = {"{\"k\":[1]}", 9},
                                              .capabilities = {"c1\0c2\0", 6},
                                              .status = AGENT_ACTIVE,
                                              .clearance = LABEL_INTERNAL,
                                              .inbox_pending = 3,
                                              .created_ms = 1700000000000,
                                              .updated_ms = 1700000001000};

void engine_register_agent(struct engine *e, struct call *c, const struct agent_in *in,
                           struct agent_out *out)
{
    (void)e;
    note("engine_register_agent", c);
    note_text(in->id);
    note_text(in->name);
    note_text(in->description);
    note_text(in->region);
    note_text(in->metadata);
    note_list(in->capabilities);
    note_list(in->tools);
    note_list(in->skills);
    note_number(in->clearance);
    note_vector(&in->profile);
    *out = agent_sample;
    finish(c);
}

void engine_get_agent(struct engine *e, struct call *c, struct bytes id, bool profile,
                      struct agent_out *out)
{
    (void)e;
    note("engine_get_agent", c);
    note_text(id);
    note_number(profile);
    *out = agent_sample;
    if (profile) {
        out->profile = profile_sample;
        out->dim = 2;
    }
    finish(c);
}

void engine_list_agents(struct engine *e, struct call *c, uint32_t status, struct bytes capability,
                        struct bytes after, uint32_t limit, struct agents_out *out)
{
    (void)e;
    note("engine_list_agents", c);
    note_text(capability);
    note_text(after);
    note_number(status);
    note_number(limit);
    *out = (struct agents_out){.agents = &agent_sample, .count = 1};
    finish(c);
}

void engine_suspend_agent(struct engine *e, struct call *c, struct bytes id)
{
    (void)e;
    note("engine_suspend_agent", c);
    note_text(id);
    finish(c);
}

/* ---- learning ---- */

void engine_record_outcome(struct engine *e, struct call *c, const struct outcome_in *in,
                           struct outcome_out *out)
{
    (void)e;
    note("engine_record_outcome", c);
    note_text(in->trace_id);
    note_text(in->agent_id);
    note_text(in->metadata);
    note_number(in->score);
    note_number((double)in->hop_count);
    for (size_t i = 0; i < in->hop_count; i++) {
        note_text(in->hops[i].agent_id);
        note_number(in->hops[i].score);
    }
    *out =
        (struct outcome_out){.trace_id = BYTES_LIT("tr_1"), .changes = changes, .change_count = 1};
    finish(c);
}

void engine_edge_stats(struct engine *e, struct call *c, struct edge_stats *out)
{
    (void)e;
    note("engine_edge_stats", c);
    *out = (struct edge_stats){.total = 2, .avg_weight = 0.5, .max_weight = 0.75};
    finish(c);
}

void engine_edges(struct engine *e, struct call *c, struct bytes src, uint32_t limit,
                  struct edges_out *out)
{
    (void)e;
    note("engine_edges", c);
    note_text(src);
    note_number(limit);
    static const struct edge_out edges[] = {
        {.src = {"src", 3}, .dst = {"a1", 2}, .weight = 0.625, .outcomes = 4}};
    *out = (struct edges_out){.edges = edges, .count = 1};
    finish(c);
}

void engine_prune_edges(struct engine *e, struct call *c, double threshold,
                        struct edge_upkeep_out *out)
{
    (void)e;
    note("engine_prune_edges", c);
    note_number(threshold);
    *out = (struct edge_upkeep_out){.changed = 9, .deleted = 3};
    finish(c);
}

void engine_decay_edges(struct engine *e, struct call *c, struct edge_upkeep_out *out)
{
    (void)e;
    note("engine_decay_edges", c);
    *out = (struct edge_upkeep_out){.changed = 9, .deleted = 3};
    finish(c);
}

/* ---- memory ---- */

static const struct memory_out memory_sample = {.id = {"me_1", 4},
                                                .agent_id = {"a1", 2},
                                                .kind = {"insight", 7},
                                                .content = {"{\"k\": 1e2}", 10},
                                                .quality = 0.75,
                                                .sensitivity = LABEL_INTERNAL,
                                                .created_ms = 1700000000000,
                                                .similarity = 0.5f};

void engine_store_memory(struct engine *e, struct call *c, const struct memory_in *in,
                         struct memory_out *out)
{
    (void)e;
    note("engine_store_memory", c);
    note_text(in->agent_id);
    note_text(in->kind);
    note_text(in->content);
    note_text(in->metadata);
    note_text(in->task_id);
    note_text(in->trace_id);
    note_number(in->quality);
    note_number(in->sensitivity);
    note_number(in->ttl_hours);
    note_vector(&in->embedding);
    *out = memory_sample;
    finish(c);
}

void engine_get_memory(struct engine *e, struct call *c, struct bytes id, struct memory_out *out)
{
    (void)e;
    note("engine_get_memory", c);
    note_text(id);
    *out = memory_sample;
    finish(c);
}

void engine_delete_memory(struct engine *e, struct call *c, struct bytes id)
{
    (void)e;
    note("engine_delete_memory", c);
    note_text(id);
    finish(c);
}

void engine_agent_memories(struct engine *e, struct call *c, struct bytes agent_id,
                           struct bytes kind, uint32_t limit, struct memories_out *out)
{
    (void)e;
    note("engine_agent_memories", c);
    note_text(agent_id);
    note_text(kind);
    note_number(limit);
    *out = (struct memories_out){.items = &memory_sample, .count = 1};
    finish(c);
}

void engine_search_memory(struct engine *e, struct call *c, const struct vector_in *query,
                          uint32_t top_k, const struct memory_filter *filter,
                          struct memories_out *out)
{
    (void)e;
    note("engine_search_memory", c);
    note_text(filter->kind);
    note_text(filter->agent_id);
    note_number(top_k);
    note_number(filter->quality_min);
    note_number(filter->quality_above);
    note_number(filter->quality_max);
    note_number(filter->quality_below);
    note_vector(query);
    *out = (struct memories_out){.items = &memory_sample, .count = 1, .candidates = 7};
    finish(c);
}

void engine_cleanup_memory(struct engine *e, struct call *c, uint64_t *ret_deleted)
{
    (void)e;
    note("engine_cleanup_memory", c);
    *ret_deleted = 6;
    finish(c);
}

/* ---- tenancy ---- */

static const struct tenant_out tenant_sample = {.id = {"acme", 4},
                                                .name = {"Acme", 4},
                                                .plan = PLAN_PRO,
                                                .status = TENANT_ACTIVE,
                                                .dim = 1536,
                                                .created_ms = 1700000000000,
                                                .updated_ms = 1700000000000};

static void note_tenant(const struct tenant_in *in)
{
    note_text(in->id);
    note_text(in->name);
    note_text(in->kms_key_id);
    note_text(in->region);
    note_text(in->metadata);
    note_number(in->plan);
    note_number(in->status);
    note_number(in->dim);
}

void engine_create_tenant(struct engine *e, struct call *c, const struct tenant_in *in,
                          struct tenant_out *out)
{
    (void)e;
    note("engine_create_tenant", c);
    note_tenant(in);
    *out = tenant_sample;
    finish(c);
}

void engine_get_tenant(struct engine *e, struct call *c, struct bytes id, struct tenant_out *out)
{
    (void)e;
    note("engine_get_tenant", c);
    note_text(id);
    *out = tenant_sample;
    finish(c);
}

void engine_list_tenants(struct engine *e, struct call *c, uint32_t status, uint32_t plan,
                         uint32_t limit, uint32_t offset, struct tenants_out *out)
{
    (void)e;
    note("engine_list_tenants", c);
    note_number(status);
    note_number(plan);
    note_number(limit);
    note_number(offset);
    *out = (struct tenants_out){.tenants = &tenant_sample, .count = 1};
    finish(c);
}

void engine_update_tenant(struct engine *e, struct call *c, const struct tenant_in *in,
                          bool replace, struct tenant_out *out)
{
    (void)e;
    note("engine_update_tenant", c);
    note_tenant(in);
    note_number(replace);
    *out = tenant_sample;
    finish(c);
}

void engine_delete_tenant(struct engine *e, struct call *c, struct bytes id, bool purge)
{
    (void)e;
    note("engine_delete_tenant", c);
    note_text(id);
    note_number(purge);
    finish(c);
}

void engine_usage(struct engine *e, struct call *c, struct bytes id, struct usage_out *out)
{
    (void)e;
    note("engine_usage", c);
    note_text(id);
    *out = (struct usage_out){.tenant_id = BYTES_LIT("acme"),
                              .plan = PLAN_FREE,
                              .current = {.nutrients = 3},
                              .quota = {.nutrients = 10000, .searches = UINT64_MAX},
                              .remaining = {.nutrients = 9997, .searches = UINT64_MAX},
                              .nutrients_total = 33,
                              .collects_total = 11,
                              .resets_ms = 1700000000000};
    finish(c);
}

static const struct key_out key_sample = {.id = {"k2", 2},
                                          .tenant_id = {"acme", 4},
                                          .scopes = {"inbox\0", 6},
                                          .rate_per_minute = 1000,
                                          .clearance = LABEL_INTERNAL,
                                          .status = "active",
                                          .created_ms = 1700000000000};

void engine_create_key(struct engine *e, struct call *c, const struct key_in *in,
                       struct key_out *out)
{
    (void)e;
    note("engine_create_key", c);
    note_text(in->tenant_id);
    note_text(in->name);
    note_list(in->scopes);
    note_list(in->agent_ids);
    note_number(in->rate_per_minute);
    note_number(in->expires_in_days);
    note_number(in->clearance);
    *out = key_sample;
    out->secret = BYTES_LIT("qmn_live_k2_secret");
    finish(c);
}

void engine_list_keys(struct engine *e, struct call *c, struct bytes tenant_id,
                      struct keys_out *out)
{
    (void)e;
    note("engine_list_keys", c);
    note_text(tenant_id);
    *out = (struct keys_out){.keys = &key_sample, .count = 1};
    finish(c);
}

void engine_rotate_key(struct engine *e, struct call *c, struct bytes key_id, uint32_t grace_sec,
                       struct key_out *out)
{
    (void)e;
    note("engine_rotate_key", c);
    note_text(key_id);
    note_number(grace_sec);
    *out = key_sample;
    out->secret = BYTES_LIT("qmn_live_k3_secret");
    out->old_key_id = BYTES_LIT("k1");
    out->old_expires_ms = 1700003600000;
    finish(c);
}

void engine_revoke_key(struct engine *e, struct call *c, struct bytes key_id, struct key_out *out)
{
    (void)e;
    note("engine_revoke_key", c);
    note_text(key_id);
    *out = key_sample;
    out->status = "revoked";
    finish(c);
}

void engine_validate_key(struct engine *e, struct call *c, struct bytes key_text,
                         struct key_validity *out)
{
    (void)e;
    note("engine_validate_key", c);
    out->valid = bytes_is(key_text, FAKE_KEY);
    if (out->valid)
        out->key = key_sample;
    finish(c);
}

static const struct policy_out policy_sample = {.id = {"po_1", 4},
                                                .tenant_id = {"acme", 4},
                                                .name = {"no secrets", 10},
                                                .rules = {"{\"block\":true}", 14},
                                                .type = POLICY_DLP,
                                                .enabled = true,
                                                .created_ms = 1700000000000};

void engine_create_policy(struct engine *e, struct call *c, const struct policy_in *in,
                          struct policy_out *out)
{
    (void)e;
    note("engine_create_policy", c);
    note_text(in->name);
    note_text(in->description);
    note_text(in->rules);
    note_number(in->type);
    note_number(in->enabled);
    *out = policy_sample;
    finish(c);
}

void engine_list_policies(struct engine *e, struct call *c, struct bytes tenant_id,
                          struct policies_out *out)
{
    (void)e;
    note("engine_list_policies", c);
    note_text(tenant_id);
    *out = (struct policies_out){.policies = &policy_sample, .count = 1};
    finish(c);
}

void engine_evaluate_policy(struct engine *e, struct call *c, const struct evaluate_in *in,
                            struct evaluate_out *out)
{
    (void)e;
    note("engine_evaluate_policy", c);
    note_text(in->action);
    note_text(in->subject);
    note_text(in->resource);
    note_text(in->context);
    note_number(in->type);
    static const struct bytes passed[] = {{"p1", 2}}, failed[] = {{"f1", 2}, {"f2", 2}};
    *out = (struct evaluate_out){.allowed = false,
                                 .action = "deny",
                                 .policy_id = BYTES_LIT("po_1"),
                                 .reason = BYTES_LIT("because"),
                                 .passed = passed,
                                 .passed_count = 1,
                                 .failed = failed,
                                 .failed_count = 2};
    finish(c);
}

static const struct task_out task_sample = {.id = {"t1", 2},
                                            .title = {"Do", 2},
                                            .status = TASK_OPEN,
                                            .outcome = -1,
                                            .created_ms = 1700000000000};

static void note_task(const struct task_in *in)
{
    note_text(in->id);
    note_text(in->title);
    note_text(in->metadata);
    note_number(in->status);
    note_number(in->outcome);
}

void engine_create_task(struct engine *e, struct call *c, const struct task_in *in,
                        struct task_out *out)
{
    (void)e;
    note("engine_create_task", c);
    note_task(in);
    *out = task_sample;
    finish(c);
}

void engine_get_task(struct engine *e, struct call *c, struct bytes id, struct task_out *out)
{
    (void)e;
    note("engine_get_task", c);
    note_text(id);
    *out = task_sample;
    finish(c);
}

void engine_list_tasks(struct engine *e, struct call *c, uint32_t status, uint32_t limit,
                       struct tasks_out *out)
{
    (void)e;
    note("engine_list_tasks", c);
    note_number(status);
    note_number(limit);
    *out = (struct tasks_out){.tasks = &task_sample, .count = 1};
    finish(c);
}

void engine_update_task(struct engine *e, struct call *c, const struct task_in *in,
                        struct task_out *out)
{
    (void)e;
    note("engine_update_task", c);
    note_task(in);
    *out = task_sample;
    out->outcome = 0.5;
    finish(c);
}

void engine_audit(struct engine *e, struct call *c, int64_t after, uint32_t limit,
                  struct audit_out *out)
{
    (void)e;
    note("engine_audit", c);
    note_number((double)after);
    note_number(limit);
    static const struct record_audit entries[] = {{.tenant_no = 1,
                                                   .seq = 8,
                                                   .at_ms = 1700000000000,
                                                   .actor = {"k1", 2},
                                                   .action = {"key.create", 10},
                                                   .target = {"k2", 2}}};
    *out = (struct audit_out){.entries = entries, .count = 1};
    finish(c);
}
