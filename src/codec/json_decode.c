/* SPDX-License-Identifier: MIT
 *
 * The reader's tokens onto a message, along its plan.  What is open is a bounded stack of frames
 * (message, list, map), not the C stack: a hostile nesting costs the sender more than the node, and
 * the path of an error is read off the frames. */
#include "json_decode.h"

#include <endian.h>
#include <string.h>

#include "base64.h"
#include "json_read.h"
#include "path_priv.h"
#include "scalar_priv.h"

enum frame_kind { FRAME_MESSAGE = 1, FRAME_LIST, FRAME_MAP };

struct frame {
    enum frame_kind kind;
    const struct plan *plan;        /* message: of `msg` */
    ProtobufCMessage *msg;          /* the message being filled; list, map: the one that holds it */
    const struct plan_field *field; /* message: now at; list, map: the repeated field */
    uint64_t seen;                  /* message: fields given */
    size_t cap;                     /* list, map: room in the array */
    struct bytes key;               /* map: now at */
};

struct decoder {
    struct json_reader reader;
    struct arena *arena;
    unsigned depth;
    struct frame frames[CODEC_DEPTH * 2]; /* a message and a list or map each */
};

static enum qmn_code fail_at(const struct decoder *d, enum qmn_code code, struct err *err)
{
    struct path path = {.len = 0};
    if (code != QMN_E_INVALID)
        return code;
    for (unsigned i = 0; i < d->depth; i++) {
        const struct frame *f = &d->frames[i];
        if (f->kind == FRAME_MESSAGE && f->field)
            path_name(&path, f->field->name);
        else if (f->kind == FRAME_LIST)
            path_index(&path, *field_count(f->msg, f->field->fd));
        else if (f->kind == FRAME_MAP && f->key.ptr)
            path_name(&path, f->key);
    }
    return path_fail(&path, code, err);
}

static enum qmn_code wanted(const char *expected, const struct json_token *t, struct err *err)
{
    return err_set(err, QMN_E_INVALID, "expected %s, got %s", expected, json_kind_name(t->kind));
}

static enum qmn_code push(struct decoder *d, struct frame f, struct err *err)
{
    if (d->depth == sizeof d->frames / sizeof d->frames[0])
        return err_set(err, QMN_E_INTERNAL, "messages nested deeper than %d", CODEC_DEPTH);
    d->frames[d->depth++] = f;
    return QMN_OK;
}

/* Opens the message `msg` that the token `t` begins. */
static enum qmn_code open_message(struct decoder *d, const struct plan *plan, ProtobufCMessage *msg,
                                  const struct json_token *t, struct err *err)
{
    if (!plan->bare) {
        if (t->kind != JSON_OBJECT)
            return wanted("an object", t, err);
        return push(d, (struct frame){.kind = FRAME_MESSAGE, .plan = plan, .msg = msg}, err);
    }
    if (t->kind != JSON_ARRAY)
        return wanted("an array", t, err);
    *field_count(msg, plan->fields[0].fd) = 0;
    return push(d, (struct frame){.kind = FRAME_LIST, .msg = msg, .field = &plan->fields[0]}, err);
}

static enum qmn_code floats_from_array(struct decoder *d, const struct plan_field *f,
                                       ProtobufCMessage *msg, struct err *err)
{
    float *values;
    size_t count = 0;
    enum qmn_code code = json_floats(&d->reader, f->items_max, &values, &count, err);
    if (code == QMN_E_INVALID) {
        /* The list's frame only lends its index to the path. */
        *field_count(msg, f->fd) = count;
        TRY(push(d, (struct frame){.kind = FRAME_LIST, .msg = msg, .field = f}, err));
        return code;
    }
    TRY(code);
    *field_count(msg, f->fd) = count;
    *(float **)field_member(msg, f->fd) = values;
    return QMN_OK;
}

static enum qmn_code floats_from_base64(struct decoder *d, const struct plan_field *f,
                                        const struct json_token *t, ProtobufCMessage *msg,
                                        struct err *err)
{
    struct bytes text;
    size_t len;
    if (t->kind != JSON_STRING)
        return wanted("base64 of float32", t, err);
    TRY(json_text(&d->reader, t, &text, err));
    if (base64_room(text) / sizeof(float) > f->items_max + 1)
        return err_set(err, QMN_E_INVALID, "expected at most %zu numbers", f->items_max);
    float *values = arena_alloc(d->arena, base64_room(text) + 1);
    if (!values)
        return err_nomem(err);
    if (!base64_decode(text, (uint8_t *)values, &len) || len % sizeof(float))
        return err_set(err, QMN_E_INVALID, "expected base64 (padded) of little-endian float32");
    size_t count = len / sizeof(float);
#if __BYTE_ORDER == __BIG_ENDIAN
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        bits = le32toh(bits);
        memcpy(&values[i], &bits, sizeof bits);
    }
