/* SPDX-License-Identifier: MIT
 *
 * Memories in the network: their rows by slot, and what finds one by its id, number or content. */
#include "engine/group_priv.h"
#include "engine/live_priv.h"
#include "engine/memory_credit_priv.h"
#include "engine/memory_index_priv.h"
#include "engine/memory_words_priv.h"

#include "base/mem.h"

bool memory_reserve(struct engine *e, struct tenant *t, struct bytes agent_id,
                    const struct record_memory *m, uint32_t words, struct arena *arena,
                    struct facts **ret)
{
    struct network *n = &e->net;
    struct bytes kind = m->kind;
    struct fact *facts;
    size_t count;
    if (!memory_facts(m, agent_id, arena, &facts, &count) || !memory_index_reserve(e, t) ||
        !memory_sets_grow(n, t) || !memory_words_reserve(e, t, words) ||
        !upkeep_reserve(e, writer_places(e, 0)) ||
        !network_grow_array(n, (void **)&t->memory_kinds, &t->memory_kind_cap,
                            t->memory_kind_count + 1, sizeof *t->memory_kinds))
        return false;
    bool known = textmap_get(&t->memory_kind_ids, kind) != NULL;
    char *text = known ? NULL : mem_alloc(kind.len + 1);
    if (!known && !text)
        return false;
    pthread_rwlock_wrlock(&n->lock);
    uint32_t places = writer_places(e, 0);
    bool ok =
        u64map_reserve(&t->memory_by_id, places) && u64map_reserve(&t->memory_by_no, places) &&
        u64map_reserve(&t->memory_by_print, places) &&
        terms_promise(&t->memory_sets.terms, writer_group(e), facts, count, t->memory_cap, ret) &&
        (known || textmap_reserve(&t->memory_kind_ids, 1));
    if (ok && !known) {
        /* a kind stays even if this memory does not: harmless, and publishing needs no memory */
        memcpy(text, kind.ptr, kind.len);
        t->memory_kinds[t->memory_kind_count] = bytes_of(text, kind.len);
        textmap_put(&t->memory_kind_ids, bytes_of(text, kind.len),
                    (void *)(uintptr_t)(++t->memory_kind_count));
        text = NULL;
    }
    pthread_rwlock_unlock(&n->lock);
    mem_free(text);
    return ok;
}

uint32_t memory_bytes(const struct record_memory *m, uint32_t dim)
{
    return (uint32_t)(m->content.len + m->metadata.len + dim * sizeof(float));
}

uint32_t memory_version_bytes(const struct record_memory_version *v)
{
    return (uint32_t)(v->content.len + v->metadata.len + v->vector.len);
}

uint64_t memory_vector_print(struct bytes vector)
{
    return bytes_hash(vector, 0);
}

uint64_t memory_print_with(const struct record_memory *m, uint64_t vector_print)
{
    uint64_t h = bytes_hash(m->content,
                            (uint64_t)m->agent_no * (LABEL_SECRET + 1) + (uint64_t)m->sensitivity);
    return bytes_hash(bytes_of(&vector_print, sizeof vector_print), bytes_hash(m->kind, h));
}

uint64_t memory_print(const struct record_memory *m, struct bytes vector)
{
    return memory_print_with(m, memory_vector_print(vector));
}

/* Links what stands at the slot. */
static void memory_link(struct engine *e, struct tenant *t, uint32_t slot)
{
    const struct memory *x = &t->memories[slot];
    u64map_put(&t->memory_by_id, id_hash(&x->id), slot);
    if (x->version > 1)
        u64map_put(&t->memory_by_no, (uint64_t)x->no, slot);
    if (!u64map_get(&t->memory_by_print, x->print))
        u64map_put(&t->memory_by_print, x->print, slot);
    if (x->expires_ms)
        upkeep_schedule(e, EXPIRE_MEMORY, x->expires_ms, t, x->no, slot);
    memory_sets_add(t, slot);
}

static void memory_unlink(struct tenant *t, uint32_t slot)
{
    const struct memory *x = &t->memories[slot];
    uint64_t *twin = u64map_get(&t->memory_by_print, x->print);
    memory_sets_remove(t, slot);
    u64map_remove(&t->memory_by_id, id_hash(&x->id));
    u64map_remove(&t->memory_by_no, (uint64_t)x->no);
    if (twin && *twin == slot)
        u64map_remove(&t->memory_by_print, x->print);
}

static void memory_fill(struct tenant *t, uint32_t slot, const struct memory_next *next,
                        uint32_t stored)
{
    const struct record_memory *m = next->row;
    struct memory *x = &t->memories[slot];
    uint64_t vector_print = x->vector_print;
    uintptr_t kind = (uintptr_t)textmap_get(&t->memory_kind_ids, m->kind);
    *x = (struct memory){.no = m->no,
                         .expires_ms = m->expires_ms,
                         .created_ms = m->created_ms,
                         .version = m->version,
                         .updated_ms = m->updated_ms,
                         .begun_ms = m->begun_ms,
                         .agent = next->agent,
                         .kind = (uint32_t)(kind - 1),
                         .sensitivity = (uint32_t)m->sensitivity,
                         .quality = m->quality,
                         .print = next->print,
                         .vector_print = vector_print,
                         .given = m->quality,
                         .useful = (float)quality_useful(&(struct quality_evidence){0}),
                         .said = (uint32_t)(m->content.len + m->metadata.len),
                         .stored = stored,
                         .used = true,
                         .facts = next->facts};
    memcpy(&x->id, m->id.ptr, sizeof x->id);
}

