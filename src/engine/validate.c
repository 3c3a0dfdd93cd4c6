/* SPDX-License-Identifier: MIT
 *
 * Whether the network is whole: every cross-reference, both ways, and every counter.  Each fact is
 * written down twice for speed somewhere; here the two are compared.  Linear in the network.
 *
 * Takes the read lock and inbox_lock, so it may run at any time, on any thread but the writer's. */
#include "engine/agent_index_priv.h"
#include "engine/live_priv.h"
#include "engine/memory_index_priv.h"
#include "engine/memory_words_priv.h"

#include <stdarg.h>
#include <stdio.h>

#include "route/plasticity.h"

struct validity {
    const struct network *n;
    char *text; /* of the first thing found wrong */
    bool busy;  /* a command may stand between its check and its publish */
};

/* Notes what is wrong once; yields the condition. */
#define HOLDS(v, condition, ...) ((condition) || wrong((v), #condition, __VA_ARGS__))

static bool QMN_PRINTF(3, 4) wrong(struct validity *v, const char *condition, const char *fmt, ...)
{
    va_list args;
    int len = snprintf(v->text, VALIDATE_TEXT, "%s: ", condition);
    va_start(args, fmt);
    if (len > 0 && len < VALIDATE_TEXT)
        vsnprintf(v->text + len, VALIDATE_TEXT - (size_t)len, fmt, args);
    va_end(args);
    return false;
}

static void *at(const struct u64map *m, uint64_t key)
{
    uint64_t *v = u64map_get(m, key);
    return v ? (void *)(uintptr_t)*v : NULL;
}

/* ---- agents ---- */

static bool edges_hold(struct validity *v, const struct agent *a, uint64_t *total)
{
    const struct tenant *t = a->tenant;
    *total += a->edge_count;
    if (!HOLDS(v, a->edge_by_dst.len == a->edge_count, "agent %u", a->slot) ||
        !HOLDS(v, a->edge_count <= a->edge_cap, "agent %u", a->slot))
        return false;
    for (uint32_t i = 0; i < a->edge_count; i++) {
        const struct edge *x = &a->edges[i];
        if (!HOLDS(v, x->dst < t->agent_count, "edge %u of agent %u", i, a->slot) ||
            !HOLDS(v, agent_edge(a, x->dst) == x, "edge %u of agent %u", i, a->slot) ||
            !HOLDS(v, x->dst != a->slot, "agent %u has an edge to itself", a->slot) ||
            !HOLDS(v, x->weight >= EDGE_W_MIN && x->weight <= EDGE_W_MAX, "%g", x->weight) ||
            !HOLDS(v, x->success >= 0 && x->decay >= 0, "edge %u of agent %u", i, a->slot) ||
            !HOLDS(v, a->log_no || !x->row_behind, "edge %u of agent %u", i, a->slot))
            return false;
    }
    return HOLDS(v, a->log_no || !a->recents_behind, "tasks of agent %u", a->slot);
}

static bool waiters_hold(struct validity *v, struct waiter *const *list)
{
    for (struct waiter *const *link = list; *link; link = &(*link)->next)
        if (!HOLDS(v, (*link)->link == link, "a waiter's way back is wrong"))
            return false;
    return true;
}

/* Its nutrients that somebody has in an inbox, newest first. */
static bool own_holds(struct validity *v, const struct agent *a, uint64_t *total)
{
    const struct nutrient *last = NULL;
    for (const struct nutrient *x = a->own; x; last = x, x = x->own_older, ++*total)
        if (!HOLDS(v, x->own_newer == last, "own nutrients of agent %u", a->slot) ||
            !HOLDS(v, x->pending && x->source == a->slot, "own nutrients of agent %u", a->slot) ||
            !HOLDS(v, !last || x->no < last->no, "own nutrients of agent %u", a->slot))
            return false;
    return true;
}

