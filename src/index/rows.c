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

bool rows_has_room(const struct rows *r, uint32_t more)
{
    return (uint64_t)r->live + r->dead + more <= (uint64_t)r->chunk_count * ROWS_CHUNK;
}

bool rows_reserve(struct rows *r, uint32_t more)
{
    uint32_t used = r->live + r->dead;
    if (more > VECTORS_SLOTS_MAX - used)
        return false;
    uint32_t chunks = (used + more + ROWS_CHUNK - 1) / ROWS_CHUNK;
    if (chunks > r->chunk_cap) {
        uint32_t want = r->chunk_cap ? r->chunk_cap * 2 : 4;
        while (want < chunks)
            want *= 2;
        struct rows_chunk **p = mem_resize(r->chunks, want, sizeof(struct rows_chunk *));
        if (!p)
            return false;
        r->chunks = p;
        r->chunk_cap = want;
    }
    while (r->chunk_count < chunks) {
        struct rows_chunk *c = chunk_new(r, r->chunk_count > 0);
        if (!c)
            return false;
        r->chunks[r->chunk_count++] = c;
    }
    return true;
}

/* ---- states ---- */

static void set_bit(uint64_t *bits, uint32_t slot)
{
    bits[slot % ROWS_CHUNK / 64] |= (uint64_t)1 << slot % 64;
}

static void clear_bit(uint64_t *bits, uint32_t slot)
{
    bits[slot % ROWS_CHUNK / 64] &= ~((uint64_t)1 << slot % 64);
}

static uint32_t first_free(const struct rows *r)
{
    for (uint32_t i = 0; i < r->chunk_count; i++) {
        const struct rows_chunk *c = r->chunks[i];
        for (uint32_t w = 0; c->used < ROWS_CHUNK && w < ROWS_WORDS; w++) {
            uint64_t free_bits = ~(c->live[w] | c->linked[w]);
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
        for (uint32_t w = 0; c->fresh && w < ROWS_WORDS; w++) {
            uint64_t bits = c->live[w] & ~c->linked[w];
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
    set_bit(c->live, slot);
    c->codes_mark++;
    c->links_mark++;
    c->fresh++;
    c->used++;
    r->live++;
    r->fresh++;
    if (slot >= r->slots)
        r->slots = slot + 1;
    return slot;
}

void rows_remove(struct rows *r, uint32_t slot)
{
    struct rows_chunk *c = r->chunks[slot / ROWS_CHUNK];
    assert(slot < r->slots && rows_bit(c->live, slot));
    clear_bit(c->live, slot);
    c->links_mark++;
    r->live--;
    if (rows_bit(c->linked, slot)) {
        r->linked--;
        r->dead++;
    } else {
        c->fresh--;
        c->used--;
        r->fresh--;
    }
}

void rows_link(struct rows *r, uint32_t slot)
{
    struct rows_chunk *c = r->chunks[slot / ROWS_CHUNK];
    assert(rows_bit(c->live, slot) && !rows_bit(c->linked, slot));
    set_bit(c->linked, slot);
    c->links_mark++;
    c->fresh--;
    r->fresh--;
    r->linked++;
}

void rows_unlink(struct rows *r, uint32_t slot)
{
    struct rows_chunk *c = r->chunks[slot / ROWS_CHUNK];
    assert(rows_bit(c->linked, slot));
    clear_bit(c->linked, slot);
    clear_bit(c->doomed, slot);
    c->links_mark++;
    if (rows_bit(c->live, slot)) {
        c->fresh++;
        r->fresh++;
        r->linked--;
    } else {
        c->used--;
        r->dead--;
    }
}

void rows_doom(struct rows *r)
{
    for (uint32_t i = 0; i < r->chunk_count; i++)
        for (uint32_t w = 0; w < ROWS_WORDS; w++)
            r->chunks[i]->doomed[w] = r->chunks[i]->linked[w] & ~r->chunks[i]->live[w];
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
    uint32_t every = r->live / CENTRE_SAMPLE + 1, count = (r->live + every - 1) / every, seen = 0;
    memset(ret, 0, r->codes.padded * sizeof *ret);
    for (uint32_t slot = 0; slot < r->slots; slot++)
        if (rows_is_live(r, slot) && seen++ % every == 0)
            add_row(r, slot, 1 / (float)count, ret);
}

bool rows_centre(struct rows *r)
{
    size_t bytes = r->codes.padded * sizeof(float);
    if (!r->centre && !(r->centre = rows_slab_new(bytes, false)))
        return false;
    find_centre(r, r->centre);
    r->centred++;
    for (uint32_t i = 0; i < r->chunk_count; i++)
        r->chunks[i]->codes_mark++;
    for (uint32_t slot = 0; slot < r->slots; slot++) {
        struct rows_chunk *c = r->chunks[slot / ROWS_CHUNK];
        uint32_t at = slot % ROWS_CHUNK;
        if (!rows_bit(c->live, slot) && !rows_bit(c->linked, slot))
            continue;
        memset(r->scratch[0], 0, bytes);
        add_row(r, slot, 1, r->scratch[0]);
        codes_encode(&r->codes, r->scratch[0], r->centre, r->scratch[1],
                     c->bits + (size_t)at * r->codes.bits_stride);
    }
    return true;
}

void rows_drop_exact(struct rows *r)
{
    for (uint32_t i = 0; i < r->chunk_count; i++)
        mem_free(TAKE(r->chunks[i]->exact));
    r->exact = VECTORS_EXACT_NONE;
    r->exact_stride = 0;
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

void rows_validate(const struct rows *r)
{
    uint32_t live = 0, linked = 0, dead = 0;
    for (uint32_t i = 0; i < r->chunk_count; i++) {
        const struct rows_chunk *c = r->chunks[i];
        uint32_t fresh = 0, used = 0;
        for (uint32_t w = 0; w < ROWS_WORDS; w++) {
            fresh += (uint32_t)__builtin_popcountll(c->live[w] & ~c->linked[w]);
            used += (uint32_t)__builtin_popcountll(c->live[w] | c->linked[w]);
            live += (uint32_t)__builtin_popcountll(c->live[w]);
            linked += (uint32_t)__builtin_popcountll(c->live[w] & c->linked[w]);
            dead += (uint32_t)__builtin_popcountll(c->linked[w] & ~c->live[w]);
            assert(!(c->doomed[w] & (c->live[w] | ~c->linked[w])));
        }
        assert(fresh == c->fresh && used == c->used);
    }
    assert(live == r->live && linked == r->linked && dead == r->dead && live - linked == r->fresh);
    assert(r->slots <= r->chunk_count * ROWS_CHUNK);
}
