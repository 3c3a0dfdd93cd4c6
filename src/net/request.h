/* SPDX-License-Identifier: MIT
 *
 * The one request type of every transport.  A codec (HTTP/1.1 today) fills it and hands it to the
 * handler on the loop's thread; the handler answers it exactly once, now or later, from that same
 * thread.  A request outlives its connection: when the peer has gone, or has been given the 503 of
 * a deadline, answering is a no-op that frees it, so nobody holds a dangling pointer.
 *
 * Thread rule: everything here belongs to the request's loop.  Other threads reach it by posting a
 * task to `exec`. */
#ifndef QMN_NET_REQUEST_H
#define QMN_NET_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/task.h"

enum http_method {
    HTTP_GET = 1,
    HTTP_POST,
    HTTP_PUT,
    HTTP_PATCH,
    HTTP_DELETE,
    HTTP_HEAD,
    HTTP_OPTIONS,
    HTTP_OTHER
};

struct header {
    struct bytes name;  /* as received; compare without case */
    struct bytes value; /* outer white space trimmed */
};

struct request {
    /* immutable once handed over */
    enum http_method method;
    uint16_t listener;   /* index into server_config.listeners */
    struct bytes target; /* as received */
    struct bytes path;   /* up to '?'; still percent-encoded */
    struct bytes query;  /* after '?'; still percent-encoded */
    const struct header *headers;
    size_t header_count;
    struct bytes body;  /* whole; borrowed until the answer */
    char peer[48];      /* numeric address without port */
    int64_t arrived_us; /* on the server's clock (request_now_us), at the first byte */
    /* When net answers 503 in the handler's place, on the same clock; 0 until the request is whole.
     * Streams that have begun have none. */
    int64_t deadline_us;
    struct executor *exec; /* the loop */
    struct arena arena;    /* lives until the answer is written */

    /* owned by the handler */
    void *user;
    size_t body_limit; /* set in on_head; default LIMIT_BODY_BYTES */
    /* Called once when the peer is gone, or has closed its sending side and waited two seconds (it
     * may be gone; TCP does not tell), or has been answered at the deadline.  The handler still
     * must answer, and may do so inside; if there is anybody left to read it, it is written. */
    void (*on_gone)(struct request *req);

    /* owned by net */
    bool gone;    /* or has its answer */
    bool expired; /* the deadline has answered: what the handler says is not sent */
    bool answered;
    bool streaming;
};

/* Now, on the clock of arrived_us. */
int64_t request_now_us(const struct request *req);

/* The handler means to wait so long for something: its deadline moves by that. */
void request_extend(struct request *req, uint32_t wait_ms);

/* NULL ptr if absent. `name` in lower case. */
struct bytes request_header(const struct request *req, const char *name);

/* Answers and gives the request up; `body` is copied (what the socket takes at once, is not).
 * Content-Length, Date and Connection are net's own.  A HEAD request gets the headers only.  A
 * header that holds a control character is left out. */
void request_answer(struct request *req, int status, const struct header *headers,
                    size_t header_count, struct bytes body);

/* A streamed answer (server-sent events, exports): begin, any number of sends, end.  send copies;
 * false: the peer has gone or takes too little (more than LIMIT_STREAM_BYTES unsent) and the caller
 * should end.  The handler must still call end. */
bool request_stream_begin(struct request *req, int status, const struct header *headers,
                          size_t header_count);
bool request_stream_send(struct request *req, struct bytes data);
void request_stream_end(struct request *req);
/* Unsent bytes, for good once the peer is gone; the handler may pause a producer on it. */
size_t request_stream_pending(const struct request *req);
/* Bytes that the sends so far have put on the connection, framing and all: a position in the
 * stream.  All of them but the pending ones have been handed to the kernel. */
uint64_t request_stream_sent(const struct request *req);
/* Of the pending ones, those that will never leave: none as long as the connection stands. */
size_t request_stream_lost(const struct request *req);

/* What net sends when it answers in the handler's place.  Everything is borrowed until it is
 * written. */
struct refusal {
    const struct header *headers;
    size_t header_count;
    struct bytes body;
};

struct handler {
    void *ctx;
    /* Head complete, body not yet read (optional).  May set req->body_limit.  False: the handler
     * has answered already (the body is then discarded or the connection closed).  After true,
     * nothing but the arena may be held for the request: if its body never comes, or its turn
     * (overload), on_request does not either. */
    bool (*on_head)(void *ctx, struct request *req);
    /* Whole request.  Must lead to exactly one answer. */
    void (*on_request)(void *ctx, struct request *req);
    /* After all requests of one wake-up of one loop (optional): work gathered from them runs here.
     */
    void (*on_round)(void *ctx, struct executor *loop);
    /* Net answers a request itself (bad framing, limits, time-outs): fills *ret with what to send
     * for this error, whose code gives the status; Retry-After, from err->retry_after_s, is net's
     * own.  `req`: as far as on_head has seen it, not to be answered; NULL: it came not so far.
     * What *ret points at is constant, in `arena` (1 MiB), or the request's.  Without this function
     * err->text is sent. */
    void (*on_refused)(void *ctx, const struct err *err, const struct request *req,
                       const char *peer, struct arena *arena, struct refusal *ret);
};

#endif
