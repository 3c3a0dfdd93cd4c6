/* SPDX-License-Identifier: MIT
 *
 * A tenant with agents, and its calls in one line each. */
#include "scene.h"

#include "base/log.h"
#include "engine/engine_priv.h"

const struct memory_filter scene_no_filter = {.op = FILTER_AND};

static struct caller full_caller(struct test_engine *te)
{
    struct caller c = test_member(te, "acme", NULL);
    c.clearance = LABEL_SECRET; /* the tests that need less set less */
    return c;
}

void scene_begin(struct scene *s, struct test_engine_options options)
{
    log_configure(LOG_ERROR, LOG_LOGFMT); /* commits that fail are warned of */
    s->te = test_engine_new_with(options);
    test_tenant(s->te, "acme");
    s->caller = full_caller(s->te);
}

void scene_validate(struct scene *s)
{
    char text[VALIDATE_TEXT];
    if (!network_validate(&s->te->engine->net, text))
        fail_msg("the network is not whole: %s", text);
}

void scene_end(struct scene *s)
{
    scene_validate(s);
    test_engine_free(s->te);
    s->te = NULL;
}

void scene_restart(struct scene *s)
{
    scene_validate(s);
    test_engine_restart(s->te);
    scene_validate(s);
}

struct vector_in scene_vector(struct scene *s, struct vec v)
{
    const float *copy = arena_copy(&s->te->arena, v.v, sizeof v.v);
    assert_non_null(copy);
    return (struct vector_in){.values = copy, .dim = SCENE_DIM};
}

/* ---- agents ---- */

static void register_agent(struct scene *s, const struct agent_in *in)
{
    struct agent_out out;
    if (TEST_CALL(s->te, &s->caller, engine_register_agent, in, &out) != QMN_OK)
        fail_msg("agent not registered: %s", s->te->last->err.text);
}

void scene_agent(struct scene *s, const char *id, struct vec profile, const char *capabilities)
{
    struct agent_in in = {.id = bytes_cstr(id),
                          .profile = scene_vector(s, profile),
                          .capabilities = test_list(s->te, capabilities ? capabilities : ""),
                          .clearance = LABEL_INTERNAL};
    register_agent(s, &in);
}

void scene_agent_cleared(struct scene *s, const char *id, struct vec profile, uint32_t clearance)
{
    struct agent_in in = {
        .id = bytes_cstr(id), .profile = scene_vector(s, profile), .clearance = clearance};
    register_agent(s, &in);
}

void scene_capable(struct scene *s, const char *id, const char *capabilities)
{
    struct agent_in in = {.id = bytes_cstr(id),
                          .capabilities = test_list(s->te, capabilities),
                          .clearance = LABEL_INTERNAL};
    register_agent(s, &in);
}

enum qmn_code scene_suspend(struct scene *s, const char *id)
{
    return TEST_CALL(s->te, &s->caller, engine_suspend_agent, bytes_cstr(id));
}

/* ---- nutrients ---- */

struct broadcast_in scene_nutrient(struct scene *s, const char *source, struct vec v)
{
    return (struct broadcast_in){.source_agent_id = bytes_cstr(source),
                                 .summary = BYTES_LIT("a summary"),
                                 .embedding = scene_vector(s, v),
                                 .sensitivity = LABEL_INTERNAL,
                                 .ttl_sec = 60,
                                 .max_hops = 1,
                                 .quota_cost = 1,
                                 .top_k = 3,
                                 .min_score = -1};
}

enum qmn_code scene_broadcast(struct scene *s, const struct broadcast_in *in,
                              struct broadcast_out *out)
{
    return TEST_CALL(s->te, &s->caller, engine_broadcast, in, out);
}

struct broadcast_out scene_send(struct scene *s, const char *source, struct vec v)
{
    struct broadcast_in in = scene_nutrient(s, source, v);
    struct broadcast_out out;
    if (scene_broadcast(s, &in, &out) != QMN_OK)
        fail_msg("broadcast refused: %s", s->te->last->err.text);
    return out;
}

