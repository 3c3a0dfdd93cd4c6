/* SPDX-License-Identifier: MIT
 *
 * The metrics registry.  Families (one name, help and type) stand in creation order and hold their
 * series in creation order, so that two scrapes differ only in numbers.  Counters and histograms
 * are split over SHARDS cells, one picked per thread: two loops that count the same thing do not
 * fight for a cache line, and a scrape adds the cells up.
 *
 * Thread rule: making series and scraping take the registry's lock; updates are relaxed atomics.
 * A scrape is not a snapshot across series, but each histogram's count equals its +Inf bucket. */
#include "metrics.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"

enum {
    SHARDS = 8,        /* above the loops of a small node; more threads share, correctly */
    CELL_BYTES = 64,   /* one cache line */
    BOUNDS_MAX = 24,   /* as the header promises */
    FLOAT_CHARS = 32,  /* "%.17g" and the NUL */
    SERIES_MAX = 16384 /* label sets are closed: more means a client value leaked into one */
};

/* Cells are CELL_BYTES apart, so no two lie in one line wherever the first one starts. */
struct counter {
    struct {
        _Atomic uint64_t n;
        char pad[CELL_BYTES - sizeof(uint64_t)];
    } cell[SHARDS];
};

struct gauge {
    _Atomic double value;
};

struct histogram {
    uint32_t count;       /* of bounds; the bucket after the last is +Inf */
    size_t stride;        /* words from one shard to the next */
    _Atomic double *sums; /* sums[shard * stride] */
    _Atomic uint64_t *buckets;
    double bounds[BOUNDS_MAX];
};

enum series_type { SERIES_COUNTER = 1, SERIES_GAUGE, SERIES_HISTOGRAM };

struct series {
    struct series *next;
    char *labels;
    char *key; /* name{labels}: what the registry's map borrows */
    struct counter *counter;
    struct gauge *gauge;
    struct histogram *histogram;
    double (*read)(void *ctx);
    void *read_ctx;
};

struct family {
    struct family *next;
    enum series_type type;
    char *name, *help;
    struct series *first, **last;
};

struct metrics {
    pthread_mutex_t lock;
    /* guarded by lock */
    struct family *first, **last;
    struct textmap families, series;
};

const double metrics_latency_bounds[] = {50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3,
                                         5e-3,  10e-3,  25e-3,  50e-3,  0.1,  0.25,
                                         0.5,   1.0,    2.5,    5.0,    10.0};
const uint32_t metrics_latency_bound_count = ARRAY_LEN(metrics_latency_bounds);

/* ---- updates ---- */

static uint32_t thread_shard(void)
{
    static _Atomic uint32_t next;
    static _Thread_local uint32_t mine; /* shard + 1; 0: not yet given */
    if (QMN_UNLIKELY(!mine))
        mine = atomic_fetch_add_explicit(&next, 1, memory_order_relaxed) % SHARDS + 1;
    return mine - 1;
}

static void add_double(_Atomic double *cell, double delta)
{
    double old = atomic_load_explicit(cell, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(cell, &old, old + delta, memory_order_relaxed,
                                                  memory_order_relaxed))
        ;
}

void counter_add(struct counter *c, uint64_t n)
{
    if (c)
        atomic_fetch_add_explicit(&c->cell[thread_shard()].n, n, memory_order_relaxed);
}

uint64_t counter_value(const struct counter *c)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; c && i < SHARDS; i++)
        sum += atomic_load_explicit(&c->cell[i].n, memory_order_relaxed);
    return sum;
}

void gauge_set(struct gauge *g, double value)
{
    if (g)
        atomic_store_explicit(&g->value, value, memory_order_relaxed);
}

void gauge_add(struct gauge *g, double delta)
{
    if (g)
        add_double(&g->value, delta);
}

double gauge_value(const struct gauge *g)
{
    return g ? atomic_load_explicit(&g->value, memory_order_relaxed) : 0;
}

void histogram_observe(struct histogram *h, double value)
{
    if (!h)
        return;
    uint32_t bucket = 0;
    while (bucket < h->count && !(value <= h->bounds[bucket])) /* NaN goes to +Inf */
        bucket++;
    size_t at = thread_shard() * h->stride;
    atomic_fetch_add_explicit(&h->buckets[at + bucket], 1, memory_order_relaxed);
    add_double(&h->sums[at], value);
}

/* ---- making series ---- */

static struct histogram *histogram_new(const double *bounds, uint32_t count)
{
    if (count > BOUNDS_MAX)
        return NULL;
    for (uint32_t i = 1; i < count; i++) {
        if (!(bounds[i - 1] < bounds[i]))
            return NULL;
    }
    const size_t line = CELL_BYTES / sizeof(uint64_t);
    /* A whole line of slack after the last word in use keeps shards apart at any alignment. */
    size_t stride = (count + 1 + line - 1 + line - 1) / line * line;
    struct histogram *h = mem_calloc(1, sizeof *h);
    _Atomic double *sums = mem_calloc(SHARDS * stride, sizeof *sums);
    _Atomic uint64_t *buckets = mem_calloc(SHARDS * stride, sizeof *buckets);
    if (!h || !sums || !buckets) {
        mem_free(h);
        mem_free((void *)sums);
        mem_free((void *)buckets);
        return NULL;
    }
    h->count = count;
    h->stride = stride;
    h->sums = sums;
    h->buckets = buckets;
    for (uint32_t i = 0; i < count; i++)
        h->bounds[i] = bounds[i];
    return h;
}

