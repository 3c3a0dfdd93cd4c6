/* SPDX-License-Identifier: MIT
 *
 * Scores every agent of the tenant and chooses.
 *
 * All agents are scored by an int8 pass, several nutrients at once when they came together; what
 * depends on the pair (edge, demand, capabilities) touches only the few agents that have an edge or
 * share a tag.  The best of them, with some to spare, are scored again exactly, and only those
 * enter the pool.  So a decision costs one pass over the codes and little else. */
#include "engine/decide_priv.h"

#include <float.h>
#include <math.h>

#include "engine/recent_priv.h"
#include "route/demand.h"
#include "route/plasticity.h"
#include "route/propagate.h"
#include "route/select.h"

#define DAY_MS       86400000.0
#define NOT_ELIGIBLE (-1.0f)
/* An approximate cosine of exactly 0 is taken at its word where rounding is at most this.  A guess,
 * above the .002 of embeddings. */
#define NOTHING_SHARED 0.005f

enum {
    LEVELS = 8,        /* ratios whose agents gain together; a guess, most hints know fewer */
    RESCORE_SPARE = 8, /* above the pool: int8 may misplace neighbours by a few ranks */
};

/* Per agent slot, all in the arena. */
struct scratch {
    uint32_t n;
    float *cosine;
    float *demand;
    uint64_t *covered;                /* bits: agents the hint at hand has matched */
    uint64_t *levels;                 /* bits: LEVELS of them, agents with a tag of one ratio ... */
    struct kernels_term gain[LEVELS]; /* ... and what they gain by it */
    uint32_t level_count;
    uint32_t words;
    uint8_t *capable;         /* matching capabilities */
    const struct tag **named; /* the hints that are tags */
    uint32_t named_count;
    bool *exact; /* cosine is exact, not from the int8 pass */
    float *score;
    uint8_t *place;            /* of an agent that entered the pool: its parts' ... */
    struct score_parts *parts; /* ... in here */
};

struct decider {
    struct engine *e;
    struct tenant *t;
    const struct decide_in *in;
    struct arena *arena;
    struct scratch s;
    float min_score;
    struct bytes hints; /* distinct */
    uint32_t compare;   /* how many more tags it may compare with hints */
};

double edge_weight_now(const struct agent *src, uint32_t dst, int64_t now_ms)
{
    const struct edge *x = agent_edge(src, dst);
    return x ? edge_idle(x->weight, (double)(now_ms - x->updated_ms) / DAY_MS) : EDGE_PRIOR;
}

static bool may_receive(const struct decider *d, uint32_t slot)
{
    return d->t->reach[slot] >= d->in->sensitivity && slot != d->in->source->slot;
}

/* How many the first pass hands over to the exact one. */
static uint32_t rescored(const struct decider *d)
{
    return route_pool_size(d->in->top_k) + RESCORE_SPARE;
}

_Static_assert(ROUTE_POOL_MAX + RESCORE_SPARE <= UINT8_MAX, "places are bytes");

static bool scratch_init(struct decider *d)
{
    struct scratch *s = &d->s;
    s->n = d->t->agent_count;
    s->cosine = d->in->rough.cosine;
    s->words = s->n / 64 + 1;
    s->demand = arena_array(d->arena, float, (size_t)64 * s->words);
    s->covered = arena_raw(d->arena, uint64_t, s->words);
    s->levels = arena_raw(d->arena, uint64_t, (size_t)LEVELS * s->words);
    s->named = arena_raw(d->arena, const struct tag *, textlist_count(d->hints) + 1);
    s->score = arena_raw(d->arena, float, s->n + 1);
    s->place = arena_raw(d->arena, uint8_t, s->n + 1);
    s->parts = arena_raw(d->arena, struct score_parts, rescored(d));
    s->capable = arena_calloc(d->arena, s->n + 1, 1);
    s->exact = arena_calloc(d->arena, s->n + 1, 1);
    return s->cosine && s->demand && s->covered && s->levels && s->named && s->score &&
           s->capable && s->exact && s->place && s->parts;
}

