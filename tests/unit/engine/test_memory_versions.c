/* SPDX-License-Identifier: MIT
 *
 * What a memory says changes, is superseded, repeated and looked back at. */
#include "stage.h"

#include "engine/engine_priv.h"

static struct memory_out remember(struct memory_in in)
{
    struct memory_out out;
    if (TEST_CALL(s.te, &s.caller, engine_store_memory, &in, &out) != QMN_OK)
        fail_msg("memory refused: %s", s.te->last->err.text);
    return out;
}

static struct memory_patch patch_of(struct bytes id)
{
    return (struct memory_patch){.id = id, .quality = -1};
}

static enum qmn_code change_as(const struct caller *who, const struct memory_patch *in,
                               struct memory_out *out)
{
    return TEST_CALL(s.te, who, engine_update_memory, in, out);
}

static struct memory_out change(struct memory_patch in)
{
    struct memory_out out;
    if (change_as(&s.caller, &in, &out) != QMN_OK)
        fail_msg("change refused: %s", s.te->last->err.text);
    return out;
}

static struct memory_out say(struct bytes id, const char *content)
{
    struct memory_patch in = patch_of(id);
    in.content = bytes_cstr(content);
    return change(in);
}

static enum qmn_code get_as(const struct caller *who, struct bytes id, int64_t as_of,
                            struct memory_out *out)
{
    return TEST_CALL(s.te, who, engine_get_memory, id, as_of, out);
}

static struct memories_out history(struct bytes id)
{
    struct memories_out out;
    if (TEST_CALL(s.te, &s.caller, engine_memory_history, id, &out) != QMN_OK)
        fail_msg("no history: %s", s.te->last->err.text);
    return out;
}

static int64_t now(void)
{
    return engine_now(s.te->engine);
}

static void what_it_says_makes_a_version_and_how_it_is_treated_none(void **state)
{
    (void)state;
    struct memory_in in = scene_memory(&s, "a", AXIS(0));
    in.ttl_hours = 1;
    struct memory_out first = remember(in);
    assert_int_equal(first.version, 1);
    struct memory_patch p = patch_of(first.id);
    p.quality = 0.75;
    p.ttl_hours = -1;
    struct memory_out out = change(p);
    assert_int_equal(out.version, 1);
    assert_true(out.quality == 0.75);
    assert_int_equal(out.expires_ms, 0);
    test_engine_advance(s.te, 10);
    out = say(first.id, "{\"now\":1}");
    assert_int_equal(out.version, 2);
    assert_int_equal(out.created_ms, first.created_ms);
    assert_int_equal(out.updated_ms, first.created_ms + 10);
    out = say(first.id, "{\"now\":1}"); /* the same */
    assert_int_equal(out.version, 2);
    p = patch_of(first.id);
    p.kind = BYTES_LIT("plan");
    assert_int_equal(change(p).version, 3);
    p = patch_of(first.id);
    p.metadata = BYTES_LIT("");
    assert_int_equal(change(p).metadata.len, 0);
    p = patch_of(first.id);
    p.embedding = scene_vector(&s, AXIS(3));
    assert_int_equal(change(p).version, 5);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(scene_search(&s, AXIS(3), 1).count, 1);
        assert_true(scene_search(&s, AXIS(3), 1).items[0].similarity > 0.99f);
        assert_int_equal(get_as(&s.caller, first.id, 0, &out), QMN_OK);
        assert_int_equal(out.version, 5);
        assert_bytes_equal(out.kind, "plan");
        assert_bytes_equal(out.content, "{\"now\":1}");
        assert_int_equal(history(first.id).count, 5);
        scene_validate(&s);
        scene_restart(&s);
    }
    test_engine_advance(s.te, 3600000); /* the old expiry is none any more */
    scene_settle(&s);
    assert_int_equal(get_as(&s.caller, first.id, 0, &out), QMN_OK);
}

