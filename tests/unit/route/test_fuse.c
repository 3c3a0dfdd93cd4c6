/* SPDX-License-Identifier: MIT */
#include "support/test.h"

#include <math.h>
#include <string.h>

#include "base/attr.h"
#include "base/rng.h"
#include "route/fuse.h"

enum { LEN = 5, IDS = 300 };

static const struct topk_item one[] = {{9, 4}, {8, 7}, {7, 1}, {6, 3}, {5, 9}};
static const struct topk_item two[] = {{.9f, 7}, {.5f, 8}, {.5f, 4}, {.4f, 2}, {.1f, 6}};

static void agreement_beats_a_first_place(void **state)
{
    (void)state;
    struct fuse_list lists[] = {{one, LEN, 1, false}, {two, LEN, 1, false}};
    struct fuse_place room[2 * LEN];
    struct topk_item got[2 * LEN];
    assert_int_equal(fuse_ranks(lists, 2, FUSE_DAMPING, 2 * LEN, room, got), 8);
    /* 7: second and first; 4: first and third; 8: second only; then one list each */
    static const uint32_t want[] = {7, 4, 8, 1, 2, 3, 6, 9};
    for (size_t i = 0; i < ARRAY_LEN(want); i++)
        assert_int_equal(got[i].id, want[i]);
    assert_true(fabs(got[0].score - (1.0 / 62 + 1.0 / 61)) < 1e-8);
}

static void a_list_without_weight_only_completes(void **state)
{
    (void)state;
    struct fuse_list lists[] = {{one, LEN, 1, false}, {two, LEN, 0, false}};
    struct fuse_place room[2 * LEN];
    struct topk_item got[2 * LEN];
    assert_int_equal(fuse_ranks(lists, 2, FUSE_DAMPING, 2 * LEN, room, got), 8);
    for (size_t i = 0; i < LEN; i++)
        assert_int_equal(got[i].id, one[i].id);
    assert_int_equal(got[LEN].id, 2); /* ties by lower id */
}

static void empty_lists_and_no_places_give_nothing(void **state)
{
    (void)state;
    struct fuse_list lists[] = {{one, LEN, 1, false}, {NULL, 0, 1, false}};
    struct fuse_place room[LEN];
    struct topk_item got[LEN];
    assert_int_equal(fuse_ranks(lists, 0, FUSE_DAMPING, LEN, room, got), 0);
    assert_int_equal(fuse_ranks(lists + 1, 1, FUSE_DAMPING, LEN, room, got), 0);
    assert_int_equal(fuse_ranks(lists, 2, FUSE_DAMPING, 0, room, got), 0);
    assert_int_equal(fuse_ranks(lists, 2, FUSE_DAMPING, LEN, room, got), LEN);
}

/* Against sums in an array by id. */
static void random_lists_agree_with_a_table(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 1);
    for (unsigned round = 0; round < 200; round++) {
        struct topk_item items[3][IDS], got[IDS], want[IDS];
        struct fuse_list lists[3];
        struct fuse_place room[3 * IDS];
        double sums[IDS] = {0};
        for (uint32_t l = 0; l < 3; l++) {
            uint32_t ids[IDS];
            for (uint32_t i = 0; i < IDS; i++)
                ids[i] = i;
            lists[l] = (struct fuse_list){items[l], rng_below(&rng, IDS), rng_unit(&rng), false};
            for (uint32_t i = 0; i < lists[l].len; i++) {
                uint32_t at = i + rng_below(&rng, IDS - i), id = ids[at];
                ids[at] = ids[i];
                items[l][i] = (struct topk_item){0, id};
                sums[id] += lists[l].weight / (60 + i + 1);
            }
        }
        size_t k = rng_below(&rng, IDS);
        struct topk best;
        topk_init(&best, want, k);
        for (uint32_t i = 0; i < IDS; i++)
            if (sums[i] > 0)
                topk_offer(&best, (float)sums[i], i);
        size_t count = topk_sort(&best);
        assert_int_equal(fuse_ranks(lists, 3, FUSE_DAMPING, k, room, got), count);
        if (count)
            assert_memory_equal(got, want, count * sizeof *got);
    }
}

static void a_small_part_of_the_best_score_adds_as_small_a_part(void **state)
{
    (void)state;
    static const struct topk_item words[] = {{10, 1}, {0.1F, 2}, {0.1F, 3}},
                                  near[] = {{1, 2}, {1, 3}};
    struct fuse_list lists[] = {{words, 3, 3, true}, {near, 2, 1, false}};
    struct fuse_place room[5];
    struct topk_item got[3];
    assert_int_equal(fuse_ranks(lists, 2, FUSE_WORDS_DAMPING, 3, room, got), 3);
    assert_int_equal(got[0].id, 1);
    assert_true(fabs((double)got[1].score - (0.03 / 7 + 1.0 / 6)) < 1e-7);
    lists[0].by_score = false;
    assert_int_equal(fuse_ranks(lists, 2, FUSE_WORDS_DAMPING, 3, room, got), 3);
    assert_int_equal(got[0].id, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_part_of_the_best_score_adds_as_small_a_part),
        cmocka_unit_test(agreement_beats_a_first_place),
        cmocka_unit_test(a_list_without_weight_only_completes),
        cmocka_unit_test(empty_lists_and_no_places_give_nothing),
        cmocka_unit_test(random_lists_agree_with_a_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