static bool inbox_holds(struct validity *v, const struct agent *a)
{
    uint32_t count = 0;
    const struct delivery *last = NULL;
    uint32_t of[LABEL_SECRET + 1] = {0};
    bool passed = false;
    for (const struct delivery *d = a->inbox_head; d; last = d, d = d->next, count++)
        if (!HOLDS(v, d->nutrient->sensitivity <= LABEL_SECRET, "inbox of agent %u", a->slot) ||
            !HOLDS(v, ++of[d->nutrient->sensitivity], "inbox of agent %u", a->slot) ||
            !HOLDS(v, (passed |= d == a->inbox_scan) || d->ready_ms >= a->inbox_scan_ms,
                   "inbox of agent %u is looked at too late", a->slot) ||
            !HOLDS(v, d->prev == last, "inbox of agent %u", a->slot) ||
            !HOLDS(v, d->queued && d->state == DELIVERY_PENDING, "inbox of agent %u", a->slot) ||
            !HOLDS(v, d->agent == a, "inbox of agent %u", a->slot) ||
            !HOLDS(v, !last || last->nutrient->no < d->nutrient->no, "order of inbox %u",
                   a->slot) ||
            !HOLDS(v, at(&v->n->live_by_no, (uint64_t)d->nutrient->no) == d->nutrient,
                   "inbox of agent %u", a->slot))
            return false;
    return HOLDS(v, a->inbox_tail == last, "inbox of agent %u", a->slot) &&
           HOLDS(v, passed == (a->inbox_scan != NULL), "inbox of agent %u", a->slot) &&
           HOLDS(v, a->inbox_pending == count, "%u and %u", a->inbox_pending, count) &&
           HOLDS(v, memcmp(of, a->pending_of, sizeof of) == 0, "labels of agent %u", a->slot) &&
           HOLDS(v, !count || a->record->status != AGENT_SUSPENDED, "agent %u", a->slot) &&
           waiters_hold(v, &a->waiters);
}

static bool agent_holds(struct validity *v, const struct tenant *t, uint32_t slot)
{
    const struct agent *a = t->agents[slot];
    bool open = a->record->status == AGENT_ACTIVE && a != t->default_agent;
    return HOLDS(v, a->tenant == t && a->slot == slot, "agent %u", slot) &&
           HOLDS(v, tenant_agent(t, a->record->id) == a, "agent %u", slot) &&
           HOLDS(v, at(&v->n->agents_by_no, (uint64_t)a->record->no) == a, "agent %u", slot) &&
           HOLDS(v, a->record->tenant_no == t->record->no, "agent %u", slot) &&
           HOLDS(v, t->reach[slot] == (open ? a->record->clearance : 0), "agent %u", slot) &&
           inbox_holds(v, a);
}

static bool agents_hold(struct validity *v, const struct tenant *t, uint64_t *total)
{
    uint64_t edges = 0;
    uint32_t active = 0;
    *total += t->agent_count;
    for (uint32_t i = 0; i < t->agent_count; i++) {
        const struct agent *a = t->agents[i];
        if (!agent_holds(v, t, i) || !edges_hold(v, a, &edges))
            return false;
        active += a != t->default_agent && a->record->status != AGENT_SUSPENDED;
    }
    return HOLDS(v, t->agents_by_id.len == t->agent_count, "%zu", t->agents_by_id.len) &&
           HOLDS(v, t->active_agents == active, "%u and %u", t->active_agents, active) &&
           HOLDS(v, t->edge_count == edges, "%llu", (unsigned long long)edges) &&
           HOLDS(v, agent_index_holds(t), "the index of agents") &&
           HOLDS(v, !t->profiles.dim || t->profiles.slots == t->agent_count, "%u of %u",
                 t->profiles.slots, t->agent_count) &&
           HOLDS(v, tenant_agent(t, BYTES_LIT(DEFAULT_AGENT_ID)) == t->default_agent, "tenant");
}

/* ---- tags ---- */

static bool has_number(const uint32_t *numbers, uint32_t count, uint32_t number)
{
    for (uint32_t i = 0; i < count; i++)
        if (numbers[i] == number)
            return true;
    return false;
}

static uint32_t recent_with(const struct agent *a, uint32_t number)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < LIMIT_RECENT_TASKS; i++)
        n += has_number(a->recent[i].tags, a->recent[i].count, number);
    return n;
}

