/* SPDX-License-Identifier: MIT
 *
 * The graph's memory. */
#include "graph_priv.h"

#include <assert.h>
#include <sched.h>
#include <string.h>

#include "base/mem.h"

enum { SPINS = 64 }; /* then whoever writes has lost its processor; a guess */

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
    g->bytes_other = sizeof *g;
    rng_seed(&g->rng, o->seed);
    return g;
}

static void table_free(struct graph_table *t)
{
    for (struct graph_table *older; t; t = older) {
        older = t->older;
        mem_free(t);
    }
}

void graph_free(struct graph *g)
{
    if (!g)
        return;
    struct graph_table *chunks = g->table, *pool = g->pool.table;
    for (uint32_t i = 0; chunks && i < chunks->cap; i++) {
        struct graph_chunk *c = chunks->chunks[i];
        if (c)
            mem_free(c->blocks);
        mem_free(c);
    }
    for (uint32_t i = 0; i < g->pool.chunk_count; i++)
        mem_free(pool->chunks[i]);
    table_free(chunks);
    table_free(pool);
    walker_release(&g->builder.walker);
    codes_query_release(&g->builder.query);
    mem_free(g);
}

struct graph_top graph_top(const struct graph *g)
{
    uint64_t top = atomic_load_explicit(&g->top, memory_order_acquire);
    return (struct graph_top){.entry = (uint32_t)top, .levels = (uint32_t)(top >> 32)};
}

void graph_set_top(struct graph *g, struct graph_top top)
{
    atomic_store_explicit(&g->top, (uint64_t)top.levels << 32 | top.entry, memory_order_release);
}

void graph_bytes(const struct graph *g, size_t *ret_links, size_t *ret_other)
{
    *ret_links = atomic_load(&g->bytes_links);
    *ret_other = atomic_load(&g->bytes_other);
}

/* ---- blocks ---- */

/* Room for so many chunks. */
static bool reserve_table(_Atomic(struct graph_table *) *at, uint32_t cap)
{
    struct graph_table *old = *at, *t;
    if (old && cap <= old->cap)
        return true;
    if (old && cap < 2 * old->cap)
        cap = 2 * old->cap;
    t = mem_calloc(1, sizeof *t + cap * sizeof t->chunks[0]);
    if (!t)
        return false;
    t->older = old;
    t->cap = cap;
    if (old)
        memcpy(t->chunks, old->chunks, old->cap * sizeof t->chunks[0]);
    atomic_store_explicit(at, t, memory_order_release);
    return true;
}

static bool reserve_chunk(struct graph *g, uint32_t at)
{
    if (!reserve_table(&g->table, at + 1))
        return false;
    struct graph_table *t = g->table;
    if (t->chunks[at])
        return true;
    size_t bytes = (size_t)ROWS_CHUNK * g->block0;
    struct graph_chunk *c = mem_calloc(1, sizeof *c);
    if (!c || !(c->blocks = rows_slab_new(bytes, at > 0))) {
        mem_free(c);
        return false;
    }
    t->chunks[at] = c;
    g->bytes_links += bytes;
    g->bytes_other += sizeof *c + ROWS_CHUNK * sizeof(uint16_t); /* and the builder's visited */
    return true;
}

static bool reserve_pool(struct graph *g, uint32_t blocks)
{
    struct graph_pool *p = &g->pool;
    if (p->used + blocks <= p->chunk_count * GRAPH_POOL_CHUNK)
        return true;
    if (!reserve_table(&p->table, p->chunk_count + 1))
        return false;
    size_t bytes = (size_t)GRAPH_POOL_CHUNK * g->block;
    char *chunk = rows_slab_new(bytes, false);
    if (!chunk)
        return false;
    p->used = p->chunk_count * GRAPH_POOL_CHUNK; /* a slot's blocks lie in one chunk */
    atomic_load(&p->table)->chunks[p->chunk_count++] = chunk;
    g->bytes_links += bytes;
    return true;
}

static bool take_blocks(struct graph *g, uint32_t blocks, uint32_t *ret_first)
{
    struct graph_pool *p = &g->pool;
    uint32_t at = p->freed[blocks];
    if (at != GRAPH_NONE) {
        p->freed[blocks] = graph_link(graph_pool_block(g, at), 0);
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
    if (!reserve_chunk(g, slot / ROWS_CHUNK))
        return false;
    graph_displace(g, slot); /* what the slot had when it stood for another vector */
    if (level && !take_blocks(g, level, &upper))
        return false;
    struct graph_chunk *c = graph_chunk_of(g, slot);
    c->level[slot % ROWS_CHUNK] = (uint8_t)level;
    c->upper[slot % ROWS_CHUNK] = upper;
    for (uint32_t l = 0; l <= level; l++)
        memset(graph_block_of(g, slot, l), 0, sizeof(struct graph_block));
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

uint16_t graph_version_await(const struct graph_block *b)
{
    for (uint32_t spins = 1;; spins++) {
        uint16_t version = atomic_load_explicit(&b->version, memory_order_acquire);
        if (!(version & 1))
            return version;
        if (spins % SPINS == 0)
            (void)sched_yield();
    }
}

void graph_set_links(struct graph_block *b, uint32_t from, const uint32_t *links, uint32_t count)
{
    uint16_t version = atomic_load_explicit(&b->version, memory_order_relaxed);
    atomic_store_explicit(&b->version, (uint16_t)(version + 1), memory_order_relaxed);
    for (uint32_t i = from; i < count; i++)
        atomic_store_explicit(&b->links[i], links[i - from], memory_order_release);
    atomic_store_explicit(&b->count, (uint16_t)count, memory_order_release);
    atomic_store_explicit(&b->version, (uint16_t)(version + 2), memory_order_release);
}

void graph_write(const struct graph *g, uint32_t slot, uint32_t level, const uint32_t *links,
                 uint32_t count)
{
    assert(count <= graph_room(g, level));
    rows_touch_links(g->rows, slot);
    graph_set_links(graph_block_of(g, slot, level), 0, links, count);
}

/* ---- invariants ---- */

static void validate_block(const struct graph *g, uint32_t slot, uint32_t level)
{
    const struct graph_block *b = graph_block_of(g, slot, level);
    uint32_t count = graph_count(b);
    assert(count <= graph_room(g, level) && graph_version(b) % 2 == 0);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t to = graph_link(b, i);
        assert(to < g->rows->slots && to != slot && rows_is_linked(g->rows, to));
        assert(graph_level_of(g, to) >= level);
        for (uint32_t j = 0; j < i; j++)
            assert(graph_link(b, j) != to);
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
    struct graph_top top = graph_top(g);
    assert((nodes == 0) == (top.levels == 0));
    assert(!nodes || (rows_is_linked(g->rows, top.entry) && highest + 1 == top.levels &&
                      graph_level_of(g, top.entry) == highest));
}
