/* SPDX-License-Identifier: MIT
 *
 * Estimates from codes against inner products in double: the bias, the spread and the tails that
 * codes.h states. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "base/mem.h"
#include "base/rng.h"
#include "index/codes.h"
#include "math/code_kernels.h"
#include "math/kernels.h"
#include "support/fault.h"

enum { DIM_MAX = 1536, ROWS = 400, QUERIES = 40 };

struct set {
    struct codes codes;
    struct codes_query query;
    struct rng rng;
    float *vectors; /* [ROWS][dim] */
    float *rotated; /* [padded] */
    float *scratch;
    float *centre; /* NULL: none */
    char *rows;    /* [ROWS][bits_stride] */
    int8_t *i8;    /* [ROWS][padded] */
    float scale[ROWS];
};

typedef void make_vector(struct rng *rng, uint32_t dim, float *v);

static void gaussian(struct rng *rng, uint32_t dim, float *v)
{
    for (uint32_t i = 0; i < dim; i++)
        v[i] = (float)rng_normal(rng);
}

/* A few elements far above all others. */
static void spiky(struct rng *rng, uint32_t dim, float *v)
{
    for (uint32_t i = 0; i < dim; i++)
        v[i] = 0.001f * (float)rng_normal(rng);
    for (int i = 0; i < 3; i++)
        v[rng_below(rng, dim)] = (float)rng_normal(rng);
    v[0] += 0.3f;
}

/* Lengths from .1 to 10, all leaning the same way. */
static void leaning(struct rng *rng, uint32_t dim, float *v)
{
    float length = (float)exp(rng_normal(rng));
    for (uint32_t i = 0; i < dim; i++)
        v[i] = length * (0.8f + (float)rng_normal(rng));
}

