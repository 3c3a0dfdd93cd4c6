/* SPDX-License-Identifier: MIT
 *
 * Slabs of rows, and the states of their slots. */
#include "rows.h"

#include <assert.h>
#include <math.h>
#include <string.h>
#include <sys/mman.h>

#include "base/mem.h"
#include "math/code_kernels.h"
#include "math/kernels.h"

enum { HUGE_PAGE_BYTES = 2 << 20, CENTRE_SAMPLE = 4096 };

bool rows_init(struct rows *r, const struct vectors_options *o)
{
    *r = (struct rows){.exact = o->exact ? o->exact : VECTORS_EXACT_NONE};
    if (!codes_init(&r->codes, o->dim, o->seed))
        return false;
    uint32_t element = r->exact == VECTORS_EXACT_F32 ? sizeof(float) : sizeof(uint16_t);
    uint32_t bytes = r->exact == VECTORS_EXACT_NONE ? 0 : o->dim * element;
    r->exact_stride = (bytes + ROWS_LINE_BYTES - 1) / ROWS_LINE_BYTES * ROWS_LINE_BYTES;
    for (int i = 0; i < 2; i++)
        r->scratch[i] = rows_slab_new(r->codes.padded * sizeof(float), false);
    if (r->scratch[0] && r->scratch[1])
        return true;
    rows_release(r);
    return false;
}

static void chunk_free(struct rows_chunk *c)
{
    if (!c)
        return;
    mem_free(c->bits);
    mem_free(c->i8);
    mem_free(c->scales);
    mem_free(c->exact);
    mem_free(c);
}

void rows_release(struct rows *r)
{
    for (uint32_t i = 0; i < r->chunk_count; i++)
        chunk_free(r->chunks[i]);
    mem_free(r->chunks);
    mem_free(r->centre);
    mem_free(r->scratch[0]);
    mem_free(r->scratch[1]);
    codes_release(&r->codes);
    *r = (struct rows){0};
}

void *rows_slab_new(size_t bytes, bool huge)
{
    size_t align = huge && bytes >= HUGE_PAGE_BYTES ? HUGE_PAGE_BYTES : ROWS_LINE_BYTES;
    void *p = mem_alloc_aligned(align, bytes);
    if (p && align == HUGE_PAGE_BYTES)
        (void)madvise(p, bytes, MADV_HUGEPAGE); /* advice only */
    return p;
}

static struct rows_chunk *chunk_new(const struct rows *r, bool huge)
{
    struct rows_chunk *c = mem_calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->bits = rows_slab_new((size_t)ROWS_CHUNK * r->codes.bits_stride, huge);
    c->i8 = rows_slab_new((size_t)ROWS_CHUNK * r->codes.i8_stride, huge);
    c->scales = rows_slab_new(ROWS_CHUNK * sizeof *c->scales, huge);
    if (r->exact_stride)
        c->exact = rows_slab_new((size_t)ROWS_CHUNK * r->exact_stride, huge);
    if (c->bits && c->i8 && c->scales && (c->exact || !r->exact_stride))
        return c;
    chunk_free(c);
    return NULL;
}

static uint32_t used(const struct rows *r)
{
    return rows_count(&r->live) + rows_count(&r->dead) + r->waiting;
}

bool rows_has_room(const struct rows *r, uint32_t more)
{
    return (uint64_t)used(r) + more <= rows_room(r);
}

/* A table with room for as many; the one before may be in a search's hands. */
static bool grow_table(struct rows *r, uint32_t chunks)
{
    uint32_t want = r->chunk_cap ? r->chunk_cap * 2 : 4;
    while (want < chunks)
        want *= 2;
    struct rows_chunk **p = mem_calloc(want, sizeof(struct rows_chunk *));
    if (!p)
        return false;
    if (r->chunk_count)
        memcpy(p, r->chunks, r->chunk_count * sizeof(struct rows_chunk *));
    r->chunks = p;
    r->chunk_cap = want;
    return true;
}

bool rows_reserve(struct rows *r, uint32_t more)
{
    if (more > VECTORS_SLOTS_MAX - used(r))
        return false;
    uint32_t chunks = (used(r) + more + ROWS_CHUNK - 1) / ROWS_CHUNK;
    if (chunks > r->chunk_cap && !grow_table(r, chunks))
        return false;
    while (r->chunk_count < chunks) {
        struct rows_chunk *c = chunk_new(r, r->chunk_count > 0);
        if (!c)
            return false;
        r->chunks[r->chunk_count++] = c;
    }
    return true;
}

/* ---- states ---- */

