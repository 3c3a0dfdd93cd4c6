/* SPDX-License-Identifier: MIT
 *
 * Builds a tree of policy values from JSON, without recursion: the reader bounds the depth, and so
 * the stack of open lists and objects. */
#include "engine/policy_json_priv.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "codec/json_read.h"

struct builder {
    struct json_reader *reader;
    struct arena *arena;
    struct bytes name; /* of the member that comes next */
    struct policy_value *root;
    uint32_t depth;
    const struct policy_value **tail[LIMIT_JSON_DEPTH]; /* where the next child goes */
};

static enum qmn_code read_number(struct builder *b, const struct json_token *t, double *ret,
                                 struct err *err)
{
    const char *text = arena_cstr(b->arena, t->text);
    if (!text)
        return err_nomem(err);
    double v = strtod(text, NULL);
    if (!isfinite(v))
        return err_set(err, QMN_E_INVALID, "the number %.*s is too large",
                       t->text.len > 40 ? 40 : BYTES_FMT(t->text));
    *ret = v;
    return QMN_OK;
}

static enum qmn_code fill(struct builder *b, const struct json_token *t, struct policy_value *v,
                          struct err *err)
{
    switch (t->kind) {
    case JSON_OBJECT:
    case JSON_ARRAY:
        v->type = t->kind == JSON_OBJECT ? POLICY_MAP : POLICY_LIST;
        return QMN_OK;
    case JSON_STRING:
        v->type = POLICY_TEXT;
        return json_text(b->reader, t, &v->text, err);
    case JSON_NUMBER:
        v->type = POLICY_NUMBER;
        return read_number(b, t, &v->number, err);
    case JSON_TRUE:
    case JSON_FALSE:
        v->type = POLICY_BOOL;
        v->truth = t->kind == JSON_TRUE;
        return QMN_OK;
    default:
        v->type = POLICY_NULL;
        return QMN_OK;
    }
}

static enum qmn_code add_value(struct builder *b, const struct json_token *t, struct err *err)
{
    struct policy_value *v = arena_new(b->arena, struct policy_value);
    if (!v)
        return err_nomem(err);
    TRY(fill(b, t, v, err));
    v->name = b->name;
    b->name = bytes_of(NULL, 0);
    if (b->depth) {
        *b->tail[b->depth - 1] = v;
        b->tail[b->depth - 1] = &v->next;
    } else {
        b->root = v;
    }
    if (v->type == POLICY_MAP || v->type == POLICY_LIST)
        b->tail[b->depth++] = &v->first;
    return QMN_OK;
}

static void close_value(struct builder *b)
{
    assert(b->depth > 0); /* the reader closes only what it opened */
    b->depth--;
}

enum qmn_code policy_json(struct bytes json, struct arena *arena, const struct policy_value **ret,
                          struct err *err)
{
    struct json_reader reader;
    struct builder b = {.reader = &reader, .arena = arena};
    json_reader_init(&reader, json, arena);
    for (;;) {
        struct json_token t;
        TRY(json_next(&reader, &t, err));
        if (t.kind == JSON_END)
            break;
        if (t.kind == JSON_KEY)
            b.name = t.text;
        else if (t.kind == JSON_OBJECT_END || t.kind == JSON_ARRAY_END)
            close_value(&b);
        else
            TRY(add_value(&b, &t, err));
    }
    *ret = b.root;
    return QMN_OK;
}
