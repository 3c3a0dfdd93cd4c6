/* SPDX-License-Identifier: MIT
 *
 * One value that is not a message: from a token or from plain text into a member of a message. */
#ifndef QMN_CODEC_SCALAR_PRIV_H
#define QMN_CODEC_SCALAR_PRIV_H

#include "codec_priv.h"
#include "json_read.h"

/* Errors of type QMN_E_INVALID carry no field: the caller knows the path.  `ret` is the member (or
 * the array element) of the field's type. */
QMN_NODISCARD enum qmn_code scalar_from_token(const struct plan_field *f, struct json_reader *r,
                                              const struct json_token *t, void *ret,
                                              struct err *err);
/* For query and path parameters: text stands unquoted, booleans may be 1 and 0. */
QMN_NODISCARD enum qmn_code scalar_from_text(const struct plan_field *f, struct bytes text,
                                             struct arena *arena, void *ret, struct err *err);

/* "a string", "a number" ..: what a field takes. */
const char *scalar_expected(const struct plan_field *f);

#endif
