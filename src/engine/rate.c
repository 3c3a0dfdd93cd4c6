/* SPDX-License-Identifier: MIT
 *
 * The rate limit of a key: the generic cell rate algorithm (ITU-T I.371, ATM Forum TM 4.0), a token
 * bucket kept in one number.  The theoretical arrival time is when the bucket would be full again;
 * each request moves it one interval ahead, and may, as long as that stays within a burst of now.
 *
 *   interval = 60 s / rate     burst = 10 s of the rate, at least 10 requests
 *
 * Lock-free: loops compete for the number by compare-and-swap. */
#include "engine/control_priv.h"

enum {
    RATE_MINUTE_US = 60 * 1000 * 1000,
    RATE_DEFAULT = 1000, /* of a row that says 0 */
    RATE_BURST_MIN = 10, /* a slow key may still load a page */
    RATE_BURST_S = 10,
};

static uint32_t seconds_up(int64_t us)
{
    return us <= 0 ? 0 : (uint32_t)((us + 999999) / 1000000);
}

struct rate_verdict rate_take(_Atomic int64_t *tat_us, uint32_t per_minute, int64_t now_us)
{
    int64_t rate = per_minute ? per_minute : RATE_DEFAULT;
    int64_t interval = (RATE_MINUTE_US + rate - 1) / rate;
    int64_t burst = rate * RATE_BURST_S / 60;
    int64_t window = interval * (burst > RATE_BURST_MIN ? burst : RATE_BURST_MIN);
    int64_t old = atomic_load_explicit(tat_us, memory_order_relaxed), next;
    do {
        next = (old > now_us ? old : now_us) + interval;
        if (next - now_us > window)
            return (struct rate_verdict){.reset_s = seconds_up(old - now_us),
                                         .retry_s = seconds_up(next - now_us - window)};
    } while (!atomic_compare_exchange_weak_explicit(tat_us, &old, next, memory_order_relaxed,
                                                    memory_order_relaxed));
    return (struct rate_verdict){.allowed = true,
                                 .remaining = (uint32_t)((window - (next - now_us)) / interval),
                                 .reset_s = seconds_up(next - now_us)};
}
