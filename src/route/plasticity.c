/* SPDX-License-Identifier: MIT
 *
 * Edge weights: learning from outcomes, relaxing while idle. */
#include "plasticity.h"

#include <math.h>

#include "clamp_priv.h"

double edge_reinforce(double weight, double outcome)
{
    double o = clamp(outcome, 0, 1);
    double step = EDGE_LEARN_UP * o - EDGE_LEARN_DOWN * (1 - o) - EDGE_LEARN_COST;
    return clamp(weight + step, EDGE_W_MIN, EDGE_W_MAX);
}

double edge_idle(double weight, double idle_days)
{
    if (!(idle_days > 0)) /* a clock that was set back forgets nothing */
        return weight;
    return EDGE_PRIOR + (weight - EDGE_PRIOR) * exp(-EDGE_IDLE_RATE * idle_days);
}

bool edge_forgettable(double weight, double idle_days)
{
    return idle_days >= EDGE_FORGET_DAYS &&
           fabs(edge_idle(weight, idle_days) - EDGE_PRIOR) < EDGE_FORGET_RANGE;
}
