/* SPDX-License-Identifier: MIT
 *
 * The numbers of the transport: requests by route and code, latency by route, what is in flight and
 * how many bytes.  Label values come from the route table and from the closed set of statuses, so
 * no client can make a series.
 *
 * Any thread: series are made at first use and then never change. */
#include "api_priv.h"

#include <stdio.h>

#include "base/mem.h"

/* Every status the node answers; anything else counts under 0. */
static const int statuses[] = {0,   200, 201, 204, 400, 401, 403, 404, 405, 408, 409,
                               410, 413, 414, 415, 422, 429, 431, 500, 503, 507};
enum { STATUS_COUNT = sizeof statuses / sizeof statuses[0], UNROUTED = ROUTES_MAX };

struct series {
    struct metrics *metrics;
    struct gauge *in_flight;
    struct counter *bytes_in, *bytes_out;
    struct histogram *latency[ROUTES_MAX + 1];
    _Atomic(struct counter *) requests[ROUTES_MAX + 1][STATUS_COUNT];
};

static const char *route_label(size_t at)
{
    return at < route_count ? routes[at].name : "none";
}

struct series *series_new(struct metrics *m)
{
    struct series *s = mem_calloc(1, sizeof *s);
    if (!s || !m)
        return s;
    s->metrics = m;
    s->in_flight = metrics_gauge(m, "qmn_http_requests_in_flight", "Requests being answered.", "");
    s->bytes_in =
        metrics_counter(m, "qmn_http_request_body_bytes_total", "Bytes of request bodies.", "");
    s->bytes_out =
        metrics_counter(m, "qmn_http_response_body_bytes_total", "Bytes of response bodies.", "");
    for (size_t i = 0; i <= UNROUTED; i++) {
        if (i >= route_count && i != UNROUTED)
            continue;
        char labels[96];
        snprintf(labels, sizeof labels, "route=\"%s\"", route_label(i));
        s->latency[i] = metrics_histogram(m, "qmn_http_request_seconds",
                                          "From the first byte of a request to its answer.", labels,
                                          metrics_latency_bounds, metrics_latency_bound_count);
    }
    return s;
}

void series_free(struct series *s)
{
    mem_free(s); /* the registry owns what it points at */
}

static struct counter *request_counter(struct series *s, size_t route, int status)
{
    size_t slot = STATUS_COUNT - 1;
    while (slot && statuses[slot] != status)
        slot--;
    struct counter *c = atomic_load_explicit(&s->requests[route][slot], memory_order_acquire);
    if (c || !s->metrics)
        return c;
    char labels[128];
    snprintf(labels, sizeof labels, "route=\"%s\",code=\"%d\"", route_label(route), statuses[slot]);
    c = metrics_counter(s->metrics, "qmn_http_requests_total", "Requests answered.", labels);
    /* Two threads here get the same series: storing twice is harmless. */
    atomic_store_explicit(&s->requests[route][slot], c, memory_order_release);
    return c;
}

void series_arrived(struct series *s, size_t body_bytes)
{
    gauge_add(s->in_flight, 1);
    counter_add(s->bytes_in, body_bytes);
}

void series_answered(struct series *s, const struct route *route, int status, double seconds,
                     size_t body_bytes, bool was_in_flight)
{
    size_t at = route ? (size_t)(route - routes) : UNROUTED;
    if (was_in_flight)
        gauge_add(s->in_flight, -1);
    counter_add(request_counter(s, at, status), 1);
    histogram_observe(s->latency[at], seconds);
    counter_add(s->bytes_out, body_bytes);
}
