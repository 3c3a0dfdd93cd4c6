/* SPDX-License-Identifier: MIT
 *
 * Understands a whole head: the request line by our own strict reading, then llhttp (strict build,
 * no lenient flag) over all of it, then the fields on top of what llhttp lets through.  Where both
 * read the same thing (fields, framing) they must agree, or the request is refused: a disagreement
 * between two readers is what request smuggling lives on. */
#include "http1_priv.h"

#include <string.h>
#include <strings.h>

#include "base/limits.h"
#include "llhttp_priv.h"

struct parse {
    struct request *req;
    struct header *headers;
    uint32_t room, count;
    bool complete;
    bool has_length, has_coding;
    uint32_t hosts;
    uint64_t length;
    struct http1_framing framing;
};

/* ---- request line ---- */

static enum http_method method_of(struct bytes name)
{
    static const struct {
        const char *name;
        enum http_method method;
    } known[] = {{"GET", HTTP_GET},        {"POST", HTTP_POST},     {"PUT", HTTP_PUT},
                 {"PATCH", HTTP_PATCH},    {"DELETE", HTTP_DELETE}, {"HEAD", HTTP_HEAD},
                 {"OPTIONS", HTTP_OPTIONS}};
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (bytes_is(name, known[i].name))
            return known[i].method;
    }
    return HTTP_OTHER;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static enum qmn_code check_version(struct bytes v, bool *ret_http10, struct err *err)
{
    if (v.len != 8 || !bytes_starts(v, BYTES_LIT("HTTP/")) || !is_digit(v.ptr[5]) ||
        v.ptr[6] != '.' || !is_digit(v.ptr[7]))
        return err_set(err, QMN_E_MALFORMED, "the request line is not \"METHOD target HTTP/1.1\"");
    if (v.ptr[5] != '1' || v.ptr[7] > '1')
        return err_set(err, QMN_E_HTTP_VERSION, "HTTP/%c.%c came, HTTP/1.1 or 1.0 was expected",
                       v.ptr[5], v.ptr[7]);
    *ret_http10 = v.ptr[7] == '0';
    return QMN_OK;
}

static enum qmn_code check_target(struct request *req, struct bytes method, struct err *err)
{
    struct bytes t = req->target;
    if (t.len > LIMIT_URI_BYTES)
        return err_set(err, QMN_E_URI_TOO_LONG,
                       "the target has %zu bytes, at most %d were expected", t.len,
                       LIMIT_URI_BYTES);
    if (bytes_is(method, "CONNECT"))
        return err_set(err, QMN_E_NOT_IMPLEMENTED, "CONNECT is not offered: this is no proxy");
    bool all = bytes_is(t, "*") && req->method == HTTP_OPTIONS;
    if (!all && (!t.len || t.ptr[0] != '/'))
        return err_set(err, QMN_E_MALFORMED, "the target does not begin with '/'");
    if (memchr(t.ptr, '#', t.len))
        return err_set(err, QMN_E_MALFORMED, "the target holds a fragment");
    const char *mark = memchr(t.ptr, '?', t.len);
    size_t path = mark ? (size_t)(mark - t.ptr) : t.len;
    req->path = bytes_of(t.ptr, path);
    req->query = mark ? bytes_of(mark + 1, t.len - path - 1) : bytes_of("", 0);
    return QMN_OK;
}

static enum qmn_code parse_request_line(struct request *req, struct bytes line, bool *ret_http10,
                                        struct err *err)
{
    const char *first = memchr(line.ptr, ' ', line.len);
    const char *last = memrchr(line.ptr, ' ', line.len);
    const char *end = line.ptr + line.len;
    if (!first || first == last || first == line.ptr ||
        memchr(first + 1, ' ', (size_t)(last - first - 1)))
        return err_set(err, QMN_E_MALFORMED, "the request line is not \"METHOD target HTTP/1.1\"");
    struct bytes method = bytes_of(line.ptr, (size_t)(first - line.ptr));
    req->method = method_of(method);
    req->target = bytes_of(first + 1, (size_t)(last - first - 1));
    TRY(check_version(bytes_of(last + 1, (size_t)(end - last - 1)), ret_http10, err));
    return check_target(req, method, err);
}

/* ---- fields ---- */

static bool name_is(struct bytes name, const char *lower)
{
    return name.len == strlen(lower) && strncasecmp(name.ptr, lower, name.len) == 0;
}

static enum qmn_code take_length(struct parse *p, struct bytes v, struct err *err)
{
    if (p->has_length)
        return err_set(err, QMN_E_MALFORMED, "Content-Length is given more than once");
    p->has_length = true;
    if (!v.len || v.len > 18) /* 18 digits fit 64 bits */
        return err_set(err, QMN_E_MALFORMED, "Content-Length is not a number");
    for (size_t i = 0; i < v.len; i++) {
        if (!is_digit(v.ptr[i]))
            return err_set(err, QMN_E_MALFORMED, "Content-Length is not a number");
        p->length = p->length * 10 + (uint64_t)(v.ptr[i] - '0');
    }
    return QMN_OK;
}

static enum qmn_code take_coding(struct parse *p, struct bytes v, struct err *err)
{
    if (p->framing.http10)
        return err_set(err, QMN_E_MALFORMED, "Transfer-Encoding is not part of HTTP/1.0");
    if (p->has_coding)
        return err_set(err, QMN_E_MALFORMED, "Transfer-Encoding is given more than once");
    p->has_coding = true;
    if (!name_is(v, "chunked"))
        return err_set(err, QMN_E_NOT_IMPLEMENTED, "no transfer coding but chunked is offered");
    p->framing.chunked = true;
    return QMN_OK;
}

