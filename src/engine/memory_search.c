/* SPDX-License-Identifier: MIT
 *
 * Searching hyphal memory: what is near a vector, under filters and labels.  Any loop; the store is
 * read without the lock. */
#include "engine/memories_priv.h"
#include "engine/memory_index_priv.h"
#include "math/kernels.h"

struct search {
    const struct tenant *t;
    const struct memory_filter *filter;
    const struct agent *author;
    uintptr_t kind_no; /* 1-based; 0: no such kind */
    uint32_t clearance;
    int64_t now;
};

static bool search_permit(void *ctx, const struct memory *m)
{
    const struct search *s = ctx;
    const struct memory_filter *f = s->filter;
    if (!memory_visible(m, s->clearance, s->now) || (f->kind.len && m->kind + 1 != s->kind_no) ||
        (f->agent_id.len && (!s->author || m->agent != s->author->slot)))
        return false;
    return (f->quality_min < 0 || m->quality >= f->quality_min) &&
           (f->quality_above < 0 || m->quality > f->quality_above) &&
           (f->quality_max > 1 || m->quality <= f->quality_max) &&
           (f->quality_below > 1 || m->quality < f->quality_below);
}

/* What was found, by number and cosine. */
struct found {
    struct wanted *items;
    uint32_t wanted, count;
    const float *unit; /* the query */
    uint32_t dim;
    bool rough;
};

/* Where the index has int8 only, so many are looked at closely for k that are wanted: those at the
 * edge may stand in the wrong order.  Of 1,536 dimensions int8 cosines are off by .0002. */
static uint32_t with_reserve(uint32_t k)
{
    return k + k / 4 + 4;
}

/* Read lock held. */
static enum qmn_code search_find(struct engine *e, struct call *c, const struct vector_in *query,
                                 const struct memory_filter *filter, struct found *f,
                                 struct memories_out *out)
{
    struct tenant *t;
    struct bytes space;
    TRY(engine_tenant(e, c->caller, &t, &c->err));
    TRY(usage_count_read(e, t, USAGE_SEARCHES, &c->err));
    TRY(engine_vector(t, query, "embedding", c->arena, &f->unit, &f->dim, &space, &c->err));
    struct search s = {.t = t,
                       .filter = filter,
                       .author = filter->agent_id.len ? tenant_agent(t, filter->agent_id) : NULL,
                       .kind_no = (uintptr_t)textmap_get(&t->memory_kind_ids, filter->kind),
                       .clearance = network_clearance(t, c->caller),
                       .now = engine_now(e)};
    struct memory_sight sight = {search_permit, &s};
    struct memory_finds finds;
    f->rough = memory_index_is_rough(t);
    uint32_t k = f->rough ? with_reserve(f->wanted) : f->wanted;
    if (!memory_index_find(e, t, f->unit, k, &sight, c->arena, &finds))
        return err_nomem(&c->err);
    out->candidates = finds.permitted;
    f->count = (uint32_t)finds.count;
    for (uint32_t i = 0; i < f->count; i++)
        f->items[i] = (struct wanted){.no = t->memories[finds.items[i].id].no,
                                      .similarity = finds.items[i].score};
    return QMN_OK;
}

/* One that was deleted meanwhile keeps its score: it will not be shown. */
static enum qmn_code rescore_one(struct engine *e, struct call *c, const struct found *f,
                                 float *room, struct wanted *x)
{
    struct record_memory_vector key = {.no = x->no}, vector;
    enum qmn_code code =
        e->store->ops->get(e->store, RECORD_MEMORY_VECTOR, &key, c->arena, &vector, &c->err);
    if (code == QMN_E_NOT_FOUND || (code == QMN_OK && vector.vector.len != f->dim * sizeof *room))
        return QMN_OK;
    TRY(code);
    memcpy(room, vector.vector.ptr, vector.vector.len); /* rows lie at any address */
    x->similarity = math_kernels()->dot_f32(f->unit, room, f->dim);
    return QMN_OK;
}

/* Few, and nearly in order already; equals stay in theirs. */
static void sort_found(struct found *f)
{
    for (uint32_t i = 1; i < f->count; i++) {
        struct wanted x = f->items[i];
        uint32_t at = i;
        for (; at && f->items[at - 1].similarity < x.similarity; at--)
            f->items[at] = f->items[at - 1];
        f->items[at] = x;
    }
}

/* Exact cosines, of the vectors in the store. */
static enum qmn_code rescore(struct engine *e, struct call *c, struct found *f)
{
    float *room = f->rough ? arena_raw(c->arena, float, f->dim) : NULL;
    if (!f->rough)
        return QMN_OK;
    if (!room)
        return err_nomem(&c->err);
    for (uint32_t i = 0; i < f->count; i++)
        TRY(rescore_one(e, c, f, room, &f->items[i]));
    sort_found(f);
    return QMN_OK;
}

void engine_search_memory(struct engine *e, struct call *c, const struct vector_in *query,
                          uint32_t top_k, const struct memory_filter *filter,
                          struct memories_out *out)
{
    struct found f = {.wanted = top_k};
    *out = (struct memories_out){0};
    f.items = arena_array(c->arena, struct wanted, with_reserve(top_k));
    if (!f.items) {
        call_finish(c, err_nomem(&c->err));
        return;
    }
    pthread_rwlock_rdlock(&e->net.lock);
    enum qmn_code code = search_find(e, c, query, filter, &f, out);
    pthread_rwlock_unlock(&e->net.lock);
    if (code == QMN_OK)
        code = rescore(e, c, &f);
    if (code == QMN_OK)
        code = memory_read_rows(e, c, f.items, f.count < top_k ? f.count : top_k, out);
    call_finish(c, code);
}
