/* SPDX-License-Identifier: MIT
 *
 * HTTP/1 framing: nothing crashes; the requests do not depend on how the bytes were cut; and where
 * llhttp, left to itself, finds a whole first message, it finds the body we found. */
#include "support/fuzz.h"

#include <assert.h>
#include <string.h>

#include "net/http1_priv.h"
#include "net/llhttp_priv.h"
#include "support/http1_transcript.h"

enum { BODY_LIMIT = 4096 };

static void compare_cuts(struct bytes in)
{
    struct buf whole, cut;
    buf_init(&whole, 1 << 24);
    buf_init(&cut, 1 << 24);
    enum qmn_code code = http1_transcript(in, 0, BODY_LIMIT, &whole);
    for (size_t piece = 1; piece <= 7; piece += 6) {
        buf_clear(&cut);
        enum qmn_code again = http1_transcript(in, piece, BODY_LIMIT, &cut);
        assert(again == code && bytes_equal(buf_bytes(&whole), buf_bytes(&cut)));
    }
    buf_release(&whole);
    buf_release(&cut);
}

/* ---- the other reader ---- */

struct other {
    struct buf body;
    bool complete;
};

static int on_body(llhttp_t *ll, const char *at, size_t len)
{
    struct other *o = ll->data;
    buf_add(&o->body, at, len);
    return 0;
}

static int on_complete(llhttp_t *ll)
{
    struct other *o = ll->data;
    o->complete = true;
    return HPE_PAUSED;
}

static void compare_readers(struct bytes in)
{
    static const llhttp_settings_t settings = {.on_body = on_body,
                                               .on_message_complete = on_complete};
    struct http1_scan scan = {0};
    struct http1_framing framing;
    struct http1_body body;
    struct request req = {0};
    struct err err;
    size_t head_len, used;
    arena_init(&req.arena, 0);
    if (http1_scan(&scan, in, &head_len, &err) != HTTP1_DONE ||
        http1_parse_head(bytes_of(in.ptr + scan.line_start, head_len - scan.line_start),
                         scan.fields, &req, &framing, &err) != QMN_OK ||
        http1_body_begin(&body, &framing, BODY_LIMIT, false, &err) != QMN_OK) {
        arena_release(&req.arena);
        return;
    }
    struct other other = {0};
    buf_init(&other.body, 1 << 24);
    llhttp_t ll;
    llhttp_init(&ll, HTTP_REQUEST, &settings);
    ll.data = &other;
    (void)llhttp_execute(&ll, in.ptr, in.len);
    bool ours = http1_body_feed(&body, bytes_of(in.ptr + head_len, in.len - head_len), &used,
                                &err) == HTTP1_DONE;
    if (ours && other.complete)
        assert(bytes_equal(http1_body_bytes(&body), buf_bytes(&other.body)));
    http1_body_release(&body);
    buf_release(&other.body);
    arena_release(&req.arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = bytes_of(data, size);
    if (size > 65536)
        return 0;
    compare_cuts(in);
    compare_readers(in);
    return 0;
}
