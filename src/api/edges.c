/* SPDX-License-Identifier: MIT
 *
 * Edges: what they are, how they stand, and their upkeep. */
#include "engine/learning.h"
#include "operations_priv.h"
#include "qmn/v1/reinforcement.pb-c.h"
#include "qmn/v1/router.pb-c.h"
#include "translate_priv.h"

struct edge_stats_data {
    struct edge_stats out;
};

static enum qmn_code stats_start(struct api_call *x, struct err *err)
{
    (void)err;
    engine_edge_stats(x->api->engine, &x->call, &DATA(struct edge_stats_data, x)->out);
    return QMN_OK;
}

static ProtobufCMessage *stats_answer(struct api_call *x)
{
    const struct edge_stats *out = &DATA(struct edge_stats_data, x)->out;
    Qmn__V1__EdgeStats *m = out_new(x, &qmn__v1__edge_stats__descriptor);
    if (!m)
        return NULL;
    SET(m, total_edges, out->total);
    SET(m, avg_weight, out->avg_weight);
    SET(m, min_weight, out->min_weight);
    SET(m, max_weight, out->max_weight);
    SET(m, stddev_weight, out->stddev_weight);
    SET(m, avg_success, out->avg_success);
    SET(m, avg_decay, out->avg_decay);
    return &m->base;
}

const struct operation op_edge_stats = {
    .call = "engine_edge_stats",
    .request = &qmn__v1__empty__descriptor,
    .response = &qmn__v1__edge_stats__descriptor,
    .data_size = sizeof(struct edge_stats_data),
    .start = stats_start,
    .answer = stats_answer,
};

struct edge_listing {
    struct edges_out out;
};

static Qmn__V1__Edge **out_edges(struct api_call *x, const struct edges_out *out)
{
    Qmn__V1__Edge **list = out_array(x, out->count);
    for (size_t i = 0; list && i < out->count; i++) {
        const struct edge_out *e = &out->edges[i];
        Qmn__V1__Edge *m = out_new(x, &qmn__v1__edge__descriptor);
        if (!m)
            break;
        m->src = out_text(x, e->src);
        m->dst = m->target_id = out_text(x, e->dst);
        SET(m, weight, e->weight);
        SET(m, similarity, e->similarity);
        SET(m, success, e->success);
        SET(m, decay, e->decay);
        SET(m, outcomes, (uint64_t)e->outcomes);
        SET_TIME(m, last_update, e->updated_ms);
        list[i] = m;
    }
    return list;
}

static enum qmn_code top_start(struct api_call *x, struct err *err)
{
    (void)err;
    const Qmn__V1__TopEdgesRequest *m = IN(Qmn__V1__TopEdgesRequest, x);
    engine_edges(x->api->engine, &x->call, (struct bytes){NULL, 0}, m->limit,
                 &DATA(struct edge_listing, x)->out);
    return QMN_OK;
}

static ProtobufCMessage *top_answer(struct api_call *x)
{
    const struct edges_out *out = &DATA(struct edge_listing, x)->out;
    Qmn__V1__TopEdges *m = out_new(x, &qmn__v1__top_edges__descriptor);
    if (!m)
        return NULL;
    m->n_edges = out->count;
    m->edges = out_edges(x, out);
    return &m->base;
}

const struct operation op_edge_top = {
    .call = "engine_edges",
    .request = &qmn__v1__top_edges_request__descriptor,
    .response = &qmn__v1__top_edges__descriptor,
    .data_size = sizeof(struct edge_listing),
    .start = top_start,
    .answer = top_answer,
};

static enum qmn_code list_start(struct api_call *x, struct err *err)
{
    (void)err;
    const Qmn__V1__AgentEdgesRequest *m = IN(Qmn__V1__AgentEdgesRequest, x);
    engine_edges(x->api->engine, &x->call, in_text(m->agent_id), m->limit,
                 &DATA(struct edge_listing, x)->out);
    return QMN_OK;
}

static ProtobufCMessage *list_answer(struct api_call *x)
{
    const struct edges_out *out = &DATA(struct edge_listing, x)->out;
    Qmn__V1__EdgeList *m = out_new(x, &qmn__v1__edge_list__descriptor);
    if (!m)
        return NULL;
    m->n_edges = out->count;
    m->edges = out_edges(x, out);
    return &m->base;
}

const struct operation op_edge_list = {
    .call = "engine_edges",
    .request = &qmn__v1__agent_edges_request__descriptor,
    .response = &qmn__v1__edge_list__descriptor,
    .data_size = sizeof(struct edge_listing),
    .start = list_start,
    .answer = list_answer,
};

struct upkeep {
    double threshold;
    struct edge_upkeep_out out;
};

static enum qmn_code prune_start(struct api_call *x, struct err *err)
{
    (void)err;
    struct upkeep *u = DATA(struct upkeep, x);
    u->threshold = IN(Qmn__V1__PruneEdgesRequest, x)->threshold;
    engine_prune_edges(x->api->engine, &x->call, u->threshold, &u->out);
    return QMN_OK;
}

static ProtobufCMessage *prune_answer(struct api_call *x)
{
    const struct upkeep *u = DATA(struct upkeep, x);
    Qmn__V1__PruneEdgesResponse *m = out_new(x, &qmn__v1__prune_edges_response__descriptor);
    if (!m)
        return NULL;
    SET(m, pruned, u->out.deleted);
    SET(m, threshold, u->threshold);
    return &m->base;
}

const struct operation op_edge_prune = {
    .call = "engine_prune_edges",
    .request = &qmn__v1__prune_edges_request__descriptor,
    .response = &qmn__v1__prune_edges_response__descriptor,
    .data_size = sizeof(struct upkeep),
    .start = prune_start,
    .answer = prune_answer,
};

static enum qmn_code decay_start(struct api_call *x, struct err *err)
{
    (void)err;
    engine_decay_edges(x->api->engine, &x->call, &DATA(struct upkeep, x)->out);
    return QMN_OK;
}

static ProtobufCMessage *decay_answer(struct api_call *x)
{
    const struct upkeep *u = DATA(struct upkeep, x);
    Qmn__V1__DecayEdgesResponse *m = out_new(x, &qmn__v1__decay_edges_response__descriptor);
    if (!m)
        return NULL;
    SET(m, decayed, u->out.changed);
    SET(m, deleted, u->out.deleted);
    return &m->base;
}

const struct operation op_edge_decay = {
    .call = "engine_decay_edges",
    .request = &qmn__v1__empty__descriptor,
    .response = &qmn__v1__decay_edges_response__descriptor,
    .data_size = sizeof(struct upkeep),
    .start = decay_start,
    .answer = decay_answer,
};
