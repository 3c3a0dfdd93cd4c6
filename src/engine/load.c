/* SPDX-License-Identifier: MIT
 *
 * Start: rebuilds the network from the store, one scan per kind of record, in the order in which
 * they refer to each other.  No other thread runs yet. */
#include "engine/control_priv.h"
#include "engine/group_priv.h"
#include "engine/idempotency_priv.h"
#include "engine/memory_credit_priv.h"
#include "engine/memory_snapshot_priv.h"
#include "engine/memory_words_priv.h"
#include "engine/recent_priv.h"

#include "base/mem.h"

struct loader {
    struct engine *e;
    struct arena arena; /* one row at a time */
    int64_t now;
    int64_t first_live; /* lowest number of a live nutrient; 0: none */
    struct body {
        struct record_nutrient row;
        int8_t *codes; /* of its vector; owned, NULL: unknown */
        uint32_t code_count;
        float scale;
    } * nutrients;
    uint32_t nutrient_count, nutrient_cap;
    uint32_t next; /* of nutrients, while traces go by in the same order */
};

/* Rows may hold vectors at any address; the arena aligns.  *ret NULL: it is none of this dimension.
 * False: out of memory. */
static bool align(struct loader *l, struct bytes vector, uint32_t dim, const float **ret)
{
    bool fits = dim && vector.len == dim * sizeof(float);
    *ret = fits ? arena_copy(&l->arena, vector.ptr, vector.len) : NULL;
    return !fits || *ret;
}

static enum qmn_code on_agent(void *ctx, const void *record, struct err *err)
{
    struct loader *l = ctx;
    const struct record_agent *row = record;
    struct network *n = &l->e->net;
    struct tenant *t = network_tenant_no(n, row->tenant_no);
    arena_reset(&l->arena);
    if (!t)
        return QMN_OK; /* its tenant is being purged */
    struct agent *a = agent_new(t, row);
    size_t len = row->capabilities.len + row->tools.len;
    char *both = arena_alloc(&l->arena, len);
    const float *profile;
    if (!a || !both || !align(l, row->profile, t->profiles.dim, &profile) ||
        !network_grow_agents(n, t, 1)) {
        agent_free(a);
        return err_nomem(err);
    }
    memcpy(both, row->capabilities.ptr ? row->capabilities.ptr : "", row->capabilities.len);
    memcpy(both + row->capabilities.len, row->tools.ptr ? row->tools.ptr : "", row->tools.len);
    if (!tags_intern(&t->tags, bytes_of(both, len), &a->capability_tags, &a->capability_count) ||
        !tags_reserve_capable(&t->tags, a->capability_tags, a->capability_count)) {
        agent_free(a);
        return err_nomem(err);
    }
    network_add_agent(n, a, profile);
    return QMN_OK;
}

static enum qmn_code on_agent_tasks(void *ctx, const void *record, struct err *err)
{
    struct loader *l = ctx;
    const struct record_agent_tasks *row = record;
    struct agent *a = network_agent_no(&l->e->net, row->agent_no);
    return a ? recent_load_row(a, row, err) : QMN_OK;
}

static enum qmn_code on_edge(void *ctx, const void *record, struct err *err)
{
    struct loader *l = ctx;
    const struct record_edge *row = record;
    struct network *n = &l->e->net;
    struct agent *src = network_agent_no(n, row->src_no), *dst = network_agent_no(n, row->dst_no);
    if (!src || !dst || src->tenant != dst->tenant)
        return QMN_OK;
    if (!network_grow_edges(n, src, 1))
        return err_nomem(err);
    struct edge *x = agent_put_edge(src, dst->slot);
    x->weight = row->weight;
    x->success = row->success;
    x->decay = row->decay;
    x->outcomes = row->outcomes;
    x->created_ms = row->created_ms;
    x->updated_ms = row->updated_ms;
    return QMN_OK;
}

static enum qmn_code on_memory_credit(void *ctx, const void *record, struct err *err)
{
    struct loader *l = ctx;
    (void)err;
    memory_credit_load_row(l->e, record);
    return QMN_OK;
}

static enum qmn_code on_learning_log(void *ctx, const void *record, struct err *err)
{
    struct loader *l = ctx;
    return learning_log_load(l->e, record, err);
}

/* ---- live nutrients: their bodies first, then the traces of the same numbers ---- */

