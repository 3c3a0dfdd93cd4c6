/* SPDX-License-Identifier: MIT
 *
 * The way out: a message, an error or a text becomes one HTTP answer with the headers that every
 * answer carries.  Every failure is a problem document (codec/problem.h); one that has no memory
 * left for its document sends a constant one.
 *
 * Each answer_* gives the request up, and `x` with it.  What net answers in our place
 * (api_on_refused) looks the same. */
#include "api_priv.h"

#include "base/log.h"
#include "base/rng.h"
#include "codec/constraint.h"
#include "codec/json_encode.h"
#include "codec/problem.h"

#define NOMEM_DOCUMENT                                                                             \
    "{\"type\":\"about:blank\",\"title\":\"Out of memory\",\"status\":503,"                        \
    "\"detail\":\"out of memory\",\"code\":\"out_of_memory\"}"

/* ---- request ids ---- */

/* 16 digits; returns the place behind them. */
static char *put_hex(char *p, uint64_t value)
{
    for (int shift = 60; shift >= 0; shift -= 4)
        *p++ = "0123456789abcdef"[value >> shift & 15];
    return p;
}

/* Not a secret, only unlikely to come twice: no system call per request. */
static void make_request_id(char *ret)
{
    static _Thread_local struct rng rng;
    static _Thread_local bool seeded;
    if (!seeded) {
        uint64_t seed;
        rng_secure(&seed, sizeof seed);
        rng_seed(&rng, seed);
        seeded = true;
    }
    static const char prefix[] = "req_";
    memcpy(ret, prefix, sizeof prefix - 1);
    char *end = put_hex(put_hex(ret + sizeof prefix - 1, rng_next(&rng)), rng_next(&rng));
    *end = 0;
}

void request_id_set(struct api_call *x)
{
    struct bytes given = request_header(x->req, "x-request-id");
    if (given.len == 0 || given.len > REQUEST_ID_MAX ||
        !constraint_pattern_match(PATTERN_TOKEN, given)) {
        make_request_id(x->request_id);
        return;
    }
    memcpy(x->request_id, given.ptr, given.len);
    x->request_id[given.len] = 0;
}

/* ---- headers ---- */

static struct bytes number(struct answer_headers *h, size_t slot, uint32_t value)
{
    char *end = h->numbers[slot] + sizeof h->numbers[slot], *p = end;
    do
        *--p = (char)('0' + value % 10);
    while (value /= 10);
    return bytes_of(p, (size_t)(end - p));
}

void answer_headers(const struct api_call *x, struct answer_headers *h)
{
    h->count = 0;
    answer_header(h, "X-Request-Id", bytes_cstr(x->request_id));
    answer_header(h, "X-Content-Type-Options", BYTES_LIT("nosniff"));
    answer_header(h, "Cache-Control", BYTES_LIT("no-store"));
    const struct caller *c = &x->caller;
    if (c->limit_per_minute) {
        answer_header(h, "X-RateLimit-Limit", number(h, 0, c->limit_per_minute));
        answer_header(h, "X-RateLimit-Remaining", number(h, 1, c->limit_remaining));
        answer_header(h, "X-RateLimit-Reset", number(h, 2, c->limit_reset_s));
    }
    if (x->call.replayed)
        answer_header(h, "Idempotent-Replayed", BYTES_LIT("true"));
}

/* ---- account ---- */

void answer_account(struct api_call *x, int status, size_t body_bytes)
{
    struct request *req = x->req;
    if (req->expired) /* the client was told at the deadline, and nothing else */
        status = code_info(QMN_E_DEADLINE)->http_status;
    int64_t us = request_now_us(req) - req->arrived_us;
    series_answered(x->api->series, x->route, status, (double)us / 1e6, body_bytes, x->counted);
    x->counted = false;
    enum log_level level = status >= 500 ? LOG_WARN : LOG_DEBUG;
    LOG_AT(level, "request", LOG_S("method", http_method_name(req->method)),
           LOG_S("route", x->route ? x->route->name : "none"), LOG_I("status", status),
           LOG_I("us", us), LOG_I("bytes_in", req->body.len), LOG_I("bytes_out", body_bytes),
           LOG_S("peer", req->peer), LOG_T("tenant", x->caller.tenant_id),
           LOG_T("key", x->caller.key_id), LOG_S("request_id", x->request_id));
}

static void send(struct api_call *x, int status, struct answer_headers *h, const char *media,
                 struct bytes body)
{
    if (media)
        answer_header(h, "Content-Type", bytes_cstr(media));
    answer_account(x, status, body.len);
    request_answer(x->req, status, h->list, h->count, body);
}

/* ---- answers ---- */

