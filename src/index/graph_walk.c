/* SPDX-License-Identifier: MIT
 *
 * Best-first walks [MY18, algorithms 2 and 5].  One sorted array holds both what was found and what
 * is still to be expanded; a node's neighbours are collected first, their codes asked for, and all
 * scored together, since waiting for memory is most of the work.
 *
 * Hidden rows stand in the array too, so that a walk passes through them, but only others count
 * towards ef: the array then grows by as much as is hidden. */
#include "graph_priv.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "math/code_kernels.h"

enum { BEAM_LEAST = 512 };

/* ---- scores ---- */

static void score_i8(const struct scorer *s, const uint32_t *slots, size_t count, float *ret)
{
    const int8_t *at[SCORER_BATCH] QMN_UNINIT;
    int32_t dots[SCORER_BATCH] QMN_UNINIT;
    bool near = s->kind == SCORE_NEAR;
    const struct rows_scale self =
        near ? rows_scale_of(s->rows, s->slot) : (struct rows_scale){s->query->i8_scale, 0};
    for (size_t i = 0; i < count; i++)
        at[i] = rows_i8(s->rows, slots[i]);
    math_code_kernels()->dot_i8_at(at, count, near ? rows_i8(s->rows, s->slot) : s->query->i8,
                                   s->rows->codes.padded, dots);
    for (size_t i = 0; i < count; i++) {
        struct rows_scale other = rows_scale_of(s->rows, slots[i]);
        float product = self.scale * other.scale * (float)dots[i];
        ret[i] = near ? 2 * product - (self.square + other.square) : product;
    }
}

static void score_bits(const struct scorer *s, const uint32_t *slots, size_t count, float *ret)
{
    const void *at[SCORER_BATCH] QMN_UNINIT;
    at[0] = NULL; /* for a compiler that thinks of a count of 0 */
    for (size_t i = 0; i < count; i++)
        at[i] = rows_bits(s->rows, slots[i]);
    codes_estimate(&s->rows->codes, s->query, at, count, ret);
    for (size_t i = 0; s->kind == SCORE_NEAR_BITS && i < count; i++)
        ret[i] = 2 * ret[i] - rows_scale_of(s->rows, slots[i]).square;
}

void scorer_run(const struct scorer *s, const uint32_t *slots, size_t count, float *ret)
{
    assert(count <= SCORER_BATCH);
    if (s->kind == SCORE_I8 || s->kind == SCORE_NEAR)
        score_i8(s, slots, count, ret);
    else
        score_bits(s, slots, count, ret);
}

/* The first lines of a row that will be scored; the hardware sees the rest coming. */
static void prefetch_row(const struct scorer *s, uint32_t slot)
{
    if (s->kind == SCORE_BITS || s->kind == SCORE_NEAR_BITS)
        rows_prefetch(rows_bits(s->rows, slot), s->rows->codes.bits_stride);
    else
        rows_prefetch(rows_i8(s->rows, slot), 8 * (size_t)ROWS_LINE_BYTES);
}

/* ---- scratch ---- */

bool walker_reserve(struct walker *w, const struct rows *r)
{
    uint32_t room = rows_room(r) + 1;
    if (room > w->visited_cap) {
        uint16_t *p = mem_resize(w->visited, room, sizeof *p);
        if (!p)
            return false;
        memset(p + w->visited_cap, 0, (room - w->visited_cap) * sizeof *p);
        w->visited = p;
        w->visited_cap = room;
    }
    w->limit = room - 1;
    if (!w->beam_cap) {
        if (!(w->beam = mem_alloc(BEAM_LEAST * sizeof *w->beam)))
            return false;
        w->beam_cap = BEAM_LEAST;
    }
    w->scored = 0;
    return true;
}

void walker_release(struct walker *w)
{
    mem_free(w->visited);
    mem_free(w->beam);
    *w = (struct walker){0};
}

void walker_forget(struct walker *w)
{
    if (++w->epoch == 0) {
        memset(w->visited, 0, w->visited_cap * sizeof *w->visited);
        w->epoch = 1;
    }
    w->visited[w->limit] = w->epoch;
}

/* ---- the walk ---- */

static bool ranks_before(float score, uint32_t slot, const struct topk_item *other)
{
    return score > other->score || (score == other->score && slot < (other->id & WALKER_SLOT));
}

static bool permits(const struct walk *k, uint32_t slot)
{
    return slot / 64 < k->permit_words && (k->permit[slot / 64] >> slot % 64 & 1);
}

static bool is_hidden(const struct walk *k, uint32_t level, uint32_t slot)
{
    return !level && (!rows_is_live(k->scorer->rows, slot) || (k->permit && !permits(k, slot)));
}

