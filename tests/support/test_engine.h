/* SPDX-License-Identifier: MIT
 *
 * An engine for tests: a store of its own, a clock that moves only when told, and an executor that
 * runs posted tasks on the test's thread while it waits for a call.
 *
 *     struct test_engine *te = test_engine_new();
 *     struct key_out out;
 *     assert_int_equal(TEST_CALL(te, &te->admin, engine_create_key, &in, &out), QMN_OK);
 *     ... out lives until test_engine_free; te->last is the call, with its err ...
 *
 * Failures of the machinery itself end the test at once.  One thread for each (see lanes). */
#ifndef QMN_TESTS_SUPPORT_TEST_ENGINE_H
#define QMN_TESTS_SUPPORT_TEST_ENGINE_H

#include "engine/engine.h"
#include "engine/tenancy.h"
#include "support/faulty_store.h"

struct test_executor; /* private */

struct test_engine_options {
    bool sqlite;
    bool snapshots;  /* of indexes, in dir/index; taken when the engine stops */
    const char *dir; /* to be used instead of a new one; it is there, and stays */
    double epsilon;
    int64_t retention_ms; /* 0: the default */
    uint64_t inbox_bytes; /* 0: the default */
    uint64_t learning_log_bytes;
    uint32_t memory_flat_max;    /* 0: the default */
    uint32_t memory_backlog_max; /* likewise */
    uint32_t agent_flat_max;     /* likewise */
    uint32_t group_wait_us;      /* 0: the default */
};

struct test_engine {
    struct engine *engine;
    struct metrics *metrics;
    struct test_executor *executor;
    struct clock clock;
    _Atomic int64_t now_ms;
    _Atomic int64_t stepped_ms;   /* of now_ms: by which only the wall clock moved */
    void (*_Atomic on_now)(void); /* runs at each look at the clock, on that thread; NULL: none */
    char dir[64];                 /* removed at the end */
    struct test_engine_options options;
    struct faulty_store *store; /* between the engine and its store */
    struct test_engine *main;   /* whose engine a lane uses; NULL: it has its own */
    struct arena arena;         /* of callers */
    struct test_call *calls;
    struct call *last;
    /* set by test_engine_new */
    char admin_key[ENGINE_KEY_TEXT_MAX];
    struct caller admin; /* of tenant `system` */
};

#define TEST_ENGINE_START_MS INT64_C(1700000000000)

/* Over the in-memory store, bootstrapped. */
struct test_engine *test_engine_new(void);
/* Over SQLite in a folder of its own: can be restarted. */
struct test_engine *test_engine_new_sqlite(void);
struct test_engine *test_engine_new_with(struct test_engine_options options);
void test_engine_free(struct test_engine *te);
/* Stops the engine and starts another one on the same file, or on the same in-memory store. */
void test_engine_restart(struct test_engine *te);
/* The two halves of it, for starts that may fail. */
void test_engine_stop(struct test_engine *te);
QMN_NODISCARD enum qmn_code test_engine_start(struct test_engine *te, struct err *err);
/* An executor and calls of their own over the engine of `te`, for another thread.  Freed, by
 * test_engine_free, before `te`.  Its timers fire as test_engine_advance moves it; the clock is
 * te's. */
struct test_engine *test_engine_lane(struct test_engine *te);
/* Frees the calls that are done, with their results. */
void test_engine_forget_calls(struct test_engine *te);
/* Moves the clock; fires the timers that come due, in order. */
void test_engine_advance(struct test_engine *te, int64_t ms);

/* Sets the wall clock only, as an operator or NTP does: no time passes.  Backwards: while the
 * engine is stopped, as the process's clock never does. */
void test_engine_step_wall(struct test_engine *te, int64_t ms);

/* Keeps the writer in a commit until test_engine_release.  What is started in between is checked
 * together then, in one group (up to LIMIT_GROUP). */
void test_engine_hold(struct test_engine *te);
void test_engine_release(struct test_engine *te);

/* A call of `caller` that nobody has started.  Freed with the engine. */
struct call *test_call_new(struct test_engine *te, const struct caller *caller);
/* Runs posted tasks until the call is done.  Without its end (patience.h) the test fails. */
enum qmn_code test_call_wait(struct test_engine *te, struct call *c);
/* Runs what is posted now; whether the call is done. */
bool test_call_done(struct test_engine *te, struct call *c);

#define TEST_CALL(te, who, function, ...)                                                          \
    __extension__({                                                                                \
        struct call *test_call_ = test_call_new((te), (who));                                      \
        (function)((te)->engine, test_call_, __VA_ARGS__);                                         \
        test_call_wait((te), test_call_);                                                          \
    })

/* engine_authenticate with results that live as long as `te`. */
enum qmn_code test_authenticate(struct test_engine *te, struct bytes key, const char *tenant,
                                struct caller *ret, struct err *err);
/* A new tenant, and a caller with a key of it; scopes NULL: tenant:admin; else names set apart by
 * blanks. */
void test_tenant(struct test_engine *te, const char *id);
struct caller test_member(struct test_engine *te, const char *tenant, const char *scopes);
/* A text list of the words of `words`, in te's memory. */
struct bytes test_list(struct test_engine *te, const char *words);

#endif
