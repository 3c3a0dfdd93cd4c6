/* SPDX-License-Identifier: MIT
 *
 * Whole requests through the transport: path, query, headers and body, over a cardboard engine.
 * The input is "METHOD target\nName: value\n...\n\nbody", as net would hand it over: a target of
 * printable ASCII that begins with '/', headers without control characters.  Whatever it says,
 * there is exactly one answer, it is never the node's fault, and a refusal is a problem document.
 */
#include "support/fuzz.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "base/log.h"
#include "codec/codec.h"
#include "codec/json_read.h"
#include "unit/api/fake_engine.h"
#include "unit/api/fake_http.h"

enum { HEADERS_MAX = 12, HEAD_MAX = 4096 };

static struct handler handler;

static void set_up(void)
{
    static struct api *api;
    struct err e;
    log_configure(LOG_ERROR, LOG_LOGFMT);
    const struct api_config config = {.engine = (struct engine *)&fake};
    if (!api && (codec_init(&e) != QMN_OK || api_new(&config, &api, &e) != QMN_OK)) {
        fprintf(stderr, "%s\n", e.text);
        abort();
    }
    handler = api_handler(api);
}

/* "METHOD /target", everything printable and one blank. */
static bool line_fits(const char *line)
{
    const char *blank = strchr(line, ' ');
    if (!blank || blank == line || blank[1] != '/')
        return false;
    for (const char *p = line; *p; p++)
        if (p != blank && (*p <= ' ' || *p > '~'))
            return false;
    return true;
}

/* Lines that net could have seen; others are left out. */
static void keep_headers(char *from, char *to)
{
    static const char key[] = "X-API-Key: " FAKE_ADMIN_KEY "\n";
    size_t used = sizeof key - 1, kept = 0;
    memcpy(to, key, used);
    for (char *line = from; line && *line && kept < HEADERS_MAX;) {
        char *end = strchr(line, '\n');
        size_t len = end ? (size_t)(end - line) : strlen(line);
        const char *colon = memchr(line, ':', len);
        bool fits = colon && colon > line;
        for (size_t i = 0; fits && i < len; i++)
            fits = (unsigned char)line[i] >= ' ' && line[i] != 0x7f;
        if (fits) {
            memcpy(to + used, line, len);
            used += len;
            to[used++] = '\n';
            kept++;
        }
        line = end ? end + 1 : NULL;
    }
    to[used] = 0;
}

static void check_answer(void)
{
    if (got.streamed && !got.ended)
        fake_http_leave();
    if (fake.held)
        fake_engine_release();
    assert(got.answers == 1);
    assert(got.status >= 200 && got.status < 500);
    if (got.status < 400 || !got.body_len)
        return;
    struct arena arena;
    enum json_kind kind;
    arena_init(&arena, 0);
    assert(json_valid(bytes_of(got.body, got.body_len), &arena, &kind) && kind == JSON_OBJECT);
    assert(strstr(got.body, "\"code\":"));
    arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    if (!ready)
        set_up();
    ready = true;
    const uint8_t *split = size ? memmem(data, size, "\n\n", 2) : NULL;
    size_t head_len = split ? (size_t)(split - data) : size;
    if (head_len >= HEAD_MAX || memchr(data, 0, head_len))
        return 0;
    char head[HEAD_MAX], headers[HEAD_MAX + 64];
    memcpy(head, data, head_len);
    head[head_len] = 0;
    char *end = strchr(head, '\n');
    if (end)
        *end = 0;
    if (!line_fits(head))
        return 0;
    keep_headers(end ? end + 1 : NULL, headers);
    struct bytes body = {NULL, 0};
    if (split)
        body = bytes_of(split + 2, size - head_len - 2);
    fake_engine_reset();
    fake_http_bytes(&handler, head, headers, body, 0);
    check_answer();
    fake_http_reset();
    return 0;
}
