/* SPDX-License-Identifier: MIT
 *
 * What one call may cost while others wait, counted in work, not in time. */
#include "scene.h"

#include <stdio.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_broadcast_compares_no_more_tags_than_its_share),
        cmocka_unit_test(what_one_look_leaves_the_next_compares_once),
        cmocka_unit_test(tags_made_while_a_look_is_under_way_are_found_once),
        cmocka_unit_test(length_alone_rules_a_tag_out_for_nothing),
        cmocka_unit_test(the_same_tag_comes_first_however_many_are_similar),
        cmocka_unit_test(beyond_the_fuzzy_ones_a_tag_is_found_by_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
