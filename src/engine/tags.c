/* SPDX-License-Identifier: MIT
 *
 * Interned tags with their postings, and a cache of fuzzy matches per hint. */
#include "engine/tags_priv.h"

#include "base/mem.h"
#include "model/textlist.h"
#include "route/demand.h"

enum {
    HINT_CACHE_MAX = 4096, /* hints remembered per tenant; the cache is emptied beyond */
};

/* Matches of one hint among the tags made up to `serial`, and of those up to `until` the ones whose
 * number is below `next`: a comparison that was cut short goes on there. */
struct hint_matches {
    uint64_t serial, until;
    uint32_t next;    /* 0: none is under way */
    uint64_t dropped; /* tags.dropped when it was last looked whether they are all alive */
    uint32_t count, cap;
    struct tag_match *items; /* best first */
    uint64_t *serials;       /* of their tags: a reused number is another tag */
    struct bytes hint;       /* behind the struct */
};

bool tags_init(struct tags *t)
{
    *t = (struct tags){0};
    return pthread_mutex_init(&t->cache_lock, NULL) == 0;
}

static void tag_free(struct tag *g)
{
    if (!g)
        return;
    postings_release(&g->capable);
    postings_release(&g->recent);
    mem_free((void *)(uintptr_t)g->text.ptr);
    mem_free(g);
}

static void cache_clear(struct tags *t)
{
    for (size_t i = 0; i < t->cache.cap; i++) {
        struct hint_matches *m = t->cache.slots[i].value;
        if (m) {
            mem_free(m->items);
            mem_free(m->serials);
        }
        mem_free(m);
    }
    textmap_release(&t->cache);
}

void tags_release(struct tags *t)
{
    for (uint32_t i = 0; i < t->count; i++)
        tag_free(t->items[i]);
    mem_free(t->items);
    mem_free(t->freed);
    mem_free(t->serials);
    mem_free(t->recent);
    textmap_release(&t->by_text);
    cache_clear(t);
    pthread_mutex_destroy(&t->cache_lock);
    *t = (struct tags){0};
}

/* As tags compare.  One too long to be valid stays as it is. */
static struct bytes folded(struct bytes text, char buf[DEMAND_TAG_BYTES])
{
    if (text.len > DEMAND_TAG_BYTES)
        return text;
    for (size_t i = 0; i < text.len; i++)
        buf[i] = tag_fold(text.ptr[i]);
    return bytes_of(buf, text.len);
}

const struct tag *tags_find(const struct tags *t, struct bytes text)
{
    char buf[DEMAND_TAG_BYTES];
    return textmap_get(&t->by_text, folded(text, buf));
}

struct bytes tags_distinct(struct bytes list, struct arena *arena)
{
    char *out = arena_alloc(arena, list.len + 1), buf[DEMAND_TAG_BYTES];
    struct bytes distinct = bytes_of(out, 0), each;
    while (out && textlist_next(&list, &each)) {
        each = folded(each, buf);
        if (textlist_has(distinct, each))
            continue;
        memcpy(out + distinct.len, each.ptr, each.len);
        distinct.len += each.len;
        out[distinct.len++] = 0;
    }
    return distinct;
}

static bool grow_items(struct tags *t)
{
    if (t->freed_count || t->count < t->cap)
        return true;
    uint32_t cap = t->cap ? t->cap * 2 : 64;
    struct tag **items = mem_resize(t->items, cap, sizeof(struct tag *));
    if (items)
        t->items = items;
    uint32_t *freed = mem_resize(t->freed, cap, sizeof *freed);
    if (freed)
        t->freed = freed;
    uint64_t *serials = mem_resize(t->serials, cap, sizeof *serials);
    if (serials)
        t->serials = serials;
    struct tag_set *recent = mem_resize(t->recent, cap, sizeof *recent);
    if (recent)
        t->recent = recent;
    if (!items || !freed || !serials || !recent)
        return false;
    t->cap = cap;
    return true;
}

