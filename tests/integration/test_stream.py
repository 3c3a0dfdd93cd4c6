# SPDX-License-Identifier: MIT
"""Server-sent events over a real connection."""
import http.client
import json
import socket
import struct
import threading
import time

import pytest

from conftest import Tenant, problem
from harness import CALL_S, Client, Node, wait_until


class Events:
    """Reads one stream; each event is {"event", "id", "data"} with data decoded."""

    def __init__(self, client, agent, query="", last=None):
        self.connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=CALL_S)
        headers = {"X-API-Key": client.key, "Accept": "text/event-stream"}
        if last is not None:
            headers["Last-Event-ID"] = str(last)
        self.connection.request("GET", f"/v1/agents/{agent}/nutrients:stream{query}", headers=headers)
        self.response = self.connection.getresponse()
        self.status, self.headers = self.response.status, self.response.headers

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def next(self):
        """The next event; comments are passed over.  None at the end."""
        event = {}
        while True:
            line = self.response.readline()
            if not line:
                return None
            line = line.decode().rstrip("\n")
            if not line and event:
                event["data"] = json.loads(event["data"])
                return event
            if line and not line.startswith(":"):
                name, value = line.split(": ", 1)
                event[name] = value

    def ended(self):
        return self.next() is None


def metric(node, name):
    text = Client(node.port).get("/metrics", expect=200).body.decode()
    return int(float(next(line.split()[1] for line in text.splitlines() if line.startswith(name))))


def in_flight(node):
    """Requests in progress besides this one."""
    return metric(node, "qmn_http_requests_in_flight") - 1


def settle(node):
    """A closed connection is only believed to be gone after a moment; until then it may be sent to."""
    wait_until(lambda: in_flight(node) == 0, "end of streams that were closed")


def test_items_arrive_as_they_are_sent(tenant):
    tenant.agent("a", seed="topic")
    first = tenant.broadcast("topic")
    began = time.monotonic()
    with Events(tenant.client, "a") as stream:
        assert stream.status == 200 and stream.headers["content-type"] == "text/event-stream"
        assert stream.headers["x-ratelimit-limit"]
        event = stream.next()
        assert time.monotonic() - began < 5  # not with the heartbeat
        assert event["event"] == "nutrient" and event["data"]["nutrient_id"] == first["nutrient_id"]
        assert event["id"] == str(event["data"]["sequence"])
        second = tenant.broadcast("topic")
        event = stream.next()
        assert event["data"]["nutrient_id"] == second["nutrient_id"] and event["data"]["attempt"] == 1
        assert event["data"]["lease_until"]


def test_the_head_comes_before_there_is_anything(tenant):
    tenant.agent("a")
    began = time.monotonic()
    with Events(tenant.client, "a") as stream:
        assert stream.status == 200 and time.monotonic() - began < 5


def test_last_event_id_resumes_behind_it(tenant, node):
    tenant.agent("a", seed="topic")
    sent = [tenant.broadcast("topic")["nutrient_id"] for _ in range(3)]
    with Events(tenant.client, "a") as stream:
        events = [stream.next() for _ in range(3)]
    assert [e["data"]["nutrient_id"] for e in events] == sent
    settle(node)
    sent.append(tenant.broadcast("topic")["nutrient_id"])
    with Events(tenant.client, "a", last=events[-1]["id"]) as stream:
        event = stream.next()
        assert event["data"]["nutrient_id"] == sent[3] and int(event["id"]) > int(events[-1]["id"])


def test_a_resume_takes_over_what_the_dead_stream_was_leasing(tenant):
    tenant.agent("a", seed="topic")
    sent = [tenant.broadcast("topic")["nutrient_id"] for _ in range(3)]
    with Events(tenant.client, "a") as stream:
        seen = stream.next()  # the others were on their way when the connection broke
    began = time.monotonic()
    with Events(tenant.client, "a", last=seen["id"]) as stream:
        events = [stream.next() for _ in range(2)]
        assert time.monotonic() - began < 5  # not when their leases of 30 s run out
    assert [e["data"]["nutrient_id"] for e in events] == sent[1:]
    assert [int(e["id"]) for e in events] == sorted(int(e["id"]) for e in events)


def test_what_never_left_the_node_is_there_for_the_next_reader(tenant, node):
    """A reader who takes nothing and is gone: only what the kernel had is still leased to it."""
    tenant.agent("slow", seed="topic")
    size = 60000
    sent = [tenant.broadcast("topic", snippets=["x" * size])["nutrient_id"] for _ in range(150)]
    settle(node)
    before = metric(node, "qmn_net_sent_bytes_total")
    with Events(tenant.client, "slow") as stream:
        wait_until(lambda: metric(node, "qmn_net_held_bytes") > 200000, "events that wait in the node")
        gone_by = metric(node, "qmn_net_sent_bytes_total") - before
        linger = struct.pack("ii", 1, 0)
        stream.connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)  # a reset
        stream.response.close()
    settle(node)
    items = tenant.pull("slow", limit=150)["nutrients"]
    assert [i["nutrient_id"] for i in items] == sent[-len(items):]
    assert 150 - len(items) <= gone_by // size and all(i["attempt"] == 1 for i in items)


