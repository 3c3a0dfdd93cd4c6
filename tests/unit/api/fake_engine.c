/* SPDX-License-Identifier: MIT
 *
 * See fake_engine.h.  Each function copies its inputs (they die with the request) and fills its
 * output from samples that name themselves. */
#include "fake_engine_priv.h"
#include "filter_text.h"

#include <assert.h>
#include <stdio.h>

#include "model/textlist.h"

struct fake_engine fake;

static struct call *held_call;
static bool held_waits; /* as a pull does: a cancel ends it */

void fake_engine_reset(void)
{
    fake = (struct fake_engine){.scopes = ~SCOPE_BIT(SCOPE_ADMIN)};
    held_call = NULL;
    held_waits = false;
}

/* ---- noting ---- */

static size_t texts, numbers;

void fake_note(const char *call, struct call *c)
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

void fake_text(struct bytes b)
{
    snprintf(fake.text[texts++ % 16], sizeof fake.text[0], "%s%.*s", b.ptr ? "" : "(none)",
             BYTES_FMT(b));
}

/* "a|b|" */
void fake_list(struct bytes list)
{
    char *to = fake.text[texts++ % 16];
    struct bytes one;
    size_t used = 0;
    while (textlist_next(&list, &one) && used < sizeof fake.text[0])
        used += (size_t)snprintf(to + used, sizeof fake.text[0] - used, "%.*s|", BYTES_FMT(one));
}

void fake_number(double v)
{
    fake.number[numbers++ % 16] = v;
}

void fake_vector(const struct vector_in *v)
{
    fake_number((double)v->dim);
    fake_number(v->values ? (double)v->values[0] : -1);
    fake_text(v->text);
}

static void finish_now(struct call *c)
{
    c->code = fake.fail.code;
    c->err = fake.fail;
    c->replayed = fake.replay;
    c->done(c);
}

void fake_finish(struct call *c)
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
    held_waits = false;
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

void engine_round(struct engine *e, struct executor *exec)
{
    (void)e;
    (void)exec;
    fake.rounds++;
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
    fake_note("engine_backup", c);
    fake_text(name);
    *out = (struct backup_out){
        .path = "backups/one", .bytes = 4096, .rows = 12, .created_ms = 1700000000000};
    fake_finish(c);
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
    fake_note("engine_broadcast", c);
    fake_text(in->client_id);
    fake_text(in->source_agent_id);
    fake_text(in->task_id);
    fake_text(in->summary);
    fake_list(in->snippets);
    fake_list(in->hints);
    fake_number(in->sensitivity);
    fake_number(in->ttl_sec);
    fake_number(in->max_hops);
    fake_number(in->quota_cost);
    fake_number(in->top_k);
    fake_number(in->diversify);
    fake_number((double)in->min_score);
    fake_vector(&in->embedding);
    *out = (struct broadcast_out){.nutrient_id = BYTES_LIT("nu_1"),
                                  .trace_id = BYTES_LIT("tr_1"),
                                  .created_ms = 1700000000123,
                                  .expires_ms = 1700000180123,
                                  .hops = hops,
                                  .hop_count = 2};
    fake_finish(c);
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
    fake_note("engine_pull", c);
    fake_text(in->agent_id);
    fake_number(in->limit);
    fake_number(in->wait_ms);
    fake_number(in->lease_ms);
    fake_number(in->embedding);
    fake_number((double)in->after);
    fake_number(in->resume);
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
        held_call = fake.held = c;
        held_waits = true;
        return;
    }
    fake_finish(c);
}

uint32_t engine_stream_open(struct engine *e)
{
    (void)e;
    fake.streams++;
    return 7;
}

void engine_stream_close(struct engine *e, uint32_t stream, const int64_t *unsent,
                         size_t unsent_count)
{
    (void)e;
    assert(stream == 7 && fake.streams);
    fake.streams--;
    fake.unsent_count = unsent_count;
    for (size_t i = 0; i < unsent_count && i < ARRAY_LEN(fake.unsent); i++)
        fake.unsent[i] = unsent[i];
}

