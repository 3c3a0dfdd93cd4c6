/* SPDX-License-Identifier: MIT
 *
 * The network replica: look-ups and growth.  How its pieces are made and changed stands in
 * pieces.c. */
#include "engine/network_priv.h"

#include "base/mem.h"
#include "engine/agent_index_priv.h"

enum qmn_code network_init(struct network *n, struct err *err)
{
    pthread_rwlockattr_t attr;
    *n = (struct network){0};
    if (pthread_rwlockattr_init(&attr))
        return err_nomem(err);
    /* without this glibc lets a stream of readers starve the writer */
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    int failed = pthread_rwlock_init(&n->lock, &attr) || pthread_mutex_init(&n->inbox_lock, NULL) ||
                 pthread_mutex_init(&n->index_lock, NULL);
    pthread_rwlockattr_destroy(&attr);
    return failed ? err_nomem(err) : QMN_OK;
}

void network_release(struct network *n)
{
    for (size_t i = 0; i < n->keys_by_id.cap; i++)
        key_free(n->keys_by_id.slots[i].value);
    for (size_t i = 0; i < n->live_by_no.cap; i++)
        if (n->live_by_no.full[i])
            nutrient_free((void *)(uintptr_t)n->live_by_no.slots[i].value);
    for (uint32_t i = 0; i < n->tenant_count; i++)
        tenant_free(n->tenants[i]);
    textmap_release(&n->tenants_by_id);
    textmap_release(&n->keys_by_id);
    u64map_release(&n->tenants_by_no);
    u64map_release(&n->agents_by_no);
    u64map_release(&n->live_by_id);
    u64map_release(&n->live_by_no);
    u64map_release(&n->live_by_client);
    u64map_release(&n->streams);
    mem_free(n->tenants);
    pthread_rwlock_destroy(&n->lock);
    pthread_mutex_destroy(&n->inbox_lock);
    pthread_mutex_destroy(&n->index_lock);
}

uint64_t id_hash(const struct id *id)
{
    uint64_t h;
    memcpy(&h, id->b + 8, sizeof h); /* inside the random part */
    return h;
}

uint64_t client_id_hash(const struct tenant *t, uint32_t label, struct bytes client_id)
{
    return bytes_hash(client_id, (uint64_t)t->record->no * 8 + label);
}

static void *pointer_at(const struct u64map *m, uint64_t key)
{
    uint64_t *v = u64map_get(m, key);
    return v ? (void *)(uintptr_t)*v : NULL;
}

struct tenant *network_tenant(const struct network *n, struct bytes id)
{
    return textmap_get(&n->tenants_by_id, id);
}

struct tenant *network_tenant_no(const struct network *n, int64_t no)
{
    return pointer_at(&n->tenants_by_no, (uint64_t)no);
}

struct agent *tenant_agent(const struct tenant *t, struct bytes id)
{
    return textmap_get(&t->agents_by_id, id);
}

struct agent *network_agent_no(const struct network *n, int64_t no)
{
    return pointer_at(&n->agents_by_no, (uint64_t)no);
}

struct key *network_key(const struct network *n, struct bytes id)
{
    return textmap_get(&n->keys_by_id, id);
}

struct nutrient *network_live(const struct network *n, const struct tenant *t, const struct id *id)
{
    struct nutrient *x = pointer_at(&n->live_by_id, id_hash(id));
    return x && x->tenant == t && memcmp(&x->id, id, sizeof *id) == 0 ? x : NULL;
}

struct nutrient *network_live_client(const struct network *n, const struct tenant *t,
                                     uint32_t label, struct bytes client_id)
{
    struct nutrient *x = pointer_at(&n->live_by_client, client_id_hash(t, label, client_id));
    bool same = x && x->tenant == t && x->sensitivity == label;
    return same && bytes_equal(x->client_id, client_id) ? x : NULL;
}

struct delivery *nutrient_delivery(struct nutrient *x, const struct agent *a)
{
    for (uint32_t i = 0; i < x->delivery_count; i++)
        if (x->deliveries[i].agent == a)
            return &x->deliveries[i];
    return NULL;
}

struct edge *agent_edge(const struct agent *a, uint32_t dst)
{
    uint64_t *at = u64map_get(&a->edge_by_dst, dst);
    return at ? &a->edges[*at] : NULL;
}

