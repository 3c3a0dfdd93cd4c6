#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
#   tools/lint.sh quick                 layers and layout: seconds, part of `make test`
#   tools/lint.sh all BUILD-FOLDER      and clang-tidy over every file of that build: minutes
set -euo pipefail
cd "$(dirname "$0")/.."
build=${2:-build-test} # generated headers; for clang-tidy a build by clang
bad=0

echo "lint: layers"
tools/layers.py --build "$build" || bad=1

# Only what git knows: a file somebody is still writing is not judged.  A released archive has no git.
mapfile -t files < <(git ls-files '*.c' '*.h' 2>/dev/null | grep . ||
    find src include tests bench examples -name '*.[ch]' 2>/dev/null)
if command -v clang-format >/dev/null; then
    echo "lint: layout of ${#files[@]} files (make fmt mends it)"
    clang-format --dry-run -Werror "${files[@]}" 2>&1 | grep -E 'error:' | cut -d: -f1 | uniq -c |
        awk '{ print $2 ": layout differs in " $1 " places" }' || true
    clang-format --dry-run -Werror "${files[@]}" 2>/dev/null || bad=1
else
    echo "lint: no clang-format here, layout not checked"
fi

if [ "${1:-quick}" = all ]; then
    if command -v clang-tidy >/dev/null; then
        # Generated headers have to be there before anything can be parsed.
        ninja -C "$build" >/dev/null
        mapfile -t units < <(python3 -c '
import json, os, sys
for e in json.load(open(sys.argv[1] + "/compile_commands.json")):
    name = os.path.relpath(os.path.join(e["directory"], e["file"]))
    if name.startswith("src/"):
        print(name)' "$build" | sort -u)
        echo "lint: clang-tidy over ${#units[@]} files"
        printf '%s\0' "${units[@]}" |
            xargs -0 -P "$(nproc)" -n 4 clang-tidy -p "$build" --quiet --warnings-as-errors='*' 2> >(grep -v 'warnings generated' >&2) || bad=1
    else
        echo "lint: no clang-tidy here, analysis not done"
    fi
fi
exit $bad
