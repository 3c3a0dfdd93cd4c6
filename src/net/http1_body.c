/* SPDX-License-Identifier: MIT
 *
 * One request body, gathered into one run of memory: sized at once when the length is declared,
 * grown when it is chunked, counted only when it is to be thrown away. */
#include "http1_priv.h"

#include <string.h>

#include "base/mem.h"

enum qmn_code http1_body_begin(struct http1_body *b, const struct http1_framing *framing,
                               size_t limit, bool discard, struct err *err)
{
    if (framing->content_length > limit)
        return err_set(err, QMN_E_TOO_LARGE, "the body has %llu bytes, at most %zu were expected",
                       (unsigned long long)framing->content_length, limit);
    *b = (struct http1_body){.framing = *framing, .limit = limit, .discard = discard};
    b->fixed_len = (size_t)framing->content_length;
    buf_init(&b->decoded, limit);
    return QMN_OK;
}

void http1_body_adopt(struct http1_body *b, char *at, size_t have)
{
    b->fixed = at;
    b->adopted = true;
    b->have = have;
}

static bool fixed_alloc(struct http1_body *b)
{
    if (!b->fixed)
        b->fixed = mem_alloc(b->fixed_len);
    return b->fixed != NULL;
}

char *http1_body_room(struct http1_body *b, size_t *ret_len)
{
    if (b->framing.chunked || b->discard || b->have == b->fixed_len || !fixed_alloc(b))
        return NULL;
    *ret_len = b->fixed_len - b->have;
    return b->fixed + b->have;
}

enum http1_step http1_body_filled(struct http1_body *b, size_t n)
{
    b->have += n;
    return b->have == b->fixed_len ? HTTP1_DONE : HTTP1_MORE;
}

enum http1_step http1_body_feed(struct http1_body *b, struct bytes in, size_t *ret_used,
                                struct err *err)
{
    if (b->framing.chunked)
        return http1_chunk_feed(&b->chunk, in, b->limit, &b->have, b->discard ? NULL : &b->decoded,
                                ret_used, err);
    size_t need = b->fixed_len - b->have;
    size_t n = in.len < need ? in.len : need;
    if (n && !b->discard) {
        if (!fixed_alloc(b)) {
            err_retry(err, QMN_E_NOMEM, 1, "out of memory");
            return HTTP1_REFUSED;
        }
        memcpy(b->fixed + b->have, in.ptr, n);
    }
    *ret_used = n;
    return http1_body_filled(b, n);
}

struct bytes http1_body_bytes(const struct http1_body *b)
{
    if (b->framing.chunked)
        return bytes_of(b->decoded.ptr ? b->decoded.ptr : "", b->decoded.len);
    return bytes_of(b->fixed ? b->fixed : "", b->have);
}

size_t http1_body_held(const struct http1_body *b)
{
    return b->decoded.cap + (b->fixed && !b->adopted ? b->fixed_len : 0);
}

void http1_body_release(struct http1_body *b)
{
    if (!b->adopted)
        mem_free(b->fixed);
    b->fixed = NULL;
    buf_release(&b->decoded);
}
