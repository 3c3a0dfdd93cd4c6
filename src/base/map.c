/* SPDX-License-Identifier: MIT
 *
 * Open-addressing hash maps. */
#include "map.h"

#include <assert.h>
#include <stdatomic.h>
#include <string.h>

#include "mem.h"
#include "rng.h"

enum { MAP_FIRST = 16 };

static size_t capacity_for(size_t cap, size_t need)
{
    size_t want = cap ? cap : MAP_FIRST;
    while (want / 8 * 7 < need)
        want *= 2;
    return want;
}

static uint64_t u64_mix(uint64_t x)
{
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    return x ^ (x >> 32);
}

void u64map_release(struct u64map *m)
{
    mem_free(m->slots);
    mem_free(m->full);
    *m = (struct u64map){0};
}

void u64map_clear(struct u64map *m)
{
    if (m->len)
        memset(m->full, 0, m->cap);
    m->len = 0;
}

static void u64map_insert(struct u64map *m, uint64_t key, uint64_t value)
{
    size_t i = u64_mix(key) & (m->cap - 1);
    while (m->full[i])
        i = (i + 1) & (m->cap - 1);
    m->full[i] = 1;
    m->slots[i] = (struct u64map_slot){key, value};
    m->len++;
}

bool u64map_reserve(struct u64map *m, size_t more)
{
    if (m->cap && m->len + more <= m->cap / 8 * 7)
        return true;
    size_t cap = capacity_for(m->cap, m->len + more);
    struct u64map next = {.cap = cap};
    next.slots = mem_calloc(cap, sizeof *next.slots);
    next.full = mem_calloc(cap, 1);
    if (!next.slots || !next.full) {
        u64map_release(&next);
        return false;
    }
    assert(!m->cap || (m->slots && m->full));
    for (size_t i = 0; i < m->cap; i++)
        if (m->full[i])
            u64map_insert(&next, m->slots[i].key, m->slots[i].value);
    u64map_release(m);
    *m = next;
    return true;
}

static bool u64map_find(const struct u64map *m, uint64_t key, size_t *ret_at)
{
    if (!m->cap)
        return false;
    for (size_t i = u64_mix(key) & (m->cap - 1); m->full[i]; i = (i + 1) & (m->cap - 1))
        if (m->slots[i].key == key) {
            *ret_at = i;
            return true;
        }
    return false;
}

uint64_t *u64map_get(const struct u64map *m, uint64_t key)
{
    size_t at;
    return u64map_find(m, key, &at) ? &m->slots[at].value : NULL;
}

bool u64map_put(struct u64map *m, uint64_t key, uint64_t value)
{
    uint64_t *at = u64map_get(m, key);
    if (at) {
        *at = value;
        return true;
    }
    if (!u64map_reserve(m, 1))
        return false;
    u64map_insert(m, key, value);
    return true;
}

bool u64map_remove(struct u64map *m, uint64_t key)
{
    size_t hole, mask = m->cap - 1;
    if (!u64map_find(m, key, &hole))
        return false;
    for (size_t i = (hole + 1) & mask; m->full[i]; i = (i + 1) & mask) {
        size_t home = u64_mix(m->slots[i].key) & mask;
        if (((i - home) & mask) < ((i - hole) & mask))
            continue; /* its home lies after the hole: it may stay */
        m->slots[hole] = m->slots[i];
        hole = i;
    }
    m->full[hole] = 0;
    m->len--;
    return true;
}

static uint64_t text_seed(void)
{
    static _Atomic uint64_t seed;
    uint64_t s = atomic_load_explicit(&seed, memory_order_relaxed);
    if (s)
        return s;
    uint64_t fresh, expected = 0;
    rng_secure(&fresh, sizeof fresh);
    fresh |= 1;
    return atomic_compare_exchange_strong(&seed, &expected, fresh) ? fresh : expected;
}

void textmap_release(struct textmap *m)
{
    mem_free(m->slots);
    *m = (struct textmap){0};
}

static void textmap_insert(struct textmap *m, struct textmap_slot slot)
{
    size_t i = slot.hash & (m->cap - 1);
    while (m->slots[i].value)
        i = (i + 1) & (m->cap - 1);
    m->slots[i] = slot;
    m->len++;
}

bool textmap_reserve(struct textmap *m, size_t more)
{
    if (m->cap && m->len + more <= m->cap / 8 * 7)
        return true;
    struct textmap next = {.cap = capacity_for(m->cap, m->len + more)};
    next.slots = mem_calloc(next.cap, sizeof *next.slots);
    if (!next.slots)
        return false;
    for (size_t i = 0; i < m->cap; i++)
        if (m->slots[i].value)
            textmap_insert(&next, m->slots[i]);
    mem_free(m->slots);
    *m = next;
    return true;
}

static struct textmap_slot *textmap_find(const struct textmap *m, struct bytes key, uint64_t hash)
{
    if (!m->cap)
        return NULL;
    for (size_t i = hash & (m->cap - 1); m->slots[i].value; i = (i + 1) & (m->cap - 1))
        if (m->slots[i].hash == hash && bytes_equal(m->slots[i].key, key))
            return &m->slots[i];
    return NULL;
}

void *textmap_get(const struct textmap *m, struct bytes key)
{
    struct textmap_slot *s = textmap_find(m, key, bytes_hash(key, text_seed()));
    return s ? s->value : NULL;
}

bool textmap_put(struct textmap *m, struct bytes key, void *value)
{
    uint64_t hash = bytes_hash(key, text_seed());
    struct textmap_slot *s = textmap_find(m, key, hash);
    if (s) {
        s->key = key;
        s->value = value;
        return true;
    }
    if (!textmap_reserve(m, 1))
        return false;
    textmap_insert(m, (struct textmap_slot){key, hash, value});
    return true;
}

void *textmap_remove(struct textmap *m, struct bytes key)
{
    struct textmap_slot *s = textmap_find(m, key, bytes_hash(key, text_seed()));
    if (!s)
        return NULL;
    void *value = s->value;
    size_t mask = m->cap - 1, hole = (size_t)(s - m->slots);
    for (size_t i = (hole + 1) & mask; m->slots[i].value; i = (i + 1) & mask) {
        size_t home = m->slots[i].hash & mask;
        if (((i - home) & mask) < ((i - hole) & mask))
            continue;
        m->slots[hole] = m->slots[i];
        hole = i;
    }
    m->slots[hole] = (struct textmap_slot){0};
    m->len--;
    return value;
}
