/* SPDX-License-Identifier: MIT
 *
 * HTTP/1.1 on a connection: one request at a time.  The next one is parsed when the previous has
 * been answered and its answer written, so answers leave in order and a client that does not read
 * its answers stops being read.
 *
 * A body that came with its head stays in the block it was read into, and the request takes the
 * block; else it gets memory of its own size and the rest is read straight into that.
 *
 * A whole request with a body waits in the loop's ready queue for its turn (ready_priv.h), and the
 * next one behind it, so the order of a connection stays.
 *
 * Half-close: a peer that has closed its sending side may be waiting for its answer or be gone, TCP
 * does not tell.  So the handler is told (on_gone) after GONE_MS, and whatever it answers is still
 * written.
 *
 * Deadline: a request not answered by req->deadline_us is answered for.  The exchange is
 * cut loose, told (on_gone), and lives until the handler answers it, into the void. */
#include "codec_priv.h"

#include <assert.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "http1_priv.h"
#include "server_priv.h"

enum {
    RUN_REQUESTS = 32,      /* of one connection before the others have their turn */
    ADOPT_MIN_BYTES = 8192, /* below, copying is cheaper than holding a block */
    GONE_MS = 2000,
    DISCARD_MAX_BYTES = LIMIT_BODY_BYTES, /* of a body nobody wants, to keep its connection */
    RATE_STEPS = 6, /* a sixth of the body's time (5 s) passes before its rate counts */
    STREAM_FLUSH_BYTES = 32768,
    HEAD_READ_BYTES = 2048, /* a guess: holds most heads, so that no refused body is copied */
};

enum phase { PHASE_HEAD = 1, PHASE_OPENING, PHASE_BODY, PHASE_READY, PHASE_HANDLING };

struct http1_conn {
    enum phase phase;
    bool begun;       /* the first byte of a head is there */
    bool early_close; /* an answer before the body costs the connection */
    bool keep_alive;  /* what the request asked for */
    struct http1_scan scan;
    struct http1_body body;
    struct exchange *x; /* being read or handled; NULL also while an answered body is discarded */
    int64_t since_us;   /* phase HEAD: idle since, or head begun; BODY: body begun */
    size_t body_held;
};

static struct http1_conn *state_of(const struct conn *c)
{
    return c->state;
}

static bool http1_open(struct conn *c)
{
    struct http1_conn *h = mem_calloc(1, sizeof *h);
    if (!h)
        return false;
    h->phase = PHASE_HEAD;
    h->since_us = c->loop->now_us;
    c->state = h;
    return true;
}

static void http1_free(struct conn *c)
{
    mem_free(c->state);
}

static void body_account(struct conn *c, struct http1_conn *h)
{
    size_t held = http1_body_held(&h->body);
    if (held != h->body_held)
        loop_hold(c->loop, (int64_t)held - (int64_t)h->body_held);
    h->body_held = held;
}

static void body_drop(struct conn *c, struct http1_conn *h)
{
    http1_body_release(&h->body);
    body_account(c, h);
}

static void http1_close(struct conn *c)
{
    struct http1_conn *h = state_of(c);
    if (!h)
        return;
    struct exchange *x = h->x;
    enum phase phase = h->phase;
    h->x = NULL;
    body_drop(c, h);
    if (!x)
        return;
    if (phase == PHASE_HANDLING)
        exchange_lost(x);
    else
        exchange_free(x); /* its handler was never given it */
}

/* ---- writing ---- */

static struct buf *head_buf(struct loop *l)
{
    buf_clear(&l->head);
    return &l->head;
}

static void send_head_and(struct conn *c, struct buf *head, struct bytes body)
{
    if (!buf_ok(head)) { /* an answer without its head would be read as another's */
        c->broken = true;
        conn_defer(c);
        return;
    }
    struct iovec iov[2] = {{head->ptr, head->len}, {(char *)(uintptr_t)body.ptr, body.len}};
    conn_send(c, iov, body.len ? 2 : 1);
}

