/* SPDX-License-Identifier: MIT
 *
 * `qmn bench overload`: broadcasts offered at 1, 2 and 5 times of what the node can do.
 *
 * Capacity is what 64 connections get through as fast as they can.  Then requests come at fixed
 * times, whatever becomes of them (an open loop): answered, refused (429 or 503 with Retry-After),
 * failed, or never sent, because for a second no connection was free.  Only the first kind counts
 * as served, and latency counts from the time a request was due.  The connections have to be more
 * than the node queues (LIMIT_WRITER_QUEUE), or their number alone would hold the load off.
 *
 * Meanwhile a second thread asks /livez, as a load balancer would.  At the end capacity is measured
 * again: an overload must leave nothing behind. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "bench_priv.h"

enum {
    CONNECTIONS = 6000, /* above LIMIT_WRITER_QUEUE, below LIMIT_CONNECTIONS_PER_PEER */
    HEALTH_RATE = 20,
};

static const double times[] = {1, 2, 5};
static const double patience_s = 1; /* a client's that finds no connection free: a guess */

/* ---- health checks beside it ---- */

struct health {
    const struct bench *b;
    struct load_config config;
    struct load_result result;
    pthread_t thread;
};

static void make_health(void *ctx, uint64_t n, struct load_request *r)
{
    r->body = BYTES_LIT("");
    bench_head(ctx, r, "GET", "/livez", n, false);
}

static void *health_run(void *arg)
{
    struct health *h = arg;
    struct err err;
    if (load_run(&h->config, &h->result, &err) != QMN_OK)
        h->result.failed++;
    return NULL;
}

static enum qmn_code health_start(struct health *h, struct bench *b, double seconds,
                                  struct err *err)
{
    h->config = (struct load_config){.host = b->host,
                                     .port = b->port,
                                     .connections = 1,
                                     .rate = HEALTH_RATE,
                                     .seconds = seconds,
                                     .ctx = b,
                                     .make = make_health};
    if (pthread_create(&h->thread, NULL, health_run, h) != 0)
        return err_nomem(err);
    return QMN_OK;
}

/* ---- figures ---- */

struct pass {
    double times, offered, capacity;
    double before_kb, after_kb; /* of the node's memory */
    const struct load_result *r, *health;
};

static double part(uint64_t some, uint64_t all)
{
    return all ? (double)some / (double)all : 0;
}

static double ms(const struct load_histogram *h, double p)
{
    return (double)load_histogram_at(h, p) / 1000;
}

static void print_json(const struct pass *p, uint32_t connections)
{
    const struct load_result *r = p->r, *h = p->health;
    uint64_t due = r->done + r->unsent;
    printf("{\"scenario\":\"overload\",\"times\":%.0f,\"capacity\":%.1f,\"offered\":%.1f,"
           "\"seconds\":%.2f,\"due\":%llu,\"served\":%llu,\"refused\":%llu,\"failed\":%llu,"
           "\"unsent\":%llu,\"per_second\":%.1f,\"p50_ms\":%.3f,\"p95_ms\":%.3f,"
           "\"p99_ms\":%.3f,\"refusal_p95_ms\":%.3f,",
           p->times, p->capacity, p->offered, r->seconds, (unsigned long long)due,
           (unsigned long long)(r->done - r->failed), (unsigned long long)r->refused,
           (unsigned long long)(r->failed - r->refused), (unsigned long long)r->unsent,
           (double)(r->done - r->failed) / r->seconds, ms(&r->latency, .5), ms(&r->latency, .95),
           ms(&r->latency, .99), ms(&r->refusals, .95));
    printf("\"health_checks\":%llu,\"health_failed\":%llu,\"health_p95_ms\":%.3f,"
           "\"health_max_ms\":%.3f,\"connections\":%u,\"resident_before_kb\":%.0f,"
           "\"resident_after_kb\":%.0f}\n",
           (unsigned long long)h->done, (unsigned long long)h->failed, ms(&h->latency, .95),
           (double)h->latency.max / 1000, connections, p->before_kb, p->after_kb);
}

