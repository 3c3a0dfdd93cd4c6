/* SPDX-License-Identifier: MIT
 *
 * Scores every agent of the tenant and chooses.
 *
 * All agents are scored by an int8 pass, several nutrients at once when they came together; what
 * depends on the pair (edge, demand, capabilities) touches only the few agents that have an edge or
 * share a tag.  The best of them, with some to spare, are scored again exactly, and only those
 * enter the pool.  So a decision costs one pass over the codes and little else.
 *
 * Of a large tenant only those are scored that its index, an edge or a shared tag brings forward
 * (decide_index.c), and exploration draws from a sample (route/select.h). */
#include "engine/decider_priv.h"
#include "route/demand.h"
#include "route/propagate.h"
#include "route/select.h"

/* Fills the pool from an exact second look at the roughly best, and counts in it how many agents
 * are eligible at all.  False: out of memory. */
static bool fill_pool(struct decider *d, struct route_pool *pool)
{
    uint32_t keep = decider_rescored(d), eligible = decider_count(d);
    uint64_t *room = arena_raw(d->arena, uint64_t, keep * TOPK_SELECT_ROOM);
    uint32_t *rough = arena_raw(d->arena, uint32_t, keep);
    struct topk_item *pool_items =
        arena_array(d->arena, struct topk_item, route_pool_size(d->in->top_k));
    if (!room || !rough || !pool_items)
        return false;
    route_pool_init(pool, pool_items, d->in->top_k, d->min_score);
    size_t count = topk_select(d->s.score, d->s.n, decider_floor(d), keep, room, rough);
    for (size_t i = 0; i < count; i++) {
        if (i + 1 < count && d->t->profiles.dim)
            flat_prefetch(&d->t->profiles, rough[i + 1]);
        struct score_parts *parts = &d->s.parts[i];
        *parts = decider_exact(d, rough[i], d->in->source);
        d->s.place[rough[i]] = (uint8_t)i;
        eligible -= !route_pool_offer(pool, rough[i], parts);
    }
    pool->eligible_total = eligible;
    return true;
}

/* Scores everybody for it.  False: out of memory. */
static bool score_pool(struct decider *d, struct route_pool *pool)
{
    decider_score(d);
    if (!fill_pool(d, pool))
        return false;
    if (pool->best.len == route_pool_size(d->in->top_k))
        return true;
    (void)decider_settle(d); /* there is room for whom the first pass misjudged */
    return fill_pool(d, pool);
}

/* The same of a large tenant, from those it has gathered. */
static bool gather_pool(struct decider *d, struct route_pool *pool)
{
    struct topk_item *pool_items =
        arena_array(d->arena, struct topk_item, route_pool_size(d->in->top_k));
    if (!pool_items || !decider_gather(d))
        return false;
    route_pool_init(pool, pool_items, d->in->top_k, d->min_score);
    size_t count = topk_sort(&d->best);
    for (size_t i = 0; i < count; i++) {
        uint32_t slot = d->best.items[i].id;
        if (i + 1 < count)
            flat_prefetch(&d->t->profiles, d->best.items[i + 1].id);
        d->s.parts[i] = decider_exact(d, slot, d->in->source);
        d->s.place[slot] = (uint8_t)i;
        (void)route_pool_offer(pool, slot, &d->s.parts[i]);
    }
    return true;
}

/* Of one of the pool, as fill_pool computed them. */
static const struct score_parts *pool_parts(const struct decider *d, const struct topk_item *item)
{
    return &d->s.parts[d->s.place[item->id]];
}

static uint32_t neighbours(void *ctx, uint32_t forwarder, const struct route_neighbour **ret)
{
    struct decider *d = ctx;
    const struct agent *f = d->t->agents[forwarder];
    struct route_neighbour *out = arena_array(d->arena, struct route_neighbour, f->edge_count + 1);
    uint32_t n = 0;
    for (uint32_t i = 0; out && i < f->edge_count; i++) {
        uint32_t slot = f->edges[i].dst;
        /* the int8 score, where there is one, rules most of them out before the exact one is
         * computed */
        if (!decider_may_receive(d, slot) || (!d->indexed && d->s.cosine[slot] <= 0))
            continue;
        out[n++] = (struct route_neighbour){.agent = slot, .parts = decider_exact(d, slot, f)};
    }
    *ret = out;
    return n;
}

