/* SPDX-License-Identifier: MIT
 *
 * The learning log. */
#include "engine/learning_log_priv.h"

#include <assert.h>

#include "base/mem.h"
#include "engine/control_priv.h"
#include "engine/group_priv.h"
#include "engine/learned_priv.h"
#include "engine/memory_credit_priv.h"
#include "engine/recent_priv.h"

enum {
    CATCH_UP_BYTES = 64 << 10,    /* of one group, and the rest of an agent's ... */
    CATCH_UP_TIMES = RECENT_PART, /* ... and what it logs so many times: one task that is new writes
                                   * a part of a ring, and the log must not outgrow that */
    TRIM_ROWS = 256,              /* log records dropped by one group: more than one can add */
};

void learning_log_init(struct learning_log *g, uint64_t bound)
{
    *g = (struct learning_log){.bound = bound ? bound : LEARNING_LOG_BYTES};
    g->tail = &g->head;
    g->memories_tail = &g->memories;
}

void learning_log_release(struct learning_log *g)
{
    for (struct credit_behind *b = g->memories, *next; b; b = next) {
        next = b->next;
        mem_free(b);
    }
    g->memories = NULL;
}

/* ---- bringing rows up to date ---- */

static size_t put_edges(struct engine *e, const struct agent *a)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < a->edge_count; i++) {
        const struct edge *x = &a->edges[i];
        if (!x->row_behind)
            continue;
        struct record_edge *row = arena_new(writer_arena(e), struct record_edge);
        if (!row) {
            e->writer->failed = true;
            return bytes;
        }
        *row = (struct record_edge){.src_no = a->record->no,
                                    .dst_no = a->tenant->agents[x->dst]->record->no,
                                    .tenant_no = a->tenant->record->no,
                                    .weight = x->weight,
                                    .success = x->success,
                                    .decay = x->decay,
                                    .outcomes = x->outcomes,
                                    .created_ms = x->created_ms,
                                    .updated_ms = x->updated_ms};
        writer_add(e, MUT_PUT, RECORD_EDGE, row);
        bytes += sizeof *row;
    }
    return bytes;
}

/* What is left of a purged tenant in memory must not come back to the store. */
static size_t put_rows(struct engine *e, const struct agent *a)
{
    if (purge_ordered(e->control->purge, a->tenant->record->no))
        return 0;
    return put_edges(e, a) + recent_put_rows(e, a);
}

/* What is still needed begins where the first of those left fell behind. */
static void trim(struct engine *e, const struct agent *a, const struct credit_behind *m)
{
    struct writer *w = e->writer;
    struct record_learning_log *below = arena_new(&w->arena, struct record_learning_log);
    if (!below) {
        w->failed = true;
        return;
    }
    if (a && m)
        below->no = a->log_no < m->log_no ? a->log_no : m->log_no;
    else
        below->no = a ? a->log_no : m ? m->log_no : writer_next_no(e);
    writer_add_below(e, RECORD_LEARNING_LOG, below, TRIM_ROWS);
}

void learning_log_catch_up(struct engine *e)
{
    struct learning_log *g = &e->writer->learning_log;
    const struct agent *a = g->head;
    uint64_t most = CATCH_UP_BYTES + CATCH_UP_TIMES * g->added; /* by the group before */
    const struct credit_behind *m = g->memories;
    g->catching_up = g->catching_up_memories = 0;
    g->first_no = 0;
    g->added = 0;
    for (uint64_t bytes = 0; (a || m) && bytes < most && !e->writer->failed;) {
        bool memory = m && (!a || m->log_at < a->log_at);
        if (g->written - (memory ? m->log_at : a->log_at) <= g->bound)
            break;
        if (memory) {
            bytes += memory_credit_put(e, m);
            m = m->next;
            g->catching_up_memories++;
        } else {
            bytes += put_rows(e, a);
            a = a->log_next;
            g->catching_up++;
        }
    }
    if (g->catching_up || g->catching_up_memories)
        trim(e, a, m);
}

