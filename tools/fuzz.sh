#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Fuzzes every target for a while:  tools/fuzz.sh BUILD-FOLDER SECONDS [TARGET...]
#
# Seeds come from tests/fuzz/corpus/NAME; what is found new stays in BUILD-FOLDER/corpus/NAME, and a
# crash leaves its input in BUILD-FOLDER/crashes.  A crash worth keeping becomes a seed: `make test`
# replays all seeds.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$1 seconds=$2
shift 2
# shellcheck disable=SC2086 # flags are words
ninja ${NINJAFLAGS:-} -C "$folder"
mkdir -p "$folder/crashes"
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1

targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
    for source in tests/fuzz/fuzz_*.c; do
        source=${source##*/fuzz_}
        targets+=("${source%.c}")
    done
fi
failed=()
for name in "${targets[@]}"; do
    echo "== fuzz $name for $seconds s"
    mkdir -p "$folder/corpus/$name"
    seeds=("$folder/corpus/$name")
    if [ -d "tests/fuzz/corpus/$name" ]; then seeds+=("tests/fuzz/corpus/$name"); fi
    log=$folder/crashes/$name.log
    if "$folder/tests/fuzz/fuzz_$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
        -print_final_stats=1 -artifact_prefix="$folder/crashes/$name-" "${seeds[@]}" >"$log" 2>&1; then
        grep -E '^stat::(number_of_executed_units|average_exec_per_sec)|cov:' "$log" | tail -3
    else
        failed+=("$name")
        tail -n 40 "$log"
    fi
done
echo
if [ ${#failed[@]} -gt 0 ]; then
    echo "fuzz: found something in: ${failed[*]} (see $folder/crashes)"
    exit 1
fi
echo "fuzz: ${#targets[@]} targets, nothing found"
