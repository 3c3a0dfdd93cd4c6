/* SPDX-License-Identifier: MIT
 *
 * The memories of a tenant as sets of slots: what a search may see is put together from them,
 * instead of asking each memory.  Labels are bits beside the earliest expiry of their 64 slots;
 * numbers that every memory has stand in columns; all else is terms (terms_priv.h).
 *
 * Threads: the writer changes them under the network's lock for writing; whoever filters holds that
 * for reading. */
#ifndef QMN_ENGINE_MEMORY_SETS_PRIV_H
#define QMN_ENGINE_MEMORY_SETS_PRIV_H

#include "base/arena.h"
#include "engine/memories.h"
#include "engine/terms_priv.h"
#include "model/labels.h"
#include "model/record.h"

struct tenant;
struct network;

/* Of 64 slots. */
struct memory_head {
    uint64_t label[LABEL_SECRET]; /* live ones with the label of that number less 1 */
    int64_t soonest_ms;           /* expiry; INT64_MAX: none */
};

/* Each by slot. */
struct memory_columns {
    double *quality;
    int64_t *created_ms, *updated_ms, *expires_ms;
    uint32_t quality_cap, created_cap, updated_cap, expires_cap;
};

struct memory_sets {
    struct memory_head *heads; /* by slot / 64 */
    uint32_t head_cap;
    uint32_t words; /* of them that have been set up, and the columns with them */
    struct memory_columns columns;
    struct terms terms;
    uint64_t changes; /* how often a memory came, changed or went */
};

/* ---- the writer ---- */

enum { MEMORY_ID_FACTS = 8 }; /* kind, agent, task, trace: their names and values */

/* All that the row can be filtered by, in the arena.  Metadata that is no object says nothing.
 * False: out of memory. */
QMN_NODISCARD bool memory_facts(const struct record_memory *m, struct bytes agent_id,
                                struct arena *arena, struct fact **ret, size_t *ret_count);
/* Before memories are published: columns for all slots there is room for.  Takes the lock for
 * writing when something moves.  False: out of memory. */
QMN_NODISCARD bool memory_sets_grow(struct network *n, struct tenant *t);
/* What stands at the slot, with its facts; and before it goes, which frees them. */
void memory_sets_add(struct tenant *t, uint32_t slot);
void memory_sets_remove(struct tenant *t, uint32_t slot);
/* Its quality has moved. */
void memory_sets_quality(struct tenant *t, uint32_t slot);
void memory_sets_release(struct memory_sets *s);

/* ---- whoever looks for memories: read lock, or the writer ---- */

struct memory_permit {
    uint64_t *bits; /* by slot; of the arena */
    size_t words;
    uint32_t count;
    uint32_t clearance; /* of whom */
    int64_t now;
    uint64_t changes; /* of the sets it was made of */
};

/* Those that somebody of that clearance may know of now and that the filter (NULL: any) lets
 * through.  False: out of memory. */
QMN_NODISCARD bool memory_permit(const struct tenant *t, uint32_t clearance, int64_t now,
                                 const struct memory_filter *filter, struct arena *arena,
                                 struct memory_permit *ret);
/* The same with the clearance of today, for a permit that was made under an earlier hold of the
 * lock: anew if there was a change since.  Its `now` stays. */
QMN_NODISCARD bool memory_permit_again(const struct tenant *t, uint32_t clearance,
                                       const struct memory_filter *filter, struct arena *arena,
                                       struct memory_permit *p);
static inline bool memory_permit_has(const struct memory_permit *p, uint32_t slot)
{
    return slot / SLOTSET_WORD < p->words && bits_has(p->bits, slot);
}
/* The first slot at `from` or above; UINT32_MAX: none. */
static inline uint32_t memory_permit_next(const struct memory_permit *p, uint32_t from)
{
    return bits_next(p->bits, p->words, from);
}
/* The same for those that have expired and are still there. */
uint32_t memory_expired_next(const struct tenant *t, int64_t now, uint32_t from);

/* A filter of what listings narrow by. */
struct memory_narrow {
    struct memory_filter all;
    struct memory_filter parts[4];
    struct filter_value values[4];
    uint32_t count;
};
/* Empty texts and times of 0 do not narrow; created in [from, to).  Borrows; the filter is
 * &n->all. */
void memory_narrow(struct memory_narrow *n, struct bytes agent_id, struct bytes kind,
                   int64_t from_ms, int64_t to_ms);

#endif