static void an_expiry_that_is_given_later_holds(void **state)
{
    (void)state;
    struct memory_out out, kept = remember(scene_memory(&s, "a", AXIS(0)));
    (void)say(kept.id, "{\"v\":2}");
    struct memory_patch p = patch_of(kept.id);
    p.ttl_hours = 1;
    assert_int_equal(change(p).expires_ms, now() + 3600000);
    test_engine_advance(s.te, 3600000);
    assert_int_equal(get_as(&s.caller, kept.id, 0, &out), QMN_E_NOT_FOUND);
    assert_int_equal(get_as(&s.caller, kept.id, now() - 1, &out), QMN_E_NOT_FOUND);
    assert_int_equal(change_as(&s.caller, &p, &out), QMN_E_NOT_FOUND);
    scene_settle(&s);
    scene_restart(&s);
    assert_int_equal(s.te->engine->net.tenants[1]->memory_count, 0);
    assert_int_equal(s.te->engine->net.tenants[1]->stored_bytes, 0);
}

static void as_of_shows_what_it_said_then(void **state)
{
    (void)state;
    enum { N = 6 };
    int64_t at[N];
    struct memory_in in = scene_memory(&s, "a", AXIS(0));
    in.content = BYTES_LIT("{\"v\":0}");
    struct memory_out out, first = remember(in);
    at[0] = now();
    for (int i = 1; i < N; i++) {
        test_engine_advance(s.te, 100);
        at[i] = now();
        (void)say(first.id, arena_printf(&s.te->arena, "{\"v\":%d}", i));
    }
    for (int round = 0; round < 2; round++) {
        assert_int_equal(get_as(&s.caller, first.id, at[0] - 1, &out), QMN_E_NOT_FOUND);
        for (int i = 0; i < N; i++)
            for (int late = 0; late < 100; late += 99) {
                assert_int_equal(get_as(&s.caller, first.id, at[i] + late, &out), QMN_OK);
                assert_true(bytes_is(out.content, arena_printf(&s.te->arena, "{\"v\":%d}", i)));
                assert_int_equal(out.version, i + 1);
            }
        scene_restart(&s);
    }
}

static void who_supersedes_takes_the_place_and_the_history(void **state)
{
    (void)state;
    struct memory_out out, a = remember(scene_memory(&s, "a", AXIS(0)));
    test_engine_advance(s.te, 50);
    int64_t changed = now();
    (void)say(a.id, "{\"v\":2}");
    test_engine_advance(s.te, 50);
    struct memory_in in = scene_memory(&s, "b", AXIS(1));
    in.supersedes = a.id;
    struct memory_out b = remember(in);
    assert_false(bytes_equal(a.id, b.id));
    assert_int_equal(b.version, 3);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(scene_search(&s, AXIS(1), 10).count, 1);
        assert_int_equal(get_as(&s.caller, a.id, 0, &out), QMN_E_NOT_FOUND);
        assert_int_equal(get_as(&s.caller, a.id, changed, &out), QMN_OK);
        assert_bytes_equal(out.content, "{\"v\":2}");
        assert_int_equal(get_as(&s.caller, a.id, b.created_ms, &out), QMN_E_NOT_FOUND);
        assert_int_equal(get_as(&s.caller, b.id, changed, &out), QMN_E_NOT_FOUND);
        assert_int_equal(get_as(&s.caller, b.id, 0, &out), QMN_OK);
        assert_bytes_equal(out.agent_id, "b");
        struct memories_out h = history(round ? a.id : b.id);
        assert_int_equal(h.count, 3);
        assert_true(bytes_equal(h.items[0].id, b.id));
        assert_true(bytes_equal(h.items[1].id, a.id));
        assert_bytes_equal(h.items[2].agent_id, "a");
        assert_int_equal(h.items[0].until_ms, 0);
        assert_int_equal(h.items[1].until_ms, b.created_ms);
        assert_int_equal(h.items[2].until_ms, changed);
        scene_restart(&s);
    }
    in = scene_memory(&s, "b", AXIS(1));
    in.supersedes = a.id; /* is no more */
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_store_memory, &in, &out), QMN_E_NOT_FOUND);
    assert_string_equal(s.te->last->err.field, "supersedes");
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_delete_memory, b.id), QMN_OK);
    assert_int_equal(get_as(&s.caller, a.id, changed, &out), QMN_E_NOT_FOUND);
    assert_int_equal(s.te->engine->net.tenants[1]->stored_bytes, 0);
    scene_restart(&s);
    assert_int_equal(s.te->engine->net.tenants[1]->stored_bytes, 0);
}

static enum qmn_code count_row(void *ctx, const void *record, struct err *err)
{
    (void)record;
    (void)err;
    ++*(size_t *)ctx;
    return QMN_OK;
}

