/* SPDX-License-Identifier: MIT
 *
 * The rotation keeps lengths and angles, and spreads whatever comes in. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "base/rng.h"
#include "index/rotation.h"
#include "support/fault.h"

enum { DIM_MAX = 4096 };
static const uint32_t dims[] = {2,    3,    63,   64,   65,   96,   127,  128,  129,  192,  255,
                                256,  300,  384,  500,  511,  512,  640,  768,  1000, 1024, 1088,
                                1100, 1535, 1536, 1537, 2047, 2048, 3000, 3072, 4095, 4096};
static float x[DIM_MAX], y[DIM_MAX], rx[DIM_MAX], ry[DIM_MAX], back[DIM_MAX];

static double dot(const float *a, const float *b, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

static void random_vector(struct rng *rng, uint32_t dim, float *v)
{
    for (uint32_t i = 0; i < dim; i++)
        v[i] = (float)rng_normal(rng);
}

static void lengths_and_angles_are_kept(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 1);
    for (size_t d = 0; d < ARRAY_LEN(dims); d++) {
        struct rotation r;
        assert_true(rotation_init(&r, dims[d], d));
        assert_true(r.padded % 64 == 0 && r.padded >= r.dim && r.padded < r.dim + 64);
        for (int round = 0; round < 10; round++) {
            random_vector(&rng, r.dim, x);
            random_vector(&rng, r.dim, y);
            rotation_apply(&r, x, rx);
            rotation_apply(&r, y, ry);
            double nx = sqrt(dot(x, x, r.dim)), ny = sqrt(dot(y, y, r.dim));
            assert_true(fabs(sqrt(dot(rx, rx, r.padded)) - nx) <= 1e-6 * nx);
            assert_true(fabs(dot(rx, ry, r.padded) - dot(x, y, r.dim)) <= 2e-6 * nx * ny);
        }
        rotation_release(&r);
    }
}

static void it_can_be_undone(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 2);
    for (size_t d = 0; d < ARRAY_LEN(dims); d++) {
        struct rotation r;
        assert_true(rotation_init(&r, dims[d], d));
        random_vector(&rng, r.dim, x);
        rotation_apply(&r, x, rx);
        rotation_undo(&r, rx, back);
        for (uint32_t i = 0; i < r.dim; i++)
            assert_true(fabsf(back[i] - x[i]) < 1e-5f);
        rotation_release(&r);
    }
}

/* A single element, the worst that one bit a dimension could be given: afterwards the largest is
 * what it would be of Gaussian noise, about sqrt(2 ln n) standard deviations, and the mean
 * magnitude is sqrt(2 / pi) = .80 of them. */
static void a_spike_is_spread_over_all(void **state)
{
    (void)state;
    for (size_t d = 0; d < ARRAY_LEN(dims); d++) {
        struct rotation r;
        assert_true(rotation_init(&r, dims[d], 7 * d));
        for (uint32_t at = 0; at < r.dim; at += 1 + r.dim / 7) {
            double largest = 0, sum = 0, root = sqrt(r.padded);
            memset(x, 0, sizeof x);
            x[at] = 1;
            rotation_apply(&r, x, rx);
            for (uint32_t i = 0; i < r.padded; i++) {
                largest = fabs((double)rx[i]) > largest ? fabs((double)rx[i]) : largest;
                sum += fabs((double)rx[i]);
            }
            assert_true(largest * root < 5.5);
            assert_true(sum / root > 0.70);
        }
        rotation_release(&r);
    }
}

static void the_seed_decides(void **state)
{
    (void)state;
    struct rotation a, b, c;
    struct rng rng;
    rng_seed(&rng, 3);
    random_vector(&rng, 300, x);
    assert_true(rotation_init(&a, 300, 5));
    assert_true(rotation_init(&b, 300, 5));
    assert_true(rotation_init(&c, 300, 6));
    rotation_apply(&a, x, rx);
    rotation_apply(&b, x, ry);
    rotation_apply(&c, x, back);
    assert_memory_equal(rx, ry, a.padded * sizeof *rx);
    assert_memory_not_equal(rx, back, a.padded * sizeof *rx);
    rotation_release(&a);
    rotation_release(&b);
    rotation_release(&c);
}

static void without_memory_there_is_none(void **state)
{
    (void)state;
    struct rotation r;
    fault_arm(1);
    assert_false(rotation_init(&r, 100, 1));
    assert_true(fault_disarm());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lengths_and_angles_are_kept),  cmocka_unit_test(it_can_be_undone),
        cmocka_unit_test(a_spike_is_spread_over_all),   cmocka_unit_test(the_seed_decides),
        cmocka_unit_test(without_memory_there_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
