/* SPDX-License-Identifier: MIT
 *
 * The agents of a tenant. */
#include "engine/agents.h"

#include "model/labels.h"
#include "operations_priv.h"
#include "qmn/v1/router.pb-c.h"
#include "translate_priv.h"

struct agent_one {
    struct agent_in in;
    struct agent_out out;
};

/* Left out is not the same as the default: it keeps the clearance of an agent that is there. */
static uint32_t clearance_given(const char *text)
{
    return text == qmn__v1__register_agent_request__clearance__default_value
               ? 0
               : label_parse(sensitivity_names, in_text(text));
}

static enum qmn_code register_start(struct api_call *x, struct err *err)
{
    const Qmn__V1__RegisterAgentRequest *m = IN(Qmn__V1__RegisterAgentRequest, x);
    const Qmn__V1__AgentProfile *p = m->profile;
    struct agent_one *a = DATA(struct agent_one, x);
    a->in = (struct agent_in){
        .id = in_text(m->agent_id),
        .name = in_text(m->name),
        .region = in_text(m->region),
        .metadata = in_raw(m->has_metadata, m->metadata),
        .capabilities = in_list(x, m->capabilities, m->n_capabilities),
        .tools = in_list(x, m->tools, m->n_tools),
        .clearance = clearance_given(m->clearance),
    };
    if (p) {
        a->in.description = in_text(p->description);
        a->in.skills = in_list(x, p->skills, p->n_skills);
        a->in.profile = in_vector(p->embedding, p->n_embedding, p->text);
    }
    if (x->oom)
        return err_nomem(err);
    engine_register_agent(x->api->engine, &x->call, &a->in, &a->out);
    return QMN_OK;
}

static Qmn__V1__Agent *out_agent(struct api_call *x, const struct agent_out *a)
{
    Qmn__V1__Agent *m = out_new(x, &qmn__v1__agent__descriptor);
    if (!m)
        return NULL;
    m->agent_id = out_text(x, a->id);
    m->tenant_id = out_text(x, x->caller.tenant_id);
    m->name = out_text(x, a->name);
    m->capabilities = out_list(x, a->capabilities, &m->n_capabilities);
    m->tools = out_list(x, a->tools, &m->n_tools);
    m->skills = out_list(x, a->skills, &m->n_skills);
    m->description = out_text(x, a->description);
    m->status = out_word(label_name(agent_status_names, a->status));
    m->region = out_text(x, a->region);
    SET_RAW(m, metadata, a->metadata);
    m->clearance = out_word(label_name(sensitivity_names, a->clearance));
    SET_TIME(m, created_at, a->created_ms);
    SET_TIME(m, updated_at, a->updated_ms);
    SET_TIME(m, last_seen_at, a->last_seen_ms);
    SET(m, inbox_pending, a->inbox_pending);
    if (a->profile) {
        m->n_embedding = a->dim;
        m->embedding = (float *)(uintptr_t)a->profile;
    }
    return m;
}

static ProtobufCMessage *agent_answer(struct api_call *x)
{
    Qmn__V1__Agent *m = out_agent(x, &DATA(struct agent_one, x)->out);
    return m ? &m->base : NULL;
}

const struct operation op_agent_register = {
    .call = "engine_register_agent",
    .request = &qmn__v1__register_agent_request__descriptor,
    .response = &qmn__v1__agent__descriptor,
    .data_size = sizeof(struct agent_one),
    .start = register_start,
    .answer = agent_answer,
};

static enum qmn_code get_start(struct api_call *x, struct err *err)
{
    (void)err;
    const Qmn__V1__AgentRef *m = IN(Qmn__V1__AgentRef, x);
    engine_get_agent(x->api->engine, &x->call, in_text(m->agent_id), m->embedding,
                     &DATA(struct agent_one, x)->out);
    return QMN_OK;
}

const struct operation op_agent_get = {
    .call = "engine_get_agent",
    .request = &qmn__v1__agent_ref__descriptor,
    .response = &qmn__v1__agent__descriptor,
    .data_size = sizeof(struct agent_one),
    .start = get_start,
    .answer = agent_answer,
};

struct agent_listing {
    struct agents_out out;
};

static enum qmn_code list_start(struct api_call *x, struct err *err)
{
    (void)err;
    const Qmn__V1__ListAgentsRequest *m = IN(Qmn__V1__ListAgentsRequest, x);
    engine_list_agents(
        x->api->engine, &x->call, label_parse(agent_status_names, in_text(m->status_filter)),
        in_text(m->capability), in_text(m->after), m->limit, &DATA(struct agent_listing, x)->out);
    return QMN_OK;
}

static ProtobufCMessage *list_answer(struct api_call *x)
{
    const struct agents_out *out = &DATA(struct agent_listing, x)->out;
    Qmn__V1__AgentList *m = out_new(x, &qmn__v1__agent_list__descriptor);
    if (!m)
        return NULL;
    m->n_agents = out->count;
    m->agents = out_array(x, out->count);
    for (size_t i = 0; m->agents && i < out->count; i++)
        m->agents[i] = out_agent(x, &out->agents[i]);
    return &m->base;
}

const struct operation op_agent_list = {
    .call = "engine_list_agents",
    .request = &qmn__v1__list_agents_request__descriptor,
    .response = &qmn__v1__agent_list__descriptor,
    .data_size = sizeof(struct agent_listing),
    .start = list_start,
    .answer = list_answer,
};

static enum qmn_code suspend_start(struct api_call *x, struct err *err)
{
    (void)err;
    const Qmn__V1__AgentRef *m = IN(Qmn__V1__AgentRef, x);
    engine_suspend_agent(x->api->engine, &x->call, in_text(m->agent_id));
    return QMN_OK;
}

const struct operation op_agent_suspend = {
    .call = "engine_suspend_agent",
    .request = &qmn__v1__agent_ref__descriptor,
    .start = suspend_start,
};
