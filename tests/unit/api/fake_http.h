/* SPDX-License-Identifier: MIT
 *
 * The HTTP layer of cardboard: a request out of a few strings, through the handler, and the answer
 * as text.  It keeps net's promises: on_head before on_request, one answer, memory gone with it
 * (so that a sanitizer sees whoever touches it later). */
#ifndef QMN_TESTS_FAKE_HTTP_H
#define QMN_TESTS_FAKE_HTTP_H

#include "net/request.h"

struct fake_answer {
    unsigned answers; /* exactly 1 when all is well */
    int status;
    char headers[4096]; /* "Name: value\n" ... */
    char *body;         /* NUL-terminated; heap */
    size_t body_len;
    bool head_answered; /* answered in on_head, the body never asked for */
    bool streamed, ended;
    size_t body_limit;
    uint32_t extended_ms; /* by which the deadline was moved */
};

extern struct fake_answer got;

/* What request_stream_pending() says, and whether sends are accepted. */
extern size_t fake_pending;
extern bool fake_reader_gone;
extern struct timer *fake_timer; /* the armed one, NULL */

void fake_http_reset(void);
/* `headers`: "Name: value\n" lines, or NULL.  `body`: NULL for none.  Leaves its result in `got`;
 * a request not yet answered stays until it is. */
void fake_http(const struct handler *h, const char *method_and_target, const char *headers,
               const char *body);
void fake_http_bytes(const struct handler *h, const char *method_and_target, const char *headers,
                     struct bytes body, uint16_t listener);
/* The client of the request in progress leaves. */
void fake_http_leave(void);
/* Its deadline is over: somebody else has answered. */
void fake_http_expire(void);
void fake_http_fire_timer(void);
/* The value of an answer's header, "" if absent. */
const char *got_header(const char *name);

#endif
