# SPDX-License-Identifier: MIT
"""What the crash tests share: a scratch directory and a program run under the power-cut simulator."""

import http.client
import json
import os
import re
import shutil
import subprocess
import tempfile
import time

CUT_STATUS = 99


def scratch():
    """A new directory, in memory where possible: the simulator, not the disk, decides what is kept."""
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    return tempfile.mkdtemp(prefix="qmn-crash-", dir=base)


def discard(path):
    for name in (path, path + ".attic", path + ".lift"):
        if os.path.isdir(name):
            shutil.rmtree(name)
        elif os.path.exists(name):
            os.unlink(name)


def under_powercut(watched, **settings):
    """The environment of a program whose files below `watched` lie on the simulated disk."""
    env = dict(os.environ, LD_PRELOAD=os.environ["QMN_POWERCUT"], PC_DIR=watched)
    env.update({name: str(value) for name, value in settings.items()})
    return env


def clear_attic(path):
    shutil.rmtree(path + ".attic", ignore_errors=True)


def scale(count):
    """`count` cycles, or the share of them that QMN_CRASH_SCALE asks for."""
    return max(1, int(count * float(os.environ.get("QMN_CRASH_SCALE", "1"))))


class Node:
    """One qmnd on a data directory, started as often as it dies."""

    READY_S = 30

    def __init__(self, lab, *options):
        self.lab, self.options = lab, options
        self.data = lab + "/data"
        self.log_path = lab + "/log"
        self.process, self.port, self.ready_s = None, 0, 0.0
        os.chmod(lab, 0o755)  # started as root, the node becomes somebody else

    def start(self, **powercut):
        """False if it died before it was ready."""
        clear_attic(self.data)
        env = under_powercut(self.data, **powercut) if powercut else dict(os.environ)
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [os.environ["QMND"], "--data-dir", self.data, "--listen", "127.0.0.1:0",
                 *self.options], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env)
        begun = time.monotonic()
        while self.process.poll() is None and time.monotonic() - begun < self.READY_S:
            said = self.log_text()
            if 'event="ready"' in said:
                self.ready_s = time.monotonic() - begun
                self.port = int(re.search(r"url=\"?http://127.0.0.1:(\d+)", said)[1])
                return True
            time.sleep(0.004)
        assert self.process.poll() is not None, "not ready in time:\n" + self.log_text()
        return False

    def log_text(self):
        with open(self.log_path, "rb") as log:
            return log.read().decode(errors="replace")

    def admin_key(self):
        with open(self.data + "/admin-key") as file:
            return file.read().strip()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def wait(self, seconds=60):
        return self.process.wait(seconds)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(20)


class Caller:
    """A client on one kept connection.  OSError and HTTPException: the node went away."""

    def __init__(self, node):
        self.connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=20)
        self.headers = {"X-API-Key": node.admin_key(), "Content-Type": "application/json"}

    def __call__(self, method, path, body=None):
        self.connection.request(method, path, json.dumps(body) if body is not None else None,
                                self.headers)
        answer = self.connection.getresponse()
        data = answer.read()
        return answer.status, json.loads(data) if data else None

    def close(self):
        self.connection.close()
