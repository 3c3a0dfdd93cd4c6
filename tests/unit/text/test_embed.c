/* SPDX-License-Identifier: MIT */
#include "support/test.h"

#include <math.h>
#include <string.h>

#include "base/attr.h"
#include "base/limits.h"
#include "base/mem.h"
#include "math/vector.h"
#include "support/fault.h"
#include "text/embed.h"

enum { DIM = 1536 };

static void embed(const char *text, float *ret)
{
    struct err err = {0};
    assert_int_equal(text_embed(bytes_cstr(text), DIM, ret, &err), QMN_OK);
}

static float similarity(const char *a, const char *b)
{
    static float x[DIM], y[DIM];
    embed(a, x);
    embed(b, y);
    return vector_cosine(x, y, DIM);
}

static const char golden_text[] =
    "The quick brown fox jumps over the lazy dog; HTTPServer.start() failed with E1234 in "
    "snake_case and again, again the fox.";

/* From an independent implementation (Python) of the definition in embed.c.  If one of these
 * changes, stored vectors no longer match new ones: TEXT_SPACE_VERSION must change with it. */
static void the_space_gives_these_values_everywhere(void **state)
{
    (void)state;
    assert_int_equal(TEXT_SPACE_VERSION, 1);
    const struct {
        uint32_t dim;
        uint64_t hash;
    } golden[] = {{2, 0x85cc21d2cc632c15u},
                  {8, 0xc0e43ee5bfad1568u},
                  {256, 0xbc362a6248197cd9u},
                  {1536, 0xa26e37c442db8b79u},
                  {4096, 0xcbd2183f38a88e16u}};
    static float v[LIMIT_DIM_MAX];
    for (size_t i = 0; i < ARRAY_LEN(golden); i++) {
        struct err err;
        assert_int_equal(text_embed(bytes_cstr(golden_text), golden[i].dim, v, &err), QMN_OK);
        uint64_t hash = 0xcbf29ce484222325u;
        for (uint32_t j = 0; j < golden[i].dim; j++) {
            uint32_t bits;
            memcpy(&bits, &v[j], sizeof bits);
            hash = (hash ^ bits) * 0x100000001b3u;
        }
        assert_int_equal(hash, golden[i].hash);
    }
    const float eight[] = {-0x1.fdf1fc0000000p-2f, -0x1.8c0c4a0000000p-2f, 0x1.9aaad60000000p-2f,
                           0x1.1e41fc0000000p-2f,  -0x1.147a420000000p-1f, -0x1.e476500000000p-8f,
                           -0x1.11024e0000000p-2f, -0x1.b214ea0000000p-6f};
    struct err err;
    assert_int_equal(text_embed(bytes_cstr(golden_text), 8, v, &err), QMN_OK);
    for (size_t i = 0; i < 8; i++)
        assert_true(v[i] == eight[i]);
}

static void every_dimension_gives_a_unit_vector(void **state)
{
    (void)state;
    const char *texts[] = {"a", "ab", "1", "hello", golden_text, "漢字かな", "здравствуй мир"};
    static float v[LIMIT_DIM_MAX];
    for (size_t t = 0; t < ARRAY_LEN(texts); t++)
        for (uint32_t dim = LIMIT_DIM_MIN; dim <= LIMIT_DIM_MAX; dim += dim < 40 ? 1 : dim / 3) {
            struct err err;
            assert_int_equal(text_embed(bytes_cstr(texts[t]), dim, v, &err), QMN_OK);
            assert_true(fabs(vector_norm(v, dim) - 1) < 1e-6);
        }
}

/* In two dimensions the features of some words of three letters add up to exactly nothing; they
 * still need a direction.  (Those of one or two letters never do.) */
static void features_that_cancel_leave_a_unit_vector(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 26 * 26 * 26; n++) {
        const char word[] = {(char)('a' + n % 26), (char)('a' + n / 26 % 26),
                             (char)('a' + n / 676)};
        float v[2];
        struct err err;
        assert_int_equal(text_embed(bytes_of(word, sizeof word), 2, v, &err), QMN_OK);
        assert_true(fabs(vector_norm(v, 2) - 1) < 1e-6);
    }
}

