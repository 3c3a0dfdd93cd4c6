/* SPDX-License-Identifier: MIT
 *
 * Near-duplicates: for each memory, newest first, the older ones that are as near to it as asked.
 * A page examines so many memories and says where it ended, so that a tenant of any size is a
 * series of pages.  Candidates come from the index; what counts as near is decided by their float
 * vectors, in double.  Any loop. */
#include "engine/memories_priv.h"

#include <math.h>

#include "engine/engine_priv.h"

enum {
    EXAMINED_SMALL = 128, /* memories a page looks at, of a tenant with few ... */
    EXAMINED_LARGE = 32,  /* ... or many: a search each, some ten milliseconds at a million */
    SMALL_TENANT = 4096,
    PIECE = 4,        /* of them under one hold of the network's lock */
    REBUILDS_MAX = 4, /* of the set of permitted slots in one page: each looks at every memory */
};
#define CANDIDATE_SLACK 1e-4F /* the index scores in float; no pair is lost for that */

struct duplicates {
    struct engine *engine;
    struct call *call;
    const struct duplicates_query *q;
    struct duplicates_out *out;
    struct vectors_searcher *searcher;
    /* under one hold */
    struct tenant *t;
    struct memory_narrow narrow; /* to what is asked for */
    struct memory_permit permit;
    uint64_t *older; /* those permitted that came before, as of that permit */
    uint32_t older_count, rebuilds;
};

/* ---- under the read lock ---- */

static enum qmn_code enter(struct duplicates *d)
{
    struct call *c = d->call;
    TRY(engine_tenant(d->engine, c->caller, &d->t, &c->err));
    return QMN_OK;
}

/* Those that came before this one. */
static bool build_older(struct duplicates *d, const struct id *than)
{
    struct tenant *t = d->t;
    struct arena *arena = d->call->arena;
    if (!memory_permit(t, network_clearance(t, d->call->caller), engine_now(d->engine),
                       &d->narrow.all, arena, &d->permit))
        return false;
    d->older = arena_calloc(arena, d->permit.words + 1, sizeof *d->older);
    d->older_count = 0;
    for (uint32_t i = 0; d->older && (i = memory_permit_next(&d->permit, i)) != UINT32_MAX; i++) {
        if (memcmp(&t->memories[i].id, than, sizeof *than) >= 0)
            continue;
        d->older[i / 64] |= UINT64_C(1) << i % 64;
        d->older_count++;
    }
    return d->older != NULL;
}

/* What is examined is older than what comes next no more. */
static void strike(struct duplicates *d, uint32_t slot)
{
    uint64_t bit = UINT64_C(1) << slot % 64;
    d->older_count -= (d->older[slot / 64] & bit) != 0;
    d->older[slot / 64] &= ~bit;
}

/* Equal vectors give 1: the square root of a square is exact. */
static double cosine(const float *a, const float *b, uint32_t dim)
{
    double ab = 0, aa = 0, bb = 0;
    for (uint32_t i = 0; i < dim; i++) {
        ab += (double)a[i] * (double)b[i];
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
    }
    return ab / sqrt(aa * bb);
}

static bool fill(const struct duplicates *d, uint32_t slot, double similarity,
                 struct duplicate *ret)
{
    const struct memory *m = &d->t->memories[slot];
    struct arena *arena = d->call->arena;
    *ret = (struct duplicate){.id = engine_id_text(arena, &m->id, PREFIX_MEMORY),
                              .agent_id = arena_bytes(arena, d->t->agents[m->agent]->record->id),
                              .kind = arena_bytes(arena, d->t->memory_kinds[m->kind]),
                              .quality = m->quality,
                              .created_ms = m->created_ms,
                              .similarity = similarity};
    return ret->id.len && ret->agent_id.ptr && ret->kind.ptr;
}

static int nearest_first(const struct duplicate *a, const struct duplicate *b)
{
    return (a->similarity < b->similarity) - (a->similarity > b->similarity);
}

static void sort(struct duplicate *items, size_t count)
{
    for (size_t i = 1; i < count; i++) /* a few */
        for (size_t k = i; k > 0 && nearest_first(&items[k - 1], &items[k]) > 0; k--) {
            struct duplicate x = items[k];
            items[k] = items[k - 1];
            items[k - 1] = x;
        }
}

