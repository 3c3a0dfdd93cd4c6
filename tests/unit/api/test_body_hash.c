/* SPDX-License-Identifier: MIT
 *
 * The fingerprint of a body: stable for ever, sensitive to every bit and to the length. */
#include "api/api_priv.h"
#include "support/test.h"

static void hash(const void *data, size_t len, uint64_t ret[2])
{
    body_hash(bytes_of(data, len), 0, ret);
}

static void fingerprints_are_the_same_for_ever(void **state)
{
    (void)state;
    uint64_t h[2];
    hash("", 0, h);
    assert_true(h[0] == 0x954bea954f84f80fu && h[1] == 0xfc4250ef9987f3c5u);
    char text[200];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * 7);
    hash(text, sizeof text, h);
    assert_true(h[0] == 0x2bf6a219abac396eu && h[1] == 0xaa2c285e3a532ee0u);
}

static void every_bit_counts_in_both_halves(void **state)
{
    (void)state;
    char text[150];
    memset(text, 0, sizeof text);
    uint64_t base[2], h[2];
    hash(text, sizeof text, base);
    for (size_t bit = 0; bit < sizeof text * 8; bit++) {
        text[bit / 8] = (char)(1 << bit % 8);
        hash(text, sizeof text, h);
        assert_true(h[0] != base[0] && h[1] != base[1]);
        text[bit / 8] = 0;
    }
}

static void a_tail_of_zeros_counts(void **state)
{
    (void)state;
    char zeros[200] = {0};
    for (size_t a = 0; a < sizeof zeros; a++) {
        uint64_t x[2], y[2];
        hash(zeros, a, x);
        hash(zeros, a + 1, y);
        assert_true(x[0] != y[0] && x[1] != y[1]);
    }
}

static void the_seed_counts(void **state)
{
    (void)state;
    uint64_t x[2], y[2];
    body_hash(BYTES_LIT("body"), 1, x);
    body_hash(BYTES_LIT("body"), 2, y);
    assert_true(x[0] != y[0] && x[1] != y[1]);
}

/* 64 flipped bits of 128 on average, whatever bit of the input flips. */
static void one_bit_flips_about_half(void **state)
{
    (void)state;
    char text[97] = "The quick brown fox jumps over the lazy dog, again and again and again and";
    uint64_t base[2], h[2];
    hash(text, sizeof text, base);
    unsigned flipped = 0, tries = sizeof text * 8;
    for (size_t bit = 0; bit < tries; bit++) {
        text[bit / 8] = (char)(text[bit / 8] ^ 1 << bit % 8);
        hash(text, sizeof text, h);
        unsigned n =
            (unsigned)(__builtin_popcountll(h[0] ^ base[0]) + __builtin_popcountll(h[1] ^ base[1]));
        assert_in_range(n, 30, 98);
        flipped += n;
        text[bit / 8] = (char)(text[bit / 8] ^ 1 << bit % 8);
    }
    assert_in_range(flipped / tries, 61, 67);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fingerprints_are_the_same_for_ever),
        cmocka_unit_test(every_bit_counts_in_both_halves),
        cmocka_unit_test(a_tail_of_zeros_counts),
        cmocka_unit_test(the_seed_counts),
        cmocka_unit_test(one_bit_flips_about_half),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
