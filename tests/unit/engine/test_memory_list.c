/* SPDX-License-Identifier: MIT
 *
 * Pages of memories against an array of what was stored. */
#include "stage.h"

#include <stdio.h>

#include "engine/engine_priv.h"

enum { MANY = 300 };

static struct memory_out stored[MANY];

static struct memory_out remember(struct memory_in in)
{
    struct memory_out out;
    if (TEST_CALL(s.te, &s.caller, engine_store_memory, &in, &out) != QMN_OK)
        fail_msg("memory refused: %s", s.te->last->err.text);
    return out;
}

static void remember_many(void)
{
    for (int i = 0; i < MANY; i++) {
        struct memory_in in = scene_memory(&s, i % 3 ? "a" : "b", AXIS(i % SCENE_DIM));
        in.kind = i % 2 ? BYTES_LIT("odd") : BYTES_LIT("even");
        test_engine_advance(s.te, 10);
        stored[i] = remember(in);
    }
}

/* The ids of all pages in order; walks on from q->after. */
static size_t walk(const struct caller *who, struct memory_query q, uint32_t limit,
                   struct bytes *ret, size_t most)
{
    size_t n = 0;
    for (;;) {
        struct memories_out page;
        assert_int_equal(TEST_CALL(s.te, who, engine_list_memories, &q, limit, &page), QMN_OK);
        assert_true(page.count <= limit);
        for (size_t i = 0; i < page.count; i++) {
            assert_true(n < most);
            ret[n++] = page.items[i].id;
        }
        if (!page.more)
            return n;
        q.has_after = true;
        q.after = page.last;
    }
}

static void every_page_size_gives_the_same_list(void **state)
{
    (void)state;
    static const uint32_t limits[] = {1, 7, 100, 299, 300, 301, 1000};
    struct bytes ids[MANY];
    remember_many();
    for (int round = 0; round < 2; round++) {
        for (size_t k = 0; k < ARRAY_LEN(limits); k++)
            for (int oldest = 0; oldest < 2; oldest++) {
                struct memory_query q = {.oldest_first = oldest};
                assert_int_equal(walk(&s.caller, q, limits[k], ids, MANY), MANY);
                for (size_t i = 0; i < MANY; i++)
                    assert_true(bytes_equal(ids[i], stored[oldest ? i : MANY - 1 - i].id));
            }
        scene_restart(&s);
    }
}

static void filters_must_all_hold(void **state)
{
    (void)state;
    struct bytes ids[MANY];
    remember_many();
    struct memory_query q = {.agent_id = BYTES_LIT("b")};
    assert_int_equal(walk(&s.caller, q, 9, ids, MANY), MANY / 3);
    q.kind = BYTES_LIT("odd");
    assert_int_equal(walk(&s.caller, q, 9, ids, MANY), MANY / 6);
    q.from_ms = stored[60].created_ms;
    q.to_ms = stored[120].created_ms;
    assert_int_equal(walk(&s.caller, q, 9, ids, MANY), 10);
    q = (struct memory_query){.from_ms = stored[5].created_ms, .to_ms = stored[8].created_ms};
    assert_int_equal(walk(&s.caller, q, 9, ids, MANY), 3);
    assert_true(bytes_equal(ids[0], stored[7].id));
    q = (struct memory_query){.agent_id = BYTES_LIT("nobody")};
    assert_int_equal(walk(&s.caller, q, 9, ids, MANY), 0);
    q = (struct memory_query){.kind = BYTES_LIT("no such")};
    assert_int_equal(walk(&s.caller, q, 9, ids, MANY), 0);
}

/* What was there before and is not touched is seen once. */
static void a_walk_survives_what_is_stored_and_deleted(void **state)
{
    (void)state;
    struct memory_query q = {0};
    size_t seen = 0, at = 0;
    remember_many();
    for (int round = 0;; round++) {
        struct memories_out page;
        assert_int_equal(TEST_CALL(s.te, &s.caller, engine_list_memories, &q, 20, &page), QMN_OK);
        for (size_t i = 0; i < page.count; i++) {
            while (!bytes_equal(page.items[i].id, stored[MANY - 1 - at].id))
                at++; /* in order, so never twice */
            seen++;
        }
        if (!page.more)
            break;
        q.has_after = true;
        q.after = page.last;
        remember(scene_memory(&s, "a", AXIS(0)));
        /* the one where the page ended, and one to come */
        assert_int_equal(
            TEST_CALL(s.te, &s.caller, engine_delete_memory, page.items[page.count - 1].id),
            QMN_OK);
        if (round < 10)
            assert_int_equal(TEST_CALL(s.te, &s.caller, engine_delete_memory, stored[round * 3].id),
                             QMN_OK);
    }
    assert_int_equal(seen, MANY - 10);
}

