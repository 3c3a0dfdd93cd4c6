/* SPDX-License-Identifier: MIT
 *
 * What one call may cost while others wait, counted in work, not in time. */
#include "scene.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "engine/engine_priv.h"

/* ---- tags ---- */

enum { TAG_CHARS = 126 };

/* A tag of letters that look random; `seed` tells them apart. */
static struct bytes random_tag(uint64_t seed, char *ret)
{
    struct rng rng;
    rng_seed(&rng, seed + 1);
    for (int i = 0; i < TAG_CHARS; i++)
        ret[i] = (char)('a' + (int)(rng_next(&rng) % 26));
    return bytes_of(ret, TAG_CHARS);
}

/* A list of `count` texts in te's memory: see test_list. */
static struct bytes join(struct arena *arena, const struct bytes *texts, size_t count)
{
    char *words = arena_alloc(arena, count * (LIMIT_TAG_CHARS + 1) + 1), *at = words;
    assert_non_null(words);
    for (size_t i = 0; i < count; i++) {
        memcpy(at, texts[i].ptr, texts[i].len);
        at += texts[i].len;
        *at++ = ' ';
    }
    *at = 0;
    return bytes_cstr(words);
}

static struct bytes random_list(struct test_engine *te, uint64_t from, size_t count)
{
    struct bytes *texts = arena_array(&te->arena, struct bytes, count);
    for (size_t i = 0; i < count; i++)
        texts[i] = random_tag(from + i, arena_alloc(&te->arena, TAG_CHARS));
    return test_list(te, join(&te->arena, texts, count).ptr);
}

/* 99 agents with 128 capabilities each and 64 hints nobody has seen used to cost 800,000 ratios. */
static void a_broadcast_compares_no_more_tags_than_its_share(void **state)
{
    struct scene s;
    (void)state;
    scene_begin(&s, (struct test_engine_options){0});
    for (uint64_t i = 0; i < 99; i++) {
        struct agent_out out;
        struct agent_in in = {.id = bytes_cstr(arena_printf(&s.te->arena, "agent-%d", (int)i)),
                              .capabilities = random_list(s.te, i * 128, 128),
                              .clearance = LABEL_INTERNAL};
        assert_int_equal(TEST_CALL(s.te, &s.caller, engine_register_agent, &in, &out), QMN_OK);
    }
    const struct tags *tags = &network_tenant(&s.te->engine->net, BYTES_LIT("acme"))->tags;
    assert_true(tags->count > TAGS_FUZZY_MAX);
    uint64_t before = tags->compared;
    struct broadcast_in in = scene_nutrient(&s, "agent-0", AXIS(0));
    struct broadcast_out out;
    in.hints = random_list(s.te, 1000000, 64);
    assert_int_equal(scene_broadcast(&s, &in, &out), QMN_OK);
    assert_int_equal(tags->compared - before, TAGS_COMPARED_MAX);
    scene_end(&s);
}

struct tags_state {
    struct tags tags;
    struct arena arena;
    uint32_t *numbers, count;
};

static void tags_begin(struct tags_state *x)
{
    assert_true(tags_init(&x->tags));
    arena_init(&x->arena, 0);
    x->numbers = mem_alloc(sizeof *x->numbers * 20000);
    assert_non_null(x->numbers);
    x->count = 0;
}

static void tags_end(struct tags_state *x)
{
    tags_drop(&x->tags, x->numbers, x->count);
    tags_release(&x->tags);
    arena_release(&x->arena);
    mem_free(x->numbers);
}

static void tags_put(struct tags_state *x, struct bytes text)
{
    char list[LIMIT_TAG_CHARS + 1];
    uint32_t *number, count;
    memcpy(list, text.ptr, text.len);
    list[text.len] = 0;
    assert_true(tags_intern(&x->tags, bytes_of(list, text.len + 1), &number, &count));
    assert_int_equal(count, 1);
    x->numbers[x->count++] = *number;
    mem_free(number);
}

/* Rounds until nothing is left to compare. */
static uint32_t rounds_until_done(struct tags_state *x, struct bytes hint, uint32_t share,
                                  const struct tag_match **ret, uint32_t *ret_count)
{
    for (uint32_t rounds = 1;; rounds++) {
        uint32_t budget = share;
        *ret_count = tags_matches(&x->tags, hint, &budget, &x->arena, ret);
        assert_true(budget <= share);
        if (budget)
            return rounds;
        assert_true(rounds < 1000);
    }
}

