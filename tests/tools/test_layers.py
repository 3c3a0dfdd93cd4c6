# SPDX-License-Identifier: MIT
"""tools/layers.py on small trees: each rule catches what it should, and lets its neighbour pass."""
import json
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "layers.py"
SPDX = "/* SPDX-License-Identifier: MIT */\n"


def run(root, *arguments):
    return subprocess.run([sys.executable, TOOL, "--root", root, *arguments],
                          capture_output=True, text=True, check=False)


def check(tmp_path, files, *arguments):
    """The offences that the tool prints for these files, given without their SPDX line."""
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(SPDX + text)
    done = run(tmp_path, *(arguments or ["--no-compile"]))
    offences = done.stdout.splitlines()
    assert done.returncode == (1 if offences else 0), done.stderr
    return offences


@pytest.mark.parametrize("who, whom", [
    ("base", "model"), ("model", "codec"), ("math", "model"), ("route", "store"), ("store", "engine"),
    ("engine", "net"), ("net", "engine"), ("net", "model"), ("api", "store"), ("client", "api"),
    ("cli", "engine"), ("daemon", "cli"), ("daemon", "client"), ("engine", "daemon"),
])
def test_an_include_against_the_table_is_caught(tmp_path, who, whom):
    offences = check(tmp_path, {f"src/{who}/a.c": f'#include "{whom}/b.h"\n', f"src/{whom}/b.h": ""})
    assert len(offences) == 1
    assert offences[0].startswith(f"src/{who}/a.c:2: layers: {who} includes {whom};")


@pytest.mark.parametrize("who, whom", [
    ("model", "base"), ("index", "math"), ("route", "model"), ("store", "codec"), ("engine", "store"),
    ("api", "net"), ("cli", "client"), ("daemon", "api"), ("daemon", "engine"), ("net", "net"),
])
def test_an_include_with_the_table_passes(tmp_path, who, whom):
    assert check(tmp_path, {f"src/{who}/a.c": f'#include "{whom}/b.h"\n', f"src/{whom}/b.h": ""}) == []


def test_a_relative_path_is_no_way_around_the_table(tmp_path):
    offences = check(tmp_path, {"src/base/a.c": '#include "../engine/b.h"\n', "src/engine/b.h": ""})
    assert len(offences) == 1 and "neither of this folder" in offences[0]


def test_a_folder_outside_the_table_is_caught(tmp_path):
    assert "not in the table" in check(tmp_path, {"src/helpers/a.c": ""})[0]


def test_a_private_header_stays_in_its_folder(tmp_path):
    offences = check(tmp_path, {"src/api/a.c": '#include "engine/b_priv.h"\n'})
    assert len(offences) == 1 and "private:" in offences[0]
    assert check(tmp_path / "own", {"src/engine/a.c": '#include "b_priv.h"\n'}) == []


@pytest.mark.parametrize("home, elsewhere, header", [
    ("store/sqlite", "store", "sqlite3.h"), ("store/sqlite", "engine", "sqlite3.h"),
    ("store/postgres", "store/sqlite", "libpq-fe.h"), ("net", "api", "llhttp.h"),
    ("crypto", "engine", "gnutls/crypto.h"), ("client", "cli", "curl/curl.h"),
    ("codec", "engine", "protobuf-c/protobuf-c.h"), ("codec", "engine", "qmn/v1/router.pb-c.h"),
    ("math", "route", "immintrin.h"),
])
def test_a_library_stays_in_the_folder_that_owns_it(tmp_path, home, elsewhere, header):
    line = f"#include <{header}>\n"
    assert check(tmp_path / "home", {f"src/{home}/a.c": line}) == []
    offences = check(tmp_path / "else", {f"src/{elsewhere}/a.c": line})
    assert len(offences) == 1 and "libraries:" in offences[0]


def test_an_unknown_library_needs_a_home(tmp_path):
    assert "is unknown" in check(tmp_path, {"src/net/a.c": "#include <jansson.h>\n"})[0]
    assert check(tmp_path / "libc", {"src/net/a.c": "#include <sys/epoll.h>\n"}) == []