/* What ranks after the ef-th that is not hidden is of no use any more. */
static void trim(struct walker *w, uint32_t ef)
{
    while (w->len &&
           (w->passing > ef || (w->passing == ef && (w->beam[w->len - 1].id & WALKER_HIDDEN))))
        w->passing -= !(w->beam[--w->len].id & WALKER_HIDDEN);
}

/* *first moves to the slot's place when that comes before it.  False: out of memory. */
static bool offer(const struct walk *k, float score, uint32_t slot, uint32_t level, uint32_t *first)
{
    struct walker *w = k->walker;
    if (w->passing >= k->ef && !ranks_before(score, slot, &w->beam[w->len - 1]))
        return true;
    if (w->len == w->beam_cap) {
        struct topk_item *p = mem_resize(w->beam, 2 * (size_t)w->beam_cap, sizeof *p);
        if (!p)
            return false;
        w->beam = p;
        w->beam_cap *= 2;
    }
    uint32_t low = 0, high = w->len;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (ranks_before(score, slot, &w->beam[middle]))
            high = middle;
        else
            low = middle + 1;
    }
    bool hidden = is_hidden(k, level, slot);
    memmove(w->beam + low + 1, w->beam + low, (w->len - low) * sizeof *w->beam);
    w->beam[low] = (struct topk_item){score, slot | (hidden ? WALKER_HIDDEN : 0)};
    w->len++;
    w->passing += !hidden;
    trim(w, k->ef);
    if (low < *first)
        *first = low;
    return true;
}

/* The neighbours not seen yet.  Nobody could predict which those are, so no branch asks. */
static uint32_t visit_links(const struct graph_block *b, struct walker *w, uint32_t *ret)
{
    uint16_t *visited = w->visited;
    const uint16_t epoch = w->epoch;
    const uint32_t limit = w->limit;
    uint32_t n = 0, count = graph_count(b);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t to = graph_link(b, i), at = to < limit ? to : limit;
        ret[n] = to;
        n += visited[at] != epoch;
        visited[at] = epoch;
    }
    return n;
}

/* ... all of one moment: those of two would do no harm, but a node that moved from one place of the
 * block to another might be in neither half. */
static uint32_t neighbours(const struct walk *k, uint32_t slot, uint32_t level, uint32_t *ret)
{
    const struct graph_block *b = graph_block_of(k->graph, slot, level);
    struct walker *w = k->walker;
    uint16_t version = graph_version(b);
    uint32_t n = visit_links(b, w, ret);
    while (!graph_is_still(b, version)) {
        for (uint32_t i = 0; i < n; i++)
            w->visited[ret[i]] = (uint16_t)(w->epoch - 1);
        version = graph_version(b);
        n = visit_links(b, w, ret);
    }
    for (uint32_t i = 0; i < n; i++)
        prefetch_row(k->scorer, ret[i]);
    return n;
}

static void prefetch_block(const struct walk *k, uint32_t from, uint32_t level)
{
    struct walker *w = k->walker;
    while (from < w->len && (w->beam[from].id & WALKER_EXPANDED))
        from++;
    if (from < w->len)
        rows_prefetch(graph_block_of(k->graph, w->beam[from].id & WALKER_SLOT, level),
                      level ? k->graph->block : k->graph->block0);
}

bool graph_walk_level(const struct walk *k, uint32_t level, uint32_t start)
{
    struct walker *w = k->walker;
    uint32_t slots[SCORER_BATCH] = {start}, n = 1, next = 0;
    float scores[SCORER_BATCH] QMN_UNINIT;
    walker_forget(w);
    (void)walker_visit(w, start);
    w->len = w->passing = w->expanded = 0;
    w->capped = false;
    for (;;) {
        uint32_t first = UINT32_MAX;
        scorer_run(k->scorer, slots, n, scores);
        w->scored += n;
        for (uint32_t i = 0; i < n; i++)
            if (!offer(k, scores[i], slots[i], level, &first))
                return false;
        next = first < next ? first : next;
        while (next < w->len && (w->beam[next].id & WALKER_EXPANDED))
            next++;
        if (next >= w->len)
            return true;
        if (k->expand_max && w->expanded >= k->expand_max) {
            w->capped = true;
            return true;
        }
        uint32_t slot = w->beam[next].id & WALKER_SLOT;
        w->beam[next].id |= WALKER_EXPANDED;
        w->expanded++;
        n = neighbours(k, slot, level, slots);
        prefetch_block(k, next + 1, level);
    }
}

bool graph_walk(const struct walk *k)
{
    struct walk down = *k;
    uint32_t at = k->top.entry;
    down.ef = 1;
    down.expand_max = 0;
    k->walker->len = k->walker->passing = 0;
    if (!k->top.levels)
        return true;
    for (uint32_t level = k->top.levels - 1; level; level--) {
        if (!graph_walk_level(&down, level, at))
            return false;
        at = k->walker->beam[0].id & WALKER_SLOT;
    }
    return graph_walk_level(k, 0, at);
}
