# SPDX-License-Identifier: MIT
"""What every test that starts a node shares: one node for the whole run, a tenant of its own for each
test that asks for one, and the command line against a node of the module's own."""
import itertools
import json

import pytest

from harness import Client, Node, Qmn, find_binary, vector

NUMBERS = itertools.count(1)


def pytest_report_header():
    return f"qmnd: {find_binary()}"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Of tests that run beside each other, those of a module stay in one process: they share its node, and some go on
    where another ended.  Each control stands alone."""
    if not config.pluginmanager.hasplugin("xdist"):
        return
    for item in items:
        if item.path.parent.name != "controls":
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


@pytest.fixture(scope="session")
def binary():
    path = find_binary()
    if not path or not path.exists():
        pytest.skip("qmnd is not built")
    return path


@pytest.fixture(scope="session")
def node(binary):
    started = Node(binary, "--epsilon", "0")
    try:
        started.start()
        yield started
        log = started.log_text()
        status = started.stop()
        assert status == 0, f"qmnd ended with {status}:\n{log[-4000:]}"
    finally:
        started.remove()


@pytest.fixture(scope="session")
def admin(node):
    """An admin key whose rate no test reaches."""
    first = Client(node.port, node.admin_key())
    made = first.post("/v1/keys", {"scopes": ["admin"], "rate_limit_per_minute": 1000000,
                                   "clearance": "secret", "name": "tests"}, expect=201).json()
    return Client(node.port, made["api_key"])


@pytest.fixture(scope="session")
def openapi(node):
    return Client(node.port).get("/openapi.json", expect=200).json()


class Operation:
    """One row of the route table, as the document tells it."""

    def __init__(self, method, path, spec):
        self.method, self.path, self.spec = method.upper(), path, spec
        self.name = spec["operationId"]
        self.access = spec["x-qmn-access"]
        self.whose = spec["x-qmn-tenant"]
        self.scope = spec.get("x-qmn-scope")
        self.agent = spec.get("x-qmn-agent")
        self.label = spec.get("x-qmn-label")
        self.service = spec.get("x-qmn-service")
        self.mutation = spec["x-qmn-idempotent"]
        self.statuses = [int(s) for s in spec["responses"] if s != "default"]

    def __repr__(self):
        return self.name


def read_operations(document):
    return [Operation(method, path, spec) for path, item in document["paths"].items()
            for method, spec in item.items()]


@pytest.fixture(scope="session")
def operations(openapi):
    return read_operations(openapi)


@pytest.fixture(scope="session")
def all_scopes(operations):
    return sorted({o.scope for o in operations if o.scope and o.scope != "admin"})


class Tenant:
    def __init__(self, admin, tenant_id, scopes, dim):
        self.admin, self.id, self.scopes, self.dim = admin, tenant_id, scopes, dim
        self.known = set()
        self.key = self.new_key()
        self.client = self.with_key(self.key)

    def new_key(self, scopes=None, **more):
        return self.make_key(scopes, **more)["api_key"]

    def make_key(self, scopes=None, **more):
        body = {"scopes": self.scopes if scopes is None else scopes, "tenant_id": self.id,
                "rate_limit_per_minute": 1000000, **more}
        return self.admin.post("/v1/keys", body, expect=201).json()

    def with_key(self, key):
        return Client(self.admin.port, key)

    def vector(self, seed):
        return vector(seed, self.dim)

    def agent(self, agent_id, seed=None, **more):
        body = {"agent_id": agent_id, "profile": {"embedding": self.vector(seed or agent_id)}, **more}
        self.known.add(agent_id)
        return self.client.post("/v1/agents:register", body, expect=200).json()

    def broadcast(self, seed="need", expect=200, **more):
        body = {"summary": "a need", "embedding": self.vector(seed), **more}
        return self.client.post("/v1/nutrients:broadcast", body, expect=expect).json()

    def pull(self, agent, expect=200, client=None, **query):
        text = "&".join(f"{k}={v}" for k, v in query.items())
        return (client or self.client).get(f"/v1/agents/{agent}/nutrients?{text}", expect).json()

    def remember(self, agent="a", seed="memory", expect=201, **more):
        if agent not in self.known:
            self.agent(agent)
        body = {"agent_id": agent, "kind": "insight", "content": {"about": seed, "n": next(NUMBERS)},
                "embedding": self.vector(seed), **more}
        return self.client.post("/v1/hyphal:store", body, expect=expect).json()


@pytest.fixture(scope="session")
def make_tenant(admin, all_scopes):
    def make(dim=8, plan="enterprise", **more):
        tenant_id = f"t-{next(NUMBERS):05d}"
        admin.post("/v1/tenants", {"id": tenant_id, "name": tenant_id, "plan_tier": plan,
                                   "embedding_dim": dim, **more}, expect=201)
        return Tenant(admin, tenant_id, all_scopes, dim)
    return make


@pytest.fixture
def tenant(make_tenant):
    return make_tenant()


@pytest.fixture(scope="session")
def shared_tenant(make_tenant):
    """For tests that change nothing others look at."""
    return make_tenant()


def problem(answer, status, code=None, field=None):
    """Asserts a problem document and returns it."""
    assert answer.status == status, repr(answer)
    assert answer.headers.get("content-type", "").startswith("application/problem+json"), repr(answer)
    assert answer.headers.get("x-request-id"), repr(answer)  # refusals by the HTTP layer have one too
    document = json.loads(answer.body)
    assert document["status"] == status and document["title"] and document["detail"]
    if code:
        assert document["code"] == code, repr(answer)
    if field:
        assert document.get("field") == field, repr(answer)
    return document


@pytest.fixture(scope="module")
def own(binary):
    """A node that this module may do with as it likes."""
    started = Node(binary, "--epsilon", "0")
    try:
        started.start()
        yield started
    finally:
        started.remove()


@pytest.fixture(scope="module")
def qmn(own):
    program = Qmn(own)
    if not program.program.exists():
        pytest.skip("qmn is not built")
    return program


@pytest.fixture(scope="module")
def acme(qmn):
    """A tenant with two agents; the words that name it."""
    qmn("tenant", "create", "acme", "--name", "Acme Corp", "--plan", "pro")
    for agent, about in (("dba", "slow postgres queries and indexes"), ("shop", "orders and checkout")):
        qmn("agent", "register", agent, "--about", about, "--capability", "sql", "--tenant", "acme")
    return ("--tenant", "acme")
