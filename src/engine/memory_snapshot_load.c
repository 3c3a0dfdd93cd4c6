/* SPDX-License-Identifier: MIT
 *
 * A start from a snapshot.  Before the memories are read, their index is made from the tenant's
 * files; then each memory of the store takes over the slot that the snapshot has it in, if it has
 * the same id and has said nothing since, or nothing that changed its vector; any other memory is
 * read with its vector, as without a snapshot; and at the end the slots that nobody took over are
 * emptied.  No answer depends on what a snapshot says of a memory that the store knows otherwise.
 */
#include "engine/memory_snapshot_priv.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/memory_index_priv.h"

enum { MANIFEST_MOST = 64 << 20 };

/* The first of two that hold the same number is older: it moved while the snapshot was taken. */
static bool note_owner(struct memory_snapshot *s, uint32_t slot)
{
    const struct snapshot_owner *o = &s->owners[slot];
    uint64_t *at = u64map_get(&s->by_no, (uint64_t)o->no);
    if (at && s->owners[*at].version > o->version)
        return true;
    return u64map_put(&s->by_no, (uint64_t)o->no, slot);
}

/* Every slot's owner, by its number. */
static enum qmn_code note_owners(struct memory_snapshot *s, struct err *err)
{
    for (uint32_t slot = 0; slot < s->slots; slot++)
        if (s->owners[slot].no && !note_owner(s, slot))
            return err_nomem(err);
    return QMN_OK;
}

/* A snapshot whose pieces are being read, the codes by two threads. */
struct loading {
    struct engine *engine;
    const struct tenant *tenant;
    struct memory_snapshot *s;
    struct snapshot_loader *l;
    _Atomic uint32_t next; /* chunk whose codes nobody reads yet; beyond them: somebody failed */
    /* the helper's */
    enum qmn_code code;
    struct err err;
};

/* A chunk's codes, and behind them whose they are. */
static enum qmn_code load_codes(struct loading *g, struct sealed_files *f, uint32_t chunk,
                                struct err *err)
{
    char name[SNAPSHOT_NAME_BYTES];
    struct bytes piece;
    struct memory_snapshot *s = g->s;
    const struct vectors *v = snapshot_load_index(g->l);
    size_t each = snapshot_codes_bytes(v, 1);
    size_t both = each + sizeof(struct snapshot_owner);
    snapshot_file_name('c', chunk, s->table.chunks[chunk].codes.generation, name);
    TRY(sealed_files_read(f, name, SNAPSHOT_CHUNK * both, &piece, err));
    size_t slots = piece.len / both, codes = slots * each;
    if (piece.len % both || slots > snapshot_slots(v, chunk))
        return err_set(err, QMN_E_CORRUPT, "%s has %zu bytes, no multiple of %zu up to %u", name,
                       piece.len, both, snapshot_slots(v, chunk));
    TRY(snapshot_load_codes(g->l, chunk, bytes_of(piece.ptr, codes), err));
    memcpy(s->owners + (size_t)chunk * SNAPSHOT_CHUNK, piece.ptr + codes, piece.len - codes);
    return QMN_OK;
}

/* Those that are left; what fails here ends it for the other one too. */
static enum qmn_code load_some_codes(struct loading *g, struct sealed_files *f, struct err *err)
{
    uint32_t chunk;
    while ((chunk = atomic_fetch_add(&g->next, 1)) < g->s->table.chunk_count) {
        enum qmn_code code = load_codes(g, f, chunk, err);
        if (code == QMN_OK)
            continue;
        atomic_store(&g->next, g->s->table.chunk_count);
        return code;
    }
    return QMN_OK;
}

static enum qmn_code open_files(const struct engine *e, const struct tenant *t,
                                struct sealed_files *ret, struct err *err)
{
    return sealed_files_open(e->snapshot_dir, t->record->no, &e->sealer, false, ret, err);
}

static void *help(void *arg)
{
    struct loading *g = arg;
    struct sealed_files f;
    g->code = open_files(g->engine, g->tenant, &f, &g->err);
    if (g->code != QMN_OK)
        return NULL;
    g->code = load_some_codes(g, &f, &g->err);
    sealed_files_close(&f);
    return NULL;
}

static enum qmn_code load_links(struct loading *g, struct sealed_files *f, uint32_t chunk,
                                struct err *err)
{
    char name[SNAPSHOT_NAME_BYTES];
    struct bytes piece;
    struct snapshot_file *file = &g->s->table.chunks[chunk].links;
    const struct vectors *v = snapshot_load_index(g->l);
    snapshot_file_name('l', chunk, file->generation, name);
    TRY(sealed_files_read(f, name, snapshot_links_most(v), &piece, err));
    TRY(snapshot_load_links(g->l, chunk, piece, err));
    file->mark = snapshot_marks(v, chunk).links; /* what is mended moves it */
    return QMN_OK;
}

static enum qmn_code load_all_links(struct loading *g, struct sealed_files *f, struct err *err)
{
    for (uint32_t i = 0; i < g->s->table.chunk_count; i++)
        TRY(load_links(g, f, i, err));
    return QMN_OK;
}

/* Two threads, since both processors have nothing else to do yet. */
static enum qmn_code load_chunks(struct loading *g, struct sealed_files *f, struct err *err)
{
    pthread_t helper;
    bool helped = pthread_create(&helper, NULL, help, g) == 0;
    enum qmn_code code = load_all_links(g, f, err);
    if (code == QMN_OK)
        code = load_some_codes(g, f, err);
    else
        atomic_store(&g->next, g->s->table.chunk_count);
    if (helped)
        pthread_join(helper, NULL);
    if (code == QMN_OK && g->code != QMN_OK) {
        *err = g->err;
        code = g->code;
    }
    for (uint32_t i = 0; code == QMN_OK && i < g->s->table.chunk_count; i++)
        g->s->table.chunks[i].codes.mark = snapshot_marks(snapshot_load_index(g->l), i).codes;
    return code == QMN_OK ? note_owners(g->s, err) : code;
}

