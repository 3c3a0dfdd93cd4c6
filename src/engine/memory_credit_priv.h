/* SPDX-License-Identifier: MIT
 *
 * What outcomes say of memories: the group at hand accumulates it, the learning log keeps it, a row
 * of its own (record_memory_credit) catches up later.  A memory is meant by id and number: whoever
 * supersedes it begins without a record.
 *
 * Thread rule: the writer's; at load, the loading thread's. */
#ifndef QMN_ENGINE_MEMORY_CREDIT_PRIV_H
#define QMN_ENGINE_MEMORY_CREDIT_PRIV_H

#include "engine/learned_priv.h"
#include "engine/network_priv.h"
#include "route/quality.h"

struct engine;

/* A memory whose row is behind the learning log. */
struct credit_behind {
    struct credit_behind *next;
    int64_t tenant_no;
    struct id id;
    int64_t log_no;  /* since that record ... */
    uint64_t log_at; /* ... which began at this byte */
};

/* What a memory will have learned after this group: change it freely, then set `moved`. */
struct memory_credit_next {
    struct tenant *tenant;
    uint32_t slot, uses;
    struct quality_evidence evidence;
    bool moved, in_log;
    struct credit_behind *behind;   /* owned until the group is published */
    struct memory_credit_next *all; /* of the group */
};

/* NULL: out of memory. */
struct memory_credit_next *writer_memory(struct engine *e, struct tenant *t, uint32_t slot);
/* Whether a vote counts already, or this group brings one. */
bool writer_memory_rated(struct engine *e, const struct tenant *t, uint32_t slot);

/* After the checks: room for the publish. */
void memory_credit_prepare(struct engine *e);
/* Write lock held; what the log had to catch up is published before. */
void memory_credit_publish(struct engine *e);
void memory_credit_discard(struct engine *e);

/* Where the log keeps it. */
struct learned_memory memory_credit_learned(const struct memory_credit_next *x);
/* Adds the row of one that is behind to the batch.  Returns how many bytes of the log that is
 * worth; 0: it has gone. */
size_t memory_credit_put(struct engine *e, const struct credit_behind *b);
/* It is up to date; frees it. */
void memory_credit_caught_up(struct engine *e, struct credit_behind *b);

/* Shows what was learned. */
void memory_set_credit(struct memory *m, const struct quality_evidence *evidence, uint32_t uses);
/* At load: a row, and what the log has that is newer.  Of what is no longer there, nothing. */
void memory_credit_load_row(struct engine *e, const struct record_memory_credit *row);
QMN_NODISCARD enum qmn_code memory_credit_load(struct engine *e,
                                               const struct record_learning_log *row,
                                               const struct learned_memory *from, struct err *err);

#endif
