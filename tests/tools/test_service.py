# SPDX-License-Identifier: MIT
"""The systemd unit stays as closed as it was made."""
import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).resolve().parents[2] / "deploy/systemd/qmnd.service.in"


def exposure(tmp_path, text):
    """True when systemd's exposure level (0 to 10) is at most 1.5."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze here")
    unit = tmp_path / "qmnd.service"
    unit.write_text(text.replace("@bindir@", "/bin"))
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=15", unit],
                          capture_output=True, text=True, check=False)
    assert "Overall exposure level" in done.stdout, done.stderr
    return done.returncode == 0


def test_exposure_is_at_most_one_and_a_half(tmp_path):
    assert exposure(tmp_path, UNIT.read_text())


def test_the_measure_notices_an_open_door(tmp_path):
    opened = UNIT.read_text().replace("CapabilityBoundingSet=\n", "").replace(
        "SystemCallFilter=", "#SystemCallFilter=")
    assert not exposure(tmp_path, opened)
