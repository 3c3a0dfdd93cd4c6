# SPDX-License-Identifier: MIT
"""Memories out of one node and into another one, whole."""
import json

import pytest

from conftest import Tenant, problem, read_operations
from harness import Client, Node


def export(client, limit=1000, **query):
    """All pages as one text."""
    text, after = b"", None
    while True:
        more = "".join(f"&{k}={v}" for k, v in query.items()) + (f"&after={after}" if after else "")
        page = client.get(f"/v1/hyphal:export?limit={limit}{more}", expect=200)
        assert page.headers["content-type"] == "application/x-ndjson"
        if not page.body:
            return text
        text += page.body
        last = json.loads(page.body.splitlines()[-1])
        after = last.get("version_of", last["id"])


def load(client, text, expect=200):
    return client.call("POST", "/v1/hyphal:import", raw=text, expect=expect).json()


def counts(answer):
    return tuple(answer[k] for k in ("lines", "stored", "known", "failed"))


@pytest.fixture
def full(make_tenant):
    """Memories of several agents with all that they can have, a history, other ids, labels, and an expiry."""
    tenant = make_tenant()
    client = tenant.client
    for i in range(40):
        tenant.remember(f"agent-{i % 3}", f"seed {i}", kind=f"kind {i % 4}", quality=i / 41, metadata={"i": i},
                        task_id="t", trace_id="r", ttl_hours=100 if i % 5 == 0 else 1000)
    listed = client.get("/v1/hyphal?limit=1000", expect=200).json()["memories"]
    for i, one in enumerate(listed[:10]):
        client.call("PATCH", f"/v1/hyphal/{one['id']}", {"content": {"again": i}}, expect=200)
        client.call("PATCH", f"/v1/hyphal/{one['id']}", {"embedding": tenant.vector(f"moved {i}")}, expect=200)
    for i in range(6):  # outcomes say something of some of them
        found = client.post("/v1/contexts:collect", {"agent_id": "agent-0", "top_k": 10,
                            "demand_embedding": tenant.vector(f"seed {i}")}, expect=200).json()
        client.post("/v1/outcomes:record", {"trace_id": found["trace_id"], "outcome_score": i / 7}, expect=200)
    tenant.remember("agent-0", "instead", supersedes=listed[0]["id"])
    client.call("POST", "/v1/hyphal:store", raw=b'{"kind":"k","content":{\n\t"a" :\r\n 1e2},"sensitivity":"public",'
                b'"embedding":[3,4,0,0,0,0,0,1e-9]}', expect=201)
    return tenant


@pytest.mark.parametrize("history", ["true", "false"])
def test_a_round_trip_through_a_fresh_node_is_equal_to_the_byte(full, binary, history):
    out = export(full.client, history=history)
    lines = [json.loads(line) for line in out.splitlines()]
    assert len([l for l in lines if "version_of" not in l]) == 41
    assert (len(lines) > 41) == (history == "true")
    assert sum("credit" in l for l in lines) > 3
    shown = lambda c: {m["id"]: (m["quality"], m["uses"]) for m in c.get("/v1/hyphal?limit=1000").json()["memories"]}
    assert any(shown(full.client)[l["id"]] != (l["quality"], 0) for l in lines if "version_of" not in l)
    for limit in (1, 7):
        assert export(full.client, limit, history=history) == out
    fresh = Node(binary)
    try:
        fresh.start()
        admin = Client(fresh.port, fresh.admin_key())
        admin.post("/v1/tenants", {"id": "fresh", "name": "fresh", "plan_tier": "enterprise"}, expect=201)
        scopes = sorted({o.scope for o in read_operations(admin.get("/openapi.json").json()) if o.scope} - {"admin"})
        client = Tenant(admin, "fresh", scopes, 8).client
        assert counts(load(client, out)) == (len(lines), len(lines), 0, 0)
        assert export(client, history=history) == out
        assert counts(load(client, out)) == (len(lines), 0, len(lines), 0)  # again adds nothing
        assert export(client, history=history) == out
        usage = lambda c: c.get("/v1/tenants/me/usage", expect=200).json()["current_usage"]["bytes"]
        if history == "true":
            assert usage(client) == usage(full.client)
        fresh.stop(kill=True)
        fresh.start()
        client = Client(fresh.port, client.key)
        assert shown(client) == shown(full.client)
        assert export(client, history=history) == out
    finally:
        fresh.remove()


