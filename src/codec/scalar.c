/* SPDX-License-Identifier: MIT
 *
 * Scalars.  Integers come through a 64-bit value and are then checked against their type; a number
 * with a fraction of zero counts as an integer, because JavaScript and Python clients write 3.0. */
#include "scalar_priv.h"

#include <math.h>
#include <string.h>

#include "base64.h"
#include "json_floats.h"
#include "time_text.h"
#include "utf8.h"

enum { SHOWN_CHARS = 40 }; /* of a refused value, in an error text */

static int shown(struct bytes b)
{
    return (int)(b.len < SHOWN_CHARS ? b.len : SHOWN_CHARS);
}

const char *scalar_expected(const struct plan_field *f)
{
    switch (f->fd->type) {
    case PROTOBUF_C_TYPE_BOOL:
        return "true or false";
    case PROTOBUF_C_TYPE_STRING:
        return "a string";
    case PROTOBUF_C_TYPE_ENUM:
        return "a name";
    case PROTOBUF_C_TYPE_MESSAGE:
        return "an object";
    case PROTOBUF_C_TYPE_BYTES:
        return f->rule->flags & CON_RAW_JSON    ? "an object"
               : f->rule->flags & CON_RAW_VALUE ? "a value"
                                                : "base64";
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_DOUBLE:
        return "a number";
    default:
        return f->rule->flags & CON_TIME ? "an RFC 3339 time" : "an integer";
    }
}

static enum qmn_code mismatch(const struct plan_field *f, const struct json_token *t,
                              struct err *err)
{
    return err_set(err, QMN_E_INVALID, "expected %s, got %s", scalar_expected(f),
                   json_kind_name(t->kind));
}

static enum qmn_code refused(const struct plan_field *f, struct bytes text, struct err *err)
{
    return err_set(err, QMN_E_INVALID, "expected %s, got \"%.*s\"", scalar_expected(f), shown(text),
                   text.ptr);
}

/* |number| as an integer.  False: a fraction, or past 64 bits. */
static bool parse_magnitude(struct bytes number, bool integer, uint64_t *ret)
{
    uint64_t v = 0;
    if (number.len && number.ptr[0] == '-')
        number = bytes_of(number.ptr + 1, number.len - 1);
    if (!integer) {
        const double exact = 9007199254740992.0; /* 2^53: above it doubles skip integers */
        double d;
        if (!double_parse(number, &d) || d > exact || d != floor(d))
            return false;
        *ret = (uint64_t)d;
        return true;
    }
    for (size_t i = 0; i < number.len; i++)
        if (__builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(number.ptr[i] - '0'), &v))
            return false;
    *ret = v;
    return true;
}

static enum qmn_code put_unsigned(struct bytes number, bool integer, size_t size, void *ret,
                                  struct err *err)
{
    uint64_t v, max = size == 4 ? UINT32_MAX : UINT64_MAX;
    bool fits = parse_magnitude(number, integer, &v) && v <= max;
    if (!fits || (number.ptr[0] == '-' && v))
        return err_set(err, QMN_E_INVALID, "expected an integer from 0 to %llu, got %.*s",
                       (unsigned long long)max, shown(number), number.ptr);
    if (size == 4)
        *(uint32_t *)ret = (uint32_t)v;
    else
        *(uint64_t *)ret = v;
    return QMN_OK;
}

static enum qmn_code put_signed(struct bytes number, bool integer, size_t size, void *ret,
                                struct err *err)
{
    uint64_t v, max = size == 4 ? INT32_MAX : INT64_MAX;
    bool negative = number.ptr[0] == '-';
    if (!parse_magnitude(number, integer, &v) || v > max + negative)
        return err_set(err, QMN_E_INVALID, "expected an integer of %zu bits, got %.*s", size * 8,
                       shown(number), number.ptr);
    int64_t s = negative ? (int64_t)(0 - v) : (int64_t)v;
    if (size == 4)
        *(int32_t *)ret = (int32_t)s;
    else
        *(int64_t *)ret = s;
    return QMN_OK;
}

static enum qmn_code put_number(const struct plan_field *f, struct bytes number, bool integer,
                                void *ret, struct err *err)
{
    size_t size = field_size(f->fd->type);
    switch (f->fd->type) {
    case PROTOBUF_C_TYPE_FLOAT:
        return float_parse(number, ret)
                   ? QMN_OK
                   : err_set(err, QMN_E_INVALID, "expected a number within float32, got %.*s",
                             shown(number), number.ptr);
    case PROTOBUF_C_TYPE_DOUBLE:
        return double_parse(number, ret)
                   ? QMN_OK
                   : err_set(err, QMN_E_INVALID, "expected a number within float64, got %.*s",
                             shown(number), number.ptr);
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return put_unsigned(number, integer, size, ret, err);
    default:
        return put_signed(number, integer, size, ret, err);
    }
}

static enum qmn_code put_string(struct bytes text, struct arena *arena, void *ret, struct err *err)
{
    char *s = arena_cstr(arena, text);
    if (!s)
        return err_nomem(err);
    *(char **)ret = s;
    return QMN_OK;
}

