/* SPDX-License-Identifier: MIT
 *
 * The engine's life: made from a store, drained, freed; and what it says of its health. */
#include "engine/control_priv.h"
#include "engine/memory_index_priv.h"
#include "engine/memory_snapshot_priv.h"
#include "engine/group_priv.h"
#include "engine/idempotency_priv.h"
#include "engine/live_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "route/select.h"

#define RETENTION_MS    (30 * INT64_C(86400000))
#define DISK_LOW_BYTES  (64ll << 20) /* health turns bad before the disk is full */
#define BACKUP_POLL_US  10000
#define QUEUE_SICK_PART 0.9 /* of LIMIT_WRITER_QUEUE */

/* ---- small helpers ---- */

struct bytes engine_id_text(struct arena *a, const struct id *id, const char *prefix)
{
    size_t len = strlen(prefix) + ID_TEXT_CHARS;
    char *text = arena_alloc(a, len + 1);
    if (!text)
        return bytes_of(NULL, 0);
    id_format(*id, prefix, text);
    return bytes_of(text, len);
}

bool engine_nutrient_id(struct bytes text, struct id *ret)
{
    return id_parse(text, PREFIX_NUTRIENT, ret) || id_parse(text, PREFIX_TRACE, ret);
}

struct bytes engine_client_key(struct arena *a, uint32_t label, struct bytes client_id)
{
    if (!client_id.len)
        return bytes_of("", 0);
    char *p = arena_alloc(a, client_id.len + 1);
    if (!p)
        return bytes_of(NULL, 0);
    p[0] = (char)('0' + label);
    memcpy(p + 1, client_id.ptr, client_id.len);
    return bytes_of(p, client_id.len + 1);
}

struct bytes engine_nutrient_name(struct arena *a, const struct id *id, struct bytes client_id)
{
    return client_id.len ? arena_bytes(a, client_id) : engine_id_text(a, id, PREFIX_NUTRIENT);
}

struct bytes engine_copy(struct arena *a, struct bytes b, bool *failed)
{
    struct bytes copy = arena_bytes(a, b);
    *failed |= copy.ptr == NULL;
    return copy.ptr ? copy : bytes_of("", 0);
}

enum qmn_code engine_tenant(struct engine *e, const struct caller *caller, struct tenant **ret,
                            struct err *err)
{
    struct tenant *t = network_tenant_no(&e->net, caller->tenant_no);
    if (!t || t->record->status == TENANT_DELETED)
        return err_set(err, QMN_E_FORBIDDEN, "this tenant has been deleted");
    *ret = t;
    return QMN_OK;
}

enum qmn_code engine_open_for(struct engine *e, struct err *err)
{
    if (atomic_load_explicit(&e->draining, memory_order_relaxed))
        return err_retry(err, QMN_E_UNAVAILABLE, 2, "the node is shutting down");
    return QMN_OK;
}

/* ---- metrics ---- */

static const double commit_bounds[] = {.0001, .00025, .0005, .001, .002, .004, .008,
                                       .016,  .032,   .064,  .128, .256, 1};
static const double group_bounds[] = {1, 2, 4, 8, 16, 32, 64, 96, 128};

static double read_inbox_depth(void *ctx)
{
    struct engine *e = ctx;
    double n = 0;
    pthread_rwlock_rdlock(&e->net.lock);
    pthread_mutex_lock(&e->net.inbox_lock);
    for (uint32_t i = 0; i < e->net.tenant_count; i++)
        for (uint32_t k = 0; k < e->net.tenants[i]->agent_count; k++)
            n += e->net.tenants[i]->agents[k]->inbox_pending;
    pthread_mutex_unlock(&e->net.inbox_lock);
    pthread_rwlock_unlock(&e->net.lock);
    return n;
}

static double read_live(void *ctx)
{
    struct engine *e = ctx;
    pthread_rwlock_rdlock(&e->net.lock);
    double n = (double)e->net.live_by_no.len;
    pthread_rwlock_unlock(&e->net.lock);
    return n;
}

static double read_words_bytes(void *ctx)
{
    struct engine *e = ctx;
    double n = 0;
    pthread_rwlock_rdlock(&e->net.lock);
    for (uint32_t i = 0; i < e->net.tenant_count; i++)
        n += (double)lexical_bytes(&e->net.tenants[i]->memory_words);
    pthread_rwlock_unlock(&e->net.lock);
    return n;
}

