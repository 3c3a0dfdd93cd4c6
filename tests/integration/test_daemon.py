# SPDX-License-Identifier: MIT
"""qmnd as a process: its files, its signals, its exit status, its configuration."""
import json
import os
import signal
import socket
import stat
import subprocess
import time

import pytest

from harness import Client, Node, wait_until


def run(binary, *arguments, env=None):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("QMN_") and k != "LOG_LEVEL"}
    return subprocess.run([binary, *arguments], env={**clean, **(env or {})}, capture_output=True, text=True,
                          timeout=60)


@pytest.fixture
def own(binary):
    node = Node(binary)
    yield node
    node.remove()


def start_again(node):
    """The harness finds the port in the log, so an earlier start must not stand there."""
    node.log_path.write_text("")
    return node.start()


def test_first_start_writes_a_private_admin_key_that_works(own):
    own.start()
    path = own.data / "data" / "admin-key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert path.read_text().endswith("\n")
    Client(own.port, own.admin_key()).get("/v1/tenants", expect=200)
    assert own.admin_key() not in own.log_text()


def test_a_second_start_keeps_the_key(own):
    own.start()
    key = own.admin_key()
    assert own.stop() == 0
    start_again(own)
    assert own.admin_key() == key
    Client(own.port, key).get("/v1/tenants", expect=200)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to drop")
def test_root_is_dropped(own):
    own.start()
    status = dict(line.split(":", 1) for line in open(f"/proc/{own.pid}/status") if ":" in line)
    assert all(uid != "0" for uid in status["Uid"].split())
    assert all(gid != "0" for gid in status["Gid"].split())
    assert status["Groups"].split() == []
    assert status["NoNewPrivs"].strip() == "1"
    assert int(status["CapEff"], 16) == 0
    assert (own.data / "data" / "qmn.db").stat().st_uid == int(status["Uid"].split()[0])


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to drop")
def test_a_data_directory_below_a_closed_one_serves(own):
    own.data.chmod(0o700)  # as a checkout below /root is
    own.start()
    client = Client(own.port, own.admin_key())
    client.post("/v1/tenants", {"id": "below", "name": "below"}, expect=201)
    client.post("/v1/node:backup", {}, expect=201)
    assert own.stop() == 0
    start_again(own)
    Client(own.port, own.admin_key()).get("/v1/tenants/below", expect=200)


def test_a_second_node_on_the_same_data_is_refused(own):
    own.start()
    second = run(own.binary, "--data-dir", own.data / "data", "--listen", "127.0.0.1:0")
    assert second.returncode == 5
    assert f"process {own.pid}" in second.stderr


def test_a_taken_port_is_named(own):
    own.start()
    second = run(own.binary, "--data-dir", own.data / "other", "--listen", f"127.0.0.1:{own.port}")
    assert second.returncode == 4
    assert str(own.port) in second.stderr
    assert not (own.data / "other").exists()


def test_a_directory_of_somebody_else_is_left_alone(own):
    place = own.data / "photos"
    place.mkdir()
    (place / "holiday.jpg").touch()
    refused = run(own.binary, "--data-dir", place, "--listen", "127.0.0.1:0")
    assert refused.returncode == 3
    assert "holiday.jpg" in refused.stderr
    assert [p.name for p in place.iterdir()] == ["holiday.jpg"]


def test_a_remembering_node_does_not_touch_a_database(own):
    own.start()
    key = own.admin_key()
    own.stop()
    refused = run(own.binary, "--data-dir", own.data / "data", "--listen", "127.0.0.1:0", "--store", "memory")
    assert refused.returncode == 3
    assert own.admin_key() == key


def test_the_memory_store_serves(binary):
    node = Node(binary, "--store", "memory")
    try:
        node.start()
        Client(node.port, node.admin_key()).get("/v1/tenants", expect=200)
        assert not (node.data / "data" / "qmn.db").exists()
        assert node.stop() == 0
    finally:
        node.remove()


