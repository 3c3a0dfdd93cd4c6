/* SPDX-License-Identifier: MIT
 *
 * The engine: every use case of the node, free of transports.  It owns the in-memory network (a
 * replica of the store), the writer thread that alone changes it, and the background work.
 *
 * How a call runs.  An executor (an event loop) starts it: reads are decided at once under the
 * network's read lock; a mutation is prepared there, queued to the writer, checked against the
 * invariants, committed with its group, published to memory, and only then finished.  Either way
 * `done` runs exactly once, on the thread of `exec`, and perhaps before the starting function
 * returns.  Inputs must live until then; results live in the call's arena.
 *
 * Thread rule: start calls only from the thread of their executor; everything else is the engine's
 * business. */
#ifndef QMN_ENGINE_ENGINE_H
#define QMN_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/id.h"
#include "base/task.h"
#include "model/labels.h"
#include "model/record.h"
#include "obs/metrics.h"
#include "store/store.h"

struct engine;

struct engine_config {
    struct store *store; /* taken on success: closed by engine_free */
    struct metrics *metrics;
    const struct clock *clock;   /* NULL: the system's */
    uint64_t seed;               /* of the exploration; 0: from the kernel */
    const char *pepper_path;     /* file of the key pepper, made (0600) before there are keys */
    bool new_pepper;             /* start with another one: only to make a key with it, see below */
    const char *backup_dir;      /* where backups may be written; NULL: refused */
    const char *snapshot_dir;    /* folder of snapshots of large indexes; NULL: none are kept */
    const struct sealer *sealer; /* of snapshots; NULL: sealer_identity */
    const char *region;          /* what health and agents say; default "local" */
    const char *key_env;         /* the <env> part of keys; default "live" */
    double epsilon;              /* exploration, [0, 1]; negative: the default 0.1 */
    int64_t retention_ms;        /* of traces and outcomes; 0: 30 days */
    uint64_t inbox_bytes;        /* waiting in the inboxes of one tenant; 0: LIMIT_INBOX_BYTES */
    uint64_t learning_log_bytes; /* 0: the default; tests make it small */
    uint32_t memory_flat_max;    /* memories of a tenant that are only scanned; 0: the default */
    uint32_t agent_flat_max;     /* agents of a tenant that are all scored; 0: the default */
    uint32_t memory_backlog_max; /* of them, those that may wait for links; 0: LIMIT_UNLINKED */
    uint32_t group_wait_us;      /* for loops in the midst of a round; 0: 2,000; tests: large */
};

/* Loads the network from the store and starts the writer. */
QMN_NODISCARD enum qmn_code engine_new(const struct engine_config *config, struct engine **ret,
                                       struct err *err);
/* Before the loops start: what this executor begins waits for engine_round, where broadcasts are
 * scored together and all changes go to the writer in one piece.  Its loop must then call that
 * after each wake-up.  False: too many; its calls go one by one. */
bool engine_gather(struct engine *e, struct executor *exec);
/* Lets what has been gathered go on.  The executor's thread; harmless for one that was never
 * announced. */
void engine_round(struct engine *e, struct executor *exec);
/* Refuses new calls, finishes queued ones, stops the threads.  Waiting pulls and collects end at
 * once. */
void engine_drain(struct engine *e);
/* Ends the engine's threads; commands still queued are finished and posted home.  No executor may
 * start calls any more; what was posted may still run until engine_free. */
void engine_stop(struct engine *e);
void engine_free(struct engine *e);

/* The admin key made on the node, in two steps so that it can be kept safe before it counts: its
 * text, NUL-terminated, which the caller wipes; and its birth.  QMN_E_CONFLICT: the store holds
 * keys already, and this is to be the first.  Before the loops start. */
#define ENGINE_KEY_TEXT_MAX 160
enum bootstrap {
    BOOTSTRAP_FIRST = 1,
    BOOTSTRAP_ANOTHER,    /* beside those there are */
    BOOTSTRAP_NEW_PEPPER, /* the only one: all others end, in the same transaction, and the store
                           * takes the pepper at hand for its own */
};
void engine_admin_key_text(const struct engine *e, char ret_key[ENGINE_KEY_TEXT_MAX]);
QMN_NODISCARD enum qmn_code engine_bootstrap(struct engine *e, const char *key, enum bootstrap what,
                                             struct err *err);
bool engine_has_keys(struct engine *e);
/* Whether the keys in the store were made with the pepper at hand. */
bool engine_pepper_fits(const struct engine *e);

