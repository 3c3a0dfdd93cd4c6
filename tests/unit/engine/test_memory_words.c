/* SPDX-License-Identifier: MIT
 *
 * Searching memories by words, by words and a vector, and ordered by more than relevance. */
#include "stage.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/attr.h"
#include "base/rng.h"
#include "text/lexical.h"

static struct memory_in note(struct vec v, const char *text)
{
    struct memory_in in = scene_memory(&s, "a", v);
    in.content = bytes_cstr(arena_printf(&s.te->arena, "{\"text\":\"%s\"}", text));
    return in;
}

static struct memory_out remember(struct memory_in in)
{
    struct memory_out out;
    if (TEST_CALL(s.te, &s.caller, engine_store_memory, &in, &out) != QMN_OK)
        fail_msg("memory refused: %s", s.te->last->err.text);
    return out;
}

static struct memory_out say(struct vec v, const char *text)
{
    return remember(note(v, text));
}

static void forget(struct memory_out m)
{
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_delete_memory, m.id), QMN_OK);
}

static struct memory_search words(const char *query, uint32_t top_k)
{
    return (struct memory_search){.query = bytes_cstr(query), .mode = SEARCH_WORDS, .top_k = top_k};
}

static struct memories_out search_under(const struct caller *who, struct memory_search in,
                                        const struct memory_filter *filter)
{
    struct memories_out out;
    if (TEST_CALL(s.te, who, engine_search_memory, &in, filter, &out) != QMN_OK)
        fail_msg("search refused: %s", s.te->last->err.text);
    return out;
}

static struct memories_out search(struct memory_search in)
{
    return search_under(&s.caller, in, &scene_no_filter);
}

static bool is(const struct memory_out *found, struct memory_out m)
{
    return bytes_equal(found->id, m.id);
}

/* Two answers are one to the last bit. */
static void assert_same(struct memories_out a, struct memories_out b)
{
    assert_int_equal(a.count, b.count);
    assert_int_equal(a.candidates, b.candidates);
    for (size_t i = 0; i < a.count; i++) {
        assert_true(is(&a.items[i], b.items[i]));
        assert_memory_equal(&a.items[i].match->score, &b.items[i].match->score, sizeof(float));
        assert_memory_equal(&a.items[i].similarity, &b.items[i].similarity, sizeof(float));
    }
}

/* ---- what is found ---- */

static void names_and_codes_are_found_and_come_first(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++)
        say(VEC(1, (float)i / 1000),
            arena_printf(&s.te->arena, "connection number %d was reset", i));
    struct memory_out code = say(AXIS(3), "E_CONN_RESET: retry with backoff");
    struct memory_in in = scene_memory(&s, "a", AXIS(4));
    in.kind = BYTES_LIT("runbook");
    in.content =
        BYTES_LIT("{\"max_connections\":{\"limit\":[5432,\"\\u00fcber\"]},\"plain\":true}");
    in.metadata = BYTES_LIT("{\"owner\":\"Zdenka\"}");
    in.task_id = BYTES_LIT("OPS-77");
    struct memory_out other = remember(in);
    static const char *const queries[] = {"max_connections", "maxConnections", "5432",  "uber",
                                          "zdenka",          "runbook",        "OPS-77"};
    for (size_t i = 0; i < ARRAY_LEN(queries); i++)
        assert_true(is(&search(words(queries[i], 3)).items[0], other));
    assert_int_equal(search(words("plain", 3)).count, 0); /* the name of a field */
    assert_true(is(&search(words("econnreset", 3)).items[0], code));
    struct memory_search both = words("E_CONN_RESET", 3);
    both.vector = scene_vector(&s, AXIS(0)); /* whatever is nearest */
    both.mode = SEARCH_HYBRID;
    struct memories_out out = search(both);
    assert_true(is(&out.items[0], code));
    assert_int_equal(out.mode, SEARCH_HYBRID);
    assert_true(fabsf(out.items[0].similarity) < 1e-6F);
    assert_true(out.items[1].similarity > 0.9F);
    assert_int_equal(search_under(&s.caller, words("!?", 3), &scene_no_filter).count, 0);
}

