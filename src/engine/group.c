/* SPDX-License-Identifier: MIT
 *
 * One group of commands: mutations, claims, edges, usage and vector spaces on their way into one
 * transaction. */
#include "engine/group_priv.h"

#include "base/mem.h"
#include "engine/memory_credit_priv.h"
#include "engine/recent_priv.h"
#include "route/plasticity.h"

#define GROUP_ARENA_BYTES (256u << 20) /* far above 128 commands of the largest body */

struct writer *writer_new(struct engine *e)
{
    struct writer *w = mem_calloc(1, sizeof *w);
    pthread_condattr_t attr;
    (void)e;
    if (!w)
        return NULL;
    arena_init(&w->arena, GROUP_ARENA_BYTES);
    w->tail = &w->head;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->wake, &attr);
    pthread_condattr_destroy(&attr);
    return w;
}

void writer_free(struct writer *w)
{
    if (!w)
        return;
    arena_release(&w->arena);
    u64map_release(&w->claims);
    u64map_release(&w->edge_at);
    u64map_release(&w->task_at);
    u64map_release(&w->memory_at);
    learning_log_release(&w->learning_log);
    mem_free(w->batch);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->wake);
    mem_free(w);
}

void group_begin(struct engine *e)
{
    struct writer *w = e->writer;
    arena_reset(&w->arena);
    w->serial++;
    w->now_ms = engine_now(e);
    w->batch_len = 0;
    w->failed = false;
    w->places = 0;
    u64map_clear(&w->claims);
    u64map_clear(&w->edge_at);
    w->edges = NULL;
    u64map_clear(&w->task_at);
    w->tasks = NULL;
    w->tasks_tail = &w->tasks;
    u64map_clear(&w->memory_at);
    w->memories = NULL;
    w->usage_len = 0;
    w->spaces = NULL;
}

struct arena *writer_arena(struct engine *e)
{
    return &e->writer->arena;
}

int64_t writer_now_ms(struct engine *e)
{
    return e->writer->now_ms;
}

uint64_t writer_group(struct engine *e)
{
    return e->writer->serial;
}

uint32_t writer_places(struct engine *e, uint32_t more)
{
    e->writer->places += more;
    return LIMIT_GROUP + e->writer->places;
}

int64_t writer_next_no(struct engine *e)
{
    struct writer *w = e->writer;
    int64_t us = w->now_ms * 1000;
    w->last_no = us > w->last_no ? us : w->last_no + 1;
    return w->last_no;
}

void writer_add(struct engine *e, enum mutation_op op, enum record_kind kind, const void *record)
{
    struct writer *w = e->writer;
    if (w->batch_len == w->batch_cap) {
        size_t cap = w->batch_cap ? w->batch_cap * 2 : 256;
        struct mutation *p = mem_resize(w->batch, cap, sizeof *p);
        if (!p) {
            w->failed = true;
            return;
        }
        w->batch = p;
        w->batch_cap = cap;
    }
    w->batch[w->batch_len++] = (struct mutation){.op = op, .kind = kind, .record = record};
}

void writer_add_below(struct engine *e, enum record_kind kind, const void *record, uint32_t limit)
{
    writer_add(e, MUT_DELETE_BELOW, kind, record);
    if (!e->writer->failed)
        e->writer->batch[e->writer->batch_len - 1].limit = limit;
}

/* False if somebody else holds it. */
static bool claim(struct writer *w, const void *owner, enum record_kind kind, uint64_t what)
{
    uint64_t key = bytes_hash(bytes_of(&what, sizeof what), (uint64_t)kind);
    uint64_t *held = u64map_get(&w->claims, key);
    if (held)
        return *held == (uintptr_t)owner;
    if (!u64map_put(&w->claims, key, (uintptr_t)owner))
        w->failed = true;
    return true;
}

bool writer_claim(struct engine *e, struct command *cmd, enum record_kind kind, uint64_t what)
{
    cmd->defer = !claim(e->writer, cmd, kind, what);
    return !cmd->defer;
}

void writer_stamp(struct engine *e, uint64_t what)
{
    struct writer *w = e->writer;
    w->stamps[what % WRITER_STAMPS] = w->serial;
}

bool writer_stamped_since(struct engine *e, uint64_t what, uint64_t published)
{
    return e->writer->stamps[what % WRITER_STAMPS] > published;
}

