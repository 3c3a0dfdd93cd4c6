/* SPDX-License-Identifier: MIT
 *
 * The test server. */
#include "fixture.h"

#include <assert.h> /* on loop threads: cmocka fails by a long jump, which must stay on its thread */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "support/patience.h"

static void answer_text(struct request *req, int status, const char *text)
{
    request_answer(req, status, NULL, 0, bytes_cstr(text));
}

/* ---- kept requests ---- */

static void keep(struct fixture *f, struct request *req)
{
    pthread_mutex_lock(&f->lock);
    size_t i = 0;
    while (i < FIXTURE_KEPT && f->kept[i])
        i++;
    assert(i < FIXTURE_KEPT);
    f->kept[i] = req;
    pthread_mutex_unlock(&f->lock);
}

static void unkeep(struct fixture *f, struct request *req)
{
    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < FIXTURE_KEPT; i++) {
        if (f->kept[i] == req)
            f->kept[i] = NULL;
    }
    pthread_mutex_unlock(&f->lock);
}

static void on_gone(struct request *req)
{
    struct fixture *f = req->user;
    assert(req->gone);
    if (bytes_is(req->path, "/leave")) {
        unkeep(f, req);
        answer_text(req, 200, "left");
    } else if (req->streaming) {
        f->stream_sent = request_stream_sent(req);
        f->stream_lost = request_stream_lost(req);
        assert(request_stream_pending(req) == f->stream_lost);
        unkeep(f, req);
        request_stream_end(req);
    }
    atomic_fetch_add(&f->gone, 1);
}

/* ---- routes ---- */

static void echo(struct request *req)
{
    char length[24];
    snprintf(length, sizeof length, "%zu", req->body.len);
    const struct header headers[] = {{BYTES_LIT("X-Length"), bytes_cstr(length)}};
    request_answer(req, 200, headers, 1, req->body);
}

static void big(struct request *req)
{
    size_t n = strtoul(req->path.ptr + strlen("/big/"), NULL, 10);
    char *body = mem_alloc(n);
    memset(body, 'b', n);
    request_answer(req, 200, NULL, 0, bytes_of(body, n));
    mem_free(body);
}

static void flood(struct fixture *f, struct request *req)
{
    static const char piece[4096] = {'f'};
    (void)request_stream_begin(req, 200, NULL, 0);
    for (int i = 0; i < 100000; i++) {
        if (!request_stream_send(req, bytes_of(piece, sizeof piece)))
            break;
        atomic_fetch_add(&f->flooded, 1);
    }
    request_stream_end(req);
    atomic_fetch_add(&f->floods, 1);
}

static void park(struct fixture *f, struct request *req)
{
    req->user = f;
    req->on_gone = on_gone;
    if (bytes_starts(req->path, BYTES_LIT("/wait/")))
        request_extend(req, (uint32_t)strtoul(req->path.ptr + strlen("/wait/"), NULL, 10));
    keep(f, req);
    atomic_fetch_add(&f->parked, 1);
}

static void hold(struct fixture *f)
{
    for (f->holding = 1; f->holding;)
        a_moment();
}

static void work(struct fixture *f, struct request *req, int before)
{
    char text[16], path[64];
    snprintf(path, sizeof path, "%.*s", BYTES_FMT(req->path)); /* ends, as strtol needs it */
    const char *ms = strchr(path + 1, '/');
    if (bytes_starts(req->path, BYTES_LIT("/block/")))
        hold(f);
    manual_clock_add_ms(&f->clock, strtol(ms + 1, NULL, 10));
    snprintf(text, sizeof text, "%d", before);
    answer_text(req, 200, text);
}

static void on_request(void *ctx, struct request *req)
{
    struct fixture *f = ctx;
    int before = atomic_fetch_add(&f->requests, 1);
    if (bytes_is(req->path, "/park") || bytes_is(req->path, "/leave") ||
        bytes_starts(req->path, BYTES_LIT("/wait/"))) {
        park(f, req);
    } else if (bytes_is(req->path, "/stream")) {
        const struct header type = {BYTES_LIT("Content-Type"), BYTES_LIT("text/event-stream")};
        req->user = f;
        req->on_gone = on_gone;
        assert(request_stream_begin(req, 200, &type, 1));
        keep(f, req);
        atomic_fetch_add(&f->streams, 1);
    } else if (bytes_is(req->path, "/round")) {
        req->user = f;
        keep(f, req);
    } else if (bytes_starts(req->path, BYTES_LIT("/work/")) ||
               bytes_starts(req->path, BYTES_LIT("/block/"))) {
        work(f, req, before);
    } else if (bytes_is(req->path, "/flood")) {
        flood(f, req);
    } else if (bytes_is(req->path, "/forge")) {
        const struct header evil = {BYTES_LIT("X-Evil"), BYTES_LIT("a\r\nX-Forged: b")};
        request_answer(req, 200, &evil, 1, BYTES_LIT("ok"));
    } else if (bytes_is(req->path, "/peer")) {
        answer_text(req, 200, req->peer);
    } else if (bytes_is(req->path, "/empty")) {
        request_answer(req, 204, NULL, 0, bytes_of(NULL, 0));
    } else if (bytes_starts(req->path, BYTES_LIT("/big/"))) {
        big(req);
    } else {
        echo(req);
    }
}

