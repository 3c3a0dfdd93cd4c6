/* SPDX-License-Identifier: MIT
 *
 * The way in.  At the head of a request: route, authenticate, scope, so that the body of a client
 * without a valid key is never read.  With the body: decode from body, query and path into the
 * operation's message, check it, note the Idempotency-Key, start the engine call.  Its done
 * function answers, perhaps before start returns. */
#include "api_priv.h"

#include <stdio.h>
#include <strings.h>

#include "base/limits.h"
#include "codec/json_decode.h"
#include "engine/nutrients.h"

enum { NO_BODY_BYTES = 1024 }; /* what a call that takes none still puts up with */

/* ---- the answer of the engine ---- */

/* What is absent is what the path names, or what the row says, unless the engine knows better. */
static void name_absent(const struct route *r, struct err *err)
{
    const char *field = r->path_field ? r->path_field : r->absent;
    if (err->code == QMN_E_NOT_FOUND && !err->field[0] && field)
        snprintf(err->field, sizeof err->field, "%s", field);
}

static void answer_written(struct api_call *x)
{
    CLEANUP(buf_release) struct buf b;
    struct err err = {0};
    buf_init(&b, ANSWER_MAX_BYTES);
    enum qmn_code code = x->route->op->write(x, &b, &err);
    if (code == QMN_OK && (!buf_ok(&b) || x->oom || x->req->arena.failed))
        code = err_nomem(&err);
    err.code = code;
    if (code != QMN_OK)
        answer_error(x, &err);
    else
        answer_text(x, x->route->status, x->route->media, buf_bytes(&b));
}

static void call_done(struct call *c)
{
    struct api_call *x = CONTAINER_OF(c, struct api_call, call);
    const struct operation *op = x->route->op;
    x->running = false;
    if (c->code != QMN_OK) {
        c->err.code = c->code;
        name_absent(x->route, &c->err);
        answer_error(x, &c->err);
    } else if (op->write) {
        answer_written(x);
    } else {
        answer_message(x, x->route->status, op->answer ? op->answer(x) : NULL);
    }
}

/* The client left: a call that waits for others is cut short, any other runs to its end. */
static void client_gone(struct request *req)
{
    struct api_call *x = req->user;
    if (x->running)
        engine_cancel(x->api->engine, &x->call);
}

/* ---- the head ---- */

static const char *listener_service(const struct api *a, const struct request *req)
{
    return req->listener < a->listener_count ? a->listener_services[req->listener] : NULL;
}

static enum qmn_code read_head(struct api_call *x, char allow[64], struct err *err)
{
    const struct api *a = x->api;
    struct request *req = x->req;
    struct route_match m;
    m.allow[0] = 0;
    enum qmn_code code =
        router_match(a->router, req->method, req->path, listener_service(a, req), &m, err);
    if (code != QMN_OK) {
        memcpy(allow, m.allow, sizeof m.allow);
        x->allow = allow;
        return code;
    }
    x->route = m.route;
    x->service = m.service;
    x->param = m.param;
    x->path = m.path;
    if (!(m.route->input & INPUT_BODY))
        req->body_limit = NO_BODY_BYTES;
    else
        req->body_limit = m.route->body_limit ? m.route->body_limit : LIMIT_BODY_BYTES;
    if (m.route->access == ACCESS_OPEN || (m.route->access == ACCESS_LOCAL && a->open_metrics))
        return QMN_OK;
    return api_authenticate(x, err);
}

bool api_on_head(void *ctx, struct request *req)
{
    struct api_call *x = arena_new(&req->arena, struct api_call);
    if (!x) {
        answer_nomem(req);
        return false;
    }
    x->api = ctx;
    x->req = req;
    req->user = x;
    request_id_set(x);
    struct err e = {.code = QMN_OK};
    char allow[64];
    if (read_head(x, allow, &e) == QMN_OK)
        return true;
    answer_error(x, &e);
    return false;
}

/* ---- the body ---- */

/* "application/json", "application/problem+json; charset=utf-8" ...; absent is JSON too. */
static bool media_is_json(struct bytes media)
{
    const char *semicolon = media.len ? memchr(media.ptr, ';', media.len) : NULL;
    struct bytes type = semicolon ? bytes_of(media.ptr, (size_t)(semicolon - media.ptr)) : media;
    while (type.len && (type.ptr[type.len - 1] == ' ' || type.ptr[type.len - 1] == '\t'))
        type.len--;
    static const char application[] = "application/", json[] = "json", suffix[] = "+json";
    const size_t prefix = sizeof application - 1;
    if (type.len == 0)
        return media.len == 0;
    if (type.len <= prefix || strncasecmp(type.ptr, application, prefix) != 0)
        return false;
    struct bytes sub = bytes_of(type.ptr + prefix, type.len - prefix);
    if (sub.len == 4 && !strncasecmp(sub.ptr, json, 4))
        return true;
    return sub.len > 5 && !strncasecmp(sub.ptr + sub.len - 5, suffix, 5);
}