static void hidden_ones_change_neither_pages_nor_cursors(void **state)
{
    (void)state;
    enum { SHOWN = 40, LIMIT = 7 };
    struct caller weak = s.caller;
    struct memories_out before[SHOWN / LIMIT + 1], after;
    struct memory_query q = {0};
    size_t pages = 0;
    weak.clearance = LABEL_INTERNAL;
    scene_agent_cleared(&s, "a", AXIS(0), LABEL_SECRET);
    struct memory_in in[SHOWN];
    for (int i = 0; i < SHOWN; i++) {
        test_engine_advance(s.te, 1);
        in[i] = scene_memory(&s, "a", AXIS(0));
        stored[i] = remember(in[i]);
        if (i % 2) { /* among them */
            struct memory_in secret = scene_memory(&s, "a", AXIS(0));
            secret.sensitivity = LABEL_SECRET;
            stored[SHOWN + i] = remember(secret);
        }
    }
    for (bool more = true; more; pages++) {
        assert_int_equal(TEST_CALL(s.te, &weak, engine_list_memories, &q, LIMIT, &before[pages]),
                         QMN_OK);
        more = before[pages].more;
        q.has_after = true;
        q.after = before[pages].last;
    }
    assert_int_equal(pages, SHOWN / LIMIT + 1);
    for (int i = 1; i < SHOWN; i += 2) /* and without them */
        assert_int_equal(TEST_CALL(s.te, &s.caller, engine_delete_memory, stored[SHOWN + i].id),
                         QMN_OK);
    q = (struct memory_query){0};
    for (size_t p = 0; p < pages; p++) {
        assert_int_equal(TEST_CALL(s.te, &weak, engine_list_memories, &q, LIMIT, &after), QMN_OK);
        assert_int_equal(after.count, before[p].count);
        assert_int_equal(after.more, before[p].more);
        assert_memory_equal(&after.last, &before[p].last, sizeof after.last);
        for (size_t i = 0; i < after.count; i++)
            assert_true(bytes_equal(after.items[i].id, before[p].items[i].id));
        q.has_after = true;
        q.after = after.last;
    }
}

static void the_past_is_listed_as_it_was(void **state)
{
    (void)state;
    struct memories_out out;
    struct memory_out a = remember(scene_memory(&s, "a", AXIS(0)));
    int64_t then = engine_now(s.te->engine);
    test_engine_advance(s.te, 10);
    struct memory_in in = scene_memory(&s, "b", AXIS(1));
    in.supersedes = a.id;
    remember(in);
    struct memory_out later = remember(scene_memory(&s, "a", AXIS(2)));
    struct memory_query q = {.as_of_ms = then};
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_list_memories, &q, 10, &out), QMN_OK);
    assert_int_equal(out.count, 1);
    assert_true(bytes_equal(out.items[0].id, a.id));
    q.agent_id = BYTES_LIT("b"); /* it was a's then */
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_list_memories, &q, 10, &out), QMN_OK);
    assert_int_equal(out.count, 0);
    q = (struct memory_query){.as_of_ms = then - 1};
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_list_memories, &q, 10, &out), QMN_OK);
    assert_int_equal(out.count, 0);
    q = (struct memory_query){.as_of_ms = later.created_ms};
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_list_memories, &q, 10, &out), QMN_OK);
    assert_int_equal(out.count, 2);
}

static void a_page_ends_at_its_bytes(void **state)
{
    (void)state;
    enum { N = 100 };
    static char text[LIMIT_CONTENT_BYTES + 1];
    struct bytes ids[N];
    struct memories_out page;
    struct memory_query q = {0};
    for (int i = 0; i < N; i++) {
        struct memory_in in = scene_memory(&s, "a", AXIS(0));
        memset(text, ' ', sizeof text);
        snprintf(text, sizeof text, "{\"n\":%03d", i);
        text[8] = '}';
        in.content = bytes_of(text, LIMIT_CONTENT_BYTES);
        remember(in);
    }
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_list_memories, &q, 1000, &page), QMN_OK);
    assert_true(page.more && page.count >= 32 && page.count <= 64);
    assert_int_equal(walk(&s.caller, q, 1000, ids, N), N);
}

/* ---- export and import ---- */

static struct memory_lines take_out(const struct caller *who, bool history)
{
    struct memory_query q = {.oldest_first = true};
    struct memory_lines out;
    assert_int_equal(TEST_CALL(s.te, who, engine_export_memories, &q, 1000, history, &out), QMN_OK);
    return out;
}

