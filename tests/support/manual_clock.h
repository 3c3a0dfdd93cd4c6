/* SPDX-License-Identifier: MIT
 *
 * A clock that stands still until a test moves it.  Any thread. */
#ifndef QMN_TESTS_SUPPORT_MANUAL_CLOCK_H
#define QMN_TESTS_SUPPORT_MANUAL_CLOCK_H

#include <stdatomic.h>

#include "base/clock.h"

struct manual_clock {
    struct clock clock;
    _Atomic int64_t us;
    _Atomic int looks; /* how often it has been asked */
};

static inline int64_t manual_clock_mono_us(void *ctx)
{
    struct manual_clock *c = ctx;
    atomic_fetch_add(&c->looks, 1);
    return atomic_load(&c->us);
}

static inline int64_t manual_clock_now_ms(void *ctx)
{
    return 1795000000000 + manual_clock_mono_us(ctx) / 1000; /* some day in 2026 */
}

/* It must not move in memory afterwards.  Not at 0, which fields use for "never". */
static inline void manual_clock_init(struct manual_clock *c)
{
    c->clock =
        (struct clock){.now_ms = manual_clock_now_ms, .mono_us = manual_clock_mono_us, .ctx = c};
    atomic_store(&c->us, 1000000);
}

static inline void manual_clock_add_ms(struct manual_clock *c, int64_t ms)
{
    atomic_fetch_add(&c->us, ms * 1000);
}

#endif
