/* SPDX-License-Identifier: MIT
 *
 * A list of short texts in one run of bytes: each followed by a NUL (which no valid text of ours
 * contains). Stored and compared as is; walked without allocation. */
#ifndef QMN_MODEL_TEXTLIST_H
#define QMN_MODEL_TEXTLIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/bytes.h"

/* Takes the next text off *rest; false at the end (or at a tail without NUL, which a valid list
 * never has). */
bool textlist_next(struct bytes *rest, struct bytes *ret_text);
size_t textlist_count(struct bytes list);
bool textlist_has(struct bytes list, struct bytes text);
/* ptr is NULL when out of memory. */
struct bytes textlist_pack(struct arena *a, char *const *texts, size_t count);

#endif