static void what_one_look_leaves_the_next_compares_once(void **state)
{
    struct tags_state x;
    const struct tag_match *found;
    char text[TAG_CHARS];
    uint32_t count;
    (void)state;
    tags_begin(&x);
    for (uint64_t i = 0; i < 1000; i++)
        tags_put(&x, random_tag(i, text));
    struct bytes hint = random_tag(999, text);
    hint.len--; /* the last tag but for one letter */
    assert_int_equal(rounds_until_done(&x, hint, 300, &found, &count), 4);
    assert_int_equal(x.tags.compared, 1000);
    assert_int_equal(count, 1);
    assert_int_equal(found[0].tag, x.numbers[999]);
    tags_put(&x, random_tag(5000, (char[TAG_CHARS]){0}));
    assert_int_equal(rounds_until_done(&x, hint, 300, &found, &count), 1);
    assert_int_equal(x.tags.compared, 1001);
    tags_end(&x);
}

static void tags_made_while_a_look_is_under_way_are_found_once(void **state)
{
    struct tags_state x;
    const struct tag_match *found;
    char text[TAG_CHARS];
    uint32_t count, budget = 10;
    (void)state;
    tags_begin(&x);
    for (uint64_t i = 0; i < 100; i++)
        tags_put(&x, random_tag(i, text));
    struct bytes hint = random_tag(7777, text);
    (void)tags_matches(&x.tags, hint, &budget, &x.arena, &found);
    assert_int_equal(budget, 0);
    hint.len--;
    tags_put(&x, hint); /* similar, and made in between */
    hint.len++;
    (void)rounds_until_done(&x, hint, 50, &found, &count);
    (void)rounds_until_done(&x, hint, 50, &found, &count);
    assert_int_equal(count, 1);
    assert_int_equal(found[0].tag, x.numbers[100]);
    tags_end(&x);
}

static void length_alone_rules_a_tag_out_for_nothing(void **state)
{
    struct tags_state x;
    const struct tag_match *found;
    char text[TAG_CHARS];
    uint32_t budget = 1;
    (void)state;
    tags_begin(&x);
    for (uint64_t i = 0; i < 100; i++)
        tags_put(&x, random_tag(i, text));
    assert_int_equal(tags_matches(&x.tags, BYTES_LIT("short"), &budget, &x.arena, &found), 0);
    assert_int_equal(budget, 1);
    assert_int_equal(x.tags.compared, 0);
    tags_end(&x);
}

/* 320 near misses, then the tag itself: it comes first, and the better of the rest are kept. */
static void the_same_tag_comes_first_however_many_are_similar(void **state)
{
    struct tags_state x;
    const struct tag_match *found;
    char text[40];
    uint32_t count;
    (void)state;
    tags_begin(&x);
    for (int i = 0; i < 320; i++) {
        int len = snprintf(text, sizeof text, "database-migration-%03d%s", i, i < 300 ? "xyz" : "");
        tags_put(&x, bytes_of(text, (size_t)len));
    }
    tags_put(&x, BYTES_LIT("database-migration"));
    (void)rounds_until_done(&x, BYTES_LIT("database-migration"), 1000, &found, &count);
    assert_true(count >= 256);
    assert_int_equal(found[0].tag, x.numbers[320]);
    for (uint32_t i = 1; i <= 20; i++)
        assert_true(found[i].tag >= x.numbers[300]); /* the closer ones, though made last */
    for (uint32_t i = 1; i < count; i++)
        assert_true(found[i].ratio <= found[i - 1].ratio && found[i].tag != found[0].tag);
    tags_end(&x);
}

static void beyond_the_fuzzy_ones_a_tag_is_found_by_its_name(void **state)
{
    struct tags_state x;
    const struct tag_match *found;
    char text[40];
    uint32_t count;
    (void)state;
    tags_begin(&x);
    for (int i = 0; i < TAGS_FUZZY_MAX + 10; i++) {
        int len = snprintf(text, sizeof text, "%08x-%08x", (unsigned)i * 2654435761u,
                           (unsigned)i * 40503u * 2654435761u);
        tags_put(&x, bytes_of(text, (size_t)len));
    }
    struct bytes last = x.tags.items[x.numbers[TAGS_FUZZY_MAX + 9]]->text;
    (void)rounds_until_done(&x, last, 100000, &found, &count);
    assert_true(count >= 1);
    assert_int_equal(found[0].tag, x.numbers[TAGS_FUZZY_MAX + 9]);
    assert_true(x.tags.compared <= TAGS_FUZZY_MAX);
    tags_end(&x);
}

