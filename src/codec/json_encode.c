/* SPDX-License-Identifier: MIT
 *
 * Messages along their plans, with a bounded stack of frames like the decoder's. */
#include "json_encode.h"

#include "base64.h"
#include "codec_priv.h"

enum frame_kind { FRAME_MESSAGE = 1, FRAME_LIST };

struct frame {
    enum frame_kind kind;
    const struct plan *plan; /* message: of `msg` */
    const ProtobufCMessage *msg;
    const struct plan_field *field; /* list: of messages, or a map */
    size_t next;                    /* message: field; list: element */
    bool first;                     /* nothing written inside yet */
};

struct encoder {
    struct buf *out;
    unsigned depth;
    struct frame frames[CODEC_DEPTH * 2];
};

static enum qmn_code push(struct encoder *e, struct frame f)
{
    if (e->depth == sizeof e->frames / sizeof e->frames[0])
        return QMN_E_INTERNAL;
    f.first = true;
    e->frames[e->depth++] = f;
    return QMN_OK;
}

static void put_unsigned(struct buf *out, uint64_t v)
{
    if (v <= INT64_MAX)
        json_put_int(out, (int64_t)v);
    else
        buf_printf(out, "%llu", (unsigned long long)v);
}

static void put_bytes(struct buf *out, const struct plan_field *f, const ProtobufCBinaryData *data)
{
    struct bytes b = bytes_of(data->data, data->len);
    if (f->rule->flags & (CON_RAW_JSON | CON_RAW_VALUE)) {
        if (b.len)
            buf_addb(out, b);
        else
            buf_adds(out, f->rule->flags & CON_RAW_JSON ? "{}" : "null");
        return;
    }
    buf_addc(out, '"');
    base64_encode(b, out);
    buf_addc(out, '"');
}

static void put_enum(struct buf *out, const ProtobufCEnumDescriptor *desc, int value)
{
    char name[64];
    for (unsigned i = 0; i < desc->n_values; i++) {
        if (desc->values[i].value != value)
            continue;
        enum_wire_name(desc, desc->values[i].name, name, sizeof name);
        json_put_string(out, bytes_cstr(name));
        return;
    }
    json_put_int(out, value); /* of a newer schema */
}

static void put_scalar(struct buf *out, const struct plan_field *f, const void *p)
{
    switch (f->fd->type) {
    case PROTOBUF_C_TYPE_STRING: {
        const char *s = *(char *const *)p;
        json_put_string(out, bytes_cstr(s ? s : ""));
        return;
    }
    case PROTOBUF_C_TYPE_BYTES:
        put_bytes(out, f, p);
        return;
    case PROTOBUF_C_TYPE_BOOL:
        buf_adds(out, *(const protobuf_c_boolean *)p ? "true" : "false");
        return;
    case PROTOBUF_C_TYPE_ENUM:
        put_enum(out, f->fd->descriptor, *(const int *)p);
        return;
    case PROTOBUF_C_TYPE_FLOAT:
        json_put_float(out, *(const float *)p);
        return;
    case PROTOBUF_C_TYPE_DOUBLE:
        json_put_double(out, *(const double *)p);
        return;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        put_unsigned(out, *(const uint32_t *)p);
        return;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        put_unsigned(out, *(const uint64_t *)p);
        return;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        if (f->rule->flags & CON_TIME)
            json_put_time(out, *(const int64_t *)p);
        else
            json_put_int(out, *(const int64_t *)p);
        return;
    default:
        json_put_int(out, *(const int32_t *)p);
        return;
    }
}

static enum qmn_code open_list(struct encoder *e, const ProtobufCMessage *msg,
                               const struct plan_field *f)
{
    buf_addc(e->out, f->map ? '{' : '[');
    if (f->fd->type == PROTOBUF_C_TYPE_MESSAGE)
        return push(e, (struct frame){.kind = FRAME_LIST, .msg = msg, .field = f});
    size_t count = *field_count(msg, f->fd), size = field_size(f->fd->type);
    const char *items = field_items(msg, f->fd);
    for (size_t i = 0; i < count; i++) {
        if (i)
            buf_addc(e->out, ',');
        put_scalar(e->out, f, items + i * size);
    }
    buf_addc(e->out, ']');
    return QMN_OK;
}

