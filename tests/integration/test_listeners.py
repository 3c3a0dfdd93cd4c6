# SPDX-License-Identifier: MIT
"""Addresses for one service alone, and what is open where."""
import pytest

from conftest import problem, read_operations
from harness import Client, Node, Wire

SERVICES = ["identity", "keys", "policies", "router", "memory", "reinforcement", "regions"]


@pytest.fixture(scope="module")
def split(binary):
    """A main address and one for each service."""
    node = Node(binary)
    try:
        node.start(["127.0.0.1:0"] + [f"{s}=127.0.0.1:0" for s in SERVICES])
        yield node
    finally:
        node.remove()


def test_each_address_answers_for_its_service_alone(split):
    key = split.admin_key()
    operations = read_operations(Client(split.port).get("/openapi.json", expect=200).json())
    for service, port in zip(SERVICES, split.ports[1:]):
        client = Client(port, key)
        for o in operations:
            if o.method != "GET" or o.service in (None, "*") or o.name == "inbox.stream":
                continue
            path = o.path.replace("{id}", "x")
            for prefix in ("", f"/{o.service}"):
                answer = client.get(prefix + path)
                if o.service == service:
                    assert answer.status in (200, 404) and "no such path" not in answer.body.decode(), (o, answer)
                else:
                    problem(answer, 404, "not_found")
                    assert "no such path" in answer.json()["detail"], (o, answer)


def test_each_address_tells_how_it_is(split):
    for service, port in zip(SERVICES, split.ports[1:]):
        client = Client(port)
        assert client.get("/health", expect=200).json()["service"] == service
        for path in ("/livez", "/readyz", "/openapi.json", "/metrics"):
            client.get(path, expect=200)


def test_a_main_address_answers_for_all(split):
    for service in SERVICES:
        assert Client(split.port).get(f"/{service}/health", expect=200).json()["service"] == service


def test_metrics_are_open_on_loopback_only(binary):
    node = Node(binary, "--allow-plaintext")
    try:
        node.start(["0.0.0.0:0"])
        problem(Client(node.port).get("/metrics"), 401, "unauthenticated")
        Client(node.port, node.admin_key()).get("/metrics", expect=200)
        Client(node.port).get("/livez", expect=200)
    finally:
        node.remove()


def metrics_over(wire):
    assert wire.send(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    return wire.answer().body.decode()


def test_an_address_has_a_share_of_the_connections(binary):
    node = Node(binary, "--max-connections-per-peer", "3")
    try:
        node.start()
        with Wire(node.port) as first:
            while "qmn_net_connections 1\n" not in metrics_over(first):
                pass  # those that saw whether the node is ready are on their way out
            with Wire(node.port) as second, Wire(node.port) as third:
                for wire in (second, third):
                    assert metrics_over(wire)
                with Wire(node.port) as more:
                    answer = more.answer()
                document = problem(answer, 503, "overloaded")
                assert "3 connections" in document["detail"]
                assert answer.headers["retry-after"] == "1"
                assert 'qmn_net_refused_total{reason="peer_connections"} 1\n' in metrics_over(first)
    finally:
        node.remove()


def test_metrics_may_be_for_admins_only_on_loopback_too(binary):
    """A proxy on this machine comes from loopback as well."""
    node = Node(binary, "--private-metrics")
    try:
        node.start()
        problem(Client(node.port).get("/metrics"), 401, "unauthenticated")
        Client(node.port, node.admin_key()).get("/metrics", expect=200)
        Client(node.port).get("/readyz", expect=200)
    finally:
        node.remove()
