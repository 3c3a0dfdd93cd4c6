#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
#   tools/lint.sh quick [BUILD]   layers and layout: seconds
#   tools/lint.sh tidy BUILD      clang-tidy over every source file of that build by clang: minutes
#   tools/lint.sh all BUILD       both
set -euo pipefail
cd "$(dirname "$0")/.."
mode=${1:-quick}
build=${2:-build-test} # generated headers
bad=0

quick() {
    echo "lint: layers"
    tools/layers.py --build "$build" || bad=1
    # Only what git knows: a file somebody is still writing is not judged.  A released archive has no git.
    mapfile -t files < <(git ls-files '*.c' '*.h' 2>/dev/null | grep . ||
        find src include tests bench examples -name '*.[ch]' 2>/dev/null)
    if ! command -v clang-format >/dev/null; then
        echo "lint: no clang-format here, layout not checked"
        return
    fi
    echo "lint: layout of ${#files[@]} files (make fmt mends it)"
    clang-format --dry-run -Werror "${files[@]}" 2>&1 | grep -E 'error:' | cut -d: -f1 | uniq -c |
        awk '{ print $2 ": layout differs in " $1 " places" }' || true
    clang-format --dry-run -Werror "${files[@]}" 2>/dev/null || bad=1
}

# Nearly all of the time of clang-tidy goes to functions whose paths the analyser does not get to the
# end of, and after 225,000 steps it gives them up.  At 50,000, a quarter of the work, it said all that it ever
# had said of this code before; its "shallow" mode said nothing.
bounded=(-Xclang -analyzer-config -Xclang max-nodes=50000)

tidy() {
    if ! command -v clang-tidy >/dev/null; then
        echo "lint: no clang-tidy here, analysis not done"
        return
    fi
    ninja -C "$build" >/dev/null # generated headers have to be there before anything can be parsed
    mapfile -t units < <(python3 -c '
import json, os, sys
for e in json.load(open(sys.argv[1] + "/compile_commands.json")):
    name = os.path.relpath(os.path.join(e["directory"], e["file"]))
    if name.startswith("src/"):
        print(name)' "$build" | sort -u)
    echo "lint: clang-tidy over ${#units[@]} files"
    printf '%s\0' "${units[@]}" |
        xargs -0 -P "$(nproc)" -n 4 clang-tidy -p "$build" --quiet --warnings-as-errors='*' \
            "${bounded[@]/#/--extra-arg=}" \
            2> >(grep -v 'warnings generated' >&2) || bad=1
}

case $mode in
quick) quick ;;
tidy) tidy ;;
all) quick && tidy ;;
*) sed -n '4,6s/^# \{0,3\}//p' "$0" >&2; exit 2 ;;
esac
exit $bad
