/* SPDX-License-Identifier: MIT
 *
 * From a path to its route: a small trie of path segments, built once from the table.  Among the
 * children of a node literal segments come first, then "{id}:verb", then "{id}"; a branch that
 * leads nowhere is backed out of, so "/v1/edges/top" and "/v1/edges/{id}" live side by side.
 * No allocation and no regular expression per request. */
#include "route_priv.h"

#include <stdio.h>

#include "base/mem.h"
#include "codec/constraint.h"

#define PARAM "{id}"

enum segment_kind { SEGMENT_LITERAL = 1, SEGMENT_VERB, SEGMENT_PARAM };

enum { ROUTES_PER_NODE = 8 };

struct node {
    enum segment_kind kind;
    struct bytes text; /* the literal, or ":verb" */
    struct node *child, *next;
    const struct route *routes[ROUTES_PER_NODE];
    size_t route_count;
};

struct router {
    struct node root;
};

const char *const route_services[] = {"identity", "keys",          "policies", "router",
                                      "memory",   "reinforcement", "regions",  NULL};

const char *http_method_name(enum http_method m)
{
    static const char *const names[] = {
        [HTTP_GET] = "GET",         [HTTP_POST] = "POST",     [HTTP_PUT] = "PUT",
        [HTTP_PATCH] = "PATCH",     [HTTP_DELETE] = "DELETE", [HTTP_HEAD] = "HEAD",
        [HTTP_OPTIONS] = "OPTIONS", [HTTP_OTHER] = "OTHER"};
    return m >= HTTP_GET && m <= HTTP_OTHER ? names[m] : "OTHER";
}

/* ---- building ---- */

static void node_free(struct node *n)
{
    while (n) {
        struct node *next = n->next;
        node_free(n->child);
        mem_free(n);
        n = next;
    }
}

void router_free(struct router *r)
{
    if (!r)
        return;
    node_free(r->root.child);
    mem_free(r);
}

static void router_freep(struct router **r)
{
    router_free(*r);
}

/* Takes "/segment" off *path. */
static bool next_segment(struct bytes *path, struct bytes *ret)
{
    if (path->len == 0 || path->ptr[0] != '/')
        return false;
    const char *from = path->ptr + 1, *end = path->ptr + path->len;
    const char *slash = memchr(from, '/', (size_t)(end - from));
    const char *to = slash ? slash : end;
    *ret = bytes_of(from, (size_t)(to - from));
    *path = bytes_of(to, (size_t)(end - to));
    return true;
}

/* The child of `parent` for one segment of a pattern, made when absent. */
static struct node *node_child(struct node *parent, struct bytes segment)
{
    enum segment_kind kind = SEGMENT_LITERAL;
    if (bytes_starts(segment, BYTES_LIT(PARAM))) {
        segment = bytes_of(segment.ptr + sizeof PARAM - 1, segment.len - (sizeof PARAM - 1));
        kind = segment.len ? SEGMENT_VERB : SEGMENT_PARAM;
    }
    struct node **at = &parent->child;
    for (; *at && (*at)->kind <= kind; at = &(*at)->next)
        if ((*at)->kind == kind && bytes_equal((*at)->text, segment))
            return *at;
    struct node *n = mem_calloc(1, sizeof *n);
    if (!n)
        return NULL;
    *n = (struct node){.kind = kind, .text = segment, .next = *at};
    *at = n;
    return n;
}

static bool has_field(const ProtobufCMessageDescriptor *desc, const char *field)
{
    return desc && protobuf_c_message_descriptor_get_field_by_name(desc, field);
}

static enum qmn_code check_row(const struct route *r, struct err *err)
{
    const struct operation *op = r->op;
    const char *wrong = NULL;
    const char *param = strstr(r->pattern, PARAM);
    bool scoped = r->access == ACCESS_SCOPE && r->scope > SCOPE_ADMIN && r->scope < SCOPE_COUNT;
    if (!r->name || !op || !op->start)
        wrong = "needs a name and an operation that starts";
    else if (!param != !r->path_field || (param && !has_field(op->request, r->path_field)))
        wrong = "its path parameter and its request disagree";
    else if ((r->ignores && !has_field(op->request, r->ignores)) ||
             (r->absent && !has_field(op->request, r->absent)))
        wrong = "speaks of a field that its request has not";
    else if (r->agent && !has_field(op->request, r->agent))
        wrong = "its request has no such agent field";
    else if (r->access == 0 || r->tenant == 0 || (r->access == ACCESS_SCOPE) != scoped)
        wrong = "does not say who may call it";
    else if ((r->access == ACCESS_OPEN || r->access == ACCESS_LOCAL) && r->tenant != WHOSE_NONE)
        wrong = "is open, yet touches a tenant's data";
    else if (r->status != 200 && r->status != 201 && r->status != 204)
        wrong = "has no success status";
    else if ((r->status == 204) != (!op->response && !r->media))
        wrong = "answers something with 204, or nothing without";
    else if (op->request && op->request->n_fields && !constraint_of(op->request, 0))
        wrong = "has a request that the codec does not know";
    else if (op->response && op->response->n_fields && !constraint_of(op->response, 0))
        wrong = "has a response that the codec does not know";
    if (wrong)
        return err_set(err, QMN_E_INTERNAL, "route %s %s", r->pattern, wrong);
    return QMN_OK;
}

