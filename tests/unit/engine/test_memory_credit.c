/* SPDX-License-Identifier: MIT
 *
 * The quality of memories moves with the outcomes of the contexts they were part of, whatever ends
 * a run. */
#include "scene.h"

#include <math.h>
#include <stdio.h>

#include "base/rng.h"
#include "engine/engine_priv.h"
#include "engine/memory_credit_priv.h"

enum { LEARNED_BYTES = 80, BOUND = 12 * LEARNED_BYTES };

static struct scene s;

static int begin(void **state)
{
    (void)state;
    scene_begin(&s, (struct test_engine_options){.sqlite = true, .learning_log_bytes = BOUND});
    scene_agent(&s, "asker", AXIS(7), NULL);
    scene_agent(&s, "other", AXIS(7), NULL);
    scene_agent(&s, "author", AXIS(6), NULL);
    return 0;
}

static int end(void **state)
{
    (void)state;
    scene_end(&s);
    return 0;
}

static struct bytes remember(const char *agent, struct vec v)
{
    struct memory_out out;
    assert_int_equal(scene_remember(&s, agent, v, &out), QMN_OK);
    return out.id;
}

static struct memory_out look(struct bytes id)
{
    struct memory_out out;
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_get_memory, id, 0, &out), QMN_OK);
    return out;
}

static void assert_close(double got, double want)
{
    if (!(fabs(got - want) < 1e-6))
        fail_msg("got %.9g, want %.9g", got, want);
}

/* Asks, and says how good what came was. */
static struct bytes ask(const char *agent, struct vec v)
{
    struct collect_out out = scene_collect(&s, agent, v);
    assert_true(out.count > 0);
    return out.trace_id;
}

static void rate(const char *agent, struct bytes trace, double score)
{
    struct outcome_out out;
    assert_int_equal(scene_outcome(&s, agent, trace, score, &out), QMN_OK);
}

static void patch(struct bytes id, double quality, const char *content)
{
    struct memory_patch in = {.id = id, .quality = quality};
    struct memory_out out;
    if (content)
        in.content = bytes_cstr(content);
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_update_memory, &in, &out), QMN_OK);
}

static struct bytes found_first(struct memory_search q)
{
    struct memories_out out;
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_search_memory, &q, &scene_no_filter, &out),
                     QMN_OK);
    assert_true(out.count > 0);
    return out.items[0].id;
}

static void a_search_may_prefer_what_was_useful(void **state)
{
    (void)state;
    struct bytes near = remember("author", AXIS(0)), useful = remember("author", VEC(0.9f, 0.44f));
    rate("asker", ask("asker", VEC(0.8f, 0.6f)), 1);
    rate("other", ask("other", AXIS(0)), 0);
    struct memory_search q = {.vector = scene_vector(&s, AXIS(0)), .top_k = 1};
    assert_true(bytes_equal(found_first(q), near));
    rate("asker", ask("asker", VEC(0.2f, 1)), 1);
    q.ranking.useful_weight = 1;
    assert_true(bytes_equal(found_first(q), useful));
}

static uint64_t rows(void)
{
    struct store *store = s.te->engine->store;
    struct record_memory_credit row;
    struct arena arena;
    struct err err;
    uint64_t n = 0;
    arena_init(&arena, 0);
    pthread_rwlock_rdlock(&s.te->engine->net.lock);
    const struct tenant *t = network_tenant(&s.te->engine->net, BYTES_LIT("acme"));
    for (uint32_t i = 0; i < t->memory_slots; i++) {
        struct record_memory_credit key = {.memory_no = t->memories[i].no};
        n += t->memories[i].used &&
             store->ops->get(store, RECORD_MEMORY_CREDIT, &key, &arena, &row, &err) == QMN_OK;
    }
    pthread_rwlock_unlock(&s.te->engine->net.lock);
    arena_release(&arena);
    return n;
}

/* All that is known of all memories. */
static double sum_of_all(uint64_t *ret_uses)
{
    double sum = 0;
    pthread_rwlock_rdlock(&s.te->engine->net.lock);
    const struct tenant *t = network_tenant(&s.te->engine->net, BYTES_LIT("acme"));
    *ret_uses = 0;
    for (uint32_t i = 0; i < t->memory_slots; i++) {
        const struct memory *m = &t->memories[i];
        if (!m->used)
            continue;
        assert_close(m->quality, quality_now(m->given, &m->evidence));
        assert_close(m->useful, quality_useful(&m->evidence));
        sum += m->quality * (double)(m->no % 1009) + m->evidence.run_weight;
        *ret_uses += m->uses;
    }
    pthread_rwlock_unlock(&s.te->engine->net.lock);
    return sum;
}

