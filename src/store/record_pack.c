/* SPDX-License-Identifier: MIT
 *
 * Packing and unpacking by descriptor.  Reading trusts nothing: the bytes come from a disk. */
#include "record_pack.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    PACK_VERSION = 1,
    VARINT_MAX = 5, /* bytes: lengths below 2^32 */
    INT_BYTES = 8,
};

static size_t varint_size(uint64_t v)
{
    size_t n = 1;
    for (; v >= 0x80; v >>= 7)
        n++;
    return n;
}

static char *put_varint(char *p, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        *p++ = (char)(uint8_t)(v | 0x80);
    *p++ = (char)(uint8_t)v;
    return p;
}

static char *put_u64(char *p, uint64_t v)
{
    for (int i = 0; i < INT_BYTES; i++)
        *p++ = (char)(uint8_t)(v >> (8 * i));
    return p;
}

static bool take_varint(struct bytes *in, uint64_t *ret)
{
    uint64_t v = 0;
    for (size_t i = 0; i < VARINT_MAX && i < in->len; i++) {
        uint8_t c = (uint8_t)in->ptr[i];
        v |= (uint64_t)(c & 0x7f) << (7 * i);
        if (c < 0x80) {
            *in = bytes_of(in->ptr + i + 1, in->len - i - 1);
            *ret = v;
            return true;
        }
    }
    return false;
}

static bool take_bytes(struct bytes *in, size_t len, struct bytes *ret)
{
    if (len > in->len)
        return false;
    *ret = bytes_of(in->ptr, len);
    *in = bytes_of(in->ptr + len, in->len - len);
    return true;
}

static bool take_u64(struct bytes *in, uint64_t *ret)
{
    struct bytes raw;
    if (!take_bytes(in, INT_BYTES, &raw))
        return false;
    uint64_t v = 0;
    for (int i = 0; i < INT_BYTES; i++)
        v |= (uint64_t)(uint8_t)raw.ptr[i] << (8 * i);
    *ret = v;
    return true;
}

static size_t field_size(const void *record, const struct field *f)
{
    if (f->type == FIELD_INT || f->type == FIELD_REAL)
        return INT_BYTES;
    size_t len = record_bytes(record, f).len;
    return varint_size(len) + len;
}

static char *put_field(char *p, const void *record, const struct field *f)
{
    if (f->type == FIELD_INT)
        return put_u64(p, (uint64_t)record_int(record, f));
    if (f->type == FIELD_REAL) {
        double v = record_real(record, f);
        uint64_t bits;
        memcpy(&bits, &v, sizeof bits);
        return put_u64(p, bits);
    }
    struct bytes v = record_bytes(record, f);
    p = put_varint(p, v.len);
    if (v.len)
        memcpy(p, v.ptr, v.len);
    return p + v.len;
}

/* One value as read, before it is known that the whole input is sound. */
union value {
    uint64_t bits;
    struct bytes bytes;
};

static bool take_value(struct bytes *in, const struct field *f, union value *ret)
{
    if (f->type == FIELD_INT || f->type == FIELD_REAL)
        return take_u64(in, &ret->bits);
    uint64_t len;
    return take_varint(in, &len) && take_bytes(in, (size_t)len, &ret->bytes);
}

static void set_value(void *record, const struct field *f, const union value *v)
{
    if (f->type == FIELD_INT) {
        record_set_int(record, f, (int64_t)v->bits);
    } else if (f->type == FIELD_REAL) {
        double d;
        memcpy(&d, &v->bits, sizeof d);
        record_set_real(record, f, d);
    } else {
        record_set_bytes(record, f, v->bytes);
    }
}

enum qmn_code record_pack(const struct layout *l, const void *record, struct arena *arena,
                          struct bytes *ret_packed, struct err *err)
{
    const struct field *fields = l->type->fields;
    size_t size = 1 + varint_size(l->sealed_count);
    for (size_t i = 0; i < l->sealed_count; i++)
        size += field_size(record, &fields[l->sealed[i]]);
    char *start = arena_alloc(arena, size), *p = start;
    if (!start)
        return err_nomem(err);
    *p++ = PACK_VERSION;
    p = put_varint(p, l->sealed_count);
    for (size_t i = 0; i < l->sealed_count; i++)
        p = put_field(p, record, &fields[l->sealed[i]]);
    *ret_packed = bytes_of(start, size);
    return QMN_OK;
}

enum qmn_code record_unpack(const struct layout *l, struct bytes packed, void *record,
                            struct err *err)
{
    const char *name = l->type->name;
    struct bytes in = packed, version;
    union value values[LAYOUT_FIELDS_MAX];
    uint64_t count;
    if (!take_bytes(&in, 1, &version) || version.ptr[0] != PACK_VERSION)
        return err_set(err, QMN_E_CORRUPT, "a %s body is not of format %d", name, PACK_VERSION);
    if (!take_varint(&in, &count) || count > l->sealed_count)
        return err_set(err, QMN_E_CORRUPT, "a %s body does not have %zu fields", name,
                       l->sealed_count);
    for (size_t i = 0; i < l->sealed_count; i++) {
        const struct field *f = &l->type->fields[l->sealed[i]];
        values[i] = (union value){.bytes = bytes_of("", 0)};
        if (f->type == FIELD_INT || f->type == FIELD_REAL)
            values[i].bits = 0;
        if (i < count && !take_value(&in, f, &values[i]))
            return err_set(err, QMN_E_CORRUPT, "a %s body ends inside field %s", name, f->name);
    }
    if (in.len)
        return err_set(err, QMN_E_CORRUPT, "a %s body has %zu bytes after its last field", name,
                       in.len);
    for (size_t i = 0; i < l->sealed_count; i++)
        set_value(record, &l->type->fields[l->sealed[i]], &values[i]);
    return QMN_OK;
}

