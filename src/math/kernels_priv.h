/* SPDX-License-Identifier: MIT
 *
 * The tables behind math_kernels(), one per kernels_<set>.c.  Each of those files is compiled with
 * its own instruction-set flags and must hold nothing but its static functions and its table: an
 * inline function shared with another file could be emitted with the wider instructions and then
 * run anywhere. */
#ifndef QMN_MATH_KERNELS_PRIV_H
#define QMN_MATH_KERNELS_PRIV_H

#include "kernels.h"

/* Below this the largest element counts as zero: 127 / max would no longer be finite or exact. */
#define QUANTISE_ZERO 1e-30f

extern const struct kernels kernels_scalar;
#if defined(__x86_64__)
extern const struct kernels kernels_avx2;
extern const struct kernels kernels_avx512;
#elif defined(__aarch64__)
extern const struct kernels kernels_neon;
#endif

#endif
