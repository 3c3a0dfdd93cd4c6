/* SPDX-License-Identifier: MIT
 *
 * Blocking sockets with poll before each step. */
#include "support/http_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/patience.h"

enum { READ_BYTES = 65536, MAX_BYTES = 64 << 20 };

void http_prepare(struct http_client *c)
{
    const int on = 1;
    buf_init(&c->in, MAX_BYTES);
    c->in_vain = false;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd >= 0)
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

bool http_connect_prepared(struct http_client *c, uint16_t port)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return connect(c->fd, (struct sockaddr *)&a, sizeof a) == 0;
}

void http_connect(struct http_client *c, uint16_t port)
{
    http_prepare(c);
    if (c->fd >= 0 && !http_connect_prepared(c, port))
        http_close(c);
}

void http_close(struct http_client *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    buf_release(&c->in);
}

void http_reset(struct http_client *c)
{
    struct linger hard = {.l_onoff = 1, .l_linger = 0};
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    http_close(c);
}

void http_shut(struct http_client *c)
{
    shutdown(c->fd, SHUT_WR);
}

bool http_send(struct http_client *c, const void *data, size_t len)
{
    const char *p = data;
    while (len) {
        struct pollfd fd = {.fd = c->fd, .events = POLLOUT};
        if (poll(&fd, 1, patience_ms()) <= 0)
            return false;
        ssize_t n = send(c->fd, p, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (n < 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

bool http_sends(struct http_client *c, const char *text)
{
    return http_send(c, text, strlen(text));
}

/* Bytes read; 0 at the end, -1 in vain or on a reset. */
static ssize_t fill(struct http_client *c)
{
    struct pollfd fd = {.fd = c->fd, .events = POLLIN};
    char *room = buf_reserve(&c->in, READ_BYTES);
    int ready = room ? poll(&fd, 1, patience_ms()) : -1;
    if (ready <= 0) {
        c->in_vain |= ready == 0;
        return -1;
    }
    ssize_t n = recv(c->fd, room, READ_BYTES, 0);
    if (n > 0)
        c->in.len += (size_t)n;
    return n;
}

bool http_wait_bytes(struct http_client *c, size_t len)
{
    while (c->in.len < len) {
        if (fill(c) <= 0)
            return false;
    }
    return true;
}

bool http_delivered(struct http_client *c)
{
    int left = 0;
    for (int ms = 0; ioctl(c->fd, SIOCOUTQ, &left) == 0 && left > 0; ms++) {
        if (ms == patience_ms())
            return false;
        poll(NULL, 0, 1);
    }
    return left == 0;
}

bool http_closed(struct http_client *c)
{
    struct pollfd fd = {.fd = c->fd, .events = POLLIN};
    char byte;
    return !c->in.len && poll(&fd, 1, patience_ms()) == 1 && recv(c->fd, &byte, 1, 0) <= 0;
}

static bool take(struct http_client *c, size_t len, struct buf *to)
{
    bool all = http_wait_bytes(c, len);
    size_t n = c->in.len < len ? c->in.len : len;
    buf_add(to, c->in.ptr, n);
    buf_consume(&c->in, n);
    return all;
}

/* Up to and with the next CRLF; false if there is none. */
static bool take_line(struct http_client *c, struct buf *to)
{
    for (size_t at = 0;;) {
        char *cr = c->in.len > at ? memmem(c->in.ptr + at, c->in.len - at, "\r\n", 2) : NULL;
        if (cr)
            return take(c, (size_t)(cr - c->in.ptr) + 2, to);
        at = c->in.len ? c->in.len - 1 : 0;
        if (fill(c) <= 0)
            return false;
    }
}

static void take_chunks(struct http_client *c, struct http_reply *r)
{
    struct buf line;
    buf_init(&line, 4096);
    for (size_t size = 1; size && !r->truncated;) {
        buf_clear(&line);
        if (!take_line(c, &line)) {
            r->truncated = true;
            break;
        }
        buf_addc(&line, 0);
        size = strtoul(line.ptr, NULL, 16);
        if (!take(c, size, &r->body))
            r->truncated = true;
        buf_clear(&line);
        if (!r->truncated && !take_line(c, &line))
            r->truncated = true;
    }
    buf_release(&line);
}

const char *http_reply_header(const struct http_reply *r, const char *name, char *ret, size_t size)
{
    size_t len = strlen(name);
    ret[0] = 0;
    for (const char *p = r->head.ptr; p && (p = strstr(p, "\r\n"));) {
        p += 2;
        if (strncasecmp(p, name, len) == 0 && p[len] == ':') {
            p += len + 1;
            p += strspn(p, " ");
            size_t n = strcspn(p, "\r");
            if (n >= size)
                n = size - 1;
            memcpy(ret, p, n);
            ret[n] = 0;
            break;
        }
    }
    return ret;
}

void http_read_head(struct http_client *c, struct http_reply *ret)
{
    char value[64];
    *ret = (struct http_reply){0};
    buf_init(&ret->head, 1 << 20);
    buf_init(&ret->body, MAX_BYTES);
    size_t before;
    do {
        before = ret->head.len;
        if (!take_line(c, &ret->head)) {
            ret->truncated = before > 0 || c->in.len > 0;
            return;
        }
    } while (ret->head.len - before > 2);
    buf_addc(&ret->head, 0);
    if (ret->head.len > 12 && strncmp(ret->head.ptr, "HTTP/1.1 ", 9) == 0)
        ret->status = (int)strtol(ret->head.ptr + 9, NULL, 10);
    ret->close =
        strcasecmp(http_reply_header(ret, "Connection", value, sizeof value), "close") == 0;
}

void http_read(struct http_client *c, bool head_request, struct http_reply *ret)
{
    char value[64];
    http_read_head(c, ret);
    if (!ret->status)
        return;
    bool bodyless = head_request || ret->status < 200 || ret->status == 204 || ret->status == 304;
    http_reply_header(ret, "Transfer-Encoding", value, sizeof value);
    if (bodyless) {
        /* nothing follows */
    } else if (*value) {
        take_chunks(c, ret);
    } else if (*http_reply_header(ret, "Content-Length", value, sizeof value)) {
        ret->truncated = !take(c, strtoul(value, NULL, 10), &ret->body);
    } else {
        while (fill(c) > 0)
            ;
        take(c, c->in.len, &ret->body);
    }
    size_t len = ret->body.len;
    buf_addc(&ret->body, 0);
    ret->body.len = len;
}

void http_reply_release(struct http_reply *r)
{
    buf_release(&r->head);
    buf_release(&r->body);
}
