# SPDX-License-Identifier: MIT
"""qmn against a running node: every command once, errors that help."""
import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from harness import ROOT, Client, read_terminal


def test_text_may_come_from_standard_input(qmn, acme):
    sent = qmn.json("broadcast", "-", "--agent", "shop", *acme, text="postgres\nindexes\n")
    assert sent["routed_to"] == ["dba"]


def test_nack_gives_back_or_rejects(qmn, acme):
    item = qmn.json("broadcast", "another postgres query", "--agent", "shop", *acme)["nutrient_id"]
    qmn("inbox", "dba", *acme)
    assert qmn("nack", "dba", item, *acme) == "1 given back\n"
    assert item in qmn("inbox", "dba", *acme)
    assert qmn("nack", "dba", item, "--reject", *acme) == "1 rejected\n"
    assert item not in qmn("inbox", "dba", *acme)


def test_what_was_read_says_whose_it_is_and_until_when(qmn, acme):
    qmn("agent", "register", "reader", "--about", "letters of the tax office", "--tenant", "acme")
    assert qmn("inbox", "reader", *acme) == "nothing for reader\n"
    item = qmn.json("broadcast", "a letter of the tax office", "--agent", "shop", *acme)["nutrient_id"]
    first = qmn("inbox", "reader", *acme)
    assert "yours until 20" in first and f"qmn ack reader {item}" in first
    again = qmn("inbox", "reader", *acme)
    assert "1 read before and not acknowledged" in again and "lease" in again
    qmn("nack", "reader", item, *acme)
    assert json.loads(qmn("inbox", "reader", "--ack", "--json", *acme))["nutrients"][0]["nutrient_id"] == item
    assert qmn("inbox", "reader", *acme) == "nothing for reader\n"


def test_memories(qmn, acme, tmp_path):
    made = qmn.json("memory", "store", "friday deploys need two reviewers", "--agent", "dba", "--kind", "rule",
                    "--quality", "0.8", *acme)
    assert "two reviewers" in qmn("memory", "search", "deploys on friday", *acme)
    assert "two reviewers" in qmn("memory", "show", made["id"], *acme)
    assert made["id"] in qmn("memory", "list", "dba", "--kind", "rule", *acme)
    page = qmn.json("memory", "browse", "--limit", "1", *acme)
    assert page["memories"][0]["id"] == made["id"]
    assert made["id"] not in qmn("memory", "browse", "--cursor", page["next_cursor"] or "cu_" + made["id"][3:], *acme)
    why = qmn("memory", "search", "reviewers", "--mode", "words", "--explain", "--exact", *acme)
    assert "two reviewers" in why and "(#1 by words): reviewer " in why and "by vector" not in why
    twin = qmn.json("memory", "store", "friday deploys need two reviewers", "--agent", "dba", "--kind", "twin", *acme)
    shown = qmn("memory", "duplicates", "--threshold", "0.9", *acme)
    assert shown.index(twin["id"]) < shown.index(made["id"]) and "1.0000" in shown
    assert qmn("memory", "duplicates", "--kind", "rule", *acme) == "no near-duplicates on this page\n"
    qmn("memory", "delete", twin["id"], *acme)
    told = qmn.json("memory", "update", made["id"], "friday deploys need three reviewers", "--clear", "metadata", *acme)
    assert told["version"] == 2 and told["metadata"] == {}
    assert "three reviewers" in qmn("memory", "search", "deploys on friday", *acme)
    next_ = qmn.json("memory", "store", "no deploys on friday", "--agent", "dba", "--supersedes", made["id"], *acme)
    shown = qmn("memory", "history", next_["id"], *acme)
    assert "no deploys" in shown and "three reviewers" in shown and "two reviewers" in shown
    assert "two reviewers" in qmn("memory", "show", made["id"], "--as-of", made["created_at"], *acme)
    made = next_
    whole = qmn("memory", "export", "--history", *acme)
    assert made["id"] in whole
    file = tmp_path / "memories.jsonl"
    assert qmn.json("memory", "export", str(file), "--history", *acme) == {"lines": len(whole.splitlines())}
    assert file.read_text() == whole
    assert qmn.json("memory", "import", str(file), *acme)["known"] == len(whole.splitlines())
    file.write_text(whole + "nonsense\n")
    refused = qmn.run("memory", "import", str(file), *acme)
    assert refused.returncode == 1 and f"line {len(whole.splitlines()) + 1}: " in refused.stderr
    qmn("memory", "delete", made["id"], *acme)
    file.write_text(whole)
    assert qmn.json("memory", "import", str(file), *acme)["stored"] == 3
    qmn("memory", "delete", made["id"], *acme)
    gone = qmn.run("memory", "show", made["id"], *acme)
    assert gone.returncode == 5