void engine_cancel(struct engine *e, struct call *c)
{
    (void)e;
    fake.cancels++;
    if (held_call == c && held_waits)
        fake_engine_release();
}

void engine_ack(struct engine *e, struct call *c, const struct ack_in *in, struct ack_out *out)
{
    (void)e;
    fake_note("engine_ack", c);
    fake_text(in->agent_id);
    for (size_t i = 0; i < in->count; i++)
        fake_text(in->nutrient_ids[i]);
    fake_number((double)in->count);
    fake_number(in->nack);
    fake_number(in->reject);
    fake_number(in->delay_ms);
    static const struct bytes unknown[] = {{"nu_9", 4}};
    *out = (struct ack_out){.changed = 1, .unknown = unknown, .unknown_count = 1};
    fake_finish(c);
}

void engine_respond(struct engine *e, struct call *c, const struct respond_in *in,
                    struct respond_out *out)
{
    (void)e;
    fake_note("engine_respond", c);
    fake_text(in->nutrient_id);
    fake_text(in->agent_id);
    fake_text(in->content);
    fake_number((double)in->quality);
    fake_number(in->sensitivity);
    fake_vector(&in->embedding);
    *out = (struct respond_out){.response_id = BYTES_LIT("re_1"),
                                .nutrient_id = BYTES_LIT("nu_1"),
                                .trace_id = BYTES_LIT("tr_1"),
                                .agent_id = BYTES_LIT("a1"),
                                .created_ms = 1700000000000};
    fake_finish(c);
}

void engine_collect(struct engine *e, struct call *c, const struct collect_in *in,
                    struct collect_out *out)
{
    (void)e;
    fake_note("engine_collect", c);
    fake_text(in->agent_id);
    fake_text(in->task_id);
    fake_number(in->window_ms);
    fake_number(in->top_k);
    fake_number(in->diversify);
    fake_number((double)in->min_similarity);
    fake_vector(&in->demand);
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
    fake_finish(c);
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
    fake_note("engine_trace", c);
    fake_text(trace_id);
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
    fake_finish(c);
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
    fake_note("engine_register_agent", c);
    fake_text(in->id);
    fake_text(in->name);
    fake_text(in->description);
    fake_text(in->region);
    fake_text(in->metadata);
    fake_list(in->capabilities);
    fake_list(in->tools);
    fake_list(in->skills);
    fake_number(in->clearance);
    fake_vector(&in->profile);
    *out = agent_sample;
    fake_finish(c);
}

void engine_get_agent(struct engine *e, struct call *c, struct bytes id, bool profile,
                      struct agent_out *out)
{
    (void)e;
    fake_note("engine_get_agent", c);
    fake_text(id);
    fake_number(profile);
    *out = agent_sample;
    if (profile) {
        out->profile = profile_sample;
        out->dim = 2;
    }
    fake_finish(c);
}

void engine_list_agents(struct engine *e, struct call *c, uint32_t status, struct bytes capability,
                        struct bytes after, uint32_t limit, struct agents_out *out)
{
    (void)e;
    fake_note("engine_list_agents", c);
    fake_text(capability);
    fake_text(after);
    fake_number(status);
    fake_number(limit);
    *out = (struct agents_out){.agents = &agent_sample, .count = 1};
    fake_finish(c);
}

void engine_suspend_agent(struct engine *e, struct call *c, struct bytes id)
{
    (void)e;
    fake_note("engine_suspend_agent", c);
    fake_text(id);
    fake_finish(c);
}

/* ---- learning ---- */

void engine_record_outcome(struct engine *e, struct call *c, const struct outcome_in *in,
                           struct outcome_out *out)
{
    (void)e;
    fake_note("engine_record_outcome", c);
    fake_text(in->trace_id);
    fake_text(in->agent_id);
    fake_text(in->metadata);
    fake_number(in->score);
    fake_number((double)in->hop_count);
    for (size_t i = 0; i < in->hop_count; i++) {
        fake_text(in->hops[i].agent_id);
        fake_number(in->hops[i].score);
    }
    *out =
        (struct outcome_out){.trace_id = BYTES_LIT("tr_1"), .changes = changes, .change_count = 1};
    fake_finish(c);
}

