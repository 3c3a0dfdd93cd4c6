#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints the table of src/text/fold.c: letters with marks and the small letter without.

    tools/fold_table.py > table

Each is the first code point of the canonical decomposition (NFD), in lower case, of the letters of
the Latin, Greek and Cyrillic blocks; what Unicode does not decompose (o with a stroke) is in fold.c.
"""
import unicodedata

BLOCKS = [(0x00C0, 0x024F), (0x0370, 0x03FF), (0x0400, 0x052F), (0x1E00, 0x1EFF), (0x1F00, 0x1FFF)]

rows = []
for first, last in BLOCKS:
    for code in range(first, last + 1):
        c = chr(code)
        if not unicodedata.category(c).startswith("L"):
            continue
        base = ord(unicodedata.normalize("NFD", c)[0].casefold()[0])
        # text_char_next() has made capitals small outside Greek Extended.
        if len(c.casefold()) > 1 and unicodedata.normalize("NFD", c) == c:
            continue  # sharp s
        if base != code and (c.lower() == c or code >= 0x1F00):
            rows.append(f"{{0x{code:04x}, 0x{base:04x}}},")
for i in range(0, len(rows), 5):
    print("    " + " ".join(rows[i:i + 5]))
