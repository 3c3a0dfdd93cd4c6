/* SPDX-License-Identifier: MIT
 *
 * Flat index: int8 first pass, precise rescoring. */
#include "flat.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "base/attr.h"
#include "base/limits.h"
#include "base/mem.h"
#include "math/kernels.h"

struct flat_chunk {
    float scale[FLAT_CHUNK]; /* 0: no vector here */
    float error[FLAT_CHUNK]; /* |vector - scale codes| */
    bool used[FLAT_CHUNK];
    uint32_t coarse; /* slots with an error above FLAT_COARSE */
    int8_t *codes;   /* [FLAT_CHUNK][stride] */

    /* FLAT_F32 */
    float *vectors; /* [FLAT_CHUNK][dim] */

    /* FLAT_FIXED: the planes above the first */
    float above_scale[FLAT_CHUNK][FLAT_PLANES - 1]; /* third one 0: the slot has none */
    int8_t *above[FLAT_PLANES - 1]; /* [FLAT_CHUNK][stride]; few slots ever touch the third */
};

static uint64_t fresh_version(void)
{
    static _Atomic uint64_t last;
    return atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1;
}

void flat_init(struct flat *f, uint32_t dim, enum flat_precision precision)
{
    assert(dim <= LIMIT_DIM_MAX);
    *f = (struct flat){.precision = precision, .dim = dim, .version = fresh_version()};
}

static void chunk_free(struct flat_chunk *c)
{
    if (!c)
        return;
    mem_free(c->codes);
    mem_free(c->vectors);
    for (uint32_t p = 0; p < FLAT_PLANES - 1; p++)
        mem_free(c->above[p]);
    mem_free(c);
}

void flat_release(struct flat *f)
{
    for (uint32_t i = 0; i < f->chunk_count; i++)
        chunk_free(f->chunks[i]);
    mem_free(f->chunks);
    mem_free(f->freed);
    flat_init(f, f->dim, f->precision);
}

static const struct flat_chunk *chunk_of(const struct flat *f, uint32_t slot)
{
    return f->chunks[slot / FLAT_CHUNK];
}

static int8_t *plane_at(const struct flat *f, const struct flat_chunk *c, uint32_t i, uint32_t p)
{
    return (p ? c->above[p - 1] : c->codes) + i * kernels_i8_stride(f->dim);
}

/* FLAT_F32 only. */
static float *vector_at(const struct flat *f, uint32_t slot)
{
    return chunk_of(f, slot)->vectors + (size_t)(slot % FLAT_CHUNK) * f->dim;
}

static struct flat_planes planes_of(const struct flat *f, uint32_t slot)
{
    const struct flat_chunk *c = chunk_of(f, slot);
    uint32_t i = slot % FLAT_CHUNK;
    const float *above = c->above_scale[i];
    return (struct flat_planes){
        .codes = {plane_at(f, c, i, 0), plane_at(f, c, i, 1), plane_at(f, c, i, 2)},
        .scale = {c->scale[i], above[0], above[1]},
        .count = above[1] > 0 ? 3 : 2};
}

/* The third plane is not even cleared: what few slots use of it is all that it takes. */
static bool chunk_fill(const struct flat *f, struct flat_chunk *c)
{
    size_t stride = kernels_i8_stride(f->dim);
    c->codes = mem_calloc(FLAT_CHUNK, stride);
    if (f->precision == FLAT_F32) {
        c->vectors = mem_calloc(FLAT_CHUNK, f->dim * sizeof(float));
        return c->codes && c->vectors;
    }
    c->above[0] = mem_calloc(FLAT_CHUNK, stride);
    c->above[1] = mem_alloc(FLAT_CHUNK * stride);
    return c->codes && c->above[0] && c->above[1];
}

static struct flat_chunk *chunk_new(const struct flat *f)
{
    struct flat_chunk *c = mem_calloc(1, sizeof *c);
    if (!c || !chunk_fill(f, c)) {
        chunk_free(c);
        return NULL;
    }
    return c;
}

static bool grow_u32(uint32_t **items, uint32_t *cap, uint32_t need)
{
    if (need <= *cap)
        return true;
    uint32_t want = *cap ? *cap * 2 : 64;
    while (want < need)
        want *= 2;
    uint32_t *p = mem_resize(*items, want, sizeof *p);
    if (!p)
        return false;
    *items = p;
    *cap = want;
    return true;
}

