/* SPDX-License-Identifier: MIT
 *
 * SQL from descriptors: one STRICT table per kind, its fields in clear as columns and its sealed
 * fields as one column `body`.  A single integer key is the rowid; other keys make the table a tree
 * of its own order (WITHOUT ROWID), so no row is stored under two keys.  Names come from our own
 * field tables only; values are always bound. */
#include "sqlite_priv.h"

static const struct field *plain_field(const struct layout *l, size_t i)
{
    return &l->type->fields[l->plain[i]];
}

static bool is_rowid_table(const struct layout *l)
{
    return l->type->key_count == 1 && l->int_key;
}

static const char *column_type(const struct field *f)
{
    static const char *const names[] = {[FIELD_INT] = "INTEGER",
                                        [FIELD_REAL] = "REAL",
                                        [FIELD_TEXT] = "TEXT",
                                        [FIELD_BLOB] = "BLOB"};
    return names[f->type];
}

/* "a", "b": `count` plain columns. */
static void add_columns(const struct layout *l, size_t count, struct buf *out)
{
    for (size_t i = 0; i < count; i++)
        buf_printf(out, "%s\"%s\"", i ? ", " : "", plain_field(l, i)->name);
}

static void add_all_columns(const struct layout *l, struct buf *out)
{
    add_columns(l, l->plain_count, out);
    if (l->sealed_count)
        buf_adds(out, ", body");
}

/* ?first, ... */
static void add_params(size_t first, size_t count, struct buf *out)
{
    for (size_t i = 0; i < count; i++)
        buf_printf(out, "%s?%zu", i ? ", " : "", first + i);
}

/* ("a", "b") op (?1, ?2) */
static void add_key_test(const struct layout *l, const char *op, struct buf *out)
{
    size_t n = l->type->key_count;
    buf_addc(out, '(');
    add_columns(l, n, out);
    buf_printf(out, ") %s (", op);
    add_params(1, n, out);
    buf_addc(out, ')');
}

bool sql_table(const struct layout *l, struct buf *out)
{
    buf_printf(out, "CREATE TABLE \"%s\" (", l->type->name);
    for (size_t i = 0; i < l->plain_count; i++) {
        const struct field *f = plain_field(l, i);
        buf_printf(out, "\"%s\" %s NOT NULL%s, ", f->name, column_type(f),
                   i == 0 && is_rowid_table(l) ? " PRIMARY KEY" : "");
    }
    if (l->sealed_count)
        buf_adds(out, "body BLOB NOT NULL, ");
    if (is_rowid_table(l)) {
        out->len -= 2; /* the last comma */
        buf_adds(out, ") STRICT");
    } else {
        buf_adds(out, "PRIMARY KEY (");
        add_columns(l, l->type->key_count, out);
        buf_adds(out, ")) STRICT, WITHOUT ROWID");
    }
    return buf_ok(out);
}

static const char *empty_literal(const struct field *f)
{
    return f->type == FIELD_BLOB ? "x''" : "''";
}

bool sql_unique_index(const struct layout *l, size_t unique, struct buf *out)
{
    const struct field *f = &l->type->fields[l->unique[unique]];
    buf_printf(out, "CREATE UNIQUE INDEX \"%s_%s\" ON \"%s\" (", l->type->name, f->name,
               l->type->name);
    if (f->flags & FIELD_UNIQUE_IN_TENANT)
        buf_printf(out, "\"%s\", ", l->tenant->name);
    buf_printf(out, "\"%s\") WHERE \"%s\" <> %s", f->name, f->name, empty_literal(f));
    return buf_ok(out);
}

/* With unique indexes a replacement must not silently remove another row, as OR REPLACE would.
 * Without them OR REPLACE overwrites in place and is a little cheaper. */
