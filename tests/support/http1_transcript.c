/* SPDX-License-Identifier: MIT
 *
 * A connection without a socket. */
#include "support/http1_transcript.h"

#include <assert.h>

#include "net/http1_priv.h"

struct run {
    struct bytes in; /* everything */
    size_t pos;      /* understood */
    size_t come;     /* arrived */
    size_t body_limit;
    bool in_body;
    struct http1_scan scan;
    struct http1_body body;
    struct request req;
    struct buf *out;
};

static struct bytes unread(const struct run *r)
{
    return bytes_of(r->in.ptr + r->pos, r->come - r->pos);
}

static enum qmn_code note_refusal(struct run *r, const struct err *err)
{
    assert(err->code != QMN_OK);
    buf_printf(r->out, "refused %s: %s\n", code_info(err->code)->wire, err->text);
    return err->code;
}

static void note_request(struct run *r, const struct http1_framing *f)
{
    buf_printf(r->out, "request %d \"%.*s\" path \"%.*s\" query \"%.*s\"%s%s%s\n",
               (int)r->req.method, BYTES_FMT(r->req.target), BYTES_FMT(r->req.path),
               BYTES_FMT(r->req.query), f->http10 ? " 1.0" : "", f->keep_alive ? " keep" : " close",
               f->expect_continue ? " expect" : "");
    for (size_t i = 0; i < r->req.header_count; i++)
        buf_printf(r->out, "  %.*s: %.*s\n", BYTES_FMT(r->req.headers[i].name),
                   BYTES_FMT(r->req.headers[i].value));
}

/* QMN_E_IN_PROGRESS: wants more bytes. */
static enum qmn_code step_head(struct run *r)
{
    struct err err = {0};
    struct http1_framing framing = {0};
    size_t len;
    switch (http1_scan(&r->scan, unread(r), &len, &err)) {
    case HTTP1_MORE:
        return QMN_E_IN_PROGRESS;
    case HTTP1_REFUSED:
        return note_refusal(r, &err);
    case HTTP1_DONE:
        break;
    }
    assert(len <= unread(r).len && r->scan.line_start < len);
    struct bytes head = bytes_of(unread(r).ptr + r->scan.line_start, len - r->scan.line_start);
    if (http1_parse_head(head, r->scan.fields, &r->req, &framing, &err) != QMN_OK)
        return note_refusal(r, &err);
    note_request(r, &framing);
    if (http1_body_begin(&r->body, &framing, r->body_limit, false, &err) != QMN_OK)
        return note_refusal(r, &err);
    r->pos += len;
    r->scan = (struct http1_scan){0};
    r->in_body = true;
    return QMN_OK;
}

static enum qmn_code step_body(struct run *r)
{
    struct err err = {0};
    size_t used = 0;
    enum http1_step step = http1_body_feed(&r->body, unread(r), &used, &err);
    if (step == HTTP1_REFUSED)
        return note_refusal(r, &err);
    assert(used <= unread(r).len);
    r->pos += used;
    if (step == HTTP1_MORE) {
        assert(r->pos == r->come);
        return QMN_E_IN_PROGRESS;
    }
    struct bytes body = http1_body_bytes(&r->body);
    buf_printf(r->out, "body %zu %016llx\n", body.len, (unsigned long long)bytes_hash(body, 1));
    http1_body_release(&r->body);
    r->in_body = false;
    arena_reset(&r->req.arena);
    return QMN_OK;
}

enum qmn_code http1_transcript(struct bytes in, size_t piece, size_t body_limit, struct buf *out)
{
    struct run r = {.in = in, .body_limit = body_limit, .out = out};
    arena_init(&r.req.arena, 0);
    enum qmn_code code = QMN_E_IN_PROGRESS;
    do {
        size_t more = in.len - r.come;
        r.come += piece && piece < more ? piece : more;
        do
            code = r.in_body ? step_body(&r) : step_head(&r);
        while (code == QMN_OK && (r.in_body || r.pos < r.come));
    } while ((code == QMN_OK || code == QMN_E_IN_PROGRESS) && r.come < in.len);
    if (code == QMN_E_IN_PROGRESS) {
        buf_printf(out, "wants more %s\n", r.in_body ? "body" : "head");
        code = QMN_OK;
    }
    http1_body_release(&r.body);
    arena_release(&r.req.arena);
    return code;
}