/* ---- collects ---- */

/* What a test's store has seen. */
struct watch {
    pthread_rwlock_t *lock;
    uint32_t gets, nutrients, under_lock;
};

/* The lock is free unless this very thread reads under it: nothing else holds it for long. */
static bool lock_is_free(pthread_rwlock_t *lock)
{
    for (int i = 0; i < 10000; i++) {
        if (pthread_rwlock_trywrlock(lock) == 0) {
            pthread_rwlock_unlock(lock);
            return true;
        }
        sched_yield();
    }
    return false;
}

static void on_read(void *ctx, enum record_kind kind)
{
    struct watch *w = ctx;
    w->gets++;
    w->nutrients += kind == RECORD_NUTRIENT;
    w->under_lock += !lock_is_free(w->lock);
}

static void watch_gets(struct scene *s, struct watch *w)
{
    *w = (struct watch){.lock = &s->te->engine->net.lock};
    faulty_store_on_read(s->te->store, on_read, w);
}

static void two_agents(struct scene *s)
{
    scene_begin(s, (struct test_engine_options){0});
    scene_agent(s, "a", AXIS(0), NULL);
    scene_agent(s, "b", AXIS(1), NULL);
}

static struct call *start_collect(struct scene *s, const struct caller *who,
                                  const struct collect_in *in, struct collect_out *out)
{
    struct call *c = test_call_new(s->te, who);
    engine_collect(s->te->engine, c, in, out);
    return c;
}

static void a_collect_finds_what_to_wait_for_without_the_store(void **state)
{
    struct scene s;
    struct watch w;
    (void)state;
    two_agents(&s);
    scene_pull(&s, "a", 1);
    for (int i = 0; i < 60; i++)
        scene_send(&s, "", AXIS(0));
    struct collect_in in = scene_demand(&s, "", VEC(1, 0.1f));
    struct collect_out out;
    watch_gets(&s, &w);
    struct call *c = start_collect(&s, &s.caller, &in, &out);
    scene_settle(&s);
    assert_false(test_call_done(s.te, c)); /* a was asked and is around */
    test_engine_advance(s.te, 300);
    assert_int_equal(test_call_wait(s.te, c), QMN_OK);
    assert_int_equal(out.outstanding, 60);
    assert_int_equal(w.gets, 0);
    scene_end(&s);
}

static void what_to_wait_for_is_known_after_a_restart(void **state)
{
    struct scene s;
    struct collect_out out;
    (void)state;
    two_agents(&s);
    scene_send(&s, "", AXIS(0));
    scene_restart(&s);
    scene_pull(&s, "a", 1);
    struct collect_in near = scene_demand(&s, "", AXIS(0)), far = scene_demand(&s, "", AXIS(5));
    struct call *waits = start_collect(&s, &s.caller, &near, &out);
    scene_settle(&s);
    assert_false(test_call_done(s.te, waits));
    test_engine_advance(s.te, 300);
    assert_int_equal(test_call_wait(s.te, waits), QMN_OK);
    struct call *goes = start_collect(&s, &s.caller, &far, &out);
    scene_settle(&s);
    assert_true(test_call_done(s.te, goes));
    scene_end(&s);
}

static const struct agent *agent_of(struct scene *s, const char *id)
{
    const struct tenant *t = network_tenant(&s->te->engine->net, BYTES_LIT("acme"));
    return tenant_agent(t, bytes_cstr(id));
}

static void what_nobody_waits_for_takes_no_memory(void **state)
{
    struct scene s;
    struct ack_out acked;
    (void)state;
    two_agents(&s);
    struct broadcast_out one = scene_send(&s, "b", AXIS(0)), two = scene_send(&s, "b", AXIS(0)),
                         nobody = scene_send(&s, "b", AXIS(5));
    assert_int_equal(nobody.hop_count, 0);
    const struct nutrient *newest = agent_of(&s, "b")->own;
    assert_non_null(newest);
    assert_non_null(newest->codes);
    assert_non_null(newest->own_older);
    assert_int_equal(scene_ack(&s, "a", one.nutrient_id, &acked), QMN_OK);
    assert_ptr_equal(agent_of(&s, "b")->own, newest);
    assert_null(newest->own_older);
    assert_int_equal(scene_ack(&s, "a", two.nutrient_id, &acked), QMN_OK);
    assert_null(agent_of(&s, "b")->own);
    assert_null(newest->codes); /* alive still, by its trace */
    scene_end(&s);
}

