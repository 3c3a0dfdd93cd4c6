/* SPDX-License-Identifier: MIT
 *
 * Every result code of the system, once: its name, HTTP status, gRPC status, whether a client may
 * simply try again, and a short title.  Transports translate from this table and invent nothing. */
#ifndef QMN_BASE_CODE_H
#define QMN_BASE_CODE_H

#include <stdbool.h>

/* clang-format off */
/*        name                  http grpc retry  wire name                title */
#define QMN_CODES(X)                                                                              \
    X(OK,                    200,  0, false, "ok",                    "OK")                        \
    X(E_MALFORMED,           400,  3, false, "malformed",             "Malformed request")         \
    X(E_UNAUTHENTICATED,     401, 16, false, "unauthenticated",       "Unknown or missing key")    \
    X(E_FORBIDDEN,           403,  7, false, "forbidden",             "Not allowed")               \
    X(E_NOT_FOUND,           404,  5, false, "not_found",             "Not found")                 \
    X(E_METHOD,              405, 12, false, "method_not_allowed",    "Method not allowed")        \
    X(E_TIMEOUT,             408,  4, true,  "request_timeout",       "Request too slow")          \
    X(E_CONFLICT,            409,  6, false, "conflict",              "Conflict")                  \
    X(E_IN_PROGRESS,         409, 10, true,  "in_progress",           "Still running")             \
    X(E_SPACE_MISMATCH,      409,  9, false, "space_mismatch",        "Different vector space")    \
    X(E_GONE,                410,  5, false, "gone",                  "No longer kept")            \
    X(E_TOO_LARGE,           413,  8, false, "too_large",             "Body too large")            \
    X(E_URI_TOO_LONG,        414,  3, false, "uri_too_long",          "URI too long")              \
    X(E_MEDIA_TYPE,          415,  3, false, "unsupported_media_type", "Unsupported media type")   \
    X(E_EXPECTATION,         417,  3, false, "expectation_failed",    "Expectation not met")       \
    X(E_INVALID,             422,  3, false, "invalid",               "Constraint broken")         \
    X(E_DIMENSION,           422,  3, false, "dimension",             "Wrong vector dimension")    \
    X(E_IDEMPOTENCY,         422,  9, false, "idempotency_mismatch",  "Idempotency key reused")    \
    X(E_RATE_LIMITED,        429,  8, true,  "rate_limited",          "Too many requests")         \
    X(E_QUOTA,               429,  8, true,  "quota_exceeded",        "Quota exceeded")            \
    X(E_HEADERS_TOO_LARGE,   431,  8, false, "headers_too_large",     "Header fields too large")   \
    X(E_INTERNAL,            500, 13, false, "internal",              "Internal error")            \
    X(E_CORRUPT,             500, 15, false, "corrupt",               "Stored data is damaged")    \
    X(E_NOT_IMPLEMENTED,     501, 12, false, "not_implemented",       "Not implemented")           \
    X(E_NOMEM,               503,  8, true,  "out_of_memory",         "Out of memory")             \
    X(E_UNAVAILABLE,         503, 14, true,  "unavailable",           "Store unavailable")         \
    X(E_OVERLOADED,          503, 14, true,  "overloaded",            "Node overloaded")           \
    X(E_DEADLINE,            503,  4, true,  "deadline_exceeded",     "Deadline exceeded")         \
    X(E_HTTP_VERSION,        505,  3, false, "http_version",          "HTTP version not offered")  \
    X(E_DISK_FULL,           507,  8, true,  "disk_full",             "Disk full")
/* clang-format on */

enum qmn_code {
#define QMN_CODE_ENUM(name, http, grpc, retry, wire, title) QMN_##name,
    QMN_CODES(QMN_CODE_ENUM)
#undef QMN_CODE_ENUM
        QMN_CODE_COUNT
};

struct code_info {
    int http_status;
    int grpc_status;
    bool retryable;
    const char *wire;
    const char *title;
};

/* Never NULL: an unknown code reads as QMN_E_INTERNAL. */
const struct code_info *code_info(enum qmn_code code);

#endif
