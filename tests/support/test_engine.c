/* SPDX-License-Identifier: MIT
 *
 * The test's executor is a queue behind a mutex: the writer posts, the test's thread runs. */
#include "support/test.h"

#include "support/test_engine.h"

#include <errno.h>
#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "support/patience.h"

enum { TIMERS_MAX = 64, ARENA_MAX = 64 << 20 };

struct test_executor {
    struct executor exec; /* first */
    pthread_mutex_t lock;
    pthread_cond_t posted;
    struct task *head, **tail; /* guarded by lock */
    /* the test's thread */
    struct timer *timers[TIMERS_MAX];
    uint32_t timer_count;
    int64_t mono_ms; /* virtual */
};

struct test_call {
    struct call call; /* first */
    struct arena arena;
    struct caller caller;
    struct test_call *next;
    bool done;
};

/* ---- executor ---- */

static void executor_post(struct executor *exec, struct task *t)
{
    struct test_executor *x = (struct test_executor *)(void *)exec;
    pthread_mutex_lock(&x->lock);
    t->next = NULL;
    *x->tail = t;
    x->tail = &t->next;
    pthread_cond_signal(&x->posted);
    pthread_mutex_unlock(&x->lock);
}

static void executor_timer_cancel(struct executor *exec, struct timer *t)
{
    struct test_executor *x = (struct test_executor *)(void *)exec;
    for (uint32_t i = 0; i < x->timer_count; i++)
        if (x->timers[i] == t) {
            x->timers[i] = x->timers[--x->timer_count];
            break;
        }
    t->heap_index = 0;
}

static bool executor_timer_set(struct executor *exec, struct timer *t, uint32_t delay_ms)
{
    struct test_executor *x = (struct test_executor *)(void *)exec;
    executor_timer_cancel(exec, t);
    if (x->timer_count == TIMERS_MAX)
        return false;
    t->due_ms = x->mono_ms + delay_ms;
    t->heap_index = 1;
    x->timers[x->timer_count++] = t;
    return true;
}

static struct task *take_task(struct test_executor *x, bool wait)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += patience_ms() / 1000;
    pthread_mutex_lock(&x->lock);
    while (!x->head && wait)
        if (pthread_cond_timedwait(&x->posted, &x->lock, &until) == ETIMEDOUT)
            break;
    struct task *t = x->head;
    if (t) {
        x->head = t->next;
        if (!x->head)
            x->tail = &x->head;
    }
    pthread_mutex_unlock(&x->lock);
    return t;
}

static void run_posted(struct test_executor *x)
{
    struct task *t;
    while ((t = take_task(x, false)))
        t->run(t);
}

static struct timer *next_due(struct test_executor *x, int64_t until_ms)
{
    struct timer *first = NULL;
    for (uint32_t i = 0; i < x->timer_count; i++)
        if (x->timers[i]->due_ms <= until_ms && (!first || x->timers[i]->due_ms < first->due_ms))
            first = x->timers[i];
    return first;
}

void test_engine_advance(struct test_engine *te, int64_t ms)
{
    struct test_executor *x = te->executor;
    int64_t until = x->mono_ms + ms;
    struct timer *t;
    while ((t = next_due(x, until))) {
        te->now_ms += t->due_ms - x->mono_ms;
        x->mono_ms = t->due_ms;
        executor_timer_cancel(&x->exec, t);
        t->fire(t);
        run_posted(x);
    }
    te->now_ms += until - x->mono_ms;
    x->mono_ms = until;
    run_posted(x);
}

/* ---- calls ---- */

static void call_done(struct call *c)
{
    ((struct test_call *)(void *)c)->done = true;
}

struct call *test_call_new(struct test_engine *te, const struct caller *caller)
{
    struct test_call *t = mem_calloc(1, sizeof *t);
    assert_non_null(t);
    arena_init(&t->arena, ARENA_MAX);
    t->caller = *caller;
    t->call.exec = &te->executor->exec;
    t->call.arena = &t->arena;
    t->call.caller = &t->caller;
    t->call.done = call_done;
    t->next = te->calls;
    te->calls = t;
    te->last = &t->call;
    return &t->call;
}

bool test_call_done(struct test_engine *te, struct call *c)
{
    run_posted(te->executor);
    return ((struct test_call *)(void *)c)->done;
}

