/* SPDX-License-Identifier: MIT
 *
 * Which vector instructions this processor has and its operating system saves on a context switch.
 * Asked once; any thread. */
#ifndef QMN_BASE_CPU_H
#define QMN_BASE_CPU_H

#include <stdbool.h>

struct cpu_features {
    bool avx2;          /* AVX2, FMA and F16C together: no processor sold has only some of them */
    bool avx512_vnni;   /* the above and AVX-512 F, BW, VL, VNNI */
    bool avx512_popcnt; /* VPOPCNTDQ, where avx512_vnni is */
    bool neon;
};

struct cpu_features cpu_features(void);

#endif
