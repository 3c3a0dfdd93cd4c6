/* SPDX-License-Identifier: MIT
 *
 * The writer: the one thread that changes the network.  Commands queue up; up to LIMIT_GROUP of
 * them form a group, which is one transaction:
 *
 *   check    each command in order: invariants against the published network, mutations added to
 * the batch, memory for the publish allocated.  A refusal concerns that command alone. commit   one
 * durable store transaction.  If it fails, every command of the group fails with its code. publish
 * each command in order, under the write lock: memory follows the store.  Cannot fail. finish   on
 * the loop the call came from, then the call's done.
 *
 * Within a group a command must not miss the effect of an earlier one.  Three ways: edges, recent
 * tasks and usage are accumulated in the group itself (writer_edge, recent_add, writer_use);
 * anything else that must be unique or unchanged is claimed (writer_claim), and a second claimant
 * is put off to the next group.
 *
 * Thread rule: submit from any thread; check and publish run on the writer. */
#ifndef QMN_ENGINE_WRITER_PRIV_H
#define QMN_ENGINE_WRITER_PRIV_H

#include "engine/network_priv.h"
#include "store/store.h"

struct writer;
struct command;

struct command_ops {
    const char *name;
    /* Writer thread.  Anything but QMN_OK refuses the command; nothing it added is kept. */
    enum qmn_code (*check)(struct engine *e, struct command *c, struct err *err);
    /* Writer thread, write lock and inbox lock held; may be NULL. */
    void (*publish)(struct engine *e, struct command *c);
    /* Loop thread, only after success: fills the call's result; may be NULL.  A failure here is
     * reported as the call's, though the change stands. */
    enum qmn_code (*finish)(struct engine *e, struct command *c, struct err *err);
    /* Loop thread: rebuilds the result of an idempotent repeat from what check left in idem_result.
     */
    enum qmn_code (*replay)(struct engine *e, struct command *c, struct bytes idem_result,
                            struct err *err);
    /* Frees what check allocated when the command does not reach publish; may be NULL. */
    void (*discard)(struct engine *e, struct command *c);
};

struct command {
    struct command *next;
    const struct command_ops *ops;
    struct engine *engine;
    struct call *call; /* NULL: background work of the engine */
    struct tenant *tenant;
    bool admitted; /* began before a drain: let it end */

    /* idempotency */
    uint64_t idem_key[2];
    bool idem_running;        /* registered as running */
    struct bytes idem_result; /* set by check: what replay needs; in the writer's arena or longer */
    uint16_t idem_status;     /* HTTP status of the first answer; default 200 */
    int64_t idem_no;          /* its row, once checked */

    /* owned by the writer */
    enum qmn_code code;
    bool defer;
};

enum qmn_code writer_start(struct engine *e, struct err *err);
/* Finishes what is queued, then stops. */
void writer_stop(struct engine *e);

/* Starts a command for a call: handles Idempotency-Key (replay, in progress, mismatch) and queues,
 * on a loop that gathers when its round ends; sheds when the queue is full.  The call always ends
 * in done. */
void writer_submit(struct engine *e, struct call *call, struct command *cmd);

/* A loop has begun a round that may bring commands; and its end, with those it brought. */
void writer_expect(struct engine *e);
void writer_hand_in(struct engine *e, struct command *list);

/* For a call that would be refused by now: answers it as it was answered the first time, if it is
 * the repeat of one.  True: the call has ended. */
bool writer_repeat(struct engine *e, struct call *call, struct command *cmd);

/* ---- for check ---- */
struct arena *writer_arena(struct engine *e); /* until the group is published */
int64_t writer_now_ms(struct engine *e);      /* one time for the whole group */
int64_t writer_next_no(struct engine *e);
uint64_t writer_group(struct engine *e); /* serial of the group at hand */
/* For a command that brings more than one of a kind into the network: asks for `more` places beside
 * the one that every command of a group may take.  Returns how many there must be free in a table
 * for all that the group has asked for so far. */
