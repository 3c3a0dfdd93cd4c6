/* SPDX-License-Identifier: MIT
 *
 * The inverted index against a scan of documents kept as plain lists of words. */
#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "base/mem.h"
#include "base/rng.h"
#include "support/fault.h"
#include "text/lexical.h"

enum {
    SLOTS = 3000,
    VOCABULARY = 400,
    WORDS_MAX = 60,
    ALL = (1 << LEXICAL_CLASSES) - 1,
    K_MAX = 40,
    TEXT_MAX = 8 * 2 * WORDS_MAX,
};

struct plain_doc {
    bool used;
    uint32_t class, len;
    uint16_t words[2 * WORDS_MAX];
};

struct world {
    struct lexical index;
    struct arena arena;
    struct rng rng;
    struct plain_doc *docs; /* [SLOTS] */
};

static void world_begin(struct world *w, uint64_t seed)
{
    lexical_init(&w->index);
    arena_init(&w->arena, 0);
    rng_seed(&w->rng, seed);
    w->docs = calloc(SLOTS, sizeof *w->docs);
    assert_non_null(w->docs);
}

static void world_end(struct world *w)
{
    lexical_release(&w->index);
    arena_release(&w->arena);
    free(w->docs);
}

/* Common words are far more common, as in texts. */
static uint16_t random_word(struct rng *rng)
{
    double u = rng_unit(rng);
    return (uint16_t)(pow(VOCABULARY, u) - 1);
}

static struct plain_doc random_doc(struct rng *rng, uint32_t class, uint32_t len_max)
{
    struct plain_doc d = {.used = true, .class = class};
    d.len = (uint32_t)rng_below(rng, len_max + 1);
    for (uint32_t i = 0; i < d.len; i++)
        d.words[i] = random_word(rng);
    return d;
}

static struct bytes doc_text(const struct plain_doc *d, char text[TEXT_MAX])
{
    size_t at = 0;
    for (uint32_t i = 0; i < d->len; i++) {
        /* letters only, no plural and nothing common, so that a word is one like any other */
        unsigned word = d->words[i];
        text[at++] = 'x';
        for (unsigned n = word + 1; n; n /= 18)
            text[at++] = (char)('a' + n % 18);
        text[at++] = ' ';
    }
    return bytes_of(text, at);
}

static struct lexical_doc read_doc(const struct lexical *x, const struct plain_doc *d)
{
    char text[TEXT_MAX];
    struct bytes b = doc_text(d, text);
    struct lexical_doc doc;
    struct err err = {0};
    assert_int_equal(lexical_doc_read(x->seed, &b, 1, &doc, &err), QMN_OK);
    return doc;
}

static void put_index(struct lexical *x, uint32_t slot, const struct plain_doc *d)
{
    struct lexical_doc doc = read_doc(x, d);
    assert_int_equal(doc.words, d->len);
    assert_true(lexical_reserve(x, slot + 1, doc.len));
    lexical_add(x, slot, d->class, &doc);
}

static void world_put(struct world *w, uint32_t slot, struct plain_doc d)
{
    if (w->docs[slot].used)
        lexical_remove(&w->index, slot);
    put_index(&w->index, slot, &d);
    w->docs[slot] = d;
}

static void world_remove(struct world *w, uint32_t slot)
{
    lexical_remove(&w->index, slot);
    w->docs[slot].used = false;
}

/* ---- the oracle ---- */

static uint32_t count_in(const struct plain_doc *d, uint16_t word)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < d->len; i++)
        n += d->words[i] == word;
    return n;
}

struct oracle {
    double docs, words, with[VOCABULARY];
};

static bool is_seen(const struct plain_doc *d, uint32_t classes)
{
    return d->used && (classes >> d->class & 1);
}

static void oracle_count(const struct world *w, uint32_t classes, struct oracle *ret)
{
    *ret = (struct oracle){0};
    for (uint32_t s = 0; s < SLOTS; s++) {
        const struct plain_doc *d = &w->docs[s];
        if (!is_seen(d, classes))
            continue;
        ret->docs++;
        ret->words += d->len;
        for (uint16_t v = 0; v < VOCABULARY; v++)
            ret->with[v] += count_in(d, v) > 0;
    }
}

