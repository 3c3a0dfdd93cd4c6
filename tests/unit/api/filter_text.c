/* SPDX-License-Identifier: MIT */
#include "filter_text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

static char text[1 << 16];
static size_t len;

static void __attribute__((format(printf, 1, 2))) put(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text + len, sizeof text - len, fmt, args);
    va_end(args);
    len += n > 0 ? (size_t)n : 0;
    if (len >= sizeof text)
        len = sizeof text - 1;
}

static void put_value(const struct filter_value *v)
{
    static const char *const words[] = {
        [FILTER_NULL] = "null", [FILTER_FALSE] = "false", [FILTER_TRUE] = "true"};
    if (v->type == FILTER_NUMBER)
        put("%.17g", v->number);
    else if (v->type == FILTER_TEXT)
        put("%.*s", BYTES_FMT(v->text));
    else if (v->type == FILTER_WHOLE)
        put("%" PRId64, v->whole);
    else
        put("%s", words[v->type]);
}

static void put_condition(const struct memory_filter *f)
{
    static const char *const names[] = {"",        "kind",    "agent",   "task",
                                        "trace",   "",        "quality", "sensitivity",
                                        "created", "updated", "expires"};
    static const char *const ops[] = {
        [FILTER_ABOVE] = ">", [FILTER_FROM] = ">=", [FILTER_BELOW] = "<", [FILTER_UPTO] = "<="};
    if (f->field == FILTER_METADATA)
        put("%.*s ", BYTES_FMT(f->path));
    else
        put("%s ", names[f->field]);
    if (f->op == FILTER_EXISTS) {
        put("exists");
    } else if (f->op == FILTER_IN) {
        put("in[");
        for (size_t i = 0; i < f->count; i++) {
            put("%s", i ? " " : "");
            put_value(&f->values[i]);
        }
        put("]");
    } else {
        put("%s ", ops[f->op]);
        put_value(&f->values[0]);
    }
}

static void put_filter(const struct memory_filter *f)
{
    static const char *const names[] = {
        [FILTER_AND] = "(", [FILTER_OR] = "or(", [FILTER_NOT] = "not("};
    if (f->op > FILTER_NOT) {
        put_condition(f);
        return;
    }
    if (f->op == FILTER_AND && f->parts && !f->parts->next) {
        put_filter(f->parts);
        return;
    }
    put("%s", names[f->op]);
    for (const struct memory_filter *p = f->parts; p; p = p->next) {
        put_filter(p);
        put("%s", p->next ? " " : "");
    }
    put(")");
}

const char *filter_text(const struct memory_filter *f)
{
    len = 0;
    text[0] = '\0';
    put_filter(f);
    return text;
}
