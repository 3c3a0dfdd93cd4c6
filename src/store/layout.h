/* SPDX-License-Identifier: MIT
 *
 * What a backend needs to know of a record type beyond its field table, worked out once per
 * process: which fields have a column of their own, which travel sealed in one body, which are
 * unique, and whose tenant a row is.  Any thread. */
#ifndef QMN_STORE_LAYOUT_H
#define QMN_STORE_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "model/record.h"

enum {
    LAYOUT_FIELDS_MAX = 32, /* the widest records have 16 */
    LAYOUT_UNIQUE_MAX = 2,
};

struct layout {
    const struct record_type *type;
    const struct field *tenant; /* the tenant's number; NULL: the kind belongs to the node */
    size_t plain_count;         /* fields in clear, the key first, in table order */
    size_t sealed_count;
    size_t unique_count;
    uint8_t plain[LAYOUT_FIELDS_MAX];
    uint8_t sealed[LAYOUT_FIELDS_MAX];
    uint8_t unique[LAYOUT_UNIQUE_MAX];
    bool int_key; /* the first key field is an integer: max_no and MUT_DELETE_BELOW apply */
};

/* Never NULL for a valid kind. */
const struct layout *store_layout(enum record_kind kind);

static inline bool store_kind_valid(enum record_kind kind)
{
    return (int)kind >= RECORD_META && (int)kind < RECORD_KIND_COUNT;
}

/* The position of unique field `field` in layout->unique, or -1. */
int layout_unique_at(const struct layout *l, size_t field);

/* Whose row it is; 0 for a kind without tenant. */
int64_t layout_tenant_no(const struct layout *l, const void *record);

int64_t record_int(const void *record, const struct field *f);
double record_real(const void *record, const struct field *f);
struct bytes record_bytes(const void *record, const struct field *f);
void record_set_int(void *record, const struct field *f, int64_t v);
void record_set_real(void *record, const struct field *f, double v);
void record_set_bytes(void *record, const struct field *f, struct bytes v);

/* Our own bugs, caught before they are stored: an unknown kind, a real that is not finite, a field
 * of more than STORE_FIELD_MAX bytes (QMN_E_TOO_LARGE). */
enum { STORE_FIELD_MAX = 64 * 1024 * 1024 };
QMN_NODISCARD enum qmn_code record_check(const struct layout *l, const void *record,
                                         struct err *err);

#endif
