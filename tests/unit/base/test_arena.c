/* SPDX-License-Identifier: MIT */
#include "support/test.h"

#include "base/arena.h"
#include "support/fault.h"

static void allocations_are_aligned_and_do_not_overlap(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 0);
    enum { COUNT = 500 };
    unsigned char *parts[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        parts[i] = arena_alloc(&a, i);
        assert_non_null(parts[i]);
        assert_int_equal((uintptr_t)parts[i] % 16, 0);
        memset(parts[i], (int)(i & 0xff), i);
    }
    for (size_t i = 0; i < COUNT; i++)
        for (size_t k = 0; k < i; k++)
            assert_int_equal(parts[i][k], i & 0xff);
    arena_release(&a);
}

static void the_bound_holds_and_leaves_the_arena_usable(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1024);
    assert_non_null(arena_alloc(&a, 1000));
    assert_false(a.failed);
    assert_null(arena_alloc(&a, 100));
    assert_true(a.failed);
    assert_null(arena_alloc(&a, SIZE_MAX));
    assert_non_null(arena_alloc(&a, 16));
    assert_true(a.failed); /* until the reset */
    arena_reset(&a);
    assert_false(a.failed);
    assert_non_null(arena_alloc(&a, 1024));
    arena_release(&a);
}

static void a_product_that_overflows_is_refused(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 0);
    assert_null(arena_calloc(&a, SIZE_MAX / 2, 4));
    assert_true(a.failed);
    assert_null(arena_calloc(&a, SIZE_MAX / 4, 3));
    arena_release(&a);
}

static void reused_memory_from_calloc_is_zero(void **state)
{
    (void)state;
    static const char zeros[256];
    struct arena a;
    arena_init(&a, 0);
    memset(arena_alloc(&a, 256), 0xff, 256);
    arena_reset(&a);
    assert_memory_equal(arena_calloc(&a, 16, 16), zeros, 256);
    arena_release(&a);
}

static void reset_forgets_what_was_used(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 4096);
    for (int round = 0; round < 100; round++) {
        assert_non_null(arena_alloc(&a, 4000));
        assert_int_equal(a.used, 4000);
        arena_reset(&a);
        assert_int_equal(a.used, 0);
    }
    arena_release(&a);
    arena_release(&a);
    arena_release(NULL);
}

static void copies_are_equal_and_terminated(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 0);
    struct bytes copy = arena_bytes(&a, bytes_of("a\0b", 3));
    assert_int_equal(copy.len, 3);
    assert_memory_equal(copy.ptr, "a\0b", 3);
    assert_string_equal(arena_cstr(&a, bytes_of("hyphae", 4)), "hyph");
    assert_string_equal(arena_cstr(&a, bytes_of(NULL, 0)), "");
    assert_string_equal(arena_printf(&a, "%s-%03d", "edge", 7), "edge-007");
    assert_non_null(arena_bytes(&a, bytes_of(NULL, 0)).ptr);
    arena_release(&a);
}

static void a_failed_allocation_gives_null_everywhere(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 0);
    fault_arm_from(1);
    assert_null(arena_alloc(&a, 1));
    assert_null(arena_calloc(&a, 1, 1));
    assert_null(arena_copy(&a, "x", 1));
    assert_null(arena_cstr(&a, BYTES_LIT("x")));
    assert_null(arena_printf(&a, "%d", 1));
    assert_null(arena_bytes(&a, BYTES_LIT("x")).ptr);
    assert_int_equal(arena_bytes(&a, BYTES_LIT("x")).len, 0);
    assert_true(fault_disarm());
    assert_true(a.failed);
    assert_int_equal(a.used, 0);
    assert_non_null(arena_alloc(&a, 1));
    arena_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocations_are_aligned_and_do_not_overlap),
        cmocka_unit_test(the_bound_holds_and_leaves_the_arena_usable),
        cmocka_unit_test(a_product_that_overflows_is_refused),
        cmocka_unit_test(reused_memory_from_calloc_is_zero),
        cmocka_unit_test(reset_forgets_what_was_used),
        cmocka_unit_test(copies_are_equal_and_terminated),
        cmocka_unit_test(a_failed_allocation_gives_null_everywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
