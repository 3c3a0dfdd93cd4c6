/* SPDX-License-Identifier: MIT
 *
 * Memories out and in, whole: with their ids, times, vectors as they are stored and, if asked for,
 * all they said before.  A page of an export holds whole memories, the oldest ids first; an import
 * takes lines in any portions, skips what is there already and says of each line what became of
 * it.  The lines of one import are one transaction. */
#include <math.h>

#include "engine/authors_priv.h"
#include "engine/memories_priv.h"
#include "engine/memory_credit_priv.h"
#include "engine/memory_words_priv.h"
#include "math/vector.h"

enum {
    SCAN_ENOUGH = QMN_E_GONE, /* ends a scan; the context says that it was this one */
    PAGE_BYTES = 4 << 20,     /* an export's page ends once it holds so much */
    ALIAS_FIELD = 4,          /* in the fields of record_memory_version */
    VERSION_MAX = 1000000000, /* further than anybody counts */
};
#define UNIT_TOLERANCE 1e-4 /* of the squared length: a stored vector, not one to be normalised */

/* ---- export ---- */

struct export
{
    struct engine *engine;
    struct call *call;
    const struct record_memory *head;
    struct record_memory_version *versions;
    size_t count;
    bool enough;
};

static enum qmn_code on_version(void *ctx, const void *record, struct err *err)
{
    struct export *x = ctx;
    const struct record_memory_version *row = record;
    x->enough = row->memory_no != x->head->no || row->version >= x->head->version ||
                x->count == LIMIT_VERSIONS;
    if (x->enough)
        return (enum qmn_code)SCAN_ENOUGH;
    if (!record_copy(RECORD_MEMORY_VERSION, row, x->call->arena, &x->versions[x->count]))
        return err_nomem(err);
    x->count++;
    return QMN_OK;
}

static enum qmn_code read_history(struct export *x)
{
    struct store *s = x->engine->store;
    struct record_memory_version from = {.memory_no = x->head->no,
                                         .version = memory_oldest(x->head->version) - 1};
    x->count = 0;
    x->enough = false;
    if (x->head->version <= 1)
        return QMN_OK;
    x->versions = arena_array(x->call->arena, struct record_memory_version, LIMIT_VERSIONS);
    if (!x->versions)
        return err_nomem(&x->call->err);
    enum qmn_code code =
        s->ops->scan(s, RECORD_MEMORY_VERSION, &from, on_version, x, &x->call->err);
    return x->enough ? QMN_OK : code;
}

/* Read lock held. */
static bool fill_version(struct export *x, const struct record_memory_version *v,
                         struct memory_line *line)
{
    struct record_memory row = *x->head;
    struct id head;
    memcpy(&head, x->head->id.ptr, sizeof head);
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
    *line =
        (struct memory_line){.vector = v->vector,
                             .superseded = v->alias.len > 0,
                             .version_of = engine_id_text(x->call->arena, &head, PREFIX_MEMORY)};
    bool ok = memory_fill_out(x->engine, &row, x->call->arena, &line->m) && line->version_of.len;
    line->m.until_ms = v->until_ms;
    line->m.expires_ms = 0;
    line->m.sensitivity = 0; /* both are those of the memory */
    return ok;
}

/* Read lock held: what outcomes said of it. */
static void fill_credit(struct engine *e, const struct record_memory *row, struct memory_line *line)
{
    const struct memory *m = memory_of_row(e, row);
    line->credit.given = row->quality;
    if (m)
        line->credit.evidence = m->evidence;
}

