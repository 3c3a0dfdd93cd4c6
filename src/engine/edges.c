/* SPDX-License-Identifier: MIT
 *
 * Looking at edges, and their upkeep on request. */
#include "engine/decide_priv.h"
#include "engine/learning.h"

#include <math.h>
#include <stdlib.h>

#include "route/plasticity.h"

#define DAY_MS 86400000.0

static double relaxed(const struct edge *x, int64_t now)
{
    return edge_idle(x->weight, (double)(now - x->updated_ms) / DAY_MS);
}

/* ---- reading ---- */

static enum qmn_code stats_read(struct engine *e, struct call *c, struct edge_stats *out)
{
    struct tenant *t;
    double sum = 0, squares = 0, success = 0, decay = 0;
    int64_t now = engine_now(e);
    TRY(engine_tenant(e, c->caller, &t, &c->err));
    *out = (struct edge_stats){.total = t->edge_count};
    if (!t->edge_count)
        return QMN_OK;
    out->min_weight = EDGE_W_MAX;
    for (uint32_t i = 0; i < t->agent_count; i++)
        for (uint32_t k = 0; k < t->agents[i]->edge_count; k++) {
            const struct edge *x = &t->agents[i]->edges[k];
            double w = relaxed(x, now);
            sum += w;
            squares += w * w;
            success += x->success;
            decay += x->decay;
            out->min_weight = fmin(out->min_weight, w);
            out->max_weight = fmax(out->max_weight, w);
        }
    double n = (double)t->edge_count;
    out->avg_weight = sum / n;
    out->stddev_weight = sqrt(fmax(0, squares / n - out->avg_weight * out->avg_weight));
    out->avg_success = success / n;
    out->avg_decay = decay / n;
    return QMN_OK;
}

void engine_edge_stats(struct engine *e, struct call *c, struct edge_stats *out)
{
    pthread_rwlock_rdlock(&e->net.lock);
    enum qmn_code code = stats_read(e, c, out);
    pthread_rwlock_unlock(&e->net.lock);
    call_finish(c, code);
}

struct ranked {
    double weight;
    const struct agent *src;
    const struct edge *edge;
};

/* Strongest first; equal ones by source and target, so that a listing is stable. */
static int ranked_order(const void *pa, const void *pb)
{
    const struct ranked *a = pa, *b = pb;
    if (a->weight != b->weight)
        return a->weight < b->weight ? 1 : -1;
    struct agent *const *agents = a->src->tenant->agents;
    int c = bytes_compare(a->src->record->id, b->src->record->id);
    return c ? c
             : bytes_compare(agents[a->edge->dst]->record->id, agents[b->edge->dst]->record->id);
}

/* The strongest so far: a heap with the weakest of them on top. */
struct strongest {
    struct ranked *items;
    size_t len, most;
};

static void sink(struct strongest *s)
{
    size_t i = 0, child;
    struct ranked x = s->items[0];
    while ((child = 2 * i + 1) < s->len) {
        if (child + 1 < s->len && ranked_order(&s->items[child + 1], &s->items[child]) > 0)
            child++;
        if (ranked_order(&x, &s->items[child]) > 0)
            break;
        s->items[i] = s->items[child];
        i = child;
    }
    s->items[i] = x;
}

static void offer(struct strongest *s, struct ranked x)
{
    if (s->len == s->most) {
        if (!s->most || ranked_order(&x, &s->items[0]) > 0)
            return;
        s->items[0] = x;
        sink(s);
        return;
    }
    size_t i = s->len++;
    for (; i && ranked_order(&x, &s->items[(i - 1) / 2]) > 0; i = (i - 1) / 2)
        s->items[i] = s->items[(i - 1) / 2];
    s->items[i] = x;
}

static void rank_agent(const struct agent *a, int64_t now, struct strongest *s)
{
    for (uint32_t k = 0; k < a->edge_count; k++)
        offer(s, (struct ranked){relaxed(&a->edges[k], now), a, &a->edges[k]});
}

