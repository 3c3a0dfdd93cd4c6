/* SPDX-License-Identifier: MIT
 *
 * Storing memories: one or a batch of them is one command and one transaction, all or none.  What
 * is there already, exactly, is not stored again.  Checks run on the writer, the rest on the call's
 * loop. */
#include <math.h>
#include <stdio.h>

#include "engine/authors_priv.h"
#include "engine/memories_priv.h"
#include "engine/memory_words_priv.h"

#define HOUR_MS 3600000.0

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
    struct lexical_doc read;  /* of the request: its words ... */
    struct lexical_doc words; /* ... and, checked, owned, on their way into the index */
    uint64_t print;
    struct facts *facts;
    bool merged;                   /* it is there already; `row` is that one's */
    bool replaces;                 /* it supersedes what stands at the slot ... */
    uint32_t slot;                 /* ... this one */
    struct memory_version_op step; /* from the version there is to this one */
};

/* With the request, all that a repeat is answered from: the row may be gone by then. */
struct memory_kept {
    int64_t created_ms, version;
    struct id id;
    uint8_t sensitivity;
    bool merged;
};

/* What was kept before memories had versions; repeats may come for a day. */
struct memory_kept_before {
    int64_t created_ms;
    struct id id;
};

struct memory_store {
    struct command cmd;
    struct memory_item *items;
    struct memory_kept *kept;
    uint32_t count;
    uint64_t seed; /* of words */
    bool batch;    /* errors say which one is at fault */
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
        .begun_ms = now,
        .version = 1,
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

static bool same(const struct record_memory *a, struct bytes va, const struct record_memory *b,
                 struct bytes vb)
{
    return a->agent_no == b->agent_no && a->sensitivity == b->sensitivity &&
           bytes_equal(a->kind, b->kind) && bytes_equal(a->content, b->content) &&
           bytes_equal(va, vb);
}

/* Makes it a repeat of an earlier one of its batch. */
static bool merge_inside(struct memory_store *op, uint32_t i)
{
    struct memory_item *x = &op->items[i];
    for (uint32_t k = 0; k < i; k++) {
        const struct memory_item *y = &op->items[k];
        if (y->merged || y->print != x->print ||
            !same(&y->row, y->vector.vector, &x->row, x->vector.vector))
            continue;
        x->row = y->row;
        x->merged = true;
        return true;
    }
    return false;
}

/* Looks whether the very same is there.  Of two in one group the second waits for the first. */
static enum qmn_code merge(struct engine *e, struct memory_store *op, uint32_t i, struct err *err)
{
    struct memory_item *x = &op->items[i];
    const struct tenant *t = op->cmd.tenant;
    if (merge_inside(op, i) || !writer_claim(e, &op->cmd, RECORD_MEMORY_VECTOR, x->print))
        return QMN_OK;
    uint64_t *at = u64map_get(&t->memory_by_print, x->print);
    if (!at)
        return QMN_OK;
    const struct memory *m = &t->memories[*at];
    struct record_memory row;
    struct record_memory_vector vector;
    if (m->expires_ms && m->expires_ms <= writer_now_ms(e))
        return QMN_OK;
    if (!writer_claim(e, &op->cmd, RECORD_MEMORY, id_hash(&m->id)))
        return QMN_OK; /* somebody changes it */
    TRY(memory_read(e, m->no, op->cmd.call->arena, &row, &vector, err));
    x->merged = same(&row, vector.vector, &x->row, x->vector.vector);
    if (x->merged)
        x->row = row;
    return QMN_OK;
}

/* Takes the place of the one it supersedes, whose label it has at least. */
static enum qmn_code supersede(struct engine *e, struct memory_store *op, uint32_t i,
                               struct err *err)
{
    struct memory_item *x = &op->items[i];
    struct command *cmd = &op->cmd;
    for (uint32_t k = 0; k < i; k++)
        if (bytes_equal(op->items[k].in->supersedes, x->in->supersedes))
            return err_field(err, QMN_E_INVALID, "supersedes", "memories[%u] supersedes it already",
                             k);
    TRY(memory_claim(e, cmd, x->in->supersedes, "supersedes", &x->slot, err));
    if (cmd->defer)
        return QMN_OK;
    struct record_memory old;
    struct record_memory_vector vector;
    TRY(memory_read(e, cmd->tenant->memories[x->slot].no, cmd->call->arena, &old, &vector, err));
    x->replaces = true;
    memory_delete_credit(e, &cmd->tenant->memories[x->slot]);
    x->row.no = x->vector.no = old.no;
    x->row.version = old.version + 1;
    x->row.begun_ms = old.begun_ms;
    if (x->row.sensitivity < old.sensitivity)
        x->row.sensitivity = old.sensitivity;
    TRY(memory_keep_version(e, cmd, &old, &vector, &x->row, &x->step, err));
    x->print = memory_print(&x->row, x->vector.vector);
    writer_add(e, MUT_PUT, RECORD_MEMORY, &x->row);
    writer_add(e, MUT_PUT, RECORD_MEMORY_VECTOR, &x->vector);
    return QMN_OK;
}

static enum qmn_code insert(struct engine *e, struct memory_store *op, uint32_t i, struct err *err)
{
    struct memory_item *x = &op->items[i];
    x->print = memory_print(&x->row, x->vector.vector);
    TRY(merge(e, op, i, err));
    if (x->merged || op->cmd.defer)
        return QMN_OK;
    x->row.no = x->vector.no = writer_next_no(e);
    writer_add(e, MUT_INSERT, RECORD_MEMORY, &x->row);
    writer_add(e, MUT_INSERT, RECORD_MEMORY_VECTOR, &x->vector);
    return QMN_OK;
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
    fill_row(x, writer_now_ms(e));
    if (!memory_reserve(e, t, x->agent ? x->agent->record->id : x->in->agent_id, &x->row,
                        x->read.len, writer_arena(e), &x->facts))
        return err_nomem(err);
    TRY(bring_author(e, op, i, err));
    if (cmd->defer)
        return QMN_OK;
    x->row.tenant_no = t->record->no;
    x->row.agent_no = author_no(x);
    x->merged = x->replaces = false;
    x->vector = (struct record_memory_vector){.tenant_no = t->record->no,
                                              .vector = bytes_of(x->unit, x->dim * sizeof(float))};
    TRY(x->in->supersedes.len ? supersede(e, op, i, err) : insert(e, op, i, err));
    if (cmd->defer || x->merged)
        return QMN_OK;
    if (!lexical_doc_copy(&x->read, &x->words))
        return err_nomem(err);
    size_t bytes = x->in->content.len + x->in->metadata.len + x->dim * sizeof(float);
    TRY(writer_use(e, t, USAGE_STORES, 1, err));
    return writer_use(e, t, USAGE_BYTES, bytes, err);
}

static void keep(struct memory_store *op, uint32_t i)
{
    const struct memory_item *x = &op->items[i];
    struct memory_kept *k = &op->kept[i];
    *k = (struct memory_kept){.created_ms = x->row.created_ms,
                              .version = x->row.version,
                              .sensitivity = (uint8_t)x->row.sensitivity,
                              .merged = x->merged};
    memcpy(&k->id, x->row.id.ptr, sizeof k->id);
}

static void store_discard(struct engine *e, struct command *cmd)
{
    struct memory_store *op = store_of(cmd);
    (void)e;
    for (uint32_t i = 0; i < op->count; i++) {
        author_unborn(&op->items[i].author);
        lexical_doc_release(&op->items[i].words);
    }
}

static enum qmn_code store_check(struct engine *e, struct command *cmd, struct err *err)
{
    struct memory_store *op = store_of(cmd);
    TRY(memory_backlog_check(e, cmd->tenant, err));
    (void)writer_places(e, op->count - 1);
    for (uint32_t i = 0; i < op->count && !cmd->defer; i++)
        TRY(name_item(op, i, check_item(e, op, i, err), err));
    if (cmd->defer) {
        store_discard(e, cmd); /* whoever an earlier one would have brought comes again with it */
        return QMN_OK;
    }
    for (uint32_t i = 0; i < op->count; i++)
        keep(op, i);
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
        struct memory_next next = {.row = &x->row,
                                   .agent = x->agent->slot,
                                   .unit = x->unit,
                                   .print = x->print,
                                   .history = x->step.history,
                                   .words = &x->words,
                                   .facts = x->facts};
        if (x->replaces)
            memory_change(cmd->tenant, x->slot, &next);
        else if (!x->merged)
            memory_publish(e, cmd->tenant, &next);
    }
}

