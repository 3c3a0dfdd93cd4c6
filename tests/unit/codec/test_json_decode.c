/* SPDX-License-Identifier: MIT */
#include "schema.h"

#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "qmn/v1/router.pb-c.h"

static void every_scalar_type_is_read(void **state)
{
    (void)state;
    struct err err;
    Test__V1__All *m = decode_all("{\"i32\":-2147483648,\"i64\":-9223372036854775808,"
                                  "\"u32\":99,\"u64\":18446744073709551615,\"f\":0.1,\"d\":0.25,"
                                  "\"b\":true,\"s\":\"h\\u00e9y\",\"blob\":\"AAEC/w==\","
                                  "\"color\":\"dark_blue\"}",
                                  &err);
    assert_non_null(m);
    assert_true(m->has_i32 && m->i32 == INT32_MIN);
    assert_true(m->has_i64 && m->i64 == INT64_MIN);
    assert_true(m->has_u32 && m->u32 == 99);
    assert_true(m->has_u64 && m->u64 == UINT64_MAX);
    assert_true(m->has_f && m->f == 0.1f);
    assert_true(m->has_d && m->d == 0.25);
    assert_true(m->has_b && m->b);
    assert_string_equal(m->s, "h\xc3\xa9y");
    assert_true(m->has_blob);
    assert_int_equal(m->blob.len, 4);
    assert_memory_equal(m->blob.data, "\x00\x01\x02\xff", 4);
    assert_true(m->has_color && m->color == TEST__V1__COLOR__COLOR_DARK_BLUE);
}

static void absent_and_null_fields_have_their_defaults(void **state)
{
    (void)state;
    struct err err;
    static const char *const docs[] = {
        "{}", "{\"u32\":null,\"s\":null,\"inner\":null,\"strings\":null,\"labels\":null,"
              "\"vector\":null,\"object\":null,\"any\":null,\"at\":null,\"color\":null}"};
    for (size_t i = 0; i < ARRAY_LEN(docs); i++) {
        Test__V1__All *m = decode_all(docs[i], &err);
        assert_non_null(m);
        assert_true(!m->has_u32 && m->u32 == 7);
        assert_string_equal(m->s, "plain");
        assert_true(!m->inner && !m->n_strings && !m->n_labels && !m->n_vector);
        assert_true(!m->has_object && !m->has_any && !m->has_at && !m->has_color);
    }
}

static void unknown_fields_are_ignored_but_validated(void **state)
{
    (void)state;
    struct err err;
    Test__V1__All *m =
        decode_all("{\"new\":{\"deep\":[1,{\"x\":null}]},\"i32\":5,\"s_b64\":\"?\"}", &err);
    assert_non_null(m);
    assert_int_equal(m->i32, 5);
    assert_refused("{\"new\":{\"x\":1,\"x\":2}}", QMN_E_MALFORMED, "", "stands twice");
    assert_refused("{\"new\":[01]}", QMN_E_MALFORMED, "", "leading 0");
}

static void malformed_text_is_told_by_its_byte(void **state)
{
    (void)state;
    assert_refused("{\"i32\":5", QMN_E_MALFORMED, "", "byte 8");
    assert_refused("{\"i32\":5}x", QMN_E_MALFORMED, "", "nothing after the document");
    assert_refused("{\"i32\":5,\"i32\":6}", QMN_E_MALFORMED, "", "twice");
    assert_refused("{\"d\":NaN}", QMN_E_MALFORMED, "", "expected a value");
    assert_refused("{\"vector\":[0.5,NaN]}", QMN_E_MALFORMED, "", "byte 15");
    assert_refused("{\"s\":\"a\\u0000b\"}", QMN_E_MALFORMED, "", "NUL is not allowed");
    assert_refused("", QMN_E_MALFORMED, "", "byte 0");
}

static void the_root_must_be_an_object(void **state)
{
    (void)state;
    assert_refused("[1]", QMN_E_INVALID, "", "expected an object, got an array");
    assert_refused("null", QMN_E_INVALID, "", "expected an object, got null");
    assert_refused("7", QMN_E_INVALID, "", "expected an object, got a number");
}