static enum qmn_code put_enum(const struct plan_field *f, struct bytes text, void *ret,
                              struct err *err)
{
    const ProtobufCEnumDescriptor *e = f->fd->descriptor;
    char name[64];
    for (unsigned i = 0; i < e->n_values; i++) {
        enum_wire_name(e, e->values[i].name, name, sizeof name);
        if (bytes_is(text, name)) {
            *(int *)ret = e->values[i].value;
            return QMN_OK;
        }
    }
    return err_set(err, QMN_E_INVALID, "expected a name of %s, got \"%.*s\"", e->short_name,
                   shown(text), text.ptr);
}

static enum qmn_code put_base64(const struct plan_field *f, struct bytes text, struct arena *arena,
                                void *ret, struct err *err)
{
    ProtobufCBinaryData data;
    data.data = arena_alloc(arena, base64_room(text) + 1);
    if (!data.data)
        return err_nomem(err);
    if (!base64_decode(text, data.data, &data.len))
        return refused(f, text, err);
    *(ProtobufCBinaryData *)ret = data;
    return QMN_OK;
}

/* Text of a string field, an enum, a time or base64. */
static enum qmn_code put_text(const struct plan_field *f, struct bytes text, struct arena *arena,
                              void *ret, struct err *err)
{
    switch (f->fd->type) {
    case PROTOBUF_C_TYPE_STRING:
        return put_string(text, arena, ret, err);
    case PROTOBUF_C_TYPE_ENUM:
        return put_enum(f, text, ret, err);
    case PROTOBUF_C_TYPE_BYTES:
        return put_base64(f, text, arena, ret, err);
    default: {
        int64_t ms;
        if (!time_parse(text, &ms))
            return refused(f, text, err);
        *(int64_t *)ret = ms;
        return QMN_OK;
    }
    }
}

static bool takes_text(const struct plan_field *f)
{
    ProtobufCType type = f->fd->type;
    return type == PROTOBUF_C_TYPE_STRING || type == PROTOBUF_C_TYPE_ENUM ||
           type == PROTOBUF_C_TYPE_BYTES || (f->rule->flags & CON_TIME);
}

static enum qmn_code put_raw(const struct plan_field *f, struct json_reader *r,
                             const struct json_token *t, void *ret, struct err *err)
{
    struct bytes raw;
    if (f->rule->flags & CON_RAW_JSON ? t->kind != JSON_OBJECT : t->kind == JSON_NULL)
        return mismatch(f, t, err);
    TRY(json_skip(r, t, &raw, err));
    *(ProtobufCBinaryData *)ret =
        (ProtobufCBinaryData){.len = raw.len, .data = (uint8_t *)(uintptr_t)raw.ptr};
    return QMN_OK;
}

enum qmn_code scalar_from_token(const struct plan_field *f, struct json_reader *r,
                                const struct json_token *t, void *ret, struct err *err)
{
    struct bytes text;
    if (f->rule->flags & (CON_RAW_JSON | CON_RAW_VALUE))
        return put_raw(f, r, t, ret, err);
    if (takes_text(f)) {
        if (t->kind != JSON_STRING)
            return mismatch(f, t, err);
        TRY(json_text(r, t, &text, err));
        return put_text(f, text, r->arena, ret, err);
    }
    if (f->fd->type == PROTOBUF_C_TYPE_BOOL) {
        if (t->kind != JSON_TRUE && t->kind != JSON_FALSE)
            return mismatch(f, t, err);
        *(protobuf_c_boolean *)ret = t->kind == JSON_TRUE;
        return QMN_OK;
    }
    if (t->kind != JSON_NUMBER)
        return mismatch(f, t, err);
    return put_number(f, t->text, t->integer, ret, err);
}

static enum qmn_code bool_from_text(const struct plan_field *f, struct bytes text, void *ret,
                                    struct err *err)
{
    bool yes = bytes_is(text, "true") || bytes_is(text, "True") || bytes_is(text, "1");
    bool no = bytes_is(text, "false") || bytes_is(text, "False") || bytes_is(text, "0");
    if (!yes && !no)
        return refused(f, text, err);
    *(protobuf_c_boolean *)ret = yes;
    return QMN_OK;
}

enum qmn_code scalar_from_text(const struct plan_field *f, struct bytes text, struct arena *arena,
                               void *ret, struct err *err)
{
    if (!utf8_valid(text))
        return err_set(err, QMN_E_MALFORMED, "expected valid UTF-8 in %s", f->fd->name);
    if (text.len && memchr(text.ptr, 0, text.len))
        return err_set(err, QMN_E_MALFORMED, "NUL is not allowed in %s", f->fd->name);
    if (takes_text(f) && !(f->rule->flags & (CON_RAW_JSON | CON_RAW_VALUE)))
        return put_text(f, text, arena, ret, err);
    if (f->fd->type == PROTOBUF_C_TYPE_BOOL)
        return bool_from_text(f, text, ret, err);
    /* Numbers and raw JSON have the grammar of JSON here too. */
    struct json_reader r;
    struct json_token t, end;
    json_reader_init(&r, text, arena);
    if (json_next(&r, &t, NULL) != QMN_OK)
        return refused(f, text, err);
    TRY(scalar_from_token(f, &r, &t, ret, err));
    if (json_next(&r, &end, NULL) != QMN_OK)
        return refused(f, text, err);
    return QMN_OK;
}
