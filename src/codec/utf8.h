/* SPDX-License-Identifier: MIT
 *
 * UTF-8 as the Unicode standard's table 3-7 has it: no overlong forms, no surrogates, nothing past
 * U+10FFFF.  Pure. */
#ifndef QMN_CODEC_UTF8_H
#define QMN_CODEC_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

/* The length of the well-formed character at p (p < end), 0 if there is none. */
size_t utf8_char(const char *p, const char *end);
bool utf8_valid(struct bytes text);
/* Characters in valid UTF-8. */
size_t utf8_count(struct bytes text);
/* Writes up to 4 bytes; returns how many. */
size_t utf8_put(uint32_t code_point, char *ret);

#endif
