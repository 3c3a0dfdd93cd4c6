/* SPDX-License-Identifier: MIT
 *
 * Filters in the style of MongoDB, from JSON to a tree.  The parser goes down the document once and
 * carries its place as text, so that whatever is refused is refused by its path.  How deep, how
 * many and how long is bounded (LIMIT_FILTER_*), since a filter is evaluated under a lock. */
#include "memory_filter_priv.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/suggest.h"
#include "codec/json_floats.h"
#include "codec/json_read.h"
#include "codec/time_text.h"
#include "model/labels.h"

enum { PLACE_CHARS = 1024, SHOWN_CHARS = 40 };

struct parser {
    struct json_reader json;
    struct arena *arena;
    struct err *err;
    uint32_t depth, conditions, values;
    size_t place_len;
    char place[PLACE_CHARS]; /* "filters.$or[1].kind" */
};

/* ---- the fields ---- */

/* What a field is compared with. */
enum what { WHAT_ID = 1, WHAT_QUALITY, WHAT_LABEL, WHAT_TIME, WHAT_ANY };

struct filterable {
    const char *name;
    enum filter_field field;
    enum what what;
    bool optional; /* a memory may lack it; for the others null is no condition */
};

static const struct filterable fields[] = {
    {"kind", FILTER_KIND, WHAT_ID, false},
    {"agent_id", FILTER_AGENT, WHAT_ID, false},
    {"quality", FILTER_QUALITY, WHAT_QUALITY, false},
    {"sensitivity", FILTER_SENSITIVITY, WHAT_LABEL, false},
    {"created_at", FILTER_CREATED, WHAT_TIME, false},
    {"updated_at", FILTER_UPDATED, WHAT_TIME, false},
    {"expires_at", FILTER_EXPIRES, WHAT_TIME, true},
    {"task_id", FILTER_TASK, WHAT_ID, true},
    {"trace_id", FILTER_TRACE, WHAT_ID, true},
    {"metadata.", FILTER_METADATA, WHAT_ANY, true}, /* the beginning of its name */
};
#define FIELD_LIST                                                                                 \
    "kind, agent_id, quality, sensitivity, created_at, updated_at, expires_at, task_id, "          \
    "trace_id, metadata.PATH"

enum { METADATA = ARRAY_LEN(fields) - 1 };

static const char *const operators[] = {"$eq",  "$ne", "$gt",  "$gte",    "$lt",
                                        "$lte", "$in", "$nin", "$exists", "$not"};
#define OPERATOR_LIST "$eq, $ne, $gt, $gte, $lt, $lte, $in, $nin, $exists, $not"
#define ID_OPERATORS  "$eq, $ne, $in, $nin, $exists, $not"

/* The order of `operators`. */
enum op { OP_EQ, OP_NE, OP_GT, OP_GTE, OP_LT, OP_LTE, OP_IN, OP_NIN, OP_EXISTS, OP_NOT, OP_COUNT };

/* ---- the place, and what is wrong there ---- */

static size_t enter(struct parser *p, const char *before, struct bytes name)
{
    size_t was = p->place_len, room = sizeof p->place - was;
    int n = snprintf(p->place + was, room, "%s%.*s", before, BYTES_FMT(name));
    p->place_len = was + (n < 0 ? 0 : (size_t)n < room ? (size_t)n : room - 1);
    return was;
}

static size_t enter_item(struct parser *p, size_t i)
{
    char number[32];
    int n = snprintf(number, sizeof number, "[%zu]", i);
    return enter(p, "", bytes_of(number, n < 0 ? 0 : (size_t)n));
}

static void leave(struct parser *p, size_t was)
{
    p->place_len = was;
    p->place[was] = '\0';
}

/* A place too long for the error's field is told by its end. */
static void QMN_PRINTF(2, 3) tell(struct parser *p, const char *fmt, ...)
{
    char text[sizeof p->err->text], cut[sizeof p->err->field];
    const size_t most = sizeof cut - 1;
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    bool fits = p->place_len <= most;
    snprintf(cut, sizeof cut, "...%s", fits ? "" : p->place + p->place_len - (most - 3));
    err_field(p->err, QMN_E_INVALID, fits ? p->place : cut, "%s", text);
}
#define wrong(p, ...) (tell((p), __VA_ARGS__), QMN_E_INVALID)

static enum qmn_code wrong_value(struct parser *p, const char *expected, const struct json_token *t)
{
    bool shown = t->kind == JSON_STRING || t->kind == JSON_NUMBER;
    if (!shown || t->text.len > SHOWN_CHARS)
        return wrong(p, "expected %s; %s came", expected, json_kind_name(t->kind));
    const char *quote = t->kind == JSON_STRING ? "\"" : "";
    return wrong(p, "expected %s; %s%.*s%s came", expected, quote, BYTES_FMT(t->text), quote);
}

