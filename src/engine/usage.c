/* SPDX-License-Identifier: MIT
 *
 * Plans, their quotas, and what is used of them.  Quotas are per Unix hour, but agents, which are
 * counted as they stand, and bytes, which count as long as they are stored. */
#include "engine/control_priv.h"

enum { HOUR_MS = 3600 * 1000, PRO_TIMES = 10 };

#define UNLIMITED UINT64_MAX

/* Of plan free; 0: unlimited in every plan. */
static const uint64_t free_quota[USAGE_BYTES + 1] = {
    [USAGE_NUTRIENTS] = 10000,
    [USAGE_COLLECTS] = 5000,
    [USAGE_SEARCHES] = 20000,
    [USAGE_BYTES] = 10000000000,
};

enum { FREE_AGENTS = 100 };

static uint64_t by_plan(uint32_t plan, uint64_t free_value)
{
    if (plan == PLAN_ENTERPRISE || !free_value)
        return UNLIMITED;
    return plan == PLAN_PRO ? free_value * PRO_TIMES : free_value;
}

uint64_t plan_quota(uint32_t plan, enum usage_kind kind)
{
    return by_plan(plan, free_quota[kind]);
}

uint64_t plan_agent_quota(uint32_t plan)
{
    return by_plan(plan, FREE_AGENTS);
}

_Atomic uint64_t *usage_counter(struct usage *u, enum usage_kind kind)
{
    switch (kind) {
    case USAGE_NUTRIENTS:
        return &u->nutrients;
    case USAGE_COLLECTS:
        return &u->collects;
    case USAGE_SEARCHES:
        return &u->searches;
    case USAGE_OUTCOMES:
        return &u->outcomes;
    case USAGE_STORES:
        return &u->stores;
    default:
        return &u->bytes;
    }
}

static uint32_t seconds_to_next_hour(int64_t now_ms)
{
    return (uint32_t)((HOUR_MS - now_ms % HOUR_MS + 999) / 1000);
}

enum qmn_code usage_count_read(struct engine *e, struct tenant *t, enum usage_kind kind,
                               struct err *err)
{
    _Atomic uint64_t *used = usage_counter(&t->usage, kind);
    uint64_t limit = plan_quota((uint32_t)t->record->plan, kind);
    uint64_t before = atomic_fetch_add_explicit(used, 1, memory_order_relaxed);
    if (before >= limit && t->usage.hour == engine_now(e) / HOUR_MS) {
        atomic_fetch_sub_explicit(used, 1, memory_order_relaxed);
        return err_retry(err, QMN_E_QUOTA, seconds_to_next_hour(engine_now(e)),
                         "the hourly quota of plan \"%s\" is %llu, and all of it is used",
                         label_name(plan_tier_names, (uint32_t)t->record->plan),
                         (unsigned long long)limit);
    }
    atomic_fetch_add_explicit(usage_counter(&t->usage_total, kind), 1, memory_order_relaxed);
    atomic_store_explicit(&t->usage_dirty, true, memory_order_relaxed);
    return QMN_OK;
}

/* ---- the report ---- */

static struct usage_counts counts_of(const struct tenant *t, bool this_hour)
{
    const struct usage *u = &t->usage;
    struct usage_counts c = {.agents = t->active_agents, .bytes = t->stored_bytes};
    if (!this_hour)
        return c;
    c.nutrients = u->nutrients;
    c.collects = u->collects;
    c.searches = u->searches;
    c.outcomes = u->outcomes;
    c.stores = u->stores;
    return c;
}

static struct usage_counts quota_of(uint32_t plan)
{
    return (struct usage_counts){.nutrients = plan_quota(plan, USAGE_NUTRIENTS),
                                 .collects = plan_quota(plan, USAGE_COLLECTS),
                                 .searches = plan_quota(plan, USAGE_SEARCHES),
                                 .outcomes = plan_quota(plan, USAGE_OUTCOMES),
                                 .stores = plan_quota(plan, USAGE_STORES),
                                 .agents = plan_agent_quota(plan),
                                 .bytes = plan_quota(plan, USAGE_BYTES)};
}

static uint64_t left(uint64_t quota, uint64_t used)
{
    if (quota == UNLIMITED)
        return UNLIMITED;
    return quota > used ? quota - used : 0;
}

static enum qmn_code report(struct engine *e, struct call *c, struct bytes id,
                            struct usage_out *out)
{
    struct tenant *t;
    int64_t now = engine_now(e), hour = now / HOUR_MS;
    TRY(control_tenant(e, c->caller, id, &t, &c->err));
    *out = (struct usage_out){
        .tenant_id = arena_bytes(c->arena, t->record->id),
        .plan = (uint32_t)t->record->plan,
        .current = counts_of(t, t->usage.hour == hour),
        .quota = quota_of((uint32_t)t->record->plan),
        .nutrients_total = t->usage_total.nutrients,
        .collects_total = t->usage_total.collects,
        .resets_ms = (hour + 1) * HOUR_MS,
    };
    const struct usage_counts *q = &out->quota, *u = &out->current;
    out->remaining = (struct usage_counts){.nutrients = left(q->nutrients, u->nutrients),
                                           .collects = left(q->collects, u->collects),
                                           .searches = left(q->searches, u->searches),
                                           .outcomes = left(q->outcomes, u->outcomes),
                                           .stores = left(q->stores, u->stores),
                                           .agents = left(q->agents, u->agents),
                                           .bytes = left(q->bytes, u->bytes)};
    return out->tenant_id.ptr ? QMN_OK : err_nomem(&c->err);
}

void engine_usage(struct engine *e, struct call *c, struct bytes id, struct usage_out *out)
{
    pthread_rwlock_rdlock(&e->net.lock);
    enum qmn_code code = report(e, c, id, out);
    pthread_rwlock_unlock(&e->net.lock);
    call_finish(c, code);
}
