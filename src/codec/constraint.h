/* SPDX-License-Identifier: MIT
 *
 * What a field of a message may hold, once per field.  The same rows drive JSON decoding and
 * encoding, the check of protobuf input, query parameters and the OpenAPI document.
 *
 * Rows stand in constraints.c and constraints_memory.c, grouped by message.  codec_init() checks
 * each row against the schema (unknown field, flag that does not suit the type), so that a typo
 * stops the program and its tests at the first line.  After that everything here is read-only; any
 * thread. */
#ifndef QMN_CODEC_CONSTRAINT_H
#define QMN_CODEC_CONSTRAINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "base/bytes.h"

enum constraint_flag {
    CON_REQUIRED = 1 << 0,   /* must be there; of a repeated field: at least one element */
    CON_RAW_JSON = 1 << 1,   /* bytes: a JSON object, kept and sent verbatim */
    CON_RAW_VALUE = 1 << 2,  /* bytes: any JSON value but null, kept and sent verbatim */
    CON_TIME = 1 << 3,       /* int64 Unix milliseconds: RFC 3339 text in JSON */
    CON_BARE_ARRAY = 1 << 4, /* the message's only field, repeated: the JSON is the array itself */
    CON_NULLABLE = 1 << 5,   /* absent goes out as null */
    CON_ALWAYS = 1 << 6,     /* absent goes out as the default, [] or {} */
    CON_VECTOR = 1 << 7,     /* repeated float: not all zero */
    CON_CLEARS = 1 << 9, /* repeated string: takes the names of the fields that came as null ... */
    CON_CLEARABLE = 1 << 10, /* ... of those that have this; null is absent for all others */
    CON_OR_TEXT = 1 << 8,    /* a vector that must be there, or the message's `text` in its place;
                              * for the document, since the engine looks which of them came */
};

enum constraint_pattern {
    PATTERN_NONE,
    PATTERN_TENANT_ID, /* [a-z0-9-]{3,64} */
    PATTERN_PRINTABLE, /* no control characters (C0, DEL, C1) */
    PATTERN_TOKEN,     /* [A-Za-z0-9._:-]+ : one word that is safe in paths, labels and logs */
};

/* Both ends included.  {0, 0} means no bound; INFINITY leaves one side open. */
struct bounds {
    double min, max;
};

/* One field.  Lengths count Unicode characters in strings and bytes in raw JSON and bytes. */
struct constraint {
    const char *field;
    uint32_t flags;
    struct bounds range; /* number: value; string, bytes: length; repeated, map: elements */
    struct bounds each;  /* each element of a repeated field: its value or length */
    enum constraint_pattern pattern; /* of a string, or of each element */
    const char *const *one_of;       /* NULL-terminated; of a string, or of each element */
    const char *about;               /* a sentence for the OpenAPI document; may be NULL */
};

/* All rows of one message.  A message without rows stands in the table too (count 0), because only
 * listed messages, and those nested in them, can be coded.  Keys and values of a map are the fields
 * "key" and "value" of its entry message (Foo.BarEntry). */
struct message_rules {
    const ProtobufCMessageDescriptor *message;
    const struct constraint *rows;
    size_t count;
};

/* The table of the wire schema (constraints.c). */
extern const struct message_rules constraint_table[];
extern const size_t constraint_table_len;
extern const struct message_rules constraint_table_memory[]; /* of memory.proto */
extern const size_t constraint_table_memory_len;
/* The i-th of all; NULL: there are fewer. */
const struct message_rules *constraint_table_at(size_t i);

/* The row of a field (its index in the descriptor); never NULL: a field without one has an empty
 * row.  NULL only for a message that is not registered. */
const struct constraint *constraint_of(const ProtobufCMessageDescriptor *message,
                                       unsigned field_index);
/* True for a repeated field that is a map<string, value>. */
bool constraint_is_map(const ProtobufCFieldDescriptor *field);
static inline bool bounds_set(struct bounds b)
{
    return b.min != 0 || b.max != 0;
}

bool constraint_pattern_match(enum constraint_pattern pattern, struct bytes text);
/* As an ECMA 262 regular expression; NULL for PATTERN_NONE. */
const char *constraint_pattern_regex(enum constraint_pattern pattern);

#endif
