/* SPDX-License-Identifier: MIT
 *
 * Chained bump allocation. */
#include "arena.h"

#include <stdarg.h>
#include <stdio.h>

#include "mem.h"

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_PER_ALLOCATION 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_PER_ALLOCATION 1
#endif
#endif

enum {
    ARENA_FIRST = 4096,     /* one page holds most small requests */
    ARENA_LARGEST = 262144, /* doubling stops here: more would waste what a reset keeps */
    ARENA_ALIGN = 16,
};

struct arena_block {
    struct arena_block *next;
    size_t size, used;
    _Alignas(ARENA_ALIGN) char data[];
};

void arena_init(struct arena *a, size_t max_bytes)
{
    *a = (struct arena){.max_bytes = max_bytes};
}

static struct arena_block *arena_grow(struct arena *a, size_t size)
{
    size_t want = size;
#ifndef ARENA_PER_ALLOCATION
    size_t next = a->blocks ? a->blocks->size * 2 : ARENA_FIRST;
    if (next > ARENA_LARGEST)
        next = ARENA_LARGEST;
    if (want < next)
        want = next;
#endif
    struct arena_block *b = mem_alloc(sizeof *b + want);
    if (!b)
        return NULL;
    *b = (struct arena_block){.next = a->blocks, .size = want};
    a->blocks = b;
    return b;
}

static void *arena_fail(struct arena *a)
{
    a->failed = true;
    return NULL;
}

void *arena_alloc(struct arena *a, size_t size)
{
    if (size > SIZE_MAX / 2)
        return arena_fail(a);
    size = (size + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
    if (a->max_bytes && (size > a->max_bytes || a->used > a->max_bytes - size))
        return arena_fail(a);
    struct arena_block *b = a->blocks;
    if (!b || b->size - b->used < size) {
        b = arena_grow(a, size);
        if (!b)
            return arena_fail(a);
    }
    void *p = b->data + b->used;
    b->used += size;
    a->used += size;
    return p;
}

void *arena_alloc_array(struct arena *a, size_t count, size_t size)
{
    size_t total;
    return __builtin_mul_overflow(count, size, &total) ? arena_fail(a) : arena_alloc(a, total);
}

void *arena_calloc(struct arena *a, size_t count, size_t size)
{
    void *p = arena_alloc_array(a, count, size);
    if (p)
        memset(p, 0, count * size);
    return p;
}

void *arena_copy(struct arena *a, const void *data, size_t len)
{
    void *p = arena_alloc(a, len);
    if (p && len)
        memcpy(p, data, len);
    return p;
}

struct bytes arena_bytes(struct arena *a, struct bytes b)
{
    if (!b.len)
        return bytes_of("", 0);
    const char *p = arena_copy(a, b.ptr, b.len);
    return bytes_of(p, p ? b.len : 0);
}

char *arena_cstr(struct arena *a, struct bytes b)
{
    char *p = arena_alloc(a, b.len + 1);
    if (!p)
        return NULL;
    if (b.len)
        memcpy(p, b.ptr, b.len);
    p[b.len] = 0;
    return p;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *p = n < 0 ? NULL : arena_alloc(a, (size_t)n + 1);
    if (!p)
        return NULL;
    va_start(args, fmt);
    vsnprintf(p, (size_t)n + 1, fmt, args);
    va_end(args);
    return p;
}

static void arena_free_chain(struct arena_block *b)
{
    while (b) {
        struct arena_block *next = b->next;
        mem_free(b);
        b = next;
    }
}

void arena_reset(struct arena *a)
{
    struct arena_block *keep = NULL;
#ifndef ARENA_PER_ALLOCATION
    keep = a->blocks;
    if (keep && keep->size > ARENA_LARGEST)
        keep = NULL;
#endif
    arena_free_chain(keep ? keep->next : a->blocks);
    if (keep) {
        keep->next = NULL;
        keep->used = 0;
    }
    a->blocks = keep;
    a->used = 0;
    a->failed = false;
}

void arena_release(struct arena *a)
{
    if (!a)
        return;
    arena_free_chain(a->blocks);
    a->blocks = NULL;
    a->used = 0;
    a->failed = false;
}
