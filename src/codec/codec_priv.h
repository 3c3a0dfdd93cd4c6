/* SPDX-License-Identifier: MIT
 *
 * Plans: what codec_init() makes of a descriptor and its rows, and access to the fields of a
 * message in memory. */
#ifndef QMN_CODEC_CODEC_PRIV_H
#define QMN_CODEC_CODEC_PRIV_H

#include "codec.h"

enum {
    PLAN_FIELDS_MAX = 64, /* a set of fields is one word */
    CODEC_DEPTH = 16,     /* messages inside messages; ours go four deep */
    CODEC_ITEMS = 4096,   /* elements of a repeated field without a bound of its own */
};

struct plan_field {
    const ProtobufCFieldDescriptor *fd;
    const struct constraint *rule; /* never NULL */
    const struct plan *sub;        /* of a message field */
    struct bytes name;
    struct bytes json_key; /* "name": with quotes and colon */
    size_t items_max;      /* of a repeated field */
    uint8_t index;
    bool map;
};

struct plan_slot {
    const struct plan_field *field; /* NULL: empty */
    uint64_t hash;
};

/* immutable after registration */
struct plan {
    const ProtobufCMessageDescriptor *desc;
    struct plan_field *fields; /* as in the descriptor */
    struct plan_slot *slots;   /* by name; open addressing */
    uint64_t slot_mask;
    ProtobufCMessage *empty; /* all defaults: what an absent CON_ALWAYS message goes out as */
    char *key_text;          /* holds the json_keys */
    const struct message_rules *rules;
    struct plan *next;
    bool bare;                        /* its JSON is the array of its only field */
    const struct plan_field *cleared; /* takes the names of fields that came as null; may be NULL */
};

/* NULL: not registered. */
const struct plan *plan_of(const ProtobufCMessageDescriptor *desc);
/* NULL: no such field. */
const struct plan_field *plan_find(const struct plan *p, struct bytes name);
/* QMN_E_INTERNAL, for a message that is not registered. */
enum qmn_code plan_missing(const ProtobufCMessageDescriptor *desc, struct err *err);

/* Bytes that one value of the type takes in a message or an array. */
size_t field_size(ProtobufCType type);
/* The name of an enum's value on the wire, lower case and without the enum's prefix; at most `size`
 * bytes with the NUL. */
void enum_wire_name(const ProtobufCEnumDescriptor *desc, const char *value_name, char *ret,
                    size_t size);

bool floats_finite(const float *values, size_t count);

static inline void *field_member(const ProtobufCMessage *msg, const ProtobufCFieldDescriptor *fd)
{
    return (char *)(uintptr_t)msg + fd->offset;
}

/* Of a repeated field. */
static inline size_t *field_count(const ProtobufCMessage *msg, const ProtobufCFieldDescriptor *fd)
{
    return (size_t *)(void *)((char *)(uintptr_t)msg + fd->quantifier_offset);
}

/* Of a repeated field: the elements. */
static inline void *field_items(const ProtobufCMessage *msg, const ProtobufCFieldDescriptor *fd)
{
    return *(void **)field_member(msg, fd);
}

/* Whether the field carries a value of its own (a default is not one). */
bool field_present(const ProtobufCMessage *msg, const ProtobufCFieldDescriptor *fd);
void field_set_present(ProtobufCMessage *msg, const ProtobufCFieldDescriptor *fd);

#endif
