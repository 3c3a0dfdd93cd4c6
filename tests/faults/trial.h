/* SPDX-License-Identifier: MIT
 *
 * One request under fault, and everything that must hold afterwards.  What a right answer and its
 * full effect are is not written down: it is measured on the same node without faults first.  The
 * test then asks for all of it or none of it. */
#ifndef QMN_TESTS_FAULTS_TRIAL_H
#define QMN_TESTS_FAULTS_TRIAL_H

#include "api/route_priv.h"
#include "samples.h"
#include "world.h"

enum trial_key {
    TRIAL_PLAIN = 1,
    TRIAL_KEYED,  /* with an Idempotency-Key */
    TRIAL_REPEAT, /* the repeat of a request that has succeeded, with its Idempotency-Key */
};
enum trial_fault {
    FAULT_ONCE = 1, /* the n-th allocation fails */
    FAULT_FROM,     /* the n-th and all after it, until the answer is there */
};
enum trial_connection { CONNECTION_NEW = 1, CONNECTION_KEPT };

enum { SHAPE_BYTES = WIRE_BYTES };

struct effect {
    int status;
    struct sights delta;
    char shape[SHAPE_BYTES];
};

struct trial {
    struct world *world;
    const struct sample *sample;
    const struct route *route;
    enum trial_key key;
    struct effect first, again; /* without faults: the request, and the same once more */
    unsigned allocations;       /* of the request and what follows from it */
};

/* Measures. */
void trial_begin(struct trial *t);
/* False if the fault was not reached: n is past the end. */
bool trial_run(struct trial *t, unsigned n, enum trial_fault fault, enum trial_connection c);

/* So far, over all trials. */
struct trial_tally {
    unsigned long injections, answers_good, answers_refused, closed, stood; /* refused, yet done */
};
extern struct trial_tally trial_tally;

#endif
