/* SPDX-License-Identifier: MIT
 *
 * System clock that never steps back, and the one time format that is sent out. */
#include "clock.h"

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

static int64_t read_us(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t clock_mono_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

/* The highest wall time handed out, minus monotonic time then: a lower bound for the offset from
 * now on. */
static _Atomic int64_t offset_ms = INT64_MIN;

static int64_t system_now_ms(void *ctx)
{
    (void)ctx;
    int64_t mono = read_us(CLOCK_MONOTONIC) / 1000;
    int64_t offset = read_us(CLOCK_REALTIME) / 1000 - mono;
    int64_t seen = atomic_load_explicit(&offset_ms, memory_order_relaxed);
    while (offset > seen &&
           !atomic_compare_exchange_weak_explicit(&offset_ms, &seen, offset, memory_order_relaxed,
                                                  memory_order_relaxed))
        ;
    return mono + (offset > seen ? offset : seen);
}

const struct clock clock_system = {.now_ms = system_now_ms};

void clock_format(int64_t unix_ms, char ret_text[CLOCK_TEXT_SIZE])
{
    const int64_t last = 253402300799999; /* 9999-12-31T23:59:59.999Z */
    int64_t ms = unix_ms < 0 ? 0 : unix_ms > last ? last : unix_ms;
    time_t s = (time_t)(ms / 1000);
    struct tm tm;
    gmtime_r(&s, &tm);
    snprintf(ret_text, CLOCK_TEXT_SIZE, "%04u-%02u-%02uT%02u:%02u:%02u.%06u+00:00",
             ((unsigned)tm.tm_year + 1900) % 10000, ((unsigned)tm.tm_mon + 1) % 100,
             (unsigned)tm.tm_mday % 100, (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100,
             (unsigned)tm.tm_sec % 100, (unsigned)(ms % 1000) * 1000);
}