/* Read lock held. */
static bool finish_item(struct engine *e, const struct memory_item *x, struct arena *arena)
{
    bool ok = memory_fill_out(e, &x->row, arena, x->out);
    x->out->merged = x->merged;
    return ok;
}

static enum qmn_code store_finish(struct engine *e, struct command *cmd, struct err *err)
{
    struct memory_store *op = store_of(cmd);
    bool ok = true;
    pthread_rwlock_rdlock(&e->net.lock);
    for (uint32_t i = 0; i < op->count; i++)
        ok &= finish_item(e, &op->items[i], cmd->call->arena);
    pthread_rwlock_unlock(&e->net.lock);
    return ok ? QMN_OK : err_nomem(err);
}

static bool take_kept(struct memory_store *op, struct bytes result)
{
    if (result.len == op->count * sizeof *op->kept) {
        memcpy(op->kept, result.ptr, result.len);
        return true;
    }
    if (result.len != op->count * sizeof(struct memory_kept_before))
        return false;
    for (uint32_t i = 0; i < op->count; i++) {
        struct memory_kept_before k;
        memcpy(&k, result.ptr + i * sizeof k, sizeof k);
        op->kept[i] = (struct memory_kept){.created_ms = k.created_ms,
                                           .version = 1,
                                           .id = k.id,
                                           .sensitivity = (uint8_t)op->items[i].in->sensitivity};
    }
    return true;
}

