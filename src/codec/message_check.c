/* SPDX-License-Identifier: MIT
 *
 * Constraint rows against a message in memory: the same walk whatever it was decoded from.  Nested
 * messages are an explicit stack. */
#include <math.h>
#include <string.h>

#include "codec_priv.h"
#include "json_decode.h"
#include "json_read.h"
#include "path_priv.h"
#include "utf8.h"

enum { SHOWN_CHARS = 40, LIST_CHARS = 160 };

static const double TIME_MAX = 253402300799999; /* 9999-12-31T23:59:59.999Z */

struct frame {
    const struct plan *plan;
    const ProtobufCMessage *msg;
    unsigned field; /* index, now at */
    size_t item;    /* of a repeated message: the next one; the one at hand is before it */
};

struct checker {
    struct arena *scratch; /* NULL: the content is known to be valid */
    unsigned depth;
    struct frame frames[CODEC_DEPTH];
};

static int shown(const char *s)
{
    size_t n = strnlen(s, SHOWN_CHARS);
    while (n == SHOWN_CHARS && n && ((unsigned char)s[n] & 0xc0) == 0x80)
        n--; /* never half a character */
    return (int)n;
}

static enum qmn_code check_bounds(struct bounds b, double value, const char *unit, struct err *err)
{
    if (!bounds_set(b) || (value >= b.min && value <= b.max))
        return QMN_OK;
    if (b.max == (double)INFINITY)
        return err_set(err, QMN_E_INVALID, "expected at least %.15g%s, got %.15g", b.min, unit,
                       value);
    if (b.min == -(double)INFINITY)
        return err_set(err, QMN_E_INVALID, "expected at most %.15g%s, got %.15g", b.max, unit,
                       value);
    return err_set(err, QMN_E_INVALID, "expected %.15g to %.15g%s, got %.15g", b.min, b.max, unit,
                   value);
}

static enum qmn_code check_one_of(const char *const *one_of, const char *text, struct err *err)
{
    char list[LIST_CHARS] = "";
    size_t n = 0;
    for (const char *const *s = one_of; *s; s++) {
        if (strcmp(*s, text) == 0)
            return QMN_OK;
        size_t len = strlen(*s), sep = n ? 2 : 0;
        if (n + sep + len < sizeof list) {
            memcpy(list + n, ", ", sep);
            memcpy(list + n + sep, *s, len + 1);
            n += sep + len;
        }
    }
    return err_set(err, QMN_E_INVALID, "expected one of %s; got \"%.*s\"", list, shown(text), text);
}

static enum qmn_code check_string(const struct checker *c, const struct constraint *rule,
                                  struct bounds length, const char *text, struct err *err)
{
    struct bytes b = bytes_cstr(text ? text : "");
    if (c->scratch && !utf8_valid(b))
        return err_set(err, QMN_E_INVALID, "expected valid UTF-8");
    if (bounds_set(length))
        TRY(check_bounds(length, (double)utf8_count(b), " characters", err));
    if (rule->pattern && !constraint_pattern_match(rule->pattern, b))
        return err_set(err, QMN_E_INVALID, "expected text matching %s, got \"%.*s\"",
                       constraint_pattern_regex(rule->pattern), shown(b.ptr), b.ptr);
    return rule->one_of ? check_one_of(rule->one_of, b.ptr, err) : QMN_OK;
}

static enum qmn_code check_raw(const struct checker *c, const struct constraint *rule,
                               const ProtobufCBinaryData *data, struct err *err)
{
    enum json_kind kind;
    if (!c->scratch || !(rule->flags & (CON_RAW_JSON | CON_RAW_VALUE)))
        return QMN_OK;
    if (!json_valid(bytes_of(data->data, data->len), c->scratch, &kind))
        return err_set(err, QMN_E_INVALID, "expected valid JSON");
    if (rule->flags & CON_RAW_JSON ? kind != JSON_OBJECT : kind == JSON_NULL)
        return err_set(err, QMN_E_INVALID, "expected a JSON %s",
                       rule->flags & CON_RAW_JSON ? "object" : "value other than null");
    return QMN_OK;
}

