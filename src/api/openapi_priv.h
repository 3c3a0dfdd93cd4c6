/* SPDX-License-Identifier: MIT
 *
 * Schemas of the OpenAPI document, out of descriptors and constraints. */
#ifndef QMN_API_OPENAPI_PRIV_H
#define QMN_API_OPENAPI_PRIV_H

#include "base/buf.h"
#include "route_priv.h"

/* The schema of one field's value as it stands in JSON; no reference for `inline_only`
 * (parameters). */
void schema_field(struct buf *out, const ProtobufCMessageDescriptor *message, unsigned index);
/* components.schemas: every message that routes reach, and Problem. */
QMN_NODISCARD enum qmn_code schema_components(struct buf *out, struct err *err);
/* Whether a route reads fields from a body, those of the path apart. */
bool route_takes_body(const struct route *r);
/* Whether a body has to come for `message` to be complete; `path_field` comes from elsewhere. */
bool schema_needs_body(const ProtobufCMessageDescriptor *message, const char *path_field);
/* {"$ref": ...} */
void schema_ref(struct buf *out, const ProtobufCMessageDescriptor *message);
/* "key": with a comma in front unless it is the first of its object. */
void put_key(struct buf *out, const char *key);
void put_member(struct buf *out, const char *key, const char *text);

#endif