bool flat_has_room(const struct flat *f, uint32_t more)
{
    uint32_t fresh = more > f->freed_count ? more - f->freed_count : 0;
    return f->slots + fresh <= f->chunk_count * FLAT_CHUNK && f->slots + fresh <= f->freed_cap;
}

bool flat_reserve(struct flat *f, uint32_t more)
{
    uint32_t fresh = more > f->freed_count ? more - f->freed_count : 0;
    uint32_t chunks = (f->slots + fresh + FLAT_CHUNK - 1) / FLAT_CHUNK;
    /* every slot may be freed one day, and freeing must not fail either */
    if (!grow_u32(&f->freed, &f->freed_cap, f->slots + fresh))
        return false;
    if (chunks > f->chunk_cap) {
        uint32_t want = f->chunk_cap ? f->chunk_cap * 2 : 4;
        while (want < chunks)
            want *= 2;
        struct flat_chunk **p = mem_resize(f->chunks, want, sizeof(struct flat_chunk *));
        if (!p)
            return false;
        f->chunks = p;
        f->chunk_cap = want;
    }
    while (f->chunk_count < chunks) {
        struct flat_chunk *c = chunk_new(f);
        if (!c)
            return false;
        f->chunks[f->chunk_count++] = c;
    }
    return true;
}

static void clear_vector(struct flat *f, struct flat_chunk *c, uint32_t i)
{
    c->coarse -= c->error[i] > FLAT_COARSE;
    c->scale[i] = c->error[i] = 0;
    f->version = fresh_version();
    memset(c->above_scale[i], 0, sizeof c->above_scale[i]);
}

/* Splits a vector into planes: the first one for FLAT_F32, two for FLAT_FIXED, and a third where
 * those leave too much.  ret->codes say where to; *ret_error is how far the first one is off. */
static void split(const struct flat *f, const float *unit, int8_t *const codes[FLAT_PLANES],
                  struct flat_planes *ret, float *ret_error)
{
    float rest[LIMIT_DIM_MAX] QMN_UNINIT, error;
    *ret = (struct flat_planes){.codes = {codes[0], codes[1], codes[2]}, .count = 1};
    ret->scale[0] = math_kernels()->quantise_rest_i8(unit, f->dim, codes[0], rest, ret_error);
    if (f->precision == FLAT_F32)
        return;
    ret->scale[1] = math_kernels()->quantise_rest_i8(rest, f->dim, codes[1], rest, &error);
    ret->count = 2;
    if (error <= FLAT_FINE)
        return;
    ret->scale[2] = math_kernels()->quantise_i8(rest, f->dim, codes[2]);
    ret->count = 3;
}

void flat_set(struct flat *f, uint32_t slot, const float *unit)
{
    struct flat_chunk *c = f->chunks[slot / FLAT_CHUNK];
    uint32_t i = slot % FLAT_CHUNK;
    struct flat_planes planes;
    clear_vector(f, c, i);
    if (!unit)
        return;
    bool fixed = f->precision == FLAT_FIXED;
    int8_t *codes[] = {plane_at(f, c, i, 0), fixed ? plane_at(f, c, i, 1) : NULL,
                       fixed ? plane_at(f, c, i, 2) : NULL};
    split(f, unit, codes, &planes, &c->error[i]);
    if (!fixed)
        memcpy(vector_at(f, slot), unit, f->dim * sizeof *unit);
    c->scale[i] = planes.scale[0];
    memcpy(c->above_scale[i], planes.scale + 1, sizeof c->above_scale[i]);
    c->coarse += c->error[i] > FLAT_COARSE;
}

uint32_t flat_add(struct flat *f, const float *unit)
{
    uint32_t slot = f->freed_count ? f->freed[--f->freed_count] : f->slots++;
    f->chunks[slot / FLAT_CHUNK]->used[slot % FLAT_CHUNK] = true;
    f->live++;
    flat_set(f, slot, unit);
    return slot;
}

void flat_remove(struct flat *f, uint32_t slot)
{
    struct flat_chunk *c = f->chunks[slot / FLAT_CHUNK];
    clear_vector(f, c, slot % FLAT_CHUNK);
    c->used[slot % FLAT_CHUNK] = false;
    f->freed[f->freed_count++] = slot;
    f->live--;
}