static enum qmn_code add_row(struct router *router, const struct route *r, struct err *err)
{
    struct bytes rest = bytes_cstr(r->pattern), segment;
    struct node *n = &router->root;
    while (next_segment(&rest, &segment)) {
        n = node_child(n, segment);
        if (!n)
            return err_nomem(err);
    }
    for (size_t i = 0; i < n->route_count; i++)
        if (n->routes[i]->method == r->method)
            return err_set(err, QMN_E_INTERNAL, "two routes answer %s %s",
                           http_method_name(r->method), r->pattern);
    if (n->route_count == ROUTES_PER_NODE)
        return err_set(err, QMN_E_INTERNAL, "too many methods at %s", r->pattern);
    n->routes[n->route_count++] = r;
    return QMN_OK;
}

enum qmn_code router_new(const struct route *table, size_t count, struct router **ret,
                         struct err *err)
{
    CLEANUP(router_freep) struct router *r = mem_calloc(1, sizeof *r);
    if (!r)
        return err_nomem(err);
    for (size_t i = 0; i < count; i++) {
        TRY(check_row(&table[i], err));
        for (size_t k = 0; k < i; k++)
            if (!strcmp(table[k].name, table[i].name))
                return err_set(err, QMN_E_INTERNAL, "two routes are called %s", table[i].name);
        TRY(add_row(r, &table[i], err));
    }
    *ret = TAKE(r);
    return QMN_OK;
}

/* ---- matching ---- */

struct search {
    const char *prefix; /* service that the path names */
    const char *only;   /* service of the listener */
};

static bool serves(const struct search *s, const struct route *r)
{
    if (!r->service)
        return !s->prefix;
    if (!strcmp(r->service, "*"))
        return true;
    return (!s->prefix || !strcmp(s->prefix, r->service)) &&
           (!s->only || !strcmp(s->only, r->service));
}

static bool node_serves(const struct node *n, const struct search *s)
{
    for (size_t i = 0; i < n->route_count; i++)
        if (serves(s, n->routes[i]))
            return true;
    return false;
}

static bool segment_matches(const struct node *n, struct bytes segment, struct bytes *ret_param)
{
    if (n->kind == SEGMENT_LITERAL)
        return bytes_equal(n->text, segment);
    if (n->kind == SEGMENT_VERB) {
        if (segment.len <= n->text.len ||
            memcmp(segment.ptr + segment.len - n->text.len, n->text.ptr, n->text.len) != 0)
            return false;
        segment.len -= n->text.len;
    }
    if (segment.len == 0)
        return false;
    *ret_param = segment;
    return true;
}

/* As deep as the deepest pattern. */
static const struct node *find(const struct node *parent, struct bytes path, const struct search *s,
                               struct bytes *ret_param)
{
    struct bytes segment;
    if (!next_segment(&path, &segment))
        return node_serves(parent, s) ? parent : NULL;
    for (const struct node *n = parent->child; n; n = n->next) {
        struct bytes param = {NULL, 0};
        if (!segment_matches(n, segment, &param))
            continue;
        const struct node *found = find(n, path, s, ret_param);
        if (!found)
            continue;
        if (param.ptr)
            *ret_param = param;
        return found;
    }
    return NULL;
}

static const char *service_of(struct bytes segment)
{
    for (const char *const *s = route_services; *s; s++)
        if (bytes_is(segment, *s))
            return *s;
    return NULL;
}

static void write_allow(const struct node *n, const struct search *s, char *ret, size_t size)
{
    size_t used = 0;
    ret[0] = 0;
    for (size_t i = 0; i < n->route_count; i++) {
        const struct route *r = n->routes[i];
        if (!serves(s, r) || used >= size)
            continue;
        int len = snprintf(ret + used, size - used, "%s%s%s", used ? ", " : "",
                           http_method_name(r->method),
                           r->method == HTTP_GET && !r->no_head ? ", HEAD" : "");
        used += (size_t)len;
    }
}

enum qmn_code router_match(const struct router *r, enum http_method method, struct bytes path,
                           const char *only, struct route_match *ret, struct err *err)
{
    struct search s = {.only = only};
    struct bytes rest = path, first;
    if (next_segment(&rest, &first) && rest.len && (s.prefix = service_of(first)))
        path = rest;
    struct bytes param = {NULL, 0};
    const struct node *n = find(&r->root, path, &s, &param);
    if (!n)
        return err_set(err, QMN_E_NOT_FOUND, "no such path; /openapi.json lists them all");
    enum http_method wanted = method == HTTP_HEAD ? HTTP_GET : method;
    for (size_t i = 0; i < n->route_count; i++) {
        if (n->routes[i]->method != wanted || !serves(&s, n->routes[i]) ||
            (method == HTTP_HEAD && n->routes[i]->no_head))
            continue;
        *ret = (struct route_match){.route = n->routes[i],
                                    .param = param,
                                    .service = s.prefix ? s.prefix : only,
                                    .path = path};
        return QMN_OK;
    }
    write_allow(n, &s, ret->allow, sizeof ret->allow);
    return err_set(err, QMN_E_METHOD, "this path answers %s, not %s", ret->allow,
                   http_method_name(method));
}
