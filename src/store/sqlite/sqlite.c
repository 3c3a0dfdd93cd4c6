/* SPDX-License-Identifier: MIT
 *
 * The SQLite store: one file, its write-ahead log, and a lock file.  Opening creates or migrates
 * the file and recovers what a crash left in the log. */
#include <unistd.h>

#include "base/mem.h"
#include "file.h"
#include "sqlite_priv.h"
#include "store/feed.h"

static void sqlite_close(struct store *base)
{
    struct store_sqlite *s = (struct store_sqlite *)base;
    if (!s)
        return;
    while (s->pool) {
        struct dbconn *c = s->pool;
        s->pool = c->next;
        dbconn_close(c);
    }
    if (s->writer)
        sqlite_write_close(s);
    dbconn_close(s->writer);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    arena_release(&s->arena);
    buf_release(&s->changes);
    pthread_mutex_destroy(&s->pool_lock);
    mem_free(s->path);
    mem_free(s->log_path);
    mem_free(s);
}

static void sqlite_stats(struct store *base, struct store_stats *ret)
{
    struct store_sqlite *s = (struct store_sqlite *)base;
    *ret = (struct store_stats){.file_bytes = file_bytes(s->path),
                                .log_bytes = file_bytes(s->log_path),
                                .commits = s->commits,
                                .rows = s->rows,
                                .checkpoints = s->checkpoints,
                                .last_checkpoint_us = s->last_checkpoint_us};
}

static const struct store_ops sqlite_ops = {
    .name = "sqlite",
    .close = sqlite_close,
    .commit = sqlite_commit,
    .maintain = sqlite_maintain,
    .get = sqlite_get,
    .find = sqlite_find,
    .scan = sqlite_scan,
    .max_no = sqlite_max_no,
    .changes_since = sqlite_changes_since,
    .backup = sqlite_backup,
    .stats = sqlite_stats,
};

static void store_closep(struct store **s)
{
    store_close(*s);
}

static struct store_sqlite *store_new(const struct store_config *config)
{
    struct store_sqlite *s = mem_calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->base.ops = &sqlite_ops;
    s->sealer = config->sealer;
    s->feed_on = config->feed;
    s->lock_fd = -1;
    s->path = file_beside(config->path, "");
    s->log_path = file_beside(config->path, "-wal");
    arena_init(&s->arena, 0);
    buf_init(&s->changes, FEED_BATCH_BYTES);
    pthread_mutex_init(&s->pool_lock, NULL);
    return s;
}

enum qmn_code store_sqlite_open(const struct store_config *config, struct store **ret,
                                struct err *err)
{
    struct store_sqlite *s = store_new(config);
    if (!s)
        return err_nomem(err);
    CLEANUP(store_closep) struct store *base = &s->base;
    if (!s->path || !s->log_path)
        return err_nomem(err);
    TRY(file_lock(s->path, &s->lock_fd, err));
    bool fresh = file_bytes(s->path) == 0;
    if (fresh)
        TRY(file_create(s->path, err));
    TRY(dbconn_open(s->path, CONN_WRITER, s->feed_on, config->sync, &s->writer, err));
    TRY(schema_open(s->writer, err));
    TRY(sqlite_write_open(s, err));
    if (fresh)
        TRY(file_sync_dir(s->path, err));
    *ret = TAKE(base);
    return QMN_OK;
}
