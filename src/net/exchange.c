/* SPDX-License-Identifier: MIT
 *
 * Life of a request, and the answering half of request.h.  Exchanges are recycled per loop with the
 * page their arena keeps; what grew large is given back. */
#include "exchange_priv.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

#include "base/limits.h"
#include "base/mem.h"
#include "codec_priv.h"

enum {
    ARENA_KEPT_BYTES = 65536,           /* an arena that grew beyond is not kept */
    ARENA_MAX_BYTES = 64 * 1024 * 1024, /* of one request: far above any answer, below a disaster */
};

struct exchange *exchange_new(struct conn *c)
{
    struct loop *l = c->loop;
    struct exchange *x = l->free_exchanges;
    if (x) {
        l->free_exchanges = x->next;
        l->free_exchange_count--;
    } else {
        x = mem_alloc(sizeof *x);
        if (!x)
            return NULL;
        arena_init(&x->req.arena, ARENA_MAX_BYTES);
    }
    struct arena arena = x->req.arena;
    *x = (struct exchange){.loop = l, .conn = c};
    x->req.arena = arena;
    x->req.listener = c->listener;
    x->req.exec = &l->exec;
    x->req.body_limit = LIMIT_BODY_BYTES;
    memcpy(x->req.peer, c->peer, sizeof x->req.peer);
    x->next = l->exchanges;
    if (x->next)
        x->next->prev = x;
    l->exchanges = x;
    return x;
}

void exchange_free(struct exchange *x)
{
    if (!x)
        return;
    struct loop *l = x->loop;
    if (x->ready)
        ready_remove(x);
    if (x->next)
        x->next->prev = x->prev;
    if (x->prev)
        x->prev->next = x->next;
    else
        l->exchanges = x->next;
    if (x->body_heap)
        loop_hold(l, -(int64_t)x->body_heap_bytes);
    mem_free(x->body_heap);
    loop_block_give(l, x->body_block);
    bool keep = LOOP_RECYCLES && x->req.arena.used <= ARENA_KEPT_BYTES;
    if (!keep || l->free_exchange_count >= LOOP_EXCHANGES_KEPT) {
        arena_release(&x->req.arena);
        mem_free(x);
        return;
    }
    arena_reset(&x->req.arena);
    x->next = l->free_exchanges;
    l->free_exchanges = x;
    l->free_exchange_count++;
}

void loop_free_exchanges(struct loop *l)
{
    while (l->exchanges)
        exchange_free(l->exchanges);
    while (l->free_exchanges) {
        struct exchange *x = l->free_exchanges;
        l->free_exchanges = x->next;
        arena_release(&x->req.arena);
        mem_free(x);
    }
    l->free_exchange_count = 0;
}

void exchange_tell_gone(struct exchange *x)
{
    if (x->told)
        return;
    x->told = true;
    x->req.gone = true;
    if (x->req.on_gone)
        x->req.on_gone(&x->req);
}

void exchange_lost(struct exchange *x)
{
    if (x->req.streaming && x->conn && x->conn->closed)
        x->stream_lost = x->conn->codec->stream_pending(x);
    x->conn = NULL;
    x->req.gone = true;
    exchange_tell_gone(x);
}

int64_t request_now_us(const struct request *req)
{
    return clock_us(exchange_of(req)->loop->clock);
}

void request_extend(struct request *req, uint32_t wait_ms)
{
    req->deadline_us += (int64_t)wait_ms * 1000;
}

struct bytes request_header(const struct request *req, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < req->header_count; i++) {
        struct bytes n = req->headers[i].name;
        if (n.len == len && strncasecmp(n.ptr, name, len) == 0)
            return req->headers[i].value;
    }
    return bytes_of(NULL, 0);
}

/* Answers come on the loop's thread, once: anything else is a bug that would corrupt memory later.
 */
static void check_answerable(const struct exchange *x)
{
    assert(loop_current() == x->loop);
    assert(!x->req.answered);
}

void request_answer(struct request *req, int status, const struct header *headers,
                    size_t header_count, struct bytes body)
{
    struct exchange *x = exchange_of(req);
    check_answerable(x);
    assert(!req->streaming);
    req->answered = true;
    if (x->conn)
        x->conn->codec->answer(x, status, headers, header_count, body);
    exchange_free(x);
}

bool request_stream_begin(struct request *req, int status, const struct header *headers,
                          size_t header_count)
{
    struct exchange *x = exchange_of(req);
    check_answerable(x);
    assert(!req->streaming);
    req->streaming = true;
    if (!x->conn || req->gone)
        return false;
    x->conn->codec->stream_begin(x, status, headers, header_count);
    return x->conn && !x->conn->broken;
}

bool request_stream_send(struct request *req, struct bytes data)
{
    struct exchange *x = exchange_of(req);
    check_answerable(x);
    assert(req->streaming);
    if (!x->conn || req->gone || x->conn->broken || x->cut)
        return false;
    if (!data.len || x->head_only)
        return true;
    if (request_stream_pending(req) + data.len > LIMIT_STREAM_BYTES) {
        x->cut = true;
        return false;
    }
    return x->conn->codec->stream_send(x, data);
}

void request_stream_end(struct request *req)
{
    struct exchange *x = exchange_of(req);
    check_answerable(x);
    assert(req->streaming);
    req->answered = true;
    if (x->conn)
        x->conn->codec->stream_end(x);
    exchange_free(x);
}

size_t request_stream_pending(const struct request *req)
{
    const struct exchange *x = exchange_of(req);
    return x->conn ? x->conn->codec->stream_pending(x) : x->stream_lost;
}

uint64_t request_stream_sent(const struct request *req)
{
    return exchange_of(req)->stream_sent;
}

size_t request_stream_lost(const struct request *req)
{
    const struct exchange *x = exchange_of(req);
    if (!x->conn)
        return x->stream_lost;
    return x->cut || x->conn->broken ? request_stream_pending(req) : 0;
}