enum qmn_code test_call_wait(struct test_engine *te, struct call *c)
{
    while (!test_call_done(te, c)) {
        engine_round(te->engine, c->exec); /* as a loop does before it sleeps */
        struct task *t = take_task(te->executor, true);
        if (!t)
            fail_msg("the call did not end within %d ms", patience_ms());
        t->run(t);
    }
    return c->code;
}

void test_engine_forget_calls(struct test_engine *te)
{
    struct test_call **at = &te->calls, *t;
    while ((t = *at)) {
        if (!t->done) {
            at = &t->next;
            continue;
        }
        *at = t->next;
        arena_release(&t->arena);
        mem_free(t);
    }
    te->last = NULL;
}

static void free_calls(struct test_engine *te)
{
    test_engine_forget_calls(te);
    assert_null(te->calls); /* a call that never ended would use freed memory */
}

/* ---- life ---- */

static void looked(struct test_engine *te)
{
    void (*on_now)(void) = te->on_now;
    if (on_now)
        on_now();
}

static int64_t test_now(void *ctx)
{
    struct test_engine *te = ctx;
    looked(te);
    return te->now_ms;
}

static int64_t test_mono(void *ctx)
{
    struct test_engine *te = ctx;
    looked(te);
    return (te->now_ms - te->stepped_ms) * 1000;
}

void test_engine_step_wall(struct test_engine *te, int64_t ms)
{
    te->stepped_ms += ms;
    te->now_ms += ms;
}

static void open_store(struct test_engine *te)
{
    char file[96];
    struct err err = {0};
    struct store *inner = NULL;
    snprintf(file, sizeof file, "%s/qmn.db", te->dir);
    struct store_config config = {.path = te->options.sqlite ? file : NULL,
                                  .sealer = sealer_identity,
                                  .sync = STORE_SYNC_NORMAL};
    enum qmn_code code = te->options.sqlite ? store_sqlite_open(&config, &inner, &err)
                                            : store_mem_open(&config, &inner, &err);
    if (code != QMN_OK)
        fail_msg("the store did not open: %s", err.text);
    te->store = faulty_store_new(inner);
    assert_non_null(te->store);
}

enum qmn_code test_engine_start(struct test_engine *te, struct err *err)
{
    char pepper[96], snapshots[96];
    snprintf(pepper, sizeof pepper, "%s/pepper", te->dir);
    snprintf(snapshots, sizeof snapshots, "%s/index", te->dir);
    assert_true(!te->options.snapshots || mkdir(snapshots, 0700) == 0 || errno == EEXIST);
    if (!te->store)
        open_store(te);
    struct engine_config config = {.store = faulty_store_front(te->store),
                                   .metrics = te->metrics,
                                   .clock = &te->clock,
                                   .seed = 1,
                                   .pepper_path = pepper,
                                   .backup_dir = te->dir,
                                   .snapshot_dir = te->options.snapshots ? snapshots : NULL,
                                   .key_env = "test",
                                   .epsilon = te->options.epsilon,
                                   .retention_ms = te->options.retention_ms,
                                   .inbox_bytes = te->options.inbox_bytes,
                                   .learning_log_bytes = te->options.learning_log_bytes,
                                   .memory_flat_max = te->options.memory_flat_max,
                                   .agent_flat_max = te->options.agent_flat_max,
                                   .memory_backlog_max = te->options.memory_backlog_max,
                                   .group_wait_us = te->options.group_wait_us};
    return engine_new(&config, &te->engine, err);
}

static void start(struct test_engine *te)
{
    struct err err = {0};
    if (test_engine_start(te, &err) != QMN_OK)
        fail_msg("the engine did not start: %s", err.text);
}

static struct test_executor *executor_new(void)
{
    struct test_executor *x = mem_calloc(1, sizeof *x);
    assert_non_null(x);
    x->exec = (struct executor){executor_post, executor_timer_set, executor_timer_cancel};
    x->tail = &x->head;
    pthread_mutex_init(&x->lock, NULL);
    pthread_cond_init(&x->posted, NULL);
    return x;
}

struct test_engine *test_engine_new_with(struct test_engine_options options)
{
    struct test_engine *te = mem_calloc(1, sizeof *te);
    struct err err = {0};
    assert_non_null(te);
    te->options = options;
    te->now_ms = TEST_ENGINE_START_MS;
    te->clock = (struct clock){.now_ms = test_now, .mono_us = test_mono, .ctx = te};
    te->metrics = metrics_new();
    te->executor = executor_new();
    arena_init(&te->arena, ARENA_MAX);
    snprintf(te->dir, sizeof te->dir, "%s", options.dir ? options.dir : "/tmp/qmn-test-XXXXXX");
    assert_true(options.dir || mkdtemp(te->dir));
    start(te);
    engine_admin_key_text(te->engine, te->admin_key);
    assert_int_equal(engine_bootstrap(te->engine, te->admin_key, BOOTSTRAP_FIRST, &err), QMN_OK);
    assert_int_equal(test_authenticate(te, bytes_cstr(te->admin_key), "", &te->admin, &err),
                     QMN_OK);
    return te;
}

