/* SPDX-License-Identifier: MIT
 *
 * Searching hyphal memory: what is near a vector, under filters and labels.  Any loop; the store is
 * read without the lock. */
#include "engine/memories_priv.h"
#include "engine/memory_index_priv.h"

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

/* Read lock held. */
static enum qmn_code search_find(struct engine *e, struct call *c, const struct vector_in *query,
                                 uint32_t top_k, const struct memory_filter *filter,
                                 struct wanted *found, struct memories_out *out)
{
    struct tenant *t;
    const float *unit;
    uint32_t dim;
    struct bytes space;
    TRY(engine_tenant(e, c->caller, &t, &c->err));
    TRY(usage_count_read(e, t, USAGE_SEARCHES, &c->err));
    TRY(engine_vector(t, query, "embedding", c->arena, &unit, &dim, &space, &c->err));
    struct search s = {.t = t,
                       .filter = filter,
                       .author = filter->agent_id.len ? tenant_agent(t, filter->agent_id) : NULL,
                       .kind_no = (uintptr_t)textmap_get(&t->memory_kind_ids, filter->kind),
                       .clearance = network_clearance(t, c->caller),
                       .now = engine_now(e)};
    struct memory_sight sight = {search_permit, &s};
    struct memory_finds finds;
    if (!memory_index_find(e, t, unit, top_k, &sight, c->arena, &finds))
        return err_nomem(&c->err);
    out->candidates = finds.permitted;
    out->count = finds.count;
    for (size_t i = 0; i < out->count; i++)
        found[i] = (struct wanted){.no = t->memories[finds.items[i].id].no,
                                   .similarity = finds.items[i].score};
    return QMN_OK;
}

void engine_search_memory(struct engine *e, struct call *c, const struct vector_in *query,
                          uint32_t top_k, const struct memory_filter *filter,
                          struct memories_out *out)
{
    *out = (struct memories_out){0};
    struct wanted *found = arena_array(c->arena, struct wanted, top_k + 1);
    if (!found) {
        call_finish(c, err_nomem(&c->err));
        return;
    }
    pthread_rwlock_rdlock(&e->net.lock);
    enum qmn_code code = search_find(e, c, query, top_k, filter, found, out);
    pthread_rwlock_unlock(&e->net.lock);
    if (code == QMN_OK)
        code = memory_read_rows(e, c, found, out->count, out);
    call_finish(c, code);
}