static void a_collect_reads_contents_while_nobody_is_kept_out(void **state)
{
    struct scene s;
    struct memory_out memory;
    struct watch w;
    (void)state;
    two_agents(&s);
    for (int i = 0; i < 3; i++)
        assert_int_equal(scene_remember(&s, "a", AXIS(0), &memory), QMN_OK);
    watch_gets(&s, &w);
    struct collect_out out = scene_collect(&s, "", AXIS(0));
    assert_int_equal(out.count, 3);
    assert_int_equal(w.gets, 3);
    assert_int_equal(w.under_lock, 0);
    scene_end(&s);
}

static void a_collect_stops_at_eight_megabytes(void **state)
{
    enum { BYTES = 8 << 20, FIT = BYTES / LIMIT_CONTENT_BYTES };
    struct scene s;
    struct collect_out out;
    struct watch w;
    (void)state;
    two_agents(&s);
    struct memory_in in = scene_memory(&s, "a", AXIS(0));
    char *content = mem_alloc(LIMIT_CONTENT_BYTES);
    assert_non_null(content);
    memset(content, ' ', LIMIT_CONTENT_BYTES);
    in.content = bytes_of(content, LIMIT_CONTENT_BYTES);
    for (int i = 0; i < FIT + 5; i++) {
        struct memory_out memory;
        snprintf(content, LIMIT_CONTENT_BYTES, "{\"n\":%02d", i);
        content[7] = '}'; /* in place of the NUL */
        assert_int_equal(TEST_CALL(s.te, &s.caller, engine_store_memory, &in, &memory), QMN_OK);
    }
    struct collect_in demand = scene_demand(&s, "", AXIS(0));
    demand.top_k = LIMIT_TOP_K;
    watch_gets(&s, &w);
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_collect, &demand, &out), QMN_OK);
    assert_int_equal(out.count, FIT);
    assert_int_equal(w.gets, FIT);
    mem_free(content);
    scene_end(&s);
}

/* Parks a collect, lets `change` happen, and lets the window pass. */
static enum qmn_code collect_across(struct scene *s, const struct caller *who, const char *agent,
                                    void (*change)(struct scene *s, const struct caller *who))
{
    struct collect_in in = scene_demand(s, agent, AXIS(0));
    struct collect_out out;
    struct memory_out memory;
    assert_int_equal(scene_remember(s, "a", AXIS(0), &memory), QMN_OK);
    scene_pull(s, "a", 1);
    scene_send(s, agent, AXIS(0));
    struct call *c = start_collect(s, who, &in, &out);
    scene_settle(s);
    assert_false(test_call_done(s->te, c));
    change(s, who);
    test_engine_advance(s->te, 300);
    enum qmn_code code = test_call_wait(s->te, c);
    assert_true(code == QMN_OK || out.count == 0);
    return code;
}

static void revoke_it(struct scene *s, const struct caller *who)
{
    struct key_out out;
    assert_int_equal(TEST_CALL(s->te, &s->caller, engine_revoke_key, who->key_id, &out), QMN_OK);
}

static void suspend_b(struct scene *s, const struct caller *who)
{
    (void)who;
    assert_int_equal(scene_suspend(s, "b"), QMN_OK);
}

static void change_nothing(struct scene *s, const struct caller *who)
{
    (void)s;
    (void)who;
}

static void a_parked_collect_of_a_revoked_key_gets_nothing(void **state)
{
    struct scene s;
    (void)state;
    two_agents(&s);
    struct caller who = test_member(s.te, "acme", NULL);
    assert_int_equal(collect_across(&s, &who, "b", change_nothing), QMN_OK);
    assert_int_equal(collect_across(&s, &who, "b", revoke_it), QMN_E_UNAUTHENTICATED);
    scene_end(&s);
}

