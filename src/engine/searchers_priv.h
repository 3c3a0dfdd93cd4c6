/* SPDX-License-Identifier: MIT
 *
 * What searches of an index need for themselves, kept for the next one.  For any thread. */
#ifndef QMN_ENGINE_SEARCHERS_PRIV_H
#define QMN_ENGINE_SEARCHERS_PRIV_H

#include <pthread.h>

#include "index/vectors.h"

struct searchers {
    pthread_mutex_t lock;
    struct vectors_searcher *idle[64]; /* as many as search at once; more are made and freed */
    uint32_t count;
    bool ready;
};

QMN_NODISCARD bool searchers_init(struct searchers *s);
void searchers_release(struct searchers *s);

/* NULL: out of memory. */
struct vectors_searcher *searchers_take(struct searchers *s);
void searchers_give(struct searchers *s, struct vectors_searcher *done);

#endif
