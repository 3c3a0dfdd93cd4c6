/* SPDX-License-Identifier: MIT
 *
 * A piece of work handed to another thread, and a place that runs such work.  The engine finishes a
 * call by posting its task to the executor the call came from; it knows nothing else of the threads
 * above it. */
#ifndef QMN_BASE_TASK_H
#define QMN_BASE_TASK_H

#include <stdbool.h>
#include <stdint.h>

struct task {
    struct task *next; /* owned by the executor while queued */
    void (*run)(struct task *t);
};

/* A one-shot timer.  Zero-initialise; owned by the executor while armed. */
struct timer {
    int64_t due_ms;      /* monotonic, on the executor's clock */
    uint32_t heap_index; /* 0: not armed */
    void (*fire)(struct timer *t);
};

struct executor {
    /* Any thread.  Never fails, never blocks long; tasks of one poster run in order. */
    void (*post)(struct executor *x, struct task *t);
    /* The executor's own thread only.  set returns false when out of memory.  Re-arming moves it.
     */
    bool (*timer_set)(struct executor *x, struct timer *t, uint32_t delay_ms);
    void (*timer_cancel)(struct executor *x, struct timer *t);
};

#endif
