# SPDX-License-Identifier: MIT
"""Every route at work: what goes in, what comes out, under the names clients read."""
import base64
import json
import re
import struct
from urllib.parse import quote

import pytest

from conftest import Tenant, problem, read_operations
from harness import Client, Node, near
from samples import SAMPLES, World
from schema import TIME


@pytest.fixture(scope="module")
def world(make_tenant):
    return World(make_tenant())


# ---- all routes alike ----

def test_every_404_says_what_is_absent(world, operations, admin):
    for o in operations:
        if "{id}" not in o.path or o.name == "edge.list":  # no edges leave an agent that nobody knows
            continue
        client = admin if o.access == "admin" else world.tenant.client
        answer = client.call(o.method, SAMPLES[o.name].path(o, world, param="absent"), SAMPLES[o.name].body(world))
        if o.whose == "path" and o.access != "admin":  # another tenant's or nobody's: not allowed to know
            assert answer.status in (403, 404), (o, answer)
            answer = admin.call(o.method, SAMPLES[o.name].path(o, world, param="absent"), SAMPLES[o.name].body(world))
        problem(answer, 404, "not_found", o.spec["x-qmn-path-field"])


def test_a_404_names_the_field_of_the_body_or_the_header(world, admin):
    client = world.tenant.client
    for path, body, field in (
            ("/v1/nutrients:broadcast", {"summary": "s", "embedding": world.tenant.vector("x"),
                                         "source_agent_id": "absent"}, "source_agent_id"),
            (f"/v1/nutrients/{world.nutrient}:respond", {"content": {}, "agent_id": "absent"}, "agent_id"),
            ("/v1/outcomes:record", {"trace_id": "absent", "outcome_score": 1}, "trace_id"),
            ("/v1/keys:rotate", {"key_id": "absent"}, "key_id")):
        problem(client.post(path, body), 404, "not_found", field)
    problem(admin.post("/v1/keys", {"tenant_id": "absent"}), 404, "not_found", "tenant_id")
    for name in ("absent", "BAD ID!"):
        problem(admin.get("/v1/agents", headers={"X-Tenant-ID": name}), 404, "not_found", "X-Tenant-ID")


def test_a_body_as_it_is_may_say_so(world):
    world.tenant.client.post("/v1/tasks", {"title": "t"}, headers={"Content-Encoding": "Identity"}, expect=201)


def test_every_path_answers_under_its_prefix_and_no_other(world, operations, admin):
    services = sorted({o.service for o in operations if o.service not in (None, "*")} | {"regions"})
    for o in operations:
        if o.service in (None, "*") or o.method != "GET" or o.name == "inbox.stream":
            continue
        client = admin if o.access == "admin" else world.tenant.client
        path = SAMPLES[o.name].path(o, world)
        for service in services:
            answer = client.get(f"/{service}{path}")
            if service == o.service:
                assert answer.status == 200, (o, answer)
            else:
                problem(answer, 404, "not_found")


def test_wrong_methods_are_told_the_right_ones(operations, node):
    by_path = {}
    for o in operations:
        by_path.setdefault(o.path, set()).add(o.method)
    for path, methods in by_path.items():
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            if method in methods:
                continue
            answer = Client(node.port).call(method, path.replace("{id}", "x"))
            problem(answer, 405, "method_not_allowed")
            allowed = {m for m in answer.headers["allow"].split(", ")} - {"HEAD"}
            assert allowed == methods, (path, answer.headers)


def test_head_is_get_without_a_body(world, operations, admin):
    for o in operations:
        if o.method != "GET" or o.name in ("inbox.stream", "metrics"):
            continue
        client = admin if o.access == "admin" else world.tenant.client
        path = SAMPLES[o.name].path(o, world)
        if o.name == "inbox.pull":  # leases, which HEAD must not
            assert client.call("HEAD", path).status == 405
            continue
        head, get = client.call("HEAD", path), client.get(path)
        assert head.status == get.status == 200, (o, head, get)
        assert head.body == b"" and head.headers["content-type"] == get.headers["content-type"]


def test_head_leases_nothing(make_tenant):
    world = World(make_tenant())
    path = f"/v1/agents/{world.agent}/nutrients"
    client = world.tenant.client
    pull = client.call("HEAD", path)
    assert pull.status == 405 and pull.headers["allow"] == "GET", repr(pull)
    assert client.call("HEAD", path + ":stream").status == 200
    assert client.get(path).json()["nutrients"]


def test_audited_changes_are_in_the_record(make_tenant, operations, admin):
    world = World(make_tenant())
    for o in operations:
        kind = o.spec.get("x-qmn-audit")
        if not kind:
            continue
        sample = SAMPLES[o.name]
        if o.name == "tenant.delete":
            gone = World(make_tenant())
            admin.call("DELETE", f"/v1/tenants/{gone.tenant.id}", expect=204)
            entries = admin.get("/v1/audit?limit=1000", headers={"X-Tenant-ID": gone.tenant.id})
            continue  # its record can only be read offline now
        client = admin if o.access == "admin" else world.tenant.client
        body = sample.body(world)
        answer = client.call(o.method, sample.path(o, world, fresh=True), body)
        assert answer.status in o.statuses, (o, answer)
        where = admin.as_tenant(body["id"]) if o.name == "tenant.create" else world.tenant.client
        last = where.get("/v1/audit?limit=1000", expect=200).json()["entries"]
        assert any(e["action"] == kind for e in last), (o, last)


def test_what_is_counted_is_counted(make_tenant, operations):
    world = World(make_tenant(plan="pro"))
    current = lambda: world.tenant.client.get("/v1/tenants/me/usage", expect=200).json()["current_usage"]
    for o in operations:
        kind = o.spec.get("x-qmn-quota")
        if not kind:
            continue
        sample = SAMPLES[o.name]
        path, body = sample.path(o, world, fresh=True), sample.body(world)
        before = current()[kind]
        assert world.tenant.client.call(o.method, path, body).status in o.statuses, o
        assert current()[kind] == before + 1, o


# ---- a nutrient's way ----

