/* SPDX-License-Identifier: MIT
 *
 * Traces: why each agent was chosen, what became of the deliveries, what was learned since. */
#include "engine/trace_priv.h"

#include "engine/decide_priv.h"
#include "engine/nutrients.h"

size_t record_field(enum record_kind kind, const char *name)
{
    const struct record_type *t = record_type(kind);
    size_t i = 0;
    while (i < t->field_count && strcmp(t->fields[i].name, name) != 0)
        i++;
    return i;
}

enum qmn_code engine_find_trace(struct engine *e, int64_t tenant_no, const struct id *id,
                                struct arena *arena, struct record_trace *ret, struct err *err)
{
    struct record_trace probe = {.id = id_bytes(id)};
    TRY(e->store->ops->find(e->store, RECORD_TRACE, record_field(RECORD_TRACE, "id"), &probe, arena,
                            ret, err));
    if (ret->tenant_no != tenant_no)
        return err_set(err, QMN_E_NOT_FOUND, "not found");
    return QMN_OK;
}

enum qmn_code engine_trace_kept(const struct engine *e, const struct id *id, const char *field,
                                struct err *err)
{
    if (id_time_ms(id) >= engine_now(e) - e->retention_ms)
        return QMN_OK;
    return err_field(err, QMN_E_GONE, field, "traces are kept for %lld days, and this one is older",
                     (long long)(e->retention_ms / 86400000));
}

static struct bytes name_of(struct engine *e, int64_t no, struct arena *arena)
{
    const struct agent *a = network_agent_no(&e->net, no);
    return a ? arena_bytes(arena, a->record->id) : BYTES_LIT("(purged)");
}

static bool fill_candidates(struct engine *e, const struct decision *d, struct arena *arena,
                            struct trace_out *out)
{
    struct trace_candidate *c =
        arena_array(arena, struct trace_candidate, d->head.candidate_count + 1);
    for (uint32_t i = 0; c && i < d->head.candidate_count; i++) {
        const struct candidate_view *v = &d->candidates[i];
        c[i] = (struct trace_candidate){.agent_id = name_of(e, v->agent_no, arena),
                                        .score = v->score,
                                        .similarity = v->similarity,
                                        .weight = v->weight,
                                        .demand = v->demand,
                                        .propensity = v->propensity,
                                        .capabilities = v->capabilities,
                                        .chosen = v->chosen};
    }
    out->candidates = c;
    out->candidate_count = c ? d->head.candidate_count : 0;
    return c != NULL;
}

static bool fill_contributions(struct engine *e, const struct decision *d, struct arena *arena,
                               struct trace_out *out)
{
    struct trace_contribution *c =
        arena_array(arena, struct trace_contribution, d->head.contribution_count + 1);
    for (uint32_t i = 0; c && i < d->head.contribution_count; i++) {
        const struct contribution_view *v = &d->contributions[i];
        c[i] = (struct trace_contribution){
            .id = engine_id_text(arena, &v->id, v->from_memory ? PREFIX_MEMORY : PREFIX_RESPONSE),
            .agent_id = name_of(e, v->agent_no, arena),
            .from_memory = v->from_memory,
            .similarity = v->similarity,
            .score = v->score};
    }
    out->contributions = c;
    out->contribution_count = c ? d->head.contribution_count : 0;
    return c != NULL;
}

static const char *delivery_text(const struct delivery *d, int64_t mono)
{
    if (d->state == DELIVERY_ACKED)
        return "acked";
    if (d->state == DELIVERY_REJECTED)
        return "rejected";
    return d->leased && d->ready_ms > mono ? "leased" : "pending";
}

struct state_scan {
    const struct decision *d;
    struct trace_delivery *out;
    int64_t no;
};

/* Rows of ended deliveries of one nutrient; the scan goes on to the next nutrient and stops there.
 */
static enum qmn_code on_delivery(void *ctx, const void *record, struct err *err)
{
    struct state_scan *s = ctx;
    const struct record_delivery *row = record;
    if (row->nutrient_no != s->no)
        return err_set(err, QMN_E_GONE, "end of scan");
    for (uint32_t i = 0; i < s->d->head.route_count; i++)
        if (s->d->routes[i].agent_no == row->agent_no)
            s->out[i].state = row->state == DELIVERY_ACKED ? "acked" : "rejected";
    return QMN_OK;
}

