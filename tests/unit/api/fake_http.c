/* SPDX-License-Identifier: MIT
 *
 * See fake_http.h. */
#include "fake_http.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/attr.h"
#include "base/clock.h"

struct fake_answer got;
size_t fake_pending;
bool fake_reader_gone;
struct timer *fake_timer;

/* One request at a time; each in memory of its own. */
struct exchange {
    struct request req;
    struct header headers[16];
    char *text; /* target, headers and body; freed with it */
};

static struct exchange *current;

static bool timer_set(struct executor *x, struct timer *t, uint32_t delay_ms)
{
    (void)x;
    t->due_ms = delay_ms;
    t->heap_index = 1;
    fake_timer = t;
    return true;
}

static void timer_cancel(struct executor *x, struct timer *t)
{
    (void)x;
    t->heap_index = 0;
    if (fake_timer == t)
        fake_timer = NULL;
}

static void post(struct executor *x, struct task *t)
{
    (void)x;
    t->run(t);
}

static struct executor executor = {post, timer_set, timer_cancel};

void fake_http_reset(void)
{
    assert(!current);
    free(got.body);
    memset(&got, 0, sizeof got);
    fake_pending = 0;
    fake_reader_gone = false;
    fake_timer = NULL;
}

static void give_up(void)
{
    arena_release(&current->req.arena);
    free(current->text);
    free(current);
    current = NULL;
}

static void keep_head(int status, const struct header *headers, size_t count)
{
    got.answers++;
    got.status = status;
    size_t used = 0;
    for (size_t i = 0; i < count; i++)
        used += (size_t)snprintf(got.headers + used, sizeof got.headers - used, "%.*s: %.*s\n",
                                 BYTES_FMT(headers[i].name), BYTES_FMT(headers[i].value));
}

static void keep_body(struct bytes body)
{
    got.body = realloc(got.body, got.body_len + body.len + 1);
    assert(got.body);
    if (body.len)
        memcpy(got.body + got.body_len, body.ptr, body.len);
    got.body_len += body.len;
    got.body[got.body_len] = 0;
}

int64_t request_now_us(const struct request *req)
{
    (void)req;
    return clock_mono_us();
}

void request_extend(struct request *req, uint32_t wait_ms)
{
    assert(current && req == &current->req);
    got.extended_ms += wait_ms;
}

struct bytes request_header(const struct request *req, const char *name)
{
    for (size_t i = 0; i < req->header_count; i++)
        if (req->headers[i].name.len == strlen(name) &&
            !strncasecmp(req->headers[i].name.ptr, name, strlen(name)))
            return req->headers[i].value;
    return (struct bytes){NULL, 0};
}

void request_answer(struct request *req, int status, const struct header *headers,
                    size_t header_count, struct bytes body)
{
    assert(current && req == &current->req && !req->streaming);
    keep_head(status, headers, header_count);
    keep_body(body);
    give_up();
}

bool request_stream_begin(struct request *req, int status, const struct header *headers,
                          size_t header_count)
{
    assert(current && req == &current->req && !req->streaming);
    req->streaming = true;
    got.streamed = true;
    keep_head(status, headers, header_count);
    return !req->gone && !fake_reader_gone;
}

bool request_stream_send(struct request *req, struct bytes data)
{
    assert(current && req == &current->req && req->streaming);
    if (req->gone || fake_reader_gone)
        return false;
    keep_body(data);
    return true;
}

void request_stream_end(struct request *req)
{
    assert(current && req == &current->req && req->streaming);
    got.ended = true;
    give_up();
}

size_t request_stream_pending(const struct request *req)
{
    assert(current && req == &current->req);
    return fake_pending;
}

uint64_t request_stream_sent(const struct request *req)
{
    assert(current && req == &current->req);
    return got.body_len;
}

size_t request_stream_lost(const struct request *req)
{
    assert(current && req == &current->req);
    return req->gone || fake_reader_gone ? fake_pending : 0;
}

static enum http_method method_of(struct bytes text)
{
    static const char *const names[] = {"",      "GET",    "POST", "PUT",
                                        "PATCH", "DELETE", "HEAD", "OPTIONS"};
    for (int i = 1; i < 8; i++)
        if (bytes_is(text, names[i]))
            return (enum http_method)i;
    return HTTP_OTHER;
}

static void set_target(struct request *req, const char *text)
{
    const char *blank = strchr(text, ' ');
    req->method = method_of(bytes_of(text, (size_t)(blank - text)));
    req->target = bytes_cstr(blank + 1);
    const char *question = strchr(blank + 1, '?');
    req->path = question ? bytes_of(blank + 1, (size_t)(question - blank - 1)) : req->target;
    if (question)
        req->query = bytes_cstr(question + 1);
}

static void set_headers(struct exchange *x, char *text)
{
    for (char *line = strtok_r(text, "\n", &text); line; line = strtok_r(NULL, "\n", &text)) {
        char *colon = strstr(line, ":");
        assert(colon && x->req.header_count < 16);
        char *value = colon + 1;
        while (*value == ' ')
            value++;
        x->headers[x->req.header_count++] =
            (struct header){bytes_of(line, (size_t)(colon - line)), bytes_cstr(value)};
    }
    x->req.headers = x->headers;
}

void fake_http_bytes(const struct handler *h, const char *method_and_target, const char *headers,
                     struct bytes body, uint16_t listener)
{
    fake_http_reset();
    struct exchange *x = calloc(1, sizeof *x);
    size_t a = strlen(method_and_target) + 1, b = headers ? strlen(headers) + 1 : 1;
    assert(x && (x->text = calloc(1, a + b + body.len + 1)));
    memcpy(x->text, method_and_target, a);
    if (headers)
        memcpy(x->text + a, headers, b);
    if (body.len)
        memcpy(x->text + a + b, body.ptr, body.len);
    set_target(&x->req, x->text);
    set_headers(x, x->text + a);
    x->req.listener = listener;
    x->req.exec = &executor;
    x->req.body_limit = 1 << 20;
    x->req.arrived_us = clock_mono_us();
    memcpy(x->req.peer, "192.0.2.1", sizeof "192.0.2.1");
    arena_init(&x->req.arena, 64 << 20);
    current = x;
    if (!h->on_head(h->ctx, &x->req)) {
        got.head_answered = true;
        assert(!current);
        return;
    }
    got.body_limit = x->req.body_limit;
    x->req.body = bytes_of(x->text + a + b, body.len);
    h->on_request(h->ctx, &x->req);
}

void fake_http(const struct handler *h, const char *method_and_target, const char *headers,
               const char *body)
{
    fake_http_bytes(h, method_and_target, headers, bytes_cstr(body), 0);
}

void fake_http_leave(void)
{
    assert(current);
    current->req.gone = true;
    if (current->req.on_gone)
        current->req.on_gone(&current->req);
}

void fake_http_expire(void)
{
    assert(current);
    current->req.expired = true;
    fake_http_leave();
}

void fake_http_fire_timer(void)
{
    struct timer *t = fake_timer;
    assert(t);
    fake_timer = NULL;
    t->heap_index = 0;
    t->fire(t);
}

const char *got_header(const char *name)
{
    static char value[256];
    char wanted[80];
    snprintf(wanted, sizeof wanted, "%s: ", name);
    const char *at = got.headers;
    while (at && strncasecmp(at, wanted, strlen(wanted)) != 0) {
        at = strchr(at, '\n');
        at = at && at[1] ? at + 1 : NULL;
    }
    if (!at)
        return "";
    at += strlen(wanted);
    snprintf(value, sizeof value, "%.*s", (int)strcspn(at, "\n"), at);
    return value;
}