def test_a_nutrient_reaches_the_nearest_agent_and_comes_back_as_context(tenant):
    near_topic = near(tenant.vector("topic"), "x")
    tenant.agent("asker")
    tenant.client.post("/v1/agents:register", {"agent_id": "expert", "capabilities": ["db"],
                                               "profile": {"embedding": near_topic}}, expect=200)
    for i in range(5):
        tenant.agent(f"other-{i}")
    sent = tenant.broadcast("topic", source_agent_id="asker", top_k=1, tool_hints=["db"],
                            snippets=["one", "two"], trace_task_id="task-1")
    assert sent["routed_to"] == ["expert"]
    assert sent["routing_scores"]["expert"] > 0 and TIME.match(sent["created_at"])
    hop, = sent["hops"]
    assert hop["agent_id"] == "expert" and hop["hop"] == 1 and hop["edge_weight"] == 0.5
    assert hop["capability_matches"] == 1 and 0 < hop["similarity"] <= 1.0001

    item, = tenant.pull("expert", lease_ms=60000)["nutrients"]
    assert item["nutrient_id"] == sent["nutrient_id"] and item["trace_id"] == sent["trace_id"]
    assert item["summary"] == "a need" and item["snippets"] == ["one", "two"]
    assert item["tool_hints"] == ["db"] and item["source_agent_id"] == "asker"
    assert item["attempt"] == 1 and item["hop"] == 1 and item["trace_task_id"] == "task-1"
    assert "embedding" not in item
    assert tenant.pull("expert")["nutrients"] == []

    answered = tenant.client.post(f"/v1/nutrients/{item['nutrient_id']}:respond", {
        "agent_id": "expert", "content": {"use": "an index"}, "quality": 0.9}, expect=201).json()
    assert answered["agent_id"] == "expert" and answered["trace_id"] == sent["trace_id"]
    acked = tenant.client.post("/v1/agents/expert/nutrients:ack",
                               {"nutrient_ids": [item["nutrient_id"], "nobody's"]}, expect=200).json()
    assert acked == {"changed": 1, "unknown": ["nobody's"]}

    context = tenant.client.post("/v1/contexts:collect", {
        "demand_embedding": tenant.vector("topic"), "agent_id": "asker", "window_ms": 100}, expect=200).json()
    found, = context["contents"]
    assert found["data"] == {"use": "an index"} and found["agent_id"] == "expert"
    assert found["kind"] == "response" and found["source"] == "response"
    assert found["similarity"] > 0.99 and context["source_agents"] == ["expert"]
    assert context["quality_scores"] == [pytest.approx(0.9)]
    assert context["metadata"]["responses_considered"] == 1

    rated = tenant.client.post("/v1/outcomes:record", {
        "trace_id": context["trace_id"], "outcome": {"score": 1.0, "metadata": {"by": "test"}},
        "agent_id": "asker"}, expect=200).json()
    change, = rated["weight_changes"]
    assert rated["edges_updated"] == 1 and rated["success"] is True
    assert (change["src"], change["dst"]) == ("asker", "expert")
    assert change["new_weight"] == pytest.approx(0.578) and change["delta"] == pytest.approx(0.078)

    edges = tenant.client.get("/v1/edges/asker", expect=200).json()["edges"]
    assert [(e["dst"], e["target_id"], e["outcomes"]) for e in edges] == [("expert", "expert", 1)]
    assert edges[0]["weight"] == pytest.approx(0.578)
    top = tenant.client.get("/v1/edges/top?limit=1", expect=200).json()
    assert top[0]["dst"] == "expert"
    stats = tenant.client.get("/v1/edges/stats", expect=200).json()
    assert stats["total_edges"] == 1 and stats["max_weight"] == pytest.approx(0.578)

    trace = tenant.client.get(f"/v1/traces/{sent['trace_id']}", expect=200).json()
    assert trace["kind"] == "broadcast" and trace["agent_id"] == "asker"
    assert trace["deliveries"] == [{"agent_id": "expert", "state": "acked"}]
    assert trace["candidates"][0]["agent_id"] == "expert" and trace["candidates"][0]["chosen"]
    assert trace["eligible_total"] >= 1 and trace["trace_task_id"] == "task-1"
    collected = tenant.client.get(f"/v1/traces/{context['trace_id']}", expect=200).json()
    assert collected["kind"] == "collect"
    assert collected["contributions"][0]["agent_id"] == "expert"
    assert collected["outcomes"][0]["score"] == 1.0


def test_reaching_nobody_says_why(tenant):
    sent = tenant.broadcast("topic")
    assert sent["routed_to"] == [] and sent["routing_scores"] == {} and sent["hops"] == []
    assert sent["reason"]


def test_a_memory_may_come_before_its_author(tenant):
    stored = tenant.client.post("/v1/hyphal:store", {
        "agent_id": "script", "kind": "insight", "content": {"n": 1}, "embedding": tenant.vector("topic")}, expect=201)
    assert stored.json()["agent_id"] == "script"
    agent = tenant.client.get("/v1/agents/script", expect=200).json()
    assert agent["status"] == "active" and agent["capabilities"] == [] and not agent.get("embedding")
    assert tenant.broadcast("topic")["routed_to"] == []
    tenant.agent("script", seed="topic")
    assert tenant.broadcast("topic")["routed_to"] == ["script"]
    listed = tenant.client.get("/v1/hyphal/agent/script", expect=200).json()
    assert [m["id"] for m in listed] == [stored.json()["id"]]
    problem(tenant.client.get("/v1/agents/typo/nutrients"), 404, "not_found")


