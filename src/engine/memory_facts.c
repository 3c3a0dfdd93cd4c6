/* SPDX-License-Identifier: MIT
 *
 * What a row of a memory says that it can be filtered by.  Metadata is walked in the order of the
 * document; an array stands for its elements, as in MongoDB, but not for those of an array in it.
 * Pure. */
#include "engine/memory_sets_priv.h"

#include "codec/json_floats.h"
#include "codec/json_read.h"

struct walk {
    struct json_reader json;
    struct arena *arena;
    struct fact *facts;
    size_t count, most;
    struct err *err;
};

static struct bytes child_path(struct walk *w, struct bytes path, struct bytes key)
{
    size_t len = path.len + 1 + key.len;
    char *text = len <= LIMIT_METADATA_PATH_BYTES ? arena_alloc(w->arena, len) : NULL;
    if (!text)
        return bytes_of(NULL, 0);
    memcpy(text, path.ptr, path.len);
    text[path.len] = '.';
    if (key.len)
        memcpy(text + path.len + 1, key.ptr, key.len);
    return bytes_of(text, len);
}

static void add(struct walk *w, struct fact x)
{
    if (w->count < w->most)
        w->facts[w->count++] = x;
}

/* The elements of an array may have the same keys. */
static void add_path(struct walk *w, struct bytes path, bool repeats)
{
    for (size_t i = 0; repeats && i < w->count; i++)
        if (w->facts[i].type == FACT_PATH && bytes_equal(w->facts[i].path, path))
            return;
    add(w, (struct fact){.type = FACT_PATH, .path = path});
}

static enum qmn_code add_text(struct walk *w, struct bytes path, const struct json_token *t)
{
    struct fact x = {.type = FACT_TEXT, .path = path};
    TRY(json_text(&w->json, t, &x.text, w->err));
    if (x.text.len > LIMIT_METADATA_VALUE_BYTES) {
        x.type = FACT_LONG;
        x.text.len = LIMIT_METADATA_VALUE_BYTES;
    }
    add(w, x);
    return QMN_OK;
}

enum where { IN_OBJECT = 1, IN_ARRAY };

static enum qmn_code value(struct walk *w, struct bytes path, const struct json_token *t,
                           enum where where, bool repeats);

static enum qmn_code object(struct walk *w, struct bytes path, bool repeats)
{
    for (;;) {
        struct json_token key, t;
        TRY(json_next(&w->json, &key, w->err));
        if (key.kind == JSON_OBJECT_END)
            return QMN_OK;
        struct bytes child = child_path(w, path, key.text);
        TRY(json_next(&w->json, &t, w->err));
        if (!child.ptr || w->count == w->most) {
            TRY(json_skip(&w->json, &t, NULL, w->err));
            continue;
        }
        add_path(w, child, repeats);
        TRY(value(w, child, &t, IN_OBJECT, repeats));
    }
}

static enum qmn_code array(struct walk *w, struct bytes path)
{
    for (;;) {
        struct json_token t;
        TRY(json_next(&w->json, &t, w->err));
        if (t.kind == JSON_ARRAY_END)
            return QMN_OK;
        TRY(value(w, path, &t, IN_ARRAY, true));
    }
}

/* Recursion is bounded by the reader's depth. */
static enum qmn_code value(struct walk *w, struct bytes path, const struct json_token *t,
                           enum where where, bool repeats)
{
    struct fact x = {.path = path};
    switch (t->kind) {
    case JSON_OBJECT:
        return object(w, path, repeats);
    case JSON_ARRAY:
        return where == IN_ARRAY ? json_skip(&w->json, t, NULL, w->err) : array(w, path);
    case JSON_STRING:
        return add_text(w, path, t);
    case JSON_NUMBER:
        x.type = FACT_NUMBER;
        if (double_parse(t->text, &x.number))
            add(w, x);
        return QMN_OK;
    case JSON_TRUE:
    case JSON_FALSE:
        x.type = t->kind == JSON_TRUE ? FACT_TRUE : FACT_FALSE;
        add(w, x);
        return QMN_OK;
    default:
        x.type = FACT_NULL;
        add(w, x);
        return QMN_OK;
    }
}

static void add_id(struct walk *w, const char *path, struct bytes text)
{
    struct fact x = {.type = FACT_TEXT, .path = bytes_cstr(path), .text = text};
    if (!text.len)
        return;
    if (text.len > TERM_TEXT_BYTES) { /* longer than any that can be asked for */
        x.type = FACT_LONG;
        x.text.len = TERM_TEXT_BYTES;
    }
    add(w, (struct fact){.type = FACT_PATH, .path = x.path});
    add(w, x);
}

bool memory_facts(const struct record_memory *m, struct bytes agent_id, struct arena *arena,
                  struct fact **ret, size_t *ret_count)
{
    struct walk *w = arena_new(arena, struct walk);
    struct json_token t;
    if (!w)
        return false;
    *w = (struct walk){.arena = arena, .most = LIMIT_METADATA_FACTS + MEMORY_ID_FACTS};
    w->facts = arena_raw(arena, struct fact, w->most);
    if (!w->facts)
        return false;
    add_id(w, "kind", m->kind);
    add_id(w, "agent_id", agent_id);
    add_id(w, "task_id", m->task_id);
    add_id(w, "trace_id", m->trace_id);
    w->most = w->count + LIMIT_METADATA_FACTS;
    json_reader_init(&w->json, m->metadata, arena);
    enum qmn_code code = m->metadata.len ? json_next(&w->json, &t, w->err) : QMN_E_MALFORMED;
    if (code == QMN_OK && t.kind == JSON_OBJECT)
        code = object(w, BYTES_LIT("metadata"), false);
    *ret = w->facts;
    *ret_count = w->count;
    return code != QMN_E_NOMEM && !arena->failed;
}
