/* SPDX-License-Identifier: MIT
 *
 * Tenants and their usage. */
#include "engine/tenancy.h"
#include "model/labels.h"
#include "operations_priv.h"
#include "qmn/v1/identity.pb-c.h"
#include "translate_priv.h"

struct tenant_one {
    struct tenant_in in;
    struct tenant_out out;
};

static enum qmn_code create_start(struct api_call *x, struct err *err)
{
    (void)err;
    const Qmn__V1__CreateTenantRequest *m = IN(Qmn__V1__CreateTenantRequest, x);
    struct tenant_one *t = DATA(struct tenant_one, x);
    t->in = (struct tenant_in){
        .id = in_text(m->id),
        .name = in_text(m->name),
        .kms_key_id = in_text(m->kms_key_id),
        .region = in_text(m->region_preference),
        .metadata = in_raw(m->has_metadata, m->metadata),
        .plan = label_parse(plan_tier_names, in_text(m->plan_tier)),
        .dim = m->has_embedding_dim ? m->embedding_dim : 0,
    };
    engine_create_tenant(x->api->engine, &x->call, &t->in, &t->out);
    return QMN_OK;
}

static Qmn__V1__Tenant *out_tenant(struct api_call *x, const struct tenant_out *t)
{
    Qmn__V1__Tenant *m = out_new(x, &qmn__v1__tenant__descriptor);
    if (!m)
        return NULL;
    m->id = out_text(x, t->id);
    m->name = out_text(x, t->name);
    m->plan_tier = out_word(label_name(plan_tier_names, t->plan));
    m->status = out_word(label_name(tenant_status_names, t->status));
    m->kms_key_id = out_text(x, t->kms_key_id);
    m->region_preference = out_text(x, t->region);
    SET_RAW(m, metadata, t->metadata);
    if (t->dim)
        SET(m, embedding_dim, t->dim);
    m->vector_space = out_text(x, t->space);
    SET_TIME(m, created_at, t->created_ms);
    SET_TIME(m, updated_at, t->updated_ms);
    return m;
}

static ProtobufCMessage *tenant_answer(struct api_call *x)
{
    Qmn__V1__Tenant *m = out_tenant(x, &DATA(struct tenant_one, x)->out);
    return m ? &m->base : NULL;
}

const struct operation op_tenant_create = {
    .call = "engine_create_tenant",
    .request = &qmn__v1__create_tenant_request__descriptor,
    .response = &qmn__v1__tenant__descriptor,
    .data_size = sizeof(struct tenant_one),
    .start = create_start,
    .answer = tenant_answer,
};

static enum qmn_code get_start(struct api_call *x, struct err *err)
{
    (void)err;
    engine_get_tenant(x->api->engine, &x->call, in_text(IN(Qmn__V1__TenantRef, x)->id),
                      &DATA(struct tenant_one, x)->out);
    return QMN_OK;
}

const struct operation op_tenant_get = {
    .call = "engine_get_tenant",
    .request = &qmn__v1__tenant_ref__descriptor,
    .response = &qmn__v1__tenant__descriptor,
    .data_size = sizeof(struct tenant_one),
    .start = get_start,
    .answer = tenant_answer,
};

/* PUT and PATCH both change only what they name: the clients in use send PUT with just the field
 * they mean, and resetting their tenants' plan and metadata for it would be a nasty surprise. */
static enum qmn_code update_start(struct api_call *x, struct err *err)
{
    (void)err;
    const Qmn__V1__UpdateTenantRequest *m = IN(Qmn__V1__UpdateTenantRequest, x);
    struct tenant_one *t = DATA(struct tenant_one, x);
    t->in = (struct tenant_in){
        .id = in_text(m->id),
        .name = in_text(m->name),
        .kms_key_id = in_text(m->kms_key_id),
        .region = in_text(m->region_preference),
        .metadata = in_raw(m->has_metadata, m->metadata),
        .plan = label_parse(plan_tier_names, in_text(m->plan_tier)),
        .status = label_parse(tenant_status_names, in_text(m->status)),
    };
    engine_update_tenant(x->api->engine, &x->call, &t->in, &t->out);
    return QMN_OK;
}

