# SPDX-License-Identifier: MIT
"""A node under test and a client for it: standard library only, every wait bounded."""
import fcntl
import http.client
import json
import math
import os
import pty
import random
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import termios
import time
from pathlib import Path
from urllib.parse import quote

ROOT = Path(__file__).resolve().parents[1]
START_S = 60  # sanitized builds on a busy machine
STOP_S = 20
CALL_S = 60


def find_binary():
    """QMND (a file), QMN_BUILD (a build folder), else the newest build folder that has one."""
    named = os.environ.get("QMND")
    if named:
        return Path(named)
    folder = os.environ.get("QMN_BUILD")
    if folder:
        return Path(folder) / "qmnd"
    found = sorted(ROOT.glob("build*/qmnd"), key=lambda p: p.stat().st_mtime)
    return found[-1] if found else None


class Node:
    """One qmnd with a data directory of its own, gone with stop()."""

    def __init__(self, binary, *options, data=None, env=None):
        self.binary = binary
        self.options = options
        self.own_data = data is None
        # Started as root, qmnd becomes somebody else, who must be able to get there.
        self.data = Path(data or tempfile.mkdtemp(prefix="qmn-test-"))
        if self.own_data:
            self.data.chmod(0o755)
        self.log_path = self.data / "test.log"
        self.env = env or {}
        self.process = None
        self.ports = []
        self.log_from = 0

    def start(self, listen=("127.0.0.1:0",)):
        arguments = [str(self.binary), "--data-dir", str(self.data / "data")]
        for where in listen:
            arguments += ["--listen", where]
        env = clean_env(**self.env)
        self.log = open(self.log_path, "ab+")
        self.log_from = self.log_path.stat().st_size  # the ports of an earlier start stand before it
        self.process = subprocess.Popen(arguments + list(self.options), stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log, env=env,
                                        start_new_session=True)
        self._wait_ready(len(listen))
        return self

    def _wait_ready(self, listeners):
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"qmnd ended with {self.process.returncode}:\n{self.log_text()}")
            said = self.log_path.read_bytes()[self.log_from:].decode(errors="replace")
            self.ports = [int(p) for p in re.findall(r'url"?[=:]"?http://[^\s"]*?:(\d+)', said)]
            if len(self.ports) >= listeners and self._is_ready():
                return
            time.sleep(0.02)
        self.stop()
        raise RuntimeError(f"qmnd was not ready in {START_S} s:\n{self.log_text()}")

    def _is_ready(self):
        try:
            return Client(self.port).get("/readyz").status == 200
        except OSError:
            return False

    @property
    def port(self):
        return self.ports[0]

    @property
    def pid(self):
        return self.process.pid

    def log_text(self):
        return self.log_path.read_text(errors="replace")

    def rss_bytes(self):
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        return 0

    @property
    def sanitized(self):
        data = self.binary.read_bytes()
        return b"__asan_init" in data or b"__tsan_init" in data

    def admin_key(self):
        return (self.data / "data" / "admin-key").read_text().strip()

    def stop(self, kill=False):
        """Asks, then insists.  Returns the exit status."""
        if not self.process:
            return None
        process, self.process = self.process, None
        if process.poll() is None:
            process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(STOP_S)
                raise RuntimeError(f"qmnd did not stop in {STOP_S} s:\n{self.log_text()}")
        self.log.close()
        return process.returncode

    def remove(self):
        self.stop()
        if self.own_data:
            shutil.rmtree(self.data, ignore_errors=True)


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = {k.lower(): v for k, v in headers}
        self.body = body

    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        """Of a problem document."""
        return self.json()["code"]

    @property
    def field(self):
        return self.json().get("field")

    def __repr__(self):
        return f"<{self.status} {self.body[:400]!r}>"


