/* SPDX-License-Identifier: MIT
 *
 * The test schema's rows, and short ways to decode and encode. */
#ifndef QMN_TESTS_CODEC_SCHEMA_H
#define QMN_TESTS_CODEC_SCHEMA_H

#include "support/test.h"

#include "base/arena.h"
#include "base/buf.h"
#include "codec/codec.h"
#include "codec/json_decode.h"
#include "codec/json_encode.h"
#include "codec_test.pb-c.h"

/* Registers the wire schema and the test schema; for cmocka's group set-up. */
int schema_setup(void **state);
int schema_teardown(void **state);

/* Decodes into an arena that lives until the group's teardown.  NULL on failure, with *err. */
void *schema_decode(const char *json, const ProtobufCMessageDescriptor *desc, struct err *err);
#define decode_all(json, err)                                                                      \
    ((Test__V1__All *)schema_decode((json), &test__v1__all__descriptor, (err)))

/* Fails unless decoding `json` as All gives this code and field, and a text with `part` in it. */
#define assert_refused(json, code, field, part)                                                    \
    schema_refused((json), (code), (field), (part), __FILE__, __LINE__)
void schema_refused(const char *json, enum qmn_code code, const char *field, const char *part,
                    const char *file, int line);

/* The message's JSON, in memory that lives until the teardown. */
const char *schema_encode(const ProtobufCMessage *msg);
struct arena *schema_arena(void);

#endif
