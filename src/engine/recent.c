/* SPDX-License-Identifier: MIT
 *
 * Rings of recent tasks. */
#include "engine/recent_priv.h"

#include "base/mem.h"
#include "engine/group_priv.h"

/* Interns under the write lock, since readers walk the tags. */
static bool intern(struct engine *e, struct agent *a, struct bytes hints, struct recent_next *next)
{
    struct tenant *t = a->tenant;
    pthread_rwlock_wrlock(&e->net.lock);
    bool ok = tags_intern(&t->tags, hints, &next->tags, &next->count);
    if (ok && !tags_reserve_recent(&t->tags, next->tags, next->count, a->slot)) {
        tags_drop(&t->tags, next->tags, next->count);
        mem_free(next->tags);
        next->tags = NULL;
        ok = false;
    }
    pthread_rwlock_unlock(&e->net.lock);
    return ok;
}

/* The next free slot of the ring, counting what this group has added already. */
static uint32_t next_slot(struct engine *e, struct agent *a)
{
    if (a->recent_group != writer_group(e)) {
        a->recent_group = writer_group(e);
        a->recents_coming = 0;
    }
    return (a->recent_next + a->recents_coming++) % LIMIT_RECENT_TASKS;
}

/* Whether the group at hand adds the nutrient already.  Its rows say so, and those of a command
 * that is refused go with it. */
static bool coming(const struct engine *e, const struct agent *a, int64_t nutrient_no)
{
    const struct writer *w = e->writer;
    if (a->recent_group != w->serial || !a->recents_coming)
        return false;
    for (size_t i = 0; i < w->batch_len; i++) {
        const struct record_agent_task *row = w->batch[i].record;
        if (w->batch[i].kind == RECORD_AGENT_TASK && row->agent_no == a->record->no &&
            row->nutrient_no == nutrient_no)
            return true;
    }
    return false;
}

/* What the agent did with it longer ago than demand looks back counts no more, and so counts again.
 */
static bool in_ring(const struct agent *a, int64_t nutrient_no, int64_t now_ms)
{
    for (uint32_t i = 0; i < LIMIT_RECENT_TASKS; i++)
        if (a->recent[i].nutrient_no == nutrient_no &&
            now_ms - a->recent[i].at_ms <= DEMAND_WINDOW_MS)
            return true;
    return false;
}

bool recent_check(struct engine *e, struct agent *a, int64_t nutrient_no, struct bytes of_nutrient,
                  struct recent_next *ret)
{
    struct arena *arena = writer_arena(e);
    *ret = (struct recent_next){.nutrient_no = nutrient_no, .at_ms = writer_now_ms(e)};
    if (!of_nutrient.len || in_ring(a, nutrient_no, ret->at_ms) || coming(e, a, nutrient_no))
        return true;
    struct record_agent_task *row = arena_new(arena, struct record_agent_task);
    struct bytes hints = arena_bytes(arena, of_nutrient); /* it may expire in this very group */
    if (!row || !hints.ptr || !intern(e, a, hints, ret))
        return false;
    ret->slot = next_slot(e, a);
    *row = (struct record_agent_task){.agent_no = a->record->no,
                                      .slot = ret->slot,
                                      .tenant_no = a->tenant->record->no,
                                      .nutrient_no = nutrient_no,
                                      .hints = hints,
                                      .at_ms = ret->at_ms};
    writer_add(e, MUT_PUT, RECORD_AGENT_TASK, row);
    return true;
}

static void ring_put(struct agent *a, struct recent_next *next)
{
    struct tags *tags = &a->tenant->tags;
    struct recent_task *r = &a->recent[next->slot];
    tags_remove_recent(tags, r->tags, r->count, a->slot);
    tags_drop(tags, r->tags, r->count);
    mem_free(r->tags);
    *r = (struct recent_task){.nutrient_no = next->nutrient_no,
                              .at_ms = next->at_ms,
                              .tags = next->tags,
                              .count = next->count};
    tags_add_recent(tags, r->tags, r->count, a->slot, r->at_ms);
    a->recent_next = (next->slot + 1) % LIMIT_RECENT_TASKS;
    next->tags = NULL;
}

void recent_publish(struct agent *a, struct recent_next *next)
{
    if (next->tags)
        ring_put(a, next);
}

void recent_discard(struct engine *e, struct agent *a, struct recent_next *next)
{
    if (!next->tags)
        return;
    pthread_rwlock_wrlock(&e->net.lock);
    tags_drop(&a->tenant->tags, next->tags, next->count);
    pthread_rwlock_unlock(&e->net.lock);
    mem_free(next->tags);
    next->tags = NULL;
}

bool recent_load(struct agent *a, const struct record_agent_task *row)
{
    struct tags *tags = &a->tenant->tags;
    struct recent_next next = {.slot = (uint32_t)row->slot % LIMIT_RECENT_TASKS,
                               .nutrient_no = row->nutrient_no,
                               .at_ms = row->at_ms};
    if (!tags_intern(tags, row->hints, &next.tags, &next.count))
        return false;
    if (!tags_reserve_recent(tags, next.tags, next.count, a->slot)) {
        mem_free(next.tags);
        return false;
    }
    uint32_t last = (a->recent_next + LIMIT_RECENT_TASKS - 1) % LIMIT_RECENT_TASKS;
    bool newest = row->at_ms >= a->recent[last].at_ms;
    uint32_t keep = a->recent_next;
    ring_put(a, &next);
    if (!newest)
        a->recent_next = keep; /* rows come by slot, not by time */
    return true;
}
