/* SPDX-License-Identifier: MIT */
#ifndef QMN_ROUTE_CLAMP_PRIV_H
#define QMN_ROUTE_CLAMP_PRIV_H

/* NaN: low. */
static inline double clamp(double x, double low, double high)
{
    return x > low ? (x < high ? x : high) : low;
}

#endif
