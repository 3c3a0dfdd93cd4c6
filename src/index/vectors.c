/* SPDX-License-Identifier: MIT
 *
 * A stand-in with the whole interface: scans float32 vectors. */
#include "vectors.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "math/kernels.h"

struct vectors {
    struct vectors_options options;
    float *rows;
    bool *live;
    uint32_t slots, cap, live_count;
};

struct vectors_searcher {
    char unused;
};

struct vectors *vectors_new(const struct vectors_options *o)
{
    struct vectors *v = NULL;
    if (o->dim >= VECTORS_DIM_MIN && o->dim <= VECTORS_DIM_MAX && (v = mem_calloc(1, sizeof *v)))
        v->options = *o;
    return v;
}

void vectors_free(struct vectors *v)
{
    if (!v)
        return;
    mem_free(v->rows);
    mem_free(v->live);
    mem_free(v);
}

bool vectors_reserve(struct vectors *v, uint32_t more)
{
    uint32_t cap = v->cap ? v->cap : 64;
    while (cap < v->slots + more)
        cap *= 2;
    if (cap == v->cap)
        return true;
    float *rows = mem_resize(v->rows, cap, v->options.dim * sizeof *rows);
    if (!rows)
        return false;
    v->rows = rows;
    bool *live = mem_resize(v->live, cap, sizeof *live);
    if (!live)
        return false;
    v->live = live;
    v->cap = cap;
    return true;
}

uint32_t vectors_add(struct vectors *v, const float *x)
{
    uint32_t slot = 0;
    while (slot < v->slots && v->live[slot])
        slot++;
    v->slots += slot == v->slots;
    assert(v->slots <= v->cap);
    memcpy(v->rows + (size_t)slot * v->options.dim, x, v->options.dim * sizeof *x);
    v->live[slot] = true;
    v->live_count++;
    return slot;
}

void vectors_remove(struct vectors *v, uint32_t slot)
{
    v->live[slot] = false;
    v->live_count--;
}

bool vectors_has(const struct vectors *v, uint32_t slot)
{
    return slot < v->slots && v->live[slot];
}

void vectors_copy(const struct vectors *v, uint32_t slot, float *ret_x)
{
    memcpy(ret_x, v->rows + (size_t)slot * v->options.dim, v->options.dim * sizeof *ret_x);
}

enum vectors_left vectors_work(struct vectors *v, uint32_t budget)
{
    (void)v;
    (void)budget;
    return VECTORS_DONE;
}

struct vectors_searcher *vectors_searcher_new(void)
{
    return mem_calloc(1, sizeof(struct vectors_searcher));
}

void vectors_searcher_free(struct vectors_searcher *s)
{
    mem_free(s);
}

size_t vectors_permit_words(const struct vectors *v)
{
    return ((size_t)v->slots + 63) / 64;
}

bool vectors_search(const struct vectors *v, const struct vectors_query *q,
                    struct vectors_searcher *s, struct topk_item *ret, size_t *ret_count,
                    struct vectors_result_info *ret_info)
{
    (void)s;
    struct topk best;
    topk_init(&best, ret, q->k);
    for (uint32_t i = 0; i < v->slots; i++)
        if (v->live[i] && (!q->permit || q->permit[i / 64] >> i % 64 & 1))
            topk_offer(
                &best,
                math_kernels()->dot_f32(q->x, v->rows + (size_t)i * v->options.dim, v->options.dim),
                i);
    *ret_count = topk_sort(&best);
    if (ret_info)
        *ret_info = (struct vectors_result_info){.exact = true, .visited = v->live_count};
    return true;
}

void vectors_stats(const struct vectors *v, struct vectors_stats *ret)
{
    *ret = (struct vectors_stats){.slots = v->slots, .live = v->live_count, .fresh = v->live_count};
}

void vectors_validate(const struct vectors *v)
{
    assert(v->live_count <= v->slots && v->slots <= v->cap);
}
