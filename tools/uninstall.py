#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Removes what `make install` put there:  tools/uninstall.py BUILD-FOLDER DESTDIR

Asks Meson what it installs, so no log of an earlier installation is needed.  Data are never touched.
"""
import json
import subprocess
import sys
from pathlib import Path


def main(build, destdir):
    answer = subprocess.run(["meson", "introspect", "--installed", build], check=True,
                            capture_output=True, text=True).stdout
    for installed in sorted(json.loads(answer).values()):
        path = Path(destdir + installed) if destdir else Path(installed)
        if path.is_file() or path.is_symlink():
            path.unlink()
            print(f"removed {path}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "")
