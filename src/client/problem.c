/* SPDX-License-Identifier: MIT
 *
 * A problem document (RFC 9457) back into the error it was made from.  Answers of something that is
 * no node (a proxy's page) give the code that stands nearest to their status. */
#include "client_priv.h"

#include <stdio.h>

#include "codec/json_read.h"

static enum qmn_code code_of_wire(struct bytes wire)
{
    for (int i = 1; i < QMN_CODE_COUNT; i++)
        if (bytes_is(wire, code_info((enum qmn_code)i)->wire))
            return (enum qmn_code)i;
    return QMN_OK;
}

static enum qmn_code code_of_status(int status)
{
    for (int i = 1; i < QMN_CODE_COUNT; i++)
        if (code_info((enum qmn_code)i)->http_status == status)
            return (enum qmn_code)i;
    return status >= 500 ? QMN_E_UNAVAILABLE : QMN_E_INVALID;
}

struct problem {
    struct bytes code, title, detail, field;
};

static enum qmn_code read_problem(struct bytes body, struct arena *arena, struct problem *p)
{
    const struct {
        const char *name;
        struct bytes *to;
    } members[] = {
        {"code", &p->code}, {"title", &p->title}, {"detail", &p->detail}, {"field", &p->field}};
    struct json_reader *r = arena_new(arena, struct json_reader);
    struct json_token t, value;
    if (!r)
        return QMN_E_NOMEM;
    json_reader_init(r, body, arena);
    TRY(json_next(r, &t, NULL));
    if (t.kind != JSON_OBJECT)
        return QMN_E_MALFORMED;
    for (;;) {
        TRY(json_next(r, &t, NULL));
        if (t.kind != JSON_KEY)
            return t.kind == JSON_OBJECT_END ? QMN_OK : QMN_E_MALFORMED;
        TRY(json_next(r, &value, NULL));
        struct bytes *to = NULL;
        for (size_t i = 0; i < ARRAY_LEN(members); i++)
            if (bytes_is(t.text, members[i].name))
                to = members[i].to;
        if (to && value.kind == JSON_STRING)
            TRY(json_text(r, &value, to, NULL));
        else
            TRY(json_skip(r, &value, NULL, NULL));
    }
}

enum qmn_code client_problem(int status, struct bytes body, uint32_t retry_after_s, struct err *err)
{
    struct arena arena;
    struct problem p = {0};
    arena_init(&arena, CLIENT_ARENA_MAX);
    if (read_problem(body, &arena, &p) != QMN_OK)
        p = (struct problem){0};
    enum qmn_code code = code_of_wire(p.code);
    if (code == QMN_OK)
        code = code_of_status(status);
    struct bytes text = p.detail.len ? p.detail : p.title;
    if (text.len)
        err_set(err, code, "%.*s", BYTES_FMT(text));
    else
        err_set(err, code, "the server answered %d without saying why", status);
    if (err) {
        snprintf(err->field, sizeof err->field, "%.*s", BYTES_FMT(p.field));
        err->retry_after_s = retry_after_s;
    }
    arena_release(&arena);
    return code;
}
