/* SPDX-License-Identifier: MIT
 *
 * Every table this processor runs against the scalar one, and that one against the definition. */
#include "support/test.h"

#include <math.h>
#include <string.h>

#include "base/attr.h"
#include "base/cpu.h"
#include "base/mem.h"
#include "base/rng.h"
#include "math/code_kernels.h"
#include "math/kernels.h"

enum { N_MAX = 4096, ROWS = 11 };
static const size_t sizes[] = {64,  128,  192,  256,  320,  384,  448,  512, 576,
                               960, 1024, 1088, 1536, 1600, 2048, 3072, 4096};
static const struct code_kernels *tables[3], *scalar;
static size_t table_count;
static struct rng rng;

static int find_tables(void **state)
{
    (void)state;
    const char *names[] = {"scalar", "avx2", "avx512"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const struct code_kernels *k = math_code_kernels_named(names[i]);
        if (k)
            tables[table_count++] = k;
    }
    scalar = tables[0];
    rng_seed(&rng, 75);
    return 0;
}

/* On the heap and no longer than said, so that a sanitizer sees a read past the end. */
static float *random_floats(size_t n)
{
    float *v = mem_alloc(n * sizeof *v);
    assert_non_null(v);
    for (size_t i = 0; i < n; i++)
        v[i] = (float)rng_normal(&rng);
    return v;
}

static uint64_t *random_words(size_t n)
{
    uint64_t *v = mem_alloc(n * sizeof *v);
    assert_non_null(v);
    for (size_t i = 0; i < n; i++)
        v[i] = rng_next(&rng);
    return v;
}

static void the_table_goes_with_that_of_the_other_kernels(void **state)
{
    (void)state;
    struct cpu_features cpu = cpu_features();
    const char *other = math_kernels()->name, *name = math_code_kernels()->name;
    if (strcmp(other, "avx512") == 0)
        assert_string_equal(name, cpu.avx512_popcnt ? "avx512" : "avx2");
    else
        assert_string_equal(name, strcmp(other, "avx2") == 0 ? "avx2" : "scalar");
    assert_null(math_code_kernels_named("mmx"));
#if defined(__x86_64__)
    assert_int_equal(cpu.avx512_popcnt,
                     cpu.avx512_vnni && __builtin_cpu_supports("avx512vpopcntdq"));
#endif
}

/* H[i][j] = (-1)^popcount(i & j) */
static void the_transform_is_the_matrix_of_signs(void **state)
{
    (void)state;
    enum { N = 128 };
    CLEANUP(mem_freep) float *v = random_floats(N);
    CLEANUP(mem_freep) float *factors = random_floats(N);
    double want[N];
    for (unsigned i = 0; i < N; i++) {
        want[i] = 0;
        for (unsigned j = 0; j < N; j++) {
            double x = (double)(v[j] * factors[j]);
            want[i] += __builtin_parity(i & j) ? -x : x;
        }
    }
    scalar->hadamard(v, N, factors);
    for (size_t i = 0; i < N; i++)
        assert_true(fabs((double)v[i] - want[i]) < 1e-4);
}

static void transforms_are_identical(void **state)
{
    (void)state;
    for (size_t n = 64; n <= N_MAX; n *= 2) {
        CLEANUP(mem_freep) float *v = random_floats(n);
        CLEANUP(mem_freep) float *factors = random_floats(n);
        CLEANUP(mem_freep) float *want = random_floats(n);
        memcpy(want, v, n * sizeof *v);
        scalar->hadamard(want, n, factors);
        for (size_t t = 1; t < table_count; t++) {
            CLEANUP(mem_freep) float *got = random_floats(n);
            memcpy(got, v, n * sizeof *v);
            tables[t]->hadamard(got, n, factors);
            assert_memory_equal(got, want, n * sizeof *v);
        }
    }
}

static void signs_are_bits(void **state)
{
    (void)state;
    for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
        size_t n = sizes[s];
        CLEANUP(mem_freep) float *v = random_floats(n);
        v[n / 2] = 0;
        v[n / 3] = -0.0f;
        for (size_t t = 0; t < table_count; t++) {
            CLEANUP(mem_freep) uint64_t *bits = random_words(n / 64);
            tables[t]->sign_bits(v, n, bits);
            for (size_t i = 0; i < n; i++)
                assert_int_equal(bits[i / 64] >> i % 64 & 1, v[i] >= 0);
        }
    }
}

static unsigned level_of(const uint64_t *planes, size_t n, size_t i)
{
    unsigned level = 0;
    for (size_t b = 0; b < CODE_PLANES; b++)
        level |= (unsigned)(planes[(b * n + i) / 64] >> i % 64 & 1) << b;
    return level;
}

static void levels_round_to_the_nearest_and_identically(void **state)
{
    (void)state;
    for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
        size_t n = sizes[s];
        CLEANUP(mem_freep) float *v = random_floats(n);
        CLEANUP(mem_freep) uint64_t *want = random_words(CODE_PLANES * n / 64);
        struct code_levels r = scalar->bit_planes(v, n, want);
        uint32_t sum = 0;
        for (size_t i = 0; i < n; i++) {
            unsigned level = level_of(want, n, i);
            assert_true(fabsf(r.low + r.step * (float)level - v[i]) <= r.step * 0.5001f);
            sum += level;
        }
        assert_int_equal(r.sum, sum);
        for (size_t t = 1; t < table_count; t++) {
            CLEANUP(mem_freep) uint64_t *got = random_words(CODE_PLANES * n / 64);
            struct code_levels other = tables[t]->bit_planes(v, n, got);
            assert_memory_equal(got, want, CODE_PLANES * n / 8);
            assert_memory_equal(&other, &r, sizeof r);
        }
    }
}

