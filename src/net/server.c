/* SPDX-License-Identifier: MIT
 *
 * The server: loops, what accepts for them, and the orderly end.
 *
 * Draining runs on the loops themselves: a task stops accepting and ends what is idle; the caller
 * waits for connections to reach none; at the deadline a second task cuts the rest.  The loops keep
 * running until server_free, because handlers may still owe answers.
 *
 * The deadline is on the server's clock, the waiting on the kernel's: it goes in short slices, and
 * the clock is looked at after each. */
#include "server_priv.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "codec_priv.h"

enum {
    LOOPS_MAX = 64,
    CUT_WAIT_MS = 2000, /* a handler that holds a loop this long is not waited for */
    DRAIN_SLICE_MS = 20,
};

/* ---- metrics ---- */

static double read_connections(void *ctx)
{
    struct server *s = ctx;
    return (double)atomic_load_explicit(&s->connections, memory_order_relaxed);
}

static double read_held(void *ctx)
{
    struct server *s = ctx;
    int64_t sum = 0;
    for (uint32_t i = 0; i < s->lane_count; i++)
        sum += atomic_load_explicit(&s->lanes[i].loop.held_bytes, memory_order_relaxed);
    return (double)sum;
}

static double read_ready(void *ctx)
{
    struct server *s = ctx;
    double sum = 0;
    for (uint32_t i = 0; i < s->lane_count; i++)
        sum += ready_count(&s->lanes[i].loop.ready);
    return sum;
}

static void make_metrics(struct server *s, struct metrics *m)
{
    static const enum qmn_code refusals[] = {
        QMN_E_MALFORMED,   QMN_E_TIMEOUT,           QMN_E_TOO_LARGE,       QMN_E_URI_TOO_LONG,
        QMN_E_EXPECTATION, QMN_E_HEADERS_TOO_LARGE, QMN_E_NOT_IMPLEMENTED, QMN_E_NOMEM,
        QMN_E_OVERLOADED,  QMN_E_DEADLINE,          QMN_E_HTTP_VERSION};
    static const char *const phases[TIMEOUT_KINDS] = {"header", "body", "idle", "write", "handler"};
    char labels[64];
    struct net_metrics *n = &s->metrics;
    metrics_gauge_fn(m, "qmn_net_connections", "Open connections", "", read_connections, s);
    metrics_gauge_fn(m, "qmn_net_held_bytes",
                     "Heap held for connections: buffers, bodies and blocks in use", "", read_held,
                     s);
    metrics_gauge_fn(m, "qmn_net_ready_requests",
                     "Whole requests with a body that wait for their turn", "", read_ready, s);
    n->accepted = metrics_counter(m, "qmn_net_accepted_total", "Connections accepted", "");
    n->received = metrics_counter(m, "qmn_net_received_bytes_total", "Bytes read", "");
    n->sent = metrics_counter(m, "qmn_net_sent_bytes_total", "Bytes written", "");
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
        snprintf(labels, sizeof labels, "reason=\"%s\"", code_info(refusals[i])->wire);
        n->refused[refusals[i]] =
            metrics_counter(m, "qmn_net_refused_total",
                            "Requests and connections refused in their handler's place", labels);
    }
    n->refused_peer = metrics_counter(m, "qmn_net_refused_total",
                                      "Requests and connections refused in their handler's place",
                                      "reason=\"peer_connections\"");
    for (size_t i = 0; i < TIMEOUT_KINDS; i++) {
        snprintf(labels, sizeof labels, "phase=\"%s\"", phases[i]);
        n->timeouts[i] = metrics_counter(m, "qmn_net_timeouts_total",
                                         "Connections and handlers that took too long", labels);
    }
}

/* ---- making ---- */

static uint32_t or_default(uint32_t value, uint32_t fallback)
{
    return value ? value : fallback;
}

static uint32_t loops_wanted(uint32_t configured)
{
    long cpus = configured ? (long)configured : sysconf(_SC_NPROCESSORS_ONLN);
    return cpus < 1 ? 1 : cpus > LOOPS_MAX ? LOOPS_MAX : (uint32_t)cpus;
}

