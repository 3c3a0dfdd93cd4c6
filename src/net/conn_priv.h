/* SPDX-License-Identifier: MIT
 *
 * One connection: a non-blocking socket watched edge-triggered, the bytes not yet understood, the
 * bytes not yet written, and one deadline.  Both buffers are empty and without memory while the
 * connection idles.  Knows nothing of HTTP: the codec does.
 *
 * Thread rule: its loop's thread only. */
#ifndef QMN_NET_CONN_PRIV_H
#define QMN_NET_CONN_PRIV_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/buf.h"
#include "loop_priv.h"

struct codec;
struct peer;
struct server;

enum conn_closing { CONN_OPEN = 0, CONN_CLOSE, CONN_LINGER, CONN_LINGERING };

struct conn {
    /* immutable */
    struct source source;
    struct loop *loop;
    struct server *server;
    const struct codec *codec;
    int fd;
    uint16_t listener;
    char peer[48];
    struct peer *counted; /* under this address */

    struct conn *prev, *next; /* loop->conns */
    void *state;              /* the codec's */
    struct task task;         /* in the loop's deferred or dead list */
    struct timer timer;
    int64_t due_ms; /* 0: none; the timer may be armed for earlier and is then moved */
    bool readable;  /* there may be bytes in the socket */
    bool eof;       /* the peer's last byte has been read */
    bool broken;    /* the socket failed: to be closed as soon as nobody is on the stack */
    bool closed;
    bool running, queued, again;
    bool bulk; /* see conn_brings_work */
    enum conn_closing closing;
    size_t lingered_bytes;
    int64_t linger_ms; /* when to stop lingering */
    int64_t shut_us;   /* when the peer closed its sending side; 0: it has not */
    int64_t write_us;  /* last progress in writing while something is pending */
    struct buf in;
    struct buf out;
    size_t out_at; /* out.ptr[out_at..] is unsent */
    size_t held;   /* buffer bytes told to loop_hold */
};

/* A connection as it was accepted. */
struct accepted {
    int fd;
    uint16_t listener;
    char peer[48];
    struct peer *counted;
};

/* Takes the descriptor and its place in the counts.  NULL (and both given back) when out of memory.
 */
struct conn *conn_new(struct server *s, struct loop *l, const struct accepted *a);
/* At once; safe only where no codec or handler is on the stack. */
void conn_close(struct conn *c);
/* Asks for a run of the codec before the round ends. */
void conn_defer(struct conn *c);
/* A request with a body has come: from now on its socket is looked at after those of others, for
 * good, since who works is likely to go on. */
void conn_brings_work(struct conn *c);
/* Closes after what is pending has been written.  `linger`: the peer may still be sending;
 * half-close and read it off for a while, lest a reset destroys the answer. */
void conn_finish(struct conn *c, bool linger);

static inline bool conn_usable(const struct conn *c)
{
    return !c->closed && !c->broken && c->closing == CONN_OPEN;
}

static inline size_t conn_pending(const struct conn *c)
{
    return c->out.len - c->out_at;
}

/* Writes now what the socket takes and keeps a copy of the rest. */
void conn_send(struct conn *c, struct iovec *iov, int count);
/* Appends to what is pending; written at conn_flush, or when the round ends after conn_defer. */
void conn_append(struct conn *c, const void *data, size_t len);
void conn_flush(struct conn *c);

/* ---- input, as one codec run sees it ---- */

/* Unread bytes: in c->in (kept from before) or in the loop's block (just read). */
struct feed {
    struct conn *c;
    char *at;
    size_t len;
    bool kept;
};

void feed_open(struct feed *f, struct conn *c);
/* Puts away what is left. */
void feed_close(struct feed *f);
void feed_skip(struct feed *f, size_t n);
/* Reads on behind what is there; false: nothing came (c->eof tells why). */
bool feed_more(struct feed *f);
/* The same, but no more than that. */
bool feed_some(struct feed *f, size_t most);
/* The feed is empty: reads into `body` first, and what comes beyond it into the feed.
 * Returns the bytes that went to `body`. */
size_t feed_read_into(struct feed *f, char *body, size_t len);
/* The feed is empty: throws away at most `len` of the bytes that follow; returns how many. */
size_t feed_discard(struct feed *f, size_t len);
/* Hands over the block the feed lies in (kept must be false), of which the caller takes the first
 * `n` unread bytes; the rest moves to c->in.  NULL when out of memory. */
struct block *feed_take_block(struct feed *f, size_t n);

#endif
