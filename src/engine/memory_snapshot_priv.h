/* SPDX-License-Identifier: MIT
 *
 * Snapshots of the indexes of large tenants, so that a start need not make them anew from the
 * store.  The store is the truth: a snapshot says of each slot which memory it holds, a start takes
 * over what the store still has just so, and reads the rest.
 *
 *   DIR/<tenant no>/manifest    which file holds which piece, and the head
 *   DIR/<tenant no>/c<chunk>-<generation>    codes of a chunk, and whose they are
 *   DIR/<tenant no>/l<chunk>-<generation>    its links
 *
 * A snapshot writes the pieces that changed as files of a new generation, then the manifest in
 * place of the old one, then removes what that named alone.  No file is written twice.  Each is
 * sealed (store/sealed_files.h).
 *
 * A piece is copied by the writer, between two groups; everything else is done by a thread of its
 * own, or by the one that ends the engine. */
#ifndef QMN_ENGINE_MEMORY_SNAPSHOT_PRIV_H
#define QMN_ENGINE_MEMORY_SNAPSHOT_PRIV_H

#include "engine/engine_priv.h"
#include "index/snapshot.h"
#include "store/sealed_files.h"

/* ---- what the folder of a tenant holds ---- */

struct snapshot_file {
    uint32_t generation; /* 0: there is none */
    uint64_t mark;       /* of the piece in it */
};
struct snapshot_chunk {
    struct snapshot_file codes, links;
};
struct snapshot_table {
    uint32_t generation; /* the highest that was ever begun */
    struct snapshot_chunk *chunks;
    uint32_t chunk_count, chunk_cap;
};
void snapshot_table_release(struct snapshot_table *s);
/* Room for a chunk; those that are new have no files.  False: out of memory. */
QMN_NODISCARD bool snapshot_table_reach(struct snapshot_table *s, uint32_t chunk);
QMN_NODISCARD bool snapshot_table_copy(const struct snapshot_table *from,
                                       struct snapshot_table *ret);

enum { SNAPSHOT_NAME_BYTES = 32 };
#define SNAPSHOT_MANIFEST "manifest"
/* kind: 'c' or 'l' */
void snapshot_file_name(char kind, uint32_t chunk, uint32_t generation,
                        char ret[static SNAPSHOT_NAME_BYTES]);
/* Whether the table names that file, or it is the manifest. */
bool snapshot_table_names(const struct snapshot_table *s, const char *name);

/* The manifest of a table.  Whether there was memory is for buf_ok(). */
void snapshot_manifest_pack(const struct snapshot_table *s, struct bytes head, struct buf *ret);
/* Any bytes: QMN_E_CORRUPT says what is wrong.  *ret_head is borrowed from them; the table is the
 * caller's to release. */
QMN_NODISCARD enum qmn_code snapshot_manifest_unpack(struct bytes manifest,
                                                     struct snapshot_table *ret,
                                                     struct bytes *ret_head, struct err *err);

/* Which memory a slot holds, as it was saved. */
struct snapshot_owner {
    int64_t no; /* 0: none */
    int64_t version;
    uint64_t id_hash;
    uint64_t vector_print;
};

/* ---- of a tenant ---- */

struct memory_snapshot {
    struct snapshot_table table; /* of the last manifest that is durable */
    uint64_t epoch;              /* of its codes */
    uint64_t changes;            /* of the tenant, when it was taken or loaded */
    int64_t taken_ms;            /* monotonic */
    /* while the store is read at the start */
    struct snapshot_owner *owners; /* [slots] */
    uint32_t slots;
    struct u64map by_no;  /* -> slot */
    uint32_t taken, read; /* memories from the snapshot; from the store */
    struct snapshot_report report;
    int64_t began_us;
};
void memory_snapshot_free(struct memory_snapshot *s);

/* ---- taking ---- */

struct snapshots;

/* NULL without a folder for them (*ret_ok) or without memory (not). */
struct snapshots *snapshots_new(struct engine *e, bool *ret_ok);
void snapshots_start(struct engine *e);
/* Ends the thread; takes snapshots of what changed, for a few seconds at most.  The writer runs. */
void snapshots_stop(struct engine *e);
void snapshots_free(struct snapshots *s);

/* Whether so much has changed in an index of `live` vectors since the last snapshot. */
bool snapshot_is_due(uint64_t changes, uint64_t live, int64_t since_ms);

/* Takes one now, if there is an index with a graph.  Not from the writer's thread.  *ret_bytes:
 * written.  QMN_E_GONE: there is nothing to save, and no snapshot any more. */
QMN_NODISCARD enum qmn_code memory_snapshot_take(struct engine *e, struct tenant *t,
                                                 uint64_t *ret_bytes, struct err *err);
/* The tenant's memories are gone: so is its snapshot. */
void memory_snapshot_forget(struct engine *e, struct tenant *t);

/* ---- loading: before any other thread runs ---- */

/* Makes the tenant's index from its snapshot, if there is one that fits.  Whatever is wrong with it
 * is logged and counted.  False: out of memory. */
QMN_NODISCARD bool memory_snapshot_load(struct engine *e, struct tenant *t);
/* The slot that holds this memory in the snapshot; UINT32_MAX: none.  *ret_sure is false when what
 * it says has changed since: its vector then has to be compared with owners[slot].vector_print. */
uint32_t memory_snapshot_slot(const struct tenant *t, const struct record_memory *row,
                              bool *ret_sure);
/* All memories of the store have been published: what nobody owns leaves the index. */
void memory_snapshot_settle(struct engine *e, struct tenant *t);

#endif
