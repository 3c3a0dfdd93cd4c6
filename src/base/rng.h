/* SPDX-License-Identifier: MIT
 *
 * Random numbers.  `struct rng` (xoshiro256**, Blackman & Vigna 2018) is for exploration and tests:
 * seedable, reproducible, not secret.  rng_secure() is the kernel's generator: ids, secrets, seeds.
 */
#ifndef QMN_BASE_RNG_H
#define QMN_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

struct rng {
    uint64_t s[4];
};

void rng_seed(struct rng *r, uint64_t seed);
uint64_t rng_next(struct rng *r);
/* Uniform in [0, 1). */
double rng_unit(struct rng *r);
/* Uniform in [0, n); n > 0. */
uint32_t rng_below(struct rng *r, uint32_t n);
/* Standard normal. */
double rng_normal(struct rng *r);

/* Fills from the kernel; aborts if the kernel has no entropy source (never on Linux after boot). */
void rng_secure(void *ret, size_t len);

#endif
