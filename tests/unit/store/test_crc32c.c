/* SPDX-License-Identifier: MIT */
#include "support/test.h"

#include "base/rng.h"
#include "store/crc32c.h"

static void known_answers(void **state)
{
    (void)state;
    char zeros[32] = {0}, ones[32];
    memset(ones, 0xff, sizeof ones);
    /* RFC 3720 B.4, and the check value of the CRC catalogue */
    assert_int_equal(crc32c(0, BYTES_LIT("123456789")), 0xE3069283u);
    assert_int_equal(crc32c(0, bytes_of(zeros, 32)), 0x8A9136AAu);
    assert_int_equal(crc32c(0, bytes_of(ones, 32)), 0x62A8AB43u);
    assert_int_equal(crc32c(0, bytes_of(NULL, 0)), 0);
}

static void the_instruction_and_the_table_agree_in_any_pieces(void **state)
{
    (void)state;
    struct rng r;
    char data[600];
    rng_seed(&r, 3);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)rng_next(&r);
    for (int i = 0; i < 2000; i++) {
        size_t from = rng_below(&r, 64), len = rng_below(&r, 500), cut = rng_below(&r, 500);
        cut = cut < len ? cut : len;
        uint32_t whole = crc32c_table(0, bytes_of(data + from, len));
        assert_int_equal(crc32c(0, bytes_of(data + from, len)), whole);
        uint32_t first = crc32c(0, bytes_of(data + from, cut));
        assert_int_equal(crc32c(first, bytes_of(data + from + cut, len - cut)), whole);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),
        cmocka_unit_test(the_instruction_and_the_table_agree_in_any_pieces),
    };
    return cmocka_run_group_tests_name("store/crc32c", tests, NULL, NULL);
}
