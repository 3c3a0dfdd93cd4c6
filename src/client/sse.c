/* SPDX-License-Identifier: MIT
 *
 * Server-sent events as the HTML standard parses them (lines end with LF, CR LF or CR; "data" lines
 * of one event are joined by LF; a comment starts with a colon), from pieces of any size. */
#include "client_priv.h"

#include <stdio.h>
#include <string.h>

enum { SSE_LINE_MAX = 16 << 20 };

void sse_init(struct sse *s, bool (*event)(void *ctx, const struct client_event *e), void *ctx)
{
    *s = (struct sse){.event = event, .ctx = ctx};
    buf_init(&s->pending, SSE_LINE_MAX);
    buf_init(&s->data, SSE_LINE_MAX);
}

void sse_release(struct sse *s)
{
    buf_release(&s->pending);
    buf_release(&s->data);
}

static void dispatch(struct sse *s)
{
    if (s->data.len) {
        const struct client_event e = {
            .type = bytes_cstr(s->type[0] ? s->type : "message"),
            .id = bytes_cstr(s->id),
            .data = bytes_of(s->data.ptr, s->data.len - 1), /* the last line feed is not data */
        };
        s->stopped = !s->event(s->ctx, &e);
    }
    s->type[0] = '\0';
    buf_clear(&s->data);
}

static void take_line(struct sse *s, struct bytes line)
{
    if (line.len == 0) {
        dispatch(s);
        return;
    }
    const char *colon = memchr(line.ptr, ':', line.len);
    struct bytes name = bytes_of(line.ptr, colon ? (size_t)(colon - line.ptr) : line.len);
    struct bytes value = colon ? bytes_of(colon + 1, line.len - name.len - 1) : BYTES_LIT("");
    if (value.len && value.ptr[0] == ' ')
        value = bytes_of(value.ptr + 1, value.len - 1);
    if (bytes_is(name, "data")) {
        buf_addb(&s->data, value);
        buf_addc(&s->data, '\n');
        s->failed = !buf_ok(&s->data);
    } else if (bytes_is(name, "event")) {
        snprintf(s->type, sizeof s->type, "%.*s", BYTES_FMT(value));
    } else if (bytes_is(name, "id")) {
        snprintf(s->id, sizeof s->id, "%.*s", BYTES_FMT(value));
    }
}

bool sse_feed(struct sse *s, struct bytes piece)
{
    buf_addb(&s->pending, piece);
    s->failed |= !buf_ok(&s->pending);
    size_t from = 0;
    while (!s->stopped && !s->failed) {
        const char *start = s->pending.ptr + from;
        size_t left = s->pending.len - from, len = 0;
        while (len < left && start[len] != '\n' && start[len] != '\r')
            len++;
        /* A CR at the very end may be half of a CR LF. */
        if (len == left || (start[len] == '\r' && len + 1 == left))
            break;
        take_line(s, bytes_of(start, len));
        from += len + 1 + (start[len] == '\r' && start[len + 1] == '\n');
    }
    buf_consume(&s->pending, from);
    return !s->stopped && !s->failed;
}
