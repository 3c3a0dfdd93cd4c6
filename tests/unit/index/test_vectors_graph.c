/* SPDX-License-Identifier: MIT
 *
 * The graph tier of the two-tier index: recall against exact answers, deletion, filters, and what
 * moves rows between the tiers. */
#include "vectors_oracle.h"

#include "base/attr.h"
#include "support/fault.h"

enum { DIM = 64, ROWS = 1500, FLAT = 500 };

/* Scores are of the exact copy. */
#define PRECISION 1e-6

static const struct vectors_options options = {
    .dim = DIM, .exact = VECTORS_EXACT_F32, .walk = VECTORS_WALK_BITS, .flat_max = FLAT, .seed = 1};

static struct vectors_stats stats_of(const struct oracle *o)
{
    struct vectors_stats s;
    vectors_stats(o->v, &s);
    assert_int_equal(s.live, s.linked + s.fresh);
    return s;
}

static void begin_linked(struct oracle *o, const struct vectors_options *opt, uint32_t rows,
                         uint64_t seed)
{
    oracle_begin(o, opt, 2 * rows, seed);
    for (uint32_t i = 0; i < rows; i++)
        oracle_add(o);
    oracle_work(o);
    vectors_validate(o->v);
    struct vectors_stats s = stats_of(o);
    assert_true(s.levels > 0 && s.linked == rows && !s.fresh && !s.dead);
}

static void walks_find_nearly_all(void **state)
{
    (void)state;
    for (enum vectors_walk walk = VECTORS_WALK_BITS; walk <= VECTORS_WALK_I8; walk++)
        for (uint32_t links = 8; links <= 32; links *= 4) {
            struct oracle o;
            struct vectors_options opt = options;
            opt.walk = walk;
            opt.links = links;
            begin_linked(&o, &opt, ROWS, 1);
            double recall = oracle_mean_recall(&o, (struct vectors_query){.k = 10}, 200, PRECISION);
            double wide =
                oracle_mean_recall(&o, (struct vectors_query){.k = 10, .ef = 400}, 200, PRECISION);
            print_message("# walk %d, %u links: recall %.4f, with ef 400 %.4f\n", (int)walk, links,
                          recall, wide);
            assert_true(recall >= (links == 8 ? 0.93 : 0.97));
            assert_true(wide >= 0.98);
            oracle_end(&o);
        }
}

/* With a dimension that is no power of two and no exact copy. */
static void int8_alone_ranks_well(void **state)
{
    (void)state;
    struct oracle o;
    struct vectors_options opt = options;
    opt.dim = 200;
    opt.exact = VECTORS_EXACT_NONE;
    begin_linked(&o, &opt, 2000, 2);
    assert_true(oracle_mean_recall(&o, (struct vectors_query){.k = 10}, 200, 0.02) >= 0.95);
    oracle_end(&o);
}

/* All rows within a narrow cone, as embeddings are: their bits tell them apart only relative to its
 * axis. */
static void vectors_that_lean_the_same_way_are_told_apart(void **state)
{
    (void)state;
    struct oracle o;
    struct vectors_options opt = options;
    opt.dim = 256;
    oracle_begin(&o, &opt, 2500, 18);
    for (uint32_t i = 0; i < CLUSTERS * opt.dim; i++)
        o.centres[i] += i % opt.dim % 3 ? 3 : -5;
    for (int i = 0; i < 2500; i++)
        oracle_add(&o);
    oracle_work(&o);
    double recall =
        oracle_mean_recall(&o, (struct vectors_query){.k = 10, .ef = 40}, 200, PRECISION);
    print_message("# recall %.4f\n", recall);
    assert_true(recall >= 0.9); /* without a centre .785 */
    oracle_end(&o);
}

static void every_row_finds_itself(void **state)
{
    (void)state;
    struct oracle o;
    uint32_t found = 0;
    begin_linked(&o, &options, ROWS, 3);
    for (uint32_t i = 0; i < ROWS; i++) {
        struct vectors_query q = {.x = o.rows + (size_t)i * DIM, .k = 1};
        oracle_got(&o, &q, PRECISION);
        found += o.got[0].id == i;
    }
    print_message("# %u of %u\n", found, (unsigned)ROWS);
    assert_true(found >= ROWS * 0.999);
    oracle_end(&o);
}