/* Who was drawn from outside the pool; UINT32_MAX: nobody. */
static uint32_t outsider(const struct decider *d, const struct topk_item *pool, uint32_t pool_len,
                         uint32_t rank)
{
    return d->indexed ? d->sample[rank] : decider_outsider(d, pool, pool_len, rank);
}

static void add_route(struct decider *d, struct route_view *ret, const struct route_hop *hop,
                      float propensity, bool explored)
{
    const struct score_parts *p = &hop->parts;
    *ret = (struct route_view){
        .agent_no = d->t->agent_nos[hop->agent],
        .from_no = d->t->agent_nos[hop->from],
        .similarity = p->relevance,
        .weight = p->weight,
        .demand = p->demand,
        .score = p->score,
        .propensity = propensity,
        .hop = (uint8_t)hop->hop,
        .capabilities = (uint8_t)(p->capabilities > UINT8_MAX ? UINT8_MAX : p->capabilities),
        .explored = explored};
}

/* The chosen of the first hop, then those they pass it on to. */
static enum qmn_code fill_routes(struct decider *d, const struct topk_item *pool, uint32_t pool_len,
                                 const struct selection *sel, struct decision *ret, struct err *err)
{
    struct route_hop hops[LIMIT_FANOUT] QMN_UNINIT;
    float propensity[LIMIT_TOP_K] QMN_UNINIT;
    uint32_t first = 0, explored_at = UINT32_MAX;
    for (uint32_t i = 0; i < sel->count; i++) {
        bool outside = sel->chosen[i] == SELECT_OUTSIDE;
        uint32_t slot =
            outside ? outsider(d, pool, pool_len, sel->outside_rank) : pool[sel->chosen[i]].id;
        if (slot == UINT32_MAX || (outside && !decider_eligible(d, slot)))
            continue; /* rounding went further than six deviations: nobody is explored */
        propensity[first] =
            (float)(outside ? sel->outside_propensity : sel->propensity[sel->chosen[i]]);
        if (sel->explored && i + 1 == sel->count)
            explored_at = first;
        hops[first++] =
            (struct route_hop){.agent = slot,
                               .from = d->in->source->slot,
                               .hop = 1,
                               .parts = outside ? decider_exact(d, slot, d->in->source)
                                                : *pool_parts(d, &pool[sel->chosen[i]])};
    }
    struct propagate_options options = {.source = d->in->source->slot,
                                        .top_k = d->in->top_k,
                                        .max_hops = d->in->max_hops,
                                        .min_score = d->min_score};
    uint32_t n =
        d->in->max_hops > 1 ? route_propagate(hops, first, &options, neighbours, d) : first;
    struct route_view *routes = arena_array(d->arena, struct route_view, n + 1);
    if (!routes)
        return err_nomem(err);
    for (uint32_t i = 0; i < n; i++)
        add_route(d, &routes[i], &hops[i], i < first ? propensity[i] : 1, i == explored_at);
    ret->routes = routes;
    ret->head.route_count = n;
    return QMN_OK;
}

static enum qmn_code fill_candidates(struct decider *d, const struct topk_item *pool,
                                     uint32_t pool_len, const struct selection *sel,
                                     struct decision *ret, struct err *err)
{
    uint32_t n = pool_len < LIMIT_CANDIDATES ? pool_len : LIMIT_CANDIDATES;
    struct candidate_view *out = arena_array(d->arena, struct candidate_view, n + 1);
    if (!out)
        return err_nomem(err);
    for (uint32_t i = 0; i < n; i++) {
        const struct score_parts *p = pool_parts(d, &pool[i]);
        out[i] = (struct candidate_view){
            .agent_no = d->t->agent_nos[pool[i].id],
            .similarity = p->relevance,
            .weight = p->weight,
            .demand = p->demand,
            .score = p->score,
            .propensity = (float)sel->propensity[i],
            .capabilities = (uint8_t)(p->capabilities > UINT8_MAX ? UINT8_MAX : p->capabilities)};
        for (uint32_t k = 0; k < sel->count; k++)
            out[i].chosen |= sel->chosen[k] == i;
    }
    ret->candidates = out;
    ret->head.candidate_count = n;
    return QMN_OK;
}

