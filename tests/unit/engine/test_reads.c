/* SPDX-License-Identifier: MIT
 *
 * A slow store: no call reads it under the network's lock, for whom a publish, and so everybody,
 * would have to wait. */
#include "scene.h"

#include <pthread.h>
#include <sched.h>

#include "engine/engine_priv.h"

static struct scene s;

/* What the calls read, and what they answer. */
static struct {
    struct memory_out memory;
    struct broadcast_out live, past;
    struct broadcast_in nutrient;
    struct respond_in respond;
    struct outcome_in outcome;
    struct collect_in demand;
    struct vector_in query;
    struct memory_search search;
    struct pull_in pull;
} g;

static union {
    struct memory_out memory;
    struct memories_out memories;
    struct trace_out trace;
    struct outcome_out outcome;
    struct collect_out collect;
    struct pull_out pull;
    struct broadcast_out broadcast;
    struct respond_out respond;
    struct audit_out audit;
} out;

#define START(name, ...)                                                                           \
    static void name(struct engine *e, struct call *c)                                             \
    {                                                                                              \
        __VA_ARGS__;                                                                               \
    }

START(get_memory, engine_get_memory(e, c, g.memory.id, 0, &out.memory))
START(list_memories,
      engine_agent_memories(e, c, BYTES_LIT("b"), BYTES_LIT(""), 10, 0, &out.memories))
START(search, engine_search_memory(e, c, &g.search, &scene_no_filter, &out.memories))
START(trace_live, engine_trace(e, c, g.live.trace_id, &out.trace))
START(trace_past, engine_trace(e, c, g.past.trace_id, &out.trace))
START(rate_past, engine_record_outcome(e, c, &g.outcome, &out.outcome))
START(collect, engine_collect(e, c, &g.demand, &out.collect))
START(pull, engine_pull(e, c, &g.pull, &out.pull))
START(audit, engine_audit(e, c, 0, 10, &out.audit))
START(respond_again, engine_respond(e, c, &g.respond, &out.respond))
START(broadcast_again, engine_broadcast(e, c, &g.nutrient, &out.broadcast))
START(remember_again, struct memory_in *in = arena_new(c->arena, struct memory_in);
      *in = scene_memory(&s, "b", AXIS(1)); engine_store_memory(e, c, in, &out.memory))

static const struct kind {
    const char *name;
    void (*start)(struct engine *e, struct call *c);
    bool keyed; /* the repeat of a call under its Idempotency-Key */
} kinds[] = {
    {"get memory", get_memory, false},
    {"list memories", list_memories, false},
    {"search", search, false},
    {"trace of a live nutrient", trace_live, false},
    {"trace of an expired nutrient", trace_past, false},
    {"outcome of an expired nutrient", rate_past, true},
    {"collect", collect, false},
    {"pull", pull, false},
    {"audit", audit, false},
    {"respond", respond_again, true},
    {"broadcast", broadcast_again, true},
    {"remember", remember_again, true},
};

static int begin(void **state)
{
    struct respond_out responded;
    struct outcome_out rated;
    struct ack_out acked;
    (void)state;
    scene_begin(&s, (struct test_engine_options){.sqlite = true});
    scene_agent(&s, "a", AXIS(0), NULL);
    scene_agent(&s, "b", AXIS(1), NULL);
    g.past = scene_send(&s, "b", AXIS(0));
    assert_int_equal(scene_ack(&s, "a", g.past.nutrient_id, &acked), QMN_OK);
    assert_int_equal(scene_outcome(&s, "b", g.past.trace_id, 1, &rated), QMN_OK);
    test_engine_advance(s.te, 61000);
    scene_settle(&s);
    assert_int_equal(scene_remember(&s, "b", AXIS(1), &g.memory), QMN_OK);
    g.live = scene_send(&s, "b", AXIS(0));
    g.respond = (struct respond_in){
        .nutrient_id = g.live.nutrient_id, .agent_id = BYTES_LIT("a"), .content = BYTES_LIT("{}")};
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_respond, &g.respond, &responded), QMN_OK);
    g.nutrient = scene_nutrient(&s, "b", AXIS(0));
    g.nutrient.client_id = BYTES_LIT("mine");
    g.outcome =
        (struct outcome_in){.trace_id = g.past.trace_id, .agent_id = BYTES_LIT("b"), .score = 1};
    g.demand = scene_demand(&s, "", AXIS(1));
    g.query = scene_vector(&s, AXIS(1));
    g.search = (struct memory_search){.vector = g.query, .top_k = 5};
    g.pull = (struct pull_in){.agent_id = BYTES_LIT("a"), .limit = 5, .lease_ms = 1};
    return 0;
}

static int end(void **state)
{
    (void)state;
    scene_end(&s);
    return 0;
}

