/* SPDX-License-Identifier: MIT
 *
 * The token machine.  What may come next is a state, what is open is a bounded stack of flags, so a
 * document of any shape costs constant stack space.
 *
 * Duplicate keys are found with one hash set for the whole document whose entries carry the serial
 * number of their object: opening and closing objects costs nothing, and a document with one huge
 * object is as cheap per key as one with many small ones.  The hash is seeded per process, so that
 * nobody can aim keys at one slot. */
#include "json_read.h"

#include <stdatomic.h>
#include <string.h>

#include "base/rng.h"
#include "json_floats.h"
#include "json_string_priv.h"

enum state {
    ST_VALUE,       /* a value */
    ST_FIRST_VALUE, /* a value or ']' */
    ST_KEY,         /* a key */
    ST_FIRST_KEY,   /* a key or '}' */
    ST_AFTER,       /* ',' or the closing bracket; at depth 0 the end */
};

enum { FLOATS_FIRST = 2048 }; /* room for the common 1536 at once */

static uint64_t key_seed(void)
{
    static _Atomic uint64_t seed;
    uint64_t s = atomic_load_explicit(&seed, memory_order_relaxed);
    if (QMN_LIKELY(s))
        return s;
    uint64_t fresh, none = 0;
    rng_secure(&fresh, sizeof fresh);
    fresh |= 1;
    return atomic_compare_exchange_strong(&seed, &none, fresh) ? fresh : none;
}

void json_reader_init(struct json_reader *r, struct bytes text, struct arena *arena)
{
    memset(r, 0, sizeof *r);
    r->start = r->p = text.len ? text.ptr : "";
    r->end = r->p + text.len;
    r->arena = arena;
    r->state = ST_VALUE;
    r->slots = r->first;
    r->slot_count = JSON_KEYS_INLINE;
}

