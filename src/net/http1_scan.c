/* SPDX-License-Identifier: MIT
 *
 * Finds the end of an HTTP/1 head, refusing on the way whatever a strict reader must not let pass:
 * the lines are CRLF, the names are tokens right before their colon, the values hold no control
 * characters, nothing is folded, and everything stays inside the limits.  Each refusal depends on
 * the first offending byte only, never on where the input was split. */
#include "http1_priv.h"

#include "base/limits.h"
#include "base/swar.h"

enum scan_state {
    AT_START = 0, /* a zeroed scan is a new one */
    AT_START_LF,
    IN_REQUEST_LINE,
    AT_REQUEST_LF,
    AT_FIELD,
    IN_NAME,
    IN_VALUE,
    AT_VALUE_LF,
    AT_END_LF
};

/* Longest method we know, two blanks, the version. */
enum { REQUEST_LINE_MAX = LIMIT_URI_BYTES + 32 };

/* RFC 9110's tchar: letters, digits and !#$%&'*+-.^_`|~ as a set of bits. */
static bool is_token(unsigned char c)
{
    static const uint64_t token[4] = {UINT64_C(0x03ff6cfa00000000), UINT64_C(0x57ffffffc7fffffe)};
    return token[c >> 6] >> (c & 63) & 1;
}

/* The first place from `pos` on, at most `end`, that holds a control character: below blank, or
 * DEL. */
static size_t find_control(const char *in, size_t pos, size_t end)
{
    for (; end - pos >= 8; pos += 8) {
        uint64_t v = swar_load(in + pos), stop = swar_below(v, 0x20) | swar_equal(v, 0x7f);
        if (stop)
            return pos + (size_t)(__builtin_ctzll(stop) >> 3);
    }
    while (pos < end && (unsigned char)in[pos] >= 0x20 && in[pos] != 0x7f)
        pos++;
    return pos;
}

size_t http1_value_end(const char *in, size_t pos, size_t end)
{
    pos = find_control(in, pos, end);
    while (pos < end && in[pos] == '\t')
        pos = find_control(in, pos + 1, end);
    return pos;
}

/* The same for a byte that no request line holds: those and the high ones. */
static size_t find_line_stop(const char *in, size_t pos, size_t end)
{
    for (; end - pos >= 8; pos += 8) {
        uint64_t v = swar_load(in + pos);
        uint64_t stop = (v & SWAR_HIGH) | swar_below(v, 0x20) | swar_equal(v, 0x7f);
        if (stop)
            return pos + (size_t)(__builtin_ctzll(stop) >> 3);
    }
    while (pos < end && (unsigned char)in[pos] >= 0x20 && (unsigned char)in[pos] < 0x7f)
        pos++;
    return pos;
}

static enum http1_step refuse(struct err *err, enum qmn_code code, const char *text)
{
    err_set(err, code, "%s", text);
    return HTTP1_REFUSED;
}

static enum http1_step scan_request_line(struct http1_scan *s, struct bytes in, struct err *err)
{
    size_t stop = s->line_start + REQUEST_LINE_MAX;
    size_t end = in.len < stop ? in.len : stop;
    s->pos = find_line_stop(in.ptr, s->pos, end);
    if (s->pos == stop)
        return refuse(err, QMN_E_URI_TOO_LONG, "the request line is longer than 8,224 bytes");
    if (s->pos == end)
        return HTTP1_MORE;
    if (in.ptr[s->pos] != '\r')
        return refuse(err, QMN_E_MALFORMED, "the request line holds a control or non-ASCII byte");
    s->pos++;
    s->state = AT_REQUEST_LF;
    return HTTP1_DONE;
}

static enum http1_step scan_name(struct http1_scan *s, struct bytes in, struct err *err)
{
    while (s->pos < in.len && is_token((unsigned char)in.ptr[s->pos]))
        s->pos++;
    if (s->pos == in.len)
        return HTTP1_MORE;
    if (in.ptr[s->pos] != ':')
        return refuse(err, QMN_E_MALFORMED, "a header name is not followed at once by a colon");
    s->pos++;
    s->state = IN_VALUE;
    return HTTP1_DONE;
}