/* Adds the agents that worked on a task with this tag since then, one by one. */
static void join_list(uint64_t *level, const struct postings *p, int64_t since_ms)
{
    for (uint32_t i = 0; i < p->count; i++)
        if (p->items[i].last_ms >= since_ms)
            level[p->items[i].agent / 64] |= UINT64_C(1) << (p->items[i].agent % 64);
}

/* Adds the agents that worked on a task with one of these tags since then.  The sets are asked for
 * as soon as they are known, and joined together: the processor waits for them all at once. */
static void join_tags(uint64_t *level, uint32_t words, const struct tags *tags,
                      const struct tag_match *matches, uint32_t count, int64_t since_ms)
{
    struct kernels_set sets[TAGS_MATCHES_MAX] QMN_UNINIT;
    uint32_t n = 0;
    for (uint32_t m = 0; m < count; m++) {
        const struct tag_set *set = &tags->recent[matches[m].tag];
        if (!set->bits || set->oldest_ms < since_ms) {
            join_list(level, &tags->items[matches[m].tag]->recent, since_ms);
            continue;
        }
        __builtin_prefetch(set->bits);
        __builtin_prefetch(set->bits + 8);
        sets[n++] = (struct kernels_set){set->bits, set->words};
    }
    math_kernels()->join_sets(level, words, sets, n);
}

/* What has been put off. */
static void settle_levels(struct scratch *s)
{
    math_kernels()->add_where(s->demand, s->words, s->gain, s->level_count);
    s->level_count = 0;
}

/* The agents of this level that no better one has covered are to gain their share. */
static void put_level(struct scratch *s, uint64_t *level, float gain)
{
    for (uint32_t w = 0; w < s->words; w++) {
        level[w] &= ~s->covered[w];
        s->covered[w] |= level[w];
    }
    s->gain[s->level_count++] = (struct kernels_term){level, gain};
    if (s->level_count == LEVELS)
        settle_levels(s);
}

/* Similar tags come best first, and the first that an agent has is its best.  Dozens of them share
 * a ratio: their sets are joined before anybody gains. */
static void apply_similar(struct decider *d, const struct tag_match *matches, uint32_t count,
                          float share)
{
    struct scratch *s = &d->s;
    memset(s->covered, 0, s->words * sizeof *s->covered);
    for (uint32_t m = 0; m < count;) {
        float ratio = matches[m].ratio;
        uint64_t *level = s->levels + (size_t)s->level_count * s->words;
        uint32_t first = m;
        while (m < count && matches[m].ratio == ratio)
            m++;
        memset(level, 0, s->words * sizeof *level);
        join_tags(level, s->words, &d->t->tags, matches + first, m - first,
                  d->in->now_ms - DEMAND_WINDOW_MS);
        put_level(s, level, ratio * share);
    }
}

/* One hint's part in demand and capabilities. */
static void apply_hint(struct decider *d, struct bytes hint, float share)
{
    struct scratch *s = &d->s;
    const struct tag *same = tags_find(&d->t->tags, hint);
    if (same)
        s->named[s->named_count++] = same;
    for (uint32_t i = 0; same && i < same->capable.count; i++) {
        uint8_t *capable = &s->capable[same->capable.items[i].agent];
        *capable = (uint8_t)(*capable + (*capable < UINT8_MAX));
    }

    const struct tag_match *matches;
    uint32_t count = tags_matches(&d->t->tags, hint, &d->compare, d->arena, &matches);
    apply_similar(d, matches, count, share);
}

static void apply_hints(struct decider *d)
{
    size_t count = textlist_count(d->hints);
    struct bytes rest = d->hints, hint;
    while (count && textlist_next(&rest, &hint))
        apply_hint(d, hint, 1.0f / (float)count);
    settle_levels(&d->s);
}

bool engine_cosines(const struct tenant *t, const float *const *units, struct arena *const *arenas,
                    uint32_t count, struct rough *ret)
{
    struct flat_query queries[FLAT_TILE] = {{0}};
    float *cosines[FLAT_TILE] = {0};
    for (uint32_t i = 0; i < count; i++) {
        cosines[i] = t->profiles.dim ? arena_raw(arenas[i], float, t->agent_count + 1)
                                     : arena_array(arenas[i], float, t->agent_count + 1);
        if (!cosines[i] ||
            (t->profiles.dim && !flat_query_init(&queries[i], &t->profiles, units[i], arenas[i])))
            return false;
    }
    if (t->profiles.dim)
        flat_scores(&t->profiles, queries, count, cosines);
    for (uint32_t i = 0; i < count; i++) {
        ret[i] = (struct rough){.cosine = cosines[i], .version = t->profiles.version};
        if (!t->profiles.dim)
            continue;
        ret[i].query = queries[i];
    }
    return true;
}