static void a_wrong_type_names_both_types(void **state)
{
    (void)state;
    assert_refused("{\"i32\":\"5\"}", QMN_E_INVALID, "i32", "expected an integer, got a string");
    assert_refused("{\"f\":true}", QMN_E_INVALID, "f", "expected a number, got true");
    assert_refused("{\"b\":1}", QMN_E_INVALID, "b", "expected true or false, got a number");
    assert_refused("{\"s\":5}", QMN_E_INVALID, "s", "expected a string, got a number");
    assert_refused("{\"inner\":[]}", QMN_E_INVALID, "inner", "expected an object, got an array");
    assert_refused("{\"strings\":\"x\"}", QMN_E_INVALID, "strings", "expected an array");
    assert_refused("{\"labels\":[]}", QMN_E_INVALID, "labels", "expected an object");
    assert_refused("{\"at\":5}", QMN_E_INVALID, "at", "expected an RFC 3339 time, got a number");
    assert_refused("{\"blob\":\"***\"}", QMN_E_INVALID, "blob", "expected base64");
    assert_refused("{\"color\":\"green\"}", QMN_E_INVALID, "color", "\"green\"");
    assert_refused("{\"vector\":{}}", QMN_E_INVALID, "vector", "expected an array");
}

static void numbers_beyond_their_type_are_refused(void **state)
{
    (void)state;
    assert_refused("{\"i32\":2147483648}", QMN_E_INVALID, "i32", "got 2147483648");
    assert_refused("{\"i32\":-2147483649}", QMN_E_INVALID, "i32", "32 bits");
    assert_refused("{\"u32\":4294967296}", QMN_E_INVALID, "u32", "from 0 to 4294967295");
    assert_refused("{\"u32\":-1}", QMN_E_INVALID, "u32", "got -1");
    assert_refused("{\"u64\":18446744073709551616}", QMN_E_INVALID, "u64",
                   "got 1844674407370955161");
    assert_refused("{\"i64\":9223372036854775808}", QMN_E_INVALID, "i64", "64 bits");
    assert_refused("{\"i64\":-9223372036854775809}", QMN_E_INVALID, "i64", "64 bits");
    assert_refused("{\"f\":1e39}", QMN_E_INVALID, "f", "float32, got 1e39");
    assert_refused("{\"d\":1e309}", QMN_E_INVALID, "d", "float64");
    assert_refused("{\"vector\":[1,1e39]}", QMN_E_INVALID, "vector[1]", "float32, got 1e39");
}

static void an_integer_may_be_written_with_a_fraction_of_zero(void **state)
{
    (void)state;
    struct err err;
    Test__V1__All *m = decode_all("{\"i32\":-3.0,\"u32\":1e1,\"i64\":-0}", &err);
    assert_non_null(m);
    assert_int_equal(m->i32, -3);
    assert_int_equal(m->u32, 10);
    assert_true(m->i64 == 0);
    assert_refused("{\"i32\":3.5}", QMN_E_INVALID, "i32", "got 3.5");
    assert_refused("{\"i64\":1e17}", QMN_E_INVALID, "i64", "got 1e17");
}

static void lists_of_every_kind_are_read(void **state)
{
    (void)state;
    struct err err;
    Test__V1__All *m =
        decode_all("{\"strings\":[\"a\",\"\\u0062\"],\"numbers\":[1,2,3,4,5,6,7,8,9],"
                   "\"doubles\":[0.5],\"bools\":[true,false],\"colors\":[\"red\",\"dark_blue\"],"
                   "\"objects\":[{\"x\": 1},{}],\"inners\":[{\"name\":\"n\"},{}]}",
                   &err);
    assert_non_null(m);
    assert_int_equal(m->n_strings, 2);
    assert_string_equal(m->strings[1], "b");
    assert_int_equal(m->n_numbers, 9);
    assert_int_equal(m->numbers[8], 9);
    assert_true(m->n_doubles == 1 && m->doubles[0] == 0.5);
    assert_true(m->n_bools == 2 && m->bools[0] && !m->bools[1]);
    assert_true(m->n_colors == 2 && m->colors[1] == TEST__V1__COLOR__COLOR_DARK_BLUE);
    assert_int_equal(m->n_objects, 2);
    assert_bytes_equal(bytes_of(m->objects[0].data, m->objects[0].len), "{\"x\": 1}");
    assert_int_equal(m->n_inners, 2);
    assert_string_equal(m->inners[0]->name, "n");
}

