/* SPDX-License-Identifier: MIT
 *
 * Searching hyphal memory: what is near a vector, under filters and labels.  Any loop; the index
 * and the store are read without the lock. */
#include "engine/memories_priv.h"
#include "engine/memory_index_priv.h"

struct search {
    struct tenant *t;
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

/* Read lock held: who asks, for what, and what of it may be found. */
static enum qmn_code search_begin(struct engine *e, struct call *c, const struct vector_in *query,
                                  uint32_t top_k, struct search *s, struct memory_finds *finds)
{
    const float *unit;
    uint32_t dim;
    struct bytes space;
    TRY(engine_tenant(e, c->caller, &s->t, &c->err));
    TRY(usage_count_read(e, s->t, USAGE_SEARCHES, &c->err));
    TRY(engine_vector(s->t, query, "embedding", c->arena, &unit, &dim, &space, &c->err));
    if (s->filter->agent_id.len)
        s->author = tenant_agent(s->t, s->filter->agent_id);
    s->kind_no = (uintptr_t)textmap_get(&s->t->memory_kind_ids, s->filter->kind);
    s->clearance = network_clearance(s->t, c->caller);
    struct memory_sight sight = {search_permit, s};
    return memory_index_begin(s->t, unit, top_k, &sight, c->arena, finds) ? QMN_OK
                                                                          : err_nomem(&c->err);
}

/* Read lock held. */
static size_t search_numbers(const struct search *s, const struct memory_finds *finds,
                             struct wanted *ret)
{
    size_t n = 0;
    for (size_t i = 0; i < finds->count; i++) {
        const struct memory *m = memory_index_found(s->t, finds, i);
        if (m)
            ret[n++] = (struct wanted){.no = m->no, .similarity = finds->items[i].score};
    }
    return n;
}

/* After search_begin(), whose memory_finds end here. */
static enum qmn_code search_end(struct engine *e, struct call *c, const struct search *s,
                                struct memory_finds *finds, struct memories_out *out)
{
    struct wanted *found = arena_array(c->arena, struct wanted, (size_t)finds->query.k + 1);
    bool ok = found && memory_index_search(e, finds);
    if (ok) {
        pthread_rwlock_rdlock(&e->net.lock);
        out->candidates = finds->permitted;
        out->count = search_numbers(s, finds, found);
        pthread_rwlock_unlock(&e->net.lock);
    }
    memory_index_end(finds);
    return ok ? memory_read_rows(e, c, found, out->count, out) : err_nomem(&c->err);
}

void engine_search_memory(struct engine *e, struct call *c, const struct vector_in *query,
                          uint32_t top_k, const struct memory_filter *filter,
                          struct memories_out *out)
{
    struct search s = {.filter = filter, .now = engine_now(e)};
    struct memory_finds finds;
    *out = (struct memories_out){0};
    pthread_rwlock_rdlock(&e->net.lock);
    enum qmn_code code = search_begin(e, c, query, top_k, &s, &finds);
    pthread_rwlock_unlock(&e->net.lock);
    if (code == QMN_OK)
        code = search_end(e, c, &s, &finds, out);
    call_finish(c, code);
}
