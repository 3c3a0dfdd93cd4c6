/* SPDX-License-Identifier: MIT
 *
 * Sets of slots beside an array of truths. */
#include "index/slotset.h"

#include <stdlib.h>

#include "base/rng.h"
#include "support/fault.h"
#include "support/test.h"

enum { SLOTS = 4096, WORDS = SLOTS / 64 };

static void equals(const struct slotset *s, const bool *truth, uint64_t scope_word)
{
    uint64_t scope[WORDS], bits[WORDS] = {0};
    uint32_t count = 0;
    for (int w = 0; w < WORDS; w++)
        scope[w] = scope_word;
    slotset_join(s, scope, bits, WORDS);
    for (uint32_t i = 0; i < SLOTS; i++) {
        assert_int_equal(slotset_has(s, i), truth[i]);
        assert_int_equal(bits_has(bits, i), truth[i] && (scope_word >> i % 64 & 1));
        count += truth[i];
    }
    assert_int_equal(s->count, count);
    if (scope_word == UINT64_MAX)
        assert_int_equal(bits_count(bits, WORDS), count);
}

/* Bytes on the heap. */
static size_t weight(const struct slotset *s)
{
    return s->room * (s->dense ? sizeof(uint64_t) : sizeof(uint32_t));
}

static void a_set_equals_an_array_of_truths(void **state)
{
    (void)state;
    struct slotset s = {0};
    bool truth[SLOTS] = {false}, dense = false, list = false;
    struct rng rng;
    rng_seed(&rng, 3);
    for (int wave = 0; wave < 12; wave++) {
        bool fills = wave % 2 == 0;
        uint32_t slots =
            wave < 4 ? 64U << wave * 2 : (uint32_t)SLOTS; /* it grows while it is in use */
        for (int i = 0; i < 3000; i++) {
            uint32_t slot = (uint32_t)rng_below(&rng, slots);
            bool adds = rng_below(&rng, 10) < (fills ? 9 : 2);
            if (adds) {
                assert_true(slotset_reserve(&s, 1, slots));
                assert_true(slotset_has_room(&s, 1, slots));
                slotset_add(&s, slot);
            } else {
                slotset_remove(&s, slot);
                slotset_trim(&s, 0);
            }
            truth[slot] = adds;
            assert_true(weight(&s) <= 16 * (size_t)s.count + 64);
        }
        equals(&s, truth, wave % 3 ? UINT64_MAX : UINT64_C(0xf0f0f0f0f0f0f0f0));
        dense |= s.dense;
        for (uint32_t i = 0; wave == 5 && i < SLOTS; i++) { /* all but a few go */
            if (truth[i] && s.count <= 10)
                break;
            slotset_remove(&s, i);
            slotset_trim(&s, 0);
            truth[i] = false;
        }
        list |= !s.dense && s.count;
    }
    assert_true(dense && list);
    slotset_release(&s);
    assert_int_equal(s.count, 0);
}

static void few_need_no_memory(void **state)
{
    (void)state;
    struct slotset s = {0};
    fault_arm_from(1);
    assert_true(slotset_reserve(&s, 2, 1 << 20));
    slotset_add(&s, 900000);
    slotset_add(&s, 7);
    slotset_add(&s, 7);
    assert_int_equal(s.count, 2);
    assert_false(slotset_reserve(&s, 1, 1 << 20));
    assert_true(fault_disarm());
    assert_true(slotset_has(&s, 7) && slotset_has(&s, 900000) && !slotset_has(&s, 8));
    slotset_remove(&s, 8);
    slotset_remove(&s, 7);
    assert_true(s.count == 1 && slotset_has(&s, 900000));
    slotset_release(&s);
}

static void what_was_reserved_needs_no_memory(void **state)
{
    (void)state;
    for (uint32_t n = 1; n < 600; n = n * 2 + 1) {
        struct slotset s = {0};
        assert_true(slotset_reserve(&s, n, 1024));
        fault_arm_from(1);
        for (uint32_t i = 0; i < n; i++)
            slotset_add(&s, (i * 37) % 1024);
        assert_int_equal(s.count, n);
        for (uint32_t i = 0; i + 1 < n; i++) {
            slotset_remove(&s, (i * 37) % 1024);
            slotset_trim(&s, 0); /* cannot, and does no harm */
        }
        (void)fault_disarm();
        assert_true(s.count == 1 && slotset_has(&s, ((n - 1) * 37) % 1024));
        slotset_release(&s);
    }
}

static void the_next_of_a_bitmap_is_found(void **state)
{
    (void)state;
    uint64_t bits[4] = {1, 0, UINT64_C(1) << 63, 0};
    assert_int_equal(bits_next(bits, 4, 0), 0);
    assert_int_equal(bits_next(bits, 4, 1), 191);
    assert_int_equal(bits_next(bits, 4, 191), 191);
    assert_int_equal(bits_next(bits, 4, 192), UINT32_MAX);
    assert_int_equal(bits_next(bits, 4, 300), UINT32_MAX);
    assert_int_equal(bits_in_word(UINT64_MAX), 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_set_equals_an_array_of_truths),
        cmocka_unit_test(few_need_no_memory),
        cmocka_unit_test(what_was_reserved_needs_no_memory),
        cmocka_unit_test(the_next_of_a_bitmap_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
