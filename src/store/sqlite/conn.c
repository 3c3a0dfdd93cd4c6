/* SPDX-License-Identifier: MIT
 *
 * Connections to the database file.
 *
 * One connection, the writer's, does all commits and all checkpoints: SQLite before 3.51.3 can lose
 * commits when one connection checkpoints while another writes.  Readers never checkpoint, not even
 * when they close.
 *
 * The "unix-excl" layer takes the file for this process alone and keeps the log's index in its
 * heap: no shared-memory file to go stale, no lock calls per read, and another program that opens
 * the file by mistake is turned away.
 *
 * secure_delete is ON, the distribution's default: deleted content is zeroed, so it is in no backup
 * either.  It costs nothing measurable here (bench_store: within 1 us a command of OFF, the same
 * bytes), because the pages that expiry frees are filled again by the same group's inserts: the
 * engine deletes first.
 *
 * mmap is on during scans only: it halves the start scan, but on a damaged disk it turns a read
 * error into a signal, and mapped pages count as resident. */
#include "sqlite_priv.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"

enum {
    WRITER_CACHE_KB = 16384, /* dirty pages of a group of 128 and the upper tree levels */
    READER_CACHE_KB = 1024,
    SQL_MAX_BYTES = 65536,
    ALLOC_HEADER = 8, /* SQLite asks for 8-byte alignment, and for the size of what it got */
};

static _Thread_local unsigned long refused; /* allocations of SQLite's, on this thread */

unsigned long sqlite_allocations_refused(void)
{
    return refused;
}

static void *refuse(void)
{
    refused++;
    return NULL;
}

/* SQLite's heap goes through base/mem, so that its allocations can be made to fail too. */
static void *lib_alloc(int size)
{
    char *p = mem_alloc((size_t)size + ALLOC_HEADER);
    if (!p)
        return refuse();
    memcpy(p, &size, sizeof size);
    return p + ALLOC_HEADER;
}

static void lib_free(void *p)
{
    if (p)
        mem_free((char *)p - ALLOC_HEADER);
}

static int lib_size(void *p)
{
    int size = 0;
    if (p)
        memcpy(&size, (char *)p - ALLOC_HEADER, sizeof size);
    return size;
}

static void *lib_realloc(void *p, int size)
{
    char *q = mem_resize((char *)p - ALLOC_HEADER, (size_t)size + ALLOC_HEADER, 1);
    if (!q)
        return refuse();
    memcpy(q, &size, sizeof size);
    return q + ALLOC_HEADER;
}

static int lib_roundup(int size)
{
    return (size + 7) & ~7;
}

static int lib_init(void *ctx QMN_UNUSED)
{
    return SQLITE_OK;
}

static void lib_shutdown(void *ctx QMN_UNUSED)
{
}

static void library_init_once(void)
{
    static const sqlite3_mem_methods methods = {.xMalloc = lib_alloc,
                                                .xFree = lib_free,
                                                .xRealloc = lib_realloc,
                                                .xSize = lib_size,
                                                .xRoundup = lib_roundup,
                                                .xInit = lib_init,
                                                .xShutdown = lib_shutdown};
    /* Each of these is refused if the process has used SQLite already; it then works as well, with
     * its own heap and locks. */
    (void)sqlite3_config(SQLITE_CONFIG_MALLOC, &methods);
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    (void)sqlite3_config(SQLITE_CONFIG_MULTITHREAD);
    (void)sqlite3_initialize();
    (void)sqlite_vfs_register(); /* if refused, opening says so */
}

void sqlite_library_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, library_init_once);
}

static enum qmn_code io_fail(sqlite3 *db, int rc, const char *doing, struct err *err)
{
    int extended = db ? sqlite3_extended_errcode(db) : rc;
    int system = db ? sqlite3_system_errno(db) : 0;
    if (rc == SQLITE_IOERR_NOMEM || extended == SQLITE_IOERR_NOMEM)
        return err_nomem(err);
    if (extended != SQLITE_IOERR_FSYNC && extended != SQLITE_IOERR_DIR_FSYNC &&
        (system == ENOSPC || system == EDQUOT))
        return err_set(err, QMN_E_DISK_FULL, "no space left on the store's disk");
    return err_set(err, QMN_E_UNAVAILABLE, "the store's disk failed while %s (error %d, %d)", doing,
                   extended, system);
}

