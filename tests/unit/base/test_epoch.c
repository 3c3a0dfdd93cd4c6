/* SPDX-License-Identifier: MIT
 *
 * What is out of reach goes when nobody who might have seen it is left, and not before. */
#include "base/epoch.h"

#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>

#include "support/test.h"

enum { READERS = 3, ROUNDS = 300, MAGIC = 0x5eed };

struct thing {
    struct epoch_garbage garbage;
    int magic; /* until it is released */
};

static int released;

static void thing_release(struct epoch_garbage *g)
{
    struct thing *t = (struct thing *)(void *)g; /* its first field */
    t->magic = 0;
    released++;
}

static bool step(struct epoch *e)
{
    bool moved = epoch_advance(e);
    epoch_collect(e);
    return moved;
}

static int begin(void **state)
{
    (void)state;
    released = 0;
    return 0;
}

static void garbage_goes_after_two_steps(void **state)
{
    (void)state;
    struct epoch e = {0};
    struct thing t = {.magic = MAGIC};
    epoch_retire(&e, &t.garbage, thing_release);
    assert_true(step(&e));
    assert_int_equal(released, 0);
    assert_true(epoch_advance(&e));
    assert_int_equal(released, 0); /* not before somebody has time for it */
    epoch_collect(&e);
    assert_int_equal(released, 1);
    epoch_release(&e);
}

/* Whenever it entered: before the thing was retired, or in the epoch after. */
static void who_is_inside_keeps_it(void **state)
{
    (void)state;
    for (int late = 0; late < 2; late++) {
        struct epoch e = {0};
        struct thing t = {.magic = MAGIC};
        struct epoch_pin pin = epoch_enter(&e, 1);
        released = 0;
        if (late) {
            assert_true(step(&e)); /* it is in the epoch before now */
            assert_false(step(&e));
        }
        epoch_retire(&e, &t.garbage, thing_release);
        while (step(&e))
            ;
        assert_int_equal(released, 0);
        epoch_leave(&pin);
        assert_true(step(&e) && step(&e));
        assert_int_equal(released, 1);
        epoch_release(&e);
    }
}

static void others_may_come_and_go_meanwhile(void **state)
{
    (void)state;
    struct epoch e = {0};
    struct thing t = {.magic = MAGIC};
    epoch_retire(&e, &t.garbage, thing_release);
    struct epoch_pin newest = epoch_enter(&e, 7);
    for (uintptr_t i = 0; i < 10; i++) {
        struct epoch_pin pin = epoch_enter(&e, i * 4096);
        (void)step(&e);
        epoch_leave(&newest);
        newest = pin;
    }
    assert_int_equal(released, 1);
    epoch_leave(&newest);
    epoch_release(&e);
}

static void the_end_releases_what_is_left(void **state)
{
    (void)state;
    struct epoch e = {0};
    struct thing t[2] = {{.magic = MAGIC}, {.magic = MAGIC}};
    epoch_retire(&e, &t[0].garbage, thing_release);
    assert_true(step(&e));
    epoch_retire(&e, &t[1].garbage, thing_release);
    epoch_release(&e);
    assert_int_equal(released, 2);
}

/* ---- threads ---- */

static struct epoch shared;
static _Atomic(struct thing *) current;
static _Atomic bool stop;
static _Atomic int seen_dead;

static void *read_on(void *arg)
{
    (void)arg;
    while (!atomic_load(&stop)) {
        struct epoch_pin pin = epoch_enter(&shared, (uintptr_t)&pin);
        const struct thing *t = atomic_load_explicit(&current, memory_order_acquire);
        for (int i = 0; i < 20; i++)
            if (t->magic != MAGIC)
                atomic_fetch_add(&seen_dead, 1);
        epoch_leave(&pin);
    }
    return NULL;
}

/* Two things take turns; one is used again when it has been released. */
static void nobody_sees_what_was_released(void **state)
{
    (void)state;
    static struct thing things[2];
    pthread_t threads[READERS];
    things[0].magic = MAGIC;
    current = &things[0];
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, NULL), 0);
    for (int i = 1; i <= ROUNDS; i++) {
        struct thing *old = &things[(i + 1) % 2], *next = &things[i % 2];
        next->magic = MAGIC;
        atomic_store_explicit(&current, next, memory_order_release);
        epoch_retire(&shared, &old->garbage, thing_release);
        while (shared.young || shared.old)
            if (!step(&shared))
                sched_yield(); /* whoever is inside has to get on */
    }
    atomic_store(&stop, true);
    for (int i = 0; i < READERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(seen_dead, 0);
    assert_int_equal(released, ROUNDS);
    epoch_release(&shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(garbage_goes_after_two_steps, begin),
        cmocka_unit_test_setup(who_is_inside_keeps_it, begin),
        cmocka_unit_test_setup(others_may_come_and_go_meanwhile, begin),
        cmocka_unit_test_setup(the_end_releases_what_is_left, begin),
        cmocka_unit_test_setup(nobody_sees_what_was_released, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
