/* SPDX-License-Identifier: MIT
 *
 * Taking one snapshot: chunk by chunk the writer copies the pieces that changed, this thread writes
 * them.  The network goes on meanwhile, so each chunk is of its own moment; what that tears the
 * loader mends. */
#include "engine/memory_snapshot_priv.h"

#include "base/mem.h"
#include "engine/snapshots_priv.h"

/* One snapshot under way. */
struct take {
    struct command cmd; /* one command, reused: each step waits for the one before */
    struct snapshots *s;
    struct tenant *tenant;
    struct sealed_files files;
    struct snapshot_table next;
    uint64_t bytes;
    /* the writer's, while the command is under way */
    struct buf codes, links, head;
    uint32_t chunk, slots;
    struct snapshot_marks marks;
    uint64_t epoch, changes;
    bool last; /* chunk */
    enum qmn_code code;
};

/* ---- on the writer ---- */

static void put_owners(struct take *k)
{
    const struct tenant *t = k->tenant;
    for (uint32_t i = 0; i < k->slots; i++) {
        const struct memory *m = &t->memories[k->chunk * SNAPSHOT_CHUNK + i];
        struct snapshot_owner owner = {0};
        if (m->used)
            owner = (struct snapshot_owner){.no = m->no,
                                            .version = m->version,
                                            .id_hash = id_hash(&m->id),
                                            .vector_print = m->vector_print};
        buf_add(&k->codes, &owner, sizeof owner);
    }
}

static enum qmn_code copy_chunk(struct take *k)
{
    struct tenant *t = k->tenant;
    const struct vectors *v = t->memory_index;
    uint32_t chunks = v ? snapshot_chunks(v) : 0;
    if (k->chunk >= chunks)
        return QMN_E_GONE;
    if (k->chunk && snapshot_epoch(v) != k->epoch)
        return QMN_E_CONFLICT; /* what has been written does not fit any more */
    k->epoch = snapshot_epoch(v);
    k->changes = k->chunk ? k->changes : t->index_changes;
    k->marks = snapshot_marks(v, k->chunk);
    k->slots = snapshot_slots(v, k->chunk);
    k->last = k->chunk + 1 == chunks;
    buf_clear(&k->codes);
    buf_clear(&k->links);
    const struct snapshot_chunk *was = &k->next.chunks[k->chunk];
    if (!was->codes.generation || was->codes.mark != k->marks.codes) {
        snapshot_put_codes(v, k->chunk, &k->codes);
        put_owners(k);
    }
    if (!was->links.generation || was->links.mark != k->marks.links)
        snapshot_put_links(v, k->chunk, &k->links);
    if (k->last)
        snapshot_put_head(v, &k->head);
    return buf_ok(&k->codes) && buf_ok(&k->links) && buf_ok(&k->head) ? QMN_OK : QMN_E_NOMEM;
}

static enum qmn_code copy_check(struct engine *e, struct command *c, struct err *err)
{
    (void)e;
    (void)c;
    (void)err;
    return QMN_OK;
}

/* Behind a group: no command stands between its check and its publish, nobody else changes the
 * index. */
static enum qmn_code copy_finish(struct engine *e, struct command *c, struct err *err)
{
    struct take *k = CONTAINER_OF(c, struct take, cmd);
    (void)e;
    (void)err;
    k->code = c->code == QMN_OK ? copy_chunk(k) : c->code;
    snapshots_step_ends(k->s);
    return QMN_OK;
}

static const struct command_ops copy_ops = {
    .name = "memory.snapshot", .check = copy_check, .finish = copy_finish};

/* ---- on the thread that takes it ---- */

static enum qmn_code copy(struct take *k, struct err *err)
{
    if (!snapshot_table_reach(&k->next, k->chunk))
        return err_nomem(err);
    k->cmd = (struct command){.ops = &copy_ops, .tenant = k->tenant};
    snapshots_step(k->s, &k->cmd);
    if (k->code == QMN_E_NOMEM)
        return err_nomem(err);
    if (k->code == QMN_E_CONFLICT)
        return err_set(err, k->code, "the index was made anew meanwhile");
    return k->code == QMN_OK ? QMN_OK : err_set(err, k->code, "the index is gone");
}

