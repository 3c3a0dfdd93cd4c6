/* SPDX-License-Identifier: MIT
 *
 * What both ways of decoding share. */
#ifndef QMN_CODEC_BASE64_PRIV_H
#define QMN_CODEC_BASE64_PRIV_H

#include <stddef.h>
#include <stdint.h>

/* Of each character, 0 to 63; 0x80: not in the alphabet. */
extern const uint8_t base64_values[256];

/* Decodes from the front what goes in whole blocks and holds no wrong character; returns how many
 * characters, a multiple of four and less than `len`, so that the end is left to the careful way.
 */
size_t base64_decode_blocks(const uint8_t *in, size_t len, uint8_t *out);

#endif
