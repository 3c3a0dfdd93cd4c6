/* SPDX-License-Identifier: MIT */
#include "ready_priv.h"

#include "base/limits.h"
#include "codec_priv.h"

enum {
    /* A health check waits for a slice and what surrounds it, on a machine where other threads want
     * the processor too: a fifth of the 50 ms it may take. */
    READY_SLICE_US = 10000,
    /* Below, estimates are noise and work that is gathered from a slice fills no tile (16). */
    READY_MIN = 16,
    READY_STANDING_US = 100000, /* a burst is over by then: "Fail at Scale" */
    LEARN_SHIFT = 3,            /* a slice moves what is known by an eighth: a guess */
};

static void set_count(struct ready *r, uint32_t count)
{
    atomic_store_explicit(&r->count, count, memory_order_relaxed);
}

void ready_add(struct exchange *x)
{
    struct loop *l = x->loop;
    struct ready *r = &l->ready;
    x->ready_us = l->now_us;
    x->ready = true;
    x->newer = NULL;
    x->older = r->newest;
    if (x->older)
        x->older->newer = x;
    else
        r->oldest = x;
    r->newest = x;
    if (!ready_count(r))
        r->since_us = l->now_us;
    set_count(r, ready_count(r) + 1);
    r->bytes += exchange_body_held(x);
}

void ready_remove(struct exchange *x)
{
    struct ready *r = &x->loop->ready;
    if (x->newer)
        x->newer->older = x->older;
    else
        r->newest = x->older;
    if (x->older)
        x->older->newer = x->newer;
    else
        r->oldest = x->newer;
    x->older = x->newer = NULL;
    x->ready = false;
    set_count(r, ready_count(r) - 1);
    r->bytes -= exchange_body_held(x);
}

/* How many take `us` at `each_ns`. */
static uint32_t fitting(int64_t us, int64_t each_ns)
{
    int64_t n = each_ns ? us * 1000 / each_ns : LIMIT_READY_REQUESTS;
    return n < READY_MIN              ? READY_MIN
           : n > LIMIT_READY_REQUESTS ? LIMIT_READY_REQUESTS
                                      : (uint32_t)n;
}

bool ready_full(const struct loop *l)
{
    const struct ready *r = &l->ready;
    uint32_t count = ready_count(r);
    bool standing = count && l->now_us - r->since_us > READY_STANDING_US;
    int64_t wait_ms = standing ? LIMIT_READY_TARGET_MS : LIMIT_READY_WAIT_MS;
    return r->bytes >= r->max_bytes || count >= fitting(wait_ms * 1000, r->turn_ns);
}

static void take(struct ready *r, struct exchange *x, int64_t now_us)
{
    ready_remove(x);
    histogram_observe(r->wait, (double)(now_us - x->ready_us) * 1e-6);
}

static void shed_old(struct ready *r, int64_t now_us)
{
    struct exchange *x;
    while ((x = r->oldest) && now_us - x->ready_us > LIMIT_READY_WAIT_MS * 1000) {
        take(r, x, now_us);
        x->conn->codec->shed(x);
    }
}

void ready_run(struct loop *l)
{
    struct ready *r = &l->ready;
    if (!ready_count(r))
        return;
    int64_t now_us = r->began_us = clock_us(l->clock);
    shed_old(r, now_us);
    /* By number too: most of what a request costs may come when the round is over. */
    uint32_t most = fitting(READY_SLICE_US, r->slice_ns);
    while (ready_count(r) && r->begun < most && now_us - r->began_us < READY_SLICE_US) {
        struct exchange *x = r->oldest;
        take(r, x, now_us);
        r->begun++;
        x->conn->codec->begin(x);
        now_us = clock_us(l->clock);
    }
}

static void learn(int64_t *known_ns, int64_t took_us, uint32_t requests)
{
    int64_t each_ns = took_us * 1000 / requests;
    *known_ns += *known_ns ? (each_ns - *known_ns) >> LEARN_SHIFT : each_ns;
}

void ready_settle(struct loop *l)
{
    struct ready *r = &l->ready;
    int64_t now_us = r->begun || ready_count(r) ? clock_us(l->clock) : 0;
    if (r->begun) {
        learn(&r->slice_ns, now_us - r->began_us, r->begun);
        learn(&r->turn_ns, now_us - (r->left_us ? r->left_us : r->began_us), r->begun);
    }
    r->begun = 0;
    r->left_us = ready_count(r) ? now_us : 0;
}
