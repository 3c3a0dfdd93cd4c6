/* SPDX-License-Identifier: MIT
 *
 * Code points and what they mean to the tokeniser. No locale: the tables are part of the space's
 * version. */
#ifndef QMN_TEXT_CHARS_PRIV_H
#define QMN_TEXT_CHARS_PRIV_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

enum char_class {
    CHAR_BREAK = 1, /* white space, punctuation, symbols, emoji, bytes that are not UTF-8 */
    CHAR_CONNECTOR, /* joins the parts of an identifier when it stands alone between word characters
                     */
    CHAR_DIGIT,
    CHAR_LETTER,
    CHAR_UPPER,
    CHAR_IDEOGRAPH, /* Han and Hiragana: a word each, since these scripts set no spaces */
    CHAR_IGNORED,   /* combining marks, joiners: as if not there */
};

struct text_char {
    uint32_t code; /* lower case */
    enum char_class class;
};

/* Reads one character at *pos < text.len and moves on; a byte that starts no valid sequence is a
 * CHAR_BREAK of its own. */
struct text_char text_char_next(struct bytes text, size_t *pos);

#endif
