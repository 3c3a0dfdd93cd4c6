# SPDX-License-Identifier: MIT
"""Snapshots of an index, with the power cut at each write, sync and change of a name, and killed at any time: a start
finds the old one or the new one, never one that is damaged, and its index says what the store says.
"""

import os
import random
import re
import shutil
import subprocess

import pytest

from crashlab import CUT_STATUS, clear_attic, discard, scale, scratch, under_powercut

DRIVER = os.environ["QMN_SNAPSHOT_DRIVER"]
OPERATIONS_MAX = 500  # of a few snapshots; they make about fifty


@pytest.fixture
def lab():
    path = scratch()
    yield path
    discard(path)
    clear_attic(path + "/index")


def fresh(lab):
    shutil.rmtree(lab, ignore_errors=True)
    shutil.rmtree(lab + "/index.attic", ignore_errors=True)
    os.makedirs(lab + "/index")


def verify(lab):
    """How many snapshots were loaded, and refused."""
    done = subprocess.run([DRIVER, "verify", lab], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"loaded (\d+) refused (\d+)", done.stdout)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def taken(output):
    return output.count("S ")


def test_power_cut_anywhere_in_snapshots(lab):
    for at in range(1, OPERATIONS_MAX):
        fresh(lab)
        env = under_powercut(lab + "/index", PC_AT=at, PC_SEED=at, PC_STRICT=at % 2)
        run = subprocess.run([DRIVER, "run", lab], env=env, capture_output=True, text=True, timeout=60)
        clear_attic(lab + "/index")
        assert run.returncode in (0, CUT_STATUS), run.stdout + run.stderr
        loaded, refused = verify(lab)
        assert not refused, at
        assert loaded == 1 or not taken(run.stdout), at
        if run.returncode == 0:
            assert at > 30
            return
    raise AssertionError("there is no end to it")


def test_kill_9_at_any_time(lab):
    rng = random.Random(6)
    for _ in range(scale(12)):
        fresh(lab)
        with subprocess.Popen([DRIVER, "run", lab], stdout=subprocess.PIPE, text=True) as run:
            said = run.stdout.readline()  # the first one is there
            try:
                run.wait(rng.uniform(0, 0.01))
            except subprocess.TimeoutExpired:
                run.kill()
        loaded, refused = verify(lab)
        assert (loaded, refused) == (1, 0), said