static double read_queue(void *ctx)
{
    struct engine *e = ctx;
    pthread_mutex_lock(&e->writer->lock);
    double n = e->writer->queued;
    pthread_mutex_unlock(&e->writer->lock);
    return n;
}

static double read_resident(void *ctx)
{
    long pages = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    (void)ctx;
    if (!f)
        return 0;
    char line[128];
    if (fgets(line, sizeof line, f)) {
        char *end;
        pages = strtol(line, &end, 10);
        resident = strtol(end, NULL, 10);
    }
    (void)fclose(f);
    (void)pages;
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static double read_store_bytes(void *ctx)
{
    struct engine *e = ctx;
    struct store_stats s;
    e->store->ops->stats(e->store, &s);
    return (double)(s.file_bytes + s.log_bytes);
}

static double read_evicted(void *ctx)
{
    struct engine *e = ctx;
    return (double)idempotency_evicted(e->idempotency);
}

static void make_snapshot_metrics(struct engine *e)
{
    static const char made[] = "Snapshots of large indexes of memories, by what became of them.";
    struct metrics *m = e->metrics;
    e->m.snapshots_taken =
        metrics_counter(m, "qmn_memory_snapshots_total", made, "result=\"taken\"");
    e->m.snapshots_failed =
        metrics_counter(m, "qmn_memory_snapshots_total", made, "result=\"failed\"");
    e->m.snapshots_loaded =
        metrics_counter(m, "qmn_memory_snapshots_total", made, "result=\"loaded\"");
    e->m.snapshots_refused =
        metrics_counter(m, "qmn_memory_snapshots_total", made, "result=\"refused\"");
    e->m.snapshot_bytes =
        metrics_counter(m, "qmn_memory_snapshot_bytes_total", "Bytes written for snapshots.", "");
    e->m.snapshot_rows =
        metrics_counter(m, "qmn_memory_snapshot_memories_total",
                        "Memories whose place in the index came from a snapshot.", "");
}

static void make_metrics(struct engine *e)
{
    struct metrics *m = e->metrics;
    if (!m)
        return;
    e->m.nutrients = metrics_counter(m, "qmn_nutrients_total", "Nutrients broadcast.", "");
    e->m.deliveries =
        metrics_counter(m, "qmn_deliveries_total", "Deliveries put into inboxes.", "");
    e->m.unrouted =
        metrics_counter(m, "qmn_nutrients_unrouted_total", "Nutrients that reached nobody.", "");
    e->m.collects = metrics_counter(m, "qmn_collects_total", "Collects answered.", "");
    e->m.outcomes = metrics_counter(m, "qmn_outcomes_total", "Outcomes recorded.", "");
    e->m.edge_changes =
        metrics_counter(m, "qmn_edge_changes_total", "Edge weights moved by outcomes.", "");
    e->m.acks = metrics_counter(m, "qmn_acks_total", "Deliveries acknowledged or refused.", "");
    e->m.expired = metrics_counter(m, "qmn_expired_total",
                                   "Nutrients, responses and memories past their time.", "");
    e->m.dropped = metrics_counter(m, "qmn_deliveries_dropped_total",
                                   "Deliveries lost to the inbox bound.", "");
    e->m.shed = metrics_counter(m, "qmn_writes_shed_total",
                                "Writes refused because the queue was full.", "");
    e->m.idempotent_replays =
        metrics_counter(m, "qmn_idempotent_replays_total", "Repeats answered from memory.", "");
    e->m.commit_seconds =
        metrics_histogram(m, "qmn_commit_seconds", "Time of one durable group commit.", "",
                          commit_bounds, ARRAY_LEN(commit_bounds));
    e->m.group_commands =
        metrics_histogram(m, "qmn_commit_group_commands", "Commands in one group.", "",
                          group_bounds, ARRAY_LEN(group_bounds));
    make_snapshot_metrics(e);
    metrics_gauge_fn(m, "qmn_inbox_depth", "Deliveries waiting in all inboxes.", "",
                     read_inbox_depth, e);
    metrics_gauge_fn(m, "qmn_live_nutrients", "Nutrients not yet expired.", "", read_live, e);
    metrics_gauge_fn(m, "qmn_memory_words_bytes", "Memory of the index of memories by their words.",
                     "", read_words_bytes, e);
    metrics_gauge_fn(m, "qmn_write_queue", "Commands waiting for the writer.", "", read_queue, e);
    metrics_gauge_fn(m, "qmn_resident_bytes", "Resident memory of the process.", "", read_resident,
                     e);
    metrics_gauge_fn(m, "qmn_store_bytes", "Database and write-ahead log on disk.", "",
                     read_store_bytes, e);
    metrics_gauge_fn(m, "qmn_idempotency_evicted_total",
                     "Idempotency keys forgotten before 24 hours.", "", read_evicted, e);
    memory_backlog_metrics(e);
}

/* ---- life ---- */

static void configure(struct engine *e, const struct engine_config *config)
{
    e->metrics = config->metrics;
    e->clock = config->clock ? config->clock : &clock_system;
    e->epsilon = config->epsilon >= 0 ? config->epsilon : SELECT_EPSILON;
    e->retention_ms = config->retention_ms > 0 ? config->retention_ms : RETENTION_MS;
    e->inbox_bytes = config->inbox_bytes ? config->inbox_bytes : LIMIT_INBOX_BYTES;
    e->memory_flat_max = config->memory_flat_max;
    e->agent_flat_max = config->agent_flat_max;
    e->memory_backlog_max =
        config->memory_backlog_max ? config->memory_backlog_max : LIMIT_UNLINKED;
    snprintf(e->region, sizeof e->region, "%s", config->region ? config->region : "local");
    snprintf(e->key_env, sizeof e->key_env, "%s", config->key_env ? config->key_env : "live");
    snprintf(e->backup_dir, sizeof e->backup_dir, "%s",
             config->backup_dir ? config->backup_dir : "");
    snprintf(e->snapshot_dir, sizeof e->snapshot_dir, "%s",
             config->snapshot_dir ? config->snapshot_dir : "");
    e->sealer = config->sealer ? *config->sealer : sealer_identity;
    uint64_t seed = config->seed;
    if (!seed)
        rng_secure(&seed, sizeof seed);
    e->seed = seed;
}

static enum qmn_code build(struct engine *e, const struct engine_config *config, struct err *err)
{
    TRY(network_init(&e->net, err));
    if (!searchers_init(&e->searchers))
        return err_nomem(err);
    e->writer = writer_new(e);
    if (e->writer) {
        learning_log_init(&e->writer->learning_log, config->learning_log_bytes);
        e->writer->wait_us = config->group_wait_us ? config->group_wait_us : GROUP_WAIT_US;
    }
    e->idempotency = idempotency_new(LIMIT_IDEMPOTENCY_ENTRIES);
    if (!e->writer || !e->idempotency || !upkeep_new(e))
        return err_nomem(err);
    make_metrics(e);
    bool ok;
    e->snapshots = snapshots_new(e, &ok);
    if (!ok)
        return err_nomem(err);
    TRY(engine_load(e, err));
    TRY(engine_open_pepper(e, config, err));
    TRY(writer_start(e, err));
    engine_start_control(e);
    snapshots_start(e);
    return QMN_OK;
}

enum qmn_code engine_new(const struct engine_config *config, struct engine **ret, struct err *err)
{
    struct engine *e = mem_calloc(1, sizeof *e);
    if (!e)
        return err_nomem(err);
    configure(e, config);
    e->store = config->store;
    enum qmn_code code = build(e, config, err);
    if (code != QMN_OK) {
        e->store = NULL; /* not taken on failure */
        engine_free(e);
        return code;
    }
    *ret = e;
    return QMN_OK;
}

static void wake_all(struct engine *e)
{
    pthread_rwlock_rdlock(&e->net.lock);
    pthread_mutex_lock(&e->net.inbox_lock);
    for (uint32_t i = 0; i < e->net.tenant_count; i++)
        tenant_wake(e->net.tenants[i]);
    pthread_mutex_unlock(&e->net.inbox_lock);
    pthread_rwlock_unlock(&e->net.lock);
}

void engine_drain(struct engine *e)
{
    atomic_store(&e->draining, true);
    wake_all(e);
}

void engine_stop(struct engine *e)
{
    if (!e)
        return;
    atomic_store(&e->draining, true);
    while (atomic_load(&e->backups))
        usleep(BACKUP_POLL_US);
    engine_release_control(e);
    snapshots_stop(e);
    writer_stop(e);
}

void engine_free(struct engine *e)
{
    if (!e)
        return;
    engine_stop(e);
    upkeep_free(e);
    network_release(&e->net);
    snapshots_free(e->snapshots);
    searchers_release(&e->searchers);
    idempotency_free(e->idempotency);
    writer_free(e->writer);
    store_close(e->store);
    pepper_wipe(&e->pepper);
    mem_free(e);
}

/* ---- health ---- */

enum qmn_code engine_ready(struct engine *e, struct err *err)
{
    struct health_check checks[8];
    TRY(engine_open_for(e, err));
    uint32_t n = engine_health(e, "router", checks);
    for (uint32_t i = 0; i < n; i++)
        if (!checks[i].ok)
            return err_set(err, QMN_E_UNAVAILABLE, "%s: %s", checks[i].name, checks[i].text);
    return QMN_OK;
}

static void check_writer(struct engine *e, struct health_check *ret)
{
    double queued = read_queue(e);
    ret->name = "writer";
    ret->ok = e->writer->running && queued < QUEUE_SICK_PART * LIMIT_WRITER_QUEUE;
    snprintf(ret->text, sizeof ret->text, ret->ok ? "ok" : "%.0f commands wait, the bound is %d",
             queued, LIMIT_WRITER_QUEUE);
}

/* Conflicts and want of memory are of the moment, and no sign of a store that is sick: a node
 * without writes would otherwise stay unready until the next one. */
static bool commit_is_sick(enum qmn_code last)
{
    return last != QMN_OK && last != QMN_E_CONFLICT && last != QMN_E_NOMEM;
}

/* Reads a row through the store, and asks whether the last commit failed for good. */
static void check_store(struct engine *e, struct health_check *ret)
{
    struct err err = {0};
    int64_t no;
    ret->name = "store";
    enum qmn_code code = e->store->ops->max_no(e->store, RECORD_TENANT, &no, &err);
    enum qmn_code last = (enum qmn_code)atomic_load(&e->last_commit);
    ret->ok = code == QMN_OK && !commit_is_sick(last);
    if (ret->ok)
        snprintf(ret->text, sizeof ret->text, "ok");
    else
        snprintf(ret->text, sizeof ret->text, "%.90s",
                 code != QMN_OK ? err.text : code_info(last)->title);
}

static void check_embedder(struct engine *e, struct health_check *ret)
{
    struct tenant none = {.record = &(struct record_tenant){.dim = 64}};
    struct vector_in in = {.text = BYTES_LIT("health check")};
    struct arena arena;
    struct err err = {0};
    const float *unit;
    uint32_t dim;
    struct bytes space;
    (void)e;
    arena_init(&arena, 0);
    ret->name = "embedder";
    ret->ok = engine_vector(&none, &in, "text", &arena, &unit, &dim, &space, &err) == QMN_OK;
    snprintf(ret->text, sizeof ret->text, "%.90s", ret->ok ? "ok" : err.text);
    arena_release(&arena);
}

static void check_disk(struct engine *e, struct health_check *ret)
{
    struct statvfs v;
    ret->name = "disk";
    ret->ok = true;
    snprintf(ret->text, sizeof ret->text, "ok");
    if (!e->backup_dir[0] || statvfs(e->backup_dir, &v))
        return; /* no directory of ours, nothing to fill */
    long long left = (long long)v.f_bavail * (long long)v.f_frsize;
    ret->ok = left >= DISK_LOW_BYTES;
    if (!ret->ok)
        snprintf(ret->text, sizeof ret->text, "%lld MB left", left >> 20);
}

uint32_t engine_health(struct engine *e, const char *service, struct health_check ret[8])
{
    uint32_t n = 0;
    check_store(e, &ret[n++]);
    check_writer(e, &ret[n++]);
    check_disk(e, &ret[n++]);
    if (strcmp(service, "router") == 0 || strcmp(service, "memory") == 0)
        check_embedder(e, &ret[n++]);
    return n;
}
