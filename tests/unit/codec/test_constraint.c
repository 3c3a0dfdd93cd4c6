/* SPDX-License-Identifier: MIT */
#include "schema.h"

#include <string.h>

#include "codec/constraint.h"
#include "qmn/v1/identity.pb-c.h"
#include "qmn/v1/memory.pb-c.h"
#include "qmn/v1/node.pb-c.h"
#include "qmn/v1/reinforcement.pb-c.h"
#include "qmn/v1/router.pb-c.h"

static unsigned field_index(const ProtobufCMessageDescriptor *desc, const char *name)
{
    for (unsigned i = 0; i < desc->n_fields; i++)
        if (strcmp(desc->fields[i].name, name) == 0)
            return i;
    fail_msg("no field %s", name);
    return 0;
}

/* A row that must not be accepted; the registry starts over afterwards. */
static void assert_misfit(const ProtobufCMessageDescriptor *desc, struct constraint row,
                          const char *part)
{
    struct err err = {0};
    struct message_rules rules = {desc, &row, 1};
    codec_release();
    enum qmn_code code = codec_register(&rules, 1, &err);
    codec_release();
    if (code == QMN_E_INTERNAL && strstr(err.text, part) && strstr(err.text, row.field))
        return;
    print_error("%s: code %d, \"%s\"\n", row.field, (int)code, err.text);
    fail();
}

static void the_wire_table_fits_the_schema(void **state)
{
    (void)state;
    struct err err = {0};
    codec_release();
    assert_int_equal(codec_init(&err), QMN_OK);
    assert_int_equal(codec_init(&err), QMN_OK);
    codec_release();
}

static void rows_that_do_not_fit_stop_the_start(void **state)
{
    (void)state;
    const ProtobufCMessageDescriptor *all = &test__v1__all__descriptor;
    assert_misfit(all, (struct constraint){.field = "i33"}, "no such field");
    assert_misfit(all, (struct constraint){.field = "s", .flags = CON_RAW_JSON}, "bytes");
    assert_misfit(all, (struct constraint){.field = "u64", .flags = CON_TIME}, "int64");
    assert_misfit(all, (struct constraint){.field = "at", .flags = CON_TIME | CON_ALWAYS},
                  "no default");
    assert_misfit(all, (struct constraint){.field = "s", .flags = CON_NULLABLE | CON_ALWAYS},
                  "not both");
    assert_misfit(all, (struct constraint){.field = "inners", .flags = CON_BARE_ARRAY},
                  "bare array");
    assert_misfit(all, (struct constraint){.field = "doubles", .flags = CON_VECTOR}, "float");
    assert_misfit(all, (struct constraint){.field = "s", .flags = CON_OR_TEXT}, "or text");
    assert_misfit(all, (struct constraint){.field = "i32", .pattern = PATTERN_TOKEN}, "string");
    assert_misfit(all, (struct constraint){.field = "s", .each = {1, 2}}, "repeated");
    assert_misfit(all, (struct constraint){.field = "b", .range = {0, 1}}, "type");
    assert_misfit(all, (struct constraint){.field = "i32", .range = {5, 1}}, "empty");
    assert_misfit(all,
                  (struct constraint){.field = "object", .flags = CON_RAW_JSON | CON_RAW_VALUE},
                  "not both");
}

static void a_field_or_message_stands_once(void **state)
{
    (void)state;
    struct err err;
    static const struct constraint twice[] = {{.field = "s"}, {.field = "s"}};
    struct message_rules rules[] = {{&test__v1__all__descriptor, twice, 2},
                                    {&test__v1__all__descriptor, twice, 1}};
    codec_release();
    assert_int_equal(codec_register(rules, 1, &err), QMN_E_INTERNAL);
    assert_non_null(strstr(err.text, "two rows"));
    codec_release();
    rules[0].count = 1;
    assert_int_equal(codec_register(rules, 2, &err), QMN_E_INTERNAL);
    assert_non_null(strstr(err.text, "twice"));
    codec_release();
}

static bool listed(const ProtobufCMessageDescriptor *desc)
{
    for (size_t i = 0; constraint_table_at(i); i++)
        if (constraint_table_at(i)->message == desc)
            return true;
    return false;
}

