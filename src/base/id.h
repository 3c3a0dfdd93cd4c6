/* SPDX-License-Identifier: MIT
 *
 * Server-made ids: 48 bits of Unix milliseconds, then 128 random bits.  The time in front keeps a
 * B-tree index on them append-only (random keys would dirty one page per row); the 128 random bits
 * make them unguessable. As text: a prefix ("nu_") and 36 digits of Crockford base32, lower case,
 * sorting like the bytes. */
#ifndef QMN_BASE_ID_H
#define QMN_BASE_ID_H

#include <stdbool.h>
#include <stdint.h>

#include "bytes.h"

#define ID_BYTES      22
#define ID_TEXT_CHARS 36

struct id {
    uint8_t b[ID_BYTES];
};

struct id id_make(int64_t now_ms);
/* Writes prefix + 36 characters + NUL; ret_text has room for strlen(prefix) + 37. */
void id_format(struct id id, const char *prefix, char *ret_text);
/* False unless `text` is exactly the prefix and 36 valid digits. */
bool id_parse(struct bytes text, const char *prefix, struct id *ret_id);

/* When it was made, by the maker's clock. */
int64_t id_time_ms(const struct id *id);

static inline struct bytes id_bytes(const struct id *id)
{
    return bytes_of(id->b, ID_BYTES);
}

#endif