static void a_parked_collect_of_a_suspended_agent_gets_nothing(void **state)
{
    struct scene s;
    (void)state;
    two_agents(&s);
    assert_int_equal(collect_across(&s, &s.caller, "b", suspend_b), QMN_E_CONFLICT);
    scene_end(&s);
}

/* A clock that lets something happen between two locks of a call. */
static struct meddler {
    struct scene *scene;
    pthread_t thread;
    int calls; /* of the clock on this thread, until it happens; 0: it has */
} meddler;

static void meddle(void)
{
    if (pthread_equal(pthread_self(), meddler.thread) && meddler.calls && --meddler.calls == 0) {
        struct memory_out out;
        assert_int_equal(scene_remember(meddler.scene, "", AXIS(0), &out), QMN_OK);
    }
}

/* Vectors of 8 numbers arrive after a demand of 16 was found to be possible: the clock is looked
 * at twice before the check, then after it. */
static void a_collect_looks_at_the_dimension_again(void **state)
{
    struct scene s;
    struct collect_out out;
    float values[2 * SCENE_DIM] = {1};
    (void)state;
    scene_begin(&s, (struct test_engine_options){0});
    struct collect_in in = scene_demand(&s, "", AXIS(0));
    in.demand = (struct vector_in){.values = values, .dim = 2 * SCENE_DIM};
    struct call *c = test_call_new(s.te, &s.caller);
    meddler = (struct meddler){.scene = &s, .thread = pthread_self(), .calls = 3};
    s.te->on_now = meddle;
    engine_collect(s.te->engine, c, &in, &out);
    assert_int_equal(test_call_wait(s.te, c), QMN_E_DIMENSION);
    assert_int_equal(meddler.calls, 0);
    assert_non_null(strstr(c->err.text, "16 numbers"));
    assert_non_null(strstr(c->err.text, "8 dimensions"));
    scene_end(&s);
}

/* ---- edges ---- */

/* Edges as outcomes would have left them, without their rows: from each of `sources` agents to each
 * of the others, weights in a fixed disorder within [.2, .4). */
static uint32_t add_edges(struct scene *s, uint32_t sources)
{
    struct engine *e = s->te->engine;
    struct tenant *t = network_tenant(&e->net, BYTES_LIT("acme"));
    uint32_t count = 0;
    scene_settle(s); /* the writer has nothing to do now */
    for (uint32_t i = 0; i < sources; i++) {
        struct agent *a = t->agents[i];
        assert_true(network_grow_edges(&e->net, a, t->agent_count));
        pthread_rwlock_wrlock(&e->net.lock);
        for (uint32_t k = 0; k < t->agent_count; k++) {
            if (k == i)
                continue;
            struct edge *x = agent_put_edge(a, k);
            x->weight = 0.2 + (double)(++count * 7919 % 1000) / 5000;
            x->created_ms = x->updated_ms = s->te->now_ms;
            x->outcomes = 1;
        }
        pthread_rwlock_unlock(&e->net.lock);
    }
    return count;
}

static void many_agents(struct scene *s, int count)
{
    scene_begin(s, (struct test_engine_options){0});
    for (int i = 0; i < count; i++)
        scene_capable(s, arena_printf(&s->te->arena, "agent-%03d", i), "");
}

static void listing_edges_costs_as_much_as_it_lists(void **state)
{
    struct scene s;
    struct edges_out all, some;
    (void)state;
    many_agents(&s, 50);
    uint32_t count = add_edges(&s, 50);
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_edges, BYTES_LIT(""), 100000, &all), QMN_OK);
    assert_int_equal(all.count, count);
    for (size_t i = 1; i < count; i++)
        assert_true(all.edges[i - 1].weight >= all.edges[i].weight);
    static const uint32_t limits[] = {0, 1, 2, 10, 100, 1000};
    for (size_t k = 0; k < ARRAY_LEN(limits); k++) {
        assert_int_equal(TEST_CALL(s.te, &s.caller, engine_edges, BYTES_LIT(""), limits[k], &some),
                         QMN_OK);
        assert_int_equal(some.count, limits[k]);
        for (size_t i = 0; i < some.count; i++)
            assert_true(bytes_equal(some.edges[i].src, all.edges[i].src) &&
                        bytes_equal(some.edges[i].dst, all.edges[i].dst));
        assert_true(s.te->last->arena->used < 8192 + limits[k] * 512);
    }
    scene_end(&s);
}

