/* SPDX-License-Identifier: MIT
 *
 * xoshiro256** seeded by splitmix64; secure bytes in thread-local batches, since one getrandom()
 * call costs more than a whole id is worth. */
#include "rng.h"

#include <assert.h>
#include <math.h>
#include <string.h>
#include <sys/random.h>

static uint64_t splitmix(uint64_t *x)
{
    uint64_t z = (*x += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void rng_seed(struct rng *r, uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        r->s[i] = splitmix(&seed);
}

static uint64_t rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

uint64_t rng_next(struct rng *r)
{
    uint64_t *s = r->s;
    uint64_t result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

double rng_unit(struct rng *r)
{
    return (double)(rng_next(r) >> 11) * 0x1.0p-53;
}

uint32_t rng_below(struct rng *r, uint32_t n)
{
    return (uint32_t)(((rng_next(r) >> 32) * n) >> 32);
}

double rng_normal(struct rng *r)
{
    double u = 1.0 - rng_unit(r), v = rng_unit(r);
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}

static void kernel_random(void *ret, size_t len)
{
    char *p = ret;
    while (len) {
        ssize_t n = getrandom(p, len, 0);
        assert(n > 0 || n == -1);
        if (n > 0) {
            p += n;
            len -= (size_t)n;
        }
    }
}

void rng_secure(void *ret, size_t len)
{
    static _Thread_local unsigned char pool[512];
    static _Thread_local size_t left;
    if (len > sizeof pool) {
        kernel_random(ret, len);
        return;
    }
    if (left < len) {
        kernel_random(pool, sizeof pool);
        left = sizeof pool;
    }
    unsigned char *from = pool + (sizeof pool - left);
    memcpy(ret, from, len);
    memset(from, 0, len); /* what was handed out must not stay behind */
    left -= len;
}