/* One memory with its history behind it; nothing if it went or was raised meanwhile. */
static enum qmn_code export_one(struct export *x, int64_t no, bool history,
                                struct memory_lines *out, size_t *bytes)
{
    struct record_memory_vector vector;
    struct engine *e = x->engine;
    struct call *c = x->call;
    struct record_memory *row = arena_new(c->arena, struct record_memory);
    struct tenant *t;
    if (!row)
        return err_nomem(&c->err);
    enum qmn_code code = memory_read(e, no, c->arena, row, &vector, &c->err);
    if (code == QMN_E_NOT_FOUND)
        return QMN_OK;
    TRY(code);
    x->head = row;
    x->count = 0;
    if (history)
        TRY(read_history(x));
    struct memory_line *lines = arena_array(c->arena, struct memory_line, x->count + 1);
    if (!lines)
        return err_nomem(&c->err);
    pthread_rwlock_rdlock(&e->net.lock);
    code = engine_tenant(e, c->caller, &t, &c->err);
    bool shown = code == QMN_OK && row->sensitivity <= network_clearance(t, c->caller), ok = true;
    if (shown) {
        lines[0] = (struct memory_line){.vector = vector.vector,
                                        .begun_ms = row->begun_ms,
                                        .space = arena_bytes(c->arena, t->record->space)};
        ok = memory_fill_out(e, row, c->arena, &lines[0].m) && lines[0].space.ptr;
        fill_credit(e, row, &lines[0]);
        for (size_t i = 0; ok && i < x->count; i++)
            ok = fill_version(x, &x->versions[i], &lines[i + 1]);
    }
    pthread_rwlock_unlock(&e->net.lock);
    TRY(code);
    if (!ok)
        return err_nomem(&c->err);
    for (size_t i = 0; shown && i <= x->count; i++)
        *bytes += lines[i].m.content.len + lines[i].m.metadata.len + lines[i].vector.len;
    if (shown)
        out->chunks[out->count++] = (struct memory_chunk){lines, x->count + 1};
    return QMN_OK;
}

void engine_export_memories(struct engine *e, struct call *c, const struct memory_query *q,
                            uint32_t limit, bool history, struct memory_lines *out)
{
    struct wanted *found = NULL;
    size_t count = 0, bytes = 0;
    struct export x = {.engine = e, .call = c};
    enum qmn_code code = memory_page(e, c, q, limit, &found, &count);
    out->count = 0;
    if (code == QMN_OK) {
        out->chunks = arena_array(c->arena, struct memory_chunk, count + 1);
        if (!out->chunks)
            code = err_nomem(&c->err);
    }
    for (size_t i = 0; code == QMN_OK && i < count && bytes < PAGE_BYTES; i++)
        code = export_one(&x, found[i].no, history, out, &bytes);
    call_finish(c, code);
}

/* ---- import ---- */

struct import_item {
    struct memory_line *line;
    struct agent *agent;
    struct import_item *twin; /* an earlier one that brings this author; NULL: none */
    struct author author;
    struct id id, head;
    const float *unit;
    uint32_t dim;
    bool is_version;
    struct record_memory row;
    struct record_memory_vector vector;
    struct record_memory_version version;
    struct lexical_doc read, words; /* in the arena, and owned on their way into the index */
    struct record_memory_credit credit;
    uint64_t print;
    struct facts *facts;
};

struct import {
    struct command cmd;
    struct import_item *items;
    uint32_t count;
};

static struct import *import_of(struct command *cmd)
{
    return CONTAINER_OF(cmd, struct import, cmd);
}

static enum qmn_code invalid(struct err *err, const char *field, const char *expected)
{
    return err_field(err, QMN_E_INVALID, field, "expected %s", expected);
}

/* The vector as it is if it is a unit vector, so that what was exported comes back to the bit. */
static enum qmn_code take_vector(struct import_item *x, struct arena *arena, struct err *err)
{
    struct bytes raw = x->line->vector;
    size_t dim = raw.len / sizeof(float);
    float *unit = arena_alloc(arena, raw.len + sizeof(float));
    double norm = 0;
    if (!unit)
        return err_nomem(err);
    if (raw.len % sizeof(float) || dim < LIMIT_DIM_MIN || dim > LIMIT_DIM_MAX)
        return err_field(err, QMN_E_DIMENSION, "embedding_b64",
                         "%zu bytes came; expected %d to %d numbers of 4", raw.len, LIMIT_DIM_MIN,
                         LIMIT_DIM_MAX);
    memcpy(unit, raw.ptr, raw.len);
    for (size_t i = 0; i < dim; i++)
        norm += (double)unit[i] * (double)unit[i];
    if (!(fabs(norm - 1) < UNIT_TOLERANCE)) {
        float *from = arena_alloc(arena, raw.len);
        if (!from)
            return err_nomem(err);
        memcpy(from, raw.ptr, raw.len);
        if (!vector_normalise(from, dim, unit))
            return invalid(err, "embedding_b64", "a vector with a direction, of finite numbers");
    }
    x->unit = unit;
    x->dim = (uint32_t)dim;
    return QMN_OK;
}