static bool bodyless(int status)
{
    return status == 204 || status == 304;
}

static bool answer_closes(const struct conn *c, const struct http1_conn *h)
{
    return !h->keep_alive || server_draining(c->server) ||
           (h->phase == PHASE_OPENING && h->early_close);
}

/* The exchange has its answer: on to the next message, or to the end. */
static void answered(struct conn *c, struct http1_conn *h, bool closes)
{
    h->x->conn = NULL;
    h->x = NULL;
    if (closes) /* unread bytes of the body would turn the close into a reset */
        conn_finish(c, h->phase == PHASE_OPENING || c->readable);
    if (h->phase != PHASE_OPENING) {
        h->phase = PHASE_HEAD;
        h->since_us = c->loop->now_us;
    }
    if (!c->running)
        conn_defer(c);
}

static void http1_answer(struct exchange *x, int status, const struct header *headers,
                         size_t header_count, struct bytes body)
{
    struct conn *c = x->conn;
    struct http1_conn *h = state_of(c);
    assert(h->phase == PHASE_OPENING || h->phase == PHASE_HANDLING);
    bool closes = answer_closes(c, h);
    struct buf *head = head_buf(c->loop);
    http1_write_head(head, &(struct http1_answer_head){.status = status,
                                                       .headers = headers,
                                                       .header_count = header_count,
                                                       .length_kind = bodyless(status)
                                                                          ? HTTP1_LENGTH_NONE
                                                                          : HTTP1_LENGTH_KNOWN,
                                                       .length = body.len,
                                                       .date = loop_date(c->loop),
                                                       .close = closes,
                                                       .keep_alive = x->http10});
    send_head_and(c, head, x->head_only || bodyless(status) ? bytes_of(NULL, 0) : body);
    answered(c, h, closes);
}

static void http1_stream_begin(struct exchange *x, int status, const struct header *headers,
                               size_t header_count)
{
    struct conn *c = x->conn;
    struct http1_conn *h = state_of(c);
    assert(h->phase == PHASE_HANDLING);
    if (x->http10)
        h->keep_alive = false; /* its end is the connection's */
    struct buf *head = head_buf(c->loop);
    http1_write_head(head, &(struct http1_answer_head){
                               .status = status,
                               .headers = headers,
                               .header_count = header_count,
                               .length_kind = x->http10 ? HTTP1_LENGTH_NONE : HTTP1_LENGTH_CHUNKED,
                               .date = loop_date(c->loop),
                               .close = answer_closes(c, h)});
    send_head_and(c, head, bytes_of(NULL, 0));
}

static bool http1_stream_send(struct exchange *x, struct bytes data)
{
    struct conn *c = x->conn;
    char size[HTTP1_CHUNK_HEAD];
    size_t head = x->http10 ? 0 : http1_write_chunk_head(size, data.len), tail = x->http10 ? 0 : 2;
    conn_append(c, size, head);
    conn_append(c, data.ptr, data.len);
    conn_append(c, "\r\n", tail);
    x->stream_sent += head + data.len + tail;
    /* Many small events of one round leave in one write. */
    if (conn_pending(c) >= STREAM_FLUSH_BYTES)
        conn_flush(c);
    if (!c->running)
        conn_defer(c);
    return !c->broken;
}

static void http1_stream_end(struct exchange *x)
{
    struct conn *c = x->conn;
    struct http1_conn *h = state_of(c);
    bool closes = answer_closes(c, h);
    if (x->cut) { /* no last chunk: the client sees that something is missing */
        c->broken = true;
    } else {
        if (!x->http10 && !x->head_only)
            conn_append(c, "0\r\n\r\n", 5);
        conn_flush(c);
    }
    answered(c, h, closes);
}

static size_t http1_stream_pending(const struct exchange *x)
{
    return conn_pending(x->conn);
}

