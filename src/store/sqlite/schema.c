/* SPDX-License-Identifier: MIT
 *
 * The file's schema.  A new file gets today's tables from the descriptors at once; an older file
 * is brought up step by step, and then compared with the descriptors, so a field without its
 * migration is found at the first start.  Everything happens in one transaction: a crash leaves the
 * old file or the new one. */
#include "sqlite_priv.h"

#include <inttypes.h>
#include <stdio.h>

/* Step n turns a file of version n - 1 into one of version n.  Version 1 was the first.  A step
 * says what was right when it was written: it does not ask the descriptors, which go on changing.
 */
static const struct migration migrations[] = {
    {.version = 1, .sql = ""},
    {.version = 2, /* memories have versions; the two columns were never used */
     .sql = "ALTER TABLE memory RENAME COLUMN supersedes_no TO version;"
            "ALTER TABLE memory RENAME COLUMN superseded_by_no TO begun_ms;"
            "UPDATE memory SET version = 1, begun_ms = created_ms, updated_ms = created_ms;"
            "CREATE TABLE memory_version (memory_no INTEGER NOT NULL, version INTEGER NOT NULL,"
            " tenant_no INTEGER NOT NULL, id BLOB NOT NULL, alias BLOB NOT NULL,"
            " agent_no INTEGER NOT NULL, kind TEXT NOT NULL, quality REAL NOT NULL,"
            " created_ms INTEGER NOT NULL, from_ms INTEGER NOT NULL, until_ms INTEGER NOT NULL,"
            " task_id TEXT NOT NULL, trace_id TEXT NOT NULL, body BLOB NOT NULL,"
            " PRIMARY KEY (memory_no, version)) STRICT, WITHOUT ROWID;"
            "CREATE UNIQUE INDEX memory_version_alias ON memory_version (tenant_no, alias)"
            " WHERE alias <> x'';"
            "DROP INDEX memory_id;" /* another tenant may import what one exported */
            "CREATE UNIQUE INDEX memory_id ON memory (tenant_no, id) WHERE id <> x'';"},
    {.version = 3, /* outcomes say something of memories, too */
     .sql = "CREATE TABLE memory_credit (memory_no INTEGER NOT NULL PRIMARY KEY,"
            " tenant_no INTEGER NOT NULL, id BLOB NOT NULL, uses INTEGER NOT NULL,"
            " weight REAL NOT NULL, sum REAL NOT NULL, run_weight REAL NOT NULL,"
            " run_sum REAL NOT NULL, rater INTEGER NOT NULL) STRICT;"},
};

static enum qmn_code exec_built(struct dbconn *c, struct buf *sql, struct err *err)
{
    buf_addc(sql, 0);
    enum qmn_code code =
        buf_ok(sql) ? dbconn_exec(c, sql->ptr, "creating the tables", err) : err_nomem(err);
    buf_clear(sql);
    return code;
}

static enum qmn_code create_kind(struct dbconn *c, const struct layout *l, struct buf *sql,
                                 struct err *err)
{
    (void)sql_table(l, sql);
    TRY(exec_built(c, sql, err));
    for (size_t u = 0; u < l->unique_count; u++) {
        (void)sql_unique_index(l, u, sql);
        TRY(exec_built(c, sql, err));
    }
    return QMN_OK;
}

static enum qmn_code create_all(struct dbconn *c, struct err *err)
{
    struct buf sql;
    enum qmn_code code = QMN_OK;
    buf_init(&sql, 65536);
    for (int k = RECORD_META; k < RECORD_KIND_COUNT && code == QMN_OK; k++)
        code = create_kind(c, store_layout((enum record_kind)k), &sql, err);
    buf_release(&sql);
    TRY(code);
    return dbconn_exec(c,
                       "CREATE TABLE change (cursor INTEGER NOT NULL PRIMARY KEY,"
                       " entries BLOB NOT NULL) STRICT",
                       "creating the tables", err);
}

static enum qmn_code set_version(struct dbconn *c, int version, struct err *err)
{
    char sql[96];
    snprintf(sql, sizeof sql, "PRAGMA application_id=%d; PRAGMA user_version=%d",
             SCHEMA_APPLICATION_ID, version);
    return dbconn_exec(c, sql, "setting the version", err);
}

