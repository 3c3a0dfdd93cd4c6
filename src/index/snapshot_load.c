/* SPDX-License-Identifier: MIT
 *
 * Loading an index by pieces.  Nothing of them is believed: each row has to be one that the
 * encoders could have made as far as a search relies on it, and each block one that the graph could
 * have written, whatever is there at its other end. */
#include "snapshot_priv.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "math/code_kernels.h"

struct snapshot_loader {
    struct vectors *index;
    uint32_t slots, chunks;
    uint8_t *got_codes, *got_links; /* [chunks] */
    uint32_t *seen;                 /* [slots]: the last block that links there */
    uint32_t block;
};

#define CORRUPT(...) err_set(err, QMN_E_CORRUPT, __VA_ARGS__)

/* ---- the head ---- */

static enum qmn_code check_head(const struct vectors *v, const struct snapshot_head *h,
                                uint32_t chunks, struct err *err)
{
    struct snapshot_head want = snapshot_head_of(v);
    if (h->order != want.order || h->format != want.format)
        return err_set(err, QMN_E_CONFLICT, "format %u of byte order %08x; %u of %08x expected",
                       h->format, h->order, want.format, want.order);
    want.slots = h->slots;
    if (memcmp(h, &want, sizeof want) != 0)
        return err_set(err, QMN_E_CONFLICT,
                       "an index of dimension %u, %u links, walk %u; %u, %u, %u expected", h->dim,
                       h->links, h->walk, want.dim, want.links, want.walk);
    if (!h->slots || h->slots > VECTORS_SLOTS_MAX ||
        (h->slots + ROWS_CHUNK - 1) / ROWS_CHUNK != chunks)
        return CORRUPT("%u slots in %u chunks", h->slots, chunks);
    return QMN_OK;
}

static bool finite_all(const float *x, size_t n)
{
    bool ok = true;
    for (size_t i = 0; i < n; i++)
        ok &= fabsf(x[i]) <= FLT_MAX;
    return ok;
}

static enum qmn_code load_centre(struct vectors *v, const char *from, struct err *err)
{
    size_t bytes = v->rows.codes.padded * sizeof(float);
    v->rows.centre = rows_slab_new(bytes, false);
    if (!v->rows.centre)
        return err_nomem(err);
    memcpy(v->rows.centre, from, bytes);
    return finite_all(v->rows.centre, v->rows.codes.padded) ? QMN_OK
                                                            : CORRUPT("the centre is not finite");
}

static enum qmn_code begin(const struct vectors_options *options, struct bytes head,
                           struct snapshot_loader *l, struct err *err)
{
    struct vectors_options o = *options;
    struct snapshot_head h;
    o.exact = VECTORS_EXACT_NONE;
    l->index = vectors_new(&o);
    if (!l->index)
        return err_nomem(err);
    if (head.len != snapshot_head_bytes(l->index))
        return CORRUPT("a head of %zu bytes; %zu expected", head.len,
                       snapshot_head_bytes(l->index));
    memcpy(&h, head.ptr, sizeof h);
    TRY(check_head(l->index, &h, l->chunks, err));
    TRY(load_centre(l->index, head.ptr + sizeof h, err));
    l->slots = h.slots;
    l->got_codes = mem_calloc(l->chunks, 1);
    l->got_links = mem_calloc(l->chunks, 1);
    l->index->graph = graph_new(&l->index->rows, &l->index->options);
    l->seen = mem_calloc(l->slots, sizeof *l->seen);
    /* the view that this publishes has the centre and the graph */
    if (!l->got_codes || !l->got_links || !l->seen || !l->index->graph ||
        !vectors_reserve(l->index, l->chunks * ROWS_CHUNK))
        return err_nomem(err);
    l->index->rows.slots = h.slots;
    return QMN_OK;
}

enum qmn_code snapshot_load_begin(const struct vectors_options *options, struct bytes head,
                                  uint32_t chunks, struct snapshot_loader **ret, struct err *err)
{
    struct snapshot_loader *l = mem_calloc(1, sizeof *l);
    if (!l)
        return err_nomem(err);
    l->chunks = chunks;
    enum qmn_code code = begin(options, head, l, err);
    if (code == QMN_OK)
        *ret = l;
    else
        snapshot_load_abort(l);
    return code;
}

void snapshot_load_abort(struct snapshot_loader *l)
{
    if (!l)
        return;
    vectors_free(l->index);
    mem_free(l->got_codes);
    mem_free(l->got_links);
    mem_free(l->seen);
    mem_free(l);
}

const struct vectors *snapshot_load_index(const struct snapshot_loader *l)
{
    return l->index;
}

