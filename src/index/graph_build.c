/* SPDX-License-Identifier: MIT
 *
 * Linking a node [MY18, algorithms 1, 3 and 4].  The links out of a node are written at all levels
 * before any link to it, so that whoever reaches it can go on; and that it is linked, which
 * searches take for a promise that a walk can find it, is said last. */
#include "graph_priv.h"

#include <assert.h>
#include <string.h>

#include "math/code_kernels.h"

enum {
    KEPT_BATCH = 4, /* what the int8 kernels do at once */
    NEW_EQUALS = 2, /* links of a new node to vectors equal to it: the others go elsewhere */
};

void graph_rank(struct graph *g, uint32_t slot, uint32_t count)
{
    struct graph_builder *b = &g->builder;
    struct scorer near = {.kind = SCORE_NEAR, .rows = g->rows, .slot = slot};
    float scores[SCORER_BATCH] QMN_UNINIT;
    struct topk ranked;
    topk_init(&ranked, b->candidates, GRAPH_CANDIDATES_MAX);
    for (uint32_t at = 0; at < count; at += SCORER_BATCH) {
        uint32_t n = count - at < SCORER_BATCH ? count - at : SCORER_BATCH;
        scorer_run(&near, b->slots + at, n, scores);
        for (uint32_t i = 0; i < n; i++)
            topk_offer(&ranked, scores[i], b->slots[at + i]);
    }
    (void)topk_sort(&ranked);
}

/* No slot of chosen[count] is nearer to the candidate than the node is. */
static bool is_diverse(const struct graph *g, struct topk_item candidate, const uint32_t *chosen,
                       uint32_t count)
{
    struct scorer near = {.kind = SCORE_NEAR, .rows = g->rows, .slot = candidate.id};
    float scores[KEPT_BATCH];
    for (uint32_t at = 0; at < count; at += KEPT_BATCH) {
        uint32_t n = count - at < KEPT_BATCH ? count - at : KEPT_BATCH;
        scorer_run(&near, chosen + at, n, scores);
        for (uint32_t i = 0; i < n; i++)
            if (scores[i] > candidate.score)
                return false;
    }
    return true;
}

uint32_t graph_choose(struct graph *g, uint32_t count, struct graph_choice c, uint32_t *ret)
{
    const struct topk_item *from = g->builder.candidates;
    uint32_t passed_over[GRAPH_LINKS_MAX], n = 0, over = 0, equal = 0;
    for (uint32_t i = 0; i < count && n < c.most; i++) {
        bool same = from[i].score >= 0;
        if (same ? equal < c.equal : is_diverse(g, from[i], ret, n)) {
            ret[n++] = from[i].id;
            equal += same;
        } else if (over < c.least) {
            passed_over[over++] = from[i].id;
        }
    }
    for (uint32_t i = 0; i < over && n < c.least; i++)
        ret[n++] = passed_over[i];
    return n;
}

/* A walk finds the lowest slots among equals; each new one links to others of them, so that not all
 * hang on the same few. */
static void shuffle_equals(struct graph *g, uint32_t count)
{
    struct topk_item *c = g->builder.candidates;
    uint32_t equals = 0;
    while (equals < count && c[equals].score >= 0)
        equals++;
    for (uint32_t i = 0; i < NEW_EQUALS && i + 1 < equals; i++) {
        uint32_t other = i + rng_below(&g->rng, equals - i);
        struct topk_item item = c[i];
        c[i] = c[other];
        c[other] = item;
    }
}

bool graph_builder_reserve(struct graph *g)
{
    return walker_reserve(&g->builder.walker, g->rows) &&
           codes_query_reserve(&g->builder.query, &g->rows->codes);
}

struct scorer graph_towards(struct graph *g, uint32_t slot)
{
    struct codes_query *q = &g->builder.query;
    if (!g->by_bits)
        return (struct scorer){.kind = SCORE_NEAR, .rows = g->rows, .slot = slot};
    codes_query_set_row(q, &g->rows->codes, rows_i8(g->rows, slot),
                        rows_scale_of(g->rows, slot).scale, g->rows->centre);
    return (struct scorer){.kind = SCORE_NEAR_BITS, .rows = g->rows, .query = q, .slot = slot};
}

