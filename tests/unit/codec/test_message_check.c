/* SPDX-License-Identifier: MIT
 *
 * Messages as they come off the wire: packed, unpacked into an arena, checked. */
#include "schema.h"

#include <math.h>
#include <string.h>

/* Packs and unpacks into the arena, as a protobuf request would come. */
static ProtobufCMessage *through_the_wire(const ProtobufCMessage *msg)
{
    size_t len = protobuf_c_message_get_packed_size(msg);
    uint8_t *packed = arena_alloc(schema_arena(), len + 1);
    protobuf_c_message_pack(msg, packed);
    ProtobufCAllocator allocator = codec_allocator(schema_arena());
    ProtobufCMessage *back = protobuf_c_message_unpack(msg->descriptor, &allocator, len, packed);
    assert_non_null(back);
    return back;
}

static void assert_wire(const ProtobufCMessage *msg, const char *field, const char *part)
{
    struct err err = {0};
    enum qmn_code code = message_check_wire(through_the_wire(msg), schema_arena(), &err);
    if (code == QMN_E_INVALID && strcmp(err.field, field) == 0 && strstr(err.text, part))
        return;
    print_error("code %d, field \"%s\", \"%s\"\n", (int)code, err.field, err.text);
    fail();
}

static void a_good_message_passes(void **state)
{
    (void)state;
    struct err err;
    Test__V1__All *m =
        decode_all("{\"u32\":5,\"s\":\"abc\",\"strings\":[\"a\"],\"vector\":[1,2],\"object\":{},"
                   "\"any\":[1],\"scores\":{\"k\":1},\"inner\":{\"name\":\"n\"},\"word\":\"one\"}",
                   &err);
    assert_non_null(m);
    assert_int_equal(message_check_wire(through_the_wire(&m->base), schema_arena(), &err), QMN_OK);
}

static void required_fields_must_be_there(void **state)
{
    (void)state;
    struct err err;
    const ProtobufCMessageDescriptor *needs = &test__v1__needs__descriptor;
    assert_null(schema_decode("{}", needs, &err));
    assert_int_equal(err.code, QMN_E_INVALID);
    assert_string_equal(err.field, "name");
    assert_non_null(strstr(err.text, "required"));
    assert_null(schema_decode("{\"name\":null,\"tags\":[\"t\"]}", needs, &err));
    assert_string_equal(err.field, "name");
    assert_null(schema_decode("{\"name\":\"n\",\"tags\":[],\"inner\":{}}", needs, &err));
    assert_string_equal(err.field, "tags");
    assert_null(schema_decode("{\"name\":\"n\",\"tags\":[\"t\"]}", needs, &err));
    assert_string_equal(err.field, "inner");
    assert_non_null(schema_decode("{\"name\":\"\",\"tags\":[\"t\"],\"inner\":{}}", needs, &err));
}

static void ranges_hold_for_numbers_lengths_and_counts(void **state)
{
    (void)state;
    assert_refused("{\"u32\":101}", QMN_E_INVALID, "u32", "expected 1 to 100, got 101");
    assert_refused("{\"d\":1.5}", QMN_E_INVALID, "d", "expected 0 to 1, got 1.5");
    assert_refused("{\"d\":-0.001}", QMN_E_INVALID, "d", "got -0.001");
    assert_refused("{\"s\":\"x\"}", QMN_E_INVALID, "s", "expected 2 to 5 characters, got 1");
    assert_refused("{\"strings\":[\"a\",\"four\"]}", QMN_E_INVALID, "strings[1]",
                   "expected 1 to 3 characters, got 4");
    assert_refused("{\"numbers\":[9,10]}", QMN_E_INVALID, "numbers[1]", "expected 0 to 9, got 10");
    assert_refused("{\"labels\":{\"a\":\"\",\"b\":\"\",\"c\":\"\"}}", QMN_E_INVALID, "labels.c",
                   "at most 2");
    assert_refused("{\"vector\":[1]}", QMN_E_INVALID, "vector",
                   "expected 2 to 4096 elements, got 1");
    assert_refused("{\"scores\":{\"k\":1.5}}", QMN_E_INVALID, "scores.k", "expected 0 to 1");
    assert_refused("{\"scores\":{\"toolong\":1}}", QMN_E_INVALID, "scores.toolong",
                   "expected 1 to 4 characters");
    assert_refused("{\"inners\":[{},{\"tags\":[\"abcdef\"]}]}", QMN_E_INVALID, "inners[1].tags[0]",
                   "expected 1 to 5 characters");
    assert_refused("{\"parts\":{\"p\":{\"name\":\"\"}}}", QMN_E_INVALID, "parts.p.name",
                   "expected 1 to 8 characters, got 0");
    assert_refused(
        "{\"object\":{\"a\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}}",
        QMN_E_INVALID, "object", "expected 2 to 100 bytes");
}

