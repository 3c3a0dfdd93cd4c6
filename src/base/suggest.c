/* SPDX-License-Identifier: MIT
 *
 * Optimal string alignment distance over three rows of the usual table: enough to see a swap of two
 * neighbouring letters as one slip.  Words are option and command names, so a quadratic cost is
 * nothing. */
#include "suggest.h"

#include <stdint.h>
#include <string.h>

enum { SUGGEST_CHARS = 63 };

static size_t least(size_t a, size_t b, size_t c)
{
    size_t m = a < b ? a : b;
    return m < c ? m : c;
}

size_t suggest_distance(const char *a, const char *b)
{
    size_t la = strlen(a), lb = strlen(b);
    if (la > SUGGEST_CHARS || lb > SUGGEST_CHARS)
        return la > lb ? la : lb;
    size_t rows[3][SUGGEST_CHARS + 1];
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= lb; j++)
        above[j] = before[j] = j;
    for (size_t i = 1; i <= la; i++) {
        row[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            size_t replace = above[j - 1] + (a[i - 1] != b[j - 1]);
            row[j] = least(above[j] + 1, row[j - 1] + 1, replace);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before[j - 2] + 1 < row[j])
                row[j] = before[j - 2] + 1;
        }
        size_t *spare = before;
        before = above;
        above = row;
        row = spare;
    }
    return above[lb];
}

const char *suggest_word(const char *word, const char *const *words, size_t count)
{
    size_t length = strlen(word), best = SIZE_MAX, prefixed = 0;
    const char *nearest = NULL, *longer = NULL;
    for (size_t i = 0; i < count; i++) {
        size_t d = suggest_distance(word, words[i]);
        if (d < best) {
            best = d;
            nearest = words[i];
        }
        if (length > 0 && strncmp(word, words[i], length) == 0) {
            prefixed++;
            longer = words[i];
        }
    }
    if (prefixed == 1)
        return longer;
    return best <= 1 + length / 4 && best < length ? nearest : NULL;
}
