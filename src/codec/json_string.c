/* SPDX-License-Identifier: MIT
 *
 * Strings are validated once, where they stand: UTF-8, escapes, surrogate pairs.  Unescaping comes
 * later and only for those that somebody wants and that hold escapes at all, so it cannot fail but
 * for memory.
 *
 * U+0000 is refused, escaped too: strings end up in C strings and in databases that cannot hold it,
 * and a name that means different things before and after a NUL is an old trick. */
#include "json_string_priv.h"

#include "base/swar.h"
#include "utf8.h"

/* Four hex digits as a number, or -1. */
static int32_t hex4(const char *p, const char *end)
{
    int32_t v = 0;
    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        int32_t d = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (d < 0)
            return -1;
        v = v << 4 | d;
    }
    return v;
}

/* `p` is behind "\u".  Returns the place behind the escape (or pair). */
static enum qmn_code check_unicode(const struct json_reader *r, const char *p, const char **ret_p,
                                   struct err *err)
{
    int32_t unit = hex4(p, r->end);
    if (unit < 0)
        return json_malformed(r, p, "four hex digits", err);
    if (unit == 0)
        return err_set(err, QMN_E_MALFORMED, "byte %zu: NUL is not allowed in text",
                       (size_t)(p - 2 - r->start));
    p += 4;
    if (unit >= 0xd800 && unit <= 0xdfff) {
        int32_t low = -1;
        if (unit < 0xdc00 && r->end - p >= 6 && p[0] == '\\' && p[1] == 'u')
            low = hex4(p + 2, r->end);
        if (low < 0xdc00 || low > 0xdfff)
            return err_set(err, QMN_E_MALFORMED,
                           "byte %zu: expected a surrogate pair, got a lone surrogate \\u%04x",
                           (size_t)(p - 6 - r->start), (unsigned)unit);
        p += 6;
    }
    *ret_p = p;
    return QMN_OK;
}

static enum qmn_code check_escape(const struct json_reader *r, const char *p, const char **ret_p,
                                  struct err *err)
{
    char c = p + 1 < r->end ? p[1] : 0;
    if (c == 'u')
        return check_unicode(r, p + 2, ret_p, err);
    if (!c || !strchr("\"\\/bfnrt", c))
        return json_malformed(r, p + 1, "one of \"\\/bfnrtu after a backslash", err);
    *ret_p = p + 2;
    return QMN_OK;
}

/* The first byte from p on that is not plain ASCII text. */
static const char *skip_plain(const char *p, const char *end)
{
    while (end - p >= 8) {
        uint64_t v = swar_load(p);
        uint64_t stop =
            (v & SWAR_HIGH) | swar_below(v, 0x20) | swar_equal(v, '"') | swar_equal(v, '\\');
        if (stop)
            return p + (__builtin_ctzll(stop) >> 3);
        p += 8;
    }
    while (p < end && (unsigned char)*p >= 0x20 && (unsigned char)*p < 0x80 && *p != '"' &&
           *p != '\\')
        p++;
    return p;
}

enum qmn_code json_string_scan(struct json_reader *r, struct json_token *t, struct err *err)
{
    const char *start = r->p + 1, *p = start;
    for (;;) {
        p = skip_plain(p, r->end);
        if (p >= r->end)
            return json_malformed(r, p, "'\"' at the end of the string", err);
        unsigned char c = (unsigned char)*p;
        if (c == '"')
            break;
        if (c == '\\') {
            t->escaped = true;
            TRY(check_escape(r, p, &p, err));
        } else if (c >= 0x80) {
            size_t n = utf8_char(p, r->end);
            if (!n)
                return json_malformed(r, p, "valid UTF-8", err);
            p += n;
        } else if (c == 0) {
            return err_set(err, QMN_E_MALFORMED, "byte %zu: NUL is not allowed in text",
                           (size_t)(p - r->start));
        } else {
            return json_malformed(r, p, "control characters to be escaped", err);
        }
    }
    t->text = bytes_of(start, (size_t)(p - start));
    r->p = p + 1;
    return QMN_OK;
}

/* One validated escape at p, written to *out. */
static const char *unescape(const char *p, const char *end, char **out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *hit = p[1] == 'u' ? NULL : strchr(from, p[1]);
    if (hit) {
        *(*out)++ = to[hit - from];
        return p + 2;
    }
    uint32_t unit = (uint32_t)hex4(p + 2, end);
    p += 6;
    if (unit >= 0xd800 && unit <= 0xdbff) {
        uint32_t low = (uint32_t)hex4(p + 2, end);
        unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
        p += 6;
    }
    *out += utf8_put(unit, *out);
    return p;
}

enum qmn_code json_text(struct json_reader *r, const struct json_token *t, struct bytes *ret,
                        struct err *err)
{
    struct bytes raw = t->text;
    if (!t->escaped) {
        *ret = raw;
        return QMN_OK;
    }
    char *text = arena_alloc(r->arena, raw.len); /* an escape is never shorter than its character */
    if (!text)
        return err_nomem(err);
    const char *p = raw.ptr, *end = p + raw.len;
    char *out = text;
    while (p < end) {
        const char *stop = memchr(p, '\\', (size_t)(end - p));
        size_t plain = (size_t)((stop ? stop : end) - p);
        memcpy(out, p, plain);
        out += plain;
        p += plain;
        if (stop)
            p = unescape(p, end, &out);
    }
    *ret = bytes_of(text, (size_t)(out - text));
    return QMN_OK;
}
