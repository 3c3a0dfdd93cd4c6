/* SPDX-License-Identifier: MIT
 *
 * One event loop: epoll, a mailbox other threads post to, timers, and work put off to the end of
 * the round.  It is the `struct executor` that the rest of the system sees.
 *
 * A round: wait, ready descriptors (those that bring work last), mailbox, timers, deferred work, a
 * slice of the ready queue, on_round, then the dead are buried.  Whoever closes a connection buries
 * its memory, so that an event of the same round that still points at it finds memory that is
 * closed, not freed.
 *
 * Thread rule: only what is marked so may be touched by other threads. */
#ifndef QMN_NET_LOOP_PRIV_H
#define QMN_NET_LOOP_PRIV_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/task.h"
#include "obs/metrics.h"
#include "ready_priv.h"
#include "timers_priv.h"

/* Recycled memory would hide stale pointers from ASan. */
#if defined(__SANITIZE_ADDRESS__)
#define LOOP_RECYCLES 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LOOP_RECYCLES 0
#endif
#endif
#ifndef LOOP_RECYCLES
#define LOOP_RECYCLES 1
#endif

enum {
    /* One read takes a whole 37 KB request and some of the next. */
    LOOP_BLOCK_BYTES = 65536,
    LOOP_BLOCKS_KEPT = 32, /* 2 MiB of free blocks at most */
    LOOP_EXCHANGES_KEPT = 64,
    LOOP_DATE_SIZE = 30 /* "Mon, 23 Nov 2026 00:37:21 GMT" and the NUL */
};

/* What epoll points at. */
struct source {
    void (*ready)(struct source *s, uint32_t events);
};

struct block {
    struct block *next;
    char data[LOOP_BLOCK_BYTES];
};

struct loop {
    struct executor exec;

    /* immutable */
    uint32_t index;
    int epoll_fd, event_fd;
    int bulk_fd; /* an epoll of its own, watched by the first */
    const struct clock *clock;
    void (*on_round)(void *ctx, struct executor *loop);
    void *on_round_ctx;
    struct histogram *lag; /* seconds from post (or due time) to run */

    /* any thread */
    _Atomic(struct task *) mail; /* newest first */
    _Atomic bool asleep;         /* a poster that turns it off writes the eventfd */
    _Atomic int64_t mail_since_us;
    _Atomic uint32_t conn_count; /* those on their way to this loop included */
    _Atomic int64_t held_bytes;  /* heap held for connections: buffers, bodies, blocks */

    /* owned by the loop */
    pthread_t thread;
    bool started, stop;
    int64_t now_us;
    struct source mail_source, bulk_source;
    bool bulk_ready;
    struct timers timers;
    struct task *deferred, **deferred_last;
    struct ready ready;
    struct task *dead;
    struct block *block;       /* what the next read goes to */
    struct block *free_blocks; /* block_count of them */
    uint32_t block_count;
    struct arena scratch; /* of the last refusal; reset by the next */
    struct buf head;      /* the head of the answer being written */
    int64_t date_s;
    char date[LOOP_DATE_SIZE];
    struct conn *conns;         /* all connections of this loop */
    struct exchange *exchanges; /* all requests not yet answered */
    struct exchange *free_exchanges;
    uint32_t free_exchange_count;
};

/* `clock` is borrowed until loop_release.  A posted task is what wakes the loop when a clock that
 * is not the system's has been moved. */
QMN_NODISCARD enum qmn_code loop_init(struct loop *l, uint32_t index, const struct clock *clock,
                                      struct metrics *metrics, struct err *err);
/* From now on the caller's thread is the loop's; the real one must have been joined. */
void loop_enter(struct loop *l);
/* After loop_enter: runs what was posted too late. */
void loop_flush(struct loop *l);
/* After loop_enter: flushes, then frees all, unanswered requests too. */
void loop_release(struct loop *l);
QMN_NODISCARD enum qmn_code loop_start(struct loop *l, struct err *err);
/* Any thread but the loop's own: asks it to stop after this round and joins it. */
void loop_stop(struct loop *l);

QMN_NODISCARD bool loop_watch(struct loop *l, int fd, uint32_t events, struct source *s);
/* What brings work: from now on looked at after the rest, a batch at a time, so that a crowd of
 * them is no queue for a health check.  What is watched already may be moved; false: it stays. */
QMN_NODISCARD bool loop_watch_bulk(struct loop *l, int fd, uint32_t events, struct source *s);
void loop_unwatch(struct loop *l, int fd);
/* Runs `t` on this thread before the round ends (tasks deferred meanwhile: in the next round). */
void loop_defer(struct loop *l, struct task *t);
/* Runs `t` as the last thing of this round. */
void loop_bury(struct loop *l, struct task *t);
/* Arms at an absolute time of the loop's clock. */
QMN_NODISCARD bool loop_timer_at(struct loop *l, struct timer *t, int64_t due_ms);

static inline int64_t loop_now_ms(const struct loop *l)
{
    return l->now_us / 1000;
}

/* Frees the exchanges that were kept for reuse, and those nobody answered (exchange.c). */
void loop_free_exchanges(struct loop *l);

/* The thread's own loop; NULL elsewhere. */
struct loop *loop_current(void);

/* The block reads go to; NULL when out of memory.  loop_block_take hands it over to the caller, who
 * gives it back with loop_block_give. */
struct block *loop_block(struct loop *l);
struct block *loop_block_take(struct loop *l);
void loop_block_give(struct loop *l, struct block *b);
void loop_hold(struct loop *l, int64_t delta_bytes);

/* The Date header's value, made once a second. */
const char *loop_date(struct loop *l);

#endif