def test_agents(qmn, acme):
    assert "slow postgres" in qmn("agent", "list", *acme)
    assert "sql" in qmn("agent", "show", "dba", *acme)
    qmn("agent", "register", "temp", *acme)
    qmn("agent", "suspend", "temp", *acme)
    assert "suspended" in qmn("agent", "list", "--status", "suspended", *acme)


def test_tenants_and_keys(qmn, acme):
    assert "Acme Corp" in qmn("tenant", "list")
    assert "plan" in qmn("tenant", "show", "acme")
    assert "pro" in qmn("tenant", "usage", "acme")
    assert "Acme Ltd" in qmn("tenant", "update", "acme", "--name", "Acme Ltd")
    made = qmn("key", "create", "--for", "acme", "--scope", "agents:read", "--name", "reader").strip()
    assert "valid" in qmn("key", "check", text=made + "\n")
    listed = qmn("key", "list", "acme")
    assert "reader" in listed and made not in listed
    assert "dba" in qmn("agent", "list", "--key", made)
    assert qmn.run("edges", "stats", "--key", made).returncode == 4
    key_id = next(line.split()[0] for line in listed.splitlines() if "reader" in line)
    assert "revoked" in qmn("key", "revoke", key_id)
    refused = qmn.run("tenant", "delete", "acme")
    assert refused.returncode == 2 and "--yes" in refused.stderr


def test_tasks_policies_audit_backup(qmn, acme):
    qmn("task", "create", "fix", "the", "index", "--id", "t1", *acme)
    assert "0.80" in qmn("task", "update", "t1", "--outcome", "0.8", *acme)
    assert "fix the index" in qmn("task", "list", *acme)
    assert "fix the index" in qmn("task", "show", "t1", *acme)
    assert "no policies" in qmn("policy", "list", *acme)
    assert "key.create" in qmn("audit")
    assert "written" in qmn("backup", "cli.db")


def test_the_node_about_itself(qmn):
    assert qmn("node", "status").startswith("healthy")
    assert "store" in qmn("node", "health")
    assert "process_resident_memory_bytes" in qmn("node", "metrics")


@pytest.mark.parametrize("words, status, says", [
    (["brodcast", "x"], 2, "did you mean qmn broadcast?"),
    (["agent", "lst"], 2, "did you mean qmn agent list?"),
    (["agent", "list", "--capabilty", "x"], 2, "did you mean --capability?"),
    (["broadcast"], 2, "qmn broadcast TEXT..."),
    (["broadcast", "x", "--ttl-sec", "soon"], 2, "--ttl-sec"),
    (["trace", "a", "b"], 2, "one word too many"),
    (["outcome", "t", "high"], 2, "expected a score"),
    (["memory", "store", "x", "--content", "{"], 2, "--content"),
    (["agent", "show", "nobody"], 5, "nobody"),
    (["bootstrap"], 2, "which data directory"),
    (["agent", "list", "--key", "nonsense"], 4, "came from --key"),
    (["agent", "list", "--key-file", "/nonexistent"], 2, "/nonexistent"),
    (["agent", "list", "--url", "http://127.0.0.1:1"], 3, "Is the node running?"),
    (["agent", "list", "--url", "gopher://x"], 2, "expected a URL"),
    (["broadcast", "x", "--top-k", "99"], 1, "--top-k: expected 1 to 50, got 99"),
    (["broadcast", "x", "--agent", "nobody"], 5, "--agent: agent \"nobody\" is not registered"),
    (["policy", "evaluate"], 1, "--type: required"),
    (["tenant", "create", "A"], 1, "(field id)"),
    (["tenant", "delete", "nope"], 5, "nope"),
])
def test_errors_say_what_to_do_next(qmn, words, status, says):
    done = qmn.run(*words)
    assert done.returncode == status, done.stderr
    assert says in done.stderr
    assert "\x1b" not in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as somebody else")
@pytest.mark.parametrize("named", [True, False])
def test_a_key_file_of_somebody_else_says_how_to_get_at_it(qmn, named):
    folder = Path(tempfile.mkdtemp(prefix="qmn-test-"))
    try:
        folder.chmod(0o755)
        shutil.copy(qmn.program, folder / "qmn")
        key = folder / "admin-key"
        key.write_text("anything\n")
        key.chmod(0o600)
        env = qmn.env(QMN_API_KEY_FILE=str(key) if named else "", QMN_DATA_DIR=str(folder), HOME="/nonexistent")
        done = subprocess.run(["setpriv", "--reuid=games", "--regid=games", "--clear-groups", folder / "qmn",
                               "agent", "list"], env=env, text=True, capture_output=True, timeout=60)
        assert done.returncode == (2 if named else 4)
        assert f"sudo install -m 600 -o \"$USER\" {key}" in done.stderr
    finally:
        shutil.rmtree(folder)


