/* SPDX-License-Identifier: MIT
 *
 * The OpenAPI 3.1 document: the route table, written down for others.  Made once at start.  What
 * OpenAPI has no word for stands in x-qmn-* members (service, scope, tenant, acting agent, label,
 * quota, audit); the tenant-isolation tests are generated from those. */
#include "openapi_priv.h"

#include <ctype.h>
#include <stdio.h>

#include "api_priv.h"
#include "base/limits.h"
#include "codec/json_encode.h"

#define DESCRIPTION                                                                                \
    "Every path also answers with its service (x-qmn-service) as a first segment, as in "          \
    "/router/v1/agents. Unknown fields are ignored, null means absent, times are RFC 3339 in "     \
    "UTC. Wherever an embedding is taken, text may stand instead."

static void put_bool(struct buf *out, const char *key, bool value)
{
    put_key(out, key);
    buf_adds(out, value ? "true" : "false");
}

static void open_object(struct buf *out, const char *key)
{
    put_key(out, key);
    buf_addc(out, '{');
}

/* ---- parameters ---- */

/* A buffer that has failed is empty. */
static void next_parameter(struct buf *out)
{
    if (out->len && out->ptr[out->len - 1] != '[')
        buf_addc(out, ',');
}

static void put_parameter(struct buf *out, const char *place, const char *name, bool required,
                          const ProtobufCMessageDescriptor *m, unsigned index)
{
    next_parameter(out);
    buf_addc(out, '{');
    put_member(out, "name", name);
    put_member(out, "in", place);
    put_bool(out, "required", required);
    put_key(out, "schema");
    schema_field(out, m, index);
    buf_addc(out, '}');
}

static void put_header_parameter(struct buf *out, const char *name, const char *schema,
                                 const char *about)
{
    next_parameter(out);
    buf_addc(out, '{');
    put_member(out, "name", name);
    put_member(out, "in", "header");
    put_bool(out, "required", false);
    put_key(out, "schema");
    buf_adds(out, schema);
    put_member(out, "description", about);
    buf_addc(out, '}');
}

static bool is_scalar(const ProtobufCFieldDescriptor *f)
{
    return f->label != PROTOBUF_C_LABEL_REPEATED && f->type != PROTOBUF_C_TYPE_MESSAGE &&
           f->type != PROTOBUF_C_TYPE_BYTES;
}

/* What is left of the value once HTTP has taken blanks off its ends. */
static void put_idempotency_key(struct buf *out)
{
    char schema[120];
    snprintf(schema, sizeof schema,
             "{\"type\":\"string\",\"minLength\":1,\"maxLength\":%d,"
             "\"pattern\":\"^[!-~]([ -~]*[!-~])?$\"}",
             LIMIT_IDEMPOTENCY_CHARS);
    put_header_parameter(out, "Idempotency-Key", schema,
                         "A repeat within 24 hours gives the first answer.");
}

static void put_parameters(struct buf *out, const struct route *r)
{
    const ProtobufCMessageDescriptor *m = r->op->request;
    put_key(out, "parameters");
    buf_addc(out, '[');
    for (unsigned i = 0; m && i < m->n_fields; i++) {
        bool in_path = r->path_field && !strcmp(m->fields[i].name, r->path_field);
        if (in_path)
            put_parameter(out, "path", "id", true, m, i);
        else if ((r->input & INPUT_QUERY) && is_scalar(&m->fields[i]) &&
                 !(r->ignores && !strcmp(m->fields[i].name, r->ignores)))
            put_parameter(out, "query", m->fields[i].name, false, m, i);
    }
    if (r->mutation)
        put_idempotency_key(out);
    if (r->access != ACCESS_OPEN && r->access != ACCESS_LOCAL)
        put_header_parameter(out, "X-Tenant-ID", "{\"type\":\"string\"}",
                             "The key's own tenant; an admin key may name another.");
    if (r->media && !strcmp(r->media, "text/event-stream"))
        put_header_parameter(out, "Last-Event-ID", "{\"type\":\"integer\",\"minimum\":0}",
                             "Id of the last event seen.");
    buf_addc(out, ']');
}

/* ---- bodies ---- */

static void put_content(struct buf *out, const char *media, const ProtobufCMessageDescriptor *m)
{
    open_object(out, "content");
    open_object(out, media);
    put_key(out, "schema");
    if (m)
        schema_ref(out, m);
    else
        buf_adds(out, "{}");
    buf_adds(out, "}}");
}

bool route_takes_body(const struct route *r)
{
    return (r->input & INPUT_BODY) && r->op->request &&
           r->op->request->n_fields > (r->path_field != NULL);
}