enum qmn_code sqlite_fail(sqlite3 *db, int rc, const char *doing, struct err *err)
{
    switch (rc & 0xff) {
    case SQLITE_NOMEM:
        return err_nomem(err);
    case SQLITE_FULL:
        return err_set(err, QMN_E_DISK_FULL, "no space left on the store's disk");
    case SQLITE_IOERR:
        return io_fail(db, rc, doing, err);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return err_set(err, QMN_E_CORRUPT, "the database file is damaged (found while %s)", doing);
    case SQLITE_CONSTRAINT:
        return err_set(err, QMN_E_CONFLICT, "a row with this key or unique field exists already");
    case SQLITE_TOOBIG:
        return err_set(err, QMN_E_TOO_LARGE, "a row is too large to store");
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
        return err_set(err, QMN_E_UNAVAILABLE, "the store's files cannot be opened for %s", doing);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return err_set(err, QMN_E_CONFLICT, "another process has the database open");
    default:
        return err_set(err, QMN_E_INTERNAL, "the store failed while %s (error %d)", doing, rc);
    }
}

enum qmn_code dbconn_exec(struct dbconn *c, const char *sql, const char *doing, struct err *err)
{
    int rc = sqlite3_exec(c->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? QMN_OK : sqlite_fail(c->db, rc, doing, err);
}

enum qmn_code dbconn_int(struct dbconn *c, const char *sql, int64_t *ret, struct err *err)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(c->db, sql, -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW || rc == SQLITE_DONE)
        *ret = rc == SQLITE_ROW ? sqlite3_column_int64(stmt, 0) : 0;
    sqlite3_finalize(stmt);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? QMN_OK : sqlite_fail(c->db, rc, "reading", err);
}

