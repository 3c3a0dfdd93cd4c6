/* SPDX-License-Identifier: MIT
 *
 * What outcomes say of memories. */
#include "engine/memory_credit_priv.h"

#include "base/mem.h"
#include "engine/control_priv.h"
#include "engine/group_priv.h"
#include "engine/live_priv.h"

/* A row lies on a page of its own, as likely as not, and must not cost the log more than it was
 * promised for what it holds (learning_log.c). */
enum { CREDIT_ROW_COST = 256 };

void memory_set_credit(struct memory *m, const struct quality_evidence *evidence, uint32_t uses)
{
    m->evidence = *evidence;
    m->uses = uses;
    m->quality = quality_now(m->given, evidence);
    m->useful = (float)quality_useful(evidence);
}

/* The same of one that is in the sets. */
static void show_credit(struct tenant *t, uint32_t slot, const struct quality_evidence *evidence,
                        uint32_t uses)
{
    memory_set_credit(&t->memories[slot], evidence, uses);
    memory_sets_quality(t, slot);
}

/* ---- the group at hand ---- */

static struct memory_credit_next *known(struct engine *e, const struct tenant *t, uint32_t slot)
{
    uint64_t *at = u64map_get(&e->writer->memory_at, (uint64_t)t->memories[slot].no);
    return at ? (struct memory_credit_next *)(uintptr_t)*at : NULL;
}

struct memory_credit_next *writer_memory(struct engine *e, struct tenant *t, uint32_t slot)
{
    struct writer *w = e->writer;
    struct memory_credit_next *x = known(e, t, slot);
    if (x)
        return x;
    const struct memory *m = &t->memories[slot];
    x = arena_new(&w->arena, struct memory_credit_next);
    if (!x || !u64map_put(&w->memory_at, (uint64_t)m->no, (uintptr_t)x)) {
        w->failed = true;
        return NULL;
    }
    *x = (struct memory_credit_next){
        .tenant = t, .slot = slot, .uses = m->uses, .evidence = m->evidence, .all = w->memories};
    w->memories = x;
    return x;
}

bool writer_memory_rated(struct engine *e, const struct tenant *t, uint32_t slot)
{
    const struct memory_credit_next *x = known(e, t, slot);
    const struct quality_evidence *evidence = x ? &x->evidence : &t->memories[slot].evidence;
    return evidence->weight + evidence->run_weight > 0;
}

void memory_credit_prepare(struct engine *e)
{
    struct writer *w = e->writer;
    for (struct memory_credit_next *x = w->memories; x; x = x->all) {
        /* also for one that is behind: this very group may bring its row up to date */
        x->behind = x->moved ? mem_calloc(1, sizeof *x->behind) : NULL;
        if (x->moved && !x->behind)
            w->failed = true;
    }
}

void memory_credit_discard(struct engine *e)
{
    for (struct memory_credit_next *x = e->writer->memories; x; x = x->all) {
        mem_free(x->behind);
        x->behind = NULL;
    }
}

static void fall_behind(struct learning_log *g, struct credit_behind *b, int64_t no, uint64_t at)
{
    b->log_no = no;
    b->log_at = at;
    *g->memories_tail = b;
    g->memories_tail = &b->next;
}

void memory_credit_publish(struct engine *e)
{
    struct learning_log *g = &e->writer->learning_log;
    for (struct memory_credit_next *x = e->writer->memories; x; x = x->all) {
        struct memory *m = &x->tenant->memories[x->slot];
        if (!x->moved)
            continue;
        show_credit(x->tenant, x->slot, &x->evidence, x->uses);
        struct credit_behind *b = TAKE(x->behind);
        if (m->row_behind) {
            mem_free(b);
            continue;
        }
        b->tenant_no = x->tenant->record->no;
        b->id = m->id;
        m->row_behind = true;
        fall_behind(g, b, g->first_no, g->written - g->added);
    }
}

/* ---- rows ---- */