static enum qmn_code wrong_name(struct parser *p, const char *expected, struct bytes name,
                                const char *const *known, size_t count)
{
    char word[64];
    snprintf(word, sizeof word, "%.*s", BYTES_FMT(name));
    const char *near = suggest_word(word, known, count);
    if (near)
        return wrong(p, "expected one of %s; did you mean %s?", expected, near);
    return wrong(p, "expected one of %s", expected);
}

/* ---- nodes ---- */

static struct memory_filter *node(struct parser *p, enum filter_op op)
{
    struct memory_filter *f = arena_new(p->arena, struct memory_filter);
    if (f)
        f->op = op;
    return f;
}

/* The end of a list of nodes. */
struct list {
    const struct memory_filter **end;
};

static void append(struct list *l, struct memory_filter *f)
{
    *l->end = f;
    l->end = &f->next;
}

static enum qmn_code negate(struct parser *p, struct memory_filter **f)
{
    struct memory_filter *n = node(p, FILTER_NOT);
    if (!n)
        return err_nomem(p->err);
    n->parts = *f;
    *f = n;
    return QMN_OK;
}

static enum qmn_code deeper(struct parser *p)
{
    if (p->depth == LIMIT_FILTER_DEPTH)
        return wrong(p, "expected at most %d of $and, $or and $not inside each other",
                     LIMIT_FILTER_DEPTH);
    p->depth++;
    return QMN_OK;
}

static enum qmn_code count_condition(struct parser *p)
{
    if (p->conditions == LIMIT_FILTER_CONDITIONS)
        return wrong(p, "expected at most %d conditions; this is one more",
                     LIMIT_FILTER_CONDITIONS);
    p->conditions++;
    return QMN_OK;
}

/* ---- values ---- */

static enum qmn_code text_value(struct parser *p, const struct filterable *x,
                                const struct json_token *t, struct filter_value *ret)
{
    bool any = x->what == WHAT_ANY;
    size_t most = any ? LIMIT_METADATA_VALUE_BYTES : 4 * LIMIT_ID_CHARS;
    ret->type = FILTER_TEXT;
    TRY(json_text(&p->json, t, &ret->text, p->err));
    if (!any && !ret->text.len)
        return wrong(p, "expected a text that is not empty");
    if (ret->text.len > most)
        return wrong(p, "expected a text of at most %zu bytes; %zu came", most, ret->text.len);
    return QMN_OK;
}

static enum qmn_code id_value(struct parser *p, const struct filterable *x,
                              const struct json_token *t, struct filter_value *ret)
{
    if (t->kind != JSON_STRING)
        return wrong_value(p, "a text", t);
    return text_value(p, x, t, ret);
}

static enum qmn_code quality_value(struct parser *p, const struct json_token *t,
                                   struct filter_value *ret)
{
    ret->type = FILTER_NUMBER;
    if (t->kind != JSON_NUMBER || !double_parse(t->text, &ret->number) ||
        !(ret->number >= 0 && ret->number <= 1))
        return wrong_value(p, "a number from 0 to 1", t);
    return QMN_OK;
}

static enum qmn_code label_value(struct parser *p, const struct json_token *t,
                                 struct filter_value *ret)
{
    ret->type = FILTER_WHOLE;
    if (t->kind == JSON_STRING)
        ret->whole = label_parse(sensitivity_names, t->text);
    if (!ret->whole)
        return wrong_value(p, "public, internal, confidential or secret", t);
    return QMN_OK;
}

static enum qmn_code time_value(struct parser *p, const struct json_token *t,
                                struct filter_value *ret)
{
    struct bytes text;
    ret->type = FILTER_WHOLE;
    if (t->kind != JSON_STRING)
        return wrong_value(p, "a time such as \"2026-11-28T12:00:00Z\"", t);
    TRY(json_text(&p->json, t, &text, p->err));
    if (!time_parse(text, &ret->whole))
        return wrong_value(p, "a time such as \"2026-11-28T12:00:00Z\"", t);
    return QMN_OK;
}

static enum qmn_code any_value(struct parser *p, const struct filterable *x,
                               const struct json_token *t, struct filter_value *ret)
{
    switch (t->kind) {
    case JSON_STRING:
        return text_value(p, x, t, ret);
    case JSON_NUMBER:
        ret->type = FILTER_NUMBER;
        if (double_parse(t->text, &ret->number))
            return QMN_OK;
        return wrong_value(p, "a number in the range of a double", t);
    case JSON_TRUE:
    case JSON_FALSE:
        ret->type = t->kind == JSON_TRUE ? FILTER_TRUE : FILTER_FALSE;
        return QMN_OK;
    default:
        return wrong_value(p, "a text, a number, true, false or null", t);
    }
}

