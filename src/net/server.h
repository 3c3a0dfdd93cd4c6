/* SPDX-License-Identifier: MIT
 *
 * Listeners and event loops: bytes in and out, no knowledge of what they mean.  One epoll loop per
 * thread; a connection stays on the loop it was given to when accepted: the one with the fewest. */
#ifndef QMN_NET_SERVER_H
#define QMN_NET_SERVER_H

#include "base/clock.h"
#include "base/err.h"
#include "net/request.h"
#include "obs/metrics.h"

struct listener_config {
    const char *host; /* numeric or name; "::" listens dual-stack */
    uint16_t port;    /* 0: the kernel chooses; see server_port() */
};

struct server_config {
    const struct listener_config *listeners;
    size_t listener_count;
    uint32_t loops;           /* 0: one per processor */
    uint32_t max_connections; /* 0: LIMIT_CONNECTIONS */
    uint32_t max_per_peer;    /* of one address; 0: LIMIT_CONNECTIONS_PER_PEER */
    /* milliseconds; 0: the LIMIT_* default */
    uint32_t header_timeout_ms, body_timeout_ms, idle_timeout_ms, write_timeout_ms;
    size_t ready_bytes;          /* bodies that wait on one loop; 0: LIMIT_READY_BYTES */
    uint32_t request_timeout_ms; /* for the handler, see request.deadline_us */
    const struct clock *clock;   /* NULL: clock_system */
    struct handler handler;
    struct metrics *metrics; /* may be NULL */
};

struct server;

/* Binds and listens; QMN_E_CONFLICT when a port is taken (text names it and, where /proc tells, who
 * holds it). */
QMN_NODISCARD enum qmn_code server_new(const struct server_config *config, struct server **ret,
                                       struct err *err);
uint16_t server_port(const struct server *s, size_t listener);
uint32_t server_loops(const struct server *s);
struct executor *server_loop(struct server *s, uint32_t index);
/* Starts the loop threads. */
QMN_NODISCARD enum qmn_code server_start(struct server *s, struct err *err);
/* Graceful: stops accepting, answers "Connection: close", ends idle connections, waits for requests
 * in progress at most grace_ms, then cuts.  Streams are ended at once.  Returns the number of
 * requests cut.  Any thread but a loop's; the first call counts.  The loops run on: tasks posted to
 * them are still run and requests cut still want their (now unread) answers until server_free. */
uint32_t server_drain(struct server *s, uint32_t grace_ms);
/* After drain: joins the loops' threads.  Requests a handler still owes an answer for stay until
 * server_free, so that whoever works on them can be stopped in between. */
void server_stop(struct server *s);
/* Stops if need be; runs what was posted to the loops, on this thread, then frees every request,
 * answered or not. */
void server_free(struct server *s);

#endif
