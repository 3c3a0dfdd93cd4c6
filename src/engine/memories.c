/* SPDX-License-Identifier: MIT
 *
 * Reading hyphal memory: one, and an agent's; deleting what has expired.  Any loop; the store is
 * read without the lock. */
#include <stdlib.h>

#include "engine/memories_priv.h"

bool memory_visible(const struct memory *m, uint32_t clearance, int64_t now)
{
    return m->used && m->sensitivity <= clearance && (!m->expires_ms || m->expires_ms > now);
}

/* The network's of a row that says what the memory says now; NULL: it has gone, or said it before.
 */
enum qmn_code memory_stored_vector(struct engine *e, int64_t no, uint32_t dim, struct arena *arena,
                                   const float **ret, struct err *err)
{
    struct record_memory_vector key = {.no = no}, row;
    enum qmn_code code = e->store->ops->get(e->store, RECORD_MEMORY_VECTOR, &key, arena, &row, err);
    *ret = NULL;
    if (code == QMN_E_NOT_FOUND || (code == QMN_OK && row.vector.len != dim * sizeof(float)))
        return QMN_OK;
    TRY(code);
    *ret = arena_copy(arena, row.vector.ptr, row.vector.len); /* rows lie at any address */
    return *ret ? QMN_OK : err_nomem(err);
}

const struct memory *memory_of_row(const struct engine *e, const struct record_memory *row)
{
    struct id id;
    const struct tenant *t = network_tenant_no(&e->net, row->tenant_no);
    memcpy(&id, row->id.ptr, sizeof id);
    uint32_t slot = t ? memory_slot(t, &id) : UINT32_MAX;
    const struct memory *m = slot == UINT32_MAX ? NULL : &t->memories[slot];
    return m && m->no == row->no && m->version == row->version ? m : NULL;
}

/* Read lock held. */
bool memory_fill_out(struct engine *e, const struct record_memory *row, struct arena *arena,
                     struct memory_out *out)
{
    struct id id;
    const struct agent *author = network_agent_no(&e->net, row->agent_no);
    const struct memory *m = memory_of_row(e, row);
    memcpy(&id, row->id.ptr, sizeof id);
    *out = (struct memory_out){.id = engine_id_text(arena, &id, PREFIX_MEMORY),
                               .agent_id = author ? arena_bytes(arena, author->record->id)
                                                  : BYTES_LIT("(purged)"),
                               .kind = row->kind,
                               .content = row->content,
                               .metadata = row->metadata,
                               .task_id = row->task_id,
                               .trace_id = row->trace_id,
                               .quality = m ? m->quality : row->quality,
                               .uses = m ? m->uses : 0,
                               .sensitivity = (uint32_t)row->sensitivity,
                               .created_ms = row->created_ms,
                               .expires_ms = row->expires_ms,
                               .version = row->version,
                               .updated_ms = row->updated_ms};
    return out->id.len && out->agent_id.ptr;
}

/* Reads rows without the lock, which somebody may be waiting for, and names their authors under it.
 * What was deleted in between is left out. */
enum qmn_code memory_read_rows(struct engine *e, struct call *c, const struct wanted *wanted,
                               size_t count, struct memories_out *out)
{
    struct record_memory *rows = arena_array(c->arena, struct record_memory, count + 1);
    struct memory_out *items = arena_array(c->arena, struct memory_out, count + 1);
    size_t n = 0;
    bool ok = true;
    if (!rows || !items)
        return err_nomem(&c->err);
    for (size_t i = 0; i < count; i++) {
        struct record_memory key = {.no = wanted[i].no};
        enum qmn_code code =
            e->store->ops->get(e->store, RECORD_MEMORY, &key, c->arena, &rows[n], &c->err);
        if (code == QMN_E_NOT_FOUND)
            continue;
        TRY(code);
        items[n].similarity = wanted[i].similarity;
        items[n++].match = wanted[i].match;
    }
    struct tenant *t;
    size_t kept = 0;
    pthread_rwlock_rdlock(&e->net.lock);
    enum qmn_code code = engine_tenant(e, c->caller, &t, &c->err);
    for (size_t i = 0; code == QMN_OK && i < n && ok; i++) {
        float similarity = items[i].similarity;
        const struct memory_match *match = items[i].match;
        if (rows[i].sensitivity > network_clearance(t, c->caller))
            continue; /* raised since it was found */
        ok = memory_fill_out(e, &rows[i], c->arena, &items[kept]);
        items[kept].similarity = similarity;
        items[kept++].match = match;
    }
    pthread_rwlock_unlock(&e->net.lock);
    TRY(code);
    out->items = items;
    out->count = kept;
    return ok ? QMN_OK : err_nomem(&c->err);
}

/* Read lock held. */
static enum qmn_code get_find(struct engine *e, struct call *c, struct bytes text,
                              struct wanted *ret)
{
    struct tenant *t;
    struct id id;
    TRY(engine_tenant(e, c->caller, &t, &c->err));
    uint32_t slot = id_parse(text, PREFIX_MEMORY, &id) ? memory_slot(t, &id) : UINT32_MAX;
    if (slot == UINT32_MAX ||
        !memory_visible(&t->memories[slot], network_clearance(t, c->caller), engine_now(e)))
        return memory_absent(text, "id", &c->err);
    ret->no = t->memories[slot].no;
    return QMN_OK;
}