/* Says why and closes.  An exchange that was handed over stays its handler's. */
static void refuse(struct conn *c, struct http1_conn *h, const struct err *err)
{
    const struct request *seen = h->x && h->phase != PHASE_HEAD ? &h->x->req : NULL;
    bool head_only = h->x && h->x->head_only;
    counter_add(c->server->metrics.refused[err->code], 1);
    struct bytes body = refusal_write(c->server, c->loop, err, seen, c->peer, true);
    send_head_and(c, &c->loop->head, head_only ? bytes_of(NULL, 0) : body);
    if (h->phase != PHASE_HANDLING)
        exchange_free(h->x);
    h->phase = PHASE_HEAD;
    h->x = NULL;
    body_drop(c, h);
    conn_finish(c, true);
}

static void refuse_nomem(struct conn *c, struct http1_conn *h)
{
    struct err err;
    err_retry(&err, QMN_E_NOMEM, 1, "out of memory");
    refuse(c, h, &err);
}

/* There is no room for the request now.  Its connection stays: connecting again would cost both
 * sides more than asking again. */
static void refuse_busy(struct conn *c, struct http1_conn *h)
{
    struct exchange *x = h->x;
    struct err err;
    bool closes = x->http10 || answer_closes(c, h);
    const struct request *seen = h->phase == PHASE_READY ? &x->req : NULL;
    err_retry(&err, QMN_E_OVERLOADED, 1, "the node has more to do than it can; try later");
    counter_add(c->server->metrics.refused[err.code], 1);
    struct bytes body = refusal_write(c->server, c->loop, &err, seen, c->peer, closes);
    send_head_and(c, &c->loop->head, x->head_only ? bytes_of(NULL, 0) : body);
    answered(c, h, closes);
    exchange_free(x);
}

static void http1_shed(struct exchange *x)
{
    refuse_busy(x->conn, state_of(x->conn));
}

/* ---- reading ---- */

/* Everything of the message has been read and, if it is to be, handed over. */
static void next_message(struct conn *c, struct http1_conn *h)
{
    h->phase = PHASE_HEAD;
    h->scan = (struct http1_scan){0};
    h->begun = false;
    h->since_us = c->loop->now_us;
}

static void http1_begin(struct exchange *x)
{
    struct conn *c = x->conn;
    const struct handler *handler = &c->server->handler;
    state_of(c)->phase = PHASE_HANDLING;
    if (c->shut_us && !c->running)
        conn_defer(c); /* from now on somebody is to be told when the peer seems gone */
    handler->on_request(handler->ctx, &x->req);
}

/* The message is whole.  Work waits for its turn; what has no body is not worth that. */
static void hand_over(struct conn *c, struct http1_conn *h)
{
    if (h->body.discard) {
        body_drop(c, h);
        next_message(c, h);
        return;
    }
    struct exchange *x = h->x;
    x->req.body = http1_body_bytes(&h->body);
    if (h->body.framing.chunked) {
        x->body_heap = TAKE(h->body.decoded.ptr);
        x->body_heap_bytes = h->body.decoded.cap;
    } else if (!h->body.adopted) {
        x->body_heap = TAKE(h->body.fixed);
        x->body_heap_bytes = h->body.fixed_len;
    }
    if (!x->body_heap)
        x->body_heap_bytes = 0;
    h->body = (struct http1_body){0};
    h->body_held = 0; /* the exchange gives it back */
    next_message(c, h);
    x->req.deadline_us = c->loop->now_us + (int64_t)c->server->request_timeout_ms * 1000;
    if (!x->req.body.len) {
        http1_begin(x);
        return;
    }
    h->phase = PHASE_READY;
    ready_add(x);
}

/* There is an answer already: the body is read off, if that is worth it. */
static void skip_body(struct conn *c, struct http1_conn *h, const struct http1_framing *framing)
{
    struct err err;
    if (!conn_usable(c))
        return;
    if (http1_body_begin(&h->body, framing, DISCARD_MAX_BYTES, true, &err) != QMN_OK) {
        conn_finish(c, true); /* early_close has announced it */
        return;
    }
    h->phase = PHASE_BODY;
    h->since_us = c->loop->now_us;
}

