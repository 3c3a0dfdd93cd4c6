/* SPDX-License-Identifier: MIT
 *
 * Tenants, agents, keys and edges in memory: making them, linking them in, taking them apart. */
#include "engine/agent_index_priv.h"
#include "engine/engine_priv.h"
#include "engine/memory_index_priv.h"
#include "engine/memory_snapshot_priv.h"

#include "base/mem.h"

/* ---- tenants ---- */

struct tenant *tenant_new(struct engine *e, const struct record_tenant *record)
{
    struct tenant *t = mem_calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->engine = e;
    t->record = record_hold(RECORD_TENANT, record);
    uint32_t dim = (uint32_t)record->dim;
    flat_init(&t->profiles, dim, profile_precision(dim));
    flat_init(&t->response_index, dim, FLAT_F32);
    lexical_init(&t->memory_words);
    if (!tags_init(&t->tags) || !t->record) {
        mem_free(t->record);
        mem_free(t);
        return NULL;
    }
    return t;
}

static void free_texts(struct textmap *m)
{
    for (size_t i = 0; i < m->cap; i++)
        mem_free(m->slots[i].value);
    textmap_release(m);
}

void tenant_free(struct tenant *t)
{
    if (!t)
        return;
    for (uint32_t i = 0; i < t->agent_count; i++)
        agent_free(t->agents[i]);
    mem_free(t->agents);
    mem_free(t->reach);
    mem_free(t->agent_nos);
    textmap_release(&t->agents_by_id);
    flat_release(&t->profiles);
    agent_index_release(t);
    flat_release(&t->response_index);
    for (uint32_t i = 0; i < t->memory_slots; i++)
        mem_free(t->memories[i].facts);
    memory_index_release(t);
    memory_sets_release(&t->memory_sets);
    lexical_release(&t->memory_words);
    memory_snapshot_free(t->snapshot);
    mem_free(t->responses);
    mem_free(t->memories);
    for (uint32_t i = 0; i < t->memory_kind_count; i++)
        mem_free((void *)(uintptr_t)t->memory_kinds[i].ptr);
    mem_free(t->memory_kinds);
    textmap_release(&t->memory_kind_ids);
    u64map_release(&t->memory_by_id);
    u64map_release(&t->memory_by_no);
    u64map_release(&t->memory_by_print);
    for (uint32_t i = 0; i < t->policy_count; i++)
        mem_free(t->policies[i]);
    mem_free(t->policies);
    free_texts(&t->tasks_by_id);
    tags_release(&t->tags);
    mem_free(t->record);
    mem_free(t);
}

void network_add_tenant(struct network *n, struct tenant *t)
{
    n->tenants[n->tenant_count++] = t;
    textmap_put(&n->tenants_by_id, t->record->id, t);
    u64map_put(&n->tenants_by_no, (uint64_t)t->record->no, (uintptr_t)t);
}

void tenant_replace(struct tenant *t, struct record_tenant *record)
{
    struct network *n = &t->engine->net;
    struct record_tenant *old = t->record;
    t->record = record;
    textmap_put(&n->tenants_by_id, record->id, t); /* the key points into the record */
    mem_free(old);
}

/* ---- tasks ---- */

static uint64_t task_bytes(const struct record_task *r)
{
    return r->id.len + r->title.len + r->metadata.len;
}

bool tenant_put_task(struct tenant *t, struct record_task *task)
{
    struct record_task *old = textmap_get(&t->tasks_by_id, task->id);
    if (!textmap_put(&t->tasks_by_id, task->id, task)) /* the key points into the record */
        return false;
    t->stored_bytes += task_bytes(task);
    if (old)
        t->stored_bytes -= task_bytes(old);
    mem_free(old);
    return true;
}

void tenant_remove_task(struct tenant *t, struct record_task *task)
{
    textmap_remove(&t->tasks_by_id, task->id);
    t->stored_bytes -= task_bytes(task);
    mem_free(task);
}

/* ---- keys ---- */

struct key *key_new(struct tenant *t, const struct record_key *record)
{
    struct key *k = mem_calloc(1, sizeof *k);
    if (!k)
        return NULL;
    k->tenant = t;
    k->record = record_hold(RECORD_KEY, record);
    if (!k->record) {
        mem_free(k);
        return NULL;
    }
    struct bytes rest = record->scopes, each;
    while (textlist_next(&rest, &each)) {
        enum scope s = scope_parse(each);
        if (s != SCOPE_COUNT)
            k->scopes |= SCOPE_BIT(s);
    }
    if (k->scopes & SCOPE_BIT(SCOPE_ADMIN))
        k->scopes = SCOPE_BIT(SCOPE_COUNT) - 1;
    else if (k->scopes & SCOPE_BIT(SCOPE_TENANT_ADMIN))
        k->scopes = (SCOPE_BIT(SCOPE_COUNT) - 1) & ~SCOPE_BIT(SCOPE_ADMIN);
    return k;
}

void key_free(struct key *k)
{
    if (!k)
        return;
    mem_free(k->record);
    mem_free(k);
}