/* Not of null where that is no condition. */
static enum qmn_code value(struct parser *p, const struct filterable *x, const struct json_token *t,
                           struct filter_value *ret)
{
    *ret = (struct filter_value){.type = FILTER_NULL};
    if (t->kind == JSON_NULL && x->optional)
        return QMN_OK;
    switch (x->what) {
    case WHAT_ID:
        return id_value(p, x, t, ret);
    case WHAT_QUALITY:
        return quality_value(p, t, ret);
    case WHAT_LABEL:
        return label_value(p, t, ret);
    case WHAT_TIME:
        return time_value(p, t, ret);
    case WHAT_ANY:
        break;
    }
    return any_value(p, x, t, ret);
}

/* ---- conditions ---- */

/* The field that a name stands for, and its path in metadata. */
struct target {
    const struct filterable *field;
    struct bytes path;
};

static enum qmn_code condition(struct parser *p, const struct target *x, enum filter_op op,
                               struct memory_filter **ret)
{
    struct memory_filter *f = node(p, op);
    if (!f)
        return err_nomem(p->err);
    TRY(count_condition(p));
    f->field = x->field->field;
    f->path = x->path;
    *ret = f;
    return QMN_OK;
}

/* One value: $eq and the four that compare. */
static enum qmn_code compare(struct parser *p, const struct target *x, enum filter_op op,
                             const struct json_token *t, struct memory_filter **ret)
{
    struct filter_value *v = arena_new(p->arena, struct filter_value);
    if (!v)
        return err_nomem(p->err);
    TRY(value(p, x->field, t, v));
    bool ordered = v->type == FILTER_NUMBER || v->type == FILTER_TEXT || v->type == FILTER_WHOLE;
    if (op != FILTER_IN && !ordered)
        return wrong_value(p, x->field->what == WHAT_ANY ? "a number or a text" : "a time", t);
    TRY(condition(p, x, op, ret));
    (*ret)->values = v;
    (*ret)->count = 1;
    return QMN_OK;
}

static enum qmn_code list_of(struct parser *p, const struct target *x, const struct json_token *t,
                             struct memory_filter **ret)
{
    struct filter_value *v = arena_array(p->arena, struct filter_value, LIMIT_FILTER_VALUES);
    size_t n = 0;
    if (!v)
        return err_nomem(p->err);
    if (t->kind != JSON_ARRAY)
        return wrong_value(p, "an array of values", t);
    for (size_t i = 0;; i++) {
        struct json_token item;
        TRY(json_next(&p->json, &item, p->err));
        if (item.kind == JSON_ARRAY_END)
            break;
        size_t was = enter_item(p, i);
        if (p->values++ == LIMIT_FILTER_VALUES)
            return wrong(p, "expected at most %d values in all lists; this is one more",
                         LIMIT_FILTER_VALUES);
        if (item.kind != JSON_NULL || x->field->optional) /* null: no memory lacks it */
            TRY(value(p, x->field, &item, &v[n++]));
        leave(p, was);
    }
    TRY(condition(p, x, FILTER_IN, ret));
    (*ret)->values = v;
    (*ret)->count = n;
    return QMN_OK;
}

static enum qmn_code exists(struct parser *p, const struct target *x, const struct json_token *t,
                            struct memory_filter **ret)
{
    if (t->kind != JSON_TRUE && t->kind != JSON_FALSE)
        return wrong_value(p, "true or false", t);
    TRY(condition(p, x, FILTER_EXISTS, ret));
    return t->kind == JSON_TRUE ? QMN_OK : negate(p, ret);
}

static enum qmn_code operators_of(struct parser *p, const struct target *x,
                                  struct memory_filter **ret);

static enum qmn_code not_of(struct parser *p, const struct target *x, const struct json_token *t,
                            struct memory_filter **ret)
{
    if (t->kind != JSON_OBJECT)
        return wrong_value(p, "an object of operators, as in {\"$not\": {\"$in\": [1, 2]}}", t);
    TRY(deeper(p));
    TRY(operators_of(p, x, ret));
    p->depth--;
    return negate(p, ret);
}

