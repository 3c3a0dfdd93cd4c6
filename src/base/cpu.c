/* SPDX-License-Identifier: MIT
 *
 * CPUID and XGETBV, read directly: the compilers' __builtin_cpu_supports() differ in the names they
 * know (F16C) and CPUID alone does not say whether the system saves the wide registers. */
#include "cpu.h"

#include <stdint.h>

#if defined(__x86_64__)
#include <cpuid.h>

enum {
    LEAF1_ECX_FMA = 1 << 12,
    LEAF1_ECX_OSXSAVE = 1 << 27,
    LEAF1_ECX_F16C = 1 << 29,
    LEAF7_EBX_AVX2 = 1 << 5,
    LEAF7_EBX_AVX512F = 1 << 16,
    LEAF7_EBX_AVX512BW = 1 << 30,
    LEAF7_ECX_VNNI = 1 << 11,
    LEAF7_ECX_VPOPCNTDQ = 1 << 14,
    XCR0_YMM = 0x06, /* SSE and AVX state */
    XCR0_ZMM = 0xe6, /* and opmask, upper ZMM, ZMM16-31 */
};
#define LEAF7_EBX_AVX512VL 0x80000000u

static uint32_t enabled_state(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static bool has_all(uint32_t bits, uint32_t wanted)
{
    return (bits & wanted) == wanted;
}

struct cpu_features cpu_features(void)
{
    struct cpu_features f = {0};
    uint32_t a, b, c, d, b7, c7;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !has_all(c, LEAF1_ECX_OSXSAVE))
        return f;
    uint32_t ecx1 = c, state = enabled_state();
    if (!__get_cpuid_count(7, 0, &a, &b7, &c7, &d))
        return f;
    f.avx2 = has_all(state, XCR0_YMM) && has_all(ecx1, LEAF1_ECX_FMA | LEAF1_ECX_F16C) &&
             has_all(b7, LEAF7_EBX_AVX2);
    f.avx512_vnni = f.avx2 && has_all(state, XCR0_ZMM) &&
                    has_all(b7, LEAF7_EBX_AVX512F | LEAF7_EBX_AVX512BW | LEAF7_EBX_AVX512VL) &&
                    has_all(c7, LEAF7_ECX_VNNI);
    f.avx512_popcnt = f.avx512_vnni && has_all(c7, LEAF7_ECX_VPOPCNTDQ);
    return f;
}

#else

struct cpu_features cpu_features(void)
{
    struct cpu_features f = {0};
#if defined(__aarch64__)
    f.neon = true; /* part of the base instruction set */
#endif
    return f;
}

#endif
