#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes a retrieval test of the texts a Debian machine has: no network, no judgements by hand.

    bench/retrieval_corpus.py > corpus.tsv          then: bench_retrieval corpus.tsv

Documents, of LENGTH characters at most, and queries that each name the one document they are of:

  man        manual pages in English without their NAME; query: what NAME says of the page
  sentence   the same pages without one sentence of theirs; query: that sentence
  name       query: the name of a page that is an identifier (pthread_create, BN_mod_exp)
  package    long descriptions of packages (installed ones, and available ones if apt has them);
             query: the short description

Lines: D <collection> <id> <text> and Q <set> <collection> <id> <text>, between tabs.  A set is the
same on each run over the same files.
"""
import gzip
import hashlib
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

LENGTH = 2000
FAMILY = 60  # pages whose names begin alike (git-, gcloud_): their texts are, too
PER_SET = 4000


def chosen(*key):
    """A number that depends on nothing but the key."""
    return int.from_bytes(hashlib.sha256("\0".join(key).encode()).digest()[:8], "big")


def clean(text):
    return re.sub(r"\s+", " ", text).strip()


def plain(line):
    """A line of troff as a reader would see it, more or less."""
    line = re.sub(r"\\f(\[\w*\]|\(..|.)", "", line)
    line = re.sub(r"\\\*?\((..)|\\\[(\w+)\]", " ", line)
    line = re.sub(r"\\s[+-]?\d", "", line)
    return re.sub(r"\\([-&,/|^~ e.])", lambda m: m[1] if m[1] in "-." else " ", line)


def read_page(path):
    """(title line of NAME, text of all other sections), or None."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", errors="replace") as f:
        section, name, body = "", [], []
        for line in f:
            if re.match(r"[.']\s*S[Hh]\b", line):
                section = clean(line[3:].strip().strip('"')).upper()
                continue
            if re.match(r"[.']\s*Nd\b", line):
                name.append("- " + line[3:].strip())
                continue
            if line.startswith((".\\\"", "'\\\"", ".TH", ".Dd", ".Dt", ".Os", ".so", ".ie", ".el",
                                ".if", ".de", ".ds", ".nr", ".rm", ".tr", "..")):
                continue
            text = plain(re.sub(r"^[.']\s*[A-Za-z]{1,2}\b", "", line)).strip()
            (name if section == "NAME" else body if section else []).append(text)
    title = re.split(r"\s-+\s|\s\\\(em\s", clean(" ".join(name)), maxsplit=1)
    if len(title) != 2:
        return None
    return title[1].strip(), clean(" ".join(body))


def pages():
    seen, families = set(), Counter()
    for path in sorted(Path("/usr/share/man").glob("man[1-8]/*")):
        if path.is_symlink() or not path.is_file():
            continue
        family = re.split(r"[-_.]", path.name)[0]
        if families[family] == FAMILY:
            continue
        page = read_page(path)
        # pages under two names, and families of pages with one text
        if not page or len(page[1]) < 300 or page[0].lower() in seen or page[1][:300] in seen:
            continue
        seen |= {page[0].lower(), page[1][:300]}
        families[family] += 1
        yield re.sub(r"\.gz$", "", path.name), *page


def packages():
    """(name, short, long), each text once."""
    texts = [Path("/var/lib/dpkg/status").read_text(errors="replace")]
    try:
        texts.append(subprocess.run(["apt-cache", "dumpavail"], capture_output=True, check=True,
                                    text=True, errors="replace").stdout)
    except (OSError, subprocess.CalledProcessError):
        pass
    seen = set()
    for stanza in "\n\n".join(texts).split("\n\n"):
        name = re.search(r"^Package: (\S+)", stanza, re.M)
        found = re.search(r"^Description(?:-en)?: (.*)\n((?: .*\n?)+)", stanza, re.M)
        if not name or not found:
            continue
        short, text = clean(found[1]), clean(found[2].replace("\n .\n", "\n"))
        if len(text) < 100 or short in seen or text[:200] in seen:
            continue
        seen |= {short, text[:200]}
        yield name[1], short, text


def sentences(text):
    return [s for s in re.split(r"(?<=[a-z)][.]) ", text[:LENGTH]) if 6 <= len(s.split()) <= 30]


def sentence_of(name, text, everywhere):
    """One sentence that no other text has, and the text without it."""
    found = [s for s in sentences(text) if everywhere[s] == 1]
    if len(found) < 3:
        return None
    sentence = found[chosen("sentence", name) % len(found)]
    return sentence, text.replace(sentence, " ")


def main():
    queries = {"man": [], "sentence": [], "name": [], "package": []}

    def document(collection, name, text):
        print("D", collection, name, clean(text)[:LENGTH], sep="\t")

    manual = list(pages())
    everywhere = Counter(s for _, _, text in manual for s in sentences(text))
    for name, title, text in manual:
        document("man", name, text)
        queries["man"].append(("man", name, title))
        stem = name.rsplit(".", 1)[0]
        if re.search(r"[a-z][A-Z]|_|\d", stem) and stem.lower() in text[:LENGTH].lower():
            queries["name"].append(("man", name, stem))
        held = sentence_of(name, text, everywhere)
        if held:
            document("sentence", name, held[1])
            queries["sentence"].append(("sentence", name, held[0]))
    for name, short, text in packages():
        document("package", name, text)
        queries["package"].append(("package", name, short))
    for kind, items in queries.items():
        items.sort(key=lambda q: chosen(kind, q[1]))
        for collection, name, text in items[:PER_SET]:
            print("Q", kind, collection, name, clean(text), sep="\t")


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:
        sys.exit(1)