static enum qmn_code check_times(const struct import_item *x, struct err *err)
{
    const struct memory_line *l = x->line;
    if (l->m.version < 1 || l->m.version > VERSION_MAX)
        return invalid(err, "version", "a number from 1 on");
    if (l->m.created_ms < 1 || l->m.updated_ms < l->m.created_ms)
        return invalid(err, "updated_at", "a time not before created_at");
    if (!x->is_version && (l->begun_ms < 1 || l->begun_ms > l->m.created_ms))
        return invalid(err, "begun_at", "a time not after created_at");
    if (x->is_version && l->m.until_ms < l->m.updated_ms)
        return invalid(err, "replaced_at", "a time not before updated_at");
    return QMN_OK;
}

static bool between(double x, double low, double high)
{
    return x >= low && x <= high; /* false of NaN */
}

static enum qmn_code check_credit(const struct import_item *x, struct err *err)
{
    const struct quality_evidence *v = &x->line->credit.evidence;
    bool any = v->weight > 0 || v->run_weight > 0;
    if (!between(v->weight, 0, QUALITY_EVIDENCE_MAX) || !between(v->sum, 0, v->weight) ||
        !between(v->run_weight, 0, QUALITY_RUN_MAX) || !between(v->run_sum, 0, v->run_weight) ||
        (any && !x->line->m.uses))
        return invalid(err, "credit", "votes within their bounds, as they were exported");
    return QMN_OK;
}

/* What needs nothing but the line. */
static enum qmn_code prepare(struct import_item *x, struct arena *arena, struct err *err)
{
    struct memory_line *l = x->line;
    x->is_version = l->version_of.len > 0;
    if (!id_parse(l->m.id, PREFIX_MEMORY, &x->id))
        return invalid(err, "id", "the id of a memory");
    if (x->is_version && !id_parse(l->version_of, PREFIX_MEMORY, &x->head))
        return invalid(err, "version_of", "the id of a memory");
    TRY(check_times(x, err));
    if (!x->is_version)
        TRY(check_credit(x, err));
    if (!l->vector.len && x->is_version)
        return QMN_OK; /* that of the next version */
    return take_vector(x, arena, err);
}

static enum qmn_code find_author(struct engine *e, struct import *op, uint32_t i, struct err *err)
{
    struct import_item *x = &op->items[i];
    struct bytes id = x->line->m.agent_id;
    const struct caller *caller = op->cmd.call->caller;
    if (caller->agent_ids.len && !textlist_has(caller->agent_ids, id))
        return err_field(err, QMN_E_FORBIDDEN, "agent_id", "this key may not act as agent \"%.*s\"",
                         BYTES_FMT(id));
    x->agent = tenant_agent(op->cmd.tenant, id);
    x->twin = NULL;
    for (uint32_t k = 0; !x->agent && k < i && !x->twin; k++)
        if (op->items[k].author.fresh && bytes_equal(op->items[k].line->m.agent_id, id))
            x->twin = &op->items[k];
    return x->agent || x->twin ? QMN_OK : author_conceive(e, &op->cmd, id, &x->author, err);
}

static int64_t author_no(const struct import_item *x)
{
    if (x->agent)
        return x->agent->record->no;
    return x->twin ? x->twin->author.row.no : x->author.row.no;
}

/* One of the memories that came with this very import. */
static struct import_item *brought(struct import *op, uint32_t before, const struct id *id)
{
    for (uint32_t k = 0; k < before; k++)
        if (!op->items[k].is_version && op->items[k].line->state == LINE_STORED &&
            !memcmp(&op->items[k].id, id, sizeof *id))
            return &op->items[k];
    return NULL;
}

static enum qmn_code is_alias(struct engine *e, const struct import *op, const struct id *id,
                              bool *ret, struct err *err)
{
    struct record_memory_version row,
        probe = {.tenant_no = op->cmd.tenant->record->no, .alias = id_bytes(id)};
    enum qmn_code code = e->store->ops->find(e->store, RECORD_MEMORY_VERSION, ALIAS_FIELD, &probe,
                                             op->cmd.call->arena, &row, err);
    *ret = code == QMN_OK;
    return code == QMN_E_NOT_FOUND ? QMN_OK : code;
}