static void texts_on_one_subject_are_nearer_than_unrelated_ones(void **state)
{
    (void)state;
    const char *groups[][3] = {
        {"how do I transfer money to my savings account",
         "transfer fifty dollars from checking to savings",
         "move money from my account to savings"},
        {"what is the weather forecast for tomorrow", "will it rain tomorrow, check the weather",
         "weather report for the weekend"},
        {"the database connection pool is exhausted under load",
         "postgres connection pool exhausted, raise the pool size",
         "tuning the size of the connection pool of a database"},
        {"book a flight from Berlin to Lisbon", "cheapest flights to Lisbon in May",
         "change my flight booking"},
    };
    for (size_t g = 0; g < ARRAY_LEN(groups); g++)
        for (size_t i = 0; i < 3; i++)
            for (size_t j = 0; j < 3; j++)
                for (size_t other = 0; other < ARRAY_LEN(groups); other++)
                    for (size_t k = 0; k < 3; k++)
                        if (other != g && i != j)
                            assert_true(similarity(groups[g][i], groups[g][j]) >
                                        similarity(groups[g][i], groups[other][k]));
}

static void unrelated_texts_are_nearly_orthogonal(void **state)
{
    (void)state;
    float s = similarity("quarterly revenue grew by twelve percent",
                         "kubectl cannot schedule pods on tainted nodes");
    assert_true(fabsf(s) < 0.1f);
}

static void word_order_counts_for_something_but_words_for_more(void **state)
{
    (void)state;
    const char *text = "the agent sends the report to the server";
    float same = similarity(text, text),
          shuffled = similarity(text, "the server sends the report to the agent"),
          other = similarity(text, "my cat prefers warm milk on Sundays");
    assert_true(same > 0.999999f);
    assert_true(shuffled < same - 0.01f);
    assert_true(shuffled > other + 0.5f);
}

static void case_and_punctuation_do_not_matter(void **state)
{
    (void)state;
    assert_true(similarity("Restart the SERVER, now!", "restart the server now") > 0.999999f);
    assert_true(similarity("ΟΔΟΣ Москва ÜBER", "οδος москва über") > 0.999999f);
}

static void inflected_and_misspelt_words_are_still_near(void **state)
{
    (void)state;
    assert_true(similarity("summarise documents", "summarising document") > 0.4f);
    assert_true(similarity("authentication failure", "authentification failures") > 0.4f);
}

static void identifiers_are_found_whole_and_in_parts(void **state)
{
    (void)state;
    assert_true(similarity("parse_http_header", "http") > 0.25f);
    assert_true(similarity("parse_http_header", "parseHttpHeader") > 0.999999f);
    assert_true(similarity("parse_http_header", "ParseHTTPHeader") > 0.999999f);
    assert_true(similarity("snake_case", "snakecase") > similarity("snake case", "snakecase"));
    assert_true(similarity("error E1234 again", "E1234") >
                similarity("error E 1234 again", "E1234"));
    assert_true(similarity("error E1234 again", "E1234") > 0.25f);
    assert_true(similarity("foo.bar", "bar") > 0.25f);
    assert_true(similarity("foo.bar", "foo.bar.") > 0.999999f);
}

static void common_words_bring_texts_less_near_than_rare_ones(void **state)
{
    (void)state;
    assert_true(similarity("where is the invoice", "where is the elephant") <
                similarity("where is the invoice", "can you send my invoice"));
    assert_true(similarity("where is the", "where is the") > 0.999999f); /* but they do count */
}

static void repetition_counts_less_and_less(void **state)
{
    (void)state;
    char often[2000] = "database";
    for (int i = 0; i < 99; i++)
        strncat(often, " backup", sizeof often - strlen(often) - 1);
    assert_true(similarity(often, "database") > 0.1f); /* linear counts would leave .01 */
}

static void texts_in_scripts_without_spaces_match_by_character(void **state)
{
    (void)state;
    assert_true(similarity("数据库连接失败", "数据库连接") > 0.6f);
    assert_true(similarity("数据库连接失败", "天气预报") < 0.2f);
}

static void a_text_without_a_word_is_refused_and_says_so(void **state)
{
    (void)state;
    const char *texts[] = {"",         " \t\r\n ", "😀🚀❤️", "...!?--",
                           "\xff\xfe", "— “” …",   "\xcc\x81"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        float v[4] = {1, 2, 3, 4};
        struct err err = {0};
        assert_int_equal(text_embed(bytes_cstr(texts[i]), 4, v, &err), QMN_E_INVALID);
        assert_non_null(strstr(err.text, "no word"));
        assert_true(v[0] == 1 && v[3] == 4);
    }
}

