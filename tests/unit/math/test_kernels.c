/* SPDX-License-Identifier: MIT
 *
 * Every table this processor runs against the scalar one, and the scalar one against the
 * definition. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "base/cpu.h"
#include "base/mem.h"
#include "base/rng.h"
#include "math/kernels.h"
#include "math/vector.h"

static const size_t dims[] = {1,  2,  3,  7,   8,   15,  16,  17,  31,   32,   33,   63,   64,  65,
                              95, 96, 97, 127, 128, 129, 384, 511, 1000, 1536, 1537, 4095, 4096};
enum { DIM_MAX = 4096 };

static const struct kernels *tables[4];
static size_t table_count;

static int find_tables(void **state)
{
    (void)state;
    const char *names[] = {"scalar", "avx2", "avx512", "neon"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const struct kernels *k = math_kernels_named(names[i]);
        if (k)
            tables[table_count++] = k;
    }
    print_message("# tables:");
    for (size_t i = 0; i < table_count; i++)
        print_message(" %s", tables[i]->name);
    print_message("\n");
    return 0;
}

static float *random_floats(struct rng *r, size_t n)
{
    float *v = mem_calloc(n, sizeof *v);
    assert_non_null(v);
    for (size_t i = 0; i < n; i++)
        v[i] = (float)rng_normal(r);
    return v;
}

/* Exactly n bytes on the heap, so that a sanitizer sees any read past them. */
static int8_t *random_codes(struct rng *r, size_t n)
{
    int8_t *v = mem_calloc(n, 1);
    assert_non_null(v);
    for (size_t i = 0; i < n; i++)
        v[i] = (int8_t)((int)rng_below(r, 255) - 127);
    return v;
}

static const char *best_name(void)
{
    struct cpu_features cpu = cpu_features();
    return cpu.avx512_vnni ? "avx512" : cpu.avx2 ? "avx2" : cpu.neon ? "neon" : "scalar";
}

static void the_chosen_table_is_the_best_available(void **state)
{
    (void)state;
    struct cpu_features cpu = cpu_features();
    assert_string_equal(math_kernels()->name, best_name());
    assert_ptr_equal(math_kernels_named(best_name()), math_kernels());
    if (!cpu.avx2)
        assert_null(math_kernels_named("avx2"));
    if (!cpu.avx512_vnni)
        assert_null(math_kernels_named("avx512"));
    assert_null(math_kernels_named("mmx"));
}

static void the_processor_is_read_as_the_compiler_reads_it(void **state)
{
    (void)state;
#if defined(__x86_64__)
    __builtin_cpu_init();
    struct cpu_features cpu = cpu_features();
    assert_int_equal(cpu.avx2, __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"));
    assert_int_equal(cpu.avx512_vnni, __builtin_cpu_supports("avx512bw") &&
                                          __builtin_cpu_supports("avx512vl") &&
                                          __builtin_cpu_supports("avx512vnni"));
#else
    skip();
#endif
}

static void float_products_agree_within_the_stated_bound(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 1);
    for (size_t d = 0; d < ARRAY_LEN(dims); d++) {
        size_t dim = dims[d];
        CLEANUP(mem_freep) float *a = random_floats(&r, dim);
        CLEANUP(mem_freep) float *b = random_floats(&r, dim);
        double exact = 0, magnitude = 0;
        for (size_t i = 0; i < dim; i++) {
            exact += (double)a[i] * b[i];
            magnitude += fabs((double)a[i] * b[i]);
        }
        for (size_t t = 0; t < table_count; t++) {
            double lanes = strcmp(tables[t]->name, "avx512") == 0 ? 64 : 32;
            double bound = ((double)dim / lanes + 6) * 0x1p-24 * magnitude;
            assert_true(fabs(tables[t]->dot_f32(a, b, dim) - exact) <= bound);
        }
    }
}

static void float_by_half_products_agree_within_the_stated_bound(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 2);
    for (size_t d = 0; d < ARRAY_LEN(dims); d++) {
        size_t dim = dims[d];
        CLEANUP(mem_freep) float *a = random_floats(&r, dim);
        CLEANUP(mem_freep) float *b = random_floats(&r, dim);
        CLEANUP(mem_freep) uint16_t *half = mem_calloc(dim, sizeof *half);
        CLEANUP(mem_freep) float *back = mem_calloc(dim, sizeof *back);
        assert_true(half && back);
        math_kernels_named("scalar")->f32_to_f16(b, dim, half);
        math_kernels_named("scalar")->f16_to_f32(half, dim, back);
        double exact = 0, magnitude = 0;
        for (size_t i = 0; i < dim; i++) {
            exact += (double)a[i] * back[i];
            magnitude += fabs((double)a[i] * back[i]);
        }
        for (size_t t = 0; t < table_count; t++) {
            double bound = ((double)dim / 32 + 6) * 0x1p-24 * magnitude;
            assert_true(fabs(tables[t]->dot_f32_f16(a, half, dim) - exact) <= bound);
        }
    }
}

