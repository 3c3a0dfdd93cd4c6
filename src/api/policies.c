/* SPDX-License-Identifier: MIT
 *
 * Policies: stored, listed, evaluated. */
#include "codec/json_encode.h"
#include "codec/json_read.h"
#include "engine/tenancy.h"
#include "model/labels.h"
#include "operations_priv.h"
#include "qmn/v1/identity.pb-c.h"
#include "translate_priv.h"

struct policy_one {
    struct policy_in in;
    struct policy_out out;
};

struct part {
    const char *name;
    struct bytes value;
};

static bool is_blank(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!strchr(" \t\r\n", text.ptr[i]))
            return false;
    return true;
}

/* The text between the braces of an object. */
static struct bytes object_inside(struct bytes object)
{
    const char *from = memchr(object.ptr, '{', object.len);
    const char *to = memrchr(object.ptr, '}', object.len);
    return bytes_of(from + 1, (size_t)(to - from - 1));
}

/* {"a": 1} and two parts make {"a": 1,"conditions":..,"actions":..}.  A name that `rules` holds
 * already makes a duplicate key, which the strict reader refuses. */
static enum qmn_code merge_rules(struct api_call *x, struct bytes rules, const struct part *parts,
                                 size_t count, struct bytes *ret, struct err *err)
{
    CLEANUP(buf_release) struct buf b;
    buf_init(&b, LIMIT_BODY_BYTES);
    buf_addc(&b, '{');
    struct bytes inside = rules.len ? object_inside(rules) : rules;
    bool any = !is_blank(inside);
    if (any)
        buf_addb(&b, inside);
    for (size_t i = 0; i < count; i++) {
        if (!parts[i].value.len)
            continue;
        if (any)
            buf_addc(&b, ',');
        any = true;
        json_put_string(&b, bytes_cstr(parts[i].name));
        buf_addc(&b, ':');
        buf_addb(&b, parts[i].value);
    }
    buf_addc(&b, '}');
    struct bytes merged =
        buf_ok(&b) ? arena_bytes(x->call.arena, buf_bytes(&b)) : (struct bytes){NULL, 0};
    if (!merged.ptr)
        return err_nomem(err);
    enum json_kind kind;
    if (!json_valid(merged, x->call.arena, &kind) || kind != JSON_OBJECT)
        return err_field(err, QMN_E_INVALID, "rules",
                         "expected rules that do not repeat sensitivity_rules, rbac_roles, "
                         "conditions or actions given beside them");
    *ret = merged;
    return QMN_OK;
}

static enum qmn_code in_rules(struct api_call *x, const Qmn__V1__CreatePolicyRequest *m,
                              struct bytes *ret, struct err *err)
{
    const struct part parts[] = {
        {"sensitivity_rules", in_raw(m->has_sensitivity_rules, m->sensitivity_rules)},
        {"rbac_roles", in_raw(m->has_rbac_roles, m->rbac_roles)},
        {"conditions", in_raw(m->has_conditions, m->conditions)},
        {"actions", in_raw(m->has_actions, m->actions)},
    };
    struct bytes rules = in_raw(m->has_rules, m->rules);
    bool split = false;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        split |= parts[i].value.len != 0;
    if (split)
        return merge_rules(x, rules, parts, ARRAY_LEN(parts), ret, err);
    if (rules.len == 0)
        return err_field(err, QMN_E_INVALID, "rules",
                         "expected an object, or sensitivity_rules, rbac_roles, conditions or "
                         "actions; got none of them");
    *ret = rules;
    return QMN_OK;
}

static enum qmn_code create_start(struct api_call *x, struct err *err)
{
    const Qmn__V1__CreatePolicyRequest *m = IN(Qmn__V1__CreatePolicyRequest, x);
    struct policy_one *p = DATA(struct policy_one, x);
    p->in = (struct policy_in){
        .type = label_parse(policy_type_names, in_text(m->policy_type)),
        .name = in_text(m->name),
        .description = in_text(m->description),
        .enabled = m->enabled,
    };
    TRY(in_rules(x, m, &p->in.rules, err));
    engine_create_policy(x->api->engine, &x->call, &p->in, &p->out);
    return QMN_OK;
}

static Qmn__V1__Policy *out_policy(struct api_call *x, const struct policy_out *p)
{
    Qmn__V1__Policy *m = out_new(x, &qmn__v1__policy__descriptor);
    if (!m)
        return NULL;
    m->id = out_text(x, p->id);
    m->tenant_id = out_text(x, p->tenant_id);
    m->name = out_text(x, p->name);
    m->policy_type = out_word(label_name(policy_type_names, p->type));
    SET_RAW(m, rules, p->rules);
    m->description = out_text(x, p->description);
    SET(m, enabled, p->enabled);
    SET_TIME(m, created_at, p->created_ms);
    SET_TIME(m, updated_at, p->updated_ms);
    return m;
}

