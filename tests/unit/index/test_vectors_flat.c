/* SPDX-License-Identifier: MIT
 *
 * The flat tier of the two-tier index against exact answers in double. */
#include "vectors_oracle.h"

#include "base/attr.h"
#include "support/fault.h"

enum { ROOM = 3000 };

static double precision_of(const struct vectors_options *o)
{
    return o->exact == VECTORS_EXACT_F32 ? 1e-6 : o->exact == VECTORS_EXACT_F16 ? 5e-4 : 0.02;
}

/* Asked for an exact answer, with an exact copy: the same slots, but for scores that only rounding
 * tells apart. */
static void check_exact(struct oracle *o, uint32_t k, bool filtered)
{
    float x[VECTORS_DIM_MAX];
    oracle_draw(o, x);
    struct vectors_query q = {
        .x = x, .k = k, .force_exact = true, .permit = filtered ? o->permit : NULL};
    q.permitted = o->permitted;
    size_t n = oracle_want(o, x, k, filtered);
    assert_true(oracle_got(o, &q, 1e-6).exact);
    for (size_t i = 0; i < n; i++)
        assert_true(fabsf(o->got[i].score - o->want[i].score) < 1e-6f);
}

static void an_exact_search_equals_a_scan_in_double(void **state)
{
    (void)state;
    static const uint32_t dims[] = {2, 3, 8, 63, 64, 65, 200};
    for (size_t d = 0; d < ARRAY_LEN(dims); d++) {
        struct oracle o;
        oracle_begin(&o, &(struct vectors_options){.dim = dims[d], .exact = VECTORS_EXACT_F32},
                     ROOM, d + 1);
        for (int i = 0; i < 1000; i++)
            oracle_add(&o);
        for (uint32_t k = 1; k < 2000; k = k * 3 + 1) {
            check_exact(&o, k, false);
            oracle_permit(&o, 0.3);
            check_exact(&o, k, true);
        }
        oracle_end(&o);
    }
}

static void every_kind_of_copy_finds_nearly_all(void **state)
{
    (void)state;
    for (enum vectors_exact exact = VECTORS_EXACT_NONE; exact <= VECTORS_EXACT_F32; exact++) {
        struct oracle o;
        struct vectors_options options = {.dim = 384, .exact = exact};
        oracle_begin(&o, &options, ROOM, exact);
        for (int i = 0; i < ROOM; i++)
            oracle_add(&o);
        double recall =
            oracle_mean_recall(&o, (struct vectors_query){.k = 10}, 100, precision_of(&options));
        print_message("# copy %d: recall %.4f\n", (int)exact, recall);
        assert_true(recall >= (exact == VECTORS_EXACT_NONE ? 0.97 : 0.999));
        oracle_end(&o);
    }
}

/* Rows of any length, and scores that are no cosines. */
static void inner_products_of_raw_vectors_are_ranked(void **state)
{
    (void)state;
    enum { DIM = 100 };
    struct oracle o;
    float x[DIM];
    oracle_begin(&o, &(struct vectors_options){.dim = DIM, .exact = VECTORS_EXACT_F32}, ROOM, 3);
    for (int i = 0; i < 2000; i++) {
        oracle_draw(&o, x);
        float length = (float)exp(2 * rng_normal(&o.rng));
        for (int j = 0; j < DIM; j++)
            x[j] *= length;
        oracle_put(&o, x);
    }
    for (int i = 0; i < 30; i++) {
        oracle_draw(&o, x);
        for (int j = 0; j < DIM; j++)
            x[j] *= 40;
        struct vectors_query q = {.x = x, .k = 20};
        assert_true(oracle_recall(&o, &q, 1) > 0.999);
    }
    oracle_end(&o);
}

