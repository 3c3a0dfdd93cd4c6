#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What QMN needs from the system, why, and how to tell that it is there.
#
#   tools/deps.sh --check SET     succeeds when nothing is missing; else lists it and fails
#   tools/deps.sh --install SET   installs what is missing with apt; says what and why
#
# Sets: build (up, build, install), test, lint, fuzz, bench, bench-memory, coverage, all.  Every set
# contains `build`.  A check asks for the thing itself, not for the package, so a Meson from elsewhere counts.
set -euo pipefail

have() { command -v "$1" >/dev/null 2>&1; }
lib() { pkg-config --exists "$1" 2>/dev/null; }
# The first Python that can import $1: the distribution's module may not be visible to another Python.
python_with() {
    local p
    for p in python3 /usr/bin/python3; do
        have "$p" && "$p" -c "import $1" >/dev/null 2>&1 && return
    done
    return 1
}
meson_new_enough() { have meson && [ "$(printf '1.0.0\n%s\n' "$(meson --version)" | sort -V | head -1)" = 1.0.0 ]; }
libfuzzer() { have clang && compgen -G "$(clang -print-resource-dir)/lib/*/libclang_rt.fuzzer*.a" >/dev/null; }

# set | package | check | why
packages() {
    cat <<'TABLE'
build    | build-essential      | have cc && have make && [ -f /usr/include/stdio.h ] | C compiler, make and the C library's headers
build    | meson                | meson_new_enough                   | the build system behind the Makefile
build    | ninja-build          | have ninja                         | runs what Meson plans
build    | pkg-config           | have pkg-config                    | finds libraries
build    | libsqlite3-dev       | lib sqlite3                        | the embedded store
build    | libprotobuf-c-dev    | lib libprotobuf-c                  | protobuf messages in C
build    | protobuf-c-compiler  | have protoc-c                      | C code from proto/
build    | protobuf-compiler    | have protoc                        | descriptors from proto/
build    | node-llhttp          | [ -f /usr/share/llhttp/llhttp.c ]  | the HTTP/1.1 parser (C source)
build    | libgnutls28-dev      | lib gnutls                         | hashes, secrets, later TLS
build    | libcurl4-gnutls-dev  | lib libcurl                        | the HTTP client of the command line
test     | libcmocka-dev        | lib cmocka                         | unit tests in C
test     | libcjson-dev         | lib libcjson                       | the JSON parser ours is compared with
test     | python3-pytest       | python_with pytest                 | black-box tests
test     | python3-pytest-xdist | python_with "pytest, xdist"        | runs them beside each other
test     | libfaketime          | compgen -G '/usr/lib/*/faketime/libfaketime.so.1' >/dev/null | sets the wall clock of a node under test
test     | clang                | have clang                         | the second compiler whose warnings are errors
test     | clang-format         | have clang-format                  | checks the layout of the code
test     | clang-tidy           | have clang-tidy                    | static analysis
lint     | clang                | have clang                         | parses for clang-tidy
lint     | clang-format         | have clang-format                  | checks the layout of the code
lint     | clang-tidy           | have clang-tidy                    | static analysis
fuzz     | clang                | have clang                         | compiles with libFuzzer
fuzz     | libclang-rt-dev      | libfuzzer                          | libFuzzer and the sanitizers' run time
bench    | wrk                  | have wrk                           | load generator
bench-memory | libhnswlib-dev     | [ -f /usr/include/hnswlib/hnswlib.h ] | the library that the index is measured beside
bench-memory | python3-scipy      | python_with scipy.sparse           | makes dense vectors of text
bench-memory | libopenblas0-pthread | compgen -G '/usr/lib/*/openblas-pthread/libblas.so.3' >/dev/null | makes them in minutes, not in hours
bench-memory | wordnet-base       | [ -f /usr/share/wordnet/data.noun ] | 118,000 glosses: with the package descriptions enough text
coverage | libcmocka-dev        | lib cmocka                         | unit tests in C
coverage | libcjson-dev         | lib libcjson                       | the JSON parser ours is compared with
coverage | python3-pytest       | python_with pytest                 | black-box tests
coverage | python3-pytest-xdist | python_with "pytest, xdist"        | runs them beside each other
coverage | gcovr                | have gcovr                         | coverage report
TABLE
}

# Prints "package | why" for each thing of set $1 that is not there.
missing() {
    local wanted=$1 set package check why seen=' '
    while IFS='|' read -r set package check why; do
        set=${set// /} package=${package// /}
        [[ $set == build || $set == "$wanted" || $wanted == all ]] || continue
        [[ $seen == *" $package "* ]] && continue
        seen+="$package "
        eval "$check" || printf '%-20s | %s\n' "$package" "${why# }"
    done < <(packages)
}

install() {
    local list names sudo=()
    list=$(missing "$1")
    if [ -z "$list" ]; then
        echo "deps: everything for '$1' is there"
        return
    fi
    names=$(cut -d'|' -f1 <<<"$list" | tr -s ' \n' ' ')
    echo "deps: missing for '$1':"
    sed 's/^/  /' <<<"$list"
    if ! have apt-get; then
        echo "deps: this is not a Debian system; install the equivalents of: $names" >&2
        exit 1
    fi
    if [ "$(id -u)" -ne 0 ]; then
        # Without a terminal nobody could type a password, so sudo must not ask for one.
        if have sudo && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
            sudo=(sudo)
        else
            echo "deps: neither root nor sudo; as root, run:" >&2
            echo "  apt-get install -y --no-install-recommends $names" >&2
            exit 1
        fi
    fi
    echo "deps: ${sudo[*]:+sudo }apt-get install -y --no-install-recommends $names"
    local apt=("${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y)
    "${apt[@]}" update
    # shellcheck disable=SC2086 # one word per package
    "${apt[@]}" install --no-install-recommends $names
    hash -r
    list=$(missing "$1")
    if [ -n "$list" ]; then
        echo "deps: still missing after the installation:" >&2
        sed 's/^/  /' <<<"$list" >&2
        exit 1
    fi
}

case "${1:-} ${2:-}" in
"--check "?*)
    list=$(missing "$2")
    [ -z "$list" ] && exit 0
    echo "missing for '$2':"
    sed 's/^/  /' <<<"$list"
    exit 1
    ;;
"--install "?*) install "$2" ;;
*)
    sed -n '4,10s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