static void a_flat_vector_has_no_levels(void **state)
{
    (void)state;
    static const float values[] = {0, 0.25f, -3, 1e-42f};
    float v[192];
    uint64_t planes[CODE_PLANES * 3];
    for (size_t i = 0; i < ARRAY_LEN(values); i++)
        for (size_t t = 0; t < table_count; t++) {
            for (size_t j = 0; j < ARRAY_LEN(v); j++)
                v[j] = i == 3 && j % 2 ? 0 : values[i]; /* or a range too small to divide by */
            struct code_levels r = tables[t]->bit_planes(v, 192, planes);
            assert_true(r.low == (i == 3 ? 0 : values[i]) && r.step == 0 && r.sum == 0);
            for (size_t j = 0; j < ARRAY_LEN(planes); j++)
                assert_int_equal(planes[j], 0);
        }
}

static void products_of_bits_are_exact(void **state)
{
    (void)state;
    for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
        size_t n = sizes[s];
        CLEANUP(mem_freep) uint64_t *planes = random_words(CODE_PLANES * n / 64);
        uint64_t *rows[ROWS];
        uint32_t want[ROWS] = {0}, got[ROWS];
        for (size_t r = 0; r < ROWS; r++) {
            rows[r] = random_words(n / 64);
            if (r == 1) {
                memset(rows[r], 0xff, n / 8);
                memset(planes, 0xff, s % 2 ? n / 8 : CODE_PLANES * n / 8);
            }
        }
        for (size_t r = 0; r < ROWS; r++)
            for (size_t i = 0; i < n; i++)
                want[r] += rows[r][i / 64] >> i % 64 & 1 ? level_of(planes, n, i) : 0;
        for (size_t t = 0; t < table_count; t++)
            for (size_t count = 0; count <= ROWS; count++) {
                memset(got, 0, sizeof got);
                tables[t]->dot_bits((const void *const *)rows, count, planes, n, got);
                assert_memory_equal(got, want, count * sizeof *got);
            }
        for (size_t r = 0; r < ROWS; r++)
            mem_free(rows[r]);
    }
}

static int8_t *random_codes(size_t n)
{
    int8_t *v = mem_alloc(n);
    assert_non_null(v);
    for (size_t i = 0; i < n; i++)
        v[i] = (int8_t)((int)rng_below(&rng, 255) - 127);
    return v;
}

static void products_of_int8_rows_are_exact(void **state)
{
    (void)state;
    for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
        size_t n = sizes[s];
        CLEANUP(mem_freep) int8_t *query = random_codes(n);
        int8_t *rows[ROWS];
        int32_t want[ROWS] = {0}, got[ROWS];
        for (size_t r = 0; r < ROWS; r++) {
            rows[r] = random_codes(n);
            if (r == 2)
                for (size_t i = 0; i < n; i++)
                    rows[r][i] = query[i] = s % 2 ? 127 : -127;
        }
        for (size_t r = 0; r < ROWS; r++)
            for (size_t i = 0; i < n; i++)
                want[r] += rows[r][i] * query[i];
        for (size_t t = 0; t < table_count; t++)
            for (size_t count = 0; count <= ROWS; count++) {
                memset(got, 0, sizeof got);
                tables[t]->dot_i8_at((const int8_t *const *)rows, count, query, n, got);
                assert_memory_equal(got, want, count * sizeof *got);
            }
        for (size_t r = 0; r < ROWS; r++)
            mem_free(rows[r]);
    }
}

static void float_by_int8_products_agree_within_the_stated_bound(void **state)
{
    (void)state;
    for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
        size_t n = sizes[s];
        CLEANUP(mem_freep) float *a = random_floats(n);
        CLEANUP(mem_freep) int8_t *b = random_codes(n);
        double exact = 0, magnitude = 0;
        for (size_t i = 0; i < n; i++) {
            exact += (double)a[i] * b[i];
            magnitude += fabs((double)a[i] * b[i]);
        }
        for (size_t t = 0; t < table_count; t++)
            assert_true(fabs((double)tables[t]->dot_f32_i8(a, b, n) - exact) <=
                        ((double)n / 32 + 6) * 0x1p-24 * magnitude);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_goes_with_that_of_the_other_kernels),
        cmocka_unit_test(the_transform_is_the_matrix_of_signs),
        cmocka_unit_test(transforms_are_identical),
        cmocka_unit_test(signs_are_bits),
        cmocka_unit_test(levels_round_to_the_nearest_and_identically),
        cmocka_unit_test(a_flat_vector_has_no_levels),
        cmocka_unit_test(products_of_bits_are_exact),
        cmocka_unit_test(products_of_int8_rows_are_exact),
        cmocka_unit_test(float_by_int8_products_agree_within_the_stated_bound),
    };
    return cmocka_run_group_tests(tests, find_tables, NULL);
}
