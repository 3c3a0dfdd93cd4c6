/* SPDX-License-Identifier: MIT
 *
 * Saving an index by pieces. */
#include "snapshot_priv.h"

#include <string.h>

uint32_t snapshot_chunks(const struct vectors *v)
{
    return v->graph ? (v->rows.slots + ROWS_CHUNK - 1) / ROWS_CHUNK : 0;
}

struct snapshot_marks snapshot_marks(const struct vectors *v, uint32_t chunk)
{
    const struct rows_chunk *c = v->rows.chunks[chunk];
    return (struct snapshot_marks){.codes = c->codes_mark, .links = c->links_mark};
}

uint64_t snapshot_epoch(const struct vectors *v)
{
    return v->rows.centred;
}

uint32_t snapshot_slots(const struct vectors *v, uint32_t chunk)
{
    return snapshot_slots_below(chunk, v->rows.slots);
}

size_t snapshot_codes_bytes(const struct vectors *v, uint32_t slots)
{
    const struct codes *c = &v->rows.codes;
    return slots * ((size_t)c->bits_stride + c->i8_stride + sizeof(struct rows_scale));
}

size_t snapshot_head_bytes(const struct vectors *v)
{
    return sizeof(struct snapshot_head) + v->rows.codes.padded * sizeof(float);
}

size_t snapshot_links_most(const struct vectors *v)
{
    size_t links = 2 * (size_t)v->options.links, levels = GRAPH_LEVELS_MAX;
    size_t node = 1 + levels * (sizeof(uint16_t) + links * sizeof(uint32_t));
    return (size_t)2 * ROWS_WORDS * sizeof(uint64_t) + sizeof(uint16_t) + ROWS_CHUNK * node;
}

void snapshot_put_head(const struct vectors *v, struct buf *b)
{
    struct snapshot_head head = snapshot_head_of(v);
    buf_add(b, &head, sizeof head);
    buf_add(b, v->rows.centre, v->rows.codes.padded * sizeof(float));
}

/* Live or linked: its codes are asked for. */
static bool is_used(const struct rows_chunk *c, uint32_t at)
{
    return rows_bit(c->live, at) || rows_bit(c->linked, at);
}

/* One of the arrays of a chunk; what unused slots hold is nobody's business. */
static void put_array(const struct rows_chunk *c, uint32_t slots, const void *array, size_t stride,
                      struct buf *b)
{
    char *to = buf_reserve(b, slots * stride);
    if (!to)
        return;
    for (uint32_t at = 0; at < slots; at++, to += stride)
        if (is_used(c, at))
            memcpy(to, (const char *)array + at * stride, stride);
        else
            memset(to, 0, stride);
    b->len += slots * stride;
}

void snapshot_put_codes(const struct vectors *v, uint32_t chunk, struct buf *b)
{
    const struct rows_chunk *c = v->rows.chunks[chunk];
    uint32_t slots = snapshot_slots(v, chunk);
    put_array(c, slots, c->bits, v->rows.codes.bits_stride, b);
    put_array(c, slots, c->i8, v->rows.codes.i8_stride, b);
    put_array(c, slots, c->scales, sizeof *c->scales, b);
}

static void put_levels(const struct vectors *v, uint32_t chunk, uint32_t slots, struct buf *b)
{
    const struct rows_chunk *c = v->rows.chunks[chunk];
    for (uint32_t at = 0; at < slots; at++) {
        bool linked = rows_bit(c->linked, at);
        buf_addc(b, (char)(linked ? graph_level_of(v->graph, chunk * ROWS_CHUNK + at) : 0));
    }
}

static void put_node(const struct graph *g, uint32_t slot, struct buf *b)
{
    for (uint32_t level = 0; level <= graph_level_of(g, slot); level++) {
        const struct graph_block *block = graph_block_of(g, slot, level);
        uint16_t count = (uint16_t)graph_count(block);
        buf_add(b, &count, sizeof count);
        for (uint32_t i = 0; i < count; i++) {
            uint32_t link = graph_link(block, i);
            buf_add(b, &link, sizeof link);
        }
    }
}

static void put_words(const _Atomic uint64_t *words, struct buf *b)
{
    for (uint32_t w = 0; w < ROWS_WORDS; w++) {
        uint64_t word = rows_word(words, w);
        buf_add(b, &word, sizeof word);
    }
}

void snapshot_put_links(const struct vectors *v, uint32_t chunk, struct buf *b)
{
    const struct rows_chunk *c = v->rows.chunks[chunk];
    uint32_t slots = snapshot_slots(v, chunk);
    uint16_t told = (uint16_t)slots;
    put_words(c->live, b);
    put_words(c->linked, b);
    buf_add(b, &told, sizeof told);
    put_levels(v, chunk, slots, b);
    for (uint32_t at = 0; at < slots; at++)
        if (rows_bit(c->linked, at))
            put_node(v->graph, chunk * ROWS_CHUNK + at, b);
}
