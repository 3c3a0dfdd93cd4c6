/* SPDX-License-Identifier: MIT
 *
 * HTTP/1.1 without I/O: bytes in, requests or refusals out, and the bytes of an answer's head.
 *
 * A head is found by our own strict scanner (http1_scan.c), and only a whole head reaches llhttp
 * and the checks on top of it (http1_head.c).  So what a request means never depends on how its
 * bytes were split into packets.  Bodies are counted (Content-Length) or decoded (http1_chunk.c) by
 * us; two readings of the framing, llhttp's and ours, must agree.
 *
 * Refused, with the code that tells the status (see code.h); the connection is closed after each:
 *   400 bare LF, CR without LF, control characters, obs-fold, white space before the colon, a line
 *       without colon, a request line that is not "METHOD target HTTP/d.d", absolute-form and
 *       other targets that do not begin with '/', no Host or several on 1.1, several or malformed
 *       Content-Length, Content-Length with Transfer-Encoding, Transfer-Encoding on 1.0, bad chunks
 *   413 body above the request's limit        414 target above LIMIT_URI_BYTES
 *   417 an Expect other than 100-continue     431 head above LIMIT_HEADER_BYTES or _COUNT
 *   501 unknown method, CONNECT, a transfer coding other than chunked
 *   505 a version other than 1.0 and 1.1 (the HTTP/2 preface too, until that codec is there)
 * 411 is never sent: a request without Content-Length and Transfer-Encoding has no body. */
#ifndef QMN_NET_HTTP1_PRIV_H
#define QMN_NET_HTTP1_PRIV_H

#include "base/buf.h"
#include "base/err.h"
#include "net/request.h"

enum http1_step { HTTP1_MORE = 1, HTTP1_DONE, HTTP1_REFUSED };

/* ---- the head, found ---- */

struct http1_scan {
    size_t pos;        /* scanned so far */
    size_t line_start; /* of the request line */
    uint32_t fields;
    uint8_t state;
    bool skipped; /* an empty line before the request line */
};

/* `in` begins at the message's first byte; call again with the same bytes and more.
 * DONE: the head is in[scan->line_start .. *ret_len). */
enum http1_step http1_scan(struct http1_scan *scan, struct bytes in, size_t *ret_len,
                           struct err *err);

/* The first place in in[pos .. end) that no header value may hold: a control character other than
 * the tab; else `end`. */
size_t http1_value_end(const char *in, size_t pos, size_t end);

/* ---- the head, understood ---- */

struct http1_framing {
    uint64_t content_length;
    bool chunked;
    bool http10;
    bool keep_alive;
    bool expect_continue;
};

/* `head` is a whole head as found by the scanner.  Copies it into req->arena and fills the
 * request's method, target, path, query and headers (`fields` of them).  On refusal the method may
 * be set. */
QMN_NODISCARD enum qmn_code http1_parse_head(struct bytes head, uint32_t fields,
                                             struct request *req, struct http1_framing *ret_framing,
                                             struct err *err);

/* ---- chunked bodies ---- */

struct http1_chunk {
    uint64_t left;     /* of the chunk being read */
    uint32_t overhead; /* bytes of extensions and trailers */
    uint8_t state, digits;
};

/* Decodes into `body` (NULL: discards), which refuses past `limit` bytes. */
enum http1_step http1_chunk_feed(struct http1_chunk *chunk, struct bytes in, size_t limit,
                                 size_t *total, struct buf *body, size_t *ret_used,
                                 struct err *err);

/* ---- the body of one request, either way ---- */

struct http1_body {
    struct http1_framing framing;
    size_t limit;
    bool discard;
    /* Content-Length: `fixed` has room for fixed_len bytes; owned here unless adopted */
    char *fixed;
    bool adopted;
    size_t fixed_len, have;
    /* chunked; `have` counts decoded bytes */
    struct http1_chunk chunk;
    struct buf decoded;
};

/* Refuses a declared length above the limit.  Allocates nothing yet. */
QMN_NODISCARD enum qmn_code http1_body_begin(struct http1_body *b,
                                             const struct http1_framing *framing, size_t limit,
                                             bool discard, struct err *err);
/* Lets the body lie where its first bytes already are: `at` has room for all of it and outlives b.
 * Fixed length only. */
void http1_body_adopt(struct http1_body *b, char *at, size_t have);
enum http1_step http1_body_feed(struct http1_body *b, struct bytes in, size_t *ret_used,
                                struct err *err);
/* Where the rest of a fixed-length body goes when it is read straight from the socket; NULL when
 * there is no such place (chunked, discarded, out of memory).  Then http1_body_filled. */
char *http1_body_room(struct http1_body *b, size_t *ret_len);
enum http1_step http1_body_filled(struct http1_body *b, size_t n);
/* The whole body, borrowed from b. */
struct bytes http1_body_bytes(const struct http1_body *b);
/* Heap held. */
size_t http1_body_held(const struct http1_body *b);
void http1_body_release(struct http1_body *b);

/* ---- answers ---- */

enum http1_length { HTTP1_LENGTH_NONE = 1, HTTP1_LENGTH_KNOWN, HTTP1_LENGTH_CHUNKED };

struct http1_answer_head {
    int status;
    const struct header *headers;
    size_t header_count;
    enum http1_length length_kind;
    size_t length;
    const char *date;
    uint32_t retry_after_s; /* 0: no such header */
    bool close;             /* "Connection: close" */
    bool keep_alive;        /* "Connection: keep-alive", for 1.0 */
};

/* A header whose name or value holds a control character is left out: it could forge a header. */
void http1_write_head(struct buf *out, const struct http1_answer_head *head);
/* Fits any chunk's size line: 16 digits and CRLF. */
enum { HTTP1_CHUNK_HEAD = 18 };
size_t http1_write_chunk_head(char ret[HTTP1_CHUNK_HEAD], size_t len);

#endif
