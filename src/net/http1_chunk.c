/* SPDX-License-Identifier: MIT
 *
 * Chunked bodies, read to the letter of RFC 9112 section 7.1 and no further: CRLF line ends only,
 * no blanks around a size, at most eight digits.  Extensions and trailers are checked for form,
 * counted against the head's limit, and dropped.  llhttp could do this but forgives more; the fuzz
 * target holds the two against each other. */
#include "http1_priv.h"

#include <string.h>

#include "base/limits.h"

enum chunk_state {
    AT_SIZE = 0, /* a zeroed decoder is a new one */
    IN_SIZE,
    IN_EXTENSION,
    AT_SIZE_LF,
    IN_DATA,
    AT_DATA_CR,
    AT_DATA_LF,
    AT_TRAILER,
    IN_TRAILER_NAME,
    IN_TRAILER_VALUE,
    AT_TRAILER_LF,
    AT_END_LF
};

enum { SIZE_DIGITS = 8 };

static enum http1_step bad(struct err *err, const char *text)
{
    err_set(err, QMN_E_MALFORMED, "%s", text);
    return HTTP1_REFUSED;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool is_text(char c)
{
    unsigned char u = (unsigned char)c;
    return u == '\t' || (u >= 0x20 && u != 0x7f);
}

static enum http1_step too_large(struct err *err, size_t limit)
{
    err_set(err, QMN_E_TOO_LARGE, "the body is larger than %zu bytes", limit);
    return HTTP1_REFUSED;
}

static enum http1_step size_byte(struct http1_chunk *k, char c, struct err *err)
{
    int v = hex_value(c);
    if (v >= 0) {
        if (++k->digits > SIZE_DIGITS)
            return bad(err, "a chunk size has more than 8 digits");
        k->left = k->left * 16 + (uint64_t)v;
        k->state = IN_SIZE;
        return HTTP1_MORE;
    }
    if (k->state == AT_SIZE || (c != '\r' && c != ';'))
        return bad(err, "a chunk size is not a hexadecimal number");
    k->state = c == ';' ? IN_EXTENSION : AT_SIZE_LF;
    return HTTP1_MORE;
}

static enum http1_step lf_byte(struct http1_chunk *k, char c, enum chunk_state next,
                               struct err *err)
{
    if (c != '\n')
        return bad(err, "a line of the chunked body does not end in CRLF");
    k->state = (uint8_t)next;
    return HTTP1_MORE;
}

static enum http1_step text_byte(struct http1_chunk *k, char c, enum chunk_state next,
                                 struct err *err)
{
    if (c == '\r') {
        k->state = (uint8_t)next;
        return HTTP1_MORE;
    }
    return is_text(c) ? HTTP1_MORE
                      : bad(err, "a control character stands in the chunked body's framing");
}

static enum http1_step trailer_byte(struct http1_chunk *k, char c, struct err *err)
{
    bool first = k->state == AT_TRAILER;
    if (first && c == '\r') {
        k->state = AT_END_LF;
        return HTTP1_MORE;
    }
    if (!first && c == ':') {
        k->state = IN_TRAILER_VALUE;
        return HTTP1_MORE;
    }
    if (c <= ' ' || c > '~' || strchr("\"(),/:;<=>?@[\\]{}", c))
        return bad(err, "a trailer is not \"name: value\"");
    k->state = IN_TRAILER_NAME;
    return HTTP1_MORE;
}

/* One byte of framing. */
static enum http1_step framing_byte(struct http1_chunk *k, char c, struct err *err)
{
    switch ((enum chunk_state)k->state) {
    case AT_SIZE:
    case IN_SIZE:
        return size_byte(k, c, err);
    case IN_EXTENSION:
        return text_byte(k, c, AT_SIZE_LF, err);
    case AT_SIZE_LF:
        return lf_byte(k, c, k->left ? IN_DATA : AT_TRAILER, err);
    case AT_DATA_CR:
        if (c != '\r')
            return bad(err, "a chunk is longer than its size");
        k->state = AT_DATA_LF;
        return HTTP1_MORE;
    case AT_DATA_LF:
        k->digits = 0;
        return lf_byte(k, c, AT_SIZE, err);
    case AT_TRAILER:
    case IN_TRAILER_NAME:
        return trailer_byte(k, c, err);
    case IN_TRAILER_VALUE:
        return text_byte(k, c, AT_TRAILER_LF, err);
    case AT_TRAILER_LF:
        return lf_byte(k, c, AT_TRAILER, err);
    case AT_END_LF:
        return c == '\n' ? HTTP1_DONE : bad(err, "the chunked body does not end in CRLF");
    case IN_DATA:
        break;
    }
    return bad(err, "malformed chunked body");
}

static bool counts_as_overhead(const struct http1_chunk *k)
{
    return k->state == IN_EXTENSION || k->state >= AT_TRAILER;
}

static size_t take_data(struct http1_chunk *k, struct bytes in, size_t *total, struct buf *body)
{
    size_t n = in.len < k->left ? in.len : (size_t)k->left;
    if (body)
        buf_add(body, in.ptr, n);
    *total += n;
    k->left -= n;
    if (!k->left)
        k->state = AT_DATA_CR;
    return n;
}

enum http1_step http1_chunk_feed(struct http1_chunk *chunk, struct bytes in, size_t limit,
                                 size_t *total, struct buf *body, size_t *ret_used, struct err *err)
{
    size_t i = 0;
    while (i < in.len) {
        if (chunk->state == IN_DATA) {
            i += take_data(chunk, bytes_of(in.ptr + i, in.len - i), total, body);
            if (body && !buf_ok(body)) {
                err_nomem(err);
                return HTTP1_REFUSED;
            }
            continue;
        }
        if (counts_as_overhead(chunk) && ++chunk->overhead > LIMIT_HEADER_BYTES) {
            err_set(err, QMN_E_HEADERS_TOO_LARGE,
                    "chunk extensions and trailers are larger than 16,384 bytes");
            return HTTP1_REFUSED;
        }
        enum http1_step step = framing_byte(chunk, in.ptr[i++], err);
        if (step != HTTP1_MORE) {
            *ret_used = i;
            return step;
        }
        if (chunk->state == IN_DATA && chunk->left > limit - *total)
            return too_large(err, limit);
    }
    *ret_used = i;
    return HTTP1_MORE;
}