static void an_exact_answer_can_be_forced(void **state)
{
    (void)state;
    struct oracle o;
    float x[DIM];
    begin_linked(&o, &options, ROWS, 4);
    for (int i = 0; i < 20; i++) {
        oracle_draw(&o, x);
        struct vectors_query q = {.x = x, .k = 30};
        assert_false(oracle_got(&o, &q, PRECISION).exact);
        q.force_exact = true;
        assert_true(oracle_got(&o, &q, PRECISION).exact);
        assert_true(oracle_recall(&o, &q, PRECISION) == 1);
    }
    oracle_end(&o);
}

static void rows_are_found_while_they_are_being_linked(void **state)
{
    (void)state;
    struct oracle o;
    oracle_begin(&o, &options, 2100, 5);
    for (int i = 0; i < FLAT; i++)
        oracle_add(&o);
    assert_int_equal(vectors_work(o.v, 100), VECTORS_DONE); /* few enough to scan */
    assert_int_equal(stats_of(&o).levels, 0);
    for (int i = FLAT; i < 2000; i++)
        oracle_add(&o);
    uint32_t before = 0;
    for (;;) {
        enum vectors_left left = vectors_work(o.v, 130);
        assert_true(oracle_mean_recall(&o, (struct vectors_query){.k = 10}, 20, PRECISION) > 0.97);
        uint32_t linked = stats_of(&o).linked;
        assert_true(linked - before <= 130);
        before = linked;
        if (left == VECTORS_DONE)
            break;
    }
    assert_int_equal(before, 2000);
    oracle_add(&o); /* found at once, without work */
    float *last = o.rows;
    for (uint32_t i = 0; i < o.room; i++)
        last = o.live[i] ? o.rows + (size_t)i * DIM : last;
    oracle_got(&o, &(struct vectors_query){.x = last, .k = 1}, PRECISION);
    assert_true(o.got[0].score > 0.9999f);
    oracle_end(&o);
}

static double recall_of_a_new_graph(struct oracle *o)
{
    struct oracle fresh;
    oracle_begin(&fresh, &options, o->room, 77);
    for (uint32_t i = 0; i < o->room; i++)
        if (o->live[i])
            oracle_put(&fresh, o->rows + (size_t)i * DIM);
    memcpy(fresh.centres, o->centres, CLUSTERS * DIM * sizeof(float));
    oracle_work(&fresh);
    double recall = oracle_mean_recall(&fresh, (struct vectors_query){.k = 10}, 150, PRECISION);
    oracle_end(&fresh);
    return recall;
}

static void churn_costs_no_recall(void **state)
{
    (void)state;
    struct oracle o;
    begin_linked(&o, &options, ROWS, 6);
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < ROWS / 10; i++)
            oracle_remove(&o, oracle_any(&o));
        double dead = oracle_mean_recall(&o, (struct vectors_query){.k = 10}, 150, PRECISION);
        for (int i = 0; i < ROWS / 10; i++)
            oracle_add(&o);
        oracle_work(&o);
        vectors_validate(o.v);
        double recall = oracle_mean_recall(&o, (struct vectors_query){.k = 10}, 150, PRECISION);
        struct vectors_stats s = stats_of(&o);
        print_message("# round %d: recall with tombstones %.4f, repaired %.4f, %u dead\n", round,
                      dead, recall, s.dead);
        assert_true(dead >= 0.97 && recall >= 0.97);
        assert_true(s.dead <= ROWS / 9);
        assert_true(s.slots <= ROWS * 13 / 10);
    }
    double churned = oracle_mean_recall(&o, (struct vectors_query){.k = 10}, 150, PRECISION);
    assert_true(churned >= recall_of_a_new_graph(&o) - 0.01);
    oracle_end(&o);
}

