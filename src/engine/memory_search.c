/* SPDX-License-Identifier: MIT
 *
 * Searching hyphal memory: what is near a vector, under filters and labels.  Any loop; the index
 * and the store are read without the lock. */
#include "engine/memories_priv.h"
#include "engine/memory_index_priv.h"

struct search {
    struct tenant *t;
    const struct memory_filter *filter;
    struct memory_permit permit;
};

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
    uint32_t clearance = network_clearance(s->t, c->caller);
    if (!memory_permit(s->t, clearance, engine_now(e), s->filter, c->arena, &s->permit) ||
        !memory_index_begin(s->t, unit, top_k, &s->permit, c->arena, finds))
        return err_nomem(&c->err);
    return QMN_OK;
}

/* Read lock held.  False: out of memory. */
static bool search_numbers(struct call *c, struct search *s, const struct memory_finds *finds,
                           struct wanted *ret, size_t *ret_count)
{
    uint32_t clearance = network_clearance(s->t, c->caller);
    if (!memory_permit_again(s->t, clearance, s->filter, c->arena, &s->permit))
        return false;
    size_t n = 0;
    for (size_t i = 0; i < finds->count; i++) {
        const struct memory *m = memory_index_found(s->t, finds, &s->permit, i);
        if (m)
            ret[n++] = (struct wanted){.no = m->no, .similarity = finds->items[i].score};
    }
    *ret_count = n;
    return true;
}

/* After search_begin(), whose memory_finds end here. */
static enum qmn_code search_end(struct engine *e, struct call *c, struct search *s,
                                struct memory_finds *finds, struct memories_out *out)
{
    struct wanted *found = arena_array(c->arena, struct wanted, (size_t)finds->query.k + 1);
    bool ok = found && memory_index_search(e, finds);
    if (ok) {
        pthread_rwlock_rdlock(&e->net.lock);
        out->candidates = finds->permitted;
        ok = search_numbers(c, s, finds, found, &out->count);
        pthread_rwlock_unlock(&e->net.lock);
    }
    memory_index_end(finds);
    return ok ? memory_read_rows(e, c, found, out->count, out) : err_nomem(&c->err);
}

void engine_search_memory(struct engine *e, struct call *c, const struct vector_in *query,
                          uint32_t top_k, const struct memory_filter *filter,
                          struct memories_out *out)
{
    struct search s = {.filter = filter};
    struct memory_finds finds;
    *out = (struct memories_out){0};
    pthread_rwlock_rdlock(&e->net.lock);
    enum qmn_code code = search_begin(e, c, query, top_k, &s, &finds);
    pthread_rwlock_unlock(&e->net.lock);
    if (code == QMN_OK)
        code = search_end(e, c, &s, &finds, out);
    call_finish(c, code);
}
