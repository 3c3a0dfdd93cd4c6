/* SPDX-License-Identifier: MIT
 *
 * Snapshots of a large tenant's index: a restart goes on from one, the store decides what is in it,
 * and whatever is wrong with it costs time only. */
#include "stage.h"

#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/rng.h"
#include "engine/memory_index_priv.h"
#include "engine/memory_snapshot_priv.h"
#include "engine/tenancy.h"
#include "support/fault.h"
#include "support/patience.h"

enum { FLAT_MAX = 64, COUNT = 300 };

static struct vec vectors[COUNT];
static struct memory_out stored[COUNT];
static struct rng rng;

static struct vec random_unit(void)
{
    struct vec v;
    double norm = 0;
    for (int i = 0; i < SCENE_DIM; i++) {
        v.v[i] = (float)rng_normal(&rng);
        norm += (double)v.v[i] * (double)v.v[i];
    }
    for (int i = 0; i < SCENE_DIM; i++)
        v.v[i] = (float)((double)v.v[i] / sqrt(norm));
    return v;
}

static struct tenant *acme(void)
{
    return network_tenant(&s.te->engine->net, BYTES_LIT("acme"));
}

static struct vectors_stats look(void)
{
    struct network *n = &s.te->engine->net;
    struct vectors_stats stats;
    pthread_rwlock_rdlock(&n->lock);
    vectors_stats(acme()->memory_index, &stats);
    pthread_rwlock_unlock(&n->lock);
    return stats;
}

static void await_linked(void)
{
    int64_t end = clock_mono_us() + patience_ms() * INT64_C(1000);
    while ((look().fresh || !look().levels) && clock_mono_us() < end)
        usleep(1000);
    assert_int_equal(look().fresh, 0);
}

static void remember(int i)
{
    vectors[i] = random_unit();
    struct memory_in in = scene_memory(&s, "a", vectors[i]);
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_store_memory, &in, &stored[i]), QMN_OK);
}

static int begin(void **state)
{
    (void)state;
    scene_begin(&s, (struct test_engine_options){.memory_flat_max = FLAT_MAX, .snapshots = true});
    scene_agent(&s, "a", AXIS(0), NULL);
    rng_seed(&rng, 37);
    for (int i = 0; i < COUNT; i++)
        remember(i);
    await_linked();
    return 0;
}

static uint64_t take(void)
{
    struct err err = {0};
    uint64_t bytes = 0;
    if (memory_snapshot_take(s.te->engine, acme(), &bytes, &err) != QMN_OK)
        fail_msg("%s", err.text);
    return bytes;
}

static const char *path_of(const char *name)
{
    static char paths[4][300];
    static int turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/index/%lld%s%s", s.te->dir, (long long)acme()->record->no,
             *name ? "/" : "", name);
    return path;
}

/* Ends the engine as a crash does: the folder is as it is now. */
static void restart_from_now(void)
{
    char folder[300], kept[320], command[700];
    snprintf(folder, sizeof folder, "%s", path_of(""));
    snprintf(kept, sizeof kept, "%s-kept", folder);
    assert_int_equal(rename(folder, kept), 0);
    test_engine_stop(s.te);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): a name of ours */
    assert_int_equal(rename(kept, folder), 0);
    metrics_free(s.te->metrics);
    s.te->metrics = metrics_new();
    struct err err = {0};
    if (test_engine_start(s.te, &err) != QMN_OK)
        fail_msg("%s", err.text);
}

static uint64_t loaded(void)
{
    return counter_value(s.te->engine->m.snapshots_loaded);
}

static uint64_t refused(void)
{
    return counter_value(s.te->engine->m.snapshots_refused);
}

/* Each memory is the best answer to its own vector, with its cosine. */
static void check_found(int from, int to)
{
    for (int i = from; i < to; i++) {
        struct memories_out out = scene_search(&s, vectors[i], 3);
        assert_int_equal(out.count, 3);
        assert_true(bytes_equal(out.items[0].id, stored[i].id));
        assert_true(fabs((double)out.items[0].similarity - 1) < 1e-5);
    }
}

static void a_restart_goes_on_from_the_snapshot(void **state)
{
    (void)state;
    scene_restart(&s); /* one is taken at the end */
    assert_int_equal(loaded(), 1);
    assert_int_equal(acme()->snapshot->taken, COUNT);
    assert_int_equal(acme()->snapshot->read, 0);
    assert_true(acme()->snapshot->report.linked >= COUNT * 98 / 100); /* none is linked anew */
    assert_true(acme()->snapshot->report.relink <= COUNT / 50);
    check_found(0, COUNT);
    scene_validate(&s);
}

