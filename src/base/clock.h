/* SPDX-License-Identifier: MIT
 *
 * Time.  Wall time (Unix milliseconds, UTC) is what is stored and shown; it never runs backwards
 * inside one process: wall = wall at start + monotonic elapsed, re-anchored forwards when the
 * system clock moves ahead.  Monotonic time is for durations and deadlines.  Tests pass their own
 * clock. */
#ifndef QMN_BASE_CLOCK_H
#define QMN_BASE_CLOCK_H

#include <stdint.h>

struct clock {
    int64_t (*now_ms)(void *ctx); /* wall, never decreasing */
    void *ctx;
    /* Since an arbitrary start; NULL: clock_mono_us().  Any other need not keep the pace of real
     * time: whoever moves it wakes those who wait on it. */
    int64_t (*mono_us)(void *ctx);
};

extern const struct clock clock_system;

static inline int64_t clock_now_ms(const struct clock *c)
{
    return c->now_ms(c->ctx);
}

/* The system's monotonic microseconds since an arbitrary start: for durations only. */
int64_t clock_mono_us(void);

/* The same of any clock.  Two clocks have nothing in common: compare what came from one. */
static inline int64_t clock_us(const struct clock *c)
{
    return c->mono_us ? c->mono_us(c->ctx) : clock_mono_us();
}

/* "YYYY-MM-DDTHH:MM:SS.ffffff+00:00"; 33 bytes with the NUL.  unix_ms: 0 .. year 9999. */
#define CLOCK_TEXT_SIZE 33
void clock_format(int64_t unix_ms, char ret_text[CLOCK_TEXT_SIZE]);

#endif
