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

/* Nobody else has it. */
static void discard(struct vectors *v)
{
    if (v->epoch)
        epoch_release(v->epoch);
    mem_free(v->epoch);
    mem_free(atomic_load(&v->view));
    graph_free(v->graph);
    rows_release(&v->rows);
    mem_free(v);
}

struct vectors *vectors_new(const struct vectors_options *options)
{
    struct vectors_options o = with_defaults(*options);
    struct vectors *v = in_range(&o) ? mem_calloc(1, sizeof *v) : NULL;
    if (!v)
        return NULL;
    v->options = o;
    v->holders = 1;
    v->view = mem_calloc(1, sizeof *v->view);
    v->epoch = mem_alloc_aligned(EPOCH_LINE_BYTES, sizeof *v->epoch);
    if (v->epoch)
        memset(v->epoch, 0, sizeof *v->epoch);
    if (v->epoch && v->view && rows_init(&v->rows, &o)) {
        atomic_load(&v->view)->rows = v->rows;
        return v;
    }
    discard(v);
    return NULL;
}

void vectors_free(struct vectors *v)
{
    if (v && atomic_fetch_sub(&v->holders, 1) == 1)
        discard(v);
}

void vectors_pin(struct vectors *v, struct vectors_pin *ret)
{
    atomic_fetch_add(&v->holders, 1);
    *ret = (struct vectors_pin){v, epoch_enter(v->epoch, (uintptr_t)ret)};
}

void vectors_unpin(struct vectors_pin *pin)
{
    if (!pin->index)
        return;
    epoch_leave(&pin->epoch);
    vectors_free(TAKE(pin->index));
}

/* ---- what searches go by ---- */

static void view_release(struct epoch_garbage *g)
{
    struct vectors_view *view = CONTAINER_OF(g, struct vectors_view, garbage);
    if (view->last_bits)
        rows_release_bits(&view->rows);
    else if (view->last_exact)
        rows_release_exact(&view->rows);
    else if (view->last_table)
        mem_free(view->rows.chunks);
    if (view->last_graph)
        graph_free(view->graph);
    mem_free(view);
}

/* Searches that begin from now on see the index as it is. */
static void publish(struct vectors *v, struct vectors_view *next)
{
    struct vectors_view *old = atomic_load_explicit(&v->view, memory_order_relaxed);
    *next = (struct vectors_view){.rows = v->rows, .graph = v->graph};
    old->last_bits = old->rows.centre != next->rows.centre;
    old->last_exact = old->rows.exact != next->rows.exact;
    old->last_table = old->rows.chunks != next->rows.chunks;
    old->last_graph = old->graph != next->graph;
    atomic_store_explicit(&v->view, next, memory_order_release);
    epoch_retire(v->epoch, &old->garbage, view_release);
}

/* Lets slots be used again that no search sees any more: when there is none, all that wait. */
static void age(struct vectors *v)
{
    const struct epoch *e = v->epoch;
    while ((v->rows.waiting || e->young || e->old) && epoch_advance(v->epoch))
        rows_age(&v->rows);
}

/* ... and frees memory, a whole graph perhaps. */
static void reclaim(struct vectors *v)
{
    age(v);
    epoch_collect(v->epoch);
}

/* The view that is published, and the top of its graph.  A new top may be a slot that the view does
 * not have yet; the one that is published by now has. */
static const struct vectors_view *view_now(const struct vectors *v, struct graph_top *ret_top)
{
    for (;;) {
        const struct vectors_view *view = atomic_load_explicit(&v->view, memory_order_acquire);
        *ret_top = view->graph ? graph_top(view->graph) : (struct graph_top){0};
        if (!ret_top->levels || ret_top->entry < rows_room(&view->rows))
            return view;
    }
}

/* ---- changing ---- */

bool vectors_reserve(struct vectors *v, uint32_t more)
{
    if (rows_has_room(&v->rows, more))
        return true;
    reclaim(v);
    if (rows_has_room(&v->rows, more))
        return true;
    struct vectors_view *next = mem_alloc(sizeof *next);
    if (!next)
        return false;
    bool ok = rows_reserve(&v->rows, more);
    publish(v, next); /* what there was memory for is of use in any case */
    return ok;
}