static enum qmn_code fill_edges(const struct tenant *t, const struct ranked *ranked, size_t count,
                                struct arena *arena, struct edges_out *out, struct err *err)
{
    struct edge_out *edges = arena_array(arena, struct edge_out, count + 1);
    if (!edges)
        return err_nomem(err);
    for (size_t i = 0; i < count; i++) {
        const struct agent *src = ranked[i].src, *dst = t->agents[ranked[i].edge->dst];
        float similarity = t->profiles.dim ? flat_cosine(&t->profiles, src->slot, dst->slot) : 0;
        edges[i] = (struct edge_out){.src = arena_bytes(arena, src->record->id),
                                     .dst = arena_bytes(arena, dst->record->id),
                                     .weight = ranked[i].weight,
                                     .success = ranked[i].edge->success,
                                     .decay = ranked[i].edge->decay,
                                     .similarity = (double)similarity,
                                     .outcomes = ranked[i].edge->outcomes,
                                     .updated_ms = ranked[i].edge->updated_ms};
    }
    out->edges = edges;
    out->count = count;
    return QMN_OK;
}

static enum qmn_code edges_read(struct engine *e, struct call *c, struct bytes src, uint32_t limit,
                                struct edges_out *out)
{
    struct tenant *t;
    struct agent *only = NULL;
    int64_t now = engine_now(e);
    TRY(engine_tenant(e, c->caller, &t, &c->err));
    if (src.len && !(only = tenant_agent(t, src)))
        return err_field(&c->err, QMN_E_NOT_FOUND, "agent_id", "agent \"%.*s\" is not registered",
                         BYTES_FMT(src));
    uint64_t total = only ? only->edge_count : t->edge_count;
    struct strongest best = {.most = total < limit ? total : limit};
    best.items = arena_array(c->arena, struct ranked, best.most + 1);
    if (!best.items)
        return err_nomem(&c->err);
    for (uint32_t i = 0; i < (only ? 1 : t->agent_count); i++)
        rank_agent(only ? only : t->agents[i], now, &best);
    qsort(best.items, best.len, sizeof *best.items, ranked_order);
    return fill_edges(t, best.items, best.len, c->arena, out, &c->err);
}

void engine_edges(struct engine *e, struct call *c, struct bytes src, uint32_t limit,
                  struct edges_out *out)
{
    pthread_rwlock_rdlock(&e->net.lock);
    enum qmn_code code = edges_read(e, c, src, limit, out);
    pthread_rwlock_unlock(&e->net.lock);
    call_finish(c, code);
}

/* ---- upkeep ---- */

/* What one commit takes on: a million edges at once would not fit into a group's memory, and nobody
 * else would get a turn.  Whole agents, so a little more. */
enum { PIECE_REMOVED = 4096, PIECE_SEEN = 1 << 16 };

/* How far an upkeep has come. */
struct progress {
    uint32_t agent; /* slot to go on with */
    struct edge_upkeep_out sum;
};

struct upkeep_op {
    struct command cmd;
    double threshold; /* prune: below it; negative: decay */
    struct edge_upkeep_out *out;
    bool begun;
    int64_t now_ms;               /* of the first piece */
    struct progress done, before; /* before: the piece that was planned last */
    /* the last edge which that piece removes: still there, its commit failed */
    struct agent *src;
    uint32_t dst;
    int64_t created_ms;
};

/* Whether an edge goes; counts it. */
static bool judge(const struct upkeep_op *op, double weight, int64_t updated_ms,
                  struct edge_upkeep_out *sum)
{
    double days = (double)(op->now_ms - updated_ms) / DAY_MS, w = edge_idle(weight, days);
    bool prune = op->threshold >= 0;
    sum->changed += !prune && days >= EDGE_FORGET_DAYS && w != weight;
    bool goes = prune ? w < op->threshold : edge_forgettable(weight, days);
    sum->deleted += goes;
    return goes;
}

/* An edge of the published network, as earlier commands of this group leave it.  False: out of
 * memory. */
static bool judge_edge(struct engine *e, struct upkeep_op *op, struct agent *src,
                       const struct edge *x, struct edge_upkeep_out *sum)
{
    struct agent *dst = src->tenant->agents[x->dst];
    struct edge_next *next = writer_edge_known(e, src, dst);
    if (next && next->removed)
        return true;
    if (!judge(op, next ? next->weight : x->weight, next ? next->updated_ms : x->updated_ms, sum))
        return true;
    if (!next)
        next = writer_edge(e, src, dst);
    if (!next)
        return false;
    next->removed = true;
    op->src = src;
    op->dst = x->dst;
    op->created_ms = x->created_ms;
    return true;
}