/* A slot of its own for a vector. */
static uint32_t memory_add_vector(struct tenant *t, const float *unit)
{
    uint32_t slot = memory_index_add(t, unit);
    t->memories[slot].vector_print =
        memory_vector_print(bytes_of(unit, t->profiles.dim * sizeof *unit));
    return slot;
}

/* The first of its number, whose vector has the slot already. */
static void memory_enter(struct engine *e, struct tenant *t, const struct memory_next *next,
                         uint32_t slot)
{
    memory_fill(t, slot, next, memory_bytes(next->row, t->profiles.dim));
    memory_words_add(t, slot, t->memories[slot].sensitivity, next->words);
    t->stored_bytes += t->memories[slot].stored;
    memory_link(e, t, slot);
}

void memory_adopt(struct engine *e, struct tenant *t, const struct memory_next *next, uint32_t slot,
                  uint64_t vector_print)
{
    t->memories[slot].vector_print = vector_print;
    t->memory_count++;
    memory_enter(e, t, next, slot);
}

void memory_publish(struct engine *e, struct tenant *t, const struct memory_next *next)
{
    memory_enter(e, t, next, memory_add_vector(t, next->unit));
}

void memory_change(struct tenant *t, uint32_t slot, const struct memory_next *next)
{
    const struct memory *x = &t->memories[slot];
    const struct record_memory *m = next->row;
    struct memory before = *x; /* what was learned of it stays, unless another takes its place */
    int64_t grows = next->history + (int64_t)m->content.len + (int64_t)m->metadata.len - x->said;
    uint32_t stored = (uint32_t)((int64_t)x->stored + grows);
    memory_unlink(t, slot);
    if (next->words)
        memory_words_remove(t, slot);
    if (next->unit) { /* a vector never changes where it is: the graph knows the place by the old
                         one */
        uint32_t was = slot;
        slot = memory_add_vector(t, next->unit);
        memory_index_remove(t, was);
        t->memories[was] = (struct memory){0};
    }
    memory_fill(t, slot, next, stored);
    if (bytes_equal(m->id, id_bytes(&before.id))) {
        t->memories[slot].row_behind = before.row_behind;
        memory_set_credit(&t->memories[slot], &before.evidence, before.uses);
    }
    if (next->words)
        memory_words_add(t, slot, t->memories[slot].sensitivity, next->words);
    t->stored_bytes += (uint64_t)grows;
    memory_link(t->engine, t, slot);
}

void memory_add_history(struct tenant *t, const struct record_memory_version *v)
{
    uint64_t *slot = u64map_get(&t->memory_by_no, (uint64_t)v->memory_no);
    if (!slot)
        return;
    uint32_t bytes = memory_version_bytes(v);
    t->memories[*slot].stored += bytes;
    t->stored_bytes += bytes;
}

void memory_delete_credit(struct engine *e, const struct memory *m)
{
    struct record_memory_credit *row = arena_new(writer_arena(e), struct record_memory_credit);
    if (!m->uses)
        return; /* it never had one */
    if (!row) {
        e->writer->failed = true;
        return;
    }
    row->memory_no = m->no;
    writer_add(e, MUT_DELETE, RECORD_MEMORY_CREDIT, row);
}

void memory_delete_rows(struct engine *e, const struct memory *m)
{
    int64_t oldest = memory_oldest(m->version);
    size_t count = (size_t)(m->version - oldest);
    struct record_memory *row = arena_new(writer_arena(e), struct record_memory);
    struct record_memory_vector *vector = arena_new(writer_arena(e), struct record_memory_vector);
    struct record_memory_version *versions =
        arena_array(writer_arena(e), struct record_memory_version, count + 1);
    if (!row || !vector || !versions) {
        e->writer->failed = true;
        return;
    }
    row->no = vector->no = m->no;
    writer_add(e, MUT_DELETE, RECORD_MEMORY, row);
    writer_add(e, MUT_DELETE, RECORD_MEMORY_VECTOR, vector);
    memory_delete_credit(e, m);
    for (size_t i = 0; i < count; i++) {
        versions[i] =
            (struct record_memory_version){.memory_no = m->no, .version = oldest + (int64_t)i};
        writer_add(e, MUT_DELETE, RECORD_MEMORY_VERSION, &versions[i]);
    }
}

uint32_t memory_slot(const struct tenant *t, const struct id *id)
{
    uint64_t *at = u64map_get(&t->memory_by_id, id_hash(id));
    return at && memcmp(&t->memories[*at].id, id, sizeof *id) == 0 ? (uint32_t)*at : UINT32_MAX;
}

void memory_remove(struct tenant *t, uint32_t slot)
{
    memory_unlink(t, slot);
    t->stored_bytes -= t->memories[slot].stored;
    t->memories[slot] = (struct memory){0};
    memory_words_remove(t, slot);
    memory_index_remove(t, slot);
}
