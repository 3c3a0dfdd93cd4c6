/* SPDX-License-Identifier: MIT
 *
 * Hyphal memory: stored with its exact vector, searched by similarity under filters and labels. */
#include "engine/memories.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/authors_priv.h"
#include "engine/live_priv.h"

#define HOUR_MS 3600000.0

struct memory_op { /* of one that is there */
    struct command cmd;
    uint32_t slot;
    struct bytes id_text;
    struct id id;
    struct record_memory row;
    struct record_memory_vector vector;
};

/* ---- store ----
 *
 * One memory or a batch of them: one command, one transaction, all or none. */

struct memory_item {
    const struct memory_in *in;
    struct memory_out *out;
    struct agent *agent;      /* NULL: unknown until its birth */
    struct memory_item *twin; /* an earlier one of the batch that brings this author; NULL: none */
    struct author author;
    const float *unit;
    uint32_t dim;
    struct bytes space;
    struct id id;
    struct record_memory row;
    struct record_memory_vector vector;
};

/* With the request, all that a repeat is answered from: the row may be gone by then. */
struct memory_kept {
    int64_t created_ms;
    struct id id;
};

struct memory_store {
    struct command cmd;
    struct memory_item *items;
    struct memory_kept *kept;
    uint32_t count;
    bool batch; /* errors say which one is at fault */
};

static struct memory_store *store_of(struct command *cmd)
{
    return CONTAINER_OF(cmd, struct memory_store, cmd);
}

static enum qmn_code name_item(const struct memory_store *op, uint32_t i, enum qmn_code code,
                               struct err *err)
{
    char field[sizeof err->field];
    if (code == QMN_OK || !op->batch)
        return code;
    int n = snprintf(field, sizeof field, "memories[%u]%s", i, err->field[0] ? "." : "");
    snprintf(field + n, sizeof field - (size_t)n, "%.*s", (int)sizeof field - n - 1, err->field);
    memcpy(err->field, field, sizeof field);
    return code;
}

/* The agent the memory is stored for; one that does not exist yet comes to be with it. */
static enum qmn_code find_author(const struct tenant *t, struct memory_item *x,
                                 const struct caller *caller, struct err *err)
{
    const struct memory_in *in = x->in;
    enum qmn_code code = network_acting_agent(t, caller, in->agent_id, "agent_id", &x->agent, err);
    bool unknown = code == QMN_E_NOT_FOUND && in->agent_id.len;
    if (code != QMN_OK && !unknown)
        return code;
    uint32_t most = caller->clearance;
    if (!unknown)
        most = agent_clearance(x->agent, caller);
    else if (most > LABEL_INTERNAL)
        most = LABEL_INTERNAL;
    if (in->sensitivity > most)
        return err_field(err, QMN_E_FORBIDDEN, "sensitivity",
                         "\"%s\" is above the clearance of this key or agent",
                         label_name(sensitivity_names, in->sensitivity));
    return QMN_OK;
}

/* The first of the batch that brings the same author. */
static struct memory_item *find_twin(struct memory_store *op, uint32_t i)
{
    for (uint32_t k = 0; k < i; k++)
        if (!op->items[k].agent && !op->items[k].twin &&
            bytes_equal(op->items[k].in->agent_id, op->items[i].in->agent_id))
            return &op->items[k];
    return NULL;
}

/* Somebody else may have made the author since. */
static enum qmn_code bring_author(struct engine *e, struct memory_store *op, uint32_t i,
                                  struct err *err)
{
    struct memory_item *x = &op->items[i];
    if (!x->agent)
        TRY(find_author(op->cmd.tenant, x, op->cmd.call->caller, err));
    x->twin = x->agent ? NULL : find_twin(op, i);
    if (x->agent || x->twin)
        return QMN_OK;
    return author_conceive(e, &op->cmd, x->in->agent_id, &x->author, err);
}

/* All that request and time say of it. */
static void fill_row(struct memory_item *x, int64_t now)
{
    const struct memory_in *in = x->in;
    x->row = (struct record_memory){
        .id = id_bytes(&x->id),
        .kind = in->kind,
        .content = in->content,
        .metadata = in->metadata,
        .quality = in->quality,
        .sensitivity = in->sensitivity,
        .created_ms = now,
        .updated_ms = now,
        .expires_ms = in->ttl_hours > 0 ? now + (int64_t)ceil(in->ttl_hours * HOUR_MS) : 0,
        .task_id = in->task_id,
        .trace_id = in->trace_id};
}