struct learned_memory memory_credit_learned(const struct memory_credit_next *x)
{
    const struct memory *m = &x->tenant->memories[x->slot];
    const struct quality_evidence *v = &x->evidence;
    return (struct learned_memory){.memory_no = m->no,
                                   .rater = v->rater,
                                   .weight = v->weight,
                                   .sum = v->sum,
                                   .run_weight = v->run_weight,
                                   .run_sum = v->run_sum,
                                   .uses = x->uses,
                                   .id = m->id};
}

/* The memory of one that is behind, if it is still there. */
static struct memory *find(struct engine *e, int64_t tenant_no, const struct id *id,
                           struct tenant **ret_tenant)
{
    struct tenant *t = *ret_tenant = network_tenant_no(&e->net, tenant_no);
    uint32_t slot = t ? memory_slot(t, id) : UINT32_MAX;
    return slot == UINT32_MAX ? NULL : &t->memories[slot];
}

/* Its slot in that tenant. */
static uint32_t slot_of(const struct tenant *t, const struct memory *m)
{
    return (uint32_t)(m - t->memories);
}

size_t memory_credit_put(struct engine *e, const struct credit_behind *b)
{
    struct tenant *t;
    const struct memory *m = find(e, b->tenant_no, &b->id, &t);
    /* what is left of a purged tenant must not come back to the store */
    if (!m || !m->row_behind || purge_ordered(e->control->purge, b->tenant_no))
        return 0;
    struct record_memory_credit *row = arena_new(writer_arena(e), struct record_memory_credit);
    if (!row) {
        e->writer->failed = true;
        return 0;
    }
    *row = (struct record_memory_credit){.memory_no = m->no,
                                         .tenant_no = b->tenant_no,
                                         .id = id_bytes(&b->id),
                                         .uses = m->uses,
                                         .weight = m->evidence.weight,
                                         .sum = m->evidence.sum,
                                         .run_weight = m->evidence.run_weight,
                                         .run_sum = m->evidence.run_sum,
                                         .rater = m->evidence.rater};
    writer_add(e, MUT_PUT, RECORD_MEMORY_CREDIT, row);
    return CREDIT_ROW_COST;
}

void memory_credit_caught_up(struct engine *e, struct credit_behind *b)
{
    struct tenant *t;
    struct memory *m = find(e, b->tenant_no, &b->id, &t);
    if (m)
        m->row_behind = false;
    mem_free(b);
}

/* ---- at the start ---- */

static uint32_t count_of(int64_t uses)
{
    return uses < 0 ? 0 : uses > UINT32_MAX ? UINT32_MAX : (uint32_t)uses;
}

void memory_credit_load_row(struct engine *e, const struct record_memory_credit *row)
{
    struct id id;
    if (row->id.len != sizeof id)
        return;
    memcpy(&id, row->id.ptr, sizeof id);
    struct tenant *t;
    struct memory *m = find(e, row->tenant_no, &id, &t);
    if (!m || m->no != row->memory_no)
        return;
    struct quality_evidence v = {.weight = row->weight,
                                 .sum = row->sum,
                                 .run_weight = row->run_weight,
                                 .run_sum = row->run_sum,
                                 .rater = row->rater};
    show_credit(t, slot_of(t, m), &v, count_of(row->uses));
}

enum qmn_code memory_credit_load(struct engine *e, const struct record_learning_log *row,
                                 const struct learned_memory *from, struct err *err)
{
    struct learning_log *g = &e->writer->learning_log;
    struct tenant *t;
    struct memory *m = find(e, row->tenant_no, &from->id, &t);
    if (!m || m->no != from->memory_no)
        return QMN_OK; /* it was deleted or superseded since */
    struct quality_evidence v = {.weight = from->weight,
                                 .sum = from->sum,
                                 .run_weight = from->run_weight,
                                 .run_sum = from->run_sum,
                                 .rater = from->rater};
    show_credit(t, slot_of(t, m), &v, count_of(from->uses));
    if (m->row_behind)
        return QMN_OK;
    struct credit_behind *b = mem_calloc(1, sizeof *b);
    if (!b)
        return err_nomem(err);
    b->tenant_no = row->tenant_no;
    b->id = from->id;
    m->row_behind = true;
    fall_behind(g, b, row->no, g->written);
    return QMN_OK;
}
