/* SPDX-License-Identifier: MIT
 *
 * JSON Schema (2020-12, as OpenAPI 3.1 has it) of every message, so that the document says what
 * the decoder does: both read the same descriptors and the same constraint rows. */
#include "openapi_priv.h"

#include <math.h>
#include <stdio.h>

#include "codec/constraint.h"
#include "codec/json_encode.h"
#include "qmn/v1/reinforcement.pb-c.h"

enum { MESSAGES_MAX = 192 };

void put_key(struct buf *out, const char *key)
{
    char last = out->len ? out->ptr[out->len - 1] : '{';
    if (last != '{' && last != '[')
        buf_addc(out, ',');
    json_put_string(out, bytes_cstr(key));
    buf_addc(out, ':');
}

void put_member(struct buf *out, const char *key, const char *text)
{
    put_key(out, key);
    json_put_string(out, bytes_cstr(text));
}

static void put_bound(struct buf *out, const char *key, double value)
{
    if (!isfinite(value))
        return;
    put_key(out, key);
    if (value == (double)(int64_t)value)
        json_put_int(out, (int64_t)value);
    else
        json_put_double(out, value);
}

static void put_range(struct buf *out, const char *min, const char *max, struct bounds b)
{
    if (!bounds_set(b))
        return;
    put_bound(out, min, b.min);
    put_bound(out, max, b.max);
}

void schema_ref(struct buf *out, const ProtobufCMessageDescriptor *message)
{
    buf_printf(out, "{\"$ref\":\"#/components/schemas/%s\"}", message->short_name);
}

/* Members "type" and what goes with a scalar of this type. */
static void put_type(struct buf *out, const char *type, bool nullable)
{
    put_key(out, "type");
    if (nullable)
        buf_printf(out, "[\"%s\",\"null\"]", type);
    else
        buf_printf(out, "\"%s\"", type);
}

static void put_string(struct buf *out, const struct constraint *c, struct bounds length,
                       bool nullable)
{
    put_type(out, "string", nullable);
    put_range(out, "minLength", "maxLength", length);
    if (c->pattern != PATTERN_NONE)
        put_member(out, "pattern", constraint_pattern_regex(c->pattern));
    if (!c->one_of)
        return;
    put_key(out, "enum");
    buf_addc(out, '[');
    for (const char *const *name = c->one_of; *name; name++) {
        if (name != c->one_of)
            buf_addc(out, ',');
        json_put_string(out, bytes_cstr(*name));
    }
    buf_adds(out, nullable ? ",null]" : "]");
}

static void put_integer(struct buf *out, const struct constraint *c, struct bounds range,
                        bool is_unsigned, bool nullable)
{
    if (c->flags & CON_TIME) {
        put_type(out, "string", nullable);
        put_member(out, "format", "date-time");
        return;
    }
    put_type(out, "integer", nullable);
    if (is_unsigned && !bounds_set(range))
        put_bound(out, "minimum", 0);
    put_range(out, "minimum", "maximum", range);
}

static void put_bytes(struct buf *out, const struct constraint *c, bool nullable)
{
    if (c->flags & CON_RAW_VALUE)
        return; /* anything */
    if (c->flags & CON_RAW_JSON) {
        put_type(out, "object", nullable);
        return;
    }
    put_type(out, "string", nullable);
    put_member(out, "contentEncoding", "base64");
}

/* The members of one value's schema: of a field, or of one element of a repeated one. */
static void put_value(struct buf *out, const ProtobufCFieldDescriptor *f,
                      const struct constraint *c, struct bounds range, bool nullable)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_BOOL:
        put_type(out, "boolean", nullable);
        break;
    case PROTOBUF_C_TYPE_STRING:
        put_string(out, c, range, nullable);
        break;
    case PROTOBUF_C_TYPE_BYTES:
        put_bytes(out, c, nullable);
        break;
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_DOUBLE:
        put_type(out, "number", nullable);
        put_range(out, "minimum", "maximum", range);
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        put_key(out, "$ref");
        buf_printf(out, "\"#/components/schemas/%s\"",
                   ((const ProtobufCMessageDescriptor *)f->descriptor)->short_name);
        break;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FIXED64:
        put_integer(out, c, range, true, nullable);
        break;
    default:
        put_integer(out, c, range, false, nullable);
    }
}