uint64_t writer_published(struct engine *e)
{
    return atomic_load_explicit(&e->writer->published, memory_order_acquire);
}

/* ---- edges ---- */

static uint64_t edge_key(const struct agent *src, const struct agent *dst)
{
    int64_t pair[2] = {src->record->no, dst->record->no};
    return bytes_hash(bytes_of(pair, sizeof pair), 1);
}

void edge_start(struct edge_next *x, int64_t now_ms)
{
    x->weight = EDGE_PRIOR;
    x->success = x->decay = 0;
    x->outcomes = 0;
    x->created_ms = x->updated_ms = now_ms;
    x->removed = false;
}

static struct edge_next *edges_at(const struct writer *w, uint64_t key)
{
    uint64_t *at = u64map_get(&w->edge_at, key);
    return at ? (struct edge_next *)(uintptr_t)*at : NULL;
}

struct edge_next *writer_edge_known(struct engine *e, const struct agent *src,
                                    const struct agent *dst)
{
    struct edge_next *x = edges_at(e->writer, edge_key(src, dst));
    while (x && (x->src != src || x->dst != dst))
        x = x->link;
    return x;
}

struct edge_next *writer_edge(struct engine *e, struct agent *src, struct agent *dst)
{
    struct writer *w = e->writer;
    struct edge_next *known = writer_edge_known(e, src, dst);
    if (known)
        return known;
    uint64_t key = edge_key(src, dst);
    struct edge_next *first = edges_at(w, key), *x = arena_new(&w->arena, struct edge_next);
    if (!x || !u64map_put(&w->edge_at, key, (uintptr_t)x)) {
        w->failed = true;
        return NULL;
    }
    const struct edge *old = agent_edge(src, dst->slot);
    *x = (struct edge_next){.src = src, .dst = dst, .link = first, .all = w->edges};
    if (old) {
        x->weight = old->weight;
        x->success = old->success;
        x->decay = old->decay;
        x->outcomes = old->outcomes;
        x->created_ms = old->created_ms;
        x->updated_ms = old->updated_ms;
    } else {
        edge_start(x, w->now_ms);
        x->is_new = true;
    }
    w->edges = x;
    return x;
}

struct edge_next *writer_edges(struct engine *e)
{
    return e->writer->edges;
}

bool edge_unused(const struct edge_next *x)
{
    return x->is_new && !x->outcomes && !x->removed;
}

/* Makes room for new edges; the rows of those that go, go at once. */
static void prepare_edges(struct engine *e)
{
    struct writer *w = e->writer;
    for (struct edge_next *x = w->edges; x; x = x->all) {
        if (edge_unused(x))
            continue;
        if (!x->removed) {
            if (x->is_new && !network_grow_edges(&e->net, x->src, ++x->src->edges_coming))
                w->failed = true;
            continue;
        }
        struct record_edge *row = arena_new(&w->arena, struct record_edge);
        if (!row) {
            w->failed = true;
            return;
        }
        *row = (struct record_edge){.src_no = x->src->record->no,
                                    .dst_no = x->dst->record->no,
                                    .tenant_no = x->src->tenant->record->no};
        writer_add(e, MUT_DELETE, RECORD_EDGE, row);
    }
}

static void publish_edges(struct engine *e)
{
    struct writer *w = e->writer;
    for (struct edge_next *x = w->edges; x; x = x->all) {
        x->src->edges_coming = 0;
        if (edge_unused(x))
            continue;
        if (x->removed) {
            agent_remove_edge(x->src, x->dst->slot);
            continue;
        }
        struct edge *edge = agent_put_edge(x->src, x->dst->slot);
        edge->weight = x->weight;
        edge->success = x->success;
        edge->decay = x->decay;
        edge->outcomes = x->outcomes;
        edge->created_ms = x->created_ms;
        edge->updated_ms = x->updated_ms;
        edge->row_behind = true;
        learning_log_behind(e, x->src);
    }
}

/* ---- usage ---- */

static struct usage_next *usage_of(struct writer *w, struct tenant *t)
{
    for (uint32_t i = 0; i < w->usage_len; i++)
        if (w->usage[i].tenant == t)
            return &w->usage[i];
    if (w->usage_len == LIMIT_GROUP)
        return NULL; /* cannot be: one tenant a command */
    struct usage_next *u = &w->usage[w->usage_len++];
    *u = (struct usage_next){.tenant = t};
    return u;
}

