/* SPDX-License-Identifier: MIT
 *
 * Both maps against plain arrays indexed by key: thousands of random operations over a key space
 * small enough that puts meet, overwrite and delete each other. */
#include "support/test.h"

#include <stdio.h>

#include "base/map.h"
#include "base/rng.h"
#include "support/fault.h"

enum { KEYS = 600, OPERATIONS = 60000, CHECK_EVERY = 1000 };

struct u64_oracle {
    bool there[KEYS];
    uint64_t value[KEYS];
    size_t len;
};

/* Spreads the small key space over all 64 bits, 0 and UINT64_MAX included. */
static uint64_t wide(uint32_t k)
{
    return k == 0 ? 0 : k == 1 ? UINT64_MAX : (uint64_t)k << 32;
}

static void u64_check_all(const struct u64map *m, const struct u64_oracle *o)
{
    assert_int_equal(m->len, o->len);
    for (uint32_t k = 0; k < KEYS; k++) {
        uint64_t *v = u64map_get(m, wide(k));
        assert_int_equal(v != NULL, o->there[k]);
        if (v)
            assert_true(*v == o->value[k]);
    }
}

static void u64map_agrees_with_an_array(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 1);
    struct u64map m = {0};
    struct u64_oracle o = {0};
    for (int i = 0; i < OPERATIONS; i++) {
        uint32_t k = rng_below(&r, KEYS);
        /* long phases of growth and of shrinking: deletion has to mend long clusters */
        bool put = rng_below(&r, 10) < ((i / 5000) % 2 ? 3u : 7u);
        if (put) {
            o.value[k] = rng_next(&r);
            o.len += !o.there[k];
            assert_true(u64map_put(&m, wide(k), o.value[k]));
        } else {
            assert_int_equal(u64map_remove(&m, wide(k)), o.there[k]);
            o.len -= o.there[k];
        }
        o.there[k] = put;
        if (i % CHECK_EVERY == 0)
            u64_check_all(&m, &o);
    }
    u64_check_all(&m, &o);
    u64map_release(&m);
}

struct text_oracle {
    char name[KEYS][24];
    void *value[KEYS];
    size_t len;
};

static void text_check_all(const struct textmap *m, const struct text_oracle *o)
{
    assert_int_equal(m->len, o->len);
    for (uint32_t k = 0; k < KEYS; k++)
        assert_ptr_equal(textmap_get(m, bytes_cstr(o->name[k])), o->value[k]);
}

static void textmap_agrees_with_an_array(void **state)
{
    (void)state;
    static char values[KEYS * 2];
    static struct text_oracle o;
    struct rng r;
    rng_seed(&r, 2);
    struct textmap m = {0};
    for (int k = 1; k < KEYS; k++) /* name[0] stays the empty text: it is a key like any other */
        snprintf(o.name[k], sizeof o.name[k], "agent-%d", k);
    for (int i = 0; i < OPERATIONS; i++) {
        uint32_t k = rng_below(&r, KEYS);
        struct bytes key = bytes_cstr(o.name[k]);
        if (rng_below(&r, 10) < ((i / 5000) % 2 ? 3u : 7u)) {
            void *value = &values[rng_below(&r, sizeof values)];
            o.len += !o.value[k];
            o.value[k] = value;
            assert_true(textmap_put(&m, key, value));
        } else {
            assert_ptr_equal(textmap_remove(&m, key), o.value[k]);
            o.len -= o.value[k] != NULL;
            o.value[k] = NULL;
        }
        if (i % CHECK_EVERY == 0)
            text_check_all(&m, &o);
    }
    text_check_all(&m, &o);
    textmap_release(&m);
}

static void an_empty_map_finds_and_removes_nothing(void **state)
{
    (void)state;
    struct u64map m = {0};
    assert_null(u64map_get(&m, 0));
    assert_false(u64map_remove(&m, 0));
    u64map_release(&m);
    struct textmap t = {0};
    assert_null(textmap_get(&t, BYTES_LIT("x")));
    assert_null(textmap_remove(&t, BYTES_LIT("x")));
    textmap_release(&t);
}

static void after_a_reserve_puts_need_no_memory(void **state)
{
    (void)state;
    static char names[1000][8];
    struct u64map m = {0};
    struct textmap t = {0};
    assert_true(u64map_reserve(&m, 1000));
    assert_true(textmap_reserve(&t, 1000));
    fault_arm_from(1);
    for (int i = 0; i < 1000; i++) {
        snprintf(names[i], sizeof names[i], "k%d", i);
        assert_true(u64map_put(&m, (uint64_t)i, 1));
        assert_true(textmap_put(&t, bytes_cstr(names[i]), names[i]));
    }
    assert_false(fault_disarm());
    u64map_release(&m);
    textmap_release(&t);
}

static void a_put_that_fails_leaves_the_u64map_whole(void **state)
{
    (void)state;
    struct u64map m = {0};
    uint64_t stored = 0;
    for (unsigned n = 1; n <= 3; n++) { /* growth takes three allocations: each fails in turn */
        fault_arm(n);
        while (u64map_put(&m, stored, stored * 3))
            stored++;
        assert_true(fault_disarm());
        assert_int_equal(m.len, stored);
        assert_null(u64map_get(&m, stored));
        for (uint64_t k = 0; k < stored; k++)
            assert_true(*u64map_get(&m, k) == k * 3);
        assert_true(u64map_put(&m, stored, stored * 3));
        stored++;
    }
    u64map_release(&m);
}

static void a_put_that_fails_leaves_the_textmap_whole(void **state)
{
    (void)state;
    static char names[64][8];
    struct textmap t = {0};
    size_t stored = 0;
    for (int i = 0; i < 64; i++)
        snprintf(names[i], sizeof names[i], "k%d", i);
    for (int round = 0; round < 3; round++) {
        fault_arm(1);
        while (textmap_put(&t, bytes_cstr(names[stored]), names[stored]))
            stored++;
        assert_true(fault_disarm());
        assert_int_equal(t.len, stored);
        for (size_t k = 0; k < stored; k++)
            assert_ptr_equal(textmap_get(&t, bytes_cstr(names[k])), names[k]);
        assert_true(textmap_put(&t, bytes_cstr(names[stored]), names[stored]));
        stored++;
    }
    textmap_release(&t);
}

static void an_overwrite_takes_the_new_key(void **state)
{
    (void)state;
    /* The key lives inside the value: the old one may be freed after the overwrite. */
    char old_key[] = "same", new_key[] = "same";
    struct textmap t = {0};
    assert_true(textmap_put(&t, bytes_cstr(old_key), old_key));
    assert_true(textmap_put(&t, bytes_cstr(new_key), new_key));
    memset(old_key, 'x', 4);
    assert_ptr_equal(textmap_get(&t, BYTES_LIT("same")), new_key);
    assert_int_equal(t.len, 1);
    textmap_release(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(u64map_agrees_with_an_array),
        cmocka_unit_test(textmap_agrees_with_an_array),
        cmocka_unit_test(an_empty_map_finds_and_removes_nothing),
        cmocka_unit_test(after_a_reserve_puts_need_no_memory),
        cmocka_unit_test(a_put_that_fails_leaves_the_u64map_whole),
        cmocka_unit_test(a_put_that_fails_leaves_the_textmap_whole),
        cmocka_unit_test(an_overwrite_takes_the_new_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
