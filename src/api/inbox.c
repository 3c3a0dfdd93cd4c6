/* SPDX-License-Identifier: MIT
 *
 * An agent's inbox: pull with long poll, ack, nack. */
#include "inbox_priv.h"

#include "model/labels.h"
#include "operations_priv.h"

struct pull {
    struct pull_in in;
    struct pull_out out;
};

static enum qmn_code pull_start(struct api_call *x, struct err *err)
{
    (void)err;
    const Qmn__V1__PullRequest *m = IN(Qmn__V1__PullRequest, x);
    struct pull *p = DATA(struct pull, x);
    p->in = (struct pull_in){
        .agent_id = in_text(m->agent_id),
        .limit = m->limit,
        .wait_ms = m->wait_ms,
        .lease_ms = m->lease_ms,
        .embedding = m->embedding,
    };
    request_extend(x->req, m->wait_ms);
    engine_pull(x->api->engine, &x->call, &p->in, &p->out);
    return QMN_OK;
}

Qmn__V1__InboxItem *out_inbox_item(struct api_call *x, const struct inbox_item *i)
{
    Qmn__V1__InboxItem *m = out_new(x, &qmn__v1__inbox_item__descriptor);
    if (!m)
        return NULL;
    SET(m, sequence, (uint64_t)i->sequence);
    m->nutrient_id = out_text(x, i->nutrient_id);
    m->trace_id = out_text(x, i->trace_id);
    m->source_agent_id = out_text(x, i->source_agent_id);
    m->from_agent_id = out_text(x, i->from_agent_id);
    SET(m, hop, i->hop);
    m->summary = out_text(x, i->summary);
    m->snippets = out_list(x, i->snippets, &m->n_snippets);
    m->tool_hints = out_list(x, i->hints, &m->n_tool_hints);
    m->sensitivity = out_word(label_name(sensitivity_names, i->sensitivity));
    SET(m, score, i->score);
    SET(m, attempt, i->attempt);
    m->trace_task_id = out_text(x, i->task_id);
    SET_TIME(m, created_at, i->created_ms);
    SET_TIME(m, expires_at, i->expires_ms);
    SET_TIME(m, lease_until, i->lease_until_ms);
    if (i->embedding) {
        m->n_embedding = i->dim;
        m->embedding = (float *)(uintptr_t)i->embedding;
    }
    return m;
}

static ProtobufCMessage *pull_answer(struct api_call *x)
{
    const struct pull_out *out = &DATA(struct pull, x)->out;
    Qmn__V1__PullResponse *m = out_new(x, &qmn__v1__pull_response__descriptor);
    if (!m)
        return NULL;
    m->n_nutrients = out->count;
    m->nutrients = out_array(x, out->count);
    for (size_t i = 0; m->nutrients && i < out->count; i++)
        m->nutrients[i] = out_inbox_item(x, &out->items[i]);
    SET(m, pending, out->pending);
    SET(m, dropped, out->dropped);
    return &m->base;
}

const struct operation op_pull = {
    .call = "engine_pull",
    .request = &qmn__v1__pull_request__descriptor,
    .response = &qmn__v1__pull_response__descriptor,
    .data_size = sizeof(struct pull),
    .start = pull_start,
    .answer = pull_answer,
};

struct ack {
    struct ack_in in;
    struct ack_out out;
};

static enum qmn_code ack(struct api_call *x, const struct ack_in *in, char *const *ids,
                         struct err *err)
{
    struct ack *a = DATA(struct ack, x);
    struct bytes *list = in_alloc(x, in->count, sizeof *list);
    if (!list)
        return err_nomem(err);
    for (size_t i = 0; i < in->count; i++)
        list[i] = in_text(ids[i]);
    a->in = *in;
    a->in.nutrient_ids = list;
    engine_ack(x->api->engine, &x->call, &a->in, &a->out);
    return QMN_OK;
}

static enum qmn_code ack_start(struct api_call *x, struct err *err)
{
    const Qmn__V1__AckRequest *m = IN(Qmn__V1__AckRequest, x);
    struct ack_in in = {.agent_id = in_text(m->agent_id), .count = m->n_nutrient_ids};
    return ack(x, &in, m->nutrient_ids, err);
}

static enum qmn_code nack_start(struct api_call *x, struct err *err)
{
    const Qmn__V1__NackRequest *m = IN(Qmn__V1__NackRequest, x);
    struct ack_in in = {.agent_id = in_text(m->agent_id),
                        .count = m->n_nutrient_ids,
                        .nack = true,
                        .reject = m->reject,
                        .delay_ms = m->delay_ms};
    return ack(x, &in, m->nutrient_ids, err);
}

static ProtobufCMessage *ack_answer(struct api_call *x)
{
    const struct ack_out *out = &DATA(struct ack, x)->out;
    Qmn__V1__AckResponse *m = out_new(x, &qmn__v1__ack_response__descriptor);
    if (!m)
        return NULL;
    SET(m, changed, out->changed);
    m->n_unknown = out->unknown_count;
    m->unknown = out_array(x, out->unknown_count);
    for (size_t i = 0; m->unknown && i < out->unknown_count; i++)
        m->unknown[i] = out_text(x, out->unknown[i]);
    return &m->base;
}

const struct operation op_ack = {
    .call = "engine_ack",
    .request = &qmn__v1__ack_request__descriptor,
    .response = &qmn__v1__ack_response__descriptor,
    .data_size = sizeof(struct ack),
    .start = ack_start,
    .answer = ack_answer,
};

const struct operation op_nack = {
    .call = "engine_ack",
    .request = &qmn__v1__nack_request__descriptor,
    .response = &qmn__v1__ack_response__descriptor,
    .data_size = sizeof(struct ack),
    .start = nack_start,
    .answer = ack_answer,
};
