/* SPDX-License-Identifier: MIT
 *
 * Growable buffer. */
#include "buf.h"

#include <stdarg.h>
#include <stdio.h>

#include "mem.h"

enum { BUF_FIRST = 256 };

void buf_init(struct buf *b, size_t max_bytes)
{
    *b = (struct buf){.max = max_bytes};
}

void buf_release(struct buf *b)
{
    if (!b)
        return;
    mem_free(b->ptr);
    b->ptr = NULL;
    b->len = b->cap = 0;
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    b->failed = false;
}

char *buf_grow(struct buf *b, size_t more)
{
    if (b->failed || more > b->max || b->len > b->max - more) {
        b->failed = true;
        return NULL;
    }
    size_t need = b->len + more;
    if (need > b->cap) {
        size_t cap = b->cap ? b->cap : BUF_FIRST;
        if (cap > b->max)
            cap = b->max; /* room never exceeds the maximum: buf_reserve() asks for no more */
        while (cap < need)
            cap = cap > b->max / 2 ? b->max : cap * 2;
        char *p = mem_resize(b->ptr, cap, 1);
        if (!p) {
            b->failed = true;
            return NULL;
        }
        b->ptr = p;
        b->cap = cap;
    }
    return b->ptr + b->len;
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *p = n < 0 ? NULL : buf_reserve(b, (size_t)n + 1);
    if (!p)
        return;
    va_start(args, fmt);
    vsnprintf(p, (size_t)n + 1, fmt, args);
    va_end(args);
    b->len += (size_t)n;
}

void buf_consume(struct buf *b, size_t n)
{
    if (n >= b->len) {
        b->len = 0;
        return;
    }
    memmove(b->ptr, b->ptr + n, b->len - n);
    b->len -= n;
}
