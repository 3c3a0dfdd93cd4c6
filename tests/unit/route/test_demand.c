/* SPDX-License-Identifier: MIT */
#include "support/test.h"

#include <math.h>
#include <string.h>

#include "base/attr.h"
#include "base/rng.h"
#include "route/demand.h"

static float ratio(const char *a, const char *b)
{
    return tag_ratio(bytes_cstr(a), bytes_cstr(b));
}

static float match(const char *a, const char *b)
{
    return demand_match(bytes_cstr(a), bytes_cstr(b));
}

static void assert_close(float got, double want)
{
    if (!(fabs((double)got - want) < 1e-6))
        fail_msg("got %.9g, want %.9g", (double)got, want);
}

/* The textbook table, as the oracle. */
static float slow_ratio(const char *a, size_t a_len, const char *b, size_t b_len)
{
    static unsigned row[2][DEMAND_TAG_BYTES + 1];
    memset(row, 0, sizeof row);
    for (size_t i = 0; i < a_len; i++)
        for (size_t j = 0; j < b_len; j++) {
            unsigned up = row[i % 2][j + 1], left = row[(i + 1) % 2][j];
            row[(i + 1) % 2][j + 1] = a[i] == b[j] ? row[i % 2][j] + 1 : (up > left ? up : left);
        }
    return 2 * (float)row[a_len % 2][b_len] / (float)(a_len + b_len);
}

static void the_ratio_is_twice_the_common_subsequence_over_both_lengths(void **state)
{
    (void)state;
    assert_close(ratio("kitten", "sitting"), 2 * 4.0 / 13);
    assert_close(ratio("summarise", "summarize"), 16.0 / 18);
    assert_close(ratio("abc", "xyz"), 0);
    assert_close(ratio("abcd", "abcd"), 1);
    assert_close(ratio("", ""), 1);
    assert_close(ratio("a", ""), 0);
    assert_close(ratio("web_search", "search"), 12.0 / 16);
}

static void ascii_letters_compare_without_case(void **state)
{
    (void)state;
    assert_close(ratio("PDF-Parser", "pdf-parser"), 1);
    assert_close(match("SQL", "sql"), 1);
}

static void long_random_tags_agree_with_the_textbook_table_and_in_both_orders(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 1);
    for (int round = 0; round < 3000; round++) {
        char a[DEMAND_TAG_BYTES], b[DEMAND_TAG_BYTES];
        uint32_t most = round % 10 ? 150 : DEMAND_TAG_BYTES, letters = 2 + rng_below(&r, 20);
        size_t a_len = 1 + rng_below(&r, most), b_len = 1 + rng_below(&r, most);
        for (size_t i = 0; i < a_len; i++)
            a[i] = (char)('a' + rng_below(&r, letters));
        for (size_t i = 0; i < b_len; i++)
            b[i] = (char)('a' + rng_below(&r, letters));
        float want = slow_ratio(a, a_len, b, b_len);
        assert_true(tag_ratio(bytes_of(a, a_len), bytes_of(b, b_len)) == want);
        assert_true(tag_ratio(bytes_of(b, b_len), bytes_of(a, a_len)) == want);
        float matched = demand_match(bytes_of(a, a_len), bytes_of(b, b_len));
        assert_true(matched == (want >= DEMAND_RATIO_MIN ? want : 0));
    }
}

static void tags_longer_than_valid_match_only_when_equal(void **state)
{
    (void)state;
    char a[DEMAND_TAG_BYTES + 1];
    memset(a, 'x', sizeof a);
    assert_close(tag_ratio(bytes_of(a, sizeof a), bytes_of(a, sizeof a - 1)), 0);
    assert_close(demand_match(bytes_of(a, sizeof a), bytes_of(a, sizeof a)), 1);
}

static void a_fuzzy_match_needs_the_threshold(void **state)
{
    (void)state;
    assert_close(match("search", "search"), 1);
    assert_close(match("web_search", "search"), 0.75);
    assert_close(match("abcdefg---", "abcdefg+++"), 0.7); /* exactly the threshold */
    assert_close(match("abcdef----", "abcdef++++"), 0);
    assert_close(match("translate", "summarise"), 0);
}

static void demand_is_the_mean_over_the_hints_of_their_best_match(void **state)
{
    (void)state;
    const struct bytes hints[] = {BYTES_LIT("search"), BYTES_LIT("translate")};
    const struct bytes tasks[] = {BYTES_LIT("web_search"), BYTES_LIT("sql"), BYTES_LIT("search")};
    assert_close(demand_overlap(hints, 2, tasks, 3), 0.5);
    assert_close(demand_overlap(hints, 2, tasks, 2), 0.375);
    assert_close(demand_overlap(hints, 1, tasks, 3), 1);
    assert_close(demand_overlap(hints, 2, tasks, 0), 0);
    assert_close(demand_overlap(hints, 0, tasks, 3), 0);
    const float best[] = {1, 0.75f, 0, 0};
    assert_close(demand_mean(best, 4), 0.4375);
    assert_close(demand_mean(best, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_ratio_is_twice_the_common_subsequence_over_both_lengths),
        cmocka_unit_test(ascii_letters_compare_without_case),
        cmocka_unit_test(long_random_tags_agree_with_the_textbook_table_and_in_both_orders),
        cmocka_unit_test(tags_longer_than_valid_match_only_when_equal),
        cmocka_unit_test(a_fuzzy_match_needs_the_threshold),
        cmocka_unit_test(demand_is_the_mean_over_the_hints_of_their_best_match),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
