/* SPDX-License-Identifier: MIT
 *
 * Who calls.  The key comes as X-API-Key or as a bearer token; the engine knows whether it holds,
 * the route table what it must be allowed.
 *
 * Failures without a valid key are not audited (anybody could fill the disk with them): they are
 * counted, and logged once a minute per source from a small table of sources.  When the table is
 * full the source that has been quiet longest gives way.  Any thread; the table has a lock of its
 * own, taken on failures only. */
#include "api_priv.h"

#include <pthread.h>
#include <stdio.h>
#include <strings.h>

#include "base/log.h"
#include "base/mem.h"

enum { SOURCES = 1024, LOG_EVERY_US = 60 * 1000 * 1000 };

struct source {
    char peer[48]; /* as in struct request */
    int64_t logged_us, seen_us;
    uint64_t unlogged;
};

struct denials {
    struct counter *failures;
    pthread_mutex_t lock;
    struct source sources[SOURCES]; /* guarded by lock */
};

struct denials *denials_new(struct metrics *m)
{
    struct denials *d = mem_calloc(1, sizeof *d);
    if (!d)
        return NULL;
    pthread_mutex_init(&d->lock, NULL);
    if (m)
        d->failures = metrics_counter(m, "qmn_auth_failures_total",
                                      "Requests refused for want of a valid key.", "");
    return d;
}

void denials_free(struct denials *d)
{
    if (!d)
        return;
    pthread_mutex_destroy(&d->lock);
    mem_free(d);
}

/* The row of `peer`, or the one to give it. */
static struct source *source_of(struct denials *d, const char *peer)
{
    struct source *quietest = &d->sources[0];
    for (size_t i = 0; i < SOURCES; i++) {
        struct source *s = &d->sources[i];
        if (!strncmp(s->peer, peer, sizeof s->peer))
            return s;
        if (s->seen_us < quietest->seen_us)
            quietest = s;
    }
    *quietest = (struct source){.logged_us = INT64_MIN / 2};
    size_t len = strnlen(peer, sizeof quietest->peer - 1);
    memcpy(quietest->peer, peer, len);
    return quietest;
}

void denials_note(struct denials *d, const char *peer, int64_t now_us)
{
    counter_add(d->failures, 1);
    pthread_mutex_lock(&d->lock);
    struct source *s = source_of(d, peer);
    s->seen_us = now_us;
    s->unlogged++;
    uint64_t count = 0;
    if (now_us - s->logged_us >= LOG_EVERY_US) {
        count = s->unlogged;
        s->unlogged = 0;
        s->logged_us = now_us;
    }
    pthread_mutex_unlock(&d->lock);
    if (count)
        log_warn("requests without a valid key", LOG_S("peer", peer), LOG_I("count", count));
}

/* ---- the request's side ---- */

enum qmn_code header_single(const struct request *req, const char *name, struct bytes *ret,
                            struct err *err)
{
    struct bytes value = {NULL, 0};
    const size_t len = strlen(name);
    for (size_t i = 0; i < req->header_count; i++) {
        struct bytes is = req->headers[i].name;
        if (is.len != len || strncasecmp(is.ptr, name, len) != 0)
            continue;
        if (value.ptr)
            return err_field(err, QMN_E_MALFORMED, name, "%s came twice", name);
        value = req->headers[i].value;
        if (!value.ptr)
            value.ptr = "";
    }
    *ret = value;
    return QMN_OK;
}

static struct bytes bearer_token(struct bytes authorization)
{
    static const char scheme[] = "bearer ";
    const size_t len = sizeof scheme - 1;
    if (authorization.len <= len || strncasecmp(authorization.ptr, scheme, len) != 0)
        return (struct bytes){NULL, 0};
    struct bytes t = bytes_of(authorization.ptr + len, authorization.len - len);
    while (t.len && *t.ptr == ' ')
        t = bytes_of(t.ptr + 1, t.len - 1);
    return t;
}

static enum qmn_code check_scope(const struct api_call *x, struct err *err)
{
    enum scope wanted = x->route->access == ACCESS_SCOPE ? x->route->scope : SCOPE_ADMIN;
    if (x->route->access == ACCESS_KEY || (x->caller.scopes & SCOPE_BIT(wanted)))
        return QMN_OK;
    return err_set(err, QMN_E_FORBIDDEN, "this key lacks the scope %s", scope_name(wanted));
}

enum qmn_code api_authenticate(struct api_call *x, struct err *err)
{
    struct bytes key, authorization, tenant;
    TRY(header_single(x->req, "x-api-key", &key, err));
    TRY(header_single(x->req, "authorization", &authorization, err));
    TRY(header_single(x->req, "x-tenant-id", &tenant, err));
    if (key.len == 0)
        key = bearer_token(authorization);
    enum qmn_code code;
    if (key.len == 0)
        code = err_set(err, QMN_E_UNAUTHENTICATED,
                       "no key; send it as X-API-Key or as Authorization: Bearer");
    else
        code = engine_authenticate(x->api->engine, key, tenant, &x->req->arena, &x->caller, err);
    if (code == QMN_E_UNAUTHENTICATED)
        denials_note(x->api->denials, x->req->peer, clock_mono_us());
    if (code == QMN_E_NOT_FOUND)
        snprintf(err->field, sizeof err->field, "X-Tenant-ID");
    TRY(code);
    x->authenticated = true;
    return check_scope(x, err);
}
