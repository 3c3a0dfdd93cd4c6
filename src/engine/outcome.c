/* SPDX-License-Identifier: MIT
 *
 * Outcomes: one vote per trace, hop and rater, credited to the edges that carried it and to the
 * memories it used.
 *
 * What one rater has said of one trace is one row.  The requester of the trace rates every hop; an
 * agent that forwarded rates the hops it caused; nobody rates itself.  A repeat with the same
 * scores answers what the first one did; a different score for a hop already rated is a conflict;
 * hops not rated yet may be added.  A memory's vote is that of its author's hop, so it is given,
 * or refused, with it. */
#include "engine/decide_priv.h"
#include "engine/idempotency_priv.h"
#include "engine/learning.h"
#include "engine/live_priv.h"
#include "engine/memory_credit_priv.h"
#include "engine/recent_priv.h"
#include "engine/trace_priv.h"
#include "route/plasticity.h"

#define DAY_MS           86400000.0
#define RECENT_TASK_FROM 0.5 /* rated so well, the nutrient counts as one the agent worked on */

struct hop_credit {
    struct agent *src, *dst;
    double score;
    uint32_t hop;
    bool known;             /* rated before, with the same score */
    struct edge_next *edge; /* in the group at hand; NULL: rated before */
};

/* A memory that a collect returned. */
struct memory_use {
    int64_t no;
    struct id id;
    uint32_t hop; /* its author's, among those this call rates */
    double share;
    struct memory_credit_next *next; /* in the group at hand; NULL: rated before, or gone */
};

/* What a rater has said of a trace; zero: nothing. */
struct said {
    bool rated;
    double score;
    const struct credit_view *credits;
    uint32_t count;
};

struct outcome_op {
    struct command cmd;
    const struct outcome_in *in;
    struct outcome_out *out;
    struct agent *rater;
    int64_t rater_no, rater_print; /* the latter: of its id, which another node knows as well */
    struct record_trace trace;
    struct decision decision;
    struct hop_credit *hops; /* what this call rates */
    struct memory_use *memories;
    uint32_t hop_count, memory_count;
    bool unrated;       /* alive and rated by nobody, so there is nothing to look for */
    uint64_t looked_at; /* the last group that was published before the look ... */
    struct said looked; /* ... into what the rater has said before, in the arena of the call */
    struct said before; /* the same as the group at hand finds it */
    struct credit_view *credits; /* all of this rater: old ones first, then ours */
    uint32_t credit_count;
    struct record_outcome row;
};

/* What a repeat is answered from: the row, or, if retention takes it before the key, the credits
 * that then stand behind. */
struct outcome_kept {
    int64_t trace_no, rater_no;
};

/* ---- loop: whom does this call rate? ---- */

static double hop_score_of(const struct outcome_op *op, struct bytes agent)
{
    for (size_t i = 0; i < op->in->hop_count; i++)
        if (bytes_equal(op->in->hops[i].agent_id, agent))
            return op->in->hops[i].score;
    return op->in->score;
}

static void add_hop(struct outcome_op *op, struct agent *src, struct agent *dst, uint32_t hop)
{
    bool requester = op->trace.agent_no == op->rater->record->no;
    if (!src || !dst || dst == op->rater || src == dst || (!requester && src != op->rater))
        return;
    for (uint32_t i = 0; i < op->hop_count; i++)
        if (op->hops[i].dst == dst)
            return; /* several contributions of one agent are one hop */
    op->hops[op->hop_count++] = (struct hop_credit){
        .src = src, .dst = dst, .hop = hop, .score = hop_score_of(op, dst->record->id)};
}

/* A broadcast credits its routes, a collect the agents whose answers and memories it used. */
static void gather_hops(struct engine *e, struct outcome_op *op)
{
    const struct decision *d = &op->decision;
    struct agent *requester = network_agent_no(&e->net, op->trace.agent_no);
    for (uint32_t i = 0; i < d->head.route_count; i++)
        add_hop(op, network_agent_no(&e->net, d->routes[i].from_no),
                network_agent_no(&e->net, d->routes[i].agent_no), d->routes[i].hop);
    for (uint32_t i = 0; i < d->head.contribution_count; i++)
        add_hop(op, requester, network_agent_no(&e->net, d->contributions[i].agent_no), 1);
}