enum qmn_code scene_pull_as(struct scene *s, const struct caller *caller, const struct pull_in *in,
                            struct pull_out *out)
{
    return TEST_CALL(s->te, caller, engine_pull, in, out);
}

struct pull_out scene_pull(struct scene *s, const char *agent, uint32_t limit)
{
    struct pull_in in = {.agent_id = bytes_cstr(agent), .limit = limit, .lease_ms = 30000};
    struct pull_out out;
    if (scene_pull_as(s, &s->caller, &in, &out) != QMN_OK)
        fail_msg("pull refused: %s", s->te->last->err.text);
    return out;
}

enum qmn_code scene_ack(struct scene *s, const char *agent, struct bytes nutrient,
                        struct ack_out *out)
{
    struct ack_in in = {.agent_id = bytes_cstr(agent), .nutrient_ids = &nutrient, .count = 1};
    return TEST_CALL(s->te, &s->caller, engine_ack, &in, out);
}

enum qmn_code scene_nack(struct scene *s, const char *agent, struct bytes nutrient, bool reject,
                         uint32_t delay_ms)
{
    struct ack_in in = {.agent_id = bytes_cstr(agent),
                        .nutrient_ids = &nutrient,
                        .count = 1,
                        .nack = true,
                        .reject = reject,
                        .delay_ms = delay_ms};
    struct ack_out out;
    return TEST_CALL(s->te, &s->caller, engine_ack, &in, &out);
}

enum qmn_code scene_respond(struct scene *s, const char *agent, struct bytes nutrient,
                            const char *content, struct respond_out *out)
{
    struct respond_in in = {.nutrient_id = nutrient,
                            .agent_id = bytes_cstr(agent),
                            .content = bytes_cstr(content),
                            .quality = 0.5f};
    return TEST_CALL(s->te, &s->caller, engine_respond, &in, out);
}

/* ---- collect and outcomes ---- */

struct collect_in scene_demand(struct scene *s, const char *agent, struct vec v)
{
    return (struct collect_in){.demand = scene_vector(s, v),
                               .agent_id = bytes_cstr(agent),
                               .window_ms = 300,
                               .top_k = 5,
                               .min_similarity = -2};
}

struct collect_out scene_collect(struct scene *s, const char *agent, struct vec v)
{
    struct collect_in in = scene_demand(s, agent, v);
    struct collect_out out;
    if (TEST_CALL(s->te, &s->caller, engine_collect, &in, &out) != QMN_OK)
        fail_msg("collect refused: %s", s->te->last->err.text);
    return out;
}

enum qmn_code scene_outcome(struct scene *s, const char *rater, struct bytes trace, double score,
                            struct outcome_out *out)
{
    struct outcome_in in = {.trace_id = trace, .agent_id = bytes_cstr(rater), .score = score};
    return TEST_CALL(s->te, &s->caller, engine_record_outcome, &in, out);
}

double scene_weight(struct scene *s, const char *src, const char *dst)
{
    struct edges_out out;
    if (TEST_CALL(s->te, &s->caller, engine_edges, bytes_cstr(src), 1000, &out) != QMN_OK)
        fail_msg("edges refused: %s", s->te->last->err.text);
    for (size_t i = 0; i < out.count; i++)
        if (bytes_is(out.edges[i].dst, dst))
            return out.edges[i].weight;
    return -1;
}

/* ---- memory ---- */

/* Each says something else, in as many bytes, or it would be merged with the one before. */
struct memory_in scene_memory(struct scene *s, const char *agent, struct vec v)
{
    static _Atomic unsigned number;
    return (struct memory_in){
        .agent_id = bytes_cstr(agent),
        .kind = BYTES_LIT("note"),
        .content = bytes_cstr(arena_printf(&s->te->arena, "{\"n\":\"%08u\"}", number++)),
        .metadata = BYTES_LIT("{}"),
        .embedding = scene_vector(s, v),
        .quality = 0.5,
        .sensitivity = LABEL_INTERNAL};
}

