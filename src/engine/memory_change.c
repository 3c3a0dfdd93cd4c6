/* SPDX-License-Identifier: MIT
 *
 * Changing memories that are there: what it says becomes a version of its history, how it is
 * treated (quality, label, expiry) does not.  Checks run on the writer, the rest on the call's
 * loop. */
#include <math.h>

#include "engine/memories_priv.h"
#include "engine/memory_credit_priv.h"
#include "engine/memory_words_priv.h"

#define HOUR_MS 3600000.0

/* ---- what every call asks of a memory ---- */

enum qmn_code memory_absent(struct bytes id, const char *field, struct err *err)
{
    return err_field(err, QMN_E_NOT_FOUND, field, "there is no memory \"%.*s\"",
                     id.len > 100 ? 100 : BYTES_FMT(id));
}

enum qmn_code memory_read(struct engine *e, int64_t no, struct arena *arena,
                          struct record_memory *ret, struct record_memory_vector *ret_vector,
                          struct err *err)
{
    struct record_memory key = {.no = no};
    struct record_memory_vector vector_key = {.no = no};
    TRY(e->store->ops->get(e->store, RECORD_MEMORY, &key, arena, ret, err));
    return e->store->ops->get(e->store, RECORD_MEMORY_VECTOR, &vector_key, arena, ret_vector, err);
}

enum qmn_code memory_claim(struct engine *e, struct command *cmd, struct bytes text,
                           const char *field, uint32_t *ret_slot, struct err *err)
{
    struct tenant *t = cmd->tenant;
    const struct caller *caller = cmd->call->caller;
    struct id id;
    if (!id_parse(text, PREFIX_MEMORY, &id))
        return memory_absent(text, field, err);
    if (!writer_claim(e, cmd, RECORD_MEMORY, id_hash(&id)))
        return QMN_OK;
    uint32_t slot = memory_slot(t, &id);
    if (slot == UINT32_MAX ||
        !memory_visible(&t->memories[slot], network_clearance(t, caller), writer_now_ms(e)))
        return memory_absent(text, field, err);
    struct bytes author = t->agents[t->memories[slot].agent]->record->id;
    if (caller->agent_ids.len && !textlist_has(caller->agent_ids, author))
        return err_field(err, QMN_E_FORBIDDEN, field,
                         "this key may not change memories of agent \"%.*s\"", BYTES_FMT(author));
    *ret_slot = slot;
    return QMN_OK;
}

/* ---- versions ---- */

/* The oldest makes room once there are as many as are kept. */
static enum qmn_code drop_oldest(struct engine *e, struct command *cmd, int64_t no, int64_t version,
                                 struct memory_version_op *op, struct err *err)
{
    struct record_memory_version row;
    op->dropped = (struct record_memory_version){.memory_no = no, .version = version};
    enum qmn_code code = e->store->ops->get(e->store, RECORD_MEMORY_VERSION, &op->dropped,
                                            cmd->call->arena, &row, err);
    if (code == QMN_E_NOT_FOUND)
        return QMN_OK;
    TRY(code);
    op->history -= memory_version_bytes(&row);
    writer_add(e, MUT_DELETE, RECORD_MEMORY_VERSION, &op->dropped);
    return QMN_OK;
}

enum qmn_code memory_keep_version(struct engine *e, struct command *cmd,
                                  const struct record_memory *old,
                                  const struct record_memory_vector *vector,
                                  const struct record_memory *next, struct memory_version_op *op,
                                  struct err *err)
{
    bool renamed = !bytes_equal(old->id, next->id);
    op->row = (struct record_memory_version){
        .memory_no = old->no,
        .version = old->version,
        .tenant_no = old->tenant_no,
        .id = old->id,
        .alias = renamed ? old->id : bytes_of("", 0),
        .agent_no = old->agent_no,
        .kind = old->kind,
        .content = old->content,
        .metadata = old->metadata,
        .quality = old->quality,
        .created_ms = old->created_ms,
        .from_ms = old->updated_ms,
        .until_ms = next->updated_ms,
        .task_id = old->task_id,
        .trace_id = old->trace_id,
        .vector = vector ? vector->vector : bytes_of("", 0),
    };
    op->history = memory_version_bytes(&op->row);
    writer_add(e, MUT_INSERT, RECORD_MEMORY_VERSION, &op->row);
    int64_t oldest = memory_oldest(next->version) - 1;
    return oldest >= 1 ? drop_oldest(e, cmd, old->no, oldest, op, err) : QMN_OK;
}

