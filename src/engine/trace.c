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

enum qmn_code engine_find_trace(struct engine *e, const struct tenant *t, const struct id *id,
                                struct arena *arena, struct record_trace *ret, struct err *err)
{
    struct record_trace probe = {.id = id_bytes(id)};
    TRY(e->store->ops->find(e->store, RECORD_TRACE, record_field(RECORD_TRACE, "id"), &probe, arena,
                            ret, err));
    if (ret->tenant_no != t->record->no)
        return err_set(err, QMN_E_NOT_FOUND, "not found");
    return QMN_OK;
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

static const char *delivery_text(const struct delivery *d, int64_t now)
{
    if (d->state == DELIVERY_ACKED)
        return "acked";
    if (d->state == DELIVERY_REJECTED)
        return "rejected";
    return d->leased && d->ready_ms > now ? "leased" : "pending";
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

static bool fill_deliveries(struct engine *e, const struct record_trace *trace,
                            const struct decision *d, struct arena *arena, struct trace_out *out)
{
    struct trace_delivery *v = arena_array(arena, struct trace_delivery, d->head.route_count + 1);
    uint64_t *at = u64map_get(&e->net.live_by_no, (uint64_t)trace->no);
    struct nutrient *live = at ? (struct nutrient *)(uintptr_t)*at : NULL;
    int64_t now = engine_now(e);
    pthread_mutex_lock(&e->net.inbox_lock); /* pulls lease under the read lock too */
    for (uint32_t i = 0; v && i < d->head.route_count; i++) {
        const struct agent *a = network_agent_no(&e->net, d->routes[i].agent_no);
        const struct delivery *x = live && a ? nutrient_delivery(live, a) : NULL;
        v[i] = (struct trace_delivery){.agent_id = name_of(e, d->routes[i].agent_no, arena),
                                       .state = x ? delivery_text(x, now) : "expired"};
    }
    pthread_mutex_unlock(&e->net.inbox_lock);
    if (v && !live && d->head.route_count) {
        struct state_scan scan = {.d = d, .out = v, .no = trace->no};
        struct record_delivery after = {.nutrient_no = trace->no, .agent_no = 0};
        (void)e->store->ops->scan(e->store, RECORD_DELIVERY, &after, on_delivery, &scan,
                                  &(struct err){0});
    }
    out->deliveries = v;
    out->delivery_count = v ? d->head.route_count : 0;
    return v != NULL;
}

struct outcome_scan {
    struct engine *e;
    struct arena *arena;
    struct trace_outcome *items;
    uint32_t count, cap;
    int64_t trace_no;
};

static enum qmn_code on_outcome(void *ctx, const void *record, struct err *err)
{
    struct outcome_scan *s = ctx;
    const struct record_outcome *row = record;
    const struct credit_view *credits;
    uint32_t count;
    if (row->trace_no != s->trace_no)
        return err_set(err, QMN_E_GONE, "end of scan");
    if (s->count == s->cap)
        return QMN_OK; /* more raters than are shown */
    TRY(credits_unpack(row->hops, s->arena, &credits, &count, err));
    struct trace_outcome *o = &s->items[s->count++];
    *o = (struct trace_outcome){.rater = name_of(s->e, row->rater_no, s->arena),
                                .score = row->score,
                                .at_ms = row->at_ms,
                                .changes = engine_changes(s->e, credits, count, s->arena)};
    o->change_count = o->changes ? count : 0;
    return QMN_OK;
}

static enum qmn_code fill_outcomes(struct engine *e, int64_t trace_no, struct arena *arena,
                                   struct trace_out *out, struct err *err)
{
    struct outcome_scan scan = {
        .e = e, .arena = arena, .cap = LIMIT_FANOUT + 1, .trace_no = trace_no};
    struct record_outcome after = {.trace_no = trace_no, .rater_no = 0};
    scan.items = arena_array(arena, struct trace_outcome, scan.cap);
    if (!scan.items)
        return err_nomem(err);
    enum qmn_code code =
        e->store->ops->scan(e->store, RECORD_OUTCOME, &after, on_outcome, &scan, err);
    out->outcomes = scan.items;
    out->outcome_count = scan.count;
    return code == QMN_E_GONE ? QMN_OK : code;
}

static enum qmn_code trace_read(struct engine *e, struct call *c, struct bytes text,
                                struct trace_out *out)
{
    struct err *err = &c->err;
    struct arena *arena = c->arena;
    struct tenant *t;
    struct record_trace row;
    struct decision d;
    struct id id;
    TRY(engine_tenant(e, c->caller, &t, err));
    enum qmn_code code = id_parse(text, PREFIX_TRACE, &id)
                             ? engine_find_trace(e, t, &id, arena, &row, err)
                             : QMN_E_NOT_FOUND;
    if (code == QMN_OK && row.sensitivity > (int64_t)network_clearance(t, c->caller))
        code = QMN_E_NOT_FOUND; /* it names the agents that were thought fit for a secret */
    if (code == QMN_E_NOT_FOUND)
        return err_field(err, QMN_E_NOT_FOUND, "id", "there is no trace \"%.*s\"", BYTES_FMT(text));
    TRY(code);
    TRY(decision_unpack(row.decision, arena, &d, err));
    *out = (struct trace_out){.trace_id = engine_id_text(arena, &id, PREFIX_TRACE),
                              .nutrient_id = row.kind == TRACE_BROADCAST
                                                 ? engine_nutrient_name(arena, &id, row.client_id)
                                                 : bytes_of("", 0),
                              .agent_id = name_of(e, row.agent_no, arena),
                              .task_id = row.task_id,
                              .kind = (uint32_t)row.kind,
                              .created_ms = row.created_ms,
                              .expires_ms = row.expires_ms,
                              .epsilon = d.head.epsilon,
                              .eligible_total = d.head.eligible_total};
    out->hops = engine_hops(e, &d, arena, &out->hop_count);
    if (!out->hops || !fill_candidates(e, &d, arena, out) ||
        !fill_contributions(e, &d, arena, out) || !fill_deliveries(e, &row, &d, arena, out))
        return err_nomem(err);
    return fill_outcomes(e, row.no, arena, out, err);
}

void engine_trace(struct engine *e, struct call *c, struct bytes trace_id, struct trace_out *out)
{
    pthread_rwlock_rdlock(&e->net.lock);
    enum qmn_code code = trace_read(e, c, trace_id, out);
    pthread_rwlock_unlock(&e->net.lock);
    call_finish(c, code);
}
