/* SPDX-License-Identifier: MIT
 *
 * Readers without a lock beside one writer [Fraser, "Practical lock-freedom", 2004: epoch-based
 * reclamation].  What the writer takes out of reach may still be looked at by whoever entered
 * before; it is gone for everybody once the epoch has moved on twice.
 *
 * A reader is counted under the parity of the epoch it entered in, and the epoch moves from e to
 * e + 1 when nobody is left who entered in e - 1.  Counting, rather than a list of readers, needs
 * no registration and no bound on how many there are.
 *
 * Threads: enter and leave by any, and never wait; the rest by the one writer. */
#ifndef QMN_BASE_EPOCH_H
#define QMN_BASE_EPOCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { EPOCH_LANES = 8, EPOCH_LINE_BYTES = 64 };

/* Readers are spread over lanes, so that they do not fight for one cache line. */
struct epoch_lane {
    _Atomic uint32_t readers[2]; /* by parity */
    char apart[EPOCH_LINE_BYTES - 2 * sizeof(uint32_t)];
};

/* Stands in what is to be released later. */
struct epoch_garbage {
    struct epoch_garbage *next;
    void (*release)(struct epoch_garbage *g);
};

struct epoch {
    struct epoch_lane lanes[EPOCH_LANES];
    _Atomic uint64_t now;
    /* the writer's: retired in this epoch, in the last one, before */
    struct epoch_garbage *young, *old, *gone;
};

/* Of one reader that is inside. */
struct epoch_pin {
    _Atomic uint32_t *readers;
};

/* All 0 is an epoch to begin with.  Releases what is left: nobody is inside any more. */
void epoch_release(struct epoch *e);

/* who: differs between threads, mostly. */
struct epoch_pin epoch_enter(struct epoch *e, uintptr_t who);
void epoch_leave(struct epoch_pin *pin);

/* After it went out of reach of those who enter from now on. */
void epoch_retire(struct epoch *e, struct epoch_garbage *g,
                  void (*release)(struct epoch_garbage *));
/* Moves on; false: somebody is still inside.  After two steps nobody sees what was retired. */
bool epoch_advance(struct epoch *e);
/* Releases what nobody sees any more, which may take its time. */
void epoch_collect(struct epoch *e);

#endif