/* What counts against a quota: bytes as they lie in the store now, everything else by the hour. */
static uint64_t used_now(struct tenant *t, enum usage_kind kind)
{
    return kind == USAGE_BYTES
               ? t->stored_bytes
               : atomic_load_explicit(usage_counter(&t->usage, kind), memory_order_relaxed);
}

static enum qmn_code over_quota(const struct writer *w, const struct tenant *t,
                                enum usage_kind kind, uint64_t limit, uint64_t used, uint64_t n,
                                struct err *err)
{
    const char *plan = label_name(plan_tier_names, (uint32_t)t->record->plan);
    if (kind == USAGE_BYTES)
        return err_set(err, QMN_E_QUOTA,
                       "plan \"%s\" stores %llu bytes, %llu are taken and this takes %llu; delete "
                       "memories or let "
                       "nutrients expire",
                       plan, (unsigned long long)limit, (unsigned long long)used,
                       (unsigned long long)n);
    return err_retry(err, QMN_E_QUOTA, (uint32_t)(3600 - w->now_ms / 1000 % 3600),
                     "the hourly quota of plan \"%s\" is %llu, %llu are used and this costs %llu",
                     plan, (unsigned long long)limit, (unsigned long long)used,
                     (unsigned long long)n);
}

enum qmn_code writer_use(struct engine *e, struct tenant *t, enum usage_kind kind, uint64_t n,
                         struct err *err)
{
    struct writer *w = e->writer;
    struct usage_next *u = usage_of(w, t);
    if (!u)
        return err_set(err, QMN_E_INTERNAL, "too many tenants in one group");
    uint64_t limit = plan_quota((uint32_t)t->record->plan, kind);
    uint64_t used = used_now(t, kind) + u->add[kind];
    if (limit != UINT64_MAX && used + n > limit)
        return over_quota(w, t, kind, limit, used, n, err);
    u->add[kind] += n;
    return QMN_OK;
}

static void publish_usage(struct writer *w)
{
    for (uint32_t i = 0; i < w->usage_len; i++)
        for (int kind = USAGE_NUTRIENTS; kind <= USAGE_BYTES; kind++) {
            uint64_t add = w->usage[i].add[kind];
            if (!add)
                continue;
            *usage_counter(&w->usage[i].tenant->usage, (enum usage_kind)kind) += add;
            *usage_counter(&w->usage[i].tenant->usage_total, (enum usage_kind)kind) += add;
        }
}

static void add_usage_row(struct engine *e, struct tenant *t, struct usage *u, int64_t hour,
                          const uint64_t *add)
{
    struct writer *w = e->writer;
    struct record_usage *row = arena_new(&w->arena, struct record_usage);
    if (!row) {
        w->failed = true;
        return;
    }
    *row = (struct record_usage){.tenant_no = t->record->no,
                                 .hour = hour,
                                 .nutrients = (int64_t)(u->nutrients + add[USAGE_NUTRIENTS]),
                                 .collects = (int64_t)(u->collects + add[USAGE_COLLECTS]),
                                 .searches = (int64_t)(u->searches + add[USAGE_SEARCHES]),
                                 .outcomes = (int64_t)(u->outcomes + add[USAGE_OUTCOMES]),
                                 .stores = (int64_t)(u->stores + add[USAGE_STORES]),
                                 .bytes = (int64_t)(u->bytes + add[USAGE_BYTES])};
    writer_add(e, MUT_PUT, RECORD_USAGE, row);
}

void group_put_usage(struct engine *e, struct tenant *t, const uint64_t *add)
{
    add_usage_row(e, t, &t->usage, t->usage.hour, add);
    add_usage_row(e, t, &t->usage_total, 0, add);
}

/* ---- vector spaces ---- */

static struct space_next *space_prepare(struct engine *e, struct tenant *t, struct bytes space,
                                        uint32_t dim)
{
    struct writer *w = e->writer;
    struct space_next *s = arena_new(&w->arena, struct space_next);
    struct record_tenant next = *t->record;
    next.space = space;
    next.dim = dim;
    next.updated_ms = w->now_ms;
    if (!s)
        return NULL;
    s->tenant = t;
    s->record = record_hold(RECORD_TENANT, &next);
    flat_init(&s->profiles, dim, profile_precision(dim));
    if (!s->record || !flat_reserve(&s->profiles, t->agent_count + LIMIT_GROUP)) {
        mem_free(s->record);
        flat_release(&s->profiles);
        return NULL;
    }
    for (uint32_t i = 0; i < t->agent_count; i++)
        flat_add(&s->profiles, NULL);
    return s;
}

