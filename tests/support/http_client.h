/* SPDX-License-Identifier: MIT
 *
 * A small, blocking HTTP/1.1 client for tests: it sends any bytes, well-formed or not, and reads
 * answers strictly.  Every wait has an end (patience.h), as a failure: far beyond what a busy
 * machine needs.  One thread per client. */
#ifndef QMN_TESTS_SUPPORT_HTTP_CLIENT_H
#define QMN_TESTS_SUPPORT_HTTP_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct http_client {
    int fd;
    struct buf in; /* received, not yet taken */
    bool in_vain;  /* a wait ended without anything: the peer hangs */
};

struct http_reply {
    int status;      /* 0: none came: the connection ended or nothing arrived in time */
    bool close;      /* the server said so */
    bool truncated;  /* the connection ended inside the answer */
    struct buf head; /* NUL-terminated */
    struct buf body; /* NUL-terminated, not counted in len; chunks joined */
};

/* fd -1 on failure. */
void http_connect(struct http_client *c, uint16_t port);
/* The same in two steps: the descriptor now, the connection later. */
void http_prepare(struct http_client *c);
bool http_connect_prepared(struct http_client *c, uint16_t port);
void http_close(struct http_client *c);
/* Closes with a reset instead of a FIN. */
void http_reset(struct http_client *c);
/* No more will be sent; answers can still be read. */
void http_shut(struct http_client *c);
/* False if the peer does not take it. */
bool http_send(struct http_client *c, const void *data, size_t len);
bool http_sends(struct http_client *c, const char *text);

/* Reads one answer; `head_request`: no body follows.  Release with http_reply_release. */
void http_read(struct http_client *c, bool head_request, struct http_reply *ret);
/* The same for what has a body. */
static inline void http_get_reply(struct http_client *c, struct http_reply *ret)
{
    http_read(c, false, ret);
}
/* Only the head; the body, chunked or not, stays to be read as raw bytes. */
void http_read_head(struct http_client *c, struct http_reply *ret);
/* Waits until `len` raw bytes are there; false at the end of the connection or in vain. */
bool http_wait_bytes(struct http_client *c, size_t len);
/* Waits until the peer's kernel has all that was sent, the end of sending too. */
bool http_delivered(struct http_client *c);
/* Waits until the server closes (FIN or reset), having sent nothing more. */
bool http_closed(struct http_client *c);
/* The header's value, or "" (in reply->head's lifetime; cut off in place). */
const char *http_reply_header(const struct http_reply *r, const char *name, char *ret, size_t size);
void http_reply_release(struct http_reply *r);

#endif
