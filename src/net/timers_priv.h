/* SPDX-License-Identifier: MIT
 *
 * A binary heap of `struct timer`, earliest first.  A timer knows its place, so cancelling and
 * moving one cost a logarithm.  One thread. */
#ifndef QMN_NET_TIMERS_PRIV_H
#define QMN_NET_TIMERS_PRIV_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/task.h"

struct timers {
    struct timer **at; /* at[1..len]; at[0] is not used, so index 0 can mean "not armed" */
    uint32_t len, cap;
};

void timers_release(struct timers *h);
/* Arms or moves; false when out of memory (an armed timer always moves). */
QMN_NODISCARD bool timers_set(struct timers *h, struct timer *t, int64_t due_ms);
void timers_cancel(struct timers *h, struct timer *t);
/* Takes the earliest timer out if it is due at now_ms, else NULL. */
struct timer *timers_pop_due(struct timers *h, int64_t now_ms);
/* INT64_MAX when none is armed. */
int64_t timers_next_ms(const struct timers *h);

#endif
