# SPDX-License-Identifier: MIT
"""Filters of a search of memories, in the style of MongoDB: every field, every operator, every refusal."""
import json

import pytest

from conftest import problem

# name -> what it is stored with
STORED = {
    "one": dict(agent="a", kind="plan", quality=0.25, task_id="t1", trace_id="r1", ttl_hours=1,
                metadata={"lang": "de", "n": 1, "ok": True, "tags": ["x", "y"], "deep": {"er": {"k": 7}}}),
    "two": dict(agent="a", kind="note", quality=0.5, task_id="t2", sensitivity="public",
                metadata={"lang": "en", "n": 2.5, "ok": False, "tags": [], "list": [{"k": 1}, {"k": "one"}]}),
    "three": dict(agent="b", kind="note", quality=0.75, trace_id="r1", ttl_hours=100,
                  metadata={"lang": None, "n": [3, 30], "tags": "x", "nested": [[5]], "long": "z" * 300}),
    "four": dict(agent="b", kind="rule", quality=1.0),
}
ALL = set(STORED)
FOREVER = {"two", "four"}

FOUND = [
    # equality, and null where nothing lacks the field
    ({}, ALL), ({"kind": "note"}, {"two", "three"}), ({"kind": None, "quality": {"$gt": None}}, ALL),
    ({"agent_id": {"$eq": "b"}}, {"three", "four"}), ({"agent_id": "nobody"}, set()),
    ({"quality": 0.5}, {"two"}), ({"sensitivity": "public"}, {"two"}),
    ({"task_id": "t1"}, {"one"}), ({"trace_id": "r1"}, {"one", "three"}),
    ({"task_id": None}, {"three", "four"}), ({"expires_at": None}, FOREVER),
    ({"metadata.lang": "de"}, {"one"}), ({"metadata.n": 2.5}, {"two"}), ({"metadata.n": 25e-1}, {"two"}),
    ({"metadata.ok": True}, {"one"}), ({"metadata.ok": False}, {"two"}),
    ({"metadata.n": "1"}, set()), ({"metadata.ok": "true"}, set()),
    # $ne, also of what is not there
    ({"kind": {"$ne": "note"}}, {"one", "four"}), ({"task_id": {"$ne": "t1"}}, {"two", "three", "four"}),
    ({"metadata.lang": {"$ne": "de"}}, {"two", "three", "four"}), ({"metadata.lang": {"$ne": None}}, {"one", "two"}),
    ({"expires_at": {"$ne": None}}, {"one", "three"}),
    # comparing
    ({"quality": {"$gt": 0.5}}, {"three", "four"}), ({"quality": {"$gte": 0.5}}, {"two", "three", "four"}),
    ({"quality": {"$lt": 0.5}}, {"one"}), ({"quality": {"$lte": 0.5}}, {"one", "two"}),
    ({"quality": {"$gt": 0.25, "$lt": 1}}, {"two", "three"}), ({"quality": {"$ne": 1}}, {"one", "two", "three"}),
    ({"sensitivity": {"$lt": "internal"}}, {"two"}), ({"sensitivity": {"$gte": "internal"}}, {"one", "three", "four"}),
    ({"created_at": {"$gt": "2020-01-01T00:00:00Z"}}, ALL), ({"created_at": {"$lt": "2020-01-01T00:00:00Z"}}, set()),
    ({"updated_at": {"$lte": "2999-01-01T00:00:00+02:00"}}, ALL),
    ({"expires_at": {"$lt": "2999-01-01T00:00:00Z"}}, {"one", "three"}),
    ({"expires_at": {"$eq": "1970-01-01T00:00:00Z"}}, set()),
    ({"metadata.n": {"$gt": 1}}, {"two", "three"}), ({"metadata.n": {"$lte": 2.5}}, {"one", "two"}),
    ({"metadata.n": {"$gte": -1e300}}, {"one", "two", "three"}), ({"metadata.lang": {"$gt": "de"}}, {"two"}),
    ({"metadata.lang": {"$lte": "en"}}, {"one", "two"}), ({"metadata.long": {"$gt": "zz"}}, {"three"}),
    ({"metadata.long": "z" * 255}, set()), ({"metadata.long": {"$gt": "z" * 255}}, {"three"}),
    # each condition may be met by another element
    ({"metadata.n": {"$gt": 10, "$lt": 5}}, {"three"}),
    # lists
    ({"kind": {"$in": ["plan", "rule", "none"]}}, {"one", "four"}), ({"kind": {"$in": []}}, set()),
    ({"kind": {"$nin": ["plan", "rule"]}}, {"two", "three"}), ({"kind": {"$nin": []}}, ALL),
    ({"quality": {"$in": [0.25, 1]}}, {"one", "four"}), ({"sensitivity": {"$in": ["public", "secret"]}}, {"two"}),
    ({"task_id": {"$in": ["t2", None]}}, {"two", "three", "four"}), ({"task_id": {"$nin": ["t2", None]}}, {"one"}),
    ({"metadata.n": {"$in": [1, 30, "x", True]}}, {"one", "three"}), ({"metadata.tags": {"$in": ["y", "z"]}}, {"one"}),
    # presence
    ({"task_id": {"$exists": True}}, {"one", "two"}), ({"task_id": {"$exists": False}}, {"three", "four"}),
    ({"expires_at": {"$exists": True}}, {"one", "three"}), ({"kind": {"$exists": True}}, ALL),
    ({"quality": {"$exists": False}}, set()), ({"metadata.lang": {"$exists": True}}, {"one", "two", "three"}),
    ({"metadata.tags": {"$exists": True}}, {"one", "two", "three"}), ({"metadata.deep.er": {"$exists": True}}, {"one"}),
    # arrays and paths
    ({"metadata.tags": "x"}, {"one", "three"}), ({"metadata.tags": {"$ne": "x"}}, {"two", "four"}),
    ({"metadata.deep.er.k": 7}, {"one"}), ({"metadata.list.k": "one"}, {"two"}), ({"metadata.list.k": {"$gte": 1}}, {"two"}),
    ({"metadata.nested": 5}, set()), ({"metadata.nested": {"$exists": True}}, {"three"}), ({"metadata.lang": None}, {"three", "four"}),
    # logic
    ({"$and": [{"kind": "note"}, {"agent_id": "a"}]}, {"two"}), ({"$or": [{"kind": "plan"}, {"agent_id": "b"}]}, {"one", "three", "four"}),
    ({"$or": [{"quality": {"$lt": 0.3}}, {"$and": [{"kind": "note"}, {"trace_id": "r1"}]}]}, {"one", "three"}),
    ({"$not": {"kind": "note", "agent_id": "a"}}, {"one", "three", "four"}), ({"$or": [{}]}, ALL),
    ({"metadata.n": {"$not": {"$gt": 1}}}, {"one", "four"}), ({"quality": {"$not": {"$gte": 0.5, "$lt": 1}}}, {"one", "four"}),
    ({"kind": "note", "$not": {"trace_id": {"$exists": True}}}, {"two"}), ({"$and": [{"kind": "a"}, {"kind": "b"}]}, set()),
]


