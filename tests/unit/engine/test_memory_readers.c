/* SPDX-License-Identifier: MIT
 *
 * Searches of memories hold no lock while they search, and a memory is linked under none that a
 * search waits for.  The linker puts this program between the engine and its index: what happens in
 * the midst of a search, or of linking, happens exactly there. */
#include "stage.h"

#include <errno.h>
#include <semaphore.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/engine_priv.h"
#include "support/patience.h"

enum { FLAT_MAX = 16, MANY = 60, K = 5 };

/* ---- in the midst of a search ---- */

static void (*before_search)(void), (*after_search)(void); /* each once */

bool __real_vectors_search(const struct vectors *v, const struct vectors_query *q,
                           struct vectors_searcher *seeker, struct topk_item *ret,
                           size_t *ret_count, struct vectors_result_info *ret_info);
bool __wrap_vectors_search(const struct vectors *v, const struct vectors_query *q,
                           struct vectors_searcher *seeker, struct topk_item *ret,
                           size_t *ret_count, struct vectors_result_info *ret_info);

static void once(void (**hook)(void))
{
    void (*run)(void) = *hook;
    *hook = NULL;
    if (run)
        run();
}

bool __wrap_vectors_search(const struct vectors *v, const struct vectors_query *q,
                           struct vectors_searcher *seeker, struct topk_item *ret,
                           size_t *ret_count, struct vectors_result_info *ret_info)
{
    once(&before_search);
    bool ok = __real_vectors_search(v, q, seeker, ret, ret_count, ret_info);
    once(&after_search);
    return ok;
}

static struct timespec soon(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_sec += (patience_ms() + 999) / 1000;
    return t;
}

/* What a publish needs: nobody holds it for reading. */
static bool lock_is_to_be_had(void)
{
    pthread_rwlock_t *lock = &s.te->engine->net.lock;
    struct timespec until = soon();
    if (pthread_rwlock_timedwrlock(lock, &until))
        return false;
    pthread_rwlock_unlock(lock);
    return true;
}

static struct memory_out nearest, other;

static void publish_in_the_midst(void)
{
    assert_true(lock_is_to_be_had());
    struct broadcast_out sent = scene_send(&s, "", AXIS(0));
    assert_int_equal(sent.hop_count, 1);
    assert_int_equal(scene_remember(&s, "a", AXIS(0), &other), QMN_OK);
}

static void a_publish_does_not_wait_for_a_search(void **state)
{
    (void)state;
    assert_int_equal(scene_remember(&s, "a", AXIS(0), &nearest), QMN_OK);
    before_search = publish_in_the_midst;
    struct memories_out out = scene_search(&s, AXIS(0), K);
    assert_null(before_search);
    assert_int_equal(out.count, 1); /* the other came too late */
    assert_int_equal(scene_search(&s, AXIS(0), K).count, 2);
}

static void nor_for_the_search_of_a_collect(void **state)
{
    (void)state;
    assert_int_equal(scene_remember(&s, "a", AXIS(0), &nearest), QMN_OK);
    before_search = publish_in_the_midst;
    struct collect_out out = scene_collect(&s, "a", AXIS(0));
    assert_null(before_search);
    assert_int_equal(out.count, 1);
    assert_true(out.items[0].from_memory);
}

/* ---- what goes meanwhile ---- */

static void replace_in_the_midst(void)
{
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_delete_memory, nearest.id), QMN_OK);
    assert_int_equal(scene_remember(&s, "a", AXIS(5), &other), QMN_OK);
}

static void a_memory_is_not_taken_for_one_that_was_found(void **state)
{
    (void)state;
    for (int collects = 0; collects < 2; collects++) {
        assert_int_equal(scene_remember(&s, "a", AXIS(0), &nearest), QMN_OK);
        after_search = replace_in_the_midst;
        if (collects)
            assert_int_equal(scene_collect(&s, "a", AXIS(0)).count, 0);
        else
            assert_int_equal(scene_search(&s, AXIS(0), 1).count, 0);
        assert_null(after_search);
    }
}

static void change_in_the_midst(void)
{
    struct memory_patch p = {.id = nearest.id, .quality = .1};
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_update_memory, &p, &other), QMN_OK);
}

static void one_that_may_not_be_found_any_more_is_left_out(void **state)
{
    (void)state;
    const struct filter_value least = {FILTER_NUMBER, .number = .2};
    struct memory_filter good = {
        .op = FILTER_FROM, .field = FILTER_QUALITY, .values = &least, .count = 1};
    struct memory_search query = {.vector = scene_vector(&s, AXIS(0)), .top_k = K};
    struct memories_out out;
    assert_int_equal(scene_remember(&s, "a", AXIS(0), &nearest), QMN_OK);
    assert_true(nearest.quality > .2);
    after_search = change_in_the_midst;
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_search_memory, &query, &good, &out), QMN_OK);
    assert_int_equal(out.count, 0);
}

