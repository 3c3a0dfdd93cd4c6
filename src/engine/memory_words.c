/* SPDX-License-Identifier: MIT
 *
 * Memories by their words. */
#include "engine/memory_words_priv.h"

#include "codec/json_read.h"
#include "engine/group_priv.h"

/* ---- reading ---- */

/* What is to be cut into words, one line each.  Never more than what it is read from and a line's
 * end: quotes, or what follows a number, make room for that. */
struct lines {
    char *text;
    size_t len;
};

static void put_line(struct lines *l, struct bytes b)
{
    if (b.len)
        memcpy(l->text + l->len, b.ptr, b.len);
    l->text[l->len + b.len] = '\n';
    l->len += b.len + 1;
}

/* Names a field, as in {"text": ..}; others are identifiers that somebody may look for. */
static bool is_plain_key(struct bytes key)
{
    for (size_t i = 0; i < key.len; i++)
        if (key.ptr[i] < 'a' || key.ptr[i] > 'z')
            return false;
    return true;
}

static enum qmn_code put_token(struct lines *l, struct json_reader *r, const struct json_token *t,
                               struct err *err)
{
    struct bytes text = t->text;
    if (t->kind == JSON_STRING)
        TRY(json_text(r, t, &text, err));
    if (t->kind == JSON_STRING || (t->kind == JSON_NUMBER && t->integer) ||
        (t->kind == JSON_KEY && !is_plain_key(text)))
        put_line(l, text);
    return QMN_OK;
}

/* Malformed JSON ends the walk: it was valid when it came, and what was read is right. */
static enum qmn_code put_json(struct lines *l, struct bytes json, struct arena *arena,
                              struct err *err)
{
    struct json_reader r;
    struct json_token t = {0};
    enum qmn_code code = QMN_OK;
    json_reader_init(&r, json, arena);
    while (code == QMN_OK && t.kind != JSON_END) {
        code = json_next(&r, &t, err);
        if (code == QMN_OK)
            code = put_token(l, &r, &t, err);
    }
    return code == QMN_E_NOMEM ? code : QMN_OK;
}

enum qmn_code memory_words_read(uint64_t seed, const struct record_memory *m, struct arena *arena,
                                struct lexical_doc *ret_doc, struct err *err)
{
    struct err ignored = {0};
    struct lexical_doc doc;
    size_t room = m->kind.len + m->task_id.len + m->content.len + m->metadata.len + 4;
    struct lines l = {arena_alloc(arena, room), 0};
    if (!l.text)
        return err_nomem(err);
    put_line(&l, m->kind);
    put_line(&l, m->task_id);
    if (put_json(&l, m->content, arena, &ignored) != QMN_OK ||
        put_json(&l, m->metadata, arena, &ignored) != QMN_OK)
        return err_nomem(err);
    struct bytes text = bytes_of(l.text, l.len);
    TRY(lexical_doc_read(seed, &text, 1, &doc, err));
    *ret_doc = doc;
    ret_doc->counts = arena_copy(arena, doc.counts, doc.len * sizeof *doc.counts);
    lexical_doc_release(&doc);
    return ret_doc->counts || !ret_doc->len ? QMN_OK : err_nomem(err);
}

/* ---- changing ---- */

bool memory_words_reserve(struct engine *e, struct tenant *t, uint32_t words)
{
    uint32_t slots = t->memory_slots + writer_places(e, 0);
    if (t->words_group != writer_group(e)) {
        t->words_group = writer_group(e);
        t->words_coming = 0;
    }
    t->words_coming += words;
    if (lexical_has_room(&t->memory_words, slots, t->words_coming))
        return true;
    pthread_rwlock_wrlock(&e->net.lock);
    bool ok = lexical_reserve(&t->memory_words, slots, t->words_coming);
    pthread_rwlock_unlock(&e->net.lock);
    return ok;
}

uint32_t memory_words_class(uint32_t sensitivity)
{
    return sensitivity < LABEL_PUBLIC   ? 0
           : sensitivity > LABEL_SECRET ? LABEL_SECRET - LABEL_PUBLIC
                                        : sensitivity - LABEL_PUBLIC;
}
_Static_assert(LABEL_SECRET - LABEL_PUBLIC < LEXICAL_CLASSES, "a class for each label");

void memory_words_add(struct tenant *t, uint32_t slot, uint32_t sensitivity,
                      struct lexical_doc *doc)
{
    lexical_add(&t->memory_words, slot, memory_words_class(sensitivity), doc);
}

void memory_words_remove(struct tenant *t, uint32_t slot)
{
    if (lexical_has(&t->memory_words, slot)) /* all at once have gone in a purge */
        lexical_remove(&t->memory_words, slot);
}

void memory_words_release(struct tenant *t)
{
    uint64_t seed = t->memory_words.seed; /* documents may have been read with it */
    lexical_release(&t->memory_words);
    t->memory_words.seed = seed;
}

bool memory_words_hold(const struct tenant *t)
{
    uint64_t docs[LEXICAL_CLASSES] = {0};
    bool ok = lexical_validate(&t->memory_words);
    for (uint32_t i = 0; i < t->memory_slots; i++) {
        ok = ok && t->memories[i].used == lexical_has(&t->memory_words, i);
        docs[memory_words_class(t->memories[i].sensitivity)] += t->memories[i].used;
    }
    for (uint32_t c = 0; c < LEXICAL_CLASSES; c++)
        ok = ok && t->memory_words.classes[c].docs == docs[c];
    return ok;
}
