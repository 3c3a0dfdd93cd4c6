# SPDX-License-Identifier: MIT
"""tools/tally.py must not let a failure pass for a success."""
import json
import subprocess
import sys
from pathlib import Path

TOOL = Path(__file__).resolve().parents[2] / "tools" / "tally.py"


def tally(*paths):
    done = subprocess.run([sys.executable, TOOL, *paths], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.splitlines()


def meson_log(tmp_path, *tests):
    path = tmp_path / "testlog.json"
    path.write_text("".join(json.dumps({"name": n, "result": r, "stdout": out}) + "\n"
                            for n, r, out in tests))
    return path


def test_tap_lines_count_one_by_one(tmp_path):
    log = meson_log(tmp_path, ("base/map", "OK", "1..3\nok 1 - a\nok 2 - b\nok 3 - c # skip\n"))
    assert tally(log) == (0, ["(1 skipped)", "2 passed, 0 failed"])


def test_a_failed_line_is_named(tmp_path):
    log = meson_log(tmp_path, ("base/map", "FAIL", "1..2\nok 1 - a\nnot ok 2 - b\n"))
    assert tally(log) == (1, ["FAILED base/map: b", "1 passed, 1 failed"])


def test_a_crash_after_good_lines_is_a_failure(tmp_path):
    log = meson_log(tmp_path, ("base/map", "ERROR", "1..2\nok 1 - a\n"))
    assert tally(log) == (1, ["FAILED base/map: error", "1 passed, 1 failed"])


def test_a_timeout_is_a_failure(tmp_path):
    log = meson_log(tmp_path, ("net/slow", "TIMEOUT", ""), ("net/fast", "OK", ""))
    assert tally(log) == (1, ["FAILED net/slow: timeout", "1 passed, 1 failed"])


def test_pytest_results_count(tmp_path):
    path = tmp_path / "r.xml"
    path.write_text('<testsuites><testsuite><testcase classname="c" name="a"/>'
                    '<testcase classname="c" name="b"><failure/></testcase>'
                    '<testcase classname="c" name="d"><error/></testcase>'
                    '<testcase classname="c" name="e"><skipped/></testcase></testsuite></testsuites>')
    assert tally(path) == (1, ["FAILED c: b", "FAILED c: d", "(1 skipped)", "1 passed, 2 failed"])


def test_missing_results_and_broken_stages_are_failures(tmp_path):
    log = meson_log(tmp_path, ("a", "OK", ""))
    code, lines = tally(log, tmp_path / "absent.json", "stage:tsan")
    assert code == 1 and lines[-1] == "1 passed, 2 failed"


def test_nothing_at_all_is_no_success(tmp_path):
    assert tally(meson_log(tmp_path)) == (1, ["0 passed, 0 failed"])


def test_the_slowest_are_told_of_both_kinds(tmp_path):
    log = tmp_path / "testlog.json"
    log.write_text("".join(json.dumps({"name": n, "result": "OK", "stdout": "", "duration": d}) + "\n"
                           for n, d in (("net/fast", 0.25), ("net/slow", 2.5))))
    xml = tmp_path / "r.xml"
    xml.write_text('<testsuite><testcase classname="c" name="medium" time="1.5"/></testsuite>')
    code, lines = tally("--slowest", "2", log, xml, tmp_path / "absent.json")
    assert (code, [line.split() for line in lines]) == (0, [["2.5", "net/slow"], ["1.5", "medium"]])
