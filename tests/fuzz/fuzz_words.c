/* SPDX-License-Identifier: MIT
 *
 * Words of any bytes: not empty, of bounded length, no more than a few a byte, and themselves made
 * of words: a word is cut again into words among which it is. */
#include "support/fuzz.h"

#include <assert.h>
#include <string.h>

#include "text/words.h"

struct seen {
    size_t words;
    struct bytes look_for;
    bool found;
};

static bool find(void *ctx, struct bytes word)
{
    struct seen *s = ctx;
    s->found |= bytes_equal(word, s->look_for);
    return !s->found;
}

static bool look_again(void *ctx, struct bytes word)
{
    struct seen *s = ctx;
    assert(word.len > 0 && word.len <= WORDS_BYTES_MAX);
    struct seen again = {.look_for = word};
    text_words(word, find, &again);
    assert(again.found);
    s->words++;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct seen s = {0};
    assert(text_words(bytes_of(data, size), look_again, &s));
    assert(s.words <= 3 * size);
    return 0;
}
