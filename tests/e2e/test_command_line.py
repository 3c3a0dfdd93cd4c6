# SPDX-License-Identifier: MIT
"""Journeys with the command line alone: a nutrient there and back, a script that listens, a backup put in
place, the demo, a measurement."""
import http.client
import http.server
import json
import subprocess
import threading

import pytest

from harness import CALL_S, Node, Qmn, free_port, read_terminal, wait_until


def test_a_nutrient_goes_round(qmn, acme):
    sent = qmn.json("broadcast", "slow", "postgres", "query", "--agent", "shop", "--hint", "sql", *acme)
    assert sent["routed_to"] == ["dba"]
    shown = qmn("inbox", "dba", *acme)
    assert "slow postgres query" in shown and "hints: sql" in shown
    item = sent["nutrient_id"]
    assert "dba answered" in qmn("respond", item, "add an index", "--agent", "dba", "--quality", "0.9", *acme)
    assert qmn("ack", "dba", item, *acme) == "1 acknowledged\n"
    assert "not in this inbox" in qmn("ack", "dba", item, *acme)
    found = qmn("collect", "why is the query slow", "--agent", "shop", *acme)
    assert "add an index" in found
    moved = qmn("outcome", sent["trace_id"], "1", "--agent", "shop", *acme)
    assert "shop → dba" in moved and "0.5780" in moved
    trace = qmn("trace", sent["trace_id"], *acme)
    assert "Rated 1.00 by shop" in trace and "acked" in trace
    assert "dba" in qmn("edges", "of", "shop", *acme)
    assert "0.5780" in qmn("edges", "top", *acme)
    assert qmn("edges", "stats", *acme).startswith("1 edges") or "edges, weight" in qmn("edges", "stats", *acme)


def state_of(qmn, sent, *words):
    return qmn.json("trace", sent["trace_id"], *words)["deliveries"][0]["state"]


def test_follow_prints_what_arrives_and_acknowledges(qmn, acme):
    words = [qmn.program, "inbox", "dba", "--follow", "--ack", "--json", *acme]
    with subprocess.Popen(words, env=qmn.env(), stdout=subprocess.PIPE, text=True) as following:
        threading.Timer(30, following.kill).start()
        sent = qmn.json("broadcast", "follow this postgres query", "--agent", "shop", *acme)
        for line in following.stdout:
            if json.loads(line)["nutrient_id"] == sent["nutrient_id"]:
                break
        else:
            pytest.fail("the nutrient did not arrive")
        wait_until(lambda: state_of(qmn, sent, *acme) == "acked", "the acknowledgement")
        following.kill()


def test_follow_outlives_the_node(binary):
    where = (f"127.0.0.1:{free_port()}",)
    node = Node(binary, "--epsilon", "0")
    try:
        node.start(where)
        qmn = Qmn(node)
        qmn("agent", "register", "dba", "--about", "slow postgres queries")
        words = [qmn.program, "inbox", "dba", "--follow", "--ack", "--json"]
        with subprocess.Popen(words, env=qmn.env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True) as following:
            guard = threading.Timer(CALL_S, following.kill)
            guard.start()
            try:
                for kill in (True, False, False):
                    sent = qmn.json("broadcast", "another slow postgres query")
                    got = json.loads(following.stdout.readline())
                    assert got["nutrient_id"] == sent["nutrient_id"]  # once each, when acknowledged
                    wait_until(lambda: state_of(qmn, sent) == "acked", "the acknowledgement")
                    node.stop(kill=kill)
                    assert "listening again" in following.stderr.readline()
                    node.start(where)
                qmn("agent", "suspend", "dba")
                node.stop()
                node.start(where)
                following.wait(CALL_S)
            finally:
                guard.cancel()
                following.kill()
    finally:
        node.remove()


def test_follow_of_a_node_that_is_not_there_fails_at_once(qmn):
    done = qmn.run("inbox", "dba", "--follow", "--url", f"http://127.0.0.1:{free_port()}")
    assert done.returncode == 3 and "Is the node running?" in done.stderr


def test_a_backup_brings_back_what_was_there(binary):
    node = Node(binary, "--epsilon", "0")
    try:
        node.start()
        qmn = Qmn(node)
        data = node.data / "data"
        qmn("tenant", "create", "shop")
        qmn("agent", "register", "dba", "--about", "slow queries", "--tenant", "shop")
        kept = qmn.json("memory", "store", "orders lacks an index", "--agent", "dba", "--tenant", "shop")["id"]
        qmn("backup", "before.db")
        lost = qmn.json("memory", "store", "written after it", "--agent", "dba", "--tenant", "shop")["id"]
        running = qmn.run("restore", data / "backups/before.db", "--data-dir", data)
        assert running.returncode == 5 and "another node" in running.stderr, running.stderr
        node.stop()
        assert "the old data is kept" in qmn("restore", data / "backups/before.db", "--data-dir", data)
        node.start()
        assert "lacks an index" in qmn("memory", "show", kept, "--tenant", "shop")
        assert qmn.run("memory", "show", lost, "--tenant", "shop").returncode == 5
    finally:
        node.remove()