static double number_value(ProtobufCType type, const void *p)
{
    switch (type) {
    case PROTOBUF_C_TYPE_FLOAT:
        return (double)*(const float *)p;
    case PROTOBUF_C_TYPE_DOUBLE:
        return *(const double *)p;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        return *(const uint32_t *)p;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return (double)*(const uint64_t *)p;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return (double)*(const int64_t *)p;
    default:
        return *(const int32_t *)p;
    }
}

static enum qmn_code check_value(const struct checker *c, const struct plan_field *f,
                                 struct bounds bounds, const void *value, struct err *err)
{
    const struct constraint *rule = f->rule;
    switch (f->fd->type) {
    case PROTOBUF_C_TYPE_STRING:
        return check_string(c, rule, bounds, *(char *const *)value, err);
    case PROTOBUF_C_TYPE_BYTES: {
        const ProtobufCBinaryData *data = value;
        TRY(check_bounds(bounds, (double)data->len, " bytes", err));
        return check_raw(c, rule, data, err);
    }
    case PROTOBUF_C_TYPE_BOOL:
    case PROTOBUF_C_TYPE_MESSAGE:
        return QMN_OK;
    default: {
        double v = number_value(f->fd->type, value);
        if (!isfinite(v))
            return err_set(err, QMN_E_INVALID, "expected a finite number");
        if ((rule->flags & CON_TIME) && !(v >= 0 && v <= TIME_MAX))
            return err_set(err, QMN_E_INVALID, "expected a time in the years 1970 to 9999");
        return check_bounds(bounds, v, "", err);
    }
    }
}

/* Elements that no row speaks about need no visit, unless they came unchecked off the wire. */
static bool visits_items(const struct checker *c, const struct plan_field *f, const void *items,
                         size_t count)
{
    const struct constraint *rule = f->rule;
    if (f->fd->type == PROTOBUF_C_TYPE_FLOAT && !bounds_set(rule->each))
        return c->scratch && !floats_finite(items, count); /* to find the one */
    return c->scratch || bounds_set(rule->each) || rule->pattern || rule->one_of;
}

static bool all_zero(const float *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (values[i] != 0)
            return false;
    return true;
}

static enum qmn_code check_repeated(const struct checker *c, const struct plan_field *f,
                                    const ProtobufCMessage *msg, size_t *ret_item,
                                    bool *ret_item_set, struct err *err)
{
    size_t count = *field_count(msg, f->fd), size = field_size(f->fd->type);
    const char *items = field_items(msg, f->fd);
    struct bounds range = f->rule->range;
    if (!bounds_set(range))
        range = (struct bounds){0, CODEC_ITEMS};
    TRY(check_bounds(range, (double)count, " elements", err));
    if ((f->rule->flags & CON_VECTOR) && all_zero((const float *)(const void *)items, count))
        return err_set(err, QMN_E_INVALID, "expected a vector, got all zeros");
    if (f->fd->type == PROTOBUF_C_TYPE_MESSAGE || !visits_items(c, f, items, count))
        return QMN_OK;
    *ret_item_set = true;
    for (size_t i = 0; i < count; i++) {
        *ret_item = i;
        TRY(check_value(c, f, f->rule->each, items + i * size, err));
    }
    *ret_item_set = false;
    return QMN_OK;
}