/* ---- patch ---- */

struct memory_change {
    struct command cmd;
    const struct memory_patch *in;
    struct memory_out *out;
    const float *unit; /* NULL: the vector stays */
    uint32_t dim, slot;
    struct bytes space;
    bool idle, new_vector; /* nothing changes; the vector does */
    bool forget;           /* what outcomes said */
    struct record_memory old, row;
    struct record_memory_vector vector;
    struct memory_version_op step;
    bool new_words;                 /* they change, or their place or label does */
    struct lexical_doc read, words; /* in the arena, and owned on their way into the index */
    uint64_t print;
    struct facts *facts;
    struct memory_kept_change {
        int64_t created_ms, updated_ms, expires_ms, version;
        double quality;
        uint32_t sensitivity;
    } kept; /* for a repeat, once the memory is gone */
};

static struct memory_change *change_of(struct command *cmd)
{
    return CONTAINER_OF(cmd, struct memory_change, cmd);
}

static void replace(struct bytes *field, struct bytes with)
{
    if (with.ptr)
        *field = with;
}

/* The row as it will be but for its version.  True: it says something else. */
static bool fill_next(struct memory_change *op, struct bytes vector, int64_t now)
{
    const struct memory_patch *in = op->in;
    struct record_memory *row = &op->row;
    *row = op->old;
    replace(&row->kind, in->kind);
    replace(&row->content, in->content);
    replace(&row->metadata, in->metadata);
    if (in->quality >= 0)
        row->quality = in->quality;
    if (in->sensitivity)
        row->sensitivity = in->sensitivity;
    if (in->ttl_hours < 0)
        row->expires_ms = 0;
    else if (in->ttl_hours > 0)
        row->expires_ms = now + (int64_t)ceil(in->ttl_hours * HOUR_MS);
    struct bytes next = bytes_of(op->unit, op->dim * sizeof(float));
    op->new_vector = op->unit && !bytes_equal(next, vector);
    return op->new_vector || !bytes_equal(row->kind, op->old.kind) ||
           !bytes_equal(row->content, op->old.content) ||
           !bytes_equal(row->metadata, op->old.metadata);
}

/* Nobody gives a label above his own; one that is lowered, or raised, is written down. */
static enum qmn_code change_label(struct engine *e, struct memory_change *op, struct err *err)
{
    struct tenant *t = op->cmd.tenant;
    const struct caller *caller = op->cmd.call->caller;
    uint32_t from = (uint32_t)op->old.sensitivity, to = (uint32_t)op->row.sensitivity;
    if (from == to)
        return QMN_OK;
    if (to > network_clearance(t, caller))
        return err_field(err, QMN_E_FORBIDDEN, "sensitivity",
                         "\"%s\" is above the clearance of this key or agent",
                         label_name(sensitivity_names, to));
    const char *detail =
        arena_printf(writer_arena(e), "{\"from\":\"%s\",\"to\":\"%s\"}",
                     label_name(sensitivity_names, from), label_name(sensitivity_names, to));
    if (!detail)
        return err_nomem(err);
    writer_audit(e, t, caller, "memory.label", op->in->id, bytes_cstr(detail));
    return QMN_OK;
}

static enum qmn_code count_use(struct engine *e, struct memory_change *op, struct err *err)
{
    int64_t grows = op->step.history + (int64_t)(op->row.content.len + op->row.metadata.len) -
                    (int64_t)(op->old.content.len + op->old.metadata.len);
    TRY(writer_use(e, op->cmd.tenant, USAGE_STORES, 1, err));
    return writer_use(e, op->cmd.tenant, USAGE_BYTES, grows > 0 ? (uint64_t)grows : 0, err);
}

