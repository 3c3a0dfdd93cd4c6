/* SPDX-License-Identifier: MIT
 *
 * Text on a terminal: how wide it is, and how it gets there safely.  Pure but for text_write. */
#ifndef QMN_CLI_TEXT_H
#define QMN_CLI_TEXT_H

#include <stdbool.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/bytes.h"

/* Columns a text takes; style marks take none. */
size_t text_width(struct bytes text);
/* The longest prefix of at most `columns` columns. */
struct bytes text_prefix(struct bytes text, size_t columns);
/* Appends `text` ready for a terminal: style marks become escapes (or nothing), control characters,
 * direction overrides and bad UTF-8 become '?'.  Line feeds pass if `lines`. */
void text_render(struct buf *out, struct bytes text, bool colours, bool lines);

#endif