/* Nobody else writes, so that neither words nor counts need an operation that locks the bus. */
static void put_bit(_Atomic uint64_t *bits, uint32_t slot, bool on)
{
    _Atomic uint64_t *word = &bits[slot % ROWS_CHUNK / 64];
    uint64_t bit = (uint64_t)1 << slot % 64, old = atomic_load_explicit(word, memory_order_relaxed);
    atomic_store_explicit(word, on ? old | bit : old & ~bit, memory_order_release);
}

static void count_by(_Atomic uint32_t *count, int by)
{
    uint32_t old = atomic_load_explicit(count, memory_order_relaxed);
    atomic_store_explicit(count, old + (uint32_t)by, memory_order_release);
}

static uint64_t used_word(const struct rows_chunk *c, uint32_t w)
{
    return rows_word(c->live, w) | rows_word(c->linked, w) | c->waiting[0][w] | c->waiting[1][w];
}

static uint32_t first_free(const struct rows *r)
{
    for (uint32_t i = 0; i < r->chunk_count; i++) {
        const struct rows_chunk *c = r->chunks[i];
        for (uint32_t w = 0; rows_count(&c->used) < ROWS_CHUNK && w < ROWS_WORDS; w++) {
            uint64_t free_bits = ~used_word(c, w);
            if (free_bits)
                return i * ROWS_CHUNK + w * 64 + (uint32_t)__builtin_ctzll(free_bits);
        }
    }
    assert(false); /* nothing was reserved */
    return 0;
}

uint32_t rows_first_fresh(const struct rows *r)
{
    for (uint32_t i = 0; i < r->chunk_count; i++) {
        const struct rows_chunk *c = r->chunks[i];
        for (uint32_t w = 0; rows_count(&c->fresh) && w < ROWS_WORDS; w++) {
            uint64_t bits = rows_word(c->live, w) & ~rows_word(c->linked, w);
            if (bits)
                return i * ROWS_CHUNK + w * 64 + (uint32_t)__builtin_ctzll(bits);
        }
    }
    assert(false); /* nothing is fresh */
    return 0;
}

static void write_exact(struct rows *r, void *to, const float *x)
{
    if (r->exact == VECTORS_EXACT_F16)
        math_kernels()->f32_to_f16(x, r->codes.dim, to);
    else if (r->exact == VECTORS_EXACT_F32)
        memcpy(to, x, r->codes.dim * sizeof *x);
}

static struct rows_scale quantise(const float *rotated, uint32_t padded, int8_t *ret_codes)
{
    const int8_t *row = ret_codes;
    int32_t square;
    float scale = math_kernels()->quantise_i8(rotated, padded, ret_codes);
    math_code_kernels()->dot_i8_at(&row, 1, ret_codes, padded, &square);
    return (struct rows_scale){scale, scale * scale * (float)square};
}

uint32_t rows_add(struct rows *r, const float *x)
{
    uint32_t slot = first_free(r), padded = r->codes.padded, at = slot % ROWS_CHUNK;
    struct rows_chunk *c = r->chunks[slot / ROWS_CHUNK];
    float *rotated = r->scratch[0];
    rotation_apply(&r->codes.rotation, x, rotated);
    codes_encode(&r->codes, rotated, r->centre, r->scratch[1],
                 c->bits + (size_t)at * r->codes.bits_stride);
    c->scales[at] = quantise(rotated, padded, c->i8 + (size_t)at * r->codes.i8_stride);
    if (c->exact)
        write_exact(r, c->exact + (size_t)at * r->exact_stride, x);
    c->codes_mark++;
    c->links_mark++;
    count_by(&c->fresh, 1);
    count_by(&c->used, 1);
    count_by(&r->live, 1);
    count_by(&r->fresh, 1);
    if (slot >= rows_count(&r->slots))
        atomic_store_explicit(&r->slots, slot + 1, memory_order_release);
    put_bit(c->live, slot, true);
    return slot;
}

/* Nothing leads to it any more. */
static void let_wait(struct rows *r, uint32_t slot)
{
    struct rows_chunk *c = r->chunks[slot / ROWS_CHUNK];
    c->waiting[r->young][slot % ROWS_CHUNK / 64] |= (uint64_t)1 << slot % 64;
    c->waiting_count[r->young]++;
    r->waiting++;
}

void rows_age(struct rows *r)
{
    uint32_t old = r->young ^ 1;
    for (uint32_t i = 0; r->waiting && i < r->chunk_count; i++) {
        struct rows_chunk *c = r->chunks[i];
        if (!c->waiting_count[old])
            continue;
        count_by(&c->used, -(int)c->waiting_count[old]);
        r->waiting -= c->waiting_count[old];
        c->waiting_count[old] = 0;
        memset(c->waiting[old], 0, sizeof c->waiting[old]);
    }
    r->young = old;
}

