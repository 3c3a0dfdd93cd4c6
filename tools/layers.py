#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks the rules of the house that a compiler does not know.

    tools/layers.py [--root DIR] [--build DIR] [--no-compile]

  layers      a folder of src/ includes only the folders the table allows
  libraries   a third-party header stays in the folder that owns the library
  private     foo_priv.h stays in its own folder
  banned      functions that base/ replaces, or that nobody can use safely
  logs        no field of a log line is named like one that every line has
  comments    block comments only
  size        files of at most 800 lines, functions of at most 80
  licence     an SPDX line at the top of every C file
  headers     every header compiles alone (needs a compiler, and for generated headers a build folder:
              --build, else the one built last)

One line per offence, as file:line: rule: what came, what was expected.  A line that must break `banned`
says why in a comment on that line: `layers: allowed because ...`.
"""
import argparse
import os
import re
import shlex
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

LOW = {"base", "math", "model"}
ENGINE = {"base", "math", "model", "obs", "crypto", "codec", "index", "text", "route", "policy",
          "store", "audit"}
# Who may include whom.  A folder always includes itself; arrows only point up this table.
MAY_INCLUDE = {
    "base": set(),
    "math": {"base"},
    "model": {"base"},
    "obs": {"base"},
    "crypto": {"base"},
    "codec": {"base", "model"},
    "index": {"base", "math"},
    "text": {"base", "math"},
    "route": LOW,
    "policy": LOW,
    "store": {"base", "model", "codec"},
    "audit": {"base", "model", "crypto"},
    "engine": ENGINE,
    "net": {"base", "obs"},
    "api": {"base", "model", "codec", "obs", "engine", "net"},
    "client": {"base", "model", "codec"},
    "cli": {"base", "codec", "client"},
}
MAY_INCLUDE["daemon"] = set(MAY_INCLUDE) - {"client", "cli"}

# Third-party headers: pattern, and the folders (or files) that may see it.
LIBRARIES = [
    (r"(imm|x86|avx\w*)intrin\.h", ["math", "codec/json_floats_", "codec/base64_",
                                          "api/body_hash_"]),
    (r"arm_neon\.h", ["math", "codec/json_floats_"]),
    (r"gnutls/.*", ["crypto", "net"]),
    (r"p11-kit/.*", ["crypto"]),
    # The wire structs and their descriptors: api's route table and the clients speak in messages.
    (r"protobuf-c/.*|.*\.pb-c\.h", ["codec", "api", "client", "cli"]),
    (r"sqlite3\.h", ["store/sqlite"]),
    (r"libpq.*", ["store/postgres"]),
    (r"hiredis/.*", ["store/redis"]),
    (r"(mongoc|bson)/.*", ["store/mongo"]),
    (r"llhttp\.h|nghttp[23]/.*|ngtcp2/.*", ["net"]),
    (r"curl/.*", ["client"]),
]
# Headers of the C library and the kernel that anybody may include.
SYSTEM = re.compile(r"""^(
    (assert|complex|ctype|errno|fenv|float|inttypes|iso646|limits|locale|math|setjmp|signal|stdalign|
     stdarg|stdatomic|stdbool|stddef|stdint|stdio|stdlib|stdnoreturn|string|strings|tgmath|threads|
     time|uchar|wchar|wctype|cpuid|dirent|dlfcn|endian|execinfo|fcntl|fnmatch|getopt|glob|grp|ifaddrs|
     langinfo|libgen|malloc|netdb|poll|pthread|pty|pwd|regex|sched|semaphore|spawn|syslog|termios|
     ucontext|unistd|utime)\.h
    |(arpa|asm|linux|net|netinet|sys)/\S+\.h)$""", re.X)

BANNED = {
    "malloc": "mem_alloc", "calloc": "mem_calloc", "realloc": "mem_resize",
    "reallocarray": "mem_resize", "free": "mem_free", "strdup": "mem_alloc and a copy",
    "strndup": "mem_alloc and a copy", "asprintf": "buf_printf", "vasprintf": "buf_printf",
    "strcpy": "struct bytes", "strcat": "struct buf", "strncpy": "struct bytes",
    "strncat": "struct buf", "sprintf": "snprintf", "vsprintf": "vsnprintf",
    "strtok": "struct bytes", "atoi": "strtol with its checks", "atol": "strtol with its checks",
    "atoll": "strtoll with its checks", "atof": "strtod with its checks",
    "sscanf": "a parser that sees overflow", "alloca": "an arena", "rand": "struct rng",
    "srand": "struct rng", "random": "struct rng", "localtime": "clock_format",
    "gmtime": "clock_format", "gets": "nothing",
}
BANNED_CALL = re.compile(r"(?<![\w.>])(" + "|".join(BANNED) + r")\s*\(")
LOG_NAME = re.compile(r'\bLOG_[A-Z]\(\s*"(time|level|event|cut)"')
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)
# Strings are matched so that what stands in them is not taken for a comment, and the reverse.
TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)

MAX_FILE_LINES = 800
MAX_FUNCTION_LINES = 80
CODE_FOLDERS = ("src", "include", "tests", "bench", "examples")


class Source:
    """A C file: its text, the same without comments and strings, and where it lives in src/."""

    def __init__(self, root, path):
        self.path = path
        self.name = path.relative_to(root).as_posix()
        self.text = path.read_text(errors="replace")
        self.line_comments = []
        self.code = TOKEN.sub(self.blank, self.text)
        self.lines = self.text.split("\n")
        parts = self.name.split("/")
        self.folder = parts[1] if parts[0] == "src" and len(parts) > 2 else None

    def blank(self, match):
        token = match[0]
        if token.startswith("//"):
            self.line_comments.append(match.start())
        if token.startswith('"') and self.after_include(match.start()):
            return token
        return re.sub(r"[^\n]", " ", token)

    def after_include(self, at):
        return "include" in self.text[self.text.rfind("\n", 0, at) + 1:at]

    def line_of(self, at):
        return self.text.count("\n", 0, at) + 1


def check_include(source, root, quote, target):
    """Why `source` may not include `target`, or None."""
    for pattern, owners in LIBRARIES:
        if re.fullmatch(pattern, target):
            own = source.name.removeprefix("src/")
            if any(own.startswith(owner + "/") or (owner[-1] == "_" and own.startswith(owner))
                   for owner in owners):
                return None
            return f"libraries: <{target}> belongs to {' and '.join(owners)}"
    if quote == "<":
        if SYSTEM.match(target):
            return None
        return f"libraries: <{target}> is unknown; give it a folder in tools/layers.py"
    first = target.split("/")[0]
    if "/" in target and first in MAY_INCLUDE:
        if first == source.folder:
            return None
        if target.endswith("_priv.h"):
            return f'private: "{target}" is for {first}/ only'
        if first not in MAY_INCLUDE[source.folder]:
            allowed = ", ".join(sorted(MAY_INCLUDE[source.folder])) or "nothing"
            return f"layers: {source.folder} includes {first}; it may include {allowed}"
        return None
    if target.startswith("qmn/"):
        if source.folder in ("client", "cli"):
            return None
        return f'layers: "{target}" is the public API, for client and cli'
    inside = (source.path.parent / target).resolve()
    home = (root / "src" / source.folder).resolve()
    if home in inside.parents or "/" not in target:
        return None  # of its own folder; a name without a folder may also be generated there
    return f'layers: "{target}" is neither of this folder nor written as folder/file.h'


def check_source(source, root):
    """Yields (line, offence) for everything but compilation."""
    if "SPDX-License-Identifier: MIT" not in source.lines[0]:
        yield 1, "licence: the first line has no SPDX-License-Identifier: MIT"
    if len(source.lines) - 1 > MAX_FILE_LINES:
        yield MAX_FILE_LINES + 1, \
            f"size: {len(source.lines) - 1} lines; at most {MAX_FILE_LINES}"
    for at in source.line_comments:
        yield source.line_of(at), "comments: // came, /* */ was expected"
    yield from check_functions(source)
    if not source.folder:
        return
    if source.folder not in MAY_INCLUDE:
        yield 1, f"layers: src/{source.folder} is not in the table of tools/layers.py"
        return
    for match in INCLUDE.finditer(source.code):
        offence = check_include(source, root, match[1], match[2])
        if offence:
            yield source.line_of(match.start(1)), offence
    for match in LOG_NAME.finditer(source.text):
        yield source.line_of(match.start()), f'logs: "{match[1]}" stands in the line already'
    if source.folder != "base":
        for match in BANNED_CALL.finditer(source.code):
            line = source.line_of(match.start())
            if "layers: allowed because" not in source.lines[line - 1]:
                yield line, f"banned: {match[1]}(); use {BANNED[match[1]]}"


def check_functions(source):
    """clang-format puts the braces of a function, and of nothing else, alone in the first column."""
    start = None
    for number, line in enumerate(source.code.split("\n"), 1):
        line = line.rstrip()
        if line == "{":
            start = number
        elif line == "}" and start:
            if number - start - 1 > MAX_FUNCTION_LINES:
                yield start, f"size: a function of {number - start - 1} lines; " \
                             f"at most {MAX_FUNCTION_LINES}"
            start = None


def newest_build(root):
    """The build folder that was configured last; None if there is none."""
    found = sorted(root.glob("build*/compile_commands.json"), key=lambda p: p.stat().st_mtime)
    return found[-1].parent if found else None


def include_flags(root, build):
    """-I and -D of every compilation in the build folder: generated headers and libraries."""
    flags = {f"-I{root}/src": None}
    commands = Path(build) / "compile_commands.json" if build else None
    if commands and commands.exists():
        for entry in json.loads(commands.read_text()):
            if "/src/" not in entry["file"] and not entry["file"].startswith("../src/"):
                continue
            words = shlex.split(entry["command"])
            for i, word in enumerate(words):
                if word in ("-I", "-isystem"):
                    word += words[i + 1]
                if word.startswith(("-I", "-isystem")):
                    folder = word.removeprefix("-isystem").removeprefix("-I")
                    flags["-I" + os.path.normpath(os.path.join(entry["directory"], folder))] = None
    return list(flags)


def check_headers(sources, flags, compiler):
    """Yields (name, offence) for each header that does not compile alone; the offence is None if it
    includes what only a build knows: a generated header, or where a library's lie."""
    def compile_alone(source):
        run = subprocess.run(
            [*compiler, "-fsyntax-only", "-std=gnu17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror",
             *flags, "-x", "c", "-"],
            input=f'#include "{source.path}"\n', capture_output=True, text=True, check=False)
        if run.returncode == 0:
            return None
        absent = re.search(r"fatal error: (\S+): No such file", run.stderr)
        if absent and (absent[1].endswith(".pb-c.h") or len(flags) == 1):
            return source.name, None
        said = [line for line in run.stderr.splitlines() if "error" in line] or ["failed"]
        return source.name, f"headers: does not compile alone: {said[0]}"

    headers = [s for s in sources if s.folder and s.name.endswith(".h")]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from filter(None, pool.map(compile_alone, headers))


def find_sources(root):
    for folder in CODE_FOLDERS:
        for path in sorted((root / folder).rglob("*.[ch]")):
            yield Source(root, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent)
    parser.add_argument("--build", help="a Meson build folder, for generated headers (default: the newest)")
    parser.add_argument("--no-compile", action="store_true", help="leave out `headers`")
    options = parser.parse_args()
    root = options.root.resolve()

    sources = list(find_sources(root))
    offences = [f"{s.name}:{line}: {what}" for s in sources for line, what in check_source(s, root)]
    if not options.no_compile:
        compiler = shlex.split(os.environ.get("CC", "cc"))
        build = options.build or newest_build(root)
        found = list(check_headers(sources, include_flags(root, build), compiler))
        offences += [f"{name}:1: {what}" for name, what in found if what]
        unknown = [name for name, what in found if not what]
        if unknown:
            print(f"layers: {len(unknown)} headers need what only a build knows and were not compiled "
                  f"({unknown[0]}, ...); build first, or name a folder with --build", file=sys.stderr)
    for offence in offences:
        print(offence)
    print(f"layers: {len(sources)} files, {len(offences)} offences", file=sys.stderr)
    return 1 if offences or not sources else 0


if __name__ == "__main__":
    sys.exit(main())