def test_an_import_goes_on_where_it_was_cut(full, make_tenant):
    lines = export(full.client, history="true").splitlines(keepends=True)
    other = make_tenant().client
    for size in (1, 3, 20, len(lines)):
        answer = load(other, b"".join(lines[:size]))
        assert answer["failed"] == 0 and answer["stored"] + answer["known"] == size
    assert export(other, history="true") == b"".join(lines)
    with_history = [l for l in lines if b"version_of" in l]
    assert counts(load(make_tenant().client, with_history[0])) == (1, 0, 0, 1)  # of no memory there is


def test_bad_lines_are_named_and_good_ones_stored(full, make_tenant):
    good = [json.loads(l) for l in export(full.client, history="false").splitlines()]
    line = lambda i, **more: json.dumps({**good[i], **more})
    text = "\n".join([
        line(0), "", "{", line(1, id="x"), line(2, quality=7), line(3, embedding_b64="AAAA"), line(4, embedding_b64="?"),
        line(5, space="elsewhere"), line(6, version=0), line(7, updated_at="1999-01-01T00:00:00Z"),
        line(8, begun_at="2999-01-01T00:00:00Z"), line(9, sensitivity="secret"), line(10), line(10),
        line(11, expires_at="2001-01-01T00:00:00Z"), line(12, version_of="me_x"),
        line(13, version_of=good[0]["id"], replaced_at="2999-01-01T00:00:00Z"), line(14, content=[]),
        line(16, credit={"uses": 1, "weight": 99}), line(17, credit={"uses": 1, "rater": "x"}), line(15, embedding_b64="AACAfwAAAAA="), "null"])
    target = make_tenant()
    answer = load(target.client, text.encode())
    assert (answer["stored"], answer["known"], answer["expired"]) == (2, 1, 1)
    assert {(e["line"], e.get("field")) for e in answer["errors"]} == {
        (3, None), (4, "id"), (5, "quality"), (6, "embedding_b64"), (7, "embedding_b64"), (8, "space"), (9, "version"),
        (10, "updated_at"), (11, "begun_at"), (12, "sensitivity"), (16, "version_of"), (17, "version"), (18, "content"),
        (19, "credit"), (20, "credit.rater"), (21, "embedding_b64"), (22, None)}
    assert len(export(target.client).splitlines()) == 2
    problem(target.client.call("POST", "/v1/hyphal:import", raw=b"{}\n" * 1025), 422, "invalid")
    assert counts(load(target.client, b"{}\n" * 1024)) == (1024, 0, 0, 1024)


def test_what_is_hidden_is_not_exported_and_takes_no_other_place(full):
    strong = full.with_key(full.new_key(clearance="secret"))
    weak = full.client
    before = export(weak, 7, history="true")
    listed = strong.get("/v1/hyphal?limit=1000", expect=200).json()["memories"]
    for one in listed[5:8]:
        strong.call("PATCH", f"/v1/hyphal/{one['id']}", {"sensitivity": "secret"}, expect=200)
    hidden = {one["id"] for one in listed[5:8]}
    after = export(weak, 7, history="true")
    kept = [l for l in before.splitlines() if json.loads(l).get("version_of", json.loads(l)["id"]) not in hidden]
    assert after.splitlines() == kept
    assert len(export(strong, history="true").splitlines()) == len(before.splitlines())


def test_a_key_imports_for_its_agents_only_and_brings_authors(full, make_tenant):
    out = export(full.client)
    target = make_tenant()
    bound = target.with_key(target.new_key(agent_ids=["agent-1"]))
    answer = load(bound, out)
    mine = [l for l in out.splitlines() if json.loads(l)["agent_id"] == "agent-1"]
    assert answer["stored"] == len(mine) and all(e["code"] == "forbidden" for e in answer["errors"])
    assert load(target.client, out)["failed"] == 0
    assert {a["agent_id"] for a in target.client.get("/v1/agents", expect=200).json()} >= {"agent-0", "agent-2"}
    wrong = make_tenant()
    wrong.client.post("/v1/hyphal:store", {"kind": "k", "content": {}, "text": "another space"}, expect=201)
    assert {e["code"] for e in load(wrong.client, out)["errors"]} == {"space_mismatch"}
