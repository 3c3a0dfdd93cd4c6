/* SPDX-License-Identifier: MIT
 *
 * Pieces of different moments put together: a link may lead to a slot that its own chunk saw before
 * it was linked, or at a lower level; and a node that came between the two moments may have links
 * that nobody returns.  Links of the first kind go.  Nodes of the second, and those that lost more
 * than half of their links, become fresh: they are scanned until they are linked anew. */
#include "snapshot_priv.h"

#include <string.h>

#include "base/mem.h"

/* Each pass may leave others without anybody that links to them; what the last one leaves is rare,
 * and no worse than what building a graph leaves now and then. */
enum { PASSES = 4 };

struct mend {
    struct vectors *v;
    uint64_t *reached; /* [slots / 64]: something links to it at level 0 */
    uint64_t *torn;
    struct snapshot_report report;
};

static void set(uint64_t *bits, uint32_t slot)
{
    bits[slot / 64] |= UINT64_C(1) << slot % 64;
}

static bool is_set(const uint64_t *bits, uint32_t slot)
{
    return bits[slot / 64] >> slot % 64 & 1;
}

/* Returns how many links were dropped. */
static uint32_t prune_block(struct mend *m, uint32_t slot, uint32_t level)
{
    const struct graph *g = m->v->graph;
    struct graph_block *b = graph_block_of(g, slot, level);
    uint32_t kept = 0, had = graph_count(b), links[GRAPH_LINKS_MAX] QMN_UNINIT;
    for (uint32_t i = 0; i < had; i++) {
        uint32_t to = graph_link(b, i);
        if (!rows_is_linked(g->rows, to) || (level && graph_level_of(g, to) < level))
            continue;
        links[kept++] = to;
        if (!level)
            set(m->reached, to);
    }
    if (kept < had)
        graph_write(g, slot, level, links, kept);
    return had - kept;
}

static void prune(struct mend *m)
{
    const struct vectors *v = m->v;
    size_t bytes = ((size_t)v->rows.slots + 63) / 64 * sizeof(uint64_t);
    memset(m->reached, 0, bytes);
    memset(m->torn, 0, bytes);
    for (uint32_t slot = 0; slot < v->rows.slots; slot++) {
        if (!rows_is_linked(&v->rows, slot))
            continue;
        uint32_t had = graph_count(graph_block_of(v->graph, slot, 0));
        uint32_t dropped = prune_block(m, slot, 0);
        if (dropped > had / 2)
            set(m->torn, slot);
        m->report.dropped += dropped;
        for (uint32_t level = graph_level_of(v->graph, slot); level > 0; level--)
            m->report.dropped += prune_block(m, slot, level);
    }
}

static void unlink_node(struct mend *m, uint32_t slot)
{
    struct rows_chunk *c = m->v->rows.chunks[slot / ROWS_CHUNK];
    graph_displace(m->v->graph, slot);
    atomic_fetch_and(&c->linked[slot % ROWS_CHUNK / 64], ~(UINT64_C(1) << slot % 64));
    c->links_mark++;
    m->report.relink += rows_is_live(&m->v->rows, slot);
}

/* Returns how many nodes were taken out of the graph. */
static uint32_t take_out(struct mend *m)
{
    const struct vectors *v = m->v;
    uint32_t out = 0;
    for (uint32_t slot = 0; slot < v->rows.slots; slot++) {
        if (!rows_is_linked(&v->rows, slot) ||
            (is_set(m->reached, slot) && !is_set(m->torn, slot) &&
             graph_count(graph_block_of(v->graph, slot, 0))))
            continue;
        unlink_node(m, slot);
        out++;
    }
    return out;
}

static void count_rows(struct rows *r)
{
    for (uint32_t i = 0; i < r->chunk_count; i++) {
        struct rows_chunk *c = r->chunks[i];
        for (uint32_t w = 0; w < ROWS_WORDS; w++) {
            uint64_t live = rows_word(c->live, w), linked = rows_word(c->linked, w);
            c->fresh += (uint32_t)__builtin_popcountll(live & ~linked);
            c->used += (uint32_t)__builtin_popcountll(live | linked);
            r->live += (uint32_t)__builtin_popcountll(live);
            r->linked += (uint32_t)__builtin_popcountll(live & linked);
            r->dead += (uint32_t)__builtin_popcountll(linked & ~live);
        }
        r->fresh += c->fresh;
    }
}

bool snapshot_mend(struct vectors *v, struct snapshot_report *ret)
{
    size_t words = ((size_t)v->rows.slots + 63) / 64;
    struct mend m = {.v = v,
                     .reached = mem_calloc(words, sizeof(uint64_t)),
                     .torn = mem_calloc(words, sizeof(uint64_t))};
    bool ok = m.reached && m.torn;
    if (ok)
        prune(&m);
    for (int pass = 0; ok && pass < PASSES && take_out(&m); pass++)
        prune(&m);
    mem_free(m.reached);
    mem_free(m.torn);
    if (!ok)
        return false;
    count_rows(&v->rows);
    graph_choose_entry(v->graph);
    m.report.slots = v->rows.slots;
    m.report.live = v->rows.live;
    m.report.linked = v->rows.linked;
    *ret = m.report;
    return true;
}
