/* SPDX-License-Identifier: MIT
 *
 * See vector.h for why this is not in the kernel tables.  Compiled without contraction of a * b + c
 * into one rounding, which would differ by machine. */
#include "vector.h"

#include <math.h>

enum { LANES = 8 };

/* sum a[i] b[i] in float64, lane i mod 8, lanes added pairwise. Each product of two float32 is
 * exact. |error| <= (dim / 8 + 3) 2^-53 sum |a[i] b[i]|. */
static double dot_f64(const float *a, const float *b, size_t dim)
{
    double lane[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= dim; i += LANES)
        for (size_t j = 0; j < LANES; j++)
            lane[j] += (double)a[i + j] * (double)b[i + j];
    for (; i < dim; i++)
        lane[i % LANES] += (double)a[i] * (double)b[i];
    return ((lane[0] + lane[1]) + (lane[2] + lane[3])) +
           ((lane[4] + lane[5]) + (lane[6] + lane[7]));
}

double vector_norm(const float *v, size_t dim)
{
    return sqrt(dot_f64(v, v, dim));
}

bool vector_normalise(const float *v, size_t dim, float *ret_unit)
{
    double norm = vector_norm(v, dim);
    if (!(norm > 0) || !isfinite(norm))
        return false;
    double inverse = 1 / norm; /* the smallest float32 is 2^-149, so this is finite */
    for (size_t i = 0; i < dim; i++)
        ret_unit[i] = (float)((double)v[i] * inverse);
    return true;
}

float vector_cosine(const float *a, const float *b, size_t dim)
{
    double norms = vector_norm(a, dim) * vector_norm(b, dim);
    if (!(norms > 0) || !isfinite(norms))
        return 0;
    double c = dot_f64(a, b, dim) / norms;
    return (float)(c > 1 ? 1 : c < -1 ? -1 : c);
}
