# SPDX-License-Identifier: MIT
"""tools/node.sh, which stands behind `make up` and `make down`, in a checkout of its own with a
stand-in for the node."""
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
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
    assert Path("/proc/self/cmdline").read_text().split("\0")[0] in done.stderr  # and what that process is
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


def test_a_second_up_says_where_the_node_that_runs_keeps_its_things(checkout):
    checkout.run("up", QMN_DATA_DIR="var/first")
    done = checkout.run("up", port=free_port(), QMN_DATA_DIR="var/second")
    assert done.returncode == 0, done.stderr
    assert f"started with QMN_DATA_DIR=var/first QMN_LISTEN=127.0.0.1:{checkout.port};" in done.stdout
    assert "admin key  var/first/admin-key" in done.stdout
    assert f"node       http://127.0.0.1:{checkout.port}" in done.stdout
    assert "second/admin-key" not in done.stdout
    for port in (checkout.port, free_port()):
        assert f"http://127.0.0.1:{checkout.port}, ready: yes" in checkout.run("status", port=port).stdout
        said = checkout.run("demo", port=port, QMN_DATA_DIR="var/second").stdout
        assert f"demo over http://127.0.0.1:{checkout.port} with the key in var/first" in said


@pytest.fixture(name="shared")
def fixture_shared(fake):
    """A checkout of user `games`, whom sudo makes root."""
    if os.geteuid() != 0:
        pytest.skip("only root can act as somebody else")
    folder = Path(tempfile.mkdtemp(prefix="qmn-test-"))
    folder.chmod(0o755)
    c = Checkout(folder / "checkout", fake)
    games = pwd.getpwnam("games")
    c.sudo = {"SUDO_USER": "games", "SUDO_UID": str(games.pw_uid), "SUDO_GID": str(games.pw_gid)}
    for path in (c.path, *c.path.rglob("*")):
        os.chown(path, games.pw_uid, games.pw_gid)
    yield c
    c.run("down")
    shutil.rmtree(folder, ignore_errors=True)


def as_games(checkout, verb):
    return subprocess.run(["setpriv", "--reuid=games", "--regid=games", "--clear-groups",
                           checkout.path / "tools/node.sh", verb], capture_output=True, text=True,
                          check=False, timeout=60, cwd="/")


def test_up_under_sudo_leaves_the_key_with_who_said_sudo(shared):
    done = shared.run("up", **shared.sudo)
    assert done.returncode == 0, done.stderr
    assert "admin key  var/admin-key\n" in done.stdout
    copy = (shared.path / "var/admin-key").stat()
    assert (copy.st_uid, copy.st_mode & 0o777) == (int(shared.sudo["SUDO_UID"]), 0o600)
    assert (shared.path / "var/admin-key").read_text() == "the key\n"
    assert (shared.path / "var/data/admin-key").stat().st_uid == 0
    for name in ("var", "var/qmnd.log", "build", "build/qmn"):
        assert (shared.path / name).stat().st_uid == int(shared.sudo["SUDO_UID"]), name


def test_down_by_somebody_who_may_not_says_who_may(shared):
    shared.run("up", **shared.sudo)
    pid = shared.pid
    done = as_games(shared, "down")
    assert done.returncode == 1
    assert f"process {pid} runs as user root" in done.stderr and "sudo make down" in done.stderr
    assert "line" not in done.stderr
    assert shared.pid == pid and Path(f"/proc/{pid}").exists()


def test_up_by_somebody_else_says_that_the_key_is_not_theirs(shared):
    shared.run("up")
    done = as_games(shared, "up")
    assert done.returncode == 0, done.stderr
    assert "admin key  var/data/admin-key   (not yours to read: sudo make up" in done.stdout


def test_demo_and_logs_need_a_node(checkout):
    assert "make up" in checkout.run("demo").stderr
    assert "make up" in checkout.run("logs").stderr
