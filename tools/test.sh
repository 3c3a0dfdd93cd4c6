#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Runs tests in stages.  A stage that fails does not stop the next; the last line adds up every test.
#
#   tools/test.sh all           what CI runs: gcc, lint, asan, tsan, clang, tidy
#   tools/test.sh STAGE         gcc, lint, asan, tsan, clang, tidy, unit, integration, e2e, coverage
#
# A stage owns one build folder.  The whole suite, power cuts included, runs once, in the plain gcc
# build; the sanitizers run all but the crash tests, which only repeat more slowly under them.
set -euo pipefail
cd "$(dirname "$0")/.."

results=()      # files for tools/tally.py
timings=()
failed_stages=()

say() { printf '\n== %s\n' "$*"; }

python=python3
for p in python3 /usr/bin/python3; do
    if "$p" -c 'import pytest' >/dev/null 2>&1; then
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
    local folder=$1 stage=$2 code=0
    local log=$folder/meson-logs/$stage.json
    shift 2
    results+=("$log")
    rm -f "$log"
    "${wrap[@]}" meson test -C "$folder" --no-rebuild --print-errorlogs --logbase "$stage" "$@" ||
        code=$?
    # No test of that suite: Meson succeeds and leaves no log.
    if [ $code -eq 0 ] && [ ! -e "$log" ]; then : >"$log"; fi
    return $code
}

python_tests() { # FOLDER STAGE DIRECTORY...
    local folder=$1 stage=$2 d there=()
    shift 2
    for d in "$@"; do
        if compgen -G "$d/test_*.py" >/dev/null; then there+=("$d"); fi
    done
    [ ${#there[@]} -gt 0 ] || return 0
    results+=("$folder/pytest-$stage.xml")
    rm -f "$folder/pytest-$stage.xml"
    QMN_BUILD="$PWD/$folder" PYTHONDONTWRITEBYTECODE=1 "${wrap[@]}" \
        "$python" -m pytest -q -p no:cacheprovider --junitxml="$folder/pytest-$stage.xml" "${there[@]}"
}

wrap=(env) # a command in front of every test

stage_lint() { tools/lint.sh quick build-test; } # after gcc, which generates headers

stage_tidy() { tools/lint.sh tidy build-clang; } # after clang

stage_gcc() {
    compile build-test
    c_tests build-test gcc || return_code=1
    python_tests build-test gcc tests/tools tests/integration tests/e2e tests/controls || return_code=1
}

stage_asan() {
    compile build-asan
    c_tests build-asan asan --no-suite crash -t 5 || return_code=1
    python_tests build-asan asan tests/integration tests/e2e || return_code=1
}

stage_tsan() {
    compile build-tsan
    # The thread sanitizer of gcc 12 cannot map its shadow when the kernel randomises much.
    if setarch -R true 2>/dev/null; then wrap=(setarch -R); fi
    c_tests build-tsan tsan --no-suite crash -t 10 || return_code=1
    python_tests build-tsan tsan tests/integration tests/e2e || return_code=1
}

stage_clang() {
    compile build-clang
    c_tests build-clang clang --no-suite crash --no-suite integration || return_code=1
}

stage_unit() {
    compile build-test
    c_tests build-test unit --no-suite crash --no-suite integration || return_code=1
}

stage_integration() {
    compile build-test
    c_tests build-test integration --suite integration --suite crash || return_code=1
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
}

[ $# -gt 0 ] || { sed -n '5,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
if [ "$1" = all ]; then set -- gcc lint asan tsan clang tidy; fi
for stage in "$@"; do
    declare -F "stage_$stage" >/dev/null || { echo "unknown stage: $stage" >&2; exit 2; }
    run_stage "$stage"
done

say summary
printf '%s\n' "${timings[@]}"
[ ${#failed_stages[@]} -eq 0 ] || echo "stages that failed: ${failed_stages[*]}"
code=0
if [ ${#results[@]} -gt 0 ]; then "$python" tools/tally.py "${results[@]}" || code=1; fi
[ ${#failed_stages[@]} -eq 0 ] || code=1
exit $code