static void every_half_survives_the_way_there_and_back(void **state)
{
    (void)state;
    static uint16_t all[65536], again[65536];
    static float wide[65536], reference[65536];
    for (size_t i = 0; i < 65536; i++)
        all[i] = (uint16_t)i;
    math_kernels_named("scalar")->f16_to_f32(all, 65536, reference);
    assert_true(reference[0x3c00] == 1.0f && reference[0xc000] == -2.0f);
    assert_true(reference[0x7bff] == 65504.0f && reference[0x0001] == 0x1p-24f);
    assert_true(reference[0x0400] == 0x1p-14f && isinf(reference[0x7c00]) &&
                isnan(reference[0x7e01]));
    for (size_t t = 0; t < table_count; t++) {
        tables[t]->f16_to_f32(all, 65536, wide);
        assert_memory_equal(wide, reference, sizeof wide);
        tables[t]->f32_to_f16(wide, 65536, again);
        for (size_t i = 0; i < 65536; i++) {
            bool signalling = (i & 0x7c00) == 0x7c00 && (i & 0x3ff) && !(i & 0x200);
            assert_int_equal(again[i], signalling ? i | 0x200 : i);
        }
    }
}

static void narrowing_rounds_to_nearest_even_and_identically(void **state)
{
    (void)state;
    const struct {
        float in;
        uint16_t out;
    } known[] = {
        {1.0f, 0x3c00},          {1.0f + 0x1p-11f, 0x3c00}, {1.0f + 0x1.8p-10f, 0x3c02},
        {65504.0f, 0x7bff},      {65519.996f, 0x7bff},      {65520.0f, 0x7c00},
        {-1e30f, 0xfc00},        {0x1p-24f, 0x0001},        {0x1p-25f, 0x0000},
        {0x1.000002p-25f, 0x01}, {0x1.8p-24f, 0x0002},      {-0.0f, 0x8000},
        {0x1.ffcp-15f, 0x0400},  {INFINITY, 0x7c00},
    };
    for (size_t t = 0; t < table_count; t++)
        for (size_t i = 0; i < ARRAY_LEN(known); i++) {
            uint16_t got;
            tables[t]->f32_to_f16(&known[i].in, 1, &got);
            assert_int_equal(got, known[i].out);
        }
    struct rng r;
    rng_seed(&r, 3);
    static uint32_t bits[4099];
    static float in[4099];
    static uint16_t reference[4099], got[4099];
    for (int round = 0; round < 100; round++) {
        for (size_t i = 0; i < ARRAY_LEN(bits); i++) /* every third in the range of halves */
            bits[i] = i % 3 ? (uint32_t)rng_next(&r)
                            : (uint32_t)(rng_next(&r) & 0x8fffffff) | 0x30000000u;
        memcpy(in, bits, sizeof in);
        math_kernels_named("scalar")->f32_to_f16(in, ARRAY_LEN(in), reference);
        for (size_t t = 1; t < table_count; t++) {
            tables[t]->f32_to_f16(in, ARRAY_LEN(in), got);
            assert_memory_equal(got, reference, sizeof got);
        }
    }
}

static void conversion_writes_no_more_than_its_count(void **state)
{
    (void)state;
    for (size_t t = 0; t < table_count; t++)
        for (size_t n = 1; n <= 40; n++) {
            float in[40], wide[41];
            uint16_t half[41];
            for (size_t i = 0; i < 40; i++)
                in[i] = (float)i;
            half[n] = 0xabcd;
            wide[n] = 77;
            tables[t]->f32_to_f16(in, n, half);
            tables[t]->f16_to_f32(half, n, wide);
            assert_int_equal(half[n], 0xabcd);
            assert_true(wide[n] == 77 && wide[n - 1] == (float)(n - 1));
        }
}

