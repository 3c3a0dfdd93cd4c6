# SPDX-License-Identifier: MIT
"""tools/node.sh, which stands behind `make up` and `make down`, in a checkout of its own with a
stand-in for the node."""
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture(scope="module", name="fake")
def fixture_fake(tmp_path_factory):
    program = tmp_path_factory.mktemp("fake") / "qmnd"
    subprocess.run(["cc", "-D_GNU_SOURCE", "-Wall", "-Werror", "-o", program,
                    ROOT / "tests/tools/fake_qmnd.c"], check=True)
    return program


class Checkout:
    def __init__(self, path, fake):
        self.path, self.port = path, free_port()
        for folder in ("tools", "build"):
            (path / folder).mkdir(parents=True)
        shutil.copy(ROOT / "tools/node.sh", path / "tools")
        for name in ("qmnd", "qmn"):
            shutil.copy(fake, path / "build" / name)

    def run(self, verb, port=None, **environment):
        return subprocess.run(
            [self.path / "tools/node.sh", verb], capture_output=True, text=True, check=False,
            timeout=60, cwd="/", env={**os.environ, "QMN_READY_SECONDS": "2", "QMN_STOP_SECONDS": "1",
                             "QMN_LISTEN": f"127.0.0.1:{port or self.port}", **environment})

    @property
    def pid(self):
        return int((self.path / "var/qmnd.pid").read_text())


def wait_gone(pid):
    """A killed process of ours may stay for an instant as a zombie of the container's first process."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


@pytest.fixture(name="checkout")
def fixture_checkout(tmp_path, fake):
    c = Checkout(tmp_path / "checkout", fake)
    yield c
    c.run("down")


def test_up_starts_carries_the_demo_and_says_where(checkout):
    done = checkout.run("up")
    assert done.returncode == 0, done.stderr
    assert f"demo over http://127.0.0.1:{checkout.port}" in done.stdout
    assert done.stdout.rstrip().splitlines()[-3].split() == ["node", f"http://127.0.0.1:{checkout.port}"]
    assert "var/data/admin-key" in done.stdout
    assert os.getsid(checkout.pid) != os.getsid(0)  # outlives the terminal
    assert checkout.run("status").returncode == 0


def test_a_second_up_reuses_the_node_and_repeats_no_demo(checkout):
    checkout.run("up")
    first = checkout.pid
    done = checkout.run("up")
    assert done.returncode == 0
    assert checkout.pid == first
    assert "demo over" not in done.stdout and "running already" in done.stdout


def test_a_rebuilt_program_is_still_ours(checkout, fake):
    checkout.run("up")
    first = checkout.pid
    (checkout.path / "build/qmnd").unlink()
    shutil.copy(fake, checkout.path / "build/qmnd")
    assert "running already" in checkout.run("up").stdout
    assert "stopped" in checkout.run("down").stdout
    assert wait_gone(first)


def test_down_stops_and_may_be_repeated(checkout):
    checkout.run("up")
    pid = checkout.pid
    assert "node stopped" in checkout.run("down").stdout
    assert wait_gone(pid)
    again = checkout.run("down")
    assert again.returncode == 0 and "no node" in again.stdout
    assert checkout.run("status").returncode == 1


def test_a_node_that_will_not_stop_is_killed_and_that_is_said(checkout):
    checkout.run("up", FAKE="stuck")
    pid = checkout.pid
    done = checkout.run("down")
    assert done.returncode == 0 and "was killed" in done.stdout
    assert wait_gone(pid)


def test_a_stale_pid_file_never_kills_a_stranger(checkout):
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        (checkout.path / "var").mkdir()
        (checkout.path / "var/qmnd.pid").write_text(f"{stranger.pid}\n")
        assert "no node" in checkout.run("down").stdout
        assert stranger.poll() is None
        assert checkout.run("up").returncode == 0
        assert checkout.pid != stranger.pid
    finally:
        stranger.send_signal(signal.SIGKILL)
        stranger.wait()


def test_a_busy_port_says_who_holds_it(checkout):
    with socket.socket() as s:
        s.bind(("127.0.0.1", checkout.port))
        s.listen()
        done = checkout.run("up")
    assert done.returncode == 1
    assert f"port {checkout.port} is taken by process {os.getpid()}" in done.stderr
    assert "pytest" in done.stderr
    assert not (checkout.path / "var/qmnd.pid").exists()


def test_a_node_that_dies_shows_its_last_words(checkout):
    done = checkout.run("up", FAKE="die")
    assert done.returncode == 1
    assert "ended before it was ready" in done.stderr and "disk is on fire" in done.stderr
    assert "demo over" not in done.stdout


def test_a_node_that_never_becomes_ready_is_reported(checkout):
    done = checkout.run("up", FAKE="unready")
    assert done.returncode == 1
    assert "not ready after 2 s" in done.stderr and "503" in done.stderr
    assert "event=\"listening\"" in done.stderr


def test_demo_and_logs_need_a_node(checkout):
    assert "make up" in checkout.run("demo").stderr
    assert "make up" in checkout.run("logs").stderr