bool flat_has(const struct flat *f, uint32_t slot)
{
    return f->chunks[slot / FLAT_CHUNK]->scale[slot % FLAT_CHUNK] > 0;
}

void flat_copy(const struct flat *f, uint32_t slot, float *ret_unit)
{
    if (f->precision == FLAT_F32) {
        memcpy(ret_unit, vector_at(f, slot), f->dim * sizeof *ret_unit);
        return;
    }
    struct flat_planes v = planes_of(f, slot);
    for (uint32_t k = 0; k < f->dim; k++) {
        float low = v.scale[1] * (float)v.codes[1][k];
        if (v.count > 2)
            low += v.scale[2] * (float)v.codes[2][k];
        ret_unit[k] = v.scale[0] * (float)v.codes[0][k] + low;
    }
}

bool flat_query_init(struct flat_query *q, const struct flat *f, const float *unit,
                     struct arena *arena)
{
    size_t stride = kernels_i8_stride(f->dim);
    int8_t *codes = arena_raw(arena, int8_t, FLAT_PLANES * stride);
    if (!codes)
        return false;
    q->unit = unit;
    split(f, unit, (int8_t *const[]){codes, codes + stride, codes + 2 * stride}, &q->planes,
          &q->error);
    return true;
}

/* Slots of chunk `at`. */
static uint32_t chunk_slots(const struct flat *f, uint32_t at)
{
    uint32_t n = f->slots - at * FLAT_CHUNK;
    return n < FLAT_CHUNK ? n : FLAT_CHUNK;
}

/* One chunk's scores for up to KERNELS_TILE_MAX queries. */
static void chunk_tile(const struct flat *f, uint32_t at, const struct flat_query *queries,
                       uint32_t count, float *const *ret)
{
    const struct flat_chunk *c = f->chunks[at];
    uint32_t n = chunk_slots(f, at);
    int32_t dots[KERNELS_TILE_MAX * FLAT_CHUNK] QMN_UNINIT;
    const int8_t *codes[KERNELS_TILE_MAX];
    for (uint32_t q = 0; q < count; q++)
        codes[q] = queries[q].planes.codes[0];
    math_kernels()->dot_i8_tile(c->codes, kernels_i8_stride(f->dim), n, codes, count, f->dim, dots);
    for (uint32_t q = 0; q < count; q++) {
        float *restrict scores = ret[q] + (size_t)at * FLAT_CHUNK;
        for (uint32_t i = 0; i < n; i++)
            scores[i] = (float)dots[q * n + i] * queries[q].planes.scale[0] * c->scale[i];
    }
}

/* Where int8 holds the query or a row too badly, the precise copy speaks. */
static void score_coarse(const struct flat *f, uint32_t at, const struct flat_query *q, float *ret)
{
    const struct flat_chunk *c = f->chunks[at];
    bool all = q->error > FLAT_COARSE;
    for (uint32_t i = 0, n = all || c->coarse ? chunk_slots(f, at) : 0; i < n; i++)
        if (all || c->error[i] > FLAT_COARSE)
            ret[at * FLAT_CHUNK + i] = flat_exact(f, at * FLAT_CHUNK + i, q);
}

static void score_chunk(const struct flat *f, uint32_t at, const struct flat_query *queries,
                        uint32_t count, float *const *ret)
{
    for (uint32_t q = 0; q < count; q += KERNELS_TILE_MAX) {
        uint32_t rest = count - q;
        chunk_tile(f, at, queries + q, rest < KERNELS_TILE_MAX ? rest : KERNELS_TILE_MAX, ret + q);
    }
    for (uint32_t q = 0; q < count; q++)
        score_coarse(f, at, &queries[q], ret[q]);
}

void flat_scores(const struct flat *f, const struct flat_query *queries, uint32_t count,
                 float *const *ret)
{
    for (uint32_t at = 0; at * FLAT_CHUNK < f->slots; at++)
        score_chunk(f, at, queries, count, ret);
}

/* The most that rounding can do to the product of two unit vectors, e and r away from their codes:
 * |a.b - a'.b'| <= |a - a'| |b| + |a'| |b - b'|; and what the precise look may be off itself. */