static enum qmn_code open_message(struct encoder *e, const struct plan *plan,
                                  const ProtobufCMessage *msg)
{
    if (plan->bare)
        return open_list(e, msg, &plan->fields[0]);
    buf_addc(e->out, '{');
    return push(e, (struct frame){.kind = FRAME_MESSAGE, .plan = plan, .msg = msg});
}

static void comma(struct encoder *e, struct frame *frame)
{
    if (!frame->first)
        buf_addc(e->out, ',');
    frame->first = false;
}

static enum qmn_code put_field(struct encoder *e, struct frame *frame, const struct plan_field *f)
{
    bool present = field_present(frame->msg, f->fd);
    if (!present && !(f->rule->flags & (CON_NULLABLE | CON_ALWAYS)))
        return QMN_OK;
    comma(e, frame);
    buf_addb(e->out, f->json_key);
    const void *member = field_member(frame->msg, f->fd);
    if (!present && (f->rule->flags & CON_NULLABLE)) {
        buf_adds(e->out, "null");
        return QMN_OK;
    }
    if (f->fd->label == PROTOBUF_C_LABEL_REPEATED)
        return open_list(e, frame->msg, f);
    if (f->fd->type == PROTOBUF_C_TYPE_MESSAGE)
        return open_message(e, f->sub,
                            present ? *(ProtobufCMessage *const *)member : f->sub->empty);
    put_scalar(e->out, f, member);
    return QMN_OK;
}

static enum qmn_code step_message(struct encoder *e, struct frame *frame)
{
    unsigned depth = e->depth;
    while (frame->next < frame->plan->desc->n_fields) {
        TRY(put_field(e, frame, &frame->plan->fields[frame->next++]));
        if (e->depth != depth)
            return QMN_OK; /* the nested frame comes first */
    }
    buf_addc(e->out, '}');
    e->depth--;
    return QMN_OK;
}

static enum qmn_code step_list(struct encoder *e, struct frame *frame)
{
    const struct plan_field *f = frame->field;
    if (frame->next == *field_count(frame->msg, f->fd)) {
        buf_addc(e->out, f->map ? '}' : ']');
        e->depth--;
        return QMN_OK;
    }
    const ProtobufCMessage *item =
        ((ProtobufCMessage **)field_items(frame->msg, f->fd))[frame->next++];
    comma(e, frame);
    if (!f->map)
        return open_message(e, f->sub, item);
    const struct plan_field *key = &f->sub->fields[0], *value = &f->sub->fields[1];
    put_scalar(e->out, key, field_member(item, key->fd));
    buf_addc(e->out, ':');
    const void *member = field_member(item, value->fd);
    if (value->fd->type != PROTOBUF_C_TYPE_MESSAGE) {
        put_scalar(e->out, value, member);
        return QMN_OK;
    }
    const ProtobufCMessage *inner = *(ProtobufCMessage *const *)member;
    return open_message(e, value->sub, inner ? inner : value->sub->empty);
}

enum qmn_code json_encode(const ProtobufCMessage *msg, struct buf *out)
{
    struct encoder e QMN_UNINIT; /* 1.5 KB of frames */
    const struct plan *plan = plan_of(msg->descriptor);
    e.out = out;
    e.depth = 0;
    if (!plan)
        return QMN_E_INTERNAL;
    TRY(open_message(&e, plan, msg));
    while (e.depth) {
        struct frame *top = &e.frames[e.depth - 1];
        TRY(top->kind == FRAME_LIST ? step_list(&e, top) : step_message(&e, top));
    }
    return buf_ok(out) ? QMN_OK : QMN_E_NOMEM;
}
