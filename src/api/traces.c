/* SPDX-License-Identifier: MIT
 *
 * Why each agent was chosen, and what became of it. */
#include "hops_priv.h"
#include "model/labels.h"
#include "operations_priv.h"

struct trace {
    struct trace_out out;
};

static enum qmn_code trace_start(struct api_call *x, struct err *err)
{
    (void)err;
    const Qmn__V1__GetTraceRequest *m = IN(Qmn__V1__GetTraceRequest, x);
    engine_trace(x->api->engine, &x->call, in_text(m->id), &DATA(struct trace, x)->out);
    return QMN_OK;
}

static Qmn__V1__TraceCandidate *out_candidate(struct api_call *x, const struct trace_candidate *c)
{
    Qmn__V1__TraceCandidate *m = out_new(x, &qmn__v1__trace_candidate__descriptor);
    if (!m)
        return NULL;
    m->agent_id = out_text(x, c->agent_id);
    SET(m, score, c->score);
    SET(m, similarity, c->similarity);
    SET(m, edge_weight, c->weight);
    SET(m, demand, c->demand);
    SET(m, capability_matches, c->capabilities);
    SET(m, propensity, c->propensity);
    SET(m, chosen, c->chosen);
    return m;
}

static Qmn__V1__TraceContribution *out_contribution(struct api_call *x,
                                                    const struct trace_contribution *c)
{
    Qmn__V1__TraceContribution *m = out_new(x, &qmn__v1__trace_contribution__descriptor);
    if (!m)
        return NULL;
    m->id = out_text(x, c->id);
    m->agent_id = out_text(x, c->agent_id);
    m->source = out_word(c->from_memory ? "memory" : "response");
    SET(m, similarity, c->similarity);
    SET(m, score, c->score);
    return m;
}

static Qmn__V1__TraceOutcome *out_outcome(struct api_call *x, const struct trace_outcome *o)
{
    Qmn__V1__TraceOutcome *m = out_new(x, &qmn__v1__trace_outcome__descriptor);
    if (!m)
        return NULL;
    m->rater_agent_id = out_text(x, o->rater);
    SET(m, score, o->score);
    SET_TIME(m, recorded_at, o->at_ms);
    m->n_weight_changes = o->change_count;
    m->weight_changes = out_changes(x, o->changes, o->change_count);
    return m;
}

static Qmn__V1__TraceDelivery *out_delivery(struct api_call *x, const struct trace_delivery *d)
{
    Qmn__V1__TraceDelivery *m = out_new(x, &qmn__v1__trace_delivery__descriptor);
    if (!m)
        return NULL;
    m->agent_id = out_text(x, d->agent_id);
    m->state = out_word(d->state);
    return m;
}

static void out_lists(struct api_call *x, Qmn__V1__Trace *m, const struct trace_out *out)
{
    m->n_hops = out->hop_count;
    m->hops = out_hops(x, out->hops, out->hop_count);
    m->n_candidates = out->candidate_count;
    m->candidates = out_array(x, out->candidate_count);
    for (size_t i = 0; m->candidates && i < out->candidate_count; i++)
        m->candidates[i] = out_candidate(x, &out->candidates[i]);
    m->n_deliveries = out->delivery_count;
    m->deliveries = out_array(x, out->delivery_count);
    for (size_t i = 0; m->deliveries && i < out->delivery_count; i++)
        m->deliveries[i] = out_delivery(x, &out->deliveries[i]);
    m->n_contributions = out->contribution_count;
    m->contributions = out_array(x, out->contribution_count);
    for (size_t i = 0; m->contributions && i < out->contribution_count; i++)
        m->contributions[i] = out_contribution(x, &out->contributions[i]);
    m->n_outcomes = out->outcome_count;
    m->outcomes = out_array(x, out->outcome_count);
    for (size_t i = 0; m->outcomes && i < out->outcome_count; i++)
        m->outcomes[i] = out_outcome(x, &out->outcomes[i]);
}

static ProtobufCMessage *trace_answer(struct api_call *x)
{
    const struct trace_out *out = &DATA(struct trace, x)->out;
    Qmn__V1__Trace *m = out_new(x, &qmn__v1__trace__descriptor);
    if (!m)
        return NULL;
    m->trace_id = out_text(x, out->trace_id);
    m->kind = out_word(label_name(trace_kind_names, out->kind));
    m->nutrient_id = out_text(x, out->nutrient_id);
    m->agent_id = out_text(x, out->agent_id);
    m->trace_task_id = out_text(x, out->task_id);
    SET_TIME(m, created_at, out->created_ms);
    SET_TIME(m, expires_at, out->expires_ms);
    SET(m, eligible_total, out->eligible_total);
    SET(m, epsilon, out->epsilon);
    out_lists(x, m, out);
    return &m->base;
}

const struct operation op_trace = {
    .call = "engine_trace",
    .request = &qmn__v1__get_trace_request__descriptor,
    .response = &qmn__v1__trace__descriptor,
    .data_size = sizeof(struct trace),
    .start = trace_start,
    .answer = trace_answer,
};