static const struct posting *posting_of(const struct postings *p, uint32_t agent)
{
    uint64_t *index = u64map_get(&p->at, agent);
    return index ? &p->items[*index] : NULL;
}

/* What decisions read is what the tag has. */
static bool set_shown(const struct tenant *t, const struct tag *g)
{
    const struct tag_set *shown = &t->tags.recent[g->number];
    return shown->bits == g->recent.bits && shown->words == g->recent.words &&
           shown->oldest_ms == g->recent.oldest_ms;
}

static bool tag_holds(struct validity *v, const struct tenant *t, const struct tag *g)
{
    uint32_t refs = 0, capable = 0, recent = 0;
    for (uint32_t i = 0; i < t->agent_count; i++) {
        const struct agent *a = t->agents[i];
        const struct posting *c = posting_of(&g->capable, i), *r = posting_of(&g->recent, i);
        uint32_t can = has_number(a->capability_tags, a->capability_count, g->number);
        uint32_t did = recent_with(a, g->number);
        if (!HOLDS(v, can == (c != NULL), "tag \"%.*s\", agent %u", BYTES_FMT(g->text), i) ||
            !HOLDS(v, did == (r ? r->count : 0), "tag \"%.*s\", agent %u", BYTES_FMT(g->text), i))
            return false;
        refs += can + did;
        capable += can;
        recent += did > 0;
    }
    return HOLDS(v, g->refs == refs || (v->busy && g->refs > refs), "tag \"%.*s\": %u and %u",
                 BYTES_FMT(g->text), g->refs, refs) &&
           HOLDS(v, g->capable.count == capable, "tag \"%.*s\"", BYTES_FMT(g->text)) &&
           HOLDS(v, g->recent.count == recent, "tag \"%.*s\"", BYTES_FMT(g->text)) &&
           HOLDS(v, set_shown(t, g), "tag \"%.*s\"", BYTES_FMT(g->text));
}

static bool tags_hold(struct validity *v, const struct tenant *t)
{
    uint32_t alive = 0;
    for (uint32_t i = 0; i < t->tags.count; i++) {
        const struct tag *g = t->tags.items[i];
        if (!g)
            continue;
        alive++;
        if (!HOLDS(v, g->number == i, "tag %u", i) ||
            !HOLDS(v, tags_find(&t->tags, g->text) == g, "tag \"%.*s\"", BYTES_FMT(g->text)) ||
            !tag_holds(v, t, g))
            return false;
    }
    return HOLDS(v, t->tags.by_text.len == alive, "%zu and %u", t->tags.by_text.len, alive) &&
           HOLDS(v, t->tags.freed_count + alive == t->tags.count, "%u freed", t->tags.freed_count);
}

/* ---- what is alive ---- */

static bool nutrient_holds(struct validity *v, const struct nutrient *x)
{
    uint32_t queued = 0;
    for (uint32_t i = 0; i < x->delivery_count; i++) {
        const struct delivery *d = &x->deliveries[i];
        queued += d->queued;
        if (!HOLDS(v, d->nutrient == x && d->agent->tenant == x->tenant, "delivery %u", i) ||
            !HOLDS(v, nutrient_delivery((struct nutrient *)(uintptr_t)x, d->agent) == d,
                   "an agent is reached twice") ||
            !HOLDS(v, d->agent->slot != x->source, "a nutrient came back to its source") ||
            !HOLDS(v, d->queued == (d->state == DELIVERY_PENDING), "delivery %u: state %u", i,
                   d->state))
            return false;
    }
    return HOLDS(v, x->pending == queued, "%u and %u", x->pending, queued) &&
           HOLDS(v, queued || !x->bytes, "%u bytes count, but nobody waits for it", x->bytes) &&
           HOLDS(v, queued || !x->codes, "nutrient %lld keeps its codes", (long long)x->no) &&
           HOLDS(v, network_live(v->n, x->tenant, &x->id) == x, "nutrient %lld",
                 (long long)x->no) &&
           HOLDS(v, at(&v->n->live_by_no, (uint64_t)x->no) == x, "nutrient %lld",
                 (long long)x->no) &&
           HOLDS(v,
                 !x->client_id.len ||
                     network_live_client(v->n, x->tenant, x->sensitivity, x->client_id) == x,
                 "nutrient %lld", (long long)x->no);
}

