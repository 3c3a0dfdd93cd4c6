/* SPDX-License-Identifier: MIT
 *
 * Idempotency keys: what is running, and where the answers of the last 24 hours are stored.  Memory
 * holds 16 bytes a key (hash and row number); rows hold the full hashes and what rebuilds the
 * answer.  A mutex of its own: loops ask, the writer tells. */
#ifndef QMN_ENGINE_IDEMPOTENCY_PRIV_H
#define QMN_ENGINE_IDEMPOTENCY_PRIV_H

#include "engine/writer_priv.h"

#define IDEMPOTENCY_KEEP_MS (24 * INT64_C(3600000))

struct idempotency;

enum idem_state {
    IDEM_NEW = 1, /* registered as running: go ahead, and end it */
    IDEM_RUNNING, /* another request with this key has not finished */
    IDEM_KNOWN,   /* *ret_no is the row of its answer */
    IDEM_NOMEM,
};

struct idempotency *idempotency_new(uint64_t max_entries);
void idempotency_free(struct idempotency *d);

/* 128 bits over tenant, key, route and value. */
void idempotency_hash(const struct caller *caller, const struct idempotency_in *in,
                      uint64_t ret_hash[2]);
enum idem_state idempotency_begin(struct idempotency *d, const uint64_t hash[2], int64_t *ret_no);
/* The running one ended without an answer worth keeping. */
void idempotency_abort(struct idempotency *d, const uint64_t hash[2]);
/* Committed as row `no`; the loader calls it too, in order of no. */
void idempotency_done(struct idempotency *d, const uint64_t hash[2], int64_t no);
/* Forgets entries with no < below.  Returns the lowest kept no (INT64_MAX: none). */
int64_t idempotency_trim(struct idempotency *d, int64_t below);
/* Whether done() may run now without failing; grows if needed. */
bool idempotency_reserve(struct idempotency *d, uint32_t more);
uint64_t idempotency_evicted(struct idempotency *d);

#endif
