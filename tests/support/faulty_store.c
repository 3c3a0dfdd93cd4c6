/* SPDX-License-Identifier: MIT
 *
 * A store that fails on request. */
#include "support/faulty_store.h"

#include <pthread.h>

#include "base/mem.h"

struct faulty_store {
    struct store front; /* first */
    struct store_ops ops;
    struct store *inner;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* guarded by lock */
    enum qmn_code code;
    int times;
    enum record_kind fail_kind, hold_kind; /* 0: any, none */
    bool held;
    int commits;
    struct faulty_order order[RECORD_KIND_COUNT];
    faulty_store_read_fn *on_read;
    void *on_read_ctx;
};

static struct faulty_store *faulty(struct store *s)
{
    return (struct faulty_store *)(void *)s;
}

static void front_close(struct store *s)
{
    (void)s;
}

static bool find_kind(const struct mutation *m, size_t count, enum record_kind kind, size_t *ret_at)
{
    for (size_t i = 0; i < count; i++)
        if (m[i].kind == kind) {
            *ret_at = i;
            return true;
        }
    return false;
}

/* Whether deletions came before insertions of their kind. */
static void note_order(struct faulty_store *f, const struct mutation *m, size_t count)
{
    bool inserted[RECORD_KIND_COUNT] = {false}, early[RECORD_KIND_COUNT] = {false},
         late[RECORD_KIND_COUNT] = {false};
    for (size_t i = 0; i < count; i++) {
        if (m[i].op == MUT_INSERT)
            inserted[m[i].kind] = true;
        else if (m[i].op == MUT_DELETE || m[i].op == MUT_DELETE_BELOW)
            *(inserted[m[i].kind] ? &late[m[i].kind] : &early[m[i].kind]) = true;
    }
    for (int k = 0; k < RECORD_KIND_COUNT; k++) {
        f->order[k].early += inserted[k] && early[k];
        f->order[k].late += inserted[k] && late[k];
    }
}

static enum qmn_code front_commit(struct store *s, const struct mutation *m, size_t count,
                                  size_t *ret_failed, struct err *err)
{
    struct faulty_store *f = faulty(s);
    size_t at = 0;
    enum qmn_code code = QMN_OK;
    pthread_mutex_lock(&f->lock);
    f->commits++;
    note_order(f, m, count);
    while (f->hold_kind && find_kind(m, count, f->hold_kind, &at)) {
        f->held = true;
        pthread_cond_broadcast(&f->changed);
        pthread_cond_wait(&f->changed, &f->lock);
    }
    f->held = false;
    if (f->times && (!f->fail_kind || find_kind(m, count, f->fail_kind, &at))) {
        f->times -= f->times > 0;
        code = f->code;
    }
    pthread_mutex_unlock(&f->lock);
    if (code == QMN_OK)
        return f->inner->ops->commit(f->inner, m, count, ret_failed, err);
    *ret_failed = at;
    return err_set(err, code, "a commit that was made to fail");
}

static enum qmn_code front_maintain(struct store *s, struct err *err)
{
    struct store *inner = faulty(s)->inner;
    return inner->ops->maintain(inner, err);
}

static void reading(struct faulty_store *f, enum record_kind kind)
{
    pthread_mutex_lock(&f->lock);
    faulty_store_read_fn *on_read = f->on_read;
    void *ctx = f->on_read_ctx;
    pthread_mutex_unlock(&f->lock);
    if (on_read)
        on_read(ctx, kind);
}

static enum qmn_code front_get(struct store *s, enum record_kind kind, const void *key,
                               struct arena *arena, void *ret, struct err *err)
{
    struct store *inner = faulty(s)->inner;
    reading(faulty(s), kind);
    return inner->ops->get(inner, kind, key, arena, ret, err);
}

static enum qmn_code front_find(struct store *s, enum record_kind kind, size_t field,
                                const void *probe, struct arena *arena, void *ret, struct err *err)
{
    struct store *inner = faulty(s)->inner;
    reading(faulty(s), kind);
    return inner->ops->find(inner, kind, field, probe, arena, ret, err);
}

