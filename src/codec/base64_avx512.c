/* SPDX-License-Identifier: MIT
 *
 * Embeddings of 8 KB come as base64, so where the machine has AVX-512 with VBMI (Ice Lake, Zen 4
 * and later) 64 characters go at a time, by the method of [ML19] Mula, Lemire, "Base64 encoding and
 * decoding at almost the speed of a memory copy". */
#include "base64_priv.h"

#include <stdbool.h>

#include "base/attr.h"

#if defined(__x86_64__)

#include <immintrin.h>

__attribute__((target("avx512f,avx512bw,avx512vbmi"))) static size_t
decode_wide(const uint8_t *in, size_t len, uint8_t *out)
{
    enum { CHARS = 64, BYTES = CHARS / 4 * 3 };
    /* by bytes from the highest: of each four, the third, second and first */
    const __m512i in_order = _mm512_set_epi8(
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 60, 61, 62, 56, 57, 58, 52, 53, 54, 48, 49,
        50, 44, 45, 46, 40, 41, 42, 36, 37, 38, 32, 33, 34, 28, 29, 30, 24, 25, 26, 20, 21, 22, 16,
        17, 18, 12, 13, 14, 8, 9, 10, 4, 5, 6, 0, 1, 2);
    const __m512i low = _mm512_loadu_si512(base64_values),
                  high = _mm512_loadu_si512(base64_values + 64);
    size_t at = 0;
    for (; at + CHARS < len; at += CHARS, out += BYTES) {
        __m512i text = _mm512_loadu_si512(in + at);
        __m512i sextets = _mm512_permutex2var_epi8(low, text, high); /* looks at 7 bits */
        if (_mm512_movepi8_mask(_mm512_or_si512(sextets, text)))
            break;
        __m512i pairs = _mm512_maddubs_epi16(sextets, _mm512_set1_epi32(0x01400140));
        __m512i fours = _mm512_madd_epi16(pairs, _mm512_set1_epi32(0x00011000));
        _mm512_mask_storeu_epi8(out, ((__mmask64)1 << BYTES) - 1,
                                _mm512_permutexvar_epi8(in_order, fours));
    }
    return at;
}

size_t base64_decode_blocks(const uint8_t *in, size_t len, uint8_t *out)
{
    bool able = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                __builtin_cpu_supports("avx512vbmi");
    return able ? decode_wide(in, len, out) : 0;
}

#else

size_t base64_decode_blocks(const uint8_t *in QMN_UNUSED, size_t len QMN_UNUSED,
                            uint8_t *out QMN_UNUSED)
{
    return 0;
}

#endif
