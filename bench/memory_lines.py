#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints real text, one document a line, shuffled with a fixed seed: what apt knows of each package (its
description, the long one where the lists hold it) and WordNet's glosses where wordnet-base is installed.
"""
import random
import re
import subprocess
import sys
from pathlib import Path

WORDNET = Path("/usr/share/wordnet")
TEXT_BYTES = 2000


def packages():
    """Several versions of a package often have one text: once is enough."""
    text = subprocess.run(["apt-cache", "dumpavail"], stdout=subprocess.PIPE, check=True, text=True).stdout
    seen = set()
    for stanza in text.split("\n\n"):
        name = re.search(r"^Package: (.*)$", stanza, re.M)
        said = re.search(r"^Description(?:-en)?: (.*(?:\n .*)*)", stanza, re.M)
        if name and said and (line := f"{name[1]}: {said[1]}") not in seen:
            seen.add(line)
            yield line


def glosses():
    for part in ("noun", "verb", "adj", "adv"):
        path = WORDNET / f"data.{part}"
        for line in path.read_text(errors="replace").splitlines() if path.exists() else []:
            head, bar, gloss = line.partition(" | ")
            if bar and not line.startswith(" "):
                yield gloss


def main():
    lines = [" ".join(line.split())[:TEXT_BYTES] for source in (packages(), glosses()) for line in source]
    random.Random(7).shuffle(lines)
    sys.stdout.write("".join(line + "\n" for line in lines))
    print(f"text: {len(lines)} documents", file=sys.stderr)


if __name__ == "__main__":
    main()