static int64_t author_no(const struct memory_item *x)
{
    if (x->agent)
        return x->agent->record->no;
    return x->twin ? x->twin->author.row.no : x->author.row.no;
}

static enum qmn_code check_item(struct engine *e, struct memory_store *op, uint32_t i,
                                struct err *err)
{
    struct memory_item *x = &op->items[i];
    struct command *cmd = &op->cmd;
    struct tenant *t = cmd->tenant;
    TRY(writer_fix_space(e, cmd, x->space, x->dim, err));
    if (cmd->defer)
        return QMN_OK;
    if (!memory_reserve(e, t, x->in->kind))
        return err_nomem(err);
    size_t bytes = x->in->content.len + x->in->metadata.len + x->dim * sizeof(float);
    TRY(writer_use(e, t, USAGE_STORES, 1, err));
    TRY(writer_use(e, t, USAGE_BYTES, bytes, err));
    TRY(bring_author(e, op, i, err));
    if (cmd->defer)
        return QMN_OK;
    fill_row(x, writer_now_ms(e));
    x->row.no = writer_next_no(e);
    x->row.tenant_no = t->record->no;
    x->row.agent_no = author_no(x);
    x->vector = (struct record_memory_vector){.no = x->row.no,
                                              .tenant_no = t->record->no,
                                              .vector = bytes_of(x->unit, x->dim * sizeof(float))};
    op->kept[i] = (struct memory_kept){.created_ms = x->row.created_ms, .id = x->id};
    writer_add(e, MUT_INSERT, RECORD_MEMORY, &x->row);
    writer_add(e, MUT_INSERT, RECORD_MEMORY_VECTOR, &x->vector);
    return QMN_OK;
}

static void store_discard(struct engine *e, struct command *cmd)
{
    struct memory_store *op = store_of(cmd);
    (void)e;
    for (uint32_t i = 0; i < op->count; i++)
        author_unborn(&op->items[i].author);
}

static enum qmn_code store_check(struct engine *e, struct command *cmd, struct err *err)
{
    struct memory_store *op = store_of(cmd);
    (void)writer_places(e, op->count - 1);
    for (uint32_t i = 0; i < op->count && !cmd->defer; i++)
        TRY(name_item(op, i, check_item(e, op, i, err), err));
    if (cmd->defer)
        store_discard(e, cmd); /* whoever an earlier one would have brought comes again with it */
    cmd->idem_result = bytes_of(op->kept, op->count * sizeof *op->kept);
    return QMN_OK;
}

static void store_publish(struct engine *e, struct command *cmd)
{
    struct memory_store *op = store_of(cmd);
    for (uint32_t i = 0; i < op->count; i++) {
        struct memory_item *x = &op->items[i];
        if (x->twin)
            x->agent = x->twin->agent;
        else if (!x->agent)
            x->agent = author_born(e, &x->author);
        memory_publish(e, cmd->tenant, &x->row, x->agent->slot, x->unit);
    }
}

/* Read lock held. */
static bool fill_out(struct engine *e, const struct record_memory *row, struct arena *arena,
                     struct memory_out *out)
{
    struct id id;
    const struct agent *author = network_agent_no(&e->net, row->agent_no);
    memcpy(&id, row->id.ptr, sizeof id);
    *out = (struct memory_out){.id = engine_id_text(arena, &id, PREFIX_MEMORY),
                               .agent_id = author ? arena_bytes(arena, author->record->id)
                                                  : BYTES_LIT("(purged)"),
                               .kind = row->kind,
                               .content = row->content,
                               .metadata = row->metadata,
                               .task_id = row->task_id,
                               .trace_id = row->trace_id,
                               .quality = row->quality,
                               .sensitivity = (uint32_t)row->sensitivity,
                               .created_ms = row->created_ms,
                               .expires_ms = row->expires_ms};
    return out->id.len && out->agent_id.ptr;
}