/* Of the memories among the contributions those whose authors are rated. */
static void gather_memories(struct outcome_op *op)
{
    const struct decision *d = &op->decision;
    float nearest = 0;
    for (uint32_t i = 0; i < d->head.contribution_count; i++)
        if (d->contributions[i].similarity > nearest)
            nearest = d->contributions[i].similarity;
    for (uint32_t i = 0; i < d->head.contribution_count; i++) {
        const struct contribution_view *c = &d->contributions[i];
        for (uint32_t k = 0; c->from_memory && k < op->hop_count; k++)
            if (op->hops[k].dst->record->no == c->agent_no)
                op->memories[op->memory_count++] =
                    (struct memory_use){.no = c->item_no,
                                        .id = c->id,
                                        .hop = k,
                                        .share = quality_share(c->similarity, nearest)};
    }
}

static enum qmn_code check_named(const struct outcome_op *op, struct err *err)
{
    for (size_t i = 0; i < op->in->hop_count; i++) {
        bool known = false;
        for (uint32_t k = 0; k < op->hop_count && !known; k++)
            known = bytes_equal(op->hops[k].dst->record->id, op->in->hops[i].agent_id);
        if (!known)
            return err_field(
                err, QMN_E_INVALID, "hop_outcomes",
                "agent \"%.*s\" is not a hop of this trace that agent \"%.*s\" may rate",
                BYTES_FMT(op->in->hops[i].agent_id), BYTES_FMT(op->rater->record->id));
    }
    return QMN_OK;
}

static enum qmn_code no_trace(const struct outcome_op *op, struct err *err)
{
    return err_field(err, QMN_E_NOT_FOUND, "trace_id", "there is no trace \"%.*s\"",
                     BYTES_FMT(op->in->trace_id));
}

/* Most outcomes come while the nutrient lives, and then its deliveries say who is rated: no need to
 * read the trace. */
static enum qmn_code from_live(const struct nutrient *x, struct arena *arena, struct outcome_op *op,
                               struct err *err)
{
    const struct tenant *t = x->tenant;
    struct route_view *routes = arena_array(arena, struct route_view, x->delivery_count + 1);
    if (!routes)
        return err_nomem(err);
    for (uint32_t i = 0; i < x->delivery_count; i++)
        routes[i] = (struct route_view){.agent_no = t->agent_nos[x->deliveries[i].agent->slot],
                                        .from_no = t->agent_nos[x->deliveries[i].from],
                                        .hop = x->deliveries[i].hop};
    op->trace = (struct record_trace){.no = x->no,
                                      .tenant_no = t->record->no,
                                      .kind = TRACE_BROADCAST,
                                      .agent_no = t->agent_nos[x->source],
                                      .sensitivity = x->sensitivity};
    op->decision = (struct decision){.head = {.route_count = x->delivery_count},
                                     .routes = routes,
                                     .hints = arena_bytes(arena, x->hints)};
    return op->decision.hints.ptr ? QMN_OK : err_nomem(err);
}

/* Read lock held.  *ret_known: the nutrient is alive and its trace need not be read. */
static enum qmn_code look_alive(struct engine *e, struct call *c, struct outcome_op *op,
                                int64_t *ret_tenant_no, bool *ret_known)
{
    struct id id;
    TRY(engine_tenant(e, c->caller, &op->cmd.tenant, &c->err));
    *ret_tenant_no = op->cmd.tenant->record->no;
    const struct nutrient *live = id_parse(op->in->trace_id, PREFIX_TRACE, &id)
                                      ? network_live(&e->net, op->cmd.tenant, &id)
                                      : NULL;
    *ret_known = live && id_time_ms(&id) >= engine_now(e) - e->retention_ms &&
                 live->sensitivity <= c->caller->clearance;
    op->unrated = *ret_known && !live->rated;
    return *ret_known ? from_live(live, c->arena, op, &c->err) : QMN_OK;
}