static int of_id(struct bytes id)
{
    for (int i = 0; i < COUNT; i++)
        if (bytes_equal(stored[i].id, id))
            return i;
    fail_msg("an id of nothing");
    return -1;
}

static double dot(const struct vec *a, const struct vec *b)
{
    double sum = 0;
    for (int i = 0; i < SCENE_DIM; i++)
        sum += (double)a->v[i] * (double)b->v[i];
    return sum;
}

/* Of those near the first vector, and one that is opposite to it and has the word. */
static void check_both_ways(int with_word)
{
    struct memories_out out;
    struct memory_search in = {.query = BYTES_LIT("quincunx"),
                               .mode = SEARCH_HYBRID,
                               .vector = scene_vector(&s, vectors[0]),
                               .top_k = 20};
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_search_memory, &in, &scene_no_filter, &out),
                     QMN_OK);
    assert_int_equal(out.count, 20);
    bool met = false;
    for (size_t i = 0; i < out.count; i++) {
        const struct memory_out *m = &out.items[i];
        int at = of_id(m->id);
        met |= at == with_word && !m->match->vector_rank;
        assert_true(fabs(dot(&vectors[0], &vectors[at]) - (double)m->match->cosine) < 1e-5);
        assert_true(fabs((double)(m->similarity - m->match->cosine)) < 1e-6);
    }
    assert_true(met);
}

static void words_come_back_and_cosines_beside_them_are_exact(void **state)
{
    (void)state;
    struct vec away;
    for (int i = 0; i < SCENE_DIM; i++)
        away.v[i] = -vectors[0].v[i];
    struct memory_in in = scene_memory(&s, "a", away);
    in.content = BYTES_LIT("{\"says\":\"quincunx\"}");
    vectors[1] = away; /* in place of another one, which goes */
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_delete_memory, stored[1].id), QMN_OK);
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_store_memory, &in, &stored[1]), QMN_OK);
    await_linked();
    check_both_ways(1);
    scene_restart(&s);
    assert_int_equal(loaded(), 1);
    assert_int_equal(acme()->snapshot->read, 0);
    check_both_ways(1);
}

static void change_vector(int i)
{
    struct memory_out out;
    vectors[i] = random_unit();
    struct memory_patch in = {
        .id = stored[i].id, .quality = -1, .embedding = scene_vector(&s, vectors[i])};
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_update_memory, &in, &out), QMN_OK);
}

static void change_content(int i)
{
    struct memory_out out;
    struct memory_patch in = {
        .id = stored[i].id, .quality = -1, .content = BYTES_LIT("{\"says\":\"something else\"}")};
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_update_memory, &in, &out), QMN_OK);
}

static void supersede(int i)
{
    vectors[i] = random_unit();
    struct memory_in in = scene_memory(&s, "a", vectors[i]);
    in.supersedes = stored[i].id;
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_store_memory, &in, &stored[i]), QMN_OK);
}

static void what_the_store_knows_otherwise_comes_from_the_store(void **state)
{
    (void)state;
    take();
    for (int i = 0; i < 10; i++)
        change_vector(i);
    for (int i = 10; i < 20; i++)
        change_content(i);
    for (int i = 20; i < 30; i++)
        supersede(i);
    for (int i = 30; i < 40; i++)
        assert_int_equal(TEST_CALL(s.te, &s.caller, engine_delete_memory, stored[i].id), QMN_OK);
    for (int i = 30; i < 36; i++)
        remember(i);
    restart_from_now();
    assert_int_equal(loaded(), 1);
    assert_int_equal(acme()->snapshot->taken, COUNT - 10 - 10 - 10);
    assert_int_equal(acme()->snapshot->read, 10 + 10 + 6);
    scene_validate(&s);
    check_found(0, 36);
    check_found(40, COUNT);
    struct memory_in twin = scene_memory(&s, "a", vectors[50]);
    struct memory_out merged;
    twin.content = stored[50].content;
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_store_memory, &twin, &merged), QMN_OK);
    assert_true(merged.merged); /* prints of what came from the snapshot are whole */
    await_linked();
    check_found(40, 60);
}

