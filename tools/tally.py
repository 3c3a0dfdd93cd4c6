#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Adds up test results: Meson's testlog*.json (TAP lines count one by one) and pytest's JUnit files.

    tools/tally.py FILE...
    tools/tally.py --slowest N FILE...      only lists the N tests that took longest, in seconds

"stage:NAME" in place of a file counts as one failure: a stage that broke before its tests ran.
Prints what failed, then one line "N passed, N failed".  Exits 1 if anything failed or nothing ran.
"""
import json
import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

TAP_LINE = re.compile(r"^(not )?ok\b[ \t]*\d*[ \t]*(?:-[ \t]*)?([^#\n]*)(#[ \t]*skip)?", re.M | re.I)


def durations(path):
    """(seconds, name) of each test of a file: of a program where Meson ran it."""
    if not path.exists():
        return []
    if path.suffix == ".xml":
        return [(float(case.get("time", 0)), case.get("name"))
                for case in ElementTree.parse(path).getroot().iter("testcase")]
    tests = map(json.loads, path.read_text().splitlines())
    return [(test.get("duration") or 0, test["name"]) for test in tests]


def print_slowest(count, paths):
    for seconds, name in sorted((d for p in paths for d in durations(p)), reverse=True)[:count]:
        print(f"{seconds:7.1f}  {name}")


class Tally:
    def __init__(self):
        self.passed, self.skipped, self.failures = 0, 0, []

    def add_meson(self, path):
        for line in path.read_text().splitlines():
            test = json.loads(line)
            before = len(self.failures)
            lines = 0
            if test["result"] != "SKIP":
                for match in TAP_LINE.finditer(test.get("stdout") or ""):
                    lines += 1
                    self.count(match[1] is None, match[3], f"{test['name']}: {match[2].strip()}")
            fine = test["result"] in ("OK", "EXPECTEDFAIL")
            if test["result"] == "SKIP":
                self.skipped += 1
            elif fine and lines == 0:
                self.passed += 1
            elif not fine and len(self.failures) == before:
                # Killed, timed out, or a sanitizer spoke at exit: no single line says so.
                self.failures.append(f"{test['name']}: {test['result'].lower()}")

    def add_junit(self, path):
        for case in ElementTree.parse(path).getroot().iter("testcase"):
            bad = case.find("failure") is not None or case.find("error") is not None
            skipped = case.find("skipped") is not None
            self.count(not bad, skipped, f"{case.get('classname')}: {case.get('name')}")

    def count(self, passed, skipped, name):
        if not passed:
            self.failures.append(name)
        elif skipped:
            self.skipped += 1
        else:
            self.passed += 1


def main(paths):
    tally = Tally()
    for path in map(Path, paths):
        if str(path).startswith("stage:"):
            tally.failures.append(f"{path}: failed outside its tests")
        elif not path.exists():
            tally.failures.append(f"{path}: the stage left no results")
        elif path.suffix == ".xml":
            tally.add_junit(path)
        else:
            tally.add_meson(path)
    for failure in tally.failures:
        print(f"FAILED {failure}")
    if tally.skipped:
        print(f"({tally.skipped} skipped)")
    print(f"{tally.passed} passed, {len(tally.failures)} failed")
    return 1 if tally.failures or not tally.passed else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--slowest"]:
        sys.exit(print_slowest(int(sys.argv[2]), map(Path, sys.argv[3:])))
    sys.exit(main(sys.argv[1:]))
