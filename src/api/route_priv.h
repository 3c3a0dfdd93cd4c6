/* SPDX-License-Identifier: MIT
 *
 * The one HTTP mapping of the system.  A route says where a call lives, who may make it and what
 * becomes of it; its operation says how messages become engine calls and back.  The table drives
 * dispatch, the OpenAPI document and the tenant-isolation tests: what it does not say does not
 * exist.
 *
 * Everything is immutable after router_new.  Any thread. */
#ifndef QMN_API_ROUTE_PRIV_H
#define QMN_API_ROUTE_PRIV_H

#include <protobuf-c/protobuf-c.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "engine/engine.h"
#include "net/request.h"

struct api_call;

/* One engine call in terms of messages. */
struct operation {
    const char *call;                           /* the engine function behind it; NULL: none */
    const ProtobufCMessageDescriptor *request;  /* NULL: takes nothing */
    const ProtobufCMessageDescriptor *response; /* NULL: answers nothing, or no message */
    size_t data_size;                           /* of x->data, zeroed: engine inputs and outputs */
    /* Translates x->in and starts the engine call.  After QMN_OK the call may be finished and `x`
     * gone; otherwise nothing was started and the error is the answer. */
    enum qmn_code (*start)(struct api_call *x, struct err *err);
    /* The engine said QMN_OK: its results as a message (NULL when out of memory).  NULL function:
     * nothing to say. */
    ProtobufCMessage *(*answer)(struct api_call *x);
    /* In place of `answer`: writes a body of the route's media; a failure is the answer. */
    enum qmn_code (*write)(struct api_call *x, struct buf *out, struct err *err);
};

enum route_access {
    ACCESS_OPEN = 1, /* no key */
    ACCESS_KEY,      /* any valid key */
    ACCESS_SCOPE,    /* a key with route.scope */
    ACCESS_ADMIN,    /* a key with the admin scope */
    ACCESS_LOCAL     /* open when api_config.open_metrics says so, else as ACCESS_ADMIN */
};

/* Whose data a call touches. */
enum route_tenant {
    WHOSE_NONE = 1, /* nobody's */
    WHOSE_CALLER,   /* the caller's */
    WHOSE_PATH,     /* the one named in the path; "me" is the caller's */
    WHOSE_BODY      /* the one named in the body, else the caller's */
};

/* Where fields come from, in the order of rising precedence; path parameters beat both. */
enum route_input { INPUT_BODY = 1, INPUT_QUERY = 2 };

struct route {
    const char *name; /* stable: idempotency scope, metrics label, audit action */
    enum http_method method;
    const char *pattern;    /* "/v1/nutrients/{id}:respond": at most one parameter */
    const char *path_field; /* the request's field that the parameter fills; NULL: none */
    const char *absent;     /* the field that a 404 is about, where the path names nothing */
    const char *ignores;    /* a field of a request shared with others that means nothing here */
    /* The optional first segment, and who serves it; NULL: of the node, found on every listener
     * without a prefix; "*": under every prefix and without. */
    const char *service;
    enum route_access access;
    enum scope scope; /* with ACCESS_SCOPE */
    enum route_tenant tenant;
    const char *agent; /* the field that names the acting agent; NULL: none acts */
    const char *label; /* label check: "write" (what comes in), "read" (what goes out), NULL */
    const char *quota; /* counted against this quota of the tenant; NULL: none */
    const char *audit; /* the engine records the change as this kind; NULL: it does not */
    bool mutation;     /* Idempotency-Key is honoured */
    bool no_head;   /* a GET that changes something: HEAD, which asks for no change, is refused */
    uint32_t input; /* enum route_input flags */
    size_t body_limit; /* 0: LIMIT_BODY_BYTES */
    int status;        /* of success */
    const char
        *takes; /* media of a body that the operation reads itself; NULL: JSON of op->request */
    const char *media; /* of success, when it is not JSON of op->response */
    const char *about; /* a sentence for the OpenAPI document */
    const struct operation *op;
};

extern const struct route routes[];
extern const size_t route_count;
enum { ROUTES_MAX = 96 };

/* NULL-terminated names of the services that can be a path prefix. */
extern const char *const route_services[];

struct router;

/* QMN_E_INTERNAL: two rows answer the same request, or a row's field or descriptor is missing. */
QMN_NODISCARD enum qmn_code router_new(const struct route *table, size_t count, struct router **ret,
                                       struct err *err);
void router_free(struct router *r);

struct route_match {
    const struct route *route;
    struct bytes param;  /* percent-encoded; ptr NULL: the pattern has none */
    const char *service; /* the path's prefix, else the listener's service, else NULL */
    struct bytes path;   /* without the prefix */
    char allow[64];      /* on QMN_E_METHOD: for the Allow header */
};

/* `only`: the listener's one service, or NULL.  QMN_E_NOT_FOUND, QMN_E_METHOD.  Literal segments
 * are compared as received: an id that looks like one can be escaped ("%74op"). */
QMN_NODISCARD enum qmn_code router_match(const struct router *r, enum http_method method,
                                         struct bytes path, const char *only,
                                         struct route_match *ret, struct err *err);

const char *http_method_name(enum http_method m);

#endif
