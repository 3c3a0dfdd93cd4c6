/* SPDX-License-Identifier: MIT
 *
 * Compiler attributes, the one control-flow macro and scope-bound clean-up. */
#ifndef QMN_BASE_ATTR_H
#define QMN_BASE_ATTR_H

#define QMN_NODISCARD         __attribute__((warn_unused_result))
#define QMN_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define QMN_UNUSED            __attribute__((unused))
#define QMN_LIKELY(x)         __builtin_expect(!!(x), 1)
#define QMN_UNLIKELY(x)       __builtin_expect(!!(x), 0)

/* An array on a hot path that is written before it is read: the builds that zero what a function
 * forgets to set leave it alone. */
#if defined(__has_attribute) && __has_attribute(uninitialized)
#define QMN_UNINIT __attribute__((uninitialized))
#else
#define QMN_UNINIT
#endif

/* Runs `fn` on the variable's address when it leaves scope. */
#define CLEANUP(fn) __attribute__((cleanup(fn)))

/* Moves ownership out of a CLEANUP variable: yields the pointer and leaves NULL behind. */
#define TAKE(ptr)                                                                                  \
    __extension__({                                                                                \
        __typeof__(ptr) take_ = (ptr);                                                             \
        (ptr) = NULL;                                                                              \
        take_;                                                                                     \
    })

/* Returns from the calling function with the code of `expr` unless that is QMN_OK. */
#define TRY(expr)                                                                                  \
    do {                                                                                           \
        enum qmn_code try_ = (expr);                                                               \
        if (QMN_UNLIKELY(try_ != QMN_OK))                                                          \
            return try_;                                                                           \
    } while (0)

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member)                                                            \
    ((type *)(void *)((char *)(ptr) - __builtin_offsetof(type, member)))

#endif
