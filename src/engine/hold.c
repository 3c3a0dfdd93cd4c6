/* SPDX-License-Identifier: MIT
 *
 * Deep copies of stored records, by their descriptors. */
#include "engine/network_priv.h"

#include "base/mem.h"

static struct bytes *bytes_field(void *record, const struct field *f)
{
    return (struct bytes *)(void *)((char *)record + f->offset);
}

static bool has_bytes(const struct field *f)
{
    return f->type == FIELD_TEXT || f->type == FIELD_BLOB;
}

/* Copies the bytes of every field to `out`, which has room, and points the fields there.  Each run
 * is followed by a NUL and starts on 8 bytes, so that vectors are aligned. */
static void copy_bytes(const struct record_type *t, void *record, char *out)
{
    for (size_t i = 0; i < t->field_count; i++) {
        if (!has_bytes(&t->fields[i]))
            continue;
        struct bytes *b = bytes_field(record, &t->fields[i]);
        if (b->len)
            memcpy(out, b->ptr, b->len);
        out[b->len] = 0;
        b->ptr = out;
        out += (b->len + 8) & ~(size_t)7;
    }
}

static size_t bytes_needed(const struct record_type *t, const void *record)
{
    size_t total = 0;
    for (size_t i = 0; i < t->field_count; i++)
        if (has_bytes(&t->fields[i])) {
            struct bytes b;
            memcpy(&b, (const char *)record + t->fields[i].offset, sizeof b);
            total += (b.len + 8) & ~(size_t)7;
        }
    return total;
}

void *record_hold(enum record_kind kind, const void *record)
{
    const struct record_type *t = record_type(kind);
    size_t front = (t->size + 15) & ~(size_t)15;
    char *p = mem_alloc(front + bytes_needed(t, record));
    if (!p)
        return NULL;
    memcpy(p, record, t->size);
    copy_bytes(t, p, p + front);
    return p;
}

bool record_copy(enum record_kind kind, const void *record, struct arena *arena, void *ret)
{
    const struct record_type *t = record_type(kind);
    char *p = arena_alloc(arena, bytes_needed(t, record));
    if (!p)
        return false;
    memcpy(ret, record, t->size);
    copy_bytes(t, ret, p);
    return true;
}