static void keep_change(struct memory_change *op)
{
    const struct record_memory *row = &op->row;
    op->kept = (struct memory_kept_change){.created_ms = row->created_ms,
                                           .updated_ms = row->updated_ms,
                                           .expires_ms = row->expires_ms,
                                           .version = row->version,
                                           .quality = row->quality,
                                           .sensitivity = (uint32_t)row->sensitivity};
    op->cmd.idem_result = bytes_of(&op->kept, sizeof op->kept);
}

/* The rows of one that says something else. */
static enum qmn_code add_version(struct engine *e, struct memory_change *op, struct err *err)
{
    op->row.version++;
    op->row.updated_ms = writer_now_ms(e);
    TRY(memory_keep_version(e, &op->cmd, &op->old, op->new_vector ? &op->vector : NULL, &op->row,
                            &op->step, err));
    if (!op->new_vector)
        return QMN_OK;
    op->vector.vector = bytes_of(op->unit, op->dim * sizeof(float));
    writer_add(e, MUT_PUT, RECORD_MEMORY_VECTOR, &op->vector);
    return QMN_OK;
}

/* Whoever says anew how good it is has seen what became of it: outcomes count from here on. */
static enum qmn_code forget_outcomes(struct engine *e, struct memory_change *op, struct err *err)
{
    struct memory_credit_next *x = writer_memory(e, op->cmd.tenant, op->slot);
    if (!x)
        return err_nomem(err);
    x->evidence = (struct quality_evidence){0};
    x->moved = true;
    return QMN_OK;
}

static enum qmn_code change_check(struct engine *e, struct command *cmd, struct err *err)
{
    struct memory_change *op = change_of(cmd);
    struct tenant *t = cmd->tenant;
    if (op->unit) {
        TRY(memory_backlog_check(e, t, err));
        TRY(writer_fix_space(e, cmd, op->space, op->dim, err));
    }
    if (cmd->defer)
        return QMN_OK;
    TRY(memory_claim(e, cmd, op->in->id, "id", &op->slot, err));
    if (cmd->defer)
        return QMN_OK;
    TRY(memory_read(e, t->memories[op->slot].no, cmd->call->arena, &op->old, &op->vector, err));
    op->step = (struct memory_version_op){0};
    bool says = fill_next(op, op->vector.vector, writer_now_ms(e));
    op->new_words = says || op->row.sensitivity != op->old.sensitivity;
    if (op->new_words) /* half of it may be in the store, so no loop can read it */
        TRY(memory_words_read(t->memory_words.seed, &op->row, cmd->call->arena, &op->read, err));
    if (!memory_reserve(e, t, t->agents[t->memories[op->slot].agent]->record->id, &op->row,
                        op->new_words ? op->read.len : 0, writer_arena(e), &op->facts))
        return err_nomem(err);
    TRY(change_label(e, op, err));
    op->forget = op->in->quality >= 0 && writer_memory_rated(e, t, op->slot);
    op->idle = !says && !op->forget && op->row.quality == op->old.quality &&
               op->row.sensitivity == op->old.sensitivity &&
               op->row.expires_ms == op->old.expires_ms;
    if (says)
        TRY(add_version(e, op, err));
    keep_change(op);
    op->print = memory_print(&op->row, op->vector.vector);
    if (op->idle)
        return QMN_OK;
    writer_add(e, MUT_PUT, RECORD_MEMORY, &op->row);
    TRY(count_use(e, op, err));
    if (op->forget)
        TRY(forget_outcomes(e, op, err));
    return !op->new_words || lexical_doc_copy(&op->read, &op->words) ? QMN_OK : err_nomem(err);
}

static void change_discard(struct engine *e, struct command *cmd)
{
    (void)e;
    lexical_doc_release(&change_of(cmd)->words);
}

static void change_publish(struct engine *e, struct command *cmd)
{
    struct memory_change *op = change_of(cmd);
    struct tenant *t = cmd->tenant;
    (void)e;
    struct memory_next next = {.row = &op->row,
                               .agent = t->memories[op->slot].agent,
                               .unit = op->new_vector ? op->unit : NULL,
                               .print = op->print,
                               .history = op->step.history,
                               .words = op->new_words ? &op->words : NULL,
                               .facts = op->facts};
    if (!op->idle)
        memory_change(t, op->slot, &next);
}

