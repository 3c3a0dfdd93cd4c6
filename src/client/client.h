/* SPDX-License-Identifier: MIT
 *
 * A client of one node over HTTP: one connection, kept open between calls.  Requests and answers
 * are the messages of proto/qmn/v1; a refusal comes back as the code and the sentence of the
 * server's problem document.
 *
 * codec_init() must have run.  A client belongs to one thread at a time. */
#ifndef QMN_CLIENT_CLIENT_H
#define QMN_CLIENT_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

struct client_config {
    const char *url;             /* "http://127.0.0.1:8022", a path in it is kept as a prefix */
    const char *key;             /* API key; NULL: none */
    const char *tenant;          /* X-Tenant-ID; NULL: the key's own */
    uint32_t connect_timeout_ms; /* 0: 5 s */
    uint32_t timeout_ms;         /* of a whole call; 0: 30 s */
};

struct client;

/* Copies the configuration; does not connect yet.  QMN_E_INVALID: the URL or a header is not one.
 */
QMN_NODISCARD enum qmn_code client_new(const struct client_config *config, struct client **ret,
                                       struct err *err);
/* Wipes the key. */
void client_free(struct client *c);
/* Acts for another tenant from the next call on (NULL: the key's own). */
QMN_NODISCARD enum qmn_code client_set_tenant(struct client *c, const char *tenant,
                                              struct err *err);
QMN_NODISCARD enum qmn_code client_set_key(struct client *c, const char *key, struct err *err);

/* Called about once a second while a call waits; NULL: not. */
void client_set_tick(struct client *c, void (*tick)(void *ctx), void *ctx);

struct client_call {
    const char *method;                         /* "GET", "POST", ... */
    const char *path;                           /* "/v1/agents?limit=5", see client_path */
    const ProtobufCMessage *request;            /* NULL: no body */
    const ProtobufCMessageDescriptor *response; /* NULL: the body is not decoded */
    const char *idempotency_key;                /* NULL: none */
    uint32_t timeout_ms;                        /* 0: the client's */
};

struct client_answer {
    int status;
    struct bytes body;         /* as received */
    ProtobufCMessage *message; /* NULL when there is no body or no descriptor */
};

/* One call; the answer lives in the arena.  An HTTP error is an error here, with the server's code,
 * field and text.  QMN_E_UNAVAILABLE with client_unreachable(): nobody answered. */
QMN_NODISCARD enum qmn_code client_send(struct client *c, const struct client_call *call,
                                        struct arena *arena, struct client_answer *ret,
                                        struct err *err);
/* The same with a body as it is in place of a message; sent as JSON lines. */
QMN_NODISCARD enum qmn_code client_send_lines(struct client *c, const struct client_call *call,
                                              struct bytes lines, struct arena *arena,
                                              struct client_answer *ret, struct err *err);
/* True if the last call failed before any answer came. */
bool client_unreachable(const struct client *c);
/* "127.0.0.1:8022", for messages. */
const char *client_address(const struct client *c);

/* Paths: segments and values are percent-encoded; query picks '?' or '&'.  NULL or "" adds
 * nothing. */
void client_path_segment(struct buf *path, const char *text);
void client_path_query(struct buf *path, const char *name, const char *value);
void client_path_query_int(struct buf *path, const char *name, int64_t value);

/* ---- server-sent events ---- */

struct client_event {
    struct bytes type, id, data; /* valid during the callback */
};

/* Reads events until the callback returns false (QMN_OK), the server ends the stream (QMN_OK) or it
 * breaks.  A silence of idle_timeout_ms ends it too (0: never).  last_id resumes; NULL: from the
 * start. */
QMN_NODISCARD enum qmn_code client_stream(struct client *c, const char *path, const char *last_id,
                                          uint32_t idle_timeout_ms,
                                          bool (*event)(void *ctx, const struct client_event *e),
                                          void *ctx, struct err *err);
/* True if the last stream began: the server took it, however it ended. */
bool client_stream_begun(const struct client *c);

#endif