static void only_what_changed_is_written(void **state)
{
    (void)state;
    uint64_t all = take(), none = take();
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_delete_memory, stored[0].id), QMN_OK);
    uint64_t links = take();
    uint32_t codes = (uint32_t)snapshot_codes_bytes(acme()->memory_index, COUNT);
    assert_true(none < 1000);         /* the manifest */
    assert_true(all > codes + none);  /* everything */
    assert_true(links > none + 5000); /* the links ... */
    assert_true(links < all - codes); /* ... and no codes */
    struct err err = {0};
    uint64_t bytes = 0;
    remember(0);
    await_linked();
    assert_int_equal(memory_snapshot_take(s.te->engine, acme(), &bytes, &err), QMN_OK);
    assert_true(bytes > codes);
    restart_from_now();
    assert_int_equal(loaded(), 1);
    check_found(0, 10);
}

static int count_files(void)
{
    int n = 0;
    DIR *dir = opendir(path_of(""));
    assert_non_null(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n - 2;
}

static void files_that_nobody_names_go(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        change_vector(i);
        take();
        assert_int_equal(count_files(), 3); /* manifest, codes, links */
    }
}

/* Does something to the k-th file of the folder; false: there is none. */
static bool damage(int k, void (*how)(const char *path))
{
    struct dirent *e;
    DIR *dir = opendir(path_of(""));
    assert_non_null(dir);
    while ((e = readdir(dir)) && (e->d_name[0] == '.' || k-- > 0))
        ;
    if (e)
        how(path_of(e->d_name));
    closedir(dir);
    return e != NULL;
}

