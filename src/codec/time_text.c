/* SPDX-License-Identifier: MIT
 *
 * RFC 3339 in.  The calendar is the proleptic Gregorian one; the day count is the well-known one
 * with years that begin in March, so that the leap day comes last. */
#include "time_text.h"

/* Days from 1970-01-01. */
static int64_t days_from_civil(int year, int month, int day)
{
    int64_t y = year - (month <= 2);
    int64_t era = y / 400; /* y >= 0 here */
    int64_t in_era = y - era * 400;
    int64_t month_from_march = (month + 9) % 12;
    int64_t day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    return era * 146097 + in_era * 365 + in_era / 4 - in_era / 100 + day_of_year - 719468;
}

/* `count` digits at *text; -1 unless they are there. */
static int take_digits(struct bytes *text, size_t count)
{
    int v = 0;
    if (text->len < count)
        return -1;
    for (size_t i = 0; i < count; i++) {
        char c = text->ptr[i];
        if (c < '0' || c > '9')
            return -1;
        v = v * 10 + (c - '0');
    }
    text->ptr += count;
    text->len -= count;
    return v;
}

static bool take_one_of(struct bytes *text, const char *allowed, char *ret)
{
    if (!text->len || !text->ptr[0] || !strchr(allowed, text->ptr[0]))
        return false;
    *ret = text->ptr[0];
    text->ptr++;
    text->len--;
    return true;
}

static bool parse_date(struct bytes *text, int64_t *ret_days)
{
    static const int8_t month_days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    char c;
    int year = take_digits(text, 4);
    if (year < 1970 || !take_one_of(text, "-", &c))
        return false;
    int month = take_digits(text, 2);
    if (month < 1 || month > 12 || !take_one_of(text, "-", &c))
        return false;
    int day = take_digits(text, 2);
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (day < 1 || day > month_days[month - 1] || (month == 2 && day == 29 && !leap))
        return false;
    *ret_days = days_from_civil(year, month, day);
    return true;
}

static bool parse_clock(struct bytes *text, int64_t *ret_ms)
{
    char c;
    int hour = take_digits(text, 2);
    if (hour < 0 || hour > 23 || !take_one_of(text, ":", &c))
        return false;
    int minute = take_digits(text, 2);
    if (minute < 0 || minute > 59 || !take_one_of(text, ":", &c))
        return false;
    int second = take_digits(text, 2);
    if (second < 0 || second > 60) /* 60: a leap second, told as the one before */
        return false;
    int64_t ms = 0, unit = 100;
    if (take_one_of(text, ".", &c)) {
        int digit = take_digits(text, 1);
        if (digit < 0)
            return false;
        for (; digit >= 0; digit = take_digits(text, 1), unit /= 10)
            ms += digit * unit;
    }
    second = second > 59 ? 59 : second;
    *ret_ms = ((hour * 60 + minute) * 60 + second) * INT64_C(1000) + ms;
    return true;
}

/* Minutes east of UTC. */
static bool parse_zone(struct bytes *text, int64_t *ret_minutes)
{
    char sign, c;
    *ret_minutes = 0;
    if (!text->len || take_one_of(text, "Zz", &c))
        return true;
    if (!take_one_of(text, "+-", &sign))
        return false;
    int hour = take_digits(text, 2);
    if (hour < 0 || hour > 23 || !take_one_of(text, ":", &c))
        return false;
    int minute = take_digits(text, 2);
    if (minute < 0 || minute > 59)
        return false;
    *ret_minutes = (sign == '-' ? -1 : 1) * (hour * 60 + minute);
    return true;
}

bool time_parse(struct bytes text, int64_t *ret_unix_ms)
{
    int64_t days, ms, zone;
    char c;
    if (!parse_date(&text, &days) || !take_one_of(&text, "Tt ", &c) || !parse_clock(&text, &ms) ||
        !parse_zone(&text, &zone) || text.len)
        return false;
    int64_t unix_ms = days * 86400000 + ms - zone * 60000;
    if (unix_ms < 0 || unix_ms > INT64_C(253402300799999)) /* a zone may lead past either end */
        return false;
    *ret_unix_ms = unix_ms;
    return true;
}
