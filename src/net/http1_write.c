/* SPDX-License-Identifier: MIT
 *
 * The head of an HTTP/1 answer, put together without printf. */
#include "http1_priv.h"

#include <string.h>

static const char *reason(int status)
{
    static const char *const text[] = {
        [100] = "Continue",
        [200] = "OK",
        [201] = "Created",
        [202] = "Accepted",
        [204] = "No Content",
        [206] = "Partial Content",
        [301] = "Moved Permanently",
        [302] = "Found",
        [303] = "See Other",
        [304] = "Not Modified",
        [307] = "Temporary Redirect",
        [308] = "Permanent Redirect",
        [400] = "Bad Request",
        [401] = "Unauthorized",
        [403] = "Forbidden",
        [404] = "Not Found",
        [405] = "Method Not Allowed",
        [406] = "Not Acceptable",
        [408] = "Request Timeout",
        [409] = "Conflict",
        [410] = "Gone",
        [411] = "Length Required",
        [412] = "Precondition Failed",
        [413] = "Content Too Large",
        [414] = "URI Too Long",
        [415] = "Unsupported Media Type",
        [416] = "Range Not Satisfiable",
        [417] = "Expectation Failed",
        [422] = "Unprocessable Content",
        [428] = "Precondition Required",
        [429] = "Too Many Requests",
        [431] = "Request Header Fields Too Large",
        [500] = "Internal Server Error",
        [501] = "Not Implemented",
        [502] = "Bad Gateway",
        [503] = "Service Unavailable",
        [504] = "Gateway Timeout",
        [505] = "HTTP Version Not Supported",
        [507] = "Insufficient Storage",
    };
    const char *t = status >= 0 && (size_t)status < ARRAY_LEN(text) ? text[status] : NULL;
    return t ? t : "Status"; /* RFC 9112: clients ignore it */
}

static void put(struct buf *out, struct bytes b)
{
    buf_addb(out, b);
}

static void put_number(struct buf *out, size_t n)
{
    char digits[24];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    buf_add(out, digits + at, sizeof digits - at);
}

static bool is_clean(struct bytes b)
{
    return http1_value_end(b.ptr, 0, b.len) == b.len;
}

static void put_header(struct buf *out, struct bytes name, struct bytes value)
{
    put(out, name);
    buf_add(out, ": ", 2);
    put(out, value);
    buf_add(out, "\r\n", 2);
}

void http1_write_head(struct buf *out, const struct http1_answer_head *head)
{
    put(out, BYTES_LIT("HTTP/1.1 "));
    put_number(out, (size_t)head->status);
    buf_addc(out, ' ');
    buf_adds(out, reason(head->status));
    put(out, BYTES_LIT("\r\nDate: "));
    buf_adds(out, head->date);
    put(out, BYTES_LIT("\r\n"));
    for (size_t i = 0; i < head->header_count; i++) {
        const struct header *h = &head->headers[i];
        if (h->name.len && is_clean(h->name) && is_clean(h->value))
            put_header(out, h->name, h->value);
    }
    if (head->retry_after_s) {
        put(out, BYTES_LIT("Retry-After: "));
        put_number(out, head->retry_after_s);
        put(out, BYTES_LIT("\r\n"));
    }
    if (head->length_kind == HTTP1_LENGTH_KNOWN) {
        put(out, BYTES_LIT("Content-Length: "));
        put_number(out, head->length);
        put(out, BYTES_LIT("\r\n"));
    } else if (head->length_kind == HTTP1_LENGTH_CHUNKED) {
        put(out, BYTES_LIT("Transfer-Encoding: chunked\r\n"));
    }
    if (head->close)
        put(out, BYTES_LIT("Connection: close\r\n"));
    else if (head->keep_alive)
        put(out, BYTES_LIT("Connection: keep-alive\r\n"));
    put(out, BYTES_LIT("\r\n"));
}

size_t http1_write_chunk_head(char ret[HTTP1_CHUNK_HEAD], size_t len)
{
    char digits[16];
    size_t at = sizeof digits;
    do {
        digits[--at] = "0123456789abcdef"[len & 15];
        len >>= 4;
    } while (len);
    size_t n = sizeof digits - at;
    memcpy(ret, digits + at, n);
    memcpy(ret + n, "\r\n", 2);
    return n + 2;
}