static enum qmn_code store_finish(struct engine *e, struct command *cmd, struct err *err)
{
    struct memory_store *op = store_of(cmd);
    bool ok = true;
    pthread_rwlock_rdlock(&e->net.lock);
    for (uint32_t i = 0; i < op->count; i++)
        ok &= fill_out(e, &op->items[i].row, cmd->call->arena, op->items[i].out);
    pthread_rwlock_unlock(&e->net.lock);
    return ok ? QMN_OK : err_nomem(err);
}

static enum qmn_code store_replay(struct engine *e, struct command *cmd, struct bytes result,
                                  struct err *err)
{
    struct memory_store *op = store_of(cmd);
    if (result.len != op->count * sizeof *op->kept)
        return err_set(err, QMN_E_CORRUPT, "a stored idempotent answer has the wrong length");
    memcpy(op->kept, result.ptr, result.len);
    for (uint32_t i = 0; i < op->count; i++) {
        struct memory_item *x = &op->items[i];
        x->id = op->kept[i].id;
        fill_row(x, op->kept[i].created_ms);
        pthread_rwlock_rdlock(&e->net.lock);
        x->row.agent_no = x->agent ? x->agent->record->no : 0;
        pthread_rwlock_unlock(&e->net.lock);
    }
    return store_finish(e, cmd, err);
}

static const struct command_ops store_ops = {.name = "memory.store",
                                             .check = store_check,
                                             .publish = store_publish,
                                             .finish = store_finish,
                                             .replay = store_replay,
                                             .discard = store_discard};

/* Read lock held. */
static enum qmn_code store_prepare(struct engine *e, struct call *c, struct memory_store *op,
                                   struct err *err)
{
    TRY(engine_tenant(e, c->caller, &op->cmd.tenant, err));
    for (uint32_t i = 0; i < op->count; i++) {
        struct memory_item *x = &op->items[i];
        TRY(name_item(op, i, find_author(op->cmd.tenant, x, c->caller, err), err));
        TRY(name_item(op, i,
                      engine_vector(op->cmd.tenant, &x->in->embedding, "embedding", c->arena,
                                    &x->unit, &x->dim, &x->space, err),
                      err));
    }
    return QMN_OK;
}

static void store_start(struct engine *e, struct call *c, const struct memory_in *in,
                        uint32_t count, bool batch, struct memory_out *out)
{
    struct memory_store *op = arena_new(c->arena, struct memory_store);
    struct memory_item *items = arena_calloc(c->arena, count, sizeof *items);
    struct memory_kept *kept = arena_calloc(c->arena, count, sizeof *kept);
    if (!op || !items || !kept) {
        call_finish(c, err_nomem(&c->err));
        return;
    }
    op->cmd.ops = &store_ops;
    op->items = items;
    op->kept = kept;
    op->count = count;
    op->batch = batch;
    for (uint32_t i = 0; i < count; i++) {
        items[i].in = &in[i];
        items[i].out = &out[i];
        items[i].id = id_make(engine_now(e));
    }
    pthread_rwlock_rdlock(&e->net.lock);
    enum qmn_code code = store_prepare(e, c, op, &c->err);
    pthread_rwlock_unlock(&e->net.lock);
    if (code != QMN_OK)
        call_finish(c, code);
    else
        writer_submit(e, c, &op->cmd);
}

void engine_store_memory(struct engine *e, struct call *c, const struct memory_in *in,
                         struct memory_out *out)
{
    store_start(e, c, in, 1, false, out);
}

void engine_store_memories(struct engine *e, struct call *c, const struct memory_in *in,
                           uint32_t count, struct memory_out *out)
{
    store_start(e, c, in, count, true, out);
}

/* ---- delete ---- */

static enum qmn_code delete_check(struct engine *e, struct command *cmd, struct err *err)
{
    struct memory_op *op = CONTAINER_OF(cmd, struct memory_op, cmd);
    struct tenant *t = cmd->tenant;
    const struct caller *caller = cmd->call->caller;
    if (!writer_claim(e, cmd, RECORD_MEMORY, id_hash(&op->id)))
        return QMN_OK;
    op->slot = memory_slot(t, &op->id);
    if (op->slot == UINT32_MAX || t->memories[op->slot].sensitivity > network_clearance(t, caller))
        return err_field(err, QMN_E_NOT_FOUND, "id", "there is no memory \"%.*s\"",
                         BYTES_FMT(op->id_text));
    struct bytes author = t->agents[t->memories[op->slot].agent]->record->id;
    if (caller->agent_ids.len && !textlist_has(caller->agent_ids, author))
        return err_field(err, QMN_E_FORBIDDEN, "id",
                         "this key may not delete memories of agent \"%.*s\"", BYTES_FMT(author));
    op->row.no = op->vector.no = t->memories[op->slot].no;
    writer_add(e, MUT_DELETE, RECORD_MEMORY, &op->row);
    writer_add(e, MUT_DELETE, RECORD_MEMORY_VECTOR, &op->vector);
    return QMN_OK;
}

