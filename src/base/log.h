/* SPDX-License-Identifier: MIT
 *
 * Structured logs, one event a line, logfmt or JSON, to stderr.  Fields are typed; values are
 * escaped, so hostile text cannot forge a line.  Never log content, vectors or secrets.  Any
 * thread. */
#ifndef QMN_BASE_LOG_H
#define QMN_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "bytes.h"

enum log_level { LOG_DEBUG = 1, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_LOGFMT = 1, LOG_JSON };

enum log_field_type { LOG_FIELD_TEXT = 1, LOG_FIELD_INT, LOG_FIELD_FLOAT };

struct log_field {
    enum log_field_type type;
    const char *name;
    struct bytes text;
    int64_t integer;
    double real;
};

#define LOG_T(field, bytes_value)                                                                  \
    ((struct log_field){.type = LOG_FIELD_TEXT, .name = (field), .text = (bytes_value)})
#define LOG_S(field, cstr) LOG_T((field), bytes_cstr(cstr))
#define LOG_I(field, value)                                                                        \
    ((struct log_field){.type = LOG_FIELD_INT, .name = (field), .integer = (int64_t)(value)})
#define LOG_F(field, value)                                                                        \
    ((struct log_field){.type = LOG_FIELD_FLOAT, .name = (field), .real = (double)(value)})

void log_configure(enum log_level level, enum log_format format);
/* "debug", "info", "warn"/"warning", "error", any case; false if unknown. */
bool log_level_parse(struct bytes text, enum log_level *ret);
const char *log_level_name(enum log_level level);
bool log_enabled(enum log_level level);
/* `event` is a short constant sentence.  No field is named time, level, event or cut, which every
 * line may have: tools/layers.py sees to it, and an assertion where the name is not a literal. */
void log_event(enum log_level level, const char *event, const struct log_field *fields,
               size_t count);

#define LOG_AT(level, event, ...)                                                                  \
    do {                                                                                           \
        if (log_enabled(level)) {                                                                  \
            const struct log_field log_fields_[] = {__VA_ARGS__};                                  \
            log_event(level, event, log_fields_, sizeof log_fields_ / sizeof log_fields_[0]);      \
        }                                                                                          \
    } while (0)
#define log_info(event, ...)  LOG_AT(LOG_INFO, event, __VA_ARGS__)
#define log_warn(event, ...)  LOG_AT(LOG_WARN, event, __VA_ARGS__)
#define log_error(event, ...) LOG_AT(LOG_ERROR, event, __VA_ARGS__)
#define log_debug(event, ...) LOG_AT(LOG_DEBUG, event, __VA_ARGS__)

#endif