/* What their capabilities are worth to those who have some. */
static void add_capabilities(const struct decider *d)
{
    const struct scratch *s = &d->s;
    float worth[SCORE_CAPABILITY_MAX + 1] = {0};
    for (uint32_t k = 0; k < SCORE_CAPABILITY_MAX; k++)
        worth[k + 1] = worth[k] + (float)SCORE_CAPABILITY;
    for (uint32_t h = 0; h < s->named_count; h++) {
        const struct postings *p = &s->named[h]->capable;
        for (uint32_t i = 0; i < p->count; i++) {
            uint32_t a = p->items[i].agent, n = s->capable[a];
            if (s->score[a] != NOT_ELIGIBLE) /* computed anew: several hints may name the agent */
                s->score[a] = (s->cosine[a] > 0 ? s->cosine[a] : 0) * (1 + s->demand[a]) * 0.5f +
                              worth[n < SCORE_CAPABILITY_MAX ? n : SCORE_CAPABILITY_MAX];
        }
    }
}

/* route_score() with the prior for a weight, of every agent that the label permits. */
static void score_plain(const struct decider *d)
{
    const struct scratch *s = &d->s;
    math_kernels()->score_where(s->cosine, s->demand, d->t->reach, (uint8_t)d->in->sensitivity,
                                s->n, s->score);
    add_capabilities(d);
    s->score[d->in->source->slot] = NOT_ELIGIBLE;
}

static void score_all(struct decider *d)
{
    struct scratch *s = &d->s;
    const struct agent *source = d->in->source;
    apply_hints(d);
    score_plain(d);
    for (uint32_t i = 0; i < source->edge_count; i++) {
        const struct edge *x = &source->edges[i];
        if (s->score[x->dst] <= 0)
            continue;
        double w = edge_idle(x->weight, (double)(d->in->now_ms - x->updated_ms) / DAY_MS);
        s->score[x->dst] =
            route_score(s->cosine[x->dst], w, s->demand[x->dst], s->capable[x->dst]).score;
    }
}

/* The least score that counts: any at all, or the caller's threshold. */
static float floor_of(const struct decider *d)
{
    return d->min_score > 0 ? d->min_score : FLT_MIN;
}

/* Eligible by the int8 pass, or by what settle_eligible has made of it. */
static bool roughly_eligible(const struct decider *d, uint32_t slot)
{
    return d->s.score[slot] >= floor_of(d);
}

/* Of the slots [first, end). */
static uint32_t count_between(const struct decider *d, uint32_t first, uint32_t end)
{
    const float *score = d->s.score;
    float floor = floor_of(d);
    uint32_t eligible = 0;
    for (uint32_t i = first; i < end; i++)
        eligible += score[i] >= floor;
    return eligible;
}

static uint32_t count_eligible(const struct decider *d)
{
    return count_between(d, 0, d->s.n);
}

static struct score_parts exact_parts(struct decider *d, uint32_t slot, const struct agent *from)
{
    struct scratch *s = &d->s;
    if (!s->exact[slot]) {
        s->cosine[slot] =
            d->t->profiles.dim ? flat_exact(&d->t->profiles, slot, &d->in->rough.query) : 0;
        s->exact[slot] = true;
    }
    return route_score(s->cosine[slot], edge_weight_now(from, slot, d->in->now_ms), s->demand[slot],
                       s->capable[slot]);
}

/* Fills the pool from an exact second look at the roughly best, and counts in it how many agents
 * are eligible at all.  False: out of memory. */
