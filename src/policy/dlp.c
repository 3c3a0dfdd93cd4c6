/* SPDX-License-Identifier: MIT
 *
 * Rules over labels, agents, roles and capabilities: dlp and rbac. */
#include "policy/judge_priv.h"

static bool is_text(const struct policy_value *v)
{
    return v && v->type == POLICY_TEXT && v->text.len;
}

/* Fails and returns NULL unless the attribute is a text. */
static const struct policy_value *need_text(struct judge *j, struct bytes check, const char *name,
                                            struct policy_value *scratch)
{
    const struct policy_value *v = judge_attribute(j, bytes_cstr(name), scratch);
    if (is_text(v))
        return v;
    judge_fail(j, check, "%s is missing, or is no text", name);
    return NULL;
}

/* ---- labels ---- */

static bool shape_label(const struct policy_value *v)
{
    return v->type == POLICY_TEXT && label_parse(sensitivity_names, v->text) != 0;
}

static uint32_t need_label(struct judge *j, struct bytes check)
{
    struct policy_value scratch;
    const struct policy_value *v = need_text(j, check, "resource.sensitivity", &scratch);
    uint32_t label = v ? label_parse(sensitivity_names, v->text) : 0;
    if (v && !label)
        judge_fail(j, check,
                   "resource.sensitivity is \"%.*s\"; expected public, internal, confidential or "
                   "secret",
                   v->text.len > 40 ? 40 : BYTES_FMT(v->text));
    return label;
}

static void judge_max_sensitivity(struct judge *j, const struct policy_value *v)
{
    uint32_t label = need_label(j, v->name), most = label_parse(sensitivity_names, v->text);
    if (!label)
        return;
    if (label > most)
        judge_fail(j, v->name, "resource.sensitivity is %s, at most %s is allowed",
                   label_name(sensitivity_names, label), label_name(sensitivity_names, most));
    else
        judge_pass(j, v->name);
}

/* ---- roles, agents, capabilities ---- */

/* The subject's roles: a text `role`, a list `roles`, or both. */
struct roles {
    const struct policy_value *one, *many;
    struct policy_value scratch[2];
};

static bool need_roles(struct judge *j, struct bytes check, struct roles *r)
{
    r->one = judge_attribute(j, BYTES_LIT("subject.role"), &r->scratch[0]);
    r->many = judge_attribute(j, BYTES_LIT("subject.roles"), &r->scratch[1]);
    bool ok =
        (r->one || r->many) && (!r->one || is_text(r->one)) && (!r->many || shape_texts(r->many));
    if (!ok)
        judge_fail(j, check, "subject.role (a text) or subject.roles (a list) is missing");
    return ok;
}

static void judge_allowed_roles(struct judge *j, const struct policy_value *v)
{
    struct roles r;
    if (!need_roles(j, v->name, &r))
        return;
    bool ok = r.one && policy_list_has(v, r.one);
    for (const struct policy_value *x = r.many ? r.many->first : NULL; x && !ok; x = x->next)
        ok = policy_list_has(v, x);
    if (ok)
        judge_pass(j, v->name);
    else
        judge_fail(j, v->name, "none of the subject's roles is allowed");
}

static bool any_glob(const struct policy_value *patterns, struct bytes text)
{
    for (const struct policy_value *x = patterns->first; x; x = x->next)
        if (policy_glob(x->text, text, false))
            return true;
    return false;
}

static void judge_allowed_agents(struct judge *j, const struct policy_value *v)
{
    struct policy_value scratch;
    const struct policy_value *id = need_text(j, v->name, "subject.id", &scratch);
    if (!id)
        return;
    if (any_glob(v, id->text))
        judge_pass(j, v->name);
    else
        judge_fail(j, v->name, "agent \"%.*s\" is not among those allowed",
                   id->text.len > 120 ? 120 : BYTES_FMT(id->text));
}

static void judge_capabilities(struct judge *j, const struct policy_value *v)
{
    struct policy_value scratch;
    const struct policy_value *has =
        judge_attribute(j, BYTES_LIT("subject.capabilities"), &scratch);
    if (!has || has->type != POLICY_LIST) {
        judge_fail(j, v->name, "subject.capabilities is missing, or is no list");
        return;
    }
    for (const struct policy_value *x = v->first; x; x = x->next)
        if (!policy_list_has(has, x)) {
            judge_fail(j, v->name, "the subject lacks the capability \"%.*s\"",
                       x->text.len > 120 ? 120 : BYTES_FMT(x->text));
            return;
        }
    judge_pass(j, v->name);
}

