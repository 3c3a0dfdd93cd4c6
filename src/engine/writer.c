/* SPDX-License-Identifier: MIT
 *
 * The writer thread: queue, groups, commit, publish.  What a group accumulates stands in group.c.
 */
#include "engine/agent_index_priv.h"
#include "engine/engine_priv.h"
#include "engine/memory_index_priv.h"

#include <assert.h>
#include <errno.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "engine/group_priv.h"
#include "engine/idempotency_priv.h"

enum {
    WRITER_TICK_MS = 100, /* background work at least this often */
    IDEM_STATUS_OK = 200,
    INDEXES_REST = 3, /* so many parts of the time for others: a quarter for indexes; a guess */
};

/* ---- on the loop: start and end of a call ---- */

void call_finish(struct call *c, enum qmn_code code)
{
    if (code == QMN_OK && c->arena->failed)
        code = err_nomem(&c->err); /* some part of the result is missing */
    c->code = code;
    if (code != QMN_OK)
        c->err.code = code;
    c->done(c);
}

static struct command *command_of(struct task *t)
{
    struct call *call = CONTAINER_OF(t, struct call, task);
    return call->op;
}

/* Runs on the call's loop once the writer is through with the command. */
static void command_done(struct task *t)
{
    struct command *cmd = command_of(t);
    struct call *call = cmd->call;
    enum qmn_code code = cmd->code;
    if (code == QMN_OK && cmd->ops->finish)
        code = cmd->ops->finish(cmd->engine, cmd, &call->err);
    call_finish(call, code);
}

static enum qmn_code command_replay(struct engine *e, struct call *call, struct command *cmd,
                                    int64_t no)
{
    struct record_idempotency key = {.no = no}, row;
    struct err *err = &call->err;
    TRY(e->store->ops->get(e->store, RECORD_IDEMPOTENCY, &key, call->arena, &row, err));
    if (!bytes_equal(row.key_hash, bytes_of(cmd->idem_key, 16)))
        return err_set(err, QMN_E_CONFLICT,
                       "this Idempotency-Key collides with another one; choose a new one");
    if (!bytes_equal(row.body_hash, bytes_of(call->idempotency.body_hash, 16)))
        return err_set(
            err, QMN_E_IDEMPOTENCY,
            "this Idempotency-Key was used within 24 hours with a different request body");
    counter_add(e->m.idempotent_replays, 1);
    call->replayed = true;
    return cmd->ops->replay(e, cmd, row.result, err);
}

bool writer_repeat(struct engine *e, struct call *call, struct command *cmd)
{
    int64_t no = 0;
    if (!call->idempotency.value.len || engine_open_for(e, &call->err) != QMN_OK)
        return false;
    idempotency_hash(call->caller, &call->idempotency, cmd->idem_key);
    cmd->call = call;
    switch (idempotency_begin(e->idempotency, cmd->idem_key, &no)) {
    case IDEM_KNOWN:
        call_finish(call, command_replay(e, call, cmd, no));
        return true;
    case IDEM_NEW:
        idempotency_abort(e->idempotency, cmd->idem_key);
        return false;
    default:
        return false;
    }
}

/* True: go on to the writer.  Otherwise the call has ended. */
static bool command_admit(struct engine *e, struct call *call, struct command *cmd)
{
    int64_t no = 0;
    enum qmn_code code = cmd->admitted ? QMN_OK : engine_open_for(e, &call->err);
    if (code != QMN_OK || !call->idempotency.value.len || !cmd->ops->replay)
        return code == QMN_OK || (call_finish(call, code), false);
    idempotency_hash(call->caller, &call->idempotency, cmd->idem_key);
    switch (idempotency_begin(e->idempotency, cmd->idem_key, &no)) {
    case IDEM_NEW:
        cmd->idem_running = true;
        return true;
    case IDEM_KNOWN:
        call_finish(call, command_replay(e, call, cmd, no));
        return false;
    case IDEM_RUNNING:
        call_finish(call, err_retry(&call->err, QMN_E_IN_PROGRESS, 1,
                                    "a request with this Idempotency-Key is still running"));
        return false;
    default:
        call_finish(call, err_nomem(&call->err));
        return false;
    }
}

/* Lock held.  Queues what there is room for; returns the rest. */
static struct command *queue_list(struct writer *w, struct command *list)
{
    while (list && !w->stop && (!list->call || w->queued < LIMIT_WRITER_QUEUE)) {
        *w->tail = list;
        w->tail = &list->next;
        list = list->next;
        w->queued++;
    }
    *w->tail = NULL;
    return list;
}