const struct operation op_tenant_update = {
    .call = "engine_update_tenant",
    .request = &qmn__v1__update_tenant_request__descriptor,
    .response = &qmn__v1__tenant__descriptor,
    .data_size = sizeof(struct tenant_one),
    .start = update_start,
    .answer = tenant_answer,
};

struct tenant_listing {
    struct tenants_out out;
};

static enum qmn_code list_start(struct api_call *x, struct err *err)
{
    (void)err;
    const Qmn__V1__ListTenantsRequest *m = IN(Qmn__V1__ListTenantsRequest, x);
    engine_list_tenants(x->api->engine, &x->call,
                        label_parse(tenant_status_names, in_text(m->status_filter)),
                        label_parse(plan_tier_names, in_text(m->plan_tier)), m->limit, m->offset,
                        &DATA(struct tenant_listing, x)->out);
    return QMN_OK;
}

static ProtobufCMessage *list_answer(struct api_call *x)
{
    const struct tenants_out *out = &DATA(struct tenant_listing, x)->out;
    Qmn__V1__TenantList *m = out_new(x, &qmn__v1__tenant_list__descriptor);
    if (!m)
        return NULL;
    m->n_tenants = out->count;
    m->tenants = out_array(x, out->count);
    for (size_t i = 0; m->tenants && i < out->count; i++)
        m->tenants[i] = out_tenant(x, &out->tenants[i]);
    return &m->base;
}

const struct operation op_tenant_list = {
    .call = "engine_list_tenants",
    .request = &qmn__v1__list_tenants_request__descriptor,
    .response = &qmn__v1__tenant_list__descriptor,
    .data_size = sizeof(struct tenant_listing),
    .start = list_start,
    .answer = list_answer,
};

static enum qmn_code delete_start(struct api_call *x, struct err *err)
{
    (void)err;
    const Qmn__V1__TenantRef *m = IN(Qmn__V1__TenantRef, x);
    engine_delete_tenant(x->api->engine, &x->call, in_text(m->id), m->purge);
    return QMN_OK;
}

const struct operation op_tenant_delete = {
    .call = "engine_delete_tenant",
    .request = &qmn__v1__tenant_ref__descriptor,
    .start = delete_start,
};

struct usage {
    struct usage_out out;
};

static enum qmn_code usage_start(struct api_call *x, struct err *err)
{
    (void)err;
    engine_usage(x->api->engine, &x->call, in_text(IN(Qmn__V1__TenantRef, x)->id),
                 &DATA(struct usage, x)->out);
    return QMN_OK;
}

/* Unlimited is an absent field: no client has to know a magic number. */
#define SET_COUNT(message, field, value)                                                           \
    ((message)->has_##field = (value) != UINT64_MAX, (message)->field = (value))

static Qmn__V1__UsageCounts *out_counts(struct api_call *x, const struct usage_counts *c)
{
    Qmn__V1__UsageCounts *m = out_new(x, &qmn__v1__usage_counts__descriptor);
    if (!m)
        return NULL;
    SET_COUNT(m, nutrients, c->nutrients);
    SET_COUNT(m, collects, c->collects);
    SET_COUNT(m, searches, c->searches);
    SET_COUNT(m, outcomes, c->outcomes);
    SET_COUNT(m, stores, c->stores);
    SET_COUNT(m, agents, c->agents);
    SET_COUNT(m, bytes, c->bytes);
    return m;
}

static ProtobufCMessage *usage_answer(struct api_call *x)
{
    const struct usage_out *out = &DATA(struct usage, x)->out;
    Qmn__V1__Usage *m = out_new(x, &qmn__v1__usage__descriptor);
    if (!m)
        return NULL;
    m->tenant_id = out_text(x, out->tenant_id);
    m->plan_tier = out_word(label_name(plan_tier_names, out->plan));
    m->current_usage = out_counts(x, &out->current);
    m->quota = out_counts(x, &out->quota);
    m->quota_remaining = out_counts(x, &out->remaining);
    SET(m, nutrients_sent, out->nutrients_total);
    SET(m, contexts_collected, out->collects_total);
    SET_TIME(m, resets_at, out->resets_ms);
    return &m->base;
}

const struct operation op_usage = {
    .call = "engine_usage",
    .request = &qmn__v1__tenant_ref__descriptor,
    .response = &qmn__v1__usage__descriptor,
    .data_size = sizeof(struct usage),
    .start = usage_start,
    .answer = usage_answer,
};
