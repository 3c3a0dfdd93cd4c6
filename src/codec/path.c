/* SPDX-License-Identifier: MIT
 *
 * Paths; cut when they outgrow the field of struct err. */
#include "path_priv.h"

#include <stdio.h>

static void path_add(struct path *p, struct bytes text)
{
    size_t room = sizeof p->text - 1 - p->len;
    size_t n = text.len < room ? text.len : room;
    memcpy(p->text + p->len, text.ptr, n);
    p->len += n;
    p->text[p->len] = 0;
}

void path_name(struct path *p, struct bytes name)
{
    if (p->len)
        path_add(p, BYTES_LIT("."));
    path_add(p, name);
}

void path_index(struct path *p, size_t index)
{
    char text[32];
    int n = snprintf(text, sizeof text, "[%zu]", index);
    path_add(p, bytes_of(text, (size_t)n));
}

enum qmn_code path_fail(const struct path *p, enum qmn_code code, struct err *err)
{
    if (err)
        memcpy(err->field, p->text, p->len + 1);
    return code;
}
