# SPDX-License-Identifier: MIT
"""The whole node under load over HTTP, killed and cut from power.

Four clients, each with a source agent of its own, broadcast, rate, register agents and store
memories, and write down what was acknowledged.  After each death the node starts again and every
one of those is asked for; the call that was under way is repeated, and must give one effect.
"""

import http.client
import os
import random
import threading
import time

import pytest

from crashlab import CUT_STATUS, Caller, Node, discard, scale, scratch

CLIENTS = 4
CARRIED = 25  # cycles on one data directory
READY_S = 2.0
PATIENCE_S = int(os.environ.get("QMN_TEST_PATIENCE_MS", "20000")) / 1000
GONE = (OSError, http.client.HTTPException)


class Missing(AssertionError):
    """Something acknowledged is not there."""


class Client:
    """What one client did and was told."""

    def __init__(self, number, seed):
        self.name = f"client-{number}"
        self.random = random.Random(seed)
        self.serial = 0
        self.acked = []  # (kind, what), to be asked for after the next death
        self.agents = {}  # known edges: target -> (weight, outcomes)
        self.unrated = None  # trace of the last broadcast
        self.under_way = None  # (method, path, body) without an answer yet
        self.rating = None  # score of the outcome under way
        self.done = 0

    def ask(self, call, path, body):
        self.under_way = (path, body)
        status, answer = call("POST", path, body)
        assert status in (200, 201), (path, status, answer)
        self.under_way = None
        self.done += 1
        return answer

    def next_name(self, kind):
        self.serial += 1
        return f"{self.name}-{kind}-{self.serial}"

    def broadcast(self, call):
        body = {"id": self.next_name("nutrient"), "source_agent_id": self.name, "max_hops": 1,
                "summary": "slow queries", "text": "slow database queries " + self.name}
        self.took_broadcast(self.ask(call, "/v1/nutrients:broadcast", body))

    def took_broadcast(self, answer):
        self.acked.append(("trace", answer))
        self.unrated = answer["trace_id"] if answer["routed_to"] else None

    def outcome(self, call):
        trace, self.unrated = self.unrated, None
        self.rating = round(self.random.random(), 3)
        body = {"trace_id": trace, "outcome_score": self.rating}
        self.took_outcome(self.ask(call, "/v1/outcomes:record", body))

    def took_outcome(self, answer):
        for change in answer["weight_changes"]:
            assert change["src"] == self.name
            _, count = self.agents.get(change["dst"], (0.5, 0))
            self.agents[change["dst"]] = (change["new_weight"], count + 1)

    def register(self, call):
        body = {"agent_id": self.next_name("agent"), "capabilities": ["sql"]}
        self.acked.append(("agent", self.ask(call, "/v1/agents:register", body)["agent_id"]))

    def memory(self, call):
        body = {"agent_id": self.name, "kind": "insight", "content": {"n": self.serial},
                "text": "an index was missing " + self.next_name("memory")}
        self.acked.append(("memory", self.ask(call, "/v1/hyphal:store", body)))

    def load(self, node):
        """Until the node goes away."""
        try:
            call = Caller(node)
            while True:
                dice = self.random.random()
                if self.unrated and dice < 0.45:
                    self.outcome(call)
                elif dice < 0.85:
                    self.broadcast(call)
                elif dice < 0.92:
                    self.register(call)
                else:
                    self.memory(call)
        except GONE:
            pass

    # ---- after the death

    def require(self, call, path, check, what):
        status, answer = call("GET", path)
        if status == 404 or status == 200 and not check(answer):
            raise Missing(f"{what}: {status} {answer}")
        assert status == 200, (path, status, answer)

    def check_edges(self, call, pending):
        """The weights answered, or one outcome further where one was under way."""
        status, answer = call("GET", f"/v1/edges/{self.name}")
        if status == 404:
            raise Missing(f"the agent {self.name}")
        assert status == 200, (status, answer)
        stored = {edge["dst"]: edge for edge in answer["edges"]}
        for target, (weight, count) in self.agents.items():
            edge = stored.get(target)
            if not edge or edge["outcomes"] < count:
                raise Missing(f"an outcome on the edge to {target}: {edge}, {count} acknowledged")
            if edge["outcomes"] == count:
                assert abs(edge["weight"] - weight) < 1e-6, (edge, weight)
            else:
                assert pending and edge["outcomes"] == count + 1, (edge, count)

    def verify(self, node):
        call = Caller(node)
        for kind, what in self.acked:
            if kind == "trace":
                self.require(call, "/v1/traces/" + what["trace_id"],
                             lambda got: got["nutrient_id"] == what["nutrient_id"] and
                             [hop["agent_id"] for hop in got["hops"]] == what["routed_to"], what)
            elif kind == "agent":
                self.require(call, "/v1/agents/" + what, lambda got: got["agent_id"] == what, what)
            else:
                self.require(call, "/v1/hyphal/" + what["id"],
                             lambda got: got["content"] == what["content"], what)
        pending = self.under_way and self.under_way[0].endswith("outcomes:record")
        self.check_edges(call, pending)
        self.finish_under_way(call)
        call.close()
        self.acked = []

    def finish_under_way(self, call):
        """Asks again what got no answer: it happened once, whether or not it had happened."""
        if not self.under_way:
            return
        path, body = self.under_way
        answer = self.ask(call, path, body)
        if path.endswith("outcomes:record"):
            self.took_outcome(answer)
        elif path.endswith("broadcast"):
            assert answer["nutrient_id"] == body["id"]
            self.took_broadcast(answer)
        self.check_edges(call, False)


