/* SPDX-License-Identifier: MIT
 *
 * The sets of a tenant's memories follow its rows. */
#include "engine/memory_sets_priv.h"

#include "base/mem.h"
#include "engine/network_priv.h"

bool memory_sets_grow(struct network *n, struct tenant *t)
{
    struct memory_sets *s = &t->memory_sets;
    struct memory_columns *c = &s->columns;
    uint32_t words = t->memory_cap / SLOTSET_WORD + 1, slots = words * SLOTSET_WORD;
    return network_grow_array(n, (void **)&s->heads, &s->head_cap, words, sizeof *s->heads) &&
           network_grow_array(n, (void **)&c->quality, &c->quality_cap, slots, sizeof(double)) &&
           network_grow_array(n, (void **)&c->created_ms, &c->created_cap, slots,
                              sizeof(int64_t)) &&
           network_grow_array(n, (void **)&c->updated_ms, &c->updated_cap, slots,
                              sizeof(int64_t)) &&
           network_grow_array(n, (void **)&c->expires_ms, &c->expires_cap, slots, sizeof(int64_t));
}

/* What a damaged row might say is kept inside the array. */
static uint64_t *label_bits(struct memory_head *head, uint32_t label)
{
    uint32_t i = label > LABEL_SECRET ? LABEL_SECRET : label;
    return &head->label[i ? i - 1 : 0];
}

static void set_up(struct memory_sets *s, uint32_t word)
{
    struct memory_columns *c = &s->columns;
    for (; s->words <= word; s->words++) {
        size_t from = (size_t)s->words * SLOTSET_WORD;
        s->heads[s->words] = (struct memory_head){.soonest_ms = INT64_MAX};
        memset(c->quality + from, 0, SLOTSET_WORD * sizeof *c->quality);
        memset(c->created_ms + from, 0, SLOTSET_WORD * sizeof *c->created_ms);
        memset(c->updated_ms + from, 0, SLOTSET_WORD * sizeof *c->updated_ms);
        memset(c->expires_ms + from, 0, SLOTSET_WORD * sizeof *c->expires_ms);
    }
}

void memory_sets_add(struct tenant *t, uint32_t slot)
{
    struct memory_sets *s = &t->memory_sets;
    const struct memory *m = &t->memories[slot];
    uint32_t w = slot / SLOTSET_WORD, i = slot % SLOTSET_WORD;
    set_up(s, w);
    s->changes++;
    struct memory_head *head = &s->heads[w];
    struct memory_columns *c = &s->columns;
    *label_bits(head, m->sensitivity) |= UINT64_C(1) << i;
    if (m->expires_ms && m->expires_ms < head->soonest_ms)
        head->soonest_ms = m->expires_ms;
    c->quality[slot] = m->quality;
    c->created_ms[slot] = m->created_ms;
    c->updated_ms[slot] = m->updated_ms;
    c->expires_ms[slot] = m->expires_ms;
    terms_add(&s->terms, m->facts, slot);
}

static int64_t soonest_of(const int64_t *expires_ms)
{
    int64_t soonest = INT64_MAX;
    for (uint32_t i = 0; i < SLOTSET_WORD; i++)
        if (expires_ms[i] && expires_ms[i] < soonest)
            soonest = expires_ms[i];
    return soonest;
}

void memory_sets_quality(struct tenant *t, uint32_t slot)
{
    struct memory_sets *s = &t->memory_sets;
    s->columns.quality[slot] = t->memories[slot].quality;
    s->changes++;
}

void memory_sets_remove(struct tenant *t, uint32_t slot)
{
    struct memory_sets *s = &t->memory_sets;
    struct memory *m = &t->memories[slot];
    uint32_t w = slot / SLOTSET_WORD, i = slot % SLOTSET_WORD;
    s->changes++;
    *label_bits(&s->heads[w], m->sensitivity) &= ~(UINT64_C(1) << i);
    s->columns.expires_ms[slot] = 0;
    if (m->expires_ms && m->expires_ms == s->heads[w].soonest_ms)
        s->heads[w].soonest_ms = soonest_of(s->columns.expires_ms + (size_t)w * SLOTSET_WORD);
    terms_remove(&s->terms, TAKE(m->facts), slot);
}

void memory_sets_release(struct memory_sets *s)
{
    mem_free(s->heads);
    mem_free(s->columns.quality);
    mem_free(s->columns.created_ms);
    mem_free(s->columns.updated_ms);
    mem_free(s->columns.expires_ms);
    terms_release(&s->terms);
    *s = (struct memory_sets){0};
}