static void delete_publish(struct engine *e, struct command *cmd)
{
    struct memory_op *op = CONTAINER_OF(cmd, struct memory_op, cmd);
    (void)e;
    if (cmd->tenant->memories[op->slot].no ==
        op->row.no) /* it may have expired in this very group */
        memory_remove(cmd->tenant, op->slot);
}

static enum qmn_code delete_replay(struct engine *e, struct command *cmd, struct bytes result,
                                   struct err *err)
{
    (void)e;
    (void)cmd;
    (void)result;
    (void)err;
    return QMN_OK;
}

static const struct command_ops delete_ops = {.name = "memory.delete",
                                              .check = delete_check,
                                              .publish = delete_publish,
                                              .replay = delete_replay};

void engine_delete_memory(struct engine *e, struct call *c, struct bytes id)
{
    struct memory_op *op = arena_new(c->arena, struct memory_op);
    if (!op) {
        call_finish(c, err_nomem(&c->err));
        return;
    }
    op->cmd.ops = &delete_ops;
    op->id_text = id;
    pthread_rwlock_rdlock(&e->net.lock);
    enum qmn_code code = engine_tenant(e, c->caller, &op->cmd.tenant, &c->err);
    pthread_rwlock_unlock(&e->net.lock);
    if (code == QMN_OK && !id_parse(id, PREFIX_MEMORY, &op->id))
        code =
            err_field(&c->err, QMN_E_NOT_FOUND, "id", "there is no memory \"%.*s\"", BYTES_FMT(id));
    if (code != QMN_OK)
        call_finish(c, code);
    else
        writer_submit(e, c, &op->cmd);
}

/* ---- reading ---- */

static bool visible(const struct memory *m, uint32_t clearance, int64_t now)
{
    return m->used && m->sensitivity <= clearance && !m->superseded_by_no &&
           (!m->expires_ms || m->expires_ms > now);
}

static enum qmn_code no_memory(struct bytes id, struct err *err)
{
    return err_field(err, QMN_E_NOT_FOUND, "id", "there is no memory \"%.*s\"", BYTES_FMT(id));
}

/* What is to be read from the store, found under the read lock. */
struct wanted {
    int64_t no;
    float similarity;
};

/* Reads rows without the lock, which somebody may be waiting for, and names their authors under it.
 * What was deleted in between is left out. */
static enum qmn_code read_rows(struct engine *e, struct call *c, const struct wanted *wanted,
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
        items[n++].similarity = wanted[i].similarity;
    }
    pthread_rwlock_rdlock(&e->net.lock);
    for (size_t i = 0; i < n && ok; i++) {
        float similarity = items[i].similarity;
        ok = fill_out(e, &rows[i], c->arena, &items[i]);
        items[i].similarity = similarity;
    }
    pthread_rwlock_unlock(&e->net.lock);
    out->items = items;
    out->count = n;
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
        !visible(&t->memories[slot], network_clearance(t, c->caller), engine_now(e)))
        return no_memory(text, &c->err);
    ret->no = t->memories[slot].no;
    return QMN_OK;
}

void engine_get_memory(struct engine *e, struct call *c, struct bytes id, struct memory_out *out)
{
    struct wanted wanted = {0};
    struct memories_out read = {0};
    pthread_rwlock_rdlock(&e->net.lock);
    enum qmn_code code = get_find(e, c, id, &wanted);
    pthread_rwlock_unlock(&e->net.lock);
    if (code == QMN_OK)
        code = read_rows(e, c, &wanted, 1, &read);
    if (code == QMN_OK && !read.count)
        code = no_memory(id, &c->err);
    if (code == QMN_OK)
        *out = read.items[0];
    call_finish(c, code);
}

