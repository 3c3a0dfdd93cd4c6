/* SPDX-License-Identifier: MIT
 *
 * Letters without their accents, for words that are looked up: who searches types them or not, and
 * decomposed text (NFD) loses its marks in text_char_next() already. */
#ifndef QMN_TEXT_FOLD_PRIV_H
#define QMN_TEXT_FOLD_PRIV_H

#include <stdint.h>

/* code: a small letter of text_char_next().  Latin, Greek and Cyrillic letters lose their marks;
 * *ret_second: the second letter where one becomes two (sharp s: ss), else 0. */
uint32_t fold_letter(uint32_t code, uint32_t *ret_second);

#endif