void rows_remove(struct rows *r, uint32_t slot)
{
    struct rows_chunk *c = r->chunks[slot / ROWS_CHUNK];
    assert(slot < rows_count(&r->slots) && rows_bit(c->live, slot));
    put_bit(c->live, slot, false);
    c->links_mark++;
    count_by(&r->live, -1);
    if (rows_bit(c->linked, slot)) {
        count_by(&r->linked, -1);
        count_by(&r->dead, 1);
    } else {
        count_by(&c->fresh, -1);
        count_by(&r->fresh, -1);
        let_wait(r, slot);
    }
}

void rows_link(struct rows *r, uint32_t slot)
{
    struct rows_chunk *c = r->chunks[slot / ROWS_CHUNK];
    assert(rows_bit(c->live, slot) && !rows_bit(c->linked, slot));
    put_bit(c->linked, slot, true);
    c->links_mark++;
    count_by(&c->fresh, -1);
    count_by(&r->fresh, -1);
    count_by(&r->linked, 1);
}

void rows_unlink(struct rows *r, uint32_t slot)
{
    struct rows_chunk *c = r->chunks[slot / ROWS_CHUNK];
    assert(rows_bit(c->linked, slot));
    put_bit(c->linked, slot, false);
    c->links_mark++;
    c->doomed[slot % ROWS_CHUNK / 64] &= ~((uint64_t)1 << slot % 64);
    if (rows_bit(c->live, slot)) {
        count_by(&c->fresh, 1);
        count_by(&r->fresh, 1);
        count_by(&r->linked, -1);
    } else {
        count_by(&r->dead, -1);
        let_wait(r, slot);
    }
}

void rows_doom(struct rows *r)
{
    for (uint32_t i = 0; i < r->chunk_count; i++)
        for (uint32_t w = 0; w < ROWS_WORDS; w++)
            r->chunks[i]->doomed[w] =
                rows_word(r->chunks[i]->linked, w) & ~rows_word(r->chunks[i]->live, w);
}

/* ---- the centre ---- */

/* ret += weight row */
static void add_row(const struct rows *r, uint32_t slot, float weight, float *restrict ret)
{
    const int8_t *row = rows_i8(r, slot);
    weight *= rows_scale_of(r, slot).scale;
    for (uint32_t i = 0; i < r->codes.padded; i++)
        ret[i] += weight * (float)row[i];
}

/* The mean of CENTRE_SAMPLE live rows, spread over all. */
static void find_centre(const struct rows *r, float *ret)
{
    uint32_t live = rows_count(&r->live), slots = rows_count(&r->slots), seen = 0;
    uint32_t every = live / CENTRE_SAMPLE + 1, count = (live + every - 1) / every;
    memset(ret, 0, r->codes.padded * sizeof *ret);
    for (uint32_t slot = 0; slot < slots; slot++)
        if (rows_is_live(r, slot) && seen++ % every == 0)
            add_row(r, slot, 1 / (float)count, ret);
}

/* A table of chunks with bits of their own, not written yet; all else is shared. */
static struct rows_chunk **twin_chunks(const struct rows *r)
{
    struct rows_chunk **p = mem_calloc(r->chunk_cap, sizeof(struct rows_chunk *));
    for (uint32_t i = 0; p && i < r->chunk_count; i++) {
        char *bits = rows_slab_new((size_t)ROWS_CHUNK * r->codes.bits_stride, i > 0);
        if (!bits || !(p[i] = mem_alloc(sizeof **p))) {
            mem_free(bits);
            rows_release_bits(&(struct rows){.chunks = p, .chunk_count = i});
            return NULL;
        }
        memcpy(p[i], r->chunks[i], sizeof **p);
        p[i]->bits = bits;
    }
    return p;
}

void rows_release_bits(struct rows *before)
{
    for (uint32_t i = 0; i < before->chunk_count; i++) {
        mem_free(before->chunks[i]->bits);
        mem_free(before->chunks[i]);
    }
    mem_free(before->chunks);
    mem_free(before->centre);
}

static void encode_anew(struct rows *r, uint32_t slot)
{
    struct rows_chunk *c = r->chunks[slot / ROWS_CHUNK];
    memset(r->scratch[0], 0, r->codes.padded * sizeof(float));
    add_row(r, slot, 1, r->scratch[0]);
    codes_encode(&r->codes, r->scratch[0], r->centre, r->scratch[1],
                 c->bits + (size_t)(slot % ROWS_CHUNK) * r->codes.bits_stride);
}

