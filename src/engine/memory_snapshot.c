/* SPDX-License-Identifier: MIT
 *
 * When snapshots are taken: by a thread that looks once a second which index has changed enough,
 * and once more at the end of the engine.  It writes at a bounded rate, since the disk is the
 * store's first. */
#include "engine/memory_snapshot_priv.h"

#include <errno.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/snapshots_priv.h"

enum {
    LOOK_MS = 1000,
    SOON_MS = 60 * 1000,      /* not more often ... */
    LATE_MS = 15 * 60 * 1000, /* ... and not later, whatever has changed */
    CHANGES_LEAST = 1000,     /* half a second of linking */
    CHANGES_SHARE = 16,       /* of the vectors: what a start would link anew takes that part ... */
    RATE_BYTES_PER_MS = 64000, /* 64 MB a second: half of a plain disk.  A guess */
    LAST_MS = 5000,            /* for those at the end of the engine */
};

struct snapshots {
    struct engine *engine;
    int64_t began_ms;     /* monotonic: before it none counts as taken */
    pthread_mutex_t busy; /* held while one is taken */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    /* guarded by lock */
    bool stop, in_flight, running;
    pthread_t thread;
    /* of whoever is busy */
    int64_t end_us; /* of the last ones, which are not paced; 0: not yet */
    bool failing;   /* and said so */
};

struct engine *snapshots_engine(const struct snapshots *s)
{
    return s->engine;
}

/* ---- for the one that is taken ---- */

