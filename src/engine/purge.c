/* SPDX-License-Identifier: MIT
 *
 * Purging a deleted tenant: what it holds leaves the memory at once, its rows leave the store in
 * small batches that share groups with everybody else's commands.
 *
 * The store finds rows by key only, so a thread of its own reads each table from end to end and
 * hands the keys of what must go to the writer, one batch at a time.  A request that was under way
 * when the tenant was deleted may still commit behind it: the thread repeats its round until one
 * finds nothing.  The order stands in the store (PURGE_MARK) and is taken up again after a restart.
 *
 * What stays: the tenant's row, without name and metadata, so that the id is never given out again;
 * its default agent, which every tenant has; its audit. */
#include "engine/agent_index_priv.h"
#include "engine/control_priv.h"
#include "engine/memory_index_priv.h"
#include "engine/memory_snapshot_priv.h"
#include "engine/memory_words_priv.h"

#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "engine/live_priv.h"
#include "store/layout.h"

enum {
    PURGE_BATCH = 256,
    PURGE_ROUNDS = 8, /* the third finds nothing unless somebody keeps writing */
    PURGE_ENOUGH = QMN_E_GONE,
    PURGE_ARENA_BYTES = 1 << 20, /* keys only: far above a batch of them */
};

enum order { ORDER_PENDING = 1, ORDER_DONE, ORDER_FAILED };

static const enum record_kind kinds[] = {
    RECORD_KEY,         RECORD_POLICY,         RECORD_TASK,
    RECORD_AGENT_TASKS, RECORD_EDGE,           RECORD_LEARNING_LOG,
    RECORD_DELIVERY,    RECORD_RESPONSE,       RECORD_OUTCOME,
    RECORD_NUTRIENT,    RECORD_TRACE,          RECORD_MEMORY,
    RECORD_AGENT,       RECORD_USAGE,          RECORD_MEMORY_VECTOR,
    RECORD_IDEMPOTENCY, RECORD_MEMORY_VERSION, RECORD_MEMORY_CREDIT,
};

struct purge {
    struct command cmd; /* one command, reused: each step waits for the one before */
    struct engine *engine;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    /* guarded by lock */
    struct u64map orders; /* tenant no -> enum order */
    pthread_t thread;
    bool running, stop, in_flight;

    /* owned by the thread; the writer reads them while a command is in flight */
    struct tenant *tenant;
    struct arena arena;
    enum record_kind kind;
    const struct layout *layout;
    void *rows[PURGE_BATCH]; /* keys of what goes */
    uint32_t row_count;
    void *after; /* key of the last row seen; NULL: none */
    struct record_meta mark;
    struct record_tenant *next;
};

static struct purge *purge_of(struct command *c)
{
    return CONTAINER_OF(c, struct purge, cmd);
}

struct bytes purge_mark(struct arena *arena, int64_t tenant_no)
{
    return bytes_cstr(arena_printf(arena, PURGE_MARK "%lld", (long long)tenant_no));
}

/* ---- commands ---- */

static enum qmn_code command_finish(struct engine *e, struct command *c, struct err *err)
{
    (void)e;
    (void)err;
    struct purge *p = purge_of(c);
    pthread_mutex_lock(&p->lock);
    p->in_flight = false;
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    return QMN_OK;
}

/* Hands the command to the writer and waits for its end. */
static enum qmn_code run(struct purge *p, const struct command_ops *ops)
{
    p->cmd = (struct command){.ops = ops, .tenant = p->tenant};
    pthread_mutex_lock(&p->lock);
    p->in_flight = true;
    pthread_mutex_unlock(&p->lock);
    writer_submit(p->engine, NULL, &p->cmd);
    pthread_mutex_lock(&p->lock);
    while (p->in_flight)
        pthread_cond_wait(&p->wake, &p->lock);
    enum qmn_code code = p->cmd.code;
    pthread_mutex_unlock(&p->lock);
    return code;
}

static void forget_records(struct tenant *t)
{
    for (uint32_t i = 0; i < t->policy_count; i++)
        mem_free(t->policies[i]);
    t->policy_count = 0;
    while (t->tasks_by_id.len)
        for (size_t i = 0; i < t->tasks_by_id.cap; i++)
            if (t->tasks_by_id.slots[i].value) /* taking one out may move another here */
                tenant_remove_task(t, t->tasks_by_id.slots[i].value);
    textmap_release(&t->tasks_by_id);
}

/* Nutrients, responses and memories with their vectors: what takes the room. */
static void forget_content(struct engine *e, struct tenant *t)
{
    uint32_t dim = (uint32_t)t->record->dim;
    while (t->newest)
        live_remove(e, t->newest);
    for (uint32_t i = 0; i < t->response_index.slots; i++)
        if (t->responses[i].used)
            response_remove(t, i);
    memory_words_release(t); /* in one go: removing them one by one takes 0.1 ms each */
    for (uint32_t i = 0; i < t->memory_slots; i++)
        if (t->memories[i].used)
            memory_remove(t, i);
    flat_release(&t->response_index);
    flat_init(&t->response_index, dim, FLAT_F32);
    mem_free(TAKE(t->responses));
    memory_index_release(t);
    memory_sets_release(&t->memory_sets);
    mem_free(TAKE(t->memories));
    t->response_cap = t->memory_cap = 0;
}

