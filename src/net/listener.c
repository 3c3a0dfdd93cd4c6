/* SPDX-License-Identifier: MIT
 *
 * Listening sockets, and accepting from them.
 *
 * All loops watch the same socket with EPOLLEXCLUSIVE, and whoever accepts gives the connection to
 * the loop that has the fewest.  Not SO_REUSEPORT: it spreads by hash, so a loop that is busy
 * strands the connections hashed to it, a few long-lived connections land unevenly, and a second
 * process of the same user could take the port in silence instead of being told who holds it. */
#include "server_priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"

enum {
    BACKLOG = 1024, /* the kernel caps it at net.core.somaxconn */
    ACCEPTS = 64,   /* per wake-up */
    PAUSE_MS = 100, /* when nothing can be accepted and nothing shed */
    SHED_BYTES = 65536,
};

struct acceptor {
    struct source source;
    struct lane *lane;
    int fd;
    uint16_t listener;
};

/* ---- opening ---- */

static enum qmn_code bind_error(const struct listener_config *config, uint16_t port, int cause,
                                struct err *err)
{
    char holder[128] = "";
    if (cause != EADDRINUSE)
        return err_set(err, QMN_E_UNAVAILABLE, "cannot listen on %s port %u: %s", config->host,
                       port, strerror(cause));
    port_holder(port, holder, sizeof holder);
    return err_set(err, QMN_E_CONFLICT, "port %u on %s is taken by %s", port, config->host,
                   *holder ? holder : "another process");
}

static void set_port(struct sockaddr *addr, uint16_t port)
{
    if (addr->sa_family == AF_INET6)
        ((struct sockaddr_in6 *)(void *)addr)->sin6_port = htons(port);
    else
        ((struct sockaddr_in *)(void *)addr)->sin_port = htons(port);
}

static uint16_t bound_port(int fd)
{
    struct sockaddr_storage a = {0};
    socklen_t len = sizeof a;
    if (getsockname(fd, (struct sockaddr *)&a, &len))
        return 0;
    /* NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): the kernel filled it in */
    return ntohs(a.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)(void *)&a)->sin6_port
                                         : ((struct sockaddr_in *)(void *)&a)->sin_port);
}

/* -1 and errno on failure. */
static int listen_on(const struct addrinfo *ai, bool wildcard)
{
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    const int on = 1, off = 0;
    /* "::" alone listens on both families; an address out of a name on its own. */
    if (ai->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, wildcard ? &off : &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* accepted sockets inherit it */
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) || listen(fd, BACKLOG)) {
        int cause = errno;
        close(fd);
        errno = cause;
        return -1;
    }
    return fd;
}

static enum qmn_code listen_all(const struct listener_config *config, struct addrinfo *list,
                                struct listener *l, struct err *err)
{
    int cause = 0;
    bool wildcard = strcmp(config->host, "::") == 0;
    l->port = config->port;
    for (struct addrinfo *ai = list; ai && l->count < LISTENER_SOCKETS; ai = ai->ai_next) {
        set_port(ai->ai_addr, l->port);
        int fd = listen_on(ai, wildcard);
        if (fd < 0) {
            cause = errno;
            if (cause == EADDRINUSE)
                return bind_error(config, l->port, cause, err);
            continue; /* a name may stand for an address this machine does not have */
        }
        l->fds[l->count++] = fd;
        l->port = bound_port(fd);
    }
    return l->count ? QMN_OK : bind_error(config, config->port, cause, err);
}

static enum qmn_code resolve_and_listen(const struct listener_config *config, struct listener *l,
                                        struct err *err)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    if (!config->host || !*config->host)
        return err_set(err, QMN_E_INVALID, "a listener needs a host, e.g. 127.0.0.1 or ::");
    int cause = getaddrinfo(config->host, "0", &hints, &list);
    if (cause)
        return err_set(err, QMN_E_INVALID, "cannot resolve \"%s\": %s", config->host,
                       gai_strerror(cause));
    enum qmn_code code = listen_all(config, list, l, err);
    freeaddrinfo(list);
    return code;
}

enum qmn_code listener_open(const struct listener_config *config, struct listener *ret,
                            struct err *err)
{
    struct listener l = {0};
    enum qmn_code code = resolve_and_listen(config, &l, err);
    if (code == QMN_E_UNAVAILABLE && strcmp(config->host, "::") == 0) {
        /* A kernel without IPv6: both families are then one. */
        struct listener_config v4 = {.host = "0.0.0.0", .port = config->port};
        code = resolve_and_listen(&v4, &l, err);
    }
    if (code != QMN_OK) {
        listener_close(&l);
        return code;
    }
    *ret = l;
    return QMN_OK;
}