def test_check_config_tells_where_each_value_comes_from(own):
    file = own.data / "qmn.conf"
    file.write_text("# a comment\nregion = file\nloops = 1\n")
    shown = run(own.binary, "--check-config", "--config", file, "--loops", "2", env={"QMN_EPSILON": "0.2"})
    assert shown.returncode == 0
    lines = {line.split(" = ")[0]: line for line in shown.stdout.splitlines()}
    assert lines["region"].endswith(f"{file}:2")
    assert lines["loops"].startswith("loops = 2 ") and lines["loops"].endswith("# flag")
    assert lines["epsilon"].endswith("# QMN_EPSILON")
    assert lines["store"].endswith("# default")
    assert not (own.data / "data").exists()


@pytest.mark.parametrize("arguments, says", [
    (["--lsiten", "127.0.0.1:1"], "did you mean --listen?"),
    (["--listen", "0.0.0.0:8022"], "--allow-plaintext"),
    (["--epsilon", "2"], "from 0 to 1"),
    (["--user", "no-such-user"], "no-such-user"),
])
def test_a_wrong_configuration_ends_with_2_and_says_what_is_right(binary, arguments, says):
    refused = run(binary, "--check-config", *arguments)
    assert refused.returncode == 2
    assert says in refused.stderr


def test_help_and_version(binary):
    assert "--data-dir DIR" in run(binary, "--help").stdout
    assert run(binary, "--version").stdout.startswith("qmnd ")


def test_terminate_drains_and_ends_with_0(own):
    own.start()
    own.process.send_signal(signal.SIGTERM)
    assert own.process.wait(20) == 0
    assert "stopped" in own.log_text()
    own.process = None


def test_a_waiting_pull_does_not_hold_up_the_end(own):
    own.start()
    client = Client(own.port, own.admin_key())
    client.post("/v1/agents:register", {"agent_id": "waiter"}, expect=200)
    with socket.create_connection(("127.0.0.1", own.port)) as waiting:
        waiting.sendall(f"GET /v1/agents/waiter/nutrients?wait_ms=20000 HTTP/1.1\r\nHost: q\r\n"
                        f"X-API-Key: {own.admin_key()}\r\n\r\n".encode())
        time.sleep(0.3)
        began = time.monotonic()
        assert own.stop() == 0
        assert time.monotonic() - began < 4


def test_a_second_signal_ends_at_once(own):
    own.options = ("--drain-timeout", "60")
    own.start()
    # A request that never ends keeps the drain waiting.
    with socket.create_connection(("127.0.0.1", own.port)) as stuck:
        stuck.sendall(b"POST /v1/tenants HTTP/1.1\r\nHost: q\r\nX-API-Key: " + own.admin_key().encode() +
                      b"\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
        time.sleep(0.3)
        own.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "stopping" in own.log_text(), "drain")
        time.sleep(0.5)
        assert own.process.poll() is None
        own.process.send_signal(signal.SIGTERM)
        assert own.process.wait(5) == 128 + signal.SIGTERM
        own.process = None


def test_hangup_reads_the_log_level_again(own):
    file = own.data / "qmn.conf"
    file.write_text("log-level = warn\n")
    own.data.chmod(0o755)
    file.chmod(0o644)
    own.options = ("--config", str(file), "--log-level", "info", "--log-format", "json")
    own.start()
    own.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "read the log level again" in own.log_text(), "reload")
    assert own.stop() == 0
    lines = own.log_text().splitlines()
    assert any('"now":"info"' in line for line in lines)
    for line in lines:  # a strict reader refuses a key that stands twice
        names = json.loads(line, object_pairs_hook=lambda pairs: [name for name, _ in pairs])
        assert len(names) == len(set(names)), line