static void put_body(struct buf *out, const struct route *r)
{
    if (r->takes) {
        open_object(out, "requestBody");
        put_bool(out, "required", false);
        put_content(out, r->takes, NULL);
        buf_addc(out, '}');
    }
    if (!route_takes_body(r))
        return;
    open_object(out, "requestBody");
    put_bool(out, "required", schema_needs_body(r->op->request, r->path_field));
    put_content(out, "application/json", r->op->request);
    buf_addc(out, '}');
}

static void put_responses(struct buf *out, const struct route *r)
{
    char status[8];
    snprintf(status, sizeof status, "%d", r->status);
    open_object(out, "responses");
    open_object(out, status);
    put_member(out, "description", r->status == 204 ? "Done." : r->about);
    if (r->media)
        put_content(out, r->media, r->op->response);
    else if (r->op->response)
        put_content(out, "application/json", r->op->response);
    buf_addc(out, '}');
    open_object(out, "default");
    put_member(out, "description", "A problem document.");
    buf_adds(out, ",\"content\":{\"application/problem+json\":{\"schema\":"
                  "{\"$ref\":\"#/components/schemas/Problem\"}}}}}");
}

/* ---- operations ---- */

static void put_extensions(struct buf *out, const struct route *r)
{
    static const char *const access[] = {[ACCESS_OPEN] = "open",
                                         [ACCESS_KEY] = "key",
                                         [ACCESS_SCOPE] = "scope",
                                         [ACCESS_ADMIN] = "admin",
                                         [ACCESS_LOCAL] = "local"};
    static const char *const whose[] = {[WHOSE_NONE] = "none",
                                        [WHOSE_CALLER] = "caller",
                                        [WHOSE_PATH] = "path",
                                        [WHOSE_BODY] = "body"};
    put_member(out, "x-qmn-access", access[r->access]);
    put_member(out, "x-qmn-tenant", whose[r->tenant]);
    if (r->access == ACCESS_SCOPE)
        put_member(out, "x-qmn-scope", scope_name(r->scope));
    if (r->access == ACCESS_ADMIN || r->access == ACCESS_LOCAL)
        put_member(out, "x-qmn-scope", scope_name(SCOPE_ADMIN));
    const struct {
        const char *key, *value;
    } texts[] = {{"x-qmn-service", r->service}, {"x-qmn-agent", r->agent},
                 {"x-qmn-label", r->label},     {"x-qmn-quota", r->quota},
                 {"x-qmn-audit", r->audit},     {"x-qmn-path-field", r->path_field}};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (texts[i].value)
            put_member(out, texts[i].key, texts[i].value);
    put_bool(out, "x-qmn-idempotent", r->mutation);
}

static void put_operation(struct buf *out, const struct route *r)
{
    char method[8];
    snprintf(method, sizeof method, "%s", http_method_name(r->method));
    for (char *p = method; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    open_object(out, method);
    put_member(out, "operationId", r->name);
    put_member(out, "summary", r->about);
    if (r->service && strcmp(r->service, "*") != 0) {
        put_key(out, "tags");
        buf_printf(out, "[\"%s\"]", r->service);
    }
    put_key(out, "security");
    if (r->access == ACCESS_OPEN)
        buf_adds(out, "[]");
    else
        buf_printf(out, "[%s{\"key\":[]},{\"bearer\":[]}]", r->access == ACCESS_LOCAL ? "{}," : "");
    put_parameters(out, r);
    put_body(out, r);
    put_responses(out, r);
    put_extensions(out, r);
    buf_addc(out, '}');
}

static bool seen_before(size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (!strcmp(routes[i].pattern, routes[index].pattern))
            return true;
    return false;
}

static void put_paths(struct buf *out)
{
    open_object(out, "paths");
    for (size_t i = 0; i < route_count; i++) {
        if (seen_before(i))
            continue;
        open_object(out, routes[i].pattern);
        for (size_t k = i; k < route_count; k++)
            if (!strcmp(routes[k].pattern, routes[i].pattern))
                put_operation(out, &routes[k]);
        buf_addc(out, '}');
    }
    buf_addc(out, '}');
}

enum qmn_code openapi_write(const struct api *a, struct buf *out, struct err *err)
{
    buf_adds(out, "{\"openapi\":\"3.1.0\"");
    open_object(out, "info");
    put_member(out, "title", "QMN node");
    put_member(out, "version", a->version);
    put_member(out, "description", DESCRIPTION);
    buf_addc(out, '}');
    put_paths(out);
    open_object(out, "components");
    put_key(out, "schemas");
    TRY(schema_components(out, err));
    buf_adds(out,
             ",\"securitySchemes\":{\"key\":{\"type\":\"apiKey\",\"in\":\"header\","
             "\"name\":\"X-API-Key\"},\"bearer\":{\"type\":\"http\",\"scheme\":\"bearer\"}}}}");
    return buf_ok(out) ? QMN_OK : err_nomem(err);
}
