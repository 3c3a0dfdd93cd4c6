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

/* So many of each chunk are looked at first, by their estimates, to raise the bar for the rest;
 * BATCH rows are looked at by int8 together.  Guesses. */
enum { SCOUTS = 48, BATCH = 32 };

/* A word of the permit; what it does not cover is not permitted. */
static uint64_t permit_word(const struct search *f, size_t at)
{
    if (!f->q->permit)
        return UINT64_MAX;
    return at < f->permit_words ? f->q->permit[at] : 0;
}

/* Collects those of one chunk whose bits are set and that are permitted: their slots and bits. */
static uint32_t gather(const struct search *f, uint32_t chunk, const uint64_t words[ROWS_WORDS])
{
    const struct rows *r = f->rows;
    const struct rows_chunk *c = r->chunks[chunk];
    struct scan_room *room = f->s->room;
    uint32_t n = 0, first = chunk * ROWS_CHUNK;
    for (uint32_t w = 0; w < ROWS_WORDS; w++)
        for (uint64_t bits = words[w] ? words[w] & permit_word(f, first / 64 + w) : 0; bits;
             bits &= bits - 1) {
            uint32_t at = w * 64 + (uint32_t)__builtin_ctzll(bits);
            room->slots[n] = first + at;
            room->bits[n++] = c->bits + (size_t)at * r->codes.bits_stride;
        }
    return n;
}

void search_consider(struct search *f, uint32_t slot)
{
    const struct rows *r = f->rows;
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

/* The first lines of a row; the hardware sees the rest coming. */
static void expect(const struct rows *r, uint32_t slot)
{
    rows_prefetch(rows_i8(r, slot), 4 * (size_t)ROWS_LINE_BYTES);
}

/* Looks at rows by int8 on both sides, several at once, before any of them is looked at closely: of
 * vectors that lie evenly in space half may pass the bits.  known: slots that stand there, those of
 * the batches to come included. */
static void consider_batch(struct search *f, const uint32_t *slots, size_t count, size_t known)
{
    const struct rows *r = f->rows;
    const struct codes_query *q = &f->s->query;
    const int8_t *at[BATCH];
    int32_t dots[BATCH] QMN_UNINIT;
    for (size_t i = 0; i < count; i++)
        at[i] = rows_i8(r, slots[i]);
    for (size_t i = count; i < known && i < 2 * count; i++)
        expect(r, slots[i]);
    math_code_kernels()->dot_i8_at(at, count, q->i8, r->codes.padded, dots);
    f->info.rescored += (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        struct rows_scale row = rows_scale_of(r, slots[i]);
        float score = row.scale * q->i8_scale * (float)dots[i];
        float error =
            codes_i8_error(q->norm, row.scale) + codes_i8_error(sqrtf(row.square), q->i8_scale);
        if (score + DEVIATIONS_I8 * error >= search_bar(f))
            search_consider(f, slots[i]);
    }
}

void search_chunk(struct search *f, uint32_t chunk, const uint64_t words[ROWS_WORDS],
                  bool bar_is_set)
{
    const struct codes *codes = &f->rows->codes;
    const struct codes_query *q = &f->s->query;
    struct scan_room *room = f->s->room;
    uint32_t n = gather(f, chunk, words);
    codes_estimate_highest(codes, q, room->bits, n, f->deviations, room->estimates, room->highest);
    f->info.visited += n;
    size_t scouts = f->best.k > SCOUTS ? f->best.k : SCOUTS;
    if (bar_is_set && f->best.len == f->best.k)
        scouts = 0;
    scouts = topk_select(room->estimates, n, -FLT_MAX, scouts < n ? scouts : n, room->keys,
                         room->places);
    for (size_t i = 0; i < scouts; i++) {
        uint32_t place = room->places[i];
        if (room->highest[place] >= search_bar(f))
            search_consider(f, room->slots[place]);
        room->highest[place] = -INFINITY;
    }
    uint32_t *rest = room->places;
    size_t count = math_kernels()->places_at_least(room->highest, n, search_bar(f), rest);
    for (size_t i = 0; i < count; i++)
        rest[i] = room->slots[rest[i]];
    for (size_t i = 0; i < count; i += BATCH)
        consider_batch(f, rest + i, count - i < BATCH ? count - i : BATCH, count - i);
}

void search_flat(struct search *f)
{
    const struct rows *r = f->rows;
    f->deviations = f->q->force_exact ? DEVIATIONS_EXACT : DEVIATIONS;
    for (uint32_t i = 0; i < r->chunk_count; i++) {
        const struct rows_chunk *c = r->chunks[i];
        uint64_t words[ROWS_WORDS] QMN_UNINIT;
        if (!rows_count(&c->used))
            continue;
        for (uint32_t w = 0; w < ROWS_WORDS; w++)
            words[w] = rows_word(c->live, w);
        search_chunk(f, i, words, false);
    }
    f->info.exact = true;
}