def test_listings_come_in_pages(make_tenant):
    tenant = make_tenant(dim=8)
    for n in range(5):
        tenant.new_key()
        tenant.client.post("/v1/policies", {"name": f"p{n}", "policy_type": "dlp",
                                            "rules": {"max_sensitivity": "internal"}}, expect=201)
    for path, rows in ("/v1/keys", lambda j: j), ("/v1/policies", lambda j: j), \
                      ("/v1/policies/me", lambda j: j["policies"]):
        whole = rows(tenant.client.get(path, expect=200).json())
        assert len(whole) >= 5
        assert whole == sorted(whole, key=lambda row: row["created_at"])
        paged = []
        while page := rows(tenant.client.get(f"{path}?limit=2&offset={len(paged)}", expect=200).json()):
            assert len(page) <= 2
            paged += page
        assert [row["id"] for row in paged] == [row["id"] for row in whole]
        problem(tenant.client.get(path + "?limit=1001"), 422, "invalid", "limit")
        problem(tenant.client.get(path + "?offset=-1"), 422, "invalid", "offset")
    assert tenant.client.get("/v1/policies/me?limit=2", expect=200).json()["total"] == 5


def test_text_stands_where_an_embedding_would(make_tenant):
    tenant = make_tenant(dim=64)
    for name, about in (("db", "databases, indexes and slow queries"), ("art", "painting and sculpture")):
        tenant.client.post("/v1/agents:register", {
            "agent_id": name, "profile": {"text": about}}, expect=200)
    sent = tenant.client.post("/v1/nutrients:broadcast", {
        "summary": "slow query", "text": "which indexes help slow database queries", "top_k": 1}, expect=200)
    assert sent.json()["routed_to"] == ["db"]
    tenant.client.post("/v1/hyphal:store", {"agent_id": "db", "kind": "insight", "content": {"n": 1},
                                            "text": "slow queries want indexes"}, expect=201)
    found = tenant.client.post("/v1/hyphal:search", {"text": "slow queries"}, expect=200).json()
    assert found["results"][0]["content"] == {"n": 1}
    context = tenant.client.post("/v1/contexts:collect", {"text": "slow queries", "window_ms": 100}, expect=200)
    assert context.json()["contents"][0]["source"] == "memory"


def search(tenant, **body):
    return tenant.client.post("/v1/hyphal:search", body, expect=200).json()


def ids(found):
    return [r["id"] for r in found["results"]]


@pytest.fixture
def noted(make_tenant):
    """A tenant whose vectors are texts, with an error code among prose."""
    tenant = make_tenant()
    store = lambda text, **more: tenant.client.post("/v1/hyphal:store", {
        "agent_id": "a", "kind": "note", "content": {"text": text}, "text": text, **more}, expect=201).json()["id"]
    for i in range(20):
        store(f"the connection to shard {i} was reset by its peer", quality=0.4)
    tenant.code = store("E_CONN_RESET: raise max_connections, then retry", quality=0.9)
    tenant.store = store
    return tenant


def test_codes_are_found_by_words_and_first_in_both(noted):
    for query in ("E_CONN_RESET", "econnreset", "maxConnections", "what is E_CONN_RESET for a connection to shard 3"):
        assert ids(search(noted, query=query, mode="words"))[0] == noted.code
        both = search(noted, query=query)
        assert ids(both)[0] == noted.code and both["metadata"]["mode"] == "hybrid"
    words = search(noted, query="E_CONN_RESET", mode="words")
    assert words["metadata"] == {"candidates": 21, "exact": True, "mode": "words"}
    assert words["results"][0]["similarity"] is None and words["results"][0]["score"] > 0
    assert search(noted, text="reset by peer")["metadata"]["mode"] == "hybrid"
    assert search(noted, text="reset by peer", mode="vector")["metadata"]["mode"] == "vector"
    assert search(noted, query="zzz", mode="words")["total"] == 0


def test_a_search_explains_itself(noted):
    plain = search(noted, query="max_connections of the peer", top_k=3)
    assert "explanation" not in plain["results"][0]
    told = search(noted, query="max_connections of the peer", top_k=3, explain=True, exact=True)
    assert ids(told) == ids(plain)
    first = told["results"][0]
    why = first["explanation"]
    assert first["id"] == noted.code and why["words_rank"] == 1
    assert {t["word"] for t in why["terms"]} >= {"max", "connection", "maxconnection"}
    assert sum(t["score"] for t in why["terms"]) == pytest.approx(why["words_score"], rel=1e-5)
    assert why["cosine"] == first["similarity"] and why["relevance"] == first["score"]
    assert why["quality_factor"] == 1 and why["recency_factor"] == 1


def test_ranking_weighs_quality(noted):
    best = noted.store("the connection to shard 7 was reset by its peer again", quality=1)
    query = {"text": "the connection to shard 7 was reset by its peer", "mode": "vector", "top_k": 1, "explain": True}
    near = search(noted, **query)["results"][0]
    assert near["id"] != best and near["score"] == near["similarity"]
    weighed = search(noted, **query, ranking={"quality": 1})["results"][0]
    assert weighed["id"] == best and weighed["explanation"]["quality_factor"] == 1
    aged = search(noted, **query, ranking={"recency": {"half_life_hours": 1, "weight": 0.5}})["results"][0]
    assert 0.99 < aged["explanation"]["recency_factor"] <= 1


@pytest.mark.parametrize("body,field", [
    ({}, "embedding"), ({"mode": "words", "embedding": True}, "query"), ({"mode": "hybrid", "embedding": True}, "query"),
    ({"mode": "vector", "query": "q"}, "embedding"), ({"mode": "hybrid", "query": "q"}, "embedding"),
    ({"mode": "all", "query": "q"}, "mode"), ({"query": ""}, "query"),
    ({"query": "q", "ranking": {"quality": 1.5}}, "ranking.quality"),
    ({"query": "q", "ranking": {"recency": {"half_life_hours": 0}}}, "ranking.recency.half_life_hours")])
def test_a_search_that_lacks_its_input_is_refused(tenant, body, field):
    tenant.remember("a", "one")
    if "embedding" in body:
        body = {**body, "embedding": tenant.vector("one")}
    problem(tenant.client.post("/v1/hyphal:search", body), 422, "invalid", field)


