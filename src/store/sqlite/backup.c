/* SPDX-License-Identifier: MIT
 *
 * Backup and verification.
 *
 * A backup copies pages with SQLite's backup interface, on a reader that holds one read transaction
 * from first page to last: so it is the state of one moment, the writer goes on, and the copy is
 * never started over (as it would be without the transaction whenever somebody commits).  VACUUM
 * INTO gives a denser file but rebuilds every tree, several times the work, and all that time the
 * log cannot be emptied.  The copy gets a checksum, is synced, read back whole, and only then given
 * its name. */
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "file.h"
#include "sqlite_priv.h"

enum { BACKUP_STEP_PAGES = 256 };

static void db_closep(sqlite3 **db)
{
    sqlite3_close_v2(*db);
}

static enum qmn_code copy_pages(sqlite3 *from, sqlite3 *to,
                                void (*progress)(void *, int64_t, int64_t), void *ctx,
                                struct err *err)
{
    sqlite3_backup *b = sqlite3_backup_init(to, "main", from, "main");
    if (!b)
        return sqlite_fail(to, sqlite3_errcode(to), "copying", err);
    int rc;
    do {
        rc = sqlite3_backup_step(b, BACKUP_STEP_PAGES);
        int64_t total = sqlite3_backup_pagecount(b), left = sqlite3_backup_remaining(b);
        if (progress)
            progress(ctx, (total - left) * STORE_PAGE_BYTES, total * STORE_PAGE_BYTES);
    } while (rc == SQLITE_OK);
    int finish = sqlite3_backup_finish(b);
    if (rc == SQLITE_DONE && finish == SQLITE_OK)
        return QMN_OK;
    return sqlite_fail(to, finish != SQLITE_OK ? finish : rc, "copying", err);
}

/* The file at `path` exists and is empty.  It needs no journal: a half copy is thrown away. */
static enum qmn_code copy_to(struct dbconn *from, const char *path,
                             void (*progress)(void *, int64_t, int64_t), void *ctx, struct err *err)
{
    CLEANUP(db_closep) sqlite3 *to = NULL;
    int rc =
        sqlite3_open_v2(path, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, SQLITE_NODE_VFS);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(to, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF", NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        return sqlite_fail(to, rc, "creating the copy", err);
    int64_t pages; /* reading anything starts the transaction */
    TRY(dbconn_run(from, COMMON_READ_BEGIN, "copying", err));
    enum qmn_code code = dbconn_int(from, "SELECT count(*) FROM sqlite_schema", &pages, err);
    if (code == QMN_OK)
        code = copy_pages(from->db, to, progress, ctx, err);
    dbconn_roll_back(from);
    return code;
}

/* A backup is one file: without the mark of a write-ahead log nothing looks for one beside it.
 * Opening it as a store sets the mark again. */
static enum qmn_code unmark_log(const char *path, struct err *err)
{
    CLEANUP(db_closep) sqlite3 *db = NULL;
    int rc =
        sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, SQLITE_NODE_VFS);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, "PRAGMA journal_mode=DELETE", NULL, NULL, NULL);
    return rc == SQLITE_OK ? QMN_OK : sqlite_fail(db, rc, "finishing the copy", err);
}

static enum qmn_code backup_to(struct store_sqlite *s, const char *part,
                               void (*progress)(void *, int64_t, int64_t), void *ctx,
                               struct err *err)
{
    struct dbconn *c;
    int64_t rows;
    TRY(reader_take(s, &c, err));
    enum qmn_code code = copy_to(c, part, progress, ctx, err);
    reader_give(s, c);
    TRY(code);
    TRY(unmark_log(part, err));
    TRY(sum_append(part, err));
    TRY(file_sync(part, err));
    return store_sqlite_verify(part, &s->sealer, &rows, err);
}

/* With what SQLite lays beside it, and leaves when it cannot close it in order.  Needs no memory:
 * it may be out. */
static void remove_part(const char *part)
{
    static const char *const suffixes[] = {"", "-wal", "-journal"};
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        char name[PATH_MAX];
        int n = snprintf(name, sizeof name, "%s%s", part, suffixes[i]);
        if (n > 0 && (size_t)n < sizeof name)
            (void)unlink(name);
    }
}

enum qmn_code sqlite_backup(struct store *base, const char *path,
                            void (*progress)(void *ctx, int64_t done, int64_t total), void *ctx,
                            struct err *err)
{
    struct store_sqlite *s = (struct store_sqlite *)base;
    CLEANUP(mem_freep) char *part = file_beside(path, ".part");
    if (!part)
        return err_nomem(err);
    if (access(path, F_OK) == 0)
        return err_set(err, QMN_E_CONFLICT, "the backup file exists already");
    remove_part(part); /* of a backup that was interrupted */
    TRY(file_create(part, err));
    enum qmn_code code = backup_to(s, part, progress, ctx, err);
    /* link, not rename: a file that appeared meanwhile is not overwritten */
    if (code == QMN_OK && link(part, path) != 0)
        code = err_set(err, QMN_E_CONFLICT, "the backup file cannot be given its name");
    remove_part(part);
    if (code == QMN_OK && (code = file_sync_dir(path, err)) != QMN_OK)
        (void)unlink(path); /* a backup that was refused does not stand in the way of the next */
    return code;
}

