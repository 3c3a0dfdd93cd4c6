/* SPDX-License-Identifier: MIT */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "base/attr.h"
#include "base/rng.h"
#include "math/topk.h"

static int by_rank(const void *a, const void *b)
{
    struct topk_item x = *(const struct topk_item *)a, y = *(const struct topk_item *)b;
    return topk_before(x, y) ? -1 : topk_before(y, x);
}

static void the_k_best_come_out_in_order_whatever_the_order_of_offers(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 1);
    for (int round = 0; round < 2000; round++) {
        struct topk_item all[64], kept[40];
        size_t n = rng_below(&r, 65), k = rng_below(&r, 41);
        for (size_t i = 0; i < n; i++) /* few distinct scores: many ties */
            all[i] = (struct topk_item){(float)rng_below(&r, 9) - 4, (uint32_t)i};
        for (size_t i = n; i > 1; i--) {
            size_t j = rng_below(&r, (uint32_t)i);
            struct topk_item swap = all[i - 1];
            all[i - 1] = all[j];
            all[j] = swap;
        }
        struct topk t;
        topk_init(&t, kept, k);
        for (size_t i = 0; i < n; i++)
            topk_offer(&t, all[i].score, all[i].id);
        qsort(all, n, sizeof all[0], by_rank);
        size_t len = topk_sort(&t);
        assert_int_equal(len, n < k ? n : k);
        for (size_t i = 0; i < len; i++) {
            assert_int_equal(kept[i].id, all[i].id);
            assert_true(kept[i].score == all[i].score);
        }
    }
}

static void equal_scores_go_by_lower_id(void **state)
{
    (void)state;
    struct topk_item kept[2];
    struct topk t;
    topk_init(&t, kept, 2);
    const uint32_t ids[] = {9, 3, 7, 1, 8};
    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        topk_offer(&t, 0.5f, ids[i]);
    assert_int_equal(topk_sort(&t), 2);
    assert_int_equal(kept[0].id, 1);
    assert_int_equal(kept[1].id, 3);
}

static void a_score_that_is_no_number_is_never_kept(void **state)
{
    (void)state;
    struct topk_item kept[3];
    struct topk t;
    topk_init(&t, kept, 3);
    topk_offer(&t, NAN, 1);
    topk_offer(&t, -INFINITY, 2);
    topk_offer(&t, NAN, 3);
    assert_int_equal(topk_sort(&t), 1);
    assert_int_equal(kept[0].id, 2);
}

static void room_for_none_keeps_none(void **state)
{
    (void)state;
    struct topk t;
    topk_init(&t, NULL, 0);
    topk_offer(&t, 1, 1);
    assert_int_equal(topk_sort(&t), 0);
}

/* The oracle is sorting everything. */
static void selecting_takes_what_sorting_puts_first(void **state)
{
    (void)state;
    enum { N = 5000, K = 60 };
    static float scores[N];
    static struct topk_item all[N];
    uint64_t room[TOPK_SELECT_ROOM * K];
    uint32_t got[K];
    struct rng r;
    rng_seed(&r, 5);
    for (int round = 0; round < 600; round++) {
        size_t n = rng_below(&r, N), k = rng_below(&r, K + 1), passing = 0;
        float floor = round % 5 ? -10000 : (float)rng_normal(&r);
        for (size_t i = 0; i < n; i++) { /* many ties, no order, descending, ascending, all equal */
            const float kinds[] = {(float)rng_below(&r, 7), (float)rng_normal(&r), -(float)i,
                                   (float)i, 1};
            scores[i] = kinds[round % 5 == 0 ? round / 5 % 5 : round % 5];
            all[passing] = (struct topk_item){scores[i], (uint32_t)i};
            passing += scores[i] >= floor;
        }
        qsort(all, passing, sizeof *all, by_rank);
        size_t count = topk_select(scores, n, floor, k, room, got);
        assert_int_equal(count, k < passing ? k : passing);
        struct topk_item kept[K];
        for (size_t i = 0; i < count; i++)
            kept[i] = (struct topk_item){scores[got[i]], got[i]};
        qsort(kept, count, sizeof *kept, by_rank);
        for (size_t i = 0; i < count; i++)
            assert_int_equal(kept[i].id, all[i].id);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_k_best_come_out_in_order_whatever_the_order_of_offers),
        cmocka_unit_test(equal_scores_go_by_lower_id),
        cmocka_unit_test(a_score_that_is_no_number_is_never_kept),
        cmocka_unit_test(room_for_none_keeps_none),
        cmocka_unit_test(selecting_takes_what_sorting_puts_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
