/* SPDX-License-Identifier: MIT
 *
 * Joins the tiers: which of them a slot is in, and which of them a search asks. */
#include "vectors.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "vectors_priv.h"

enum {
    LINKS = 32,
    EF_CONSTRUCTION = 200,
    FLAT_MAX = 20000,  /* a scan of them takes as long as a walk of recall .98 through hard data */
    WALK_I8_DIM = 128, /* up to here int8 fills hardly more cache lines than the bits */
    SWEEP_SHARE = 10,  /* dead rows among the linked: a sweep begins */
    ROT_SHARE = 4,     /* ... and goes before linking */
};

static struct vectors_options with_defaults(struct vectors_options o)
{
    o.exact = o.exact ? o.exact : VECTORS_EXACT_NONE;
    if (!o.walk)
        o.walk = o.dim <= WALK_I8_DIM ? VECTORS_WALK_I8 : VECTORS_WALK_BITS;
    o.links = o.links ? o.links : LINKS;
    o.ef_construction = o.ef_construction ? o.ef_construction : EF_CONSTRUCTION;
    o.flat_max = o.flat_max ? o.flat_max : FLAT_MAX;
    return o;
}

static bool in_range(const struct vectors_options *o)
{
    return o->dim >= VECTORS_DIM_MIN && o->dim <= VECTORS_DIM_MAX &&
           o->exact <= VECTORS_EXACT_F32 && o->walk <= VECTORS_WALK_I8 && o->links >= 4 &&
           o->links <= LINKS && o->ef_construction >= o->links &&
           o->ef_construction <= VECTORS_EF_MAX;
}

struct vectors *vectors_new(const struct vectors_options *options)
{
    struct vectors_options o = with_defaults(*options);
    struct vectors *v = in_range(&o) ? mem_calloc(1, sizeof *v) : NULL;
    if (!v)
        return NULL;
    v->options = o;
    if (rows_init(&v->rows, &o))
        return v;
    mem_free(v);
    return NULL;
}

void vectors_free(struct vectors *v)
{
    if (!v)
        return;
    graph_free(v->graph);
    rows_release(&v->rows);
    mem_free(v);
}

bool vectors_reserve(struct vectors *v, uint32_t more)
{
    return rows_reserve(&v->rows, more);
}

bool vectors_has_room(const struct vectors *v, uint32_t more)
{
    return rows_has_room(&v->rows, more);
}

uint32_t vectors_add(struct vectors *v, const float *x)
{
    return rows_add(&v->rows, x);
}

void vectors_remove(struct vectors *v, uint32_t slot)
{
    rows_remove(&v->rows, slot);
}

bool vectors_has(const struct vectors *v, uint32_t slot)
{
    return slot < v->rows.slots && rows_is_live(&v->rows, slot);
}

bool vectors_has_graph(const struct vectors *v)
{
    return v->graph != NULL;
}

void vectors_drop_exact(struct vectors *v)
{
    v->options.exact = VECTORS_EXACT_NONE;
    rows_drop_exact(&v->rows);
}

enum vectors_exact vectors_exact(const struct vectors *v)
{
    return v->options.exact;
}

void vectors_copy(const struct vectors *v, uint32_t slot, float *ret_x)
{
    rows_copy(&v->rows, slot, ret_x);
}

size_t vectors_permit_words(const struct vectors *v)
{
    return ((size_t)v->rows.slots + 63) / 64;
}

/* ---- moving between the tiers ---- */

/* All linked rows are fresh then, and the dead free. */
static void drop_graph(struct vectors *v)
{
    for (uint32_t slot = 0; slot < v->rows.slots; slot++)
        if (rows_is_linked(&v->rows, slot))
            rows_unlink(&v->rows, slot);
    graph_free(v->graph);
    v->graph = NULL;
}

/* The centre is worth its cost from here on only: a scan is fast enough without. */
static bool make_graph(struct vectors *v)
{
    struct graph *g = graph_new(&v->rows, &v->options);
    if (g && rows_centre(&v->rows)) {
        v->graph = g;
        return true;
    }
    graph_free(g);
    return false;
}

/* So many dead are worth a sweep over all. */
static bool sweep_is_due(const struct vectors *v)
{
    return v->rows.dead > (v->rows.linked + v->rows.dead) / SWEEP_SHARE;
}

static bool sweep(struct vectors *v, uint32_t *budget)
{
    if (!graph_sweeping(v->graph))
        graph_sweep_begin(v->graph);
    return graph_sweep(v->graph, budget);
}