static struct call *call_of(const struct kind *k)
{
    struct call *c = test_call_new(s.te, &s.caller);
    if (k->keyed)
        c->idempotency =
            (struct idempotency_in){.value = BYTES_LIT("once"), .route = bytes_cstr(k->name)};
    return c;
}

/* ---- a read that stands still ---- */

struct stall {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t reader; /* whose first read stalls */
    bool armed, standing, let_go;
};

static void stand(void *ctx, enum record_kind kind)
{
    struct stall *x = ctx;
    (void)kind;
    pthread_mutex_lock(&x->lock);
    if (x->armed && pthread_equal(pthread_self(), x->reader)) {
        x->armed = false;
        x->standing = true;
        pthread_cond_broadcast(&x->changed);
        while (!x->let_go)
            pthread_cond_wait(&x->changed, &x->lock);
    }
    pthread_mutex_unlock(&x->lock);
}

struct reader {
    const struct kind *kind;
    struct call *call;
    struct stall stall;
    pthread_t thread;
};

static void *reader_main(void *arg)
{
    struct reader *r = arg;
    pthread_mutex_lock(&r->stall.lock);
    r->stall.reader = pthread_self();
    r->stall.armed = true;
    pthread_mutex_unlock(&r->stall.lock);
    r->kind->start(s.te->engine, r->call);
    pthread_mutex_lock(&r->stall.lock);
    r->stall.standing = true; /* or through, without a read */
    pthread_cond_broadcast(&r->stall.changed);
    pthread_mutex_unlock(&r->stall.lock);
    return NULL;
}

/* Starts the call on a thread of its own and returns when its first read stands still. */
static void stall(struct reader *r, const struct kind *k, struct call *c)
{
    *r = (struct reader){
        .kind = k,
        .call = c,
        .stall = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER}};
    faulty_store_on_read(s.te->store, stand, &r->stall);
    assert_int_equal(pthread_create(&r->thread, NULL, reader_main, r), 0);
    pthread_mutex_lock(&r->stall.lock);
    while (!r->stall.standing)
        pthread_cond_wait(&r->stall.changed, &r->stall.lock);
    bool reads = !r->stall.armed;
    pthread_mutex_unlock(&r->stall.lock);
    if (!reads)
        fail_msg("%s: reads nothing, and shows nothing", k->name);
}

static enum qmn_code let_go(struct reader *r)
{
    pthread_mutex_lock(&r->stall.lock);
    r->stall.let_go = true;
    pthread_cond_broadcast(&r->stall.changed);
    pthread_mutex_unlock(&r->stall.lock);
    pthread_join(r->thread, NULL);
    faulty_store_on_read(s.te->store, NULL, NULL);
    return test_call_wait(s.te, r->call);
}

/* Nothing else holds it for long. */
static bool a_publish_may_pass(void)
{
    for (int i = 0; i < 20000; i++) {
        if (pthread_rwlock_trywrlock(&s.te->engine->net.lock) == 0) {
            pthread_rwlock_unlock(&s.te->engine->net.lock);
            return true;
        }
        sched_yield();
    }
    return false;
}

static void a_slow_read_keeps_nobody_from_publishing(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct reader r;
        struct memory_out stored;
        if (kinds[i].keyed) {
            struct call *first = call_of(&kinds[i]);
            kinds[i].start(s.te->engine, first);
            assert_int_equal(test_call_wait(s.te, first), QMN_OK);
        }
        stall(&r, &kinds[i], call_of(&kinds[i]));
        bool free = a_publish_may_pass();
        if (free)
            assert_int_equal(scene_remember(&s, "a", AXIS(5), &stored), QMN_OK);
        enum qmn_code code = let_go(&r);
        if (!free)
            fail_msg("%s: reads the store under the network's lock", kinds[i].name);
        if (code != QMN_OK)
            fail_msg("%s: %s", kinds[i].name, r.call->err.text);
    }
}

static void what_was_deleted_during_the_read_is_left_out(void **state)
{
    (void)state;
    const struct kind *found[] = {&kinds[1], &kinds[2], &kinds[0]};
    for (size_t i = 0; i < ARRAY_LEN(found); i++) {
        struct reader r;
        bool single = found[i]->start == get_memory;
        assert_int_equal(scene_remember(&s, "b", AXIS(1), &g.memory), QMN_OK);
        stall(&r, found[i], call_of(found[i]));
        assert_int_equal(TEST_CALL(s.te, &s.caller, engine_delete_memory, g.memory.id), QMN_OK);
        assert_int_equal(let_go(&r), single ? QMN_E_NOT_FOUND : QMN_OK);
        for (size_t k = 0; !single && k < out.memories.count; k++)
            assert_false(bytes_equal(out.memories.items[k].id, g.memory.id));
    }
}

#define READS(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        READS(a_slow_read_keeps_nobody_from_publishing),
        READS(what_was_deleted_during_the_read_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
