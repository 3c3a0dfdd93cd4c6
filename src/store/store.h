/* SPDX-License-Identifier: MIT
 *
 * The store: the truth of the node, behind one small contract that every backend keeps and one
 * suite tests.
 *
 * Writes arrive as batches of typed mutations.  A batch is one transaction: when store_commit
 * returns QMN_OK all of it survives kill -9 and power loss; on any error none of it happened. Reads
 * are typed too, and copy into the caller's arena.
 *
 * Embedded backends (in-memory, SQLite) are single-writer: the engine's writer holds the whole
 * network in memory, computes results (edge weights, sequences) itself and puts absolute values.  A
 * shared backend (PostgreSQL) will report `shared`, and there the conflict rules below and a
 * computed edge mutation decide between nodes; the batch, the change feed and the unique rules are
 * already shaped for it.
 *
 * Thread rule: store_commit, store_maintain and store_close belong to one thread, the writer. Every
 * other call may come from any thread at any time. */
#ifndef QMN_STORE_STORE_H
#define QMN_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "model/record.h"

/* Seals and opens the content of one row.  `context` names tenant, table, key and version; what was
 * sealed under one context opens under no other.  Any thread. */
struct sealer {
    void *ctx;
    /* Adds at most `overhead` bytes.  Output into the arena. */
    size_t overhead;
    enum qmn_code (*seal)(void *ctx, int64_t tenant_no, struct bytes context, struct bytes plain,
                          struct arena *arena, struct bytes *ret_sealed, struct err *err);
    /* QMN_E_CORRUPT when the bytes are not what was sealed. */
    enum qmn_code (*open)(void *ctx, int64_t tenant_no, struct bytes context, struct bytes sealed,
                          struct arena *arena, struct bytes *ret_plain, struct err *err);
};

/* Passes content through, guarded by a CRC-32C so that a flipped bit is noticed. */
extern const struct sealer sealer_identity;

enum mutation_op {
    MUT_INSERT = 1,   /* QMN_E_CONFLICT if the key (or a unique field) exists */
    MUT_PUT,          /* insert or replace; a unique field held by another row is QMN_E_CONFLICT */
    MUT_DELETE,       /* by key; absent is fine */
    MUT_DELETE_BELOW, /* retention: rows of a one-integer-key kind with key < record's, at most
                         `limit` of the lowest */
};

struct mutation {
    enum mutation_op op;
    enum record_kind kind;
    const void
        *record; /* a struct record_*; DELETE* read the key fields only.  Borrowed for the call. */
    uint32_t limit;
};

/* One committed batch of the change feed: which keys changed, in order.  The reader fetches the
 * rows itself, so applying an entry twice, or late, is harmless. */
struct change {
    enum record_kind kind;
    bool deleted;
    const void
        *key; /* a struct record_* with the key fields set (and tenant_no where the kind has it) */
};

enum store_sync {
    STORE_SYNC_FULL = 1,
    STORE_SYNC_NORMAL /* loses acknowledged writes at a power cut: tests only */
};

struct store_config {
    const char *path; /* file; NULL for the in-memory backend */
    struct sealer sealer;
    enum store_sync sync;
    bool feed; /* keep the change feed */
};

struct store_stats {
    int64_t file_bytes, log_bytes; /* database and write-ahead log */
    int64_t commits, rows, checkpoints;
    int64_t last_checkpoint_us;
};

struct store;

typedef enum qmn_code store_row_fn(void *ctx, const void *record, struct err *err);
typedef enum qmn_code store_change_fn(void *ctx, int64_t cursor, const struct change *change,
                                      struct err *err);

struct store_ops {
    const char *name; /* "memory", "sqlite" */
    bool shared;      /* other nodes write too */

    void (*close)(struct store *s);

    /* All or nothing, durable on return.  Errors: QMN_E_CONFLICT (*ret_failed is the mutation's
     * index), QMN_E_DISK_FULL (try later; reads go on), QMN_E_UNAVAILABLE (a sync failed: every
     * later commit fails too until the process restarts and recovery has decided), QMN_E_NOMEM,
     * QMN_E_CORRUPT. */
    enum qmn_code (*commit)(struct store *s, const struct mutation *mutations, size_t count,
                            size_t *ret_failed, struct err *err);

    /* Between commits: checkpoints, truncation of the log and the feed.  Cheap when there is
     * nothing to do. */
    enum qmn_code (*maintain)(struct store *s, struct err *err);

    /* By primary key: `key` is a record with its key fields set.  QMN_E_NOT_FOUND.  ret_record is
     * one struct record_* whose bytes live in the arena. */
    enum qmn_code (*get)(struct store *s, enum record_kind kind, const void *key,
                         struct arena *arena, void *ret_record, struct err *err);

    /* By a unique field (its index in the type's field table); the probe has that field, and
     * tenant_no for FIELD_UNIQUE_IN_TENANT, set. */
    enum qmn_code (*find)(struct store *s, enum record_kind kind, size_t field, const void *probe,
                          struct arena *arena, void *ret_record, struct err *err);

    /* All rows in key order, from the first whose key is > `after` (NULL: all).  The record passed
     * to `row` is valid during the call.  Any code other than QMN_OK from `row` ends the scan and
     * is returned.  One consistent snapshot. */
    enum qmn_code (*scan)(struct store *s, enum record_kind kind, const void *after,
                          store_row_fn *row, void *ctx, struct err *err);

    /* The highest value of a kind's first key field (an integer); 0 when empty. */
    enum qmn_code (*max_no)(struct store *s, enum record_kind kind, int64_t *ret_no,
                            struct err *err);

    /* Entries after `cursor` (0: from the oldest kept), whole batches only, at most `limit`
     * batches, in commit order without gaps.  *ret_cursor is where to go on.  QMN_E_GONE: trimmed,
     * reload everything. */
    enum qmn_code (*changes_since)(struct store *s, int64_t cursor, uint32_t limit,
                                   store_change_fn *fn, void *ctx, int64_t *ret_cursor,
                                   struct err *err);

    /* A consistent copy into a new file while writes go on.  progress (may be NULL) gets bytes done
     * and total. */
    enum qmn_code (*backup)(struct store *s, const char *path,
                            void (*progress)(void *ctx, int64_t done, int64_t total), void *ctx,
                            struct err *err);

    void (*stats)(struct store *s, struct store_stats *ret);
};

/* Every backend's struct starts with this. */
struct store {
    const struct store_ops *ops;
};

/* store/mem: the reference. */
QMN_NODISCARD enum qmn_code store_mem_open(const struct store_config *config, struct store **ret,
                                           struct err *err);
/* store/sqlite: creates or migrates the file.  QMN_E_CORRUPT names what is damaged; a file of a
 * newer version is refused with QMN_E_CONFLICT naming both versions. */
QMN_NODISCARD enum qmn_code store_sqlite_open(const struct store_config *config, struct store **ret,
                                              struct err *err);
/* Reads every page and row of a database file that no node has open, and adds up a backup:
 * QMN_E_CORRUPT names the first damage. */
QMN_NODISCARD enum qmn_code store_sqlite_verify(const char *path, const struct sealer *sealer,
                                                int64_t *ret_rows, struct err *err);

/* Makes a backup a database again: takes its checksum off.  Harmless for any other file. */
QMN_NODISCARD enum qmn_code store_sqlite_unwrap(const char *path, struct err *err);

static inline void store_close(struct store *s)
{
    if (s)
        s->ops->close(s);
}

#endif
