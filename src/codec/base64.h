/* SPDX-License-Identifier: MIT
 *
 * Base64 (RFC 4648 section 4: '+', '/', padded), strict: no white space, no missing padding, no
 * bits set behind the end.  Pure. */
#ifndef QMN_CODEC_BASE64_H
#define QMN_CODEC_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"

/* Room that base64_decode() may need for `text`. */
static inline size_t base64_room(struct bytes text)
{
    return text.len / 4 * 3;
}
/* False: not base64. */
bool base64_decode(struct bytes text, uint8_t *ret, size_t *ret_len);
/* Appends. */
void base64_encode(struct bytes data, struct buf *out);

#endif
