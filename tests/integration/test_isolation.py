# SPDX-License-Identifier: MIT
"""The tenant-isolation matrix: every route of the document times every kind of caller.

Nothing here lists routes: a new row of the table is in the matrix the moment it exists, and without
a sample request (samples.py) it fails."""
import json
import re

import pytest

from conftest import problem
from harness import Client, wait_until
from samples import SAMPLES, World


def corrupted(key):
    """A key of the right form whose secret is somebody else's."""
    head, tail = key[:-12], key[-12:]
    return head + "".join("0" if c == "1" else "1" for c in tail)


class Callers:
    """One key of each kind, and the world each of them looks at."""

    def __init__(self, make_tenant, admin):
        self.admin = admin
        self.world = World(make_tenant())
        self.tenant = self.world.tenant
        self.other = World(make_tenant())
        self.right = self.tenant.key
        self.revoked = self._revoked(self.tenant)
        self.expired = self._expired(self.tenant)
        self.suspended = self._of_tenant(make_tenant, "suspended")
        self.deleted = self._of_tenant(make_tenant, "deleted")

    @staticmethod
    def _revoked(tenant):
        made = tenant.make_key()
        tenant.client.post(f"/v1/keys/{made['id']}:revoke", expect=200)
        return made["api_key"]

    @staticmethod
    def _expired(tenant):
        """A rotation without grace ends the old key in the same moment."""
        made = tenant.make_key()
        tenant.client.post("/v1/keys:rotate", {"key_id": made["id"], "grace_period_sec": 0}, expect=200)
        return made["api_key"]

    def _of_tenant(self, make_tenant, status):
        tenant = make_tenant()
        if status == "deleted":
            self.admin.call("DELETE", f"/v1/tenants/{tenant.id}", expect=204)
        else:
            self.admin.call("PATCH", f"/v1/tenants/{tenant.id}", {"status": status}, expect=200)
        return tenant.key


@pytest.fixture(scope="module")
def callers(make_tenant, admin):
    return Callers(make_tenant, admin)


def ask(callers, operation, key, tenant=None, world=None, param=None, fresh=False):
    """The sample request of a route; streams are asked for their head only."""
    sample = SAMPLES[operation.name]
    world = world or callers.world
    path = sample.path(operation, world, fresh=fresh, param=param)
    method = "HEAD" if operation.name == "inbox.stream" else operation.method
    body = sample.body(world)
    return Client(callers.admin.port, key, tenant).call(method, path, body)


def refused(answer, status, code, head):
    if head:
        assert answer.status == status, repr(answer)
    else:
        problem(answer, status, code)


NOBODY = ["none", "malformed", "unknown id", "wrong secret", "expired", "revoked", "empty"]


def nobody(callers, kind):
    return {"none": None, "malformed": "not-a-key", "wrong secret": corrupted(callers.right),
            "unknown id": re.sub(r"(?<=^qmn_)([^_]+)_([^_]+)", r"\1_zzzzzzzz", callers.right),
            "expired": callers.expired, "revoked": callers.revoked, "empty": ""}[kind]


@pytest.mark.parametrize("kind", NOBODY)
def test_nobody_gets_in(callers, operations, kind):
    key = nobody(callers, kind)
    for o in operations:
        answer = ask(callers, o, key)
        if o.access in ("open", "local"):  # metrics are open on loopback
            assert answer.status == 200, (o, answer)
        else:
            refused(answer, 401, "unauthenticated", o.name == "inbox.stream")
            assert answer.headers["www-authenticate"].startswith("Bearer"), o


@pytest.mark.parametrize("status", ["suspended", "deleted"])
def test_a_tenant_that_is_blocked_gets_nothing(callers, operations, status):
    key = getattr(callers, status)
    for o in operations:
        answer = ask(callers, o, key)
        if o.access in ("open", "local"):
            assert answer.status == 200, (o, answer)
        else:
            assert answer.status in (401, 403), (o, answer)


