/* SPDX-License-Identifier: MIT
 *
 * The in-memory store inside. */
#ifndef QMN_STORE_MEM_PRIV_H
#define QMN_STORE_MEM_PRIV_H

#include <pthread.h>

#include "store/mem/tree.h"
#include "store/record_pack.h"
#include "store/store.h"

enum { MEM_TREES = 1 + LAYOUT_UNIQUE_MAX }; /* per kind: by key, then by each unique field */

/* Everything stored at one moment.  Never changes once published. */
struct snapshot {
    _Atomic uint32_t refs;
    struct tree_node *roots[RECORD_KIND_COUNT][MEM_TREES];
};

/* One committed batch of the feed. */
struct feed_batch {
    _Atomic uint32_t refs;
    struct bytes packed;
};

/* The newest batches, in a ring.  Batch `cursor` lies at slot cursor % cap. */
struct mem_feed {
    struct feed_batch **slots;
    size_t cap;
    int64_t first, next; /* cursors kept: [first, next) */
};

struct store_mem {
    struct store base;

    /* immutable */
    struct sealer sealer;
    bool feed_on;

    /* owned by the writer */
    struct arena arena; /* of one mutation */
    struct buf changes; /* of the batch being committed */

    /* guarded by lock */
    pthread_mutex_t lock;
    struct snapshot *current;
    struct mem_feed feed;
    int64_t commits, rows;
};

struct tree_order mem_order(enum record_kind kind, size_t tree);

struct snapshot *mem_snapshot(struct store_mem *s);
void snapshot_unref(struct snapshot *snap);

/* A row with a copy of the record's fields in clear and its body sealed; one reference. */
QMN_NODISCARD enum qmn_code mem_row_new(struct store_mem *s, const struct layout *l,
                                        const void *record, struct row **ret, struct err *err);
/* The whole record, its bytes in the arena. */
QMN_NODISCARD enum qmn_code mem_row_read(struct store_mem *s, const struct layout *l,
                                         const struct row *row, struct arena *arena,
                                         void *ret_record, struct err *err);

/* Both under the lock.  Room first, so that adding cannot fail. */
QMN_NODISCARD bool mem_feed_reserve(struct mem_feed *f);
void mem_feed_add(struct mem_feed *f, struct feed_batch *batch);
void mem_feed_trim(struct mem_feed *f);
void mem_feed_release(struct mem_feed *f);
struct feed_batch *feed_batch_new(struct bytes packed);
void feed_batch_unref(struct feed_batch *b);
enum qmn_code mem_changes_since(struct store *base, int64_t cursor, uint32_t limit,
                                store_change_fn *fn, void *ctx, int64_t *ret_cursor,
                                struct err *err);

enum qmn_code mem_commit(struct store *base, const struct mutation *mutations, size_t count,
                         size_t *ret_failed, struct err *err);

#endif
