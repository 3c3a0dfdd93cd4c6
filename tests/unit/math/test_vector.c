/* SPDX-License-Identifier: MIT */
#include "support/test.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/attr.h"
#include "base/rng.h"
#include "math/vector.h"

static void a_normalised_vector_has_length_one_and_the_same_direction(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 1);
    const size_t dims[] = {2, 3, 7, 8, 9, 64, 1536, 4096};
    static float v[4096], unit[4096];
    for (size_t d = 0; d < ARRAY_LEN(dims); d++) {
        for (size_t i = 0; i < dims[d]; i++)
            v[i] = (float)(rng_normal(&r) * 40);
        assert_true(vector_normalise(v, dims[d], unit));
        assert_true(fabs(vector_norm(unit, dims[d]) - 1) < 1e-6);
        assert_true(vector_cosine(v, unit, dims[d]) > 0.999999f);
    }
}

static void the_largest_and_the_smallest_floats_normalise_too(void **state)
{
    (void)state;
    float huge[3] = {FLT_MAX, -FLT_MAX, FLT_MAX}, tiny[2] = {1e-45f, 0}, unit[3];
    assert_true(vector_normalise(huge, 3, unit));
    assert_true(fabsf(unit[0] - 0.57735027f) < 1e-6f && fabsf(unit[1] + 0.57735027f) < 1e-6f);
    assert_true(vector_normalise(tiny, 2, unit));
    assert_true(unit[0] == 1 && unit[1] == 0);
}

static void a_vector_without_direction_is_refused_and_nothing_written(void **state)
{
    (void)state;
    const float bad[4][3] = {{0, 0, 0}, {1, NAN, 0}, {INFINITY, 0, 0}, {-0.0f, 0, 0}};
    for (size_t i = 0; i < 4; i++) {
        float unit[3] = {7, 8, 9};
        assert_false(vector_normalise(bad[i], 3, unit));
        assert_true(unit[0] == 7 && unit[1] == 8 && unit[2] == 9);
        const float x[3] = {1, 2, 3};
        assert_true(vector_cosine(bad[i], x, 3) == 0 && vector_cosine(x, bad[i], 3) == 0);
    }
}

static void a_vector_may_be_normalised_in_place(void **state)
{
    (void)state;
    float v[2] = {3, 4};
    assert_true(vector_normalise(v, 2, v));
    assert_true(fabsf(v[0] - 0.6f) < 1e-7f && fabsf(v[1] - 0.8f) < 1e-7f);
}

static void the_cosine_of_known_angles_is_right_and_never_leaves_its_range(void **state)
{
    (void)state;
    const float x[2] = {5, 0}, y[2] = {0, 0.1f}, diagonal[2] = {3, 3}, back[2] = {-2, 0};
    assert_true(vector_cosine(x, y, 2) == 0);
    assert_true(fabsf(vector_cosine(x, diagonal, 2) - 0.70710678f) < 1e-6f);
    assert_true(vector_cosine(x, back, 2) == -1);
    const float big[3] = {FLT_MAX, FLT_MAX, 1};
    assert_true(fabsf(vector_cosine(big, big, 3) - 1) < 1e-6f);
    struct rng r;
    rng_seed(&r, 2);
    for (int i = 0; i < 1000; i++) {
        float v[5];
        for (int j = 0; j < 5; j++)
            v[j] = (float)rng_normal(&r);
        assert_true(vector_cosine(v, v, 5) <= 1);
    }
}

/* The bits are part of what a node stores: they must not depend on the machine. */
static void normalising_gives_these_bits_everywhere(void **state)
{
    (void)state;
    float v[11], unit[11];
    for (int i = 0; i < 11; i++)
        v[i] = (float)(i * i - 20) / 7;
    assert_true(vector_normalise(v, 11, unit));
    uint64_t hash = 0xcbf29ce484222325u;
    for (int i = 0; i < 11; i++) {
        uint32_t bits;
        memcpy(&bits, &unit[i], sizeof bits);
        hash = (hash ^ bits) * 0x100000001b3u;
    }
    assert_int_equal(hash, 0xe14cbd59b5cdcf90u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_normalised_vector_has_length_one_and_the_same_direction),
        cmocka_unit_test(the_largest_and_the_smallest_floats_normalise_too),
        cmocka_unit_test(a_vector_without_direction_is_refused_and_nothing_written),
        cmocka_unit_test(a_vector_may_be_normalised_in_place),
        cmocka_unit_test(the_cosine_of_known_angles_is_right_and_never_leaves_its_range),
        cmocka_unit_test(normalising_gives_these_bits_everywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
