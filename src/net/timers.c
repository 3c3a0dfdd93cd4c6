/* SPDX-License-Identifier: MIT
 *
 * Timer heap. */
#include "timers_priv.h"

#include <assert.h>

#include "base/mem.h"

enum { TIMERS_FIRST = 64 };

void timers_release(struct timers *h)
{
    mem_free(h->at);
    *h = (struct timers){0};
}

static void place(struct timers *h, uint32_t i, struct timer *t)
{
    h->at[i] = t;
    t->heap_index = i;
}

static void sift_up(struct timers *h, uint32_t i, struct timer *t)
{
    while (i > 1 && h->at[i / 2]->due_ms > t->due_ms) {
        place(h, i, h->at[i / 2]);
        i /= 2;
    }
    place(h, i, t);
}

static void sift_down(struct timers *h, uint32_t i, struct timer *t)
{
    for (uint32_t child; (child = i * 2) <= h->len; i = child) {
        if (child < h->len && h->at[child + 1]->due_ms < h->at[child]->due_ms)
            child++;
        if (h->at[child]->due_ms >= t->due_ms)
            break;
        place(h, i, h->at[child]);
    }
    place(h, i, t);
}

static bool timers_grow(struct timers *h)
{
    uint32_t cap = h->cap ? h->cap * 2 : TIMERS_FIRST;
    struct timer **at = mem_resize(h->at, cap, sizeof(struct timer *));
    if (!at)
        return false;
    h->at = at;
    h->cap = cap;
    return true;
}

bool timers_set(struct timers *h, struct timer *t, int64_t due_ms)
{
    int64_t old_ms = t->due_ms;
    if (!t->heap_index) {
        if (h->len + 1 >= h->cap && !timers_grow(h))
            return false;
        t->due_ms = due_ms;
        sift_up(h, ++h->len, t);
        return true;
    }
    t->due_ms = due_ms;
    if (due_ms < old_ms)
        sift_up(h, t->heap_index, t);
    else
        sift_down(h, t->heap_index, t);
    return true;
}

void timers_cancel(struct timers *h, struct timer *t)
{
    uint32_t i = t->heap_index;
    if (!i)
        return;
    assert(i <= h->len && h->at[i] == t);
    t->heap_index = 0;
    struct timer *last = h->at[h->len--];
    if (last == t)
        return;
    if (i > 1 && h->at[i / 2]->due_ms > last->due_ms)
        sift_up(h, i, last);
    else
        sift_down(h, i, last);
}

struct timer *timers_pop_due(struct timers *h, int64_t now_ms)
{
    if (!h->len || h->at[1]->due_ms > now_ms)
        return NULL;
    struct timer *t = h->at[1];
    timers_cancel(h, t);
    return t;
}

int64_t timers_next_ms(const struct timers *h)
{
    return h->len ? h->at[1]->due_ms : INT64_MAX;
}
