/* SPDX-License-Identifier: MIT
 *
 * The frame of an evaluation: each member of the rules is found in the table of its type, checked
 * for its shape and judged.  What the rules mean stands in dlp.c, abac.c and content.c. */
#include "policy/evaluate.h"

#include <stdarg.h>
#include <stdio.h>

#include "policy/judge_priv.h"

static const struct rule *table_of(enum policy_type type)
{
    switch (type) {
    case POLICY_DLP:
        return dlp_rules;
    case POLICY_RBAC:
        return rbac_rules;
    case POLICY_ABAC:
        return abac_rules;
    case POLICY_RATE_LIMIT:
        return rate_rules;
    case POLICY_CONTENT_FILTER:
        return content_rules;
    }
    return NULL;
}

const struct rule *rule_find(const struct rule *table, struct bytes name)
{
    for (; table->name; table++)
        if (bytes_is(name, table->name))
            return table;
    return NULL;
}

/* ---- recording ---- */

static void add_check(struct judge *j, struct checks *list, struct bytes check)
{
    if (list->count == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : 8;
        struct bytes *items = arena_array(j->arena, struct bytes, cap);
        if (!items) {
            j->broken = true;
            return;
        }
        if (list->count)
            memcpy(items, list->items, list->count * sizeof *items);
        list->items = items;
        list->cap = cap;
    }
    list->items[list->count++] = check;
}

void judge_pass(struct judge *j, struct bytes check)
{
    j->decided = true;
    add_check(j, &j->passed, check);
}

void judge_fail(struct judge *j, struct bytes check, const char *fmt, ...)
{
    char text[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    j->decided = true;
    add_check(j, &j->failed, check);
    if (j->reason.ptr)
        return;
    j->reason = arena_bytes(j->arena, bytes_cstr(text));
    j->broken |= !j->reason.ptr;
}

/* ---- attributes ---- */

static bool cut_prefix(struct bytes *name, struct bytes prefix)
{
    if (!bytes_starts(*name, prefix))
        return false;
    *name = bytes_of(name->ptr + prefix.len, name->len - prefix.len);
    return true;
}

const struct policy_value *judge_attribute(const struct judge *j, struct bytes name,
                                           struct policy_value *scratch)
{
    const struct policy_request *r = j->request;
    const struct policy_value *of = NULL, *found;
    if (bytes_is(name, "action") && r->action.len) {
        *scratch = (struct policy_value){.type = POLICY_TEXT, .text = r->action};
        return scratch;
    }
    found = policy_path(r->context, name); /* the whole name, dots and all */
    if (cut_prefix(&name, BYTES_LIT("subject.")))
        of = r->subject;
    else if (cut_prefix(&name, BYTES_LIT("resource.")))
        of = r->resource;
    else
        cut_prefix(&name, BYTES_LIT("context."));
    const struct policy_value *own = policy_path(of, name);
    if (own)
        return own;
    return found ? found : policy_path(r->context, name);
}

/* ---- shapes ---- */

bool shape_texts(const struct policy_value *v)
{
    if (v->type != POLICY_LIST)
        return false;
    for (const struct policy_value *x = v->first; x; x = x->next)
        if (x->type != POLICY_TEXT || !x->text.len)
            return false;
    return true;
}

bool shape_map(const struct policy_value *v)
{
    return v->type == POLICY_MAP;
}

bool shape_bool(const struct policy_value *v)
{
    return v->type == POLICY_BOOL;
}

bool shape_count(const struct policy_value *v)
{
    return v->type == POLICY_NUMBER && v->number >= 1 && v->number <= 1e15 &&
           v->number == (double)(int64_t)v->number;
}

/* ---- the whole ---- */

static void judge_member(struct judge *j, const struct rule *table, const struct policy_value *v)
{
    const struct rule *rule = rule_find(table, v->name);
    int len = v->name.len > 80 ? 80 : (int)v->name.len;
    if (!rule)
        judge_fail(j, v->name, "the policy has a rule \"%.*s\" that is not known", len,
                   v->name.ptr);
    else if (!rule->shape(v))
        judge_fail(j, v->name, "rule \"%s\" cannot be read; expected %s", rule->name,
                   rule->expected);
    else if (rule->judge)
        rule->judge(j, v);
}

void policy_evaluate(enum policy_type type, const struct policy_value *rules,
                     const struct policy_request *request, struct arena *arena,
                     struct policy_verdict *ret)
{
    struct judge j = {.request = request, .rules = rules, .arena = arena};
    const struct rule *table = table_of(type);
    if (!table || !rules || rules->type != POLICY_MAP) {
        judge_fail(&j, BYTES_LIT("rules"), "the policy's rules cannot be read");
    } else {
        for (const struct policy_value *v = rules->first; v; v = v->next)
            judge_member(&j, table, v);
        if (!j.decided)
            judge_fail(&j, BYTES_LIT("rules"), "the policy has no rule to check");
    }
    if (j.broken)
        j.reason = BYTES_LIT("out of memory while the policy was evaluated");
    bool allowed = !j.broken && !j.failed.count;
    *ret = (struct policy_verdict){
        .allowed = allowed,
        .reason = allowed ? BYTES_LIT("all checks passed") : j.reason,
        .passed = j.passed.items,
        .passed_count = j.passed.count,
        .failed = j.failed.items,
        .failed_count = j.failed.count,
    };
}

static enum qmn_code unknown_rule(const struct rule *table, struct bytes name, struct err *err)
{
    char known[240] = "";
    size_t len = 0;
    for (; table->name && len < sizeof known; table++)
        len +=
            (size_t)snprintf(known + len, sizeof known - len, "%s%s", len ? ", " : "", table->name);
    return err_field(err, QMN_E_INVALID, "rules",
                     "\"%.*s\" is no rule of this type; expected some of %s",
                     name.len > 80 ? 80 : BYTES_FMT(name), known);
}

enum qmn_code policy_rules_check(enum policy_type type, const struct policy_value *rules,
                                 struct err *err)
{
    const struct rule *table = table_of(type);
    if (!table)
        return err_field(err, QMN_E_INVALID, "policy_type",
                         "expected dlp, rbac, abac, rate_limit or content_filter");
    if (rules->type != POLICY_MAP)
        return err_field(err, QMN_E_INVALID, "rules", "expected an object");
    for (const struct policy_value *v = rules->first; v; v = v->next) {
        const struct rule *rule = rule_find(table, v->name);
        char field[64];
        if (!rule)
            return unknown_rule(table, v->name, err);
        if (rule->shape(v))
            continue;
        snprintf(field, sizeof field, "rules.%s", rule->name);
        return err_field(err, QMN_E_INVALID, field, "expected %s", rule->expected);
    }
    return QMN_OK;
}