/* What a row's content is bound to: a body moved to another row, table or tenant opens nowhere. */
static enum qmn_code record_context(const struct layout *l, const void *record, struct arena *arena,
                                    struct bytes *ret, struct err *err)
{
    const struct record_type *t = l->type;
    struct bytes name = bytes_cstr(t->name);
    size_t size = 2 + name.len + INT_BYTES;
    for (size_t i = 0; i < t->key_count; i++)
        size += field_size(record, &t->fields[i]);
    char *start = arena_alloc(arena, size), *p = start;
    if (!start)
        return err_nomem(err);
    *p++ = PACK_VERSION;
    *p++ = (char)name.len;
    memcpy(p, name.ptr, name.len);
    p = put_u64(p + name.len, (uint64_t)layout_tenant_no(l, record));
    for (size_t i = 0; i < t->key_count; i++)
        p = put_field(p, record, &t->fields[i]);
    *ret = bytes_of(start, size);
    return QMN_OK;
}

enum qmn_code record_seal(const struct sealer *sealer, const struct layout *l, const void *record,
                          struct arena *arena, struct bytes *ret_body, struct err *err)
{
    struct bytes packed, context;
    TRY(record_pack(l, record, arena, &packed, err));
    TRY(record_context(l, record, arena, &context, err));
    return sealer->seal(sealer->ctx, layout_tenant_no(l, record), context, packed, arena, ret_body,
                        err);
}

enum qmn_code record_open(const struct sealer *sealer, const struct layout *l, struct bytes body,
                          struct arena *arena, void *record, struct err *err)
{
    struct bytes packed, context;
    TRY(record_context(l, record, arena, &context, err));
    enum qmn_code code =
        sealer->open(sealer->ctx, layout_tenant_no(l, record), context, body, arena, &packed, err);
    if (code == QMN_OK)
        code = record_unpack(l, packed, record, err);
    if (code != QMN_E_CORRUPT)
        return code;
    char name[RECORD_NAME_CHARS];
    record_describe(l, record, name);
    return err_set(err, QMN_E_CORRUPT, "the content of %s is damaged", name);
}

void feed_pack(struct buf *b, enum record_kind kind, bool deleted, const void *record)
{
    const struct layout *l = store_layout(kind);
    const struct record_type *t = l->type;
    bool tenant = l->tenant && !(l->tenant->flags & FIELD_KEY);
    size_t size = (b->len == 0 ? 3u : 2u) + (tenant ? (size_t)INT_BYTES : 0);
    for (size_t i = 0; i < t->key_count; i++)
        size += field_size(record, &t->fields[i]);
    char *p = buf_reserve(b, size);
    if (!p)
        return;
    if (b->len == 0)
        *p++ = PACK_VERSION;
    *p++ = (char)kind;
    *p++ = (char)deleted;
    if (tenant)
        p = put_field(p, record, l->tenant);
    for (size_t i = 0; i < t->key_count; i++)
        p = put_field(p, record, &t->fields[i]);
    b->len += size;
}

static bool feed_take(struct bytes *in, union record_any *ret_key, struct change *ret)
{
    struct bytes head;
    union value v;
    if (!take_bytes(in, 2, &head) || !store_kind_valid((enum record_kind)(uint8_t)head.ptr[0]) ||
        (uint8_t)head.ptr[1] > 1)
        return false;
    ret->kind = (enum record_kind)(uint8_t)head.ptr[0];
    ret->deleted = head.ptr[1];
    const struct layout *l = store_layout(ret->kind);
    memset(ret_key, 0, sizeof *ret_key);
    if (l->tenant && !(l->tenant->flags & FIELD_KEY)) {
        if (!take_value(in, l->tenant, &v))
            return false;
        set_value(ret_key, l->tenant, &v);
    }
    for (size_t i = 0; i < l->type->key_count; i++) {
        if (!take_value(in, &l->type->fields[i], &v))
            return false;
        set_value(ret_key, &l->type->fields[i], &v);
    }
    ret->key = ret_key;
    return true;
}

enum qmn_code feed_unpack(struct bytes batch, int64_t cursor, store_change_fn *fn, void *ctx,
                          struct err *err)
{
    struct bytes in = batch, version;
    if (in.len == 0)
        return QMN_OK; /* a marker: commits went by while no feed was kept */
    if (!take_bytes(&in, 1, &version) || version.ptr[0] != PACK_VERSION)
        return err_set(err, QMN_E_CORRUPT, "change %" PRId64 " is not of format %d", cursor,
                       PACK_VERSION);
    while (in.len) {
        union record_any key;
        struct change change;
        if (!feed_take(&in, &key, &change))
            return err_set(err, QMN_E_CORRUPT, "change %" PRId64 " is damaged", cursor);
        TRY(fn(ctx, cursor, &change, err));
    }
    return QMN_OK;
}

void record_describe(const struct layout *l, const void *record, char ret_text[RECORD_NAME_CHARS])
{
    const struct record_type *t = l->type;
    size_t used = (size_t)snprintf(ret_text, RECORD_NAME_CHARS, "%s", t->name);
    for (size_t i = 0; i < t->key_count && used < RECORD_NAME_CHARS; i++) {
        const struct field *f = &t->fields[i];
        char *at = ret_text + used;
        size_t room = RECORD_NAME_CHARS - used;
        char sep = i ? '/' : ' ';
        int n = f->type == FIELD_INT
                    ? snprintf(at, room, "%c%" PRId64, sep, record_int(record, f))
                    : snprintf(at, room, "%c%.*s", sep, BYTES_FMT(record_bytes(record, f)));
        used += (size_t)n;
    }
}