static enum qmn_code open_listeners(struct server *s, const struct server_config *config,
                                    struct err *err)
{
    s->listeners = mem_calloc(config->listener_count, sizeof *s->listeners);
    if (!s->listeners)
        return err_nomem(err);
    for (; s->listener_count < config->listener_count; s->listener_count++)
        TRY(listener_open(&config->listeners[s->listener_count], &s->listeners[s->listener_count],
                          err));
    return QMN_OK;
}

static void lane_drain(struct task *t);
static void lane_cut(struct task *t);

static enum qmn_code make_lanes(struct server *s, const struct server_config *config,
                                struct err *err)
{
    uint32_t wanted = loops_wanted(config->loops);
    s->lanes = mem_calloc(wanted, sizeof *s->lanes);
    if (!s->lanes)
        return err_nomem(err);
    for (; s->lane_count < wanted; s->lane_count++) {
        struct lane *lane = &s->lanes[s->lane_count];
        TRY(loop_init(&lane->loop, s->lane_count, s->clock, config->metrics, err));
        lane->server = s;
        lane->spare_fd = -1;
        lane->drain.run = lane_drain;
        lane->cut.run = lane_cut;
        lane->loop.ready.max_bytes = config->ready_bytes ? config->ready_bytes : LIMIT_READY_BYTES;
        lane->loop.on_round = s->handler.on_round;
        lane->loop.on_round_ctx = s->handler.ctx;
    }
    return QMN_OK;
}

static enum qmn_code server_init(struct server *s, const struct server_config *config,
                                 struct err *err)
{
    s->handler = config->handler;
    s->clock = config->clock ? config->clock : &clock_system;
    s->max_connections = or_default(config->max_connections, LIMIT_CONNECTIONS);
    s->header_timeout_ms = or_default(config->header_timeout_ms, LIMIT_HEADER_MS);
    s->body_timeout_ms = or_default(config->body_timeout_ms, LIMIT_BODY_MS);
    s->idle_timeout_ms = or_default(config->idle_timeout_ms, LIMIT_IDLE_MS);
    s->write_timeout_ms = or_default(config->write_timeout_ms, LIMIT_WRITE_MS);
    s->request_timeout_ms = or_default(config->request_timeout_ms, LIMIT_REQUEST_MS);
    if (!config->listener_count || !config->handler.on_request)
        return err_set(err, QMN_E_INVALID, "a server needs a listener and a request handler");
    TRY(open_listeners(s, config, err));
    TRY(make_lanes(s, config, err));
    for (uint32_t i = 0; i < s->lane_count; i++)
        TRY(lane_accept(&s->lanes[i], err));
    make_metrics(s, config->metrics);
    return QMN_OK;
}

enum qmn_code server_new(const struct server_config *config, struct server **ret, struct err *err)
{
    struct server *s = mem_calloc(1, sizeof *s);
    if (!s)
        return err_nomem(err);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, &attr);
    pthread_condattr_destroy(&attr);
    peers_init(&s->peers, or_default(config->max_per_peer, LIMIT_CONNECTIONS_PER_PEER));
    enum qmn_code code = server_init(s, config, err);
    if (code != QMN_OK) {
        server_free(s);
        return code;
    }
    *ret = s;
    return QMN_OK;
}

uint16_t server_port(const struct server *s, size_t listener)
{
    return listener < s->listener_count ? s->listeners[listener].port : 0;
}

uint32_t server_loops(const struct server *s)
{
    return s->lane_count;
}

struct executor *server_loop(struct server *s, uint32_t index)
{
    return index < s->lane_count ? &s->lanes[index].loop.exec : NULL;
}

enum qmn_code server_start(struct server *s, struct err *err)
{
    for (uint32_t i = 0; i < s->lane_count; i++) {
        enum qmn_code code = loop_start(&s->lanes[i].loop, err);
        if (code != QMN_OK) {
            while (i--)
                loop_stop(&s->lanes[i].loop);
            return code;
        }
    }
    s->started = true;
    return QMN_OK;
}

/* ---- the end ---- */