static bool live_holds(struct validity *v, const struct tenant *t, uint64_t *total, uint64_t *named)
{
    uint64_t bytes = 0, count = 0, queued = 0, own = 0;
    const struct nutrient *last = NULL;
    bool bounded_seen = !t->bounded;
    for (const struct nutrient *x = t->oldest; x; last = x, x = x->newer, count++) {
        if (!HOLDS(v, x->tenant == t && x->older == last, "nutrient %lld", (long long)x->no) ||
            !HOLDS(v, !last || last->no < x->no, "nutrient %lld", (long long)x->no) ||
            !HOLDS(v, x->source < t->agent_count, "nutrient %lld", (long long)x->no) ||
            !nutrient_holds(v, x))
            return false;
        bounded_seen |= x == t->bounded;
        if (!HOLDS(v, bounded_seen || !x->bytes, "bytes before the bounded one"))
            return false;
        bytes += x->bytes;
        queued += x->pending > 0;
        *named += x->client_id.len > 0;
    }
    *total += count;
    for (uint32_t i = 0; i < t->agent_count; i++)
        if (!own_holds(v, t->agents[i], &own))
            return false;
    return HOLDS(v, own == queued, "%llu and %llu", (unsigned long long)own,
                 (unsigned long long)queued) &&
           HOLDS(v, t->newest == last, "the newest is not last") &&
           HOLDS(v, bounded_seen, "the bounded one is not in the list") &&
           HOLDS(v, t->live_count == count, "%llu", (unsigned long long)count) &&
           HOLDS(v, t->live_bytes == bytes, "%llu and %llu", (unsigned long long)t->live_bytes,
                 (unsigned long long)bytes) &&
           waiters_hold(v, &t->collects);
}

/* What is counted as stored is what stands in memory. */
static bool stored_holds(struct validity *v, const struct tenant *t)
{
    uint64_t bytes = 0;
    for (const struct nutrient *x = t->oldest; x; x = x->newer)
        bytes += x->stored;
    for (uint32_t i = 0; i < t->response_index.slots; i++)
        bytes += t->responses[i].stored;
    for (uint32_t i = 0; i < t->memory_slots; i++)
        bytes += t->memories[i].stored;
    for (size_t i = 0; i < t->tasks_by_id.cap; i++) {
        const struct record_task *task = t->tasks_by_id.slots[i].value;
        bytes += task ? task->id.len + task->title.len + task->metadata.len : 0;
    }
    return HOLDS(v, t->stored_bytes == bytes, "%llu and %llu", (unsigned long long)t->stored_bytes,
                 (unsigned long long)bytes);
}

static bool responses_hold(struct validity *v, const struct tenant *t)
{
    uint32_t used = 0;
    for (uint32_t i = 0; i < t->response_index.slots; i++) {
        const struct response *r = &t->responses[i];
        used += r->used;
        if (!HOLDS(v, r->used == flat_has(&t->response_index, i), "slot %u", i) ||
            !HOLDS(v, r->agent < t->agent_count, "slot %u", i))
            return false;
    }
    return HOLDS(v, t->response_index.live == used, "%u and %u", t->response_index.live, used) &&
           HOLDS(v, t->response_index.slots <= t->response_cap || !used, "responses");
}

/* Each leads to one that has it, and those with a history are found by their number. */
static bool prints_hold(struct validity *v, const struct tenant *t)
{
    size_t old = 0;
    for (size_t i = 0; i < t->memory_by_print.cap; i++) {
        const struct u64map_slot *x = &t->memory_by_print.slots[i];
        if (t->memory_by_print.full[i] &&
            !HOLDS(v, t->memories[x->value].used && t->memories[x->value].print == x->key,
                   "slot %llu", (unsigned long long)x->value))
            return false;
    }
    for (uint32_t i = 0; i < t->memory_slots; i++) {
        const struct memory *m = &t->memories[i];
        const uint64_t *at = u64map_get(&t->memory_by_no, (uint64_t)m->no);
        old += m->used && m->version > 1;
        if (!HOLDS(v, !m->used || m->version <= 1 || (at && *at == i), "slot %u", i))
            return false;
    }
    return HOLDS(v, t->memory_by_no.len == old, "%zu and %zu", t->memory_by_no.len, old);
}