enum qmn_code memory_get(struct engine *e, struct call *c, struct bytes id, int64_t as_of_ms,
                         struct memory_out *out)
{
    struct wanted wanted = {0};
    struct memories_out read = {0};
    if (as_of_ms)
        return memory_as_of(e, c, id, as_of_ms, out);
    pthread_rwlock_rdlock(&e->net.lock);
    enum qmn_code code = get_find(e, c, id, &wanted);
    pthread_rwlock_unlock(&e->net.lock);
    TRY(code);
    TRY(memory_read_rows(e, c, &wanted, 1, &read));
    if (!read.count)
        return memory_absent(id, "id", &c->err);
    *out = read.items[0];
    return QMN_OK;
}

void engine_get_memory(struct engine *e, struct call *c, struct bytes id, int64_t as_of_ms,
                       struct memory_out *out)
{
    call_finish(c, memory_get(e, c, id, as_of_ms, out));
}

/* By the time of its id; what came together, in the order of its commit. */
static int newest_first(const void *pa, const void *pb)
{
    const struct wanted *a = pa, *b = pb;
    if (a->created_ms != b->created_ms)
        return (a->created_ms < b->created_ms) - (a->created_ms > b->created_ms);
    return (a->no < b->no) - (a->no > b->no);
}

/* Read lock held: all that match, in no order. */
static enum qmn_code list_find(struct engine *e, struct call *c, struct bytes agent_id,
                               struct bytes kind, struct wanted **ret, size_t *ret_count)
{
    struct tenant *t;
    size_t count = 0;
    int64_t now = engine_now(e);
    TRY(engine_tenant(e, c->caller, &t, &c->err));
    uint32_t clearance = network_clearance(t, c->caller);
    if (!tenant_agent(t, agent_id))
        return err_field(&c->err, QMN_E_NOT_FOUND, "agent_id", "agent \"%.*s\" is not registered",
                         BYTES_FMT(agent_id));
    struct memory_narrow narrow;
    struct memory_permit permit;
    memory_narrow(&narrow, agent_id, kind, 0, 0);
    if (!memory_permit(t, clearance, now, &narrow.all, c->arena, &permit))
        return err_nomem(&c->err);
    struct wanted *found = arena_raw(c->arena, struct wanted, (size_t)permit.count + 1);
    if (!found)
        return err_nomem(&c->err);
    for (uint32_t i = 0; (i = memory_permit_next(&permit, i)) != UINT32_MAX; i++)
        found[count++] =
            (struct wanted){.no = t->memories[i].no, .created_ms = t->memories[i].created_ms};
    *ret = found;
    *ret_count = count;
    return QMN_OK;
}

void engine_agent_memories(struct engine *e, struct call *c, struct bytes agent_id,
                           struct bytes kind, uint32_t limit, uint32_t offset,
                           struct memories_out *out)
{
    struct wanted *found = NULL;
    size_t count = 0;
    pthread_rwlock_rdlock(&e->net.lock);
    enum qmn_code code = list_find(e, c, agent_id, kind, &found, &count);
    pthread_rwlock_unlock(&e->net.lock);
    if (code == QMN_OK) {
        qsort(found, count, sizeof *found, newest_first);
        size_t from = offset < count ? offset : count, rest = count - from;
        out->candidates = count;
        code = memory_read_rows(e, c, found + from, rest < limit ? rest : limit, out);
    }
    call_finish(c, code);
}

/* ---- cleanup ---- */

struct cleanup_op {
    struct command cmd;
    uint64_t *deleted;
};

static enum qmn_code cleanup_check(struct engine *e, struct command *cmd, struct err *err)
{
    struct cleanup_op *op = CONTAINER_OF(cmd, struct cleanup_op, cmd);
    (void)err;
    *op->deleted = upkeep_expire_memories(e, cmd->tenant);
    cmd->idem_result = bytes_of(op->deleted, sizeof *op->deleted);
    return QMN_OK;
}

static enum qmn_code cleanup_replay(struct engine *e, struct command *cmd, struct bytes result,
                                    struct err *err)
{
    struct cleanup_op *op = CONTAINER_OF(cmd, struct cleanup_op, cmd);
    (void)e;
    if (result.len != sizeof *op->deleted)
        return err_set(err, QMN_E_CORRUPT, "a stored idempotent answer has the wrong length");
    memcpy(op->deleted, result.ptr, result.len);
    return QMN_OK;
}

static const struct command_ops cleanup_ops = {
    .name = "memory.cleanup", .check = cleanup_check, .replay = cleanup_replay};

void engine_cleanup_memory(struct engine *e, struct call *c, uint64_t *ret_deleted)
{
    struct cleanup_op *op = arena_new(c->arena, struct cleanup_op);
    if (!op) {
        call_finish(c, err_nomem(&c->err));
        return;
    }
    op->cmd.ops = &cleanup_ops;
    op->deleted = ret_deleted;
    pthread_rwlock_rdlock(&e->net.lock);
    enum qmn_code code = engine_tenant(e, c->caller, &op->cmd.tenant, &c->err);
    pthread_rwlock_unlock(&e->net.lock);
    if (code != QMN_OK)
        call_finish(c, code);
    else
        writer_submit(e, c, &op->cmd);
}
