/* SPDX-License-Identifier: MIT
 *
 * Commits of the in-memory store: every mutation changes a private successor of the current
 * snapshot; success publishes it, failure drops it. */
#include "base/mem.h"
#include "mem_priv.h"
#include "store/feed.h"

static void snapshot_unrefp(struct snapshot **snap)
{
    snapshot_unref(*snap);
}

static void row_unrefp(struct row **row)
{
    row_unref(*row);
}

static struct snapshot *snapshot_copy(const struct snapshot *from)
{
    struct snapshot *to = mem_alloc(sizeof *to);
    if (!to)
        return NULL;
    to->refs = 1;
    for (int k = 0; k < RECORD_KIND_COUNT; k++)
        for (int t = 0; t < MEM_TREES; t++)
            to->roots[k][t] = tree_ref(from->roots[k][t]);
    return to;
}

static void note_change(struct store_mem *s, enum record_kind kind, bool deleted,
                        const void *record)
{
    if (s->feed_on)
        feed_pack(&s->changes, kind, deleted, record);
}

static enum qmn_code conflict(const struct layout *l, const void *record, struct err *err)
{
    char name[RECORD_NAME_CHARS];
    record_describe(l, record, name);
    return err_set(err, QMN_E_CONFLICT, "%s exists already", name);
}

/* A unique value held by a row of another key. */
static bool unique_taken(const struct snapshot *next, enum record_kind kind, size_t unique,
                         const void *record)
{
    const struct layout *l = store_layout(kind);
    const struct field *f = &l->type->fields[l->unique[unique]];
    if (record_bytes(record, f).len == 0)
        return false;
    struct tree_order order = mem_order(kind, unique + 1);
    const struct row *holder = tree_find(next->roots[kind][unique + 1], &order, record);
    return holder && record_key_compare(kind, holder->record, record) != 0;
}

static bool index_row(struct snapshot *next, enum record_kind kind, struct row *row, bool add)
{
    const struct layout *l = store_layout(kind);
    for (size_t u = 0; u < l->unique_count; u++) {
        if (record_bytes(row->record, &l->type->fields[l->unique[u]]).len == 0)
            continue;
        struct tree_order order = mem_order(kind, u + 1);
        struct tree_node **root = &next->roots[kind][u + 1];
        if (!(add ? tree_put(root, &order, row) : tree_remove(root, &order, row->record)))
            return false;
    }
    return true;
}

static enum qmn_code apply_put(struct store_mem *s, struct snapshot *next, const struct mutation *m,
                               struct err *err)
{
    const struct layout *l = store_layout(m->kind);
    struct tree_order order = mem_order(m->kind, 0);
    struct row *old = tree_find(next->roots[m->kind][0], &order, m->record);
    if (old && m->op == MUT_INSERT)
        return conflict(l, m->record, err);
    for (size_t u = 0; u < l->unique_count; u++)
        if (unique_taken(next, m->kind, u, m->record))
            return conflict(l, m->record, err);
    CLEANUP(row_unrefp) struct row *row = NULL;
    TRY(mem_row_new(s, l, m->record, &row, err));
    if (old && !index_row(next, m->kind, old, false))
        return err_nomem(err);
    if (!tree_put(&next->roots[m->kind][0], &order, row) || !index_row(next, m->kind, row, true))
        return err_nomem(err);
    note_change(s, m->kind, false, row->record);
    return QMN_OK;
}

static enum qmn_code apply_delete(struct store_mem *s, struct snapshot *next, enum record_kind kind,
                                  struct row *old, struct err *err)
{
    struct tree_order order = mem_order(kind, 0);
    CLEANUP(row_unrefp) struct row *row = row_ref(old);
    if (!index_row(next, kind, row, false) ||
        !tree_remove(&next->roots[kind][0], &order, row->record))
        return err_nomem(err);
    note_change(s, kind, true, row->record);
    return QMN_OK;
}

static enum qmn_code apply_delete_below(struct store_mem *s, struct snapshot *next,
                                        const struct mutation *m, struct err *err)
{
    if (!store_layout(m->kind)->int_key)
        return err_set(err, QMN_E_INTERNAL, "the rows of %s have no order in time",
                       record_type(m->kind)->name);
    for (uint32_t i = 0; i < m->limit; i++) {
        struct row *lowest = tree_first(next->roots[m->kind][0]);
        if (!lowest || record_key_compare(m->kind, lowest->record, m->record) >= 0)
            break;
        TRY(apply_delete(s, next, m->kind, lowest, err));
    }
    return QMN_OK;
}

static enum qmn_code apply(struct store_mem *s, struct snapshot *next, const struct mutation *m,
                           struct err *err)
{
    if (!store_kind_valid(m->kind))
        return err_set(err, QMN_E_INTERNAL, "no record kind %d", (int)m->kind);
    if (m->op == MUT_INSERT || m->op == MUT_PUT)
        return apply_put(s, next, m, err);
    if (m->op == MUT_DELETE_BELOW)
        return apply_delete_below(s, next, m, err);
    if (m->op != MUT_DELETE)
        return err_set(err, QMN_E_INTERNAL, "no mutation %d", (int)m->op);
    struct tree_order order = mem_order(m->kind, 0);
    struct row *old = tree_find(next->roots[m->kind][0], &order, m->record);
    return old ? apply_delete(s, next, m->kind, old, err) : QMN_OK;
}

/* Takes the snapshot and the batch (NULL: nothing changed, or no feed) unless memory is out. */
static enum qmn_code publish(struct store_mem *s, struct snapshot *next, struct feed_batch *batch,
                             size_t count, struct err *err)
{
    pthread_mutex_lock(&s->lock);
    if (batch && !mem_feed_reserve(&s->feed)) {
        pthread_mutex_unlock(&s->lock);
        return err_nomem(err);
    }
    struct snapshot *old = s->current;
    s->current = next;
    if (batch)
        mem_feed_add(&s->feed, batch);
    s->commits++;
    s->rows += (int64_t)count;
    pthread_mutex_unlock(&s->lock);
    snapshot_unref(old);
    return QMN_OK;
}

static enum qmn_code commit_batch(struct store_mem *s, const struct mutation *mutations,
                                  size_t count, size_t *ret_failed, struct err *err)
{
    CLEANUP(snapshot_unrefp) struct snapshot *next = snapshot_copy(s->current);
    if (!next)
        return err_nomem(err);
    for (size_t i = 0; i < count; i++) {
        enum qmn_code code = apply(s, next, &mutations[i], err);
        arena_reset(&s->arena);
        if (code == QMN_E_CONFLICT && ret_failed)
            *ret_failed = i;
        TRY(code);
    }
    if (!buf_ok(&s->changes))
        return err_nomem(err);
    struct feed_batch *batch = NULL;
    if (s->changes.len && !(batch = feed_batch_new(buf_bytes(&s->changes))))
        return err_nomem(err);
    enum qmn_code code = publish(s, next, batch, count, err);
    if (code == QMN_OK)
        next = NULL;
    else
        feed_batch_unref(batch);
    return code;
}

enum qmn_code mem_commit(struct store *base, const struct mutation *mutations, size_t count,
                         size_t *ret_failed, struct err *err)
{
    struct store_mem *s = (struct store_mem *)base;
    if (!count)
        return QMN_OK;
    buf_clear(&s->changes);
    return commit_batch(s, mutations, count, ret_failed, err);
}