static bool fill_pool(struct decider *d, struct route_pool *pool)
{
    uint32_t keep = rescored(d), eligible = count_eligible(d);
    uint64_t *room = arena_raw(d->arena, uint64_t, keep * TOPK_SELECT_ROOM);
    uint32_t *rough = arena_raw(d->arena, uint32_t, keep);
    struct topk_item *pool_items =
        arena_array(d->arena, struct topk_item, route_pool_size(d->in->top_k));
    if (!room || !rough || !pool_items)
        return false;
    route_pool_init(pool, pool_items, d->in->top_k, d->min_score);
    size_t count = topk_select(d->s.score, d->s.n, floor_of(d), keep, room, rough);
    for (size_t i = 0; i < count; i++) {
        if (i + 1 < count && d->t->profiles.dim)
            flat_prefetch(&d->t->profiles, rough[i + 1]);
        struct score_parts *parts = &d->s.parts[i];
        *parts = exact_parts(d, rough[i], d->in->source);
        d->s.place[rough[i]] = (uint8_t)i;
        eligible -= !route_pool_offer(pool, rough[i], parts);
    }
    pool->eligible_total = eligible;
    return true;
}

/* Of one of the pool, as fill_pool computed them. */
static const struct score_parts *pool_parts(const struct decider *d, const struct topk_item *item)
{
    return &d->s.parts[d->s.place[item->id]];
}

/* No agent in doubt is farther than this from the threshold. */
static float doubt_most(const struct decider *d)
{
    float off = flat_uncertainty_most(&d->t->profiles, d->in->rough.query.error);
    return d->min_score > 0 ? off * (float)(EDGE_W_MAX / EDGE_PRIOR) : off;
}

/* Whether the exact look may see an agent on the other side of the threshold. */
static bool in_doubt(const struct decider *d, uint32_t slot)
{
    const struct scratch *s = &d->s;
    float cosine = s->cosine[slot];
    if (s->score[slot] == NOT_ELIGIBLE || s->exact[slot] || !d->t->profiles.dim)
        return false;
    float off = flat_uncertainty(&d->t->profiles, slot, d->in->rough.query.error);
    if (cosine == 0 && off < NOTHING_SHARED)
        return false; /* sparse vectors without a common element: most of a tenant, and no doubt */
    if (d->min_score <= 0)
        return fabsf(cosine) <= off && !s->capable[slot];
    return cosine > -off &&
           fabsf(s->score[slot] - d->min_score) <= off * (float)(EDGE_W_MAX / EDGE_PRIOR);
}

/* slot: the number of slots for nobody. */
static void settle(struct decider *d, uint32_t slot)
{
    if (slot < d->s.n) {
        struct score_parts parts = exact_parts(d, slot, d->in->source);
        d->s.score[slot] = parts.score;
    }
}

/* Looks exactly at everybody about whom the first pass leaves doubt; from then on it is known who
 * is eligible.  Returns how many are.  Costs as much as some percent of the agents cost, so it is
 * done only where the number matters: when a decision explores, or the pool stays short.  One
 * comparison rules most agents out. */
static uint32_t settle_eligible(struct decider *d)
{
    struct scratch *s = &d->s;
    const float *value = d->min_score > 0 ? s->score : s->cosine;
    float most = d->t->profiles.dim ? doubt_most(d) : -1;
    uint32_t found = s->n; /* one to settle once the next is on its way */
    for (uint32_t i = 0; i < s->n; i++) {
        if (!(fabsf(value[i] - d->min_score) <= most) && !s->exact[i])
            continue;
        if (s->score[i] == NOT_ELIGIBLE || !(s->exact[i] || in_doubt(d, i)))
            continue;
        if (!s->exact[i])
            flat_prefetch(&d->t->profiles, i);
        settle(d, found);
        found = i;
    }
    settle(d, found);
    return count_eligible(d);
}

/* The agent behind "number rank of the eligible ones outside the pool", in order of slot.  Looks at
 * them one by one only in the word where it is. */
static uint32_t outsider(const struct decider *d, const struct topk_item *pool, uint32_t pool_len,
                         uint32_t rank)
{
    uint64_t *inside = d->s.covered; /* no hint needs it any more */
    memset(inside, 0, d->s.words * sizeof *inside);
    for (uint32_t k = 0; k < pool_len; k++)
        if (roughly_eligible(d, pool[k].id))
            inside[pool[k].id / 64] |= UINT64_C(1) << (pool[k].id % 64);
    for (uint32_t first = 0; first < d->s.n; first += 64) {
        uint64_t taken = inside[first / 64];
        uint32_t end = first + 64 < d->s.n ? first + 64 : d->s.n;
        uint32_t count = count_between(d, first, end) - (uint32_t)__builtin_popcountll(taken);
        if (rank >= count) {
            rank -= count;
            continue;
        }
        for (uint32_t i = first; i < end; i++)
            if (roughly_eligible(d, i) && !(taken >> (i % 64) & 1) && rank-- == 0)
                return i;
    }
    return UINT32_MAX;
}