/* Parsed as it stands, a compressed body would be refused for what it seems to say. */
static enum qmn_code check_coding(const struct request *req, struct err *err)
{
    static const char plain[] = "identity";
    struct bytes coding;
    TRY(header_single(req, "content-encoding", &coding, err));
    if (coding.len == 0 ||
        (coding.len == sizeof plain - 1 && !strncasecmp(coding.ptr, plain, coding.len)))
        return QMN_OK;
    return err_set(err, QMN_E_MEDIA_TYPE,
                   "send the body as it is; it came with Content-Encoding: %.*s",
                   coding.len > 100 ? 100 : BYTES_FMT(coding));
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "%41" -> "A"; '+' stays.  QMN_E_MALFORMED: a '%' without two hexadecimal digits. */
static enum qmn_code percent_decode(struct bytes in, struct arena *arena, struct bytes *ret,
                                    struct err *err)
{
    char *out = arena_alloc(arena, in.len + 1);
    if (!out)
        return err_nomem(err);
    size_t len = 0;
    for (size_t i = 0; i < in.len; i++) {
        if (in.ptr[i] != '%') {
            out[len++] = in.ptr[i];
            continue;
        }
        int high = i + 2 < in.len ? hex_digit(in.ptr[i + 1]) : -1;
        int low = i + 2 < in.len ? hex_digit(in.ptr[i + 2]) : -1;
        if (high < 0 || low < 0)
            return err_set(err, QMN_E_MALFORMED, "'%%' in the path needs two hexadecimal digits");
        out[len++] = (char)(high << 4 | low);
        i += 2;
    }
    *ret = bytes_of(out, len);
    return QMN_OK;
}

static enum qmn_code decode(struct api_call *x, struct err *err)
{
    const struct route *r = x->route;
    struct request *req = x->req;
    if (r->takes)
        TRY(check_coding(req, err));
    if (!r->op->request)
        return QMN_OK;
    x->in = message_new(r->op->request, &req->arena);
    if (!x->in)
        return err_nomem(err);
    if ((r->input & INPUT_BODY) && req->body.len) {
        struct bytes media;
        TRY(header_single(req, "content-type", &media, err));
        if (!media_is_json(media))
            return err_set(err, QMN_E_MEDIA_TYPE,
                           "send Content-Type: application/json; the body came as %.*s",
                           media.len > 100 ? 100 : BYTES_FMT(media));
        TRY(check_coding(req, err));
        TRY(json_decode_into(req->body, x->in, &req->arena, err));
    }
    if ((r->input & INPUT_QUERY) && req->query.len)
        TRY(query_decode_into(req->query, x->in, &req->arena, err));
    if (r->path_field) {
        struct bytes text;
        TRY(percent_decode(x->param, &req->arena, &text, err));
        TRY(message_set_text(x->in, r->path_field, text, &req->arena, err));
    }
    return message_check(x->in, err);
}

/* The fingerprint covers path and query too: "DELETE /v1/agents/a" repeated on agent b under one
 * key is another request, though both bodies are empty. */
static enum qmn_code read_idempotency(struct api_call *x, struct err *err)
{
    struct request *req = x->req;
    struct idempotency_in *in = &x->call.idempotency;
    in->route = bytes_cstr(x->route->name);
    if (!x->route->mutation)
        return QMN_OK;
    struct bytes value;
    TRY(header_single(req, "idempotency-key", &value, err));
    if (!value.ptr)
        return QMN_OK;
    bool fits = value.len >= 1 && value.len <= LIMIT_IDEMPOTENCY_CHARS;
    for (size_t i = 0; fits && i < value.len; i++)
        fits = value.ptr[i] >= 0x20 && value.ptr[i] < 0x7f;
    if (!fits)
        return err_field(err, QMN_E_INVALID, "Idempotency-Key",
                         "expected 1 to %d printable ASCII characters", LIMIT_IDEMPOTENCY_CHARS);
    uint64_t place[2];
    body_hash(x->path, 0, place);
    if (req->query.len)
        body_hash(req->query, place[0] ^ place[1], place);
    body_hash(req->body, place[0] ^ place[1], in->body_hash);
    in->value = value;
    return QMN_OK;
}

static enum qmn_code start(struct api_call *x, struct err *err)
{
    struct request *req = x->req;
    const struct operation *op = x->route->op;
    TRY(decode(x, err));
    TRY(read_idempotency(x, err));
    if (op->data_size) {
        x->data = arena_calloc(&req->arena, 1, op->data_size);
        if (!x->data)
            return err_nomem(err);
    }
    x->call.exec = req->exec;
    x->call.arena = &req->arena;
    x->call.caller = &x->caller;
    x->call.done = call_done;
    x->running = true;
    req->on_gone = client_gone;
    enum qmn_code code = op->start(x, err);
    if (code != QMN_OK)
        x->running = false;
    return code;
}

void api_on_request(void *ctx, struct request *req)
{
    (void)ctx;
    struct api_call *x = req->user;
    struct err e = {.code = QMN_OK};
    x->counted = true;
    series_arrived(x->api->series, req->body.len);
    enum qmn_code code = start(x, &e);
    if (code == QMN_OK)
        return;
    e.code = code;
    name_absent(x->route, &e);
    answer_error(x, &e);
}
