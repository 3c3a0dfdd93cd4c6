/* SPDX-License-Identifier: MIT
 *
 * The flat tier: one bit a dimension, then int8, then the exact copy.  Each pass leaves out only
 * what cannot reach the k-th best any more, unless its error is beyond DEVIATIONS standard
 * deviations of what codes.h states: one in 30,000 of the rows at the very edge of the answer (one
 * in 10^9 when an exact answer is asked for), and those well inside it have more room. */
#include "vectors_priv.h"

#include <math.h>

#include "math/code_kernels.h"

/* Of 480,000 estimates of three kinds of vectors 4.5 was the worst. */
#define DEVIATIONS       4.0f
#define DEVIATIONS_EXACT 6.0f
#define DEVIATIONS_I8    6.0f /* costs nothing: the copy is looked at for hardly more than k rows */

/* So many of each chunk are looked at first, by their estimates, to raise the bar for the rest. A
 * guess. */
enum { SCOUTS = 48 };

/* Collects the live (or only the unlinked) and permitted of one chunk: their slots and bits. */
static uint32_t gather(const struct search *f, uint32_t chunk, bool fresh_only)
{
    const struct rows *r = &f->v->rows;
    const struct rows_chunk *c = r->chunks[chunk];
    struct scan_room *room = f->s->room;
    const uint64_t *permit = f->q->permit ? f->q->permit + (size_t)chunk * ROWS_WORDS : NULL;
    uint32_t n = 0, first = chunk * ROWS_CHUNK;
    uint32_t words = (r->slots - first + 63) / 64;
    for (uint32_t w = 0; w < (words < ROWS_WORDS ? words : ROWS_WORDS); w++) {
        uint64_t bits = c->live[w] & (permit ? permit[w] : UINT64_MAX);
        for (bits &= fresh_only ? ~c->linked[w] : UINT64_MAX; bits; bits &= bits - 1) {
            uint32_t at = w * 64 + (uint32_t)__builtin_ctzll(bits);
            room->slots[n] = first + at;
            room->bits[n++] = c->bits + (size_t)at * r->codes.bits_stride;
        }
    }
    return n;
}

void search_consider(struct search *f, uint32_t slot)
{
    const struct rows *r = &f->v->rows;
    float score = rows_score_i8(r, slot, &f->s->query);
    f->info.rescored++;
    if (r->exact != VECTORS_EXACT_NONE) {
        float error = codes_i8_error(f->s->query.norm, rows_scale_of(r, slot).scale);
        if (f->best.len == f->best.k && score + DEVIATIONS_I8 * error < f->best.items[0].score)
            return;
        score = rows_score_exact(r, slot, f->q->x);
    }
    topk_offer(&f->best, score, slot);
}

void search_chunk(struct search *f, uint32_t chunk, bool fresh_only)
{
    const struct codes *codes = &f->v->rows.codes;
    const struct codes_query *q = &f->s->query;
    struct scan_room *room = f->s->room;
    uint32_t n = gather(f, chunk, fresh_only);
    codes_estimate_highest(codes, q, room->bits, n, f->deviations, room->estimates, room->highest);
    f->info.visited += n;
    size_t scouts = f->best.k > SCOUTS ? f->best.k : SCOUTS;
    if (fresh_only && f->best.len == f->best.k)
        scouts = 0; /* a walk has set the bar */
    scouts = topk_select(room->estimates, n, -FLT_MAX, scouts < n ? scouts : n, room->keys,
                         room->places);
    for (size_t i = 0; i < scouts; i++) {
        uint32_t place = room->places[i];
        if (room->highest[place] >= search_bar(f))
            search_consider(f, room->slots[place]);
        room->highest[place] = -INFINITY;
    }
    size_t rest = math_kernels()->places_at_least(room->highest, n, search_bar(f), room->places);
    for (size_t i = 0; i < rest; i++)
        if (room->highest[room->places[i]] >= search_bar(f))
            search_consider(f, room->slots[room->places[i]]);
}

void search_flat(struct search *f)
{
    const struct rows *r = &f->v->rows;
    f->deviations = f->q->force_exact ? DEVIATIONS_EXACT : DEVIATIONS;
    for (uint32_t i = 0; i * ROWS_CHUNK < r->slots; i++)
        if (r->chunks[i]->used)
            search_chunk(f, i, false);
    f->info.exact = true;
}
