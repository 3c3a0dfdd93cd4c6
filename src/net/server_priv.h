/* SPDX-License-Identifier: MIT
 *
 * The server as its parts see it. */
#ifndef QMN_NET_SERVER_PRIV_H
#define QMN_NET_SERVER_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "conn_priv.h"
#include "loop_priv.h"
#include "net/server.h"
#include "peers_priv.h"

enum { LISTENER_SOCKETS = 4 }; /* addresses one host name may stand for */

struct listener {
    int fds[LISTENER_SOCKETS];
    uint32_t count;
    uint16_t port;
};

enum net_timeout {
    TIMEOUT_HEADER = 0,
    TIMEOUT_BODY,
    TIMEOUT_IDLE,
    TIMEOUT_WRITE,
    TIMEOUT_HANDLER,
    TIMEOUT_KINDS
};

struct net_metrics {
    struct counter *accepted, *received, *sent;
    struct counter *refused[QMN_CODE_COUNT], *refused_peer;
    struct counter *timeouts[TIMEOUT_KINDS];
};

/* One loop and what accepts for it. */
struct lane {
    struct loop loop;
    struct server *server;
    struct task drain, cut;
    struct acceptor *acceptors; /* one per listening socket */
    uint32_t acceptor_count;
    int spare_fd; /* given up to shed one connection when descriptors run out */
    bool accepting;
    struct timer accept_pause;
};

struct server {
    /* immutable */
    struct handler handler;
    const struct clock *clock;
    struct listener *listeners;
    size_t listener_count;
    struct lane *lanes;
    uint32_t lane_count;
    uint32_t max_connections;
    uint32_t header_timeout_ms, body_timeout_ms, idle_timeout_ms, write_timeout_ms;
    uint32_t request_timeout_ms;
    struct net_metrics metrics;
    bool started;
    bool freeing; /* set when no loop runs any more */

    /* any thread */
    struct peers peers;
    _Atomic uint32_t connections;
    _Atomic bool draining;
    _Atomic uint32_t cut_requests;

    /* guarded by lock */
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a connection ended while draining, or a lane has cut */
    uint32_t lanes_drained, lanes_cut;
};

/* ---- listener.c ---- */

QMN_NODISCARD enum qmn_code listener_open(const struct listener_config *config,
                                          struct listener *ret, struct err *err);
void listener_close(struct listener *l);
/* Starts accepting on this lane. */
QMN_NODISCARD enum qmn_code lane_accept(struct lane *lane, struct err *err);
void lane_stop_accepting(struct lane *lane);
void lane_release_acceptors(struct lane *lane);

/* ---- refusal.c ---- */

/* Asks the handler what to say, writes the head of it to l->head and returns the body, which lasts
 * until the next refusal of this loop.  `req` as in on_refused; `close`: the connection ends. */
struct bytes refusal_write(struct server *s, struct loop *l, const struct err *err,
                           const struct request *req, const char *peer, bool close);

/* ---- holder.c ---- */

/* "pid 123 (nginx)" of who listens on the TCP port, as far as /proc tells; empty if not. */
void port_holder(uint16_t port, char *ret, size_t size);

/* ---- server.c ---- */

/* A connection has ended, or was not to be; `by`: NULL if it was not counted. */
void server_conn_ended(struct server *s, struct peer *by);

static inline bool server_draining(const struct server *s)
{
    return atomic_load_explicit(&s->draining, memory_order_relaxed);
}

#endif