static bool has_index(void)
{
    struct network *n = &s.te->engine->net;
    pthread_rwlock_rdlock(&n->lock);
    bool has = n->tenants[n->tenant_count - 1]->memory_index;
    pthread_rwlock_unlock(&n->lock);
    return has;
}

static void purge_in_the_midst(void)
{
    int64_t end = clock_mono_us() + patience_ms() * INT64_C(1000);
    assert_true(has_index());
    assert_int_equal(TEST_CALL(s.te, &s.te->admin, engine_delete_tenant, BYTES_LIT("acme"), true),
                     QMN_OK);
    while (has_index() && clock_mono_us() < end)
        usleep(1000);
    assert_false(has_index());
}

static void purge(void (**hook)(void))
{
    struct memory_search query = {.vector = scene_vector(&s, AXIS(0)), .top_k = K};
    struct memories_out out;
    assert_int_equal(scene_remember(&s, "a", AXIS(0), &nearest), QMN_OK);
    *hook = purge_in_the_midst;
    (void)TEST_CALL(s.te, &s.caller, engine_search_memory, &query, &scene_no_filter, &out);
    assert_null(*hook);
    assert_int_equal(out.count, 0);
}

static void a_purge_leaves_the_index_to_a_search(void **state)
{
    (void)state;
    purge(&before_search);
}

static void what_was_found_before_a_purge_is_not_looked_for(void **state)
{
    (void)state;
    purge(&after_search);
}

/* ---- in the midst of linking ---- */

static _Atomic bool hold_writer;
static _Atomic bool was_late, was_locked;
static sem_t inside, go_on;

enum vectors_left __real_vectors_work(struct vectors *v, uint32_t budget);
enum vectors_left __wrap_vectors_work(struct vectors *v, uint32_t budget);

enum vectors_left __wrap_vectors_work(struct vectors *v, uint32_t budget)
{
    if (atomic_load(&hold_writer)) {
        struct timespec until = soon();
        if (!lock_is_to_be_had())
            atomic_store(&was_locked, true);
        sem_post(&inside);
        while (sem_timedwait(&go_on, &until))
            if (errno == ETIMEDOUT) {
                atomic_store(&was_late, true);
                break;
            }
    }
    return __real_vectors_work(v, budget);
}

static int begin_many(void **state)
{
    (void)state;
    scene_begin(&s, (struct test_engine_options){.memory_flat_max = FLAT_MAX});
    scene_agent(&s, "a", AXIS(0), NULL);
    sem_init(&inside, 0, 0);
    sem_init(&go_on, 0, 0);
    return 0;
}

static void search_while_the_writer_links(int stored)
{
    while (sem_wait(&inside))
        ;
    struct memories_out out = scene_search(&s, AXIS(0), (uint32_t)stored + 1);
    assert_true(out.count >= (size_t)stored); /* all of them, linked or not */
    sem_post(&go_on);
}

/* The writer is stopped in the midst of linking; a search comes to its end. */
static void a_search_does_not_wait_for_linking(void **state)
{
    (void)state;
    for (int i = 0; i < MANY; i++)
        assert_int_equal(scene_remember(&s, "a", VEC(1, (float)i / 10, (float)(i % 7)), &other),
                         QMN_OK);
    assert_int_equal(scene_remember(&s, "a", AXIS(3), &other), QMN_OK);
    atomic_store(&hold_writer, true);
    struct memory_in in = scene_memory(&s, "a", AXIS(4));
    struct call *c = test_call_new(s.te, &s.caller);
    engine_store_memory(s.te->engine, c, &in, &nearest); /* there will be work, if there is none */
    engine_round(s.te->engine, c->exec);
    search_while_the_writer_links(MANY + 1);
    atomic_store(&hold_writer, false);
    sem_post(&go_on); /* if it came in once more */
    assert_int_equal(test_call_wait(s.te, c), QMN_OK);
    assert_int_equal(scene_search(&s, AXIS(0), MANY + 10).count, MANY + 2);
    assert_false(atomic_load(&was_late));
    assert_false(atomic_load(&was_locked));
}

static int end_many(void **state)
{
    (void)stage_end(state);
    sem_destroy(&inside);
    sem_destroy(&go_on);
    return 0;
}

#define STAGED(test) cmocka_unit_test_setup_teardown(test, stage_a, stage_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(a_publish_does_not_wait_for_a_search),
        STAGED(nor_for_the_search_of_a_collect),
        STAGED(a_memory_is_not_taken_for_one_that_was_found),
        STAGED(one_that_may_not_be_found_any_more_is_left_out),
        STAGED(a_purge_leaves_the_index_to_a_search),
        STAGED(what_was_found_before_a_purge_is_not_looked_for),
        cmocka_unit_test_setup_teardown(a_search_does_not_wait_for_linking, begin_many, end_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
