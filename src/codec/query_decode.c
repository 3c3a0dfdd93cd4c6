/* SPDX-License-Identifier: MIT
 *
 * Query strings (application/x-www-form-urlencoded) and path parameters onto scalar fields. */
#include <string.h>

#include "json_decode.h"
#include "path_priv.h"
#include "scalar_priv.h"
#include "utf8.h"

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Borrowed when nothing was escaped. */
static enum qmn_code unescape(struct bytes raw, struct arena *arena, struct bytes *ret,
                              struct err *err)
{
    char *out = NULL;
    size_t n = 0;
    for (size_t i = 0; i < raw.len; i++) {
        char c = raw.ptr[i];
        if (c == '+' || c == '%') {
            if (!out) {
                out = arena_alloc(arena, raw.len);
                if (!out)
                    return err_nomem(err);
                memcpy(out, raw.ptr, i);
            }
            if (c == '+') {
                c = ' ';
            } else {
                int high = i + 2 < raw.len ? hex_digit(raw.ptr[i + 1]) : -1;
                int low = i + 2 < raw.len ? hex_digit(raw.ptr[i + 2]) : -1;
                if (high < 0 || low < 0)
                    return err_set(err, QMN_E_MALFORMED,
                                   "query: expected two hex digits after '%%'");
                c = (char)(high << 4 | low);
                i += 2;
            }
        }
        if (out)
            out[n] = c;
        n++;
    }
    struct bytes text = out ? bytes_of(out, n) : raw;
    if (!utf8_valid(text))
        return err_set(err, QMN_E_MALFORMED, "query: expected valid UTF-8");
    if (n && memchr(text.ptr, 0, n))
        return err_set(err, QMN_E_MALFORMED, "query: NUL is not allowed");
    *ret = text;
    return QMN_OK;
}

static enum qmn_code set_scalar(ProtobufCMessage *msg, const struct plan_field *f,
                                struct bytes text, struct arena *arena, struct err *err)
{
    enum qmn_code code = scalar_from_text(f, text, arena, field_member(msg, f->fd), err);
    if (code != QMN_OK) {
        struct path path = {.len = 0};
        path_name(&path, f->name);
        return path_fail(&path, code, err);
    }
    field_set_present(msg, f->fd);
    return QMN_OK;
}

static bool is_scalar(const struct plan_field *f)
{
    return f->fd->label != PROTOBUF_C_LABEL_REPEATED && f->fd->type != PROTOBUF_C_TYPE_MESSAGE;
}

static enum qmn_code set_parameter(struct bytes part, const struct plan *plan,
                                   ProtobufCMessage *msg, struct arena *arena, uint64_t *seen,
                                   struct err *err)
{
    const char *equals = memchr(part.ptr, '=', part.len);
    size_t name_len = equals ? (size_t)(equals - part.ptr) : part.len;
    struct bytes name, value = {0};
    TRY(unescape(bytes_of(part.ptr, name_len), arena, &name, err));
    if (equals)
        TRY(unescape(bytes_of(equals + 1, part.len - name_len - 1), arena, &value, err));
    const struct plan_field *f = plan_find(plan, name);
    if (!f)
        return QMN_OK;
    if (!is_scalar(f))
        return err_field(err, QMN_E_INVALID, f->fd->name,
                         "expected it in the body, got a query parameter");
    if (*seen & UINT64_C(1) << f->index)
        return err_field(err, QMN_E_MALFORMED, f->fd->name,
                         "expected one query parameter of this name, got two");
    *seen |= UINT64_C(1) << f->index;
    if (!value.ptr)
        value = bytes_of("", 0);
    return set_scalar(msg, f, value, arena, err);
}

enum qmn_code query_decode_into(struct bytes query, ProtobufCMessage *msg, struct arena *arena,
                                struct err *err)
{
    const struct plan *plan = plan_of(msg->descriptor);
    uint64_t seen = 0;
    if (!plan)
        return plan_missing(msg->descriptor, err);
    while (query.len) {
        const char *stop = memchr(query.ptr, '&', query.len);
        size_t len = stop ? (size_t)(stop - query.ptr) : query.len;
        if (len)
            TRY(set_parameter(bytes_of(query.ptr, len), plan, msg, arena, &seen, err));
        size_t used = stop ? len + 1 : len;
        query = bytes_of(query.ptr + used, query.len - used);
    }
    return QMN_OK;
}

enum qmn_code query_decode(struct bytes query, const ProtobufCMessageDescriptor *desc,
                           struct arena *arena, ProtobufCMessage **ret, struct err *err)
{
    ProtobufCMessage *msg = message_new(desc, arena);
    if (!msg)
        return err_nomem(err);
    TRY(query_decode_into(query, msg, arena, err));
    TRY(message_check(msg, err));
    *ret = msg;
    return QMN_OK;
}

enum qmn_code message_set_text(ProtobufCMessage *msg, const char *field, struct bytes text,
                               struct arena *arena, struct err *err)
{
    const struct plan *plan = plan_of(msg->descriptor);
    if (!plan)
        return plan_missing(msg->descriptor, err);
    const struct plan_field *f = plan_find(plan, bytes_cstr(field));
    if (!f || !is_scalar(f))
        return err_set(err, QMN_E_INTERNAL, "%s has no scalar field %s", plan->desc->name, field);
    return set_scalar(msg, f, text, arena, err);
}