/* The textbook formula. */
static double oracle_score(const struct oracle *o, const struct plain_doc *d,
                           const struct plain_doc *query)
{
    double score = 0;
    for (uint32_t i = 0; i < query->len; i++) {
        double n = o->with[query->words[i]], tf = count_in(d, query->words[i]);
        double idf = log(1 + (o->docs - n + 0.5) / (n + 0.5));
        double norm = 1 - LEXICAL_B + LEXICAL_B * d->len / (o->words / o->docs);
        if (tf > 0)
            score += idf * tf * (LEXICAL_K1 + 1) / (tf + LEXICAL_K1 * norm);
    }
    return score;
}

static const uint64_t *odd_only(void)
{
    static uint64_t bits[SLOTS / 64 + 1];
    memset(bits, 0xaa, sizeof bits);
    return bits;
}

static size_t ask(struct lexical *x, const struct plain_doc *query, uint32_t classes,
                  const uint64_t *permit, size_t k, struct arena *arena, struct topk_item *ret)
{
    struct lexical_doc doc = read_doc(x, query);
    struct lexical_query q;
    lexical_query_init(&q, x, &doc, &(struct lexical_filter){.classes = classes, .permit = permit});
    size_t count;
    assert_true(lexical_best(&q, k, arena, ret, &count));
    lexical_doc_release(&doc);
    return count;
}

/* The answer is the exact one: each score that of the formula to float rounding, the order that of
 * the scores with ties by slot, and what was left out no better than the last. */
static void check_query(struct world *w, const struct plain_doc *query, uint32_t classes,
                        const uint64_t *permit, size_t k)
{
    struct topk_item got[K_MAX], want[K_MAX];
    size_t count = ask(&w->index, query, classes, permit, k, &w->arena, got);
    struct lexical_doc doc = read_doc(&w->index, query);
    struct lexical_query q;
    lexical_query_init(&q, &w->index, &doc,
                       &(struct lexical_filter){.classes = classes, .permit = permit});
    struct oracle o;
    oracle_count(w, classes, &o);
    struct topk all;
    topk_init(&all, want, k);
    for (uint32_t s = 0; s < SLOTS; s++) {
        float score = lexical_score(&q, s, NULL);
        double exact = is_seen(&w->docs[s], classes) ? oracle_score(&o, &w->docs[s], query) : 0;
        assert_true(fabs(score - exact) <= 1e-6 * exact);
        if (score > 0 && (!permit || s % 2))
            topk_offer(&all, score, s);
    }
    assert_int_equal(count, topk_sort(&all));
    if (count)
        assert_memory_equal(got, want, count * sizeof *got);
    lexical_doc_release(&doc);
    arena_reset(&w->arena);
}

static void check_queries(struct world *w, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct plain_doc query = random_doc(&w->rng, 0, i % 5 ? 6 : 40);
        check_query(w, &query, i % 3 ? ALL : 1u << rng_below(&w->rng, LEXICAL_CLASSES),
                    i % 4 ? NULL : odd_only(), 1 + rng_below(&w->rng, K_MAX));
    }
}

/* ---- tests ---- */

static void the_best_are_those_of_the_formula(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w, 1);
    for (uint32_t s = 0; s < SLOTS; s++)
        world_put(&w, s, random_doc(&w.rng, s % LEXICAL_CLASSES, WORDS_MAX));
    assert_true(lexical_validate(&w.index));
    check_queries(&w, 60);
    world_end(&w);
}

static void churn_leaves_what_a_new_index_would_have(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w, 2);
    for (unsigned step = 0; step < 30000; step++) {
        /* the number of documents swells and shrinks */
        bool grows = step / 6000 % 2 == 0;
        uint32_t slot = (uint32_t)rng_below(&w.rng, SLOTS);
        uint32_t class = (uint32_t)rng_below(&w.rng, LEXICAL_CLASSES);
        if (grows || !w.docs[slot].used)
            world_put(&w, slot, random_doc(&w.rng, class, 20));
        else
            world_remove(&w, slot);
        if (step % 1000 == 999) {
            assert_true(lexical_validate(&w.index));
            check_queries(&w, 4);
        }
    }
    for (uint32_t s = 0; s < SLOTS; s++)
        if (w.docs[s].used)
            world_remove(&w, s);
    assert_true(lexical_validate(&w.index));
    assert_int_equal(w.index.postings, 0);
    assert_int_equal(w.index.terms_live, 0);
    assert_int_equal(w.index.pool_live, 0);
    assert_int_equal(w.index.block_bytes + w.index.forward_bytes, 0);
    world_end(&w);
}

