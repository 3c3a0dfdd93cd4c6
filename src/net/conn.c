/* SPDX-License-Identifier: MIT
 *
 * Connections.
 *
 * Edge-triggered: `readable` remembers that the socket may hold bytes until a read comes back
 * short, so a busy connection costs one read and one write per request and no epoll_ctl.  While the
 * codec does not read (a request is being handled), the peer's bytes stay in the kernel, which
 * bounds what it can make us hold.
 *
 * The deadline is lazy: moving it later only writes due_ms; the timer fires at the old time, sees
 * that, and is armed again.  A keep-alive connection touches the heap about once per idle time. */
#include "conn_priv.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "codec_priv.h"
#include "server_priv.h"

enum {
    LINGER_MS = 2000,
    LINGER_BYTES = 4 * 1024 * 1024,
    OUT_MAX_BYTES = 64 * 1024 * 1024, /* one answer; larger ones are streamed */
    READ_AHEAD = 16384,               /* room made behind kept bytes for one more read */
};

#define CONN_EVENTS ((uint32_t)(EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET))

static void conn_settle(struct conn *c);

/* ---- deadline ---- */

static void conn_arm(struct conn *c)
{
    int64_t due_ms;
    if (c->closing == CONN_LINGERING)
        due_ms = c->linger_ms;
    else if (conn_pending(c))
        due_ms = c->write_us / 1000 + c->server->write_timeout_ms;
    else
        due_ms = c->closing ? 0 : c->codec->due_ms(c);
    c->due_ms = due_ms;
    if (!due_ms || (c->timer.heap_index && c->timer.due_ms <= due_ms))
        return;
    if (!loop_timer_at(c->loop, &c->timer, due_ms)) {
        c->broken = true; /* a connection without a deadline could stay for ever */
        conn_defer(c);
    }
}

static void conn_fire(struct timer *t)
{
    struct conn *c = CONTAINER_OF(t, struct conn, timer);
    if (c->closed)
        return;
    if (c->due_ms && c->due_ms <= loop_now_ms(c->loop)) {
        if (c->closing == CONN_LINGERING) {
            conn_close(c);
            return;
        }
        if (conn_pending(c)) {
            counter_add(c->server->metrics.timeouts[TIMEOUT_WRITE], 1);
            conn_close(c);
            return;
        }
        c->running = true;
        c->codec->expired(c);
        c->running = false;
    }
    conn_settle(c);
}

/* ---- runs ---- */

static void conn_account(struct conn *c)
{
    size_t held = c->in.cap + c->out.cap;
    if (held != c->held)
        loop_hold(c->loop, (int64_t)held - (int64_t)c->held);
    c->held = held;
}

static void linger_read(struct conn *c)
{
    struct block *b = loop_block(c->loop);
    while (b && c->readable && c->lingered_bytes < LINGER_BYTES) {
        ssize_t n = recv(c->fd, b->data, sizeof b->data, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            c->readable = false;
            return;
        }
        if (n <= 0)
            break;
        c->lingered_bytes += (size_t)n;
    }
    if (c->readable)
        conn_close(c);
}

/* Everything is written: on with closing. */
static void conn_close_on(struct conn *c)
{
    if (c->closing == CONN_CLOSE || c->eof) {
        conn_close(c);
        return;
    }
    if (c->closing == CONN_LINGER) {
        c->closing = CONN_LINGERING;
        c->linger_ms = loop_now_ms(c->loop) + LINGER_MS;
        shutdown(c->fd, SHUT_WR);
        c->readable = true; /* whatever is there is read off */
    }
    linger_read(c);
}

/* After the codec or a handler has had its turn: what follows from what it did. */
static void conn_settle(struct conn *c)
{
    if (!c->closed && c->broken)
        conn_close(c);
    if (!c->closed && c->closing && !conn_pending(c))
        conn_close_on(c);
    if (c->closed)
        return;
    conn_account(c);
    conn_arm(c);
    if (c->again) {
        c->again = false;
        conn_defer(c);
    }
}

static void conn_run(struct conn *c)
{
    if (c->closed)
        return;
    c->running = true;
    if (conn_pending(c))
        conn_flush(c);
    if (conn_usable(c))
        c->codec->advance(c);
    if (conn_pending(c)) /* what a stream sent while its handler had its first turn */
        conn_flush(c);
    c->running = false;
    conn_settle(c);
}

static void conn_deferred(struct task *t)
{
    struct conn *c = CONTAINER_OF(t, struct conn, task);
    c->queued = false;
    conn_run(c);
}

void conn_defer(struct conn *c)
{
    if (c->queued || c->closed)
        return;
    c->queued = true;
    c->task.run = conn_deferred;
    loop_defer(c->loop, &c->task);
}

static void conn_ready(struct source *s, uint32_t events)
{
    struct conn *c = CONTAINER_OF(s, struct conn, source);
    if (c->closed)
        return;
    /* HUP alone while lingering only says that both sides have shut: what the peer sent is still
     * read off, or closing would reset. */
    if ((events & EPOLLERR) || ((events & EPOLLHUP) && c->closing != CONN_LINGERING)) {
        conn_close(c);
        return;
    }
    if ((events & EPOLLRDHUP) && !c->shut_us)
        c->shut_us = c->loop->now_us;
    if (events & (EPOLLIN | EPOLLRDHUP))
        c->readable = !c->eof;
    conn_run(c);
}

