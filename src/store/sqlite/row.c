/* SPDX-License-Identifier: MIT
 *
 * Records to columns and back. */
#include "sqlite_priv.h"

static enum qmn_code bind_fail(int rc, struct err *err)
{
    return sqlite_fail(NULL, rc, "binding", err);
}

/* A NULL pointer would bind NULL where an empty value is meant. */
static const char *bytes_ptr(struct bytes b)
{
    return b.len ? b.ptr : "";
}

enum qmn_code row_bind_field(sqlite3_stmt *stmt, int at, const struct field *f, const void *record,
                             struct err *err)
{
    int rc;
    if (f->type == FIELD_INT) {
        rc = sqlite3_bind_int64(stmt, at, record_int(record, f));
    } else if (f->type == FIELD_REAL) {
        rc = sqlite3_bind_double(stmt, at, record_real(record, f));
    } else {
        struct bytes v = record_bytes(record, f);
        rc = f->type == FIELD_TEXT
                 ? sqlite3_bind_text64(stmt, at, bytes_ptr(v), v.len, SQLITE_STATIC, SQLITE_UTF8)
                 : sqlite3_bind_blob64(stmt, at, bytes_ptr(v), v.len, SQLITE_STATIC);
    }
    return rc == SQLITE_OK ? QMN_OK : bind_fail(rc, err);
}

enum qmn_code row_bind_key(sqlite3_stmt *stmt, const struct layout *l, const void *record, int at,
                           struct err *err)
{
    for (size_t i = 0; i < l->type->key_count; i++)
        TRY(row_bind_field(stmt, at + (int)i, &l->type->fields[i], record, err));
    return QMN_OK;
}

enum qmn_code row_bind(sqlite3_stmt *stmt, const struct layout *l, const struct sealer *sealer,
                       const void *record, struct arena *arena, struct err *err)
{
    TRY(record_check(l, record, err));
    for (size_t i = 0; i < l->plain_count; i++)
        TRY(row_bind_field(stmt, (int)i + 1, &l->type->fields[l->plain[i]], record, err));
    if (!l->sealed_count)
        return QMN_OK;
    struct bytes body;
    TRY(record_seal(sealer, l, record, arena, &body, err));
    int rc = sqlite3_bind_blob64(stmt, (int)l->plain_count + 1, bytes_ptr(body), body.len,
                                 SQLITE_STATIC);
    return rc == SQLITE_OK ? QMN_OK : bind_fail(rc, err);
}

static int column_type_of(const struct field *f)
{
    static const int types[] = {[FIELD_INT] = SQLITE_INTEGER,
                                [FIELD_REAL] = SQLITE_FLOAT,
                                [FIELD_TEXT] = SQLITE_TEXT,
                                [FIELD_BLOB] = SQLITE_BLOB};
    return types[f->type];
}

/* SQLite's pointer is NULL for an empty value, and also when memory is out. */
static enum qmn_code column_bytes(sqlite3_stmt *stmt, int col, bool text, struct bytes *ret,
                                  struct err *err)
{
    const void *p =
        text ? (const void *)sqlite3_column_text(stmt, col) : sqlite3_column_blob(stmt, col);
    int len = sqlite3_column_bytes(stmt, col);
    if (!p && sqlite3_errcode(sqlite3_db_handle(stmt)) == SQLITE_NOMEM)
        return err_nomem(err);
    *ret = p && len > 0 ? bytes_of(p, (size_t)len) : bytes_of("", 0);
    return QMN_OK;
}

static enum qmn_code read_field(sqlite3_stmt *stmt, int col, const struct layout *l,
                                const struct field *f, void *record, struct err *err)
{
    if (sqlite3_column_type(stmt, col) != column_type_of(f))
        return err_set(err, QMN_E_CORRUPT, "a stored %s.%s has the wrong type", l->type->name,
                       f->name);
    if (f->type == FIELD_INT) {
        record_set_int(record, f, sqlite3_column_int64(stmt, col));
    } else if (f->type == FIELD_REAL) {
        record_set_real(record, f, sqlite3_column_double(stmt, col));
    } else {
        struct bytes v;
        TRY(column_bytes(stmt, col, f->type == FIELD_TEXT, &v, err));
        record_set_bytes(record, f, v);
    }
    return QMN_OK;
}

enum qmn_code row_read_plain(sqlite3_stmt *stmt, const struct layout *l, size_t count, void *record,
                             struct err *err)
{
    for (size_t i = 0; i < count; i++)
        TRY(read_field(stmt, (int)i, l, &l->type->fields[l->plain[i]], record, err));
    return QMN_OK;
}

static enum qmn_code copy_plain(const struct layout *l, struct arena *arena, void *record,
                                struct err *err)
{
    for (size_t i = 0; i < l->plain_count; i++) {
        const struct field *f = &l->type->fields[l->plain[i]];
        if (f->type == FIELD_INT || f->type == FIELD_REAL)
            continue;
        struct bytes v = arena_bytes(arena, record_bytes(record, f));
        if (!v.ptr)
            return err_nomem(err);
        record_set_bytes(record, f, v);
    }
    return QMN_OK;
}

enum qmn_code row_read(sqlite3_stmt *stmt, const struct layout *l, const struct sealer *sealer,
                       bool copy, struct arena *arena, void *ret_record, struct err *err)
{
    union record_any record;
    memset(&record, 0, sizeof record);
    TRY(row_read_plain(stmt, l, l->plain_count, &record, err));
    if (copy)
        TRY(copy_plain(l, arena, &record, err));
    if (l->sealed_count) {
        struct bytes body;
        TRY(column_bytes(stmt, (int)l->plain_count, false, &body, err));
        if (copy)
            body = arena_bytes(arena, body);
        if (!body.ptr)
            return err_nomem(err);
        TRY(record_open(sealer, l, body, arena, &record, err));
    }
    memcpy(ret_record, &record, l->type->size);
    return QMN_OK;
}
