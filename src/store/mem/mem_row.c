/* SPDX-License-Identifier: MIT
 *
 * Rows of the in-memory store.  Content is packed and sealed as on disk, so whatever holds for the
 * other backends' bytes is exercised here too. */
#include "base/mem.h"
#include "mem_priv.h"

static bool is_bytes(const struct field *f)
{
    return f->type == FIELD_TEXT || f->type == FIELD_BLOB;
}

/* Copies the bytes of all fields in clear to `at` and points the record's copy there. */
static char *copy_plain(const struct layout *l, void *record, char *at)
{
    for (size_t i = 0; i < l->plain_count; i++) {
        const struct field *f = &l->type->fields[l->plain[i]];
        if (!is_bytes(f))
            continue;
        struct bytes v = record_bytes(record, f);
        if (v.len)
            memcpy(at, v.ptr, v.len);
        record_set_bytes(record, f, v.len ? bytes_of(at, v.len) : bytes_of("", 0));
        at += v.len;
    }
    return at;
}

static size_t plain_size(const struct layout *l, const void *record)
{
    size_t size = 0;
    for (size_t i = 0; i < l->plain_count; i++) {
        const struct field *f = &l->type->fields[l->plain[i]];
        size += is_bytes(f) ? record_bytes(record, f).len : 0;
    }
    return size;
}

enum qmn_code mem_row_new(struct store_mem *s, const struct layout *l, const void *record,
                          struct row **ret, struct err *err)
{
    struct bytes body = {0};
    TRY(record_check(l, record, err));
    if (l->sealed_count)
        TRY(record_seal(&s->sealer, l, record, &s->arena, &body, err));
    struct row *row = mem_alloc(sizeof *row + l->type->size + plain_size(l, record) + body.len);
    if (!row)
        return err_nomem(err);
    row->refs = 1;
    row->record = row + 1;
    memcpy(row->record, record, l->type->size);
    char *at = copy_plain(l, row->record, (char *)row->record + l->type->size);
    for (size_t i = 0; i < l->sealed_count; i++) {
        const struct field *f = &l->type->fields[l->sealed[i]];
        if (is_bytes(f)) /* only the body holds it: nothing may be read past the sealer */
            record_set_bytes(row->record, f, (struct bytes){0});
    }
    row->body = bytes_of(at, body.len);
    if (body.len)
        memcpy(at, body.ptr, body.len);
    *ret = row;
    return QMN_OK;
}

enum qmn_code mem_row_read(struct store_mem *s, const struct layout *l, const struct row *row,
                           struct arena *arena, void *ret_record, struct err *err)
{
    union record_any copy;
    memcpy(&copy, row->record, l->type->size);
    char *bytes = arena_alloc(arena, plain_size(l, row->record) + 1);
    struct bytes body = arena_bytes(arena, row->body);
    if (!bytes || !body.ptr)
        return err_nomem(err);
    copy_plain(l, &copy, bytes);
    if (l->sealed_count)
        TRY(record_open(&s->sealer, l, body, arena, &copy, err));
    memcpy(ret_record, &copy, l->type->size);
    return QMN_OK;
}
