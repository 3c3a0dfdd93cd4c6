# SPDX-License-Identifier: MIT
"""The admin key that is made on the node, with the power cut at each write, sync and change of a name: at every
moment the operator has a key that works, or the next start makes one.
"""

import os
import shutil
import subprocess

import pytest

from crashlab import CUT_STATUS, Caller, Node, clear_attic, discard, scratch, under_powercut

OPERATIONS_MAX = 2000  # of a first start; it makes about a hundred


@pytest.fixture
def lab():
    path = scratch()
    os.chmod(path, 0o755)
    yield path
    discard(path)


def act(data, action, **powercut):
    """The exit status of qmnd --bootstrap or --new-admin-key."""
    clear_attic(data)
    env = under_powercut(data, **powercut) if powercut else dict(os.environ)
    done = subprocess.run([os.environ["QMND"], "--data-dir", data, action], env=env,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert done.returncode in (0, 1, CUT_STATUS), (done.returncode, done.stderr)
    return done.returncode


def admin_keys(node):
    """How many the store has, asked with the one the operator finds.  None is left of a file under way."""
    assert not os.path.exists(node.data + "/.admin-key.new")
    assert os.stat(node.data + "/admin-key").st_mode & 0o777 == 0o600
    call = Caller(node)
    status, keys = call("GET", "/v1/keys")
    call.close()
    assert status == 200, keys
    return len(keys)


def cut_everywhere(lab, prepare, run, look):
    """Cuts at the 1st, 2nd, ... operation until the program is through."""
    data = lab + "/data"
    for n in range(2, 2 * OPERATIONS_MAX):
        at, strict = n // 2, n % 2
        shutil.rmtree(data, ignore_errors=True)
        prepare(data)
        through = run(data, PC_AT=at, PC_SEED=n, PC_STRICT=strict)
        clear_attic(data)
        look(at)
        if through:
            return at
    raise AssertionError("there is no end to it")


@pytest.fixture
def node(lab):
    node = Node(lab)
    yield node
    node.stop()


def restarted(node):
    assert node.start(), node.log_text()
    count = admin_keys(node)
    node.kill()
    return count


def test_power_cut_anywhere_in_a_first_start(lab, node):
    def run(_, **powercut):
        ready = node.start(**powercut)
        node.kill()
        return ready

    def look(at):
        assert restarted(node) == 1, at

    assert cut_everywhere(lab, lambda data: None, run, look) > 20


def test_power_cut_anywhere_in_a_bootstrap(lab, node):
    def look(at):
        assert restarted(node) == 1, at
        assert act(node.data, "--bootstrap") == 1  # it has its key already

    assert cut_everywhere(lab, lambda data: None,
                          lambda data, **powercut: act(data, "--bootstrap", **powercut) == 0, look) > 20


def test_power_cut_anywhere_while_another_admin_key_is_made(lab, node):
    saved = lab + "/saved"
    assert act(saved, "--bootstrap") == 0
    os.unlink(saved + "/admin-key")  # lost

    def prepare(data):
        subprocess.run(["cp", "-a", saved, data], check=True)

    def look(at):
        if not os.path.exists(node.data + "/admin-key"):
            assert act(node.data, "--new-admin-key") == 0, at  # done again, or what was left is kept
        assert restarted(node) == 2, at

    assert cut_everywhere(lab, prepare,
                          lambda data, **powercut: act(data, "--new-admin-key", **powercut) == 0, look) > 5


def test_power_cut_anywhere_while_a_new_pepper_ends_the_keys(lab, node):
    saved = lab + "/saved"
    assert act(saved, "--bootstrap") == 0
    os.unlink(saved + "/pepper")  # lost

    def prepare(data):
        subprocess.run(["cp", "-a", saved, data], check=True)

    def look(at):
        assert act(node.data, "--new-pepper") in (0, 1), at  # done again, kept, or done already
        assert restarted(node) == 2, at  # the one that ended with it, and its successor

    assert cut_everywhere(lab, prepare,
                          lambda data, **powercut: act(data, "--new-pepper", **powercut) == 0, look) > 5