static enum qmn_code write_piece(struct take *k, char kind, const struct buf *b, uint64_t mark,
                                 struct snapshot_file *file, struct err *err)
{
    char name[SNAPSHOT_NAME_BYTES];
    if (!b->len)
        return QMN_OK; /* it is as it was */
    snapshot_file_name(kind, k->chunk, k->next.generation, name);
    TRY(sealed_files_write(&k->files, name, buf_bytes(b), err));
    *file = (struct snapshot_file){.generation = k->next.generation, .mark = mark};
    k->bytes += b->len;
    return QMN_OK;
}

static enum qmn_code write_chunks(struct take *k, struct err *err)
{
    k->last = false;
    for (k->chunk = 0; !k->last; k->chunk++) {
        TRY(copy(k, err));
        struct snapshot_chunk *c = &k->next.chunks[k->chunk];
        uint64_t before = k->bytes;
        TRY(write_piece(k, 'c', &k->codes, k->marks.codes, &c->codes, err));
        TRY(write_piece(k, 'l', &k->links, k->marks.links, &c->links, err));
        if (!snapshots_go_on(k->s, k->bytes - before))
            return err_set(err, QMN_E_IN_PROGRESS, "the node stops; the last one stays");
    }
    k->next.chunk_count = k->chunk;
    return QMN_OK;
}

static enum qmn_code write_manifest(struct take *k, struct err *err)
{
    struct buf manifest;
    buf_init(&manifest, SIZE_MAX);
    snapshot_manifest_pack(&k->next, buf_bytes(&k->head), &manifest);
    enum qmn_code code = buf_ok(&manifest) ? sealed_files_replace(&k->files, SNAPSHOT_MANIFEST,
                                                                  buf_bytes(&manifest), err)
                                           : err_nomem(err);
    k->bytes += manifest.len;
    buf_release(&manifest);
    return code;
}

static bool is_named(void *ctx, const char *name)
{
    return snapshot_table_names(ctx, name);
}

/* Whatever fails, the generation is used up: its files may or may not be there after a power cut.
 */
static enum qmn_code write_all(struct take *k, struct memory_snapshot *snapshot, struct err *err)
{
    if (!snapshot_table_copy(&snapshot->table, &k->next))
        return err_nomem(err);
    k->next.generation = ++snapshot->table.generation;
    enum qmn_code code = write_chunks(k, err);
    if (code != QMN_OK) { /* the disk may be full of what it has written */
        sealed_files_trim(&k->files, is_named, &snapshot->table);
        return code;
    }
    TRY(write_manifest(k, err)); /* else it may be there, and name them */
    snapshot_table_release(&snapshot->table);
    snapshot->table = k->next;
    k->next = (struct snapshot_table){0};
    snapshot->epoch = k->epoch;
    snapshot->changes = k->changes;
    sealed_files_trim(&k->files, is_named, &snapshot->table);
    return QMN_OK;
}

static enum qmn_code take(struct take *k, struct err *err)
{
    struct engine *e = snapshots_engine(k->s);
    struct tenant *t = k->tenant;
    if (!t->snapshot)
        t->snapshot = mem_calloc(1, sizeof *t->snapshot);
    if (!t->snapshot)
        return err_nomem(err);
    TRY(sealed_files_open(e->snapshot_dir, t->record->no, &e->sealer, true, &k->files, err));
    enum qmn_code code = write_all(k, t->snapshot, err);
    sealed_files_close(&k->files);
    return code;
}

enum qmn_code memory_snapshot_write(struct snapshots *s, struct tenant *t, uint64_t *ret_bytes,
                                    struct err *err)
{
    struct take k = {.s = s, .tenant = t, .files = {.fd = -1}};
    buf_init(&k.codes, SIZE_MAX);
    buf_init(&k.links, SIZE_MAX);
    buf_init(&k.head, SIZE_MAX);
    enum qmn_code code = take(&k, err);
    buf_release(&k.codes);
    buf_release(&k.links);
    buf_release(&k.head);
    snapshot_table_release(&k.next);
    *ret_bytes = k.bytes;
    return code;
}
