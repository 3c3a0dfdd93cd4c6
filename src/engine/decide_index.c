/* SPDX-License-Identifier: MIT
 *
 * Who may be among the best of a large tenant, without a look at all of it.
 *
 *   score = max(0, c) (w / prior) (1 + demand) / 2 + worth(capabilities)
 *
 * The index gives the agents nearest to the nutrient.  Of everybody else the cosine is at most that
 * of the last of them, c', so that the score is at most
 *
 *   bound = max(0, c') (w / prior) (1 + demand) / 2 + worth(capabilities),
 *
 * and who stays below the bar, the score of the last that is kept so far, is out.  Without an edge
 * above the prior and a hint in common that is c' / 2: whoever can pass has one or the other.
 * Edges are walked, hints make everybody's demand and capabilities known; those who can pass by
 * their edge are scored one by one, those who can by a hint are searched for the nearest among
 * them, which lowers c' for them, and again until nobody is left who can.
 *
 * So the best are found as far as the index finds the nearest.  Work is bounded all the same: of
 * EDGES_MAX edges and AMONG_MAX agents with a hint the highest bounds are looked at, in ROUNDS_MAX
 * searches.  What that can miss are agents of a crowd larger than AMONG_MAX with the same boost
 * that are neither among the nearest of all nor among those of the crowd that were looked at; a
 * crowd that makes up more than one in NEAREST_FACTOR of a nutrient's neighbourhood raises the bar
 * above itself. */
#include "engine/decider_priv.h"
#include "route/plasticity.h"

enum {
    NEAREST_FACTOR = 3, /* of the index, for each that is scored exactly; see above */
    EDGES_MAX = 256,
    AMONG_MAX = 2048, /* a search among so many takes as long as that for the nearest of all */
    AMONG_NEAREST = 48,
    ROUNDS_MAX = 2,
};

/* The index's cosines are about as precise as int8, and the bound must hold for precise ones. */
#define SLACK  0.002f
#define DAY_MS 86400000.0

/* Those who may pass the bar: slots, and the most that they may score. */
struct hopefuls {
    uint32_t *slots; /* [n + KERNELS_PLACES_EXTRA] */
    float *bounds;
    uint32_t count;
};

static bool seen(const struct decider *d, uint32_t slot)
{
    return d->seen[slot / 64] >> slot % 64 & 1;
}

/* The score that a candidate must be able to reach. */
static float bar(const struct decider *d)
{
    float last = d->best.len == d->best.k ? d->best.items[0].score : 0;
    float floor = decider_floor(d) - SLACK; /* of exact scores */
    return last > floor ? last : floor;
}

/* A look at one, by a cosine that may be rough. */
static void offer(struct decider *d, uint32_t slot, float cosine)
{
    struct scratch *s = &d->s;
    if (seen(d, slot))
        return;
    d->seen[slot / 64] |= UINT64_C(1) << slot % 64;
    if (!decider_may_receive(d, slot))
        return;
    s->cosine[slot] = cosine;
    struct score_parts parts =
        route_score(cosine, edge_weight_now(d->in->source, slot, d->in->now_ms), s->demand[slot],
                    s->capable[slot]);
    topk_offer(&d->best, parts.score, slot);
}

/* Searches among a set of places (NULL: all).  *ret_beyond: no other one of them has a cosine above
 * it; below -1: there is no other.  False: out of memory. */
static bool offer_nearest(struct decider *d, uint32_t k, const uint64_t *among, uint32_t count,
                          float *ret_beyond)
{
    struct agent_index_query q = {.unit = d->in->rough.query.unit,
                                  .k = k,
                                  .ef = k,
                                  .label = d->in->sensitivity,
                                  .among = among,
                                  .count = count};
    struct topk_item *items = arena_array(d->arena, struct topk_item, k);
    size_t found;
    if (!items || !agent_index_nearest(d->e, d->t, &q, items, &found))
        return false;
    for (size_t i = 0; i < found; i++)
        offer(d, items[i].id, items[i].score);
    *ret_beyond = found < k ? -2 : items[found - 1].score + SLACK;
    return true;
}

/* Keeps the `max` that may score most. */
static bool keep_best(struct decider *d, struct hopefuls *h, uint32_t max)
{
    uint64_t *room = arena_raw(d->arena, uint64_t, (size_t)max * TOPK_SELECT_ROOM);
    uint32_t *kept = arena_raw(d->arena, uint32_t, max);
    if (h->count <= max)
        return true;
    if (!room || !kept)
        return false;
    uint32_t n = (uint32_t)topk_select(h->bounds, h->count, 0, max, room, kept);
    for (uint32_t i = 0; i < n; i++)
        kept[i] = h->slots[kept[i]];
    h->slots = kept;
    h->count = n;
    return true;
}

/* ---- edges ---- */

static bool offer_edges(struct decider *d, struct hopefuls *h, float beyond)
{
    const struct agent *source = d->in->source;
    h->count = 0;
    for (uint32_t i = 0; i < source->edge_count; i++) {
        const struct edge *x = &source->edges[i];
        if (x->weight <= EDGE_PRIOR || seen(d, x->dst) || !decider_may_receive(d, x->dst))
            continue;
        double w = edge_idle(x->weight, (double)(d->in->now_ms - x->updated_ms) / DAY_MS);
        float bound = route_score(beyond, w, d->s.demand[x->dst], d->s.capable[x->dst]).score;
        if (bound < bar(d))
            continue;
        h->slots[h->count] = x->dst;
        h->bounds[h->count++] = bound;
    }
    if (!keep_best(d, h, EDGES_MAX))
        return false;
    /* the bounds are no longer needed */
    flat_scores_of(&d->t->profiles, &d->in->rough.query, h->slots, h->count, h->bounds);
    for (uint32_t i = 0; i < h->count; i++)
        offer(d, h->slots[i], h->bounds[i]);
    return true;
}

