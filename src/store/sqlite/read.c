/* SPDX-License-Identifier: MIT
 *
 * Reads, each on a connection of its own: they see the last commit and wait for nobody. */
#include "sqlite_priv.h"

#include <inttypes.h>

enum { SCAN_MAP_BYTES = 1 << 30 };

static enum qmn_code read_one(struct store_sqlite *s, sqlite3_stmt *stmt, const struct layout *l,
                              struct arena *arena, void *ret_record, struct err *err)
{
    int rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        return row_read(stmt, l, &s->sealer, true, arena, ret_record, err);
    if (rc == SQLITE_DONE)
        return err_set(err, QMN_E_NOT_FOUND, "no such %s", l->type->name);
    return sqlite_fail(sqlite3_db_handle(stmt), rc, "reading", err);
}

static enum qmn_code get_on(struct store_sqlite *s, struct dbconn *c, enum record_kind kind,
                            const void *key, struct arena *arena, void *ret_record, struct err *err)
{
    const struct layout *l = store_layout(kind);
    sqlite3_stmt *stmt;
    TRY(dbconn_stmt(c, kind, STMT_GET, &stmt, err));
    TRY(row_bind_key(stmt, l, key, 1, err));
    enum qmn_code code = read_one(s, stmt, l, arena, ret_record, err);
    sqlite3_reset(stmt);
    return code;
}

enum qmn_code sqlite_get(struct store *base, enum record_kind kind, const void *key,
                         struct arena *arena, void *ret_record, struct err *err)
{
    struct store_sqlite *s = (struct store_sqlite *)base;
    struct dbconn *c;
    TRY(reader_take(s, &c, err));
    enum qmn_code code = get_on(s, c, kind, key, arena, ret_record, err);
    reader_give(s, c);
    return code;
}

static enum qmn_code find_bind(struct dbconn *c, enum record_kind kind, size_t unique,
                               const void *probe, sqlite3_stmt **ret, struct err *err)
{
    const struct layout *l = store_layout(kind);
    const struct field *f = &l->type->fields[l->unique[unique]];
    TRY(dbconn_stmt(c, kind, (enum stmt_op)(STMT_FIND_FIRST + unique), ret, err));
    TRY(row_bind_field(*ret, 1, f, probe, err));
    return f->flags & FIELD_UNIQUE_IN_TENANT ? row_bind_field(*ret, 2, l->tenant, probe, err)
                                             : QMN_OK;
}

enum qmn_code sqlite_find(struct store *base, enum record_kind kind, size_t field,
                          const void *probe, struct arena *arena, void *ret_record, struct err *err)
{
    struct store_sqlite *s = (struct store_sqlite *)base;
    const struct layout *l = store_layout(kind);
    int unique = layout_unique_at(l, field);
    if (unique < 0)
        return err_set(err, QMN_E_INTERNAL, "%s has no unique field %zu", l->type->name, field);
    struct dbconn *c;
    sqlite3_stmt *stmt;
    TRY(reader_take(s, &c, err));
    enum qmn_code code = find_bind(c, kind, (size_t)unique, probe, &stmt, err);
    if (code == QMN_OK) {
        code = read_one(s, stmt, l, arena, ret_record, err);
        sqlite3_reset(stmt);
    }
    reader_give(s, c);
    return code;
}

static enum qmn_code scan_rows(struct store_sqlite *s, sqlite3_stmt *stmt, const struct layout *l,
                               store_row_fn *row, void *ctx, struct err *err)
{
    struct arena arena; /* of one row */
    enum qmn_code code = QMN_OK;
    int rc;
    arena_init(&arena, 0);
    while (code == QMN_OK && (rc = sqlite3_step(stmt)) != SQLITE_DONE) {
        union record_any record;
        arena_reset(&arena);
        code = rc == SQLITE_ROW ? row_read(stmt, l, &s->sealer, false, &arena, &record, err)
                                : sqlite_fail(sqlite3_db_handle(stmt), rc, "scanning", err);
        if (code == QMN_OK)
            code = row(ctx, &record, err);
    }
    arena_release(&arena);
    return code;
}

static enum qmn_code scan_on(struct store_sqlite *s, struct dbconn *c, enum record_kind kind,
                             const void *after, store_row_fn *row, void *ctx, struct err *err)
{
    const struct layout *l = store_layout(kind);
    sqlite3_stmt *stmt;
    TRY(dbconn_stmt(c, kind, after ? STMT_SCAN_AFTER : STMT_SCAN, &stmt, err));
    if (after)
        TRY(row_bind_key(stmt, l, after, 1, err));
    enum qmn_code code = scan_rows(s, stmt, l, row, ctx, err);
    sqlite3_reset(stmt);
    return code;
}

