/* SPDX-License-Identifier: MIT
 *
 * Looking back: all that a memory has said, under whatever id, and what it said at a time.  Label
 * and expiry are those it has now, so what is hidden now was never seen.  Any loop; the store is
 * read without the lock. */
#include "engine/memories_priv.h"

enum {
    ALIAS_FIELD = 4,          /* in the fields of record_memory_version */
    SCAN_ENOUGH = QMN_E_GONE, /* ends a scan; the context says that it was this one */
};

/* One memory with its history, as read from the store. */
struct past {
    struct arena *arena;
    struct record_memory head;
    struct record_memory_version *versions; /* [LIMIT_VERSIONS], the oldest first */
    size_t count;
    bool enough;
};

/* Read lock held: the number of one that the caller may know of. */
static int64_t visible_no(const struct engine *e, const struct call *c, const struct tenant *t,
                          uint32_t slot)
{
    if (slot == UINT32_MAX ||
        !memory_visible(&t->memories[slot], network_clearance(t, c->caller), engine_now(e)))
        return 0;
    return t->memories[slot].no;
}

/* What has another id by now. */
static enum qmn_code find_renamed(struct engine *e, struct call *c, const struct id *id,
                                  int64_t *ret_no)
{
    struct record_memory_version probe = {.tenant_no = c->caller->tenant_no, .alias = id_bytes(id)},
                                 row;
    struct tenant *t;
    enum qmn_code code = e->store->ops->find(e->store, RECORD_MEMORY_VERSION, ALIAS_FIELD, &probe,
                                             c->arena, &row, &c->err);
    if (code == QMN_E_NOT_FOUND)
        return QMN_OK;
    TRY(code);
    pthread_rwlock_rdlock(&e->net.lock);
    code = engine_tenant(e, c->caller, &t, &c->err);
    if (code == QMN_OK) {
        const uint64_t *slot = u64map_get(&t->memory_by_no, (uint64_t)row.memory_no);
        *ret_no = visible_no(e, c, t, slot ? (uint32_t)*slot : UINT32_MAX);
    }
    pthread_rwlock_unlock(&e->net.lock);
    return code;
}

/* The number of what has or had this id. */
static enum qmn_code find_no(struct engine *e, struct call *c, struct bytes text, int64_t *ret_no)
{
    struct tenant *t;
    struct id id;
    int64_t no = 0;
    bool known = false;
    if (!id_parse(text, PREFIX_MEMORY, &id))
        return memory_absent(text, "id", &c->err);
    pthread_rwlock_rdlock(&e->net.lock);
    enum qmn_code code = engine_tenant(e, c->caller, &t, &c->err);
    if (code == QMN_OK) {
        uint32_t slot = memory_slot(t, &id);
        known = slot != UINT32_MAX;
        no = visible_no(e, c, t, slot);
    }
    pthread_rwlock_unlock(&e->net.lock);
    if (code == QMN_OK && !known)
        code = find_renamed(e, c, &id, &no);
    TRY(code);
    if (!no)
        return memory_absent(text, "id", &c->err);
    *ret_no = no;
    return QMN_OK;
}

static enum qmn_code on_version(void *ctx, const void *record, struct err *err)
{
    struct past *p = ctx;
    const struct record_memory_version *row = record;
    p->enough = row->memory_no != p->head.no || row->version >= p->head.version ||
                p->count == LIMIT_VERSIONS;
    if (p->enough)
        return (enum qmn_code)SCAN_ENOUGH;
    if (!record_copy(RECORD_MEMORY_VERSION, row, p->arena, &p->versions[p->count]))
        return err_nomem(err);
    p->count++;
    return QMN_OK;
}

/* The row first: what is kept of it meanwhile has a version that is not below its. */
static enum qmn_code read_past(struct engine *e, struct call *c, int64_t no, struct bytes text,
                               struct past *p)
{
    const struct store_ops *ops = e->store->ops;
    struct record_memory key = {.no = no};
    *p = (struct past){.arena = c->arena};
    p->versions = arena_array(c->arena, struct record_memory_version, LIMIT_VERSIONS);
    if (!p->versions)
        return err_nomem(&c->err);
    enum qmn_code code = ops->get(e->store, RECORD_MEMORY, &key, c->arena, &p->head, &c->err);
    if (code == QMN_E_NOT_FOUND)
        return memory_absent(text, "id", &c->err);
    TRY(code);
    struct record_memory_version from = {.memory_no = no,
                                         .version = memory_oldest(p->head.version) - 1};
    code = ops->scan(e->store, RECORD_MEMORY_VERSION, &from, on_version, p, &c->err);
    return p->enough ? QMN_OK : code;
}