#endif
    if (!floats_finite(values, count))
        return err_set(err, QMN_E_INVALID, "expected finite numbers, got NaN or an infinity");
    *field_count(msg, f->fd) = count;
    *(float **)field_member(msg, f->fd) = values;
    return QMN_OK;
}

static enum qmn_code decode_repeated(struct decoder *d, const struct plan_field *f, bool base64,
                                     const struct json_token *t, ProtobufCMessage *msg,
                                     struct err *err)
{
    if (base64)
        return floats_from_base64(d, f, t, msg, err);
    if (t->kind != (f->map ? JSON_OBJECT : JSON_ARRAY))
        return wanted(f->map ? "an object" : "an array", t, err);
    if (f->fd->type == PROTOBUF_C_TYPE_FLOAT)
        return floats_from_array(d, f, msg, err);
    struct frame list = {.kind = f->map ? FRAME_MAP : FRAME_LIST, .msg = msg, .field = f};
    if (f->rule->flags & CON_CLEARS)
        list.cap = *field_count(msg, f->fd); /* nulls that came before it stand in it already */
    else
        *field_count(msg, f->fd) = 0;
    return push(d, list, err);
}

static enum qmn_code decode_single(struct decoder *d, const struct plan_field *f,
                                   const struct json_token *t, ProtobufCMessage *msg,
                                   struct err *err)
{
    if (f->fd->type == PROTOBUF_C_TYPE_MESSAGE) {
        ProtobufCMessage *inner = message_new(f->fd->descriptor, d->arena);
        if (!inner)
            return err_nomem(err);
        *(ProtobufCMessage **)field_member(msg, f->fd) = inner;
        return open_message(d, f->sub, inner, t, err);
    }
    TRY(scalar_from_token(f, &d->reader, t, field_member(msg, f->fd), err));
    field_set_present(msg, f->fd);
    return QMN_OK;
}

/* A key's field; *ret_base64: it came as <name>_b64. */
static const struct plan_field *find_field(const struct plan *plan, struct bytes key,
                                           bool *ret_base64)
{
    const struct bytes suffix = BYTES_LIT("_b64");
    const struct plan_field *f = plan_find(plan, key);
    *ret_base64 = false;
    if (f || key.len <= suffix.len ||
        !bytes_is(bytes_of(key.ptr + key.len - suffix.len, suffix.len), "_b64"))
        return f;
    f = plan_find(plan, bytes_of(key.ptr, key.len - suffix.len));
    if (!f || f->fd->type != PROTOBUF_C_TYPE_FLOAT || f->fd->label != PROTOBUF_C_LABEL_REPEATED)
        return NULL;
    *ret_base64 = true;
    return f;
}

/* Adds the name of a field that came as null to those that are cleared. */
static enum qmn_code note_null(struct decoder *d, struct frame *frame, const struct plan_field *f,
                               struct err *err)
{
    const ProtobufCFieldDescriptor *fd = frame->plan->cleared->fd;
    size_t count = *field_count(frame->msg, fd);
    const char **names = arena_calloc(d->arena, count + 1, sizeof *names);
    if (!names)
        return err_nomem(err);
    if (count)
        memcpy(names, field_items(frame->msg, fd), count * sizeof *names);
    names[count] = f->fd->name;
    *(void **)field_member(frame->msg, fd) = names;
    *field_count(frame->msg, fd) = count + 1;
    return QMN_OK;
}

static enum qmn_code step_message(struct decoder *d, struct frame *frame, struct err *err)
{
    struct json_token t;
    bool base64;
    frame->field = NULL;
    TRY(json_next(&d->reader, &t, err));
    if (t.kind == JSON_OBJECT_END) {
        d->depth--;
        return QMN_OK;
    }
    const struct plan_field *f = find_field(frame->plan, t.text, &base64);
    TRY(json_next(&d->reader, &t, err));
    if (!f)
        return json_skip(&d->reader, &t, NULL, err);
    frame->field = f;
    if (t.kind == JSON_NULL)
        return f->rule->flags & CON_CLEARABLE ? note_null(d, frame, f, err) : QMN_OK;
    if (frame->seen & UINT64_C(1) << f->index)
        return err_set(err, QMN_E_INVALID, "expected %s or %s_b64, got both", f->fd->name,
                       f->fd->name);
    frame->seen |= UINT64_C(1) << f->index;
    if (f->fd->label == PROTOBUF_C_LABEL_REPEATED)
        return decode_repeated(d, f, base64, &t, frame->msg, err);
    return decode_single(d, f, &t, frame->msg, err);
}

