# SPDX-License-Identifier: MIT
"""One good request for each route, by its name.  A route without one fails the tests."""
import base64
import itertools
import struct

from harness import segment

NUMBERS = itertools.count(1)


class World:
    """A tenant with one of everything that a path can name."""

    def __init__(self, tenant):
        self.tenant = tenant
        self.agent = "helper"
        self.source = "asker"
        tenant.agent(self.agent, seed="topic", capabilities=["cap"])
        tenant.agent(self.source)
        first = tenant.broadcast("topic", source_agent_id=self.source)
        assert self.agent in first["routed_to"]
        self.nutrient, self.trace = first["nutrient_id"], first["trace_id"]
        self.memory = tenant.remember(self.agent)["id"]
        self.key = tenant.make_key(["inbox"])
        self.task = tenant.client.post("/v1/tasks", {"title": "work"}, expect=201).json()["id"]
        self.policy = tenant.client.post(
            "/v1/policies", {"name": "p", "policy_type": "dlp", "rules": {"actions": {"a": 1}}}, expect=201).json()["id"]

    def fresh_nutrient(self):
        return self.tenant.broadcast("topic", source_agent_id=self.source)["nutrient_id"]

    def fresh_trace(self):
        return self.tenant.broadcast("topic", source_agent_id=self.source)["trace_id"]

    def fresh_agent(self):
        return self.tenant.agent(f"agent-{next(NUMBERS)}")["agent_id"]

    def fresh_memory(self):
        return self.tenant.remember(self.agent, seed=f"m{next(NUMBERS)}")["id"]

    def fresh_key(self):
        return self.tenant.make_key(["inbox"])["id"]


def _fixed(attribute):
    return lambda w: getattr(w, attribute)


class Sample:
    """`id`: the path parameter out of a World; `fresh`: one that may be used up; `body`, `query`: the
    rest of a good request."""

    def __init__(self, id=None, fresh=None, body=None, query=""):
        self.make_id, self.make_fresh = id, fresh or id
        self.make_body = body if callable(body) or body is None else (lambda w: dict(body))
        self.query = query

    def path(self, operation, world, fresh=False, param=None):
        path = operation.path
        if "{id}" in path:
            make = self.make_fresh if fresh else self.make_id
            path = path.replace("{id}", segment(param if param is not None else make(world)))
        return path + self.query

    def body(self, world):
        return self.make_body(world) if self.make_body else None


def _vector(w, seed="topic"):
    return w.tenant.vector(seed)


SAMPLES = {
    "broadcast": Sample(body=lambda w: {
        "summary": "a need", "embedding": _vector(w), "source_agent_id": w.source}),
    "respond": Sample(id=_fixed("nutrient"), fresh=lambda w: w.fresh_nutrient(), body=lambda w: {
        "agent_id": w.agent, "content": {"answer": 42}, "embedding": _vector(w)}),
    "collect": Sample(body=lambda w: {
        "demand_embedding": _vector(w), "window_ms": 100, "agent_id": w.source}),
    "trace.get": Sample(id=_fixed("trace")),
    "agent.register": Sample(body=lambda w: {
        "agent_id": f"agent-{next(NUMBERS)}", "profile": {"embedding": _vector(w)}}),
    "agent.list": Sample(),
    "agent.get": Sample(id=_fixed("agent")),
    "agent.suspend": Sample(id=_fixed("agent"), fresh=lambda w: w.fresh_agent()),
    "inbox.pull": Sample(id=_fixed("agent")),
    "inbox.stream": Sample(id=_fixed("agent")),
    "inbox.ack": Sample(id=_fixed("agent"), body=lambda w: {"nutrient_ids": [w.fresh_nutrient()]}),
    "inbox.nack": Sample(id=_fixed("agent"), body=lambda w: {"nutrient_ids": [w.fresh_nutrient()]}),
    "task.create": Sample(body={"title": "work"}),
    "task.list": Sample(),
    "task.get": Sample(id=_fixed("task")),
    "task.update": Sample(id=_fixed("task"), body={"status": "running"}),
    "outcome.record": Sample(body=lambda w: {
        "trace_id": w.fresh_trace(), "outcome": {"score": 0.75}, "agent_id": w.source}),
    "edge.stats": Sample(),
    "edge.top": Sample(),
    "edge.list": Sample(id=_fixed("source")),
    "edge.prune": Sample(query="?threshold=0.01"),
    "edge.decay": Sample(),
    "memory.store": Sample(body=lambda w: {
        "agent_id": w.agent, "kind": "insight", "content": {"n": next(NUMBERS)},
        "embedding": _vector(w)}),
    "memory.batch": Sample(body=lambda w: {"memories": [{
        "agent_id": w.agent, "kind": "insight", "content": {"n": next(NUMBERS)}, "embedding": _vector(w)}]}),
    "memory.search": Sample(body=lambda w: {"embedding": _vector(w)}),
    "memory.cleanup": Sample(),
    "memory.get": Sample(id=_fixed("memory")),
    "memory.page": Sample(),
    "memory.duplicates": Sample(query="?threshold=0.5"),
    "memory.export": Sample(query="?history=true"),
    "memory.import": Sample(body=lambda w: {  # JSON lines: one of them
        "id": f"me_{next(NUMBERS):036d}", "agent_id": w.agent, "kind": "insight", "content": {}, "quality": 0.5,
        "created_at": "2026-01-01T00:00:00Z",
        "embedding_b64": base64.b64encode(struct.pack(f"<{len(_vector(w))}f", *_vector(w))).decode()}),
    "memory.update": Sample(id=_fixed("memory"), fresh=lambda w: w.fresh_memory(), body={"sensitivity": "public"}),
    "memory.history": Sample(id=_fixed("memory")),
    "memory.delete": Sample(id=_fixed("memory"), fresh=lambda w: w.fresh_memory()),
    "memory.list": Sample(id=_fixed("agent")),
    "tenant.create": Sample(body=lambda w: {"id": f"made-{next(NUMBERS)}", "name": "made"}),
    "tenant.list": Sample(),
    "tenant.get": Sample(id=lambda w: w.tenant.id),
    "tenant.replace": Sample(id=lambda w: w.tenant.id, body={"name": "renamed"}),
    "tenant.update": Sample(id=lambda w: w.tenant.id, body={"name": "renamed"}),
    "tenant.delete": Sample(id=lambda w: w.tenant.id),
    "tenant.usage": Sample(id=lambda w: w.tenant.id),
    "audit.list": Sample(),
    "key.create": Sample(body={"scopes": ["inbox"]}),
    "key.list": Sample(),
    "key.list_of": Sample(id=lambda w: w.tenant.id),
    "key.delete": Sample(id=lambda w: w.key["id"], fresh=lambda w: w.fresh_key()),
    "key.revoke": Sample(id=lambda w: w.key["id"], fresh=lambda w: w.fresh_key()),
    "key.rotate": Sample(body=lambda w: {"key_id": w.fresh_key()}),
    "key.validate": Sample(body=lambda w: {"api_key": w.key["api_key"]}),
    "policy.create": Sample(body={"name": "p", "policy_type": "dlp", "rules": {}}),
    "policy.list": Sample(),
    "policy.list_of": Sample(id=lambda w: w.tenant.id),
    "policy.evaluate": Sample(body={"policy_type": "dlp", "context": {"content": "x"}}),
    "health": Sample(),
    "live": Sample(),
    "ready": Sample(),
    "metrics": Sample(),
    "openapi": Sample(),
    "node.backup": Sample(body=lambda w: {"path": f"test-{next(NUMBERS)}.db"}),
}