static void words_follow_every_change(void **state)
{
    (void)state;
    struct memory_out m = say(AXIS(0), "alpha"), next;
    struct memory_patch patch = {
        .id = m.id, .quality = -1, .content = BYTES_LIT("{\"t\":\"beta\"}")};
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_update_memory, &patch, &m), QMN_OK);
    assert_int_equal(search(words("alpha", 3)).count, 0);
    assert_true(is(&search(words("beta", 3)).items[0], m));
    patch = (struct memory_patch){
        .id = m.id, .quality = -1, .embedding = scene_vector(&s, AXIS(1))}; /* another place */
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_update_memory, &patch, &m), QMN_OK);
    assert_int_equal(search(words("beta", 3)).count, 1);
    patch = (struct memory_patch){.id = m.id, .quality = 0.9, .sensitivity = LABEL_SECRET};
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_update_memory, &patch, &m), QMN_OK);
    scene_validate(&s); /* counted with its label */
    struct caller weak = s.caller;
    weak.clearance = LABEL_INTERNAL;
    assert_int_equal(search_under(&weak, words("beta", 3), &scene_no_filter).count, 0);
    assert_int_equal(search(words("beta", 3)).count, 1);
    struct memory_in in = note(AXIS(2), "gamma");
    in.supersedes = m.id;
    next = remember(in);
    scene_restart(&s);
    assert_int_equal(search(words("beta", 3)).count, 0);
    assert_true(is(&search(words("gamma", 3)).items[0], next));
    forget(next);
    assert_int_equal(search(words("gamma", 3)).count, 0);
}

/* Room is promised to each and must be there for all: words nobody has said, many at once. */
static void a_batch_of_many_words_finds_room(void **state)
{
    (void)state;
    enum { BATCH = 60, EACH = 100 };
    struct memory_in in[BATCH];
    struct memory_out out[BATCH];
    for (int i = 0; i < BATCH; i++) {
        const char *text = "";
        for (int w = 0; w < EACH; w++)
            text = arena_printf(&s.te->arena, "%s w%dx%dq", text, i, w);
        in[i] = note(VEC(1, (float)i), text);
    }
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_store_memories, in, BATCH, out), QMN_OK);
    for (int i = 0; i < BATCH; i++) {
        const char *word = arena_printf(&s.te->arena, "w%dx99q", i);
        assert_true(is(&search(words(word, 1)).items[0], out[i]));
    }
}

static void a_filter_holds_inside_the_search_by_words(void **state)
{
    (void)state;
    for (int i = 0; i < 300; i++)
        say(VEC(1, (float)i / 1000), "red red red");
    struct memory_in in = note(AXIS(1), "once red and then a long story of quite other colours");
    in.kind = BYTES_LIT("plan");
    struct memory_out plan = remember(in);
    const struct filter_value kind = {FILTER_TEXT, .text = BYTES_LIT("plan")};
    const struct memory_filter f = {
        .op = FILTER_IN, .field = FILTER_KIND, .values = &kind, .count = 1};
    struct memories_out out = search_under(&s.caller, words("red", 1), &f);
    assert_int_equal(out.count, 1);
    assert_int_equal(out.candidates, 1);
    assert_true(is(&out.items[0], plan));
    struct memory_search both = words("red", 1);
    both.mode = SEARCH_HYBRID;
    both.vector = scene_vector(&s, AXIS(0));
    out = search_under(&s.caller, both, &f);
    assert_int_equal(out.count, 1);
    assert_true(is(&out.items[0], plan));
}

/* ---- what is hidden ---- */

static struct memory_search by_all(const char *query, uint32_t top_k)
{
    struct memory_search both = words(query, top_k);
    both.mode = SEARCH_HYBRID;
    both.vector = scene_vector(&s, VEC(1, 0.5F));
    return both;
}