/* What a key may do.  Order is the bit number. */
#define ENGINE_SCOPES(X)                                                                           \
    X(ADMIN, "admin") /* everything, in every tenant; only tenant `system` can grant it */         \
    X(TENANT_ADMIN,                                                                                \
      "tenant:admin") /* keys, policies, audit, edge maintenance of the own tenant */              \
    X(NUTRIENTS_WRITE, "nutrients:write") /* broadcast */                                          \
    X(INBOX, "inbox")                     /* pull, stream, ack, nack, respond */                   \
    X(CONTEXTS_READ, "contexts:read")     /* collect */                                            \
    X(AGENTS_READ, "agents:read")                                                                  \
    X(AGENTS_WRITE, "agents:write")                                                                \
    X(OUTCOMES_WRITE, "outcomes:write")                                                            \
    X(EDGES_READ, "edges:read")                                                                    \
    X(MEMORY_READ, "memory:read")                                                                  \
    X(MEMORY_WRITE, "memory:write")                                                                \
    X(TRACES_READ, "traces:read")                                                                  \
    X(TASKS_READ, "tasks:read")                                                                    \
    X(TASKS_WRITE, "tasks:write")                                                                  \
    X(POLICIES_READ, "policies:read")                                                              \
    X(TENANTS_READ, "tenants:read") /* the own tenant and its usage */

enum scope {
#define ENGINE_SCOPE_ENUM(name, text) SCOPE_##name,
    ENGINE_SCOPES(ENGINE_SCOPE_ENUM)
#undef ENGINE_SCOPE_ENUM
        SCOPE_COUNT
};
#define SCOPE_BIT(s) (1u << (unsigned)(s))

/* SCOPE_COUNT when the text names no scope. */
enum scope scope_parse(struct bytes text);
const char *scope_name(enum scope s);

/* Who calls: filled by engine_authenticate, copied into the request's arena. */
struct caller {
    int64_t tenant_no; /* the tenant acted for */
    struct bytes tenant_id;
    int64_t
        home_tenant_no; /* the key's own; differs only for an admin key acting for another tenant */
    struct bytes key_id;
    uint32_t scopes;        /* SCOPE_BITs; ADMIN and TENANT_ADMIN already imply what they imply */
    uint32_t clearance;     /* enum sensitivity */
    struct bytes agent_ids; /* text list; empty: any agent of the tenant */
    /* rate limit after this request, for X-RateLimit-* */
    uint32_t limit_per_minute, limit_remaining, limit_reset_s;
};

/* Checks the key text, expiry, revocation, tenant status and rate limit; `tenant` (may be empty) is
 * X-Tenant-ID. Sync.  UNAUTHENTICATED, FORBIDDEN, RATE_LIMITED. */
QMN_NODISCARD enum qmn_code engine_authenticate(struct engine *e, struct bytes key_text,
                                                struct bytes tenant, struct arena *arena,
                                                struct caller *ret, struct err *err);
/* One audit record of a denied, authenticated request (queued, bounded). */
void engine_audit_denied(struct engine *e, const struct caller *caller, struct bytes action,
                         const char *why);

/* An Idempotency-Key as it came; value.len 0: none. */
struct idempotency_in {
    struct bytes value;
    struct bytes route;    /* stable name of the route */
    uint64_t body_hash[2]; /* 128-bit hash of the request body */
};

struct call {
    /* set by the caller */
    struct task task; /* the engine's way back; first member */
    struct executor *exec;
    struct arena *arena;
    const struct caller *caller;
    struct idempotency_in idempotency;
    void (*done)(struct call *c);

    /* set by the engine before done */
    enum qmn_code code;
    struct err err;
    bool replayed; /* an idempotent repeat: the result is the first one's */

    /* the engine's own */
    void *op;
    void (*cancel)(struct call *c); /* while it waits: ends it early */
};

/* A vector or a text, wherever an embedding is taken. */
struct vector_in {
    const float *values; /* NULL: none */
    size_t dim;
    struct bytes text; /* ptr NULL: none */
};

/* ---- the node ---- */

/* QMN_OK when calls are served; else why not. */
enum qmn_code engine_ready(struct engine *e, struct err *err);
struct health_check {
    const char *name;
    bool ok;
    char text[96];
};
/* Checks behind `service` ("router", "memory", ...): store, writer, disk, embedder.  Returns how
 * many (<= 8). */
uint32_t engine_health(struct engine *e, const char *service, struct health_check ret[8]);

struct backup_out {
    char path[512];
    int64_t bytes, rows, created_ms;
};
/* Runs in a thread of its own; only admin. */
void engine_backup(struct engine *e, struct call *c, struct bytes name, struct backup_out *out);

#endif
