# SPDX-License-Identifier: MIT
"""The OpenAPI document by the rules of OpenAPI 3.1 and JSON Schema, as far as structure goes."""
import math
import re

import pytest

from samples import SAMPLES

SCHEMA_WORDS = {
    "type", "properties", "required", "items", "additionalProperties", "propertyNames", "enum", "default",
    "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "minProperties",
    "maxProperties", "pattern", "format", "contentEncoding", "description", "$ref"}
TYPES = {"object", "array", "string", "integer", "number", "boolean", "null"}


def walk(schema, document, where):
    assert isinstance(schema, dict), where
    assert set(schema) <= SCHEMA_WORDS, f"{where}: {set(schema) - SCHEMA_WORDS}"
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/components/schemas/")
        assert name in document["components"]["schemas"], f"{where}: {name}"
    if "type" in schema:
        types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        assert set(types) <= TYPES, where
    for low, high in (("minimum", "maximum"), ("minLength", "maxLength"), ("minItems", "maxItems")):
        if low in schema and high in schema:
            assert schema[low] <= schema[high], where
    if "pattern" in schema:
        re.compile(schema["pattern"])
    if "default" in schema and "enum" in schema:
        assert schema["default"] in schema["enum"], where
    if "default" in schema and "minimum" in schema:
        assert schema["minimum"] <= schema["default"] <= schema.get("maximum", math.inf), where
    for name, part in schema.get("properties", {}).items():
        walk(part, document, f"{where}.{name}")
    assert set(schema.get("required", [])) <= set(schema.get("properties", {})), where
    for word in ("items", "additionalProperties", "propertyNames"):
        if word in schema:
            walk(schema[word], document, f"{where}.{word}")


def test_the_head_is_what_openapi_3_1_wants(openapi):
    assert openapi["openapi"].startswith("3.1.")
    assert openapi["info"]["title"] and openapi["info"]["version"]
    assert set(openapi) <= {"openapi", "info", "paths", "components"}
    assert set(openapi["components"]["securitySchemes"]) == {"key", "bearer"}


def test_every_schema_is_well_formed_and_every_reference_resolves(openapi):
    for name, schema in openapi["components"]["schemas"].items():
        walk(schema, openapi, name)


def test_every_listing_is_bounded(openapi):
    """By limit, with a default and a maximum that the document names; what pages says how."""
    seen = set()
    for path, item in openapi["paths"].items():
        operation = item.get("get", {})
        name = operation.get("operationId", "")
        if not re.search(r"[._](list|list_of|top|pull)$", name):
            continue
        seen.add(name)
        given = {p["name"]: p["schema"] for p in operation["parameters"] if p["in"] == "query"}
        assert given["limit"]["default"] <= given["limit"]["maximum"] == 1000, path
        text = operation["summary"] + operation.get("description", "")
        for word in {"offset", "after"} & set(given):
            assert f"`{word}` continues" in text, path
    assert len(seen) >= 10, seen


def test_every_schema_is_used(openapi, node):
    text = str(openapi["paths"]) + str(openapi["components"])
    for name in openapi["components"]["schemas"]:
        assert f"#/components/schemas/{name}'" in text, name


def test_every_operation_is_complete(openapi):
    seen = set()
    for path, item in openapi["paths"].items():
        assert path.startswith("/") and set(item) <= {"get", "post", "put", "patch", "delete"}
        for method, operation in item.items():
            where = f"{method} {path}"
            assert operation["operationId"] not in seen, where
            seen.add(operation["operationId"])
            assert operation["summary"] and "default" in operation["responses"], where
            names = [(p["in"], p["name"]) for p in operation["parameters"]]
            assert len(names) == len(set(names)), where
            in_path = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
            assert in_path == set(re.findall(r"\{(\w+)\}", path)), where
            for parameter in operation["parameters"]:
                assert parameter["required"] == (parameter["in"] == "path"), where
                walk(parameter["schema"], openapi, f"{where} {parameter['name']}")
            assert method in ("post", "put", "patch") or "requestBody" not in operation, where
            for status, response in operation["responses"].items():
                assert response["description"], where
                assert (status == "204") == ("content" not in response), where
                for content in response.get("content", {}).values():
                    walk(content["schema"], openapi, where)


def test_no_two_paths_differ_only_in_the_names_of_their_parameters(openapi):
    shapes = [re.sub(r"\{\w+\}", "{}", path) for path in openapi["paths"]]
    assert len(shapes) == len(set(shapes))


def test_security_says_what_access_says(operations):
    for o in operations:
        assert (o.spec["security"] == []) == (o.access == "open"), o
        assert (o.scope is not None) == (o.access in ("scope", "admin", "local")), o


def test_each_route_has_a_sample_and_each_sample_a_route(operations):
    assert {o.name for o in operations} == set(SAMPLES)


@pytest.mark.parametrize("name", ["BroadcastRequest", "CollectRequest", "StoreMemoryRequest"])
def test_a_vector_may_come_as_base64(openapi, name):
    properties = openapi["components"]["schemas"][name]["properties"]
    vectors = [p for p in properties if p.endswith("embedding")]
    assert vectors
    for p in vectors:
        assert properties[p]["type"] == "array" and properties[p]["items"] == {"type": "number"}
        assert properties[f"{p}_b64"]["contentEncoding"] == "base64"