static void hidden_memories_change_no_bit_of_an_answer(void **state)
{
    (void)state;
    struct caller weak = s.caller;
    weak.clearance = LABEL_INTERNAL;
    scene_agent_cleared(&s, "a", AXIS(0), LABEL_SECRET);
    for (int i = 0; i < 30; i++)
        say(VEC(1, (float)(i % 5), 0, (float)i / 100),
            i % 3 ? "red fish swims" : "blue bird and red bird");
    struct memories_out by_words = search_under(&weak, words("red bird", 20), &scene_no_filter);
    struct memories_out by_both = search_under(&weak, by_all("red bird", 20), &scene_no_filter);
    for (int i = 0; i < 60; i++) {
        struct memory_in in = note(VEC(1, 0.5F), "bird bird bird and other things in long lines");
        in.sensitivity = i % 2 ? LABEL_SECRET : LABEL_INTERNAL;
        in.ttl_hours = i % 2 ? 0 : 1; /* the others have ended, and may still be there */
        remember(in);
    }
    test_engine_advance(s.te, 3600 * 1000);
    assert_same(search_under(&weak, words("red bird", 20), &scene_no_filter), by_words);
    assert_same(search_under(&weak, by_all("red bird", 20), &scene_no_filter), by_both);
    assert_int_equal(by_words.count, 20);
}

/* What was deleted leaves a place that a later one takes. */
static void equal_ones_are_ordered_by_age_whatever_their_places(void **state)
{
    (void)state;
    enum { EACH = 4 };
    struct memory_out first[EACH], second[EACH];
    for (int i = 0; i < EACH; i++)
        first[i] = say(AXIS(0), arena_printf(&s.te->arena, "same words %d", i));
    for (int i = 0; i < EACH; i++)
        second[i] = say(AXIS(0), arena_printf(&s.te->arena, "same words %d", EACH + i));
    for (int i = 0; i < EACH; i++)
        forget(first[i]);
    for (int i = 0; i < EACH; i++)
        say(AXIS(0), arena_printf(&s.te->arena, "same words %d", 2 * EACH + i));
    struct memory_search vector = {.vector = scene_vector(&s, AXIS(0)), .top_k = 2};
    struct memory_search both = words("same words", 2);
    both.mode = SEARCH_HYBRID;
    both.vector = vector.vector;
    const struct memory_search all[] = {vector, words("same words", 2), both};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        struct memories_out out = search(all[i]);
        assert_int_equal(out.count, 2);
        assert_true(is(&out.items[0], second[0]));
        assert_true(is(&out.items[1], second[1]));
    }
}

/* ---- against a scan ---- */

enum { DOCS = 400, VOCABULARY = 30, WORDS_MAX = 12 };

struct plain {
    bool used;
    uint32_t sensitivity, len;
    uint8_t words[WORDS_MAX];
    struct memory_out m;
    int64_t born; /* the oldest first */
};

static struct plain docs[DOCS];

static const char *word_text(unsigned word)
{
    return arena_printf(&s.te->arena, "x%c%cq", 'a' + word % 6, 'a' + word / 6);
}

static const char *plain_text(const uint8_t *list, uint32_t len)
{
    const char *text = "";
    for (uint32_t i = 0; i < len; i++)
        text = arena_printf(&s.te->arena, "%s %s", text, word_text(list[i]));
    return text;
}

static uint32_t count_of(const struct plain *d, uint8_t word)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < d->len; i++)
        n += d->words[i] == word;
    return n;
}

static void put_plain(struct rng *rng, struct plain *d, int64_t born)
{
    d->len = (uint32_t)rng_below(rng, WORDS_MAX);
    for (uint32_t i = 0; i < d->len; i++)
        d->words[i] = (uint8_t)(pow(VOCABULARY, rng_unit(rng)) - 1);
    struct memory_in in = note(VEC(1, (float)born), plain_text(d->words, d->len));
    in.metadata = bytes_cstr(arena_printf(&s.te->arena, "{\"n\":%lld.5}", (long long)born));
    in.quality = rng_unit(rng);
    in.sensitivity = d->sensitivity = LABEL_PUBLIC + (uint32_t)rng_below(rng, 4);
    d->m = remember(in);
    d->used = true;
    d->born = born;
}

