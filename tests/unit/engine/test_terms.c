/* SPDX-License-Identifier: MIT
 *
 * Terms: promises that are kept, broken or never asked for. */
#include "engine/terms_priv.h"

#include "base/limits.h"
#include "support/fault.h"
#include "support/test.h"

static struct terms x;

static int up(void **state)
{
    (void)state;
    x = (struct terms){0};
    return 0;
}

static int down(void **state)
{
    (void)state;
    terms_release(&x);
    return 0;
}

static const struct fact row[] = {
    {FACT_PATH, .path = {"task_id", 7}},
    {FACT_TEXT, .path = {"task_id", 7}, .text = {"t", 1}},
    {FACT_PATH, .path = {"metadata.n", 10}},
    {FACT_NUMBER, .path = {"metadata.n", 10}, .number = 4},
    {FACT_NUMBER, .path = {"metadata.n", 10}, .number = 5},
    {FACT_TEXT, .path = {"task_id", 7}, .text = {"t", 1}}, /* again */
};

static struct facts *promise(uint64_t group)
{
    struct facts *f = NULL;
    assert_true(terms_promise(&x, group, row, ARRAY_LEN(row), 4096, &f));
    return f;
}

static const struct term *task(void)
{
    const struct term *path = terms_path(&x, BYTES_LIT("task_id"));
    return path ? terms_value(&x, path, FACT_TEXT, BYTES_LIT("t")) : NULL;
}

static void what_was_promised_needs_no_memory(void **state)
{
    (void)state;
    enum { N = 128 };
    struct facts *f[N];
    for (int i = 0; i < N; i++)
        f[i] = promise(1);
    fault_arm_from(1);
    for (uint32_t i = 0; i < N; i++)
        terms_add(&x, f[i], i);
    (void)fault_disarm();
    assert_int_equal(f[0]->term_count, 3);
    assert_int_equal(task()->set.count, N);
    assert_int_equal(terms_path(&x, BYTES_LIT("metadata.n"))->numbers->count, 2 * N);
    for (uint32_t i = 0; i < N; i++)
        terms_remove(&x, f[i], i);
    terms_sweep(&x, 2);
    assert_int_equal(x.by_key.len, 0);
}

static void what_never_comes_is_forgotten(void **state)
{
    (void)state;
    (void)promise(1);
    (void)promise(1);
    assert_non_null(task());
    terms_sweep(&x, 2);
    assert_int_equal(x.by_key.len, 0);
    assert_null(x.oldest);
}

/* The last that has a term goes in the very group that brings another. */
static void a_term_that_is_promised_stays(void **state)
{
    (void)state;
    struct facts *old = promise(1);
    terms_add(&x, old, 3);
    struct facts *next = promise(2);
    terms_remove(&x, old, 3);
    terms_add(&x, next, 4);
    assert_true(slotset_has(&task()->set, 4) && !slotset_has(&task()->set, 3));
    terms_sweep(&x, 3);
    assert_int_equal(task()->set.count, 1);
    terms_remove(&x, next, 4);
    assert_null(task());
    assert_int_equal(x.by_key.len, 0); /* at once: nobody counts on them */
}

static void a_number_that_moves_is_found_again(void **state)
{
    (void)state;
    struct facts *f[40];
    for (uint32_t i = 0; i < 40; i++)
        terms_add(&x, f[i] = promise(i + 1), i);
    for (uint32_t i = 0; i < 40; i += 2)
        terms_remove(&x, f[i], i);
    const struct numbers *n = terms_path(&x, BYTES_LIT("metadata.n"))->numbers;
    assert_int_equal(n->count, 40);
    for (uint32_t i = 1; i < 40; i += 2)
        for (uint32_t k = 0; k < 2; k++)
            assert_int_equal(n->slots[f[i]->numbers[k].at], i);
    for (uint32_t i = 1; i < 39; i += 2)
        terms_remove(&x, f[i], i);
    assert_true(n->cap < 20);
    terms_remove(&x, f[39], 39);
    assert_int_equal(x.by_key.len, 0);
}

static void running_out_of_memory_changes_nothing(void **state)
{
    (void)state;
    struct facts *first = promise(1), *f = NULL;
    terms_add(&x, first, 9);
    for (uint32_t n = 1;; n++) {
        fault_arm(n);
        bool ok = terms_promise(&x, n + 1, row, ARRAY_LEN(row), 4096, &f);
        if (!fault_disarm()) {
            assert_true(ok);
            break;
        }
        assert_false(ok);
        assert_int_equal(task()->set.count, 1);
    }
    terms_add(&x, f, 10);
    assert_int_equal(task()->set.count, 2);
    terms_remove(&x, first, 9);
    terms_remove(&x, f, 10);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, up, down)
    const struct CMUnitTest tests[] = {
        TEST(what_was_promised_needs_no_memory),     TEST(what_never_comes_is_forgotten),
        TEST(a_term_that_is_promised_stays),         TEST(a_number_that_moves_is_found_again),
        TEST(running_out_of_memory_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
