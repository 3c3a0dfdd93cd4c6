/* SPDX-License-Identifier: MIT
 *
 * Filters of memories beside an evaluator that asks each memory, while memories come, change,
 * expire and go. */
#include "stage.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/rng.h"
#include "engine/engine_priv.h"
#include "engine/live_priv.h"
#include "engine/memory_sets_priv.h"

enum { MOST = 300, PATHS = 6, VALUES = 4, STEPS = 900, WORDS_OF_TEXT = 300 };

static const char *const paths[PATHS] = {"metadata.lang",   "metadata.n",     "metadata.deep",
                                         "metadata.deep.f", "metadata.all.k", "metadata.all"};
static const char *const kinds[] = {"note", "plan", "rule", "fact"};
static const char *const agents[] = {"a", "b", "c"};
static const char *const ids[] = {"", "t-1", "t-2", "t-3"};
static const char *const langs[] = {"de", "en", "", "lang"};
static char long_text[WORDS_OF_TEXT + 1]; /* longer than what is kept of a text */

/* What the test knows of a memory. */
struct model {
    bool live;
    struct memory_out out; /* texts are not looked at */
    char id[64];
    const char *kind, *agent, *task, *trace;
    bool has[PATHS];
    struct filter_value values[PATHS][VALUES];
    size_t counts[PATHS];
    char metadata[2048];
};

static struct model models[MOST];
static int model_count;
static struct rng rng;

static uint32_t below(uint32_t n)
{
    return rng_below(&rng, n);
}

/* ---- metadata ---- */

static int say(char *to, int at, const char *text)
{
    return at + snprintf(to + at, sizeof models[0].metadata - (size_t)at, "%s", text);
}

/* A value, in JSON and as it has to be found. */
static int random_value(struct model *m, int path, int at)
{
    struct filter_value *v = &m->values[path][m->counts[path]++];
    char text[WORDS_OF_TEXT + 8];
    switch (below(7)) {
    case 0:
        v->type = FILTER_NULL;
        return say(m->metadata, at, "null");
    case 1:
        v->type = below(2) ? FILTER_TRUE : FILTER_FALSE;
        return say(m->metadata, at, v->type == FILTER_TRUE ? "true" : "false");
    case 2:
        v->type = FILTER_TEXT;
        v->text = bytes_cstr(long_text);
        snprintf(text, sizeof text, "\"%s\"", long_text);
        return say(m->metadata, at, text);
    case 3:
    case 4:
        v->type = FILTER_TEXT;
        v->text = bytes_cstr(langs[below(4)]);
        snprintf(text, sizeof text, "\"%.*s\"", BYTES_FMT(v->text));
        return say(m->metadata, at, text);
    default:
        v->type = FILTER_NUMBER;
        v->number = (double)below(8) / 2 - 1;
        snprintf(text, sizeof text, "%g", v->number);
        return say(m->metadata, at, text);
    }
}

/* One value, or an array of up to three. */
static int random_field(struct model *m, int path, int at)
{
    m->has[path] = true;
    if (below(3))
        return random_value(m, path, at);
    at = say(m->metadata, at, "[");
    for (uint32_t i = 0, n = below(4); i < n; i++) {
        at = say(m->metadata, at, i ? "," : "");
        at = random_value(m, path, at);
    }
    /* an array inside is not looked at */
    return say(m->metadata, at, m->counts[path] ? ",[9]]" : "[9]]");
}

static void random_metadata(struct model *m)
{
    memset(m->has, 0, sizeof m->has);
    memset(m->counts, 0, sizeof m->counts);
    int at = say(m->metadata, 0, "{\"x\":0");
    if (below(4)) {
        at = say(m->metadata, at, ",\"lang\":");
        at = random_field(m, 0, at);
    }
    if (below(4)) {
        at = say(m->metadata, at, ",\"n\":");
        at = random_field(m, 1, at);
    }
    if (below(2)) {
        m->has[2] = true;
        at = say(m->metadata, at, ",\"deep\":{\"f\":");
        at = say(m->metadata, random_field(m, 3, at), "}");
    }
    if (below(2)) { /* an array of objects */
        m->has[4] = m->has[5] = true;
        at = say(m->metadata, at, ",\"all\":[{\"k\":");
        at = say(m->metadata, random_value(m, 4, at), "},{\"k\":");
        at = say(m->metadata, random_value(m, 4, at), "}]");
    }
    (void)say(m->metadata, at, "}");
}