static int newest_first(const void *pa, const void *pb)
{
    int64_t a = ((const struct wanted *)pa)->no, b = ((const struct wanted *)pb)->no;
    return (a < b) - (a > b);
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
    const struct agent *author = tenant_agent(t, agent_id);
    if (!author)
        return err_field(&c->err, QMN_E_NOT_FOUND, "agent_id", "agent \"%.*s\" is not registered",
                         BYTES_FMT(agent_id));
    uintptr_t kind_no = (uintptr_t)textmap_get(&t->memory_kind_ids, kind);
    struct wanted *found = arena_array(c->arena, struct wanted, t->memory_index.live + 1);
    if (!found)
        return err_nomem(&c->err);
    for (uint32_t i = 0; i < t->memory_index.slots; i++) {
        const struct memory *m = &t->memories[i];
        if (visible(m, clearance, now) && m->agent == author->slot &&
            (!kind.len || m->kind + 1 == kind_no))
            found[count++].no = m->no;
    }
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
        code = read_rows(e, c, found + from, rest < limit ? rest : limit, out);
    }
    call_finish(c, code);
}

/* ---- search ---- */

struct search {
    const struct tenant *t;
    const struct memory_filter *filter;
    const struct agent *author;
    uintptr_t kind_no; /* 1-based; 0: no such kind */
    uint32_t clearance;
    int64_t now;
};

static bool search_permit(void *ctx, uint32_t slot)
{
    const struct search *s = ctx;
    const struct memory *m = &s->t->memories[slot];
    const struct memory_filter *f = s->filter;
    if (!visible(m, s->clearance, s->now) || (f->kind.len && m->kind + 1 != s->kind_no) ||
        (f->agent_id.len && (!s->author || m->agent != s->author->slot)))
        return false;
    return (f->quality_min < 0 || m->quality >= f->quality_min) &&
           (f->quality_above < 0 || m->quality > f->quality_above) &&
           (f->quality_max > 1 || m->quality <= f->quality_max) &&
           (f->quality_below > 1 || m->quality < f->quality_below);
}

/* Read lock held. */
static enum qmn_code search_find(struct engine *e, struct call *c, const struct vector_in *query,
                                 uint32_t top_k, const struct memory_filter *filter,
                                 struct wanted *found, struct memories_out *out)
{
    struct tenant *t;
    const float *unit;
    uint32_t dim;
    struct bytes space;
    TRY(engine_tenant(e, c->caller, &t, &c->err));
    TRY(usage_count_read(e, t, USAGE_SEARCHES, &c->err));
    TRY(engine_vector(t, query, "embedding", c->arena, &unit, &dim, &space, &c->err));
    struct search s = {.t = t,
                       .filter = filter,
                       .author = filter->agent_id.len ? tenant_agent(t, filter->agent_id) : NULL,
                       .kind_no = (uintptr_t)textmap_get(&t->memory_kind_ids, filter->kind),
                       .clearance = network_clearance(t, c->caller),
                       .now = engine_now(e)};
    struct topk_item *items = arena_array(c->arena, struct topk_item, top_k);
    if (!items)
        return err_nomem(&c->err);
    if (t->memory_index.dim)
        out->count =
            flat_search(&t->memory_index, unit, top_k, &(struct flat_filter){search_permit, &s},
                        c->arena, items, &out->candidates);
    for (size_t i = 0; i < out->count; i++)
        found[i] = (struct wanted){t->memories[items[i].id].no, items[i].score};
    return QMN_OK;
}

void engine_search_memory(struct engine *e, struct call *c, const struct vector_in *query,
                          uint32_t top_k, const struct memory_filter *filter,
                          struct memories_out *out)
{
    *out = (struct memories_out){0};
    struct wanted *found = arena_array(c->arena, struct wanted, top_k + 1);
    if (!found) {
        call_finish(c, err_nomem(&c->err));
        return;
    }
    pthread_rwlock_rdlock(&e->net.lock);
    enum qmn_code code = search_find(e, c, query, top_k, filter, found, out);
    pthread_rwlock_unlock(&e->net.lock);
    if (code == QMN_OK)
        code = read_rows(e, c, found, out->count, out);
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
