/* SPDX-License-Identifier: MIT
 *
 * The network in memory: tenants, keys, agents, edges, live nutrients, memories.  A replica of the
 * store.
 *
 * Thread rule.  `lock` (readers-writer, writer preferred): loops read under the read lock; the
 * writer thread alone changes it, under the write lock, when it publishes a committed group.  The
 * writer reads without locking, since nobody else writes.  (A search of memories lets go of the
 * lock while it searches: memory_index_priv.h.)  Everything a publish needs is allocated before the
 * commit, so that publishing cannot fail; growing a shared table moves it, so that too happens
 * under the write lock (network_grow_*). `inbox_lock` (mutex, taken after `lock`): inbox lists and
 * delivery states, which a pull on a loop leases. Fields marked atomic are counters that loops bump
 * under the read lock. */
#ifndef QMN_ENGINE_NETWORK_PRIV_H
#define QMN_ENGINE_NETWORK_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/id.h"
#include "base/limits.h"
#include "base/map.h"
#include "engine/engine.h"
#include "engine/memory_sets_priv.h"
#include "engine/tags_priv.h"
#include "index/flat.h"
#include "index/vectors.h"
#include "model/textlist.h"
#include "route/quality.h"
#include "text/lexical.h"

struct tenant;
struct agent;
struct nutrient;
struct memory_snapshot;

#define DEFAULT_AGENT_ID "default-agent"
#define SYSTEM_TENANT_ID "system"

/* A deep copy on the heap, the struct in front and its bytes behind, freed with mem_free; NULL when
 * out of memory. */
void *record_hold(enum record_kind kind, const void *record);
/* A deep copy into the arena. */
bool record_copy(enum record_kind kind, const void *record, struct arena *arena, void *ret);

struct edge {
    uint32_t dst;                  /* slot of the target agent */
    bool row_behind;               /* the learning log has it newer than its row */
    double weight, success, decay; /* weight: at the last outcome; relax with edge_idle() */
    int64_t outcomes, created_ms, updated_ms;
};

/* One agent's copy of a live nutrient. */
struct delivery {
    struct nutrient *nutrient;
    struct agent *agent;
    struct delivery *prev, *next; /* the agent's inbox, by sequence */
    uint32_t from;                /* slot of the agent that passed it on */
    uint8_t hop;
    uint8_t state;     /* enum delivery_state */
    bool queued;       /* in the inbox list */
    uint8_t responses; /* answers given to it */
    bool leased;       /* by the last pull: until ready_ms */
    uint16_t attempts;
    float score;
    int64_t ready_ms;   /* leased or put off until then, monotonic; 0: never leased */
    uint32_t leased_to; /* stream; 0: to a pull */
};

/* A nutrient that has not expired, with the routes of its trace. */
struct nutrient {
    int64_t no;
    struct tenant *tenant;
    struct id id;    /* of nutrient and trace alike */
    uint32_t source; /* agent slot */
    uint32_t sensitivity;
    uint32_t bytes;  /* what its body takes in the store */
    uint32_t stored; /* what its row takes, whether or not it still counts in the inboxes */
    int64_t created_ms, expires_ms;
    struct bytes task_id, client_id; /* behind the struct */
    struct bytes hints;              /* text list, behind the struct */
    bool rated;                      /* somebody may have recorded an outcome */
    struct nutrient *older, *newer;  /* the tenant's live nutrients by sequence */
    /* while a delivery is queued, NULL after: its source's others, and its vector in int8 (see
     * kernels.quantise_i8), so that a collect finds what to wait for without the store */
    struct nutrient *own_older, *own_newer;
    int8_t *codes; /* owned; a row of code_count, padded to the stride; NULL: none */
    uint32_t code_count;
    float scale;
    uint32_t pending; /* deliveries still queued */
    uint32_t delivery_count;
    struct delivery deliveries[];
};

/* A live response, found by similarity through the tenant's response index. */
struct response {
    int64_t no, nutrient_no, expires_ms;
    uint32_t agent; /* slot */
    uint32_t sensitivity;
    float quality;
    int64_t created_ms;
    struct id id;
    uint32_t stored; /* bytes */
    bool used;       /* slot taken */
};

