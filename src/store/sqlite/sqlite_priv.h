/* SPDX-License-Identifier: MIT
 *
 * The SQLite store inside: connections with their cached statements, the schema, rows, and the
 * translation of SQLite's result codes. */
#ifndef QMN_STORE_SQLITE_PRIV_H
#define QMN_STORE_SQLITE_PRIV_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "store/layout.h"
#include "store/record_pack.h"
#include "store/store.h"

/* Statements of one record kind. */
enum stmt_op {
    STMT_INSERT,
    STMT_PUT,
    STMT_DELETE,
    STMT_DELETE_BELOW,
    STMT_GET,
    STMT_FIND_FIRST, /* one per unique field */
    STMT_FIND_LAST = STMT_FIND_FIRST + LAYOUT_UNIQUE_MAX - 1,
    STMT_SCAN,
    STMT_SCAN_AFTER,
    STMT_MAX_NO,
    STMT_OP_COUNT
};

/* Statements of no kind. */
enum common_stmt {
    COMMON_BEGIN,
    COMMON_COMMIT,
    COMMON_ROLLBACK,
    COMMON_FEED_ADD,
    COMMON_FEED_TRIM,
    COMMON_FEED_BOUNDS,
    COMMON_FEED_SINCE,
    COMMON_READ_BEGIN,
    COMMON_COUNT
};

/* One connection, used by one thread at a time. */
struct dbconn {
    sqlite3 *db;
    struct dbconn *next; /* in the pool */
    sqlite3_stmt *kinds[RECORD_KIND_COUNT][STMT_OP_COUNT];
    sqlite3_stmt *common[COMMON_COUNT];
    bool feed; /* deletions report what they deleted */
};

enum {
    CONN_POOL_MAX = 8, /* idle readers kept; a burst may open more, which close after use */
    /* CPU of a broadcast with expiry (nutrient 3.7 KB, trace 1.25 KB) in groups of 1 / 5 / 21 / 50
     * (bench_store, us): 8 KB pages 132 / 42 / 19 / 16, 16 KB 147 / 48 / 21 / 15, 4 KB - / - / 24 /
     * 19; bytes of log in groups of 21: 8 KB pages 10,400, 16 KB 14,700, 4 KB 8,300.  A group
     * writes some ten pages whatever it holds: the two ends of the trees and page 1. */
    STORE_PAGE_BYTES = 8192,
};

struct store_sqlite {
    struct store base;

    /* immutable */
    char *path, *log_path;
    struct sealer sealer;
    bool feed_on;
    int lock_fd;

    /* owned by the writer */
    struct dbconn *writer;
    struct arena arena; /* of one mutation */
    struct buf changes; /* of the batch being committed */
    int log_pages;      /* pages in the log as of the last commit */
    int log_peak;       /* the most since it was last truncated */
    int checkpoint_at;  /* the length at which to checkpoint next */
    bool log_empty;     /* everything in it has been copied */
    int64_t feed_first, feed_next;

    _Atomic bool failed; /* a sync failed: no commit until the process restarts */
    _Atomic int64_t commits, rows, checkpoints, last_checkpoint_us;

    /* guarded by pool_lock */
    pthread_mutex_t pool_lock;
    struct dbconn *pool;
    int pooled;
};

/* vfs.c */

#define SQLITE_BASE_VFS "unix-excl"
#define SQLITE_NODE_VFS "qmn"
/* Registers the file layer every connection uses.  A result code of SQLite's. */
int sqlite_vfs_register(void);

/* log_file.c */

/* Opens a log file of the layer `below` so that its writes are gathered.  As xOpen; `file` has room
 * for log_file_bytes(). */
int log_file_open(sqlite3_vfs *below, const char *name, sqlite3_file *file, int flags,
                  int *ret_flags);
int log_file_bytes(const sqlite3_vfs *below);

/* conn.c */

/* Once per process, before the first connection: our allocator, no locks inside connections. */
void sqlite_library_init(void);
/* How many allocations of SQLite's have failed on this thread: for where it takes that for another
 * failure. */
unsigned long sqlite_allocations_refused(void);
/* SQLite's result code as ours.  `doing` completes "while ...".  The text holds neither SQL nor
 * paths. */
enum qmn_code sqlite_fail(sqlite3 *db, int rc, const char *doing, struct err *err);
enum conn_role { CONN_WRITER = 1, CONN_READER, CONN_VERIFIER };
QMN_NODISCARD enum qmn_code dbconn_open(const char *path, enum conn_role role, bool feed,
                                        enum store_sync sync, struct dbconn **ret, struct err *err);
void dbconn_close(struct dbconn *c);
void dbconn_closep(struct dbconn **c);
/* Prepared on first use, reset, nothing bound. */
QMN_NODISCARD enum qmn_code dbconn_stmt(struct dbconn *c, enum record_kind kind, enum stmt_op op,
                                        sqlite3_stmt **ret, struct err *err);
QMN_NODISCARD enum qmn_code dbconn_common(struct dbconn *c, enum common_stmt op, sqlite3_stmt **ret,
                                          struct err *err);