/* A body of which a good part came with the head stays where it is. */
static bool adopt_block(struct conn *c, struct http1_conn *h, struct feed *f)
{
    size_t len = h->body.fixed_len;
    size_t have = f->len < len ? f->len : len;
    if (h->body.framing.chunked || f->kept || have < ADOPT_MIN_BYTES ||
        (size_t)(f->at - c->loop->block->data) + len > LOOP_BLOCK_BYTES)
        return true;
    char *at = f->at;
    struct block *b = feed_take_block(f, have);
    if (!b)
        return false;
    h->x->body_block = b;
    http1_body_adopt(&h->body, at, have);
    return true;
}

static void begin_body(struct conn *c, struct http1_conn *h, struct feed *f,
                       const struct http1_framing *framing)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct err err;
    if (http1_body_begin(&h->body, framing, h->x->req.body_limit, false, &err) != QMN_OK) {
        refuse(c, h, &err);
        return;
    }
    bool empty = !framing->chunked && !framing->content_length;
    if (framing->expect_continue && !empty && !f->len) {
        struct iovec iov = {(char *)(uintptr_t)go_on, sizeof go_on - 1};
        conn_send(c, &iov, 1);
    }
    h->phase = PHASE_BODY;
    h->since_us = c->loop->now_us;
    if (f->len && !adopt_block(c, h, f))
        refuse_nomem(c, h);
}

static void open_request(struct conn *c, struct http1_conn *h, struct feed *f, size_t head_len)
{
    const struct handler *handler = &c->server->handler;
    struct http1_framing framing = {0};
    struct err err;
    struct exchange *x = h->x = exchange_new(c);
    if (!x) {
        refuse_nomem(c, h);
        return;
    }
    x->req.arrived_us = h->since_us;
    struct bytes head = bytes_of(f->at + h->scan.line_start, head_len - h->scan.line_start);
    enum qmn_code code = http1_parse_head(head, h->scan.fields, &x->req, &framing, &err);
    x->head_only = x->req.method == HTTP_HEAD;
    x->http10 = framing.http10;
    if (code != QMN_OK) {
        refuse(c, h, &err);
        return;
    }
    feed_skip(f, head_len);
    h->keep_alive = framing.keep_alive;
    h->early_close = framing.expect_continue || framing.content_length > DISCARD_MAX_BYTES;
    h->phase = PHASE_OPENING;
    bool work = framing.chunked || framing.content_length;
    if (work)
        conn_brings_work(c);
    if (work && ready_full(c->loop)) {
        refuse_busy(c, h);
        skip_body(c, h, &framing);
        return;
    }
    if (handler->on_head && !handler->on_head(handler->ctx, &x->req)) {
        assert(!h->x); /* on_head says that it has answered */
        skip_body(c, h, &framing);
        return;
    }
    assert(h->x);
    begin_body(c, h, f, &framing);
}

/* Each step returns whether another may follow. */
static bool step_head(struct conn *c, struct http1_conn *h, struct feed *f)
{
    struct err err;
    size_t len;
    size_t most = ready_full(c->loop) ? HEAD_READ_BYTES : SIZE_MAX;
    if (!f->len && !feed_some(f, most)) {
        if (c->eof || server_draining(c->server))
            conn_finish(c, false);
        return false;
    }
    if (!h->begun) {
        h->begun = true;
        h->since_us = c->loop->now_us;
    }
    switch (http1_scan(&h->scan, bytes_of(f->at, f->len), &len, &err)) {
    case HTTP1_DONE:
        open_request(c, h, f, len);
        return true;
    case HTTP1_REFUSED:
        refuse(c, h, &err);
        return false;
    case HTTP1_MORE:
        break;
    }
    if (feed_more(f))
        return true;
    if (c->eof)
        conn_finish(c, false);
    return false;
}

