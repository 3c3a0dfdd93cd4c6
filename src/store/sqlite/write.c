/* SPDX-License-Identifier: MIT
 *
 * Commits and checkpoints, both on the writer's connection.
 *
 * A commit is one transaction; with synchronous=FULL its last act is the sync of the log.  When a
 * sync (or any other disk operation except running out of space) fails, the kernel may have dropped
 * the very pages it could not write, and a second sync would report success: so nothing is ever
 * retried and the store takes no more commits (TRUST of the log is restored by recovery at the next
 * start).  Running out of space is different: the pages were never accepted, the transaction rolls
 * back, and the next commit may succeed.  That the writes of a commit are gathered (log_file.c)
 * changes neither: the buffer is empty before the last write returns.
 *
 * A checkpoint copies the log into the database file between groups.  When it got everything the
 * next commit starts the log over at its beginning, so the log file is overwritten in place, which
 * syncs twice as fast as appending. */
#include "sqlite_priv.h"

#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/feed.h"

enum {
    /* CPU of a broadcast in groups of 21 (bench_store, us): 250 pages 20.4, 500 19.3, 1,000 19.6,
     * 2,000 21.0, all within the noise; pauses grow with it. */
    CHECKPOINT_PAGES = 500,
    LOG_TRUNCATE_BYTES = 64 << 20 /* a log this large, once empty, gives its space back */
};

static enum qmn_code feed_deleted(struct store_sqlite *s, sqlite3_stmt *stmt, enum record_kind kind,
                                  struct err *err)
{
    const struct layout *l = store_layout(kind);
    union record_any record;
    memset(&record, 0, sizeof record);
    TRY(row_read_plain(stmt, l, l->plain_count, &record, err));
    feed_pack(&s->changes, kind, true, &record);
    return QMN_OK;
}

static enum qmn_code mutation_fail(struct store_sqlite *s, const struct mutation *m, int rc,
                                   struct err *err)
{
    if ((rc & 0xff) != SQLITE_CONSTRAINT || m->op > MUT_PUT)
        return sqlite_fail(s->writer->db, rc, "writing", err);
    char name[RECORD_NAME_CHARS];
    record_describe(store_layout(m->kind), m->record, name);
    return err_set(err, QMN_E_CONFLICT, "%s exists already", name);
}

static enum qmn_code mutation_bind(struct store_sqlite *s, const struct mutation *m,
                                   sqlite3_stmt *stmt, struct err *err)
{
    const struct layout *l = store_layout(m->kind);
    if (m->op == MUT_INSERT || m->op == MUT_PUT)
        return row_bind(stmt, l, &s->sealer, m->record, &s->arena, err);
    TRY(row_bind_key(stmt, l, m->record, 1, err));
    if (m->op == MUT_DELETE_BELOW)
        sqlite3_bind_int64(stmt, (int)l->type->key_count + 1, m->limit);
    return QMN_OK;
}

static enum qmn_code mutation_run(struct store_sqlite *s, const struct mutation *m,
                                  sqlite3_stmt *stmt, struct err *err)
{
    int rc;
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
        TRY(feed_deleted(s, stmt, m->kind, err));
    if (rc != SQLITE_DONE)
        return mutation_fail(s, m, rc, err);
    if (s->feed_on && (m->op == MUT_INSERT || m->op == MUT_PUT))
        feed_pack(&s->changes, m->kind, false, m->record);
    return QMN_OK;
}

static enum qmn_code apply(struct store_sqlite *s, const struct mutation *m, struct err *err)
{
    static const enum stmt_op ops[] = {[MUT_INSERT] = STMT_INSERT,
                                       [MUT_PUT] = STMT_PUT,
                                       [MUT_DELETE] = STMT_DELETE,
                                       [MUT_DELETE_BELOW] = STMT_DELETE_BELOW};
    if (!store_kind_valid(m->kind) || m->op < MUT_INSERT || m->op > MUT_DELETE_BELOW)
        return err_set(err, QMN_E_INTERNAL, "no mutation %d of kind %d", (int)m->op, (int)m->kind);
    if (m->op == MUT_DELETE_BELOW && !store_layout(m->kind)->int_key)
        return err_set(err, QMN_E_INTERNAL, "the rows of %s have no order in time",
                       record_type(m->kind)->name);
    sqlite3_stmt *stmt;
    TRY(dbconn_stmt(s->writer, m->kind, ops[m->op], &stmt, err));
    enum qmn_code code = mutation_bind(s, m, stmt, err);
    if (code == QMN_OK)
        code = mutation_run(s, m, stmt, err);
    sqlite3_reset(stmt);
    arena_reset(&s->arena);
    return code;
}

