/* SPDX-License-Identifier: MIT
 *
 * Did you mean. */
#include "support/test.h"

#include "base/attr.h"
#include "base/suggest.h"

static const char *const words[] = {"broadcast", "backup", "bench", "data-dir", "key"};

static void a_swap_of_neighbours_is_one_edit(void **state)
{
    (void)state;
    assert_int_equal(suggest_distance("lsiten", "listen"), 1);
    assert_int_equal(suggest_distance("listen", "listen"), 0);
    assert_int_equal(suggest_distance("", "abc"), 3);
    assert_int_equal(suggest_distance("kitten", "sitting"), 3);
}

static void slips_find_the_word_meant(void **state)
{
    (void)state;
    assert_string_equal(suggest_word("broadcst", words, ARRAY_LEN(words)), "broadcast");
    assert_string_equal(suggest_word("datadir", words, ARRAY_LEN(words)), "data-dir");
    assert_string_equal(suggest_word("kye", words, ARRAY_LEN(words)), "key");
}

static void the_only_word_that_begins_so_is_meant(void **state)
{
    (void)state;
    assert_string_equal(suggest_word("bro", words, ARRAY_LEN(words)), "broadcast");
}

static void strangers_get_no_suggestion(void **state)
{
    (void)state;
    assert_null(suggest_word("frobnicate", words, ARRAY_LEN(words)));
    assert_null(suggest_word("", words, ARRAY_LEN(words)));
    assert_null(suggest_word("x", words, ARRAY_LEN(words)));
}

static void a_word_too_long_for_the_table_is_a_stranger(void **state)
{
    (void)state;
    char huge[200];
    memset(huge, 'k', sizeof huge - 1);
    huge[sizeof huge - 1] = '\0';
    assert_int_equal(suggest_distance(huge, "key"), sizeof huge - 1);
    assert_null(suggest_word(huge, words, ARRAY_LEN(words)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_swap_of_neighbours_is_one_edit),
        cmocka_unit_test(slips_find_the_word_meant),
        cmocka_unit_test(the_only_word_that_begins_so_is_meant),
        cmocka_unit_test(strangers_get_no_suggestion),
        cmocka_unit_test(a_word_too_long_for_the_table_is_a_stranger),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
