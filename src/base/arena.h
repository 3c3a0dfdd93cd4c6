/* SPDX-License-Identifier: MIT
 *
 * Memory that is freed all at once: one arena per request or per commit group, recycled with
 * arena_reset(). Blocks double up to a cap.  Under ASan each allocation is its own heap block, so
 * overruns and stale pointers are caught.  One thread at a time. */
#ifndef QMN_BASE_ARENA_H
#define QMN_BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bytes.h"

struct arena_block;

struct arena {
    struct arena_block *blocks; /* newest first */
    size_t used;                /* bytes handed out since the last reset */
    size_t max_bytes;           /* 0: no bound */
    bool failed; /* something could not be had since the last reset: read once at the end, it
                  * catches what a caller took for empty */
};

void arena_init(struct arena *a, size_t max_bytes);
/* Frees everything but (outside ASan) the largest recent block. */
void arena_reset(struct arena *a);
void arena_release(struct arena *a);

/* 16-byte aligned, not zeroed; NULL when out of memory or past max_bytes. */
void *arena_alloc(struct arena *a, size_t size);
void *arena_calloc(struct arena *a, size_t count, size_t size);
/* Like arena_calloc without the zeros: for large arrays that are written before they are read. */
void *arena_alloc_array(struct arena *a, size_t count, size_t size);
void *arena_copy(struct arena *a, const void *data, size_t len);
/* A copy of `b`; its ptr is NULL on failure (also when b.len is 0 no memory is used and ptr is "").
 */
struct bytes arena_bytes(struct arena *a, struct bytes b);
/* NUL-terminated copy. */
char *arena_cstr(struct arena *a, struct bytes b);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define arena_new(a, type)      ((type *)arena_calloc((a), 1, sizeof(type)))
#define arena_array(a, type, n) ((type *)arena_calloc((a), (n), sizeof(type)))
#define arena_raw(a, type, n)   ((type *)arena_alloc_array((a), (n), sizeof(type)))

#endif
