/* SPDX-License-Identifier: MIT */
#include "support/test.h"

#include <ctype.h>
#include <string.h>

#include "base/attr.h"
#include "base/rng.h"
#include "codec/base64.h"

static void the_rfc_examples_hold(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        struct buf b;
        uint8_t out[16];
        size_t len = 99;
        buf_init(&b, 100);
        base64_encode(bytes_cstr(pairs[i][0]), &b);
        assert_bytes_equal(buf_bytes(&b), pairs[i][1]);
        assert_true(base64_decode(bytes_cstr(pairs[i][1]), out, &len));
        assert_bytes_equal(bytes_of(out, len), pairs[i][0]);
        buf_release(&b);
    }
}

static void any_bytes_come_back(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 9);
    for (size_t len = 0; len < 300; len++) {
        uint8_t data[300], back[300];
        size_t got;
        struct buf b;
        for (size_t i = 0; i < len; i++)
            data[i] = (uint8_t)rng_next(&r);
        buf_init(&b, 1000);
        base64_encode(bytes_of(data, len), &b);
        assert_true(base64_room(buf_bytes(&b)) <= len + 2);
        assert_true(base64_decode(buf_bytes(&b), back, &got));
        assert_int_equal(got, len);
        if (len)
            assert_memory_equal(back, data, len);
        buf_release(&b);
    }
}

static void anything_loose_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "Zg",     "Zg=",  "Z===", "====",     "Zh==", "Zm9=", "Zm 9",
        "Zm9v\n", "-m9v", "_m9v", "Zg==Zg==", "=m9v", "Z=9v", "Zm9\xff"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        uint8_t out[16];
        size_t len;
        if (base64_decode(bytes_cstr(bad[i]), out, &len))
            fail_msg("accepted %s", bad[i]);
    }
}

/* Long texts go in blocks: any byte, at any place of them, is taken just when it is in the
 * alphabet. */
static void a_wrong_byte_is_found_wherever_it_stands(void **state)
{
    (void)state;
    enum { CHARS = 200 };
    for (size_t at = 0; at < CHARS; at++)
        for (int byte = 0; byte < 256; byte++) {
            char text[CHARS];
            uint8_t out[CHARS / 4 * 3];
            size_t len;
            memset(text, 'A', sizeof text);
            text[at] = (char)byte;
            bool good =
                isalnum(byte) || byte == '+' || byte == '/' || (byte == '=' && at == CHARS - 1);
            if (base64_decode(bytes_of(text, CHARS), out, &len) != good)
                fail_msg("byte %d at %zu", byte, at);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rfc_examples_hold),
        cmocka_unit_test(any_bytes_come_back),
        cmocka_unit_test(anything_loose_is_refused),
        cmocka_unit_test(a_wrong_byte_is_found_wherever_it_stands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