void listener_close(struct listener *l)
{
    for (uint32_t i = 0; i < l->count; i++)
        close(l->fds[i]);
    l->count = 0;
}

/* ---- accepting ---- */

static void peer_text(const struct sockaddr_storage *a, char ret[48])
{
    ret[0] = 0;
    if (a->ss_family == AF_INET) {
        inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)a)->sin_addr, ret, 48);
    } else if (a->ss_family == AF_INET6) {
        const struct in6_addr *v6 = &((const struct sockaddr_in6 *)(const void *)a)->sin6_addr;
        if (IN6_IS_ADDR_V4MAPPED(v6))
            inet_ntop(AF_INET, &v6->s6_addr[12], ret, 48);
        else
            inet_ntop(AF_INET6, v6, ret, 48);
    }
}

/* Says why and goodbye; what has come is read off, so that the answer is not lost in a reset.  An
 * empty socket takes it whole. */
static void turn_away(struct lane *lane, int fd, const char *peer, const struct err *err)
{
    struct loop *l = &lane->loop;
    char sink[4096];
    ssize_t n;
    struct bytes body = refusal_write(lane->server, l, err, NULL, peer, true);
    struct iovec iov[2] = {{l->head.ptr, l->head.len}, {(char *)(uintptr_t)body.ptr, body.len}};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
    if (buf_ok(&l->head) && sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
        shutdown(fd, SHUT_WR);
    for (size_t total = 0; total < SHED_BYTES; total += (size_t)n) {
        n = recv(fd, sink, sizeof sink, MSG_DONTWAIT);
        if (n <= 0)
            break;
    }
    close(fd);
}

/* A connection on its way to the loop that will own it. */
struct handoff {
    struct task task;
    struct lane *lane;
    struct accepted accepted;
};

static void handoff_run(struct task *t)
{
    struct handoff *h = CONTAINER_OF(t, struct handoff, task);
    struct server *s = h->lane->server;
    atomic_fetch_sub_explicit(&h->lane->loop.conn_count, 1, memory_order_relaxed);
    if (s->freeing) {
        close(h->accepted.fd);
        server_conn_ended(s, h->accepted.counted);
    } else {
        (void)conn_new(s, &h->lane->loop, &h->accepted);
    }
    mem_free(h);
}

static struct lane *least_loaded(struct lane *own)
{
    struct server *s = own->server;
    struct lane *best = own;
    uint32_t fewest = atomic_load_explicit(&own->loop.conn_count, memory_order_relaxed);
    for (uint32_t i = 0; i < s->lane_count && fewest; i++) {
        uint32_t n = atomic_load_explicit(&s->lanes[i].loop.conn_count, memory_order_relaxed);
        if (n < fewest) {
            fewest = n;
            best = &s->lanes[i];
        }
    }
    return best;
}

/* Counts it, or says why there is no room. */
static enum qmn_code find_room(struct server *s, const struct sockaddr_storage *addr,
                               struct peer **ret_counted, struct err *err)
{
    const struct net_metrics *m = &s->metrics;
    if (atomic_fetch_add(&s->connections, 1) >= s->max_connections) {
        server_conn_ended(s, NULL);
        counter_add(m->refused[QMN_E_OVERLOADED], 1);
        return err_retry(err, QMN_E_OVERLOADED, 1, "all %u connections of this node are taken",
                         s->max_connections);
    }
    enum qmn_code code = peers_join(&s->peers, addr, ret_counted, err);
    if (code != QMN_OK) {
        server_conn_ended(s, NULL);
        counter_add(code == QMN_E_OVERLOADED ? m->refused_peer : m->refused[code], 1);
    }
    return code;
}

static void take_connection(struct acceptor *a, int fd, const struct sockaddr_storage *addr)
{
    struct server *s = a->lane->server;
    struct accepted accepted = {.fd = fd, .listener = a->listener};
    struct err err;
    peer_text(addr, accepted.peer);
    if (find_room(s, addr, &accepted.counted, &err) != QMN_OK) {
        turn_away(a->lane, fd, accepted.peer, &err);
        return;
    }
    counter_add(s->metrics.accepted, 1);
    struct lane *lane = server_draining(s) ? a->lane : least_loaded(a->lane);
    struct handoff *h = lane == a->lane ? NULL : mem_alloc(sizeof *h);
    if (!h) {
        (void)conn_new(s, &a->lane->loop, &accepted);
        return;
    }
    *h = (struct handoff){.task.run = handoff_run, .lane = lane, .accepted = accepted};
    /* on its way it counts already, or the rest of a burst would follow it */
    atomic_fetch_add_explicit(&lane->loop.conn_count, 1, memory_order_relaxed);
    lane->loop.exec.post(&lane->loop.exec, &h->task);
}

static int open_spare(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static bool watch_all(struct lane *lane)
{
    bool all = true;
    for (uint32_t i = 0; i < lane->acceptor_count; i++) {
        struct acceptor *a = &lane->acceptors[i];
        all &= loop_watch(&lane->loop, a->fd, EPOLLIN | EPOLLEXCLUSIVE, &a->source);
    }
    return all;
}

static void unwatch_all(struct lane *lane)
{
    for (uint32_t i = 0; i < lane->acceptor_count; i++)
        loop_unwatch(&lane->loop, lane->acceptors[i].fd);
}

static void pause_over(struct timer *t);

/* Nothing can be done now: looking again at once would only burn the processor. */
static void pause_accepting(struct lane *lane)
{
    if (lane->accept_pause.heap_index)
        return;
    lane->accept_pause.fire = pause_over;
    if (loop_timer_at(&lane->loop, &lane->accept_pause, loop_now_ms(&lane->loop) + PAUSE_MS))
        unwatch_all(lane);
}

static void pause_over(struct timer *t)
{
    struct lane *lane = CONTAINER_OF(t, struct lane, accept_pause);
    if (lane->accepting && !watch_all(lane))
        pause_accepting(lane);
}

/* Out of descriptors: the spare one makes room to accept the connection and end it, so that the
 * client learns and the backlog does not keep us awake.  0, or what hindered it. */
static int shed_one(struct acceptor *a)
{
    struct lane *lane = a->lane;
    if (lane->spare_fd < 0)
        lane->spare_fd = open_spare();
    if (lane->spare_fd < 0)
        return EMFILE;
    close(lane->spare_fd);
    struct sockaddr_storage addr = {0};
    socklen_t len = sizeof addr;
    int fd = accept4(a->fd, (struct sockaddr *)&addr, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    int cause = fd < 0 ? errno : 0;
    if (fd >= 0) {
        char peer[48];
        struct err err;
        peer_text(&addr, peer);
        err_retry(&err, QMN_E_OVERLOADED, 1, "this node is out of descriptors");
        counter_add(lane->server->metrics.refused[err.code], 1);
        turn_away(lane, fd, peer, &err);
    }
    lane->spare_fd = open_spare();
    return cause;
}

static void accept_ready(struct source *source, uint32_t events)
{
    struct acceptor *a = CONTAINER_OF(source, struct acceptor, source);
    (void)events;
    for (int i = 0; i < ACCEPTS; i++) {
        struct sockaddr_storage addr = {0};
        socklen_t len = sizeof addr;
        int fd = accept4(a->fd, (struct sockaddr *)&addr, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            take_connection(a, fd, &addr);
            continue;
        }
        int cause = errno;
        if (cause == EMFILE || cause == ENFILE) /* told before whether anybody waits at all */
            cause = shed_one(a);
        if (cause == EAGAIN)
            return;
        if (cause == EMFILE || cause == ENFILE || cause == ENOBUFS || cause == ENOMEM) {
            pause_accepting(a->lane);
            return;
        }
        /* Anything else is the fate of one connection (accept(2)): on to the next. */
    }
}

enum qmn_code lane_accept(struct lane *lane, struct err *err)
{
    struct server *s = lane->server;
    uint32_t n = 0;
    for (size_t i = 0; i < s->listener_count; i++)
        n += s->listeners[i].count;
    lane->acceptors = mem_calloc(n, sizeof *lane->acceptors);
    if (!lane->acceptors)
        return err_nomem(err);
    for (size_t i = 0; i < s->listener_count; i++) {
        for (uint32_t k = 0; k < s->listeners[i].count; k++) {
            lane->acceptors[lane->acceptor_count++] =
                (struct acceptor){.source.ready = accept_ready,
                                  .lane = lane,
                                  .fd = s->listeners[i].fds[k],
                                  .listener = (uint16_t)i};
        }
    }
    lane->spare_fd = open_spare();
    lane->accepting = true;
    if (!watch_all(lane))
        return err_set(err, QMN_E_INTERNAL, "cannot watch the listening sockets: %s",
                       strerror(errno));
    return QMN_OK;
}

void lane_stop_accepting(struct lane *lane)
{
    if (!lane->accepting)
        return;
    lane->accepting = false;
    /* Whoever got through the handshake is served once more. */
    for (uint32_t i = 0; i < lane->acceptor_count; i++)
        accept_ready(&lane->acceptors[i].source, EPOLLIN);
    timers_cancel(&lane->loop.timers, &lane->accept_pause);
    unwatch_all(lane);
}

void lane_release_acceptors(struct lane *lane)
{
    mem_free(lane->acceptors);
    lane->acceptors = NULL;
    lane->acceptor_count = 0;
    if (lane->spare_fd >= 0)
        close(lane->spare_fd);
    lane->spare_fd = -1;
}