def test_banned_functions_are_caught_outside_base(tmp_path):
    body = "void f(void)\n{\n    x = malloc(3);\n}\n"
    assert "src/model/a.c:4: banned: malloc()" in check(tmp_path, {"src/model/a.c": body})[0]
    assert check(tmp_path / "base", {"src/base/a.c": body}) == []


def test_a_banned_name_that_is_no_call_passes(tmp_path):
    assert check(tmp_path, {"src/model/a.c": (
        "/* malloc(3) in a comment */\n"
        'const char *s = "free(x)";\n'
        "void f(void)\n{\n    ops->free(x);\n    v.free(x);\n    mem_free(x);\n    localtime_r(a, b);\n}\n")}) == []


def test_an_exception_must_give_its_reason(tmp_path):
    line = "    free(p); /* layers: allowed because the library allocated it */\n"
    assert check(tmp_path, {"src/model/a.c": line}) == []
    assert len(check(tmp_path / "bare", {"src/model/a.c": "    free(p); /* layers: allowed */\n"})) == 1


def test_line_comments_are_caught_but_not_in_strings(tmp_path):
    offences = check(tmp_path, {"src/base/a.c": 'int a; // no\nconst char *u = "http://x";\n'})
    assert offences == ["src/base/a.c:2: comments: // came, /* */ was expected"]


def test_files_and_functions_have_a_greatest_size(tmp_path):
    body = "    x++;\n"
    assert check(tmp_path, {"src/base/a.c": "void f(void)\n{\n" + body * 80 + "}\n"}) == []
    offences = check(tmp_path, {"src/base/a.c": "void f(void)\n{\n" + body * 81 + "}\n"})
    assert offences == ["src/base/a.c:3: size: a function of 81 lines; at most 80"]
    assert check(tmp_path, {"src/base/a.c": "\n" * 799}) == []
    assert "size: 801 lines" in check(tmp_path, {"src/base/a.c": "\n" * 800})[0]


def test_a_missing_licence_is_caught_in_tests_too(tmp_path):
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "a.c").write_text("int a;\n")
    assert run(tmp_path, "--no-compile").stdout.startswith("tests/a.c:1: licence:")


def test_a_header_that_needs_another_first_is_caught(tmp_path):
    files = {"src/base/a.h": "#pragma once\n#include <stdint.h>\nuint8_t f(void);\n"}
    assert check(tmp_path, files, "--root", tmp_path) == []
    files["src/base/b.h"] = "#pragma once\nuint8_t g(void);\n"
    offences = check(tmp_path, files, "--root", tmp_path)
    assert len(offences) == 1 and offences[0].startswith("src/base/b.h:1: headers:")


def test_an_empty_tree_is_not_taken_for_a_clean_one(tmp_path):
    assert run(tmp_path, "--no-compile").returncode == 1


def test_generated_headers_are_found_in_the_build_folder_or_asked_for(tmp_path):
    files = {"src/api/a.h": '#include "made/b.pb-c.h"\nstruct a {\n    struct b b;\n};\n'}
    assert check(tmp_path, files, "--build", str(tmp_path / "nowhere")) == []
    done = run(tmp_path)
    assert done.returncode == 0 and "src/api/a.h" in done.stderr and "build first" in done.stderr
    made = tmp_path / "build-x" / "gen" / "made"
    made.mkdir(parents=True)
    (made / "b.pb-c.h").write_text("struct b {\n    int c;\n};\n")
    (tmp_path / "build-x" / "compile_commands.json").write_text(json.dumps([{
        "file": "../src/api/a.c", "directory": str(tmp_path / "build-x"), "command": "cc -Igen -c ../src/api/a.c"}]))
    done = run(tmp_path)
    assert done.returncode == 0 and "build first" not in done.stderr, done.stderr
    (made / "b.pb-c.h").write_text("struct other;\n")
    assert "does not compile alone" in run(tmp_path).stdout


def test_a_log_field_named_like_one_of_every_line_is_caught(tmp_path):
    offences = check(tmp_path, {"src/net/a.c": 'log_info("x", LOG_I("levels", 1), LOG_I("level", 2));\n'})
    assert offences == ['src/net/a.c:2: logs: "level" stands in the line already']
