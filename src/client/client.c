/* SPDX-License-Identifier: MIT
 *
 * Calls over one libcurl handle, which keeps the connection. */
#include "client_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "codec/json_decode.h"
#include "codec/json_encode.h"

enum { CONNECT_TIMEOUT_MS = 5000, TIMEOUT_MS = 30000, REQUEST_MAX = 64 << 20 };

/* ---- making one ---- */

static bool header_safe(const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++)
        if (*p < 0x20 || *p == 0x7f)
            return false;
    return true;
}

static enum qmn_code set_header(char **header, const char *name, const char *value, struct err *err)
{
    char *text = NULL;
    if (value && *value) {
        if (!header_safe(value))
            return err_set(err, QMN_E_INVALID, "%s holds a control character", name);
        size_t size = strlen(name) + strlen(value) + 3;
        text = mem_alloc(size);
        if (!text)
            return err_nomem(err);
        snprintf(text, size, "%s: %s", name, value);
    }
    if (*header)
        explicit_bzero(*header, strlen(*header));
    mem_free(*header);
    *header = text;
    return QMN_OK;
}

enum qmn_code client_set_tenant(struct client *c, const char *tenant, struct err *err)
{
    return set_header(&c->tenant_header, "X-Tenant-ID", tenant, err);
}

enum qmn_code client_set_key(struct client *c, const char *key, struct err *err)
{
    return set_header(&c->key_header, "X-API-Key", key, err);
}

/* Checks the URL, keeps it without its last slash, and notes host:port for messages.  HOST:PORT is
 * taken as http, since that is what people type. */
static enum qmn_code set_url(struct client *c, const char *url, struct err *err)
{
    static const char plain[] = "http://";
    const char *before = strstr(url, "://") ? "" : plain;
    size_t len = strlen(before) + strlen(url);
    c->url = mem_alloc(len + 1);
    if (!c->url)
        return err_nomem(err);
    snprintf(c->url, len + 1, "%s%s", before, url);
    size_t scheme = strncasecmp(c->url, plain, 7) == 0        ? 7
                    : strncasecmp(c->url, "https://", 8) == 0 ? 8
                                                              : 0;
    while (len > scheme && c->url[len - 1] == '/')
        c->url[--len] = '\0';
    const char *host = c->url + scheme;
    snprintf(c->address, sizeof c->address, "%.*s", (int)strcspn(host, "/?#"), host);
    if (!scheme || !c->address[0] || !header_safe(c->url) || strchr(c->address, '@'))
        return err_set(err, QMN_E_INVALID,
                       "expected a URL such as http://127.0.0.1:8022, got \"%.100s\"", url);
    return QMN_OK;
}

static size_t take_body(char *data, size_t size, size_t count, void *ctx)
{
    struct client *c = ctx;
    buf_add(&c->body, data, size * count);
    return buf_ok(&c->body) ? size * count : 0;
}

static int on_progress(void *ctx, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                       curl_off_t up)
{
    struct client *c = ctx;
    (void)down_total, (void)down, (void)up_total, (void)up;
    c->tick(c->tick_ctx);
    return 0;
}

static size_t take_header(char *data, size_t size, size_t count, void *ctx)
{
    static const char name[] = "retry-after:";
    struct client *c = ctx;
    size_t len = size * count;
    if (len > sizeof name && strncasecmp(data, name, sizeof name - 1) == 0) {
        c->retry_after_s = 0;
        for (size_t i = sizeof name - 1; i < len && c->retry_after_s < 1000000; i++)
            if (data[i] >= '0' && data[i] <= '9')
                c->retry_after_s = c->retry_after_s * 10 + (uint32_t)(data[i] - '0');
    }
    return len;
}

enum qmn_code client_new(const struct client_config *config, struct client **ret, struct err *err)
{
    struct client *c = mem_calloc(1, sizeof *c);
    if (!c)
        return err_nomem(err);
    buf_init(&c->body, CLIENT_BODY_MAX);
    c->connect_timeout_ms =
        config->connect_timeout_ms ? config->connect_timeout_ms : CONNECT_TIMEOUT_MS;
    c->timeout_ms = config->timeout_ms ? config->timeout_ms : TIMEOUT_MS;
    enum qmn_code code = set_url(c, config->url, err);
    if (code == QMN_OK)
        code = client_set_key(c, config->key, err);
    if (code == QMN_OK)
        code = client_set_tenant(c, config->tenant, err);
    if (code == QMN_OK && !(c->curl = curl_easy_init()))
        code = err_nomem(err);
    if (code == QMN_OK)
        *ret = c;
    else
        client_free(c);
    return code;
}