static enum qmn_code find_operator(struct parser *p, const struct target *x, struct bytes name,
                                   enum op *ret)
{
    bool id = x->field->what == WHAT_ID;
    for (size_t i = 0; i < OP_COUNT; i++)
        if (bytes_is(name, operators[i]) && !(id && i >= OP_GT && i <= OP_LTE)) {
            *ret = (enum op)i;
            return QMN_OK;
        }
    if (x->field->what == WHAT_ANY && !(name.len && name.ptr[0] == '$'))
        return wrong(p, "expected an operator such as $eq; a field inside is named by its path, "
                        "as in \"metadata.a.b\"");
    return wrong_name(p, id ? ID_OPERATORS : OPERATOR_LIST, name, operators, OP_COUNT);
}

static enum qmn_code apply(struct parser *p, const struct target *x, enum op op,
                           const struct json_token *t, struct memory_filter **ret)
{
    static const enum filter_op ops[] = {
        [OP_EQ] = FILTER_IN,    [OP_NE] = FILTER_IN,    [OP_GT] = FILTER_ABOVE,
        [OP_GTE] = FILTER_FROM, [OP_LT] = FILTER_BELOW, [OP_LTE] = FILTER_UPTO};
    switch (op) {
    case OP_NOT:
        return not_of(p, x, t, ret);
    case OP_EXISTS:
        return exists(p, x, t, ret);
    case OP_IN:
        return list_of(p, x, t, ret);
    case OP_NIN:
        TRY(list_of(p, x, t, ret));
        return negate(p, ret);
    default:
        TRY(compare(p, x, ops[op], t, ret));
        return op == OP_NE ? negate(p, ret) : QMN_OK;
    }
}

/* {"$gt": 0.5, "$lte": 0.9}, behind its brace: all of it must hold. */
static enum qmn_code operators_of(struct parser *p, const struct target *x,
                                  struct memory_filter **ret)
{
    struct memory_filter *all = node(p, FILTER_AND), *one;
    if (!all)
        return err_nomem(p->err);
    struct list parts = {&all->parts};
    for (size_t i = 0;; i++) {
        struct json_token key, t;
        enum op op = OP_COUNT;
        TRY(json_next(&p->json, &key, p->err));
        if (key.kind == JSON_OBJECT_END && !i)
            return wrong(p, "expected an operator such as $eq; an empty object came");
        if (key.kind == JSON_OBJECT_END)
            break;
        size_t was = enter(p, ".", key.text);
        TRY(json_next(&p->json, &t, p->err));
        TRY(find_operator(p, x, key.text, &op));
        if (t.kind != JSON_NULL || x->field->optional) { /* else it is no condition */
            TRY(apply(p, x, op, &t, &one));
            append(&parts, one);
        }
        leave(p, was);
    }
    *ret = all;
    return QMN_OK;
}

/* ---- objects ---- */

static enum qmn_code object(struct parser *p, struct memory_filter **ret);

/* [{..}, {..}], of $and and $or. */
static enum qmn_code branches(struct parser *p, enum filter_op op, const struct json_token *t,
                              struct memory_filter **ret)
{
    struct memory_filter *f = node(p, op), *one;
    if (!f)
        return err_nomem(p->err);
    if (t->kind != JSON_ARRAY)
        return wrong_value(p, "an array of filters", t);
    struct list parts = {&f->parts};
    for (size_t i = 0;; i++) {
        struct json_token item;
        TRY(json_next(&p->json, &item, p->err));
        if (item.kind == JSON_ARRAY_END && !i)
            return wrong(p, "expected at least one filter; an empty array came");
        if (item.kind == JSON_ARRAY_END)
            break;
        size_t was = enter_item(p, i);
        if (item.kind != JSON_OBJECT)
            return wrong_value(p, "an object", &item);
        TRY(object(p, &one));
        append(&parts, one);
        leave(p, was);
    }
    *ret = f;
    return QMN_OK;
}

static enum qmn_code logic(struct parser *p, struct bytes name, const struct json_token *t,
                           struct memory_filter **ret)
{
    static const char *const names[] = {"$and", "$or", "$not"};
    if (!bytes_is(name, "$and") && !bytes_is(name, "$or") && !bytes_is(name, "$not"))
        return wrong_name(p, "$and, $or, $not and the fields " FIELD_LIST, name, names,
                          ARRAY_LEN(names));
    TRY(deeper(p));
    if (!bytes_is(name, "$not")) {
        TRY(branches(p, bytes_is(name, "$and") ? FILTER_AND : FILTER_OR, t, ret));
    } else {
        if (t->kind != JSON_OBJECT)
            return wrong_value(p, "a filter", t);
        TRY(object(p, ret));
        TRY(negate(p, ret));
    }
    p->depth--;
    return QMN_OK;
}