static float worst_error(const struct flat *f, float e, float r)
{
    float precise = f->precision == FLAT_FIXED ? 2 * FLAT_FINE + 1e-5f : 1e-5f;
    return e + r + e * r + precise;
}

static float usual_error(const struct flat *f, float e, float r)
{
    float usual = 6 * sqrtf((e * e + r * r) / (float)f->dim);
    float worst = worst_error(f, e, r);
    return usual < worst ? usual : worst;
}

float flat_uncertainty(const struct flat *f, uint32_t slot, float query_error)
{
    float row = f->chunks[slot / FLAT_CHUNK]->error[slot % FLAT_CHUNK];
    if (query_error > FLAT_COARSE || row > FLAT_COARSE)
        return 0;
    return usual_error(f, query_error, row);
}

float flat_uncertainty_most(const struct flat *f, float query_error)
{
    return query_error > FLAT_COARSE ? 0 : usual_error(f, query_error, FLAT_COARSE);
}

/* What the third planes of either add to a product: rare, so one pair after the other. */
static double third_planes(const struct flat *f, const struct flat_planes *a,
                           const struct flat_planes *b)
{
    double sum = 0;
    for (uint32_t i = 0; i < a->count; i++)
        for (uint32_t j = i == 2 ? 0 : 2; j < b->count; j++) {
            int32_t dot;
            math_kernels()->dot_i8_rows(b->codes[j], kernels_i8_stride(f->dim), 1, a->codes[i],
                                        f->dim, &dot);
            sum += (double)dot * (double)a->scale[i] * (double)b->scale[j];
        }
    return sum;
}

static float planes_product(const struct flat *f, const struct flat_planes *a,
                            const struct flat_planes *b)
{
    int32_t dots[4] QMN_UNINIT;
    math_kernels()->dot_i8_planes(a->codes, b->codes, f->dim, dots);
    double sum = 0;
    for (uint32_t i = 0; i < 4; i++)
        sum += (double)dots[i] * (double)a->scale[i / 2] * (double)b->scale[i % 2];
    if (a->count > 2 || b->count > 2)
        sum += third_planes(f, a, b);
    return (float)sum;
}

float flat_exact(const struct flat *f, uint32_t slot, const struct flat_query *q)
{
    if (!flat_has(f, slot))
        return 0;
    if (f->precision == FLAT_F32)
        return math_kernels()->dot_f32(q->unit, vector_at(f, slot), f->dim);
    struct flat_planes row = planes_of(f, slot);
    return planes_product(f, &q->planes, &row);
}

float flat_cosine(const struct flat *f, uint32_t a, uint32_t b)
{
    if (!flat_has(f, a) || !flat_has(f, b))
        return 0;
    if (f->precision == FLAT_F32)
        return math_kernels()->dot_f32(vector_at(f, a), vector_at(f, b), f->dim);
    struct flat_planes pa = planes_of(f, a), pb = planes_of(f, b);
    return planes_product(f, &pa, &pb);
}

static const int8_t *codes_at(const struct flat *f, uint32_t slot)
{
    return f->chunks[slot / FLAT_CHUNK]->codes + slot % FLAT_CHUNK * kernels_i8_stride(f->dim);
}

static float scale_of(const struct flat *f, uint32_t slot)
{
    return f->chunks[slot / FLAT_CHUNK]->scale[slot % FLAT_CHUNK];
}

static bool coarse(const struct flat *f, uint32_t slot)
{
    return f->chunks[slot / FLAT_CHUNK]->error[slot % FLAT_CHUNK] > FLAT_COARSE;
}

/* Products of a row of codes with those of some slots: the others are the queries of a pass over
 * it, since there is no order in memory to follow. */
static void codes_between(const struct flat *f, const int8_t *row, float scale,
                          const uint32_t *slots, uint32_t count, float *ret)
{
    size_t stride = kernels_i8_stride(f->dim);
    for (uint32_t at = 0; at < count; at += KERNELS_TILE_MAX) {
        const int8_t *codes[KERNELS_TILE_MAX];
        int32_t dots[KERNELS_TILE_MAX];
        uint32_t n = count - at < KERNELS_TILE_MAX ? count - at : KERNELS_TILE_MAX;
        for (uint32_t i = 0; i < n; i++)
            codes[i] = codes_at(f, slots[at + i]);
        math_kernels()->dot_i8_tile(row, stride, 1, codes, n, f->dim, dots);
        for (uint32_t i = 0; i < n; i++)
            ret[at + i] = (float)dots[i] * scale * scale_of(f, slots[at + i]);
    }
}