/* ---- the evaluator ---- */

static bool whole_holds(enum filter_op op, int64_t x, int64_t bound)
{
    switch (op) {
    case FILTER_ABOVE:
        return x > bound;
    case FILTER_FROM:
        return x >= bound;
    case FILTER_BELOW:
        return x < bound;
    default:
        return x <= bound;
    }
}

static bool value_holds(enum filter_op op, const struct filter_value *x,
                        const struct filter_value *bound)
{
    if (x->type != bound->type)
        return false;
    if (x->type == FILTER_NUMBER) {
        int c = (x->number > bound->number) - (x->number < bound->number);
        return op == FILTER_IN ? !c : whole_holds(op, c, 0);
    }
    int c = x->type == FILTER_TEXT ? bytes_compare(x->text, bound->text) : 0;
    if (x->type == FILTER_WHOLE)
        c = (x->whole > bound->whole) - (x->whole < bound->whole);
    return op == FILTER_IN ? !c : whole_holds(op, c, 0);
}

/* What the field says, in an array of its own; *ret_has: it is there. */
static size_t said(const struct model *m, const struct memory_filter *f, struct filter_value *ret,
                   bool *ret_has)
{
    const char *text = NULL;
    *ret_has = true;
    switch (f->field) {
    case FILTER_METADATA:
        for (int i = 0; i < PATHS; i++)
            if (bytes_is(f->path, paths[i])) {
                *ret_has = m->has[i];
                memcpy(ret, m->values[i], sizeof m->values[i]);
                return m->counts[i];
            }
        *ret_has = false;
        return 0;
    case FILTER_QUALITY:
        ret[0] = (struct filter_value){FILTER_NUMBER, .number = m->out.quality};
        return 1;
    case FILTER_SENSITIVITY:
        ret[0] = (struct filter_value){FILTER_WHOLE, .whole = m->out.sensitivity};
        return 1;
    case FILTER_CREATED:
        ret[0] = (struct filter_value){FILTER_WHOLE, .whole = m->out.created_ms};
        return 1;
    case FILTER_UPDATED:
        ret[0] = (struct filter_value){FILTER_WHOLE, .whole = m->out.updated_ms};
        return 1;
    case FILTER_EXPIRES:
        *ret_has = m->out.expires_ms != 0;
        ret[0] = (struct filter_value){FILTER_WHOLE, .whole = m->out.expires_ms};
        return *ret_has;
    case FILTER_KIND:
        text = m->kind;
        break;
    case FILTER_AGENT:
        text = m->agent;
        break;
    case FILTER_TASK:
        text = m->task;
        break;
    case FILTER_TRACE:
        text = m->trace;
        break;
    }
    *ret_has = *text != '\0';
    ret[0] = (struct filter_value){FILTER_TEXT, .text = bytes_cstr(text)};
    return *ret_has;
}

static bool condition_holds(const struct model *m, const struct memory_filter *f)
{
    struct filter_value x[VALUES];
    bool has;
    size_t n = said(m, f, x, &has);
    if (f->op == FILTER_EXISTS)
        return has;
    for (size_t i = 0; i < f->count; i++) {
        if (f->op == FILTER_IN && f->values[i].type == FILTER_NULL && !has)
            return true;
        for (size_t k = 0; k < n; k++)
            if (value_holds(f->op, &x[k], &f->values[i]))
                return true;
    }
    return false;
}

static bool holds(const struct model *m, const struct memory_filter *f)
{
    bool any = false, all = true;
    if (f->op > FILTER_NOT)
        return condition_holds(m, f);
    for (const struct memory_filter *p = f->parts; p; p = p->next) {
        bool one = holds(m, p);
        any |= one;
        all &= one;
    }
    return f->op == FILTER_AND ? all : f->op == FILTER_OR ? any : !all;
}

/* ---- filters ---- */

static int64_t random_time(void)
{
    if (below(3))
        return models[below((uint32_t)model_count)].out.created_ms + below(3) - 1;
    return models[below((uint32_t)model_count)].out.expires_ms;
}