/* Version, and whether the file is empty; refuses files that are not ours or too new. */
static enum qmn_code read_version(struct dbconn *c, int newest, int64_t *ret_version,
                                  bool *ret_empty, struct err *err)
{
    int64_t app, tables;
    TRY(dbconn_int(c, "PRAGMA user_version", ret_version, err));
    TRY(dbconn_int(c, "PRAGMA application_id", &app, err));
    TRY(dbconn_int(c, "SELECT count(*) FROM sqlite_schema", &tables, err));
    *ret_empty = tables == 0 && app == 0 && *ret_version == 0;
    if (*ret_empty)
        return QMN_OK;
    if (app != SCHEMA_APPLICATION_ID)
        return err_set(err, QMN_E_CORRUPT, "the file is a database of another program");
    if (*ret_version > newest)
        return err_set(err, QMN_E_CONFLICT,
                       "the store has format %" PRId64 ", this program knows up to %d: start the "
                       "newer program or restore an older backup",
                       *ret_version, newest);
    return QMN_OK;
}

static enum qmn_code migrate_inside(struct dbconn *c, const struct migration *steps, size_t count,
                                    int version, struct err *err)
{
    int64_t at;
    bool empty;
    TRY(read_version(c, version, &at, &empty, err));
    if (at == version)
        return QMN_OK;
    if (empty)
        TRY(create_all(c, err));
    for (size_t i = 0; i < count && !empty; i++)
        if (steps[i].version > at)
            TRY(dbconn_exec(c, steps[i].sql, "migrating", err));
    return set_version(c, version, err);
}

enum qmn_code schema_migrate(struct dbconn *c, const struct migration *steps, size_t count,
                             int version, struct err *err)
{
    TRY(dbconn_run(c, COMMON_BEGIN, "opening", err));
    enum qmn_code code = migrate_inside(c, steps, count, version, err);
    if (code == QMN_OK)
        code = dbconn_run(c, COMMON_COMMIT, "migrating", err);
    if (code != QMN_OK)
        dbconn_roll_back(c);
    return code;
}

/* Compares one table's columns, in order, with its layout. */
static enum qmn_code check_columns(const struct layout *l, sqlite3_stmt *info, struct err *err)
{
    size_t want = l->plain_count + (l->sealed_count ? 1 : 0), at = 0;
    int rc;
    while ((rc = sqlite3_step(info)) == SQLITE_ROW) {
        struct bytes name = bytes_cstr((const char *)sqlite3_column_text(info, 0));
        const char *expected = at < l->plain_count ? l->type->fields[l->plain[at]].name
                               : at < want         ? "body"
                                                   : "";
        if (!bytes_is(name, expected))
            return err_set(err, QMN_E_CORRUPT, "table %s has a column %.*s where \"%s\" belongs",
                           l->type->name, BYTES_FMT(name), expected);
        at++;
    }
    if (rc != SQLITE_DONE)
        return sqlite_fail(sqlite3_db_handle(info), rc, "checking the tables", err);
    if (at != want)
        return err_set(err, QMN_E_CORRUPT, "table %s has %zu columns; %zu expected", l->type->name,
                       at, want);
    return QMN_OK;
}

enum qmn_code schema_check(struct dbconn *c, int version, struct err *err)
{
    int64_t at;
    bool empty;
    TRY(read_version(c, version, &at, &empty, err));
    if (empty)
        return err_set(err, QMN_E_CORRUPT, "the database file is empty");
    if (at != version)
        return err_set(err, QMN_E_CONFLICT, "the store has format %" PRId64 "; %d expected", at,
                       version);
    sqlite3_stmt *info = NULL;
    int rc = sqlite3_prepare_v2(c->db, "SELECT name FROM pragma_table_info(?1) ORDER BY cid", -1,
                                &info, NULL);
    enum qmn_code code =
        rc == SQLITE_OK ? QMN_OK : sqlite_fail(c->db, rc, "checking the tables", err);
    for (int k = RECORD_META; k < RECORD_KIND_COUNT && code == QMN_OK; k++) {
        const struct layout *l = store_layout((enum record_kind)k);
        sqlite3_reset(info);
        sqlite3_bind_text(info, 1, l->type->name, -1, SQLITE_STATIC);
        code = check_columns(l, info, err);
    }
    sqlite3_finalize(info);
    return code;
}

enum qmn_code schema_open(struct dbconn *c, struct err *err)
{
    TRY(schema_migrate(c, migrations, ARRAY_LEN(migrations), SCHEMA_VERSION, err));
    return schema_check(c, SCHEMA_VERSION, err);
}