/* False: out of memory. */
static bool quantise(struct loader *l, struct bytes f16, struct body *ret)
{
    uint32_t dim = (uint32_t)(f16.len / sizeof(uint16_t));
    if (!dim)
        return true;
    arena_reset(&l->arena);
    const float *unit = engine_unpack_f16(f16, &l->arena);
    ret->codes = unit ? mem_alloc(dim) : NULL;
    if (!ret->codes)
        return false;
    ret->scale = math_kernels()->quantise_i8(unit, dim, ret->codes);
    ret->code_count = dim;
    return true;
}

static enum qmn_code on_nutrient(void *ctx, const void *record, struct err *err)
{
    struct loader *l = ctx;
    const struct record_nutrient *row = record;
    struct body slim = {.row = *row};
    if (l->nutrient_count == l->nutrient_cap) {
        uint32_t cap = l->nutrient_cap ? l->nutrient_cap * 2 : 1024;
        struct body *p = mem_resize(l->nutrients, cap, sizeof *p);
        if (!p)
            return err_nomem(err);
        l->nutrients = p;
        l->nutrient_cap = cap;
    }
    /* only what the live object needs: lengths for its size, codes */
    if (!quantise(l, row->embedding, &slim))
        return err_nomem(err);
    slim.row.summary.ptr = slim.row.snippets.ptr = slim.row.embedding.ptr = NULL;
    if (!l->first_live)
        l->first_live = row->no;
    l->nutrients[l->nutrient_count++] = slim;
    return QMN_OK;
}

static enum qmn_code add_live(struct loader *l, const struct record_trace *row,
                              const struct body *body, struct err *err)
{
    struct network *n = &l->e->net;
    struct tenant *t = network_tenant_no(n, row->tenant_no);
    const struct agent *source = network_agent_no(n, row->agent_no);
    struct decision d;
    if (!t || !source || source->tenant != t)
        return QMN_OK;
    TRY(decision_unpack(row->decision, &l->arena, &d, err));
    struct live_in in = {.trace = row,
                         .nutrient = &body->row,
                         .hints = d.hints,
                         .source = source->slot,
                         .routes = d.routes,
                         .route_count = d.head.route_count,
                         .codes = bytes_of(body->codes, body->code_count),
                         .scale = body->scale};
    struct nutrient *x = live_new(t, &in);
    if (!x || !network_grow_live(n, 1) || !upkeep_reserve(l->e, 1)) {
        nutrient_free(x);
        return err_nomem(err);
    }
    x->rated = true; /* perhaps: the store knows */
    live_publish(l->e, x);
    return QMN_OK;
}

static enum qmn_code on_trace(void *ctx, const void *record, struct err *err)
{
    struct loader *l = ctx;
    const struct record_trace *row = record;
    arena_reset(&l->arena);
    while (l->next < l->nutrient_count && l->nutrients[l->next].row.no < row->no)
        l->next++;
    if (l->next == l->nutrient_count || l->nutrients[l->next].row.no != row->no)
        return QMN_OK;
    struct body *body = &l->nutrients[l->next];
    enum qmn_code code = add_live(l, row, body, err);
    mem_free(TAKE(body->codes)); /* the live object has its own */
    return code;
}

static enum qmn_code on_delivery(void *ctx, const void *record, struct err *err)
{
    struct loader *l = ctx;
    const struct record_delivery *row = record;
    uint64_t *at = u64map_get(&l->e->net.live_by_no, (uint64_t)row->nutrient_no);
    struct nutrient *x = at ? (struct nutrient *)(uintptr_t)*at : NULL;
    const struct agent *a = network_agent_no(&l->e->net, row->agent_no);
    struct delivery *d = x && a ? nutrient_delivery(x, a) : NULL;
    (void)err;
    if (d)
        delivery_end(d, (enum delivery_state)row->state);
    return QMN_OK;
}