/* ---- life ---- */

struct conn *conn_new(struct server *s, struct loop *l, const struct accepted *a)
{
    struct conn *c = mem_calloc(1, sizeof *c);
    if (!c) {
        close(a->fd);
        server_conn_ended(s, a->counted);
        return NULL;
    }
    c->source.ready = conn_ready;
    c->loop = l;
    c->server = s;
    c->codec = &http1_codec; /* the place to choose by ALPN or the first bytes */
    c->fd = a->fd;
    c->listener = a->listener;
    c->counted = a->counted;
    memcpy(c->peer, a->peer, sizeof c->peer);
    c->timer.fire = conn_fire;
    buf_init(&c->in, LIMIT_PIPELINE_BYTES + READ_AHEAD);
    buf_init(&c->out, OUT_MAX_BYTES);
    c->next = l->conns;
    if (c->next)
        c->next->prev = c;
    l->conns = c;
    atomic_fetch_add_explicit(&l->conn_count, 1, memory_order_relaxed);
    if (!c->codec->open(c) || !loop_watch(l, c->fd, CONN_EVENTS, &c->source)) {
        conn_close(c);
        return NULL;
    }
    c->readable = true; /* the first request often comes with the connection */
    conn_defer(c);
    return c;
}

void conn_brings_work(struct conn *c)
{
    if (!c->bulk)
        c->bulk = loop_watch_bulk(c->loop, c->fd, CONN_EVENTS, &c->source);
}

static void conn_bury(struct task *t)
{
    struct conn *c = CONTAINER_OF(t, struct conn, task);
    c->codec->free(c);
    mem_free(c);
}

void conn_close(struct conn *c)
{
    if (c->closed)
        return;
    struct loop *l = c->loop;
    c->closed = true;
    c->codec->close(c);
    timers_cancel(&l->timers, &c->timer);
    close(c->fd); /* leaves epoll with it */
    buf_release(&c->in);
    buf_release(&c->out);
    c->out_at = 0;
    conn_account(c);
    if (c->next)
        c->next->prev = c->prev;
    if (c->prev)
        c->prev->next = c->next;
    else
        l->conns = c->next;
    atomic_fetch_sub_explicit(&l->conn_count, 1, memory_order_relaxed);
    server_conn_ended(c->server, c->counted);
    c->task.run = conn_bury;
    if (!c->queued) /* else it is in the deferred list and buried from there */
        loop_bury(l, &c->task);
}

void conn_finish(struct conn *c, bool linger)
{
    if (c->closing)
        return;
    c->closing = linger ? CONN_LINGER : CONN_CLOSE;
    if (!c->running)
        conn_defer(c);
}

/* ---- output ---- */

static void conn_break(struct conn *c)
{
    c->broken = true;
    if (!c->running)
        conn_defer(c);
}

/* Bytes taken; 0 when the socket is full; breaks the connection on failure. */
static size_t send_some(struct conn *c, const struct iovec *iov, int count)
{
    struct msghdr msg = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)count};
    ssize_t n;
    do
        n = sendmsg(c->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0) {
        if (errno != EAGAIN)
            conn_break(c);
        return 0;
    }
    counter_add(c->server->metrics.sent, (uint64_t)n);
    return (size_t)n;
}

void conn_append(struct conn *c, const void *data, size_t len)
{
    if (c->closed || c->broken)
        return;
    if (!conn_pending(c))
        c->write_us = c->loop->now_us;
    buf_add(&c->out, data, len);
    if (!buf_ok(&c->out))
        conn_break(c);
}

void conn_send(struct conn *c, struct iovec *iov, int count)
{
    if (c->closed || c->broken)
        return;
    size_t sent = conn_pending(c) ? 0 : send_some(c, iov, count);
    for (int i = 0; i < count && !c->broken; i++) {
        size_t skip = sent < iov[i].iov_len ? sent : iov[i].iov_len;
        sent -= skip;
        if (iov[i].iov_len > skip)
            conn_append(c, (char *)iov[i].iov_base + skip, iov[i].iov_len - skip);
    }
    if (!c->running && conn_pending(c))
        conn_defer(c); /* for the deadline */
}

void conn_flush(struct conn *c)
{
    while (conn_pending(c) && !c->broken && !c->closed) {
        struct iovec iov = {c->out.ptr + c->out_at, conn_pending(c)};
        size_t n = send_some(c, &iov, 1);
        if (!n)
            return;
        c->out_at += n;
        c->write_us = c->loop->now_us;
    }
    if (!conn_pending(c)) {
        buf_release(&c->out);
        c->out_at = 0;
    } else if (c->out_at > c->out.len / 2) {
        buf_consume(&c->out, c->out_at);
        c->out_at = 0;
    }
}

/* ---- input ---- */

void feed_open(struct feed *f, struct conn *c)
{
    *f = (struct feed){.c = c, .at = c->in.ptr, .len = c->in.len, .kept = c->in.len > 0};
}