/* ---- hints ---- */

/* What a bound is made of, for many: route_score with the prior for a weight. */
struct limits {
    float half; /* max(0, c') / 2 */
    float worth[SCORE_CAPABILITY_MAX + 1];
    float bar;
};

static struct limits limits_of(const struct decider *d, float beyond)
{
    struct limits l = {.half = beyond > 0 ? beyond / 2 : 0, .bar = bar(d)};
    for (uint32_t k = 0; k <= SCORE_CAPABILITY_MAX; k++)
        l.worth[k] = (float)(SCORE_CAPABILITY * k);
    return l;
}

/* Notes the agent if it may pass.  Who has no profile has a cosine of 0 and is looked at here. */
static void hope(struct decider *d, struct hopefuls *h, uint32_t slot, const struct limits *l)
{
    uint32_t k =
        d->s.capable[slot] < SCORE_CAPABILITY_MAX ? d->s.capable[slot] : SCORE_CAPABILITY_MAX;
    float bound = l->half * (1 + d->s.demand[slot]) + l->worth[k];
    if (bound < l->bar || seen(d, slot) || !decider_may_receive(d, slot))
        return;
    if (agent_index_place(d->t, slot) == AGENT_NO_PLACE) {
        offer(d, slot, 0);
        return;
    }
    h->slots[h->count] = slot;
    h->bounds[h->count++] = bound;
}

/* Those without a capability, by demand.  Noting writes over places that have been looked at. */
static void hope_by_demand(struct decider *d, struct hopefuls *h, const struct limits *l)
{
    float least = l->half > 0 ? l->bar / l->half - 1 : 2; /* nobody's demand is above 1 */
    if (least > 1 + SLACK)
        return;
    size_t n = math_kernels()->places_at_least(d->s.demand, d->s.n, least > SLACK ? least : SLACK,
                                               h->slots);
    for (size_t i = 0; i < n; i++)
        if (!d->s.capable[h->slots[i]])
            hope(d, h, h->slots[i], l);
}

/* Those with a capability, each once.  False: out of memory. */
static bool hope_by_capability(struct decider *d, struct hopefuls *h, const struct limits *l)
{
    struct scratch *s = &d->s;
    uint64_t *met = arena_array(d->arena, uint64_t, s->words);
    for (uint32_t k = 0; met && k < s->named_count; k++) {
        const struct postings *p = &s->named[k]->capable;
        for (uint32_t i = 0; i < p->count; i++) {
            uint32_t slot = p->items[i].agent;
            uint64_t bit = UINT64_C(1) << slot % 64;
            if (met[slot / 64] & bit)
                continue;
            met[slot / 64] |= bit;
            hope(d, h, slot, l);
        }
    }
    return met != NULL;
}

/* Those of them who may pass all the same. */
static void hope_again(struct decider *d, struct hopefuls *h, float beyond)
{
    struct limits l = limits_of(d, beyond);
    uint32_t count = h->count;
    h->count = 0;
    for (uint32_t i = 0; i < count; i++)
        hope(d, h, h->slots[i], &l);
}

/* Looks at the nearest of them.  *ret_beyond: as offer_nearest.  False: out of memory. */
static bool offer_hopefuls(struct decider *d, const struct hopefuls *h, float *ret_beyond)
{
    uint64_t *set = arena_array(d->arena, uint64_t, agent_index_words(d->t));
    for (uint32_t i = 0; set && i < h->count; i++) {
        uint32_t place = agent_index_place(d->t, h->slots[i]);
        set[place / 64] |= UINT64_C(1) << place % 64;
    }
    uint32_t k = h->count < AMONG_NEAREST ? h->count : AMONG_NEAREST;
    return set && offer_nearest(d, k, set, h->count, ret_beyond);
}

/* beyond: of everybody who was not looked at. */
static bool offer_by_hints(struct decider *d, struct hopefuls *h, float beyond)
{
    struct limits l = limits_of(d, beyond);
    h->count = 0;
    hope_by_demand(d, h, &l);
    if (!hope_by_capability(d, h, &l) || !keep_best(d, h, AMONG_MAX))
        return false;
    for (uint32_t round = 0; h->count && round < ROUNDS_MAX; round++) {
        if (!offer_hopefuls(d, h, &beyond))
            return false;
        hope_again(d, h, beyond);
    }
    return true;
}

bool decider_gather(struct decider *d)
{
    struct scratch *s = &d->s;
    uint32_t keep = decider_rescored(d);
    uint32_t cap = s->n + d->in->source->edge_count + KERNELS_PLACES_EXTRA;
    struct hopefuls h = {.slots = arena_raw(d->arena, uint32_t, cap),
                         .bounds = arena_raw(d->arena, float, cap)};
    struct topk_item *items = arena_array(d->arena, struct topk_item, keep);
    float beyond;
    d->seen = arena_array(d->arena, uint64_t, s->words);
    if (!h.slots || !h.bounds || !items || !d->seen)
        return false;
    topk_init(&d->best, items, keep);
    decider_hints(d);
    if (!offer_nearest(d, NEAREST_FACTOR * keep, NULL, 0, &beyond) || !offer_edges(d, &h, beyond))
        return false;
    return !d->hints.len || offer_by_hints(d, &h, beyond);
}
