/* SPDX-License-Identifier: MIT
 *
 * Hop by hop: every forwarder holds up its best neighbour not yet reached, the best of these is
 * delivered, and only forwarders that held up the same agent (or delivered) look for another. */
#include "propagate.h"

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>

struct forwarder {
    uint32_t agent, sent, count;
    const struct route_neighbour *neighbours;
    const struct route_neighbour *best; /* NULL: nobody left */
};

struct travel {
    const struct propagate_options *options;
    struct route_hop *hops;
    uint32_t len;
    float attenuation; /* of the current hop */
};

uint32_t propagate_budget(uint32_t top_k)
{
    uint32_t wanted = PROPAGATE_BUDGET_FACTOR * top_k;
    return wanted < LIMIT_FANOUT ? wanted : LIMIT_FANOUT;
}

static bool is_reached(const struct travel *t, uint32_t agent)
{
    if (agent == t->options->source)
        return true;
    for (uint32_t i = 0; i < t->len; i++)
        if (t->hops[i].agent == agent)
            return true;
    return false;
}

static bool ranks_before(const struct route_neighbour *a, const struct route_neighbour *b)
{
    return a->parts.score > b->parts.score ||
           (a->parts.score == b->parts.score && a->agent < b->agent);
}

static bool may_travel(const struct travel *t, const struct route_neighbour *n)
{
    return n->parts.weight >= (float)EDGE_PRIOR && n->parts.relevance > 0 &&
           n->parts.score * t->attenuation >= t->options->min_score;
}

static void look_for_best(const struct travel *t, struct forwarder *f)
{
    f->best = NULL;
    if (f->sent == t->options->top_k)
        return;
    for (uint32_t i = 0; i < f->count; i++) {
        const struct route_neighbour *n = &f->neighbours[i];
        if ((!f->best || ranks_before(n, f->best)) && may_travel(t, n) && !is_reached(t, n->agent))
            f->best = n;
    }
}

/* NULL when no forwarder of this hop has anybody left. */
static struct forwarder *best_forwarder(struct forwarder *forwarders, uint32_t count)
{
    struct forwarder *best = NULL;
    for (uint32_t i = 0; i < count; i++)
        if (forwarders[i].best && (!best || ranks_before(forwarders[i].best, best->best)))
            best = &forwarders[i];
    return best;
}

static void deliver(struct travel *t, struct forwarder *from, uint32_t hop)
{
    struct route_hop *h = &t->hops[t->len++];
    *h = (struct route_hop){
        .agent = from->best->agent, .from = from->agent, .hop = hop, .parts = from->best->parts};
    h->parts.score *= t->attenuation;
    from->sent++;
}

static void travel_one_hop(struct travel *t, uint32_t hop, struct forwarder *forwarders,
                           uint32_t count, uint32_t budget)
{
    for (uint32_t i = 0; i < count; i++)
        look_for_best(t, &forwarders[i]);
    struct forwarder *from;
    while (t->len < budget && (from = best_forwarder(forwarders, count)) != NULL) {
        uint32_t reached = from->best->agent;
        deliver(t, from, hop);
        for (uint32_t i = 0; i < count; i++)
            if (forwarders[i].best && forwarders[i].best->agent == reached)
                look_for_best(t, &forwarders[i]);
    }
}

uint32_t route_propagate(struct route_hop hops[LIMIT_FANOUT], uint32_t first,
                         const struct propagate_options *options, route_neighbours_fn *neighbours,
                         void *ctx)
{
    assert(options->top_k >= 1 && options->top_k <= LIMIT_TOP_K && first <= options->top_k);
    const uint32_t budget = propagate_budget(options->top_k);
    struct travel t = {.options = options, .hops = hops, .len = first, .attenuation = 1};
    struct forwarder forwarders[LIMIT_FANOUT];
    uint32_t begin = 0; /* of the last hop's entries */
    for (uint32_t hop = 2; hop <= options->max_hops && t.len < budget; hop++) {
        uint32_t count = t.len - begin;
        if (count == 0)
            break;
        for (uint32_t i = 0; i < count; i++) {
            struct forwarder *f = &forwarders[i];
            *f = (struct forwarder){.agent = hops[begin + i].agent};
            f->count = neighbours(ctx, f->agent, &f->neighbours);
        }
        begin = t.len;
        t.attenuation *= PROPAGATE_ATTENUATION;
        travel_one_hop(&t, hop, forwarders, count, budget);
    }
    return t.len;
}