@pytest.fixture(scope="module")
def kept(make_tenant):
    tenant = make_tenant()
    tenant.names = {}
    for name, what in STORED.items():
        tenant.names[tenant.remember(seed=name, **what)["id"]] = name
    return tenant


def search(tenant, **body):
    return tenant.client.post("/v1/hyphal:search", {"embedding": tenant.vector("q"), "top_k": 100, **body})


@pytest.mark.parametrize("condition,names", FOUND, ids=lambda x: json.dumps(x) if isinstance(x, dict) else "")
def test_a_filter_finds_what_it_says_and_counts_it(kept, condition, names):
    answer = search(kept, filters=condition)
    assert answer.status == 200, answer.body
    answer = answer.json()
    assert {kept.names[x["id"]] for x in answer["results"]} == names
    assert answer["total"] == answer["metadata"]["candidates"] == len(names)


REFUSED = [
    ({"colour": "red"}, "filters.colour", "kind, agent_id"), ({"kinds": "a"}, "filters.kinds", "did you mean kind?"),
    ({"kind": {"$gt": "x"}}, "filters.kind.$gt", "$eq, $ne, $in"), ({"quality": {"$gte ": 0.5}}, "filters.quality.$gte ", "did you mean $gte?"),
    ({"quality": "high"}, "filters.quality", "from 0 to 1; \"high\" came"), ({"quality": {}}, "filters.quality", "empty object"),
    ({"sensitivity": "top"}, "filters.sensitivity", "public, internal"), ({"created_at": {"$gt": "2020-01-01x"}}, "filters.created_at.$gt", "a time"),
    ({"kind": {"$in": ["a", 5]}}, "filters.kind.$in[1]", "5 came"), ({"task_id": {"$exists": "yes"}}, "filters.task_id.$exists", "true or false"),
    ({"metadata": {"a": 1}}, "filters.metadata", "metadata.PATH"), ({"metadata.a": {"b": 1}}, "filters.metadata.a.b", "metadata.a.b"),
    ({"metadata.a": "x" * 256}, "filters.metadata.a", "255 bytes; 256 came"), ({"metadata.a..b": 1}, "filters.metadata.a..b", "one dot"),
    ({"metadata.a": [1]}, "filters.metadata.a", "an array"), ({"$or": []}, "filters.$or", "at least one"), ({"$nor": []}, "filters.$nor", "$and, $or, $not"),
    ({"$or": [{}, {"$and": [{"quality": {"$lt": 7}}]}]}, "filters.$or[1].$and[0].quality.$lt", "7 came"),
    ({"$or": [{"kind": "a"}] * 33}, "filters.$or[32].kind", "at most 32 conditions"),
    ({"metadata.a": {"$in": [1] * 257}}, "filters.metadata.a.$in[256]", "at most 256 values"),
]


