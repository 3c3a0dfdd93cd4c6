/* SPDX-License-Identifier: MIT
 *
 * What the files of the control plane share: keys, tenants, policies, tasks, audit.
 *
 * Its records live in the network like everything else and follow the same rule: read under the
 * read lock, changed by commands of the writer.  Beside them struct control holds what only the
 * control plane needs: denials that wait to be written, and the thread that purges deleted tenants.
 */
#ifndef QMN_ENGINE_CONTROL_PRIV_H
#define QMN_ENGINE_CONTROL_PRIV_H

#include "engine/engine_priv.h"
#include "engine/tenancy.h"

/* Loads tenants, keys, policies, tasks, usage and audit sequences, before the agents are loaded and
 * the writer starts; makes e->control. */
QMN_NODISCARD enum qmn_code engine_load_control(struct engine *e, struct err *err);
/* Takes up purges that a stop interrupted.  After writer_start. */
void engine_start_control(struct engine *e);
/* Ends the purge thread and waits for what is queued: before writer_stop, when no loop calls any
 * more.  Accepts an engine whose control was never loaded. */
void engine_release_control(struct engine *e);

/* ---- helpers (control.c) ---- */

/* The tenant a request names: the caller's for "", "me" and "None"; another one only for ADMIN.
 * Absent and not to be seen are the same NOT_FOUND.  Read lock held. */
QMN_NODISCARD enum qmn_code control_tenant(const struct engine *e, const struct caller *caller,
                                           struct bytes id, struct tenant **ret, struct err *err);
static inline bool caller_is(const struct caller *caller, enum scope s)
{
    return (caller->scopes & SCOPE_BIT(s)) != 0;
}
/* Refuses a tenant that is no longer active.  For checks on the writer. */
QMN_NODISCARD enum qmn_code control_active(const struct tenant *t, struct err *err);
/* Makes room in a map that loops read; the writer. */
bool control_grow_text(struct engine *e, struct textmap *m, size_t more);
bool control_grow_u64(struct engine *e, struct u64map *m, size_t more);
/* 1 to LIMIT_ID_CHARS characters without controls. */
bool control_id_valid(struct bytes id);

/* ---- rate.c ---- */

struct rate_verdict {
    bool allowed;
    uint32_t remaining; /* requests that may follow at once */
    uint32_t reset_s;   /* until the whole burst is there again */
    uint32_t retry_s;   /* when refused: until one request is allowed */
};
/* GCRA: one request at `now_us`.  Any thread. */
struct rate_verdict rate_take(_Atomic int64_t *tat_us, uint32_t per_minute, int64_t now_us);

/* ---- keys.c ---- */

/* The caller may give away only what it holds. */
QMN_NODISCARD enum qmn_code key_grantable(const struct caller *caller, const struct tenant *t,
                                          const struct record_key *row, struct err *err);
/* Writer, first in a check that makes a key: whether the tenant may have it.  *ret_forgotten is a
 * key that leaves the store for it, to be removed in publish, or NULL.  May set cmd->defer. */
QMN_NODISCARD enum qmn_code key_room(struct engine *e, struct command *cmd, struct tenant *t,
                                     bool one_more, struct key **ret_forgotten, struct err *err);
/* Sets the row's id and mac, in the arena, from the text of its key. */
QMN_NODISCARD enum qmn_code key_fill(struct engine *e, struct arena *arena, struct bytes text,
                                     struct record_key *row, struct err *err);
/* The same for a new key text. */
QMN_NODISCARD enum qmn_code key_make(struct engine *e, struct arena *arena,
                                     struct apikey_text *ret_text, struct record_key *row,
                                     struct err *err);
/* Text list of all scopes in `bits`; ptr NULL when out of memory. */
struct bytes scopes_pack(struct arena *arena, uint32_t bits);
/* Copies into the arena.  Read lock held. */
QMN_NODISCARD enum qmn_code key_describe(const struct key *k, int64_t now_ms, struct arena *arena,
                                         struct key_out *ret, struct err *err);
/* The same by id, taking the read lock. */
QMN_NODISCARD enum qmn_code key_describe_id(struct engine *e, struct bytes id, struct arena *arena,
                                            struct key_out *ret, struct err *err);
/* A key as the caller may see it.  Read lock held.  NOT_FOUND. */
QMN_NODISCARD enum qmn_code key_of_caller(const struct engine *e, const struct caller *caller,
                                          struct bytes id, struct key **ret, struct err *err);

/* ---- key_pepper.c ---- */
QMN_NODISCARD enum qmn_code pepper_fingerprint(const struct pepper *p, struct apikey_mac *ret,
                                               struct err *err);
/* The row that says which pepper the keys were made with; borrows the fingerprint. */
struct record_meta pepper_mark(const struct apikey_mac *fingerprint);

/* ---- tenants.c ---- */

/* A tenant on its way into the network, with its default agent. */
struct tenant_birth {
    struct record_tenant row;
    struct record_agent agent_row;
    struct tenant *tenant;
    struct agent *agent;
};
/* Writer, in check: numbers the rows, adds them to the batch and allocates.  Failure leaves pieces
 * for tenant_unborn. */
QMN_NODISCARD enum qmn_code tenant_conceive(struct engine *e, struct tenant_birth *b,
                                            struct err *err);
void tenant_born(struct engine *e, struct tenant_birth *b); /* in publish */
void tenant_unborn(struct tenant_birth *b);                 /* in discard */

/* ---- audit.c ---- */
QMN_NODISCARD enum qmn_code audit_load(struct engine *e, struct err *err);

/* ---- denials.c ---- */
struct denied;
struct denied *denied_new(struct engine *e);
/* Waits until nothing of it is queued. */
void denied_free(struct denied *d);

/* ---- purge.c ---- */

/* A row of RECORD_META says that a tenant's purge was ordered: "purge/<tenant no>", and by its
 * value whether it is done. */
#define PURGE_MARK "purge/"
#define PURGE_DONE "done"
struct purge;
struct purge *purge_new(struct engine *e);
void purge_free(struct purge *p); /* ends its thread */
/* The loader, and a publish after purge_reserve. */
bool purge_remember(struct purge *p, int64_t tenant_no, bool done);
bool purge_reserve(struct purge *p);
/* Starts its thread when something is to be done. */
void purge_start(struct purge *p);
/* Whether a tenant's purge was ordered, done or not. */
bool purge_ordered(struct purge *p, int64_t tenant_no);
/* The name of that row, in the arena; ptr NULL when out of memory. */
struct bytes purge_mark(struct arena *arena, int64_t tenant_no);

struct control {
    struct denied *denied;
    struct purge *purge;
};

#endif
