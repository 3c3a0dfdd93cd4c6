/* SPDX-License-Identifier: MIT
 *
 * Runs the HTTP/1 codec over a byte string as if it had come in pieces, and writes down what it
 * understood.  Two runs over the same bytes must give the same text however they were cut. */
#ifndef QMN_TESTS_SUPPORT_HTTP1_TRANSCRIPT_H
#define QMN_TESTS_SUPPORT_HTTP1_TRANSCRIPT_H

#include "base/buf.h"
#include "base/code.h"

/* Bodies are read up to `body_limit`.  `piece`: bytes that come at a time; 0: all at once.
 * Returns QMN_OK or the code of the refusal that ended the run. */
enum qmn_code http1_transcript(struct bytes in, size_t piece, size_t body_limit, struct buf *out);

#endif