void answer_nomem(struct request *req)
{
    const struct header list[] = {{BYTES_LIT("Content-Type"), BYTES_LIT(PROBLEM_CONTENT_TYPE)},
                                  {BYTES_LIT("Retry-After"), BYTES_LIT("1")}};
    request_answer(req, 503, list, ARRAY_LEN(list), BYTES_LIT(NOMEM_DOCUMENT));
}

void answer_text(struct api_call *x, int status, const char *media, struct bytes body)
{
    struct answer_headers h;
    answer_headers(x, &h);
    send(x, status, &h, media, body);
}

void answer_error(struct api_call *x, const struct err *e)
{
    if (x->authenticated && e->code == QMN_E_FORBIDDEN)
        engine_audit_denied(x->api->engine, &x->caller, bytes_cstr(x->route->name), e->text);
    struct answer_headers h;
    answer_headers(x, &h);
    if (e->retry_after_s)
        answer_header(&h, "Retry-After", number(&h, 3, e->retry_after_s));
    if (e->code == QMN_E_UNAUTHENTICATED)
        answer_header(&h, "WWW-Authenticate", BYTES_LIT("Bearer realm=\"qmn\""));
    if (e->code == QMN_E_METHOD && x->allow)
        answer_header(&h, "Allow", bytes_cstr(x->allow));
    CLEANUP(buf_release) struct buf b;
    buf_init(&b, 8192);
    problem_encode(e, &b);
    struct bytes body = buf_ok(&b) ? buf_bytes(&b) : BYTES_LIT(NOMEM_DOCUMENT);
    send(x, buf_ok(&b) ? code_info(e->code)->http_status : 503, &h, PROBLEM_CONTENT_TYPE, body);
}

void answer_message(struct api_call *x, int status, const ProtobufCMessage *m)
{
    struct answer_headers h;
    if (status == 204) {
        answer_headers(x, &h);
        send(x, 204, &h, NULL, (struct bytes){NULL, 0});
        return;
    }
    CLEANUP(buf_release) struct buf b;
    buf_init(&b, ANSWER_MAX_BYTES);
    struct err e;
    enum qmn_code code = m && !x->oom && !x->req->arena.failed ? json_encode(m, &b) : QMN_E_NOMEM;
    if (code != QMN_OK) {
        err_set(&e, code,
                b.len >= ANSWER_MAX_BYTES / 2 ? "the answer is too large; ask for less"
                                              : "no memory for the answer");
        answer_error(x, &e);
        return;
    }
    answer_headers(x, &h);
    send(x, status, &h, "application/json", buf_bytes(&b));
}

/* ---- in our place ---- */

/* The call under whose id and limits the refusal goes out: the request's, if it came so far. */
static const struct api_call *refused_call(const struct request *req, struct arena *arena)
{
    if (req && req->user)
        return req->user;
    struct api_call *x = arena_new(arena, struct api_call);
    if (x)
        make_request_id(x->request_id);
    return x;
}

static struct bytes refused_document(const struct err *err, struct arena *arena)
{
    CLEANUP(buf_release) struct buf b;
    buf_init(&b, 8192);
    problem_encode(err, &b);
    struct bytes body = buf_ok(&b) ? arena_bytes(arena, buf_bytes(&b)) : bytes_of(NULL, 0);
    return body.len ? body : BYTES_LIT("{\"type\":\"about:blank\"}"); /* the status says it all */
}

void api_on_refused(void *ctx, const struct err *err, const struct request *req, const char *peer,
                    struct arena *arena, struct refusal *ret)
{
    static const struct header bare = {{"Content-Type", 12},
                                       {PROBLEM_CONTENT_TYPE, sizeof PROBLEM_CONTENT_TYPE - 1}};
    (void)ctx;
    ret->body = refused_document(err, arena);
    const struct api_call *x = refused_call(req, arena);
    struct answer_headers *h = arena_new(arena, struct answer_headers);
    if (!x || !h) {
        ret->headers = &bare;
        ret->header_count = 1;
        return;
    }
    answer_headers(x, h);
    answer_header(h, "Content-Type", BYTES_LIT(PROBLEM_CONTENT_TYPE));
    ret->headers = h->list;
    ret->header_count = h->count;
    /* Only this one speaks of the node; anybody can cause the others, as often as he likes. */
    enum log_level level = err->code == QMN_E_DEADLINE ? LOG_WARN : LOG_DEBUG;
    LOG_AT(level, "refused", LOG_S("route", x->route ? x->route->name : "none"),
           LOG_S("code", code_info(err->code)->wire), LOG_S("detail", err->text),
           LOG_S("peer", peer), LOG_S("request_id", x->request_id));
}