static size_t put_in(const struct caller *who, const struct memory_lines *all,
                     enum memory_line_state expected)
{
    struct memory_line lines[200];
    size_t n = 0;
    for (size_t i = 0; i < all->count; i++)
        for (size_t k = 0; k < all->chunks[i].count; k++) {
            assert_true(n < ARRAY_LEN(lines));
            lines[n] = all->chunks[i].lines[k];
            if (!lines[n].m.sensitivity)
                lines[n].m.sensitivity = LABEL_INTERNAL;
            n++;
        }
    assert_int_equal(TEST_CALL(s.te, who, engine_import_memories, lines, (uint32_t)n), QMN_OK);
    for (size_t i = 0; i < n; i++)
        if (lines[i].state != expected)
            fail_msg("line %zu: %d, %s: %s", i, (int)lines[i].state, lines[i].err.field,
                     lines[i].err.text);
    return n;
}

/* Vectors that normalising once more would change. */
static void a_vector_comes_back_to_the_bit(void **state)
{
    (void)state;
    for (int i = 0; i < 60; i++) {
        struct memory_in in = scene_memory(
            &s, "a", VEC(1, 0.1f * (float)i, -0.37f, 0.011f * (float)i, 3, 1e-3f, 7, 0.5f));
        remember(in);
    }
    struct memory_lines out = take_out(&s.caller, true);
    test_tenant(s.te, "other");
    struct caller other = test_member(s.te, "other", NULL);
    assert_int_equal(put_in(&other, &out, LINE_STORED), 60);
    struct memory_lines again = take_out(&other, true);
    assert_int_equal(again.count, out.count);
    for (size_t i = 0; i < out.count; i++) {
        assert_true(bytes_equal(again.chunks[i].lines[0].m.id, out.chunks[i].lines[0].m.id));
        assert_true(bytes_equal(again.chunks[i].lines[0].vector, out.chunks[i].lines[0].vector));
    }
}

static void an_import_adds_nothing_twice(void **state)
{
    (void)state;
    struct memory_out first = remember(scene_memory(&s, "a", AXIS(0)));
    for (int i = 0; i < 5; i++) {
        struct memory_patch p = {.id = first.id, .quality = -1};
        p.content = bytes_cstr(arena_printf(&s.te->arena, "{\"v\":%d}", i));
        assert_int_equal(TEST_CALL(s.te, &s.caller, engine_update_memory, &p, &first), QMN_OK);
    }
    struct memory_in in = scene_memory(&s, "script", AXIS(1));
    in.supersedes = first.id;
    remember(in);
    remember(scene_memory(&s, "b", AXIS(2)));
    struct memory_lines out = take_out(&s.caller, true);
    struct scene_state before = scene_look(&s), after;
    assert_int_equal(put_in(&s.caller, &out, LINE_KNOWN), 8);
    after = scene_look(&s);
    assert_memory_equal(&before, &after, sizeof before);
    test_tenant(s.te, "other");
    struct caller other = test_member(s.te, "other", NULL);
    for (int round = 0; round < 2; round++) {
        (void)put_in(&other, &out, round ? LINE_KNOWN : LINE_STORED);
        const struct tenant *t = network_tenant(&s.te->engine->net, BYTES_LIT("other"));
        assert_int_equal(t->memory_count, 2);
        assert_int_equal(t->stored_bytes,
                         network_tenant(&s.te->engine->net, BYTES_LIT("acme"))->stored_bytes);
        scene_restart(&s);
    }
    struct memories_out told; /* by the id that was superseded, too */
    assert_int_equal(TEST_CALL(s.te, &other, engine_memory_history, first.id, &told), QMN_OK);
    assert_int_equal(told.count, 7);
}

static void another_tenant_lists_nothing(void **state)
{
    (void)state;
    struct memories_out page;
    struct memory_query q = {0};
    remember(scene_memory(&s, "a", AXIS(0)));
    test_tenant(s.te, "rival");
    struct caller rival = test_member(s.te, "rival", NULL);
    rival.clearance = LABEL_SECRET;
    assert_int_equal(TEST_CALL(s.te, &rival, engine_list_memories, &q, 10, &page), QMN_OK);
    assert_int_equal(page.count, 0);
    assert_false(page.more);
}

#define LIST(test) cmocka_unit_test_setup_teardown(test, stage_a_b, stage_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LIST(every_page_size_gives_the_same_list),
        LIST(filters_must_all_hold),
        LIST(a_walk_survives_what_is_stored_and_deleted),
        LIST(hidden_ones_change_neither_pages_nor_cursors),
        LIST(the_past_is_listed_as_it_was),
        LIST(a_page_ends_at_its_bytes),
        LIST(a_vector_comes_back_to_the_bit),
        LIST(an_import_adds_nothing_twice),
        LIST(another_tenant_lists_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
