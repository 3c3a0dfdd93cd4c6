/* SPDX-License-Identifier: MIT
 *
 * The load generator's loop. */
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

enum {
    ANSWER_MAX = 1 << 20,
    TICK_US = 100000,
    SILENCE_US = 30000000,
    SUB_BITS = 6,
    SENDS_AT_ONCE = 32, /* before answers are looked for: they wait, and count, meanwhile */
};

/* ---- histogram: 64 buckets per power of two ---- */

static size_t bucket_of(uint64_t v)
{
    if (v < 64)
        return (size_t)v;
    unsigned shift = 63u - (unsigned)__builtin_clzll(v) - SUB_BITS;
    size_t i = ((size_t)shift + 1) * 64 + (size_t)(v >> shift) - 64;
    return i < LOAD_BUCKETS ? i : LOAD_BUCKETS - 1;
}

static uint64_t bucket_end(size_t i)
{
    if (i < 64)
        return i;
    unsigned shift = (unsigned)(i / 64 - 1);
    return ((uint64_t)(i % 64 + 64 + 1) << shift) - 1;
}

void load_histogram_add(struct load_histogram *h, uint64_t value)
{
    h->counts[bucket_of(value)]++;
    h->total++;
    h->max = value > h->max ? value : h->max;
}

uint64_t load_histogram_at(const struct load_histogram *h, double p)
{
    uint64_t wanted = (uint64_t)(p * (double)h->total + 0.5), seen = 0;
    for (size_t i = 0; i < LOAD_BUCKETS; i++) {
        seen += h->counts[i];
        if (seen >= wanted && seen > 0) {
            uint64_t end = bucket_end(i);
            return end < h->max ? end : h->max;
        }
    }
    return h->max;
}

/* ---- connections ---- */

struct conn {
    int fd;
    bool busy, writing;
    uint64_t number;
    int64_t due_us;
    struct load_request request;
    size_t sent;
    char *in;            /* ANSWER_MAX */
    size_t in_len, need; /* need: bytes of head and body; 0: head not whole yet */
    int status;
    bool retry_after;
};

struct load {
    const struct load_config *config;
    struct load_result *result;
    struct sockaddr_storage address;
    socklen_t address_len;
    int epoll_fd;
    struct conn *conns;
    struct conn **idle; /* a stack */
    uint32_t idle_count, open_count;
    uint64_t next_number;
    int64_t began_us, last_answer_us, last_tick_us;
    struct err *err;
    enum qmn_code code;
};

static bool parse_address(const char *host, uint16_t port, struct sockaddr_storage *ret,
                          socklen_t *ret_len)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    memset(ret, 0, sizeof *ret);
    if (inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
        memcpy(ret, &v4, sizeof v4);
        *ret_len = sizeof v4;
    } else if (inet_pton(AF_INET6, host, &v6.sin6_addr) == 1) {
        memcpy(ret, &v6, sizeof v6);
        *ret_len = sizeof v6;
    } else {
        return false;
    }
    return true;
}

static int open_socket(const struct sockaddr_storage *address, socklen_t len)
{
    int fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    if (fd < 0)
        return -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, (const struct sockaddr *)address, len) != 0 ||
        fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static bool watch(struct load *l, struct conn *c, int op, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = c};
    return epoll_ctl(l->epoll_fd, op, c->fd, &e) == 0;
}

static enum qmn_code conn_open(struct load *l, struct conn *c)
{
    c->fd = open_socket(&l->address, l->address_len);
    if (c->fd < 0 || !watch(l, c, EPOLL_CTL_ADD, EPOLLIN))
        return err_set(l->err, QMN_E_UNAVAILABLE, "cannot reach %s:%u: %s", l->config->host,
                       l->config->port, strerror(errno));
    l->open_count++;
    l->idle[l->idle_count++] = c;
    return QMN_OK;
}

/* ---- one request ---- */

static void conn_lost(struct load *l, struct conn *c)
{
    close(c->fd);
    c->fd = -1;
    l->open_count--;
    l->result->broken++;
    c->in_len = c->need = 0;
    if (c->busy) {
        l->result->done++;
        l->result->failed++;
    }
    c->busy = c->writing = false;
    l->code = conn_open(l, c);
}

static void conn_write(struct load *l, struct conn *c)
{
    while (c->sent < c->request.head_len + c->request.body.len) {
        struct iovec v[2];
        int n = 0;
        size_t head_done = c->sent < c->request.head_len ? c->sent : c->request.head_len;
        size_t body_done = c->sent - head_done;
        if (head_done < c->request.head_len)
            v[n++] = (struct iovec){c->request.head + head_done, c->request.head_len - head_done};
        if (body_done < c->request.body.len)
            v[n++] = (struct iovec){(char *)(uintptr_t)c->request.body.ptr + body_done,
                                    c->request.body.len - body_done};
        ssize_t w = writev(c->fd, v, n);
        if (w < 0 && errno == EAGAIN) {
            if (!c->writing && !watch(l, c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT))
                conn_lost(l, c);
            c->writing = true;
            return;
        }
        if (w < 0) {
            conn_lost(l, c);
            return;
        }
        c->sent += (size_t)w;
    }
    if (c->writing && !watch(l, c, EPOLL_CTL_MOD, EPOLLIN))
        conn_lost(l, c);
    c->writing = false;
}