def test_restore_brings_back_what_a_backup_held(own):
    own.start()
    client = Client(own.port, own.admin_key())
    client.post("/v1/tenants", {"id": "kept", "name": "kept"}, expect=201)
    backup = client.post("/v1/node:backup", {"path": "one.db"}, expect=201).json()
    client.post("/v1/tenants", {"id": "later", "name": "later"}, expect=201)
    file = own.data / "one.db"
    file.write_bytes((own.data / "data" / "backups" / "one.db").read_bytes())
    assert file.stat().st_size == backup["bytes"]

    running = run(own.binary, "--data-dir", own.data / "data", "--restore", file)
    assert running.returncode == 5, "a node has the directory open"
    own.stop()
    snapshot = own.data / "data" / "index" / "7"
    snapshot.mkdir(parents=True)
    (snapshot / "manifest").write_bytes(b"of the old data")
    done = run(own.binary, "--data-dir", own.data / "data", "--restore", file)
    assert done.returncode == 0, done.stderr
    assert "the old data is kept in" in done.stdout
    assert not (own.data / "data" / "index").exists()
    again = run(own.binary, "--data-dir", own.data / "data", "--restore", file)
    assert again.returncode == 0, again.stderr
    aside = list((own.data / "data").glob("replaced-*"))
    assert len(aside) == 2 and all((a / "qmn.db").exists() for a in aside)

    start_again(own)
    client = Client(own.port, own.admin_key())
    client.get("/v1/tenants/kept", expect=200)
    client.get("/v1/tenants/later", expect=404)


def key_file(node):
    return node.data / "data" / "admin-key"


def test_bootstrap_makes_the_first_key_before_the_first_start(own):
    data = own.data / "data"
    done = run(own.binary, "--data-dir", data, "--bootstrap")
    assert done.returncode == 0 and done.stdout == f"wrote the first admin key to {data}/admin-key\n", done.stderr
    key = own.admin_key()
    assert key_file(own).stat().st_mode & 0o777 == 0o600 and key not in done.stdout + done.stderr
    again = run(own.binary, "--data-dir", data, "--bootstrap")
    assert again.returncode == 1 and f"already: {data}/admin-key" in again.stderr
    own.start()
    assert own.admin_key() == key
    Client(own.port, key).get("/v1/tenants", expect=200)
    running = run(own.binary, "--data-dir", data, "--bootstrap")
    assert running.returncode == 5 and "DIR/admin-key" in running.stderr


def test_a_lost_admin_key_is_replaced_on_the_stopped_node(own):
    data = own.data / "data"
    absent = run(own.binary, "--data-dir", own.data / "typo", "--new-admin-key")
    assert absent.returncode == 2 and not (own.data / "typo").exists()
    own.start()
    old = own.admin_key()
    running = run(own.binary, "--data-dir", data, "--new-admin-key")
    assert running.returncode == 5 and "stop it first" in running.stderr
    own.stop()
    needless = run(own.binary, "--data-dir", data, "--new-admin-key")
    assert needless.returncode == 1 and "holds an admin key that works" in needless.stderr

    key_file(own).write_text("not a key\n")
    hint = run(own.binary, "--data-dir", data, "--bootstrap")
    assert hint.returncode == 1 and "--new-admin-key" in hint.stderr
    done = run(own.binary, "--data-dir", data, "--new-admin-key")
    assert done.returncode == 0 and "the other keys stay valid" in done.stdout, done.stderr
    start_again(own)
    new = own.admin_key()
    assert new != old
    client = Client(own.port, new)
    client.get("/v1/tenants", expect=200)
    Client(own.port, old).get("/v1/tenants", expect=200)  # until it is revoked
    made = [e for e in client.get("/v1/audit", expect=200).json()["entries"] if e["action"] == "key.create"]
    assert [e["detail"] for e in made] == [{"bootstrap": True}, {"recovery": True}]


def refuse_start(own, *says):
    done = run(own.binary, "--data-dir", own.data / "data", "--listen", "127.0.0.1:0")
    assert done.returncode == 3 and all(word in done.stderr for word in says), done.stderr
    assert "--new-pepper" in done.stderr


