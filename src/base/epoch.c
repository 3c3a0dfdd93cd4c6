/* SPDX-License-Identifier: MIT
 *
 * Why two counts are enough: whoever is confirmed in e was counted before the epoch left e, so the
 * step from e + 1 to e + 2, which wants that count to be 0, waits for it.  Counting and looking, on
 * either side, are sequentially consistent: one of the two sees the other. */
#include "epoch.h"

#include <stddef.h>

static void release_all(struct epoch_garbage **list)
{
    struct epoch_garbage *g = *list;
    *list = NULL;
    for (struct epoch_garbage *next; g; g = next) {
        next = g->next;
        g->release(g);
    }
}

void epoch_collect(struct epoch *e)
{
    release_all(&e->gone);
}

void epoch_release(struct epoch *e)
{
    release_all(&e->gone);
    release_all(&e->old);
    release_all(&e->young);
}

static struct epoch_lane *lane_of(struct epoch *e, uintptr_t who)
{
    uint64_t mixed = (uint64_t)who * UINT64_C(0x9e3779b97f4a7c15); /* 2^64 / the golden ratio */
    return &e->lanes[(mixed >> 32) % EPOCH_LANES];
}

struct epoch_pin epoch_enter(struct epoch *e, uintptr_t who)
{
    struct epoch_lane *lane = lane_of(e, who);
    for (;;) {
        uint64_t now = atomic_load(&e->now);
        struct epoch_pin pin = {&lane->readers[now & 1]};
        atomic_fetch_add(pin.readers, 1);
        if (atomic_load(&e->now) == now)
            return pin;
        epoch_leave(&pin); /* it was counted in an epoch that is over */
    }
}

void epoch_leave(struct epoch_pin *pin)
{
    atomic_fetch_sub_explicit(pin->readers, 1, memory_order_release);
    pin->readers = NULL;
}

void epoch_retire(struct epoch *e, struct epoch_garbage *g, void (*release)(struct epoch_garbage *))
{
    *g = (struct epoch_garbage){.next = e->young, .release = release};
    e->young = g;
}

bool epoch_advance(struct epoch *e)
{
    uint64_t now = atomic_load_explicit(&e->now, memory_order_relaxed);
    for (int i = 0; i < EPOCH_LANES; i++)
        if (atomic_load(&e->lanes[i].readers[(now + 1) & 1]))
            return false;
    atomic_store(&e->now, now + 1);
    struct epoch_garbage **end = &e->gone;
    while (*end)
        end = &(*end)->next;
    *end = e->old;
    e->old = e->young;
    e->young = NULL;
    return true;
}
