# SPDX-License-Identifier: MIT
"""Every constraint that the document promises, broken one at a time: 422, and the field is named.

Generated from the document and the samples, like the isolation matrix: a new field is tested the
moment it exists."""
import json

import pytest

from conftest import problem
from harness import vector
from samples import SAMPLES, World

SKIP = {
    # Checked before the field is looked at, or by the engine with a rule of its own.
    ("tenant.create", "id", "maxLength"), ("tenant.create", "id", "minLength"),
}


@pytest.fixture(scope="module")
def world(make_tenant):
    return World(make_tenant())


def too_long(schema):
    return "x" * (schema["maxLength"] + 1)


def breaches(schema, required):
    """(what is broken, a value that breaks it) of one property."""
    types = schema.get("type")
    types = types if isinstance(types, list) else [types]
    if required:
        yield "required", None
    if "string" in types:
        yield "type", 5
        if "enum" in schema:
            yield "enum", "nonsense"
        if "maxLength" in schema and schema["maxLength"] <= 70000:
            yield "maxLength", too_long(schema)
        if schema.get("minLength", 0) >= 1 and "enum" not in schema:
            yield "minLength", ""
        if "pattern" in schema:
            yield "pattern", "a\nb"
        if schema.get("format") == "date-time":
            yield "format", "yesterday"
    if "integer" in types or "number" in types:
        yield "type", "five"
        yield "type", True
        if "maximum" in schema:
            yield "maximum", schema["maximum"] + 1
        if "minimum" in schema:
            yield "minimum", schema["minimum"] - 1
    if "integer" in types:
        yield "type", 1.5
    if "boolean" in types:
        yield "type", "yes"
    if "object" in types:
        yield "type", []
        if "maxProperties" in schema:
            yield "maxProperties", {f"k{i}": 0.5 for i in range(schema["maxProperties"] + 1)}
    if "array" in types:
        yield "type", {}
        items = schema["items"]
        if "maxItems" in schema:
            one = 0.5 if items.get("type") == "number" else "x"
            yield "maxItems", [one] * (schema["maxItems"] + 1)
        if items.get("type") == "string":
            yield "items.type", ["ok", 5]
            if "maxLength" in items:
                yield "items.maxLength", ["ok", too_long(items)]
            if items.get("minLength"):
                yield "items.minLength", ["ok", ""]
            if "pattern" in items:
                yield "items.pattern", ["ok", "a\nb"]
        if items.get("type") == "number":
            yield "items.type", [0.5, "x"]
            yield "zero", [0.0] * 8


def resolve(schema, document):
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    return schema


def body_cases(schema, document, prefix=()):
    """(path of the property, breach, value) of every property, nested ones included."""
    schema = resolve(schema, document)
    for name, part in schema.get("properties", {}).items():
        if name.endswith("_b64"):
            yield prefix + (name,), "type", 5
            yield prefix + (name,), "base64", "***"
            yield prefix + (name,), "length", "AAAA"
            continue
        if "$ref" in part:
            yield from body_cases(part, document, prefix + (name,))
            yield prefix + (name,), "type", "x"
            continue
        for breach, value in breaches(part, name in schema.get("required", [])):
            yield prefix + (name,), breach, value


def broken(body, path, value):
    """A copy of a good body with one property changed; None: taken out."""
    body = json.loads(json.dumps(body or {}))
    at = body
    for name in path[:-1]:
        at = at.setdefault(name, {})
    if value is None:
        at.pop(path[-1], None)
    else:
        at[path[-1]] = value
    return body


def named(field, path):
    """Whether a problem's field is this property, or an element of it."""
    text = ".".join(path).removesuffix("_b64")
    field = (field or "").replace("_b64", "")
    return field == text or field.startswith(text + "[") or field.startswith(text + ".")


def test_every_breach_in_a_body_is_named(world, openapi, operations, admin):
    count = 0
    for o in operations:
        if "application/json" not in o.spec.get("requestBody", {}).get("content", {}):
            continue
        client = admin if o.access == "admin" else world.tenant.client
        schema = o.spec["requestBody"]["content"]["application/json"]["schema"]
        sample = SAMPLES[o.name]
        path, good = sample.path(o, world).split("?")[0], sample.body(world)
        from_path = o.spec.get("x-qmn-path-field")
        for where, breach, value in body_cases(schema, openapi):
            if where == (from_path,) or (o.name, where[-1], breach) in SKIP:
                continue
            answer = client.call(o.method, path, broken(good, where, value))
            assert answer.status == 422, (o, where, breach, value, answer)
            assert named(answer.field, where), (o, where, breach, answer)
            assert answer.code in ("invalid", "dimension"), (o, where, answer)
            count += 1
    assert count > 300


def test_every_breach_in_a_query_is_named(world, operations, admin):
    count = 0
    for o in operations:
        client = admin if o.access == "admin" else world.tenant.client
        for parameter in o.spec["parameters"]:
            if parameter["in"] != "query" or o.access in ("open", "local"):
                continue
            schema, name = parameter["schema"], parameter["name"]
            for breach, value in breaches(schema, False):
                if "string" in str(schema["type"]) and breach == "type":
                    continue  # every text is a text in a query
                if value is True or not isinstance(value, (str, int, float)):
                    continue
                text = str(value).replace("\n", "%0A")
                path = SAMPLES[o.name].path(o, world).split("?")[0]
                answer = client.call(o.method, f"{path}?{name}={text}")
                assert answer.status == 422, (o, name, breach, answer)
                assert answer.field == name, (o, name, answer)
                count += 1
    assert count > 40


def test_every_breach_in_a_path_is_named(world, operations, admin):
    for o in operations:
        if "{id}" not in o.path:
            continue
        client = admin if o.access == "admin" else world.tenant.client
        sample = SAMPLES[o.name]
        for param in ("x" * 256, "a\nb", "a\x7fb", "\x00"):
            path = sample.path(o, world, param=param)
            answer = client.call("HEAD" if o.name == "inbox.stream" else o.method, path,
                                 sample.body(world))
            assert answer.status in (400, 422), (o, param, answer)
            if answer.body and answer.status == 422:
                assert answer.field == o.spec["x-qmn-path-field"], (o, answer)


def test_null_is_absent_and_unknown_fields_are_ignored(world, openapi, operations, admin):
    for o in operations:
        if "application/json" not in o.spec.get("requestBody", {}).get("content", {}) or o.name == "tenant.create":
            continue
        client = admin if o.access == "admin" else world.tenant.client
        schema = resolve(o.spec["requestBody"]["content"]["application/json"]["schema"], openapi)
        sample = SAMPLES[o.name]
        good = sample.body(world) or {}
        body = {name: None for name in schema["properties"]}
        body.update(good)
        body.update({"no_such_field": {"deep": [1, {"x": None}]}, "another": "x"})
        answer = client.call(o.method, sample.path(o, world, fresh=True), body)
        assert answer.status in o.statuses, (o, answer)


@pytest.mark.parametrize("dim", [7, 9, 16])
def test_a_wrong_dimension_names_both(shared_tenant, dim):
    answer = shared_tenant.client.post("/v1/nutrients:broadcast", {"summary": "s", "embedding": vector("x", dim)})
    document = problem(answer, 422, "dimension", "embedding")
    assert str(dim) in document["detail"] and "8" in document["detail"]