/* Read lock held. */
static bool fill_version(struct engine *e, const struct past *p, size_t i, struct memory_out *out)
{
    const struct record_memory_version *v = &p->versions[i];
    struct record_memory row = p->head;
    row.id = v->id;
    row.agent_no = v->agent_no;
    row.kind = v->kind;
    row.content = v->content;
    row.metadata = v->metadata;
    row.quality = v->quality;
    row.created_ms = v->created_ms;
    row.updated_ms = v->from_ms;
    row.version = v->version;
    row.task_id = v->task_id;
    row.trace_id = v->trace_id;
    if (!memory_fill_out(e, &row, p->arena, out))
        return false;
    out->until_ms = v->until_ms;
    return true;
}

/* Read lock held: the label may have been raised since the number was found. */
static enum qmn_code still_visible(struct engine *e, struct call *c, const struct past *p,
                                   struct bytes text)
{
    struct tenant *t;
    TRY(engine_tenant(e, c->caller, &t, &c->err));
    return p->head.sensitivity > network_clearance(t, c->caller)
               ? memory_absent(text, "id", &c->err)
               : QMN_OK;
}

/* Read lock held. */
static enum qmn_code fill_at(struct engine *e, struct call *c, const struct past *p,
                             struct bytes text, int64_t at_ms, struct memory_out *out)
{
    struct id id;
    TRY(still_visible(e, c, p, text));
    if (!id_parse(text, PREFIX_MEMORY, &id))
        return memory_absent(text, "id", &c->err);
    if (at_ms >= p->head.updated_ms && bytes_equal(p->head.id, id_bytes(&id)))
        return memory_fill_out(e, &p->head, c->arena, out) ? QMN_OK : err_nomem(&c->err);
    for (size_t i = 0; i < p->count; i++) {
        const struct record_memory_version *v = &p->versions[i];
        if (at_ms >= v->from_ms && at_ms < v->until_ms && bytes_equal(v->id, id_bytes(&id)))
            return fill_version(e, p, i, out) ? QMN_OK : err_nomem(&c->err);
    }
    return memory_absent(text, "id", &c->err);
}

enum qmn_code memory_as_of(struct engine *e, struct call *c, struct bytes id, int64_t as_of_ms,
                           struct memory_out *out)
{
    int64_t no = 0;
    struct past p;
    TRY(find_no(e, c, id, &no));
    TRY(read_past(e, c, no, id, &p));
    pthread_rwlock_rdlock(&e->net.lock);
    enum qmn_code code = fill_at(e, c, &p, id, as_of_ms, out);
    pthread_rwlock_unlock(&e->net.lock);
    return code;
}

/* Read lock held: under whatever id. */
static enum qmn_code fill_said(struct engine *e, struct call *c, const struct past *p,
                               int64_t at_ms, struct memory_out *out)
{
    size_t i = p->count;
    TRY(still_visible(e, c, p, bytes_of("", 0)));
    if (at_ms >= p->head.updated_ms)
        return memory_fill_out(e, &p->head, c->arena, out) ? QMN_OK : err_nomem(&c->err);
    while (i && !(at_ms >= p->versions[i - 1].from_ms && at_ms < p->versions[i - 1].until_ms))
        i--;
    if (!i)
        return QMN_E_NOT_FOUND; /* forgotten, or not yet there */
    return fill_version(e, p, i - 1, out) ? QMN_OK : err_nomem(&c->err);
}

enum qmn_code memory_said(struct engine *e, struct call *c, int64_t no, int64_t at_ms,
                          struct memory_out *out)
{
    struct past p;
    TRY(read_past(e, c, no, bytes_of("", 0), &p));
    pthread_rwlock_rdlock(&e->net.lock);
    enum qmn_code code = fill_said(e, c, &p, at_ms, out);
    pthread_rwlock_unlock(&e->net.lock);
    return code;
}

/* Read lock held: the newest first. */
static enum qmn_code fill_all(struct engine *e, struct call *c, const struct past *p,
                              struct bytes text, struct memories_out *out)
{
    struct memory_out *items = arena_array(c->arena, struct memory_out, p->count + 1);
    TRY(still_visible(e, c, p, text));
    if (!items || !memory_fill_out(e, &p->head, c->arena, &items[0]))
        return err_nomem(&c->err);
    for (size_t i = 0; i < p->count; i++)
        if (!fill_version(e, p, p->count - 1 - i, &items[i + 1]))
            return err_nomem(&c->err);
    *out = (struct memories_out){.items = items, .count = p->count + 1};
    return QMN_OK;
}

void engine_memory_history(struct engine *e, struct call *c, struct bytes id,
                           struct memories_out *out)
{
    int64_t no = 0;
    struct past p;
    enum qmn_code code = find_no(e, c, id, &no);
    if (code == QMN_OK)
        code = read_past(e, c, no, id, &p);
    if (code == QMN_OK) {
        pthread_rwlock_rdlock(&e->net.lock);
        code = fill_all(e, c, &p, id, out);
        pthread_rwlock_unlock(&e->net.lock);
    }
    call_finish(c, code);
}