/* Room for one more element; doubles. */
static enum qmn_code reserve_item(struct decoder *d, struct frame *frame, struct err *err)
{
    enum { FIRST = 4 };
    const ProtobufCFieldDescriptor *fd = frame->field->fd;
    size_t count = *field_count(frame->msg, fd), size = field_size(fd->type);
    if (count >= frame->field->items_max)
        return err_set(err, QMN_E_INVALID, "expected at most %zu elements",
                       frame->field->items_max);
    if (count < frame->cap)
        return QMN_OK;
    size_t cap = frame->cap ? frame->cap * 2 : FIRST;
    void *grown = arena_calloc(d->arena, cap, size);
    if (!grown)
        return err_nomem(err);
    if (count)
        memcpy(grown, field_items(frame->msg, fd), count * size);
    *(void **)field_member(frame->msg, fd) = grown;
    frame->cap = cap;
    return QMN_OK;
}

static enum qmn_code step_list(struct decoder *d, struct frame *frame, struct err *err)
{
    const struct plan_field *f = frame->field;
    struct json_token t;
    /* An inner message was finished: only now is it counted, so that paths inside it said its
     * index. */
    if (frame->seen) {
        frame->seen = 0;
        ++*field_count(frame->msg, f->fd);
    }
    TRY(json_next(&d->reader, &t, err));
    if (t.kind == JSON_ARRAY_END) {
        d->depth--;
        return QMN_OK;
    }
    TRY(reserve_item(d, frame, err));
    size_t count = *field_count(frame->msg, f->fd);
    char *slot = (char *)field_items(frame->msg, f->fd) + count * field_size(f->fd->type);
    if (f->fd->type != PROTOBUF_C_TYPE_MESSAGE) {
        TRY(scalar_from_token(f, &d->reader, &t, slot, err));
        ++*field_count(frame->msg, f->fd);
        return QMN_OK;
    }
    ProtobufCMessage *inner = message_new(f->fd->descriptor, d->arena);
    if (!inner)
        return err_nomem(err);
    memcpy(slot, &inner, sizeof inner);
    frame->seen = 1;
    return open_message(d, f->sub, inner, &t, err);
}

static enum qmn_code step_map(struct decoder *d, struct frame *frame, struct err *err)
{
    const struct plan_field *f = frame->field;
    const struct plan_field *key = &f->sub->fields[0], *value = &f->sub->fields[1];
    struct json_token t;
    frame->key = (struct bytes){0};
    TRY(json_next(&d->reader, &t, err));
    if (t.kind == JSON_OBJECT_END) {
        d->depth--;
        return QMN_OK;
    }
    frame->key = t.text;
    TRY(json_next(&d->reader, &t, err));
    if (t.kind == JSON_NULL)
        return QMN_OK;
    TRY(reserve_item(d, frame, err));
    ProtobufCMessage *entry = message_new(f->fd->descriptor, d->arena);
    char *text = arena_cstr(d->arena, frame->key);
    if (!entry || !text)
        return err_nomem(err);
    *(char **)field_member(entry, key->fd) = text;
    ((ProtobufCMessage **)field_items(frame->msg, f->fd))[(*field_count(frame->msg, f->fd))++] =
        entry;
    return decode_single(d, value, &t, entry, err);
}

static enum qmn_code step(struct decoder *d, struct err *err)
{
    struct frame *top = &d->frames[d->depth - 1];
    switch (top->kind) {
    case FRAME_LIST:
        return step_list(d, top, err);
    case FRAME_MAP:
        return step_map(d, top, err);
    default:
        return step_message(d, top, err);
    }
}

static enum qmn_code run(struct decoder *d, const struct plan *plan, ProtobufCMessage *msg,
                         struct err *err)
{
    struct json_token t;
    TRY(json_next(&d->reader, &t, err));
    TRY(open_message(d, plan, msg, &t, err));
    while (d->depth)
        TRY(step(d, err));
    return json_next(&d->reader, &t, err);
}

enum qmn_code json_decode_into(struct bytes text, ProtobufCMessage *msg, struct arena *arena,
                               struct err *err)
{
    struct decoder d QMN_UNINIT; /* 2 KB of frames; the reader clears itself */
    const struct plan *plan = plan_of(msg->descriptor);
    if (!plan)
        return plan_missing(msg->descriptor, err);
    json_reader_init(&d.reader, text, arena);
    d.arena = arena;
    d.depth = 0;
    return fail_at(&d, run(&d, plan, msg, err), err);
}

enum qmn_code json_decode(struct bytes text, const ProtobufCMessageDescriptor *desc,
                          struct arena *arena, ProtobufCMessage **ret, struct err *err)
{
    ProtobufCMessage *msg = message_new(desc, arena);
    if (!msg)
        return err_nomem(err);
    TRY(json_decode_into(text, msg, arena, err));
    TRY(message_check(msg, err));
    *ret = msg;
    return QMN_OK;
}