static bool make_tag(struct tags *t, struct bytes text, uint32_t *ret_number)
{
    struct tag *g = mem_calloc(1, sizeof *g);
    char *copy = mem_alloc(text.len + 1);
    if (!g || !copy || !grow_items(t) || !textmap_reserve(&t->by_text, 1)) {
        mem_free(g);
        mem_free(copy);
        return false;
    }
    char buf[DEMAND_TAG_BYTES];
    text = folded(text, buf);
    if (text.len)
        memcpy(copy, text.ptr, text.len);
    uint32_t number = t->freed_count ? t->freed[--t->freed_count] : t->count++;
    *g = (struct tag){.text = bytes_of(copy, text.len), .number = number};
    t->items[number] = g;
    t->recent[number] = (struct tag_set){0};
    t->serials[number] = ++t->serial;
    textmap_put(&t->by_text, g->text, g);
    *ret_number = number;
    return true;
}

static bool number_in(const uint32_t *numbers, uint32_t count, uint32_t number)
{
    for (uint32_t i = 0; i < count; i++)
        if (numbers[i] == number)
            return true;
    return false;
}

void tags_drop(struct tags *t, const uint32_t *numbers, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct tag *g = t->items[numbers[i]];
        if (--g->refs)
            continue;
        textmap_remove(&t->by_text, g->text);
        t->items[numbers[i]] = NULL;
        t->serials[numbers[i]] = 0;
        t->freed[t->freed_count++] = numbers[i];
        t->dropped++;
        tag_free(g);
    }
}

bool tags_intern(struct tags *t, struct bytes list, uint32_t **ret_numbers, uint32_t *ret_count)
{
    uint32_t count = 0, *numbers = mem_alloc(sizeof *numbers * (textlist_count(list) + 1));
    struct bytes each;
    if (!numbers)
        return false;
    while (textlist_next(&list, &each)) {
        const struct tag *g = tags_find(t, each);
        uint32_t number = g ? g->number : 0;
        if (!g && !make_tag(t, each, &number)) {
            tags_drop(t, numbers, count);
            mem_free(numbers);
            return false;
        }
        if (number_in(numbers, count, number))
            continue;
        t->items[number]->refs++;
        numbers[count++] = number;
    }
    *ret_numbers = numbers;
    *ret_count = count;
    return true;
}

/* ---- postings ---- */

bool tags_reserve_capable(struct tags *t, const uint32_t *numbers, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (!postings_reserve(&t->items[numbers[i]]->capable))
            return false;
    return true;
}

/* After every change of that tag's recent agents. */
static void show_recent(struct tags *t, uint32_t number)
{
    const struct postings *p = &t->items[number]->recent;
    t->recent[number] =
        (struct tag_set){.bits = p->bits, .words = p->words, .oldest_ms = p->oldest_ms};
}

bool tags_reserve_recent(struct tags *t, const uint32_t *numbers, uint32_t count, uint32_t agent)
{
    for (uint32_t i = 0; i < count; i++) {
        struct postings *p = &t->items[numbers[i]]->recent;
        if (!postings_reserve(p) || !postings_reserve_bit(p, agent))
            return false;
        show_recent(t, numbers[i]);
    }
    return true;
}

void tags_add_capable(struct tags *t, const uint32_t *numbers, uint32_t count, uint32_t agent)
{
    for (uint32_t i = 0; i < count; i++)
        postings_add(&t->items[numbers[i]]->capable, agent, 0);
}

void tags_remove_capable(struct tags *t, const uint32_t *numbers, uint32_t count, uint32_t agent)
{
    for (uint32_t i = 0; i < count; i++)
        postings_remove(&t->items[numbers[i]]->capable, agent);
}

void tags_add_recent(struct tags *t, const uint32_t *numbers, uint32_t count, uint32_t agent,
                     int64_t at_ms)
{
    for (uint32_t i = 0; i < count; i++) {
        postings_add(&t->items[numbers[i]]->recent, agent, at_ms);
        show_recent(t, numbers[i]);
    }
}

void tags_remove_recent(struct tags *t, const uint32_t *numbers, uint32_t count, uint32_t agent)
{
    for (uint32_t i = 0; i < count; i++) {
        postings_remove(&t->items[numbers[i]]->recent, agent);
        show_recent(t, numbers[i]);
    }
}

/* ---- fuzzy matches ---- */

