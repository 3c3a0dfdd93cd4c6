/* SPDX-License-Identifier: MIT
 *
 * Counters, gauges and histograms, and their Prometheus text exposition (version 0.0.4).  A series
 * is made once at start (or first use of a label set) and then updated without locks; counters are
 * sharded by thread so that loops do not share cache lines.  Label values come from closed sets
 * only (route, code, kind), never from clients. */
#ifndef QMN_OBS_METRICS_H
#define QMN_OBS_METRICS_H

#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"

struct metrics;
struct counter;
struct gauge;
struct histogram;

struct metrics *metrics_new(void);
void metrics_free(struct metrics *m);

/* `labels` is the text between the braces, e.g. "route=\"broadcast\",code=\"200\"", or "".  The
 * same name and labels give the same series.  NULL when out of memory; every update function
 * accepts NULL. */
struct counter *metrics_counter(struct metrics *m, const char *name, const char *help,
                                const char *labels);
struct gauge *metrics_gauge(struct metrics *m, const char *name, const char *help,
                            const char *labels);
/* `bounds`: ascending upper bounds, count <= 24; +Inf is added. */
struct histogram *metrics_histogram(struct metrics *m, const char *name, const char *help,
                                    const char *labels, const double *bounds, uint32_t count);
/* A gauge computed when scraped. */
void metrics_gauge_fn(struct metrics *m, const char *name, const char *help, const char *labels,
                      double (*read)(void *ctx), void *ctx);

void counter_add(struct counter *c, uint64_t n);
uint64_t counter_value(const struct counter *c);
void gauge_set(struct gauge *g, double value);
void gauge_add(struct gauge *g, double delta);
double gauge_value(const struct gauge *g);
void histogram_observe(struct histogram *h, double value);

/* Latency bounds in seconds, 50 us to 10 s. */
extern const double metrics_latency_bounds[];
extern const uint32_t metrics_latency_bound_count;

void metrics_expose(struct metrics *m, struct buf *out);

#endif