/* Lock held. */
static bool worth_waiting(const struct writer *w)
{
    return w->expected && w->queued < GROUP_ENOUGH;
}

/* Queues a list, wakes the writer if it has reason to; returns what found no room. */
static struct command *writer_push(struct writer *w, struct command *list, uint32_t rounds_ended)
{
    pthread_mutex_lock(&w->lock);
    bool idle = !w->queued;
    list = queue_list(w, list);
    w->expected -= rounds_ended;
    if (w->queued && (idle || (w->patient && !worth_waiting(w))))
        pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    return list;
}

/* A background command that comes when the writer has stopped ends here, on the thread it came
 * from: somebody waits for its end. */
static void command_late(struct engine *e, struct command *cmd)
{
    log_warn("a command came after the writer had stopped", LOG_S("command", cmd->ops->name));
    cmd->code = QMN_E_UNAVAILABLE;
    if (cmd->ops->discard)
        cmd->ops->discard(e, cmd);
    if (cmd->ops->finish)
        (void)cmd->ops->finish(e, cmd, NULL);
}

static void command_shed(struct engine *e, struct command *cmd)
{
    if (cmd->idem_running)
        idempotency_abort(e->idempotency, cmd->idem_key);
    counter_add(e->m.shed, 1);
    call_finish(cmd->call, err_retry(&cmd->call->err, QMN_E_OVERLOADED, 1,
                                     "the write queue is full (%d commands)", LIMIT_WRITER_QUEUE));
}

void writer_expect(struct engine *e)
{
    struct writer *w = e->writer;
    pthread_mutex_lock(&w->lock);
    w->expected++;
    pthread_mutex_unlock(&w->lock);
}

void writer_hand_in(struct engine *e, struct command *list)
{
    struct command *next;
    for (list = writer_push(e->writer, list, 1); list; list = next) {
        next = list->next; /* it goes with its call */
        command_shed(e, list);
    }
}

void writer_submit(struct engine *e, struct call *call, struct command *cmd)
{
    cmd->engine = e;
    cmd->call = call;
    cmd->next = NULL;
    if (call) {
        call->op = cmd;
        call->task.run = command_done;
        if (call->arena->failed) { /* what was prepared is less than what was asked for */
            call_finish(call, QMN_OK);
            return;
        }
        if (!command_admit(e, call, cmd))
            return;
    }
    struct gather *g = call ? gather_of(e, call->exec) : NULL;
    if (g)
        gather_command(e, g, cmd);
    else if (writer_push(e->writer, cmd, 0))
        call ? command_shed(e, cmd) : command_late(e, cmd);
}

/* ---- the writer thread ---- */

static void timespec_after_us(struct timespec *ts, long us)
{
    clock_gettime(CLOCK_MONOTONIC, ts);
    ts->tv_nsec += us * 1000L;
    ts->tv_sec += ts->tv_nsec / 1000000000L;
    ts->tv_nsec %= 1000000000L;
}

/* Lock held.  Waits for work or the tick. */
static void await_work(struct writer *w)
{
    struct timespec until;
    timespec_after_us(&until, WRITER_TICK_MS * 1000L);
    while (!w->head && !w->stop)
        if (pthread_cond_timedwait(&w->wake, &w->lock, &until) == ETIMEDOUT)
            break;
}

/* Lock held.  A commit costs some 300 us however little is in it.  So when there is work, but
 * little, and some loop is in the midst of a round, the writer waits for what that brings. */
static void await_rounds(struct writer *w)
{
    struct timespec until;
    if (!w->head || w->stop || !worth_waiting(w))
        return;
    timespec_after_us(&until, w->wait_us);
    w->patient = true;
    while (!w->stop && worth_waiting(w))
        if (pthread_cond_timedwait(&w->wake, &w->lock, &until) == ETIMEDOUT)
            break;
    w->patient = false;
}

/* Takes at most a group; an empty one at each tick, and at once when there is other work. False:
 * stopped and empty. */
static bool take_group(struct writer *w, bool other_work, struct command **ret_list)
{
    pthread_mutex_lock(&w->lock);
    if (!other_work)
        await_work(w);
    await_rounds(w);
    struct command *list = w->head, **end = &list;
    uint32_t n = 0;
    for (; *end && n < LIMIT_GROUP; n++)
        end = &(*end)->next;
    w->head = *end;
    if (!w->head)
        w->tail = &w->head;
    *end = NULL;
    w->queued -= n;
    bool go_on = n || !w->stop;
    pthread_mutex_unlock(&w->lock);
    *ret_list = list;
    return go_on;
}

