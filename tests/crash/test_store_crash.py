# SPDX-License-Identifier: MIT
"""The store under power cuts, kills, failed syncs and a full disk.

Each cycle runs the driver until it dies, then verifies the whole state: everything acknowledged is
there, nothing is there by halves.  A directory is carried from cycle to cycle, as a disk is.
"""

import os
import random
import subprocess
import threading
import time

import pytest

from crashlab import CUT_STATUS, clear_attic, discard, scale, scratch, under_powercut

DRIVER = os.environ["QMN_STORE_DRIVER"]
LOST, WRONG, UNREADABLE = 3, 4, 5


@pytest.fixture
def lab():
    path = scratch()
    yield path
    discard(path)


def acknowledged(output):
    """The last batch the driver said was committed; 0 if none."""
    lines = [line for line in output.decode().splitlines(True) if line.endswith("\n")]
    acks = [int(line.split()[1]) for line in lines if line.startswith("A ")]
    return acks[-1] if acks else 0


def verify(path, acked):
    """Exit status, the batch found, microseconds to open."""
    done = subprocess.run([DRIVER, "verify", path, str(acked)], capture_output=True, timeout=60)
    words = done.stdout.decode().split()
    found = int(words[1]) if len(words) > 5 and words[0] == "batches" else 0
    open_us = int(words[5]) if found or len(words) > 5 else 0
    return done.returncode, found, open_us, done.stdout.decode()


def cut_once(lab, mode, at, seed, strict):
    env = under_powercut(lab, PC_AT=at, PC_SEED=seed, PC_STRICT=int(strict))
    run = subprocess.run([DRIVER, "run", lab + "/s.db", mode, "0"], env=env, capture_output=True,
                         timeout=60)
    clear_attic(lab)
    return run.returncode, acknowledged(run.stdout), run.stdout


def cut_many(cuts, mode, seed):
    """Cuts the power `cuts` times; yields the verifier's status of each."""
    rng = random.Random(seed)
    lab, acked, statuses, slowest = None, 0, [], 0
    for i in range(cuts):
        if i % 15 == 0:
            if lab:
                discard(lab)
            lab, acked = scratch(), 0
        # few operations: the file's creation; many: commits and checkpoints
        at = rng.randint(1, 40) if i % 5 == 0 else rng.randint(1, 900)
        status, now, output = cut_once(lab, mode, at, rng.getrandbits(40), i % 2)
        assert status == CUT_STATUS, (status, output[-300:])
        acked = max(acked, now)
        result, found, open_us, said = verify(lab + "/s.db", acked)
        slowest = max(slowest, open_us)
        statuses.append((result, said))
        if result:
            discard(lab)
            lab, acked = scratch(), 0
        else:
            acked = found
    discard(lab)
    return statuses, slowest


@pytest.mark.parametrize("part", [1, 2], ids="part{}".format)  # Meson runs them beside each other
def test_power_cuts_lose_nothing_acknowledged(part):
    statuses, slowest = cut_many(scale(150), "full", seed=10 * part)
    bad = [s for s in statuses if s[0]]
    assert not bad, bad[:3]
    assert slowest < 2_000_000


def test_without_the_sync_of_each_commit_power_cuts_do_lose():
    """The negative control: a simulator that never loses anything proves nothing."""
    statuses, _ = cut_many(40, "normal", seed=2)
    lost = [s for s in statuses if s[0] == LOST]
    assert len(lost) >= 10, statuses
    assert all(s[0] in (0, LOST) for s in statuses), statuses  # lost, but never damaged


def kill_once(path, after_s):
    run = subprocess.Popen([DRIVER, "run", path, "full", "0"], stdout=subprocess.PIPE)
    killer = threading.Timer(after_s, run.kill)
    killer.start()
    output = run.stdout.read()
    run.wait(timeout=60)
    killer.cancel()
    run.stdout.close()
    return acknowledged(output)


def test_kill_9_loses_nothing_acknowledged(lab):
    rng = random.Random(3)
    acked, commits = 0, 0
    for i in range(scale(200)):
        if i % 25 == 0:
            discard(lab)
            os.mkdir(lab)
            acked = 0
        before = acked
        acked = max(acked, kill_once(lab + "/s.db", rng.uniform(0.002, 0.04)))
        commits += acked - before
        start = time.monotonic()
        result, found, open_us, said = verify(lab + "/s.db", acked)
        assert result == 0, said
        assert open_us < 2_000_000 and time.monotonic() - start < 10
        acked = found
    assert commits > scale(200)  # it was under load