static enum qmn_code front_scan(struct store *s, enum record_kind kind, const void *after,
                                store_row_fn *row, void *ctx, struct err *err)
{
    struct store *inner = faulty(s)->inner;
    reading(faulty(s), kind);
    return inner->ops->scan(inner, kind, after, row, ctx, err);
}

static enum qmn_code front_max_no(struct store *s, enum record_kind kind, int64_t *ret_no,
                                  struct err *err)
{
    struct store *inner = faulty(s)->inner;
    return inner->ops->max_no(inner, kind, ret_no, err);
}

static enum qmn_code front_changes(struct store *s, int64_t cursor, uint32_t limit,
                                   store_change_fn *fn, void *ctx, int64_t *ret_cursor,
                                   struct err *err)
{
    struct store *inner = faulty(s)->inner;
    return inner->ops->changes_since(inner, cursor, limit, fn, ctx, ret_cursor, err);
}

static enum qmn_code front_backup(struct store *s, const char *path,
                                  void (*progress)(void *ctx, int64_t done, int64_t total),
                                  void *ctx, struct err *err)
{
    struct store *inner = faulty(s)->inner;
    return inner->ops->backup(inner, path, progress, ctx, err);
}

static void front_stats(struct store *s, struct store_stats *ret)
{
    struct store *inner = faulty(s)->inner;
    inner->ops->stats(inner, ret);
}

struct faulty_store *faulty_store_new(struct store *inner)
{
    struct faulty_store *f = mem_calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->ops = (struct store_ops){.name = inner->ops->name,
                                .close = front_close,
                                .commit = front_commit,
                                .maintain = front_maintain,
                                .get = front_get,
                                .find = front_find,
                                .scan = front_scan,
                                .max_no = front_max_no,
                                .changes_since = front_changes,
                                .backup = front_backup,
                                .stats = front_stats};
    f->front.ops = &f->ops;
    f->inner = inner;
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->changed, NULL);
    return f;
}

void faulty_store_free(struct faulty_store *f)
{
    if (!f)
        return;
    store_close(f->inner);
    pthread_mutex_destroy(&f->lock);
    pthread_cond_destroy(&f->changed);
    mem_free(f);
}

void faulty_store_on_read(struct faulty_store *f, faulty_store_read_fn *fn, void *ctx)
{
    pthread_mutex_lock(&f->lock);
    f->on_read = fn;
    f->on_read_ctx = ctx;
    pthread_mutex_unlock(&f->lock);
}

struct store *faulty_store_front(struct faulty_store *f)
{
    return &f->front;
}

void faulty_store_fail_kind(struct faulty_store *f, enum record_kind kind, enum qmn_code code,
                            int times)
{
    pthread_mutex_lock(&f->lock);
    f->fail_kind = kind;
    f->code = code;
    f->times = times;
    pthread_mutex_unlock(&f->lock);
}

void faulty_store_fail(struct faulty_store *f, enum qmn_code code, int times)
{
    faulty_store_fail_kind(f, (enum record_kind)0, code, times);
}

void faulty_store_hold(struct faulty_store *f, enum record_kind kind)
{
    pthread_mutex_lock(&f->lock);
    f->hold_kind = kind;
    pthread_mutex_unlock(&f->lock);
}

void faulty_store_await_held(struct faulty_store *f)
{
    pthread_mutex_lock(&f->lock);
    while (!f->held)
        pthread_cond_wait(&f->changed, &f->lock);
    pthread_mutex_unlock(&f->lock);
}

void faulty_store_let_go(struct faulty_store *f)
{
    pthread_mutex_lock(&f->lock);
    f->hold_kind = (enum record_kind)0;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

struct faulty_order faulty_store_order(struct faulty_store *f, enum record_kind kind)
{
    pthread_mutex_lock(&f->lock);
    struct faulty_order order = f->order[kind];
    pthread_mutex_unlock(&f->lock);
    return order;
}

int faulty_store_commits(struct faulty_store *f)
{
    pthread_mutex_lock(&f->lock);
    int n = f->commits;
    pthread_mutex_unlock(&f->lock);
    return n;
}
