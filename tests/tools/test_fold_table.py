# SPDX-License-Identifier: MIT
"""The table of src/text/fold.c is what tools/fold_table.py prints: letters lose their marks as Unicode says.

How the letters of these blocks decompose can never change (Unicode's stability policy); a version that adds letters to
them would make this fail, and ask for a decision.
"""
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_table_is_what_the_tool_prints():
    source = (ROOT / "src/text/fold.c").read_text()
    table = source[source.index("} folds[] = {"):source.index("};", source.index("} folds[] = {"))]
    out = subprocess.run([sys.executable, ROOT / "tools/fold_table.py"], capture_output=True, text=True, check=True)
    pair = re.compile(r"\{(0x[0-9a-f]{4}), (0x[0-9a-f]{4})\}")
    assert pair.findall(table) == pair.findall(out.stdout)
    assert len(pair.findall(table)) > 500