static enum qmn_code change_finish(struct engine *e, struct command *cmd, struct err *err)
{
    struct memory_change *op = change_of(cmd);
    pthread_rwlock_rdlock(&e->net.lock);
    bool ok = memory_fill_out(e, &op->row, cmd->call->arena, op->out);
    pthread_rwlock_unlock(&e->net.lock);
    return ok ? QMN_OK : err_nomem(err);
}

/* As the memory stands now; of one that has gone, what the request said of it. */
static enum qmn_code change_replay(struct engine *e, struct command *cmd, struct bytes result,
                                   struct err *err)
{
    struct memory_change *op = change_of(cmd);
    const struct memory_patch *in = op->in;
    const struct memory_kept_change *k = &op->kept;
    if (result.len != sizeof op->kept)
        return err_set(err, QMN_E_CORRUPT, "a stored idempotent answer has the wrong length");
    memcpy(&op->kept, result.ptr, result.len);
    struct call again = {.arena = cmd->call->arena, .caller = cmd->call->caller};
    enum qmn_code code = memory_get(e, &again, in->id, 0, op->out);
    if (code != QMN_E_NOT_FOUND) {
        *err = again.err;
        return code;
    }
    *op->out = (struct memory_out){.id = in->id,
                                   .kind = in->kind,
                                   .content = in->content,
                                   .metadata = in->metadata,
                                   .quality = k->quality,
                                   .sensitivity = k->sensitivity,
                                   .created_ms = k->created_ms,
                                   .updated_ms = k->updated_ms,
                                   .expires_ms = k->expires_ms,
                                   .version = k->version};
    return QMN_OK;
}

static const struct command_ops change_ops = {.name = "memory.update",
                                              .check = change_check,
                                              .publish = change_publish,
                                              .finish = change_finish,
                                              .replay = change_replay,
                                              .discard = change_discard};

/* Read lock held. */
static enum qmn_code change_prepare(struct engine *e, struct call *c, struct memory_change *op,
                                    struct err *err)
{
    const struct vector_in *v = &op->in->embedding;
    TRY(engine_tenant(e, c->caller, &op->cmd.tenant, err));
    if (!v->values && !v->text.ptr)
        return QMN_OK;
    return engine_vector(op->cmd.tenant, v, "embedding", c->arena, &op->unit, &op->dim, &op->space,
                         err);
}

void engine_update_memory(struct engine *e, struct call *c, const struct memory_patch *in,
                          struct memory_out *out)
{
    struct memory_change *op = arena_new(c->arena, struct memory_change);
    if (!op) {
        call_finish(c, err_nomem(&c->err));
        return;
    }
    op->cmd.ops = &change_ops;
    op->in = in;
    op->out = out;
    pthread_rwlock_rdlock(&e->net.lock);
    enum qmn_code code = change_prepare(e, c, op, &c->err);
    pthread_rwlock_unlock(&e->net.lock);
    if (code != QMN_OK)
        call_finish(c, code);
    else
        writer_submit(e, c, &op->cmd);
}

/* ---- delete ---- */

struct memory_op {
    struct command cmd;
    struct bytes id_text;
    uint32_t slot;
    int64_t no;
};

static enum qmn_code delete_check(struct engine *e, struct command *cmd, struct err *err)
{
    struct memory_op *op = CONTAINER_OF(cmd, struct memory_op, cmd);
    TRY(memory_claim(e, cmd, op->id_text, "id", &op->slot, err));
    if (cmd->defer)
        return QMN_OK;
    op->no = cmd->tenant->memories[op->slot].no;
    memory_delete_rows(e, &cmd->tenant->memories[op->slot]);
    return QMN_OK;
}

static void delete_publish(struct engine *e, struct command *cmd)
{
    struct memory_op *op = CONTAINER_OF(cmd, struct memory_op, cmd);
    (void)e;
    if (cmd->tenant->memories[op->slot].no == op->no) /* it may have expired in this very group */
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
    if (code != QMN_OK)
        call_finish(c, code);
    else
        writer_submit(e, c, &op->cmd);
}