static void lengths_count_characters_not_bytes(void **state)
{
    (void)state;
    struct err err;
    assert_non_null(decode_all(
        "{\"s\":\"\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\"}", &err));
    assert_refused("{\"s\":\"\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac!\"}",
                   QMN_E_INVALID, "s", "got 6");
}

static void words_and_patterns_are_told(void **state)
{
    (void)state;
    assert_refused("{\"word\":\"three\"}", QMN_E_INVALID, "word",
                   "expected one of one, two; got \"three\"");
    assert_refused("{\"tenant\":\"No\"}", QMN_E_INVALID, "tenant", "^[a-z0-9-]{3,64}$");
    assert_refused("{\"strings\":[\"a\",\"\\t\"]}", QMN_E_INVALID, "strings[1]", "matching");
}

static void a_vector_of_zeros_is_no_vector(void **state)
{
    (void)state;
    struct err err;
    assert_refused("{\"vector\":[0,0.0,-0e5]}", QMN_E_INVALID, "vector", "all zeros");
    assert_non_null(decode_all("{\"vector\":[0,1e-45]}", &err));
}

static void bad_utf8_off_the_wire_is_refused(void **state)
{
    (void)state;
    Test__V1__All m = TEST__V1__ALL__INIT;
    Test__V1__Inner inner = TEST__V1__INNER__INIT;
    char *tags[] = {(char *)"ok", (char *)"\xc3("};
    m.s = (char *)"ab\xff";
    assert_wire(&m.base, "s", "UTF-8");
    m.s = (char *)"ab";
    inner.tags = tags;
    inner.n_tags = 2;
    m.inner = &inner;
    assert_wire(&m.base, "inner.tags[1]", "UTF-8");
}

static void nan_off_the_wire_is_refused(void **state)
{
    (void)state;
    Test__V1__All m = TEST__V1__ALL__INIT;
    float vector[] = {1, NAN};
    m.has_d = 1;
    m.d = (double)NAN;
    assert_wire(&m.base, "d", "finite");
    m.d = 0;
    m.has_f = 1;
    m.f = INFINITY;
    assert_wire(&m.base, "f", "finite");
    m.f = 0;
    m.vector = vector;
    m.n_vector = 2;
    assert_wire(&m.base, "vector[1]", "finite");
}

static void a_time_that_cannot_be_written_is_refused(void **state)
{
    (void)state;
    Test__V1__All m = TEST__V1__ALL__INIT;
    m.has_at = 1;
    m.at = -1;
    assert_wire(&m.base, "at", "1970 to 9999");
    m.at = INT64_C(253402300800000);
    assert_wire(&m.base, "at", "1970 to 9999");
}

static void raw_json_off_the_wire_is_validated(void **state)
{
    (void)state;
    Test__V1__All m = TEST__V1__ALL__INIT;
    static const char *const bad[] = {"", "{", "{\"a\":1,\"a\":1}", "[1]", "null", "{} {}"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        m.has_object = 1;
        m.object.data = (uint8_t *)(uintptr_t)bad[i];
        m.object.len = strlen(bad[i]);
        assert_wire(&m.base, "object", "expected");
    }
    m.has_object = 0;
    m.has_any = 1;
    m.any.data = (uint8_t *)(uintptr_t) "null";
    m.any.len = 4;
    assert_wire(&m.base, "any", "other than null");
}

static void unpacking_into_an_arena_needs_no_free(void **state)
{
    (void)state;
    struct arena a;
    struct err err;
    Test__V1__All *m = decode_all("{\"strings\":[\"a\",\"b\"],\"inner\":{\"name\":\"x\"}}", &err);
    size_t len = protobuf_c_message_get_packed_size(&m->base);
    uint8_t *packed = arena_alloc(schema_arena(), len);
    protobuf_c_message_pack(&m->base, packed);
    bool unpacked = false;
    for (size_t room = 16; !unpacked; room += 16) {
        arena_init(&a, room);
        ProtobufCAllocator allocator = codec_allocator(&a);
        ProtobufCMessage *back =
            protobuf_c_message_unpack(m->base.descriptor, &allocator, len, packed);
        unpacked = back != NULL;
        if (back)
            assert_string_equal(((Test__V1__All *)back)->strings[1], "b");
        arena_release(&a);
        assert_true(room < 100000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_message_passes),
        cmocka_unit_test(required_fields_must_be_there),
        cmocka_unit_test(ranges_hold_for_numbers_lengths_and_counts),
        cmocka_unit_test(lengths_count_characters_not_bytes),
        cmocka_unit_test(words_and_patterns_are_told),
        cmocka_unit_test(a_vector_of_zeros_is_no_vector),
        cmocka_unit_test(bad_utf8_off_the_wire_is_refused),
        cmocka_unit_test(nan_off_the_wire_is_refused),
        cmocka_unit_test(a_time_that_cannot_be_written_is_refused),
        cmocka_unit_test(raw_json_off_the_wire_is_validated),
        cmocka_unit_test(unpacking_into_an_arena_needs_no_free),
    };
    return cmocka_run_group_tests(tests, schema_setup, schema_teardown);
}
