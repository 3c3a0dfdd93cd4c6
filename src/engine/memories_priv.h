/* SPDX-License-Identifier: MIT
 *
 * What the files of hyphal memory share.  A memory is one row under one number for as long as it
 * lives; what it said before stands in rows of its history.  Who supersedes it takes its number and
 * gives it another id. */
#ifndef QMN_ENGINE_MEMORIES_PRIV_H
#define QMN_ENGINE_MEMORIES_PRIV_H

#include "engine/live_priv.h"
#include "engine/memories.h"

/* Whether somebody of that clearance may know of it. */
bool memory_visible(const struct memory *m, uint32_t clearance, int64_t now);
/* QMN_E_NOT_FOUND, the same whether it is absent, hidden or another tenant's. */
enum qmn_code memory_absent(struct bytes id, const char *field, struct err *err);
/* Row and vector of one that is there. */
QMN_NODISCARD enum qmn_code memory_read(struct engine *e, int64_t no, struct arena *arena,
                                        struct record_memory *ret,
                                        struct record_memory_vector *ret_vector, struct err *err);

/* What is to be read from the store, found under the read lock. */
struct wanted {
    int64_t no, created_ms;
    struct id id; /* of a page */
    float similarity;
    const struct memory_match *match;
};
/* The first `room` memories of a listing. */
QMN_NODISCARD enum qmn_code memory_page(struct engine *e, struct call *c,
                                        const struct memory_query *q, size_t room,
                                        struct wanted **ret, size_t *ret_count);
/* What the memory of that number said then. */
QMN_NODISCARD enum qmn_code memory_said(struct engine *e, struct call *c, int64_t no, int64_t at_ms,
                                        struct memory_out *out);
/* Reads the rows without the lock and names their authors under it; what was deleted or raised in
 * between is left out. */
QMN_NODISCARD enum qmn_code memory_read_rows(struct engine *e, struct call *c,
                                             const struct wanted *wanted, size_t count,
                                             struct memories_out *out);
/* A memory's vector as the store has it, from the arena.  Without the lock.  *ret NULL: it has none
 * of that dimension any more. */
QMN_NODISCARD enum qmn_code memory_stored_vector(struct engine *e, int64_t no, uint32_t dim,
                                                 struct arena *arena, const float **ret,
                                                 struct err *err);
/* Read lock held: the network's of a row that is as it says now, or NULL. */
const struct memory *memory_of_row(const struct engine *e, const struct record_memory *row);
/* Read lock held.  False: out of memory.  Borrows from the row. */
bool memory_fill_out(struct engine *e, const struct record_memory *row, struct arena *arena,
                     struct memory_out *out);
/* engine_get_memory without its end. */
QMN_NODISCARD enum qmn_code memory_get(struct engine *e, struct call *c, struct bytes id,
                                       int64_t as_of_ms, struct memory_out *out);

QMN_NODISCARD enum qmn_code memory_as_of(struct engine *e, struct call *c, struct bytes id,
                                         int64_t as_of_ms, struct memory_out *out);

/* ---- changes: the writer, in check ---- */

/* One that the caller sees and may change, claimed.  May set cmd->defer.  NOT_FOUND, FORBIDDEN. */
QMN_NODISCARD enum qmn_code memory_claim(struct engine *e, struct command *cmd, struct bytes text,
                                         const char *field, uint32_t *ret_slot, struct err *err);

/* From one version to the next. */
struct memory_version_op {
    struct record_memory_version row, dropped;
    int64_t history; /* by how many bytes that grows */
};
/* Adds to the batch that `old` becomes history and the oldest is forgotten if it must.  vector:
 * the old one; NULL when it stays.  All of them are borrowed until the commit. */
QMN_NODISCARD enum qmn_code memory_keep_version(struct engine *e, struct command *cmd,
                                                const struct record_memory *old,
                                                const struct record_memory_vector *vector,
                                                const struct record_memory *next,
                                                struct memory_version_op *op, struct err *err);

#endif
