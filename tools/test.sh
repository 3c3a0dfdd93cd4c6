#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Runs tests in stages.  A stage that fails does not stop the next; the last line adds up every test.
#
#   tools/test.sh all           what CI runs: gcc, lint, asan, tsan, clang, tidy
#   tools/test.sh STAGE         gcc, lint, asan, tsan, clang, tidy, unit, integration, e2e, coverage
#
# A stage owns one build folder.  The whole suite, power cuts included, runs once, in the plain gcc
# build; the address sanitizer runs all but the crash tests, which only repeat more slowly under it, and
# the thread sanitizer what has threads: programs that can start one, and a node, call by call.
#
# Within a stage, more tests run at once than there are processors: most of them sleep most of the time.  That
# makes each of them slower, hence -t: a limit only ends what hangs.
set -euo pipefail
cd "$(dirname "$0")/.."

results=()      # files for tools/tally.py
timings=()
slowest=()
failed_stages=()
at_once=$(($(nproc) + 1)) # of C tests, and of those in Python

say() { printf '\n== %s\n' "$*"; }

python=python3
for p in python3 /usr/bin/python3; do
    if "$p" -c 'import pytest, xdist' >/dev/null 2>&1; then
        python=$p
        break
    fi
done

# Sanitizers stop at the first finding, in our own processes and in those that tests start.
export ASAN_OPTIONS=${ASAN_OPTIONS-detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1:halt_on_error=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS-halt_on_error=1:print_stacktrace=1}
export TSAN_OPTIONS=${TSAN_OPTIONS-halt_on_error=1:second_deadlock_stack=1}

compile() { # FOLDER
    make --no-print-directory "$1/build.ninja" NINJAFLAGS="${NINJAFLAGS:-}"
    # shellcheck disable=SC2086 # flags are words
    ninja ${NINJAFLAGS:-} -C "$1"
}

c_tests() { # FOLDER STAGE [meson test arguments]
    results+=("$1/meson-logs/$2.json")
    run_c_tests "$@"
}

run_c_tests() {
    local folder=$1 stage=$2 code=0
    local log=$folder/meson-logs/$stage.json
    shift 2
    rm -f "$log"
    "${wrap[@]}" meson test -C "$folder" --no-rebuild --print-errorlogs --logbase "$stage" \
        --num-processes "$at_once" "$@" || code=$?
    # No test of that suite: Meson succeeds and leaves no log.
    if [ $code -eq 0 ] && [ ! -e "$log" ]; then : >"$log"; fi
    return $code
}

# Beside what follows; finish_c_tests waits for them and shows what they said.  These and not the others: Meson
# ends at ^C in the background too.
begin_c_tests() { # as c_tests
    c_said=$1/meson-logs/$2.said
    results+=("$1/meson-logs/$2.json")
    run_c_tests "$@" >"$c_said" 2>&1 &
    c_tests=$!
}

finish_c_tests() {
    local code=0
    wait "$c_tests" || code=$?
    cat "$c_said"
    return $code
}

python_tests() { # FOLDER STAGE DIRECTORY...
    local folder=$1 stage=$2
    shift 2
    results+=("$folder/pytest-$stage.xml")
    rm -f "$folder/pytest-$stage.xml"
    QMN_BUILD="$PWD/$folder" PYTHONDONTWRITEBYTECODE=1 "${wrap[@]}" \
        "$python" -m pytest -q -p no:cacheprovider -n "$at_once" --dist loadgroup \
        --junitxml="$folder/pytest-$stage.xml" "$@"
}

# A program that cannot start a thread has no races.  One that begins to is found here by itself.
threaded_tests() { # FOLDER
    meson introspect --tests "$1" | "$python" -c '
import json, subprocess, sys
able = {}
def starts_threads(program):
    if program not in able:
        symbols = subprocess.run(["nm", "-u", program], check=True, capture_output=True, text=True).stdout
        able[program] = "pthread_create" in symbols or "thrd_create" in symbols
    return able[program]
for test in json.load(sys.stdin):
    if starts_threads(test["cmd"][0]):
        print(test["name"])'
}

wrap=(env) # a command in front of every test

stage_lint() { tools/lint.sh quick build-test; } # after gcc, which generates headers

stage_tidy() { tools/lint.sh tidy build-clang; } # after clang

