/* SPDX-License-Identifier: MIT
 *
 * Near-duplicates: for each memory, newest first, the older ones that are as near to it as asked.
 * A page examines so many memories and says where it ended, so that a tenant of any size is a
 * series of pages.  Candidates come from the index; what counts as near is decided by their float
 * vectors, in double: those of a large tenant are in the store, and read without the lock.  Any
 * loop. */
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
#define CANDIDATE_SLACK 1e-4F     /* the index scores in float; no pair is lost for that */
#define ROUGH_SLACK     5e-3F     /* ... by int8 on both sides, where it keeps no copies */
enum { SCRATCH_BYTES = 1 << 20 }; /* of one vector's row at a time */

/* A group of memories that may be near: what the store has to be asked for is known by number. */
struct near {
    struct duplicate memory, *items; /* [LIMIT_DUPLICATES + 1] */
    int64_t no, nos[LIMIT_DUPLICATES + 1];
    size_t count;
};

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
    /* of one piece */
    bool rough; /* similarities may be those of int8 */
    uint32_t dim;
    size_t near_count;
    struct near near[PIECE];
};

/* ---- under the read lock ---- */

static bool is_rough(const struct duplicates *d)
{
    const struct vectors *v = d->t->memory_index;
    return v && vectors_exact(v) == VECTORS_EXACT_NONE;
}

static enum qmn_code enter(struct duplicates *d)
{
    struct call *c = d->call;
    TRY(engine_tenant(d->engine, c->caller, &d->t, &c->err));
    d->dim = d->t->profiles.dim;
    d->rough = is_rough(d);
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

/* Of the candidates those that are near enough, as far as the index knows. */
static bool keep_near(struct duplicates *d, uint32_t slot, const float *unit,
                      const struct topk_item *found, size_t count)
{
    struct arena *arena = d->call->arena;
    double rough = d->rough ? (double)ROUGH_SLACK : 0, bar = d->q->threshold - rough;
    struct near *g = &d->near[d->near_count];
    *g = (struct near){.no = d->t->memories[slot].no,
                       .items = arena_array(arena, struct duplicate, count + 1)};
    float *other = arena_raw(arena, float, d->dim);
    bool ok = g->items && other;
    for (size_t i = 0; ok && i < count && found[i].score >= (float)bar - CANDIDATE_SLACK; i++) {
        uint32_t at = found[i].id;
        if (!vectors_copy(d->t->memory_index, at, other))
            continue;
        double similarity = cosine(unit, other, d->dim);
        if (similarity < bar || !memory_permit_has(&d->permit, at))
            continue;
        g->nos[g->count] = d->t->memories[at].no;
        ok = fill(d, at, similarity, &g->items[g->count++]);
    }
    if (!ok || !g->count)
        return ok;
    d->near_count++;
    return fill(d, slot, 1, &g->memory);
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

/* ---- without the lock ---- */

/* The similarity of the i-th by the vectors in the store; below any threshold: one of them went. */
static enum qmn_code look_closely(const struct duplicates *d, const float *unit,
                                  struct arena *scratch, struct near *g, size_t i)
{
    const float *other = NULL;
    arena_reset(scratch);
    if (unit)
        TRY(memory_stored_vector(d->engine, g->nos[i], d->dim, scratch, &other, &d->call->err));
    g->items[i].similarity = other ? cosine(unit, other, d->dim) : -2;
    return QMN_OK;
}

static enum qmn_code look_at_all(const struct duplicates *d, struct arena *scratch, struct near *g)
{
    const float *unit;
    size_t kept = 0;
    TRY(memory_stored_vector(d->engine, g->no, d->dim, d->call->arena, &unit, &d->call->err));
    for (size_t i = 0; i < g->count; i++) {
        TRY(look_closely(d, unit, scratch, g, i));
        if (g->items[i].similarity >= d->q->threshold)
            g->items[kept++] = g->items[i];
    }
    g->count = kept;
    return QMN_OK;
}

/* What is near becomes a group of the answer. */
static enum qmn_code settle(struct duplicates *d)
{
    struct arena scratch;
    enum qmn_code code = QMN_OK;
    arena_init(&scratch, SCRATCH_BYTES);
    for (size_t i = 0; code == QMN_OK && i < d->near_count; i++) {
        struct near *g = &d->near[i];
        if (d->rough)
            code = look_at_all(d, &scratch, g);
        if (code != QMN_OK || !g->count)
            continue;
        sort(g->items, g->count);
        bool more = g->count > LIMIT_DUPLICATES;
        d->out->groups[d->out->count++] =
            (struct duplicate_group){g->memory, g->items, g->count - more, more};
    }
    arena_release(&scratch);
    d->near_count = 0;
    return code;
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
        if (d->out->count + d->near_count == limit)
            break;
        ok = examine_id(d, &page[*at].id);
        ++*at;
    }
    d->rough = code == QMN_OK && is_rough(d); /* the copies may have gone meanwhile */
    pthread_rwlock_unlock(&e->net.lock);
    TRY(code);
    return ok ? settle(d) : err_nomem(&d->call->err);
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