/* Read lock held.  *ret_ended: the nutrient is no longer alive, and how its deliveries ended stands
 * in the store. */
static bool fill_deliveries(struct engine *e, const struct record_trace *trace,
                            const struct decision *d, struct arena *arena,
                            struct trace_delivery **ret, bool *ret_ended)
{
    struct trace_delivery *v = arena_array(arena, struct trace_delivery, d->head.route_count + 1);
    uint64_t *at = u64map_get(&e->net.live_by_no, (uint64_t)trace->no);
    struct nutrient *live = at ? (struct nutrient *)(uintptr_t)*at : NULL;
    int64_t mono = engine_mono_ms(e);
    pthread_mutex_lock(&e->net.inbox_lock); /* pulls lease under the read lock too */
    for (uint32_t i = 0; v && i < d->head.route_count; i++) {
        const struct agent *a = network_agent_no(&e->net, d->routes[i].agent_no);
        const struct delivery *x = live && a ? nutrient_delivery(live, a) : NULL;
        v[i] = (struct trace_delivery){.agent_id = name_of(e, d->routes[i].agent_no, arena),
                                       .state = x ? delivery_text(x, mono) : "expired"};
    }
    pthread_mutex_unlock(&e->net.inbox_lock);
    *ret = v;
    *ret_ended = !live;
    return v != NULL;
}

static void read_ends(struct engine *e, int64_t no, const struct decision *d,
                      struct trace_delivery *deliveries)
{
    struct state_scan scan = {.d = d, .out = deliveries, .no = no};
    struct record_delivery after = {.nutrient_no = no, .agent_no = 0};
    if (d->head.route_count)
        (void)e->store->ops->scan(e->store, RECORD_DELIVERY, &after, on_delivery, &scan,
                                  &(struct err){0});
}

/* What a rater said, as stored: its agents are not named yet. */
struct rating {
    int64_t rater_no, at_ms;
    double score;
    const struct credit_view *credits;
    uint32_t count;
};
struct ratings {
    struct arena *arena;
    struct rating items[LIMIT_FANOUT + 1];
    uint32_t count;
    int64_t trace_no;
};

static enum qmn_code on_outcome(void *ctx, const void *record, struct err *err)
{
    struct ratings *s = ctx;
    const struct record_outcome *row = record;
    if (row->trace_no != s->trace_no)
        return err_set(err, QMN_E_GONE, "end of scan");
    if (s->count == ARRAY_LEN(s->items))
        return QMN_OK; /* more raters than are shown */
    struct rating *r = &s->items[s->count];
    *r = (struct rating){.rater_no = row->rater_no, .at_ms = row->at_ms, .score = row->score};
    TRY(credits_unpack(row->hops, s->arena, &r->credits, &r->count, err));
    s->count++;
    return QMN_OK;
}

static enum qmn_code read_ratings(struct engine *e, struct ratings *s, struct err *err)
{
    struct record_outcome after = {.trace_no = s->trace_no, .rater_no = 0};
    enum qmn_code code = e->store->ops->scan(e->store, RECORD_OUTCOME, &after, on_outcome, s, err);
    return code == QMN_E_GONE ? QMN_OK : code;
}

/* Read lock held. */
static bool fill_outcomes(struct engine *e, const struct ratings *s, struct trace_out *out)
{
    struct trace_outcome *items = arena_array(s->arena, struct trace_outcome, s->count + 1);
    for (uint32_t i = 0; items && i < s->count; i++) {
        const struct rating *r = &s->items[i];
        items[i] =
            (struct trace_outcome){.rater = name_of(e, r->rater_no, s->arena),
                                   .score = r->score,
                                   .at_ms = r->at_ms,
                                   .changes = engine_changes(e, r->credits, r->count, s->arena)};
        items[i].change_count = items[i].changes ? r->count : 0;
    }
    out->outcomes = items;
    out->outcome_count = items ? s->count : 0;
    return items != NULL;
}