static void null_is_no_element(void **state)
{
    (void)state;
    assert_refused("{\"strings\":[\"a\",null]}", QMN_E_INVALID, "strings[1]", "got null");
    assert_refused("{\"inners\":[null]}", QMN_E_INVALID, "inners[0]", "got null");
    assert_refused("{\"vector\":[1,null]}", QMN_E_INVALID, "vector[1]", "got null");
    assert_refused("{\"objects\":[null]}", QMN_E_INVALID, "objects[0]", "got null");
}

static void maps_are_objects(void **state)
{
    (void)state;
    struct err err;
    Test__V1__All *m = decode_all("{\"labels\":{\"a\\n\":\"x\",\"\":\"y\"},\"scores\":{\"s\":0.5,"
                                  "\"none\":null},\"parts\":{\"p\":{\"tags\":[\"t\"]},\"q\":{}}}",
                                  &err);
    assert_non_null(m);
    assert_int_equal(m->n_labels, 2);
    assert_string_equal(m->labels[0]->key, "a\n");
    assert_string_equal(m->labels[1]->value, "y");
    assert_int_equal(m->n_scores, 1);
    assert_true(m->scores[0]->value == 0.5f);
    assert_int_equal(m->n_parts, 2);
    assert_string_equal(m->parts[0]->value->tags[0], "t");
    assert_refused("{\"labels\":{\"a\":\"x\",\"a\":\"y\"}}", QMN_E_MALFORMED, "", "twice");
}

static void paths_lead_to_the_field_at_fault(void **state)
{
    (void)state;
    assert_refused("{\"inner\":{\"child\":{\"name\":5}}}", QMN_E_INVALID, "inner.child.name",
                   "string");
    assert_refused("{\"inners\":[{},{\"tags\":[\"a\",7]}]}", QMN_E_INVALID, "inners[1].tags[1]",
                   "string");
    assert_refused("{\"inner\":{\"embedding\":[1,2,\"x\"]}}", QMN_E_INVALID, "inner.embedding[2]",
                   "number");
    assert_refused("{\"scores\":{\"ag\":\"x\"}}", QMN_E_INVALID, "scores.ag", "number");
    assert_refused("{\"parts\":{\"p\":{\"name\":[]}}}", QMN_E_INVALID, "parts.p.name", "string");
    assert_refused("{\"inners\":[{},{},3]}", QMN_E_INVALID, "inners[2]", "object");
}

static void a_long_path_is_cut_not_overrun(void **state)
{
    (void)state;
    char json[400], key[200];
    struct err err;
    memset(key, 'k', sizeof key - 1);
    key[sizeof key - 1] = 0;
    snprintf(json, sizeof json, "{\"labels\":{\"%s\":1}}", key);
    assert_null(decode_all(json, &err));
    assert_int_equal(strlen(err.field), sizeof err.field - 1);
}

static void raw_json_is_kept_verbatim_and_validated(void **state)
{
    (void)state;
    struct err err;
    const char *raw = "{ \"a\" : [1.50, \"\\u00e9\"] }";
    char json[200];
    snprintf(json, sizeof json, "{\"object\":%s,\"any\": [1, 2] }", raw);
    Test__V1__All *m = decode_all(json, &err);
    assert_non_null(m);
    assert_bytes_equal(bytes_of(m->object.data, m->object.len), raw);
    assert_bytes_equal(bytes_of(m->any.data, m->any.len), "[1, 2]");
    assert_refused("{\"object\":[1]}", QMN_E_INVALID, "object", "expected an object, got an array");
    assert_refused("{\"object\":\"{}\"}", QMN_E_INVALID, "object", "got a string");
    assert_refused("{\"object\":{\"a\":1,\"a\":2}}", QMN_E_MALFORMED, "", "twice");
    assert_refused("{\"object\":{\"a\":\"\xff\"}}", QMN_E_MALFORMED, "", "UTF-8");
}

