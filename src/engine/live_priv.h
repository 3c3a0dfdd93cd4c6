/* SPDX-License-Identifier: MIT
 *
 * What is alive and passes: nutrients on their way, inboxes, responses, and who waits for them. */
#ifndef QMN_ENGINE_LIVE_PRIV_H
#define QMN_ENGINE_LIVE_PRIV_H

#include "engine/decision_priv.h"
#include "engine/engine_priv.h"

/* ---- waiting ---- */

/* A parked pull or collect.  Linked while it waits; taken off its list and posted to its loop when
 * something it waits for happened.  Guarded by inbox_lock. */
struct waiter {
    struct waiter *next, **link; /* link NULL: not waiting */
    struct executor *exec;
    struct task task;
    const int64_t *watched; /* collects: nos of the nutrients it waits on */
    uint32_t watched_count;
    bool resumes; /* a pull that may take over what an ended stream holds */
};

/* inbox_lock held. */
void waiter_park(struct waiter **list, struct waiter *w);
/* True if it was still waiting. */
bool waiter_unpark(struct waiter *w);
void waiters_wake(struct waiter **list);
/* Those that resume. */
void waiters_wake_resuming(struct waiter **list);
/* Everybody who waits in the tenant: each looks whether he is still welcome. */
void tenant_wake(struct tenant *t);
/* Wakes the collects of a tenant that watch this nutrient. */
void collects_wake(struct tenant *t, int64_t nutrient_no);

/* ---- nutrients ---- */

/* Builds the live object of a broadcast on the heap; agents by slot.  NULL: out of memory. */
struct live_in {
    const struct record_trace *trace;
    const struct record_nutrient *nutrient;
    struct bytes hints; /* text list */
    uint32_t source;    /* slot */
    const struct route_view *routes;
    uint32_t route_count;
    struct bytes codes; /* its unit vector in int8; empty: unknown */
    float scale;
};
struct nutrient *live_new(struct tenant *t, const struct live_in *in);
/* Room in the tables for a publish of this group. */
bool live_reserve(struct engine *e);
/* Write lock and inbox_lock held.  Links it into the tables and every inbox, wakes the waiting. */
void live_publish(struct engine *e, struct nutrient *x);
/* Takes it out of everything and frees it. */
void live_remove(struct engine *e, struct nutrient *x);
/* Nobody's any more: offered from ready_ms on (monotonic). */
void delivery_offer(struct delivery *d, int64_t ready_ms);
/* Takes one delivery out of its inbox with a final state. */
void delivery_end(struct delivery *d, enum delivery_state state);
/* Drops the tenant's oldest nutrients from the inboxes while what waits in them takes more than
 * inbox_bytes.  After publishing; at the start once all is loaded, what was acknowledged too. */
void live_bound(struct engine *e, struct tenant *t);

/* ---- responses ---- */
/* What it takes in the store, for the quota. */
uint32_t response_bytes(const struct record_response *r);
bool response_reserve(struct engine *e, struct tenant *t);
void response_publish(struct engine *e, struct tenant *t, const struct record_response *r,
                      uint32_t agent, const float *unit);
void response_remove(struct tenant *t, uint32_t slot);

/* ---- memories ---- */
uint32_t memory_bytes(const struct record_memory *m, uint32_t dim);
/* Before a row is published: room for all of it, and its facts.  words: different ones of the
 * memory's.  The arena is scratch. */
bool memory_reserve(struct engine *e, struct tenant *t, struct bytes agent_id,
                    const struct record_memory *m, uint32_t words, struct arena *arena,
                    struct facts **ret);
/* What an exact duplicate has in common: author, kind, label, content and vector. */
uint64_t memory_print(const struct record_memory *m, struct bytes vector);
/* The same of a vector whose print is known. */
uint64_t memory_print_with(const struct record_memory *m, uint64_t vector_print);
uint64_t memory_vector_print(struct bytes vector);
struct memory_next {
    const struct record_memory *row;
    uint32_t agent;            /* slot */
    const float *unit;         /* NULL (change, adopt): its vector stays */
    uint64_t print;            /* memory_print */
    int64_t history;           /* change: by how many bytes that grows */
    struct lexical_doc *words; /* taken; NULL (change, with the vector): they stay, and the label */
    struct facts *facts;       /* of memory_reserve; taken */
};
void memory_publish(struct engine *e, struct tenant *t, const struct memory_next *next);
/* A row in place of the one at hand, with the same number. */
void memory_change(struct tenant *t, uint32_t slot, const struct memory_next *next);
/* The start: a memory whose vector the index has already, at this slot. */
void memory_adopt(struct engine *e, struct tenant *t, const struct memory_next *next, uint32_t slot,
                  uint64_t vector_print);
uint32_t memory_version_bytes(const struct record_memory_version *v);
/* The start has read a row of its history. */
void memory_add_history(struct tenant *t, const struct record_memory_version *v);
/* The lowest version that may be kept. */
static inline int64_t memory_oldest(int64_t version)
{
    return version > LIMIT_VERSIONS ? version - LIMIT_VERSIONS : 1;
}
/* Adds to the batch that all its rows go. */
void memory_delete_rows(struct engine *e, const struct memory *m);
/* ... and only what was learned of it. */
void memory_delete_credit(struct engine *e, const struct memory *m);
/* Slot of a memory, or UINT32_MAX. */
uint32_t memory_slot(const struct tenant *t, const struct id *id);
void memory_remove(struct tenant *t, uint32_t slot);

/* ---- expiry ---- */

enum expiry_kind { EXPIRE_NUTRIENT = 1, EXPIRE_RESPONSE, EXPIRE_MEMORY };
/* Has room after upkeep_reserve.  `slot`: of a response or memory. */
void upkeep_schedule(struct engine *e, enum expiry_kind kind, int64_t at_ms, struct tenant *t,
                     int64_t no, uint32_t slot);
bool upkeep_reserve(struct engine *e, uint32_t more);
QMN_NODISCARD bool upkeep_new(struct engine *e);
void upkeep_free(struct engine *e);
/* Expires the due memories of one tenant in the group at hand: what `cleanup` asks for. */
uint64_t upkeep_expire_memories(struct engine *e, struct tenant *t);

#endif