static void assert_a_restart_changes_nothing(void)
{
    uint64_t uses, uses_after;
    double before = sum_of_all(&uses);
    scene_restart(&s);
    double after = sum_of_all(&uses_after);
    assert_true(fabs(before - after) < 1e-9 * fabs(before) + 1e-12);
    assert_int_equal(uses, uses_after);
    scene_validate(&s);
}

static void an_outcome_moves_the_quality_of_what_was_used_by_its_share(void **state)
{
    (void)state;
    struct bytes near = remember("author", AXIS(0)), half = remember("author", VEC(0.6f, 0.8f)),
                 far = remember("author", AXIS(1));
    rate("asker", ask("asker", AXIS(0)), 1);
    assert_close(look(near).quality, (4 * 0.5 + 1) / 5);
    assert_close(look(half).quality, (4 * 0.5 + 0.6) / 4.6);
    assert_close(look(far).quality, 0.5);
    assert_int_equal(look(near).uses, 1);
    assert_int_equal(look(half).uses, 1);
    assert_int_equal(look(far).uses, 0);
    struct memories_out found = scene_search(&s, AXIS(0), 1);
    assert_close(found.items[0].quality, 0.6);
    assert_int_equal(found.items[0].uses, 1);
    assert_a_restart_changes_nothing();
    rate("other", ask("other", AXIS(0)), 0);
    assert_close(look(near).quality, (4 * 0.5 + 1) / 6);
    assert_a_restart_changes_nothing();
}

static void a_trace_counts_once_for_each_rater(void **state)
{
    (void)state;
    struct bytes id = remember("author", AXIS(0)), trace = ask("asker", AXIS(0));
    struct outcome_out out;
    rate("asker", trace, 1);
    rate("asker", trace, 1); /* the same again */
    assert_int_equal(scene_outcome(&s, "asker", trace, 0, &out), QMN_E_CONFLICT);
    assert_int_equal(scene_outcome(&s, "other", trace, 0, &out), QMN_E_FORBIDDEN);
    assert_close(look(id).quality, 0.6);
    assert_int_equal(look(id).uses, 1);
}

static void nobody_rates_its_own_memories(void **state)
{
    (void)state;
    struct bytes own = remember("author", AXIS(0));
    rate("author", ask("author", AXIS(0)), 1);
    assert_close(look(own).quality, 0.5);
    assert_int_equal(look(own).uses, 0);
}

static void what_one_agent_is_rated_is_for_its_memories(void **state)
{
    (void)state;
    struct bytes good = remember("author", AXIS(0)), bad = remember("other", VEC(1, 0.01f));
    struct hop_score hop = {BYTES_LIT("other"), 0};
    struct outcome_in in = {.trace_id = ask("asker", AXIS(0)),
                            .agent_id = BYTES_LIT("asker"),
                            .score = 1,
                            .hops = &hop,
                            .hop_count = 1};
    struct outcome_out out;
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_record_outcome, &in, &out), QMN_OK);
    assert_true(look(good).quality > 0.59);
    assert_true(look(bad).quality < 0.41);
}

static void a_group_gives_what_one_after_the_other_would(void **state)
{
    (void)state;
    enum { VOTES = 12 };
    static const char *const raters[] = {"asker", "other"};
    struct bytes id = remember("author", AXIS(0));
    struct outcome_in in[VOTES];
    struct outcome_out out[VOTES];
    struct call *calls[VOTES];
    struct scene_hold hold;
    struct quality_evidence want = {0};
    for (int i = 0; i < VOTES; i++)
        in[i] = (struct outcome_in){.trace_id = ask(raters[i / 3 % 2], AXIS(0)),
                                    .agent_id = bytes_cstr(raters[i / 3 % 2]),
                                    .score = i / (double)VOTES};
    scene_hold(&s, &hold);
    for (int i = 0; i < VOTES; i++) {
        calls[i] = test_call_new(s.te, &s.caller);
        engine_record_outcome(s.te->engine, calls[i], &in[i], &out[i]);
        quality_learn(&want, 1 + i / 3 % 2, in[i].score, 1);
    }
    scene_let_go(&s, &hold);
    for (int i = 0; i < VOTES; i++)
        assert_int_equal(test_call_wait(s.te, calls[i]), QMN_OK);
    assert_close(look(id).quality, quality_now(0.5, &want));
    assert_int_equal(look(id).uses, VOTES);
    assert_a_restart_changes_nothing();
}

static void whoever_says_anew_how_good_it_is_begins_anew(void **state)
{
    (void)state;
    struct bytes id = remember("author", AXIS(0));
    rate("asker", ask("asker", AXIS(0)), 1);
    patch(id, -1, "{\"now\":\"more\"}"); /* another version: what was learned stays */
    assert_close(look(id).quality, 0.6);
    patch(id, 0.5, NULL); /* the same as was given at first, and yet anew */
    assert_close(look(id).quality, 0.5);
    assert_int_equal(look(id).uses, 1);
    assert_a_restart_changes_nothing();
    rate("asker", ask("asker", AXIS(0)), 0);
    assert_close(look(id).quality, 0.4);
    assert_a_restart_changes_nothing();
}