def in_parallel(clients, work):
    """Runs work(client) in threads; raises the first thing any of them raised."""
    raised = []

    def guarded(client):
        try:
            work(client)
        except BaseException as error:  # pylint: disable=broad-except
            raised.append(error)

    threads = [threading.Thread(target=guarded, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if raised:
        raise raised[0]


class Lab:
    """A data directory with its clients, carried over some deaths."""

    def __init__(self, seed, *options):
        self.path = scratch()
        self.node = Node(self.path, *options)
        self.clients = [Client(n, seed * 100 + n) for n in range(CLIENTS)]
        self.born = False

    def settle(self):
        """The agents everybody broadcasts from and to; also after a death in the middle of it."""
        call = Caller(self.node)
        for name in [client.name for client in self.clients] + ["dba", "shop", "web"]:
            status, answer = call("POST", "/v1/agents:register", {
                "agent_id": name, "profile": {"text": "slow database queries " + name}})
            assert status == 200, answer
        call.close()
        self.born = True

    def verify_and_load(self):
        """Returns when the node is gone."""
        if not self.born:
            self.settle()
        in_parallel(self.clients, lambda client: client.verify(self.node))
        in_parallel(self.clients, lambda client: client.load(self.node))

    @property
    def done(self):
        return sum(client.done for client in self.clients)

    def close(self):
        self.node.stop()
        discard(self.node.data)
        discard(self.path)


def start_quickly(node, **powercut):
    """Ready, and in time: the machine may be busy, so one slow start is measured again."""
    if not node.start(**powercut):
        return False
    if node.ready_s >= READY_S and not powercut:
        node.kill()
        assert node.start()
    assert node.ready_s < READY_S
    return True


def last_check(lab):
    """After the last death: everything is there, on a disk that keeps its power."""
    assert start_quickly(lab.node), lab.node.log_text()
    if lab.born:
        in_parallel(lab.clients, lambda client: client.verify(lab.node))


# Meson runs the parts of a test beside each other.
def parts(count):
    return pytest.mark.parametrize("part", range(1, count + 1), ids="part{}".format)


@parts(2)
def test_kill_9_under_load_loses_nothing(part):
    rng = random.Random(400 + part)
    cycles, done, lab = scale(100), 0, None
    try:
        for i in range(cycles):
            if i % CARRIED == 0:
                if lab:
                    last_check(lab)
                    done += lab.done
                    lab.close()
                lab = Lab(1000 * part + i)
            assert start_quickly(lab.node), lab.node.log_text()
            # the clock starts with the load: verification takes as long as it takes
            if not lab.born:
                lab.settle()
            in_parallel(lab.clients, lambda client: client.verify(lab.node))
            killer = threading.Timer(rng.uniform(0.005, 0.15), lab.node.kill)
            killer.start()
            in_parallel(lab.clients, lambda client: client.load(lab.node))
            killer.join()
        last_check(lab)
        done += lab.done
    finally:
        if lab:
            lab.close()
    assert done > cycles * 5  # it was under load


def cut_cycles(cycles, seed, *options):
    """Power cuts at random operations.  Returns the losses and what was acknowledged."""
    rng = random.Random(seed)
    losses, done, lab = [], 0, None
    try:
        for i in range(cycles):
            if i % CARRIED == 0 or not lab:
                if lab:
                    last_check(lab)
                    done += lab.done
                    lab.close()
                lab = Lab(seed + i, *options)
            at = rng.randint(1, 40) if i % 10 == 0 else rng.randint(40, 900)
            try:
                if start_quickly(lab.node, PC_AT=at, PC_SEED=rng.getrandbits(40), PC_STRICT=i % 2):
                    lab.verify_and_load()
            except GONE:
                pass  # the power went during verification or the first calls
            except Missing as error:
                losses.append(str(error))
                lab.close()
                lab = None
                continue
            status = lab.node.wait()
            assert status == CUT_STATUS, (status, lab.node.log_text())
        if lab:
            last_check(lab)
            done += lab.done
    except Missing as error:
        losses.append(str(error))
    finally:
        if lab:
            lab.close()
    return losses, done


@parts(4)
def test_power_cuts_under_load_lose_nothing(part):
    cycles = scale(75)
    losses, done = cut_cycles(cycles, 1000 * part)
    assert not losses, losses[:3]
    assert done > cycles * 5


def test_with_synchronous_normal_power_cuts_do_lose():
    """The negative control."""
    losses, _ = cut_cycles(12, 6, "--synchronous", "normal")
    assert len(losses) >= 2, losses


@pytest.fixture
def lab():
    one = Lab(7)
    yield one
    one.close()


def broadcast(call, number):
    return call("POST", "/v1/nutrients:broadcast", {
        "id": f"n-{number}", "source_agent_id": "shop", "max_hops": 1, "summary": "slow",
        "text": "slow database queries"})


def test_after_a_failed_sync_the_node_refuses_writes_and_serves_reads(lab):
    assert lab.node.start(PC_FSYNC_FAIL_AT=60, PC_SEED=1, PC_CUT_AT_EXIT=1)
    lab.settle()
    call, traces = Caller(lab.node), []
    for number in range(500):
        status, answer = broadcast(call, number)
        if status != 200:
            break
        traces.append(answer["trace_id"])
    assert (status, answer["code"]) == (503, "unavailable") and traces
    for again in range(20):
        assert broadcast(call, 1000 + again)[0] == 503
    assert call("GET", "/v1/traces/" + traces[0])[0] == 200
    call.close()
    lab.node.stop()  # and the power goes
    assert lab.node.start()
    call = Caller(lab.node)
    assert all(call("GET", "/v1/traces/" + trace)[0] == 200 for trace in traces)
    assert broadcast(call, 5000)[0] == 200
    call.close()


def test_a_full_disk_answers_507_serves_reads_and_recovers(lab):
    assert lab.node.start(PC_ENOSPC_AT_BYTES=2_000_000)
    lab.settle()
    call, traces = Caller(lab.node), []
    for number in range(5000):
        status, answer = broadcast(call, number)
        if status != 200:
            break
        traces.append(answer["trace_id"])
    assert (status, answer["code"]) == (507, "disk_full") and traces
    assert call("GET", "/v1/traces/" + traces[0])[0] == 200
    with open(lab.node.data + ".lift", "w"):
        pass
    deadline = time.monotonic() + PATIENCE_S
    while broadcast(call, 6000)[0] != 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert all(call("GET", "/v1/traces/" + trace)[0] == 200 for trace in traces)
    call.close()
    lab.node.kill()
    assert lab.node.start()
    call = Caller(lab.node)
    assert all(call("GET", "/v1/traces/" + trace)[0] == 200 for trace in traces)
    call.close()
    os.unlink(lab.node.data + ".lift")