static enum qmn_code take_host(struct parse *p, struct bytes v, struct err *err)
{
    if (++p->hosts > 1)
        return err_set(err, QMN_E_MALFORMED, "Host is given more than once");
    for (size_t i = 0; i < v.len; i++) {
        if ((unsigned char)v.ptr[i] <= ' ' || (unsigned char)v.ptr[i] > '~' ||
            strchr("/\\@,<>\"{}", v.ptr[i]))
            return err_set(err, QMN_E_MALFORMED, "Host is not a host name and port");
    }
    return QMN_OK;
}

static enum qmn_code take_expect(struct parse *p, struct bytes v, struct err *err)
{
    if (p->framing.http10)
        return QMN_OK; /* RFC 9110 section 10.1.1: ignored */
    if (!name_is(v, "100-continue"))
        return err_set(err, QMN_E_EXPECTATION, "no expectation but 100-continue can be met");
    p->framing.expect_continue = true;
    return QMN_OK;
}

static enum qmn_code check_field(struct parse *p, const struct header *h, struct err *err)
{
    switch (h->name.len) { /* most fields are none of ours */
    case 4:
        return name_is(h->name, "host") ? take_host(p, h->value, err) : QMN_OK;
    case 6:
        return name_is(h->name, "expect") ? take_expect(p, h->value, err) : QMN_OK;
    case 14:
        return name_is(h->name, "content-length") ? take_length(p, h->value, err) : QMN_OK;
    case 17:
        return name_is(h->name, "transfer-encoding") ? take_coding(p, h->value, err) : QMN_OK;
    default:
        return QMN_OK;
    }
}

/* Does not look at what llhttp thought, so that the two can be compared. */
static enum qmn_code check_fields(struct parse *p, struct err *err)
{
    for (uint32_t i = 0; i < p->count; i++)
        TRY(check_field(p, &p->headers[i], err));
    if (p->has_length && p->has_coding)
        return err_set(err, QMN_E_MALFORMED, "Content-Length stands beside Transfer-Encoding");
    if (!p->hosts && !p->framing.http10)
        return err_set(err, QMN_E_MALFORMED, "Host is missing");
    p->framing.content_length = p->length;
    return QMN_OK;
}

/* ---- llhttp ---- */

static int on_name(llhttp_t *ll, const char *at, size_t len)
{
    struct parse *p = ll->data;
    if (p->count == p->room)
        return -1;
    p->headers[p->count++] = (struct header){bytes_of(at, len), bytes_of("", 0)};
    return 0;
}

static int on_value(llhttp_t *ll, const char *at, size_t len)
{
    struct parse *p = ll->data;
    if (!p->count)
        return -1;
    while (len && (at[len - 1] == ' ' || at[len - 1] == '\t'))
        len--;
    while (len && (*at == ' ' || *at == '\t')) {
        at++;
        len--;
    }
    if (len)
        p->headers[p->count - 1].value = bytes_of(at, len);
    return 0;
}

static int on_complete(llhttp_t *ll)
{
    struct parse *p = ll->data;
    p->complete = true;
    return HPE_PAUSED; /* the body is read by us */
}

static enum qmn_code refuse_ll(const llhttp_t *ll, llhttp_errno_t cause, struct err *err)
{
    /* The version has been checked, so the constant is a method of another protocol. */
    if (cause == HPE_INVALID_METHOD || cause == HPE_INVALID_CONSTANT)
        return err_set(err, QMN_E_NOT_IMPLEMENTED, "unknown method");
    return err_set(err, QMN_E_MALFORMED, "%s",
                   ll->reason && *ll->reason ? ll->reason : "malformed head");
}

static enum qmn_code parse_fields(struct parse *p, struct bytes head, llhttp_t *ll, struct err *err)
{
    static const llhttp_settings_t settings = {.on_header_field = on_name,
                                               .on_header_value = on_value,
                                               .on_headers_complete = on_complete};
    llhttp_init(ll, HTTP_REQUEST, &settings);
    ll->data = p;
    llhttp_errno_t cause = llhttp_execute(ll, head.ptr, head.len);
    p->framing.keep_alive = llhttp_should_keep_alive(ll) != 0;
    if (cause == HPE_PAUSED && p->complete && p->count == p->room)
        return QMN_OK;
    if (p->count == p->room) /* llhttp saw all fields: ours say more about them */
        TRY(check_fields(p, err));
    return refuse_ll(ll, cause, err);
}

enum qmn_code http1_parse_head(struct bytes head, uint32_t fields, struct request *req,
                               struct http1_framing *ret_framing, struct err *err)
{
    struct bytes copy = arena_bytes(&req->arena, head);
    struct parse p = {.req = req, .room = fields};
    p.headers = arena_array(&req->arena, struct header, fields);
    if (!copy.ptr || !p.headers)
        return err_nomem(err);
    const char *eol = memchr(copy.ptr, '\r', copy.len);
    if (!eol)
        return err_set(err, QMN_E_MALFORMED, "the head has no end");
    TRY(parse_request_line(req, bytes_of(copy.ptr, (size_t)(eol - copy.ptr)), &p.framing.http10,
                           err));
    llhttp_t ll;
    TRY(parse_fields(&p, copy, &ll, err));
    TRY(check_fields(&p, err));
    uint64_t length = ll.flags & F_CONTENT_LENGTH ? ll.content_length : 0;
    if (((ll.flags & F_CHUNKED) != 0) != p.framing.chunked || length != p.framing.content_length)
        return err_set(err, QMN_E_MALFORMED, "the framing of the request is ambiguous");
    req->headers = p.headers;
    req->header_count = p.count;
    *ret_framing = p.framing;
    return QMN_OK;
}
