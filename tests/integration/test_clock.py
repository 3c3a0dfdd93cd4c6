# SPDX-License-Identifier: MIT
"""The wall clock of a running node is set an hour ahead, and back (libfaketime; the monotonic clock is left alone)."""
import datetime
import glob
import os
import threading
import time

import pytest

from harness import Client, Node, wait_until

HOUR = 3600
FAKETIME = next(iter(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")), None)


@pytest.fixture
def node(binary):
    if not FAKETIME:
        pytest.skip("libfaketime is not installed")
    node = Node(binary)
    if node.sanitized:
        node.remove()
        pytest.skip("sanitizers replace the same calls as libfaketime")
    offset = node.data / "offset"
    offset.write_text("+0")
    offset.chmod(0o644)
    node.offset = offset
    node.env = {"LD_PRELOAD": FAKETIME, "FAKETIME_TIMESTAMP_FILE": str(offset), "FAKETIME_NO_CACHE": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    node.start()
    yield node
    node.remove()


def set_clock(node, seconds):
    """Whole or not at all: the node reads the file at every look at the time."""
    new = node.offset.with_suffix(".new")
    new.write_text(f"{seconds:+d}")
    new.chmod(0o644)
    os.replace(new, node.offset)


def hours_ahead(client):
    said = datetime.datetime.fromisoformat(client.get("/health", expect=200).json()["timestamp"])
    return round((said.timestamp() - time.time()) / HOUR, 1)


def test_leases_and_waits_survive_a_clock_that_is_set(node):
    admin = Client(node.port, node.admin_key())
    admin.post("/v1/tenants", {"id": "clock", "name": "Clock"}, expect=201)
    key = admin.post("/v1/keys", {"tenant_id": "clock", "scopes": ["tenant:admin"]}, expect=201).json()["api_key"]
    client = Client(node.port, key)
    for name, about in ("a", "slow queries"), ("b", "painting"):
        client.post("/v1/agents:register", {"agent_id": name, "profile": {"text": about}}, expect=200)
    nutrient = {"summary": "s", "text": "slow queries", "source_agent_id": "b", "ttl_sec": 3600, "top_k": 1, "max_hops": 1}
    pull = "/v1/agents/a/nutrients"
    short = client.post("/v1/nutrients:broadcast", dict(nutrient, ttl_sec=60), expect=200).json()
    kept = client.post("/v1/nutrients:broadcast", nutrient, expect=200).json()
    assert len(client.get(pull + "?lease_ms=600000", expect=200).json()["nutrients"]) == 2

    set_clock(node, HOUR // 2)
    assert hours_ahead(client) == 0.5
    wait_until(lambda: client.get(f"/v1/traces/{short['trace_id']}").json()["deliveries"][0]["state"] == "expired",
               "the end of a nutrient whose time is up")
    assert client.get(f"/v1/traces/{kept['trace_id']}", expect=200).json()["deliveries"][0]["state"] == "leased"
    assert client.get(pull, expect=200).json()["nutrients"] == []

    got = []
    waiting = threading.Thread(target=lambda: got.extend(
        Client(node.port, key).get(pull + "?wait_ms=20000", expect=200).json()["nutrients"]))
    waiting.start()
    set_clock(node, HOUR)
    set_clock(node, 0)  # corrected: the node's own clock goes on from where it was
    assert hours_ahead(client) >= 0.5
    assert waiting.is_alive()
    client.post("/v1/nutrients:broadcast", nutrient, expect=200)
    waiting.join(20)
    assert len(got) == 1

    node.stop()  # the next start goes by the clock as it is now
    node.start()
    client = Client(node.port, key)
    assert hours_ahead(client) == 0
    sent = client.post("/v1/nutrients:broadcast", nutrient, expect=200).json()
    pulled = client.get(pull, expect=200).json()["nutrients"]
    assert pulled[-1]["nutrient_id"] == sent["nutrient_id"]
    assert [n["sequence"] for n in pulled] == sorted(n["sequence"] for n in pulled)
