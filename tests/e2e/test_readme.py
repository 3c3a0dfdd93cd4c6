# SPDX-License-Identifier: MIT
"""The README, followed to the letter: what it tells a newcomer to type is typed."""
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from harness import CALL_S, ROOT, START_S, Client, clean_env, free_port

README = (ROOT / "README.md").read_text()


def block(heading, language):
    """The first code block in that language below that heading."""
    section = README.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return re.search(rf"```{language}\n(.*?)```", section, re.DOTALL).group(1)


@pytest.fixture(name="checkout", scope="module")
def fixture_checkout(binary):
    """A checkout after `make up` (but for the compiling), and the address of its node."""
    # Started as root, the node becomes somebody else, who must be able to get there.
    folder = Path(tempfile.mkdtemp(prefix="qmn-readme-"))
    folder.chmod(0o755)
    port = free_port()
    env = clean_env(QMN_LISTEN=f"127.0.0.1:{port}", QMN_READY_SECONDS=str(START_S))

    def node(verb):
        return subprocess.run([folder / "tools/node.sh", verb], env=env, text=True, capture_output=True,
                              timeout=2 * CALL_S, check=False)
    try:
        (folder / "tools").mkdir()
        (folder / "build").mkdir()
        shutil.copy(ROOT / "tools/node.sh", folder / "tools")
        for program in ("qmnd", "qmn"):
            shutil.copy(binary.parent / program, folder / "build")
        up = node("up")
        assert up.returncode == 0, up.stderr
        yield folder, f"http://127.0.0.1:{port}", up.stdout
    finally:
        down = node("down")
        shutil.rmtree(folder, ignore_errors=True)
    assert "node stopped" in down.stdout, down.stderr


def test_up_shows_a_first_exchange_and_where_to_go_on(checkout):
    _, url, said = checkout
    assert "look closer" in said
    assert f"node       {url}" in said and "admin key  var/data/admin-key" in said


class Reader:
    """Types lines into a shell, and puts what was printed where the README has a placeholder."""

    def __init__(self, folder, url):
        self.folder, self.env, self.seen = folder, clean_env(QMN_URL=url), {}

    def types(self, line):
        for placeholder, real in self.seen.items():
            line = line.replace(placeholder, real)
        exported = re.fullmatch(r"export (\w+)=(\S+)\s*(#.*)?", line)
        if exported:
            self.env[exported[1]] = exported[2]
            return ""
        done = subprocess.run(["bash", "-c", line], cwd=self.folder, env=self.env, text=True,
                              capture_output=True, timeout=CALL_S, check=False)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        for placeholder, pattern in (("qmn_live_...", r"qmn_live_\w+"), ("NUTRIENT", r"\bnu_\w+"),
                                     ("TRACE", r"\btr_\w+")):
            found = re.search(pattern, done.stdout)
            if found:  # the one printed last is meant
                self.seen[placeholder] = found[0]
        return done.stdout


def test_the_first_ten_minutes_run_as_they_stand(checkout):
    reader = Reader(*checkout[:2])
    said = {}
    for line in block("The first ten minutes", "sh").splitlines():
        said[" ".join(line.split()[1:2])] = reader.types(line)
    assert set(reader.seen) == {"qmn_live_...", "NUTRIENT", "TRACE"}
    assert "report query" in said["inbox"] and "sql.explain" in said["inbox"]
    assert "Considered" in said["trace"] and "dba" in said["trace"]
    assert said["ack"] == "1 acknowledged\n"
    assert "run ANALYZE" in said["collect"]
    grown = [line.split() for line in said["edges"].splitlines()[1:]]
    assert [edge[1] for edge in grown] == ["dba"] and float(grown[0][2]) > 0.5


def test_the_fifteen_lines_are_the_example(checkout):
    program = (ROOT / "examples/quickstart.py").read_text()
    comments = re.match(r"(#.*\n)*", program)[0]
    lines = block("In fifteen lines of Python", "python")
    assert program == comments + lines
    assert sum(not line.startswith("#") for line in lines.splitlines()) == 15
    folder, url, _ = checkout
    for _ in range(2):  # a second run finds a network as new as the first did
        done = subprocess.run(["python3", "-c", lines], cwd=folder, env=clean_env(QMN_URL=url), text=True,
                              capture_output=True, timeout=CALL_S, check=False)
        assert done.returncode == 0, done.stderr
        assert "dba received: slow query on orders" in done.stdout
        assert "orders lacks an index" in done.stdout
        assert "edge shop -> dba: 0.500 -> 0.578" in done.stdout
    admin = Client(int(url.rsplit(":", 1)[1]), (folder / "var/data/admin-key").read_text().strip())
    assert admin.get("/v1/agents", expect=200).json() == []  # the operators' tenant stays theirs
