/* SPDX-License-Identifier: MIT
 *
 * The few conversions that every resource needs. */
#include "translate_priv.h"

#include "model/textlist.h"

void *in_alloc(struct api_call *x, size_t count, size_t size)
{
    void *p = arena_calloc(x->call.arena, count ? count : 1, size);
    x->oom |= !p;
    return p;
}

struct bytes in_text(const char *text)
{
    return bytes_cstr(text);
}

struct bytes in_raw(protobuf_c_boolean has, ProtobufCBinaryData raw)
{
    return has ? bytes_of(raw.data, raw.len) : (struct bytes){NULL, 0};
}

struct bytes in_list(struct api_call *x, char *const *texts, size_t count)
{
    struct bytes list = textlist_pack(x->call.arena, texts, count);
    x->oom |= !list.ptr;
    return list;
}

struct vector_in in_vector(const float *values, size_t count, const char *text)
{
    return (struct vector_in){
        .values = count ? values : NULL, .dim = count, .text = bytes_cstr(text)};
}

void *out_new(struct api_call *x, const ProtobufCMessageDescriptor *desc)
{
    void *m = message_new(desc, x->call.arena);
    x->oom |= !m;
    return m;
}

void *out_array(struct api_call *x, size_t count)
{
    return in_alloc(x, count, sizeof(void *));
}

char *out_text(struct api_call *x, struct bytes text)
{
    if (text.len == 0)
        return NULL;
    char *s = arena_cstr(x->call.arena, text);
    x->oom |= !s;
    return s;
}

/* protobuf-c has no const strings; nobody writes to a message on its way out. */
char *out_word(const char *text)
{
    return (char *)(uintptr_t)text;
}

char **out_list(struct api_call *x, struct bytes list, size_t *ret_count)
{
    char **texts = out_array(x, textlist_count(list));
    struct bytes text;
    size_t n = 0;
    while (texts && textlist_next(&list, &text)) {
        texts[n] = arena_cstr(x->call.arena, text);
        x->oom |= !texts[n++];
    }
    *ret_count = n;
    return texts;
}

protobuf_c_boolean out_raw(struct bytes raw, ProtobufCBinaryData *ret)
{
    *ret = (ProtobufCBinaryData){.len = raw.len, .data = (uint8_t *)(uintptr_t)raw.ptr};
    return raw.len != 0;
}
