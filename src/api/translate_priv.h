/* SPDX-License-Identifier: MIT
 *
 * Between wire messages and the engine's plain structs.  in_* read a message, out_* fill one; both
 * allocate from the call's arena.  A failed allocation sets x->oom, which is read once before
 * the engine is called and once before the answer is sent, so that a translation reads as a list
 * of fields.  Belongs to the request's loop. */
#ifndef QMN_API_TRANSLATE_PRIV_H
#define QMN_API_TRANSLATE_PRIV_H

#include "api_priv.h"
#include "codec/codec.h"

/* Sets an optional scalar or bytes field. */
#define SET(message, field, value) ((message)->has_##field = 1, (message)->field = (value))

/* The request message and the operation's data as what they are. */
#define IN(type, x)   ((const type *)(const void *)(x)->in)
#define DATA(type, x) ((type *)(x)->data)

/* Zeroed; NULL and x->oom when out of memory. */
void *in_alloc(struct api_call *x, size_t count, size_t size);
/* NULL: {NULL, 0}, which the engine reads as absent. */
struct bytes in_text(const char *text);
struct bytes in_raw(protobuf_c_boolean has, ProtobufCBinaryData raw);
struct bytes in_list(struct api_call *x, char *const *texts, size_t count);
struct vector_in in_vector(const float *values, size_t count, const char *text);

/* An empty message; NULL and x->oom when out of memory. */
void *out_new(struct api_call *x, const ProtobufCMessageDescriptor *desc);
/* `count` pointers. */
void *out_array(struct api_call *x, size_t count);
/* Empty text is an absent field. */
char *out_text(struct api_call *x, struct bytes text);
/* A constant. */
char *out_word(const char *text);
char **out_list(struct api_call *x, struct bytes list, size_t *ret_count);
/* Empty: absent.  Borrows. */
protobuf_c_boolean out_raw(struct bytes raw, ProtobufCBinaryData *ret);
#define SET_RAW(message, field, raw) ((message)->has_##field = out_raw((raw), &(message)->field))
/* 0 (none, never) is an absent field. */
#define SET_TIME(message, field, unix_ms)                                                          \
    ((message)->has_##field = (unix_ms) != 0, (message)->field = (unix_ms))

#endif
