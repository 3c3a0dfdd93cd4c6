/* SPDX-License-Identifier: MIT
 *
 * Collect. */
#include "engine/nutrients.h"
#include "model/labels.h"
#include "operations_priv.h"
#include "qmn/v1/router.pb-c.h"
#include "translate_priv.h"

struct collect {
    struct collect_in in;
    struct collect_out out;
};

static enum qmn_code collect_start(struct api_call *x, struct err *err)
{
    (void)err;
    const Qmn__V1__CollectRequest *m = IN(Qmn__V1__CollectRequest, x);
    struct collect *c = DATA(struct collect, x);
    c->in = (struct collect_in){
        .demand = in_vector(m->demand_embedding, m->n_demand_embedding, m->text),
        .agent_id = in_text(m->agent_id),
        .task_id = in_text(m->trace_task_id),
        .window_ms = m->window_ms,
        .top_k = m->top_k,
        .diversify = m->diversify,
        .min_similarity = m->has_min_similarity ? m->min_similarity : -2.0f, /* the usual */
    };
    request_extend(x->req, m->window_ms);
    engine_collect(x->api->engine, &x->call, &c->in, &c->out);
    return QMN_OK;
}

static Qmn__V1__ContextItem *out_item(struct api_call *x, const struct context_item *i)
{
    Qmn__V1__ContextItem *m = out_new(x, &qmn__v1__context_item__descriptor);
    if (!m)
        return NULL;
    m->id = out_text(x, i->id);
    m->agent_id = out_text(x, i->agent_id);
    m->kind = i->kind.len ? out_text(x, i->kind) : out_word("response");
    SET_RAW(m, data, i->data);
    SET(m, similarity, i->similarity);
    SET(m, quality, i->quality);
    SET(m, score, i->score);
    m->sensitivity = out_word(label_name(sensitivity_names, i->sensitivity));
    m->source = out_word(i->from_memory ? "memory" : "response");
    SET_TIME(m, created_at, i->created_ms);
    return m;
}

static bool has_text(char *const *texts, size_t count, const char *text)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(texts[i], text))
            return true;
    return false;
}

/* Each contributor once, in the order of its best item. */
static void out_sources(struct api_call *x, Qmn__V1__CollectResponse *m)
{
    m->source_agents = out_array(x, m->n_contents);
    m->quality_scores = in_alloc(x, m->n_contents, sizeof *m->quality_scores);
    for (size_t i = 0; !x->oom && m->contents && i < m->n_contents; i++) {
        char *agent = m->contents[i]->agent_id;
        m->quality_scores[m->n_quality_scores++] = m->contents[i]->quality;
        if (agent && !has_text(m->source_agents, m->n_source_agents, agent))
            m->source_agents[m->n_source_agents++] = agent;
    }
}

static ProtobufCMessage *collect_answer(struct api_call *x)
{
    const struct collect_out *out = &DATA(struct collect, x)->out;
    Qmn__V1__CollectResponse *m = out_new(x, &qmn__v1__collect_response__descriptor);
    Qmn__V1__CollectMetadata *meta = out_new(x, &qmn__v1__collect_metadata__descriptor);
    if (!m || !meta)
        return NULL;
    m->trace_id = out_text(x, out->trace_id);
    m->n_contents = out->count;
    m->contents = out_array(x, out->count);
    for (size_t i = 0; m->contents && i < out->count; i++)
        m->contents[i] = out_item(x, &out->items[i]);
    out_sources(x, m);
    SET(meta, responses_considered, out->responses_considered);
    SET(meta, memories_considered, out->memories_considered);
    SET(meta, outstanding, out->outstanding);
    SET(meta, waited_ms, out->waited_ms);
    m->metadata = meta;
    return &m->base;
}

const struct operation op_collect = {
    .call = "engine_collect",
    .request = &qmn__v1__collect_request__descriptor,
    .response = &qmn__v1__collect_response__descriptor,
    .data_size = sizeof(struct collect),
    .start = collect_start,
    .answer = collect_answer,
};
