# SPDX-License-Identifier: MIT
"""Idempotency-Key on every change: once, whatever the number of tries."""
import json
import threading

import pytest

from conftest import Tenant, problem
from harness import Client, Node
from samples import SAMPLES, World

SECRETS = ("api_key", "new_api_key")


@pytest.fixture
def world(make_tenant):
    return World(make_tenant())


def prepare(o, world, admin):
    """A request that can be sent again and again: its body is made once."""
    sample = SAMPLES[o.name]
    client = admin if o.access == "admin" else world.tenant.client
    return client, o.method, sample.path(o, world, fresh=True), sample.body(world)


def without_secrets(answer):
    if not answer.body:
        return None
    document = answer.json()
    if isinstance(document, dict):
        for name in SECRETS:
            document.pop(name, None)
    return document


def changes(operations):
    return [o for o in operations if o.mutation and o.name not in ("tenant.delete",)]


def test_a_repeat_gives_the_first_answer(world, operations, admin):
    for o in changes(operations):
        client, method, path, body = prepare(o, world, admin)
        headers = {"Idempotency-Key": f"again {o.name}"}
        first = client.call(method, path, body, headers=headers)
        assert first.status in o.statuses, (o, first)
        assert "idempotent-replayed" not in first.headers, o
        again = client.call(method, path, body, headers=headers)
        assert again.status == first.status, (o, first, again)
        assert again.headers.get("idempotent-replayed") == "true", (o, again)
        assert without_secrets(again) == without_secrets(first), o


def test_a_repeat_shows_no_secret(world, operations, admin):
    for o in changes(operations):
        if o.name not in ("key.create", "key.rotate"):
            continue
        client, method, path, body = prepare(o, world, admin)
        headers = {"Idempotency-Key": f"secret {o.name}"}
        first = client.call(method, path, body, headers=headers).json()
        again = client.call(method, path, body, headers=headers).json()
        assert first["api_key"] and not again.get("api_key") and not again.get("new_api_key")


def test_another_body_under_the_same_key_is_refused(world, operations, admin):
    for o in changes(operations):
        client, method, path, body = prepare(o, world, admin)
        headers = {"Idempotency-Key": f"other {o.name}"}
        assert client.call(method, path, body, headers=headers).status in o.statuses
        if body is not None:
            other = client.call(method, path, dict(body, unknown_to_all=1), headers=headers)
        else:
            more = "&" if "?" in path else "?"
            other = client.call(method, f"{path}{more}unknown_to_all=1", headers=headers)
        problem(other, 422, "idempotency_mismatch")


def test_another_path_under_the_same_key_is_another_body(world):
    client = world.tenant.client
    for agent in ("one", "two"):
        world.tenant.agent(agent)
    headers = {"Idempotency-Key": "delete"}
    client.call("DELETE", "/v1/agents/one", headers=headers, expect=204)
    problem(client.call("DELETE", "/v1/agents/two", headers=headers), 422, "idempotency_mismatch")
    assert client.get("/v1/agents/two", expect=200).json()["status"] == "active"


def test_the_prefix_makes_no_difference(world):
    body = {"summary": "s", "embedding": world.tenant.vector("topic")}
    headers = {"Idempotency-Key": "prefix"}
    first = world.tenant.client.post("/v1/nutrients:broadcast", body, 200, headers=headers).json()
    again = world.tenant.client.post("/router/v1/nutrients:broadcast", body, 200, headers=headers).json()
    assert again == first


def test_keys_are_apart_by_route_api_key_and_tenant(world, make_tenant):
    headers = {"Idempotency-Key": "shared"}
    body = {"title": "one"}
    first = world.tenant.client.post("/v1/tasks", body, 201, headers=headers).json()
    world.tenant.client.post("/v1/policies", {"name": "p", "policy_type": "dlp", "rules": {}}, 201, headers=headers)
    other_key = world.tenant.with_key(world.tenant.new_key())
    assert other_key.post("/v1/tasks", body, 201, headers=headers).json()["id"] != first["id"]
    stranger = make_tenant()
    answer = stranger.client.post("/v1/tasks", body, 201, headers=headers)
    assert "idempotent-replayed" not in answer.headers


def test_a_failure_is_not_remembered(world):
    headers = {"Idempotency-Key": "failure"}
    body = {"agent_ids": [], "nutrient_ids": ["x"]}
    problem(world.tenant.client.post("/v1/agents/absent/nutrients:ack", body, headers=headers), 404)
    world.tenant.agent("absent")
    world.tenant.client.post("/v1/agents/absent/nutrients:ack", body, 200, headers=headers)


def test_reads_ignore_the_key(world):
    headers = {"Idempotency-Key": "read"}
    for _ in range(2):
        answer = world.tenant.client.get("/v1/agents", 200, headers=headers)
        assert "idempotent-replayed" not in answer.headers


@pytest.mark.parametrize("value,status", [("x" * 255, 201), ("x" * 256, 422), (" a b ", 201), ("ünïcode", 422)])
def test_the_key_is_1_to_255_printable_characters(world, value, status):
    headers = {"Idempotency-Key": value.encode("latin-1")}
    answer = world.tenant.client.post("/v1/tasks", {"title": "t"}, headers=headers)
    if status == 422:
        problem(answer, 422, "invalid", "Idempotency-Key")
    else:
        assert answer.status == status, answer


def test_many_at_once_have_one_effect(world):
    """Each answer is the first one's, or says that it is still running and when to come back."""
    tenant = world.tenant
    tenant.agent("only", seed="unlike")
    body = {"summary": "s", "embedding": tenant.vector("unlike"), "top_k": 1}
    for round in range(10):
        answers, barrier = [], threading.Barrier(8)

        def send():
            barrier.wait()
            answers.append(tenant.client.post("/v1/nutrients:broadcast", body,
                                              headers={"Idempotency-Key": f"race {round}"}))
        threads = [threading.Thread(target=send) for _ in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        good = [a for a in answers if a.status == 200]
        waiting = [a for a in answers if a.status == 409]
        assert len(good) + len(waiting) == 8 and good, answers
        assert len({json.dumps(a.json(), sort_keys=True) for a in good}) == 1
        for a in waiting:
            problem(a, 409, "in_progress")
            assert int(a.headers["retry-after"]) >= 1
        assert sum(1 for a in good if "idempotent-replayed" not in a.headers) == 1
    assert len(tenant.pull("only", limit=100)["nutrients"]) == 10


def test_a_key_outlives_a_restart(binary):
    node = Node(binary)
    try:
        node.start()
        admin = Client(node.port, node.admin_key())
        admin.post("/v1/tenants", {"id": "restart", "name": "r", "embedding_dim": 8}, expect=201)
        tenant = Tenant(admin, "restart", ["tasks:write"], 8)
        headers = {"Idempotency-Key": "over a restart"}
        first = tenant.client.post("/v1/tasks", {"title": "t"}, 201, headers=headers)
        node.stop(kill=True)
        node.start()
        again = Client(node.port, tenant.key).post("/v1/tasks", {"title": "t"}, 201, headers=headers)
        assert again.json() == first.json() and again.headers["idempotent-replayed"] == "true"
    finally:
        node.remove()