void network_add_key(struct network *n, struct key *k)
{
    textmap_put(&n->keys_by_id, k->record->id, k);
    k->sibling = k->tenant->keys;
    k->tenant->keys = k;
    k->tenant->key_count++;
}

void network_remove_key(struct network *n, struct key *k)
{
    struct key **at = &k->tenant->keys;
    while (*at != k)
        at = &(*at)->sibling;
    *at = k->sibling;
    k->tenant->key_count--;
    textmap_remove(&n->keys_by_id, k->record->id);
    key_free(k);
}

void key_replace(struct key *k, struct record_key *record)
{
    struct network *n = &k->tenant->engine->net;
    struct record_key *old = k->record;
    k->record = record;
    textmap_put(&n->keys_by_id, record->id, k);
    mem_free(old);
}

/* ---- agents ---- */

/* The held record of an agent leaves its profile to the index. */
static struct record_agent *hold_agent(const struct record_agent *record)
{
    struct record_agent slim = *record;
    slim.profile = bytes_of("", 0);
    return record_hold(RECORD_AGENT, &slim);
}

struct agent *agent_new(struct tenant *t, const struct record_agent *record)
{
    struct agent *a = mem_calloc(1, sizeof *a);
    if (!a)
        return NULL;
    a->tenant = t;
    a->record = hold_agent(record);
    if (!a->record) {
        mem_free(a);
        return NULL;
    }
    return a;
}

void agent_free(struct agent *a)
{
    if (!a)
        return;
    for (uint32_t i = 0; i < LIMIT_RECENT_TASKS; i++)
        mem_free(a->recent[i].tags);
    mem_free(a->capability_tags);
    mem_free(a->edges);
    u64map_release(&a->edge_by_dst);
    mem_free(a->record);
    mem_free(a);
}

void agent_reach(struct agent *a)
{
    bool open = a->record->status == AGENT_ACTIVE && a != a->tenant->default_agent;
    a->tenant->reach[a->slot] = open ? (uint8_t)a->record->clearance : 0;
    agent_index_reach(a->tenant, a->slot);
}

static bool counts_as_active(const struct agent *a)
{
    return a->record->status != AGENT_SUSPENDED && !bytes_is(a->record->id, DEFAULT_AGENT_ID);
}

void network_add_agent(struct network *n, struct agent *a, const float *profile)
{
    struct tenant *t = a->tenant;
    a->slot = t->agent_count++;
    t->agents[a->slot] = a;
    t->agent_nos[a->slot] = a->record->no;
    if (t->profiles.dim)
        flat_add(&t->profiles, profile);
    agent_index_put(t, a->slot, profile);
    textmap_put(&t->agents_by_id, a->record->id, a);
    u64map_put(&n->agents_by_no, (uint64_t)a->record->no, (uintptr_t)a);
    if (bytes_is(a->record->id, DEFAULT_AGENT_ID))
        t->default_agent = a;
    t->active_agents += counts_as_active(a);
    agent_reach(a);
    tags_add_capable(&t->tags, a->capability_tags, a->capability_count, a->slot);
}

void agent_replace(struct agent *a, struct record_agent *record, uint32_t *capability_tags,
                   uint32_t capability_count, const float *profile)
{
    struct tenant *t = a->tenant;
    t->active_agents -= counts_as_active(a);
    struct record_agent *old = a->record;
    a->record = record;
    textmap_put(&t->agents_by_id, record->id, a);
    mem_free(old);
    tags_remove_capable(&t->tags, a->capability_tags, a->capability_count, a->slot);
    tags_drop(&t->tags, a->capability_tags, a->capability_count);
    mem_free(a->capability_tags);
    a->capability_tags = capability_tags;
    a->capability_count = capability_count;
    tags_add_capable(&t->tags, capability_tags, capability_count, a->slot);
    if (t->profiles.dim)
        flat_set(&t->profiles, a->slot, profile);
    agent_index_put(t, a->slot, profile);
    t->active_agents += counts_as_active(a);
    agent_reach(a);
}

/* ---- edges ---- */

struct edge *agent_put_edge(struct agent *a, uint32_t dst)
{
    struct edge *found = agent_edge(a, dst);
    if (found)
        return found;
    u64map_put(&a->edge_by_dst, dst, a->edge_count);
    a->tenant->edge_count++;
    a->edges[a->edge_count] = (struct edge){.dst = dst};
    return &a->edges[a->edge_count++];
}

void agent_remove_edge(struct agent *a, uint32_t dst)
{
    uint64_t *at = u64map_get(&a->edge_by_dst, dst);
    if (!at)
        return;
    uint64_t hole = *at;
    u64map_remove(&a->edge_by_dst, dst);
    a->edge_count--;
    a->tenant->edge_count--;
    if (hole != a->edge_count) {
        a->edges[hole] = a->edges[a->edge_count];
        *u64map_get(&a->edge_by_dst, a->edges[hole].dst) = hole;
    }
}
