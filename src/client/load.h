/* SPDX-License-Identifier: MIT
 *
 * A load generator: one thread, one epoll, many kept-open connections, one request in flight on
 * each.  It speaks just enough HTTP/1.1 for answers with a Content-Length and does nothing per
 * request that could be prepared before, so that it measures the node and not itself.
 *
 * Closed loop (rate 0): a connection sends as soon as its answer is there.  Open loop: requests are
 * due at fixed times whether or not earlier ones were answered, and latency counts from the time a
 * request was due, so that a stall is not hidden by the requests it kept from being sent.  One that
 * is due while all connections are busy waits for one, for as long as the configuration has
 * patience; then it is never sent, and counts as unsent. */
#ifndef QMN_CLIENT_LOAD_H
#define QMN_CLIENT_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"

/* Latencies in microseconds, each kept within 1/64 of its value. */
enum { LOAD_BUCKETS = 64 * 28 };
struct load_histogram {
    uint64_t counts[LOAD_BUCKETS];
    uint64_t total, max;
};
void load_histogram_add(struct load_histogram *h, uint64_t value);
/* The upper end of the bucket that holds the p-th part, p in [0, 1]; 0 when empty. */
uint64_t load_histogram_at(const struct load_histogram *h, double p);

enum { LOAD_HEAD_MAX = 1024 };

/* One request: a head (with Content-Length and the empty line), and a body that outlives the
 * answer. */
struct load_request {
    char head[LOAD_HEAD_MAX];
    size_t head_len;
    struct bytes body;
    uint32_t slot; /* set by the generator: which connection asks, 0 .. connections - 1 */
};

struct load_config {
    const char *host; /* numeric address */
    uint16_t port;
    uint32_t connections;
    double rate;       /* a second; 0: closed loop */
    double patience;   /* seconds; 0: whatever is late is sent all the same */
    double seconds;    /* 0: until `requests` are done */
    uint64_t requests; /* 0: no bound */
    void *ctx;
    void (*make)(void *ctx, uint64_t number, struct load_request *ret);
    /* Every answer; may be NULL. */
    void (*answer)(void *ctx, uint64_t number, int status, struct bytes body);
    /* Ten times a second; may be NULL. */
    void (*tick)(void *tick_ctx, double seconds, uint64_t done);
    void *tick_ctx;
};

struct load_result {
    uint64_t done, failed; /* failed: status >= 400, counted in done too */
    uint64_t refused;      /* of those failed: 429 or 503, with Retry-After */
    uint64_t unsent;       /* open loop: was due and never sent */
    uint64_t broken;       /* connections that ended early */
    int worst_status;
    double seconds;
    struct load_histogram latency;  /* of what succeeded */
    struct load_histogram refusals; /* of what was refused */
};

/* QMN_E_UNAVAILABLE: cannot connect, or nobody answers for 30 s. */
QMN_NODISCARD enum qmn_code load_run(const struct load_config *config, struct load_result *ret,
                                     struct err *err);
/* Opens n connections that do nothing, for measuring what they cost; returns how many stand.  fds
 * has room for n. */
uint32_t load_idle_connections(const char *host, uint16_t port, uint32_t n, int *ret_fds);

#endif