static enum qmn_code no_trace(struct bytes id, struct err *err)
{
    return err_field(err, QMN_E_NOT_FOUND, "id", "there is no trace \"%.*s\"", BYTES_FMT(id));
}

/* Read lock held: whose traces, and up to which label. */
static enum qmn_code trace_whose(struct engine *e, struct call *c, int64_t *ret_tenant_no,
                                 uint32_t *ret_clearance)
{
    struct tenant *t;
    TRY(engine_tenant(e, c->caller, &t, &c->err));
    *ret_tenant_no = t->record->no;
    *ret_clearance = network_clearance(t, c->caller);
    return QMN_OK;
}

static enum qmn_code find(struct engine *e, struct call *c, struct bytes text, struct id *ret_id,
                          struct record_trace *ret, struct err *err)
{
    int64_t tenant_no = 0;
    uint32_t clearance = 0;
    pthread_rwlock_rdlock(&e->net.lock);
    enum qmn_code code = trace_whose(e, c, &tenant_no, &clearance);
    pthread_rwlock_unlock(&e->net.lock);
    TRY(code);
    if (!id_parse(text, PREFIX_TRACE, ret_id))
        return no_trace(text, err);
    TRY(engine_trace_kept(e, ret_id, "id", err));
    code = engine_find_trace(e, tenant_no, ret_id, c->arena, ret, err);
    if (code == QMN_OK && ret->sensitivity > (int64_t)clearance)
        code = QMN_E_NOT_FOUND; /* it names the agents that were thought fit for a secret */
    return code == QMN_E_NOT_FOUND ? no_trace(text, err) : code;
}

/* What the network knows of it now. */
static enum qmn_code explain(struct engine *e, const struct record_trace *row,
                             const struct decision *d, const struct ratings *ratings,
                             struct trace_out *out, struct err *err)
{
    struct arena *arena = ratings->arena;
    struct trace_delivery *deliveries = NULL;
    bool ended = false;
    pthread_rwlock_rdlock(&e->net.lock);
    out->agent_id = name_of(e, row->agent_no, arena);
    out->hops = engine_hops(e, d, arena, &out->hop_count);
    bool ok = out->hops && fill_candidates(e, d, arena, out) &&
              fill_contributions(e, d, arena, out) && fill_outcomes(e, ratings, out) &&
              fill_deliveries(e, row, d, arena, &deliveries, &ended);
    pthread_rwlock_unlock(&e->net.lock);
    if (!ok)
        return err_nomem(err);
    if (ended)
        read_ends(e, row->no, d, deliveries);
    out->deliveries = deliveries;
    out->delivery_count = d->head.route_count;
    return QMN_OK;
}

/* The store is read without the lock, which somebody may be waiting for: the trace and its ratings
 * before the names are looked up, the ends of deliveries after, since what is alive changes. */
static enum qmn_code trace_read(struct engine *e, struct call *c, struct bytes text,
                                struct trace_out *out)
{
    struct err *err = &c->err;
    struct arena *arena = c->arena;
    struct record_trace row;
    struct decision d;
    struct id id;
    TRY(find(e, c, text, &id, &row, err));
    TRY(decision_unpack(row.decision, arena, &d, err));
    struct ratings *ratings = arena_new(arena, struct ratings);
    if (!ratings)
        return err_nomem(err);
    *ratings = (struct ratings){.arena = arena, .trace_no = row.no};
    TRY(read_ratings(e, ratings, err));
    *out = (struct trace_out){.trace_id = engine_id_text(arena, &id, PREFIX_TRACE),
                              .nutrient_id =
                                  row.kind == TRACE_BROADCAST
                                      ? engine_nutrient_name(arena, &id, engine_client_id(&row))
                                      : bytes_of("", 0),
                              .task_id = row.task_id,
                              .kind = (uint32_t)row.kind,
                              .created_ms = row.created_ms,
                              .expires_ms = row.expires_ms,
                              .epsilon = d.head.epsilon,
                              .eligible_total = d.head.eligible_total};
    return explain(e, &row, &d, ratings, out, err);
}

void engine_trace(struct engine *e, struct call *c, struct bytes trace_id, struct trace_out *out)
{
    call_finish(c, trace_read(e, c, trace_id, out));
}