static void raw_json_counts_toward_the_depth_of_the_document(void **state)
{
    (void)state;
    char json[128];
    struct err err;
    int inner = LIMIT_JSON_DEPTH - 1; /* the message itself is one level */
    for (int extra = 0; extra < 2; extra++) {
        int n = snprintf(json, sizeof json, "{\"any\":");
        for (int i = 0; i < inner + extra; i++)
            json[n++] = '[';
        for (int i = 0; i < inner + extra; i++)
            json[n++] = ']';
        json[n++] = '}';
        json[n] = 0;
        assert_true((decode_all(json, &err) != NULL) == !extra);
    }
    assert_int_equal(err.code, QMN_E_MALFORMED);
}

static void times_come_in_as_text(void **state)
{
    (void)state;
    struct err err;
    Test__V1__All *m = decode_all("{\"at\":\"2024-05-01T12:00:00.25+02:00\"}", &err);
    assert_non_null(m);
    assert_true(m->has_at && m->at == INT64_C(1714557600250));
    assert_refused("{\"at\":\"yesterday\"}", QMN_E_INVALID, "at",
                   "expected an RFC 3339 time, got \"yesterday\"");
}

static void floats_may_come_as_base64(void **state)
{
    (void)state;
    struct err err;
    Test__V1__All *m = decode_all("{\"vector_b64\":\"AACAPwAAAMA=\",\"inner\":"
                                  "{\"embedding_b64\":\"AACA\\/w==\"}}",
                                  &err);
    /* the escaped slash makes an infinity: see below */
    assert_null(m);
    assert_string_equal(err.field, "inner.embedding");
    m = decode_all("{\"vector_b64\":\"AACAPwAAAMA=\"}", &err);
    assert_non_null(m);
    assert_int_equal(m->n_vector, 2);
    assert_true(m->vector[0] == 1.0f && m->vector[1] == -2.0f);
}

static void wrong_base64_floats_are_refused(void **state)
{
    (void)state;
    assert_refused("{\"vector_b64\":\"AACAPw\"}", QMN_E_INVALID, "vector", "base64");
    assert_refused("{\"vector_b64\":\"AACAPwA=\"}", QMN_E_INVALID, "vector", "float32");
    assert_refused("{\"vector_b64\":\"AAC-PwAA\"}", QMN_E_INVALID, "vector", "base64");
    assert_refused("{\"vector_b64\":[1]}", QMN_E_INVALID, "vector", "base64");
    assert_refused("{\"vector_b64\":\"AADAfw==\"}", QMN_E_INVALID, "vector", "NaN");    /* NaN */
    assert_refused("{\"vector_b64\":\"AACA/w==\"}", QMN_E_INVALID, "vector", "finite"); /* -inf */
}

static void an_array_and_its_base64_exclude_each_other(void **state)
{
    (void)state;
    struct err err;
    assert_refused("{\"vector\":[1,2],\"vector_b64\":\"AACAPwAAAMA=\"}", QMN_E_INVALID, "vector",
                   "got both");
    assert_refused("{\"vector_b64\":\"AACAPwAAAMA=\",\"vector\":[1,2]}", QMN_E_INVALID, "vector",
                   "got both");
    assert_non_null(decode_all("{\"vector\":null,\"vector_b64\":\"AACAPwAAAMA=\"}", &err));
}

