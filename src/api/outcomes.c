/* SPDX-License-Identifier: MIT
 *
 * Outcomes. */
#include "engine/learning.h"

#include "hops_priv.h"
#include "operations_priv.h"
#include "qmn/v1/reinforcement.pb-c.h"

struct outcome {
    struct outcome_in in;
    struct outcome_out out;
};

/* Hop scores stand beside the outcome or inside it; older clients send both, saying the same. */
static enum qmn_code in_hops(struct api_call *x, const Qmn__V1__RecordOutcomeRequest *m,
                             struct outcome_in *in, struct err *err)
{
    const Qmn__V1__OutcomeDetail *detail = m->outcome;
    bool inside = m->n_hop_outcomes == 0 && detail;
    size_t count = inside ? detail->n_hop_outcomes : m->n_hop_outcomes;
    struct hop_score *hops = in_alloc(x, count, sizeof *hops);
    if (!hops)
        return err_nomem(err);
    in->hops = hops;
    for (size_t i = 0; i < count; i++) {
        struct hop_score hop;
        bool given; /* {"agent": null} says nothing of the agent */
        if (inside) {
            hop.agent_id = in_text(detail->hop_outcomes[i]->key);
            hop.score = detail->hop_outcomes[i]->value;
            given = detail->hop_outcomes[i]->has_value;
        } else {
            hop.agent_id = in_text(m->hop_outcomes[i]->key);
            hop.score = m->hop_outcomes[i]->value;
            given = m->hop_outcomes[i]->has_value;
        }
        if (given)
            hops[in->hop_count++] = hop;
    }
    return QMN_OK;
}

static enum qmn_code record_start(struct api_call *x, struct err *err)
{
    const Qmn__V1__RecordOutcomeRequest *m = IN(Qmn__V1__RecordOutcomeRequest, x);
    struct outcome *o = DATA(struct outcome, x);
    bool inside = m->outcome && m->outcome->has_score;
    if (!inside && !m->has_outcome_score)
        return err_field(err, QMN_E_INVALID, "outcome.score",
                         "expected a number from 0 to 1, here or as outcome_score; got neither");
    o->in = (struct outcome_in){
        .trace_id = in_text(m->trace_id),
        .agent_id = in_text(m->agent_id),
        .score = inside ? m->outcome->score : m->outcome_score,
    };
    if (m->outcome)
        o->in.metadata = in_raw(m->outcome->has_metadata, m->outcome->metadata);
    TRY(in_hops(x, m, &o->in, err));
    engine_record_outcome(x->api->engine, &x->call, &o->in, &o->out);
    return QMN_OK;
}

Qmn__V1__WeightChange **out_changes(struct api_call *x, const struct weight_change *changes,
                                    size_t count)
{
    Qmn__V1__WeightChange **list = out_array(x, count);
    for (size_t i = 0; list && i < count; i++) {
        const struct weight_change *c = &changes[i];
        Qmn__V1__WeightChange *m = out_new(x, &qmn__v1__weight_change__descriptor);
        if (!m)
            break;
        m->src = out_text(x, c->src);
        m->dst = out_text(x, c->dst);
        SET(m, old_weight, c->old_weight);
        SET(m, new_weight, c->new_weight);
        SET(m, delta, c->new_weight - c->old_weight);
        SET(m, hop, c->hop);
        SET(m, hop_score, c->hop_score);
        list[i] = m;
    }
    return list;
}

static ProtobufCMessage *record_answer(struct api_call *x)
{
    const struct outcome_out *out = &DATA(struct outcome, x)->out;
    Qmn__V1__RecordOutcomeResponse *m = out_new(x, &qmn__v1__record_outcome_response__descriptor);
    if (!m)
        return NULL;
    m->trace_id = out_text(x, out->trace_id);
    SET(m, edges_updated, (uint32_t)out->change_count);
    m->n_weight_changes = out->change_count;
    m->weight_changes = out_changes(x, out->changes, out->change_count);
    SET(m, success, true);
    return &m->base;
}

const struct operation op_outcome_record = {
    .call = "engine_record_outcome",
    .request = &qmn__v1__record_outcome_request__descriptor,
    .response = &qmn__v1__record_outcome_response__descriptor,
    .data_size = sizeof(struct outcome),
    .start = record_start,
    .answer = record_answer,
};
