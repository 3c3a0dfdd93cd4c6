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

static bool make_index(struct engine *e, struct tenant *t)
{
    struct vectors_options o = {.dim = t->profiles.dim,
                                .exact = VECTORS_EXACT_F32,
                                .flat_max = e->memory_flat_max,
                                .seed = ROTATION_SEED};
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
    if (slot >= t->memory_slots)
        t->memory_slots = slot + 1;
    put_in_line(t);
    return slot;
}

void memory_index_remove(struct tenant *t, uint32_t slot)
{
    vectors_remove(t->memory_index, slot);
    t->memory_count--;
    put_in_line(t);
}

void memory_index_release(struct tenant *t)
{
    vectors_free(TAKE(t->memory_index));
    t->memory_slots = t->memory_count = 0;
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
    pthread_rwlock_unlock(&e->net.lock);
    if (!more) {
        e->index_line = t->index_next;
        t->index_in_line = false;
    }
    return e->index_line != NULL;
}

/* ---- searching ---- */

bool memory_index_permit(const struct tenant *t, const struct memory_sight *sight,
                         struct arena *arena, struct memory_permit *ret)
{
    uint64_t *bits = arena_array(arena, uint64_t, t->memory_slots / 64 + 1);
    uint32_t count = 0;
    for (uint32_t slot = 0; bits && slot < t->memory_slots; slot++)
        if (t->memories[slot].used && sight->permit(sight->ctx, &t->memories[slot])) {
            bits[slot / 64] |= UINT64_C(1) << slot % 64;
            count++;
        }
    *ret = (struct memory_permit){bits, count};
    return bits != NULL;
}

bool memory_index_search(struct engine *e, const struct tenant *t, const struct vectors_query *q,
                         struct arena *arena, struct memory_finds *ret)
{
    struct vectors_result_info info;
    *ret = (struct memory_finds){.permitted = q->permitted, .exact = true};
    ret->items = arena_array(arena, struct topk_item, (size_t)q->k + 1);
    if (!ret->items)
        return false;
    if (!q->permitted || !q->k)
        return true;
    struct vectors_searcher *searcher = searchers_take(&e->searchers);
    if (!searcher)
        return false;
    bool ok = vectors_search(t->memory_index, q, searcher, ret->items, &ret->count, &info);
    searchers_give(&e->searchers, searcher);
    ret->exact = ok && info.exact;
    return ok;
}

bool memory_index_find(struct engine *e, const struct tenant *t, const float *unit, uint32_t k,
                       const struct memory_sight *sight, struct arena *arena,
                       struct memory_finds *ret)
{
    struct memory_permit permit;
    if (!memory_index_permit(t, sight, arena, &permit))
        return false;
    struct vectors_query q = {.x = unit, .k = k, .permit = permit.bits, .permitted = permit.count};
    return memory_index_search(e, t, &q, arena, ret);
}