static void series_free(struct series *s)
{
    if (!s)
        return;
    if (s->histogram) {
        mem_free((void *)s->histogram->sums);
        mem_free((void *)s->histogram->buckets);
    }
    mem_free(s->histogram);
    mem_free(s->counter);
    mem_free(s->gauge);
    mem_free(s->labels);
    mem_free(s->key);
    mem_free(s);
}

static void series_freep(struct series **s)
{
    series_free(*s);
    *s = NULL;
}

static void family_free(struct family *f)
{
    if (!f)
        return;
    for (struct series *s = f->first; s;) {
        struct series *next = s->next;
        series_free(s);
        s = next;
    }
    mem_free(f->name);
    mem_free(f->help);
    mem_free(f);
}

static char *text_copy(const char *s)
{
    size_t n = strlen(s) + 1;
    char *p = mem_alloc(n);
    if (p)
        memcpy(p, s, n);
    return p;
}

struct metrics *metrics_new(void)
{
    struct metrics *m = mem_calloc(1, sizeof *m);
    if (!m)
        return NULL;
    if (pthread_mutex_init(&m->lock, NULL)) {
        mem_free(m);
        return NULL;
    }
    m->last = &m->first;
    return m;
}

void metrics_free(struct metrics *m)
{
    if (!m)
        return;
    for (struct family *f = m->first; f;) {
        struct family *next = f->next;
        family_free(f);
        f = next;
    }
    textmap_release(&m->families);
    textmap_release(&m->series);
    pthread_mutex_destroy(&m->lock);
    mem_free(m);
}

/* The family of that name; NULL when out of memory or made before with another type. */
static struct family *family_get(struct metrics *m, enum series_type type, const char *name,
                                 const char *help)
{
    struct family *f = textmap_get(&m->families, bytes_cstr(name));
    if (f)
        return f->type == type ? f : NULL;
    f = mem_calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->type = type;
    f->last = &f->first;
    f->name = text_copy(name);
    f->help = text_copy(help);
    if (!f->name || !f->help || !textmap_put(&m->families, bytes_cstr(f->name), f)) {
        family_free(f);
        return NULL;
    }
    *m->last = f;
    m->last = &f->next;
    return f;
}

static char *series_key(const char *name, const char *labels)
{
    size_t size = strlen(name) + strlen(labels) + 3;
    char *key = mem_alloc(size);
    if (key)
        snprintf(key, size, "%s{%s}", name, labels);
    return key;
}

static bool series_fill(struct series *s, enum series_type type, const double *bounds,
                        uint32_t count)
{
    switch (type) {
    case SERIES_COUNTER:
        s->counter = mem_calloc(1, sizeof *s->counter);
        return s->counter != NULL;
    case SERIES_GAUGE:
        s->gauge = mem_calloc(1, sizeof *s->gauge);
        return s->gauge != NULL;
    case SERIES_HISTOGRAM:
        s->histogram = histogram_new(bounds, count);
        return s->histogram != NULL;
    }
    return false;
}

static struct series *series_get_locked(struct metrics *m, enum series_type type, const char *name,
                                        const char *help, const char *labels, const double *bounds,
                                        uint32_t count)
{
    CLEANUP(mem_freep) char *key = series_key(name, labels);
    struct family *f = key ? family_get(m, type, name, help) : NULL;
    if (!f)
        return NULL;
    struct series *old = textmap_get(&m->series, bytes_cstr(key));
    if (old || m->series.len >= SERIES_MAX)
        return old;
    CLEANUP(series_freep) struct series *s = mem_calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->labels = text_copy(labels);
    s->key = TAKE(key);
    if (!s->labels || !series_fill(s, type, bounds, count) ||
        !textmap_put(&m->series, bytes_cstr(s->key), s))
        return NULL;
    *f->last = s;
    f->last = &s->next;
    return TAKE(s);
}

static struct series *series_get(struct metrics *m, enum series_type type, const char *name,
                                 const char *help, const char *labels, const double *bounds,
                                 uint32_t count)
{
    if (!m)
        return NULL;
    pthread_mutex_lock(&m->lock);
    struct series *s = series_get_locked(m, type, name, help, labels, bounds, count);
    pthread_mutex_unlock(&m->lock);
    return s;
}

struct counter *metrics_counter(struct metrics *m, const char *name, const char *help,
                                const char *labels)
{
    struct series *s = series_get(m, SERIES_COUNTER, name, help, labels, NULL, 0);
    return s ? s->counter : NULL;
}