def test_hidden_memories_change_no_bit_of_a_search_by_words(noted):
    strong = noted.with_key(noted.new_key(clearance="secret"))
    strong.post("/v1/agents:register", {"agent_id": "hidden", "clearance": "secret"}, expect=200)
    weak = noted.with_key(noted.new_key(clearance="internal"))
    asked = [{"query": "reset peer", "mode": "words"}, {"query": "reset peer", "explain": True}]
    before = [weak.post("/v1/hyphal:search", body, expect=200).json() for body in asked]
    for i in range(5):
        strong.post("/v1/hyphal:store", {"agent_id": "hidden", "kind": "note", "content": {"t": f"reset peer {i}"},
                                         "text": "reset peer", "sensitivity": "secret"}, expect=201)
    assert [weak.post("/v1/hyphal:search", body, expect=200).json() for body in asked] == before


def test_text_and_foreign_vectors_do_not_mix(make_tenant):
    tenant = make_tenant(dim=64)
    tenant.agent("a")  # the tenant's space is the client's own now
    answer = tenant.client.post("/v1/nutrients:broadcast", {"summary": "s", "text": "words"})
    problem(answer, 409, "space_mismatch")


def test_a_vector_as_base64_is_the_same_vector(tenant):
    tenant.agent("a", seed="topic")
    values = tenant.vector("topic")
    packed = base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()
    one = tenant.client.post("/v1/nutrients:broadcast", {"summary": "s", "embedding": values}, expect=200)
    two = tenant.client.post("/v1/nutrients:broadcast", {"summary": "s", "embedding_b64": packed}, expect=200)
    assert one.json()["routing_scores"] == two.json()["routing_scores"]
    assert "embedding" in tenant.pull("a", embedding="true")["nutrients"][0]


def test_the_same_client_id_is_the_same_nutrient(tenant):
    tenant.agent("a", seed="topic")
    body = {"id": "nutr-1", "summary": "s", "embedding": tenant.vector("topic")}
    first = tenant.client.post("/v1/nutrients:broadcast", body, expect=200).json()
    again = tenant.client.post("/v1/nutrients:broadcast", body, expect=200).json()
    assert again["nutrient_id"] == first["nutrient_id"] and again["trace_id"] == first["trace_id"]
    other = tenant.client.post("/v1/nutrients:broadcast", dict(body, summary="t"))
    problem(other, 409, "conflict")
    assert len(tenant.pull("a")["nutrients"]) == 1


# ---- inbox ----

def test_a_nack_offers_again_and_a_reject_never(tenant):
    tenant.agent("a", seed="topic")
    sent = tenant.broadcast("topic")
    item, = tenant.pull("a")["nutrients"]
    nack = {"nutrient_ids": [item["nutrient_id"]]}
    assert tenant.client.post("/v1/agents/a/nutrients:nack", nack, expect=200).json()["changed"] == 1
    again, = tenant.pull("a")["nutrients"]
    assert again["nutrient_id"] == sent["nutrient_id"] and again["attempt"] == 2
    assert again["sequence"] == item["sequence"]
    tenant.client.post("/v1/agents/a/nutrients:nack", dict(nack, reject=True), expect=200)
    assert tenant.pull("a")["nutrients"] == []
    trace = tenant.client.get(f"/v1/traces/{sent['trace_id']}", expect=200).json()
    assert trace["deliveries"][0]["state"] == "rejected"


def test_a_pull_waits_until_something_comes(tenant):
    import threading
    tenant.agent("a", seed="topic")
    threading.Timer(0.3, lambda: tenant.broadcast("topic")).start()
    got = tenant.pull("a", wait_ms=20000)
    assert len(got["nutrients"]) == 1
    assert tenant.pull("a", wait_ms=50)["nutrients"] == []


def test_a_pull_counts_what_is_pending(tenant):
    tenant.agent("a", seed="topic")
    for _ in range(3):
        tenant.broadcast("topic")
    got = tenant.pull("a", limit=2)
    assert len(got["nutrients"]) == 2 and got["pending"] == 3 and got["dropped"] == 0


# ---- agents ----

def test_an_agent_is_registered_read_listed_suspended_and_comes_back(tenant):
    made = tenant.agent("a b/c", name="One", capabilities=["x", "y"], tools=["t"], region="eu",
                        metadata={"k": [1, None]})
    assert made["agent_id"] == "a b/c" and made["tenant_id"] == tenant.id and made["name"] == "One"
    assert made["capabilities"] == ["x", "y"] and made["tools"] == ["t"] and made["region"] == "eu"
    assert made["status"] == "active" and made["metadata"] == {"k": [1, None]}
    read = tenant.client.get("/v1/agents/a%20b%2Fc?embedding=true", expect=200).json()
    assert read["embedding"] == pytest.approx(tenant.vector("a b/c"), abs=1e-6)
    assert [a["agent_id"] for a in tenant.client.get("/v1/agents", expect=200).json()] == ["a b/c"]
    tenant.client.call("DELETE", "/v1/agents/a%20b%2Fc", expect=204)
    assert tenant.client.get("/v1/agents/a%20b%2Fc", expect=200).json()["status"] == "suspended"
    assert tenant.client.get("/v1/agents?status_filter=active", expect=200).json() == []
    assert tenant.agent("a b/c")["status"] == "active"


def test_agents_are_filtered_and_paged(tenant):
    for i in range(5):
        tenant.agent(f"a{i}", capabilities=["even"] if i % 2 == 0 else ["odd"])
    ids = lambda path: [a["agent_id"] for a in tenant.client.get(path, expect=200).json()]
    assert ids("/v1/agents?capability=even") == ["a0", "a2", "a4"]
    assert ids("/v1/agents?limit=2") == ["a0", "a1"]
    assert ids("/v1/agents?limit=2&after=a1") == ["a2", "a3"]


# ---- outcomes and edges ----

def test_a_rating_cannot_be_changed(tenant):
    tenant.agent("asker")
    tenant.agent("a", seed="topic")
    trace = tenant.broadcast("topic", source_agent_id="asker")["trace_id"]
    body = {"trace_id": trace, "outcome_score": 0.25, "agent_id": "asker"}
    first = tenant.client.post("/v1/outcomes:record", body, expect=200).json()
    again = tenant.client.post("/v1/outcomes:record", body, expect=200).json()
    assert first["weight_changes"] == again["weight_changes"] and first["edges_updated"] == 1
    problem(tenant.client.post("/v1/outcomes:record", dict(body, outcome_score=0.5)), 409, "conflict")


