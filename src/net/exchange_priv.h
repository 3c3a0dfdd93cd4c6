/* SPDX-License-Identifier: MIT
 *
 * A request as net holds it: the public struct, where its answer goes, and the memory of its body.
 * Lives until answered; `conn` is NULL once the peer is gone.  Owned by one loop. */
#ifndef QMN_NET_EXCHANGE_PRIV_H
#define QMN_NET_EXCHANGE_PRIV_H

#include "loop_priv.h"
#include "net/request.h"

struct conn;

struct exchange {
    struct request req;
    struct loop *loop;
    struct conn *conn;
    struct exchange *prev, *next;   /* loop->exchanges, or next only in the free list */
    struct exchange *older, *newer; /* loop->ready, if `ready` */
    int64_t ready_us;               /* there since */
    /* What req.body lies in: heap, or the block it was read into. */
    char *body_heap;
    size_t body_heap_bytes;
    struct block *body_block;
    uint64_t stream_sent; /* bytes that stream_send has put on the connection */
    size_t stream_lost;   /* unsent when the connection was lost */
    bool ready;           /* in the ready queue */
    bool head_only;       /* a HEAD request */
    bool http10;
    bool told; /* on_gone was called */
    bool cut;  /* a stream that lost data: it must not look complete */
};

/* NULL when out of memory. */
struct exchange *exchange_new(struct conn *c);
void exchange_free(struct exchange *x);
/* The peer is gone or seems so: says it to the handler, once.  The handler may answer inside. */
void exchange_tell_gone(struct exchange *x);
/* The connection is lost under a request its handler still holds: cuts the tie, then tells. */
void exchange_lost(struct exchange *x);

/* Memory its body takes. */
static inline size_t exchange_body_held(const struct exchange *x)
{
    return x->body_block ? LOOP_BLOCK_BYTES : x->body_heap_bytes;
}

static inline struct exchange *exchange_of(const struct request *req)
{
    return CONTAINER_OF((struct request *)(uintptr_t)req, struct exchange, req);
}

#endif