static enum qmn_code on_response(void *ctx, const void *record, struct err *err)
{
    struct loader *l = ctx;
    const struct record_response *row = record;
    struct engine *e = l->e;
    struct tenant *t = network_tenant_no(&e->net, row->tenant_no);
    const struct agent *a = network_agent_no(&e->net, row->agent_no);
    uint64_t *at = u64map_get(&e->net.live_by_no, (uint64_t)row->nutrient_no);
    arena_reset(&l->arena);
    if (!t || !a || !t->response_index.dim ||
        row->embedding.len != 2 * (size_t)t->response_index.dim)
        return QMN_OK;
    const float *unit = engine_unpack_f16(row->embedding, &l->arena);
    if (!unit || !response_reserve(e, t))
        return err_nomem(err);
    response_publish(e, t, row, a->slot, unit);
    struct delivery *d = at ? nutrient_delivery((struct nutrient *)(uintptr_t)*at, a) : NULL;
    if (d)
        d->responses++; /* at most LIMIT_RESPONSES have rows */
    return QMN_OK;
}

/* ---- memories: vectors after their rows ---- */

/* Where a memory's vector is: in the index, which the snapshot brought, or in the store. */
struct vector_found {
    uint32_t slot;     /* of the index, where unit is NULL */
    const float *unit; /* float[dim] */
    uint64_t print;
};

/* The vector of a memory that the tenant's snapshot does not have, or perhaps not like this: at
 * this slot, UINT32_MAX: not at all. */
static enum qmn_code read_vector(struct loader *l, const struct tenant *t,
                                 const struct record_memory *row, struct vector_found *ret,
                                 struct err *err)
{
    struct store *s = l->e->store;
    struct record_memory_vector key = {.no = row->no}, vector;
    TRY(s->ops->get(s, RECORD_MEMORY_VECTOR, &key, &l->arena, &vector, err));
    ret->print = memory_vector_print(vector.vector);
    if (ret->slot != UINT32_MAX && t->snapshot->owners[ret->slot].vector_print == ret->print)
        return QMN_OK;
    if (!align(l, vector.vector, t->profiles.dim, &ret->unit))
        return err_nomem(err);
    if (!ret->unit)
        return err_set(err, QMN_E_CORRUPT, "a stored memory has a vector of the wrong length");
    return QMN_OK;
}

static enum qmn_code find_vector(struct loader *l, const struct tenant *t,
                                 const struct record_memory *row, struct vector_found *ret,
                                 struct err *err)
{
    bool sure = false;
    *ret = (struct vector_found){.slot = memory_snapshot_slot(t, row, &sure)};
    if (!sure)
        return read_vector(l, t, row, ret, err);
    ret->print = t->snapshot->owners[ret->slot].vector_print;
    return QMN_OK;
}

static enum qmn_code on_memory(void *ctx, const void *record, struct err *err)
{
    struct loader *l = ctx;
    struct engine *e = l->e;
    const struct record_memory *row = record;
    struct tenant *t = network_tenant_no(&e->net, row->tenant_no);
    const struct agent *a = network_agent_no(&e->net, row->agent_no);
    arena_reset(&l->arena);
    if (!t || !a || !t->profiles.dim)
        return QMN_OK;
    struct vector_found v;
    TRY(find_vector(l, t, row, &v, err));
    struct lexical_doc read, words;
    struct facts *facts;
    TRY(memory_words_read(t->memory_words.seed, row, &l->arena, &read, err));
    t->words_coming = 0; /* each is there before the next one comes */
    if (!memory_reserve(e, t, a->record->id, row, read.len, &l->arena, &facts) ||
        !lexical_doc_copy(&read, &words))
        return err_nomem(err);
    struct memory_next next = {.row = row,
                               .agent = a->slot,
                               .unit = v.unit,
                               .print = memory_print_with(row, v.print),
                               .words = &words,
                               .facts = facts};
    if (v.unit)
        memory_publish(e, t, &next);
    else
        memory_adopt(e, t, &next, v.slot, v.print);
    if (t->snapshot)
        *(v.unit ? &t->snapshot->read : &t->snapshot->taken) += 1;
    return QMN_OK;
}

static enum qmn_code load_memories(struct loader *l, struct err *err)
{
    struct network *n = &l->e->net;
    struct store *s = l->e->store;
    for (uint32_t i = 0; i < n->tenant_count; i++)
        if (!memory_snapshot_load(l->e, n->tenants[i]))
            return err_nomem(err);
    TRY(s->ops->scan(s, RECORD_MEMORY, NULL, on_memory, l, err));
    for (uint32_t i = 0; i < n->tenant_count; i++)
        memory_snapshot_settle(l->e, n->tenants[i]);
    return QMN_OK;
}

