/* SPDX-License-Identifier: MIT
 *
 * RFC 9457.  The type is a name, not a page: urn:qmn:problem:<code>. */
#include "problem.h"

#include "json_encode.h"

static void put_text(struct buf *out, const char *key, const char *text)
{
    buf_adds(out, key);
    json_put_string(out, bytes_cstr(text));
}

void problem_encode(const struct err *e, struct buf *out)
{
    const struct code_info *info = code_info(e->code);
    buf_adds(out, "{\"type\":\"urn:qmn:problem:");
    buf_adds(out, info->wire);
    buf_adds(out, "\"");
    put_text(out, ",\"title\":", info->title);
    buf_adds(out, ",\"status\":");
    json_put_int(out, info->http_status);
    put_text(out, ",\"detail\":", e->text[0] ? e->text : info->title);
    put_text(out, ",\"code\":", info->wire);
    if (e->field[0])
        put_text(out, ",\"field\":", e->field);
    buf_addc(out, '}');
}
