/* SPDX-License-Identifier: MIT
 *
 * Documents and queries onto messages.  The first byte chooses the message.  What is accepted
 * survives a round trip through JSON and through protobuf unchanged. */
#include "support/fuzz.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "codec/json_decode.h"
#include "codec/json_encode.h"
#include "qmn/v1/identity.pb-c.h"
#include "qmn/v1/memory.pb-c.h"
#include "qmn/v1/reinforcement.pb-c.h"
#include "qmn/v1/router.pb-c.h"

enum { OUT_BYTES = 1 << 24 };

static const ProtobufCMessageDescriptor *const messages[] = {
    &qmn__v1__broadcast_request__descriptor,
    &qmn__v1__register_agent_request__descriptor,
    &qmn__v1__record_outcome_request__descriptor,
    &qmn__v1__store_memory_request__descriptor,
    &qmn__v1__create_policy_request__descriptor,
    &qmn__v1__trace__descriptor,
    &qmn__v1__agent_list__descriptor,
    &qmn__v1__list_agents_request__descriptor,
};

static void encode(const ProtobufCMessage *msg, struct buf *out)
{
    buf_init(out, OUT_BYTES);
    assert(json_encode(msg, out) == QMN_OK);
}

static void same_json(const ProtobufCMessage *a, const ProtobufCMessage *b)
{
    struct buf left, right;
    encode(a, &left);
    encode(b, &right);
    assert(bytes_equal(buf_bytes(&left), buf_bytes(&right)));
    buf_release(&left);
    buf_release(&right);
}

static void survives_json(const ProtobufCMessage *msg, struct arena *a)
{
    struct buf out;
    ProtobufCMessage *back = NULL;
    struct err err;
    encode(msg, &out);
    assert(json_decode(buf_bytes(&out), msg->descriptor, a, &back, &err) == QMN_OK);
    same_json(msg, back);
    buf_release(&out);
}

static void survives_protobuf(const ProtobufCMessage *msg, struct arena *a)
{
    struct err err;
    size_t len = protobuf_c_message_get_packed_size(msg);
    uint8_t *packed = arena_alloc(a, len + 1);
    assert(packed && protobuf_c_message_pack(msg, packed) == len);
    ProtobufCAllocator allocator = codec_allocator(a);
    ProtobufCMessage *back = protobuf_c_message_unpack(msg->descriptor, &allocator, len, packed);
    assert(back && message_check_wire(back, a, &err) == QMN_OK);
    same_json(msg, back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    ProtobufCMessage *msg = NULL;
    struct err err;
    if (!size)
        return 0;
    assert(codec_init(NULL) == QMN_OK);
    arena_init(&a, 0);
    const ProtobufCMessageDescriptor *desc = messages[data[0] % ARRAY_LEN(messages)];
    struct bytes in = arena_bytes(&a, bytes_of(data + 1, size - 1));
    enum qmn_code code = json_decode(in, desc, &a, &msg, &err);
    assert(code == QMN_OK || code == QMN_E_MALFORMED || code == QMN_E_INVALID);
    if (code == QMN_OK) {
        survives_json(msg, &a);
        survives_protobuf(msg, &a);
    }
    code = query_decode(in, desc, &a, &msg, &err);
    assert(code == QMN_OK || code == QMN_E_MALFORMED || code == QMN_E_INVALID);
    if (code == QMN_OK) {
        survives_json(msg, &a);
        survives_protobuf(msg, &a);
    }
    /* The same bytes as a protobuf request: a hostile one is refused or is whole.  It is not packed
     * again: protobuf-c keeps unknown fields, and writes some that it then does not read. */
    ProtobufCAllocator allocator = codec_allocator(&a);
    msg = protobuf_c_message_unpack(desc, &allocator, in.len, (const uint8_t *)in.ptr);
    if (msg && message_check_wire(msg, &a, &err) == QMN_OK)
        survives_json(msg, &a);
    arena_release(&a);
    return 0;
}
