/* SPDX-License-Identifier: MIT
 *
 * A stream of server-sent events over the client's connection. */
#include "client_priv.h"

#include <stdio.h>

struct stream {
    struct client *client;
    struct sse sse;
};

/* The body of a refusal is a problem document, not events. */
static size_t take_piece(char *data, size_t size, size_t count, void *ctx)
{
    struct stream *s = ctx;
    long status = 0;
    size_t len = size * count;
    curl_easy_getinfo(s->client->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200) {
        buf_add(&s->client->body, data, len);
        return buf_ok(&s->client->body) ? len : 0;
    }
    s->client->stream_begun = true;
    return sse_feed(&s->sse, bytes_of(data, len)) ? len : 0;
}

static enum qmn_code run(struct client *c, struct stream *s, const char *path, const char *last_id,
                         uint32_t idle_timeout_ms, struct err *err)
{
    const struct client_call call = {.method = "GET", .path = path};
    char resume[128];
    const char *headers[] = {"Accept: text/event-stream", NULL, NULL};
    if (last_id && *last_id) {
        snprintf(resume, sizeof resume, "Last-Event-ID: %.64s", last_id);
        headers[1] = resume;
    }
    struct curl_slist *list = NULL;
    TRY(client_prepare(c, &call, headers, &list, err));
    curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, take_piece);
    curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, s);
    if (idle_timeout_ms) {
        curl_easy_setopt(c->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
        curl_easy_setopt(c->curl, CURLOPT_LOW_SPEED_TIME, (long)(idle_timeout_ms + 999) / 1000);
    }
    CURLcode code = curl_easy_perform(c->curl);
    curl_slist_free_all(list);
    if (s->sse.stopped)
        return QMN_OK;
    if (s->sse.failed)
        return err_set(err, QMN_E_TOO_LARGE, "an event of %s is too large to hold", c->address);
    if (code != CURLE_OK)
        return client_transport_error(c, code, idle_timeout_ms, err);
    long status = 0;
    curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status >= 400)
        return client_problem((int)status, buf_bytes(&c->body), c->retry_after_s, err);
    return QMN_OK;
}

bool client_stream_begun(const struct client *c)
{
    return c->stream_begun;
}

enum qmn_code client_stream(struct client *c, const char *path, const char *last_id,
                            uint32_t idle_timeout_ms,
                            bool (*event)(void *ctx, const struct client_event *e), void *ctx,
                            struct err *err)
{
    struct stream s = {.client = c};
    sse_init(&s.sse, event, ctx);
    enum qmn_code code = run(c, &s, path, last_id, idle_timeout_ms, err);
    sse_release(&s.sse);
    return code;
}