def test_a_tenant_header_that_is_not_the_keys_is_forbidden(callers, operations):
    for other in (callers.other.tenant.id, "no-such-tenant", "system"):
        for o in operations:
            if o.access not in ("open", "local"):
                refused(ask(callers, o, callers.right, other), 403, "forbidden",
                        o.name == "inbox.stream")


def test_a_missing_scope_is_forbidden(callers, operations):
    for scope in sorted({o.scope for o in operations if o.access == "scope"}):
        # tenant:admin implies every scope of its tenant, so it has to be missing too.
        key = callers.tenant.new_key(
            [s for s in callers.tenant.scopes if s not in (scope, "tenant:admin")])
        for o in operations:
            if o.access == "scope" and o.scope == scope:
                refused(ask(callers, o, key), 403, "forbidden", o.name == "inbox.stream")


def test_admin_calls_are_for_admins(callers, operations):
    for o in operations:
        if o.access == "admin":
            problem(ask(callers, o, callers.right), 403, "forbidden")


def test_the_right_caller_is_let_in(callers, operations, admin, make_tenant):
    for o in operations:
        if o.access in ("open", "local"):
            continue
        key = admin.key if o.access == "admin" else callers.right
        world = World(make_tenant()) if o.name == "tenant.delete" else callers.world
        answer = ask(callers, o, key, world=world, fresh=True)
        assert answer.status in o.statuses, (o, answer)
        assert int(answer.headers["x-ratelimit-limit"]) > 0, o
        assert "x-ratelimit-remaining" in answer.headers and "x-request-id" in answer.headers, o


def test_an_admin_acts_for_the_tenant_it_names(callers, operations, admin):
    for o in operations:
        if o.access != "scope" or o.whose != "caller":
            continue
        answer = ask(callers, o, admin.key, callers.tenant.id, fresh=True)
        assert answer.status in o.statuses, (o, answer)


def absent_id(like):
    """Of the same form and age as a real one, and nobody's."""
    return like[:-6] + "".join("0" if c == "1" else "1" for c in like[-6:])


def without_ids(answer, *ids):
    text = answer.body.decode()
    for one in ids:
        text = text.replace(one, "ID")
    return re.sub(r'"timestamp":"[^"]*"', "", text)


def test_what_belongs_to_others_is_exactly_what_is_not_there(callers, operations):
    """Status, body and headers: all but the id in the text and the request's own numbers."""
    own = {"x-request-id", "date", "x-ratelimit-remaining", "x-ratelimit-reset", "content-length"}
    unique = {"agent.get", "agent.suspend", "inbox.pull", "inbox.stream", "inbox.ack", "inbox.nack",
              "edge.list", "memory.list"}
    callers.other.tenant.agent("only-theirs")
    for o in operations:
        if "{id}" not in o.path or o.access == "admin":
            continue
        sample = SAMPLES[o.name]
        foreign = "only-theirs" if o.name in unique else sample.make_id(callers.other)
        absent = absent_id(foreign)
        seen = ask(callers, o, callers.right, param=foreign)
        missing = ask(callers, o, callers.right, param=absent)
        assert seen.status == missing.status, (o, seen, missing)
        assert seen.status in (404, 200), (o, seen)
        if o.name not in ("edge.list", "memory.list"):
            assert seen.status == 404, (o, seen)
        assert without_ids(seen, foreign) == without_ids(missing, absent), (o, seen, missing)
        for name in (set(seen.headers) | set(missing.headers)) - own:
            assert seen.headers.get(name) == missing.headers.get(name), (o, name)