static void what_is_removed_is_not_found_and_its_slot_is_used_again(void **state)
{
    (void)state;
    struct oracle o;
    oracle_begin(&o, &(struct vectors_options){.dim = 32, .exact = VECTORS_EXACT_F32}, ROOM, 4);
    for (int i = 0; i < 500; i++)
        oracle_add(&o);
    for (int round = 0; round < 1000; round++) {
        uint32_t slot = oracle_any(&o);
        oracle_remove(&o, slot);
        if (round % 10 == 0)
            check_exact(&o, 10, false);
        assert_int_equal(oracle_add(&o), slot);
    }
    vectors_validate(o.v);
    oracle_end(&o);
}

static void more_than_a_chunk_is_searched_whole(void **state)
{
    (void)state;
    struct oracle o;
    struct vectors_stats stats;
    oracle_begin(&o, &(struct vectors_options){.dim = 16, .exact = VECTORS_EXACT_F32}, 10000, 5);
    for (int i = 0; i < 9000; i++)
        oracle_add(&o);
    vectors_stats(o.v, &stats);
    assert_int_equal(stats.live, 9000);
    assert_int_equal(stats.fresh, 9000);
    static const double shares[] = {0.5, 0.1, 0.01, 0.001, 0};
    for (size_t i = 0; i < ARRAY_LEN(shares); i++) {
        oracle_permit(&o, shares[i]);
        check_exact(&o, 25, true);
        check_exact(&o, 9000, true);
    }
    check_exact(&o, 9999, false);
    oracle_end(&o);
}

static void equal_vectors_rank_by_slot(void **state)
{
    (void)state;
    struct oracle o;
    float x[48];
    oracle_begin(&o, &(struct vectors_options){.dim = 48}, 500, 6);
    oracle_draw(&o, x);
    for (int i = 0; i < 500; i++)
        oracle_put(&o, x);
    oracle_remove(&o, 0);
    struct vectors_query q = {.x = x, .k = 100};
    oracle_got(&o, &q, 0.02);
    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(o.got[i].id, i + 1);
    oracle_end(&o);
}

static void an_index_of_none_or_one_answers(void **state)
{
    (void)state;
    struct oracle o;
    float x[7];
    oracle_begin(&o, &(struct vectors_options){.dim = 7}, 64, 7);
    oracle_draw(&o, x);
    struct vectors_query q = {.x = x, .k = 5};
    oracle_got(&o, &q, 0.02);
    oracle_add(&o);
    oracle_got(&o, &q, 0.02);
    q.permit = o.permit;
    oracle_got(&o, &q, 0.02);
    oracle_remove(&o, 0);
    oracle_got(&o, &q, 0.02);
    oracle_end(&o);
}

static void zero_vectors_are_kept_and_found(void **state)
{
    (void)state;
    struct oracle o;
    float zero[20] = {0}, x[20];
    oracle_begin(&o, &(struct vectors_options){.dim = 20}, 64, 8);
    for (int i = 0; i < 10; i++)
        oracle_put(&o, zero);
    oracle_draw(&o, x);
    oracle_got(&o, &(struct vectors_query){.x = x, .k = 20}, 1e-9);
    oracle_got(&o, &(struct vectors_query){.x = zero, .k = 20}, 1e-9);
    oracle_end(&o);
}

static void a_vector_comes_back_as_it_is_kept(void **state)
{
    (void)state;
    static const float tolerance[] = {0, 0.01f, 2e-4f, 0};
    for (enum vectors_exact exact = VECTORS_EXACT_NONE; exact <= VECTORS_EXACT_F32; exact++) {
        struct oracle o;
        float x[300];
        oracle_begin(&o, &(struct vectors_options){.dim = 300, .exact = exact}, 64, 9);
        uint32_t slot = oracle_add(&o);
        vectors_copy(o.v, slot, x);
        for (int i = 0; i < 300; i++)
            assert_true(fabsf(x[i] - o.rows[slot * 300 + (uint32_t)i]) <= tolerance[exact]);
        oracle_end(&o);
    }
}