struct memory {
    int64_t no, expires_ms, created_ms, version, updated_ms, begun_ms; /* see record_memory */
    uint32_t agent;                                                    /* slot */
    uint32_t kind; /* index into tenant.memory_kinds */
    uint32_t sensitivity;
    double quality, given; /* as outcomes have moved it; as its author said */
    struct id id;
    uint64_t print; /* hash of all that a duplicate has in common with it */
    uint64_t vector_print;
    uint32_t said;   /* bytes of content and metadata */
    uint32_t stored; /* bytes of all its rows, with its history */
    bool used;
    struct facts *facts; /* owned: what it can be filtered by */
    bool row_behind;     /* the learning log has what was learned of it newer than its row */
    uint32_t uses;       /* outcomes it had a share in */
    float useful;        /* what they said, [0, 1]; .5: nothing (quality_useful) */
    struct quality_evidence evidence;
};

/* How precisely the network keeps profiles.  A decision rescores a few dozen of them, 6 KB each at
 * 1536 dimensions, from a cache that other work has emptied: in fixed point only 1.5 KB of them are
 * cold.  Below 256 dimensions (a guess) there is too little to gain. */
static inline enum flat_precision profile_precision(uint32_t dim)
{
    return dim >= 256 ? FLAT_FIXED : FLAT_F32;
}

struct agent {
    struct tenant *tenant;
    uint32_t slot;               /* in tenant.agents and tenant.profiles */
    struct record_agent *record; /* held; its profile bytes are empty (the store has them) */
    uint32_t *capability_tags;   /* interned capabilities and tools, distinct */
    uint32_t capability_count;
    struct recent_task {
        int64_t nutrient_no, at_ms;
        uint32_t *tags; /* distinct */
        uint32_t count;
    } recent[LIMIT_RECENT_TASKS];
    uint64_t recent_count;   /* ever: the next task overwrites the place of this number */
    uint32_t recents_coming; /* the writer's: new ones in the group at hand */
    uint32_t recents_behind; /* the writer's: parts of the ring that the learning log has newer than
                              * their rows, a bit for each */

    struct edge *edges; /* outgoing */
    uint32_t edge_count, edge_cap;
    uint32_t edges_coming;     /* the writer's: new ones in the group at hand */
    struct agent *log_next;    /* the writer's: agents with rows behind (learning_log_priv.h) ... */
    int64_t log_no;            /* ... since that record; 0: none are ... */
    uint64_t log_at;           /* ... which began at this byte */
    struct nutrient *own;      /* the newest of its nutrients with a delivery queued */
    struct u64map edge_by_dst; /* dst slot -> index into edges */

    /* guarded by inbox_lock */
    struct delivery *inbox_head, *inbox_tail;
    struct delivery *inbox_scan; /* none before it (NULL: none at all) is ready ... */
    int64_t inbox_scan_ms;       /* ... until then, monotonic: a pull need not walk past leases */
    uint32_t inbox_pending;      /* all of it ... */
    uint32_t pending_of[LABEL_SECRET + 1]; /* ... and by label */
    struct waiter *waiters;                /* pulls waiting for a delivery */

    _Atomic int64_t last_seen_ms; /* last pull; wall, to be shown ... */
    _Atomic int64_t around_ms;    /* ... and monotonic; 0: never */
    _Atomic uint64_t dropped;     /* deliveries lost to the inbox bound */
};

/* A large tenant's profiles, to find the nearest (agent_index_priv.h).  Places are slots of
 * `vectors`. */
struct agent_index {
    struct vectors *vectors; /* NULL: there is no index */
    bool ready;              /* decisions ask it */
    uint32_t filled;         /* agents below this slot are in it */
    uint32_t *place_of;      /* by agent slot */
    uint32_t *agent_of;      /* by place */
    uint32_t agent_cap, place_cap;
    uint64_t *open[LABEL_SECRET + 1];   /* by label, sets of agents: who may be sent it ... */
    uint64_t *permit[LABEL_SECRET + 1]; /* ... and of places: those of them with a profile */
    uint32_t open_count[LABEL_SECRET + 1], permitted[LABEL_SECRET + 1];
    struct tenant *next; /* the writer's: in line for work on it */
    bool in_line;
};

struct key {
    struct record_key *record; /* held */
    struct tenant *tenant;
    struct key *sibling;    /* the tenant's keys */
    uint32_t scopes;        /* SCOPE_BITs as granted, with what they imply */
    _Atomic int64_t tat_us; /* GCRA: theoretical arrival time, monotonic */
    _Atomic int64_t last_used_ms;
};

struct usage {
    int64_t hour; /* Unix hours; 0 in totals */
    _Atomic uint64_t nutrients, collects, searches, outcomes, stores, bytes;
};

struct tenant {
    struct record_tenant *record; /* held */
    struct engine *engine;