/* ---- codes ---- */

static bool bits_fit(const struct codes *c, const void *row)
{
    const uint64_t *bits = row;
    const struct codes_tail *t = codes_tail_of(c, row);
    uint32_t ones = 0;
    for (uint32_t i = 0; i < c->padded / 64; i++)
        ones += (uint32_t)__builtin_popcountll(bits[i]);
    return ones == t->ones && t->factor >= 0 && t->factor <= FLT_MAX && t->error >= 0 &&
           t->error <= FLT_MAX && fabsf(t->add) <= FLT_MAX;
}

/* The square is made of the others, so it says whether they belong together. */
static bool i8_fit(const struct codes *c, const int8_t *row, struct rows_scale s)
{
    int32_t square;
    if (memchr(row, INT8_MIN & 0xff, c->padded) || !(s.scale >= 0 && s.scale <= FLT_MAX))
        return false;
    math_code_kernels()->dot_i8_at(&row, 1, row, c->padded, &square);
    float want = s.scale * s.scale * (float)square;
    return want <= FLT_MAX && want >= s.square && want <= s.square;
}

/* A chunk that was not full yet when it was saved has fewer slots than the index has in it now. */
static enum qmn_code codes_slots(const struct snapshot_loader *l, uint32_t chunk, size_t bytes,
                                 uint32_t *ret, struct err *err)
{
    size_t each = snapshot_codes_bytes(l->index, 1);
    uint32_t most = snapshot_slots_below(chunk, l->slots);
    if (bytes % each || bytes / each > most)
        return CORRUPT("codes of chunk %u are %zu bytes; up to %u times %zu expected", chunk, bytes,
                       most, each);
    *ret = (uint32_t)(bytes / each);
    return QMN_OK;
}

static void copy_codes(struct rows_chunk *c, const struct codes *codes, uint32_t slots,
                       const char *from)
{
    size_t bits = (size_t)slots * codes->bits_stride, i8 = (size_t)slots * codes->i8_stride;
    size_t none = ROWS_CHUNK - slots;
    memcpy(c->bits, from, bits);
    memcpy(c->i8, from + bits, i8);
    memcpy(c->scales, from + bits + i8, slots * sizeof *c->scales);
    memset(c->bits + bits, 0, none * codes->bits_stride);
    memset(c->i8 + i8, 0, none * codes->i8_stride);
    memset(c->scales + slots, 0, none * sizeof *c->scales);
}

enum qmn_code snapshot_load_codes(struct snapshot_loader *l, uint32_t chunk, struct bytes piece,
                                  struct err *err)
{
    struct rows_chunk *c = chunk < l->chunks ? l->index->rows.chunks[chunk] : NULL;
    const struct codes *codes = &l->index->rows.codes;
    uint32_t slots = 0;
    if (!c || l->got_codes[chunk])
        return CORRUPT("codes of chunk %u, of %u, come twice or not at all", chunk, l->chunks);
    TRY(codes_slots(l, chunk, piece.len, &slots, err));
    copy_codes(c, codes, slots, piece.ptr);
    for (uint32_t at = 0; at < slots; at++)
        if (!bits_fit(codes, c->bits + (size_t)at * codes->bits_stride) ||
            !i8_fit(codes, c->i8 + (size_t)at * codes->i8_stride, c->scales[at]))
            return CORRUPT("the codes of slot %u are none", chunk * ROWS_CHUNK + at);
    l->got_codes[chunk] = 1;
    return QMN_OK;
}

/* ---- links ---- */

static bool take(struct bytes *from, void *ret, size_t bytes)
{
    if (from->len < bytes)
        return false;
    memcpy(ret, from->ptr, bytes);
    *from = bytes_of(from->ptr + bytes, from->len - bytes);
    return true;
}

/* Bits are set of slots below `slots` only. */
static bool bits_below(const uint64_t *bits, uint32_t slots)
{
    uint64_t beyond = 0;
    for (uint32_t w = 0; w < ROWS_WORDS; w++) {
        uint32_t first = w * 64;
        uint64_t allowed = slots >= first + 64 ? UINT64_MAX
                           : slots > first     ? (UINT64_C(1) << (slots - first)) - 1
                                               : 0;
        beyond |= bits[w] & ~allowed;
    }
    return !beyond;
}

