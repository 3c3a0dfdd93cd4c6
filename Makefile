# SPDX-License-Identifier: MIT
#
# A thin front for Meson: each target names what people do, meson.build knows how.
#
# Only `deps` calls apt.  The others ask tools/deps.sh whether something is missing and call `deps`
# only then, so on a machine that has everything they work offline and without privileges.

PREFIX ?= /usr/local
DESTDIR ?=
FUZZ_SECONDS ?= 60
NINJAFLAGS ?=
SET ?= test
# Extra arguments for `meson setup` of every build folder.
MESONFLAGS ?=

NINJA = ninja $(NINJAFLAGS)
TESTING = -Dwerror=true -Dtests=enabled

.DEFAULT_GOAL := build
.NOTPARALLEL: # the packages come before the build folder; Ninja does the parallel work
.PHONY: help deps build up down logs status demo test test-unit test-integration test-e2e test-all \
	test-asan test-tsan test-clang bench bench-memory fuzz lint fmt clean install uninstall \
	need-build need-test need-lint need-fuzz need-bench need-bench-memory need-coverage

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# --- system packages

deps: ## install missing packages with apt: SET=build, test (default), lint, fuzz, bench, bench-memory, coverage, all
	@tools/deps.sh --install $(SET)

need-build need-test need-lint need-fuzz need-bench need-bench-memory need-coverage: need-%:
	@tools/deps.sh --check $* >/dev/null || $(MAKE) --no-print-directory deps SET=$*

# --- build and run

build: need-build build/build.ninja ## release build: leaves build/qmnd and build/qmn
	@$(NINJA) -C build

up: build ## start a node on 127.0.0.1:8022 (QMN_LISTEN, QMN_DATA_DIR) and carry a first exchange
	@tools/node.sh up

down: ## stop that node
	@tools/node.sh down

status: ## is it running, and where
	@tools/node.sh status

logs: ## follow its log
	@tools/node.sh logs

demo: build ## carry the demo exchange over the running node, once more if it had it
	@tools/node.sh demo

install: build ## install under PREFIX (/usr/local); DESTDIR for packagers
	@meson configure build -Dprefix=$(PREFIX)
	@DESTDIR="$(DESTDIR)" meson install -C build
	@[ -n "$(DESTDIR)" ] || \
		echo "To run it as a service: systemd-sysusers && systemctl daemon-reload && systemctl enable --now qmnd"

uninstall: ## remove what `install` put there
	@python3 tools/uninstall.py build "$(DESTDIR)"

# --- test

test: need-test ## everything that CI runs: layers, gcc and clang without warnings, all tests, sanitizers
	@tools/test.sh all

test-unit: need-test build-test/build.ninja ## unit and contract tests only: seconds
	@tools/test.sh unit

test-integration: need-test build-test/build.ninja ## black-box tests against a running node
	@tools/test.sh integration

test-e2e: need-test build-test/build.ninja ## whole journeys: README, demo, command line, Python SDK
	@tools/test.sh e2e

test-all: need-coverage build-coverage/build.ninja ## every test with a coverage report
	@tools/test.sh coverage

test-asan: need-test build-asan/build.ninja ## tests under the address and undefined behaviour sanitizers
	@tools/test.sh asan

test-tsan: need-test build-tsan/build.ninja ## tests under the thread sanitizer
	@tools/test.sh tsan

test-clang: need-test build-clang/build.ninja ## build with clang, warnings as errors, and test
	@tools/test.sh clang

bench: need-bench build ## measure, and print each figure beside its bound
	@bench/run

bench-memory: need-bench-memory build ## measure the vector index, its recall and speed beside other libraries
	@bench/memory

fuzz: need-fuzz build-fuzz/build.ninja ## fuzz each target for FUZZ_SECONDS (60)
	@tools/fuzz.sh build-fuzz $(FUZZ_SECONDS)

# --- code

lint: need-lint need-test build-clang/build.ninja ## layers, layout, clang-tidy
	@tools/lint.sh all build-clang

fmt: need-test ## lay the code out with clang-format
	@git ls-files -co --exclude-standard '*.c' '*.h' | xargs clang-format -i

clean: ## remove every build folder; leaves var/ alone
	rm -rf build build-test build-asan build-tsan build-clang build-coverage build-fuzz

# --- build folders

build/build.ninja:
	@echo "configuring build/ (build/meson-logs/meson-log.txt has the details)"
	@said=$$(meson setup build -Dprefix=$(PREFIX) -Dtests=disabled $(MESONFLAGS) 2>&1) || { echo "$$said"; exit 1; }

build-test/build.ninja:
	@CC=gcc meson setup build-test $(TESTING) $(MESONFLAGS)

# Half the time to compile of -O2, which hides more from a sanitizer than it saves in its tests.
build-asan/build.ninja:
	@CC=gcc meson setup build-asan $(TESTING) -Doptimization=1 -Db_sanitize=address,undefined $(MESONFLAGS)

build-tsan/build.ninja:
	@CC=gcc meson setup build-tsan $(TESTING) -Doptimization=1 -Db_sanitize=thread $(MESONFLAGS)

build-clang/build.ninja:
	@CC=clang meson setup build-clang $(TESTING) $(MESONFLAGS)

build-coverage/build.ninja:
	@CC=gcc meson setup build-coverage $(TESTING) -Dbuildtype=debug -Db_coverage=true $(MESONFLAGS)

build-fuzz/build.ninja:
	@CC=clang meson setup build-fuzz $(TESTING) -Dfuzzers=true -Db_lundef=false \
		-Db_sanitize=address,undefined $(MESONFLAGS)