/* What a memory is found by leads to it, and each term has as many as say so. */
static bool facts_hold(struct validity *v, const struct memory *m, uint32_t slot, uint64_t *terms,
                       uint64_t *numbers)
{
    if (!HOLDS(v, !m->used == !m->facts, "slot %u", slot) || !m->used)
        return !m->used;
    *terms += m->facts->term_count;
    *numbers += m->facts->number_count;
    for (uint32_t i = 0; i < m->facts->term_count; i++)
        if (!HOLDS(v, slotset_has(&m->facts->terms[i]->set, slot), "slot %u", slot))
            return false;
    for (uint32_t i = 0; i < m->facts->number_count; i++) {
        const struct number_fact *x = &m->facts->numbers[i];
        const struct numbers *n = x->path->numbers;
        if (!HOLDS(v, x->at < n->count && n->owners[x->at] == x, "slot %u", slot) ||
            !HOLDS(v,
                   n->slots[x->at] == slot && !(n->values[x->at] < x->value) &&
                       !(n->values[x->at] > x->value),
                   "slot %u", slot))
            return false;
    }
    return true;
}

static bool columns_hold(struct validity *v, const struct memory_sets *s, const struct memory *m,
                         uint32_t slot)
{
    uint32_t w = slot / SLOTSET_WORD, i = slot % SLOTSET_WORD;
    if (!HOLDS(v, w < s->words, "slot %u", slot))
        return false;
    const struct memory_head *head = &s->heads[w];
    const struct memory_columns *c = &s->columns;
    for (uint32_t label = LABEL_PUBLIC; label <= LABEL_SECRET; label++)
        if (!HOLDS(v, (head->label[label - 1] >> i & 1) == (m->used && m->sensitivity == label),
                   "slot %u", slot))
            return false;
    return HOLDS(v, c->expires_ms[slot] == m->expires_ms, "slot %u", slot) &&
           HOLDS(v, !m->expires_ms || head->soonest_ms <= m->expires_ms, "slot %u", slot) &&
           HOLDS(v,
                 !m->used || (c->created_ms[slot] == m->created_ms &&
                              c->updated_ms[slot] == m->updated_ms &&
                              !(c->quality[slot] < m->quality) && !(c->quality[slot] > m->quality)),
                 "slot %u", slot);
}

static bool sets_hold(struct validity *v, const struct tenant *t)
{
    const struct terms *x = &t->memory_sets.terms;
    uint64_t terms = 0, numbers = 0, all_terms = 0, all_numbers = 0;
    for (uint32_t i = 0; i < t->memory_slots; i++)
        if (!facts_hold(v, &t->memories[i], i, &terms, &numbers) ||
            !columns_hold(v, &t->memory_sets, &t->memories[i], i))
            return false;
    for (size_t i = 0; i < x->by_key.cap; i++) {
        const struct term *term = x->by_key.slots[i].value;
        all_terms += term ? term->set.count : 0;
        all_numbers += term && term->numbers ? term->numbers->count : 0;
    }
    return HOLDS(v, terms == all_terms, "%llu and %llu", (unsigned long long)terms,
                 (unsigned long long)all_terms) &&
           HOLDS(v, numbers == all_numbers, "%llu and %llu", (unsigned long long)numbers,
                 (unsigned long long)all_numbers);
}

static bool memories_hold(struct validity *v, const struct tenant *t)
{
    uint32_t used = 0;
    for (uint32_t i = 0; i < t->memory_slots; i++) {
        const struct memory *m = &t->memories[i];
        used += m->used;
        if (!HOLDS(v, m->used == vectors_has(t->memory_index, i), "slot %u", i) ||
            !HOLDS(v, !m->used || memory_slot(t, &m->id) == i, "slot %u", i) ||
            !HOLDS(v, !m->used || m->kind < t->memory_kind_count, "slot %u", i) ||
            !HOLDS(v, m->agent < t->agent_count, "slot %u", i))
            return false;
    }
    if (t->memory_index)
        vectors_validate(t->memory_index);
    return prints_hold(v, t) && sets_hold(v, t) &&
           HOLDS(v, memory_words_hold(t), "words of memories") &&
           HOLDS(v, t->memory_count == used, "%u and %u", t->memory_count, used) &&
           HOLDS(v, t->memory_by_id.len == used, "%zu and %u", t->memory_by_id.len, used) &&
           HOLDS(v, t->memory_kind_ids.len == t->memory_kind_count, "%u", t->memory_kind_count);
}