enum qmn_code scene_remember(struct scene *s, const char *agent, struct vec v,
                             struct memory_out *out)
{
    struct memory_in in = scene_memory(s, agent, v);
    return TEST_CALL(s->te, &s->caller, engine_store_memory, &in, out);
}

struct memories_out scene_search(struct scene *s, struct vec v, uint32_t top_k)
{
    struct memory_search query = {.vector = scene_vector(s, v), .top_k = top_k};
    struct memories_out out;
    if (TEST_CALL(s->te, &s->caller, engine_search_memory, &query, &scene_no_filter, &out) !=
        QMN_OK)
        fail_msg("search refused: %s", s->te->last->err.text);
    return out;
}

struct trace_out scene_trace(struct scene *s, struct bytes trace)
{
    struct trace_out out;
    if (TEST_CALL(s->te, &s->caller, engine_trace, trace, &out) != QMN_OK)
        fail_msg("trace refused: %s", s->te->last->err.text);
    return out;
}

/* ---- looking ---- */

static struct tenant *scene_tenant(struct scene *s)
{
    return network_tenant(&s->te->engine->net, BYTES_LIT("acme"));
}

struct scene_state scene_look(struct scene *s)
{
    struct tenant *t = scene_tenant(s);
    struct network *n = &s->te->engine->net;
    scene_validate(s);
    pthread_rwlock_rdlock(&n->lock);
    struct scene_state x = {.agents = t->agent_count,
                            .active = t->active_agents,
                            .edges = t->edge_count,
                            .live = t->live_count,
                            .live_bytes = t->live_bytes,
                            .responses = t->response_index.live,
                            .memories = t->memory_count,
                            .nutrients = t->usage.nutrients,
                            .collects = t->usage.collects,
                            .outcomes = t->usage.outcomes,
                            .stores = t->usage.stores,
                            .bytes = t->usage.bytes,
                            .tags = t->tags.by_text.len,
                            .policies = t->policy_count,
                            .tasks = t->tasks_by_id.len,
                            .keys = n->keys_by_id.len,
                            .tenants = n->tenant_count};
    for (uint32_t i = 0; i < t->agent_count; i++) {
        x.pending += t->agents[i]->inbox_pending;
        for (uint32_t k = 0; k < LIMIT_RECENT_TASKS; k++)
            x.recents += t->agents[i]->recent[k].at_ms != 0;
        for (uint32_t k = 0; k < t->agents[i]->edge_count; k++)
            x.weights += t->agents[i]->edges[k].weight;
    }
    pthread_rwlock_unlock(&n->lock);
    return x;
}

const char *scene_reached(struct scene *s, const struct broadcast_out *out)
{
    const char *text = "";
    for (size_t i = 0; i < out->hop_count; i++)
        text = arena_printf(&s->te->arena, "%s%s%.*s", text, i ? " " : "",
                            BYTES_FMT(out->hops[i].agent_id));
    return text;
}

bool scene_reaches(const struct broadcast_out *out, const char *agent)
{
    for (size_t i = 0; i < out->hop_count; i++)
        if (bytes_is(out->hops[i].agent_id, agent))
            return true;
    return false;
}

void scene_hold(struct scene *s, struct scene_hold *h)
{
    h->in = scene_memory(s, "", AXIS(SCENE_DIM - 1));
    h->call = test_call_new(s->te, &s->caller);
    faulty_store_hold(s->te->store, RECORD_MEMORY);
    engine_store_memory(s->te->engine, h->call, &h->in, &h->out);
    faulty_store_await_held(s->te->store);
}

void scene_let_go(struct scene *s, struct scene_hold *h)
{
    faulty_store_let_go(s->te->store);
    assert_int_equal(test_call_wait(s->te, h->call), QMN_OK);
}

void scene_settle(struct scene *s)
{
    uint64_t deleted; /* any command will do: the background work rides in its group */
    assert_int_equal(TEST_CALL(s->te, &s->caller, engine_cleanup_memory, &deleted), QMN_OK);
}
