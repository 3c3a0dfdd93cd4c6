/* SPDX-License-Identifier: MIT
 *
 * What stands between a connection (a socket, two buffers, one deadline) and requests.  HTTP/1.1 is
 * the first; HTTP/2 joins as a second table, chosen in conn_new by ALPN or the first bytes.  All
 * calls come on the connection's loop.  A codec never frees a connection: it calls conn_finish, or
 * lets the socket break. */
#ifndef QMN_NET_CODEC_PRIV_H
#define QMN_NET_CODEC_PRIV_H

#include "conn_priv.h"
#include "exchange_priv.h"

struct codec {
    const char *name;
    /* Makes c->state; false when out of memory. */
    bool (*open)(struct conn *c);
    /* Something may have changed: input, the peer's half-close, an answer given, output written.
     * Does what can be done and returns; sets c->again to be called once more in the next round. */
    void (*advance)(struct conn *c);
    /* When `expired` is to be called, unless something changes before; 0: never. */
    int64_t (*due_ms)(const struct conn *c);
    void (*expired)(struct conn *c);
    /* The server drains: ends what is idle and what never ends by itself. */
    void (*drain)(struct conn *c);
    /* Requests begun and not yet answered. */
    uint32_t (*pending)(const struct conn *c);
    /* The socket is lost: tells the handlers (exchange_lost) and lets go of requests. */
    void (*close)(struct conn *c);
    /* Last call: frees c->state. */
    void (*free)(struct conn *c);

    /* From the ready queue, once for each ready_add unless the connection ends before: to the
     * handler; or back to the peer as QMN_E_OVERLOADED, the exchange being freed. */
    void (*begin)(struct exchange *x);
    void (*shed)(struct exchange *x);

    /* The exchange's connection is there; afterwards the exchange belongs to nobody's connection.
     */
    void (*answer)(struct exchange *x, int status, const struct header *headers,
                   size_t header_count, struct bytes body);
    void (*stream_begin)(struct exchange *x, int status, const struct header *headers,
                         size_t header_count);
    bool (*stream_send)(struct exchange *x, struct bytes data); /* counts in x->stream_sent */
    void (*stream_end)(struct exchange *x);
    size_t (*stream_pending)(const struct exchange *x);
};

extern const struct codec http1_codec;

#endif