static void slots_in_any_order_make_no_difference(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w, 3);
    for (uint32_t i = 0; i < SLOTS; i++)
        world_put(&w, (i * 1777 + 5) % SLOTS, random_doc(&w.rng, i % LEXICAL_CLASSES, WORDS_MAX));
    assert_true(lexical_validate(&w.index));
    check_queries(&w, 40);
    world_end(&w);
}

/* More words than a query keeps, many of them as rare as each other. */
static struct plain_doc long_query(struct rng *rng)
{
    struct plain_doc d = {.len = 2 * WORDS_MAX};
    uint32_t start = rng_below(rng, VOCABULARY);
    for (uint32_t i = 0; i < d.len; i++)
        d.words[i] = (uint16_t)((start + 7 * i) % VOCABULARY);
    return d;
}

/* The seeds of the two differ, so nothing of the hidden ones can hide in hashes either. */
static void hidden_documents_change_no_bit_of_an_answer(void **state)
{
    (void)state;
    struct world w;
    struct lexical alone;
    world_begin(&w, 4);
    lexical_init(&alone);
    for (unsigned round = 0; round < 20; round++) {
        for (unsigned i = 0; i < 300; i++) {
            uint32_t slot = (uint32_t)rng_below(&w.rng, SLOTS);
            uint32_t class = (uint32_t)rng_below(&w.rng, LEXICAL_CLASSES);
            if (w.docs[slot].used && w.docs[slot].class <= 1)
                lexical_remove(&alone, slot);
            /* the hidden ones are longer and say other words more often */
            world_put(&w, slot, random_doc(&w.rng, class, class <= 1 ? 20 : WORDS_MAX));
            if (class <= 1)
                put_index(&alone, slot, &w.docs[slot]);
        }
        for (unsigned i = 0; i < 20; i++) {
            struct topk_item with[K_MAX], without[K_MAX];
            struct plain_doc query = i % 5 ? random_doc(&w.rng, 0, 8) : long_query(&w.rng);
            size_t k = 1 + rng_below(&w.rng, K_MAX);
            const uint64_t *permit = i % 2 ? odd_only() : NULL;
            size_t count = ask(&w.index, &query, 3, permit, k, &w.arena, with);
            assert_int_equal(ask(&alone, &query, 3, permit, k, &w.arena, without), count);
            if (count)
                assert_memory_equal(with, without, count * sizeof *with);
            arena_reset(&w.arena);
        }
    }
    lexical_release(&alone);
    world_end(&w);
}

/* As if they had been removed, to the last bit. */
static void absent_documents_change_no_bit_of_an_answer(void **state)
{
    (void)state;
    struct world w;
    uint32_t absent[SLOTS], count = 0;
    uint64_t rest[SLOTS / 64 + 1];
    memset(rest, 0xff, sizeof rest);
    world_begin(&w, 14);
    for (uint32_t s = 0; s < SLOTS / 2; s++) {
        world_put(&w, s, random_doc(&w.rng, s % LEXICAL_CLASSES, WORDS_MAX));
        if (s % 9 == 0) {
            absent[count++] = s;
            rest[s / 64] &= ~(UINT64_C(1) << s % 64);
        }
    }
    struct lexical_filter filter = {
        .classes = 3, .permit = rest, .absent = absent, .absent_count = count};
    struct topk_item with[20][K_MAX], without[K_MAX];
    struct plain_doc queries[20];
    size_t counts[20];
    for (unsigned i = 0; i < 20; i++) {
        queries[i] = random_doc(&w.rng, 0, 8);
        struct lexical_doc doc = read_doc(&w.index, &queries[i]);
        struct lexical_query q;
        lexical_query_init(&q, &w.index, &doc, &filter);
        assert_true(lexical_best(&q, K_MAX, &w.arena, with[i], &counts[i]));
        lexical_doc_release(&doc);
    }
    for (uint32_t i = 0; i < count; i++)
        world_remove(&w, absent[i]);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(ask(&w.index, &queries[i], 3, NULL, K_MAX, &w.arena, without), counts[i]);
        if (counts[i])
            assert_memory_equal(with[i], without, counts[i] * sizeof *without);
    }
    world_end(&w);
}

