/* SPDX-License-Identifier: MIT */
#include "support/test.h"

#include "base/bytes.h"

static void equality_needs_length_and_content(void **state)
{
    (void)state;
    assert_true(bytes_is(BYTES_LIT("abc"), "abc"));
    assert_false(bytes_is(BYTES_LIT("abc"), "abd"));
    assert_false(bytes_is(BYTES_LIT("abc"), "ab"));
    assert_true(bytes_equal(bytes_of("a\0b", 3), bytes_of("a\0b", 3)));
    assert_false(bytes_equal(bytes_of("a\0b", 3), bytes_of("a\0c", 3)));
    assert_true(bytes_equal(bytes_of(NULL, 0), BYTES_LIT("")));
    assert_int_equal(bytes_cstr(NULL).len, 0);
}

static void a_prefix_is_recognised(void **state)
{
    (void)state;
    assert_true(bytes_starts(BYTES_LIT("nutrient"), BYTES_LIT("nut")));
    assert_true(bytes_starts(BYTES_LIT("nut"), BYTES_LIT("nut")));
    assert_true(bytes_starts(BYTES_LIT("nut"), bytes_of(NULL, 0)));
    assert_false(bytes_starts(BYTES_LIT("nu"), BYTES_LIT("nut")));
    assert_false(bytes_starts(BYTES_LIT("net"), BYTES_LIT("nut")));
}

static void order_is_by_unsigned_byte_then_length(void **state)
{
    (void)state;
    static const char *const sorted[] = {"", "a", "aa", "ab", "b", "\x7f", "\x80", "\xff"};
    enum { N = sizeof sorted / sizeof sorted[0] };
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            int c = bytes_compare(bytes_cstr(sorted[i]), bytes_cstr(sorted[j]));
            assert_int_equal((c > 0) - (c < 0), (i > j) - (i < j));
        }
}

static void the_hash_depends_on_every_byte_length_and_seed(void **state)
{
    (void)state;
    char text[40] = {0};
    for (size_t len = 1; len <= sizeof text; len++) {
        uint64_t before = bytes_hash(bytes_of(text, len), 1);
        assert_true(before != bytes_hash(bytes_of(text, len - 1), 1));
        assert_true(before != bytes_hash(bytes_of(text, len), 2));
        for (size_t i = 0; i < len; i++) {
            text[i] ^= 1;
            assert_true(before != bytes_hash(bytes_of(text, len), 1));
            text[i] ^= 1;
        }
        assert_true(before == bytes_hash(bytes_of(text, len), 1));
    }
}

static void the_hash_spreads_similar_keys_over_buckets(void **state)
{
    (void)state;
    enum { KEYS = 64000, BUCKETS = 64 };
    unsigned count[BUCKETS] = {0};
    for (uint32_t i = 0; i < KEYS; i++)
        count[bytes_hash(bytes_of(&i, sizeof i), 7) % BUCKETS]++;
    for (int i = 0; i < BUCKETS; i++) /* 1000 expected, standard deviation 31 */
        assert_in_range(count[i], 800, 1200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equality_needs_length_and_content),
        cmocka_unit_test(a_prefix_is_recognised),
        cmocka_unit_test(order_is_by_unsigned_byte_then_length),
        cmocka_unit_test(the_hash_depends_on_every_byte_length_and_seed),
        cmocka_unit_test(the_hash_spreads_similar_keys_over_buckets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