/* Links come first, since each search scans what is not linked, unless the graph rots. */
static enum vectors_left work_on_graph(struct vectors *v, uint32_t budget)
{
    while (budget) {
        bool due = graph_sweeping(v->graph) || sweep_is_due(v);
        bool rots = v->rows.dead > (v->rows.linked + v->rows.dead) / ROT_SHARE;
        if (due && (rots || !v->rows.fresh)) {
            if (!sweep(v, &budget))
                return VECTORS_NOMEM;
        } else if (v->rows.fresh) {
            if (!graph_insert(v->graph, rows_first_fresh(&v->rows)))
                return VECTORS_NOMEM;
            budget--;
        } else {
            return VECTORS_DONE;
        }
    }
    return VECTORS_MORE;
}

enum vectors_left vectors_work(struct vectors *v, uint32_t budget)
{
    uint32_t flat_max = v->options.flat_max;
    if (v->graph && (v->rows.live < flat_max / 2 || (v->rows.dead && !v->rows.linked)))
        drop_graph(v);
    if (!v->graph && v->rows.live <= flat_max)
        return VECTORS_DONE;
    if (!v->graph && !make_graph(v))
        return VECTORS_NOMEM;
    return work_on_graph(v, budget);
}

/* ---- searching ---- */

struct vectors_searcher *vectors_searcher_new(void)
{
    struct vectors_searcher *s = mem_calloc(1, sizeof *s);
    if (!s || !(s->room = mem_alloc(sizeof *s->room))) {
        mem_free(s);
        return NULL;
    }
    return s;
}

void vectors_searcher_free(struct vectors_searcher *s)
{
    if (!s)
        return;
    codes_query_release(&s->query);
    walker_release(&s->walker);
    mem_free(s->room);
    mem_free(s);
}

/* A walk costs as much as a scan of flat_max; among a share s of the rows it takes 1 / s as long,
 * and a scan of them n s. */
static bool scan_is_better(const struct vectors *v, const struct vectors_query *q)
{
    uint64_t n = v->rows.live, flat_max = v->options.flat_max, permitted = q->permitted;
    if (q->force_exact || !v->graph || n <= flat_max || v->rows.fresh > n / 2 || q->k > n / 2)
        return true;
    return q->permit &&
           (permitted <= flat_max || permitted * permitted <= flat_max * n || q->k > permitted / 2);
}

bool vectors_search(const struct vectors *v, const struct vectors_query *q,
                    struct vectors_searcher *s, struct topk_item *ret, size_t *ret_count,
                    struct vectors_result_info *ret_info)
{
    struct search f = {.v = v, .q = q, .s = s};
    assert(q->k && q->k <= VECTORS_K_MAX && q->ef <= VECTORS_EF_MAX);
    if (!codes_query_reserve(&s->query, &v->rows.codes))
        return false;
    codes_query_set(&s->query, &v->rows.codes, q->x, v->rows.centre);
    topk_init(&f.best, ret, q->k);
    bool enough = false;
    if (!scan_is_better(v, q) && !search_graph(&f, &enough))
        return false;
    if (!enough) {
        topk_init(&f.best, ret, q->k);
        search_flat(&f);
    }
    *ret_count = topk_sort(&f.best);
    if (ret_info)
        *ret_info = f.info;
    return true;
}

void vectors_stats(const struct vectors *v, struct vectors_stats *ret)
{
    const struct rows *r = &v->rows;
    size_t slots = (size_t)r->chunk_count * ROWS_CHUNK, links = 0, other = 0;
    if (v->graph)
        graph_bytes(v->graph, &links, &other);
    *ret = (struct vectors_stats){
        .slots = r->slots,
        .live = r->live,
        .linked = r->linked,
        .fresh = r->fresh,
        .dead = r->dead,
        .levels = v->graph ? graph_levels(v->graph) : 0,
        .bytes_links = links,
        .bytes_bits = slots * r->codes.bits_stride,
        .bytes_i8 = slots * r->codes.i8_stride,
        .bytes_exact = slots * r->exact_stride,
        .bytes_other = other + sizeof *v + slots * sizeof(struct rows_scale) +
                       r->chunk_count * sizeof(struct rows_chunk) +
                       r->chunk_cap * sizeof(struct rows_chunk *) +
                       (r->centre ? 3 : 2) * r->codes.padded * sizeof(float) +
                       (size_t)(ROTATION_ROUNDS + 1) * r->codes.rotation.part * sizeof(float),
    };
}

void vectors_validate(const struct vectors *v)
{
    rows_validate(&v->rows);
    if (v->graph)
        graph_validate(v->graph);
    else
        assert(!v->rows.linked && !v->rows.dead);
}