/* Puts deferred commands to the end of the queue, in order: in front, a crowd that waits for one
 * claim would hold up everybody else by a commit each. */
static void put_back(struct writer *w, struct command *list)
{
    if (!list)
        return;
    struct command **end = &list;
    uint32_t n = 0;
    for (; *end; end = &(*end)->next)
        n++;
    pthread_mutex_lock(&w->lock);
    *w->tail = list;
    w->tail = end;
    w->queued += n;
    pthread_mutex_unlock(&w->lock);
}

static void refuse(struct engine *e, struct command *cmd, enum qmn_code code)
{
    cmd->code = code;
    if (cmd->ops->discard)
        cmd->ops->discard(e, cmd);
}

/* Adds the row that will answer repeats. */
static void add_idempotency(struct engine *e, struct command *cmd)
{
    struct writer *w = e->writer;
    struct record_idempotency *row = arena_new(&w->arena, struct record_idempotency);
    assert(cmd->call); /* only a caller's command has a key */
    if (!row || !idempotency_reserve(e->idempotency, LIMIT_GROUP)) {
        w->failed = true;
        return;
    }
    *row = (struct record_idempotency){
        .no = writer_next_no(e),
        .tenant_no = cmd->call->caller->tenant_no,
        .key_hash = bytes_of(cmd->idem_key, 16),
        .body_hash = bytes_of(cmd->call->idempotency.body_hash, 16),
        .status = cmd->idem_status ? cmd->idem_status : IDEM_STATUS_OK,
        .result = cmd->idem_result,
        .created_ms = w->now_ms,
    };
    cmd->idem_no = row->no;
    writer_add(e, MUT_INSERT, RECORD_IDEMPOTENCY, row);
}

/* Checks each command; the accepted stay in *list, refused and deferred ones leave it. */
static void check_all(struct engine *e, struct command **list, struct command **ret_refused,
                      struct command **ret_deferred)
{
    struct command **keep = list, *cmd;
    while ((cmd = *keep)) {
        struct err local, *err = cmd->call ? &cmd->call->err : &local;
        struct group_mark mark = group_mark(e, cmd->tenant);
        cmd->defer = false;
        cmd->code = cmd->ops->check(e, cmd, err);
        if (cmd->code == QMN_OK && cmd->call && cmd->call->arena->failed)
            cmd->code = err_nomem(err);
        if (cmd->code == QMN_OK && !cmd->defer) {
            if (cmd->idem_running)
                add_idempotency(e, cmd);
            keep = &cmd->next;
            continue;
        }
        group_back_to(e, &mark);
        *keep = cmd->next;
        cmd->next = NULL;
        struct command ***tail = cmd->code == QMN_OK ? &ret_deferred : &ret_refused;
        if (cmd->code != QMN_OK)
            refuse(e, cmd, cmd->code);
        **tail = cmd;
        *tail = &cmd->next;
    }
}

static enum qmn_code commit_group(struct engine *e, size_t *ret_failed, struct err *err)
{
    struct writer *w = e->writer;
    if (w->failed || w->arena.failed)
        return err_nomem(err);
    if (!w->batch_len)
        return QMN_OK;
    int64_t start = clock_mono_us();
    enum qmn_code code = e->store->ops->commit(e->store, w->batch, w->batch_len, ret_failed, err);
    atomic_store(&e->last_commit, (int)code);
    histogram_observe(e->m.commit_seconds, (double)(clock_mono_us() - start) / 1e6);
    return code;
}

static void publish_group(struct engine *e, struct command *list)
{
    pthread_rwlock_wrlock(&e->net.lock);
    pthread_mutex_lock(&e->net.inbox_lock);
    group_publish(e);
    for (struct command *cmd = list; cmd; cmd = cmd->next)
        if (cmd->ops->publish)
            cmd->ops->publish(e, cmd);
    upkeep_publish(e);
    pthread_mutex_unlock(&e->net.inbox_lock);
    pthread_rwlock_unlock(&e->net.lock);
    atomic_store_explicit(&e->writer->published, e->writer->serial, memory_order_release);
}

/* Sends the commands of a list home.  Background commands have none: the engine frees them in
 * publish or discard. */
static void send_home(struct engine *e, struct command *list)
{
    while (list) {
        struct command *cmd = list;
        list = cmd->next; /* before posting: the command belongs to its loop from then on */
        if (cmd->idem_running && cmd->code == QMN_OK)
            idempotency_done(e->idempotency, cmd->idem_key, cmd->idem_no);
        else if (cmd->idem_running)
            idempotency_abort(e->idempotency, cmd->idem_key);
        if (cmd->call)
            cmd->call->exec->post(cmd->call->exec, &cmd->call->task);
        else if (cmd->ops->finish)
            (void)cmd->ops->finish(e, cmd, NULL);
    }
}