static bool ends_well(struct bytes path)
{
    for (size_t i = 0; i < path.len; i++)
        if (path.ptr[i] == '.' && (i + 1 == path.len || path.ptr[i + 1] == '.'))
            return false;
    return true;
}

static enum qmn_code find_field(struct parser *p, struct bytes name, struct target *ret)
{
    const char *known[ARRAY_LEN(fields)];
    *ret = (struct target){0};
    if (bytes_starts(name, bytes_cstr(fields[METADATA].name))) {
        if (!ends_well(name))
            return wrong(p, "expected a path of names with one dot between them");
        if (name.len > LIMIT_METADATA_PATH_BYTES)
            return wrong(p, "expected a path of at most %d bytes; %zu came",
                         LIMIT_METADATA_PATH_BYTES, name.len);
        *ret = (struct target){.field = &fields[METADATA], .path = name};
        return QMN_OK;
    }
    for (size_t i = 0; i < METADATA; i++) {
        known[i] = fields[i].name;
        if (bytes_is(name, fields[i].name))
            ret->field = &fields[i];
    }
    known[METADATA] = "metadata.PATH";
    if (!ret->field)
        return wrong_name(p, FIELD_LIST, name, known, ARRAY_LEN(known));
    return QMN_OK;
}

static enum qmn_code member(struct parser *p, struct bytes name, const struct json_token *t,
                            struct list *parts)
{
    struct memory_filter *one;
    struct target x;
    if (name.len && name.ptr[0] == '$') {
        TRY(logic(p, name, t, &one));
    } else {
        TRY(find_field(p, name, &x));
        if (t->kind == JSON_NULL && !x.field->optional)
            return QMN_OK;
        if (t->kind == JSON_OBJECT)
            TRY(operators_of(p, &x, &one));
        else
            TRY(compare(p, &x, FILTER_IN, t, &one));
    }
    append(parts, one);
    return QMN_OK;
}

/* {"kind": .., "$or": [..]}, behind its brace.  The depth is bounded by deeper(). */
static enum qmn_code object(struct parser *p, struct memory_filter **ret)
{
    struct memory_filter *all = node(p, FILTER_AND);
    if (!all)
        return err_nomem(p->err);
    struct list parts = {&all->parts};
    for (;;) {
        struct json_token key, t;
        TRY(json_next(&p->json, &key, p->err));
        if (key.kind == JSON_OBJECT_END)
            break;
        size_t was = enter(p, ".", key.text);
        TRY(json_next(&p->json, &t, p->err));
        TRY(member(p, key.text, &t, &parts));
        leave(p, was);
    }
    *ret = all;
    return QMN_OK;
}

/* ---- a request's filters ---- */

void memory_filters_init(struct memory_filters *f, struct arena *arena)
{
    *f = (struct memory_filters){.all = {.op = FILTER_AND}, .arena = arena};
}

static void also(struct memory_filters *f, struct memory_filter *one)
{
    one->next = f->all.parts;
    f->all.parts = one;
}

enum qmn_code memory_filters_add(struct memory_filters *f, const char *name, struct bytes json,
                                 struct err *err)
{
    struct json_token t;
    struct memory_filter *one;
    if (json.len == 0)
        return QMN_OK;
    struct parser *p = arena_new(f->arena, struct parser);
    if (!p)
        return err_nomem(err);
    p->arena = f->arena;
    p->err = err;
    (void)enter(p, "", bytes_cstr(name));
    json_reader_init(&p->json, json, f->arena);
    TRY(json_next(&p->json, &t, err));
    if (t.kind != JSON_OBJECT)
        return wrong_value(p, "an object", &t);
    TRY(object(p, &one));
    if (one->parts)
        also(f, one);
    return QMN_OK;
}

static enum qmn_code one_value(struct memory_filters *f, enum filter_field field, enum filter_op op,
                               struct filter_value value, struct err *err)
{
    struct memory_filter *one = arena_new(f->arena, struct memory_filter);
    struct filter_value *v = arena_copy(f->arena, &value, sizeof value);
    if (!one || !v)
        return err_nomem(err);
    *one = (struct memory_filter){.op = op, .field = field, .values = v, .count = 1};
    also(f, one);
    return QMN_OK;
}

enum qmn_code memory_filters_text(struct memory_filters *f, enum filter_field field,
                                  struct bytes text, struct err *err)
{
    struct filter_value value = {.type = FILTER_TEXT, .text = text};
    return one_value(f, field, FILTER_IN, value, err);
}

enum qmn_code memory_filters_quality(struct memory_filters *f, double from, struct err *err)
{
    struct filter_value value = {.type = FILTER_NUMBER, .number = from};
    return one_value(f, FILTER_QUALITY, FILTER_FROM, value, err);
}
