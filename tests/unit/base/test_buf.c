/* SPDX-License-Identifier: MIT */
#include "support/test.h"

#include "base/buf.h"
#include "support/fault.h"

static void appends_add_up(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1000);
    buf_addc(&b, 'a');
    buf_adds(&b, "bc");
    buf_addb(&b, BYTES_LIT("de"));
    buf_addb(&b, bytes_of(NULL, 0));
    buf_add(&b, "\0f", 2);
    buf_printf(&b, "%d", 42);
    assert_true(buf_ok(&b));
    assert_int_equal(b.len, 9);
    assert_memory_equal(b.ptr, "abcde\0f42", 9);
    buf_release(&b);
}

static void a_buffer_fills_to_its_maximum_and_not_past_it(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1000);
    for (int i = 0; i < 1000; i++)
        buf_addc(&b, 'x');
    assert_true(buf_ok(&b));
    assert_int_equal(b.len, 1000);
    buf_addc(&b, 'y');
    assert_false(buf_ok(&b));
    assert_int_equal(b.len, 1000);
    assert_true(b.cap <= 1000);
    buf_release(&b);
}

/* A first block is larger than some buffers may become. */
static void a_small_maximum_holds_too(void **state)
{
    (void)state;
    for (size_t max = 1; max < 300; max++) {
        struct buf b;
        buf_init(&b, max);
        for (size_t i = 0; i < max; i++)
            buf_addc(&b, 'x');
        assert_true(buf_ok(&b));
        assert_true(b.cap <= max);
        buf_addc(&b, 'y');
        assert_false(buf_ok(&b));
        assert_int_equal(b.len, max);
        buf_release(&b);
    }
}

static void the_first_failure_sticks_until_cleared(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 4);
    buf_adds(&b, "ab");
    buf_adds(&b, "cdefg");
    buf_adds(&b, "h"); /* would fit, but the text would have a hole */
    assert_false(buf_ok(&b));
    assert_bytes_equal(buf_bytes(&b), "ab");
    buf_clear(&b);
    buf_adds(&b, "h");
    assert_true(buf_ok(&b));
    assert_bytes_equal(buf_bytes(&b), "h");
    buf_release(&b);
}

static void a_huge_request_does_not_wrap(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, SIZE_MAX);
    buf_adds(&b, "abc");
    assert_null(buf_reserve(&b, SIZE_MAX - 1));
    assert_false(buf_ok(&b));
    buf_release(&b);
}

static void consume_drops_the_front(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 100);
    buf_adds(&b, "abcdef");
    buf_consume(&b, 2);
    assert_bytes_equal(buf_bytes(&b), "cdef");
    buf_consume(&b, 0);
    assert_bytes_equal(buf_bytes(&b), "cdef");
    buf_consume(&b, 100);
    assert_int_equal(b.len, 0);
    buf_release(&b);
}

static void a_failed_allocation_keeps_what_is_there(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 100000);
    buf_adds(&b, "kept");
    fault_arm(1);
    for (int i = 0; i < 1000; i++)
        buf_addc(&b, 'x');
    assert_true(fault_disarm());
    assert_false(buf_ok(&b));
    assert_memory_equal(b.ptr, "kept", 4);
    buf_release(&b);
    buf_release(&b);
    buf_release(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends_add_up),
        cmocka_unit_test(a_buffer_fills_to_its_maximum_and_not_past_it),
        cmocka_unit_test(a_small_maximum_holds_too),
        cmocka_unit_test(the_first_failure_sticks_until_cleared),
        cmocka_unit_test(a_huge_request_does_not_wrap),
        cmocka_unit_test(consume_drops_the_front),
        cmocka_unit_test(a_failed_allocation_keeps_what_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
