/* SPDX-License-Identifier: MIT
 *
 * Rings of recent tasks. */
#include "engine/recent_priv.h"

#include "base/mem.h"
#include "engine/group_priv.h"
#include "engine/learned_priv.h"

_Static_assert(LIMIT_RECENT_TASKS % RECENT_PART == 0 && RECENT_PARTS <= 32, "bits of the parts");

static uint32_t place(uint64_t nth)
{
    return (uint32_t)(nth % LIMIT_RECENT_TASKS);
}

void recent_mark(struct agent *a, uint64_t nth)
{
    a->recents_behind |= 1u << place(nth) / RECENT_PART;
}

/* ---- what a group adds ---- */

static uint64_t task_key(const struct agent *a, int64_t nutrient_no)
{
    int64_t pair[2] = {a->record->no, nutrient_no};
    return bytes_hash(bytes_of(pair, sizeof pair), 2);
}

static struct task_next *tasks_at(const struct writer *w, uint64_t key)
{
    uint64_t *at = u64map_get(&w->task_at, key);
    return at ? (struct task_next *)(uintptr_t)*at : NULL;
}

/* Whether the group at hand adds the nutrient already. */
static bool coming(const struct writer *w, const struct agent *a, int64_t nutrient_no)
{
    for (const struct task_next *x = tasks_at(w, task_key(a, nutrient_no)); x; x = x->link)
        if (x->agent == a && x->nutrient_no == nutrient_no && !x->refused)
            return true;
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

bool recent_add(struct engine *e, struct agent *a, int64_t nutrient_no, struct bytes hints)
{
    struct writer *w = e->writer;
    if (!hints.len || in_ring(a, nutrient_no, w->now_ms) || coming(w, a, nutrient_no))
        return true;
    uint64_t key = task_key(a, nutrient_no);
    struct task_next *first = tasks_at(w, key), *x = arena_new(&w->arena, struct task_next);
    if (!x || !u64map_put(&w->task_at, key, (uintptr_t)x))
        return false;
    *x = (struct task_next){.agent = a, .nutrient_no = nutrient_no, .hints = hints, .link = first};
    *w->tasks_tail = x;
    w->tasks_tail = &x->all;
    return true;
}

/* False: out of memory, with nothing taken. */
static bool intern(struct task_next *x)
{
    struct tags *tags = &x->agent->tenant->tags;
    if (!tags_intern(tags, x->hints, &x->tags, &x->count))
        return false;
    if (tags_reserve_recent(tags, x->tags, x->count, x->agent->slot))
        return true;
    tags_drop(tags, x->tags, x->count);
    mem_free(TAKE(x->tags));
    return false;
}

/* Interns under the write lock, since readers walk the tags: all at once, for each time that it is
 * taken stops every loop. */
void recent_prepare(struct engine *e)
{
    struct writer *w = e->writer;
    if (!w->tasks)
        return;
    pthread_rwlock_wrlock(&e->net.lock);
    for (struct task_next *x = w->tasks; x && !w->failed; x = x->all) {
        x->nth = x->agent->recent_count + x->agent->recents_coming++;
        w->failed = !intern(x);
    }
    pthread_rwlock_unlock(&e->net.lock);
}

static void ring_put(struct agent *a, const struct recent_task *task, uint64_t nth)
{
    struct tags *tags = &a->tenant->tags;
    struct recent_task *r = &a->recent[place(nth)];
    tags_remove_recent(tags, r->tags, r->count, a->slot);
    tags_drop(tags, r->tags, r->count);
    mem_free(r->tags);
    *r = *task;
    tags_add_recent(tags, r->tags, r->count, a->slot, r->at_ms);
    if (nth >= a->recent_count)
        a->recent_count = nth + 1;
}

void recent_publish(struct engine *e)
{
    struct writer *w = e->writer;
    for (struct task_next *x = w->tasks; x; x = x->all) {
        struct recent_task task = {.nutrient_no = x->nutrient_no,
                                   .at_ms = w->now_ms,
                                   .tags = TAKE(x->tags),
                                   .count = x->count};
        ring_put(x->agent, &task, x->nth);
        x->agent->recents_coming = 0;
        recent_mark(x->agent, x->nth);
        learning_log_behind(e, x->agent);
    }
}

void recent_discard(struct engine *e)
{
    struct writer *w = e->writer;
    if (!w->tasks)
        return;
    pthread_rwlock_wrlock(&e->net.lock);
    for (struct task_next *x = w->tasks; x; x = x->all) {
        x->agent->recents_coming = 0;
        if (x->tags)
            tags_drop(&x->agent->tenant->tags, x->tags, x->count);
        mem_free(TAKE(x->tags));
    }
    pthread_rwlock_unlock(&e->net.lock);
}

/* ---- rows ---- */

/* The hints of a task, from their tags; ptr NULL: out of memory. */
static struct bytes hints_of(const struct tags *tags, const struct recent_task *task,
                             struct arena *arena)
{
    size_t len = 0;
    for (uint32_t i = 0; i < task->count; i++)
        len += tags->items[task->tags[i]]->text.len + 1;
    char *p = arena_alloc(arena, len), *out = p;
    for (uint32_t i = 0; p && i < task->count; i++) {
        struct bytes text = tags->items[task->tags[i]]->text;
        memcpy(out, text.ptr, text.len);
        out += text.len;
        *out++ = 0;
    }
    return bytes_of(p, p ? len : 0);
}

/* The number of what lies at a place of a ring: the highest that was given out for it. */
static uint64_t nth_at(const struct agent *a, uint32_t at)
{
    return a->recent_count - 1 - place(a->recent_count - 1 - at);
}

static struct record_agent_tasks *part_row(const struct agent *a, uint32_t part,
                                           struct arena *arena)
{
    struct learned_task tasks[RECENT_PART];
    size_t n = 0;
    for (uint32_t at = part * RECENT_PART; at < (part + 1) * RECENT_PART; at++) {
        const struct recent_task *r = &a->recent[at];
        if (!r->tags)
            continue;
        tasks[n] = (struct learned_task){.agent_no = a->record->no,
                                         .nutrient_no = r->nutrient_no,
                                         .at_ms = r->at_ms,
                                         .nth = nth_at(a, at),
                                         .hints = hints_of(&a->tenant->tags, r, arena)};
        if (!tasks[n++].hints.ptr)
            return NULL;
    }
    struct record_agent_tasks *row = arena_new(arena, struct record_agent_tasks);
    if (row)
        *row = (struct record_agent_tasks){.agent_no = a->record->no,
                                           .part = part,
                                           .tenant_no = a->tenant->record->no,
                                           .tasks = learned_pack_tasks(tasks, n, arena)};
    return row && row->tasks.ptr ? row : NULL;
}

size_t recent_put_rows(struct engine *e, const struct agent *a)
{
    size_t bytes = 0;
    for (uint32_t part = 0; part < RECENT_PARTS; part++) {
        if (!(a->recents_behind & 1u << part))
            continue;
        struct record_agent_tasks *row = part_row(a, part, writer_arena(e));
        if (!row) {
            e->writer->failed = true;
            return bytes;
        }
        writer_add(e, MUT_PUT, RECORD_AGENT_TASKS, row);
        bytes += row->tasks.len;
    }
    return bytes;
}

/* ---- at the start ---- */

enum qmn_code recent_load(struct agent *a, const struct learned_task *task, struct err *err)
{
    struct tags *tags = &a->tenant->tags;
    struct recent_task next = {.nutrient_no = task->nutrient_no, .at_ms = task->at_ms};
    if (!tags_intern(tags, task->hints, &next.tags, &next.count))
        return err_nomem(err);
    if (!tags_reserve_recent(tags, next.tags, next.count, a->slot)) {
        mem_free(next.tags);
        return err_nomem(err);
    }
    ring_put(a, &next, task->nth);
    return QMN_OK;
}

enum qmn_code recent_load_row(struct agent *a, const struct record_agent_tasks *row,
                              struct err *err)
{
    struct bytes rest = row->tasks;
    while (rest.len) {
        struct learned_task task;
        TRY(learned_next_task(&rest, &task, err));
        TRY(recent_load(a, &task, err));
    }
    return QMN_OK;
}