/* One that was merged answers as the other one stands now. */
static enum qmn_code replay_merged(struct engine *e, struct call *c, struct memory_item *x,
                                   struct err *err)
{
    struct record_memory_vector vector;
    struct tenant *t;
    int64_t no = 0;
    pthread_rwlock_rdlock(&e->net.lock);
    enum qmn_code code = engine_tenant(e, c->caller, &t, err);
    uint32_t slot = code == QMN_OK ? memory_slot(t, &x->id) : UINT32_MAX;
    if (slot != UINT32_MAX &&
        memory_visible(&t->memories[slot], network_clearance(t, c->caller), engine_now(e)))
        no = t->memories[slot].no;
    pthread_rwlock_unlock(&e->net.lock);
    if (!no || code != QMN_OK)
        return code;
    code = memory_read(e, no, c->arena, &x->row, &vector, err);
    return code == QMN_E_NOT_FOUND ? QMN_OK : code;
}

static enum qmn_code store_replay(struct engine *e, struct command *cmd, struct bytes result,
                                  struct err *err)
{
    struct memory_store *op = store_of(cmd);
    if (!take_kept(op, result))
        return err_set(err, QMN_E_CORRUPT, "a stored idempotent answer has the wrong length");
    for (uint32_t i = 0; i < op->count; i++) {
        struct memory_item *x = &op->items[i];
        const struct memory_kept *k = &op->kept[i];
        x->id = k->id;
        x->merged = k->merged;
        fill_row(x, k->created_ms);
        x->row.version = k->version;
        x->row.sensitivity = k->sensitivity;
        pthread_rwlock_rdlock(&e->net.lock);
        x->row.agent_no = x->agent ? x->agent->record->no : 0;
        pthread_rwlock_unlock(&e->net.lock);
        if (k->merged)
            TRY(replay_merged(e, cmd->call, x, err));
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
    op->seed = op->cmd.tenant->memory_words.seed;
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

static enum qmn_code read_words(struct call *c, struct memory_store *op)
{
    for (uint32_t i = 0; i < op->count; i++) {
        struct memory_item *x = &op->items[i];
        const struct record_memory row = {.kind = x->in->kind,
                                          .content = x->in->content,
                                          .metadata = x->in->metadata,
                                          .task_id = x->in->task_id};
        TRY(memory_words_read(op->seed, &row, c->arena, &x->read, &c->err));
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
    if (code == QMN_OK)
        code = read_words(c, op);
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