bool vectors_has_room(const struct vectors *v, uint32_t more)
{
    return rows_has_room(&v->rows, more);
}

uint32_t vectors_add(struct vectors *v, const float *x)
{
    age(v);
    return rows_add(&v->rows, x);
}

void vectors_remove(struct vectors *v, uint32_t slot)
{
    rows_remove(&v->rows, slot);
}

bool vectors_has_graph(const struct vectors *v)
{
    return v->graph != NULL;
}

bool vectors_drop_exact(struct vectors *v)
{
    if (v->rows.exact == VECTORS_EXACT_NONE)
        return true;
    struct vectors_view *next = mem_alloc(sizeof *next);
    if (!next || !rows_drop_exact(&v->rows)) {
        mem_free(next);
        return false;
    }
    publish(v, next);
    return true;
}

/* ---- reading ---- */

bool vectors_has(const struct vectors *v, uint32_t slot)
{
    struct epoch_pin pin = epoch_enter(v->epoch, (uintptr_t)&pin);
    const struct rows *r = &atomic_load_explicit(&v->view, memory_order_acquire)->rows;
    bool has = slot < rows_room(r) && rows_is_live(r, slot);
    epoch_leave(&pin);
    return has;
}

bool vectors_copy(const struct vectors *v, uint32_t slot, float *ret_x)
{
    struct epoch_pin pin = epoch_enter(v->epoch, (uintptr_t)&pin);
    const struct rows *r = &atomic_load_explicit(&v->view, memory_order_acquire)->rows;
    bool has = slot < rows_room(r) && rows_is_live(r, slot);
    if (has)
        rows_copy(r, slot, ret_x);
    epoch_leave(&pin);
    return has;
}

enum vectors_exact vectors_exact(const struct vectors *v)
{
    struct epoch_pin pin = epoch_enter(v->epoch, (uintptr_t)&pin);
    enum vectors_exact kept = atomic_load_explicit(&v->view, memory_order_acquire)->rows.exact;
    epoch_leave(&pin);
    return kept;
}

size_t vectors_permit_words(const struct vectors *v)
{
    return ((size_t)rows_count(&v->rows.slots) + 63) / 64;
}

/* ---- moving between the tiers ---- */

/* All linked rows are fresh then, and the dead are waiting.  Searches under way keep the graph,
 * with all that was linked. */
static bool drop_graph(struct vectors *v)
{
    struct vectors_view *next = mem_alloc(sizeof *next);
    if (!next)
        return false;
    v->graph = NULL;
    publish(v, next);
    for (uint32_t slot = 0; slot < v->rows.slots; slot++)
        if (rows_is_linked(&v->rows, slot))
            rows_unlink(&v->rows, slot);
    reclaim(v);
    return true;
}

/* The centre is worth its cost from here on only: a scan is fast enough without. */
static bool make_graph(struct vectors *v)
{
    struct vectors_view *next = mem_alloc(sizeof *next);
    struct graph *g = next ? graph_new(&v->rows, &v->options) : NULL;
    if (g && rows_centre(&v->rows)) {
        v->graph = g;
        publish(v, next);
        return true;
    }
    graph_free(g);
    mem_free(next);
    return false;
}

/* So many dead are worth a sweep over all. */
static bool sweep_is_due(const struct vectors *v)
{
    return v->rows.dead > (rows_count(&v->rows.linked) + v->rows.dead) / SWEEP_SHARE;
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
    reclaim(v);
    if (v->graph && (v->rows.live < flat_max / 2 || (v->rows.dead && !v->rows.linked)) &&
        !drop_graph(v))
        return VECTORS_NOMEM;
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
    mem_free(s->fresh);
    mem_free(s->room);
    mem_free(s);
}

/* A walk costs as much as a scan of flat_max; among a share s of the rows it takes 1 / s as long,
 * and a scan of them n s. */
