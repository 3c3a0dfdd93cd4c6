/* SPDX-License-Identifier: MIT
 *
 * Decimal text to float32, correctly rounded: the hot path of an embedding in JSON.
 *
 *   value = w * 10^e,  w: the digits as an integer (<= 19 digits, so it is exact in 64 bits)
 *
 * is computed as one double product; the conversion of w, the table entry and the product err by
 * half an ulp each.  Rounding that double to float32 can go wrong only when it lies within that
 * error of the midpoint between two floats; then, and for subnormals, overflow and more digits, the
 * value is taken from strtof() in the C locale.
 *
 * Pure.  Any thread. */
#ifndef QMN_CODEC_JSON_FLOATS_H
#define QMN_CODEC_JSON_FLOATS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"

/* `number` must be a valid JSON number.  False: it does not fit the type (overflow). */
bool float_parse(struct bytes number, float *ret);
bool double_parse(struct bytes number, double *ret);

/* Reads "number , number , ... ]" from p on into out[0..max).  Stops behind the ']' (*ret_closed
 * true) or in front of the first element that it does not want: malformed, out of range, too near
 * the end of the input, or out of room.  *ret_p is that place.  Returns the number of floats. */
typedef size_t floats_scan_fn(const char *p, const char *end, float *out, size_t max,
                              const char **ret_p, bool *ret_closed);
floats_scan_fn floats_scan_portable;
floats_scan_fn floats_scan_avx512; /* only where floats_have_avx512() */
bool floats_have_avx512(void);
/* The fastest one for this machine. */
floats_scan_fn floats_scan;

#endif
