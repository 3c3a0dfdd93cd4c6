/* SPDX-License-Identifier: MIT */
#ifndef QMN_TEXT_COMMON_PRIV_H
#define QMN_TEXT_COMMON_PRIV_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"
#include "chars_priv.h"

/* part: lower case. */
bool is_common_word(const struct text_char *part, size_t len);
/* The same of ASCII or UTF-8 in lower case. */
bool is_common_text(struct bytes word);

#endif
