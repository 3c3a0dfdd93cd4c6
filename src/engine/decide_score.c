/* SPDX-License-Identifier: MIT
 *
 * Everybody's score: the cosines of the first pass, what agents worked on of late, capabilities,
 * edges. */
#include "engine/decider_priv.h"
#include "engine/recent_priv.h"
#include "route/demand.h"
#include "route/plasticity.h"

#define DAY_MS 86400000.0

double edge_weight_now(const struct agent *src, uint32_t dst, int64_t now_ms)
{
    const struct edge *x = agent_edge(src, dst);
    return x ? edge_idle(x->weight, (double)(now_ms - x->updated_ms) / DAY_MS) : EDGE_PRIOR;
}

uint32_t decider_rescored(const struct decider *d)
{
    return route_pool_size(d->in->top_k) + DECIDE_SPARE;
}

_Static_assert(ROUTE_POOL_MAX + DECIDE_SPARE <= UINT8_MAX, "places are bytes");

bool decider_init(struct decider *d)
{
    struct scratch *s = &d->s;
    s->n = d->t->agent_count;
    d->indexed = !d->in->rough.cosine;
    s->cosine = d->indexed ? arena_raw(d->arena, float, s->n + 1) : d->in->rough.cosine;
    s->words = s->n / 64 + 1;
    s->demand = arena_array(d->arena, float, (size_t)64 * s->words);
    s->covered = arena_raw(d->arena, uint64_t, s->words);
    s->levels = arena_raw(d->arena, uint64_t, (size_t)DECIDE_LEVELS * s->words);
    s->named = arena_raw(d->arena, const struct tag *, textlist_count(d->hints) + 1);
    s->score = arena_raw(d->arena, float, s->n + 1);
    s->place = arena_raw(d->arena, uint8_t, s->n + 1);
    s->parts = arena_raw(d->arena, struct score_parts, decider_rescored(d));
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
    if (s->level_count == DECIDE_LEVELS)
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

void decider_hints(struct decider *d)
{
    size_t count = textlist_count(d->hints);
    struct bytes rest = d->hints, hint;
    while (count && textlist_next(&rest, &hint))
        apply_hint(d, hint, 1.0f / (float)count);
    settle_levels(&d->s);
}

/* One query's part.  False: out of memory. */
static bool prepare(const struct tenant *t, const float *unit, struct arena *arena,
                    struct rough *ret)
{
    bool profiles = t->profiles.dim, all = !agent_index_ready(t);
    *ret = (struct rough){.version = t->profiles.version};
    if (all)
        ret->cosine = profiles ? arena_raw(arena, float, t->agent_count + 1)
                               : arena_array(arena, float, t->agent_count + 1);
    return (!all || ret->cosine) &&
           (!profiles || flat_query_init(&ret->query, &t->profiles, unit, arena));
}

bool engine_cosines(const struct tenant *t, const float *const *units, struct arena *const *arenas,
                    uint32_t count, struct rough *ret)
{
    struct flat_query queries[FLAT_TILE] = {{0}};
    float *cosines[FLAT_TILE] = {0};
    struct rough made[FLAT_TILE];
    for (uint32_t i = 0; i < count; i++) {
        if (!prepare(t, units[i], arenas[i], &made[i]))
            return false;
        cosines[i] = made[i].cosine;
        queries[i] = made[i].query;
    }
    if (t->profiles.dim && !agent_index_ready(t))
        flat_scores(&t->profiles, queries, count, cosines);
    memcpy(ret, made, count * sizeof *ret);
    return true;
}

bool engine_rough_is_old(const struct tenant *t, const struct rough *r)
{
    return r->version != t->profiles.version || (!r->cosine && !agent_index_ready(t));
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

void decider_score(struct decider *d)
{
    struct scratch *s = &d->s;
    const struct agent *source = d->in->source;
    decider_hints(d);
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

struct score_parts decider_exact(struct decider *d, uint32_t slot, const struct agent *from)
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