static void of_equal_ones_the_lower_slots_win(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w, 5);
    struct plain_doc d = {.used = true, .len = 2, .words = {7, 9}};
    for (uint32_t i = 0; i < 1000; i++)
        world_put(&w, (i * 7 + 3) % 1000, d);
    struct topk_item got[10];
    assert_int_equal(ask(&w.index, &d, ALL, NULL, 10, &w.arena, got), 10);
    for (uint32_t i = 0; i < 10; i++)
        assert_int_equal(got[i].id, i);
    world_end(&w);
}

static void nothing_is_found_where_nothing_is_permitted(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w, 6);
    struct plain_doc d = {.used = true, .class = 2, .len = 1, .words = {7}}, none = {.used = true};
    struct topk_item got[1];
    assert_int_equal(ask(&w.index, &d, ALL, NULL, 1, &w.arena, got), 0);
    world_put(&w, 5, d);
    world_put(&w, 6, none);
    assert_true(lexical_has(&w.index, 6));
    assert_int_equal(ask(&w.index, &d, 3, NULL, 1, &w.arena, got), 0);
    assert_int_equal(ask(&w.index, &d, 0, NULL, 1, &w.arena, got), 0);
    assert_int_equal(ask(&w.index, &none, ALL, NULL, 1, &w.arena, got), 0);
    assert_int_equal(ask(&w.index, &d, 4, NULL, 0, &w.arena, got), 0);
    assert_int_equal(ask(&w.index, &d, 4, NULL, 1, &w.arena, got), 1);
    assert_int_equal(got[0].id, 5);
    world_end(&w);
}

static void parts_of_a_score_add_up_and_name_their_words(void **state)
{
    (void)state;
    struct lexical x;
    lexical_init(&x);
    struct bytes text = bytes_cstr("the parser fails with ECONNREFUSED"),
                 query = bytes_cstr("fails fails nowhere the E_CONN_REFUSED");
    struct lexical_doc doc, asked;
    assert_int_equal(lexical_doc_read(x.seed, &text, 1, &doc, NULL), QMN_OK);
    assert_int_equal(lexical_doc_read(x.seed, &query, 1, &asked, NULL), QMN_OK);
    assert_true(lexical_reserve(&x, 1, doc.len));
    lexical_add(&x, 0, 0, &doc);
    struct lexical_query q;
    lexical_query_init(&q, &x, &asked, &(struct lexical_filter){.classes = 1});
    float parts[LEXICAL_QUERY_WORDS];
    assert_int_equal(q.len, 3);
    float score = lexical_score(&q, 0, parts);
    assert_int_equal(q.words[0].first, 0); /* asked for twice */
    assert_true(fabsf(parts[0] - 2 * parts[1]) < 1e-6f);
    assert_int_equal(q.words[2].first, 3); /* a common word weighs half */
    assert_true(fabsf(parts[1] - 2 * parts[2]) < 1e-6f);
    assert_true(fabsf(parts[0] + parts[1] + parts[2] - score) < 1e-6f);
    lexical_doc_release(&asked);
    lexical_release(&x);
}