static void skip_space(struct json_reader *r)
{
    const char *p = r->p;
    while (p < r->end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    r->p = p;
}

enum qmn_code json_malformed(const struct json_reader *r, const char *at, const char *expected,
                             struct err *err)
{
    size_t offset = (size_t)(at - r->start);
    if (at >= r->end)
        return err_set(err, QMN_E_MALFORMED, "byte %zu: expected %s, but the text ends", offset,
                       expected);
    unsigned char c = (unsigned char)*at;
    if (c >= 0x20 && c < 0x7f)
        return err_set(err, QMN_E_MALFORMED, "byte %zu: expected %s, got '%c'", offset, expected,
                       c);
    return err_set(err, QMN_E_MALFORMED, "byte %zu: expected %s, got byte 0x%02x", offset, expected,
                   c);
}

/* The slot that holds the key of this object, or the empty one where it belongs. */
static struct json_key *key_slot(struct json_key *slots, uint32_t count, struct json_key key)
{
    uint32_t mask = count - 1;
    for (uint32_t i = key.hash & mask;; i = (i + 1) & mask) {
        struct json_key *s = &slots[i];
        if (!s->serial ||
            (s->serial == key.serial && s->hash == key.hash && bytes_equal(s->text, key.text)))
            return s;
    }
}

static enum qmn_code keys_grow(struct json_reader *r, struct err *err)
{
    uint32_t count = r->slot_count * 2;
    struct json_key *slots = arena_array(r->arena, struct json_key, count);
    if (!slots)
        return err_nomem(err);
    for (uint32_t i = 0; i < r->slot_count; i++)
        if (r->slots[i].serial)
            *key_slot(slots, count, r->slots[i]) = r->slots[i];
    r->slots = slots;
    r->slot_count = count;
    return QMN_OK;
}

static enum qmn_code key_remember(struct json_reader *r, const char *at, struct bytes text,
                                  struct err *err)
{
    if (++r->keys > LIMIT_JSON_KEYS)
        return err_set(err, QMN_E_MALFORMED, "byte %zu: more than %d keys in one document",
                       (size_t)(at - r->start), LIMIT_JSON_KEYS);
    if (r->keys > r->slot_count / 4 * 3)
        TRY(keys_grow(r, err));
    uint32_t serial = r->serial[r->depth - 1];
    uint64_t h = bytes_hash(text, key_seed() + serial);
    struct json_key key = {.text = text, .hash = (uint32_t)(h ^ h >> 32), .serial = serial};
    struct json_key *s = key_slot(r->slots, r->slot_count, key);
    if (s->serial)
        return err_set(err, QMN_E_MALFORMED,
                       "byte %zu: the key \"%.*s\" stands twice in one object",
                       (size_t)(at - r->start), (int)(text.len < 64 ? text.len : 64), text.ptr);
    *s = key;
    return QMN_OK;
}

static enum qmn_code read_key(struct json_reader *r, struct json_token *t, struct err *err)
{
    const char *at = r->p;
    if (at >= r->end || *at != '"')
        return json_malformed(r, at, "a key in double quotes", err);
    *t = (struct json_token){.kind = JSON_KEY};
    TRY(json_string_scan(r, t, err));
    if (t->escaped) {
        TRY(json_text(r, t, &t->text, err));
        t->escaped = false;
    }
    TRY(key_remember(r, at, t->text, err));
    skip_space(r);
    if (r->p >= r->end || *r->p != ':')
        return json_malformed(r, r->p, "':'", err);
    r->p++;
    r->state = ST_VALUE;
    return QMN_OK;
}

static const char *skip_digits(const char *p, const char *end)
{
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p;
}

static enum qmn_code read_number(struct json_reader *r, struct json_token *t, struct err *err)
{
    const char *p = r->p, *end = r->end, *digits;
    *t = (struct json_token){.kind = JSON_NUMBER, .integer = true};
    if (*p == '-')
        p++;
    digits = p;
    p = skip_digits(p, end);
    if (p == digits)
        return json_malformed(r, p, "a digit", err);
    if (*digits == '0' && p - digits > 1)
        return json_malformed(r, digits + 1, "no digit after a leading 0", err);
    if (p < end && *p == '.') {
        t->integer = false;
        digits = ++p;
        p = skip_digits(p, end);
        if (p == digits)
            return json_malformed(r, p, "a digit after the point", err);
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        t->integer = false;
        p++;
        if (p < end && (*p == '+' || *p == '-'))
            p++;
        digits = p;
        p = skip_digits(p, end);
        if (p == digits)
            return json_malformed(r, p, "a digit in the exponent", err);
    }
    if (p - r->p > LIMIT_JSON_NUMBER_CHARS)
        return err_set(err, QMN_E_MALFORMED, "byte %zu: a number of more than %d characters",
                       (size_t)(r->p - r->start), LIMIT_JSON_NUMBER_CHARS);
    t->text = bytes_of(r->p, (size_t)(p - r->p));
    r->p = p;
    return QMN_OK;
}

static enum qmn_code read_word(struct json_reader *r, struct json_token *t, enum json_kind kind,
                               struct bytes word, struct err *err)
{
    if (!bytes_starts(bytes_of(r->p, (size_t)(r->end - r->p)), word))
        return json_malformed(r, r->p, "a value (true, false and null are lower case)", err);
    *t = (struct json_token){.kind = kind, .text = bytes_of(r->p, word.len)};
    r->p += word.len;
    return QMN_OK;
}

static enum qmn_code open_bracket(struct json_reader *r, struct json_token *t, struct err *err)
{
    bool object = *r->p == '{';
    if (r->depth == LIMIT_JSON_DEPTH)
        return err_set(err, QMN_E_MALFORMED, "byte %zu: nested deeper than %d levels",
                       (size_t)(r->p - r->start), LIMIT_JSON_DEPTH);
    r->in_object[r->depth] = object;
    if (object)
        r->serial[r->depth] = ++r->serials;
    r->depth++;
    *t = (struct json_token){.kind = object ? JSON_OBJECT : JSON_ARRAY, .text = bytes_of(r->p, 1)};
    r->p++;
    r->state = object ? ST_FIRST_KEY : ST_FIRST_VALUE;
    return QMN_OK;
}

static void close_bracket(struct json_reader *r, struct json_token *t)
{
    r->depth--;
    *t = (struct json_token){.kind = r->in_object[r->depth] ? JSON_OBJECT_END : JSON_ARRAY_END,
                             .text = bytes_of(r->p, 1)};
    r->p++;
    r->state = ST_AFTER;
}

static enum qmn_code read_value(struct json_reader *r, struct json_token *t, struct err *err)
{
    if (r->p >= r->end)
        return json_malformed(r, r->p, "a value", err);
    char c = *r->p;
    if (c == '{' || c == '[')
        return open_bracket(r, t, err);
    r->state = ST_AFTER;
    switch (c) {
    case '"':
        *t = (struct json_token){.kind = JSON_STRING};
        return json_string_scan(r, t, err);
    case 't':
        return read_word(r, t, JSON_TRUE, BYTES_LIT("true"), err);
    case 'f':
        return read_word(r, t, JSON_FALSE, BYTES_LIT("false"), err);
    case 'n':
        return read_word(r, t, JSON_NULL, BYTES_LIT("null"), err);
    default:
        if (c == '-' || (c >= '0' && c <= '9'))
            return read_number(r, t, err);
        return json_malformed(r, r->p, "a value", err);
    }
}

/* Behind a value inside brackets: consumes ',' (then *ret_closed is false) or the bracket. */
static enum qmn_code after_value(struct json_reader *r, struct json_token *t, bool *ret_closed,
                                 struct err *err)
{
    bool object = r->in_object[r->depth - 1];
    skip_space(r);
    char c = r->p < r->end ? *r->p : 0;
    if (c == (object ? '}' : ']')) {
        close_bracket(r, t);
        *ret_closed = true;
        return QMN_OK;
    }
    if (c != ',')
        return json_malformed(r, r->p, object ? "',' or '}'" : "',' or ']'", err);
    r->p++;
    r->state = object ? ST_KEY : ST_VALUE;
    *ret_closed = false;
    return QMN_OK;
}

enum qmn_code json_next(struct json_reader *r, struct json_token *ret, struct err *err)
{
    skip_space(r);
    if (r->state == ST_AFTER) {
        bool closed;
        if (!r->depth) {
            if (r->p < r->end)
                return json_malformed(r, r->p, "nothing after the document", err);
            *ret = (struct json_token){.kind = JSON_END, .text = bytes_of(r->p, 0)};
            return QMN_OK;
        }
        TRY(after_value(r, ret, &closed, err));
        if (closed)
            return QMN_OK;
        skip_space(r);
    }
    char c = r->p < r->end ? *r->p : 0;
    if ((r->state == ST_FIRST_KEY && c == '}') || (r->state == ST_FIRST_VALUE && c == ']')) {
        close_bracket(r, ret);
        return QMN_OK;
    }
    if (r->state == ST_KEY || r->state == ST_FIRST_KEY)
        return read_key(r, ret, err);
    return read_value(r, ret, err);
}

enum qmn_code json_skip(struct json_reader *r, const struct json_token *t, struct bytes *ret_raw,
                        struct err *err)
{
    struct bytes raw = t->text;
    if (t->kind == JSON_STRING)
        raw = bytes_of(t->text.ptr - 1, t->text.len + 2);
    if (t->kind == JSON_OBJECT || t->kind == JSON_ARRAY) {
        uint32_t outer = r->depth - 1;
        struct json_token inner;
        while (r->depth > outer)
            TRY(json_next(r, &inner, err));
        raw.len = (size_t)(r->p - raw.ptr);
    }
    if (ret_raw)
        *ret_raw = raw;
    return QMN_OK;
}

const char *json_kind_name(enum json_kind kind)
{
    static const char *const names[] = {
        [JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array", [JSON_STRING] = "a string",
        [JSON_NUMBER] = "a number",  [JSON_TRUE] = "true",      [JSON_FALSE] = "false",
        [JSON_NULL] = "null",
    };
    return (size_t)kind < ARRAY_LEN(names) && names[kind] ? names[kind] : "something else";
}

/* One element the scanner did not want: the reader itself finds out why, and takes it if it is a
 * number after all (long ones, and those near the end of the input). */
static enum qmn_code slow_float(struct json_reader *r, size_t index, size_t max, float *out,
                                bool *ret_closed, struct err *err)
{
    struct json_token t = {0};
    TRY(json_next(r, &t, err));
    *ret_closed = t.kind == JSON_ARRAY_END;
    if (*ret_closed)
        return QMN_OK;
    if (index >= max)
        return err_set(err, QMN_E_INVALID, "expected at most %zu numbers", max);
    if (t.kind != JSON_NUMBER)
        return err_set(err, QMN_E_INVALID, "expected a number, got %s", json_kind_name(t.kind));
    if (!float_parse(t.text, &out[index]))
        return err_set(err, QMN_E_INVALID, "expected a number within float32, got %.*s",
                       (int)(t.text.len < 40 ? t.text.len : 40), t.text.ptr);
    return QMN_OK;
}

static enum qmn_code floats_room(struct json_reader *r, size_t max, float **out, size_t *cap,
                                 struct err *err)
{
    size_t most = (size_t)(r->end - r->p) / 2 + 1; /* a digit and a comma each */
    size_t want = *cap ? *cap * 2 : FLOATS_FIRST;
    want = want < most + *cap ? want : most + *cap;
    want = want < max ? want : max;
    float *grown = arena_alloc(r->arena, (want ? want : 1) * sizeof *grown);
    if (!grown)
        return err_nomem(err);
    if (*cap)
        memcpy(grown, *out, *cap * sizeof *grown);
    *out = grown;
    *cap = want;
    return QMN_OK;
}

enum qmn_code json_floats(struct json_reader *r, size_t max, float **ret, size_t *ret_count,
                          struct err *err)
{
    float *out = NULL;
    size_t n = 0, cap = 0;
    bool closed = false;
    TRY(floats_room(r, max, &out, &cap, err));
    while (!closed) {
        if (n == cap && cap < max)
            TRY(floats_room(r, max, &out, &cap, err));
        size_t got = floats_scan(r->p, r->end, out + n, cap - n, &r->p, &closed);
        if (got)
            r->state = ST_VALUE;
        n += got;
        *ret_count = n;
        if (closed) {
            r->depth--;
            r->state = ST_AFTER;
            break;
        }
        if (n == cap && cap < max)
            continue;
        TRY(slow_float(r, n, max, out, &closed, err));
        if (closed)
            break;
        n++;
        struct json_token t;
        TRY(after_value(r, &t, &closed, err));
    }
    *ret = out;
    *ret_count = n;
    return QMN_OK;
}

bool json_valid(struct bytes text, struct arena *arena, enum json_kind *ret_kind)
{
    struct json_reader r;
    struct json_token t;
    json_reader_init(&r, text, arena);
    if (json_next(&r, &t, NULL) != QMN_OK)
        return false;
    enum json_kind kind = t.kind;
    if (json_skip(&r, &t, NULL, NULL) != QMN_OK || json_next(&r, &t, NULL) != QMN_OK)
        return false;
    if (ret_kind)
        *ret_kind = kind;
    return t.kind == JSON_END;
}
