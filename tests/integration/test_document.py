# SPDX-License-Identifier: MIT
"""The OpenAPI document: by the rules of OpenAPI 3.1 and JSON Schema, and against what the node takes and
answers."""
import base64
import itertools
import math
import re
import struct

import pytest

from harness import Client
from samples import SAMPLES, World
from schema import errors

SCHEMA_WORDS = {
    "type", "properties", "required", "items", "additionalProperties", "propertyNames", "enum", "default",
    "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "minProperties",
    "maxProperties", "oneOf", "anyOf", "not", "pattern", "format", "contentEncoding", "description", "$ref"}
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
    if "type" in schema:  # the parts of oneOf and its kin speak of their owner's properties
        assert set(schema.get("required", [])) <= set(schema.get("properties", {})), where
    for word in ("items", "additionalProperties", "propertyNames"):
        if word in schema:
            walk(schema[word], document, f"{where}.{word}")
    for word in ("oneOf", "anyOf"):
        for part in schema.get(word, []):
            walk(part, document, f"{where}.{word}")
    if "not" in schema:
        walk(schema["not"], document, f"{where}.not")


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


def test_a_validator_that_knows_the_standard_agrees(openapi):
    validator = pytest.importorskip("openapi_spec_validator", reason="not installed; what it checks of structure is "
                                    "checked by hand above")
    validator.validate(openapi)


# ---- against the node ----

@pytest.fixture(scope="module")
def world(make_tenant):
    return World(make_tenant())


def caller(operation, world, admin):
    return admin if operation.access == "admin" else world.tenant.client


def body_schema(operation):
    return operation.spec["requestBody"]["content"]["application/json"]["schema"]


def test_every_answer_is_what_the_document_says(world, operations, openapi, admin):
    for o in operations:
        if o.name in ("inbox.stream", "tenant.delete"):
            continue
        sample = SAMPLES[o.name]
        answer = caller(o, world, admin).call(o.method, sample.path(o, world, fresh=True), sample.body(world))
        assert answer.status in o.statuses, (o, answer)
        content = o.spec["responses"][str(answer.status)].get("content")
        if answer.status == 204:
            assert answer.body == b"" and content is None, o
            continue
        (media, its), = content.items()
        assert answer.headers["content-type"] == media, o
        if media == "application/json":
            assert errors(answer.json(), its["schema"], openapi, o.name, strict=True) == []


def test_every_refusal_is_the_problem_of_the_document(world, openapi):
    refused = [world.tenant.client.post("/v1/nutrients:broadcast", {}), Client(world.tenant.client.port).get("/v1/agents"),
               world.tenant.client.get("/v1/agents/nobody"), world.tenant.client.get("/nowhere"),
               world.tenant.client.call("POST", "/v1/tasks", raw=b"{")]
    assert [r.status for r in refused] == [422, 401, 404, 404, 400]
    for r in refused:
        assert errors(r.json(), openapi["components"]["schemas"]["Problem"], openapi, strict=True) == []


def test_every_good_request_is_one_by_the_document(world, operations, openapi):
    for o in operations:
        body = SAMPLES[o.name].body(world)
        if body is not None and "application/json" in o.spec["requestBody"]["content"]:
            assert errors(body, body_schema(o), openapi, o.name) == []


def test_a_body_is_required_where_the_node_wants_one(world, operations, openapi, admin):
    for o in operations:
        if "application/json" not in o.spec.get("requestBody", {}).get("content", {}):
            continue
        required = o.spec["requestBody"]["required"]
        assert bool(errors({}, body_schema(o), openapi)) == required, o
        if o.name != "tenant.create":  # and what changes nothing of the others
            answer = caller(o, world, admin).call(o.method, SAMPLES[o.name].path(o, world, fresh=True))
            assert (answer.status == 422) == required, (o, answer)


@pytest.mark.parametrize("name, vector, rest", [
    ("broadcast", "embedding", {"summary": "s"}),
    ("respond", "embedding", {"agent_id": "helper", "content": {"a": 1}}),
    ("collect", "demand_embedding", {"window_ms": 100}),
    ("memory.store", "embedding", {"agent_id": "helper", "kind": "k", "content": {"a": 1}}),
    ("memory.search", "embedding", {}),
    ("memory.search", "embedding", {"query": "words"}),
    ("agent.register", "embedding", {"agent_id": "either"}),
])
def test_a_vector_and_its_stand_ins_exclude_each_other_as_documented(make_tenant, operations, openapi, name, vector,
                                                                     rest):
    """Each choice among the three, in a tenant of its own, since a text fixes another space than a vector."""
    operation = next(o for o in operations if o.name == name)
    values = [0.5, 0.25, -1.0, 0.125, 1.0, 2.0, 3.0, 0.5]
    parts = {vector: values, f"{vector}_b64": base64.b64encode(struct.pack("<8f", *values)).decode(), "text": "words"}
    for count in range(4):
        for chosen in itertools.combinations(parts, count):
            some = {part: parts[part] for part in chosen}
            body = {**rest, "profile": some} if name == "agent.register" else {**rest, **some}
            world = World(make_tenant())
            texts = make_tenant()  # nothing in it yet: takes a text
            fits = not errors(body, body_schema(operation), openapi)
            client = world.tenant.client
            if chosen == ("text",) and name in ("respond",):
                continue  # needs a nutrient, and so a space
            if chosen == ("text",):
                client = texts.client
                texts.known.add("helper")
            path = SAMPLES[name].path(operation, world)
            answer = client.call(operation.method, path, body)
            assert (answer.status in operation.statuses) == fits, (chosen, answer)


def test_an_outcome_has_one_score_or_another(world, operations, openapi):
    operation = next(o for o in operations if o.name == "outcome.record")
    for given in ({}, {"outcome": {}}, {"outcome": {"metadata": {}}}, {"outcome_score": 1}, {"outcome": {"score": 1}},
                  {"outcome": {"score": 1}, "outcome_score": 1}):
        body = {"trace_id": world.fresh_trace(), "agent_id": world.source, **given}
        answer = world.tenant.client.post("/v1/outcomes:record", body)
        assert (answer.status == 200) == (not errors(body, body_schema(operation), openapi)), (given, answer)


@pytest.mark.parametrize("value", ["a", "~", "two words", "", " ", "a" * 255, "a" * 256, "t\tab", "\u00fcber"])
def test_an_idempotency_key_is_what_the_document_says(world, operations, openapi, value):
    schemas = [p["schema"] for o in operations for p in o.spec["parameters"] if p["name"] == "Idempotency-Key"]
    assert schemas and all(s == schemas[0] for s in schemas)
    answer = world.tenant.client.post("/v1/edges:decay", {}, headers={"Idempotency-Key": value.encode("utf-8")})
    assert (answer.status == 200) == (not errors(value, schemas[0], openapi)), answer


@pytest.mark.parametrize("name, parameter", [
    ("tenant.get", "purge"), ("tenant.usage", "purge"), ("agent.suspend", "embedding"), ("inbox.stream", "wait_ms"),
    ("key.list", "tenant_id"), ("policy.list", "tenant_id")])
def test_what_does_nothing_is_not_documented(operations, name, parameter):
    operation = next(o for o in operations if o.name == name)
    assert parameter not in {p["name"] for p in operation.spec["parameters"]}