/* Bytes that are in no buffer yet. */
static enum http1_step read_body(struct http1_conn *h, struct feed *f, bool *ret_moved)
{
    size_t len;
    char *room = http1_body_room(&h->body, &len);
    if (h->body.discard && !h->body.framing.chunked) {
        size_t n = feed_discard(f, h->body.fixed_len - h->body.have);
        *ret_moved = n > 0;
        return http1_body_filled(&h->body, n);
    }
    if (!room) {
        *ret_moved = feed_more(f);
        return HTTP1_MORE;
    }
    size_t n = feed_read_into(f, room, len);
    *ret_moved = n > 0;
    return http1_body_filled(&h->body, n);
}

static bool step_body(struct conn *c, struct http1_conn *h, struct feed *f)
{
    struct err err;
    size_t used = 0;
    bool moved = true;
    enum http1_step step = http1_body_feed(&h->body, bytes_of(f->at, f->len), &used, &err);
    feed_skip(f, used);
    if (step == HTTP1_MORE)
        step = read_body(h, f, &moved);
    body_account(c, h);
    if (step == HTTP1_DONE) {
        hand_over(c, h);
        return true;
    }
    if (step == HTTP1_REFUSED) {
        if (h->body.discard) /* it has its answer */
            conn_finish(c, true);
        else
            refuse(c, h, &err);
        return false;
    }
    if (!moved && c->eof)
        conn_finish(c, false);
    return moved;
}

static bool step(struct conn *c, struct http1_conn *h, struct feed *f)
{
    if (!conn_usable(c) || (conn_pending(c) && h->phase == PHASE_HEAD))
        return false;
    switch (h->phase) {
    case PHASE_HEAD:
        return step_head(c, h, f);
    case PHASE_BODY:
        return step_body(c, h, f);
    case PHASE_OPENING:
    case PHASE_READY:
    case PHASE_HANDLING:
        break;
    }
    return false;
}

static void http1_advance(struct conn *c)
{
    struct http1_conn *h = state_of(c);
    struct feed f;
    bool more = true;
    feed_open(&f, c);
    for (int i = 0; more && i < RUN_REQUESTS; i++)
        more = step(c, h, &f);
    feed_close(&f);
    if (more)
        c->again = true;
}

/* ---- time ---- */

enum { NEVER = 0 };

static int64_t gone_due_ms(const struct conn *c, const struct http1_conn *h)
{
    return c->shut_us && !h->x->told ? c->shut_us / 1000 + GONE_MS : NEVER;
}

static int64_t answer_due_ms(const struct http1_conn *h)
{
    return h->x->req.streaming ? NEVER : (h->x->req.deadline_us + 999) / 1000;
}

static int64_t earlier(int64_t a_ms, int64_t b_ms)
{
    return a_ms == NEVER || (b_ms != NEVER && b_ms < a_ms) ? b_ms : a_ms;
}

static int64_t http1_due_ms(const struct conn *c)
{
    const struct http1_conn *h = state_of(c);
    const struct server *s = c->server;
    int64_t since_ms = (h->since_us + 999) / 1000; /* rounded up: a deadline is never early */
    switch (h->phase) {
    case PHASE_HEAD:
        return since_ms + (h->begun ? s->header_timeout_ms : s->idle_timeout_ms);
    case PHASE_BODY: {
        /* Looked at every step: is it over, or too slow? */
        int64_t whole_ms = s->body_timeout_ms;
        int64_t step_ms = whole_ms < RATE_STEPS ? 1 : whole_ms / RATE_STEPS;
        int64_t next_ms = ((loop_now_ms(c->loop) - since_ms) / step_ms + 1) * step_ms;
        return since_ms + (next_ms < whole_ms ? next_ms : whole_ms);
    }
    case PHASE_READY:
        return answer_due_ms(h);
    case PHASE_HANDLING:
        return earlier(gone_due_ms(c, h), answer_due_ms(h));
    case PHASE_OPENING:
        break;
    }
    return NEVER;
}

