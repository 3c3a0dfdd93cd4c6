/* SPDX-License-Identifier: MIT
 *
 * The graph's memory. */
#include "graph_priv.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

struct graph *graph_new(struct rows *rows, const struct vectors_options *o)
{
    struct graph *g = mem_calloc(1, sizeof *g);
    if (!g)
        return NULL;
    g->rows = rows;
    g->links = o->links - 1;
    g->links0 = 2 * o->links - 1;
    g->block = (uint32_t)sizeof(uint32_t) * o->links;
    g->block0 = 2 * g->block;
    g->wanted = g->rarity = o->links;
    g->ef_construction = o->ef_construction;
    g->by_bits = o->walk == VECTORS_WALK_BITS;
    for (uint32_t i = 0; i <= GRAPH_LEVELS_MAX; i++)
        g->pool.freed[i] = GRAPH_NONE;
    rng_seed(&g->rng, o->seed);
    return g;
}

void graph_free(struct graph *g)
{
    if (!g)
        return;
    for (uint32_t i = 0; i < g->chunk_cap; i++) {
        if (g->chunks[i])
            mem_free(g->chunks[i]->blocks);
        mem_free(g->chunks[i]);
    }
    for (uint32_t i = 0; i < g->pool.chunk_count; i++)
        mem_free(g->pool.chunks[i]);
    mem_free(g->chunks);
    mem_free(g->pool.chunks);
    walker_release(&g->builder.walker);
    codes_query_release(&g->builder.query);
    mem_free(g);
}

uint32_t graph_levels(const struct graph *g)
{
    return g->levels;
}

void graph_bytes(const struct graph *g, size_t *ret_links, size_t *ret_other)
{
    size_t chunks = 0;
    for (uint32_t i = 0; i < g->chunk_cap; i++)
        chunks += g->chunks[i] != NULL;
    *ret_links =
        chunks * ROWS_CHUNK * g->block0 + (size_t)g->pool.chunk_count * GRAPH_POOL_CHUNK * g->block;
    *ret_other = sizeof *g + chunks * sizeof(struct graph_chunk) +
                 g->builder.walker.visited_cap * sizeof(uint16_t);
}

/* ---- blocks ---- */

static bool reserve_chunk(struct graph *g, uint32_t at)
{
    if (at >= g->chunk_cap) {
        uint32_t cap = g->rows->chunk_cap;
        struct graph_chunk **p = mem_resize(g->chunks, cap, sizeof(struct graph_chunk *));
        if (!p)
            return false;
        memset(p + g->chunk_cap, 0, (cap - g->chunk_cap) * sizeof *p);
        g->chunks = p;
        g->chunk_cap = cap;
    }
    if (g->chunks[at])
        return true;
    struct graph_chunk *c = mem_calloc(1, sizeof *c);
    if (!c || !(c->blocks = rows_slab_new((size_t)ROWS_CHUNK * g->block0, at > 0))) {
        mem_free(c);
        return false;
    }
    g->chunks[at] = c;
    return true;
}

static bool reserve_pool(struct graph *g, uint32_t blocks)
{
    struct graph_pool *p = &g->pool;
    if (p->used + blocks <= p->chunk_count * GRAPH_POOL_CHUNK)
        return true;
    if (p->chunk_count == p->chunk_cap) {
        uint32_t cap = p->chunk_cap ? 2 * p->chunk_cap : 4;
        char **chunks = mem_resize(p->chunks, cap, sizeof *chunks);
        if (!chunks)
            return false;
        p->chunks = chunks;
        p->chunk_cap = cap;
    }
    char *chunk = rows_slab_new((size_t)GRAPH_POOL_CHUNK * g->block, false);
    if (!chunk)
        return false;
    p->used = p->chunk_count * GRAPH_POOL_CHUNK; /* a slot's blocks lie in one chunk */
    p->chunks[p->chunk_count++] = chunk;
    return true;
}

static bool take_blocks(struct graph *g, uint32_t blocks, uint32_t *ret_first)
{
    struct graph_pool *p = &g->pool;
    uint32_t at = p->freed[blocks];
    if (at != GRAPH_NONE) {
        p->freed[blocks] = graph_pool_block(g, at)->links[0];
    } else {
        if (!reserve_pool(g, blocks))
            return false;
        at = p->used;
        p->used += blocks;
    }
    *ret_first = at;
    return true;
}

bool graph_place(struct graph *g, uint32_t slot, uint32_t level)
{
    uint32_t upper = GRAPH_NONE;
    if (!reserve_chunk(g, slot / ROWS_CHUNK) || (level && !take_blocks(g, level, &upper)))
        return false;
    struct graph_chunk *c = graph_chunk_of(g, slot);
    c->level[slot % ROWS_CHUNK] = (uint8_t)level;
    c->upper[slot % ROWS_CHUNK] = upper;
    for (uint32_t l = 0; l <= level; l++)
        *graph_block_of(g, slot, l) = (struct graph_block){0};
    return true;
}

void graph_displace(struct graph *g, uint32_t slot)
{
    struct graph_chunk *c = graph_chunk_of(g, slot);
    uint32_t level = c->level[slot % ROWS_CHUNK], first = c->upper[slot % ROWS_CHUNK];
    if (!level)
        return;
    graph_pool_block(g, first)->links[0] = g->pool.freed[level];
    g->pool.freed[level] = first;
    c->level[slot % ROWS_CHUNK] = 0;
}

void graph_write(const struct graph *g, uint32_t slot, uint32_t level, const uint32_t *links,
                 uint32_t count)
{
    struct graph_block *b = graph_block_of(g, slot, level);
    assert(count <= graph_room(g, level));
    rows_touch_links(g->rows, slot);
    memcpy(b->links, links, count * sizeof *links);
    b->count = (uint16_t)count;
    b->version++;
}

/* ---- invariants ---- */

static void validate_block(const struct graph *g, uint32_t slot, uint32_t level)
{
    const struct graph_block *b = graph_block_of(g, slot, level);
    assert(b->count <= graph_room(g, level));
    for (uint32_t i = 0; i < b->count; i++) {
        uint32_t to = b->links[i];
        assert(to < g->rows->slots && to != slot && rows_is_linked(g->rows, to));
        assert(graph_level_of(g, to) >= level);
        for (uint32_t j = 0; j < i; j++)
            assert(b->links[j] != to);
    }
}

void graph_validate(const struct graph *g)
{
    uint32_t highest = 0, nodes = 0;
    for (uint32_t slot = 0; slot < g->rows->slots; slot++) {
        if (!rows_is_linked(g->rows, slot))
            continue;
        uint32_t level = graph_level_of(g, slot);
        for (uint32_t l = 0; l <= level; l++)
            validate_block(g, slot, l);
        highest = level > highest ? level : highest;
        nodes++;
    }
    assert((nodes == 0) == (g->levels == 0));
    assert(!nodes || (rows_is_linked(g->rows, g->entry) && highest + 1 == g->levels &&
                      graph_level_of(g, g->entry) == highest));
}