static void put_default(struct buf *out, const ProtobufCFieldDescriptor *f)
{
    const void *d = f->default_value;
    if (!d || f->label == PROTOBUF_C_LABEL_REPEATED)
        return;
    switch (f->type) {
    case PROTOBUF_C_TYPE_BOOL:
        put_key(out, "default");
        buf_adds(out, *(const protobuf_c_boolean *)d ? "true" : "false");
        break;
    case PROTOBUF_C_TYPE_STRING:
        put_member(out, "default", d);
        break;
    case PROTOBUF_C_TYPE_UINT32:
        put_key(out, "default");
        json_put_int(out, *(const uint32_t *)d);
        break;
    case PROTOBUF_C_TYPE_UINT64:
        put_key(out, "default");
        json_put_int(out, (int64_t) * (const uint64_t *)d);
        break;
    case PROTOBUF_C_TYPE_FLOAT:
        put_key(out, "default");
        json_put_float(out, *(const float *)d);
        break;
    case PROTOBUF_C_TYPE_DOUBLE:
        put_key(out, "default");
        json_put_double(out, *(const double *)d);
        break;
    default:
        break;
    }
}

static void put_map(struct buf *out, const ProtobufCFieldDescriptor *f, const struct constraint *c)
{
    const ProtobufCMessageDescriptor *entry = f->descriptor;
    put_type(out, "object", false);
    put_range(out, "minProperties", "maxProperties", c->range);
    for (unsigned i = 0; i < entry->n_fields; i++) {
        const struct constraint *row = constraint_of(entry, i);
        bool is_key = !strcmp(entry->fields[i].name, "key");
        if (!row)
            continue;
        put_key(out, is_key ? "propertyNames" : "additionalProperties");
        buf_addc(out, '{');
        put_value(out, &entry->fields[i], row, row->range, false);
        buf_addc(out, '}');
    }
}

void schema_field(struct buf *out, const ProtobufCMessageDescriptor *message, unsigned index)
{
    const ProtobufCFieldDescriptor *f = &message->fields[index];
    const struct constraint *c = constraint_of(message, index);
    buf_addc(out, '{');
    if (f->label != PROTOBUF_C_LABEL_REPEATED) {
        put_value(out, f, c, c->range, (c->flags & (CON_NULLABLE | CON_CLEARABLE)) != 0);
    } else if (constraint_is_map(f)) {
        put_map(out, f, c);
    } else {
        struct bounds count = c->range;
        if ((c->flags & CON_REQUIRED) && count.min < 1)
            count = (struct bounds){1, bounds_set(count) ? count.max : (double)INFINITY};
        put_type(out, "array", false);
        put_range(out, "minItems", "maxItems", count);
        put_key(out, "items");
        buf_addc(out, '{');
        put_value(out, f, c, c->each, false);
        buf_addc(out, '}');
    }
    put_default(out, f);
    if (c->about)
        put_member(out, "description", c->about);
    buf_addc(out, '}');
}

static bool is_vector(const ProtobufCFieldDescriptor *f)
{
    return f->label == PROTOBUF_C_LABEL_REPEATED && f->type == PROTOBUF_C_TYPE_FLOAT;
}

/* The field that every route which reads this message from a body takes from its path. */
static const char *path_field_of(const ProtobufCMessageDescriptor *m)
{
    for (size_t i = 0; i < route_count; i++)
        if ((routes[i].input & INPUT_BODY) && routes[i].op->request == m)
            return routes[i].path_field;
    return NULL;
}

static bool in_path(const ProtobufCFieldDescriptor *f, const char *path_field)
{
    return path_field && !strcmp(f->name, path_field);
}

static void put_required(struct buf *out, const ProtobufCMessageDescriptor *m,
                         const char *path_field)
{
    bool any = false;
    for (unsigned i = 0; i < m->n_fields; i++) {
        if (!(constraint_of(m, i)->flags & CON_REQUIRED) || in_path(&m->fields[i], path_field))
            continue;
        if (!any) {
            put_key(out, "required");
            buf_addc(out, '[');
        } else {
            buf_addc(out, ',');
        }
        any = true;
        json_put_string(out, bytes_cstr(m->fields[i].name));
    }
    if (any)
        buf_addc(out, ']');
}

/* A vector, the same in base64, and a text exclude each other; one of them may be needed, or
 * words. */
static void put_either(struct buf *out, const char *vector, bool needed, bool or_query)
{
    if (needed && or_query)
        buf_printf(out,
                   ",\"anyOf\":[{\"required\":[\"%s\"]},{\"required\":[\"%s_b64\"]},"
                   "{\"required\":[\"text\"]},{\"required\":[\"query\"]}]",
                   vector, vector);
    if (needed && !or_query)
        buf_printf(out,
                   ",\"oneOf\":[{\"required\":[\"%s\"]},{\"required\":[\"%s_b64\"]},"
                   "{\"required\":[\"text\"]}]",
                   vector, vector);
    else
        buf_printf(out,
                   ",\"not\":{\"anyOf\":[{\"required\":[\"%s\",\"%s_b64\"]},"
                   "{\"required\":[\"%s\",\"text\"]},{\"required\":[\"%s_b64\",\"text\"]}]}",
                   vector, vector, vector, vector);
}

