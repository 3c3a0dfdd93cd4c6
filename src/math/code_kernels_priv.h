/* SPDX-License-Identifier: MIT
 *
 * The tables behind math_code_kernels(); kernels_priv.h says what holds for their files. */
#ifndef QMN_MATH_CODE_KERNELS_PRIV_H
#define QMN_MATH_CODE_KERNELS_PRIV_H

#include "code_kernels.h"

extern const struct code_kernels code_kernels_scalar;
#if defined(__x86_64__)
extern const struct code_kernels code_kernels_avx2;
extern const struct code_kernels code_kernels_avx512;
#endif

#endif
