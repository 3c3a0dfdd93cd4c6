/* SPDX-License-Identifier: MIT
 *
 * Random rotation by signs and Hadamard transforms. */
#include "rotation.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "math/code_kernels.h"

bool rotation_init(struct rotation *r, uint32_t dim, uint64_t seed)
{
    struct rng rng;
    uint32_t padded = (dim + CODE_ALIGN - 1) / CODE_ALIGN * CODE_ALIGN, part = CODE_ALIGN;
    while (2 * part <= padded)
        part *= 2;
    float *factors = mem_alloc((size_t)(ROTATION_ROUNDS + 1) * part * sizeof *factors);
    if (!factors)
        return false;
    float size = (float)(1 / sqrt((double)part));
    rng_seed(&rng, seed);
    for (uint32_t i = 0; i < ROTATION_ROUNDS * part; i++)
        factors[i] = rng_next(&rng) >> 63 ? -size : size;
    for (uint32_t i = ROTATION_ROUNDS * part; i < (ROTATION_ROUNDS + 1) * part; i++)
        factors[i] = 1;
    *r = (struct rotation){.dim = dim, .padded = padded, .part = part, .factors = factors};
    return true;
}

void rotation_release(struct rotation *r)
{
    mem_free(r->factors);
    *r = (struct rotation){0};
}

static float *part_of(const struct rotation *r, uint32_t round, float *v)
{
    return round % 2 ? v + (r->padded - r->part) : v;
}

void rotation_apply(const struct rotation *r, const float *x, float *ret)
{
    memcpy(ret, x, r->dim * sizeof *x);
    memset(ret + r->dim, 0, (r->padded - r->dim) * sizeof *x);
    for (uint32_t i = 0; i < ROTATION_ROUNDS; i++)
        math_code_kernels()->hadamard(part_of(r, i, ret), r->part,
                                      r->factors + (size_t)i * r->part);
}

void rotation_undo(const struct rotation *r, float *rotated, float *ret)
{
    const float *ones = r->factors + (size_t)ROTATION_ROUNDS * r->part;
    for (uint32_t i = ROTATION_ROUNDS; i-- > 0;) {
        float *v = part_of(r, i, rotated);
        math_code_kernels()->hadamard(v, r->part, ones);
        for (uint32_t j = 0; j < r->part; j++)
            v[j] *= r->factors[i * r->part + j];
    }
    memcpy(ret, rotated, r->dim * sizeof *ret);
}