bool rows_centre(struct rows *r)
{
    float *centre = rows_slab_new(r->codes.padded * sizeof(float), false);
    struct rows_chunk **chunks = centre ? twin_chunks(r) : NULL;
    if (!chunks) {
        mem_free(centre);
        return false;
    }
    find_centre(r, centre);
    r->centre = centre;
    r->chunks = chunks;
    r->centred++;
    for (uint32_t i = 0; i < r->chunk_count; i++)
        chunks[i]->codes_mark++;
    for (uint32_t slot = 0; slot < rows_count(&r->slots); slot++)
        if (rows_is_live(r, slot))
            encode_anew(r, slot);
    return true;
}

/* ---- without the exact copies ---- */

bool rows_drop_exact(struct rows *r)
{
    struct rows_chunk **p = mem_calloc(r->chunk_cap + 1, sizeof(struct rows_chunk *));
    for (uint32_t i = 0; p && i < r->chunk_count; i++) {
        if (!(p[i] = mem_alloc(sizeof **p))) {
            while (i-- > 0)
                mem_free(p[i]);
            mem_free(p);
            return false;
        }
        memcpy(p[i], r->chunks[i], sizeof **p);
        p[i]->exact = NULL;
    }
    if (!p)
        return false;
    r->chunks = p;
    r->exact = VECTORS_EXACT_NONE;
    r->exact_stride = 0;
    return true;
}

void rows_release_exact(struct rows *before)
{
    for (uint32_t i = 0; i < before->chunk_count; i++) {
        mem_free(before->chunks[i]->exact);
        mem_free(before->chunks[i]);
    }
    mem_free(before->chunks);
}

/* ---- scores ---- */

float rows_score_exact(const struct rows *r, uint32_t slot, const float *x)
{
    if (r->exact == VECTORS_EXACT_F16)
        return math_kernels()->dot_f32_f16(x, rows_exact(r, slot), r->codes.dim);
    return math_kernels()->dot_f32(x, rows_exact(r, slot), r->codes.dim);
}

float rows_score_i8(const struct rows *r, uint32_t slot, const struct codes_query *q)
{
    return rows_scale_of(r, slot).scale *
           math_code_kernels()->dot_f32_i8(q->rotated, rows_i8(r, slot), r->codes.padded);
}

void rows_copy(const struct rows *r, uint32_t slot, float *ret_x)
{
    if (r->exact == VECTORS_EXACT_F32) {
        memcpy(ret_x, rows_exact(r, slot), r->codes.dim * sizeof *ret_x);
    } else if (r->exact == VECTORS_EXACT_F16) {
        math_kernels()->f16_to_f32(rows_exact(r, slot), r->codes.dim, ret_x);
    } else {
        float rotated[VECTORS_DIM_MAX] QMN_UNINIT;
        for (uint32_t i = 0; i < r->codes.padded; i++)
            rotated[i] = rows_scale_of(r, slot).scale * (float)rows_i8(r, slot)[i];
        rotation_undo(&r->codes.rotation, rotated, ret_x);
    }
}

static uint32_t count_ones(uint64_t word)
{
    return (uint32_t)__builtin_popcountll(word);
}

void rows_validate(const struct rows *r)
{
    uint32_t live = 0, linked = 0, dead = 0, waiting = 0;
    for (uint32_t i = 0; i < r->chunk_count; i++) {
        const struct rows_chunk *c = r->chunks[i];
        uint32_t fresh = 0, used_count = 0;
        for (uint32_t w = 0; w < ROWS_WORDS; w++) {
            uint64_t is_live = rows_word(c->live, w), is_linked = rows_word(c->linked, w);
            fresh += count_ones(is_live & ~is_linked);
            used_count += count_ones(used_word(c, w));
            live += count_ones(is_live);
            linked += count_ones(is_live & is_linked);
            dead += count_ones(is_linked & ~is_live);
            waiting += count_ones(c->waiting[0][w] | c->waiting[1][w]);
            assert(!(c->doomed[w] & (is_live | ~is_linked)));
            assert(!((c->waiting[0][w] | c->waiting[1][w]) & (is_live | is_linked)));
        }
        assert(fresh == c->fresh && used_count == c->used);
    }
    assert(live == r->live && linked == r->linked && dead == r->dead && live - linked == r->fresh);
    assert(waiting == r->waiting && r->slots <= rows_room(r));
}
