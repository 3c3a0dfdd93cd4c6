/* SPDX-License-Identifier: MIT
 *
 * System clock that never steps back, and the one time format that is sent out. */
#include "clock.h"

#include <stdatomic.h>
#include <string.h>
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

/* `count` digits of `value`, with zeros in front.  Returns the place behind them. */
static char *put_digits(char *p, unsigned value, int count)
{
    for (int i = count - 1; i >= 0; i--) {
        p[i] = (char)('0' + value % 10);
        value /= 10;
    }
    return p + count;
}

/* Days since 1970-01-01, >= 0, as "YYYY-MM-DD".  Years that begin in March have their leap day
 * last, so the months before it have fixed lengths, 153 days in five of them. */
static char *put_date(char *p, unsigned days)
{
    enum { TO_MARCH_OF_0 = 719468, ERA_DAYS = 146097, CENTURY_DAYS = 36524, FOUR_YEARS = 1460 };
    unsigned all = days + TO_MARCH_OF_0, era = all / ERA_DAYS, day = all % ERA_DAYS;
    unsigned year = (day - day / FOUR_YEARS + day / CENTURY_DAYS - day / (ERA_DAYS - 1)) / 365;
    unsigned day_of_year = day - (365 * year + year / 4 - year / 100);
    unsigned from_march = (5 * day_of_year + 2) / 153;
    unsigned month = from_march < 10 ? from_march + 3 : from_march - 9;
    p = put_digits(p, year + era * 400 + (month <= 2), 4);
    *p++ = '-';
    p = put_digits(p, month, 2);
    *p++ = '-';
    return put_digits(p, day_of_year - (153 * from_march + 2) / 5 + 1, 2);
}

/* Without gmtime_r(), which takes a lock of the whole process, and printf: two times stand in most
 * answers. */
void clock_format(int64_t unix_ms, char ret_text[CLOCK_TEXT_SIZE])
{
    enum { DAY_MS = 24 * 60 * 60 * 1000 };
    static const char zone[] = "000+00:00"; /* micro-seconds first */
    const int64_t last = 253402300799999;   /* 9999-12-31T23:59:59.999Z */
    int64_t ms = unix_ms < 0 ? 0 : unix_ms > last ? last : unix_ms;
    unsigned of_day = (unsigned)(ms % DAY_MS), second = of_day / 1000;
    char *p = put_date(ret_text, (unsigned)(ms / DAY_MS));
    *p++ = 'T';
    p = put_digits(p, second / 3600, 2);
    *p++ = ':';
    p = put_digits(p, second / 60 % 60, 2);
    *p++ = ':';
    p = put_digits(p, second % 60, 2);
    *p++ = '.';
    p = put_digits(p, of_day % 1000, 3);
    memcpy(p, zone, sizeof zone);
}