static void judge_encryption(struct judge *j, const struct policy_value *v)
{
    struct policy_value scratch;
    const struct policy_value *has = judge_attribute(j, BYTES_LIT("resource.encrypted"), &scratch);
    if (!v->truth || (has && has->type == POLICY_BOOL && has->truth))
        judge_pass(j, v->name);
    else
        judge_fail(j, v->name, "resource.encrypted is not true");
}

/* ---- rules by label ---- */

static const struct rule label_rules[] = {
    {"allowed_roles", "a list of roles", shape_texts, judge_allowed_roles},
    {"allowed_agents", "a list of agent ids or patterns", shape_texts, judge_allowed_agents},
    {"required_capabilities", "a list of capabilities", shape_texts, judge_capabilities},
    {"require_encryption", "true or false", shape_bool, judge_encryption},
    {"blocked_patterns", "a list of patterns", shape_texts, judge_blocked_patterns},
    {0},
};

static bool shape_label_rules(const struct policy_value *v)
{
    if (v->type != POLICY_MAP)
        return false;
    for (const struct policy_value *x = v->first; x; x = x->next) {
        if (!label_parse(sensitivity_names, x->name) || x->type != POLICY_MAP)
            return false;
        for (const struct policy_value *y = x->first; y; y = y->next) {
            const struct rule *rule = rule_find(label_rules, y->name);
            if (!rule || !rule->shape(y))
                return false;
        }
    }
    return true;
}

static void judge_label_rules(struct judge *j, const struct policy_value *v)
{
    uint32_t label = need_label(j, v->name);
    if (!label)
        return;
    const struct policy_value *rules =
        policy_member(v, bytes_cstr(label_name(sensitivity_names, label)));
    for (const struct policy_value *x = rules ? rules->first : NULL; x; x = x->next)
        rule_find(label_rules, x->name)->judge(j, x);
    if (!rules || !rules->first)
        judge_pass(j, v->name); /* this label is not restricted */
}

const struct rule dlp_rules[] = {
    {"max_sensitivity", "public, internal, confidential or secret", shape_label,
     judge_max_sensitivity},
    {"allowed_roles", "a list of roles", shape_texts, judge_allowed_roles},
    {"allowed_agents", "a list of agent ids or patterns", shape_texts, judge_allowed_agents},
    {"required_capabilities", "a list of capabilities", shape_texts, judge_capabilities},
    {"require_encryption", "true or false", shape_bool, judge_encryption},
    {"blocked_patterns", "a list of patterns", shape_texts, judge_blocked_patterns},
    {"sensitivity_rules",
     "an object of labels, each with allowed_roles, allowed_agents, required_capabilities, "
     "require_encryption or blocked_patterns",
     shape_label_rules, judge_label_rules},
    {"actions", "an object", shape_map, NULL},
    {0},
};

/* ---- rbac ---- */

static const struct policy_value *permissions_of(const struct policy_value *role)
{
    return role->type == POLICY_MAP ? policy_member(role, BYTES_LIT("permissions")) : role;
}

static bool shape_roles(const struct policy_value *v)
{
    if (v->type != POLICY_MAP)
        return false;
    for (const struct policy_value *x = v->first; x; x = x->next) {
        const struct policy_value *permissions = permissions_of(x);
        if (!permissions || !shape_texts(permissions))
            return false;
    }
    return true;
}

static bool role_may(const struct policy_value *roles, struct bytes role, struct bytes action)
{
    const struct policy_value *r = policy_member(roles, role);
    return r && any_glob(permissions_of(r), action);
}

static void judge_roles(struct judge *j, const struct policy_value *v)
{
    struct roles r;
    struct policy_value scratch;
    if (!need_roles(j, v->name, &r))
        return;
    const struct policy_value *action = need_text(j, v->name, "action", &scratch);
    if (!action)
        return;
    bool ok = r.one && role_may(v, r.one->text, action->text);
    for (const struct policy_value *x = r.many ? r.many->first : NULL; x && !ok; x = x->next)
        ok = role_may(v, x->text, action->text);
    if (ok)
        judge_pass(j, v->name);
    else
        judge_fail(j, v->name, "no role of the subject permits \"%.*s\"",
                   action->text.len > 120 ? 120 : BYTES_FMT(action->text));
}

const struct rule rbac_rules[] = {
    {"roles", "an object of roles, each a list of permissions", shape_roles, judge_roles},
    {"rbac_roles", "an object of roles, each a list of permissions", shape_roles, judge_roles},
    {"actions", "an object", shape_map, NULL},
    {0},
};