void server_conn_ended(struct server *s, struct peer *by)
{
    if (by)
        peers_leave(&s->peers, by);
    uint32_t before = atomic_fetch_sub(&s->connections, 1);
    if (before != 1 || !atomic_load(&s->draining))
        return;
    pthread_mutex_lock(&s->lock);
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

/* True for the last lane. */
static bool count_lane(struct server *s, uint32_t *lanes)
{
    pthread_mutex_lock(&s->lock);
    bool last = ++*lanes == s->lane_count;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    return last;
}

/* On the loop. */
static void lane_drain(struct task *t)
{
    struct lane *lane = CONTAINER_OF(t, struct lane, drain);
    struct server *s = lane->server;
    lane_stop_accepting(lane);
    /* drain closes nothing by itself, so the list stands still. */
    for (struct conn *c = lane->loop.conns; c; c = c->next)
        c->codec->drain(c);
    /* Nobody accepts any more: newcomers are refused by the kernel instead of left waiting. */
    if (count_lane(s, &s->lanes_drained)) {
        for (size_t i = 0; i < s->listener_count; i++)
            listener_close(&s->listeners[i]);
    }
}

static void lane_cut(struct task *t)
{
    struct lane *lane = CONTAINER_OF(t, struct lane, cut);
    while (lane->loop.conns) {
        struct conn *c = lane->loop.conns;
        atomic_fetch_add(&lane->server->cut_requests, c->codec->pending(c));
        conn_close(c);
    }
    (void)count_lane(lane->server, &lane->server->lanes_cut);
}

static void post_all(struct server *s, size_t task_offset)
{
    for (uint32_t i = 0; i < s->lane_count; i++) {
        struct lane *lane = &s->lanes[i];
        lane->loop.exec.post(&lane->loop.exec, (struct task *)(void *)((char *)lane + task_offset));
    }
}

static bool none_left(const struct server *s)
{
    return s->lanes_drained == s->lane_count && !atomic_load(&s->connections);
}

/* The lock is held. */
static void wait_slice(struct server *s)
{
    int64_t until_us = clock_mono_us() + DRAIN_SLICE_MS * 1000;
    struct timespec at = {.tv_sec = (time_t)(until_us / 1000000),
                          .tv_nsec = (long)(until_us % 1000000) * 1000};
    (void)pthread_cond_timedwait(&s->changed, &s->lock, &at);
}

/* False at the deadline.  `cut`: until all lanes have cut, else until no connection is left. */
static bool wait_until(struct server *s, int64_t deadline_us, bool cut)
{
    bool done;
    pthread_mutex_lock(&s->lock);
    while (!(done = cut ? s->lanes_cut == s->lane_count : none_left(s)) &&
           clock_us(s->clock) < deadline_us)
        wait_slice(s);
    pthread_mutex_unlock(&s->lock);
    return done;
}

uint32_t server_drain(struct server *s, uint32_t grace_ms)
{
    if (!s->started || atomic_exchange(&s->draining, true))
        return 0;
    int64_t start_us = clock_us(s->clock);
    post_all(s, offsetof(struct lane, drain));
    if (!wait_until(s, start_us + (int64_t)grace_ms * 1000, false)) {
        post_all(s, offsetof(struct lane, cut));
        (void)wait_until(s, clock_us(s->clock) + CUT_WAIT_MS * 1000, true);
    }
    return atomic_load(&s->cut_requests);
}

void server_stop(struct server *s)
{
    for (uint32_t i = 0; i < s->lane_count; i++)
        loop_stop(&s->lanes[i].loop);
}

void server_free(struct server *s)
{
    if (!s)
        return;
    server_stop(s);
    s->freeing = true;
    for (uint32_t i = 0; i < s->lane_count; i++) {
        struct lane *lane = &s->lanes[i];
        loop_enter(&lane->loop);
        loop_flush(&lane->loop);
        while (lane->loop.conns)
            conn_close(lane->loop.conns);
        loop_release(&lane->loop);
        lane_release_acceptors(lane);
    }
    for (size_t i = 0; i < s->listener_count; i++)
        listener_close(&s->listeners[i]);
    mem_free(s->lanes);
    mem_free(s->listeners);
    peers_release(&s->peers);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    mem_free(s);
}
