/* SPDX-License-Identifier: MIT
 *
 * Keys.  A secret passes through here once, in the answer that made it, and is never logged. */
#include "engine/tenancy.h"
#include "model/labels.h"
#include "operations_priv.h"
#include "qmn/v1/identity.pb-c.h"
#include "translate_priv.h"

struct key_one {
    struct key_in in;
    struct key_out out;
};

static enum qmn_code create_start(struct api_call *x, struct err *err)
{
    const Qmn__V1__CreateKeyRequest *m = IN(Qmn__V1__CreateKeyRequest, x);
    struct key_one *k = DATA(struct key_one, x);
    k->in = (struct key_in){
        .tenant_id = in_text(m->tenant_id),
        .name = in_text(m->name),
        .scopes = in_list(x, m->scopes, m->n_scopes),
        .agent_ids = in_list(x, m->agent_ids, m->n_agent_ids),
        .rate_per_minute = m->rate_limit_per_minute,
        .expires_in_days = m->has_expires_in_days ? m->expires_in_days : 0,
        .clearance = label_parse(sensitivity_names, in_text(m->clearance)),
    };
    if (x->oom)
        return err_nomem(err);
    engine_create_key(x->api->engine, &x->call, &k->in, &k->out);
    return QMN_OK;
}

static Qmn__V1__Key *out_key(struct api_call *x, const struct key_out *k)
{
    Qmn__V1__Key *m = out_new(x, &qmn__v1__key__descriptor);
    if (!m)
        return NULL;
    m->id = out_text(x, k->id);
    m->tenant_id = out_text(x, k->tenant_id);
    m->name = out_text(x, k->name);
    m->scopes = out_list(x, k->scopes, &m->n_scopes);
    SET(m, rate_limit_per_minute, k->rate_per_minute);
    m->agent_ids = out_list(x, k->agent_ids, &m->n_agent_ids);
    m->clearance = out_word(label_name(sensitivity_names, k->clearance));
    m->status = out_word(k->status);
    SET_TIME(m, created_at, k->created_ms);
    SET_TIME(m, expires_at, k->expires_ms);
    SET_TIME(m, last_used_at, k->last_used_ms);
    m->api_key = out_text(x, k->secret);
    m->old_key_id = out_text(x, k->old_key_id);
    SET_TIME(m, old_key_expires_at, k->old_expires_ms);
    return m;
}

static ProtobufCMessage *key_answer(struct api_call *x)
{
    Qmn__V1__Key *m = out_key(x, &DATA(struct key_one, x)->out);
    return m ? &m->base : NULL;
}

const struct operation op_key_create = {
    .call = "engine_create_key",
    .request = &qmn__v1__create_key_request__descriptor,
    .response = &qmn__v1__key__descriptor,
    .data_size = sizeof(struct key_one),
    .start = create_start,
    .answer = key_answer,
};

struct key_listing {
    struct keys_out out;
};

static enum qmn_code list_start(struct api_call *x, struct err *err)
{
    (void)err;
    const Qmn__V1__ListKeysRequest *m = IN(Qmn__V1__ListKeysRequest, x);
    engine_list_keys(x->api->engine, &x->call, in_text(m->tenant_id), m->limit, m->offset,
                     &DATA(struct key_listing, x)->out);
    return QMN_OK;
}

static ProtobufCMessage *list_answer(struct api_call *x)
{
    const struct keys_out *out = &DATA(struct key_listing, x)->out;
    Qmn__V1__KeyList *m = out_new(x, &qmn__v1__key_list__descriptor);
    if (!m)
        return NULL;
    m->n_keys = out->count;
    m->keys = out_array(x, out->count);
    for (size_t i = 0; m->keys && i < out->count; i++)
        m->keys[i] = out_key(x, &out->keys[i]);
    return &m->base;
}

const struct operation op_key_list = {
    .call = "engine_list_keys",
    .request = &qmn__v1__list_keys_request__descriptor,
    .response = &qmn__v1__key_list__descriptor,
    .data_size = sizeof(struct key_listing),
    .start = list_start,
    .answer = list_answer,
};

static enum qmn_code rotate_start(struct api_call *x, struct err *err)
{
    (void)err;
    const Qmn__V1__RotateKeyRequest *m = IN(Qmn__V1__RotateKeyRequest, x);
    engine_rotate_key(x->api->engine, &x->call, in_text(m->key_id), m->grace_period_sec,
                      &DATA(struct key_one, x)->out);
    return QMN_OK;
}

static ProtobufCMessage *rotate_answer(struct api_call *x)
{
    Qmn__V1__Key *m = out_key(x, &DATA(struct key_one, x)->out);
    if (!m)
        return NULL;
    m->new_api_key = m->api_key;
    return &m->base;
}

const struct operation op_key_rotate = {
    .call = "engine_rotate_key",
    .request = &qmn__v1__rotate_key_request__descriptor,
    .response = &qmn__v1__key__descriptor,
    .data_size = sizeof(struct key_one),
    .start = rotate_start,
    .answer = rotate_answer,
};

static enum qmn_code revoke_start(struct api_call *x, struct err *err)
{
    (void)err;
    engine_revoke_key(x->api->engine, &x->call, in_text(IN(Qmn__V1__KeyRef, x)->id),
                      &DATA(struct key_one, x)->out);
    return QMN_OK;
}

const struct operation op_key_revoke = {
    .call = "engine_revoke_key",
    .request = &qmn__v1__key_ref__descriptor,
    .response = &qmn__v1__key__descriptor,
    .data_size = sizeof(struct key_one),
    .start = revoke_start,
    .answer = key_answer,
};

/* The same, for those who say DELETE: nothing to answer. */
const struct operation op_key_delete = {
    .call = "engine_revoke_key",
    .request = &qmn__v1__key_ref__descriptor,
    .data_size = sizeof(struct key_one),
    .start = revoke_start,
};

struct validation {
    struct key_validity out;
};

static enum qmn_code validate_start(struct api_call *x, struct err *err)
{
    (void)err;
    engine_validate_key(x->api->engine, &x->call,
                        in_text(IN(Qmn__V1__ValidateKeyRequest, x)->api_key),
                        &DATA(struct validation, x)->out);
    return QMN_OK;
}

static ProtobufCMessage *validate_answer(struct api_call *x)
{
    const struct key_validity *out = &DATA(struct validation, x)->out;
    Qmn__V1__ValidateKeyResponse *m = out_new(x, &qmn__v1__validate_key_response__descriptor);
    if (!m)
        return NULL;
    SET(m, valid, out->valid);
    if (!out->valid)
        return &m->base;
    m->key_id = out_text(x, out->key.id);
    m->tenant_id = out_text(x, out->key.tenant_id);
    m->scopes = out_list(x, out->key.scopes, &m->n_scopes);
    SET_TIME(m, expires_at, out->key.expires_ms);
    return &m->base;
}

const struct operation op_key_validate = {
    .call = "engine_validate_key",
    .request = &qmn__v1__validate_key_request__descriptor,
    .response = &qmn__v1__validate_key_response__descriptor,
    .data_size = sizeof(struct validation),
    .start = validate_start,
    .answer = validate_answer,
};