static void most_can_be_removed_at_once(void **state)
{
    (void)state;
    struct oracle o;
    begin_linked(&o, &options, ROWS, 7);
    for (int i = 0; i < ROWS * 3 / 4; i++)
        oracle_remove(&o, oracle_any(&o));
    assert_true(oracle_mean_recall(&o, (struct vectors_query){.k = 10}, 100, PRECISION) >= 0.97);
    oracle_work(&o);
    vectors_validate(o.v);
    assert_int_equal(stats_of(&o).dead, 0);
    double recall = oracle_mean_recall(&o, (struct vectors_query){.k = 10}, 150, PRECISION);
    print_message("# recall %.4f\n", recall);
    assert_true(recall >= 0.95);
    oracle_end(&o);
}

static void removals_during_a_sweep_wait_for_the_next(void **state)
{
    (void)state;
    struct oracle o;
    begin_linked(&o, &options, 2000, 8);
    for (int i = 0; i < 400; i++)
        oracle_remove(&o, oracle_any(&o));
    enum vectors_left left;
    do {
        left = vectors_work(o.v, 20);
        vectors_validate(o.v);
        if (stats_of(&o).live > 1200) {
            oracle_remove(&o, oracle_any(&o));
            oracle_remove(&o, oracle_any(&o));
            oracle_add(&o);
        }
    } while (left != VECTORS_DONE);
    assert_true(oracle_mean_recall(&o, (struct vectors_query){.k = 10}, 100, PRECISION) >= 0.97);
    oracle_end(&o);
}

static void filters_lose_nothing(void **state)
{
    (void)state;
    static const double shares[] = {0.9, 0.5, 0.1, 0.01, 0.001, 0};
    struct oracle o;
    begin_linked(&o, &options, 2 * ROWS, 9);
    for (int i = 0; i < ROWS / 10; i++)
        oracle_remove(&o, oracle_any(&o));
    for (size_t i = 0; i < ARRAY_LEN(shares); i++) {
        oracle_permit(&o, shares[i]);
        struct vectors_query q = {.k = 10, .permit = o.permit, .permitted = o.permitted};
        double recall = oracle_mean_recall(&o, q, 100, PRECISION);
        print_message("# %.1f %%: recall %.4f\n", shares[i] * 100, recall);
        assert_true(recall >= (shares[i] > 0.3 ? 0.97 : 0.999));
        q.k = 400;
        assert_true(oracle_mean_recall(&o, q, 3, PRECISION) >= 0.97);
        q.k = 10;
        q.ef = 10;
        q.permitted = 2 * ROWS; /* the caller was wrong: the walk gives up, and a scan answers */
        if (shares[i] < 0.05)
            assert_true(oracle_mean_recall(&o, q, 10, PRECISION) >= 0.97);
    }
    oracle_end(&o);
}

static void more_than_there_is_brings_all(void **state)
{
    (void)state;
    struct oracle o;
    float x[DIM];
    begin_linked(&o, &options, 600, 10);
    oracle_draw(&o, x);
    oracle_got(&o, &(struct vectors_query){.x = x, .k = 599}, PRECISION);
    oracle_got(&o, &(struct vectors_query){.x = x, .k = 5000, .ef = 10}, PRECISION);
    oracle_end(&o);
}

/* Nothing tells the neighbours apart, and many of them only bystanders link to. */
static void equal_vectors_are_all_returned(void **state)
{
    (void)state;
    struct oracle o;
    float x[DIM];
    oracle_begin(&o, &options, 3000, 11);
    oracle_draw(&o, x);
    for (int i = 0; i < 1500; i++)
        oracle_put(&o, x);
    for (int i = 0; i < 500; i++)
        oracle_add(&o);
    oracle_work(&o);
    vectors_validate(o.v);
    for (uint32_t k = 1; k < 1500; k *= 3) {
        oracle_got(&o, &(struct vectors_query){.x = x, .k = k}, PRECISION);
        assert_true(o.got[k - 1].score > 0.9999f);
    }
    double recall = oracle_mean_recall(&o, (struct vectors_query){.k = 10}, 100, PRECISION);
    print_message("# recall of the others %.4f\n", recall);
    assert_true(recall >= 0.97);
    for (uint32_t i = 0; i < 1000; i++)
        oracle_remove(&o, i);
    oracle_work(&o);
    vectors_validate(o.v);
    oracle_got(&o, &(struct vectors_query){.x = x, .k = 400}, PRECISION);
    assert_true(o.got[399].score > 0.9999f);
    oracle_end(&o);
}

