/* SPDX-License-Identifier: MIT
 *
 * Who has a tag: the list and the set of bits beside it. */
#include "support/test.h"

#include "base/rng.h"
#include "engine/tags_priv.h"

static bool has_bit(const struct postings *p, uint32_t agent)
{
    return agent / 64 < p->words && (p->bits[agent / 64] >> (agent % 64) & 1);
}

static void reserve(struct postings *p, uint32_t agent)
{
    assert_true(postings_reserve(p));
    assert_true(postings_reserve_bit(p, agent));
}

/* Several commands of one group reserve before any of them adds: the set may be made for lower
 * agents than one that was promised a place while there was no set yet. */
static void a_set_made_between_promise_and_addition_is_never_overrun(void **state)
{
    struct postings p = {0};
    (void)state;
    for (uint32_t i = 0; i < 14; i++) {
        reserve(&p, i);
        postings_add(&p, i, 1);
    }
    reserve(&p, 100000);
    for (uint32_t i = 20; i < 30; i++)
        reserve(&p, i);
    for (uint32_t i = 20; i < 30; i++)
        postings_add(&p, i, 1);
    postings_add(&p, 100000, 1);
    assert_int_equal(p.count, 25);
    reserve(&p, 31);
    postings_add(&p, 31, 1);
    assert_non_null(p.bits);
    assert_true(has_bit(&p, 100000));
    postings_release(&p);
}

/* After any history the bits are the list. */
static void the_set_always_equals_the_list(void **state)
{
    enum { AGENTS = 3000, STEPS = 20000 };
    struct postings p = {0};
    struct rng rng;
    (void)state;
    rng_seed(&rng, 7);
    for (int i = 0; i < STEPS; i++) {
        uint32_t agent = rng_below(&rng, AGENTS);
        if (rng_below(&rng, 3)) {
            reserve(&p, agent);
            postings_add(&p, agent, i);
        } else {
            postings_remove(&p, agent);
        }
    }
    uint32_t bits = 0;
    assert_non_null(p.bits);
    for (uint32_t w = 0; w < p.words; w++)
        bits += (uint32_t)__builtin_popcountll(p.bits[w]);
    assert_int_equal(bits, p.count);
    for (uint32_t i = 0; i < p.count; i++)
        assert_true(has_bit(&p, p.items[i].agent));
    postings_release(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_set_made_between_promise_and_addition_is_never_overrun),
        cmocka_unit_test(the_set_always_equals_the_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