static void the_seed_and_the_calls_decide_everything(void **state)
{
    (void)state;
    struct oracle a, b;
    struct vectors_options options = {.dim = 33, .seed = 5};
    float x[33];
    oracle_begin(&a, &options, 500, 10);
    oracle_begin(&b, &options, 500, 10);
    for (int i = 0; i < 500; i++) {
        oracle_add(&a);
        oracle_add(&b);
    }
    oracle_draw(&a, x);
    struct vectors_query q = {.x = x, .k = 50};
    oracle_got(&a, &q, 0.03);
    oracle_got(&b, &q, 0.03);
    assert_memory_equal(a.got, b.got, 50 * sizeof *a.got);
    oracle_end(&a);
    oracle_end(&b);
}

static void options_out_of_range_are_refused(void **state)
{
    (void)state;
    static const struct vectors_options bad[] = {
        {.dim = 1},
        {.dim = 4097},
        {.dim = 8, .links = 3},
        {.dim = 8, .links = 33},
        {.dim = 8, .ef_construction = 31},
        {.dim = 8, .exact = VECTORS_EXACT_F32 + 1},
        {.dim = 8, .walk = VECTORS_WALK_I8 + 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_null(vectors_new(&bad[i]));
    vectors_free(NULL);
    vectors_searcher_free(NULL);
}

static void a_failed_allocation_leaves_it_whole(void **state)
{
    (void)state;
    for (unsigned n = 1;; n++) {
        fault_arm(n);
        struct vectors *v = vectors_new(&(struct vectors_options){.dim = 24});
        struct vectors_searcher *s = vectors_searcher_new();
        bool failed = fault_disarm();
        assert_int_equal(!v || !s, failed);
        vectors_free(v);
        vectors_searcher_free(s);
        if (!failed)
            break;
    }
    for (unsigned n = 1;; n++) {
        struct oracle o;
        float x[24];
        size_t count;
        oracle_begin(&o, &(struct vectors_options){.dim = 24, .exact = VECTORS_EXACT_F32}, 300, 11);
        for (int i = 0; i < 100; i++)
            oracle_add(&o);
        oracle_draw(&o, x);
        fault_arm(n);
        bool ok =
            vectors_reserve(o.v, 4500) &&
            vectors_search(o.v, &(struct vectors_query){.x = x, .k = 5}, o.s, o.got, &count, NULL);
        bool failed = fault_disarm();
        assert_int_equal(ok, !failed);
        vectors_validate(o.v);
        for (int i = 0; i < 100; i++)
            oracle_add(&o);
        check_exact(&o, 20, false);
        oracle_end(&o);
        if (!failed)
            break;
    }
}

static void what_is_reserved_needs_no_memory(void **state)
{
    (void)state;
    struct oracle o;
    float x[8];
    oracle_begin(&o, &(struct vectors_options){.dim = 8}, 64, 12);
    oracle_draw(&o, x);
    assert_true(vectors_reserve(o.v, 5000));
    fault_arm_from(1);
    for (uint32_t i = 0; i < 5000; i++)
        assert_int_equal(vectors_add(o.v, x), i);
    for (uint32_t i = 0; i < 5000; i++)
        vectors_remove(o.v, i);
    assert_false(fault_disarm());
    assert_false(vectors_reserve(o.v, UINT32_MAX));
    oracle_end(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_exact_search_equals_a_scan_in_double),
        cmocka_unit_test(every_kind_of_copy_finds_nearly_all),
        cmocka_unit_test(inner_products_of_raw_vectors_are_ranked),
        cmocka_unit_test(what_is_removed_is_not_found_and_its_slot_is_used_again),
        cmocka_unit_test(more_than_a_chunk_is_searched_whole),
        cmocka_unit_test(equal_vectors_rank_by_slot),
        cmocka_unit_test(an_index_of_none_or_one_answers),
        cmocka_unit_test(zero_vectors_are_kept_and_found),
        cmocka_unit_test(a_vector_comes_back_as_it_is_kept),
        cmocka_unit_test(the_seed_and_the_calls_decide_everything),
        cmocka_unit_test(options_out_of_range_are_refused),
        cmocka_unit_test(a_failed_allocation_leaves_it_whole),
        cmocka_unit_test(what_is_reserved_needs_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
