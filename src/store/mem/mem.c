/* SPDX-License-Identifier: MIT
 *
 * The in-memory store: the reference every other backend is measured against, and the fixture of
 * the tests.  All rows hang in persistent trees (tree.h); the current roots are one snapshot, which
 * readers reference and the writer replaces.  So a scan never waits for a commit nor a commit for a
 * scan, and a failed batch leaves nothing to undo.  Nothing survives a close. */
#include "base/mem.h"
#include "mem_priv.h"
#include "store/feed.h"

struct tree_order mem_order(enum record_kind kind, size_t tree)
{
    struct tree_order o = {.kind = kind};
    if (tree > 0) {
        const struct layout *l = store_layout(kind);
        o.field = &l->type->fields[l->unique[tree - 1]];
        if (o.field->flags & FIELD_UNIQUE_IN_TENANT)
            o.tenant = l->tenant;
    }
    return o;
}

struct snapshot *mem_snapshot(struct store_mem *s)
{
    pthread_mutex_lock(&s->lock);
    struct snapshot *snap = s->current;
    atomic_fetch_add_explicit(&snap->refs, 1, memory_order_relaxed);
    pthread_mutex_unlock(&s->lock);
    return snap;
}

void snapshot_unref(struct snapshot *snap)
{
    if (!snap || atomic_fetch_sub_explicit(&snap->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (int k = 0; k < RECORD_KIND_COUNT; k++)
        for (int t = 0; t < MEM_TREES; t++)
            tree_unref(snap->roots[k][t]);
    mem_free(snap);
}

static enum qmn_code mem_get_by(struct store_mem *s, enum record_kind kind, size_t tree,
                                const void *probe, struct arena *arena, void *ret_record,
                                struct err *err)
{
    struct tree_order order = mem_order(kind, tree);
    struct snapshot *snap = mem_snapshot(s);
    const struct row *row = tree_find(snap->roots[kind][tree], &order, probe);
    enum qmn_code code = row ? mem_row_read(s, store_layout(kind), row, arena, ret_record, err)
                             : err_set(err, QMN_E_NOT_FOUND, "no such %s", record_type(kind)->name);
    snapshot_unref(snap);
    return code;
}

static enum qmn_code mem_get(struct store *base, enum record_kind kind, const void *key,
                             struct arena *arena, void *ret_record, struct err *err)
{
    return mem_get_by((struct store_mem *)base, kind, 0, key, arena, ret_record, err);
}

static enum qmn_code mem_find(struct store *base, enum record_kind kind, size_t field,
                              const void *probe, struct arena *arena, void *ret_record,
                              struct err *err)
{
    int at = layout_unique_at(store_layout(kind), field);
    if (at < 0)
        return err_set(err, QMN_E_INTERNAL, "%s has no unique field %zu", record_type(kind)->name,
                       field);
    return mem_get_by((struct store_mem *)base, kind, (size_t)at + 1, probe, arena, ret_record,
                      err);
}

struct scan {
    struct store_mem *store;
    const struct layout *layout;
    struct arena arena; /* of one row */
    store_row_fn *row;
    void *ctx;
};

static enum qmn_code scan_row(void *ctx, struct row *row, struct err *err)
{
    struct scan *scan = ctx;
    union record_any record;
    arena_reset(&scan->arena);
    TRY(mem_row_read(scan->store, scan->layout, row, &scan->arena, &record, err));
    return scan->row(scan->ctx, &record, err);
}

static enum qmn_code mem_scan(struct store *base, enum record_kind kind, const void *after,
                              store_row_fn *row, void *ctx, struct err *err)
{
    struct store_mem *s = (struct store_mem *)base;
    struct scan scan = {.store = s, .layout = store_layout(kind), .row = row, .ctx = ctx};
    struct tree_order order = mem_order(kind, 0);
    arena_init(&scan.arena, 0);
    struct snapshot *snap = mem_snapshot(s);
    enum qmn_code code = tree_walk(snap->roots[kind][0], &order, after, scan_row, &scan, err);
    snapshot_unref(snap);
    arena_release(&scan.arena);
    return code;
}

static enum qmn_code mem_max_no(struct store *base, enum record_kind kind, int64_t *ret_no,
                                struct err *err)
{
    const struct layout *l = store_layout(kind);
    if (!l->int_key)
        return err_set(err, QMN_E_INTERNAL, "the key of %s is not a number", l->type->name);
    struct snapshot *snap = mem_snapshot((struct store_mem *)base);
    const struct row *last = tree_last(snap->roots[kind][0]);
    *ret_no = last ? record_int(last->record, &l->type->fields[0]) : 0;
    snapshot_unref(snap);
    return QMN_OK;
}

static enum qmn_code mem_maintain(struct store *base, struct err *err QMN_UNUSED)
{
    struct store_mem *s = (struct store_mem *)base;
    pthread_mutex_lock(&s->lock);
    mem_feed_trim(&s->feed);
    pthread_mutex_unlock(&s->lock);
    return QMN_OK;
}

static enum qmn_code mem_backup(struct store *base QMN_UNUSED, const char *path QMN_UNUSED,
                                void (*progress)(void *, int64_t, int64_t) QMN_UNUSED,
                                void *ctx QMN_UNUSED, struct err *err)
{
    return err_set(err, QMN_E_NOT_IMPLEMENTED,
                   "the in-memory store has no file form; start the node on a data directory");
}

static void mem_stats(struct store *base, struct store_stats *ret)
{
    struct store_mem *s = (struct store_mem *)base;
    pthread_mutex_lock(&s->lock);
    *ret = (struct store_stats){.commits = s->commits, .rows = s->rows};
    pthread_mutex_unlock(&s->lock);
}

static void mem_close(struct store *base)
{
    struct store_mem *s = (struct store_mem *)base;
    snapshot_unref(s->current);
    mem_feed_release(&s->feed);
    buf_release(&s->changes);
    arena_release(&s->arena);
    pthread_mutex_destroy(&s->lock);
    mem_free(s);
}

static const struct store_ops mem_ops = {
    .name = "memory",
    .close = mem_close,
    .commit = mem_commit,
    .maintain = mem_maintain,
    .get = mem_get,
    .find = mem_find,
    .scan = mem_scan,
    .max_no = mem_max_no,
    .changes_since = mem_changes_since,
    .backup = mem_backup,
    .stats = mem_stats,
};

enum qmn_code store_mem_open(const struct store_config *config, struct store **ret, struct err *err)
{
    struct store_mem *s = mem_calloc(1, sizeof *s);
    struct snapshot *empty = mem_calloc(1, sizeof *empty);
    if (!s || !empty) {
        mem_free(s);
        mem_free(empty);
        return err_nomem(err);
    }
    empty->refs = 1;
    s->base.ops = &mem_ops;
    s->sealer = config->sealer;
    s->feed_on = config->feed;
    s->current = empty;
    s->feed.first = s->feed.next = 1;
    arena_init(&s->arena, 0);
    buf_init(&s->changes, FEED_BATCH_BYTES);
    pthread_mutex_init(&s->lock, NULL);
    *ret = &s->base;
    return QMN_OK;
}
