/* SPDX-License-Identifier: MIT
 *
 * Broadcast and respond. */
#include "hops_priv.h"
#include "model/labels.h"
#include "operations_priv.h"

struct broadcast {
    struct broadcast_in in;
    struct broadcast_out out;
};

static enum qmn_code broadcast_start(struct api_call *x, struct err *err)
{
    const Qmn__V1__BroadcastRequest *m = IN(Qmn__V1__BroadcastRequest, x);
    struct broadcast *b = DATA(struct broadcast, x);
    b->in = (struct broadcast_in){
        .client_id = in_text(m->id),
        .source_agent_id = in_text(m->source_agent_id),
        .task_id = in_text(m->trace_task_id),
        .summary = in_text(m->summary),
        .embedding = in_vector(m->embedding, m->n_embedding, m->text),
        .snippets = in_list(x, m->snippets, m->n_snippets),
        .hints = in_list(x, m->tool_hints, m->n_tool_hints),
        .sensitivity = label_parse(sensitivity_names, in_text(m->sensitivity)),
        .ttl_sec = m->ttl_sec,
        .max_hops = m->max_hops,
        .quota_cost = m->quota_cost,
        .top_k = m->top_k,
        .diversify = m->diversify,
        .min_score = m->has_min_score ? m->min_score : -1.0f,
    };
    if (x->oom)
        return err_nomem(err);
    engine_broadcast(x->api->engine, &x->call, &b->in, &b->out);
    return QMN_OK;
}

static Qmn__V1__Hop *out_hop(struct api_call *x, const struct hop_out *h)
{
    Qmn__V1__Hop *m = out_new(x, &qmn__v1__hop__descriptor);
    if (!m)
        return NULL;
    m->agent_id = out_text(x, h->agent_id);
    m->from_agent_id = out_text(x, h->from_agent_id);
    SET(m, hop, h->hop);
    SET(m, score, h->score);
    SET(m, similarity, h->similarity);
    SET(m, edge_weight, h->weight);
    SET(m, demand, h->demand);
    SET(m, capability_matches, h->capabilities);
    SET(m, propensity, h->propensity);
    SET(m, explored, h->explored);
    return m;
}

Qmn__V1__Hop **out_hops(struct api_call *x, const struct hop_out *hops, size_t count)
{
    Qmn__V1__Hop **list = out_array(x, count);
    for (size_t i = 0; list && i < count; i++)
        list[i] = out_hop(x, &hops[i]);
    return list;
}

/* routed_to and routing_scores repeat what the hops say, in the form that older clients read. */
static void out_routing(struct api_call *x, Qmn__V1__BroadcastResponse *m)
{
    typedef Qmn__V1__BroadcastResponse__RoutingScoresEntry entry;
    m->routed_to = out_array(x, m->n_hops);
    m->routing_scores = out_array(x, m->n_hops);
    for (size_t i = 0; !x->oom && i < m->n_hops; i++) {
        entry *e = out_new(x, &qmn__v1__broadcast_response__routing_scores_entry__descriptor);
        if (!e)
            return;
        e->key = m->hops[i]->agent_id;
        SET(e, value, m->hops[i]->score);
        m->routed_to[i] = e->key;
        m->routing_scores[i] = e;
        m->n_routed_to = m->n_routing_scores = i + 1;
    }
}

static ProtobufCMessage *broadcast_answer(struct api_call *x)
{
    const struct broadcast_out *out = &DATA(struct broadcast, x)->out;
    Qmn__V1__BroadcastResponse *m = out_new(x, &qmn__v1__broadcast_response__descriptor);
    if (!m)
        return NULL;
    m->nutrient_id = out_text(x, out->nutrient_id);
    m->trace_id = out_text(x, out->trace_id);
    SET_TIME(m, created_at, out->created_ms);
    SET_TIME(m, expires_at, out->expires_ms);
    m->n_hops = out->hop_count;
    m->hops = out_hops(x, out->hops, out->hop_count);
    out_routing(x, m);
    m->reason = out_word(out->reason);
    return &m->base;
}

const struct operation op_broadcast = {
    .call = "engine_broadcast",
    .request = &qmn__v1__broadcast_request__descriptor,
    .response = &qmn__v1__broadcast_response__descriptor,
    .data_size = sizeof(struct broadcast),
    .start = broadcast_start,
    .answer = broadcast_answer,
};

struct respond {
    struct respond_in in;
    struct respond_out out;
};

static enum qmn_code respond_start(struct api_call *x, struct err *err)
{
    (void)err;
    const Qmn__V1__RespondRequest *m = IN(Qmn__V1__RespondRequest, x);
    struct respond *r = DATA(struct respond, x);
    r->in = (struct respond_in){
        .nutrient_id = in_text(m->nutrient_id),
        .agent_id = in_text(m->agent_id),
        .content = in_raw(m->has_content, m->content),
        .embedding = in_vector(m->embedding, m->n_embedding, m->text),
        .quality = m->quality,
        .sensitivity = label_parse(sensitivity_names, in_text(m->sensitivity)),
    };
    engine_respond(x->api->engine, &x->call, &r->in, &r->out);
    return QMN_OK;
}

static ProtobufCMessage *respond_answer(struct api_call *x)
{
    const struct respond_out *out = &DATA(struct respond, x)->out;
    Qmn__V1__RespondResponse *m = out_new(x, &qmn__v1__respond_response__descriptor);
    if (!m)
        return NULL;
    m->response_id = out_text(x, out->response_id);
    m->nutrient_id = out_text(x, out->nutrient_id);
    m->trace_id = out_text(x, out->trace_id);
    m->agent_id = out_text(x, out->agent_id);
    SET_TIME(m, created_at, out->created_ms);
    return &m->base;
}

const struct operation op_respond = {
    .call = "engine_respond",
    .request = &qmn__v1__respond_request__descriptor,
    .response = &qmn__v1__respond_response__descriptor,
    .data_size = sizeof(struct respond),
    .start = respond_start,
    .answer = respond_answer,
};