def test_naming_what_belongs_to_others_in_a_body_is_naming_nothing(callers):
    mine, theirs = callers.tenant.client, callers.other
    for trace in (theirs.trace, absent_id(theirs.trace)):
        problem(mine.post("/v1/outcomes:record", {"trace_id": trace, "outcome_score": 1}), 404, "not_found")
    for key_id in (theirs.key["id"], absent_id(theirs.key["id"])):
        problem(mine.post("/v1/keys:rotate", {"key_id": key_id}), 404, "not_found")
    for key in (theirs.key["api_key"], corrupted(theirs.key["api_key"])):
        answer = mine.post("/v1/keys:validate", {"api_key": key}, expect=200).json()
        assert answer["valid"] is False and not answer.get("key_id") and not answer.get("tenant_id")
    for tenant in (theirs.tenant.id, "absent-tenant"):
        problem(mine.post("/v1/keys", {"tenant_id": tenant, "scopes": ["inbox"]}), 404, "not_found")


def test_lists_show_the_callers_own_only(callers):
    theirs = callers.other
    theirs.tenant.agent("marked-agent-of-others", name="secret name")
    ids = [theirs.nutrient, theirs.trace, theirs.memory, theirs.key["id"], theirs.task, theirs.policy,
           "marked-agent-of-others", theirs.tenant.id]
    client = callers.tenant.client
    answers = [client.get(p, expect=200) for p in (
        "/v1/agents?limit=1000", "/v1/tasks?limit=1000", "/v1/keys", "/v1/policies",
        "/v1/edges/top?limit=1000", "/v1/audit?limit=1000", "/v1/hyphal/agent/helper?limit=1000", "/v1/hyphal?limit=1000",
        "/v1/tenants/me", "/v1/tenants/me/usage")]
    answers.append(client.post("/v1/hyphal:search", {
        "embedding": theirs.tenant.vector("memory"), "top_k": 100}, expect=200))
    answers.append(client.post("/v1/contexts:collect", {
        "demand_embedding": theirs.tenant.vector("memory"), "top_k": 50, "window_ms": 100}, expect=200))
    answers.append(callers.tenant.client.post("/v1/nutrients:broadcast", {
        "summary": "s", "embedding": theirs.tenant.vector("marked-agent-of-others"), "top_k": 50}, expect=200))
    for answer in answers:
        for one in ids:
            assert one not in answer.body.decode(), (one, answer)


def test_a_bound_key_acts_for_its_agents_only(callers, operations):
    world = callers.world
    bound = callers.tenant.new_key(agent_ids=["bound-agent"])
    callers.tenant.agent("bound-agent")
    for o in operations:
        if not o.agent:
            continue
        sample = SAMPLES[o.name]
        body = sample.body(world)
        if body is not None and "{id}" not in o.path or o.name == "respond":
            body[o.agent] = "helper"
        method = "HEAD" if o.name == "inbox.stream" else o.method
        answer = Client(callers.admin.port, bound).call(method, sample.path(o, world), body)
        assert answer.status in (403, 404), (o, answer)


def test_a_label_above_the_keys_clearance_cannot_be_written(callers, operations):
    key = callers.tenant.new_key(clearance="internal")
    for o in operations:
        if o.label != "write":
            continue
        sample = SAMPLES[o.name]
        body = sample.body(callers.world)
        for one in body.get("memories", [body]):
            one["sensitivity"] = "secret"
        answer = Client(callers.admin.port, key).post(sample.path(o, callers.world), body)
        problem(answer, 403, "forbidden")


def test_denials_are_in_the_audit_record(callers, make_tenant):
    tenant = make_tenant()
    key = tenant.make_key(["inbox"])

    def denials():  # again each time: another key may share this one's place, and have used up what a second allows
        problem(Client(callers.admin.port, key["api_key"]).get("/v1/agents"), 403, "forbidden")
        entries = tenant.client.get("/v1/audit?limit=1000", expect=200).json()["entries"]
        return [e for e in entries if e["actor"] == key["id"] and "agent.list" in json.dumps(e)]
    wait_until(denials, f"a denial in {tenant.client.get('/v1/audit')}")