static bool body_too_slow(const struct conn *c, const struct http1_conn *h)
{
    int64_t ms = (c->loop->now_us - h->since_us) / 1000;
    if (ms >= c->server->body_timeout_ms)
        return true;
    return ms >= c->server->body_timeout_ms / RATE_STEPS &&
           (int64_t)h->body.have * 1000 < LIMIT_BODY_MIN_RATE * ms;
}

static void time_out(struct conn *c, struct http1_conn *h, enum net_timeout kind, const char *text)
{
    struct err err;
    counter_add(c->server->metrics.timeouts[kind], 1);
    if (kind == TIMEOUT_IDLE || (h->phase == PHASE_BODY && h->body.discard)) {
        conn_finish(c, false);
        return;
    }
    err_set(&err, QMN_E_TIMEOUT, "%s", text);
    refuse(c, h, &err);
}

/* What the handler says from now on goes nowhere. */
static void answer_late(struct conn *c, struct http1_conn *h)
{
    struct exchange *x = h->phase == PHASE_HANDLING ? h->x : NULL; /* else nobody was given it */
    struct err err;
    counter_add(c->server->metrics.timeouts[TIMEOUT_HANDLER], 1);
    err_retry(&err, QMN_E_DEADLINE, 1, "the node has not come to an answer in time");
    if (x)
        x->req.expired = true;
    refuse(c, h, &err);
    if (x)
        exchange_lost(x);
}

static void handling_expired(struct conn *c, struct http1_conn *h)
{
    int64_t now_ms = loop_now_ms(c->loop), gone_ms = gone_due_ms(c, h), late_ms = answer_due_ms(h);
    if (late_ms != NEVER && late_ms <= now_ms)
        answer_late(c, h);
    else if (gone_ms != NEVER && gone_ms <= now_ms)
        exchange_tell_gone(h->x);
}

static void http1_expired(struct conn *c)
{
    struct http1_conn *h = state_of(c);
    switch (h->phase) {
    case PHASE_HEAD:
        time_out(c, h, h->begun ? TIMEOUT_HEADER : TIMEOUT_IDLE,
                 "the head of the request took too long");
        break;
    case PHASE_BODY:
        if (body_too_slow(c, h))
            time_out(c, h, TIMEOUT_BODY, "the body of the request took too long");
        break;
    case PHASE_READY:
        if (answer_due_ms(h) <= loop_now_ms(c->loop))
            answer_late(c, h);
        break;
    case PHASE_HANDLING:
        handling_expired(c, h);
        break;
    case PHASE_OPENING:
        break;
    }
}

/* ---- the end ---- */

static uint32_t http1_pending(const struct conn *c)
{
    const struct http1_conn *h = state_of(c);
    return h->x || h->begun ? 1 : 0;
}

static void http1_drain(struct conn *c)
{
    struct http1_conn *h = state_of(c);
    struct exchange *x = h->x;
    if (c->closing)
        return;
    if (h->phase == PHASE_HEAD && !h->begun) {
        c->readable = !c->eof; /* a request that is already here is still served */
        conn_defer(c);
        return;
    }
    if (h->phase != PHASE_HANDLING || !x->req.streaming)
        return;
    h->x = NULL;
    if (!x->http10 && !x->head_only)
        conn_append(c, "0\r\n\r\n", 5);
    conn_flush(c);
    conn_finish(c, false);
    exchange_lost(x);
}

const struct codec http1_codec = {
    .name = "http/1.1",
    .open = http1_open,
    .advance = http1_advance,
    .due_ms = http1_due_ms,
    .expired = http1_expired,
    .drain = http1_drain,
    .pending = http1_pending,
    .close = http1_close,
    .free = http1_free,
    .begin = http1_begin,
    .shed = http1_shed,
    .answer = http1_answer,
    .stream_begin = http1_stream_begin,
    .stream_send = http1_stream_send,
    .stream_end = http1_stream_end,
    .stream_pending = http1_stream_pending,
};