enum qmn_code network_acting_agent(const struct tenant *t, const struct caller *caller,
                                   struct bytes named, const char *field, struct agent **ret,
                                   struct err *err)
{
    struct agent *a = t->default_agent;
    struct bytes rest = caller->agent_ids, bound = {0};
    bool any = !caller->agent_ids.len;
    if (!named.len && !any && textlist_next(&rest, &bound) && !rest.len)
        named = bound; /* the key's only agent */
    else if (!named.len && !any)
        return err_field(err, QMN_E_INVALID, field,
                         "%s is missing and this key is bound to several agents: name one", field);
    if (named.len) {
        if (!any && !textlist_has(caller->agent_ids, named))
            return err_field(err, QMN_E_FORBIDDEN, field, "this key may not act as agent \"%.*s\"",
                             BYTES_FMT(named));
        a = tenant_agent(t, named);
        if (!a)
            return err_field(err, QMN_E_NOT_FOUND, field, "agent \"%.*s\" is not registered",
                             BYTES_FMT(named));
    }
    if (a->record->status == AGENT_SUSPENDED)
        return err_field(err, QMN_E_CONFLICT, field,
                         "agent \"%.*s\" is suspended; register it again to resume",
                         BYTES_FMT(a->record->id));
    *ret = a;
    return QMN_OK;
}

uint32_t agent_clearance(const struct agent *a, const struct caller *caller)
{
    return caller->clearance < agent_label(a) ? caller->clearance : agent_label(a);
}

uint32_t network_clearance(const struct tenant *t, const struct caller *caller)
{
    struct bytes rest = caller->agent_ids, id;
    uint32_t highest = LABEL_PUBLIC;
    if (!caller->agent_ids.len)
        return caller->clearance;
    while (textlist_next(&rest, &id)) {
        const struct agent *a = tenant_agent(t, id);
        if (a && a->record->status != AGENT_SUSPENDED && agent_clearance(a, caller) > highest)
            highest = agent_clearance(a, caller);
    }
    return highest;
}

/* ---- growth ---- */

static bool map_has_room(size_t len, size_t cap, size_t more)
{
    return cap && len + more <= cap / 8 * 7;
}

/* Grows under the write lock, since readers may be inside. */
static bool grow_u64map(struct network *n, struct u64map *m, size_t more)
{
    if (map_has_room(m->len, m->cap, more))
        return true;
    pthread_rwlock_wrlock(&n->lock);
    bool ok = u64map_reserve(m, more);
    pthread_rwlock_unlock(&n->lock);
    return ok;
}

static bool grow_textmap(struct network *n, struct textmap *m, size_t more)
{
    if (map_has_room(m->len, m->cap, more))
        return true;
    pthread_rwlock_wrlock(&n->lock);
    bool ok = textmap_reserve(m, more);
    pthread_rwlock_unlock(&n->lock);
    return ok;
}

bool network_grow_array(struct network *n, void **items, uint32_t *cap, uint32_t need, size_t size)
{
    if (need <= *cap)
        return true;
    uint32_t want = *cap ? *cap : 16;
    while (want < need)
        want *= 2;
    pthread_rwlock_wrlock(&n->lock);
    void *p = mem_resize(*items, want, size);
    if (p) {
        *items = p;
        *cap = want;
    }
    pthread_rwlock_unlock(&n->lock);
    return p != NULL;
}

bool network_grow_tenants(struct network *n, uint32_t more)
{
    return grow_textmap(n, &n->tenants_by_id, more) && grow_u64map(n, &n->tenants_by_no, more) &&
           network_grow_array(n, (void **)&n->tenants, &n->tenant_cap, n->tenant_count + more,
                              sizeof *n->tenants);
}

bool network_grow_keys(struct network *n, uint32_t more)
{
    return grow_textmap(n, &n->keys_by_id, more);
}

bool network_grow_agents(struct network *n, struct tenant *t, uint32_t more)
{
    if (!grow_textmap(n, &t->agents_by_id, more) || !grow_u64map(n, &n->agents_by_no, more) ||
        !network_grow_array(n, (void **)&t->agents, &t->agent_cap, t->agent_count + more,
                            sizeof *t->agents) ||
        !network_grow_array(n, (void **)&t->reach, &t->reach_cap, t->agent_count + more, 1) ||
        !network_grow_array(n, (void **)&t->agent_nos, &t->nos_cap, t->agent_count + more,
                            sizeof *t->agent_nos) ||
        !agent_index_reserve(n, t, more))
        return false;
    if (!t->profiles.dim || flat_has_room(&t->profiles, more))
        return true; /* without a dimension there are no profiles yet */
    pthread_rwlock_wrlock(&n->lock);
    bool ok = flat_reserve(&t->profiles, more);
    pthread_rwlock_unlock(&n->lock);
    return ok;
}

bool network_grow_edges(struct network *n, struct agent *a, uint32_t more)
{
    return grow_u64map(n, &a->edge_by_dst, more) &&
           network_grow_array(n, (void **)&a->edges, &a->edge_cap, a->edge_count + more,
                              sizeof *a->edges);
}

bool network_grow_live(struct network *n, uint32_t more)
{
    return grow_u64map(n, &n->live_by_id, more) && grow_u64map(n, &n->live_by_no, more) &&
           grow_u64map(n, &n->live_by_client, more);
}