static void every_message_of_the_schema_is_listed(void **state)
{
    (void)state;
    struct err err;
    assert_int_equal(codec_init(&err), QMN_OK);
    for (size_t i = 0; constraint_table_at(i); i++) {
        const ProtobufCMessageDescriptor *desc = constraint_table_at(i)->message;
        for (unsigned k = 0; k < desc->n_fields; k++) {
            const ProtobufCFieldDescriptor *fd = &desc->fields[k];
            if (fd->type == PROTOBUF_C_TYPE_MESSAGE && !constraint_is_map(fd))
                assert_true(listed(fd->descriptor));
        }
    }
    codec_release();
}

/* What the schema's conventions promise is what the table says. */
static void times_and_objects_of_the_schema_are_marked(void **state)
{
    (void)state;
    struct err err;
    assert_int_equal(codec_init(&err), QMN_OK);
    for (size_t i = 0; constraint_table_at(i); i++) {
        const ProtobufCMessageDescriptor *desc = constraint_table_at(i)->message;
        for (unsigned k = 0; k < desc->n_fields; k++) {
            const ProtobufCFieldDescriptor *fd = &desc->fields[k];
            uint32_t flags = constraint_of(desc, k)->flags;
            bool fits = true;
            if (fd->type == PROTOBUF_C_TYPE_INT64)
                fits = (flags & CON_TIME) != 0;
            if (fd->type == PROTOBUF_C_TYPE_BYTES)
                fits = (flags & (CON_RAW_JSON | CON_RAW_VALUE)) != 0;
            if (!fits)
                fail_msg("%s.%s", desc->name, fd->name);
        }
    }
    codec_release();
}

/* Every string and list of a request has a bound: nothing a client sends is stored unmeasured. */
static void requests_bound_all_their_texts_and_lists(void **state)
{
    (void)state;
    struct err err;
    assert_int_equal(codec_init(&err), QMN_OK);
    for (size_t i = 0; constraint_table_at(i); i++) {
        const ProtobufCMessageDescriptor *desc = constraint_table_at(i)->message;
        bool request = strstr(desc->short_name, "Request") || strstr(desc->short_name, "Ref") ||
                       strcmp(desc->short_name, "AgentProfile") == 0 ||
                       strcmp(desc->short_name, "OutcomeDetail") == 0;
        for (unsigned k = 0; request && k < desc->n_fields; k++) {
            const ProtobufCFieldDescriptor *fd = &desc->fields[k];
            const struct constraint *row = constraint_of(desc, k);
            bool repeated = fd->label == PROTOBUF_C_LABEL_REPEATED;
            bool text = fd->type == PROTOBUF_C_TYPE_STRING || fd->type == PROTOBUF_C_TYPE_BYTES;
            if ((text || repeated) && !bounds_set(row->range) && !row->one_of)
                fail_msg("%s.%s has no bound", desc->name, fd->name);
            if (text && repeated && !bounds_set(row->each))
                fail_msg("%s.%s has no bound for its elements", desc->name, fd->name);
        }
    }
    codec_release();
}

static void a_default_satisfies_its_own_row(void **state)
{
    (void)state;
    struct err err;
    struct arena a;
    assert_int_equal(codec_init(&err), QMN_OK);
    arena_init(&a, 0);
    for (size_t i = 0; constraint_table_at(i); i++) {
        const ProtobufCMessageDescriptor *desc = constraint_table_at(i)->message;
        for (unsigned k = 0; k < desc->n_fields; k++) {
            const ProtobufCFieldDescriptor *fd = &desc->fields[k];
            const struct constraint *row = constraint_of(desc, k);
            if (!fd->default_value)
                continue;
            double v = 0;
            if (fd->type == PROTOBUF_C_TYPE_UINT32)
                v = *(const uint32_t *)fd->default_value;
            else if (fd->type == PROTOBUF_C_TYPE_DOUBLE)
                v = *(const double *)fd->default_value;
            else if (fd->type == PROTOBUF_C_TYPE_STRING && row->one_of) {
                const char *const *word = row->one_of;
                while (*word && strcmp(*word, fd->default_value) != 0)
                    word++;
                if (!*word)
                    fail_msg("%s.%s", desc->name, fd->name);
                continue;
            } else
                continue;
            if (bounds_set(row->range) && (v < row->range.min || v > row->range.max))
                fail_msg("%s.%s", desc->name, fd->name);
        }
    }
    arena_release(&a);
    codec_release();
}

