/* SPDX-License-Identifier: MIT
 *
 * Values: looking up, comparing, matching text. */
#include "policy/value.h"

const struct policy_value *policy_member(const struct policy_value *map, struct bytes name)
{
    if (!map || map->type != POLICY_MAP)
        return NULL;
    for (const struct policy_value *v = map->first; v; v = v->next)
        if (bytes_equal(v->name, name))
            return v;
    return NULL;
}

const struct policy_value *policy_path(const struct policy_value *map, struct bytes path)
{
    const struct policy_value *whole = policy_member(map, path);
    if (whole)
        return whole;
    while (map) {
        const char *dot = path.len ? memchr(path.ptr, '.', path.len) : NULL;
        if (!dot)
            return policy_member(map, path);
        size_t n = (size_t)(dot - path.ptr);
        map = policy_member(map, bytes_of(path.ptr, n));
        path = bytes_of(dot + 1, path.len - n - 1);
    }
    return NULL;
}

static bool equal_leaf(const struct policy_value *a, const struct policy_value *b)
{
    switch (a->type) {
    case POLICY_BOOL:
        return a->truth == b->truth;
    case POLICY_NUMBER:
        return a->number == b->number;
    case POLICY_TEXT:
        return bytes_equal(a->text, b->text);
    default:
        return true; /* null; the children of the others are compared one by one */
    }
}

static size_t count_children(const struct policy_value *v)
{
    size_t n = 0;
    for (const struct policy_value *c = v->first; c; c = c->next)
        n++;
    return n;
}

/* Recursion goes as deep as the document, which the reader bounds. */
bool policy_equal(const struct policy_value *a, const struct policy_value *b)
{
    if (a->type != b->type || !equal_leaf(a, b))
        return false;
    if (a->type != POLICY_LIST && a->type != POLICY_MAP)
        return true;
    if (count_children(a) != count_children(b))
        return false;
    const struct policy_value *y = b->first;
    for (const struct policy_value *x = a->first; x; x = x->next) {
        const struct policy_value *other = a->type == POLICY_MAP ? policy_member(b, x->name) : y;
        if (!other || !policy_equal(x, other))
            return false;
        y = y->next;
    }
    return true;
}

bool policy_order(const struct policy_value *a, const struct policy_value *b, int *ret)
{
    if (a->type != b->type)
        return false;
    if (a->type == POLICY_NUMBER)
        *ret = (a->number > b->number) - (a->number < b->number);
    else if (a->type == POLICY_TEXT)
        *ret = bytes_compare(a->text, b->text);
    else
        return false;
    return true;
}

bool policy_list_has(const struct policy_value *list, const struct policy_value *v)
{
    for (const struct policy_value *x = list->first; x; x = x->next)
        if (policy_equal(x, v))
            return true;
    return false;
}

/* ---- text ---- */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static size_t next_character(struct bytes text, size_t at)
{
    at++;
    while (at < text.len && ((unsigned char)text.ptr[at] & 0xc0) == 0x80)
        at++;
    return at;
}

bool policy_glob(struct bytes pattern, struct bytes text, bool anywhere)
{
    size_t p = 0, t = 0, resume = 0, mark = 0; /* behind the last '*', and what it has swallowed */
    bool starred = anywhere;
    while (t < text.len) {
        if (p == pattern.len && anywhere)
            return true;
        if (p < pattern.len && pattern.ptr[p] == '*') {
            starred = true;
            resume = ++p;
            mark = t;
        } else if (p < pattern.len && pattern.ptr[p] == '?') {
            p++;
            t = next_character(text, t);
        } else if (p < pattern.len && lower(pattern.ptr[p]) == lower(text.ptr[t])) {
            p++;
            t++;
        } else if (starred) {
            p = resume;
            t = mark = next_character(text, mark);
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*')
        p++;
    return p == pattern.len;
}

/* Bytes beyond ASCII belong to words of some language. */
static bool in_word(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
           (unsigned char)c >= 0x80;
}

static bool boundary(char inside, bool has_outside, char outside)
{
    return !in_word(inside) || !has_outside || !in_word(outside);
}

static bool matches_at(struct bytes term, const char *at)
{
    for (size_t i = 0; i < term.len; i++)
        if (lower(term.ptr[i]) != lower(at[i]))
            return false;
    return true;
}

bool policy_has_word(struct bytes term, struct bytes text)
{
    if (!term.len)
        return false;
    for (size_t i = 0; i + term.len <= text.len; i++) {
        size_t end = i + term.len;
        if (matches_at(term, text.ptr + i) &&
            boundary(term.ptr[0], i > 0, i > 0 ? text.ptr[i - 1] : 0) &&
            boundary(term.ptr[term.len - 1], end < text.len, end < text.len ? text.ptr[end] : 0))
            return true;
    }
    return false;
}