QMN_NODISCARD enum qmn_code dbconn_exec(struct dbconn *c, const char *sql, const char *doing,
                                        struct err *err);
/* Runs a statement that gives no rows. */
QMN_NODISCARD enum qmn_code dbconn_run(struct dbconn *c, enum common_stmt op, const char *doing,
                                       struct err *err);
/* Lets the closing of this connection, the last, remove the log file. */
void dbconn_drop_log(struct dbconn *c);
/* Ends the transaction, if there is one; false if it cannot be ended.  Never allocates. */
bool dbconn_roll_back(struct dbconn *c);
/* The one integer a statement gives; 0 if it gives no row. */
QMN_NODISCARD enum qmn_code dbconn_int(struct dbconn *c, const char *sql, int64_t *ret,
                                       struct err *err);
/* A reader of the pool, to be given back. */
QMN_NODISCARD enum qmn_code reader_take(struct store_sqlite *s, struct dbconn **ret,
                                        struct err *err);
void reader_give(struct store_sqlite *s, struct dbconn *c);

/* sql.c: the text of a kind's statement; false when out of memory. */
bool sql_table(const struct layout *l, struct buf *out);
bool sql_unique_index(const struct layout *l, size_t unique, struct buf *out);
bool sql_statement(const struct layout *l, enum stmt_op op, bool feed, struct buf *out);

/* schema.c */
struct migration {
    int version; /* what the file is afterwards; rising by one */
    const char *sql;
};
enum { SCHEMA_VERSION = 3, SCHEMA_APPLICATION_ID = 0x514d4e31 /* "QMN1" */ };
/* Creates an empty file's tables, or brings an older file up to `version` by its steps. */
QMN_NODISCARD enum qmn_code schema_migrate(struct dbconn *c, const struct migration *steps,
                                           size_t count, int version, struct err *err);
QMN_NODISCARD enum qmn_code schema_open(struct dbconn *c, struct err *err);
/* The file is ours, of this version, and has the tables and columns the descriptors ask for. */
QMN_NODISCARD enum qmn_code schema_check(struct dbconn *c, int version, struct err *err);

/* row.c */

/* Binds all columns.  The record and what is in `arena` must live until the statement is reset. */
QMN_NODISCARD enum qmn_code row_bind(sqlite3_stmt *stmt, const struct layout *l,
                                     const struct sealer *sealer, const void *record,
                                     struct arena *arena, struct err *err);
/* Binds the key fields from parameter `at` on. */
QMN_NODISCARD enum qmn_code row_bind_key(sqlite3_stmt *stmt, const struct layout *l,
                                         const void *record, int at, struct err *err);
QMN_NODISCARD enum qmn_code row_bind_field(sqlite3_stmt *stmt, int at, const struct field *f,
                                           const void *record, struct err *err);
/* The statement's row as a record; with `copy` its bytes move into the arena, else they are valid
 * until the statement moves on. */
QMN_NODISCARD enum qmn_code row_read(sqlite3_stmt *stmt, const struct layout *l,
                                     const struct sealer *sealer, bool copy, struct arena *arena,
                                     void *ret_record, struct err *err);
/* The first `count` plain columns only, borrowed. */
QMN_NODISCARD enum qmn_code row_read_plain(sqlite3_stmt *stmt, const struct layout *l, size_t count,
                                           void *record, struct err *err);

/* sum.c */

/* Adds the checksum to a finished copy; the caller syncs. */
QMN_NODISCARD enum qmn_code sum_append(const char *path, struct err *err);
/* QMN_E_CORRUPT: the file has a checksum and is not what that was taken of.  A file without one
 * passes. */
QMN_NODISCARD enum qmn_code sum_check(const char *path, struct err *err);

/* write.c, read.c, backup.c: the callbacks */
enum qmn_code sqlite_commit(struct store *base, const struct mutation *mutations, size_t count,
                            size_t *ret_failed, struct err *err);
enum qmn_code sqlite_maintain(struct store *base, struct err *err);
/* The writer's part of opening and closing: where log and feed stand; the last checkpoint. */
QMN_NODISCARD enum qmn_code sqlite_write_open(struct store_sqlite *s, struct err *err);
void sqlite_write_close(struct store_sqlite *s);
enum qmn_code sqlite_get(struct store *base, enum record_kind kind, const void *key,
                         struct arena *arena, void *ret_record, struct err *err);
enum qmn_code sqlite_find(struct store *base, enum record_kind kind, size_t field,
                          const void *probe, struct arena *arena, void *ret_record,
                          struct err *err);
enum qmn_code sqlite_scan(struct store *base, enum record_kind kind, const void *after,
                          store_row_fn *row, void *ctx, struct err *err);
enum qmn_code sqlite_max_no(struct store *base, enum record_kind kind, int64_t *ret_no,
                            struct err *err);
enum qmn_code sqlite_changes_since(struct store *base, int64_t cursor, uint32_t limit,
                                   store_change_fn *fn, void *ctx, int64_t *ret_cursor,
                                   struct err *err);
enum qmn_code sqlite_backup(struct store *base, const char *path,
                            void (*progress)(void *ctx, int64_t done, int64_t total), void *ctx,
                            struct err *err);

#endif
