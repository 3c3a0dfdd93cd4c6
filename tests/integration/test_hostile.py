# SPDX-License-Identifier: MIT
"""The table of hostile inputs (hostile.py): each row its documented answer, memory flat, and the node
as well afterwards as before."""
import json
import time

import pytest

from conftest import problem
from harness import Wire
from hostile import CALLS, SYNTAX, VALUES, WIRES

BROADCAST = "/v1/nutrients:broadcast"


@pytest.fixture(scope="module")
def victim(make_tenant):
    tenant = make_tenant()
    tenant.agent("a")
    return tenant


@pytest.fixture(autouse=True)
def still_well(node, victim):
    yield
    victim.client.get("/v1/agents", expect=200)


def send_json(tenant, row):
    raw = row.text if isinstance(row.text, bytes) else row.text.encode()
    return tenant.client.call("POST", BROADCAST, raw=raw)


def send_call(tenant, row):
    body = row.body if isinstance(row.body, (bytes, type(None))) else json.dumps(row.body).encode()
    return tenant.client.call(row.method, row.path, raw=body, headers=row.headers)


def send_wire(tenant, row):
    """The answer, and whether the connection was left usable."""
    data = row.data.replace("{key}", tenant.key).encode("latin-1")
    with Wire(tenant.client.port) as wire:
        wire.send(data)
        answer = wire.answer()
        if answer and answer.headers.get("connection") == "close":
            assert wire.answer() is None  # nothing of what followed was taken for a request
        return answer


def check(row, answer):
    problem(answer, row.status, row.code, row.field)


def name_of(row):
    return row.name


@pytest.mark.parametrize("row", SYNTAX, ids=name_of)
def test_json_that_is_none(victim, row):
    check(row, send_json(victim, row))


@pytest.mark.parametrize("row", VALUES, ids=name_of)
def test_values_that_do_not_fit(victim, row):
    check(row, send_json(victim, row))


@pytest.mark.parametrize("row", CALLS, ids=name_of)
def test_calls_that_do_not_fit(victim, row):
    check(row, send_call(victim, row))


@pytest.mark.parametrize("row", WIRES, ids=name_of)
def test_bytes_that_are_no_request(victim, row):
    problem(send_wire(victim, row), row.status, row.code)


def test_the_table_is_long_enough():
    rows = SYNTAX + VALUES + CALLS + WIRES
    assert len(rows) >= 200
    assert len({r.name for r in rows}) == len(rows)


# ---- bytes that come slowly, or not at all ----

HEAD = "POST /v1/tasks HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\nContent-Length: 2000\r\n\r\n"


def test_a_slow_head_is_cut_off(victim):
    """One byte a second: refused after ten seconds, however diligent the sender."""
    with Wire(victim.client.port) as wire:
        began = time.monotonic()
        for byte in b"GET /livez HTTP/1.1\r\nX-Slow: " + b"x" * 100:
            if not wire.send(bytes([byte])) or wire.readable(1):
                break
        problem(wire.answer(), 408, "request_timeout")
        assert 8 < time.monotonic() - began < 20
        assert wire.answer() is None


def test_a_slow_body_is_cut_off(victim):
    """100 bytes a second, where 500 are expected after the first five seconds."""
    with Wire(victim.client.port) as wire:
        wire.send(HEAD.replace("{key}", victim.key).encode())
        began = time.monotonic()
        while time.monotonic() - began < 20:
            if not wire.send(b" " * 100) or wire.readable(1):
                break
        problem(wire.answer(), 408, "request_timeout")
        assert 4 < time.monotonic() - began < 15


def test_a_body_that_never_comes_is_not_waited_for_long(victim):
    with Wire(victim.client.port) as wire:
        wire.send(HEAD.replace("{key}", victim.key).encode())
        began = time.monotonic()
        problem(wire.answer(), 408, "request_timeout")
        assert time.monotonic() - began < 40


def test_a_body_without_a_key_is_not_waited_for(victim):
    """The answer comes at the head; nobody reads a stranger's megabyte."""
    with Wire(victim.client.port) as wire:
        began = time.monotonic()
        wire.send(HEAD.replace("X-API-Key: {key}\r\n", "").replace("2000", "1000000").encode())
        problem(wire.answer(), 401, "unauthenticated")
        assert time.monotonic() - began < 3


def test_half_a_request_and_a_hang_up_leave_nothing(node, victim):
    good = HEAD.replace("{key}", victim.key).encode()
    for cut in range(1, len(good), 7):
        with Wire(victim.client.port) as wire:
            wire.send(good[:cut])
    with Wire(victim.client.port) as wire:
        wire.send(good + b"x" * 100)


def test_pipelined_requests_are_answered_in_order(victim):
    one = f"GET /v1/agents HTTP/1.1\r\nHost: x\r\nX-API-Key: {victim.key}\r\nX-Request-Id: n{{}}\r\n\r\n"
    with Wire(victim.client.port) as wire:
        wire.send("".join(one.format(i) for i in range(20)).encode())
        for i in range(20):
            assert wire.answer().headers["x-request-id"] == f"n{i}"


def test_a_refusal_closes_before_what_is_smuggled_behind_it(victim):
    """Two readings of one message must not be two requests."""
    smuggled = f"DELETE /v1/agents/a HTTP/1.1\r\nHost: x\r\nX-API-Key: {victim.key}\r\n\r\n"
    for headers in ("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
                    "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
                    "Content-Length: 0\r\nContent-Length: 4\r\n",
                    "Transfer-Encoding: chunked, identity\r\n", "Transfer-Encoding:\x0bchunked\r\n"):
        with Wire(victim.client.port) as wire:
            wire.send((f"POST /v1/edges:decay HTTP/1.1\r\nHost: x\r\nX-API-Key: {victim.key}\r\n{headers}\r\n"
                       f"0\r\n\r\n{smuggled}").encode())
            assert wire.answer().status in (400, 501)
            assert wire.answer() is None
    assert victim.client.get("/v1/agents/a", expect=200).json()["status"] == "active"


# ---- memory ----

def all_rows(victim):
    for row in SYNTAX + VALUES:
        send_json(victim, row)
    for row in CALLS:
        send_call(victim, row)
    for row in WIRES:
        send_wire(victim, row)
    return len(SYNTAX) + len(VALUES) + len(CALLS) + len(WIRES)


def test_memory_is_flat(node, victim):
    """Once every buffer has been seen: less than 128 bytes a request.  The least that a request could leave behind
    is the state of its connection, some hundreds; an allocator that settles is below 50."""
    if node.sanitized:
        pytest.skip("a sanitizer keeps freed memory on purpose")
    for _ in range(4):
        all_rows(victim)
    before, sent = node.rss_bytes(), 0
    while sent < 6000:
        sent += all_rows(victim)
    grown = node.rss_bytes() - before
    assert grown < 128 * sent, f"{grown} bytes in {sent} requests"
