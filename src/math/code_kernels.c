/* SPDX-License-Identifier: MIT
 *
 * Chooses the table once. */
#include "code_kernels.h"

#include <stdatomic.h>
#include <string.h>

#include "base/attr.h"
#include "base/cpu.h"
#include "code_kernels_priv.h"
#include "kernels.h"

const struct code_kernels *math_code_kernels_named(const char *name)
{
#if defined(__x86_64__)
    struct cpu_features cpu = cpu_features();
    if (strcmp(name, "avx512") == 0)
        return cpu.avx512_vnni && cpu.avx512_popcnt ? &code_kernels_avx512 : NULL;
    if (strcmp(name, "avx2") == 0)
        return cpu.avx2 ? &code_kernels_avx2 : NULL;
#endif
    return strcmp(name, "scalar") == 0 ? &code_kernels_scalar : NULL;
}

/* The first AVX-512 processors count no bits in vectors, and nobody wrote the ones for Arm yet. */
static const struct code_kernels *choose(void)
{
    const char *name = math_kernels()->name;
    const struct code_kernels *k = math_code_kernels_named(name);
    if (!k && strcmp(name, "avx512") == 0)
        k = math_code_kernels_named("avx2");
    return k ? k : &code_kernels_scalar;
}

const struct code_kernels *math_code_kernels(void)
{
    static _Atomic(const struct code_kernels *) chosen;
    const struct code_kernels *k = atomic_load_explicit(&chosen, memory_order_relaxed);
    if (QMN_UNLIKELY(!k)) { /* two threads may both choose: they choose the same */
        k = choose();
        atomic_store_explicit(&chosen, k, memory_order_relaxed);
    }
    return k;
}
