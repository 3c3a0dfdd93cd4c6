/* SPDX-License-Identifier: MIT
 *
 * JSON, query strings and single texts onto protobuf-c messages, by walking their descriptors.
 * No message is parsed by hand anywhere.
 *
 *  - null means absent; unknown fields are validated and ignored
 *  - strings are NUL-terminated copies in the arena; U+0000 is refused
 *  - repeated float `x` is a JSON array of numbers, or `x_b64`: base64 of little-endian float32
 *  - bytes marked raw JSON are kept verbatim; other bytes are base64
 *  - map<string, X> is an object; an enum is its value's name, lower case, without the common
 * prefix
 *
 * Malformed text is QMN_E_MALFORMED with its byte offset; a value of the wrong type or outside its
 * constraint is QMN_E_INVALID with err.field as a dotted path ("profile.embedding",
 * "tool_hints[3]").  codec_init() must have run; a message that it does not know is
 * QMN_E_INTERNAL.  Any thread. */
#ifndef QMN_CODEC_JSON_DECODE_H
#define QMN_CODEC_JSON_DECODE_H

#include "base/arena.h"
#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "codec.h"

/* Decodes and checks one document.  The message lives in the arena and may borrow from `text` (raw
 * JSON): keep both while it is used.  *ret is untouched on failure. */
QMN_NODISCARD enum qmn_code json_decode(struct bytes text, const ProtobufCMessageDescriptor *desc,
                                        struct arena *arena, ProtobufCMessage **ret,
                                        struct err *err);
/* The same for "a=1&b=x%20y" onto a message of scalars: unknown parameters are ignored, repeated
 * ones refused; '+' is a blank. */
QMN_NODISCARD enum qmn_code query_decode(struct bytes query, const ProtobufCMessageDescriptor *desc,
                                         struct arena *arena, ProtobufCMessage **ret,
                                         struct err *err);

/* The parts, for requests put together from a body, a query and path parameters: message_new(),
 * then any of these in the order of rising precedence, then message_check().  These do not check
 * constraints (array lengths apart, which bound memory). */
QMN_NODISCARD enum qmn_code json_decode_into(struct bytes text, ProtobufCMessage *msg,
                                             struct arena *arena, struct err *err);
QMN_NODISCARD enum qmn_code query_decode_into(struct bytes query, ProtobufCMessage *msg,
                                              struct arena *arena, struct err *err);
/* One scalar field from its text.  QMN_E_INTERNAL if there is no such scalar field. */
QMN_NODISCARD enum qmn_code message_set_text(ProtobufCMessage *msg, const char *field,
                                             struct bytes text, struct arena *arena,
                                             struct err *err);

/* Constraints only, for messages that were decoded from JSON above. */
QMN_NODISCARD enum qmn_code message_check(const ProtobufCMessage *msg, struct err *err);
/* For messages from protobuf_c_message_unpack: also UTF-8, finite floats and raw JSON, which the
 * JSON decoder has proven already.  `arena` is scratch. */
QMN_NODISCARD enum qmn_code message_check_wire(const ProtobufCMessage *msg, struct arena *arena,
                                               struct err *err);

#endif