def test_what_is_not_acknowledged_comes_again_without_an_id(tenant):
    tenant.agent("a", seed="topic")
    tenant.broadcast("topic")
    with Events(tenant.client, "a", "?lease_ms=1000") as stream:
        first, second = stream.next(), stream.next()
        assert first["data"]["sequence"] == second["data"]["sequence"]
        assert second["data"]["attempt"] == 2 and "id" not in second
        tenant.client.post("/v1/agents/a/nutrients:ack",
                           {"nutrient_ids": [first["data"]["nutrient_id"]]}, expect=200)


def test_two_readers_share_an_inbox(tenant):
    tenant.agent("a", seed="topic")
    seen = []
    with Events(tenant.client, "a") as one, Events(tenant.client, "a") as two:
        readers = [threading.Thread(target=lambda s=s: seen.append(s.next())) for s in (one, two)]
        for r in readers:
            r.start()
        sent = {tenant.broadcast("topic")["nutrient_id"]}
        wait_until(lambda: seen, "event")
        sent.add(tenant.broadcast("topic")["nutrient_id"])
        while any(r.is_alive() for r in readers) and len(sent) < 50:
            sent.add(tenant.broadcast("topic")["nutrient_id"])
            time.sleep(0.02)
        for r in readers:
            r.join(CALL_S)
    ids = [e["data"]["nutrient_id"] for e in seen]
    assert len(set(ids)) == 2 and set(ids) <= sent


def test_errors_before_the_stream_are_problems(tenant, node):
    path = "/v1/agents/absent/nutrients:stream"
    problem(tenant.client.get(path), 404, "not_found")
    problem(Client(node.port).get(path), 401, "unauthenticated")
    tenant.agent("a")
    bad = tenant.client.get("/v1/agents/a/nutrients:stream", headers={"Last-Event-ID": "x"})
    problem(bad, 422, "invalid", "Last-Event-ID")
    problem(tenant.client.get("/v1/agents/a/nutrients:stream?lease_ms=1"), 422, "invalid", "lease_ms")


def test_a_reader_that_leaves_is_noticed(tenant, node):
    tenant.agent("a", seed="topic")
    settle(node)
    with Events(tenant.client, "a") as stream:
        assert stream.status == 200
        wait_until(lambda: in_flight(node) == 1, "stream in flight")
    settle(node)
    tenant.broadcast("topic")
    assert len(tenant.pull("a")["nutrients"]) == 1  # nobody gone holds its lease


def test_a_revoked_key_is_told_nothing_more(tenant):
    tenant.agent("a", seed="topic")
    made = tenant.make_key(["inbox"])
    with Events(tenant.with_key(made["api_key"]), "a") as stream:
        assert stream.status == 200
        tenant.client.post(f"/v1/keys/{made['id']}:revoke", expect=200)
        tenant.broadcast("topic")
        assert stream.ended()


def test_a_revoked_key_ends_its_stream_within_a_second(tenant):
    tenant.agent("a", seed="topic")
    made = tenant.make_key(["inbox"])
    with Events(tenant.with_key(made["api_key"]), "a") as stream:
        assert stream.status == 200
        tenant.client.post(f"/v1/keys/{made['id']}:revoke", expect=200)
        began = time.monotonic()
        assert stream.ended() and time.monotonic() - began < 5  # not with the heartbeat


def test_a_revoked_key_gets_nothing_from_a_pull_that_waits(tenant):
    tenant.agent("a", seed="topic")
    made = tenant.make_key(["inbox"])
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(
        tenant.with_key(made["api_key"]).get("/v1/agents/a/nutrients?wait_ms=20000")))
    waiting.start()
    time.sleep(0.3)
    tenant.client.post(f"/v1/keys/{made['id']}:revoke", expect=200)
    tenant.broadcast("topic")
    waiting.join(CALL_S)
    problem(answers[0], 401, "unauthenticated")


def test_a_suspended_agent_ends_its_stream(tenant):
    tenant.agent("a", seed="topic")
    with Events(tenant.client, "a") as stream:
        assert stream.status == 200
        tenant.client.call("DELETE", "/v1/agents/a", expect=204)
        assert stream.ended()


@pytest.mark.parametrize("count", [300])
def test_a_full_inbox_is_streamed_in_order(tenant, count):
    tenant.agent("a", seed="topic")
    sent = [tenant.broadcast("topic", snippets=["x" * 2000])["nutrient_id"] for _ in range(count)]
    with Events(tenant.client, "a") as stream:
        got = [stream.next()["data"]["nutrient_id"] for _ in range(count)]
    assert got == sent


def test_a_reader_that_takes_nothing_costs_no_memory(tenant, node):
    if node.sanitized:
        pytest.skip("a sanitizer keeps freed memory on purpose")
    tenant.agent("slow", seed="topic")
    for _ in range(200):
        tenant.broadcast("topic", snippets=["x" * 60000])
    before = node.rss_bytes()
    with Events(tenant.client, "slow"):
        time.sleep(1)
        grown = node.rss_bytes() - before
    assert grown < 4 << 20, f"{grown} bytes for 12 MB that nobody reads"


def test_a_node_that_stops_ends_its_streams(binary):
    node = Node(binary)
    try:
        node.start()
        admin = Client(node.port, node.admin_key())
        admin.post("/v1/tenants", {"id": "stopping", "name": "s", "embedding_dim": 8}, expect=201)
        tenant = Tenant(admin, "stopping", ["agents:write", "inbox"], 8)
        tenant.agent("a")
        with Events(tenant.client, "a") as stream:
            assert stream.status == 200
            began = time.monotonic()
            assert node.stop() == 0
            assert time.monotonic() - began < 10
            assert stream.ended()
    finally:
        node.remove()