static enum http1_step scan_value(struct http1_scan *s, struct bytes in, struct err *err)
{
    s->pos = http1_value_end(in.ptr, s->pos, in.len);
    if (s->pos == in.len)
        return HTTP1_MORE;
    if (in.ptr[s->pos] != '\r')
        return refuse(err, QMN_E_MALFORMED, "a header value holds a control character");
    s->pos++;
    s->state = AT_VALUE_LF;
    return HTTP1_DONE;
}

static enum http1_step scan_field_start(struct http1_scan *s, struct bytes in, struct err *err)
{
    unsigned char c = (unsigned char)in.ptr[s->pos];
    if (c == '\r') {
        s->pos++;
        s->state = AT_END_LF;
        return HTTP1_DONE;
    }
    if (c == ' ' || c == '\t')
        return refuse(err, QMN_E_MALFORMED, "a header line is folded");
    if (!is_token(c))
        return refuse(err, QMN_E_MALFORMED, "a header line does not begin with a name");
    if (++s->fields > LIMIT_HEADER_COUNT)
        return refuse(err, QMN_E_HEADERS_TOO_LARGE, "more than 100 header fields");
    s->state = IN_NAME;
    return HTTP1_DONE;
}

static enum http1_step scan_lf(struct http1_scan *s, struct bytes in, enum scan_state next,
                               struct err *err)
{
    if (in.ptr[s->pos] != '\n')
        return refuse(err, QMN_E_MALFORMED, "a CR is not followed by LF");
    s->pos++;
    s->state = (uint8_t)next;
    return HTTP1_DONE;
}

/* One empty line in front is let pass, as RFC 9112 section 2.2 asks. */
static enum http1_step scan_start(struct http1_scan *s, struct bytes in)
{
    if (in.ptr[s->pos] == '\r' && !s->skipped) {
        s->skipped = true;
        s->pos++;
        s->state = AT_START_LF;
        return HTTP1_DONE;
    }
    s->line_start = s->pos;
    s->state = IN_REQUEST_LINE;
    return HTTP1_DONE;
}

static enum http1_step scan_step(struct http1_scan *s, struct bytes in, struct err *err)
{
    switch ((enum scan_state)s->state) {
    case AT_START:
        return scan_start(s, in);
    case AT_START_LF:
        return scan_lf(s, in, AT_START, err);
    case IN_REQUEST_LINE:
        return scan_request_line(s, in, err);
    case AT_REQUEST_LF:
    case AT_VALUE_LF:
        return scan_lf(s, in, AT_FIELD, err);
    case AT_FIELD:
        return scan_field_start(s, in, err);
    case IN_NAME:
        return scan_name(s, in, err);
    case IN_VALUE:
        return scan_value(s, in, err);
    case AT_END_LF:
        break;
    }
    return scan_lf(s, in, AT_END_LF, err);
}

enum http1_step http1_scan(struct http1_scan *scan, struct bytes in, size_t *ret_len,
                           struct err *err)
{
    struct bytes bounded =
        bytes_of(in.ptr, in.len < LIMIT_HEADER_BYTES ? in.len : LIMIT_HEADER_BYTES);
    while (scan->pos < bounded.len) {
        bool last = scan->state == AT_END_LF;
        enum http1_step step = scan_step(scan, bounded, err);
        if (step == HTTP1_REFUSED)
            return step;
        if (last) {
            *ret_len = scan->pos;
            return HTTP1_DONE;
        }
    }
    if (scan->pos == LIMIT_HEADER_BYTES)
        return refuse(err, QMN_E_HEADERS_TOO_LARGE, "the head is larger than 16,384 bytes");
    return HTTP1_MORE;
}