static void the_longest_text_is_taken_and_one_character_more_is_not(void **state)
{
    (void)state;
    size_t max = 2 * LIMIT_TEXT_CHARS;
    CLEANUP(mem_freep) char *text = mem_alloc(max + 6);
    assert_non_null(text);
    for (size_t i = 0; i < max + 6; i += 2)
        memcpy(text + i, i % 14 ? "\xc3\xa9" : "\xc2\xa0", 2); /* two bytes a character */
    static float v[DIM];
    struct err err = {0};
    assert_int_equal(text_embed(bytes_of(text, max), DIM, v, &err), QMN_OK);
    assert_int_equal(text_embed(bytes_of(text, max + 2), DIM, v, &err), QMN_E_INVALID);
    assert_non_null(strstr(err.text, "65536"));
    CLEANUP(mem_freep) char *huge = mem_alloc(4 * LIMIT_TEXT_CHARS + 1);
    assert_non_null(huge);
    memset(huge, 'x', 4 * LIMIT_TEXT_CHARS + 1);
    assert_int_equal(text_embed(bytes_of(huge, 4 * LIMIT_TEXT_CHARS + 1), DIM, v, &err),
                     QMN_E_INVALID);
}

/* Many distinct features: the table grows several times, and sums do not depend on its order. */
static void a_long_text_of_distinct_words_gives_the_same_vector_every_time(void **state)
{
    (void)state;
    enum { LEN = 60000 };
    CLEANUP(mem_freep) char *text = mem_alloc(LEN);
    assert_non_null(text);
    uint32_t x = 1;
    for (size_t i = 0; i < LEN; i++) {
        x = x * 1664525 + 1013904223;
        text[i] = i % 9 == 8 ? ' ' : (char)('a' + (x >> 16) % 26);
    }
    static float a[DIM], b[DIM];
    struct err err;
    assert_int_equal(text_embed(bytes_of(text, LEN), DIM, a, &err), QMN_OK);
    for (int i = 0; i < 3; i++) { /* each run places its slots by another seed */
        assert_int_equal(text_embed(bytes_of(text, LEN), DIM, b, &err), QMN_OK);
        assert_memory_equal(a, b, sizeof a);
    }
}

static void running_out_of_memory_is_an_answer_and_writes_nothing(void **state)
{
    (void)state;
    enum { LEN = 16000 }; /* more features than the table first has room for */
    static char text[LEN];
    uint32_t x = 1;
    for (size_t i = 0; i < LEN; i++) {
        x = x * 1664525 + 1013904223;
        text[i] = i % 7 == 6 ? ' ' : (char)('a' + (x >> 16) % 26);
    }
    unsigned failures = 0;
    for (unsigned n = 1;; n++) {
        float v[4] = {9, 9, 9, 9};
        struct err err = {0};
        fault_arm(n);
        enum qmn_code code = text_embed(bytes_of(text, LEN), 4, v, &err);
        if (!fault_disarm()) {
            assert_int_equal(code, QMN_OK);
            break;
        }
        assert_int_equal(code, QMN_E_NOMEM);
        assert_true(v[0] == 9 && v[3] == 9);
        failures++;
    }
    assert_true(failures >= 4); /* characters, sums, table, its growth */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_space_gives_these_values_everywhere),
        cmocka_unit_test(every_dimension_gives_a_unit_vector),
        cmocka_unit_test(features_that_cancel_leave_a_unit_vector),
        cmocka_unit_test(texts_on_one_subject_are_nearer_than_unrelated_ones),
        cmocka_unit_test(unrelated_texts_are_nearly_orthogonal),
        cmocka_unit_test(word_order_counts_for_something_but_words_for_more),
        cmocka_unit_test(case_and_punctuation_do_not_matter),
        cmocka_unit_test(inflected_and_misspelt_words_are_still_near),
        cmocka_unit_test(identifiers_are_found_whole_and_in_parts),
        cmocka_unit_test(common_words_bring_texts_less_near_than_rare_ones),
        cmocka_unit_test(repetition_counts_less_and_less),
        cmocka_unit_test(texts_in_scripts_without_spaces_match_by_character),
        cmocka_unit_test(a_text_without_a_word_is_refused_and_says_so),
        cmocka_unit_test(the_longest_text_is_taken_and_one_character_more_is_not),
        cmocka_unit_test(a_long_text_of_distinct_words_gives_the_same_vector_every_time),
        cmocka_unit_test(running_out_of_memory_is_an_answer_and_writes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