static void fill_row(struct import_item *x, const struct tenant *t)
{
    const struct memory_line *l = x->line;
    x->row = (struct record_memory){.tenant_no = t->record->no,
                                    .id = id_bytes(&x->id),
                                    .kind = l->m.kind,
                                    .content = l->m.content,
                                    .metadata = l->m.metadata,
                                    .quality = l->m.quality,
                                    .sensitivity = l->m.sensitivity,
                                    .created_ms = l->m.created_ms,
                                    .expires_ms = l->m.expires_ms,
                                    .version = l->m.version,
                                    .updated_ms = l->m.updated_ms,
                                    .begun_ms = l->begun_ms,
                                    .task_id = l->m.task_id,
                                    .trace_id = l->m.trace_id};
}

/* What outcomes said of it where it comes from. */
static void import_credit(struct engine *e, struct import_item *x)
{
    const struct quality_evidence *v = &x->line->credit.evidence;
    if (!x->line->m.uses)
        return;
    x->credit = (struct record_memory_credit){.memory_no = x->row.no,
                                              .tenant_no = x->row.tenant_no,
                                              .id = x->row.id,
                                              .uses = x->line->m.uses,
                                              .weight = v->weight,
                                              .sum = v->sum,
                                              .run_weight = v->run_weight,
                                              .run_sum = v->run_sum,
                                              .rater = v->rater};
    writer_add(e, MUT_INSERT, RECORD_MEMORY_CREDIT, &x->credit);
}

static enum qmn_code import_memory(struct engine *e, struct import *op, uint32_t i, struct err *err)
{
    struct import_item *x = &op->items[i];
    struct command *cmd = &op->cmd;
    struct tenant *t = cmd->tenant;
    bool known = false;
    if (brought(op, i, &x->id)) {
        x->line->state = LINE_KNOWN;
        return QMN_OK;
    }
    if (!writer_claim(e, cmd, RECORD_MEMORY, id_hash(&x->id)))
        return QMN_OK;
    known = memory_slot(t, &x->id) != UINT32_MAX;
    if (!known)
        TRY(is_alias(e, op, &x->id, &known, err));
    if (known || (x->line->m.expires_ms && x->line->m.expires_ms <= writer_now_ms(e))) {
        x->line->state = known ? LINE_KNOWN : LINE_EXPIRED;
        return QMN_OK;
    }
    if (x->line->m.sensitivity > cmd->call->caller->clearance)
        return err_field(err, QMN_E_FORBIDDEN, "sensitivity", "it is above this key's clearance");
    TRY(writer_fix_space(e, cmd, x->line->space, x->dim, err));
    if (cmd->defer)
        return QMN_OK;
    fill_row(x, t);
    if (!memory_reserve(e, t, x->line->m.agent_id, &x->row, x->read.len, writer_arena(e),
                        &x->facts))
        return err_nomem(err);
    TRY(writer_use(e, t, USAGE_STORES, 1, err));
    TRY(writer_use(e, t, USAGE_BYTES, memory_bytes(&x->row, x->dim), err));
    TRY(find_author(e, op, i, err));
    if (cmd->defer)
        return QMN_OK;
    x->row.agent_no = author_no(x);
    x->row.no = writer_next_no(e);
    x->vector = (struct record_memory_vector){.no = x->row.no,
                                              .tenant_no = t->record->no,
                                              .vector = bytes_of(x->unit, x->dim * sizeof(float))};
    x->print = memory_print(&x->row, x->vector.vector);
    if (!lexical_doc_copy(&x->read, &x->words))
        return err_nomem(err);
    writer_add(e, MUT_INSERT, RECORD_MEMORY, &x->row);
    writer_add(e, MUT_INSERT, RECORD_MEMORY_VECTOR, &x->vector);
    import_credit(e, x);
    x->line->state = LINE_STORED;
    return QMN_OK;
}