static void few_vectors_are_scanned_again(void **state)
{
    (void)state;
    struct oracle o;
    begin_linked(&o, &options, 1000, 12);
    while (stats_of(&o).live > FLAT / 2) {
        oracle_remove(&o, oracle_any(&o));
        if (stats_of(&o).live % 50 == 0)
            oracle_work(&o);
    }
    assert_true(stats_of(&o).levels > 0);
    oracle_remove(&o, oracle_any(&o));
    oracle_work(&o);
    struct vectors_stats s = stats_of(&o);
    assert_true(s.levels == 0 && s.fresh == FLAT / 2 - 1 && s.dead == 0 && s.bytes_links == 0);
    assert_true(oracle_mean_recall(&o, (struct vectors_query){.k = 10}, 20, PRECISION) == 1);
    for (int i = 0; i < 800; i++)
        oracle_add(&o);
    oracle_work(&o);
    assert_true(stats_of(&o).levels > 0);
    oracle_end(&o);
}

static void all_can_be_removed_and_come_back(void **state)
{
    (void)state;
    struct oracle o;
    float x[DIM];
    begin_linked(&o, &options, 700, 13);
    for (uint32_t i = 0; i < 700; i++)
        oracle_remove(&o, i);
    oracle_draw(&o, x);
    oracle_got(&o, &(struct vectors_query){.x = x, .k = 10}, PRECISION);
    for (int i = 0; i < 700; i++) /* beside the tombstones: none of the linked is live */
        oracle_add(&o);
    oracle_work(&o);
    vectors_validate(o.v);
    assert_int_equal(stats_of(&o).dead, 0);
    assert_true(oracle_mean_recall(&o, (struct vectors_query){.k = 10}, 50, PRECISION) >= 0.97);
    oracle_end(&o);
}

static void inner_products_are_walked_too(void **state)
{
    (void)state;
    struct oracle o;
    float x[DIM];
    double recall = 0;
    oracle_begin(&o, &options, ROWS, 14);
    for (int i = 0; i < ROWS; i++) {
        oracle_draw(&o, x);
        float length = (float)exp(0.3 * rng_normal(&o.rng));
        for (int j = 0; j < DIM; j++)
            x[j] *= length;
        oracle_put(&o, x);
    }
    oracle_work(&o);
    for (int i = 0; i < 100; i++) {
        oracle_draw(&o, x);
        recall += oracle_recall(&o, &(struct vectors_query){.x = x, .k = 10}, 1e-5) / 100;
    }
    print_message("# recall %.4f\n", recall);
    assert_true(recall >= 0.95);
    oracle_end(&o);
}

static void the_seed_and_the_calls_decide_the_graph(void **state)
{
    (void)state;
    struct oracle o[2];
    float x[DIM];
    for (int i = 0; i < 2; i++) {
        begin_linked(&o[i], &options, 1500, 15);
        for (uint32_t slot = 0; slot < 1500; slot += 5)
            oracle_remove(&o[i], slot);
        oracle_work(&o[i]);
    }
    for (int round = 0; round < 20; round++) {
        oracle_draw(&o[0], x);
        struct vectors_query q = {.x = x, .k = 60};
        struct vectors_result_info a = oracle_got(&o[0], &q, PRECISION),
                                   b = oracle_got(&o[1], &q, PRECISION);
        assert_int_equal(a.visited, b.visited);
        assert_memory_equal(o[0].got, o[1].got, 60 * sizeof *o[0].got);
    }
    oracle_end(&o[0]);
    oracle_end(&o[1]);
}