static bool on_head(void *ctx, struct request *req)
{
    (void)ctx;
    assert(!req->body.len);
    if (bytes_is(req->path, "/early")) {
        answer_text(req, 401, "early");
        return false;
    }
    if (bytes_starts(req->path, BYTES_LIT("/limit/")))
        req->body_limit = strtoul(req->path.ptr + strlen("/limit/"), NULL, 10);
    return true;
}

static void on_round(void *ctx, struct executor *loop)
{
    struct fixture *f = ctx;
    struct request *batch[FIXTURE_KEPT];
    int count = 0;
    atomic_fetch_add(&f->rounds, 1);
    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < FIXTURE_KEPT; i++) {
        struct request *req = f->kept[i];
        if (!req || req->exec != loop || !bytes_is(req->path, "/round"))
            continue;
        f->kept[i] = NULL;
        batch[count++] = req;
    }
    pthread_mutex_unlock(&f->lock);
    manual_clock_add_ms(&f->clock, (int64_t)count * f->round_ms);
    if (count > atomic_load(&f->round_batch))
        f->round_batch = count; /* before the client can have its answer and look */
    for (int i = 0; i < count; i++)
        answer_text(batch[i], 200, "round");
}

static void on_refused(void *ctx, const struct err *err, const struct request *req,
                       const char *peer, struct arena *arena, struct refusal *ret)
{
    static const struct header headers[] = {
        {{"Content-Type", 12}, {"application/problem+json", 24}}, {{"X-Seen", 6}, {"yes", 3}}};
    struct fixture *f = ctx;
    atomic_fetch_add(&f->refused, 1);
    assert(strcmp(peer, "127.0.0.1") == 0);
    assert(!req || req->path.len);
    *ret = (struct refusal){.headers = headers, .header_count = req ? 2 : 1};
    ret->body = bytes_cstr(arena_printf(arena, "{\"code\":\"%s\"}", code_info(err->code)->wire));
}

/* ---- work on the loops ---- */

struct visit {
    struct task task;
    struct fixture *f;
    struct executor *loop;
    void (*each)(struct fixture *f, struct request *req, const char *text);
    const char *text;
    bool streams;
    _Atomic int done;
};

static void visit_run(struct task *t)
{
    struct visit *v = CONTAINER_OF(t, struct visit, task);
    for (size_t i = 0; i < FIXTURE_KEPT; i++) {
        pthread_mutex_lock(&v->f->lock);
        struct request *req = v->f->kept[i];
        pthread_mutex_unlock(&v->f->lock);
        if (req && req->exec == v->loop && req->streaming == v->streams)
            v->each(v->f, req, v->text);
    }
    v->done = 1;
}

static void visit_all(struct fixture *f, bool streams,
                      void (*each)(struct fixture *, struct request *, const char *),
                      const char *text)
{
    for (uint32_t i = 0; i < server_loops(f->server); i++) {
        struct visit v = {.task.run = visit_run,
                          .f = f,
                          .loop = server_loop(f->server, i),
                          .each = each,
                          .text = text,
                          .streams = streams};
        v.loop->post(v.loop, &v.task);
        assert_true(wait_for(&v.done, 1));
    }
}

static void release_one(struct fixture *f, struct request *req, const char *text)
{
    unkeep(f, req);
    answer_text(req, 200, text);
}

static void send_one(struct fixture *f, struct request *req, const char *text)
{
    (void)f;
    (void)request_stream_send(req, bytes_cstr(text));
}

static void end_one(struct fixture *f, struct request *req, const char *text)
{
    (void)text;
    unkeep(f, req);
    request_stream_end(req);
}

void fixture_release(struct fixture *f)
{
    visit_all(f, false, release_one, "released");
}

void fixture_stream_send(struct fixture *f, const char *text)
{
    visit_all(f, true, send_one, text);
}

void fixture_stream_end(struct fixture *f)
{
    visit_all(f, true, end_one, "");
}

static void hold_run(struct task *t)
{
    hold(CONTAINER_OF(t, struct fixture, hold));
}

void fixture_hold_loop(struct fixture *f, uint32_t loop)
{
    struct executor *x = server_loop(f->server, loop);
    fixture_settle(f);
    f->holding = 0;
    f->hold.run = hold_run;
    x->post(x, &f->hold);
    assert_true(wait_for(&f->holding, 1));
}

void fixture_let_go(struct fixture *f)
{
    f->holding = 0;
}