static struct filter_value random_bound(enum filter_field field, bool ordered)
{
    struct filter_value v = {.type = FILTER_TEXT};
    switch (field) {
    case FILTER_KIND:
        v.text = bytes_cstr(kinds[below(4)]);
        return v;
    case FILTER_AGENT:
        v.text = bytes_cstr(below(9) ? agents[below(3)] : "nobody");
        return v;
    case FILTER_TASK:
    case FILTER_TRACE:
        v.text = bytes_cstr(ids[1 + below(3)]);
        if (!below(4))
            v.type = FILTER_NULL;
        return v;
    case FILTER_QUALITY:
        return (struct filter_value){FILTER_NUMBER, .number = (double)below(9) / 8};
    case FILTER_SENSITIVITY:
        return (struct filter_value){FILTER_WHOLE, .whole = 1 + below(4)};
    case FILTER_METADATA:
        break;
    default:
        v = (struct filter_value){FILTER_WHOLE, .whole = random_time()};
        if (field == FILTER_EXPIRES && !ordered && !below(4))
            v.type = FILTER_NULL;
        return v;
    }
    if (below(2))
        return (struct filter_value){FILTER_NUMBER, .number = (double)below(10) / 2 - 2};
    v.text =
        below(4) ? bytes_cstr(langs[below(4)]) : bytes_of(long_text, LIMIT_METADATA_VALUE_BYTES);
    if (!ordered && !below(3))
        v.type = (enum filter_type)(FILTER_NULL + below(3));
    return v;
}

static struct memory_filter *random_condition(struct arena *a)
{
    struct memory_filter *f = arena_new(a, struct memory_filter);
    static const enum filter_op ops[] = {FILTER_IN,   FILTER_IN,    FILTER_EXISTS, FILTER_ABOVE,
                                         FILTER_FROM, FILTER_BELOW, FILTER_UPTO};
    f->field = (enum filter_field)(FILTER_KIND + below(FILTER_EXPIRES));
    if (below(3) == 0)
        f->field = FILTER_METADATA;
    f->op = ops[below(f->field < FILTER_METADATA ? 3 : 7)];
    f->path = bytes_cstr(below(20) ? paths[below(PATHS)] : "metadata.none");
    bool ordered = f->op > FILTER_IN;
    f->count = f->op == FILTER_IN ? below(4) : f->op != FILTER_EXISTS;
    struct filter_value *values = arena_array(a, struct filter_value, f->count + 1);
    for (size_t i = 0; i < f->count; i++)
        values[i] = random_bound(f->field, ordered);
    f->values = values;
    return f;
}

static struct memory_filter *random_filter(struct arena *a, int depth)
{
    if (!depth || !below(3))
        return random_condition(a);
    struct memory_filter *f = arena_new(a, struct memory_filter);
    f->op = (enum filter_op)(FILTER_AND + below(3));
    uint32_t n = f->op == FILTER_NOT ? 1 : below(4);
    for (uint32_t i = 0; i < n; i++) {
        struct memory_filter *part = random_filter(a, depth - 1);
        part->next = f->parts;
        f->parts = part;
    }
    return f;
}

/* ---- comparing ---- */

static bool seen_by(const struct model *m, uint32_t clearance, int64_t now)
{
    return m->live && m->out.sensitivity <= clearance &&
           (!m->out.expires_ms || m->out.expires_ms > now);
}

static void compare(const struct memory_filter *f, uint32_t clearance)
{
    struct network *n = &s.te->engine->net;
    struct memory_permit permit;
    struct arena arena;
    uint32_t expected = 0;
    int64_t now = engine_now(s.te->engine);
    arena_init(&arena, 0);
    pthread_rwlock_rdlock(&n->lock);
    const struct tenant *t = network_tenant(n, BYTES_LIT("acme"));
    assert_true(memory_permit(t, clearance, now, f, &arena, &permit));
    for (int i = 0; i < model_count; i++) {
        struct id id;
        bool fits = seen_by(&models[i], clearance, now) && holds(&models[i], f);
        assert_true(id_parse(bytes_cstr(models[i].id), PREFIX_MEMORY, &id));
        uint32_t slot = memory_slot(t, &id);
        bool found = slot != UINT32_MAX && bits_has(permit.bits, slot);
        if (found != fits)
            fail_msg("memory %d: %d, expected %d: %s", i, found, fits, models[i].metadata);
        expected += fits;
    }
    assert_int_equal(permit.count, expected);
    pthread_rwlock_unlock(&n->lock);
    arena_release(&arena);
}

