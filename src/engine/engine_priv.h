/* SPDX-License-Identifier: MIT
 *
 * What the files of the engine share. */
#ifndef QMN_ENGINE_ENGINE_PRIV_H
#define QMN_ENGINE_ENGINE_PRIV_H

#include "base/rng.h"
#include "crypto/apikey.h"
#include "engine/gather_priv.h"
#include "engine/memory_backlog_priv.h"
#include "engine/network_priv.h"
#include "engine/searchers_priv.h"
#include "engine/writer_priv.h"

#define PREFIX_NUTRIENT "nu_"
#define PREFIX_TRACE    "tr_"
#define PREFIX_RESPONSE "re_"
#define PREFIX_MEMORY   "me_"
#define PREFIX_POLICY   "po_"
#define PREFIX_TASK     "ta_"

struct engine_metrics {
    struct counter *nutrients, *deliveries, *unrouted, *collects, *outcomes, *edge_changes, *acks,
        *expired, *dropped, *shed, *idempotent_replays, *memories_refused;
    struct counter *snapshots_taken, *snapshots_failed, *snapshots_loaded, *snapshots_refused,
        *snapshot_bytes, *snapshot_rows;
    struct histogram *commit_seconds, *group_commands;
};

struct control;   /* control_priv.h */
struct snapshots; /* memory_snapshot_priv.h */

enum { ENGINE_GATHERS = 64 }; /* loops; more run ungathered */

struct engine {
    /* immutable */
    struct store *store;
    struct metrics *metrics;
    const struct clock *clock;
    struct pepper pepper;
    bool pepper_fits; /* the keys in the store were made with it; false: new_pepper alone */
    char region[64], key_env[16], backup_dir[480];
    char snapshot_dir[480]; /* empty: none are kept */
    struct sealer sealer;   /* of snapshots */
    double epsilon;
    int64_t retention_ms;
    uint64_t inbox_bytes; /* per tenant */
    uint32_t memory_flat_max, memory_backlog_max;
    uint32_t agent_flat_max; /* 0: AGENT_FLAT_MAX */
    struct engine_metrics m;

    struct gather gathers[ENGINE_GATHERS];
    uint32_t gather_count; /* set before the loops start */

    struct network net;
    struct writer *writer;
    struct control *control;
    struct snapshots *snapshots; /* NULL: none are kept */
    struct idempotency *idempotency;
    struct searchers searchers;
    struct link_meter link_meter; /* the writer's */
    struct memory_gauge memory_gauges[MEMORY_GAUGES];
    struct tenant *index_line; /* the writer's: whose memory index may have work left */
    struct tenant *agent_line; /* ... and whose index of agents */
    _Atomic uint64_t seed;     /* of the next decision's rng: one fetch-add a decision */
    _Atomic int last_commit;   /* enum qmn_code of the last commit that was tried */
    _Atomic bool draining;
    _Atomic int waiting; /* parked pulls and collects */
    _Atomic int backups; /* running */
};

/* ---- vectors.c ---- */

/* The unit vector of an input in the tenant's space, in the arena: embeds text, normalises floats,
 * checks finiteness, length and dimension.  `field` names the request field.  *ret_space is the
 * space it is in ("qmn-lexical/1" or "client").  Read lock held. */
QMN_NODISCARD enum qmn_code engine_vector(const struct tenant *t, const struct vector_in *in,
                                          const char *field, struct arena *arena,
                                          const float **ret_unit, uint32_t *ret_dim,
                                          struct bytes *ret_space, struct err *err);
/* Whether text can be compared with the tenant's vectors.  Read lock held. */
bool engine_text_space(const struct tenant *t);
struct bytes engine_pack_f16(const float *unit, uint32_t dim, struct arena *arena);
float *engine_unpack_f16(struct bytes f16, struct arena *arena);

/* ---- helpers ---- */

static inline int64_t engine_now(const struct engine *e)
{
    return clock_now_ms(e->clock);
}

/* Monotonic, for leases and waits: no step of the wall clock ends or prolongs them.  What is stored
 * or shown, and every TTL, goes by engine_now. */
static inline int64_t engine_mono_ms(const struct engine *e)
{
    return clock_us(e->clock) / 1000;
}

/* Id as text in the arena. */
struct bytes engine_id_text(struct arena *a, const struct id *id, const char *prefix);
/* Whether it is a name that we gave, as nutrient or as trace; a client's own is never one. */
bool engine_nutrient_id(struct bytes text, struct id *ret);
/* The client's own id of a broadcast, as its trace row has it; ptr NULL: out of memory. */
struct bytes engine_client_key(struct arena *a, uint32_t label, struct bytes client_id);
static inline struct bytes engine_client_id(const struct record_trace *t)
{
    return t->client_key.len ? bytes_of(t->client_key.ptr + 1, t->client_key.len - 1)
                             : bytes_of("", 0);
}
/* What clients call a nutrient: their own id for it, or ours. */
struct bytes engine_nutrient_name(struct arena *a, const struct id *id, struct bytes client_id);
/* Copies into the arena; on failure the result is empty and *failed set. */
struct bytes engine_copy(struct arena *a, struct bytes b, bool *failed);
/* The tenant of the caller; it exists and is active, since authentication said so, unless deleted
 * since. */
QMN_NODISCARD enum qmn_code engine_tenant(struct engine *e, const struct caller *caller,
                                          struct tenant **ret, struct err *err);
/* Whether somebody let in a while ago would be let in now; read lock held.  For calls that wait: a
 * key that is revoked meanwhile gets nothing more. */
QMN_NODISCARD enum qmn_code engine_still_welcome(const struct engine *e,
                                                 const struct caller *caller, struct err *err);
/* Until when at most, as things stand; INT64_MAX: no end is set.  Read lock held. */
int64_t engine_welcome_until(const struct engine *e, const struct caller *caller);
/* Refuses while draining. */
/* Reads or makes the pepper and compares it with what the loaded keys were made with. */
QMN_NODISCARD enum qmn_code engine_open_pepper(struct engine *e, const struct engine_config *config,
                                               struct err *err);
QMN_NODISCARD enum qmn_code engine_open_for(struct engine *e, struct err *err);

/* ---- load.c ---- */
QMN_NODISCARD enum qmn_code engine_load(struct engine *e, struct err *err);

#endif