/* The pool as select sees it. */
struct choice {
    struct decider *d;
    uint32_t slots[ROUTE_POOL_MAX], count;
    bool compared; /* all with the best */
    float with_best[ROUTE_POOL_MAX];
};

/* route_select's similarity: all of them are asked about the best, which goes first, but only a few
 * about each that follows. */
static float likeness(void *ctx, uint32_t candidate, uint32_t chosen)
{
    struct choice *c = ctx;
    const struct flat *profiles = &c->d->t->profiles;
    float cosine;
    if (!profiles->dim)
        return 0;
    if (chosen) {
        flat_between(profiles, c->slots[chosen], &c->slots[candidate], 1, &cosine);
        return cosine;
    }
    if (!c->compared)
        flat_between(profiles, c->slots[0], c->slots, c->count, c->with_best);
    c->compared = true;
    return c->with_best[candidate];
}

/* route_select's recount. */
static uint32_t recount(void *ctx)
{
    struct choice *c = ctx;
    return decider_settle(c->d);
}

/* route_select's sample. */
static uint32_t sample(void *ctx, const uint32_t *chosen, uint32_t count, struct rng *rng,
                       double *ret_p)
{
    struct choice *c = ctx;
    uint32_t slots[LIMIT_TOP_K];
    for (uint32_t i = 0; i < count; i++)
        slots[i] = c->slots[chosen[i]];
    return decider_sample(c->d, slots, count, rng, ret_p);
}

/* Whom a sample brought may be one of the pool. */
static void find_in_pool(const struct choice *c, struct selection *sel)
{
    uint32_t *last = &sel->chosen[sel->count - 1];
    for (uint32_t i = 0; i < c->count; i++)
        if (c->slots[i] == c->d->sample[sel->outside_rank]) {
            *last = i;
            return;
        }
}

static void choose(struct decider *d, const struct topk_item *pool, uint32_t pool_len,
                   uint32_t eligible, struct selection *sel)
{
    float scores[ROUTE_POOL_MAX] QMN_UNINIT;
    struct choice choice QMN_UNINIT;
    struct rng rng;
    choice.d = d;
    choice.count = pool_len;
    choice.compared = false;
    rng_seed(&rng, atomic_fetch_add_explicit(&d->e->seed, 1, memory_order_relaxed));
    for (uint32_t i = 0; i < pool_len; i++) {
        scores[i] = pool[i].score;
        choice.slots[i] = pool[i].id;
    }
    struct select_options options = {.top_k = d->in->top_k,
                                     .eligible_total = eligible,
                                     .diversify = d->in->diversify,
                                     .epsilon = d->e->epsilon,
                                     .similarity = likeness,
                                     .recount = recount,
                                     .sample = d->indexed ? sample : NULL,
                                     .ctx = &choice};
    route_select(scores, pool_len, &options, &rng, sel);
    if (d->indexed && sel->explored)
        find_in_pool(&choice, sel);
}

enum qmn_code engine_decide(struct engine *e, struct tenant *t, const struct decide_in *in,
                            struct arena *arena, struct decision *ret, struct err *err)
{
    struct decider d = {.e = e,
                        .t = t,
                        .in = in,
                        .arena = arena,
                        .hints = tags_distinct(in->hints, arena),
                        .compare = TAGS_COMPARED_MAX,
                        .min_score = in->min_score > 0 ? in->min_score : 0};
    struct selection *sel = arena_new(arena, struct selection);
    struct route_pool pool;
    *ret = (struct decision){.head = {.epsilon = (float)e->epsilon, .top_k = in->top_k}};
    if (!sel || !d.hints.ptr || !decider_init(&d))
        return err_nomem(err);
    if (!(d.indexed ? gather_pool(&d, &pool) : score_pool(&d, &pool)))
        return err_nomem(err);
    uint32_t n = route_pool_finish(&pool);
    if (!n)
        return QMN_OK;
    if (d.indexed) /* who had to stay outside is not counted */
        pool.eligible_total = n + (n == route_pool_size(in->top_k));
    choose(&d, pool.best.items, n, pool.eligible_total, sel);
    ret->head.eligible_total = sel->eligible_total;
    ret->head.outside_propensity = (float)sel->outside_propensity;
    TRY(fill_routes(&d, pool.best.items, n, sel, ret, err));
    return fill_candidates(&d, pool.best.items, n, sel, ret, err);
}
