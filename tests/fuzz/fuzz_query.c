/* SPDX-License-Identifier: MIT
 *
 * Query strings and paths.  The first byte chooses the route.
 *
 *  - any query is read or refused with a reason, one with a broken escape is refused, and what was
 *    read can be written
 *  - any text, escaped, comes out of a query as it went in, or is refused exactly as the text
 * itself would be
 *  - a path that finds its route is that route's pattern with the parameter in its place */
#include "support/fuzz.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/route_priv.h"
#include "codec/json_decode.h"
#include "codec/json_encode.h"
#include "qmn/v1/router.pb-c.h"

enum { OUT_BYTES = 1 << 24, TEXT_MAX = 4096 };

static const struct router *router(void)
{
    static struct router *r;
    struct err err;
    if (!r && (codec_init(&err) != QMN_OK || router_new(routes, route_count, &r, &err) != QMN_OK))
        abort();
    return r;
}

static bool refused_with_reason(enum qmn_code code, const struct err *err)
{
    return (code == QMN_E_MALFORMED || code == QMN_E_INVALID) && err->text[0];
}

/* ---- queries ---- */

static bool escapes_are_whole(struct bytes query)
{
    static const char hex[] = "0123456789abcdefABCDEF";
    for (size_t i = 0; i < query.len; i++) {
        if (query.ptr[i] != '%')
            continue;
        /* '&' and '=' end a name or value, and with it the escape */
        if (i + 2 >= query.len || !query.ptr[i + 1] || !query.ptr[i + 2] ||
            !strchr(hex, query.ptr[i + 1]) || !strchr(hex, query.ptr[i + 2]))
            return false;
    }
    return true;
}

static void any_query(const struct route *r, struct bytes query, struct arena *a)
{
    ProtobufCMessage *msg = NULL;
    struct err err = {0};
    struct buf out;
    if (!r->op->request)
        return;
    enum qmn_code code = query_decode(query, r->op->request, a, &msg, &err);
    assert(code == QMN_OK || refused_with_reason(code, &err));
    if (code != QMN_OK)
        return;
    assert(escapes_are_whole(query));
    buf_init(&out, OUT_BYTES);
    assert(json_encode(msg, &out) == QMN_OK);
    buf_release(&out);
}

/* Every byte, or only those that must be and blanks as '+'. */
static struct bytes escape(struct bytes text, bool all, struct arena *a)
{
    char *out = arena_alloc(a, text.len * 3 + 1);
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c == ' ' && !all)
            out[len++] = '+';
        else if (all || c == '%' || c == '+' || c == '&' || c == '#' || c <= ' ' || c >= 0x7f)
            len += (size_t)snprintf(out + len, 4, i % 2 ? "%%%02X" : "%%%02x", c);
        else
            out[len++] = (char)c;
    }
    return bytes_of(out, len);
}

static void text_survives(struct bytes text, bool all, struct arena *a)
{
    static const char name[] = "agent_id=";
    const ProtobufCMessageDescriptor *desc = &qmn__v1__agent_ref__descriptor;
    struct bytes escaped = escape(text, all, a);
    char *query = arena_alloc(a, sizeof name + escaped.len);
    memcpy(query, name, sizeof name - 1);
    memcpy(query + sizeof name - 1, escaped.ptr, escaped.len);
    struct err err = {0};
    ProtobufCMessage *by_query = NULL, *by_text = message_new(desc, a);
    enum qmn_code code =
        query_decode(bytes_of(query, sizeof name - 1 + escaped.len), desc, a, &by_query, &err);
    if (code != QMN_OK)
        assert(refused_with_reason(code, &err));
    enum qmn_code plain = message_set_text(by_text, "agent_id", text, a, &err);
    if (plain == QMN_OK)
        plain = message_check(by_text, &err);
    assert((code == QMN_OK) == (plain == QMN_OK));
    if (code == QMN_OK)
        assert(bytes_is(text, ((Qmn__V1__AgentRef *)by_query)->agent_id));
}

/* ---- paths ---- */

static void check_match(const struct route_match *m, struct bytes path)
{
    const char *pattern = m->route->pattern, *mark = strstr(pattern, "{id}");
    assert(m->path.len <= path.len &&
           m->path.ptr + m->path.len == path.ptr + path.len); /* the end of it */
    if (!mark) {
        assert(!m->param.ptr && bytes_is(m->path, pattern));
        return;
    }
    assert(m->param.len && !memchr(m->param.ptr, '/', m->param.len));
    size_t before = (size_t)(mark - pattern), after = strlen(mark + 4);
    assert(m->path.len == before + m->param.len + after);
    assert(memcmp(m->path.ptr, pattern, before) == 0);
    assert(m->param.ptr == m->path.ptr + before);
    assert(memcmp(m->param.ptr + m->param.len, mark + 4, after) == 0);
}

static void any_path(enum http_method method, struct bytes path)
{
    struct route_match m = {0}, head;
    struct err err = {0};
    enum qmn_code code = router_match(router(), method, path, NULL, &m, &err);
    assert(code == QMN_OK || code == QMN_E_NOT_FOUND || code == QMN_E_METHOD);
    if (code == QMN_OK) {
        assert(m.route->method == method || method == HTTP_HEAD);
        check_match(&m, path);
    }
    if (code == QMN_E_METHOD)
        assert(m.allow[0] && !strstr(m.allow, http_method_name(method)));
    if (method == HTTP_GET)
        assert(router_match(router(), HTTP_HEAD, path, NULL, &head, &err) == code);
}

/* The text in the place of a parameter is found there, as long as no other route claims it. */
static void text_in_path(const struct route *r, struct bytes text, struct arena *a)
{
    const char *mark = strstr(r->pattern, "{id}");
    struct bytes escaped = escape(text, true, a);
    struct route_match m = {0};
    struct err err;
    if (!mark || !text.len)
        return;
    const char *path = arena_printf(a, "%.*s%.*s%s", (int)(mark - r->pattern), r->pattern,
                                    BYTES_FMT(escaped), mark + 4);
    enum qmn_code code = router_match(router(), r->method, bytes_cstr(path), NULL, &m, &err);
    assert(code == QMN_OK && m.route == r && bytes_equal(m.param, escaped));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    if (!size || size > TEXT_MAX)
        return 0;
    (void)router();
    arena_init(&a, 0);
    const struct route *r = &routes[data[0] % route_count];
    struct bytes text = arena_bytes(&a, bytes_of(data + 1, size - 1));
    any_query(r, text, &a);
    text_survives(text, false, &a);
    text_survives(text, true, &a);
    any_path(r->method, text);
    text_in_path(r, text, &a);
    arena_release(&a);
    return 0;
}