    struct textmap agents_by_id; /* struct agent */
    struct agent *
        *agents; /* by slot; never NULL below agent_count, never freed before the tenant */
    uint32_t agent_count, agent_cap;
    uint8_t *reach; /* by slot: highest label the agent may be sent, 0: none now; beside the agents
                     * because a decision asks it of each of them */
    int64_t *agent_nos; /* by slot, for the same reason */
    uint32_t reach_cap, nos_cap;
    uint32_t active_agents; /* what the quota counts: not suspended, not the default agent */
    uint64_t agents_group;  /* the writer's: group that lets agents_coming more in */
    uint32_t agents_coming;
    struct agent *default_agent;
    struct flat profiles; /* slots are agent slots */
    struct agent_index index;
    struct tags tags;
    uint64_t edge_count;

    struct nutrient *oldest, *newest; /* live */
    struct nutrient *bounded;         /* the oldest whose bytes still count */
    uint64_t live_bytes, live_count;
    uint64_t stored_bytes; /* content now in the store: live nutrients, responses,
                            * memories, tasks */

    struct flat response_index; /* slots index responses */
    struct response *responses;
    uint32_t response_cap;
    struct vectors *memory_index; /* slots index memories; NULL: there never was one */
    struct memory *memories;
    uint32_t memory_cap;
    uint32_t memory_slots, memory_count; /* highest slot ever used + 1; used ones */
    struct memory_sets memory_sets;
    struct tenant *index_next; /* the writer's: in line for work on the index */
    bool index_in_line;
    struct lexical memory_words; /* the same slots */
    uint64_t words_group;        /* the writer's: group that brings words_coming */
    size_t words_coming;
    _Atomic bool index_linked;      /* it has a graph, and no copies of the vectors */
    _Atomic uint64_t index_changes; /* vectors in, out and linked; the writer counts */
    struct memory_snapshot
        *snapshot; /* of the index, on disk; NULL: none (memory_snapshot_priv.h) */
    struct textmap memory_kind_ids;
    struct bytes *memory_kinds; /* owned texts */
    uint32_t memory_kind_count, memory_kind_cap;
    struct u64map memory_by_id;    /* id_hash -> slot */
    struct u64map memory_by_no;    /* those with a history: no -> slot */
    struct u64map memory_by_print; /* -> slot of one that has it */

    struct waiter *collects; /* parked; guarded by inbox_lock */

    struct key *keys; /* the newest first */
    uint32_t key_count;
    struct record_policy **policies; /* held, in order of making */
    uint32_t policy_count, policy_cap;
    struct textmap tasks_by_id; /* struct record_task, held */
    int64_t audit_seq;          /* highest */

    struct usage usage, usage_total;
    _Atomic bool usage_dirty; /* counted by a loop since the last commit */
};

struct network {
    pthread_rwlock_t lock;
    pthread_mutex_t inbox_lock;
    /* The writer's while it links memories or makes room for them, which no search minds; only who
     * validates waits for it. */
    pthread_mutex_t index_lock;
    struct textmap tenants_by_id; /* struct tenant */
    struct tenant **tenants;      /* in order of making */
    uint32_t tenant_count, tenant_cap;
    struct u64map tenants_by_no;  /* no -> struct tenant * */
    struct u64map agents_by_no;   /* no -> struct agent * */
    struct textmap keys_by_id;    /* struct key */
    struct u64map live_by_id;     /* id_hash -> struct nutrient * */
    struct u64map live_by_no;     /* no -> struct nutrient * */
    struct u64map live_by_client; /* hash of tenant, label and client id -> struct nutrient * */
    struct u64map streams;        /* open ones: number -> no of the agent; guarded by inbox_lock */
    uint32_t last_stream;         /* likewise */
};

enum qmn_code network_init(struct network *n, struct err *err);
void network_release(struct network *n);

/* 64 bits of an id's random part: key of the in-memory tables; the whole id is compared after. */
uint64_t id_hash(const struct id *id);
uint64_t client_id_hash(const struct tenant *t, uint32_t label, struct bytes client_id);

/* ---- look-ups: read lock, or the writer ---- */
struct tenant *network_tenant(const struct network *n, struct bytes id);
struct tenant *network_tenant_no(const struct network *n, int64_t no);
struct agent *tenant_agent(const struct tenant *t, struct bytes id); /* NULL if absent */
struct agent *network_agent_no(const struct network *n, int64_t no);
struct key *network_key(const struct network *n, struct bytes id);
struct nutrient *network_live(const struct network *n, const struct tenant *t, const struct id *id);
struct nutrient *network_live_client(const struct network *n, const struct tenant *t,
                                     uint32_t label, struct bytes client_id);
