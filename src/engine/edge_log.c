/* SPDX-License-Identifier: MIT
 *
 * The edge log. */
#include "engine/edge_log_priv.h"

#include <assert.h>
#include <string.h>

#include "engine/group_priv.h"

enum {
    CATCH_UP_ROWS = 1024, /* of one group, and the rest of an agent's */
    TRIM_ROWS = 256,      /* log records dropped by one group: more than one can add */
    REMOVED = -1,         /* outcomes of an edge that has gone */
};

/* One edge of a record, as it was after the group. */
struct logged_edge {
    int64_t src_no, dst_no;
    double weight, success, decay;
    int64_t outcomes, created_ms, updated_ms;
};

void edge_log_init(struct edge_log *g, uint64_t bound)
{
    *g = (struct edge_log){.bound = bound ? bound : EDGE_LOG_BYTES};
    g->tail = &g->head;
}

/* ---- bringing rows up to date ---- */

static uint32_t put_rows(struct engine *e, const struct agent *a)
{
    uint32_t rows = 0;
    for (uint32_t i = 0; i < a->edge_count; i++) {
        const struct edge *x = &a->edges[i];
        if (!x->row_behind)
            continue;
        struct record_edge *row = arena_new(writer_arena(e), struct record_edge);
        if (!row) {
            e->writer->failed = true;
            return rows;
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
        rows++;
    }
    return rows;
}

void edge_log_catch_up(struct engine *e)
{
    struct edge_log *g = &e->writer->edge_log;
    const struct agent *a = g->head;
    g->catching_up = 0;
    g->first_no = 0;
    g->added = 0;
    for (uint32_t rows = 0; a && rows < CATCH_UP_ROWS && g->written - a->log_at > g->bound;
         a = a->log_next, g->catching_up++)
        rows += put_rows(e, a);
    if (!g->catching_up)
        return;
    struct record_edge_log *below = arena_new(writer_arena(e), struct record_edge_log);
    if (!below) {
        e->writer->failed = true;
        return;
    }
    /* what the others still need begins where the first of them fell behind */
    below->no = a ? a->log_no : writer_next_no(e);
    writer_add_below(e, RECORD_EDGE_LOG, below, TRIM_ROWS);
}

/* ---- what the group did ---- */

static struct logged_edge logged(const struct edge_next *x)
{
    return (struct logged_edge){.src_no = x->src->record->no,
                                .dst_no = x->dst->record->no,
                                .weight = x->weight,
                                .success = x->success,
                                .decay = x->decay,
                                .outcomes = x->removed ? REMOVED : x->outcomes,
                                .created_ms = x->created_ms,
                                .updated_ms = x->updated_ms};
}

/* One record with all edges of a tenant. */
static void add_record(struct engine *e, const struct tenant *t)
{
    struct writer *w = e->writer;
    struct edge_log *g = &w->edge_log;
    size_t count = 0, n = 0;
    for (const struct edge_next *x = w->edges; x; x = x->all)
        count += x->src->tenant == t && !edge_unused(x);
    struct logged_edge *all = arena_array(&w->arena, struct logged_edge, count);
    struct record_edge_log *row = arena_new(&w->arena, struct record_edge_log);
    if (!all || !row) {
        w->failed = true;
        return;
    }
    for (struct edge_next *x = w->edges; x; x = x->all)
        if (x->src->tenant == t && !edge_unused(x)) {
            all[n++] = logged(x);
            x->in_log = true;
        }
    *row = (struct record_edge_log){.no = writer_next_no(e),
                                    .tenant_no = t->record->no,
                                    .edges = bytes_of(all, n * sizeof *all)};
    writer_add(e, MUT_INSERT, RECORD_EDGE_LOG, row);
    if (!g->first_no)
        g->first_no = row->no;
    g->added += row->edges.len;
}

void edge_log_add(struct engine *e)
{
    for (struct edge_next *x = e->writer->edges; x; x = x->all)
        if (!x->in_log && !edge_unused(x))
            add_record(e, x->src->tenant);
}

/* ---- after the commit ---- */

void edge_log_publish(struct engine *e)
{
    struct edge_log *g = &e->writer->edge_log;
    for (; g->catching_up; g->catching_up--) {
        struct agent *a = g->head;
        assert(a); /* nobody leaves the list but here */
        g->head = a->log_next;
        if (!g->head)
            g->tail = &g->head;
        a->log_next = NULL;
        a->log_no = 0;
        for (uint32_t i = 0; i < a->edge_count; i++)
            a->edges[i].row_behind = false;
    }
    g->written += g->added;
}

static void fall_behind(struct edge_log *g, struct agent *src, int64_t no, uint64_t at)
{
    if (src->log_no)
        return;
    src->log_no = no;
    src->log_at = at;
    *g->tail = src;
    g->tail = &src->log_next;
}

void edge_log_mark(struct engine *e, struct agent *src, struct edge *x)
{
    struct edge_log *g = &e->writer->edge_log;
    x->row_behind = true;
    fall_behind(g, src, g->first_no, g->written - g->added);
}

/* ---- at the start ---- */

static enum qmn_code apply(struct engine *e, const struct record_edge_log *row,
                           const struct logged_edge *from, struct err *err)
{
    struct edge_log *g = &e->writer->edge_log;
    struct agent *src = network_agent_no(&e->net, from->src_no),
                 *dst = network_agent_no(&e->net, from->dst_no);
    if (!src || !dst || src->tenant != dst->tenant)
        return QMN_OK; /* of a tenant that is being purged */
    if (from->outcomes == REMOVED) {
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
    fall_behind(g, src, row->no, g->written);
    return QMN_OK;
}

enum qmn_code edge_log_load(struct engine *e, const struct record_edge_log *row, struct err *err)
{
    struct logged_edge x;
    if (row->edges.len % sizeof x)
        return err_set(err, QMN_E_CORRUPT, "a record of the edge log has %zu bytes, not edges",
                       row->edges.len);
    for (size_t at = 0; at < row->edges.len; at += sizeof x) {
        memcpy(&x, row->edges.ptr + at, sizeof x);
        TRY(apply(e, row, &x, err));
    }
    e->writer->edge_log.written += row->edges.len;
    return QMN_OK;
}