/* ---- what the group did ---- */

static struct learned_edge learned(const struct edge_next *x)
{
    return (struct learned_edge){.src_no = x->src->record->no,
                                 .dst_no = x->dst->record->no,
                                 .weight = x->weight,
                                 .success = x->success,
                                 .decay = x->decay,
                                 .outcomes = x->removed ? LEARNED_REMOVED : x->outcomes,
                                 .created_ms = x->created_ms,
                                 .updated_ms = x->updated_ms};
}

/* ptr NULL: out of memory. */
static struct bytes edges_of(struct writer *w, const struct tenant *t)
{
    size_t count = 0, n = 0;
    for (const struct edge_next *x = w->edges; x; x = x->all)
        count += x->src->tenant == t && !edge_unused(x);
    struct learned_edge *all = arena_array(&w->arena, struct learned_edge, count);
    for (struct edge_next *x = w->edges; all && x; x = x->all)
        if (x->src->tenant == t && !edge_unused(x)) {
            all[n++] = learned(x);
            x->in_log = true;
        }
    return bytes_of(all, n * sizeof *all);
}

/* The same for tasks. */
static struct bytes tasks_of(struct writer *w, const struct tenant *t)
{
    size_t count = 0, n = 0;
    for (const struct task_next *x = w->tasks; x; x = x->all)
        count += x->agent->tenant == t;
    struct learned_task *all = arena_array(&w->arena, struct learned_task, count);
    for (struct task_next *x = w->tasks; all && x; x = x->all)
        if (x->agent->tenant == t) {
            all[n++] = (struct learned_task){.agent_no = x->agent->record->no,
                                             .nutrient_no = x->nutrient_no,
                                             .at_ms = w->now_ms,
                                             .nth = x->nth,
                                             .hints = x->hints};
            x->in_log = true;
        }
    return all ? learned_pack_tasks(all, n, &w->arena) : bytes_of(NULL, 0);
}

/* The same for memories. */
static struct bytes memories_of(struct writer *w, const struct tenant *t)
{
    size_t count = 0, n = 0;
    for (const struct memory_credit_next *x = w->memories; x; x = x->all)
        count += x->tenant == t && x->moved;
    struct learned_memory *all = arena_array(&w->arena, struct learned_memory, count);
    for (struct memory_credit_next *x = w->memories; all && x; x = x->all)
        if (x->tenant == t && x->moved) {
            all[n++] = memory_credit_learned(x);
            x->in_log = true;
        }
    return bytes_of(all, n * sizeof *all);
}

/* One record with all of a tenant. */
static void add_record(struct engine *e, const struct tenant *t)
{
    struct writer *w = e->writer;
    struct learning_log *g = &w->learning_log;
    struct bytes edges = edges_of(w, t), tasks = tasks_of(w, t), memories = memories_of(w, t);
    struct record_learning_log *row = arena_new(&w->arena, struct record_learning_log);
    if (!edges.ptr || !tasks.ptr || !memories.ptr || !row) {
        w->failed = true;
        return;
    }
    *row = (struct record_learning_log){.no = writer_next_no(e),
                                        .tenant_no = t->record->no,
                                        .edges = edges,
                                        .tasks = tasks,
                                        .memories = memories};
    writer_add(e, MUT_INSERT, RECORD_LEARNING_LOG, row);
    if (!g->first_no)
        g->first_no = row->no;
    g->added += edges.len + tasks.len + memories.len;
}

void learning_log_add(struct engine *e)
{
    struct writer *w = e->writer;
    for (const struct edge_next *x = w->edges; x && !w->failed; x = x->all)
        if (!x->in_log && !edge_unused(x))
            add_record(e, x->src->tenant);
    for (const struct task_next *x = w->tasks; x && !w->failed; x = x->all)
        if (!x->in_log)
            add_record(e, x->agent->tenant);
    for (const struct memory_credit_next *x = w->memories; x && !w->failed; x = x->all)
        if (!x->in_log && x->moved)
            add_record(e, x->tenant);
}