/* Without the lock: somebody may be waiting for it. */
static enum qmn_code read_trace(struct engine *e, struct call *c, struct outcome_op *op,
                                int64_t tenant_no, struct err *err)
{
    struct id id;
    if (!id_parse(op->in->trace_id, PREFIX_TRACE, &id))
        return no_trace(op, err);
    TRY(engine_trace_kept(e, &id, "trace_id", err));
    enum qmn_code code = engine_find_trace(e, tenant_no, &id, c->arena, &op->trace, err);
    if (code == QMN_E_NOT_FOUND)
        return no_trace(op, err);
    TRY(code);
    if (op->trace.sensitivity > (int64_t)c->caller->clearance)
        return no_trace(op, err);
    return decision_unpack(op->trace.decision, c->arena, &op->decision, err);
}

/* Likewise; or on the writer, when what the loop has seen may be old. */
static enum qmn_code look_back(struct engine *e, const struct outcome_op *op, struct arena *arena,
                               struct said *ret, struct err *err)
{
    struct record_outcome key = {.trace_no = op->trace.no, .rater_no = op->rater_no}, row;
    struct said said = {.rated = true};
    enum qmn_code code = e->store->ops->get(e->store, RECORD_OUTCOME, &key, arena, &row, err);
    if (code == QMN_E_NOT_FOUND) {
        *ret = (struct said){0};
        return QMN_OK;
    }
    TRY(code);
    TRY(credits_unpack(row.hops, arena, &said.credits, &said.count, err));
    said.score = row.score;
    *ret = said;
    return QMN_OK;
}

/* ---- writer ---- */

static struct nutrient *live_of(struct engine *e, const struct outcome_op *op)
{
    uint64_t *at = u64map_get(&e->net.live_by_no, (uint64_t)op->trace.no);
    return at ? (struct nutrient *)(uintptr_t)*at : NULL;
}

static uint64_t pair_hash(const struct outcome_op *op)
{
    int64_t pair[2] = {op->trace.no, op->rater_no};
    return bytes_hash(bytes_of(pair, sizeof pair), 0);
}

/* What the rater has said before: what the loop has seen, unless it may have rated since. */
static enum qmn_code load_previous(struct engine *e, struct outcome_op *op, struct err *err)
{
    struct arena *arena = writer_arena(e);
    op->before = op->looked;
    if (writer_stamped_since(e, pair_hash(op), op->looked_at))
        TRY(look_back(e, op, arena, &op->before, err));
    op->credits = arena_array(arena, struct credit_view, op->before.count + op->hop_count + 1);
    if (!op->credits)
        return err_nomem(err);
    if (op->before.count)
        memcpy(op->credits, op->before.credits, op->before.count * sizeof *op->credits);
    op->credit_count = op->before.count;
    return QMN_OK;
}

static enum qmn_code conflict(struct bytes agent, double before, double now, struct err *err)
{
    return err_field(err, QMN_E_CONFLICT, "outcome.score",
                     "agent \"%.*s\" was rated %g on this trace already; this call says %g",
                     BYTES_FMT(agent), before, now);
}

/* Marks the hops rated before; a different score than then is a conflict.  Counts the new ones. */
static enum qmn_code compare_hops(struct outcome_op *op, uint32_t *ret_fresh, struct err *err)
{
    *ret_fresh = 0;
    for (uint32_t k = 0; k < op->hop_count; k++) {
        struct hop_credit *h = &op->hops[k];
        h->known = false;
        for (uint32_t i = 0; i < op->before.count; i++) {
            if (op->credits[i].dst_no != h->dst->record->no)
                continue;
            h->known = true;
            if (op->credits[i].score != h->score)
                return conflict(h->dst->record->id, op->credits[i].score, h->score, err);
        }
        *ret_fresh += !h->known;
    }
    if (!op->hop_count && op->before.rated && op->before.score != op->in->score)
        return err_field(err, QMN_E_CONFLICT, "outcome.score",
                         "this trace was rated %g already; this call says %g", op->before.score,
                         op->in->score);
    return QMN_OK;
}

