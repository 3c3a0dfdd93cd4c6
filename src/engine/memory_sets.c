/* SPDX-License-Identifier: MIT
 *
 * The sets of a tenant's memories follow its rows. */
#include "engine/memory_sets_priv.h"

#include "base/mem.h"
#include "engine/network_priv.h"

bool memory_sets_grow(struct network *n, struct tenant *t)
{
    struct memory_sets *s = &t->memory_sets;
    uint32_t words = t->memory_cap / SLOTSET_WORD + 1;
    return network_grow_array(n, (void **)&s->heads, &s->head_cap, words, sizeof *s->heads) &&
           network_grow_array(n, (void **)&s->columns, &s->column_cap, words, sizeof *s->columns);
}

/* What a damaged row might say is kept inside the array. */
static uint64_t *label_bits(struct memory_head *head, uint32_t label)
{
    uint32_t i = label > LABEL_SECRET ? LABEL_SECRET : label;
    return &head->label[i ? i - 1 : 0];
}

static void set_up(struct memory_sets *s, uint32_t word)
{
    for (; s->words <= word; s->words++) {
        s->heads[s->words] = (struct memory_head){.soonest_ms = INT64_MAX};
        memset(&s->columns[s->words], 0, sizeof *s->columns);
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
    struct memory_columns *c = &s->columns[w];
    *label_bits(head, m->sensitivity) |= UINT64_C(1) << i;
    if (m->expires_ms && m->expires_ms < head->soonest_ms)
        head->soonest_ms = m->expires_ms;
    c->quality[i] = m->quality;
    c->created_ms[i] = m->created_ms;
    c->updated_ms[i] = m->updated_ms;
    c->expires_ms[i] = m->expires_ms;
    terms_add(&s->terms, m->facts, slot);
}

static int64_t soonest_of(const struct memory_columns *c)
{
    int64_t soonest = INT64_MAX;
    for (uint32_t i = 0; i < SLOTSET_WORD; i++)
        if (c->expires_ms[i] && c->expires_ms[i] < soonest)
            soonest = c->expires_ms[i];
    return soonest;
}

void memory_sets_remove(struct tenant *t, uint32_t slot)
{
    struct memory_sets *s = &t->memory_sets;
    struct memory *m = &t->memories[slot];
    uint32_t w = slot / SLOTSET_WORD, i = slot % SLOTSET_WORD;
    s->changes++;
    *label_bits(&s->heads[w], m->sensitivity) &= ~(UINT64_C(1) << i);
    s->columns[w].expires_ms[i] = 0;
    if (m->expires_ms && m->expires_ms == s->heads[w].soonest_ms)
        s->heads[w].soonest_ms = soonest_of(&s->columns[w]);
    terms_remove(&s->terms, TAKE(m->facts), slot);
}

void memory_sets_release(struct memory_sets *s)
{
    mem_free(s->heads);
    mem_free(s->columns);
    terms_release(&s->terms);
    *s = (struct memory_sets){0};
}