enum qmn_code writer_fix_space(struct engine *e, struct command *cmd, struct bytes space,
                               uint32_t dim, struct err *err)
{
    struct writer *w = e->writer;
    struct tenant *t = cmd->tenant;
    if (t->record->space.len) {
        if (bytes_equal(t->record->space, space) && t->record->dim == dim)
            return QMN_OK;
        return err_set(err, QMN_E_SPACE_MISMATCH,
                       "the vectors of this tenant are in space \"%.*s\" with %lld dimensions, "
                       "these are in \"%.*s\" "
                       "with %u",
                       BYTES_FMT(t->record->space), (long long)t->record->dim, BYTES_FMT(space),
                       dim);
    }
    /* The space is fixed by this group and this command comes again in the next: what it reserves
     * depends on the dimension.  The fix stays even if the command is refused then. */
    cmd->defer = true;
    for (struct space_next *s = w->spaces; s; s = s->next)
        if (s->tenant == t)
            return QMN_OK;
    if (!claim(w, t, RECORD_TENANT, (uint64_t)t->record->no))
        return QMN_OK; /* its record is being changed: look again in the next group */
    struct space_next *s = space_prepare(e, t, space, dim);
    if (!s) {
        cmd->defer = false;
        return err_nomem(err);
    }
    s->next = w->spaces;
    w->spaces = s;
    return QMN_OK;
}

static void publish_spaces(struct writer *w)
{
    for (struct space_next *s = w->spaces; s; s = s->next) {
        struct tenant *t = s->tenant;
        if (!t->profiles.dim) {
            flat_release(&t->profiles);
            t->profiles = s->profiles;
            t->response_index.dim = s->profiles.dim;
        } else {
            flat_release(&s->profiles);
        }
        tenant_replace(t, s->record);
    }
}

/* ---- the group as a whole ---- */

struct group_mark group_mark(struct engine *e, struct tenant *t)
{
    struct writer *w = e->writer;
    struct group_mark mark = {
        .batch_len = w->batch_len, .tasks_tail = w->tasks_tail, .usage = {.tenant = t}};
    for (uint32_t i = 0; t && i < w->usage_len; i++)
        if (w->usage[i].tenant == t)
            mark.usage = w->usage[i];
    return mark;
}

void group_back_to(struct engine *e, const struct group_mark *mark)
{
    struct writer *w = e->writer;
    w->batch_len = mark->batch_len;
    for (struct task_next *x = *mark->tasks_tail; x; x = x->all)
        x->refused = true;
    w->tasks_tail = mark->tasks_tail;
    *w->tasks_tail = NULL;
    for (uint32_t i = 0; i < w->usage_len; i++)
        if (w->usage[i].tenant == mark->usage.tenant)
            w->usage[i] = mark->usage;
}

void group_finish(struct engine *e)
{
    struct writer *w = e->writer;
    recent_prepare(e);
    prepare_edges(e);
    memory_credit_prepare(e);
    learning_log_add(e);
    for (uint32_t i = 0; i < w->usage_len; i++)
        group_put_usage(e, w->usage[i].tenant, w->usage[i].add);
    for (struct space_next *s = w->spaces; s; s = s->next)
        writer_add(e, MUT_PUT, RECORD_TENANT, s->record);
}

void group_publish(struct engine *e)
{
    publish_spaces(e->writer);
    learning_log_publish(e);
    publish_edges(e);
    memory_credit_publish(e);
    recent_publish(e);
    publish_usage(e->writer);
}

void group_discard(struct engine *e)
{
    struct writer *w = e->writer;
    for (struct edge_next *x = w->edges; x; x = x->all)
        x->src->edges_coming = 0;
    recent_discard(e);
    memory_credit_discard(e);
    for (struct space_next *s = w->spaces; s; s = s->next) {
        mem_free(s->record);
        flat_release(&s->profiles);
    }
    w->spaces = NULL;
}
