/* SPDX-License-Identifier: MIT
 *
 * Filters in the Mongo style, as far as the flat search understands them.  All conditions must
 * hold, so each one only narrows: bounds by the larger minimum, texts by being set once. */
#include "memory_filter_priv.h"

#include <stdio.h>

#include "codec/json_floats.h"
#include "codec/json_read.h"

struct parser {
    struct json_reader json;
    struct memory_filter filter;
    const char *name;
    struct err *err;
};

struct memory_filter memory_filter_any(void)
{
    return (struct memory_filter){
        .quality_min = -1, .quality_above = -1, .quality_max = 2, .quality_below = 2};
}

static enum qmn_code wrong(struct parser *p, const char *field, struct bytes operator,
                           const char * expected)
{
    char path[80];
    snprintf(path, sizeof path, "%s%s%s%s%.*s", p->name, *field ? "." : "",
             field, operator.len ? "." : "", BYTES_FMT(operator));
    return err_field(p->err, QMN_E_INVALID, path, "expected %s", expected);
}

enum qmn_code memory_filter_text(struct bytes *slot, const char *name, const char *field,
                                 struct bytes value, struct err *err)
{
    if (slot->len && !bytes_equal(*slot, value)) {
        char path[80];
        snprintf(path, sizeof path, "%s%s%s", name, *field ? "." : "", field);
        return err_field(err, QMN_E_INVALID, path, "two different values for one condition");
    }
    *slot = value;
    return QMN_OK;
}

static enum qmn_code text_condition(struct parser *p, const char *field, struct bytes operator,
                                    const struct json_token * t, struct bytes *slot)
{
    if (operator.len && !bytes_is(operator, "$eq"))
        return wrong(p, field, operator, "the operator $eq");
    struct bytes value;
    if (t->kind != JSON_STRING)
        return wrong(p, field, operator, "a text");
    TRY(json_text(&p->json, t, &value, p->err));
    if (value.len == 0)
        return wrong(p, field, operator, "a text that is not empty");
    return memory_filter_text(slot, p->name, field, value, p->err);
}

static void raise(double *bound, double value)
{
    if (value > *bound)
        *bound = value;
}

static void lower(double *bound, double value)
{
    if (value < *bound)
        *bound = value;
}

static enum qmn_code quality_condition(struct parser *p, struct bytes operator,
                                       const struct json_token * t)
{
    struct memory_filter *f = &p->filter;
    double value;
    if (t->kind != JSON_NUMBER || !double_parse(t->text, &value) || !(value >= 0 && value <= 1))
        return wrong(p, "quality", operator, "a number from 0 to 1");
    if (operator.len == 0 || bytes_is(operator, "$eq")) {
        raise(&f->quality_min, value);
        lower(&f->quality_max, value);
    } else if (bytes_is(operator, "$gt")) {
        raise(&f->quality_above, value);
    } else if (bytes_is(operator, "$gte")) {
        raise(&f->quality_min, value);
    } else if (bytes_is(operator, "$lt")) {
        lower(&f->quality_below, value);
    } else if (bytes_is(operator, "$lte")) {
        lower(&f->quality_max, value);
    } else {
        return wrong(p, "quality", operator, "$eq, $gt, $gte, $lt or $lte");
    }
    return QMN_OK;
}

enum filter_field { FILTER_KIND = 1, FILTER_AGENT, FILTER_QUALITY };
static const char *const field_names[] = {"", "kind", "agent_id", "quality"};

static enum qmn_code condition(struct parser *p, enum filter_field field, struct bytes operator,
                               const struct json_token * t)
{
    if (t->kind == JSON_NULL)
        return QMN_OK;
    if (field == FILTER_QUALITY)
        return quality_condition(p, operator, t);
    struct bytes *slot = field == FILTER_KIND ? &p->filter.kind : &p->filter.agent_id;
    return text_condition(p, field_names[field], operator, t, slot);
}

/* {"$gt": 0.5, "$lte": 0.9} */
static enum qmn_code operators(struct parser *p, enum filter_field field)
{
    for (;;) {
        struct json_token key, value;
        TRY(json_next(&p->json, &key, p->err));
        if (key.kind == JSON_OBJECT_END)
            return QMN_OK;
        TRY(json_next(&p->json, &value, p->err));
        TRY(condition(p, field, key.text, &value));
    }
}

static enum qmn_code one_field(struct parser *p, struct bytes key)
{
    enum filter_field field = 0;
    for (enum filter_field f = FILTER_KIND; f <= FILTER_QUALITY; f++)
        if (bytes_is(key, field_names[f]))
            field = f;
    if (!field)
        return wrong(p, "", key, "one of kind, agent_id, quality");
    struct json_token value;
    TRY(json_next(&p->json, &value, p->err));
    if (value.kind == JSON_OBJECT)
        return operators(p, field);
    return condition(p, field, (struct bytes){NULL, 0}, &value);
}

enum qmn_code memory_filter_add(struct memory_filter *f, const char *name, struct bytes json,
                                struct arena *arena, struct err *err)
{
    if (json.len == 0)
        return QMN_OK;
    struct parser p = {.filter = *f, .name = name, .err = err};
    struct json_token t;
    json_reader_init(&p.json, json, arena);
    TRY(json_next(&p.json, &t, err));
    if (t.kind != JSON_OBJECT)
        return err_field(err, QMN_E_INVALID, name, "expected an object");
    for (;;) {
        TRY(json_next(&p.json, &t, err));
        if (t.kind == JSON_OBJECT_END)
            break;
        TRY(one_field(&p, t.text));
    }
    *f = p.filter;
    return QMN_OK;
}
