/* SPDX-License-Identifier: MIT
 *
 * Size arithmetic that reports overflow: true means the result is valid. */
#ifndef QMN_BASE_CHECKED_H
#define QMN_BASE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>

static inline bool checked_add(size_t a, size_t b, size_t *ret)
{
    return !__builtin_add_overflow(a, b, ret);
}

static inline bool checked_mul(size_t a, size_t b, size_t *ret)
{
    return !__builtin_mul_overflow(a, b, ret);
}

#endif
