/* SPDX-License-Identifier: MIT
 *
 * What the server says when it answers in its handler's place.  HTTP/1.1 whatever is spoken: who is
 * refused before his first byte has chosen nothing yet, and a codec with other frames encodes the
 * same struct refusal itself. */
#include "server_priv.h"

#include "http1_priv.h"

struct bytes refusal_write(struct server *s, struct loop *l, const struct err *err,
                           const struct request *req, const char *peer, bool close)
{
    const struct handler *handler = &s->handler;
    const struct header plain = {BYTES_LIT("Content-Type"), BYTES_LIT("text/plain; charset=utf-8")};
    struct refusal r = {&plain, 1, bytes_cstr(err->text)};
    int status = code_info(err->code)->http_status;
    arena_reset(&l->scratch);
    if (handler->on_refused)
        handler->on_refused(handler->ctx, err, req, peer, &l->scratch, &r);
    buf_clear(&l->head);
    http1_write_head(&l->head, &(struct http1_answer_head){.status = status,
                                                           .headers = r.headers,
                                                           .header_count = r.header_count,
                                                           .length_kind = HTTP1_LENGTH_KNOWN,
                                                           .length = r.body.len,
                                                           .date = loop_date(l),
                                                           .retry_after_s = err->retry_after_s,
                                                           .close = close});
    return r.body;
}