/* ---- after the commit ---- */

void learning_log_publish(struct engine *e)
{
    struct learning_log *g = &e->writer->learning_log;
    for (; g->catching_up; g->catching_up--) {
        struct agent *a = g->head;
        assert(a); /* nobody leaves the list but here */
        g->head = a->log_next;
        if (!g->head)
            g->tail = &g->head;
        a->log_next = NULL;
        a->log_no = 0;
        a->recents_behind = 0;
        for (uint32_t i = 0; i < a->edge_count; i++)
            a->edges[i].row_behind = false;
    }
    for (; g->catching_up_memories; g->catching_up_memories--) {
        struct credit_behind *b = g->memories;
        assert(b); /* likewise */
        g->memories = b->next;
        if (!g->memories)
            g->memories_tail = &g->memories;
        memory_credit_caught_up(e, b);
    }
    g->written += g->added;
}

static void fall_behind(struct learning_log *g, struct agent *a, int64_t no, uint64_t at)
{
    if (a->log_no)
        return;
    a->log_no = no;
    a->log_at = at;
    *g->tail = a;
    g->tail = &a->log_next;
}

void learning_log_behind(struct engine *e, struct agent *a)
{
    struct learning_log *g = &e->writer->learning_log;
    fall_behind(g, a, g->first_no, g->written - g->added);
}

/* ---- at the start ---- */

static enum qmn_code load_edge(struct engine *e, int64_t no, const struct learned_edge *from,
                               struct err *err)
{
    struct learning_log *g = &e->writer->learning_log;
    struct agent *src = network_agent_no(&e->net, from->src_no),
                 *dst = network_agent_no(&e->net, from->dst_no);
    if (!src || !dst || src->tenant != dst->tenant)
        return QMN_OK; /* of a tenant that is being purged */
    if (from->outcomes == LEARNED_REMOVED) {
        agent_remove_edge(src, dst->slot);
        return QMN_OK;
    }
    if (!network_grow_edges(&e->net, src, 1))
        return err_nomem(err);
    struct edge *x = agent_put_edge(src, dst->slot);
    x->weight = from->weight;
    x->success = from->success;
    x->decay = from->decay;
    x->outcomes = from->outcomes;
    x->created_ms = from->created_ms;
    x->updated_ms = from->updated_ms;
    x->row_behind = true;
    fall_behind(g, src, no, g->written);
    return QMN_OK;
}

static enum qmn_code load_task(struct engine *e, int64_t no, const struct learned_task *task,
                               struct err *err)
{
    struct learning_log *g = &e->writer->learning_log;
    struct agent *a = network_agent_no(&e->net, task->agent_no);
    if (!a)
        return QMN_OK; /* likewise */
    TRY(recent_load(a, task, err));
    recent_mark(a, task->nth);
    fall_behind(g, a, no, g->written);
    return QMN_OK;
}

enum qmn_code learning_log_load(struct engine *e, const struct record_learning_log *row,
                                struct err *err)
{
    for (struct bytes rest = row->edges; rest.len;) {
        struct learned_edge edge;
        TRY(learned_next_edge(&rest, &edge, err));
        TRY(load_edge(e, row->no, &edge, err));
    }
    for (struct bytes rest = row->tasks; rest.len;) {
        struct learned_task task;
        TRY(learned_next_task(&rest, &task, err));
        TRY(load_task(e, row->no, &task, err));
    }
    for (struct bytes rest = row->memories; rest.len;) {
        struct learned_memory memory;
        TRY(learned_next_memory(&rest, &memory, err));
        TRY(memory_credit_load(e, row, &memory, err));
    }
    e->writer->learning_log.written += row->edges.len + row->tasks.len + row->memories.len;
    return QMN_OK;
}