def test_hop_outcomes_override_the_overall_score(tenant):
    tenant.agent("asker")
    tenant.agent("a", seed="topic")
    tenant.agent("b", seed="topic")
    trace = tenant.broadcast("topic", source_agent_id="asker", max_hops=1)["trace_id"]
    rated = tenant.client.post("/v1/outcomes:record", {
        "trace_id": trace, "outcome": {"score": 1, "hop_outcomes": {"a": 0}}, "agent_id": "asker",
        "hop_outcomes": {"a": 0}}, expect=200).json()
    scores = {c["dst"]: c["hop_score"] for c in rated["weight_changes"]}
    assert scores["a"] == 0 and scores["b"] == 1


def test_edges_are_pruned_by_threshold(tenant):
    tenant.agent("asker")
    tenant.agent("a", seed="topic")
    trace = tenant.broadcast("topic", source_agent_id="asker")["trace_id"]
    tenant.client.post("/v1/outcomes:record", {
        "trace_id": trace, "outcome_score": 0, "agent_id": "asker"}, expect=200)
    prune = lambda t: tenant.client.post(f"/v1/edges:prune?threshold={t}", expect=200).json()
    assert prune(0.4) == {"pruned": 0, "threshold": 0.4}
    assert prune(0.46) == {"pruned": 1, "threshold": 0.46}
    assert tenant.client.get("/v1/edges/asker", expect=200).json() == {"edges": []}
    decayed = tenant.client.post("/v1/edges:decay", expect=200).json()
    assert decayed == {"decayed": 0, "deleted": 0}


# ---- memory ----

def test_a_memory_is_stored_read_searched_and_deleted(tenant):
    made = tenant.remember("a", "one", quality=0.9, metadata={"m": 1}, ttl_hours=2, task_id="t")
    assert made["agent_id"] == "a" and made["content"]["about"] == "one" and made["quality"] == 0.9
    assert made["sensitivity"] == "internal" and TIME.match(made["expires_at"])
    read = tenant.client.get(f"/v1/hyphal/{made['id']}", expect=200).json()
    assert read == made
    assert tenant.remember("a", "two")["expires_at"] is None
    listed = tenant.client.get("/v1/hyphal/agent/a", expect=200).json()
    assert [m["content"]["about"] for m in listed] == ["two", "one"]
    assert tenant.client.get("/v1/hyphal/agent/a?kind=other", expect=200).json() == []
    found = tenant.client.post("/v1/hyphal:search", {"embedding": tenant.vector("one")}, expect=200).json()
    assert found["results"][0]["id"] == made["id"] and found["results"][0]["similarity"] > 0.999
    assert found["total"] == 2 and found["metadata"] == {"candidates": 2, "exact": True, "mode": "vector"}
    tenant.client.call("DELETE", f"/v1/hyphal/{made['id']}", expect=204)
    problem(tenant.client.get(f"/v1/hyphal/{made['id']}"), 404, "not_found")
    assert tenant.client.post("/v1/hyphal:cleanup", expect=200).json() == {"deleted": 0}


def test_a_memory_has_versions_and_a_past(tenant):
    client = tenant.client
    first = tenant.remember("a", "one", ttl_hours=2, metadata={"m": 1})
    assert first["version"] == 1 and first["updated_at"] == first["created_at"]
    path = f"/v1/hyphal/{first['id']}"
    changed = client.call("PATCH", path, {"content": {"about": "two"}, "ttl_hours": None}, expect=200).json()
    assert changed["version"] == 2 and changed["expires_at"] is None and changed["metadata"] == {"m": 1}
    assert client.call("PATCH", path, {"metadata": None}, expect=200).json()["metadata"] == {}
    assert client.call("PATCH", path, {"quality": 1}, expect=200).json()["version"] == 3
    again = tenant.remember("a", "two", content={"about": "two"}, embedding=tenant.vector("one"))
    assert again["merged"] and again["id"] == first["id"]
    next_ = tenant.remember("a", "three", supersedes=first["id"])
    assert next_["version"] == 4 and next_["id"] != first["id"] and "merged" not in next_
    problem(client.get(path), 404, "not_found")
    for one in (first, next_):
        told = client.get(f"/v1/hyphal/{one['id']}/history", expect=200).json()["versions"]
        assert [v["version"] for v in told] == [4, 3, 2, 1]
        assert [v["id"] == first["id"] for v in told] == [False, True, True, True]
        assert "replaced_at" not in told[0] and told[1]["replaced_at"] == next_["created_at"]
    past = lambda at: client.get(f"{path}?as_of={quote(at)}")
    assert past(first["created_at"]).json()["content"]["about"] == "one" or first["created_at"] == changed["updated_at"]
    problem(past(next_["created_at"]), 404, "not_found")
    problem(past("1999-01-01T00:00:00Z"), 404, "not_found")
    assert len(client.get("/v1/hyphal/agent/a", expect=200).json()) == 1


def test_a_label_is_lowered_by_who_may_see_it_and_written_down(tenant):
    strong = tenant.with_key(tenant.new_key(clearance="secret"))
    strong.post("/v1/agents:register", {"agent_id": "a", "clearance": "secret"}, expect=200)
    kept = strong.post("/v1/hyphal:store", {"agent_id": "a", "kind": "k", "content": {}, "sensitivity": "secret",
                                            "embedding": tenant.vector("one")}, expect=201).json()
    weak = tenant.with_key(tenant.new_key(clearance="internal"))
    lower = {"sensitivity": "internal"}
    problem(weak.call("PATCH", f"/v1/hyphal/{kept['id']}", lower), 404, "not_found")
    problem(weak.get(f"/v1/hyphal/{kept['id']}/history"), 404, "not_found")
    strong.call("PATCH", f"/v1/hyphal/{kept['id']}", lower, expect=200)
    weak.get(f"/v1/hyphal/{kept['id']}", expect=200)
    problem(weak.call("PATCH", f"/v1/hyphal/{kept['id']}", {"sensitivity": "secret"}), 403, "forbidden", "sensitivity")
    entries = tenant.client.get("/v1/audit?limit=1000", expect=200).json()["entries"]
    assert [e["detail"] for e in entries if e["action"] == "memory.label"] == [{"from": "secret", "to": "internal"}]