static bool scan_is_better(const struct vectors *v, const struct search *f)
{
    const struct vectors_query *q = f->q;
    uint64_t n = rows_count(&v->rows.live), fresh = rows_count(&v->rows.fresh);
    uint64_t flat_max = v->options.flat_max, permitted = q->permitted;
    if (q->force_exact || !f->top.levels || n <= flat_max || fresh > n / 2 || q->k > n / 2)
        return true;
    return q->permit &&
           (permitted <= flat_max || permitted * permitted <= flat_max * n || q->k > permitted / 2);
}

/* Pinned. */
static bool search(const struct vectors *v, struct search *f, struct topk_item *ret)
{
    const struct vectors_view *view = view_now(v, &f->top);
    const struct vectors_query *q = f->q;
    struct codes_query *query = &f->s->query;
    f->rows = &view->rows;
    f->graph = view->graph;
    if (!codes_query_reserve(query, &f->rows->codes))
        return false;
    codes_query_set(query, &f->rows->codes, q->x, f->rows->centre);
    topk_init(&f->best, ret, q->k);
    bool enough = false;
    if (!scan_is_better(v, f) && !search_graph(f, &enough))
        return false;
    if (!enough) {
        topk_init(&f->best, ret, q->k);
        search_flat(f);
    }
    return true;
}

bool vectors_search(const struct vectors *v, const struct vectors_query *q,
                    struct vectors_searcher *s, struct topk_item *ret, size_t *ret_count,
                    struct vectors_result_info *ret_info)
{
    struct search f = {.options = &v->options, .q = q, .s = s};
    assert(q->k && q->k <= VECTORS_K_MAX && q->ef <= VECTORS_EF_MAX);
    f.permit_words = q->permit_words ? q->permit_words : vectors_permit_words(v);
    struct epoch_pin pin = epoch_enter(v->epoch, (uintptr_t)s);
    bool ok = search(v, &f, ret);
    epoch_leave(&pin);
    if (!ok)
        return false;
    *ret_count = topk_sort(&f.best);
    if (ret_info)
        *ret_info = f.info;
    return true;
}

static void fill_stats(const struct vectors *v, const struct vectors_view *view,
                       struct vectors_stats *ret)
{
    const struct rows *r = &view->rows;
    size_t slots = rows_room(r), links = 0, other = 0;
    if (view->graph)
        graph_bytes(view->graph, &links, &other);
    uint32_t live = rows_count(&v->rows.live), fresh = rows_count(&v->rows.fresh);
    fresh = fresh < live ? fresh : live;
    *ret = (struct vectors_stats){
        .slots = rows_count(&v->rows.slots),
        .live = live,
        .linked = live - fresh,
        .fresh = fresh,
        .dead = rows_count(&v->rows.dead),
        .levels = view->graph ? graph_top(view->graph).levels : 0,
        .bytes_links = links,
        .bytes_bits = slots * r->codes.bits_stride,
        .bytes_i8 = slots * r->codes.i8_stride,
        .bytes_exact = slots * r->exact_stride,
        .bytes_other = other + sizeof *v + sizeof *view + sizeof *v->epoch +
                       slots * sizeof(struct rows_scale) +
                       r->chunk_count * sizeof(struct rows_chunk) +
                       r->chunk_cap * sizeof(struct rows_chunk *) +
                       (r->centre ? 3 : 2) * r->codes.padded * sizeof(float) +
                       (size_t)(ROTATION_ROUNDS + 1) * r->codes.rotation.part * sizeof(float),
    };
}

void vectors_stats(const struct vectors *v, struct vectors_stats *ret)
{
    struct epoch_pin pin = epoch_enter(v->epoch, (uintptr_t)&pin);
    fill_stats(v, atomic_load_explicit(&v->view, memory_order_acquire), ret);
    epoch_leave(&pin);
}

void vectors_validate(const struct vectors *v)
{
    rows_validate(&v->rows);
    if (v->graph)
        graph_validate(v->graph);
    else
        assert(!v->rows.linked && !v->rows.dead);
}
