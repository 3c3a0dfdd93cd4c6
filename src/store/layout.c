/* SPDX-License-Identifier: MIT
 *
 * Layouts from the field tables. */
#include "layout.h"

#include <assert.h>
#include <math.h>
#include <pthread.h>
#include <string.h>

static struct layout layouts[RECORD_KIND_COUNT];
static pthread_once_t layouts_once = PTHREAD_ONCE_INIT;

static void layout_build(enum record_kind kind, struct layout *l)
{
    const struct record_type *t = record_type(kind);
    assert(t->field_count <= LAYOUT_FIELDS_MAX && t->key_count >= 1);
    l->type = t;
    l->int_key = t->fields[0].type == FIELD_INT;
    for (size_t i = 0; i < t->field_count; i++) {
        const struct field *f = &t->fields[i];
        bool is_key = f->flags & FIELD_KEY;
        assert(is_key == (i < t->key_count));
        if (f->flags & FIELD_SEALED)
            l->sealed[l->sealed_count++] = (uint8_t)i;
        else
            l->plain[l->plain_count++] = (uint8_t)i;
        if (f->flags & (FIELD_UNIQUE | FIELD_UNIQUE_IN_TENANT)) {
            assert(l->unique_count < LAYOUT_UNIQUE_MAX && !(f->flags & FIELD_SEALED));
            assert(f->type == FIELD_TEXT || f->type == FIELD_BLOB);
            l->unique[l->unique_count++] = (uint8_t)i;
        }
        if (strcmp(f->name, "tenant_no") == 0)
            l->tenant = f;
    }
    if (kind == RECORD_TENANT)
        l->tenant = &t->fields[0];
}

static void layouts_build(void)
{
    for (int k = RECORD_META; k < RECORD_KIND_COUNT; k++)
        layout_build((enum record_kind)k, &layouts[k]);
}

const struct layout *store_layout(enum record_kind kind)
{
    pthread_once(&layouts_once, layouts_build);
    assert(store_kind_valid(kind));
    return &layouts[kind];
}

int layout_unique_at(const struct layout *l, size_t field)
{
    for (size_t i = 0; i < l->unique_count; i++)
        if (l->unique[i] == field)
            return (int)i;
    return -1;
}

int64_t layout_tenant_no(const struct layout *l, const void *record)
{
    return l->tenant ? record_int(record, l->tenant) : 0;
}

int64_t record_int(const void *record, const struct field *f)
{
    int64_t v;
    memcpy(&v, (const char *)record + f->offset, sizeof v);
    return v;
}

double record_real(const void *record, const struct field *f)
{
    double v;
    memcpy(&v, (const char *)record + f->offset, sizeof v);
    return v;
}

struct bytes record_bytes(const void *record, const struct field *f)
{
    struct bytes v;
    memcpy(&v, (const char *)record + f->offset, sizeof v);
    return v;
}

void record_set_int(void *record, const struct field *f, int64_t v)
{
    memcpy((char *)record + f->offset, &v, sizeof v);
}

void record_set_real(void *record, const struct field *f, double v)
{
    memcpy((char *)record + f->offset, &v, sizeof v);
}

void record_set_bytes(void *record, const struct field *f, struct bytes v)
{
    memcpy((char *)record + f->offset, &v, sizeof v);
}

enum qmn_code record_check(const struct layout *l, const void *record, struct err *err)
{
    const struct record_type *t = l->type;
    for (size_t i = 0; i < t->field_count; i++) {
        const struct field *f = &t->fields[i];
        if (f->type == FIELD_INT)
            continue;
        if (f->type == FIELD_REAL) {
            if (!isfinite(record_real(record, f)))
                return err_set(err, QMN_E_INTERNAL, "%s.%s is not a finite number", t->name,
                               f->name);
        } else if (record_bytes(record, f).len > STORE_FIELD_MAX) {
            return err_set(err, QMN_E_TOO_LARGE, "%s.%s has %zu bytes; at most %d can be stored",
                           t->name, f->name, record_bytes(record, f).len, STORE_FIELD_MAX);
        }
    }
    return QMN_OK;
}