FILTERS = [
    ({}, 4), ({"kind": "plan"}, 2), ({"agent_id": "b"}, 2), ({"kind": "plan", "agent_id": "b"}, 1),
    ({"quality": {"$gt": 0.5}}, 2), ({"quality": {"$gte": 0.5}}, 3), ({"quality": {"$lt": 0.5}}, 1),
    ({"quality": {"$lte": 0.5}}, 2), ({"quality": 0.5}, 1), ({"quality": {"$eq": 0.25}}, 1),
    ({"quality": {"$gt": 0.25, "$lt": 0.75}}, 1), ({"kind": {"$eq": "insight"}}, 2),
    ({"kind": None}, 4), ({"kind": "nothing"}, 0)]


@pytest.fixture(scope="module")
def remembered(make_tenant):
    tenant = make_tenant()
    for agent, kind, quality in (("a", "plan", 0.25), ("a", "insight", 0.5), ("b", "plan", 0.75),
                                 ("b", "insight", 1.0)):
        tenant.remember(agent, f"{agent}{kind}", kind=kind, quality=quality)
    return tenant


@pytest.mark.parametrize("where", ["filters", "user_filter"])
@pytest.mark.parametrize("condition,count", FILTERS)
def test_a_filter_lets_through_what_it_says(remembered, where, condition, count):
    found = remembered.client.post("/v1/hyphal:search", {
        "embedding": remembered.vector("x"), "top_k": 100, where: condition}, expect=200).json()
    assert found["total"] == count and len(found["results"]) == count


def test_plain_filters_do_the_same(remembered):
    search = lambda **more: remembered.client.post("/v1/hyphal:search", {
        "embedding": remembered.vector("x"), **more}, expect=200).json()["total"]
    assert search(kind_filter="plan") == 2
    assert search(agent_filter="a") == 2
    assert search(min_quality=0.75) == 2
    assert search(min_quality=0.75, filters={"kind": "plan"}, user_filter={"agent_id": "b"}) == 1
    assert search(top_k=3) == 3


@pytest.mark.parametrize("condition,field", [
    ({"colour": "red"}, "filters.colour"), ({"quality": {"$mod": 1}}, "filters.quality.$mod"),
    ({"kind": {"$in": "a"}}, "filters.kind.$in"), ({"kind": 5}, "filters.kind"),
    ({"quality": 2}, "filters.quality"), ({"$or": []}, "filters.$or")])
def test_a_filter_that_is_not_understood_is_named(remembered, condition, field):
    answer = remembered.client.post("/v1/hyphal:search", {
        "embedding": remembered.vector("x"), "filters": condition})
    problem(answer, 422, "invalid", field)


# ---- control plane ----

def test_a_tenant_is_made_read_changed_and_deleted(admin, make_tenant):
    admin.post("/v1/tenants", {"id": "whole-life", "name": "A", "plan_tier": "pro", "kms_key_id": "k",
                               "region_preference": "eu", "metadata": {"m": 1}}, expect=201)
    read = admin.get("/v1/tenants/whole-life", expect=200).json()
    assert read["plan_tier"] == "pro" and read["status"] == "active" and read["metadata"] == {"m": 1}
    assert read["kms_key_id"] == "k" and read["region_preference"] == "eu"
    problem(admin.post("/v1/tenants", {"id": "whole-life", "name": "B"}), 409, "conflict")
    changed = admin.call("PUT", "/v1/tenants/whole-life", {"name": "B"}, 200).json()
    assert changed["name"] == "B" and changed["plan_tier"] == "pro" and changed["metadata"] == {"m": 1}
    changed = admin.call("PATCH", "/v1/tenants/whole-life", {"status": "suspended"}, 200).json()
    assert changed["status"] == "suspended" and changed["name"] == "B"
    admin.call("PATCH", "/v1/tenants/whole-life", {"status": "active"}, 200)
    listed = admin.get("/v1/tenants?limit=1000", expect=200).json()
    assert "whole-life" in [t["id"] for t in listed] and "system" in [t["id"] for t in listed]
    assert len(admin.get("/v1/tenants?limit=1&offset=1", expect=200).json()) == 1
    admin.call("DELETE", "/v1/tenants/whole-life", expect=204)
    assert admin.get("/v1/tenants/whole-life", expect=200).json()["status"] == "deleted"
    deleted = admin.get("/v1/tenants?status_filter=deleted&limit=1000", expect=200).json()
    assert "whole-life" in [t["id"] for t in deleted]


def test_a_tenant_sees_itself_under_three_names(tenant):
    for name in (tenant.id, "me", "None"):
        assert tenant.client.get(f"/v1/tenants/{name}", expect=200).json()["id"] == tenant.id
        assert tenant.client.get(f"/v1/tenants/{name}/usage", expect=200).json()["tenant_id"] == tenant.id
        tenant.client.get(f"/v1/keys/{name}", expect=200)
        tenant.client.get(f"/v1/policies/{name}", expect=200)


def test_a_tenants_admin_changes_its_name_but_neither_plan_nor_status(tenant):
    assert tenant.client.call("PATCH", "/v1/tenants/me", {"name": "New"}, 200).json()["name"] == "New"
    for change in ({"plan_tier": "free"}, {"status": "suspended"}):
        problem(tenant.client.call("PATCH", "/v1/tenants/me", change), 403, "forbidden")