static void compare_some(int count)
{
    struct arena arena;
    arena_init(&arena, 0);
    for (int i = 0; i < count && model_count; i++)
        compare(random_filter(&arena, 4), 1 + below(4));
    arena_release(&arena);
}

/* ---- what happens to memories ---- */

static void keep(struct model *m, const struct memory_out *out)
{
    m->out = *out;
    m->live = true;
    snprintf(m->id, sizeof m->id, "%.*s", BYTES_FMT(out->id));
}

static void store_one(int of)
{
    struct model *m = &models[model_count];
    struct memory_out out;
    *m = (struct model){.kind = kinds[below(4)],
                        .agent = agents[below(3)],
                        .task = ids[below(4)],
                        .trace = ids[below(4)]};
    random_metadata(m);
    struct memory_in in = scene_memory(&s, m->agent, AXIS((int)below(SCENE_DIM)));
    in.kind = bytes_cstr(m->kind);
    in.task_id = bytes_cstr(m->task);
    in.trace_id = bytes_cstr(m->trace);
    in.metadata = bytes_cstr(m->metadata);
    in.quality = (double)below(9) / 8;
    in.sensitivity = 1 + below(4);
    in.ttl_hours = below(4) ? 0 : (double)(1 + below(20)) / 60;
    if (of >= 0) {
        in.supersedes = bytes_cstr(models[of].id);
        models[of].live = false;
    }
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_store_memory, &in, &out), QMN_OK);
    keep(m, &out);
    model_count++;
}

static void change_one(struct model *m)
{
    struct memory_out out;
    struct memory_patch p = {.id = bytes_cstr(m->id), .quality = -1};
    switch (below(5)) {
    case 0:
        p.kind = bytes_cstr(m->kind = kinds[below(4)]);
        break;
    case 1:
        random_metadata(m);
        p.metadata = bytes_cstr(m->metadata);
        break;
    case 2:
        p.quality = (double)below(9) / 8;
        p.sensitivity = 1 + below(4);
        break;
    case 3:
        p.ttl_hours = below(2) ? -1 : (double)(1 + below(20)) / 60;
        break;
    default:
        p.embedding = scene_vector(&s, AXIS((int)below(SCENE_DIM)));
        break;
    }
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_update_memory, &p, &out), QMN_OK);
    keep(m, &out);
}

static void step(int i)
{
    int one = model_count ? (int)below((uint32_t)model_count) : -1;
    bool there = one >= 0 && seen_by(&models[one], LABEL_SECRET, engine_now(s.te->engine));
    uint32_t what = below(20);
    if (i % 300 == 299) {
        scene_restart(&s);
    } else if (model_count < MOST && what < 9) {
        store_one(there && what == 0 ? one : -1);
    } else if (there && what < 16) {
        change_one(&models[one]);
    } else if (there && what < 18) {
        models[one].live = false;
        assert_int_equal(
            TEST_CALL(s.te, &s.caller, engine_delete_memory, bytes_cstr(models[one].id)), QMN_OK);
    } else if (what == 19) {
        test_engine_advance(s.te, below(90000));
    }
}

static void a_filter_equals_asking_each_memory(void **state)
{
    (void)state;
    memset(long_text, 'l', WORDS_OF_TEXT);
    rng_seed(&rng, 77);
    model_count = 0;
    for (int i = 0; i < 3; i++)
        scene_agent_cleared(&s, agents[i], AXIS(i), LABEL_SECRET);
    for (int i = 0; i < STEPS; i++) {
        step(i);
        compare_some(3);
        if (i % 50 == 0)
            scene_validate(&s);
    }
    assert_true(model_count > 100);
}

