/* SPDX-License-Identifier: MIT
 *
 * Chooses the table once. */
#include "kernels.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "base/cpu.h"
#include "base/log.h"
#include "kernels_priv.h"

/* Fills ret with what this processor runs, best first, and returns the number (at least 1). */
static size_t available(const struct kernels *ret[4])
{
    size_t n = 0;
    struct cpu_features cpu = cpu_features();
#if defined(__x86_64__)
    if (cpu.avx512_vnni)
        ret[n++] = &kernels_avx512;
    if (cpu.avx2)
        ret[n++] = &kernels_avx2;
#elif defined(__aarch64__)
    if (cpu.neon)
        ret[n++] = &kernels_neon;
#else
    (void)cpu;
#endif
    ret[n++] = &kernels_scalar;
    return n;
}

const struct kernels *math_kernels_named(const char *name)
{
    const struct kernels *tables[4];
    size_t n = available(tables);
    for (size_t i = 0; i < n; i++)
        if (strcmp(tables[i]->name, name) == 0)
            return tables[i];
    return NULL;
}

static const struct kernels *choose(void)
{
    const char *wanted = getenv("QMN_KERNELS");
    if (wanted && *wanted) {
        const struct kernels *named = math_kernels_named(wanted);
        if (named)
            return named;
        log_warn("QMN_KERNELS names no table this processor runs; using the best",
                 LOG_S("wanted", wanted));
    }
    const struct kernels *tables[4];
    (void)available(tables);
    return tables[0];
}

const struct kernels *math_kernels(void)
{
    static _Atomic(const struct kernels *) chosen;
    const struct kernels *k = atomic_load_explicit(&chosen, memory_order_relaxed);
    if (QMN_UNLIKELY(!k)) { /* two threads may both choose: they choose the same */
        k = choose();
        atomic_store_explicit(&chosen, k, memory_order_relaxed);
    }
    return k;
}