static uint32_t neighbours(void *ctx, uint32_t forwarder, const struct route_neighbour **ret)
{
    struct decider *d = ctx;
    const struct agent *f = d->t->agents[forwarder];
    struct route_neighbour *out = arena_array(d->arena, struct route_neighbour, f->edge_count + 1);
    uint32_t n = 0;
    for (uint32_t i = 0; out && i < f->edge_count; i++) {
        uint32_t slot = f->edges[i].dst;
        /* the int8 score rules most of them out before the exact one is computed */
        if (d->s.cosine[slot] <= 0 || !may_receive(d, slot))
            continue;
        out[n++] = (struct route_neighbour){.agent = slot, .parts = exact_parts(d, slot, f)};
    }
    *ret = out;
    return n;
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

static bool is_eligible(struct decider *d, uint32_t slot)
{
    struct score_parts parts = exact_parts(d, slot, d->in->source);
    return route_eligible(&parts) && parts.score >= d->min_score;
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
        if (slot == UINT32_MAX || (outside && !is_eligible(d, slot)))
            continue; /* rounding went further than six deviations: nobody is explored */
        propensity[first] =
            (float)(outside ? sel->outside_propensity : sel->propensity[sel->chosen[i]]);
        if (sel->explored && i + 1 == sel->count)
            explored_at = first;
        hops[first++] =
            (struct route_hop){.agent = slot,
                               .from = d->in->source->slot,
                               .hop = 1,
                               .parts = outside ? exact_parts(d, slot, d->in->source)
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
    float *cosines[ROUTE_POOL_MAX]; /* of all with one that was chosen, once they are asked for */
};

/* route_select's similarity.  Without memory it is 0, and the arena tells. */
static float likeness(void *ctx, uint32_t candidate, uint32_t chosen)
{
    struct choice *c = ctx;
    const struct flat *profiles = &c->d->t->profiles;
    if (!profiles->dim)
        return 0;
    if (!c->cosines[chosen]) {
        c->cosines[chosen] = arena_raw(c->d->arena, float, c->count);
        if (!c->cosines[chosen])
            return 0;
        flat_between(profiles, c->slots[chosen], c->slots, c->count, c->cosines[chosen]);
    }
    return c->cosines[chosen][candidate];
}

/* route_select's recount. */
static uint32_t recount(void *ctx)
{
    struct choice *c = ctx;
    return settle_eligible(c->d);
}

static void choose(struct decider *d, const struct topk_item *pool, uint32_t pool_len,
                   uint32_t eligible, struct selection *sel)
{
    float scores[ROUTE_POOL_MAX] QMN_UNINIT;
    struct choice choice = {.d = d, .count = pool_len};
    struct rng rng;
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
                                     .ctx = &choice};
    route_select(scores, pool_len, &options, &rng, sel);
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
    if (!sel || !d.hints.ptr || !scratch_init(&d))
        return err_nomem(err);
    score_all(&d);
    if (!fill_pool(&d, &pool))
        return err_nomem(err);
    uint32_t n = route_pool_finish(&pool);
    if (n < route_pool_size(in->top_k)) { /* there is room for whom the first pass misjudged */
        (void)settle_eligible(&d);
        if (!fill_pool(&d, &pool))
            return err_nomem(err);
        n = route_pool_finish(&pool);
    }
    if (!n)
        return QMN_OK;
    choose(&d, pool.best.items, n, pool.eligible_total, sel);
    ret->head.eligible_total = sel->eligible_total;
    ret->head.outside_propensity = (float)sel->outside_propensity;
    TRY(fill_routes(&d, pool.best.items, n, sel, ret, err));
    return fill_candidates(&d, pool.best.items, n, sel, ret, err);
}
