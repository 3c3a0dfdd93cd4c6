/* SPDX-License-Identifier: MIT
 *
 * Result codes and failure details. */
#define ERR_IMPLEMENTATION
#include "err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct code_info code_table[QMN_CODE_COUNT] = {
#define QMN_CODE_ROW(name, http, grpc, retry, wire, title)                                         \
    [QMN_##name] = {http, grpc, retry, wire, title},
    QMN_CODES(QMN_CODE_ROW)
#undef QMN_CODE_ROW
};

const struct code_info *code_info(enum qmn_code code)
{
    if ((unsigned)code >= QMN_CODE_COUNT)
        code = QMN_E_INTERNAL;
    return &code_table[code];
}

QMN_PRINTF(5, 0)
static void err_fill(struct err *e, enum qmn_code code, const char *field, uint32_t retry_after_s,
                     const char *fmt, va_list args)
{
    if (!e)
        return;
    e->code = code;
    e->retry_after_s = retry_after_s;
    snprintf(e->field, sizeof e->field, "%s", field ? field : "");
    vsnprintf(e->text, sizeof e->text, fmt, args);
}

enum qmn_code err_set(struct err *e, enum qmn_code code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    err_fill(e, code, NULL, 0, fmt, args);
    va_end(args);
    return code;
}

enum qmn_code err_field(struct err *e, enum qmn_code code, const char *field, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    err_fill(e, code, field, 0, fmt, args);
    va_end(args);
    return code;
}

enum qmn_code err_retry(struct err *e, enum qmn_code code, uint32_t retry_after_s, const char *fmt,
                        ...)
{
    va_list args;
    va_start(args, fmt);
    err_fill(e, code, NULL, retry_after_s, fmt, args);
    va_end(args);
    return code;
}

enum qmn_code err_nomem(struct err *e)
{
    return err_set(e, QMN_E_NOMEM, "out of memory");
}