static void flip(const char *path)
{
    char byte;
    struct stat st;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(fstat(fd, &st), 0);
    off_t at = (off_t)rng_below(&rng, (uint32_t)st.st_size);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte = (char)(byte ^ (1 << rng_below(&rng, 8)));
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

static void cut(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(truncate(path, (off_t)rng_below(&rng, (uint32_t)st.st_size)), 0);
}

static void lose(const char *path)
{
    assert_int_equal(unlink(path), 0);
}

static void check_damage(void (*how)(const char *path), bool manifest_counts)
{
    for (int k = 0; k < 3; k++) {
        take();
        assert_int_equal(count_files(), 3);
        bool had = access(path_of("manifest"), F_OK) == 0;
        assert_true(damage(k, how));
        had &= access(path_of("manifest"), F_OK) == 0;
        restart_from_now();
        assert_int_equal(loaded(), 0);
        assert_int_equal(refused(), had || manifest_counts);
        assert_int_equal(look().live, COUNT);
        check_found(k * 20, k * 20 + 20); /* while it is linked */
        await_linked();
        change_vector(k);
        take(); /* it heals */
        restart_from_now();
        assert_int_equal(loaded(), 1);
        check_found(k * 20, k * 20 + 20);
        await_linked();
    }
}

static void a_damaged_snapshot_is_made_anew(void **state)
{
    (void)state;
    check_damage(flip, true);
    check_damage(cut, true);
    check_damage(lose, false);
}

static void a_folder_that_cannot_be_written_stops_nothing(void **state)
{
    (void)state;
    struct err err = {0};
    uint64_t bytes;
    char folder[300];
    snprintf(folder, sizeof folder, "%s", path_of(""));
    int fd = open(folder, O_CREAT | O_WRONLY | O_CLOEXEC, 0600); /* a file in its place */
    assert_true(fd >= 0);
    close(fd);
    for (int i = 0; i < 2; i++)
        assert_int_equal(memory_snapshot_take(s.te->engine, acme(), &bytes, &err),
                         QMN_E_UNAVAILABLE);
    assert_int_equal(counter_value(s.te->engine->m.snapshots_failed), 2);
    check_found(0, 5);
    assert_int_equal(unlink(folder), 0);
    take();
    restart_from_now();
    assert_int_equal(loaded(), 1);
}

static void what_could_not_be_finished_takes_no_room(void **state)
{
    (void)state;
    struct err err = {0};
    uint64_t bytes;
    take();
    change_vector(0);
    assert_int_equal(mkdir(path_of("l0-2"), 0700), 0); /* in the place of a file */
    assert_int_equal(memory_snapshot_take(s.te->engine, acme(), &bytes, &err), QMN_E_UNAVAILABLE);
    assert_int_not_equal(access(path_of("c0-2"), F_OK), 0);
    assert_int_equal(access(path_of("c0-1"), F_OK), 0);
    assert_int_equal(rmdir(path_of("l0-2")), 0);
    restart_from_now();
    assert_int_equal(loaded(), 1); /* the last one stays */
    check_found(0, 10);
    take();
    assert_int_equal(count_files(), 3);
}

static void few_memories_keep_no_snapshot(void **state)
{
    (void)state;
    struct err err = {0};
    uint64_t bytes;
    take();
    for (int i = 20; i < COUNT; i++)
        assert_int_equal(TEST_CALL(s.te, &s.caller, engine_delete_memory, stored[i].id), QMN_OK);
    int64_t end = clock_mono_us() + patience_ms() * INT64_C(1000);
    while (look().levels && clock_mono_us() < end)
        usleep(1000);
    assert_int_equal(memory_snapshot_take(s.te->engine, acme(), &bytes, &err), QMN_E_GONE);
    assert_int_not_equal(access(path_of(""), F_OK), 0);
    check_found(0, 20);
    scene_restart(&s);
    assert_int_equal(loaded() + refused(), 0);
    check_found(0, 20);
}

static void a_purge_takes_the_snapshot_with_it(void **state)
{
    (void)state;
    char folder[300];
    take();
    snprintf(folder, sizeof folder, "%s", path_of(""));
    assert_int_equal(access(folder, F_OK), 0);
    assert_int_equal(TEST_CALL(s.te, &s.te->admin, engine_delete_tenant, BYTES_LIT("acme"), true),
                     QMN_OK);
    int64_t end = clock_mono_us() + patience_ms() * INT64_C(1000);
    while (access(folder, F_OK) == 0 && clock_mono_us() < end)
        usleep(1000);
    assert_int_not_equal(access(folder, F_OK), 0);
}

struct taking {
    struct engine *engine;
    struct tenant *tenant;
    _Atomic bool stop;
    uint32_t failed;
};

static void *take_many(void *arg)
{
    struct taking *x = arg;
    while (!atomic_load(&x->stop)) {
        struct err err;
        uint64_t bytes;
        x->failed += memory_snapshot_take(x->engine, x->tenant, &bytes, &err) != QMN_OK;
    }
    return NULL;
}

static void it_is_taken_while_memories_come_and_go(void **state)
{
    (void)state;
    struct taking taking = {.engine = s.te->engine, .tenant = acme()};
    pthread_t thread;
    take();
    assert_int_equal(pthread_create(&thread, NULL, take_many, &taking), 0);
    for (int i = 0; i < 100; i++) {
        change_vector(i);
        if (i % 2)
            supersede(200 + i % 50);
    }
    atomic_store(&taking.stop, true);
    pthread_join(thread, NULL);
    assert_int_equal(taking.failed, 0);
    restart_from_now();
    assert_int_equal(loaded(), 1);
    scene_validate(&s);
    check_found(0, COUNT);
}

static void a_start_without_memory_fails_or_is_whole(void **state)
{
    (void)state;
    take();
    test_engine_stop(s.te);
    for (unsigned n = 1;; n += 9) {
        struct err err = {0};
        fault_arm(n);
        enum qmn_code code = test_engine_start(s.te, &err);
        bool failed = fault_disarm();
        if (code == QMN_OK && !failed)
            break;
        if (code == QMN_OK)
            test_engine_stop(s.te); /* something of the background had to do without */
        else
            assert_int_equal(code, QMN_E_NOMEM);
    }
    assert_int_equal(look().live, COUNT);
    check_found(0, 20);
}

static void enough_changes_or_time_make_one_due(void **state)
{
    (void)state;
    const int64_t minute = 60 * 1000;
    assert_false(snapshot_is_due(0, 1000000, 1000 * minute));
    assert_false(snapshot_is_due(999, 2000, 2 * minute));
    assert_true(snapshot_is_due(1000, 2000, 2 * minute));
    assert_false(snapshot_is_due(1000, 2000, minute / 2));
    assert_false(snapshot_is_due(60000, 1000000, 2 * minute));
    assert_true(snapshot_is_due(63000, 1000000, 2 * minute));
    assert_true(snapshot_is_due(1, 1000000, 15 * minute));
}

#define MANY(test) cmocka_unit_test_setup_teardown(test, begin, stage_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MANY(a_restart_goes_on_from_the_snapshot),
        MANY(words_come_back_and_cosines_beside_them_are_exact),
        MANY(what_the_store_knows_otherwise_comes_from_the_store),
        MANY(only_what_changed_is_written),
        MANY(files_that_nobody_names_go),
        MANY(a_damaged_snapshot_is_made_anew),
        MANY(a_folder_that_cannot_be_written_stops_nothing),
        MANY(what_could_not_be_finished_takes_no_room),
        MANY(few_memories_keep_no_snapshot),
        MANY(a_purge_takes_the_snapshot_with_it),
        MANY(it_is_taken_while_memories_come_and_go),
        MANY(a_start_without_memory_fails_or_is_whole),
        cmocka_unit_test(enough_changes_or_time_make_one_due),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