uint32_t writer_places(struct engine *e, uint32_t more);
/* The record is borrowed until the commit (arena, or the command).  Failure to grow is sticky. */
void writer_add(struct engine *e, enum mutation_op op, enum record_kind kind, const void *record);
/* False: claimed earlier in this group; cmd->defer is set and check should return QMN_OK at once,
 * having added nothing. */
bool writer_claim(struct engine *e, struct command *cmd, enum record_kind kind, uint64_t what);

/* For what a loop looked up in the store ahead of its command: the group at hand changes `what`, a
 * hash ... */
void writer_stamp(struct engine *e, uint64_t what);
/* ... and whether it may have changed since that group was published. */
bool writer_stamped_since(struct engine *e, uint64_t what, uint64_t published);
/* The last group whose changes store and network show, to be read before the look.  Any thread. */
uint64_t writer_published(struct engine *e);

/* The state an edge will have after this group; change it freely.  Missing edges start at the
 * prior.  NULL: out of memory. */
struct edge_next {
    struct agent *src, *dst;
    double weight, success, decay;
    int64_t outcomes, created_ms, updated_ms;
    bool is_new, removed, in_log;
    struct edge_next *link; /* same hash */
    struct edge_next *all;  /* of the group */
};
struct edge_next *writer_edge(struct engine *e, struct agent *src, struct agent *dst);
/* NULL: no command of this group has asked for it. */
struct edge_next *writer_edge_known(struct engine *e, const struct agent *src,
                                    const struct agent *dst);
/* All that have been asked for, linked by `all`. */
struct edge_next *writer_edges(struct engine *e);
/* As if it had never been: at the prior, without outcomes. */
void edge_start(struct edge_next *x, int64_t now_ms);

/* What the tenant will have used after this group.  Returns its counters of this hour (totals are
 * kept along). */
enum usage_kind {
    USAGE_NUTRIENTS = 1,
    USAGE_COLLECTS,
    USAGE_SEARCHES,
    USAGE_OUTCOMES,
    USAGE_STORES,
    USAGE_BYTES
};
/* The counter of a kind. */
_Atomic uint64_t *usage_counter(struct usage *u, enum usage_kind kind);
/* Adds `n` if the hourly quota allows (`quota` UINT64_MAX: unlimited); QMN_E_QUOTA with Retry-After
 * otherwise. */
QMN_NODISCARD enum qmn_code writer_use(struct engine *e, struct tenant *t, enum usage_kind kind,
                                       uint64_t n, struct err *err);
/* The same for calls that write nothing (searches): loop thread, read lock; persisted with the next
 * group. */
QMN_NODISCARD enum qmn_code usage_count_read(struct engine *e, struct tenant *t,
                                             enum usage_kind kind, struct err *err);
/* Hourly limit of a plan for a kind; UINT64_MAX: unlimited. */
uint64_t plan_quota(uint32_t plan, enum usage_kind kind);
uint64_t plan_agent_quota(uint32_t plan);

/* Adds an audit record of the tenant to the batch, in the same transaction as the change.  detail:
 * JSON object. */
void writer_audit(struct engine *e, struct tenant *t, const struct caller *caller,
                  const char *action, struct bytes target, struct bytes detail);

/* Fixes the tenant's vector space at first use, or checks it.  May set cmd->defer. */
QMN_NODISCARD enum qmn_code writer_fix_space(struct engine *e, struct command *cmd,
                                             struct bytes space, uint32_t dim, struct err *err);

/* The writer's clock-work, called by it. */
/* Before the checks: a new hour begins with fresh counters, and the batch with the background work
 * that is due: expiry, retention, dirty usage. */
void upkeep_begin(struct engine *e);
/* The batch is committed; write lock and inbox lock held. */
void upkeep_publish(struct engine *e);
/* The commit failed: forget what was planned. */
void upkeep_discard(struct engine *e);

/* Ends a call without the writer: runs done now. */
void call_finish(struct call *c, enum qmn_code code);

#endif