static double dot(const float *a, const float *b, uint32_t dim)
{
    double sum = 0;
    for (uint32_t i = 0; i < dim; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

static void begin(struct set *s, uint32_t dim, uint64_t seed, make_vector *make, bool centred)
{
    *s = (struct set){0};
    rng_seed(&s->rng, seed);
    assert_true(codes_init(&s->codes, dim, seed));
    assert_true(codes_query_reserve(&s->query, &s->codes));
    uint32_t padded = s->codes.padded;
    s->vectors = calloc((size_t)ROWS * dim, sizeof(float));
    s->rotated = calloc(padded, sizeof(float));
    s->scratch = calloc(padded, sizeof(float));
    s->rows = calloc(ROWS, s->codes.bits_stride);
    s->i8 = calloc(ROWS, padded);
    s->centre = centred ? calloc(padded, sizeof(float)) : NULL;
    assert_true(s->vectors && s->rotated && s->scratch && s->rows && s->i8);
    for (uint32_t r = 0; r < ROWS; r++) {
        make(&s->rng, dim, s->vectors + (size_t)r * dim);
        rotation_apply(&s->codes.rotation, s->vectors + (size_t)r * dim, s->rotated);
        for (uint32_t i = 0; centred && i < padded; i++)
            s->centre[i] += s->rotated[i] / ROWS;
    }
    for (uint32_t r = 0; r < ROWS; r++) {
        rotation_apply(&s->codes.rotation, s->vectors + (size_t)r * dim, s->rotated);
        codes_encode(&s->codes, s->rotated, s->centre, s->scratch,
                     s->rows + (size_t)r * s->codes.bits_stride);
        s->scale[r] = math_kernels()->quantise_i8(s->rotated, padded, s->i8 + (size_t)r * padded);
    }
}

static void end(struct set *s)
{
    codes_release(&s->codes);
    codes_query_release(&s->query);
    free(s->vectors);
    free(s->rotated);
    free(s->scratch);
    free(s->rows);
    free(s->i8);
    free(s->centre);
}

/* Sums of (estimate - exact) / (stated standard deviation). */
struct spread {
    double sum, squares, worst;
    size_t count;
};

static void note(struct spread *s, double off)
{
    s->sum += off;
    s->squares += off * off;
    s->worst = fabs(off) > s->worst ? fabs(off) : s->worst;
    s->count++;
}

static void measure(struct set *s, make_vector *make, struct spread *bits, struct spread *i8)
{
    uint32_t dim = s->codes.dim;
    const void *rows[ROWS];
    float query[DIM_MAX], estimates[ROWS];
    for (uint32_t r = 0; r < ROWS; r++)
        rows[r] = s->rows + (size_t)r * s->codes.bits_stride;
    for (int q = 0; q < QUERIES; q++) {
        make(&s->rng, dim, query);
        codes_query_set(&s->query, &s->codes, query, s->centre);
        assert_true(fabs((double)s->query.norm - sqrt(dot(query, query, dim))) <
                    1e-5 * (double)s->query.norm);
        codes_estimate(&s->codes, &s->query, rows, ROWS, estimates);
        for (uint32_t r = 0; r < ROWS; r++) {
            double exact = dot(query, s->vectors + (size_t)r * dim, dim);
            double error = (double)(codes_tail_of(&s->codes, rows[r])->error * s->query.error);
            note(bits, ((double)estimates[r] - exact) / error);
            double product =
                (double)s->scale[r] *
                (double)math_code_kernels()->dot_f32_i8(
                    s->query.rotated, s->i8 + (size_t)r * s->codes.padded, s->codes.padded);
            note(i8, (product - exact) / (double)codes_i8_error(s->query.norm, s->scale[r]));
        }
    }
}

static void estimates_spread_as_stated(void **state)
{
    (void)state;
    static const uint32_t dims[] = {64, 100, 384, 768, 1536};
    static make_vector *const makes[] = {gaussian, spiky, leaning};
    for (size_t d = 0; d < ARRAY_LEN(dims); d++)
        for (size_t m = 0; m < ARRAY_LEN(makes); m++)
            for (int centred = 0; centred < 2; centred++) {
                struct set s;
                struct spread bits = {0}, i8 = {0};
                begin(&s, dims[d], d * 10 + m, makes[m], centred);
                measure(&s, makes[m], &bits, &i8);
                double deviation = sqrt(bits.squares / (double)bits.count);
                double i8_deviation = sqrt(i8.squares / (double)i8.count);
                print_message("# %u dims, vectors %zu, centred %d: bits mean %+.3f deviation %.3f "
                              "worst %.2f; int8 deviation %.3f worst %.2f\n",
                              dims[d], m, centred, bits.sum / (double)bits.count, deviation,
                              bits.worst, i8_deviation, i8.worst);
                assert_true(deviation < 1.1);
                assert_true(bits.worst < 6);
                assert_true(i8_deviation < 1.1);
                assert_true(i8.worst < 6);
                end(&s);
            }
}

/* One pair under many rotations: the mean comes to the exact product. */
static void estimates_are_unbiased_over_rotations(void **state)
{
    (void)state;
    enum { DIM = 128, SEEDS = 4000 };
    struct rng rng;
    float x[DIM], q[DIM], rotated[DIM], scratch[DIM], estimate;
    _Alignas(64) char row[64];
    rng_seed(&rng, 9);
    gaussian(&rng, DIM, x);
    gaussian(&rng, DIM, q);
    for (int i = 0; i < DIM; i++)
        q[i] += x[i]; /* cosine about .7: a biased estimate would be off by a fifth of it */
    double exact = dot(x, q, DIM), sum = 0, error = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct codes c;
        struct codes_query query = {0};
        assert_true(codes_init(&c, DIM, seed) && codes_query_reserve(&query, &c));
        assert_int_equal(c.bits_stride, sizeof row);
        rotation_apply(&c.rotation, x, rotated);
        codes_encode(&c, rotated, NULL, scratch, row);
        codes_query_set(&query, &c, q, NULL);
        const void *rows = row;
        codes_estimate(&c, &query, &rows, 1, &estimate);
        sum += (double)estimate;
        error = (double)(codes_tail_of(&c, row)->error * query.error);
        codes_release(&c);
        codes_query_release(&query);
    }
    assert_true(fabs(sum / SEEDS - exact) < 4 * error / sqrt(SEEDS));
}

static void vectors_of_nothing_are_estimated_as_nothing(void **state)
{
    (void)state;
    struct codes c;
    struct codes_query q = {0};
    float x[100] = {0}, y[100] = {[3] = 1}, rotated[128], scratch[128], estimate;
    _Alignas(64) char row[64];
    const void *rows = row;
    assert_true(codes_init(&c, 100, 1) && codes_query_reserve(&q, &c));
    rotation_apply(&c.rotation, x, rotated);
    codes_encode(&c, rotated, NULL, scratch, row);
    codes_query_set(&q, &c, y, NULL);
    codes_estimate(&c, &q, &rows, 1, &estimate);
    assert_true(estimate == 0 && codes_tail_of(&c, row)->error == 0);
    rotation_apply(&c.rotation, y, rotated);
    codes_encode(&c, rotated, NULL, scratch, row);
    codes_query_set(&q, &c, x, NULL);
    codes_estimate(&c, &q, &rows, 1, &estimate);
    assert_true(estimate == 0);
    codes_encode(&c, rotated, rotated, scratch, row); /* it is the centre itself */
    codes_query_set(&q, &c, y, rotated);
    codes_estimate(&c, &q, &rows, 1, &estimate);
    assert_true(fabsf(estimate - 1) < 1e-5f);
    codes_release(&c);
    codes_query_release(&q);
}

static void without_memory_a_query_stays_as_it_was(void **state)
{
    (void)state;
    struct codes small, large;
    struct codes_query q = {0};
    assert_true(codes_init(&small, 100, 1) && codes_init(&large, 1000, 1));
    assert_true(codes_query_reserve(&q, &small));
    for (unsigned n = 1;; n++) {
        fault_arm(n);
        bool ok = codes_query_reserve(&q, &large), failed = fault_disarm();
        assert_int_equal(ok, !failed);
        assert_int_equal(q.padded, failed ? 128 : 1024);
        if (!failed)
            break;
    }
    codes_query_release(&q);
    codes_release(&small);
    codes_release(&large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(estimates_spread_as_stated),
        cmocka_unit_test(estimates_are_unbiased_over_rotations),
        cmocka_unit_test(vectors_of_nothing_are_estimated_as_nothing),
        cmocka_unit_test(without_memory_a_query_stays_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