/* What has gone since, or says something else under another id, learns nothing. */
static bool make_room_for_memories(struct engine *e, struct outcome_op *op)
{
    struct tenant *t = op->cmd.tenant;
    for (uint32_t i = 0; i < op->memory_count; i++) {
        struct memory_use *m = &op->memories[i];
        uint32_t slot = op->hops[m->hop].edge ? memory_slot(t, &m->id) : UINT32_MAX;
        m->next = NULL;
        if (slot == UINT32_MAX || t->memories[slot].no != m->no)
            continue;
        m->next = writer_memory(e, t, slot);
        if (!m->next)
            return false;
    }
    return true;
}

static void credit_memories(struct outcome_op *op)
{
    for (uint32_t i = 0; i < op->memory_count; i++) {
        const struct memory_use *m = &op->memories[i];
        if (!m->next)
            continue;
        quality_learn(&m->next->evidence, op->rater_print, op->hops[m->hop].score, m->share);
        m->next->uses += m->next->uses < UINT32_MAX;
        m->next->moved = true;
    }
}

/* Everything that can fail, for every hop, before any edge moves: a refusal leaves no trace. */
static bool make_room(struct engine *e, struct outcome_op *op)
{
    for (uint32_t i = 0; i < op->hop_count; i++) {
        struct hop_credit *h = &op->hops[i];
        h->edge = NULL;
        if (h->known)
            continue;
        h->edge = writer_edge(e, h->src, h->dst);
        if (!h->edge || (h->score >= RECENT_TASK_FROM &&
                         !recent_add(e, h->dst, op->trace.no, op->decision.hints)))
            return false;
    }
    return make_room_for_memories(e, op);
}

static void reinforce(struct engine *e, struct outcome_op *op, const struct hop_credit *h)
{
    struct edge_next *x = h->edge;
    int64_t now = writer_now_ms(e);
    if (x->removed) /* pruned earlier in this group */
        edge_start(x, now);
    double old = edge_idle(x->weight, (double)(now - x->updated_ms) / DAY_MS);
    x->weight = edge_reinforce(old, h->score);
    x->success += h->score;
    x->decay += 1 - h->score;
    x->outcomes++;
    x->updated_ms = now;
    op->credits[op->credit_count++] = (struct credit_view){.src_no = h->src->record->no,
                                                           .dst_no = h->dst->record->no,
                                                           .score = h->score,
                                                           .old_weight = old,
                                                           .new_weight = x->weight,
                                                           .hop = h->hop};
}

static enum qmn_code keep_answer(struct engine *e, struct outcome_op *op, struct err *err)
{
    struct outcome_kept kept = {op->trace.no, op->rater_no};
    int64_t goes_ms = op->trace.no / 1000 + e->retention_ms;
    bool outlived = goes_ms < writer_now_ms(e) + IDEMPOTENCY_KEEP_MS;
    size_t credits = outlived ? op->credit_count * sizeof *op->credits : 0;
    char *p = arena_alloc(writer_arena(e), sizeof kept + credits);
    if (!p)
        return err_nomem(err);
    memcpy(p, &kept, sizeof kept);
    if (credits)
        memcpy(p + sizeof kept, op->credits, credits);
    op->cmd.idem_result = bytes_of(p, sizeof kept + credits);
    return QMN_OK;
}