static void one_element_that_is_not_finite_is_found_wherever_it_hides(void **state)
{
    (void)state;
    const float bad[] = {NAN, INFINITY, -INFINITY};
    struct rng r;
    rng_seed(&r, 4);
    for (size_t d = 0; d < ARRAY_LEN(dims); d++) {
        size_t dim = dims[d];
        CLEANUP(mem_freep) float *v = random_floats(&r, dim);
        v[0] = 3.4028235e38f;
        for (size_t t = 0; t < table_count; t++) {
            assert_true(tables[t]->all_finite_f32(v, dim));
            for (size_t step = 0; step < dim; step += 1 + dim / 70) {
                size_t at = dim - 1 - step;
                float kept = v[at];
                v[at] = bad[at % 3];
                assert_false(tables[t]->all_finite_f32(v, dim));
                v[at] = kept;
            }
        }
    }
}

static void quantised_codes_are_the_rounded_ones_and_identical(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 5);
    for (size_t d = 0; d < ARRAY_LEN(dims); d++) {
        size_t dim = dims[d];
        CLEANUP(mem_freep) float *v = random_floats(&r, dim);
        CLEANUP(mem_freep) int8_t *reference = mem_calloc(dim, 1);
        CLEANUP(mem_freep) int8_t *codes = mem_calloc(dim + 1, 1);
        assert_true(reference && codes);
        float scale = math_kernels_named("scalar")->quantise_i8(v, dim, reference);
        int largest = 0;
        for (size_t i = 0; i < dim; i++) {
            assert_true(fabsf(v[i] - scale * reference[i]) <= scale * 0.5001f);
            largest = abs(reference[i]) > largest ? abs(reference[i]) : largest;
        }
        assert_int_equal(largest, 127);
        for (size_t t = 0; t < table_count; t++) {
            codes[dim] = 99;
            assert_true(tables[t]->quantise_i8(v, dim, codes) == scale);
            assert_memory_equal(codes, reference, dim);
            assert_int_equal(codes[dim], 99);
        }
    }
}

/* Each set stands at the end of its memory, so that a read behind it is seen. */
static void joined_is_what_any_set_has(void **state)
{
    (void)state;
    enum { WORDS_MOST = 70, SETS = 5 };
    struct rng r;
    rng_seed(&r, 17);
    for (size_t words = 0; words <= WORDS_MOST; words++)
        for (size_t t = 0; t < table_count; t++) {
            struct kernels_set sets[SETS];
            uint64_t want[WORDS_MOST + 1], *v = mem_alloc((words + 1) * sizeof *v);
            for (size_t w = 0; w <= words; w++)
                v[w] = want[w] = rng_next(&r) & rng_next(&r);
            for (size_t s = 0; s < SETS; s++) {
                size_t n = s ? rng_below(&r, (uint32_t)words + 20) : words;
                uint64_t *bits = mem_alloc(n * sizeof *bits + !n);
                for (size_t w = 0; w < n; w++) {
                    bits[w] = rng_next(&r) & rng_next(&r) & rng_next(&r);
                    if (w < words)
                        want[w] |= bits[w];
                }
                sets[s] = (struct kernels_set){bits, n};
            }
            tables[t]->join_sets(v, words, sets, SETS);
            assert_memory_equal(v, want, (words + 1) * sizeof *v);
            for (size_t s = 0; s < SETS; s++)
                mem_free((void *)(uintptr_t)sets[s].bits);
            mem_free(v);
        }
}

static void adding_touches_just_the_chosen(void **state)
{
    (void)state;
    enum { WORDS = 5, N = 64 * WORDS, TERMS = 3 };
    struct rng r;
    rng_seed(&r, 13);
    for (int round = 0; round < 200; round++) {
        CLEANUP(mem_freep) float *want = random_floats(&r, N);
        CLEANUP(mem_freep) float *before = mem_alloc(N * sizeof *before);
        CLEANUP(mem_freep) float *v = mem_alloc(N * sizeof *v);
        uint64_t bits[TERMS][WORDS];
        struct kernels_term terms[TERMS];
        size_t count = rng_below(&r, TERMS + 1);
        memcpy(before, want, N * sizeof *want);
        for (size_t k = 0; k < count; k++) {
            terms[k] = (struct kernels_term){bits[k], (float)rng_normal(&r)};
            for (size_t w = 0; w < WORDS; w++)
                bits[k][w] =
                    rng_below(&r, 4) ? rng_next(&r) & rng_next(&r) : rng_below(&r, 2) - 1ull;
            for (size_t i = 0; i < N; i++)
                if (bits[k][i / 64] >> (i % 64) & 1)
                    want[i] += terms[k].add;
        }
        for (size_t t = 0; t < table_count; t++) {
            memcpy(v, before, N * sizeof *v);
            tables[t]->add_where(v, WORDS, terms, count);
            assert_memory_equal(v, want, N * sizeof *v);
        }
    }
}

