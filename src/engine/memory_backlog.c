/* SPDX-License-Identifier: MIT
 *
 * The backlog of memories that are not linked yet: its bound, its rate, and what is shown of it. */
#include "engine/memory_backlog_priv.h"

#include <math.h>
#include <stddef.h>

#include "engine/engine_priv.h"

enum {
    MEASURE_MS = 1000,
    ASSUMED_RATE = 1000, /* until there is a measured one: a slow machine's */
    RETRY_MAX_S = 60,
};

/* ---- the rate ---- */

static uint64_t linked_of_all(const struct engine *e)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < e->net.tenant_count; i++) {
        struct vectors_stats stats = {0};
        if (e->net.tenants[i]->memory_index)
            vectors_stats(e->net.tenants[i]->memory_index, &stats);
        n += stats.linked;
    }
    return n;
}

/* A stretch counts if there was work at both of its ends.  What was deleted in it makes it look
 * slower, by little. */
void memory_backlog_measure(struct engine *e)
{
    struct link_meter *m = &e->link_meter;
    int64_t now = engine_mono_ms(e);
    if (m->since_ms && now - m->since_ms < MEASURE_MS)
        return;
    uint64_t linked = e->index_line || m->since_ms ? linked_of_all(e) : 0;
    if (e->index_line && m->since_ms && linked > m->linked) {
        double rate = (double)(linked - m->linked) * 1000 / (double)(now - m->since_ms);
        double before = atomic_load_explicit(&m->rate, memory_order_relaxed);
        atomic_store_explicit(&m->rate, before > 0 ? (before + rate) / 2 : rate,
                              memory_order_relaxed);
    }
    m->linked = linked;
    m->since_ms = e->index_line ? now : 0;
}

/* ---- the bound ---- */

static uint32_t retry_after(const struct engine *e, uint32_t too_many)
{
    double rate = atomic_load_explicit(&e->link_meter.rate, memory_order_relaxed);
    double s = ceil(too_many / (rate > 0 ? rate : ASSUMED_RATE));
    return s < 1 ? 1 : s > RETRY_MAX_S ? RETRY_MAX_S : (uint32_t)s;
}

enum qmn_code memory_backlog_check(struct engine *e, const struct tenant *t, struct err *err)
{
    struct vectors_stats stats;
    if (!t->memory_index)
        return QMN_OK;
    vectors_stats(t->memory_index, &stats);
    bool linking = stats.levels || stats.live > e->memory_flat_max;
    if (!linking || stats.fresh < e->memory_backlog_max)
        return QMN_OK;
    counter_add(e->m.memories_refused, 1);
    return err_retry(
        err, QMN_E_RATE_LIMITED, retry_after(e, stats.fresh - e->memory_backlog_max + 1),
        "%u memories of this tenant wait for their links, and %u may; they get them in "
        "the background",
        stats.fresh, e->memory_backlog_max);
}

/* ---- metrics ---- */

static struct memory_totals totals_of_all(struct engine *e)
{
    struct memory_totals sum = {0};
    pthread_rwlock_rdlock(&e->net.lock);
    for (uint32_t i = 0; i < e->net.tenant_count; i++) {
        struct vectors_stats s;
        if (!e->net.tenants[i]->memory_index)
            continue;
        vectors_stats(e->net.tenants[i]->memory_index, &s);
        sum.vectors += s.live;
        sum.linked += s.linked;
        sum.fresh += s.fresh;
        sum.dead += s.dead;
        sum.bits += (double)s.bytes_bits;
        sum.int8 += (double)s.bytes_i8;
        sum.exact += (double)s.bytes_exact;
        sum.links += (double)s.bytes_links;
        sum.other += (double)s.bytes_other;
    }
    pthread_rwlock_unlock(&e->net.lock);
    return sum;
}

static double read_total(void *ctx)
{
    const struct memory_gauge *g = ctx;
    struct memory_totals sum = totals_of_all(g->engine);
    double v;
    memcpy(&v, (const char *)&sum + g->offset, sizeof v);
    return v;
}

static double read_rate(void *ctx)
{
    struct engine *e = ctx;
    return atomic_load_explicit(&e->link_meter.rate, memory_order_relaxed);
}

#define BYTES_HELP "Memory of the vector indexes of memories, by part."

static const struct {
    const char *name, *help, *labels;
    size_t offset;
} shown[MEMORY_GAUGES] = {
    {"qmn_memory_vectors", "Memories that searches find.", "",
     offsetof(struct memory_totals, vectors)},
    {"qmn_memory_vectors_linked", "Of them, those linked into a graph.", "",
     offsetof(struct memory_totals, linked)},
    {"qmn_memory_vectors_unlinked",
     "Of them, those that are scanned: of small tenants, and those that wait for their links.", "",
     offsetof(struct memory_totals, fresh)},
    {"qmn_memory_vectors_dead", "Removed, but still links of others in a graph.", "",
     offsetof(struct memory_totals, dead)},
    {"qmn_memory_index_bytes", BYTES_HELP, "part=\"bits\"", offsetof(struct memory_totals, bits)},
    {"qmn_memory_index_bytes", BYTES_HELP, "part=\"int8\"", offsetof(struct memory_totals, int8)},
    {"qmn_memory_index_bytes", BYTES_HELP, "part=\"float32\"",
     offsetof(struct memory_totals, exact)},
    {"qmn_memory_index_bytes", BYTES_HELP, "part=\"links\"", offsetof(struct memory_totals, links)},
    {"qmn_memory_index_bytes", BYTES_HELP, "part=\"other\"", offsetof(struct memory_totals, other)},
};

void memory_backlog_metrics(struct engine *e)
{
    e->m.memories_refused =
        metrics_counter(e->metrics, "qmn_memory_stores_refused_total",
                        "Stores answered 429 because too many memories wait for their links.", "");
    metrics_gauge_fn(e->metrics, "qmn_memory_link_rate",
                     "Memories linked a second when some last waited for it; 0: not known.", "",
                     read_rate, e);
    for (uint32_t i = 0; i < MEMORY_GAUGES; i++) {
        e->memory_gauges[i] = (struct memory_gauge){.engine = e, .offset = shown[i].offset};
        metrics_gauge_fn(e->metrics, shown[i].name, shown[i].help, shown[i].labels, read_total,
                         &e->memory_gauges[i]);
    }
}
