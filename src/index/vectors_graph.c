/* SPDX-License-Identifier: MIT
 *
 * The graph tier: a walk finds candidates by short codes, and those whose error bounds reach the
 * k-th best are scored more precisely, as in a scan; a scan of what is not linked yet follows.
 *
 * What that is has to be said before the walk: a slot that is linked while the walk passes by would
 * be missed by both.  One that both find is left to the walk. */
#include <math.h>
#include <string.h>

#include "base/mem.h"

#include "vectors_priv.h"

enum {
    EF_LEAST = 128, /* recall .96 on the hardest text there was at hand */
    EF_PER_K = 6,
    AHEAD = 3,          /* rows asked for */
    EXPAND_PER_EF = 20, /* nodes of a walk that is looking for what a filter lets pass */
};

/* Of an estimate that a walk made: what it passed over costs more recall than what these do. */
#define DEVIATIONS_WALK 3.0f

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static bool walk(struct search *f, uint32_t ef)
{
    struct vectors_searcher *s = f->s;
    struct scorer scorer = {
        .kind = f->options->walk == VECTORS_WALK_I8 ? SCORE_I8 : SCORE_BITS,
        .rows = f->rows,
        .query = &s->query,
    };
    struct walk k = {
        .graph = f->graph,
        .walker = &s->walker,
        .scorer = &scorer,
        .top = f->top,
        .ef = ef,
        .permit = f->q->permit,
        .permit_words = f->permit_words,
        .expand_max = EXPAND_PER_EF * ef,
    };
    if (!walker_reserve(&s->walker, f->rows) || !graph_walk(&k))
        return false;
    f->info.visited += s->walker.scored;
    return true;
}

/* The highest score that a row of the beam may have. */
static float highest(const struct search *f, struct topk_item item)
{
    const struct rows *r = f->rows;
    const struct codes_query *q = &f->s->query;
    uint32_t slot = item.id & WALKER_SLOT;
    if (f->options->walk == VECTORS_WALK_BITS)
        return item.score +
               DEVIATIONS_WALK * q->error * codes_tail_of(&r->codes, rows_bits(r, slot))->error;
    struct rows_scale row = rows_scale_of(r, slot); /* both sides are rounded */
    return item.score + DEVIATIONS_WALK * (codes_i8_error(q->norm, row.scale) +
                                           codes_i8_error(sqrtf(row.square), q->i8_scale));
}

/* The next of the beam, from *at, that is worth a closer look.  False: none is. */
static bool next(const struct search *f, uint32_t *at)
{
    const struct walker *w = &f->s->walker;
    for (; *at < w->len; ++*at)
        if (!(w->beam[*at].id & WALKER_HIDDEN) && highest(f, w->beam[*at]) >= search_bar(f))
            return true;
    return false;
}

/* Best first, so that the bar is high early; each row is asked for while one before it is scored.
 */
static void consider_beam(struct search *f)
{
    const struct walker *w = &f->s->walker;
    const struct rows *r = f->rows;
    uint32_t ahead[AHEAD], count = 0, at = 0;
    while (count || at < w->len) {
        while (count < AHEAD && next(f, &at)) {
            ahead[count] = w->beam[at++].id & WALKER_SLOT;
            rows_prefetch(rows_i8(r, ahead[count++]), r->codes.i8_stride);
        }
        if (!count)
            return;
        search_consider(f, ahead[0]);
        count--;
        for (uint32_t i = 0; i < count; i++)
            ahead[i] = ahead[i + 1];
    }
}

/* Notes what is fresh in a chunk.  False: out of memory. */
static bool note_fresh(struct vectors_searcher *s, const struct rows *r, uint32_t chunk,
                       uint32_t *count)
{
    const struct rows_chunk *c = r->chunks[chunk];
    if (*count == s->fresh_cap) {
        uint32_t cap = s->fresh_cap ? 2 * s->fresh_cap : 2;
        struct fresh_words *p = mem_resize(s->fresh, cap, sizeof *p);
        if (!p)
            return false;
        s->fresh = p;
        s->fresh_cap = cap;
    }
    struct fresh_words *f = &s->fresh[(*count)++];
    f->chunk = chunk;
    for (uint32_t w = 0; w < ROWS_WORDS; w++)
        f->words[w] = rows_word(c->live, w) & ~rows_word(c->linked, w);
    return true;
}

/* ... in all of them.  A chunk that has none, as the count says, has all of its slots in the
 * graph by now. */
static bool note_all_fresh(struct search *f, uint32_t *ret_count)
{
    *ret_count = 0;
    for (uint32_t i = 0; i < f->rows->chunk_count; i++)
        if (rows_count(&f->rows->chunks[i]->fresh) && !note_fresh(f->s, f->rows, i, ret_count))
            return false;
    return true;
}

/* Takes out those that the walk has met. */
static void leave_out_the_met(const struct walker *w, struct fresh_words *f)
{
    for (uint32_t i = 0; i < ROWS_WORDS; i++)
        for (uint64_t bits = f->words[i]; bits; bits &= bits - 1) {
            uint32_t at = (uint32_t)__builtin_ctzll(bits);
            if (walker_has_met(w, f->chunk * ROWS_CHUNK + i * 64 + at))
                f->words[i] &= ~((uint64_t)1 << at);
        }
}

bool search_graph(struct search *f, bool *ret_enough)
{
    uint32_t fresh_count;
    uint32_t k = f->q->k, ef = f->q->ef ? f->q->ef : larger(EF_LEAST, EF_PER_K * k);
    if (!note_all_fresh(f, &fresh_count) || !walk(f, larger(ef, k)))
        return false;
    consider_beam(f);
    f->deviations = DEVIATIONS_WALK;
    for (uint32_t i = 0; i < fresh_count; i++) {
        struct fresh_words *fresh = &f->s->fresh[i];
        leave_out_the_met(&f->s->walker, fresh);
        search_chunk(f, fresh->chunk, fresh->words, true);
    }
    *ret_enough = !f->s->walker.capped && f->best.len == k;
    return true;
}
