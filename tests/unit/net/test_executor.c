/* SPDX-License-Identifier: MIT
 *
 * The loop as an executor: tasks from many threads, timers, and the lag they are measured by. */
#include "fixture.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"

enum { POSTERS = 4, TASKS = 20000 };

/* ---- posting ---- */

struct poster {
    struct executor *loop;
    struct numbered *tasks;
    int next; /* on the loop: the number that must come */
    int wrong;
    _Atomic int run;
    pthread_t thread;
};

struct numbered {
    struct task task;
    struct poster *poster;
    int number;
};

static void numbered_run(struct task *t)
{
    struct numbered *n = CONTAINER_OF(t, struct numbered, task);
    if (n->number != n->poster->next++)
        n->poster->wrong++;
    atomic_fetch_add(&n->poster->run, 1);
}

static void *post_all(void *arg)
{
    struct poster *p = arg;
    for (int i = 0; i < TASKS; i++) {
        p->tasks[i] = (struct numbered){.task.run = numbered_run, .poster = p, .number = i};
        p->loop->post(p->loop, &p->tasks[i].task);
        if (i % 1000 == 0) /* lets the loop fall asleep now and then */
            (void)wait_for(&p->run, i + 1);
    }
    return NULL;
}

static void a_storm_of_tasks_runs_whole_and_in_each_posters_order(void **state)
{
    struct fixture *f = *state;
    struct poster p[POSTERS] = {{0}};
    for (int i = 0; i < POSTERS; i++) {
        p[i].loop = server_loop(f->server, 0);
        p[i].tasks = mem_calloc(TASKS, sizeof *p[i].tasks);
        assert_int_equal(pthread_create(&p[i].thread, NULL, post_all, &p[i]), 0);
    }
    for (int i = 0; i < POSTERS; i++) {
        pthread_join(p[i].thread, NULL);
        assert_true(wait_for(&p[i].run, TASKS));
        assert_int_equal(p[i].wrong, 0);
        mem_free(p[i].tasks);
    }
}

struct bouncing {
    struct task task;
    struct executor *loop;
    _Atomic int left, done;
};

static void bounce(struct task *t)
{
    struct bouncing *b = CONTAINER_OF(t, struct bouncing, task);
    if (atomic_fetch_sub(&b->left, 1) > 1)
        b->loop->post(b->loop, t);
    else
        b->done = 1;
}

static void a_task_may_post_itself_again(void **state)
{
    struct fixture *f = *state;
    struct bouncing b = {.task.run = bounce, .loop = server_loop(f->server, 0), .left = 1000};
    b.loop->post(b.loop, &b.task);
    assert_true(wait_for(&b.done, 1));
}

/* ---- timers ---- */

struct alarm_clock {
    struct timer timer;
    struct timing *timing;
    int id;
};

struct timing {
    struct task task;
    struct executor *loop;
    struct fixture *f;
    struct alarm_clock clocks[8];
    int64_t start_us;
    int order[16], at_ms[16], fired;
    _Atomic int set;
};

static void ring(struct timer *t)
{
    struct alarm_clock *a = CONTAINER_OF(t, struct alarm_clock, timer);
    struct timing *x = a->timing;
    assert(!t->heap_index);
    x->at_ms[x->fired] = (int)((x->f->clock.us - x->start_us) / 1000);
    x->order[x->fired++] = a->id;
}

static void set(struct timing *x, int i, int id, uint32_t delay_ms)
{
    struct alarm_clock *a = &x->clocks[i];
    a->timer.fire = ring;
    a->timing = x;
    a->id = id;
    assert(x->loop->timer_set(x->loop, &a->timer, delay_ms));
}

static void set_some(struct task *t)
{
    struct timing *x = CONTAINER_OF(t, struct timing, task);
    set(x, 0, 3, 60);
    set(x, 1, 1, 20);
    set(x, 2, 7, 30); /* cancelled */
    set(x, 3, 2, 200);
    set(x, 3, 2, 40); /* moved earlier */
    set(x, 4, 4, 10);
    set(x, 4, 4, 80); /* moved later */
    set(x, 5, 0, 0);
    set(x, 6, 9, 120);
    x->loop->timer_cancel(x->loop, &x->clocks[2].timer);
    x->loop->timer_cancel(x->loop, &x->clocks[7].timer); /* never set */
    x->set = 1;
}

