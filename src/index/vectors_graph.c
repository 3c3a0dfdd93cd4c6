/* SPDX-License-Identifier: MIT
 *
 * The graph tier: a walk finds candidates by short codes, and those whose error bounds reach the
 * k-th best are scored more precisely, as in a scan; a scan of what is not linked yet follows. */
#include <math.h>

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
    const struct vectors *v = f->v;
    struct scorer scorer = {
        .kind = v->options.walk == VECTORS_WALK_I8 ? SCORE_I8 : SCORE_BITS,
        .rows = &v->rows,
        .query = &s->query,
    };
    struct walk k = {
        .graph = v->graph,
        .walker = &s->walker,
        .scorer = &scorer,
        .ef = ef,
        .permit = f->q->permit,
        .expand_max = EXPAND_PER_EF * ef,
    };
    if (!walker_reserve(&s->walker, &v->rows) || !graph_walk(&k))
        return false;
    f->info.visited += s->walker.scored;
    return true;
}

/* The highest score that a row of the beam may have. */
static float highest(const struct search *f, struct topk_item item)
{
    const struct rows *r = &f->v->rows;
    const struct codes_query *q = &f->s->query;
    uint32_t slot = item.id & WALKER_SLOT;
    if (f->v->options.walk == VECTORS_WALK_BITS)
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
    const struct rows *r = &f->v->rows;
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

bool search_graph(struct search *f, bool *ret_enough)
{
    const struct rows *r = &f->v->rows;
    uint32_t k = f->q->k, ef = f->q->ef ? f->q->ef : larger(EF_LEAST, EF_PER_K * k);
    if (!walk(f, larger(ef, k)))
        return false;
    consider_beam(f);
    f->deviations = DEVIATIONS_WALK;
    for (uint32_t i = 0; i < r->chunk_count; i++)
        if (r->chunks[i]->fresh)
            search_chunk(f, i, true);
    *ret_enough = !f->s->walker.capped && f->best.len == k;
    return true;
}