/* The agents stay as stubs, since much points to them; their profiles and edges go. */
static void forget_agents(struct tenant *t)
{
    agent_index_release(t);
    flat_release(&t->profiles);
    flat_init(&t->profiles, 0, FLAT_F32);
    for (uint32_t i = 0; i < t->agent_count; i++) {
        struct agent *a = t->agents[i];
        u64map_release(&a->edge_by_dst);
        mem_free(TAKE(a->edges));
        a->edge_count = a->edge_cap = 0;
    }
    t->edge_count = 0;
}

static enum qmn_code forget_check(struct engine *e, struct command *c, struct err *err)
{
    (void)e;
    (void)c;
    (void)err;
    return QMN_OK;
}

/* On the writer, behind a group: no command stands between its check and its publish, so none holds
 * on to what goes. */
static enum qmn_code forget_finish(struct engine *e, struct command *c, struct err *err)
{
    struct tenant *t = c->tenant;
    if (c->code == QMN_OK) {
        pthread_rwlock_wrlock(&e->net.lock);
        pthread_mutex_lock(&e->net.inbox_lock);
        while (t->keys)
            network_remove_key(&e->net, t->keys);
        forget_records(t);
        forget_content(e, t);
        forget_agents(t);
        pthread_mutex_unlock(&e->net.inbox_lock);
        pthread_rwlock_unlock(&e->net.lock);
    }
    return command_finish(e, c, err);
}

static const struct command_ops forget_ops = {
    .name = "purge.forget", .check = forget_check, .finish = forget_finish};

static enum qmn_code delete_check(struct engine *e, struct command *c, struct err *err)
{
    (void)err;
    struct purge *p = purge_of(c);
    for (uint32_t i = 0; i < p->row_count; i++)
        writer_add(e, MUT_DELETE, p->kind, p->rows[i]);
    return QMN_OK;
}

static const struct command_ops delete_ops = {
    .name = "purge.delete", .check = delete_check, .finish = command_finish};

static enum qmn_code end_check(struct engine *e, struct command *c, struct err *err)
{
    struct purge *p = purge_of(c);
    struct record_tenant next = *c->tenant->record;
    if (!writer_claim(e, c, RECORD_TENANT, (uint64_t)next.no))
        return QMN_OK;
    next.name = next.kms_key_id = next.region = bytes_of("", 0);
    next.metadata = BYTES_LIT("{}");
    next.updated_ms = writer_now_ms(e);
    p->next = record_hold(RECORD_TENANT, &next);
    p->mark = (struct record_meta){.name = purge_mark(writer_arena(e), next.no),
                                   .value = BYTES_LIT(PURGE_DONE)};
    if (!p->next || !p->mark.name.ptr)
        return err_nomem(err);
    writer_add(e, MUT_PUT, RECORD_TENANT, p->next);
    writer_add(e, MUT_PUT, RECORD_META, &p->mark);
    writer_audit(e, c->tenant, NULL, "tenant.purge", p->next->id, BYTES_LIT("{}"));
    return QMN_OK;
}

static void end_publish(struct engine *e, struct command *c)
{
    (void)e;
    tenant_replace(c->tenant, TAKE(purge_of(c)->next));
}

static void end_discard(struct engine *e, struct command *c)
{
    (void)e;
    mem_free(TAKE(purge_of(c)->next));
}

static const struct command_ops end_ops = {.name = "purge.end",
                                           .check = end_check,
                                           .publish = end_publish,
                                           .finish = command_finish,
                                           .discard = end_discard};

/* ---- finding rows ---- */

/* A copy of the record with its key fields only. */
static void *copy_key(struct purge *p, const void *record)
{
    const struct record_type *t = p->layout->type;
    void *key = arena_calloc(&p->arena, 1, t->size);
    for (size_t i = 0; key && i < t->key_count; i++) {
        const struct field *f = &t->fields[i];
        if (f->type == FIELD_INT) {
            record_set_int(key, f, record_int(record, f));
            continue;
        }
        struct bytes b = arena_bytes(&p->arena, record_bytes(record, f));
        if (!b.ptr)
            return NULL;
        record_set_bytes(key, f, b);
    }
    if (key && p->layout->tenant)
        record_set_int(key, p->layout->tenant, layout_tenant_no(p->layout, record));
    return key;
}

static bool must_go(const struct purge *p, const void *record)
{
    if (layout_tenant_no(p->layout, record) != p->tenant->record->no)
        return false;
    return p->kind != RECORD_AGENT ||
           !bytes_is(((const struct record_agent *)record)->id, DEFAULT_AGENT_ID);
}

static enum qmn_code find_row(void *ctx, const void *record, struct err *err)
{
    struct purge *p = ctx;
    if (!must_go(p, record))
        return QMN_OK;
    void *key = copy_key(p, record);
    if (!key)
        return err_nomem(err);
    p->rows[p->row_count++] = key;
    p->after = key;
    return p->row_count < PURGE_BATCH ? QMN_OK : (enum qmn_code)PURGE_ENOUGH;
}

