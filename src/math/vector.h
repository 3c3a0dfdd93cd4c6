/* SPDX-License-Identifier: MIT
 *
 * Length and angle of float32 vectors.  Sums run in float64 over eight fixed lanes in plain C, not
 * in the SIMD tables: the result is the same bit for bit on every machine, and the square of no
 * float32 can overflow or vanish.  Pure; any thread. */
#ifndef QMN_MATH_VECTOR_H
#define QMN_MATH_VECTOR_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"

/* Euclidean length; not finite if an element is not. v: float[dim], dim <= 2^20. */
double vector_norm(const float *v, size_t dim);

/* ret_unit[i] = v[i] / |v|; ret_unit may be v.  False, with ret_unit untouched, when the length is
 * zero or an element is not finite.  The result's length is 1 within 1e-6. */
QMN_NODISCARD bool vector_normalise(const float *v, size_t dim, float *ret_unit);

/* a.b / (|a| |b|) in [-1, 1]; 0 if either has no direction (zero or not finite). For unit vectors
 * use kernels.dot_f32. */
float vector_cosine(const float *a, const float *b, size_t dim);

#endif
