/* SPDX-License-Identifier: MIT
 *
 * The ready queue of a loop: requests that are whole and have a body, so real work, between codec
 * and handler.  What has no body (health checks, metrics, pulls) never comes here.
 *
 * Without it whatever arrived in one wake-up was worked off before the loop looked at its sockets
 * again: in overload a health check waited for everybody, and the node could not refuse what it had
 * not read.  Now the loop looks up every READY_SLICE_US, and the queue says when it has enough:
 *
 *   admission  a new request is refused at its head when those that wait already take longer than
 *              LIMIT_READY_WAIT_MS, by what one has cost of late; LIMIT_READY_TARGET_MS once the
 *              queue has not been empty for a while, since then it is no burst but too much
 *   age        who has waited LIMIT_READY_WAIT_MS all the same is refused: its client is likelier
 * to have given up than the next one's
 *
 * After the controlled delay of "Fail at Scale" (ACM Queue 2015), which times requests out where
 * this turns them away before their body is read.  Its other half, newest first while behind, was
 * measured and left: with so short a queue it made nobody faster, and those at its end starved (p99
 * of what was served at twice the capacity 330-390 ms instead of 170-210, `qmn bench overload`).
 *
 * Thread rule: the loop's thread only, but for `count`, which a scrape reads. */
#ifndef QMN_NET_READY_PRIV_H
#define QMN_NET_READY_PRIV_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct exchange;
struct histogram;
struct loop;

struct ready {
    struct histogram *wait; /* seconds from whole to handed over or refused */
    size_t max_bytes;
    struct exchange *oldest, *newest;
    _Atomic uint32_t count;
    size_t bytes;     /* of memory held by their bodies */
    int64_t since_us; /* not empty since */
    /* What one request has cost of late, in nanoseconds, 0: not known yet.  Its share of a slice
     * and of the round's work that follows; and of all the loop does, as long as some are left. */
    int64_t slice_ns, turn_ns;
    /* This slice; and when the last one that left some behind was over, else 0. */
    int64_t began_us, left_us;
    uint32_t begun;
};

/* The request is whole; its turn comes in ready_run, through codec->begin or codec->shed. */
void ready_add(struct exchange *x);
void ready_remove(struct exchange *x);
/* No room for one more: to be asked at a request's head.  Bodies that are on their way already are
 * let in beyond. */
bool ready_full(const struct loop *l);
/* One slice of work; what is left waits for the next round. */
void ready_run(struct loop *l);
/* After the work that was gathered from the slice: what has it cost? */
void ready_settle(struct loop *l);

static inline uint32_t ready_count(const struct ready *r)
{
    return atomic_load_explicit(&r->count, memory_order_relaxed);
}

#endif
