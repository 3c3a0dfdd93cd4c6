/* SPDX-License-Identifier: MIT
 *
 * Filters of memories.
 *
 *  - any text becomes a filter within the bounds, or is refused with a reason and a place
 *  - what became a filter can be evaluated, and lets through exactly those that its negation does
 *    not */
#include "support/fuzz.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "api/memory_filter_priv.h"
#include "base/limits.h"
#include "engine/memory_sets_priv.h"
#include "engine/network_priv.h"

enum { MEMORIES = 4, TEXT_MAX = 8192, NOW = 5000 };

static const struct record_memory rows[MEMORIES] = {
    {.kind = {"plan", 4},
     .task_id = {"t", 1},
     .quality = .25,
     .sensitivity = LABEL_PUBLIC,
     .metadata = {"{\"a\":1,\"b\":{\"c\":[\"x\",2,null]}}", 31}},
    {.kind = {"note", 4},
     .trace_id = {"r", 1},
     .quality = .5,
     .sensitivity = LABEL_INTERNAL,
     .expires_ms = NOW + 1,
     .metadata = {"{\"a\":\"x\",\"ok\":true}", 20}},
    {.kind = {"note", 4},
     .quality = 1,
     .sensitivity = LABEL_SECRET,
     .metadata = {"{\"a\":[1,2]}", 11}},
    {.kind = {"gone", 4}, .quality = 1, .sensitivity = LABEL_PUBLIC, .expires_ms = NOW},
};

/* A tenant with a few memories, made once. */
static const struct tenant *tenant(void)
{
    static struct tenant t;
    static struct memory memories[MEMORIES];
    static struct memory_head head;
    static double quality[SLOTSET_WORD];
    static int64_t created[SLOTSET_WORD], updated[SLOTSET_WORD], expires[SLOTSET_WORD];
    struct arena a;
    if (t.memory_slots)
        return &t;
    arena_init(&a, 0);
    t.memories = memories;
    t.memory_sets.heads = &head;
    t.memory_sets.columns = (struct memory_columns){
        .quality = quality, .created_ms = created, .updated_ms = updated, .expires_ms = expires};
    for (uint32_t i = 0; i < MEMORIES; i++) {
        struct fact *facts;
        size_t n;
        memories[i] = (struct memory){.expires_ms = rows[i].expires_ms,
                                      .created_ms = 1000 * (i + 1),
                                      .updated_ms = 2000 * (i + 1),
                                      .quality = rows[i].quality,
                                      .sensitivity = (uint32_t)rows[i].sensitivity};
        if (!memory_facts(&rows[i], bytes_cstr("a"), &a, &facts, &n) ||
            !terms_promise(&t.memory_sets.terms, 1, facts, n, MEMORIES, &memories[i].facts))
            abort();
        memory_sets_add(&t, i);
    }
    t.memory_slots = MEMORIES;
    arena_release(&a);
    return &t;
}

static uint32_t depth_of(const struct memory_filter *f)
{
    uint32_t deepest = 0;
    for (const struct memory_filter *p = f->op <= FILTER_NOT ? f->parts : NULL; p; p = p->next) {
        uint32_t d = depth_of(p);
        deepest = d > deepest ? d : deepest;
    }
    return deepest + 1;
}

static uint64_t permitted(const struct memory_filter *f, struct arena *a)
{
    struct memory_permit p;
    if (!memory_permit(tenant(), LABEL_SECRET, NOW, f, a, &p))
        abort();
    assert(p.words == 1 && p.count == bits_in_word(p.bits[0]));
    return p.bits[0];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct memory_filters filters;
    struct err err = {0};
    if (!size || size > TEXT_MAX)
        return 0;
    arena_init(&a, 0);
    memory_filters_init(&filters, &a);
    struct bytes text = arena_bytes(&a, bytes_of(data, size));
    enum qmn_code code = memory_filters_add(&filters, "filters", text, &err);
    if (code != QMN_OK) {
        assert(code == QMN_E_INVALID || code == QMN_E_MALFORMED);
        assert(err.text[0] && strlen(err.field) < sizeof err.field);
        assert(code == QMN_E_MALFORMED || !strncmp(err.field, "filters", 7) ||
               !strncmp(err.field, "...", 3));
    } else {
        struct memory_filter negated = {.op = FILTER_NOT, .parts = &filters.all};
        assert(depth_of(&filters.all) < FILTER_TREE_DEPTH);
        uint64_t all = permitted(NULL, &a), yes = permitted(&filters.all, &a);
        assert(all == 7 && (yes & ~all) == 0);
        assert(permitted(&negated, &a) == (all & ~yes));
    }
    arena_release(&a);
    return 0;
}