static void scores_are_identical_and_stay_in_their_place(void **state)
{
    (void)state;
    enum { N = 70 };
    struct rng r;
    rng_seed(&r, 19);
    for (size_t n = 0; n <= N; n++) {
        float *a = random_floats(&r, n + 1), *b = random_floats(&r, n + 1);
        uint8_t *rank = mem_alloc(n + 1), least = (uint8_t)rng_below(&r, 5);
        float want[N + 1], got[N + 1];
        for (size_t i = 0; i < n; i++) {
            rank[i] = rng_below(&r, 8) ? (uint8_t)rng_below(&r, 5) : 255;
            b[i] = fabsf(b[i]);
            a[i] = rng_below(&r, 6) ? a[i] : rng_below(&r, 2) ? NAN : -0.0f;
            want[i] = rank[i] < least ? -1 : a[i] > 0 ? a[i] * (1 + b[i]) * 0.5f : 0;
        }
        want[n] = 7;
        for (size_t t = 0; t < table_count; t++) {
            memset(got, 0x55, sizeof got);
            got[n] = 7;
            tables[t]->score_where(a, b, rank, least, n, got);
            assert_memory_equal(got, want, (n + 1) * sizeof *got);
        }
        mem_free(a);
        mem_free(b);
        mem_free(rank);
    }
}

static void a_vector_of_nothing_quantises_to_zero_codes(void **state)
{
    (void)state;
    float zero[100] = {0}, tiny[100] = {[50] = 1e-38f};
    for (size_t t = 0; t < table_count; t++) {
        int8_t codes[100];
        memset(codes, 5, sizeof codes);
        assert_true(tables[t]->quantise_i8(zero, 100, codes) == 0);
        for (size_t i = 0; i < 100; i++)
            assert_int_equal(codes[i], 0);
        assert_true(tables[t]->quantise_i8(tiny, 100, codes) == 0);
        assert_int_equal(codes[50], 0);
    }
}

static void quantised_cosines_stay_within_the_stated_error(void **state)
{
    (void)state;
    const struct kernels *k = math_kernels();
    struct rng r;
    rng_seed(&r, 6);
    enum { DIM = 1536, PAIRS = 400 };
    double squares = 0, expected = 0;
    for (int p = 0; p < PAIRS; p++) {
        CLEANUP(mem_freep) float *a = random_floats(&r, DIM);
        CLEANUP(mem_freep) float *b = random_floats(&r, DIM);
        assert_true(vector_normalise(a, DIM, a) && vector_normalise(b, DIM, b));
        int8_t ca[DIM], cb[DIM];
        float sa = k->quantise_i8(a, DIM, ca), sb = k->quantise_i8(b, DIM, cb);
        int32_t product;
        k->dot_i8_rows(ca, DIM, 1, cb, DIM, &product);
        double error = (double)sa * sb * product - k->dot_f32(a, b, DIM);
        assert_true(fabs(error) <= sqrt(DIM) * (sa + sb) / 2);
        squares += error * error;
        expected += ((double)sa * sa + (double)sb * sb) / 12;
    }
    double deviation = sqrt(squares / PAIRS);
    assert_true(deviation < 1.2 * sqrt(expected / PAIRS) && deviation < .001);
}

static void int8_products_are_exactly_equal_over_all_tables(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 7);
    for (size_t d = 0; d < ARRAY_LEN(dims); d++) {
        size_t dim = dims[d], stride = kernels_i8_stride(dim) + 64 * (d % 2);
        for (size_t count = 0; count <= 5; count++) {
            CLEANUP(mem_freep) int8_t *rows = random_codes(&r, count * stride + 1);
            CLEANUP(mem_freep) int8_t *query = random_codes(&r, dim);
            int32_t got[6];
            for (size_t t = 0; t < table_count; t++) {
                memset(got, 0x55, sizeof got);
                tables[t]->dot_i8_rows(rows, stride, count, query, dim, got);
                for (size_t row = 0; row < count; row++) {
                    int32_t sum = 0;
                    for (size_t i = 0; i < dim; i++)
                        sum += rows[row * stride + i] * query[i];
                    assert_int_equal(got[row], sum);
                }
                assert_int_equal(got[count], 0x55555555);
            }
        }
    }
}