/* Which slots are live and linked, and how many the piece tells of. */
static enum qmn_code load_states(const struct snapshot_loader *l, uint32_t chunk,
                                 struct bytes *piece, uint32_t *ret_slots, struct err *err)
{
    struct rows_chunk *c = l->index->rows.chunks[chunk];
    uint64_t live[ROWS_WORDS] QMN_UNINIT, linked[ROWS_WORDS] QMN_UNINIT;
    uint16_t slots = 0;
    if (!take(piece, live, sizeof live) || !take(piece, linked, sizeof linked) ||
        !take(piece, &slots, sizeof slots) || piece->len < slots)
        return CORRUPT("links of chunk %u end in the midst", chunk);
    if (slots > snapshot_slots_below(chunk, l->slots) || !bits_below(live, slots) ||
        !bits_below(linked, slots))
        return CORRUPT("chunk %u has slots beyond %u of %u", chunk, slots, l->slots);
    for (uint32_t w = 0; w < ROWS_WORDS; w++) {
        atomic_store_explicit(&c->live[w], live[w], memory_order_relaxed);
        atomic_store_explicit(&c->linked[w], linked[w], memory_order_relaxed);
    }
    *ret_slots = slots;
    return QMN_OK;
}

/* Nothing twice, not itself, nothing beyond the end. */
static bool links_fit(struct snapshot_loader *l, const uint32_t *links, uint32_t count,
                      uint32_t slot)
{
    l->block++; /* of 2^28 slots one in 4 has upper levels: it never comes round */
    for (uint32_t i = 0; i < count; i++) {
        uint32_t to = links[i];
        if (to == slot || to >= l->slots || l->seen[to] == l->block)
            return false;
        l->seen[to] = l->block;
    }
    return true;
}

static enum qmn_code load_node(struct snapshot_loader *l, uint32_t slot, uint32_t level,
                               struct bytes *piece, struct err *err)
{
    struct graph *g = l->index->graph;
    uint32_t links[GRAPH_LINKS_MAX + 1] QMN_UNINIT;
    if (level >= GRAPH_LEVELS_MAX)
        return CORRUPT("slot %u reaches level %u", slot, level);
    if (!graph_place(g, slot, level))
        return err_nomem(err);
    for (uint32_t at = 0; at <= level; at++) {
        uint16_t count = 0;
        if (!take(piece, &count, sizeof count) || count > graph_room(g, at) ||
            !take(piece, links, count * sizeof *links))
            return CORRUPT("slot %u has %u links at level %u, or less", slot, count, at);
        if (!links_fit(l, links, count, slot))
            return CORRUPT("slot %u has links that cannot be", slot);
        graph_write(g, slot, at, links, count);
    }
    return QMN_OK;
}

/* Slots in the order of the piece.  slots: those it has levels of. */
static enum qmn_code load_nodes(struct snapshot_loader *l, uint32_t chunk, const char *levels,
                                uint32_t slots, struct bytes *piece, struct err *err)
{
    const struct rows_chunk *c = l->index->rows.chunks[chunk];
    for (uint32_t at = 0; at < slots; at++) {
        uint8_t level = (uint8_t)levels[at];
        if (rows_bit(c->linked, at))
            TRY(load_node(l, chunk * ROWS_CHUNK + at, level, piece, err));
        else if (level)
            return CORRUPT("slot %u has a level and no links", chunk * ROWS_CHUNK + at);
    }
    return piece->len ? CORRUPT("%zu bytes behind the links of chunk %u", piece->len, chunk)
                      : QMN_OK;
}

enum qmn_code snapshot_load_links(struct snapshot_loader *l, uint32_t chunk, struct bytes piece,
                                  struct err *err)
{
    uint32_t slots = 0;
    if (chunk >= l->chunks || l->got_links[chunk])
        return CORRUPT("links of chunk %u, of %u, come twice or not at all", chunk, l->chunks);
    TRY(load_states(l, chunk, &piece, &slots, err));
    struct bytes rest = bytes_of(piece.ptr + slots, piece.len - slots);
    TRY(load_nodes(l, chunk, piece.ptr, slots, &rest, err));
    l->got_links[chunk] = 1;
    return QMN_OK;
}

/* ---- the end ---- */

static enum qmn_code finish(struct snapshot_loader *l, struct snapshot_report *report,
                            struct err *err)
{
    for (uint32_t i = 0; i < l->chunks; i++)
        if (!l->got_codes[i] || !l->got_links[i])
            return CORRUPT("chunk %u is missing", i);
    return snapshot_mend(l->index, report) ? QMN_OK : err_nomem(err);
}

enum qmn_code snapshot_load_end(struct snapshot_loader *l, struct vectors **ret,
                                struct snapshot_report *ret_report, struct err *err)
{
    struct snapshot_report report = {0};
    enum qmn_code code = finish(l, &report, err);
    if (code == QMN_OK) {
        *ret = TAKE(l->index);
        *ret_report = report;
    }
    snapshot_load_abort(l);
    return code;
}
