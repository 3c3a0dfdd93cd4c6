/* SPDX-License-Identifier: MIT
 *
 * The fingerprint of a body: stable for ever, sensitive to every bit and to the length. */
#include "api/api_priv.h"
#include "api/body_hash_priv.h"
#include "base/rng.h"
#include "support/test.h"

#include <stdio.h>

static void hash(const void *data, size_t len, uint64_t ret[2])
{
    body_hash(bytes_of(data, len), 0, ret);
}

static void fingerprints_are_the_same_for_ever(void **state)
{
    (void)state;
    uint64_t h[2];
    hash("", 0, h);
    assert_true(h[0] == 0x07e5004eae7623ccu && h[1] == 0x2c09228aeda87b1cu);
    char text[200];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * 7);
    hash(text, sizeof text, h);
    assert_true(h[0] == 0x7118588d68817055u && h[1] == 0x01b0682770a372f8u);
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

/* The values are stored: a node may ask on one machine what another has answered. */
static void every_instruction_set_gives_the_same(void **state)
{
    (void)state;
    enum { BLOCKS = 40, SHIFTS = 9 }; /* two runs and a part of one; also from odd addresses */
    char data[BLOCKS * HASH_BLOCK_BYTES + SHIFTS];
    struct rng r;
    rng_seed(&r, 5);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)rng_next(&r);
    for (size_t n = 0; n <= BLOCKS; n++) {
        uint64_t want[HASH_LANES], got[HASH_LANES], from[HASH_LANES];
        for (size_t i = 0; i < HASH_LANES; i++)
            from[i] = rng_next(&r);
        const char *p = data + n % SHIFTS;
        memcpy(want, from, sizeof want);
        hash_absorb_portable(want, p, n);
        if (hash_have_avx2()) {
            memcpy(got, from, sizeof got);
            hash_absorb_avx2(got, p, n);
            assert_memory_equal(got, want, sizeof got);
        }
    }
}

/* Whatever two words of a body change places, within a block, a run or beyond. */
static void the_order_of_words_counts(void **state)
{
    (void)state;
    enum { WORDS = 40 * HASH_LANES };
    uint64_t words[WORDS], base[2], h[2];
    struct rng r;
    rng_seed(&r, 6);
    for (size_t i = 0; i < WORDS; i++)
        words[i] = rng_next(&r);
    hash(words, sizeof words, base);
    for (size_t a = 0; a < WORDS; a++) {
        for (size_t b = a + 1; b < WORDS; b += 1 + a % 3) {
            uint64_t kept = words[a];
            words[a] = words[b];
            words[b] = kept;
            hash(words, sizeof words, h);
            assert_true(h[0] != base[0] && h[1] != base[1]);
            words[b] = words[a];
            words[a] = kept;
        }
    }
}

/* A text of numbers with any one digit raised: among so few, 64 bits do not collide by accident. */
static void numbers_of_a_body_do_not_collide(void **state)
{
    (void)state;
    enum { NUMBERS = 200, TRIES = NUMBERS * 20 };
    static uint64_t seen[2][TRIES];
    char text[NUMBERS * 12 + 1];
    size_t len = 0, count = 0;
    struct rng r;
    rng_seed(&r, 7);
    for (int i = 0; i < NUMBERS; i++)
        len +=
            (size_t)snprintf(text + len, sizeof text - len, "0.%08u, ", rng_below(&r, 100000000));
    for (size_t at = 0; at < len && count < TRIES; at++) {
        if (text[at] < '0' || text[at] > '9')
            continue;
        uint64_t h[2];
        char kept = text[at];
        text[at] = (char)('0' + (kept - '0' + 1) % 10);
        hash(text, len, h);
        text[at] = kept;
        seen[0][count] = h[0];
        seen[1][count++] = h[1];
    }
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < i; k++)
            assert_true(seen[0][i] != seen[0][k] && seen[1][i] != seen[1][k]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fingerprints_are_the_same_for_ever),
        cmocka_unit_test(every_bit_counts_in_both_halves),
        cmocka_unit_test(a_tail_of_zeros_counts),
        cmocka_unit_test(the_seed_counts),
        cmocka_unit_test(one_bit_flips_about_half),
        cmocka_unit_test(every_instruction_set_gives_the_same),
        cmocka_unit_test(the_order_of_words_counts),
        cmocka_unit_test(numbers_of_a_body_do_not_collide),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