def test_demo_carries_a_first_exchange(qmn):
    shown = qmn("demo")
    lines = shown.splitlines()
    assert len(lines) < 45 and max(map(len, lines)) <= 100
    # The message comes first, and what a score is stands below the scores.
    assert "asked first" in lines[2] and shown.index("SCORE") < shown.index("score = similarity")
    for heading in ("where nutrients go", "oncall collects", "edges moved", "the same nutrients again"):
        assert heading in shown
    # What it says is what the node knows.
    agents = qmn.json("agent", "list", "--tenant", "demo")
    assert len(agents) == 12
    trace = shown.split("qmn trace ")[1].split()[0]
    assert qmn.json("trace", trace, "--tenant", "demo")["outcomes"]
    weights = {(e["src"], e["dst"]): e["weight"] for e in qmn.json("edges", "top", "--limit", "100", "--tenant", "demo")}
    moved = [line.split() for line in lines if line.startswith("   ") and "→" in line]
    assert moved
    for src, _, dst, _, _, new in moved:
        assert weights[src, dst] == pytest.approx(float(new), abs=0.001)
    # It learned: whoever knows is asked first more often than before.
    words = lines[2].replace(",", "").replace(":", "").split()
    assert int(words[words.index("first") + 1]) > int(words[words.index("before") + 1])


def test_demo_may_be_seen_again(qmn):
    assert qmn("demo", "--tenant", "mine").rstrip().endswith("--tenant mine")
    qmn("demo", "--once")
    once = qmn.run("demo", "--once")
    assert once.returncode == 0 and once.stdout == "" and "qmn demo" in once.stderr
    qmn("tenant", "delete", "demo", "--purge", "--yes")
    assert qmn("demo").rstrip().endswith("--tenant demo-2")
    assert qmn("demo").rstrip().endswith("--tenant demo-3")
    taken = qmn.run("demo", "--tenant", "mine")
    assert taken.returncode == 1 and "mine" in taken.stderr


def test_the_demo_fits_a_terminal_of_80_columns(qmn):
    screen = read_terminal([qmn.program, "demo", "--no-color"], qmn.env(TERM="xterm"), columns=80)
    assert max(len(line) for line in screen.splitlines() if "demo:" not in line) <= 80


def test_bench_measures_a_small_run(qmn, own):
    words = ("bench", "broadcast", "broadcast-b64", "collect", "collect-window", "outcomes", "--agents", "60", "--dim", "16",
             "--seconds", "0.5", "--connections", "4", "--rate", "100", "--json", "--pid", str(own.pid))
    rows = [json.loads(line) for line in qmn(*words).splitlines()]
    assert [r["scenario"] for r in rows] == ["broadcast", "broadcast-b64", "collect", "collect-window", "outcomes"]
    assert [(r["connections"], r["offered"]) for r in rows] == [(4, 100)] * len(rows)
    assert all(r["failed"] == 0 and r["requests"] > 0 for r in rows), rows


def test_bench_measures_memories_and_their_recall(qmn, own):
    words = ("--agents", "5", "--dim", "16", "--memories", "300", "--seconds", "0.2", "--connections", "2", "--json")
    rows = [json.loads(line) for line in qmn("bench", "store", "store-batch", *words).splitlines()]
    assert [(r["scenario"], r["rows"], r["failed"]) for r in rows] == [("store", 1, 0), ("store-batch", 64, 0)]
    found, recall = [json.loads(line) for line in qmn("bench", "search", *words).splitlines()]
    assert found["scenario"] == "search" and found["requests"] > 0 and found["failed"] == 0
    assert recall["memories"] == 300 and recall["recall"] > 0.99


class BusyDoor(http.server.BaseHTTPRequestHandler):
    """In front of a node: refuses its first few registrations, as a busy node does."""
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave together

    def do_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.endswith("agents:register") and self.server.refusals:
            self.server.refusals -= 1
            status, kind, answer = 503, "application/problem+json", b'{"code":"overloaded"}'
        else:
            passed = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "content-length")}
            inside = http.client.HTTPConnection("127.0.0.1", self.server.node_port, timeout=CALL_S)
            inside.request(self.command, self.path, body or None, passed)
            got = inside.getresponse()
            status, kind, answer = got.status, got.headers.get("Content-Type", "text/plain"), got.read()
            inside.close()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_DELETE = do_any

    def log_message(self, *_):
        pass


def test_bench_asks_again_while_it_prepares(qmn, own):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), BusyDoor) as door:
        door.node_port, door.refusals = own.port, 3
        threading.Thread(target=door.serve_forever, daemon=True).start()
        try:
            row = qmn.json("bench", "broadcast", "--agents", "60", "--dim", "16", "--seconds", "0.2", "--connections", "4",
                           "--url", f"http://127.0.0.1:{door.server_port}")
        finally:
            door.shutdown()
    assert door.refusals == 0 and row["requests"] > 0 and row["failed"] == 0, row


def test_bench_accounts_for_every_request_of_an_overload(qmn):
    rows = [json.loads(line) for line in qmn("bench", "overload", "--agents", "60", "--dim", "16", "--seconds", "0.5",
                                             "--connections", "4", "--rate", "200", "--json").splitlines()]
    *passes, after = rows
    assert [(r["times"], r["offered"]) for r in passes] == [(1, 200), (2, 400), (5, 1000)]
    for r in passes:
        assert r["due"] == r["offered"] / 2 == r["served"] + r["refused"] + r["failed"] + r["unsent"], r
        assert r["served"] > 0 and r["health_checks"] > 0 and r["health_failed"] == 0, r
    assert after["scenario"] == "capacity-after" and after["per_second"] > 0