static void whatever_supersedes_it_begins_anew(void **state)
{
    (void)state;
    struct bytes id = remember("author", AXIS(0));
    struct bytes late = ask("asker", AXIS(0));
    for (int i = 0; i < 40; i++) /* far enough for a row */
        rate("asker", ask("asker", AXIS(0)), 1);
    struct memory_in in = scene_memory(&s, "author", AXIS(0));
    struct memory_out out;
    in.content = BYTES_LIT("{\"other\":1}");
    in.supersedes = id;
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_store_memory, &in, &out), QMN_OK);
    assert_close(look(out.id).quality, 0.5);
    assert_int_equal(look(out.id).uses, 0);
    rate("asker", late, 1); /* on what stood there before */
    assert_int_equal(look(out.id).uses, 0);
    assert_int_equal(rows(), 0);
    assert_a_restart_changes_nothing();
    rate("asker", ask("asker", AXIS(0)), 1);
    assert_close(look(out.id).quality, 0.6);
    assert_a_restart_changes_nothing();
}

static void a_memory_that_went_takes_it_along(void **state)
{
    (void)state;
    struct bytes id = remember("author", AXIS(0)), other = remember("author", VEC(1, 0.1f));
    struct bytes late = ask("asker", AXIS(0));
    for (int i = 0; i < 30; i++)
        rate("asker", ask("asker", AXIS(0)), 1);
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_delete_memory, id), QMN_OK);
    rate("asker", late, 1);
    assert_int_equal(look(other).uses, 31);
    for (int i = 0; i < 30; i++)
        rate("other", ask("other", AXIS(0)), 1);
    assert_a_restart_changes_nothing();
}

/* Everything at random, with a log so short that rows have to catch up all the time. */
static void nothing_is_lost_whatever_is_done_to_memories(void **state)
{
    (void)state;
    enum { MEMORIES = 14 };
    static const char *const agents[] = {"asker", "other", "author"};
    struct bytes ids[MEMORIES];
    struct rng r;
    uint64_t uses;
    rng_seed(&r, 3);
    for (int i = 0; i < MEMORIES; i++)
        ids[i] = remember(agents[i % 3], VEC((float)rng_unit(&r) + 0.2f, (float)rng_unit(&r), 0,
                                             0.01f * (float)i));
    for (int i = 0; i < 180; i++) {
        struct vec v = VEC((float)rng_unit(&r) + 0.1f, (float)rng_unit(&r));
        const char *who = agents[(int)(rng_unit(&r) * 3)];
        int at = (int)(rng_unit(&r) * MEMORIES);
        rate(who, ask(who, v), rng_unit(&r));
        if (i % 11 == 3)
            patch(ids[at], i % 2 ? -1 : rng_unit(&r), i % 3 ? "{\"x\":1}" : NULL);
        if (i % 40 == 17) {
            assert_int_equal(TEST_CALL(s.te, &s.caller, engine_delete_memory, ids[at]), QMN_OK);
            ids[at] = remember(who, v);
        }
        if (i % 60 == 59)
            assert_a_restart_changes_nothing();
    }
    (void)sum_of_all(&uses);
    assert_true(uses > 150);
    assert_true(rows() > MEMORIES / 2);
}

static void a_failed_commit_moves_nothing(void **state)
{
    (void)state;
    struct bytes id = remember("author", AXIS(0)), trace = ask("asker", AXIS(0));
    struct outcome_out out;
    faulty_store_fail_kind(s.te->store, RECORD_LEARNING_LOG, QMN_E_DISK_FULL, 1);
    assert_int_equal(scene_outcome(&s, "asker", trace, 1, &out), QMN_E_DISK_FULL);
    assert_close(look(id).quality, 0.5);
    rate("asker", trace, 1);
    assert_close(look(id).quality, 0.6);
    assert_int_equal(look(id).uses, 1);
    assert_a_restart_changes_nothing();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
        TEST(a_search_may_prefer_what_was_useful),
        TEST(an_outcome_moves_the_quality_of_what_was_used_by_its_share),
        TEST(a_trace_counts_once_for_each_rater),
        TEST(nobody_rates_its_own_memories),
        TEST(what_one_agent_is_rated_is_for_its_memories),
        TEST(a_group_gives_what_one_after_the_other_would),
        TEST(whoever_says_anew_how_good_it_is_begins_anew),
        TEST(whatever_supersedes_it_begins_anew),
        TEST(a_memory_that_went_takes_it_along),
        TEST(nothing_is_lost_whatever_is_done_to_memories),
        TEST(a_failed_commit_moves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
