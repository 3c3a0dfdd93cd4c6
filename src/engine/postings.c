/* SPDX-License-Identifier: MIT
 *
 * Who has a tag. */
#include "base/mem.h"
#include "engine/tags_priv.h"

enum {
    BITS_FROM = 16, /* agents with the tag: below it the list is as fast */
    WORD = 64,
};
#define OLDEST_SLACK_MS                                                                            \
    (12 * INT64_C(3600000)) /* how far oldest_ms may lag before it is looked up again */

void postings_release(struct postings *p)
{
    mem_free(p->items);
    mem_free(p->bits);
    u64map_release(&p->at);
}

bool postings_reserve(struct postings *p)
{
    uint32_t need = p->count + p->reserved + 1;
    if (need > p->cap) {
        uint32_t cap = p->cap ? p->cap * 2 : 4;
        struct posting *items = mem_resize(p->items, cap, sizeof *items);
        if (!items)
            return false;
        p->items = items;
        p->cap = cap;
    }
    if (!u64map_reserve(&p->at, p->reserved + 1))
        return false;
    p->reserved++;
    return true;
}

static void set_bit(struct postings *p, uint32_t agent)
{
    p->bits[agent / WORD] |= UINT64_C(1) << (agent % WORD);
}

static void drop_bits(struct postings *p)
{
    mem_free(p->bits);
    p->bits = NULL;
    p->words = 0;
}

bool postings_reserve_bit(struct postings *p, uint32_t agent)
{
    uint32_t words = agent / WORD + 1;
    if ((!p->bits && p->count + p->reserved < BITS_FROM) || words <= p->words)
        return true;
    if (words < p->words * 2)
        words = p->words * 2;
    for (uint32_t i = 0; i < p->count; i++)
        if (p->items[i].agent / WORD + 1 > words)
            words = p->items[i].agent / WORD + 1;
    uint64_t *bits = mem_calloc(words, sizeof *bits);
    if (!bits)
        return false;
    mem_free(p->bits);
    p->bits = bits;
    p->words = words;
    for (uint32_t i = 0; i < p->count; i++)
        set_bit(p, p->items[i].agent);
    return true;
}

/* Looks the bound up again once it lags: a stale one only costs a decision the slow way. */
static void refresh_oldest(struct postings *p, int64_t now_ms)
{
    if (now_ms - p->oldest_ms < OLDEST_SLACK_MS)
        return;
    p->oldest_ms = now_ms;
    for (uint32_t i = 0; i < p->count; i++)
        if (p->items[i].last_ms < p->oldest_ms)
            p->oldest_ms = p->items[i].last_ms;
}

void postings_add(struct postings *p, uint32_t agent, int64_t at_ms)
{
    uint64_t *at = u64map_get(&p->at, agent);
    p->reserved -= p->reserved > 0;
    if (!p->count || at_ms < p->oldest_ms)
        p->oldest_ms = at_ms;
    if (at) {
        p->items[*at].count++;
        if (at_ms > p->items[*at].last_ms)
            p->items[*at].last_ms = at_ms;
    } else {
        u64map_put(&p->at, agent, p->count);
        p->items[p->count++] = (struct posting){.agent = agent, .count = 1, .last_ms = at_ms};
        if (p->bits && agent / WORD < p->words)
            set_bit(p, agent);
        else
            drop_bits(p); /* made after this place was promised, and too small: the next promise
                             makes it anew */
    }
    refresh_oldest(p, at_ms);
}

void postings_remove(struct postings *p, uint32_t agent)
{
    uint64_t *at = u64map_get(&p->at, agent);
    if (!at || --p->items[*at].count)
        return;
    uint64_t hole = *at;
    u64map_remove(&p->at, agent);
    p->count--;
    if (hole != p->count) {
        p->items[hole] = p->items[p->count];
        *u64map_get(&p->at, p->items[hole].agent) = hole;
    }
    if (p->bits)
        p->bits[agent / WORD] &= ~(UINT64_C(1) << (agent % WORD));
}