/* ---- all ---- */

static bool tenant_keys_hold(struct validity *v, const struct tenant *t, size_t *total)
{
    uint32_t count = 0;
    for (const struct key *k = t->keys; k; k = k->sibling, count++)
        if (!HOLDS(v, k->tenant == t && network_key(v->n, k->record->id) == k, "key %u", count))
            return false;
    *total += count;
    return HOLDS(v, t->key_count == count, "%u and %u", t->key_count, count);
}

static bool keys_hold(struct validity *v)
{
    size_t count = 0, listed = 0;
    for (size_t i = 0; i < v->n->keys_by_id.cap; i++) {
        const struct key *k = v->n->keys_by_id.slots[i].value;
        if (!k)
            continue;
        count++;
        if (!HOLDS(v, network_key(v->n, k->record->id) == k, "key %zu", i) ||
            !HOLDS(v, k->record->tenant_no == k->tenant->record->no, "key %zu", i))
            return false;
    }
    for (uint32_t i = 0; i < v->n->tenant_count; i++)
        if (!tenant_keys_hold(v, v->n->tenants[i], &listed))
            return false;
    return HOLDS(v, v->n->keys_by_id.len == count, "%zu and %zu", v->n->keys_by_id.len, count) &&
           HOLDS(v, listed == count, "%zu and %zu", listed, count);
}

static bool network_holds(struct validity *v)
{
    const struct network *n = v->n;
    uint64_t agents = 0, live = 0, named = 0;
    for (uint32_t i = 0; i < n->tenant_count; i++) {
        const struct tenant *t = n->tenants[i];
        if (!HOLDS(v, network_tenant(n, t->record->id) == t, "tenant %u", i) ||
            !HOLDS(v, network_tenant_no(n, t->record->no) == t, "tenant %u", i) ||
            !agents_hold(v, t, &agents) || !tags_hold(v, t) || !live_holds(v, t, &live, &named) ||
            !responses_hold(v, t) || !stored_holds(v, t) || !memories_hold(v, t))
            return false;
    }
    return HOLDS(v, n->tenants_by_id.len == n->tenant_count, "%zu", n->tenants_by_id.len) &&
           HOLDS(v, n->tenants_by_no.len == n->tenant_count, "%zu", n->tenants_by_no.len) &&
           HOLDS(v, n->agents_by_no.len == agents, "%zu", n->agents_by_no.len) &&
           HOLDS(v, n->live_by_no.len == live, "%zu", n->live_by_no.len) &&
           HOLDS(v, n->live_by_id.len == live, "%zu", n->live_by_id.len) &&
           HOLDS(v, n->live_by_client.len == named, "%zu", n->live_by_client.len) && keys_hold(v);
}

static bool validate(struct network *n, bool busy, char ret_text[VALIDATE_TEXT])
{
    struct validity v = {.n = n, .text = ret_text, .busy = busy};
    ret_text[0] = 0;
    pthread_rwlock_rdlock(&n->lock);
    pthread_mutex_lock(&n->inbox_lock);
    pthread_mutex_lock(&n->index_lock);
    bool ok = network_holds(&v);
    pthread_mutex_unlock(&n->index_lock);
    pthread_mutex_unlock(&n->inbox_lock);
    pthread_rwlock_unlock(&n->lock);
    return ok;
}

bool network_validate(struct network *n, char ret_text[VALIDATE_TEXT])
{
    return validate(n, false, ret_text);
}

bool network_validate_busy(struct network *n, char ret_text[VALIDATE_TEXT])
{
    return validate(n, true, ret_text);
}