void engine_edge_stats(struct engine *e, struct call *c, struct edge_stats *out)
{
    (void)e;
    fake_note("engine_edge_stats", c);
    *out = (struct edge_stats){.total = 2, .avg_weight = 0.5, .max_weight = 0.75};
    fake_finish(c);
}

void engine_edges(struct engine *e, struct call *c, struct bytes src, uint32_t limit,
                  struct edges_out *out)
{
    (void)e;
    fake_note("engine_edges", c);
    fake_text(src);
    fake_number(limit);
    static const struct edge_out edges[] = {
        {.src = {"src", 3}, .dst = {"a1", 2}, .weight = 0.625, .outcomes = 4}};
    *out = (struct edges_out){.edges = edges, .count = 1};
    fake_finish(c);
}

void engine_prune_edges(struct engine *e, struct call *c, double threshold,
                        struct edge_upkeep_out *out)
{
    (void)e;
    fake_note("engine_prune_edges", c);
    fake_number(threshold);
    *out = (struct edge_upkeep_out){.changed = 9, .deleted = 3};
    fake_finish(c);
}

void engine_decay_edges(struct engine *e, struct call *c, struct edge_upkeep_out *out)
{
    (void)e;
    fake_note("engine_decay_edges", c);
    *out = (struct edge_upkeep_out){.changed = 9, .deleted = 3};
    fake_finish(c);
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
    fake_note("engine_store_memory", c);
    fake_text(in->agent_id);
    fake_text(in->kind);
    fake_text(in->content);
    fake_text(in->metadata);
    fake_text(in->task_id);
    fake_text(in->trace_id);
    fake_number(in->quality);
    fake_number(in->sensitivity);
    fake_number(in->ttl_hours);
    fake_vector(&in->embedding);
    *out = memory_sample;
    fake_finish(c);
}

void engine_store_memories(struct engine *e, struct call *c, const struct memory_in *in,
                           uint32_t count, struct memory_out *out)
{
    (void)e;
    fake_note("engine_store_memories", c);
    fake_number(count);
    for (uint32_t i = 0; i < count; i++) {
        fake_text(in[i].kind);
        out[i] = memory_sample;
    }
    fake_finish(c);
}

void engine_update_memory(struct engine *e, struct call *c, const struct memory_patch *in,
                          struct memory_out *out)
{
    (void)e;
    fake_note("engine_update_memory", c);
    fake_text(in->id);
    fake_text(in->kind);
    fake_text(in->content);
    fake_text(in->metadata);
    fake_number(in->quality);
    fake_number(in->sensitivity);
    fake_number(in->ttl_hours);
    fake_number(in->metadata.ptr != NULL);
    fake_vector(&in->embedding);
    *out = memory_sample;
    out->version = 2;
    fake_finish(c);
}

void engine_export_memories(struct engine *e, struct call *c, const struct memory_query *q,
                            uint32_t limit, bool history, struct memory_lines *out)
{
    static const float vector[] = {1, 0};
    static struct memory_line line;
    static struct memory_chunk chunk = {&line, 1};
    (void)e;
    fake_note("engine_export_memories", c);
    fake_number(limit);
    fake_number(history);
    fake_number(q->has_after);
    line = (struct memory_line){.m = memory_sample, .vector = bytes_of(vector, sizeof vector)};
    line.m.content = BYTES_LIT("{\"a\":\n1}");
    *out = (struct memory_lines){&chunk, 1};
    fake_finish(c);
}

void engine_import_memories(struct engine *e, struct call *c, struct memory_line *lines,
                            uint32_t count)
{
    (void)e;
    fake_note("engine_import_memories", c);
    fake_number(count);
    for (uint32_t i = 0; i < count; i++)
        if (lines[i].state == LINE_WAITING)
            lines[i].state = LINE_STORED;
    fake_finish(c);
}