/* The writer, which would delete it, is held meanwhile. */
static void what_has_expired_is_hidden_before_it_goes(void **state)
{
    (void)state;
    struct scene_hold hold;
    uint64_t deleted;
    struct memory_out out;
    for (int i = 0; i < 100; i++) {
        struct memory_in in = scene_memory(&s, "a", AXIS(0));
        in.ttl_hours = i % 4 ? 0 : 1 + i % 3;
        assert_int_equal(TEST_CALL(s.te, &s.caller, engine_store_memory, &in, &out), QMN_OK);
    }
    assert_int_equal(scene_search(&s, AXIS(0), 1).candidates, 100);
    struct call *clean = test_call_new(s.te, &s.caller);
    scene_hold(&s, &hold);
    test_engine_advance(s.te, 3600000);
    assert_int_equal(scene_search(&s, AXIS(0), 1).candidates, 91);
    test_engine_advance(s.te, 3600000);
    assert_int_equal(scene_search(&s, AXIS(0), 1).candidates, 83);
    engine_cleanup_memory(s.te->engine, clean, &deleted);
    scene_let_go(&s, &hold);
    assert_int_equal(test_call_wait(s.te, clean), QMN_OK);
    assert_int_equal(deleted, 17);
    assert_int_equal(scene_search(&s, AXIS(0), 1).candidates, 84); /* and what held the writer */
}

/* The sets of those that went take no room. */
static void nothing_is_left_of_what_went(void **state)
{
    (void)state;
    enum { N = 150 };
    struct memory_out out[N];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < N; i++) {
            struct memory_in in = scene_memory(&s, "a", AXIS(i % SCENE_DIM));
            in.trace_id = bytes_cstr(arena_printf(&s.te->arena, "tr-%d", i));
            in.metadata =
                bytes_cstr(arena_printf(&s.te->arena, "{\"k%d\":\"v%d\",\"n\":%d}", i, i, i));
            assert_int_equal(TEST_CALL(s.te, &s.caller, engine_store_memory, &in, &out[i]), QMN_OK);
        }
        for (int i = 0; i < N; i++)
            assert_int_equal(TEST_CALL(s.te, &s.caller, engine_delete_memory, out[i].id), QMN_OK);
    }
    struct memory_out last;
    assert_int_equal(scene_remember(&s, "a", AXIS(0), &last), QMN_OK);
    const struct tenant *t = network_tenant(&s.te->engine->net, BYTES_LIT("acme"));
    assert_true(t->memory_sets.terms.by_key.len <= 8);
}

/* Of metadata without end the beginning is seen. */
static void no_more_is_kept_of_metadata_than_the_bound(void **state)
{
    (void)state;
    enum { NAMES = 400, ROOM = 16384 };
    char *json = arena_alloc(&s.te->arena, ROOM);
    int at = snprintf(json, ROOM, "{");
    for (int i = 0; i < NAMES; i++)
        at += snprintf(json + at, (size_t)(ROOM - at), "%s\"k%d\":\"v%d\"", i ? "," : "", i, i);
    snprintf(json + at, (size_t)(ROOM - at), "}");
    struct memory_in in = scene_memory(&s, "a", AXIS(0));
    struct memory_out out;
    in.metadata = bytes_cstr(json);
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_store_memory, &in, &out), QMN_OK);
    const struct tenant *t = network_tenant(&s.te->engine->net, BYTES_LIT("acme"));
    assert_int_equal(t->memories[0].facts->term_count, LIMIT_METADATA_FACTS + 4);
    struct filter_value v = {.type = FILTER_TEXT, .text = BYTES_LIT("v63")};
    struct memory_filter f = {.op = FILTER_IN,
                              .field = FILTER_METADATA,
                              .path = BYTES_LIT("metadata.k63"),
                              .values = &v,
                              .count = 1};
    struct memory_search query = {.vector = scene_vector(&s, AXIS(0)), .top_k = 10};
    struct memories_out found;
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_search_memory, &query, &f, &found), QMN_OK);
    assert_int_equal(found.candidates, 1);
    assert_int_equal(found.count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_filter_equals_asking_each_memory, stage_empty, stage_end),
        cmocka_unit_test_setup_teardown(what_has_expired_is_hidden_before_it_goes, stage_a,
                                        stage_end),
        cmocka_unit_test_setup_teardown(nothing_is_left_of_what_went, stage_a, stage_end),
        cmocka_unit_test_setup_teardown(no_more_is_kept_of_metadata_than_the_bound, stage_a,
                                        stage_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
