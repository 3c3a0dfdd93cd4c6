/* SPDX-License-Identifier: MIT
 *
 * Strict JSON (RFC 8259) as a stream of tokens: no tree, no recursion.  One call reads one token;
 * commas and colons are consumed inside.  Rejected beyond the grammar: duplicate keys of an object,
 * malformed UTF-8, lone surrogates, U+0000, nesting past LIMIT_JSON_DEPTH, more than
 * LIMIT_JSON_KEYS keys in the document, numbers longer than LIMIT_JSON_NUMBER_CHARS.
 *
 * All failures are QMN_E_MALFORMED with the byte offset and what was expected (QMN_E_NOMEM apart);
 * after one the reader must not be used again.  One thread at a time. */
#ifndef QMN_CODEC_JSON_READ_H
#define QMN_CODEC_JSON_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"

enum json_kind {
    JSON_OBJECT = 1, /* '{' */
    JSON_OBJECT_END,
    JSON_ARRAY, /* '[' */
    JSON_ARRAY_END,
    JSON_KEY, /* text: unescaped */
    JSON_STRING,
    JSON_NUMBER,
    JSON_TRUE,
    JSON_FALSE,
    JSON_NULL,
    JSON_END, /* nothing but white space was left */
};

struct json_token {
    enum json_kind kind;
    struct bytes text; /* key: unescaped; string: raw, between the quotes; number: its characters;
                          otherwise the token itself */
    bool escaped;      /* string: `text` holds escapes, read it with json_text() */
    bool integer;      /* number: neither fraction nor exponent */
};

enum { JSON_KEYS_INLINE = 64 }; /* power of two */

/* A key seen in the object `serial`. */
struct json_key {
    struct bytes text;
    uint32_t hash, serial; /* serial 0: empty slot */
};

struct json_reader {
    const char *start, *p, *end;
    struct arena *arena;
    uint32_t depth, keys, serials;
    uint8_t state;
    bool in_object[LIMIT_JSON_DEPTH];
    uint32_t serial[LIMIT_JSON_DEPTH]; /* of the objects now open */
    struct json_key *slots;            /* open addressing; arena memory once it outgrew `first` */
    uint32_t slot_count;
    struct json_key first[JSON_KEYS_INLINE];
};

/* `text` is borrowed until the last use of the reader and of the tokens' texts. */
void json_reader_init(struct json_reader *r, struct bytes text, struct arena *arena);
QMN_NODISCARD enum qmn_code json_next(struct json_reader *r, struct json_token *ret,
                                      struct err *err);
/* The characters of a string token: borrowed from the input when it has no escapes, else in the
 * arena. */
QMN_NODISCARD enum qmn_code json_text(struct json_reader *r, const struct json_token *t,
                                      struct bytes *ret, struct err *err);
/* Consumes the rest of the value that `t` began, fully validated; *ret_raw (may be NULL) is its
 * text as it stood in the input. */
QMN_NODISCARD enum qmn_code json_skip(struct json_reader *r, const struct json_token *t,
                                      struct bytes *ret_raw, struct err *err);
/* Reads the rest of an array of numbers (after JSON_ARRAY was returned) straight into float32,
 * correctly rounded, in the arena.  QMN_E_INVALID: an element is not a number, does not fit, or
 * there are more than `max`; *ret_count is then the index of that element. */
QMN_NODISCARD enum qmn_code json_floats(struct json_reader *r, size_t max, float **ret,
                                        size_t *ret_count, struct err *err);
/* "an object", "a number" ..: for error texts. */
const char *json_kind_name(enum json_kind kind);
/* True if `text` is exactly one valid value of any kind. */
bool json_valid(struct bytes text, struct arena *arena, enum json_kind *ret_kind);

#endif