@pytest.mark.parametrize("condition,field,says", REFUSED, ids=lambda x: x if isinstance(x, str) else "")
def test_what_is_refused_is_told_by_its_place(kept, condition, field, says):
    for where in ("filters", "user_filter"):
        answer = search(kept, **{where: condition})
        problem(answer, 422, "invalid", field.replace("filters", where, 1))
        assert says in answer.json()["detail"]


def test_a_change_is_filtered_by_at_once(make_tenant):
    tenant = make_tenant()
    one = tenant.remember(metadata={"state": "open"})["id"]
    count = lambda **condition: search(tenant, filters=condition).json()["total"]
    assert count(**{"metadata.state": "open"}) == 1
    tenant.client.call("PATCH", f"/v1/hyphal/{one}", {"metadata": {"state": "done"}, "quality": 1}, expect=200)
    assert (count(**{"metadata.state": "open"}), count(**{"metadata.state": "done"}), count(quality=1)) == (0, 1, 1)
    tenant.client.call("PATCH", f"/v1/hyphal/{one}", {"metadata": None}, expect=200)
    assert count(**{"metadata.state": {"$exists": False}}) == 1
    other = tenant.remember(supersedes=one, metadata={"state": "new"})["id"]
    assert count(**{"metadata.state": "new"}) == 1
    tenant.client.call("DELETE", f"/v1/hyphal/{other}", expect=204)
    assert count() == 0


def test_a_filter_tells_nothing_of_what_is_hidden(make_tenant):
    tenant = make_tenant()
    strong = tenant.with_key(tenant.new_key(clearance="secret"))
    strong.post("/v1/agents:register", {"agent_id": "s", "clearance": "secret"}, expect=200)
    strong.post("/v1/hyphal:store", {"agent_id": "s", "kind": "k", "content": {}, "sensitivity": "secret", "metadata": {"code": "red"},
                                     "embedding": tenant.vector("x")}, expect=201)
    weak = tenant.with_key(tenant.new_key(clearance="internal"))
    for condition in ({"metadata.code": "red"}, {"sensitivity": "secret"}, {"agent_id": "s"}, {"$not": {"kind": "other"}}):
        body = {"embedding": tenant.vector("x"), "filters": condition}
        assert weak.post("/v1/hyphal:search", body, expect=200).json()["metadata"]["candidates"] == 0
        assert strong.post("/v1/hyphal:search", body, expect=200).json()["total"] == 1
