/* SPDX-License-Identifier: MIT
 *
 * Blocking sockets with poll before each step; fixed buffers. */
#include "wire.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { WAIT_MS = 10000 };

void wire_open(struct wire *w, uint16_t port)
{
    const int on = 1;
    const struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    w->len = 0;
    w->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (w->fd < 0)
        return;
    setsockopt(w->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(w->fd, (const struct sockaddr *)&a, sizeof a) != 0)
        wire_close(w);
}

void wire_close(struct wire *w)
{
    if (w->fd >= 0)
        close(w->fd);
    w->fd = -1;
    w->len = 0;
}

bool wire_readable(struct wire *w, int wait_ms)
{
    struct pollfd fd = {.fd = w->fd, .events = POLLIN};
    return w->len || poll(&fd, 1, wait_ms) == 1;
}

bool wire_send(struct wire *w, const char *text)
{
    size_t left = strlen(text);
    while (left) {
        struct pollfd fd = {.fd = w->fd, .events = POLLOUT};
        if (poll(&fd, 1, WAIT_MS) <= 0)
            return false;
        ssize_t n = send(w->fd, text, left, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (n < 0)
            return false;
        text += n;
        left -= (size_t)n;
    }
    return true;
}

enum filled { FILL_MORE = 1, FILL_END, FILL_SILENT };

static enum filled fill(struct wire *w, int wait_ms)
{
    struct pollfd fd = {.fd = w->fd, .events = POLLIN};
    if (w->len == sizeof w->in)
        return FILL_SILENT;
    if (poll(&fd, 1, wait_ms) <= 0)
        return FILL_SILENT;
    ssize_t n = recv(w->fd, w->in + w->len, sizeof w->in - w->len, 0);
    if (n <= 0)
        return FILL_END; /* a reset counts: what matters is what came before */
    w->len += (size_t)n;
    return FILL_MORE;
}

static void drop(struct wire *w, size_t n)
{
    memmove(w->in, w->in + n, w->len - n);
    w->len -= n;
}

/* ---- heads ---- */

static void wrong(struct answer *a, const char *why)
{
    a->broken = true;
    a->why = why;
}

/* "HTTP/1.1 NNN text", then "Name: value" lines. */
static bool head_is_well_formed(const char *head)
{
    if (strncmp(head, "HTTP/1.1 ", 9) != 0 || !isdigit((unsigned char)head[9]) ||
        !isdigit((unsigned char)head[10]) || !isdigit((unsigned char)head[11]) || head[12] != ' ')
        return false;
    for (const char *line = strstr(head, "\r\n") + 2; strcmp(line, "\r\n") != 0;) {
        const char *end = strstr(line, "\r\n"), *colon = strstr(line, ": ");
        if (!end || !colon || colon > end || colon == line)
            return false;
        line = end + 2;
    }
    return true;
}

void wire_head(struct wire *w, struct answer *ret)
{
    char *end;
    ret->status = 0;
    ret->broken = false;
    ret->why = "";
    ret->head_len = ret->body_len = 0;
    ret->head[0] = ret->body[0] = 0;
    while (!(end = w->len ? memmem(w->in, w->len, "\r\n\r\n", 4) : NULL)) {
        enum filled f = fill(w, WAIT_MS);
        if (f == FILL_MORE)
            continue;
        if (w->len)
            wrong(ret, "the connection ended inside the head");
        else if (f == FILL_SILENT)
            wrong(ret, "no answer in ten seconds");
        return;
    }
    size_t len = (size_t)(end - w->in) + 4;
    if (len >= sizeof ret->head) {
        wrong(ret, "the head is too long");
        return;
    }
    memcpy(ret->head, w->in, len);
    ret->head[len] = 0;
    ret->head_len = len;
    drop(w, len);
    if (!head_is_well_formed(ret->head)) {
        wrong(ret, "the head is malformed");
        return;
    }
    ret->status = (int)strtol(ret->head + 9, NULL, 10);
}

/* ---- whole answers ---- */

static const char *header(const struct answer *a, const char *name)
{
    size_t len = strlen(name);
    for (const char *p = a->head; (p = strstr(p, "\r\n"));) {
        p += 2;
        if (strncasecmp(p, name, len) == 0 && p[len] == ':')
            return p + len + 2;
    }
    return NULL;
}

void wire_answer(struct wire *w, struct answer *ret)
{
    wire_head(w, ret);
    if (!ret->status || ret->broken)
        return;
    const char *length = header(ret, "Content-Length");
    if (ret->status == 204 && !length)
        return;
    if (!length || header(ret, "Transfer-Encoding")) {
        wrong(ret, "expected a Content-Length");
        return;
    }
    size_t len = strtoul(length, NULL, 10);
    if (len >= sizeof ret->body) {
        wrong(ret, "the body is too long");
        return;
    }
    while (w->len < len)
        if (fill(w, WAIT_MS) != FILL_MORE) {
            wrong(ret, "the connection ended inside the body");
            return;
        }
    memcpy(ret->body, w->in, len);
    ret->body[len] = 0;
    ret->body_len = len;
    drop(w, len);
}

/* ---- bodies in chunks ---- */

enum wire_line wire_line(struct wire *w, struct wire_chunks *c, int wait_ms)
{
    for (;;) {
        while (c->left && w->len) {
            char byte = w->in[0];
            drop(w, 1);
            if (--c->left < 2)
                continue; /* the CRLF behind the data */
            if (byte == '\n') {
                c->line[c->len] = 0;
                c->len = 0;
                return WIRE_LINE;
            }
            if (c->len + 1 < sizeof c->line)
                c->line[c->len++] = byte;
        }
        char *end = w->len ? memmem(w->in, w->len, "\r\n", 2) : NULL;
        if (end && !c->left) {
            size_t size = strtoul(w->in, NULL, 16);
            drop(w, (size_t)(end - w->in) + 2);
            if (!size)
                return WIRE_END;
            c->left = size + 2;
            continue;
        }
        enum filled f = fill(w, wait_ms);
        if (f != FILL_MORE)
            return f == FILL_END ? WIRE_CUT : WIRE_SILENT;
    }
}