def test_a_url_needs_no_scheme(qmn):
    assert qmn.run("agent", "list", env=qmn.env(QMN_URL=f"127.0.0.1:{qmn.node.port}")).returncode == 0


def test_a_mistyped_variable_is_pointed_out(qmn, binary):
    done = qmn.run("agent", "list", env=qmn.env(QMN_TENNANT_ID="acme"))
    assert done.returncode == 0
    assert done.stderr == "qmn: QMN_TENNANT_ID in the environment means nothing; did you mean QMN_TENANT_ID?\n"
    checked = subprocess.run([binary, "--check-config"], env=qmn.env(QMN_LISTN="x", QMN_BOGUS="1"), text=True,
                             capture_output=True, timeout=60)
    assert "QMN_LISTN in the environment means nothing; did you mean QMN_LISTEN?" in checked.stderr
    assert "QMN_BOGUS in the environment means nothing\n" in checked.stderr and "QMN_URL" not in checked.stderr
    # Neither takes the other's for a slip.
    theirs = {"QMN_" + line.split(" = ")[0].upper().replace("-", "_"): "" for line in checked.stdout.splitlines()}
    assert len(theirs) > 10
    assert qmn.run("agent", "list", env=qmn.env(**theirs)).stderr == ""


def test_deleted_tenants_are_listed_on_request(qmn):
    qmn("tenant", "create", "short-lived")
    qmn("tenant", "delete", "short-lived", "--yes")
    listed = qmn("tenant", "list")
    assert "short-lived" not in listed and "--all shows them" in listed
    for words in (["--all"], ["--status", "deleted"], ["--json"]):
        assert "short-lived" in qmn("tenant", "list", *words)


def test_a_similarity_with_somebody_without_profile_is_no_number(qmn, acme):
    trace = qmn.json("broadcast", "slow postgres query", "--hint", "sql", "--top-k", "1", *acme)["trace_id"]
    qmn("outcome", trace, "1", *acme)
    row = next(line.split() for line in qmn("edges", "of", "default-agent", *acme).splitlines() if " dba " in line)
    assert row[3] == "-"


def test_a_key_on_the_command_line_is_blotted_out(qmn, own, acme):
    key = own.admin_key()
    words = [qmn.program, "inbox", "dba", "--follow", "--key", key, *acme]
    with subprocess.Popen(words, env=qmn.env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        running.stderr.readline()  # "listening for ..."
        with open(f"/proc/{running.pid}/cmdline", "rb") as f:
            line = f.read()
        running.kill()
    assert key.encode() not in line


def test_hostile_text_cannot_reach_the_terminal(qmn, acme):
    evil = "before\x1b]0;owned\x07\x1b[2Jafter"
    qmn("agent", "register", "evil", "--about", "postgres " + evil, *acme)
    shown = qmn("agent", "list", *acme)
    assert "\x1b" not in shown and "\x07" not in shown and "after" in shown


def test_colours_only_on_a_terminal_that_wants_them(qmn, acme):
    words = [qmn.program, "agent", "list", *acme]
    assert "\x1b[" in read_terminal(words, qmn.env(TERM="xterm"))
    assert "\x1b[" not in read_terminal(words, qmn.env(TERM="xterm", NO_COLOR="1"))
    assert "\x1b[" not in qmn("agent", "list", *acme)


def test_a_long_wait_shows_itself_on_a_terminal_only(qmn, acme):
    words = [qmn.program, "inbox", "shop", "--wait", "4", *acme]
    assert "waiting for 127.0.0.1" in read_terminal(words, qmn.env(TERM="xterm"))
    quiet = qmn.run(*words[1:])
    assert quiet.returncode == 0 and quiet.stderr == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completions_are_printed(qmn, shell):
    text = qmn("completion", shell)
    assert "broadcast" in text and "tool" in text


def test_bash_completes_commands_options_and_values(qmn):
    script = f"""{qmn("completion", "bash")}
complete_line() {{ COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _qmn; echo "${{COMPREPLY[@]}}"; }}
complete_line qmn bro
complete_line qmn agent li
complete_line qmn agent list --sta
complete_line qmn broadcast --sensitivity conf
complete_line qmn completion fi
"""
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=30)
    assert done.stdout.split() == ["broadcast", "list", "--status", "confidential", "fish"], done.stderr