def test_usage_counts_and_shows_what_is_left(make_tenant):
    tenant = make_tenant(plan="free")
    tenant.agent("a", seed="topic")
    tenant.broadcast("topic", quota_cost=5)
    tenant.client.post("/v1/hyphal:search", {"embedding": tenant.vector("x")}, expect=200)
    usage = tenant.client.get("/v1/tenants/me/usage", expect=200).json()
    assert usage["nutrients_sent"] >= 1 and usage["current_usage"]["searches"] == 1
    assert usage["current_usage"]["agents"] == 1 and usage["quota"]["agents"] == 100
    assert usage["quota"]["nutrients"] == 10000
    assert usage["quota_remaining"]["nutrients"] == 10000 - usage["current_usage"]["nutrients"]
    enterprise = make_tenant().client.get("/v1/tenants/me/usage", expect=200).json()
    assert "nutrients" not in enterprise["quota"]


def test_a_key_is_made_used_listed_rotated_revoked(tenant):
    made = tenant.client.post("/v1/keys", {
        "name": "worker", "scopes": ["agents:read"], "rate_limit_per_minute": 60, "expires_in_days": 2,
        "agent_ids": ["a"]}, expect=201).json()
    assert made["api_key"].startswith("qmn_") and made["tenant_id"] == tenant.id
    assert made["scopes"] == ["agents:read"] and made["status"] == "active" and made["agent_ids"] == ["a"]
    key = tenant.with_key(made["api_key"])
    assert key.get("/v1/agents", expect=200).headers["x-ratelimit-limit"] == "60"
    listed = tenant.client.get("/v1/keys", expect=200).json()
    assert made["id"] in [k["id"] for k in listed]
    assert all("api_key" not in k and "new_api_key" not in k for k in listed)
    rotated = key.post("/v1/keys:rotate", {"grace_period_sec": 3600}, expect=200).json()
    assert rotated["new_api_key"] == rotated["api_key"] != made["api_key"]
    assert rotated["old_key_id"] == made["id"] and TIME.match(rotated["old_key_expires_at"])
    key.get("/v1/agents", expect=200)  # the grace
    tenant.with_key(rotated["new_api_key"]).get("/v1/agents", expect=200)
    revoked = tenant.client.post(f"/v1/keys/{made['id']}:revoke", expect=200).json()
    assert revoked["status"] == "revoked"
    problem(key.get("/v1/agents"), 401, "unauthenticated")
    tenant.client.call("DELETE", f"/v1/keys/{rotated['id']}", expect=204)
    problem(tenant.with_key(rotated["new_api_key"]).get("/v1/agents"), 401, "unauthenticated")
    answer = tenant.client.post("/v1/keys:validate", {"api_key": made["api_key"]}, expect=200).json()
    assert answer["valid"] is False
    answer = tenant.client.post("/v1/keys:validate", {"api_key": tenant.key}, expect=200).json()
    assert answer["valid"] is True and answer["tenant_id"] == tenant.id and answer["scopes"]


def test_a_key_grants_no_more_than_it_holds(tenant):
    weak = tenant.with_key(tenant.new_key(["tenant:admin"], clearance="internal"))
    problem(weak.post("/v1/keys", {"scopes": ["admin"]}), 403, "forbidden")
    problem(weak.post("/v1/keys", {"scopes": ["inbox"], "clearance": "secret"}), 403, "forbidden")
    problem(weak.post("/v1/keys", {"scopes": ["nonsense"]}), 422, "invalid")
    reader = tenant.with_key(tenant.new_key(["agents:read"]))
    strong = tenant.make_key()
    problem(reader.post("/v1/keys:rotate", {"key_id": strong["id"]}), 403, "forbidden")


def test_a_key_over_its_rate_is_told_when_to_come_back(tenant):
    key = tenant.with_key(tenant.new_key(rate_limit_per_minute=1))
    answers = [key.get("/v1/agents") for _ in range(15)]
    limited = [a for a in answers if a.status == 429]
    assert limited and answers[0].status == 200
    problem(limited[0], 429, "rate_limited")
    assert int(limited[0].headers["retry-after"]) >= 1
    assert limited[0].headers["x-ratelimit-limit"] == "1"
    assert limited[0].headers["x-ratelimit-remaining"] == "0"


def test_a_policy_is_stored_listed_and_evaluated(tenant):
    made = tenant.client.post("/v1/policies", {
        "name": "words", "policy_type": "content_filter", "description": "d",
        "rules": {"blocked_terms": ["password"]}}, expect=201).json()
    assert made["policy_type"] == "content_filter" and made["rules"] == {"blocked_terms": ["password"]}
    assert made["description"] == "d" and made["enabled"] is True and made["tenant_id"] == tenant.id
    conditions = [{"attribute": "subject.team", "op": "$eq", "value": "a"}]
    merged = tenant.client.post("/v1/policies", {
        "name": "parts", "policy_type": "abac", "conditions": conditions, "actions": {"on_deny": "log"},
        "rules": {"effect": "allow"}}, expect=201).json()
    assert merged["rules"] == {"effect": "allow", "conditions": conditions, "actions": {"on_deny": "log"}}
    listed = tenant.client.get("/v1/policies", expect=200).json()
    assert {p["id"] for p in listed} == {made["id"], merged["id"]}
    whole = tenant.client.get(f"/v1/policies/{tenant.id}", expect=200).json()
    assert whole["total"] == 2 and len(whole["policies"]) == 2
    problem(tenant.client.post("/v1/policies", {"name": "p", "policy_type": "dlp"}), 422, "invalid", "rules")

    evaluate = lambda **body: tenant.client.post("/v1/policies:evaluate", body, expect=200).json()
    denied = evaluate(policy_type="content_filter", context={"content": "my password is"})
    assert denied["allowed"] is False and denied["action"] == "deny" and denied["policy_id"] == made["id"]
    assert denied["checks_failed"] and denied["reason"]
    allowed = evaluate(policy_type="content_filter", context={"content": "hello"})
    assert allowed["allowed"] is True and allowed["checks_passed"]
    assert evaluate(policy_type="abac", subject={"team": "a"}, action="read")["allowed"] is True
    assert evaluate(policy_type="abac", subject={"team": "b"}, action="read")["allowed"] is False
    nothing = evaluate(policy_type="rate_limit", context={})
    assert nothing["allowed"] is True and nothing["policy_id"] is None and nothing["checks_failed"] == []