static void conn_send(struct load *l, struct conn *c, int64_t due_us)
{
    c->busy = true;
    c->number = l->next_number++;
    c->due_us = due_us;
    c->sent = c->in_len = c->need = 0;
    l->config->make(l->config->ctx, c->number, &c->request);
    conn_write(l, c);
}

/* Once the head is whole: the status, and how many bytes belong to the answer. */
static bool conn_head(struct conn *c)
{
    static const char name[] = "content-length:", retry[] = "retry-after:";
    char *end = memmem(c->in, c->in_len, "\r\n\r\n", 4);
    if (!end)
        return c->in_len < 16384;
    size_t head = (size_t)(end - c->in) + 4, body = 0;
    if (head < 12 || memcmp(c->in, "HTTP/1.1 ", 9) != 0)
        return false;
    c->status = (int)strtol(c->in + 9, NULL, 10);
    c->retry_after = false;
    for (char *line = c->in; line < end;) {
        char *next = memmem(line, (size_t)(end + 2 - line), "\r\n", 2);
        if (strncasecmp(line, name, sizeof name - 1) == 0)
            body = (size_t)strtoull(line + sizeof name - 1, NULL, 10);
        c->retry_after |= strncasecmp(line, retry, sizeof retry - 1) == 0;
        line = next ? next + 2 : end;
    }
    c->need = head + body;
    return c->need <= ANSWER_MAX;
}

static void count_answer(struct load_result *r, const struct conn *c, uint64_t took_us)
{
    r->done++;
    if (c->status < 400) {
        load_histogram_add(&r->latency, took_us);
        return;
    }
    r->failed++;
    r->worst_status = c->status > r->worst_status ? c->status : r->worst_status;
    if ((c->status == 429 || c->status == 503) && c->retry_after) {
        r->refused++;
        load_histogram_add(&r->refusals, took_us);
    }
}

static void conn_done(struct load *l, struct conn *c)
{
    int64_t now = clock_mono_us();
    l->last_answer_us = now;
    c->busy = false;
    count_answer(l->result, c, (uint64_t)(now - c->due_us));
    if (l->config->answer) {
        char *body = memmem(c->in, c->need, "\r\n\r\n", 4);
        size_t skip = (size_t)(body - c->in) + 4;
        l->config->answer(l->config->ctx, c->number, c->status,
                          bytes_of(c->in + skip, c->need - skip));
    }
    l->idle[l->idle_count++] = c;
}

static void conn_read(struct load *l, struct conn *c)
{
    for (;;) {
        ssize_t n = read(c->fd, c->in + c->in_len, ANSWER_MAX - c->in_len);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            if (!c->busy) { /* it stands in the idle stack: take it out */
                uint32_t i = 0;
                while (i < l->idle_count && l->idle[i] != c)
                    i++;
                if (i < l->idle_count)
                    l->idle[i] = l->idle[--l->idle_count];
            }
            conn_lost(l, c);
            return;
        }
        c->in_len += (size_t)n;
        if (!c->need && !conn_head(c)) {
            conn_lost(l, c);
            return;
        }
        if (c->need && c->in_len >= c->need) {
            conn_done(l, c);
            return;
        }
    }
}

/* ---- the run ---- */

static bool more_to_send(const struct load *l, int64_t now)
{
    const struct load_config *k = l->config;
    if (k->requests && l->next_number >= k->requests)
        return false;
    return k->seconds <= 0 || (double)(now - l->began_us) < k->seconds * 1e6;
}

static int64_t due_us(const struct load *l)
{
    return l->began_us + (int64_t)((double)l->next_number * 1e6 / l->config->rate);
}

/* Open loop: passes over what nobody would wait for any more. */
static void give_up_late(struct load *l, int64_t now)
{
    const struct load_config *k = l->config;
    int64_t patience_us = (int64_t)(k->patience * 1e6);
    while (patience_us && more_to_send(l, now) && now - due_us(l) > patience_us) {
        l->next_number++;
        l->result->unsent++;
    }
}