static void int8_tiles_give_what_single_queries_give(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 8);
    const size_t some[] = {2, 31, 64, 65, 200, 1536};
    for (size_t d = 0; d < ARRAY_LEN(some); d++)
        for (size_t n = 1; n <= KERNELS_TILE_MAX; n++)
            for (size_t count = 1; count <= 4; count++) {
                size_t dim = some[d], stride = kernels_i8_stride(dim);
                CLEANUP(mem_freep) int8_t *rows = random_codes(&r, count * stride);
                int8_t *queries[KERNELS_TILE_MAX];
                int32_t single[4 * KERNELS_TILE_MAX], tiled[4 * KERNELS_TILE_MAX + 1];
                for (size_t q = 0; q < n; q++) {
                    queries[q] = random_codes(&r, dim);
                    math_kernels_named("scalar")->dot_i8_rows(rows, stride, count, queries[q], dim,
                                                              single + q * count);
                }
                for (size_t t = 0; t < table_count; t++) {
                    tiled[n * count] = 4711;
                    tables[t]->dot_i8_tile(rows, stride, count, (const int8_t *const *)queries, n,
                                           dim, tiled);
                    assert_memory_equal(tiled, single, n * count * sizeof *tiled);
                    assert_int_equal(tiled[n * count], 4711);
                }
                for (size_t q = 0; q < n; q++)
                    mem_free(queries[q]);
            }
}

static void products_of_planes_are_those_of_each_pair(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 21);
    for (size_t d = 0; d < ARRAY_LEN(dims); d++) {
        int8_t *planes[4];
        int32_t want[4], got[5];
        for (size_t p = 0; p < 4; p++)
            planes[p] = random_codes(&r, dims[d]);
        for (size_t p = 0; p < 4; p++) {
            want[p] = 0;
            for (size_t i = 0; i < dims[d]; i++)
                want[p] += planes[p / 2][i] * planes[2 + p % 2][i];
        }
        for (size_t t = 0; t < table_count; t++) {
            got[4] = 4711;
            tables[t]->dot_i8_planes((const int8_t *const[]){planes[0], planes[1]},
                                     (const int8_t *const[]){planes[2], planes[3]}, dims[d], got);
            assert_memory_equal(got, want, sizeof want);
            assert_int_equal(got[4], 4711);
        }
        for (size_t p = 0; p < 4; p++)
            mem_free(planes[p]);
    }
}

/* What the codes leave, and what the codes of that leave: 16 bits hold a vector within its largest
 * element / 64516 an element. */
static void the_rest_is_that_of_the_definition_and_identical(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 22);
    for (size_t d = 0; d < ARRAY_LEN(dims); d++) {
        size_t dim = dims[d];
        CLEANUP(mem_freep) float *raw = random_floats(&r, dim);
        CLEANUP(mem_freep) float *v = random_floats(&r, dim);
        CLEANUP(mem_freep) float *rest = mem_calloc(dim, sizeof *rest);
        CLEANUP(mem_freep) float *got = mem_calloc(dim, sizeof *got);
        CLEANUP(mem_freep) int8_t *codes = mem_calloc(dim, 1);
        CLEANUP(mem_freep) int8_t *same = mem_calloc(dim, 1);
        assert_true(raw && v && rest && got && codes && same && vector_normalise(raw, dim, v));
        float most = 0;
        for (size_t i = 0; i < dim; i++)
            most = fmaxf(most, fabsf(v[i]));
        for (int plane = 0; plane < 2; plane++) {
            float error, scale = tables[0]->quantise_i8(v, dim, codes);
            double sum = 0;
            for (size_t i = 0; i < dim; i++) {
                volatile float held = scale * (float)codes[i]; /* rounded */
                rest[i] = v[i] - held;
                sum += (double)rest[i] * (double)rest[i];
            }
            for (size_t t = 0; t < table_count; t++) {
                memset(got, 0x55, dim * sizeof *got);
                memset(same, 0x55, dim);
                assert_true(tables[t]->quantise_rest_i8(v, dim, same, got, &error) == scale);
                assert_memory_equal(same, codes, dim);
                assert_memory_equal(got, rest, dim * sizeof *got);
                assert_float_equal(error, sqrt(sum), 1e-5);
                memcpy(got, v, dim * sizeof *got); /* where the vector is */
                assert_true(tables[t]->quantise_rest_i8(got, dim, same, got, &error) == scale);
                assert_memory_equal(got, rest, dim * sizeof *got);
            }
            memcpy(v, rest, dim * sizeof *v);
        }
        for (size_t i = 0; i < dim; i++)
            assert_true(fabsf(rest[i]) <= most / 64516 * 1.01f);
    }
}