static void bare_arrays_are_read_back(void **state)
{
    (void)state;
    struct err err;
    Test__V1__List *list =
        schema_decode("[{\"name\":\"a\"},{\"tags\":[]}]", &test__v1__list__descriptor, &err);
    assert_non_null(list);
    assert_int_equal(list->n_items, 2);
    assert_string_equal(list->items[0]->name, "a");
    Test__V1__Names *names = schema_decode("[\"x\",\"y\"]", &test__v1__names__descriptor, &err);
    assert_non_null(names);
    assert_int_equal(names->n_names, 2);
    assert_null(schema_decode("[{},{\"name\":1}]", &test__v1__list__descriptor, &err));
    assert_string_equal(err.field, "[1].name");
    assert_null(schema_decode("{}", &test__v1__names__descriptor, &err));
    assert_non_null(strstr(err.text, "expected an array, got an object"));
}

static void constraints_hold_after_decoding(void **state)
{
    (void)state;
    assert_refused("{\"u32\":0}", QMN_E_INVALID, "u32", "expected 1 to 100, got 0");
    assert_refused("{\"inner\":{\"name\":\"123456789\"}}", QMN_E_INVALID, "inner.name",
                   "expected 1 to 8 characters, got 9");
}

static void an_array_stops_at_its_bound_while_it_is_read(void **state)
{
    (void)state;
    assert_refused("{\"strings\":[\"a\",\"b\",\"c\",\"d\",\"e\",5]}", QMN_E_INVALID, "strings[4]",
                   "at most 4");
    struct buf b;
    struct err err;
    buf_init(&b, 1u << 20);
    buf_adds(&b, "{\"doubles\":[0");
    for (int i = 0; i < 100000; i++)
        buf_adds(&b, ",0");
    buf_addc(&b, ']');
    buf_addc(&b, 0); /* never reached: the bound comes first */
    assert_null(decode_all(b.ptr, &err));
    assert_string_equal(err.field, "doubles[4096]");
    buf_clear(&b);
    buf_adds(&b, "{\"vector\":[0");
    for (int i = 0; i < 4096; i++)
        buf_adds(&b, ",0.5");
    buf_adds(&b, "]}");
    buf_addc(&b, 0);
    assert_null(decode_all(b.ptr, &err));
    assert_int_equal(err.code, QMN_E_INVALID);
    assert_string_equal(err.field, "vector[4096]");
    buf_release(&b);
}

static void messages_nest_only_so_deep(void **state)
{
    (void)state;
    char json[1024];
    struct err err;
    int n = snprintf(json, sizeof json, "{\"inner\":{");
    for (int i = 0; i < 28; i++)
        n += snprintf(json + n, sizeof json - (size_t)n, "\"child\":{");
    for (int i = 0; i < 30; i++)
        json[n++] = '}';
    json[n] = 0;
    assert_null(decode_all(json, &err));
    assert_int_equal(err.code, QMN_E_INVALID);
    assert_non_null(strstr(err.text, "nested at most 16 deep"));
}

static void later_sources_override_earlier_ones(void **state)
{
    (void)state;
    struct arena *a = schema_arena();
    Test__V1__All *m = (Test__V1__All *)message_new(&test__v1__all__descriptor, a);
    assert_int_equal(
        json_decode_into(BYTES_LIT("{\"u32\":5,\"strings\":[\"a\",\"b\"]}"), &m->base, a, NULL),
        QMN_OK);
    assert_int_equal(json_decode_into(BYTES_LIT("{\"strings\":[\"c\"]}"), &m->base, a, NULL),
                     QMN_OK);
    assert_int_equal(query_decode_into(BYTES_LIT("u32=6"), &m->base, a, NULL), QMN_OK);
    assert_int_equal(message_set_text(&m->base, "word", BYTES_LIT("two"), a, NULL), QMN_OK);
    assert_int_equal(m->u32, 6);
    assert_int_equal(m->n_strings, 1);
    assert_string_equal(m->strings[0], "c");
    assert_string_equal(m->word, "two");
    assert_int_equal(message_check(&m->base, NULL), QMN_OK);
}

static void an_unregistered_message_is_our_error(void **state)
{
    (void)state;
    struct err err;
    assert_null(schema_decode("{}", &test__v1__stranger__descriptor, &err));
    assert_int_equal(err.code, QMN_E_INTERNAL);
}

