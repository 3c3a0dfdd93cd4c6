/* SPDX-License-Identifier: MIT
 *
 * Shared by the client's files. */
#ifndef QMN_CLIENT_CLIENT_PRIV_H
#define QMN_CLIENT_CLIENT_PRIV_H

#include <curl/curl.h>

#include "client.h"

enum {
    CLIENT_BODY_MAX = 256 << 20, /* exports are large */
    CLIENT_ARENA_MAX = 64 << 10
};

struct client {
    CURL *curl;
    char *url; /* without a trailing slash */
    char *key_header, *tenant_header;
    char address[280];
    char why[CURL_ERROR_SIZE];
    uint32_t connect_timeout_ms, timeout_ms;
    bool unreachable, stream_begun;
    void (*tick)(void *ctx);
    void *tick_ctx;
    /* of the call in progress */
    struct buf body;
    uint32_t retry_after_s;
};

/* Options and headers that every call has; *ret_headers goes to curl_slist_free_all. */
QMN_NODISCARD enum qmn_code client_prepare(struct client *c, const struct client_call *call,
                                           const char *const *more_headers,
                                           struct curl_slist **ret_headers, struct err *err);
/* The transport failed with `code`. */
enum qmn_code client_transport_error(struct client *c, CURLcode code, uint32_t timeout_ms,
                                     struct err *err);
/* An answer of status >= 400: its problem document as an error. */
enum qmn_code client_problem(int status, struct bytes body, uint32_t retry_after_s,
                             struct err *err);

/* ---- server-sent events, fed in pieces of any size ---- */

struct sse {
    struct buf pending; /* an unfinished line */
    struct buf data;    /* of the event so far */
    char type[64], id[64];
    bool stopped; /* the callback has had enough */
    bool failed;  /* a line or event beyond the bound, or no memory */
    bool (*event)(void *ctx, const struct client_event *e);
    void *ctx;
};

void sse_init(struct sse *s, bool (*event)(void *ctx, const struct client_event *e), void *ctx);
void sse_release(struct sse *s);
/* False once stopped or failed. */
bool sse_feed(struct sse *s, struct bytes piece);

#endif
