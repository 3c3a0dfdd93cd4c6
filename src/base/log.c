/* SPDX-License-Identifier: MIT
 *
 * One line per event, written with one write(2), so that lines of several threads never mix. */
#include "log.h"

#include <assert.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "buf.h"
#include "clock.h"

enum {
    LOG_LINE_BYTES = 8192,
    LOG_VALUE_BYTES = 1024,
    LOG_END_BYTES = 16, /* `,"cut":true}` and the newline */
};

static _Atomic int current_level = LOG_INFO;
static _Atomic int current_format = LOG_LOGFMT;

static const char *const level_names[] = {
    [LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warn", [LOG_ERROR] = "error"};

void log_configure(enum log_level level, enum log_format format)
{
    current_level = (int)level;
    current_format = (int)format;
}

bool log_level_parse(struct bytes text, enum log_level *ret)
{
    for (int i = LOG_DEBUG; i <= LOG_ERROR; i++)
        if (text.len == strlen(level_names[i]) &&
            strncasecmp(text.ptr, level_names[i], text.len) == 0) {
            *ret = (enum log_level)i;
            return true;
        }
    if (text.len == 7 && strncasecmp(text.ptr, "warning", 7) == 0) {
        *ret = LOG_WARN;
        return true;
    }
    return false;
}

const char *log_level_name(enum log_level level)
{
    return level_names[level];
}

bool log_enabled(enum log_level level)
{
    return (int)level >= atomic_load_explicit(&current_level, memory_order_relaxed);
}

static void add_quoted(struct buf *b, struct bytes text)
{
    size_t n = text.len > LOG_VALUE_BYTES ? LOG_VALUE_BYTES : text.len;
    buf_addc(b, '"');
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c == '"' || c == '\\') {
            buf_addc(b, '\\');
            buf_addc(b, (char)c);
        } else if (c < 0x20 || c >= 0x7f) {
            buf_printf(b, "\\u%04x",
                       c); /* bytes, not code points: the line stays ASCII whatever came */
        } else {
            buf_addc(b, (char)c);
        }
    }
    buf_addc(b, '"');
}

static bool plain_word(struct bytes text)
{
    if (!text.len || text.len > LOG_VALUE_BYTES)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c <= ' ' || c >= 0x7f || c == '"' || c == '=' || c == '\\')
            return false;
    }
    return true;
}

/* A key that stands twice is refused by one reader and believed by another. */
static bool name_is_free(const char *name)
{
    static const char *const taken[] = {"time", "level", "event", "cut"};
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        if (strcmp(name, taken[i]) == 0)
            return false;
    return true;
}

static void add_field(struct buf *b, const struct log_field *f, bool json)
{
    assert(name_is_free(f->name));
    buf_printf(b, json ? ",\"%s\":" : " %s=", f->name);
    if (f->type == LOG_FIELD_INT)
        buf_printf(b, "%lld", (long long)f->integer);
    else if (f->type == LOG_FIELD_FLOAT && (isfinite(f->real) || !json))
        buf_printf(b, "%.6g", f->real);
    else if (f->type == LOG_FIELD_FLOAT)
        buf_adds(b, "null"); /* JSON has no word for NaN and infinity */
    else if (!json && plain_word(f->text))
        buf_addb(b, f->text);
    else
        add_quoted(b, f->text);
}

void log_event(enum log_level level, const char *event, const struct log_field *fields,
               size_t count)
{
    bool json = current_format == LOG_JSON;
    char when[CLOCK_TEXT_SIZE];
    clock_format(clock_now_ms(&clock_system), when);
    struct buf b;
    buf_init(&b, LOG_LINE_BYTES - LOG_END_BYTES);
    buf_printf(&b,
               json ? "{\"time\":\"%s\",\"level\":\"%s\",\"event\":\"%s\""
                    : "time=%s level=%s event=\"%s\"",
               when, level_names[level], event);
    bool cut = false;
    for (size_t i = 0; i < count && !cut; i++) {
        size_t before = b.len;
        add_field(&b, &fields[i], json);
        cut = !buf_ok(&b);
        if (cut)
            b.len = before;
    }
    b.failed = false;
    b.max += LOG_END_BYTES; /* kept back, so that a line always ends and never runs into the next */
    if (cut)
        buf_adds(&b, json ? ",\"cut\":true" : " cut=true");
    buf_adds(&b, json ? "}\n" : "\n");
    ssize_t n = write(STDERR_FILENO, b.ptr, b.len);
    (void)n; /* nowhere left to report it */
    buf_release(&b);
}