static void only_so_many_versions_are_kept(void **state)
{
    (void)state;
    struct memory_out first = remember(scene_memory(&s, "a", AXIS(0)));
    for (int i = 0; i < LIMIT_VERSIONS + 10; i++)
        (void)say(first.id, arena_printf(&s.te->arena, "{\"v\":%d}", i));
    for (int round = 0; round < 2; round++) {
        struct memories_out h = history(first.id);
        assert_int_equal(h.count, LIMIT_VERSIONS + 1);
        assert_int_equal(h.items[0].version, LIMIT_VERSIONS + 11);
        assert_int_equal(h.items[LIMIT_VERSIONS].version, 11);
        struct store *store = s.te->engine->store;
        uint64_t stored = s.te->engine->net.tenants[1]->stored_bytes;
        size_t rows = 0;
        assert_int_equal(
            store->ops->scan(store, RECORD_MEMORY_VERSION, NULL, count_row, &rows, NULL), QMN_OK);
        assert_int_equal(rows, LIMIT_VERSIONS);
        scene_restart(&s);
        assert_int_equal(s.te->engine->net.tenants[1]->stored_bytes, stored);
    }
}

static void labels_hold_for_the_whole_history(void **state)
{
    (void)state;
    struct caller weak = s.caller;
    struct memories_out list;
    struct memory_out out;
    weak.clearance = LABEL_INTERNAL;
    scene_agent_cleared(&s, "a", AXIS(0), LABEL_SECRET);
    struct memory_out kept = remember(scene_memory(&s, "a", AXIS(0)));
    int64_t then = now();
    test_engine_advance(s.te, 5);
    (void)say(kept.id, "{\"v\":2}");
    struct memory_patch p = patch_of(kept.id);
    p.sensitivity = LABEL_SECRET;
    assert_int_equal(change_as(&weak, &p, &out), QMN_E_FORBIDDEN);
    (void)change(p);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(get_as(&weak, kept.id, 0, &out), QMN_E_NOT_FOUND);
        assert_int_equal(get_as(&weak, kept.id, then, &out), QMN_E_NOT_FOUND);
        assert_int_equal(TEST_CALL(s.te, &weak, engine_memory_history, kept.id, &list),
                         QMN_E_NOT_FOUND);
        assert_int_equal(change_as(&weak, &p, &out), QMN_E_NOT_FOUND);
        scene_restart(&s);
    }
    /* what takes its place is as secret as it was */
    struct memory_in in = scene_memory(&s, "a", AXIS(1));
    in.supersedes = kept.id;
    assert_int_equal(TEST_CALL(s.te, &weak, engine_store_memory, &in, &out), QMN_E_NOT_FOUND);
    struct memory_out next = remember(in);
    assert_int_equal(next.sensitivity, LABEL_SECRET);
    assert_int_equal(get_as(&weak, kept.id, then, &out), QMN_E_NOT_FOUND);
    p = patch_of(next.id);
    p.sensitivity = LABEL_PUBLIC;
    (void)change(p);
    assert_int_equal(get_as(&weak, kept.id, then, &out), QMN_OK);
}

static void a_label_that_changes_is_written_down(void **state)
{
    (void)state;
    struct audit_out audit;
    struct memory_out kept = remember(scene_memory(&s, "a", AXIS(0)));
    struct memory_patch p = patch_of(kept.id);
    p.sensitivity = LABEL_PUBLIC;
    (void)change(p);
    (void)change(p); /* not again */
    size_t seen = 0;
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_audit, 0, 100, &audit), QMN_OK);
    for (size_t i = 0; i < audit.count; i++) {
        if (!bytes_is(audit.entries[i].action, "memory.label"))
            continue;
        seen++;
        assert_true(bytes_equal(audit.entries[i].target, kept.id));
        assert_bytes_equal(audit.entries[i].detail, "{\"from\":\"internal\",\"to\":\"public\"}");
    }
    assert_int_equal(seen, 1);
}