def test_keys_without_their_pepper_are_no_start(own):
    own.start()
    key = own.admin_key()
    own.stop()
    pepper = own.data / "data" / "pepper"
    kept = pepper.read_bytes()
    pepper.unlink()
    refuse_start(own, "has no file", "1 keys")
    assert not pepper.exists()
    pepper.write_bytes(bytes(reversed(kept)))
    pepper.chmod(0o600)
    for flag in ("--bootstrap", "--new-admin-key"):
        done = run(own.binary, "--data-dir", own.data / "data", flag)
        assert done.returncode == 3 and "--new-pepper" in done.stderr
    refuse_start(own, "not the one")
    pepper.write_bytes(kept)
    start_again(own)
    Client(own.port, key).get("/v1/tenants", expect=200)


def test_a_lost_pepper_ends_all_keys_when_the_operator_says_so(own):
    data = own.data / "data"
    own.start()
    old = own.admin_key()
    client = Client(own.port, old)
    client.post("/v1/tenants", {"id": "acme", "name": "acme"}, expect=201)
    member = client.post("/v1/keys", {"tenant_id": "acme"}, expect=201).json()
    own.stop()
    needless = run(own.binary, "--data-dir", data, "--new-pepper")
    assert needless.returncode == 1 and "they work" in needless.stderr
    kept = (data / "pepper").read_bytes()
    (data / "pepper").unlink()
    done = run(own.binary, "--data-dir", data, "--new-pepper")
    assert done.returncode == 0 and "have ended" in done.stdout, done.stderr
    start_again(own)
    new = own.admin_key()
    assert new != old
    for ended in (old, member["api_key"]):
        Client(own.port, ended).get("/v1/agents", expect=401)
    client = Client(own.port, new)
    assert [k["status"] for k in client.get("/v1/keys/acme", expect=200).json()] == ["revoked"]
    audit = client.get("/v1/audit", expect=200).json()["entries"]
    assert [e["detail"] for e in audit if e["target"] == "*"] == [{"new_pepper": True, "keys": 1}]
    own.stop()
    (data / "pepper").write_bytes(kept)  # from here on it is the foreign one
    refuse_start(own, "not the one")


def test_a_restore_elsewhere_leads_to_the_pepper(own):
    own.start()
    key = own.admin_key()
    Client(own.port, key).post("/v1/node:backup", {"path": "one.db"}, expect=201)
    own.stop()
    old, new = own.data / "data", own.data / "elsewhere"
    done = run(own.binary, "--data-dir", new, "--restore", old / "backups" / "one.db")
    assert done.returncode == 0 and f"{new}/pepper" in done.stdout and "--new-pepper" in done.stdout
    refused = run(own.binary, "--data-dir", new, "--listen", "127.0.0.1:0")
    assert refused.returncode == 3 and "has no file" in refused.stderr
    done = run(own.binary, "--data-dir", new, "--new-pepper")
    assert done.returncode == 0 and (new / "admin-key").exists(), done.stderr


def test_what_a_crash_left_is_kept_if_it_counts_and_removed_if_not(own):
    own.start()
    own.stop()
    left = own.data / "data" / ".admin-key.new"
    key_file(own).rename(left)  # committed, not named yet
    start_again(own)
    assert not left.exists()
    Client(own.port, own.admin_key()).get("/v1/tenants", expect=200)
    own.stop()
    key = own.admin_key()
    left.write_text(key[:-9] + "\n")  # written in part, never committed
    start_again(own)
    assert not left.exists() and own.admin_key() == key


def test_a_damaged_backup_is_refused_and_the_data_stays(own):
    own.start()
    client = Client(own.port, own.admin_key())
    client.post("/v1/tenants", {"id": "kept", "name": "kept"}, expect=201)
    client.post("/v1/node:backup", {"path": "one.db"}, expect=201)
    own.stop()
    data = bytearray((own.data / "data" / "backups" / "one.db").read_bytes())
    page = len(data) // 2 // 8192 * 8192  # a whole one: half of it may be free space, which nobody misses
    data[page:page + 8192] = b"\xff" * 8192
    file = own.data / "bad.db"
    file.write_bytes(data)
    refused = run(own.binary, "--data-dir", own.data / "data", "--restore", file)
    assert refused.returncode == 3
    start_again(own)
    Client(own.port, own.admin_key()).get("/v1/tenants/kept", expect=200)
