/* SPDX-License-Identifier: MIT
 *
 * A growable byte buffer with a maximum.  Appends never fail one by one: the first failure sticks
 * and is read once at the end with buf_ok().  One thread at a time. */
#ifndef QMN_BASE_BUF_H
#define QMN_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bytes.h"

struct buf {
    char *ptr;
    size_t len, cap, max;
    bool failed; /* out of memory, or past max */
};

void buf_init(struct buf *b, size_t max_bytes);
void buf_release(struct buf *b);
/* Empties; keeps the memory. */
void buf_clear(struct buf *b);

/* buf_reserve() when there is no room yet. */
char *buf_grow(struct buf *b, size_t more);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Drops the first n bytes. */
void buf_consume(struct buf *b, size_t n);

/* Appending is inline: an answer is put together from hundreds of pieces of a few bytes, most of
 * them constant, and a call for each cost more than the copies. */

/* Room for `more` bytes at ptr+len; NULL (and failed) if it cannot be had. */
static inline char *buf_reserve(struct buf *b, size_t more)
{
    return !b->failed && more <= b->cap - b->len ? b->ptr + b->len : buf_grow(b, more);
}

static inline void buf_add(struct buf *b, const void *data, size_t len)
{
    char *p = buf_reserve(b, len);
    if (p && len) {
        memcpy(p, data, len);
        b->len += len;
    }
}

static inline void buf_addc(struct buf *b, char c)
{
    buf_add(b, &c, 1);
}

static inline void buf_adds(struct buf *b, const char *s)
{
    buf_add(b, s, strlen(s));
}

static inline void buf_addb(struct buf *b, struct bytes s)
{
    buf_add(b, s.ptr, s.len);
}

static inline bool buf_ok(const struct buf *b)
{
    return !b->failed;
}

static inline struct bytes buf_bytes(const struct buf *b)
{
    return bytes_of(b->ptr, b->len);
}

#endif