static ProtobufCMessage *create_answer(struct api_call *x)
{
    Qmn__V1__Policy *m = out_policy(x, &DATA(struct policy_one, x)->out);
    return m ? &m->base : NULL;
}

const struct operation op_policy_create = {
    .call = "engine_create_policy",
    .request = &qmn__v1__create_policy_request__descriptor,
    .response = &qmn__v1__policy__descriptor,
    .data_size = sizeof(struct policy_one),
    .start = create_start,
    .answer = create_answer,
};

struct policy_listing {
    struct policies_out out;
};

static enum qmn_code list_start(struct api_call *x, struct err *err)
{
    (void)err;
    const Qmn__V1__ListPoliciesRequest *m = IN(Qmn__V1__ListPoliciesRequest, x);
    engine_list_policies(x->api->engine, &x->call, in_text(m->tenant_id),
                         label_parse(policy_type_names, in_text(m->policy_type)), m->limit,
                         m->offset, &DATA(struct policy_listing, x)->out);
    return QMN_OK;
}

static Qmn__V1__Policy **out_policies(struct api_call *x, const struct policies_out *out)
{
    Qmn__V1__Policy **list = out_array(x, out->count);
    for (size_t i = 0; list && i < out->count; i++)
        list[i] = out_policy(x, &out->policies[i]);
    return list;
}

static ProtobufCMessage *array_answer(struct api_call *x)
{
    const struct policies_out *out = &DATA(struct policy_listing, x)->out;
    Qmn__V1__PolicyArray *m = out_new(x, &qmn__v1__policy_array__descriptor);
    if (!m)
        return NULL;
    m->n_policies = out->count;
    m->policies = out_policies(x, out);
    return &m->base;
}

const struct operation op_policy_array = {
    .call = "engine_list_policies",
    .request = &qmn__v1__list_policies_request__descriptor,
    .response = &qmn__v1__policy_array__descriptor,
    .data_size = sizeof(struct policy_listing),
    .start = list_start,
    .answer = array_answer,
};

static ProtobufCMessage *list_answer(struct api_call *x)
{
    const struct policies_out *out = &DATA(struct policy_listing, x)->out;
    Qmn__V1__PolicyList *m = out_new(x, &qmn__v1__policy_list__descriptor);
    if (!m)
        return NULL;
    m->n_policies = out->count;
    m->policies = out_policies(x, out);
    SET(m, total, (uint32_t)out->total);
    return &m->base;
}

const struct operation op_policy_list = {
    .call = "engine_list_policies",
    .request = &qmn__v1__list_policies_request__descriptor,
    .response = &qmn__v1__policy_list__descriptor,
    .data_size = sizeof(struct policy_listing),
    .start = list_start,
    .answer = list_answer,
};

struct evaluation {
    struct evaluate_in in;
    struct evaluate_out out;
};

static enum qmn_code evaluate_start(struct api_call *x, struct err *err)
{
    (void)err;
    const Qmn__V1__EvaluatePolicyRequest *m = IN(Qmn__V1__EvaluatePolicyRequest, x);
    struct evaluation *e = DATA(struct evaluation, x);
    e->in = (struct evaluate_in){
        .type = label_parse(policy_type_names, in_text(m->policy_type)),
        .action = in_text(m->action),
        .subject = in_raw(m->has_subject, m->subject),
        .resource = in_raw(m->has_resource, m->resource),
        .context = in_raw(m->has_context, m->context),
    };
    engine_evaluate_policy(x->api->engine, &x->call, &e->in, &e->out);
    return QMN_OK;
}

static char **out_names(struct api_call *x, const struct bytes *names, size_t count)
{
    char **list = out_array(x, count);
    for (size_t i = 0; list && i < count; i++)
        list[i] = out_text(x, names[i]);
    return list;
}

static ProtobufCMessage *evaluate_answer(struct api_call *x)
{
    const struct evaluate_out *out = &DATA(struct evaluation, x)->out;
    Qmn__V1__EvaluatePolicyResponse *m = out_new(x, &qmn__v1__evaluate_policy_response__descriptor);
    if (!m)
        return NULL;
    SET(m, allowed, out->allowed);
    m->action = out_word(out->action);
    m->policy_id = out_text(x, out->policy_id);
    m->reason = out_text(x, out->reason);
    m->n_checks_passed = out->passed_count;
    m->checks_passed = out_names(x, out->passed, out->passed_count);
    m->n_checks_failed = out->failed_count;
    m->checks_failed = out_names(x, out->failed, out->failed_count);
    return &m->base;
}

const struct operation op_policy_evaluate = {
    .call = "engine_evaluate_policy",
    .request = &qmn__v1__evaluate_policy_request__descriptor,
    .response = &qmn__v1__evaluate_policy_response__descriptor,
    .data_size = sizeof(struct evaluation),
    .start = evaluate_start,
    .answer = evaluate_answer,
};