static void the_largest_codes_neither_saturate_nor_overflow(void **state)
{
    (void)state;
    CLEANUP(mem_freep) int8_t *row = mem_alloc(DIM_MAX);
    CLEANUP(mem_freep) int8_t *query = mem_alloc(DIM_MAX);
    assert_true(row && query);
    for (int signs = 0; signs < 4; signs++) {
        memset(row, signs & 1 ? -127 : 127, DIM_MAX);
        memset(query, signs & 2 ? -127 : 127, DIM_MAX);
        int32_t want = DIM_MAX * 127 * 127 * (signs == 0 || signs == 3 ? 1 : -1);
        for (size_t t = 0; t < table_count; t++) {
            int32_t got;
            tables[t]->dot_i8_rows(row, DIM_MAX, 1, query, DIM_MAX, &got);
            assert_int_equal(got, want);
            int32_t four[4];
            tables[t]->dot_i8_planes((const int8_t *const[]){query, query},
                                     (const int8_t *const[]){row, row}, DIM_MAX, four);
            for (size_t p = 0; p < 4; p++)
                assert_int_equal(four[p], want);
        }
    }
}

/* The choice is made at the first call, so meson runs this in a process per name. */
static void the_environment_forces_a_table_that_can_run(void **state)
{
    (void)state;
    const char *wanted = getenv("QMN_KERNELS");
    const struct kernels *named = math_kernels_named(wanted);
    if (named)
        assert_ptr_equal(math_kernels(), named);
    else
        assert_string_equal(math_kernels()->name, best_name());
}

static void places_are_those_of_the_definition(void **state)
{
    (void)state;
    enum { N = 300 };
    struct rng r;
    uint32_t got[N + KERNELS_PLACES_EXTRA];
    rng_seed(&r, 11);
    for (size_t t = 0; t < table_count; t++)
        for (size_t n = 0; n <= N; n++) {
            float *v = random_floats(&r, n + 1), bar = (float)rng_normal(&r);
            v[n] = 100; /* behind the end */
            if (n > 3) {
                v[n / 2] = bar;
                v[n / 3] = NAN;
            }
            size_t count = tables[t]->places_at_least(v, n, bar, got), at = 0;
            for (size_t i = 0; i < n; i++)
                if (v[i] >= bar) {
                    assert_true(at < count);
                    assert_int_equal(got[at++], i);
                }
            assert_int_equal(at, count);
            mem_free(v);
        }
}

int main(void)
{
    if (getenv("QMN_KERNELS")) {
        const struct CMUnitTest forced[] = {
            cmocka_unit_test(the_environment_forces_a_table_that_can_run)};
        return cmocka_run_group_tests(forced, NULL, NULL);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_chosen_table_is_the_best_available),
        cmocka_unit_test(the_processor_is_read_as_the_compiler_reads_it),
        cmocka_unit_test(float_products_agree_within_the_stated_bound),
        cmocka_unit_test(float_by_half_products_agree_within_the_stated_bound),
        cmocka_unit_test(every_half_survives_the_way_there_and_back),
        cmocka_unit_test(narrowing_rounds_to_nearest_even_and_identically),
        cmocka_unit_test(conversion_writes_no_more_than_its_count),
        cmocka_unit_test(one_element_that_is_not_finite_is_found_wherever_it_hides),
        cmocka_unit_test(quantised_codes_are_the_rounded_ones_and_identical),
        cmocka_unit_test(joined_is_what_any_set_has),
        cmocka_unit_test(adding_touches_just_the_chosen),
        cmocka_unit_test(scores_are_identical_and_stay_in_their_place),
        cmocka_unit_test(a_vector_of_nothing_quantises_to_zero_codes),
        cmocka_unit_test(quantised_cosines_stay_within_the_stated_error),
        cmocka_unit_test(int8_products_are_exactly_equal_over_all_tables),
        cmocka_unit_test(int8_tiles_give_what_single_queries_give),
        cmocka_unit_test(products_of_planes_are_those_of_each_pair),
        cmocka_unit_test(the_rest_is_that_of_the_definition_and_identical),
        cmocka_unit_test(the_largest_codes_neither_saturate_nor_overflow),
        cmocka_unit_test(places_are_those_of_the_definition),
    };
    return cmocka_run_group_tests(tests, find_tables, NULL);
}