static enum qmn_code feed_add(struct store_sqlite *s, struct err *err)
{
    if (!buf_ok(&s->changes))
        return err_nomem(err);
    if (!s->changes.len)
        return QMN_OK;
    sqlite3_stmt *stmt;
    TRY(dbconn_common(s->writer, COMMON_FEED_ADD, &stmt, err));
    sqlite3_bind_int64(stmt, 1, s->feed_next);
    sqlite3_bind_blob64(stmt, 2, s->changes.ptr, s->changes.len, SQLITE_STATIC);
    return dbconn_run(s->writer, COMMON_FEED_ADD, "writing", err);
}

static enum qmn_code apply_all(struct store_sqlite *s, const struct mutation *mutations,
                               size_t count, size_t *ret_failed, struct err *err)
{
    buf_clear(&s->changes);
    for (size_t i = 0; i < count; i++) {
        enum qmn_code code = apply(s, &mutations[i], err);
        if (code == QMN_E_CONFLICT && ret_failed)
            *ret_failed = i;
        TRY(code);
    }
    return s->feed_on ? feed_add(s, err) : QMN_OK;
}

/* Without any memory not even a rollback may succeed; then it is made up for before whatever is
 * next. */
static enum qmn_code settle(struct store_sqlite *s, struct err *err)
{
    return dbconn_roll_back(s->writer) ? QMN_OK : err_nomem(err);
}

/* A reader that finds the log's header half written, as it is for an instant of each commit, takes
 * the write lock to look again; the writer that comes just then is told "busy".  It waits: no other
 * process can hold that lock.  Not a busy handler of the connection's: that would also have
 * checkpoints wait for readers. */
static enum qmn_code run_patiently(struct store_sqlite *s, enum common_stmt stmt, const char *doing,
                                   struct err *err)
{
    enum { YIELDS = 1000, NAPS = 2000, NAP_US = 1000 };
    for (int tries = 0;; tries++) {
        enum qmn_code code = dbconn_run(s->writer, stmt, doing, err);
        if (code != QMN_E_CONFLICT || tries == YIELDS + NAPS)
            return code;
        if (tries < YIELDS)
            sched_yield();
        else
            usleep(NAP_US);
    }
}

enum qmn_code sqlite_commit(struct store *base, const struct mutation *mutations, size_t count,
                            size_t *ret_failed, struct err *err)
{
    struct store_sqlite *s = (struct store_sqlite *)base;
    if (s->failed)
        return err_set(err, QMN_E_UNAVAILABLE,
                       "the store's disk failed earlier: no writes until the node restarts");
    if (!count)
        return QMN_OK;
    TRY(settle(s, err));
    enum qmn_code code = run_patiently(s, COMMON_BEGIN, "beginning", err);
    if (code == QMN_OK)
        code = apply_all(s, mutations, count, ret_failed, err);
    if (code == QMN_OK)
        code = dbconn_run(s->writer, COMMON_COMMIT, "committing", err);
    if (code != QMN_OK) {
        (void)dbconn_roll_back(s->writer);
        if (code == QMN_E_UNAVAILABLE)
            s->failed = true;
        return code;
    }
    if (s->changes.len)
        s->feed_next++;
    s->commits++;
    s->rows += (int64_t)count;
    return QMN_OK;
}

