/* SPDX-License-Identifier: MIT
 *
 * A borrowed run of bytes that carries its length: text (UTF-8, not NUL-terminated) or binary.
 * Never owns. */
#ifndef QMN_BASE_BYTES_H
#define QMN_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    const char *ptr;
    size_t len;
};

/* For printf("%.*s", BYTES_FMT(b)). */
#define BYTES_FMT(b)   (int)(b).len, (b).ptr ? (b).ptr : ""
#define BYTES_LIT(lit) ((struct bytes){(lit), sizeof(lit) - 1})

static inline struct bytes bytes_of(const void *ptr, size_t len)
{
    return (struct bytes){(const char *)ptr, len};
}

static inline struct bytes bytes_cstr(const char *s)
{
    return (struct bytes){s, s ? strlen(s) : 0};
}

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool bytes_is(struct bytes a, const char *s)
{
    return bytes_equal(a, bytes_cstr(s));
}

static inline bool bytes_starts(struct bytes a, struct bytes prefix)
{
    return a.len >= prefix.len && (prefix.len == 0 || memcmp(a.ptr, prefix.ptr, prefix.len) == 0);
}

/* Byte order; a proper prefix sorts first. */
static inline int bytes_compare(struct bytes a, struct bytes b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int c = n ? memcmp(a.ptr, b.ptr, n) : 0;
    return c ? c : (a.len > b.len) - (a.len < b.len);
}

/* A 64-bit hash (wyhash-like multiply-mix); not for adversarial inputs unless `seed` is secret. */
uint64_t bytes_hash(struct bytes b, uint64_t seed);

#endif
