/* SPDX-License-Identifier: MIT
 *
 * The log file of a connection, whose writes are gathered.
 *
 * SQLite writes each frame of a commit as a header of 24 bytes and a page: some fifty system calls
 * for a group of twenty broadcasts, and half of them carry almost nothing.  Here writes that follow
 * on one another are copied into a buffer, which goes out as one write at the first of: a write
 * elsewhere, a full buffer, the last page of a transaction, and every other call.  What is written
 * over (a page that left the cache too early, and then the checksums behind it) goes out at once.
 *
 * The last page of a transaction, since then nothing that another connection may read is ever held
 * back (each has a file of its own here, and reads no further than commits that have ended), nor
 * what a checkpoint copies; and a full disk is reported by the same call as without a buffer, the
 * write.  The sync goes to the file after what was gathered, whatever SQLite makes of frames one
 * day.
 *
 * What could not be written is lost, and stays reported: each call fails that would have come to
 * depend on it, the sync above all, until SQLite has given up the transaction and writes again at
 * the place where the loss begins, or before.
 *
 * A sync of what is on the disk already is not passed on: a checkpoint begins with one of the log,
 * right after the commit that synced it.
 *
 * A file is used by the thread of its connection. */
#include "sqlite_priv.h"

#include <string.h>

#include "base/mem.h"

enum {
    /* Half a group of twenty broadcasts.  The layer below takes a write's length by its low 17
     * bits: one of 128 KB would be one of nothing, and the disk "full". */
    GATHER_BYTES = 124 << 10,
    FRAME_HEADER_BYTES = 24, /* what a frame begins with; no page is so short */
    FRAME_COMMIT_AT = 4,     /* in it: pages of the database after a commit, else 0 */
    FRAME_COMMIT_BYTES = 4,
};

struct log_file {
    sqlite3_file base; /* first: what SQLite sees */
    char *buf;         /* GATHER_BYTES, from the first write on; NULL: none to be had */
    size_t len;
    sqlite3_int64 at;  /* where what was gathered belongs */
    sqlite3_int64 end; /* of what has been written since the log's beginning was */
    bool ending;       /* the header of a transaction's last page came: the page comes */
    bool unsynced;     /* something was written or cut off, perhaps by a process before */
    int lost;          /* the code of a write that failed; SQLITE_OK: none */
    sqlite3_int64 lost_at;
    /* The file of the layer below; SQLite places files at multiples of 8. */
    _Alignas(sqlite3_int64) char real[];
};

static struct log_file *log_file_of(sqlite3_file *file)
{
    return (struct log_file *)(void *)file;
}

static sqlite3_file *real_of(struct log_file *g)
{
    return (sqlite3_file *)(void *)g->real;
}

static int write_now(struct log_file *g, const void *data, size_t len, sqlite3_int64 at)
{
    g->unsynced = true;
    int rc = real_of(g)->pMethods->xWrite(real_of(g), data, (int)len, at);
    if (rc != SQLITE_OK) {
        g->lost = rc;
        g->lost_at = g->end = at;
    }
    return rc;
}

static int flush(struct log_file *g)
{
    size_t len = g->len;
    g->len = 0;
    return len ? write_now(g, g->buf, len, g->at) : SQLITE_OK;
}

/* Everything is in the file; or the code of what is not. */
static int settle(struct log_file *g)
{
    int rc = flush(g);
    return rc != SQLITE_OK ? rc : g->lost;
}

static bool ends_transaction(struct log_file *g, const char *data, size_t len)
{
    static const char zero[FRAME_COMMIT_BYTES];
    bool header = len == FRAME_HEADER_BYTES, ends = g->ending && !header;
    g->ending = header && memcmp(data + FRAME_COMMIT_AT, zero, sizeof zero) != 0;
    return ends;
}

static int gather(struct log_file *g, const void *data, size_t len, sqlite3_int64 at)
{
    if (!g->buf)
        g->buf = mem_alloc(GATHER_BYTES);
    if (!g->buf || len > GATHER_BYTES || at < g->end) {
        int rc = flush(g);
        return rc != SQLITE_OK ? rc : write_now(g, data, len, at);
    }
    if (g->len && (at != g->at + (sqlite3_int64)g->len || len > GATHER_BYTES - g->len)) {
        int rc = flush(g);
        if (rc != SQLITE_OK)
            return rc;
    }
    if (!g->len)
        g->at = at;
    memcpy(g->buf + g->len, data, len);
    g->len += len;
    return SQLITE_OK;
}