void feed_skip(struct feed *f, size_t n)
{
    assert(n <= f->len);
    f->at += n;
    f->len -= n;
}

/* Kept bytes move to the front of c->in, so that at == c->in.ptr. */
static void feed_compact(struct feed *f)
{
    struct conn *c = f->c;
    if (!f->kept)
        return;
    buf_consume(&c->in, c->in.len - f->len);
    f->at = c->in.ptr;
    if (!f->len) {
        buf_release(&c->in);
        f->kept = false;
    }
}

void feed_close(struct feed *f)
{
    struct conn *c = f->c;
    if (c->closed)
        return;
    if (f->kept) {
        feed_compact(f);
    } else if (f->len && conn_usable(c)) {
        buf_add(&c->in, f->at, f->len);
        if (!buf_ok(&c->in))
            conn_break(c);
    }
    f->len = 0;
}

/* What a read came back with; false when there is nothing to use. */
static bool took(struct conn *c, ssize_t n, size_t asked)
{
    if (n > 0) {
        /* A short read has emptied the socket; but after the peer's FIN there is no further edge,
         * so the end must be read for. */
        if ((size_t)n < asked && !c->shut_us)
            c->readable = false;
        counter_add(c->server->metrics.received, (uint64_t)n);
        return true;
    }
    if (n == 0) {
        c->eof = true;
        c->readable = false;
        if (!c->shut_us)
            c->shut_us = c->loop->now_us;
    } else if (errno == EAGAIN) {
        c->readable = false;
    } else {
        c->readable = false;
        conn_break(c);
    }
    return false;
}

static ssize_t receive(struct conn *c, struct iovec *iov, int count)
{
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = (size_t)count};
    ssize_t n;
    do
        n = recvmsg(c->fd, &msg, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n;
}

/* Where the next bytes go: behind the unread ones.  False when out of memory or room. */
static bool feed_room(struct feed *f, struct iovec *ret)
{
    struct conn *c = f->c;
    feed_compact(f);
    if (f->kept) {
        char *p = buf_reserve(&c->in, READ_AHEAD);
        if (!p)
            return false;
        f->at = c->in.ptr;
        *ret = (struct iovec){p, READ_AHEAD};
        return true;
    }
    struct block *b = loop_block(c->loop);
    if (!b)
        return false;
    if (!f->len)
        f->at = b->data;
    size_t end = (size_t)(f->at - b->data) + f->len;
    if (end == sizeof b->data) {
        memmove(b->data, f->at, f->len);
        f->at = b->data;
        end = f->len;
    }
    *ret = (struct iovec){b->data + end, sizeof b->data - end};
    return ret->iov_len > 0;
}

bool feed_more(struct feed *f)
{
    return feed_some(f, SIZE_MAX);
}

bool feed_some(struct feed *f, size_t most)
{
    struct conn *c = f->c;
    struct iovec iov;
    if (!c->readable || !conn_usable(c))
        return false;
    if (!feed_room(f, &iov)) {
        conn_break(c);
        return false;
    }
    if (iov.iov_len > most)
        iov.iov_len = most;
    ssize_t n = receive(c, &iov, 1);
    if (!took(c, n, iov.iov_len))
        return false;
    if (f->kept)
        c->in.len += (size_t)n;
    f->len += (size_t)n;
    return true;
}

size_t feed_read_into(struct feed *f, char *body, size_t len)
{
    struct conn *c = f->c;
    assert(!f->len);
    struct iovec iov[2] = {{body, len}};
    if (!c->readable || !conn_usable(c))
        return 0;
    if (!feed_room(f, &iov[1])) {
        conn_break(c);
        return 0;
    }
    ssize_t n = receive(c, iov, 2);
    if (!took(c, n, len + iov[1].iov_len))
        return 0;
    size_t direct = (size_t)n < len ? (size_t)n : len;
    f->len = (size_t)n - direct;
    return direct;
}

size_t feed_discard(struct feed *f, size_t len)
{
    struct conn *c = f->c;
    assert(!f->len);
    struct block *b = loop_block(c->loop);
    if (!c->readable || !conn_usable(c))
        return 0;
    if (!b) {
        conn_break(c);
        return 0;
    }
    if (len > sizeof b->data)
        len = sizeof b->data;
    /* Linux frees what TCP received without copying it; elsewhere it lands in the block. */
    ssize_t n;
    do
        n = recv(c->fd, b->data, len, MSG_DONTWAIT | MSG_TRUNC);
    while (n < 0 && errno == EINTR);
    return took(c, n, len) ? (size_t)n : 0;
}

struct block *feed_take_block(struct feed *f, size_t n)
{
    struct conn *c = f->c;
    assert(!f->kept && n <= f->len);
    size_t rest = f->len - n;
    if (rest) {
        buf_add(&c->in, f->at + n, rest);
        if (!buf_ok(&c->in))
            return NULL;
    }
    struct block *b = loop_block_take(c->loop);
    *f = (struct feed){.c = c, .at = c->in.ptr, .len = rest, .kept = rest > 0};
    return b;
}
