/* SPDX-License-Identifier: MIT
 *
 * The reader against cJSON: whatever ours accepts, cJSON accepts with the same keys, strings and
 * numbers in the same order.  The other way round does not hold: ours refuses duplicate keys,
 * malformed UTF-8, U+0000, control characters in strings, leading zeros, deep nesting.
 *
 * Known difference: cJSON reads no number of more than 63 characters. */
#include "support/fuzz.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "codec/json_floats.h"
#include "codec/json_read.h"

enum { CJSON_NUMBER_CHARS = 63 };

static bool next(struct json_reader *r, struct json_token *t)
{
    return json_next(r, t, NULL) == QMN_OK;
}

/* Reads to the end.  *ret_long: a number longer than cJSON reads. */
static bool ours_accepts(struct bytes in, struct arena *a, bool *ret_long)
{
    struct json_reader r;
    struct json_token t;
    json_reader_init(&r, in, a);
    *ret_long = false;
    do {
        if (!next(&r, &t))
            return false;
        *ret_long |= t.kind == JSON_NUMBER && t.text.len > CJSON_NUMBER_CHARS;
    } while (t.kind != JSON_END);
    return true;
}

static void same_text(const char *theirs, struct bytes ours)
{
    assert(bytes_equal(bytes_cstr(theirs), ours));
}

/* One value; recursion is bounded by the reader's depth. */
static void same_value(const cJSON *theirs, struct json_reader *r, const struct json_token *t)
{
    struct json_token inner;
    struct bytes text;
    double number;
    const cJSON *child = theirs->child;
    switch (t->kind) {
    case JSON_OBJECT:
        assert(cJSON_IsObject(theirs));
        for (; next(r, &inner) && inner.kind == JSON_KEY; child = child->next) {
            assert(child);
            same_text(child->string, inner.text);
            assert(next(r, &inner));
            same_value(child, r, &inner);
        }
        assert(!child && inner.kind == JSON_OBJECT_END);
        return;
    case JSON_ARRAY:
        assert(cJSON_IsArray(theirs));
        for (; next(r, &inner) && inner.kind != JSON_ARRAY_END; child = child->next) {
            assert(child);
            same_value(child, r, &inner);
        }
        assert(!child && inner.kind == JSON_ARRAY_END);
        return;
    case JSON_STRING:
        assert(cJSON_IsString(theirs) && json_text(r, t, &text, NULL) == QMN_OK);
        same_text(theirs->valuestring, text);
        return;
    case JSON_NUMBER:
        assert(cJSON_IsNumber(theirs));
        assert(!double_parse(t->text, &number) || number == theirs->valuedouble);
        return;
    case JSON_NULL:
        assert(cJSON_IsNull(theirs));
        return;
    default:
        assert(cJSON_IsBool(theirs) && cJSON_IsTrue(theirs) == (t->kind == JSON_TRUE));
        return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct json_reader r;
    struct json_token t;
    bool long_number;
    arena_init(&a, 0);
    struct bytes in = arena_bytes(&a, bytes_of(data, size));
    bool accepted = ours_accepts(in, &a, &long_number);
    assert(json_valid(in, &a, NULL) == accepted);
    if (accepted && !long_number) {
        cJSON *theirs = cJSON_ParseWithLength(in.ptr, in.len);
        assert(theirs);
        json_reader_init(&r, in, &a);
        assert(next(&r, &t));
        same_value(theirs, &r, &t);
        cJSON_Delete(theirs);
    }
    arena_release(&a);
    return 0;
}
