/* SPDX-License-Identifier: MIT
 *
 * The event loop.
 *
 * Mailbox: posters push on a lock-free stack; the loop takes the whole stack with one exchange and
 * turns it round, so one poster's tasks run in order.  Waking costs a system call only when the
 * loop sleeps: it raises `asleep`, looks at the mailbox once more and then waits; a poster pushes
 * and then lowers `asleep`.  Both sides are sequentially consistent, so either the loop sees the
 * task or the poster sees the sleeper.  The eventfd is edge-triggered and never read: every write
 * is an edge, and 2^64 of them do not come. */
#include "loop_priv.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

enum {
    LOOP_EVENTS = 256,
    /* Of those that bring work, while the ready queue takes no more of it: refusing one costs about
     * an eighth of serving one, and serving is to have most of a round.  With 256 goodput at five
     * times the capacity was a fifth lower (`qmn bench overload`). */
    LOOP_EVENTS_FULL = 64,
    LOOP_SCRATCH_BYTES = 1024 * 1024 /* an answer's head, a refusal's body: small, yet bounded */
};

static _Thread_local struct loop *current;

struct loop *loop_current(void)
{
    return current;
}

static struct loop *loop_of(struct executor *x)
{
    return CONTAINER_OF(x, struct loop, exec);
}

/* ---- executor ---- */

static void loop_wake(struct loop *l)
{
    if (!atomic_exchange(&l->asleep, false))
        return;
    const uint64_t one = 1;
    ssize_t n;
    do
        n = write(l->event_fd, &one, sizeof one);
    while (n < 0 && errno == EINTR);
}

static void loop_post(struct executor *x, struct task *t)
{
    struct loop *l = loop_of(x);
    struct task *head = atomic_load_explicit(&l->mail, memory_order_relaxed);
    int64_t now_us = 0;
    do {
        if (!head) {
            if (!now_us)
                now_us = clock_us(l->clock);
            atomic_store_explicit(&l->mail_since_us, now_us, memory_order_relaxed);
        }
        t->next = head;
    } while (!atomic_compare_exchange_weak(&l->mail, &head, t));
    /* A loop that is awake looks at the mailbox before it sleeps. */
    if (atomic_load(&l->asleep))
        loop_wake(l);
}

static void run_mail(struct loop *l)
{
    if (!atomic_load_explicit(&l->mail, memory_order_relaxed))
        return;
    struct task *newest = atomic_exchange(&l->mail, NULL);
    int64_t since_us = atomic_load_explicit(&l->mail_since_us, memory_order_relaxed);
    struct task *first = NULL;
    while (newest) {
        struct task *next = newest->next;
        newest->next = first;
        first = newest;
        newest = next;
    }
    int64_t now_us = clock_us(l->clock);
    histogram_observe(l->lag, (double)(now_us > since_us ? now_us - since_us : 0) * 1e-6);
    while (first) {
        struct task *t = first;
        first = t->next; /* run may free or re-post t */
        t->run(t);
    }
}

bool loop_timer_at(struct loop *l, struct timer *t, int64_t due_ms)
{
    return timers_set(&l->timers, t, due_ms);
}

static bool loop_timer_set(struct executor *x, struct timer *t, uint32_t delay_ms)
{
    struct loop *l = loop_of(x);
    assert(!l->started || current == l);
    /* Rounded up: a timer is never early. */
    return timers_set(&l->timers, t, (clock_us(l->clock) + 999) / 1000 + delay_ms);
}

static void loop_timer_cancel(struct executor *x, struct timer *t)
{
    struct loop *l = loop_of(x);
    assert(!l->started || current == l);
    timers_cancel(&l->timers, t);
}

static void run_timers(struct loop *l)
{
    if (timers_next_ms(&l->timers) > loop_now_ms(l))
        return;
    int64_t now_ms = loop_now_ms(l); /* fixed: a timer that re-arms itself waits for a round */
    struct timer *t;
    while ((t = timers_pop_due(&l->timers, now_ms))) {
        histogram_observe(l->lag, (double)(l->now_us - t->due_ms * 1000) * 1e-6);
        t->fire(t);
    }
}

/* ---- work put off ---- */

void loop_defer(struct loop *l, struct task *t)
{
    t->next = NULL;
    *l->deferred_last = t;
    l->deferred_last = &t->next;
}

void loop_bury(struct loop *l, struct task *t)
{
    t->next = l->dead;
    l->dead = t;
}

static void run_list(struct task *first)
{
    while (first) {
        struct task *t = first;
        first = t->next;
        t->run(t);
    }
}