def test_a_task_has_a_life(tenant):
    made = tenant.client.post("/v1/tasks", {"id": "job", "title": "Job", "metadata": {"p": 1}}, expect=201).json()
    assert made["id"] == "job" and made["status"] == "open" and made["outcome"] is None
    problem(tenant.client.post("/v1/tasks", {"id": "job", "title": "Job"}), 409, "conflict")
    other = tenant.client.post("/v1/tasks", {"title": "Other"}, expect=201).json()
    done = tenant.client.call("PATCH", "/v1/tasks/job", {"status": "done", "outcome": 0.75}, 200).json()
    assert done["status"] == "done" and done["outcome"] == 0.75 and done["title"] == "Job"
    assert done["metadata"] == {"p": 1}
    assert tenant.client.get("/v1/tasks/job", expect=200).json() == done
    listed = tenant.client.get("/v1/tasks", expect=200).json()["tasks"]
    assert [t["id"] for t in listed] == [other["id"], "job"]
    assert len(tenant.client.get("/v1/tasks?status=done", expect=200).json()["tasks"]) == 1


# ---- the node ----

SERVICES = ["identity", "keys", "policies", "router", "memory", "reinforcement", "regions"]


@pytest.mark.parametrize("path", ["/health"] + [f"/{s}/health" for s in SERVICES])
def test_health_checks_what_is_there(node, path):
    health = Client(node.port).get(path, expect=200).json()
    assert health["status"] == "healthy" and health["region"] == "local" and TIME.match(health["timestamp"])
    assert health["checks"] and set(health["checks"].values()) == {"ok"}
    if path != "/health":
        assert health["service"] == path.split("/")[1]


def test_live_and_ready(node):
    assert Client(node.port).get("/livez", expect=200).json() == {"status": "alive"}
    assert Client(node.port).get("/readyz", expect=200).json() == {"status": "ready"}


def test_metrics_count_requests_by_route_and_code(node, tenant):
    def count(text):
        found = re.search(r'^qmn_http_requests_total\{route="agent.list",code="200"\} (\d+)', text, re.M)
        return int(found.group(1)) if found else 0
    metrics = lambda: Client(node.port).get("/metrics", expect=200)
    before = count(metrics().body.decode())
    tenant.client.get("/v1/agents", expect=200)
    after = metrics()
    assert after.headers["content-type"].startswith("text/plain; version=0.0.4")
    text = after.body.decode()
    assert count(text) == before + 1
    for name in ("qmn_http_request_seconds_bucket", "qmn_http_requests_in_flight",
                 "qmn_http_request_body_bytes_total", "qmn_auth_failures_total"):
        assert re.search(rf"^{name}[{{ ]", text, re.M), name
    assert tenant.id not in text


def test_a_backup_is_written_and_its_name_stays_inside(admin):
    made = admin.post("/v1/node:backup", expect=201).json()
    assert made["bytes"] > 0 and made["rows"] > 0 and made["path"]
    for path in ("../escape", "/tmp/escape", "a/../../b", ".."):
        assert admin.post("/v1/node:backup", {"path": path}).status == 422, path


def test_the_audit_is_read_in_order_and_continued(tenant):
    for i in range(3):
        tenant.make_key(["inbox"])
    entries = tenant.client.get("/v1/audit", expect=200).json()["entries"]
    sequences = [e["seq"] for e in entries]
    assert sequences == sorted(sequences) and len(entries) >= 4
    assert tenant.key.rsplit("_", 1)[1] not in json.dumps(entries)
    rest = tenant.client.get(f"/v1/audit?after={sequences[1]}&limit=1", expect=200).json()["entries"]
    assert [e["seq"] for e in rest] == [sequences[2]]


def test_request_ids_are_echoed(node, tenant):
    answer = tenant.client.get("/v1/agents", headers={"X-Request-Id": "my-id.1"})
    assert answer.headers["x-request-id"] == "my-id.1"
    first, second = (Client(node.port).get("/nowhere").headers["x-request-id"] for _ in range(2))
    assert first != second


def test_nothing_secret_is_in_the_log(binary):
    """At the chattiest level, with every kind of content on its way and every kind of failure."""
    node = Node(binary, "--log-level", "debug")
    marks = ["mark-summary", "mark-snippet", "mark-content", "mark-metadata", "mark-answer", "mark-title"]
    try:
        node.start()
        admin = Client(node.port, node.admin_key())
        admin.post("/v1/tenants", {"id": "logged", "name": "l", "embedding_dim": 8}, expect=201)
        operations = read_operations(Client(node.port).get("/openapi.json", expect=200).json())
        scopes = sorted({o.scope for o in operations if o.scope and o.scope != "admin"})
        tenant = Tenant(admin, "logged", scopes, 8)
        tenant.agent("a", seed="topic", metadata={"x": marks[3]})
        sent = tenant.broadcast("topic", summary=marks[0], snippets=[marks[1]])
        tenant.pull("a")
        tenant.client.post(f"/v1/nutrients/{sent['nutrient_id']}:respond",
                           {"agent_id": "a", "content": {"x": marks[4]}}, expect=201)
        tenant.remember("a", content={"x": marks[2]})
        tenant.client.post("/v1/tasks", {"title": marks[5]}, expect=201)
        tenant.client.post("/v1/keys:validate", {"api_key": tenant.key}, expect=200)
        rotated = tenant.client.post("/v1/keys:rotate", {}, expect=200).json()["api_key"]
        Client(node.port, tenant.key[:-1] + ("x" if tenant.key[-1] != "x" else "y")).get("/v1/agents", expect=401)
        tenant.client.post("/v1/nutrients:broadcast", {"summary": marks[0] * 900}, expect=422)
        log = node.log_text()
    finally:
        node.remove()
    assert log.count("route=broadcast") == 2 and "status=422" in log
    for key in (tenant.key, rotated, admin.key):
        assert key not in log and key.rsplit("_", 1)[1] not in log
    for mark in marks:
        assert mark not in log