stage_gcc() {
    compile build-test
    begin_c_tests build-test gcc -t 3
    python_tests build-test gcc tests/tools tests/integration tests/e2e tests/controls || return_code=1
    finish_c_tests || return_code=1
}

stage_asan() {
    compile build-asan
    begin_c_tests build-asan asan --no-suite crash -t 5
    python_tests build-asan asan tests/integration tests/e2e || return_code=1
    finish_c_tests || return_code=1
}

stage_tsan() {
    compile build-tsan
    # The thread sanitizer of gcc 12 cannot map its shadow when the kernel randomises much.
    if setarch -R true 2>/dev/null; then wrap=(setarch -R); fi
    local list threaded
    list=$(threaded_tests build-tsan) && [ -n "$list" ] || { echo "no test starts a thread?" >&2; return 1; }
    mapfile -t threaded <<<"$list"
    echo "tsan: ${#threaded[@]} C tests; the programs of the others start no thread"
    begin_c_tests build-tsan tsan -t 10 "${threaded[@]}"
    python_tests build-tsan tsan tests/integration || return_code=1
    finish_c_tests || return_code=1
}

stage_clang() {
    compile build-clang
    c_tests build-clang clang -t 3 --no-suite crash --no-suite integration || return_code=1
}

stage_unit() {
    compile build-test
    c_tests build-test unit -t 3 --no-suite crash --no-suite integration || return_code=1
}

stage_integration() {
    compile build-test
    c_tests build-test integration -t 3 --suite integration --suite crash || return_code=1
    python_tests build-test integration tests/integration || return_code=1
}

stage_e2e() {
    compile build-test
    python_tests build-test e2e tests/e2e || return_code=1
}

stage_coverage() {
    compile build-coverage
    find build-coverage -name '*.gcda' -delete
    # A node started as root drops its privileges and still has to write its counters.
    if [ "$(id -u)" -eq 0 ]; then chmod -R a+rwX build-coverage; fi
    c_tests build-coverage coverage -t 3 || return_code=1
    python_tests build-coverage coverage tests/tools tests/integration tests/e2e || return_code=1
    gcovr --root . --filter src/ --object-directory build-coverage build-coverage \
        --html-details build-coverage/coverage.html --txt build-coverage/coverage.txt --print-summary
    echo "coverage: by line in build-coverage/coverage.html, by file in build-coverage/coverage.txt"
}

# A stage runs in a subshell so that its `set -e` ends only itself; it hands its result files back
# through a file.
run_stage() {
    local name=$1 start=$SECONDS handed code=0 own=()
    handed=$(mktemp)
    say "$name"
    set +e
    (
        set -e
        results=() return_code=0
        trap 'printf "%s\n" "${results[@]}" >"$handed"' EXIT
        "stage_$name"
        exit $return_code
    )
    code=$?
    set -e
    mapfile -t own < <(grep . "$handed" || true)
    rm -f "$handed"
    results+=("${own[@]}")
    if [ $code -ne 0 ] && { [ ${#own[@]} -eq 0 ] || "$python" tools/tally.py "${own[@]}" >/dev/null; }; then
        results+=("stage:$name") # it failed, but no test of it did: that counts as one
    fi
    timings+=("$(printf '%-12s %4d s  %s' "$name" $((SECONDS - start)) \
        "$([ $code -eq 0 ] && echo ok || echo FAILED)")")
    [ $code -eq 0 ] || failed_stages+=("$name")
    [ ${#own[@]} -eq 0 ] ||
        slowest+=("slowest of $name:" "$("$python" tools/tally.py --slowest 10 "${own[@]}" || true)")
}

[ $# -gt 0 ] || { sed -n '5,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
if [ "$1" = all ]; then set -- gcc lint asan tsan clang tidy; fi
for stage in "$@"; do
    declare -F "stage_$stage" >/dev/null || { echo "unknown stage: $stage" >&2; exit 2; }
    run_stage "$stage"
done

say summary
[ ${#slowest[@]} -eq 0 ] || printf '%s\n' "${slowest[@]}"
printf '%s\n' "${timings[@]}"
[ ${#failed_stages[@]} -eq 0 ] || echo "stages that failed: ${failed_stages[*]}"
code=0
if [ ${#results[@]} -gt 0 ]; then "$python" tools/tally.py "${results[@]}" || code=1; fi
[ ${#failed_stages[@]} -eq 0 ] || code=1
exit $code
