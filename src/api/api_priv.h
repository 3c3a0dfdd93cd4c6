/* SPDX-License-Identifier: MIT
 *
 * The state of the transport and of one request on its way through it:
 *
 *   api_on_head     route, authenticate, scope          (dispatch.c, router.c, auth.c)
 *   api_on_request  decode, idempotency, op->start      (dispatch.c)
 *   call_done       op->answer, encode, answer          (dispatch.c, answer.c)
 *
 * A `struct api_call` lives in the request's arena and dies with the answer.  It belongs to the
 * request's loop. */
#ifndef QMN_API_API_PRIV_H
#define QMN_API_API_PRIV_H

#include <stdatomic.h>

#include "api/api.h"
#include "base/buf.h"
#include "route_priv.h"

enum {
    REQUEST_ID_MAX = 128,
    ANSWER_MAX_BYTES = 64 << 20, /* 1,000 rows of 64 KB; more is refused, not truncated */
};

struct series;
struct denials;

struct api {
    /* immutable */
    struct engine *engine;
    struct metrics *metrics;
    const char *region, *version;
    const char *const *listener_services;
    size_t listener_count;
    bool open_metrics;
    struct router *router;
    struct buf openapi;
    /* any thread */
    struct series *series;
    struct denials *denials;
};

struct api_call {
    struct call call;
    struct api *api;
    struct request *req;
    const struct route *route; /* NULL: nothing matched */
    const char *service;       /* see route_match */
    struct bytes param;
    struct bytes path;
    struct caller caller;
    bool authenticated;
    bool counted; /* in flight */
    bool running; /* in the engine */
    bool oom;     /* sticky: some piece of the translation had no memory */
    ProtobufCMessage *in;
    void *data;
    const char *allow; /* for the Allow header */
    char request_id[REQUEST_ID_MAX + 1];
};

/* ---- auth.c ---- */

QMN_NODISCARD struct denials *denials_new(struct metrics *m);
void denials_free(struct denials *d);
/* Key, tenant, rate limit, scope of x->route; fills x->caller. */
QMN_NODISCARD enum qmn_code api_authenticate(struct api_call *x, struct err *err);
/* Counts an unauthenticated failure of `peer`; logs once a minute per source. */
void denials_note(struct denials *d, const char *peer, int64_t now_us);
/* A header that may come once at most.  QMN_E_MALFORMED when it is repeated. */
QMN_NODISCARD enum qmn_code header_single(const struct request *req, const char *name,
                                          struct bytes *ret, struct err *err);

/* ---- answer.c: each gives the request up; `x` is gone afterwards ---- */

/* 204 sends nothing; NULL where a message is due means that memory ran out. */
void answer_message(struct api_call *x, int status, const ProtobufCMessage *m);
void answer_error(struct api_call *x, const struct err *e);
void answer_text(struct api_call *x, int status, const char *media, struct bytes body);
/* The answer of a request for which not even an api_call could be had. */
void answer_nomem(struct request *req);
/* The headers of every answer, without Content-Type.  Returns how many. */
enum { ANSWER_HEADERS_MAX = 12 };
struct answer_headers {
    struct header list[ANSWER_HEADERS_MAX];
    size_t count;
    char numbers[4][12];
};
void answer_headers(const struct api_call *x, struct answer_headers *h);
/* Borrows both.  Inline: the names are constants, and so are their lengths then. */
static inline void answer_header(struct answer_headers *h, const char *name, struct bytes value)
{
    if (h->count < ANSWER_HEADERS_MAX)
        h->list[h->count++] = (struct header){.name = bytes_cstr(name), .value = value};
}

/* Metrics and the access log; once per request, before it is given up. */
void answer_account(struct api_call *x, int status, size_t body_bytes);
void request_id_set(struct api_call *x);

/* ---- measure.c ---- */

QMN_NODISCARD struct series *series_new(struct metrics *m);
void series_free(struct series *s);
/* `route` NULL: nothing matched. */
void series_arrived(struct series *s, size_t body_bytes);
void series_answered(struct series *s, const struct route *route, int status, double seconds,
                     size_t body_bytes, bool was_in_flight);

/* ---- dispatch.c ---- */

bool api_on_head(void *ctx, struct request *req);
void api_on_request(void *ctx, struct request *req);
void api_on_refused(void *ctx, const struct err *err, const struct request *req, const char *peer,
                    struct arena *arena, struct refusal *ret);

/* ---- openapi.c ---- */

QMN_NODISCARD enum qmn_code openapi_write(const struct api *a, struct buf *out, struct err *err);

/* ---- body_hash.c ---- */

/* A 128-bit fingerprint, the same on every machine and for ever (it is stored).  It tells a
 * client's repeat from its mistake; it does not resist somebody who forges his own collisions. */
void body_hash(struct bytes b, uint64_t seed, uint64_t ret[2]);

#endif