bool graph_find(struct graph *g, const struct scorer *towards, uint32_t level, uint32_t *start)
{
    struct graph_builder *b = &g->builder;
    struct walk k = {.graph = g, .walker = &b->walker, .scorer = towards, .ef = g->ef_construction};
    if (!graph_walk_level(&k, level, *start))
        return false;
    uint32_t n = 0, most = g->wanted < graph_room(g, level) ? g->wanted : graph_room(g, level);
    for (uint32_t i = 0; i < b->walker.len && n < GRAPH_CANDIDATES_MAX; i++) {
        uint32_t found = b->walker.beam[i].id & WALKER_SLOT;
        if (found != towards->slot && rows_is_live(g->rows, found))
            b->slots[n++] = found;
    }
    *start = b->walker.beam[0].id & WALKER_SLOT;
    graph_rank(g, towards->slot, n);
    shuffle_equals(g, n);
    b->chosen_count[level] = graph_choose(
        g, n, (struct graph_choice){.equal = NEW_EQUALS, .most = most}, b->chosen[level]);
    return true;
}

/* False: the node has nearer neighbours in all its directions. */
static bool link_to(struct graph *g, uint32_t node, uint32_t level, uint32_t slot)
{
    struct graph_block *block = graph_block_of(g, node, level);
    uint32_t room = graph_room(g, level), count = graph_count(block), kept[GRAPH_LINKS_MAX];
    for (uint32_t i = 0; i < count; i++)
        if (graph_link(block, i) == slot)
            return true;
    if (count < room) {
        rows_touch_links(g->rows, node);
        graph_set_links(block, count, &slot, count + 1);
        return true;
    }
    for (uint32_t i = 0; i < room; i++)
        g->builder.slots[i] = graph_link(block, i);
    g->builder.slots[room] = slot;
    graph_rank(g, node, room + 1);
    uint32_t n = graph_choose(g, room + 1, graph_choice_again(room, 0), kept);
    bool found = false;
    for (uint32_t i = 0; i < n; i++)
        found |= kept[i] == slot;
    graph_write(g, node, level, kept, n);
    return found;
}

void graph_tie(struct graph *g, uint32_t slot, uint32_t level)
{
    const struct graph_builder *b = &g->builder;
    uint32_t n = b->chosen_count[level], tied = 0;
    for (uint32_t i = 0; i < n; i++)
        tied += link_to(g, b->chosen[level][i], level, slot);
    if (!n || tied)
        return;
    /* somebody has to link to it: the nearest, which has room again or gives up its last */
    struct graph_block *nearest = graph_block_of(g, b->chosen[level][0], level);
    uint32_t count = graph_count(nearest);
    uint32_t at = count < graph_room(g, level) ? count : count - 1;
    rows_touch_links(g->rows, b->chosen[level][0]);
    graph_set_links(nearest, at, &slot, at + 1);
}

static uint32_t draw_level(struct graph *g)
{
    uint32_t level = 0;
    while (level < GRAPH_LEVELS_MAX - 1 && rng_below(&g->rng, g->rarity) == 0)
        level++;
    return level;
}

/* The neighbours of a new slot at all its levels. */
static bool find_all(struct graph *g, uint32_t slot, uint32_t level)
{
    struct graph_builder *b = &g->builder;
    struct scorer towards = graph_towards(g, slot);
    struct walk down = {.graph = g, .walker = &b->walker, .scorer = &towards, .ef = 1};
    struct graph_top top = graph_top(g);
    uint32_t at = top.entry;
    memset(b->chosen_count, 0, sizeof b->chosen_count);
    for (uint32_t l = top.levels; l-- > 0;) {
        if (l <= level) {
            if (!graph_find(g, &towards, l, &at))
                return false;
            continue;
        }
        if (!graph_walk_level(&down, l, at))
            return false;
        at = b->walker.beam[0].id & WALKER_SLOT;
    }
    return true;
}

bool graph_insert(struct graph *g, uint32_t slot)
{
    struct graph_builder *b = &g->builder;
    uint32_t level = draw_level(g);
    if (!graph_builder_reserve(g) || !graph_place(g, slot, level))
        return false;
    if (!find_all(g, slot, level)) {
        graph_displace(g, slot);
        return false;
    }
    for (uint32_t l = 0; l <= level; l++)
        graph_write(g, slot, l, b->chosen[l], b->chosen_count[l]);
    for (uint32_t l = 0; l <= level; l++)
        graph_tie(g, slot, l);
    if (level >= graph_top(g).levels)
        graph_set_top(g, (struct graph_top){.entry = slot, .levels = level + 1});
    rows_link(g->rows, slot);
    return true;
}