static void the_very_same_is_stored_once(void **state)
{
    (void)state;
    struct memory_in in = scene_memory(&s, "a", AXIS(0));
    struct memory_out first = remember(in), again, other;
    assert_false(first.merged);
    for (int round = 0; round < 2; round++) {
        struct scene_state before = scene_look(&s);
        in.quality = 0.9; /* is no part of it */
        in.embedding = scene_vector(&s, AXIS(0));
        again = remember(in);
        assert_true(again.merged);
        assert_true(bytes_equal(again.id, first.id));
        assert_true(again.quality == 0.5);
        struct scene_state after = scene_look(&s);
        assert_memory_equal(&before, &after, sizeof before);
        scene_restart(&s);
    }
    struct memory_in parts[4];
    for (int i = 0; i < 4; i++)
        parts[i] = in;
    parts[0].agent_id = BYTES_LIT("b");
    parts[1].kind = BYTES_LIT("plan");
    parts[2].sensitivity = LABEL_PUBLIC;
    parts[3].embedding = scene_vector(&s, AXIS(1));
    for (int i = 0; i < 4; i++)
        assert_false(remember(parts[i]).merged);
    /* one that has changed, or gone, is no other's double */
    (void)say(first.id, "{\"else\":1}");
    other = remember(in);
    assert_false(other.merged);
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_delete_memory, other.id), QMN_OK);
    assert_false(remember(in).merged);
    (void)say(remember(in).id, "{\"else\":1}");
    in.content = BYTES_LIT("{\"else\":1}");
    assert_true(remember(in).merged);
}

static void a_double_of_what_has_expired_is_none(void **state)
{
    (void)state;
    struct memory_in in = scene_memory(&s, "a", AXIS(0));
    in.ttl_hours = 1;
    (void)remember(in);
    test_engine_advance(s.te, 3600000);
    in.ttl_hours = 0;
    assert_false(remember(in).merged);
}

static void doubles_in_one_group_and_one_batch_are_one(void **state)
{
    (void)state;
    enum { N = 8 };
    struct memory_in in = scene_memory(&s, "script", AXIS(2)), batch[3];
    struct memory_out out[N], all[3];
    struct call *calls[N];
    struct scene_hold hold;
    uint64_t before = scene_look(&s).memories;
    scene_hold(&s, &hold);
    for (int i = 0; i < N; i++) {
        calls[i] = test_call_new(s.te, &s.caller);
        engine_store_memory(s.te->engine, calls[i], &in, &out[i]);
    }
    scene_let_go(&s, &hold);
    size_t merged = 0;
    for (int i = 0; i < N; i++) {
        assert_int_equal(test_call_wait(s.te, calls[i]), QMN_OK);
        merged += out[i].merged;
        assert_true(bytes_equal(out[i].id, out[0].id));
    }
    assert_int_equal(merged, N - 1);
    assert_int_equal(scene_look(&s).memories, before + 2); /* with the hold's */
    for (int i = 0; i < 3; i++)
        batch[i] = scene_memory(&s, "new", AXIS(2));
    batch[2] = batch[0];
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_store_memories, batch, 3, all), QMN_OK);
    assert_false(all[0].merged || all[1].merged);
    assert_true(all[2].merged);
    assert_true(bytes_equal(all[0].id, all[2].id));
    assert_int_equal(scene_look(&s).memories, before + 4);
}

/* A label is part of what is the same, so a hidden double is none. */
static void a_hidden_double_does_not_show(void **state)
{
    (void)state;
    struct caller weak = s.caller;
    struct memory_out out;
    weak.clearance = LABEL_INTERNAL;
    scene_agent_cleared(&s, "a", AXIS(0), LABEL_SECRET);
    struct memory_in in = scene_memory(&s, "a", AXIS(0));
    in.sensitivity = LABEL_SECRET;
    (void)remember(in);
    in.sensitivity = LABEL_INTERNAL;
    assert_int_equal(TEST_CALL(s.te, &weak, engine_store_memory, &in, &out), QMN_OK);
    assert_false(out.merged);
}

static void one_batch_supersedes_each_once(void **state)
{
    (void)state;
    struct memory_out kept = remember(scene_memory(&s, "a", AXIS(0))), out[2];
    struct memory_in in[2] = {scene_memory(&s, "a", AXIS(1)), scene_memory(&s, "a", AXIS(2))};
    in[0].supersedes = in[1].supersedes = kept.id;
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_store_memories, in, 2, out), QMN_E_INVALID);
    assert_string_equal(s.te->last->err.field, "memories[1].supersedes");
    in[1].supersedes = bytes_of("", 0);
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_store_memories, in, 2, out), QMN_OK);
    assert_int_equal(out[0].version, 2);
    assert_int_equal(out[1].version, 1);
}