struct delivery *nutrient_delivery(struct nutrient *x, const struct agent *a);
struct edge *agent_edge(const struct agent *a, uint32_t dst); /* NULL: none stored */

/* The agent a call acts as: `named` if the key allows it, else the key's only bound agent, else the
 * default agent. NOT_FOUND, FORBIDDEN; `field` names the request field in the error.  Suspended
 * agents may not act: CONFLICT. */
QMN_NODISCARD enum qmn_code network_acting_agent(const struct tenant *t,
                                                 const struct caller *caller, struct bytes named,
                                                 const char *field, struct agent **ret,
                                                 struct err *err);

/* The highest label the agent may name and see.  One that nobody registered was granted none and is
 * sent nothing, but what it knows may be internal, as by default. */
static inline uint32_t agent_label(const struct agent *a)
{
    return a->record->clearance ? (uint32_t)a->record->clearance : LABEL_INTERNAL;
}
/* The highest label that this caller may see in the name of this agent: neither may lend the other
 * its clearance. */
uint32_t agent_clearance(const struct agent *a, const struct caller *caller);
/* The same for what is read in nobody's name: of a key bound to agents, the highest of those that
 * may act. */
uint32_t network_clearance(const struct tenant *t, const struct caller *caller);

/* How many deliveries wait that such a clearance may know of. */
static inline uint32_t agent_pending(const struct agent *a, uint32_t clearance)
{
    uint32_t n = 0;
    for (uint32_t label = LABEL_PUBLIC; label <= LABEL_SECRET; label++)
        n += label <= clearance ? a->pending_of[label] : 0;
    return n;
}

/* ---- growth: the writer, before a commit ---- */
/* Each makes room for `more` of its kind, taking the write lock only when something must move. */
bool network_grow_tenants(struct network *n, uint32_t more);
bool network_grow_keys(struct network *n, uint32_t more);
bool network_grow_agents(struct network *n, struct tenant *t, uint32_t more);
bool network_grow_edges(struct network *n, struct agent *a, uint32_t more);
bool network_grow_live(struct network *n, uint32_t more);

/* Any array of the network whose readers hold the read lock. */
bool network_grow_array(struct network *n, void **items, uint32_t *cap, uint32_t need, size_t size);

/* ---- building: the writer in a publish (or the loader), after the growth; cannot fail ---- */
/* Takes ownership of the pieces. */
void network_add_tenant(struct network *n, struct tenant *t);
void network_add_key(struct network *n, struct key *k);
/* Takes it out and frees it. */
void network_remove_key(struct network *n, struct key *k);
void network_add_agent(struct network *n, struct agent *a, const float *profile);
/* Swaps in a new version; the old record is freed. */
void tenant_replace(struct tenant *t, struct record_tenant *record);
void key_replace(struct key *k, struct record_key *record);
void agent_replace(struct agent *a, struct record_agent *record, uint32_t *capability_tags,
                   uint32_t capability_count, const float *profile);
/* Recomputes what may be sent to the agent, after its record changed. */
void agent_reach(struct agent *a);
/* Takes the held record, in place of one with its id.  False: out of memory (never after growth).
 */
bool tenant_put_task(struct tenant *t, struct record_task *task);
void tenant_remove_task(struct tenant *t, struct record_task *task);
struct edge *agent_put_edge(struct agent *a, uint32_t dst);
void agent_remove_edge(struct agent *a, uint32_t dst);

/* ---- making pieces: anywhere; NULL when out of memory ---- */
struct tenant *tenant_new(struct engine *e, const struct record_tenant *record);
void tenant_free(struct tenant *t);
struct agent *agent_new(struct tenant *t, const struct record_agent *record);
void agent_free(struct agent *a);
struct key *key_new(struct tenant *t, const struct record_key *record);
void key_free(struct key *k);
void nutrient_free(struct nutrient *x); /* live_new makes it */

/* Whether every cross-reference and counter of the network is right; if not, ret_text says which is
 * not.  For tests and debug builds.  Any thread but the writer's. */
enum { VALIDATE_TEXT = 200 };
bool network_validate(struct network *n, char ret_text[VALIDATE_TEXT]);
/* The same while calls are under way: commands between check and publish hold tags already. */
bool network_validate_busy(struct network *n, char ret_text[VALIDATE_TEXT]);

#endif