static struct hint_matches *cache_entry(struct tags *t, struct bytes hint)
{
    struct hint_matches *m = textmap_get(&t->cache, hint);
    if (m)
        return m;
    if (t->cache.len >= HINT_CACHE_MAX)
        cache_clear(t);
    m = mem_calloc(1, sizeof *m + hint.len + 1);
    if (!m || !textmap_reserve(&t->cache, 1)) {
        mem_free(m);
        return NULL;
    }
    char *text = (char *)(m + 1);
    if (hint.len)
        memcpy(text, hint.ptr, hint.len);
    m->hint = bytes_of(text, hint.len);
    textmap_put(&t->cache, m->hint, m);
    return m;
}

static bool grow_matches(struct hint_matches *m)
{
    if (m->count < m->cap)
        return true;
    uint32_t cap = m->cap ? m->cap * 2 : 8;
    struct tag_match *items = mem_resize(m->items, cap, sizeof *items);
    if (items)
        m->items = items;
    uint64_t *serials = mem_resize(m->serials, cap, sizeof *serials);
    if (serials)
        m->serials = serials;
    if (!items || !serials)
        return false;
    m->cap = cap;
    return true;
}

/* Keeps the best in order of ratio. */
static bool matches_add(struct hint_matches *m, struct tag_match match, uint64_t serial)
{
    if (m->count == TAGS_SIMILAR_MAX) {
        if (match.ratio <= m->items[m->count - 1].ratio)
            return true;
        m->count--;
    }
    if (!grow_matches(m))
        return false;
    uint32_t at = m->count++;
    for (; at && m->items[at - 1].ratio < match.ratio; at--) {
        m->items[at] = m->items[at - 1];
        m->serials[at] = m->serials[at - 1];
    }
    m->items[at] = match;
    m->serials[at] = serial;
    return true;
}

/* One tag in its turn.  False: not now, the budget or the memory is at its end. */
static bool matches_try(struct tags *t, struct hint_matches *m, uint32_t number, uint32_t *budget)
{
    const struct tag *g = t->items[number];
    uint64_t serial = t->serials[number];
    if (!g || serial <= m->serial || serial > m->until ||
        !demand_may_match(m->hint.len, g->text.len))
        return true;
    if (!*budget)
        return false;
    --*budget;
    t->compared++;
    float ratio = demand_match(m->hint, g->text);
    return ratio <= 0 || matches_add(m, (struct tag_match){.tag = number, .ratio = ratio}, serial);
}

/* Forgets the ones that are gone. */
static void matches_forget(const struct tags *t, struct hint_matches *m)
{
    uint32_t kept = 0;
    if (m->dropped == t->dropped)
        return;
    for (uint32_t i = 0; i < m->count; i++)
        if (t->serials[m->items[i].tag] == m->serials[i]) {
            m->items[kept] = m->items[i];
            m->serials[kept++] = m->serials[i];
        }
    m->count = kept;
    m->dropped = t->dropped;
}

/* Compares the hint with the tags made since the last time, as far as the budget goes: the next
 * look goes on from there. */
static void matches_refresh(struct tags *t, struct hint_matches *m, uint32_t *budget)
{
    uint32_t end = t->count < TAGS_FUZZY_MAX ? t->count : TAGS_FUZZY_MAX;
    matches_forget(t, m);
    if (m->serial == t->serial)
        return;
    if (!m->next)
        m->until = t->serial;
    for (; m->next < end; m->next++)
        if (!matches_try(t, m, m->next, budget))
            return;
    m->serial = m->until;
    m->next = 0;
}

uint32_t tags_matches(struct tags *t, struct bytes hint, uint32_t *budget, struct arena *arena,
                      const struct tag_match **ret)
{
    const struct tag *same = tags_find(t, hint);
    char buf[DEMAND_TAG_BYTES];
    uint32_t count = 0;
    pthread_mutex_lock(&t->cache_lock);
    struct hint_matches *m = cache_entry(t, folded(hint, buf));
    if (m) {
        matches_refresh(t, m, budget);
        struct tag_match *out = arena_alloc(arena, sizeof *out * (m->count + 1));
        if (out && same)
            out[count++] = (struct tag_match){same->number, 1};
        /* nothing else has a ratio of 1: what is the same comes first, if it is there at all */
        uint32_t skip = same && m->count && m->items[0].tag == same->number;
        if (out && m->count > skip) {
            memcpy(out + count, m->items + skip, (m->count - skip) * sizeof *out);
            count += m->count - skip;
        }
        *ret = out;
    }
    pthread_mutex_unlock(&t->cache_lock);
    return count;
}
