/* SPDX-License-Identifier: MIT
 *
 * Memories by their vectors. */
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
    if (vectors_has_room(t->memory_index, places))
        return true;
    pthread_rwlock_wrlock(&e->net.lock);
    bool ok = vectors_reserve(t->memory_index, places);
    pthread_rwlock_unlock(&e->net.lock);
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
 * that answer a search are read from the store (memory_search.c).  Lock held for writing. */
static void after_work(struct tenant *t, bool more)
{
    bool linked = vectors_has_graph(t->memory_index);
    if (linked && vectors_exact(t->memory_index) != VECTORS_EXACT_NONE)
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
    pthread_rwlock_wrlock(&e->net.lock);
    bool more = t->memory_index && vectors_work(t->memory_index, 1) == VECTORS_MORE;
    if (t->memory_index)
        after_work(t, more);
    pthread_rwlock_unlock(&e->net.lock);
    if (!more) {
        e->index_line = t->index_next;
        t->index_in_line = false;
    }
    return e->index_line != NULL;
}

/* ---- searching ---- */

static uint64_t *permitted_slots(const struct tenant *t, const struct memory_sight *sight,
                                 struct arena *arena, uint32_t *ret_count)
{
    uint64_t *bits = arena_array(arena, uint64_t, t->memory_slots / 64 + 1);
    uint32_t count = 0;
    for (uint32_t slot = 0; bits && slot < t->memory_slots; slot++)
        if (t->memories[slot].used && sight->permit(sight->ctx, &t->memories[slot])) {
            bits[slot / 64] |= UINT64_C(1) << slot % 64;
            count++;
        }
    *ret_count = count;
    return bits;
}

bool memory_index_find(struct engine *e, const struct tenant *t, const float *unit, uint32_t k,
                       const struct memory_sight *sight, struct arena *arena,
                       struct memory_finds *ret)
{
    struct vectors_query q = {.x = unit, .k = k};
    struct vectors_result_info info;
    *ret = (struct memory_finds){.exact = true};
    q.permit = permitted_slots(t, sight, arena, &q.permitted);
    ret->items = arena_array(arena, struct topk_item, (size_t)k + 1);
    ret->permitted = q.permitted;
    if (!q.permit || !ret->items)
        return false;
    if (!q.permitted || !k)
        return true;
    struct vectors_searcher *searcher = searchers_take(&e->searchers);
    if (!searcher)
        return false;
    bool ok = vectors_search(t->memory_index, &q, searcher, ret->items, &ret->count, &info);
    searchers_give(&e->searchers, searcher);
    ret->exact = ok && info.exact;
    return ok;
}