/* ---- time and order ---- */

struct passing {
    struct task task;
    _Atomic int done;
};

static void passing_run(struct task *t)
{
    CONTAINER_OF(t, struct passing, task)->done = 1;
}

static void pass(struct executor *loop)
{
    struct passing p = {.task.run = passing_run};
    loop->post(loop, &p.task);
    assert_true(wait_for(&p.done, 1));
}

void fixture_settle(struct fixture *f)
{
    /* The first may be run by a round that began before; the second's round began later; when the
     * third runs, that round is over. */
    for (uint32_t i = 0; i < server_loops(f->server); i++)
        for (int k = 0; k < 3; k++)
            pass(server_loop(f->server, i));
}

void fixture_advance(struct fixture *f, int64_t ms)
{
    manual_clock_add_ms(&f->clock, ms);
    fixture_settle(f);
}

void fixture_feed(struct fixture *f, struct http_client *c, const char *data, size_t len)
{
    static const char received[] = "qmn_net_received_bytes_total";
    double before = scraped(f, received);
    assert_true(http_send(c, data, len));
    assert_true(wait_scraped(f, received, before + (double)len));
    fixture_settle(f);
}

void fixture_feeds(struct fixture *f, struct http_client *c, const char *text)
{
    fixture_feed(f, c, text, strlen(text));
}

/* ---- life ---- */

void fixture_start(struct fixture *f, void (*change)(struct server_config *))
{
    struct err err = {0};
    memset(f, 0, sizeof *f);
    pthread_mutex_init(&f->lock, NULL);
    f->metrics = metrics_new();
    manual_clock_init(&f->clock);
    f->listener = (struct listener_config){.host = "127.0.0.1"};
    f->config = (struct server_config){.listeners = &f->listener,
                                       .listener_count = 1,
                                       .loops = 1,
                                       .clock = &f->clock.clock,
                                       .metrics = f->metrics,
                                       .handler = {.ctx = f,
                                                   .on_head = on_head,
                                                   .on_request = on_request,
                                                   .on_round = on_round,
                                                   .on_refused = on_refused}};
    if (change)
        change(&f->config);
    if (server_new(&f->config, &f->server, &err) != QMN_OK ||
        server_start(f->server, &err) != QMN_OK)
        fail_msg("%s", err.text);
    f->port = server_port(f->server, 0);
}

void fixture_stop(struct fixture *f)
{
    (void)server_drain(f->server, 0);
    fixture_release(f);
    fixture_stream_end(f);
    server_free(f->server);
    metrics_free(f->metrics);
    pthread_mutex_destroy(&f->lock);
}

int fixture_setup(void **state)
{
    static struct fixture f;
    fixture_start(&f, NULL);
    *state = &f;
    return 0;
}

int fixture_teardown(void **state)
{
    fixture_stop(*state);
    return 0;
}

/* ---- waiting and looking ---- */

static int64_t patience_end_us(void)
{
    return clock_mono_us() + (int64_t)patience_ms() * 1000;
}

void a_moment(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
}

bool wait_for(_Atomic int *value, int at_least)
{
    for (int64_t end = patience_end_us(); atomic_load(value) < at_least;) {
        if (clock_mono_us() > end)
            return false;
        a_moment();
    }
    return true;
}

double scraped(struct fixture *f, const char *series)
{
    struct buf out;
    double value = -1;
    size_t len = strlen(series);
    buf_init(&out, 1 << 20);
    metrics_expose(f->metrics, &out);
    buf_addc(&out, 0);
    for (char *line = out.ptr; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, series, len) == 0 && line[len] == ' ') {
            value = strtod(line + len, NULL);
            break;
        }
        if (!*line)
            break;
    }
    buf_release(&out);
    return value;
}

bool wait_scraped(struct fixture *f, const char *series, double value)
{
    for (int64_t end = patience_end_us(); scraped(f, series) != value;) {
        if (clock_mono_us() > end)
            return false;
        a_moment();
    }
    return true;
}

bool wait_scraped_above(struct fixture *f, const char *series, double value)
{
    for (int64_t end = patience_end_us(); scraped(f, series) <= value;) {
        if (clock_mono_us() > end)
            return false;
        a_moment();
    }
    return true;
}

void fixture_open(struct fixture *f, struct http_client *c, const char *text)
{
    http_connect(c, f->port);
    assert_true(http_sends(c, text));
}

void fixture_ask(struct fixture *f, const char *request, struct http_reply *ret)
{
    struct http_client c;
    fixture_open(f, &c, request);
    http_get_reply(&c, ret);
    http_close(&c);
}

void check_reply(struct http_client *c, int status, const char *body)
{
    struct http_reply r;
    http_get_reply(c, &r);
    assert_int_equal(r.status, status);
    assert_false(r.truncated);
    if (body)
        assert_string_equal(r.body.ptr, body);
    http_reply_release(&r);
}
