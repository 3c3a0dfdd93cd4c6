/* SPDX-License-Identifier: MIT
 *
 * The string half of the reader. */
#ifndef QMN_CODEC_JSON_STRING_PRIV_H
#define QMN_CODEC_JSON_STRING_PRIV_H

#include "json_read.h"

/* At an opening quote: validates up to the closing one and consumes it; fills t->text and
 * t->escaped. */
QMN_NODISCARD enum qmn_code json_string_scan(struct json_reader *r, struct json_token *t,
                                             struct err *err);
/* "byte N: expected X, got Y". */
enum qmn_code json_malformed(const struct json_reader *r, const char *at, const char *expected,
                             struct err *err);

#endif
