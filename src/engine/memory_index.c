/* SPDX-License-Identifier: MIT
 *
 * Memories by their vectors.  A search pins the index from the hold of the lock in which it notes
 * what may be found to the one in which it looks up whose the slots are: until then the index gives
 * none of them to another memory, so a slot that is used is still the one that was found. */
#include "engine/memory_index_priv.h"

#include "base/mem.h"
#include "engine/engine_priv.h"
#include "engine/group_priv.h"

/* Rotations are no secret, and one that stays makes answers repeatable. */
#define ROTATION_SEED UINT64_C(0x716d6e)

/* ---- changing ---- */

struct vectors_options memory_index_options(const struct tenant *t)
{
    return (struct vectors_options){.dim = t->profiles.dim,
                                    .exact = VECTORS_EXACT_F32,
                                    .flat_max = t->engine->memory_flat_max,
                                    .seed = ROTATION_SEED};
}

static bool make_index(struct engine *e, struct tenant *t)
{
    struct vectors_options o = memory_index_options(t);
    struct vectors *made = t->memory_index ? NULL : vectors_new(&o);
    if (!t->memory_index && !made)
        return false;
    if (!made)
        return true;
    pthread_rwlock_wrlock(&e->net.lock);
    t->memory_index = made;
    pthread_rwlock_unlock(&e->net.lock);
    return true;
}

bool memory_index_reserve(struct engine *e, struct tenant *t)
{
    uint32_t places = writer_places(e, 0);
    if (!make_index(e, t) || !network_grow_array(&e->net, (void **)&t->memories, &t->memory_cap,
                                                 t->memory_slots + places, sizeof *t->memories))
        return false;
    pthread_mutex_lock(&e->net.index_lock);
    bool ok = vectors_reserve(t->memory_index, places);
    pthread_mutex_unlock(&e->net.index_lock);
    return ok;
}

/* There may be work on this index. */
static void put_in_line(struct tenant *t)
{
    struct engine *e = t->engine;
    if (t->index_in_line)
        return;
    t->index_in_line = true;
    t->index_next = e->index_line;
    e->index_line = t;
}

uint32_t memory_index_add(struct tenant *t, const float *unit)
{
    uint32_t slot = vectors_add(t->memory_index, unit);
    t->memory_count++;
    t->index_changes++;
    if (slot >= t->memory_slots)
        t->memory_slots = slot + 1;
    put_in_line(t);
    return slot;
}

void memory_index_drop(struct tenant *t, uint32_t slot)
{
    vectors_remove(t->memory_index, slot);
    t->index_changes++;
    put_in_line(t);
}

void memory_index_remove(struct tenant *t, uint32_t slot)
{
    memory_index_drop(t, slot);
    t->memory_count--;
}

void memory_index_take(struct tenant *t, struct vectors *index, uint32_t slots)
{
    t->memory_index = index;
    t->memory_slots = slots;
    atomic_store(&t->index_linked, vectors_has_graph(index));
    put_in_line(t);
}

void memory_index_release(struct tenant *t)
{
    vectors_free(TAKE(t->memory_index));
    t->memory_slots = t->memory_count = 0;
}

/* An index with a graph keeps no copies of the vectors, 6 KB each of what is many then: the few
 * that answer a search are read from the store (memory_search.c).  Out of memory, it has them until
 * the next time. */
static void after_work(struct tenant *t, bool more)
{
    bool linked = vectors_has_graph(t->memory_index);
    if (linked)
        vectors_drop_exact(t->memory_index);
    atomic_store(&t->index_linked, linked);
    t->index_changes += more;
}

/* Without memory for it the work stays undone until the index changes again: it is never needed for
 * an answer. */
bool memory_index_work(struct engine *e)
{
    struct tenant *t = e->index_line;
    if (!t)
        return false;
    pthread_mutex_lock(&e->net.index_lock);
    bool more = t->memory_index && vectors_work(t->memory_index, 1) == VECTORS_MORE;
    if (t->memory_index)
        after_work(t, more);
    pthread_mutex_unlock(&e->net.index_lock);
    if (!more) {
        e->index_line = t->index_next;
        t->index_in_line = false;
    }
    return e->index_line != NULL;
}

/* ---- searching ---- */

void memory_index_begin(struct tenant *t, const struct memory_permit *permit,
                        struct memory_finds *ret)
{
    *ret = (struct memory_finds){.exact = true, .permit = *permit, .permitted = permit->count};
    if (permit->count)
        vectors_pin(t->memory_index, &ret->pin);
    ret->rough = memory_index_is_rough(ret);
}

bool memory_index_search(struct engine *e, struct memory_finds *f, const float *unit, uint32_t k,
                         bool exact, struct arena *arena)
{
    struct vectors_query q = {.x = unit,
                              .k = k,
                              .permit = f->permit.bits,
                              .permit_words = f->permit.words,
                              .permitted = f->permit.count,
                              .force_exact = exact};
    struct vectors_result_info info;
    f->count = 0;
    f->items = arena_array(arena, struct topk_item, (size_t)k + 1);
    if (!f->items)
        return false;
    if (!f->pin.index || !k)
        return true; /* there is nothing to be found */
    struct vectors_searcher *searcher = searchers_take(&e->searchers);
    if (!searcher)
        return false;
    bool ok = vectors_search(f->pin.index, &q, searcher, f->items, &f->count, &info);
    searchers_give(&e->searchers, searcher);
    f->exact = ok && info.exact;
    return ok;
}

const struct memory *memory_index_found(const struct tenant *t, const struct memory_finds *f,
                                        const struct memory_permit *now, size_t i)
{
    uint32_t slot = f->items[i].id;
    return memory_permit_has(now, slot) ? &t->memories[slot] : NULL;
}

void memory_index_whose(const struct tenant *t, const struct memory_finds *f,
                        struct memory_whose *ret)
{
    for (size_t i = 0; i < f->count; i++) {
        const struct memory *m = &t->memories[f->items[i].id];
        ret[i] = t->memory_index == f->pin.index ? (struct memory_whose){m->no, m->vector_print}
                                                 : (struct memory_whose){0};
    }
}

void memory_index_end(struct memory_finds *f)
{
    vectors_unpin(&f->pin);
}