/* Where to go on: behind the last piece, or at its start when its commit failed. */
static struct progress resume(struct engine *e, struct upkeep_op *op)
{
    if (!op->begun) {
        op->begun = true;
        op->now_ms = writer_now_ms(e);
    }
    const struct edge *last = op->src ? agent_edge(op->src, op->dst) : NULL;
    if (last && last->created_ms == op->created_ms)
        op->done = op->before;
    op->src = NULL;
    return op->done;
}

static void audit_upkeep(struct engine *e, struct command *cmd, const struct upkeep_op *op)
{
    bool prune = op->threshold >= 0;
    const char *detail = prune
                             ? arena_printf(writer_arena(e), "{\"threshold\":%g,\"deleted\":%llu}",
                                            op->threshold, (unsigned long long)op->out->deleted)
                             : arena_printf(writer_arena(e), "{\"changed\":%llu,\"deleted\":%llu}",
                                            (unsigned long long)op->out->changed,
                                            (unsigned long long)op->out->deleted);
    writer_audit(e, cmd->tenant, cmd->call->caller, prune ? "edge.prune" : "edge.decay",
                 BYTES_LIT(""), bytes_cstr(detail ? detail : ""));
}

/* Counts what has relaxed and removes what may go, as commands of the writer so that no outcome is
 * lost.  A piece that is not the last puts the command off to the next group: what it removed is
 * the group's by then, as an outcome's edges are, and is committed with it. */
static enum qmn_code edge_upkeep_check(struct engine *e, struct command *cmd, struct err *err)
{
    struct upkeep_op *op = CONTAINER_OF(cmd, struct upkeep_op, cmd);
    struct tenant *t = cmd->tenant;
    struct progress at = resume(e, op), start = at;
    if (!at.agent)
        for (struct edge_next *x = writer_edges(e); x; x = x->all) /* born in this group */
            if (x->is_new && x->outcomes && !x->removed && x->src->tenant == t)
                x->removed = judge(op, x->weight, x->updated_ms, &at.sum);
    for (uint64_t seen = 0; at.agent < t->agent_count && seen < PIECE_SEEN &&
                            at.sum.deleted - start.sum.deleted < PIECE_REMOVED;
         at.agent++) {
        struct agent *a = t->agents[at.agent];
        for (uint32_t k = 0; k < a->edge_count; k++)
            if (!judge_edge(e, op, a, &a->edges[k], &at.sum))
                return err_nomem(err);
        seen += a->edge_count;
    }
    cmd->defer = at.agent < t->agent_count;
    if (cmd->defer) {
        op->before = start;
        op->done = at;
        return QMN_OK;
    }
    op->src = NULL; /* should this commit fail, this piece begins where it began */
    *op->out = at.sum;
    cmd->idem_result = bytes_of(op->out, sizeof *op->out);
    audit_upkeep(e, cmd, op);
    return QMN_OK;
}

static enum qmn_code edge_upkeep_replay(struct engine *e, struct command *cmd, struct bytes result,
                                        struct err *err)
{
    struct upkeep_op *op = CONTAINER_OF(cmd, struct upkeep_op, cmd);
    (void)e;
    if (result.len != sizeof *op->out)
        return err_set(err, QMN_E_CORRUPT, "a stored idempotent answer has the wrong length");
    memcpy(op->out, result.ptr, result.len);
    return QMN_OK;
}

static const struct command_ops edge_upkeep_ops = {
    .name = "edges", .check = edge_upkeep_check, .replay = edge_upkeep_replay};

static void edge_upkeep(struct engine *e, struct call *c, double threshold,
                        struct edge_upkeep_out *out)
{
    struct upkeep_op *op = arena_new(c->arena, struct upkeep_op);
    if (!op) {
        call_finish(c, err_nomem(&c->err));
        return;
    }
    op->cmd.ops = &edge_upkeep_ops;
    op->threshold = threshold;
    op->out = out;
    pthread_rwlock_rdlock(&e->net.lock);
    enum qmn_code code = engine_tenant(e, c->caller, &op->cmd.tenant, &c->err);
    pthread_rwlock_unlock(&e->net.lock);
    if (code != QMN_OK)
        call_finish(c, code);
    else
        writer_submit(e, c, &op->cmd);
}

void engine_prune_edges(struct engine *e, struct call *c, double threshold,
                        struct edge_upkeep_out *out)
{
    edge_upkeep(e, c, threshold, out);
}

void engine_decay_edges(struct engine *e, struct call *c, struct edge_upkeep_out *out)
{
    edge_upkeep(e, c, -1, out);
}