static enum qmn_code outcome_check(struct engine *e, struct command *cmd, struct err *err)
{
    struct outcome_op *op = CONTAINER_OF(cmd, struct outcome_op, cmd);
    uint32_t fresh;
    if (!writer_claim(e, cmd, RECORD_OUTCOME, pair_hash(op)))
        return QMN_OK;
    TRY(load_previous(e, op, err));
    TRY(compare_hops(op, &fresh, err));
    if (!fresh && op->before.rated)
        return keep_answer(e, op, err); /* a repeat: finish answers what stands */
    TRY(writer_use(e, cmd->tenant, USAGE_OUTCOMES, 1, err));
    if (!make_room(e, op))
        return err_nomem(err);
    for (uint32_t i = 0; i < op->hop_count; i++)
        if (op->hops[i].edge)
            reinforce(e, op, &op->hops[i]);
    credit_memories(op);
    op->row = (struct record_outcome){
        .trace_no = op->trace.no,
        .rater_no = op->rater_no,
        .tenant_no = cmd->tenant->record->no,
        .score = op->in->score,
        .hops = bytes_of(op->credits, op->credit_count * sizeof *op->credits),
        .metadata = op->in->metadata,
        .at_ms = writer_now_ms(e)};
    writer_add(e, MUT_PUT, RECORD_OUTCOME, &op->row);
    writer_stamp(e, pair_hash(op));
    return keep_answer(e, op, err);
}

static void outcome_publish(struct engine *e, struct command *cmd)
{
    struct outcome_op *op = CONTAINER_OF(cmd, struct outcome_op, cmd);
    struct nutrient *live = live_of(e, op);
    if (live)
        live->rated = true;
    counter_add(e->m.outcomes, 1);
    counter_add(e->m.edge_changes, op->credit_count - op->before.count);
    /* the arena of the writer goes with the group, the answer is made after: keep what it needs */
    struct credit_view *keep =
        arena_copy(cmd->call->arena, op->credits, (op->credit_count + 1) * sizeof *op->credits);
    op->credits = keep; /* NULL: finish says so, and a repeat finds the answer */
}

/* ---- loop: the answer ---- */

const struct weight_change *engine_changes(struct engine *e, const struct credit_view *credits,
                                           uint32_t count, struct arena *arena)
{
    struct weight_change *out = arena_array(arena, struct weight_change, count + 1);
    for (uint32_t i = 0; out && i < count; i++) {
        const struct agent *src = network_agent_no(&e->net, credits[i].src_no);
        const struct agent *dst = network_agent_no(&e->net, credits[i].dst_no);
        out[i] = (struct weight_change){
            .src = src ? arena_bytes(arena, src->record->id) : BYTES_LIT("(purged)"),
            .dst = dst ? arena_bytes(arena, dst->record->id) : BYTES_LIT("(purged)"),
            .old_weight = credits[i].old_weight,
            .new_weight = credits[i].new_weight,
            .hop_score = credits[i].score,
            .hop = credits[i].hop};
    }
    return out;
}

static enum qmn_code fill_out(struct engine *e, struct outcome_op *op,
                              const struct credit_view *credits, uint32_t count, struct err *err)
{
    struct arena *arena = op->cmd.call->arena;
    pthread_rwlock_rdlock(&e->net.lock);
    op->out->changes = engine_changes(e, credits, count, arena);
    pthread_rwlock_unlock(&e->net.lock);
    op->out->change_count = op->out->changes ? count : 0;
    op->out->trace_id = op->in->trace_id;
    return op->out->changes ? QMN_OK : err_nomem(err);
}

static enum qmn_code outcome_finish(struct engine *e, struct command *cmd, struct err *err)
{
    struct outcome_op *op = CONTAINER_OF(cmd, struct outcome_op, cmd);
    return op->credits ? fill_out(e, op, op->credits, op->credit_count, err) : err_nomem(err);
}

static enum qmn_code outcome_replay(struct engine *e, struct command *cmd, struct bytes result,
                                    struct err *err)
{
    struct outcome_op *op = CONTAINER_OF(cmd, struct outcome_op, cmd);
    struct outcome_kept kept;
    struct record_outcome row;
    const struct credit_view *credits;
    uint32_t count;
    if (result.len < sizeof kept)
        return err_set(err, QMN_E_CORRUPT, "a stored idempotent answer has the wrong length");
    memcpy(&kept, result.ptr, sizeof kept);
    struct record_outcome key = {.trace_no = kept.trace_no, .rater_no = kept.rater_no};
    enum qmn_code code =
        e->store->ops->get(e->store, RECORD_OUTCOME, &key, cmd->call->arena, &row, err);
    if (code == QMN_E_NOT_FOUND)
        row.hops = bytes_of(result.ptr + sizeof kept, result.len - sizeof kept);
    else
        TRY(code);
    TRY(credits_unpack(row.hops, cmd->call->arena, &credits, &count, err));
    return fill_out(e, op, credits, count, err);
}