static void run_deferred(struct loop *l)
{
    struct task *first = l->deferred;
    l->deferred = NULL;
    l->deferred_last = &l->deferred;
    run_list(first);
}

static void run_dead(struct loop *l)
{
    struct task *first = l->dead;
    l->dead = NULL;
    run_list(first);
}

/* ---- the rounds ---- */

static int wait_ms(const struct loop *l)
{
    if (l->deferred || ready_count(&l->ready))
        return 0;
    int64_t next_ms = timers_next_ms(&l->timers);
    if (next_ms == INT64_MAX)
        return -1;
    int64_t wait_us = next_ms * 1000 - clock_us(l->clock);
    if (wait_us > 0 && l->clock->mono_us)
        return -1; /* see clock.h */
    int64_t wait = (wait_us + 999) / 1000;
    return wait <= 0 ? 0 : wait > 3600000 ? 3600000 : (int)wait;
}

static int loop_wait(struct loop *l, struct epoll_event *events)
{
    int timeout = wait_ms(l);
    atomic_store(&l->asleep, true);
    if (atomic_load(&l->mail))
        timeout = 0;
    int n = epoll_wait(l->epoll_fd, events, LOOP_EVENTS, timeout);
    atomic_store(&l->asleep, false);
    l->now_us = clock_us(l->clock);
    return n;
}

static void dispatch(const struct epoll_event *events, int n)
{
    for (int i = 0; i < n; i++) {
        struct source *s = events[i].data.ptr;
        s->ready(s, events[i].events);
    }
}

/* One batch; epoll hands out in turn, so the next round goes on with the others. */
static void dispatch_bulk(struct loop *l, struct epoll_event *events)
{
    if (!l->bulk_ready)
        return;
    l->bulk_ready = false;
    int most = ready_full(l) ? LOOP_EVENTS_FULL : LOOP_EVENTS;
    dispatch(events, epoll_wait(l->bulk_fd, events, most, 0));
}

static void *loop_run(void *arg)
{
    struct loop *l = arg;
    struct epoll_event events[LOOP_EVENTS];
    current = l;
    while (!l->stop) {
        dispatch(events, loop_wait(l, events));
        dispatch_bulk(l, events);
        run_mail(l);
        run_timers(l);
        run_deferred(l);
        ready_run(l);
        if (l->on_round)
            l->on_round(l->on_round_ctx, &l->exec);
        ready_settle(l);
        run_dead(l);
    }
    return NULL;
}

/* The wake-up itself is the message: run_mail does the work. */
static void mail_ready(struct source *s, uint32_t events)
{
    (void)s;
    (void)events;
}

/* Its turn comes when everything else that is ready has had its own. */
static void bulk_ready(struct source *s, uint32_t events)
{
    (void)events;
    CONTAINER_OF(s, struct loop, bulk_source)->bulk_ready = true;
}

bool loop_watch(struct loop *l, int fd, uint32_t events, struct source *s)
{
    struct epoll_event e = {.events = events, .data.ptr = s};
    return epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &e) == 0;
}

bool loop_watch_bulk(struct loop *l, int fd, uint32_t events, struct source *s)
{
    struct epoll_event e = {.events = events, .data.ptr = s};
    if (epoll_ctl(l->bulk_fd, EPOLL_CTL_ADD, fd, &e) != 0)
        return false;
    loop_unwatch(l, fd);
    return true;
}

void loop_unwatch(struct loop *l, int fd)
{
    struct epoll_event e = {0};
    (void)epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, fd, &e);
}

enum qmn_code loop_init(struct loop *l, uint32_t index, const struct clock *clock,
                        struct metrics *metrics, struct err *err)
{
    *l = (struct loop){
        .index = index,
        .clock = clock,
        .exec = {.post = loop_post, .timer_set = loop_timer_set, .timer_cancel = loop_timer_cancel},
        .mail_source = {.ready = mail_ready},
        .bulk_source = {.ready = bulk_ready},
        .date_s = -1};
    l->deferred_last = &l->deferred;
    l->now_us = clock_us(l->clock);
    arena_init(&l->scratch, LOOP_SCRATCH_BYTES);
    buf_init(&l->head, LOOP_SCRATCH_BYTES);
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    l->bulk_fd = epoll_create1(EPOLL_CLOEXEC);
    l->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (l->epoll_fd < 0 || l->bulk_fd < 0 || l->event_fd < 0 ||
        !loop_watch(l, l->bulk_fd, EPOLLIN, &l->bulk_source) ||
        !loop_watch(l, l->event_fd, EPOLLIN | EPOLLET, &l->mail_source)) {
        int cause = errno;
        loop_release(l);
        return err_set(err, QMN_E_INTERNAL, "cannot make an event loop: %s", strerror(cause));
    }
    l->lag = metrics_histogram(metrics, "qmn_loop_lag_seconds",
                               "Time from posting a task, or a timer's due time, to run", "",
                               metrics_latency_bounds, metrics_latency_bound_count);
    l->ready.wait =
        metrics_histogram(metrics, "qmn_net_ready_wait_seconds",
                          "Time from a whole request with a body to its handler or refusal", "",
                          metrics_latency_bounds, metrics_latency_bound_count);
    return QMN_OK;
}

