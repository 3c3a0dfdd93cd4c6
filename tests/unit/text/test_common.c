/* SPDX-License-Identifier: MIT */
#include "support/test.h"

#include <string.h>

#include "base/attr.h"
#include "text/common_priv.h"

static bool is_common(const char *word)
{
    struct text_char part[64];
    size_t pos = 0, len = 0;
    while (pos < strlen(word))
        part[len++] = text_char_next(bytes_cstr(word), &pos);
    return is_common_word(part, len);
}

/* One miss would mean that the list is not in order: these stand all over it. */
static void common_words_are_found_from_the_first_to_the_last(void **state)
{
    (void)state;
    const char *words[] = {"a",      "about", "am",   "and",  "are",    "but",     "can",  "cannot",
                           "couldn", "do",    "for",  "from", "get",    "has",     "he",   "i",
                           "if",     "in",    "is",   "it",   "its",    "know",    "ll",   "me",
                           "my",     "need",  "no",   "not",  "of",     "on",      "or",   "our",
                           "own",    "s",     "said", "so",   "some",   "t",       "tell", "that",
                           "the",    "there", "this", "to",   "toward", "up",      "use",  "ve",
                           "very",   "want",  "was",  "we",   "what",   "whether", "will", "with",
                           "within", "would", "yet",  "you",  "your",   "yours",   "THE"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (!is_common(words[i]))
            fail_msg("%s is not found", words[i]);
}

static void words_that_carry_the_subject_are_not_common(void **state)
{
    (void)state;
    const char *words[] = {"invoice", "server",    "the1", "th",     "thee",
                           "withinn", "zebra",     "aa",   "é",      "weather",
                           "they'",   "unterwegs", "1",    "yoursel"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (is_common(words[i]))
            fail_msg("%s is found", words[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(common_words_are_found_from_the_first_to_the_last),
        cmocka_unit_test(words_that_carry_the_subject_are_not_common),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