struct gauge *metrics_gauge(struct metrics *m, const char *name, const char *help,
                            const char *labels)
{
    struct series *s = series_get(m, SERIES_GAUGE, name, help, labels, NULL, 0);
    return s ? s->gauge : NULL;
}

struct histogram *metrics_histogram(struct metrics *m, const char *name, const char *help,
                                    const char *labels, const double *bounds, uint32_t count)
{
    struct series *s = series_get(m, SERIES_HISTOGRAM, name, help, labels, bounds, count);
    return s ? s->histogram : NULL;
}

void metrics_gauge_fn(struct metrics *m, const char *name, const char *help, const char *labels,
                      double (*read)(void *ctx), void *ctx)
{
    if (!m)
        return;
    pthread_mutex_lock(&m->lock);
    struct series *s = series_get_locked(m, SERIES_GAUGE, name, help, labels, NULL, 0);
    if (s) {
        s->read = read;
        s->read_ctx = ctx;
    }
    pthread_mutex_unlock(&m->lock);
}

/* ---- exposition ---- */

/* The shortest decimal that reads back as the same double. */
static const char *float_text(double v, char ret[FLOAT_CHARS])
{
    if (isnan(v))
        return "NaN";
    if (isinf(v))
        return v > 0 ? "+Inf" : "-Inf";
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(ret, FLOAT_CHARS, "%.*g", digits, v);
        if (strtod(ret, NULL) == v)
            break;
    }
    return ret;
}

static void expose_help(struct buf *out, const struct family *f)
{
    static const char *const type_name[] = {
        [SERIES_COUNTER] = "counter", [SERIES_GAUGE] = "gauge", [SERIES_HISTOGRAM] = "histogram"};
    buf_adds(out, "# HELP ");
    buf_adds(out, f->name);
    buf_addc(out, ' ');
    for (const char *p = f->help; *p; p++) {
        if (*p == '\\')
            buf_adds(out, "\\\\");
        else if (*p == '\n')
            buf_adds(out, "\\n");
        else
            buf_addc(out, *p);
    }
    buf_printf(out, "\n# TYPE %s %s\n", f->name, type_name[f->type]);
}

/* name_suffix{labels,extra} without the value. */
static void expose_name(struct buf *out, const char *name, const char *suffix, const char *labels,
                        const char *extra)
{
    buf_adds(out, name);
    buf_adds(out, suffix);
    if (*labels || *extra) {
        buf_addc(out, '{');
        buf_adds(out, labels);
        if (*labels && *extra)
            buf_addc(out, ',');
        buf_adds(out, extra);
        buf_addc(out, '}');
    }
    buf_addc(out, ' ');
}

static void expose_histogram(struct buf *out, const char *name, const char *labels,
                             const struct histogram *h)
{
    uint64_t total = 0;
    double sum = 0;
    char text[FLOAT_CHARS], le[FLOAT_CHARS + 8];
    for (uint32_t b = 0; b <= h->count; b++) {
        for (size_t shard = 0; shard < SHARDS; shard++)
            total += atomic_load_explicit(&h->buckets[shard * h->stride + b], memory_order_relaxed);
        snprintf(le, sizeof le, "le=\"%s\"",
                 b < h->count ? float_text(h->bounds[b], text) : "+Inf");
        expose_name(out, name, "_bucket", labels, le);
        buf_printf(out, "%llu\n", (unsigned long long)total);
    }
    for (size_t shard = 0; shard < SHARDS; shard++)
        sum += atomic_load_explicit(&h->sums[shard * h->stride], memory_order_relaxed);
    expose_name(out, name, "_sum", labels, "");
    buf_printf(out, "%s\n", float_text(sum, text));
    expose_name(out, name, "_count", labels, "");
    buf_printf(out, "%llu\n", (unsigned long long)total);
}

static void expose_series(struct buf *out, const struct family *f, const struct series *s)
{
    char text[FLOAT_CHARS];
    switch (f->type) {
    case SERIES_COUNTER:
        expose_name(out, f->name, "", s->labels, "");
        buf_printf(out, "%llu\n", (unsigned long long)counter_value(s->counter));
        break;
    case SERIES_GAUGE:
        expose_name(out, f->name, "", s->labels, "");
        buf_printf(out, "%s\n",
                   float_text(s->read ? s->read(s->read_ctx) : gauge_value(s->gauge), text));
        break;
    case SERIES_HISTOGRAM:
        expose_histogram(out, f->name, s->labels, s->histogram);
        break;
    }
}

void metrics_expose(struct metrics *m, struct buf *out)
{
    if (!m)
        return;
    pthread_mutex_lock(&m->lock);
    for (const struct family *f = m->first; f; f = f->next) {
        if (!f->first)
            continue;
        expose_help(out, f);
        for (const struct series *s = f->first; s; s = s->next)
            expose_series(out, f, s);
    }
    pthread_mutex_unlock(&m->lock);
}