/* The textbook formula over what such a clearance may see; a document has its kind, too. */
static double plain_score(const struct plain *d, const uint8_t *query, uint32_t len,
                          uint32_t clearance)
{
    double n = 0, total = 0, score = 0;
    for (int i = 0; i < DOCS; i++)
        if (docs[i].used && docs[i].sensitivity <= clearance) {
            n++;
            total += docs[i].len + 1;
        }
    for (uint32_t w = 0; w < len; w++) {
        double with = 0, tf = count_of(d, query[w]);
        for (int i = 0; i < DOCS; i++)
            with +=
                docs[i].used && docs[i].sensitivity <= clearance && count_of(&docs[i], query[w]);
        double norm = 1 - LEXICAL_B + LEXICAL_B * (d->len + 1) / (total / n);
        score += log(1 + (n - with + 0.5) / (with + 0.5)) * tf * (LEXICAL_K1 + 1) /
                 (tf + LEXICAL_K1 * norm);
    }
    return score;
}

static void check_query(struct rng *rng)
{
    uint8_t query[3];
    uint32_t clearance = LABEL_PUBLIC + (uint32_t)rng_below(rng, 4), k = 1 + rng_below(rng, 30);
    struct caller who = s.caller;
    who.clearance = clearance;
    for (size_t i = 0; i < sizeof query; i++)
        query[i] = (uint8_t)rng_below(rng, VOCABULARY);
    struct memory_search in = words(plain_text(query, sizeof query), k);
    struct memories_out out = search_under(&who, in, &scene_no_filter);
    size_t matching = 0;
    double last = out.count ? (double)out.items[out.count - 1].match->score : 0;
    for (int i = 0; i < DOCS; i++) {
        if (!docs[i].used || docs[i].sensitivity > clearance)
            continue;
        double score = plain_score(&docs[i], query, sizeof query, clearance);
        bool found = false;
        matching += score > 0;
        for (size_t r = 0; r < out.count; r++) {
            if (!is(&out.items[r], docs[i].m))
                continue;
            found = true;
            assert_true(fabs((double)out.items[r].match->score - score) < 1e-5 * score);
        }
        assert_true(found || out.count < k ? found == (score > 0) : score < last + 1e-5 * last);
    }
    assert_int_equal(out.count, matching < k ? matching : k);
}

static void search_by_words_equals_a_scan(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 21);
    memset(docs, 0, sizeof docs);
    scene_agent_cleared(&s, "a", AXIS(0), LABEL_SECRET);
    for (int step = 0; step < 900; step++) {
        struct plain *d = &docs[rng_below(&rng, DOCS)];
        if (d->used)
            forget(d->m);
        d->used = false;
        if (rng_below(&rng, 4))
            put_plain(&rng, d, step);
        if (step % 90 == 89)
            for (int q = 0; q < 4; q++)
                check_query(&rng);
        if (step == 500)
            scene_restart(&s);
    }
}

/* ---- modes ---- */

static void mode_and_input(struct memory_search in, const char *field, uint32_t mode)
{
    struct memories_out out;
    in.top_k = 3;
    enum qmn_code code =
        TEST_CALL(s.te, &s.caller, engine_search_memory, &in, &scene_no_filter, &out);
    assert_int_equal(code, field ? QMN_E_INVALID : QMN_OK);
    if (field)
        assert_string_equal(s.te->last->err.field, field);
    else
        assert_int_equal(out.mode, mode);
}