def commands(qmn):
    """Every command, as its words, and its help."""
    for line in qmn("help").splitlines():
        name = line.split()[0] if line.startswith("  ") and not line.startswith("  --") else None
        if not name:
            continue
        shown = qmn("help", name)
        assert shown.startswith(f"qmn {name} - "), name
        members = re.findall(rf"^  qmn {name} (\S+)", shown, re.MULTILINE)
        if "\nUsage: " in shown:
            yield name, shown
        else:
            for member in members:
                yield f"{name} {member}", qmn("help", name, member)


def test_the_manual_lists_every_command_and_option(qmn):
    """The command table, as help prints it, against the page: names, and what is said of each option."""
    manual = (ROOT / "docs" / "man" / "qmn.1").read_text()
    entries, seen = {}, set()
    for entry in re.split(r"^\.It Nm Cm ", manual, flags=re.MULTILINE)[1:]:
        name = re.match(r"[a-z -]+?(?= (?:Ar|Oo|Op)\b|\n)", entry)[0]
        entry = entry.split("\n.Ss ")[0]
        listed = re.findall(r"^\.It Fl -(\S+)(?: Ar (\S+))?\n(.*)$", entry, re.MULTILINE)
        entries[name] = {(option, arg, re.sub(r"^\\&", "", about)) for option, arg, about in listed}
    for name, shown in commands(qmn):
        own = shown.split("\nOptions\n")[1].split("\n\n")[0] if "\nOptions\n" in shown else ""
        options = set(re.findall(r"^  --(\S+)(?: ([A-Z][A-Z=]*))? +(.*)$", own, re.MULTILINE))
        assert entries.get(name) == options, name
        seen.add(name)
    assert set(entries) == seen and len(seen) > 50
    everywhere = manual.split(".Ss Everywhere")[1].split(".Sh ")[0]
    for option in re.findall(r"^  --(\S+)", qmn("help"), re.MULTILINE):
        assert f".It Fl -{option}" in everywhere, option


def test_the_daemon_s_manual_lists_every_option(binary):
    manual = (ROOT / "docs" / "man" / "qmnd.8").read_text()
    shown = subprocess.run([binary, "--help"], text=True, capture_output=True, timeout=60).stdout
    options = re.findall(r"^  --([\w-]+)", shown, re.MULTILINE)
    assert len(options) > 15
    for option in options:
        assert f"Fl -{option}" in manual, option



def test_registering_again_keeps_what_is_not_named(qmn, acme):
    qmn("agent", "register", "keeper", "--about", "keeps minutes of meetings", "--name", "Keeper", "--capability",
        "notes", "--tool", "pen", "--skill", "listening", "--region", "eu", "--metadata", '{"desk": 4}',
        "--clearance", "confidential", "--tenant", "acme", "--key", qmn.node.admin_key())
    before = qmn.json("agent", "show", "keeper", *acme)
    qmn("agent", "register", "keeper", "--capability", "archive", *acme)
    after = qmn.json("agent", "show", "keeper", *acme)
    assert after.pop("capabilities") == ["archive"] and before.pop("capabilities") == ["notes"]
    assert after.pop("updated_at") > before.pop("updated_at")
    assert after == before
    found = qmn.json("broadcast", "minutes of the meetings", "--agent", "shop", *acme)
    assert "keeper" in found["routed_to"]
    assert found["hops"][found["routed_to"].index("keeper")]["similarity"] > 0.3
    qmn("agent", "register", "keeper", "--about", "waters plants", *acme)
    assert qmn.json("agent", "show", "keeper", *acme)["description"] == "waters plants"


def test_a_client_s_vector_survives_a_registration(qmn, own):
    own_tenant = ("--tenant", "vectors")
    qmn("tenant", "create", "vectors", "--dim", "4")
    admin = Client(own.port, own.admin_key())
    admin.post("/v1/agents:register", {"agent_id": "a", "profile": {"embedding": [0, 3, 0, 4]}},
               headers={"X-Tenant-ID": "vectors"}, expect=200)
    qmn("agent", "register", "a", "--name", "Anna", *own_tenant)
    kept = admin.get("/v1/agents/a?embedding=true", headers={"X-Tenant-ID": "vectors"}, expect=200).json()
    assert kept["name"] == "Anna" and kept["embedding"] == pytest.approx([0, 0.6, 0, 0.8])