static void run_group(struct engine *e, struct command *list);

static void refuse_all(struct engine *e, struct command *list, enum qmn_code code,
                       const struct err *err)
{
    for (struct command *each = list; each; each = each->next) {
        if (each->call)
            each->call->err = *err;
        refuse(e, each, code);
    }
    send_home(e, list);
}

/* The group failed as a whole.  A conflict is one command's fault: try each alone, so that the
 * others pass.  Those put off fail with any other failure: what they wait for may be the very
 * commit that cannot be made. */
static void group_failed(struct engine *e, struct command *list, struct command *deferred,
                         enum qmn_code code, const struct err *err)
{
    group_discard(e);
    upkeep_discard(e);
    if (code != QMN_E_CONFLICT || !list || !list->next) {
        log_warn("commit failed", LOG_S("code", code_info(code)->wire), LOG_S("detail", err->text));
        refuse_all(e, list, code, err);
        refuse_all(e, deferred, code, err);
        return;
    }
    put_back(e->writer, deferred);
    for (struct command *each = list, *next; each; each = next) {
        next = each->next;
        each->next = NULL;
        if (each->ops->discard)
            each->ops->discard(e, each);
        run_group(e, each);
    }
}

static void run_group(struct engine *e, struct command *list)
{
    struct writer *w = e->writer;
    struct command *refused = NULL, *deferred = NULL;
    struct err err = {0};
    size_t failed_at = 0;
    group_begin(e);
    learning_log_catch_up(e); /* before rows that go: it may write them once more */
    memory_backlog_measure(e);
    upkeep_begin(e); /* what goes makes room for what comes */
    check_all(e, &list, &refused, &deferred);
    group_finish(e);
    enum qmn_code code = commit_group(e, &failed_at, &err);
    uint32_t n = 0;
    for (struct command *cmd = list; cmd; cmd = cmd->next)
        n++;
    if (code == QMN_OK)
        publish_group(e, list);
    send_home(e, refused);
    if (code != QMN_OK) {
        group_failed(e, list, deferred, code, &err);
        return;
    }
    put_back(w, deferred);
    if (n)
        histogram_observe(e->m.group_commands, n);
    send_home(e, list);
}

static void maintain_store(struct engine *e)
{
    struct writer *w = e->writer;
    struct err err = {0};
    if (e->store->ops->maintain(e->store, &err) == QMN_OK || w->maintain_failed)
        return;
    w->maintain_failed = true; /* once: the next commit will say what it means */
    log_error("store upkeep failed", LOG_S("detail", err.text));
}

static bool is_idle(struct writer *w)
{
    pthread_mutex_lock(&w->lock);
    bool idle = !w->head && !w->stop;
    pthread_mutex_unlock(&w->lock);
    return idle;
}

/* False: nothing is left. */
static bool work_on_indexes(struct engine *e)
{
    bool memories = memory_index_work(e), agents = agent_index_work(e);
    return memories || agents;
}

/* Nobody but commands waits for it: until the next tick while there are none, else a piece, a node
 * to link perhaps, when three times as long as the last one took has gone to other things. */
static void work_behind(struct engine *e)
{
    struct writer *w = e->writer;
    int64_t now_us = clock_mono_us(), tick_us = now_us + WRITER_TICK_MS * INT64_C(1000), began_us;
    bool idle = is_idle(w);
    while (idle || now_us >= w->indexes_after_us) {
        began_us = now_us;
        if (!work_on_indexes(e))
            return;
        now_us = clock_mono_us();
        w->indexes_after_us = now_us + INDEXES_REST * (now_us - began_us);
        idle = now_us < tick_us && is_idle(w);
    }
}

static void *writer_main(void *arg)
{
    struct engine *e = arg;
    struct writer *w = e->writer;
    struct command *list;
    while (take_group(w, e->index_line || e->agent_line, &list)) {
        run_group(e, list);
        maintain_store(e);
        work_behind(e);
    }
    return NULL;
}

enum qmn_code writer_start(struct engine *e, struct err *err)
{
    struct writer *w = e->writer;
    if (pthread_create(&w->thread, NULL, writer_main, e))
        return err_set(err, QMN_E_NOMEM, "cannot start the writer thread");
    w->running = true;
    return QMN_OK;
}

void writer_stop(struct engine *e)
{
    struct writer *w = e->writer;
    if (!w || !w->running)
        return;
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    w->running = false;
}