static void rows_are_found_by_field(void **state)
{
    (void)state;
    struct err err;
    assert_int_equal(codec_init(&err), QMN_OK);
    const ProtobufCMessageDescriptor *b = &qmn__v1__broadcast_request__descriptor;
    const struct constraint *row = constraint_of(b, field_index(b, "ttl_sec"));
    assert_true(row->range.min == 1 && row->range.max == 3600);
    row = constraint_of(b, field_index(b, "diversify"));
    assert_non_null(row);
    assert_false(bounds_set(row->range));
    const ProtobufCMessageDescriptor *l = &qmn__v1__agent_list__descriptor;
    assert_true(constraint_of(l, 0)->flags & CON_BARE_ARRAY);
    ProtobufCMessageDescriptor other = *b;
    assert_null(constraint_of(&other, 0));
    codec_release();
}

static void only_map_entries_are_maps(void **state)
{
    (void)state;
    const ProtobufCMessageDescriptor *all = &test__v1__all__descriptor;
    assert_true(constraint_is_map(&all->fields[field_index(all, "labels")]));
    assert_true(constraint_is_map(&all->fields[field_index(all, "parts")]));
    assert_false(constraint_is_map(&all->fields[field_index(all, "inners")]));
    assert_false(constraint_is_map(&all->fields[field_index(all, "inner")]));
    const ProtobufCMessageDescriptor *list = &qmn__v1__audit_list__descriptor;
    assert_false(constraint_is_map(&list->fields[0])); /* AuditEntry only sounds like one */
}

static void patterns_match_what_their_expression_says(void **state)
{
    (void)state;
    static const struct {
        enum constraint_pattern pattern;
        const char *text;
        bool match;
    } cases[] = {
        {PATTERN_TENANT_ID, "abc", true},
        {PATTERN_TENANT_ID, "a-1", true},
        {PATTERN_TENANT_ID, "ab", false},
        {PATTERN_TENANT_ID, "aBc", false},
        {PATTERN_TENANT_ID, "a_c", false},
        {PATTERN_TENANT_ID, "", false},
        {PATTERN_TENANT_ID, "1234567890123456789012345678901234567890123456789012345678901234",
         true},
        {PATTERN_TENANT_ID, "12345678901234567890123456789012345678901234567890123456789012345",
         false},
        {PATTERN_PRINTABLE, "h\xc3\xa9llo \xe2\x82\xac", true},
        {PATTERN_PRINTABLE, "", true},
        {PATTERN_PRINTABLE, "a\nb", false},
        {PATTERN_PRINTABLE, "a\x7f", false},
        {PATTERN_PRINTABLE, "a\xc2\x85", false},
        {PATTERN_PRINTABLE, "a\xc2\xa0", true},
        {PATTERN_TOKEN, "A.b_c:d-9", true},
        {PATTERN_TOKEN, "a b", false},
        {PATTERN_TOKEN, "", false},
        {PATTERN_TOKEN, "a/b", false},
        {PATTERN_NONE, "\n", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (constraint_pattern_match(cases[i].pattern, bytes_cstr(cases[i].text)) != cases[i].match)
            fail_msg("case %zu", i);
    assert_null(constraint_pattern_regex(PATTERN_NONE));
    assert_string_equal(constraint_pattern_regex(PATTERN_TENANT_ID), "^[a-z0-9-]{3,64}$");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_wire_table_fits_the_schema),
        cmocka_unit_test(rows_that_do_not_fit_stop_the_start),
        cmocka_unit_test(a_field_or_message_stands_once),
        cmocka_unit_test(every_message_of_the_schema_is_listed),
        cmocka_unit_test(times_and_objects_of_the_schema_are_marked),
        cmocka_unit_test(requests_bound_all_their_texts_and_lists),
        cmocka_unit_test(a_default_satisfies_its_own_row),
        cmocka_unit_test(rows_are_found_by_field),
        cmocka_unit_test(only_map_entries_are_maps),
        cmocka_unit_test(patterns_match_what_their_expression_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