static enum qmn_code checkpoint(struct store_sqlite *s, int mode, struct err *err)
{
    int64_t start = clock_mono_us();
    int in_log = 0, copied = 0;
    int rc = sqlite3_wal_checkpoint_v2(s->writer->db, NULL, mode, &in_log, &copied);
    s->checkpoints++;
    s->last_checkpoint_us = clock_mono_us() - start;
    if (rc != SQLITE_OK && rc != SQLITE_BUSY) { /* busy: a reader still needs the log */
        enum qmn_code code = sqlite_fail(s->writer->db, rc, "checkpointing", err);
        if (code == QMN_E_UNAVAILABLE)
            s->failed = true;
        return code;
    }
    s->checkpoint_at = s->log_pages + CHECKPOINT_PAGES;
    s->log_empty = in_log == copied;
    return QMN_OK;
}

/* After each commit: how long the log is now.  It got shorter: it was started over. */
static int on_commit(void *ctx, sqlite3 *db QMN_UNUSED, const char *name QMN_UNUSED, int pages)
{
    struct store_sqlite *s = ctx;
    if (pages < s->log_pages)
        s->checkpoint_at = CHECKPOINT_PAGES;
    s->log_pages = pages;
    if (pages > s->log_peak)
        s->log_peak = pages;
    s->log_empty = false;
    return SQLITE_OK;
}

static enum qmn_code feed_trim(struct store_sqlite *s, struct err *err)
{
    if (s->feed_next - s->feed_first <= FEED_KEEP + FEED_SLACK)
        return QMN_OK;
    sqlite3_stmt *stmt;
    TRY(dbconn_common(s->writer, COMMON_FEED_TRIM, &stmt, err));
    sqlite3_bind_int64(stmt, 1, s->feed_next - FEED_KEEP);
    enum qmn_code code = dbconn_run(s->writer, COMMON_FEED_TRIM, "trimming the feed", err);
    if (code == QMN_OK)
        s->feed_first = s->feed_next - FEED_KEEP;
    else if (code == QMN_E_UNAVAILABLE)
        s->failed = true;
    return code == QMN_E_CONFLICT ? QMN_OK : code; /* a reader was in the way: the next time */
}

enum qmn_code sqlite_maintain(struct store *base, struct err *err)
{
    struct store_sqlite *s = (struct store_sqlite *)base;
    if (s->failed)
        return err_set(err, QMN_E_UNAVAILABLE, "the store's disk failed earlier");
    TRY(settle(s, err));
    if (s->feed_on)
        TRY(feed_trim(s, err));
    if (s->log_pages >= s->checkpoint_at)
        TRY(checkpoint(s, SQLITE_CHECKPOINT_PASSIVE, err));
    if (s->log_empty && (int64_t)s->log_peak * STORE_PAGE_BYTES >= LOG_TRUNCATE_BYTES) {
        s->log_peak = 0;
        TRY(checkpoint(s, SQLITE_CHECKPOINT_TRUNCATE, err));
    }
    return QMN_OK;
}

enum qmn_code sqlite_write_open(struct store_sqlite *s, struct err *err)
{
    s->checkpoint_at = CHECKPOINT_PAGES;
    (void)sqlite3_wal_hook(s->writer->db, on_commit, s);
    TRY(dbconn_int(s->writer, "SELECT coalesce(max(cursor), 0) + 1 FROM change", &s->feed_next,
                   err));
    TRY(dbconn_int(s->writer, "SELECT coalesce(min(cursor), 1) FROM change", &s->feed_first, err));
    if (s->feed_on || s->feed_next == 1)
        return QMN_OK;
    /* Commits without a feed follow: an empty batch two past the last one leaves a gap, so every
     * cursor given out before is answered with "gone". */
    char sql[128];
    snprintf(sql, sizeof sql,
             "BEGIN IMMEDIATE; DELETE FROM change; INSERT INTO change VALUES (%lld, x''); COMMIT",
             (long long)s->feed_next + 1);
    return dbconn_exec(s->writer, sql, "clearing the feed", err);
}

void sqlite_write_close(struct store_sqlite *s)
{
    if (!s->failed && settle(s, NULL) == QMN_OK &&
        checkpoint(s, SQLITE_CHECKPOINT_TRUNCATE, NULL) == QMN_OK)
        dbconn_drop_log(s->writer);
}