static void timers_fire_to_the_millisecond_and_not_when_cancelled(void **state)
{
    struct fixture *f = *state;
    static struct timing x;
    x = (struct timing){.task.run = set_some, .loop = server_loop(f->server, 0), .f = f};
    x.start_us = f->clock.us;
    x.loop->post(x.loop, &x.task);
    assert_true(wait_for(&x.set, 1));
    fixture_settle(f);
    for (int ms = 1; ms <= 250; ms++)
        fixture_advance(f, 1);
    const int order[] = {0, 1, 2, 3, 4, 9}, at_ms[] = {0, 20, 40, 60, 80, 120};
    assert_int_equal(x.fired, 6);
    assert_memory_equal(x.order, order, sizeof order);
    assert_memory_equal(x.at_ms, at_ms, sizeof at_ms);
}

static void timers_that_are_late_fire_in_the_order_they_were_due(void **state)
{
    struct fixture *f = *state;
    static struct timing x;
    x = (struct timing){.task.run = set_some, .loop = server_loop(f->server, 0), .f = f};
    x.start_us = f->clock.us;
    x.loop->post(x.loop, &x.task);
    assert_true(wait_for(&x.set, 1));
    fixture_advance(f, 1000);
    const int order[] = {0, 1, 2, 3, 4, 9};
    assert_int_equal(x.fired, 6);
    assert_memory_equal(x.order, order, sizeof order);
}

struct ticking {
    struct task task;
    struct timer timer;
    struct executor *loop;
    int left;
    _Atomic int done;
};

static void tick(struct timer *t)
{
    struct ticking *k = CONTAINER_OF(t, struct ticking, timer);
    if (--k->left)
        assert(k->loop->timer_set(k->loop, t, k->left % 2 ? 0 : 1));
    else
        k->done = 1;
}

static void start_ticking(struct task *t)
{
    struct ticking *k = CONTAINER_OF(t, struct ticking, task);
    k->timer.fire = tick;
    tick(&k->timer);
}

static void a_timer_may_arm_itself_again(void **state)
{
    struct fixture *f = *state;
    struct ticking k = {.task.run = start_ticking, .loop = server_loop(f->server, 0), .left = 100};
    k.loop->post(k.loop, &k.task);
    for (int i = 0; i < 100 && !k.done; i++)
        fixture_advance(f, 1);
    assert_int_equal(k.done, 1);
}

/* ---- lag ---- */

struct mark {
    struct task task;
    _Atomic int done;
};

static void mark_run(struct task *t)
{
    CONTAINER_OF(t, struct mark, task)->done = 1;
}

static void a_task_behind_a_slow_one_shows_as_lag(void **state)
{
    struct fixture *f = *state;
    struct executor *loop = server_loop(f->server, 0);
    struct mark behind = {.task.run = mark_run};
    fixture_hold_loop(f, 0);
    double before = scraped(f, "qmn_loop_lag_seconds_sum");
    loop->post(loop, &behind.task);
    manual_clock_add_ms(&f->clock, 80);
    fixture_let_go(f);
    assert_true(wait_for(&behind.done, 1));
    double lag_s = scraped(f, "qmn_loop_lag_seconds_sum") - before;
    assert_true(lag_s > 0.079999 && lag_s < 0.080001);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_storm_of_tasks_runs_whole_and_in_each_posters_order),
        FIXTURE_TEST(a_task_may_post_itself_again),
        FIXTURE_TEST(timers_fire_to_the_millisecond_and_not_when_cancelled),
        FIXTURE_TEST(timers_that_are_late_fire_in_the_order_they_were_due),
        FIXTURE_TEST(a_timer_may_arm_itself_again),
        FIXTURE_TEST(a_task_behind_a_slow_one_shows_as_lag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