void engine_list_memories(struct engine *e, struct call *c, const struct memory_query *q,
                          uint32_t limit, struct memories_out *out)
{
    (void)e;
    fake_note("engine_list_memories", c);
    fake_text(q->agent_id);
    fake_text(q->kind);
    fake_number((double)q->from_ms);
    fake_number((double)q->to_ms);
    fake_number((double)q->as_of_ms);
    fake_number(limit);
    fake_number(q->has_after ? q->after.b[ID_BYTES - 1] : -1);
    *out = (struct memories_out){
        .items = &memory_sample, .count = 1, .more = true, .last = {.b = {[ID_BYTES - 1] = 7}}};
    fake_finish(c);
}

void engine_memory_duplicates(struct engine *e, struct call *c, const struct duplicates_query *q,
                              uint32_t limit, struct duplicates_out *out)
{
    static struct duplicate older;
    static struct duplicate_group group;
    older = (struct duplicate){.id = BYTES_LIT("me_old"), .similarity = 0.97};
    group = (struct duplicate_group){
        .memory = {.id = BYTES_LIT("me_new")}, .older = &older, .count = 1};
    (void)e;
    fake_note("engine_memory_duplicates", c);
    fake_text(q->agent_id);
    fake_text(q->kind);
    fake_number(q->threshold);
    fake_number(limit);
    *out = (struct duplicates_out){.groups = &group, .count = 1, .examined = 2};
    fake_finish(c);
}

void engine_memory_history(struct engine *e, struct call *c, struct bytes id,
                           struct memories_out *out)
{
    (void)e;
    fake_note("engine_memory_history", c);
    fake_text(id);
    *out = (struct memories_out){.items = &memory_sample, .count = 1};
    fake_finish(c);
}

void engine_get_memory(struct engine *e, struct call *c, struct bytes id, int64_t as_of_ms,
                       struct memory_out *out)
{
    (void)e;
    fake_note("engine_get_memory", c);
    fake_text(id);
    fake_number((double)as_of_ms);
    *out = memory_sample;
    fake_finish(c);
}

void engine_delete_memory(struct engine *e, struct call *c, struct bytes id)
{
    (void)e;
    fake_note("engine_delete_memory", c);
    fake_text(id);
    fake_finish(c);
}

void engine_agent_memories(struct engine *e, struct call *c, struct bytes agent_id,
                           struct bytes kind, uint32_t limit, uint32_t offset,
                           struct memories_out *out)
{
    (void)e;
    fake_note("engine_agent_memories", c);
    fake_text(agent_id);
    fake_text(kind);
    fake_number(limit);
    fake_number(offset);
    *out = (struct memories_out){.items = &memory_sample, .count = 1};
    fake_finish(c);
}

void engine_search_memory(struct engine *e, struct call *c, const struct memory_search *in,
                          const struct memory_filter *filter, struct memories_out *out)
{
    (void)e;
    fake_note("engine_search_memory", c);
    fake_text(bytes_cstr(filter_text(filter)));
    fake_number(in->top_k);
    fake_vector(&in->vector);
    fake_text(in->query);
    fake_number(in->mode);
    fake_number(in->exact);
    fake_number(in->explain);
    fake_number(in->ranking.quality_weight);
    fake_number(in->ranking.recency_weight);
    fake_number(in->ranking.half_life_ms);
    fake_number(in->ranking.useful_weight);
    static const struct memory_term term = {.word = {"rule", 4}, .score = 2};
    static const struct memory_match match = {.compared = true,
                                              .cosine = 0.5f,
                                              .vector_rank = 3,
                                              .words_score = 2,
                                              .words_rank = 1,
                                              .relevance = 0.25f,
                                              .factors = {0.5, 1, 0.75},
                                              .score = 0.125f,
                                              .terms = &term,
                                              .term_count = 1};
    static struct memory_out found;
    found = memory_sample;
    found.match = &match;
    *out = (struct memories_out){
        .items = &found, .count = 1, .candidates = 7, .mode = SEARCH_HYBRID, .exact = false};
    fake_finish(c);
}

void engine_cleanup_memory(struct engine *e, struct call *c, uint64_t *ret_deleted)
{
    (void)e;
    fake_note("engine_cleanup_memory", c);
    *ret_deleted = 6;
    fake_finish(c);
}