void client_free(struct client *c)
{
    if (!c)
        return;
    if (c->curl)
        curl_easy_cleanup(c->curl);
    if (c->key_header)
        explicit_bzero(c->key_header, strlen(c->key_header));
    mem_free(c->key_header);
    mem_free(c->tenant_header);
    mem_free(c->url);
    buf_release(&c->body);
    mem_free(c);
}

void client_set_tick(struct client *c, void (*tick)(void *ctx), void *ctx)
{
    c->tick = tick;
    c->tick_ctx = ctx;
}

bool client_unreachable(const struct client *c)
{
    return c->unreachable;
}

const char *client_address(const struct client *c)
{
    return c->address;
}

/* ---- a call ---- */

static bool add_header(struct curl_slist **list, const char *text)
{
    struct curl_slist *more = text ? curl_slist_append(*list, text) : *list;
    if (text && !more)
        return false;
    *list = more;
    return true;
}

/* A proxy of the environment is for the world outside. */
static bool is_local(const struct client *c)
{
    return strncmp(c->address, "127.", 4) == 0 || strncmp(c->address, "[::1]", 5) == 0 ||
           strncasecmp(c->address, "localhost", 9) == 0;
}

enum qmn_code client_prepare(struct client *c, const struct client_call *call,
                             const char *const *more_headers, struct curl_slist **ret_headers,
                             struct err *err)
{
    struct curl_slist *list = NULL;
    char url[8192], idempotency[300];
    int n = snprintf(url, sizeof url, "%s%s", c->url, call->path);
    if (n < 0 || (size_t)n >= sizeof url)
        return err_set(err, QMN_E_URI_TOO_LONG, "the address is longer than %zu characters",
                       sizeof url);
    bool ok = add_header(&list, c->key_header) && add_header(&list, c->tenant_header) &&
              add_header(&list, "Expect:") && add_header(&list, "Accept: */*");
    if (call->idempotency_key) {
        snprintf(idempotency, sizeof idempotency, "Idempotency-Key: %.255s", call->idempotency_key);
        ok = ok && add_header(&list, idempotency);
    }
    if (call->request)
        ok = ok && add_header(&list, "Content-Type: application/json");
    for (; more_headers && *more_headers; more_headers++)
        ok = ok && add_header(&list, *more_headers);
    if (!ok) {
        curl_slist_free_all(list);
        return err_nomem(err);
    }
    CURL *h = c->curl;
    curl_easy_reset(h);
    c->why[0] = '\0';
    c->unreachable = c->stream_begun = false;
    c->retry_after_s = 0;
    buf_clear(&c->body);
    curl_easy_setopt(h, CURLOPT_URL, url);
    curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(h, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, call->method);
    curl_easy_setopt(h, CURLOPT_ERRORBUFFER, c->why);
    curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(h, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, (long)c->connect_timeout_ms);
    curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(h, CURLOPT_HEADERDATA, c);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, c);
    if (c->tick) {
        curl_easy_setopt(h, CURLOPT_NOPROGRESS, 0L);
        curl_easy_setopt(h, CURLOPT_XFERINFOFUNCTION, on_progress);
        curl_easy_setopt(h, CURLOPT_XFERINFODATA, c);
    }
    if (is_local(c))
        curl_easy_setopt(h, CURLOPT_PROXY, "");
    *ret_headers = list;
    return QMN_OK;
}

enum qmn_code client_transport_error(struct client *c, CURLcode code, uint32_t timeout_ms,
                                     struct err *err)
{
    long os = 0;
    curl_easy_getinfo(c->curl, CURLINFO_OS_ERRNO, &os);
    c->unreachable = true;
    switch (code) {
    case CURLE_OUT_OF_MEMORY:
        return err_nomem(err);
    case CURLE_WRITE_ERROR:
        c->unreachable = false;
        return err_set(err, QMN_E_TOO_LARGE, "the answer of %s is too large to hold", c->address);
    case CURLE_COULDNT_RESOLVE_HOST:
        return err_set(err, QMN_E_UNAVAILABLE, "cannot reach %s: no such host", c->address);
    case CURLE_COULDNT_CONNECT: {
        const char *why = os == ECONNREFUSED ? "connection refused"
                          : os               ? strerror((int)os)
                                             : "no connection";
        return err_set(err, QMN_E_UNAVAILABLE, "cannot reach %s: %s", c->address, why);
    }
    case CURLE_OPERATION_TIMEDOUT:
        return err_set(err, QMN_E_DEADLINE, "no answer from %s within %g s", c->address,
                       timeout_ms / 1000.0);
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_PARTIAL_FILE:
        return err_set(err, QMN_E_UNAVAILABLE, "%s ended the connection before it had answered",
                       c->address);
    default:
        return err_set(err, QMN_E_UNAVAILABLE, "cannot talk to %s: %s", c->address,
                       c->why[0] ? c->why : curl_easy_strerror(code));
    }
}