static int file_write(sqlite3_file *file, const void *data, int len, sqlite3_int64 at)
{
    struct log_file *g = log_file_of(file);
    if (g->lost && at > g->lost_at)
        return g->lost;
    g->lost = SQLITE_OK;
    int rc = gather(g, data, (size_t)len, at);
    if (rc == SQLITE_OK && (!at || at + len > g->end))
        g->end = at + len;
    bool ends = ends_transaction(g, data, (size_t)len);
    return rc == SQLITE_OK && ends ? flush(g) : rc;
}

static int file_read(sqlite3_file *file, void *ret, int len, sqlite3_int64 at)
{
    struct log_file *g = log_file_of(file);
    int rc = flush(g);
    if (rc == SQLITE_OK && g->lost && at + len > g->lost_at)
        rc = g->lost;
    return rc != SQLITE_OK ? rc : real_of(g)->pMethods->xRead(real_of(g), ret, len, at);
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    struct log_file *g = log_file_of(file);
    int rc = flush(g);
    g->unsynced = true;
    if (rc == SQLITE_OK)
        rc = real_of(g)->pMethods->xTruncate(real_of(g), size);
    if (rc != SQLITE_OK)
        return rc;
    if (size <= g->lost_at)
        g->lost = SQLITE_OK;
    if (size < g->end)
        g->end = size;
    return SQLITE_OK;
}

static int file_sync(sqlite3_file *file, int flags)
{
    struct log_file *g = log_file_of(file);
    int rc = settle(g);
    if (rc == SQLITE_OK && g->unsynced)
        rc = real_of(g)->pMethods->xSync(real_of(g), flags);
    if (rc == SQLITE_OK)
        g->unsynced = false;
    return rc;
}

static int file_size(sqlite3_file *file, sqlite3_int64 *ret)
{
    struct log_file *g = log_file_of(file);
    int rc = settle(g);
    return rc != SQLITE_OK ? rc : real_of(g)->pMethods->xFileSize(real_of(g), ret);
}

static int file_close(sqlite3_file *file)
{
    struct log_file *g = log_file_of(file);
    int rc = flush(g); /* of a transaction that was given up, if there is anything */
    int closed = real_of(g)->pMethods->xClose(real_of(g));
    mem_free(g->buf);
    return rc != SQLITE_OK ? rc : closed;
}

static int file_control(sqlite3_file *file, int op, void *arg)
{
    struct log_file *g = log_file_of(file);
    int rc = settle(g);
    return rc != SQLITE_OK ? rc : real_of(g)->pMethods->xFileControl(real_of(g), op, arg);
}

/* A log is never locked, its database is; the layer below decides all the same. */
static int file_lock(sqlite3_file *file, int level)
{
    return real_of(log_file_of(file))->pMethods->xLock(real_of(log_file_of(file)), level);
}

static int file_unlock(sqlite3_file *file, int level)
{
    return real_of(log_file_of(file))->pMethods->xUnlock(real_of(log_file_of(file)), level);
}

static int file_locked(sqlite3_file *file, int *ret)
{
    return real_of(log_file_of(file))
        ->pMethods->xCheckReservedLock(real_of(log_file_of(file)), ret);
}

static int file_sector(sqlite3_file *file)
{
    return real_of(log_file_of(file))->pMethods->xSectorSize(real_of(log_file_of(file)));
}

static int file_traits(sqlite3_file *file)
{
    return real_of(log_file_of(file))->pMethods->xDeviceCharacteristics(real_of(log_file_of(file)));
}

int log_file_bytes(const sqlite3_vfs *below)
{
    return (int)sizeof(struct log_file) + below->szOsFile;
}

int log_file_open(sqlite3_vfs *below, const char *name, sqlite3_file *file, int flags,
                  int *ret_flags)
{
    /* version 1: no memory mapping and no shared memory, which belong to a database file */
    static const sqlite3_io_methods methods = {.iVersion = 1,
                                               .xClose = file_close,
                                               .xRead = file_read,
                                               .xWrite = file_write,
                                               .xTruncate = file_truncate,
                                               .xSync = file_sync,
                                               .xFileSize = file_size,
                                               .xLock = file_lock,
                                               .xUnlock = file_unlock,
                                               .xCheckReservedLock = file_locked,
                                               .xFileControl = file_control,
                                               .xSectorSize = file_sector,
                                               .xDeviceCharacteristics = file_traits};
    struct log_file *g = log_file_of(file);
    memset(g, 0, sizeof *g);
    g->unsynced = true;
    int rc = below->xOpen(below, name, real_of(g), flags, ret_flags);
    if (real_of(g)->pMethods)
        g->base.pMethods = &methods; /* else SQLite does not close it */
    return rc;
}
