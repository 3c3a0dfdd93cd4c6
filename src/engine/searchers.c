/* SPDX-License-Identifier: MIT */
#include "engine/searchers_priv.h"

#include "base/attr.h"

bool searchers_init(struct searchers *s)
{
    *s = (struct searchers){0};
    s->ready = pthread_mutex_init(&s->lock, NULL) == 0;
    return s->ready;
}

void searchers_release(struct searchers *s)
{
    if (!s->ready)
        return;
    while (s->count)
        vectors_searcher_free(s->idle[--s->count]);
    pthread_mutex_destroy(&s->lock);
    s->ready = false;
}

struct vectors_searcher *searchers_take(struct searchers *s)
{
    struct vectors_searcher *found = NULL;
    pthread_mutex_lock(&s->lock);
    if (s->count)
        found = s->idle[--s->count];
    pthread_mutex_unlock(&s->lock);
    return found ? found : vectors_searcher_new();
}

void searchers_give(struct searchers *s, struct vectors_searcher *done)
{
    pthread_mutex_lock(&s->lock);
    if (s->count < ARRAY_LEN(s->idle))
        s->idle[s->count++] = TAKE(done);
    pthread_mutex_unlock(&s->lock);
    vectors_searcher_free(done);
}