static enum qmn_code fail_at(const struct checker *c, const size_t *item, enum qmn_code code,
                             struct err *err)
{
    struct path path = {.len = 0};
    for (unsigned i = 0; i < c->depth; i++) {
        const struct frame *fr = &c->frames[i];
        const struct plan_field *f = &fr->plan->fields[fr->field];
        /* Inside a map the entry says key or value, which its document does not. */
        bool entry = i > 0 && c->frames[i - 1].plan->fields[c->frames[i - 1].field].map;
        if (!entry && !fr->plan->bare)
            path_name(&path, f->name);
        if (fr->item && f->map) {
            const ProtobufCMessage *e =
                ((ProtobufCMessage **)field_items(fr->msg, f->fd))[fr->item - 1];
            const char *key = *(char **)field_member(e, f->sub->fields[0].fd);
            path_name(&path, bytes_cstr(key ? key : ""));
        } else if (fr->item) {
            path_index(&path, fr->item - 1);
        }
    }
    if (item)
        path_index(&path, *item);
    return path_fail(&path, code, err);
}

static enum qmn_code push(struct checker *c, const struct plan *plan, const ProtobufCMessage *msg,
                          struct err *err)
{
    if (c->depth == CODEC_DEPTH)
        return err_set(err, QMN_E_INVALID, "expected messages nested at most %d deep", CODEC_DEPTH);
    c->frames[c->depth++] = (struct frame){.plan = plan, .msg = msg};
    return QMN_OK;
}

/* The rules of the field itself; nested messages follow. */
static enum qmn_code check_field(struct checker *c, const struct frame *fr,
                                 const struct plan_field *f, struct err *err)
{
    if (!field_present(fr->msg, f->fd)) {
        if (f->rule->flags & CON_REQUIRED)
            return fail_at(c, NULL, err_set(err, QMN_E_INVALID, "required, but it is absent"), err);
        return QMN_OK;
    }
    enum qmn_code code;
    size_t item = 0;
    bool item_set = false;
    if (f->fd->label == PROTOBUF_C_LABEL_REPEATED)
        code = check_repeated(c, f, fr->msg, &item, &item_set, err);
    else
        code = check_value(c, f, f->rule->range, field_member(fr->msg, f->fd), err);
    return code == QMN_OK ? code : fail_at(c, item_set ? &item : NULL, code, err);
}

/* The next nested message of the field at hand; NULL when there is none left. */
static const ProtobufCMessage *next_nested(struct frame *fr, const struct plan_field *f)
{
    if (f->fd->type != PROTOBUF_C_TYPE_MESSAGE)
        return NULL;
    if (f->fd->label == PROTOBUF_C_LABEL_REPEATED) {
        if (fr->item == *field_count(fr->msg, f->fd))
            return NULL;
        return ((ProtobufCMessage **)field_items(fr->msg, f->fd))[fr->item++];
    }
    return *(ProtobufCMessage **)field_member(fr->msg, f->fd);
}

static enum qmn_code run(struct checker *c, const ProtobufCMessage *msg, struct err *err)
{
    const struct plan *plan = plan_of(msg->descriptor);
    bool nested_done = false; /* the message just popped was the single one of its field */
    if (!plan)
        return plan_missing(msg->descriptor, err);
    TRY(push(c, plan, msg, err));
    while (c->depth) {
        struct frame *fr = &c->frames[c->depth - 1];
        if (fr->field == fr->plan->desc->n_fields) {
            c->depth--;
            nested_done = true;
            continue;
        }
        const struct plan_field *f = &fr->plan->fields[fr->field];
        bool repeated = f->fd->label == PROTOBUF_C_LABEL_REPEATED;
        if (!nested_done)
            TRY(check_field(c, fr, f, err));
        const ProtobufCMessage *inner = nested_done && !repeated ? NULL : next_nested(fr, f);
        nested_done = false;
        if (inner) {
            TRY(push(c, f->sub, inner, err));
            continue;
        }
        fr->field++;
        fr->item = 0;
    }
    return QMN_OK;
}

enum qmn_code message_check(const ProtobufCMessage *msg, struct err *err)
{
    struct checker c = {.scratch = NULL};
    return run(&c, msg, err);
}

enum qmn_code message_check_wire(const ProtobufCMessage *msg, struct arena *arena, struct err *err)
{
    struct checker c = {.scratch = arena};
    return run(&c, msg, err);
}