/* The number and version of the memory that a line of history belongs to. */
static enum qmn_code find_head(struct engine *e, struct import *op, uint32_t i, int64_t *ret_no,
                               int64_t *ret_version, struct err *err)
{
    struct import_item *x = &op->items[i];
    const struct import_item *head = brought(op, i, &x->head);
    if (head) {
        *ret_no = head->row.no;
        *ret_version = head->row.version;
        return QMN_OK;
    }
    uint32_t slot = 0;
    TRY(memory_claim(e, &op->cmd, x->line->version_of, "version_of", &slot, err));
    if (op->cmd.defer)
        return QMN_OK;
    *ret_no = op->cmd.tenant->memories[slot].no;
    *ret_version = op->cmd.tenant->memories[slot].version;
    return QMN_OK;
}

/* Whether that version of that memory is there, or came in an earlier line; an id that something
 * else has is refused. */
static enum qmn_code version_known(struct engine *e, struct import *op, uint32_t i, bool *ret,
                                   struct err *err)
{
    struct import_item *x = &op->items[i];
    struct record_memory_version row;
    bool taken = false;
    for (uint32_t k = 0; k < i; k++) {
        const struct import_item *y = &op->items[k];
        if (!y->is_version || y->line->state != LINE_STORED)
            continue;
        *ret |= y->version.memory_no == x->version.memory_no &&
                y->version.version == x->version.version;
        taken |= x->version.alias.len && bytes_equal(y->version.alias, x->version.alias);
    }
    enum qmn_code code = e->store->ops->get(e->store, RECORD_MEMORY_VERSION, &x->version,
                                            op->cmd.call->arena, &row, err);
    *ret |= code == QMN_OK;
    if (*ret)
        return QMN_OK;
    if (code != QMN_E_NOT_FOUND)
        return code;
    if (!taken && x->version.alias.len)
        TRY(is_alias(e, op, &x->id, &taken, err));
    if (taken || (x->version.alias.len &&
                  (memory_slot(op->cmd.tenant, &x->id) != UINT32_MAX || brought(op, i, &x->id))))
        return err_field(err, QMN_E_CONFLICT, "id", "another memory has this id");
    return QMN_OK;
}

static enum qmn_code import_version(struct engine *e, struct import *op, uint32_t i,
                                    struct err *err)
{
    struct import_item *x = &op->items[i];
    const struct memory_line *l = x->line;
    struct tenant *t = op->cmd.tenant;
    int64_t no = 0, newest = 0;
    bool known = false;
    TRY(find_head(e, op, i, &no, &newest, err));
    if (op->cmd.defer)
        return QMN_OK;
    if (l->m.version >= newest || l->m.version < memory_oldest(newest))
        return invalid(err, "version", "one of the 64 before that of the memory");
    if (x->unit && x->dim != (uint32_t)t->record->dim)
        return invalid(err, "embedding_b64", "as many numbers as the memory has");
    x->version = (struct record_memory_version){
        .memory_no = no,
        .version = l->m.version,
        .tenant_no = t->record->no,
        .id = id_bytes(&x->id),
        .alias = l->superseded ? id_bytes(&x->id) : bytes_of("", 0),
        .kind = l->m.kind,
        .content = l->m.content,
        .metadata = l->m.metadata,
        .quality = l->m.quality,
        .created_ms = l->m.created_ms,
        .from_ms = l->m.updated_ms,
        .until_ms = l->m.until_ms,
        .task_id = l->m.task_id,
        .trace_id = l->m.trace_id,
        .vector = x->unit ? bytes_of(x->unit, x->dim * sizeof(float)) : bytes_of("", 0)};
    TRY(version_known(e, op, i, &known, err));
    if (known) {
        x->line->state = LINE_KNOWN;
        return QMN_OK;
    }
    TRY(writer_use(e, t, USAGE_BYTES, memory_version_bytes(&x->version), err));
    TRY(find_author(e, op, i, err));
    if (op->cmd.defer)
        return QMN_OK;
    x->version.agent_no = author_no(x);
    writer_add(e, MUT_INSERT, RECORD_MEMORY_VERSION, &x->version);
    x->line->state = LINE_STORED;
    return QMN_OK;
}

static void import_discard(struct engine *e, struct command *cmd)
{
    struct import *op = import_of(cmd);
    (void)e;
    for (uint32_t i = 0; i < op->count; i++) {
        author_unborn(&op->items[i].author);
        lexical_doc_release(&op->items[i].words);
    }
}

