/* SPDX-License-Identifier: MIT */
#include "index/slotset.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

static uint32_t words_for(uint32_t slots)
{
    return slots / SLOTSET_WORD + (slots % SLOTSET_WORD != 0);
}

static bool few(const struct slotset *s)
{
    return !s->dense && !s->room;
}

static uint32_t *items(struct slotset *s)
{
    return few(s) ? s->at.few : s->at.list;
}

static const uint32_t *items_of(const struct slotset *s)
{
    return few(s) ? s->at.few : s->at.list;
}

void slotset_release(struct slotset *s)
{
    if (s->dense)
        mem_free(s->at.bits);
    else if (s->room)
        mem_free(s->at.list);
    *s = (struct slotset){0};
}

/* ---- room ---- */

/* A list of so many takes more than the bits. */
static bool better_dense(uint32_t count, uint32_t words)
{
    return (uint64_t)count * sizeof(uint32_t) > (uint64_t)words * sizeof(uint64_t);
}

bool slotset_has_room(const struct slotset *s, uint32_t more, uint32_t slots)
{
    if (s->dense)
        return words_for(slots) <= s->room;
    return s->count + more <= (s->room ? s->room : SLOTSET_FEW);
}

static bool become_dense(struct slotset *s, uint32_t words)
{
    uint64_t *bits = mem_calloc(words, sizeof *bits);
    const uint32_t *from = items_of(s);
    if (!bits)
        return false;
    for (uint32_t i = 0; i < s->count; i++)
        bits[from[i] / SLOTSET_WORD] |= UINT64_C(1) << from[i] % SLOTSET_WORD;
    uint32_t count = s->count;
    slotset_release(s);
    *s = (struct slotset){.at.bits = bits, .count = count, .room = words, .dense = true};
    return true;
}

static bool grow_bits(struct slotset *s, uint32_t words)
{
    uint64_t *bits = mem_resize(s->at.bits, words, sizeof *bits);
    if (!bits)
        return false;
    memset(bits + s->room, 0, (words - s->room) * sizeof *bits);
    s->at.bits = bits;
    s->room = words;
    return true;
}

static bool grow_list(struct slotset *s, uint32_t need, uint32_t most)
{
    uint32_t room = s->room ? s->room * 2 : SLOTSET_FEW * 2;
    room = room > most ? most : room;
    room = room < need ? need : room;
    uint32_t *list = mem_resize(few(s) ? NULL : s->at.list, room, sizeof *list);
    if (!list)
        return false;
    if (few(s))
        memcpy(list, s->at.few, sizeof s->at.few);
    s->at.list = list;
    s->room = room;
    return true;
}

bool slotset_reserve(struct slotset *s, uint32_t more, uint32_t slots)
{
    uint32_t words = words_for(slots);
    if (slotset_has_room(s, more, slots))
        return true;
    if (s->dense)
        return grow_bits(s, words);
    if (better_dense(s->count + more, words))
        return become_dense(s, words);
    return grow_list(s, s->count + more, words * 2 < SLOTSET_FEW * 2 ? SLOTSET_FEW * 2 : words * 2);
}

/* What few bits are set goes into a list; without memory for it they stay. */
static void become_list(struct slotset *s, uint32_t room)
{
    struct slotset made = {.count = s->count};
    if (room > SLOTSET_FEW) {
        made.at.list = mem_alloc(room * sizeof *made.at.list);
        made.room = room;
        if (!made.at.list)
            return;
    }
    uint32_t slot = 0;
    for (uint32_t i = 0; i < s->count; i++, slot++) {
        slot = bits_next(s->at.bits, s->room, slot);
        items(&made)[i] = slot;
    }
    slotset_release(s);
    *s = made;
}

static void shorten(struct slotset *s, uint32_t room)
{
    uint32_t *list = s->at.list;
    if (room <= SLOTSET_FEW) {
        memcpy(s->at.few, list, s->count * sizeof *list);
        s->room = 0;
        mem_free(list);
        return;
    }
    list = mem_resize(list, room, sizeof *list);
    if (!list)
        return;
    s->at.list = list;
    s->room = room;
}

/* At a quarter of where it grew, so that a set on the edge does not go to and fro. */
void slotset_trim(struct slotset *s, uint32_t spare)
{
    uint32_t need = s->count + spare;
    if (s->dense && need < s->room / 2)
        become_list(s, need);
    else if (!s->dense && s->room && need <= s->room / 4)
        shorten(s, need);
}

/* ---- members ---- */

/* The place of the first item that is not below. */
static uint32_t place(const uint32_t *list, uint32_t count, uint32_t slot)
{
    uint32_t low = 0, high = count;
    if (!count || list[count - 1] < slot)
        return count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (list[middle] < slot)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool slotset_has(const struct slotset *s, uint32_t slot)
{
    if (s->dense)
        return slot / SLOTSET_WORD < s->room && bits_has(s->at.bits, slot);
    uint32_t i = place(items_of(s), s->count, slot);
    return i < s->count && items_of(s)[i] == slot;
}

void slotset_add(struct slotset *s, uint32_t slot)
{
    if (s->dense) {
        assert(slot / SLOTSET_WORD < s->room);
        s->count += !bits_has(s->at.bits, slot);
        s->at.bits[slot / SLOTSET_WORD] |= UINT64_C(1) << slot % SLOTSET_WORD;
        return;
    }
    uint32_t *list = items(s), i = place(list, s->count, slot);
    if (i < s->count && list[i] == slot)
        return;
    assert(s->count < (s->room ? s->room : SLOTSET_FEW));
    memmove(list + i + 1, list + i, (s->count - i) * sizeof *list);
    list[i] = slot;
    s->count++;
}

void slotset_remove(struct slotset *s, uint32_t slot)
{
    if (!slotset_has(s, slot))
        return;
    s->count--;
    if (s->dense) {
        s->at.bits[slot / SLOTSET_WORD] &= ~(UINT64_C(1) << slot % SLOTSET_WORD);
        return;
    }
    uint32_t *list = items(s), i = place(list, s->count + 1, slot);
    memmove(list + i, list + i + 1, (s->count - i) * sizeof *list);
}

void slotset_join(const struct slotset *s, const uint64_t *scope, uint64_t *bits, size_t words)
{
    if (s->dense) {
        size_t both = s->room < words ? s->room : words;
        for (size_t i = 0; i < both; i++)
            bits[i] |= s->at.bits[i] & scope[i];
        return;
    }
    const uint32_t *list = items_of(s);
    for (uint32_t i = 0; i < s->count && list[i] / SLOTSET_WORD < words; i++) {
        size_t w = list[i] / SLOTSET_WORD;
        bits[w] |= scope[w] & UINT64_C(1) << list[i] % SLOTSET_WORD;
    }
}

/* ---- bitmaps ---- */

uint32_t bits_count(const uint64_t *bits, size_t words)
{
    uint32_t n = 0;
    for (size_t i = 0; i < words; i++)
        n += bits_in_word(bits[i]);
    return n;
}

uint32_t bits_next(const uint64_t *bits, size_t words, uint32_t from)
{
    size_t w = from / SLOTSET_WORD;
    if (w >= words)
        return UINT32_MAX;
    uint64_t left = bits[w] & UINT64_MAX << from % SLOTSET_WORD;
    while (!left && ++w < words)
        left = bits[w];
    return left ? (uint32_t)(w * SLOTSET_WORD + (unsigned)__builtin_ctzll(left)) : UINT32_MAX;
}