/* Of the candidates those that are near enough. */
static bool keep_near(struct duplicates *d, uint32_t slot, const float *unit,
                      const struct topk_item *found, size_t count)
{
    uint32_t dim = d->t->profiles.dim;
    struct arena *arena = d->call->arena;
    struct duplicate_group g = {0};
    struct duplicate *items = arena_array(arena, struct duplicate, count + 1);
    float *other = arena_raw(arena, float, dim);
    bool ok = items && other;
    for (size_t i = 0;
         ok && i < count && found[i].score >= (float)d->q->threshold - CANDIDATE_SLACK; i++) {
        if (!vectors_copy(d->t->memory_index, found[i].id, other))
            continue;
        double similarity = cosine(unit, other, dim);
        if (similarity >= d->q->threshold && memory_permit_has(&d->permit, found[i].id))
            ok = fill(d, found[i].id, similarity, &items[g.count++]);
    }
    if (!ok || !g.count)
        return ok;
    sort(items, g.count);
    g.more = g.count > LIMIT_DUPLICATES;
    g.count -= g.more;
    g.older = items;
    if (!fill(d, slot, 1, &g.memory))
        return false;
    d->out->groups[d->out->count++] = g;
    return true;
}

static bool examine(struct duplicates *d, uint32_t slot)
{
    struct topk_item found[LIMIT_DUPLICATES + 1];
    size_t count = 0;
    float *unit = arena_raw(d->call->arena, float, d->t->profiles.dim);
    if (!unit)
        return false;
    if (!d->older_count)
        return true;
    if (!vectors_copy(d->t->memory_index, slot, unit))
        return true;
    struct vectors_query q = {.x = unit,
                              .k = LIMIT_DUPLICATES + 1,
                              .permit = d->older,
                              .permit_words = d->permit.words,
                              .permitted = d->older_count};
    return vectors_search(d->t->memory_index, &q, d->searcher, found, &count, NULL) &&
           keep_near(d, slot, unit, found, count);
}

static bool is_stale(const struct duplicates *d)
{
    return d->permit.changes != d->t->memory_sets.changes ||
           d->permit.clearance != network_clearance(d->t, d->call->caller);
}

/* One that may have gone, or been hidden, since the page was drawn up. */
static bool examine_id(struct duplicates *d, const struct id *id)
{
    if (!d->older || is_stale(d)) {
        d->rebuilds++;
        if (!build_older(d, id))
            return false;
    }
    uint32_t slot = memory_slot(d->t, id);
    if (slot == UINT32_MAX || !memory_permit_has(&d->permit, slot))
        return true;
    strike(d, slot);
    return examine(d, slot);
}

/* ---- pieces ---- */

/* Up to PIECE memories from *at on. */
static enum qmn_code piece(struct duplicates *d, const struct wanted *page, size_t count,
                           uint32_t limit, size_t *at)
{
    struct engine *e = d->engine;
    bool ok = true;
    pthread_rwlock_rdlock(&e->net.lock);
    enum qmn_code code = enter(d);
    for (uint32_t i = 0; code == QMN_OK && ok && i < PIECE && *at < count; i++) {
        if (d->out->count == limit)
            break;
        ok = examine_id(d, &page[*at].id);
        ++*at;
    }
    pthread_rwlock_unlock(&e->net.lock);
    return code == QMN_OK && !ok ? err_nomem(&d->call->err) : code;
}

static enum qmn_code examine_page(struct duplicates *d, const struct wanted *page, size_t count,
                                  uint32_t limit)
{
    size_t at = 0;
    enum qmn_code code = QMN_OK;
    while (code == QMN_OK && at < count && d->out->count < limit && d->rebuilds <= REBUILDS_MAX)
        code = piece(d, page, count, limit, &at);
    d->out->examined = (uint32_t)at;
    if (at)
        d->out->last = page[at - 1].id;
    return code;
}

static enum qmn_code find(struct engine *e, struct call *c, const struct duplicates_query *q,
                          uint32_t limit, struct duplicates_out *out)
{
    struct wanted *page = NULL;
    size_t count = 0;
    struct duplicates d = {.engine = e, .call = c, .q = q, .out = out};
    memory_narrow(&d.narrow, q->agent_id, q->kind, 0, 0);
    struct memory_query listing = {
        .agent_id = q->agent_id, .kind = q->kind, .has_after = q->has_after, .after = q->after};
    TRY(memory_page(e, c, &listing, EXAMINED_SMALL + 1, &page, &count));
    pthread_rwlock_rdlock(&e->net.lock);
    enum qmn_code code = enter(&d);
    bool large = code == QMN_OK && d.t->memory_count > SMALL_TENANT;
    pthread_rwlock_unlock(&e->net.lock);
    TRY(code);
    size_t most = large ? EXAMINED_LARGE : EXAMINED_SMALL;
    out->groups = arena_array(c->arena, struct duplicate_group, most + 1);
    d.searcher = searchers_take(&e->searchers);
    if (!out->groups || !d.searcher)
        code = err_nomem(&c->err);
    else
        code = examine_page(&d, page, count < most ? count : most, limit);
    if (d.searcher)
        searchers_give(&e->searchers, d.searcher);
    out->more = out->examined < count;
    return code;
}

void engine_memory_duplicates(struct engine *e, struct call *c, const struct duplicates_query *q,
                              uint32_t limit, struct duplicates_out *out)
{
    *out = (struct duplicates_out){0};
    call_finish(c, find(e, c, q, limit, out));
}