static void running_out_of_memory_is_told_at_every_allocation(void **state)
{
    (void)state;
    const char *json =
        "{\"strings\":[\"\\u0061\",\"b\"],\"inner\":{\"tags\":[\"t\"]},\"vector\":[1,2],"
        "\"labels\":{\"k\":\"v\"},\"blob\":\"AAAA\",\"parts\":{\"p\":{}}}";
    for (size_t room = 0;; room += 16) { /* the arena's bound stands for the failing allocator */
        struct arena a;
        ProtobufCMessage *msg = NULL;
        struct err err;
        arena_init(&a, room ? room : 1);
        enum qmn_code code =
            json_decode(bytes_cstr(json), &test__v1__all__descriptor, &a, &msg, &err);
        arena_release(&a);
        if (code == QMN_OK)
            break;
        assert_int_equal(code, QMN_E_NOMEM);
        assert_null(msg);
        assert_true(room < 100000);
    }
}

static void a_broadcast_with_1536_dimensions_is_read(void **state)
{
    (void)state;
    struct buf b;
    struct err err;
    buf_init(&b, 1u << 20);
    buf_adds(&b, "{\"summary\":\"s\",\"embedding\":[");
    for (int i = 0; i < 1536; i++)
        buf_printf(&b, "%s%.17g", i ? ", " : "", (i - 700) / 977.0);
    buf_adds(&b, "],\"tool_hints\":[\"x\"]}");
    buf_addc(&b, 0);
    Qmn__V1__BroadcastRequest *m =
        schema_decode(b.ptr, &qmn__v1__broadcast_request__descriptor, &err);
    assert_non_null(m);
    assert_int_equal(m->n_embedding, 1536);
    for (int i = 0; i < 1536; i++)
        assert_true(m->embedding[i] == (float)((i - 700) / 977.0));
    assert_int_equal(m->ttl_sec, 180);
    assert_string_equal(m->sensitivity, "internal");
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_scalar_type_is_read),
        cmocka_unit_test(absent_and_null_fields_have_their_defaults),
        cmocka_unit_test(unknown_fields_are_ignored_but_validated),
        cmocka_unit_test(malformed_text_is_told_by_its_byte),
        cmocka_unit_test(the_root_must_be_an_object),
        cmocka_unit_test(a_wrong_type_names_both_types),
        cmocka_unit_test(numbers_beyond_their_type_are_refused),
        cmocka_unit_test(an_integer_may_be_written_with_a_fraction_of_zero),
        cmocka_unit_test(lists_of_every_kind_are_read),
        cmocka_unit_test(null_is_no_element),
        cmocka_unit_test(maps_are_objects),
        cmocka_unit_test(paths_lead_to_the_field_at_fault),
        cmocka_unit_test(a_long_path_is_cut_not_overrun),
        cmocka_unit_test(raw_json_is_kept_verbatim_and_validated),
        cmocka_unit_test(raw_json_counts_toward_the_depth_of_the_document),
        cmocka_unit_test(times_come_in_as_text),
        cmocka_unit_test(floats_may_come_as_base64),
        cmocka_unit_test(wrong_base64_floats_are_refused),
        cmocka_unit_test(an_array_and_its_base64_exclude_each_other),
        cmocka_unit_test(bare_arrays_are_read_back),
        cmocka_unit_test(constraints_hold_after_decoding),
        cmocka_unit_test(an_array_stops_at_its_bound_while_it_is_read),
        cmocka_unit_test(messages_nest_only_so_deep),
        cmocka_unit_test(later_sources_override_earlier_ones),
        cmocka_unit_test(an_unregistered_message_is_our_error),
        cmocka_unit_test(running_out_of_memory_is_told_at_every_allocation),
        cmocka_unit_test(a_broadcast_with_1536_dimensions_is_read),
    };
    return cmocka_run_group_tests(tests, schema_setup, schema_teardown);
}
