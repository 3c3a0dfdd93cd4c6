/* SPDX-License-Identifier: MIT
 *
 * "Did you mean": the known word nearest to one that is not known.  Pure; any thread. */
#ifndef QMN_BASE_SUGGEST_H
#define QMN_BASE_SUGGEST_H

#include <stddef.h>

/* Edits (insert, delete, replace, swap of neighbours) from a to b; words longer than 63 characters
 * count as entirely different. */
size_t suggest_distance(const char *a, const char *b);

/* The nearest of `words`, or NULL when none is near enough to have been meant: at most one edit and
 * one more in every four characters, or `word` is the beginning of exactly one of them. */
const char *suggest_word(const char *word, const char *const *words, size_t count);

#endif