void flat_between(const struct flat *f, uint32_t slot, const uint32_t *slots, uint32_t count,
                  float *ret)
{
    bool rough = !coarse(f, slot);
    codes_between(f, codes_at(f, slot), scale_of(f, slot), slots, count, ret);
    for (uint32_t i = 0; i < count; i++) {
        if (rough && !coarse(f, slots[i]))
            continue;
        ret[i] = flat_cosine(f, slot, slots[i]);
    }
}

void flat_scores_of(const struct flat *f, const struct flat_query *q, const uint32_t *slots,
                    uint32_t count, float *ret)
{
    bool rough = q->error <= FLAT_COARSE;
    codes_between(f, q->planes.codes[0], q->planes.scale[0], slots, count, ret);
    for (uint32_t i = 0; i < count; i++)
        if (!rough || coarse(f, slots[i]))
            ret[i] = flat_exact(f, slots[i], q);
}

void flat_prefetch(const struct flat *f, uint32_t slot)
{
    /* The processor sees the pattern and goes on.  Twelve lines were best of 8, 12, 16 and all;
     * codes of the first pass as well, or two rows ahead, gained nothing (bench_flat). */
    enum { LINE = 64, AHEAD = 12 };
    bool fixed = f->precision == FLAT_FIXED;
    size_t len = f->dim * (fixed ? sizeof(int8_t) : sizeof(float));
    const char *v = fixed ? (const char *)plane_at(f, chunk_of(f, slot), slot % FLAT_CHUNK, 1)
                          : (const char *)vector_at(f, slot);
    for (size_t at = 0; at < len && at < AHEAD * LINE; at += LINE)
        __builtin_prefetch(v + at);
}

/* Marks in the rough scores what is not to be looked at (again). */
#define PASSED (-FLT_MAX)

/* Strikes out what may not pass; returns how many may. */
static uint64_t strike_out(const struct flat *f, const struct flat_filter *filter, float *scores)
{
    uint64_t permitted = 0;
    for (uint32_t slot = 0; slot < f->slots; slot++) {
        const struct flat_chunk *c = f->chunks[slot / FLAT_CHUNK];
        uint32_t i = slot % FLAT_CHUNK;
        if (c->used[i] && c->scale[i] > 0 && (!filter || filter->permit(filter->ctx, slot)))
            permitted++;
        else
            scores[slot] = PASSED;
    }
    return permitted;
}

size_t flat_search(const struct flat *f, const float *unit, size_t k,
                   const struct flat_filter *filter, struct arena *arena,
                   struct topk_item *ret_items, uint64_t *ret_permitted)
{
    struct flat_query q;
    float *scores = arena_raw(arena, float, f->slots + 1);
    struct topk_item *items = arena_array(arena, struct topk_item, k);
    *ret_permitted = 0;
    if (!scores || !items || !k || !f->live || !flat_query_init(&q, f, unit, arena))
        return 0;
    struct topk rough, exact;
    flat_scores(f, &q, 1, &scores);
    *ret_permitted = strike_out(f, filter, scores);
    topk_init(&rough, items, k);
    topk_init(&exact, ret_items, k);
    for (uint32_t slot = 0; slot < f->slots; slot++)
        if (scores[slot] != PASSED)
            topk_offer(&rough, scores[slot], slot);
    for (size_t i = 0; i < rough.len; i++) {
        topk_offer(&exact, flat_exact(f, rough.items[i].id, &q), rough.items[i].id);
        scores[rough.items[i].id] = PASSED;
    }
    /* The k-th best so far is a bar that only rises: who cannot reach it is out. */
    for (uint32_t slot = 0; slot < f->slots && exact.len == k; slot++) {
        const struct flat_chunk *c = f->chunks[slot / FLAT_CHUNK];
        if (scores[slot] == PASSED ||
            scores[slot] + worst_error(f, q.error, c->error[slot % FLAT_CHUNK]) <
                exact.items[0].score)
            continue;
        topk_offer(&exact, flat_exact(f, slot, &q), slot);
    }
    return topk_sort(&exact);
}