static bool stopped(struct purge *p)
{
    pthread_mutex_lock(&p->lock);
    bool stop = p->stop;
    pthread_mutex_unlock(&p->lock);
    return stop;
}

static enum qmn_code purge_kind(struct purge *p, enum record_kind kind, uint64_t *removed,
                                struct err *err)
{
    struct store *s = p->engine->store;
    CLEANUP(mem_freep) void *from = NULL;
    p->kind = kind;
    p->layout = store_layout(kind);
    for (bool more = true; more && !stopped(p);) {
        arena_reset(&p->arena);
        p->row_count = 0;
        enum qmn_code code = s->ops->scan(s, kind, from, find_row, p, err);
        more = p->row_count == PURGE_BATCH;
        if (code != QMN_OK && !more)
            return code;
        if (!p->row_count)
            return QMN_OK;
        mem_free(from);
        from = record_hold(kind, p->after);
        if (!from)
            return err_nomem(err);
        TRY(run(p, &delete_ops));
        *removed += p->row_count;
    }
    return QMN_OK;
}

static enum qmn_code purge_tenant(struct purge *p, struct err *err)
{
    TRY(run(p, &forget_ops));
    memory_snapshot_forget(p->engine, p->tenant);
    for (int round = 0; round < PURGE_ROUNDS; round++) {
        uint64_t removed = 0;
        for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
            TRY(purge_kind(p, kinds[i], &removed, err));
        if (!removed || stopped(p))
            break;
    }
    return stopped(p) ? QMN_OK : run(p, &end_ops);
}

/* ---- the thread ---- */

/* Lock held. */
static bool next_order(const struct purge *p, int64_t *ret_no)
{
    for (size_t i = 0; i < p->orders.cap; i++)
        if (p->orders.full[i] && p->orders.slots[i].value == ORDER_PENDING) {
            *ret_no = (int64_t)p->orders.slots[i].key;
            return true;
        }
    return false;
}

static void carry_out(struct purge *p, int64_t no)
{
    struct engine *e = p->engine;
    struct err err = {0};
    pthread_rwlock_rdlock(&e->net.lock);
    p->tenant = network_tenant_no(&e->net, no);
    pthread_rwlock_unlock(&e->net.lock);
    enum qmn_code code = p->tenant ? purge_tenant(p, &err) : QMN_OK;
    if (code != QMN_OK)
        log_error("purge of a tenant stopped, the next start takes it up again",
                  LOG_I("tenant_no", no), LOG_S("code", code_info(code)->wire),
                  LOG_S("detail", err.text));
    pthread_mutex_lock(&p->lock);
    uint64_t *order = u64map_get(&p->orders, (uint64_t)no);
    if (order && !p->stop)
        *order = code == QMN_OK ? ORDER_DONE : ORDER_FAILED;
    pthread_mutex_unlock(&p->lock);
}

static void *purge_main(void *arg)
{
    struct purge *p = arg;
    pthread_mutex_lock(&p->lock);
    while (!p->stop) {
        int64_t no;
        if (!next_order(p, &no)) {
            pthread_cond_wait(&p->wake, &p->lock);
            continue;
        }
        pthread_mutex_unlock(&p->lock);
        carry_out(p, no);
        pthread_mutex_lock(&p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

struct purge *purge_new(struct engine *e)
{
    struct purge *p = mem_calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->engine = e;
    arena_init(&p->arena, PURGE_ARENA_BYTES);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    return p;
}

void purge_free(struct purge *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    if (p->running)
        pthread_join(p->thread, NULL);
    arena_release(&p->arena);
    u64map_release(&p->orders);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->wake);
    mem_free(p);
}

bool purge_reserve(struct purge *p)
{
    pthread_mutex_lock(&p->lock);
    bool ok = u64map_reserve(&p->orders, LIMIT_GROUP);
    pthread_mutex_unlock(&p->lock);
    return ok;
}

bool purge_remember(struct purge *p, int64_t tenant_no, bool done)
{
    pthread_mutex_lock(&p->lock);
    bool ok = u64map_put(&p->orders, (uint64_t)tenant_no, done ? ORDER_DONE : ORDER_PENDING);
    pthread_mutex_unlock(&p->lock);
    return ok;
}

void purge_start(struct purge *p)
{
    int64_t no;
    pthread_mutex_lock(&p->lock);
    if (p->running)
        pthread_cond_broadcast(&p->wake);
    else if (next_order(p, &no))
        p->running = pthread_create(&p->thread, NULL, purge_main, p) == 0;
    bool missing = !p->running && next_order(p, &no);
    pthread_mutex_unlock(&p->lock);
    if (missing)
        log_error("no thread for a purge, the next start takes it up", LOG_I("tenant_no", no));
}

bool purge_ordered(struct purge *p, int64_t tenant_no)
{
    pthread_mutex_lock(&p->lock);
    bool ordered = u64map_get(&p->orders, (uint64_t)tenant_no) != NULL;
    pthread_mutex_unlock(&p->lock);
    return ordered;
}
