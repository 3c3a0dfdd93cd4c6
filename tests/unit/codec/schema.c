/* SPDX-License-Identifier: MIT */
#include "schema.h"

#include <string.h>

static const char *const words[] = {"one", "two", NULL};

static const struct constraint all_rows[] = {
    {.field = "object", .flags = CON_RAW_JSON, .range = {2, 100}},
    {.field = "any", .flags = CON_RAW_VALUE},
    {.field = "at", .flags = CON_TIME},
    {.field = "objects", .flags = CON_RAW_JSON},
    {.field = "u32", .range = {1, 100}},
    {.field = "d", .range = {0, 1}},
    {.field = "s", .range = {2, 5}},
    {.field = "strings", .range = {1, 4}, .each = {1, 3}, .pattern = PATTERN_PRINTABLE},
    {.field = "numbers", .each = {0, 9}},
    {.field = "labels", .range = {0, 2}},
    {.field = "vector", .flags = CON_VECTOR, .range = {2, 4096}},
    {.field = "word", .one_of = words},
    {.field = "tenant", .pattern = PATTERN_TENANT_ID},
};
static const struct constraint score_rows[] = {
    {.field = "key", .range = {1, 4}},
    {.field = "value", .range = {0, 1}},
};
static const struct constraint inner_rows[] = {
    {.field = "name", .range = {1, 8}},
    {.field = "tags", .range = {0, 3}, .each = {1, 5}},
};
static const struct constraint list_rows[] = {{.field = "items", .flags = CON_BARE_ARRAY}};
static const struct constraint names_rows[] = {{.field = "names", .flags = CON_BARE_ARRAY}};
static const struct constraint filled_rows[] = {
    {.field = "null_text", .flags = CON_NULLABLE},
    {.field = "null_time", .flags = CON_TIME | CON_NULLABLE},
    {.field = "text", .flags = CON_ALWAYS},
    {.field = "number", .flags = CON_ALWAYS},
    {.field = "flag", .flags = CON_ALWAYS},
    {.field = "object", .flags = CON_RAW_JSON | CON_ALWAYS},
    {.field = "list", .flags = CON_ALWAYS},
    {.field = "map", .flags = CON_ALWAYS},
    {.field = "names", .flags = CON_ALWAYS},
};
static const struct constraint needs_rows[] = {
    {.field = "name", .flags = CON_REQUIRED},
    {.field = "tags", .flags = CON_REQUIRED},
    {.field = "inner", .flags = CON_REQUIRED},
};

#define RULES(m)                                                                                   \
    {                                                                                              \
        &test__v1__##m##__descriptor, m##_rows, ARRAY_LEN(m##_rows)                                \
    }
static const struct message_rules rules[] = {
    RULES(all),   {&test__v1__all__scores_entry__descriptor, score_rows, ARRAY_LEN(score_rows)},
    RULES(inner), RULES(list),
    RULES(names), RULES(filled),
    RULES(needs),
};

static struct arena arena;

struct arena *schema_arena(void)
{
    return &arena;
}

int schema_setup(void **state)
{
    (void)state;
    struct err err = {0};
    arena_init(&arena, 0);
    if (codec_init(&err) == QMN_OK && codec_register(rules, ARRAY_LEN(rules), &err) == QMN_OK)
        return 0;
    print_error("%s\n", err.text);
    return -1;
}

int schema_teardown(void **state)
{
    (void)state;
    arena_release(&arena);
    codec_release();
    return 0;
}

void *schema_decode(const char *json, const ProtobufCMessageDescriptor *desc, struct err *err)
{
    ProtobufCMessage *msg = NULL;
    *err = (struct err){0};
    /* A copy that ends where the text ends: reading past it is an error under ASan. */
    struct bytes text = arena_bytes(&arena, bytes_cstr(json));
    if (json_decode(text, desc, &arena, &msg, err) != QMN_OK)
        assert_null(msg);
    return msg;
}

void schema_refused(const char *json, enum qmn_code code, const char *field, const char *part,
                    const char *file, int line)
{
    struct err err;
    if (decode_all(json, &err))
        print_error("accepted: %s\n", json);
    else if (err.code == code && strcmp(err.field, field) == 0 && strstr(err.text, part))
        return;
    else
        print_error("%s: code %d, field \"%s\", \"%s\"\n", json, (int)err.code, err.field,
                    err.text);
    _fail(file, line);
}

const char *schema_encode(const ProtobufCMessage *msg)
{
    struct buf out;
    buf_init(&out, 1u << 20);
    assert_int_equal(json_encode(msg, &out), QMN_OK);
    const char *text = arena_cstr(&arena, buf_bytes(&out));
    buf_release(&out);
    return text;
}