void snapshots_step(struct snapshots *s, struct command *cmd)
{
    pthread_mutex_lock(&s->lock);
    s->in_flight = true;
    pthread_mutex_unlock(&s->lock);
    writer_submit(s->engine, NULL, cmd);
    pthread_mutex_lock(&s->lock);
    while (s->in_flight)
        pthread_cond_wait(&s->wake, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

void snapshots_step_ends(struct snapshots *s)
{
    pthread_mutex_lock(&s->lock);
    s->in_flight = false;
    pthread_cond_broadcast(&s->wake);
    pthread_mutex_unlock(&s->lock);
}

/* False: the engine ends. */
static bool rest(struct snapshots *s, int64_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&s->lock);
    while (!s->stop && pthread_cond_timedwait(&s->wake, &s->lock, &until) != ETIMEDOUT)
        ;
    bool stop = s->stop;
    pthread_mutex_unlock(&s->lock);
    return !stop;
}

bool snapshots_go_on(struct snapshots *s, uint64_t bytes)
{
    if (s->end_us)
        return clock_mono_us() < s->end_us;
    int64_t ms = (int64_t)(bytes / RATE_BYTES_PER_MS);
    return !ms || rest(s, ms);
}

/* ---- taking ---- */

bool snapshot_is_due(uint64_t changes, uint64_t live, int64_t since_ms)
{
    uint64_t many = live / CHANGES_SHARE > CHANGES_LEAST ? live / CHANGES_SHARE : CHANGES_LEAST;
    return (changes >= many && since_ms >= SOON_MS) || (changes && since_ms >= LATE_MS);
}

static void say(struct snapshots *s, const struct tenant *t, enum qmn_code code, uint64_t bytes,
                const struct err *err)
{
    struct engine *e = s->engine;
    counter_add(e->m.snapshot_bytes, bytes);
    if (code == QMN_OK) {
        counter_add(e->m.snapshots_taken, 1);
        log_debug("snapshot of an index", LOG_I("tenant_no", t->record->no), LOG_I("bytes", bytes));
        s->failing = false;
        return;
    }
    if (code == QMN_E_GONE || code == QMN_E_IN_PROGRESS || code == QMN_E_CONFLICT)
        return; /* nobody's fault */
    counter_add(e->m.snapshots_failed, 1);
    if (!s->failing)
        log_error("no snapshot of an index, the last one stays; the next failure is not logged",
                  LOG_I("tenant_no", t->record->no), LOG_S("code", code_info(code)->wire),
                  LOG_S("detail", err->text));
    s->failing = true;
}

/* Without an index of its kind the files tell of nothing. */
static void drop(struct engine *e, struct tenant *t)
{
    struct err err = {0};
    if (sealed_files_remove(e->snapshot_dir, t->record->no, &err) != QMN_OK)
        log_warn("the snapshot of an index stays", LOG_I("tenant_no", t->record->no),
                 LOG_S("detail", err.text));
    memory_snapshot_free(TAKE(t->snapshot));
}

enum qmn_code memory_snapshot_take(struct engine *e, struct tenant *t, uint64_t *ret_bytes,
                                   struct err *err)
{
    struct snapshots *s = e->snapshots;
    uint64_t bytes = 0;
    if (!s)
        return err_set(err, QMN_E_GONE, "this node keeps no snapshots");
    pthread_mutex_lock(&s->busy);
    enum qmn_code code = memory_snapshot_write(s, t, &bytes, err);
    if (code == QMN_E_GONE)
        drop(e, t);
    if (t->snapshot)
        t->snapshot->taken_ms = engine_mono_ms(e); /* or tried */
    say(s, t, code, bytes, err);
    pthread_mutex_unlock(&s->busy);
    *ret_bytes = bytes;
    return code;
}

void memory_snapshot_forget(struct engine *e, struct tenant *t)
{
    if (!e->snapshots)
        return;
    pthread_mutex_lock(&e->snapshots->busy);
    drop(e, t);
    pthread_mutex_unlock(&e->snapshots->busy);
}

/* ---- the thread ---- */

/* NULL: there is no such tenant. */
static struct tenant *tenant_at(struct engine *e, uint32_t i, uint64_t *ret_live)
{
    pthread_rwlock_rdlock(&e->net.lock);
    struct tenant *t = i < e->net.tenant_count ? e->net.tenants[i] : NULL;
    *ret_live = t ? t->memory_count : 0;
    pthread_rwlock_unlock(&e->net.lock);
    return t;
}

/* Of all that are due, or (at the end) have changed at all. */
static void take_some(struct snapshots *s, bool all)
{
    struct engine *e = s->engine;
    struct tenant *t;
    uint64_t live, bytes;
    for (uint32_t i = 0; (t = tenant_at(e, i, &live)) != NULL; i++) {
        struct err err = {0};
        pthread_mutex_lock(&s->busy);
        uint64_t now = atomic_load(&t->index_changes);
        uint64_t changes = t->snapshot ? now - t->snapshot->changes : now;
        int64_t since = engine_mono_ms(e) - (t->snapshot ? t->snapshot->taken_ms : s->began_ms);
        bool large = atomic_load(&t->index_linked) || t->snapshot;
        pthread_mutex_unlock(&s->busy);
        bool due = large && (all ? changes > 0 : snapshot_is_due(changes, live, since));
        if (due && memory_snapshot_take(e, t, &bytes, &err) == QMN_E_IN_PROGRESS)
            return; /* no time is left; it has said whatever else was wrong */
    }
}

static void *snapshots_main(void *arg)
{
    struct snapshots *s = arg;
    while (rest(s, LOOK_MS))
        take_some(s, false);
    return NULL;
}

struct snapshots *snapshots_new(struct engine *e, bool *ret_ok)
{
    pthread_condattr_t attr;
    *ret_ok = true;
    if (!e->snapshot_dir[0])
        return NULL;
    struct snapshots *s = mem_calloc(1, sizeof *s);
    *ret_ok = s != NULL;
    if (!s)
        return NULL;
    s->engine = e;
    s->began_ms = engine_mono_ms(e);
    pthread_mutex_init(&s->busy, NULL);
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->wake, &attr);
    pthread_condattr_destroy(&attr);
    return s;
}

void snapshots_start(struct engine *e)
{
    struct snapshots *s = e->snapshots;
    if (!s)
        return;
    s->running = pthread_create(&s->thread, NULL, snapshots_main, s) == 0;
    if (!s->running)
        log_error("no thread for snapshots of indexes", LOG_S("folder", s->engine->snapshot_dir));
}

void snapshots_stop(struct engine *e)
{
    struct snapshots *s = e->snapshots;
    if (!s || !s->running)
        return;
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_broadcast(&s->wake);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    s->running = false;
    s->end_us = clock_mono_us() + LAST_MS * INT64_C(1000);
    take_some(s, true);
}

void snapshots_free(struct snapshots *s)
{
    if (!s)
        return;
    pthread_mutex_destroy(&s->busy);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->wake);
    mem_free(s);
}

void memory_snapshot_free(struct memory_snapshot *s)
{
    if (!s)
        return;
    snapshot_table_release(&s->table);
    u64map_release(&s->by_no);
    mem_free(s->owners);
    mem_free(s);
}