class Client:
    """Calls one port with one key.  `expect` turns any other status into a failure that shows both."""

    def __init__(self, port, key=None, tenant=None):
        self.port, self.key, self.tenant = port, key, tenant

    def as_tenant(self, tenant):
        return Client(self.port, self.key, tenant)

    def call(self, method, path, body=None, expect=None, headers=(), raw=None, timeout=CALL_S):
        sent = {}
        if self.key is not None:
            sent["X-API-Key"] = self.key
        if self.tenant is not None:
            sent["X-Tenant-ID"] = self.tenant
        if raw is None and body is not None:
            raw = json.dumps(body).encode()
        if raw is not None:
            sent["Content-Type"] = "application/json"
        sent.update(dict(headers))
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body=raw, headers=sent)
            got = connection.getresponse()
            answer = Answer(got.status, got.getheaders(), got.read())
        finally:
            connection.close()
        if expect is not None:
            assert answer.status == expect, f"{method} {path}: {answer}"
        return answer

    def get(self, path, expect=None, **more):
        return self.call("GET", path, expect=expect, **more)

    def post(self, path, body=None, expect=None, **more):
        return self.call("POST", path, body, expect, **more)


def wait_until(true, what, seconds=CALL_S):
    """Polls; the last value.  For what the node does in its own time."""
    deadline = time.monotonic() + seconds
    while True:
        value = true()
        if value:
            return value
        assert time.monotonic() < deadline, f"no {what} within {seconds} s"
        time.sleep(0.02)


def segment(text):
    """A path parameter."""
    return quote(text, safe="")


def vector(seed, dim=8):
    """A unit vector; the same for the same seed."""
    rng = random.Random(f"{seed}/{dim}")
    values = [rng.gauss(0, 1) for _ in range(dim)]
    length = math.sqrt(sum(v * v for v in values))
    return [v / length for v in values]


def near(base, seed, noise=0.1):
    """A unit vector close to `base`."""
    other = vector(seed, len(base))
    values = [b + noise * o for b, o in zip(base, other)]
    length = math.sqrt(sum(v * v for v in values))
    return [v / length for v in values]


class Wire:
    """A raw connection, for requests that no client library would send."""

    def __init__(self, port, timeout=CALL_S):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        """False when the node has closed already: it may answer and hang up in mid-request."""
        try:
            self.socket.sendall(data)
            return True
        except OSError:
            return False

    def _more(self):
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            data = b""
        self.buffer += data
        return bool(data)

    def answer(self):
        """The next answer, or None when the connection ends instead."""
        while b"\r\n\r\n" not in self.buffer:
            if not self._more():
                return None
        head, _, rest = self.buffer.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = [tuple(line.split(": ", 1)) for line in lines[1:] if ": " in line]
        length = int(dict((k.lower(), v) for k, v in headers).get("content-length", 0))
        while len(rest) < length:
            self.buffer = b""
            if not self._more():
                return None
            rest += self.buffer
        self.buffer = rest[length:]
        return Answer(int(lines[0].split()[1]), headers, rest[:length])

    def closed(self):
        """True once the node has closed; waits for it."""
        while self._more():
            pass
        return True

    def readable(self, seconds):
        return bool(select.select([self.socket], [], [], seconds)[0])


def clean_env(**more):
    """The environment without what a developer set for a node of theirs."""
    return {**{k: v for k, v in os.environ.items() if not k.startswith("QMN_")}, **more}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Qmn:
    """The command line, against one node."""

    def __init__(self, node):
        self.node = node
        self.program = node.binary.parent / "qmn"

    def env(self, **more):
        return clean_env(**{"QMN_URL": f"http://127.0.0.1:{self.node.port}",
                            "QMN_API_KEY_FILE": str(self.node.data / "data" / "admin-key"), **more})

    def run(self, *words, text=None, env=None):
        return subprocess.run([self.program, *words], env=env or self.env(), input=text or "", text=True,
                              capture_output=True, timeout=2 * CALL_S)  # `bench` makes many calls

    def __call__(self, *words, text=None):
        done = self.run(*words, text=text)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def json(self, *words, **more):
        return json.loads(self(*words, "--json", **more))


def read_terminal(words, env, columns=100):
    """What a program shows on a terminal of that width."""
    main, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    with subprocess.Popen(words, env=env, stdin=side, stdout=side, stderr=side):
        os.close(side)
        data = b""
        while True:
            try:
                piece = os.read(main, 65536)
            except OSError:
                break
            if not piece:
                break
            data += piece
    os.close(main)
    return data.decode()