static void put_statement(const struct layout *l, struct buf *out)
{
    buf_printf(out, "INSERT %sINTO \"%s\" (", l->unique_count ? "" : "OR REPLACE ", l->type->name);
    add_all_columns(l, out);
    buf_adds(out, ") VALUES (");
    add_params(1, l->plain_count + (l->sealed_count ? 1 : 0), out);
    buf_addc(out, ')');
    if (!l->unique_count)
        return;
    buf_adds(out, " ON CONFLICT (");
    add_columns(l, l->type->key_count, out);
    buf_adds(out, ") DO UPDATE SET ");
    for (size_t i = l->type->key_count; i < l->plain_count; i++)
        buf_printf(out, "%s\"%s\" = excluded.\"%s\"", i > l->type->key_count ? ", " : "",
                   plain_field(l, i)->name, plain_field(l, i)->name);
    if (l->sealed_count)
        buf_adds(out, ", body = excluded.body");
}

/* The index is named, so that a query that would not use it fails to prepare instead of reading
 * the whole table. */
static void find_statement(const struct layout *l, size_t unique, struct buf *out)
{
    const struct field *f = &l->type->fields[l->unique[unique]];
    buf_adds(out, "SELECT ");
    add_all_columns(l, out);
    buf_printf(out, " FROM \"%s\" INDEXED BY \"%s_%s\" WHERE \"%s\" = ?1 AND \"%s\" <> %s",
               l->type->name, l->type->name, f->name, f->name, f->name, empty_literal(f));
    if (f->flags & FIELD_UNIQUE_IN_TENANT)
        buf_printf(out, " AND \"%s\" = ?2", l->tenant->name);
}

static void select_statement(const struct layout *l, const char *test, struct buf *out)
{
    buf_adds(out, "SELECT ");
    add_all_columns(l, out);
    buf_printf(out, " FROM \"%s\"", l->type->name);
    if (test) {
        buf_adds(out, " WHERE ");
        add_key_test(l, test, out);
    }
    buf_adds(out, " ORDER BY ");
    add_columns(l, l->type->key_count, out);
}

static void delete_statement(const struct layout *l, bool below, bool feed, struct buf *out)
{
    size_t keys = l->type->key_count;
    buf_printf(out, "DELETE FROM \"%s\" WHERE ", l->type->name);
    if (!below) {
        add_key_test(l, "=", out);
    } else {
        buf_addc(out, '(');
        add_columns(l, keys, out);
        buf_adds(out, ") IN (SELECT ");
        add_columns(l, keys, out);
        buf_printf(out, " FROM \"%s\" WHERE ", l->type->name);
        add_key_test(l, "<", out);
        buf_adds(out, " ORDER BY ");
        add_columns(l, keys, out);
        buf_printf(out, " LIMIT ?%zu)", keys + 1);
    }
    if (!feed)
        return;
    buf_adds(out, " RETURNING ");
    add_columns(l, l->plain_count, out);
}

bool sql_statement(const struct layout *l, enum stmt_op op, bool feed, struct buf *out)
{
    switch (op) {
    case STMT_INSERT:
        buf_printf(out, "INSERT INTO \"%s\" (", l->type->name);
        add_all_columns(l, out);
        buf_adds(out, ") VALUES (");
        add_params(1, l->plain_count + (l->sealed_count ? 1 : 0), out);
        buf_addc(out, ')');
        break;
    case STMT_PUT:
        put_statement(l, out);
        break;
    case STMT_DELETE:
    case STMT_DELETE_BELOW:
        delete_statement(l, op == STMT_DELETE_BELOW, feed, out);
        break;
    case STMT_GET:
        select_statement(l, "=", out);
        break;
    case STMT_SCAN:
        select_statement(l, NULL, out);
        break;
    case STMT_SCAN_AFTER:
        select_statement(l, ">", out);
        break;
    case STMT_MAX_NO:
        buf_printf(out, "SELECT max(\"%s\") FROM \"%s\"", plain_field(l, 0)->name, l->type->name);
        break;
    case STMT_FIND_FIRST:
    case STMT_FIND_LAST:
    case STMT_OP_COUNT:
    default:
        find_statement(l, (size_t)op - STMT_FIND_FIRST, out);
    }
    return buf_ok(out);
}