/* What integrity_check said.  A page for which there was no memory is missing to it, hence damage.
 */
static enum qmn_code page_verdict(const char *said, bool refused, struct err *err)
{
    if (said && strcmp(said, "ok") == 0)
        return QMN_OK;
    if (!said || refused)
        return err_nomem(err);
    return err_set(err, QMN_E_CORRUPT, "the database file is damaged: %s", said);
}

static enum qmn_code check_pages(struct dbconn *c, struct err *err)
{
    sqlite3_stmt *stmt = NULL;
    unsigned long before = sqlite_allocations_refused();
    int rc = sqlite3_prepare_v2(c->db, "PRAGMA integrity_check(1)", -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    enum qmn_code code = QMN_OK;
    if (rc != SQLITE_ROW) {
        code = sqlite_fail(c->db, rc, "checking every page", err);
    } else {
        code = page_verdict((const char *)sqlite3_column_text(stmt, 0),
                            sqlite_allocations_refused() != before, err);
    }
    sqlite3_finalize(stmt);
    return code;
}

static enum qmn_code check_rows(struct dbconn *c, const struct sealer *sealer,
                                enum record_kind kind, int64_t *rows, struct err *err)
{
    const struct layout *l = store_layout(kind);
    sqlite3_stmt *stmt;
    struct arena arena;
    enum qmn_code code = QMN_OK;
    int rc;
    TRY(dbconn_stmt(c, kind, STMT_SCAN, &stmt, err));
    arena_init(&arena, 0);
    while (code == QMN_OK && (rc = sqlite3_step(stmt)) != SQLITE_DONE) {
        union record_any record;
        arena_reset(&arena);
        code = rc == SQLITE_ROW ? row_read(stmt, l, sealer, false, &arena, &record, err)
                                : sqlite_fail(c->db, rc, "reading every row", err);
        *rows += code == QMN_OK;
    }
    arena_release(&arena);
    sqlite3_reset(stmt);
    return code;
}

static enum qmn_code ignore_change(void *ctx QMN_UNUSED, int64_t cursor QMN_UNUSED,
                                   const struct change *change QMN_UNUSED,
                                   struct err *err QMN_UNUSED)
{
    return QMN_OK;
}

static enum qmn_code check_feed(struct dbconn *c, struct err *err)
{
    sqlite3_stmt *stmt;
    TRY(dbconn_common(c, COMMON_FEED_SINCE, &stmt, err));
    sqlite3_bind_int64(stmt, 1, 0);
    sqlite3_bind_int64(stmt, 2, INT64_MAX);
    enum qmn_code code = QMN_OK;
    int rc;
    while (code == QMN_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
        code = feed_unpack(
            bytes_of(sqlite3_column_blob(stmt, 1), (size_t)sqlite3_column_bytes(stmt, 1)),
            sqlite3_column_int64(stmt, 0), ignore_change, NULL, err);
    if (code == QMN_OK && rc != SQLITE_DONE)
        code = sqlite_fail(c->db, rc, "reading the feed", err);
    sqlite3_reset(stmt);
    return code;
}

static enum qmn_code check_all(const char *path, bool had_log, const struct sealer *sealer,
                               int64_t *ret_rows, struct err *err)
{
    CLEANUP(dbconn_closep) struct dbconn *c = NULL;
    int64_t rows = 0;
    TRY(dbconn_open(path, CONN_VERIFIER, false, STORE_SYNC_FULL, &c, err));
    if (!had_log) /* leave what was found: reading creates an empty log */
        dbconn_drop_log(c);
    TRY(check_pages(c, err));
    TRY(schema_check(c, SCHEMA_VERSION, err));
    for (int k = RECORD_META; k < RECORD_KIND_COUNT; k++)
        TRY(check_rows(c, sealer, (enum record_kind)k, &rows, err));
    TRY(check_feed(c, err));
    *ret_rows = rows;
    return QMN_OK;
}

enum qmn_code store_sqlite_verify(const char *path, const struct sealer *sealer, int64_t *ret_rows,
                                  struct err *err)
{
    if (access(path, F_OK) != 0)
        return err_set(err, QMN_E_NOT_FOUND, "there is no such database file");
    CLEANUP(mem_freep) char *log = file_beside(path, "-wal");
    if (!log)
        return err_nomem(err);
    bool had_log = access(log, F_OK) == 0;
    TRY(sum_check(path, err));
    enum qmn_code code = check_all(path, had_log, sealer, ret_rows, err);
    if (code == QMN_E_NOMEM && !had_log) /* then it may not have been closed in order */
        (void)unlink(log);
    return code;
}