static void a_document_has_a_bounded_number_of_words(void **state)
{
    (void)state;
    const size_t len = 2 * ((size_t)LEXICAL_DOC_WORDS + 10);
    char *text = malloc(len);
    assert_non_null(text);
    memset(text, ' ', len);
    for (size_t i = 0; i < len; i += 2)
        text[i] = 'a';
    struct bytes texts[] = {bytes_of(text, len), bytes_cstr("never")};
    struct lexical x;
    lexical_init(&x);
    struct lexical_doc doc;
    assert_int_equal(lexical_doc_read(x.seed, texts, 2, &doc, NULL), QMN_OK);
    assert_int_equal(doc.words, LEXICAL_DOC_WORDS);
    assert_int_equal(doc.len, 1);
    /* all of them one word */
    assert_true(lexical_reserve(&x, 1, doc.len));
    lexical_add(&x, 0, 0, &doc);
    assert_true(lexical_validate(&x));
    lexical_remove(&x, 0);
    lexical_release(&x);
    free(text);
}

/* Whatever fails before, a reserve that succeeded is kept; merges that find no memory wait. */
static void after_a_reserve_an_add_needs_no_memory(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w, 7);
    for (unsigned round = 0; round < 12; round++) {
        struct lexical_doc docs[100];
        size_t words = 0;
        for (uint32_t i = 0; i < 100; i++) {
            w.docs[100 * round + i] = random_doc(&w.rng, i % LEXICAL_CLASSES, WORDS_MAX);
            docs[i] = read_doc(&w.index, &w.docs[100 * round + i]);
            words += docs[i].len;
        }
        assert_true(lexical_reserve(&w.index, 100 * round + 100, words));
        assert_true(lexical_has_room(&w.index, 100 * round + 100, words));
        fault_arm_from(round % 3 ? 1 : 1000000);
        for (uint32_t i = 0; i < 100; i++)
            lexical_add(&w.index, 100 * round + i, i % LEXICAL_CLASSES, &docs[i]);
        for (uint32_t i = 0; i < 30; i++)
            world_remove(&w, 100 * round + 3 * i);
        fault_disarm();
        assert_true(lexical_validate(&w.index));
        check_queries(&w, 6);
    }
    world_end(&w);
}

static void running_out_of_memory_changes_nothing(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w, 8);
    for (uint32_t s = 0; s < 600; s++)
        world_put(&w, s, random_doc(&w.rng, s % LEXICAL_CLASSES, WORDS_MAX));
    struct plain_doc d = random_doc(&w.rng, 0, WORDS_MAX);
    d.len = d.len < 4 ? 4 : d.len;
    char text[TEXT_MAX];
    struct bytes b = doc_text(&d, text);
    struct topk_item want[K_MAX], got[K_MAX];
    size_t wanted = ask(&w.index, &d, ALL, NULL, K_MAX, &w.arena, want);
    for (unsigned n = 1, failed = 1; failed; n++) {
        arena_release(&w.arena);
        fault_arm(n);
        struct lexical_doc doc;
        size_t count;
        if (lexical_doc_read(w.index.seed, &b, 1, &doc, NULL) == QMN_OK) {
            struct lexical_query q;
            lexical_query_init(&q, &w.index, &doc, &(struct lexical_filter){.classes = ALL});
            if (lexical_best(&q, K_MAX, &w.arena, got, &count)) {
                assert_int_equal(count, wanted);
                assert_memory_equal(got, want, count * sizeof *got);
            }
            if (lexical_reserve(&w.index, 2 * SLOTS, 100000))
                assert_true(w.index.term_cap >= 100000 && w.index.pool_cap >= 100000);
            lexical_doc_release(&doc);
        }
        failed = fault_disarm();
        assert_true(lexical_validate(&w.index));
    }
    check_queries(&w, 10);
    world_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_are_those_of_the_formula),
        cmocka_unit_test(churn_leaves_what_a_new_index_would_have),
        cmocka_unit_test(slots_in_any_order_make_no_difference),
        cmocka_unit_test(hidden_documents_change_no_bit_of_an_answer),
        cmocka_unit_test(absent_documents_change_no_bit_of_an_answer),
        cmocka_unit_test(of_equal_ones_the_lower_slots_win),
        cmocka_unit_test(nothing_is_found_where_nothing_is_permitted),
        cmocka_unit_test(parts_of_a_score_add_up_and_name_their_words),
        cmocka_unit_test(a_document_has_a_bounded_number_of_words),
        cmocka_unit_test(after_a_reserve_an_add_needs_no_memory),
        cmocka_unit_test(running_out_of_memory_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
