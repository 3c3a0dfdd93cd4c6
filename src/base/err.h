/* SPDX-License-Identifier: MIT
 *
 * The detail of one failure: which code, which field, and a sentence that says what came and what
 * was expected. The text reaches clients, so it never holds SQL, file paths of the node, or
 * secrets. */
#ifndef QMN_BASE_ERR_H
#define QMN_BASE_ERR_H

#include <stdint.h>

#include "attr.h"
#include "code.h"

struct err {
    enum qmn_code code;
    uint32_t retry_after_s; /* 0: no advice */
    char field[80];         /* request field at fault, e.g. "profile.embedding"; empty if none */
    char text[320];
};

/* Each sets *e (which may be NULL) and returns `code`, so that a failure is one line:
 *     return err_set(err, QMN_E_INVALID, "..."); */
enum qmn_code err_set(struct err *e, enum qmn_code code, const char *fmt, ...) QMN_PRINTF(3, 4);
enum qmn_code err_field(struct err *e, enum qmn_code code, const char *field, const char *fmt, ...)
    QMN_PRINTF(4, 5);
enum qmn_code err_retry(struct err *e, enum qmn_code code, uint32_t retry_after_s, const char *fmt,
                        ...) QMN_PRINTF(4, 5);
enum qmn_code err_nomem(struct err *e);

/* Told to the static analyzer alone: a failure is never QMN_OK.  Without it every `return
 * err_set(...)` might have succeeded, and all outputs it leaves untouched look used uninitialised.
 */
#if defined(__clang_analyzer__) && !defined(ERR_IMPLEMENTATION)
#define err_set(e, code, ...)          (err_set((e), (code), __VA_ARGS__), (code))
#define err_field(e, code, field, ...) (err_field((e), (code), (field), __VA_ARGS__), (code))
#define err_retry(e, code, after, ...) (err_retry((e), (code), (after), __VA_ARGS__), (code))
#define err_nomem(e)                   (err_nomem(e), QMN_E_NOMEM)
#endif

#endif
