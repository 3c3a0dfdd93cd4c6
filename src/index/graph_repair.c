/* SPDX-License-Identifier: MIT
 *
 * Taking tombstones out.  A sweep dooms all that are dead when it begins and goes over every node:
 * one that links to a doomed node gets its neighbours anew, from those it has and those the doomed
 * one has, all live.  New nodes link to none that is dead, so at the end nothing links to the
 * doomed, and their slots wait for the searches that may still hold them.  Their blocks stay whole
 * that long: a slot gives them back when it is linked anew. */
#include "graph_priv.h"

#include <assert.h>

enum {
    SCANNED_PER_BUDGET = 64, /* nodes looked at and left alone cost as much as one repaired */
    FEW = 4,                 /* candidates: a walk finds better ones */
};

void graph_sweep_begin(struct graph *g)
{
    assert(!g->sweeping);
    rows_doom(g->rows);
    g->sweeping = true;
    g->cursor = 0;
}

bool graph_sweeping(const struct graph *g)
{
    return g->sweeping;
}

static bool links_to_doomed(const struct graph *g, const struct graph_block *b)
{
    for (uint32_t i = 0, count = graph_count(b); i < count; i++)
        if (rows_is_doomed(g->rows, graph_link(b, i)))
            return true;
    return false;
}

/* Collects the live among the links, each once. */
static void collect(struct graph *g, const struct graph_block *b, uint32_t *count)
{
    for (uint32_t i = 0, n = graph_count(b); i < n && *count < GRAPH_CANDIDATES_MAX; i++) {
        uint32_t to = graph_link(b, i);
        if (rows_is_live(g->rows, to) && walker_visit(&g->builder.walker, to))
            g->builder.slots[(*count)++] = to;
    }
}

static uint32_t candidates(struct graph *g, uint32_t slot, uint32_t level)
{
    const struct graph_block *b = graph_block_of(g, slot, level);
    uint32_t count = 0;
    walker_forget(&g->builder.walker);
    (void)walker_visit(&g->builder.walker, slot);
    collect(g, b, &count);
    for (uint32_t i = 0, n = graph_count(b); i < n; i++)
        if (rows_is_doomed(g->rows, graph_link(b, i)))
            collect(g, graph_block_of(g, graph_link(b, i), level), &count);
    return count;
}

/* Like a new node's, at level 0.  The doomed are walked through, as ever. */
static bool find_anew(struct graph *g, uint32_t slot)
{
    uint32_t at = graph_top(g).entry;
    struct scorer towards = graph_towards(g, slot);
    if (!graph_find(g, &towards, 0, &at))
        return false;
    graph_write(g, slot, 0, g->builder.chosen[0], g->builder.chosen_count[0]);
    if (rows_is_live(g->rows, slot))
        graph_tie(g, slot, 0);
    return true;
}

static bool repair_level(struct graph *g, uint32_t slot, uint32_t level)
{
    uint32_t count = candidates(g, slot, level), chosen[GRAPH_LINKS_MAX];
    uint32_t room = graph_room(g, level);
    if (!level && count < FEW)
        return find_anew(g, slot);
    graph_rank(g, slot, count);
    uint32_t n = graph_choose(g, count, graph_choice_again(room, room * 3 / 4), chosen);
    graph_write(g, slot, level, chosen, n);
    return true;
}

/* Upper levels first: level 0 alone may need memory, and the node is met again then. */
static bool repair(struct graph *g, uint32_t slot, bool *ret_repaired)
{
    *ret_repaired = false;
    for (uint32_t level = graph_level_of(g, slot) + 1; level-- > 0;)
        if (links_to_doomed(g, graph_block_of(g, slot, level))) {
            *ret_repaired = true;
            if (!repair_level(g, slot, level))
                return false;
        }
    return true;
}

void graph_choose_entry(struct graph *g)
{
    struct graph_top top = {0};
    for (uint32_t slot = 0; slot < g->rows->slots; slot++)
        if (rows_is_linked(g->rows, slot) && !rows_is_doomed(g->rows, slot) &&
            graph_level_of(g, slot) >= top.levels)
            top = (struct graph_top){.entry = slot, .levels = graph_level_of(g, slot) + 1};
    graph_set_top(g, top);
}

static void finish(struct graph *g)
{
    if (rows_is_doomed(g->rows, graph_top(g).entry))
        graph_choose_entry(g);
    for (uint32_t slot = 0; slot < g->rows->slots; slot++)
        if (rows_is_doomed(g->rows, slot))
            rows_unlink(g->rows, slot);
    g->sweeping = false;
}

bool graph_sweep(struct graph *g, uint32_t *budget)
{
    uint32_t scanned = 0;
    bool repaired;
    if (!graph_builder_reserve(g))
        return false;
    for (; *budget && g->cursor < g->rows->slots; g->cursor++) {
        if (rows_is_linked(g->rows, g->cursor) && !rows_is_doomed(g->rows, g->cursor)) {
            if (!repair(g, g->cursor, &repaired))
                return false;
            *budget -= repaired;
        }
        if (++scanned == SCANNED_PER_BUDGET && *budget) {
            scanned = 0;
            --*budget;
        }
    }
    if (g->cursor >= g->rows->slots)
        finish(g);
    return true;
}