static enum qmn_code perform(struct client *c, const struct client_call *call, struct bytes body,
                             const char *const *more_headers, int *ret_status, struct err *err)
{
    struct curl_slist *headers = NULL;
    uint32_t timeout_ms = call->timeout_ms ? call->timeout_ms : c->timeout_ms;
    TRY(client_prepare(c, call, more_headers, &headers, err));
    curl_easy_setopt(c->curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    /* A body, even an empty one, for the methods that have one: servers ask for its length. */
    if (call->request || strcmp(call->method, "POST") == 0) {
        curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, body.ptr ? body.ptr : "");
        curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
    }
    CURLcode code = curl_easy_perform(c->curl);
    curl_slist_free_all(headers);
    if (code != CURLE_OK)
        return client_transport_error(c, code, timeout_ms, err);
    long status = 0;
    curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
    *ret_status = (int)status;
    return QMN_OK;
}

static enum qmn_code decode(struct client *c, const struct client_call *call, struct arena *arena,
                            struct client_answer *a, struct err *err)
{
    a->body = arena_bytes(arena, buf_bytes(&c->body));
    if (!a->body.ptr)
        return err_nomem(err);
    if (!call->response || a->body.len == 0)
        return QMN_OK;
    ProtobufCMessage *m = message_new(call->response, arena);
    if (!m)
        return err_nomem(err);
    struct err detail = {0};
    if (json_decode_into(a->body, m, arena, &detail) != QMN_OK)
        return err_set(err, QMN_E_INTERNAL,
                       "%s answered what this program does not understand (%.160s); are both of "
                       "the same version?",
                       c->address, detail.text);
    a->message = m;
    return QMN_OK;
}

static enum qmn_code send_body(struct client *c, const struct client_call *call, struct bytes body,
                               const char *const *headers, struct arena *arena,
                               struct client_answer *ret, struct err *err)
{
    struct client_answer a = {0};
    TRY(perform(c, call, body, headers, &a.status, err));
    if (a.status >= 400)
        return client_problem(a.status, buf_bytes(&c->body), c->retry_after_s, err);
    TRY(decode(c, call, arena, &a, err));
    *ret = a;
    return QMN_OK;
}

enum qmn_code client_send(struct client *c, const struct client_call *call, struct arena *arena,
                          struct client_answer *ret, struct err *err)
{
    CLEANUP(buf_release) struct buf body;
    buf_init(&body, REQUEST_MAX);
    if (call->request) {
        if (json_encode(call->request, &body) != QMN_OK || !buf_ok(&body))
            return err_set(err, QMN_E_TOO_LARGE, "the request does not fit into %d bytes",
                           REQUEST_MAX);
    }
    return send_body(c, call, buf_bytes(&body), NULL, arena, ret, err);
}

enum qmn_code client_send_lines(struct client *c, const struct client_call *call,
                                struct bytes lines, struct arena *arena, struct client_answer *ret,
                                struct err *err)
{
    static const char *const headers[] = {"Content-Type: application/x-ndjson", NULL};
    return send_body(c, call, lines, headers, arena, ret, err);
}

/* ---- paths ---- */

void client_path_segment(struct buf *path, const char *text)
{
    static const char hex[] = "0123456789ABCDEF";
    for (const unsigned char *p = (const unsigned char *)text; p && *p; p++) {
        bool plain = (*p >= '0' && *p <= '9') || ((*p | 32) >= 'a' && (*p | 32) <= 'z') ||
                     strchr("-._~", *p);
        if (plain) {
            buf_addc(path, (char)*p);
        } else {
            const char escaped[] = {'%', hex[*p >> 4], hex[*p & 15]};
            buf_add(path, escaped, sizeof escaped);
        }
    }
}

void client_path_query(struct buf *path, const char *name, const char *value)
{
    if (!value || !*value)
        return;
    bool first = !path->len || !memchr(path->ptr, '?', path->len);
    buf_addc(path, first ? '?' : '&');
    buf_adds(path, name);
    buf_addc(path, '=');
    client_path_segment(path, value);
}

void client_path_query_int(struct buf *path, const char *name, int64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)value);
    client_path_query(path, name, text);
}