static void map_file(struct dbconn *c, sqlite3_int64 bytes)
{
    /* Best effort: without the mapping the scan is only slower. */
    (void)sqlite3_file_control(c->db, "main", SQLITE_FCNTL_MMAP_SIZE, &bytes);
}

enum qmn_code sqlite_scan(struct store *base, enum record_kind kind, const void *after,
                          store_row_fn *row, void *ctx, struct err *err)
{
    struct store_sqlite *s = (struct store_sqlite *)base;
    struct dbconn *c;
    TRY(reader_take(s, &c, err));
    map_file(c, SCAN_MAP_BYTES);
    enum qmn_code code = scan_on(s, c, kind, after, row, ctx, err);
    map_file(c, 0);
    reader_give(s, c);
    return code;
}

static enum qmn_code max_no_on(struct dbconn *c, enum record_kind kind, int64_t *ret_no,
                               struct err *err)
{
    sqlite3_stmt *stmt;
    TRY(dbconn_stmt(c, kind, STMT_MAX_NO, &stmt, err));
    int rc = sqlite3_step(stmt);
    enum qmn_code code = rc == SQLITE_ROW ? QMN_OK : sqlite_fail(c->db, rc, "reading", err);
    if (code == QMN_OK)
        *ret_no = sqlite3_column_int64(stmt, 0); /* NULL, of an empty table, reads as 0 */
    sqlite3_reset(stmt);
    return code;
}

enum qmn_code sqlite_max_no(struct store *base, enum record_kind kind, int64_t *ret_no,
                            struct err *err)
{
    struct store_sqlite *s = (struct store_sqlite *)base;
    if (!store_layout(kind)->int_key)
        return err_set(err, QMN_E_INTERNAL, "the key of %s is not a number",
                       record_type(kind)->name);
    struct dbconn *c;
    TRY(reader_take(s, &c, err));
    enum qmn_code code = max_no_on(c, kind, ret_no, err);
    reader_give(s, c);
    return code;
}

/* Whether changes after `cursor` are all there.  An empty feed has only a beginning. */
static enum qmn_code feed_covers(struct dbconn *c, int64_t cursor, struct err *err)
{
    sqlite3_stmt *stmt;
    TRY(dbconn_common(c, COMMON_FEED_BOUNDS, &stmt, err));
    int rc = sqlite3_step(stmt);
    enum qmn_code code = rc == SQLITE_ROW ? QMN_OK : sqlite_fail(c->db, rc, "reading", err);
    if (code == QMN_OK && cursor != 0) {
        int64_t first = sqlite3_column_int64(stmt, 0), last = sqlite3_column_int64(stmt, 1);
        if (cursor < first - 1 || cursor > last)
            code = err_set(err, QMN_E_GONE, "changes after %" PRId64 " are no longer kept", cursor);
    }
    sqlite3_reset(stmt);
    return code;
}

static enum qmn_code feed_read(struct dbconn *c, int64_t cursor, uint32_t limit,
                               store_change_fn *fn, void *ctx, int64_t *ret_cursor, struct err *err)
{
    sqlite3_stmt *stmt;
    TRY(dbconn_common(c, COMMON_FEED_SINCE, &stmt, err));
    sqlite3_bind_int64(stmt, 1, cursor);
    sqlite3_bind_int64(stmt, 2, limit);
    enum qmn_code code = QMN_OK;
    int rc;
    while (code == QMN_OK && (rc = sqlite3_step(stmt)) != SQLITE_DONE) {
        if (rc != SQLITE_ROW) {
            code = sqlite_fail(c->db, rc, "reading changes", err);
            break;
        }
        const void *p = sqlite3_column_blob(stmt, 1);
        int len = sqlite3_column_bytes(stmt, 1);
        int64_t at = sqlite3_column_int64(stmt, 0);
        code = !p && len ? err_nomem(err) : feed_unpack(bytes_of(p, (size_t)len), at, fn, ctx, err);
        cursor = at;
    }
    sqlite3_reset(stmt);
    if (code == QMN_OK)
        *ret_cursor = cursor;
    return code;
}

enum qmn_code sqlite_changes_since(struct store *base, int64_t cursor, uint32_t limit,
                                   store_change_fn *fn, void *ctx, int64_t *ret_cursor,
                                   struct err *err)
{
    struct store_sqlite *s = (struct store_sqlite *)base;
    if (!s->feed_on)
        return err_set(err, QMN_E_INVALID, "this store keeps no change feed");
    struct dbconn *c;
    TRY(reader_take(s, &c, err));
    enum qmn_code code = dbconn_run(c, COMMON_READ_BEGIN, "reading changes", err);
    if (code == QMN_OK)
        code = feed_covers(c, cursor, err);
    if (code == QMN_OK)
        code = feed_read(c, cursor, limit, fn, ctx, ret_cursor, err);
    dbconn_roll_back(c);
    reader_give(s, c);
    return code;
}