static void pruning_many_edges_takes_several_commits(void **state)
{
    struct scene s;
    struct edge_upkeep_out out;
    (void)state;
    many_agents(&s, 95);
    uint32_t count = add_edges(&s, 95), weak = 0;
    struct tenant *t = network_tenant(&s.te->engine->net, BYTES_LIT("acme"));
    for (uint32_t i = 0; i < t->agent_count; i++)
        for (uint32_t k = 0; k < t->agents[i]->edge_count; k++)
            weak += t->agents[i]->edges[k].weight < 0.38;
    assert_true(weak > 4096 && weak < count);
    int before = faulty_store_commits(s.te->store);
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_prune_edges, 0.38, &out), QMN_OK);
    assert_int_equal(out.deleted, weak);
    assert_true(faulty_store_commits(s.te->store) - before >= 2);
    assert_int_equal(t->edge_count, count - weak);
    struct audit_out audit;
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_audit, 0, 1000, &audit), QMN_OK);
    const struct record_audit *last = &audit.entries[audit.count - 1];
    assert_bytes_equal(last->action, "edge.prune");
    assert_bytes_equal(last->actor, arena_printf(&s.te->arena, "%.*s", BYTES_FMT(s.caller.key_id)));
    assert_bytes_equal(last->detail,
                       arena_printf(&s.te->arena, "{\"threshold\":0.38,\"deleted\":%u}", weak));
    scene_end(&s);
}

/* The group with the first piece fails for a reason that is not the piece's: it is done again, and
 * nothing is counted twice. */
static void a_piece_whose_commit_failed_is_done_again(void **state)
{
    struct scene s;
    struct scene_hold hold;
    struct edge_upkeep_out out;
    struct memory_out memories[2];
    struct call *calls[2];
    (void)state;
    many_agents(&s, 95);
    uint32_t count = add_edges(&s, 95);
    struct memory_in in[2] = {scene_memory(&s, "agent-000", AXIS(0)),
                              scene_memory(&s, "agent-000", AXIS(0))};
    scene_hold(&s, &hold);
    struct call *prune = test_call_new(s.te, &s.caller);
    engine_prune_edges(s.te->engine, prune, 0.5, &out);
    for (int i = 0; i < 2; i++) {
        calls[i] = test_call_new(s.te, &s.caller);
        engine_store_memory(s.te->engine, calls[i], &in[i], &memories[i]);
    }
    faulty_store_fail_kind(s.te->store, RECORD_EDGE, QMN_E_CONFLICT, 1);
    scene_let_go(&s, &hold);
    assert_int_equal(test_call_wait(s.te, prune), QMN_OK);
    for (int i = 0; i < 2; i++)
        assert_int_equal(test_call_wait(s.te, calls[i]), QMN_OK);
    assert_int_equal(out.deleted, count);
    assert_int_equal(network_tenant(&s.te->engine->net, BYTES_LIT("acme"))->edge_count, 0);
    scene_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_broadcast_compares_no_more_tags_than_its_share),
        cmocka_unit_test(what_one_look_leaves_the_next_compares_once),
        cmocka_unit_test(tags_made_while_a_look_is_under_way_are_found_once),
        cmocka_unit_test(length_alone_rules_a_tag_out_for_nothing),
        cmocka_unit_test(the_same_tag_comes_first_however_many_are_similar),
        cmocka_unit_test(beyond_the_fuzzy_ones_a_tag_is_found_by_its_name),
        cmocka_unit_test(a_collect_finds_what_to_wait_for_without_the_store),
        cmocka_unit_test(what_to_wait_for_is_known_after_a_restart),
        cmocka_unit_test(what_nobody_waits_for_takes_no_memory),
        cmocka_unit_test(a_collect_reads_contents_while_nobody_is_kept_out),
        cmocka_unit_test(a_collect_stops_at_eight_megabytes),
        cmocka_unit_test(a_parked_collect_of_a_revoked_key_gets_nothing),
        cmocka_unit_test(a_parked_collect_of_a_suspended_agent_gets_nothing),
        cmocka_unit_test(a_collect_looks_at_the_dimension_again),
        cmocka_unit_test(listing_edges_costs_as_much_as_it_lists),
        cmocka_unit_test(pruning_many_edges_takes_several_commits),
        cmocka_unit_test(a_piece_whose_commit_failed_is_done_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