static void dbconn_harden(sqlite3 *db)
{
    static const struct {
        int option, value;
    } config[] = {
        {SQLITE_DBCONFIG_DEFENSIVE, 1},
        {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
        {SQLITE_DBCONFIG_DQS_DML, 0},
        {SQLITE_DBCONFIG_DQS_DDL, 0},
        {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
        {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},
        {SQLITE_DBCONFIG_ENABLE_VIEW, 0},
        {SQLITE_DBCONFIG_ENABLE_FKEY, 0},
        /* The writer closes with a checkpoint of its own, and none after a failed sync. */
        {SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(config); i++)
        (void)sqlite3_db_config(db, config[i].option, config[i].value, NULL);
    (void)sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
    (void)sqlite3_limit(db, SQLITE_LIMIT_SQL_LENGTH, SQL_MAX_BYTES);
    (void)sqlite3_extended_result_codes(db, 1);
}

/* The pragma does not fail when it cannot switch: it says what the mode is. */
static enum qmn_code check_log_mode(struct dbconn *c, struct err *err)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(c->db, "PRAGMA journal_mode", -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    bool wal =
        rc == SQLITE_ROW && bytes_is(bytes_cstr((const char *)sqlite3_column_text(stmt, 0)), "wal");
    sqlite3_finalize(stmt);
    if (rc != SQLITE_ROW)
        return sqlite_fail(c->db, rc, "opening", err);
    return wal ? QMN_OK
               : err_set(err, QMN_E_UNAVAILABLE,
                         "the store's file system allows no write-ahead log");
}

static enum qmn_code dbconn_setup(struct dbconn *c, enum conn_role role, enum store_sync sync,
                                  struct err *err)
{
    static const char common[] = "PRAGMA cell_size_check=ON; PRAGMA temp_store=MEMORY;"
                                 "PRAGMA wal_autocheckpoint=0;";
    dbconn_harden(c->db);
    TRY(dbconn_exec(c, common, "opening", err));
    struct buf sql;
    buf_init(&sql, SQL_MAX_BYTES);
    if (role == CONN_WRITER)
        buf_printf(&sql,
                   "PRAGMA page_size=%d; PRAGMA journal_mode=WAL; PRAGMA synchronous=%s;"
                   "PRAGMA secure_delete=ON; PRAGMA cache_size=-%d;",
                   STORE_PAGE_BYTES, sync == STORE_SYNC_NORMAL ? "NORMAL" : "FULL",
                   WRITER_CACHE_KB);
    else
        buf_printf(&sql, "PRAGMA query_only=ON; PRAGMA cache_size=-%d;", READER_CACHE_KB);
    buf_addc(&sql, 0);
    enum qmn_code code = buf_ok(&sql) ? dbconn_exec(c, sql.ptr, "opening", err) : err_nomem(err);
    buf_release(&sql);
    TRY(code);
    return role == CONN_WRITER ? check_log_mode(c, err) : QMN_OK;
}

enum qmn_code dbconn_open(const char *path, enum conn_role role, bool feed, enum store_sync sync,
                          struct dbconn **ret, struct err *err)
{
    sqlite_library_init();
    CLEANUP(dbconn_closep) struct dbconn *c = mem_calloc(1, sizeof *c);
    if (!c)
        return err_nomem(err);
    c->feed = feed;
    int rc =
        sqlite3_open_v2(path, &c->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, SQLITE_NODE_VFS);
    if (rc != SQLITE_OK)
        return sqlite_fail(c->db, rc, "opening", err);
    TRY(dbconn_setup(c, role, sync, err));
    sqlite3_stmt *roll_back; /* prepared now: it will be needed when memory is out */
    TRY(dbconn_common(c, COMMON_ROLLBACK, &roll_back, err));
    *ret = TAKE(c);
    return QMN_OK;
}

void dbconn_close(struct dbconn *c)
{
    if (!c)
        return;
    for (int k = 0; k < RECORD_KIND_COUNT; k++)
        for (int op = 0; op < STMT_OP_COUNT; op++)
            sqlite3_finalize(c->kinds[k][op]);
    for (int op = 0; op < COMMON_COUNT; op++)
        sqlite3_finalize(c->common[op]);
    sqlite3_close_v2(c->db);
    mem_free(c);
}

void dbconn_closep(struct dbconn **c)
{
    dbconn_close(*c);
}

static enum qmn_code prepare(struct dbconn *c, const char *sql, sqlite3_stmt **slot,
                             struct err *err)
{
    int rc = sqlite3_prepare_v3(c->db, sql, -1, SQLITE_PREPARE_PERSISTENT, slot, NULL);
    return rc == SQLITE_OK ? QMN_OK : sqlite_fail(c->db, rc, "preparing", err);
}

enum qmn_code dbconn_stmt(struct dbconn *c, enum record_kind kind, enum stmt_op op,
                          sqlite3_stmt **ret, struct err *err)
{
    sqlite3_stmt **slot = &c->kinds[kind][op];
    if (QMN_UNLIKELY(!*slot)) {
        struct buf sql;
        buf_init(&sql, SQL_MAX_BYTES);
        (void)sql_statement(store_layout(kind), op, c->feed, &sql);
        buf_addc(&sql, 0);
        enum qmn_code code = buf_ok(&sql) ? prepare(c, sql.ptr, slot, err) : err_nomem(err);
        buf_release(&sql);
        TRY(code);
    }
    *ret = *slot;
    return QMN_OK;
}

enum qmn_code dbconn_common(struct dbconn *c, enum common_stmt op, sqlite3_stmt **ret,
                            struct err *err)
{
    static const char *const sql[COMMON_COUNT] = {
        [COMMON_BEGIN] = "BEGIN IMMEDIATE",
        [COMMON_COMMIT] = "COMMIT",
        [COMMON_ROLLBACK] = "ROLLBACK",
        [COMMON_FEED_ADD] = "INSERT INTO change (cursor, entries) VALUES (?1, ?2)",
        [COMMON_FEED_TRIM] = "DELETE FROM change WHERE cursor < ?1",
        [COMMON_FEED_BOUNDS] = "SELECT (SELECT min(cursor) FROM change),"
                               " (SELECT max(cursor) FROM change)",
        [COMMON_FEED_SINCE] = "SELECT cursor, entries FROM change WHERE cursor > ?1"
                              " ORDER BY cursor LIMIT ?2",
        [COMMON_READ_BEGIN] = "BEGIN",
    };
    if (QMN_UNLIKELY(!c->common[op]))
        TRY(prepare(c, sql[op], &c->common[op], err));
    *ret = c->common[op];
    return QMN_OK;
}

enum qmn_code dbconn_run(struct dbconn *c, enum common_stmt op, const char *doing, struct err *err)
{
    sqlite3_stmt *stmt;
    TRY(dbconn_common(c, op, &stmt, err));
    int rc = sqlite3_step(stmt);
    enum qmn_code code = rc == SQLITE_DONE ? QMN_OK : sqlite_fail(c->db, rc, doing, err);
    sqlite3_reset(stmt);
    return code;
}

void dbconn_drop_log(struct dbconn *c)
{
    (void)sqlite3_db_config(c->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
}

bool dbconn_roll_back(struct dbconn *c)
{
    if (sqlite3_get_autocommit(c->db))
        return true; /* SQLite did it itself, as after some disk errors */
    (void)sqlite3_step(c->common[COMMON_ROLLBACK]);
    (void)sqlite3_reset(c->common[COMMON_ROLLBACK]);
    return sqlite3_get_autocommit(c->db);
}

enum qmn_code reader_take(struct store_sqlite *s, struct dbconn **ret, struct err *err)
{
    pthread_mutex_lock(&s->pool_lock);
    struct dbconn *c = s->pool;
    if (c) {
        s->pool = c->next;
        s->pooled--;
    }
    pthread_mutex_unlock(&s->pool_lock);
    if (!c)
        return dbconn_open(s->path, CONN_READER, s->feed_on, STORE_SYNC_FULL, ret, err);
    *ret = c;
    return QMN_OK;
}

void reader_give(struct store_sqlite *s, struct dbconn *c)
{
    pthread_mutex_lock(&s->pool_lock);
    bool keep = s->pooled < CONN_POOL_MAX && sqlite3_get_autocommit(c->db);
    if (keep) {
        c->next = s->pool;
        s->pool = c;
        s->pooled++;
    }
    pthread_mutex_unlock(&s->pool_lock);
    if (!keep)
        dbconn_close(c);
}
