/* SPDX-License-Identifier: MIT
 *
 * How many memories of a tenant may wait for their links.  They are found meanwhile, by a scan that
 * each of them makes longer, and each takes its turn of the writer's idle time.  Beyond the bound
 * stores are refused until links have caught up, which the measured rate says when.
 *
 * Thread rule: the writer's, but for the metrics. */
#ifndef QMN_ENGINE_MEMORY_BACKLOG_PRIV_H
#define QMN_ENGINE_MEMORY_BACKLOG_PRIV_H

#include <stdatomic.h>

#include "base/err.h"
#include "engine/network_priv.h"

struct engine;

/* Rows linked a second, over stretches in which there was something to link. */
struct link_meter {
    int64_t since_ms;    /* monotonic; 0: nothing is measured */
    uint64_t linked;     /* of all tenants, then */
    _Atomic double rate; /* 0: unknown */
};

/* What /metrics shows of the indexes of all tenants together. */
struct memory_gauge {
    struct engine *engine;
    size_t offset; /* of a field in struct memory_totals */
};
struct memory_totals {
    double vectors, linked, fresh, dead;
    double bits, int8, exact, links, other; /* bytes */
};
enum { MEMORY_GAUGES = 9 };

/* QMN_E_RATE_LIMITED with Retry-After: too many of this tenant's are not linked yet. */
QMN_NODISCARD enum qmn_code memory_backlog_check(struct engine *e, const struct tenant *t,
                                                 struct err *err);
/* As a group begins. */
void memory_backlog_measure(struct engine *e);
/* At the start. */
void memory_backlog_metrics(struct engine *e);

#endif