static void a_mode_that_lacks_its_input_is_refused(void **state)
{
    (void)state;
    struct vector_in v = scene_vector(&s, AXIS(0));
    struct bytes q = BYTES_LIT("words");
    say(AXIS(0), "words"); /* its vectors are the client's own */
    mode_and_input((struct memory_search){.vector = v}, NULL, SEARCH_VECTOR);
    mode_and_input((struct memory_search){.query = q}, NULL, SEARCH_WORDS);
    mode_and_input((struct memory_search){.vector = v, .query = q}, NULL, SEARCH_HYBRID);
    mode_and_input((struct memory_search){.vector = v, .query = q, .mode = SEARCH_VECTOR}, NULL,
                   SEARCH_VECTOR);
    mode_and_input((struct memory_search){0}, "embedding", 0);
    mode_and_input((struct memory_search){.vector = v, .mode = SEARCH_WORDS}, "query", 0);
    mode_and_input((struct memory_search){.vector = v, .mode = SEARCH_HYBRID}, "query", 0);
    mode_and_input((struct memory_search){.query = q, .mode = SEARCH_HYBRID}, "embedding", 0);
    mode_and_input((struct memory_search){.query = q, .mode = SEARCH_VECTOR}, "embedding", 0);
}

/* ---- order and explanation ---- */

static void ranking_weighs_quality_and_age(void **state)
{
    (void)state;
    struct memory_in in = note(VEC(1, 0.1F), "old and good");
    in.quality = 1;
    struct memory_out old = remember(in);
    test_engine_advance(s.te, 10 * 3600 * 1000);
    in = note(AXIS(0), "young and bad");
    in.quality = 0.2;
    struct memory_out young = remember(in);
    struct memory_search q = {.vector = scene_vector(&s, AXIS(0)), .top_k = 1};
    assert_true(is(&search(q).items[0], young));
    q.ranking.quality_weight = 0.5;
    struct memories_out out = search(q);
    assert_true(is(&out.items[0], old)); /* nearer or not: it comes from the pool */
    assert_true(fabsf(out.items[0].match->score - out.items[0].similarity) < 1e-6F);
    q.ranking.recency_weight = 1;
    q.ranking.half_life_ms = 3600 * 1000;
    out = search(q);
    assert_true(is(&out.items[0], young));
    assert_true(fabs(out.items[0].match->factors.quality - 0.6) < 1e-9);
    assert_true(fabs((double)out.items[0].match->score - 0.6) < 1e-6);
}

static void an_explanation_names_the_words_and_adds_up(void **state)
{
    (void)state;
    say(AXIS(0), "far away");
    struct memory_out m = say(AXIS(1), "Retry the deploys: retry, retry");
    struct memory_search q = by_all("how to retry deploy_all deploys", 3);
    q.explain = true;
    struct memories_out out = search(q);
    assert_true(is(&out.items[0], m));
    const struct memory_match *k = out.items[0].match;
    float sum = 0;
    for (size_t i = 0; i < k->term_count; i++)
        sum += k->terms[i].score;
    assert_int_equal(k->term_count, 2);
    assert_bytes_equal(k->terms[0].word, "deploy"); /* twice in the query */
    assert_bytes_equal(k->terms[1].word, "retry");
    assert_true(fabsf(sum - k->words_score) < 1e-5F);
    assert_int_equal(k->words_rank, 1);
    assert_int_equal(k->vector_rank, 2);
    assert_true(k->compared && k->score == k->relevance);
    k = out.items[1].match;
    assert_int_equal(k->words_rank, 0);
    assert_int_equal(k->term_count, 0);
    assert_true(k->words_score == 0);
}

#define A(test) cmocka_unit_test_setup_teardown(test, stage_a, stage_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        A(names_and_codes_are_found_and_come_first),
        A(words_follow_every_change),
        A(a_batch_of_many_words_finds_room),
        A(a_filter_holds_inside_the_search_by_words),
        A(hidden_memories_change_no_bit_of_an_answer),
        A(equal_ones_are_ordered_by_age_whatever_their_places),
        A(search_by_words_equals_a_scan),
        A(a_mode_that_lacks_its_input_is_refused),
        A(ranking_weighs_quality_and_age),
        A(an_explanation_names_the_words_and_adds_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