enum qmn_code loop_start(struct loop *l, struct err *err)
{
    /* Signals belong to the thread that started the server. */
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    l->started = true;
    int cause = pthread_create(&l->thread, NULL, loop_run, l);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (cause) {
        l->started = false;
        return err_set(err, QMN_E_INTERNAL, "cannot start a loop thread: %s", strerror(cause));
    }
    char name[16];
    snprintf(name, sizeof name, "qmn-loop-%u", l->index % 1000);
    pthread_setname_np(l->thread, name);
    return QMN_OK;
}

struct stop_task {
    struct task task;
    struct loop *loop;
};

static void stop_run(struct task *t)
{
    CONTAINER_OF(t, struct stop_task, task)->loop->stop = true;
}

void loop_stop(struct loop *l)
{
    if (!l->started)
        return;
    struct stop_task stop = {.task.run = stop_run, .loop = l};
    loop_post(&l->exec, &stop.task);
    pthread_join(l->thread, NULL);
    l->started = false;
}

void loop_enter(struct loop *l)
{
    current = l;
}

void loop_flush(struct loop *l)
{
    while (atomic_load(&l->mail) || l->deferred || l->dead) {
        run_mail(l);
        run_deferred(l);
        run_dead(l);
    }
}

void loop_release(struct loop *l)
{
    loop_flush(l);
    loop_free_exchanges(l);
    current = NULL;
    for (struct block *b = l->free_blocks; b;) {
        struct block *next = b->next;
        mem_free(b);
        b = next;
    }
    mem_free(l->block);
    l->free_blocks = l->block = NULL;
    arena_release(&l->scratch);
    buf_release(&l->head);
    timers_release(&l->timers);
    if (l->epoll_fd >= 0)
        close(l->epoll_fd);
    if (l->bulk_fd >= 0)
        close(l->bulk_fd);
    if (l->event_fd >= 0)
        close(l->event_fd);
    l->epoll_fd = l->bulk_fd = l->event_fd = -1;
}

/* ---- shared scratch ---- */

void loop_hold(struct loop *l, int64_t delta_bytes)
{
    int64_t held = atomic_load_explicit(&l->held_bytes, memory_order_relaxed);
    atomic_store_explicit(&l->held_bytes, held + delta_bytes, memory_order_relaxed);
}

struct block *loop_block(struct loop *l)
{
    if (l->block)
        return l->block;
    if (l->free_blocks) {
        l->block = l->free_blocks;
        l->free_blocks = l->block->next;
        l->block_count--;
    } else {
        l->block = mem_alloc(sizeof *l->block);
    }
    return l->block;
}

struct block *loop_block_take(struct loop *l)
{
    loop_hold(l, LOOP_BLOCK_BYTES);
    return TAKE(l->block);
}

void loop_block_give(struct loop *l, struct block *b)
{
    if (!b)
        return;
    loop_hold(l, -LOOP_BLOCK_BYTES);
    if (!LOOP_RECYCLES || l->block_count >= LOOP_BLOCKS_KEPT) {
        mem_free(b);
        return;
    }
    b->next = l->free_blocks;
    l->free_blocks = b;
    l->block_count++;
}

const char *loop_date(struct loop *l)
{
    static const char day[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char month[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    int64_t second = l->now_us / 1000000;
    if (second != l->date_s) {
        l->date_s = second;
        time_t wall = (time_t)(clock_now_ms(l->clock) / 1000);
        struct tm tm;
        gmtime_r(&wall, &tm);
        snprintf(l->date, sizeof l->date, "%s, %02u %s %04u %02u:%02u:%02u GMT",
                 day[tm.tm_wday % 7], (unsigned)tm.tm_mday % 100, month[tm.tm_mon % 12],
                 ((unsigned)tm.tm_year + 1900) % 10000, (unsigned)tm.tm_hour % 100,
                 (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
    }
    return l->date;
}
