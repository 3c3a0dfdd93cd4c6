/* SPDX-License-Identifier: MIT
 *
 * How edge weights learn and forget.  Weights are float64: tens of thousands of small steps must
 * add up the same wherever they are taken.
 *
 * A stored edge holds the weight at its last outcome and the time of that; every reader applies
 * edge_idle() first, then decides or learns.  So a decay job that runs hourly, or never, gives the
 * same numbers.
 *
 * Pure: no I/O, no clock, no locks. */
#ifndef QMN_ROUTE_PLASTICITY_H
#define QMN_ROUTE_PLASTICITY_H

#include <stdbool.h>

#include "route/score.h"

#define EDGE_LEARN_UP     0.08  /* step of a full success */
#define EDGE_LEARN_DOWN   0.04  /* step of a full failure */
#define EDGE_LEARN_COST   0.002 /* of every use: an edge must earn its weight */
#define EDGE_IDLE_RATE    0.01  /* per day: half way back to the prior in 69 days */
#define EDGE_FORGET_RANGE 0.01  /* an idle edge this close to the prior is no news */
#define EDGE_FORGET_DAYS  1.0   /* and only after a day, lest a used edge be removed and remade */

/* weight' = clamp(weight + EDGE_LEARN_UP o - EDGE_LEARN_DOWN (1 - o) - EDGE_LEARN_COST, EDGE_W_MIN,
 * EDGE_W_MAX).  An outcome of .35 changes nothing.  weight: after edge_idle().  outcome o: [0, 1],
 * clamped (NaN counts as 0). */
double edge_reinforce(double weight, double outcome);

/* EDGE_PRIOR + (weight - EDGE_PRIOR) exp(-EDGE_IDLE_RATE idle_days).  Relaxing by a and then b days
 * equals relaxing by a + b (within 1e-12).  idle_days: since the last outcome; below 0 counts as 0.
 */
double edge_idle(double weight, double idle_days);

/* Whether the decay job may remove the edge: idle for EDGE_FORGET_DAYS and, relaxed, less than
 * EDGE_FORGET_RANGE from the prior it would count as once removed.  weight: as stored.
 * Removal moves a score by at most 2%; but propagation follows stored edges only, so an idle edge
 * just above the prior stops forwarding then. */
bool edge_forgettable(double weight, double idle_days);

#endif