static enum qmn_code on_memory_version(void *ctx, const void *record, struct err *err)
{
    struct loader *l = ctx;
    const struct record_memory_version *row = record;
    struct tenant *t = network_tenant_no(&l->e->net, row->tenant_no);
    (void)err;
    if (t)
        memory_add_history(t, row);
    return QMN_OK;
}

static enum qmn_code on_idempotency(void *ctx, const void *record, struct err *err)
{
    struct loader *l = ctx;
    const struct record_idempotency *row = record;
    uint64_t hash[2];
    if (row->key_hash.len != sizeof hash)
        return err_set(err, QMN_E_CORRUPT, "a stored idempotency key has the wrong length");
    memcpy(hash, row->key_hash.ptr, sizeof hash);
    if (!idempotency_reserve(l->e->idempotency, 1))
        return err_nomem(err);
    idempotency_done(l->e->idempotency, hash, row->no);
    return QMN_OK;
}

/* Numbers go on above every number there is. */
static enum qmn_code find_last_no(struct engine *e, struct err *err)
{
    static const enum record_kind kinds[] = {
        RECORD_TENANT, RECORD_AGENT,  RECORD_NUTRIENT, RECORD_TRACE,       RECORD_RESPONSE,
        RECORD_MEMORY, RECORD_POLICY, RECORD_TASK,     RECORD_IDEMPOTENCY, RECORD_LEARNING_LOG};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        int64_t no = 0;
        TRY(e->store->ops->max_no(e->store, kinds[i], &no, err));
        if (no > e->writer->last_no)
            e->writer->last_no = no;
    }
    return QMN_OK;
}

static enum qmn_code load_live(struct loader *l, struct err *err)
{
    struct store *s = l->e->store;
    struct record_trace after = {0};
    TRY(s->ops->scan(s, RECORD_NUTRIENT, NULL, on_nutrient, l, err));
    if (!l->first_live)
        return QMN_OK;
    after.no = l->first_live - 1;
    TRY(s->ops->scan(s, RECORD_TRACE, &after, on_trace, l, err));
    struct record_delivery ended = {.nutrient_no = l->first_live - 1, .agent_no = INT64_MAX};
    TRY(s->ops->scan(s, RECORD_DELIVERY, &ended, on_delivery, l, err));
    for (uint32_t i = 0; i < l->e->net.tenant_count; i++)
        live_bound(l->e, l->e->net.tenants[i]);
    return QMN_OK;
}

static enum qmn_code load_all(struct loader *l, struct err *err)
{
    struct store *s = l->e->store;
    TRY(engine_load_control(l->e, err));
    TRY(s->ops->scan(s, RECORD_AGENT, NULL, on_agent, l, err));
    TRY(s->ops->scan(s, RECORD_AGENT_TASKS, NULL, on_agent_tasks, l, err));
    TRY(s->ops->scan(s, RECORD_EDGE, NULL, on_edge, l, err));
    TRY(load_memories(l, err));
    TRY(s->ops->scan(s, RECORD_MEMORY_VERSION, NULL, on_memory_version, l, err));
    TRY(s->ops->scan(s, RECORD_MEMORY_CREDIT, NULL, on_memory_credit, l, err));
    TRY(s->ops->scan(s, RECORD_LEARNING_LOG, NULL, on_learning_log, l, err)); /* newer than rows */
    TRY(load_live(l, err));
    TRY(s->ops->scan(s, RECORD_RESPONSE, NULL, on_response, l, err));
    TRY(s->ops->scan(s, RECORD_IDEMPOTENCY, NULL, on_idempotency, l, err));
    return find_last_no(l->e, err);
}

enum qmn_code engine_load(struct engine *e, struct err *err)
{
    struct loader l = {.e = e, .now = engine_now(e)};
    arena_init(&l.arena, 0);
    enum qmn_code code = load_all(&l, err);
    for (uint32_t i = 0; i < e->net.tenant_count; i++) /* all that came is one group */
        terms_sweep(&e->net.tenants[i]->memory_sets.terms, UINT64_MAX);
    for (uint32_t i = 0; i < l.nutrient_count; i++)
        mem_free(l.nutrients[i].codes);
    mem_free(l.nutrients);
    arena_release(&l.arena);
    return code;
}
