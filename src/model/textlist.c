/* SPDX-License-Identifier: MIT
 *
 * NUL-separated text lists. */
#include "textlist.h"

bool textlist_next(struct bytes *rest, struct bytes *ret_text)
{
    const char *end = rest->len ? memchr(rest->ptr, 0, rest->len) : NULL;
    if (!end)
        return false;
    size_t n = (size_t)(end - rest->ptr);
    *ret_text = bytes_of(rest->ptr, n);
    *rest = bytes_of(end + 1, rest->len - n - 1);
    return true;
}

size_t textlist_count(struct bytes list)
{
    size_t n = 0;
    struct bytes text;
    while (textlist_next(&list, &text))
        n++;
    return n;
}

bool textlist_has(struct bytes list, struct bytes text)
{
    struct bytes each;
    while (textlist_next(&list, &each))
        if (bytes_equal(each, text))
            return true;
    return false;
}

struct bytes textlist_pack(struct arena *a, char *const *texts, size_t count)
{
    size_t total = 0;
    for (size_t i = 0; i < count; i++)
        total += strlen(texts[i]) + 1;
    char *out = arena_alloc(a, total), *p = out;
    if (!out)
        return bytes_of(NULL, 0);
    for (size_t i = 0; i < count; i++) {
        size_t n = strlen(texts[i]) + 1;
        memcpy(p, texts[i], n);
        p += n;
    }
    return bytes_of(out, total);
}