/* What fields demand of each other, which no row of the constraint table can say. */
static void put_together(struct buf *out, const ProtobufCMessageDescriptor *m)
{
    bool text = protobuf_c_message_descriptor_get_field_by_name(m, "text");
    bool query = protobuf_c_message_descriptor_get_field_by_name(m, "query");
    for (unsigned i = 0; text && i < m->n_fields; i++) {
        uint32_t flags = constraint_of(m, i)->flags;
        if (flags & CON_VECTOR)
            put_either(out, m->fields[i].name, (flags & CON_OR_TEXT) != 0, query);
    }
    if (m == &qmn__v1__record_outcome_request__descriptor)
        buf_adds(out, ",\"anyOf\":[{\"required\":[\"outcome_score\"]},{\"required\":[\"outcome\"],"
                      "\"properties\":{\"outcome\":{\"required\":[\"score\"]}}}]");
}

bool schema_needs_body(const ProtobufCMessageDescriptor *m, const char *path_field)
{
    for (unsigned i = 0; i < m->n_fields; i++)
        if ((constraint_of(m, i)->flags & (CON_REQUIRED | CON_OR_TEXT)) &&
            !in_path(&m->fields[i], path_field))
            return true;
    return false;
}

static void put_message(struct buf *out, const ProtobufCMessageDescriptor *m)
{
    const char *path_field = path_field_of(m);
    put_key(out, m->short_name);
    if (m->n_fields && (constraint_of(m, 0)->flags & CON_BARE_ARRAY)) {
        schema_field(out, m, 0);
        return;
    }
    buf_addc(out, '{');
    put_type(out, "object", false);
    put_key(out, "properties");
    buf_addc(out, '{');
    for (unsigned i = 0; i < m->n_fields; i++) {
        if (in_path(&m->fields[i], path_field))
            continue;
        put_key(out, m->fields[i].name);
        schema_field(out, m, i);
        if (!is_vector(&m->fields[i]))
            continue;
        char name[80];
        snprintf(name, sizeof name, "%s_b64", m->fields[i].name);
        put_key(out, name);
        buf_adds(out, "{\"type\":\"string\",\"contentEncoding\":\"base64\",\"description\":"
                      "\"Little-endian float32, in place of the array.\"}");
    }
    buf_addc(out, '}');
    put_required(out, m, path_field);
    put_together(out, m);
    buf_addc(out, '}');
}

/* ---- which messages ---- */

struct reached {
    const ProtobufCMessageDescriptor *list[MESSAGES_MAX];
    size_t count;
    bool full;
};

static void reach(struct reached *r, const ProtobufCMessageDescriptor *m)
{
    for (size_t i = 0; i < r->count; i++)
        if (r->list[i] == m)
            return;
    if (r->count == MESSAGES_MAX) {
        r->full = true;
        return;
    }
    r->list[r->count++] = m;
}

static void reach_fields(struct reached *r, const ProtobufCMessageDescriptor *m)
{
    for (unsigned i = 0; i < m->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &m->fields[i];
        if (f->type == PROTOBUF_C_TYPE_MESSAGE && !constraint_is_map(f))
            reach(r, f->descriptor);
    }
}

#define PROBLEM_SCHEMA                                                                             \
    "{\"type\":\"object\",\"description\":\"RFC 9457 problem details.\",\"properties\":{"          \
    "\"type\":{\"type\":\"string\"},\"title\":{\"type\":\"string\"},"                              \
    "\"status\":{\"type\":\"integer\"},\"detail\":{\"type\":\"string\"},"                          \
    "\"code\":{\"type\":\"string\",\"description\":\"Stable, for programs.\"},"                    \
    "\"field\":{\"type\":\"string\",\"description\":\"The request field at fault.\"}},"            \
    "\"required\":[\"type\",\"title\",\"status\",\"detail\",\"code\"]}"

enum qmn_code schema_components(struct buf *out, struct err *err)
{
    struct reached r = {.count = 0};
    for (size_t i = 0; i < route_count; i++) {
        if (route_takes_body(&routes[i]))
            reach(&r, routes[i].op->request);
        if (routes[i].op->response && routes[i].status != 204)
            reach(&r, routes[i].op->response);
    }
    for (size_t i = 0; i < r.count; i++)
        reach_fields(&r, r.list[i]);
    if (r.full)
        return err_set(err, QMN_E_INTERNAL, "more than %d messages to describe", MESSAGES_MAX);
    buf_addc(out, '{');
    for (size_t i = 0; i < r.count; i++)
        put_message(out, r.list[i]);
    put_key(out, "Problem");
    buf_adds(out, PROBLEM_SCHEMA "}");
    return QMN_OK;
}