def words(output, letter):
    """What followed `letter` on its lines, in order."""
    return [line.split()[1] for line in output.decode().splitlines() if line.startswith(letter + " ")]


@pytest.mark.parametrize("sync", [8, 9, 13, 20, 34, 55, 90, 150])
def test_after_a_failed_sync_no_commit_succeeds(lab, sync):
    env = under_powercut(lab, PC_FSYNC_FAIL_AT=sync, PC_SEED=sync, PC_CUT_AT_EXIT=1)
    run = subprocess.run([DRIVER, "run", lab + "/s.db", "full", "0"], env=env, capture_output=True,
                         timeout=60)
    lines = run.stdout.decode().splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("E "))
    assert not [line for line in lines[first:] if line.startswith("A ")]
    assert set(words(run.stdout, "E")) == {"unavailable"}
    assert set(words(run.stdout, "R")) == {"ok"}  # reads go on
    # then the power goes: what was acknowledged is there
    result, _, _, said = verify(lab + "/s.db", acknowledged(run.stdout))
    assert result == 0, said


@pytest.mark.parametrize("write", [25, 26, 27, 40, 60, 100, 101, 102, 400, 1000])
def test_after_a_failed_write_no_commit_succeeds(lab, write):
    env = under_powercut(lab, PC_WRITE_FAIL_AT=write, PC_SEED=write, PC_CUT_AT_EXIT=1)
    run = subprocess.run([DRIVER, "run", lab + "/s.db", "full", "0"], env=env, capture_output=True,
                         timeout=60)
    lines = run.stdout.decode().splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("E "))
    assert not [line for line in lines[first:] if line.startswith("A ")]
    assert set(words(run.stdout, "E")) == {"unavailable"}
    assert set(words(run.stdout, "R")) == {"ok"}
    result, _, _, said = verify(lab + "/s.db", acknowledged(run.stdout))
    assert result == 0, said


@pytest.mark.parametrize("sync", [1, 2, 3, 4, 5])
def test_a_failed_sync_at_birth_leaves_nothing_half_made(lab, sync):
    env = under_powercut(lab, PC_FSYNC_FAIL_AT=sync, PC_SEED=sync, PC_CUT_AT_EXIT=1)
    run = subprocess.run([DRIVER, "run", lab + "/s.db", "full", "3"], env=env, capture_output=True,
                         timeout=60)
    result, _, _, said = verify(lab + "/s.db", acknowledged(run.stdout))
    assert result == 0, said


def run_into_full_disk(lab, space):
    """Runs until the disk is full, gives it space again, and a little longer; returns the lines."""
    env = under_powercut(lab, PC_ENOSPC_AT_BYTES=space)
    run = subprocess.Popen([DRIVER, "run", lab + "/s.db", "full", "0"], env=env,
                           stdout=subprocess.PIPE)
    lines, lifted, after = [], False, 0
    for raw in run.stdout:
        line = raw.decode().strip()
        lines.append(line)
        if line == "R ok" and not lifted and len(lines) > 4:
            open(lab + ".lift", "w").close()
            lifted = True
        elif lifted and line.startswith("A "):
            after += 1
        if after == 40:
            break
    run.kill()
    run.stdout.read()
    run.stdout.close()
    run.wait(timeout=60)
    return lines, after


@pytest.mark.parametrize("space", [400_000, 512_345, 700_000, 1_000_001, 1_700_000, 2_600_000])
def test_a_full_disk_refuses_and_recovers_without_a_restart(lab, space):
    lines, after = run_into_full_disk(lab, space)
    output = "\n".join(lines).encode()
    assert after == 40, lines[-5:]
    assert set(words(output, "E")) == {"disk_full"}
    assert set(words(output, "R")) == {"ok"}
    os.unlink(lab + ".lift")
    result, _, _, said = verify(lab + "/s.db", int(words(output, "A")[-1]) + 0)
    assert result in (0, WRONG) and "damaged" not in said
    if result == WRONG:  # lines after the kill were not read: the state itself must be whole
        assert "more than one batch beyond" in said


def test_a_disk_too_small_for_the_file_is_a_clear_refusal(lab):
    env = under_powercut(lab, PC_ENOSPC_AT_BYTES=20_000)
    run = subprocess.run([DRIVER, "run", lab + "/s.db", "full", "1"], env=env, capture_output=True,
                         timeout=60)
    assert run.returncode == UNREADABLE
    assert b"no space left" in run.stdout
    after = subprocess.run([DRIVER, "run", lab + "/s.db", "full", "5"], capture_output=True,
                           timeout=60)
    assert after.returncode == 0 and acknowledged(after.stdout) == 5