static void out_of_memory_it_stays_whole(void **state)
{
    (void)state;
    unsigned failures = 0;
    struct oracle o;
    float x[DIM];
    oracle_begin(&o, &options, 2000, 16);
    for (int i = 0; i < 600; i++)
        oracle_add(&o);
    for (unsigned n = 1;; n++) { /* each failed step is made up for by the next */
        fault_arm(n);
        enum vectors_left left = vectors_work(o.v, 40);
        bool failed = fault_disarm();
        assert_int_equal(left == VECTORS_NOMEM, failed);
        vectors_validate(o.v);
        failures += failed;
        if (left == VECTORS_DONE)
            break;
        if (!failed)
            n = 0;
    }
    for (uint32_t i = 0; i < 150; i++)
        oracle_remove(&o, i);
    vectors_searcher_free(o.s);
    o.s = vectors_searcher_new();
    assert_non_null(o.s);
    oracle_draw(&o, x);
    oracle_permit(&o, 0.5);
    struct vectors_query q = {.x = x, .k = 10, .ef = 300, .permit = o.permit, .permitted = 600};
    for (unsigned n = 1;; n++) {
        size_t count = 99;
        fault_arm(n);
        bool ok = vectors_search(o.v, &q, o.s, o.got, &count, NULL), failed = fault_disarm();
        assert_int_equal(ok, !failed);
        assert_int_equal(count, failed ? 99 : 10);
        failures += failed;
        if (!failed)
            break;
    }
    print_message("# %u failures\n", failures);
    assert_true(failures >= 8);
    for (int i = 0; i < 1000; i++)
        oracle_add(&o);
    oracle_work(&o);
    assert_true(oracle_mean_recall(&o, (struct vectors_query){.k = 10}, 50, PRECISION) >= 0.97);
    oracle_end(&o);
}

/* Without the exact copy, in a whole chunk, whose blocks of links come with the first link. */
static void the_bytes_of_a_vector_are_as_promised(void **state)
{
    (void)state;
    struct oracle o;
    oracle_begin(&o, &(struct vectors_options){.dim = 1536, .flat_max = 64}, 4096, 17);
    for (int i = 0; i < 4096; i++)
        oracle_add(&o);
    assert_int_equal(vectors_work(o.v, 40), VECTORS_MORE);
    struct vectors_stats s = stats_of(&o);
    double n = 4096;
    print_message("# bytes a vector: bits %.0f, int8 %.0f, links %.0f, other %.0f\n",
                  (double)s.bytes_bits / n, (double)s.bytes_i8 / n, (double)s.bytes_links / n,
                  (double)s.bytes_other / n);
    assert_true((double)(s.bytes_bits + s.bytes_i8 + s.bytes_links + s.bytes_other) / n <= 2200);
    assert_int_equal(s.bytes_exact, 0);
    oracle_end(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(walks_find_nearly_all),
        cmocka_unit_test(int8_alone_ranks_well),
        cmocka_unit_test(vectors_that_lean_the_same_way_are_told_apart),
        cmocka_unit_test(every_row_finds_itself),
        cmocka_unit_test(an_exact_answer_can_be_forced),
        cmocka_unit_test(rows_are_found_while_they_are_being_linked),
        cmocka_unit_test(churn_costs_no_recall),
        cmocka_unit_test(most_can_be_removed_at_once),
        cmocka_unit_test(removals_during_a_sweep_wait_for_the_next),
        cmocka_unit_test(filters_lose_nothing),
        cmocka_unit_test(more_than_there_is_brings_all),
        cmocka_unit_test(equal_vectors_are_all_returned),
        cmocka_unit_test(few_vectors_are_scanned_again),
        cmocka_unit_test(all_can_be_removed_and_come_back),
        cmocka_unit_test(inner_products_are_walked_too),
        cmocka_unit_test(the_seed_and_the_calls_decide_the_graph),
        cmocka_unit_test(out_of_memory_it_stays_whole),
        cmocka_unit_test(the_bytes_of_a_vector_are_as_promised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