struct test_engine *test_engine_new(void)
{
    return test_engine_new_with((struct test_engine_options){0});
}

struct test_engine *test_engine_new_sqlite(void)
{
    return test_engine_new_with((struct test_engine_options){.sqlite = true});
}

struct test_engine *test_engine_lane(struct test_engine *te)
{
    struct test_engine *lane = mem_calloc(1, sizeof *lane);
    assert_non_null(lane);
    lane->main = te;
    lane->engine = te->engine;
    lane->store = te->store;
    lane->admin = te->admin;
    lane->executor = executor_new();
    arena_init(&lane->arena, ARENA_MAX);
    return lane;
}

void test_engine_stop(struct test_engine *te)
{
    engine_drain(te->engine);
    run_posted(te->executor);
    engine_free(TAKE(te->engine));
}

void test_engine_restart(struct test_engine *te)
{
    test_engine_stop(te);
    if (te->options.sqlite)
        faulty_store_free(TAKE(te->store));
    metrics_free(te->metrics);
    te->metrics = metrics_new();
    start(te);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

void test_engine_free(struct test_engine *te)
{
    if (!te)
        return;
    if (!te->main)
        engine_drain(te->engine);
    run_posted(te->executor);
    if (!te->main)
        engine_free(te->engine);
    free_calls(te);
    if (!te->main) {
        metrics_free(te->metrics);
        faulty_store_free(te->store);
        if (!te->options.dir)
            nftw(te->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    }
    arena_release(&te->arena);
    pthread_mutex_destroy(&te->executor->lock);
    pthread_cond_destroy(&te->executor->posted);
    mem_free(te->executor);
    mem_free(te);
}

/* ---- groups ---- */

void test_engine_hold(struct test_engine *te)
{
    struct call *c = test_call_new(te, &te->admin);
    struct tenant_in *in = arena_new(c->arena, struct tenant_in);
    struct tenant_out *out = arena_new(c->arena, struct tenant_out);
    assert_true(in && out);
    *in = (struct tenant_in){.id = BYTES_LIT("system"), .name = BYTES_LIT("held")};
    faulty_store_hold(te->store, RECORD_TENANT);
    engine_update_tenant(te->engine, c, in, out);
    faulty_store_await_held(te->store);
}

void test_engine_release(struct test_engine *te)
{
    faulty_store_let_go(te->store);
}

/* ---- callers ---- */

enum qmn_code test_authenticate(struct test_engine *te, struct bytes key, const char *tenant,
                                struct caller *ret, struct err *err)
{
    return engine_authenticate(te->engine, key, bytes_cstr(tenant), &te->arena, ret, err);
}

struct bytes test_list(struct test_engine *te, const char *words)
{
    char *list = arena_cstr(&te->arena, bytes_cstr(words));
    assert_non_null(list);
    size_t len = strlen(list);
    for (size_t i = 0; i < len; i++)
        if (list[i] == ' ')
            list[i] = 0;
    return len ? bytes_of(list, len + 1) : bytes_of("", 0);
}

void test_tenant(struct test_engine *te, const char *id)
{
    struct tenant_in in = {.id = bytes_cstr(id), .plan = PLAN_ENTERPRISE};
    struct tenant_out out;
    assert_int_equal(TEST_CALL(te, &te->admin, engine_create_tenant, &in, &out), QMN_OK);
}

struct caller test_member(struct test_engine *te, const char *tenant, const char *scopes)
{
    struct key_in in = {.tenant_id = bytes_cstr(tenant),
                        .scopes = test_list(te, scopes ? scopes : "tenant:admin"),
                        .clearance = LABEL_INTERNAL,
                        .rate_per_minute = 60000};
    struct key_out out;
    struct caller member = {0};
    struct err err = {0};
    assert_int_equal(TEST_CALL(te, &te->admin, engine_create_key, &in, &out), QMN_OK);
    assert_int_equal(test_authenticate(te, out.secret, "", &member, &err), QMN_OK);
    return member;
}