static enum qmn_code import_check(struct engine *e, struct command *cmd, struct err *err)
{
    struct import *op = import_of(cmd);
    TRY(memory_backlog_check(e, cmd->tenant, err));
    (void)writer_places(e, op->count);
    for (uint32_t i = 0; i < op->count; i++) /* it may have been put off */
        if (op->items[i].line->state != LINE_FAILED)
            op->items[i].line->state = LINE_WAITING;
    for (uint32_t i = 0; i < op->count && !cmd->defer; i++) {
        struct memory_line *l = op->items[i].line;
        if (l->state != LINE_WAITING)
            continue;
        enum qmn_code code = op->items[i].is_version ? import_version(e, op, i, &l->err)
                                                     : import_memory(e, op, i, &l->err);
        if (code == QMN_E_NOMEM)
            return err_nomem(err);
        if (code != QMN_OK) {
            l->err.code = code;
            l->state = LINE_FAILED;
        }
    }
    if (cmd->defer)
        import_discard(e, cmd);
    return QMN_OK;
}

static void import_publish(struct engine *e, struct command *cmd)
{
    struct import *op = import_of(cmd);
    for (uint32_t i = 0; i < op->count; i++) {
        struct import_item *x = &op->items[i];
        if (x->line->state != LINE_STORED)
            continue;
        if (x->twin)
            x->agent = x->twin->agent;
        else if (!x->agent)
            x->agent = author_born(e, &x->author);
        struct memory_next next = {.row = &x->row,
                                   .agent = x->agent->slot,
                                   .unit = x->unit,
                                   .print = x->print,
                                   .words = &x->words,
                                   .facts = x->facts};
        if (x->is_version)
            memory_add_history(cmd->tenant, &x->version);
        else
            memory_publish(e, cmd->tenant, &next);
        if (!x->is_version && x->line->m.uses)
            memory_credit_load_row(e, &x->credit);
    }
}

static const struct command_ops import_ops = {.name = "memory.import",
                                              .check = import_check,
                                              .publish = import_publish,
                                              .discard = import_discard};

static void fail_line(struct memory_line *l, enum qmn_code code)
{
    l->err.code = code;
    l->state = LINE_FAILED;
}

static enum qmn_code read_words(struct call *c, struct import *op, uint64_t seed)
{
    for (uint32_t i = 0; i < op->count; i++) {
        struct import_item *x = &op->items[i];
        const struct memory_out *m = &x->line->m;
        const struct record_memory row = {
            .kind = m->kind, .content = m->content, .metadata = m->metadata, .task_id = m->task_id};
        if (!x->is_version && x->line->state == LINE_WAITING)
            TRY(memory_words_read(seed, &row, c->arena, &x->read, &c->err));
    }
    return QMN_OK;
}

void engine_import_memories(struct engine *e, struct call *c, struct memory_line *lines,
                            uint32_t count)
{
    struct import *op = arena_new(c->arena, struct import);
    struct import_item *items = arena_calloc(c->arena, (size_t)count + 1, sizeof *items);
    enum qmn_code code = op && items ? QMN_OK : err_nomem(&c->err);
    for (uint32_t i = 0; code == QMN_OK && i < count; i++) {
        items[i].line = &lines[i];
        if (lines[i].state == LINE_FAILED)
            continue;
        enum qmn_code line = prepare(&items[i], c->arena, &lines[i].err);
        if (line == QMN_E_NOMEM)
            code = err_nomem(&c->err);
        else if (line != QMN_OK)
            fail_line(&lines[i], line);
    }
    if (code == QMN_OK) {
        op->cmd.ops = &import_ops;
        op->items = items;
        op->count = count;
        uint64_t seed = 0;
        pthread_rwlock_rdlock(&e->net.lock);
        code = engine_tenant(e, c->caller, &op->cmd.tenant, &c->err);
        if (code == QMN_OK)
            seed = op->cmd.tenant->memory_words.seed;
        pthread_rwlock_unlock(&e->net.lock);
        if (code == QMN_OK)
            code = read_words(c, op, seed);
    }
    if (code != QMN_OK)
        call_finish(c, code);
    else
        writer_submit(e, c, &op->cmd);
}