static void what_is_another_tenants_or_agents_cannot_be_changed(void **state)
{
    (void)state;
    struct memory_out out, mine = remember(scene_memory(&s, "a", AXIS(0)));
    struct memories_out list;
    test_tenant(s.te, "rival");
    struct caller rival = test_member(s.te, "rival", NULL), bound = s.caller;
    rival.clearance = LABEL_SECRET;
    bound.agent_ids = test_list(s.te, "b");
    (void)say(mine.id, "{\"v\":2}");
    struct memory_in in = scene_memory(&s, "b", AXIS(0));
    in.supersedes = mine.id;
    struct memory_patch p = patch_of(mine.id);
    p.quality = 1;
    assert_int_equal(change_as(&rival, &p, &out), QMN_E_NOT_FOUND);
    assert_int_equal(get_as(&rival, mine.id, now(), &out), QMN_E_NOT_FOUND);
    assert_int_equal(TEST_CALL(s.te, &rival, engine_memory_history, mine.id, &list),
                     QMN_E_NOT_FOUND);
    assert_int_equal(TEST_CALL(s.te, &rival, engine_store_memory, &in, &out), QMN_E_NOT_FOUND);
    assert_int_equal(change_as(&bound, &p, &out), QMN_E_FORBIDDEN);
    assert_int_equal(TEST_CALL(s.te, &bound, engine_store_memory, &in, &out), QMN_E_FORBIDDEN);
    struct memory_out next = remember(in);
    assert_int_equal(get_as(&rival, mine.id, mine.created_ms, &out), QMN_E_NOT_FOUND);
    assert_int_equal(TEST_CALL(s.te, &rival, engine_memory_history, mine.id, &list),
                     QMN_E_NOT_FOUND);
    assert_int_equal(get_as(&s.caller, next.id, 0, &out), QMN_OK);
    for (size_t i = 0; i < 4; i++) {
        static const char *const bad[] = {"", "me_", "me_x",
                                          "nu_000000000000000000000000000000000000"};
        assert_int_equal(get_as(&s.caller, bytes_cstr(bad[i]), 1, &out), QMN_E_NOT_FOUND);
        assert_int_equal(
            TEST_CALL(s.te, &s.caller, engine_memory_history, bytes_cstr(bad[i]), &list),
            QMN_E_NOT_FOUND);
    }
}

/* Of one and another memory, as many at once as a group takes: each change sees the one before. */
static void changes_in_one_group_follow_each_other(void **state)
{
    (void)state;
    enum { N = 20 };
    struct memory_out kept = remember(scene_memory(&s, "a", AXIS(0))), out[N], got;
    struct memory_patch p[N];
    struct call *calls[N];
    struct scene_hold hold;
    scene_hold(&s, &hold);
    for (int i = 0; i < N; i++) {
        p[i] = patch_of(kept.id);
        p[i].content = bytes_cstr(arena_printf(&s.te->arena, "{\"v\":%d}", i));
        calls[i] = test_call_new(s.te, &s.caller);
        engine_update_memory(s.te->engine, calls[i], &p[i], &out[i]);
    }
    scene_let_go(&s, &hold);
    for (int i = 0; i < N; i++)
        assert_int_equal(test_call_wait(s.te, calls[i]), QMN_OK);
    assert_int_equal(get_as(&s.caller, kept.id, 0, &got), QMN_OK);
    assert_int_equal(got.version, N + 1);
    assert_int_equal(history(kept.id).count, N + 1);
}

#define MEMORY(test) cmocka_unit_test_setup_teardown(test, stage_a_b, stage_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MEMORY(what_it_says_makes_a_version_and_how_it_is_treated_none),
        MEMORY(an_expiry_that_is_given_later_holds),
        MEMORY(as_of_shows_what_it_said_then),
        MEMORY(who_supersedes_takes_the_place_and_the_history),
        MEMORY(only_so_many_versions_are_kept),
        MEMORY(labels_hold_for_the_whole_history),
        MEMORY(a_label_that_changes_is_written_down),
        MEMORY(the_very_same_is_stored_once),
        MEMORY(a_double_of_what_has_expired_is_none),
        MEMORY(doubles_in_one_group_and_one_batch_are_one),
        MEMORY(a_hidden_double_does_not_show),
        MEMORY(one_batch_supersedes_each_once),
        MEMORY(what_is_another_tenants_or_agents_cannot_be_changed),
        MEMORY(changes_in_one_group_follow_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
