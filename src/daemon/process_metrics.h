/* SPDX-License-Identifier: MIT
 *
 * What the process itself costs, under the names that Prometheus clients use everywhere. */
#ifndef QMN_DAEMON_PROCESS_METRICS_H
#define QMN_DAEMON_PROCESS_METRICS_H

#include "obs/metrics.h"

void process_metrics_register(struct metrics *m);

#endif