/* Sends what is due; returns microseconds until more is, or -1. */
static int64_t send_due(struct load *l)
{
    bool open_loop = l->config->rate > 0;
    for (int i = 0; i < SENDS_AT_ONCE; i++) {
        int64_t now = clock_mono_us();
        if (open_loop)
            give_up_late(l, now);
        if (l->idle_count == 0 || !more_to_send(l, now) || l->code != QMN_OK)
            return -1;
        int64_t due = open_loop ? due_us(l) : now;
        if (due > now)
            return due - now;
        conn_send(l, l->idle[--l->idle_count], due);
    }
    return 0;
}

/* At the end of an open loop: what was due in its time and still had no connection. */
static void count_unsent(struct load *l)
{
    const struct load_config *k = l->config;
    double due = k->rate * k->seconds;
    if (k->requests && due > (double)k->requests)
        due = (double)k->requests;
    if (due > (double)l->next_number)
        l->result->unsent += (uint64_t)(due - (double)l->next_number);
}

static void maybe_tick(struct load *l, int64_t now)
{
    if (!l->config->tick || now - l->last_tick_us < TICK_US)
        return;
    l->last_tick_us = now;
    l->config->tick(l->config->tick_ctx, (double)(now - l->began_us) / 1e6, l->result->done);
}

static enum qmn_code run(struct load *l)
{
    l->began_us = l->last_answer_us = clock_mono_us();
    for (;;) {
        struct epoll_event events[64];
        int64_t wait_us = send_due(l);
        int64_t now = clock_mono_us();
        if (l->code != QMN_OK)
            return l->code;
        if (l->idle_count == l->open_count && !more_to_send(l, now))
            break;
        if (l->idle_count < l->open_count && now - l->last_answer_us > SILENCE_US)
            return err_set(l->err, QMN_E_UNAVAILABLE, "no answer for %d s", SILENCE_US / 1000000);
        if (wait_us < 0 || wait_us > TICK_US)
            wait_us = TICK_US;
        const struct timespec wait = {0, (long)wait_us * 1000};
        int n = epoll_pwait2(l->epoll_fd, events, (int)ARRAY_LEN(events), &wait, NULL);
        for (int i = 0; i < n && l->code == QMN_OK; i++) {
            struct conn *c = events[i].data.ptr;
            if (c->fd >= 0 && (events[i].events & EPOLLOUT))
                conn_write(l, c);
            if (c->fd >= 0 && (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
                conn_read(l, c);
        }
        maybe_tick(l, clock_mono_us());
    }
    l->result->seconds = (double)(clock_mono_us() - l->began_us) / 1e6;
    count_unsent(l);
    return QMN_OK;
}

/* Thousands of connections are more than what a shell gives by default. */
static void allow_descriptors(uint32_t n)
{
    enum { OTHERS = 64 };
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= (rlim_t)n + OTHERS)
        return;
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files); /* if refused, connecting says so */
}

static enum qmn_code open_all(struct load *l)
{
    const struct load_config *k = l->config;
    allow_descriptors(k->connections);
    if (!parse_address(k->host, k->port, &l->address, &l->address_len))
        return err_set(l->err, QMN_E_INVALID, "expected a numeric address, got \"%.60s\"", k->host);
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    l->conns = mem_calloc(k->connections, sizeof *l->conns);
    l->idle = mem_calloc(k->connections, sizeof *l->idle);
    if (l->epoll_fd < 0 || !l->conns || !l->idle)
        return err_nomem(l->err);
    for (uint32_t i = 0; i < k->connections; i++)
        l->conns[i].fd = -1;
    for (uint32_t i = 0; i < k->connections; i++) {
        l->conns[i].request.slot = i;
        l->conns[i].in = mem_alloc(ANSWER_MAX);
        if (!l->conns[i].in)
            return err_nomem(l->err);
        TRY(conn_open(l, &l->conns[i]));
    }
    return QMN_OK;
}

enum qmn_code load_run(const struct load_config *config, struct load_result *ret, struct err *err)
{
    struct load l = {.config = config, .result = ret, .epoll_fd = -1, .err = err};
    *ret = (struct load_result){0};
    enum qmn_code code = open_all(&l);
    if (code == QMN_OK)
        code = run(&l);
    for (uint32_t i = 0; l.conns && i < config->connections; i++) {
        if (l.conns[i].fd >= 0)
            close(l.conns[i].fd);
        mem_free(l.conns[i].in);
    }
    mem_free(l.conns);
    mem_free(l.idle);
    if (l.epoll_fd >= 0)
        close(l.epoll_fd);
    return code;
}

uint32_t load_idle_connections(const char *host, uint16_t port, uint32_t n, int *ret_fds)
{
    struct sockaddr_storage address;
    socklen_t len;
    uint32_t count = 0;
    if (!parse_address(host, port, &address, &len))
        return 0;
    while (count < n) {
        ret_fds[count] = open_socket(&address, len);
        if (ret_fds[count] < 0)
            break;
        count++;
    }
    return count;
}
