/* SPDX-License-Identifier: MIT
 *
 * The one form of a failure on the wire: an RFC 9457 application/problem+json document with type,
 * title, status, detail, code and, where one is at fault, field.  Any thread. */
#ifndef QMN_CODEC_PROBLEM_H
#define QMN_CODEC_PROBLEM_H

#include "base/buf.h"
#include "base/err.h"

#define PROBLEM_CONTENT_TYPE "application/problem+json"

/* Appends. */
void problem_encode(const struct err *e, struct buf *out);

#endif
