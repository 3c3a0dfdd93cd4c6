/* SPDX-License-Identifier: MIT
 *
 * Records as bytes.  The sealed fields of a record are packed into one byte string, which passes
 * through the sealer and is stored as one body; the change feed stores packed keys.
 *
 *   body  = version(1) count fields...         fields in table order
 *   feed  = version(1) entries...              entry = kind deleted [tenant_no] keys...
 *   int   = 8 bytes, little endian             real = the 8 bytes of an IEEE double, likewise
 *   bytes = length (LEB128, at most 5 bytes), then the bytes
 *
 * A body with fewer fields than the table has was written before they were added: they read as
 * zero or empty, so appending a sealed field needs no migration.  Unpacked bytes borrow from the
 * input and have no alignment.  Any thread. */
#ifndef QMN_STORE_RECORD_PACK_H
#define QMN_STORE_RECORD_PACK_H

#include "base/arena.h"
#include "base/buf.h"
#include "store/layout.h"
#include "store/store.h"

/* The sealed fields of `record`, packed into the arena. */
QMN_NODISCARD enum qmn_code record_pack(const struct layout *l, const void *record,
                                        struct arena *arena, struct bytes *ret_packed,
                                        struct err *err);
/* Sets the sealed fields of `record`; untouched on failure.  QMN_E_CORRUPT: not a packed body of
 * this kind. */
QMN_NODISCARD enum qmn_code record_unpack(const struct layout *l, struct bytes packed, void *record,
                                          struct err *err);

/* pack, then seal / open, then unpack, under the context of the row: format version, table, tenant
 * and key.  record_open needs the fields in clear set; it names the row when the body is damaged.
 */
QMN_NODISCARD enum qmn_code record_seal(const struct sealer *sealer, const struct layout *l,
                                        const void *record, struct arena *arena,
                                        struct bytes *ret_body, struct err *err);
QMN_NODISCARD enum qmn_code record_open(const struct sealer *sealer, const struct layout *l,
                                        struct bytes body, struct arena *arena, void *record,
                                        struct err *err);

/* Appends one entry; the first call on an empty buffer writes the version.  Failure is buf_ok's. */
void feed_pack(struct buf *b, enum record_kind kind, bool deleted, const void *record);
/* Hands each entry of a batch to fn.  QMN_E_CORRUPT: not a packed batch. */
QMN_NODISCARD enum qmn_code feed_unpack(struct bytes batch, int64_t cursor, store_change_fn *fn,
                                        void *ctx, struct err *err);

/* "agent 12", "edge 3/4", "key abc": for errors. */
enum { RECORD_NAME_CHARS = 96 };
void record_describe(const struct layout *l, const void *record, char ret_text[RECORD_NAME_CHARS]);

/* The largest struct record_*, for code that holds one of any kind. */
union record_any {
    struct record_meta meta;
    struct record_tenant tenant;
    struct record_key key;
    struct record_agent agent;
    struct record_agent_tasks agent_tasks;
    struct record_edge edge;
    struct record_learning_log learning_log;
    struct record_nutrient nutrient;
    struct record_trace trace;
    struct record_delivery delivery;
    struct record_response response;
    struct record_outcome outcome;
    struct record_memory memory;
    struct record_memory_vector memory_vector;
    struct record_policy policy;
    struct record_task task;
    struct record_usage usage;
    struct record_idempotency idempotency;
    struct record_audit audit;
};

#endif
