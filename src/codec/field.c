/* SPDX-License-Identifier: MIT
 *
 * How protobuf-c lays a field out in memory. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "codec_priv.h"

size_t field_size(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return 4;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_ENUM:
        return sizeof(int);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    }
    return 0;
}

static bool is_pointer(const ProtobufCFieldDescriptor *fd)
{
    return fd->type == PROTOBUF_C_TYPE_STRING || fd->type == PROTOBUF_C_TYPE_MESSAGE;
}

bool field_present(const ProtobufCMessage *msg, const ProtobufCFieldDescriptor *fd)
{
    if (fd->label == PROTOBUF_C_LABEL_REPEATED)
        return *field_count(msg, fd) > 0;
    if (is_pointer(fd)) {
        const void *p = *(void **)field_member(msg, fd);
        return p && p != fd->default_value;
    }
    return *(const protobuf_c_boolean *)(const void *)((const char *)msg + fd->quantifier_offset);
}

void field_set_present(ProtobufCMessage *msg, const ProtobufCFieldDescriptor *fd)
{
    if (fd->label == PROTOBUF_C_LABEL_OPTIONAL && !is_pointer(fd))
        *(protobuf_c_boolean *)(void *)((char *)msg + fd->quantifier_offset) = 1;
}

/* A float32 is finite unless its exponent is all ones; without a branch the loop vectorises. */
bool floats_finite(const float *values, size_t count)
{
    uint32_t worst = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        uint32_t exponent = bits & 0x7f800000u;
        worst = exponent > worst ? exponent : worst;
    }
    return worst != 0x7f800000u;
}

/* "PlanTier" -> "plan_tier_": the prefix that the style guide of protobuf gives the values. */
static void enum_prefix(const char *enum_name, char *ret, size_t size)
{
    size_t n = 0;
    for (const char *p = enum_name; *p && n + 3 < size; p++) {
        bool upper = *p >= 'A' && *p <= 'Z';
        if (upper && p != enum_name)
            ret[n++] = '_';
        ret[n++] = upper ? (char)(*p - 'A' + 'a') : *p;
    }
    ret[n++] = '_';
    ret[n] = 0;
}

void enum_wire_name(const ProtobufCEnumDescriptor *desc, const char *value_name, char *ret,
                    size_t size)
{
    char prefix[64];
    enum_prefix(desc->short_name, prefix, sizeof prefix);
    size_t skip = strlen(prefix);
    if (strncasecmp(value_name, prefix, skip) != 0 || !value_name[skip])
        skip = 0;
    snprintf(ret, size, "%s", value_name + skip);
    for (char *p = ret; *p; p++)
        *p = (char)tolower((unsigned char)*p);
}
