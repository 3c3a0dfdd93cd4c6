/* SPDX-License-Identifier: MIT
 *
 * Text cut into the words that lexical search looks up.  Everything in this comment is a contract:
 * an index and its queries must be cut alike, so a change of it asks for a new index.
 *
 * A word is in lower case and without accents (Latin, Greek, Cyrillic; sharp s is ss). Punctuation,
 * symbols and bytes that are not UTF-8 separate words; combining marks and joiners are as if not
 * there.
 *
 * A chunk is a run of letters and digits in which single connectors may stand, each between two of
 * them.  The path connectors . / : @ \ cut it into names, the name connectors _ - ' (and their
 * typographic forms) cut a name into parts, and so do a capital after a small letter, the last of
 * several capitals before a small letter (HTTPServer: http, server), and a change between digits
 * and letters.  Given out are, each once:
 *
 *   each part                           getUserById: get, user, by, id
 *   each name of several parts          getuserbyid; E_CONN_RESET: econnreset, like ECONNRESET
 *   neighbouring names, of three        src/text/chars.c: srctext, textchar, charsc
 *   the chunk                           srctextcharsc; foo.bar_baz: foobarbaz
 *   runs of joined numbers              v1.2.3: 1.2.3; CVE-2024-1234: 2024-1234
 *
 * Joined, they lose their connectors, so that snake_case, snakeCase and snake-case are one, but for
 * those between two digits: 1.2.3 is neither 12.3 nor 123.  A name of more than
 * WORDS_SWITCHES_MAX changes between digits and letters is a hash or a blob and is not cut there.
 * One letter before ++ or # is also given with them: c, c++.
 *
 * What ends like an English plural loses it: s after a letter but s, u or i, from four letters on,
 * and ies becomes y from five on (after Harman, "How effective is suffixing?", 1991).  Queries of
 * another form than the text found it among the first ten in .859 against .835 of cases (titles of
 * manual pages, bench_retrieval); those with the text's own words lost .004 of .811.  More of a
 * grammar would be more of English.
 *
 * No word is left out: a list of common ones would lose make, go, at and let, which are commands,
 * too, and gained nothing (recall .880 with all words, .878 to .880 without).  lexical.h lets them
 * weigh less instead.
 *
 * Scripts that set no spaces (Han, Kana, Hangul, Thai, Lao, Myanmar, Khmer) give each character and
 * each two neighbours: as good as dictionaries for Chinese (Nie, Gao, Zhang, Zhou, "On the use of
 * words and n-grams for Chinese information retrieval", 2000), with no dictionary.
 *
 * Pure; no heap; time linear in the text; any thread. */
#ifndef QMN_TEXT_WORDS_H
#define QMN_TEXT_WORDS_H

#include <stdbool.h>

#include "base/bytes.h"

enum {
    /* A longer chunk is taken for several: no identifier or path of sense has so many, and the
     * stack holds it. */
    WORDS_CHUNK_CHARS = 256,
    WORDS_BYTES_MAX = 4 * WORDS_CHUNK_CHARS, /* of one word */
    WORDS_SWITCHES_MAX = 6, /* a guess: SHA-1 in hexadecimal has 18 on average, names have few */
};

/* word: borrowed for the call, UTF-8, 1 .. WORDS_BYTES_MAX bytes.  False ends the walk. */
typedef bool text_word_fn(void *ctx, struct bytes word);

/* Calls back for each word in the order of the text, repeated ones too.  False: the callback ended
 * it. */
bool text_words(struct bytes utf8, text_word_fn *word, void *ctx);

#endif