static void print_pass(const struct bench *b, const struct pass *p, uint32_t connections)
{
    const struct load_result *r = p->r, *h = p->health;
    uint64_t due = r->done + r->unsent;
    if (b->c->json) {
        print_json(p, connections);
    } else {
        cli_print(b->c,
                  S_BOLD "overload %.0fx" S_OFF "      %9.0f/s of %.0f/s offered   p50 %7.2f ms   "
                         "p95 %7.2f ms   p99 %7.2f ms\n",
                  p->times, (double)(r->done - r->failed) / r->seconds, p->offered,
                  ms(&r->latency, .5), ms(&r->latency, .95), ms(&r->latency, .99));
        cli_print(b->c,
                  "   refused %.1f%% (p95 %.2f ms)   failed %.1f%%   not sent %.1f%%   "
                  "health checks p95 %.2f ms, %llu of %llu failed",
                  100 * part(r->refused, due), ms(&r->refusals, .95),
                  100 * part(r->failed - r->refused, due), 100 * part(r->unsent, due),
                  ms(&h->latency, .95), (unsigned long long)h->failed, (unsigned long long)h->done);
        if (b->pid)
            cli_print(b->c, "   memory %.0f to %.0f MB", p->before_kb / 1000, p->after_kb / 1000);
        cli_print(b->c, "\n");
    }
    (void)fflush(stdout);
}

/* ---- the scenario ---- */

/* As fast as the connections of every other scenario go. */
static enum qmn_code saturate(struct bench *b, struct bench_rotating *bodies, const char *when,
                              double *ret_per_second, struct err *err)
{
    enum { SATURATING = 64 };
    static struct load_result r;
    struct load_config k = {
        .seconds = b->seconds, .connections = SATURATING, .ctx = bodies, .make = bench_rotate};
    TRY(bench_load(b, when, &k, &r, err));
    *ret_per_second = (double)(r.done - r.failed) / r.seconds;
    if (b->c->json)
        printf("{\"scenario\":\"%s\",\"per_second\":%.1f,\"p95_ms\":%.3f,\"failed\":%llu}\n", when,
               *ret_per_second, ms(&r.latency, .95), (unsigned long long)r.failed);
    else
        cli_print(b->c, S_BOLD "%-16s" S_OFF " %9.0f/s   p95 %7.2f ms\n", when, *ret_per_second,
                  ms(&r.latency, .95));
    return r.done > r.failed
               ? QMN_OK
               : err_set(err, QMN_E_INTERNAL, "every request failed (status %d)", r.worst_status);
}

static enum qmn_code offer(struct bench *b, struct bench_rotating *bodies, double capacity,
                           double factor, struct err *err)
{
    static struct load_result r;
    static struct health health;
    struct load_config k = {.seconds = b->seconds,
                            .connections =
                                cli_flag(b->c, "connections") ? b->connections : CONNECTIONS,
                            .rate = capacity * factor,
                            .patience = patience_s,
                            .ctx = bodies,
                            .make = bench_rotate};
    struct pass p = {.times = factor,
                     .offered = k.rate,
                     .capacity = capacity,
                     .before_kb = bench_resident_kb(b->pid),
                     .r = &r,
                     .health = &health.result};
    TRY(health_start(&health, b, b->seconds, err));
    enum qmn_code code = bench_load(b, "overload", &k, &r, err);
    pthread_join(health.thread, NULL);
    p.after_kb = bench_resident_kb(b->pid);
    if (code == QMN_OK)
        print_pass(b, &p, k.connections);
    return code;
}

static enum qmn_code overload(struct bench *b, struct bench_rotating *bodies, struct err *err)
{
    double capacity = b->rate, after;
    if (capacity <= 0)
        TRY(saturate(b, bodies, "capacity", &capacity, err));
    for (size_t i = 0; i < ARRAY_LEN(times); i++)
        TRY(offer(b, bodies, capacity, times[i], err));
    return saturate(b, bodies, "capacity-after", &after, err);
}

enum qmn_code bench_overload(struct bench *b, struct err *err)
{
    struct bench_rotating *bodies;
    TRY(bench_recents(b, err));
    TRY(bench_rotating_new(b, "/v1/nutrients:broadcast", true, bench_broadcast_body, &bodies, err));
    enum qmn_code code = overload(b, bodies, err);
    bench_rotating_free(bodies);
    return code;
}
