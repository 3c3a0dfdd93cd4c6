/* SPDX-License-Identifier: MIT
 *
 * The group at hand: its batch of mutations and what its commands accumulate.  Writer thread only,
 * but for the queue in front. */
#ifndef QMN_ENGINE_GROUP_PRIV_H
#define QMN_ENGINE_GROUP_PRIV_H

#include "engine/engine_priv.h"
#include "engine/learning_log_priv.h"

enum { WRITER_STAMPS = 4096 }; /* two hashes that share one cost a look at the store */

enum {
    GROUP_ENOUGH = 48,    /* commands that make a commit worth its price */
    GROUP_WAIT_US = 2000, /* for more, at most */
};

struct usage_next {
    struct tenant *tenant;
    uint64_t add[USAGE_BYTES + 1]; /* by enum usage_kind */
};

/* A task that the group at hand adds to the ring of an agent. */
struct task_next {
    struct agent *agent;
    int64_t nutrient_no;
    struct bytes hints; /* borrowed */
    bool refused, in_log;
    uint64_t nth;
    uint32_t *tags, count;  /* owned; NULL until they are interned */
    struct task_next *link; /* same hash */
    struct task_next *all;  /* of the group, but those refused */
};

/* A tenant whose vector space this group fixes. */
struct space_next {
    struct tenant *tenant;
    struct record_tenant *record; /* held */
    struct flat profiles;         /* with room for every agent */
    struct space_next *next;
};

struct writer {
    /* the queue; guarded by lock */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct command *head, **tail;
    uint32_t queued;
    uint32_t expected; /* rounds that have begun and may bring commands */
    uint32_t wait_us;  /* at most, for them */
    bool patient;      /* there is work, and the writer waits for more */
    bool stop;

    _Atomic uint64_t published; /* serial of a group; set by the writer */

    /* owned by the writer thread */
    pthread_t thread;
    bool running, maintain_failed;
    struct arena arena;
    int64_t now_ms, last_no;
    int64_t indexes_after_us; /* monotonic: not before, while there are commands */
    uint64_t serial;
    struct mutation *batch;
    size_t batch_len, batch_cap;
    bool failed;     /* out of memory: the group cannot commit */
    uint32_t places; /* asked for in the group at hand, beside one a command */
    struct u64map claims;
    uint64_t stamps[WRITER_STAMPS]; /* by hash: serial of the last group that changed it */
    struct u64map edge_at;          /* hash of (src, dst) -> struct edge_next */
    struct edge_next *edges;
    struct u64map task_at; /* hash of (agent, nutrient) -> struct task_next */
    struct task_next *tasks, **tasks_tail;
    struct u64map memory_at; /* number -> struct memory_credit_next */
    struct memory_credit_next *memories;
    struct learning_log learning_log;
    struct usage_next usage[LIMIT_GROUP];
    uint32_t usage_len;
    struct space_next *spaces;
    struct upkeep *upkeep;
};

struct writer *writer_new(struct engine *e);
void writer_free(struct writer *w);

void group_begin(struct engine *e);
/* After the checks: turns what was accumulated into mutations and makes room for the publish. */
void group_finish(struct engine *e);
/* Write lock held. */
void group_publish(struct engine *e);
void group_discard(struct engine *e);
/* MUT_DELETE_BELOW: at most `limit` rows with a key below the record's. */
void writer_add_below(struct engine *e, enum record_kind kind, const void *record, uint32_t limit);
/* Asked for by a command that was refused in the end. */
bool edge_unused(const struct edge_next *x);
/* What a group has accumulated, to go back to when a command that added to it is refused.  Edges
 * stay: see edge_unused. */
struct group_mark {
    size_t batch_len;
    struct task_next **tasks_tail;
    struct usage_next usage; /* of the command's tenant */
};
struct group_mark group_mark(struct engine *e, struct tenant *t);
void group_back_to(struct engine *e, const struct group_mark *mark);
/* Rows of a tenant's counters as they will be with `add` (by enum usage_kind). */
void group_put_usage(struct engine *e, struct tenant *t, const uint64_t *add);

#endif
