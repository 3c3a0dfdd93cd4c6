/* SPDX-License-Identifier: MIT
 *
 * The built-in embedder: text to a unit vector of any dimension, lexical, with no model and no
 * network.  The same text gives the same floats on every machine and in every release with the same
 * TEXT_SPACE_VERSION (see embed.c for the exact definition); a change of it is a new space, and
 * vectors of different spaces must not be compared.
 *
 * Texts are near each other when they share words, neighbouring words or parts of words.  It knows
 * no synonyms.
 *
 * Pure but for heap use; any thread. */
#ifndef QMN_TEXT_EMBED_H
#define QMN_TEXT_EMBED_H

#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"

#define TEXT_SPACE_NAME    "qmn-lexical"
#define TEXT_SPACE_VERSION 1

/* ret_unit: float[dim], untouched on failure; dim: LIMIT_DIM_MIN .. LIMIT_DIM_MAX.  Bytes that are
 * not UTF-8 separate words.  QMN_E_INVALID: no word in the text (empty, white space, emoji), or
 * longer than LIMIT_TEXT_CHARS. */
QMN_NODISCARD enum qmn_code text_embed(struct bytes utf8, uint32_t dim, float *ret_unit,
                                       struct err *err);

#endif