static const struct command_ops outcome_ops = {
    .name = "outcome",
    .check = outcome_check,
    .publish = outcome_publish,
    .finish = outcome_finish,
    .replay = outcome_replay,
};

/* Who rates: the agent named; else the one that asked, if the key may act as it, since clients rate
 * what they asked for without saying who they are; else the acting agent.  A key for any agent may
 * still rate for one that was suspended since: a client that asked on behalf of an agent may have
 * no way to name another here. */
static enum qmn_code find_rater(struct engine *e, struct call *c, struct outcome_op *op,
                                struct err *err)
{
    struct agent *asked = network_agent_no(&e->net, op->trace.agent_no);
    struct bytes named = op->in->agent_id, allowed = c->caller->agent_ids;
    if (!named.len && asked && !allowed.len) {
        op->rater = asked;
        return QMN_OK;
    }
    if (!named.len && asked && textlist_has(allowed, asked->record->id))
        named = asked->record->id;
    return network_acting_agent(op->cmd.tenant, c->caller, named, "agent_id", &op->rater, err);
}

/* Read lock held; another hold than that which found the tenant. */
static enum qmn_code outcome_prepare(struct engine *e, struct call *c, struct outcome_op *op,
                                     struct err *err)
{
    TRY(engine_tenant(e, c->caller, &op->cmd.tenant, err));
    TRY(find_rater(e, c, op, err));
    op->rater_no = op->rater->record->no;
    op->rater_print = (int64_t)(bytes_hash(op->rater->record->id, 0) | 1);
    if (op->trace.sensitivity > (int64_t)agent_clearance(op->rater, c->caller))
        return no_trace(op, err);
    op->hops =
        arena_array(c->arena, struct hop_credit,
                    op->decision.head.route_count + op->decision.head.contribution_count + 1);
    op->memories =
        arena_array(c->arena, struct memory_use, op->decision.head.contribution_count + 1);
    if (!op->hops || !op->memories)
        return err_nomem(err);
    gather_hops(e, op);
    gather_memories(op);
    if (!op->hop_count && op->trace.agent_no != op->rater->record->no)
        return err_field(
            err, QMN_E_FORBIDDEN, "agent_id",
            "agent \"%.*s\" neither asked on this trace nor passed it on; it has nothing to rate",
            BYTES_FMT(op->rater->record->id));
    return check_named(op, err);
}

void engine_record_outcome(struct engine *e, struct call *c, const struct outcome_in *in,
                           struct outcome_out *out)
{
    struct outcome_op *op = arena_new(c->arena, struct outcome_op);
    if (!op) {
        call_finish(c, err_nomem(&c->err));
        return;
    }
    op->cmd.ops = &outcome_ops;
    op->in = in;
    op->out = out;
    op->looked_at = writer_published(e);
    int64_t tenant_no = 0;
    bool known = false;
    pthread_rwlock_rdlock(&e->net.lock);
    enum qmn_code code = look_alive(e, c, op, &tenant_no, &known);
    if (code == QMN_OK && !known) {
        pthread_rwlock_unlock(&e->net.lock);
        code = read_trace(e, c, op, tenant_no, &c->err);
        pthread_rwlock_rdlock(&e->net.lock);
    }
    if (code == QMN_OK)
        code = outcome_prepare(e, c, op, &c->err);
    pthread_rwlock_unlock(&e->net.lock);
    if (code == QMN_OK && !op->unrated)
        code = look_back(e, op, c->arena, &op->looked, &c->err);
    if (code == QMN_E_GONE && writer_repeat(e, c, &op->cmd))
        return; /* it was not gone the first time */
    if (code != QMN_OK)
        call_finish(c, code);
    else
        writer_submit(e, c, &op->cmd);
}