static enum qmn_code load_pieces(struct loading *g, struct sealed_files *f, struct err *err)
{
    struct memory_snapshot *s = g->s;
    s->slots = s->table.chunk_count * SNAPSHOT_CHUNK;
    s->owners = mem_calloc(s->slots, sizeof *s->owners);
    if (!s->owners || !u64map_reserve(&s->by_no, s->slots))
        return err_nomem(err);
    return load_chunks(g, f, err);
}

static enum qmn_code load_index(struct loading *g, struct sealed_files *f, struct vectors **ret,
                                struct err *err)
{
    struct vectors_options o = memory_index_options(g->tenant);
    struct bytes manifest, head;
    TRY(sealed_files_read(f, SNAPSHOT_MANIFEST, MANIFEST_MOST, &manifest, err));
    TRY(snapshot_manifest_unpack(manifest, &g->s->table, &head, err));
    TRY(snapshot_load_begin(&o, head, g->s->table.chunk_count, &g->l, err));
    enum qmn_code code = load_pieces(g, f, err);
    if (code == QMN_OK)
        return snapshot_load_end(g->l, ret, &g->s->report, err);
    snapshot_load_abort(g->l);
    return code;
}

static enum qmn_code load_files(struct engine *e, const struct tenant *t, struct memory_snapshot *s,
                                struct vectors **ret, struct err *err)
{
    struct sealed_files f;
    struct loading g = {.engine = e, .tenant = t, .s = s};
    TRY(open_files(e, t, &f, err));
    enum qmn_code code = load_index(&g, &f, ret, err);
    sealed_files_close(&f);
    return code;
}

/* Everything of it is there; makes room for its memories, at once, not by doubling. */
static bool take_over(struct engine *e, struct tenant *t, struct memory_snapshot *s,
                      struct vectors *index)
{
    if (!network_grow_array(&e->net, (void **)&t->memories, &t->memory_cap, s->slots,
                            sizeof *t->memories) ||
        !u64map_reserve(&t->memory_by_id, s->report.live) ||
        !u64map_reserve(&t->memory_by_print, s->report.live)) {
        vectors_free(index);
        memory_snapshot_free(s);
        return false;
    }
    memset(t->memories, 0, s->report.slots * sizeof *t->memories); /* nobody's yet */
    s->epoch = snapshot_epoch(index);
    t->snapshot = s;
    memory_index_take(t, index, s->report.slots);
    counter_add(e->m.snapshots_loaded, 1);
    return true;
}

bool memory_snapshot_load(struct engine *e, struct tenant *t)
{
    struct err err = {0};
    struct vectors *index = NULL;
    if (!e->snapshot_dir[0] || !t->profiles.dim || t->memory_index)
        return true;
    struct memory_snapshot *s = mem_calloc(1, sizeof *s);
    if (!s)
        return false;
    s->began_us = clock_mono_us();
    enum qmn_code code = load_files(e, t, s, &index, &err);
    if (code == QMN_OK)
        return take_over(e, t, s, index);
    bool none = code == QMN_E_NOT_FOUND && !s->table.chunk_count;
    memory_snapshot_free(s);
    if (!none) {
        counter_add(e->m.snapshots_refused, 1);
        log_warn("the snapshot of an index is of no use, it is made anew from the store",
                 LOG_I("tenant_no", t->record->no), LOG_S("code", code_info(code)->wire),
                 LOG_S("detail", err.text));
    }
    return code != QMN_E_NOMEM;
}

/* ---- while the memories are read ---- */

uint32_t memory_snapshot_slot(const struct tenant *t, const struct record_memory *row,
                              bool *ret_sure)
{
    const struct memory_snapshot *s = t->snapshot;
    const uint64_t *at = s ? u64map_get(&s->by_no, (uint64_t)row->no) : NULL;
    struct id id;
    if (!at || row->id.len != sizeof id || !vectors_has(t->memory_index, (uint32_t)*at))
        return UINT32_MAX;
    const struct snapshot_owner *o = &s->owners[*at];
    memcpy(&id, row->id.ptr, sizeof id);
    /* who supersedes a memory has its number, a higher version and another id */
    *ret_sure = o->version == row->version && o->id_hash == id_hash(&id);
    return (uint32_t)*at;
}

void memory_snapshot_settle(struct engine *e, struct tenant *t)
{
    struct memory_snapshot *s = t->snapshot;
    uint32_t gone = 0;
    if (!s)
        return;
    for (uint32_t slot = 0; slot < s->report.slots; slot++)
        if (vectors_has(t->memory_index, slot) && !t->memories[slot].used) {
            memory_index_drop(t, slot);
            gone++;
        }
    counter_add(e->m.snapshot_rows, s->taken);
    log_info("an index from its snapshot", LOG_I("tenant_no", t->record->no),
             LOG_I("memories", s->taken), LOG_I("read_from_store", s->read), LOG_I("gone", gone),
             LOG_I("to_link_anew", s->report.relink),
             LOG_I("ms", (clock_mono_us() - s->began_us) / 1000));
    s->changes = t->index_changes - (s->read + gone + s->report.relink);
    s->taken_ms = engine_mono_ms(e);
    mem_free(TAKE(s->owners));
    u64map_release(&s->by_no);
}
