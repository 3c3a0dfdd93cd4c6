/* SPDX-License-Identifier: MIT
 *
 * RFC 3339 times as they come in: "2024-05-01T12:00:00Z", a fraction of any length (cut to
 * milliseconds), 't', 'z' or a blank where the RFC allows them, and without a zone UTC.  Pure. */
#ifndef QMN_CODEC_TIME_TEXT_H
#define QMN_CODEC_TIME_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

/* False unless all of `text` is a time in the years 1970 to 9999. */
bool time_parse(struct bytes text, int64_t *ret_unix_ms);

#endif
