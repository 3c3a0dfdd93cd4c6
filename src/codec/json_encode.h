/* SPDX-License-Identifier: MIT
 *
 * Messages to JSON, by walking their descriptors; the mirror of json_decode.h.  Absent fields are
 * left out unless their row says CON_NULLABLE or CON_ALWAYS.  Numbers are the shortest text that
 * reads back as the same float or double; NaN and infinities become null.  Any thread. */
#ifndef QMN_CODEC_JSON_ENCODE_H
#define QMN_CODEC_JSON_ENCODE_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/code.h"
#include "codec.h"

/* Appends.  QMN_E_NOMEM: the buffer is full or memory is out; QMN_E_INTERNAL: a message that
 * codec_init() does not know, or nested too deep. */
QMN_NODISCARD enum qmn_code json_encode(const ProtobufCMessage *msg, struct buf *out);

/* Single values, for the few documents that have no schema. */
void json_put_string(struct buf *out, struct bytes text); /* quoted; bad UTF-8 becomes U+FFFD */
void json_put_float(struct buf *out, float value);
void json_put_double(struct buf *out, double value);
void json_put_int(struct buf *out, int64_t value);
void json_put_time(struct buf *out, int64_t unix_ms);

#endif
